// What a record of the shared log holds of the groups of a node (docs/FORMATS.md, "Group records"), and putting the records together again
// at start.  The log itself is src/persist's; it takes a record as opaque bytes, whole or not at all.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "cluster/groups.h"
#include "cluster/raft/core.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

// Where the log of the meta group begins, and the state that stands for what came before.
struct MetaBase {
  raft::SnapshotMark mark;
  std::string state;   // ClusterState::encode
};

// Appends the durable writes of a turn.  Writes without anything to store take no bytes.  `meta` (may be null) goes in front: the founding
// of a cluster, or a snapshot that was installed in this turn (its write has the same mark).
void encode_group_record(raft::GroupId meta_group, const MetaBase* meta, std::span<const GroupWrite> writes, Buffer& out);

// Reads a log's group records in order and knows for each group what its replica must remember.
class GroupRecovery {
 public:
  // Where the state of a group stands that a snapshot of the shard brought: nothing up to there is needed from the log.
  void snapshot(raft::GroupId group, const raft::SnapshotMark& mark);
  // The next record.  kCorrupt: it cannot be read, or does not follow from those before; the detail says why.
  Status record(std::string_view bytes);

  // By group.  Complete once all records were read.
  std::map<raft::GroupId, raft::Restored>& groups() { return groups_; }
  // What the base of the meta group stands for; empty: there is none.
  const std::string& meta_state() const { return meta_state_; }

 private:
  Status take_meta_base(raft::GroupId group, std::string_view bytes);
  Status take_hard_state(raft::GroupId group, std::string_view bytes);
  Status take_base(raft::GroupId group, std::string_view bytes);
  Status take_entry(raft::GroupId group, std::string_view bytes);

  std::map<raft::GroupId, raft::Restored> groups_;
  std::string meta_state_;
};

}  // namespace quorate

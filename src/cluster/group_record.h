// What a record of the shared log holds of the groups of a node (docs/FORMATS.md, "Group records"), and putting the records together again
// at start.  The log itself is src/persist's; it takes a record as opaque bytes, whole or not at all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cluster/groups.h"
#include "cluster/raft/core.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

// A replica and where its log begins: it was made, or a snapshot took the place of what it had.
struct GroupBase {
  raft::GroupId group = {};
  raft::ReplicaId replica = {};
  raft::SnapshotMark mark = {};               // all zero: nothing yet
  std::optional<std::string> state = {};      // what the mark stands for; absent: what this node holds already
  // Instead of it: so many bytes stand in the pieces before.
  std::optional<uint64_t> bytes_in_pieces = {};
  std::string beside = {};                    // of that, if it is in a snapshot: what does not stand there
};

// A piece of a state whose base follows, in this record or a later one; unless the first piece comes again.
struct GroupPiece {
  raft::GroupId group = {};
  uint64_t offset = 0;
  std::string bytes = {};
};

// How much a node keeps of its partitions (REPLICATION 5).
enum class Keeping : uint8_t {
  kAll,
  // Mode `memory`: terms, votes, configurations and who its replicas are, but no entries and no states.  The meta group is kept whole.
  kBare,
};

// What one turn stores, in the order in which it is read back.
struct GroupRecord {
  std::span<const raft::GroupId> gone = {};   // replicas that were dropped
  std::span<const GroupPiece> pieces = {};
  std::span<const GroupBase> bases = {};
  // Those without anything to store take no bytes.  One with a log base follows the base of its group with the same mark.
  std::span<const GroupWrite> writes = {};
  Keeping keeping = Keeping::kAll;
  raft::GroupId meta = {};  // kBare: the group that is kept whole
};
// Appends nothing where there is nothing to write.
void encode(const GroupRecord& record, Buffer& out);
// The first record of a log that is kept bare from here on.  Nothing may be left out before it is synced.
void encode_bare_beginning(raft::GroupId meta, Buffer& out);

// Reads a log's group records in order and knows for each group what its replica must remember.
// A log that was once kept bare says nothing of its partitions' entries, also where it has some again, until a snapshot that was kept whole:
// their replicas begin empty, with their terms, votes and configurations, and may have forgotten what they acknowledged.
class GroupRecovery {
 public:
  // The next record.  kCorrupt: it cannot be read, or does not follow from those before; the detail says why.
  Status record(std::string_view bytes);

  struct Found {
    raft::ReplicaId replica;
    raft::Restored restored;
    std::optional<std::string> state;   // what restored.base stands for; absent: what this node held then
    std::string beside;                 // GroupBase::beside
  };
  // By group.  Complete once all records were read.
  std::map<raft::GroupId, Found>& groups() { return groups_; }
  // Whether partitions were not kept.
  bool is_bare() const { return !kept_.none(); }

 private:
  bool is_kept(raft::GroupId group) const { return kept_.none() || group == kept_; }
  static void empty(Found& found);
  void take_bare(raft::GroupId meta);
  Status take_base(raft::GroupId group, std::string_view bytes);
  Status take_hard_state(raft::GroupId group, std::string_view bytes);
  Status take_log_base(raft::GroupId group, std::string_view bytes);
  Status take_entry(raft::GroupId group, std::string_view bytes);
  Status take_beside(raft::GroupId group, std::string_view bytes);
  Status take_piece(raft::GroupId group, std::string_view bytes);
  Status take_state(raft::GroupId group, Found& found, uint8_t form, std::string_view bytes);

  std::map<raft::GroupId, Found> groups_;
  std::map<raft::GroupId, std::string> pieces_;   // that stand before their base
  raft::GroupId kept_ = {};   // the only group that is kept; none: all are
};

}  // namespace quorate

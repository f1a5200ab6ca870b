// What a node of the world `raft` has on its disk: for each group the hard state, a snapshot and
// the log behind it.  Records are written in order; kill -9 loses those that were not written yet,
// a power loss also any end of those that were not synced.  (Bytes, torn records and checksums are
// the subject of the world `log`; under a checksum a torn record is one that is not there.)
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "cluster/raft/core.h"
#include "tests/sim/raft_machine.h"
#include "util/prng.h"

namespace quorate::sim {

struct StoredReplica {
  raft::ReplicaId replica;
  raft::HardState hard;
  raft::SnapshotMark base;
  std::shared_ptr<const Machine> snapshot;  // shared: disk, network and oracle look at one copy
  std::vector<raft::Entry> entries;         // behind base
  // The boot in which this replica last started and wrote down all it had to.
  uint64_t boot = 0;
};

// One durable write of one replica.
struct DiskRecord {
  raft::GroupId group;
  raft::ReplicaId replica;
  std::optional<raft::HardState> hard = {};
  std::optional<raft::SnapshotMark> base = {};
  std::shared_ptr<const Machine> snapshot =
      {};                   // of `base`; none with an empty base: all is archived
  bool keeps_tail = false;  // a snapshot of its own: the log behind it stays
  std::vector<raft::Entry> append = {};
  std::optional<uint64_t> boot = {};
  bool is_removed = false;  // the replica is dropped
};

using DiskImage = std::map<raft::GroupId, StoredReplica>;

// Calls: write*, sync and the two losses in any order.
class NodeDisk {
 public:
  // write(2) returned.
  void write(DiskRecord record) { unsynced_.push_back(std::move(record)); }
  // fsync returned: all that was written is safe.
  void sync();
  // How many records are written and not synced.
  size_t unsynced() const { return unsynced_.size(); }
  // Power fails: a part chosen by chance of what was not synced stays.
  void lose_power(Prng& prng);
  // What a process finds that starts now.
  DiskImage image() const;

  // Survives everything; set while nothing runs.
  uint64_t incarnation = 0;
  // The newest replica of each group that was removed here: ids up to it never act again (I14).
  std::map<raft::GroupId, raft::ReplicaId> removed;
  // What only the oracle knows: which replicas started without what they held, and did not recover
  // it.
  std::map<raft::GroupId, bool> owes_recovery;

 private:
  static void apply(DiskImage& image, const DiskRecord& record);

  DiskImage synced_;
  std::deque<DiskRecord> unsynced_;
};

}  // namespace quorate::sim

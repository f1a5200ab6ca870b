// What must hold in the world `cluster` at any time, for somebody who sees all nodes at once
// (REPLICATION.md 9).  What clients were told is judged in cluster_clients.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/link/frame.h"
#include "cluster/raft/core.h"
#include "tests/sim/digest.h"

namespace quorate::sim {

class ClusterOracle {
 public:
  // A replica as it is after a turn of its node: I1 to I5, I9.  kNewLeader: of a term that nobody has
  // been seen to lead.  `life` is another one for each process of the machine.  `first`: the replica that has begun its group with nothing, since all copies were lost; 0: that has not happened.
  enum class Seen : uint8_t { kNewLeader, kNothingNew };
  Seen look_at(uint32_t machine, uint64_t life, const raft::Core& core, uint64_t first = 0);
  // The cluster that a machine is a member of, and how far it knows the members' log to be committed.  A founding that is not stored yet may be
  // forgotten with its process, and the next one begins with other data; once one counts there is no other.
  void look_at_cluster(uint32_t machine, const ClusterId& cluster, raft::Index committed);
  // Something of its own is committed: its founding is stored, and what its groups begin with stays.
  bool counts(const ClusterId& cluster) const { return cluster_ == cluster; }
  // The data of a replica that stands for its log up to `index`: I6.  `first` as above.  Requires: counts() of its cluster.
  void compare(uint32_t machine, const raft::Core& core, uint64_t first, raft::Index index, uint64_t digest);
  // Copies are lost for good, and an operator will let those that are left go on: what is committed in recovery epochs that nobody has seen
  // yet may contradict what was committed before.
  void note_lost();
  // The machine's disk may have forgotten what it said to be synced, of replicas that have gone meanwhile, too.
  void excuse(uint32_t machine) {
    std::erase_if(memories_, [&](const auto& each) { return each.second.machine == machine; });
  }
  void fail(std::string text) {
    if (wrong_.empty()) wrong_ = std::move(text);
  }
  const std::string& wrong() const { return wrong_; }
  // Grows whenever look_at() may say otherwise of a replica that has not changed since: of what others show it says so when it looks at them.
  uint64_t generation() const { return generation_; }
  uint64_t leaders() const { return leader_count_; }
  uint64_t comparisons() const { return comparisons_; }

 private:
  // What must be one history: a group's, unless operators have let it go on without copies that were lost.
  struct History {
    uint64_t group = 0;
    uint64_t first = 0;
    uint64_t epoch = 0;   // 0: any before the loss
    friend auto operator<=>(const History&, const History&) = default;
  };
  using Place = std::pair<History, uint64_t>;   // and an index
  // What was seen of one.
  struct Facts {
    std::map<uint64_t, uint32_t> leaders;                   // by term
    std::map<uint64_t, raft::Configuration> configurations;   // of the leader, by term
    std::map<uint64_t, uint64_t> found_committed;           // by term: what the leader had committed when it was first seen
    std::map<uint64_t, uint64_t> committed;                 // by index: the chain of hashes of everything up to there, as somebody has said it
  };

  History history_of(const raft::Core& core, uint64_t first);
  void look_at_base(uint32_t machine, const raft::Core& core, const Facts& facts);
  // Has a commit quorum stored the log up to its base?
  bool holds_committed_base(const raft::Core& core, const Facts& facts) const;
  void note_stored(const raft::Core& core);
  void look_at_memory(uint32_t machine, uint64_t life, const raft::Core& core);
  void look_at_configuration(uint32_t machine, const raft::Core& core, Facts& facts);

  uint64_t generation_ = 0;
  std::optional<ClusterId> cluster_;   // that counts
  bool is_lost_ = false;
  std::map<uint64_t, uint64_t> epochs_;   // by group: the latest before the loss
  std::map<History, Facts> facts_;
  uint64_t leader_count_ = 0;
  // By group and recovery epoch: what the epoch's first leader held when it was elected.
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> chosen_;
  // Who has ever stored an entry, and with which chain, by group and index; and how far that is noted of a replica, by group and replica.
  struct Holder {
    uint64_t replica = 0;
    uint64_t chain = 0;
    friend bool operator==(const Holder&, const Holder&) = default;
  };
  std::map<uint64_t, std::vector<std::vector<Holder>>> stored_;
  std::map<std::pair<uint64_t, uint64_t>, std::pair<uint64_t, uint64_t>> stored_noted_;
  struct Memory {
    uint32_t machine = 0;
    raft::Position acknowledged;   // how far its log reached when it said that it had stored it
    // As it was when it was looked at last.
    uint64_t life = 0;
    bool was_full = false;
    raft::Index commit;
  };
  std::map<std::pair<uint64_t, uint64_t>, Memory> memories_;   // by group and replica
  struct Copy {
    uint32_t machine = 0;
    uint64_t chain = 0;
    uint64_t digest = 0;
  };
  std::map<Place, Copy> copies_;   // by index; of any epoch
  uint64_t comparisons_ = 0;
  std::string wrong_;
};

}  // namespace quorate::sim

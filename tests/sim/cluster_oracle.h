// What must hold in the world `cluster` at any time, for somebody who sees all nodes at once
// (REPLICATION.md 9).  What clients were told is judged in cluster_clients.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "cluster/raft/core.h"
#include "tests/sim/digest.h"

namespace quorate::sim {

class ClusterOracle {
 public:
  // A replica as it is after a turn of its node: I1 to I5, I9.  kNewLeader: of a term that nobody has
  // been seen to lead.
  enum class Seen : uint8_t { kNewLeader, kNothingNew };
  Seen look_at(uint32_t machine, const raft::Core& core);
  // The data of a replica that stands for its log up to `index`: I6.
  void compare(uint32_t machine, const raft::Core& core, raft::Index index, uint64_t digest);
  void fail(std::string text) {
    if (wrong_.empty()) wrong_ = std::move(text);
  }
  const std::string& wrong() const { return wrong_; }
  uint64_t leaders() const { return leaders_.size(); }
  uint64_t comparisons() const { return comparisons_; }

 private:
  void look_at_base(uint32_t machine, const raft::Core& core);
  // Has a commit quorum stored the log up to its base?
  bool holds_committed_base(const raft::Core& core) const;
  void note_stored(const raft::Core& core);
  void look_at_memory(uint32_t machine, const raft::Core& core);
  void look_at_configuration(uint32_t machine, const raft::Core& core);

  using Place = std::pair<uint64_t, uint64_t>;  // group, index

  std::map<std::pair<uint64_t, uint64_t>, uint32_t> leaders_;  // of a group and term
  std::map<std::pair<uint64_t, uint64_t>, raft::Configuration> configurations_;  // of the leader, by group and term
  // By group and term: what the leader had committed when it was first seen.
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> found_committed_;
  // The chain of hashes of everything committed up to a place, as somebody has said it.
  std::map<Place, uint64_t> committed_;
  // Who has ever stored an entry, and with which chain, by group and index; and how far that is noted of a replica, by group and replica.
  std::map<Place, std::set<std::pair<uint64_t, uint64_t>>> stored_;
  std::map<std::pair<uint64_t, uint64_t>, std::pair<uint64_t, uint64_t>> stored_noted_;
  // How far the log of a replica reached that said that it had stored it, by group and replica.
  std::map<std::pair<uint64_t, uint64_t>, raft::Position> acknowledged_;
  struct Copy {
    uint32_t machine = 0;
    uint64_t chain = 0;
    uint64_t digest = 0;
  };
  std::map<Place, Copy> copies_;
  uint64_t comparisons_ = 0;
  std::string wrong_;
};

}  // namespace quorate::sim

// What was acknowledged in the world `cluster` is where the mode that is promised says (REPLICATION 5): on a commit quorum of the voters, in
// what would be left there if all that the mode is to bear happened now.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cluster/raft/core.h"

namespace quorate::sim {

// Calls: note after each turn of a node, for each of its replicas; forgive when a process has ended.  Now and then begin, count for each
// replica that would be left, judge.  note_end for each replica, then lose_for_good, when nodes are lost for good.
class ClusterKept {
 public:
  void note(const raft::Core& core);
  // What the node acknowledged in this mode, or a weaker one, it may have forgotten; until its copies may vote again, which is what they
  // have to know.  A disk that is gone for good has forgotten everything, and its node never comes back.
  void forgive(uint64_t node, raft::Durability mode);
  // The log of a replica ends here when nodes are about to be lost.
  void note_end(const raft::Core& core);
  // Their copies are gone, and an operator lets those that are left go on.  A leader of before may stand for a while, and what it had
  // committed is on those that are left as far as it was ever there; what is acknowledged from here on has to be on others than those.
  void lose_for_good(const std::vector<uint64_t>& nodes);

  void begin(raft::Durability mode);
  // A replica that would be left, and up to where its log would be there.  One that has archived its log for another, which every voter has
  // chosen (an all-present restart), counts for what that log holds until its state has come.
  void count(const raft::Core& core, raft::Index reach);
  // Grows whenever note() may have more to note of a replica that has not changed since.
  uint64_t generation() const { return generation_; }
  // What is not where it should be, or nothing.
  std::string judge() const;

 private:
  // The latest that a leader of the group was seen to have committed.
  struct Acknowledged {
    raft::RecoveryEpoch epoch;
    raft::Term term;
    raft::Index index;
    raft::Index configuration;   // the leader's newest
    raft::Chain chain;           // of all up to `index`
    std::vector<raft::Half> halves;   // that must have it
  };
  static std::vector<raft::Half> halves_of(const raft::Core& leader);
  bool holds(uint64_t group, const raft::Member& voter) const;
  bool is_forgiven(uint64_t group, const raft::Member& voter) const;
  bool is_with_a_chosen_log(uint64_t group, const raft::Member& voter) const;
  bool may_have_been_on(uint64_t group, const raft::Member& voter, const Acknowledged& acknowledged) const;

  std::map<uint64_t, Acknowledged> acknowledged_;                              // by group
  std::map<std::pair<uint64_t, uint64_t>, raft::Durability> forgiven_;   // by node and group
  uint64_t generation_ = 0;
  std::map<uint64_t, raft::Position> ends_;                              // by group: what a node that is lost now can have held at most
  std::map<std::pair<uint64_t, uint64_t>, raft::Position> lost_;         // by node and group: the same of those that are lost
  raft::Durability mode_ = raft::Durability::kMemory;
  std::map<uint64_t, std::map<uint64_t, raft::RecoveryEpoch>> holders_;   // by group and replica: the epoch of what it holds
  // The same of those whose log was archived for one of a later epoch.
  std::map<uint64_t, std::map<uint64_t, raft::RecoveryEpoch>> archived_;
};

}  // namespace quorate::sim

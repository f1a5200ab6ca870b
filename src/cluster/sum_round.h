// One comparison of the copies of a partition, at one index of its log (REPLICATION 8, "Divergence").  A value: it knows no time and sends
// nothing.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/raft/types.h"
#include "util/hash.h"

namespace quorate {

// On the leader that has put the marker into the log.  Calls: add, in any order; then verdict.
class SumRound {
 public:
  enum class Finding : uint8_t {
    kNothing,     // fewer than two copies of those that there are now have answered
    kEqual,       // all that have answered are the same
    kMinority,    // more than half of the voters are the same, and some are others
    kNoMajority,  // they differ, and nobody can say which are right
  };
  struct Verdict {
    Finding finding = Finding::kNothing;
    // Of kMinority.
    std::vector<raft::Member> differing = {};
    std::vector<raft::Member> agreeing = {};
  };

  SumRound(raft::Term term, raft::Index index) : term_(term), index_(index) {}
  raft::Term term() const { return term_; }
  raft::Index index() const { return index_; }

  // What a copy holds at the index.  Of two answers of one copy the first counts.
  void add(raft::ReplicaId replica, const Hash128& sum);
  bool has_all(const raft::Configuration& configuration) const;
  Verdict verdict(const raft::Configuration& configuration) const;

 private:
  const Hash128* find(raft::ReplicaId replica) const;
  const Hash128* majority(const raft::Half& half) const;

  raft::Term term_;
  raft::Index index_;
  std::vector<std::pair<raft::ReplicaId, Hash128>> answers_;   // at most one a member that there was
};

}  // namespace quorate

// Quorums as values: who has agreed so far and what follows from it.  No timer, no message; tested
// exhaustively for up to five voters and for joint pairs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/raft/types.h"

namespace quorate::raft {

enum class QuorumKind : uint8_t {
  kCommit,        // C
  kElection,      // E
  kConfirmation,  // L
  kEveryone,      // all voters: the all-present restart
};

enum class Verdict : uint8_t { kPending, kWon, kLost };

// How many of a half's voters `kind` needs.
uint32_t needed(const Half& half, QuorumKind kind);

// Collects the answers of named voters to one question until it is decided.
// Calls: (add | refuse | verdict)*.  Lives for one question under one configuration.
// Invariants: 1 an answer of a replica that is no voter changes nothing; 2 the first answer of a
// voter stays; 3 once won or lost, the verdict does not change.
class Round {
 public:
  Round(const Configuration& configuration, QuorumKind kind);
  // For the planted mistake "E one too small" only: the round is content with `fewer` voters less.
  Round(const Configuration& configuration, QuorumKind kind, uint32_t fewer);

  void add(ReplicaId voter) { answer(voter, Answer::kAgrees); }
  void refuse(ReplicaId voter) { answer(voter, Answer::kRefuses); }
  // Won: enough voters of every half agreed.  Lost: some half cannot reach it any more.
  Verdict verdict() const;
  bool answered(ReplicaId voter) const;

 private:
  struct Side {
    std::vector<ReplicaId> voters;
    uint32_t needed = 0;
    uint32_t agreed = 0;   // bit i: voters[i] agreed
    uint32_t refused = 0;  // bit i: voters[i] refused
    Verdict verdict() const;
  };
  enum class Answer : uint8_t { kAgrees, kRefuses };
  void answer(ReplicaId voter, Answer answer);

  std::vector<Side> sides_;
};

// The largest value that at least `count` of `values` reach; 0 if there are fewer.  `values` is
// reordered. Requires: count >= 1.
uint64_t reached_by(std::span<uint64_t> values, uint32_t count);

}  // namespace quorate::raft

// Quorums as values.
#include "cluster/raft/quorum.h"

#include <algorithm>
#include <bit>

#include "util/check.h"

namespace quorate::raft {

uint32_t needed(const Half& half, QuorumKind kind) {
  switch (kind) {
    case QuorumKind::kCommit:
      return half.quorums().commit;
    case QuorumKind::kElection:
      return half.quorums().election;
    case QuorumKind::kConfirmation:
      return half.quorums().confirmation;
    case QuorumKind::kEveryone:
      return static_cast<uint32_t>(half.voters.size());
  }
  CHECK(false);
}

Round::Round(const Configuration& configuration, QuorumKind kind) : Round(configuration, kind, 0) {}

Round::Round(const Configuration& configuration, QuorumKind kind, uint32_t fewer) {
  const auto add_side = [&](const Half& half) {
    Side side;
    for (const Member& voter : half.voters) side.voters.push_back(voter.replica);
    side.needed = needed(half, kind);
    side.needed -= std::min(fewer, side.needed - 1);
    CHECK(side.needed >= 1);
    CHECK(side.needed <= side.voters.size());
    sides_.push_back(std::move(side));
  };
  add_side(configuration.incoming);
  if (configuration.outgoing) add_side(*configuration.outgoing);
}

void Round::answer(ReplicaId voter, Answer answer) {
  for (Side& side : sides_) {
    for (size_t index = 0; index < side.voters.size(); ++index) {
      if (side.voters[index] != voter) continue;
      const uint32_t bit = 1u << index;
      if (((side.agreed | side.refused) & bit) != 0) continue;
      (answer == Answer::kAgrees ? side.agreed : side.refused) |= bit;
    }
  }
}

bool Round::answered(ReplicaId voter) const {
  for (const Side& side : sides_) {
    for (size_t index = 0; index < side.voters.size(); ++index) {
      if (side.voters[index] == voter && ((side.agreed | side.refused) >> index & 1) != 0)
        return true;
    }
  }
  return false;
}

Verdict Round::Side::verdict() const {
  if (static_cast<uint32_t>(std::popcount(agreed)) >= needed) return Verdict::kWon;
  const size_t still_possible = voters.size() - static_cast<size_t>(std::popcount(refused));
  return still_possible < needed ? Verdict::kLost : Verdict::kPending;
}

Verdict Round::verdict() const {
  bool all_won = true;
  for (const Side& side : sides_) {
    const Verdict verdict = side.verdict();
    if (verdict == Verdict::kLost) return Verdict::kLost;
    if (verdict != Verdict::kWon) all_won = false;
  }
  return all_won ? Verdict::kWon : Verdict::kPending;
}

uint64_t reached_by(std::span<uint64_t> values, uint32_t count) {
  CHECK(count >= 1);
  if (values.size() < count) return 0;
  std::sort(values.begin(), values.end(), std::greater<>());
  return values[count - 1];
}

}  // namespace quorate::raft

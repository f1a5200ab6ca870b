// Counting equal answers.
#include "cluster/sum_round.h"

#include <algorithm>

namespace quorate {

namespace {
// Members come and go while a round lasts; more than that were never there.
constexpr size_t kAnswersMax = 4 * raft::kMembersMax;
}  // namespace

const Hash128* SumRound::find(raft::ReplicaId replica) const {
  for (const auto& [from, sum] : answers_) {
    if (from == replica) return &sum;
  }
  return nullptr;
}

void SumRound::add(raft::ReplicaId replica, const Hash128& sum) {
  if (find(replica) == nullptr && answers_.size() < kAnswersMax) answers_.emplace_back(replica, sum);
}

bool SumRound::has_all(const raft::Configuration& configuration) const {
  const std::vector<raft::Member> members = configuration.members();
  return std::all_of(members.begin(), members.end(), [&](const raft::Member& member) { return find(member.replica) != nullptr; });
}

// What more than half of the voters hold.  Null: nothing.
const Hash128* SumRound::majority(const raft::Half& half) const {
  for (const raft::Member& each : half.voters) {
    const Hash128* const sum = find(each.replica);
    if (sum == nullptr) continue;
    const auto count = std::count_if(half.voters.begin(), half.voters.end(), [&](const raft::Member& voter) {
      const Hash128* const other = find(voter.replica);
      return other != nullptr && *other == *sum;
    });
    if (static_cast<size_t>(count) * 2 > half.voters.size()) return sum;
  }
  return nullptr;
}

SumRound::Verdict SumRound::verdict(const raft::Configuration& configuration) const {
  // While voters change it is not said whose majority counts.
  if (configuration.joint()) return {};
  std::vector<raft::Member> answered = configuration.members();
  std::erase_if(answered, [&](const raft::Member& member) { return find(member.replica) == nullptr; });
  if (answered.size() < 2) return {};
  const Hash128& first = *find(answered.front().replica);
  const bool are_equal = std::all_of(answered.begin(), answered.end(), [&](const raft::Member& member) { return *find(member.replica) == first; });
  if (are_equal) return {.finding = Finding::kEqual};
  const Hash128* const right = majority(configuration.incoming);
  if (right == nullptr) return {.finding = Finding::kNoMajority};
  Verdict verdict{.finding = Finding::kMinority};
  for (const raft::Member& member : answered) {
    (*find(member.replica) == *right ? verdict.agreeing : verdict.differing).push_back(member);
  }
  return verdict;
}

}  // namespace quorate

// A voter answers: grants are counted, better candidates are given way to, promises are waited for.
#include <algorithm>

#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

void Core::receive(const Message& answered, const VoteAnswer& answer, Output& out) {
  if (!std::holds_alternative<PreCandidate>(role_) && !std::holds_alternative<Candidate>(role_))
    return;
  if (answered.term > hard_.term) {
    adopt_term(answered.term, out);
    return;
  }
  if (auto* const asking = std::get_if<PreCandidate>(&role_)) {
    if (answer.kind != asking->kind || answer.proposed != next(hard_.term)) return;
    count_pre_vote(answered, answer, out);
    return;
  }
  auto* const candidate = std::get_if<Candidate>(&role_);
  if (candidate == nullptr || answer.kind != candidate->kind || answer.proposed != hard_.term)
    return;
  if (answer.result != VoteResult::kGranted) {
    candidate->round.refuse(answered.from.replica);
    return;
  }
  candidate->epoch = std::max(candidate->epoch, answered.epoch);
  candidate->round.add(answered.from.replica);
  if (candidate->round.verdict() == Verdict::kWon) become_leader(out);
}

void Core::count_pre_vote(const Message& answered, const VoteAnswer& answer, Output& out) {
  auto& asking = std::get<PreCandidate>(role_);
  const Configuration asked = everyone();
  if (!asked.is_voter(answered.from.replica)) return;
  std::erase_if(asking.answers, [&](const PreCandidate::Answer& one) {
    return one.voter == answered.from.replica;
  });
  asking.answers.push_back({answered.from.replica, answer});
  const bool must_wait =
      answer.result == VoteResult::kPromised || answer.result == VoteResult::kQuiet;
  const int64_t wait_us = int64_t{answer.wait_ms} * 1000;
  if (answer.result == VoteResult::kNewerConfiguration && remember(answer.configuration, out)) {
    // Others are everybody now: ask those.
    const Follower before = asking.before;
    role_ = before;
    schedule_campaign(0);
    return;
  }
  if (answer.result == VoteResult::kGranted) {
    asking.round.add(answered.from.replica);
  } else if (comes_first(answered.from.replica, answer) && !campaign_.has_yielded) {
    const int64_t rank = std::max<int64_t>(1, asked.rank(options_.self.replica));
    out.facts.push_back("replica " + std::to_string(answered.from.replica.value) +
                        " comes first -> yield");
    const Follower before = asking.before;
    role_ = before;
    campaign_.has_yielded = true;
    campaign_.at_us = now_us_ + std::max(wait_us, options_.yield_us * rank);
    return;
  } else if (must_wait) {
    asking.told_to_wait = true;
    campaign_.at_us = std::min(campaign_.at_us, now_us_ + wait_us);
  } else {
    asking.round.refuse(answered.from.replica);
  }
  if (now_us_ < promise_until_us_) return;  // a beat came in between
  // Since it asked it may have been told to end, or was left out of the voters.
  if (asking.kind == VoteKind::kPreVote ? !can_be_elected() : !may_stand()) return;
  const bool may_ask = options_.recover_when_all_present || voters_are_given_up();
  const bool may_restart = may_ask && quorum_of_electors_is_lost(asking);
  if (asking.kind == VoteKind::kPreVote) {
    if (asking.round.verdict() == Verdict::kWon) {
      start_vote(VoteKind::kVote, Term(), out);
    } else if (may_restart) {
      out.facts.push_back(
          voters_are_given_up()
              ? "all who are left are here, too few may vote, the others are given up -> ask those who are left"
              : "every voter is here, too few may vote -> ask for an all-present restart");
      start_pre_vote(VoteKind::kRecoveryPreVote, out);
    }
  } else if (asking.round.verdict() == Verdict::kWon && may_restart) {
    start_vote(VoteKind::kRecoveryVote, Term(), out);
  }
}

// Would the answering voter be the better candidate, by (loaded, position, place in the ring)?
bool Core::comes_first(ReplicaId voter, const VoteAnswer& answer) const {
  if (answer.standing != Standing::kFull || hard_.standing != Standing::kFull) return false;
  // It will not stand: it hears the leader, or is bound in this term.
  const bool may_stand_soon =
      answer.result == VoteResult::kBetterLog || answer.result == VoteResult::kPromised ||
      answer.result == VoteResult::kBetterCandidate || answer.result == VoteResult::kQuiet;
  if (!may_stand_soon) return false;
  if (answer.is_loaded != is_loaded_) return answer.is_loaded;
  if (answer.position != position()) return answer.position > position();
  const Configuration asked = everyone();
  return asked.rank(voter) < asked.rank(options_.self.replica);
}

}  // namespace quorate::raft

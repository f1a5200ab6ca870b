// Standing for election: when, in which order, and what the winner does first.
#include <algorithm>

#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

namespace {
constexpr uint32_t kDoublingsMax = 5;
// So often a replica insists on coming first before it lets a worse candidate pass, and waits for one
// that comes first.
constexpr uint32_t kFailuresToInsist = 2;
// So often one that may have forgotten leaves it to others to elect one of them, which by its own configuration they could.
constexpr uint32_t kFailuresToDoubtOthers = 6;
}  // namespace

// An operator does not wait for them any more.
void Core::on(const in::GiveUp& input, Output& out) {
  decree_ = input.decree;
  if (input.nodes == given_up_) return;
  given_up_ = input.nodes;
  if (leader() != nullptr) {
    on(in::Timeout{}, out);
    return;
  }
  // Enough are left to elect one as ever, and are about to: whoever began again now would take the election from the one that is winning it.
  if (is_electing() && !electors_are_given_up()) return;
  // What was asked was asked of others, and whoever follows one of them follows nobody.
  const Follower* const known = following();
  const bool is_left = known != nullptr && known->leader &&
                       std::find(given_up_.begin(), given_up_.end(), known->leader->node) == given_up_.end();
  role_ = is_left ? *known : Follower();
  campaign_ = {};
  const bool is_silent = following()->suspicious_since_us != kNever;
  if (is_left && !is_silent) return;
  if (electors_are_given_up()) {
    out.facts.push_back("too few voters are left, the others are given up -> ask those who are left");
  }
  schedule_campaign(0);
}

// It stands, or has voted for another one and has not heard yet what came of it.
bool Core::is_electing() const {
  if (const auto* const candidate = std::get_if<Candidate>(&role_)) return candidate->kind == VoteKind::kVote;
  const auto* const follower = std::get_if<Follower>(&role_);
  return follower != nullptr && follower->has_voted && !follower->leader && campaign_.at_us != kNever;
}

bool Core::voters_are_given_up() const {
  return !given_up_.empty() && has_voter_on(configuration(), given_up_);
}

bool Core::electors_are_given_up() const {
  return voters_are_given_up() && !can_elect_without(configuration(), given_up_);
}

Configuration Core::everyone() const {
  return voters_are_given_up() ? without_nodes(configuration(), given_up_) : configuration();
}

bool Core::may_stand() const {
  const Configuration asked = everyone();
  if (!asked.is_voter(options_.self.replica)) return false;
  return !is_draining_ || asked.voters().size() == 1;
}

// A leader counts its own copy as stored in the group's mode, and what it keeps for certain may hang on
// that: its snapshot waits for what is not committed.  So who does not keep the mode leaves it to
// another one; where it is the only voter, or all are to start anew, there is none.
bool Core::may_count_itself() const {
  return keeps_mode() || everyone().voters().size() == 1 || mistakes_.bare_copies_lead;
}

bool Core::can_be_elected() const { return may_stand() && is_fit_to_lead(); }

bool Core::is_fit_to_lead() const {
  return may_count_itself() && configuration().is_voter(options_.self.replica) &&
         (hard_.standing == Standing::kFull || mistakes_.vote_while_recovering);
}

// Is this replica about to stand, and not for the third time in vain?
bool Core::insists() const {
  const Follower* const follower = following();
  const bool has_leader =
      follower != nullptr && follower->leader && follower->suspicious_since_us == kNever;
  return can_be_elected() && is_loaded_ && !has_leader && leader() == nullptr &&
         !campaign_.has_yielded && campaign_.at_us != kNever &&
         campaign_.failures < kFailuresToInsist;
}

void Core::schedule_campaign(int64_t delay_us) {
  // Its own candidacy would break a promise as much as a vote for another.
  campaign_.at_us = std::max({now_us_ + delay_us, promise_until_us_, quiet_until_us_});
}

int64_t Core::back_off_us() {
  const int64_t doubled = options_.back_off_us << std::min(campaign_.failures, kDoublingsMax);
  const int64_t base = std::min(doubled, options_.back_off_us_max);
  return base + static_cast<int64_t>(prng_.below(static_cast<uint64_t>(base) + 1));
}

// The time to ask has come.
void Core::campaign(Output& out) {
  const auto* const asking = std::get_if<PreCandidate>(&role_);
  const bool failed =
      std::holds_alternative<Candidate>(role_) || (asking != nullptr && !asking->told_to_wait);
  if (failed) ++campaign_.failures;
  if (!may_stand()) {
    campaign_.at_us = kNever;
    return;
  }
  if (std::max(promise_until_us_, quiet_until_us_) > now_us_) {
    schedule_campaign(0);
    return;
  }
  const bool must_restart = electors_are_given_up() || (voters_are_given_up() && mistakes_.restarts_without_need);
  if (can_be_elected() && !must_restart) {
    start_pre_vote(VoteKind::kPreVote, out);
  } else if (options_.recover_when_all_present || voters_are_given_up()) {
    start_pre_vote(VoteKind::kRecoveryPreVote, out);
  } else {
    campaign_.at_us = kNever;
  }
}

Round Core::vote_round(VoteKind kind) const {
  if (is_of_recovery(kind)) {
    const Configuration asked = everyone();
    const auto voters = static_cast<uint32_t>(asked.voters().size());
    return Round(asked, QuorumKind::kEveryone,
                 mistakes_.lone_voter_restarts_all ? voters - 1 : 0);
  }
  return Round(configuration(), QuorumKind::kElection, mistakes_.election_quorum_one_short ? 1 : 0);
}

void Core::start_pre_vote(VoteKind kind, Output& out) {
  const Follower* const known = following();
  const Follower before = known == nullptr ? Follower() : *known;
  role_ = PreCandidate{.kind = kind, .round = vote_round(kind), .before = before};
  campaign_.at_us = now_us_ + back_off_us();
  auto& asking = std::get<PreCandidate>(role_);
  asking.round.add(options_.self.replica);
  if (asking.round.verdict() == Verdict::kWon) {
    start_vote(kind == VoteKind::kPreVote ? VoteKind::kVote : VoteKind::kRecoveryVote, Term(), out);
    return;
  }
  ask_voters(kind, next(hard_.term), Term(), out);
}

void Core::start_vote(VoteKind kind, Term transfer_mark, Output& out) {
  CHECK(kind == VoteKind::kRecoveryVote || is_fit_to_lead());  // I10
  out.facts.push_back("enough voters would agree -> stand for term " +
                      std::to_string(hard_.term.value + 1));
  hard_.term = next(hard_.term);
  hard_.voted_for = options_.self.replica;
  hard_changed_ = true;
  verified_ = {};
  leader_commit_ = {};
  recovery_ = {};
  role_ = Candidate{.kind = kind,
                    .round = vote_round(kind),
                    .own_vote = this_write(),
                    .transfer_mark = transfer_mark};
  campaign_.at_us = now_us_ + options_.suspicion_us / 2 + back_off_us();
  ask_voters(kind, hard_.term, transfer_mark, out);
}

void Core::ask_voters(VoteKind kind, Term proposed, Term transfer_mark, Output& out) {
  RequestVote request{.kind = kind,
                      .proposed = proposed,
                      .position = position(),
                      .standing = hard_.standing,
                      .is_loaded = is_loaded_,
                      .rank = everyone().rank(options_.self.replica),
                      .transfer_mark = transfer_mark};
  if (is_of_recovery(kind)) request.configuration = configurations_.back();
  if (is_of_recovery(kind) && voters_are_given_up()) request.left_out = given_up_;
  for (const Member& voter : everyone().voters()) {
    if (voter.replica != options_.self.replica) tell(voter, request, out);
  }
}

void Core::become_leader(Output& out) {
  const auto& candidate = std::get<Candidate>(role_);
  Takeover takeover = candidate.transfer_mark.none() ? Takeover::kElection : Takeover::kTransfer;
  const bool is_recovery = candidate.kind == VoteKind::kRecoveryVote;
  const bool is_without_others = is_recovery && voters_are_given_up();
  const FailedTransfers failed = candidate.failed;
  Configuration left = is_recovery ? everyone() : configuration();
  // What the group promises begins again from what this node keeps; the driver raises it.
  const bool promises_too_much = !keeps_mode() && !mistakes_.bare_copies_lead;
  if (promises_too_much) {
    left.durability = kept_;
    left.mode_version = 0;
  }
  if (is_recovery) {
    takeover = is_without_others ? Takeover::kUnsafeRecovery : Takeover::kAllPresentRestart;
    const bool keeps_epoch = is_without_others && mistakes_.unsafe_recovery_keeps_epoch;
    // Whose log is empty may be of a later epoch: everybody follows into the next one.
    if (!keeps_epoch) hard_.epoch = next(std::max(hard_.epoch, candidate.epoch));
    date_logged_configurations();
    hard_.standing = Standing::kFull;
    hard_changed_ = true;
    out.facts.push_back(std::string(is_without_others ? "all who are left" : "every voter") +
                        " agreed -> lead recovery epoch " + std::to_string(hard_.epoch.value));
  }
  CHECK(hard_.standing == Standing::kFull || mistakes_.vote_while_recovering);  // I10
  CHECK(hard_.voted_for == options_.self.replica);
  CHECK(log_.last_term() < hard_.term);  // I1: nobody else has led this term
  role_ = Leader{.progress = {}, .no_op = next(last_index()), .takeover = takeover};
  campaign_ = {};
  rebuild_progress();
  remember(failed);
  // After an all-present restart it may know a configuration that its log does not hold: nobody
  // knows a newer one, so it is said again where everybody gets it.
  const bool is_only_remembered = remembers_;
  if (mistakes_.no_no_op) {
    leader()->no_op = commit_;
  } else {
    append_own(EntryKind::kNoOp, SharedBytes(), out);
  }
  if (takeover == Takeover::kUnsafeRecovery) {
    if (!decree_.view().empty()) append_own(EntryKind::kCommand, decree_, out);
    restate_configuration(left, out);
  } else if (is_only_remembered || promises_too_much) {
    restate_configuration(left, out);
  }
  leader()->chosen = last_index();
  out.facts.push_back("elected -> lead term " + std::to_string(hard_.term.value));
  send_appends(out);
}

// All who are asked have answered, nobody follows a leader, this replica holds the most, and too few voters are full to elect anybody,
// or do not come to it: who was given up is not asked, and not full.
bool Core::quorum_of_electors_is_lost(const PreCandidate& asking) const {
  const Configuration asked = everyone();
  const uint32_t own_rank = asked.rank(options_.self.replica);
  std::vector<ReplicaId> full;
  if (hard_.standing == Standing::kFull) full.push_back(options_.self.replica);
  for (const Member& voter : asked.voters()) {
    if (voter.replica == options_.self.replica) continue;
    const auto found =
        std::find_if(asking.answers.begin(), asking.answers.end(),
                     [&](const PreCandidate::Answer& one) { return one.voter == voter.replica; });
    if (found == asking.answers.end()) return mistakes_.lone_voter_restarts_all;
    const VoteAnswer& answer = found->answer;
    const bool may_still_follow = answer.result == VoteResult::kHearsLeader ||
                                  answer.result == VoteResult::kPromised ||
                                  answer.result == VoteResult::kQuiet;
    if (may_still_follow) return false;
    if (answer.standing == Standing::kFull) full.push_back(voter.replica);
    // Only the greatest may go on; among equals the first of the ring, unless that one does not: by
    // another configuration it may take this one for the first.
    if (answer.position > position()) return false;
    const bool is_behind = asked.rank(voter.replica) < own_rank;
    const bool is_patient = campaign_.failures < kFailuresToInsist;
    if (answer.position == position() && is_behind && is_patient) return false;
  }
  Round electors(configuration(), QuorumKind::kElection);
  for (const Member& voter : configuration().voters()) {
    const bool is_full = std::find(full.begin(), full.end(), voter.replica) != full.end();
    if (is_full) {
      electors.add(voter.replica);
    } else {
      electors.refuse(voter.replica);
    }
  }
  if (electors.verdict() == Verdict::kLost || mistakes_.restarts_without_need) return true;
  // By what others know they may need this one's vote, which it must not give.  Since all voters are asked, and this one holds the most,
  // it holds all that can be committed.
  return hard_.standing == Standing::kRecovering && !voters_are_given_up() && campaign_.failures >= kFailuresToDoubtOthers;
}

}  // namespace quorate::raft

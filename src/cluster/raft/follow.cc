// Whom this replica follows: terms taken, leaders heard, leaders gone silent.
#include <algorithm>

#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

void Core::adopt_term(Term term, Output& out) {
  CHECK(term > hard_.term);
  if (leader() != nullptr) {
    out.facts.push_back("remote term is higher (" + std::to_string(term.value) + " vs " +
                        std::to_string(hard_.term.value) + ") -> step down");
  }
  step_down(out);
  hard_.term = term;
  hard_.voted_for = {};
  hard_changed_ = true;
  // What was known of the old leader's log says nothing about the next one's.
  verified_ = {};
  leader_commit_ = {};
  recovery_ = {};
  schedule_campaign(options_.suspicion_us / 2 + back_off_us());
}

void Core::step_down(Output& out) {
  if (const Leader* const leading = leader()) {
    for (const PendingRead& read : leading->reads) {
      out.reads.push_back({.token = read.token, .verdict = ReadVerdict::kLost});
    }
  }
  role_ = Follower();
}

bool Core::follow(Member from, Output& out) {
  const Follower* const before = following();
  const bool other_leads =
      before != nullptr && before->leader && before->leader->replica != from.replica;
  if (leader() != nullptr || other_leads) {
    fail({.kind = Failure::Kind::kTwoLeaders,
          .text = "replica " + std::to_string(from.replica.value) + " leads term " +
                  std::to_string(hard_.term.value) + " too -> stop this replica"},
         out);
    return false;
  }
  role_ = Follower{.leader = from, .heard_us = now_us_};
  campaign_ = {};
  if (hard_.standing == Standing::kRecovering && recovery_.nonce == 0) ask_recovery(out);
  return true;
}

bool Core::is_left_out(NodeId node) const {
  return now_us_ < left_out_until_us_ &&
         std::find(left_out_.begin(), left_out_.end(), node) != left_out_.end();
}

bool Core::is_of_its_epoch(const Message& said, Output& out) {
  // Who leads an epoch that is over was given up, and has come back without knowing it: nobody here
  // follows it, whatever its term.
  if (said.epoch < hard_.epoch) return false;
  // And it may have led in the same term as the one that was elected without it.
  const Follower* const follower = following();
  const bool follows_other =
      follower != nullptr && follower->leader && follower->leader->replica != said.from.replica;
  if (said.epoch > hard_.epoch && said.term == hard_.term && (follows_other || leader() != nullptr)) {
    step_down(out);
  }
  return true;
}

bool Core::confirms(ReplicaId leader, Term term) const {
  const Follower* const follower = following();
  return !failed_ && follower != nullptr && term == hard_.term && follower->leader &&
         follower->leader->replica == leader;
}

void Core::on(const in::LeaderHeard& input, Output& out) {
  CHECK(input.received_us <= now_us_);
  // A beat of a term this replica does not know: the leader's first append brings it.
  if (input.term != hard_.term) return;
  const Follower* const known = following();
  const bool is_followed =
      known != nullptr && known->leader && known->leader->replica == input.leader;
  const std::optional<Member> sender = is_followed ? known->leader : configuration().find(input.leader);
  if (sender && is_left_out(sender->node)) return;
  const bool is_news =
      known == nullptr || !known->leader || input.received_us > known->suspicious_since_us;
  if (!is_followed || (is_news && std::holds_alternative<PreCandidate>(role_))) {
    if (!sender || !follow(*sender, out)) return;
  }
  if (auto* const follower = std::get_if<Follower>(&role_)) {
    follower->heard_us = std::max(follower->heard_us, input.received_us);
    if (is_news) {
      follower->suspicious_since_us = kNever;
      campaign_ = {};
    }
  }
  // The echo of this beat confirms the leader.  Nothing shortens what it is promised by that.
  promise_until_us_ = std::max(promise_until_us_, input.received_us + options_.lease_us);
  promise_term_ = hard_.term;
}

void Core::on(const in::PeerSilent& input, Output& out) {
  if (Leader* const leading = leader()) {
    if (input.reason == Silence::kLeadsNoLonger) return;
    for (Progress& member : leading->progress) {
      if (member.member().node != input.node || member.member() == options_.self) continue;
      member.is_silent = true;
      if (member.state() == Progress::State::kReplicate) member.probe_again();
    }
    return;
  }
  auto* const follower = std::get_if<Follower>(&role_);
  if (follower == nullptr || !follower->leader || follower->leader->node != input.node) return;
  if (follower->suspicious_since_us != kNever) return;
  // A new leader's appends may be faster than its first beat that lists the group.
  const bool was_just_heard = now_us_ - follower->heard_us < options_.suspicion_us / 2;
  if (input.reason == Silence::kLeadsNoLonger && was_just_heard) return;
  follower->suspicious_since_us = now_us_;
  out.facts.push_back("leader " + std::to_string(follower->leader->replica.value) +
                      " is silent -> ask around");
  schedule_campaign(0);
}

}  // namespace quorate::raft

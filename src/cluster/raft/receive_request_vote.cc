// A candidate asks: pre-votes, votes, and both for the all-present restart.
#include <algorithm>

#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

namespace {

uint32_t milliseconds_until(int64_t until_us, int64_t now_us) {
  return static_cast<uint32_t>((until_us - now_us + 999) / 1000);
}

}  // namespace

void Core::receive(const Message& asked, const RequestVote& request, Output& out) {
  // Being asked names it a voter.  If it does not know that yet, the others would wait for ever for
  // one that comes before them and never stands.
  const bool is_newcomer =
      leader() == nullptr && !everyone().is_voter(options_.self.replica);
  if (is_newcomer && is_of_recovery(request.kind) && remember(request.configuration, out) &&
      campaign_.at_us == kNever) {
    schedule_campaign(options_.suspicion_us / 2 + back_off_us());
  }
  VoteAnswer answer{.kind = request.kind, .proposed = request.proposed};
  answer.result = judge(asked, request, answer.wait_ms);
  const bool granted = answer.result == VoteResult::kGranted;
  // Whoever asks knows of others who are to be asked, and this replica holds more: so it asks them itself.
  const bool comes_first = answer.result == VoteResult::kBetterLog && is_of_recovery(request.kind);
  const bool may_ask_them = comes_first && !has_outlived(position(), request.configuration.at, asked.term) && !std::holds_alternative<Candidate>(role_);
  if (may_ask_them && remember(request.configuration, out)) {
    const Follower* const known = following();
    role_ = known == nullptr ? Follower() : Follower(*known);
    schedule_campaign(0);
  }
  if (!is_pre(request.kind)) {
    // A refusal for the sake of a leader does not take the higher term: the term would depose it.
    const bool protects_leader = answer.result == VoteResult::kPromised ||
                                 answer.result == VoteResult::kQuiet ||
                                 answer.result == VoteResult::kHearsLeader;
    if (request.proposed > hard_.term && !protects_leader) adopt_term(request.proposed, out);
    if (granted) {
      CHECK(request.proposed == hard_.term);
      CHECK(hard_.voted_for.none() || hard_.voted_for == asked.from.replica);  // I1
      CHECK(hard_.standing == Standing::kFull || is_of_recovery(request.kind) ||
            mistakes_.vote_while_recovering);  // I10
      hard_.voted_for = asked.from.replica;
      hard_changed_ = true;
      if (leader() == nullptr) role_ = Follower{.has_voted = request.kind == VoteKind::kVote};
      // Whoever comes back now must not lead this voter before the one that is being elected does:
      // the votes for it may be enough.
      if (!request.left_out.empty()) {
        left_out_ = request.left_out;
        left_out_until_us_ = now_us_ + options_.left_out_us;
      }
      // Should that leader fall before it has said it, everybody still knows whom to ask.
      if (is_of_recovery(request.kind) && leader() == nullptr) remember(request.configuration, out);
      schedule_campaign(options_.suspicion_us / 2 + back_off_us());
    }
  }
  answer.position = position();
  answer.standing = hard_.standing;
  answer.is_loaded = is_loaded_;
  answer.rank = everyone().rank(options_.self.replica);
  if (answer.result == VoteResult::kNewerConfiguration)
    answer.configuration = configurations_.back();
  tell(asked.from, answer, out);
}

VoteResult Core::judge(const Message& asked, const RequestVote& request, uint32_t& wait_ms) const {
  const bool pre = is_pre(request.kind);
  const bool of_recovery = is_of_recovery(request.kind);
  if (pre ? request.proposed <= hard_.term : request.proposed < hard_.term)
    return VoteResult::kOldTerm;
  const VoteResult in_time = judge_time(asked, request, wait_ms);
  if (in_time != VoteResult::kGranted) return in_time;
  // What it acknowledged and forgot could be missing from the candidate's log: its vote proves
  // nothing.
  const bool recovering =
      hard_.standing == Standing::kRecovering && !mistakes_.vote_while_recovering;
  if (recovering && !of_recovery) return VoteResult::kRecovering;
  if (position() > request.position) return VoteResult::kBetterLog;
  if (of_recovery && knows_newer_configuration(request)) return VoteResult::kNewerConfiguration;
  if (options_.checks_left_out && !has_given_up(request.left_out)) return VoteResult::kNotGivenUp;
  const bool voted_for_other = !hard_.voted_for.none() && hard_.voted_for != asked.from.replica;
  if (!pre && request.proposed == hard_.term && (voted_for_other || role_state().leader)) {
    return VoteResult::kVotedForOther;
  }
  if (request.kind == VoteKind::kPreVote && insists()) {
    if (!request.is_loaded) return VoteResult::kBetterCandidate;
    const uint32_t rank = everyone().rank(options_.self.replica);
    if (position() == request.position && rank < request.rank) return VoteResult::kBetterCandidate;
  }
  return VoteResult::kGranted;
}

bool Core::has_given_up(const std::vector<NodeId>& nodes) const {
  return std::all_of(nodes.begin(), nodes.end(), [&](NodeId node) {
    return std::find(given_up_.begin(), given_up_.end(), node) != given_up_.end();
  });
}

// The newest configuration decides who everybody is.
bool Core::knows_newer_configuration(const RequestVote& request) const {
  const Position newest = configuration_at();
  if (newest <= request.configuration.at) return false;
  return !has_outlived(request.position, newest, hard_.term);
}

// Promises, the quiet time after a start, and leaders that are heard.
VoteResult Core::judge_time(const Message& asked, const RequestVote& request,
                            uint32_t& wait_ms) const {
  if (now_us_ < quiet_until_us_) {
    wait_ms = milliseconds_until(quiet_until_us_, now_us_);
    return VoteResult::kQuiet;
  }
  // The leader of the marked term has given up its lease for good: no promise up to it binds.
  const bool is_marked = request.kind == VoteKind::kVote && !request.transfer_mark.none();
  const bool passes_promise = is_marked && request.transfer_mark >= promise_term_;
  if (now_us_ < promise_until_us_ && !passes_promise) {
    wait_ms = milliseconds_until(promise_until_us_, now_us_);
    return VoteResult::kPromised;
  }
  if (const Leader* const leading = leader()) {
    const bool hands_over = is_marked && request.transfer_mark >= hard_.term;
    if (hands_over) return VoteResult::kGranted;
    // A suspended leader lets others try, but is not taken for gone by an all-present restart.
    if (!leading->suspended || is_of_recovery(request.kind)) return VoteResult::kHearsLeader;
    return VoteResult::kGranted;
  }
  const Follower* const follower = following();
  const bool hears_other = follower != nullptr && follower->leader &&
                           follower->leader->replica != asked.from.replica &&
                           follower->suspicious_since_us == kNever;
  if (hears_other && request.kind != VoteKind::kVote) return VoteResult::kHearsLeader;
  return VoteResult::kGranted;
}

}  // namespace quorate::raft

// Is this leader still the leader?  Leases, check-quorum, and rounds for reads, all from beats that
// named voters confirmed (REPLICATION.md 4 and 6).
#include <algorithm>

#include "cluster/raft/agreed.h"
#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

namespace {
// A planted mistake believes a confirmation this many times too long.
constexpr int64_t kMistakenLeaseFactor = 3;
}  // namespace

int64_t Core::lease_until_us() const {
  const Leader* const leading = leader();
  if (failed_ || leading == nullptr || leading->lease_dropped || leading->no_op > commit_)
    return INT64_MIN;
  const int64_t sent_us = agreed_time(
      configuration(), progress(), QuorumKind::kConfirmation, [&](const Progress& member) {
        return member.member() == options_.self ? kNever : member.confirmed_sent_us;
      });
  if (sent_us == kNever || sent_us == INT64_MIN) return sent_us;
  const int64_t lease_us = options_.lease_us - options_.drift_us;
  CHECK(lease_us < options_.lease_us);  // 7: it ends before the promise
  return sent_us + lease_us * (mistakes_.lease_longer_than_promise ? kMistakenLeaseFactor : 1);
}

// When the last beat left that L voters of every half confirmed; kNever: a lone voter asks nobody.
int64_t Core::quorum_heard_us() const {
  return agreed_time(configuration(), progress(), QuorumKind::kConfirmation,
                     [&](const Progress& member) {
                       return member.member() == options_.self ? kNever : member.heard_us;
                     });
}

// Without a quorum that confirms it, it stops serving but keeps its term: it may be needed to bring
// up voters that restarted and cannot vote (REPLICATION.md 5).
void Core::check_quorum() {
  const int64_t heard_us = quorum_heard_us();
  leader()->suspended = heard_us != kNever && now_us_ >= heard_us + options_.suspicion_us;
}

void Core::on(const in::LeadershipConfirmed& input, Output& out) {
  Leader* const leading = leader();
  if (leading == nullptr || input.term != hard_.term) return;
  Progress* const member = find(input.voter);
  if (member == nullptr || member->member() == options_.self) return;
  CHECK(input.sent_us <= now_us_);
  if (input.sent_us >= leading->lease_from_us) {
    member->confirmed_beat = std::max(member->confirmed_beat, input.beat);
    member->confirmed_sent_us = std::max(member->confirmed_sent_us, input.sent_us);
  }
  member->heard_us = std::max(member->heard_us, input.sent_us);
  if (member->is_silent) {
    member->is_silent = false;
    send_appends(*member, out);
  }
  check_quorum();
  answer_reads(out);
  continue_transfer(out);
  continue_change(out);
}

void Core::on(const in::LeadershipRefused& input, Output& out) {
  if (leader() == nullptr || input.term != hard_.term) return;
  Progress* const member = find(input.voter);
  if (member == nullptr || member->member() == options_.self) return;
  member->is_silent = false;
  // It has not seen the first append, or lost its leader: an append settles both.
  if (!member->idle() || member->state() == Progress::State::kSnapshot) return;
  member->probe_again();
  send_appends(*member, out);
}

void Core::on(const in::ReadBarrier& input, Output& out) {
  Leader* const leading = leader();
  CHECK(leading != nullptr);
  CHECK(leading->reads.empty() || leading->reads.back().last_beat <= input.last_beat);
  leading->reads.push_back({.token = input.token, .last_beat = input.last_beat});
  answer_reads(out);
  out.round_wanted = !leading->reads.empty();
}

void Core::answer_reads(Output& out) {
  Leader* const leading = leader();
  // What is committed is not known before the term's first entry is.
  if (leading == nullptr || leading->reads.empty() || leading->no_op > commit_) return;
  const bool has_lease = now_us_ < lease_until_us();
  const BeatNumber confirmed{
      agreed(configuration(), progress(), QuorumKind::kConfirmation, [&](const Progress& member) {
        return member.member() == options_.self ? UINT64_MAX : member.confirmed_beat.value;
      })};
  while (!leading->reads.empty()) {
    const PendingRead& read = leading->reads.front();
    // A beat sent before the evaluation may have been confirmed before another leader wrote.
    if (!has_lease && confirmed <= read.last_beat) return;
    out.reads.push_back({.token = read.token, .verdict = ReadVerdict::kConfirmed});
    leading->reads.pop_front();
  }
}

}  // namespace quorate::raft

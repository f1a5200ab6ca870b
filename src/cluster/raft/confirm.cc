// Is this leader still the leader?  Leases, check-quorum, and rounds for reads, all from beats that
// named voters confirmed (REPLICATION.md 4 and 6).
#include <algorithm>
#include <array>
#include <optional>

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
  return leading == nullptr || leading->lease_dropped ? INT64_MIN : unrivalled_until_us();
}

int64_t Core::unrivalled_until_us() const {
  const Leader* const leading = leader();
  if (failed_ || leading == nullptr || leading->no_op > commit_) return INT64_MIN;
  const int64_t sent_us = agreed_time(
      configuration(), progress(), QuorumKind::kConfirmation, [&](const Progress& member) {
        return member.member() == options_.self ? kNever : member.confirmed_sent_us;
      });
  if (sent_us == kNever || sent_us == INT64_MIN) return sent_us;
  const int64_t lease_us = options_.lease_us - options_.drift_us;
  CHECK(lease_us < options_.lease_us);  // 7: it ends before the promise
  return sent_us + lease_us * (mistakes_.lease_longer_than_promise ? kMistakenLeaseFactor : 1);
}

// A row was heard, or there are others.  Each step asks what comes of it (deadline()), and few change it.
void Core::note_heard() {
  leader()->quorum_heard_us = agreed_time(
      configuration(), progress(), QuorumKind::kConfirmation, [&](const Progress& member) {
        return member.member() == options_.self ? kNever : member.heard_us;
      });
}

// Without a quorum that confirms it, it stops serving but keeps its term: it may be needed to bring
// up voters that restarted and cannot vote (REPLICATION.md 5).
void Core::check_quorum() {
  const int64_t heard_us = leader()->quorum_heard_us;
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
  note_heard();
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
  leading->reads.push_back(
      {.token = input.token, .last_beat = input.last_beat, .voters = input.voters});
  answer_reads(out);
  out.round_wanted = !leading->reads.empty();
}

void Core::on(const in::ForgetReads& input, Output& out) {
  Leader* const leading = leader();
  if (leading == nullptr) return;
  std::erase_if(leading->reads, [&](const PendingRead& read) { return read.voters == input.voters; });
  continue_transfer(out);
}

void Core::answer_reads(Output& out) {
  Leader* const leading = leader();
  // What is committed is not known before the term's first entry is.
  if (leading == nullptr || leading->reads.empty() || leading->no_op > commit_) return;
  const bool has_lease = now_us_ < lease_until_us();
  std::array<std::optional<BeatNumber>, kMembersMax + 2> known;
  const auto confirmed_by = [&](uint32_t voters) {
    std::optional<BeatNumber>& confirmed = known[std::min<size_t>(voters, kMembersMax + 1)];
    if (!confirmed) confirmed = beat_confirmed_by(voters);
    return *confirmed;
  };
  // A beat sent before the evaluation may have been confirmed before another leader wrote.
  const auto is_confirmed = [&](const PendingRead& read) {
    return (has_lease && read.voters == 0) || confirmed_by(read.voters) > read.last_beat;
  };
  std::erase_if(leading->reads, [&](const PendingRead& read) {
    if (!is_confirmed(read)) return false;
    out.reads.push_back({.token = read.token, .verdict = ReadVerdict::kConfirmed});
    return true;
  });
}

// So many, of a smaller half all, and L at least.
uint32_t Core::voters_wanted(const Half& half, uint32_t voters) const {
  const uint32_t wanted = std::max(voters, needed(half, QuorumKind::kConfirmation));
  return std::min(wanted, static_cast<uint32_t>(half.voters.size()));
}

// The newest beat that so many voters of every half have confirmed; this leader confirms every one.
BeatNumber Core::beat_confirmed_by(uint32_t voters) const {
  return {agreed_by(
      configuration(), progress(), [&](const Half& half) { return voters_wanted(half, voters); },
      [&](const Progress& member) {
        return member.member() == options_.self ? UINT64_MAX : member.confirmed_beat.value;
      })};
}

}  // namespace quorate::raft

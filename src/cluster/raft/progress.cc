// What a leader knows about one member.
#include "cluster/raft/progress.h"

#include <algorithm>

#include "util/check.h"

namespace quorate::raft {

namespace {
constexpr size_t kAppendsInFlightMax = 256;
}  // namespace

bool Progress::may_send(size_t bytes_in_flight_max) const {
  if (is_silent) return false;
  switch (state_) {
    case State::kProbe:
      return !probe_sent_;
    case State::kReplicate:
      return in_flight_count_ < kAppendsInFlightMax && bytes_in_flight_ < bytes_in_flight_max;
    case State::kSnapshot:
      return false;
  }
  CHECK(false);
}

void Progress::sent(Index last, size_t bytes, int64_t now_us) {
  CHECK(last >= next_);
  if (idle()) waiting_since_us_ = now_us;
  if (state_ == State::kProbe) {
    // Where the logs part is not known: what was sent may have to be sent again.
    probe_sent_ = true;
    bytes_in_flight_ = bytes;
    return;
  }
  CHECK(state_ == State::kReplicate);
  CHECK(in_flight_count_ < kAppendsInFlightMax);
  if (in_flight_.empty()) in_flight_.resize(kAppendsInFlightMax);
  in_flight_[(in_flight_head_ + in_flight_count_) % kAppendsInFlightMax] = {last, bytes};
  ++in_flight_count_;
  bytes_in_flight_ += bytes;
  next_ = next(last);
}

void Progress::probe_sent(int64_t now_us) {
  CHECK(state_ == State::kProbe);
  CHECK(!probe_sent_);
  probe_sent_ = true;
  waiting_since_us_ = now_us;
}

bool Progress::stored(Index match, int64_t now_us) {
  const bool grew = match > match_;
  match_ = std::max(match_, match);
  if (state_ != State::kReplicate) {
    forget_in_flight();
    state_ = State::kReplicate;
    next_ = next(match_);
    return grew;
  }
  while (in_flight_count_ > 0 && in_flight_[in_flight_head_].last <= match) {
    bytes_in_flight_ -= in_flight_[in_flight_head_].bytes;
    in_flight_head_ = (in_flight_head_ + 1) % kAppendsInFlightMax;
    --in_flight_count_;
    waiting_since_us_ = now_us;
  }
  next_ = std::max(next_, next(match_));
  return grew;
}

bool Progress::mismatched(Index rejected, Index next_index) {
  // An answer to a probe that is not the last one, or to something known to match since: old.
  if (rejected <= match_ || rejected.value + 1 > next_.value) return false;
  if (state_ == State::kProbe && rejected.value + 1 != next_.value) return false;
  if (state_ == State::kSnapshot) return false;
  state_ = State::kProbe;
  forget_in_flight();
  next_ = std::max(next_index, next(match_));
  return true;
}

void Progress::probe_again() {
  if (state_ == State::kReplicate) next_ = next(match_);
  state_ = State::kProbe;
  forget_in_flight();
}

void Progress::stored_behind_window(Index match) { match_ = std::max(match_, match); }

void Progress::restarted(Index next_index) {
  match_ = {};
  next_ = next_index;
  state_ = State::kProbe;
  forget_in_flight();
  confirmed_beat = {};
  confirmed_sent_us = INT64_MIN;
  told_commit = {};
  transfer_failed_us = INT64_MIN;
}

void Progress::wait_for_snapshot() {
  state_ = State::kSnapshot;
  forget_in_flight();
}

void Progress::snapshot_failed(int64_t now_us) {
  state_ = State::kProbe;
  probe_sent(now_us);
}

void Progress::stored_here(Index match) {
  CHECK(match >= match_);
  match_ = match;
  next_ = std::max(next_, next(match));
}

void Progress::forget_in_flight() {
  in_flight_head_ = 0;
  in_flight_count_ = 0;
  bytes_in_flight_ = 0;
  probe_sent_ = false;
  waiting_since_us_ = kNever;
}

}  // namespace quorate::raft

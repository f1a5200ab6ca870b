// What replies of one partition wait for at levels other than commit and lease: how far so-and-so many copies have got, or copies in as
// many zones as there shall be, and rounds that so-and-so many voters have confirmed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "node/levels.h"
#include "node/needs.h"
#include "util/time.h"

namespace quorate {

// One a partition, made when the first reply asks; owned by Company.
// Invariant: a stream of copies never falls, though indexes come again once a log has lost its tail: it stands at base + index, and the base
// is raised when a leadership ends.
class LevelStreams {
 public:
  static constexpr uint32_t kCountMax = WriteLevel::kCopiesMax;
  static_assert(kCountMax == ReadLevel::kVotersMax);
  // In the place of a number of copies: those in min-zones zones.
  static constexpr uint32_t kOfZones = kCountMax + 1;

  // Requires: `streams` outlives this.
  explicit LevelStreams(Streams& streams) : streams_(streams), first_(streams.add_streams(kOfZones + kCountMax)) {
    copies_wait_since_us_.fill(kNever);
    rounds_wait_since_us_.fill(kNever);
  }

  // ---- copies ----------------------------------------------------------------------------------------------
  // Met once so many copies hold the entry.
  Need copies(uint32_t count, uint64_t index, int64_t now_us) {
    copies_used_ |= bit(count);
    copies_wanted_[count] = std::max(copies_wanted_[count], index);
    if (waits_for_copies(count)) copies_wait_since_us_[count] = std::min(copies_wait_since_us_[count], now_us);
    return {copies_stream(count), base_ + index};
  }
  // Somebody has asked for so many.
  bool uses_copies(uint32_t count) const { return (copies_used_ & bit(count)) != 0; }
  bool uses_any_copies() const { return copies_used_ != 0; }
  // So many copies hold everything up to `index`.
  void advance_copies(uint32_t count, uint64_t index, int64_t now_us) {
    const uint64_t before = streams_.position(copies_stream(count));
    if (base_ + index <= before) return;
    streams_.advance(copies_stream(count), base_ + index);
    copies_wait_since_us_[count] = index < copies_wanted_[count] ? now_us : kNever;
  }
  // Nobody waits for rounds any more.
  void lose_rounds() { rounds_wait_since_us_.fill(kNever); }
  // Somebody may wait for more than they have got.
  bool waits_for_copies(uint32_t count) const { return base_ + copies_wanted_[count] > streams_.position(copies_stream(count)); }
  bool waits_for_round(uint32_t voters) const {
    const bool is_of_turn = (rounds_of_turn_ & bit(voters)) != 0;
    return rounds_asked_[voters] + (is_of_turn ? 1 : 0) > streams_.position(round_stream(voters));
  }
  // What advance_copies() has said in this leadership; 0: nothing.
  uint64_t copies_told(uint32_t count) const {
    const uint64_t position = streams_.position(copies_stream(count));
    return position > base_ ? position - base_ : 0;
  }
  // The index that a position of a stream of copies stands for.
  uint64_t index_at(uint64_t position) const { return position - base_; }
  // The leadership is over.  Requires: nobody waits for copies any more.
  void begin_anew() {
    for (uint32_t count = 1; count <= kOfZones; ++count) base_ = std::max(base_, streams_.position(copies_stream(count)));
    copies_wanted_.fill(0);
    copies_wait_since_us_.fill(kNever);
  }

  // ---- rounds ----------------------------------------------------------------------------------------------
  // Met once so many voters have confirmed the leadership after this turn.
  Need round(uint32_t voters) {
    rounds_of_turn_ |= bit(voters);
    return {round_stream(voters), rounds_asked_[voters] + 1};
  }
  bool has_rounds_of_turn() const { return rounds_of_turn_ != 0; }
  // The turn is over: calls begin(voters, number) for each round that it wants.
  template <class Begin>
  void begin_rounds(int64_t now_us, Begin&& begin) {
    const uint32_t wanted = std::exchange(rounds_of_turn_, 0);
    for (uint32_t voters = 1; voters <= kCountMax; ++voters) {
      if ((wanted & bit(voters)) == 0) continue;
      rounds_wait_since_us_[voters] = std::min(rounds_wait_since_us_[voters], now_us);
      begin(voters, ++rounds_asked_[voters]);
    }
  }
  void confirm_round(uint32_t voters, uint64_t number, int64_t now_us) {
    streams_.advance(round_stream(voters), number);
    rounds_wait_since_us_[voters] = number < rounds_asked_[voters] ? now_us : kNever;
  }

  // ---- all -------------------------------------------------------------------------------------------------
  static constexpr StreamId kth(StreamId first, uint32_t k) { return StreamId{static_cast<uint32_t>(first) + k}; }
  StreamId copies_stream(uint32_t count) const { return kth(first_, count - 1); }
  StreamId round_stream(uint32_t voters) const { return kth(first_, kOfZones + voters - 1); }
  // Streams in which nothing has moved since `since_us` though replies wait; each is told once.
  // Calls of_copies(stream) and of_rounds(voters).
  template <class OfCopies, class OfRounds>
  void take_overdue(int64_t since_us, OfCopies&& of_copies, OfRounds&& of_rounds) {
    for (uint32_t count = 1; count <= kOfZones; ++count) {
      if (copies_wait_since_us_[count] > since_us) continue;
      copies_wait_since_us_[count] = kNever;
      of_copies(copies_stream(count));
    }
    for (uint32_t voters = 1; voters <= kCountMax; ++voters) {
      if (rounds_wait_since_us_[voters] > since_us) continue;
      rounds_wait_since_us_[voters] = kNever;
      of_rounds(voters);
    }
  }

 private:
  static constexpr uint32_t bit(uint32_t count) { return uint32_t{1} << count; }

  Streams& streams_;
  const StreamId first_;
  uint64_t base_ = 0;
  uint32_t copies_used_ = 0;     // a bit a count
  uint32_t rounds_of_turn_ = 0;
  std::array<uint64_t, kOfZones + 1> copies_wanted_{};   // the last index that somebody waits for
  std::array<int64_t, kOfZones + 1> copies_wait_since_us_{};
  std::array<uint64_t, kCountMax + 1> rounds_asked_{};
  std::array<int64_t, kCountMax + 1> rounds_wait_since_us_{};
};

}  // namespace quorate

// What keeps a session's output from leaving, in the order in which it leaves: needs that are not met, and gaps, places
// of replies that are not known yet.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/needs.h"
#include "util/buffer.h"

namespace quorate {

// Of one session, in the order of opening; never used again.
using GapId = uint64_t;

// Owned by the session; speaks of its `out`, in which it stands for places by how many bytes have ever been before them.
// Invariants: 1. Nothing behind a hold leaves before it is gone: a need when it is met, a gap when its bytes have left.
// 2. The places of holds do not decrease.
class Holds {
 public:
  bool empty() const { return front_ == holds_.size(); }

  // ---- holding back ---------------------------------------------------------------------------------------
  // What was written since the last bind() needs this too.
  void add_need(Need need) { holds_.push_back({bound_, need}); }
  // The output, `size` bytes of it, has got all its needs.
  void bind(size_t size) { bound_ = left_ + size; }
  // Behind what is bound.
  GapId open_gap();

  // ---- letting go -----------------------------------------------------------------------------------------
  // The need that stands first; of kNoStream if a gap or nothing does.
  Need first_need() const {
    return empty() ? Need{} : holds_[front_].need;
  }
  bool begins_with_filled_gap() const;
  // The bytes that belong there.  False: it has got them, or was dropped.
  bool fill_gap(GapId gap, std::string_view bytes);
  // Needs in front that are met are gone.  `is_met`: bool(Need).
  template <class IsMet>
  void pass_met(IsMet&& is_met) {
    while (first_need().stream != kNoStream && is_met(first_need())) pop();
  }
  // Takes what may leave off the front: appends it to `ready` and returns how many bytes of `out` are in it.
  template <class IsMet>
  size_t take_ready(std::string_view out, Buffer& ready, IsMet&& is_met) {
    size_t taken = 0;
    while (true) {
      pass_met(is_met);
      const size_t until = empty() ? out.size() : static_cast<size_t>(holds_[front_].place - left_);
      ready.append(out.substr(taken, until - taken));
      taken = until;
      if (!begins_with_filled_gap()) break;
      pop_gap(ready);
    }
    leave(taken);
    return taken;
  }
  // So many bytes have left the front of `out`.  Requires: no hold stands before their end.
  void leave(size_t size) { left_ += size; }

  // ---- what will never be met --------------------------------------------------------------------------------
  // Needs of the stream from that position on.
  bool has_need_from(Need lost) const;
  // They are gone, and what was bound to them is replaced: bytes of `out` by what `replace(position, bytes, new_out)` appends, a
  // gap by what it appends for no bytes; `position` is the largest that they have waited for.
  template <class Replace>
  void lose_from(Need lost, Buffer& out, Replace&& replace);

  // ---- gaps --------------------------------------------------------------------------------------------------
  GapId next_gap() const { return gaps_ == nullptr ? 1 : gaps_->first_id + gaps_->queue.size(); }
  // Their replies are not wanted: gaps from `first` on stay empty, and `out` was cut to `size` bytes.
  void drop_gaps_from(GapId first, size_t size);
  // Those that have not left, filled or not.
  size_t gap_count() const { return gaps_ == nullptr ? 0 : gaps_->queue.size(); }
  // That stand in gaps and have not left.
  size_t filled_bytes() const { return gaps_ == nullptr ? 0 : gaps_->filled_bytes; }
  size_t memory() const;

 private:
  struct Hold {
    uint64_t place = 0;
    Need need;            // of kNoStream: a gap, the next in the queue
  };
  struct Gap {
    bool is_filled = false;
    std::string bytes;
  };
  struct Gaps {
    std::deque<Gap> queue;
    GapId first_id = 1;   // of the first in the queue
    size_t filled_bytes = 0;
  };

  static bool is_gap(const Hold& hold) { return hold.need.stream == kNoStream; }
  static bool is_from(const Hold& hold, Need lost) {
    return hold.need.stream == lost.stream && hold.need.position >= lost.position;
  }
  void pop();
  void pop_gap(Buffer& ready);
  void refill_gap(Gap& gap, std::string_view bytes);

  std::vector<Hold> holds_;
  size_t front_ = 0;      // those before it are gone
  uint64_t left_ = 0;     // bytes that have left `out`
  uint64_t bound_ = 0;    // the place behind what bind() was called for
  std::unique_ptr<Gaps> gaps_;  // made by the first
};

template <class Replace>
void Holds::lose_from(Need lost, Buffer& out, Replace&& replace) {
  Buffer new_out;
  std::vector<Hold> kept;
  const std::string_view old = out.view();
  size_t gap = 0;
  size_t done = 0;  // bytes of `old`
  for (size_t index = front_; index < holds_.size();) {
    const uint64_t place = holds_[index].place;
    new_out.append(old.substr(done, static_cast<size_t>(place - left_) - done));
    done = static_cast<size_t>(place - left_);
    bool is_lost = false;
    uint64_t position = 0;
    for (; index < holds_.size() && holds_[index].place == place; ++index) {
      Hold& hold = holds_[index];
      if (is_from(hold, lost)) {
        is_lost = true;
        position = std::max(position, hold.need.position);
        continue;
      }
      if (is_gap(hold)) {
        Gap& held = gaps_->queue[gap++];
        if (std::exchange(is_lost, false)) {
          Buffer instead;
          replace(position, std::string_view(), instead);
          refill_gap(held, instead.view());
        }
      }
      kept.push_back({left_ + new_out.size(), hold.need});
    }
    if (!is_lost) continue;
    const uint64_t end = index < holds_.size() ? holds_[index].place : bound_;
    replace(position, old.substr(done, static_cast<size_t>(end - place)), new_out);
    done = static_cast<size_t>(end - left_);
  }
  const size_t bound = static_cast<size_t>(bound_ - left_);
  if (done < bound) new_out.append(old.substr(done, bound - done));
  bound_ = left_ + new_out.size();
  new_out.append(old.substr(bound));
  out.swap(new_out);
  holds_.swap(kept);
  front_ = 0;
}

}  // namespace quorate

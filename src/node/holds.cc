// What keeps output from leaving.
#include "node/holds.h"

#include <algorithm>

#include "util/check.h"

namespace quorate {

GapId Holds::open_gap() {
  if (gaps_ == nullptr) gaps_ = std::make_unique<Gaps>();
  const GapId id = next_gap();
  gaps_->queue.emplace_back();
  holds_.push_back({bound_, Need{}});
  return id;
}

bool Holds::begins_with_filled_gap() const {
  return !empty() && is_gap(holds_[front_]) && gaps_->queue.front().is_filled;
}

bool Holds::fill_gap(GapId id, std::string_view bytes) {
  if (gaps_ == nullptr || id < gaps_->first_id || id >= next_gap()) return false;
  Gap& gap = gaps_->queue[static_cast<size_t>(id - gaps_->first_id)];
  if (gap.is_filled) return false;
  refill_gap(gap, bytes);
  return true;
}

void Holds::refill_gap(Gap& gap, std::string_view bytes) {
  gaps_->filled_bytes += bytes.size() - gap.bytes.size();
  gap.is_filled = true;
  gap.bytes = bytes;
}

bool Holds::has_need_from(Need lost) const {
  return std::any_of(holds_.begin() + static_cast<std::ptrdiff_t>(front_), holds_.end(),
                     [&](const Hold& hold) { return is_from(hold, lost); });
}

void Holds::drop_gaps_from(GapId first, size_t size) {
  for (GapId id = first; id < next_gap(); ++id) fill_gap(id, {});
  const uint64_t end = left_ + size;
  for (size_t index = holds_.size(); index > front_ && holds_[index - 1].place > end; --index) {
    holds_[index - 1].place = end;
  }
  bound_ = std::min(bound_, end);
}

size_t Holds::memory() const {
  return holds_.capacity() * sizeof(Hold) + gap_count() * sizeof(Gap) + filled_bytes();
}

void Holds::pop() {
  constexpr size_t kKeptMax = 64;
  ++front_;
  if (front_ == holds_.size()) {
    holds_.clear();
    front_ = 0;
  } else if (front_ > kKeptMax && front_ > holds_.size() / 2) {
    holds_.erase(holds_.begin(), holds_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
}

void Holds::pop_gap(Buffer& ready) {
  const Gap& gap = gaps_->queue.front();
  CHECK(gap.is_filled);
  ready.append(gap.bytes);
  gaps_->filled_bytes -= gap.bytes.size();
  gaps_->queue.pop_front();
  ++gaps_->first_id;
  pop();
}

}  // namespace quorate

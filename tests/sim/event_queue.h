// The future of a simulated world: what happens when, in order; what happens at one instant keeps
// the order in which it was announced.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "util/check.h"

namespace quorate::sim {

// Event has a member `at` (microseconds).  It may be large: the heap moves small entries only.
template <class Event>
class EventQueue {
 public:
  bool empty() const { return heap_.empty(); }
  int64_t next_at() const { return heap_.front().at; }

  void push(Event event) {
    uint32_t slot = 0;
    const int64_t at = event.at;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(events_.size());
      events_.push_back(std::move(event));
    } else {
      slot = free_.back();
      free_.pop_back();
      events_[slot] = std::move(event);
    }
    CHECK(slot <= kSlotMax);
    heap_.push_back({at, sequence_++ << kSlotBits | slot});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  // Requires: !empty().
  Event pop() {
    CHECK(!heap_.empty());
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const auto slot = static_cast<uint32_t>(heap_.back().place & kSlotMax);
    heap_.pop_back();
    free_.push_back(slot);
    return std::move(events_[slot]);
  }

 private:
  static constexpr uint64_t kSlotBits = 20;
  static constexpr uint64_t kSlotMax = (uint64_t{1} << kSlotBits) - 1;
  // Two words, since entries are moved often: `place` is the number of the announcement, and below it the slot.
  struct Entry {
    int64_t at = 0;
    uint64_t place = 0;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.place > b.place;
  }

  std::vector<Entry> heap_;
  std::vector<Event> events_;
  std::vector<uint32_t> free_;
  uint64_t sequence_ = 0;
};

}  // namespace quorate::sim

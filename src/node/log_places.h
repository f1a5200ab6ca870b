// Where in the logs of partitions stands what a connection has written, or has seen: WAIT asks for the copies of that, and a copy that has
// not come so far is not asked for a local read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace quorate {

struct LogPlace {
  uint32_t partition = 0;
  uint64_t term = 0;
  uint64_t index = 0;
};

// Where all stands that a node wrote before it had company: in the states that its partitions began with (raft::bootstrap).
constexpr LogPlace founding_place(uint32_t partition) { return {.partition = partition, .term = 1, .index = 1}; }
constexpr bool is_founding_place(const LogPlace& place) { return place.term == 1 && place.index == 1; }

// Of one connection: its furthest place in each partition.  Invariant: sorted by partition, each once.
class LogPlaces {
 public:
  void note(const LogPlace& place) {
    // A connection often stays where it was.
    if (last_ < places_.size() && places_[last_].partition == place.partition) [[likely]]
      return raise(places_[last_], place);
    const auto at = std::lower_bound(places_.begin(), places_.end(), place.partition,
                                     [](const LogPlace& each, uint32_t partition) { return each.partition < partition; });
    last_ = static_cast<size_t>(at - places_.begin());
    if (at != places_.end() && at->partition == place.partition) return raise(*at, place);
    places_.insert(at, place);
  }
  // 0: none.
  uint64_t index_in(uint32_t partition) const {
    for (const LogPlace& place : places_) {
      if (place.partition == partition) return place.index;
    }
    return 0;
  }
  std::span<const LogPlace> all() const { return places_; }
  void clear() { places_.clear(); }

 private:
  static void raise(LogPlace& known, const LogPlace& place) {
    if (place.term > known.term || (place.term == known.term && place.index > known.index)) known = place;
  }

  std::vector<LogPlace> places_;
  size_t last_ = 0;   // of the place that was noted last
};

}  // namespace quorate

// How long things took: a histogram a command (LATENCY HISTOGRAM, INFO latencystats) and the monitor of rare long
// events (LATENCY LATEST, HISTORY).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

namespace quorate {

// Counts of durations from 1 ns to about a minute, two digits of precision: 16 steps a power of two.
class LatencyHistogram {
 public:
  static constexpr size_t kStepBits = 4;
  static constexpr size_t kBucketCount = (36 - kStepBits + 1) << kStepBits;

  void add(uint64_t nanoseconds, uint64_t times = 1) {
    counts_[bucket_of(nanoseconds)] += times;
    total_ += times;
  }
  void add_to(size_t bucket) {
    ++counts_[bucket];
    ++total_;
  }
  uint64_t total() const { return total_; }
  uint64_t count(size_t bucket) const { return counts_[bucket]; }
  // The largest duration that falls into the bucket.
  static uint64_t highest_of(size_t bucket) {
    if (bucket < (size_t{1} << kStepBits)) return bucket;
    const size_t shift = (bucket >> kStepBits) - 1;
    const uint64_t mantissa = (bucket & ((size_t{1} << kStepBits) - 1)) | (uint64_t{1} << kStepBits);
    return ((mantissa + 1) << shift) - 1;
  }
  // The duration that `percent` of all calls did not exceed; 0 if there were none.
  uint64_t percentile(double percent) const {
    if (total_ == 0) return 0;
    const double wanted = static_cast<double>(total_) * percent / 100.0;
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < kBucketCount; ++bucket) {
      seen += counts_[bucket];
      if (seen > 0 && static_cast<double>(seen) >= wanted) return highest_of(bucket);
    }
    return highest_of(kBucketCount - 1);
  }

  static size_t bucket_of(uint64_t nanoseconds) {
    if (nanoseconds < (uint64_t{1} << kStepBits)) return static_cast<size_t>(nanoseconds);
    const auto width = static_cast<size_t>(std::bit_width(nanoseconds));
    const size_t shift = width - 1 - kStepBits;
    const size_t bucket = ((shift + 1) << kStepBits) +
                          static_cast<size_t>((nanoseconds >> shift) - (uint64_t{1} << kStepBits));
    return bucket < kBucketCount ? bucket : kBucketCount - 1;
  }

 private:
  std::array<uint64_t, kBucketCount> counts_{};
  uint64_t total_ = 0;
};

// Events that took longer than latency-monitor-threshold: at most one sample a second, the longest, 160 kept.
class LatencyMonitor {
 public:
  struct Sample {
    int64_t unix_s = 0;
    int64_t milliseconds = 0;
  };
  struct Event {
    std::deque<Sample> samples;  // oldest first
    int64_t worst_ms = 0;
  };
  static constexpr size_t kSamplesMax = 160;

  void add(std::string_view event, int64_t unix_s, int64_t milliseconds) {
    Event& history = events_[std::string(event)];
    if (milliseconds > history.worst_ms) history.worst_ms = milliseconds;
    if (!history.samples.empty() && history.samples.back().unix_s == unix_s) {
      Sample& last = history.samples.back();
      if (milliseconds > last.milliseconds) last.milliseconds = milliseconds;
      return;
    }
    history.samples.push_back({unix_s, milliseconds});
    if (history.samples.size() > kSamplesMax) history.samples.pop_front();
  }
  const std::map<std::string, Event, std::less<>>& events() const { return events_; }
  // Forgets one event, or all; returns how many were known.
  size_t reset(std::string_view event) {
    const auto found = events_.find(event);
    if (found == events_.end()) return 0;
    events_.erase(found);
    return 1;
  }
  size_t reset_all() {
    const size_t count = events_.size();
    events_.clear();
    return count;
  }

 private:
  std::map<std::string, Event, std::less<>> events_;
};

}  // namespace quorate

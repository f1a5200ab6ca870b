// Counters of a node since its start or CONFIG RESETSTAT; INFO prints them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace quorate {

// Events a second, from samples taken every 100 ms.
class Rate {
 public:
  void sample(uint64_t total, int64_t now_us) {
    if (last_us_ != 0 && now_us > last_us_) {
      samples_[next_++ % kSamples] =
          (total - last_total_) * 1'000'000 / static_cast<uint64_t>(now_us - last_us_);
    }
    last_total_ = total;
    last_us_ = now_us;
  }
  void reset() { samples_.fill(0); }
  uint64_t per_second() const {
    uint64_t sum = 0;
    for (const uint64_t sample : samples_) sum += sample;
    return sum / kSamples;
  }

 private:
  static constexpr size_t kSamples = 16;
  std::array<uint64_t, kSamples> samples_{};
  size_t next_ = 0;
  uint64_t last_total_ = 0;
  int64_t last_us_ = 0;
};

struct Statistics {
  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  uint64_t commands_processed = 0;
  uint64_t requests_forwarded = 0;     // of clients, to be run where their keys are led
  uint64_t requests_redirected = 0;    // MOVED replies
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t error_replies = 0;
  uint64_t reads_processed = 0;
  uint64_t writes_processed = 0;
  uint64_t query_buffer_disconnections = 0;
  uint64_t output_buffer_disconnections = 0;
  uint64_t evictions_refused = 0;      // OOM replies
  uint64_t unexpected_errors = 0;
  uint64_t full_syncs = 0;
  uint64_t memory_peak = 0;
  uint64_t largest_input_recent = 0;   // of a client, in the last seconds
  uint64_t largest_output_recent = 0;
  int64_t eviction_exceeded_us = 0;
  // Turns of the loop.  While one runs nobody else is answered, so the longest is what a client may meet.
  static constexpr int64_t kLongTurnUs = 2000;
  uint64_t turns = 0;
  int64_t turn_cpu_us_max = 0;
  uint64_t long_turns = 0;  // of kLongTurnUs and more
  // By the first word of the error; bounded, since a user can make new ones.
  static constexpr size_t kErrorKindsMax = 128;
  std::map<std::string, uint64_t, std::less<>> errors;

  Rate commands_rate;
  Rate received_rate;
  Rate sent_rate;

  void count_error(std::string_view line) {
    ++error_replies;
    const std::string_view kind = line.substr(0, line.find(' '));
    const auto found = errors.find(kind);
    if (found != errors.end()) {
      ++found->second;
    } else if (errors.size() < kErrorKindsMax) {
      errors.emplace(std::string(kind), 1);
    }
  }
};

}  // namespace quorate

// SLOWLOG: the commands that took longer than slowlog-log-slower-than, newest first.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "resp/request_parser.h"

namespace quorate {

class SlowLog {
 public:
  struct Entry {
    int64_t id = 0;
    int64_t unix_s = 0;
    int64_t duration_us = 0;
    std::vector<std::string> args;  // shortened
    std::string address;
    std::string name;
  };
  static constexpr size_t kArgsMax = 32;
  static constexpr size_t kArgBytesMax = 128;

  void add(int64_t unix_s, int64_t duration_us, Args args, std::string_view address,
           std::string_view name, int64_t length_max);
  const std::deque<Entry>& entries() const { return entries_; }
  // After slowlog-max-len was lowered.
  void trim(int64_t length_max) {
    while (static_cast<int64_t>(entries_.size()) > (length_max > 0 ? length_max : 0)) entries_.pop_back();
  }
  void reset() { entries_.clear(); }

 private:
  std::deque<Entry> entries_;  // newest first
  int64_t next_id_ = 0;
};

}  // namespace quorate

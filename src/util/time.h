// Time as data.  Nothing outside src/server asks a clock; an instant arrives with each input.
#pragma once

#include <compare>
#include <cstdint>

namespace quorate {

// One reading of both clocks.  `steady_us` never runs back and has no meaning between processes; `unix_ms`
// is the wall clock (or a partition's time) and is what users' expiry times are measured in.
struct Instant {
  int64_t steady_us = 0;
  int64_t unix_ms = 0;
  friend auto operator<=>(const Instant&, const Instant&) = default;
};

constexpr int64_t kNever = INT64_MAX;

}  // namespace quorate

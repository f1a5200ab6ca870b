// The only place that reads the clocks.
#pragma once

#include <time.h>

#include <cstdint>

#include "util/time.h"

namespace quorate {

inline int64_t read_steady_us() {
  timespec steady{};
  clock_gettime(CLOCK_MONOTONIC, &steady);
  return static_cast<int64_t>(steady.tv_sec) * 1'000'000 + steady.tv_nsec / 1000;
}

// CPU time of the calling thread, user and system.  A system call, unlike the other two.
inline int64_t read_thread_cpu_us() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<int64_t>(used.tv_sec) * 1'000'000 + used.tv_nsec / 1000;
}

inline Instant read_clocks() {
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  return {.steady_us = read_steady_us(),
          .unix_ms = static_cast<int64_t>(wall.tv_sec) * 1000 + wall.tv_nsec / 1'000'000};
}

}  // namespace quorate

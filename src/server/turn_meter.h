// Measures the CPU time of the loop's turns, nearly for nothing: the CPU clock costs a system call, so it is read
// only when some time has passed since it was read last.
#pragma once

#include <cstdint>

#include "server/clock.h"

namespace quorate {

// Owned by the driver.  Calls must match: (begin end)*, in the loop's thread.
class TurnMeter {
 public:
  void begin(int64_t steady_us) {
    begun_us_ = steady_us;
    if (steady_us - read_at_us_ < kReadAfterUs) return;
    read_at_us_ = steady_us;
    cpu_at_read_us_ = read_thread_cpu_us();
  }
  // CPU microseconds of the turn, at most kReadAfterUs too many; 0 for a turn that was too short to be looked at.
  int64_t end() {
    const int64_t now_us = read_steady_us();
    if (now_us - begun_us_ < kTurnUsMin) return 0;
    const int64_t cpu_us = read_thread_cpu_us();
    const int64_t used_us = cpu_us - cpu_at_read_us_;
    cpu_at_read_us_ = cpu_us;
    read_at_us_ = now_us;
    return used_us < now_us - begun_us_ ? used_us : now_us - begun_us_;
  }

 private:
  static constexpr int64_t kReadAfterUs = 100;
  static constexpr int64_t kTurnUsMin = 200;

  int64_t begun_us_ = 0;
  int64_t read_at_us_ = -kReadAfterUs;
  int64_t cpu_at_read_us_ = 0;
};

}  // namespace quorate

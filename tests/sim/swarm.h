// How a seed chooses: "swarm testing" turns on a part of the faults, since a fault that is always there hides what only
// its absence lets happen.  Shared by the worlds `raft` and `cluster`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "util/prng.h"

namespace quorate::sim {

constexpr int64_t kMs = 1000;  // in microseconds, as all times of the simulator
constexpr int64_t kSecond = 1000 * kMs;

// A fault that comes by chance: 0 means never.
struct FaultRate {
  int64_t every_us = 0;   // mean time between two of them
  int64_t length_us = 0;  // mean length
  bool on() const { return every_us > 0; }
};

constexpr size_t kFaultKindsMax = 24;
using FaultCounts = std::array<uint64_t, kFaultKindsMax>;

// Any number from `low` to `high`.
int64_t between(Prng& prng, int64_t low, int64_t high);
// On with this probability, and then at a rate between the two.
FaultRate draw_rate(Prng& prng, double probability, FaultRate low, FaultRate high);

// One option, "  name value".
void add_line(std::string& text, const char* name, double value);
// Nothing if the fault is off.
void add_line(std::string& text, const char* name, FaultRate rate);

}  // namespace quorate::sim

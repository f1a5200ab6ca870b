// Runs with a planted mistake, each in a process of its own: the mistake may also make a CHECK fail.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tests/sim/persist_sim.h"

namespace quorate::sim {

// What the run noticed, in one line, or nothing.  Want of progress does not count: a mistake must
// be seen for what it is.
std::string notice(const std::function<SimResult()>& run);

// What a self-check looks at.
struct SelfCheck {
  uint64_t first_seed = 1;
  int64_t seconds = 20;
  std::optional<uint64_t> seeds = std::nullopt;  // in place of each mistake's own bound
  std::string mistake = {};                      // names begin so
  bool counts = false;  // tries all seeds and says how many notice; else ends with the first
};

// Tries seeds from the first on and prints what came of it.  1: none has noticed the mistake.
int search(const SelfCheck& check, std::string_view name, uint64_t seeds_max,
           const std::function<SimResult(uint64_t seed)>& run);

}  // namespace quorate::sim

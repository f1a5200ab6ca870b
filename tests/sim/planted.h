// Runs with a planted mistake, each in a process of its own: the mistake may also make a CHECK fail.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tests/sim/persist_sim.h"

namespace quorate::sim {

// What the run noticed, in one line, or nothing.  Want of progress does not count: a mistake must
// be seen for what it is.
std::string notice(const std::function<SimResult()>& run);

// What happens in a run with a planted mistake.
enum class Luck : uint8_t {
  kAsDrawn,   // what its seed has drawn
  kProvoked,  // what the mistake needs, if it is known; then few seeds do
  kOnlyProvoked,  // the same without the mistake: nothing may be noticed
};

// What a self-check looks at.
struct SelfCheck {
  uint64_t first_seed = 1;
  int64_t seconds = 20;
  std::optional<uint64_t> seeds = std::nullopt;  // in place of each mistake's own bound
  std::string mistake = {};                      // names begin so
  Luck luck = Luck::kAsDrawn;
  bool counts = false;  // tries all seeds and says how many notice; else ends with the first
};

// Tries seeds from the first on and prints what came of it.  1: none has noticed the mistake.
int search(const SelfCheck& check, std::string_view name, uint64_t seeds_max,
           const std::function<SimResult(uint64_t seed)>& run);

// A mistake of a world whose runs are decided by `Options`.
template <class Options>
struct PlantedMistake {
  const char* name;
  uint64_t seeds;  // one of so many notices it
  void (*plant)(Options&);
  void (*provoke)(Options&) = nullptr;  // the seeds' faults give way to those that it takes
  uint64_t provoked_seeds = 0;          // then one of so many; 0: that still takes luck
};

template <class Options>
void plant(const PlantedMistake<Options>& mistake, Luck luck, Options& options) {
  if (luck != Luck::kOnlyProvoked) mistake.plant(options);
  if (luck != Luck::kAsDrawn && mistake.provoke != nullptr) mistake.provoke(options);
}

// Switches on the mistake whose name begins so.  False: there is none.
template <class Options>
bool plant(std::span<const PlantedMistake<Options>> mistakes, std::string_view name, Luck luck,
           Options& options) {
  for (const PlantedMistake<Options>& mistake : mistakes) {
    if (!std::string_view(mistake.name).starts_with(name)) continue;
    plant(mistake, luck, options);
    return true;
  }
  return false;
}

// Plants each and looks for a seed that notices it.  Returns how many went unnoticed.
template <class Options>
int search_all(const SelfCheck& check, std::span<const PlantedMistake<Options>> mistakes,
               SimResult (*run)(const Options&)) {
  int missed = 0;
  for (const PlantedMistake<Options>& mistake : mistakes) {
    const bool is_provoked = check.luck != Luck::kAsDrawn;
    const uint64_t seeds = is_provoked ? mistake.provoked_seeds : mistake.seeds;
    if (seeds == 0) continue;
    missed += search(check, mistake.name, seeds, [&](uint64_t seed) {
      Options options{.seed = seed, .seconds = check.seconds};
      plant(mistake, check.luck, options);
      return run(options);
    });
  }
  return missed;
}

}  // namespace quorate::sim

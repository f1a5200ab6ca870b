// Draws what one option or one fault of a seed is, and says it.
#include "tests/sim/swarm.h"

#include <cinttypes>
#include <cstdio>

namespace quorate::sim {

int64_t between(Prng& prng, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(prng.below(static_cast<uint64_t>(high - low + 1)));
}

FaultRate draw_rate(Prng& prng, double probability, FaultRate low, FaultRate high) {
  // Drawn always, so that one fault's being on does not change the others.
  const bool on = prng.chance(probability);
  const FaultRate rate{.every_us = between(prng, low.every_us, high.every_us),
                       .length_us = between(prng, low.length_us, high.length_us)};
  return on ? rate : FaultRate{};
}

void add_line(std::string& text, const char* name, double value) {
  char line[80];
  std::snprintf(line, sizeof(line), "  %s %g\n", name, value);
  text += line;
}

void add_line(std::string& text, const char* name, FaultRate rate) {
  if (!rate.on()) return;
  char line[120];
  std::snprintf(line, sizeof(line), "  %s every %" PRId64 " ms for %" PRId64 " ms\n", name,
                rate.every_us / kMs, rate.length_us / kMs);
  text += line;
}

}  // namespace quorate::sim

// A run with a planted mistake, in a process of its own: the mistake may also make a CHECK fail.
#pragma once

#include <functional>
#include <string>

#include "tests/sim/persist_sim.h"

namespace quorate::sim {

// What the run noticed, in one line, or nothing.  Want of progress does not count: a mistake must
// be seen for what it is.
std::string notice(const std::function<SimResult()>& run);

}  // namespace quorate::sim

// The end of a lifetime of the world `cluster` in which most machines are lost for good.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/cluster_world.h"

namespace quorate::sim {

// Machines lose power and disks at once, so many that some partition or the members cannot elect without them, and an operator lets those
// that are left go on (QUORUM UNSAFE-RECOVER).  What clients are not told any more to have lost is asked of them afterwards.  Returns what went
// wrong, or nothing.  Requires: world.is_settled(), the clients have paused and are idle; heal() puts empty machines in their places.
std::string lose_most(ClusterWorld& world, const ClusterSwarm& swarm, uint64_t seed);

}  // namespace quorate::sim

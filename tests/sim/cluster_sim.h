// The world `cluster`: one to seven whole nodes and their clients, one queue of events, one seed.
// First anything goes wrong that the seed has chosen; then all heals: every key must be writable
// again, every copy must hold the same, and what clients were told must be the truth.
#pragma once

#include <cstdint>

#include "tests/sim/cluster_options.h"
#include "tests/sim/persist_sim.h"

namespace quorate::sim {

SimResult run_cluster_sim(const ClusterSimOptions& options);

// Plants each known mistake and looks for a seed that notices it.  Returns how many went unnoticed.
int cluster_self_check(uint64_t first_seed, int64_t seconds);

}  // namespace quorate::sim

// The world `cluster`: one to seven whole nodes and their clients, one queue of events, one seed.
// First anything goes wrong that the seed has chosen; then all heals: every key must be writable
// again, every copy must hold the same, and what clients were told must be the truth.
#pragma once

#include <cstdint>
#include <string_view>

#include "tests/sim/cluster_options.h"
#include "tests/sim/persist_sim.h"
#include "tests/sim/planted.h"

namespace quorate::sim {

SimResult run_cluster_sim(const ClusterSimOptions& options);

// Switches on the planted mistake whose name begins so.  False: there is none.
bool plant_mistake(std::string_view name, Luck luck, ClusterSimOptions& options);

// Plants each known mistake and looks for a seed that notices it.  Returns how many went unnoticed.
int cluster_self_check(const SelfCheck& check);

}  // namespace quorate::sim

// A whole node with clients on a disk that crashes: what was acknowledged is there after a restart,
// in order, and nothing else.
#pragma once

#include <cstdint>

#include "tests/sim/persist_sim.h"

namespace quorate::sim {

struct NodeSimOptions {
  uint64_t seed = 1;
  uint64_t steps = 2000;
  Planted planted = Planted::kNothing;
  bool log = false;
};

// Mistakes that can be planted around the node.
bool node_sim_knows(Planted planted);
SimResult run_node_sim(const NodeSimOptions& options);

}  // namespace quorate::sim

// The world `raft`: three to seven nodes with several groups on the real consensus core and the
// real beats, one queue of events, one seed.  First anything goes wrong that the seed has chosen;
// then all heals, and the cluster must make progress and agree.
#pragma once

#include <cstdint>
#include <string_view>

#include "tests/sim/persist_sim.h"
#include "tests/sim/planted.h"
#include "tests/sim/raft_options.h"

namespace quorate::sim {

SimResult run_raft_sim(const RaftSimOptions& options);

// Switches on the planted mistake whose name begins so.  False: there is none.
bool plant_mistake(std::string_view name, Luck luck, RaftSimOptions& options);

// Plants each known mistake and looks for a seed that notices it.  Returns how many went unnoticed.
int raft_self_check(const SelfCheck& check);

}  // namespace quorate::sim

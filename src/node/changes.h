// What follows from a change of the keyspace: WATCH, blocked commands, keyspace notifications.
#pragma once

#include "node/state.h"

namespace quorate {

// Takes Store::changes() and tells everybody who asked.
void announce_changes(NodeState& node);

}  // namespace quorate

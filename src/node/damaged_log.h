// A member of a cluster whose log or snapshot is damaged where it was synced.  What it has promised behind that place nobody knows, so this node
// must never act again (REPLICATION 5, I14): another one comes in its place, or the start is refused (docs/CLUSTER.md, "A log that is damaged").
#pragma once

#include <optional>

#include "cluster/group_record.h"
#include "persist/disk.h"
#include "util/result.h"

namespace quorate {

struct NodeState;

// Why the process must not go on with this log, and what is or can be done.  If the others can do without it, and log-repair lets it, the node
// has retired when this returns (Persistence::has_retired), durably.  `readable`: what its log said of groups in front of the damage.
// Requires: nothing but recovery was done with the directory.
Error answer_damage(NodeState& node, Disk& disk, std::optional<GroupRecovery> readable, const Error& damage);

}  // namespace quorate

// What this node knows about its cluster: the view (cluster_view.h) of members, beats and replicas.
#pragma once

#include "node/cluster_view.h"
#include "node/session.h"
#include "node/state.h"

namespace quorate {

// `session`: who asks.  A node that is alone is told to it at the address that it has reached.
// Requires: the node is started.
ClusterView cluster_view(const NodeState& node, const Session& session);

// Requires: partition < view.partitions.size().
PartitionDetails partition_details(const NodeState& node, const ClusterView& view, uint32_t partition);

// cluster_enabled of INFO: there is more than one member, or the settings say so.
bool is_cluster(const NodeState& node);

}  // namespace quorate

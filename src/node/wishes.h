// What operators want the members to decide (QUORUM DRAIN ...): the session waits until it is decided, or for request-timeout-ms.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/cluster_node.h"
#include "cluster/meta_group.h"
#include "node/cluster_view.h"
#include "node/context.h"
#include "node/state.h"
#include "util/result.h"

namespace quorate {

// An error says why the node has nobody to decide anything with.
Status check_member(const ClusterNode& cluster);

// Proposes the command.  The session is answered +OK, once that is so, or with the members' refusal by answer_wishes().
Status wish(NodeContext& cx, const meta::Command& command, WishEnd end = WishEnd::kDecided);

// The wish that a member is removed for good, as `view` shows the cluster.  What is planned away from it may still be only there, so each
// partition must have a leader elsewhere: that one holds all that was committed.
Status wish_removal(NodeContext& cx, const ClusterView& view, NodeId node);

// UNSAFE-RECOVER: the words behind the subcommand name members that are lost for good; EMPTY in front of them: partitions of which only
// they have copies begin with nothing.  The session is answered in the same way once they are given up, or why they are not; when it has
// waited long enough nothing comes of it later, except what the members were deciding just then.
Status wish_without(NodeContext& cx);

// Answers those whose wish is decided, and those who have waited long enough.
void answer_wishes(NodeState& node);

}  // namespace quorate

// Settings that hold at every node of a cluster (Setting::is_cluster_wide): the members decide them like everything of the meta group, each
// node obeys what it has applied, and a node that joins learns them.  Alone a node's own value holds, and that of the node that founds
// a cluster becomes the cluster's.
#pragma once

#include <span>
#include <vector>

#include "cluster/members.h"
#include "node/config.h"
#include "node/context.h"
#include "util/result.h"

namespace quorate {

// What the founder brings: its values of all of them, and what no node may have otherwise (databases).
std::vector<meta::SetSetting> founding_settings(const Configuration& configuration);

// CONFIG SET in company.  The members are asked for what is the cluster's: then the session waits until this node has applied it (wishes.h).
// True: it does.
Result<bool> set_in_company(NodeContext& cx, std::span<const SettingPair> pairs);

// Obeys what the members have decided since the last call.
void follow_settings(NodeState& node);

// An error's detail says which setting of this node cannot be with the cluster's.
Status check_agreement(const ClusterState& state, const Configuration& configuration);

}  // namespace quorate

// From a proposal to the answer of whoever asked for it.
#include "node/wishes.h"

#include <algorithm>

#include "node/blocking.h"
#include "node/company.h"

namespace quorate {

namespace {

constexpr int64_t kMicrosecondsInMs = 1000;

}  // namespace

Status check_member(const ClusterNode& cluster) {
  switch (cluster.membership()) {
    case Membership::kAlone: return errors::node_is_alone();
    case Membership::kJoining: return errors::node_is_joining();
    case Membership::kRefused: return errors::not_a_member(cluster.refusal());
    case Membership::kMember: return done();
  }
  return done();
}

Status wish(NodeContext& cx, const meta::Command& command) {
  if (cx.node.in_transaction) return errors::not_in_transaction();
  ClusterNode& cluster = cx.node.company.cluster();
  TRY(check_member(cluster));
  const ProposalToken token = cluster.propose(command);
  if (token == 0) return errors::too_many_proposals();
  const int64_t until_us = cx.now().steady_us + cx.node.settings.request_timeout_ms * kMicrosecondsInMs;
  cx.node.wishes.push_back({.token = token, .session = cx.session.id, .until_us = until_us});
  cx.session.set(kWaiting);
  return done();
}

Status wish_removal(NodeContext& cx, const ClusterView& view, NodeId node) {
  TRY(check_member(cx.node.company.cluster()));
  const bool is_led_elsewhere = std::all_of(view.partitions.begin(), view.partitions.end(), [&](const PartitionView& partition) {
    return partition.leader != 0 && partition.leader != node;
  });
  if (!is_led_elsewhere) {
    return Error(ErrorCode::kInvalidArgument, "a partition has no leader on another node: its data may be on this one only, see QUORUM STATUS");
  }
  return wish(cx, meta::SetState{.node = node, .state = MemberState::kRemoved});
}

void answer_wishes(NodeState& node) {
  if (node.wishes.empty()) return;
  for (MetaGroup::Outcome& outcome : node.company.cluster().take_outcomes()) {
    const auto wish = std::find_if(node.wishes.begin(), node.wishes.end(),
                                   [&](const Wish& each) { return each.token == outcome.token; });
    // Whoever had waited too long has been told that already.
    if (wish == node.wishes.end()) continue;
    if (!outcome.is_known) outcome.status = errors::wish_outcome_unknown();
    answer_waiting(node, wish->session, outcome.status);
    node.wishes.erase(wish);
  }
  std::erase_if(node.wishes, [&](const Wish& each) {
    if (node.now.steady_us < each.until_us) return false;
    answer_waiting(node, each.session, errors::wish_undecided(node.settings.request_timeout_ms));
    return true;
  });
}

}  // namespace quorate

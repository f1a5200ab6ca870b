// From a proposal to the answer of whoever asked for it.
#include "node/wishes.h"

#include <algorithm>
#include <utility>

#include "node/blocking.h"
#include "node/cluster_facts.h"
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

namespace {

int64_t waits_until_us(const NodeContext& cx) { return cx.now().steady_us + cx.node.settings.request_timeout_ms * kMicrosecondsInMs; }

Status wait_for(NodeContext& cx, ProposalToken token, WishEnd end) {
  cx.node.wishes.push_back({.token = token, .session = cx.session.id, .until_us = waits_until_us(cx), .end = end});
  cx.session.set(kWaiting);
  return done();
}

}  // namespace

Status wish(NodeContext& cx, const meta::Command& command, WishEnd end) {
  if (cx.node.in_transaction) return errors::not_in_transaction();
  ClusterNode& cluster = cx.node.company.cluster();
  TRY(check_member(cluster));
  const ProposalToken token = cluster.propose(command);
  if (token == 0) return errors::too_many_proposals();
  return wait_for(cx, token, end);
}

namespace {

// Also one of which this node has heard and does not know whether it was ever committed: without a quorum nobody does.
Result<NodeId> member_named(NodeContext& cx, std::string_view text) {
  const ClusterView view = cluster_view(cx.node, cx.session);
  const NodeView* const node = view.find_named(text);
  if (node != nullptr && node->is_self) return errors::cannot_forget_myself();
  if (node != nullptr) return node->record.id;
  for (const MemberRecord& member : cx.node.company.cluster().meta().address_book().members()) {
    if (node_name(member.id) == text) return member.id;
  }
  return errors::unknown_node(text);
}

}  // namespace

Status wish_without(NodeContext& cx) {
  if (cx.node.in_transaction) return errors::not_in_transaction();
  ClusterNode& cluster = cx.node.company.cluster();
  TRY(check_member(cluster));
  const bool begins_empty = same_word(cx[2], "empty");
  const size_t first = begins_empty ? 3 : 2;
  if (first == cx.size()) return ErrorCode::kSyntax;
  std::vector<NodeId> nodes;
  for (size_t index = first; index < cx.size(); ++index) {
    TRY(const NodeId node, member_named(cx, cx[index]));
    nodes.push_back(node);
  }
  const auto without_copies = begins_empty ? WithoutCopies::kBeginEmpty : WithoutCopies::kRefuse;
  TRY(const ProposalToken token, cluster.recover_without(cx.now(), std::move(nodes), without_copies, waits_until_us(cx)));
  return wait_for(cx, token, WishEnd::kDecided);
}

namespace {

// In the members' own group, as far as this node knows: to elect somebody there may take its vote, and who was removed gives none.
bool votes_among_members(ClusterNode& cluster, NodeId node) {
  const MemberRecord* const known = cluster.state().find(node);
  if (known == nullptr || known->state == MemberState::kRemoved) return false;
  const raft::Core& members = *cluster.groups().find(cluster.meta().group());
  const raft::ReplicaId replica{node};
  // Who was let in a moment ago has not heard yet who votes.
  if (members.configuration().unknown()) return true;
  return members.configuration().is_voter(replica) || members.committed_configuration().configuration.is_voter(replica);
}

bool drains(const ClusterNode& cluster, NodeId node) {
  const MemberRecord* const known = cluster.state().find(node);
  return known != nullptr && known->state == MemberState::kDraining;
}

}  // namespace

Status wish_removal(NodeContext& cx, const ClusterView& view, NodeId node) {
  TRY(check_member(cx.node.company.cluster()));
  if (const size_t led = view.led_by(node); led != 0) {
    const size_t copies = view.held_by(node);
    return drains(cx.node.company.cluster(), node) ? errors::still_drains(led, copies) : errors::drain_first(led, copies);
  }
  const auto orphan = std::find_if(view.partitions.begin(), view.partitions.end(), [](const PartitionView& each) { return each.leader == 0; });
  if (orphan != view.partitions.end()) {
    return errors::no_leader_elsewhere(static_cast<size_t>(orphan - view.partitions.begin()));
  }
  if (votes_among_members(cx.node.company.cluster(), node)) {
    return Error(ErrorCode::kInvalidArgument, "the node still votes among the members: drain it first, or wait until others vote in its place");
  }
  const WishEnd end = node == cx.node.company.cluster().own().id ? WishEnd::kIsOut : WishEnd::kDecided;
  return wish(cx, meta::SetState{.node = node, .state = MemberState::kRemoved}, end);
}

namespace {

// True: it is answered.
bool answer_if_kept(NodeState& node, const Wish& wish) {
  node.company.look_for_mode(wish.mode_version);
  const size_t lacking = node.company.count_without_mode(wish.mode_version);
  if (lacking != 0 && node.now.steady_us < wish.until_us) return false;
  answer_waiting(node, wish.session, lacking == 0 ? done() : Status(errors::uncertain_mode(lacking, node.store.partition_count())));
  return true;
}

}  // namespace

void answer_wishes(NodeState& node) {
  if (node.wishes.empty()) return;
  for (MetaGroup::Outcome& outcome : node.company.cluster().take_outcomes()) {
    const auto wish = std::find_if(node.wishes.begin(), node.wishes.end(),
                                   [&](const Wish& each) { return each.token == outcome.token; });
    // Whoever had waited too long has been told that already.
    if (wish == node.wishes.end()) continue;
    const bool is_decided = outcome.is_known && outcome.status.ok();
    if (is_decided && wish->end == WishEnd::kModeIsKept && !node.mistakes.answers_mode_early) {
      wish->token = 0;
      wish->mode_version = node.company.cluster().state().mode_version();
      continue;
    }
    if (!outcome.is_known) outcome.status = errors::wish_outcome_unknown();
    answer_waiting(node, wish->session, outcome.status);
    node.wishes.erase(wish);
  }
  std::erase_if(node.wishes, [&](const Wish& each) {
    const Session* const session = node.sessions.find(each.session);
    const bool is_gone = session == nullptr || session->has(kClosing);
    if (each.mode_version != 0) return is_gone || answer_if_kept(node, each);
    if (is_gone) node.company.cluster().forget_recovery(each.token);
    if (each.end == WishEnd::kIsOut && node.company.cluster().was_removed()) {
      answer_waiting(node, each.session, done());
      return true;
    }
    if (node.now.steady_us < each.until_us) return false;
    answer_waiting(node, each.session, errors::wish_undecided(node.settings.request_timeout_ms));
    return true;
  });
}

}  // namespace quorate

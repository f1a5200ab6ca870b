// QUORUM: how the cluster is, where a key is, and what operators may want of the members.
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/cluster_node.h"
#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/cluster_facts.h"
#include "node/commands/node_families.h"
#include "node/company.h"
#include "node/context.h"
#include "node/wishes.h"
#include "util/hash.h"
#include "util/number.h"

namespace quorate {

namespace {

ClusterNode& cluster_of(NodeContext& cx) { return cx.node.company.cluster(); }
ClusterView view_of(const NodeContext& cx) { return cluster_view(cx.node, cx.session); }

std::string_view name_of(MemberState state) {
  switch (state) {
    case MemberState::kActive: return "active";
    case MemberState::kDraining: return "draining";
    case MemberState::kRemoved: return "removed";
  }
  return {};
}

// Writes the pairs of a map whose number is known at the end.
class Pairs {
 public:
  explicit Pairs(Reply& reply) : reply_(reply), map_(reply.begin(Reply::Shape::kMap)) {}
  void end() { reply_.end(map_, count_); }
  // The value is written by the caller.
  Reply& name(std::string_view name) {
    reply_.bulk(name);
    ++count_;
    return reply_;
  }
  void text(std::string_view label, std::string_view value) { name(label).bulk(value); }
  void number(std::string_view label, uint64_t value) { name(label).integer(static_cast<int64_t>(value)); }
  void number(std::string_view label, std::optional<uint64_t> value) {
    if (value) return number(label, *value);
    name(label).null();
  }
  void mode(std::string_view label, std::optional<raft::Durability> value) {
    if (value) return text(label, raft::name_of(*value));
    name(label).null();
  }
  void fact(std::string_view label, bool value) { name(label).bulk(value ? "yes" : "no"); }

 private:
  Reply& reply_;
  const Reply::Deferred map_;
  size_t count_ = 0;
};

// ---- STATUS ----------------------------------------------------------------------------------------------

std::string cluster_id_text(const ClusterState& state) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const char byte : state.cluster()) {
    const auto bits = static_cast<unsigned char>(byte);
    text.push_back(kHex[bits >> 4]);
    text.push_back(kHex[bits & 15]);
  }
  return text;
}

void reply_node(const ClusterView& view, const NodeView& node, std::string_view state, Reply& reply) {
  Pairs pairs(reply);
  pairs.text("id", node_name(node.record.id));
  pairs.text("address", address_text(node.record.host, node.record.port));
  pairs.text("zone", node.record.zone);
  pairs.number("weight", uint64_t{node.record.weight});
  pairs.text("state", state);
  pairs.fact("live", node.is_live);
  pairs.fact("myself", node.is_self);
  pairs.number("leads", view.led_by(node.record.id));
  pairs.number("copies", view.held_by(node.record.id));
  pairs.mode("mode-kept", node.kept);
  pairs.end();
}

Status status(NodeContext& cx) {
  const ClusterNode& cluster = cluster_of(cx);
  const ClusterView view = view_of(cx);
  const ClusterHealth health = health_of(view);
  Pairs pairs(cx.reply);
  pairs.text("state", health.is_ok() ? "ok" : "fail");
  pairs.text("membership", quorate::name_of(cluster.membership()));
  if (cluster.membership() == Membership::kRefused) pairs.text("refusal", cluster.refusal());
  if (cluster.state().is_founded()) pairs.text("cluster", cluster_id_text(cluster.state()));
  pairs.number("partitions", view.partitions.size());
  pairs.number("leaderless-partitions", health.leaderless);
  pairs.number("under-replicated-partitions", health.under_replicated);
  const std::span<const uint32_t> undecided = cluster.partitions().check().undecided();
  pairs.name("differing-partitions").array(undecided.size());
  for (const uint32_t partition : undecided) cx.reply.integer(partition);
  pairs.number("copies-wanted", view.copies_wanted);
  // The mode that the members want, and partitions that are not known here to go by it yet.
  pairs.text("mode", raft::name_of(cx.node.company.members_mode()));
  const uint64_t decided = cluster.membership() == Membership::kMember ? cluster.state().mode_version() : 0;
  if (decided != 0) cx.node.company.look_for_mode(decided);
  pairs.number("partitions-without-mode", cx.node.company.count_without_mode(decided));
  // Of this node: while it cannot make one it cannot keep a mode that is stricter than its own.
  const std::vector<ClusterNode::HeldUp> held_up = cx.node.company.snapshot_held_up();
  pairs.name("snapshot-waits-for").array(held_up.size());
  for (const ClusterNode::HeldUp& each : held_up) {
    Pairs one(cx.reply);
    one.number("partition", uint64_t{each.partition});
    one.text("reason", name_of(each.by));
    one.end();
  }
  // Two copies have one voter: REPLICATION 7.
  pairs.fact("survives-a-node", health.live >= 3 && view.copies_wanted >= 3 && health.leaderless + health.under_replicated == 0);
  pairs.number("plan", view.epoch);
  pairs.fact("plan-by-hand", cluster.state().plan_fit() == PlanFit::kByHand);
  pairs.name("nodes").array(view.nodes.size());
  for (const NodeView& node : view.nodes) {
    const bool is_dead = node.record.state == MemberState::kActive && cluster.state().is_dead(node.record.id);
    reply_node(view, node, is_dead ? "dead" : name_of(node.record.state), cx.reply);
  }
  pairs.end();
  return done();
}

// ---- EXPLAIN ---------------------------------------------------------------------------------------------

void reply_copy(const ClusterView& view, const CopyView& copy, Reply& reply) {
  const NodeView* const node = view.find(copy.node);
  Pairs pairs(reply);
  pairs.text("node", node_name(copy.node));
  pairs.text("address", node == nullptr ? std::string() : address_text(node->record.host, node->record.port));
  pairs.text("zone", node == nullptr ? std::string_view() : std::string_view(node->record.zone));
  pairs.text("role", quorate::name_of(copy.role));
  pairs.fact("live", copy.is_live);
  pairs.number("last-index", copy.last_index);
  pairs.number("lag", copy.lag);
  pairs.end();
}

uint64_t live_zones(const ClusterView& view, const PartitionDetails& details) {
  std::set<std::string_view> zones;
  for (const CopyView& copy : details.copies) {
    const NodeView* const node = view.find(copy.node);
    if (copy.is_live && node != nullptr) zones.insert(node->record.zone);
  }
  return zones.size();
}

// From what this node knows: more where it leads the partition, less where it has no copy.
Status explain(NodeContext& cx) {
  const ClusterView view = view_of(cx);
  const uint16_t slot = key_slot(cx[2]);
  const PartitionDetails details = partition_details(cx.node, view, cx.node.store.partition_of(slot));
  Pairs pairs(cx.reply);
  pairs.number("slot", slot);
  pairs.number("partition", details.partition);
  const NodeView* const leader = details.leader == 0 ? nullptr : view.find(details.leader);
  if (leader != nullptr) {
    pairs.text("leader", node_name(details.leader));
    pairs.text("leader-address", address_text(leader->record.host, leader->record.port));
  } else {
    pairs.name("leader").null();
    pairs.name("leader-address").null();
  }
  pairs.number("term", details.log ? std::optional(details.log->term) : std::nullopt);
  pairs.number("last-index", details.log ? std::optional(details.log->last_index) : std::nullopt);
  pairs.number("commit-index", details.log ? std::optional(details.log->commit_index) : std::nullopt);
  pairs.mode("mode", details.log ? details.log->mode : std::nullopt);
  pairs.number("commit-quorum", details.log ? std::optional(details.log->commit_quorum) : std::nullopt);
  const Levels levels = cx.node.company.levels_of(cx.session, cx[2]);
  pairs.text("write-quorum", text_of(levels.write));
  pairs.text("read-quorum", text_of(levels.read));
  pairs.number("min-zones", static_cast<uint64_t>(cx.node.settings.min_zones));
  pairs.number("live-zones", live_zones(view, details));
  pairs.name("replicas").array(details.copies.size());
  for (const CopyView& copy : details.copies) reply_copy(view, copy, cx.reply);
  pairs.end();
  return done();
}

// ---- LOST ------------------------------------------------------------------------------------------------

void reply_loss(const Loss& loss, Reply& reply) {
  constexpr std::string_view kKinds[] = {"lost", "takeover", "restart", "unsafe-recovery"};
  Pairs pairs(reply);
  pairs.text("kind", kKinds[static_cast<size_t>(loss.kind)]);
  pairs.number("partition", loss.partition);
  pairs.number("term", loss.term);
  pairs.number("unix-ms", static_cast<uint64_t>(loss.unix_ms));
  if (loss.kind == Loss::Kind::kLost) pairs.number("first-index", loss.first_index);
  if (loss.kind != Loss::Kind::kTakeover) pairs.number("last-index", loss.last_index);
  pairs.end();
}

Status lost(NodeContext& cx) {
  const Losses& losses = cx.node.company.losses();
  cx.reply.array(losses.size());
  losses.each([&](const Loss& loss) { reply_loss(loss, cx.reply); });
  return done();
}

// ---- wishes ----------------------------------------------------------------------------------------------

// Also one that was removed: whoever heard no answer and asks again is told so by the members.
Result<NodeId> member_named(NodeContext& cx, const ClusterView& view, std::string_view name) {
  if (const NodeView* const node = view.find_named(name)) return node->record.id;
  const auto id = node_by_name(name);
  if (id && cluster_of(cx).state().find(*id) != nullptr) return *id;
  return errors::unknown_node(name);
}

Status set_state(NodeContext& cx, MemberState state) {
  TRY(const NodeId node, member_named(cx, view_of(cx), cx[2]));
  return wish(cx, meta::SetState{.node = node, .state = state});
}

Status drain(NodeContext& cx) { return set_state(cx, MemberState::kDraining); }
Status undrain(NodeContext& cx) { return set_state(cx, MemberState::kActive); }
Status remove(NodeContext& cx) {
  const ClusterView view = view_of(cx);
  TRY(const NodeId node, member_named(cx, view, cx[2]));
  return wish_removal(cx, view, node);
}

// The members refuse what makes no sense.  A partition that nobody leads is left alone: its copies could not follow the plan, and one that
// begins with nothing has to begin where it is planned.
Status move(NodeContext& cx) {
  const bool moves_copy = cx.size() == 7 && same_word(cx[3], "from") && same_word(cx[5], "to");
  const bool moves_leader = cx.size() == 5 && same_word(cx[3], "leader");
  if (!moves_copy && !moves_leader) return ErrorCode::kSyntax;
  const auto partition = parse_unsigned(cx[2]);
  const ClusterView view = view_of(cx);
  if (!partition || *partition >= view.partitions.size()) return errors::no_such_partition(view.partitions.size());
  meta::Move wanted{.partition = static_cast<uint32_t>(*partition)};
  if (moves_copy) {
    TRY(wanted.from, member_named(cx, view, cx[4]));
  }
  TRY(wanted.to, member_named(cx, view, cx[moves_copy ? 6 : 4]));
  TRY(check_member(cluster_of(cx)));
  if (view.partitions[wanted.partition].leader == 0) return errors::no_leader(wanted.partition);
  return wish(cx, wanted);
}

Status unsafe_recover(NodeContext& cx) { return wish_without(cx); }

Status rebalance(NodeContext& cx) {
  ClusterNode& cluster = cluster_of(cx);
  TRY(check_member(cluster));
  cluster.rebalance();
  return wish(cx, meta::Rebalance{});
}

constexpr uint32_t kWish = kAdmin | kNoScript | kStale;

constexpr CommandSpec kTable[] = {
    {.name = "quorum|drain", .arity = 3, .flags = kWish, .syntax = "node-id",
     .summary = "Moves all copies and leaderships away from a node (its id or host:port); it stays a member and gets nothing until UNDRAIN.",
     .complexity = "O(N) in the number of partitions", .since = "0.1.0", .group = Group::kCluster, .run_on_node = drain},
    {.name = "quorum|explain", .arity = 3, .flags = kStale, .syntax = "key:string",
     .summary = "Returns where a key is: slot, partition, its copies with role, zone and lag, as far as this node knows: all of it at leader-address.",
     .complexity = "O(N) in the number of partitions", .since = "0.1.0", .group = Group::kCluster,
     .tips = "nondeterministic_output", .run_on_node = explain},
    {.name = "quorum|help", .arity = 2, .flags = kLoading | kStale, .summary = "Lists the subcommands of QUORUM.",
     .complexity = "O(1)", .since = "0.1.0", .group = Group::kCluster},
    {.name = "quorum|lost", .arity = 2, .flags = kStale,
     .summary = "Returns what this node knows of writes that were acknowledged with fewer copies than a commit needs, and may be lost.",
     .complexity = "O(N) in the records, of which the newest are kept", .since = "0.1.0", .group = Group::kCluster,
     .tips = "nondeterministic_output", .run_on_node = lost},
    {.name = "quorum|move", .arity = -5, .flags = kWish, .syntax = "partition:int <FROM node-id TO node-id | LEADER node-id>",
     .summary = "Moves a copy of a partition to another node (its id or host:port), or lets another node lead it; stays so until REBALANCE or a change of members.",
     .complexity = "O(N) in the number of partitions", .since = "0.1.0", .group = Group::kCluster, .run_on_node = move},
    {.name = "quorum|rebalance", .arity = 2, .flags = kWish,
     .summary = "Takes back what MOVE has put out of balance, and hands over to preferred leaders without waiting.",
     .complexity = "O(N) in the number of partitions", .since = "0.1.0", .group = Group::kCluster, .run_on_node = rebalance},
    {.name = "quorum|remove", .arity = 3, .flags = kWish, .syntax = "node-id",
     .summary = "Removes a node (its id or host:port) that holds nothing any more from the cluster, for good: DRAIN it first.",
     .complexity = "O(N) in the number of nodes", .since = "0.1.0", .group = Group::kCluster, .run_on_node = remove},
    {.name = "quorum|status", .arity = 2, .flags = kStale,
     .summary = "Returns the health of the cluster and its nodes, as this node sees them.",
     .complexity = "O(N) in the number of nodes and partitions", .since = "0.1.0", .group = Group::kCluster,
     .tips = "nondeterministic_output", .run_on_node = status},
    {.name = "quorum|undrain", .arity = 3, .flags = kWish, .syntax = "node-id",
     .summary = "Takes DRAIN back: the node (its id or host:port) gets its share again.", .complexity = "O(N) in the number of partitions",
     .since = "0.1.0", .group = Group::kCluster, .run_on_node = undrain},
    {.name = "quorum|unsafe-recover", .arity = -3, .flags = kWish, .syntax = "[EMPTY] node-id [node-id ...]",
     .summary = "Gives up nodes that are lost for good, so that copies elsewhere go on without a quorum; may lose acknowledged writes.",
     .complexity = "O(N) in the number of partitions", .since = "0.1.0", .group = Group::kCluster, .run_on_node = unsafe_recover},
};
static_assert(well_formed(kTable), "cmd_quorum.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> quorum_commands() { return kTable; }

}  // namespace quorate

// CLUSTER in the words of Redis' clients and tools, and READONLY, READWRITE, ASKING.  What operators do here goes by QUORUM.
#include <algorithm>

#include "cluster/cluster_node.h"
#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/cluster_facts.h"
#include "node/commands/node_families.h"
#include "node/company.h"
#include "node/context.h"
#include "node/own_member.h"
#include "node/wishes.h"
#include "util/hash.h"

namespace quorate {

namespace {

constexpr int64_t kPortMax = 65'535;
// As long as DNS allows.
constexpr size_t kHostMax = 255;

ClusterNode& cluster_of(NodeContext& cx) { return cx.node.company.cluster(); }
ClusterView view_of(const NodeContext& cx) { return cluster_view(cx.node, cx.session); }

// ---- the map ---------------------------------------------------------------------------------------------

Status info(NodeContext& cx) {
  cx.reply.verbatim(VerbatimFormat::kText, cluster_info_text(view_of(cx)));
  return done();
}

Status nodes(NodeContext& cx) {
  cx.reply.verbatim(VerbatimFormat::kText, nodes_text(view_of(cx)));
  return done();
}

Status my_id(NodeContext& cx) {
  cx.reply.bulk(node_name(cluster_of(cx).own().id));
  return done();
}

void reply_endpoint(const ClusterView& view, const NodeView& node, Reply& reply) {
  reply.array(4);
  reply.bulk(node.record.host);
  reply.integer(announced_port(view.announced, node.record));
  reply.bulk(node_name(node.record.id));
  reply.map(0);   // no other addresses
}

Status slots(NodeContext& cx) {
  const ClusterView view = view_of(cx);
  const std::vector<SlotRow> rows = slot_rows(view);
  cx.reply.array(rows.size());
  for (const SlotRow& row : rows) {
    cx.reply.array(3 + row.replicas.size());
    cx.reply.integer(row.slots.first);
    cx.reply.integer(row.slots.last);
    reply_endpoint(view, *row.master, cx.reply);
    for (const NodeView* replica : row.replicas) reply_endpoint(view, *replica, cx.reply);
  }
  return done();
}

// A node is a shard of its own: the master of the slots that it leads.
void reply_shard(const ClusterView& view, const NodeView& node, Reply& reply) {
  const std::vector<SlotRange> ranges = slots_of(view, node.record.id);
  reply.map(2);
  reply.bulk("slots");
  reply.array(2 * ranges.size());
  for (const SlotRange& range : ranges) {
    reply.integer(range.first);
    reply.integer(range.last);
  }
  reply.bulk("nodes");
  reply.array(1);
  reply.map(7);
  reply.bulk("id");
  reply.bulk(node_name(node.record.id));
  reply.bulk("port");
  reply.integer(announced_port(view.announced, node.record));
  reply.bulk("ip");
  reply.bulk(node.record.host);
  reply.bulk("endpoint");
  reply.bulk(node.record.host);
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("replication-offset");
  reply.integer(0);
  reply.bulk("health");
  reply.bulk(node.is_live ? "online" : "failed");
}

Status shards(NodeContext& cx) {
  const ClusterView view = view_of(cx);
  cx.reply.array(view.nodes.size());
  for (const NodeView& node : view.nodes) reply_shard(view, node, cx.reply);
  return done();
}

// No node is another's replica: the copies of a node's partitions are spread over all others.
Status replicas(NodeContext& cx) {
  if (view_of(cx).find_named(cx[2]) == nullptr) return errors::unknown_node(cx[2]);
  cx.reply.array(0);
  return done();
}

Status links(NodeContext& cx) {
  const std::vector<Peers::LineFacts> lines = cluster_of(cx).peers().lines();
  cx.reply.array(lines.size());
  for (const Peers::LineFacts& line : lines) {
    cx.reply.map(6);
    cx.reply.bulk("direction");
    cx.reply.bulk(line.is_dialled_here ? "to" : "from");
    cx.reply.bulk("node");
    cx.reply.bulk(node_name(line.node));
    cx.reply.bulk("create-time");
    cx.reply.integer(line.up_since_unix_ms);
    cx.reply.bulk("events");
    cx.reply.bulk(line.bytes_waiting == 0 ? "r" : "rw");
    cx.reply.bulk("send-buffer-allocated");
    cx.reply.integer(static_cast<int64_t>(line.bytes_waiting));
    cx.reply.bulk("send-buffer-used");
    cx.reply.integer(static_cast<int64_t>(line.bytes_waiting));
  }
  return done();
}

// Only what this node itself thinks is known here.
Status count_failure_reports(NodeContext& cx) {
  const ClusterView view = view_of(cx);
  const NodeView* const node = view.find_named(cx[2]);
  if (node == nullptr) return errors::unknown_node(cx[2]);
  cx.reply.integer(node->is_live ? 0 : 1);
  return done();
}

// ---- slots and keys --------------------------------------------------------------------------------------

Status key_slot_of(NodeContext& cx) {
  cx.reply.integer(key_slot(cx[2]));
  return done();
}

Status count_keys_in_slot(NodeContext& cx) {
  TRY(const int64_t slot, cx.integer(2));
  if (slot < 0 || slot >= kSlotCount) return errors::invalid_slot();
  int64_t count = 0;
  cx.db().for_each_in_slot(static_cast<uint16_t>(slot), [&](const Entry*) { ++count; });
  cx.reply.integer(count);
  return done();
}

Status get_keys_in_slot(NodeContext& cx) {
  TRY(const int64_t slot, cx.integer(2));
  TRY(const int64_t wanted, cx.integer(3));
  if (slot < 0 || slot >= kSlotCount || wanted < 0) return errors::invalid_slot_or_count();
  const Reply::Deferred keys = cx.reply.begin(Reply::Shape::kArray);
  int64_t count = 0;
  cx.db().for_each_in_slot(static_cast<uint16_t>(slot), [&](const Entry* entry) {
    if (count == wanted) return;
    cx.reply.bulk(entry->key());
    ++count;
  });
  cx.reply.end(keys, static_cast<size_t>(count));
  return done();
}

// ---- changes ---------------------------------------------------------------------------------------------

// Begins to join; CLUSTER INFO tells when that is done.
Status meet(NodeContext& cx) {
  if (cx.size() > 5) return errors::subcommand_syntax("cluster", cx[1]);
  const auto port = parse_int(cx[3]);
  if (!port) return errors::invalid_base_port(cx[3]);
  const auto bus_port = cx.size() == 5 ? parse_int(cx[4]) : 0;
  if (!bus_port) return errors::invalid_bus_port(cx[4]);
  const bool is_port = *port > 0 && *port <= kPortMax;
  const int64_t cluster_port = cx.size() == 4 && is_port ? *port + kClusterPortStep : *bus_port;
  const bool is_cluster_port = cluster_port > 0 && cluster_port <= kPortMax;
  const bool is_host = !cx[2].empty() && cx[2].size() <= kHostMax;
  if (!is_host || !is_port || !is_cluster_port) return errors::invalid_node_address(cx[2], cx[3]);
  Company& company = cx.node.company;
  switch (company.cluster().membership()) {
    case Membership::kRefused: return errors::not_a_member(company.cluster().refusal());
    case Membership::kMember: return errors::meet_in_cluster();
    case Membership::kJoining:
    case Membership::kAlone: break;
  }
  if (!company.cluster().may_join()) return errors::node_is_joining();
  if (company.has_data()) return errors::meet_holds_keys();
  if (!company.may_have_company()) return errors::not_without_log();
  company.join({.host = std::string(cx[2]), .port = static_cast<uint16_t>(cluster_port)});
  cx.reply.ok();
  return done();
}

Status forget(NodeContext& cx) {
  const ClusterView view = view_of(cx);
  const NodeView* const node = view.find_named(cx[2]);
  if (node == nullptr) return errors::unknown_node(cx[2]);
  if (node->is_self) return errors::cannot_forget_myself();
  return wish_removal(cx, view, node->record.id);
}

Status unsafe_recover(NodeContext& cx) { return wish_without(cx); }

// Leaderships come to this node one by one; CLUSTER INFO of this node tells.
Status failover(NodeContext& cx) {
  if (cx.size() > 3) return errors::subcommand_syntax("cluster", cx[1]);
  if (cx.size() == 3) {
    if (!same_word(cx[2], "force") && !same_word(cx[2], "takeover")) return ErrorCode::kSyntax;
    return errors::failover_by_force();
  }
  ClusterNode& cluster = cluster_of(cx);
  if (cluster.groups().should_not_lead()) return errors::should_not_lead();
  if (cluster.membership() != Membership::kMember || cluster.take_over(cx.now()) == 0) return errors::nothing_to_take_over();
  cx.reply.ok();
  return done();
}

// The members' own log is their configuration: it is durable, and its numbers are not set by hand.
Status placed_by_cluster(NodeContext& cx) { return errors::placed_by_cluster(cx[1]); }

Status read_only(NodeContext& cx) {
  cx.session.set(kReadonlyReplica);
  cx.reply.ok();
  return done();
}

Status read_write(NodeContext& cx) {
  cx.session.clear(kReadonlyReplica);
  cx.reply.ok();
  return done();
}

// No key is ever half moved, so nothing is answered ASK and nobody needs leave.
Status asking(NodeContext& cx) {
  cx.reply.ok();
  return done();
}

constexpr uint32_t kByHand = kAdmin | kStale | kNoAsyncLoading;
constexpr std::string_view kByItself = "Refused: the cluster places slots, copies and leaders itself.";

constexpr CommandSpec kTable[] = {
    {.name = "asking", .arity = 1, .flags = kFast,
     .summary = "Accepted, has no effect: nothing is ever answered ASK.", .complexity = "O(1)", .since = "3.0.0",
     .group = Group::kCluster, .acl = "connection", .run_on_node = asking},
    {.name = "cluster|addslots", .arity = -3, .flags = kByHand, .syntax = "slot:int [slot ...]", .summary = kByItself,
     .complexity = "O(1)", .since = "3.0.0", .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|addslotsrange", .arity = -4, .flags = kByHand,
     .syntax = "start-slot:int end-slot:int [start-slot end-slot ...]", .summary = kByItself, .complexity = "O(1)",
     .since = "7.0.0", .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|bumpepoch", .arity = 2, .flags = kByHand, .summary = kByItself, .complexity = "O(1)", .since = "3.0.0",
     .group = Group::kCluster, .tips = "nondeterministic_output", .run_on_node = placed_by_cluster},
    {.name = "cluster|count-failure-reports", .arity = 3, .flags = kAdmin | kStale, .syntax = "node-id",
     .summary = "Returns 1 if this node does not hear the other, else 0.", .complexity = "O(N) in the number of nodes",
     .since = "3.0.0", .group = Group::kCluster, .tips = "nondeterministic_output", .run_on_node = count_failure_reports},
    {.name = "cluster|countkeysinslot", .arity = 3, .flags = kStale, .syntax = "slot:int",
     .summary = "Returns how many keys of a slot this node has in the selected database.",
     .complexity = "O(N) in the keys of the slot's partition", .since = "3.0.0", .group = Group::kCluster,
     .run_on_node = count_keys_in_slot},
    {.name = "cluster|delslots", .arity = -3, .flags = kByHand, .syntax = "slot:int [slot ...]", .summary = kByItself,
     .complexity = "O(1)", .since = "3.0.0", .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|delslotsrange", .arity = -4, .flags = kByHand,
     .syntax = "start-slot:int end-slot:int [start-slot end-slot ...]", .summary = kByItself, .complexity = "O(1)",
     .since = "7.0.0", .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|failover", .arity = -2, .flags = kByHand, .syntax = "[FORCE | TAKEOVER]",
     .summary = "Hands the leadership of all partitions that this node has a voting copy of over to it, for a minute at least.",
     .complexity = "O(N) in the number of partitions", .since = "3.0.0", .group = Group::kCluster, .run_on_node = failover},
    {.name = "cluster|flushslots", .arity = 2, .flags = kByHand, .summary = kByItself, .complexity = "O(1)", .since = "3.0.0",
     .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|forget", .arity = 3, .flags = kByHand, .syntax = "node-id",
     .summary = "Removes a node that holds nothing any more from the cluster, for good; the same as QUORUM REMOVE.",
     .complexity = "O(N) in the number of nodes", .since = "3.0.0", .group = Group::kCluster, .run_on_node = forget},
    {.name = "cluster|getkeysinslot", .arity = 4, .flags = kStale, .syntax = "slot:int count:int",
     .summary = "Returns keys of a slot that this node has in the selected database.",
     .complexity = "O(N) in the keys of the slot's partition", .since = "3.0.0", .group = Group::kCluster,
     .tips = "nondeterministic_output", .run_on_node = get_keys_in_slot},
    {.name = "cluster|help", .arity = 2, .flags = kLoading | kStale, .summary = "Lists the subcommands of CLUSTER.",
     .complexity = "O(1)", .since = "5.0.0", .group = Group::kCluster},
    {.name = "cluster|info", .arity = 2, .flags = kStale,
     .summary = "Returns the health of the cluster, as this node sees it; a node that is alone is a cluster of one.",
     .complexity = "O(N) in the number of partitions", .since = "3.0.0", .group = Group::kCluster,
     .tips = "nondeterministic_output", .run_on_node = info},
    {.name = "cluster|keyslot", .arity = 3, .flags = kStale, .syntax = "key:string", .summary = "Returns the slot of a key.",
     .complexity = "O(N) in the bytes of the key", .since = "3.0.0", .group = Group::kCluster, .run_on_node = key_slot_of},
    {.name = "cluster|links", .arity = 2, .flags = kStale, .summary = "Returns the connections with other nodes: three a node.",
     .complexity = "O(N) in the number of nodes", .since = "7.0.0", .group = Group::kCluster,
     .tips = "nondeterministic_output", .run_on_node = links},
    {.name = "cluster|meet", .arity = -4, .flags = kByHand, .syntax = "ip port:int [cluster_bus_port:int]",
     .summary = "Makes this node, which must be alone and empty, join the cluster that the other one belongs to. Said again, the last one counts.",
     .complexity = "O(1)", .since = "3.0.0", .history = "4.0.0: Takes the port for nodes.", .group = Group::kCluster,
     .run_on_node = meet},
    {.name = "cluster|myid", .arity = 2, .flags = kStale, .summary = "Returns the name of this node.", .complexity = "O(1)",
     .since = "3.0.0", .group = Group::kCluster, .run_on_node = my_id},
    {.name = "cluster|myshardid", .arity = 2, .flags = kStale,
     .summary = "Returns the name of this node: each node is a shard of its own.", .complexity = "O(1)", .since = "7.2.0",
     .group = Group::kCluster, .tips = "nondeterministic_output", .run_on_node = my_id},
    {.name = "cluster|nodes", .arity = 2, .flags = kStale,
     .summary = "Returns a line for each node: a master of the slots that it leads.",
     .complexity = "O(N) in the number of nodes and partitions", .since = "3.0.0", .group = Group::kCluster,
     .tips = "nondeterministic_output", .run_on_node = nodes},
    {.name = "cluster|replicas", .arity = 3, .flags = kAdmin | kStale, .syntax = "node-id",
     .summary = "Returns nothing: no node is another's replica.", .complexity = "O(1)", .since = "5.0.0",
     .group = Group::kCluster, .tips = "nondeterministic_output", .run_on_node = replicas},
    {.name = "cluster|replicate", .arity = 3, .flags = kByHand, .syntax = "node-id", .summary = kByItself, .complexity = "O(1)",
     .since = "3.0.0", .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|reset", .arity = -2, .flags = kAdmin | kNoScript | kStale, .syntax = "[HARD | SOFT]", .summary = kByItself,
     .complexity = "O(1)", .since = "3.0.0", .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|saveconfig", .arity = 2, .flags = kByHand, .summary = kByItself, .complexity = "O(1)", .since = "3.0.0",
     .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|set-config-epoch", .arity = 3, .flags = kByHand, .syntax = "config-epoch:int", .summary = kByItself,
     .complexity = "O(1)", .since = "3.0.0", .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|setslot", .arity = -4, .flags = kByHand,
     .syntax = "slot:int <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>", .summary = kByItself,
     .complexity = "O(1)", .since = "3.0.0", .group = Group::kCluster, .run_on_node = placed_by_cluster},
    {.name = "cluster|shards", .arity = 2, .flags = kStale,
     .summary = "Returns the nodes with the slots that they lead.", .complexity = "O(N) in the number of nodes and partitions",
     .since = "7.0.0", .group = Group::kCluster, .tips = "nondeterministic_output", .run_on_node = shards},
    {.name = "cluster|slaves", .arity = 3, .flags = kAdmin | kStale, .syntax = "node-id",
     .summary = "Returns nothing: no node is another's replica.", .complexity = "O(1)", .since = "3.0.0",
     .deprecated_since = "5.0.0", .replaced_by = "`CLUSTER REPLICAS`", .group = Group::kCluster,
     .tips = "nondeterministic_output", .run_on_node = replicas},
    {.name = "cluster|slots", .arity = 2, .flags = kStale,
     .summary = "Returns which node serves which slots.", .complexity = "O(N) in the number of partitions", .since = "3.0.0",
     .history = "4.0.0: Names of nodes.; 7.0.0: Other addresses of nodes.", .deprecated_since = "7.0.0",
     .replaced_by = "`CLUSTER SHARDS`", .group = Group::kCluster, .tips = "nondeterministic_output", .run_on_node = slots},
    {.name = "cluster|unsafe-recover", .arity = -3, .flags = kAdmin | kNoScript | kStale, .syntax = "[EMPTY] node-id [node-id ...]",
     .summary = "Gives up nodes that are lost for good, so that the copies left go on without a quorum; the same as QUORUM UNSAFE-RECOVER.",
     .complexity = "O(N) in the number of partitions", .since = "0.1.0", .group = Group::kCluster, .run_on_node = unsafe_recover},
    {.name = "readonly", .arity = 1, .flags = kLoading | kStale | kFast,
     .summary = "Lets reads of the connection be answered from this node's copy, unless CLIENT QUORUM says otherwise.",
     .complexity = "O(1)", .since = "3.0.0", .group = Group::kCluster, .acl = "connection", .run_on_node = read_only},
    {.name = "readwrite", .arity = 1, .flags = kLoading | kStale | kFast, .summary = "Takes READONLY back.",
     .complexity = "O(1)", .since = "3.0.0", .group = Group::kCluster, .acl = "connection", .run_on_node = read_write},
};
static_assert(well_formed(kTable), "cmd_cluster.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> cluster_commands() { return kTable; }

}  // namespace quorate

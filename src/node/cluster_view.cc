// Rows and lines from the view of a cluster.
#include "node/cluster_view.h"

#include <algorithm>

#include "util/check.h"

namespace quorate {

namespace {

SlotRange slots_of_partition(const ClusterView& view, uint32_t partition) {
  const uint32_t width = kSlotCount / static_cast<uint32_t>(view.partitions.size());
  return {partition * width, (partition + 1) * width - 1};
}

std::string_view state_flags(const NodeView& node) {
  if (node.is_self) return "myself,master";
  return node.is_live ? "master" : "master,fail";
}

}  // namespace

// ---- finding ---------------------------------------------------------------------------------------------

const NodeView& ClusterView::self() const {
  const auto own = std::find_if(nodes.begin(), nodes.end(), [](const NodeView& each) { return each.is_self; });
  CHECK(own != nodes.end());
  return *own;
}

const NodeView* ClusterView::find(NodeId node) const {
  const auto place = std::lower_bound(nodes.begin(), nodes.end(), node,
                                      [](const NodeView& each, NodeId id) { return each.record.id < id; });
  return place != nodes.end() && place->record.id == node ? &*place : nullptr;
}

const NodeView* ClusterView::find_named(std::string_view name) const {
  if (const auto id = node_by_name(name)) return find(*id);
  for (const NodeView& node : nodes) {
    const MemberRecord& record = node.record;
    for (const uint16_t port : {record.port, record.client_port}) {
      if (port != 0 && name == address_text(record.host, port)) return &node;
    }
  }
  return nullptr;
}

size_t ClusterView::led_by(NodeId node) const {
  return static_cast<size_t>(std::count_if(partitions.begin(), partitions.end(),
                                           [&](const PartitionView& each) { return each.leader == node; }));
}

size_t ClusterView::held_by(NodeId node) const {
  return static_cast<size_t>(std::count_if(partitions.begin(), partitions.end(), [&](const PartitionView& each) {
    return std::find(each.copies.begin(), each.copies.end(), node) != each.copies.end();
  }));
}

// ---- slots -----------------------------------------------------------------------------------------------

uint16_t announced_port(ClusterView::Announced announced, const MemberRecord& member) {
  const bool has_cluster_door = announced == ClusterView::Announced::kClusterDoor && member.client_port != 0;
  return has_cluster_door ? member.client_port : member.port;
}

const NodeView& announced_node(const ClusterView& view, uint32_t partition) {
  const PartitionView& from = view.partitions[partition];
  if (const NodeView* const leader = from.leader == 0 ? nullptr : view.find(from.leader)) return *leader;
  const NodeView* any = nullptr;
  for (const NodeId copy : from.copies) {
    const NodeView* const node = view.find(copy);
    if (node == nullptr) continue;
    if (node->is_live) return *node;
    if (any == nullptr) any = node;
  }
  return any != nullptr ? *any : view.self();
}

std::vector<SlotRow> slot_rows(const ClusterView& view) {
  std::vector<const NodeView*> masters;
  for (uint32_t partition = 0; partition < view.partitions.size(); ++partition) {
    masters.push_back(&announced_node(view, partition));
  }
  std::vector<SlotRow> rows;
  for (uint32_t partition = 0; partition < view.partitions.size(); ++partition) {
    SlotRow row{.slots = slots_of_partition(view, partition), .master = masters[partition], .replicas = {}};
    for (const NodeId copy : view.partitions[partition].copies) {
      const NodeView* const node = view.find(copy);
      const bool is_replica = node != nullptr && node->is_live && std::find(masters.begin(), masters.end(), node) == masters.end();
      if (is_replica) row.replicas.push_back(node);
    }
    if (!rows.empty() && rows.back().master == row.master && rows.back().replicas == row.replicas) {
      rows.back().slots.last = row.slots.last;
    } else {
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::vector<SlotRange> slots_of(const ClusterView& view, NodeId node) {
  std::vector<SlotRange> ranges;
  for (uint32_t partition = 0; partition < view.partitions.size(); ++partition) {
    if (announced_node(view, partition).record.id != node) continue;
    const SlotRange slots = slots_of_partition(view, partition);
    if (!ranges.empty() && ranges.back().last + 1 == slots.first) {
      ranges.back().last = slots.last;
    } else {
      ranges.push_back(slots);
    }
  }
  return ranges;
}

// ---- text ------------------------------------------------------------------------------------------------

std::string address_text(std::string_view host, uint16_t port) { return std::string(host) + ':' + std::to_string(port); }

std::string nodes_text(const ClusterView& view) {
  std::string text;
  for (const NodeView& node : view.nodes) {
    const MemberRecord& record = node.record;
    text += node_name(record.id) + ' ' + address_text(record.host, announced_port(view.announced, record)) + '@' +
            std::to_string(record.cluster_port) + ' ';
    text += state_flags(node);
    // Nobody's replica; no pings of Redis' kind are under way.
    text += " - 0 " + std::to_string(node.heard_unix_ms) + ' ' + std::to_string(view.epoch);
    text += node.is_linked ? " connected" : " disconnected";
    for (const SlotRange& slots : slots_of(view, record.id)) {
      text += ' ' + std::to_string(slots.first);
      if (slots.last != slots.first) text += '-' + std::to_string(slots.last);
    }
    text += '\n';
  }
  return text;
}

ClusterHealth health_of(const ClusterView& view) {
  ClusterHealth health;
  for (const PartitionView& partition : view.partitions) {
    if (partition.leader == 0) ++health.leaderless;
    if (partition.ready < view.copies_wanted) ++health.under_replicated;
  }
  for (const NodeView& node : view.nodes) {
    if (view.led_by(node.record.id) != 0) ++health.masters;
    if (node.is_live) ++health.live;
  }
  return health;
}

std::string cluster_info_text(const ClusterView& view) {
  const ClusterHealth health = health_of(view);
  const auto partitions = static_cast<uint32_t>(view.partitions.size());
  const uint32_t failed_slots = health.leaderless * (kSlotCount / partitions);
  std::string text;
  const auto line = [&](std::string_view name, std::string_view value) {
    text.append(name).append(":").append(value).append("\r\n");
  };
  const auto count = [&](std::string_view name, uint64_t value) { line(name, std::to_string(value)); };
  line("cluster_state", health.is_ok() ? "ok" : "fail");
  count("cluster_slots_assigned", kSlotCount);
  count("cluster_slots_ok", kSlotCount - failed_slots);
  count("cluster_slots_pfail", 0);
  count("cluster_slots_fail", failed_slots);
  count("cluster_known_nodes", view.nodes.size());
  count("cluster_size", health.masters);
  count("cluster_current_epoch", view.epoch);
  count("cluster_my_epoch", view.epoch);
  // Redis' bus does not exist here.
  count("cluster_stats_messages_sent", 0);
  count("cluster_stats_messages_received", 0);
  count("total_cluster_links_buffer_limit_exceeded", 0);
  count("cluster_stats_connections_refused", view.refused_connections);
  count("cluster_partitions", partitions);
  count("cluster_under_replicated_partitions", health.under_replicated);
  count("cluster_leaderless_partitions", health.leaderless);
  return text;
}

std::string_view name_of(CopyRole role) {
  switch (role) {
    case CopyRole::kLeader: return "leader";
    case CopyRole::kFollower: return "follower";
    case CopyRole::kLearner: return "learner";
  }
  return {};
}

}  // namespace quorate

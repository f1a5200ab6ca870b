// What CLUSTER tells, from made-up facts.
#include "node/cluster_view.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate {
namespace {

// Nodes 1, 2, ...; the first is the one that looks.  Four partitions of 4096 slots; partition p is led by node p % count + 1 and has copies
// on all nodes.
ClusterView view_of(NodeId count) {
  ClusterView view{.epoch = 7, .copies_wanted = static_cast<uint32_t>(count), .nodes = {}, .partitions = {}};
  for (NodeId id = 1; id <= count; ++id) {
    NodeView& node = view.nodes.emplace_back();
    node.record = {.id = id,
                   .host = "10.0.0." + std::to_string(id),
                   .port = 7001,
                   .cluster_port = 17001,
                   .client_port = 8001};
    node.is_self = id == 1;
    node.heard_unix_ms = id == 1 ? 0 : 1000;
  }
  for (uint32_t partition = 0; partition < 4; ++partition) {
    PartitionView& each = view.partitions.emplace_back();
    each.leader = partition % count + 1;
    each.copies.push_back(each.leader);
    for (NodeId id = 1; id <= count; ++id) {
      if (id != each.leader) each.copies.push_back(id);
    }
    each.ready = static_cast<uint32_t>(count);
  }
  return view;
}

std::string rows_text(const ClusterView& view) {
  std::string text;
  for (const SlotRow& row : slot_rows(view)) {
    text += std::to_string(row.slots.first) + "-" + std::to_string(row.slots.last) + " " + std::to_string(row.master->record.id);
    for (const NodeView* replica : row.replicas) text += " +" + std::to_string(replica->record.id);
    text += "\n";
  }
  return text;
}

std::string field(const std::string& text, const std::string& name) {
  const size_t at = text.find(name + ":");
  if (at == std::string::npos) return "(missing)";
  const size_t begin = at + name.size() + 1;
  return text.substr(begin, text.find("\r\n", begin) - begin);
}

TEST(ClusterView, one_node_is_the_master_of_all_slots) {
  const ClusterView view = view_of(1);
  EXPECT_EQ(rows_text(view), "0-16383 1\n");
  EXPECT_EQ(nodes_text(view), node_name(1) + " 10.0.0.1:8001@17001 myself,master - 0 0 7 connected 0-16383\n");
}

TEST(ClusterView, each_node_is_a_master_of_what_it_leads_and_nobodys_replica) {
  const ClusterView view = view_of(3);
  EXPECT_EQ(rows_text(view), "0-4095 1\n4096-8191 2\n8192-12287 3\n12288-16383 1\n");
  EXPECT_EQ(nodes_text(view), node_name(1) + " 10.0.0.1:8001@17001 myself,master - 0 0 7 connected 0-4095 12288-16383\n" +
                                  node_name(2) + " 10.0.0.2:8001@17001 master - 0 1000 7 connected 4096-8191\n" +
                                  node_name(3) + " 10.0.0.3:8001@17001 master - 0 1000 7 connected 8192-12287\n");
}

TEST(ClusterView, a_node_that_leads_nothing_is_a_replica_while_it_lives) {
  ClusterView view = view_of(3);
  view.partitions[2].leader = 2;
  EXPECT_EQ(rows_text(view), "0-4095 1 +3\n4096-12287 2 +3\n12288-16383 1 +3\n");
  view.nodes[2].is_live = false;
  EXPECT_EQ(rows_text(view), "0-4095 1\n4096-12287 2\n12288-16383 1\n");
  EXPECT_NE(nodes_text(view).find("master,fail"), std::string::npos);
}

TEST(ClusterView, slots_without_a_leader_are_announced_at_a_copy_that_lives) {
  ClusterView view = view_of(3);
  view.nodes[1].is_live = false;
  view.partitions[1].leader = 0;
  EXPECT_EQ(announced_node(view, 1).record.id, 1u);
  EXPECT_EQ(rows_text(view), "0-8191 1\n8192-12287 3\n12288-16383 1\n");
  // Nobody lives who has one: the copy itself.
  view.partitions[1].copies = {2};
  EXPECT_EQ(announced_node(view, 1).record.id, 2u);
  // Nobody has one that is still a member.
  view.partitions[1].copies = {9};
  EXPECT_EQ(announced_node(view, 1).record.id, 1u);
}

TEST(ClusterView, health_counts_partitions_without_leader_and_with_too_few_copies) {
  ClusterView view = view_of(3);
  std::string text = cluster_info_text(view);
  EXPECT_EQ(field(text, "cluster_state"), "ok");
  EXPECT_EQ(field(text, "cluster_slots_assigned"), "16384");
  EXPECT_EQ(field(text, "cluster_slots_ok"), "16384");
  EXPECT_EQ(field(text, "cluster_known_nodes"), "3");
  EXPECT_EQ(field(text, "cluster_size"), "3");
  EXPECT_EQ(field(text, "cluster_partitions"), "4");
  EXPECT_EQ(field(text, "cluster_under_replicated_partitions"), "0");
  EXPECT_EQ(field(text, "cluster_leaderless_partitions"), "0");
  view.partitions[1].leader = 0;
  view.partitions[1].ready = 1;
  view.partitions[3].ready = 2;
  text = cluster_info_text(view);
  EXPECT_EQ(field(text, "cluster_state"), "fail");
  EXPECT_EQ(field(text, "cluster_slots_ok"), "12288");
  EXPECT_EQ(field(text, "cluster_slots_fail"), "4096");
  EXPECT_EQ(field(text, "cluster_size"), "2");
  EXPECT_EQ(field(text, "cluster_under_replicated_partitions"), "2");
  EXPECT_EQ(field(text, "cluster_leaderless_partitions"), "1");
}

TEST(ClusterView, fields_that_redis_has_come_first_and_end_in_line_breaks) {
  const std::string text = cluster_info_text(view_of(1));
  EXPECT_EQ(text.substr(0, text.find("\r\n")), "cluster_state:ok");
  EXPECT_TRUE(text.ends_with("\r\n"));
}

TEST(ClusterView, a_node_is_found_by_its_name_or_address) {
  const ClusterView view = view_of(3);
  EXPECT_EQ(view.find_named(node_name(2)), &view.nodes[1]);
  EXPECT_EQ(view.find_named("10.0.0.3:7001"), &view.nodes[2]);
  EXPECT_EQ(view.find_named("10.0.0.3:8001"), &view.nodes[2]);
  EXPECT_EQ(view.find_named("10.0.0.3"), nullptr);
  EXPECT_EQ(view.find_named(node_name(4)), nullptr);
  EXPECT_EQ(view.find_named(""), nullptr);
}

TEST(ClusterView, without_a_door_for_cluster_clients_the_main_port_is_announced) {
  ClusterView view = view_of(2);
  view.nodes[1].record.client_port = 0;
  EXPECT_EQ(announced_port(view.announced, view.nodes[0].record), 8001);
  EXPECT_EQ(announced_port(view.announced, view.nodes[1].record), 7001);
}

TEST(ClusterView, the_main_ports_are_announced_if_the_settings_say_so) {
  ClusterView view = view_of(1);
  view.announced = ClusterView::Announced::kMainDoor;
  EXPECT_EQ(nodes_text(view), node_name(1) + " 10.0.0.1:7001@17001 myself,master - 0 0 7 connected 0-16383\n");
}

TEST(ClusterView, led_and_held_partitions_are_counted) {
  const ClusterView view = view_of(3);
  EXPECT_EQ(view.led_by(1), 2u);
  EXPECT_EQ(view.led_by(3), 1u);
  EXPECT_EQ(view.held_by(3), 4u);
  EXPECT_EQ(view.held_by(9), 0u);
}

}  // namespace
}  // namespace quorate

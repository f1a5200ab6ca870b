// Whole nodes that find each other: tests/sim/cluster_world.h without faults and clients.
#include "tests/sim/cluster_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "node/company.h"
#include "node/state.h"

namespace quorate::sim {
namespace {

constexpr int64_t kSecond = 1'000'000;

ClusterSwarm calm_cluster(uint32_t nodes) {
  ClusterSwarm swarm;
  swarm.nodes = nodes;
  swarm.partitions = 8;
  swarm.boot_spread_us = kSecond / 2;
  return swarm;
}

// How long it takes; -1: too long.
int64_t settle_us(ClusterWorld& world) {
  const int64_t begin = world.now_us();
  while (world.now_us() < begin + 20 * kSecond) {
    world.run(world.now_us() + kSecond / 20);
    if (world.is_settled() || !world.wrong().empty()) return world.now_us() - begin;
  }
  return -1;
}

TEST(ClusterWorld, nodes_that_join_get_copies_of_all_partitions) {
  for (const uint32_t nodes : {2u, 3u, 5u}) {
    ClusterWorld world({.seed = nodes}, calm_cluster(nodes));
    EXPECT_GE(settle_us(world), 0) << world.describe_unsettled();
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(ClusterWorld, leaders_are_spread) {
  ClusterWorld world({.seed = 7}, calm_cluster(3));
  ASSERT_GE(settle_us(world), 0) << world.describe_unsettled();
  world.run(world.now_us() + 10 * kSecond);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_GE(world.led_by(machine), 2u);
    EXPECT_LE(world.led_by(machine), 3u);
  }
}

// Of partitions that the machine leads: in how many voters are being changed, or three vote.
struct Growth {
  uint32_t changing = 0;
  uint32_t grown = 0;
};
Growth growth_of(ClusterWorld& world, uint32_t machine = 0) {
  Growth growth;
  if (world.node(machine) == nullptr) return growth;
  const Company& company = world.node(machine)->node().state().company;
  for (uint32_t partition = 0; partition < 8 && company.is_started(); ++partition) {
    const raft::Core* const core = company.cluster().partitions().core(partition);
    if (core == nullptr || core->role() != raft::RoleName::kLeader) continue;
    if (core->configuration().joint()) ++growth.changing;
    const raft::Configuration& committed = core->committed_configuration().configuration;
    if (!committed.joint() && committed.incoming.voters.size() == 3) ++growth.grown;
  }
  return growth;
}

void run_until_voters_change(ClusterWorld& world) {
  for (int step = 0; step < 20'000 && growth_of(world).changing == 0; ++step) world.run(world.now_us() + kSecond / 5000);
  ASSERT_NE(growth_of(world).changing, 0u) << world.describe_unsettled();
}

ClusterSwarm quick_start() {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.boot_spread_us = 0;
  swarm.disk_us = 2'000;
  return swarm;
}

TEST(ClusterWorld, leaders_can_commit_once_a_node_has_ended_while_they_were_given_votes) {
  for (int64_t delay_us = 0; delay_us < kSecond / 50; delay_us += kSecond / 500) {
    ClusterWorld world({.seed = 5}, quick_start());
    run_until_voters_change(world);
    world.run(world.now_us() + delay_us);
    world.end_now(0);
    world.run(world.now_us() + 4 * kSecond);
    EXPECT_EQ(world.node(0), nullptr);
    uint32_t grown = 0;
    for (uint32_t partition = 0; partition < 8; ++partition) {
      bool has_three = false;
      bool is_served = false;
      for (uint32_t machine = 1; machine < 3; ++machine) {
        const Company& company = world.node(machine)->node().state().company;
        const raft::Core* const core = company.cluster().partitions().core(partition);
        has_three = has_three || (core != nullptr && core->configuration().incoming.voters.size() == 3);
        is_served = is_served || company.serves(partition);
      }
      EXPECT_TRUE(is_served || !has_three) << delay_us << ' ' << partition;
      if (has_three) ++grown;
    }
    EXPECT_GT(grown, 0u);
    EXPECT_EQ(world.wrong(), "");
  }
}

// The world's own rule: others go on at once, and nothing else fails.
TEST(ClusterWorld, a_partition_that_nobody_serves_while_a_node_is_away_is_noticed) {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.is_gentle = true;
  ClusterWorld world({.seed = 9}, swarm);
  ASSERT_GE(settle_us(world), 0) << world.describe_unsettled();
  world.run(world.now_us() + 2 * kSecond);
  world.end_now(0);
  world.run(world.now_us() + 5 * kSecond);
  ASSERT_EQ(world.node(0), nullptr);
  EXPECT_EQ(world.wrong(), "");
  world.kill_now(1);
  world.run(world.now_us() + 2 * kSecond);
  EXPECT_NE(world.wrong().find("n1 has ended in good order, and nobody serves partition"), std::string::npos) << world.wrong();
}

// "Under-replicated" is what operators look at before they take a node away.
TEST(ClusterWorld, a_copy_that_shall_vote_counts_once_it_does) {
  ClusterWorld world({.seed = 5}, quick_start());
  run_until_voters_change(world);
  SimNode& node = *world.node(0);
  const int client = node.connect();
  const auto is_whole = [&] {
    node.send(client, "*2\r\n$7\r\nCLUSTER\r\n$4\r\nINFO\r\n");
    node.end_turn();
    while (node.is_sending(client)) node.drain_socket(client);
    return std::exchange(node.received(client), {}).find("cluster_under_replicated_partitions:0\r\n") != std::string::npos;
  };
  for (int step = 0; step < 20'000 && !is_whole(); ++step) world.run(world.now_us() + kSecond / 5000);
  ASSERT_TRUE(is_whole()) << world.describe_unsettled();
  uint32_t grown = 0;
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(growth_of(world, machine).changing, 0u);
    grown += growth_of(world, machine).grown;
  }
  EXPECT_EQ(grown, 8u);
}

TEST(ClusterWorld, one_seed_gives_one_trace) {
  std::vector<uint64_t> traces;
  for (int run = 0; run < 2; ++run) {
    ClusterWorld world({.seed = 11}, calm_cluster(3));
    world.start_clients();
    world.run(world.now_us() + 5 * kSecond);
    EXPECT_EQ(world.wrong(), "");
    traces.push_back(world.trace());
  }
  EXPECT_EQ(traces[0], traces[1]);
}

TEST(ClusterWorld, a_node_alone_serves_clients) {
  ClusterWorld world({.seed = 3}, calm_cluster(1));
  world.start_clients();
  world.run(world.now_us() + 2 * kSecond);
  EXPECT_EQ(world.wrong(), "");
  EXPECT_GT(world.clients().answered(), 50u);
}

}  // namespace
}  // namespace quorate::sim

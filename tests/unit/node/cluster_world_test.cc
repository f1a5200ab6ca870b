// Whole nodes that find each other: tests/sim/cluster_world.h without faults and clients.
#include "tests/sim/cluster_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

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

// Most nodes are lost for good, and an operator lets the others go on: whole nodes (tests/sim/cluster_world.h) under the load of clients.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "node/losses.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

// In a network that is quiet everybody has by then what was acknowledged.
constexpr int64_t kOnItsWayUs = kSecondUs / 2;
// ... and synced it within this, with `appendfsync everysec`.
constexpr int64_t kSyncedUs = 3 * kSecondUs;

struct Disaster {
  uint32_t nodes = 3;
  uint32_t replication = 3;
  std::vector<uint32_t> lost = {};
  bool begins_empty = false;
  bool loses_power = false;   // all of them, of which those that are not lost come back
  bool in_memory = false;
};

ClusterSwarm busy_cluster(const Disaster& disaster, uint64_t seed) {
  ClusterSwarm swarm = calm_cluster(disaster.nodes);
  swarm.replication = disaster.replication;
  swarm.clients = 5;
  swarm.think_us = 8'000;
  swarm.jitter_us = static_cast<int64_t>(seed % 3) * 2'000;
  swarm.other_levels = 0.2;
  swarm.local_reads = 0.2;
  swarm.in_memory = disaster.in_memory;
  return swarm;
}

// Words of a command at a node that is left, again until it is heard that the others are silent.
std::string recover(CalmCluster& cluster, uint32_t machine, const std::vector<std::string>& words) {
  std::string answer;
  for (int attempt = 0; attempt < 20; ++attempt) {
    answer = cluster.ask(machine, words, 8 * kSecondUs);
    const bool must_wait = answer.find("is heard of") != std::string::npos || answer.find("nor heard of") != std::string::npos;
    if (!must_wait) break;
    cluster.pass(kSecondUs / 5);
  }
  return answer;
}

std::set<uint32_t> partitions_recovered(CalmCluster& cluster, const Disaster& disaster) {
  std::set<uint32_t> partitions;
  for (uint32_t machine = 0; machine < disaster.nodes; ++machine) {
    if (cluster.world().node(machine) == nullptr) continue;
    for (const Loss& loss : cluster.company(machine).losses().of(Loss::Kind::kRecovery)) partitions.insert(loss.partition);
  }
  return partitions;
}

void heal_and_judge(CalmCluster& cluster) {
  ClusterWorld& world = cluster.world();
  world.heal();
  world.clients().begin_verification();
  for (int step = 0; step < 1200 && !world.clients().is_verified() && cluster.wrong().empty(); ++step) cluster.pass(kSecondUs / 20);
  ASSERT_TRUE(world.clients().is_verified()) << world.clients().describe_unverified() << world.describe_unsettled();
  for (int step = 0; step < 1200 && !world.is_settled() && cluster.wrong().empty(); ++step) cluster.pass(kSecondUs / 20);
  EXPECT_EQ(world.describe_unsettled(), "");
  ASSERT_EQ(cluster.wrong(), "");
  uint64_t undecided = 0;
  EXPECT_EQ(world.clients().check(undecided), "");
}

void survive(const Disaster& disaster, uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  CalmCluster cluster(busy_cluster(disaster, seed), seed);
  ClusterWorld& world = cluster.world();
  world.start_clients();
  cluster.pass(disaster.loses_power ? 2 * kSyncedUs : 3 * kSecondUs);
  std::vector<std::string> words{"QUORUM", "UNSAFE-RECOVER"};
  if (disaster.begins_empty) words.push_back("EMPTY");
  for (const uint32_t machine : disaster.lost) words.push_back(node_name(cluster.company(machine).cluster().own().id));
  const int64_t kept_us = world.now_us() - (disaster.loses_power ? kSyncedUs : kOnItsWayUs);
  const int64_t lost_since_us = disaster.begins_empty ? 0 : kept_us;
  if (disaster.loses_power) {
    world.lose_all_power(disaster.lost);
    world.clients().forget_since(lost_since_us);
  } else {
    world.lose_for_good(disaster.lost);
  }
  const auto is_lost = [&](uint32_t machine) { return std::find(disaster.lost.begin(), disaster.lost.end(), machine) != disaster.lost.end(); };
  uint32_t left = 0;
  while (is_lost(left)) ++left;
  cluster.pass(kSecondUs);
  if (disaster.loses_power) cluster.connect_again(left);
  ASSERT_EQ(recover(cluster, left, words), "+OK\r\n");
  world.clients().forget_since(lost_since_us);
  const uint64_t answered = world.clients().writes_answered();
  cluster.pass(4 * kSecondUs);
  // Most of them ask machines that are not there.
  EXPECT_GT(world.clients().writes_answered(), answered);
  ASSERT_EQ(cluster.wrong(), "");
  const bool loses_all = disaster.replication == disaster.nodes;
  if (loses_all) {
    // Of two nodes each votes for half of the partitions, and learns the others.
    EXPECT_EQ(partitions_recovered(cluster, disaster).size(), disaster.nodes == 2 ? kCalmPartitions / 2 : kCalmPartitions);
  }
  heal_and_judge(cluster);
}

TEST(RecoveryWorld, one_of_three_goes_on_with_what_it_holds) {
  for (uint64_t seed = 1; seed <= 2; ++seed) survive({.lost = seed % 2 == 0 ? std::vector<uint32_t>{0, 1} : std::vector<uint32_t>{1, 2}}, seed);
}

TEST(RecoveryWorld, two_of_five_go_on_with_what_the_fuller_one_holds) {
  for (uint64_t seed = 1; seed <= 2; ++seed) survive({.nodes = 5, .replication = 5, .lost = {0, 2, 4}}, seed);
}

TEST(RecoveryWorld, of_two_nodes_the_one_that_is_left_goes_on_with_voters_and_learners) {
  for (const uint32_t lost : {0u, 1u}) survive({.nodes = 2, .replication = 2, .lost = {lost}}, 5 + lost);
}

// They are enough by number, and may have forgotten what they acknowledged.
TEST(RecoveryWorld, all_lose_power_and_one_of_three_never_comes_back) {
  for (const uint32_t lost : {0u, 1u, 2u}) survive({.lost = {lost}, .loses_power = true}, 11 + lost);
}

TEST(RecoveryWorld, all_lose_power_and_one_or_two_of_five_never_come_back) {
  survive({.nodes = 5, .replication = 5, .lost = {3}, .loses_power = true}, 21);
  survive({.nodes = 5, .replication = 5, .lost = {0, 4}, .loses_power = true}, 22);
}

TEST(RecoveryWorld, without_logs_all_end_and_what_is_left_begins_with_nothing) {
  survive({.lost = {1}, .begins_empty = true, .loses_power = true, .in_memory = true}, 31);
}

TEST(RecoveryWorld, partitions_without_a_copy_begin_with_nothing) {
  for (uint64_t seed = 1; seed <= 2; ++seed) survive({.nodes = 4, .replication = 1, .lost = {0, 3}, .begins_empty = true}, seed);
}

TEST(RecoveryWorld, partitions_without_a_copy_are_told_before_anything_is_given_up) {
  CalmCluster cluster(busy_cluster({.nodes = 3, .replication = 1}, 1));
  const std::string lost = node_name(cluster.company(2).cluster().own().id);
  const size_t led = cluster.count_led(2);
  ASSERT_GT(led, 0u);
  cluster.world().lose_for_good({2});
  cluster.pass(kSecondUs);
  const std::string answer = recover(cluster, 0, {"CLUSTER", "UNSAFE-RECOVER", lost});
  EXPECT_TRUE(answer.starts_with("-ERR nobody who is left has a copy of " + std::to_string(led) + " partitions (")) << answer;
  EXPECT_NE(answer.find("UNSAFE-RECOVER EMPTY"), std::string::npos) << answer;
  EXPECT_TRUE(cluster.company(0).cluster().state().given_up().empty());
  EXPECT_EQ(recover(cluster, 0, {"CLUSTER", "UNSAFE-RECOVER", "EMPTY", lost}), "+OK\r\n");
  cluster.pass(2 * kSecondUs);
  EXPECT_EQ(partitions_recovered(cluster, {.nodes = 2}).size(), led);
  EXPECT_EQ(cluster.count_led(0) + cluster.count_led(1), kCalmPartitions);
  EXPECT_EQ(cluster.wrong(), "");
}

// Its last snapshot was made when it had a copy, which it has given away since.
TEST(RecoveryWorld, what_has_begun_with_nothing_holds_nothing_of_before_when_its_node_starts_again) {
  ClusterSwarm swarm = calm_cluster(2);
  swarm.replication = 1;
  CalmCluster cluster(swarm);
  const auto name_of = [&](uint32_t machine) { return node_name(cluster.company(machine).cluster().own().id); };
  int number = 0;
  while (!cluster.company(0).serves(cluster.partition_of("k" + std::to_string(number)))) ++number;
  const std::string key = "k" + std::to_string(number);
  const uint32_t partition = cluster.partition_of(key);
  ASSERT_EQ(cluster.ask(0, {"SET", key, "before"}), "+OK\r\n");
  cluster.ask(0, {"BGREWRITEAOF"});
  cluster.pass(kSecondUs);
  const std::string lost = name_of(1);
  ASSERT_EQ(cluster.ask(0, {"QUORUM", "MOVE", std::to_string(partition), "FROM", name_of(0), "TO", lost}), "+OK\r\n");
  for (int step = 0; step < 100 && cluster.company(0).cluster().partitions().core(partition) != nullptr; ++step) cluster.pass(kSecondUs / 20);
  ASSERT_EQ(cluster.ask(0, {"GET", key}), "$6\r\nbefore\r\n");
  cluster.world().lose_for_good({1});
  cluster.pass(kSecondUs);
  ASSERT_EQ(recover(cluster, 0, {"QUORUM", "UNSAFE-RECOVER", "EMPTY", lost}), "+OK\r\n");
  cluster.pass(2 * kSecondUs);
  EXPECT_EQ(cluster.ask(0, {"GET", key}), "$-1\r\n");
  cluster.restart(0);
  cluster.pass(3 * kSecondUs);
  cluster.connect_again(0);
  EXPECT_EQ(cluster.ask(0, {"GET", key}), "$-1\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(RecoveryWorld, whoever_hangs_up_takes_it_back) {
  CalmCluster cluster(busy_cluster({.nodes = 4}, 1));
  std::vector<std::string> words{"QUORUM", "UNSAFE-RECOVER"};
  for (const uint32_t machine : {2u, 3u}) words.push_back(node_name(cluster.company(machine).cluster().own().id));
  cluster.world().lose_for_good({2, 3});
  cluster.pass(kSecondUs);
  // It was heard a moment ago, and does not answer.
  cluster.world().isolate(1);
  EXPECT_EQ(cluster.ask(0, words, kSecondUs / 20), "");
  cluster.hang_up(0);
  cluster.pass(kSecondUs / 20);
  cluster.connect_again(0);
  const std::string answer = cluster.ask(0, words);
  EXPECT_EQ(answer.find("is under way"), std::string::npos) << answer;
  EXPECT_TRUE(cluster.company(0).cluster().state().given_up().empty());
}

TEST(RecoveryWorld, what_a_dead_node_held_is_made_elsewhere_under_load) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Disaster nobody{.nodes = 5};
    CalmCluster cluster(busy_cluster(nobody, seed), seed);
    EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "node-dead-after", "1500"}), "+OK\r\n");
    ClusterWorld& world = cluster.world();
    world.start_clients();
    cluster.pass(kSecondUs);
    const auto dead = static_cast<uint32_t>(seed % 5);
    const NodeId id = cluster.company(dead).cluster().own().id;
    world.kill_now(dead);
    cluster.pass(10 * kSecondUs);
    ASSERT_EQ(cluster.wrong(), "");
    for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) {
      size_t copies = 0;
      for (uint32_t machine = 0; machine < nobody.nodes; ++machine) {
        if (machine == dead) continue;
        const raft::Core* const core = cluster.company(machine).cluster().partitions().core(partition);
        if (core == nullptr) continue;
        ++copies;
        for (const raft::Member& member : core->configuration().members()) EXPECT_NE(member.node.value, id) << partition;
      }
      EXPECT_EQ(copies, nobody.replication) << partition;
    }
    heal_and_judge(cluster);
  }
}

}  // namespace
}  // namespace quorate::sim

// Whole nodes that compare what they hold (CLUSTER.md, "Copies that differ").
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr const char* kOk = "+OK\r\n";

ClusterSwarm of_three_that_may_differ() {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.copies_may_differ = true;
  swarm.state_check_s = 1;
  return swarm;
}

uint32_t leader_of(CalmCluster& cluster, const std::string& key) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (cluster.company(machine).serves(cluster.partition_of(key))) return machine;
  }
  return 0;
}

std::string held(CalmCluster& cluster, uint32_t machine, const std::string& key) {
  std::string value = "nothing";
  cluster.node(machine).node().store().database(0).for_each([&](const Entry* entry) {
    if (entry->key() == key) value = entry->string();
  });
  return value;
}

std::string info(CalmCluster& cluster, uint32_t machine, const std::string& field) {
  const std::string text = cluster.ask(machine, {"INFO", "quorum"});
  const size_t at = text.find(field + ":");
  return at == std::string::npos ? "no " + field : text.substr(at, text.find('\r', at) - at);
}

TEST(StateCheckWorld, a_copy_that_was_changed_comes_back_while_clients_write) {
  for (const uint32_t behind_leader : {1u, 2u, 0u}) {
    CalmCluster cluster(of_three_that_may_differ());
    ASSERT_EQ(cluster.ask(0, {"SET", "key", "right"}), kOk);
    cluster.pass(kSecondUs / 10);
    const uint32_t leader = leader_of(cluster, "key");
    const uint32_t changed = (leader + behind_leader) % 3;
    cluster.set_secretly(changed, "key", "wrong");
    std::string found = held(cluster, changed, "key");
    EXPECT_EQ(found, "wrong");
    for (int step = 0; step < 100 && found != "right"; ++step) {
      ASSERT_EQ(cluster.ask(step % 3 == 0 ? 0 : 1, {"INCR", "count"}, 5 * kSecondUs), ":" + std::to_string(step + 1) + "\r\n");
      cluster.pass(kSecondUs / 10);
      found = held(cluster, changed, "key");
    }
    EXPECT_EQ(found, "right") << "leader " << leader + 1 << ", changed " << changed + 1;
    EXPECT_EQ(info(cluster, changed, "replicas_started_over"), "replicas_started_over:1");
    // Once, or again before it is allowed to start over.
    EXPECT_NE(info(cluster, leader, "state_checks_differing"), "state_checks_differing:0");
    EXPECT_EQ(info(cluster, leader, "state_checks_undecided"), "state_checks_undecided:0");
    for (uint32_t machine = 0; machine < 3; ++machine) EXPECT_EQ(cluster.ask(machine, {"GET", "key"}), "$5\r\nright\r\n");
    EXPECT_EQ(cluster.wrong(), "");
  }
}

TEST(StateCheckWorld, copies_that_all_differ_are_reported_and_kept) {
  CalmCluster cluster(of_three_that_may_differ());
  ASSERT_EQ(cluster.ask(0, {"SET", "key", "right"}), kOk);
  cluster.pass(kSecondUs / 10);
  for (uint32_t machine = 0; machine < 3; ++machine) cluster.set_secretly(machine, "key", std::to_string(machine));
  cluster.pass(5 * kSecondUs);
  const uint32_t leader = leader_of(cluster, "key");
  EXPECT_NE(info(cluster, leader, "state_checks_undecided"), "state_checks_undecided:0");
  const std::string status = cluster.ask(leader, {"QUORUM", "STATUS"});
  EXPECT_NE(status.find("differing-partitions\r\n*1\r\n:" + std::to_string(cluster.partition_of("key"))), std::string::npos) << status;
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(held(cluster, machine, "key"), std::to_string(machine));
    EXPECT_EQ(info(cluster, machine, "replicas_started_over"), "replicas_started_over:0");
  }
}

TEST(StateCheckWorld, values_of_all_types_are_equal_on_all_copies) {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.state_check_s = 1;
  CalmCluster cluster(swarm);
  for (int number = 0; number < 40; ++number) {
    const std::string name = std::to_string(number);
    const std::string other = std::to_string(number * 7 % 40);
    cluster.ask(0, {"RPUSH", "list" + name, name, other, "x"});
    cluster.ask(0, {"SADD", "set" + name, other, name, "word" + other});
    cluster.ask(0, {"SREM", "set" + name, "word" + other});
    cluster.ask(0, {"ZADD", "sorted" + name, other, "a", name, "b"});
    cluster.ask(0, {"HSET", "hash" + name, other, "a", name, "b"});
    cluster.ask(0, {"HPEXPIRE", "hash" + name, "1500", "FIELDS", "1", name});
    cluster.ask(0, {"SET", "string" + name, other, "PX", "1200"});
  }
  cluster.pass(5 * kSecondUs);
  EXPECT_GT(cluster.world().state_checks(), 3u * kCalmPartitions);
  // One that comes back by snapshot holds the same in other forms.
  cluster.restart(2);
  cluster.pass(5 * kSecondUs);
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

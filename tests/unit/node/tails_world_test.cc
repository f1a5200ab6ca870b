// Snapshots of everything in company while a leader has executed what is not committed, among whole nodes.
#include <gtest/gtest.h>

#include <string>

#include "node/persistence.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

std::string key_led_by(CalmCluster& cluster, uint32_t machine) {
  for (int number = 0; number < 100; ++number) {
    const std::string key = "k" + std::to_string(number);
    if (cluster.company(machine).serves(cluster.partition_of(key))) return key;
  }
  ADD_FAILURE() << "machine " << machine << " leads nothing";
  return "";
}

size_t keys_in(CalmCluster& cluster, uint32_t machine, uint32_t partition) {
  return cluster.node(machine).node().store().keys_in(partition);
}

// A snapshot of everything that is asked for now is published soon.
void expect_snapshot(CalmCluster& cluster, uint32_t machine) {
  SimNode& node = cluster.node(machine);
  const Persistence& persistence = node.node().state().persistence;
  const uint64_t rewrites = persistence.facts.rewrites;
  node.send(node.connect(), encoded({"BGREWRITEAOF"}));
  node.end_turn();
  cluster.pass(3 * kSecondUs);
  EXPECT_EQ(persistence.facts.rewrites, rewrites + 1);
  EXPECT_FALSE(persistence.job_runs);
}

void expect_all_say(CalmCluster& cluster, const std::string& key, const std::string& answer) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    cluster.connect_again(machine);
    EXPECT_EQ(cluster.ask(machine, {"GET", key}, 5 * kSecondUs), answer) << machine;
  }
}

TEST(TailsWorld, a_partition_without_a_quorum_does_not_hold_up_a_snapshot_of_everything) {
  CalmCluster cluster(3);
  const std::string key = key_led_by(cluster, 0);
  const uint32_t partition = cluster.partition_of(key);
  cluster.world().kill_now(1);
  cluster.world().kill_now(2);
  EXPECT_EQ(cluster.ask(0, {"SET", key, "tail"}, kSecondUs / 50), "");
  ASSERT_EQ(keys_in(cluster, 0, partition), 1u);
  expect_snapshot(cluster, 0);
  // What was executed is there after a start, and is not taken for committed.
  cluster.restart(0);
  cluster.pass(kSecondUs);
  const Partitions& partitions = cluster.company(0).cluster().partitions();
  EXPECT_EQ(keys_in(cluster, 0, partition), 1u);
  EXPECT_LT(partitions.commit_index(partition), partitions.state_index(partition));
  EXPECT_FALSE(partitions.has_committed_state(partition));
  // A second one holds it as well.
  expect_snapshot(cluster, 0);
  cluster.world().heal();
  cluster.pass(5 * kSecondUs);
  cluster.connect_again(0);
  const std::string answer = cluster.ask(0, {"GET", key}, 5 * kSecondUs);
  EXPECT_TRUE(answer == "$4\r\ntail\r\n" || answer == "$-1\r\n") << answer;   // nobody was told anything
  expect_all_say(cluster, key, answer);
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(TailsWorld, what_a_snapshot_held_and_others_have_overruled_is_not_there_after_a_start) {
  CalmCluster cluster(3);
  const std::string key = key_led_by(cluster, 0);
  const std::string lost = "{" + key + "}lost";
  cluster.world().isolate(0);
  EXPECT_EQ(cluster.ask(0, {"SET", lost, "v"}, kSecondUs / 50), "");
  ASSERT_EQ(keys_in(cluster, 0, cluster.partition_of(key)), 1u);
  expect_snapshot(cluster, 0);
  EXPECT_EQ(cluster.ask(1, {"SET", key, "kept"}, 5 * kSecondUs), "+OK\r\n");
  cluster.restart(0);
  cluster.pass(kSecondUs);
  EXPECT_EQ(keys_in(cluster, 0, cluster.partition_of(key)), 1u);
  cluster.world().heal();
  cluster.pass(5 * kSecondUs);
  expect_all_say(cluster, key, "$4\r\nkept\r\n");
  expect_all_say(cluster, lost, "$-1\r\n");
  EXPECT_EQ(keys_in(cluster, 0, cluster.partition_of(key)), 1u);
  EXPECT_EQ(cluster.wrong(), "");
}

// The process ends between the moment in which the log has lost its tail and the one in which the data are replaced, or right behind: what the
// records behind the snapshot say counts.
TEST(TailsWorld, a_start_while_others_overrule_what_a_snapshot_held) {
  for (int64_t after_us = 0; after_us < 400'000; after_us += 20'000) {
    CalmCluster cluster(3);
    const std::string key = key_led_by(cluster, 0);
    const std::string lost = "{" + key + "}lost";
    cluster.world().isolate(0);
    EXPECT_EQ(cluster.ask(0, {"SET", lost, "v"}, kSecondUs / 50), "");
    expect_snapshot(cluster, 0);
    EXPECT_EQ(cluster.ask(1, {"SET", key, "kept"}, 5 * kSecondUs), "+OK\r\n");
    cluster.world().heal();
    cluster.pass(after_us);
    cluster.restart(0);
    cluster.pass(5 * kSecondUs);
    expect_all_say(cluster, key, "$4\r\nkept\r\n");
    expect_all_say(cluster, lost, "$-1\r\n");
    EXPECT_EQ(keys_in(cluster, 0, cluster.partition_of(key)), 1u);
    ASSERT_EQ(cluster.wrong(), "") << after_us;
  }
}

}  // namespace
}  // namespace quorate::sim

// WATCH among whole nodes: from each of them, wherever the keys are led.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr const char* kOk = "+OK\r\n";
constexpr const char* kQueued = "+QUEUED\r\n";
constexpr const char* kDone = "*1\r\n+OK\r\n";
constexpr const char* kAborted = "*-1\r\n";

uint32_t leader_of(CalmCluster& cluster, const std::string& key) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (cluster.company(machine).serves(cluster.partition_of(key))) return machine;
  }
  return 0;
}

// A key that another node leads.
std::string key_led_elsewhere(CalmCluster& cluster, uint32_t machine) {
  for (int number = 0;; ++number) {
    const std::string key = "k" + std::to_string(number);
    if (leader_of(cluster, key) != machine) return key;
  }
}

std::string exec_set(CalmCluster& cluster, uint32_t machine, const std::string& key) {
  EXPECT_EQ(cluster.ask(machine, {"MULTI"}), kOk);
  EXPECT_EQ(cluster.ask(machine, {"SET", key, "mine"}), kQueued);
  return cluster.ask(machine, {"EXEC"});
}

TEST(WatchWorld, a_change_at_any_node_aborts_exec_at_any_other) {
  CalmCluster cluster(3);
  for (uint32_t watcher = 0; watcher < 3; ++watcher) {
    for (uint32_t writer = 0; writer < 3; ++writer) {
      const std::string key = "w" + std::to_string(watcher) + std::to_string(writer);
      EXPECT_EQ(cluster.ask(watcher, {"WATCH", key}), kOk);
      EXPECT_EQ(exec_set(cluster, watcher, key), kDone) << "nothing has changed";
      EXPECT_EQ(cluster.ask(watcher, {"WATCH", key}), kOk);
      if (writer != watcher) {
        EXPECT_EQ(cluster.ask(writer, {"SET", key, "theirs"}), kOk);
        EXPECT_EQ(exec_set(cluster, watcher, key), kAborted);
        EXPECT_EQ(cluster.ask(watcher, {"GET", key}), "$6\r\ntheirs\r\n");
      } else {
        EXPECT_EQ(cluster.ask(watcher, {"SET", key, "own"}), kOk);
        EXPECT_EQ(exec_set(cluster, watcher, key), kAborted);
      }
      // What was watched is forgotten with EXEC.
      EXPECT_EQ(exec_set(cluster, watcher, key), kDone);
    }
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(WatchWorld, every_kind_of_change_is_seen) {
  CalmCluster cluster(3);
  const std::string key = key_led_elsewhere(cluster, 0);
  const std::string beside = "{" + key + "}beside";
  const std::vector<std::vector<std::string>> changes = {
      {"SET", key, "v"},        {"EXPIRE", key, "100"},     {"PERSIST", key},         {"APPEND", key, "v"},
      {"RENAME", key, beside},  {"RENAME", beside, key},    {"COPY", beside, key, "REPLACE"},
      {"DEL", key, beside},     {"LPUSH", key, "a", "b"},   {"LMOVE", key, beside, "LEFT", "LEFT"},
      {"DEL", key, beside},     {"MSET", key, "1"},         {"UNLINK", key},          {"SET", key, "v"},
      {"FLUSHALL"},             {"SADD", key, "a"},         {"SMOVE", key, beside, "a"}, {"SET", key, "v"}, {"FLUSHDB"}};
  EXPECT_EQ(cluster.ask(1, {"SET", beside, "b"}), kOk);
  for (const std::vector<std::string>& change : changes) {
    if (change[0] == "COPY") {
      EXPECT_EQ(cluster.ask(2, {"SET", beside, "b"}), kOk);
    }
    EXPECT_EQ(cluster.ask(0, {"WATCH", key}), kOk);
    const std::string said = cluster.ask(1, change);
    EXPECT_FALSE(said.starts_with('-')) << change[0] << " " << said;
    EXPECT_FALSE(said.starts_with(":0")) << change[0] << " " << said;
    EXPECT_EQ(cluster.ask(0, {"MULTI"}), kOk);
    EXPECT_EQ(cluster.ask(0, {"EXISTS", key}), kQueued);
    EXPECT_EQ(cluster.ask(0, {"EXEC"}), kAborted) << change[0];
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(WatchWorld, a_key_that_is_served_to_a_waiting_client_has_changed) {
  CalmCluster cluster(3);
  const std::string key = key_led_elsewhere(cluster, 0);
  const uint32_t leader = leader_of(cluster, key);
  EXPECT_EQ(cluster.ask(leader, {"BLMPOP", "0", "1", key, "LEFT"}, 0), "");
  EXPECT_EQ(cluster.ask(0, {"WATCH", key}), kOk);
  EXPECT_EQ(cluster.ask(3 - leader, {"RPUSH", key, "a"}), ":1\r\n");
  EXPECT_EQ(exec_set(cluster, 0, key), kAborted);
}

TEST(WatchWorld, the_time_of_a_watched_key_passes) {
  CalmCluster cluster(3);
  const std::string key = key_led_elsewhere(cluster, 0);
  EXPECT_EQ(cluster.ask(1, {"SET", key, "v", "PX", "200"}), kOk);
  EXPECT_EQ(cluster.ask(0, {"WATCH", key}), kOk);
  cluster.pass(300'000);
  EXPECT_EQ(exec_set(cluster, 0, key), kAborted);
  EXPECT_EQ(exec_set(cluster, 0, key), kDone);
}

TEST(WatchWorld, who_forgets_what_it_watches_is_not_held_up) {
  CalmCluster cluster(3);
  const std::string key = key_led_elsewhere(cluster, 0);
  for (const std::string forgets : {"UNWATCH", "DISCARD", "RESET"}) {
    EXPECT_EQ(cluster.ask(0, {"WATCH", key, key}), kOk);
    EXPECT_EQ(cluster.ask(1, {"INCR", "{" + key + "}n"}).front(), ':');
    EXPECT_EQ(cluster.ask(1, {"SET", key, "theirs"}), kOk);
    if (forgets == "DISCARD") {
      EXPECT_EQ(cluster.ask(0, {"MULTI"}), kOk);
    }
    EXPECT_EQ(cluster.ask(0, {forgets}).front(), '+');
    EXPECT_EQ(exec_set(cluster, 0, key), kDone) << forgets;
  }
  // In a transaction it comes too late.
  EXPECT_EQ(cluster.ask(0, {"WATCH", key}), kOk);
  EXPECT_EQ(cluster.ask(1, {"SET", key, "theirs"}), kOk);
  EXPECT_EQ(cluster.ask(0, {"MULTI"}), kOk);
  EXPECT_EQ(cluster.ask(0, {"UNWATCH"}), kQueued);
  EXPECT_EQ(cluster.ask(0, {"SET", key, "mine"}), kQueued);
  EXPECT_EQ(cluster.ask(0, {"EXEC"}), kAborted);
}

TEST(WatchWorld, what_is_watched_and_what_is_run_are_of_one_partition) {
  CalmCluster cluster(3);
  const std::string key = key_led_elsewhere(cluster, 0);
  std::string other = "x";
  while (cluster.partition_of(other) == cluster.partition_of(key)) other += "x";
  EXPECT_TRUE(cluster.ask(0, {"WATCH", key, other}).starts_with("-CROSSSLOT"));
  EXPECT_EQ(cluster.ask(0, {"WATCH", key}), kOk);
  EXPECT_TRUE(exec_set(cluster, 0, other).starts_with("-EXECABORT"));
  EXPECT_EQ(cluster.ask(0, {"WATCH", key}), kOk);
  EXPECT_EQ(cluster.ask(0, {"MULTI"}), kOk);
  EXPECT_TRUE(cluster.ask(0, {"WATCH", key}).starts_with("-ERR WATCH inside MULTI"));
  EXPECT_EQ(cluster.ask(0, {"EXEC"}), "*0\r\n");
}

TEST(WatchWorld, requests_behind_a_watch_wait_for_it) {
  CalmCluster cluster(3);
  const std::string key = key_led_elsewhere(cluster, 0);
  const auto all = [&] {
    return encoded({"SET", key, "1"}) + encoded({"WATCH", key}) + encoded({"GET", key}) + encoded({"MULTI"}) + encoded({"INCR", key}) +
           encoded({"EXEC"}) + encoded({"PING"});
  };
  EXPECT_EQ(cluster.ask_raw(0, all(), 7), "+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n+PONG\r\n");
}

TEST(WatchWorld, another_leader_cannot_tell_and_exec_is_tried_again) {
  CalmCluster cluster(3);
  const std::string key = key_led_elsewhere(cluster, 0);
  const uint32_t leader = leader_of(cluster, key);
  const uint32_t other = 3 - leader;
  for (const uint32_t watcher : {0u, leader, other}) {
    EXPECT_EQ(cluster.ask(watcher, {"WATCH", key}), kOk);
    const uint32_t next = leader_of(cluster, key) == other ? leader : other;
    EXPECT_EQ(cluster.ask(next, {"CLUSTER", "FAILOVER"}), kOk);
    for (int step = 0; step < 100 && leader_of(cluster, key) != next; ++step) cluster.pass(50'000);
    EXPECT_EQ(leader_of(cluster, key), next);
    EXPECT_EQ(exec_set(cluster, watcher, key), kAborted);
    EXPECT_EQ(cluster.ask(watcher, {"WATCH", key}), kOk);
    EXPECT_EQ(exec_set(cluster, watcher, key), kDone);
  }
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

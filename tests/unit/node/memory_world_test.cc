// maxmemory among whole nodes (tests/sim/cluster_world.h), without faults: whose copies are too
// much, and who does something about it.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr const char* kOom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
constexpr uint64_t kBytesAKey = 1000;

ClusterSwarm with_measured_keys(uint32_t nodes) {
  ClusterSwarm swarm = calm_cluster(nodes);
  swarm.bytes_a_key = kBytesAKey;
  return swarm;
}

void limit(CalmCluster& cluster, uint32_t machine, uint64_t keys) {
  EXPECT_EQ(cluster.ask(machine, {"CONFIG", "SET", "maxmemory", std::to_string(keys * kBytesAKey)}),
            "+OK\r\n");
}

void set_policy(CalmCluster& cluster, uint32_t nodes, const std::string& policy) {
  for (uint32_t machine = 0; machine < nodes; ++machine)
    EXPECT_EQ(cluster.ask(machine, {"CONFIG", "SET", "maxmemory-policy", policy}), "+OK\r\n");
}

size_t keys_at(CalmCluster& cluster, uint32_t machine) {
  return cluster.node(machine).node().store().database(0).size();
}
size_t keys_led_by(CalmCluster& cluster, uint32_t machine) {
  size_t sum = 0;
  for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) {
    if (cluster.company(machine).serves(partition))
      sum += cluster.node(machine).node().store().keys_in(partition);
  }
  return sum;
}
uint64_t evicted_by(CalmCluster& cluster, uint32_t machine) {
  return cluster.node(machine).node().store().stats().evicted_keys;
}

std::string key(int number) { return "k" + std::to_string(number); }

// A key of a partition that this node leads, or does not.
std::string key_led(CalmCluster& cluster, uint32_t machine, bool is_led) {
  for (int number = 0; number < 1000; ++number) {
    const std::string name = "s" + std::to_string(number);
    if (cluster.company(machine).serves(cluster.partition_of(name)) == is_led) return name;
  }
  ADD_FAILURE() << "there is no such key";
  return "";
}

TEST(MemoryWorld, writes_are_refused_while_a_copy_is_where_memory_is_full) {
  CalmCluster cluster(with_measured_keys(3));
  limit(cluster, 2, 20);
  for (int number = 0; number < 20; ++number)
    EXPECT_EQ(cluster.ask(0, {"SET", key(number), "v"}), "+OK\r\n");
  cluster.pass(kSecondUs / 2);
  EXPECT_EQ(cluster.ask(0, {"SET", "one more", "v"}), "+OK\r\n");
  cluster.pass(kSecondUs / 2);
  ASSERT_EQ(keys_at(cluster, 2), 21u);
  // Whoever leads it and whoever is asked: all have a copy there.
  for (uint32_t machine = 0; machine < 3; ++machine) {
    for (int number = 100; number < 110; ++number)
      EXPECT_EQ(cluster.ask(machine, {"SET", key(number), "v"}), kOom);
    EXPECT_EQ(cluster.ask(machine, {"GET", key(machine)}), "$1\r\nv\r\n");
    EXPECT_EQ(cluster.ask(machine, {"MULTI"}), "+OK\r\n");
    (void)cluster.ask(machine, {"SET", "t", "v"});
    EXPECT_TRUE(cluster.ask(machine, {"EXEC"}).starts_with("-EXECABORT"));
  }
  EXPECT_EQ(keys_at(cluster, 0), 21u);
  for (uint32_t machine = 0; machine < 3; ++machine) EXPECT_EQ(evicted_by(cluster, machine), 0u);
  // What frees memory is no write of that kind.
  for (int number = 0; number < 5; ++number)
    EXPECT_EQ(cluster.ask(1, {"DEL", key(number)}), ":1\r\n");
  cluster.pass(kSecondUs / 2);
  for (uint32_t machine = 0; machine < 3; ++machine)
    EXPECT_EQ(cluster.ask(machine, {"SET", key(200 + static_cast<int>(machine)), "v"}), "+OK\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(MemoryWorld, nothing_is_evicted_while_clients_are_paused) {
  CalmCluster cluster(with_measured_keys(3));
  set_policy(cluster, 3, "allkeys-lru");
  for (int number = 0; number < 30; ++number) EXPECT_EQ(cluster.ask(0, {"SET", key(number), "v"}), "+OK\r\n");
  for (uint32_t machine = 0; machine < 3; ++machine) EXPECT_EQ(cluster.ask(machine, {"CLIENT", "PAUSE", "2000", "WRITE"}), "+OK\r\n");
  limit(cluster, 0, 10);
  for (int number = 0; number < 30; ++number) EXPECT_EQ(cluster.ask(0, {"GET", key(number)}), "$1\r\nv\r\n");
  EXPECT_EQ(evicted_by(cluster, 0) + evicted_by(cluster, 1) + evicted_by(cluster, 2), 0u);
  cluster.pass(4 * kSecondUs);
  EXPECT_LE(keys_at(cluster, 0), 10u);
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(MemoryWorld, leaders_evict_for_a_follower_each_its_part) {
  CalmCluster cluster(with_measured_keys(3));
  set_policy(cluster, 3, "allkeys-lru");
  constexpr uint64_t kLimit = 200;
  limit(cluster, 2, kLimit);
  for (int number = 0; number < 600; ++number) {
    EXPECT_EQ(cluster.ask(0, {"SET", key(number), "v"}), "+OK\r\n");
    cluster.pass(kSecondUs / 100);
  }
  cluster.pass(2 * kSecondUs);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_LE(keys_at(cluster, machine), kLimit);
    EXPECT_GE(keys_at(cluster, machine), kLimit * 3 / 4);  // no more went than had to
    EXPECT_GT(evicted_by(cluster, machine), 40u) << machine;
    EXPECT_GT(keys_led_by(cluster, machine), kLimit / 10) << machine;
  }
  // One of those that came first and one of those that came last.
  EXPECT_EQ(cluster.ask(1, {"GET", key(0)}), "$-1\r\n");
  EXPECT_EQ(cluster.ask(1, {"GET", key(599)}), "$1\r\nv\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(MemoryWorld, no_more_is_evicted_where_all_are_full_at_once) {
  CalmCluster cluster(with_measured_keys(3));
  set_policy(cluster, 3, "allkeys-random");
  constexpr uint64_t kLimit = 100;
  for (uint32_t machine = 0; machine < 3; ++machine) limit(cluster, machine, kLimit);
  // Not faster than they can help each other (CLUSTER.md): who is far above evicts what it leads itself.
  for (int number = 0; number < 400; ++number) {
    EXPECT_EQ(cluster.ask(number % 3 == 0 ? 1 : 2, {"SET", key(number), "v"}), "+OK\r\n");
    cluster.pass(kSecondUs / 100);
  }
  cluster.pass(2 * kSecondUs);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_LE(keys_at(cluster, machine), kLimit);
    EXPECT_GE(keys_at(cluster, machine), kLimit * 3 / 4);
    EXPECT_GT(keys_led_by(cluster, machine), kLimit / 10) << machine;
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(MemoryWorld, where_nothing_may_go_writes_are_refused_once_others_had_the_time_to_help) {
  CalmCluster cluster(with_measured_keys(3));
  set_policy(cluster, 3, "volatile-lru");
  limit(cluster, 2, 10);
  // None of these may be evicted.
  for (int number = 0; number < 12; ++number)
    EXPECT_EQ(cluster.ask(0, {"SET", key(number), "v"}), "+OK\r\n");
  cluster.pass(2 * kSecondUs);
  for (uint32_t machine = 0; machine < 3; ++machine)
    EXPECT_EQ(cluster.ask(machine, {"SET", "x" + key(static_cast<int>(machine)), "v"}), kOom);
  // Those that came later may.
  EXPECT_EQ(cluster.ask(0, {"EXPIRE", key(0), "1000"}), ":1\r\n");
  EXPECT_EQ(cluster.ask(0, {"EXPIRE", key(1), "1000"}), ":1\r\n");
  cluster.pass(2 * kSecondUs);
  EXPECT_EQ(keys_at(cluster, 2), 10u);
  EXPECT_EQ(cluster.ask(1, {"SET", "y", "v"}), "+OK\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

// REPLICATION 8: the decision is the leader's.  The node that is asked only carries the command.
TEST(MemoryWorld, a_full_node_refuses_nothing_that_others_have_room_for) {
  ClusterSwarm swarm = with_measured_keys(2);
  swarm.replication = 1;
  CalmCluster cluster(swarm);
  const std::string here = key_led(cluster, 0, true);
  const std::string there = key_led(cluster, 0, false);
  EXPECT_EQ(cluster.ask(0, {"SET", here, "v"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "maxmemory", "1"}), "+OK\r\n");
  cluster.pass(kSecondUs / 2);
  EXPECT_EQ(cluster.ask(0, {"SET", here, "w"}), kOom);
  EXPECT_EQ(cluster.ask(1, {"SET", here, "w"}), kOom);
  EXPECT_EQ(cluster.ask(0, {"SET", there, "v"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(0, {"MULTI"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(0, {"SET", there, "w"}), "+QUEUED\r\n");
  EXPECT_EQ(cluster.ask(0, {"EXEC"}), "*1\r\n+OK\r\n");
  EXPECT_EQ(cluster.ask(0, {"GET", there}), "$1\r\nw\r\n");
  // And the other way round.
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "maxmemory", "0"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(1, {"CONFIG", "SET", "maxmemory", "1"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(0, {"SET", there, "x"}), kOom);
  EXPECT_EQ(cluster.ask(0, {"SET", here, "x"}), "+OK\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

// The disks of two nodes stand still, so that nothing is committed: what they have evicted for the third one does not get there yet, and is
// not what it lacks.
TEST(MemoryWorld, what_is_on_its_way_to_a_full_node_is_not_evicted_for_it_again) {
  CalmCluster cluster(with_measured_keys(3));
  set_policy(cluster, 3, "allkeys-random");
  constexpr int kKeys = 600;
  constexpr uint64_t kLimit = 510;
  for (int number = 0; number < kKeys; ++number)
    EXPECT_EQ(cluster.ask(0, {"SET", key(number), "v"}), "+OK\r\n");
  cluster.pass(kSecondUs);
  ASSERT_EQ(keys_at(cluster, 2), uint64_t{kKeys});
  for (const uint32_t machine : {0u, 1u}) cluster.world().stall_disk(machine, 450'000);
  limit(cluster, 2, kLimit);
  cluster.pass(400'000);
  // They have done something about it, each its part.
  for (const uint32_t machine : {0u, 1u}) {
    EXPECT_GT(evicted_by(cluster, machine), 5u) << machine;
    EXPECT_LE(evicted_by(cluster, machine), 60u) << machine;
  }
  cluster.pass(3 * kSecondUs);
  EXPECT_LE(keys_at(cluster, 2), kLimit + kLimit / 10);
  EXPECT_GE(keys_at(cluster, 2), kLimit - kLimit / 20);
  EXPECT_EQ(cluster.wrong(), "");
}

// As in Redis: what its own memory check evicts was there when it was watched, and is not when EXEC runs.
TEST(MemoryWorld, exec_finds_its_watch_broken_by_what_was_evicted_for_it) {
  for (const uint32_t nodes : {1u, 3u}) {
    CalmCluster cluster(with_measured_keys(nodes));
    SimNode& node = cluster.node(0);
    const int watcher = node.connect();
    const int writer = node.connect();
    const auto heard = [&](int connection) {
      cluster.pass(kSecondUs / 10);
      while (node.is_sending(connection)) node.drain_socket(connection);
      return std::exchange(node.received(connection), {});
    };
    const auto ask = [&](const std::vector<std::string>& words) {
      node.send(watcher, encoded(words));
      node.end_turn();
      return heard(watcher);
    };
    const std::string watched = nodes == 1 ? "w" : key_led(cluster, 0, true);
    EXPECT_EQ(ask({"SET", watched, "v", "EX", "1000"}), "+OK\r\n");
    EXPECT_EQ(ask({"CONFIG", "SET", "maxmemory-policy", "volatile-ttl", "maxmemory", std::to_string(kBytesAKey)}), "+OK\r\n");
    EXPECT_EQ(ask({"WATCH", watched}), "+OK\r\n");
    EXPECT_EQ(ask({"MULTI"}), "+OK\r\n");
    EXPECT_EQ(ask({"GET", watched}), "+QUEUED\r\n");
    // In one turn, so that nothing else looks at the memory between the two.
    node.send(writer, encoded({"SET", "{" + watched + "}other", "v"}));
    node.send(watcher, encoded({"EXEC"}));
    node.end_turn();
    EXPECT_EQ(heard(watcher), "*-1\r\n") << nodes;
    EXPECT_EQ(heard(writer), "+OK\r\n");
    EXPECT_EQ(ask({"EXISTS", watched}), ":0\r\n");
  }
}

}  // namespace
}  // namespace quorate::sim

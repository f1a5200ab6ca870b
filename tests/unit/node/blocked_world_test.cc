// Clients that began to wait for keys while their node was alone, and replies that wait for a partition in which nothing is stored any more.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

const std::string kMoved = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n";

// A node alone, and clients of it; the two others come later.
class FormerlyAlone : public testing::Test {
 protected:
  FormerlyAlone() : world_({.seed = 1}, swarm()) { pass(kSecondUs); }
  static ClusterSwarm swarm() {
    ClusterSwarm swarm = calm_cluster(3);
    swarm.boot_after_us = 2 * kSecondUs;
    return swarm;
  }
  void pass(int64_t us) { world_.run(world_.now_us() + us); }
  SimNode& node(uint32_t machine = 0) { return *world_.node(machine); }
  Company& company(uint32_t machine) { return node(machine).node().state().company; }
  int ask(const std::vector<std::string>& words, uint32_t machine = 0) {
    const int client = node(machine).connect();
    node(machine).send(client, encoded(words));
    node(machine).end_turn();
    return client;
  }
  std::string heard(int client, uint32_t machine = 0) {
    while (node(machine).is_sending(client)) node(machine).drain_socket(client);
    return std::exchange(node(machine).received(client), {});
  }
  void found() {
    for (int step = 0; step < 400 && !(step > 0 && world_.is_settled()); ++step) pass(kSecondUs / 20);
    EXPECT_EQ(world_.describe_unsettled(), "");
    pass(10 * kSecondUs);
    ASSERT_TRUE(leads_some_and_not_all());
  }
  bool leads_some_and_not_all() {
    uint32_t led = 0;
    for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) led += company(0).serves(partition) ? 1 : 0;
    return led > 0 && led < kCalmPartitions;
  }
  // One of the partition.
  std::string key_in(uint32_t partition) {
    Store& store = node().node().store();
    for (int number = 0;; ++number) {
      std::string name = "k" + std::to_string(number);
      if (store.partition_of(store.make_key(name).slot) == partition) return name;
    }
  }
  ClusterWorld world_;
};

TEST_F(FormerlyAlone, who_waits_for_keys_of_several_partitions_is_unblocked_when_the_node_founds_a_cluster) {
  std::vector<int> clients;
  for (uint32_t from = 0; from < kCalmPartitions; ++from) {
    for (uint32_t to = 0; to < kCalmPartitions; ++to) {
      if (from != to) clients.push_back(ask({"BRPOPLPUSH", key_in(from), key_in(to), "0"}));
    }
  }
  clients.push_back(ask({"BLPOP", key_in(0), key_in(1), "0"}));
  clients.push_back(ask({"BLMOVE", key_in(2), key_in(3), "LEFT", "RIGHT", "100"}));
  for (const int client : clients) EXPECT_EQ(heard(client), "");
  found();
  for (const int client : clients) EXPECT_EQ(heard(client), kMoved);
  for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) {
    const int other = ask({"LPUSH", key_in(partition), "element"});
    pass(kSecondUs / 5);
    EXPECT_EQ(heard(other), ":1\r\n");
  }
  // What it asks next is answered as anybody's is.
  node().send(clients[0], encoded({"LLEN", key_in(0)}) + encoded({"BRPOPLPUSH", key_in(0), key_in(1), "0"}));
  node().end_turn();
  pass(kSecondUs / 5);
  EXPECT_TRUE(heard(clients[0]).starts_with(":1\r\n-CROSSSLOT"));
  EXPECT_EQ(world_.wrong(), "");
}

TEST_F(FormerlyAlone, who_waits_for_keys_of_one_partition_goes_on_waiting_wherever_they_are_led) {
  std::vector<int> clients;
  for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) {
    const std::string key = key_in(partition);
    clients.push_back(ask({"BLMOVE", key, "{" + key + "}", "LEFT", "RIGHT", "0"}));
  }
  const int impatient = ask({"BLPOP", key_in(0), "6"});
  found();
  for (const int client : clients) EXPECT_EQ(heard(client), "");
  EXPECT_EQ(heard(impatient), "*-1\r\n");
  for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) {
    const int other = ask({"RPUSH", key_in(partition), "element"}, 1);
    pass(kSecondUs / 5);
    EXPECT_EQ(heard(other, 1), ":1\r\n");
    EXPECT_EQ(heard(clients[partition]), "$7\r\nelement\r\n");
  }
  EXPECT_EQ(world_.wrong(), "");
}

TEST(FormerlyAloneNode, who_waits_for_a_key_is_unblocked_when_the_node_is_told_to_join_a_cluster) {
  SlowDiskNode world;
  world.ask(world.client, {"BLPOP", "queue", "0"});
  world.pass(kSecondUs);
  EXPECT_EQ(world.taken(world.client), "");
  world.ask(world.other, {"CLUSTER", "MEET", "192.0.2.1", "6379"});
  EXPECT_EQ(world.taken(world.other), "+OK\r\n");
  EXPECT_FALSE(world.node->node().state().company.is_alone());
  world.pass(kSecondUs / 10);
  EXPECT_EQ(world.taken(world.client), kMoved);
  world.ask(world.client, {"PING"});
  EXPECT_EQ(world.taken(world.client), "+PONG\r\n");
}

// Three nodes: two of them take no more into their logs than there is now, and go on to say that they are there.
class NothingStored : public testing::Test {
 protected:
  NothingStored() : cluster_(3) {
    EXPECT_EQ(cluster_.ask(0, {"CONFIG", "SET", "appendfsync", "always"}, 5 * kSecondUs), "+OK\r\n");
    cluster_.pass(kSecondUs);
    stuck_ = key_led(0);
    well_ = key_led(0, cluster_.partition_of(stuck_));
  }
  // Of another partition than `but`.
  std::string key_led(uint32_t machine, uint32_t but = UINT32_MAX) {
    for (int number = 0;; ++number) {
      std::string name = "s" + std::to_string(number);
      const uint32_t partition = cluster_.partition_of(name);
      if (partition != but && cluster_.company(machine).serves(partition)) return name;
    }
  }
  void get_stuck() {
    for (const uint32_t machine : {1u, 2u}) cluster_.world().stall_disk(machine, 60 * kSecondUs);
    EXPECT_TRUE(cluster_.ask(0, {"SET", stuck_, "v"}, 7 * kSecondUs).starts_with("-UNCERTAIN"));
  }
  bool still_leads() { return cluster_.company(0).serves(cluster_.partition_of(stuck_)) && cluster_.company(0).serves(cluster_.partition_of(well_)); }
  CalmCluster cluster_;
  std::string stuck_;
  std::string well_;
};

TEST_F(NothingStored, reads_of_what_is_not_committed_are_answered_once_their_time_is_over) {
  get_stuck();
  for (int time = 0; time < 2; ++time) {
    EXPECT_TRUE(cluster_.ask(0, {"GET", stuck_}, 7 * kSecondUs).starts_with("-UNCERTAIN"));
    EXPECT_TRUE(cluster_.ask(0, {"MGET", stuck_, stuck_}, 7 * kSecondUs).starts_with("-UNCERTAIN"));
  }
  ASSERT_TRUE(still_leads());
  EXPECT_EQ(cluster_.wrong(), "");
}

TEST_F(NothingStored, who_has_waited_in_vain_waits_for_no_other_partition) {
  get_stuck();
  EXPECT_EQ(cluster_.ask(0, {"BLPOP", well_, "0.1"}), "*-1\r\n");
  EXPECT_EQ(cluster_.ask(1, {"BLPOP", well_, "0.1"}), "*-1\r\n");
  ASSERT_TRUE(still_leads());
}

TEST_F(NothingStored, an_aborted_transaction_waits_for_no_other_partition) {
  for (const uint32_t machine : {0u, 1u}) EXPECT_EQ(cluster_.ask(machine, {"WATCH", well_}), "+OK\r\n");
  EXPECT_EQ(cluster_.ask(2, {"SET", well_, "v"}), "+OK\r\n");
  get_stuck();
  for (const uint32_t machine : {0u, 1u}) {
    EXPECT_EQ(cluster_.ask(machine, {"MULTI"}), "+OK\r\n");
    EXPECT_EQ(cluster_.ask(machine, {"GET", well_}), "+QUEUED\r\n");
    EXPECT_EQ(cluster_.ask(machine, {"EXEC"}), "*-1\r\n") << machine;
  }
  ASSERT_TRUE(still_leads());
}

}  // namespace
}  // namespace quorate::sim

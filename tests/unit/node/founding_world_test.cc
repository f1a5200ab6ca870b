// A cluster begins with what its founder holds: whole nodes (tests/sim/cluster_world.h), and the founder ends before its founding is stored.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/cluster_oracle.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

Company& company(ClusterWorld& world, uint32_t machine) { return world.node(machine)->node().state().company; }

TEST(FoundingWorld, a_founding_that_is_not_stored_is_forgotten_with_what_it_began_with) {
  ClusterSwarm swarm = calm_cluster(2);
  swarm.boot_after_us = 2 * kSecondUs;
  ClusterWorld world({.seed = 1}, swarm);
  const auto pass = [&](int64_t us) { world.run(world.now_us() + us); };
  pass(kSecondUs);
  SimNode& founder = *world.node(0);
  const int client = founder.connect();
  const auto heard = [&] {
    while (founder.is_sending(client)) founder.drain_socket(client);
    return std::exchange(founder.received(client), {});
  };
  founder.send(client, encoded({"SET", "kept", "1"}));
  founder.end_turn();
  pass(kSecondUs / 10);
  EXPECT_EQ(heard(), "+OK\r\n");
  // Executed, and never on the disk: nobody is told that it was done.
  world.fill_disk(0);
  std::vector<std::string> words{"MSET"};
  for (int key = 0; key < 64; ++key) words.insert(words.end(), {"lost" + std::to_string(key), "1"});
  founder.send(client, encoded(words));
  founder.end_turn();
  world.start_clients();   // a node is looked at when something happens elsewhere
  pass(8 * kSecondUs);
  EXPECT_EQ(heard(), "");
  // The other one has knocked, and nobody else has heard of a cluster.
  EXPECT_FALSE(company(world, 0).is_alone());
  EXPECT_FALSE(company(world, 1).cluster().state().is_founded());
  const ClusterId forgotten = company(world, 0).cluster().state().cluster();
  EXPECT_FALSE(world.oracle().counts(forgotten));
  world.kill_now(0);
  world.heal();
  for (int step = 0; step < 400 && !(step > 0 && world.is_settled()); ++step) pass(kSecondUs / 20);
  EXPECT_EQ(world.describe_unsettled(), "");
  const ClusterId cluster = company(world, 1).cluster().state().cluster();
  EXPECT_NE(cluster, forgotten);
  EXPECT_TRUE(world.oracle().counts(cluster));
  // Where it learns it stands at the founding again, as long as nobody tells it more.
  pass(3 * kSecondUs);
  world.isolate(1);
  world.kill_now(0);
  world.heal();
  world.isolate(1);
  pass(3 * kSecondUs);
  EXPECT_EQ(world.wrong(), "");
}

TEST(FoundingWorld, what_was_written_before_it_has_as_many_copies_as_there_are) {
  ClusterSwarm swarm = calm_cluster(2);
  swarm.boot_after_us = 2 * kSecondUs;
  ClusterWorld world({.seed = 1}, swarm);
  const auto pass = [&](int64_t us) { world.run(world.now_us() + us); };
  pass(kSecondUs);
  SimNode& founder = *world.node(0);
  const int client = founder.connect();
  const auto ask = [&](const std::vector<std::string>& words, int64_t within_us) {
    founder.send(client, encoded(words));
    founder.end_turn();
    pass(within_us);
    while (founder.is_sending(client)) founder.drain_socket(client);
    return std::exchange(founder.received(client), {});
  };
  for (int key = 0; key < 64; ++key) EXPECT_EQ(ask({"SET", "k" + std::to_string(key), "v"}, kSecondUs / 100), "+OK\r\n");
  EXPECT_EQ(ask({"WAIT", "1", "10"}, kSecondUs / 5), ":0\r\n");
  for (int step = 0; step < 4000 && !company(world, 0).cluster().state().is_founded(); ++step) pass(kSecondUs / 1000);
  ASSERT_TRUE(company(world, 0).cluster().state().is_founded());
  // The other one is gone before it can have anything.
  world.isolate(1);
  EXPECT_EQ(ask({"WAIT", "1", "50"}, kSecondUs / 10), ":0\r\n");
  EXPECT_EQ(ask({"WAITAOF", "0", "1", "50"}, kSecondUs / 10), "*2\r\n:1\r\n:0\r\n");
  world.heal();
  for (int step = 0; step < 400 && !(step > 0 && world.is_settled()); ++step) pass(kSecondUs / 20);
  EXPECT_EQ(world.describe_unsettled(), "");
  pass(3 * kSecondUs);
  EXPECT_EQ(ask({"WAIT", "1", "1000"}, 2 * kSecondUs), ":1\r\n");
  EXPECT_EQ(ask({"WAITAOF", "1", "1", "2000"}, 3 * kSecondUs), "*2\r\n:1\r\n:1\r\n");
  EXPECT_EQ(world.wrong(), "");
}

// Its log begins as one of which nothing counts (mode `memory`), and it has nothing of the cluster yet when it ends.
TEST(FoundingWorld, who_ends_as_soon_as_it_is_let_in_remembers_what_it_acknowledges_afterwards) {
  for (int64_t after_us = 0; after_us <= 2000; after_us += 250) {
    ClusterSwarm swarm = calm_cluster(3);
    ClusterWorld world({.seed = 1}, swarm);
    const auto pass = [&](int64_t us) { world.run(world.now_us() + us); };
    const auto ask = [&](const std::vector<std::string>& words) {
      SimNode& founder = *world.node(0);
      const int client = founder.connect();
      founder.send(client, encoded(words));
      founder.end_turn();
      pass(kSecondUs / 2);
      while (founder.is_sending(client)) founder.drain_socket(client);
      return std::exchange(founder.received(client), {});
    };
    // The third comes when the mode is memory.
    while (world.node(2) == nullptr) pass(100);
    world.kill_now(2, 5 * kSecondUs);
    pass(3 * kSecondUs);
    EXPECT_EQ(ask({"CONFIG", "SET", "appendonly", "no"}), "+OK\r\n");
    const auto is_let_in = [&] { return world.node(2) != nullptr && company(world, 2).cluster().state().is_founded(); };
    for (int step = 0; step < 100'000 && !is_let_in(); ++step) pass(100);
    ASSERT_TRUE(is_let_in());
    pass(after_us);
    world.kill_now(2, 3 * kSecondUs);
    EXPECT_EQ(ask({"CONFIG", "SET", "appendonly", "yes"}), "+OK\r\n");
    for (int step = 0; step < 400 && !(world.node(2) != nullptr && world.is_settled()); ++step) pass(kSecondUs / 20);
    EXPECT_EQ(world.describe_unsettled(), "");
    EXPECT_EQ(ask({"SET", "k", "v"}), "+OK\r\n");
    pass(2 * kSecondUs);
    world.kill_now(2, kSecondUs / 10);
    pass(kSecondUs / 2);
    company(world, 2).cluster().groups().for_each([&](raft::GroupId group, const raft::Core& core) {
      EXPECT_GT(core.log().base().index.value, 0u) << group.value << " after " << after_us;
    });
    const auto& lines = world.node(2)->log_lines();
    const bool has_forgotten = std::any_of(lines.begin(), lines.end(), [](const std::string& line) { return line.find("may have forgotten") != std::string::npos; });
    EXPECT_FALSE(has_forgotten) << after_us;
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(FoundingWorld, a_founding_that_counts_is_the_only_one) {
  const ClusterId one{'1'};
  const ClusterId other{'2'};
  ClusterOracle oracle;
  oracle.look_at_cluster(0, one, {1});
  EXPECT_FALSE(oracle.counts(one));
  oracle.look_at_cluster(0, other, {1});
  oracle.look_at_cluster(0, other, {2});
  EXPECT_TRUE(oracle.counts(other));
  oracle.look_at_cluster(1, other, {5});
  EXPECT_EQ(oracle.wrong(), "");
  oracle.look_at_cluster(0, one, {1});
  EXPECT_EQ(oracle.wrong(), "n1 is a member of a cluster that is not the one which was founded first");
}

}  // namespace
}  // namespace quorate::sim

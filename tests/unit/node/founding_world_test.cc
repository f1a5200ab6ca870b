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

// Nodes of which the first founds the cluster, and a client of that one.
class Founding {
 public:
  explicit Founding(const ClusterSwarm& swarm) : world_({.seed = 1}, swarm) {}
  ClusterWorld& world() { return world_; }
  Company& company(uint32_t machine) { return world_.node(machine)->node().state().company; }
  void pass(int64_t us) { world_.run(world_.now_us() + us); }
  void send(const std::vector<std::string>& words) {
    SimNode& founder = *world_.node(0);
    if (client_ < 0) client_ = founder.connect();
    founder.send(client_, encoded(words));
    founder.end_turn();
  }
  std::string heard() {
    SimNode& founder = *world_.node(0);
    while (founder.is_sending(client_)) founder.drain_socket(client_);
    return std::exchange(founder.received(client_), {});
  }
  // What is heard within so long.
  std::string ask(const std::vector<std::string>& words, int64_t within_us) {
    send(words);
    pass(within_us);
    return heard();
  }
  void settle() {
    for (int step = 0; step < 400 && !(step > 0 && world_.is_settled()); ++step) pass(kSecondUs / 20);
    EXPECT_EQ(world_.describe_unsettled(), "");
  }

 private:
  ClusterWorld world_;
  int client_ = -1;
};

TEST(FoundingWorld, a_founding_that_is_not_stored_is_forgotten_with_what_it_began_with) {
  ClusterSwarm swarm = calm_cluster(2);
  swarm.boot_after_us = 2 * kSecondUs;
  Founding founding(swarm);
  ClusterWorld& world = founding.world();
  founding.pass(kSecondUs);
  EXPECT_EQ(founding.ask({"SET", "kept", "1"}, kSecondUs / 10), "+OK\r\n");
  // Executed, and never on the disk: nobody is told that it was done.
  world.fill_disk(0);
  std::vector<std::string> words{"MSET"};
  for (int key = 0; key < 64; ++key) words.insert(words.end(), {"lost" + std::to_string(key), "1"});
  founding.send(words);
  world.start_clients();   // a node is looked at when something happens elsewhere
  founding.pass(8 * kSecondUs);
  EXPECT_EQ(founding.heard(), "");
  // The other one has knocked, and nobody else has heard of a cluster.
  EXPECT_FALSE(founding.company(0).is_alone());
  EXPECT_FALSE(founding.company(1).cluster().state().is_founded());
  const ClusterId forgotten = founding.company(0).cluster().state().cluster();
  EXPECT_FALSE(world.oracle().counts(forgotten));
  world.kill_now(0);
  world.heal();
  founding.settle();
  const ClusterId cluster = founding.company(1).cluster().state().cluster();
  EXPECT_NE(cluster, forgotten);
  EXPECT_TRUE(world.oracle().counts(cluster));
  // Where it learns it stands at the founding again, as long as nobody tells it more.
  founding.pass(3 * kSecondUs);
  world.isolate(1);
  world.kill_now(0);
  world.heal();
  world.isolate(1);
  founding.pass(3 * kSecondUs);
  EXPECT_EQ(world.wrong(), "");
}

TEST(FoundingWorld, what_was_written_before_it_has_as_many_copies_as_there_are) {
  ClusterSwarm swarm = calm_cluster(2);
  swarm.boot_after_us = 2 * kSecondUs;
  Founding founding(swarm);
  ClusterWorld& world = founding.world();
  founding.pass(kSecondUs);
  for (int key = 0; key < 64; ++key) EXPECT_EQ(founding.ask({"SET", "k" + std::to_string(key), "v"}, kSecondUs / 100), "+OK\r\n");
  EXPECT_EQ(founding.ask({"WAIT", "1", "10"}, kSecondUs / 5), ":0\r\n");
  for (int step = 0; step < 4000 && !founding.company(0).cluster().state().is_founded(); ++step) founding.pass(kSecondUs / 1000);
  ASSERT_TRUE(founding.company(0).cluster().state().is_founded());
  // The other one is gone before it can have anything.
  world.isolate(1);
  EXPECT_EQ(founding.ask({"WAIT", "1", "50"}, kSecondUs / 10), ":0\r\n");
  EXPECT_EQ(founding.ask({"WAITAOF", "0", "1", "50"}, kSecondUs / 10), "*2\r\n:1\r\n:0\r\n");
  world.heal();
  founding.settle();
  founding.pass(3 * kSecondUs);
  EXPECT_EQ(founding.ask({"WAIT", "1", "1000"}, 2 * kSecondUs), ":1\r\n");
  EXPECT_EQ(founding.ask({"WAITAOF", "1", "1", "2000"}, 3 * kSecondUs), "*2\r\n:1\r\n:1\r\n");
  EXPECT_EQ(world.wrong(), "");
}

// Its log begins as one of which nothing counts (mode `memory`), and it has nothing of the cluster yet when it ends.
TEST(FoundingWorld, who_ends_as_soon_as_it_is_let_in_remembers_what_it_acknowledges_afterwards) {
  for (int64_t after_us = 0; after_us <= 2000; after_us += 250) {
    ClusterSwarm swarm = calm_cluster(3);
    Founding founding(swarm);
    ClusterWorld& world = founding.world();
    // The third comes when the mode is memory.
    while (world.node(2) == nullptr) founding.pass(100);
    world.kill_now(2, 5 * kSecondUs);
    founding.pass(3 * kSecondUs);
    EXPECT_EQ(founding.ask({"CONFIG", "SET", "appendonly", "no"}, kSecondUs / 2), "+OK\r\n");
    const auto is_let_in = [&] { return world.node(2) != nullptr && founding.company(2).cluster().state().is_founded(); };
    for (int step = 0; step < 100'000 && !is_let_in(); ++step) founding.pass(100);
    ASSERT_TRUE(is_let_in());
    founding.pass(after_us);
    world.kill_now(2, 3 * kSecondUs);
    EXPECT_EQ(founding.ask({"CONFIG", "SET", "appendonly", "yes"}, kSecondUs / 2), "+OK\r\n");
    while (world.node(2) == nullptr) founding.pass(kSecondUs / 20);
    founding.settle();
    EXPECT_EQ(founding.ask({"SET", "k", "v"}, kSecondUs / 2), "+OK\r\n");
    founding.pass(2 * kSecondUs);
    world.kill_now(2, kSecondUs / 10);
    founding.pass(kSecondUs / 2);
    founding.company(2).cluster().groups().for_each([&](raft::GroupId group, const raft::Core& core) {
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

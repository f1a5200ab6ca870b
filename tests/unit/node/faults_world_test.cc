// What the world `cluster` may do to its nodes and may want of them, where a drawn lifetime asked for more than is promised.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/cluster_operator.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

raft::Durability kept_by(CalmCluster& cluster, uint32_t machine) { return cluster.company(machine).cluster().groups().health().kept; }

// Notes which machine's place an empty node takes.
class Place final : public ClusterOperatorHost {
 public:
  int64_t now_us() const override { return now_us_; }
  uint32_t machine_count() const override { return 3; }
  void operator_sends(uint32_t, std::string_view) override {}
  void wake_operator(int64_t at_us) override { now_us_ = at_us; }
  void log_operator(std::string_view) override {}
  std::string node_name_of(uint32_t) override { return "name"; }
  bool holds_nothing(const std::string&) override { return false; }
  std::optional<uint32_t> drained_machine() override { return std::nullopt; }
  std::optional<uint32_t> removed_machine() override { return std::nullopt; }
  void take_down(uint32_t, int64_t) override {}
  void replace(uint32_t machine) override { replaced = machine; }
  std::optional<uint32_t> replaced;

 private:
  int64_t now_us_ = 0;
};

TEST(FaultsWorld, nobody_is_replaced_because_whoever_is_asked_was_removed_itself) {
  Place place;
  ClusterOperator people(place, 1);
  people.begin(0, ClusterOperator::Wish::kReplace);
  people.on_bytes("-ERR this node is not a member: the node was removed from the cluster for good\r\n");
  people.on_timer(place.now_us());
  EXPECT_EQ(place.replaced, std::nullopt);
  people.on_bytes("-ERR the node was removed from the cluster for good\r\n");
  people.on_timer(place.now_us());
  EXPECT_EQ(place.replaced, 0u);
}

// A REMOVE that was given up may be carried out behind the UNDRAIN that took its place.
TEST(FaultsWorld, who_was_removed_late_is_replaced_once_all_has_healed) {
  CalmCluster cluster(4);
  const NodeId before = cluster.company(3).cluster().own().id;
  EXPECT_EQ(cluster.ask(0, {"QUORUM", "DRAIN", node_name(before)}, 5 * kSecondUs), "+OK\r\n");
  std::string removed;
  for (int step = 0; step < 100 && removed != "+OK\r\n"; ++step) {
    cluster.pass(kSecondUs / 10);
    removed = cluster.ask(0, {"QUORUM", "REMOVE", node_name(before)}, 5 * kSecondUs);
  }
  EXPECT_EQ(removed, "+OK\r\n");
  cluster.world().heal();
  for (int step = 0; step < 200 && !(cluster.world().replaced() > 0 && cluster.world().is_settled()); ++step) cluster.pass(kSecondUs / 10);
  EXPECT_EQ(cluster.world().describe_unsettled(), "");
  EXPECT_EQ(cluster.world().replaced(), 1u);
  EXPECT_NE(cluster.company(3).cluster().own().id, before);
  EXPECT_EQ(cluster.wrong(), "");
}

// Two of three would have forgotten, or are gone, though no process that ends takes anything by the mode that is promised.
TEST(FaultsWorld, who_does_not_keep_the_mode_yet_is_not_killed_while_another_one_is_missing) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "appendonly", "no", "appendfsync", "no"}, 5 * kSecondUs), "+OK\r\n");
  cluster.pass(kSecondUs);
  cluster.world().isolate(2);
  cluster.pass(kSecondUs);
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "appendonly", "yes", "appendfsync", "always"}, 10 * kSecondUs), "+OK\r\n");
  EXPECT_EQ(kept_by(cluster, 1), raft::Durability::kSynced);
  EXPECT_EQ(kept_by(cluster, 2), raft::Durability::kMemory);
  cluster.world().kill_now(0);
  cluster.world().kill(2, kSecondUs / 100);
  cluster.pass(kSecondUs / 5);
  EXPECT_EQ(cluster.world().crashes(), 1u);
  // It keeps what it acknowledges, and may end at any time.
  cluster.world().kill(1, kSecondUs / 100);
  cluster.pass(kSecondUs / 5);
  EXPECT_EQ(cluster.world().crashes(), 2u);
  cluster.world().heal();
  cluster.pass(10 * kSecondUs);
  EXPECT_EQ(cluster.world().describe_unsettled(), "");
  EXPECT_EQ(cluster.wrong(), "");
}

// A leader whose followers are lost for good stands for its term until an operator has given them up.
TEST(FaultsWorld, what_was_acknowledged_before_nodes_were_lost_for_good_need_not_be_on_others) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"SET", "key", "value"}), "+OK\r\n");
  cluster.world().look_at_kept();
  cluster.pass(3 * kSecondUs);
  cluster.world().lose_for_good({1, 2});
  cluster.world().look_at_kept();
  const uint64_t looks = cluster.world().kept_looks();
  cluster.pass(3 * kSecondUs);
  EXPECT_GT(cluster.world().kept_looks(), looks);
  EXPECT_EQ(cluster.wrong(), "");
}

// Those that go on without them show what is lost before the operator is told that it is decided.
TEST(FaultsWorld, clients_may_see_that_something_is_lost_before_the_operator_is_told) {
  CalmCluster cluster(3);
  ClusterWorld& world = cluster.world();
  const int64_t began_us = world.now_us();
  world.start_clients();
  cluster.pass(kSecondUs);
  // What the others acknowledge from here on is nowhere else.
  world.isolate(0);
  cluster.pass(3 * kSecondUs);
  std::vector<std::string> words{"QUORUM", "UNSAFE-RECOVER"};
  for (const uint32_t machine : {1u, 2u}) words.push_back(node_name(cluster.company(machine).cluster().own().id));
  world.clients().begin_loss();
  world.lose_for_good({1, 2});
  cluster.pass(2 * kSecondUs);
  EXPECT_EQ(cluster.ask(0, words, 10 * kSecondUs), "+OK\r\n");
  const uint64_t answered = world.clients().writes_answered();
  cluster.pass(3 * kSecondUs);
  EXPECT_GT(world.clients().writes_answered(), answered);
  world.clients().forget_since(began_us);
  cluster.pass(2 * kSecondUs);
  EXPECT_EQ(cluster.wrong(), "");
}

// They would be taken for those that are gone.
TEST(FaultsWorld, who_was_lost_for_good_is_not_started_by_a_start_of_before) {
  CalmCluster cluster(3);
  cluster.world().kill(1, 2 * kSecondUs);
  cluster.pass(kSecondUs / 5);
  ASSERT_EQ(cluster.world().node(1), nullptr);
  cluster.world().heal();
  cluster.pass(kSecondUs / 5);
  ASSERT_NE(cluster.world().node(1), nullptr);
  cluster.world().lose_for_good({1});
  cluster.pass(3 * kSecondUs);
  EXPECT_EQ(cluster.world().node(1), nullptr);
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

// What becomes of clients of a leader when another node leads what they have asked for.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

uint32_t leader_of(CalmCluster& cluster, const std::string& key) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (cluster.company(machine).serves(cluster.partition_of(key))) return machine;
  }
  return 0;
}

// To the node behind the leader.
uint32_t move(CalmCluster& cluster, const std::string& key) {
  const uint32_t next = (leader_of(cluster, key) + 1) % 3;
  EXPECT_EQ(cluster.ask(next, {"CLUSTER", "FAILOVER"}), "+OK\r\n");
  for (int step = 0; step < 100 && leader_of(cluster, key) != next; ++step) cluster.pass(20'000);
  EXPECT_EQ(leader_of(cluster, key), next);
  return next;
}

TEST(DeposedWorld, who_waits_for_a_key_waits_at_the_next_leader) {
  CalmCluster cluster(3);
  for (const std::string command : {"BLPOP", "BLMPOP", "BLMOVE"}) {
    const std::string key = "queue" + command;
    const uint32_t leader = leader_of(cluster, key);
    const std::vector<std::string> words = command == "BLPOP"    ? std::vector<std::string>{"BLPOP", key, "0"}
                                           : command == "BLMPOP" ? std::vector<std::string>{"BLMPOP", "0", "1", key, "LEFT"}
                                                                 : std::vector<std::string>{"BLMOVE", key, "{" + key + "}", "LEFT", "LEFT", "0"};
    EXPECT_EQ(cluster.ask(leader, words, 0), "");
    move(cluster, key);
    const uint32_t next = move(cluster, key);
    EXPECT_EQ(cluster.heard(leader), "");
    EXPECT_EQ(cluster.ask(next, {"RPUSH", key, "element"}), ":1\r\n");
    cluster.pass(50'000);
    EXPECT_NE(cluster.heard(leader).find("$7\r\nelement\r\n"), std::string::npos) << command;
    EXPECT_EQ(cluster.ask(next, {"EXISTS", key}), ":0\r\n");
    EXPECT_EQ(cluster.ask(leader, {"PING"}), "+PONG\r\n");
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(DeposedWorld, who_waits_waits_no_longer_for_that) {
  CalmCluster cluster(3);
  const std::string key = "queue";
  const uint32_t leader = leader_of(cluster, key);
  EXPECT_EQ(cluster.ask(leader, {"BLPOP", key, "4"}, 0), "");
  cluster.pass(2'000'000);
  EXPECT_EQ(cluster.heard(leader), "");
  move(cluster, key);
  // Two seconds are left at the most.
  std::string answer;
  for (int64_t passed_us = 0; answer.empty() && passed_us < 2'200'000; passed_us += 50'000) {
    cluster.pass(50'000);
    answer = cluster.heard(leader);
  }
  EXPECT_EQ(answer, "*-1\r\n");
}

TEST(DeposedWorld, who_waits_and_hangs_up_takes_nothing_at_the_next_leader) {
  CalmCluster cluster(3);
  const std::string key = "queue";
  const uint32_t leader = leader_of(cluster, key);
  EXPECT_EQ(cluster.ask(leader, {"BLPOP", key, "0"}, 0), "");
  const uint32_t next = move(cluster, key);
  cluster.hang_up(leader);
  cluster.pass(100'000);
  EXPECT_EQ(cluster.ask(next, {"RPUSH", key, "element"}), ":1\r\n");
  cluster.pass(100'000);
  EXPECT_EQ(cluster.ask(next, {"LLEN", key}), ":1\r\n");
}

// Who was told to stand could do so yet: the leader stands for that very term itself, and executes
// nothing before it is elected.
TEST(DeposedWorld, a_leader_whose_transfer_is_not_taken_leads_the_next_term) {
  CalmCluster cluster(3);
  const std::string key = "key";
  const uint32_t leader = leader_of(cluster, key);
  const uint32_t partition = cluster.partition_of(key);
  Groups& groups = cluster.company(leader).cluster().groups();
  const raft::Core& core = *groups.find(group_of_partition(partition));
  const raft::Term term = core.term();
  const NodeId target = cluster.company((leader + 1) % 3).cluster().own().id;
  cluster.world().isolate((leader + 1) % 3);
  ASSERT_TRUE(groups.hand_over(cluster.company(leader).wall_now(), group_of_partition(partition), std::vector<raft::NodeId>{{target}}));
  cluster.node(leader).end_turn();
  cluster.pass(100'000);
  ASSERT_EQ(core.role_state().serving, raft::Serving::kHandingOver);
  EXPECT_EQ(cluster.ask(leader, {"INCR", key}, 0), "");
  EXPECT_EQ(core.last_index(), core.commit_index());
  cluster.pass(2'000'000);
  EXPECT_EQ(cluster.heard(leader), ":1\r\n");
  cluster.world().heal();
  cluster.pass(5'000'000);
  ASSERT_EQ(core.term(), raft::next(term));
  EXPECT_EQ(core.role_state().takeover, raft::Takeover::kTransfer);
  ASSERT_TRUE(cluster.company(leader).serves(partition));
  EXPECT_GT(core.lease_until_us(), cluster.node(leader).now().steady_us);
  EXPECT_EQ(cluster.ask(leader, {"GET", key}), "$1\r\n1\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

// It has no lease any more in this term, but nobody has taken its place.
TEST(DeposedWorld, a_leader_whose_transfer_is_refused_runs_commands_at_once) {
  CalmCluster cluster(3);
  const std::string key = "key";
  const uint32_t leader = leader_of(cluster, key);
  const uint32_t partition = cluster.partition_of(key);
  const raft::GroupId group = group_of_partition(partition);
  Groups& groups = cluster.company(leader).cluster().groups();
  const raft::Core& core = *groups.find(group);
  const raft::Term term = core.term();
  Company& other = cluster.company((leader + 1) % 3);
  other.cluster().groups().step(other.wall_now(), group, raft::in::Draining{});
  ASSERT_TRUE(groups.hand_over(cluster.company(leader).wall_now(), group,
                               std::vector<raft::NodeId>{{other.cluster().own().id}}));
  cluster.node(leader).end_turn();
  cluster.pass(2'000'000);
  ASSERT_EQ(core.term(), term);
  ASSERT_TRUE(cluster.company(leader).serves(partition));
  EXPECT_EQ(core.lease_until_us(), INT64_MIN);
  EXPECT_FALSE(cluster.company(leader).is_doubted(partition, cluster.node(leader).now().steady_us));
  EXPECT_EQ(cluster.ask(leader, {"SET", key, "value"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(leader, {"GET", key}), "$5\r\nvalue\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

// What it has executed cannot be undone; but what is committed and stored with it counts until all of it is replaced.
TEST(DeposedWorld, a_former_leader_keeps_what_it_holds_until_the_state_of_the_next_one_is_here) {
  CalmCluster cluster(3);
  const std::string key = "key";
  const uint32_t before = leader_of(cluster, key);
  const uint32_t partition = cluster.partition_of(key);
  const auto core = [&] { return cluster.company(before).cluster().partitions().core(partition); };
  EXPECT_EQ(cluster.ask(before, {"SET", key, "kept"}), "+OK\r\n");
  const raft::Index kept = core()->commit_index();
  cluster.world().isolate(before);
  EXPECT_EQ(cluster.ask(before, {"SET", key, "lost"}, 0), "");
  ASSERT_GT(core()->last_index(), kept);
  const auto another_leads = [&] { return cluster.company((before + 1) % 3).serves(partition) || cluster.company((before + 2) % 3).serves(partition); };
  for (int step = 0; step < 200 && !another_leads(); ++step) cluster.pass(20'000);
  ASSERT_TRUE(another_leads());
  cluster.world().heal();
  const auto has_state = [&] { return core()->log().base().index > kept; };
  for (int step = 0; step < 10'000 && !has_state(); ++step) {
    cluster.pass(1'000);
    ASSERT_GE(core()->last_index(), kept);
    ASSERT_EQ(core()->standing(), raft::Standing::kFull);
  }
  EXPECT_TRUE(has_state());
  EXPECT_TRUE(cluster.heard(before).starts_with("-UNCERTAIN"));
  cluster.pass(kSecondUs);
  EXPECT_EQ(cluster.ask(before, {"GET", key}), "$4\r\nkept\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

// Writes that were acknowledged with fewer copies than a commit needs, and lost: whole nodes say so, also after they were restarted.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

uint32_t leader_of(CalmCluster& cluster, uint32_t partition) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    SimNode* const node = cluster.world().node(machine);
    if (node != nullptr && cluster.company(machine).serves(partition)) return machine;
  }
  return UINT32_MAX;
}

size_t count_told(const std::string& reply, const std::string& kind, uint32_t partition) {
  const std::string kind_and_partition =
      "$4\r\nkind\r\n$" + std::to_string(kind.size()) + "\r\n" + kind + "\r\n$9\r\npartition\r\n:" + std::to_string(partition) + "\r\n";
  size_t count = 0;
  for (size_t at = reply.find(kind_and_partition); at != std::string::npos; at = reply.find(kind_and_partition, at + 1)) ++count;
  return count;
}

bool is_told(const std::string& reply, const std::string& kind, uint32_t partition) { return count_told(reply, kind, partition) != 0; }

TEST(LossesWorld, what_a_leader_acknowledged_alone_before_it_was_killed_is_told_once_it_is_lost) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("k");
  const uint32_t old_leader = leader_of(cluster, partition);
  ASSERT_LT(old_leader, 3u);
  EXPECT_EQ(cluster.ask(old_leader, {"CLIENT", "QUORUM", "W", "1"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(old_leader, {"SET", "k", "kept"}), "+OK\r\n");
  cluster.pass(kSecondUs);
  cluster.world().isolate(old_leader);
  EXPECT_EQ(cluster.ask(old_leader, {"SET", "k", "lost"}, kSecondUs / 10), "+OK\r\n");
  cluster.world().kill_now(old_leader);
  cluster.pass(2 * kSecondUs);
  const uint32_t new_leader = (old_leader + 1) % 3;
  EXPECT_EQ(cluster.ask(new_leader, {"GET", "k"}), "$4\r\nkept\r\n");
  cluster.world().heal();
  cluster.pass(3 * kSecondUs);
  cluster.connect_again(old_leader);
  EXPECT_TRUE(is_told(cluster.ask(old_leader, {"QUORUM", "LOST"}), "lost", partition));
  // And it stays told.
  cluster.world().kill_now(old_leader);
  cluster.world().heal();
  cluster.pass(3 * kSecondUs);
  cluster.connect_again(old_leader);
  EXPECT_TRUE(is_told(cluster.ask(old_leader, {"QUORUM", "LOST"}), "lost", partition));
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LossesWorld, what_was_only_to_be_committed_is_no_loss) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("k");
  const uint32_t old_leader = leader_of(cluster, partition);
  EXPECT_EQ(cluster.ask(old_leader, {"SET", "k", "kept"}), "+OK\r\n");
  cluster.world().isolate(old_leader);
  EXPECT_EQ(cluster.ask(old_leader, {"SET", "k", "lost"}, kSecondUs / 10), "");
  cluster.world().kill_now(old_leader);
  cluster.pass(2 * kSecondUs);
  cluster.world().heal();
  cluster.pass(3 * kSecondUs);
  cluster.connect_again(old_leader);
  EXPECT_EQ(cluster.ask(old_leader, {"GET", "k"}), "$4\r\nkept\r\n");
  EXPECT_FALSE(is_told(cluster.ask(old_leader, {"QUORUM", "LOST"}), "lost", partition));
}

TEST(LossesWorld, an_election_behind_weak_acknowledgements_is_told_also_after_a_restart) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("k");
  const uint32_t old_leader = leader_of(cluster, partition);
  EXPECT_EQ(cluster.ask(old_leader, {"CLIENT", "QUORUM", "W", "1"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(old_leader, {"SET", "k", "v"}), "+OK\r\n");
  cluster.world().kill_now(old_leader);
  cluster.pass(2 * kSecondUs);
  const uint32_t new_leader = leader_of(cluster, partition);
  ASSERT_LT(new_leader, 3u);
  EXPECT_TRUE(is_told(cluster.ask(new_leader, {"QUORUM", "LOST"}), "takeover", partition));
  cluster.world().kill_now(new_leader);
  cluster.world().heal();
  cluster.pass(3 * kSecondUs);
  cluster.connect_again(new_leader);
  EXPECT_TRUE(is_told(cluster.ask(new_leader, {"QUORUM", "LOST"}), "takeover", partition));
}

TEST(LossesWorld, an_election_is_told_only_where_something_was_acknowledged_weakly) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("k");
  uint32_t leader = leader_of(cluster, partition);
  EXPECT_EQ(cluster.ask(leader, {"SET", "k", "v"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(leader, {"CLIENT", "QUORUM", "W", "1"}), "+OK\r\n");
  // In other partitions of the same leader, if it has more.
  for (int number = 0; number < 40; ++number) {
    const std::string key = "o" + std::to_string(number);
    if (cluster.partition_of(key) == partition) continue;
    EXPECT_EQ(cluster.ask(leader, {"SET", key, "v"}), "+OK\r\n");
  }
  cluster.world().kill_now(leader);
  cluster.pass(2 * kSecondUs);
  leader = leader_of(cluster, partition);
  ASSERT_LT(leader, 3u);
  EXPECT_FALSE(is_told(cluster.ask(leader, {"QUORUM", "LOST"}), "takeover", partition));
  EXPECT_EQ(cluster.ask(leader, {"GET", "k"}), "$1\r\nv\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LossesWorld, the_leader_after_next_does_not_tell_again_what_the_next_has_told) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("k");
  const uint32_t first = leader_of(cluster, partition);
  EXPECT_EQ(cluster.ask(first, {"CLIENT", "QUORUM", "W", "1"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(first, {"SET", "k", "v"}), "+OK\r\n");
  cluster.world().kill_now(first);
  cluster.pass(2 * kSecondUs);
  const uint32_t second = leader_of(cluster, partition);
  ASSERT_LT(second, 3u);
  EXPECT_TRUE(is_told(cluster.ask(second, {"QUORUM", "LOST"}), "takeover", partition));
  EXPECT_EQ(cluster.ask(second, {"SET", "k", "of the second"}), "+OK\r\n");
  cluster.world().heal();
  cluster.pass(3 * kSecondUs);
  const uint32_t leads_now = leader_of(cluster, partition);
  ASSERT_LT(leads_now, 3u);
  cluster.world().kill_now(leads_now);
  cluster.pass(2 * kSecondUs);
  const uint32_t third = leader_of(cluster, partition);
  ASSERT_LT(third, 3u);
  if (third == first) cluster.connect_again(first);
  const size_t told_before = third == second ? 1 : 0;
  EXPECT_EQ(count_told(cluster.ask(third, {"QUORUM", "LOST"}), "takeover", partition), told_before);
}

}  // namespace
}  // namespace quorate::sim

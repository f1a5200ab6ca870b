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

bool is_told(const std::string& reply, const std::string& kind, uint32_t partition) {
  const std::string kind_and_partition =
      "$4\r\nkind\r\n$" + std::to_string(kind.size()) + "\r\n" + kind + "\r\n$9\r\npartition\r\n:" + std::to_string(partition) + "\r\n";
  return reply.find(kind_and_partition) != std::string::npos;
}

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

TEST(LossesWorld, an_election_without_a_hand_over_is_told_also_after_a_restart) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("k");
  const uint32_t old_leader = leader_of(cluster, partition);
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

}  // namespace
}  // namespace quorate::sim

// Copies that differ, replicas that have stopped.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

// A cluster of three that compares the copies of all partitions once a second; partition 5 holds a word.
void found_and_compare(World& world) {
  found(world, 3, 3);
  world.at(1).propose(meta::SetSetting{"state-check-seconds", "1"});
  ASSERT_TRUE(world.write_until_done(5, "word", "right")) << world.notes;
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.is_placed(3); })) << world.notes;
}

StateCheck::Counts counts_of_all(World& world) {
  StateCheck::Counts sum;
  for (NodeId id = 1; id <= 3; ++id) {
    const StateCheck::Counts& counts = world.at(id).partitions().check().counts();
    sum.rounds += counts.rounds;
    sum.differing += counts.differing;
    sum.undecided += counts.undecided;
  }
  return sum;
}

TEST(ClusterCheck, equal_copies_are_compared_and_left_alone) {
  World world;
  found_and_compare(world);
  world.run(3'000'000);
  const StateCheck::Counts counts = counts_of_all(world);
  EXPECT_GE(counts.rounds, 2 * kPartitions) << world.notes;
  EXPECT_EQ(counts.differing + counts.undecided, 0u) << world.notes;
  world.at(1).propose(meta::SetSetting{"state-check-seconds", "0"});
  world.run(500'000);
  const uint64_t rounds = counts_of_all(world).rounds;
  world.run(1'500'000);
  EXPECT_EQ(counts_of_all(world).rounds, rounds) << "0 means never";
}

TEST(ClusterCheck, a_copy_that_differs_from_the_majority_comes_back_by_snapshot) {
  World world;
  found_and_compare(world);
  const NodeId follower = world.leader_of(5) % 3 + 1;
  world.data(follower).words[5]["word"] = "wrong";
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(follower).words[5]["word"], "right");
  EXPECT_EQ(counts_of_all(world).differing, 1u) << world.notes;
  EXPECT_EQ(world.at(follower).partitions().started_over(), 1u);
  EXPECT_TRUE(world.write_until_done(5, "word", "new"));
}

TEST(ClusterCheck, a_leader_that_differs_hands_over_first) {
  World world;
  found_and_compare(world);
  const NodeId leader = world.leader_of(5);
  world.data(leader).words[5]["word"] = "wrong";
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(leader).words[5]["word"], "right") << world.notes;
  EXPECT_EQ(world.at(leader).partitions().started_over(), 1u) << world.notes;
}

TEST(ClusterCheck, without_a_majority_nothing_is_done_and_it_is_said) {
  World world;
  found_and_compare(world);
  for (NodeId id = 1; id <= 3; ++id) world.data(id).words[5]["word"] = std::to_string(id);
  const NodeId leader = world.leader_of(5);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return counts_of_all(world).undecided >= 2; })) << world.notes;
  const auto undecided = world.at(leader).partitions().check().undecided();
  EXPECT_EQ(std::vector<uint32_t>(undecided.begin(), undecided.end()), std::vector<uint32_t>{5});
  EXPECT_EQ(counts_of_all(world).differing, 0u);
  for (NodeId id = 1; id <= 3; ++id) EXPECT_EQ(world.data(id).words[5]["word"], std::to_string(id));
}

TEST(ClusterCheck, a_replica_that_cannot_apply_an_entry_comes_back) {
  World world;
  found_and_compare(world);
  const NodeId follower = world.leader_of(5) % 3 + 1;
  world.data(follower).refused = "bad";
  ASSERT_TRUE(world.write_until_done(5, "bad", "1"));
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(follower).words[5]["bad"], "1");
  EXPECT_EQ(world.at(follower).partitions().started_over(), 1u) << world.notes;
}

TEST(ClusterCheck, a_replica_that_has_stopped_by_a_contradiction_comes_back) {
  World world;
  found_and_compare(world);
  const NodeId leader = world.leader_of(5);
  const NodeId follower = leader % 3 + 1;
  contradict(world, leader, follower);
  ASSERT_TRUE(world.write_until_done(5, "after", "1"));
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_FALSE(world.at(follower).partitions().core(5)->failed());
  EXPECT_EQ(world.at(follower).partitions().started_over(), 1u) << world.notes;
}

// It may be the leader that is wrong: nobody forgets what nobody else is known to hold.
TEST(ClusterCheck, two_of_three_that_have_stopped_keep_what_they_have) {
  World world;
  found_and_compare(world);
  const NodeId leader = world.leader_of(5);
  const NodeId followers[] = {leader % 3 + 1, (leader + 1) % 3 + 1};
  for (const NodeId follower : followers) contradict(world, leader, follower);
  world.run(10'000'000);
  for (const NodeId follower : followers) {
    EXPECT_EQ(world.at(follower).partitions().started_over(), 0u) << world.notes;
    EXPECT_EQ(world.data(follower).words[5]["word"], "right");
  }
}

}  // namespace
}  // namespace quorate

// A node that joins in the place of a member that never acts again.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

constexpr NodeId kFormer = 3;
constexpr NodeId kNew = 4;

// Three members with three copies, at rest, in which something was written.
void found_three(World& world) {
  found(world, 3, 3);
  world.run(200'000);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) ASSERT_TRUE(world.write_until_done(partition, "a", "1"));
}

bool is_named(World& world, NodeId at, NodeId node) {
  bool is_found = world.meta_configuration(at).find_on({node}).has_value();
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    const raft::Core* const core = world.at(at).partitions().core(partition);
    is_found = is_found || (core != nullptr && core->configuration().find_on({node}).has_value());
  }
  return is_found;
}

TEST(ClusterReplace, it_gets_what_the_former_held_once_that_is_not_heard_any_more) {
  World world;
  found_three(world);
  world.in_place_of[kNew] = kFormer;
  world.boot(kNew, {1, 2});
  world.run(3'000'000);
  EXPECT_EQ(world.at(kNew).membership(), Membership::kJoining) << "the former one is alive";
  EXPECT_EQ(world.at(1).state().find(kNew), nullptr);
  EXPECT_NE(world.notes.find("nobody has let this node in in the place of"), std::string::npos) << world.notes;
  world.vanish(kFormer);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.at(kNew).membership() == Membership::kMember; })) << world.notes;
  EXPECT_EQ(world.at(1).state().find(kFormer)->state, MemberState::kRemoved);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) EXPECT_TRUE(world.write_until_done(partition, "b", "2"));
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.is_placed(3) && !is_named(world, 1, kFormer) && !is_named(world, 2, kFormer) && world.meta_configuration(1).incoming.voters.size() == 3;
  })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(kNew).words[partition]["a"], "1");
    EXPECT_EQ(world.data(kNew).words[partition]["b"], "2");
  }
}

TEST(ClusterReplace, where_the_others_lack_a_quorum_nothing_happens_until_they_have_one) {
  World world;
  found_three(world);
  world.vanish(kFormer);
  world.kill(2);
  world.in_place_of[kNew] = kFormer;
  world.boot(kNew, {1, 2});
  world.run(5'000'000);
  EXPECT_EQ(world.at(kNew).membership(), Membership::kJoining);
  world.boot(2);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(kNew).membership() == Membership::kMember && world.is_placed(3); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) EXPECT_EQ(world.data(kNew).words[partition]["a"], "1");
}

TEST(ClusterReplace, of_two_members_none_is_replaced) {
  World world;
  found(world, 2, 2);
  world.run(200'000);
  world.vanish(2);
  world.in_place_of[kNew] = 2;
  world.boot(kNew, {1});
  world.run(5'000'000);
  EXPECT_NE(world.at(kNew).membership(), Membership::kMember);
  EXPECT_EQ(world.at(1).state().find(2)->state, MemberState::kActive);
}

TEST(ClusterReplace, nobody_founds_a_cluster_for_it_and_another_one_refuses_it) {
  World world;
  world.boot(1);
  world.in_place_of[kNew] = kFormer;
  world.boot(kNew, {1});
  world.run(3'000'000);
  EXPECT_EQ(world.at(1).membership(), Membership::kAlone);
  EXPECT_EQ(world.at(kNew).membership(), Membership::kJoining);
  world.boot(2, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.at(kNew).membership() == Membership::kRefused; })) << world.notes;
  EXPECT_EQ(world.at(kNew).refusal(), "the node in whose place it comes is none of this cluster");
}

}  // namespace
}  // namespace quorate

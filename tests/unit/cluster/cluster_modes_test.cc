// The mode as partitions of whole cluster nodes follow it (REPLICATION 5).
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

// All partitions of these nodes go by that decision of the members.
bool all_go_by(World& world, const std::vector<NodeId>& nodes, raft::Durability mode, uint64_t version) {
  for (const NodeId id : nodes) {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Configuration& now = world.at(id).partitions().core(partition)->committed_configuration().configuration;
      if (now.durability != mode || world.at(id).partitions().mode_version(partition) != version) return false;
    }
  }
  return true;
}

void set_mode_at(World& world, NodeId node, const char* appendonly, const char* appendfsync) {
  ASSERT_NE(world.at(node).meta().propose(meta::SetSettings{{{"appendonly", appendonly}, {"appendfsync", appendfsync}}}), 0u);
}

void set_mode(World& world, const char* appendonly, const char* appendfsync) { set_mode_at(world, 2, appendonly, appendfsync); }

TEST(ClusterPartitions, a_stricter_mode_waits_for_all_voters_that_are_heard_a_weaker_one_for_nobody) {
  using raft::Durability;
  World world;
  found(world, 3, 3);
  const std::vector<NodeId> all = {1, 2, 3};
  // What nobody keeps holds as soon as nothing is wanted.
  set_mode(world, "no", "always");
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return all_go_by(world, all, Durability::kMemory, 1); })) << world.notes;
  for (const NodeId id : {NodeId{1}, NodeId{3}}) world.at(id).set_kept_mode(world.now, Durability::kSynced);
  world.at(2).set_kept_mode(world.now, Durability::kOs);
  set_mode(world, "yes", "always");
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.at(1).state().mode_version() == 2; })) << world.notes;
  world.run(2'000'000);
  EXPECT_TRUE(all_go_by(world, all, Durability::kMemory, 1));
  world.at(2).set_kept_mode(world.now, Durability::kSynced);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return all_go_by(world, all, Durability::kSynced, 2); })) << world.notes;
  EXPECT_EQ(world.at(3).partitions().required_mode(), Durability::kSynced);
  set_mode(world, "yes", "no");
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return all_go_by(world, all, Durability::kOs, 3); })) << world.notes;
  // Who is not heard holds nobody up.
  world.kill(3);
  set_mode(world, "yes", "always");
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return all_go_by(world, {1, 2}, Durability::kSynced, 4); })) << world.notes;
}

TEST(ClusterPartitions, who_does_not_keep_the_mode_acknowledges_nothing) {
  using raft::Durability;
  World world;
  found(world, 3, 3);
  for (const NodeId id : {NodeId{1}, NodeId{2}, NodeId{3}}) world.at(id).set_kept_mode(world.now, Durability::kSynced);
  set_mode(world, "yes", "always");
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return all_go_by(world, {1, 2, 3}, Durability::kSynced, 1); })) << world.notes;
  world.kill(3);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) ASSERT_TRUE(world.write_until_done(partition, "during", "1")) << world.notes;
  // It keeps nothing for certain yet.
  world.boot(3);
  for (const NodeId id : {NodeId{1}, NodeId{2}}) world.at(id).set_kept_mode(world.now, Durability::kSynced);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) ASSERT_TRUE(world.write_until_done(partition, "during", "2")) << world.notes;
  const auto most_stored_of_third = [&] {
    raft::Index most;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const NodeId leader = world.leader_of(partition);
      if (leader == 0) continue;
      for (const raft::Progress& progress : world.at(leader).partitions().core(partition)->progress()) {
        if (progress.member().node.value == 3) most = std::max(most, progress.match());
      }
    }
    return most;
  };
  world.run(3'000'000);
  EXPECT_EQ(most_stored_of_third(), raft::Index());
  world.at(3).set_kept_mode(world.now, Durability::kSynced);
  EXPECT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
}

void keep(World& world, const std::vector<NodeId>& nodes, raft::Durability mode) {
  for (const NodeId id : nodes) world.at(id).set_kept_mode(world.now, mode);
}

// Three nodes whose partitions all are synced.
void found_synced(World& world) {
  world.settings = {{"appendonly", "yes"}, {"appendfsync", "always"}};
  found(world, 3, 3);
  keep(world, {1, 2, 3}, raft::Durability::kSynced);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return all_go_by(world, {1, 2, 3}, raft::Durability::kSynced, 1); })) << world.notes;
}

// It counts its own copy: so a commit would have one copy less than it says.
TEST(ClusterPartitions, who_does_not_keep_the_mode_leads_nothing) {
  World world;
  found_synced(world);
  world.at(1).take_over(world.now);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(1) == kPartitions; })) << world.notes;
  // Nobody hands over to it, whatever the plan prefers; nor does it if told.
  keep(world, {3}, raft::Durability::kOs);
  world.at(2).rebalance();
  world.at(3).take_over(world.now);
  world.run(3'000'000);
  EXPECT_EQ(world.led_by(3), 0u);
  EXPECT_EQ(world.led_by(1) + world.led_by(2), size_t{kPartitions});
  // Nor is it elected, whose log is as long as the other's.
  world.kill(1);
  const auto is_led = [&](uint32_t partition, NodeId node) { return world.at(node).partitions().core(partition)->role() == raft::RoleName::kLeader; };
  ASSERT_TRUE(world.run_until(10'000'000, [&] {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      EXPECT_FALSE(is_led(partition, 3));
      if (!is_led(partition, 2)) return false;
    }
    return true;
  })) << world.notes;
  // Both are needed to commit, and this one's copy is none.
  EXPECT_FALSE(world.write(0, "by", "one"));
  keep(world, {3}, raft::Durability::kSynced);
  EXPECT_TRUE(world.write_until_done(0, "by", "both")) << world.notes;
  // The plan prefers it for its share.
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(3) != 0 && world.led_by(2) + world.led_by(3) == kPartitions; })) << world.notes;
}

TEST(ClusterPartitions, who_is_given_votes_keeps_the_mode_already) {
  World world;
  world.settings = {{"appendonly", "no"}, {"appendfsync", "always"}};
  found(world, 2, 2);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.led_by(1) == world.led_by(2) && world.led_by(1) + world.led_by(2) == kPartitions; }));
  // Of what the first one leads alone the second has all, but nothing on its disk.
  set_mode_at(world, 1, "yes", "always");
  keep(world, {1}, raft::Durability::kSynced);
  std::vector<uint32_t> synced;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    if (world.leader_of(partition) == 1) synced.push_back(partition);
  }
  ASSERT_FALSE(synced.empty());
  ASSERT_TRUE(world.run_until(5'000'000, [&] {
    return std::all_of(synced.begin(), synced.end(), [&](uint32_t partition) { return world.at(1).partitions().mode_version(partition) == 2; });
  })) << world.notes;
  world.boot(3, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
  world.run(5'000'000);
  for (const uint32_t partition : synced) {
    const raft::Configuration& now = world.at(1).partitions().core(partition)->configuration();
    EXPECT_EQ(now.incoming.voters.size(), 1u);
    EXPECT_EQ(now.learners.size(), 2u);
    ASSERT_TRUE(world.write(partition, "alone", "1"));
  }
  keep(world, {2, 3}, raft::Durability::kSynced);
  EXPECT_TRUE(world.run_until(30'000'000, [&] { return world.is_placed(3); })) << world.notes;
}

// The same when both are due at once: votes for two that have all, and a mode that they do not keep.
TEST(ClusterPartitions, a_stricter_mode_waits_for_those_who_are_about_to_vote) {
  World world;
  world.settings = {{"appendonly", "no"}, {"appendfsync", "always"}};
  world.boot(1);
  world.boot(2, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(2) && world.is_placed(2); })) << world.notes;
  keep(world, {1}, raft::Durability::kSynced);
  world.boot(3, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
  set_mode_at(world, 1, "yes", "always");
  // At any time either who votes keeps it, or it is not wanted.
  for (int step = 0; step < 50'000; ++step) {
    world.run(kStepUs);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(1).partitions().core(partition);
      if (core == nullptr || core->configuration().mode_version < 2) continue;
      EXPECT_EQ(core->configuration().voters().size(), 1u);
    }
  }
  keep(world, {2, 3}, raft::Durability::kSynced);
  EXPECT_TRUE(world.run_until(30'000'000, [&] { return world.is_placed(3) && all_go_by(world, {1, 2, 3}, raft::Durability::kSynced, 2); }))
      << world.notes;
}

// What was held back was true of a log whose end another leader has taken back.
TEST(ClusterPartitions, an_acknowledgement_that_waits_is_not_given_of_another_log) {
  World world;
  found_synced(world);
  world.at(1).take_over(world.now);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(1) == kPartitions; })) << world.notes;
  world.run(1'000'000);
  keep(world, {3}, raft::Durability::kOs);
  world.isolate(2);
  const raft::GroupId group = group_of_partition(0);
  const raft::Core& third = *world.at(3).partitions().core(0);
  const raft::Index last = third.last_index();
  // It gets to the third node before it is on the leader's own disk, which then ends.
  ASSERT_TRUE(world.at(1).partitions().can_propose(0));
  const raft::Index lost = world.at(1).partitions().propose(world.now, 0, SharedBytes("lost=1"));
  ASSERT_EQ(lost, raft::next(last));
  world.run(kDiskUs - kStepUs);
  world.kill(1);
  world.isolate(0);
  ASSERT_TRUE(world.run_until(1'000'000, [&] { return world.at(3).groups().holds_back(group, {1}); })) << world.notes;
  EXPECT_EQ(third.last_index(), lost);
  // Without it the two others elect the one of them that keeps the mode.
  world.boot(1);
  const raft::Core& second = *world.at(2).partitions().core(0);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return second.role() == raft::RoleName::kLeader; })) << world.notes;
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return third.stored_index() >= lost && third.log().at(lost).term == second.term(); })) << world.notes;
  world.run(100'000);
  EXPECT_FALSE(world.at(3).groups().holds_back(group, {1}));
  EXPECT_TRUE(world.at(3).groups().holds_back(group, {2}));
  keep(world, {1, 3}, raft::Durability::kSynced);
  EXPECT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(3).words[0].count("lost"), 0u);
}

}  // namespace
}  // namespace quorate

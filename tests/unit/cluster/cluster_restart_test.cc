// Nodes that are started again while the members' log is not what they had left.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

const raft::Core& members_of(World& world, NodeId id) { return *world.at(id).groups().find(meta_group(kPartitions)); }

bool leads_members(World& world, NodeId id) { return members_of(world, id).role() == raft::RoleName::kLeader; }

std::vector<uint32_t> partitions_without(World& world, NodeId id) {
  std::vector<uint32_t> partitions;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    if (world.at(id).partitions().core(partition) == nullptr) partitions.push_back(partition);
  }
  return partitions;
}

// The founder knows from its first record a plan by which it has everything.  By what its log said later it has dropped some replicas, whose
// ids must not act again: with one made anew under such an id a leader of long ago could commit (seed 2922 of the world `cluster`).  After a
// start it goes by the old plan's state until it holds again what it knew; that the end of its log is another one by then changes nothing.
TEST(ClusterRestart, a_replica_that_was_dropped_is_not_made_anew_when_the_members_log_loses_its_end) {
  World world;
  found(world, 4, 3);
  world.run(200'000);
  const std::vector<uint32_t> dropped = partitions_without(world, 1);
  ASSERT_FALSE(dropped.empty());
  std::vector<NodeId> others;
  for (const raft::Member& voter : world.meta_configuration(1).incoming.voters) {
    if (voter.node.value != 1) others.push_back(voter.node.value);
  }
  ASSERT_EQ(others.size(), 2u);
  ASSERT_EQ(world.leader(), 1u);
  // What it has appended alone is lost.
  const raft::Index committed = members_of(world, 1).last_index();
  world.isolate(1);
  for (const char* const name : {"a", "b", "c"}) {
    ASSERT_NE(world.at(1).meta().propose(meta::SetSetting{.name = name, .value = "v"}), 0u);
    world.run(5'000);
  }
  const raft::Index end = members_of(world, 1).last_index();
  ASSERT_GE(end.value, committed.value + 2);
  for (const NodeId id : {NodeId{1}, NodeId{2}, NodeId{3}, NodeId{4}}) world.kill(id);
  world.isolate(0);
  // The others are started again, so nobody knows what is committed; and whoever comes to lead loses the other before it finds out.
  for (const NodeId id : others) world.boot(id);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return leads_members(world, others[0]) || leads_members(world, others[1]); })) << world.notes;
  const NodeId leader = leads_members(world, others[0]) ? others[0] : others[1];
  world.kill(leader == others[0] ? others[1] : others[0]);
  ASSERT_LT(members_of(world, leader).commit_index(), committed);
  world.boot(1);
  ASSERT_EQ(members_of(world, 1).last_index(), end);
  // With the end of its log gone and nothing committed that it knew, it hears nothing for so long that it looks at its partitions.
  int64_t cut_us = 0;
  for (int step = 0; step < 40'000; ++step) {
    world.run(kStepUs);
    const raft::Core& members = members_of(world, 1);
    const bool is_cut = members.last_index() < end && members.commit_index() < committed;
    if (cut_us == 0 && is_cut) {
      cut_us = world.now.steady_us;
      world.isolate(1);
    }
    if (world.now.steady_us == cut_us + 500'000) {
      EXPECT_TRUE(is_cut);
      EXPECT_TRUE(world.at(1).meta().is_catching_up());
      world.isolate(0);
    }
    for (const uint32_t partition : dropped) {
      ASSERT_EQ(world.at(1).partitions().core(partition), nullptr) << partition << ", step " << step << "\n" << world.notes;
    }
  }
  EXPECT_NE(cut_us, 0) << world.notes;
  EXPECT_FALSE(world.at(1).meta().is_catching_up());
  EXPECT_GE(members_of(world, 1).commit_index(), committed);
  for (const NodeId id : {NodeId{2}, NodeId{3}, NodeId{4}}) {
    if (!world.is_running(id)) world.boot(id);
  }
  EXPECT_TRUE(world.run_until(30'000'000, [&] { return world.is_placed(3); })) << world.notes;
}

}  // namespace
}  // namespace quorate

// What operators move by hand: QUORUM MOVE and REBALANCE among whole cluster nodes.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

// As the command does: answered once it is applied.
std::string outcome_of(World& world, NodeId at, const meta::Command& command) {
  const ProposalToken token = world.at(at).propose(command);
  std::string text = "nothing";
  const bool is_told = world.run_until(5'000'000, [&] {
    for (const MetaGroup::Outcome& outcome : world.at(at).take_outcomes()) {
      if (outcome.token == token)
        text = outcome.status.ok() ? "ok" : std::string(outcome.status.error().detail());
    }
    return text != "nothing";
  });
  EXPECT_TRUE(is_told) << world.notes;
  return text;
}

std::vector<NodeId> nodes_of(const ClusterState& state, uint32_t partition) {
  std::vector<NodeId> nodes;
  for (const PlannedReplica& each : state.plan()[partition].replicas) nodes.push_back(each.node);
  return nodes;
}

NodeId without_copy(const ClusterState& state, uint32_t partition) {
  const std::vector<NodeId> nodes = nodes_of(state, partition);
  for (const MemberRecord& member : state.members()) {
    if (std::find(nodes.begin(), nodes.end(), member.id) == nodes.end()) return member.id;
  }
  return 0;
}

size_t planned_for(const ClusterState& state, NodeId node) {
  size_t count = 0;
  for (uint32_t partition = 0; partition < state.partitions(); ++partition) {
    const std::vector<NodeId> nodes = nodes_of(state, partition);
    count += static_cast<size_t>(std::count(nodes.begin(), nodes.end(), node));
  }
  return count;
}

// A cluster of four with three copies each, that is as planned.
void found_four(World& world) {
  found(world, 4, 3);
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.is_settled(4, 3) && world.is_placed(3);
  })) << world.notes;
}

bool is_led_by(World& world, uint32_t partition, NodeId node) {
  return world.leader_of(partition) == node;
}

TEST(ClusterMove, a_copy_goes_to_another_node_with_what_it_holds_and_its_leadership) {
  World world;
  found_four(world);
  const std::vector<NodeId> before = nodes_of(world.at(1).state(), 7);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return is_led_by(world, 7, before[0]); }))
      << world.notes;
  const NodeId to = without_copy(world.at(1).state(), 7);
  ASSERT_EQ(outcome_of(world, 2, meta::Move{.partition = 7, .from = before[0], .to = to}), "ok");
  const std::vector<NodeId> after = {to, before[1], before[2]};
  ASSERT_TRUE(world.run_until(20'000'000, [&] {
    return world.agree(4) && world.is_placed(3) && is_led_by(world, 7, to);
  })) << world.notes;
  EXPECT_EQ(nodes_of(world.at(1).state(), 7), after);
  EXPECT_EQ(world.data(to).words[7]["first"], "7");
  EXPECT_TRUE(world.data(before[0]).words[7].empty());
  EXPECT_EQ(world.at(before[0]).partitions().core(7), nullptr);
}

// Node 4 gets a copy of each partition of which it has none; `moved`: so many.
void give_all_to_4(World& world, size_t& moved) {
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    if (without_copy(world.at(1).state(), partition) != 4) continue;
    ASSERT_EQ(outcome_of(world, 1,
                         meta::Move{.partition = partition,
                                    .from = nodes_of(world.at(1).state(), partition)[2],
                                    .to = 4}),
              "ok");
    ++moved;
  }
}

// More than its share, for as long as nothing else changes: not even a new leader of the members
// gives it back.
TEST(ClusterMove, an_imbalance_that_was_made_by_hand_stays_until_rebalance) {
  World world;
  found_four(world);
  const size_t share = planned_for(world.at(1).state(), 4);
  size_t moved = 0;
  give_all_to_4(world, moved);
  ASSERT_GE(moved, 3u);
  const placement::Plan plan = world.at(1).state().placement_plan();
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.agree(4) && world.is_placed(3); }))
      << world.notes;
  const NodeId first = world.leader();
  world.kill(first);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.leader() != 0; })) << world.notes;
  world.run(2'000'000);
  world.boot(first);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.agree(4) && world.is_placed(3); }))
      << world.notes;
  EXPECT_EQ(world.at(first).state().placement_plan(), plan);
  EXPECT_EQ(planned_for(world.at(first).state(), 4), share + moved);
  ASSERT_EQ(outcome_of(world, 3, meta::Rebalance{}), "ok");
  const auto is_balanced = [&] {
    return world.agree(4) && world.is_placed(3) &&
           world.at(1).state().plan_fit() == PlanFit::kMade &&
           planned_for(world.at(1).state(), 4) <= kPartitions * 3 / 4 + 1;
  };
  EXPECT_TRUE(world.run_until(30'000'000, is_balanced)) << world.notes;
}

TEST(ClusterMove, what_was_moved_gives_way_when_the_members_change) {
  World world;
  found_four(world);
  size_t moved = 0;
  give_all_to_4(world, moved);
  ASSERT_EQ(planned_for(world.at(1).state(), 4), size_t{kPartitions});
  world.boot(5, {1});
  const auto is_balanced = [&] {
    if (!world.agree(5) || !world.is_placed(3)) return false;
    for (NodeId id = 1; id <= 5; ++id) {
      if (planned_for(world.at(1).state(), id) > kPartitions * 3 / 5 + 1) return false;
    }
    return true;
  };
  EXPECT_TRUE(world.run_until(30'000'000, is_balanced)) << world.notes;
}

TEST(ClusterMove, another_node_leads_at_once_though_a_failover_was_asked_for_before) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.is_settled(3, 3) && world.is_placed(3);
  })) << world.notes;
  ASSERT_GT(world.at(1).take_over(world.now), 0u);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.led_by(1) == kPartitions; }))
      << world.notes;
  const std::vector<NodeId> before = nodes_of(world.at(1).state(), 2);
  const NodeId wanted = before[1] == 1 ? before[2] : before[1];
  ASSERT_EQ(outcome_of(world, 1, meta::Move{.partition = 2, .to = wanted}), "ok");
  EXPECT_TRUE(world.run_until(2'000'000, [&] { return is_led_by(world, 2, wanted); }))
      << world.notes;
  EXPECT_EQ(world.led_by(1), kPartitions - 1u);
  world.run(5'000'000);
  EXPECT_TRUE(is_led_by(world, 2, wanted));
}

TEST(ClusterMove, a_member_is_told_why_it_cannot_be) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.is_settled(3, 3) && world.is_placed(3);
  })) << world.notes;
  EXPECT_EQ(outcome_of(world, 2, meta::Move{.partition = 2, .from = 1, .to = 2}),
            "the node that is to get the partition has a copy of it already");
}

// A member that says so gets twice the share of each of the others, and less again when it takes
// that back.
TEST(ClusterMove, a_node_gets_its_share_by_its_weight) {
  World world;
  found(world, 3, 3);
  ASSERT_EQ(outcome_of(world, 1, meta::SetSetting{"replication-n", "1"}), "ok");
  const auto has_share = [&](size_t least, size_t most) {
    return world.run_until(30'000'000, [&] {
      const size_t own = planned_for(world.at(1).state(), 2);
      return world.agree(3) && world.is_placed(1) && own >= least && own <= most;
    });
  };
  ASSERT_TRUE(has_share(kPartitions / 3, kPartitions / 3 + 1)) << world.notes;
  world.at(2).set_own_share("", 200);
  ASSERT_TRUE(has_share(kPartitions / 2, kPartitions / 2 + 1)) << world.notes;
  EXPECT_EQ(world.at(3).state().find(2)->weight, 200u);
  world.at(2).set_own_share("", 100);
  ASSERT_TRUE(has_share(kPartitions / 3, kPartitions / 3 + 1)) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(world.leader_of(partition)).words[partition]["first"],
              std::to_string(partition));
  }
}

// The plan fits as it is, though a member has changed: it counts as made for these, so that
// something can be moved.
TEST(ClusterMove, after_a_change_that_moves_nothing_something_can_be_moved) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.is_settled(3, 3) && world.is_placed(3);
  })) << world.notes;
  MemberRecord changed = World::record(2);
  changed.zone = "elsewhere";
  world.at(1).propose(meta::Enrol{changed});
  world.run(500'000);
  ASSERT_TRUE(world.run_until(5'000'000, [&] {
    return world.agree(3) && world.at(1).state().plan_fit() == PlanFit::kMade;
  })) << world.notes;
  const std::vector<NodeId> before = nodes_of(world.at(1).state(), 2);
  EXPECT_EQ(outcome_of(world, 1, meta::Move{.partition = 2, .to = before[1]}), "ok");
}

}  // namespace
}  // namespace quorate

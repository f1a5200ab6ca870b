// Cluster nodes: founding, joining, agreeing, restarting.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

TEST(ClusterNode, alone_nothing_happens) {
  World world;
  world.boot(1);
  world.run(2'000'000);
  EXPECT_EQ(world.at(1).membership(), Membership::kAlone);
  EXPECT_EQ(world.at(1).deadline(), kNever);
}

TEST(ClusterNode, the_first_who_knocks_makes_a_cluster_of_two_with_one_voter) {
  World world;
  world.boot(1);
  world.boot(2, {1});
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.agree(2); })) << world.notes;
  world.run(1'000'000);
  EXPECT_EQ(world.meta_configuration(1).incoming.voters.size(), 1u);
  EXPECT_EQ(world.meta_configuration(1).learners.size(), 1u);
}

TEST(ClusterNode, a_cluster_is_founded_with_the_settings_of_that_moment) {
  World world;
  world.settings = {{"appendonly", "no"}, {"appendfsync", "always"}, {"write-quorum", "1"}};
  world.boot(1);
  world.run(1'000'000);
  world.at(1).set_kept_mode(world.now, raft::Durability::kOs);
  world.settings = {{"appendonly", "yes"}, {"appendfsync", "everysec"}, {"write-quorum", "all"}};
  world.boot(2, {1});
  // From the first record on: a start in between goes by that.
  bool is_founded = false;
  ASSERT_TRUE(world.run_until(5'000'000, [&] {
    const ClusterState& state = world.at(1).state();
    if (!state.is_founded()) return false;
    is_founded = true;
    EXPECT_EQ(state.setting("write-quorum"), "all");
    EXPECT_EQ(state.mode(), raft::Durability::kOs);
    EXPECT_EQ(state.mode_version(), 1u);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      EXPECT_EQ(world.at(1).partitions().core(partition)->configuration().durability, raft::Durability::kOs);
    }
    return world.agree(2);
  })) << world.notes;
  EXPECT_TRUE(is_founded);
}

TEST(ClusterNode, three_vote_and_more_learn) {
  World world;
  for (NodeId id = 1; id <= 5; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(5, 3); })) << world.notes;
  EXPECT_EQ(world.meta_configuration(5).learners.size(), 2u);
}

TEST(ClusterNode, a_node_may_knock_before_anybody_is_there_and_at_any_member) {
  World world;
  world.boot(3, {2});
  world.run(300'000);
  world.boot(2, {1});
  world.run(300'000);
  world.boot(1);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
}

TEST(ClusterNode, a_setting_reaches_everybody_from_anywhere) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); }));
  const ProposalToken token = world.at(3).meta().propose(meta::SetSetting{"write-quorum", "all"});
  ASSERT_NE(token, 0u);
  EXPECT_TRUE(world.run_until(1'000'000, [&] {
    return world.at(1).state().setting("write-quorum") == "all" && world.at(2).state().setting("write-quorum") == "all" &&
           world.at(3).state().setting("write-quorum") == "all";
  }));
}

TEST(ClusterNode, who_proposes_hears_what_became_of_it_and_of_nothing_else) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); }));
  for (NodeId id = 1; id <= 3; ++id) EXPECT_TRUE(world.at(id).take_outcomes().empty());
  const ProposalToken refused = world.at(3).propose(meta::SetState{99, MemberState::kDraining});
  const ProposalToken taken = world.at(3).propose(meta::SetState{2, MemberState::kDraining});
  std::vector<MetaGroup::Outcome> outcomes;
  ASSERT_TRUE(world.run_until(2'000'000, [&] {
    for (MetaGroup::Outcome& outcome : world.at(3).take_outcomes()) outcomes.push_back(std::move(outcome));
    return outcomes.size() == 2;
  })) << world.notes;
  EXPECT_EQ(outcomes[0].token, refused);
  EXPECT_EQ(outcomes[0].status.error().detail(), "no such node");
  EXPECT_EQ(outcomes[1].token, taken);
  EXPECT_TRUE(outcomes[1].status.ok());
  EXPECT_TRUE(world.at(1).take_outcomes().empty());
}

TEST(ClusterNode, a_proposal_whose_effect_comes_by_snapshot_has_an_outcome_too) {
  World world;
  world.window_bytes_max = 10'000;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3) && world.is_placed(3); })) << world.notes;
  const NodeId leader = world.leader();
  const NodeId proposer = leader == 3 ? 2 : 3;
  const ProposalToken token = world.at(proposer).propose(meta::SetSetting{"a", "b"});
  world.run(200);   // it is on its way to the leader
  world.isolate(proposer);
  ASSERT_TRUE(world.run_until(2'000'000, [&] { return world.at(leader).state().setting("a") == "b"; })) << world.notes;
  for (int written = 0; written < 20; ++written) {
    world.at(leader).meta().propose(meta::SetSetting{"more", std::string(2000, static_cast<char>('a' + written))});
    world.run(50'000);
  }
  EXPECT_TRUE(world.at(proposer).take_outcomes().empty());
  world.isolate(0);
  std::vector<MetaGroup::Outcome> outcomes;
  ASSERT_TRUE(world.run_until(5'000'000, [&] {
    outcomes = world.at(proposer).take_outcomes();
    return !outcomes.empty();
  })) << world.notes;
  EXPECT_EQ(outcomes[0].token, token);
  EXPECT_FALSE(outcomes[0].is_known);
  EXPECT_EQ(world.at(proposer).state().setting("a"), "b");
}

// All of them hear from the meta group, whoever votes there.
TEST(ClusterNode, more_nodes_than_can_vote_and_as_many_again_are_members) {
  constexpr NodeId kNodes = 24;
  World world;
  world.boot(1);
  for (NodeId id = 2; id <= kNodes; ++id) world.boot(id, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(kNodes, 3); })) << world.notes;
  // What is decided from here on is heard by everybody.
  world.at(kNodes).propose(meta::SetState{2, MemberState::kDraining});
  EXPECT_TRUE(world.run_until(2'000'000, [&] {
    for (NodeId id = 1; id <= kNodes; ++id) {
      if (world.at(id).state().find(2)->state != MemberState::kDraining) return false;
    }
    return true;
  })) << world.notes;
  // So does who was away when more joined.
  world.kill(kNodes);
  world.boot(kNodes + 1, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(kNodes + 1); })) << world.notes;
  world.boot(kNodes);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(kNodes + 1); })) << world.notes;
}

TEST(ClusterNode, a_node_that_was_alone_joins_when_it_is_told_to) {
  World world;
  world.boot(1);
  world.boot(2);
  world.run(100'000);
  world.at(2).join(world.now, {.host = "host", .port = 1});
  EXPECT_EQ(world.at(2).membership(), Membership::kJoining);
  EXPECT_TRUE(world.run_until(5'000'000, [&] { return world.agree(2); })) << world.notes;
}

TEST(ClusterNode, a_node_that_nobody_lets_in_says_where_it_knocks) {
  World world;
  world.boot(1, {2});
  world.run(25'000'000);
  const std::string complaint = "1> no node of a cluster answers at ";
  int64_t count = 0;
  for (size_t at = 0; (at = world.notes.find(complaint, at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 3) << world.notes;  // after 2, 12 and 22 seconds
  world.boot(2);
  EXPECT_TRUE(world.run_until(5'000'000, [&] { return world.agree(2); })) << world.notes;
}

TEST(ClusterNode, the_lines_with_other_members_are_told) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); }));
  const std::vector<Peers::LineFacts> lines = world.at(2).peers().lines();
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[0].node, 1u);
  EXPECT_EQ(lines[0].lane, PeerLane::kData);
  EXPECT_FALSE(lines[0].is_dialled_here);
  EXPECT_EQ(lines[1].lane, PeerLane::kBeats);
  EXPECT_EQ(lines[2].lane, PeerLane::kPubsub);
  EXPECT_EQ(lines[3].node, 3u);
  EXPECT_TRUE(lines[3].is_dialled_here);
  EXPECT_EQ(lines[3].up_since_unix_ms, world.now.unix_ms);
}

TEST(ClusterNode, when_the_leader_dies_another_takes_over_and_it_comes_back) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); })) << world.notes;
  const NodeId leader = world.leader();
  ASSERT_NE(leader, 0u);
  world.kill(leader);
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.leader() != 0; })) << world.notes;
  const NodeId next = world.leader();
  EXPECT_NE(next, leader);
  world.at(next).meta().propose(meta::SetSetting{"a", "b"});
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.at(next).state().setting("a") == "b"; }));
  world.boot(leader);
  EXPECT_TRUE(world.run_until(5'000'000, [&] {
    return world.agree(3) && world.at(leader).state().setting("a") == "b";
  })) << world.notes;
}

TEST(ClusterNode, all_killed_at_once_come_back_with_what_was_agreed) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); })) << world.notes;
  world.at(2).meta().propose(meta::SetSetting{"a", "b"});
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.at(2).state().setting("a") == "b"; }));
  for (NodeId id = 1; id <= 3; ++id) world.kill(id);
  for (NodeId id = 3; id >= 1; --id) world.boot(id);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.agree(3) && world.leader() != 0; })) << world.notes;
  EXPECT_EQ(world.at(1).state().setting("a"), "b");
}

TEST(ClusterNode, all_that_come_back_at_other_addresses_find_each_other_by_one_that_is_named) {
  for (const NodeId named : {NodeId{101}, NodeId{102}, NodeId{103}}) {
    World world;
    for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); })) << world.notes;
    for (NodeId id = 1; id <= 3; ++id) world.kill(id);
    for (NodeId id = 1; id <= 3; ++id) world.boot(id, {named}, static_cast<uint16_t>(100 + id));
    EXPECT_TRUE(world.run_until(20'000'000, [&] {
      return world.agree(3) && world.leader() != 0 && world.at(1).state().find(2)->cluster_port == 102 && world.at(1).state().find(3)->cluster_port == 103;
    })) << named << "\n" << world.notes;
  }
}

TEST(ClusterNode, the_one_that_has_not_moved_is_found_by_the_others_whatever_its_id) {
  for (const NodeId stays : {NodeId{1}, NodeId{2}, NodeId{3}}) {
    World world;
    for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); })) << world.notes;
    for (NodeId id = 1; id <= 3; ++id) world.kill(id);
    for (NodeId id = 1; id <= 3; ++id) {
      const bool has_moved = id != stays;
      world.boot(id, has_moved ? std::vector<NodeId>{stays} : std::vector<NodeId>(), static_cast<uint16_t>(has_moved ? 100 + id : id));
    }
    EXPECT_TRUE(world.run_until(20'000'000, [&] { return world.agree(3) && world.leader() != 0; })) << stays << "\n" << world.notes;
  }
}

// It has lost its power before it had stored that it was let in, and nobody knows of that yet.
TEST(ClusterNode, who_asks_again_is_let_in_once_its_former_line_is_found_dead) {
  World world;
  world.boot(1);
  world.boot(2, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(2); })) << world.notes;
  world.vanish(2);
  world.boot(2, {1});
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(2); })) << world.notes;
  EXPECT_EQ(world.at(2).membership(), Membership::kMember);
}

TEST(ClusterNode, a_removed_node_is_told_and_never_let_in_again) {
  World world;
  for (NodeId id = 1; id <= 4; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(4); })) << world.notes;
  world.at(1).meta().propose(meta::SetState{4, MemberState::kDraining});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return !world.at(1).state().is_planned(4) && world.is_placed(3); })) << world.notes;
  world.kill(4);
  world.at(1).meta().propose(meta::SetState{4, MemberState::kRemoved});
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.at(2).state().find(4)->state == MemberState::kRemoved; }));
  world.boot(4, {1});
  EXPECT_TRUE(world.run_until(5'000'000, [&] { return world.at(4).membership() == Membership::kRefused; })) << world.notes;
  EXPECT_EQ(world.at(4).refusal(), "the node was removed from the cluster for good");
  EXPECT_EQ(world.at(1).peers().link(4, PeerLane::kData), nullptr);
}

// Node `away` is down while node `newcomer` joins the other one and takes the meta group over from it.
void move_on_without(World& world, NodeId first, NodeId away, NodeId newcomer) {
  world.boot(first);
  world.boot(away, {first});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(2); })) << world.notes;
  world.kill(away);
  world.boot(newcomer, {first});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
  world.at(first).meta().propose(meta::SetState{first, MemberState::kDraining});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.leader() == newcomer; })) << world.notes;
}

TEST(ClusterNode, who_was_away_while_the_group_moved_on_asks_whom_it_knows) {
  World world;
  move_on_without(world, 1, 2, 3);
  world.boot(2);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
}

TEST(ClusterNode, who_was_away_asks_the_member_that_it_does_not_know_when_that_calls) {
  World world;
  move_on_without(world, 3, 4, 1);
  world.kill(3);
  world.boot(4);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
}

TEST(ClusterNode, who_was_away_asks_where_it_is_told_to_look) {
  World world;
  move_on_without(world, 1, 2, 3);
  world.kill(1);
  world.boot(2, {3});
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
}

// It hears no more than others know, and knows no more than it heard; but who is left is among that.
TEST(ClusterNode, who_was_away_and_knows_nobody_but_a_removed_node_hears_from_it_who_is_left) {
  // Of two members the one with the smaller id dials.
  for (const NodeId removed : {NodeId{1}, NodeId{4}}) {
    World world;
    move_on_without(world, removed, 2, 3);
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return !world.at(3).state().is_planned(removed); })) << world.notes;
    world.at(3).meta().propose(meta::SetState{removed, MemberState::kRemoved});
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.at(removed).membership() == Membership::kRefused; })) << world.notes;
    world.kill(3);
    world.boot(2);
    const auto calls = [&](NodeId node) {
      const std::vector<MemberRecord> members = world.at(2).meta().members_to_call();
      return std::any_of(members.begin(), members.end(), [&](const MemberRecord& each) { return each.id == node; });
    };
    EXPECT_FALSE(calls(3));
    EXPECT_TRUE(world.run_until(10'000'000, [&] { return calls(3); })) << removed << world.notes;
    world.boot(3);
    const auto knows_all = [&] { return world.at(2).state().find(3) != nullptr && world.at(2).membership() == Membership::kMember; };
    EXPECT_TRUE(world.run_until(10'000'000, knows_all)) << removed << world.notes;
  }
}

}  // namespace
}  // namespace quorate

// The state that the meta group replicates: what commands do to it, and its bytes.
#include "cluster/members.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "util/prng.h"

namespace quorate {
namespace {

// At the end of a state: the seed of hashes; before it whose plan it is, and the version of the mode.
constexpr size_t kSinceVersion5 = sizeof(uint64_t);
constexpr size_t kSinceVersion4 = 2 + kSinceVersion5;

MemberRecord member(NodeId id) {
  return {.id = id, .host = "node" + std::to_string(id), .port = 7001, .cluster_port = 17001, .client_port = 8001,
          .http_port = 9001, .zone = "z" + std::to_string(id % 2)};
}

ClusterState founded(uint32_t partitions = 8) {
  ClusterState state;
  EXPECT_TRUE(state.apply(meta::Found{.cluster = {'q'}, .partitions = partitions, .first = member(1)}).ok());
  return state;
}

std::string bytes_of(const ClusterState& state) {
  Buffer out;
  state.encode(out);
  return std::string(out.view());
}

std::string error_of(const Status& status) { return status.ok() ? "ok" : std::string(status.error().detail()); }

meta::SetPlan plan_for(const ClusterState& state, uint32_t replication) {
  return {.based_on = state.plan_version(),
          .plan = placement::propose({.members = state.placement_members(), .replication = replication,
                                      .partitions = state.partitions(), .current = state.placement_plan()})};
}

TEST(Members, a_founded_cluster_is_one_node_with_everything) {
  const ClusterState state = founded();
  ASSERT_EQ(state.members().size(), 1u);
  ASSERT_EQ(state.partitions(), 8u);
  std::set<uint64_t> ids;
  for (const PlannedPartition& partition : state.plan()) {
    ASSERT_EQ(partition.replicas.size(), 1u);
    EXPECT_EQ(partition.replicas[0].node, 1u);
    ids.insert(partition.replicas[0].replica);
  }
  EXPECT_EQ(ids.size(), 8u);
}

TEST(Members, partitions_that_begin_anew_leave_a_plan_of_before_what_it_is) {
  ClusterState founder = founded();
  ASSERT_TRUE(founder.apply(meta::Enrol{member(2)}).ok());
  std::string bytes = bytes_of(founder);
  bytes[bytes.size() - kSinceVersion4] = static_cast<char>(PlanFit::kOfBefore);
  ClusterState state = ClusterState::decode(bytes).value();
  EXPECT_EQ(state.placement_members(), founder.placement_members());
  const uint64_t version = state.plan_version();
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {2}, .empty = {1}}).ok());
  EXPECT_EQ(state.plan_fit(), PlanFit::kOfBefore);
  EXPECT_EQ(state.plan_version(), version + 1);
  EXPECT_EQ(state.placement_members().back().state, MemberState::kRemoved);
  // Nor does it change with the members, until it is rebalanced.
  ASSERT_TRUE(state.apply(meta::Enrol{member(3)}).ok());
  EXPECT_EQ(state.plan_version(), version + 1);
  EXPECT_EQ(state.placement_members().size(), 3u);
  ASSERT_TRUE(state.apply(meta::Rebalance{}).ok());
  EXPECT_EQ(state.plan_fit(), PlanFit::kDue);
  EXPECT_EQ(state.plan_version(), version + 2);
}

TEST(Members, nothing_happens_before_the_founding_and_it_happens_once) {
  ClusterState state;
  EXPECT_EQ(error_of(state.apply(meta::Enrol{member(2)})), "the cluster is not founded");
  state = founded();
  EXPECT_EQ(error_of(state.apply(meta::Found{.cluster = {'x'}, .partitions = 8, .first = member(3)})),
            "the cluster is founded already");
}

TEST(Members, a_member_that_enrols_again_changes_its_address_and_keeps_its_state) {
  ClusterState state = founded();
  ASSERT_TRUE(state.apply(meta::Enrol{member(2)}).ok());
  ASSERT_TRUE(state.apply(meta::SetState{2, MemberState::kDraining}).ok());
  MemberRecord moved = member(2);
  moved.host = "elsewhere";
  ASSERT_TRUE(state.apply(meta::Enrol{moved}).ok());
  EXPECT_EQ(state.find(2)->host, "elsewhere");
  EXPECT_EQ(state.find(2)->state, MemberState::kDraining);
}

TEST(Members, a_removed_node_never_comes_back) {
  ClusterState state = founded();
  ASSERT_TRUE(state.apply(meta::Enrol{member(2)}).ok());
  ASSERT_TRUE(state.apply(meta::SetState{2, MemberState::kRemoved}).ok());
  EXPECT_EQ(error_of(state.apply(meta::Enrol{member(2)})), "the node was removed from the cluster for good");
  EXPECT_EQ(error_of(state.apply(meta::SetState{2, MemberState::kActive})),
            "the node was removed from the cluster for good");
}

TEST(Members, the_last_node_cannot_leave) {
  ClusterState state = founded();
  EXPECT_EQ(error_of(state.apply(meta::SetState{1, MemberState::kDraining})), "the last node cannot leave");
  EXPECT_EQ(error_of(state.apply(meta::SetState{9, MemberState::kDraining})), "no such node");
}

TEST(Members, a_plan_made_from_an_older_one_is_refused) {
  ClusterState state = founded();
  ASSERT_TRUE(state.apply(meta::Enrol{member(2)}).ok());
  const meta::SetPlan plan = plan_for(state, 3);
  ASSERT_TRUE(state.apply(plan).ok());
  EXPECT_EQ(error_of(state.apply(plan)), "the plan has changed meanwhile");
}

TEST(Members, a_plan_that_makes_no_sense_is_refused_and_changes_nothing) {
  ClusterState state = founded(2);
  const std::string before = bytes_of(state);
  const auto refusal = [&](placement::Plan plan) {
    const std::string text = error_of(state.apply(meta::SetPlan{.based_on = 1, .plan = std::move(plan)}));
    EXPECT_EQ(bytes_of(state), before);
    return text;
  };
  EXPECT_EQ(refusal({{.replicas = {1}, .voters = 1}}), "the number of partitions is fixed");
  EXPECT_EQ(refusal({{.replicas = {1}, .voters = 1}, {.replicas = {1}, .voters = 0}}), "a partition needs voters");
  EXPECT_EQ(refusal({{.replicas = {1}, .voters = 1}, {.replicas = {1}, .voters = 2}}), "a partition needs voters");
  EXPECT_EQ(refusal({{.replicas = {1}, .voters = 1}, {.replicas = {1, 1}, .voters = 1}}), "a node holds a partition once");
  EXPECT_EQ(refusal({{.replicas = {1}, .voters = 1}, {.replicas = {7}, .voters = 1}}), "the plan names an unknown node");
}

TEST(Members, a_replica_id_is_kept_while_the_node_stays_and_never_given_again) {
  ClusterState state = founded(4);
  std::set<uint64_t> gone;
  Prng random(7);
  for (NodeId id = 2; id <= 6; ++id) ASSERT_TRUE(state.apply(meta::Enrol{member(id)}).ok());
  for (int round = 0; round < 200; ++round) {
    const std::vector<PlannedPartition> before = state.plan();
    placement::Plan plan(4);
    for (placement::PartitionPlan& partition : plan) {
      for (NodeId id = 1; id <= 6; ++id) {
        if (random.chance(0.5)) partition.replicas.push_back(id);
      }
      if (partition.replicas.empty()) partition.replicas.push_back(1);
      partition.voters = 1;
    }
    ASSERT_TRUE(state.apply(meta::SetPlan{.based_on = state.plan_version(), .plan = plan}).ok());
    for (size_t index = 0; index < before.size(); ++index) {
      for (const PlannedReplica& old : before[index].replicas) {
        bool stays = false;
        for (const PlannedReplica& each : state.plan()[index].replicas) {
          if (each.node != old.node) continue;
          EXPECT_EQ(each.replica, old.replica);
          stays = true;
        }
        if (!stays) gone.insert(old.replica);
      }
      for (const PlannedReplica& each : state.plan()[index].replicas) EXPECT_FALSE(gone.contains(each.replica));
    }
  }
}

TEST(Members, state_and_commands_survive_their_bytes) {
  ClusterState state = founded();
  for (NodeId id = 2; id <= 5; ++id) ASSERT_TRUE(state.apply(meta::Enrol{member(id)}).ok());
  ASSERT_TRUE(state.apply(meta::SetSetting{"replication-n", "3"}).ok());
  ASSERT_TRUE(state.apply(plan_for(state, 3)).ok());
  const std::string bytes = bytes_of(state);
  const auto again = ClusterState::decode(bytes);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(bytes_of(again.value()), bytes);
  EXPECT_EQ(again.value().setting("replication-n"), "3");
  EXPECT_EQ(again.value().members(), state.members());

  const meta::Command commands[] = {meta::Found{.cluster = {'q'}, .partitions = 8, .first = member(1)},
                                    meta::Enrol{member(2)}, meta::SetState{2, MemberState::kDraining},
                                    meta::SetSetting{"a", "b"}, plan_for(state, 2),
                                    meta::SetSettings{{{"a", "b"}, {"c", ""}}},
                                    meta::GiveUp{.nodes = {2, 3}, .empty = {0, 7}},
                                    meta::SetDead{{2, 3}},
                                    meta::Move{.partition = 7, .from = 2, .to = 3},
                                    meta::Rebalance{},
                                    meta::Replace{.former = 2, .member = member(9)}};
  for (const meta::Command& command : commands) {
    Buffer first;
    meta::encode(command, first);
    const auto decoded = meta::decode(first.view());
    ASSERT_TRUE(decoded.ok());
    Buffer second;
    meta::encode(decoded.value(), second);
    EXPECT_EQ(first.view(), second.view());
    // Cut off anywhere it is refused.
    for (size_t size = 0; size < first.size(); ++size) {
      EXPECT_FALSE(meta::decode(first.view().substr(0, size)).ok());
    }
  }
}

TEST(Members, who_is_given_up_is_removed_whatever_it_holds) {
  ClusterState state = founded();
  for (NodeId id = 2; id <= 4; ++id) ASSERT_TRUE(state.apply(meta::Enrol{member(id)}).ok());
  ASSERT_TRUE(state.apply(plan_for(state, 3)).ok());
  EXPECT_FALSE(state.apply(meta::SetState{2, MemberState::kRemoved}).ok());
  EXPECT_EQ(state.apply(meta::GiveUp{.nodes = {1, 2, 3, 4}}).error().detail(), "the last node cannot leave");
  EXPECT_TRUE(state.given_up().empty());
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {4, 2}}).ok());
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {2}}).ok());
  EXPECT_EQ(state.given_up(), (std::vector<NodeId>{2, 4}));
  EXPECT_EQ(state.find(2)->state, MemberState::kRemoved);
  EXPECT_EQ(state.find(3)->state, MemberState::kActive);
  EXPECT_FALSE(state.apply(meta::SetState{2, MemberState::kActive}).ok());
  EXPECT_FALSE(state.apply(meta::Enrol{member(2)}).ok());
  // One that nobody knows does not stand in the way, and who was to be emptied is needed.
  ASSERT_TRUE(state.apply(meta::SetState{3, MemberState::kDraining}).ok());
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {1, 9}}).ok());
  EXPECT_EQ(state.given_up(), (std::vector<NodeId>{1, 2, 4}));
  EXPECT_TRUE(state.are_given_up(std::vector<NodeId>{1, 9}));
  EXPECT_EQ(state.find(3)->state, MemberState::kActive);
  const auto again = ClusterState::decode(bytes_of(state));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().given_up(), state.given_up());
}

TEST(Members, partitions_that_nobody_has_a_copy_of_begin_anew_once) {
  ClusterState state = founded();
  for (NodeId id = 2; id <= 4; ++id) ASSERT_TRUE(state.apply(meta::Enrol{member(id)}).ok());
  ASSERT_TRUE(state.apply(plan_for(state, 3)).ok());
  EXPECT_EQ(state.apply(meta::GiveUp{.nodes = {2, 4}, .empty = {state.partitions()}}).error().detail(), "no such partition");
  const std::vector<PlannedPartition> before = state.plan();
  const uint64_t version = state.plan_version();
  const meta::GiveUp lost{.nodes = {2, 4}, .empty = {1, 2}};
  ASSERT_TRUE(state.apply(lost).ok());
  EXPECT_EQ(state.plan_version(), version + 1);
  for (const uint32_t partition : {1u, 2u}) {
    const PlannedPartition& planned = state.plan()[partition];
    ASSERT_EQ(planned.replicas.size(), 1u);
    EXPECT_EQ(planned.voters, 1u);
    EXPECT_EQ(planned.replicas.front().replica, planned.first_replica);
    for (const PlannedReplica& each : before[partition].replicas) EXPECT_LT(each.replica, planned.first_replica);
    EXPECT_TRUE(planned.replicas.front().node == 1 || planned.replicas.front().node == 3);
  }
  EXPECT_EQ(state.plan()[0], before[0]);
  EXPECT_NE(state.plan()[1].replicas.front().node, state.plan()[2].replicas.front().node);
  const std::string once = bytes_of(state);
  ASSERT_TRUE(state.apply(lost).ok());
  EXPECT_EQ(bytes_of(state), once);
  const auto again = ClusterState::decode(once);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(bytes_of(again.value()), once);
  EXPECT_EQ(again.value().plan()[2].first_replica, state.plan()[2].first_replica);
  for (size_t size = 0; size < once.size(); ++size) EXPECT_FALSE(ClusterState::decode(once.substr(0, size)).ok()) << size;
  // The next plan goes on from there.
  ASSERT_TRUE(state.apply(plan_for(state, 2)).ok());
  EXPECT_EQ(state.plan()[1].first_replica, again.value().plan()[1].first_replica);
}

// As it is read from bytes that do not say whose plan it is.
std::string of_before(const ClusterState& state) {
  std::string bytes = bytes_of(state);
  bytes[bytes.size() - kSinceVersion4] = static_cast<char>(PlanFit::kOfBefore);
  return bytes;
}

// Nodes of a build of before have stored their states at different places of one log, and replay the rest as that build did.
TEST(Members, commands_of_before_give_the_same_wherever_a_state_was_stored) {
  const auto as_of_before = [](const ClusterState& state) {
    std::string bytes = bytes_of(state);
    bytes.front() = 3;
    bytes.resize(bytes.size() - kSinceVersion4);
    return ClusterState::decode(bytes).value();
  };
  ClusterState first = as_of_before(founded());
  ASSERT_TRUE(first.apply(meta::Enrol{member(2)}).ok());
  EXPECT_EQ(first.plan_version(), founded().plan_version());
  ClusterState second = as_of_before(first);
  const meta::SetPlan for_two = plan_for(first, 2);
  for (ClusterState* const state : {&first, &second}) ASSERT_TRUE(state->apply(for_two).ok());
  for (ClusterState* const state : {&first, &second}) ASSERT_TRUE(state->apply(meta::Enrol{member(3)}).ok());
  ClusterState third = as_of_before(first);
  const meta::SetPlan for_three = plan_for(first, 3);
  for (ClusterState* const state : {&first, &second, &third}) ASSERT_TRUE(state->apply(for_three).ok());
  EXPECT_EQ(bytes_of(second), bytes_of(first));
  EXPECT_EQ(bytes_of(third), bytes_of(first));
  EXPECT_EQ(first.plan_fit(), PlanFit::kOfBefore);
  EXPECT_FALSE(first.apply(meta::Move{.partition = 0, .to = first.plan()[0].replicas[1].node}).ok());
  ASSERT_TRUE(first.apply(meta::Rebalance{}).ok());
  EXPECT_EQ(first.plan_fit(), PlanFit::kDue);
}

TEST(Members, a_state_of_version_1_says_of_nobody_that_it_was_given_up) {
  const ClusterState state = founded();
  std::string bytes = bytes_of(state);
  ASSERT_EQ(bytes.front(), 5);
  // Nobody, no partition, nobody is dead, the plan is placement's, no mode, and no seed.
  const size_t more = 1 + 1 + 1 + kSinceVersion4;
  ASSERT_EQ(bytes.substr(bytes.size() - more), std::string(3, '\0') + '\1' + std::string(1 + kSinceVersion5, '\0'));
  bytes.front() = 1;
  EXPECT_FALSE(ClusterState::decode(bytes).ok());
  bytes.resize(bytes.size() - more);
  const auto read = ClusterState::decode(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(bytes_of(read.value()), of_before(state));
}

TEST(Members, a_state_of_version_2_says_of_nobody_that_it_is_dead) {
  ClusterState state = founded();
  ASSERT_TRUE(state.apply(meta::Enrol{member(2)}).ok());
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {2}}).ok());
  ASSERT_TRUE(state.apply(plan_for(state, 3)).ok());
  std::string bytes = bytes_of(state);
  bytes.front() = 2;
  bytes.pop_back();
  EXPECT_FALSE(ClusterState::decode(bytes).ok());
  bytes.resize(bytes.size() - kSinceVersion4);
  const auto read = ClusterState::decode(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(bytes_of(read.value()), of_before(state));
}

TEST(Members, a_state_of_version_3_has_no_mode_and_a_plan_that_nobody_has_changed_by_hand) {
  ClusterState state = founded();
  std::string bytes = bytes_of(state);
  bytes.front() = 3;
  EXPECT_FALSE(ClusterState::decode(bytes).ok());
  bytes.resize(bytes.size() - kSinceVersion4);
  const auto read = ClusterState::decode(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().plan_fit(), PlanFit::kOfBefore);
  EXPECT_EQ(bytes_of(read.value()), of_before(state));
}

TEST(Members, the_seed_of_hashes_is_the_founders_for_good) {
  constexpr uint64_t kSeed = 0x8899aabbccddeeff;
  ClusterState state;
  ASSERT_TRUE(state.apply(meta::Found{.cluster = {'q'}, .partitions = 8, .first = member(1), .hash_seed = kSeed}).ok());
  ASSERT_TRUE(state.apply(meta::Enrol{member(2)}).ok());
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {1}}).ok());
  EXPECT_EQ(state.hash_seed(), kSeed);
  std::string bytes = bytes_of(state);
  EXPECT_EQ(bytes.substr(bytes.size() - kSinceVersion5), "\xff\xee\xdd\xcc\xbb\xaa\x99\x88");
  EXPECT_EQ(ClusterState::decode(bytes).value().hash_seed(), kSeed);
  // One of version 4 says nothing of it.
  bytes.front() = 4;
  EXPECT_FALSE(ClusterState::decode(bytes).ok());
  bytes.resize(bytes.size() - kSinceVersion5);
  const auto read = ClusterState::decode(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().hash_seed(), 0u);
}

// Four members with three copies of each partition.
ClusterState of_four() {
  ClusterState state = founded();
  for (NodeId id = 2; id <= 4; ++id) EXPECT_TRUE(state.apply(meta::Enrol{member(id)}).ok());
  EXPECT_TRUE(state.apply(plan_for(state, 3)).ok());
  return state;
}

NodeId without_copy(const ClusterState& state, uint32_t partition) {
  for (const MemberRecord& each : state.members()) {
    const auto& replicas = state.plan()[partition].replicas;
    if (std::none_of(replicas.begin(), replicas.end(), [&](const PlannedReplica& one) { return one.node == each.id; })) return each.id;
  }
  return 0;
}

TEST(Members, a_copy_that_is_moved_takes_the_place_of_the_other_under_a_new_id) {
  ClusterState state = of_four();
  const PlannedPartition before = state.plan()[3];
  const NodeId to = without_copy(state, 3);
  // Nodes 1 and 3 are in one zone, 2 and 4 in the other.
  const auto from = std::find_if(before.replicas.begin(), before.replicas.end(), [&](const PlannedReplica& each) { return each.node % 2 == to % 2; });
  ASSERT_NE(from, before.replicas.end());
  const uint64_t version = state.plan_version();
  ASSERT_TRUE(state.apply(meta::Move{.partition = 3, .from = from->node, .to = to}).ok());
  PlannedPartition expected = before;
  PlannedReplica& moved = expected.replicas[static_cast<size_t>(from - before.replicas.begin())];
  moved = {.node = to, .replica = state.plan()[3].replicas[static_cast<size_t>(from - before.replicas.begin())].replica};
  EXPECT_EQ(state.plan()[3], expected);
  const ClusterState unmoved = of_four();
  for (const PlannedPartition& partition : unmoved.plan()) {
    for (const PlannedReplica& each : partition.replicas) EXPECT_LT(each.replica, moved.replica);
  }
  EXPECT_EQ(state.plan_version(), version + 1);
  EXPECT_EQ(state.plan_fit(), PlanFit::kByHand);
  const auto again = ClusterState::decode(bytes_of(state));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().plan_fit(), PlanFit::kByHand);
}

TEST(Members, another_leader_is_preferred_by_hand_and_the_copies_stay) {
  ClusterState state = of_four();
  const std::vector<PlannedReplica> before = state.plan()[5].replicas;
  ASSERT_TRUE(state.apply(meta::Move{.partition = 5, .to = before[2].node}).ok());
  EXPECT_EQ(state.plan()[5].replicas, (std::vector<PlannedReplica>{before[2], before[0], before[1]}));
  EXPECT_EQ(state.plan()[5].voters, 3u);
}

TEST(Members, what_makes_no_sense_is_not_moved) {
  ClusterState state = of_four();
  const NodeId lead = state.plan()[0].replicas[0].node;
  const NodeId second = state.plan()[0].replicas[1].node;
  const NodeId other = without_copy(state, 0);
  const auto refusal = [&](const meta::Move& wanted) {
    const std::string before = bytes_of(state);
    const std::string text = error_of(state.apply(wanted));
    EXPECT_EQ(bytes_of(state), before);
    return text;
  };
  EXPECT_EQ(refusal({.partition = 8, .from = lead, .to = other}), "no such partition: there are 8");
  EXPECT_EQ(refusal({.partition = 0, .from = lead, .to = 9}), "no such node");
  EXPECT_EQ(refusal({.partition = 0, .from = lead, .to = second}), "the node that is to get the partition has a copy of it already");
  EXPECT_EQ(refusal({.partition = 0, .from = 9, .to = other}), "the node that is to give the partition away has no copy of it");
  EXPECT_EQ(refusal({.partition = 0, .to = other}), "the node has no copy of the partition, so it cannot lead it");
  EXPECT_EQ(refusal({.partition = 0, .to = lead}), "the node is the partition's preferred leader already");
  // Its copies are in two zones; the only one in a zone stays there.
  for (const PlannedReplica& each : state.plan()[0].replicas) {
    if (each.node % 2 == other % 2) continue;
    const bool is_alone_in_its_zone = std::count_if(state.plan()[0].replicas.begin(), state.plan()[0].replicas.end(),
                                                    [&](const PlannedReplica& one) { return one.node % 2 == each.node % 2; }) == 1;
    const std::string text = is_alone_in_its_zone ? refusal({.partition = 0, .from = each.node, .to = other}) : "";
    if (is_alone_in_its_zone) {
      EXPECT_EQ(text, "the partition's copies would be in fewer zones than they are");
    }
  }
  ASSERT_TRUE(state.apply(meta::SetDead{{other}}).ok());
  EXPECT_EQ(refusal({.partition = 0, .from = lead, .to = other}), "the node is dead: it was silent for node-dead-after");
  ASSERT_TRUE(state.apply(meta::SetState{other, MemberState::kDraining}).ok());
  EXPECT_EQ(refusal({.partition = 0, .from = lead, .to = other}), "the node is draining and gets nothing: UNDRAIN it first");
  // The members have changed: what placement is about to do comes first.
  EXPECT_EQ(refusal({.partition = 0, .to = second}), "a plan for members that have changed is being made: ask again");
  ASSERT_TRUE(state.apply(plan_for(state, 3)).ok());
  ASSERT_TRUE(state.apply(meta::Move{.partition = 0, .to = state.plan()[0].replicas[1].node}).ok());
  ASSERT_TRUE(state.apply(meta::SetState{other, MemberState::kRemoved}).ok());
  EXPECT_EQ(refusal({.partition = 0, .from = lead, .to = other}), "the node was removed from the cluster for good");
}

TEST(Members, a_learner_cannot_lead) {
  ClusterState state = founded();
  ASSERT_TRUE(state.apply(meta::Enrol{member(2)}).ok());
  ASSERT_TRUE(state.apply(plan_for(state, 2)).ok());
  ASSERT_EQ(state.plan()[0].voters, 1u);
  EXPECT_EQ(error_of(state.apply(meta::Move{.partition = 0, .to = state.plan()[0].replicas[1].node})),
            "the node's copy of the partition does not vote, so it cannot lead it");
}

TEST(Members, what_was_moved_stays_until_the_members_change_or_somebody_asks_for_balance) {
  ClusterState state = of_four();
  const auto move_one = [&] {
    ASSERT_TRUE(state.apply(meta::Move{.partition = 1, .to = state.plan()[1].replicas[1].node}).ok());
    ASSERT_EQ(state.plan_fit(), PlanFit::kByHand);
  };
  const auto makes_due = [&](const meta::Command& command) {
    move_one();
    const uint64_t version = state.plan_version();
    ASSERT_TRUE(state.apply(command).ok());
    EXPECT_EQ(state.plan_fit(), PlanFit::kDue);
    // A plan that was being made from before is refused.
    EXPECT_EQ(state.plan_version(), version + 1);
    ASSERT_TRUE(state.apply(plan_for(state, 3)).ok());
    EXPECT_EQ(state.plan_fit(), PlanFit::kMade);
  };
  makes_due(meta::Rebalance{});
  makes_due(meta::Enrol{member(5)});
  MemberRecord changed = member(5);
  changed.weight = 300;
  makes_due(meta::Enrol{changed});
  changed.zone = "elsewhere";
  makes_due(meta::Enrol{changed});
  makes_due(meta::SetDead{{4}});
  makes_due(meta::SetDead{});
  makes_due(meta::SetState{5, MemberState::kDraining});
  // Nothing else does.
  move_one();
  changed.host = "another";
  ASSERT_TRUE(state.apply(meta::Enrol{changed}).ok());
  ASSERT_TRUE(state.apply(meta::SetSetting{"write-quorum", "all"}).ok());
  ASSERT_TRUE(state.apply(meta::SetSetting{"replication-n", "3"}).ok());
  EXPECT_EQ(state.plan_fit(), PlanFit::kByHand);
  ASSERT_TRUE(state.apply(meta::SetSetting{"replication-n", "2"}).ok());
  EXPECT_EQ(state.plan_fit(), PlanFit::kDue);
  // What is not by hand is not touched.
  ASSERT_TRUE(state.apply(plan_for(state, 2)).ok());
  const std::string bytes = bytes_of(state);
  ASSERT_TRUE(state.apply(meta::Rebalance{}).ok());
  EXPECT_EQ(bytes_of(state), bytes);
}

TEST(Members, who_comes_in_the_place_of_another_gets_its_place_in_the_plan_under_new_ids) {
  ClusterState state = of_four();
  const std::vector<PlannedPartition> before = state.plan();
  uint64_t last = 0;
  for (const PlannedPartition& planned : before) {
    for (const PlannedReplica& each : planned.replicas) last = std::max(last, each.replica);
  }
  const uint64_t version = state.plan_version();
  const meta::Replace command{.former = 2, .member = member(8)};
  ASSERT_TRUE(state.apply(command).ok());
  EXPECT_EQ(state.find(2)->state, MemberState::kRemoved);
  EXPECT_EQ(state.find(8)->state, MemberState::kActive);
  EXPECT_FALSE(state.is_planned(2));
  EXPECT_EQ(state.plan_version(), version + 1);
  EXPECT_EQ(state.plan_fit(), PlanFit::kDue);
  for (size_t index = 0; index < before.size(); ++index) {
    ASSERT_EQ(state.plan()[index].replicas.size(), before[index].replicas.size());
    EXPECT_EQ(state.plan()[index].voters, before[index].voters);
    for (size_t place = 0; place < before[index].replicas.size(); ++place) {
      const PlannedReplica& was = before[index].replicas[place];
      const PlannedReplica& is = state.plan()[index].replicas[place];
      EXPECT_EQ(is.node, was.node == 2 ? 8 : was.node);
      EXPECT_TRUE(was.node == 2 ? is.replica > last : is.replica == was.replica);
    }
  }
  // Nobody else's copies move for it.
  const auto holders = [&] {
    std::vector<std::set<NodeId>> all;
    for (const placement::PartitionPlan& each : state.placement_plan()) all.emplace_back(each.replicas.begin(), each.replicas.end());
    return all;
  };
  const std::vector<std::set<NodeId>> held = holders();
  ASSERT_TRUE(state.apply(plan_for(state, 3)).ok());
  EXPECT_EQ(holders(), held);
  // Once more it changes nothing.
  const std::string bytes = bytes_of(state);
  ASSERT_TRUE(state.apply(command).ok());
  EXPECT_EQ(bytes_of(state), bytes);
  EXPECT_EQ(error_of(state.apply(meta::Enrol{member(2)})), "the node was removed from the cluster for good");
}

TEST(Members, who_comes_in_the_place_of_one_that_drains_or_is_dead_drains_and_is_not_dead) {
  ClusterState state = of_four();
  ASSERT_TRUE(state.apply(meta::SetState{2, MemberState::kDraining}).ok());
  ASSERT_TRUE(state.apply(meta::SetDead{{2}}).ok());
  ASSERT_TRUE(state.apply(meta::Replace{.former = 2, .member = member(9)}).ok());
  EXPECT_EQ(state.find(9)->state, MemberState::kDraining);
  EXPECT_TRUE(state.dead().empty());
}

TEST(Members, nobody_comes_in_the_place_of_one_that_may_hold_what_nobody_else_does) {
  ClusterState state = of_four();
  const auto refusal = [&](NodeId former, NodeId id) {
    const std::string bytes = bytes_of(state);
    const std::string text = error_of(state.apply(meta::Replace{.former = former, .member = member(id)}));
    EXPECT_EQ(bytes_of(state), bytes);
    return text;
  };
  EXPECT_EQ(refusal(77, 9), "the node in whose place it comes is none of this cluster");
  EXPECT_EQ(refusal(2, 3), "it is a member already, and nobody else's place is free");
  EXPECT_EQ(refusal(2, 2), "it is a member already, and nobody else's place is free");
  ASSERT_TRUE(state.apply(meta::SetSetting{"commit-quorum", "1"}).ok());
  EXPECT_EQ(refusal(2, 9), "one copy commits (commit-quorum 1), so the damaged one may be the only one that holds what was acknowledged");
  ASSERT_TRUE(state.apply(meta::SetSetting{"commit-quorum", "2"}).ok());
  ASSERT_TRUE(state.apply(meta::SetSetting{"replication-n", "1"}).ok());
  ASSERT_TRUE(state.apply(plan_for(state, 1)).ok());
  EXPECT_NE(refusal(2, 9).find("may be the only one that holds what was acknowledged"), std::string::npos);
}

TEST(Members, the_mode_is_what_two_settings_mean_and_its_changes_are_counted) {
  ClusterState state = founded();
  const auto set = [&](const std::string& name, const std::string& value) { ASSERT_TRUE(state.apply(meta::SetSetting{name, value}).ok()); };
  // A cluster of before: only one of them was ever said.
  set("appendfsync", "always");
  EXPECT_EQ(state.mode(), std::nullopt);
  EXPECT_EQ(state.mode_version(), 0u);
  set("appendonly", "yes");
  EXPECT_EQ(state.mode(), raft::Durability::kSynced);
  EXPECT_EQ(state.mode_version(), 1u);
  ASSERT_TRUE(state.apply(meta::SetSettings{{{"appendonly", "no"}, {"appendfsync", "everysec"}}}).ok());
  EXPECT_EQ(state.mode(), raft::Durability::kMemory);
  EXPECT_EQ(state.mode_version(), 2u);
  // What means the same is no change.
  set("appendfsync", "no");
  EXPECT_EQ(state.mode_version(), 2u);
  set("appendonly", "yes");
  EXPECT_EQ(state.mode(), raft::Durability::kOs);
  EXPECT_EQ(state.mode_version(), 3u);
  const auto again = ClusterState::decode(bytes_of(state));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().mode_version(), 3u);
}

// Later decisions may be lost with them, which partitions go by already.
TEST(Members, when_members_are_given_up_the_mode_is_above_all_that_they_may_have_known) {
  ClusterState state = founded();
  for (NodeId id = 2; id <= 3; ++id) ASSERT_TRUE(state.apply(meta::Enrol{member(id)}).ok());
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {3}}).ok());
  // A cluster of before still says nothing.
  EXPECT_EQ(state.mode_version(), 0u);
  ASSERT_TRUE(state.apply(meta::SetSettings{{{"appendonly", "yes"}, {"appendfsync", "always"}}}).ok());
  ASSERT_EQ(state.mode_version(), 1u);
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {2}}).ok());
  EXPECT_EQ(state.mode(), raft::Durability::kSynced);
  const uint64_t version = state.mode_version();
  EXPECT_GT(version, 1'000'000u);
  // It was heard of before.
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {2}}).ok());
  EXPECT_EQ(state.mode_version(), version);
}

TEST(Members, who_is_dead_gets_nothing_and_is_a_member) {
  ClusterState state = founded();
  for (NodeId id = 2; id <= 5; ++id) ASSERT_TRUE(state.apply(meta::Enrol{member(id)}).ok());
  const auto share_of = [&](NodeId id) { return state.placement_members()[static_cast<size_t>(id) - 1].state; };
  // Who died first comes first; each once, and nobody that is no member.
  ASSERT_TRUE(state.apply(meta::SetDead{{4, 2, 9, 4}}).ok());
  EXPECT_EQ(state.dead(), (std::vector<NodeId>{4, 2}));
  EXPECT_EQ(state.replaced(), state.dead());
  EXPECT_EQ(state.find(2)->state, MemberState::kActive);
  EXPECT_EQ(share_of(2), MemberState::kRemoved);
  EXPECT_EQ(share_of(3), MemberState::kActive);
  const auto again = ClusterState::decode(bytes_of(state));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().dead(), state.dead());
  ASSERT_TRUE(state.apply(meta::GiveUp{.nodes = {2}}).ok());
  EXPECT_EQ(state.dead(), std::vector<NodeId>{4});
  ASSERT_TRUE(state.apply(meta::SetDead{}).ok());
  EXPECT_EQ(share_of(4), MemberState::kActive);
}

// With fewer than replication-n nodes a partition would have fewer voters, of two even one.
TEST(Members, who_is_dead_keeps_its_share_if_there_are_not_enough_others) {
  ClusterState state = founded();
  for (NodeId id = 2; id <= 4; ++id) ASSERT_TRUE(state.apply(meta::Enrol{member(id)}).ok());
  ASSERT_TRUE(state.apply(meta::SetDead{{4, 2}}).ok());
  EXPECT_EQ(state.replication(), 3u);
  EXPECT_EQ(state.replaced(), std::vector<NodeId>{4});
  ASSERT_TRUE(state.apply(meta::SetState{3, MemberState::kDraining}).ok());
  EXPECT_TRUE(state.replaced().empty());
  ASSERT_TRUE(state.apply(meta::SetSetting{"replication-n", "1"}).ok());
  EXPECT_EQ(state.replaced(), (std::vector<NodeId>{4, 2}));
  // An operator who empties or removes one has decided.
  ASSERT_TRUE(state.apply(meta::SetState{4, MemberState::kDraining}).ok());
  EXPECT_EQ(state.replaced(), std::vector<NodeId>{2});
  EXPECT_EQ(state.dead(), (std::vector<NodeId>{4, 2}));
  ASSERT_TRUE(state.apply(meta::SetState{4, MemberState::kRemoved}).ok());
  EXPECT_EQ(state.dead(), std::vector<NodeId>{2});
}

TEST(Members, several_settings_are_set_together_or_not_at_all) {
  ClusterState state = founded();
  ASSERT_TRUE(state.apply(meta::SetSettings{{{"a", "1"}, {"b", "2"}}}).ok());
  EXPECT_EQ(state.setting("a"), "1");
  EXPECT_EQ(state.setting("b"), "2");
  EXPECT_FALSE(state.apply(meta::SetSettings{{{"a", "3"}, {"", "4"}}}).ok());
  EXPECT_EQ(state.setting("a"), "1");
  for (size_t number = state.settings().size(); number < ClusterState::kSettingsMax - 1; ++number) {
    ASSERT_TRUE(state.apply(meta::SetSetting{"n" + std::to_string(number), ""}).ok());
  }
  EXPECT_FALSE(state.apply(meta::SetSettings{{{"a", "3"}, {"new", "4"}, {"newer", "5"}}}).ok());
  EXPECT_EQ(state.setting("a"), "1");
  EXPECT_TRUE(state.apply(meta::SetSettings{{{"a", "3"}, {"new", "4"}}}).ok());
  EXPECT_EQ(state.setting("new"), "4");
}

TEST(Members, damaged_bytes_are_refused) {
  ClusterState state = founded(4);
  ASSERT_TRUE(state.apply(meta::Enrol{member(2)}).ok());
  ASSERT_TRUE(state.apply(plan_for(state, 2)).ok());
  const std::string bytes = bytes_of(state);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ClusterState::decode(std::string_view(bytes).substr(0, size)).ok());
  }
  // A changed byte is refused or gives a state that is sound: its own bytes are read back.
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(value);
      const auto decoded = ClusterState::decode(changed);
      if (!decoded.ok()) continue;
      EXPECT_TRUE(ClusterState::decode(bytes_of(decoded.value())).ok());
    }
  }
}

TEST(Members, names_have_forty_digits_and_lead_back) {
  Prng random(3);
  for (int round = 0; round < 100; ++round) {
    const NodeId id = random.next() | 1;
    const std::string name = node_name(id);
    ASSERT_EQ(name.size(), 40u);
    EXPECT_EQ(node_by_name(name), id);
    std::string other = name;
    other[39] = other[39] == 'a' ? 'b' : 'a';
    EXPECT_EQ(node_by_name(other), std::nullopt);
  }
  EXPECT_EQ(node_by_name("nonsense"), std::nullopt);
  EXPECT_EQ(node_by_name(""), std::nullopt);
}

}  // namespace
}  // namespace quorate

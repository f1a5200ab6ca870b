// Partitions of whole cluster nodes: placing, handing over, moving, losing nodes.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

TEST(ClusterPartitions, two_nodes_hold_two_copies_with_one_voter) {
  World world;
  found(world, 2, 2);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.at(1).partitions().core(partition)->configuration().incoming.voters.size(), 1u);
    EXPECT_EQ(world.data(2).words[partition]["first"], std::to_string(partition));
  }
}

TEST(ClusterPartitions, three_nodes_get_three_copies_and_share_the_leading) {
  World world;
  found(world, 3, 3);
  EXPECT_TRUE(world.run_until(30'000'000, [&] {
    return world.led_by(1) <= 7 && world.led_by(2) <= 7 && world.led_by(3) <= 7 &&
           world.led_by(1) + world.led_by(2) + world.led_by(3) == kPartitions;
  })) << world.led_by(1) << ' ' << world.led_by(2) << ' ' << world.led_by(3);
}

TEST(ClusterPartitions, a_node_takes_all_leaderships_over_and_gives_them_back) {
  World world;
  found(world, 3, 3);
  const auto is_shared = [&] { return world.led_by(1) <= 7 && world.led_by(2) <= 7 && world.led_by(3) <= 7; };
  ASSERT_TRUE(world.run_until(30'000'000, is_shared));
  const size_t elsewhere = kPartitions - world.led_by(1);
  EXPECT_EQ(world.at(1).take_over(world.now), elsewhere);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.led_by(1) == kPartitions; })) << world.notes;
  EXPECT_EQ(world.at(1).take_over(world.now), 0u);
  world.run(10'000'000);
  EXPECT_EQ(world.led_by(1), size_t{kPartitions});
  // Whoever is asked, all look again.
  world.at(2).rebalance();
  EXPECT_TRUE(world.run_until(2'000'000, [&] {
    return is_shared() && world.led_by(1) + world.led_by(2) + world.led_by(3) == kPartitions;
  })) << world.led_by(1) << ' ' << world.led_by(2) << ' ' << world.led_by(3);
}

// One after the other is killed and comes back.  Requires: a cluster of three as found() makes it.
void expect_that_all_survive_any_one(World& world) {
  for (NodeId victim = 1; victim <= 3; ++victim) {
    world.kill(victim);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      ASSERT_TRUE(world.write_until_done(partition, "without", std::to_string(victim))) << world.notes;
    }
    world.boot(victim);
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(victim).partitions().core(partition);
      EXPECT_EQ(world.data(victim).words[partition]["without"], std::to_string(victim));
      EXPECT_EQ(world.data(victim).words[partition]["first"], std::to_string(partition));
      EXPECT_TRUE(world.run_until(5'000'000, [&] { return core->standing() == raft::Standing::kFull; })) << partition;
    }
  }
}

TEST(ClusterPartitions, what_was_acknowledged_survives_any_one_node) {
  World world;
  found(world, 3, 3);
  expect_that_all_survive_any_one(world);
}

TEST(ClusterPartitions, in_memory_mode_what_was_acknowledged_survives_any_one_node) {
  World world;
  world.keeping = Keeping::kBare;
  found(world, 3, 3);
  expect_that_all_survive_any_one(world);
}

// The data are gone with the memory, and nothing else is.
TEST(ClusterPartitions, in_memory_mode_all_killed_at_once_begin_empty_in_their_cluster) {
  World world;
  world.keeping = Keeping::kBare;
  found(world, 3, 3);
  for (NodeId id = 1; id <= 3; ++id) world.kill(id);
  for (NodeId id = 1; id <= 3; ++id) world.boot(id);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3) && world.leader() != 0; })) << world.notes;
  ASSERT_TRUE(world.write_until_done(5, "new", "1")) << world.notes;
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(2).words[5].size(), 1u);
  EXPECT_TRUE(world.data(2).words[3].empty());
}

TEST(ClusterPartitions, a_fourth_node_takes_its_share_while_others_write) {
  World world;
  found(world, 3, 3);
  world.boot(4, {2});
  std::map<uint32_t, std::string> last;
  for (int written = 0; written < 200; ++written) {
    const auto partition = static_cast<uint32_t>(written) % kPartitions;
    ASSERT_TRUE(world.write_until_done(partition, "during", std::to_string(written))) << world.notes;
    last[partition] = std::to_string(written);
  }
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(4) && world.is_placed(3); })) << world.notes;
  for (NodeId id = 1; id <= 4; ++id) {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (world.at(id).partitions().core(partition) == nullptr) continue;
      EXPECT_EQ(world.data(id).words[partition]["during"], last[partition]);
    }
  }
  size_t held = 0;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) held += world.at(4).partitions().core(partition) != nullptr ? 1u : 0u;
  EXPECT_EQ(held, 12u);
}

TEST(ClusterPartitions, the_commit_quorum_is_lowered_and_raised_while_others_write) {
  World world;
  found(world, 3, 3);
  const auto all_commit_with = [&](uint32_t copies) {
    for (NodeId id = 1; id <= 3; ++id) {
      for (uint32_t partition = 0; partition < kPartitions; ++partition) {
        const raft::StoredConfiguration& now = world.at(id).partitions().core(partition)->committed_configuration();
        if (now.configuration.joint() || now.configuration.incoming.quorums().commit != copies) return false;
      }
    }
    return true;
  };
  const std::pair<const char*, uint32_t> kSteps[] = {{"1", 1}, {"0", 2}, {"1", 1}, {"8", 2}};
  for (const auto& [value, copies] : kSteps) {
    ASSERT_NE(world.at(2).meta().propose(meta::SetSetting{"commit-quorum", value}), 0u);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      ASSERT_TRUE(world.write_until_done(partition, "during", value)) << world.notes;
    }
    EXPECT_TRUE(world.run_until(10'000'000, [&] { return all_commit_with(copies); })) << value << world.notes;
  }
}

TEST(ClusterPartitions, a_drained_node_gives_everything_away) {
  World world;
  found(world, 4, 3);
  world.at(1).meta().propose(meta::SetState{2, MemberState::kDraining});
  EXPECT_TRUE(world.run_until(30'000'000, [&] {
    if (!world.is_placed(3)) return false;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (world.at(2).partitions().core(partition) != nullptr) return false;
    }
    return true;
  })) << world.notes;
}

// Of two that are left one has the only vote.  Who had fallen silent when the third was drained, and had nothing under way, seemed to be up to date.
TEST(ClusterPartitions, nobody_who_is_silent_is_left_with_the_only_vote) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.led_by(1) + world.led_by(2) + world.led_by(3) == kPartitions && world.is_settled(3, 3); }));
  world.kill(3);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.led_by(1) + world.led_by(2) == kPartitions && world.leader() != 0; })) << world.notes;
  world.run(2'000'000);
  world.at(world.leader()).meta().propose(meta::SetState{2, MemberState::kDraining});
  world.run(5'000'000);
  EXPECT_NE(world.leader(), 0u) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_TRUE(world.write_until_done(partition, "while", "silent")) << partition << world.notes;
  }
  world.boot(3);
  EXPECT_TRUE(world.run_until(30'000'000, [&] { return world.is_placed(2); })) << world.notes;
}

// The replica of partition 0 that the plan gives to node 3; 0: none.
uint64_t planned_at_3(World& world) {
  for (const PlannedReplica& each : world.at(world.leader()).state().plan()[0].replicas) {
    if (each.node == 3) return each.replica;
  }
  return 0;
}

placement::Plan plan_without_3(World& world) {
  placement::Plan plan = world.at(world.leader()).state().placement_plan();
  std::erase(plan[0].replicas, NodeId{3});
  plan[0].voters = 2;
  return plan;
}

// The leader sees only the end of it: what it has made a learner is not what the node makes when it comes back.
TEST(ClusterPartitions, a_node_that_left_the_plan_and_is_back_in_it_while_it_was_away_gets_its_copy) {
  World world;
  found(world, 3, 3);
  world.kill(3);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.leader() != 0 && world.leader_of(0) != 0; })) << world.notes;
  const auto learns = [&](uint64_t replica) {
    const NodeId leader = world.leader_of(0);
    if (leader == 0) return false;
    const std::vector<raft::Member>& learners = world.at(leader).partitions().core(0)->configuration().learners;
    return learners == std::vector<raft::Member>{{.replica = {replica}, .node = {3}}};
  };
  const uint64_t first = planned_at_3(world);
  const uint64_t version = world.at(world.leader()).state().plan_version();
  world.at(world.leader()).meta().propose(meta::SetPlan{version, plan_without_3(world)});
  // It does not fit the members, so the next one gives it back.
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return planned_at_3(world) > first && learns(planned_at_3(world)); })) << world.notes;
  const uint64_t second = planned_at_3(world);
  MetaGroup& meta = world.at(world.leader()).meta();
  const placement::Plan plan = meta.state().placement_plan();
  meta.propose(meta::SetPlan{version + 2, plan_without_3(world)});
  meta.propose(meta::SetPlan{version + 3, plan});
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return planned_at_3(world) > second; })) << world.notes;
  EXPECT_TRUE(learns(second));
  world.boot(3);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3) && world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.at(3).partitions().core(0)->options().self.replica.value, planned_at_3(world));
}

// Node 3 goes, and partition 0 is led without its copy.
void leave_out_3(World& world) {
  world.kill(3);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.leader() != 0 && world.leader_of(0) != 0; })) << world.notes;
  const raft::ReplicaId replica{planned_at_3(world)};
  const uint64_t version = world.at(world.leader()).state().plan_version();
  world.at(world.leader()).meta().propose(meta::SetPlan{version, plan_without_3(world)});
  const auto is_out = [&] {
    const NodeId leader = world.leader_of(0);
    return leader != 0 && !world.at(leader).partitions().core(0)->committed_configuration().configuration.find(replica);
  };
  ASSERT_TRUE(world.run_until(5'000'000, is_out)) << world.notes;
}

// Node 3 comes back with a copy of partition 0 that is left out, and that has seen so many terms more than the leader.  Whoever has stood in
// vain takes no leader's word of an earlier term, and nobody of its group asks it any more.
void boot_3_ahead(World& world, uint64_t terms_ahead) {
  const raft::Term led = world.at(world.leader_of(0)).partitions().core(0)->term();
  world.boot(3);
  const raft::Core& own = *world.at(3).partitions().core(0);
  world.at(3).groups().step(world.now, group_of_partition(0),
                            raft::in::Receive{raft::Message{.group = group_of_partition(0),
                                                            .from = own.configuration().incoming.voters.front(),
                                                            .to = own.options().self,
                                                            .term = {led.value + terms_ahead},
                                                            .epoch = own.epoch(),
                                                            .body = raft::AppendAnswer{}}});
}

void let_come_back(World& world, uint64_t terms_ahead) {
  leave_out_3(world);
  boot_3_ahead(world, terms_ahead);
}

// Of nodes 1 and 2 the one that does not lead partition 0 has a bad disk.
NodeId make_the_other_ill(World& world) {
  const NodeId other = 3 - world.leader_of(0);
  beats::Health health = world.at(other).groups().health();
  health.disk_is_healthy = false;
  world.at(other).set_health(world.now, health);
  return other;
}

bool is_whole_again(World& world) { return world.agree(3) && world.is_placed(3); }

TEST(ClusterPartitions, a_copy_that_was_left_out_goes_though_it_is_in_a_later_term) {
  World world;
  found(world, 3, 3);
  let_come_back(world, 100);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3) && world.is_placed(3); })) << world.notes;
}

TEST(ClusterPartitions, for_a_copy_that_was_left_out_and_is_one_term_ahead_the_leader_hands_over) {
  World world;
  found(world, 3, 3);
  let_come_back(world, 1);
  int64_t served_us = world.now.steady_us;
  int64_t unserved_us_max = 0;
  const bool is_done = world.run_until(10'000'000, [&] {
    if (world.leader_of(0) != 0) served_us = world.now.steady_us;
    unserved_us_max = std::max(unserved_us_max, world.now.steady_us - served_us);
    return world.agree(3) && world.is_placed(3);
  });
  EXPECT_TRUE(is_done) << world.notes;
  EXPECT_NE(world.notes.find("hand over to one that leads in it"), std::string::npos) << world.notes;
  EXPECT_LT(unserved_us_max, 50'000) << world.notes;
}

size_t looks_of(World& world, NodeId id) { return world.at(id).partitions().looks(); }

// Runs until the node has just looked at all partitions, and will not for another 75 ms at least.
void wait_for_look(World& world, NodeId id) {
  const size_t before = looks_of(world, id);
  ASSERT_TRUE(world.run_until(200'000, [&] { return looks_of(world, id) >= before + kPartitions; }));
}

// Of three nodes that have found their places.
void found_and_settle(World& world) {
  found(world, 3, 3);
  const auto is_in_its_place = [&](uint32_t partition) {
    const NodeId leader = world.leader_of(partition);
    return leader != 0 && leader == world.at(1).state().plan()[partition].replicas.front().node;
  };
  ASSERT_TRUE(world.run_until(60'000'000, [&] {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (!is_in_its_place(partition)) return false;
    }
    return true;
  })) << world.notes;
  world.run(1'000'000);
}

TEST(ClusterPartitions, what_is_as_planned_is_not_looked_through_at_a_commit) {
  World world;
  found_and_settle(world);
  for (NodeId id = 1; id <= 3; ++id) {
    wait_for_look(world, id);
    const size_t before = looks_of(world, id);
    int written = 0;
    for (const int64_t end = world.now.steady_us + 60'000; world.now.steady_us < end; ++written) {
      ASSERT_TRUE(world.write(5, "word", std::to_string(id * 1000 + static_cast<NodeId>(written))));
    }
    EXPECT_GT(written, 5);
    EXPECT_EQ(looks_of(world, id), before) << id;
    ASSERT_TRUE(world.run_until(200'000, [&] { return world.is_placed(3); }));
    EXPECT_EQ(world.data(id).words[5]["word"], std::to_string(id * 1000 + static_cast<NodeId>(written) - 1));
  }
}

// Each of these is told in the middle of the time in which nothing is looked at by itself.
TEST(ClusterPartitions, what_is_as_planned_is_looked_through_when_something_is_told) {
  World world;
  found_and_settle(world);
  const auto is_looked_through = [&](NodeId id, size_t partitions, auto&& happens) {
    wait_for_look(world, id);
    const size_t before = looks_of(world, id);
    happens();
    return world.run_until(60'000, [&] { return looks_of(world, id) >= before + partitions; });
  };
  const NodeId leader = world.leader_of(5);
  const NodeId follower = leader % 3 + 1;
  EXPECT_FALSE(is_looked_through(leader, 1, [] {}));
  // Another leader; it goes back by itself.
  EXPECT_TRUE(is_looked_through(leader, 1, [&] { world.at(follower).take_over(world.now); }));
  world.at(leader).rebalance();
  world.run(2'000'000);
  ASSERT_EQ(world.leader_of(5), leader);
  // One that should not lead.
  const beats::Health health = world.at(leader).groups().health();
  beats::Health ill = health;
  ill.disk_is_healthy = false;
  EXPECT_TRUE(is_looked_through(leader, kPartitions, [&] { world.at(leader).set_health(world.now, ill); }));
  ASSERT_TRUE(world.run_until(1'000'000, [&] { return world.leader_of(5) != leader && world.leader_of(5) != 0; }));
  world.at(leader).set_health(world.now, health);
  ASSERT_TRUE(world.run_until(70'000'000, [&] { return world.leader_of(5) == leader; }));
  world.run(1'000'000);
  // A plan, where it is decided; and the members without one of them.
  const NodeId decides = world.leader();
  const uint64_t version = world.at(decides).state().plan_version();
  EXPECT_TRUE(is_looked_through(decides, kPartitions, [&] { world.at(decides).meta().propose(meta::SetPlan{version, plan_without_3(world)}); }));
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
  world.run(1'000'000);
  world.boot(4, {1});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.agree(4) && world.is_placed(3); })) << world.notes;
  world.run(1'000'000);
  const NodeId meta = world.leader();
  EXPECT_TRUE(is_looked_through(meta, kPartitions, [&] { world.at(meta).meta().propose(meta::SetState{meta % 3 + 1, MemberState::kDraining}); }));
}

TEST(ClusterPartitions, a_wish_that_is_cut_off_or_too_long_is_refused) {
  World world;
  found(world, 2, 2);
  Partitions& partitions = world.at(1).partitions();
  for (const uint64_t kind : {Partitions::kMayDrop, Partitions::kDrop, Partitions::kStartOver, Partitions::kTakeOver, Partitions::kHere}) {
    Buffer whole;
    append_varint(whole, 1);
    append_little<uint64_t>(whole, 12345);
    if (kind != Partitions::kTakeOver && kind != Partitions::kHere) append_varint(whole, 7);
    EXPECT_TRUE(partitions.receive(world.now, 2, kind, whole.view()).ok()) << kind;
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_FALSE(partitions.receive(world.now, 2, kind, whole.view().substr(0, size)).ok()) << kind << ' ' << size;
    }
    whole.append("x");
    EXPECT_FALSE(partitions.receive(world.now, 2, kind, whole.view()).ok()) << kind;
  }
}

TEST(ClusterPartitions, for_a_copy_that_was_left_out_the_leader_waits_for_one_that_can_take_over) {
  World world;
  found(world, 3, 3);
  leave_out_3(world);
  const NodeId other = make_the_other_ill(world);
  world.run(500'000);
  const NodeId leader = world.leader_of(0);
  ASSERT_EQ(leader, 3 - other);
  boot_3_ahead(world, 1);
  const raft::Term led = world.at(leader).partitions().core(0)->term();
  for (const int64_t end = world.now.steady_us + 1'000'000; world.now.steady_us < end;) {
    world.run(kStepUs);
    ASSERT_EQ(world.leader_of(0), leader) << world.notes;
  }
  EXPECT_EQ(world.at(leader).partitions().core(0)->term(), led);
  beats::Health health = world.at(other).groups().health();
  health.disk_is_healthy = true;
  world.at(other).set_health(world.now, health);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return is_whole_again(world); })) << world.notes;
  EXPECT_NE(world.notes.find("hand over to one that leads in it"), std::string::npos) << world.notes;
  EXPECT_EQ(world.notes.find("step down, and lead a later one"), std::string::npos) << world.notes;
}

TEST(ClusterPartitions, for_a_copy_that_was_left_out_the_leader_does_not_wait_for_ever) {
  World world;
  found(world, 3, 3);
  leave_out_3(world);
  make_the_other_ill(world);
  world.run(500'000);
  boot_3_ahead(world, 1);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return is_whole_again(world); })) << world.notes;
  EXPECT_NE(world.notes.find("step down, and lead a later one"), std::string::npos) << world.notes;
}

// As a process does that is told to end: it hands over, in two seconds at most, and is gone.
void end_in_good_order(World& world, NodeId id) {
  beats::Health health = world.at(id).groups().health();
  health.is_draining = true;
  world.at(id).set_health(world.now, health);
  world.run_until(2'000'000, [&] { return world.at(id).count_to_hand_over() == 0; });
  world.kill(id);
}

// Runs until node 1 leads a partition whose voters are being changed.
bool run_until_voters_change(World& world, size_t members) {
  const auto is_changing = [&] {
    if (!world.agree(members)) return false;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(1).partitions().core(partition);
      if (core != nullptr && core->role() == raft::RoleName::kLeader && core->configuration().joint()) return true;
    }
    return false;
  };
  return world.run_until(10'000'000, is_changing);
}

// Does anybody lead what it cannot commit in?
bool has_starting_leaders(World& world) {
  for (NodeId id = 1; id <= 3; ++id) {
    for (uint32_t partition = 0; world.is_running(id) && partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(id).partitions().core(partition);
      if (core != nullptr && core->is_starting()) return true;
    }
  }
  return false;
}

// Node 1, which leads all partitions of so many nodes, ends in good order at some moments after the first change of voters began.  Soon
// nobody leads what it cannot commit in, and each partition that `is_changing` finds in its newest configuration takes words.
template <class IsChanging>
void expect_leaders_that_can_commit(NodeId nodes, int64_t soon_us, IsChanging is_changing) {
  for (int64_t delay_us = 0; delay_us <= 4'000; delay_us += 500) {
    World world;
    world.boot(1);
    for (NodeId id = 2; id <= nodes; ++id) world.boot(id, {1});
    ASSERT_TRUE(run_until_voters_change(world, nodes)) << world.notes;
    world.run(delay_us);
    std::vector<uint32_t> changing;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (is_changing(world.at(1).partitions().core(partition)->configuration().incoming.voters)) changing.push_back(partition);
    }
    ASSERT_FALSE(changing.empty());
    end_in_good_order(world, 1);
    EXPECT_TRUE(world.run_until(soon_us, [&] { return !has_starting_leaders(world); })) << delay_us << world.notes;
    for (const uint32_t partition : changing) {
      ASSERT_TRUE(world.write_until_done(partition, "after", "1")) << delay_us << ' ' << partition << world.notes;
    }
  }
}

// Voters go from one to three by a joint configuration, which the one must finish: whoever came after it could not.
TEST(ClusterPartitions, a_node_that_ends_while_others_are_given_votes_leaves_leaders_that_can_commit) {
  expect_leaders_that_can_commit(3, 2'000'000, [](const std::vector<raft::Member>& voters) { return voters.size() == 3; });
}

// With two nodes half of the partitions get another single voter, which takes over before the change is finished.
TEST(ClusterPartitions, a_node_that_ends_while_its_vote_goes_to_another_stays_until_that_one_can_do_without) {
  expect_leaders_that_can_commit(2, 1'000'000, [](const std::vector<raft::Member>& voters) {
    return voters.size() == 1 && voters.front().node.value == 2;
  });
}

TEST(ClusterPartitions, leaders_that_cannot_commit_their_first_entry_say_what_they_wait_for) {
  World world;
  found(world, 3, 3);
  constexpr std::string_view kLine = "have not committed their first entry";
  world.run(3'000'000);
  EXPECT_EQ(world.notes.find(kLine), std::string::npos) << world.notes;
  world.kill(3);
  const auto starts = [&](NodeId id) {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (world.at(id).partitions().core(partition)->is_starting()) return true;
    }
    return false;
  };
  ASSERT_TRUE(world.run_until(2'000'000, [&] { return starts(1); })) << world.notes;
  world.kill(2);
  world.run(3'600'000);
  size_t lines = 0;
  for (size_t at = world.notes.find(kLine); at != std::string::npos; at = world.notes.find(kLine, at + 1)) ++lines;
  EXPECT_EQ(lines, 2u) << world.notes;   // the third waits for two seconds
  EXPECT_NE(world.notes.find(node_name(2) + " (", world.notes.find(kLine)), std::string::npos) << world.notes;
  EXPECT_NE(world.notes.find(", no line)"), std::string::npos) << world.notes;
}

TEST(ClusterPartitions, what_a_node_held_that_is_silent_for_long_is_made_elsewhere_and_it_gets_its_share_when_it_is_back) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  world.at(1).propose(meta::SetSetting{"node-dead-after", "2000"});
  world.run(500'000);
  const auto is_empty = [&](NodeId node) { return !world.at(world.leader()).state().is_planned(node); };
  // A voter of the meta group, and one of those that learn.
  const NodeId voter = world.leader() == 1 ? 2 : 1;
  for (const NodeId dead : {voter, NodeId{5}}) {
    world.kill(dead);
    world.run(1'500'000);
    EXPECT_FALSE(is_empty(dead));
    ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.leader() != 0 && is_empty(dead) && world.is_placed(3); })) << world.notes;
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(5, 3); })) << world.notes;
    for (const raft::Member& member : world.meta_configuration(world.leader()).incoming.voters) EXPECT_NE(member.node.value, dead);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) EXPECT_TRUE(world.write_until_done(partition, "without", "it"));
    world.boot(dead);
    ASSERT_TRUE(world.run_until(30'000'000, [&] { return !is_empty(dead) && world.is_placed(3) && world.at(dead).state().is_planned(dead); })) << world.notes;
  }
}

// Others restart, and another one comes to lead the members: the plan stays as it is.
TEST(ClusterPartitions, who_is_dead_stays_so_whoever_restarts_or_leads) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  world.at(1).propose(meta::SetSetting{"node-dead-after", "2000"});
  const NodeId dead = world.leader() == 5 ? 4 : 5;
  world.kill(dead);
  const auto knows_it = [&](NodeId id) { return world.at(id).state().dead() == std::vector<NodeId>{dead}; };
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.leader() != 0 && !world.at(world.leader()).state().is_planned(dead) && world.is_placed(3);
  })) << world.notes;
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(5, 3); })) << world.notes;
  const NodeId witness = world.leader() == 1 ? 2 : 1;
  const uint64_t plan = world.at(witness).state().plan_version();
  NodeId follower = 1;
  while (follower == witness || follower == world.leader() || follower == dead) ++follower;
  for (const NodeId restarted : {follower, world.leader()}) {
    world.kill(restarted);
    world.run(1'000'000);
    world.boot(restarted);
    for (int look = 0; look < 50; ++look) {
      world.run(100'000);
      EXPECT_TRUE(knows_it(witness));
    }
    EXPECT_EQ(world.at(witness).state().plan_version(), plan) << world.notes;
  }
  world.boot(dead);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(dead).state().is_planned(dead) && world.is_placed(3); })) << world.notes;
  EXPECT_TRUE(world.at(dead).state().dead().empty());
}

TEST(ClusterPartitions, two_of_five_die_at_once) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  world.at(1).propose(meta::SetSetting{"node-dead-after", "2000"});
  for (uint32_t partition = 0; partition < kPartitions; ++partition) EXPECT_TRUE(world.write_until_done(partition, "before", "it"));
  world.run(500'000);
  // One that votes in the meta group and one that does not: the others still elect there.
  NodeId voter = 1;
  NodeId learner = 1;
  const raft::Half voters = world.meta_configuration(world.leader()).incoming;
  while (voter == world.leader() || !voters.has({voter})) ++voter;
  while (voters.has({learner})) ++learner;
  world.kill(voter);
  world.kill(learner);
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    if (world.leader() == 0) return false;
    const ClusterState& state = world.at(world.leader()).state();
    return state.dead().size() == 2 && !state.is_planned(voter) && !state.is_planned(learner);
  })) << world.notes;
  // Partitions of which both had a copy have nobody to elect them until one is back; it gives them to those that are planned.
  world.boot(voter);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(voter).state().is_planned(voter) && world.is_placed(3); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(world.leader_of(partition)).words[partition]["before"], "it");
    EXPECT_TRUE(world.write_until_done(partition, "without", "it"));
  }
}

TEST(ClusterPartitions, who_is_dead_keeps_its_place_until_there_are_enough_others) {
  World world;
  found(world, 3, 3);
  world.at(1).propose(meta::SetSetting{"node-dead-after", "1000"});
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3) && world.is_placed(3); })) << world.notes;
  world.kill(2);
  world.run(10'000'000);
  const ClusterState& state = world.at(world.leader()).state();
  EXPECT_EQ(state.dead(), std::vector<NodeId>{2});
  EXPECT_TRUE(state.is_planned(2));
  // Two of three commit, and nobody alone.
  EXPECT_EQ(world.meta_configuration(world.leader()).incoming.voters.size(), 3u);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_TRUE(world.write_until_done(partition, "without", "it"));
    const raft::Core* const core = world.at(world.leader_of(partition)).partitions().core(partition);
    EXPECT_EQ(core->configuration().incoming.voters.size(), 3u);
  }
  world.boot(4, {1});
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.agree(4) && !world.at(world.leader()).state().is_planned(2) && world.is_placed(3);
  })) << world.notes;
  EXPECT_EQ(world.meta_configuration(world.leader()).incoming.voters.size(), 3u);
  EXPECT_FALSE(world.meta_configuration(world.leader()).incoming.has({2}));
  world.boot(2);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(2).state().is_planned(2) && world.is_placed(3); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(world.leader_of(partition)).words[partition]["without"], "it");
  }
}

// Of four voters of five nodes two die: only one is replaced, and the other one still counts.
TEST(ClusterPartitions, the_members_get_a_voter_for_one_that_is_dead_though_another_dead_one_stays) {
  World world;
  found(world, 5, 3);
  world.at(1).propose(meta::SetSetting{"node-dead-after", "1000"});
  world.at(1).propose(meta::SetSetting{"replication-n", "4"});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.is_settled(5, 4); })) << world.notes;
  const raft::Half voters = world.meta_configuration(world.leader()).incoming;
  std::vector<NodeId> lost;
  for (NodeId id = 1; id <= 5 && lost.size() < 2; ++id) {
    if (voters.has({id}) && id != world.leader()) lost.push_back(id);
  }
  for (const NodeId node : lost) world.kill(node);
  ASSERT_TRUE(world.run_until(20'000'000, [&] {
    if (world.leader() == 0 || world.at(world.leader()).state().dead().size() != 2) return false;
    const raft::Configuration& now = world.meta_configuration(world.leader());
    return !now.joint() && now.incoming.voters.size() == 4 && !(now.incoming.has({lost[0]}) && now.incoming.has({lost[1]}));
  })) << world.notes;
}

TEST(ClusterPartitions, a_leader_that_is_cut_off_decides_nothing_and_is_dead_itself) {
  World world;
  found(world, 4, 3);
  world.at(1).propose(meta::SetSetting{"node-dead-after", "1000"});
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(4, 3) && world.is_placed(3); })) << world.notes;
  world.run(500'000);
  const NodeId old = world.leader();
  world.isolate(old);
  const NodeId witness = old == 1 ? 2 : 1;
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.at(witness).state().dead() == std::vector<NodeId>{old}; })) << world.notes;
  world.run(3'000'000);
  EXPECT_FALSE(world.at(witness).state().is_planned(old));
  EXPECT_TRUE(world.at(old).state().dead().empty());
  world.isolate(0);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(old).state().is_planned(old) && world.is_placed(3); })) << world.notes;
  EXPECT_TRUE(world.agree(4));
  EXPECT_TRUE(world.at(old).state().dead().empty());
}

TEST(ClusterPartitions, everybody_knows_who_leads_a_partition_with_or_without_a_replica_of_it) {
  World world;
  found(world, 4, 3);
  const auto leader_of = [&](uint32_t partition) -> NodeId {
    for (NodeId id = 1; id <= 4; ++id) {
      const raft::Core* const core = world.is_running(id) ? world.at(id).partitions().core(partition) : nullptr;
      if (core != nullptr && core->role_state().serving == raft::Serving::kYes) return id;
    }
    return 0;
  };
  const auto all_know = [&] {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const NodeId leader = leader_of(partition);
      if (leader == 0) return false;
      for (NodeId id = 1; id <= 4; ++id) {
        if (!world.is_running(id)) continue;
        const auto known = world.at(id).groups().known_leader(group_of_partition(partition));
        if (!known || known->value != leader) return false;
      }
    }
    return true;
  };
  EXPECT_TRUE(world.run_until(2'000'000, all_know)) << world.notes;
  // Who fell silent leads nothing as far as is known; then another does.
  const NodeId victim = leader_of(3);
  const auto bystander = [&]() -> NodeId {
    for (NodeId id = 1; id <= 4; ++id) {
      if (world.at(id).partitions().core(3) == nullptr) return id;
    }
    return 0;
  }();
  ASSERT_NE(bystander, 0u);
  world.kill(victim);
  EXPECT_TRUE(world.run_until(100'000, [&] {
    return !world.at(bystander).groups().known_leader(group_of_partition(3));
  })) << world.notes;
  EXPECT_TRUE(world.run_until(5'000'000, all_know)) << world.notes;
}

// The beats of the process before need not have been heard.
TEST(ClusterPartitions, what_a_process_had_stored_counts_no_more_once_another_one_connects) {
  World world;
  found(world, 3, 3);
  const NodeId leader = world.leader_of(0);
  ASSERT_NE(leader, 0u);
  const NodeId other = leader % 3 + 1;
  const raft::Core& core = *world.at(leader).partitions().core(0);
  const auto match = [&] {
    for (const raft::Progress& each : core.progress()) {
      if (each.member().node.value == other) return each.match();
    }
    return raft::Index();
  };
  EXPECT_EQ(match(), core.last_index());
  world.at(leader).groups().peer_event(
      world.now, {.kind = PeerEvent::Kind::kRestarted, .lane = PeerLane::kPubsub, .node = other, .is_line = true});
  EXPECT_TRUE(match().none());
  EXPECT_TRUE(world.run_until(1'000'000, [&] { return match() == core.last_index(); })) << world.notes;
}

// A late answer is a sign of life to the core, but no reason to leave everything to one who is not there.
TEST(ClusterPartitions, an_answer_that_comes_when_its_sender_is_gone_does_not_make_it_the_only_voter) {
  World world;
  found(world, 3, 3);
  world.kill(3);
  world.run(1'000'000);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    const NodeId leader = world.leader_of(partition);
    ASSERT_NE(leader, 0u) << world.notes;
    const raft::Core& core = *world.at(leader).partitions().core(partition);
    const std::vector<raft::Member> voters = core.configuration().voters();
    const auto gone = std::find_if(voters.begin(), voters.end(), [](const raft::Member& each) { return each.node.value == 3; });
    ASSERT_NE(gone, voters.end());
    const raft::Message late{.group = core.options().group,
                             .from = *gone,
                             .to = core.options().self,
                             .term = core.term(),
                             .epoch = core.epoch(),
                             .body = raft::AppendAnswer{.match = core.last_index()}};
    world.at(leader).groups().step(world.now, late.group, raft::in::Receive{late});
  }
  world.at(world.leader()).meta().propose(meta::SetState{1, MemberState::kDraining});
  world.run(3'000'000);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_TRUE(world.write_until_done(partition, "later", "1")) << partition << "\n" << world.notes;
  }
}

TEST(ClusterPartitions, a_snapshot_that_went_with_its_connection_is_sent_again) {
  for (int64_t until_cut_us = 1'000; until_cut_us <= 21'000; until_cut_us += 4'000) {
    World world;
    found(world, 2, 2);
    world.boot(3, {1});
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
    world.run(until_cut_us);
    world.isolate(3);
    world.isolate(0);
    EXPECT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << until_cut_us << world.notes;
  }
}

TEST(ClusterPartitions, of_two_nodes_the_one_that_is_left_names_no_leader_for_what_the_other_voted_for) {
  World world;
  found(world, 2, 2);
  const auto led_by = [&](NodeId id) {
    uint32_t count = 0;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(id).partitions().core(partition);
      count += core != nullptr && core->role_state().serving == raft::Serving::kYes ? 1u : 0u;
    }
    return count;
  };
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return led_by(1) == kPartitions / 2 && led_by(2) == kPartitions / 2; })) << world.notes;
  world.kill(2);
  const auto known = [&](uint32_t partition) {
    const auto leader = world.at(1).groups().known_leader(group_of_partition(partition));
    return leader ? leader->value : 0;
  };
  uint32_t orphans = 0;
  EXPECT_TRUE(world.run_until(1'000'000, [&] {
    orphans = 0;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (known(partition) == 2) return false;
      orphans += known(partition) == 0 ? 1u : 0u;
    }
    return true;
  })) << world.notes;
  EXPECT_EQ(orphans, kPartitions / 2);
}

TEST(ClusterPartitions, what_a_deposed_leader_executed_alone_is_forgotten) {
  World world;
  found(world, 3, 3);
  // A leader that reaches nobody executes a write that nobody is told of.
  NodeId leader = 0;
  for (NodeId id = 1; id <= 3; ++id) {
    if (world.at(id).partitions().core(5)->role_state().serving == raft::Serving::kYes) leader = id;
  }
  ASSERT_NE(leader, 0u);
  world.isolate(leader);
  ASSERT_TRUE(world.data(leader).apply(5, "lost=1").ok());
  world.at(leader).partitions().propose(world.now, 5, SharedBytes("lost=1"));
  world.run(3'000'000);
  ASSERT_TRUE(world.write_until_done(5, "kept", "1")) << world.notes;
  world.isolate(0);
  EXPECT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_FALSE(world.data(leader).words[5].contains("lost")) << world.notes;
  EXPECT_EQ(world.data(leader).words[5]["kept"], "1");
}

}  // namespace
}  // namespace quorate

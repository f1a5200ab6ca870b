// Clusters that go on without nodes that are lost for good.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

// Asks `node`; what it answers at once, or once it is decided: empty is +OK.
std::string recover_without(World& world, NodeId node, std::vector<NodeId> lost, WithoutCopies without_copies = WithoutCopies::kRefuse) {
  const int64_t until_us = world.now.steady_us + 5'000'000;
  world.at(node).take_outcomes();   // of earlier wishes
  const Result<ProposalToken> token = world.at(node).recover_without(world.now, std::move(lost), without_copies, until_us);
  if (!token.ok()) return std::string(token.error().detail());
  std::vector<MetaGroup::Outcome> outcomes;
  const bool is_told = world.run_until(10'000'000, [&] {
    outcomes = world.at(node).take_outcomes();
    return !outcomes.empty();
  });
  if (!is_told) return "nothing\n" + world.notes;
  EXPECT_EQ(outcomes.front().token, token.value());
  return outcomes.front().status.ok() ? std::string() : std::string(outcomes.front().status.error().detail());
}

void expect_words(World& world, NodeId node, const std::string& word) {
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(node).words[partition][word], std::to_string(partition)) << partition;
  }
}

void write_all(World& world, const std::string& word) {
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    ASSERT_TRUE(world.write_until_done(partition, word, std::to_string(partition))) << partition << '\n' << world.notes;
  }
}

// A cluster at rest, in which all nodes have heard of everything.
void found_and_write(World& world, NodeId count) {
  found(world, count, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(count, 3); }));
  write_all(world, "second");
  world.run(1'000'000);
}

// The same with so many copies.
void found_and_write(World& world, NodeId count, size_t copies) {
  found(world, count, 3);
  world.at(1).propose(meta::SetSetting{"replication-n", std::to_string(copies)});
  ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(copies); })) << world.notes;
  write_all(world, "second");
  world.run(1'000'000);
}

bool all_lead_unsafely(World& world, NodeId node) {
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    const raft::Core* const core = world.at(node).partitions().core(partition);
    if (core == nullptr || core->role_state().takeover != raft::Takeover::kUnsafeRecovery) return false;
  }
  return true;
}

TEST(UnsafeRecovery, one_of_three_goes_on_alone_and_the_others_are_out) {
  World world;
  found_and_write(world, 3);
  world.kill(1);
  world.kill(3);
  world.run(1'000'000);
  EXPECT_FALSE(world.write(0, "in", "vain"));
  EXPECT_EQ(recover_without(world, 2, {1, 3}), "");
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return all_lead_unsafely(world, 2) && world.led_by(2) == kPartitions; })) << world.notes;
  expect_words(world, 2, "first");
  expect_words(world, 2, "second");
  write_all(world, "third");
  // A restart changes nothing of that.
  world.kill(2);
  world.boot(2);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(2) == kPartitions; })) << world.notes;
  expect_words(world, 2, "third");
  // The two come back and are a majority of what they know; as soon as they reach one of the others they hear that they are out.
  world.boot(1);
  world.boot(3);
  ASSERT_TRUE(world.run_until(10'000'000, [&] {
    return world.at(1).membership() == Membership::kRefused && world.at(3).membership() == Membership::kRefused;
  })) << world.notes;
  EXPECT_EQ(world.at(2).state().given_up(), (std::vector<NodeId>{1, 3}));
  EXPECT_EQ(world.led_by(2), size_t{kPartitions});
  expect_words(world, 2, "third");
  world.kill(1);
  world.kill(3);
  // Fresh ones take their place.
  world.boot(4, {2});
  world.boot(5, {2});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.agree(5) && world.is_placed(3); })) << world.notes;
  write_all(world, "fourth");
  world.kill(2);
  write_all(world, "fifth");
  expect_words(world, 4, "third");
}

bool all_go_by(World& world, NodeId node, raft::Durability mode, uint64_t version) {
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    const raft::Configuration& now = world.at(node).partitions().core(partition)->committed_configuration().configuration;
    if (now.mode_version != version || (version != 0 && now.durability != mode)) return false;
    EXPECT_EQ(world.at(node).partitions().mode_version(partition), version);
  }
  return true;
}

// What it had acknowledged as synced, its former leaders had; it promises that again once it does it.
TEST(UnsafeRecovery, who_goes_on_alone_promises_what_it_keeps_and_then_what_the_members_want) {
  using raft::Durability;
  World world;
  world.settings = {{"appendonly", "yes"}, {"appendfsync", "always"}};
  found_and_write(world, 3);
  const auto keep = [&](NodeId node, Durability mode) { world.at(node).set_kept_mode(world.now, mode); };
  for (NodeId id = 1; id <= 3; ++id) keep(id, Durability::kSynced);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return all_go_by(world, 2, Durability::kSynced, 1); })) << world.notes;
  world.kill(1);
  world.kill(3);
  keep(2, Durability::kOs);
  world.run(1'000'000);
  EXPECT_EQ(recover_without(world, 2, {1, 3}), "");
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(2) == kPartitions && all_go_by(world, 2, Durability::kOs, 0); })) << world.notes;
  write_all(world, "third");
  world.run(1'000'000);
  EXPECT_TRUE(all_go_by(world, 2, Durability::kOs, 0));
  keep(2, Durability::kSynced);
  const uint64_t version = world.at(2).state().mode_version();
  EXPECT_GT(version, 1u);
  EXPECT_TRUE(world.run_until(5'000'000, [&] { return all_go_by(world, 2, Durability::kSynced, version); })) << world.notes;
}

// Nobody has a copy: so does who begins anew.
TEST(UnsafeRecovery, a_partition_that_begins_anew_promises_what_its_node_keeps) {
  using raft::Durability;
  World world;
  world.settings = {{"appendonly", "yes"}, {"appendfsync", "always"}};
  found_and_write(world, 3, 1);
  for (NodeId id = 1; id <= 3; ++id) world.at(id).set_kept_mode(world.now, Durability::kSynced);
  world.run(1'000'000);
  world.kill(3);
  world.at(2).set_kept_mode(world.now, Durability::kOs);
  world.run(1'000'000);
  world.at(1).take_outcomes();
  EXPECT_EQ(recover_without(world, 1, {3}, WithoutCopies::kBeginEmpty), "");
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.led_by(1) + world.led_by(2) == kPartitions; })) << world.notes;
  world.run(1'000'000);
  const uint64_t version = world.at(1).state().mode_version();
  const auto versions_at = [&](NodeId node) {
    std::set<uint64_t> versions;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(node).partitions().core(partition);
      if (core != nullptr && core->role_state().serving == raft::Serving::kYes) versions.insert(world.at(node).partitions().mode_version(partition));
    }
    return versions;
  };
  EXPECT_EQ(versions_at(1), std::set{version});
  EXPECT_FALSE(versions_at(2).contains(version));
  world.at(2).set_kept_mode(world.now, Durability::kSynced);
  EXPECT_TRUE(world.run_until(5'000'000, [&] { return versions_at(2) == std::set{version}; })) << world.notes;
}

// After a start without a quorum nobody knows what is committed, not even who the members are.
TEST(UnsafeRecovery, all_were_down_and_one_of_three_comes_back) {
  for (const NodeId left : {NodeId{1}, NodeId{2}, NodeId{3}}) {
    World world;
    found_and_write(world, 3);
    for (NodeId id = 1; id <= 3; ++id) world.kill(id);
    world.run(1'000'000);
    world.boot(left);
    world.run(1'000'000);
    EXPECT_EQ(recover_without(world, left, {left % 3 + 1, (left + 1) % 3 + 1}), "") << left;
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(left) == kPartitions; })) << world.notes;
    expect_words(world, left, "second");
    write_all(world, "third");
  }
}

TEST(UnsafeRecovery, of_two_nodes_either_goes_on) {
  for (const NodeId left : {NodeId{1}, NodeId{2}}) {
    World world;
    found(world, 2, 2);
    write_all(world, "second");
    world.run(1'000'000);
    const NodeId lost = 3 - left;
    world.kill(lost);
    world.run(1'000'000);
    EXPECT_EQ(recover_without(world, left, {lost}), "");
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(left) == kPartitions; })) << world.notes;
    expect_words(world, left, "second");
    write_all(world, "third");
    world.boot(3, {left});
    ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.is_placed(2); })) << world.notes;
    expect_words(world, 3, "third");
  }
}

TEST(UnsafeRecovery, partitions_that_have_a_quorum_go_on_as_ever) {
  World world;
  found_and_write(world, 5);
  world.kill(2);
  world.kill(4);
  world.run(1'000'000);
  EXPECT_EQ(recover_without(world, 5, {2, 4}), "");
  write_all(world, "third");
  ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(3); })) << world.notes;
  std::map<uint32_t, bool> was_restarted;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    for (const NodeId node : {NodeId{1}, NodeId{3}, NodeId{5}}) {
      EXPECT_EQ(world.data(node).words[partition]["second"], std::to_string(partition));
      EXPECT_EQ(world.data(node).words[partition]["third"], std::to_string(partition));
      if (!world.at(node).partitions().core(partition)->epoch().none()) was_restarted[partition] = true;
    }
  }
  EXPECT_FALSE(was_restarted.empty());
  EXPECT_LT(was_restarted.size(), size_t{kPartitions});
}

TEST(UnsafeRecovery, is_refused_where_nothing_is_lost_or_somebody_is_not_named) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
  EXPECT_NE(recover_without(world, 1, {2}).find("is heard of"), std::string::npos);
  EXPECT_NE(recover_without(world, 1, {1}).find("is heard of"), std::string::npos);
  world.kill(2);
  world.run(1'000'000);
  // Two of three are a quorum.
  EXPECT_NE(recover_without(world, 1, {2}).find("enough to go on"), std::string::npos);
  EXPECT_NE(recover_without(world, 1, {2, 3}).find("is heard of"), std::string::npos);
  EXPECT_EQ(recover_without(world, 1, {9}), "no such node");
  world.kill(3);
  world.run(1'000'000);
  EXPECT_NE(recover_without(world, 1, {2}).find("neither named nor heard of"), std::string::npos);
  EXPECT_EQ(recover_without(world, 1, {}), "nobody is named");
  EXPECT_TRUE(world.at(1).state().given_up().empty());
  world.boot(2);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.write(0, "still", "there"); })) << world.notes;
}

TEST(UnsafeRecovery, what_is_not_decided_in_time_never_is) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const int64_t until_us = world.now.steady_us + 3'000'000;
  const auto token = world.at(4).recover_without(world.now, {1, 2, 3}, WithoutCopies::kBeginEmpty, until_us);
  ASSERT_TRUE(token.ok());
  world.isolate(5);
  std::vector<MetaGroup::Outcome> outcomes;
  ASSERT_TRUE(world.run_until(4'000'000, [&] {
    outcomes = world.at(4).take_outcomes();
    return !outcomes.empty();
  }));
  EXPECT_LE(world.now.steady_us, until_us + 1'000);
  EXPECT_EQ(outcomes.front().token, token.value());
  EXPECT_NE(outcomes.front().status.error().detail().find("has not answered"), std::string::npos) << outcomes.front().status.error().detail();
  world.isolate(0);
  world.run(10'000'000);
  EXPECT_TRUE(world.at(4).state().given_up().empty());
  EXPECT_TRUE(world.at(5).state().given_up().empty());
  // Nothing of it is in the way of another attempt, nor of the lost ones.
  EXPECT_EQ(recover_without(world, 5, {1, 2, 3}, WithoutCopies::kBeginEmpty), "");
  write_all(world, "third");
}

TEST(UnsafeRecovery, who_comes_back_before_it_is_decided_is_not_given_up) {
  World world;
  found_and_write(world, 3);
  world.kill(1);
  world.isolate(3);
  world.run(1'000'000);
  const auto token = world.at(2).recover_without(world.now, {1, 3}, WithoutCopies::kRefuse, world.now.steady_us + 5'000'000);
  ASSERT_TRUE(token.ok());
  world.isolate(0);
  // It is heard again by now, or hears that it is out: one of both, and never a member that was given up and is served.
  std::vector<MetaGroup::Outcome> outcomes;
  ASSERT_TRUE(world.run_until(10'000'000, [&] {
    outcomes = world.at(2).take_outcomes();
    return !outcomes.empty();
  }));
  const bool is_given_up = outcomes.front().status.ok();
  if (is_given_up) {
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.at(3).membership() == Membership::kRefused; })) << world.notes;
  } else {
    EXPECT_NE(outcomes.front().status.error().detail().find("is heard of"), std::string::npos);
    EXPECT_TRUE(world.at(2).state().given_up().empty());
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.write(0, "third", "0"); })) << world.notes;
  }
  expect_words(world, 2, "second");
}

TEST(UnsafeRecovery, the_leader_looks_itself_whether_they_are_silent) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  const NodeId leader = world.leader();
  const NodeId other = leader % 5 + 1;
  // A message that says that everybody has agreed: it is not so.
  const NodeId named = other % 5 + 1;
  Buffer bytes;
  bytes.push_back(4);
  append_little<uint64_t>(bytes, 77);
  meta::encode(meta::GiveUp{.nodes = {named}}, bytes);
  world.at(other).peers().link(leader, PeerLane::kData)->add(UnsafeRecovery::kKind, bytes.view());
  world.run(1'000'000);
  EXPECT_TRUE(world.at(leader).state().given_up().empty());
  // Nor is it taken as a proposal like others.
  Buffer proposal;
  append_little<uint64_t>(proposal, other);
  append_varint(proposal, 1);
  append_varint(proposal, 0);
  meta::encode(meta::GiveUp{.nodes = {named}}, proposal);
  world.at(other).peers().link(leader, PeerLane::kData)->add(MetaGroup::kProposal, proposal.view());
  world.run(1'000'000);
  EXPECT_TRUE(world.at(leader).state().given_up().empty());
  EXPECT_NE(world.notes.find("only the leader may decree"), std::string::npos) << world.notes;
}

// Nodes that run on, cut off from those that have given them up: the one with the smallest id, that dials, and those that are dialled.
TEST(UnsafeRecovery, who_was_given_up_and_runs_on_hears_it_as_soon_as_it_can) {
  for (const NodeId left : {NodeId{1}, NodeId{2}, NodeId{3}}) {
    World world;
    found(world, 3, 3);
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
    world.isolate(left);
    world.run(2'000'000);
    EXPECT_EQ(recover_without(world, left, {left % 3 + 1, (left + 1) % 3 + 1}), "");
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(left) == kPartitions; })) << world.notes;
    world.isolate(0);
    ASSERT_TRUE(world.run_until(10'000'000, [&] {
      return world.at(left % 3 + 1).membership() == Membership::kRefused && world.at((left + 1) % 3 + 1).membership() == Membership::kRefused;
    })) << left << '\n'
        << world.notes;
    EXPECT_EQ(world.at(left).membership(), Membership::kMember);
    write_all(world, "alone");
  }
}

// Nobody can say which of them counts: neither ends, and neither takes anything from the other.
TEST(UnsafeRecovery, two_halves_that_have_given_up_each_other_are_two_clusters) {
  World world;
  found(world, 4, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(4, 3); }));
  world.split({1, 2});
  world.run(2'000'000);
  const std::string first = recover_without(world, 1, {3, 4}, WithoutCopies::kBeginEmpty);
  const std::string second = recover_without(world, 3, {1, 2}, WithoutCopies::kBeginEmpty);
  EXPECT_EQ(first, "") << world.notes;
  EXPECT_EQ(second, "") << world.notes;
  world.split({});
  world.run(10'000'000);
  // Whoever is started again and told where to look meets the other half.
  for (NodeId id = 1; id <= 4; ++id) {
    world.kill(id);
    world.boot(id, {id <= 2 ? NodeId{3} : NodeId{1}});
    world.run(5'000'000);
  }
  for (NodeId id = 1; id <= 4; ++id) EXPECT_EQ(world.at(id).membership(), Membership::kMember) << id << world.notes;
  for (const NodeId id : {NodeId{1}, NodeId{3}}) {
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(id) + world.led_by(id + 1) == kPartitions; })) << id << world.notes;
    const std::vector<NodeId> others = {4 - id, 5 - id};
    EXPECT_EQ(world.at(id).state().given_up(), others);
    EXPECT_EQ(world.at(id + 1).state().given_up(), others);
  }
}

TEST(UnsafeRecovery, a_replica_that_has_stopped_is_to_be_started_again_first) {
  World world;
  found_and_write(world, 5, 5);
  const NodeId leader = world.leader_of(5);
  const NodeId stopped = leader == 4 ? 5 : 4;
  contradict(world, leader, stopped);
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const std::string refusal = recover_without(world, 9 - stopped, {1, 2, 3});
  EXPECT_EQ(refusal, "node " + node_name(stopped) + ": its copy of partition 5 has stopped by a contradiction: start that node again, or name it too");
  EXPECT_TRUE(world.at(9 - stopped).state().given_up().empty());
  // The other one alone holds all as well.
  world.kill(stopped);
  world.run(1'000'000);
  EXPECT_EQ(recover_without(world, 9 - stopped, {1, 2, 3, stopped}), "");
  write_all(world, "third");
  expect_words(world, 9 - stopped, "second");
}

TEST(UnsafeRecovery, partitions_without_a_copy_begin_with_nothing_if_that_is_wanted) {
  World world;
  found_and_write(world, 4, 1);
  std::set<uint32_t> lost;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    if (world.leader_of(partition) <= 2) lost.insert(partition);
  }
  ASSERT_FALSE(lost.empty());
  ASSERT_LT(lost.size(), size_t{kPartitions});
  world.kill(1);
  world.kill(2);
  world.run(1'000'000);
  const std::string refusal = recover_without(world, 3, {1, 2});
  EXPECT_NE(refusal.find("nobody who is left has a copy of " + std::to_string(lost.size()) + " partitions"), std::string::npos) << refusal;
  EXPECT_TRUE(world.at(3).state().given_up().empty());
  EXPECT_EQ(recover_without(world, 3, {1, 2}, WithoutCopies::kBeginEmpty), "");
  write_all(world, "third");
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.is_placed(1); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    const NodeId leader = world.leader_of(partition);
    EXPECT_EQ(world.data(leader).words[partition].count("second"), lost.count(partition) == 0 ? 1u : 0u) << partition;
    EXPECT_EQ(world.data(leader).words[partition].count("third"), 1u) << partition;
  }
  EXPECT_EQ(world.data(3).begun_anew + world.data(4).begun_anew, lost.size());
  // Nothing begins once more.
  for (const NodeId id : {NodeId{3}, NodeId{4}}) {
    world.kill(id);
    world.boot(id);
  }
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.led_by(3) + world.led_by(4) == kPartitions; })) << world.notes;
  EXPECT_EQ(world.data(3).begun_anew + world.data(4).begun_anew, 0u);
  world.at(3).propose(meta::SetSetting{"replication-n", "2"});
  ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(2); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(3).words[partition].count("third"), 1u) << partition;
  }
}

// An operator's permission that only one of those who are left has got, or only one keeps to.
TEST(UnsafeRecovery, the_members_go_on_only_if_all_who_are_left_have_given_up_the_same) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const auto permit = [&](NodeId from, NodeId to) {
    Buffer bytes;
    bytes.push_back(3);
    append_varint(bytes, 5'000);
    meta::encode(meta::GiveUp{.nodes = {1, 2, 3}}, bytes);
    world.at(from).peers().link(to, PeerLane::kData)->add(UnsafeRecovery::kKind, bytes.view());
  };
  permit(4, 5);
  world.run(4'000'000);
  EXPECT_EQ(world.leader(), 0u) << world.notes;
  EXPECT_NE(world.notes.find("5> meta group: too few voters are left"), std::string::npos) << world.notes;
  permit(4, 5);
  permit(5, 4);
  EXPECT_TRUE(world.run_until(4'000'000, [&] { return world.leader() != 0; })) << world.notes;
  // Their votes have decided it.
  ASSERT_TRUE(world.run_until(1'000'000, [&] {
    return world.at(4).state().given_up().size() == 3 && world.at(5).state().given_up().size() == 3;
  })) << world.notes;
}

TEST(UnsafeRecovery, who_waits_no_more_takes_it_back) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const int64_t until_us = world.now.steady_us + 8'000'000;
  const auto token = world.at(4).recover_without(world.now, {1, 2, 3}, WithoutCopies::kBeginEmpty, until_us);
  ASSERT_TRUE(token.ok());
  // The other one may go on, and nobody has voted yet.
  ASSERT_TRUE(world.run_until(1'000'000, [&] { return world.notes.find("5> meta group: too few voters are left") != std::string::npos; })) << world.notes;
  world.at(4).forget_recovery(token.value());
  world.run(7'000'000);
  EXPECT_EQ(world.leader(), 0u) << world.notes;
  EXPECT_TRUE(world.at(4).state().given_up().empty());
  EXPECT_TRUE(world.at(5).state().given_up().empty());
  EXPECT_TRUE(world.at(4).take_outcomes().empty());
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.boot(lost);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); })) << world.notes;
}

TEST(UnsafeRecovery, who_is_refused_takes_nothing_from_another_one_who_asks) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const int64_t until_us = world.now.steady_us + 8'000'000;
  ASSERT_TRUE(world.at(4).recover_without(world.now, {1, 2, 3}, WithoutCopies::kBeginEmpty, until_us).ok());
  ASSERT_TRUE(world.run_until(1'000'000, [&] { return world.notes.find("5> meta group: too few voters are left") != std::string::npos; })) << world.notes;
  const std::string refusal = recover_without(world, 5, {1, 2, 3});
  EXPECT_NE(refusal.find("nobody who is left has a copy of"), std::string::npos) << refusal;
  EXPECT_EQ(world.leader(), 0u);
  ASSERT_TRUE(world.run_until(6'000'000, [&] { return world.at(4).state().given_up().size() == 3; })) << world.notes;
}

// It has thrown its log away for a leader of a later epoch that is lost too, and is of that epoch: others would follow it into nothing.
TEST(UnsafeRecovery, a_replica_that_holds_nothing_yet_is_not_taken_for_the_fullest) {
  World world;
  found_and_write(world, 5, 5);
  world.kill(1);
  world.kill(2);
  world.kill(3);
  world.run(1'000'000);
  const auto token = world.at(4).recover_without(world.now, {1, 2, 3}, WithoutCopies::kRefuse, world.now.steady_us + 5'000'000);
  ASSERT_TRUE(token.ok());
  const auto emptied = [&]() -> NodeId {
    for (const NodeId node : {NodeId{4}, NodeId{5}}) {
      for (uint32_t partition = 0; partition < kPartitions; ++partition) {
        const raft::Core& core = *world.at(node).partitions().core(partition);
        if (!core.epoch().none() && core.position().index.none()) return node;
      }
    }
    return 0;
  };
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return emptied() != 0; })) << world.notes;
  const NodeId left = emptied();
  world.kill(9 - left);
  world.run(1'000'000);
  // Nobody else has a copy: it is no worse than none.
  const std::string refusal = recover_without(world, left, {1, 2, 3, 9 - left});
  EXPECT_NE(refusal.find("nobody who is left has a copy of"), std::string::npos) << refusal;
  EXPECT_EQ(recover_without(world, left, {1, 2, 3, 9 - left}, WithoutCopies::kBeginEmpty), "");
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(left) == kPartitions; })) << world.notes;
  write_all(world, "third");
}

size_t count_led(World& world, const std::vector<NodeId>& nodes) {
  size_t count = 0;
  for (const NodeId node : nodes) count += world.led_by(node);
  return count;
}

// All end, and those that come back may have forgotten what they acknowledged.
void lose_power(World& world, NodeId count, const std::vector<NodeId>& left) {
  for (NodeId id = 1; id <= count; ++id) world.kill(id);
  world.may_have_forgotten = true;
  world.run(100'000);
  for (const NodeId id : left) world.boot(id);
}

TEST(UnsafeRecovery, all_lost_power_and_one_of_three_never_comes_back) {
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) {
    World world;
    found_and_write(world, 3);
    const std::vector<NodeId> left = {lost % 3 + 1, (lost + 1) % 3 + 1};
    lose_power(world, 3, left);
    world.run(3'000'000);
    EXPECT_EQ(count_led(world, left), 0u);
    EXPECT_EQ(recover_without(world, left[0], {lost}), "");
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return count_led(world, left) == kPartitions; })) << world.notes;
    world.run(1'000'000);
    for (const NodeId node : left) expect_words(world, node, "second");
    write_all(world, "third");
    world.may_have_forgotten = false;
    world.boot(4, {left[0]});
    ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(3); })) << world.notes;
    expect_words(world, 4, "third");
    // All three count: any of them may go.
    world.kill(left[0]);
    write_all(world, "fourth");
  }
}

TEST(UnsafeRecovery, all_lost_power_and_one_or_two_of_five_never_come_back) {
  for (const size_t gone : {size_t{1}, size_t{2}}) {
    World world;
    found_and_write(world, 5, 5);
    const std::vector<NodeId> lost = gone == 1 ? std::vector<NodeId>{4} : std::vector<NodeId>{2, 5};
    std::vector<NodeId> left;
    for (NodeId id = 1; id <= 5; ++id) {
      if (std::find(lost.begin(), lost.end(), id) == lost.end()) left.push_back(id);
    }
    lose_power(world, 5, left);
    world.run(3'000'000);
    EXPECT_EQ(count_led(world, left), 0u);
    EXPECT_EQ(recover_without(world, left.back(), lost), "");
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return count_led(world, left) == kPartitions; })) << world.notes;
    write_all(world, "third");
    for (const NodeId node : left) expect_words(world, node, "second");
  }
}

// Of two that are left one remembers all: it alone elects nobody.
TEST(UnsafeRecovery, one_has_forgotten_and_one_is_lost) {
  World world;
  found_and_write(world, 3);
  world.kill(2);
  world.kill(3);
  world.may_have_forgotten = true;
  world.run(1'000'000);
  world.boot(2);
  world.run(3'000'000);
  const size_t led = count_led(world, {1, 2});
  EXPECT_GT(led, 0u);   // whoever led goes on leading
  EXPECT_LT(led, size_t{kPartitions});
  EXPECT_EQ(recover_without(world, 2, {3}), "");
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return count_led(world, {1, 2}) == kPartitions; })) << world.notes;
  world.run(1'000'000);
  for (const NodeId node : {NodeId{1}, NodeId{2}}) expect_words(world, node, "second");
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    // Nobody goes on without others where somebody leads.
    const bool restarted = !world.at(1).partitions().core(partition)->epoch().none();
    EXPECT_EQ(restarted, world.at(world.leader_of(partition)).partitions().core(partition)->role_state().takeover == raft::Takeover::kUnsafeRecovery);
  }
  write_all(world, "third");
}

TEST(UnsafeRecovery, who_may_have_forgotten_is_no_reason_where_enough_others_remember) {
  World world;
  found_and_write(world, 5, 5);
  world.kill(4);
  world.kill(5);
  world.may_have_forgotten = true;
  world.run(1'000'000);
  world.boot(4);
  world.isolate(4);
  world.run(1'000'000);
  EXPECT_NE(recover_without(world, 1, {5}).find("neither named nor heard of"), std::string::npos);
  world.isolate(0);
  world.run(3'000'000);
  EXPECT_EQ(count_led(world, {1, 2, 3, 4}), size_t{kPartitions});
  for (const NodeId asked : {NodeId{1}, NodeId{4}}) {
    const std::string refusal = recover_without(world, asked, {5});
    EXPECT_NE(refusal.find("enough to go on"), std::string::npos) << refusal;
  }
  EXPECT_TRUE(world.at(1).state().given_up().empty());
}

// It has thrown its log away for a leader of a later epoch that is lost since, and another one has not.
TEST(UnsafeRecovery, who_was_emptied_follows_one_that_still_holds_something) {
  World world;
  found_and_write(world, 3);
  lose_power(world, 3, {1, 2, 3});
  const auto restarted_by = [&](uint32_t& found) -> NodeId {
    for (NodeId node = 1; node <= 3; ++node) {
      for (uint32_t partition = 0; partition < kPartitions; ++partition) {
        const raft::Core* const core = world.at(node).partitions().core(partition);
        if (core == nullptr || core->role_state().takeover != raft::Takeover::kAllPresentRestart) continue;
        found = partition;
        return node;
      }
    }
    return 0;
  };
  uint32_t partition = 0;
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return restarted_by(partition) != 0; })) << world.notes;
  const NodeId leader = restarted_by(partition);
  const NodeId full = leader % 3 + 1;
  const NodeId emptied = full % 3 + 1;
  world.isolate(full);
  const auto core = [&](NodeId node) -> const raft::Core& { return *world.at(node).partitions().core(partition); };
  ASSERT_TRUE(world.run_until(1'000'000, [&] { return !core(emptied).epoch().none() && core(emptied).last_index().none(); })) << world.notes;
  world.kill(leader);
  ASSERT_TRUE(core(emptied).last_index().none());
  ASSERT_TRUE(core(full).epoch().none());
  world.isolate(0);
  world.run(3'000'000);
  EXPECT_EQ(recover_without(world, emptied, {leader}), "");
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return count_led(world, {full, emptied}) == kPartitions; })) << world.notes;
  EXPECT_EQ(core(full).epoch(), raft::RecoveryEpoch{2});
  world.run(1'000'000);
  for (const NodeId node : {full, emptied}) expect_words(world, node, "second");
  write_all(world, "third");
}

// The same of the members themselves.
TEST(UnsafeRecovery, a_copy_of_the_members_that_was_emptied_follows_one_that_still_holds_them) {
  World world;
  found_and_write(world, 7, 7);
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}, NodeId{4}}) world.kill(lost);
  world.run(1'000'000);
  ASSERT_TRUE(world.at(5).recover_without(world.now, {1, 2, 3, 4}, WithoutCopies::kRefuse, world.now.steady_us + 5'000'000).ok());
  const auto core = [&](NodeId node) -> const raft::Core& { return *world.at(node).groups().find(world.at(node).meta().group()); };
  const auto elected = [&]() -> NodeId {
    for (const NodeId node : {NodeId{5}, NodeId{6}, NodeId{7}}) {
      if (core(node).role_state().takeover == raft::Takeover::kUnsafeRecovery) return node;
    }
    return 0;
  };
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return elected() != 0; })) << world.notes;
  const NodeId leader = elected();
  const NodeId full = leader == 5 ? 6 : 5;
  const NodeId emptied = 18 - leader - full;
  world.isolate(full);
  ASSERT_TRUE(world.run_until(1'000'000, [&] { return !core(emptied).epoch().none() && core(emptied).last_index().none(); })) << world.notes;
  world.kill(leader);
  ASSERT_TRUE(core(emptied).last_index().none());
  ASSERT_TRUE(core(full).epoch().none());
  world.isolate(0);
  world.run(3'000'000);
  EXPECT_EQ(recover_without(world, emptied, {1, 2, 3, 4, leader}), "");
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return count_led(world, {full, emptied}) == kPartitions; })) << world.notes;
  EXPECT_EQ(core(full).epoch(), raft::RecoveryEpoch{2});
  world.run(1'000'000);
  for (const NodeId node : {full, emptied}) {
    EXPECT_EQ(world.at(node).state().given_up(), (std::vector<NodeId>{1, 2, 3, 4, leader}));
    EXPECT_EQ(world.at(node).state().replication(), 7u);
    expect_words(world, node, "second");
  }
  write_all(world, "third");
}

// Whoever is left when it is decided, and is told to leave itself, has to stay.
TEST(UnsafeRecovery, who_was_to_be_emptied_is_needed_again) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
  write_all(world, "second");
  world.at(1).propose(meta::SetState{.node = 2, .state = MemberState::kDraining});
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.at(2).state().find(2)->state == MemberState::kDraining; }));
  world.kill(1);
  world.kill(3);
  world.run(1'000'000);
  EXPECT_EQ(recover_without(world, 2, {1, 3}), "");
  EXPECT_EQ(world.at(2).state().find(2)->state, MemberState::kActive);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(2) == kPartitions; })) << world.notes;
  expect_words(world, 2, "second");
}

// One of them is heard again when the leader may have decided already, at the node that was asked or at the leader.
TEST(UnsafeRecovery, what_may_have_been_decided_is_not_said_to_be_refused) {
  for (const bool leader_hears_it : {false, true}) {
    World world;
    found(world, 4, 3);
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(4, 3); }));
    world.kill(3);
    world.isolate(4);
    ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.leader() == 1 || world.leader() == 2; }));
    world.run(1'000'000);
    const NodeId leader = world.leader();
    const NodeId asker = 3 - leader;
    const auto token = world.at(asker).recover_without(world.now, {3, 4}, WithoutCopies::kRefuse, world.now.steady_us + 4'000'000);
    ASSERT_TRUE(token.ok()) << token.error().detail();
    world.run(1'500);   // the leader has answered, and was asked to decide
    world.split(leader_hears_it ? std::set<NodeId>{asker} : std::set<NodeId>{leader});
    world.run(2'000'000);
    world.split({});
    world.run(2'500'000);
    const std::vector<MetaGroup::Outcome> outcomes = world.at(asker).take_outcomes();
    const bool is_given_up = world.at(asker).state().is_given_up(4);
    if (is_given_up) {
      EXPECT_TRUE(outcomes.empty() || outcomes.front().status.ok());
    } else {
      EXPECT_TRUE(outcomes.empty()) << outcomes.front().status.error().detail();
    }
    EXPECT_EQ(world.at(leader).state().is_given_up(4), is_given_up);
  }
}

}  // namespace
}  // namespace quorate

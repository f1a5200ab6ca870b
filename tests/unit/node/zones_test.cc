// min-zones: how far the copies in so many zones have got.
#include "node/zones.h"

#include <gtest/gtest.h>

#include <map>

namespace quorate {
namespace {

using Zones = std::map<NodeId, std::string>;

ClusterState state_with(const Zones& zones) {
  ClusterState state;
  for (const auto& [id, zone] : zones) {
    const MemberRecord record{.id = id, .host = "host", .port = 1, .cluster_port = 2, .zone = zone};
    const meta::Command found = meta::Found{.cluster = {}, .partitions = 1, .first = record};
    const meta::Command enrol = meta::Enrol{record};
    EXPECT_TRUE(state.apply(state.is_founded() ? enrol : found).ok());
  }
  return state;
}

raft::Half half_of(const std::vector<uint64_t>& ids) {
  raft::Half half;
  for (const uint64_t id : ids) half.voters.push_back({.replica = {id}, .node = {id}});
  return half;
}

// What copies in `zones` zones hold, if the copy on each node holds as much as `held` says.
uint64_t reached(const raft::Configuration& configuration, const Zones& zones, uint32_t wanted, const std::map<uint64_t, uint64_t>& held) {
  return reached_in_zones(configuration, state_with(zones), wanted, [&](const raft::Member& member) { return held.at(member.node.value); });
}

TEST(Zones, the_best_copy_of_each_zone_counts) {
  const raft::Configuration three{.incoming = half_of({1, 2, 3})};
  const Zones zones{{1, "a"}, {2, "a"}, {3, "b"}};
  EXPECT_EQ(reached(three, zones, 1, {{1, 9}, {2, 8}, {3, 5}}), 9u);
  EXPECT_EQ(reached(three, zones, 2, {{1, 9}, {2, 8}, {3, 5}}), 5u);
  EXPECT_EQ(reached(three, zones, 2, {{1, 4}, {2, 8}, {3, 9}}), 8u);
  EXPECT_EQ(reached(three, zones, 3, {{1, 9}, {2, 8}, {3, 5}}), 0u);
}

TEST(Zones, nodes_without_a_zone_are_in_one) {
  const raft::Configuration three{.incoming = half_of({1, 2, 3})};
  EXPECT_EQ(reached(three, {{1, ""}, {2, ""}, {3, ""}}, 2, {{1, 9}, {2, 8}, {3, 5}}), 0u);
  EXPECT_EQ(reached(three, {{1, ""}, {2, ""}, {3, "b"}}, 2, {{1, 9}, {2, 8}, {3, 5}}), 5u);
}

TEST(Zones, learners_count_where_there_is_one_voter) {
  raft::Configuration configuration{.incoming = half_of({1}), .learners = {{.replica = {2}, .node = {2}}}};
  const Zones zones{{1, "a"}, {2, "b"}, {3, "b"}};
  EXPECT_EQ(reached(configuration, zones, 2, {{1, 9}, {2, 8}}), 8u);
  configuration.incoming = half_of({1, 3});
  EXPECT_EQ(reached(configuration, zones, 2, {{1, 9}, {2, 8}, {3, 7}}), 7u);
}

TEST(Zones, each_copy_of_the_largest_configuration_may_be_in_a_zone_of_its_own) {
  // One voter that steps aside for as many as there can be, beside as many learners: all of them count in its half.
  raft::Configuration largest{.incoming = {}, .outgoing = half_of({100})};
  Zones zones{{100, "zone 100"}};
  std::map<uint64_t, uint64_t> held{{100, 1}};
  for (uint64_t id = 1; id <= 2 * raft::kMembersMax; ++id) {
    const raft::Member member{.replica = {id}, .node = {id}};
    (id <= raft::kMembersMax ? largest.incoming.voters : largest.learners).push_back(member);
    zones[id] = "zone " + std::to_string(id);
    held[id] = id;
  }
  EXPECT_TRUE(raft::validate(largest).ok());
  EXPECT_EQ(reached(largest, zones, 2, held), raft::kMembersMax - 1);
}

TEST(Zones, while_voters_change_both_halves_count) {
  raft::Configuration joint{.incoming = half_of({1, 2, 4}), .outgoing = half_of({1, 2, 3})};
  const Zones zones{{1, "a"}, {2, "a"}, {3, "b"}, {4, "c"}};
  EXPECT_EQ(reached(joint, zones, 2, {{1, 9}, {2, 9}, {3, 6}, {4, 7}}), 6u);
  EXPECT_EQ(reached(joint, zones, 3, {{1, 9}, {2, 9}, {3, 6}, {4, 7}}), 0u);
  // A half that has fewer zones is held in all of them.
  joint.outgoing = half_of({1, 2});
  EXPECT_EQ(reached(joint, zones, 2, {{1, 9}, {2, 8}, {4, 7}}), 7u);
  // Members that this node has not heard of yet are in no zone that it knows.
  joint.outgoing = half_of({7, 8});
  EXPECT_EQ(reached(joint, zones, 2, {{1, 9}, {2, 8}, {4, 7}}), 0u);
  EXPECT_EQ(reached(joint, zones, 1, {{1, 9}, {2, 8}, {4, 7}}), 0u);
}

}  // namespace
}  // namespace quorate

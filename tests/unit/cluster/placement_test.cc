// Placement: balance, zones, the least movement, and the order of moves, over seeded random
// clusters.
#include "cluster/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "util/prng.h"

namespace quorate::placement {
namespace {

using Loads = std::map<NodeId, int64_t>;

Loads replica_loads(const Plan& plan) {
  Loads loads;
  for (const PartitionPlan& partition : plan) {
    for (const NodeId node : partition.replicas) ++loads[node];
  }
  return loads;
}

Loads leader_loads(const Plan& plan) {
  Loads loads;
  for (const PartitionPlan& partition : plan) ++loads[partition.replicas.front()];
  return loads;
}

std::vector<Member> plain_members(uint32_t count, uint32_t zones) {
  std::vector<Member> members;
  for (uint32_t index = 0; index < count; ++index) {
    members.push_back(
        {.id = index + 1, .zone = zones == 0 ? "" : "z" + std::to_string(index % zones)});
  }
  return members;
}

int64_t ceil_divide(int64_t value, int64_t by) { return (value + by - 1) / by; }

// Replicas of `after` that `before` does not have.
int64_t new_replicas(const Plan& before, const Plan& after) {
  int64_t moved = 0;
  for (size_t partition = 0; partition < after.size(); ++partition) {
    for (const NodeId node : after[partition].replicas) {
      if (partition >= before.size() || std::count(before[partition].replicas.begin(),
                                                   before[partition].replicas.end(), node) == 0) {
        ++moved;
      }
    }
  }
  return moved;
}

void expect_well_formed(const PlacementInput& input, const Plan& plan) {
  std::map<NodeId, const Member*> members;
  std::map<std::string, uint32_t> zone_sizes;
  uint32_t active = 0;
  for (const Member& member : input.members) {
    members[member.id] = &member;
    if (member.state != MemberState::kActive) continue;
    ++active;
    ++zone_sizes[member.zone];
  }
  const uint32_t replicas = std::min(active, input.replication);
  ASSERT_EQ(plan.size(), input.partitions);
  for (const PartitionPlan& partition : plan) {
    ASSERT_EQ(partition.replicas.size(), replicas);
    const uint32_t voters =
        replicas == 2 && input.two_replicas == TwoReplicas::kVoterAndLearner ? 1 : replicas;
    EXPECT_EQ(partition.voters, voters);
    std::set<NodeId> distinct;
    std::map<std::string, uint32_t> in_zone;
    for (const NodeId node : partition.replicas) {
      distinct.insert(node);
      ASSERT_TRUE(members.contains(node));
      EXPECT_EQ(members[node]->state, MemberState::kActive);
      ++in_zone[members[node]->zone];
    }
    EXPECT_EQ(distinct.size(), replicas);
    EXPECT_EQ(in_zone.size(), std::min<size_t>(replicas, zone_sizes.size()));
    // Evenly: no zone could take one from a zone that has two more.
    for (const auto& [full, count] : in_zone) {
      for (const auto& [zone, size] : zone_sizes) {
        EXPECT_FALSE(count >= in_zone[zone] + 2 && in_zone[zone] < size) << full << " " << zone;
      }
    }
  }
}

TEST(Placement, EqualNodesHoldAtMostTheMeanPlusOne) {
  for (uint32_t count = 1; count <= 32; ++count) {
    for (const uint32_t zones : {0U, 1U, 2U, 3U, 4U, 8U}) {
      if (zones != 0 && count % zones != 0) continue;
      for (const uint32_t replication : {1U, 2U, 3U, 5U}) {
        PlacementInput input;
        input.members = plain_members(count, zones);
        input.replication = replication;
        const Plan plan = propose(input);
        expect_well_formed(input, plan);
        const int64_t total = int64_t{128} * std::min(replication, count);
        for (const auto& [node, load] : replica_loads(plan)) {
          EXPECT_LE(load, ceil_divide(total, count) + 1);
          EXPECT_GE(load, total / count - 1);
        }
        for (const auto& [node, load] : leader_loads(plan)) {
          EXPECT_LE(load, ceil_divide(128, count) + 1);
        }
        EXPECT_EQ(leader_loads(plan).size(), count);
      }
    }
  }
}

TEST(Placement, LoadsFollowWeights) {
  PlacementInput input;
  input.members = {{.id = 1, .weight = 100}, {.id = 2, .weight = 100}, {.id = 3, .weight = 200},
                   {.id = 4, .weight = 50},  {.id = 5, .weight = 150}, {.id = 6, .weight = 100}};
  const Plan plan = propose(input);
  expect_well_formed(input, plan);
  Loads loads = replica_loads(plan);
  Loads leaders = leader_loads(plan);
  for (const Member& member : input.members) {
    EXPECT_LE(loads[member.id], ceil_divide(int64_t{384} * member.weight, 700) + 1);
    EXPECT_LE(leaders[member.id], ceil_divide(int64_t{128} * member.weight, 700) + 1);
    EXPECT_GE(loads[member.id], int64_t{384} * member.weight / 700 - 1);
  }
}

TEST(Placement, AHeavyNodeHoldsEachPartitionOnceAndTheOthersShareTheRest) {
  PlacementInput input;
  input.members = {{.id = 1, .weight = 10000}, {.id = 2}, {.id = 3}, {.id = 4}, {.id = 5}};
  const Plan plan = propose(input);
  Loads loads = replica_loads(plan);
  EXPECT_EQ(loads[1], 128);
  for (NodeId id = 2; id <= 5; ++id) EXPECT_EQ(loads[id], 64);
}

TEST(Placement, ASmallZoneGetsEveryPartitionOnce) {
  PlacementInput input;
  input.members = {{.id = 1, .zone = "a"}, {.id = 2, .zone = "b"}, {.id = 3, .zone = "c"},
                   {.id = 4, .zone = "c"}, {.id = 5, .zone = "c"}, {.id = 6, .zone = "c"}};
  const Plan plan = propose(input);
  expect_well_formed(input, plan);
  Loads loads = replica_loads(plan);
  EXPECT_EQ(loads[1], 128);
  EXPECT_EQ(loads[2], 128);
  for (NodeId id = 3; id <= 6; ++id) EXPECT_EQ(loads[id], 32);
}

TEST(Placement, TwoNodesHaveOneVoterAPartitionSplitEvenly) {
  PlacementInput input;
  input.members = plain_members(2, 0);
  const Plan plan = propose(input);
  for (const PartitionPlan& partition : plan) {
    EXPECT_EQ(partition.replicas.size(), 2U);
    EXPECT_EQ(partition.voters, 1U);
  }
  EXPECT_EQ(leader_loads(plan), (Loads{{1, 64}, {2, 64}}));
  input.two_replicas = TwoReplicas::kTwoVoters;
  EXPECT_EQ(propose(input).front().voters, 2U);
}

TEST(Placement, GrowsFromOneToTwoToThreeWithoutMovingWhatIsThere) {
  PlacementInput input;
  input.members = plain_members(1, 0);
  input.current = propose(input);
  input.members = plain_members(2, 0);
  const Plan two = propose(input);
  EXPECT_EQ(new_replicas(input.current, two), 128);
  input.current = two;
  input.members = plain_members(3, 0);
  const Plan three = propose(input);
  EXPECT_EQ(new_replicas(two, three), 128);
  EXPECT_EQ(three.front().voters, 3U);
  for (const auto& [node, load] : leader_loads(three)) EXPECT_LE(load, 43);
}

TEST(Placement, ReplicationChangesOnline) {
  PlacementInput input;
  input.members = plain_members(7, 0);
  input.current = propose(input);
  input.replication = 5;
  const Plan more = propose(input);
  expect_well_formed(input, more);
  EXPECT_EQ(new_replicas(input.current, more), 256);
  input.current = more;
  input.replication = 3;
  const Plan fewer = propose(input);
  expect_well_formed(input, fewer);
  EXPECT_EQ(new_replicas(more, fewer), 0);
}

TEST(Placement, WithoutAnActiveMemberNothingMoves) {
  PlacementInput input;
  input.members = plain_members(3, 0);
  input.current = propose(input);
  for (Member& member : input.members) member.state = MemberState::kDraining;
  EXPECT_EQ(propose(input), input.current);
  EXPECT_TRUE(difference(input.current, propose(input)).empty());
}

TEST(Placement, ALargeClusterIsPlanned) {
  PlacementInput input;
  input.members = plain_members(48, 3);
  input.partitions = 1024;
  input.current = propose(input);
  input.members.push_back({.id = 1000, .zone = "z1"});
  const Plan plan = propose(input);
  // z1 holds each partition once; 17 members share what 16 had.
  EXPECT_EQ(new_replicas(input.current, plan), 1024 / 17);
}

// ---- random clusters

Member random_member(NodeId id, uint32_t zones, bool weighted, Prng& prng) {
  Member member{.id = id};
  if (zones > 0) member.zone = std::string(1, static_cast<char>('a' + prng.below(zones)));
  if (weighted) member.weight = static_cast<uint32_t>(50 + prng.below(151));
  return member;
}

struct RandomCluster {
  PlacementInput input;
  uint32_t zones = 0;
  bool weighted = false;
};

RandomCluster random_cluster(Prng& prng, uint32_t members_max, uint32_t partitions_max) {
  RandomCluster cluster;
  cluster.zones = prng.chance(0.5) ? 0 : static_cast<uint32_t>(1 + prng.below(5));
  cluster.weighted = prng.chance(0.3);
  const uint64_t count = 1 + prng.below(members_max);
  for (uint64_t index = 0; index < count; ++index) {
    const NodeId id = 10 * (index + 1) + prng.below(10);
    cluster.input.members.push_back(random_member(id, cluster.zones, cluster.weighted, prng));
  }
  cluster.input.replication = static_cast<uint32_t>(prng.chance(0.7) ? 3 : 1 + prng.below(5));
  cluster.input.partitions = 1U << prng.below(partitions_max + 1);
  return cluster;
}

enum class ChangeKind : uint8_t { kJoin, kDrain, kRemove };

// One member joins or leaves.
void change_members(RandomCluster& cluster, ChangeKind kind, Prng& prng) {
  std::vector<Member>& members = cluster.input.members;
  if (kind == ChangeKind::kJoin || members.size() < 2) {
    members.push_back(
        random_member(100000 + prng.below(1000), cluster.zones, cluster.weighted, prng));
    return;
  }
  const size_t victim = prng.below(members.size());
  if (kind == ChangeKind::kDrain) {
    members[victim].state = MemberState::kDraining;
  } else {
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(victim));
  }
}

// Any assignment with these loads receives at least what each node has more than before.
int64_t counting_bound(const Plan& before, const Plan& after) {
  const Loads old_loads = replica_loads(before);
  int64_t bound = 0;
  for (const auto& [node, load] : replica_loads(after)) {
    const auto old = old_loads.find(node);
    bound += std::max<int64_t>(0, load - (old == old_loads.end() ? 0 : old->second));
  }
  return bound;
}

// A second opinion: the textbook's cheapest flow by Bellman-Ford, from nothing, for given loads.
class TextbookFlow {
 public:
  explicit TextbookFlow(size_t vertices) : first_(vertices) {}
  void arc(size_t from, size_t to, int64_t capacity, int64_t cost) {
    first_[from].push_back(arcs_.size());
    arcs_.push_back({to, capacity, cost});
    first_[to].push_back(arcs_.size());
    arcs_.push_back({from, 0, -cost});
  }
  // (flow, cost) from the first vertex to the last.
  std::pair<int64_t, int64_t> run() {
    int64_t total = 0;
    int64_t cost = 0;
    while (true) {
      std::vector<int64_t> distance(first_.size(), INT64_MAX);
      std::vector<size_t> via(first_.size(), SIZE_MAX);
      distance[0] = 0;
      for (bool changed = true; changed;) {
        changed = false;
        for (size_t at = 0; at < first_.size(); ++at) {
          if (distance[at] == INT64_MAX) continue;
          for (const size_t index : first_[at]) {
            const Arc& arc = arcs_[index];
            if (arc.capacity == 0 || distance[arc.to] <= distance[at] + arc.cost) continue;
            distance[arc.to] = distance[at] + arc.cost;
            via[arc.to] = index;
            changed = true;
          }
        }
      }
      if (distance.back() == INT64_MAX) return {total, cost};
      for (size_t at = first_.size() - 1; at != 0; at = arcs_[via[at] ^ 1].to) {
        --arcs_[via[at]].capacity;
        ++arcs_[via[at] ^ 1].capacity;
      }
      ++total;
      cost += distance.back();
    }
  }

 private:
  struct Arc {
    size_t to;
    int64_t capacity;
    int64_t cost;
  };
  std::vector<std::vector<size_t>> first_;
  std::vector<Arc> arcs_;
};

// The fewest new replicas of any assignment with the loads and the spread over zones of `after`.
int64_t textbook_bound(const PlacementInput& input, const Plan& after) {
  std::map<std::string, uint32_t> zone_sizes;
  std::map<NodeId, std::string> zone_of;
  for (const Member& member : input.members) {
    if (member.state != MemberState::kActive) continue;
    ++zone_sizes[member.zone];
    zone_of[member.id] = member.zone;
  }
  const size_t replicas = after.front().replicas.size();
  // The spread: fill the emptiest zone first.
  std::map<std::string, uint32_t> lower;
  uint32_t level = 0;
  size_t placed = 0;
  while (placed < replicas) {
    size_t room = 0;
    for (const auto& [zone, size] : zone_sizes) room += size > level ? 1 : 0;
    for (const auto& [zone, size] : zone_sizes) lower[zone] = std::min(level, size);
    placed += room;
    ++level;
  }
  std::map<NodeId, size_t> number;
  for (const auto& [id, zone] : zone_of) number.emplace(id, number.size());
  std::map<std::string, size_t> zone_number;
  for (const auto& [zone, size] : zone_sizes) zone_number.emplace(zone, zone_number.size());
  const size_t zones = zone_sizes.size();
  const size_t first_zone = 1 + after.size();
  const size_t first_member = first_zone + after.size() * zones;
  TextbookFlow flow(first_member + number.size() + 1);
  const size_t sink = first_member + number.size();
  // A zone's lower bound is met because meeting it is worth more than all moves together.
  const auto worth = static_cast<int64_t>(1 + after.size() * replicas);
  int64_t lower_sum = 0;
  for (size_t partition = 0; partition < after.size(); ++partition) {
    flow.arc(0, 1 + partition, static_cast<int64_t>(replicas), 0);
    for (const auto& [zone, size] : zone_sizes) {
      const size_t place = first_zone + partition * zones + zone_number[zone];
      const uint32_t upper = std::min(level, size);
      flow.arc(1 + partition, place, lower[zone], -worth);
      flow.arc(1 + partition, place, upper - lower[zone], 0);
      lower_sum += lower[zone];
    }
    const std::vector<NodeId>& old = input.current[partition].replicas;
    for (const auto& [id, zone] : zone_of) {
      const size_t place = first_zone + partition * zones + zone_number[zone];
      const bool kept = std::count(old.begin(), old.end(), id) > 0;
      flow.arc(place, first_member + number[id], 1, kept ? 0 : 1);
    }
  }
  for (const auto& [id, load] : replica_loads(after)) {
    flow.arc(first_member + number[id], sink, load, 0);
  }
  const auto [units, cost] = flow.run();
  EXPECT_EQ(units, static_cast<int64_t>(after.size() * replicas));
  return cost + worth * lower_sum;
}

TEST(Placement, AJoinOrLeaveWithoutZonesMovesWhatCountingDemands) {
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    Prng prng(seed);
    RandomCluster cluster = random_cluster(prng, 16, 7);
    for (Member& member : cluster.input.members) member.zone.clear();
    cluster.zones = 0;
    cluster.input.current = propose(cluster.input);
    change_members(cluster, static_cast<ChangeKind>(prng.below(3)), prng);
    const Plan plan = propose(cluster.input);
    expect_well_formed(cluster.input, plan);
    const int64_t moved = new_replicas(cluster.input.current, plan);
    int64_t bound = counting_bound(cluster.input.current, plan);
    EXPECT_GE(moved, bound) << "seed " << seed;
    // Counting does not know that a member holds a partition once.
    if (10 * moved > 11 * bound) bound = textbook_bound(cluster.input, plan);
    EXPECT_LE(10 * moved, 11 * bound) << "seed " << seed;
    if (testing::Test::HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(Placement, AJoinOrLeaveWithZonesMovesNoMoreThanTheBestAssignment) {
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    Prng prng(seed);
    RandomCluster cluster = random_cluster(prng, 9, 4);
    cluster.input.current = propose(cluster.input);
    change_members(cluster, static_cast<ChangeKind>(prng.below(3)), prng);
    const Plan plan = propose(cluster.input);
    expect_well_formed(cluster.input, plan);
    EXPECT_EQ(new_replicas(cluster.input.current, plan), textbook_bound(cluster.input, plan))
        << "seed " << seed;
    if (testing::Test::HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(Placement, ProposingAgainChangesNothingAndOrderDoesNotMatter) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Prng prng(seed);
    RandomCluster cluster = random_cluster(prng, 12, 6);
    const Plan plan = propose(cluster.input);
    PlacementInput shuffled = cluster.input;
    for (size_t left = shuffled.members.size(); left > 1; --left) {
      std::swap(shuffled.members[left - 1], shuffled.members[prng.below(left)]);
    }
    EXPECT_EQ(plan, propose(shuffled)) << "seed " << seed;
    cluster.input.current = plan;
    EXPECT_EQ(new_replicas(plan, propose(cluster.input)), 0) << "seed " << seed;
    EXPECT_EQ(leader_loads(plan), leader_loads(propose(cluster.input)));
    EXPECT_TRUE(difference(plan, propose(cluster.input)).empty()) << "seed " << seed;
  }
}

TEST(Placement, SurvivesACurrentPlanOfAnotherShape) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Prng prng(seed);
    RandomCluster cluster = random_cluster(prng, 12, 6);
    cluster.input.current.resize(cluster.input.partitions);
    for (PartitionPlan& partition : cluster.input.current) {
      for (const Member& member : cluster.input.members) {
        if (prng.chance(0.4)) partition.replicas.push_back(member.id);
      }
      if (prng.chance(0.2)) partition.replicas.push_back(777777);
      partition.voters = static_cast<uint32_t>(partition.replicas.size());
    }
    expect_well_formed(cluster.input, propose(cluster.input));
    EXPECT_EQ(new_replicas(cluster.input.current, propose(cluster.input)),
              textbook_bound(cluster.input, propose(cluster.input)));
    if (testing::Test::HasFailure()) FAIL() << "seed " << seed;
  }
}

// ---- the way from plan to plan

// Carries moves out and checks what `difference` promises on the way.
class Executor {
 public:
  Executor(const Plan& current, const Plan& proposed)
      : plan_(current), first_(current), last_(proposed) {
    loads_ = replica_loads(current);
    Loads after = replica_loads(proposed);
    for (const auto& [node, load] : loads_) limits_[node] = std::max(load, after[node]) + 1;
    for (const auto& [node, load] : after) limits_[node] = std::max(load, loads_[node]) + 1;
  }

  void run(const Move& move) {
    PartitionPlan& partition = plan_[move.partition];
    switch (move.kind) {
      case MoveKind::kAddLearner:
        ASSERT_EQ(std::count(partition.replicas.begin(), partition.replicas.end(), move.node), 0);
        partition.replicas.push_back(move.node);
        ++loads_[move.node];
        EXPECT_LE(loads_[move.node], limits_[move.node]);
        break;
      case MoveKind::kJointStep: {
        EXPECT_FALSE(move.voters.empty());
        std::vector<NodeId> others;
        for (const NodeId node : partition.replicas) {
          if (std::count(move.voters.begin(), move.voters.end(), node) == 0) others.push_back(node);
        }
        // Only who holds the data becomes a voter.
        EXPECT_EQ(move.voters.size() + others.size(), partition.replicas.size());
        leader_ = partition.replicas.front();
        partition.replicas = move.voters;
        partition.replicas.insert(partition.replicas.end(), others.begin(), others.end());
        partition.voters = static_cast<uint32_t>(move.voters.size());
        break;
      }
      case MoveKind::kTransferLeader: {
        const auto voters_end = partition.replicas.begin() + partition.voters;
        const auto at = std::find(partition.replicas.begin(), voters_end, move.node);
        ASSERT_NE(at, voters_end);
        std::swap(*at, partition.replicas.front());
        break;
      }
      case MoveKind::kRemoveReplica: {
        const auto voters_end = partition.replicas.begin() + partition.voters;
        EXPECT_EQ(std::count(partition.replicas.begin(), voters_end, move.node), 0);
        std::erase(partition.replicas, move.node);
        --loads_[move.node];
        EXPECT_GE(partition.replicas.size(), std::min(first_[move.partition].replicas.size(),
                                                      last_[move.partition].replicas.size()));
        break;
      }
    }
  }

  void expect_arrived() {
    for (size_t partition = 0; partition < plan_.size(); ++partition) {
      const PartitionPlan& is = plan_[partition];
      const PartitionPlan& should = last_[partition];
      EXPECT_EQ(is.voters, should.voters);
      EXPECT_EQ(is.replicas.front(), should.replicas.front());
      EXPECT_EQ(std::set(is.replicas.begin(), is.replicas.end()),
                std::set(should.replicas.begin(), should.replicas.end()));
      EXPECT_EQ(std::set(is.replicas.begin(), is.replicas.begin() + is.voters),
                std::set(should.replicas.begin(), should.replicas.begin() + should.voters));
    }
  }

 private:
  Plan plan_;
  const Plan first_;
  const Plan last_;
  Loads loads_;
  Loads limits_;
  NodeId leader_ = 0;
};

TEST(Difference, LeadsToTheProposedPlanWithinItsBounds) {
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    Prng prng(seed);
    RandomCluster cluster = random_cluster(prng, 14, 6);
    cluster.input.current = propose(cluster.input);
    const uint64_t changes = 1 + prng.below(4);
    for (uint64_t index = 0; index < changes; ++index) {
      change_members(cluster, static_cast<ChangeKind>(prng.below(3)), prng);
    }
    std::vector<Member>& members = cluster.input.members;
    std::sort(members.begin(), members.end(),
              [](const Member& a, const Member& b) { return a.id < b.id; });
    members.erase(std::unique(members.begin(), members.end(),
                              [](const Member& a, const Member& b) { return a.id == b.id; }),
                  members.end());
    if (prng.chance(0.2)) cluster.input.replication = static_cast<uint32_t>(1 + prng.below(5));
    const Plan plan = propose(cluster.input);
    Executor executor(cluster.input.current, plan);
    for (const Move& move : difference(cluster.input.current, plan)) executor.run(move);
    executor.expect_arrived();
    if (testing::Test::HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(Difference, AReplacementIsAddedThenVotesThenTheOldOneGoes) {
  const Plan current{{.replicas = {1, 2, 3}, .voters = 3}};
  const Plan proposed{{.replicas = {1, 2, 4}, .voters = 3}};
  const std::vector<Move> expected{
      {.kind = MoveKind::kAddLearner, .partition = 0, .node = 4},
      {.kind = MoveKind::kJointStep, .partition = 0, .node = 0, .voters = {1, 2, 4}},
      {.kind = MoveKind::kRemoveReplica, .partition = 0, .node = 3}};
  EXPECT_EQ(difference(current, proposed), expected);
}

TEST(Difference, OneVoterAndALearnerBecomeThreeVotersInOneStep) {
  const Plan current{{.replicas = {1, 2}, .voters = 1}};
  const Plan proposed{{.replicas = {2, 1, 3}, .voters = 3}};
  const std::vector<Move> expected{
      {.kind = MoveKind::kAddLearner, .partition = 0, .node = 3},
      {.kind = MoveKind::kJointStep, .partition = 0, .node = 0, .voters = {2, 1, 3}},
      {.kind = MoveKind::kTransferLeader, .partition = 0, .node = 2}};
  EXPECT_EQ(difference(current, proposed), expected);
}

}  // namespace
}  // namespace quorate::placement

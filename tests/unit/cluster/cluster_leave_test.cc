// Whom a node that is about to end hands over to, among whole cluster nodes.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

constexpr NodeId kLeaves = 1;
constexpr NodeId kStands = 2;  // still
constexpr NodeId kWorks = 3;
constexpr int64_t kLongUs = 10'000'000;

// One node leads everything.
void found_led_by_one(World& world) {
  found(world, 3, 3);
  world.at(kLeaves).take_over(world.now);
  ASSERT_TRUE(world.run_until(10'000'000, [&] {
    return world.led_by(kLeaves) == kPartitions && world.is_placed(3);
  })) << world.notes;
}

// As SIGTERM has it.
void begin_to_leave(World& world) {
  world.notes.clear();
  beats::Health health = world.at(kLeaves).groups().health();
  health.is_draining = true;
  world.at(kLeaves).set_health(world.now, health);
}

size_t count_of(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

// It says nothing in its beats that tells it from others: perhaps it has just been started, or
// still loads.
TEST(ClusterLeave, after_a_transfer_that_failed_another_successor_comes_first) {
  World world;
  found_led_by_one(world);
  Groups& groups = world.at(kStands).groups();
  groups.for_each([&](raft::GroupId group, const raft::Core&) {
    groups.step(world.now, group, raft::in::Draining{true});
  });
  begin_to_leave(world);
  EXPECT_TRUE(world.run_until(200'000, [&] { return world.led_by(kWorks) == kPartitions; }))
      << world.notes;
  // It is asked in vain for each partition for which the plan names it first, and for none twice.
  const size_t refused = count_of(world.notes, "refuses -> keep leading");
  EXPECT_GT(refused, 0u);
  EXPECT_LT(refused, size_t{kPartitions}) << world.notes;
}

// Its beats come, and what it is to write does not get to the disk: it stands as it is told, and
// never asks for votes.
TEST(ClusterLeave, who_does_not_lead_in_time_is_passed_over) {
  World world;
  found_led_by_one(world);
  world.disk_stalls_until_us[kStands] = world.now.steady_us + kLongUs;
  begin_to_leave(world);
  EXPECT_TRUE(world.run_until(600'000, [&] { return world.led_by(kWorks) == kPartitions; }))
      << world.notes;
  const size_t given_up = count_of(world.notes, "give it up");
  EXPECT_GT(given_up, 0u);
  EXPECT_LE(given_up, size_t{kPartitions}) << world.notes;
}

TEST(ClusterLeave, who_is_not_heard_is_not_asked) {
  World world;
  found_led_by_one(world);
  world.kill(kWorks);
  world.run(10'000);
  begin_to_leave(world);
  EXPECT_TRUE(world.run_until(200'000, [&] { return world.led_by(kStands) == kPartitions; }))
      << world.notes;
  EXPECT_EQ(world.notes.find("give it up"), std::string::npos) << world.notes;
}

TEST(ClusterLeave, the_one_that_has_failed_is_asked_again_where_there_is_no_other) {
  World world;
  found_led_by_one(world);
  world.kill(kWorks);
  world.disk_stalls_until_us[kStands] = world.now.steady_us + 400'000;
  begin_to_leave(world);
  EXPECT_TRUE(world.run_until(2'000'000, [&] { return world.led_by(kStands) == kPartitions; }))
      << world.notes;
  EXPECT_NE(world.notes.find("give it up"), std::string::npos);
}

// What it lacks may take longer than a transfer may last.
TEST(ClusterLeave, who_has_what_is_committed_comes_before_who_lags) {
  World world;
  found_led_by_one(world);
  world.disk_stalls_until_us[kStands] = world.now.steady_us + kLongUs;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    ASSERT_TRUE(world.write(partition, "late", std::to_string(partition)));
  }
  begin_to_leave(world);
  EXPECT_TRUE(world.run_until(200'000, [&] { return world.led_by(kWorks) == kPartitions; }))
      << world.notes;
  EXPECT_EQ(world.notes.find("give it up"), std::string::npos) << world.notes;
}

// Where nothing is wrong the plan's order decides.
TEST(ClusterLeave, what_a_node_has_led_is_shared_by_the_others) {
  World world;
  found_led_by_one(world);
  begin_to_leave(world);
  EXPECT_TRUE(world.run_until(200'000, [&] {
    return world.led_by(kStands) + world.led_by(kWorks) == kPartitions;
  })) << world.notes;
  EXPECT_GE(world.led_by(kStands), 4u);
  EXPECT_GE(world.led_by(kWorks), 4u);
}

}  // namespace
}  // namespace quorate

// The node's time among whole nodes whose wall clocks disagree (REPLICATION 8).
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "tests/unit/node/calm_cluster.h"
#include "util/number.h"

namespace quorate::sim {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kAheadMs = 500;    // of the clocks
constexpr int64_t kReadingMs = 250;  // until a clock that was set is noticed, and the way of a beat

std::string key(int number) { return "key:" + std::to_string(number); }

void set_keys(CalmCluster& cluster, uint32_t machine) {
  for (int number = 0; number < 20; ++number)
    EXPECT_EQ(cluster.ask(machine, {"SET", key(number), "v", "PX", std::to_string(kMinuteMs)}), "+OK\r\n");
}

int64_t least_time_left(CalmCluster& cluster, uint32_t machine) {
  int64_t least = kMinuteMs;
  for (int number = 0; number < 20; ++number) {
    const std::string answer = cluster.ask(machine, {"PTTL", key(number)});   // ":123\r\n"
    least = std::min(least, parse_int(std::string_view(answer).substr(1, answer.size() - 3)).value_or(-1));
  }
  return least;
}

TEST(TimeWorld, a_clock_that_is_ahead_expires_nothing_and_leads_nothing) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) cluster.set_wall_offset(machine, 0);
  set_keys(cluster, 0);
  cluster.set_wall_offset(0, kHourMs);
  cluster.pass(3 * kSecondUs);
  EXPECT_EQ(cluster.count_led(0), 0u);
  for (uint32_t machine = 0; machine < 3; ++machine)
    EXPECT_GT(least_time_left(cluster, machine), kMinuteMs - 5'000 - kAheadMs - kReadingMs) << machine;
  set_keys(cluster, 0);
  cluster.set_wall_offset(0, 0);
  cluster.pass(5 * kSecondUs);
  EXPECT_GT(cluster.count_led(0), 0u);
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(TimeWorld, a_clock_that_is_behind_leads_nothing) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) cluster.set_wall_offset(machine, 0);
  cluster.set_wall_offset(1, -kHourMs);
  cluster.pass(3 * kSecondUs);
  EXPECT_EQ(cluster.count_led(1), 0u);
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(TimeWorld, who_has_taken_over_gives_it_back_when_its_clock_is_wrong) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) cluster.set_wall_offset(machine, 0);
  EXPECT_EQ(cluster.ask(1, {"CLUSTER", "FAILOVER"}), "+OK\r\n");
  cluster.pass(2 * kSecondUs);
  EXPECT_EQ(cluster.count_led(1), kCalmPartitions);
  cluster.set_wall_offset(1, kHourMs);
  cluster.pass(3 * kSecondUs);
  EXPECT_EQ(cluster.count_led(1), 0u);
  EXPECT_TRUE(cluster.ask(1, {"CLUSTER", "FAILOVER"}).starts_with("-ERR this node should lead nothing now"));
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(TimeWorld, the_clocks_of_the_majority_are_followed) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) cluster.set_wall_offset(machine, 0);
  set_keys(cluster, 0);
  for (uint32_t machine = 0; machine < 2; ++machine) cluster.set_wall_offset(machine, 30'000);
  cluster.pass(3 * kSecondUs);
  EXPECT_EQ(cluster.count_led(2), 0u);
  EXPECT_LT(least_time_left(cluster, 2), kMinuteMs - 30'000);
  EXPECT_EQ(cluster.wrong(), "");
}

// Alone it has nobody to compare with, and its keys may have expired by its own clock already.
TEST(TimeWorld, a_restarted_node_goes_by_the_others_from_the_first_write_on) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) cluster.set_wall_offset(machine, 0);
  set_keys(cluster, 0);
  cluster.set_wall_offset(0, kHourMs);
  cluster.restart(0);
  cluster.pass(5 * kSecondUs);
  EXPECT_GT(least_time_left(cluster, 1), kMinuteMs - 7'000 - kAheadMs - kReadingMs);
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

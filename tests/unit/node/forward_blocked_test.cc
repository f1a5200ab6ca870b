// Commands that wait for a key at another node: what they cost those that wait for nothing, and
// when they are given up.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/node/two_nodes.h"

namespace quorate {
namespace {

using Kind = UnitKind;

TEST(ForwardBlocked, HoweverManyWaitForAKeyTheOthersAreReadFrom) {
  TwoNodes world;
  world.lead(2);
  for (int count = 0; count < 4100; ++count)
    world.add(world.here.node->connect(), {"BLPOP", "jobs", "0"}, Kind::kBlocks);
  world.here.forwarding().send_new();
  world.settle();
  for (int round = 0; round < 3; ++round) {
    world.forward(world.other, {"SET", "k", "v"});
    world.forward(world.other, {"GET", "k"}, Kind::kReads);
    EXPECT_FALSE(world.session(world.other)->has(kStopsInput));
    world.settle();
    EXPECT_EQ(world.taken(world.other), "+OK\r\n$1\r\nv\r\n");
    EXPECT_FALSE(world.session(world.other)->has(kStopsInput));
  }
}

TEST(ForwardBlocked, HoweverLongTheKeysThatOneWaitsForTheOthersAreReadFrom) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", std::string(17 * 1024 * 1024, 'k'), "0"}, Kind::kBlocks);
  world.settle();
  for (int round = 0; round < 3; ++round) {
    world.forward(world.other, {"SET", "k", "v"});
    world.settle();
    EXPECT_EQ(world.taken(world.other), "+OK\r\n");
    EXPECT_FALSE(world.session(world.other)->has(kStopsInput));
  }
}

// Those that do not wait for a key are bounded as ever.
TEST(ForwardBlocked, BesidesThemASessionWithMuchUnderWayIsNotReadFrom) {
  TwoNodes world;
  world.forward(world.client, {"BLPOP", "jobs", "0"}, Kind::kBlocks);
  const std::string value(9 * 1024 * 1024, 'x');
  world.forward(world.other, {"SET", "k", value});
  EXPECT_FALSE(world.session(world.other)->has(kStopsInput));
  world.forward(world.other, {"SET", "k", value});
  EXPECT_TRUE(world.session(world.other)->has(kStopsInput));
  world.lead(2);
  world.settle();
  EXPECT_EQ(world.taken(world.other), "+OK\r\n+OK\r\n");
  EXPECT_FALSE(world.session(world.other)->has(kStopsInput));
}

}  // namespace
}  // namespace quorate

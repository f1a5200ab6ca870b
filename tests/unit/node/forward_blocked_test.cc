// Commands that wait for a key at another node: what they cost those that wait for nothing, and
// when they are given up.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/node/two_nodes.h"

namespace quorate {
namespace {

using Kind = UnitKind;

// Until something has been said, in steps of 10 ms.
std::string heard_within(TwoNodes& world, int connection, int64_t us) {
  std::string said = world.taken(connection);
  for (int64_t passed_us = 0; said.empty() && passed_us < us; passed_us += 10'000) {
    world.pass(10'000);
    said = world.taken(connection);
  }
  return said;
}

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

TEST(ForwardBlocked, WhoIsRefusedEachTimeIsToldSoInTime) {
  TwoNodes world;
  world.lead(2);
  world.there.is_serving = false;
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.pass(4'900'000);
  EXPECT_EQ(world.taken(world.client), "");
  EXPECT_TRUE(heard_within(world, world.client, 1'000'000).starts_with("-TRYAGAIN "));
  EXPECT_EQ(world.here.forwarding().waiting_count(), 0u);
  EXPECT_EQ(world.here.state().blocked_count, 0u);
}

// It may have been served by a leader that nobody followed any more.
TEST(ForwardBlocked, WhoHasWaitedAndIsRefusedEachTimeFromThenOnIsToldSoInTime) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.pass(20'000'000);
  EXPECT_EQ(world.taken(world.client), "");
  world.there.is_serving = false;
  world.there.forwarding().on_stop_serving(0);
  world.settle();
  EXPECT_EQ(heard_within(world, world.client, 4'900'000), "");
  EXPECT_TRUE(heard_within(world, world.client, 1'000'000).starts_with("-UNCERTAIN "));
  EXPECT_EQ(world.here.state().blocked_count, 0u);
}

// The time begins anew with each leader at which it waits.
TEST(ForwardBlocked, WhoFindsALeaderInTimeGoesOnWaiting) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  for (int time = 0; time < 3; ++time) {
    world.pass(20'000'000);
    world.there.is_serving = false;
    world.there.forwarding().on_stop_serving(0);
    world.settle();
    EXPECT_EQ(heard_within(world, world.client, 4'500'000), "");
    world.lead(2);
    world.settle();
  }
  world.forward(world.other, {"RPUSH", "list", "e"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*2\r\n$4\r\nlist\r\n$1\r\ne\r\n");
}

// The leader that was lost may have served it, and the next one would show the read what is left.
TEST(ForwardBlocked, AReadInFrontOfWhatMayHaveBeenServedIsNotRunAgain) {
  TwoNodes world;
  world.lead(2);
  EXPECT_EQ(world.asked_there({"RPUSH", "list", "a", "b"}), ":2\r\n");
  world.add(world.client, {"LLEN", "list"}, Kind::kReads);
  world.add(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.forward(world.other, {"LLEN", "list"}, Kind::kReads);
  while (!world.there.incoming.empty()) TwoNodes::deliver(world.there, 1);
  world.there.forwarding().run();
  world.there.node->settle();
  world.cut();
  world.join();
  world.settle();
  world.pass(20'000);
  const std::string replies = world.taken(world.client);
  EXPECT_TRUE(replies.starts_with("-TRYAGAIN ")) << replies;
  EXPECT_TRUE(replies.ends_with("\r\n*2\r\n$4\r\nlist\r\n$1\r\na\r\n")) << replies;
  EXPECT_EQ(world.taken(world.other), ":1\r\n");
}

// ... nor if that has been answered already, as what goes by another level, or by no line of its own, may be before it.
TEST(ForwardBlocked, AReadInFrontOfWhatWasAnsweredIsNotRunAgain) {
  for (const bool blocks : {true, false}) {
    TwoNodes world;
    world.lead(2);
    EXPECT_EQ(world.asked_there({"RPUSH", "list", "a", "b"}), ":2\r\n");
    world.forward(world.client, {"LLEN", "list"}, Kind::kReads);
    ASSERT_EQ(world.there.incoming.size(), 1u);
    world.there.incoming.clear();   // it is late
    if (blocks) {
      world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
    } else {
      world.forward(world.client, {"LPOP", "list"}, Kind::kWrites);
    }
    world.settle();
    EXPECT_EQ(world.taken(world.client), "");
    world.cut();
    world.join();
    world.settle();
    world.pass(20'000);
    const std::string replies = world.taken(world.client);
    EXPECT_TRUE(replies.starts_with("-TRYAGAIN ")) << replies;
    EXPECT_TRUE(replies.ends_with(blocks ? "\r\n*2\r\n$4\r\nlist\r\n$1\r\na\r\n" : "\r\n$1\r\na\r\n")) << replies;
  }
}

// Refused together, they are sent again together.
TEST(ForwardBlocked, AReadInFrontOfWhatWasNotRunIsRun) {
  TwoNodes world;
  EXPECT_EQ(world.asked_there({"RPUSH", "list", "a", "b"}), ":2\r\n");
  world.lead(2);
  world.there.is_serving = false;
  world.add(world.client, {"LLEN", "list"}, Kind::kReads);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.lead(2);
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":2\r\n*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
}

}  // namespace
}  // namespace quorate

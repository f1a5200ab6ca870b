// What is under way to leaders that are lost one after the other: what may be what kills them, and
// what may not.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "node/watch_message.h"
#include "tests/unit/node/two_nodes.h"

namespace quorate {
namespace {

// Each is another process, and none has said anything.
void lose_leaders(TwoNodes& world, int count) {
  for (int start = 0; start < count; ++start) {
    world.here.node->settle();
    EXPECT_EQ(world.taken(world.client), "");
    world.cut();
    ++world.incarnations[1];
    world.join();
  }
}

void forward_watch(TwoNodes& world) {
  constexpr std::array<std::string_view, 1> kKeys{"k"};
  const std::string keys = encode_keys(kKeys);
  world.here.forwarding().forward(*world.session(world.client),
                                  {.partition = 0, .requests = keys, .kind = UnitKind::kWatches});
  world.here.forwarding().send_new();
}

TEST(ForwardLostLeaders, WhatTwoLeadersWereLostWithIsNotRunAThirdTime) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"INCR", "k"});
  lose_leaders(world, 2);
  world.settle();
  EXPECT_TRUE(world.taken(world.client).starts_with("-UNCERTAIN several leaders "));
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$-1\r\n");
}

TEST(ForwardLostLeaders, ABrokenConnectionIsNoLostLeader) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"INCR", "k"});
  for (int time = 0; time < 5; ++time) {
    world.cut();
    world.join();
  }
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n");
}

// Three processes one after the other are sent the same write; of none but the last anything was
// heard.
void change_leaders_twice(TwoNodes& world) {
  world.lead(2);
  world.forward(world.client, {"INCR", "k"});
  world.lead(1);
  ++world.incarnations[1];
  world.lead(2);
  world.settle();
}

TEST(ForwardLostLeaders, LeadersThatHandOverAreNotLost) {
  TwoNodes world;
  change_leaders_twice(world);
  EXPECT_EQ(world.taken(world.client), ":1\r\n");
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$1\r\n1\r\n");
}

TEST(ForwardLostLeaders, LeadersThatAreSilentAreLost) {
  TwoNodes world;
  world.here.hears_all = false;
  change_leaders_twice(world);
  EXPECT_TRUE(world.taken(world.client).starts_with("-UNCERTAIN several leaders "));
}

TEST(ForwardLostLeaders, AReadMayBeWhatKillsThem) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"GET", "k"}, UnitKind::kReads);
  lose_leaders(world, 2);
  world.settle();
  EXPECT_TRUE(world.taken(world.client).starts_with("-UNCERTAIN several leaders "));
}

// It runs no command, and has changed nothing wherever it was asked.
TEST(ForwardLostLeaders, WatchIsAskedForAgainUntilOneAnswers) {
  TwoNodes world;
  world.lead(2);
  forward_watch(world);
  lose_leaders(world, 5);
  world.here.node->send(world.client, encoded({"ECHO", "behind"}));
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n$6\r\nbehind\r\n");
}

TEST(ForwardLostLeaders, WatchThatNobodyAnswersInTimeWasNotDone) {
  TwoNodes world;
  world.lead(2);
  forward_watch(world);
  lose_leaders(world, 5);
  world.cut();
  world.here.node->advance(6'000'000);
  TwoNodes::turn(world.here, 2);
  EXPECT_TRUE(world.taken(world.client).starts_with("-TRYAGAIN "));
  // Nothing is watched, and the session goes on.
  world.here.node->send(world.client, encoded({"MULTI"}) + encoded({"EXEC"}));
  TwoNodes::turn(world.here, 2);
  EXPECT_EQ(world.taken(world.client), "+OK\r\n*0\r\n");
}

}  // namespace
}  // namespace quorate

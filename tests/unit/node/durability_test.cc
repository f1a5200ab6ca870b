// When replies leave under `appendfsync always`: not before what they tell of is on the disk.
#include <gtest/gtest.h>

#include "tests/unit/node/slow_disk_node.h"

namespace quorate {
namespace {

TEST(Durability, AReadThatSawAKeyExpireWaitsForItsEnd) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "k", "v", "PX", "100"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
  world.node->advance(kSecondUs);
  world.ask(world.client, {"GET", "k"});
  world.ask(world.other, {"EXISTS", "k"});
  EXPECT_EQ(world.taken(world.client), "");
  EXPECT_EQ(world.taken(world.other), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$-1\r\n");
  EXPECT_EQ(world.taken(world.other), ":0\r\n");
}

TEST(Durability, AWalkThatPassedOverAnExpiredKeyWaitsAndTimeDoesNotRunBackBehindIt) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "k", "v", "PX", "100"});
  world.settle();
  world.taken(world.client);
  world.node->advance(kSecondUs);
  world.ask(world.client, {"KEYS", "*"});
  world.ask(world.other, {"SCAN", "0"});
  EXPECT_EQ(world.taken(world.client), "");
  EXPECT_EQ(world.taken(world.other), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*0\r\n");
  EXPECT_EQ(world.taken(world.other), "*2\r\n$1\r\n0\r\n*0\r\n");
  world.restart(-10'000);
  world.ask(world.client, {"GET", "k"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$-1\r\n");
}

TEST(Durability, AFieldThatExpiredIsGoneInTheLogBeforeItIsToldOf) {
  SlowDiskNode world;
  world.ask(world.client, {"HSET", "h", "f", "v", "g", "w"});
  world.ask(world.client, {"HPEXPIRE", "h", "100", "FIELDS", "1", "f"});
  world.settle();
  world.taken(world.client);
  world.node->advance(kSecondUs);
  world.ask(world.client, {"HGET", "h", "f"});
  world.ask(world.other, {"HLEN", "h"});
  EXPECT_EQ(world.taken(world.client), "");
  EXPECT_EQ(world.taken(world.other), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$-1\r\n");
  EXPECT_EQ(world.taken(world.other), ":1\r\n");
}

TEST(Durability, ASortThatPassedOverAnExpiredFieldWaits) {
  SlowDiskNode world;
  world.ask(world.client, {"RPUSH", "l", "1"});
  world.ask(world.client, {"HSET", "w1", "f", "v", "g", "w"});
  world.ask(world.client, {"HPEXPIRE", "w1", "100", "FIELDS", "1", "f"});
  world.settle();
  world.taken(world.client);
  world.node->advance(kSecondUs);
  world.ask(world.client, {"SORT", "l", "GET", "w*->f"});
  EXPECT_EQ(world.taken(world.client), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*1\r\n$-1\r\n");
}

TEST(Durability, AReadOfAnEvictedKeyWaitsForItsEnd) {
  SlowDiskNode world("maxmemory-policy allkeys-random\n");
  world.ask(world.client, {"SET", "k", "v"});
  world.ask(world.client, {"CONFIG", "SET", "maxmemory", "1"});
  world.settle();
  world.taken(world.client);
  world.ask(world.client, {"GET", "k"});
  EXPECT_EQ(world.taken(world.client), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$-1\r\n");
}

TEST(Durability, AReadOfAnotherKeyDoesNotWait) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "k", "v", "PX", "100"});
  world.ask(world.client, {"SET", "cold", "v"});
  world.settle();
  world.taken(world.client);
  world.node->advance(kSecondUs);
  world.ask(world.client, {"GET", "k"});
  world.ask(world.other, {"GET", "cold"});
  EXPECT_EQ(world.taken(world.client), "");
  EXPECT_EQ(world.taken(world.other), "$1\r\nv\r\n");
}

TEST(Durability, WhileTheLogCannotBeWrittenExpiredKeysAreGoneAndNobodyWaits) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "k", "v", "PX", "100"});
  world.settle();
  world.disk.set_capacity(world.disk.used());
  world.ask(world.other, {"SET", "x", "y"});
  world.settle();
  world.taken(world.client);
  world.node->advance(kSecondUs / 2);
  world.ask(world.client, {"GET", "k"});
  EXPECT_EQ(world.taken(world.client), "$-1\r\n");
  world.disk.set_capacity(UINT64_MAX);
  world.node->advance(2 * kSecondUs);
  world.node->tick_if_due();
  world.settle();
  world.ask(world.client, {"GET", "k"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$-1\r\n");
  EXPECT_EQ(world.taken(world.other), "+OK\r\n");
}

TEST(Durability, TimeDoesNotRunBackWithTheWallClock) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "k", "v", "PX", "100"});
  world.node->advance(kSecondUs);
  world.node->set_wall_back(5'000);
  world.ask(world.client, {"KEYS", "*"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n*0\r\n");
}

TEST(Durability, AReplyThatNeedsLessThanTheOneBeforeItLeavesBehindIt) {
  SlowDiskNode world;
  world.ask(world.other, {"SET", "first", "1"});
  world.ask(world.other, {"SET", "second", "2"});
  world.ask(world.client, {"GET", "second"});
  world.ask(world.client, {"GET", "first"});
  // The sync of the first record ends; the second one is still under way.
  while (world.taken(world.other).empty()) {
    ASSERT_TRUE(world.node->take_disk_step(DiskLane::kLog));
    world.node->end_turn();
  }
  EXPECT_EQ(world.taken(world.client), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$1\r\n2\r\n$1\r\n1\r\n");
}

TEST(Durability, ExecThatFailsForAWatchedKeyWaitsForTheWriteItTellsOf) {
  SlowDiskNode world;
  world.ask(world.client, {"WATCH", "k"});
  world.ask(world.client, {"MULTI"});
  world.ask(world.other, {"SET", "k", "v"});
  world.taken(world.client);
  world.ask(world.client, {"EXEC"});
  EXPECT_EQ(world.taken(world.client), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*-1\r\n");
}

TEST(Durability, AnEventOfTheKeyspaceWaitsForTheWriteItTellsOf) {
  SlowDiskNode world("notify-keyspace-events KEA\n");
  world.ask(world.client, {"SUBSCRIBE", "__keyevent@0__:set"});
  world.taken(world.client);
  world.ask(world.other, {"SET", "k", "v"});
  EXPECT_EQ(world.taken(world.client), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client),
            "*3\r\n$7\r\nmessage\r\n$18\r\n__keyevent@0__:set\r\n$1\r\nk\r\n");
}

TEST(Durability, ChangingToAlwaysSyncsWhatWasNotSynced) {
  SlowDiskNode world;
  world.ask(world.client, {"CONFIG", "SET", "appendfsync", "no"});
  world.ask(world.client, {"SET", "k", "v"});
  EXPECT_EQ(world.taken(world.client), "+OK\r\n+OK\r\n");
  world.ask(world.client, {"CONFIG", "SET", "appendfsync", "always"});
  world.ask(world.client, {"GET", "k"});
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
  while (world.node->take_disk_step(DiskLane::kLog)) world.node->end_turn();
  EXPECT_EQ(world.taken(world.client), "$1\r\nv\r\n");
}

}  // namespace
}  // namespace quorate

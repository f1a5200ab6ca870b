// What one life of a process leaves to the next: cursors, the log switched off and on, dumps.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "node/state.h"
#include "resp/reply_parser.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate {
namespace {

// The reply of a SCAN or one of its kin: the cursor, and what was found is added to `found`.
std::string scan_step(SlowDiskNode& world, const std::vector<std::string>& words,
                      std::set<std::string>& found) {
  world.ask(world.client, words);
  world.settle();
  ReplyParser parser;
  parser.feed(world.taken(world.client));
  ReplyValue value;
  EXPECT_EQ(parser.next(value), ReplyParser::Outcome::kValue);
  for (const ReplyValue& item : value.items[1].items) found.insert(item.text);
  return value.items[0].text;
}

TEST(Lives, CursorsOfKeysAndMembersMeanTheSameAfterARestart) {
  SlowDiskNode world;
  constexpr int kCount = 3000;
  std::vector<std::string> members{"SADD", "set"};
  for (int number = 0; number < kCount; ++number) {
    world.ask(world.client, {"SET", "key" + std::to_string(number), "v"});
    members.push_back("member" + std::to_string(number));
  }
  world.ask(world.client, members);
  world.settle();
  world.taken(world.client);
  const uint64_t seed = world.node->node().store().settings().hash_seed;
  std::set<std::string> keys;
  std::set<std::string> found;
  std::string key_cursor = scan_step(world, {"SCAN", "0", "COUNT", "1000"}, keys);
  std::string cursor = scan_step(world, {"SSCAN", "set", "0", "COUNT", "1000"}, found);
  world.restart(0);
  EXPECT_EQ(world.node->node().store().settings().hash_seed, seed);
  while (key_cursor != "0") {
    key_cursor = scan_step(world, {"SCAN", key_cursor, "COUNT", "1000"}, keys);
  }
  while (cursor != "0") {
    cursor = scan_step(world, {"SSCAN", "set", cursor, "COUNT", "1000"}, found);
  }
  EXPECT_EQ(keys.size(), kCount + 1u);
  EXPECT_EQ(found.size(), static_cast<size_t>(kCount));
}

TEST(Lives, TheSeedsOfTablesAreDrawn) {
  SlowDiskNode world;
  const Store& store = world.node->node().store();
  EXPECT_NE(store.hash_seed(), 0u);
  EXPECT_NE(store.settings().hash_seed, 0u);
  EXPECT_NE(store.settings().hash_seed, store.hash_seed());
}

// The log that is switched on again does not hold what was written in between: until its first
// snapshot is durable it does not count.
TEST(Lives, ALogSwitchedOnAgainCountsOnceItsFirstSnapshotIsDurable) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "before", "1"});
  world.settle();
  world.ask(world.client, {"CONFIG", "SET", "appendonly", "no"});
  world.settle();
  world.ask(world.client, {"SET", "between", "2"});
  world.settle();
  world.ask(world.client, {"CONFIG", "SET", "appendonly", "yes"});
  world.ask(world.client, {"SET", "after", "3"});
  while (world.node->take_disk_step(DiskLane::kLog)) world.node->end_turn();
  world.taken(world.client);
  world.restart(0);
  world.ask(world.client, {"EXISTS", "before", "between", "after"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n") << "the data of the moment it was switched off";

  world.ask(world.client, {"CONFIG", "SET", "appendonly", "no"});
  world.settle();
  world.ask(world.client, {"SET", "between", "2"});
  world.ask(world.client, {"CONFIG", "SET", "appendonly", "yes"});
  world.ask(world.client, {"SET", "after", "3"});
  world.pass(1'000'000);
  world.taken(world.client);
  world.restart(0);
  world.ask(world.client, {"EXISTS", "before", "between", "after"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":3\r\n");
}

TEST(Lives, AnEndThatCannotSaveIsGivenUpAndSaidToAllWhoWait) {
  SlowDiskNode world("save 3600 1\n");
  world.ask(world.client, {"SET", "k", "v"});
  world.settle();
  world.disk.set_capacity(world.disk.used());
  world.ask(world.other, {"SET", "k", "w"});
  world.settle();
  EXPECT_TRUE(world.node->node().state().durability.refuses_writes());
  world.taken(world.client);
  world.ask(world.client, {"SHUTDOWN"});
  const int third = world.node->connect();
  world.ask(third, {"SHUTDOWN"});
  world.pass(100'000);
  EXPECT_TRUE(world.taken(world.client).starts_with("-ERR Errors trying to SHUTDOWN"));
  EXPECT_TRUE(world.taken(third).starts_with("-ERR Errors trying to SHUTDOWN"));
  EXPECT_FALSE(world.node->has_ended());
  // A signal later tells nobody who did not ask.
  world.node->shut_down();
  world.pass(100'000);
  EXPECT_EQ(world.taken(world.client), "");
  world.ask(world.client, {"SHUTDOWN", "FORCE"});
  world.pass(100'000);
  EXPECT_TRUE(world.node->has_ended());
}

TEST(Lives, ASnapshotOfTheLogThatFailedIsNotTriedAgainAtOnce) {
  SlowDiskNode world("auto-aof-rewrite-min-size 1000\nauto-aof-rewrite-percentage 1\n");
  for (int number = 0; number < 100; ++number) {
    world.ask(world.client, {"SET", "key" + std::to_string(number), std::string(100, 'x')});
  }
  world.settle();
  // Room for the log to go on, and not for a snapshot.
  world.disk.set_capacity(world.disk.used() + 2000);
  world.pass(2'000'000);
  const auto begun = [&] {
    const auto& lines = world.node->log_lines();
    return std::count(lines.begin(), lines.end(), "snapshot of the log begun");
  };
  EXPECT_EQ(begun(), 1);
  world.pass(5'000'000);
  EXPECT_EQ(begun(), 2);
  world.disk.set_capacity(UINT64_MAX);
  world.pass(6'000'000);
  EXPECT_EQ(begun(), 3);
  EXPECT_TRUE(world.node->node().state().persistence.facts.last_rewrite_ok);
}

// Until then nothing that is acknowledged would be found again, and nobody may join.
TEST(Lives, TheFirstSnapshotOfALogIsTriedUntilItSucceeds) {
  SlowDiskNode world;
  world.ask(world.client, {"CONFIG", "SET", "appendonly", "no"});
  world.settle();
  world.ask(world.client, {"SET", "between", std::string(1000, 'x')});
  world.settle();
  // Room for the log, and not for a snapshot.
  world.disk.set_capacity(world.disk.used() + 500);
  world.ask(world.client, {"CONFIG", "SET", "appendonly", "yes"});
  world.pass(kSecondUs);
  const NodeState& state = world.node->node().state();
  EXPECT_FALSE(state.persistence.facts.last_rewrite_ok);
  EXPECT_FALSE(state.company.may_have_company());
  world.disk.set_capacity(UINT64_MAX);
  world.pass(6 * kSecondUs);
  EXPECT_TRUE(state.persistence.facts.last_rewrite_ok);
  EXPECT_TRUE(state.company.may_have_company());
  EXPECT_EQ(state.persistence.facts.rewrites, 1u);
  world.pass(20 * kSecondUs);
  EXPECT_EQ(state.persistence.facts.rewrites, 1u) << "one is enough";
  world.taken(world.client);
  world.restart(0);
  world.ask(world.client, {"STRLEN", "between"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1000\r\n");
}

// Who joins has no groups yet that a snapshot of the log could be of.
TEST(Lives, ASnapshotOfTheLogThatCannotBeginKeepsNoSaveWaiting) {
  SlowDiskNode world("join 192.0.2.1:7001\n");
  world.pass(kSecondUs);
  ASSERT_FALSE(world.node->node().state().company.is_alone());
  world.ask(world.client, {"BGREWRITEAOF"});
  world.settle();
  EXPECT_TRUE(world.node->node().state().persistence.rewrite_wanted);
  world.ask(world.other, {"SAVE"});
  world.pass(kSecondUs);
  EXPECT_EQ(world.taken(world.other), "+OK\r\n");
  EXPECT_TRUE(world.disk.has("dump.rdb"));
  EXPECT_TRUE(world.node->node().state().persistence.rewrite_wanted);
}

// Every segment of a log whose beginning is gone says so, also one that is made anew with the same number.
TEST(Lives, ASegmentMadeAnewBehindASnapshotDoesNotSayThatNothingCameBefore) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "k", "v"});
  for (int time = 0; time < 3; ++time) {
    world.ask(world.client, {"BGREWRITEAOF"});
    world.pass(200'000);
  }
  std::string snapshot;
  const std::vector<std::string> files = world.disk.list().value();
  for (const std::string& file : files) {
    if (file.ends_with(".snapshot")) snapshot = file;
  }
  ASSERT_FALSE(snapshot.empty());
  world.node.reset();
  world.disk.flip_bit(snapshot, 100, 1);
  sim::SimNode again(world.disk, {.config = std::string(kSlowDiskConfig), .now = world.now});
  const Status recovered = again.recover();
  ASSERT_FALSE(recovered.ok());
  EXPECT_TRUE(recovered.error().detail().starts_with(snapshot)) << recovered.error().detail();
}

}  // namespace
}  // namespace quorate

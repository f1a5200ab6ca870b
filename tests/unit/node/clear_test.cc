// One partition of one database emptied: what FLUSHALL and FLUSHDB say where each partition has a log of its own, and
// what comes of it when it is read back.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "node/state.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate {
namespace {

constexpr int kKeys = 500;

NodeState& state_of(SlowDiskNode& world) { return world.node->node().state(); }

void fill(SlowDiskNode& world) {
  for (const char* database : {"0", "5"}) {
    world.ask(world.client, {"SELECT", database});
    for (int number = 0; number < kKeys; ++number) world.ask(world.client, {"SET", "k" + std::to_string(number), "v"});
  }
  world.settle();
  world.taken(world.client);
}

TEST(Clear, OfAPartitionIsReadBackFromTheLog) {
  SlowDiskNode world;
  fill(world);
  Store& store = state_of(world).store;
  const uint32_t partition = store.partition_of(key_slot("k7"));
  const size_t keys = store.database(5).partition_size(partition);
  ASSERT_GT(keys, 0u);
  store.database(5).clear_partition(partition);
  store.effects().add(5, Key{"", 0, key_slot("k7")}, {"*CLEAR"});
  world.node->end_turn();
  world.ask(world.client, {"SET", "k8", "later"});
  world.settle();
  world.restart(0);
  Store& again = state_of(world).store;
  EXPECT_EQ(again.database(5).partition_size(partition), 0u);
  EXPECT_EQ(again.database(5).size(), kKeys - keys);
  EXPECT_EQ(again.database(0).size(), static_cast<size_t>(kKeys));
}

TEST(Clear, NoClientCanAskForIt) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "k", "v"});
  world.ask(world.client, {"*CLEAR"});
  world.settle();
  EXPECT_TRUE(world.taken(world.client).starts_with("+OK\r\n-ERR unknown command"));
  EXPECT_EQ(state_of(world).store.database(0).size(), 1u);
}

// The clears that the turn has collected, which end nowhere: this node has no log by partition.
std::map<int, std::set<uint32_t>> cleared(Store& store) {
  std::map<int, std::set<uint32_t>> clears;
  size_t count = 0;
  for (const uint32_t partition : store.effects().touched()) {
    EffectReader reader(store.effects().bytes_of(partition));
    Effect effect;
    while (!reader.at_end()) {
      EXPECT_TRUE(reader.next(effect).ok());
      EXPECT_TRUE(is_clear(effect));
      EXPECT_EQ(store.partition_of(effect.slot), partition);
      clears[effect.database].insert(partition);
      ++count;
    }
  }
  EXPECT_EQ(store.effects().count(), count);
  return clears;
}

TEST(Clear, IsWhatFlushAllAndFlushDbSayOfEachPartitionThatTheyRunFor) {
  for (const char* command : {"FLUSHDB", "FLUSHALL"}) {
    SlowDiskNode world;
    fill(world);
    Store& store = state_of(world).store;
    store.effects().set_grouping(Effects::Grouping::kPartition, store.partition_count());
    const uint32_t theirs = store.partition_of(key_slot("k7"));
    std::map<int, std::set<uint32_t>> expected;
    size_t left = 0;
    for (const int database : {0, 5}) {
      if (database == 0 && command == std::string_view("FLUSHDB")) continue;
      left += store.database(database).partition_size(theirs);
      for (uint32_t partition = 0; partition < store.partition_count(); ++partition) {
        if (partition != theirs && store.database(database).partition_size(partition) != 0) {
          expected[database].insert(partition);
        }
      }
    }
    for (uint32_t partition = 0; partition < store.partition_count(); ++partition) {
      if (partition == theirs) continue;
      store.set_scope(partition);
      world.node->send(world.client, encoded({command}));
    }
    EXPECT_EQ(cleared(store), expected);
    size_t there = store.database(5).size();
    if (expected.contains(0)) there += store.database(0).size();
    EXPECT_EQ(there, left);
    store.begin_batch();
    store.effects().set_grouping(Effects::Grouping::kTurn, store.partition_count());
  }
}

TEST(Clear, OfAWholePartitionBreaksTheWatchesOfItsKeysAndNoOther) {
  SlowDiskNode world;
  fill(world);
  const auto key = [](int number) { return "{k" + std::to_string(number) + "}watched"; };
  NodeState& node = state_of(world);
  const uint32_t partition = node.store.partition_of(key_slot("k7"));
  ASSERT_NE(node.store.partition_of(key_slot("k8")), partition);
  world.ask(world.client, {"WATCH", key(7)});
  world.ask(world.other, {"WATCH", key(8)});
  node.store.clear_partition(partition);
  for (const int connection : {world.client, world.other}) {
    world.ask(connection, {"MULTI"});
    world.ask(connection, {"PING"});
    world.taken(connection);
    world.ask(connection, {"EXEC"});
  }
  world.settle();
  EXPECT_TRUE(world.taken(world.client).ends_with("*-1\r\n"));
  EXPECT_TRUE(world.taken(world.other).ends_with("*1\r\n+PONG\r\n"));
}

}  // namespace
}  // namespace quorate

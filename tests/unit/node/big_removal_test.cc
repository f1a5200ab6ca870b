// Taking most of a large value out: what stays is right, is there again after a restart, and what goes is freed behind
// the command.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "node/state.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate {
namespace {

constexpr size_t kElements = 3000;

std::string answer(SlowDiskNode& world, const std::vector<std::string>& words) {
  world.ask(world.client, words);
  world.settle();
  return world.taken(world.client);
}

// The bulk strings of a flat array.
std::vector<std::string> bulks(const std::string& reply) {
  std::vector<std::string> found;
  for (size_t at = reply.find('$'); at != std::string::npos; at = reply.find('$', at)) {
    const auto size = static_cast<size_t>(std::strtoul(reply.c_str() + at + 1, nullptr, 10));
    at = reply.find('\n', at) + 1;
    found.push_back(reply.substr(at, size));
    at += size;
  }
  return found;
}

std::set<std::string> members(SlowDiskNode& world) {
  const std::vector<std::string> all = bulks(answer(world, {"SMEMBERS", "k"}));
  return {all.begin(), all.end()};
}

size_t waiting(SlowDiskNode& world) { return world.node->node().state().store.pending_frees(); }

void fill_set(SlowDiskNode& world) {
  std::vector<std::string> words = {"SADD", "k"};
  for (size_t number = 0; number < kElements; ++number) words.push_back("member:" + std::to_string(number));
  answer(world, words);
  answer(world, {"PEXPIREAT", "k", "1900000000000"});
}

void fill_sorted_set(SlowDiskNode& world) {
  std::vector<std::string> words = {"ZADD", "k"};
  for (size_t number = 0; number < kElements; ++number) {
    words.push_back(std::to_string(number));
    words.push_back("member:" + std::to_string(number));
  }
  answer(world, words);
}

TEST(BigRemoval, SpopOfMostGivesEachMemberOnceAndKeepsTheOthers) {
  SlowDiskNode world;
  fill_set(world);
  world.ask(world.client, {"SPOP", "k", "2900"});
  EXPECT_EQ(waiting(world), 1u);
  world.settle();
  const std::vector<std::string> popped = bulks(world.taken(world.client));
  const std::set<std::string> stayed = members(world);
  EXPECT_EQ(popped.size(), 2900u);
  EXPECT_EQ(stayed.size(), 100u);
  std::set<std::string> all = stayed;
  all.insert(popped.begin(), popped.end());
  EXPECT_EQ(all.size(), kElements);
  world.pass(kSecondUs);
  EXPECT_EQ(waiting(world), 0u);
  world.restart(0);
  EXPECT_EQ(members(world), stayed);
  EXPECT_EQ(answer(world, {"PEXPIRETIME", "k"}), ":1900000000000\r\n");
}

TEST(BigRemoval, ARangeOfASortedSetLeavesBothEndsInOrder) {
  SlowDiskNode world;
  fill_sorted_set(world);
  world.ask(world.client, {"ZREMRANGEBYSCORE", "k", "10", "2979"});
  EXPECT_EQ(waiting(world), 1u);
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":2970\r\n");
  const std::string stayed = answer(world, {"ZRANGE", "k", "0", "-1", "WITHSCORES"});
  const std::vector<std::string> items = bulks(stayed);
  ASSERT_EQ(items.size(), 60u);
  for (size_t index = 0; index < items.size(); index += 2) {
    const std::string score = std::to_string(index < 20 ? index / 2 : 2970 + index / 2);
    EXPECT_EQ(items[index], "member:" + score);
    EXPECT_EQ(items[index + 1], score);
  }
  EXPECT_EQ(answer(world, {"OBJECT", "ENCODING", "k"}), "$8\r\nskiplist\r\n");
  EXPECT_EQ(answer(world, {"ZSCORE", "k", "member:500"}), "$-1\r\n");
  world.restart(0);
  EXPECT_EQ(answer(world, {"ZRANGE", "k", "0", "-1", "WITHSCORES"}), stayed);
}

TEST(BigRemoval, PoppingMostOfASortedSetRepliesAllOfThem) {
  SlowDiskNode world;
  fill_sorted_set(world);
  const std::vector<std::string> popped = bulks(answer(world, {"ZPOPMAX", "k", "2999"}));
  EXPECT_EQ(popped.size(), 2u * 2999);
  EXPECT_EQ(popped.front(), "member:2999");
  EXPECT_EQ(answer(world, {"ZRANGE", "k", "0", "-1"}), "*1\r\n$8\r\nmember:0\r\n");
  EXPECT_EQ(bulks(answer(world, {"ZPOPMIN", "k", "5000"})).size(), 2u);
  EXPECT_EQ(answer(world, {"EXISTS", "k"}), ":0\r\n");
}

TEST(BigRemoval, TrimmingALongListKeepsWhatWasAskedFor) {
  constexpr size_t kPushes = 35;
  SlowDiskNode world;
  std::vector<std::string> words = {"RPUSH", "k"};
  for (size_t number = 0; number < kElements; ++number) words.push_back(std::to_string(number));
  for (size_t push = 0; push < kPushes; ++push) answer(world, words);
  world.ask(world.client, {"LTRIM", "k", "2999", "3001"});
  EXPECT_EQ(waiting(world), 1u);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
  const std::string stayed = answer(world, {"LRANGE", "k", "0", "-1"});
  EXPECT_EQ(bulks(stayed), (std::vector<std::string>{"2999", "0", "1"}));
  world.restart(0);
  EXPECT_EQ(answer(world, {"LRANGE", "k", "0", "-1"}), stayed);
}

TEST(BigRemoval, ASnapshotThatRunsHasTheWholeValue) {
  SlowDiskNode world;
  fill_set(world);
  answer(world, {"SADD", "other", "a"});
  world.ask(world.client, {"BGREWRITEAOF"});
  world.taken(world.client);
  EXPECT_EQ(bulks(answer(world, {"SPOP", "k", "2990"})).size(), 2990u);
  const std::set<std::string> stayed = members(world);
  EXPECT_EQ(stayed.size(), 10u);
  world.pass(kSecondUs);
  world.restart(0);
  EXPECT_EQ(members(world), stayed);
}

}  // namespace
}  // namespace quorate

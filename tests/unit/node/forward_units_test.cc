// Units that go to the leader in one message, and are answered in one.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "node/forward_message.h"
#include "tests/unit/node/two_nodes.h"

namespace quorate {
namespace {

using Kind = UnitKind;
constexpr ForwardLimits kLimits{.partitions = 128, .databases = 16};

// The commands, or answers, that are on their way to the side.
std::vector<uint32_t> units_under_way(const Side& side) {
  std::vector<uint32_t> counts;
  for (const Message& message : side.incoming) {
    if (message.kind == static_cast<uint64_t>(ForwardKind::kCommand)) {
      counts.push_back(decode_command(message.bytes, kLimits).value().unit_count);
    } else if (message.kind == static_cast<uint64_t>(ForwardKind::kAnswer)) {
      counts.push_back(decode_answer(message.bytes, kLimits).value().unit_count);
    }
  }
  return counts;
}

using Counts = std::vector<uint32_t>;

TEST(ForwardUnits, NeighboursThatAskForTheSameGoInOneMessage) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"SET", "k", "v"});
  world.settle();
  world.taken(world.client);
  for (const int connection : {world.client, world.other, world.client}) world.add(connection, {"GET", "k"}, Kind::kReads);
  world.add(world.other, {"GET", "none"}, Kind::kReads);
  world.here.forwarding().send_new();
  EXPECT_EQ(units_under_way(world.there), Counts{4});
  TwoNodes::turn(world.there, 1);
  EXPECT_EQ(units_under_way(world.here), Counts{4});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$1\r\nv\r\n$1\r\nv\r\n");
  EXPECT_EQ(world.taken(world.other), "$1\r\nv\r\n$-1\r\n");
  EXPECT_EQ(world.here.forwarding().waiting_count(), 0u);
}

TEST(ForwardUnits, WhatIsAskedOtherwiseGoesByItself) {
  TwoNodes world;
  world.lead(2);
  world.add(world.client, {"RPUSH", "k", "a"});
  world.add(world.client, {"RPUSH", "k", "b"});
  world.add(world.client, {"LLEN", "k"}, Kind::kReads);
  world.add(world.client, {"LLEN", "k"}, Kind::kReads);
  world.session(world.other)->database = 1;
  world.add(world.other, {"LLEN", "k"}, Kind::kReads);
  world.session(world.client)->set_levels({.read = {.kind = ReadLevel::Kind::kCount, .number = 1}});
  world.add(world.client, {"LLEN", "k"}, Kind::kReads);
  world.add(world.client, {"BLPOP", "k", "1"}, Kind::kBlocks);
  world.here.forwarding().send_new();
  EXPECT_EQ(units_under_way(world.there), (Counts{2, 2, 1, 1, 1}));
}

TEST(ForwardUnits, AMessageHoldsNoMoreThanSoMuch) {
  TwoNodes world;
  world.lead(2);
  const std::string value(40'000, 'v');
  for (const std::string key : {"a", "b", "c"}) world.add(world.client, {"SET", key, value});
  for (int number = 0; number < 5000; ++number) world.add(world.other, {"GET", "k"}, Kind::kReads);
  world.here.forwarding().send_new();
  const Counts counts = units_under_way(world.there);
  ASSERT_GT(counts.size(), 4u);
  EXPECT_EQ((Counts{counts[0], counts[1], counts[2]}), (Counts{1, 1, 1}));
  uint32_t sum = 0;
  for (const uint32_t count : counts) sum += count;
  EXPECT_EQ(sum, 5003u);
  world.settle();
  EXPECT_EQ(world.here.forwarding().waiting_count(), 0u);
}

TEST(ForwardUnits, WritesThatWereRunAreAnsweredAgainAndTheRestIsRun) {
  TwoNodes world;
  world.lead(2);
  world.add(world.client, {"RPUSH", "k", "a"});
  world.add(world.client, {"RPUSH", "k", "b"});
  world.here.forwarding().send_new();
  while (!world.there.incoming.empty()) TwoNodes::deliver(world.there, 1);
  world.there.forwarding().run();
  world.there.node->settle();
  world.cut();
  world.settle();
  world.add(world.client, {"RPUSH", "k", "c"});
  world.join();
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n:2\r\n:3\r\n");
  EXPECT_EQ(world.asked_there({"LRANGE", "k", "0", "-1"}), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

// The leader has run some of a message, and its sender puts the rest of it into one with others.
TEST(ForwardUnits, OfAMessageThatWasRunInPartTheRestIsRun) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"RPUSH", "k", "a"});
  while (!world.there.incoming.empty()) TwoNodes::deliver(world.there, 1);
  world.there.forwarding().run();
  world.there.node->settle();
  world.cut();
  world.settle();
  world.add(world.client, {"RPUSH", "k", "b"});
  world.join();
  // As if both had been sent together at first.
  Buffer bytes;
  encode_head(ForwardCommand{.number = 1, .unit_count = 2, .attempt = 9, .flags = kForwardWrites, .incarnation = 1, .write_number = 1, .lowest_wanted = 1},
              bytes);
  bytes.append(encoded({"RPUSH", "k", "a"}) + encoded({"RPUSH", "k", "b"}));
  world.there.incoming.clear();
  EXPECT_TRUE(world.there.forwarding().receive(1, static_cast<uint64_t>(ForwardKind::kCommand), bytes.view()).ok());
  world.there.forwarding().run();
  world.there.node->settle();
  EXPECT_EQ(world.asked_there({"LRANGE", "k", "0", "-1"}), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}

TEST(ForwardUnits, WhatIsRefusedIsRefusedWhole) {
  TwoNodes world;
  world.lead(2);
  world.there.is_serving = false;
  for (const std::string word : {"a", "b", "c"}) world.add(world.client, {"APPEND", "k", word});
  world.here.forwarding().send_new();
  TwoNodes::turn(world.there, 1);
  EXPECT_EQ(units_under_way(world.here), Counts{3});
  world.there.is_serving = true;
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.pass(20'000);
  EXPECT_EQ(world.taken(world.client), ":1\r\n:2\r\n:3\r\n");
}

TEST(ForwardUnits, OfAMessageThatIsStoppedHalfWayTheRestWasNotRun) {
  TwoNodes world;
  world.lead(2);
  world.add(world.client, {"APPEND", "k", "a"});
  world.add(world.client, {"APPEND", "k", "b"});
  world.here.forwarding().send_new();
  world.asked_there({"CLIENT", "PAUSE", "100000", "WRITE"});
  TwoNodes::deliver(world.there, 1);
  world.there.forwarding().run();
  world.there.is_serving = false;
  world.there.forwarding().on_stop_serving(0);
  world.there.node->settle();
  EXPECT_EQ(units_under_way(world.here), Counts{2});
  world.asked_there({"CLIENT", "UNPAUSE"});
  world.there.is_serving = true;
  world.settle();
  world.pass(20'000);
  EXPECT_EQ(world.taken(world.client), ":1\r\n:2\r\n");
}

TEST(ForwardUnits, OnlyUnitsThatMayStandTogetherAreTaken) {
  const std::string get = encoded({"GET", "k"});
  Buffer bytes;   // what is decoded has views of them
  const auto decoded = [&](ForwardCommand command, const std::string& requests) {
    bytes.clear();
    encode_head(command, bytes);
    bytes.append(requests);
    return decode_command(bytes.view(), kLimits).ok();
  };
  EXPECT_TRUE(decoded({.number = 1, .unit_count = 2}, get + get));
  EXPECT_TRUE(decoded({.number = 1, .unit_count = 2, .flags = kForwardWrites, .write_number = 3, .lowest_wanted = 1}, get + get));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 2}, get));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 2}, get + get + get));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 0}, get));
  EXPECT_FALSE(decoded({.number = UINT64_MAX, .unit_count = 2}, get + get));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 2, .request_count = 2}, get + get));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 2, .write_number = 3}, get + get));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 2, .flags = kForwardMayBlock}, get + get));
}

TEST(ForwardUnits, AnAnswerHasAsManyRepliesAsUnits) {
  const auto decoded = [](ForwardAnswer answer) {
    Buffer bytes;
    encode_head(answer, bytes);
    bytes.append(answer.reply);
    return decode_answer(bytes.view(), kLimits).ok();
  };
  EXPECT_TRUE(decoded({.number = 1, .unit_count = 2, .reply = "+OK\r\n:1\r\n"}));
  EXPECT_TRUE(decoded({.number = 1, .unit_count = 2, .outcome = ForwardOutcome::kNotRun}));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 2, .reply = "+OK\r\n"}));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 2, .reply = "+OK\r\n+OK\r\n+OK\r\n"}));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 2, .reply = "+OK\r\n$5\r\nab\r\n"}));
  EXPECT_FALSE(decoded({.number = 1, .unit_count = 0, .reply = "+OK\r\n"}));
  EXPECT_FALSE(decoded({.number = UINT64_MAX, .unit_count = 2, .outcome = ForwardOutcome::kNotRun}));
}

}  // namespace
}  // namespace quorate

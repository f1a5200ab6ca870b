// Places in a session's output whose replies come later, and replies that wait for streams of partitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "commands/errors.h"
#include "node/output.h"
#include "node/state.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate {
namespace {

class World : public SlowDiskNode {
 public:
  NodeState& state() { return node->node().state(); }
  // Sessions are numbered from 1 in the order of connecting.
  Session& session(int connection) {
    Session* const found = state().sessions.find(static_cast<uint64_t>(connection) + 1);
    CHECK(found != nullptr);
    return *found;
  }
  GapId open(int connection) { return open_gap(state(), session(connection)); }
  void fill(int connection, GapId gap, std::string_view bytes) {
    fill_gap(state(), static_cast<uint64_t>(connection) + 1, gap, bytes);
  }
  void send(int connection, const std::vector<std::string>& words) { node->send(connection, encoded(words)); }
  void advance(StreamId stream, uint64_t position) {
    state().streams.advance(stream, position);
    release_held(state());
    settle();
  }
};

TEST(Gaps, WhatStandsBehindAGapWaitsForIt) {
  World world;
  world.send(world.client, {"ECHO", "a"});
  const GapId gap = world.open(world.client);
  world.send(world.client, {"ECHO", "b"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$1\r\na\r\n");
  world.ask(world.client, {"ECHO", "c"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.fill(world.client, gap, ":1\r\n");
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

TEST(Gaps, OtherConnectionsAreNotHeldUp) {
  World world;
  const GapId gap = world.open(world.client);
  world.ask(world.other, {"PING"});
  world.settle();
  EXPECT_EQ(world.taken(world.other), "+PONG\r\n");
  world.fill(world.client, gap, ":1\r\n");
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n");
}

TEST(Gaps, AReplyBehindAGapStillWaitsForTheDisk) {
  World world;
  const GapId gap = world.open(world.client);
  world.ask(world.client, {"SET", "k", "v"});
  world.fill(world.client, gap, ":1\r\n");
  world.node->end_turn();
  while (world.node->received(world.client).empty()) world.node->drain_socket(world.client);
  world.ask(world.client, {"PING"});
  EXPECT_EQ(world.node->received(world.client).find("+OK"), std::string::npos);
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n+OK\r\n+PONG\r\n");
}

TEST(Gaps, ASessionThatHasGoneForgetsThem) {
  World world;
  const GapId gap = world.open(world.client);
  world.settle();
  world.node->disconnect(world.client);
  world.settle();
  world.fill(world.client, gap, ":1\r\n");
  world.settle();
  EXPECT_TRUE(world.node->is_closed(world.client));
}

TEST(Gaps, QuitIsAnsweredBehindThem) {
  World world;
  const GapId gap = world.open(world.client);
  world.ask(world.client, {"QUIT"});
  world.settle();
  EXPECT_FALSE(world.node->is_closed(world.client));
  world.fill(world.client, gap, ":1\r\n");
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n+OK\r\n");
  EXPECT_TRUE(world.node->is_closed(world.client));
}

TEST(Gaps, AClosingConnectionWaitsForThemThoughNothingElseIsOwed) {
  World world;
  const GapId gap = world.open(world.client);
  close_session(world.state(), world.session(world.client), CloseWhen::kAfterReply);
  world.settle();
  EXPECT_FALSE(world.node->is_closed(world.client));
  world.fill(world.client, gap, ":1\r\n");
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n");
  EXPECT_TRUE(world.node->is_closed(world.client));
}

TEST(Gaps, ASessionWithTooManyOfThemIsNotReadFromUntilHalfHaveLeft) {
  World world;
  std::vector<GapId> gaps;
  for (size_t count = 0; count < kGapsMax; ++count) gaps.push_back(world.open(world.client));
  world.ask(world.client, {"INCR", "n"});
  world.ask(world.other, {"EXISTS", "n"});
  world.settle();
  EXPECT_EQ(world.taken(world.other), ":0\r\n");
  // Filled but the first: nothing leaves, so they still count.
  for (size_t index = 1; index < gaps.size(); ++index) world.fill(world.client, gaps[index], ":0\r\n");
  world.ask(world.other, {"EXISTS", "n"});
  world.settle();
  EXPECT_EQ(world.taken(world.other), ":0\r\n");
  world.fill(world.client, gaps[0], ":0\r\n");
  world.settle();
  EXPECT_TRUE(world.taken(world.client).ends_with(":0\r\n:1\r\n"));
}

TEST(Gaps, WhatFillsThemCountsForTheOutputLimit) {
  World world;
  world.ask(world.client, {"CONFIG", "SET", "client-output-buffer-limit", "normal 1000 0 0"});
  world.settle();
  world.open(world.client);
  const GapId second = world.open(world.client);
  world.settle();
  world.fill(world.client, second, "$2000\r\n" + std::string(2000, 'x') + "\r\n");
  world.settle();
  EXPECT_TRUE(world.node->is_closed(world.client));
}

TEST(Streams, AReplyWaitsForAllStreamsThatItNeeds) {
  World world;
  world.send(world.client, {"ECHO", "a"});
  await(world.state(), world.session(world.client), {commit_stream(0), 3});
  await(world.state(), world.session(world.client), {read_stream(1), 2});
  world.settle();
  world.ask(world.other, {"ECHO", "b"});
  world.settle();
  EXPECT_EQ(world.taken(world.other), "$1\r\nb\r\n");
  world.advance(commit_stream(0), 2);
  world.advance(read_stream(1), 2);
  EXPECT_EQ(world.taken(world.client), "");
  world.advance(commit_stream(0), 3);
  EXPECT_EQ(world.taken(world.client), "$1\r\na\r\n");
}

TEST(Streams, AReplyThatNeedsTheLogAndAStreamWaitsForBoth) {
  World world;
  world.send(world.client, {"SET", "k", "v"});
  await(world.state(), world.session(world.client), {commit_stream(5), 1});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.advance(commit_stream(5), 1);
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
}

TEST(Streams, RepliesThatWaitForALostStreamAreUncertain) {
  World world;
  world.send(world.client, {"ECHO", "a"});
  await(world.state(), world.session(world.client), {commit_stream(0), 3});
  world.send(world.client, {"ECHO", "b"});
  await(world.state(), world.session(world.client), {commit_stream(1), 1});
  world.send(world.client, {"ECHO", "c"});
  await(world.state(), world.session(world.client), {commit_stream(0), 4});
  world.settle();
  lose_from(world.state(), {commit_stream(0), 4}, [](uint64_t) { return errors::uncertain_leader_lost(); });
  world.advance(commit_stream(0), 9);
  EXPECT_EQ(world.taken(world.client), "$1\r\na\r\n");
  world.advance(commit_stream(1), 1);
  const std::string rest = world.taken(world.client);
  EXPECT_TRUE(rest.starts_with("$1\r\nb\r\n-UNCERTAIN ")) << rest;
  EXPECT_TRUE(rest.ends_with("\r\n")) << rest;
  EXPECT_EQ(std::count(rest.begin(), rest.end(), '\n'), 3);
}

TEST(Streams, ASessionThatWaitsCanGo) {
  World world;
  world.send(world.client, {"ECHO", "a"});
  await(world.state(), world.session(world.client), {commit_stream(0), 3});
  world.settle();
  world.node->disconnect(world.client);
  world.settle();
  world.advance(commit_stream(0), 3);
  EXPECT_TRUE(world.state().streams.waiting(commit_stream(0)).empty());
}

// Another appendfsync changes what the log's position means, while somebody waits.
TEST(Streams, AnotherSyncPolicyReleasesWhoWaitedForTheOldOne) {
  World world;
  world.ask(world.client, {"SET", "k", "v"});
  world.ask(world.other, {"CONFIG", "SET", "appendfsync", "everysec"});
  world.ask(world.client, {"PING"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n+PONG\r\n");
  EXPECT_TRUE(world.state().streams.waiting(kLogStream).empty());
}

}  // namespace
}  // namespace quorate

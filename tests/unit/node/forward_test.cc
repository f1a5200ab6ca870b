// Commands that run at another node: two nodes and a pipe between them.
#include "node/forward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "node/execute.h"
#include "tests/unit/node/two_nodes.h"
#include "util/number.h"

namespace quorate {
namespace {

using Kind = ForwardedUnit::Kind;

size_t link_sessions(Side& side) {
  size_t count = 0;
  side.state().sessions.for_each_with_links([&](const Session& session) { count += session.has(kForwarded) ? 1 : 0; });
  return count;
}

// Runs what has arrived there; nobody hears of it.
void run_and_cut(TwoNodes& world) {
  while (!world.there.incoming.empty()) TwoNodes::deliver(world.there, 1);
  world.there.forwarding().run();
  world.there.node->settle();
  world.cut();
}

TEST(Forward, ACommandRunsAtTheLeaderAndIsAnsweredInItsPlace) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"SET", "k", "v"});
  world.here.node->send(world.client, encoded({"ECHO", "a"}));
  world.forward(world.client, {"GET", "k"}, Kind::kReads);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n$1\r\na\r\n$1\r\nv\r\n");
  EXPECT_EQ(world.here.state().store.database(0).size(), 0u);
  EXPECT_EQ(world.there.state().store.database(0).size(), 1u);
  EXPECT_EQ(world.here.forwarding().waiting_count(), 0u);
}

TEST(Forward, DatabaseAndProtocolGoWithTheCommand) {
  TwoNodes world;
  world.lead(2);
  world.here.node->send(world.client, encoded({"SELECT", "3"}));
  world.forward(world.client, {"HSET", "h", "f", "v"});
  world.here.node->send(world.client, encoded({"HELLO", "3"}));
  world.settle();
  world.taken(world.client);
  world.forward(world.client, {"HGETALL", "h"}, Kind::kReads);
  world.forward(world.other, {"EXISTS", "h"}, Kind::kReads);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "%1\r\n$1\r\nf\r\n$1\r\nv\r\n");
  EXPECT_EQ(world.taken(world.other), ":0\r\n");
}

TEST(Forward, AClientThatChangesItsProtocolOrLevelStaysInOrder) {
  TwoNodes world;
  world.lead(2);
  world.here.node->send(world.other, encoded({"HELLO", "3"}));
  world.settle();
  world.taken(world.other);
  world.forward(world.other, {"APPEND", "k", "a"});
  world.forward(world.client, {"APPEND", "k", "b"});
  world.session(world.client)->set_levels({.write = {1}});
  world.forward(world.client, {"APPEND", "k", "c"});
  world.session(world.client)->set_levels({});
  world.here.node->send(world.client, encoded({"HELLO", "3"}));
  world.forward(world.client, {"APPEND", "k", "d"});
  world.settle();
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$4\r\nabcd\r\n");
}

TEST(Forward, ErrorsComeBackAsTheyAre) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"SET", "k", "v"});
  world.forward(world.client, {"INCR", "k"});
  world.forward(world.client, {"GET"}, Kind::kReads);
  world.settle();
  const std::string replies = world.taken(world.client);
  EXPECT_TRUE(replies.starts_with("+OK\r\n-ERR value is not an integer")) << replies;
  EXPECT_NE(replies.find("-ERR wrong number of arguments for 'get' command\r\n"), std::string::npos);
}

TEST(Forward, AnAnswerWaitsForTheLeadersLog) {
  TwoNodes world(kSlowDiskConfig);
  world.lead(2);
  world.forward(world.client, {"SET", "k", "v"});
  TwoNodes::deliver(world.there, 1);
  world.there.forwarding().run();
  world.there.node->end_turn();
  TwoNodes::turn(world.here, 2);
  EXPECT_EQ(world.there.state().store.database(0).size(), 1u);
  EXPECT_EQ(world.taken(world.client), "");
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
}

TEST(Forward, ATransactionIsAnsweredByExec) {
  TwoNodes world;
  world.lead(2);
  const std::string requests =
      encoded({"MULTI"}) + encoded({"SET", "k", "1"}) + encoded({"INCR", "k"}) + encoded({"EXEC"});
  world.here.forwarding().forward(*world.session(world.client),
                                  {.partition = 0, .requests = requests, .request_count = 4});
  world.forward(world.client, {"GET", "k"}, Kind::kReads);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*2\r\n+OK\r\n:2\r\n$1\r\n2\r\n");
}

TEST(Forward, WhatASessionHasQueuedRunsAsOneElsewhere) {
  TwoNodes world;
  world.lead(2);
  for (const auto& words : {std::vector<std::string>{"MULTI"}, {"SET", "k", "1"}, {"INCR", "k"}}) {
    world.here.node->send(world.client, encoded(words));
  }
  forward_transaction(world.here.state(), *world.session(world.client), 0);
  world.here.node->send(world.client, encoded({"ECHO", "a"}));
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n$1\r\na\r\n");
}

TEST(Forward, SilentCommandsRunAndSayNothing) {
  TwoNodes world;
  world.lead(2);
  Session& session = *world.session(world.client);
  const GapId first = session.holds.next_gap();
  world.forward(world.client, {"SET", "k", "v"});
  session.holds.drop_gaps_from(first, session.out.size());
  world.here.node->send(world.client, encoded({"PING"}));
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+PONG\r\n");
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$1\r\nv\r\n");
}

TEST(Forward, WithoutALeaderCommandsWaitForOneInTheirOrder) {
  TwoNodes world;
  world.forward(world.client, {"APPEND", "k", "a"});
  world.forward(world.other, {"APPEND", "k", "b"});
  world.forward(world.client, {"APPEND", "k", "c"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.lead(2);
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n:3\r\n");
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$3\r\nabc\r\n");
}

TEST(Forward, WhatWaitedRunsHereOnceThisNodeLeads) {
  TwoNodes world;
  world.forward(world.client, {"SET", "k", "v"});
  world.settle();
  world.lead(1);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
  EXPECT_EQ(world.here.state().store.database(0).size(), 1u);
}

TEST(Forward, WhatIsBehindARefusedCommandIsRefusedTooAndAllIsTriedAgain) {
  TwoNodes world;
  world.lead(2);
  world.there.is_serving = false;
  world.forward(world.client, {"APPEND", "k", "a"});
  TwoNodes::deliver(world.there, 1);
  world.there.forwarding().run();
  // It serves again before the next one arrives, which must not overtake the first.
  world.there.is_serving = true;
  world.forward(world.client, {"APPEND", "k", "b"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.pass(20'000);
  EXPECT_EQ(world.taken(world.client), ":1\r\n:2\r\n");
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$2\r\nab\r\n");
}

TEST(Forward, WhenTheConnectionIsLostEverythingIsSentAgain) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"SET", "k", "v"});
  world.forward(world.client, {"EXISTS", "k"}, Kind::kReads);
  world.cut();
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.join();
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n:1\r\n");
}

TEST(Forward, WhatWasRunBeforeTheConnectionWasLostIsNotRunAgain) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"INCR", "k"});
  world.forward(world.other, {"RPUSH", "list", "a", "b"});
  world.forward(world.client, {"GETSET", "s", "v"});
  world.forward(world.client, {"HSET", "k", "f", "v"});
  run_and_cut(world);
  world.join();
  world.settle();
  const std::string replies = world.taken(world.client);
  EXPECT_TRUE(replies.starts_with(":1\r\n$-1\r\n-WRONGTYPE ")) << replies;
  EXPECT_EQ(world.taken(world.other), ":2\r\n");
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$1\r\n1\r\n");
  EXPECT_EQ(world.asked_there({"LLEN", "list"}), ":2\r\n");
  world.forward(world.client, {"INCR", "k"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":2\r\n");
}

// Two leaders had it, and the one that says "nothing was done" is not the one that did it.
TEST(Forward, WhatMayHaveRunElsewhereIsAnsweredByWhoIsKnownToLead) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"SET", "k", "1"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
  EXPECT_EQ(world.there.reads_awaited, 0);
  world.forward(world.client, {"LPUSH", "k", "1"});
  world.cut();
  world.settle();
  world.join();
  world.settle();
  EXPECT_TRUE(world.taken(world.client).starts_with("-WRONGTYPE"));
  EXPECT_EQ(world.there.reads_awaited, 1);
}

TEST(Forward, ATransactionIsNotRunAgain) {
  TwoNodes world;
  world.lead(2);
  const std::string requests = encoded({"MULTI"}) + encoded({"INCR", "k"}) + encoded({"INCR", "k"}) + encoded({"EXEC"});
  world.here.forwarding().forward(*world.session(world.client),
                                  {.partition = 0, .requests = requests, .request_count = 4});
  world.here.forwarding().send_new();
  run_and_cut(world);
  world.join();
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*2\r\n:1\r\n:2\r\n");
}

TEST(Forward, ANewLeaderKnowsWhatTheOldOneRan) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"INCR", "k"});
  run_and_cut(world);
  world.forward(world.client, {"INCR", "k"});
  world.lead(1);
  world.settle();
  // Of the keys each side has its own.
  EXPECT_EQ(world.taken(world.client), ":1\r\n:1\r\n");
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$1\r\n1\r\n");
}

TEST(Forward, AReplyThatIsTooLargeToBeKeptIsUncertain) {
  TwoNodes world;
  world.lead(2);
  const std::string large(OriginRows::kReplySizeMax, 'x');
  world.forward(world.client, {"SET", "k", large});
  world.settle();
  world.taken(world.client);
  world.forward(world.client, {"GETSET", "k", "v"});
  run_and_cut(world);
  world.join();
  world.settle();
  EXPECT_TRUE(world.taken(world.client).starts_with("-UNCERTAIN "));
  EXPECT_EQ(world.asked_there({"GET", "k"}), "$1\r\nv\r\n");
}

TEST(Forward, AReadThatAWriteBehindItHasOvertakenIsNotRun) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"GET", "k"}, Kind::kReads);
  world.forward(world.client, {"SET", "k", "v"});
  world.forward(world.other, {"GET", "k"}, Kind::kReads);
  run_and_cut(world);
  world.join();
  world.settle();
  world.pass(20'000);
  const std::string replies = world.taken(world.client);
  EXPECT_TRUE(replies.starts_with("-TRYAGAIN ")) << replies;
  EXPECT_TRUE(replies.ends_with("\r\n+OK\r\n")) << replies;
  EXPECT_EQ(world.taken(world.other), "$1\r\nv\r\n");
}

TEST(Forward, WhatWasGivenUpHoldsUpNobody) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"RPUSH", "list", "a"});
  world.cut();
  world.here.node->advance(6'000'000);
  TwoNodes::turn(world.here, 2);
  EXPECT_TRUE(world.taken(world.client).starts_with("-UNCERTAIN "));
  world.join();
  world.forward(world.client, {"RPUSH", "list", "b"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n");
}

TEST(Forward, WhatIsUnderWayGoesToTheNextLeaderThoughNothingFollowsIt) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"SET", "k", "v"});
  world.there.incoming.clear();
  world.lead(1);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
}

// The write has run there without effect, so no log says so, and its answer is on its way.
void leave_answer_under_way(TwoNodes& world) {
  world.lead(2);
  world.asked_there({"SET", "k", "x"});
  world.forward(world.client, {"SET", "k", "v", "NX"});
  TwoNodes::turn(world.there, 1);
  world.rows.forget_news();
}

TEST(Forward, AnAnswerDoesNotCountOnceTheWriteWasSentElsewhere) {
  TwoNodes world;
  leave_answer_under_way(world);
  world.lead(1);
  TwoNodes::deliver(world.here, 2);
  world.settle();
  // Here it had an effect.
  EXPECT_EQ(world.taken(world.client), "+OK\r\n");
  EXPECT_EQ(world.here.state().store.database(0).size(), 1u);
}

TEST(Forward, AnAnswerCountsWhileTheWriteIsSentToNobodyElse) {
  TwoNodes world;
  leave_answer_under_way(world);
  world.lead(0);
  world.here.forwarding().on_link_down(2);
  TwoNodes::deliver(world.here, 2);
  world.here.node->settle();
  EXPECT_EQ(world.taken(world.client), "$-1\r\n");
  EXPECT_EQ(world.here.forwarding().waiting_count(), 0u);
  world.lead(1);
  world.settle();
  EXPECT_EQ(world.here.state().store.database(0).size(), 0u);
}

TEST(Forward, EveryBoundOfAReadIsTheSameToTheLeader) {
  TwoNodes world;
  world.lead(2);
  for (uint32_t bound_ms = 0; bound_ms < 100; ++bound_ms) {
    world.session(world.client)->set_levels({.read = {.kind = ReadLevel::Kind::kBounded, .number = bound_ms}});
    world.forward(world.client, {"GET", "k"}, Kind::kReads);
  }
  world.settle();
  EXPECT_EQ(link_sessions(world.there), 1u);
}

Status received_command(Side& side, ForwardCommand command, std::string_view requests) {
  Buffer bytes;
  encode_head(command, bytes);
  bytes.append(requests);
  return side.forwarding().receive(1, static_cast<uint64_t>(ForwardKind::kCommand), bytes.view());
}

TEST(Forward, WhatIsSentHoldsTheRequestsThatItSpeaksOf) {
  TwoNodes world;
  world.lead(2);
  const std::string one = encoded({"GET", "k"});
  EXPECT_TRUE(received_command(world.there, {.number = 1, .request_count = 1}, one).ok());
  EXPECT_TRUE(received_command(world.there, {.number = 2, .request_count = 2}, one + one).ok());
  EXPECT_FALSE(received_command(world.there, {.number = 3, .request_count = 2}, one).ok());
  EXPECT_FALSE(received_command(world.there, {.number = 3, .request_count = 1}, one + one).ok());
  EXPECT_FALSE(received_command(world.there, {.number = 3, .request_count = 2}, one + "*0\r\n").ok());
  EXPECT_FALSE(received_command(world.there, {.number = 3, .request_count = 1}, "GET k\r\n").ok());
  EXPECT_FALSE(received_command(world.there, {.number = 3, .request_count = 1}, one.substr(0, one.size() - 1)).ok());
  EXPECT_FALSE(received_command(world.there, {.number = 0, .request_count = 1, .flags = kForwardMayBlock}, one).ok());
}

TEST(Forward, ANodeMakesABoundedNumberOfSessionsElsewhere) {
  TwoNodes world;
  world.lead(2);
  for (int round = 0; round < 2; ++round) {
    for (int database = 0; database < 16; ++database) {
      for (uint8_t copies = 1; copies <= 16; ++copies) {
        world.session(world.client)->database = database;
        world.session(world.client)->set_levels({.write = {copies}});
        world.forward(world.client, {"APPEND", "k", "x"});
        if (round == 0) world.settle();
      }
    }
    // All at once: who finds no session comes again.
    for (int passed = 0; passed < 20; ++passed) world.pass(20'000);
    EXPECT_EQ(world.here.forwarding().waiting_count(), 0u);
    EXPECT_LE(link_sessions(world.there), 64u);
    EXPECT_GT(link_sessions(world.there), 0u);
  }
  // More than one copy there is not.
  EXPECT_EQ(world.asked_there({"STRLEN", "k"}), ":2\r\n");
}

TEST(Forward, ANodeThatWasStartedAgainNumbersAnew) {
  TwoNodes world;
  world.lead(2);
  for (int start = 1; start <= 3; ++start) {
    world.incarnations[0] = static_cast<uint64_t>(start);
    world.forward(world.client, {"INCR", "k"});
    world.settle();
    world.pass(20'000);
    EXPECT_EQ(world.taken(world.client), ":" + std::to_string(start) + "\r\n");
    world.cut();
    Buffer news;
    world.rows.take_news(news);
    EXPECT_EQ(world.rows.size(), 1u);
    // The same process plays the next one: its count begins anew.
    world.restart_here();
    world.join();
    world.lead(2);
  }
}

TEST(Forward, CommandsThatWereStoppedAtTheLeaderAreNotRunOnceTheyWereRefused) {
  TwoNodes world;
  world.lead(2);
  world.asked_there({"CLIENT", "PAUSE", "1000", "WRITE"});
  world.forward(world.client, {"INCR", "k"});
  world.forward(world.other, {"INCR", "k"});
  world.settle();
  world.cut();
  world.join();
  world.pass(1'100'000);
  world.there.node->tick_if_due();
  world.settle();
  world.pass(20'000);
  EXPECT_EQ(world.taken(world.client), ":1\r\n");
  EXPECT_EQ(world.taken(world.other), ":2\r\n");
}

TEST(Forward, AnAnswerThatComesTooLateIsForgotten) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"SET", "k", "v"});
  world.forward(world.other, {"EXISTS", "k"}, Kind::kReads);
  world.here.node->advance(6'000'000);
  TwoNodes::turn(world.here, 2);
  EXPECT_TRUE(world.taken(world.client).starts_with("-UNCERTAIN "));
  EXPECT_TRUE(world.taken(world.other).starts_with("-TRYAGAIN "));
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  EXPECT_EQ(world.asked_there({"EXISTS", "k"}), ":1\r\n");
}

TEST(Forward, WhatFindsNoLeaderInTimeWasNotRun) {
  TwoNodes world;
  world.forward(world.client, {"SET", "k", "v"});
  world.pass(6'000'000);
  EXPECT_TRUE(world.taken(world.client).starts_with("-CLUSTERDOWN "));
  world.lead(2);
  world.settle();
  EXPECT_EQ(world.asked_there({"EXISTS", "k"}), ":0\r\n");
}

TEST(Forward, ASessionWithMuchUnderWayIsNotReadFrom) {
  TwoNodes world;
  const std::string value(9 * 1024 * 1024, 'x');
  world.forward(world.client, {"SET", "k", value});
  EXPECT_FALSE(world.session(world.client)->has(kStopsInput));
  world.forward(world.client, {"SET", "k", value});
  EXPECT_TRUE(world.session(world.client)->has(kStopsInput));
  EXPECT_FALSE(world.session(world.other)->has(kStopsInput));
  world.lead(2);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n+OK\r\n");
  EXPECT_FALSE(world.session(world.client)->has(kStopsInput));
}

TEST(Forward, ACommandThatBlocksHoldsUpNobodyElse) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.here.node->send(world.client, encoded({"PING"}));
  world.forward(world.other, {"SET", "k", "v"});
  world.settle();
  world.pass(6'000'000);
  EXPECT_EQ(world.taken(world.client), "");
  EXPECT_EQ(world.taken(world.other), "+OK\r\n");
  world.forward(world.other, {"RPUSH", "list", "e"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*2\r\n$4\r\nlist\r\n$1\r\ne\r\n+PONG\r\n");
  EXPECT_EQ(world.taken(world.other), ":1\r\n");
}

TEST(Forward, WhoWaitsForAKeyElsewhereIsNotIdle) {
  TwoNodes world;
  world.lead(2);
  world.here.node->send(world.client, encoded({"CONFIG", "SET", "timeout", "2"}));
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.settle();
  for (int second = 0; second < 5; ++second) world.pass(1'000'000);
  EXPECT_TRUE(world.here.node->is_closed(world.other));
  EXPECT_FALSE(world.here.node->is_closed(world.client));
}

TEST(Forward, WhoGoesWhileItsCommandBlocksTakesNothing) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.settle();
  world.here.node->disconnect(world.client);
  world.settle();
  world.forward(world.other, {"RPUSH", "list", "e"});
  world.settle();
  EXPECT_EQ(world.asked_there({"LLEN", "list"}), ":1\r\n");
  EXPECT_EQ(world.there.state().blocked_count, 0u);
}

TEST(Forward, ACommandThatWaitsForAKeyGoesOnWaitingWhenTheConnectionIsLost) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.settle();
  for (int time = 0; time < 3; ++time) {
    world.cut();
    world.settle();
    world.join();
    world.pass(6'000'000);
  }
  EXPECT_EQ(world.taken(world.client), "");
  world.forward(world.other, {"RPUSH", "list", "a", "b"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
  EXPECT_EQ(world.asked_there({"LRANGE", "list", "0", "-1"}), "*1\r\n$1\r\nb\r\n");
  Buffer rows;
  world.rows.take_news(rows);
  EXPECT_FALSE(world.rows.reply_of_wait({.origin = 1, .incarnation = 1, .number = 1}));
}

TEST(Forward, WhatACommandThatWaitedHasTakenIsNotTakenAgain) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.settle();
  world.forward(world.other, {"RPUSH", "list", "a", "b"});
  run_and_cut(world);
  world.join();
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
  EXPECT_EQ(world.taken(world.other), ":2\r\n");
  EXPECT_EQ(world.asked_there({"LRANGE", "list", "0", "-1"}), "*1\r\n$1\r\nb\r\n");
}

TEST(Forward, TheTimeOfACommandThatWaitsDoesNotBeginAnew) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "5"}, Kind::kBlocks);
  world.pass(3'000'000);
  world.cut();
  world.settle();
  world.join();
  world.pass(1'500'000);
  world.there.node->tick_if_due();
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.pass(600'000);
  world.there.node->tick_if_due();
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*-1\r\n");
}

TEST(Forward, ACommandThatWaitsIsNotThereTwice) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.settle();
  world.here.believed_leader = 1;
  world.here.forwarding().on_leader(0);
  world.pass(50'000);
  world.here.believed_leader = 2;
  world.here.forwarding().on_leader(0);
  world.settle();
  EXPECT_EQ(world.there.state().blocked_count, 1u);
  world.forward(world.other, {"RPUSH", "list", "a", "b"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
  EXPECT_EQ(world.asked_there({"LLEN", "list"}), ":1\r\n");
}

TEST(Forward, WhoWaitsForAKeyElsewhereIsUnblocked) {
  TwoNodes world;
  world.lead(2);
  const std::string id = std::to_string(world.session(world.client)->id);
  const auto unblocked = [&](const std::string& how) {
    world.here.node->send(world.other, encoded({"CLIENT", "UNBLOCK", id, how}));
    world.settle();
    return world.taken(world.other);
  };
  for (const bool is_error : {false, true}) {
    world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
    world.settle();
    EXPECT_EQ(world.here.state().blocked_count, 1u);
    EXPECT_EQ(world.there.state().blocked_count, 1u);
    EXPECT_EQ(unblocked(is_error ? "ERROR" : "TIMEOUT"), ":1\r\n");
    EXPECT_EQ(world.taken(world.client), is_error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : "*-1\r\n");
    EXPECT_EQ(world.here.state().blocked_count, 0u);
    EXPECT_EQ(world.there.state().blocked_count, 0u);
    EXPECT_EQ(unblocked("TIMEOUT"), ":0\r\n");
  }
  world.forward(world.client, {"RPUSH", "list", "e"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":1\r\n");
  EXPECT_EQ(world.asked_there({"LLEN", "list"}), ":1\r\n");
}

TEST(Forward, WhoWasServedBeforeItIsUnblockedKeepsWhatItGot) {
  TwoNodes world;
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.settle();
  EXPECT_EQ(world.asked_there({"RPUSH", "list", "a", "b"}), ":2\r\n");
  EXPECT_TRUE(world.here.forwarding().unblock(*world.session(world.client), CancelReason::kAsTimeout));
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
  EXPECT_EQ(world.asked_there({"LRANGE", "list", "0", "-1"}), "*1\r\n$1\r\nb\r\n");
}

// Redis does not unblock who waits for the end of a pause.  Here the node that is asked does not know what it waits for, and has said 1.
TEST(Forward, WhoIsUnblockedInAPauseOfItsLeaderWaitsNoLongerThanForItsEnd) {
  for (const bool is_served : {false, true}) {
    for (const bool is_error : {false, true}) {
      TwoNodes world;
      world.lead(2);
      if (is_served) {
        EXPECT_EQ(world.asked_there({"RPUSH", "list", "a"}), ":1\r\n");
      }
      EXPECT_EQ(world.asked_there({"CLIENT", "PAUSE", "1000", "WRITE"}), "+OK\r\n");
      world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
      world.settle();
      const std::string id = std::to_string(world.session(world.client)->id);
      world.here.node->send(world.other, encoded({"CLIENT", "UNBLOCK", id, is_error ? "ERROR" : "TIMEOUT"}));
      world.settle();
      EXPECT_EQ(world.taken(world.other), ":1\r\n");
      EXPECT_EQ(world.taken(world.client), "");
      world.pass(1'200'000);
      const std::string unblocked = is_error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : "*-1\r\n";
      EXPECT_EQ(world.taken(world.client), is_served ? "*2\r\n$4\r\nlist\r\n$1\r\na\r\n" : unblocked);
      EXPECT_EQ(world.there.state().blocked_count, 0u);
      // The next one waits as ever.
      world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
      world.pass(100'000);
      EXPECT_EQ(world.taken(world.client), "");
    }
  }
}

TEST(Forward, WhoIsUnblockedBeforeItsCommandWasSentIsAnsweredAtOnce) {
  TwoNodes world;
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  world.settle();
  EXPECT_TRUE(world.here.forwarding().unblock(*world.session(world.client), CancelReason::kAsTimeout));
  world.settle();
  EXPECT_EQ(world.taken(world.client), "*-1\r\n");
  world.lead(2);
  world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
  // The leader hears of both before it runs anything.
  EXPECT_TRUE(world.here.forwarding().unblock(*world.session(world.client), CancelReason::kAsError));
  world.settle();
  EXPECT_EQ(world.taken(world.client), "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
  EXPECT_EQ(world.there.state().blocked_count, 0u);
}

// Whether it was served is known only once a leader answers.
TEST(Forward, WhoIsUnblockedWhileTheConnectionIsLostIsAnsweredByTheLeader) {
  for (const bool was_served : {false, true}) {
    TwoNodes world;
    world.lead(2);
    world.forward(world.client, {"BLPOP", "list", "0"}, Kind::kBlocks);
    world.settle();
    if (was_served) {
      EXPECT_EQ(world.asked_there({"RPUSH", "list", "a"}), ":1\r\n");
    }
    world.cut();
    EXPECT_TRUE(world.here.forwarding().unblock(*world.session(world.client), CancelReason::kAsTimeout));
    world.settle();
    EXPECT_EQ(world.taken(world.client), "");
    world.join();
    world.settle();
    EXPECT_EQ(world.taken(world.client), was_served ? "*2\r\n$4\r\nlist\r\n$1\r\na\r\n" : "*-1\r\n");
    EXPECT_EQ(world.there.state().blocked_count, 0u);
  }
}

TEST(Forward, CommandsThatWereStoppedAtTheLeaderRunLater) {
  TwoNodes world;
  world.lead(2);
  world.asked_there({"CLIENT", "PAUSE", "1000", "WRITE"});
  world.forward(world.client, {"SET", "k", "v"});
  world.forward(world.client, {"GET", "k"}, Kind::kReads);
  world.settle();
  EXPECT_EQ(world.taken(world.client), "");
  world.pass(1'100'000);
  world.there.node->tick_if_due();
  world.settle();
  EXPECT_EQ(world.taken(world.client), "+OK\r\n$1\r\nv\r\n");
}

// Leaders come and go, the connection breaks: what was said to have happened did, once; what was said not to have happened
// did not; each client's writes are in its order; and nothing is uncertain but what had no answer in time.
TEST(Forward, WhateverHappensAnswersAreTrue) {
  constexpr uint64_t kSeed = 4711;
  for (uint64_t round = 0; round < 60; ++round) {
    Prng random(kSeed + round);
    TwoNodes world;
    const std::array<int, 2> clients{world.client, world.other};
    std::array<std::vector<std::string>, 2> sent;
    int number = 0;
    for (int step = 0; step < 300; ++step) {
      switch (random.below(9)) {
        case 0: world.lead(1 + random.below(2)); break;
        case 1: world.there.is_serving = random.below(2) == 0; break;
        case 2: world.here.believed_leader = random.below(3); break;
        case 3:
          if (random.below(4) == 0) world.is_up ? world.cut() : world.join();
          break;
        case 4: TwoNodes::deliver(world.there, 1); break;
        case 5: TwoNodes::turn(world.here, 2); break;
        case 6:
          for (Side* side : {&world.here, &world.there}) side->node->advance(static_cast<int64_t>(random.below(400'000)));
          break;
        case 7:
          world.there.forwarding().run();
          world.there.node->settle();
          break;
        default: {
          const size_t who = random.below(2);
          const std::string name = std::to_string(who) + ":" + std::to_string(++number);
          sent[who].push_back(name);
          world.add(clients[who], {"RPUSH", "all", name});
          if (random.below(2) == 0) world.here.forwarding().send_new();
        }
      }
    }
    if (!world.is_up) world.join();
    world.lead(2);
    world.pass(20'000);
    world.pass(6'000'000);
    ASSERT_EQ(world.here.forwarding().waiting_count(), 0u);

    std::vector<std::string> stored;
    for (Side* side : {&world.here, &world.there}) {
      const int reader = side->node->connect();
      side->node->send(reader, encoded({"LRANGE", "all", "0", "-1"}));
      side->node->settle();
      const std::string reply = side->node->received(reader);
      std::vector<std::string> own;
      for (size_t at = reply.find("\r\n"); at != std::string::npos; at = reply.find("\r\n", at + 2)) {
        const size_t end = reply.find("\r\n", at + 2);
        const std::string line = reply.substr(at + 2, end == std::string::npos ? end : end - at - 2);
        if (line.find(':') != std::string::npos) own.push_back(line);
      }
      for (const std::string who : {"0:", "1:"}) {
        int64_t last = 0;
        for (const std::string& each : own) {
          if (!each.starts_with(who)) continue;
          EXPECT_GT(parse_int(each.substr(2)).value_or(0), last) << "round " << round;
          last = parse_int(each.substr(2)).value_or(0);
        }
      }
      stored.insert(stored.end(), own.begin(), own.end());
    }
    for (size_t who = 0; who < 2; ++who) {
      std::string replies = world.taken(clients[who]);
      for (const std::string& name : sent[who]) {
        const size_t end = replies.find("\r\n");
        ASSERT_NE(end, std::string::npos);
        const std::string reply = replies.substr(0, end);
        replies.erase(0, end + 2);
        const auto times = std::count(stored.begin(), stored.end(), name);
        if (reply.starts_with(":")) {
          EXPECT_EQ(times, 1) << name << " " << reply << " round " << round;
        } else if (reply.starts_with("-UNCERTAIN ")) {
          EXPECT_LE(times, 1) << name << " round " << round;
        } else {
          EXPECT_TRUE(reply.starts_with("-CLUSTERDOWN ") || reply.starts_with("-TRYAGAIN ")) << reply;
          EXPECT_EQ(times, 0) << name << " " << reply << " round " << round;
        }
      }
      EXPECT_EQ(replies, "");
    }
  }
}

}  // namespace
}  // namespace quorate

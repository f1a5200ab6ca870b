// Beats of a node pair: what an echo confirms, and what it does not.
#include "cluster/beats.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate::beats {
namespace {

constexpr int64_t kMillisecond = 1000;

// Two nodes and the connection between them; packets are carried by hand.
struct Two {
  explicit Two(const raft::Mistakes& mistakes = {})
      : one({.self = {1}, .peer = {2}, .incarnation = {5}}, counter_one, 11, mistakes),
        two({.self = {2}, .peer = {1}, .incarnation = {8}}, counter_two, 22) {}
  Output at_one(const Input& input) { return step(one, input); }
  Output at_two(const Input& input) { return step(two, input); }
  Output step(Pair& pair, const Input& input) {
    Output out;
    pair.step({.steady_us = now_us}, input, out);
    return out;
  }
  int64_t now_us = 1'000'000;
  BeatCounter counter_one, counter_two;
  Pair one, two;
};

std::vector<Led> leads(std::initializer_list<uint64_t> groups, uint64_t term = 7) {
  std::vector<Led> led;
  for (const uint64_t group : groups) led.push_back({{group}, {group * 10}, {term}});
  return led;
}

// The beat of `one` arrives at `two`, which does not confirm `not_confirmed`; the echo comes back.
Output beat_and_echo(Two& nodes, const Packet& beat, std::vector<GroupId> not_confirmed) {
  Output heard = nodes.at_two(in::Receive{beat});
  if (heard.judge_wanted) heard = nodes.at_two(in::Judged{std::move(not_confirmed)});
  EXPECT_EQ(heard.send.size(), 1u);
  return nodes.at_one(in::Receive{heard.send.at(0)});
}

TEST(Beats, an_echo_confirms_the_groups_that_were_judged_good) {
  Two nodes;
  nodes.at_one(in::LedChanged{leads({1, 2, 3})});
  Output out = nodes.at_one(in::Connected{});
  ASSERT_EQ(out.send.size(), 1u);
  const int64_t sent_us = nodes.now_us;
  nodes.now_us += 3 * kMillisecond;
  out = beat_and_echo(nodes, out.send[0], {{2}});
  ASSERT_TRUE(out.confirmed.has_value());
  EXPECT_EQ(out.confirmed->sent_us, sent_us);
  EXPECT_EQ(out.confirmed->beat, nodes.counter_one.last);
  EXPECT_EQ(out.confirmed->groups, leads({1, 3}));
  EXPECT_EQ(out.confirmed->refused, leads({2}));
  EXPECT_EQ(nodes.two.received_us(), nodes.now_us);
}

TEST(Beats, only_what_was_refused_is_judged_again) {
  Two nodes;
  nodes.at_one(in::LedChanged{leads({1, 2})});
  Output out = nodes.at_one(in::Connected{});
  beat_and_echo(nodes, out.send[0], {{2}});
  nodes.now_us += 50 * kMillisecond;
  out = nodes.at_one(in::Timeout{});
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_FALSE(std::get<Beat>(out.send[0]).led.has_value());  // the list is known there
  Output heard = nodes.at_two(in::Receive{out.send[0]});
  EXPECT_EQ(heard.judge, leads({2}));
  heard = nodes.at_two(in::Judged{});
  out = nodes.at_one(in::Receive{heard.send.at(0)});
  EXPECT_EQ(out.confirmed->groups, leads({1, 2}));
  // From now on the echo leaves without a question.
  nodes.now_us += 50 * kMillisecond;
  out = nodes.at_one(in::Timeout{});
  heard = nodes.at_two(in::Receive{out.send[0]});
  EXPECT_FALSE(heard.judge_wanted);
  ASSERT_EQ(heard.send.size(), 1u);
}

// The peer was no member for a moment, and knows what it was told before.
TEST(Beats, a_pair_that_was_made_anew_is_not_confirmed_what_the_one_before_had_listed) {
  Two nodes;
  nodes.at_one(in::LedChanged{leads({1, 2})});
  Output out = nodes.at_one(in::Connected{});
  beat_and_echo(nodes, out.send.at(0), {});
  Pair anew({.self = {1}, .peer = {2}, .incarnation = {5}}, nodes.counter_one, 12);
  nodes.step(anew, in::LedChanged{leads({1, 3})});
  out = nodes.step(anew, in::Connected{});
  Output heard = nodes.at_two(in::Receive{out.send.at(0)});
  EXPECT_EQ(heard.judge, leads({1, 3}));
  heard = nodes.at_two(in::Judged{{{3}}});
  out = nodes.step(anew, in::Receive{heard.send.at(0)});
  ASSERT_TRUE(out.confirmed.has_value());
  EXPECT_EQ(out.confirmed->groups, leads({1}));
  EXPECT_EQ(out.confirmed->refused, leads({3}));
}

TEST(Beats, the_echoes_of_a_pair_that_was_made_anew_count) {
  Two nodes;
  nodes.at_one(in::LedChanged{leads({1, 2})});
  Output out = nodes.at_one(in::Connected{});
  nodes.at_two(in::SupportWithdrawn{{2}});
  nodes.at_two(in::SupportWithdrawn{{2}});
  beat_and_echo(nodes, out.send.at(0), {});
  Pair anew({.self = {2}, .peer = {1}, .incarnation = {8}}, nodes.counter_two, 23);
  nodes.now_us += 50 * kMillisecond;
  out = nodes.at_one(in::Timeout{});
  Output heard = nodes.step(anew, in::Receive{out.send.at(0)});
  ASSERT_EQ(heard.send.size(), 1u);
  // It has asked for the list, which the next beat brings.
  nodes.at_one(in::Receive{heard.send.at(0)});
  nodes.now_us += 50 * kMillisecond;
  out = nodes.at_one(in::Timeout{});
  heard = nodes.step(anew, in::Receive{out.send.at(0)});
  EXPECT_EQ(heard.judge, leads({1, 2}));
  heard = nodes.step(anew, in::Judged{});
  out = nodes.at_one(in::Receive{heard.send.at(0)});
  ASSERT_TRUE(out.confirmed.has_value());
  EXPECT_EQ(out.confirmed->groups, leads({1, 2}));
}

TEST(Beats, a_group_without_a_replica_there_is_told_but_neither_judged_nor_confirmed) {
  Two nodes;
  std::vector<Led> led = leads({1, 2});
  led.push_back({.group = {3}, .leader = {}, .term = {7}});
  nodes.at_one(in::LedChanged{led});
  Output out = nodes.at_one(in::Connected{});
  Output heard = nodes.at_two(in::Receive{out.send.at(0)});
  EXPECT_EQ(heard.judge, leads({1, 2}));
  EXPECT_EQ(std::vector<Led>(nodes.two.peer_leads().begin(), nodes.two.peer_leads().end()), led);
  heard = nodes.at_two(in::Judged{{{2}}});
  out = nodes.at_one(in::Receive{heard.send.at(0)});
  EXPECT_EQ(out.confirmed->groups, leads({1}));
  EXPECT_EQ(out.confirmed->refused, leads({2}));
}

TEST(Beats, withdrawn_support_is_not_confirmed_until_it_is_judged_again) {
  Two nodes;
  nodes.at_one(in::LedChanged{leads({1, 2})});
  Output out = nodes.at_one(in::Connected{});
  // The echo is made, then a vote is granted in group 1, then the echo of a further beat overtakes
  // it.
  Output heard = nodes.at_two(in::Receive{out.send[0]});
  const Output early = nodes.at_two(in::Judged{});
  nodes.at_two(in::SupportWithdrawn{{1}});
  out = nodes.at_one(in::RoundWanted{});
  out = beat_and_echo(nodes, out.send.at(0), {{1}});
  EXPECT_EQ(out.confirmed->groups, leads({2}));
  out = nodes.at_one(in::Receive{early.send.at(0)});
  EXPECT_FALSE(out.confirmed.has_value());
}

TEST(Beats, support_withdrawn_while_it_is_judged_stays_withdrawn) {
  Two nodes;
  nodes.at_one(in::LedChanged{leads({1})});
  Output out = nodes.at_one(in::Connected{});
  Output heard = nodes.at_two(in::Receive{out.send[0]});
  nodes.at_two(in::SupportWithdrawn{{1}});
  heard = nodes.at_two(in::Judged{});
  out = nodes.at_one(in::Receive{heard.send.at(0)});
  EXPECT_TRUE(out.confirmed->groups.empty());
}

TEST(Beats, an_echo_counts_once_and_only_for_its_beat_and_incarnation) {
  Two nodes;
  nodes.at_one(in::LedChanged{leads({1})});
  const Output beat = nodes.at_one(in::Connected{});
  Output heard = nodes.at_two(in::Receive{beat.send[0]});
  heard = nodes.at_two(in::Judged{});
  Echo forged = std::get<Echo>(heard.send.at(0));
  forged.nonce ^= 1;
  EXPECT_FALSE(nodes.at_one(in::Receive{forged}).confirmed.has_value());
  forged = std::get<Echo>(heard.send[0]);
  forged.beat_incarnation = {4};
  EXPECT_FALSE(nodes.at_one(in::Receive{forged}).confirmed.has_value());
  EXPECT_TRUE(nodes.at_one(in::Receive{heard.send[0]}).confirmed.has_value());
  EXPECT_FALSE(nodes.at_one(in::Receive{heard.send[0]}).confirmed.has_value());
}

TEST(Beats, a_doubled_or_late_beat_is_not_echoed) {
  Two nodes;
  const Output first = nodes.at_one(in::Connected{});
  const Output second = nodes.at_one(in::RoundWanted{});
  EXPECT_EQ(nodes.at_two(in::Receive{second.send[0]}).send.size(), 1u);
  EXPECT_TRUE(nodes.at_two(in::Receive{first.send[0]}).send.empty());
  EXPECT_TRUE(nodes.at_two(in::Receive{second.send[0]}).send.empty());
}

TEST(Beats, a_restart_voids_what_was_known_of_the_peer) {
  Two nodes;
  nodes.at_one(in::LedChanged{leads({1})});
  const Output beat = nodes.at_one(in::Connected{});
  nodes.at_two(in::Receive{beat.send[0]});
  Beat again = std::get<Beat>(beat.send[0]);
  again.incarnation = {6};
  again.number = {1};
  again.led = leads({2});
  const Output heard = nodes.at_two(in::Receive{again});
  EXPECT_TRUE(heard.peer_restarted);
  EXPECT_EQ(heard.judge, leads({2}));
  // The old life says nothing more.
  const Output old = nodes.at_two(in::Receive{beat.send[0]});
  EXPECT_FALSE(old.heard);
  EXPECT_EQ(nodes.two.peer_leads().size(), 1u);
}

TEST(Beats, silence_and_a_closed_connection_are_told_once) {
  Two nodes;
  const Output beat = nodes.at_one(in::Connected{});
  nodes.at_two(in::Receive{beat.send[0]});
  EXPECT_TRUE(nodes.two.peer_is_heard());
  nodes.now_us += 249 * kMillisecond;
  EXPECT_FALSE(nodes.at_two(in::Timeout{}).silent.has_value());
  nodes.now_us = nodes.two.deadline();
  EXPECT_EQ(nodes.at_two(in::Timeout{}).silent, raft::Silence::kNoBeats);
  EXPECT_FALSE(nodes.two.peer_is_heard());
  EXPECT_EQ(nodes.two.deadline(), kNever);
  EXPECT_FALSE(nodes.at_two(in::Closed{}).silent.has_value());
  const Output more = nodes.at_one(in::RoundWanted{});
  nodes.at_two(in::Receive{more.send[0]});
  EXPECT_EQ(nodes.at_two(in::Closed{}).silent, raft::Silence::kClosed);
}

TEST(Beats, who_stood_still_reads_what_came_meanwhile_before_it_suspects) {
  Two nodes;
  nodes.at_two(in::Connected{});
  const Output beat = nodes.at_one(in::Connected{});
  nodes.at_two(in::Receive{beat.send[0]});
  nodes.now_us += 400 * kMillisecond;
  EXPECT_FALSE(nodes.at_two(in::Timeout{}).silent.has_value());
  // Nothing had come.
  nodes.now_us += 50 * kMillisecond;
  EXPECT_FALSE(nodes.at_two(in::Timeout{}).silent.has_value());
  nodes.now_us += 50 * kMillisecond;
  EXPECT_EQ(nodes.at_two(in::Timeout{}).silent, raft::Silence::kNoBeats);
}

TEST(Beats, whose_turns_are_always_long_suspects_all_the_same) {
  Two nodes;
  nodes.at_two(in::Connected{});
  const Output beat = nodes.at_one(in::Connected{});
  nodes.at_two(in::Receive{beat.send[0]});
  bool is_silent = false;
  for (int turn = 0; turn < 4; ++turn) {
    nodes.now_us += 200 * kMillisecond;
    is_silent = is_silent || nodes.at_two(in::Timeout{}).silent.has_value();
  }
  EXPECT_TRUE(is_silent);
}

TEST(Beats, whose_beats_come_late_is_suspected_later) {
  Two nodes;
  const auto beat = [&](int64_t after_ms) {
    nodes.now_us += after_ms * kMillisecond;
    const Output sent = nodes.at_one(in::RoundWanted{});
    nodes.at_two(in::Receive{sent.send.at(0)});
  };
  const auto patience_us = [&] { return nodes.two.deadline() - nodes.now_us; };
  nodes.at_one(in::Connected{});
  for (int count = 0; count < 10; ++count) beat(50);
  EXPECT_LE(patience_us(), 300 * kMillisecond);
  beat(150);
  EXPECT_GE(patience_us(), 440 * kMillisecond);
  // However late, and it is forgotten.
  beat(5000);
  EXPECT_LE(patience_us(), 550 * kMillisecond);
  for (int count = 0; count < 200; ++count) beat(50);
  EXPECT_LE(patience_us(), 310 * kMillisecond);
  // A connection that is made anew says nothing of how long there was none.
  nodes.at_two(in::Closed{});
  beat(1000);
  EXPECT_LE(patience_us(), 300 * kMillisecond);
}

TEST(Beats, a_list_that_was_missed_is_sent_again) {
  Two nodes;
  nodes.at_one(in::Connected{});
  nodes.at_one(in::LedChanged{leads({1})});
  Beat without = std::get<Beat>(nodes.at_one(in::RoundWanted{}).send.at(0));
  without.led.reset();
  Output heard = nodes.at_two(in::Receive{without});
  ASSERT_EQ(heard.send.size(), 1u);
  const Output out = nodes.at_one(in::Receive{heard.send[0]});
  EXPECT_FALSE(out.confirmed.has_value());
  EXPECT_TRUE(std::get<Beat>(nodes.at_one(in::RoundWanted{}).send.at(0)).led.has_value());
}

TEST(Beats, the_planted_mistake_takes_a_refusal_for_a_confirmation) {
  Two nodes({.beats_confirm_all_groups = true});
  nodes.at_one(in::LedChanged{leads({1, 2})});
  Output out = nodes.at_one(in::Connected{});
  out = beat_and_echo(nodes, out.send[0], {{1}, {2}});
  EXPECT_EQ(out.confirmed->groups, leads({1, 2}));
}

TEST(Beats, an_idle_pair_beats_every_fifty_milliseconds) {
  Two nodes;
  nodes.at_one(in::Connected{});
  EXPECT_EQ(nodes.one.deadline(), nodes.now_us + 50 * kMillisecond);
  EXPECT_TRUE(nodes.at_one(in::Timeout{}).send.empty());
  nodes.now_us += 50 * kMillisecond;
  EXPECT_EQ(nodes.at_one(in::Timeout{}).send.size(), 1u);
  EXPECT_TRUE(nodes.at_one(in::Closed{}).send.empty());
  EXPECT_EQ(nodes.one.deadline(), kNever);
}

// How often each of the two was woken within a second of beats: by its own clock or by a packet burst that arrived 1 ms after it left.
TEST(Beats, those_of_both_leave_together) {
  struct Flight {
    int64_t at_us = 0;
    std::vector<Packet> packets = {};
  };
  Two nodes;
  std::vector<Flight> to_one, to_two;
  const auto fly = [&](const Output& out, std::vector<Flight>& way) {
    if (!out.send.empty()) way.push_back({nodes.now_us + kMillisecond, out.send});
  };
  fly(nodes.at_one(in::Connected{}), to_two);
  nodes.now_us += 20 * kMillisecond;  // whatever their clocks were when they met
  fly(nodes.at_two(in::Connected{}), to_one);
  int woken = 0;
  int beats = 0;
  const auto arrive = [&](std::vector<Flight>& way, Pair& pair, std::vector<Flight>& back) {
    while (!way.empty() && way.front().at_us <= nodes.now_us) {
      const Flight flight = way.front();
      way.erase(way.begin());
      ++woken;
      Output answers;
      for (const Packet& packet : flight.packets) {
        if (std::holds_alternative<Beat>(packet)) ++beats;
        const Output out = nodes.step(pair, in::Receive{packet});
        answers.send.insert(answers.send.end(), out.send.begin(), out.send.end());
      }
      fly(answers, back);
    }
  };
  const int64_t from_us = nodes.now_us + 200 * kMillisecond;
  for (; nodes.now_us < from_us + 1000 * kMillisecond; nodes.now_us += kMillisecond) {
    if (nodes.now_us == from_us) woken = beats = 0;
    arrive(to_two, nodes.two, to_one);
    arrive(to_one, nodes.one, to_two);
    for (const auto& [pair, way] : {std::pair{&nodes.one, &to_two}, std::pair{&nodes.two, &to_one}}) {
      if (pair->deadline() > nodes.now_us) continue;
      ++woken;
      fly(nodes.step(*pair, in::Timeout{}), *way);
    }
  }
  EXPECT_GE(beats, 2 * 19);  // of each, every 50 ms
  EXPECT_LE(woken, 2 * beats + 4);  // the beat's own clock, or what it came with, and its echo
}

TEST(Beats, a_beat_that_is_nearly_due_leaves_with_what_else_is_due) {
  Two nodes;
  nodes.at_one(in::Connected{});
  nodes.now_us += 40 * kMillisecond;
  EXPECT_TRUE(nodes.at_one(in::Timeout{}).send.empty());
  nodes.now_us += 5 * kMillisecond;
  EXPECT_EQ(nodes.at_one(in::Timeout{}).send.size(), 1u);
}

}  // namespace
}  // namespace quorate::beats

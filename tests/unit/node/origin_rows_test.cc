// What is known of the writes that nodes have forwarded.
#include "node/origin_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "util/prng.h"

namespace quorate {
namespace {

using Place = OriginRows::Place;

NumberedWrite write(uint64_t number, uint64_t lowest_wanted = 1, uint64_t incarnation = 1, NodeId origin = 7) {
  return {.origin = origin, .incarnation = incarnation, .number = number, .lowest_wanted = lowest_wanted};
}

std::string news_of(OriginRows& rows) {
  Buffer out;
  rows.take_news(out);
  return std::string(out.view());
}

std::string encoded_rows(const OriginRows& rows) {
  Buffer out;
  rows.encode(out);
  return std::string(out.view());
}

TEST(OriginRows, numbers_run_in_order_and_once) {
  OriginRows rows;
  EXPECT_EQ(rows.place_of(write(1)), Place::kNext);
  EXPECT_EQ(rows.place_of(write(2)), Place::kTooEarly);
  rows.note(write(1), "+OK\r\n");
  EXPECT_EQ(rows.place_of(write(1)), Place::kBehind);
  EXPECT_EQ(rows.reply_of(write(1)), "+OK\r\n");
  EXPECT_EQ(rows.place_of(write(2)), Place::kNext);
  EXPECT_EQ(rows.place_of(write(1, 1, 1, 8)), Place::kNext);
}

TEST(OriginRows, the_log_says_which_leader_acknowledges_weakly_until_a_later_one_begins) {
  OriginRows leader;
  OriginRows follower;
  EXPECT_EQ(leader.weak_term(), 0u);
  leader.note(write(1), "+OK\r\n");
  leader.say_weak(5);
  leader.say_weak(5);
  EXPECT_EQ(leader.weak_term(), 5u);
  EXPECT_TRUE(follower.apply(news_of(leader)).ok());
  EXPECT_EQ(follower.weak_term(), 5u);
  EXPECT_EQ(follower.digest(), leader.digest());
  // With a state as well.
  OriginRows installed;
  EXPECT_TRUE(installed.install(encoded_rows(leader)).ok());
  EXPECT_EQ(installed.weak_term(), 5u);
  // The next one leads, and has said nothing that stands in the log: then it counts for nothing.
  follower.begin_term(7);
  EXPECT_EQ(follower.weak_term(), 0u);
  follower.forget_news();
  EXPECT_EQ(follower.weak_term(), 5u);
  follower.begin_term(8);
  EXPECT_TRUE(leader.apply(news_of(follower)).ok());
  EXPECT_EQ(leader.weak_term(), 0u);
  EXPECT_EQ(follower.weak_term(), 0u);
  EXPECT_EQ(encoded_rows(follower), encoded_rows(leader));
  follower.say_weak(8);
  EXPECT_TRUE(leader.apply(news_of(follower)).ok());
  EXPECT_EQ(leader.weak_term(), 8u);
  EXPECT_EQ(leader.last(7, 1), 1u);
}

TEST(OriginRows, what_nobody_wants_is_passed_over_and_forgotten) {
  OriginRows rows;
  rows.note(write(1), ":1\r\n");
  rows.note(write(2), ":2\r\n");
  EXPECT_EQ(rows.place_of(write(5, 4)), Place::kTooEarly);
  EXPECT_EQ(rows.place_of(write(5, 5)), Place::kNext);
  rows.note(write(5, 5), ":5\r\n");
  EXPECT_EQ(rows.last(7, 1), 5u);
  EXPECT_EQ(rows.place_of(write(4)), Place::kBehind);
  EXPECT_FALSE(rows.reply_of(write(2)));
  EXPECT_FALSE(rows.reply_of(write(4)));
  EXPECT_EQ(rows.reply_of(write(5)), ":5\r\n");
}

TEST(OriginRows, a_follower_knows_what_the_log_says) {
  OriginRows leader;
  OriginRows follower;
  const std::string replies[] = {"+OK\r\n", ":-9223372036854775808\r\n", "$3\r\nabc\r\n", "-ERR no\r\n", ":007\r\n", "*0\r\n"};
  for (uint64_t number = 1; number <= 6; ++number) {
    leader.note(write(number), replies[number - 1]);
    if (number % 2 != 0) continue;
    EXPECT_TRUE(follower.apply(news_of(leader)).ok());
  }
  EXPECT_FALSE(leader.has_news());
  for (uint64_t number = 1; number <= 6; ++number) EXPECT_EQ(follower.reply_of(write(number)), replies[number - 1]);
  EXPECT_EQ(encoded_rows(follower), encoded_rows(leader));
  EXPECT_EQ(follower.digest(), leader.digest());
}

TEST(OriginRows, what_is_in_no_entry_is_not_passed_on_and_can_be_forgotten) {
  OriginRows rows;
  rows.note(write(1), ":1\r\n");
  news_of(rows);
  const std::string logged = encoded_rows(rows);
  const uint64_t digest = rows.digest();
  rows.note(write(2), ":0\r\n");
  rows.note(write(7, 7), ":0\r\n");
  rows.note(write(1, 1, 1, 8), ":0\r\n");
  EXPECT_EQ(rows.digest(), digest);
  OriginRows other;
  ASSERT_TRUE(other.install(encoded_rows(rows)).ok());
  EXPECT_EQ(other.last(7, 1), 1u);
  EXPECT_EQ(other.last(8, 1), 0u);
  rows.forget_news();
  EXPECT_EQ(rows.last(7, 1), 1u);
  EXPECT_EQ(rows.place_of(write(2)), Place::kNext);
  EXPECT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows.digest(), digest);
}

TEST(OriginRows, the_log_is_right_about_what_was_noted_without_it) {
  OriginRows old_leader;
  old_leader.note(write(1), ":1\r\n");
  OriginRows new_leader;
  ASSERT_TRUE(new_leader.apply(news_of(old_leader)).ok());
  old_leader.note(write(2), ":0\r\n");
  new_leader.note(write(2), ":1\r\n");
  ASSERT_TRUE(old_leader.apply(news_of(new_leader)).ok());
  EXPECT_EQ(old_leader.reply_of(write(2)), ":1\r\n");
  EXPECT_EQ(old_leader.last(7, 1), 2u);
}

TEST(OriginRows, a_newer_incarnation_takes_the_place_of_the_older) {
  OriginRows rows;
  rows.note(write(1), ":1\r\n");
  news_of(rows);
  rows.note(write(1, 1, 2), ":2\r\n");
  EXPECT_EQ(rows.place_of(write(2, 1, 1)), Place::kOutdated);
  // Until the log says so the older one is what others know.
  EXPECT_EQ(rows.size(), 2u);
  OriginRows follower;
  ASSERT_TRUE(follower.install(encoded_rows(rows)).ok());
  EXPECT_EQ(follower.last(7, 1), 1u);
  ASSERT_TRUE(follower.apply(news_of(rows)).ok());
  for (const OriginRows* each : {&rows, &follower}) {
    EXPECT_EQ(each->size(), 1u);
    EXPECT_EQ(each->last(7, 2), 1u);
    EXPECT_EQ(each->place_of(write(2, 1, 1)), Place::kOutdated);
  }
}

TEST(OriginRows, tokens_are_served_in_any_order_and_known_until_they_are_dropped) {
  OriginRows leader;
  OriginRows follower;
  for (const uint64_t token : {9u, 4u}) {
    EXPECT_EQ(leader.place_of_wait(write(token)), Place::kNext);
    leader.note_wait(write(token), "$1\r\n" + std::to_string(token) + "\r\n");
    EXPECT_EQ(leader.place_of_wait(write(token)), Place::kBehind);
    ASSERT_TRUE(follower.apply(news_of(leader)).ok());
  }
  EXPECT_EQ(follower.reply_of_wait(write(4)), "$1\r\n4\r\n");
  EXPECT_EQ(follower.reply_of_wait(write(9)), "$1\r\n9\r\n");
  EXPECT_EQ(follower.place_of_wait(write(5)), Place::kNext);
  EXPECT_EQ(follower.place_of(write(1)), Place::kNext);
  leader.drop_wait(7, 9);
  leader.drop_wait(8, 4);
  EXPECT_EQ(leader.digest(), follower.digest());
  leader.note_wait(write(11, 5), ":1\r\n");
  ASSERT_TRUE(follower.apply(news_of(leader)).ok());
  for (const OriginRows* each : {&leader, &follower}) {
    EXPECT_EQ(each->place_of_wait(write(9)), Place::kNext);
    EXPECT_EQ(each->place_of_wait(write(4)), Place::kNext);
    EXPECT_EQ(each->place_of_wait(write(11)), Place::kBehind);
  }
  EXPECT_EQ(encoded_rows(leader), encoded_rows(follower));
  OriginRows other;
  ASSERT_TRUE(other.install(encoded_rows(leader)).ok());
  EXPECT_EQ(other.digest(), leader.digest());
}

TEST(OriginRows, tokens_that_no_entry_speaks_of_are_forgotten) {
  OriginRows rows;
  rows.note_wait(write(1), ":1\r\n");
  news_of(rows);
  const std::string logged = encoded_rows(rows);
  rows.note_wait(write(2), ":2\r\n");
  rows.drop_wait(7, 1);
  EXPECT_EQ(encoded_rows(rows), logged);
  rows.forget_news();
  EXPECT_EQ(rows.place_of_wait(write(1)), Place::kBehind);
  EXPECT_EQ(rows.place_of_wait(write(2)), Place::kNext);
  EXPECT_EQ(encoded_rows(rows), logged);
}

TEST(OriginRows, of_too_many_tokens_the_oldest_are_not_known_any_more) {
  OriginRows rows;
  for (uint64_t token = 1; token <= OriginRows::kRepliesMax + 5; ++token) rows.note_wait(write(token), ":1\r\n");
  EXPECT_EQ(rows.place_of_wait(write(5)), Place::kOutdated);
  EXPECT_EQ(rows.place_of_wait(write(6)), Place::kBehind);
  EXPECT_FALSE(rows.reply_of_wait(write(5)));
}

TEST(OriginRows, the_memory_of_a_row_is_bounded) {
  OriginRows rows;
  const std::string large(40'000, 'x');
  for (uint64_t number = 1; number <= 20; ++number) rows.note(write(number), large);
  EXPECT_LE(rows.memory(), OriginRows::kReplyBytesMax + 10'000);
  EXPECT_TRUE(rows.reply_of(write(6)));
  EXPECT_FALSE(rows.reply_of(write(7)));
  EXPECT_EQ(rows.place_of(write(20)), Place::kBehind);
  rows.note(write(21), std::string(OriginRows::kReplySizeMax + 1, 'x'));
  EXPECT_FALSE(rows.reply_of(write(21)));
  for (uint64_t number = 22; number <= 22 + 2 * OriginRows::kRepliesMax; ++number) rows.note(write(number), ":1\r\n");
  EXPECT_LE(rows.memory(), 2 * OriginRows::kRepliesMax * sizeof(std::string));
  EXPECT_EQ(rows.last(7, 1), 22 + 2 * OriginRows::kRepliesMax);
}

TEST(OriginRows, damaged_bytes_change_nothing) {
  OriginRows rows;
  rows.note(write(1), "$3\r\nabc\r\n");
  const std::string news = news_of(rows);
  for (size_t size = 0; size < news.size(); ++size) {
    OriginRows other;
    EXPECT_FALSE(other.apply(news.substr(0, size)).ok());
    EXPECT_EQ(other.size(), 0u);
  }
  EXPECT_FALSE(OriginRows::check(news + "x").ok());
  EXPECT_TRUE(OriginRows::check(news).ok());
  EXPECT_TRUE(OriginRows::check(std::string(1, '\0')).ok());
}

// A leader, a follower that applies its entries, and one that is brought up by a state now and then: all know the same.
TEST(OriginRows, all_copies_agree) {
  Prng random(11);
  for (int round = 0; round < 50; ++round) {
    OriginRows leader;
    OriginRows follower;
    std::map<NodeId, NumberedWrite> origins;
    for (int step = 0; step < 200; ++step) {
      const NodeId origin = 1 + random.below(3);
      NumberedWrite& next = origins[origin];
      next.origin = origin;
      if (next.incarnation == 0 || random.below(40) == 0) next = {.origin = origin, .incarnation = next.incarnation + 1};
      next.number += random.below(10) == 0 ? 3 : 1;
      const bool has_skipped = leader.last(origin, next.incarnation) + 1 != next.number;
      next.lowest_wanted = has_skipped ? next.number : std::max<uint64_t>(next.lowest_wanted, next.number - random.below(std::min<uint64_t>(next.number, 5)));
      ASSERT_EQ(leader.place_of(next), Place::kNext);
      leader.note(next, ":" + std::to_string(step) + "\r\n");
      if (random.below(3) != 0) continue;
      ASSERT_TRUE(follower.apply(news_of(leader)).ok());
      ASSERT_EQ(follower.digest(), leader.digest());
      if (random.below(4) == 0) {
        ASSERT_TRUE(follower.install(encoded_rows(leader)).ok());
      }
      ASSERT_EQ(encoded_rows(follower), encoded_rows(leader)) << round << " " << step;
      if (random.below(5) == 0) std::swap(leader, follower);
    }
  }
}

}  // namespace
}  // namespace quorate

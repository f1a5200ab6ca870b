// Levels as people write them and as nodes send them; how old a copy is; streams of copies.
#include "node/levels.h"

#include <gtest/gtest.h>

#include <string>

#include "node/freshness.h"
#include "node/level_streams.h"

namespace quorate {
namespace {

TEST(Levels, WhatIsWrittenComesBack) {
  for (const std::string text : {"quorum", "all", "1", "3", "16"}) {
    const auto level = parse_write_level(text);
    ASSERT_TRUE(level && level->is_set()) << text;
    EXPECT_EQ(text_of(*level), text);
    EXPECT_EQ(write_level_of(number_of(*level)), level);
  }
  for (const std::string text : {"lease", "quorum", "local", "1", "16", "bounded:0", "bounded:2147483647"}) {
    const auto level = parse_read_level(text);
    ASSERT_TRUE(level && level->is_set()) << text;
    EXPECT_EQ(text_of(*level), text);
    EXPECT_EQ(read_level_of(number_of(*level)), level);
  }
  EXPECT_EQ(parse_write_level("ALL"), parse_write_level("all"));
  EXPECT_EQ(parse_read_level("Bounded:5"), parse_read_level("bounded:5"));
}

TEST(Levels, WhatIsNoLevelIsRefused) {
  for (const std::string text : {"", "0", "17", "-1", "lease", "local", "q", "1 "}) EXPECT_FALSE(parse_write_level(text)) << text;
  for (const std::string text : {"", "0", "17", "all", "bounded", "bounded:", "bounded:-1", "bounded:2147483648", "x"}) {
    EXPECT_FALSE(parse_read_level(text)) << text;
  }
  for (const uint64_t number : {uint64_t{17}, uint64_t{63}, uint64_t{66}, UINT64_MAX}) EXPECT_FALSE(write_level_of(number));
  for (const uint64_t number : {uint64_t{6}, uint64_t{9}, uint64_t{4}, uint64_t{4 + 8 * 17}, UINT64_MAX}) EXPECT_FALSE(read_level_of(number));
}

TEST(Levels, WhatIsNotSaidIsTakenFromTheNext) {
  const Levels only_write{.write = {2}};
  const Levels both{.write = {WriteLevel::kAll}, .read = {.kind = ReadLevel::Kind::kLocal}};
  EXPECT_EQ(only_write.or_else(both), (Levels{.write = {2}, .read = both.read}));
  EXPECT_EQ(both.or_else(only_write), both);
  EXPECT_FALSE(Levels().is_set());
  EXPECT_EQ(write_level_of(0), WriteLevel());
  EXPECT_EQ(read_level_of(0), ReadLevel());
}

TEST(Freshness, ACopyIsAsOldAsTheQuestionWhoseAnswerItHasReached) {
  Freshness freshness;
  EXPECT_EQ(freshness.age_us(1000, 5), INT64_MAX);
  freshness.told(1000, 10);
  EXPECT_EQ(freshness.age_us(1500, 9), INT64_MAX);
  EXPECT_EQ(freshness.age_us(1500, 10), 500);
  freshness.told(1400, 10);
  freshness.told(1200, 10);
  EXPECT_EQ(freshness.age_us(1500, 10), 100);
}

TEST(Freshness, ACopyThatIsAlwaysALittleBehindIsFreshAllTheSame) {
  Freshness freshness;
  // The leader commits one entry a millisecond, and the copy is three behind.
  for (int64_t now_us = 1000; now_us <= 100'000; now_us += 1000) {
    const auto index = static_cast<uint64_t>(now_us / 1000 + 10);
    freshness.told(now_us, index);
    const int64_t age_us = freshness.age_us(now_us, index - 3);
    EXPECT_GE(age_us, 3000) << now_us;
    EXPECT_LE(age_us, now_us > 10'000 ? 7000 : INT64_MAX) << now_us;
  }
}

TEST(LevelStreams, WhoNeedNotWaitDoesNotBringForwardTheEndOfWhoMust) {
  Streams streams(1);
  LevelStreams levels(streams);
  levels.copies(2, 5, 0);
  levels.advance_copies(2, 5, 0);
  levels.copies(2, 5, 1000);
  levels.copies(2, 6, 9000);
  int overdue = 0;
  const auto count = [&](auto) { ++overdue; };
  levels.take_overdue(5000, count, count);
  EXPECT_EQ(overdue, 0);
  levels.take_overdue(9000, count, count);
  EXPECT_EQ(overdue, 1);
}

}  // namespace
}  // namespace quorate

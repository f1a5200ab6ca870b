// Effects: what is added is read back, golden bytes of the encoding, and refusal of damage.
#include "store/effects.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace quorate {
namespace {

Key key_of(std::string_view bytes) { return Key{bytes, 0, key_slot(bytes)}; }

TEST(Effects, AreReadBackInOrder) {
  Effects effects;
  effects.set_collecting(true);
  const std::string big(70000, 'x');
  effects.add(0, key_of("foo"), {"SET", "foo", "bar"});
  effects.add(300, key_of("k"), {"SADD", "k", "", big});
  EXPECT_EQ(effects.count(), 2u);

  EffectReader reader(effects.bytes());
  Effect effect;
  ASSERT_TRUE(reader.next(effect).ok());
  EXPECT_EQ(effect.database, 0);
  EXPECT_EQ(effect.slot, key_slot("foo"));
  EXPECT_EQ(effect.args, (std::vector<std::string_view>{"SET", "foo", "bar"}));
  ASSERT_TRUE(reader.next(effect).ok());
  EXPECT_EQ(effect.database, 300);
  EXPECT_EQ(effect.args, (std::vector<std::string_view>{"SADD", "k", "", big}));
  EXPECT_TRUE(reader.at_end());
}

TEST(Effects, AreNotCollectedWhenNobodyKeepsALog) {
  Effects effects;
  effects.add(0, key_of("foo"), {"DEL", "foo"});
  EXPECT_EQ(effects.count(), 0u);
  EXPECT_TRUE(effects.bytes().empty());
}

// The log's format: raise log_format version when this must change.
TEST(Effects, HaveTheirGoldenBytes) {
  Effects effects;
  effects.set_collecting(true);
  effects.add(2, key_of("foo"), {"SET", "foo", "bar"});
  ASSERT_EQ(key_slot("foo"), 0x2f96);  // 12182
  EXPECT_EQ(effects.bytes(), std::string_view("\x02\x96\x2f\x03\x03SET\x03"
                                              "foo\x03"
                                              "bar"));
}

// ---- by partition ---------------------------------------------------------------------------------------

TEST(Effects, OfATurnAreOneRunForAllPartitions) {
  Effects effects;
  effects.set_collecting(true);
  EXPECT_TRUE(effects.touched().empty());
  effects.add(0, key_of("foo"), {"SET", "foo", "bar"});
  effects.add(0, key_of("a"), {"SET", "a", "b"});
  effects.add(0, Key{}, {"FLUSHALL"});
  ASSERT_EQ(effects.touched().size(), 1u);
  EXPECT_EQ(effects.touched()[0], 0u);
  EXPECT_EQ(effects.bytes_of(0), effects.bytes());
  effects.clear();
  EXPECT_TRUE(effects.touched().empty());
}

TEST(Effects, ByPartitionEachHasItsOwnRunInTheOrderOfItsFirst) {
  constexpr uint32_t kPartitions = 128;
  Effects effects;
  effects.set_collecting(true);
  effects.set_grouping(Effects::Grouping::kPartition, kPartitions);
  Effects alone;
  alone.set_collecting(true);
  for (int round = 0; round < 3; ++round) {
    const std::string big(round == 1 ? 100'000 : 3, 'x');
    effects.add(0, key_of("foo"), {"SET", "foo", big});  // slot 12182
    effects.add(0, key_of("a"), {"SET", "a", "b"});      // slot 15495
    effects.add(3, key_of("{foo}2"), {"DEL", "{foo}2"});
    EXPECT_EQ(effects.count(), 3u);
    ASSERT_EQ(effects.touched().size(), 2u);
    EXPECT_EQ(effects.touched()[0], 12182u / 128);
    EXPECT_EQ(effects.touched()[1], 15495u / 128);
    alone.add(0, key_of("foo"), {"SET", "foo", big});
    alone.add(3, key_of("{foo}2"), {"DEL", "{foo}2"});
    EXPECT_EQ(effects.bytes_of(12182 / 128), alone.bytes());
    EXPECT_TRUE(effects.bytes_of(0).empty());
    alone.clear();
    effects.clear();
    EXPECT_EQ(effects.count(), 0u);
    EXPECT_TRUE(effects.touched().empty());
    EXPECT_TRUE(effects.bytes_of(12182 / 128).empty());
  }
  effects.set_grouping(Effects::Grouping::kTurn, kPartitions);
  effects.add(0, key_of("foo"), {"SET", "foo", "bar"});
  EXPECT_FALSE(effects.bytes().empty());
}

TEST(Effects, ARunIsTakenBehindItsFrontAndALargeOneIsNotCopied) {
  Effects effects;
  effects.set_collecting(true);
  effects.set_grouping(Effects::Grouping::kPartition, 128);
  EXPECT_EQ(effects.take(0, "front").view(), "front");
  const uint32_t partition = 12182 / 128;
  for (const size_t size : {3u, 100'000u, 100u}) {
    const std::string value(size, 'x');
    effects.add(0, key_of("foo"), {"SET", "foo", value});
    const std::string before(effects.bytes_of(partition));
    const char* const place = effects.bytes_of(partition).data();
    const SharedBytes taken = effects.take(partition, "stamp");
    EXPECT_EQ(taken.view(), "stamp" + before);
    EXPECT_EQ(taken.view().data() + 5 == place, size > 64 << 10);
    effects.clear();
    EXPECT_TRUE(effects.bytes_of(partition).empty());
  }
}

TEST(Effects, AClearedPartitionIsNoCommand) {
  for (const uint32_t partitions : {1u, 128u, 16384u}) {
    Effects effects;
    effects.set_grouping(Effects::Grouping::kPartition, partitions);
    effects.add_clear(2, partitions - 1);
    EXPECT_EQ(effects.count(), 0u);  // nobody collects
    effects.set_collecting(true);
    effects.add_clear(2, partitions - 1);
    effects.add(2, Key{"a", 0, 16383}, {"FLUSHDB", "ASYNC"});
    ASSERT_EQ(effects.touched().size(), 1u);
    EffectReader reader(effects.bytes_of(partitions - 1));
    Effect effect;
    ASSERT_TRUE(reader.next(effect).ok());
    EXPECT_TRUE(is_clear(effect));
    EXPECT_EQ(effect.database, 2);
    EXPECT_EQ(effect.slot / (16384 / partitions), partitions - 1);
    ASSERT_TRUE(reader.next(effect).ok());
    EXPECT_FALSE(is_clear(effect));
  }
}

TEST(Effects, AClearedPartitionHasItsGoldenBytes) {
  Effects effects;
  effects.set_collecting(true);
  effects.set_grouping(Effects::Grouping::kPartition, 128);
  effects.add_clear(2, 3);
  EXPECT_EQ(effects.bytes_of(3), std::string_view("\x02\x80\x01\x01\x06*CLEAR", 11));
}

TEST(Effects, RowsOfAPartitionAreNoCommandAndHaveTheirGoldenBytes) {
  Effects effects;
  effects.set_grouping(Effects::Grouping::kPartition, 128);
  effects.add_rows(3, "ab");
  EXPECT_EQ(effects.count(), 0u);  // nobody collects
  effects.set_collecting(true);
  effects.add_rows(3, "ab");
  EXPECT_EQ(effects.bytes_of(3), std::string_view("\x00\x80\x01\x02\x05*ROWS\x02" "ab", 13));
  effects.add(0, Key{"a", 0, 3 * 128}, {"*ROWS", "b", "c"});
  EffectReader reader(effects.bytes_of(3));
  Effect effect;
  ASSERT_TRUE(reader.next(effect).ok());
  EXPECT_EQ(rows_in(effect), "ab");
  EXPECT_FALSE(is_clear(effect));
  ASSERT_TRUE(reader.next(effect).ok());
  EXPECT_FALSE(rows_in(effect));
}

TEST(Effects, EveryCutIsRefused) {
  Effects effects;
  effects.set_collecting(true);
  effects.add(0, key_of("foo"), {"SET", "foo", "bar"});
  for (size_t size = 1; size < effects.bytes().size(); ++size) {
    EffectReader reader(effects.bytes().substr(0, size));
    Effect effect;
    EXPECT_FALSE(reader.next(effect).ok()) << size;
  }
}

TEST(Effects, ACountThatCannotBeTrueIsRefusedBeforeMemoryIsAsked) {
  const std::string_view lie("\x00\x00\x00\xff\xff\xff\xff\xff\x7f", 9);
  EffectReader reader(lie);
  Effect effect;
  EXPECT_FALSE(reader.next(effect).ok());
}

}  // namespace
}  // namespace quorate

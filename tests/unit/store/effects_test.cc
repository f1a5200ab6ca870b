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

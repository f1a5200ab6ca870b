// Hashes: what the fuzzer cannot judge: the forms, memory, and chance.
#include "store/hash.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace quorate {
namespace {

void fill(Hash& hash, int count, const StoreSettings& settings) {
  for (int i = 0; i < count; ++i) hash.set("field" + std::to_string(i), "value", settings);
}

TEST(Hash, GrowsOutOfTheSmallFormByCountAndBySize) {
  StoreSettings settings;
  Hash hash;
  fill(hash, 512, settings);
  EXPECT_EQ(hash.encoding_name(settings), "listpack");
  hash.set("field0", "again", settings);
  EXPECT_EQ(hash.encoding_name(settings), "listpack");
  hash.set("one more", "", settings);
  EXPECT_EQ(hash.encoding_name(settings), "hashtable");
  hash.destroy();
  hash.set("field", std::string(65, 'x'), settings);
  EXPECT_EQ(hash.encoding_name(settings), "hashtable");
  hash.destroy();
  EXPECT_TRUE(hash.empty());
}

TEST(Hash, FiveSmallFieldsFitInAHundredBytes) {
  StoreSettings settings;
  Hash hash;
  for (int i = 0; i < 5; ++i)
    hash.set("field" + std::to_string(i), "value" + std::to_string(i), settings);
  EXPECT_LE(hash.memory_bytes(), 100u);
  hash.destroy();
}

TEST(Hash, EveryFieldIsDrawnEquallyOften) {
  // 500 fields lie in a table in the middle of its growth: some chains are twice as long as others.
  StoreSettings settings;
  Hash hash;
  fill(hash, 500, settings);
  constexpr int kDraws = 500'000;
  std::map<std::string, int> drawn;
  Prng prng(17);
  for (int i = 0; i < kDraws; ++i) ++drawn[std::string(hash.random(prng).name)];
  double chi_squared = 0;
  for (const auto& [name, times] : drawn)
    chi_squared += (times - 1000.0) * (times - 1000.0) / 1000.0;
  EXPECT_EQ(drawn.size(), 500u);
  EXPECT_LT(chi_squared, 650.0);  // 499 degrees of freedom: one in a hundred thousand is above
  hash.destroy();
}

TEST(Hash, ManyRemovalsGiveTheMemoryBack) {
  StoreSettings settings;
  Hash hash;
  fill(hash, 100'000, settings);
  const size_t full = hash.memory_bytes();
  for (int i = 0; i < 99'000; ++i) hash.remove("field" + std::to_string(i));
  EXPECT_EQ(hash.size(), 1000u);
  EXPECT_LT(hash.memory_bytes(), full / 30);
  hash.destroy();
}

TEST(Hash, FreesInStepsOfTheBudget) {
  StoreSettings settings;
  Hash hash;
  fill(hash, 100'000, settings);
  int steps = 0;
  for (size_t budget = 1000; !hash.destroy_some(budget); budget = 1000) ++steps;
  EXPECT_GE(steps, 95);
  EXPECT_TRUE(hash.empty());
}

TEST(Hash, ExpiresTheEarliestFieldsFirst) {
  for (const int64_t small_max : {128, 0}) {
    StoreSettings settings;
    settings.hash_max_listpack_entries = small_max;
    Hash hash;
    fill(hash, 5, settings);
    hash.set_expiry("field3", 100, settings);
    hash.set_expiry("field1", 50, settings);
    hash.set_expiry("field2", 200, settings);
    EXPECT_EQ(hash.next_expiry(), 50);
    std::string gone;
    EXPECT_EQ(hash.expire(150, 10, [&](std::string_view name) { gone += name; }), 2u);
    EXPECT_EQ(gone, "field1field3");
    EXPECT_EQ(hash.next_expiry(), 200);
    hash.set("field2", "a new value has no expiry", settings);
    EXPECT_EQ(hash.next_expiry(), kNever);
    hash.destroy();
  }
}

}  // namespace
}  // namespace quorate

// Sets: the form they take, chance, scans, memory and freeing.  Membership is set_fuzz's matter.
#include "store/set.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "util/memory.h"

namespace quorate {
namespace {

std::string name(size_t number) { return "member:" + std::to_string(number); }

class SetTest : public testing::Test {
 protected:
  ~SetTest() override { set_.destroy(); }
  void fill(size_t count) {
    for (size_t number = 0; number < count; ++number) set_.add(name(number), settings_);
  }
  std::string_view form() const { return set_.encoding_name(settings_); }

  StoreSettings settings_;
  Set set_;
};

TEST_F(SetTest, integers_become_a_table_beyond_their_limit_and_never_go_back) {
  for (int number = 0; number < 512; ++number) set_.add(std::to_string(number), settings_);
  EXPECT_EQ(form(), "intset");
  set_.add("512", settings_);
  EXPECT_EQ(form(), "hashtable");
  for (int number = 2; number <= 512; ++number) set_.remove(std::to_string(number));
  EXPECT_EQ(form(), "hashtable");
  EXPECT_EQ(set_.size(), 2u);
}

TEST_F(SetTest, a_few_integers_and_a_word_are_a_block) {
  for (int number = 0; number < 127; ++number) set_.add(std::to_string(number), settings_);
  set_.add("word", settings_);
  EXPECT_EQ(form(), "listpack");
  set_.add("other", settings_);
  EXPECT_EQ(form(), "hashtable");
  EXPECT_TRUE(set_.contains("126"));
}

TEST_F(SetTest, many_integers_and_a_word_are_a_table) {
  for (int number = 0; number < 128; ++number) set_.add(std::to_string(number), settings_);
  set_.add("word", settings_);
  EXPECT_EQ(form(), "hashtable");
}

TEST_F(SetTest, every_member_of_a_table_is_drawn_equally_often) {
  constexpr size_t kMembers = 1000;
  constexpr size_t kDraws = 400;  // for each
  fill(kMembers);
  Prng random(1);
  std::map<std::string, size_t> drawn;
  for (size_t draw = 0; draw < kMembers * kDraws; ++draw) {
    Set::Scratch scratch;
    ++drawn[std::string(set_.random_member(random, scratch))];
  }
  ASSERT_EQ(drawn.size(), kMembers);
  // Sum of squared deviations over the expectation: for 999 degrees of freedom 1143 is exceeded once in a thousand.
  double chi_square = 0;
  for (const auto& [member, count] : drawn) {
    const double deviation = static_cast<double>(count) - kDraws;
    chi_square += deviation * deviation / kDraws;
  }
  EXPECT_LT(chi_square, 1143);
  EXPECT_GT(chi_square, 864);
}

TEST_F(SetTest, a_scan_gives_what_stays_while_the_table_grows_and_shrinks) {
  for (const bool grows : {true, false}) {
    set_.destroy();
    fill(grows ? 1000 : 100'000);
    std::set<std::string> seen;
    uint64_t cursor = 0;
    size_t changed = 1000;
    do {
      cursor = set_.scan(cursor, 10, [&seen](std::string_view member) {
        seen.emplace(member);
        return true;
      });
      for (size_t step = 0; step < 900 && changed < 100'000; ++step, ++changed) {
        if (grows) {
          set_.add(name(changed), settings_);
        } else {
          set_.remove(name(changed));
        }
      }
    } while (cursor != 0);
    for (size_t number = 0; number < 1000; ++number) ASSERT_TRUE(seen.contains(name(number))) << number;
  }
}

TEST_F(SetTest, memory_is_what_the_allocator_counts) {
  for (const size_t count : {1u, 100u, 200u, 50'000u}) {
    const uint64_t before = mem_used();
    fill(count);
    const uint64_t used = mem_used() - before;
#ifdef QUORATE_JEMALLOC
    EXPECT_EQ(set_.memory_bytes(), used);
#else
    EXPECT_LE(set_.memory_bytes(), used + used / 10);
#endif
    set_.destroy();
    EXPECT_EQ(set_.memory_bytes(), 0u);
  }
}

TEST_F(SetTest, freeing_in_steps_takes_about_the_budget) {
  fill(10'000);
  size_t steps = 0;
  for (;; ++steps) {
    size_t budget = 100;
    if (set_.destroy_some(budget)) break;
    EXPECT_EQ(budget, 0u);
  }
  EXPECT_GE(steps, 50u);
  EXPECT_LE(steps, 200u);
  EXPECT_TRUE(set_.empty());
  set_.add("again", settings_);
  EXPECT_EQ(set_.size(), 1u);
}

TEST_F(SetTest, a_member_may_be_removed_through_its_own_view) {
  for (const size_t count : {10u, 1000u}) {
    fill(count);
    Prng random(2);
    while (!set_.empty()) {
      Set::Scratch scratch;
      ASSERT_TRUE(set_.remove(set_.random_member(random, scratch)));
    }
    set_.destroy();
  }
}

}  // namespace
}  // namespace quorate

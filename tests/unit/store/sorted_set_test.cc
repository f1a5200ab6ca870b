// Sorted sets: the form they take, conditions of adding, memory and freeing.  Order is
// sorted_set_fuzz's matter.
#include "store/sorted_set.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "util/memory.h"

namespace quorate {
namespace {

using Outcome = SortedSet::Outcome;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string name(size_t number) { return "member:" + std::to_string(number); }

class SortedSetTest : public testing::Test {
 protected:
  ~SortedSetTest() override { set_.destroy(); }
  void fill(size_t count) {
    Prng random(3);
    for (size_t number = 0; number < count; ++number)
      set_.set(name(number), random.fraction(), settings_);
  }
  Outcome add(std::string_view member, double& score, uint8_t conditions) {
    return set_.add(member, score, conditions, settings_);
  }

  StoreSettings settings_;
  SortedSet set_;
};

TEST_F(SortedSetTest, beyond_the_limit_it_is_a_tree_and_never_goes_back) {
  fill(128);
  EXPECT_EQ(set_.encoding_name(settings_), "listpack");
  set_.set("one more", 1, settings_);
  EXPECT_EQ(set_.encoding_name(settings_), "skiplist");
  set_.remove_ranks(0, 100);
  EXPECT_EQ(set_.encoding_name(settings_), "skiplist");
  EXPECT_EQ(set_.size(), 29u);
}

TEST_F(SortedSetTest, a_long_member_makes_a_tree) {
  set_.set(std::string(64, 'x'), 1, settings_);
  EXPECT_EQ(set_.encoding_name(settings_), "listpack");
  set_.set(std::string(65, 'x'), 1, settings_);
  EXPECT_EQ(set_.encoding_name(settings_), "skiplist");
}

TEST_F(SortedSetTest, conditions_decide_in_both_forms) {
  for (const size_t others : {0u, 500u}) {
    fill(others);
    double score = 5;
    EXPECT_EQ(add("a", score, SortedSet::kIfPresent), Outcome::kRefused);
    EXPECT_EQ(add("a", score, SortedSet::kIfGreater), Outcome::kAdded);
    EXPECT_EQ(add("a", score, SortedSet::kAlways), Outcome::kUnchanged);
    score = 4;
    EXPECT_EQ(add("a", score, SortedSet::kIfGreater), Outcome::kRefused);
    EXPECT_EQ(add("a", score, SortedSet::kIfAbsent), Outcome::kRefused);
    EXPECT_EQ(add("a", score, SortedSet::kIfLess), Outcome::kUpdated);
    EXPECT_EQ(set_.score("a"), 4.0);
    score = 2;
    EXPECT_EQ(add("a", score, SortedSet::kIncrement | SortedSet::kIfPresent), Outcome::kUpdated);
    EXPECT_EQ(score, 6.0);
    score = -1;
    EXPECT_EQ(add("a", score, SortedSet::kIncrement | SortedSet::kIfGreater), Outcome::kRefused);
    EXPECT_EQ(set_.score("a"), 6.0);
    score = kInfinity;
    EXPECT_EQ(add("a", score, SortedSet::kIncrement), Outcome::kUpdated);
    score = -kInfinity;
    EXPECT_EQ(add("a", score, SortedSet::kIncrement), Outcome::kNotANumber);
    EXPECT_EQ(set_.score("a"), kInfinity);
    set_.destroy();
  }
}

TEST_F(SortedSetTest, minus_zero_is_zero) {
  for (const size_t others : {0u, 500u}) {
    fill(others);
    set_.set("b", 0.0, settings_);
    set_.set("a", -0.0, settings_);
    set_.set("b", -0.0, settings_);
    EXPECT_FALSE(std::signbit(*set_.score("a")));
    EXPECT_FALSE(std::signbit(*set_.score("b")));
    EXPECT_EQ(*set_.rank("b"), *set_.rank("a") + 1);
    EXPECT_EQ(set_.count_by_score(0.0, SortedSet::Bound::kUpTo) -
                  set_.count_by_score(-0.0, SortedSet::Bound::kBelow),
              2u);
    set_.destroy();
  }
}

TEST_F(SortedSetTest, memory_is_what_the_allocator_counts) {
  for (const size_t count : {1u, 100u, 200u, 50'000u}) {
    const uint64_t before = mem_used();
    fill(count);
    for (size_t number = 0; number < count; number += 3) set_.remove(name(number));
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

TEST_F(SortedSetTest, members_in_order_fill_their_leaves) {
  constexpr size_t kMembers = 100'000;
  for (size_t number = 0; number < kMembers; ++number) {
    set_.set(name(number), static_cast<double>(number), settings_);
  }
  const size_t rising = set_.memory_bytes();
  set_.destroy();
  fill(kMembers);
  EXPECT_LT(rising, set_.memory_bytes());
  set_.verify();
}

TEST_F(SortedSetTest, taking_from_the_low_end_until_empty_keeps_the_tree) {
  fill(20'000);
  double last = -kInfinity;
  for (size_t left = set_.size(); left > 0; --left) {
    const double lowest = set_.at(0).score;
    ASSERT_LE(last, lowest);
    last = lowest;
    set_.remove_ranks(0, 1);
    if (left % 1000 == 0) set_.verify();
  }
  EXPECT_TRUE(set_.empty());
}

TEST_F(SortedSetTest, a_copy_without_some_ranks_is_what_taking_them_out_leaves) {
  for (const size_t members : {100u, 5000u}) {
    set_.destroy();
    fill(members);
    SortedSet rest;
    set_.copy_without(7, members - 20, rest);
    EXPECT_EQ(set_.size(), members);
    EXPECT_EQ(rest.encoding_name(settings_), set_.encoding_name(settings_));
    set_.remove_ranks(7, members - 20);
    set_.verify();
    rest.verify();
    ASSERT_EQ(rest.size(), 20u);
    ASSERT_EQ(set_.size(), 20u);
    for (size_t rank = 0; rank < 20; ++rank) {
      EXPECT_EQ(rest.at(rank).member, set_.at(rank).member);
      EXPECT_EQ(rest.at(rank).score, set_.at(rank).score);
    }
    rest.destroy();
  }
}

TEST_F(SortedSetTest, freeing_in_steps_takes_about_the_budget) {
  fill(10'000);
  size_t steps = 0;
  for (;; ++steps) {
    size_t budget = 100;
    if (set_.destroy_some(budget)) break;
    EXPECT_EQ(budget, 0u);
  }
  EXPECT_GE(steps, 50u);
  EXPECT_LE(steps, 300u);
  EXPECT_TRUE(set_.empty());
}

}  // namespace
}  // namespace quorate

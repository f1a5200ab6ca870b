// Walking a set upwards while it changes.
#include "util/index_set.h"

#include <gtest/gtest.h>

#include <vector>

namespace quorate {
namespace {

std::vector<size_t> members_of(const IndexSet& set, size_t size) {
  std::vector<size_t> members;
  for (size_t index = set.next(0); index < size; index = set.next(index + 1)) members.push_back(index);
  return members;
}

TEST(IndexSet, HasNothingAtFirst) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{128}}) EXPECT_EQ(IndexSet(size).next(0), size);
}

TEST(IndexSet, IsWalkedUpwardsWhateverTheOrderOfInsertion) {
  IndexSet set(130);
  for (const size_t index : {size_t{129}, size_t{0}, size_t{64}, size_t{63}, size_t{64}}) set.insert(index);
  EXPECT_EQ(members_of(set, 130), (std::vector<size_t>{0, 63, 64, 129}));
  set.erase(64);
  set.erase(5);
  EXPECT_EQ(members_of(set, 130), (std::vector<size_t>{0, 63, 129}));
  EXPECT_TRUE(set.contains(63));
  EXPECT_FALSE(set.contains(64));
  EXPECT_FALSE(set.contains(128));
  EXPECT_TRUE(set.contains(129));
  EXPECT_FALSE(set.contains(130));
}

TEST(IndexSet, HoldsAllBelowItsSizeAndNoMore) {
  IndexSet set(65);
  set.insert_all();
  EXPECT_EQ(members_of(set, 65).size(), 65U);
  EXPECT_EQ(set.next(65), 65U);
  EXPECT_EQ(set.next(1000), 65U);
}

TEST(IndexSet, AWalkMeetsWhatIsAddedAheadOfIt) {
  IndexSet set(200);
  set.insert(10);
  std::vector<size_t> met;
  for (size_t index = set.next(0); index < 200; index = set.next(index + 1)) {
    met.push_back(index);
    set.erase(index);
    if (index == 10) {
      set.insert(3);
      set.insert(150);
    }
  }
  EXPECT_EQ(met, (std::vector<size_t>{10, 150}));
  EXPECT_EQ(members_of(set, 200), (std::vector<size_t>{3}));
}

}  // namespace
}  // namespace quorate

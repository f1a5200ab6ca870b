// Units that wait for an answer, tried against a plain list.
#include "node/waiting_units.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "util/prng.h"

namespace quorate {
namespace {

TEST(WaitingUnits, RequestsOfNeighboursAreOneView) {
  WaitingUnits units;
  for (const std::string request : {"one", "two", "three"}) units.add(UnitKind::kWrites, request);
  EXPECT_EQ(units.requests(units.find(1), 3), "onetwothree");
  EXPECT_EQ(units.requests(units.find(2)), "two");
  EXPECT_EQ(units.bounded_count(), 3u);
  EXPECT_EQ(units.bounded_bytes(), 11u);
  units.set_watched(units.at(units.find(3)), "keys");
  EXPECT_EQ(units.bounded_bytes(), 15u);
  units.remove(units.find(3));
  EXPECT_EQ(units.bounded_bytes(), 6u);
  EXPECT_EQ(units.find(3), units.end());
}

TEST(WaitingUnits, ALargeOneStandsByItself) {
  WaitingUnits units;
  units.add(UnitKind::kWrites, "before");
  const SharedBytes large{std::string_view("large")};
  units.add(UnitKind::kWrites, large);
  units.add(UnitKind::kWrites, "behind");
  EXPECT_EQ(units.bounded_bytes(), 17u);
  EXPECT_EQ(units.requests(0), "before");
  EXPECT_EQ(units.requests(1).data(), large.view().data());
  EXPECT_EQ(units.requests(2), "behind");
  units.remove(0);
  // What is over is left behind.
  for (int number = 0; number < 100; ++number) {
    const size_t place =
        units.place_of(units.add(UnitKind::kWrites, std::string(1000, 'x')).number);
    units.remove(place);
  }
  EXPECT_EQ(units.requests(units.find(2)), "large");
  EXPECT_EQ(units.requests(units.find(3)), "behind");
  EXPECT_EQ(large.owners(), 2u);
  units.remove(units.find(2));
  EXPECT_EQ(large.owners(), 1u);
  EXPECT_EQ(units.bounded_bytes(), 6u);
  units.remove(units.find(3));
  EXPECT_TRUE(units.empty());
}

TEST(WaitingUnits, NumbersAreNeverUsedAgain) {
  WaitingUnits units;
  units.add(UnitKind::kWrites, "a");
  units.remove(units.find(1));
  EXPECT_TRUE(units.empty());
  EXPECT_EQ(units.begin(), units.end());
  EXPECT_EQ(units.add(UnitKind::kWrites, "b").number, 2u);
  EXPECT_EQ(units.find(1), units.end());
  EXPECT_EQ(units.requests(units.find(2)), "b");
}

TEST(WaitingUnits, OneThatWaitsForLongCostsNothingForThoseBehindIt) {
  WaitingUnits units;
  units.add(UnitKind::kWrites, "waits");
  const std::string request(100, 'x');
  size_t most = 0;
  for (int round = 0; round < 100'000; ++round) {
    const uint64_t number = units.add(UnitKind::kWrites, request).number;
    most = std::max(most, units.end() - units.begin());
    units.remove(units.find(number));
  }
  EXPECT_LT(most, 200u);
  EXPECT_EQ(units.bounded_count(), 1u);
  EXPECT_EQ(units.requests(units.find(1)), "waits");
}

TEST(WaitingUnits, WhoWalksOverThemMayRemoveAll) {
  WaitingUnits units;
  for (int number = 0; number < 10; ++number) units.add(UnitKind::kWrites, "x");
  size_t removed = 0;
  for (size_t place = units.begin(); place < units.end(); ++place) {
    if (units.at(place).is_over) continue;
    units.remove(place);
    ++removed;
  }
  EXPECT_EQ(removed, 10u);
  EXPECT_TRUE(units.empty());
}

TEST(WaitingUnits, ThoseThatBlockDoNotCount) {
  WaitingUnits units;
  units.add(UnitKind::kBlocks, "waits");
  units.add(UnitKind::kReads, "reads");
  units.add(UnitKind::kBlocks, SharedBytes{std::string_view("waits")});
  EXPECT_EQ(units.bounded_count(), 1u);
  EXPECT_EQ(units.bounded_bytes(), 5u);
  units.remove(units.find(2));
  EXPECT_FALSE(units.empty());
  EXPECT_EQ(units.bounded_count(), 0u);
  EXPECT_EQ(units.bounded_bytes(), 0u);
  units.remove(units.find(1));
  units.remove(units.find(3));
  EXPECT_TRUE(units.empty());
}

TEST(WaitingUnits, TheyAreWhatAListWouldHold) {
  constexpr uint64_t kSeed = 4713;
  for (uint64_t round = 0; round < 40; ++round) {
    Prng random(kSeed + round);
    WaitingUnits units;
    struct Plain {
      uint64_t number;
      std::string requests;
      UnitKind kind;
    };
    std::vector<Plain> plain;
    // Some rounds take most away from the front, some from anywhere.
    const uint64_t reach = 1 + random.below(300);
    for (int step = 0; step < 2000; ++step) {
      if (random.below(2) == 0 || plain.empty()) {
        const std::string requests(1 + random.below(random.below(50) == 0 ? 9000 : 40), static_cast<char>('a' + random.below(26)));
        const auto kind = static_cast<UnitKind>(random.below(kUnitKinds));
        plain.push_back({units.add(kind, requests).number, requests, kind});
      } else {
        const auto at = plain.begin() + static_cast<std::ptrdiff_t>(random.below(std::min<uint64_t>(reach, plain.size())));
        units.remove(units.find(at->number));
        EXPECT_EQ(units.find(at->number), units.end());
        plain.erase(at);
      }
      ASSERT_EQ(units.empty(), plain.empty());
      size_t count = 0;
      size_t bytes = 0;
      size_t first_bounded = units.end();
      std::vector<size_t> first(kUnitKinds, units.end());
      for (const Plain& each : plain) {
        const size_t place = units.find(each.number);
        size_t& of_kind = first[static_cast<size_t>(each.kind)];
        of_kind = std::min(of_kind, place);
        if (each.kind == UnitKind::kBlocks) continue;
        ++count;
        bytes += each.requests.size();
        first_bounded = std::min(first_bounded, place);
      }
      ASSERT_EQ(units.bounded_count(), count);
      ASSERT_EQ(units.bounded_bytes(), bytes);
      ASSERT_EQ(units.first_bounded(), first_bounded);
      for (size_t kind = 0; kind < kUnitKinds; ++kind)
        ASSERT_EQ(units.first(static_cast<UnitKind>(kind)), first[kind]);
      if (step % 50 != 0) continue;
      size_t index = 0;
      for (size_t place = units.begin(); place < units.end(); ++place) {
        if (units.at(place).is_over) continue;
        ASSERT_EQ(units.at(place).number, plain[index].number);
        ASSERT_EQ(units.find(plain[index].number), place);
        ASSERT_EQ(units.requests(place), plain[index].requests);
        const bool has_neighbour = index + 1 < plain.size() && plain[index + 1].number == plain[index].number + 1;
        const std::string both = has_neighbour ? plain[index].requests + plain[index + 1].requests : plain[index].requests;
        ASSERT_EQ(units.requests(place, has_neighbour ? 2 : 1), both);
        ++index;
      }
      ASSERT_EQ(index, plain.size());
    }
  }
}

}  // namespace
}  // namespace quorate

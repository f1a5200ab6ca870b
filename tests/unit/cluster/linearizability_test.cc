// The checker of histories: known good and bad ones, and random ones against a search without
// memory.
#include "tests/sim/linearizability.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "util/prng.h"

namespace quorate::sim {
namespace {

using Kind = OperationKind;
using Verdict = LinearizabilityVerdict;

Verdict verdict(const std::vector<Operation>& operations) {
  return check_linearizable(operations).verdict;
}

TEST(Linearizability, NothingIsLinearizable) { EXPECT_EQ(verdict({}), Verdict::kLinearizable); }

TEST(Linearizability, AReadAfterAWriteSeesIt) {
  EXPECT_EQ(verdict({{0, 1, Kind::kWrite, 5}, {2, 3, Kind::kRead, 0, 5}}), Verdict::kLinearizable);
  EXPECT_EQ(verdict({{0, 1, Kind::kWrite, 5}, {2, 3, Kind::kRead, 0, 0}}), Verdict::kViolated);
}

TEST(Linearizability, AReadBesideAWriteSeesEither) {
  for (const KeyState seen : {0U, 5U}) {
    EXPECT_EQ(verdict({{0, 4, Kind::kWrite, 5}, {1, 2, Kind::kRead, 0, seen}}),
              Verdict::kLinearizable);
  }
  EXPECT_EQ(verdict({{0, 4, Kind::kWrite, 5}, {1, 2, Kind::kRead, 0, 6}}), Verdict::kViolated);
}

TEST(Linearizability, WhatWasSeenOnceIsNotUnseen) {
  EXPECT_EQ(
      verdict({{0, 9, Kind::kWrite, 5}, {1, 2, Kind::kRead, 0, 5}, {3, 4, Kind::kRead, 0, 0}}),
      Verdict::kViolated);
}

TEST(Linearizability, AWriteWithoutAnswerMayHappenLateOrNever) {
  EXPECT_EQ(verdict({{0, kNever, Kind::kWrite, 5}, {2, 3, Kind::kRead, 0, 0}}),
            Verdict::kLinearizable);
  EXPECT_EQ(
      verdict({{0, kNever, Kind::kWrite, 5}, {2, 3, Kind::kRead, 0, 0}, {4, 5, Kind::kRead, 0, 5}}),
      Verdict::kLinearizable);
  // But once.
  EXPECT_EQ(verdict({{0, kNever, Kind::kWrite, 5},
                     {2, 3, Kind::kRead, 0, 5},
                     {4, 5, Kind::kWrite, 6},
                     {6, 7, Kind::kRead, 0, 5}}),
            Verdict::kViolated);
  // And not before it was sent.
  EXPECT_EQ(verdict({{0, 1, Kind::kRead, 0, 5}, {2, kNever, Kind::kWrite, 5}}), Verdict::kViolated);
}

TEST(Linearizability, AQueueGivesWhatWasPushedOnceAndInOrder) {
  const Operation one{0, 1, Kind::kPush, 1};
  const Operation two{2, 3, Kind::kPush, 2};
  EXPECT_EQ(verdict({one, two, {4, 5, Kind::kPop, 0, 1}, {6, 7, Kind::kPop, 0, 2}}),
            Verdict::kLinearizable);
  EXPECT_EQ(verdict({one, two, {4, 5, Kind::kPop, 0, 2}}), Verdict::kViolated);
  EXPECT_EQ(verdict({one, {4, 5, Kind::kPop, 0, 1}, {6, 7, Kind::kPop, 0, 1}}), Verdict::kViolated);
  // An empty one gives nothing.
  EXPECT_EQ(verdict({one, {4, 5, Kind::kPop, 0, 0}}), Verdict::kViolated);
  EXPECT_EQ(verdict({{0, 5, Kind::kPush, 1}, {4, 5, Kind::kPop, 0, 0}}), Verdict::kLinearizable);
  // A pop without answer may have taken the oldest.
  EXPECT_EQ(verdict({one, two, {4, kNever, Kind::kPop, 0}, {6, 7, Kind::kPop, 0, 2}}),
            Verdict::kLinearizable);
  const uint64_t both[] = {1, 2};
  EXPECT_EQ(verdict({one, two, {4, 5, Kind::kRead, 0, list_hash(both)}}), Verdict::kLinearizable);
  const uint64_t swapped[] = {2, 1};
  EXPECT_EQ(verdict({one, two, {4, 5, Kind::kRead, 0, list_hash(swapped)}}), Verdict::kViolated);
}

TEST(Linearizability, AMemberIsNewOnce) {
  EXPECT_EQ(verdict({{0, 5, Kind::kInsert, 4, 1}, {0, 5, Kind::kInsert, 4, 0}}),
            Verdict::kLinearizable);
  EXPECT_EQ(verdict({{0, 5, Kind::kInsert, 4, 1}, {0, 5, Kind::kInsert, 4, 1}}),
            Verdict::kViolated);
  EXPECT_EQ(verdict({{0, 5, Kind::kInsert, 4, 1},
                     {0, 5, Kind::kInsert, 4, 1},
                     {0, 5, Kind::kRemove, 4, 1},
                     {6, 7, Kind::kRead, 0, 4}}),
            Verdict::kLinearizable);
  EXPECT_EQ(verdict({{0, 1, Kind::kInsert, 4, 1}, {2, 3, Kind::kRead, 0, 0}}), Verdict::kViolated);
}

TEST(Linearizability, AnIncrementIsNeitherLostNorDoubled) {
  EXPECT_EQ(verdict({{0, 5, Kind::kAdd, 1, 3}, {0, 5, Kind::kAdd, 2, 2}}), Verdict::kLinearizable);
  EXPECT_EQ(verdict({{0, 5, Kind::kAdd, 1, 1}, {0, 5, Kind::kAdd, 2, 2}}), Verdict::kViolated);
  EXPECT_EQ(verdict({{0, kNever, Kind::kAdd, 1}, {6, 7, Kind::kRead, 0, 2}}), Verdict::kViolated);
}

TEST(Linearizability, ASwapSeesTheOneBefore) {
  EXPECT_EQ(verdict({{0, 1, Kind::kSwap, 7, 0}, {2, 3, Kind::kSwap, 8, 7}}),
            Verdict::kLinearizable);
  EXPECT_EQ(verdict({{0, 9, Kind::kSwap, 7, 0}, {1, 8, Kind::kSwap, 8, 0}}), Verdict::kViolated);
}

TEST(Linearizability, AppendsHaveOneOrder) {
  const KeyState one = list_hash(0, 1);
  const KeyState one_two = list_hash(one, 2);
  const KeyState two = list_hash(0, 2);
  EXPECT_EQ(verdict({{0, 9, Kind::kAppend, 1},
                     {0, 9, Kind::kAppend, 2},
                     {3, 4, Kind::kRead, 0, one},
                     {10, 11, Kind::kRead, 0, one_two}}),
            Verdict::kLinearizable);
  EXPECT_EQ(verdict({{0, 9, Kind::kAppend, 1},
                     {0, 9, Kind::kAppend, 2},
                     {3, 4, Kind::kRead, 0, two},
                     {10, 11, Kind::kRead, 0, one_two}}),
            Verdict::kViolated);
  EXPECT_EQ(verdict({{0, 1, Kind::kAppend, 1},
                     {2, 3, Kind::kAppend, 2},
                     {4, 5, Kind::kRead, 0, list_hash(two, 1)}}),
            Verdict::kViolated);
}

TEST(Linearizability, ManyUnknownWritesThatAreSeenInOrderAreDecided) {
  std::vector<Operation> operations;
  for (uint64_t value = 1; value <= 40; ++value) {
    operations.push_back({static_cast<int64_t>(value), kNever, Kind::kWrite, value});
    operations.push_back({100 + static_cast<int64_t>(value) * 2,
                          101 + static_cast<int64_t>(value) * 2, Kind::kRead, 0, value});
  }
  EXPECT_EQ(verdict(operations), Verdict::kLinearizable);
}

TEST(Linearizability, ASearchThatIsTooLongIsGivenUp) {
  std::vector<Operation> operations;
  for (uint64_t value = 1; value <= 30; ++value) {
    operations.push_back({0, 100, Kind::kAdd, uint64_t{1} << value});
  }
  operations.push_back({200, 201, Kind::kRead, 0, 1});
  EXPECT_EQ(check_linearizable(operations, 10000).verdict, Verdict::kUndecided);
}

TEST(Linearizability, AViolationShowsTheOperationsInQuestion) {
  const std::vector<Operation> operations{{0, 1, Kind::kWrite, 5}, {2, 3, Kind::kRead, 0, 4}};
  EXPECT_EQ(check_linearizable(operations).explanation,
            "  [0 .. 1] write 5 -> ?\n  [2 .. 3] read 0 -> 4\n");
}

// All orders, one after the other.
bool any_order_explains(const std::vector<Operation>& operations) {
  std::vector<size_t> order(operations.size());
  for (size_t index = 0; index < order.size(); ++index) order[index] = index;
  do {
    // Those without an answer may also be left out: they stand behind all others then.
    KeyState state = 0;
    bool good = true;
    for (size_t place = 0; good && place < order.size(); ++place) {
      const Operation& operation = operations[order[place]];
      for (size_t later = place + 1; later < order.size(); ++later) {
        good &= operations[order[later]].returned >= operation.invoked;
      }
      if (operation.kind == Kind::kRead) {
        good &= operation.returned == kNever || operation.output == state;
      } else {
        if (operation.kind == Kind::kAdd)
          good &= !operation.output || *operation.output == state + operation.argument;
        if (operation.kind == Kind::kSwap) good &= !operation.output || *operation.output == state;
        state = operation.kind == Kind::kAdd ? state + operation.argument : operation.argument;
      }
    }
    if (good) return true;
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

TEST(Linearizability, AgreesWithTryingAllOrders) {
  int good = 0;
  constexpr int kRounds = 3000;
  for (uint64_t seed = 1; seed <= kRounds; ++seed) {
    Prng prng(seed);
    std::vector<Operation> operations;
    const uint64_t count = 2 + prng.below(5);
    for (uint64_t index = 0; index < count; ++index) {
      Operation operation;
      operation.invoked = static_cast<int64_t>(prng.below(12));
      operation.returned = operation.invoked + 1 + static_cast<int64_t>(prng.below(6));
      const Kind kinds[] = {Kind::kRead, Kind::kWrite, Kind::kSwap, Kind::kAdd};
      operation.kind = kinds[prng.below(4)];
      if (operation.kind != Kind::kRead) operation.argument = 1 + prng.below(2);
      if (operation.kind != Kind::kWrite) operation.output = prng.below(4);
      if (operation.kind != Kind::kRead && prng.chance(0.2)) {
        operation.returned = kNever;
        operation.output.reset();
      }
      operations.push_back(operation);
    }
    const bool expected = any_order_explains(operations);
    good += expected ? 1 : 0;
    EXPECT_EQ(verdict(operations), expected ? Verdict::kLinearizable : Verdict::kViolated)
        << "seed " << seed;
  }
  // Both answers were tried.
  EXPECT_GT(good, kRounds / 20);
  EXPECT_LT(good, kRounds * 19 / 20);
}

}  // namespace
}  // namespace quorate::sim

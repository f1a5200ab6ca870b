// Whose sum is right when copies are compared.
#include "cluster/sum_round.h"

#include <gtest/gtest.h>

#include <vector>

namespace quorate {
namespace {

using Finding = SumRound::Finding;

raft::Member member(uint64_t number) { return {.replica = {number}, .node = {number + 100}}; }

raft::Configuration group(uint64_t voters, uint64_t learners = 0) {
  raft::Configuration configuration;
  for (uint64_t number = 1; number <= voters; ++number) configuration.incoming.voters.push_back(member(number));
  for (uint64_t number = voters + 1; number <= voters + learners; ++number) configuration.learners.push_back(member(number));
  return configuration;
}

// Answers of replicas 1, 2, ...; 0: none.
SumRound round_of(const std::vector<uint64_t>& sums) {
  SumRound round({7}, {30});
  for (size_t index = 0; index < sums.size(); ++index) {
    if (sums[index] != 0) round.add({index + 1}, {.low = sums[index], .high = 0});
  }
  return round;
}

TEST(SumRound, equal_copies_are_equal) {
  const SumRound round = round_of({5, 5, 5});
  EXPECT_TRUE(round.has_all(group(3)));
  EXPECT_EQ(round.verdict(group(3)).finding, Finding::kEqual);
}

TEST(SumRound, who_differs_from_more_than_half_of_the_voters_is_wrong) {
  const SumRound::Verdict verdict = round_of({5, 6, 5}).verdict(group(3));
  ASSERT_EQ(verdict.finding, Finding::kMinority);
  EXPECT_EQ(verdict.differing, std::vector<raft::Member>{member(2)});
  EXPECT_EQ(verdict.agreeing, (std::vector<raft::Member>{member(1), member(3)}));
}

TEST(SumRound, a_missing_answer_counts_for_nobody) {
  EXPECT_FALSE(round_of({5, 0, 5}).has_all(group(3)));
  EXPECT_EQ(round_of({5, 0, 5}).verdict(group(3)).finding, Finding::kEqual);
  EXPECT_EQ(round_of({5, 0, 6}).verdict(group(3)).finding, Finding::kNoMajority);
  EXPECT_EQ(round_of({5, 5, 0, 6, 0}).verdict(group(5)).finding, Finding::kNoMajority) << "two of five";
  EXPECT_EQ(round_of({5, 5, 5, 6, 0}).verdict(group(5)).finding, Finding::kMinority);
  EXPECT_EQ(round_of({5, 0, 0}).verdict(group(3)).finding, Finding::kNothing);
  EXPECT_EQ(round_of({0, 0, 0}).verdict(group(3)).finding, Finding::kNothing);
}

TEST(SumRound, half_of_the_voters_are_no_majority) {
  EXPECT_EQ(round_of({5, 6}).verdict(group(2)).finding, Finding::kNoMajority);
  EXPECT_EQ(round_of({5, 5, 6, 6}).verdict(group(4)).finding, Finding::kNoMajority);
  EXPECT_EQ(round_of({5, 6, 7}).verdict(group(3)).finding, Finding::kNoMajority);
}

TEST(SumRound, learners_are_compared_and_decide_nothing) {
  const SumRound::Verdict verdict = round_of({5, 6, 6, 6}).verdict(group(1, 3));
  ASSERT_EQ(verdict.finding, Finding::kMinority);
  EXPECT_EQ(verdict.differing, (std::vector<raft::Member>{member(2), member(3), member(4)}));
}

TEST(SumRound, who_is_no_member_any_more_does_not_count) {
  EXPECT_EQ(round_of({5, 5, 5, 6}).verdict(group(3)).finding, Finding::kEqual);
}

TEST(SumRound, while_voters_change_nothing_is_said) {
  raft::Configuration joint = group(3);
  joint.outgoing = group(2).incoming;
  EXPECT_EQ(round_of({5, 6, 5}).verdict(joint).finding, Finding::kNothing);
}

TEST(SumRound, of_two_answers_the_first_counts) {
  SumRound round = round_of({5, 5});
  round.add({2}, {.low = 6, .high = 0});
  EXPECT_EQ(round.verdict(group(2)).finding, Finding::kEqual);
}

}  // namespace
}  // namespace quorate

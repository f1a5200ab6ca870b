// Quorums: sizes, verdicts, and that any two which must meet do meet; exhaustively for up to five
// voters.
#include "cluster/raft/quorum.h"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "cluster/raft/message_codec.h"

namespace quorate::raft {
namespace {

constexpr uint32_t kVotersMax = 5;

Half half_of(uint32_t voters, uint32_t commit_quorum, uint64_t first_id = 1) {
  Half half;
  for (uint64_t id = first_id; id < first_id + voters; ++id) half.voters.push_back({{id}, {id}});
  half.commit_quorum = commit_quorum;
  return half;
}

// The verdict if exactly the voters of `agree` have agreed and those of `refuse` refused (bit i: id
// i + 1).
Verdict verdict_of(const Configuration& configuration, QuorumKind kind, uint32_t agree,
                   uint32_t refuse) {
  Round round(configuration, kind);
  for (uint64_t id = 1; id <= 32; ++id) {
    if ((agree >> (id - 1) & 1) != 0) round.add({id});
    if ((refuse >> (id - 1) & 1) != 0) round.refuse({id});
  }
  return round.verdict();
}

TEST(Quorum, sizes_are_those_of_the_rules) {
  const struct {
    size_t voters;
    uint32_t setting, commit, election;
  } rows[] = {{1, 0, 1, 1}, {2, 0, 1, 2}, {3, 0, 2, 2}, {4, 0, 2, 3}, {5, 0, 3, 3}, {6, 0, 3, 4},
              {7, 0, 4, 4}, {3, 1, 1, 3}, {5, 1, 1, 5}, {5, 2, 2, 4}, {4, 1, 1, 4}};
  for (const auto& row : rows) {
    const Result<Quorums> quorums = quorums_of(row.voters, row.setting);
    ASSERT_TRUE(quorums.ok());
    EXPECT_EQ(quorums.value().commit, row.commit) << row.voters;
    EXPECT_EQ(quorums.value().election, row.election) << row.voters;
    EXPECT_EQ(quorums.value().confirmation, row.voters - row.election + 1) << row.voters;
  }
}

TEST(Quorum, a_commit_quorum_that_lets_two_leaders_be_elected_is_refused) {
  EXPECT_FALSE(quorums_of(3, 3).ok());
  EXPECT_FALSE(quorums_of(4, 3).ok());
  EXPECT_FALSE(quorums_of(5, 4).ok());
  EXPECT_FALSE(quorums_of(3, 4).ok());
  EXPECT_FALSE(quorums_of(0, 0).ok());
  EXPECT_TRUE(quorums_of(5, 3).ok());
}

TEST(Quorum, quorums_that_must_meet_meet) {
  for (uint32_t voters = 1; voters <= kVotersMax; ++voters) {
    for (uint32_t setting = 0; setting <= voters; ++setting) {
      if (!quorums_of(voters, setting).ok()) continue;
      const Configuration configuration{.incoming = half_of(voters, setting)};
      for (uint32_t one = 0; one < 1u << voters; ++one) {
        for (uint32_t other = 0; other < 1u << voters; ++other) {
          if ((one & other) != 0) continue;
          const auto won = [&](QuorumKind kind, uint32_t agree) {
            return verdict_of(configuration, kind, agree, 0) == Verdict::kWon;
          };
          EXPECT_FALSE(won(QuorumKind::kElection, one) && won(QuorumKind::kElection, other));
          EXPECT_FALSE(won(QuorumKind::kElection, one) && won(QuorumKind::kCommit, other));
          EXPECT_FALSE(won(QuorumKind::kElection, one) && won(QuorumKind::kConfirmation, other));
        }
      }
    }
  }
}

TEST(Quorum, a_verdict_counts_named_voters_and_is_final) {
  for (uint32_t voters = 1; voters <= kVotersMax; ++voters) {
    const Configuration configuration{.incoming = half_of(voters, 0)};
    for (const QuorumKind kind : {QuorumKind::kCommit, QuorumKind::kElection,
                                  QuorumKind::kConfirmation, QuorumKind::kEveryone}) {
      const uint32_t enough = needed(configuration.incoming, kind);
      for (uint32_t agree = 0; agree < 1u << voters; ++agree) {
        for (uint32_t refuse = 0; refuse < 1u << voters; ++refuse) {
          if ((agree & refuse) != 0) continue;
          const auto agreed = static_cast<uint32_t>(std::popcount(agree));
          const uint32_t possible = voters - static_cast<uint32_t>(std::popcount(refuse));
          const Verdict expected = agreed >= enough    ? Verdict::kWon
                                   : possible < enough ? Verdict::kLost
                                                       : Verdict::kPending;
          EXPECT_EQ(verdict_of(configuration, kind, agree, refuse), expected);
        }
      }
    }
  }
}

TEST(Quorum, a_joint_round_needs_both_halves) {
  // Every pair of sets over five replicas.
  for (uint32_t incoming = 1; incoming < 1u << kVotersMax; ++incoming) {
    for (uint32_t outgoing = 1; outgoing < 1u << kVotersMax; ++outgoing) {
      Configuration configuration;
      configuration.outgoing = Half();
      for (uint64_t id = 1; id <= kVotersMax; ++id) {
        if ((incoming >> (id - 1) & 1) != 0) configuration.incoming.voters.push_back({{id}, {id}});
        if ((outgoing >> (id - 1) & 1) != 0) configuration.outgoing->voters.push_back({{id}, {id}});
      }
      Configuration first = configuration, second = configuration;
      first.outgoing.reset();
      second.incoming = *second.outgoing;
      second.outgoing.reset();
      for (uint32_t agree = 0; agree < 1u << kVotersMax; ++agree) {
        const uint32_t refuse = ~agree & ((1u << kVotersMax) - 1);
        for (const QuorumKind kind : {QuorumKind::kElection, QuorumKind::kConfirmation}) {
          const bool both = verdict_of(first, kind, agree, refuse) == Verdict::kWon &&
                            verdict_of(second, kind, agree, refuse) == Verdict::kWon;
          EXPECT_EQ(verdict_of(configuration, kind, agree, refuse),
                    both ? Verdict::kWon : Verdict::kLost);
        }
      }
    }
  }
}

TEST(Quorum, strangers_and_second_thoughts_do_not_count) {
  const Configuration configuration{.incoming = half_of(3, 0)};
  Round round(configuration, QuorumKind::kElection);
  round.add({9});
  round.add({1});
  round.add({1});
  round.refuse({1});
  EXPECT_EQ(round.verdict(), Verdict::kPending);
  EXPECT_TRUE(round.answered({1}));
  EXPECT_FALSE(round.answered({9}));
  round.add({2});
  EXPECT_EQ(round.verdict(), Verdict::kWon);
  round.refuse({3});
  EXPECT_EQ(round.verdict(), Verdict::kWon);
}

TEST(Quorum, reached_by_is_the_kth_largest) {
  uint64_t values[] = {5, 9, 1, 7};
  EXPECT_EQ(reached_by(values, 1), 9u);
  EXPECT_EQ(reached_by(values, 2), 7u);
  EXPECT_EQ(reached_by(values, 4), 1u);
  EXPECT_EQ(reached_by(values, 5), 0u);
}

TEST(Configuration, what_is_not_valid_is_refused) {
  EXPECT_FALSE(validate(Configuration()).ok());
  Configuration twice{.incoming = half_of(2, 0)};
  twice.incoming.voters.push_back(twice.incoming.voters[0]);
  EXPECT_FALSE(validate(twice).ok());
  Configuration both{.incoming = half_of(2, 0)};
  both.learners = {both.incoming.voters[1]};
  EXPECT_FALSE(validate(both).ok());
  // On its way out a voter may be a learner already.
  Configuration leaving{.incoming = half_of(2, 0), .outgoing = half_of(3, 0)};
  leaving.learners = {{{3}, {3}}};
  EXPECT_TRUE(validate(leaving).ok());
  leaving.outgoing->commit_quorum = 3;
  EXPECT_FALSE(validate(leaving).ok());
  EXPECT_FALSE(validate(Configuration{.incoming = half_of(kMembersMax + 1, 0)}).ok());
}

TEST(Configuration, all_members_of_a_cluster_may_learn) {
  Configuration largest{.incoming = half_of(kMembersMax, 0)};
  for (uint64_t id = 1; id <= kLearnersMax; ++id) {
    largest.learners.push_back({{kMembersMax + id}, {kMembersMax + id}});
  }
  EXPECT_TRUE(validate(largest).ok());
  EXPECT_EQ(largest.members().size(), kMembersMax + kLearnersMax);
  EXPECT_EQ(decode_configuration(encode_configuration(largest).view()).value(), largest);
  Configuration twice = largest;
  twice.learners.back() = twice.learners.front();
  EXPECT_FALSE(validate(twice).ok());
  largest.learners.push_back({{9999}, {9999}});
  EXPECT_FALSE(validate(largest).ok());
  EXPECT_FALSE(decode_configuration(encode_configuration(largest).view()).ok());
}

TEST(Configuration, only_changes_of_quorums_go_through_a_joint_one) {
  const Configuration current{.incoming = half_of(3, 0)};
  Configuration learner = current;
  learner.learners = {{{4}, {4}}};
  EXPECT_FALSE(first_step(current, learner).joint());
  Configuration reordered = current;
  std::swap(reordered.incoming.voters[0], reordered.incoming.voters[2]);
  EXPECT_FALSE(first_step(current, reordered).joint());
  Configuration other_quorum = current;
  other_quorum.incoming.commit_quorum = 1;
  EXPECT_TRUE(first_step(current, other_quorum).joint());
  const Configuration smaller{.incoming = half_of(2, 0)};
  const Configuration step = first_step(current, smaller);
  ASSERT_TRUE(step.joint());
  EXPECT_EQ(*step.outgoing, current.incoming);
  EXPECT_EQ(without_outgoing(step), smaller);
  EXPECT_EQ(step.members().size(), 3u);
  EXPECT_EQ(step.rank({3}), 2u);
  EXPECT_EQ(step.rank({7}), 3u);
}

TEST(Configuration, without_some_nodes_those_left_may_be_too_few_and_then_all_vote) {
  Configuration joint{.incoming = half_of(3, 0), .outgoing = half_of(3, 0, 3), .learners = {{{9}, {9}}}};
  const auto can_elect = [&](const std::vector<NodeId>& gone) { return can_elect_without(joint, gone); };
  EXPECT_TRUE(can_elect({{1}, {4}, {9}}));
  EXPECT_FALSE(can_elect({{1}, {2}}));
  EXPECT_FALSE(can_elect({{4}, {5}}));
  const std::vector<NodeId> gone{{1}, {2}, {4}};
  EXPECT_EQ(describe(without_nodes(joint, gone)), "voters 3 5 9");
  EXPECT_TRUE(without_nodes(Configuration{.incoming = half_of(2, 0)}, gone).unknown());
  // With a lower commit quorum all must be there to elect.
  const Configuration weak{.incoming = half_of(3, 1)};
  EXPECT_FALSE(can_elect_without(weak, std::vector<NodeId>{{1}}));
  EXPECT_EQ(describe(without_nodes(weak, std::vector<NodeId>{{1}})), "voters 2 3");
}

}  // namespace
}  // namespace quorate::raft

// The state hash (REPLICATION 8, "Divergence"): now and then a leader puts a marker into the log of a partition, every copy adds up what it
// holds at that place, and the leader compares.  Here: when, the sum that this node is about, and the rounds of what it leads.  What is done
// about a copy that differs is for Partitions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/groups.h"
#include "cluster/peers.h"
#include "cluster/sum_round.h"
#include "util/hash.h"
#include "util/prng.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

// All that a partition holds, as one number, in steps; one partition at a time.
class PartitionSummer {
 public:
  virtual ~PartitionSummer() = default;
  // Of what it holds now.  Requires: nothing is summed or encoded.
  virtual void begin_sum(uint32_t partition) = 0;
  // kBroken: nobody will ever know.  Then, and after kDone, it is over.
  enum class Summing : uint8_t { kMore, kDone, kBroken };
  virtual Summing sum_some(Hash128& sum) = 0;
  // What has been begun is not wanted any more.
  virtual void stop_sum() = 0;
};

// Owned by Partitions.  Calls: next_due and marked on a leader, marked on who applies a marker; step while it is summing, decide once a turn.
// Invariant: is_summing() while the summer has something begun.
class StateCheck {
 public:
  struct Counts {
    uint64_t rounds = 0;        // that were decided, of partitions led here
    uint64_t differing = 0;     // copies that were found to differ from a majority
    uint64_t undecided = 0;     // rounds without a majority
  };
  // A copy that differs.
  struct Finding {
    uint32_t partition = 0;
    SumRound::Verdict verdict;
    raft::Term term;
    raft::Index index;
  };

  StateCheck(uint32_t partitions, uint64_t seed, Groups& groups, PartitionSummer& summer);

  // The partition whose copies are to be compared now, if there is one: in an interval each that is led here, one after the other.
  // interval_us 0: never.
  std::optional<uint32_t> next_due(Instant now, int64_t interval_us);
  // The data of the partition are those at the marker, the last entry that this replica has executed or applied.  What is summed now is
  // more important: then this one stays without an answer, as while `can_sum` is kNo.
  enum class CanSum : uint8_t { kNo, kYes };
  void marked(Instant now, uint32_t partition, const raft::Entry& marker, CanSum can_sum);
  // Another use of the data begins.
  void stop_sum();
  bool is_summing() const { return summing_.has_value(); }
  // The partition's replica, or what it holds, is another from here on.
  void forget(uint32_t partition);
  // One slice of the sum; once it is done it leaves.  Requires: is_summing().
  void step(Peers& peers);
  // Rounds in which all have answered, or had their time.
  void decide(Instant now);
  int64_t deadline() const { return next_due_us_; }

  // What another copy says.
  void take_sum(uint32_t partition, raft::ReplicaId from, raft::Term term, raft::Index index, const Hash128& sum);

  std::vector<Finding> take_findings() { return std::exchange(findings_, {}); }
  const Counts& counts() const { return counts_; }
  // Partitions whose last round had no majority.
  std::span<const uint32_t> undecided() const { return undecided_; }
  // "fact -> decision", by partition.
  std::vector<std::pair<uint32_t, std::string>> take_facts() { return std::exchange(facts_, {}); }

 private:
  struct Summing {
    uint32_t partition = 0;
    raft::Term term;
    raft::Index index;
  };
  struct Round {
    SumRound round;
    int64_t until_us = 0;
  };

  bool may_compare(uint32_t partition) const;
  void send(const Summing& done, const Hash128& sum, Peers& peers);
  // False: it goes on.
  bool decide_one(Instant now, uint32_t partition, const Round& round);
  void note(uint32_t partition, std::string fact) { facts_.emplace_back(partition, std::move(fact)); }

  const uint32_t partitions_;
  Groups& groups_;
  PartitionSummer& summer_;
  Prng random_;
  std::optional<Summing> summing_;
  std::map<uint32_t, Round> rounds_;     // by partition, of those led here
  uint32_t last_marked_ = 0;
  int64_t next_due_us_ = kNever;         // kNever: not known yet
  int64_t interval_us_ = 0;
  std::vector<Finding> findings_;
  std::vector<uint32_t> undecided_;      // ascending
  std::vector<std::pair<uint32_t, std::string>> facts_;
  Counts counts_;
};

}  // namespace quorate

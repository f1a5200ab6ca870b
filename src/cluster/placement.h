// Where the replicas and leaders of partitions should be: a pure function from members and the
// current plan to a proposed plan, and the moves that lead from one to the other.  It only
// proposes: the meta group commits a plan, and the configuration of the partition is the truth.
//
// Sources: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016; arXiv
// 1608.01350): the ring says whom a partition prefers, a bound on the load says whom it gets.  The
// paper walks on to the next node with room; here a flow finds the cheapest set of such steps, so
// zones and weights are met exactly and nothing moves that need not.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cluster/ring.h"

namespace quorate::placement {

enum class MemberState : uint8_t {
  kActive,
  kDraining,  // gets nothing; what it holds is moved away
  kRemoved,   // gets nothing; what it held is rebuilt elsewhere (removed, or silent for too long)
};

struct Member {
  NodeId id = 0;
  uint32_t weight = kWeightDefault;
  std::string zone = {};
  MemberState state = MemberState::kActive;
  friend bool operator==(const Member&, const Member&) = default;
};

// What a partition with two replicas is made of (REPLICATION 7).
enum class TwoReplicas : uint8_t { kVoterAndLearner, kTwoVoters };

struct PartitionPlan {
  std::vector<NodeId> replicas = {};  // the preferred leader first; distinct
  uint32_t voters = 0;                // the first so many replicas vote, the others learn
  friend bool operator==(const PartitionPlan&, const PartitionPlan&) = default;
};
using Plan = std::vector<PartitionPlan>;  // by partition

constexpr uint32_t kPartitionsMax = 16384;
constexpr uint32_t kMembersMax = 1024;
constexpr uint32_t kReplicationMax = 15;

struct PlacementInput {
  std::vector<Member> members;
  uint32_t replication = 3;
  uint32_t partitions = 128;
  TwoReplicas two_replicas = TwoReplicas::kVoterAndLearner;
  // Empty, or one entry a partition.  May name members that are gone, or more or fewer replicas.
  Plan current;
};

// The proposed plan.  Deterministic, whatever the order of the members.  With n active members:
//  1. each partition has min(replication, n) distinct replicas, all on active members;
//  2. replicas of a partition are spread over zones as evenly as members allow: distinct zones if
//     there are enough of them;
//  3. each member holds its share by weight, rounded down, or one more.  (A share is cut where a
//     member would hold a partition twice or its zone more than rule 2 allows; the others take it.)
//     With equal weights and even zones that is at most ceil(mean) + 1;
//  4. it is the preferred leader of its replicas / min(replication, n), rounded either way;
//  5. among the plans with 1 to 3, the fewest replicas are new, and among those with the replicas
//     chosen and 4, the fewest leaders change.
// Without an active member there is nowhere to go: the current plan is returned.
// With P partitions and n members: O(P * n) memory; O(changes * P * n * log) time at worst, in
// practice O(P * n).
// Requires: ids are distinct and weights within 1 and kWeightMax.
Plan propose(const PlacementInput& input);

// ---- from one plan to the other

enum class MoveKind : uint8_t {
  kAddLearner,      // `node` begins to receive the partition
  kJointStep,       // once all new voters have caught up: voters become `voters`, by a joint change
  kTransferLeader,  // to `node`, the preferred leader, if that is another than before
  kRemoveReplica,   // `node`, which is not a voter any more, drops it
};

struct Move {
  MoveKind kind = MoveKind::kAddLearner;
  uint32_t partition = 0;
  NodeId node = 0;                  // not of kJointStep
  std::vector<NodeId> voters = {};  // of kJointStep: the new set, the preferred leader first
  friend bool operator==(const Move&, const Move&) = default;
};

// The moves from `current` to `proposed`, to be carried out in this order (moves of one partition
// must be; those of different partitions may overlap at the price of rule 2).
//  1. A partition's new replicas are added before its voters change, and its voters change in one
//     joint step before a replica is dropped: it never has fewer copies than in both plans.
//  2. No member holds more than one replica above the larger of what it holds in the two plans.
//  3. The transfer precedes the joint step if the preferred leader is a voter already, else follows
//     it.  (A leader outside the new voters then hands over within the joint step by itself.)
// O(changed partitions squared).
// Requires: as many partitions in both, unless `current` is empty.
std::vector<Move> difference(const Plan& current, const Plan& proposed);

}  // namespace quorate::placement

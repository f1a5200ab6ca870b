// Who belongs to a group and how many of them must agree (REPLICATION.md 2 and 7).  Plain values;
// what a quorum has said so far is in quorum.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/raft/types.h"
#include "util/result.h"

namespace quorate::raft {

constexpr size_t kMembersMax = 15;  // voters of one half
// As many as a cluster can have members: all of them follow the meta group.
constexpr size_t kLearnersMax = 1024;

// What "stored" means for a group (REPLICATION.md 5).  The order is from weak to strong.
enum class Durability : uint8_t { kMemory, kOs, kSynced };
// For log lines, and as operators are told: memory, os, synced.
std::string_view name_of(Durability durability);

// C, E and L of one half.
struct Quorums {
  uint32_t commit = 0;        // C: copies that make an entry committed
  uint32_t election = 0;      // E: votes that make a leader
  uint32_t confirmation = 0;  // L: voters, the leader included, that confirm a leadership
  friend bool operator==(const Quorums&, const Quorums&) = default;
};

// The quorums of `voters` voters; commit_quorum 0 means the default, ceil(N/2).
// Refuses what would break I8 (E + C > N and 2E > N).
Result<Quorums> quorums_of(size_t voters, uint32_t commit_quorum);

// A set of voters that decides by itself.  In a joint configuration two of them must both agree.
struct Half {
  // In ring order: the first is the preferred leader; the place is the rank by which candidates
  // yield.
  std::vector<Member> voters = {};
  uint32_t commit_quorum = 0;  // 0: ceil(N/2)

  bool has(ReplicaId replica) const;
  // Requires: valid (validate()).
  Quorums quorums() const;
  friend bool operator==(const Half&, const Half&) = default;
};

// Invariant of a valid one (validate()): at least one voter in each half, I8 in each half, no
// replica twice in one list, no learner that is an incoming voter, at most kMembersMax voters in a
// half and kLearnersMax learners.
struct Configuration {
  Half incoming = {};                 // the only half unless joint
  std::optional<Half> outgoing = {};  // set: joint, on the way from `outgoing` to `incoming`
  // Get the log, do not vote.  A voter on its way out may be here already.
  std::vector<Member> learners = {};
  Durability durability = Durability::kOs;
  // Which decision of the members it follows (ClusterState::mode_version).  It only grows, so that a leader that has not heard of the
  // newest takes nothing back.  0: none; then it says nothing, and every node's own mode holds.
  uint64_t mode_version = 0;

  bool joint() const { return outgoing.has_value(); }
  // Unknown: a new replica before its first snapshot.
  bool unknown() const { return incoming.voters.empty(); }
  bool is_voter(ReplicaId replica) const;
  // Voters of both halves and learners, each once: first incoming, then outgoing, then learners.
  std::vector<Member> members() const;
  // The first of members() that it is.
  std::optional<Member> find(ReplicaId replica) const;
  std::optional<Member> find_on(NodeId node) const;
  // Place in ring order among the voters (of both halves, incoming first); voters().size() if none.
  uint32_t rank(ReplicaId replica) const;
  std::vector<Member> voters() const;

  friend bool operator==(const Configuration&, const Configuration&) = default;
};

Status validate(const Configuration& configuration);

// What a replica must keep that knows both: what was acknowledged under the committed one is kept as that says.  Nothing: neither says
// anything.
std::optional<Durability> strictest(const Configuration& committed, const Configuration& newest);

// How many more voters than elect a leader are on other nodes than these, in the half with fewest to spare; below 0: too few.  Requires: not
// unknown().
int64_t spare_electors(const Configuration& configuration, std::span<const NodeId> nodes);
// Are there voters enough on other nodes than these to elect a leader?  Requires: not unknown().
bool can_elect_without(const Configuration& configuration, std::span<const NodeId> nodes);
// Is a voter on one of these nodes?
bool has_voter_on(const Configuration& configuration, std::span<const NodeId> nodes);
// All members on other nodes than these as the only voters (the first kMembersMax of them; others
// learn): voters of before come first.  Unknown: there is nobody.
Configuration without_nodes(const Configuration& configuration, std::span<const NodeId> nodes);

// The first step from `current` towards `target` (whose `outgoing` must be empty): the joint
// configuration if voters or commit quorum differ, else the target itself (only learners or
// durability change, so no quorum does).  Requires: `current` is not joint.
Configuration first_step(const Configuration& current, const Configuration& target);
// What follows a joint configuration.
Configuration without_outgoing(const Configuration& joint);

// A configuration and the entry that brought it.  Replicas compare them by (epoch, term, index) of
// that entry when they look for the newest.
struct StoredConfiguration {
  Position at = {};
  Configuration configuration = {};
  friend bool operator==(const StoredConfiguration&, const StoredConfiguration&) = default;
};

// For log lines and scripts: "voters 1 2 3" or "voters 1 2 4 outgoing 1 2 3 learners 3
// commit-quorum 1", and "mode synced 2" where it follows a decision of the members.
std::string describe(const Configuration& configuration);

}  // namespace quorate::raft

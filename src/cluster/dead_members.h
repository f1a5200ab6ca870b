// Members that have said nothing for so long that copies of what they hold are made elsewhere (`node-dead-after`).  Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "cluster/members.h"
#include "cluster/raft/mistakes.h"
#include "util/time.h"

namespace quorate {

// What the pair of beats with a member says of it.
struct MemberBeats {
  NodeId node = 0;
  bool is_heard = false;
  int64_t received_us = INT64_MIN;   // when its newest beat arrived; INT64_MIN: never
};

// Kept by each node, asked by the one that leads the members.  Who is dead is what the members have decided (ClusterState::dead), since it must
// outlive a change of their leader: else copies would go back to who is dead, and away again.  This says what they are to decide next.
// Owned by ClusterNode.  Calls: look(), every kLookUs while this node leads the members.
// Invariants: 1. Silence counts only while this node looks: not before it led, nor while it stood still itself.  2. Who is dead stays so
// until it is heard, whoever leads.  3. Nor does silence count while half of the members or more are silent: it is this node that is cut off, or
// the others are about to come back.
class DeadMembers {
 public:
  static constexpr int64_t kLookUs = 1'000'000;

  explicit DeadMembers(const raft::Mistakes& mistakes = {}) : mistakes_(mistakes) {}

  // `members` are all of them; this node hears itself.  Nothing: it is as `state` says.
  std::optional<std::vector<NodeId>> look(Instant now, const ClusterState& state, std::span<const MemberBeats> members);

 private:
  // Silent for so long; it has not died yet.
  bool may_die(Instant now, const ClusterState& state, const MemberBeats& member);

  const raft::Mistakes mistakes_;
  std::map<NodeId, int64_t> silent_since_us_;
  int64_t last_look_us_ = INT64_MIN;
};

}  // namespace quorate

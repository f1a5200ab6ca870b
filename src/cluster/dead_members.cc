// Counting who is heard, and for how long who is not.
#include "cluster/dead_members.h"

#include <algorithm>

namespace quorate {

// A beat may have come between two looks.
bool DeadMembers::may_die(Instant now, const ClusterState& state, const MemberBeats& member) {
  int64_t& since_us = silent_since_us_.try_emplace(member.node, now.steady_us).first->second;
  since_us = std::max(since_us, member.received_us);
  return !state.is_dead(member.node) && now.steady_us - since_us >= state.dead_after_us();
}

std::optional<std::vector<NodeId>> DeadMembers::look(Instant now, const ClusterState& state, std::span<const MemberBeats> others) {
  const bool looked_lately = last_look_us_ != INT64_MIN && now.steady_us - last_look_us_ <= 2 * kLookUs;
  if (!looked_lately) silent_since_us_.clear();
  last_look_us_ = now.steady_us;
  std::vector<NodeId> dead = state.dead();
  std::vector<NodeId> dying;
  size_t alive = 1;   // this node
  for (const MemberBeats& member : others) {
    if (member.is_heard) {
      ++alive;
      std::erase(dead, member.node);
      silent_since_us_.erase(member.node);
    } else if (may_die(now, state, member)) {
      dying.push_back(member.node);
    }
  }
  if (2 * alive > others.size() + 1) dead.insert(dead.end(), dying.begin(), dying.end());
  if (state.dead_after_us() == 0) dead.clear();
  if (dead == state.dead()) return std::nullopt;
  return dead;
}

}  // namespace quorate

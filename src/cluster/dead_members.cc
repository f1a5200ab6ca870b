// Counting who is heard, and for how long who is not.
#include "cluster/dead_members.h"

#include <algorithm>

namespace quorate {

// A beat may have come between two looks.
bool DeadMembers::may_die(Instant now, const ClusterState& state, const MemberBeats& member) {
  int64_t& since_us = silent_since_us_.try_emplace(member.node, now.steady_us).first->second;
  since_us = std::max(since_us, member.received_us);
  const int64_t wait_us = mistakes_.takes_living_for_dead ? 0 : state.dead_after_us();
  return !state.is_dead(member.node) && now.steady_us - since_us >= wait_us;
}

std::optional<std::vector<NodeId>> DeadMembers::look(Instant now, const ClusterState& state, std::span<const MemberBeats> members) {
  const bool looked_lately = last_look_us_ != INT64_MIN && now.steady_us - last_look_us_ <= 2 * kLookUs;
  last_look_us_ = now.steady_us;
  const auto heard = std::count_if(members.begin(), members.end(), [](const MemberBeats& each) { return each.is_heard; });
  const bool are_most_heard = 2 * static_cast<size_t>(heard) > members.size();
  if (!looked_lately || !are_most_heard) silent_since_us_.clear();
  std::vector<NodeId> dead = state.dead();
  for (const MemberBeats& member : members) {
    if (member.is_heard) {
      std::erase(dead, member.node);
      silent_since_us_.erase(member.node);
    } else if (are_most_heard && may_die(now, state, member)) {
      dead.push_back(member.node);
    }
  }
  if (state.dead_after_us() == 0) dead.clear();
  if (dead == state.dead()) return std::nullopt;
  return dead;
}

}  // namespace quorate

// Counting what starts wait for.
#include "cluster/start_watch.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cluster/members.h"

namespace quorate {

namespace {

constexpr int64_t kLookUs = 250'000;
constexpr int64_t kLateUs = 1'000'000;
constexpr int64_t kLineUs = 1'000'000;
constexpr int64_t kLineUsMax = 64'000'000;

std::string name_of(raft::Progress::State state) {
  switch (state) {
    case raft::Progress::State::kProbe:
      return "probed";
    case raft::Progress::State::kReplicate:
      return "sent to";
    case raft::Progress::State::kSnapshot:
      return "waits for a snapshot";
  }
  return {};
}

// One group in full: the others wait for the same, mostly.
std::string describe(Instant now, const raft::Core& core) {
  std::string text = "group " + std::to_string(core.options().group.value) + " of term " + std::to_string(core.term().value) +
                     ": entry " + std::to_string(core.first_of_term().value) + ", " + raft::describe(core.configuration()) +
                     ", stored here " + std::to_string(core.stored_index().value);
  for (const raft::Progress& each : core.progress()) {
    if (each.member() == core.options().self) continue;
    text += ", replica " + std::to_string(each.member().replica.value) + (each.is_silent ? " (silent) " : " ") + name_of(each.state()) +
            ": match " + std::to_string(each.match().value) + " next " + std::to_string(each.next_index().value) + " on the way " +
            std::to_string(each.bytes_in_flight()) + " bytes";
    if (each.waiting_since_us() != kNever) text += " for " + std::to_string((now.steady_us - each.waiting_since_us()) / 1000) + " ms";
  }
  return text;
}

// How many of the late groups lack an answer of each node.
using Lacking = std::map<raft::NodeId, size_t>;

void count(const raft::Core& core, Lacking& lacking, size_t& own_disk) {
  if (core.stored_index() < core.first_of_term()) ++own_disk;
  for (const raft::Progress& each : core.progress()) {
    const bool votes = each.in_incoming || each.in_outgoing;
    if (each.member() != core.options().self && votes && each.match() < core.first_of_term()) ++lacking[each.member().node];
  }
}

}  // namespace

std::string StartWatch::look(Instant now, const Groups& groups, const Peers& peers) {
  if (now.steady_us < next_look_us_) return {};
  next_look_us_ = now.steady_us + kLookUs;
  const std::map<raft::GroupId, Start> before = std::exchange(starts_, {});
  const raft::Core* first = nullptr;
  int64_t longest_us = 0;
  size_t late = 0;
  size_t own_disk = 0;
  Lacking lacking;
  groups.for_each([&](raft::GroupId group, const raft::Core& core) {
    if (!core.is_starting()) return;
    const auto known = before.find(group);
    const bool is_known = known != before.end() && known->second.term == core.term();
    const int64_t seen_us = is_known ? known->second.seen_us : now.steady_us;
    starts_[group] = {.term = core.term(), .seen_us = seen_us};
    if (now.steady_us - seen_us < kLateUs) return;
    ++late;
    longest_us = std::max(longest_us, now.steady_us - seen_us);
    count(core, lacking, own_disk);
    if (first == nullptr) first = &core;
  });
  if (late == 0) rest_us_ = 0;
  if (late == 0 || (said_us_ && now.steady_us < *said_us_ + std::max(rest_us_, kLineUs))) return {};
  said_us_ = now.steady_us;
  rest_us_ = std::clamp(rest_us_ * 2, kLineUs, kLineUsMax);
  std::string line = std::to_string(late) + " leaders here have not committed their first entry for up to " +
                     std::to_string(longest_us / 1000) + " ms -> wait for the disk here (" + std::to_string(own_disk) + ")";
  for (const auto& [node, times] : lacking) {
    const bool is_open = peers.is_up(node.value, PeerLane::kData);
    line += ", " + node_name(node.value) + " (" + std::to_string(times) + (is_open ? ", line is open)" : ", no line)");
  }
  return line + "; " + describe(now, *first);
}

}  // namespace quorate

// In how many zones copies of a partition are, for `min-zones` (REPLICATION 2): how far they have got, and which of them live.  Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "cluster/members.h"
#include "cluster/raft/configuration.h"

namespace quorate {

// The best copy of each zone, by a number that is told of each copy.  Nodes without a zone are in one together.
class ZoneValues {
 public:
  void add(std::string_view zone, uint64_t value) {
    const auto end = zones_.begin() + static_cast<ptrdiff_t>(count_);
    const auto known = static_cast<size_t>(std::find(zones_.begin(), end, zone) - zones_.begin());
    if (known == count_) {
      // Nobody plans so many copies; those beyond count for nothing.
      if (count_ == zones_.size()) return;
      zones_[count_] = zone;
      values_[count_++] = 0;
    }
    values_[known] = std::max(values_[known], value);
  }
  uint32_t count() const { return static_cast<uint32_t>(count_); }
  uint32_t count_from(uint64_t least) const {
    return static_cast<uint32_t>(std::count_if(values_.begin(), values_.begin() + static_cast<ptrdiff_t>(count_),
                                               [&](uint64_t value) { return value >= least; }));
  }
  // What at least so many zones reach; 0: there are fewer.  Requires: zones >= 1.
  uint64_t reached_in(uint32_t zones) const;

 private:
  // Each copy of a partition may be in a zone of its own: voters of both halves, and learners.
  static constexpr size_t kZonesMax = 3 * raft::kMembersMax;
  std::array<std::string_view, kZonesMax> zones_;
  std::array<uint64_t, kZonesMax> values_{};
  size_t count_ = 0;
};

// The copies that count in a half: its voters, and where it has a single one all copies (REPLICATION 7).
template <class Value>
ZoneValues values_of_zones(const raft::Configuration& configuration, const raft::Half& half, const ClusterState& state, Value&& value) {
  ZoneValues values;
  for (const raft::Member& member : configuration.members()) {
    if (half.voters.size() > 1 && !half.has(member.replica)) continue;
    const MemberRecord* const record = state.find(member.node.value);
    if (record != nullptr) values.add(record->zone, value(member));
  }
  return values;
}

// What copies in at least so many zones reach, in both halves while the voters change (in a half with fewer zones in all of them); 0:
// there are not so many zones.  Requires: zones >= 1.
template <class Value>
uint64_t reached_in_zones(const raft::Configuration& configuration, const ClusterState& state, uint32_t zones, Value&& value) {
  const ZoneValues incoming = values_of_zones(configuration, configuration.incoming, state, value);
  if (!configuration.joint()) return incoming.reached_in(zones);
  const ZoneValues outgoing = values_of_zones(configuration, *configuration.outgoing, state, value);
  // Of a half whose members are not known here nothing is known.
  if (incoming.count() == 0 || outgoing.count() == 0) return 0;
  if (std::max(incoming.count(), outgoing.count()) < zones) return 0;
  return std::min(incoming.reached_in(std::min(zones, incoming.count())), outgoing.reached_in(std::min(zones, outgoing.count())));
}

}  // namespace quorate

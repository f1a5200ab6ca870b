// Shares by weight with integers only; then two flows: partitions to members, partitions to
// leaders.
#include "cluster/placement.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "cluster/flow.h"
#include "util/check.h"
#include "util/prng.h"

namespace quorate::placement {

namespace {

// Shares are fixed-point numbers.  A share is a fraction over a sum of weights (< 2^24), its error
// is a weight (< 2^14) times the unit: 48 bits tell any two shares apart from an integer between
// them.
constexpr int kShareBits = 48;
using Share = Uint128;

// How many replicas of one partition a zone may hold.
struct Zone {
  std::vector<uint32_t> members;  // indexes into Candidates::ids
  uint32_t lower = 0;
  uint32_t upper = 0;
};

// The members that may hold replicas, ascending by id, with what follows from zones and weights.
struct Candidates {
  std::vector<NodeId> ids;
  std::vector<uint32_t> weights;
  std::vector<uint32_t> zone_of;
  std::vector<Zone> zones;
  std::vector<uint32_t> floors;  // share, rounded down
  uint32_t replicas = 0;         // of each partition

  // The index of a member, or ids.size() if it is not a candidate.
  uint32_t index_of(NodeId id) const {
    const auto at = std::lower_bound(ids.begin(), ids.end(), id);
    return static_cast<uint32_t>(at != ids.end() && *at == id ? at - ids.begin() : std::ssize(ids));
  }
};

Candidates active_members(const PlacementInput& input) {
  std::vector<const Member*> active;
  for (const Member& member : input.members) {
    if (member.state == MemberState::kActive) active.push_back(&member);
  }
  std::sort(active.begin(), active.end(),
            [](const Member* a, const Member* b) { return a->id < b->id; });
  std::map<std::string_view, uint32_t> zone_numbers;
  for (const Member* member : active) zone_numbers.emplace(member->zone, 0);
  uint32_t zones = 0;
  for (auto& [name, number] : zone_numbers) number = zones++;

  Candidates candidates;
  candidates.zones.resize(zones);
  for (const Member* member : active) {
    CHECK(candidates.ids.empty() || candidates.ids.back() < member->id);
    const uint32_t zone = zone_numbers.find(member->zone)->second;
    candidates.zones[zone].members.push_back(static_cast<uint32_t>(candidates.ids.size()));
    candidates.ids.push_back(member->id);
    candidates.weights.push_back(member->weight);
    candidates.zone_of.push_back(zone);
  }
  candidates.replicas = std::min(input.replication, static_cast<uint32_t>(active.size()));
  return candidates;
}

// The evenest spread: each zone holds `level` or `level - 1` replicas of a partition, or all its
// members do.
void spread_over_zones(Candidates& candidates) {
  const auto held = [&](uint32_t level) {
    uint64_t sum = 0;
    for (const Zone& zone : candidates.zones) sum += std::min<uint64_t>(level, zone.members.size());
    return sum;
  };
  uint32_t level = 1;
  while (held(level) < candidates.replicas) ++level;
  for (Zone& zone : candidates.zones) {
    const auto size = static_cast<uint32_t>(zone.members.size());
    zone.lower = std::min(level - 1, size);
    zone.upper = std::min(level, size);
  }
}

// What a member gets if a unit of weight gets `unit`: a partition at most once.
Share share_of(uint32_t weight, Share unit, uint32_t partitions) {
  return std::min(unit * weight, Share{partitions} << kShareBits);
}

Share zone_share(const Candidates& candidates, const Zone& zone, Share unit, uint32_t partitions) {
  Share sum = 0;
  for (const uint32_t member : zone.members) {
    sum += share_of(candidates.weights[member], unit, partitions);
  }
  return sum;
}

// The largest unit with which `total(unit)`, which never falls, is at most `limit`.
template <class Total>
Share largest_unit(uint32_t partitions, Share limit, Total total) {
  Share low = 0;  // total(low) <= limit
  Share high = (Share{partitions} << kShareBits) + 1;
  while (high - low > 1) {
    const Share middle = low + (high - low) / 2;
    (total(middle) <= limit ? low : high) = middle;
  }
  return low;
}

// Shares in proportion to weights as far as zones and partitions allow ("water filling").
void compute_shares(Candidates& candidates, uint32_t partitions) {
  const auto whole = [&](uint64_t replicas) { return Share{replicas} * partitions << kShareBits; };
  const auto clamped = [&](const Zone& zone, Share unit) {
    return std::clamp(zone_share(candidates, zone, unit, partitions), whole(zone.lower),
                      whole(zone.upper));
  };
  const Share unit = largest_unit(partitions, whole(candidates.replicas), [&](Share tried) {
    Share sum = 0;
    for (const Zone& zone : candidates.zones) sum += clamped(zone, tried);
    return sum;
  });
  candidates.floors.resize(candidates.ids.size());
  for (const Zone& zone : candidates.zones) {
    // A zone at one of its limits has a unit of its own.
    const Share limit = clamped(zone, unit);
    const Share own = zone_share(candidates, zone, unit, partitions) == limit
                          ? unit
                          : largest_unit(partitions, limit, [&](Share tried) {
                              return zone_share(candidates, zone, tried, partitions);
                            });
    for (const uint32_t member : zone.members) {
      candidates.floors[member] = static_cast<uint32_t>(
          share_of(candidates.weights[member], own, partitions) >> kShareBits);
    }
  }
}

// Replicas of each partition that may stay: candidates' indexes, in the current order.
std::vector<std::vector<uint32_t>> kept_replicas(const PlacementInput& input,
                                                 const Candidates& candidates) {
  std::vector<std::vector<uint32_t>> kept(input.partitions);
  for (uint32_t partition = 0; partition < input.current.size(); ++partition) {
    for (const NodeId id : input.current[partition].replicas) {
      const uint32_t member = candidates.index_of(id);
      if (member < candidates.ids.size()) kept[partition].push_back(member);
    }
  }
  return kept;
}

// Candidates' indexes in the order in which the partition prefers them.
std::vector<std::vector<uint32_t>> preferences(const Candidates& candidates, uint32_t partitions) {
  std::vector<RingMember> members;
  for (size_t index = 0; index < candidates.ids.size(); ++index) {
    members.push_back({.id = candidates.ids[index], .weight = candidates.weights[index]});
  }
  const Ring ring(members);
  std::vector<std::vector<uint32_t>> orders(partitions);
  for (uint32_t partition = 0; partition < partitions; ++partition) {
    for (const NodeId id : ring.walk(partition_point(partition))) {
      orders[partition].push_back(candidates.index_of(id));
    }
  }
  return orders;
}

bool holds(const std::vector<uint32_t>& members, uint32_t member) {
  return std::find(members.begin(), members.end(), member) != members.end();
}

// The flow of replicas: partition -> (partition, zone) -> member -> sink.
class ReplicaFlow {
 public:
  ReplicaFlow(const Candidates& candidates, uint32_t partitions)
      : candidates_(candidates),
        zones_(static_cast<uint32_t>(candidates.zones.size())),
        members_(static_cast<uint32_t>(candidates.ids.size())),
        partitions_(partitions),
        flow_(partitions * (1 + zones_) + members_ + 1) {}

  // The replicas of each partition, in its order of preference.
  std::vector<std::vector<uint32_t>> solve(const std::vector<std::vector<uint32_t>>& kept,
                                           const std::vector<std::vector<uint32_t>>& orders) {
    std::vector<int64_t> loads(members_, 0);
    std::vector<std::vector<BoundedFlow::Arc>> arcs(partitions_);
    for (uint32_t partition = 0; partition < partitions_; ++partition) {
      arcs[partition] = add_partition(partition, kept[partition], orders[partition]);
      for (const uint32_t member : kept[partition]) ++loads[member];
    }
    for (uint32_t member = 0; member < members_; ++member) {
      const int64_t floor = candidates_.floors[member];
      const BoundedFlow::Bounds bounds{floor, std::min<int64_t>(floor + 1, partitions_)};
      flow_.add_arc(member_vertex(member), sink(), bounds,
                    std::clamp(loads[member], bounds.lower, bounds.upper), 0);
    }
    flow_.add_supply(sink(), -int64_t{partitions_} * candidates_.replicas);
    const bool possible = flow_.mend();
    CHECK(possible);
    return chosen(arcs, orders);
  }

 private:
  uint32_t zone_vertex(uint32_t partition, uint32_t zone) const {
    return partitions_ + partition * zones_ + zone;
  }
  uint32_t member_vertex(uint32_t member) const { return partitions_ * (1 + zones_) + member; }
  uint32_t sink() const { return partitions_ * (1 + zones_) + members_; }

  // Returns the arcs to members, in the order of preference.
  std::vector<BoundedFlow::Arc> add_partition(uint32_t partition, const std::vector<uint32_t>& kept,
                                              const std::vector<uint32_t>& order) {
    std::vector<int64_t> in_zone(zones_, 0);
    for (const uint32_t member : kept) ++in_zone[candidates_.zone_of[member]];
    std::vector<char> zone_met(zones_, 0);
    std::vector<BoundedFlow::Arc> arcs;
    for (const uint32_t member : order) {
      const uint32_t zone = candidates_.zone_of[member];
      const BoundedFlow::Vertex place = zone_vertex(partition, zone);
      if (zone_met[zone] == 0) {
        zone_met[zone] = 1;
        const BoundedFlow::Bounds bounds{candidates_.zones[zone].lower,
                                         candidates_.zones[zone].upper};
        flow_.add_arc(partition, place, bounds,
                      std::clamp(in_zone[zone], bounds.lower, bounds.upper), 0);
      }
      const bool is_kept = holds(kept, member);
      arcs.push_back(
          flow_.add_arc(place, member_vertex(member), {0, 1}, is_kept ? 1 : 0, is_kept ? 0 : 1));
    }
    flow_.add_supply(partition, candidates_.replicas);
    return arcs;
  }

  std::vector<std::vector<uint32_t>> chosen(
      const std::vector<std::vector<BoundedFlow::Arc>>& arcs,
      const std::vector<std::vector<uint32_t>>& orders) const {
    std::vector<std::vector<uint32_t>> replicas(partitions_);
    for (uint32_t partition = 0; partition < partitions_; ++partition) {
      for (size_t rank = 0; rank < arcs[partition].size(); ++rank) {
        if (flow_.flow(arcs[partition][rank]) == 1) {
          replicas[partition].push_back(orders[partition][rank]);
        }
      }
      CHECK(replicas[partition].size() == candidates_.replicas);
    }
    return replicas;
  }

  const Candidates& candidates_;
  const uint32_t zones_;
  const uint32_t members_;
  const uint32_t partitions_;
  BoundedFlow flow_;
};

// The leader of each partition: partition -> one of its replicas -> sink.  Always possible: if each
// replica led a share of 1/n, every member would be within its bounds.
std::vector<uint32_t> choose_leaders(const Candidates& candidates,
                                     const std::vector<std::vector<uint32_t>>& replicas,
                                     const Plan& current) {
  const auto partitions = static_cast<uint32_t>(replicas.size());
  const auto members = static_cast<uint32_t>(candidates.ids.size());
  BoundedFlow flow(partitions + members + 1);
  const BoundedFlow::Vertex sink = partitions + members;
  std::vector<int64_t> held(members, 0);
  std::vector<int64_t> led(members, 0);
  std::vector<std::vector<BoundedFlow::Arc>> arcs(partitions);
  for (uint32_t partition = 0; partition < partitions; ++partition) {
    const bool has_leader = partition < current.size() && !current[partition].replicas.empty();
    for (const uint32_t member : replicas[partition]) {
      const bool leads =
          has_leader && candidates.ids[member] == current[partition].replicas.front();
      arcs[partition].push_back(
          flow.add_arc(partition, partitions + member, {0, 1}, leads ? 1 : 0, leads ? 0 : 1));
      ++held[member];
      led[member] += leads ? 1 : 0;
    }
    flow.add_supply(partition, 1);
  }
  for (uint32_t member = 0; member < members; ++member) {
    const int64_t lower = held[member] / candidates.replicas;
    const BoundedFlow::Bounds bounds{lower, lower + (held[member] % candidates.replicas != 0)};
    flow.add_arc(partitions + member, sink, bounds,
                 std::clamp(led[member], bounds.lower, bounds.upper), 0);
  }
  flow.add_supply(sink, -int64_t{partitions});
  const bool possible = flow.mend();
  CHECK(possible);
  std::vector<uint32_t> leaders(partitions);
  for (uint32_t partition = 0; partition < partitions; ++partition) {
    for (size_t rank = 0; rank < arcs[partition].size(); ++rank) {
      if (flow.flow(arcs[partition][rank]) == 1) leaders[partition] = replicas[partition][rank];
    }
  }
  return leaders;
}

uint32_t voter_count(uint32_t replicas, TwoReplicas two_replicas) {
  return replicas == 2 && two_replicas == TwoReplicas::kVoterAndLearner ? 1 : replicas;
}

// ---- differences

std::span<const NodeId> voters_of(const PartitionPlan& plan) {
  return std::span(plan.replicas).first(plan.voters);
}

bool same_set(std::span<const NodeId> a, std::span<const NodeId> b) {
  return a.size() == b.size() &&
         std::all_of(a.begin(), a.end(), [&](NodeId id) { return contains(b, id); });
}

void append_moves(uint32_t partition, const PartitionPlan& from, const PartitionPlan& to,
                  std::vector<Move>& moves) {
  for (const NodeId node : to.replicas) {
    if (contains(from.replicas, node)) continue;
    moves.push_back({.kind = MoveKind::kAddLearner, .partition = partition, .node = node});
  }
  const bool new_leader = !from.replicas.empty() && !to.replicas.empty() &&
                          from.replicas.front() != to.replicas.front();
  const bool before = new_leader && contains(voters_of(from), to.replicas.front());
  const Move transfer{.kind = MoveKind::kTransferLeader,
                      .partition = partition,
                      .node = new_leader ? to.replicas.front() : 0};
  if (before) moves.push_back(transfer);
  if (!same_set(voters_of(from), voters_of(to))) {
    const auto voters = voters_of(to);
    moves.push_back({.kind = MoveKind::kJointStep,
                     .partition = partition,
                     .node = 0,
                     .voters = {voters.begin(), voters.end()}});
  }
  if (new_leader && !before) moves.push_back(transfer);
  for (const NodeId node : from.replicas) {
    if (contains(to.replicas, node)) continue;
    moves.push_back({.kind = MoveKind::kRemoveReplica, .partition = partition, .node = node});
  }
}

// How far a member is above the larger of its loads in the two plans.
using Overshoot = std::map<NodeId, int64_t>;

Overshoot initial_overshoot(const Plan& current, const Plan& proposed) {
  std::map<NodeId, int64_t> before;
  std::map<NodeId, int64_t> after;
  for (const PartitionPlan& partition : current) {
    for (const NodeId node : partition.replicas) ++before[node];
  }
  for (const PartitionPlan& partition : proposed) {
    for (const NodeId node : partition.replicas) ++after[node];
  }
  Overshoot overshoot;
  for (const auto& [node, load] : before)
    overshoot[node] = std::min<int64_t>(0, load - after[node]);
  for (const auto& [node, load] : after)
    overshoot[node] = std::min<int64_t>(0, before[node] - load);
  return overshoot;
}

// The next partition to move: the one whose receivers have most room; among equals the one that
// frees the fullest donor.
size_t pick_next(const std::vector<uint32_t>& waiting, const Plan& current, const Plan& proposed,
                 const Overshoot& overshoot) {
  size_t best = 0;
  std::pair<int64_t, int64_t> best_key{INT64_MAX, 0};
  for (size_t at = 0; at < waiting.size(); ++at) {
    const PartitionPlan& from = current[waiting[at]];
    const PartitionPlan& to = proposed[waiting[at]];
    std::pair<int64_t, int64_t> key{INT64_MIN, 0};
    for (const NodeId node : to.replicas) {
      if (!contains(from.replicas, node)) key.first = std::max(key.first, overshoot.at(node));
    }
    for (const NodeId node : from.replicas) {
      if (!contains(to.replicas, node)) key.second = std::min(key.second, -overshoot.at(node));
    }
    if (key < best_key) {
      best_key = key;
      best = at;
    }
  }
  return best;
}

}  // namespace

Plan propose(const PlacementInput& input) {
  CHECK(input.partitions >= 1);
  CHECK(input.partitions <= kPartitionsMax);
  CHECK(input.replication >= 1);
  CHECK(input.replication <= kReplicationMax);
  CHECK(input.members.size() <= kMembersMax);
  CHECK(input.current.empty() || input.current.size() == input.partitions);
  Candidates candidates = active_members(input);
  if (candidates.ids.empty()) return input.current;
  spread_over_zones(candidates);
  compute_shares(candidates, input.partitions);
  const auto orders = preferences(candidates, input.partitions);
  const auto replicas =
      ReplicaFlow(candidates, input.partitions).solve(kept_replicas(input, candidates), orders);
  const auto leaders = choose_leaders(candidates, replicas, input.current);
  Plan plan(input.partitions);
  for (uint32_t partition = 0; partition < input.partitions; ++partition) {
    PartitionPlan& entry = plan[partition];
    entry.voters = voter_count(candidates.replicas, input.two_replicas);
    entry.replicas.push_back(candidates.ids[leaders[partition]]);
    for (const uint32_t member : replicas[partition]) {
      if (member != leaders[partition]) entry.replicas.push_back(candidates.ids[member]);
    }
  }
  return plan;
}

std::vector<Move> difference(const Plan& current, const Plan& proposed) {
  const Plan empty(proposed.size());
  const Plan& start = current.empty() ? empty : current;
  CHECK(start.size() == proposed.size());
  std::vector<uint32_t> waiting;
  for (uint32_t partition = 0; partition < proposed.size(); ++partition) {
    if (start[partition] != proposed[partition]) waiting.push_back(partition);
  }
  Overshoot overshoot = initial_overshoot(start, proposed);
  std::vector<Move> moves;
  while (!waiting.empty()) {
    const size_t next = pick_next(waiting, start, proposed, overshoot);
    const uint32_t partition = waiting[next];
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(next));
    append_moves(partition, start[partition], proposed[partition], moves);
    for (const NodeId node : proposed[partition].replicas) ++overshoot.at(node);
    for (const NodeId node : start[partition].replicas) --overshoot.at(node);
  }
  return moves;
}

}  // namespace quorate::placement

// What operators do to the plan by hand, and how long that holds; and a new member in the place of another.
#include "cluster/members.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace quorate {

namespace {

Error refused(std::string what) { return Error(ErrorCode::kInvalidArgument, std::move(what)); }

auto place_of(std::vector<PlannedReplica>& replicas, NodeId node) {
  return std::find_if(replicas.begin(), replicas.end(), [&](const PlannedReplica& each) { return each.node == node; });
}

}  // namespace

void ClusterState::plan_is_due() {
  if (plan_fit_ != PlanFit::kOfBefore) plan_fit_ = PlanFit::kDue;
  ++plan_version_;
}

Status ClusterState::rebalance() {
  if (plan_fit_ != PlanFit::kByHand && plan_fit_ != PlanFit::kOfBefore) return done();
  plan_fit_ = PlanFit::kDue;
  plan_is_due();
  return done();
}

Status ClusterState::check_target(NodeId node) const {
  const MemberRecord* const member = find(node);
  if (member == nullptr) return refused("no such node");
  if (member->state == MemberState::kRemoved) return refused("the node was removed from the cluster for good");
  if (member->state == MemberState::kDraining) return refused("the node is draining and gets nothing: UNDRAIN it first");
  if (is_dead(node)) return refused("the node is dead: it was silent for node-dead-after");
  return done();
}

// Each partition has as many copies as there shall be, on nodes that get something.
bool ClusterState::plan_covers_members() const {
  std::set<NodeId> active;
  for (const placement::Member& member : placement_members()) {
    if (member.state == MemberState::kActive) active.insert(member.id);
  }
  const size_t copies = std::min<size_t>(replication(), active.size());
  return std::all_of(plan_.begin(), plan_.end(), [&](const PlannedPartition& planned) {
    return planned.replicas.size() == copies &&
           std::all_of(planned.replicas.begin(), planned.replicas.end(), [&](const PlannedReplica& each) { return active.count(each.node) != 0; });
  });
}

size_t ClusterState::zones_of(const PlannedPartition& planned) const {
  std::set<std::string_view> zones;
  for (const PlannedReplica& each : planned.replicas) zones.insert(find(each.node)->zone);
  return zones.size();
}

// Only what placement has put there is moved: what it is about to do itself would be left undone.
Status ClusterState::move(const meta::Move& command) {
  if (command.partition >= partitions()) return refused("no such partition: there are " + std::to_string(partitions()));
  TRY(check_target(command.to));
  PlannedPartition moved = plan_[command.partition];
  const auto to = place_of(moved.replicas, command.to);
  if (command.from == 0) {
    if (to == moved.replicas.end()) return refused("the node has no copy of the partition, so it cannot lead it");
    if (to == moved.replicas.begin()) return refused("the node is the partition's preferred leader already");
    if (to - moved.replicas.begin() >= static_cast<std::ptrdiff_t>(moved.voters)) return refused("the node's copy of the partition does not vote, so it cannot lead it");
    std::rotate(moved.replicas.begin(), to, to + 1);
  } else {
    if (to != moved.replicas.end()) return refused("the node that is to get the partition has a copy of it already");
    const auto from = place_of(moved.replicas, command.from);
    if (from == moved.replicas.end()) return refused("the node that is to give the partition away has no copy of it");
    *from = {.node = command.to, .replica = next_replica_};
    if (zones_of(moved) < zones_of(plan_[command.partition])) return refused("the partition's copies would be in fewer zones than they are");
  }
  if (plan_fit_ == PlanFit::kDue || plan_fit_ == PlanFit::kOfBefore || !plan_covers_members()) {
    return refused("a plan for members that have changed is being made: ask again");
  }
  if (command.from != 0) ++next_replica_;
  plan_[command.partition] = std::move(moved);
  plan_fit_ = PlanFit::kByHand;
  ++plan_version_;
  return done();
}

// Of two voters either commits alone.
Status ClusterState::may_replace(NodeId former) const {
  constexpr uint32_t kVotersMin = 3;
  if (commit_quorum() == 1) return refused("one copy commits (commit-quorum 1), so the damaged one may be the only one that holds what was acknowledged");
  for (size_t index = 0; index < plan_.size(); ++index) {
    const std::vector<PlannedReplica>& replicas = plan_[index].replicas;
    const uint32_t voters = plan_[index].voters;
    const bool votes = std::any_of(replicas.begin(), replicas.begin() + voters, [&](const PlannedReplica& each) { return each.node == former; });
    if (votes && voters < kVotersMin) {
      return refused("the damaged copy of partition " + std::to_string(index) + " may be the only one that holds what was acknowledged");
    }
  }
  return done();
}

// The old one's place in the plan is the new one's, so that nobody else's copies move.
Status ClusterState::replace(const meta::Replace& command) {
  const MemberRecord* const former = find(command.former);
  if (former == nullptr) return refused("the node in whose place it comes is none of this cluster");
  if (former->state == MemberState::kRemoved) return enrol({.member = command.member});
  if (find(command.member.id) != nullptr) return refused("it is a member already, and nobody else's place is free");
  TRY(may_replace(command.former));
  const MemberState state = former->state;
  TRY(enrol({.member = command.member}));
  for (MemberRecord& member : members_) {
    if (member.id == command.former) member.state = MemberState::kRemoved;
    if (member.id == command.member.id) member.state = state;
  }
  bury_removed();
  for (PlannedPartition& planned : plan_) {
    const auto place = place_of(planned.replicas, command.former);
    if (place != planned.replicas.end()) *place = {.node = command.member.id, .replica = next_replica_++};
  }
  plan_is_due();
  return done();
}

}  // namespace quorate

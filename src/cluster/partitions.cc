// Replicas of partitions: how they come and go, what they execute and apply, and the turns in which each is looked at.
#include "cluster/partitions.h"

#include <algorithm>
#include <utility>

#include "cluster/partitions_parts.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

using partitions_parts::leads;

}  // namespace

Partitions::Partitions(const PartitionsOptions& options, Groups& groups, PartitionData& data)
    : options_(options),
      groups_(groups),
      data_(data),
      check_(options.partitions, options.seed, groups, data),
      replicas_(options.partitions),
      due_(options.partitions) {}

// ---- replicas come and go --------------------------------------------------------------------------------

void Partitions::begin(Instant now, const ClusterState& state) {
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    const PlannedReplica& own = state.plan()[partition].replicas.front();
    raft::Configuration configuration;
    configuration.incoming.voters = {{.replica = {own.replica}, .node = {own.node}}};
    configuration.durability = state.mode().value_or(configuration.durability);
    configuration.mode_version = state.mode_version();
    raft::Restored restored = raft::bootstrap(std::move(configuration));
    bases_to_store_.push_back(
        {.group = group_of_partition(partition), .replica = {own.replica}, .mark = restored.base, .state = std::nullopt});
    replicas_[partition].state_index = restored.base.last.index;
    groups_.add(now, group_of_partition(partition), {own.replica}, std::move(restored));
  }
}

void Partitions::restore(Instant now, std::map<raft::GroupId, GroupRecovery::Found>& groups) {
  for (auto& [group, found] : groups) {
    if (group.value > options_.partitions) continue;
    replicas_[partition_of(group)].state_index = found.restored.base.last.index;
    groups_.add(now, group, found.replica, std::move(found.restored));
    required_is_stale_ = true;
    look_soon(partition_of(group));
  }
}

void Partitions::add_empty(Instant now, uint32_t partition, raft::ReplicaId replica, raft::Restored restored) {
  const raft::GroupId group = group_of_partition(partition);
  forget_snapshot(partition);
  forget_coming(partition);
  check_.forget(partition);
  data_.clear(partition);
  replicas_[partition] = Replica();
  due_.erase(partition);
  required_is_stale_ = true;
  bases_to_store_.push_back({.group = group, .replica = replica, .mark = restored.base, .state = std::nullopt});
  groups_.add(now, group, replica, std::move(restored));
}

// What this replica has executed is not what the log says any more.  It forgets everything but its votes, and does not vote until it
// holds again what its leader has (REPLICATION 5).
void Partitions::start_over(Instant now, uint32_t partition) {
  const raft::GroupId group = group_of_partition(partition);
  const raft::Core& core = *groups_.find(group);
  raft::Restored restored = raft::empty_replica();
  restored.hard_state = core.hard_state();
  // The core finds out anew that it may have forgotten, and so writes all of this beside the new base.
  restored.hard_state.standing = raft::Standing::kFull;
  restored.start = raft::StartKind::kMayHaveForgotten;
  const raft::ReplicaId replica = core.options().self.replica;
  const int64_t waited_us = replicas_[partition].start_over_wait_us;
  groups_.remove(now, group);
  add_empty(now, partition, replica, std::move(restored));
  const int64_t wait_us = std::clamp(waited_us * 2, options_.start_over_again_us, options_.start_over_again_us_max);
  replicas_[partition].start_over_wait_us = wait_us;
  replicas_[partition].may_ask_from_us = now.steady_us + wait_us;
}

// What is known to be wrong here comes back from who leads.  So a leader hands over first; where nobody else can lead, this copy is better
// than none.  Another one asks: it may be the only one that holds what is committed.
void Partitions::mend(Instant now, uint32_t partition, Peers& peers) {
  Replica& replica = replicas_[partition];
  const raft::GroupId group = group_of_partition(partition);
  const raft::Core& own = *core(partition);
  if (leads(own)) {
    if (now.steady_us < replica.next_transfer_us) return;
    replica.next_transfer_us = now.steady_us + options_.draining_transfer_us;
    groups_.hand_over(now, group, replica.agreeing);
    return;
  }
  const std::optional<raft::NodeId> leader = groups_.known_leader(group);
  if (!leader || leader->value == options_.self || now.steady_us < replica.may_ask_from_us) return;
  if (replica.asked_to_start_over_us && now.steady_us < *replica.asked_to_start_over_us + options_.start_over_us) return;
  Link* const link = peers.link(leader->value, PeerLane::kData);
  if (link == nullptr) return;
  replica.asked_to_start_over_us = now.steady_us;
  Buffer bytes;
  append_varint(bytes, group.value);
  append_little<uint64_t>(bytes, own.options().self.replica.value);
  link->add(kMayStartOver, bytes.view());
}

void Partitions::drop(Instant now, uint32_t partition) {
  groups_.remove(now, group_of_partition(partition));
  std::erase_if(bases_to_store_, [&](const GroupBase& each) { return each.group == group_of_partition(partition); });
  std::erase_if(pieces_to_store_, [&](const GroupPiece& each) { return each.group == group_of_partition(partition); });
  gone_to_store_.push_back(group_of_partition(partition));
  forget_snapshot(partition);
  forget_coming(partition);
  check_.forget(partition);
  data_.clear(partition);
  data_.on_role(partition, raft::RoleState());
  replicas_[partition] = Replica();
  due_.erase(partition);
  required_is_stale_ = true;
}

// ---- executing and applying --------------------------------------------------------------------------------

bool Partitions::can_propose(uint32_t partition) const {
  const raft::Core* const own = core(partition);
  return own != nullptr && own->can_propose();
}

raft::Index Partitions::propose(Instant now, uint32_t partition, SharedBytes batch) {
  Replica& replica = replicas_[partition];
  const raft::GroupId group = group_of_partition(partition);
  // What the core itself has put in front of it changes no data.
  apply(now, partition);
  groups_.step(now, group, raft::in::Propose{std::move(batch)});
  replica.state_index = core(partition)->last_index();
  return replica.state_index;
}

raft::Index Partitions::commit_index(uint32_t partition) const {
  const raft::Core* const own = core(partition);
  return own == nullptr ? raft::Index() : own->commit_index();
}

std::optional<raft::SnapshotMark> Partitions::state_mark(uint32_t partition) const {
  const raft::Core& own = *core(partition);
  const raft::Index index = replicas_[partition].state_index;
  const auto term = own.log().term_at(index);
  const auto chain = own.log().chain_at(index);
  if (!term || !chain) return std::nullopt;
  return raft::SnapshotMark{.last = {.epoch = own.epoch(), .term = *term, .index = index},
                            .chain = *chain,
                            .configuration = own.configuration_at_index(index)};
}

bool Partitions::has_own_state(uint32_t partition) const {
  const raft::Core* const own = core(partition);
  if (own == nullptr || is_astray(partition) || replicas_[partition].state_index.none()) return false;
  // A state that was received may be committed only by being stored here.
  return own->keeps_mode() && own->stored_index() >= own->log().base().index;
}

bool Partitions::has_committed_state(uint32_t partition) const {
  return has_own_state(partition) && replicas_[partition].state_index <= core(partition)->commit_index();
}

std::string_view name_of(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::kStopped: return "stopped";
    case Obstacle::kDiffers: return "differs";
    case Obstacle::kWaitsForState: return "waits-for-state";
    case Obstacle::kNotCommitted: return "not-committed";
  }
  return {};
}

// A leader's data may be ahead of what is committed: its snapshot begins, and counts later.
std::optional<Obstacle> Partitions::obstacle(uint32_t partition, Keeping keeping) const {
  const Replica& replica = replicas_[partition];
  const raft::Core& own = *core(partition);
  if (replica.fault == Fault::kStopped) return Obstacle::kStopped;
  if (replica.fault == Fault::kDiffers) return Obstacle::kDiffers;
  if (replica.is_astray || !state_mark(partition)) return Obstacle::kWaitsForState;
  const bool may_be_lost = replica.state_index > own.commit_index() && own.role() != raft::RoleName::kLeader;
  if (keeping == Keeping::kBare || !may_be_lost) return std::nullopt;
  const std::optional<raft::NodeId> leader = groups_.known_leader(group_of_partition(partition));
  return leader && leader->value != options_.self ? Obstacle::kWaitsForState : Obstacle::kNotCommitted;
}

// A leader's memory goes up to the end of its log (what it led with, and then what it executes itself); any other's up to the commit
// index.
void Partitions::apply(Instant now, uint32_t partition) {
  Replica& replica = replicas_[partition];
  raft::Core& own = *groups_.find(group_of_partition(partition));
  const raft::Index end = leads(own) ? own.last_index() : own.commit_index();
  while (replica.fault != Fault::kStopped && replica.state_index < end && own.log().has(raft::next(replica.state_index))) {
    const raft::Entry& entry = own.log().at(raft::next(replica.state_index));
    const Status applied = entry.kind == raft::EntryKind::kCommand ? data_.apply(partition, entry.payload.view()) : done();
    if (!applied.ok()) {
      facts_.emplace_back(partition, "entry " + std::to_string(entry.index.value) + " cannot be applied (" +
                                         std::string(applied.error().detail()) + ") -> stop this replica");
      replica.fault = Fault::kStopped;
      replica.is_settled = false;
      break;
    }
    replica.state_index = entry.index;
    // Nobody waits for what is said of an earlier leader's.
    if (entry.kind == raft::EntryKind::kMarker && !leads(own) && entry.term == own.term()) mark(now, partition);
  }
  own.note_applied(replica.state_index);
}

// ---- events ------------------------------------------------------------------------------------------------

void Partitions::on_role(raft::GroupId group, const raft::RoleState& role) {
  look_soon(partition_of(group));
  data_.on_role(partition_of(group), role);
}

void Partitions::on_truncated(raft::GroupId group, std::span<const raft::Entry> entries, GroupsClient::Lost lost) {
  Replica& replica = replicas_[partition_of(group)];
  look_soon(partition_of(group));
  if (lost == GroupsClient::Lost::kEverything) replica.is_astray = true;
  for (const raft::Entry& entry : entries) {
    if (entry.index > replica.state_index) break;
    if (entry.kind == raft::EntryKind::kCommand) replica.is_astray = true;
  }
  if (!entries.empty()) {
    replica.state_index = std::min(replica.state_index, raft::before(entries.front().index));
    data_.on_lost(partition_of(group), entries);
  }
}

void Partitions::on_commit(raft::GroupId group, raft::Index commit) {
  // Under load that is nearly always, and a look costs more than what it applies: so what is settled stays so.
  due_.insert(partition_of(group));
  data_.on_commit(partition_of(group), commit);
}

void Partitions::on_failure(raft::GroupId group) {
  replicas_[partition_of(group)].fault = Fault::kStopped;
  look_soon(partition_of(group));
}

void Partitions::on_read(raft::GroupId group, raft::ReadToken token, raft::ReadVerdict verdict) {
  data_.on_read(partition_of(group), token, verdict);
}

// ---- turns -------------------------------------------------------------------------------------------------

void Partitions::look_at(Instant now, uint32_t partition, const ClusterState& state, Plan plan, Peers& peers) {
  ++looks_;
  replicas_[partition].is_settled = false;
  const PlannedPartition& planned = state.plan()[partition];
  const auto own_plan = std::find_if(planned.replicas.begin(), planned.replicas.end(),
                                     [&](const PlannedReplica& each) { return each.node == options_.self; });
  const bool is_of_before = core(partition) != nullptr && core(partition)->options().self.replica.value < planned.first_replica;
  if (is_of_before && plan == Plan::kCurrent) drop(now, partition);
  if (core(partition) == nullptr) {
    if (own_plan == planned.replicas.end() || plan == Plan::kMayBeOld) return;
    if (own_plan->replica == planned.first_replica) {
      begin_anew(now, partition, {own_plan->replica});
    } else {
      add_empty(now, partition, {own_plan->replica}, raft::empty_replica());
    }
    return;
  }
  if (replicas_[partition].is_astray) {
    start_over(now, partition);
    return;
  }
  prefer(partition, planned.replicas.front().node);
  replicas_[partition].shares_votes_next = plan == Plan::kCurrent && is_about_to_share_votes(partition, planned);
  const bool is_faulty = replicas_[partition].fault != Fault::kNone;
  if (is_faulty) mend(now, partition, peers);
  apply(now, partition);
  // Nobody is to begin with what is wrong, unless there is nothing else.
  if (!is_faulty || !groups_.has_successor(group_of_partition(partition))) send_snapshots(now, partition, peers);
  if (plan == Plan::kMayBeOld && !groups_.health().is_draining) return;
  if (plan == Plan::kCurrent) go_on_without(now, partition, state, peers);
  const bool is_planned =
      own_plan != planned.replicas.end() && own_plan->replica == core(partition)->options().self.replica.value;
  if (leads(*core(partition))) {
    const bool leaves = groups_.should_not_lead() && leave(now, partition, planned);
    // Who stays because nobody else can lead sees to it that somebody can.  One that is about to end changes nothing else any more.
    const bool may_follow = !groups_.health().is_draining || replicas_[partition].shares_votes_next;
    if (!leaves && may_follow) follow_plan(now, partition, planned);
    apply(now, partition);
  }
  // Nor does one that leads a group of long ago, whose other voters have gone since, hear of it otherwise.
  const bool serves = core(partition)->role_state().serving == raft::Serving::kYes;
  if (!is_planned && !serves && plan == Plan::kCurrent) tell_of_own(kMayDrop, partition, planned, peers);
  if (is_planned && core(partition)->configuration().unknown()) tell_of_own(kHere, partition, planned, peers);
  // What was told meanwhile wants a look of its own.
  const bool is_due = due_.contains(partition);
  replicas_[partition].is_settled = !is_due && is_planned && plan == Plan::kCurrent && is_settled(partition, planned);
}

// What would end this is told by an event, or a matter of time and of the next look at all.
bool Partitions::is_settled(uint32_t partition, const PlannedPartition& planned) const {
  const Replica& replica = replicas_[partition];
  const raft::Core& own = *core(partition);
  if (replica.is_astray || replica.fault != Fault::kNone || !replica.snapshot_wanted.empty() || !replica.streams.empty() || own.configuration().unknown()) return false;
  if (!leads(own)) return true;
  const bool is_in_its_place = planned.replicas.front().node == options_.self && !groups_.should_not_lead();
  const bool is_committed = own.configuration_at().index <= own.commit_index();
  const bool serves = own.role_state().serving == raft::Serving::kYes;
  const bool is_placed = own.configuration() == planned_configuration(own, planned);
  return is_in_its_place && is_committed && serves && !own.configuration().joint() && is_placed;
}

void Partitions::work(Instant now, const ClusterState& state, Plan plan, Peers& peers) {
  snapshots_begun_ = 0;
  wants_step_ = false;
  read_states(now);
  if (room_may_be_free_ && !wait_for_room_.empty()) tell_room();
  for (const Answer& answer : std::exchange(answers_, {})) {
    if (Link* const link = peers.link(answer.to, PeerLane::kData)) link->add(answer.kind, answer.bytes);
  }
  if (!state.is_founded()) return;
  const int64_t look_us = groups_.health().is_draining ? options_.draining_transfer_us : options_.look_us;
  // A little early in a turn that is there anyway, rather than in one of its own.
  const bool is_decided_anew = state.plan_version() != plan_version_ || state.mode_version() != mode_version_;
  const bool looks_at_all = is_decided_anew || now.steady_us >= next_look_us_ - look_us / 4;
  plan_version_ = state.plan_version();
  if (looks_at_all) {
    commit_quorum_ = state.commit_quorum();
    state_check_us_ = state.state_check_us();
    due_.insert_all();
    mode_ = state.mode().value_or(mode_);
    mode_version_ = state.mode_version();
    // A configuration may have been committed.
    required_is_stale_ = true;
  }
  if (looks_at_all || next_look_us_ == kNever) next_look_us_ = now.steady_us + look_us;
  if (looks_at_all) look_at_coming(now);
  for (size_t index = due_.next(0); index < options_.partitions; index = due_.next(index + 1)) {
    const auto partition = static_cast<uint32_t>(index);
    due_.erase(partition);
    if (looks_at_all || !replicas_[partition].is_settled) {
      look_at(now, partition, state, plan, peers);
    } else {
      apply(now, partition);
    }
  }
  check_copies(now, peers);
}

}  // namespace quorate

// Replicas of partitions from the plan to their data.
#include "cluster/partitions.h"

#include <algorithm>
#include <utility>

#include "cluster/raft/message_codec.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

// How far behind a learner may be when it is made a voter.
constexpr uint64_t kCaughtUpWithin = 64;

Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "partitions: " + std::string(what)); }

bool leads(const raft::Core& core) { return core.role() == raft::RoleName::kLeader; }

}  // namespace

Partitions::Partitions(const PartitionsOptions& options, Groups& groups, PartitionData& data)
    : options_(options), groups_(groups), data_(data), replicas_(options.partitions) {}

// ---- replicas come and go --------------------------------------------------------------------------------

void Partitions::begin(Instant now, const ClusterState& state) {
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    const PlannedReplica& own = state.plan()[partition].replicas.front();
    raft::Configuration configuration;
    configuration.incoming.voters = {{.replica = {own.replica}, .node = {own.node}}};
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
    look_soon(partition_of(group));
  }
}

void Partitions::add_empty(Instant now, uint32_t partition, raft::ReplicaId replica, raft::Restored restored) {
  const raft::GroupId group = group_of_partition(partition);
  data_.clear(partition);
  replicas_[partition] = Replica();
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
  restored.start = raft::StartKind::kMayHaveForgotten;
  const raft::ReplicaId replica = core.options().self.replica;
  groups_.remove(now, group);
  add_empty(now, partition, replica, std::move(restored));
}

void Partitions::drop(Instant now, uint32_t partition) {
  groups_.remove(now, group_of_partition(partition));
  std::erase_if(bases_to_store_, [&](const GroupBase& each) { return each.group == group_of_partition(partition); });
  gone_to_store_.push_back(group_of_partition(partition));
  data_.clear(partition);
  data_.on_role(partition, raft::RoleState());
  replicas_[partition] = Replica();
}

// ---- executing and applying --------------------------------------------------------------------------------

bool Partitions::can_propose(uint32_t partition) const {
  const raft::Core* const own = core(partition);
  return own != nullptr && own->can_propose();
}

raft::Index Partitions::propose(Instant now, uint32_t partition, SharedBytes batch) {
  Replica& replica = replicas_[partition];
  const raft::GroupId group = group_of_partition(partition);
  groups_.step(now, group, raft::in::Propose{std::move(batch)});
  replica.state_index = core(partition)->last_index();
  return replica.state_index;
}

raft::Index Partitions::commit_index(uint32_t partition) const {
  const raft::Core* const own = core(partition);
  return own == nullptr ? raft::Index() : own->commit_index();
}

// A leader's memory goes up to the end of its log (what it led with, and then what it executes itself); any other's up to the commit
// index.
void Partitions::apply(uint32_t partition) {
  Replica& replica = replicas_[partition];
  raft::Core& own = *groups_.find(group_of_partition(partition));
  const raft::Index end = leads(own) ? own.last_index() : own.commit_index();
  while (replica.state_index < end && own.log().has(raft::next(replica.state_index))) {
    replica.state_index = raft::next(replica.state_index);
    const raft::Entry& entry = own.log().at(replica.state_index);
    if (entry.kind == raft::EntryKind::kCommand) data_.apply(partition, entry.payload.view());
  }
  own.note_applied(std::min(replica.state_index, own.commit_index()));
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

void Partitions::on_install(raft::GroupId group, const raft::SnapshotMark& mark) {
  CHECK(received_ && received_->group == group);
  const uint32_t partition = partition_of(group);
  // It was looked at when it came.
  CHECK(data_.install(partition, received_->state).ok());
  replicas_[partition].state_index = mark.last.index;
  replicas_[partition].is_astray = false;
  bases_to_store_.push_back({.group = group,
                             .replica = groups_.find(group)->options().self.replica,
                             .mark = mark,
                             .state = std::string(received_->state)});
}

void Partitions::on_commit(raft::GroupId group, raft::Index commit) {
  look_soon(partition_of(group));
  data_.on_commit(partition_of(group), commit);
}

void Partitions::on_read(raft::GroupId group, raft::ReadToken token, raft::ReadVerdict verdict) {
  data_.on_read(partition_of(group), token, verdict);
}

void Partitions::on_snapshot_wanted(raft::GroupId group, const raft::Member& to) {
  Replica& replica = replicas_[partition_of(group)];
  look_soon(partition_of(group));
  const auto known = std::find(replica.snapshot_wanted.begin(), replica.snapshot_wanted.end(), to);
  if (known == replica.snapshot_wanted.end()) replica.snapshot_wanted.push_back(to);
}

// ---- snapshots ---------------------------------------------------------------------------------------------
//
//   message = varint group, u64 replica of the sender, varint term, mark, state

void Partitions::send_snapshots(Instant now, uint32_t partition, Peers& peers) {
  Replica& replica = replicas_[partition];
  const raft::GroupId group = group_of_partition(partition);
  const raft::Core& own = *groups_.find(group);
  if (replica.snapshot_wanted.empty() || !leads(own)) {
    replica.snapshot_wanted.clear();
    replica.snapshot.reset();
    return;
  }
  const auto term = own.log().term_at(replica.state_index);
  const auto chain = own.log().chain_at(replica.state_index);
  const bool is_old = replica.snapshot && replica.snapshot->term != own.term();
  if ((!replica.snapshot || is_old) && term && chain) {
    HeldSnapshot& held = replica.snapshot.emplace();
    held.term = own.term();
    held.mark = {.last = {.epoch = own.epoch(), .term = *term, .index = replica.state_index},
                 .chain = *chain,
                 .configuration = own.configuration_at_index(replica.state_index)};
    data_.encode(partition, held.state);
  }
  // Its state may be ahead of the commit index; it leaves once all of it is committed in this very term (REPLICATION 3).
  if (!replica.snapshot || !own.snapshot_may_leave(replica.snapshot->term, replica.snapshot->mark.last.index)) return;
  Buffer head;
  append_varint(head, group.value);
  append_little<uint64_t>(head, own.options().self.replica.value);
  append_varint(head, replica.snapshot->term.value);
  raft::encode(replica.snapshot->mark, head);
  for (const raft::Member& to : std::exchange(replica.snapshot_wanted, {})) {
    if (Link* const link = peers.link(to.node.value, PeerLane::kData)) {
      link->add(kSnapshot, head.view(), replica.snapshot->state.view());
    }
    // Whether it arrived shows in the member's answers; if none come, another is wanted.
    groups_.step(now, group, raft::in::SnapshotFailed{to.replica});
  }
  replica.snapshot.reset();
}

Status Partitions::receive_snapshot(Instant now, NodeId from, std::string_view bytes) {
  raft::GroupId group;
  raft::Member sender{.replica = {}, .node = {from}};
  raft::Term term;
  if (!take_varint(bytes, group.value) || !take_little<uint64_t>(bytes, sender.replica.value) ||
      !take_varint(bytes, term.value) || group.none() || group.value > options_.partitions) {
    return damaged("a snapshot is cut off");
  }
  TRY(raft::SnapshotMark mark, raft::decode_snapshot_mark(bytes));
  if (groups_.find(group) == nullptr) return done();
  received_ = {.group = group, .state = bytes};
  groups_.step(now, group, raft::in::SnapshotReceived{.from = sender, .term = term, .mark = std::move(mark)});
  received_.reset();
  return done();
}

// ---- the plan ----------------------------------------------------------------------------------------------

// The next step from the configuration to the plan: first every planned replica learns, then, once those that shall vote have caught up, the
// voters change in one joint step, and who is not planned goes.
std::optional<raft::Configuration> Partitions::next_configuration(const raft::Core& own,
                                                                  const PlannedPartition& planned) const {
  const raft::Configuration& current = own.configuration();
  const auto match_of = [&](const raft::Member& member) {
    for (const raft::Progress& progress : own.progress()) {
      if (progress.member() == member) return progress.match();
    }
    return raft::Index();
  };
  std::vector<raft::Member> voters;
  std::vector<raft::Member> learners;
  bool are_ready = true;
  for (size_t index = 0; index < planned.replicas.size(); ++index) {
    const raft::Member member{.replica = {planned.replicas[index].replica}, .node = {planned.replicas[index].node}};
    if (index >= planned.voters) {
      learners.push_back(member);
      continue;
    }
    voters.push_back(member);
    const raft::Index match = match_of(member);
    if (match.none() || match.value + kCaughtUpWithin < own.last_index().value) are_ready = false;
  }
  raft::Configuration target = current;
  if (are_ready) {
    target.incoming.voters = voters;
    target.learners = learners;
  } else {
    target.learners.clear();
    for (const std::vector<raft::Member>& list : {voters, learners}) {
      for (const raft::Member& member : list) {
        if (!current.incoming.has(member.replica)) target.learners.push_back(member);
      }
    }
  }
  if (target == current) return std::nullopt;
  return target;
}

void Partitions::follow_plan(Instant now, uint32_t partition, const PlannedPartition& planned) {
  Replica& replica = replicas_[partition];
  const raft::GroupId group = group_of_partition(partition);
  const raft::Core& own = *groups_.find(group);
  if (own.role_state().serving != raft::Serving::kYes || own.configuration().joint()) return;
  if (const auto target = next_configuration(own, planned)) {
    if (own.change_refusal(*target) == raft::ChangeRefusal::kNone) {
      groups_.step(now, group, raft::in::ChangeConfiguration{*target});
    }
    return;
  }
  const PlannedReplica& preferred = planned.replicas.front();
  if (preferred.node == options_.self || now.steady_us < replica.next_transfer_us) return;
  if (!own.may_transfer({preferred.replica})) return;
  replica.next_transfer_us = now.steady_us + options_.transfer_us;
  groups_.step(now, group, raft::in::TransferLeadership{{preferred.replica}});
}

// A replica that the plan does not name may still have to vote.  It goes when somebody who leads the partition says that it is no member any
// more.
//
//   may drop = varint group, u64 replica        drop = the same
void Partitions::ask_to_drop(uint32_t partition, const PlannedPartition& planned, Peers& peers) {
  const raft::Core& own = *groups_.find(group_of_partition(partition));
  Buffer bytes;
  append_varint(bytes, group_of_partition(partition).value);
  append_little<uint64_t>(bytes, own.options().self.replica.value);
  for (const PlannedReplica& each : planned.replicas) {
    if (Link* const link = peers.link(each.node, PeerLane::kData)) link->add(kMayDrop, bytes.view());
  }
}

Status Partitions::receive(Instant now, NodeId from, uint64_t kind, std::string_view bytes) {
  if (kind == kSnapshot) return receive_snapshot(now, from, bytes);
  raft::GroupId group;
  raft::ReplicaId replica;
  const std::string_view whole = bytes;
  if (!take_varint(bytes, group.value) || !take_little<uint64_t>(bytes, replica.value) || !bytes.empty() || group.none() ||
      group.value > options_.partitions) {
    return damaged("a wish to drop cannot be read");
  }
  const raft::Core* const own = groups_.find(group);
  if (own == nullptr) return done();
  if (kind == kDrop) {
    if (own->options().self.replica == replica) drop(now, partition_of(group));
    return done();
  }
  const raft::Configuration& committed = own->committed_configuration().configuration;
  const bool is_current = own->role_state().serving == raft::Serving::kYes && committed == own->configuration();
  if (is_current && !committed.joint() && !committed.find(replica)) answers_.push_back({from, std::string(whole)});
  return done();
}

// ---- turns -------------------------------------------------------------------------------------------------

void Partitions::look_at(Instant now, uint32_t partition, const ClusterState& state, Peers& peers) {
  replicas_[partition].needs_look = false;
  const PlannedPartition& planned = state.plan()[partition];
  const auto own_plan = std::find_if(planned.replicas.begin(), planned.replicas.end(),
                                     [&](const PlannedReplica& each) { return each.node == options_.self; });
  if (core(partition) == nullptr) {
    if (own_plan == planned.replicas.end()) return;
    add_empty(now, partition, {own_plan->replica}, raft::empty_replica());
    return;
  }
  if (replicas_[partition].is_astray) {
    start_over(now, partition);
    return;
  }
  apply(partition);
  send_snapshots(now, partition, peers);
  if (leads(*core(partition))) {
    follow_plan(now, partition, planned);
    apply(partition);
  } else if (own_plan == planned.replicas.end()) {
    ask_to_drop(partition, planned, peers);
  }
}

void Partitions::work(Instant now, const ClusterState& state, Peers& peers) {
  for (const Answer& answer : std::exchange(answers_, {})) {
    if (Link* const link = peers.link(answer.to, PeerLane::kData)) link->add(kDrop, answer.bytes);
  }
  if (!state.is_founded()) return;
  const bool looks_at_all = state.plan_version() != plan_version_ || now.steady_us >= next_look_us_;
  plan_version_ = state.plan_version();
  if (looks_at_all || next_look_us_ == kNever) next_look_us_ = now.steady_us + options_.look_us;
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    if (looks_at_all || replicas_[partition].needs_look) look_at(now, partition, state, peers);
  }
}

}  // namespace quorate

// Replicas of partitions from the plan to their data.
#include "cluster/partitions.h"

#include <algorithm>
#include <utility>

#include "cluster/raft/message_codec.h"
#include "cluster/wire.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

// How far behind a learner may be when it is made a voter.
constexpr uint64_t kCaughtUpWithin = 64;

Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "partitions: " + std::string(what)); }

bool leads(const raft::Core& core) { return core.role() == raft::RoleName::kLeader; }

std::vector<raft::NodeId> nodes_of(const PlannedPartition& planned) {
  std::vector<raft::NodeId> nodes;
  for (const PlannedReplica& each : planned.replicas) nodes.push_back({each.node});
  return nodes;
}

bool waits_for_snapshot(const raft::Core& leader, const raft::Member& member) {
  const std::span<const raft::Progress> progress = leader.progress();
  return std::any_of(progress.begin(), progress.end(), [&](const raft::Progress& each) {
    return each.member() == member && each.state() == raft::Progress::State::kSnapshot;
  });
}

// 0: as usual.  More than that would leave room for two leaders.
uint32_t lower_commit_quorum(size_t voters, uint32_t wanted) {
  const uint32_t usual = raft::quorums_of(voters, 0).value().commit;
  return wanted < usual ? wanted : 0;
}

}  // namespace

Partitions::Partitions(const PartitionsOptions& options, Groups& groups, PartitionData& data)
    : options_(options),
      groups_(groups),
      data_(data),
      check_(options.partitions, options.seed, groups, data),
      replicas_(options.partitions) {}

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
  forget_snapshot(partition);
  check_.forget(partition);
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
  gone_to_store_.push_back(group_of_partition(partition));
  forget_snapshot(partition);
  check_.forget(partition);
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

bool Partitions::has_committed_state(uint32_t partition) const {
  const raft::Core* const own = core(partition);
  const Replica& replica = replicas_[partition];
  if (own == nullptr || is_astray(partition) || replica.state_index.none()) return false;
  // A state that was received may be committed only by being stored here.
  const bool is_stored = own->stored_index() >= own->log().base().index;
  return is_stored && replica.state_index <= own->commit_index();
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
      break;
    }
    replica.state_index = entry.index;
    // Nobody waits for what is said of an earlier leader's.
    if (entry.kind == raft::EntryKind::kMarker && !leads(own) && entry.term == own.term()) mark(now, partition);
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
  // check() has said so.
  CHECK(data_.install(partition, received_->state).ok());
  check_.forget(partition);
  replicas_[partition].state_index = mark.last.index;
  replicas_[partition].is_astray = false;
  replicas_[partition].fault = Fault::kNone;
  bases_to_store_.push_back({.group = group,
                             .replica = groups_.find(group)->options().self.replica,
                             .mark = mark,
                             .state = std::string(received_->state)});
}

void Partitions::on_commit(raft::GroupId group, raft::Index commit) {
  look_soon(partition_of(group));
  data_.on_commit(partition_of(group), commit);
}

void Partitions::on_failure(raft::GroupId group) {
  replicas_[partition_of(group)].fault = Fault::kStopped;
  look_soon(partition_of(group));
}

void Partitions::on_read(raft::GroupId group, raft::ReadToken token, raft::ReadVerdict verdict) {
  data_.on_read(partition_of(group), token, verdict);
}

void Partitions::on_snapshot_wanted(raft::GroupId group, const raft::Member& to) {
  Replica& replica = replicas_[partition_of(group)];
  look_soon(partition_of(group));
  // It is asked for once, and once more for each new connection: one that was on its way went with the connection before.
  std::erase_if(replica.snapshots_sent, [&](const Replica::Sent& sent) { return sent.to == to; });
  const auto known = std::find(replica.snapshot_wanted.begin(), replica.snapshot_wanted.end(), to);
  if (known == replica.snapshot_wanted.end()) replica.snapshot_wanted.push_back(to);
}

// ---- snapshots ---------------------------------------------------------------------------------------------
//
//   message = varint group, u64 replica of the sender, varint term, mark, state

void Partitions::forget_snapshot(uint32_t partition) {
  replicas_[partition].snapshot.reset();
  if (encoding_ != partition) return;
  encoding_.reset();
  data_.stop_encoding();
}

bool Partitions::make_snapshot(Instant now, uint32_t partition) {
  Replica& replica = replicas_[partition];
  const raft::Core& own = *groups_.find(group_of_partition(partition));
  if (!replica.snapshot) {
    auto mark = state_mark(partition);
    if (!mark) return false;
    wants_step_ = true;
    if (encoding_ || snapshots_begun_ == options_.snapshots_a_turn_max) return false;
    ++snapshots_begun_;
    check_.stop_sum();
    encoding_ = partition;
    next_step_us_ = now.steady_us;
    HeldSnapshot& held = replica.snapshot.emplace();
    held.term = own.term();
    held.mark = std::move(*mark);
  }
  if (encoding_ != partition) return true;
  wants_step_ = true;
  if (now.steady_us < next_step_us_) return false;
  next_step_us_ = now.steady_us + options_.encoding_us;
  switch (data_.encode_some(partition, replica.snapshot->state)) {
    case PartitionData::Encoding::kMore:
      return false;
    case PartitionData::Encoding::kDone:
      encoding_.reset();
      return true;
    case PartitionData::Encoding::kBroken:
      forget_snapshot(partition);
      return false;
  }
  CHECK(false);
}

void Partitions::send_snapshots(Instant now, uint32_t partition, Peers& peers) {
  Replica& replica = replicas_[partition];
  const raft::GroupId group = group_of_partition(partition);
  const raft::Core& own = *groups_.find(group);
  if (!leads(own)) replica.snapshots_sent.clear();
  std::erase_if(replica.snapshot_wanted, [&](const raft::Member& to) { return !waits_for_snapshot(own, to); });
  if (replica.snapshot_wanted.empty() || !leads(own)) {
    replica.snapshot_wanted.clear();
    forget_snapshot(partition);
    return;
  }
  // One that is on its way is enough, for a while: it may have gone to a process that fell.
  const auto is_on_its_way = [&](const raft::Member& to) {
    return std::any_of(replica.snapshots_sent.begin(), replica.snapshots_sent.end(),
                       [&](const Replica::Sent& sent) { return sent.to == to && now.steady_us < sent.again_us; });
  };
  if (std::all_of(replica.snapshot_wanted.begin(), replica.snapshot_wanted.end(), is_on_its_way)) return;
  if (replica.snapshot && replica.snapshot->term != own.term()) forget_snapshot(partition);
  if (!make_snapshot(now, partition)) {
    look_soon(partition);
    return;
  }
  // Its state may be ahead of the commit index; it leaves once all of it is committed in this very term (REPLICATION 3), or is by being stored
  // there.
  const auto may_be_sent = [&](const raft::Member& to) {
    return own.snapshot_may_be_sent(replica.snapshot->term, replica.snapshot->mark.last.index, to.replica);
  };
  if (std::none_of(replica.snapshot_wanted.begin(), replica.snapshot_wanted.end(), may_be_sent)) return;
  Buffer head;
  append_varint(head, group.value);
  append_little<uint64_t>(head, own.options().self.replica.value);
  append_varint(head, replica.snapshot->term.value);
  raft::encode(replica.snapshot->mark, head);
  const size_t size = head.size() + replica.snapshot->state.size();
  const int64_t again_us = now.steady_us + options_.snapshot_us + static_cast<int64_t>(size) * 1000 / options_.snapshot_bytes_per_ms;
  bool is_wanted_still = false;
  for (const raft::Member& to : std::exchange(replica.snapshot_wanted, {})) {
    const bool is_sent_already = is_on_its_way(to);
    if (is_sent_already || !may_be_sent(to)) {
      replica.snapshot_wanted.push_back(to);
      is_wanted_still = is_wanted_still || !is_sent_already;
      continue;
    }
    Link* const link = peers.link(to.node.value, PeerLane::kData);
    if (link == nullptr || size > Link::kMessageMax) {
      groups_.step(now, group, raft::in::SnapshotFailed{to.replica});
      continue;
    }
    link->add(kSnapshot, head.view(), replica.snapshot->state.view());
    std::erase_if(replica.snapshots_sent, [&](const Replica::Sent& sent) { return sent.to == to; });
    replica.snapshots_sent.push_back({.to = to, .again_us = again_us});
  }
  if (!is_wanted_still) replica.snapshot.reset();
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
  if (mark.last.term > term) return damaged("a snapshot of a later term than its sender's");
  if (groups_.find(group) == nullptr) return done();
  TRY(data_.check(partition_of(group), bytes));
  received_ = {.group = group, .state = bytes};
  groups_.step(now, group, raft::in::SnapshotReceived{.from = sender, .term = term, .mark = std::move(mark)});
  received_.reset();
  return done();
}

// ---- the plan ----------------------------------------------------------------------------------------------

// The next step from the configuration to the plan: first every planned replica learns, then, once those that shall vote have caught up, the
// voters change in one joint step, and who is not planned goes.  A node that left the plan and came back before its replica had gone is
// taken with the replica that it has, unless that was a learner and the node says that it has a newer one.
std::optional<raft::Configuration> Partitions::next_configuration(const raft::Core& own,
                                                                  const PlannedPartition& planned) const {
  const raft::Configuration& current = own.configuration();
  // Nobody is given votes who is about to end.
  const auto has_caught_up = [&](const raft::Member& member) {
    return member.node.value == options_.self || groups_.could_succeed(own, member, kCaughtUpWithin);
  };
  const std::map<NodeId, raft::ReplicaId>& newer = replicas_[partition_of(own.options().group)].newer;
  const auto has_gone = [&](const raft::Member& member) {
    const auto known = newer.find(member.node.value);
    return known != newer.end() && member.replica < known->second && !current.is_voter(member.replica);
  };
  const auto planned_member = [&](const PlannedReplica& each) {
    for (const raft::Member& member : current.members()) {
      if (member.node.value == each.node && !has_gone(member)) return member;
    }
    return raft::Member{.replica = {each.replica}, .node = {each.node}};
  };
  std::vector<raft::Member> voters;
  std::vector<raft::Member> learners;
  bool are_ready = true;
  for (size_t index = 0; index < planned.replicas.size(); ++index) {
    const raft::Member member = planned_member(planned.replicas[index]);
    if (index >= planned.voters) {
      learners.push_back(member);
      continue;
    }
    voters.push_back(member);
    if (!current.incoming.has(member.replica) && !has_caught_up(member)) are_ready = false;
  }
  // Fewer or other voters must be able to go on by themselves.
  const bool all_can_vote = std::all_of(voters.begin(), voters.end(), has_caught_up);
  if (voters.size() < current.incoming.voters.size() && !all_can_vote) are_ready = false;
  raft::Configuration target = current;
  if (are_ready) {
    target.incoming.voters = voters;
    target.incoming.commit_quorum = lower_commit_quorum(voters.size(), commit_quorum_);
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
  const raft::GroupId group = group_of_partition(partition);
  const raft::Core& own = *groups_.find(group);
  if (own.role_state().serving != raft::Serving::kYes || own.configuration().joint()) return;
  if (const auto target = next_configuration(own, planned)) {
    if (own.change_refusal(*target) == raft::ChangeRefusal::kNone) {
      groups_.step(now, group, raft::in::ChangeConfiguration{*target});
    }
    return;
  }
  hand_over(now, partition, planned);
}

// To the preferred leader, if it can take over at once.  One that does not is asked less and less often.
void Partitions::hand_over(Instant now, uint32_t partition, const PlannedPartition& planned) {
  Replica& replica = replicas_[partition];
  const NodeId preferred = planned.replicas.front().node;
  if (preferred == options_.self || now.steady_us < replica.next_transfer_us) return;
  if (!groups_.hand_over_to(now, group_of_partition(partition), {preferred})) return;
  replica.transfer_wait_us = replica.transfer_wait_us == 0 ? options_.transfer_us
                                                           : std::min(replica.transfer_wait_us * 2, options_.transfer_us_max);
  replica.next_transfer_us = now.steady_us + replica.transfer_wait_us;
}

// To the first in the plan's order that can lead at once: so what this node has led is spread over the others.
bool Partitions::leave(Instant now, uint32_t partition, const PlannedPartition& planned) {
  Replica& replica = replicas_[partition];
  if (core(partition)->role_state().serving != raft::Serving::kYes || now.steady_us < replica.next_transfer_us) return true;
  if (!groups_.hand_over(now, group_of_partition(partition), nodes_of(planned))) return false;
  replica.next_transfer_us = now.steady_us + options_.draining_transfer_us;
  return true;
}

bool Partitions::is_about_to_share_votes(uint32_t partition, const PlannedPartition& planned) const {
  const raft::Core& own = *core(partition);
  if (!leads(own) || own.configuration().incoming.voters.size() != 1 || own.configuration().joint()) return false;
  const auto next = next_configuration(own, planned);
  if (!next) return false;
  const std::vector<raft::Member>& voters = next->incoming.voters;
  return voters.size() > 1 && std::any_of(voters.begin(), voters.end(), [&](const raft::Member& each) {
    return groups_.could_succeed(own, each, kCaughtUpWithin);
  });
}

size_t Partitions::count_to_hand_over() const {
  size_t count = 0;
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    const raft::Core* const own = core(partition);
    if (own == nullptr) continue;
    const raft::GroupId group = group_of_partition(partition);
    const bool is_open = leads(*own) ? groups_.has_successor(group) || replicas_[partition].shares_votes_next : groups_.is_waited_for(group);
    if (is_open) ++count;
  }
  return count;
}

void Partitions::hand_over_soon() {
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    replicas_[partition].next_transfer_us = INT64_MIN;
    replicas_[partition].transfer_wait_us = 0;
    look_soon(partition);
  }
}

//   take over = varint group, u64 replica of the sender
size_t Partitions::take_over(Instant now, Peers& peers) {
  size_t asked = 0;
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    const raft::Core* const own = core(partition);
    if (own == nullptr || leads(*own)) continue;
    const raft::ReplicaId replica = own->options().self.replica;
    const auto leader = own->role_state().leader;
    Link* const link = leader ? peers.link(leader->node.value, PeerLane::kData) : nullptr;
    if (link == nullptr || !own->configuration().incoming.has(replica)) continue;
    Buffer bytes;
    append_varint(bytes, group_of_partition(partition).value);
    append_little<uint64_t>(bytes, replica.value);
    link->add(kTakeOver, bytes.view());
    replicas_[partition].next_transfer_us = now.steady_us + options_.transfer_us_max;
    ++asked;
  }
  return asked;
}

// A replica that the plan does not name may still have to vote.  It goes when somebody who leads the partition says that it is no member any
// more.  One that is planned, and that nobody has told anything, says that it is here.
//
//   may drop, drop = varint group, u64 replica, varint term of the sender        here = varint group, u64 replica
void Partitions::tell_of_own(uint64_t kind, uint32_t partition, const PlannedPartition& planned, Peers& peers) {
  const raft::Core& own = *groups_.find(group_of_partition(partition));
  Buffer bytes;
  append_varint(bytes, group_of_partition(partition).value);
  append_little<uint64_t>(bytes, own.options().self.replica.value);
  if (kind == kMayDrop) append_varint(bytes, own.term().value);
  const auto ask = [&](uint64_t node) {
    if (Link* const link = peers.link(node, PeerLane::kData)) link->add(kind, bytes.view());
  };
  for (const PlannedReplica& each : planned.replicas) ask(each.node);
  // Who leads may have to go as well, and cannot before the copy that is planned here has come in the place of this one.
  const std::optional<raft::NodeId> leader = groups_.known_leader(group_of_partition(partition));
  const bool is_planned = leader && std::any_of(planned.replicas.begin(), planned.replicas.end(),
                                                [&](const PlannedReplica& each) { return each.node == leader->value; });
  if (leader && !is_planned) ask(leader->value);
}

namespace {

// By the word of a leader whose configuration is committed.
bool has_left(const raft::Core& own, raft::ReplicaId replica) {
  const raft::Configuration& committed = own.committed_configuration().configuration;
  const bool is_current = own.role_state().serving == raft::Serving::kYes && committed == own.configuration();
  return is_current && !committed.joint() && !committed.find(replica);
}

// A replica that had stood in vain when it was left out takes no leader's word of an earlier term, and nothing is sent to it any more that
// it could answer so: whoever leads after this has a later one.  Only the term counts.
raft::Message shown_term(const raft::Core& own, raft::Member from, raft::Term term) {
  return {.group = own.options().group,
          .from = from,
          .to = own.options().self,
          .term = term,
          .epoch = own.epoch(),
          .body = raft::AppendAnswer{.result = raft::AppendResult::kMismatch}};
}

}  // namespace

Status Partitions::receive(Instant now, NodeId from, uint64_t kind, std::string_view bytes) {
  if (kind == kSnapshot) return receive_snapshot(now, from, bytes);
  if (kind == kSum) return receive_sum(from, bytes);
  if (kind == kDiffers) return receive_differs(from, bytes);
  if (kind == kNewest) return receive_newest(from, bytes);
  raft::GroupId group;
  raft::ReplicaId replica;
  raft::Term term;
  const std::string_view whole = bytes;
  const bool has_term = kind == kMayDrop || kind == kDrop || kind == kStartOver;
  const bool is_named = take_varint(bytes, group.value) && take_little<uint64_t>(bytes, replica.value);
  const std::string_view named = whole.substr(0, whole.size() - bytes.size());
  // Who is of an earlier build asks without a term.
  const bool lacks_term = kind == kMayDrop && bytes.empty();
  const bool is_whole = is_named && (!has_term || lacks_term || take_varint(bytes, term.value)) && bytes.empty();
  if (!is_whole || group.none() || group.value > options_.partitions) return damaged("a wish cannot be read");
  const raft::Core* const own = groups_.find(group);
  if (own == nullptr) return done();
  if (kind == kDrop) {
    // One of an older term may not know that it was added since.
    if (own->options().self.replica == replica && term >= own->term()) drop(now, partition_of(group));
  } else if (kind == kMayDrop) {
    if (has_left(*own, replica) && term > own->term()) {
      facts_.emplace_back(partition_of(group), "a replica that was left out is in term " + std::to_string(term.value) + " -> step down, and lead a later one");
      groups_.step(now, group, raft::in::Receive{shown_term(*own, {.replica = replica, .node = {from}}, term)});
    } else {
      answer_may_drop(from, *own, replica, named);
    }
  } else if (kind == kHere) {
    note_newer(from, *own, replica);
  } else if (kind == kMayStartOver) {
    answer_may_start_over(now, from, *own, replica, named);
  } else if (kind == kStartOver) {
    const Replica& asking = replicas_[partition_of(group)];
    const bool is_meant = own->options().self.replica == replica && term >= own->term() && !leads(*own);
    const bool is_wanted = asking.fault != Fault::kNone && asking.asked_to_start_over_us &&
                           now.steady_us < *asking.asked_to_start_over_us + options_.may_start_over_us;
    if (!is_meant || !is_wanted) return done();
    facts_.emplace_back(partition_of(group), "the others hold everything without this copy -> start over");
    ++started_over_;
    start_over(now, partition_of(group));
  } else if (own->may_transfer(replica) && own->configuration().find(replica)->node.value == from) {
    groups_.step(now, group, raft::in::TransferLeadership{replica});
  }
  return done();
}

// The plan may have taken the partition from the node and given it back while the leader saw neither: then what the leader made a learner is
// not what the node has.  Ids only grow, so the older one never comes.
void Partitions::note_newer(NodeId node, const raft::Core& own, raft::ReplicaId replica) {
  const std::vector<raft::Member>& learners = own.configuration().learners;
  const bool is_newer = std::any_of(learners.begin(), learners.end(),
                                    [&](const raft::Member& each) { return each.node.value == node && each.replica < replica; });
  if (!is_newer) return;
  const uint32_t partition = partition_of(own.options().group);
  raft::ReplicaId& known = replicas_[partition].newer[node];
  known = std::max(known, replica);
  look_soon(partition);
}

void Partitions::answer_may_drop(NodeId from, const raft::Core& own, raft::ReplicaId replica, std::string_view bytes) {
  if (!has_left(own, replica)) return;
  Buffer answer;
  answer.append(bytes);
  append_varint(answer, own.term().value);
  answers_.push_back({from, kDrop, std::string(answer.view())});
}

namespace {

// All voters but that one hold what is committed and have confirmed the leader since then, and they can commit and elect without it.
bool others_hold_all(const raft::Core& leader, raft::ReplicaId replica, int64_t since_us) {
  const raft::Configuration& configuration = leader.configuration();
  if (leader.role_state().serving != raft::Serving::kYes || configuration.joint()) return false;
  const raft::Half& voters = configuration.incoming;
  const size_t others = voters.voters.size() - (voters.has(replica) ? 1 : 0);
  if (others < std::max(voters.quorums().commit, voters.quorums().election)) return false;
  return std::all_of(leader.progress().begin(), leader.progress().end(), [&](const raft::Progress& each) {
    if (!each.in_incoming || each.member().replica == replica || each.member() == leader.options().self) return true;
    const bool holds_all = each.state() == raft::Progress::State::kReplicate && each.match() >= leader.commit_index();
    return holds_all && !each.is_silent && each.heard_us > since_us;
  });
}

}  // namespace

// When it has asked twice, so that another one that has stopped as well is known by its silence.  One at a time; and what it has
// acknowledged so far counts no more.
void Partitions::answer_may_start_over(Instant now, NodeId from, const raft::Core& own, raft::ReplicaId replica,
                                       std::string_view bytes) {
  Replica& led = replicas_[partition_of(own.options().group)];
  const auto member = own.configuration().find(replica);
  // What a leader with a fault holds is wrong itself.
  if (!member || member->node.value != from || !leads(own) || led.fault != Fault::kNone) return;
  std::erase_if(led.asking_us, [&](const auto& each) { return each.second + 3 * options_.start_over_us < now.steady_us; });
  const auto [asking, is_first] = led.asking_us.try_emplace(replica, now.steady_us);
  if (is_first || !others_hold_all(own, replica, asking->second)) return;
  if (led.allowed_to_start_over_us && now.steady_us < *led.allowed_to_start_over_us + 2 * options_.may_start_over_us) return;
  led.allowed_to_start_over_us = now.steady_us;
  led.asking_us.erase(asking);
  Buffer answer;
  answer.append(bytes);
  append_varint(answer, own.term().value);
  groups_.step(now, own.options().group, raft::in::PeerRestarted{member->node});
  answers_.push_back({from, kStartOver, std::string(answer.view())});
}

// ---- without members that were given up --------------------------------------------------------------------

namespace {

// Who knows the newest configuration of a partition?
//
//   newest = u8 1 (asks), varint group, varint when
//          | u8 2 (tells), the same, varint epoch, term, index of its newest configuration (0: it has none), u8 1 if its replica has stopped
struct NewestMessage {
  enum class What : uint8_t { kAsks = 1, kTells = 2 };
  What what = What::kAsks;
  raft::GroupId group;
  int64_t asked_us = 0;
  raft::Position newest = {};
  bool has_stopped = false;
};

void encode(const NewestMessage& message, Buffer& out) {
  wire::write_byte(message.what, out);
  wire::write(message.group, out);
  append_varint(out, static_cast<uint64_t>(message.asked_us));
  if (message.what == NewestMessage::What::kAsks) return;
  wire::write(message.newest.epoch, out);
  wire::write(message.newest.term, out);
  wire::write(message.newest.index, out);
  append_little<uint8_t>(out, message.has_stopped ? 1 : 0);
}

Result<NewestMessage> decode_newest(std::string_view bytes, uint32_t partitions) {
  wire::Reader reader(bytes);
  NewestMessage message;
  message.what = reader.one_of(NewestMessage::What::kAsks, NewestMessage::What::kTells);
  message.group.value = reader.varint_at_most(partitions);
  message.asked_us = static_cast<int64_t>(reader.varint());
  if (message.what == NewestMessage::What::kTells) {
    reader.read(message.newest.epoch);
    reader.read(message.newest.term);
    reader.read(message.newest.index);
    message.has_stopped = reader.flag();
  }
  if (!reader.good() || !reader.rest().empty() || message.group.none()) return damaged("who knows the newest configuration cannot be read");
  return message;
}

}  // namespace

// Who was drawn for the partition when all its copies had been given up is all of it.
void Partitions::begin_anew(Instant now, uint32_t partition, raft::ReplicaId replica) {
  raft::Configuration configuration;
  configuration.incoming.voters = {{.replica = replica, .node = {options_.self}}};
  raft::Restored restored = raft::bootstrap(std::move(configuration));
  const raft::Index first = restored.base.last.index;
  add_empty(now, partition, replica, std::move(restored));
  replicas_[partition].state_index = first;
  facts_.emplace_back(partition, "all copies were given up -> begin anew with nothing");
  data_.on_begun_anew(partition);
}

// Some of its members were given up, and those that are left cannot elect or have not.
bool Partitions::waits_for_given_up(uint32_t partition, const ClusterState& state) const {
  const raft::Core& own = *core(partition);
  if (state.given_up().empty() || own.failed() || own.configuration().unknown()) return false;
  const std::vector<raft::Member> members = own.configuration().members();
  const bool has_lost = std::any_of(members.begin(), members.end(), [&](const raft::Member& each) { return state.is_given_up(each.node.value); });
  if (!has_lost) return false;
  return !raft::can_elect_without(own.configuration(), typed(state.given_up())) || !groups_.known_leader(group_of_partition(partition));
}

// Too few voters are left, and the members have given up the others.  Those that are left may go on by themselves, unless there is a newer
// configuration, by which others are the members: so everybody is asked, and asked again until somebody leads.  A replica that has stopped
// says nothing in an election, and may hold the most: it is waited for.
void Partitions::go_on_without(Instant now, uint32_t partition, const ClusterState& state, Peers& peers) {
  const raft::GroupId group = group_of_partition(partition);
  Replica& replica = replicas_[partition];
  if (!waits_for_given_up(partition, state)) {
    replica.newest_asked_us.reset();
    if (std::exchange(replica.goes_on_without, false)) groups_.step(now, group, raft::in::GiveUp{});
    return;
  }
  const bool is_due = !replica.newest_asked_us || now.steady_us >= *replica.newest_asked_us + options_.newest_us;
  if (is_due) ask_for_newest(now, partition, state, peers);
  for (const MemberRecord& member : state.members()) {
    const bool is_other = member.state != MemberState::kRemoved && member.id != options_.self;
    if (is_other && !placement::contains(replica.newest_told, member.id)) return;
  }
  const raft::in::GiveUp input{.nodes = typed(state.given_up())};
  if (!replica.stopped.empty() || raft::can_elect_without(core(partition)->configuration(), input.nodes)) return;
  replica.goes_on_without = true;
  groups_.step(now, group, input);
}

void Partitions::ask_for_newest(Instant now, uint32_t partition, const ClusterState& state, Peers& peers) {
  Replica& replica = replicas_[partition];
  replica.newest_asked_us = now.steady_us;
  replica.newest_told.clear();
  replica.stopped.clear();
  Buffer bytes;
  encode(NewestMessage{.group = group_of_partition(partition), .asked_us = now.steady_us}, bytes);
  for (const MemberRecord& member : state.members()) {
    if (Link* const link = peers.link(member.id, PeerLane::kData)) link->add(kNewest, bytes.view());
  }
}

Status Partitions::receive_newest(NodeId from, std::string_view bytes) {
  TRY(NewestMessage message, decode_newest(bytes, options_.partitions));
  const raft::Core* const own = groups_.find(message.group);
  if (message.what == NewestMessage::What::kAsks) {
    message.what = NewestMessage::What::kTells;
    if (own != nullptr && !own->configuration().unknown()) message.newest = own->configuration_at();
    message.has_stopped = own != nullptr && own->failed();
    Buffer answer;
    encode(message, answer);
    answers_.push_back({from, kNewest, std::string(answer.view())});
    return done();
  }
  Replica& replica = replicas_[partition_of(message.group)];
  if (own == nullptr || replica.newest_asked_us != message.asked_us || message.newest > own->configuration_at()) return done();
  if (!placement::contains(replica.newest_told, from)) replica.newest_told.push_back(from);
  if (message.has_stopped && !placement::contains(replica.stopped, from)) {
    replica.stopped.insert(std::lower_bound(replica.stopped.begin(), replica.stopped.end(), from), from);
  }
  look_soon(partition_of(message.group));
  return done();
}

// ---- the comparison of copies --------------------------------------------------------------------------------

// What this replica holds is what its log says up to the marker that it has just come to.
void Partitions::mark(Instant now, uint32_t partition) {
  if (!encoding_ && !check_.is_summing()) next_step_us_ = now.steady_us;
  const raft::Entry& marker = core(partition)->log().at(replicas_[partition].state_index);
  check_.marked(now, partition, marker, encoding_ ? StateCheck::CanSum::kNo : StateCheck::CanSum::kYes);
}

void Partitions::check_copies(Instant now, const ClusterState& state, Peers& peers) {
  const bool is_free = !encoding_ && !check_.is_summing();
  const auto due = is_free ? check_.next_due(now, state.state_check_us()) : std::nullopt;
  if (due && replicas_[*due].fault == Fault::kNone) {
    apply(now, *due);
    groups_.step(now, group_of_partition(*due), raft::in::Propose{.payload = {}, .kind = raft::EntryKind::kMarker});
    replicas_[*due].state_index = core(*due)->last_index();
    mark(now, *due);
  }
  if (check_.is_summing() && now.steady_us >= next_step_us_) {
    next_step_us_ = now.steady_us + options_.encoding_us;
    check_.step(peers);
  }
  if (check_.is_summing()) wants_step_ = true;
  check_.decide(now);
  for (const StateCheck::Finding& finding : check_.take_findings()) tell_differing(finding, peers);
}

//   differs = varint group, u64 replica that differs, varint term and index of the marker
void Partitions::tell_differing(const StateCheck::Finding& finding, Peers& peers) {
  for (const raft::Member& member : finding.verdict.differing) {
    if (member.node.value == options_.self) {
      replicas_[finding.partition].fault = Fault::kDiffers;
      replicas_[finding.partition].agreeing.clear();
      for (const raft::Member& each : finding.verdict.agreeing) replicas_[finding.partition].agreeing.push_back(each.node);
      look_soon(finding.partition);
      continue;
    }
    Link* const link = peers.link(member.node.value, PeerLane::kData);
    if (link == nullptr) continue;
    Buffer bytes;
    append_varint(bytes, group_of_partition(finding.partition).value);
    append_little<uint64_t>(bytes, member.replica.value);
    append_varint(bytes, finding.term.value);
    append_varint(bytes, finding.index.value);
    link->add(kDiffers, bytes.view());
  }
}

namespace {

// Which copy, and the marker that is spoken of.
struct AboutMarker {
  raft::GroupId group;
  raft::ReplicaId replica;
  raft::Term term;
  raft::Index index;
};

bool take_about_marker(std::string_view& bytes, AboutMarker& about) {
  return take_varint(bytes, about.group.value) && take_little<uint64_t>(bytes, about.replica.value) &&
         take_varint(bytes, about.term.value) && take_varint(bytes, about.index.value);
}

}  // namespace

Status Partitions::receive_sum(NodeId from, std::string_view bytes) {
  AboutMarker about;
  Hash128 sum;
  const bool is_whole = take_about_marker(bytes, about) && take_little<uint64_t>(bytes, sum.low) &&
                        take_little<uint64_t>(bytes, sum.high) && bytes.empty();
  if (!is_whole || about.group.none() || about.group.value > options_.partitions) return damaged("a sum cannot be read");
  const raft::Core* const own = groups_.find(about.group);
  const auto member = own == nullptr ? std::nullopt : own->configuration().find(about.replica);
  if (member && member->node.value == from) check_.take_sum(partition_of(about.group), about.replica, about.term, about.index, sum);
  return done();
}

Status Partitions::receive_differs(NodeId from, std::string_view bytes) {
  AboutMarker about;
  const bool is_whole = take_about_marker(bytes, about) && bytes.empty();
  if (!is_whole || about.group.none() || about.group.value > options_.partitions) return damaged("a finding cannot be read");
  const raft::Core* const own = groups_.find(about.group);
  if (own == nullptr || own->options().self.replica != about.replica || own->term() != about.term) return done();
  const auto leader = own->role_state().leader;
  if (!leader || leader->node.value != from || leads(*own)) return done();
  const uint32_t partition = partition_of(about.group);
  facts_.emplace_back(partition, "differs from the majority at index " + std::to_string(about.index.value) + " -> ask whether to start over");
  replicas_[partition].fault = Fault::kDiffers;
  look_soon(partition);
  return done();
}

std::vector<std::pair<uint32_t, std::string>> Partitions::take_facts() {
  std::vector<std::pair<uint32_t, std::string>> facts = std::exchange(facts_, {});
  for (auto& fact : check_.take_facts()) facts.push_back(std::move(fact));
  return facts;
}

// ---- turns -------------------------------------------------------------------------------------------------

void Partitions::look_at(Instant now, uint32_t partition, const ClusterState& state, Plan plan, Peers& peers) {
  replicas_[partition].needs_look = false;
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
}

void Partitions::work(Instant now, const ClusterState& state, Plan plan, Peers& peers) {
  snapshots_begun_ = 0;
  wants_step_ = false;
  for (const Answer& answer : std::exchange(answers_, {})) {
    if (Link* const link = peers.link(answer.to, PeerLane::kData)) link->add(answer.kind, answer.bytes);
  }
  if (!state.is_founded()) return;
  const int64_t look_us = groups_.health().is_draining ? options_.draining_transfer_us : options_.look_us;
  // A little early in a turn that is there anyway, rather than in one of its own.
  const bool looks_at_all = state.plan_version() != plan_version_ || now.steady_us >= next_look_us_ - look_us / 4;
  plan_version_ = state.plan_version();
  if (looks_at_all) commit_quorum_ = state.commit_quorum();
  if (looks_at_all || next_look_us_ == kNever) next_look_us_ = now.steady_us + look_us;
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    if (looks_at_all || replicas_[partition].needs_look) look_at(now, partition, state, plan, peers);
  }
  check_copies(now, state, peers);
}

}  // namespace quorate

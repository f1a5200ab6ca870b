// The order in which a core's outputs are carried out is that of the fields of raft::Output.
#include "tests/sim/raft_process.h"

#include <algorithm>
#include <utility>

#include "util/check.h"

namespace quorate::sim {

namespace {

constexpr int64_t kSyncEveryUs = 1'000'000;
constexpr int64_t kSnapshotFlightUs = 1'000'000;
// A snapshot of a state that is ahead of the commit index waits so long for it.
constexpr int64_t kSnapshotWaitUs = 100'000;
// Weak acknowledgements stop while the oldest uncommitted entry is older (max-unacked-ms).
constexpr int64_t kUnackedUsMax = 1'000'000;

uint32_t quorum_level(const raft::Configuration& configuration) {
  return static_cast<uint32_t>(configuration.incoming.voters.size() / 2 + 1);
}

// C, the larger one in a joint configuration.
uint32_t commit_level(const raft::Configuration& configuration) {
  uint32_t level = configuration.incoming.quorums().commit;
  if (configuration.outgoing) {
    level = std::max(level, configuration.outgoing->quorums().commit);
  }
  return level;
}

}  // namespace

Process::Process(Host& host, NodeDisk& disk, const ProcessOptions& options)
    : host_(host), disk_(disk), options_(options), prng_(options.seed) {
  for (uint64_t id = 1; id <= options.nodes; ++id) {
    const raft::NodeId peer{id};
    if (peer == options.node) continue;
    pairs_[peer] = std::make_unique<beats::Pair>(
        beats::Options{.self = options.node, .peer = peer, .incarnation = options.incarnation},
        beat_counter_, prng_.next(), options.mistakes);
  }
}

void Process::start() {
  const int64_t now_us = now().steady_us;
  sync_at_us_ = now_us + kSyncEveryUs;
  if (options_.loads_slowly) {
    loaded_at_us_ = now_us + static_cast<int64_t>(prng_.below(500'000));
  }
  for (auto& [group, stored] : disk_.image()) {
    // In mode `memory` there is no log and no snapshot, but for what a new group begins with.
    const bool forgets_log =
        options_.durability == raft::Durability::kMemory && options_.incarnation.value > 1;
    raft::Restored restored;
    restored.hard_state = stored.hard;
    if (!forgets_log) {
      restored.base = stored.base;
      restored.entries = stored.entries;
    }
    restored.is_loaded = !options_.loads_slowly;
    // REPLICATION.md 5: which start is normal goes by the mode.
    const bool remembers =
        options_.durability == raft::Durability::kSynced ||
        (options_.durability == raft::Durability::kOs && stored.boot == options_.boot);
    restored.start = remembers ? raft::StartKind::kRemembers : raft::StartKind::kMayHaveForgotten;
    create(group, stored.replica, std::move(restored));
    host_.oracle().note_stored(*replicas_.at(group).core, stored.entries);
    host_.oracle().note_snapshot_stored(*replicas_.at(group).core, stored.base.last.index);
    if (stored.snapshot != nullptr && !forgets_log)
      replicas_.at(group).machine = stored.snapshot->snapshot();
    if (!remembers) disk_.owes_recovery[group] = true;
  }
  std::vector<raft::GroupId> groups;
  for (const auto& [group, replica] : replicas_) groups.push_back(group);
  for (const raft::GroupId group : groups) {
    if (is_dead_) return;
    step(group, raft::in::Start{});
    // The boot is noted behind what the start had to make durable.
    Replica* const replica = find(group);
    if (replica == nullptr) continue;
    const raft::ReplicaId id = replica->core->options().self.replica;
    queue_.push_back({.group = group,
                      .replica = id,
                      .record = DiskRecord{.group = group, .replica = id, .boot = options_.boot},
                      .needs_sync = true});
    start_disk();
  }
  end_turn();
}

void Process::create(raft::GroupId group, raft::ReplicaId id, raft::Restored restored) {
  Replica& replica = replicas_[group];
  const raft::Options options{
      .group = group,
      .self = {.replica = id, .node = options_.node},
      .window_bytes_max = options_.window_bytes_max,
      .append_bytes_max = options_.append_bytes_max,
      .can_undo = options_.can_undo};
  replica.noted_commit = restored.base.last.index;
  replica.core =
      std::make_unique<raft::Core>(options, std::move(restored), prng_.next(), options_.mistakes);
}

void Process::die(Prng& prng) {
  is_dead_ = true;
  if (disk_state_ != DiskState::kWriting) return;
  uint64_t written = prng.below(batch_.size() + 1);
  for (Job& job : batch_) {
    if (written-- == 0) break;
    if (job.record) disk_.write(std::move(*job.record));
  }
}

Process::Replica* Process::find(raft::GroupId group) {
  const auto at = replicas_.find(group);
  return at == replicas_.end() ? nullptr : &at->second;
}

// A replica that somebody talks to and that is newer than any here was placed here.
Process::Replica* Process::find_or_create(raft::GroupId group, raft::ReplicaId id) {
  Replica* const known = find(group);
  if (known != nullptr && known->core->options().self.replica == id) return known;
  if (id <= disk_.removed[group]) return nullptr;
  if (known != nullptr && id < known->core->options().self.replica) return nullptr;
  if (known != nullptr) remove(group);
  create(group, id, raft::empty_replica());
  step(group, raft::in::Start{});
  return find(group);
}

void Process::remove(raft::GroupId group) {
  Replica* const replica = find(group);
  if (replica == nullptr) return;
  const raft::RoleState state = replica->core->role_state();
  drop_held(*replica);
  const raft::ReplicaId id = replica->core->options().self.replica;
  disk_.removed[group] = id;
  led_is_stale_ = true;
  disk_.owes_recovery.erase(group);
  queue_.push_back({.group = group,
                    .replica = id,
                    .record = DiskRecord{.group = group, .replica = id, .is_removed = true},
                    .needs_sync = true});
  replicas_.erase(group);
  if (state.leader && pairs_.contains(state.leader->node)) {
    feed_pair(state.leader->node, beats::in::SupportWithdrawn{group});
  }
  start_disk();
}

void Process::give_up() {
  std::vector<raft::GroupId> groups;
  for (const auto& [group, replica] : replicas_) groups.push_back(group);
  for (const raft::GroupId group : groups) {
    if (is_dead_) return;
    const Replica* const replica = find(group);
    if (replica == nullptr) continue;
    step(group, raft::in::GiveUp{.nodes = host_.given_up(*replica->core)});
  }
  if (!is_dead_) end_turn();
}

raft::Core* Process::core(raft::GroupId group) {
  Replica* const replica = find(group);
  return replica == nullptr ? nullptr : replica->core.get();
}

const Machine* Process::machine(raft::GroupId group) const {
  const auto at = replicas_.find(group);
  return at == replicas_.end() ? nullptr : &at->second.machine;
}

bool Process::owes_recovery(raft::GroupId group) const {
  const auto at = disk_.owes_recovery.find(group);
  return at != disk_.owes_recovery.end() && at->second;
}

// ---- inputs

int64_t Process::deadline() const {
  int64_t deadline = std::min(sync_at_us_, loaded_at_us_);
  for (const auto& [group, replica] : replicas_)
    deadline = std::min(deadline, replica.core->deadline());
  for (const auto& [peer, pair] : pairs_) deadline = std::min(deadline, pair->deadline());
  for (const Flight& flight : flights_) deadline = std::min(deadline, flight.give_up_us);
  return deadline;
}

void Process::on_timer() {
  const int64_t now_us = now().steady_us;
  for (auto& [peer, pair] : pairs_) {
    if (is_dead_) return;
    if (pair->deadline() <= now_us) feed_pair(peer, beats::in::Timeout{});
  }
  std::vector<raft::GroupId> due;
  for (const auto& [group, replica] : replicas_) {
    if (replica.core->deadline() <= now_us) due.push_back(group);
  }
  for (const raft::GroupId group : due) {
    step(group, raft::in::Timeout{});
  }
  if (loaded_at_us_ <= now_us) {
    loaded_at_us_ = kNever;
    for (auto& [group, replica] : replicas_) step(group, raft::in::Loaded{});
  }
  if (sync_at_us_ <= now_us) {
    sync_at_us_ = now_us + kSyncEveryUs;
    queue_.push_back({.needs_sync = true});
    start_disk();
  }
  std::vector<Flight> late;
  std::erase_if(flights_, [&](const Flight& flight) {
    if (flight.give_up_us > now_us) return false;
    late.push_back(flight);
    return true;
  });
  for (const Flight& flight : late) {
    if (find(flight.group) != nullptr) step(flight.group, raft::in::SnapshotFailed{flight.to});
  }
  end_turn();
}

void Process::on_parcel(raft::NodeId from, raft::Incarnation incarnation, const Parcel& parcel) {
  if (const auto* const packet = std::get_if<beats::Packet>(&parcel)) {
    feed_pair(from, beats::in::Receive{*packet});
  } else if (const auto* const request = std::get_if<GroupRequest>(&parcel)) {
    Replica* const replica = find(request->group);
    if (replica == nullptr) {
      host_.answer(options_.node, {.client = request->client,
                                   .operation = request->operation,
                                   .kind = AnswerKind::kElsewhere});
    } else {
      replica->pending.push_back(*request);
      if (!turn_is_wanted_) host_.turn_wanted(options_.node);
      turn_is_wanted_ = true;
    }
  } else {
    // Frames of older incarnations are dropped, newer ones make everything known of the node void.
    if (incarnation < incarnations_[from]) return;
    note_incarnation(from, incarnation);
    if (const auto* const message = std::get_if<raft::Message>(&parcel)) {
      if (find_or_create(message->group, message->to.replica) == nullptr) return;
      step(message->group, raft::in::Receive{*message});
    } else if (const auto* const snapshot = std::get_if<SnapshotParcel>(&parcel)) {
      Replica* const replica = find_or_create(snapshot->group, snapshot->to.replica);
      if (replica == nullptr) return;
      replica->incoming = snapshot;
      step(snapshot->group,
           raft::in::SnapshotReceived{snapshot->from, snapshot->term, snapshot->mark});
      if (Replica* const still = find(snapshot->group)) still->incoming = nullptr;
    }
  }
  end_turn();
}

void Process::on_connected(raft::NodeId peer) {
  feed_pair(peer, beats::in::Connected{});
  for (auto& [group, replica] : replicas_) step(group, raft::in::PeerConnected{peer});
  end_turn();
}

void Process::on_closed(raft::NodeId peer) {
  feed_pair(peer, beats::in::Closed{});
  end_turn();
}

void Process::on_turn() {
  turn_is_wanted_ = false;
  for (auto& [group, replica] : replicas_) {
    if (is_dead_) return;
    if (!replica.pending.empty()) run_pending(group, replica);
  }
  end_turn();
}

void Process::change(raft::GroupId group, const raft::Configuration& target) {
  step(group, raft::in::ChangeConfiguration{target});
  end_turn();
}

void Process::transfer(raft::GroupId group, raft::ReplicaId to) {
  step(group, raft::in::TransferLeadership{to});
  end_turn();
}

void Process::compact(raft::GroupId group) {
  Replica* const replica = find(group);
  if (replica == nullptr || options_.durability == raft::Durability::kMemory) return;
  if (replica->core->configuration().unknown() || replica->machine.index().none()) return;
  OutgoingSnapshot snapshot = snapshot_now(*replica);
  if (snapshot.mark.last.index <= replica->core->commit_index()) {
    store_snapshot(group, *replica, snapshot);
  } else if (replica->core->role() == raft::RoleName::kLeader) {
    replica->snapshots.push_back(std::move(snapshot));
  }
  end_turn();
}

// ---- the core's outputs

void Process::step(raft::GroupId group, const raft::Input& input) {
  if (is_dead_) return;
  Replica* const replica = find(group);
  if (replica == nullptr || replica->core->failed()) return;
  raft::Output out;
  replica->core->step(now(), input, out);
  perform(group, out);
}

bool Process::dies() {
  if (!is_dead_ && host_.dies_here(options_.node)) is_dead_ = true;
  return is_dead_;
}

void Process::perform(raft::GroupId group, raft::Output& out) {
  Replica& replica = *find(group);
  for (const std::string& fact : out.facts) {
    host_.log(options_.node, "group " + std::to_string(group.value) + ": " + fact);
  }
  if (out.failure) {
    host_.oracle().fail("a core stopped: node " + std::to_string(options_.node.value) + " group " +
                        std::to_string(group.value) + ": " + out.failure->text);
  }
  if (dies()) return;
  if (out.role || out.configuration_changed) led_is_stale_ = true;
  take_role(replica, out);
  const bool is_recovering = replica.core->standing() == raft::Standing::kRecovering;
  if (replica.is_recovering && !is_recovering) disk_.owes_recovery[group] = false;
  replica.is_recovering = is_recovering;
  if (out.support_withdrawn && pairs_.contains(out.support_withdrawn->node)) {
    feed_pair(out.support_withdrawn->node, beats::in::SupportWithdrawn{group});
  }
  if (dies()) return;
  take_back(replica, out);
  install(replica, out);
  if (dies()) return;
  queue_write(group, replica, out);
  if (dies()) return;
  send_all(out.send);
  if (dies()) return;
  take_commits(replica, out);
  take_reads(replica, out);
  if (out.round_wanted) round_wanted_ = true;
  want_snapshots(replica, out);
}

void Process::take_role(Replica& replica, const raft::Output& out) {
  const raft::Core& core = *replica.core;
  if (!out.role) return;
  const bool leads = core.role() == raft::RoleName::kLeader;
  if (replica.was_leader && (!leads || replica.led_term != core.term())) {
    drop_held(replica);
    replica.was_leader = false;
  }
  if (leads && !replica.was_leader) {
    replica.was_leader = true;
    replica.led_term = core.term();
    replica.proposed.clear();
    host_.log(options_.node, "group " + std::to_string(core.options().group.value) +
                                 ": leads term " + std::to_string(core.term().value));
    if (out.role->takeover == raft::Takeover::kAllPresentRestart) {
      host_.oracle().note_recovery(core, host_.forgetful_voters(core));
    } else if (out.role->takeover == raft::Takeover::kUnsafeRecovery) {
      // Who was given up may have held what nobody else did.
      host_.oracle().note_recovery(core, UINT32_MAX);
    }
    host_.oracle().note_leader(core);
    host_.leader_elected(core);
  }
}

// What the log lost is undone in memory, and noted as lost.
void Process::take_back(Replica& replica, const raft::Output& out) {
  for (const raft::Entry& entry : out.truncated) {
    if (entry.kind != raft::EntryKind::kCommand) continue;
    for (const Effect& effect : decode_effects(entry.payload.view())) {
      host_.oracle().note_loss(replica.core->options().group, effect.command.token);
    }
  }
  if (out.log_archived) {
    replica.machine = Machine();
    replica.noted_commit = {};
    replica.noted_state = {};
    return;
  }
  if (out.truncated.empty()) return;
  host_.oracle().note_truncated(*replica.core, out.truncated,
                                out.install ? out.install->last.index : raft::Index());
  const raft::Index last = before(out.truncated.front().index);
  if (replica.machine.index() > last) {
    replica.machine.undo_to(last, options_.driver_mistakes.undo_forgets_rows
                                      ? Machine::Rows::kForgotten
                                      : Machine::Rows::kUndone);
  }
}

void Process::install(Replica& replica, const raft::Output& out) {
  if (!out.install) return;
  CHECK(replica.incoming != nullptr);
  host_.oracle().note_installed(*replica.core, *out.install);
  replica.machine = replica.incoming->state->snapshot();
  replica.noted_commit = out.install->last.index;
  replica.noted_state = out.install->last.index;
}

void Process::queue_write(raft::GroupId group, Replica& replica, raft::Output& out) {
  raft::DurableWrite& write = out.write;
  if (!write.writes() && write.then_send.empty()) return;
  const raft::ReplicaId id = replica.core->options().self.replica;
  Job job{.group = group, .replica = id, .number = write.number};
  job.then_send = std::move(write.then_send);
  job.stored = write.append;
  job.needs_sync = write.hard_state.has_value() ||
                   (write.writes() && options_.durability == raft::Durability::kSynced);
  const bool keeps_log = options_.durability != raft::Durability::kMemory;
  if (write.hard_state || (keeps_log && write.writes())) {
    DiskRecord record{.group = group, .replica = id, .hard = write.hard_state};
    if (keeps_log) {
      record.append = std::move(write.append);
      record.base = write.log_base;
      if (out.install) record.snapshot = replica.incoming->state;
    }
    job.record = std::move(record);
  }
  if (write.log_base && out.install) job.snapshot_last = write.log_base->last.index;
  queue_.push_back(std::move(job));
  start_disk();
}

void Process::send_all(const std::vector<raft::Message>& messages) {
  for (const raft::Message& message : messages) {
    if (dies()) return;
    // Only one replica of a group lives on a node: the other one is not made before this one is
    // gone.
    if (message.to.node == options_.node) continue;
    host_.oracle().note_sent(message, owes_recovery(message.group));
    host_.send(options_.node, message.to.node, message);
  }
}

void Process::take_commits(Replica& replica, const raft::Output& out) {
  raft::Core& core = *replica.core;
  if (core.failed()) return;
  catch_up(replica);
  if (out.commit_index <= replica.noted_commit) return;
  host_.oracle().note_commit(core, replica.noted_commit);
  replica.noted_commit = out.commit_index;
  replica.machine.forget_undo(out.commit_index, [&](raft::Index index, uint64_t hash) {
    host_.oracle().note_state(core, index, hash);
  });
  if (replica.machine.index() <= out.commit_index) {
    host_.oracle().note_state(core, replica.machine.index(), replica.machine.hash());
  }
  while (!replica.proposed.empty() && replica.proposed.front().first <= out.commit_index) {
    replica.proposed.pop_front();
  }
  core.note_applied(std::min(replica.machine.index(), out.commit_index));
}

// A leader's state holds its whole log, a follower's what is committed.
void Process::catch_up(Replica& replica) {
  raft::Core& core = *replica.core;
  const bool leads = core.role() == raft::RoleName::kLeader;
  const raft::Index upto = leads ? core.last_index() : core.commit_index();
  while (replica.machine.index() < upto) {
    const raft::Index index = next(replica.machine.index());
    if (!core.log().has(index)) {
      host_.oracle().fail("an entry left the window before it was applied, node " +
                          std::to_string(options_.node.value) + " index " +
                          std::to_string(index.value));
      return;
    }
    const raft::Entry& entry = core.log().at(index);
    const bool is_command = entry.kind == raft::EntryKind::kCommand;
    replica.machine.apply(is_command ? entry.payload.view() : std::string_view(), index,
                          Machine::Undo::kKept);
  }
}

void Process::take_reads(Replica& replica, const raft::Output& out) {
  for (const raft::ReadReady& ready : out.reads) {
    for (HeldRead& read : replica.reads) {
      if (read.token != ready.token.value) continue;
      if (ready.verdict == raft::ReadVerdict::kConfirmed) {
        read.confirmed = true;
      } else {
        read.term = {};  // never released
      }
    }
  }
}

void Process::want_snapshots(Replica& replica, const raft::Output& out) {
  for (const raft::Member& to : out.snapshots_wanted) {
    OutgoingSnapshot snapshot = snapshot_now(replica);
    snapshot.to = to;
    replica.snapshots.push_back(std::move(snapshot));
  }
}

Process::OutgoingSnapshot Process::snapshot_now(Replica& replica) {
  return snapshot_of(replica, replica.machine);
}

// The same without what is not committed.
Process::OutgoingSnapshot Process::snapshot_at_commit(Replica& replica, raft::Member to) {
  Machine state = replica.machine;
  if (state.index() > replica.core->commit_index()) {
    state.undo_to(replica.core->commit_index(), Machine::Rows::kUndone);
  }
  OutgoingSnapshot snapshot = snapshot_of(replica, state);
  snapshot.to = to;
  return snapshot;
}

Process::OutgoingSnapshot Process::snapshot_of(Replica& replica, const Machine& state) {
  const raft::Core& core = *replica.core;
  const raft::Index last = state.index();
  OutgoingSnapshot snapshot;
  snapshot.taken_us = now().steady_us;
  snapshot.term = core.term();
  snapshot.mark.last = {.epoch = core.epoch(), .term = *core.log().term_at(last), .index = last};
  snapshot.mark.chain = *core.log().chain_at(last);
  snapshot.mark.configuration = core.configuration_at_index(last);
  snapshot.state = std::make_shared<const Machine>(state.snapshot());
  return snapshot;
}

void Process::send_snapshots(raft::GroupId group, Replica& replica) {
  std::vector<OutgoingSnapshot> waiting;
  for (OutgoingSnapshot& snapshot : replica.snapshots) {
    const raft::Core& core = *replica.core;
    if (core.role() != raft::RoleName::kLeader || core.term() != snapshot.term) continue;
    const raft::Index last = snapshot.mark.last.index;
    const bool stays_here = snapshot.to.replica.none();
    if (!(stays_here ? core.snapshot_may_leave(snapshot.term, last)
                     : core.snapshot_may_be_sent(snapshot.term, last, snapshot.to.replica))) {
      // What commits it may be who waits for it.
      const bool is_late = now().steady_us - snapshot.taken_us > kSnapshotWaitUs;
      if (is_late) snapshot = snapshot_at_commit(replica, snapshot.to);
      waiting.push_back(std::move(snapshot));
      continue;
    }
    if (stays_here) {
      store_snapshot(group, replica, snapshot);
      continue;
    }
    flights_.push_back({group, snapshot.to.replica, now().steady_us + kSnapshotFlightUs});
    host_.send(options_.node, snapshot.to.node,
               SnapshotParcel{.group = group,
                              .from = core.options().self,
                              .to = snapshot.to,
                              .term = snapshot.term,
                              .mark = snapshot.mark,
                              .state = snapshot.state});
  }
  replica.snapshots = std::move(waiting);
}

void Process::store_snapshot(raft::GroupId group, Replica& replica,
                             const OutgoingSnapshot& snapshot) {
  const raft::ReplicaId id = replica.core->options().self.replica;
  DiskRecord record{.group = group, .replica = id, .base = snapshot.mark, .keeps_tail = true};
  record.snapshot = snapshot.state;
  queue_.push_back(
      {.group = group, .replica = id, .record = std::move(record), .needs_sync = true});
  start_disk();
}

// ---- the disk

void Process::start_disk() {
  if (is_dead_ || disk_state_ != DiskState::kIdle || queue_.empty()) return;
  batch_.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
  queue_.clear();
  disk_state_ = DiskState::kWriting;
  const bool has_records = std::any_of(batch_.begin(), batch_.end(),
                                       [](const Job& job) { return job.record.has_value(); });
  host_.disk_wanted(options_.node, has_records, false);
}

void Process::on_disk_written() {
  CHECK(disk_state_ == DiskState::kWriting);
  bool needs_sync = false;
  for (Job& job : batch_) {
    needs_sync |= job.needs_sync;
    if (job.record) disk_.write(std::move(*job.record));
    job.record.reset();
  }
  if (needs_sync) {
    disk_state_ = DiskState::kSyncing;
    host_.disk_wanted(options_.node, true, true);
    return;
  }
  finish_batch();
}

void Process::on_disk_synced() {
  CHECK(disk_state_ == DiskState::kSyncing);
  disk_.sync();
  finish_batch();
}

void Process::finish_batch() {
  disk_state_ = DiskState::kIdle;
  std::vector<Job> batch = std::move(batch_);
  batch_.clear();
  for (const Job& job : batch) {
    Replica* const replica = find(job.group);
    if (is_dead_) return;
    if (replica == nullptr || replica->core->options().self.replica != job.replica) continue;
    if (replica->core->failed()) continue;
    host_.oracle().note_stored(*replica->core, job.stored);
    if (job.snapshot_last) host_.oracle().note_snapshot_stored(*replica->core, *job.snapshot_last);
    send_all(job.then_send);
    if (!job.number.none()) step(job.group, raft::in::Persisted{job.number});
  }
  start_disk();
  end_turn();
}

// ---- clients

void Process::refuse(Replica& replica, const GroupRequest& request) {
  const raft::RoleState state = replica.core->role_state();
  Answer answer{
      .client = request.client, .operation = request.operation, .kind = AnswerKind::kElsewhere};
  if (state.leader && state.leader->node != options_.node) answer.hint = state.leader->node;
  host_.answer(options_.node, answer);
}

// Nothing held here can be answered any more: those who wait try again, under their token.
void Process::drop_held(Replica& replica) {
  const auto retry = [&](const GroupRequest& request) {
    host_.answer(
        options_.node,
        {.client = request.client, .operation = request.operation, .kind = AnswerKind::kRetry});
  };
  for (const HeldWrite& write : replica.writes) retry(write.request);
  for (const HeldRead& read : replica.reads) retry(read.request);
  replica.writes.clear();
  replica.reads.clear();
}

void Process::run_pending(raft::GroupId group, Replica& replica) {
  raft::Core& core = *replica.core;
  std::deque<GroupRequest> requests = std::move(replica.pending);
  replica.pending.clear();
  std::vector<Effect> effects;
  std::vector<raft::Input> barriers;
  const raft::Serving serving = core.role_state().serving;
  const bool takes_writes =
      (serving == raft::Serving::kYes || serving == raft::Serving::kStarting) && core.can_propose();
  const raft::Index index = next(core.last_index());
  for (const GroupRequest& request : requests) {
    const bool is_read = request.command.kind == OperationKind::kRead;
    if (serving == raft::Serving::kNo ||
        (is_read ? serving != raft::Serving::kYes : !takes_writes)) {
      refuse(replica, request);
      continue;
    }
    if (is_read) {
      run_read(replica, request, barriers);
      continue;
    }
    HeldWrite held{.request = request, .term = core.term()};
    held.level = request.level == 0 ? quorum_level(core.configuration()) : request.level;
    switch (replica.machine.admission(request.command.token)) {
      case Machine::Admission::kNext: {
        const Effect effect = replica.machine.execute(request.command, index);
        effects.push_back(effect);
        held.output = effect.output;
        held.index = index;
        break;
      }
      case Machine::Admission::kRepeated: {
        const Machine::Row& row = *replica.machine.row(request.command.token.client);
        held.output = row.output;
        held.index = row.index;
        break;
      }
      case Machine::Admission::kOutOfOrder:
        refuse(replica, request);
        continue;
    }
    replica.writes.push_back(std::move(held));
  }
  if (!effects.empty()) {
    replica.machine.finish(index);
    replica.proposed.emplace_back(index, now().steady_us);
    step(group, raft::in::Propose{SharedBytes(encode_effects(effects))});
  }
  for (const raft::Input& barrier : barriers) step(group, barrier);
}

void Process::run_read(Replica& replica, const GroupRequest& request,
                       std::vector<raft::Input>& barriers) {
  const raft::Core& core = *replica.core;
  const Machine::Key& key = replica.machine.key(request.command.key);
  HeldRead held{.request = request,
                .output = key.state,
                .need = key.changed,
                .term = core.term(),
                .token = ++last_read_token_};
  if (request.mode == ReadMode::kLease && now().steady_us < core.lease_until_us()) {
    held.confirmed = true;
    host_.lease_used(core);
  } else {
    barriers.push_back(
        raft::in::ReadBarrier{.token = {held.token}, .last_beat = beat_counter_.last});
  }
  replica.reads.push_back(std::move(held));
}

bool Process::may_release(Replica& replica, const HeldWrite& write, int64_t now_us) {
  const raft::Core& core = *replica.core;
  if (options_.driver_mistakes.reply_before_commit) return core.stored_index() >= write.index;
  if (core.copies(write.level) < write.index) return false;
  if (core.commit_index() >= write.index) return true;
  const bool is_weak = write.level < commit_level(core.configuration());
  const bool is_old =
      !replica.proposed.empty() && now_us - replica.proposed.front().second > kUnackedUsMax;
  return is_weak && !is_old;
}

void Process::release(Replica& replica) {
  const raft::Core& core = *replica.core;
  const int64_t now_us = now().steady_us;
  std::erase_if(replica.writes, [&](const HeldWrite& write) {
    if (write.term != core.term() || !may_release(replica, write, now_us)) return false;
    const bool committed =
        core.commit_index() >= write.index || options_.driver_mistakes.reply_before_commit;
    const auto chain = core.log().chain_at(write.index);
    // A repeated write whose entry has left the window was checked when it was committed.
    if (chain) {
      host_.oracle().note_acknowledged(core,
                                       {.group = core.options().group,
                                        .index = write.index,
                                        .chain = *chain,
                                        .term = core.term(),
                                        .token = write.request.command.token,
                                        .committed = committed},
                                       write.level);
    }
    host_.answer(options_.node, {.client = write.request.client,
                                 .operation = write.request.operation,
                                 .kind = AnswerKind::kDone,
                                 .output = write.output,
                                 .committed = committed});
    return true;
  });
  std::erase_if(replica.reads, [&](const HeldRead& read) {
    if (read.term != core.term() || !read.confirmed) return false;
    if (core.commit_index() < read.need) return false;
    host_.oracle().note_read(core);
    host_.answer(options_.node, {.client = read.request.client,
                                 .operation = read.request.operation,
                                 .kind = AnswerKind::kDone,
                                 .output = read.output,
                                 .committed = true});
    return true;
  });
}

// ---- beats

void Process::end_turn() {
  if (is_dead_) return;
  for (auto& [group, replica] : replicas_) {
    if (dies()) return;
    if (!replica.snapshots.empty()) send_snapshots(group, replica);
    if (replica.core->role() == raft::RoleName::kLeader) release(replica);
  }
  if (led_is_stale_) tell_led();
  if (round_wanted_) {
    round_wanted_ = false;
    for (auto& [peer, pair] : pairs_) feed_pair(peer, beats::in::RoundWanted{});
  }
}

void Process::tell_led() {
  led_is_stale_ = false;
  for (auto& [peer, pair] : pairs_) {
    std::vector<beats::Led> led = led_towards(peer);
    if (led == told_led_[peer]) continue;
    told_led_[peer] = led;
    feed_pair(peer, beats::in::LedChanged{std::move(led)});
  }
}

std::vector<beats::Led> Process::led_towards(raft::NodeId peer) const {
  std::vector<beats::Led> led;
  for (const auto& [group, replica] : replicas_) {
    const raft::Core& core = *replica.core;
    if (core.role() != raft::RoleName::kLeader) continue;
    for (const raft::Member& member : core.configuration().members()) {
      if (member.node != peer) continue;
      led.push_back({.group = group, .leader = core.options().self.replica, .term = core.term()});
      break;
    }
  }
  return led;
}

// With every beat, also where nothing is to be judged anew: the echo that leaves confirms, so whoever asks around meanwhile is to know of it.
void Process::hear_leaders(raft::NodeId peer) {
  const beats::Pair& pair = *pairs_.at(peer);
  const std::vector<beats::Led> told(pair.peer_leads().begin(), pair.peer_leads().end());
  for (const beats::Led& led : told) {
    if (is_dead_) return;
    if (find(led.group) != nullptr) step(led.group, raft::in::LeaderHeard{led.leader, led.term, pair.received_us()});
  }
}

void Process::note_incarnation(raft::NodeId peer, raft::Incarnation incarnation) {
  if (incarnation <= incarnations_[peer]) return;
  const bool is_first = incarnations_[peer].none();
  incarnations_[peer] = incarnation;
  if (is_first) return;
  for (auto& [group, replica] : replicas_) step(group, raft::in::PeerRestarted{peer});
}

void Process::feed_pair(raft::NodeId peer, const beats::Input& input) {
  if (is_dead_) return;
  beats::Output out;
  pairs_.at(peer)->step(now(), input, out);
  take_pair(peer, out);
  const auto* const received = std::get_if<beats::in::Receive>(&input);
  if (received == nullptr || !std::holds_alternative<beats::Beat>(received->packet)) return;
  // With every beat: whom a replica follows there although it leads no longer.
  const auto leads = pairs_.at(peer)->peer_leads();
  for (auto& [group, replica] : replicas_) {
    const raft::RoleState state = replica.core->role_state();
    if (!state.leader || state.leader->node != peer) continue;
    const beats::Led wanted{.group = group, .leader = state.leader->replica, .term = state.term};
    if (std::find(leads.begin(), leads.end(), wanted) != leads.end()) continue;
    step(group, raft::in::PeerSilent{peer, raft::Silence::kLeadsNoLonger});
  }
}

void Process::take_pair(raft::NodeId peer, beats::Output& out) {
  if (out.peer_restarted) note_incarnation(peer, pairs_.at(peer)->peer_incarnation());
  for (const beats::Packet& packet : out.send) {
    if (dies()) return;
    host_.send(options_.node, peer, packet);
  }
  if (out.heard) hear_leaders(peer);
  if (out.judge_wanted) {
    std::vector<raft::GroupId> not_confirmed;
    for (const beats::Led& led : out.judge) {
      const Replica* const still = find(led.group);
      const bool confirms = still != nullptr && still->core->confirms(led.leader, led.term);
      if (!confirms) not_confirmed.push_back(led.group);
    }
    feed_pair(peer, beats::in::Judged{std::move(not_confirmed)});
  }
  if (out.confirmed) {
    const auto voter_of = [&](const Replica& replica) {
      for (const raft::Member& member : replica.core->configuration().members()) {
        if (member.node == peer) return member.replica;
      }
      return raft::ReplicaId();
    };
    for (const beats::Led& led : out.confirmed->groups) {
      Replica* const replica = find(led.group);
      if (replica == nullptr || replica->core->role() != raft::RoleName::kLeader) continue;
      step(led.group, raft::in::LeadershipConfirmed{.voter = voter_of(*replica),
                                                    .term = led.term,
                                                    .beat = out.confirmed->beat,
                                                    .sent_us = out.confirmed->sent_us});
    }
    for (const beats::Led& led : out.confirmed->refused) {
      Replica* const replica = find(led.group);
      if (replica == nullptr || replica->core->role() != raft::RoleName::kLeader) continue;
      step(led.group, raft::in::LeadershipRefused{.voter = voter_of(*replica), .term = led.term});
    }
  }
  if (out.silent) {
    for (auto& [group, replica] : replicas_) {
        step(group, raft::in::PeerSilent{peer, *out.silent});
    }
  }
}

}  // namespace quorate::sim

// Turns in company: who may execute, what is proposed, what a reply waits for.
#include "node/company.h"

#include <algorithm>
#include <utility>

#include "commands/errors.h"
#include "node/changes.h"
#include "node/cluster_settings.h"
#include "node/effects.h"
#include "node/followers.h"
#include "node/forward.h"
#include "node/host.h"
#include "node/input.h"
#include "node/needs.h"
#include "node/origin_rows.h"
#include "node/output.h"
#include "node/own_member.h"
#include "node/routing.h"
#include "node/state.h"
#include "node/waits.h"
#include "node/wishes.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

// Longer than a turn takes, so that its reads have been asked for (confirm_reads) before a leader that hands over is none any more.
constexpr int64_t kTransferSettleUs = 1'000;

raft::Options options_of_groups(const NodeState& node) {
  raft::Options options = node.group_options;
  options.transfer_settle_us = node.mistakes.hands_over_in_turn ? 0 : kTransferSettleUs;
  return options;
}

Error of_lost_leader(uint64_t) { return errors::uncertain_leader_lost(); }

}  // namespace

Company::Company(NodeState& node)
    : node_(node),
      key_versions_(node.store.partition_count()),
      applier_(node),
      batches_(node.store, applier_),
      losses_stream_(node.streams.add_streams(1)),
      mark_(node.identity, node.start_facts),
      mode_progress_(node.store.partition_count()) {}
Company::~Company() = default;

// ---- start -------------------------------------------------------------------------------------------------

Status Company::restore_losses(Disk& disk) {
  if (node_.mistakes.forgets_losses) return done();
  TRY(std::optional<Losses> found, read_losses(disk));
  if (found) {
    losses_ = std::move(*found);
  } else {
    node_.host.log(LogLevel::kWarning, std::string(kLossesFile) + " is damaged -> what it told of lost writes is forgotten");
  }
  return done();
}

void Company::follow_masterauth() {
  if (masterauth_ == node_.settings.masterauth) [[likely]]
    return;
  masterauth_ = node_.settings.masterauth;
  secret_ = masterauth_.empty() ? std::nullopt : std::optional(link_secret(masterauth_));
  if (cluster_ == nullptr) return;
  cluster_->peers().set_secret(secret_);
  node_.host.log(LogLevel::kNotice, std::string("masterauth was ") + (secret_ ? "set" : "taken away") +
                                        " -> connections with other nodes that are made from here on go by it");
}

void Company::follow_own_share() {
  if (cluster_ != nullptr) cluster_->set_own_share(node_.settings.zone, static_cast<uint32_t>(node_.settings.node_weight));
}

Status Company::start() {
  follow_masterauth();
  // Without an identity a node takes no part in a cluster (persist/identity.h); what it says of itself holds until it ends.
  const NodeId id = node_.identity.id != 0 ? node_.identity.id : node_.store.random().next() | 1;
  if (node_.identity.id == 0 && (restored_ || !node_.settings.join.empty())) {
    return Error(ErrorCode::kInvalidArgument, "a node of a cluster needs an identity, which could not be written");
  }
  const uint32_t partitions = node_.store.partition_count();
  TRY(std::vector<PeerAddress> join, parse_join(node_.settings.join));
  if (node_.rejoin && !restored_) {
    for (const Rejoin::Address& member : node_.rejoin->members) join.push_back({.host = member.host, .port = member.port});
  }
  if (!join.empty() && !node_.durability.keeps_log() && !may_have_company()) {
    return Error(ErrorCode::kInvalidArgument,
                 "the directory holds the log of a node that was alone, and appendonly is no: a node of a cluster keeps a log of its votes, so "
                 "remove that one, or start with appendonly yes");
  }
  if (!join.empty() && !restored_ && has_data()) {
    return Error(ErrorCode::kInvalidArgument, "the directory holds data of its own, which joining would replace");
  }
  const auto settings_at_start = founding_settings(node_.configuration);
  const auto settings = [this, settings_at_start] { return node_.mistakes.founds_as_it_started ? settings_at_start : founding_settings(node_.configuration); };
  ClusterNodeOptions options{.own = own_member(node_.settings, node_.process_settings, id),
                             .incarnation = std::max<uint64_t>(node_.identity.incarnation, 1),
                             .partitions = partitions,
                             .join = std::move(join),
                             .in_place_of = node_.rejoin && !restored_ ? node_.rejoin->former : NodeId{0},
                             .settings = settings,
                             .hash_seed = node_.store.hash_seed(),
                             .seed = node_.store.random().next(),
                             .secret = secret_,
                             .nonce_key = node_.nonce_key,
                             .group = options_of_groups(node_),
                             .mistakes = node_.mistakes.core,
                             .states = node_.state_options};
  if (restored_ && restored_->groups.at(meta_group(partitions)).replica.value != id) {
    return Error(ErrorCode::kInvalidArgument, "the log belongs to another node than node.identity says; restore that file");
  }
  if (restored_) TRY(check_agreement(restored_->state, node_.configuration));
  states_.resize(partitions);
  if (restored_) remember_weak();
  if (rows_ == nullptr) rows_ = std::make_unique<OriginRows[]>(partitions);
  cluster_ = std::make_unique<ClusterNode>(options, static_cast<PartitionData&>(*this));
  const bool was_in_company = restored_.has_value();
  cluster_->start(wall_now(), std::move(restored_));
  restored_.reset();
  if (was_in_company || cluster_->membership() != Membership::kAlone) enter_company();
  // Before anybody stands: a sole voter does at once.
  if (in_company_) cluster_->set_kept_mode(wall_now(), kept_mode());
  tell_notes();
  return done();
}

bool Company::has_data() const {
  for (int index = 0; index < node_.store.database_count(); ++index) {
    if (node_.store.database(index).size() != 0) return true;
  }
  return false;
}

// From here on the log holds records of groups, and nothing runs on a partition that this node does not lead.
void Company::enter_company() {
  if (!node_.durability.keeps_log()) {
    open_company_log(node_);
    keeping_ = Keeping::kBare;
  }
  in_company_ = true;
  mark_.begin_company();
  node_.flags |= kNodeInCompany;
  node_.store.effects().set_grouping(Effects::Grouping::kPartition, node_.store.partition_count());
  node_.update_collecting();
  cut_off_followers(node_);
  leaders_.resize(states_.size());
  node_.forwarding = std::make_unique<Forwarding>(node_, static_cast<ForwardingPeers&>(*this));
  node_.pubsub = std::make_unique<PubsubLinks>(node_, static_cast<PubsubPeers&>(*this));
  cluster_->set_on_message([this](NodeId from, uint64_t kind, std::string_view bytes) { return on_message(from, kind, bytes); });
  cluster_->set_on_link([this](NodeId node, PeerLane lane, ClusterNode::LinkChange change) { on_link(node, lane, change); });
  for (uint32_t partition = 0; partition < states_.size(); ++partition) node_.store.set_led(partition, Led::kNo);
  company_begins(node_);
  if (has_data()) {
    // Any of it may be what one of these connections has written.
    node_.sessions.for_each([&](Session& session) {
      for (uint32_t partition = 0; partition < states_.size(); ++partition) session.places.note(founding_place(partition));
    });
    for (auto& [session, waiting] : node_.waits.by_session) {
      waiting.places.clear();
      waiting.is_behind_writes = true;
    }
  }
}

void Company::on_link(NodeId node, PeerLane lane, ClusterNode::LinkChange change) {
  const bool is_up = change == ClusterNode::LinkChange::kUp;
  if (lane == PeerLane::kData) {
    is_up ? node_.forwarding->on_link_up(node) : node_.forwarding->on_link_down(node);
  } else if (lane == PeerLane::kPubsub) {
    is_up ? node_.pubsub->on_link_up(node) : node_.pubsub->on_link_down(node);
  }
}

// ---- commands ----------------------------------------------------------------------------------------------

uint64_t Company::index_of_turn(uint32_t partition) {
  PartitionState& state = states_[partition];
  if (!state.is_touched) {
    state.is_touched = true;
    state.next_index = raft::next(cluster_->partitions().core(partition)->last_index()).value;
    touched_.push_back(partition);
  }
  return state.next_index;
}

void Company::after_write(Session& session, const Key& key, LevelKeys keys) {
  note_removals();
  PartitionState& state = states_[partition_];
  const uint64_t index = index_of_turn(partition_);
  state.last_write = index;
  if (key.bytes.data() == nullptr) {
    state.all_keys_write = index;
    key_versions_.note_all(partition_);
  } else {
    state.key_writes[key.hash % kKeySlots] = index;
    key_versions_.note(partition_, key.hash);
  }
  if (session.driver == nullptr) session.places.note({.partition = partition_, .term = state.term, .index = index});
  if (node_.mistakes.reply_before_commit) return;
  WriteNeeds needs = write_needs(session, partition_, key.bytes, keys);
  if (!needs.commit) needs = bounded(partition_, index, needs);
  await_write(session, partition_, index, needs);
}

void Company::after_read(Session& session, const Key& key, LevelKeys keys) {
  if (reads_copies_ && node_.durability.has_pending_alone()) await(node_, session, {kLogStream, node_.durability.needed_by(Key{})});
  // A command without keys: partition_ is that of an earlier one.
  if (reads_copies_ || !serves(partition_)) return;
  note_removals();
  PartitionState& state = states_[partition_];
  uint64_t index = state.last_write;
  if (key.bytes.data() != nullptr) index = std::max(state.key_writes[key.hash % kKeySlots], state.all_keys_write);
  ReadNeeds needs{.lease = true};
  if (session.has(kHasLevels) || !levels_are_plain_) [[unlikely]]
    needs = read_needs(session, partition_, key.bytes, keys);
  // It was led here when it was read, which is more than READONLY asks for.
  if (session.has(kReadonlyReplica) && !session.once_levels.or_else(session.levels).read.is_set()) [[unlikely]]
    needs.lease = false;
  if (index != 0 && needs.commit && !node_.mistakes.read_before_commit) await_commit(session, partition_, index);
  if (node_.durability.has_pending_alone()) [[unlikely]]
    await(node_, session, {kLogStream, node_.durability.needed_by(Key{})});
  if (needs.round != 0) [[unlikely]]
    await_round(session, partition_, needs.round);
  if (needs.lease) await_read(session, partition_);
}

void Company::await_all(Session& session) {
  for (uint32_t partition = 0; partition < states_.size(); ++partition) await_all_of(session, partition);
}

void Company::await_all_of(Session& session, uint32_t partition) {
  note_removals();
  if (!serves(partition)) return;
  await_commit(session, partition, states_[partition].last_write);
  await_read(session, partition);
}

void Company::await_commit(Session& session, uint32_t partition, uint64_t index) {
  PartitionState& state = states_[partition];
  if (index <= state.commit_seen) return;
  state.commit_wanted = std::max(state.commit_wanted, index);
  state.writes_wait_since_us = std::min(state.writes_wait_since_us, node_.now.steady_us);
  await(node_, session, committed(partition, index));
}

// The leadership must be confirmed for this moment.
void Company::await_read(Session& session, uint32_t partition) {
  PartitionState& state = states_[partition];
  if (!state.is_read) {
    state.is_read = true;
    if (state.levels == nullptr || !state.levels->has_rounds_of_turn()) read_.push_back(partition);
  }
  await(node_, session, {read_stream(partition), state.reads_asked + 1});
}

void Company::after_time(Session& session) {
  if (reads_copies_ || !serves(partition_)) return;
  await_commit(session, partition_, index_of_turn(partition_));
}

// What the store has taken away by itself is a write of this turn.
void Company::note_removals() {
  std::vector<Store::RemovedKey>& removed = node_.store.removed_keys();
  if (removed.empty()) [[likely]]
    return;
  for (const Store::RemovedKey& key : removed) {
    const uint32_t partition = node_.store.partition_of(key.slot);
    PartitionState& state = states_[partition];
    state.last_write = index_of_turn(partition);
    state.key_writes[key.hash % kKeySlots] = state.last_write;
    key_versions_.note(partition, key.hash);
  }
  removed.clear();
}

KeyVersion Company::watch(uint32_t partition) {
  note_removals();
  return key_versions_.watch(partition);
}

bool Company::is_unchanged(uint32_t partition, uint64_t key_hash, const KeyVersion& seen) {
  note_removals();
  return key_versions_.is_unchanged(partition, key_hash, seen) || (node_.mistakes.watches_over_terms && key_versions_.is_of_another_term(partition, seen));
}

void Company::join(const PeerAddress& address) {
  CHECK(cluster_->may_join());
  told_to_join_ = address;
  has_input_ = true;
}

void Company::begin_joining() {
  const PeerAddress address = *std::exchange(told_to_join_, std::nullopt);
  if (in_company_) {
    // Elsewhere than it was told before, unless it has been let in there.
    if (cluster_->may_join()) cluster_->join(wall_now(), address);
    return;
  }
  if (has_data()) {
    node_.host.log(LogLevel::kWarning, "told to join a cluster, but keys were written meanwhile -> the node stays alone");
    return;
  }
  cluster_->join(wall_now(), address);
  enter_company();
}

Instant Company::wall_now() const { return {.steady_us = node_.now.steady_us, .unix_ms = node_.wall_ms}; }

// ---- inputs ------------------------------------------------------------------------------------------------

bool Company::may_have_company() const {
  if (node_.identity.id == 0) return false;
  if (!node_.durability.keeps_log()) return !node_.settings.appendonly && !node_.persistence.has_old_log;
  const bool log_counts = node_.persistence.log_counts && node_.persistence.log_load_waiters.empty();
  return node_.durability.takes_writes() && log_counts;
}

ConnectionId Company::accepted(const PeerAddress& from) {
  if (!may_have_company()) return 0;
  has_input_ = true;
  return cluster_->accepted(wall_now(), from);
}

void Company::dialled(ConnectionId connection) {
  has_input_ = true;
  cluster_->dialled(wall_now(), connection);
}

void Company::received(ConnectionId connection, std::string_view bytes) {
  has_input_ = true;
  cluster_->received(wall_now(), connection, bytes);
}

void Company::lost(ConnectionId connection) {
  has_input_ = true;
  cluster_->closed(wall_now(), connection);
}

void Company::tick() {
  if (is_silent_ || node_.now.steady_us < cluster_->deadline()) return;
  has_input_ = true;
  propose();
  cluster_->tick(wall_now());
}

// ---- a turn ------------------------------------------------------------------------------------------------

void Company::propose() {
  if (!in_company_) return;
  note_removals();
  Effects& effects = node_.store.effects();
  for (const uint32_t partition : effects.touched()) {
    CHECK(states_[partition].serves);
    index_of_turn(partition);
  }
  if (touched_.empty()) [[likely]]
    return;
  const int64_t stamp_ms = node_.now.unix_ms;
  raise_time(node_, stamp_ms);
  // What an entry of a partition's log holds: when, and the effects.
  //
  //   batch = varint unix ms, effects
  char stamp_bytes[kVarintMax];
  const std::string_view stamp(stamp_bytes,
                               static_cast<size_t>(put_varint(stamp_bytes, static_cast<uint64_t>(stamp_ms)) - stamp_bytes));
  for (const uint32_t partition : touched_) {
    PartitionState& state = states_[partition];
    state.is_touched = false;
    // Whoever serves may propose until the next step.
    CHECK(cluster_->partitions().can_propose(partition));
    const bool forgets = node_.mistakes.proposes_nothing && state.next_index % 16 == 0;
    if (rows_[partition].has_news()) {
      Buffer rows;
      rows_[partition].take_news(rows);
      effects.add_rows(partition, rows.view());
    }
    CHECK(stamp_ms >= state.stamp_ms);  // I11
    state.stamp_ms = stamp_ms;
    SharedBytes batch = forgets ? SharedBytes(stamp) : effects.take(partition, stamp);
    const size_t size = batch.size();
    const raft::Index index = cluster_->partitions().propose(wall_now(), partition, std::move(batch));
    CHECK(index.value == state.next_index);
    state.unacknowledged.add(index.value, size, node_.now.steady_us);
    count_uncommitted(partition);
  }
  touched_.clear();
  node_.store.begin_batch();
}

bool Company::has_turn() const { return !is_silent_ && (in_company_ || (has_input_ && may_have_company())); }

void Company::work(Driver& driver) {
  if (!has_turn()) [[likely]]
    return;
  // What a message promises its sender counts from when it was read, which may have been long after the turn began.
  raise_clock(node_, driver.steady_us());
  if (told_to_join_) begin_joining();
  propose();
  cluster_->partitions().set_state_bytes_max(node_.settings.max_state_bytes);
  cluster_->take_messages(wall_now());
  if (in_company_) {
    node_.forwarding->run();
    propose();
  }
  cluster_->work(wall_now());
  // Nobody can have told it any data yet.
  if (!has_order_ && cluster_->state().is_founded()) take_order(cluster_->state().hash_seed());
  if (!in_company_ && cluster_->membership() == Membership::kMember) {
    // What has expired for a node alone has expired for the cluster.
    if (has_data()) raise_time(node_, node_.now.unix_ms);
    enter_company();
  }
  // The others have gone on without it: what it still leads with others that have not heard of it is of a world that is over.
  if (in_company_ && cluster_->membership() == Membership::kRefused && !serves_no_more_) stop_serving_all();
  if (in_company_) follow_settings(node_);
  follow_mode();
  if (in_company_) follow_zones();
  serve_who_is_ready();
  if (in_company_) node_.memory_pressure.follow();
  if (in_company_) tell_leaders();
  if (in_company_) node_.pubsub->end_turn();
  answer_wishes(node_);
  tell_notes();
}

NodeId Company::leader_of(uint32_t partition) const {
  const auto leader = cluster_->groups().known_leader(group_of_partition(partition));
  return leader ? leader->value : 0;
}

const MemberRecord* Company::leader_elsewhere(uint32_t partition) const {
  const NodeId leader = leader_of(partition);
  // Without a connection it may be dead: what it led will have another leader soon.
  if (leader == 0 || leader == own_id() || !cluster_->peers().is_up(leader, PeerLane::kData)) return nullptr;
  return cluster_->state().find(leader);
}

bool Company::is_heard(NodeId node) const { return node == own_id() || cluster_->groups().hears({node}); }

uint64_t Company::incarnation_of(NodeId node) const {
  return node == own_id() ? std::max<uint64_t>(node_.identity.incarnation, 1) : cluster_->peers().incarnation_of(node);
}

OriginRows& Company::rows(uint32_t partition) { return rows_[partition]; }

// What an earlier sending of the same write has done may not have its level yet.
void Company::await_partition(Session& session, uint32_t partition) {
  set_partition(partition);
  note_removals();
  const PartitionState& state = states_[partition];
  WriteNeeds needs = write_needs(session, partition, {}, {});
  needs.commit = true;
  if (state.last_write != 0) await_write(session, partition, state.last_write, needs);
  await_read(session, partition);
}

LogPlace Company::place_of(uint32_t partition) const {
  const PartitionState& state = states_[partition];
  if (!state.serves) return {.partition = partition};
  const uint64_t index = state.is_touched ? state.next_index : cluster_->partitions().state_index(partition).value;
  return {.partition = partition, .term = state.term, .index = index};
}

Status Company::on_message(NodeId from, uint64_t kind, std::string_view bytes) {
  if (is_forward_kind(kind)) return node_.forwarding->receive(from, kind, bytes);
  if (is_pubsub_kind(kind)) return node_.pubsub->receive(from, kind, bytes);
  if (is_wait_kind(kind)) return take_wait_message(node_, *this, from, kind, bytes);
  if (is_memory_kind(kind)) return node_.memory_pressure.take_message({from}, kind, bytes);
  if (is_keyspace_kind(kind)) return take_keyspace_message(node_, *this, from, kind, bytes);
  if (is_mode_kind(kind)) return take_mode_message(from, static_cast<ModeKind>(kind), bytes);
  if (is_freshness_kind(kind)) return take_freshness(from, static_cast<FreshnessKind>(kind), bytes);
  return Error(ErrorCode::kCorrupt, "a message of unknown kind " + std::to_string(kind));
}

bool Company::add_to_link(NodeId to, PeerLane lane, uint64_t kind, std::string_view head, std::string_view body) {
  Link* const link = cluster_->peers().link(to, lane);
  if (link == nullptr) return false;
  link->add(kind, head, body);
  return true;
}

bool Company::send(NodeId to, uint64_t kind, std::string_view head, std::string_view body) {
  return add_to_link(to, PeerLane::kData, kind, head, body);
}

bool Company::send_shared(NodeId to, uint64_t kind, std::string_view head, const SharedBytes& body) {
  Link* const link = cluster_->peers().link(to, PeerLane::kData);
  if (link == nullptr) return false;
  const SharedPart part{head.size(), body};
  link->add(kind, head, {&part, 1});
  return true;
}

bool Company::send_pubsub(NodeId to, uint64_t kind, std::string_view bytes) {
  return add_to_link(to, PeerLane::kPubsub, kind, bytes, {});
}

void Company::tell_leaders() {
  if (node_.forwarding->waiting_count() == 0) [[likely]]
    return;
  const uint64_t version = cluster_->groups().leaders_version() + serving_version_;
  if (std::exchange(leaders_told_, version) != version) {
    for (uint32_t partition = 0; partition < leaders_.size(); ++partition) {
      const NodeId leader = serves(partition) ? own_id() : leader_of(partition);
      if (std::exchange(leaders_[partition], leader) != leader) node_.forwarding->on_leader(partition);
    }
  }
  node_.forwarding->run();
  propose();
}

void Company::confirm_reads(Driver& driver) {
  if (read_.empty() && asked_freshness_.empty()) [[likely]]
    return;
  // The core must not see an earlier clock than this function: it looks at the lease again.
  raise_clock(node_, driver.steady_us());
  for (const uint32_t partition : read_) confirm_partition(partition);
  read_.clear();
  tell_freshness();
}

void Company::confirm_partition(uint32_t partition) {
  PartitionState& state = states_[partition];
  const raft::Core* const core = cluster_->partitions().core(partition);
  const bool leads = core != nullptr && core->role() == raft::RoleName::kLeader;
  if (std::exchange(state.is_read, false)) {
    const uint64_t number = ++state.reads_asked;
    const bool is_trusted = node_.mistakes.read_without_lease;
    if (core != nullptr && (node_.now.steady_us < core->lease_until_us() || is_trusted)) {
      node_.streams.advance(read_stream(partition), number);
      state.reads_wait_since_us = kNever;
    } else if (leads) {
      state.reads_wait_since_us = std::min(state.reads_wait_since_us, node_.now.steady_us);
      begin_barrier(partition, number, 0);
    }
  }
  if (state.levels != nullptr && state.levels->has_rounds_of_turn()) [[unlikely]] {
    state.levels->begin_rounds(node_.now.steady_us, [&](uint32_t voters, uint64_t number) {
      if (leads) begin_barrier(partition, number, voters);
    });
  }
  if (!leads) lose_reads(partition);
}

// The answer names both numbers.
void Company::begin_barrier(uint32_t partition, uint64_t number, uint32_t voters) {
  const raft::ReadToken token{number * kBarrierKinds + voters};
  cluster_->groups().step(wall_now(), group_of_partition(partition),
                          raft::in::ReadBarrier{.token = token, .last_beat = cluster_->groups().last_beat(), .voters = voters});
  if (voters != 0) nudge(partition, 0);
}

// Their replies have left: the core need not wait for voters that may never come.
void Company::forget_reads(uint32_t partition, uint32_t voters) {
  const raft::GroupId group = group_of_partition(partition);
  if (cluster_->groups().find(group) == nullptr) return;
  cluster_->groups().step(wall_now(), group, raft::in::ForgetReads{.voters = voters});
}

void Company::flush() {
  if (!has_turn()) [[likely]]
    return;
  has_input_ = false;
  if (in_company_) node_.forwarding->send_new();
  cluster_->flush(wall_now());
}

int64_t Company::deadline() const {
  if (!is_started() || is_silent_) return kNever;
  const int64_t listeners_us = node_.pubsub == nullptr ? kNever : node_.pubsub->deadline();
  return std::min(cluster_->deadline(), listeners_us);
}

void Company::tell_notes() {
  for (const std::string& note : cluster_->take_notes()) node_.host.log(LogLevel::kNotice, note);
  tell_restarts_together();
}

// ---- what replies wait for -----------------------------------------------------------------------------------

void Company::clear(uint32_t partition) {
  // What was executed here and is not committed may be lost with it.
  lose_commits(partition, states_[partition].commit_seen + 1, of_lost_leader);
  lose_copies(partition);
  states_[partition].freshness = Freshness();
  states_[partition].stamp_ms = 0;
  node_.store.clear_partition(partition);
  rows_[partition].clear();
  announce_changes(node_);
}

void Company::on_commit(uint32_t partition, raft::Index commit) {
  PartitionState& state = states_[partition];
  if (commit.value < state.commit_seen) [[unlikely]] {
    // The log has begun again: what waits for the former one will not come.
    lose_commits(partition, state.commit_seen + 1, of_lost_leader);
    state.commit_wanted = 0;
    state.commit_base = node_.streams.position(commit_stream(partition));
  }
  state.commit_seen = commit.value;
  node_.streams.advance(commit_stream(partition), state.commit_base + commit.value);
  state.unacknowledged.commit(commit.value);
  count_uncommitted(partition);
  state.writes_wait_since_us = commit.value < state.commit_wanted ? node_.now.steady_us : kNever;
}

void Company::end_overdue() {
  if (!in_company_) return;
  mark_.retry();
  loss_file_.retry();
  const int64_t since_us = node_.now.steady_us - node_.settings.request_timeout_ms * 1000;
  for (uint32_t partition = 0; partition < states_.size(); ++partition) {
    PartitionState& state = states_[partition];
    if (state.writes_wait_since_us <= since_us) {
      lose_commits(partition, state.commit_seen + 1, [&](uint64_t position) { return uncertain_of(partition, position - state.commit_base); });
    }
    if (state.reads_wait_since_us <= since_us) {
      state.reads_wait_since_us = kNever;
      lose_the_rest(read_stream(partition), of_lost_leader);
      forget_reads(partition, 0);
    }
    if (state.levels == nullptr) continue;
    const auto of_copies = [&](StreamId stream) {
      lose_the_rest(stream, [&](uint64_t position) { return uncertain_of(partition, state.levels->index_at(position)); });
    };
    state.levels->take_overdue(since_us, of_copies, [&](uint32_t voters) {
      lose_the_rest(state.levels->round_stream(voters), of_lost_leader);
      forget_reads(partition, voters);
    });
  }
  if (noted_wait_since_us_ <= since_us) {
    noted_wait_since_us_ = kNever;
    lose_the_rest(losses_stream_, [](uint64_t) { return errors::uncertain_unnoted(); });
  }
}

void Company::on_read(uint32_t partition, raft::ReadToken token, raft::ReadVerdict verdict) {
  const auto voters = static_cast<uint32_t>(token.value % kBarrierKinds);
  const uint64_t number = token.value / kBarrierKinds;
  PartitionState& state = states_[partition];
  if (verdict != raft::ReadVerdict::kConfirmed) {
    lose_reads(partition);
  } else if (voters != 0) {
    state.levels->confirm_round(voters, number, node_.now.steady_us);
  } else {
    node_.streams.advance(read_stream(partition), number);
    // A lease may have answered later ones meanwhile.
    const bool waits = node_.streams.position(read_stream(partition)) < state.reads_asked;
    state.reads_wait_since_us = waits ? node_.now.steady_us : kNever;
  }
}

// What was read while this node led may have been old already.
void Company::lose_reads(uint32_t partition) {
  lose_the_rest(read_stream(partition), of_lost_leader);
  states_[partition].reads_wait_since_us = kNever;
  LevelStreams* const streams = states_[partition].levels.get();
  if (streams == nullptr) return;
  for (uint32_t voters = 1; voters <= LevelStreams::kCountMax; ++voters) {
    if (streams->waits_for_round(voters)) lose_the_rest(streams->round_stream(voters), of_lost_leader);
  }
  streams->lose_rounds();
}

void Company::lose_commits(uint32_t partition, uint64_t from, const std::function<Error(uint64_t position)>& why) {
  PartitionState& state = states_[partition];
  state.commit_wanted = std::min(state.commit_wanted, from - 1);
  if (state.commit_wanted <= state.commit_seen) state.writes_wait_since_us = kNever;
  lose_from(node_, committed(partition, from), why);
}

void Company::lose_the_rest(StreamId stream, const std::function<Error(uint64_t position)>& why) {
  lose_from(node_, {stream, node_.streams.position(stream) + 1}, why);
}

// Another leader has others in their places.  Not that nobody will ever commit these: a snapshot may hold them, and of five copies others may
// keep them and win over that leader before what it has in their places is committed.
void Company::on_lost(uint32_t partition, std::span<const raft::Entry> entries) {
  note_loss(partition, entries);
  if (node_.mistakes.lost_replies_leave) return;
  lose_commits(partition, entries.front().index.value, of_lost_leader);
}

}  // namespace quorate

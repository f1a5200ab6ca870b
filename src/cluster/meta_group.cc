// Proposing, applying, who votes, and whom to connect with.
#include "cluster/meta_group.h"

#include <algorithm>
#include <utility>

#include "cluster/raft/message_codec.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

// How far behind a learner may be when it is made a voter: a few commands.
constexpr uint64_t kCaughtUpWithin = 16;
// All members learn who they are.
static_assert(raft::kLearnersMax >= placement::kMembersMax);

Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "meta group: " + std::string(what)); }

bool is_decree(const meta::Command& command) {
  return std::holds_alternative<meta::GiveUp>(command) || std::holds_alternative<meta::SetDead>(command) || std::holds_alternative<meta::Replace>(command);
}

}  // namespace

struct MetaGroup::Payload {
  NodeId origin = 0;
  uint64_t incarnation = 0;
  ProposalToken token = 0;   // of a decree: 0
  std::string_view command;
};

SharedBytes MetaGroup::encode_payload(const Payload& payload) {
  Buffer out;
  append_little<uint64_t>(out, payload.origin);
  append_varint(out, payload.incarnation);
  append_varint(out, payload.token);
  out.append(payload.command);
  return SharedBytes(out.view());
}

bool MetaGroup::decode_payload(std::string_view bytes, Payload& payload) {
  if (!take_little<uint64_t>(bytes, payload.origin) || !take_varint(bytes, payload.incarnation) ||
      !take_varint(bytes, payload.token)) {
    return false;
  }
  payload.command = bytes;
  return true;
}

// Each proposal once, and in its order; a decree has none.
bool MetaGroup::takes(ClusterState& state, const Payload& payload, const meta::Command& command) {
  return is_decree(command) || state.take_next(payload.origin, payload.incarnation, payload.token);
}

MetaGroup::MetaGroup(const MetaGroupOptions& options, Groups& groups) : options_(options), groups_(groups) {}

void MetaGroup::begin(Instant now, ClusterState state) {
  CHECK(state.is_founded());
  raft::Configuration configuration;
  configuration.incoming.voters = {{.replica = own_replica(), .node = {options_.self}}};
  raft::Restored restored = raft::bootstrap(std::move(configuration));
  store_base(restored.base, state);
  restore(now, std::move(restored), std::move(state));
}

void MetaGroup::begin_empty(Instant now, ClusterState state) {
  raft::Restored restored = raft::empty_replica();
  store_base(restored.base, state);
  restore(now, std::move(restored), std::move(state));
}

ClusterState MetaGroup::state_behind(ClusterState state, std::span<const raft::Entry> tail) {
  for (const raft::Entry& entry : tail) {
    Payload payload;
    if (entry.kind != raft::EntryKind::kCommand || !decode_payload(entry.payload.view(), payload)) continue;
    const Result<meta::Command> command = meta::decode(payload.command);
    if (!command.ok() || !takes(state, payload, command.value())) continue;
    // One that is refused now was refused then.
    static_cast<void>(state.apply(command.value()).ok());
  }
  return state;
}

void MetaGroup::expect(std::span<const raft::Entry> tail) {
  expected_.reset();
  if (tail.empty()) return;
  expected_ = state_behind(state_, tail);
  expected_index_ = tail.back().index;
}

void MetaGroup::store_base(const raft::SnapshotMark& mark, const ClusterState& state) {
  Buffer bytes;
  state.encode(bytes);
  base_to_store_ = {.group = group(), .replica = own_replica(), .mark = mark, .state = std::string(bytes.view())};
}

void MetaGroup::restore(Instant now, raft::Restored restored, ClusterState state) {
  state_ = std::move(state);
  ++version_;
  applied_ = restored.base.last.index;
  committed_ = applied_;
  expect(restored.entries);
  groups_.add(now, group(), own_replica(), std::move(restored));
}

// ---- proposing -------------------------------------------------------------------------------------------

ProposalToken MetaGroup::propose(const meta::Command& command) {
  CHECK(!is_decree(command));
  if (proposals_.size() >= options_.proposals_max) return 0;
  Buffer bytes;
  meta::encode(command, bytes);
  // What nobody could read would end the group.
  if (!meta::decode(bytes.view()).ok()) return 0;
  const ProposalToken token = next_token_++;
  proposals_.push_back({.token = token,
                        .payload = encode_payload({.origin = options_.self,
                                                   .incarnation = options_.incarnation.value,
                                                   .token = token,
                                                   .command = bytes.view()})});
  return token;
}

bool MetaGroup::may_decree(const std::vector<NodeId>& without) const {
  const raft::Core* const core = groups_.find(group());
  if (core == nullptr || core->role_state().serving != raft::Serving::kYes || !core->can_propose()) return false;
  return raft::can_elect_without(core->configuration(), typed(without));
}

SharedBytes MetaGroup::encode_decree(const meta::Command& command) const {
  Buffer bytes;
  meta::encode(command, bytes);
  return encode_payload({.origin = options_.self, .incarnation = options_.incarnation.value, .command = bytes.view()});
}

void MetaGroup::decree(Instant now, const meta::Command& command) {
  CHECK(is_decree(command));
  const auto* const lost = std::get_if<meta::GiveUp>(&command);
  CHECK(may_decree(lost == nullptr ? std::vector<NodeId>() : lost->nodes));
  groups_.step(now, group(), raft::in::Propose{encode_decree(command)});
}

void MetaGroup::send_proposals(Instant now, Peers& peers) {
  const raft::Core* const core = groups_.find(group());
  const bool repeat_now = std::exchange(repeat_now_, false);
  if (proposals_.empty() || core == nullptr) return;
  const auto leader = core->role_state().leader;
  const bool is_own = leader && leader->node.value == options_.self;
  Link* const link = leader && !is_own ? peers.link(leader->node.value, PeerLane::kData) : nullptr;
  // All that is due, from the first on: they are taken in their order only.
  bool repeats = repeat_now;
  for (Proposal& proposal : proposals_) {
    if (proposal.sent_us != INT64_MIN && now.steady_us >= proposal.sent_us + options_.repeat_us) repeats = true;
    if (!repeats && proposal.sent_us != INT64_MIN) continue;
    // What cannot be sent now is tried again as if it had been.
    proposal.sent_us = now.steady_us;
    if (is_own && core->can_propose()) {
      groups_.step(now, group(), raft::in::Propose{proposal.payload});
    } else if (link != nullptr) {
      link->add(kProposal, proposal.payload.view());
    }
  }
}

Status MetaGroup::receive(Instant now, NodeId from, uint64_t kind, std::string_view bytes) {
  if (kind == kSnapshot) return receive_snapshot(now, from, bytes);
  Payload payload;
  if (!decode_payload(bytes, payload)) return damaged("a proposal cannot be read");
  TRY(const meta::Command command, meta::decode(payload.command));
  if (is_decree(command)) return damaged("a proposal of what only the leader may decree");
  const raft::Core* const core = groups_.find(group());
  // Who asked asks again.
  if (core != nullptr && core->can_propose()) groups_.step(now, group(), raft::in::Propose{SharedBytes(bytes)});
  return done();
}

// ---- applying --------------------------------------------------------------------------------------------

void MetaGroup::apply_committed() {
  raft::Core* const core = groups_.find(group());
  bool has_applied = false;
  while (!is_stuck_ && applied_ < committed_ && core->log().has(raft::next(applied_))) {
    const raft::Entry& entry = core->log().at(raft::next(applied_));
    apply(entry);
    if (is_stuck_) break;
    applied_ = raft::next(applied_);
    if (behind_ && (applied_ >= behind_->index || entry.term >= behind_->term)) behind_.reset();
    has_applied = true;
  }
  if (has_applied) core->note_applied(applied_);
  if (!expected_ || (applied_ < expected_index_ && core->last_index() >= expected_index_)) return;
  // The log was given up for that of a later recovery epoch, of which a state comes.
  if (core->last_index() < applied_) return;
  // What is left of a tail whose end was truncated may be committed, and more than this process has applied again.
  std::vector<raft::Entry> tail;
  for (raft::Index index = raft::next(applied_); core->log().has(index); index = raft::next(index)) tail.push_back(core->log().at(index));
  expect(tail);
  ++version_;
}

void MetaGroup::apply(const raft::Entry& entry) {
  if (entry.kind != raft::EntryKind::kCommand) return;
  Payload payload;
  const bool is_whole = decode_payload(entry.payload.view(), payload);
  const Result<meta::Command> command = meta::decode(payload.command);
  if (!is_whole || !command.ok()) {
    // A leader of a newer version has proposed it.  Without it this replica would no longer hold what the others hold.
    is_stuck_ = true;
    return;
  }
  if (!takes(state_, payload, command.value())) return;
  Status status = state_.apply(command.value());
  if (status.ok()) ++version_;
  if (payload.origin != options_.self || payload.incarnation != options_.incarnation.value) return;
  if (is_decree(command.value())) return;
  const auto own = std::find_if(proposals_.begin(), proposals_.end(),
                                [&](const Proposal& each) { return each.token == payload.token; });
  if (own == proposals_.end()) return;
  proposals_.erase(own);
  outcomes_.push_back({.token = payload.token, .status = std::move(status)});
}

// ---- snapshots -------------------------------------------------------------------------------------------
//
//   message = u64 replica of the sender, varint term, mark, state

std::optional<GroupBase> MetaGroup::base() const {
  const raft::Core* const core = groups_.find(group());
  const raft::Position position = applied_position();
  const auto chain = core->log().chain_at(applied_);
  if (position.term.none() || !chain) return std::nullopt;
  Buffer bytes;
  state_.encode(bytes);
  return GroupBase{.group = group(),
                   .replica = own_replica(),
                   .mark = {.last = position,
                            .chain = *chain,
                            .configuration = core->configuration_at_index(applied_)},
                   .state = std::string(bytes.view())};
}

bool MetaGroup::send_snapshot(const raft::Member& to, Peers& peers) {
  const raft::Core* const core = groups_.find(group());
  Link* const link = peers.link(to.node.value, PeerLane::kData);
  const auto own = base();
  if (link == nullptr || !own || !core->snapshot_may_leave(core->term(), applied_)) return false;
  Buffer bytes;
  append_little<uint64_t>(bytes, own_replica().value);
  append_varint(bytes, core->term().value);
  raft::encode(own->mark, bytes);
  bytes.append(*own->state);
  link->add(kSnapshot, bytes.view());
  return true;
}

Status MetaGroup::receive_snapshot(Instant now, NodeId from, std::string_view bytes) {
  raft::Member sender{.replica = {}, .node = {from}};
  raft::Term term;
  if (!take_little<uint64_t>(bytes, sender.replica.value) || !take_varint(bytes, term.value)) return damaged("a snapshot is cut off");
  TRY(raft::SnapshotMark mark, raft::decode_snapshot_mark(bytes));
  TRY(ClusterState state, ClusterState::decode(bytes));
  if (mark.last.term > term) return damaged("a snapshot of a later term than its sender's");
  if (state.partitions() != options_.partitions || !state.is_founded()) return damaged("a snapshot of another cluster");
  if (!is_started()) return done();
  if (state.cluster() != state_.cluster()) return damaged("a snapshot of another cluster");
  received_ = {.last = mark.last.index, .term = term, .state = std::move(state)};
  groups_.step(now, group(), raft::in::SnapshotReceived{.from = sender, .term = term, .mark = std::move(mark)});
  received_.reset();
  return done();
}

void MetaGroup::on_install(const raft::SnapshotMark& mark) {
  CHECK(received_ && received_->last == mark.last.index);
  // In a later recovery epoch it may be of before what this node has gone by: a replica that was dropped since is planned in it.
  const raft::Index known = std::max({applied_, expected_ ? expected_index_ : raft::Index(), behind_ ? behind_->index : raft::Index()});
  behind_.reset();
  if (mark.last.index < known && mark.last.term < received_->term) behind_ = {.index = known, .term = received_->term};
  state_ = std::move(received_->state);
  expected_.reset();
  is_stuck_ = false;
  ++version_;
  applied_ = mark.last.index;
  store_base(mark, state_);
  drop_taken_proposals();
}

// Nobody takes them again, so they must not be sent for ever.
void MetaGroup::drop_taken_proposals() {
  const uint64_t taken = state_.last_taken(options_.self, options_.incarnation.value);
  while (!proposals_.empty() && proposals_.front().token <= taken) {
    outcomes_.push_back({.token = proposals_.front().token, .status = done(), .is_known = false});
    proposals_.pop_front();
  }
}

// ---- the address book -------------------------------------------------------------------------------------
//
//   message = u8 1, position: who holds more than that?
//           | u8 2, position, state: this was committed there
//   position = varint epoch, varint term, varint index

namespace {

constexpr uint8_t kAsk = 1;
constexpr uint8_t kTell = 2;

void begin_book(uint8_t what, const raft::Position& position, Buffer& out) {
  append_little<uint8_t>(out, what);
  append_varint(out, position.epoch.value);
  append_varint(out, position.term.value);
  append_varint(out, position.index.value);
}

// A leader says with each beat that it leads.
bool hears_leader(const Groups& groups, raft::GroupId group, NodeId self) {
  const auto leader = groups.known_leader(group);
  if (!leader || leader->value == self) return leader.has_value();
  const beats::Pair* const from = groups.pair(*leader);
  return from != nullptr && from->peer_is_heard() && from->peer_leads(group) != nullptr;
}

}  // namespace

// Where the log says that state() stands; nothing: it does not say so any more.
raft::Position MetaGroup::applied_position() const {
  const raft::Core* const core = groups_.find(group());
  const auto term = core->log().term_at(applied_);
  if (!term) return {};
  return {.epoch = core->epoch(), .term = *term, .index = applied_};
}

std::vector<MemberRecord> MetaGroup::members_to_call() const {
  const auto own = address_book().members();
  std::vector<MemberRecord> members(own.begin(), own.end());
  const auto find = [&](const MemberRecord& told) {
    return std::find_if(members.begin(), members.end(), [&](const MemberRecord& each) { return each.id == told.id; });
  };
  if (told_by_member_) {
    for (const MemberRecord& told : told_by_member_->state.members()) {
      const auto known = find(told);
      if (known == members.end()) {
        members.push_back(told);
        continue;
      }
      known->host = told.host;
      known->cluster_port = told.cluster_port;
    }
  }
  if (told_by_stranger_) {
    for (const MemberRecord& told : told_by_stranger_->state.members()) {
      if (find(told) == members.end()) members.push_back(told);
    }
  }
  return members;
}

// A stranger's book may say what it likes: it does not keep this node from asking for a better one.
raft::Position MetaGroup::position_of_book() const {
  if (told_by_member_) return told_by_member_->at;
  return expected_ ? groups_.find(group())->position() : applied_position();
}

// Whom it knows may follow a leader that it does not know, and need not know of each other what they miss: so it asks all of them.
void MetaGroup::ask_for_book(Instant now, Peers& peers) {
  if (const uint64_t version = groups_.leaders_version(); hears_leader_at_ != version) {
    hears_leader_at_ = version;
    hears_leader_ = hears_leader(groups_, group(), options_.self);
  }
  if (hears_leader_) {
    next_ask_us_ = now.steady_us + options_.ask_us;
    return;
  }
  if (now.steady_us < next_ask_us_) return;
  next_ask_us_ = now.steady_us + options_.ask_us;
  Buffer bytes;
  begin_book(kAsk, position_of_book(), bytes);
  asked_ = peers.connections_of_cluster();
  for (const ConnectionId connection : asked_) peers.link_of(connection)->add(kBook, bytes.view());
}

// A state is large and a question small: a member gets an answer half as long after the last as questions are apart, a stranger one for as
// long as its connection may last.
void MetaGroup::answer_book(Instant now, ConnectionId from, BookSource asker, const raft::Position& at, Link& link) {
  constexpr size_t kAnsweredMax = 4096;
  constexpr int64_t kStrangerUs = 60'000'000;
  std::erase_if(answered_, [&](const Answered& each) { return each.until_us <= now.steady_us; });
  const bool was_answered =
      std::any_of(answered_.begin(), answered_.end(), [&](const Answered& each) { return each.connection == from; });
  if (was_answered || answered_.size() >= kAnsweredMax || applied_position() <= at) return;
  const int64_t rest_us = asker == BookSource::kMember ? options_.ask_us / 2 : kStrangerUs;
  answered_.push_back({.connection = from, .until_us = now.steady_us + rest_us});
  Buffer answer;
  begin_book(kTell, applied_position(), answer);
  state_.encode(answer);
  link.add(kBook, answer.view());
}

Status MetaGroup::receive_book(Instant now, ConnectionId from, BookSource source, std::string_view bytes, Link& link) {
  uint8_t what = 0;
  raft::Position at;
  if (!take_little<uint8_t>(bytes, what) || !take_varint(bytes, at.epoch.value) || !take_varint(bytes, at.term.value) ||
      !take_varint(bytes, at.index.value) || (what != kAsk && what != kTell)) {
    return damaged("an address book cannot be read");
  }
  if (!is_started()) return done();
  if (what == kAsk) {
    answer_book(now, from, source, at, link);
    return done();
  }
  if (std::erase(asked_, from) == 0) return done();
  TRY(ClusterState state, ClusterState::decode(bytes));
  if (state.cluster() != state_.cluster() || state.partitions() != options_.partitions) return damaged("an address book of another cluster");
  // Who hears a leader learns everything from it.  What was committed before this node was let in is older than what it was told then.
  if (hears_leader_ || at <= position_of_book() || state.find(options_.self) == nullptr) return done();
  take_book(now, source, at, std::move(state));
  return done();
}

void MetaGroup::take_book(Instant now, BookSource source, const raft::Position& at, ClusterState state) {
  std::optional<Book>& told = source == BookSource::kMember ? told_by_member_ : told_by_stranger_;
  if (told && at <= told->at) return;
  told = {.at = at, .told_us = now.steady_us, .state = std::move(state)};
  ++version_;
}

// What was told has done its work once a leader is heard that would be reached without it.  A stranger's is tried for some seconds.
void MetaGroup::drop_old_books(Instant now) {
  if (!told_by_member_ && !told_by_stranger_) return;
  constexpr int64_t kTriedUs = 10'000'000;
  const auto leader = hears_leader_ ? groups_.known_leader(group()) : std::nullopt;
  const MemberRecord* const known = leader ? address_book().find(leader->value) : nullptr;
  const auto is_old = [&](const Book& book) { return known != nullptr || applied_position() >= book.at; };
  if (told_by_member_ && is_old(*told_by_member_)) {
    const MemberRecord* const told = known != nullptr ? told_by_member_->state.find(known->id) : nullptr;
    const bool has_moved = told != nullptr && (told->host != known->host || told->cluster_port != known->cluster_port);
    if (!has_moved || applied_position() >= told_by_member_->at) {
      told_by_member_.reset();
      ++version_;
    }
  }
  if (told_by_stranger_ && (is_old(*told_by_stranger_) || now.steady_us - told_by_stranger_->told_us >= kTriedUs)) {
    told_by_stranger_.reset();
    ++version_;
  }
}

// ---- who was given up -------------------------------------------------------------------------------------

void MetaGroup::give_up(Instant now, const std::optional<meta::GiveUp>& allowed) {
  const bool is_told = !allowed && decree_.view().empty() && state_.given_up() == given_up_;
  if (is_told) return;
  std::vector<NodeId> all = state_.given_up();
  SharedBytes decree;
  if (allowed) {
    all.insert(all.end(), allowed->nodes.begin(), allowed->nodes.end());
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    decree = encode_decree(*allowed);
  }
  if (all == given_up_ && decree.view() == decree_.view()) return;
  given_up_ = all;
  decree_ = decree;
  groups_.step(now, group(), raft::in::GiveUp{.nodes = typed(all), .decree = std::move(decree)});
}

bool MetaGroup::is_given_up(NodeId node) const {
  return placement::contains(given_up_, node);
}

// ---- who votes -------------------------------------------------------------------------------------------

// As many members as replication-n says, of those that get a share (two: one, REPLICATION 7).  Who votes goes on voting, dead or alive, while the
// number fits; otherwise only those are chosen who can take part at once: this leader, then voters, then learners that have caught up.  A dead
// voter that keeps its place comes behind them.
std::vector<raft::Member> MetaGroup::wanted_voters() const {
  const raft::Core& core = *groups_.find(group());
  const std::vector<raft::Member>& current = core.configuration().incoming.voters;
  std::vector<raft::Member> voting;
  std::vector<raft::Member> chosen;
  std::vector<raft::Member> ready;
  std::vector<raft::Member> dead;
  size_t active = 0;
  for (const placement::Member& each : state_.placement_members()) {
    if (each.state != MemberState::kActive || is_given_up(each.id)) continue;
    ++active;
    const raft::Member member{.replica = {each.id}, .node = {each.id}};
    const bool votes = core.configuration().incoming.has(member.replica);
    if (votes) voting.push_back(member);
    // Who had nothing under way when it fell silent looks as if it had all it needs, and could be left with the only vote.
    const bool is_there = each.id == options_.self || groups_.hears(member.node);
    if (!is_there || !is_ready_to_vote(core, member, kCaughtUpWithin)) {
      if (votes && state_.is_dead(each.id)) dead.push_back(member);
    } else if (each.id == options_.self) {
      chosen.insert(chosen.begin(), member);
    } else if (votes) {
      chosen.push_back(member);
    } else {
      ready.push_back(member);
    }
  }
  size_t wanted = std::min<size_t>(state_.replication(), raft::kMembersMax);
  wanted = std::min(wanted, active);
  if (wanted == 2) wanted = 1;
  if (voting.size() == wanted && voting.size() == current.size()) return current;
  chosen.insert(chosen.end(), ready.begin(), ready.end());
  chosen.insert(chosen.end(), dead.begin(), dead.end());
  if (chosen.size() < wanted) return current;
  chosen.resize(wanted);
  return chosen;
}

std::optional<raft::Configuration> MetaGroup::wanted_configuration() const {
  const raft::Configuration& current = groups_.find(group())->configuration();
  raft::Configuration target = current;
  target.incoming.voters = wanted_voters();
  target.learners.clear();
  for (const MemberRecord& record : state_.members()) {
    const raft::Member member{.replica = {record.id}, .node = {record.id}};
    const bool is_left = record.state != MemberState::kRemoved && !is_given_up(record.id);
    const bool learns = is_left && !target.incoming.has(member.replica);
    if (learns && target.learners.size() < raft::kLearnersMax) target.learners.push_back(member);
  }
  if (target == current) return std::nullopt;
  return target;
}

bool MetaGroup::is_about_to_share_votes() const {
  const raft::Core* const core = groups_.find(group());
  if (core == nullptr || core->role() != raft::RoleName::kLeader || core->configuration().incoming.voters.size() != 1) return false;
  const std::vector<raft::Member> wanted = wanted_voters();
  return wanted.size() > 1 &&
         std::any_of(wanted.begin(), wanted.end(), [&](const raft::Member& each) { return groups_.could_succeed(*core, each, kCaughtUpWithin); });
}

bool MetaGroup::may_change_configuration() const {
  const raft::Core* const core = groups_.find(group());
  return core != nullptr && core->role_state().serving == raft::Serving::kYes && !core->configuration().joint();
}

void MetaGroup::keep_configuration(Instant now) {
  // In a turn that is there anyway, rather than a little later in one of its own.
  if (!may_change_configuration() || now.steady_us < next_look_us_ - options_.look_us / 4) return;
  next_look_us_ = now.steady_us + options_.look_us;
  const auto target = wanted_configuration();
  if (target && groups_.find(group())->change_refusal(*target) == raft::ChangeRefusal::kNone) {
    groups_.step(now, group(), raft::in::ChangeConfiguration{*target});
  }
}

// ---- turns -----------------------------------------------------------------------------------------------

void MetaGroup::work(Instant now, Peers& peers) {
  if (!is_started()) return;
  apply_committed();
  send_proposals(now, peers);
  keep_configuration(now);
  apply_committed();
  for (const raft::Member& to : std::exchange(snapshots_wanted_, {})) {
    if (!send_snapshot(to, peers)) groups_.step(now, group(), raft::in::SnapshotFailed{to.replica});
  }
  drop_old_books(now);
  ask_for_book(now, peers);
}

int64_t MetaGroup::deadline() const {
  int64_t deadline = may_change_configuration() ? next_look_us_ : kNever;
  if (is_started() && !hears_leader_) deadline = std::min(deadline, next_ask_us_);
  for (const Proposal& proposal : proposals_) {
    if (proposal.sent_us != INT64_MIN) deadline = std::min(deadline, proposal.sent_us + options_.repeat_us);
  }
  return deadline;
}

}  // namespace quorate

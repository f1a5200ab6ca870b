// Founding, joining, and passing events to the part they are for.
#include "cluster/cluster_node.h"

#include <algorithm>
#include <utility>

#include "cluster/wire.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr size_t kRefusalMax = 1024;
constexpr int64_t kFirstComplaintUs = 2'000'000;
constexpr int64_t kComplaintUs = 10'000'000;
constexpr int64_t kMovedUs = 60'000'000;
constexpr std::string_view kRemovedText = "the node was removed from the cluster for good";

PeersOptions peers_options(const ClusterNodeOptions& options, Prng& random) {
  return {.partitions = options.partitions,
          .node = options.own.id,
          .incarnation = options.incarnation,
          .seed = random.next(),
          .secret = options.secret,
          .nonce_key = options.nonce_key};
}

// Settings without which a node could not hold what the others hold.
constexpr std::string_view kAgreed[] = {"databases"};

std::vector<meta::SetSetting> settings_of(const ClusterNodeOptions& options) {
  return options.settings ? options.settings() : std::vector<meta::SetSetting>();
}

std::string own_value(const ClusterNodeOptions& options, std::string_view name) {
  for (meta::SetSetting& each : settings_of(options)) {
    if (each.name == name) return std::move(each.value);
  }
  return {};
}

// What is proposed for a node that joins.
meta::Command enrolment_of(const ClusterNodeOptions& options) {
  if (options.in_place_of == 0) return meta::Enrol{options.own};
  return meta::Replace{.former = options.in_place_of, .member = options.own};
}

// Null: it is none.
const MemberRecord* member_of_enrolment(const meta::Command& command) {
  if (const auto* const enrol = std::get_if<meta::Enrol>(&command)) return &enrol->member;
  const auto* const replace = std::get_if<meta::Replace>(&command);
  return replace == nullptr ? nullptr : &replace->member;
}

//   join = varint size, Enrol or Replace; for each of kAgreed: varint size, value
void encode_join(const ClusterNodeOptions& options, Buffer& out) {
  Buffer record;
  meta::encode(enrolment_of(options), record);
  append_sized(out, record.view());
  for (const std::string_view name : kAgreed) append_sized(out, own_value(options, name));
}

// Why a node with these values of kAgreed cannot belong to us; empty: it can.
Result<std::string> disagreement_of(std::string_view values, const ClusterNodeOptions& options, const ClusterState& state) {
  for (const std::string_view name : kAgreed) {
    std::string_view theirs;
    if (!take_sized(values, theirs)) return Error(ErrorCode::kCorrupt, "join: cut off");
    const std::string ours = state.is_founded() ? std::string(state.setting(name)) : own_value(options, name);
    if (ours.empty() || theirs == ours) continue;
    return std::string(name) + " is " + ours + " in the cluster and " + std::string(theirs) + " at the node that joins";
  }
  return std::string();
}

GroupsOptions groups_options(const ClusterNodeOptions& options, Prng& random) {
  return {.self = {options.own.id},
          .incarnation = {options.incarnation},
          .partitions = options.partitions,
          .group = options.group,
          .seed = random.next(),
          .mistakes = options.mistakes};
}

}  // namespace

std::string_view name_of(Membership membership) {
  switch (membership) {
    case Membership::kAlone: return "alone";
    case Membership::kJoining: return "joining";
    case Membership::kMember: return "member";
    case Membership::kRefused: return "refused";
  }
  return {};
}

ClusterNode::ClusterNode(const ClusterNodeOptions& options, PartitionData& data)
    : options_(options),
      random_(options.seed),
      peers_(peers_options(options, random_)),
      groups_(groups_options(options, random_), *this),
      meta_({.self = options.own.id, .incarnation = {options.incarnation}, .partitions = options.partitions}, groups_),
      partitions_({.self = options.own.id, .partitions = options.partitions, .states = options.states, .seed = options.seed}, groups_, data),
      recovery_({.self = options.own.id, .partitions = options.partitions, .nonce = options.incarnation << 32}, groups_, meta_) {
  CHECK(options.own.id != 0);
}
ClusterNode::~ClusterNode() = default;

Result<std::optional<RestoredCluster>> restored_cluster(GroupRecovery& recovery, uint32_t partitions) {
  const auto meta = recovery.groups().find(meta_group(partitions));
  if (meta == recovery.groups().end()) {
    if (recovery.groups().empty()) return std::optional<RestoredCluster>();
    return Error(ErrorCode::kInvalidArgument, "the directory belongs to a cluster with another number of partitions");
  }
  if (!meta->second.state) return Error(ErrorCode::kCorrupt, "the meta group has no state");
  TRY(ClusterState state, ClusterState::decode(*meta->second.state));
  return std::optional<RestoredCluster>({.state = std::move(state), .groups = std::move(recovery.groups())});
}

void ClusterNode::start(Instant now, std::optional<RestoredCluster> restored) {
  if (restored) {
    become_member(restored->state.cluster());
    raft::Restored& meta = restored->groups.at(meta_.group()).restored;
    meta_.restore(now, std::move(meta), std::move(restored->state));
    partitions_.restore(now, restored->groups);
    follow_members(now);
  } else if (!options_.join.empty()) {
    membership_ = Membership::kJoining;
  }
  // On a directory that belongs to a cluster they are only hints where to look, until we hear a leader.
  for (const PeerAddress& address : options_.join) add_seed(now, address);
}

void ClusterNode::add_seed(Instant now, const PeerAddress& address) {
  peers_.add_seed(now, address);
  has_seeds_ = true;
  if (!seed_names_.empty()) seed_names_ += ", ";
  seed_names_ += address.host + ":" + std::to_string(address.port);
  next_complaint_us_ = now.steady_us + kFirstComplaintUs;
}

void ClusterNode::become_member(const ClusterId& cluster) {
  membership_ = Membership::kMember;
  peers_.set_cluster(cluster);
}

// The first other node has come: from here on there are groups.
void ClusterNode::found(Instant now) {
  ClusterId cluster{};
  for (char& byte : cluster) byte = static_cast<char>(random_.below(256));
  ClusterState state;
  const Status founded = state.apply(
      meta::Found{.cluster = cluster, .partitions = options_.partitions, .first = options_.own, .hash_seed = options_.hash_seed});
  CHECK(founded.ok());
  for (const meta::SetSetting& setting : settings_of(options_)) CHECK(state.apply(setting).ok());
  become_member(cluster);
  note("another node wants to join -> founding a cluster as " + node_name(options_.own.id));
  partitions_.begin(now, state);
  meta_.begin(now, std::move(state));
}

// ---- joining ---------------------------------------------------------------------------------------------

// Asks everywhere at once: whoever answers first lets us in, and asking twice does no harm.
void ClusterNode::knock(Instant now) {
  next_knock_us_ = kNever;
  if (!is_looking() || seed_connections_.empty()) return;
  Buffer bytes;
  encode_join(options_, bytes);
  for (const ConnectionId connection : seed_connections_) {
    if (Link* const link = peers_.link_of(connection)) link->add(kJoin, bytes.view());
  }
  next_knock_us_ = now.steady_us + options_.knock_us;
}

Status ClusterNode::on_join(Instant now, const Peers::Incoming& incoming) {
  std::string_view settings = incoming.message.bytes;
  std::string_view record;
  if (!take_sized(settings, record)) return Error(ErrorCode::kCorrupt, "join: cut off");
  TRY(const meta::Command command, meta::decode(record));
  const MemberRecord* const member = member_of_enrolment(command);
  if (member == nullptr || member->id != incoming.node) return Error(ErrorCode::kCorrupt, "join: not the sender's record");
  if (membership_ == Membership::kJoining || membership_ == Membership::kRefused) return done();  // it asks again
  const auto* const replace = std::get_if<meta::Replace>(&command);
  if (replace != nullptr && membership_ != Membership::kMember) return done();  // no cluster is founded for it
  Link* const guest = peers_.link_of(incoming.connection);
  TRY(const std::string disagreement, disagreement_of(settings, options_, state()));
  if (!disagreement.empty()) {
    note(node_name(incoming.node) + " may not join: " + disagreement);
    if (guest != nullptr) guest->add(kNotWelcome, disagreement);
    return done();
  }
  if (membership_ == Membership::kAlone) found(now);
  call_at(now, incoming.node, {.host = member->host, .port = member->cluster_port});
  const Link* const line = peers_.link(incoming.node, PeerLane::kData);
  if (guest != nullptr && line != nullptr && line->peer().incarnation != guest->peer().incarnation) {
    // Two processes with one id: one of them runs on a copy of the other's directory.  Or the one with the line is gone, which nobody has
    // told us yet; then the guest asks again.
    if (is_alive_beside(now, incoming.node)) guest->add(kNotWelcome, "a node with this id is running");
    return done();
  }
  doubted_.erase(incoming.node);
  const MemberRecord* const former = replace == nullptr ? nullptr : state().find(replace->former);
  if (replace != nullptr && (former == nullptr || former->state != MemberState::kRemoved)) {
    // Then it asks again.
    decide_place(now, *replace, guest);
    return done();
  }
  const auto known = std::find_if(knocks_.begin(), knocks_.end(),
                                  [&](const Knock& each) { return each.node == incoming.node; });
  if (known != knocks_.end()) {
    known->connection = incoming.connection;
    return done();
  }
  const ProposalToken token = meta_.propose(replace == nullptr ? command : meta::Command(meta::Enrol{*member}));
  if (token != 0) knocks_.push_back({.connection = incoming.connection, .node = incoming.node, .token = token});
  return done();
}

// The member is heard still, though another process with its id has asked to be let in.
bool ClusterNode::is_alive_beside(Instant now, NodeId node) {
  Doubt& doubt = doubted_.try_emplace(node, Doubt{.since_us = now.steady_us, .asked_us = now.steady_us}).first->second;
  // One that has not asked for so long is another one.
  if (now.steady_us - std::exchange(doubt.asked_us, now.steady_us) > 3 * options_.knock_us) doubt.since_us = now.steady_us;
  const beats::Pair* const pair = groups_.pair({node});
  return pair != nullptr && pair->received_us() > doubt.since_us + options_.knock_us;
}

// The former one may be the only one that holds what was acknowledged, or is not gone at all: it may have ended a moment ago, which we have not
// found out yet.  A leader elsewhere holds all that was committed.
Status ClusterNode::may_be_replaced(NodeId former) const {
  if (former == options_.own.id || groups_.hears({former})) return Error(ErrorCode::kInvalidArgument, "it is heard still");
  TRY(state().may_replace(former));
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    const auto leader = groups_.known_leader(group_of_partition(partition));
    if (leader && leader->value != former) continue;
    return Error(ErrorCode::kInvalidArgument, "partition " + std::to_string(partition) + " has no leader without it");
  }
  return done();
}

// The leader of the members decides it, and at once: a proposal that waits could be about a node that is back.
void ClusterNode::decide_place(Instant now, const meta::Replace& replace, Link* guest) {
  if (!meta_.may_decree({replace.former})) return;
  if (state().find(replace.former) == nullptr) {
    if (guest != nullptr) guest->add(kNotWelcome, "the node in whose place it comes is none of this cluster");
    return;
  }
  const Status may_be = may_be_replaced(replace.former);
  if (may_be.ok() || now.steady_us >= next_replace_note_us_) {
    next_replace_note_us_ = now.steady_us + kComplaintUs;
    note(node_name(replace.member.id) + " comes in the place of " + node_name(replace.former) + ", whose log is damaged -> " +
         (may_be.ok() ? "let it in" : "not now: " + std::string(may_be.error().detail())));
  }
  if (may_be.ok()) meta_.decree(now, replace);
}

// Every proposal was made for somebody: the plan, our address, a guest, the owner.
void ClusterNode::take_meta_outcomes() {
  for (MetaGroup::Outcome& outcome : std::exchange(meta_.outcomes(), {})) {
    if (outcome.token == plan_token_) plan_token_ = 0;
    if (outcome.token == address_token_) address_token_ = 0;
    answer_knock(outcome);
    if (std::erase(wishes_, outcome.token) != 0) outcomes_.push_back(std::move(outcome));
  }
}

// Tells the guest whose enrolment it was what has become of it.
void ClusterNode::answer_knock(const MetaGroup::Outcome& outcome) {
  const auto knock = std::find_if(knocks_.begin(), knocks_.end(),
                                  [&](const Knock& each) { return each.token == outcome.token; });
  if (knock == knocks_.end()) return;
  Link* const link = outcome.is_known ? peers_.link_of(knock->connection) : nullptr;  // it asks again if nobody says anything
  if (link != nullptr) {
    Buffer bytes;
    if (outcome.status.ok()) {
      meta_.state().encode(bytes);
    } else {
      bytes.append(outcome.status.error().detail());
    }
    link->add(outcome.status.ok() ? kWelcome : kNotWelcome, bytes.view());
  }
  knocks_.erase(knock);
}

// The state comes with the welcome, so that we know whom to talk to; our replica of the meta group gets it again by its own road.
Status ClusterNode::on_welcome(Instant now, const Peers::Incoming& incoming) {
  if (membership_ != Membership::kJoining) return done();
  TRY(ClusterState state, ClusterState::decode(incoming.message.bytes));
  if (!state.is_founded() || state.find(options_.own.id) == nullptr || state.partitions() != options_.partitions) {
    return Error(ErrorCode::kCorrupt, "welcome: not a cluster that holds us");
  }
  become_member(state.cluster());
  note("let in by " + node_name(incoming.node) + " -> member of a cluster of " + std::to_string(state.members().size()));
  meta_.begin_empty(now, std::move(state));
  leave_seeds();
  return done();
}

void ClusterNode::leave_seeds() {
  peers_.clear_seeds();
  seed_connections_.clear();
  seed_names_.clear();
  has_seeds_ = false;
}

bool ClusterNode::has_arrived() const {
  const raft::Core* const core = groups_.find(meta_.group());
  return membership_ == Membership::kMember && core != nullptr && core->role_state().leader && is_known_as_it_is();
}

// The members know us at the address where we are.
bool ClusterNode::is_known_as_it_is() const {
  const MemberRecord* const known = meta_.address_book().find(options_.own.id);
  if (known == nullptr) return false;
  if (known->state == options_.own.state) [[likely]]
    return *known == options_.own;
  MemberRecord as_known = options_.own;
  as_known.state = known->state;
  return as_known == *known;
}

bool ClusterNode::is_looking() const {
  return membership_ == Membership::kJoining || (membership_ == Membership::kMember && !is_known_as_it_is());
}

// A mistyped address, or a node that is not there yet.  Dialling, or asking, again makes the turns in which this is looked at.
void ClusterNode::complain_of_silence(Instant now) {
  if (membership_ != Membership::kJoining || now.steady_us < next_complaint_us_) return;
  if (seed_connections_.empty()) {
    note("no node of a cluster answers at " + seed_names_ + " (the port for other nodes) -> trying again");
  } else if (options_.in_place_of != 0) {
    note("nobody has let this node in in the place of " + node_name(options_.in_place_of) +
         " yet, which the leader of the members does once every partition has a leader (what else it waits for its log says) -> asking again");
  } else {
    return;
  }
  next_complaint_us_ = now.steady_us + kComplaintUs;
}

// A member that was started at another address says so itself as soon as it can reach anybody.
void ClusterNode::tell_address() {
  if (membership_ != Membership::kMember || address_token_ != 0 || is_known_as_it_is()) return;
  address_token_ = meta_.propose(meta::Enrol{options_.own});
}

void ClusterNode::set_own_share(std::string_view zone, uint32_t weight) {
  MemberRecord& own = options_.own;
  if (own.zone == zone && own.weight == weight) return;
  own.zone = zone;
  own.weight = weight;
  note("zone is '" + own.zone + "', node-weight is " + std::to_string(weight) + " -> the members are told");
}

// Who was removed while it was away hears it when it comes back.
void ClusterNode::turn_away(const PeerEvent& event) {
  const MemberRecord* const known = meta_.is_started() ? state().find(event.node) : nullptr;
  if (membership_ != Membership::kMember || known == nullptr || known->state != MemberState::kRemoved) return;
  if (Link* const link = peers_.link_of(event.connection)) link->add(kNotWelcome, kRemovedText);
}

Status ClusterNode::on_not_welcome(const Peers::Incoming& incoming) {
  if (membership_ == Membership::kAlone || membership_ == Membership::kRefused) return done();
  // Whoever calls could say so; who was called at a member's address is believed.
  if (!incoming.is_dialled_here) return Error(ErrorCode::kCorrupt, "a stranger that refuses us");
  // Operators have let two halves of the cluster go on, each without the other: neither tells the other that it is over.
  if (meta_.is_started() && meta_.address_book().is_given_up(incoming.node)) {
    note(node_name(incoming.node) + " was given up here and has given us up -> there are two clusters now, until an operator ends one");
    return done();
  }
  membership_ = Membership::kRefused;
  refusal_ = incoming.message.bytes.substr(0, kRefusalMax);
  note("the cluster refuses us: " + refusal_);
  return done();
}

// ---- what an operator wants --------------------------------------------------------------------------------

void ClusterNode::join(Instant now, const PeerAddress& address) {
  CHECK(may_join());
  membership_ = Membership::kJoining;
  leave_seeds();
  add_seed(now, address);
  note("told to join the cluster at " + seed_names_);
}

bool ClusterNode::was_removed() const { return membership_ == Membership::kRefused && refusal_ == kRemovedText; }

ProposalToken ClusterNode::propose(const meta::Command& command) {
  CHECK(membership_ == Membership::kMember);
  const ProposalToken token = meta_.propose(command);
  if (token == 0) return 0;
  wishes_.push_back(token);
  // Whoever removes it does not tell it any more.
  const auto* const change = std::get_if<meta::SetState>(&command);
  if (change != nullptr && change->node == options_.own.id && change->state == MemberState::kRemoved) peers_.call_at_once();
  return token;
}

Result<ProposalToken> ClusterNode::recover_without(Instant now, std::vector<NodeId> nodes, WithoutCopies without_copies, int64_t until_us) {
  CHECK(membership_ == Membership::kMember);
  std::string names;
  for (const NodeId node : nodes) names += " " + node_name(node);
  TRY(recovery_.begin(now, std::move(nodes), without_copies, until_us, peers_));
  note("an operator has given up for good:" + names + " -> ask the others");
  return ++recovery_token_;
}

void ClusterNode::forget_recovery(ProposalToken token) {
  if (token != recovery_token_ || !recovery_.is_under_way()) return;
  recovery_.stop();
  note("nobody waits for it any more -> they are not given up, unless the others have decided it already");
}

void ClusterNode::take_recovery_outcome() {
  std::optional<Status> outcome = recovery_.take_outcome();
  if (!outcome) return;
  if (!outcome->ok()) note("they are not given up: " + std::string(outcome->error().detail()));
  outcomes_.push_back({.token = recovery_token_, .status = std::move(*outcome)});
}

// Whoever hears it from the members.
void ClusterNode::note_given_up() {
  const size_t count = state().given_up().size();
  if (std::exchange(given_up_told_, count) >= count) return;
  note(std::to_string(count) + " members were given up for good, ever -> partitions that cannot elect without them go on with what is left; "
       "writes that were acknowledged may be lost");
}

void ClusterNode::rebalance() {
  look_at_balance();
  for (const MemberRecord& member : state().members()) {
    if (Link* const link = peers_.link(member.id, PeerLane::kData)) link->add(kRebalance, {});
  }
}

void ClusterNode::look_at_balance() {
  planned_version_ = 0;
  partitions_.hand_over_soon();
}

void ClusterNode::set_health(Instant now, const beats::Health& health) {
  groups_.set_health(now, health);
  partitions_.hand_over_soon();
}

void ClusterNode::set_kept_mode(Instant now, raft::Durability kept) {
  beats::Health health = groups_.health();
  if (std::exchange(health.kept, kept) != kept) groups_.set_health(now, health);
}

bool ClusterNode::leads_meta_for_others() const {
  const raft::Core* const core = groups_.find(meta_.group());
  return core != nullptr && core->role() == raft::RoleName::kLeader && groups_.has_successor(meta_.group());
}

size_t ClusterNode::count_to_hand_over() const {
  const bool has_meta = groups_.find(meta_.group()) != nullptr;
  const bool is_meta_open =
      has_meta && (leads_meta_for_others() || meta_.is_about_to_share_votes() || groups_.is_waited_for(meta_.group()));
  return partitions_.count_to_hand_over() + (is_meta_open ? 1 : 0);
}

void ClusterNode::hand_over_meta(Instant now) {
  if (!groups_.should_not_lead() || now.steady_us < next_meta_transfer_us_ || !leads_meta_for_others()) return;
  next_meta_transfer_us_ = now.steady_us + options_.meta_transfer_us;
  groups_.hand_over(now, meta_.group(), {});
}

// ---- events ----------------------------------------------------------------------------------------------

void ClusterNode::tell_link(const PeerEvent& event) {
  if (!on_link_) return;
  if (event.kind == PeerEvent::Kind::kUp) on_link_(event.node, event.lane, LinkChange::kUp);
  if (event.kind == PeerEvent::Kind::kDown) on_link_(event.node, event.lane, LinkChange::kDown);
}

void ClusterNode::take_events(Instant now) {
  for (const PeerEvent& event : std::exchange(peers_.events(), {})) {
    if (event.is_line) {
      groups_.peer_event(now, event);
      tell_link(event);
    }
    if (event.kind == PeerEvent::Kind::kRefused) {
      if (std::string line = refusal_notes_.line(now, event); !line.empty()) note(std::move(line));
    }
    if (event.kind == PeerEvent::Kind::kUp) {
      turn_away(event);
      if (peers_.was_dialled_as_seed(event.connection)) call_at(now, event.node, event.address);
    }
    if (!is_looking()) continue;
    if (event.kind == PeerEvent::Kind::kUp) {
      seed_connections_.push_back(event.connection);
      next_knock_us_ = now.steady_us;
    } else if (event.kind == PeerEvent::Kind::kDown) {
      std::erase(seed_connections_, event.connection);
    }
  }
}

Status ClusterNode::take_message(Instant now, const Peers::Incoming& incoming) {
  const uint64_t kind = incoming.message.kind;
  const std::string_view bytes = incoming.message.bytes;
  if (kind == kJoin) return on_join(now, incoming);
  if (kind == kWelcome) return on_welcome(now, incoming);
  if (kind == kNotWelcome) return on_not_welcome(incoming);
  // What follows is between members.  One that knows us as a member already, before we do, will dial again.
  if (membership_ == Membership::kJoining) return done();
  // Who was removed may be the only one that somebody knows, and knows those who are left.
  const bool has_book = membership_ == Membership::kMember || membership_ == Membership::kRefused;
  if (kind == MetaGroup::kBook && has_book && peers_.is_of_cluster(incoming.connection)) {
    const bool is_known = incoming.is_guest ? incoming.is_dialled_here : meta_.address_book().find(incoming.node) != nullptr;
    const auto source = is_known ? MetaGroup::BookSource::kMember : MetaGroup::BookSource::kStranger;
    return meta_.receive_book(now, incoming.connection, source, bytes, *peers_.link_of(incoming.connection));
  }
  // Perhaps a member that we shall hear of: the connection stays, so that it can tell.
  if (incoming.is_guest && peers_.was_called_as_member(incoming.connection)) return done();
  if (incoming.is_guest) return Error(ErrorCode::kCorrupt, "a guest that talks like a member");
  const auto group_kind = static_cast<PeerMessageKind>(kind);
  if (group_kind == PeerMessageKind::kGroup || group_kind == PeerMessageKind::kBeat) {
    return groups_.receive(now, {incoming.node}, group_kind, bytes);
  }
  if (kind == MetaGroup::kProposal || kind == MetaGroup::kSnapshot) return meta_.receive(now, incoming.node, kind, bytes);
  if (kind == kRebalance) {
    look_at_balance();
    return done();
  }
  if (Partitions::takes(kind)) return partitions_.receive(now, incoming.node, kind, bytes);
  if (kind == UnsafeRecovery::kKind) return recovery_.receive(now, incoming.node, bytes, peers_);
  if (kind >= kFirstOfOwner && on_message_) {
    return on_message_(incoming.node, kind, bytes);
  }
  return Error(ErrorCode::kCorrupt, "a message of unknown kind " + std::to_string(kind));
}

void ClusterNode::take_messages(Instant now) {
  Peers::Incoming incoming;
  while (peers_.next(incoming)) {
    take_events(now);
    if (const Status taken = take_message(now, incoming); !taken.ok()) {
      note("from " + node_name(incoming.node) + ": " + std::string(taken.error().detail()) + " -> connection closed");
      if (Link* const link = peers_.link_of(incoming.connection)) link->refuse(Refusal::kDamaged);
      peers_.look_again(incoming.connection);
    }
  }
  take_events(now);
}

// Connects with whom the state names.
void ClusterNode::follow_members(Instant now) {
  if (membership_ == Membership::kRefused) {
    // Nor does it vote and lead any more for those that have not heard yet that they are out too.
    if (std::exchange(followed_others_, 0) != 0) peers_.set_members(now, {});
    return;
  }
  if (followed_version_ == meta_.version()) return;
  followed_version_ = meta_.version();
  std::vector<PeerTarget> targets;
  std::vector<raft::NodeId> others;
  for (const MemberRecord& member : meta_.members_to_call()) {
    if (member.id == options_.own.id || member.state == MemberState::kRemoved) continue;
    PeerAddress address{.host = member.host, .port = member.cluster_port};
    const auto moved = moved_.find(member.id);
    if (moved != moved_.end() && moved->second.from == address) address = moved->second.to;
    targets.push_back({.node = member.id, .address = std::move(address)});
    others.push_back({member.id});
  }
  if (targets.size() != followed_others_) {
    note("the cluster has " + std::to_string(targets.size() + 1) + " members -> connections with " + std::to_string(targets.size()));
  }
  followed_others_ = targets.size();
  peers_.set_members(now, targets);
  groups_.set_members(now, others);
  const MemberRecord* const own_record = state().find(options_.own.id);
  if (own_record != nullptr && own_record->state == MemberState::kRemoved) {
    membership_ = Membership::kRefused;
    refusal_ = kRemovedText;
    note(refusal_);
  }
}

// A member was found elsewhere than where it is known: it is called there, since the members can only agree on it once enough of them are
// together.  Not while there is a line, and for a minute: whoever knocks could say so, and who has moved says it again.
void ClusterNode::call_at(Instant now, NodeId node, const PeerAddress& address) {
  const MemberRecord* const known = membership_ == Membership::kMember ? meta_.address_book().find(node) : nullptr;
  if (known == nullptr || known->state == MemberState::kRemoved || peers_.is_up(node, PeerLane::kData)) return;
  const PeerAddress from{.host = known->host, .port = known->cluster_port};
  if (from == address) return;
  const auto before = moved_.find(node);
  const bool is_known = before != moved_.end() && before->second.from == from && before->second.to == address;
  moved_[node] = {.from = from, .to = address, .until_us = now.steady_us + kMovedUs};
  if (is_known) return;
  note("member " + node_name(node) + " is at " + address.host + ":" + std::to_string(address.port) + " and not where it is known -> call it there");
  followed_version_.reset();
}

void ClusterNode::forget_moved(Instant now) {
  const size_t forgotten = std::erase_if(moved_, [&](const auto& each) { return each.second.until_us <= now.steady_us; });
  if (forgotten != 0) followed_version_.reset();
}

// A partition that has begun anew stays where it is planned until somebody leads it: before that nobody else could begin it.  False: so some
// stay.
bool ClusterNode::keep_unborn(const placement::Plan& current, placement::Plan& plan) const {
  bool is_all = true;
  for (uint32_t partition = 0; partition < plan.size(); ++partition) {
    if (state().plan()[partition].first_replica == 0 || plan[partition] == current[partition]) continue;
    if (groups_.known_leader(group_of_partition(partition))) continue;
    plan[partition] = current[partition];
    is_all = false;
  }
  return is_all;
}

// On the leader of the meta group: who was not heard for so long that others take over what it holds.  It decides that itself, and at once: a
// proposal that waits could be about a node that is back.
void ClusterNode::look_at_dead(Instant now) {
  if (next_dead_look_us_ != kNever && now.steady_us < next_dead_look_us_) return;
  const bool leads = meta_.is_started() && meta_.may_decree({});
  next_dead_look_us_ = leads ? now.steady_us + DeadMembers::kLookUs : kNever;
  if (!leads) return;
  std::vector<MemberBeats> members;
  for (const MemberRecord& member : state().members()) {
    if (member.state == MemberState::kRemoved) continue;
    MemberBeats& beats = members.emplace_back(MemberBeats{.node = member.id, .is_heard = member.id == options_.own.id});
    const beats::Pair* const pair = groups_.pair({member.id});
    if (pair == nullptr) continue;
    beats.is_heard = pair->peer_is_heard();
    beats.received_us = pair->received_us();
  }
  const std::optional<std::vector<NodeId>> dead = dead_.look(now, state(), members);
  if (!dead) return;
  for (const MemberBeats& member : members) {
    const bool is_dead = placement::contains(*dead, member.node);
    if (is_dead == state().is_dead(member.node)) continue;
    note("member " + node_name(member.node) + (is_dead ? " is silent for node-dead-after -> dead until it is heard" : " is not dead any more -> gets its share"));
  }
  meta_.decree(now, meta::SetDead{*dead});
}

// On the leader of the meta group: proposes a plan that fits the members, if the one there is does not.
void ClusterNode::keep_plan(Instant now) {
  const raft::Core* const core = groups_.find(meta_.group());
  if (core == nullptr || core->role_state().serving != raft::Serving::kYes) return;
  if (plan_token_ != 0 || meta_.version() == planned_version_ || now.steady_us < next_plan_us_) return;
  next_plan_us_ = now.steady_us + options_.plan_us;
  if (state().plan_fit() == PlanFit::kOfBefore) {
    plan_token_ = meta_.propose(meta::Rebalance{});
    return;
  }
  // What an operator has moved stays where it is until something else changes.
  if (state().plan_fit() == PlanFit::kByHand) {
    planned_version_ = meta_.version();
    return;
  }
  placement::PlacementInput input{.members = state().placement_members(),
                                  .replication = state().replication(),
                                  .partitions = options_.partitions,
                                  .current = state().placement_plan()};
  placement::Plan plan = placement::propose(input);
  const bool is_all = keep_unborn(input.current, plan);
  // One that fits as it is has to be said to do so: from then on operators may move something.
  const bool is_to_be_said = state().plan_fit() == PlanFit::kDue && is_all;
  if (plan == input.current && !is_to_be_said) {
    if (is_all) planned_version_ = meta_.version();
    return;
  }
  plan_token_ = meta_.propose(meta::SetPlan{.based_on = state().plan_version(), .plan = std::move(plan)});
}

void ClusterNode::tick(Instant now) {
  peers_.tick(now);
  groups_.tick(now);
  if (now.steady_us >= next_knock_us_) knock(now);
}

int64_t ClusterNode::deadline() const {
  const int64_t look_us = membership_ == Membership::kMember ? partitions_.deadline() : kNever;
  return std::min({peers_.deadline(), groups_.deadline(), meta_.deadline(), recovery_.deadline(), look_us, next_knock_us_, next_dead_look_us_});
}

void ClusterNode::work(Instant now) {
  take_messages(now);
  if (now.steady_us >= next_knock_us_) knock(now);
  complain_of_silence(now);
  meta_.work(now, peers_);
  take_meta_outcomes();
  recovery_.work(now, peers_);
  take_recovery_outcome();
  note_given_up();
  forget_moved(now);
  follow_members(now);
  look_at_dead(now);
  keep_plan(now);
  hand_over_meta(now);
  tell_address();
  if (has_seeds_ && has_arrived()) leave_seeds();
  if (membership_ == Membership::kMember) {
    const auto plan = meta_.is_catching_up() ? Partitions::Plan::kMayBeOld : Partitions::Plan::kCurrent;
    partitions_.work(now, state(), plan, peers_);
    for (const auto& [partition, fact] : partitions_.take_facts()) on_fact(group_of_partition(partition), fact);
    if (std::string line = start_watch_.look(now, groups_, peers_); !line.empty()) note(std::move(line));
  }
}

void ClusterNode::flush(Instant now) {
  groups_.end_turn(now, peers_);
  peers_.end_turn();
}

bool ClusterNode::has_record() const {
  return groups_.has_writes() || meta_.base_to_store() || !partitions_.bases_to_store().empty() ||
         !partitions_.gone_to_store().empty() || !partitions_.pieces_to_store().empty();
}

ClusterNode::RecordNeeds ClusterNode::begin_record(uint64_t record, Buffer& out, Keeping keeping) {
  std::vector<GroupBase> bases = std::exchange(partitions_.bases_to_store(), {});
  if (auto meta = std::exchange(meta_.base_to_store(), std::nullopt)) bases.push_back(std::move(*meta));
  const std::vector<GroupPiece> pieces = std::exchange(partitions_.pieces_to_store(), {});
  const std::vector<raft::GroupId> gone = std::exchange(partitions_.gone_to_store(), {});
  const std::vector<GroupWrite>& writes = groups_.begin_record(record);
  encode({.gone = gone, .pieces = pieces, .bases = bases, .writes = writes, .keeping = keeping, .meta = meta_.group()}, out);
  const bool has_promise = std::any_of(writes.begin(), writes.end(), [&](const GroupWrite& each) {
    return each.write.hard_state.has_value() || each.write.log_base.has_value() || (is_meta(each.group) && each.write.writes());
  });
  return has_promise || !bases.empty() || !gone.empty() ? RecordNeeds::kSync : RecordNeeds::kMode;
}

std::optional<Checkpoint> ClusterNode::checkpoint(Keeping keeping) const {
  if (partitions_.has_open_pieces()) return std::nullopt;
  std::vector<GroupBase> bases;
  std::vector<GroupWrite> writes;
  Checkpoint out;
  bool is_whole = true;
  groups_.for_each([&](raft::GroupId group, const raft::Core& core) {
    std::optional<GroupBase> base;
    if (is_meta(group)) {
      base = meta_.base();
    } else {
      const auto partition = static_cast<uint32_t>(group.value - 1);
      auto mark = partitions_.state_mark(partition);
      if (mark && !partitions_.is_astray(partition)) {
        base = GroupBase{.group = group, .replica = core.options().self.replica, .mark = std::move(*mark), .state = std::nullopt};
        Buffer beside;
        partitions_.encode_beside(partition, beside);
        base->beside = beside.view();
        const raft::Index index = base->mark.last.index;
        if (index > core.commit_index()) out.ahead.push_back({partition, base->replica, core.term(), index});
      }
    }
    if (!base) {
      is_whole = false;
      return;
    }
    raft::DurableWrite write{.hard_state = core.hard_state()};
    for (raft::Index index = raft::next(base->mark.last.index); index <= core.last_index(); index = raft::next(index)) {
      write.append.push_back(core.log().at(index));
    }
    writes.push_back({group, std::move(write)});
    bases.push_back(std::move(*base));
  });
  // One that joins has no groups yet, and a snapshot without them would be that of a node alone.
  if (!is_whole || bases.empty()) return std::nullopt;
  encode({.bases = bases, .writes = writes, .keeping = keeping, .meta = meta_.group()}, out.record);
  return out;
}

ClusterNode::Verdict ClusterNode::may_count(const Checkpoint::Ahead& ahead) const {
  const raft::Core* const core = partitions_.core(ahead.partition);
  const bool leads_on = core != nullptr && core->options().self.replica == ahead.replica && core->term() == ahead.term &&
                        core->role() == raft::RoleName::kLeader;
  if (!leads_on) return Verdict::kNo;
  return core->snapshot_may_leave(ahead.term, ahead.index) ? Verdict::kYes : Verdict::kNotYet;
}

ClusterNode::Verdict ClusterNode::may_count(const Checkpoint& checkpoint) const {
  Verdict verdict = Verdict::kYes;
  for (const Checkpoint::Ahead& ahead : checkpoint.ahead) {
    const Verdict of_partition = may_count(ahead);
    if (of_partition == Verdict::kNo) return Verdict::kNo;
    if (of_partition == Verdict::kNotYet) verdict = Verdict::kNotYet;
  }
  return verdict;
}

std::vector<ClusterNode::HeldUp> ClusterNode::held_up(Keeping keeping) const {
  std::vector<HeldUp> all;
  groups_.for_each([&](raft::GroupId group, const raft::Core&) {
    if (is_meta(group)) return;
    const auto partition = static_cast<uint32_t>(group.value - 1);
    if (const auto obstacle = partitions_.obstacle(partition, keeping)) all.push_back({partition, *obstacle});
  });
  return all;
}

std::vector<ClusterNode::HeldUp> ClusterNode::held_up(const Checkpoint& checkpoint) const {
  std::vector<HeldUp> all;
  for (const Checkpoint::Ahead& ahead : checkpoint.ahead) {
    if (may_count(ahead) != Verdict::kYes) all.push_back({ahead.partition, Obstacle::kNotCommitted});
  }
  return all;
}

// ---- what the groups tell ----------------------------------------------------------------------------------

void ClusterNode::on_role(raft::GroupId group, const raft::RoleState& role) {
  if (is_meta(group)) return meta_.on_role();
  partitions_.on_role(group, role);
}

void ClusterNode::on_truncated(raft::GroupId group, std::span<const raft::Entry> entries, Lost lost) {
  // The meta group applies what is committed only, so there is nothing to undo.
  if (!is_meta(group)) partitions_.on_truncated(group, entries, lost);
}

void ClusterNode::on_install(raft::GroupId group, const raft::SnapshotMark& mark) {
  if (is_meta(group)) return meta_.on_install(mark);
  partitions_.on_install(group, mark);
}

void ClusterNode::on_commit(raft::GroupId group, raft::Index commit) {
  if (is_meta(group)) return meta_.on_commit(commit);
  partitions_.on_commit(group, commit);
}

void ClusterNode::on_read(raft::GroupId group, raft::ReadToken token, raft::ReadVerdict verdict) {
  if (!is_meta(group)) partitions_.on_read(group, token, verdict);
}

void ClusterNode::on_snapshot_wanted(raft::GroupId group, const raft::Member& to) {
  if (is_meta(group)) return meta_.on_snapshot_wanted(to);
  partitions_.on_snapshot_wanted(group, to);
}

void ClusterNode::on_configuration(raft::GroupId group) {
  if (!is_meta(group)) partitions_.on_configuration(group);
}

void ClusterNode::on_copies(raft::GroupId group) {
  if (!is_meta(group)) partitions_.on_copies(group);
}

void ClusterNode::on_fact(raft::GroupId group, std::string_view fact) {
  note((is_meta(group) ? "meta group: " : "partition " + std::to_string(group.value - 1) + ": ") + std::string(fact));
}

void ClusterNode::on_failure(raft::GroupId group, const raft::Failure& failure) {
  // The replica has stopped; it comes back from the others, which go on without it.
  on_fact(group, failure.text);
  if (!is_meta(group)) partitions_.on_failure(group);
}

}  // namespace quorate

// Steps of cores and pairs, and the order in which what they want is carried out.
#include "cluster/groups.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "cluster/raft/message_codec.h"
#include "util/check.h"

namespace quorate {

using raft::GroupId;
using raft::NodeId;

namespace {
// Whose log is so close to its end may be handed the leadership: what is missing is on its way.
constexpr uint64_t kCloseWithin = 64;
// The year 11970: sums with it do not overflow.
constexpr int64_t kWallMsMax = int64_t{1} << 48;

// Says that something is stored here.
bool acknowledges(const raft::Message& message) {
  const auto* const answer = std::get_if<raft::AppendAnswer>(&message.body);
  return answer != nullptr && answer->result == raft::AppendResult::kStored;
}
// Of messages that acknowledge().
raft::Index match_of(const raft::Message& message) { return std::get<raft::AppendAnswer>(message.body).match; }
// No later term or recovery epoch has come since, and the end of the log was not taken back.
bool is_true_of(const raft::Core& core, const raft::Message& message) {
  return message.term == core.term() && message.epoch == core.epoch() && match_of(message) <= core.stored_index();
}
}  // namespace

std::vector<raft::NodeId> typed(std::span<const uint64_t> nodes) {
  std::vector<raft::NodeId> out;
  for (const uint64_t node : nodes) out.push_back({node});
  return out;
}

bool is_ready_to_vote(const raft::Core& leader, const raft::Member& member, uint64_t behind_max) {
  if (member.node == leader.options().self.node) return true;
  for (const raft::Progress& progress : leader.progress()) {
    if (progress.member() != member) continue;
    return progress.state() == raft::Progress::State::kReplicate && !progress.is_silent &&
           progress.match().value + behind_max >= leader.last_index().value;
  }
  return false;
}

Groups::Groups(const GroupsOptions& options, GroupsClient& client)
    : options_(options), client_(client), random_(options.seed), slots_(size_t{options.partitions} + 2) {}
Groups::~Groups() = default;

// ---- replicas -------------------------------------------------------------------------------------------

void Groups::add(Instant now, GroupId group, raft::ReplicaId replica, raft::Restored restored) {
  CHECK(find(group) == nullptr);
  CHECK(group.value < slots_.size());
  raft::Options options = options_.group;
  options.group = group;
  // Who is given up is decided by the meta group; while that has no quorum each member looks itself (UnsafeRecovery).
  options.checks_left_out = group == meta_group(options_.partitions);
  // Leaders of partitions execute before they propose, and keep nothing with which to undo it; the meta group applies what is committed.
  options.can_undo = options.checks_left_out;
  options.self = {.replica = replica, .node = options_.self};
  if (window_bytes_max_ != 0 && !options.checks_left_out) options.window_bytes_max = window_bytes_max_;
  auto& slot = slots_[group.value];
  slot = std::make_unique<Slot>(group, options, std::move(restored), random_.next(), options_.mistakes);
  ++leaders_version_;
  run(now, *slot, raft::in::Start{});
  if (health_.is_draining) run(now, *slot, raft::in::Draining{});
  run(now, *slot, raft::in::Kept{health_.kept});
}

void Groups::set_window(size_t bytes_max) {
  window_bytes_max_ = bytes_max;
  for (const auto& slot : slots_) {
    if (slot != nullptr && slot->group != meta_group(options_.partitions)) slot->core.set_window(bytes_max);
  }
}

size_t Groups::log_bytes() const {
  size_t sum = 0;
  for (const auto& slot : slots_) {
    if (slot == nullptr) continue;
    const raft::Log& log = slot->core.log();
    // The entries themselves are not counted, only their bytes: each has a head, and what an allocator rounds up.
    constexpr size_t kHead = 16;
    const size_t entries = log.last_index().value - log.base().index.value;
    const size_t payload = log.bytes() - entries * sizeof(raft::Entry);
    sum += payload + payload / 8 + entries * kHead;
  }
  return sum;
}

void Groups::remove(Instant now, GroupId group) {
  const raft::Core* const core = find(group);
  CHECK(core != nullptr);
  if (const auto leader = core->role_state().leader; leader && leader->node != options_.self) {
    const auto pair = pairs_.find(leader->node);
    if (pair != pairs_.end()) step_pair(now, pair->first, *pair->second, beats::in::SupportWithdrawn{group});
  }
  slots_[group.value].reset();
  cores_deadline_us_.reset();
  std::erase_if(writes_, [&](const GroupWrite& each) { return each.group == group; });
  // They would be said of a log that is gone.
  std::erase_if(to_send_, [&](const raft::Message& each) { return each.group == group && acknowledges(each); });
  std::erase_if(held_, [&](const raft::Message& each) { return each.group == group; });
  for (PendingRecord& record : pending_) {
    std::erase_if(record.writes, [&](const GroupWrite& each) { return each.group == group; });
  }
  led_is_stale_ = true;
  ++leaders_version_;
}

raft::Core* Groups::find(GroupId group) const {
  if (group.value >= slots_.size() || slots_[group.value] == nullptr) return nullptr;
  return &slots_[group.value]->core;
}

// ---- steps of cores -------------------------------------------------------------------------------------

void Groups::step(Instant now, GroupId group, const raft::Input& input) {
  CHECK(find(group) != nullptr);
  run(now, *slots_[group.value], input);
}

void Groups::run(Instant now, Slot& slot, const raft::Input& input) {
  // A step may lead to another (support withdrawn from a leader), so each has an output of its own.
  if (steps_under_way_ == outputs_.size()) outputs_.emplace_back();
  raft::Output& output = outputs_[steps_under_way_++];
  slot.core.step(now, input, output);
  set_deadline(slot, slot.core.deadline());
  carry_out(now, slot, output);
  output.clear();
  --steps_under_way_;
}

// The order is that of the fields of raft::Output.
void Groups::carry_out(Instant now, Slot& slot, raft::Output& output) {
  const GroupId group = slot.group;
  for (const std::string& fact : output.facts) client_.on_fact(group, fact);
  if (output.failure) client_.on_failure(group, *output.failure);
  if (output.role) {
    client_.on_role(group, *output.role);
    led_is_stale_ = true;
    ++leaders_version_;
  }
  if (output.support_withdrawn) {
    const auto pair = pairs_.find(output.support_withdrawn->node);
    if (pair != pairs_.end()) step_pair(now, pair->first, *pair->second, beats::in::SupportWithdrawn{group});
  }
  if (!output.truncated.empty() || output.log_archived) {
    client_.on_truncated(group, output.truncated,
                         output.log_archived ? GroupsClient::Lost::kEverything : GroupsClient::Lost::kTail);
  }
  if (output.install) client_.on_install(group, *output.install);
  if (output.write.writes() || !output.write.then_send.empty()) {
    // Nothing to write, but messages that wait for what was written before: they queue behind it.
    const bool waits = output.write.writes() || !pending_.empty() || !writes_.empty();
    if (waits) {
      add_write(group, output.write);
    } else {
      std::move(output.write.then_send.begin(), output.write.then_send.end(), std::back_inserter(to_send_));
    }
  }
  std::move(output.send.begin(), output.send.end(), std::back_inserter(to_send_));
  if (output.commit_index != slot.commit_told) {
    slot.commit_told = output.commit_index;
    client_.on_commit(group, output.commit_index);
  }
  for (const raft::ReadReady& read : output.reads) client_.on_read(group, read.token, read.verdict);
  if (output.round_wanted) round_wanted_ = true;
  for (const raft::Member& member : output.snapshots_wanted) client_.on_snapshot_wanted(group, member);
  if (output.configuration_changed) {
    client_.on_configuration(group);
    led_is_stale_ = true;
  }
  if (output.copies_grew || output.configuration_changed) client_.on_copies(group);
}

// Takes what is in it, and gives it the room of one that is done with.
void Groups::add_write(GroupId group, raft::DurableWrite& write) {
  GroupWrite& added = writes_.emplace_back();
  added.group = group;
  if (!spare_writes_.empty()) {
    added.write = std::move(spare_writes_.back());
    spare_writes_.pop_back();
  }
  added.write.number = write.number;
  added.write.hard_state = std::move(write.hard_state);
  added.write.log_base = std::move(write.log_base);
  added.write.append.swap(write.append);
  added.write.then_send.swap(write.then_send);
}

// Gives the input to every core that `concerns` picks.
template <class Concerns>
void Groups::step_all(Instant now, const raft::Input& input, Concerns&& concerns) {
  for (const auto& slot : slots_) {
    if (slot != nullptr && concerns(slot->core)) run(now, *slot, input);
  }
}

// ---- beats ----------------------------------------------------------------------------------------------

void Groups::set_members(Instant now, std::span<const NodeId> others) {
  std::map<NodeId, std::unique_ptr<PairSlot>> before;
  before.swap(pairs_);
  for (const NodeId node : others) {
    auto known = before.find(node);
    if (known != before.end()) {
      pairs_[node] = std::move(known->second);
      continue;
    }
    const beats::Options options{.self = options_.self,
                                 .peer = node,
                                 .incarnation = options_.incarnation,
                                 .beat_us = options_.beat_us};
    auto slot = std::make_unique<PairSlot>(options, beat_counter_, random_.next(), options_.mistakes);
    PairSlot& added = *slot;
    pairs_[node] = std::move(slot);
    step_pair(now, node, added, beats::in::HealthChanged{health_});
  }
  // Who followed a leader there must not wait for its beats: none will come.
  for (const auto& [node, slot] : before) silence(now, node);
  led_is_stale_ = true;
  ++leaders_version_;
}

void Groups::silence(Instant now, NodeId node) {
  step_all(now, raft::in::PeerSilent{node, raft::Silence::kClosed},
           [&](const raft::Core& core) { return core.follows_leader_on(node); });
}

void Groups::set_health(Instant now, const beats::Health& health) {
  const bool drains_now = health.is_draining != health_.is_draining;
  const bool keeps_another = health.kept != health_.kept;
  health_ = health;
  const auto all = [](const raft::Core&) { return true; };
  if (drains_now) step_all(now, raft::in::Draining{health.is_draining}, all);
  if (keeps_another) step_all(now, raft::in::Kept{health.kept}, all);
  for (const auto& [node, slot] : pairs_) step_pair(now, node, *slot, beats::in::HealthChanged{health});
}

bool Groups::hears(NodeId node) const {
  const beats::Pair* const other = pair(node);
  return other != nullptr && other->peer_is_heard();
}

std::optional<beats::Health> Groups::health_of(NodeId node) const { return hears(node) ? pair(node)->peer_health() : std::nullopt; }

std::optional<raft::Durability> Groups::kept_by(NodeId node) const {
  if (node == options_.self) return health_.kept;
  const std::optional<beats::Health> health = health_of(node);
  return health ? std::optional(health->kept) : std::nullopt;
}

Groups::WallClocks Groups::wall_clocks(Instant now) const {
  std::vector<int64_t> walls = {now.unix_ms};
  for (const auto& [node, slot] : pairs_) {
    const beats::Pair& pair = slot->pair;
    if (!pair.peer_is_heard() || !pair.peer_health()) continue;
    const int64_t said_ms = std::clamp<int64_t>(pair.peer_health()->wall_ms, 0, kWallMsMax);
    walls.push_back(said_ms + (now.steady_us - pair.received_us()) / 1000);
  }
  const auto middle = walls.begin() + static_cast<ptrdiff_t>((walls.size() - 1) / 2);
  std::nth_element(walls.begin(), middle, walls.end());
  return {.median_ms = *middle, .count = walls.size()};
}

const beats::Pair* Groups::pair(NodeId node) const {
  const auto found = pairs_.find(node);
  return found == pairs_.end() ? nullptr : &found->second->pair;
}

void Groups::step_pair(Instant now, NodeId node, PairSlot& slot, const beats::Input& input) {
  beats::Output output;
  const bool was_heard = slot.pair.peer_is_heard();
  const uint64_t led_version = slot.pair.peer_led_version();
  slot.pair.step(now, input, output);
  const bool leads_anew = output.peer_restarted || slot.pair.peer_led_version() != led_version;
  if (leads_anew || slot.pair.peer_is_heard() != was_heard) ++leaders_version_;
  if (output.peer_restarted) {
    step_all(now, raft::in::PeerRestarted{node}, [&](const raft::Core& core) { return core.configuration().find_on(node).has_value(); });
  }
  if (output.silent) {
    step_all(now, raft::in::PeerSilent{node, *output.silent},
             [&](const raft::Core& core) { return core.follows_leader_on(node); });
  }
  std::move(output.send.begin(), output.send.end(), std::back_inserter(slot.to_send));
  if (output.heard) tell_heard(now, node, slot);
  if (output.judge_wanted) judge(now, node, slot);
  if (output.confirmed) tell_confirmed(now, node, *output.confirmed);
}

// A beat has come: the leaders it lists were heard, those it does not list lead no longer.
void Groups::tell_heard(Instant now, NodeId node, PairSlot& slot) {
  // Only what it receives changes what the pair was told.
  const std::span<const beats::Led> told = slot.pair.peer_leads();
  for (const beats::Led& led : told) {
    if (led.is_hint() || find(led.group) == nullptr) continue;
    run(now, *slots_[led.group.value],
        raft::in::LeaderHeard{.leader = led.leader, .term = led.term, .received_us = slot.pair.received_us()});
  }
  // Whom nothing has changed for follows whom it followed when all that it leads was listed.
  if (slot.all_listed_at == leaders_version_) return;
  bool is_all_listed = true;
  // Both are sorted by group.
  auto next = told.begin();
  step_all(now, raft::in::PeerSilent{node, raft::Silence::kLeadsNoLonger}, [&](const raft::Core& core) {
    if (!core.follows_leader_on(node)) return false;
    const GroupId group = core.options().group;
    while (next != told.end() && next->group < group) ++next;
    const bool is_listed = next != told.end() && next->group == group && !next->is_hint();
    is_all_listed = is_all_listed && is_listed;
    return !is_listed;
  });
  if (is_all_listed) slot.all_listed_at = leaders_version_;
}

void Groups::judge(Instant now, NodeId node, PairSlot& slot) {
  std::vector<GroupId> not_confirmed;
  for (const beats::Led& led : slot.pair.peer_leads()) {
    if (led.is_hint()) continue;
    const raft::Core* const core = find(led.group);
    if (core == nullptr || !core->confirms(led.leader, led.term)) not_confirmed.push_back(led.group);
  }
  step_pair(now, node, slot, beats::in::Judged{std::move(not_confirmed)});
}

void Groups::tell_confirmed(Instant now, NodeId node, const beats::Confirmed& confirmed) {
  const auto tell = [&](const beats::Led& led, bool is_confirmed) {
    raft::Core* const core = find(led.group);
    if (core == nullptr) return;
    const auto voter = core->configuration().find_on(node);
    if (!voter) return;
    if (is_confirmed) {
      run(now, *slots_[led.group.value],
          raft::in::LeadershipConfirmed{.voter = voter->replica, .term = led.term, .beat = confirmed.beat, .sent_us = confirmed.sent_us});
    } else {
      run(now, *slots_[led.group.value], raft::in::LeadershipRefused{.voter = voter->replica, .term = led.term});
    }
  };
  for (const beats::Led& led : confirmed.groups) tell(led, true);
  for (const beats::Led& led : confirmed.refused) tell(led, false);
}

// Who is told which leaderships; only what changed.
void Groups::tell_led(Instant now) {
  led_is_stale_ = false;
  std::map<NodeId, std::vector<beats::Led>> led_towards;
  for (const auto& slot : slots_) {
    if (slot == nullptr || slot->core.role() != raft::RoleName::kLeader) continue;
    const std::vector<raft::Member> members = slot->core.configuration().members();
    for (const auto& [node, pair] : pairs_) {
      const bool has_replica = std::any_of(members.begin(), members.end(),
                                           [&](const raft::Member& member) { return member.node == node; });
      led_towards[node].push_back({.group = slot->group,
                                   .leader = has_replica ? slot->core.options().self.replica : raft::ReplicaId(),
                                   .term = slot->core.term()});
    }
  }
  for (const auto& [node, slot] : pairs_) {
    std::vector<beats::Led>& led = led_towards[node];
    if (led == slot->led) continue;
    slot->led = led;
    step_pair(now, node, *slot, beats::in::LedChanged{std::move(led)});
  }
}

std::optional<NodeId> Groups::known_leader(GroupId group) const {
  raft::Term newest;
  std::optional<NodeId> leader;
  if (const raft::Core* const core = find(group)) {
    // A voter asks around when its leader is silent; a learner only goes on naming it, also when that says no more that it leads.
    const auto followed = core->role_state().leader;
    if (followed && followed->node == options_.self) return followed->node;
    if (followed && hears(followed->node)) leader = followed->node;
    newest = core->term();   // whoever led before that does not lead any more
  }
  for (const auto& [node, slot] : pairs_) {
    if (!slot->pair.peer_is_heard()) continue;
    const beats::Led* const led = slot->pair.peer_leads(group);
    if (led == nullptr || led->term < newest) continue;
    newest = led->term;
    leader = node;
  }
  return leader;
}

// ---- handing over ---------------------------------------------------------------------------------------

Groups::Successor Groups::successor(const raft::Core& leader, const raft::Progress& progress) const {
  const NodeId node = progress.member().node;
  if (node == options_.self || !progress.in_incoming || progress.is_silent) return Successor::kNo;
  const auto health = health_of(node);
  if (!health || health->is_draining) return Successor::kNo;
  const bool is_close = progress.match().value + kCloseWithin >= leader.last_index().value;
  // It would refuse (raft::in::Kept).
  const bool keeps_mode = health->kept >= leader.required_mode();
  if (!is_close || !keeps_mode || !leader.may_transfer(progress.member().replica)) return Successor::kNotYet;
  return health->is_fit() ? Successor::kAtOnce : Successor::kAtNeed;
}

bool Groups::has_successor(GroupId group) const {
  const raft::Core& core = *find(group);
  const std::span<const raft::Progress> progress = core.progress();
  return std::any_of(progress.begin(), progress.end(),
                     [&](const raft::Progress& each) { return successor(core, each) != Successor::kNo; });
}

bool Groups::could_succeed(const raft::Core& leader, const raft::Member& member, uint64_t behind_max) const {
  // An answer that was on its way when it fell silent may have come since: the core takes that for a sign of life.
  const auto health = health_of(member.node);
  const bool is_fit = health && !health->is_draining && health->kept >= leader.required_mode();
  return is_fit && is_ready_to_vote(leader, member, behind_max);
}

bool Groups::is_waited_for(GroupId group) const {
  const raft::Core& core = *find(group);
  const raft::Configuration& configuration = core.configuration();
  if (core.role() == raft::RoleName::kLeader || !configuration.joint()) return false;
  const raft::Half& before = *configuration.outgoing;
  return before.has(core.options().self.replica) && before.voters.size() - 1 < before.quorums().commit;
}

bool Groups::hand_over(Instant now, GroupId group, std::span<const NodeId> wished) {
  const raft::Core& core = *find(group);
  // The least comes first.  Nobody serves the group while a transfer lasts, so whoever has let one fail comes behind all who have not: it may
  // stand still, and its beats need not show that.
  using Rank = std::tuple<int64_t, bool, bool, bool, size_t>;
  std::optional<std::pair<Rank, raft::ReplicaId>> to;
  for (const raft::Progress& progress : core.progress()) {
    const Successor how = successor(core, progress);
    // Who must end takes the next best; a bad disk or clock is no better elsewhere.
    if (how != Successor::kAtOnce && !(how == Successor::kAtNeed && health_.is_draining)) continue;
    const auto place = static_cast<size_t>(std::find(wished.begin(), wished.end(), progress.member().node) - wished.begin());
    // What it lacks of what others have stored may take long to get there.
    const bool lags = progress.match() < core.commit_index();
    const Rank rank{progress.transfer_failed_us, how == Successor::kAtNeed, place == wished.size(), lags, place};
    if (!to || rank < to->first) to = {rank, progress.member().replica};
  }
  if (!to) return false;
  run(now, *slots_[group.value], raft::in::TransferLeadership{to->second});
  return true;
}

bool Groups::hand_over_to(Instant now, GroupId group, NodeId to) {
  const raft::Core& core = *find(group);
  for (const raft::Progress& progress : core.progress()) {
    if (progress.member().node != to || successor(core, progress) != Successor::kAtOnce) continue;
    run(now, *slots_[group.value], raft::in::TransferLeadership{progress.member().replica});
    return true;
  }
  return false;
}

// ---- peers ----------------------------------------------------------------------------------------------

void Groups::peer_event(Instant now, const PeerEvent& event) {
  const NodeId node{event.node};
  const auto pair = pairs_.find(node);
  if (pair == pairs_.end()) return;
  if (event.kind == PeerEvent::Kind::kRestarted) {
    // Its beats say so too, but those of the process before may never have been heard, and what that one had stored counts no more.
    step_all(now, raft::in::PeerRestarted{node}, [&](const raft::Core& core) { return core.configuration().find_on(node).has_value(); });
    return;
  }
  if (event.lane == PeerLane::kPubsub) return;
  if (event.lane == PeerLane::kBeats) {
    if (event.kind == PeerEvent::Kind::kUp) step_pair(now, node, *pair->second, beats::in::Connected{});
    if (event.kind == PeerEvent::Kind::kDown) step_pair(now, node, *pair->second, beats::in::Closed{});
  } else if (event.kind == PeerEvent::Kind::kUp) {
    step_all(now, raft::in::PeerConnected{node}, [&](const raft::Core& core) { return core.configuration().find_on(node).has_value(); });
  } else if (event.kind == PeerEvent::Kind::kDown && !pair->second->pair.peer_is_heard()) {
    // A leader that was followed for its appends alone.
    silence(now, node);
  }
}

Status Groups::receive(Instant now, NodeId from, PeerMessageKind kind, std::string_view bytes) {
  return kind == PeerMessageKind::kBeat ? receive_packet(now, from, bytes) : receive_message(now, from, bytes);
}

Status Groups::receive_message(Instant now, NodeId from, std::string_view bytes) {
  // In its place from the start: it is large, and nothing is sent more often.
  raft::Input input(std::in_place_type<raft::in::Receive>);
  raft::Message& message = std::get<raft::in::Receive>(input).message;
  TRY(raft::decode_message(bytes, message));
  if (!bytes.empty()) return Error(ErrorCode::kCorrupt, "group message: more than the end");
  const raft::Core* const core = find(message.group);
  const bool is_for_us = core != nullptr && message.to == core->options().self && message.from.node == from;
  if (!is_for_us) {
    ++messages_dropped_;
    return done();
  }
  run(now, *slots_[message.group.value], input);
  return done();
}

Status Groups::receive_packet(Instant now, NodeId from, std::string_view bytes) {
  TRY(beats::Packet packet, beats::decode_packet(bytes));
  if (!bytes.empty()) return Error(ErrorCode::kCorrupt, "beat: more than the end");
  const auto pair = pairs_.find(from);
  if (pair == pairs_.end()) {
    ++messages_dropped_;
    return done();
  }
  step_pair(now, from, *pair->second, beats::in::Receive{std::move(packet)});
  return done();
}

// ---- time, turns ----------------------------------------------------------------------------------------

void Groups::tick(Instant now) {
  // All pairs, so that their beats leave together.
  if (pairs_deadline() <= now.steady_us) {
    for (const auto& [node, slot] : pairs_) step_pair(now, node, *slot, beats::in::Timeout{});
  }
  if (cores_deadline() > now.steady_us) return;
  for (const auto& slot : slots_) {
    if (slot != nullptr && slot->deadline_us <= now.steady_us) run(now, *slot, raft::in::Timeout{});
  }
}

int64_t Groups::pairs_deadline() const {
  int64_t deadline = kNever;
  for (const auto& [node, slot] : pairs_) deadline = std::min(deadline, slot->pair.deadline());
  return deadline;
}

void Groups::set_deadline(Slot& slot, int64_t deadline_us) {
  const int64_t before_us = std::exchange(slot.deadline_us, deadline_us);
  if (!cores_deadline_us_) return;
  if (deadline_us <= *cores_deadline_us_) {
    cores_deadline_us_ = deadline_us;
  } else if (before_us == *cores_deadline_us_) {
    cores_deadline_us_.reset();  // another slot's may be the least now
  }
}

int64_t Groups::cores_deadline() const {
  if (!cores_deadline_us_) {
    cores_deadline_us_ = kNever;
    for (const auto& slot : slots_) {
      if (slot != nullptr) cores_deadline_us_ = std::min(*cores_deadline_us_, slot->deadline_us);
    }
  }
  return *cores_deadline_us_;
}

int64_t Groups::deadline() const { return std::min(pairs_deadline(), cores_deadline()); }

// What is not kept as the group wants it is not stored, until it is: then the most that was to be said to a member is true of all of it.
void Groups::hold_back(raft::Message message) {
  const auto before = std::find_if(held_.begin(), held_.end(), [&](const raft::Message& each) {
    return each.group == message.group && each.to == message.to;
  });
  if (before == held_.end()) return held_.push_back(std::move(message));
  if (match_of(message) > match_of(*before)) *before = std::move(message);
}

bool Groups::holds_back(GroupId group, NodeId to) const {
  return std::any_of(held_.begin(), held_.end(), [&](const raft::Message& each) { return each.group == group && each.to.node == to; });
}

// ... unless the log is another one since.
void Groups::release_held() {
  for (raft::Message& each : std::exchange(held_, {})) {
    const raft::Core& core = *find(each.group);
    if (is_true_of(core, each)) (core.keeps_mode() ? to_send_ : held_).push_back(std::move(each));
  }
}

void Groups::end_turn(Instant now, Peers& peers) {
  if (led_is_stale_) tell_led(now);
  if (round_wanted_) {
    round_wanted_ = false;
    for (const auto& [node, slot] : pairs_) step_pair(now, node, *slot, beats::in::RoundWanted{});
  }
  release_held();
  Buffer bytes;
  std::vector<SharedPart> large;
  std::vector<KnownLink> links;
  const auto link_to = [&](NodeId node) {
    for (const KnownLink& known : links) {
      if (known.node == node) return known.link;
    }
    return links.emplace_back(KnownLink{node, peers.link(node.value, PeerLane::kData)}).link;
  };
  for (raft::Message& message : to_send_) {
    const raft::Core* const from = acknowledges(message) ? find(message.group) : nullptr;
    if (from != nullptr && !from->keeps_mode() && !options_.mistakes.unkept_is_acknowledged) {
      if (is_true_of(*from, message)) hold_back(std::move(message));
      continue;
    }
    Link* const link = link_to(message.to.node);
    // Nobody is there: cores send again what matters.
    if (link == nullptr) continue;
    bytes.clear();
    large.clear();
    raft::encode(message, bytes, large);
    if (Link::size_of(bytes.view(), large) > Link::kMessageMax) {
      ++messages_dropped_;
      continue;
    }
    link->add(static_cast<uint64_t>(PeerMessageKind::kGroup), bytes.view(), large);
  }
  to_send_.clear();
  for (const auto& [node, slot] : pairs_) {
    if (slot->to_send.empty()) continue;
    Link* const link = peers.link(node.value, PeerLane::kBeats);
    for (const beats::Packet& packet : slot->to_send) {
      if (link == nullptr) break;
      bytes.clear();
      beats::encode(packet, bytes);
      link->add(static_cast<uint64_t>(PeerMessageKind::kBeat), bytes.view());
    }
    slot->to_send.clear();
  }
}

const std::vector<GroupWrite>& Groups::begin_record(uint64_t record) {
  CHECK(pending_.empty() || pending_.back().record < record);
  PendingRecord& pending = pending_.emplace_back(PendingRecord{.record = record, .writes = {}});
  if (!spare_records_.empty()) {
    pending.writes = std::move(spare_records_.back());
    spare_records_.pop_back();
  }
  pending.writes.swap(writes_);
  return pending.writes;
}

void Groups::keep_room_of(raft::DurableWrite& write) {
  const bool is_large = write.append.capacity() > kSpareRoomMax || write.then_send.capacity() > kSpareRoomMax;
  if (is_large || spare_writes_.size() == kSpareWritesMax) return;
  write.hard_state.reset();
  write.log_base.reset();
  write.append.clear();
  write.then_send.clear();
  spare_writes_.push_back(std::move(write));
}

void Groups::stored(Instant now, uint64_t record) {
  while (!pending_.empty() && pending_.front().record <= record) {
    PendingRecord done_with = std::move(pending_.front());
    pending_.pop_front();
    for (GroupWrite& each : done_with.writes) {
      std::move(each.write.then_send.begin(), each.write.then_send.end(), std::back_inserter(to_send_));
      if (!each.write.number.none() && find(each.group) != nullptr) {
        run(now, *slots_[each.group.value], raft::in::Persisted{each.write.number});
      }
      keep_room_of(each.write);
    }
    done_with.writes.clear();
    if (spare_records_.size() < kSpareRecordsMax && done_with.writes.capacity() <= kSpareWritesMax) {
      spare_records_.push_back(std::move(done_with.writes));
    }
  }
}

}  // namespace quorate

// One event at a time, in order of time; each is for one process, client or link.
#include "tests/sim/raft_world.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "util/check.h"

namespace quorate::sim {

namespace {

constexpr int64_t kConnectEveryUs = 50'000;
constexpr int64_t kWallStartMs = 1'700'000'000'000;
constexpr int64_t kStartUs = 1'000'000;  // of the world's clock

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15;
  return hash ^ (hash >> 29);
}

// Votes are shown in the log; other messages are too many.
std::string vote_line(const raft::Message& message) {
  static constexpr const char* kKinds[] = {"?", "pre-vote", "vote", "recovery-pre-vote",
                                           "recovery-vote"};
  const std::string to = "group " + std::to_string(message.group.value) + ": to n" +
                         std::to_string(message.to.node.value) + " ";
  if (const auto* const request = std::get_if<raft::RequestVote>(&message.body)) {
    return to + kKinds[static_cast<size_t>(request->kind)] + "? term " +
           std::to_string(request->proposed.value);
  }
  if (const auto* const answer = std::get_if<raft::VoteAnswer>(&message.body)) {
    return to + kKinds[static_cast<size_t>(answer->kind)] + " term " +
           std::to_string(answer->proposed.value) + " result " +
           std::to_string(static_cast<int>(answer->result));
  }
  return "";
}

std::string describe(const raft::Progress& member) {
  static constexpr const char* kStates[] = {"probe", "replicate", "snapshot"};
  char line[160];
  std::snprintf(line, sizeof(line),
                "replica %" PRIu64 ": %s match %" PRIu64 " next %" PRIu64 " told %" PRIu64 "%s%s",
                member.member().replica.value, kStates[static_cast<size_t>(member.state())],
                member.match().value, member.next_index().value, member.told_commit.value,
                member.is_silent ? " silent" : "", member.idle() ? "" : " waiting");
  return line;
}

// What of a parcel goes into the trace.
uint64_t summary(const Parcel& parcel) {
  uint64_t hash = parcel.index();
  if (const auto* const message = std::get_if<raft::Message>(&parcel)) {
    hash = mix(hash, message->body.index());
    hash = mix(hash, message->term.value * 1000 + message->group.value);
    if (const auto* const append = std::get_if<raft::Append>(&message->body)) {
      hash = mix(hash, append->prev_chain.value + append->entries.size());
    }
  } else if (const auto* const answer = std::get_if<Answer>(&parcel)) {
    hash = mix(hash, answer->output + static_cast<uint64_t>(answer->kind));
  }
  return hash;
}

}  // namespace

World::World(const RaftSimOptions& options, const RaftSwarm& swarm)
    : options_(options),
      swarm_(swarm),
      prng_(options.seed * 4 + 1),
      node_prng_(options.seed * 4 + 2),
      network_(swarm, options.seed * 4 + 3),
      clients_(*this, swarm_, options.seed * 4 + 4),
      computers_(swarm.nodes),
      now_us_(kStartUs) {
  create_groups();
  const auto drift = static_cast<uint64_t>(2 * swarm.drift_ppm + 1);
  for (uint32_t node = 0; node < swarm.nodes; ++node) {
    Computer& computer = computers_[node];
    computer.drift_ppm = static_cast<int64_t>(prng_.below(drift)) - swarm.drift_ppm;
    computer.wall_offset_ms = static_cast<int64_t>(prng_.below(2000)) - 1000;
    push({.at = now_us_ + static_cast<int64_t>(prng_.below(100'000)),
          .kind = EventKind::kStart,
          .node = node});
    for (uint32_t peer = 0; peer < node; ++peer) {
      push({.at = now_us_ + kConnectEveryUs,
            .kind = EventKind::kConnect,
            .node = node,
            .peer = peer});
    }
  }
  for (size_t fault = 0; fault < kFaultCount; ++fault) schedule(static_cast<Fault>(fault));
  clients_.start();
}

// Each group begins with the same voters on their disks.
void World::create_groups() {
  for (uint64_t group = 1; group <= swarm_.groups; ++group) {
    raft::Configuration configuration;
    configuration.durability = swarm_.durability;
    configuration.incoming.commit_quorum = swarm_.commit_quorum;
    for (uint32_t voter = 0; voter < swarm_.voters; ++voter) {
      const uint64_t node = 1 + (voter + group - 1) % swarm_.nodes;
      configuration.incoming.voters.push_back({.replica = {++last_replica_}, .node = {node}});
    }
    const raft::Restored restored = raft::bootstrap(configuration);
    oracle_.create_group({group}, restored.base.chain);
    auto first = std::make_shared<Machine>();
    first->finish(restored.base.last.index);
    for (const raft::Member& member : configuration.incoming.voters) {
      last_members_[{{group}, member.node}] = member;
      NodeDisk& disk = computers_[member.node.value - 1].disk;
      DiskRecord record{.group = {group}, .replica = member.replica, .hard = restored.hard_state};
      record.base = restored.base;
      record.snapshot = std::make_shared<const Machine>(first->snapshot());
      record.boot = 1;
      disk.write(std::move(record));
      disk.sync();
    }
  }
}

void World::run(int64_t until_us) {
  while (!queue_.empty() && queue_.next_at() <= until_us && oracle_.wrong().empty()) {
    Event event = queue_.pop();
    CHECK(event.at >= now_us_);
    now_us_ = event.at;
    ++events_count_;
    trace_ = mix(trace_, static_cast<uint64_t>(event.at));
    trace_ = mix(trace_, static_cast<uint64_t>(event.kind) * 64 + event.node);
    trace_ = mix(trace_, summary(event.parcel));
    handle(event);
  }
  now_us_ = std::max(now_us_, until_us);
}

void World::handle(Event& event) {
  switch (event.kind) {
    case EventKind::kTimer:
    case EventKind::kParcel:
    case EventKind::kRequest:
    case EventKind::kDiskWritten:
    case EventKind::kDiskSynced:
    case EventKind::kTurn:
    case EventKind::kClosed:
      handle_node(event);
      return;
    case EventKind::kConnect:
      try_connect(event.node, event.peer);
      push({.at = now_us_ + kConnectEveryUs,
            .kind = EventKind::kConnect,
            .node = event.node,
            .peer = event.peer});
      return;
    case EventKind::kDial:
      try_connect(event.node, event.peer);
      return;
    case EventKind::kStart:
      if (computers_[event.node].process == nullptr && !computers_[event.node].is_lost) start_node(event.node);
      return;
    case EventKind::kKill:
      if (computers_[event.node].life == event.life) bury(event.node);
      return;
    case EventKind::kClient:
      clients_.on_timer(event.node, event.at);
      return;
    case EventKind::kAnswer:
      clients_.on_answer(std::get<Answer>(event.parcel));
      return;
    case EventKind::kFault:
      if (healed_) return;
      strike(static_cast<Fault>(event.number));
      schedule(static_cast<Fault>(event.number));
      return;
    case EventKind::kCutOff:
      cut_off(event);
      return;
    case EventKind::kMend:
      return mend(event.number);
    case EventKind::kFlap:
      turn_link(event);
      return;
    case EventKind::kQuickRestart:
      finish_quick_restart(event);
      return;
    case EventKind::kGiveUp:
      give_up(event.node);
      return;
  }
}

void World::handle_node(Event& event) {
  Computer& computer = computers_[event.node];
  const bool is_gone = computer.process == nullptr ||
                       (event.kind != EventKind::kRequest && event.life != computer.life);
  if (is_gone) {
    if (event.kind == EventKind::kClosed) --closes_coming_[{event.node, event.peer}];
    return;
  }
  const bool is_disk =
      event.kind == EventKind::kDiskWritten || event.kind == EventKind::kDiskSynced;
  const int64_t resumes_us =
      std::max(computer.paused_until_us, is_disk ? computer.disk_stalled_until_us : 0);
  if (resumes_us > now_us_) {
    event.at = resumes_us;
    push(std::move(event));
    return;
  }
  const auto* const parcel = std::get_if<raft::Message>(&event.parcel);
  if (event.kind == EventKind::kParcel && parcel != nullptr) let_fall(event.node, *parcel);
  Process& process = *computer.process;
  switch (event.kind) {
    case EventKind::kTimer:
      if (event.at < computer.timer_at_us) return;
      computer.timer_at_us = kNever;
      process.on_timer();
      break;
    case EventKind::kParcel:
      process.on_parcel({event.peer + uint64_t{1}}, event.incarnation, event.parcel);
      break;
    case EventKind::kRequest:
      process.on_parcel({}, {}, event.parcel);
      break;
    case EventKind::kDiskWritten:
      process.on_disk_written();
      break;
    case EventKind::kDiskSynced:
      process.on_disk_synced();
      break;
    case EventKind::kTurn:
      process.on_turn();
      break;
    case EventKind::kClosed:
      --closes_coming_[{event.node, event.peer}];
      process.on_closed({event.peer + uint64_t{1}});
      break;
    case EventKind::kConnect:
    case EventKind::kDial:
    case EventKind::kStart:
    case EventKind::kKill:
    case EventKind::kClient:
    case EventKind::kAnswer:
    case EventKind::kFault:
    case EventKind::kCutOff:
    case EventKind::kMend:
    case EventKind::kFlap:
    case EventKind::kQuickRestart:
    case EventKind::kGiveUp:
      CHECK(false);
  }
  after(event.node);
}

// What every call of a process ends with.
void World::after(uint32_t node) {
  if (computers_[node].process->is_dead()) {
    bury(node);
  } else {
    arm_timer(node);
  }
}

void World::arm_timer(uint32_t node) {
  Computer& computer = computers_[node];
  const int64_t deadline = computer.process->deadline();
  if (deadline == kNever) return;
  const int64_t at = std::max(now_us_ + 1, world_us(computer, deadline));
  if (at >= computer.timer_at_us && computer.timer_at_us > now_us_) return;
  computer.timer_at_us = at;
  push({.at = at, .kind = EventKind::kTimer, .node = node, .life = computer.life});
}

void World::start_node(uint32_t node) {
  Computer& computer = computers_[node];
  ++computer.life;
  ++computer.disk.incarnation;
  computer.timer_at_us = kNever;
  computer.dies_after = -1;
  computer.power_fails = false;
  log({node + uint64_t{1}}, "starts");
  computer.process =
      std::make_unique<Process>(*this, computer.disk,
                                ProcessOptions{.node = {node + uint64_t{1}},
                                               .nodes = swarm_.nodes,
                                               .incarnation = {computer.disk.incarnation},
                                               .boot = computer.boot,
                                               .seed = node_prng_.next(),
                                               .durability = swarm_.durability,
                                               .window_bytes_max = swarm_.window_bytes_max,
                                               .append_bytes_max = swarm_.append_bytes_max,
                                               .can_undo = !swarm_.keeps_executed,
                                               .loads_slowly = swarm_.loads_slowly,
                                               .mistakes = options_.mistakes,
                                               .driver_mistakes = options_.driver_mistakes});
  computer.process->start();
  after(node);
  for (uint32_t peer = 0; peer < swarm_.nodes; ++peer) {
    if (peer == node) continue;
    const int64_t dialled_us = now_us_ + 1 + 2 * swarm_.delay_us;
    push({.at = dialled_us, .kind = EventKind::kDial, .node = node, .peer = peer});
  }
}

// The process is gone; its connections close, which those that can be reached see.
void World::bury(uint32_t node) {
  Computer& computer = computers_[node];
  if (computer.process == nullptr) return;
  ++crashes_;
  log({node + uint64_t{1}}, computer.power_fails ? "loses power" : "dies");
  computer.process->die(node_prng_);
  computer.process.reset();
  ++computer.life;
  computer.paused_until_us = 0;
  if (computer.power_fails) {
    computer.disk.lose_power(node_prng_);
    ++computer.boot;
    computer.booted_us = now_us_;
  }
  for (uint32_t peer = 0; peer < swarm_.nodes; ++peer) {
    if (peer == node || !network_.connected(node, peer)) continue;
    network_.disconnect(node, peer);
    // A machine without power closes nothing.
    if (computer.power_fails || !network_.reaches(node, peer)) continue;
    tell_closed(peer, node, now_us_ + swarm_.delay_us);
  }
}

void World::try_connect(uint32_t a, uint32_t b) {
  Computer& first = computers_[a];
  Computer& second = computers_[b];
  if (network_.connected(a, b) || first.process == nullptr || second.process == nullptr) return;
  if (!network_.reaches(a, b) || !network_.reaches(b, a)) return;
  if (std::max(first.paused_until_us, second.paused_until_us) > now_us_) return;
  // Who has not heard that the last connection is gone would take this one for it.
  if (closes_coming_[{a, b}] > 0 || closes_coming_[{b, a}] > 0) return;
  network_.connect(a, b);
  first.process->on_connected({b + uint64_t{1}});
  after(a);
  if (second.process == nullptr || !network_.connected(a, b)) return;
  second.process->on_connected({a + uint64_t{1}});
  after(b);
}

void World::close_connection(uint32_t a, uint32_t b) {
  if (!network_.connected(a, b)) return;
  network_.disconnect(a, b);
  tell_closed(a, b, now_us_ + 1);
  tell_closed(b, a, now_us_ + 1);
}

void World::tell_closed(uint32_t node, uint32_t peer, int64_t at_us) {
  ++closes_coming_[{node, peer}];
  push({.at = at_us,
        .kind = EventKind::kClosed,
        .node = node,
        .peer = peer,
        .life = computers_[node].life});
}

int64_t World::steady_us(const Computer& computer) const {
  const int64_t up_us = now_us_ - computer.booted_us;
  return up_us + up_us * computer.drift_ppm / 1'000'000;
}

// The first instant at which the computer's clock shows `steady_us`, or a little later.
int64_t World::world_us(const Computer& computer, int64_t steady) const {
  const int64_t up_us =
      steady / (1'000'000 + computer.drift_ppm) * 1'000'000 +
      steady % (1'000'000 + computer.drift_ppm) * 1'000'000 / (1'000'000 + computer.drift_ppm);
  return computer.booted_us + up_us + 50;
}

// ---- Host

Instant World::now(raft::NodeId node) {
  const Computer& computer = computers_[node.value - 1];
  return {.steady_us = steady_us(computer),
          .unix_ms = kWallStartMs + now_us_ / 1000 + computer.wall_offset_ms};
}

void World::send(raft::NodeId from, raft::NodeId to, Parcel parcel) {
  const auto sender = static_cast<uint32_t>(from.value - 1);
  const auto receiver = static_cast<uint32_t>(to.value - 1);
  CHECK(sender != receiver);
  const auto lane =
      std::holds_alternative<beats::Packet>(parcel) ? Network::Lane::kBeats : Network::Lane::kData;
  if (std::holds_alternative<SnapshotParcel>(parcel)) ++snapshots_;
  if (options_.log && std::holds_alternative<raft::Message>(parcel)) {
    const std::string line = vote_line(std::get<raft::Message>(parcel));
    if (!line.empty()) log(from, line);
  }
  const Network::Delivery delivery = network_.deliver(sender, receiver, lane, now_us_);
  Event event{.kind = EventKind::kParcel,
              .node = receiver,
              .peer = sender,
              .life = computers_[receiver].life,
              .incarnation = {computers_[sender].disk.incarnation}};
  if (delivery.second) {
    event.at = *delivery.second;
    event.parcel = parcel;
    push(event);
  }
  if (delivery.first) {
    event.at = *delivery.first;
    event.parcel = std::move(parcel);
    push(std::move(event));
  }
}

void World::answer(raft::NodeId, const Answer& answer) {
  const auto at = network_.deliver_to_client(now_us_);
  if (at) push({.at = *at, .kind = EventKind::kAnswer, .node = answer.client, .parcel = answer});
}

void World::disk_wanted(raft::NodeId node, bool has_records, bool needs_sync) {
  const auto index = static_cast<uint32_t>(node.value - 1);
  const int64_t usual_us = needs_sync ? swarm_.disk_us * 4 : swarm_.disk_us;
  const int64_t delay_us =
      has_records ? 1 + static_cast<int64_t>(node_prng_.below(static_cast<uint64_t>(2 * usual_us)))
                  : 1;
  push({.at = now_us_ + delay_us,
        .kind = needs_sync ? EventKind::kDiskSynced : EventKind::kDiskWritten,
        .node = index,
        .life = computers_[index].life});
}

void World::turn_wanted(raft::NodeId node) {
  const auto index = static_cast<uint32_t>(node.value - 1);
  push({.at = now_us_ + 1 + static_cast<int64_t>(node_prng_.below(200)),
        .kind = EventKind::kTurn,
        .node = index,
        .life = computers_[index].life});
}

bool World::dies_here(raft::NodeId node) {
  int64_t& left = computers_[node.value - 1].dies_after;
  if (left < 0) return false;
  return left-- == 0;
}

void World::leader_elected(const raft::Core& core) {
  check_given_up(core);
  check_leases(core.options().group, &core);
  if (now_us_ >= young_leaders_fall_until_us_ || core.options().group != young_group_) return;
  young_leader_elected(core);
}

void World::lease_used(const raft::Core& core) { check_leases(core.options().group, nullptr); }

// I13: at most one replica believes that it may answer reads by itself.  Nobody is elected while
// another one does (it could commit before that one's lease ends).
void World::check_leases(raft::GroupId group, const raft::Core* elected) {
  const raft::Core* holder = elected;
  for (Computer& computer : computers_) {
    raft::Core* const core = computer.process == nullptr ? nullptr : computer.process->core(group);
    if (core == nullptr || core == elected || core->role() != raft::RoleName::kLeader) continue;
    if (core->lease_until_us() <= steady_us(computer)) continue;
    // Its votes came late, others lead in a higher term already: it will get no lease.
    if (elected != nullptr && elected->term() < core->term()) continue;
    if (holder != nullptr) {
      oracle_.fail("I13: two hold the lease of group " + std::to_string(group.value) + ": terms " +
                   std::to_string(holder->term().value) + " and " +
                   std::to_string(core->term().value));
    }
    holder = core;
  }
}

uint32_t World::forgetful_voters(const raft::Core& core) {
  uint32_t count = 0;
  for (const raft::Member& member : core.configuration().voters()) {
    NodeDisk& disk = computers_[member.node.value - 1].disk;
    const auto owes = disk.owes_recovery.find(core.options().group);
    if (owes != disk.owes_recovery.end() && owes->second) ++count;
  }
  return count;
}

void World::log(raft::NodeId node, const std::string& text) {
  if (!options_.log) return;
  std::printf("%10.3f ms  n%" PRIu64 " > %s\n", static_cast<double>(now_us_ - kStartUs) / 1000,
              node.value, text.c_str());
}

// ---- ClientHost

void World::send_request(raft::NodeId to, const GroupRequest& request) {
  const auto at = network_.deliver_to_client(now_us_);
  if (!at) return;
  push({.at = *at,
        .kind = EventKind::kRequest,
        .node = static_cast<uint32_t>(to.value - 1),
        .parcel = request});
}

void World::wake_client(uint32_t client, int64_t at_us) {
  push({.at = at_us, .kind = EventKind::kClient, .node = client});
}

// ---- the end

void World::heal() {
  healed_ = true;
  network_.calm();
  cuts_.clear();
  // Between nodes nothing is lost but with its connection, after which all is said again (REPLICATION.md, "What a driver must keep"): so
  // those on which single messages were lost are made anew.
  for (uint32_t a = 0; swarm_.loss > 0 && a < swarm_.nodes; ++a) {
    for (uint32_t b = a + 1; b < swarm_.nodes; ++b) close_connection(a, b);
  }
  for (uint32_t node = 0; node < swarm_.nodes; ++node) {
    Computer& computer = computers_[node];
    computer.dies_after = -1;
    computer.paused_until_us = std::min(computer.paused_until_us, now_us_);
    computer.disk_stalled_until_us = std::min(computer.disk_stalled_until_us, now_us_);
    if (computer.process == nullptr) {
      push({.at = now_us_ + 1 + static_cast<int64_t>(prng_.below(100'000)),
            .kind = EventKind::kStart,
            .node = node});
    }
  }
}

std::string World::describe_replicas(raft::GroupId group) {
  std::string text;
  for (Computer& computer : computers_) {
    const raft::Core* const core =
        computer.process == nullptr ? nullptr : computer.process->core(group);
    if (core == nullptr) continue;
    char line[300];
    const raft::Position position = core->position();
    std::snprintf(
        line, sizeof(line),
        "\n  n%" PRIu64 " replica %" PRIu64 ": %s%s term %" PRIu64 " log %" PRIu64 "/%" PRIu64
        "/%" PRIu64 " committed %" PRIu64 " configuration at %" PRIu64 "/%" PRIu64 "/%" PRIu64 ": ",
        core->options().self.node.value, core->options().self.replica.value,
        core->standing() == raft::Standing::kRecovering ? "recovering " : "",
        core->role() == raft::RoleName::kLeader     ? "leader"
        : core->role() == raft::RoleName::kFollower ? "follower"
                                                    : "candidate",
        core->term().value, position.epoch.value, position.term.value, position.index.value,
        core->commit_index().value, core->configuration_at().epoch.value,
        core->configuration_at().term.value, core->configuration_at().index.value);
    text += line + raft::describe(core->configuration());
    for (const raft::Progress& member : core->progress()) text += "\n    " + describe(member);
  }
  return text;
}

bool World::has_settled() { return describe_unsettled().empty(); }

std::string World::describe_unsettled() {
  for (uint64_t id = 1; id <= swarm_.groups; ++id) {
    const raft::GroupId group{id};
    const std::string name = "group " + std::to_string(id) + ": ";
    raft::Core* const leader = find_leader(group);
    if (leader == nullptr) return name + "no leader" + describe_replicas(group);
    if (leader->configuration().joint())
      return name + "joint configuration" + describe_replicas(group);
    if (leader->commit_index() != leader->last_index()) return name + "uncommitted entries";
    const Machine& state = *process(leader->options().self.node)->machine(group);
    for (const raft::Member& member : leader->configuration().members()) {
      const std::string replica = name + "replica " + std::to_string(member.replica.value);
      Process* const host = process(member.node);
      raft::Core* const core = host == nullptr ? nullptr : host->core(group);
      if (core == nullptr) return replica + " is not there" + describe_replicas(group);
      if (core->options().self.replica != member.replica) return replica + " is another";
      if (host->machine(group)->index() != leader->last_index()) {
        return replica + " has " + std::to_string(host->machine(group)->index().value) + " of " +
               std::to_string(leader->last_index().value) + describe_replicas(group);
      }
      if (host->machine(group)->hash() != state.hash()) {
        oracle_.fail("I6: " + replica + " differs from its leader at the end");
      }
    }
  }
  return "";
}

const Machine& World::state_of(raft::GroupId group) {
  return *process(find_leader(group)->options().self.node)->machine(group);
}

}  // namespace quorate::sim

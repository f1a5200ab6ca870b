// One event at a time, in order of time.  Inputs of a node that come close together are dealt with
// in one turn, as a server's loop does.
#include "tests/sim/cluster_world.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <set>

#include "node/company.h"
#include "node/state.h"
#include "util/check.h"
#include "util/hash.h"

namespace quorate::sim {

namespace {

constexpr int64_t kWallStartMs = 1'700'000'000'000;
constexpr int64_t kStartUs = 1'000'000;  // of the world's clock
constexpr int64_t kComparisonUs = 500'000;
constexpr uint64_t kTurnUsMax = 100;
constexpr uint64_t kDrainUsMax = 500;
// A process is started again after this: one that has ended, and one that was killed.
constexpr int64_t kRestartUs = 100'000;
constexpr int64_t kQuickRestartUs = 5'000;

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15;
  return hash ^ (hash >> 29);
}

Company& company_of(SimNode& node) { return node.node().state().company; }

}  // namespace

ClusterWorld::ClusterWorld(const ClusterSimOptions& options, const ClusterSwarm& swarm)
    : options_(options),
      swarm_(swarm),
      prng_(options.seed * 4 + 1),
      node_prng_(options.seed * 4 + 2),
      network_(*this, swarm_, options.seed * 4 + 3),
      clients_(*this, swarm_, options.seed * 4 + 4),
      pubsub_(*this, swarm_, swarm.clients, options.seed * 4 + 5),
      operator_(*this, options.seed * 4 + 6),
      line_of_(operator_number() + 1, 0),
      now_us_(kStartUs),
      next_comparison_us_(kStartUs),
      served_us_(swarm.partitions, kStartUs) {
  const auto drift = static_cast<uint64_t>(2 * swarm.drift_ppm + 1);
  for (uint32_t number = 0; number < size(); ++number) {
    machines_.push_back(std::make_unique<Machine>(node_prng_.next(), network_, number));
    Machine& machine = *machines_.back();
    machine.drift_ppm = static_cast<int64_t>(prng_.below(drift)) - swarm.drift_ppm;
    machine.wall_offset_ms = static_cast<int64_t>(prng_.below(400)) - 200;
    const auto spread = static_cast<uint64_t>(swarm.boot_spread_us + 1);
    push({.at = now_us_ + static_cast<int64_t>(number == 0 ? 0 : prng_.below(spread)),
          .kind = EventKind::kStart,
          .machine = number});
  }
  for (size_t fault = 0; fault < kClusterFaultCount; ++fault)
    schedule(static_cast<ClusterFault>(fault));
}

void ClusterWorld::run(int64_t until_us) {
  while (!queue_.empty() && queue_.next_at() <= until_us && wrong().empty()) {
    Event event = queue_.pop();
    CHECK(event.at >= now_us_);
    now_us_ = event.at;
    ++event_count_;
    trace_ = mix(trace_, static_cast<uint64_t>(event.at));
    trace_ = mix(trace_, static_cast<uint64_t>(event.kind) * 64 + event.machine);
    trace_ = mix(trace_, event.number);
    handle(event);
    if (now_us_ >= next_comparison_us_) compare_copies();
  }
  now_us_ = std::max(now_us_, until_us);
}

// ---- events

void ClusterWorld::handle(Event& event) {
  switch (event.kind) {
    case EventKind::kWire:
      return network_.run(event.number);
    case EventKind::kTurn:
    case EventKind::kTimer:
    case EventKind::kDisk:
    case EventKind::kDrain:
    case EventKind::kLost:
    case EventKind::kRequest:
    case EventKind::kHangUp:
    case EventKind::kSave:
      return handle_node(event);
    case EventKind::kStart:
      if (machines_[event.machine]->node != nullptr) return;
      check_absence(event.machine);
      return start_node(event.machine);
    case EventKind::kKill:
      if (machines_[event.machine]->life == event.life) bury(event.machine);
      return;
    case EventKind::kAbsent:
      if (machines_[event.machine]->life != event.life) return;
      check_absence(event.machine);
      return look_again_at_absence(event.machine);
    case EventKind::kClient:
      return wake(static_cast<uint32_t>(event.number), event.at);
    case EventKind::kAnswer:
    case EventKind::kClosed:
      return handle_client(event);
    case EventKind::kFault:
      if (healed_) return;
      strike(static_cast<ClusterFault>(event.number));
      return schedule(static_cast<ClusterFault>(event.number));
    case EventKind::kMend:
      return mend(event.number);
    case EventKind::kDiskRoom: {
      Machine& machine = *machines_[event.machine];
      machine.disk.heal();
      machine.is_full = false;
      return;
    }
  }
}

void ClusterWorld::wake(uint32_t client, int64_t at_us) {
  if (client == operator_number()) return operator_.on_timer(at_us);
  if (client >= swarm_.clients) return pubsub_.on_timer(client, at_us);
  clients_.on_timer(client, at_us);
}

void ClusterWorld::handle_node(Event& event) {
  Machine& machine = *machines_[event.machine];
  const bool is_of_client = event.kind == EventKind::kRequest || event.kind == EventKind::kHangUp;
  if (!is_of_client && (machine.node == nullptr || event.life != machine.life)) return;
  const int64_t stalled_us = event.kind == EventKind::kDisk ? machine.disk_stalled_until_us : 0;
  const int64_t resumes_us = std::max(machine.paused_until_us, stalled_us);
  if (resumes_us > now_us_) {
    event.at = resumes_us;
    return push(std::move(event));
  }
  if (machine.node != nullptr) show_clock(machine);
  switch (event.kind) {
    case EventKind::kTurn:
      return end_turn(event.machine);
    case EventKind::kTimer:
      if (event.at < machine.timer_at_us) return;
      machine.timer_at_us = INT64_MAX;
      machine.node->tick_if_due();
      break;
    case EventKind::kDisk: {
      const auto lane = static_cast<DiskLane>(event.number);
      machine.lane_is_busy[event.number] = false;
      machine.node->take_disk_step(lane);
      break;
    }
    case EventKind::kDrain:
      machine.node->drain_socket(static_cast<int>(event.number));
      break;
    case EventKind::kLost:
      machine.node->node().peer_lost(machine.node->now(), event.number);
      break;
    case EventKind::kRequest:
      return on_request(event);
    case EventKind::kHangUp:
      return on_hang_up(event);
    case EventKind::kSave:
      return save(event.machine);
    case EventKind::kWire:
    case EventKind::kStart:
    case EventKind::kKill:
    case EventKind::kClient:
    case EventKind::kAnswer:
    case EventKind::kClosed:
    case EventKind::kFault:
    case EventKind::kMend:
    case EventKind::kDiskRoom:
    case EventKind::kAbsent:
      CHECK(false);
  }
  input(event.machine);
}

// ---- a node's turns

// The node has had an input: its turn ends before long.
void ClusterWorld::input(uint32_t number) {
  Machine& machine = *machines_[number];
  if (machine.has_turn) return;
  machine.has_turn = true;
  const int64_t slow_us = std::exchange(machine.slow_turn_us, 0);
  push({.at = now_us_ + 1 + slow_us + static_cast<int64_t>(node_prng_.below(kTurnUsMax)),
        .kind = EventKind::kTurn,
        .machine = number,
        .life = machine.life});
}

void ClusterWorld::end_turn(uint32_t number) {
  Machine& machine = *machines_[number];
  machine.has_turn = false;
  machine.node->end_turn();
  after_turn(number);
}

void ClusterWorld::after_turn(uint32_t number) {
  Machine& machine = *machines_[number];
  if (machine.node->is_dead()) return bury(number);
  collect_answers(number);
  if (machine.node->has_ended()) {
    if (machine.shall_end && machine.node->has_ended_well()) return bury(number);
    if (machine.sync_fails) return bury(number);
    const auto& lines = machine.node->log_lines();
    oracle_.fail("n" + std::to_string(number + 1) +
                 " has ended by itself: " + (lines.empty() ? "says nothing" : lines.back()));
    return;
  }
  start_disk(number);
  arm_timer(number);
  check_invariants(number);
  if (swarm_.dead_after_ms > 0) count_dead(number);
}

// As whoever leads the members knows it.
void ClusterWorld::count_dead(uint32_t number) {
  Company& company = company_of(*machines_[number]->node);
  if (!company.is_started() || company.is_alone() || !company.cluster().meta().may_decree({})) return;
  const std::vector<NodeId>& dead = company.cluster().state().dead();
  if (dead == dead_) return;
  for (const NodeId node : dead) {
    if (std::find(dead_.begin(), dead_.end(), node) == dead_.end()) ++died_;
  }
  dead_ = dead;
}

void ClusterWorld::start_disk(uint32_t number) {
  Machine& machine = *machines_[number];
  for (size_t lane = 0; lane < kDiskLaneCount; ++lane) {
    const DiskRequest* const request = machine.node->next_request(static_cast<DiskLane>(lane));
    if (machine.lane_is_busy[lane] || request == nullptr) continue;
    machine.lane_is_busy[lane] = true;
    const bool syncs =
        request->op == DiskRequest::Op::kSync || request->op == DiskRequest::Op::kSyncDirectory;
    const int64_t usual_us = syncs ? swarm_.disk_us * 4 : swarm_.disk_us;
    push({.at = now_us_ + 1 +
                static_cast<int64_t>(node_prng_.below(static_cast<uint64_t>(2 * usual_us))),
          .kind = EventKind::kDisk,
          .machine = number,
          .life = machine.life,
          .number = lane});
  }
}

void ClusterWorld::arm_timer(uint32_t number) {
  Machine& machine = *machines_[number];
  const int64_t deadline = machine.node->deadline_us();
  if (deadline == kNever) return;
  const int64_t at = std::max(now_us_ + 1, world_us(machine, deadline));
  if (at >= machine.timer_at_us && machine.timer_at_us > now_us_) return;
  machine.timer_at_us = at;
  push({.at = at, .kind = EventKind::kTimer, .machine = number, .life = machine.life});
}

std::string ClusterWorld::config(uint32_t number) const {
  std::string text = swarm_.in_memory ? "appendonly no\n" : "appendonly yes\n";
  text += "save \"\"\nprotected-mode no\ndatabases 1\nport 7001\n";
  text += "appendfsync " + swarm_.appendfsync + "\n";
  text += "partitions " + std::to_string(swarm_.partitions) + "\n";
  text += "replication-n " + std::to_string(swarm_.replication) + "\n";
  if (swarm_.min_zones > 0) {
    text += "zone z" + std::to_string(zone_of(number)) + "\nmin-zones " + std::to_string(swarm_.min_zones) + "\n";
  }
  text += "auto-aof-rewrite-min-size " + std::to_string(swarm_.rewrite_min_bytes) + "\n";
  if (swarm_.dead_after_ms > 0) text += "node-dead-after " + std::to_string(swarm_.dead_after_ms) + "\n";
  text += "state-check-seconds " + std::to_string(swarm_.state_check_s) + "\n";
  text += "cluster-announce-ip " + ClusterNetwork::host_of(number) + "\n";
  if (machines_[number]->is_new) {
    std::string all;
    for (uint32_t other = 0; other < size(); ++other) {
      if (other != number) all += (all.empty() ? "" : ",") + ClusterNetwork::host_of(other) + ":7001";
    }
    text += "join " + all + "\n";
  } else if (number != 0) {
    text += "join " + ClusterNetwork::host_of(0) + ":7001\n";
  }
  return text;
}

void ClusterWorld::start_node(uint32_t number) {
  Machine& machine = *machines_[number];
  if (!machine.has_power) {
    machine.booted_us = now_us_;
    ++machine.boots;
  }
  machine.has_power = true;
  machine.started_us = now_us_;
  ++machine.life;
  machine.timer_at_us = INT64_MAX;
  machine.has_turn = false;
  machine.lane_is_busy = {};
  machine.power_fails = false;
  machine.shall_end = false;
  machine.left_us.reset();
  machine.own_line = -1;
  log(number, "starts");
  raft::Options group;
  if (swarm_.append_bytes_max > 0) group.append_bytes_max = swarm_.append_bytes_max;
  machine.node = std::make_unique<SimNode>(
      machine.disk,
      SimNode::Options{.seed = node_prng_.next(),
                       .config = config(number),
                       .now = clock(machine),
                       .group = group,
                       .mistakes = options_.mistakes,
                       .start_facts = {.boot_id = {static_cast<char>(number + 1), static_cast<char>(machine.boots)},
                                       .directory_inode = number + 1},
                       .carrier = &machine.carrier,
                       .on_log = [this, number](std::string_view line) { log(number, line); }});
  const Status recovered = machine.node->recover();
  if (!recovered.ok()) {
    machine.node.reset();
    return oracle_.fail("n" + std::to_string(number + 1) +
                        " does not start: " + std::string(recovered.error().detail()));
  }
  check_losses(number);
  machine.node->start();
  machine.node_name = node_name(machine.node->node().state().identity.id);
  input(number);
}

// Who ends in good order leaves everything to others that can go on without it.
void ClusterWorld::check_absence(uint32_t number) {
  constexpr int64_t kTakenOverUs = 1'000'000;
  const Machine& machine = *machines_[number];
  if (!machine.left_us || machine.node != nullptr || healed_) return;
  for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
    if (std::max(served_us_[partition], *machine.left_us) + kTakenOverUs >= now_us_) continue;
    oracle_.fail("n" + std::to_string(number + 1) + " has ended in good order, and nobody serves partition " + std::to_string(partition) +
                 describe_partition(partition));
  }
}

void ClusterWorld::look_again_at_absence(uint32_t number) {
  constexpr int64_t kAgainUs = 250'000;
  push({.at = now_us_ + kAgainUs, .kind = EventKind::kAbsent, .machine = number, .life = machines_[number]->life});
}

// What has been told of losses is told for ever.
void ClusterWorld::check_losses(uint32_t number) {
  const Losses& losses = company_of(*machines_[number]->node).losses();
  for (const Loss& told : machines_[number]->told_losses) {
    bool is_told = losses.of(told.kind).size() == Losses::kKeptMax;
    losses.each([&](const Loss& loss) { is_told = is_told || loss.tells_as(told); });
    if (!is_told) {
      return oracle_.fail("n" + std::to_string(number + 1) + " has forgotten a loss of partition " + std::to_string(told.partition) +
                          " in term " + std::to_string(told.term));
    }
  }
}

void ClusterWorld::remember_losses(uint32_t number) {
  Machine& machine = *machines_[number];
  Company& company = company_of(*machine.node);
  // What has not got to the disk may be forgotten.
  if (!company.loss_file().is_settled()) return;
  machine.told_losses.clear();
  company.losses().each([&](const Loss& loss) { machine.told_losses.push_back(loss); });
}

// The process is gone.
void ClusterWorld::bury(uint32_t number) {
  Machine& machine = *machines_[number];
  if (machine.node == nullptr) return;
  ++crashes_;
  last_crash_us_ = now_us_;
  log(number, machine.power_fails ? "loses power" : machine.node->has_ended() ? "has ended" : "dies");
  if (!machine.is_full) machine.node->tear_writes(node_prng_);
  const bool has_left = swarm_.is_gentle && machine.shall_end && machine.node->has_ended_well();
  if (has_left) machine.left_us = now_us_;
  snapshots_ += machine.node->renames();
  if (company_of(*machine.node).is_started()) state_checks_ += company_of(*machine.node).cluster().partitions().check().counts().rounds;
  remember_losses(number);
  const int64_t restart_us = machine.node->has_ended() ? kRestartUs : kQuickRestartUs;
  machine.node.reset();
  ++machine.life;
  if (has_left) look_again_at_absence(number);
  machine.paused_until_us = 0;
  machine.disk.heal();
  machine.is_full = machine.sync_fails = false;
  if (machine.power_fails) {
    machine.disk.crash();
    machine.has_power = false;
  }
  network_.bury(number, machine.power_fails ? ClusterNetwork::Death::kPowerCut
                                            : ClusterNetwork::Death::kKilled);
  for (auto& [id, line] : lines_) {
    // Without power nothing is closed: the client finds out.
    if (line.machine == number && line.life != 0 && !machine.power_fails) tell_closed(id, line);
  }
  push({.at = now_us_ + std::max(machine.down_us, restart_us),
        .kind = EventKind::kStart,
        .machine = number});
}

Instant ClusterWorld::clock(const Machine& machine) const {
  const int64_t up_us = now_us_ - machine.booted_us;
  return {.steady_us = up_us + up_us * machine.drift_ppm / 1'000'000,
          .unix_ms = kWallStartMs + now_us_ / 1000 + machine.wall_offset_ms};
}

// Inputs carry the time at which their turn began; only its end sees what the clock shows by then.
void ClusterWorld::show_clock(Machine& machine) {
  const Instant now = clock(machine);
  machine.node->set_clock(now.steady_us);
  if (!machine.has_turn) machine.node->set_now(now);
}

// The first instant at which the machine's clock shows `steady_us`, or a little later.
int64_t ClusterWorld::world_us(const Machine& machine, int64_t steady_us) const {
  const int64_t rate = 1'000'000 + machine.drift_ppm;
  return machine.booted_us + steady_us / rate * 1'000'000 + steady_us % rate * 1'000'000 / rate +
         50;
}

void ClusterWorld::log(uint32_t number, std::string_view text) {
  if (!options_.log) return;
  std::printf("%10.3f ms  n%" PRIu32 " > %.*s\n", static_cast<double>(now_us_ - kStartUs) / 1000,
              number + 1, static_cast<int>(text.size()), text.data());
}

// ---- connections between nodes

void ClusterWorld::wake_wire(uint64_t wire, int64_t at_us) {
  push({.at = at_us, .kind = EventKind::kWire, .number = wire});
}

uint64_t ClusterWorld::life_of(uint32_t machine) {
  return machines_[machine]->node == nullptr ? 0 : machines_[machine]->life;
}

ConnectionId ClusterWorld::accept(uint32_t number) {
  Machine& machine = *machines_[number];
  show_clock(machine);
  input(number);
  return machine.node->node().peer_accepted(machine.node->now());
}

void ClusterWorld::dialled(uint32_t number, ConnectionId connection) {
  Machine& machine = *machines_[number];
  show_clock(machine);
  input(number);
  machine.node->node().peer_dialled(machine.node->now(), connection);
}

void ClusterWorld::received(uint32_t number, ConnectionId connection, std::string_view bytes) {
  Machine& machine = *machines_[number];
  trace_ = mix(trace_, bytes.size());
  show_clock(machine);
  input(number);
  machine.node->node().peer_received(machine.node->now(), connection, bytes);
}

void ClusterWorld::lost(uint32_t number, ConnectionId connection) {
  const Machine& machine = *machines_[number];
  push({.at = std::max(now_us_, machine.paused_until_us),
        .kind = EventKind::kLost,
        .machine = number,
        .life = machine.life,
        .number = connection});
}

// ---- clients

int64_t ClusterWorld::client_delay_us() {
  return 1 + swarm_.delay_us +
         static_cast<int64_t>(node_prng_.below(static_cast<uint64_t>(swarm_.jitter_us) + 1));
}

void ClusterWorld::send_request(uint32_t client, uint32_t machine, ClientDoor door,
                                std::string_view bytes) {
  const auto current = lines_.find(line_of_[client]);
  if (current != lines_.end() && current->second.machine != machine) {
    hang_up(client);
  } else if (current != lines_.end() && current->second.is_closed) {
    // Lost: the client does not know yet that the connection is closed, and hears of that soon.
    return;
  }
  if (line_of_[client] == 0) {
    line_of_[client] = ++last_line_;
    lines_[last_line_] = {.client = client, .machine = machine, .door = door};
  }
  Line& line = lines_.at(line_of_[client]);
  line.sent_us = std::max(line.sent_us, now_us_ + client_delay_us());
  push({.at = line.sent_us,
        .kind = EventKind::kRequest,
        .machine = machine,
        .number = line_of_[client],
        .bytes = std::string(bytes)});
}

void ClusterWorld::hang_up(uint32_t client) {
  const uint64_t number = std::exchange(line_of_[client], 0);
  const auto found = lines_.find(number);
  if (found == lines_.end()) return;
  Line& line = found->second;
  line.sent_us = std::max(line.sent_us, now_us_ + client_delay_us());
  push({.at = line.sent_us, .kind = EventKind::kHangUp, .machine = line.machine, .number = number});
}

void ClusterWorld::wake_client(uint32_t client, int64_t at_us) {
  push({.at = at_us, .kind = EventKind::kClient, .number = client});
}

void ClusterWorld::log_client(uint32_t client, const std::string& text) {
  trace_ = mix(trace_, hash64(text, client));
  if (!options_.log) return;
  std::printf("%10.3f ms  client %" PRIu32 " > %s\n",
              static_cast<double>(now_us_ - kStartUs) / 1000, client, text.c_str());
}

bool ClusterWorld::may_be_lost(const std::string& key) {
  if (crashes_ != 0) return true;
  for (const auto& machine : machines_) {
    Store& store = machine->node->node().store();
    const uint32_t partition = store.partition_of(store.make_key(key).slot);
    for (const Loss& loss : company_of(*machine->node).losses().of(Loss::Kind::kLost)) {
      if (loss.partition == partition) return true;
    }
  }
  return false;
}

void ClusterWorld::on_request(const Event& event) {
  Machine& machine = *machines_[event.machine];
  const auto found = lines_.find(event.number);
  if (found == lines_.end() || !machine.has_power) return;
  Line& line = found->second;
  if (machine.node == nullptr || (line.life != 0 && line.life != machine.life)) {
    return tell_closed(event.number, line);
  }
  if (line.life == 0) {
    line.life = machine.life;
    line.connection = machine.node->connect(line.door);
  }
  machine.node->send(line.connection, event.bytes);
  input(event.machine);
}

void ClusterWorld::on_hang_up(const Event& event) {
  Machine& machine = *machines_[event.machine];
  const auto found = lines_.find(event.number);
  if (found == lines_.end()) return;
  const Line line = found->second;
  lines_.erase(found);
  if (machine.node == nullptr || line.life != machine.life) return;
  machine.node->disconnect(line.connection);
  input(event.machine);
}

// What the node has said leaves for its clients.
void ClusterWorld::collect_answers(uint32_t number) {
  Machine& machine = *machines_[number];
  for (auto& [id, line] : lines_) {
    if (line.machine != number || line.life != machine.life || line.is_closed) continue;
    std::string& received = machine.node->received(line.connection);
    if (!received.empty()) {
      line.answered_us = std::max(line.answered_us, now_us_ + client_delay_us());
      push({.at = line.answered_us,
            .kind = EventKind::kAnswer,
            .number = id,
            .bytes = std::move(received)});
      received.clear();
    }
    if (machine.node->is_closed(line.connection)) {
      tell_closed(id, line);
    } else if (machine.node->is_sending(line.connection)) {
      push({.at = now_us_ + 1 + static_cast<int64_t>(node_prng_.below(kDrainUsMax)),
            .kind = EventKind::kDrain,
            .machine = number,
            .life = machine.life,
            .number = static_cast<uint64_t>(line.connection)});
    }
  }
}

void ClusterWorld::tell_closed(uint64_t number, Line& line) {
  if (line.is_closed) return;
  line.is_closed = true;
  line.answered_us = std::max(line.answered_us, now_us_ + client_delay_us());
  push({.at = line.answered_us, .kind = EventKind::kClosed, .number = number});
}

void ClusterWorld::handle_client(Event& event) {
  const auto found = lines_.find(event.number);
  if (found == lines_.end()) return;
  const uint32_t client = found->second.client;
  const bool is_used = line_of_[client] == event.number;
  if (event.kind == EventKind::kAnswer) {
    if (!is_used) return;
    if (client == operator_number()) return operator_.on_bytes(event.bytes);
    if (client >= swarm_.clients) return pubsub_.on_bytes(client, event.bytes);
    return clients_.on_bytes(client, event.bytes);
  }
  lines_.erase(found);
  if (!is_used) return;
  line_of_[client] = 0;
  if (client == operator_number()) return operator_.on_closed();
  if (client >= swarm_.clients) return pubsub_.on_closed(client);
  clients_.on_closed(client);
}

// ---- the operator

void ClusterWorld::operator_sends(uint32_t machine, std::string_view bytes) {
  hang_up(operator_number());
  send_request(operator_number(), machine, ClientDoor::kMain, bytes);
}

void ClusterWorld::log_operator(std::string_view text) {
  log_client(operator_number(), "operator: " + std::string(text));
}

bool ClusterWorld::holds_nothing(uint32_t number) {
  const std::string& name = machines_[number]->node_name;
  // What nobody else serves may be on its disk alone.
  std::vector<bool> is_served(swarm_.partitions, false);
  for (uint32_t other = 0; other < size(); ++other) {
    Machine& machine = *machines_[other];
    // Somebody who is down may know of a copy there.
    if (machine.node == nullptr && other != number) return false;
    if (machine.node == nullptr) continue;
    Company& company = company_of(*machine.node);
    if (!company.is_started() || company.is_alone()) continue;
    for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
      const raft::Core* const core = company.cluster().partitions().core(partition);
      if (core == nullptr) continue;
      if (other == number) return false;
      for (const raft::Member& member : core->configuration().members()) {
        if (node_name(member.node.value) == name) return false;
      }
      if (company.serves(partition)) is_served[partition] = true;
    }
  }
  return std::find(is_served.begin(), is_served.end(), false) == is_served.end();
}

std::optional<uint32_t> ClusterWorld::drained_machine() {
  for (const auto& witness : machines_) {
    if (witness->node == nullptr) continue;
    const Company& company = company_of(*witness->node);
    if (!company.is_started() || company.is_alone()) continue;
    for (const MemberRecord& member : company.cluster().state().members()) {
      if (member.state != MemberState::kDraining) continue;
      for (uint32_t number = 0; number < size(); ++number) {
        if (machines_[number]->node_name == node_name(member.id)) return number;
      }
    }
  }
  return std::nullopt;
}

void ClusterWorld::replace(uint32_t number) {
  Machine& machine = *machines_[number];
  machine.power_fails = true;
  machine.down_us = 0;
  bury(number);
  machine.disk = SimDisk(node_prng_.next());
  machine.is_new = true;
  machine.told_losses.clear();  // by another node
}

void ClusterWorld::lose_for_good(const std::vector<uint32_t>& lost) {
  for (const uint32_t number : lost) {
    Machine& machine = *machines_[number];
    machine.power_fails = true;
    machine.down_us = INT64_MAX / 4;
    bury(number);
    machine.disk = SimDisk(node_prng_.next());
    machine.is_new = true;
    machine.told_losses.clear();
  }
  oracle_.note_lost();
  copies_seen_.clear();
}

// ---- what must hold

uint32_t ClusterWorld::led_by(uint32_t number) const {
  const Machine& machine = *machines_[number];
  if (machine.node == nullptr) return 0;
  const Company& company = company_of(*machine.node);
  uint32_t count = 0;
  if (company.is_alone()) return 0;
  for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
    count += company.serves(partition) ? 1 : 0;
  }
  return count;
}

uint64_t ClusterWorld::state_checks() const {
  uint64_t count = state_checks_;
  for (const auto& machine : machines_) {
    if (machine->node == nullptr || !company_of(*machine->node).is_started()) continue;
    count += company_of(*machine->node).cluster().partitions().check().counts().rounds;
  }
  return count;
}

// 0: the group has not begun anew, or this copy is one from before.
uint64_t ClusterWorld::first_replica_of(Company& company, const raft::Core& core) const {
  const uint64_t partition = core.options().group.value - 1;
  const auto& plan = company.cluster().meta().address_book().plan();
  if (partition >= plan.size()) return 0;
  const uint64_t first = plan[static_cast<size_t>(partition)].first_replica;
  return core.options().self.replica.value >= first ? first : 0;
}

void ClusterWorld::check_invariants(uint32_t number) {
  Machine& machine = *machines_[number];
  Company& company = company_of(*machine.node);
  if (!company.is_started() || company.is_alone()) return;
  const int64_t steady_us = clock(machine).steady_us;
  company.cluster().groups().for_each([&](raft::GroupId group, const raft::Core& core) {
    const bool is_elected = oracle_.look_at(number, core, first_replica_of(company, core)) == ClusterOracle::Seen::kNewLeader;
    check_copies(number, core);
    if (core.failed())
      oracle_.fail("a replica of group " + std::to_string(group.value) +
                   " has stopped by a contradiction");
    if (is_elected || core.lease_until_us() > steady_us) check_rivals(number, group, core);
  });
  const StateCheck::Counts& checks = company.cluster().partitions().check().counts();
  if (checks.differing + checks.undecided != 0 && !swarm_.copies_may_differ)
    oracle_.fail("I6: n" + std::to_string(number + 1) + " has compared the copies of a partition, and they are not equal");
  for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
    const raft::Core* const core = company.cluster().partitions().core(partition);
    if (core == nullptr || !company.serves(partition)) continue;
    served_us_[partition] = now_us_;
    if (core->role_state().serving == raft::Serving::kStarting) {
      oracle_.fail("I7: n" + std::to_string(number + 1) + " serves partition " +
                   std::to_string(partition) + " before the term's first entry is committed");
    }
    raft::Index index = raft::next(company.cluster().partitions().state_index(partition));
    // What the core itself puts into the log changes no data.
    while (core->log().has(index) && core->log().at(index).kind != raft::EntryKind::kCommand) index = raft::next(index);
    if (index <= core->last_index()) {
      oracle_.fail("n" + std::to_string(number + 1) + " serves partition " +
                   std::to_string(partition) + " before it has applied its log");
    }
  }
}

// I13.  Nobody is elected either while another one holds the lease: it could commit before that ends.
void ClusterWorld::check_rivals(uint32_t number, raft::GroupId group, const raft::Core& core) {
  for (uint32_t other = 0; other < size(); ++other) {
    Machine& rival = *machines_[other];
    if (other == number || rival.node == nullptr || !company_of(*rival.node).is_started()) continue;
    const raft::Core* const its = company_of(*rival.node).cluster().groups().find(group);
    if (its == nullptr || its->lease_until_us() <= clock(rival).steady_us) continue;
    // Its votes came late, others lead in a higher term already: it will get no lease.
    if (core.lease_until_us() <= clock(*machines_[number]).steady_us && core.term() < its->term()) continue;
    oracle_.fail("I13: n" + std::to_string(number + 1) + " leads group " +
                 std::to_string(group.value) + " while n" + std::to_string(other + 1) +
                 " holds its lease");
  }
}

// I7: when replies are let go because so many copies hold something, they do.  Not while somebody may have stored it, said so and lost
// it since.
void ClusterWorld::check_copies(uint32_t number, const raft::Core& core) {
  constexpr int64_t kQuietUs = 2'000'000;
  constexpr uint32_t kCountMax = 5;
  if (core.role() != raft::RoleName::kLeader) return;
  const auto partition = static_cast<uint32_t>(core.options().group.value - 1);
  if (partition >= swarm_.partitions) return;
  const Company& company = company_of(*machines_[number]->node);
  for (uint32_t count = 1; count <= kCountMax; ++count) {
    const uint64_t told = company.copies_told(partition, count);
    if (told == 0) continue;
    uint64_t& seen = copies_seen_[{number, partition, count}];
    if (std::exchange(seen, told) == told || now_us_ < last_crash_us_ + kQuietUs) continue;
    const auto holders = holders_of(partition, told, core.term());
    if (!holders) return;
    if (holders->size() >= count) continue;
    oracle_.fail("I7: n" + std::to_string(number + 1) + " says that " + std::to_string(count) + " copies of partition " +
                 std::to_string(partition) + " hold " + std::to_string(told) + ", and " + std::to_string(holders->size()) + " do");
  }
  const uint64_t told = company.copies_told(partition, LevelStreams::kOfZones);
  uint64_t& seen = copies_seen_[{number, partition, LevelStreams::kOfZones}];
  if (std::exchange(seen, told) == told || told == 0 || now_us_ < last_crash_us_ + kQuietUs) return;
  const auto holders = holders_of(partition, told, core.term());
  if (!holders) return;
  std::set<uint32_t> zones;
  for (const uint32_t holder : *holders) zones.insert(zone_of(holder));
  if (zones.size() >= swarm_.min_zones) return;
  oracle_.fail("I7: n" + std::to_string(number + 1) + " says that copies in " + std::to_string(swarm_.min_zones) + " zones hold " +
               std::to_string(told) + " of partition " + std::to_string(partition) + ", and " + std::to_string(zones.size()) + " do");
}

// Machines that hold this index of the partition's log, or may do.  Nothing: somebody has a later term already.
std::optional<std::vector<uint32_t>> ClusterWorld::holders_of(uint32_t partition, uint64_t index, raft::Term term) const {
  std::vector<uint32_t> holders;
  for (uint32_t other = 0; other < size(); ++other) {
    Machine& machine = *machines_[other];
    const bool is_down = machine.node == nullptr || !company_of(*machine.node).is_started();
    if (is_down) holders.push_back(other);   // it may have stored it before
    const raft::Core* const its = is_down ? nullptr : company_of(*machine.node).cluster().partitions().core(partition);
    if (its == nullptr) continue;
    if (its->term() > term) return std::nullopt;
    const bool has_snapshot = its->log().base().index.value >= index;
    if (has_snapshot || its->stored_index().value >= index) holders.push_back(other);
  }
  return holders;
}

void ClusterWorld::compare_copies() {
  next_comparison_us_ = now_us_ + kComparisonUs;
  // The nodes are to find it out themselves.
  if (options_.mistakes.applies_differently || swarm_.copies_may_differ) return;
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    // Within a turn something may be executed and not proposed yet.
    if (machine.node == nullptr || machine.has_turn) continue;
    Company& company = company_of(*machine.node);
    if (!company.is_started() || company.is_alone()) continue;
    Store& store = machine.node->node().store();
    std::vector<uint64_t> digests(swarm_.partitions, 0);
    for (const auto& [key, value] : key_digests(store)) {
      digests[store.partition_of(store.make_key(key.second).slot)] += value;
    }
    Partitions& partitions = company.cluster().partitions();
    for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
      const raft::Core* const core = partitions.core(partition);
      if (core == nullptr || partitions.is_astray(partition)) continue;
      const uint64_t digest = digests[partition] + company.rows_digest(partition);
      oracle_.compare(number, *core, partitions.state_index(partition), digest);
    }
  }
}

// ---- the end

void ClusterWorld::heal() {
  for (uint32_t number = 0; number < size(); ++number) check_absence(number);
  healed_ = true;
  network_.calm();
  operator_.heal();
  cuts_.clear();
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    machine.paused_until_us = std::min(machine.paused_until_us, now_us_);
    machine.disk_stalled_until_us = std::min(machine.disk_stalled_until_us, now_us_);
    machine.disk.heal();
    machine.is_full = machine.sync_fails = false;
    if (machine.node != nullptr) {
      machine.node->die_after(UINT64_MAX);
    } else {
      push({.at = now_us_ + 1 + static_cast<int64_t>(prng_.below(100'000)),
            .kind = EventKind::kStart,
            .machine = number});
    }
  }
}

std::string ClusterWorld::describe_partition(uint32_t partition) {
  std::string text;
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    if (machine.node == nullptr) continue;
    Partitions& partitions = company_of(*machine.node).cluster().partitions();
    const raft::Core* const core = partitions.core(partition);
    if (core == nullptr) continue;
    const raft::RoleState role = core->role_state();
    char line[200];
    std::snprintf(line, sizeof(line),
                  "\n  n%" PRIu32 ": %s%s%s term %" PRIu64 " log %" PRIu64 " committed %" PRIu64
                  " applied %" PRIu64 "%s ",
                  number + 1, core->standing() == raft::Standing::kRecovering ? "recovering " : "",
                  role.role == raft::RoleName::kLeader     ? "leader"
                  : role.role == raft::RoleName::kFollower ? "follower"
                                                           : "candidate",
                  role.serving == raft::Serving::kYes ? " serving" : "", core->term().value,
                  core->last_index().value, core->commit_index().value,
                  partitions.state_index(partition).value,
                  partitions.is_astray(partition) ? " astray" : "");
    text += line + raft::describe(core->configuration());
    for (const raft::Progress& each : core->progress()) {
      static constexpr const char* kStates[] = {"probe", "replicate", "snapshot"};
      text += ", " + std::to_string(each.member().replica.value) + " at " + std::to_string(each.match().value) + " (" +
              kStates[static_cast<size_t>(each.state())] + (each.is_silent ? ", silent)" : ")");
    }
  }
  return text;
}

std::string ClusterWorld::describe_unsettled() {
  if (!operator_.is_idle()) return "an operator's wish is not fulfilled";
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    const std::string name = "n" + std::to_string(number + 1);
    if (machine.node == nullptr) return name + " is down";
    Company& company = company_of(*machine.node);
    if (size() == 1) return "";
    if (company.is_alone()) return name + " is alone";
    const std::vector<MemberRecord>& known = company.cluster().state().members();
    const auto members = static_cast<size_t>(
        std::count_if(known.begin(), known.end(), [](const MemberRecord& member) {
          return member.state == MemberState::kActive;
        }));
    if (members != size()) return name + " knows " + std::to_string(members) + " members";
    if (!company.cluster().state().dead().empty()) return name + " takes a member for dead";
  }
  const size_t copies = std::min(size(), swarm_.replication);
  for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
    const std::string name = "partition " + std::to_string(partition) + ": ";
    uint32_t leaders = 0;
    size_t found = 0;
    std::optional<raft::Index> last;
    for (uint32_t number = 0; number < size(); ++number) {
      Company& company = company_of(*machines_[number]->node);
      leaders += company.serves(partition) ? 1 : 0;
      const raft::Core* const core = company.cluster().partitions().core(partition);
      if (core == nullptr) continue;
      ++found;
      const raft::Configuration& configuration = core->committed_configuration().configuration;
      if (configuration.joint())
        return name + "joint configuration" + describe_partition(partition);
      if (configuration.members().size() != copies)
        return name + "not where it should be" + describe_partition(partition);
      if (!last) last = core->last_index();
      if (core->last_index() != *last || core->commit_index() != *last ||
          company.cluster().partitions().state_index(partition) != *last) {
        return name + "copies at different places" + describe_partition(partition);
      }
    }
    if (leaders != 1)
      return name + std::to_string(leaders) + " leaders" + describe_partition(partition);
    if (found != copies)
      return name + std::to_string(found) + " copies" + describe_partition(partition);
  }
  return "";
}

}  // namespace quorate::sim

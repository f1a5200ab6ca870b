// One event at a time, in order of time.  Inputs of a node that come close together are dealt with
// in one turn, as a server's loop does.
#include "tests/sim/cluster_world.h"

#include <algorithm>
#include <utility>

#include "node/company.h"
#include "node/state.h"
#include "util/check.h"

namespace quorate::sim {

namespace {

constexpr uint64_t kTurnUsMax = 100;
constexpr int64_t kSecretStepUs = 150'000;

}  // namespace

Company& company_of(SimNode& node) { return node.node().state().company; }

uint64_t ClusterWorld::mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15;
  return hash ^ (hash >> 29);
}

ClusterWorld::ClusterWorld(const ClusterSimOptions& options, const ClusterSwarm& swarm)
    : options_(options),
      swarm_(swarm),
      prng_(options.seed * 4 + 1),
      node_prng_(options.seed * 4 + 2),
      network_(*this, swarm_, options.seed * 4 + 3),
      clients_(*this, swarm_, options.seed * 4 + 4),
      pubsub_(*this, swarm_, swarm.clients, options.seed * 4 + 5),
      operator_(*this, options.seed * 4 + 6),
      modes_(*this, options.seed * 4 + 7, swarm.lone_mode.value_or(swarm.first_mode())),
      arranger_(*this, swarm_, options.seed * 4 + 8),
      line_of_(arranger_number() + 1, 0),
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
    push({.at = now_us_ + (number == 0 ? 0 : swarm.boot_after_us + static_cast<int64_t>(prng_.below(spread))),
          .kind = EventKind::kStart,
          .machine = number});
    machine.has_secret = swarm.has_secret && swarm.secret_after_us == 0;
    if (swarm.secret_after_us > 0)
      push({.at = now_us_ + swarm.secret_after_us + number * kSecretStepUs, .kind = EventKind::kSecret, .machine = number});
  }
  if (swarm.lone_mode) push({.at = now_us_ + swarm.lone_mode_us, .kind = EventKind::kLoneMode});
  for (size_t fault = 0; fault < kClusterFaultCount; ++fault)
    schedule(static_cast<ClusterFault>(fault));
}

void ClusterWorld::run(int64_t until_us) {
  while (!queue_.empty() && queue_.next_at() <= until_us && !is_wrong()) {
    Event event = queue_.pop();
    CHECK(event.at >= now_us_);
    now_us_ = event.at;
    ++event_count_;
    trace_ = mix(trace_, static_cast<uint64_t>(event.at));
    trace_ = mix(trace_, static_cast<uint64_t>(event.kind) * 64 + event.machine);
    trace_ = mix(trace_, event.number);
    handle(event);
    if (now_us_ >= next_comparison_us_) compare_copies();
    if (now_us_ >= next_kept_us_) check_kept();
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
      if (machines_[event.machine]->node != nullptr || machines_[event.machine]->is_lost) return;
      // It has been started since, and is down for another reason.
      if (machines_[event.machine]->life != event.life) return;
      check_absence(event.machine);
      return start_node(event.machine);
    case EventKind::kKill:
      if (machines_[event.machine]->life != event.life) return;
      if (event.number != 0 && !may_end(event.machine, SimDisk::Loss::kOfProcess)) return;
      return bury(event.machine);
    case EventKind::kAbsent:
      if (machines_[event.machine]->told_us != static_cast<int64_t>(event.number)) return;
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
    case EventKind::kSecret:
      return set_secret(event.machine);
    case EventKind::kLoneMode:
      return tell_lone_mode();
    case EventKind::kQuickRestart:
      return finish_quick_restart(event.machine, static_cast<uint32_t>(event.number));
    case EventKind::kLiesEnd:
      return lose_lies(event.machine, static_cast<int64_t>(event.number));
    case EventKind::kDiskRoom: {
      Machine& machine = *machines_[event.machine];
      machine.disk.heal();
      machine.is_full = false;
      return;
    }
    case EventKind::kMemoryRoom: {
      Machine& machine = *machines_[event.machine];
      if (machine.node != nullptr) machine.node->set_config("maxmemory", "0");
      return;
    }
  }
}

void ClusterWorld::wake(uint32_t client, int64_t at_us) {
  if (client == operator_number()) return operator_.on_timer(at_us);
  if (client == modes_number()) return modes_.on_timer(at_us);
  if (client == arranger_number()) return arranger_.on_timer(at_us);
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
      spare_sync_that_counts(event.machine);
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
    case EventKind::kMemoryRoom:
    case EventKind::kSecret:
    case EventKind::kAbsent:
    case EventKind::kLoneMode:
    case EventKind::kQuickRestart:
    case EventKind::kLiesEnd:
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
  if (swarm_.dead_after_ms == 0) return;
  note_heard(number);
  count_dead(number);
}

void ClusterWorld::start_disk(uint32_t number) {
  Machine& machine = *machines_[number];
  for (size_t lane = 0; lane < kDiskLaneCount; ++lane) {
    const DiskRequest* const request = machine.node->next_request(static_cast<DiskLane>(lane));
    if (machine.lane_is_busy[lane] || request == nullptr) continue;
    machine.lane_is_busy[lane] = true;
    const bool syncs =
        request->op == DiskRequest::Op::kSync || request->op == DiskRequest::Op::kSyncDirectory;
    const bool is_of_snapshot = static_cast<DiskLane>(lane) == DiskLane::kBulk && swarm_.snapshot_us > 0;
    const int64_t write_us = is_of_snapshot ? swarm_.snapshot_us : swarm_.disk_us;
    const int64_t usual_us = syncs ? write_us * 4 : write_us;
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

// ---- connections between nodes

void ClusterWorld::wake_wire(uint64_t wire, int64_t at_us) {
  push({.at = at_us, .kind = EventKind::kWire, .number = wire});
}

uint64_t ClusterWorld::life_of(uint32_t machine) {
  return machines_[machine]->node == nullptr ? 0 : machines_[machine]->life;
}

ConnectionId ClusterWorld::accept(uint32_t number, const PeerAddress& from) {
  Machine& machine = *machines_[number];
  show_clock(machine);
  input(number);
  return machine.node->node().peer_accepted(machine.node->now(), from);
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

}  // namespace quorate::sim

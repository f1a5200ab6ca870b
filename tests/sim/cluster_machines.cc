// Processes of the world `cluster`: how they begin and end, on which disk, by which clocks.
#include "tests/sim/cluster_world.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "node/company.h"
#include "node/state.h"

namespace quorate::sim {

namespace {

constexpr int64_t kWallStartMs = 1'700'000'000'000;
// A process is started again after this: one that has ended, and one that was killed.
constexpr int64_t kRestartUs = 100'000;
constexpr int64_t kQuickRestartUs = 5'000;
constexpr std::string_view kSecret = "known-to-all";

}  // namespace

std::string ClusterWorld::config(uint32_t number) const {
  const bool starts_otherwise = swarm_.lone_mode && number == 0 && !is_told_alone_;
  const raft::Durability mode = starts_otherwise ? *swarm_.lone_mode : swarm_.first_mode();
  std::string text = mode == raft::Durability::kMemory ? "appendonly no\n" : "appendonly yes\n";
  text += "save \"\"\nprotected-mode no\nport 7001\nlog-repair rejoin\n";
  text += "databases " + std::to_string(swarm_.databases) + "\n";
  text += "appendfsync " + (starts_otherwise && mode == raft::Durability::kOs ? "everysec" : swarm_.appendfsync) + "\n";
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

std::string ClusterWorld::secret_config(uint32_t number) const {
  return machines_[number]->has_secret ? "masterauth " + std::string(kSecret) + "\n" : "";
}

// Where it is down, it starts with it.
void ClusterWorld::set_secret(uint32_t number) {
  Machine& machine = *machines_[number];
  if (std::exchange(machine.has_secret, true) || machine.node == nullptr) return;
  log(number, "masterauth is set");
  machine.node->set_config("masterauth", kSecret);
}

StartFacts ClusterWorld::facts_of(uint32_t number, uint8_t boots) const {
  const auto boot = static_cast<char>(machines_[number]->boots + boots);
  return {.boot_id = {static_cast<char>(number + 1), boot}, .directory_inode = number + 1};
}

// The first node is told its mode while it has no company, and that counts once a start would find all that it has acknowledged.
void ClusterWorld::tell_lone_mode() {
  constexpr int64_t kLookUs = 5'000;
  constexpr std::string_view kSet = "*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n";
  Machine& first = *machines_[0];
  if (first.node != nullptr && !company_of(*first.node).is_alone()) return;
  if (first.node != nullptr && first.paused_until_us <= now_us_) {
    const NodeState& state = first.node->node().state();
    if (!is_told_alone_) {
      is_told_alone_ = true;
      log(0, "is told another mode while it is alone");
      show_clock(first);
      if (first.own_line < 0) first.own_line = first.node->connect();
      const std::string& policy = swarm_.appendfsync;
      const std::string value = "$" + std::to_string(policy.size()) + "\r\n" + policy + "\r\n";
      first.node->send(first.own_line, std::string(kSet) + "$11\r\nappendfsync\r\n" + value);
      first.node->send(first.own_line, std::string(kSet) + "$10\r\nappendonly\r\n$3\r\nyes\r\n");
      input(0);
    } else if (keeps_data_in_log(state) && state.persistence.log_counts && !state.persistence.job_runs &&
               state.durability.log().synced() >= state.durability.log().appended()) {
      log(0, "keeps what it has acknowledged as it was told");
      return modes_.hold(swarm_.first_mode());
    }
  }
  push({.at = now_us_ + kLookUs, .kind = EventKind::kLoneMode});
}

// In the moments after it has founded a cluster.
void ClusterWorld::on_line(uint32_t number, std::string_view line) {
  log(number, line);
  constexpr uint64_t kMomentsUs = 400'000;
  const bool is_founding = line.find("founding a cluster as") != std::string_view::npos;
  if (!is_founding || !swarm_.lone_mode || modes_.weakest() == raft::Durability::kMemory || !prng_.chance(0.7)) return;
  Machine& machine = *machines_[number];
  machine.down_us = static_cast<int64_t>(prng_.below(kMomentsUs));
  if (modes_.weakest() == raft::Durability::kSynced) machine.power_fails = prng_.chance(0.5);
  machine.shall_die = true;
  push({.at = now_us_ + static_cast<int64_t>(prng_.below(kMomentsUs)), .kind = EventKind::kKill, .machine = number, .life = machine.life});
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
  machine.shall_end = machine.shall_die = false;
  machine.told_us.reset();
  machine.known_lives.clear();
  begin_to_hear(number);
  machine.own_line = -1;
  log(number, "starts");
  raft::Options group;
  if (swarm_.append_bytes_max > 0) group.append_bytes_max = swarm_.append_bytes_max;
  StateOptions states;
  if (swarm_.state_piece_bytes > 0) states = {.piece_bytes = swarm_.state_piece_bytes, .in_flight_bytes_max = 3 * swarm_.state_piece_bytes};
  machine.node = std::make_unique<SimNode>(
      machine.disk,
      SimNode::Options{.seed = node_prng_.next(),
                       .config = config(number) + secret_config(number),
                       .now = clock(machine),
                       .group = group,
                       .states = states,
                       .mistakes = options_.mistakes,
                       .bytes_a_key = swarm_.bytes_a_key,
                       .start_facts = facts_of(number, 0),
                       .carrier = &machine.carrier,
                       .on_log = [this, number](std::string_view line) { on_line(number, line); }});
  const Status recovered = machine.node->recover();
  const bool may_lack_syncs = machine.damage == Machine::Damage::kOfSyncs;
  if (machine.damage != Machine::Damage::kNone && !judge_damaged_start(number, machine.node_id, recovered)) return;
  if (!recovered.ok()) {
    machine.node.reset();
    return oracle_.fail("n" + std::to_string(number + 1) +
                        " does not start: " + std::string(recovered.error().detail()));
  }
  check_losses(number);
  machine.node->start();
  if (may_lack_syncs && machine.node->has_ended()) {
    // Of its log may be left what it wrote when it was alone, with which it does not join.
    machine.damage = Machine::Damage::kOfSyncs;
    does_not_start(number, machine.node->log_lines().back());
    return;
  }
  const uint64_t former = std::exchange(machine.node_id, machine.node->node().state().identity.id);
  if (former != 0 && former != machine.node_id) machine.former_ids.push_back(former);
  machine.node_name = node_name(machine.node_id);
  input(number);
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
  const bool loses_lies = machine.damage == Machine::Damage::kOfSyncs;
  ++crashes_;
  last_crash_us_ = now_us_;
  const bool has_forgotten = machine.power_fails || machine.sync_fails;
  const auto below = machine.sync_fails ? raft::Durability::kSynced : raft::Durability::kOs;
  kept_.forgive(machine.node_id, has_forgotten ? below : raft::Durability::kMemory);
  look_soon_at_kept();
  log(number, machine.power_fails ? "loses power" : machine.node->has_ended() ? "has ended" : "dies");
  if (!machine.is_full) machine.node->tear_writes(node_prng_);
  if (!machine.node->has_ended_well()) machine.told_us.reset();
  snapshots_ += machine.node->renames();
  if (company_of(*machine.node).is_started()) state_checks_ += company_of(*machine.node).cluster().partitions().check().counts().rounds;
  remember_losses(number);
  end_silences(number);
  const int64_t restart_us = machine.node->has_ended() ? kRestartUs : kQuickRestartUs;
  machine.node.reset();
  ++machine.life;
  machine.paused_until_us = 0;
  if (!loses_lies) machine.disk.own_up();
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
  push_start(number, now_us_ + std::max(machine.down_us, restart_us));
}

// If no process was there in between, with an end of its own.
void ClusterWorld::push_start(uint32_t number, int64_t at_us) {
  push({.at = at_us, .kind = EventKind::kStart, .machine = number, .life = machines_[number]->life});
}

// ---- clocks

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

// ---- new machines

void ClusterWorld::replace(uint32_t number) {
  Machine& machine = *machines_[number];
  if (std::exchange(machine.is_lost, false)) push_start(number, now_us_);
  machine.power_fails = true;
  machine.down_us = 0;
  bury(number);
  machine.disk = SimDisk(node_prng_.next());
  machine.damage = Machine::Damage::kNone;
  machine.is_new = true;
  machine.told_losses.clear();  // by another node
}

void ClusterWorld::lose_for_good(const std::vector<uint32_t>& lost) {
  for (const auto& machine : machines_) {
    if (machine->node == nullptr || !company_of(*machine->node).is_started()) continue;
    company_of(*machine->node).cluster().groups().for_each([&](raft::GroupId, const raft::Core& core) { kept_.note_end(core); });
  }
  std::vector<uint64_t> nodes;
  for (const uint32_t number : lost) {
    Machine& machine = *machines_[number];
    nodes.push_back(machine.node_id);
    machine.power_fails = true;
    machine.down_us = INT64_MAX / 4;
    bury(number);
    machine.disk = SimDisk(node_prng_.next());
    machine.damage = Machine::Damage::kNone;
    machine.is_new = true;
    machine.told_losses.clear();
  }
  oracle_.note_lost();
  kept_.lose_for_good(nodes);
  looks_at_kept_ = false;
  std::fill(copies_seen_.begin(), copies_seen_.end(), 0);
}

void ClusterWorld::lose_all_power(const std::vector<uint32_t>& lost) {
  constexpr uint64_t kDownUs = 300'000;
  lose_for_good(lost);
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    if (machine.node == nullptr) continue;
    machine.power_fails = true;
    machine.down_us = static_cast<int64_t>(prng_.below(kDownUs));
    bury(number);
  }
}

// ---- the end

void ClusterWorld::heal() {
  for (uint32_t number = 0; number < size(); ++number) check_absence(number);
  healed_ = true;
  network_.calm();
  operator_.heal();
  arranger_.heal();
  cuts_.clear();
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    machine.paused_until_us = std::min(machine.paused_until_us, now_us_);
    machine.disk_stalled_until_us = std::min(machine.disk_stalled_until_us, now_us_);
    machine.disk.heal();
    machine.disk.own_up();
    machine.is_full = machine.sync_fails = false;
    if (swarm_.has_secret) set_secret(number);
    if (machine.node != nullptr) {
      machine.node->set_config("maxmemory", "0");
      machine.node->die_after(UINT64_MAX);
    } else if (!machine.is_lost) {
      push_start(number, now_us_ + 1 + static_cast<int64_t>(prng_.below(100'000)));
    }
  }
}

}  // namespace quorate::sim

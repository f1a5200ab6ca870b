// Each fault is on in a part of the seeds, at a rate and length that the seed draws.
#include "tests/sim/cluster_options.h"

#include <algorithm>

namespace quorate::sim {

namespace {

void draw_cluster(Prng& prng, ClusterSwarm& swarm) {
  const uint32_t nodes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 7};
  swarm.nodes = nodes[prng.below(10)];
  swarm.partitions = uint32_t{1} << between(prng, 1, 4);
  const uint32_t copies[] = {3, 3, 3, 3, 1, 2, 5};
  swarm.replication = copies[prng.below(7)];
  const char* const policies[] = {"always", "always", "everysec", "no"};
  swarm.appendfsync = policies[prng.below(4)];
  swarm.boot_spread_us =
      prng.chance(0.5) ? between(prng, 0, 500 * kMs) : between(prng, 0, 5 * kSecond);
  if (prng.chance(0.6))
    swarm.rewrite_min_bytes = static_cast<uint64_t>(between(prng, 2'000, 60'000));
}

void draw_network(Prng& prng, ClusterSwarm& swarm) {
  swarm.delay_us = prng.chance(0.7) ? between(prng, 20, 500) : between(prng, 1 * kMs, 15 * kMs);
  swarm.jitter_us = prng.chance(0.7) ? between(prng, 0, 500) : between(prng, 1 * kMs, 30 * kMs);
  if (prng.chance(0.3)) swarm.loss = prng.fraction() * 0.02;
  swarm.partition = draw_rate(prng, 0.5, {500 * kMs, 100 * kMs}, {5 * kSecond, 3 * kSecond});
  swarm.one_way = draw_rate(prng, 0.4, {500 * kMs, 100 * kMs}, {5 * kSecond, 3 * kSecond});
  swarm.broken_line = draw_rate(prng, 0.4, {100 * kMs, 10 * kMs}, {3 * kSecond, 3 * kSecond});
}

void draw_machines(Prng& prng, ClusterSwarm& swarm) {
  swarm.kill = draw_rate(prng, 0.5, {500 * kMs, 20 * kMs}, {5 * kSecond, 2 * kSecond});
  swarm.power = draw_rate(prng, 0.4, {1 * kSecond, 50 * kMs}, {6 * kSecond, 2 * kSecond});
  swarm.pause = draw_rate(prng, 0.4, {300 * kMs, 10 * kMs}, {4 * kSecond, 1 * kSecond});
  swarm.wall_jump = draw_rate(prng, 0.3, {500 * kMs, 0}, {4 * kSecond, 0});
  if (prng.chance(0.5)) swarm.drift_ppm = between(prng, 0, 30'000);
  swarm.disk_us = prng.chance(0.7) ? between(prng, 20, 300) : between(prng, 1 * kMs, 8 * kMs);
  swarm.disk_stall = draw_rate(prng, 0.3, {500 * kMs, 50 * kMs}, {4 * kSecond, 1 * kSecond});
  swarm.disk_full = draw_rate(prng, 0.2, {1 * kSecond, 100 * kMs}, {6 * kSecond, 2 * kSecond});
}

void draw_people(Prng& prng, ClusterSwarm& swarm) {
  swarm.clients = static_cast<uint32_t>(between(prng, 2, 6));
  swarm.keys = static_cast<uint32_t>(between(prng, 1, 4));
  swarm.think_us = between(prng, 2 * kMs, 60 * kMs);
  swarm.reads = 0.2 + prng.fraction() * 0.5;
  swarm.request_us = between(prng, 300 * kMs, 5 * kSecond);
  if (prng.chance(0.7)) swarm.cluster_clients = prng.fraction();
  if (prng.chance(0.6)) swarm.other_levels = prng.fraction();
  if (prng.chance(0.6)) swarm.local_reads = prng.fraction();
  if (prng.chance(0.5)) swarm.weak_writes = prng.fraction() * 0.5;
  if (prng.chance(0.5)) {
    swarm.listeners = static_cast<uint32_t>(between(prng, 1, 3));
    swarm.publishers = static_cast<uint32_t>(between(prng, 1, 2));
  }
}

// By a number of its own, so that what was there before is drawn as before.
void draw_ends(Prng& prng, ClusterSwarm& swarm) {
  swarm.end = draw_rate(prng, 0.4, {500 * kMs, 10 * kMs}, {5 * kSecond, 1 * kSecond});
  swarm.is_gentle = swarm.end.on() && prng.chance(0.4);
  if (!swarm.is_gentle) return;
  for (FaultRate ClusterSwarm::*fault :
       {&ClusterSwarm::partition, &ClusterSwarm::one_way, &ClusterSwarm::broken_line,
        &ClusterSwarm::kill, &ClusterSwarm::power, &ClusterSwarm::pause, &ClusterSwarm::disk_stall,
        &ClusterSwarm::disk_full}) {
    swarm.*fault = FaultRate{};
  }
  swarm.loss = 0;
  // A level that another node is needed for is uncertain when that one ends.
  swarm.other_levels = swarm.weak_writes = 0;
}

void draw_more(Prng& prng, ClusterSwarm& swarm) {
  swarm.lonely = draw_rate(prng, 0.4, {500 * kMs, 200 * kMs}, {4 * kSecond, 1 * kSecond});
  swarm.sync_fails = draw_rate(prng, 0.2, {1 * kSecond, 20 * kMs}, {8 * kSecond, 2 * kSecond});
  swarm.churn = draw_rate(prng, 0.4, {1 * kSecond, 0}, {8 * kSecond, 0});
  if (prng.chance(0.7)) swarm.flocks = prng.fraction();
  if (!swarm.is_gentle) return;
  swarm.lonely = swarm.sync_fails = FaultRate{};
}

// Likewise.
void draw_slow_turns(Prng& prng, ClusterSwarm& swarm) {
  const FaultRate drawn = draw_rate(prng, 0.4, {300 * kMs, 50 * kMs}, {3 * kSecond, 1500 * kMs});
  if (!swarm.is_gentle) swarm.slow_turn = drawn;
}

// Likewise.
void draw_checks(Prng& prng, ClusterSwarm& swarm) {
  if (prng.chance(0.5)) swarm.state_check_s = between(prng, 1, 4);
}

// Likewise.  Of one zone only, or where what others lose is nobody's fault, a write would wait in vain.
void draw_zones(Prng& prng, ClusterSwarm& swarm) {
  const bool has_zones = prng.chance(0.25);
  if (has_zones && !swarm.is_gentle && swarm.nodes >= 3 && swarm.replication >= 3) swarm.min_zones = 2;
}

// Likewise.
void draw_disaster(Prng& prng, ClusterSwarm& swarm) {
  const bool is_drawn = prng.chance(0.15);
  swarm.loses_most = is_drawn && !swarm.is_gentle && swarm.nodes >= 2;
  swarm.loses_power = prng.chance(0.5) && swarm.loses_most;
}

// Likewise.
void draw_appends(Prng& prng, ClusterSwarm& swarm) {
  if (prng.chance(0.2)) swarm.append_bytes_max = static_cast<size_t>(between(prng, 1, 300));
}

// Likewise.  Some pieces are under way at once.
void draw_states(Prng& prng, ClusterSwarm& swarm) {
  if (prng.chance(0.6)) swarm.state_piece_bytes = static_cast<size_t>(between(prng, 10, 400));
}

// Likewise.  Nodes are away for longer than that, there are more of them than copies, and operators move shares as well.
void draw_dead(Prng& prng, ClusterSwarm& swarm) {
  const bool is_drawn = prng.chance(0.4);
  const int64_t after_ms = between(prng, 1'000, 2'000);
  const FaultRate churn{.every_us = between(prng, 2 * kSecond, 10 * kSecond)};
  if (!is_drawn || swarm.is_gentle) return;
  if (!swarm.churn.on()) swarm.churn = churn;
  swarm.dead_after_ms = after_ms;
  swarm.nodes = std::max(swarm.nodes, swarm.replication + 1);
  swarm.kill.every_us = std::max(swarm.kill.every_us, 4 * kSecond);
  swarm.kill.length_us = 4 * kSecond;
}

// Likewise.  While it is set at some only, a line that breaks does not come back.
void draw_secret(Prng& prng, ClusterSwarm& swarm) {
  swarm.has_secret = prng.chance(0.4);
  const bool is_late = prng.chance(0.5);
  const int64_t after_us = between(prng, 1 * kSecond, 10 * kSecond);
  if (swarm.has_secret && is_late && !swarm.is_gentle) swarm.secret_after_us = after_us;
}

// Likewise.
void draw_modes(Prng& prng, ClusterSwarm& swarm) {
  const FaultRate drawn = draw_rate(prng, 0.25, {300 * kMs, 0}, {4 * kSecond, 0});
  if (!swarm.is_gentle) swarm.mode = drawn;
}

// Likewise.  Snapshots that take long let modes change while a log is not whole.
void draw_what_is_kept(Prng& prng, ClusterSwarm& swarm) {
  const bool is_slow = prng.chance(0.3);
  const int64_t snapshot_us = between(prng, 20 * kMs, 150 * kMs);
  const double disk_loss = prng.fraction();
  const bool is_told_alone = prng.chance(0.15);
  const uint64_t weaker = prng.below(2);
  const int64_t alone_us = between(prng, 200 * kMs, 2 * kSecond);
  const int64_t joined_us = between(prng, 100 * kMs, 1 * kSecond);
  if (is_slow && swarm.mode.on()) swarm.snapshot_us = snapshot_us;
  if (!swarm.is_gentle && prng.chance(0.5)) swarm.disk_loss = disk_loss;
  swarm.loses_decision = prng.chance(0.5) && swarm.loses_most && !swarm.loses_power && swarm.nodes >= 3 && swarm.nodes <= 5;
  if (!is_told_alone || swarm.is_gentle || swarm.nodes < 2 || swarm.in_memory) return;
  swarm.lone_mode = swarm.appendfsync == "always" && weaker == 1 ? raft::Durability::kOs : raft::Durability::kMemory;
  swarm.lone_mode_us = alone_us;
  swarm.boot_after_us = alone_us + joined_us;
}

// Likewise.
void draw_memory(Prng& prng, ClusterSwarm& swarm) {
  const FaultRate drawn = draw_rate(prng, 0.25, {500 * kMs, 100 * kMs}, {5 * kSecond, 2 * kSecond});
  if (swarm.is_gentle) return;
  swarm.memory_full = drawn;
  if (drawn.on()) swarm.bytes_a_key = 1000;
}

// Likewise.
void draw_arrangements(Prng& prng, ClusterSwarm& swarm) {
  const FaultRate drawn = draw_rate(prng, 0.3, {300 * kMs, 0}, {4 * kSecond, 0});
  if (swarm.nodes >= 2) swarm.arrange = drawn;
}

// Likewise.  Others hold what it held, so that it is not needed any more.
void draw_damage(Prng& prng, ClusterSwarm& swarm) {
  const FaultRate drawn = draw_rate(prng, 0.3, {1 * kSecond, 50 * kMs}, {6 * kSecond, 2 * kSecond});
  if (!swarm.is_gentle && swarm.nodes >= 3 && swarm.replication >= 3) swarm.damage = drawn;
}

// Likewise.
void draw_lost_syncs(Prng& prng, ClusterSwarm& swarm) {
  const FaultRate drawn = draw_rate(prng, 0.3, {500 * kMs, 20 * kMs}, {4 * kSecond, 1 * kSecond});
  if (!swarm.is_gentle && swarm.nodes >= 3 && swarm.replication >= 3) swarm.lost_sync = drawn;
}

}  // namespace

ClusterSwarm draw_cluster_swarm(uint64_t seed) {
  Prng prng(seed ^ 0x636c7573746572);
  ClusterSwarm swarm;
  draw_cluster(prng, swarm);
  draw_network(prng, swarm);
  draw_machines(prng, swarm);
  draw_people(prng, swarm);
  Prng end_prng(seed ^ 0x656e64);
  draw_ends(end_prng, swarm);
  swarm.in_memory = end_prng.chance(0.25);
  Prng more_prng(seed ^ 0x6d6f7265);
  draw_more(more_prng, swarm);
  Prng slow_prng(seed ^ 0x736c6f77);
  draw_slow_turns(slow_prng, swarm);
  Prng check_prng(seed ^ 0x636865636b);
  draw_checks(check_prng, swarm);
  Prng zone_prng(seed ^ 0x7a6f6e65);
  draw_zones(zone_prng, swarm);
  Prng disaster_prng(seed ^ 0x64697361);
  draw_disaster(disaster_prng, swarm);
  Prng append_prng(seed ^ 0x617070656e64);
  draw_appends(append_prng, swarm);
  Prng state_prng(seed ^ 0x7374617465);
  draw_states(state_prng, swarm);
  Prng dead_prng(seed ^ 0x64656164);
  draw_dead(dead_prng, swarm);
  Prng secret_prng(seed ^ 0x736563726574);
  draw_secret(secret_prng, swarm);
  Prng mode_prng(seed ^ 0x6d6f6465);
  draw_modes(mode_prng, swarm);
  Prng kept_prng(seed ^ 0x6b657074);
  draw_what_is_kept(kept_prng, swarm);
  Prng memory_prng(seed ^ 0x6d656d6f7279);
  draw_memory(memory_prng, swarm);
  Prng arrange_prng(seed ^ 0x617272616e6765);
  draw_arrangements(arrange_prng, swarm);
  Prng damage_prng(seed ^ 0x64616d616765);
  draw_damage(damage_prng, swarm);
  Prng sync_prng(seed ^ 0x6c6965);
  draw_lost_syncs(sync_prng, swarm);
  return swarm;
}

std::string describe(const ClusterSwarm& swarm) {
  std::string text;
  add_line(text, "nodes", swarm.nodes);
  add_line(text, "partitions", swarm.partitions);
  add_line(text, "replication-n", swarm.replication);
  if (swarm.min_zones > 0) add_line(text, "min-zones", swarm.min_zones);
  text += "  appendfsync " + swarm.appendfsync + "\n";
  if (swarm.in_memory) text += "  appendonly no\n";
  if (swarm.lone_mode) {
    text += "  the first node starts as " + std::string(raft::name_of(*swarm.lone_mode)) + "\n";
    add_line(text, "told-alone-ms", static_cast<double>(swarm.lone_mode_us / kMs));
    add_line(text, "boot-after-ms", static_cast<double>(swarm.boot_after_us / kMs));
  }
  if (swarm.has_secret) text += "  masterauth is set\n";
  if (swarm.secret_after_us > 0) add_line(text, "masterauth-after-ms", static_cast<double>(swarm.secret_after_us / kMs));
  add_line(text, "boot-spread-ms", static_cast<double>(swarm.boot_spread_us / kMs));
  add_line(text, "rewrite-min-bytes", static_cast<double>(swarm.rewrite_min_bytes));
  if (swarm.append_bytes_max > 0) add_line(text, "append-bytes", static_cast<double>(swarm.append_bytes_max));
  if (swarm.state_piece_bytes > 0) add_line(text, "state-piece-bytes", static_cast<double>(swarm.state_piece_bytes));
  add_line(text, "delay-us", static_cast<double>(swarm.delay_us));
  add_line(text, "jitter-us", static_cast<double>(swarm.jitter_us));
  if (swarm.loss > 0) add_line(text, "loss", swarm.loss);
  add_line(text, "partition", swarm.partition);
  add_line(text, "one-way cut", swarm.one_way);
  add_line(text, "broken line", swarm.broken_line);
  add_line(text, "lonely node", swarm.lonely);
  if (swarm.lonely_is_slow) text += "  lonely nodes are slow\n";
  add_line(text, "kill", swarm.kill);
  add_line(text, "power loss", swarm.power);
  add_line(text, "quick restart", swarm.quick_restart);
  add_line(text, "orderly end", swarm.end);
  if (swarm.is_gentle) text += "  gentle: nothing else fails\n";
  add_line(text, "pause", swarm.pause);
  add_line(text, "slow turn", swarm.slow_turn);
  add_line(text, "wall-jump", swarm.wall_jump);
  if (swarm.drift_ppm > 0) add_line(text, "drift-ppm", static_cast<double>(swarm.drift_ppm));
  add_line(text, "disk-us", static_cast<double>(swarm.disk_us));
  if (swarm.snapshot_us > 0) add_line(text, "snapshot-us", static_cast<double>(swarm.snapshot_us));
  if (swarm.disk_loss > 0) add_line(text, "disk-loss", swarm.disk_loss);
  add_line(text, "flipped bits", swarm.damage);
  add_line(text, "lost syncs", swarm.lost_sync);
  add_line(text, "disk stall", swarm.disk_stall);
  add_line(text, "full disk", swarm.disk_full);
  add_line(text, "failed sync", swarm.sync_fails);
  add_line(text, "churn", swarm.churn);
  add_line(text, "mode change", swarm.mode);
  add_line(text, "full memory", swarm.memory_full);
  add_line(text, "arrangement", swarm.arrange);
  if (swarm.loses_most) text += "  most machines are lost for good\n";
  if (swarm.loses_power) text += "  and all power with the first of them\n";
  if (swarm.loses_decision) text += "  and a decision with them\n";
  if (swarm.dead_after_ms > 0) add_line(text, "node-dead-after", static_cast<double>(swarm.dead_after_ms));
  if (swarm.state_check_s > 0) add_line(text, "state-check-seconds", static_cast<double>(swarm.state_check_s));
  add_line(text, "clients", swarm.clients);
  if (swarm.flocks > 0) add_line(text, "flocks", swarm.flocks);
  add_line(text, "keys", swarm.keys);
  add_line(text, "think-us", static_cast<double>(swarm.think_us));
  add_line(text, "reads", swarm.reads);
  add_line(text, "request-ms", static_cast<double>(swarm.request_us / kMs));
  if (swarm.listeners > 0) add_line(text, "listeners", swarm.listeners);
  if (swarm.publishers > 0) add_line(text, "publishers", swarm.publishers);
  if (swarm.cluster_clients > 0) add_line(text, "cluster-clients", swarm.cluster_clients);
  if (swarm.other_levels > 0) add_line(text, "other-levels", swarm.other_levels);
  if (swarm.weak_writes > 0) add_line(text, "weak-writes", swarm.weak_writes);
  if (swarm.local_reads > 0) add_line(text, "local-reads", swarm.local_reads);
  if (swarm.only_counters) text += "  only counters\n";
  if (swarm.dawdle_us > 0) add_line(text, "dawdle-us", static_cast<double>(swarm.dawdle_us));
  return text;
}

}  // namespace quorate::sim

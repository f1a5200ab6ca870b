// Each fault is on in a part of the seeds, at a rate and length that the seed draws.
#include "tests/sim/raft_options.h"

#include <algorithm>

namespace quorate::sim {

namespace {

void draw_cluster(Prng& prng, RaftSwarm& swarm) {
  swarm.nodes = static_cast<uint32_t>(between(prng, 3, 7));
  swarm.groups = static_cast<uint32_t>(between(prng, 1, 3));
  const uint32_t voters[] = {3, 3, 3, 5, 4, 2, 1};
  swarm.voters = std::min(swarm.nodes, voters[prng.below(7)]);
  if (swarm.voters >= 4 && prng.chance(0.3)) swarm.commit_quorum = swarm.voters / 2;
  const raft::Durability modes[] = {raft::Durability::kMemory, raft::Durability::kOs,
                                    raft::Durability::kOs, raft::Durability::kSynced};
  swarm.durability = modes[prng.below(4)];
  swarm.window_bytes_max = prng.chance(0.5) ? uint64_t{1} << 20 : 200 + prng.below(8000);
  swarm.append_bytes_max = std::max<uint64_t>(200, swarm.window_bytes_max / 4);
  // Most often an entry at a time: what a new leader sends first is not yet of its own term.
  if (prng.chance(0.5)) swarm.append_bytes_max = 1 + prng.below(140);
  swarm.loads_slowly = prng.chance(0.3);
}

void draw_network(Prng& prng, RaftSwarm& swarm) {
  swarm.delay_us = prng.chance(0.7) ? between(prng, 20, 500) : between(prng, 1 * kMs, 20 * kMs);
  swarm.jitter_us = prng.chance(0.7) ? between(prng, 0, 500) : between(prng, 1 * kMs, 40 * kMs);
  if (prng.chance(0.4)) swarm.loss = prng.fraction() * 0.1;
  if (prng.chance(0.3)) swarm.duplicates = prng.fraction() * 0.1;
  if (prng.chance(0.3)) swarm.reordered = prng.fraction() * 0.2;
  swarm.partition = draw_rate(prng, 0.5, {500 * kMs, 100 * kMs}, {4 * kSecond, 2 * kSecond});
  swarm.one_way = draw_rate(prng, 0.4, {500 * kMs, 100 * kMs}, {4 * kSecond, 2 * kSecond});
  swarm.flapping = draw_rate(prng, 0.2, {1 * kSecond, 200 * kMs}, {5 * kSecond, 2 * kSecond});
  swarm.young_leaders = draw_rate(prng, 0.4, {1 * kSecond, 2 * kSecond}, {6 * kSecond, 5 * kSecond});
  swarm.cuts_close = prng.chance(0.5);
}

void draw_machines(Prng& prng, RaftSwarm& swarm) {
  swarm.kill = draw_rate(prng, 0.5, {300 * kMs, 20 * kMs}, {4 * kSecond, 1 * kSecond});
  swarm.power = draw_rate(prng, 0.4, {500 * kMs, 50 * kMs}, {5 * kSecond, 1 * kSecond});
  swarm.blackout = draw_rate(prng, 0.15, {2 * kSecond, 50 * kMs}, {8 * kSecond, 500 * kMs});
  swarm.pause = draw_rate(prng, 0.4, {300 * kMs, 10 * kMs}, {3 * kSecond, 1 * kSecond});
  swarm.quick_restart = draw_rate(prng, 0.3, {500 * kMs, 100 * kMs}, {4 * kSecond, 800 * kMs});
  swarm.wall_jump = draw_rate(prng, 0.3, {500 * kMs, 0}, {4 * kSecond, 0});
  if (prng.chance(0.5)) swarm.drift_ppm = between(prng, 0, 30'000);
  swarm.disk_us = prng.chance(0.7) ? between(prng, 20, 300) : between(prng, 1 * kMs, 10 * kMs);
  swarm.disk_stall = draw_rate(prng, 0.3, {500 * kMs, 50 * kMs}, {4 * kSecond, 1 * kSecond});
}

void draw_people(Prng& prng, RaftSwarm& swarm) {
  swarm.membership = draw_rate(prng, 0.5, {200 * kMs, 0}, {3 * kSecond, 0});
  swarm.commit_quorums = draw_rate(prng, 0.2, {500 * kMs, 0}, {4 * kSecond, 0});
  swarm.transfer = draw_rate(prng, 0.4, {200 * kMs, 0}, {3 * kSecond, 0});
  swarm.compaction = draw_rate(prng, 0.6, {200 * kMs, 0}, {3 * kSecond, 0});
  swarm.clients = static_cast<uint32_t>(between(prng, 2, 8));
  swarm.keys = static_cast<uint32_t>(between(prng, 1, 4));
  swarm.think_us = between(prng, 2 * kMs, 60 * kMs);
  if (prng.chance(0.5)) swarm.weak_writes = prng.fraction() * 0.6;
  swarm.reads = 0.2 + prng.fraction() * 0.5;
  swarm.attempt_us = between(prng, 100 * kMs, 800 * kMs);
  swarm.request_us = between(prng, 500 * kMs, 5 * kSecond);
  swarm.keeps_executed = prng.chance(0.3);
}

// Later than the others: what they draw stays what it was.
void draw_end(Prng& prng, RaftSwarm& swarm) { swarm.loses_some = prng.chance(0.25); }

}  // namespace

RaftSwarm draw_swarm(uint64_t seed) {
  Prng prng(seed ^ 0x737761726d);
  RaftSwarm swarm;
  draw_cluster(prng, swarm);
  draw_network(prng, swarm);
  draw_machines(prng, swarm);
  draw_people(prng, swarm);
  Prng end_prng(seed ^ 0x656e64);
  draw_end(end_prng, swarm);
  return swarm;
}

std::string describe(const RaftSwarm& swarm) {
  std::string text;
  add_line(text, "nodes", swarm.nodes);
  add_line(text, "groups", swarm.groups);
  add_line(text, "voters", swarm.voters);
  if (swarm.commit_quorum != 0) add_line(text, "commit-quorum", swarm.commit_quorum);
  text += "  durability " + std::string(raft::name_of(swarm.durability)) + "\n";
  add_line(text, "window-bytes", static_cast<double>(swarm.window_bytes_max));
  add_line(text, "append-bytes", static_cast<double>(swarm.append_bytes_max));
  if (swarm.loads_slowly) text += "  loads slowly\n";
  add_line(text, "delay-us", static_cast<double>(swarm.delay_us));
  add_line(text, "jitter-us", static_cast<double>(swarm.jitter_us));
  if (swarm.loss > 0) add_line(text, "loss", swarm.loss);
  if (swarm.duplicates > 0) add_line(text, "duplicates", swarm.duplicates);
  if (swarm.reordered > 0) add_line(text, "reordered", swarm.reordered);
  add_line(text, "partition", swarm.partition);
  add_line(text, "one-way cut", swarm.one_way);
  add_line(text, "flapping", swarm.flapping);
  add_line(text, "young leaders fall", swarm.young_leaders);
  if (swarm.cuts_close) text += "  cuts close connections\n";
  add_line(text, "kill", swarm.kill);
  add_line(text, "power loss", swarm.power);
  add_line(text, "blackout", swarm.blackout);
  add_line(text, "pause", swarm.pause);
  add_line(text, "quick restart", swarm.quick_restart);
  add_line(text, "wall-jump", swarm.wall_jump);
  if (swarm.drift_ppm > 0) add_line(text, "drift-ppm", static_cast<double>(swarm.drift_ppm));
  add_line(text, "disk-us", static_cast<double>(swarm.disk_us));
  add_line(text, "disk stall", swarm.disk_stall);
  add_line(text, "membership", swarm.membership);
  add_line(text, "commit-quorum change", swarm.commit_quorums);
  add_line(text, "transfer", swarm.transfer);
  add_line(text, "compaction", swarm.compaction);
  if (swarm.loses_some) text += "  loses machines for good\n";
  add_line(text, "clients", swarm.clients);
  add_line(text, "keys", swarm.keys);
  add_line(text, "think-us", static_cast<double>(swarm.think_us));
  if (swarm.weak_writes > 0) add_line(text, "other-levels", swarm.weak_writes);
  add_line(text, "reads", swarm.reads);
  add_line(text, "attempt-ms", static_cast<double>(swarm.attempt_us / kMs));
  add_line(text, "request-ms", static_cast<double>(swarm.request_us / kMs));
  if (swarm.keeps_executed) text += "  what was executed is not undone\n";
  return text;
}

}  // namespace quorate::sim

// Two phases, then the verdicts; and the list of planted mistakes.
#include "tests/sim/cluster_sim.h"

#include <string>

#include "tests/sim/cluster_disaster.h"
#include "tests/sim/cluster_world.h"
#include "tests/sim/planted.h"
#include "util/hash.h"

namespace quorate::sim {

namespace {

// After everything has healed every key must be writable within this, and all copies equal and in
// their places within as long again.
constexpr int64_t kProgressUs = 60 * kSecond;
constexpr int64_t kStepUs = kSecond / 10;

template <class Condition>
bool run_until(ClusterWorld& world, int64_t microseconds, Condition&& condition) {
  for (const int64_t end = world.now_us() + microseconds; world.now_us() < end;) {
    if (condition() || !world.wrong().empty()) return true;
    world.run(world.now_us() + kStepUs);
  }
  return condition();
}

std::string heal_and_lose_most(ClusterWorld& world, const ClusterSwarm& swarm, uint64_t seed, SimResult& result) {
  world.heal();
  result.no_progress = true;
  // With slow disks copies are never equal while somebody writes.
  world.clients().pause();
  if (!run_until(world, kProgressUs, [&] { return world.clients().is_idle() && world.is_settled(); })) {
    return "no rest after everything had healed: " + world.describe_unsettled();
  }
  if (!world.wrong().empty()) return world.wrong();
  return lose_most(world, swarm, seed);
}

// Empty: all is well.
std::string heal_and_judge(ClusterWorld& world, SimResult& result, uint64_t& undecided) {
  world.heal();
  world.clients().begin_verification();
  result.no_progress = true;
  if (!run_until(world, kProgressUs, [&] { return world.clients().is_verified(); })) {
    return "after everything had healed these keys had no answer:" +
           world.clients().describe_unverified() + "\n" + world.describe_unsettled();
  }
  if (world.wrong().empty() && !run_until(world, kProgressUs, [&] { return world.is_settled(); })) {
    return "no rest after everything had healed: " + world.describe_unsettled();
  }
  // Their connections may be later than the others: a broken one that nobody was told of is made anew after five seconds of silence.
  world.run(world.now_us() + 7 * kSecond);
  world.pubsub().begin_verification();
  if (world.wrong().empty() && !run_until(world, kProgressUs, [&] { return world.pubsub().is_verified(); })) {
    return "with all copies at rest not every message is heard:" + world.pubsub().describe_unverified();
  }
  result.no_progress = false;
  if (!world.wrong().empty()) return world.wrong();
  // Once more, with all copies at rest.
  world.run(world.now_us() + kSecond);
  if (!world.wrong().empty()) return world.wrong();
  return world.clients().check(undecided);
}

}  // namespace

SimResult run_cluster_sim(const ClusterSimOptions& options) {
  ClusterSwarm swarm = draw_cluster_swarm(options.seed);
  if (options.provoke != nullptr) options.provoke(swarm);
  ClusterWorld world(options, swarm);
  SimResult result;
  uint64_t undecided = 0;
  world.look_at_kept();
  world.start_clients();
  world.run(world.now_us() + options.seconds * kSecond);
  result.message = world.wrong();
  if (result.message.empty() && swarm.loses_most) result.message = heal_and_lose_most(world, swarm, options.seed, result);
  if (result.message.empty()) result.message = heal_and_judge(world, result, undecided);
  if (!world.wrong().empty()) {
    result.no_progress = false;
    result.message = world.wrong();
  }
  result.good = result.message.empty();
  result.trace = hash64(result.message, world.trace());
  result.crashes = world.crashes();
  result.records = world.clients().writes_answered();
  result.snapshots = world.snapshots();
  result.counts = {{"elections", world.oracle().leaders()},
                   {"comparisons of copies", world.oracle().comparisons()},
                   {"comparisons by the nodes", world.state_checks()},
                   {"operations judged", world.clients().operations()},
                   {"operations with an unknown outcome", world.clients().unknown()},
                   {"histories undecided", undecided},
                   {"nodes replaced", world.replaced()},
                   {"nodes taken for dead", world.died()},
                   {"modes begun", world.mode_changes()},
                   {"arranged by hand", world.arranged()},
                   {"looks at what is kept", world.kept_looks()},
                   {"disks lost", world.disks_lost()},
                   {"disks damaged", world.damaged()},
                   {"disks that lost what they said to be synced", world.lost_syncs()},
                   {"nodes that came back as others", world.retired()}};
  for (size_t fault = 0; fault < kClusterFaultCount; ++fault) {
    result.counts.push_back({name_of(static_cast<ClusterFault>(fault)), world.faults()[fault]});
  }
  result.simulated_us = world.now_us();
  return result;
}

namespace {

// ---- planted mistakes, and what provokes each

template <bool NodeMistakes::*mistake>
void of_node(ClusterSimOptions& options) {
  options.mistakes.*mistake = true;
}

template <bool raft::Mistakes::*mistake>
void of_core(ClusterSimOptions& options) {
  options.mistakes.core.*mistake = true;
}

template <void (*provoke)(ClusterSwarm&)>
void provoked(ClusterSimOptions& options) {
  options.provoke = provoke;
}

// A quick cluster of three, busy with few keys, in which nothing fails yet.
void be_busy(ClusterSwarm& swarm) {
  const std::string appendfsync = swarm.appendfsync;
  const int64_t drift_ppm = swarm.drift_ppm;
  swarm = ClusterSwarm();
  swarm.partitions = 2;
  swarm.clients = 5;
  swarm.keys = 1;
  swarm.think_us = 6 * kMs;
  swarm.appendfsync = appendfsync;
  swarm.drift_ppm = drift_ppm;
  swarm.request_us = 600 * kMs;
}

// A node is alone with half of the clients, and often killed before it is heard again.
void cut_off_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.lonely = {.every_us = 350 * kMs, .length_us = 400 * kMs};
  swarm.kill = {.every_us = 2 * kSecond, .length_us = 100 * kMs};
  swarm.flocks = 1;
}

// Many ask a leader that does not know yet whether it is one.
void ask_who_is_cut_off(ClusterSwarm& swarm) {
  cut_off_often(swarm);
  swarm.clients = 9;
  swarm.reads = 0.7;
}

// ... for what others write meanwhile: of what is written at the old leader as well it says nothing.
void read_who_is_cut_off(ClusterSwarm& swarm) {
  cut_off_often(swarm);
  swarm.kill = {};
  swarm.clients = 9;
  swarm.think_us = 3 * kMs;
  swarm.keys = 8;
  swarm.reads = 0.95;
  swarm.only_counters = true;
}

// ... in a turn that goes on while others are elected.
void take_long_turns(ClusterSwarm& swarm) {
  read_who_is_cut_off(swarm);
  swarm.lonely_is_slow = true;
}

void kill_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.kill = {.every_us = 300 * kMs, .length_us = 20 * kMs};
  swarm.jitter_us = 10 * kMs;
}

// Followers lack some entries of an older term and get one after the other.
void send_little(ClusterSwarm& swarm) {
  kill_often(swarm);
  swarm.append_bytes_max = 1;
  swarm.lonely = {.every_us = 350 * kMs, .length_us = 400 * kMs};
  swarm.flocks = 1;
}

// A voter that hears its leader restarts while another one that does not asks for its vote.  With writes under way that one would fall behind,
// and nobody would vote for it.
void restart_quickly(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.partitions = 32;
  swarm.clients = 2;
  swarm.think_us = 50 * kMs;
  swarm.quick_restart = {.every_us = 500 * kMs, .length_us = 60 * kMs};
}

void save_often(ClusterSwarm& swarm) {
  cut_off_often(swarm);
  swarm.rewrite_min_bytes = 2'000;
}

void end_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.end = {.every_us = 400 * kMs, .length_us = 20 * kMs};
  swarm.nodes = 5;
  swarm.churn = {.every_us = 200 * kMs};
  swarm.is_gentle = true;
  swarm.clients = 9;
  swarm.think_us = 3 * kMs;
  swarm.reads = 0.95;
}

// Each turn has read something, and disks are no slower than the network: who is told to stand asks for votes before others have
// confirmed the old leader.
void end_in_a_rush(ClusterSwarm& swarm) {
  end_often(swarm);
  swarm.nodes = 3;
  swarm.partitions = 8;
  swarm.disk_us = 2;
  swarm.clients = 20;
  swarm.think_us = kMs / 5;
  swarm.keys = 8;
  swarm.only_counters = true;
}

// ... and many have read in the turn in which it begins.
void end_in_long_turns(ClusterSwarm& swarm) {
  end_in_a_rush(swarm);
  swarm.slow_turn = {.every_us = 4 * kMs, .length_us = 4 * kMs};
  swarm.jitter_us = 4 * kMs;
  swarm.clients = 40;
}

// The old leader hears of the election after the one that has been told to stand has won it.
void end_far_away(ClusterSwarm& swarm) {
  end_often(swarm);
  swarm.jitter_us = 20 * kMs;
}

void listen(ClusterSwarm& swarm) {
  cut_off_often(swarm);
  swarm.listeners = 2;
  swarm.publishers = 2;
}

void lose_all_power_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.appendfsync = "always";
  swarm.power = {.every_us = 500 * kMs, .length_us = 20 * kMs};
  swarm.disk_us = 5 * kMs;
}

void break_lines_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.broken_line = {.every_us = 40 * kMs, .length_us = 20 * kMs};
  swarm.jitter_us = 5 * kMs;
}

void write_weakly(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.weak_writes = 0.5;
  swarm.disk_us = 5 * kMs;
}

// Leaders that have acknowledged something weakly are killed: whoever leads next has something to tell.
void kill_often_and_write_weakly(ClusterSwarm& swarm) {
  kill_often(swarm);
  swarm.weak_writes = 0.5;
}

// Leaders change between what is watched and EXEC.
void watch_for_long(ClusterSwarm& swarm) {
  kill_often(swarm);
  swarm.clients = 9;
  swarm.reads = 0.1;
  swarm.only_counters = true;
  swarm.dawdle_us = 150 * kMs;
}

void lose_power_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.appendfsync = "everysec";
  swarm.power = {.every_us = 300 * kMs, .length_us = 20 * kMs};
}

// Who has forgotten meets one that missed what it had acknowledged, or nobody at all.
void forget_often(ClusterSwarm& swarm) {
  cut_off_often(swarm);
  swarm.in_memory = true;
  swarm.lonely = {.every_us = 100 * kMs, .length_us = 100 * kMs};
  swarm.kill = {.every_us = 100 * kMs, .length_us = 5 * kMs};
  swarm.jitter_us = 3 * kMs;
}

// Who has forgotten is started once more before it has caught up.
void forget_and_restart(ClusterSwarm& swarm) {
  cut_off_often(swarm);
  swarm.appendfsync = "everysec";
  swarm.power = {.every_us = 200 * kMs, .length_us = 10 * kMs};
  swarm.kill = {.every_us = 60 * kMs, .length_us = 1 * kMs};
  swarm.jitter_us = 10 * kMs;
}

// A leader is cut off together with a copy that asks it.
void read_copies_of_five(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.nodes = swarm.replication = 5;
  swarm.partition = {.every_us = 800 * kMs, .length_us = 1200 * kMs};
  swarm.clients = 9;
  swarm.think_us = 4 * kMs;
  swarm.local_reads = 1;
  swarm.reads = 0.8;
  swarm.only_counters = true;
}

// Nobody asks a follower, and none of them comes to lead: what it holds is never seen.
void compare_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.state_check_s = 1;
}

void replace_often(ClusterSwarm& swarm) {
  cut_off_often(swarm);
  swarm.nodes = 5;
  swarm.churn = {.every_us = 300 * kMs};
}

// The power goes as soon as whoever asked for `always` has been told that it holds.
void change_modes_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.mode = {.every_us = 200 * kMs};
  swarm.power = {.every_us = 2 * kSecond, .length_us = 20 * kMs};
  swarm.disk_us = 5 * kMs;
  swarm.jitter_us = 10 * kMs;
}

// ... and while snapshots take long, without which a log that has been bare keeps nothing, nodes are not heard for a while or are killed.
void change_modes_slowly(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.in_memory = true;
  swarm.mode = {.every_us = 300 * kMs};
  swarm.snapshot_us = 100 * kMs;
  swarm.lonely = {.every_us = 500 * kMs, .length_us = 400 * kMs};
  swarm.kill = {.every_us = 700 * kMs, .length_us = 200 * kMs};
  swarm.disk_loss = 0.2;
}

// The first node is told what to keep while it is alone, and killed when it gets company.
void tell_who_is_alone(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.lone_mode = raft::Durability::kMemory;
  swarm.lone_mode_us = 300 * kMs;
  swarm.boot_after_us = 900 * kMs;
  swarm.kill = {.every_us = 2 * kSecond, .length_us = 100 * kMs};
  swarm.snapshot_us = 5 * kMs;
}

void write_in_zones(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.min_zones = 2;
  swarm.jitter_us = 20 * kMs;
}

// Nodes are not heard for a while, again and again, and never for so long that others are to get what they hold.
void lose_touch_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.nodes = 4;
  swarm.dead_after_ms = 3'000;
  swarm.lonely = {.every_us = 300 * kMs, .length_us = 400 * kMs};
}

// Logs are damaged, and whoever may start again does.
void damage_often(ClusterSwarm& swarm) {
  be_busy(swarm);
  swarm.damage = {.every_us = 500 * kMs, .length_us = 50 * kMs};
}

constexpr PlantedMistake<ClusterSimOptions> kMistakes[] = {
    {"reply before commit", 200, of_node<&NodeMistakes::reply_before_commit>, provoked<cut_off_often>, 24},
    {"read before commit", 200, of_node<&NodeMistakes::read_before_commit>, provoked<ask_who_is_cut_off>, 24},
    {"read without lease", 200, of_node<&NodeMistakes::read_without_lease>, provoked<read_who_is_cut_off>, 24},
    {"lost replies leave", 200, of_node<&NodeMistakes::lost_replies_leave>, provoked<cut_off_often>, 24},
    {"proposes nothing", 200, of_node<&NodeMistakes::proposes_nothing>, provoked<be_busy>, 24},
    {"serves before applied", 200, of_node<&NodeMistakes::serves_before_applied>, provoked<kill_often>, 24},
    {"snapshot before commit", 200, of_node<&NodeMistakes::snapshot_before_commit>, provoked<save_often>, 24},
    {"believes the turn's clock", 200, of_node<&NodeMistakes::believes_turns_clock>, provoked<take_long_turns>, 24},
    {"forgets losses", 200, of_node<&NodeMistakes::forgets_losses>, provoked<kill_often_and_write_weakly>, 24},
    {"cuts damaged logs", 200, of_node<&NodeMistakes::cuts_damaged_logs>, provoked<damage_often>, 24},
    {"ignores mark", 200, of_node<&NodeMistakes::ignores_mark>, provoked<lose_power_often>, 24},
    {"hands over in turn", 200, of_node<&NodeMistakes::hands_over_in_turn>, provoked<end_in_long_turns>, 24},
    {"some messages wait", 200, of_node<&NodeMistakes::some_messages_wait>, provoked<listen>, 24},
    {"written is synced", 200, of_node<&NodeMistakes::written_is_synced>, provoked<lose_all_power_often>, 24},
    {"runs numbers again", 200, of_node<&NodeMistakes::runs_numbers_again>, provoked<break_lines_often>, 24},
    {"forgets numbers", 200, of_node<&NodeMistakes::forgets_numbers>, provoked<kill_often>, 24},
    {"counts itself unstored", 200, of_node<&NodeMistakes::counts_itself_unstored>, provoked<write_weakly>, 24},
    {"answers mode early", 200, of_node<&NodeMistakes::answers_mode_early>, provoked<change_modes_often>, 24},
    {"founds as it started", 200, of_node<&NodeMistakes::founds_as_it_started>, provoked<tell_who_is_alone>, 24},
    {"keeps own order", 200, of_node<&NodeMistakes::keeps_own_order>, provoked<be_busy>, 24},
    {"ignores zones", 200, of_node<&NodeMistakes::ignores_zones>, provoked<write_in_zones>, 24},
    {"tells age without lease", 200, of_node<&NodeMistakes::tells_age_without_lease>,
     provoked<read_copies_of_five>, 24},
    {"forgets watches", 200, of_node<&NodeMistakes::forgets_watches>, provoked<watch_for_long>, 24},
    {"watches over terms", 200, of_node<&NodeMistakes::watches_over_terms>, provoked<watch_for_long>, 24},
    {"applies differently", 200, of_node<&NodeMistakes::applies_differently>, provoked<compare_often>, 24},
    {"local is lease", 200, of_node<&NodeMistakes::local_is_lease>, provoked<ask_who_is_cut_off>, 24},
    // Of the core.
    {"no no-op", 200, of_core<&raft::Mistakes::no_no_op>, provoked<kill_often>, 24},
    {"old term committed by count", 200, of_core<&raft::Mistakes::commit_old_terms_by_count>,
     provoked<send_little>, 24},
    {"election quorum one short", 200, of_core<&raft::Mistakes::election_quorum_one_short>,
     provoked<cut_off_often>, 24},
    {"lease longer than the promise", 200, of_core<&raft::Mistakes::lease_longer_than_promise>,
     provoked<cut_off_often>, 24},
    {"vote right after restart", 200, of_core<&raft::Mistakes::vote_right_after_restart>,
     provoked<restart_quickly>, 24},
    {"vote while recovering", 200, of_core<&raft::Mistakes::vote_while_recovering>, provoked<forget_often>, 24},
    {"recovering flag not durable", 200, of_core<&raft::Mistakes::forget_recovering_flag>,
     provoked<forget_and_restart>, 24},
    {"lone voter restarts all", 200, of_core<&raft::Mistakes::lone_voter_restarts_all>, provoked<forget_often>, 24},
    {"TimeoutNow under a lease", 200, of_core<&raft::Mistakes::timeout_now_under_lease>, provoked<end_far_away>, 24},
    {"state before commit", 200, of_core<&raft::Mistakes::snapshot_before_commit>, provoked<replace_often>, 24},
    {"single-step membership", 200, of_core<&raft::Mistakes::single_step_membership>, provoked<replace_often>, 24},
    {"takes the living for dead", 200, of_core<&raft::Mistakes::takes_living_for_dead>, provoked<lose_touch_often>, 24},
    {"unkept is acknowledged", 200, of_core<&raft::Mistakes::unkept_is_acknowledged>, provoked<change_modes_slowly>, 60},
    {"bare copies lead", 200, of_core<&raft::Mistakes::bare_copies_lead>, provoked<change_modes_slowly>, 0},
    {"beats confirm all groups", 200, of_core<&raft::Mistakes::beats_confirm_all_groups>,
     provoked<cut_off_often>, 24},
};

}  // namespace

bool plant_mistake(std::string_view name, Luck luck, ClusterSimOptions& options) {
  return plant<ClusterSimOptions>(kMistakes, name, luck, options);
}

int cluster_self_check(const SelfCheck& check) {
  return search_all<ClusterSimOptions>(check, kMistakes, run_cluster_sim);
}

}  // namespace quorate::sim

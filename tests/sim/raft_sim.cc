// Two phases, then the verdicts; and the list of planted mistakes.
#include "tests/sim/raft_sim.h"

#include <string>

#include "tests/sim/planted.h"
#include "tests/sim/raft_world.h"

namespace quorate::sim {

namespace {

// After everything has healed a group must answer within this, and come to rest within as long
// again.
constexpr int64_t kProgressUs = 30 * kSecond;
constexpr int64_t kStepUs = kSecond / 10;

// Every group answers requests at quorum level.
bool makes_progress(World& world, const RaftSwarm& swarm) {
  constexpr uint64_t kAnswers = 5;
  std::vector<uint64_t> before;
  for (uint64_t group = 1; group <= swarm.groups; ++group) {
    before.push_back(world.clients().answered_in({group}));
  }
  for (const int64_t end = world.now_us() + kProgressUs; world.now_us() < end;) {
    world.drop_lost_members();
    world.run(world.now_us() + kStepUs);
    bool all = true;
    for (uint64_t group = 1; group <= swarm.groups; ++group) {
      all &= world.clients().answered_in({group}) >= before[group - 1] + kAnswers;
    }
    if (all || !world.oracle().wrong().empty()) return true;
  }
  return false;
}

// True if nothing is to be lost.
bool goes_on_without_some(World& world, const RaftSwarm& swarm) {
  if (!swarm.loses_some) return true;
  for (const int64_t end = world.now_us() + kProgressUs; world.now_us() < end && !world.is_whole();) {
    world.drop_lost_members();
    world.run(world.now_us() + kStepUs);
    if (!world.oracle().wrong().empty()) return true;
  }
  if (!world.is_whole()) return false;
  world.lose_some();
  return makes_progress(world, swarm);
}

bool comes_to_rest(World& world) {
  world.clients().stop();
  for (const int64_t end = world.now_us() + kProgressUs; world.now_us() < end;) {
    world.drop_lost_members();
    world.run(world.now_us() + kStepUs);
    if (!world.oracle().wrong().empty()) return true;
    if (world.clients().idle() && world.has_settled()) return true;
  }
  return false;
}

struct Judged {
  uint64_t operations = 0;  // in histories that were judged
  uint64_t undecided = 0;   // histories that were too hard to judge
};

void judge(World& world, const RaftSwarm& swarm, Judged& judged) {
  world.oracle().check_ledger();
  for (uint64_t group = 1; group <= swarm.groups; ++group) {
    // What an all-present restart may lose, reads may have seen.
    if (world.oracle().lost_committed({group})) continue;
    std::string wrong = world.clients().check({group}, world.state_of({group}), judged.undecided);
    judged.operations += world.clients().operations_in({group});
    if (!wrong.empty()) world.oracle().fail(std::move(wrong));
  }
}

std::vector<SimResult::Count> counts_of(World& world, const Judged& judged) {
  std::vector<SimResult::Count> counts = {
      {"elections", world.oracle().leaders()},
      {"entries committed", world.oracle().committed_entries()},
      {"weak writes lost as they may be", world.oracle().lost_weak_writes()},
      {"operations judged", judged.operations},
      {"histories undecided", judged.undecided}};
  for (size_t fault = 0; fault < kFaultCount; ++fault) {
    counts.push_back({name_of(static_cast<Fault>(fault)), world.faults()[fault]});
  }
  return counts;
}

}  // namespace

SimResult run_raft_sim(const RaftSimOptions& options) {
  const RaftSwarm swarm = draw_swarm(options.seed);
  World world(options, swarm);
  SimResult result;
  Judged judged;
  world.run(world.now_us() + options.seconds * kSecond);
  if (world.oracle().wrong().empty()) {
    world.heal();
    world.clients().only_quorum();
    if (!makes_progress(world, swarm)) {
      result.no_progress = true;
      result.message = "no progress after everything had healed: " + world.describe_unsettled();
    } else if (!goes_on_without_some(world, swarm)) {
      result.no_progress = true;
      result.message = "no progress after machines were given up: " + world.describe_unsettled();
    } else if (!comes_to_rest(world)) {
      result.no_progress = true;
      result.message = "no rest after everything had healed: " + world.describe_unsettled();
    } else if (world.oracle().wrong().empty()) {
      judge(world, swarm, judged);
    }
  }
  if (!world.oracle().wrong().empty()) {
    result.no_progress = false;
    result.message = world.oracle().wrong();
  }
  result.good = result.message.empty();
  result.trace = world.trace();
  result.crashes = world.crashes();
  result.records = world.oracle().acknowledged();
  result.snapshots = world.snapshots();
  result.simulated_us = world.now_us();
  result.counts = counts_of(world, judged);
  return result;
}

namespace {

constexpr PlantedMistake<RaftSimOptions> kMistakes[] = {
    {"no no-op", 20, [](RaftSimOptions& options) { options.mistakes.no_no_op = true; }},
    {"old term committed by count", 250,
     [](RaftSimOptions& options) { options.mistakes.commit_old_terms_by_count = true; }},
    {"vote while recovering", 20,
     [](RaftSimOptions& options) { options.mistakes.vote_while_recovering = true; }},
    {"recovering flag not durable", 200,
     [](RaftSimOptions& options) { options.mistakes.forget_recovering_flag = true; }},
    {"election quorum one short", 20,
     [](RaftSimOptions& options) { options.mistakes.election_quorum_one_short = true; }},
    {"reply before commit", 20,
     [](RaftSimOptions& options) { options.driver_mistakes.reply_before_commit = true; }},
    {"lease longer than the promise", 60,
     [](RaftSimOptions& options) { options.mistakes.lease_longer_than_promise = true; }},
    {"vote right after restart", 250,
     [](RaftSimOptions& options) { options.mistakes.vote_right_after_restart = true; }},
    {"TimeoutNow under a lease", 100,
     [](RaftSimOptions& options) { options.mistakes.timeout_now_under_lease = true; }},
    {"snapshot before commit", 30,
     [](RaftSimOptions& options) { options.mistakes.snapshot_before_commit = true; }},
    {"undo forgets rows", 40,
     [](RaftSimOptions& options) { options.driver_mistakes.undo_forgets_rows = true; }},
    {"single-step membership", 200,
     [](RaftSimOptions& options) { options.mistakes.single_step_membership = true; }},
    {"beats confirm all groups", 250,
     [](RaftSimOptions& options) { options.mistakes.beats_confirm_all_groups = true; }},
    {"lone voter restarts all", 20,
     [](RaftSimOptions& options) { options.mistakes.lone_voter_restarts_all = true; }},
    {"restarts without need", 100,
     [](RaftSimOptions& options) { options.mistakes.restarts_without_need = true; }},
};

}  // namespace

bool plant_mistake(std::string_view name, Luck luck, RaftSimOptions& options) {
  return plant<RaftSimOptions>(kMistakes, name, luck, options);
}

int raft_self_check(const SelfCheck& check) {
  return search_all<RaftSimOptions>(check, kMistakes, run_raft_sim);
}

}  // namespace quorate::sim

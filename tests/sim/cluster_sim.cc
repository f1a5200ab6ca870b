// Two phases, then the verdicts; and the list of planted mistakes.
#include "tests/sim/cluster_sim.h"

#include <string>

#include "tests/sim/cluster_world.h"
#include "tests/sim/planted.h"
#include "util/hash.h"

namespace quorate::sim {

namespace {

constexpr int64_t kSecond = 1'000'000;
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
  // Their connections may be later than the others.
  world.run(world.now_us() + 2 * kSecond);
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
  const ClusterSwarm swarm = draw_cluster_swarm(options.seed);
  ClusterWorld world(options, swarm);
  SimResult result;
  uint64_t undecided = 0;
  world.start_clients();
  world.run(world.now_us() + options.seconds * kSecond);
  result.message = world.wrong().empty() ? heal_and_judge(world, result, undecided) : world.wrong();
  if (!world.wrong().empty()) {
    result.no_progress = false;
    result.message = world.wrong();
  }
  result.good = result.message.empty();
  result.trace = hash64(result.message, world.trace());
  result.crashes = world.crashes();
  result.records = world.clients().writes_answered();
  result.snapshots = world.snapshots();
  result.counts = {{"elections", world.oracle().leaders()}, {"histories undecided", undecided}};
  result.simulated_us = world.now_us();
  return result;
}

namespace {

struct PlantedMistake {
  const char* name;
  uint64_t seeds;  // one of so many notices it
  void (*plant)(NodeMistakes&);
};

constexpr PlantedMistake kMistakes[] = {
    {"reply before commit", 200, [](NodeMistakes& plant) { plant.reply_before_commit = true; }},
    {"read before commit", 200, [](NodeMistakes& plant) { plant.read_before_commit = true; }},
    {"read without lease", 200, [](NodeMistakes& plant) { plant.read_without_lease = true; }},
    {"lost replies leave", 200, [](NodeMistakes& plant) { plant.lost_replies_leave = true; }},
    {"proposes nothing", 200, [](NodeMistakes& plant) { plant.proposes_nothing = true; }},
    {"serves before applied", 200, [](NodeMistakes& plant) { plant.serves_before_applied = true; }},
    {"snapshot before commit", 200,
     [](NodeMistakes& plant) { plant.snapshot_before_commit = true; }},
    {"hands over in turn", 200, [](NodeMistakes& plant) { plant.hands_over_in_turn = true; }},
    {"some messages wait", 200, [](NodeMistakes& plant) { plant.some_messages_wait = true; }},
    {"written is synced", 200, [](NodeMistakes& plant) { plant.written_is_synced = true; }},
    {"runs numbers again", 200, [](NodeMistakes& plant) { plant.runs_numbers_again = true; }},
    {"forgets numbers", 200, [](NodeMistakes& plant) { plant.forgets_numbers = true; }},
    {"counts itself unstored", 200, [](NodeMistakes& plant) { plant.counts_itself_unstored = true; }},
    {"tells age without lease", 200, [](NodeMistakes& plant) { plant.tells_age_without_lease = true; }},
    {"local is lease", 200, [](NodeMistakes& plant) { plant.local_is_lease = true; }},
};

}  // namespace

bool plant_mistake(std::string_view name, ClusterSimOptions& options) {
  for (const PlantedMistake& planted : kMistakes) {
    if (!std::string_view(planted.name).starts_with(name)) continue;
    planted.plant(options.mistakes);
    return true;
  }
  return false;
}

int cluster_self_check(const SelfCheck& check) {
  int missed = 0;
  for (const PlantedMistake& planted : kMistakes) {
    missed += search(check, planted.name, planted.seeds, [&](uint64_t seed) {
      ClusterSimOptions options{.seed = seed, .seconds = check.seconds};
      planted.plant(options.mistakes);
      return run_cluster_sim(options);
    });
  }
  return missed;
}

}  // namespace quorate::sim

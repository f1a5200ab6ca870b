// Two phases, then the verdicts; and the list of planted mistakes.
#include "tests/sim/cluster_sim.h"

#include <string>

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
  result.counts = {{"elections", world.oracle().leaders()},
                   {"comparisons of copies", world.oracle().comparisons()},
                   {"operations judged", world.clients().operations()},
                   {"operations with an unknown outcome", world.clients().unknown()},
                   {"histories undecided", undecided},
                   {"nodes replaced", world.replaced()}};
  for (size_t fault = 0; fault < kClusterFaultCount; ++fault) {
    result.counts.push_back({name_of(static_cast<ClusterFault>(fault)), world.faults()[fault]});
  }
  result.simulated_us = world.now_us();
  return result;
}

namespace {

template <bool NodeMistakes::*mistake>
void of_node(ClusterSimOptions& options) {
  options.mistakes.*mistake = true;
}

constexpr PlantedMistake<ClusterSimOptions> kMistakes[] = {
    {"reply before commit", 200, of_node<&NodeMistakes::reply_before_commit>},
    {"read before commit", 200, of_node<&NodeMistakes::read_before_commit>},
    {"read without lease", 200, of_node<&NodeMistakes::read_without_lease>},
    {"lost replies leave", 200, of_node<&NodeMistakes::lost_replies_leave>},
    {"proposes nothing", 200, of_node<&NodeMistakes::proposes_nothing>},
    {"serves before applied", 200, of_node<&NodeMistakes::serves_before_applied>},
    {"snapshot before commit", 200, of_node<&NodeMistakes::snapshot_before_commit>},
    {"believes the turn's clock", 200, of_node<&NodeMistakes::believes_turns_clock>},
    {"forgets losses", 200, of_node<&NodeMistakes::forgets_losses>},
    {"ignores mark", 200, of_node<&NodeMistakes::ignores_mark>},
    {"hands over in turn", 200, of_node<&NodeMistakes::hands_over_in_turn>},
    {"some messages wait", 200, of_node<&NodeMistakes::some_messages_wait>},
    {"written is synced", 200, of_node<&NodeMistakes::written_is_synced>},
    {"runs numbers again", 200, of_node<&NodeMistakes::runs_numbers_again>},
    {"forgets numbers", 200, of_node<&NodeMistakes::forgets_numbers>},
    {"counts itself unstored", 200, of_node<&NodeMistakes::counts_itself_unstored>},
    {"tells age without lease", 200, of_node<&NodeMistakes::tells_age_without_lease>},
    {"forgets watches", 200, of_node<&NodeMistakes::forgets_watches>},
    {"watches over terms", 200, of_node<&NodeMistakes::watches_over_terms>},
    {"local is lease", 200, of_node<&NodeMistakes::local_is_lease>},
};

}  // namespace

bool plant_mistake(std::string_view name, ClusterSimOptions& options) {
  return plant<ClusterSimOptions>(kMistakes, name, options);
}

int cluster_self_check(const SelfCheck& check) {
  return search_all<ClusterSimOptions>(check, kMistakes, run_cluster_sim);
}

}  // namespace quorate::sim

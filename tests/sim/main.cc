// The simulator: `sim [SEED] [--world node|log|raft|cluster] [--seeds N] [--steps N] [--log]
// [--keep-going] [--mistake NAME] [--provoked|--only-provoked]
// [--self-check [--count]]`.  A step of the worlds `raft` and
// `cluster` is a hundredth of a second.  Prints its options first; the last line is the result and
// the trace hash.  Exits 0 good, 1 wrong, 2 usage, 3 no progress.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/cluster_sim.h"
#include "tests/sim/node_sim.h"
#include "tests/sim/persist_sim.h"
#include "tests/sim/raft_sim.h"
#include "util/number.h"

namespace {

using quorate::parse_unsigned;
namespace sim = quorate::sim;

enum class WorldKind : uint8_t { kNode, kLog, kRaft, kCluster };

struct Arguments {
  std::optional<uint64_t> seed;
  WorldKind world = WorldKind::kNode;
  std::optional<uint64_t> seeds;
  uint64_t steps = 2000;
  std::string_view mistake;  // of the worlds `raft` and `cluster`
  bool self_check = false;
  sim::Luck luck = sim::Luck::kAsDrawn;
  bool counts = false;      // a self-check tries all seeds
  bool keeps_going = false;  // after a seed that is not good
  bool log = false;
};

const char* name_of(WorldKind world) {
  switch (world) {
    case WorldKind::kNode:
      return "node";
    case WorldKind::kLog:
      return "log";
    case WorldKind::kRaft:
      return "raft";
    case WorldKind::kCluster:
      return "cluster";
  }
  return "";
}

std::optional<WorldKind> world_of(std::string_view name) {
  for (const auto world :
       {WorldKind::kNode, WorldKind::kLog, WorldKind::kRaft, WorldKind::kCluster}) {
    if (name == name_of(world)) return world;
  }
  return std::nullopt;
}

bool knows_mistake(const Arguments& arguments) {
  if (arguments.mistake.empty()) return true;
  sim::RaftSimOptions of_raft;
  sim::ClusterSimOptions of_cluster;
  return arguments.world == WorldKind::kRaft      ? sim::plant_mistake(arguments.mistake, arguments.luck, of_raft)
         : arguments.world == WorldKind::kCluster ? sim::plant_mistake(arguments.mistake, arguments.luck, of_cluster)
                                                  : false;
}

std::optional<Arguments> parse(int count, char** words) {
  Arguments arguments;
  for (int index = 1; index < count; ++index) {
    const std::string_view word = words[index];
    const bool has_value = index + 1 < count;
    if (word == "--self-check") {
      arguments.self_check = true;
    } else if (word == "--log") {
      arguments.log = true;
    } else if (word == "--provoked") {
      arguments.luck = sim::Luck::kProvoked;
    } else if (word == "--only-provoked") {
      arguments.luck = sim::Luck::kOnlyProvoked;
    } else if (word == "--count") {
      arguments.counts = true;
    } else if (word == "--keep-going") {
      arguments.keeps_going = true;
    } else if (word == "--mistake" && has_value) {
      arguments.mistake = words[++index];
    } else if (word == "--world" && has_value) {
      const std::string_view name = words[++index];
      const auto world = world_of(name);
      if (!world) return std::nullopt;
      arguments.world = *world;
    } else if ((word == "--seeds" || word == "--steps") && has_value) {
      const auto value = parse_unsigned(words[++index]);
      if (!value || *value == 0) return std::nullopt;
      if (word == "--seeds") {
        arguments.seeds = *value;
      } else {
        arguments.steps = *value;
      }
    } else if (const auto seed = parse_unsigned(word)) {
      arguments.seed = seed;
    } else {
      return std::nullopt;
    }
  }
  if (!knows_mistake(arguments)) return std::nullopt;
  return arguments;
}

unsigned long long wide(uint64_t value) { return value; }

// Whose seeds decide more than chance.
bool has_swarm(const Arguments& arguments) {
  return arguments.world == WorldKind::kRaft || arguments.world == WorldKind::kCluster;
}

std::string describe_swarm(uint64_t seed, const Arguments& arguments) {
  if (arguments.world == WorldKind::kRaft) return sim::describe(sim::draw_swarm(seed));
  return sim::describe(sim::draw_cluster_swarm(seed));
}

int64_t seconds_of(const Arguments& arguments) {
  constexpr uint64_t kStepsPerSecond = 100;
  return static_cast<int64_t>((arguments.steps + kStepsPerSecond - 1) / kStepsPerSecond);
}

sim::SimResult run_one(uint64_t seed, sim::Planted planted, const Arguments& arguments) {
  if (arguments.world == WorldKind::kRaft) {
    sim::RaftSimOptions options{
        .seed = seed, .seconds = seconds_of(arguments), .log = arguments.log};
    if (!arguments.mistake.empty()) sim::plant_mistake(arguments.mistake, arguments.luck, options);
    return sim::run_raft_sim(options);
  }
  if (arguments.world == WorldKind::kCluster) {
    sim::ClusterSimOptions options{
        .seed = seed, .seconds = seconds_of(arguments), .log = arguments.log};
    if (!arguments.mistake.empty()) sim::plant_mistake(arguments.mistake, arguments.luck, options);
    return sim::run_cluster_sim(options);
  }
  if (arguments.world == WorldKind::kNode) {
    return sim::run_node_sim(
        {.seed = seed, .steps = arguments.steps, .planted = planted, .log = arguments.log});
  }
  return sim::run_persist_sim(
      {.seed = seed, .steps = arguments.steps, .planted = planted, .log = arguments.log});
}

// Chance comes from the seed alone: a run again gives the same trace.
int count_unsteady(uint64_t first_seed, const Arguments& arguments) {
  int count = 0;
  for (uint64_t seed = first_seed; seed < first_seed + 2; ++seed) {
    const uint64_t first = run_one(seed, sim::Planted::kNothing, arguments).trace;
    const uint64_t second = run_one(seed, sim::Planted::kNothing, arguments).trace;
    if (first == second) continue;
    std::printf("one seed gave two traces: %llu\n", wide(seed));
    ++count;
  }
  return count;
}

// Each planted mistake must be noticed by one of the seeds.
int self_check(uint64_t first_seed, const Arguments& arguments) {
  const uint64_t seeds_max = arguments.seeds.value_or(500);
  const sim::SelfCheck check{.first_seed = first_seed,
                             .seconds = seconds_of(arguments),
                             .seeds = arguments.seeds,
                             .mistake = std::string(arguments.mistake),
                             .luck = arguments.luck,
                             .counts = arguments.counts};
  int missed = 0;
  if (arguments.world == WorldKind::kRaft) {
    missed += sim::raft_self_check(check);
  } else if (arguments.world == WorldKind::kCluster) {
    missed += sim::cluster_self_check(check);
  }
  for (const sim::Planted planted : sim::kAllPlanted) {
    if (has_swarm(arguments)) continue;
    const bool known = arguments.world == WorldKind::kNode ? sim::node_sim_knows(planted)
                                                           : sim::persist_sim_knows(planted);
    if (!known) continue;
    uint64_t tried = 0;
    bool caught = false;
    while (!caught && tried < seeds_max) {
      caught = !run_one(first_seed + tried, planted, arguments).good;
      ++tried;
    }
    std::printf("planted: %s -> %s after %llu seeds\n", sim::planted_name(planted),
                caught ? "noticed" : "NOT NOTICED", wide(tried));
    missed += caught ? 0 : 1;
  }
  if (arguments.mistake.empty()) missed += count_unsteady(first_seed, arguments);
  std::printf("self-check: %s\n", missed == 0 ? "good" : "WRONG");
  return missed == 0 ? 0 : 1;
}

// Sums of what the runs counted.
struct Totals {
  uint64_t crashes = 0;
  uint64_t records = 0;
  uint64_t snapshots = 0;
  int64_t simulated_us = 0;
  std::vector<sim::SimResult::Count> counts;

  void add(const sim::SimResult& result) {
    crashes += result.crashes;
    records += result.records;
    snapshots += result.snapshots;
    simulated_us += result.simulated_us;
    if (counts.empty()) counts.resize(result.counts.size());
    for (size_t index = 0; index < result.counts.size(); ++index) {
      counts[index].what = result.counts[index].what;
      counts[index].count += result.counts[index].count;
    }
  }

  void print(double seconds_taken) const {
    std::printf("%llu writes, %llu snapshots, %llu crashes\n", wide(records), wide(snapshots),
                wide(crashes));
    for (const auto& [what, count] : counts) std::printf("%llu %s\n", wide(count), what);
    if (simulated_us == 0) return;
    const double simulated = static_cast<double>(simulated_us) / 1e6;
    std::printf("%.0f seconds simulated, %.0f in a second of the processor\n", simulated,
                simulated / seconds_taken);
  }
};

int run_seeds(uint64_t first_seed, const Arguments& arguments) {
  const uint64_t seeds = arguments.seeds.value_or(1);
  uint64_t trace = 0;
  uint64_t bad = 0;
  int status = 0;
  Totals totals;
  const std::clock_t began = std::clock();
  if (has_swarm(arguments) && seeds == 1) {
    std::printf("%s", describe_swarm(first_seed, arguments).c_str());
  }
  for (uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    const sim::SimResult result = run_one(seed, sim::Planted::kNothing, arguments);
    trace = trace * 31 + result.trace;
    totals.add(result);
    if (result.good) continue;
    if (has_swarm(arguments) && seeds > 1) {
      std::printf("%s", describe_swarm(seed, arguments).c_str());
    }
    std::printf("seed %llu: %s\n", wide(seed), result.message.c_str());
    std::printf("again: tools/dev sim %llu --world %s --steps %llu\n", wide(seed),
                name_of(arguments.world), wide(arguments.steps));
    const char* const verdict = result.no_progress ? "NO PROGRESS" : "WRONG";
    std::printf("sim: %s trace %016llx\n", verdict, wide(result.trace));
    std::fflush(stdout);
    const int seed_status = result.no_progress ? 3 : 1;
    if (!arguments.keeps_going) return seed_status;
    status = status == 1 ? 1 : seed_status;
    ++bad;
  }
  totals.print(static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC);
  if (bad > 0) {
    std::printf("sim: %llu of %llu seeds not good\n", wide(bad), wide(seeds));
    return status;
  }
  std::printf("sim: good trace %016llx\n", wide(trace));
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const auto arguments = parse(count, words);
  if (!arguments) {
    std::fprintf(stderr,
                 "usage: sim [SEED] [--world node|log|raft|cluster] [--seeds N] [--steps N] "
                 "[--log] [--keep-going] [--mistake NAME] [--provoked|--only-provoked] "
                 "[--self-check [--count]]\n");
    return 2;
  }
  const auto drawn = std::chrono::system_clock::now().time_since_epoch().count();
  const uint64_t seed = arguments->seed.value_or(static_cast<uint64_t>(drawn) % 1000000);
  std::printf("sim: world %s, seed %llu, seeds %llu, steps %llu\n", name_of(arguments->world),
              wide(seed), wide(arguments->seeds.value_or(1)), wide(arguments->steps));
  return arguments->self_check ? self_check(seed, *arguments) : run_seeds(seed, *arguments);
}

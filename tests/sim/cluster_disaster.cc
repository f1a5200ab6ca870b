// Losing machines until those that are left are too few, and asking one of them to go on.
#include "tests/sim/cluster_disaster.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "node/company.h"
#include "node/state.h"

namespace quorate::sim {

namespace {

// So long clients are at work again before machines are lost.
constexpr int64_t kAtWorkUs = kSecond / 2;
constexpr int64_t kAnswerUs = 8 * kSecond;
constexpr int64_t kPatienceUs = 60 * kSecond;
constexpr int64_t kStepUs = 10 * kMs;
// Within this what is acknowledged is on the disk, where it is synced every second.
constexpr int64_t kSyncedUs = 3 * kSecond;
// What had left before a machine ended has arrived by then.
constexpr int64_t kArrivedUs = kSecond / 4;

class Disaster {
 public:
  Disaster(ClusterWorld& world, const ClusterSwarm& swarm, uint64_t seed) : world_(world), swarm_(swarm), prng_(seed ^ 0x646973) {}

  std::string run() {
    if (swarm_.loses_power) world_.run(world_.now_us() + kSyncedUs);
    const int64_t began_us = world_.now_us();
    world_.clients().go_on();
    world_.run(began_us + kAtWorkUs);
    if (!world_.wrong().empty()) return world_.wrong();
    if (swarm_.loses_decision) lose_decision();
    if (swarm_.loses_power) lose_power(began_us);
    if (!world_.wrong().empty()) return world_.wrong();
    while (!swarm_.loses_power && lost_.size() < swarm_.nodes / 2) lose_another();
    std::string answer;
    while (answer != "+OK\r\n") {
      if (world_.now_us() > began_us + kPatienceUs) return "those that are left do not go on: " + answer;
      world_.run(world_.now_us() + kSecond / 2);
      if (!world_.wrong().empty()) return world_.wrong();
      answer = ask();
      if (answer.find("nobody who is left has a copy") != std::string::npos) begins_empty_ = true;
      if (answer.find("enough to go on") == std::string::npos) continue;
      if (lost_.size() + 1 == swarm_.nodes) return "one machine of all is enough: " + answer;
      lose_another();
    }
    // Everybody had what was acknowledged before; and of those that were lost later others had what was acknowledged meanwhile.
    world_.clients().forget_since(begins_empty_ || forgets_all_ ? 0 : began_us);
    world_.run(world_.now_us() + 3 * kSecond);
    if (swarm_.loses_decision && world_.wrong().empty()) ask_for_more();
    return world_.wrong();
  }

 private:
  // At most half of the machines do not come back, so that what is left is enough by number; perhaps what it holds is all synced.
  void lose_power(int64_t began_us) {
    const bool is_synced = world_.modes().weakest() == raft::Durability::kSynced;
    const bool syncs_each_second = swarm_.appendfsync == "everysec" && !swarm_.in_memory && !swarm_.mode.on() && !swarm_.lone_mode;
    forgets_all_ = !is_synced && !syncs_each_second;
    std::vector<uint32_t> machines;
    for (uint64_t left = 1 + prng_.below(std::max<uint32_t>(1, swarm_.nodes / 2)); left > 0; --left) {
      auto machine = static_cast<uint32_t>(prng_.below(swarm_.nodes));
      while (std::find(machines.begin(), machines.end(), machine) != machines.end()) machine = (machine + 1) % swarm_.nodes;
      machines.push_back(machine);
    }
    note_lost(machines);
    world_.lose_all_power(machines);
    // Partitions that have lost no voter go on by themselves, and what was on its way is answered still.
    for (int times = 0; times < 2; ++times) {
      world_.clients().forget_since(forgets_all_ ? 0 : began_us);
      world_.run(world_.now_us() + kArrivedUs);
    }
    world_.clients().begin_loss();
  }

  void lose_another() {
    auto machine = static_cast<uint32_t>(prng_.below(swarm_.nodes));
    while (is_lost(machine)) machine = (machine + 1) % swarm_.nodes;
    lose({machine});
  }

  void note_lost(const std::vector<uint32_t>& machines) {
    for (const uint32_t machine : machines) {
      names_.push_back(node_name(cluster(machine).own().id));
      lost_.push_back(machine);
    }
    // Partitions that go on show it before the operator is told that they may.
    world_.clients().begin_loss();
  }

  void lose(const std::vector<uint32_t>& machines) {
    note_lost(machines);
    world_.lose_for_good(machines);
  }

  ClusterNode& cluster(uint32_t machine) { return world_.node(machine)->node().state().company.cluster(); }

  // The members decide a mode while some of them do not hear their leader, and those that have decided are lost once a partition of the others
  // goes by it.
  void lose_decision() {
    const auto leads = [&](uint32_t machine) {
      const raft::Core* const core = cluster(machine).groups().find(meta_group(swarm_.partitions));
      return core != nullptr && core->role() == raft::RoleName::kLeader;
    };
    uint32_t leader = 0;
    while (leader < swarm_.nodes && !leads(leader)) ++leader;
    if (leader == swarm_.nodes) return;
    std::vector<uint32_t> deaf;
    std::vector<uint32_t> others{leader};
    for (uint32_t step = 1; step < swarm_.nodes; ++step) {
      const uint32_t machine = (leader + step) % swarm_.nodes;
      (deaf.size() < swarm_.nodes / 2 ? deaf : others).push_back(machine);
    }
    for (const uint32_t machine : deaf) world_.silence(leader, machine);
    world_.modes().begin(raft::Durability::kMemory);
    for (const int64_t end_us = world_.now_us() + 2 * kSecond; world_.now_us() < end_us && world_.wrong().empty(); world_.run(world_.now_us() + kMs)) {
      if (std::any_of(deaf.begin(), deaf.end(), [&](uint32_t machine) { return goes_ahead(machine); })) break;
    }
    if (!world_.wrong().empty()) return;
    lose(others);
    world_.modes().give_up(others);
  }

  // A partition of the machine goes by something that it does not know to be decided.
  bool goes_ahead(uint32_t machine) {
    if (world_.node(machine) == nullptr) return false;
    ClusterNode& node = cluster(machine);
    for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
      const raft::Core* const core = node.partitions().core(partition);
      if (core != nullptr && core->configuration().mode_version > node.state().mode_version()) return true;
    }
    return false;
  }

  // From whoever is left: what is promised then is kept, whatever was decided by those that are lost.
  void ask_for_more() {
    world_.look_at_kept();
    world_.modes().begin(raft::Durability::kSynced);
    for (const int64_t end_us = world_.now_us() + 20 * kSecond; world_.now_us() < end_us && world_.wrong().empty() && !world_.modes().is_idle();) {
      world_.run(world_.now_us() + kStepUs);
    }
  }

  bool is_lost(uint32_t machine) const { return std::find(lost_.begin(), lost_.end(), machine) != lost_.end(); }

  // Any that is left, on a connection of its own.
  std::string ask() {
    auto machine = static_cast<uint32_t>(prng_.below(swarm_.nodes));
    while (is_lost(machine)) machine = (machine + 1) % swarm_.nodes;
    SimNode* const node = world_.node(machine);
    if (node == nullptr) return "it is down";
    std::vector<std::string> words{"QUORUM", "UNSAFE-RECOVER"};
    if (begins_empty_) words.push_back("EMPTY");
    words.insert(words.end(), names_.begin(), names_.end());
    std::string request = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) request += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    const int connection = node->connect();
    node->send(connection, request);
    node->end_turn();
    for (int64_t passed_us = 0; passed_us < kAnswerUs && world_.node(machine) == node && world_.wrong().empty(); passed_us += kStepUs) {
      while (node->is_sending(connection)) node->drain_socket(connection);
      if (!node->received(connection).empty()) return node->received(connection);
      world_.run(world_.now_us() + kStepUs);
    }
    return "no answer";
  }

  ClusterWorld& world_;
  const ClusterSwarm& swarm_;
  Prng prng_;
  std::vector<uint32_t> lost_;
  std::vector<std::string> names_;
  bool begins_empty_ = false;
  bool forgets_all_ = false;   // what was acknowledged may be on no disk
};

}  // namespace

std::string lose_most(ClusterWorld& world, const ClusterSwarm& swarm, uint64_t seed) { return Disaster(world, swarm, seed).run(); }

}  // namespace quorate::sim

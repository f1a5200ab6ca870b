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

class Disaster {
 public:
  Disaster(ClusterWorld& world, const ClusterSwarm& swarm, uint64_t seed) : world_(world), swarm_(swarm), prng_(seed ^ 0x646973) {}

  std::string run() {
    const int64_t began_us = world_.now_us();
    world_.clients().go_on();
    world_.run(began_us + kAtWorkUs);
    if (!world_.wrong().empty()) return world_.wrong();
    if (swarm_.loses_decision) lose_decision();
    while (lost_.size() < swarm_.nodes / 2) lose_another();
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
    world_.clients().forget_since(begins_empty_ ? 0 : began_us);
    world_.run(world_.now_us() + 3 * kSecond);
    if (swarm_.loses_decision && world_.wrong().empty()) ask_for_more();
    return world_.wrong();
  }

 private:
  void lose_another() {
    auto machine = static_cast<uint32_t>(prng_.below(swarm_.nodes));
    while (is_lost(machine)) machine = (machine + 1) % swarm_.nodes;
    lose({machine});
  }

  void lose(const std::vector<uint32_t>& machines) {
    for (const uint32_t machine : machines) {
      names_.push_back(node_name(cluster(machine).own().id));
      lost_.push_back(machine);
    }
    // Partitions that go on show it before the operator is told that they may.
    world_.clients().begin_loss();
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
};

}  // namespace

std::string lose_most(ClusterWorld& world, const ClusterSwarm& swarm, uint64_t seed) { return Disaster(world, swarm, seed).run(); }

}  // namespace quorate::sim

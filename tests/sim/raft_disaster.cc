// Machines of the world `raft` that never come back, and an operator who gives them up.
#include <algorithm>

#include "tests/sim/raft_world.h"

namespace quorate::sim {

namespace {

constexpr uint64_t kDownUs = 300'000;
constexpr uint64_t kSpreadUs = 2'000'000;
constexpr int64_t kAgainUs = 100'000;
constexpr int kTries = 30;

}  // namespace

bool World::is_whole() {
  for (uint64_t id = 1; id <= swarm_.groups; ++id) {
    const raft::Core* const leader = find_leader({id});
    if (leader == nullptr || leader->role_state().serving != raft::Serving::kYes) return false;
    if (leader->configuration().joint() || leader->configuration_at().index > leader->commit_index()) return false;
  }
  return true;
}

// Bit n: node n + 1.  Of each group some member is left that is there by now.
bool World::can_lose(uint64_t nodes) {
  return std::all_of(before_loss_.begin(), before_loss_.end(), [&](const auto& group) {
    const std::vector<raft::Member> members = group.second.members();
    return std::any_of(members.begin(), members.end(), [&](const raft::Member& member) {
      if (((nodes >> (member.node.value - 1)) & 1) != 0) return false;
      Process* const host = process(member.node);
      const raft::Core* const core = host == nullptr ? nullptr : host->core(group.first);
      return core != nullptr && core->options().self.replica == member.replica && !core->configuration().unknown();
    });
  });
}

void World::lose_some() {
  for (uint64_t id = 1; id <= swarm_.groups; ++id) before_loss_[{id}] = find_leader({id})->configuration();
  uint64_t lost = 0;
  for (int tries = 0; tries < kTries && (lost == 0 || !can_lose(lost)); ++tries) {
    lost = 0;
    const double part = prng_.fraction();
    for (uint32_t node = 0; node < swarm_.nodes; ++node) lost |= static_cast<uint64_t>(prng_.chance(part)) << node;
  }
  if (!can_lose(lost)) lost = 0;
  clients_.turn_away_from_silence();
  for (uint32_t node = 0; node < swarm_.nodes; ++node) {
    Computer& computer = computers_[node];
    computer.is_lost = (lost >> node & 1) != 0;
    lose_power(node, static_cast<int64_t>(prng_.below(kDownUs)));
    if (computer.is_lost) continue;
    push({.at = now_us_ + static_cast<int64_t>(prng_.below(kSpreadUs)), .kind = EventKind::kGiveUp, .node = node});
  }
}

// Again and again: what a replica may be told depends on what it has heard meanwhile.
void World::give_up(uint32_t node) {
  Computer& computer = computers_[node];
  push({.at = now_us_ + kAgainUs, .kind = EventKind::kGiveUp, .node = node});
  if (computer.process == nullptr) return;
  computer.process->give_up();
  after(node);
}

// As the partitions of a node do it: who has not heard from all that are left that they know no newer configuration goes on as ever
// (Partitions::go_on_without).
std::vector<raft::NodeId> World::given_up(const raft::Core& core) {
  std::vector<raft::NodeId> nodes;
  for (uint32_t node = 0; node < swarm_.nodes; ++node) {
    Computer& computer = computers_[node];
    if (computer.is_lost) {
      nodes.push_back({node + uint64_t{1}});
      continue;
    }
    if (computer.process == nullptr) return {};
    const raft::Core* const other = computer.process->core(core.options().group);
    if (other == nullptr || other->configuration_at() <= core.configuration_at()) continue;
    if (!raft::has_outlived(core.position(), other->configuration_at(), other->term())) return {};
  }
  return nodes;
}

// Nobody goes on without others while enough are full to elect a leader as ever.
void World::check_given_up(const raft::Core& core) {
  if (core.role_state().takeover != raft::Takeover::kUnsafeRecovery) return;
  const raft::GroupId group = core.options().group;
  raft::Round electors(before_loss_.at(group), raft::QuorumKind::kElection);
  for (const raft::Member& voter : before_loss_.at(group).voters()) {
    Computer& computer = computers_[voter.node.value - 1];
    const raft::Core* const other = computer.process == nullptr ? nullptr : computer.process->core(group);
    if (other == nullptr || other->options().self.replica != voter.replica) continue;
    // The new leader has just become full.
    const bool is_full = other == &core ? !computer.disk.owes_recovery[group] : other->standing() == raft::Standing::kFull;
    if (is_full) electors.add(voter.replica);
  }
  if (electors.verdict() != raft::Verdict::kWon) return;
  oracle_.fail("group " + std::to_string(group.value) + ": replica " + std::to_string(core.options().self.replica.value) +
               " goes on without others, and enough voters could have elected a leader");
}

}  // namespace quorate::sim

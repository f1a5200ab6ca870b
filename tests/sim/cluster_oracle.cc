// One leader a term, one log a group, equal data at equal places.
#include "tests/sim/cluster_oracle.h"

#include <set>
#include <utility>

namespace quorate::sim {

namespace {

std::string name_of(const raft::Core& core) {
  return "group " + std::to_string(core.options().group.value);
}
std::string name_of(uint32_t machine) { return "n" + std::to_string(machine + 1); }

std::set<uint64_t> replicas_of(const raft::Configuration& configuration) {
  std::set<uint64_t> replicas;
  for (const raft::Member& voter : configuration.incoming.voters) replicas.insert(voter.replica.value);
  return replicas;
}

}  // namespace

ClusterOracle::Seen ClusterOracle::look_at(uint32_t machine, const raft::Core& core) {
  const uint64_t group = core.options().group.value;
  Seen seen = Seen::kNothingNew;
  if (core.role() == raft::RoleName::kLeader) {
    const auto [leader, is_new] = leaders_.try_emplace({group, core.term().value}, machine);
    if (is_new) seen = Seen::kNewLeader;
    if (!is_new && leader->second != machine) {
      fail("I1: " + name_of(core) + " has two leaders in term " +
           std::to_string(core.term().value) + ": " + name_of(leader->second) + " and " +
           name_of(machine));
    }
  }
  const raft::Index commit = core.commit_index();
  if (commit > core.last_index())
    fail("I4: " + name_of(core) + " has committed more than it holds");
  look_at_base(machine, core);
  if (core.role() == raft::RoleName::kLeader) look_at_configuration(machine, core);
  if (core.role() == raft::RoleName::kLeader) {
    // What it found committed when it was elected; from then on its own term's entries commit what is below them.
    const auto [found, is_first] = found_committed_.try_emplace({group, core.term().value}, commit.value);
    if (!is_first && commit.value > found->second && core.log().term_at(commit).value_or(core.term()) != core.term()) {
      fail("I5: " + name_of(machine) + " has committed what an older term has written into " +
           name_of(core) + ", and nothing of its own");
    }
  }
  const bool serves = core.role_state().serving == raft::Serving::kYes;
  if (serves && core.log().term_at(commit) != core.term()) {
    fail("I7: " + name_of(core) + " is served by " + name_of(machine) +
         " before the term's first entry is committed");
  }
  const auto chain = core.log().chain_at(commit);
  if (!chain) return seen;
  const auto [known, is_new] = committed_.try_emplace({group, commit.value}, chain->value);
  if (!is_new && known->second != chain->value) {
    fail("I3: " + name_of(core) + " has committed two histories up to " +
         std::to_string(commit.value) + ", the other one on " + name_of(machine));
  }
  return seen;
}

// What a log stands on is a state that was sent, or a snapshot of the node's own: both count only once all of it is committed.
void ClusterOracle::look_at_base(uint32_t machine, const raft::Core& core) {
  const uint64_t group = core.options().group.value;
  auto last = committed_.lower_bound({group + 1, 0});
  if (last == committed_.begin() || (--last)->first.first != group) return;
  const uint64_t base = core.log().base().index.value;
  if (base <= last->first.second) return;
  fail("I3: " + name_of(core) + " of " + name_of(machine) + " stands on a state up to " +
       std::to_string(base) + ", and nobody has committed more than " + std::to_string(last->first.second));
}

// Voters change by joint configurations only.
void ClusterOracle::look_at_configuration(uint32_t machine, const raft::Core& core) {
  const raft::Configuration& now = core.configuration();
  const auto [seen, is_first] =
      configurations_.try_emplace({core.options().group.value, core.term().value}, now);
  if (is_first || seen->second == now) return;
  const raft::Configuration before = std::exchange(seen->second, now);
  if (before.joint() || now.joint() || replicas_of(before) == replicas_of(now)) return;
  fail("I9: " + name_of(machine) + " has changed the voters of " + name_of(core) + " in one step");
}

void ClusterOracle::compare(uint32_t machine, const raft::Core& core, raft::Index index,
                            uint64_t digest) {
  const auto chain = core.log().chain_at(index);
  if (!chain) return;
  const Place place{core.options().group.value, index.value};
  const auto [copy, is_new] = copies_.try_emplace(place, Copy{machine, chain->value, digest});
  if (is_new) return;
  // What is not committed may differ.
  if (copy->second.chain != chain->value) {
    copy->second = {machine, chain->value, digest};
    return;
  }
  ++comparisons_;
  if (copy->second.digest != digest) {
    fail("I6: " + name_of(core) + " at " + std::to_string(index.value) + ": the data of " +
         name_of(machine) + " are not those of " + name_of(copy->second.machine));
  }
}

}  // namespace quorate::sim

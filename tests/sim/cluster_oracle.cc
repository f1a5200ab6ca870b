// One leader a term, one log a group, equal data at equal places.
#include "tests/sim/cluster_oracle.h"

namespace quorate::sim {

namespace {

std::string name_of(const raft::Core& core) {
  return "group " + std::to_string(core.options().group.value);
}
std::string name_of(uint32_t machine) { return "n" + std::to_string(machine + 1); }

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

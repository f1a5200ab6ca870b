// One leader a term, one log a group, equal data at equal places.
#include "tests/sim/cluster_oracle.h"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

namespace quorate::sim {

namespace {

constexpr size_t kHoldersUsual = 3;

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

ClusterOracle::History ClusterOracle::history_of(const raft::Core& core, uint64_t first) {
  const uint64_t group = core.options().group.value;
  const uint64_t epoch = core.epoch().value;
  if (!is_lost_) epochs_[group] = std::max(epochs_[group], epoch);
  const auto before = epochs_.find(group);
  const bool is_new = first != 0 || (is_lost_ && (before == epochs_.end() || epoch > before->second));
  return {.group = group, .first = first, .epoch = is_new ? epoch : 0};
}

void ClusterOracle::note_lost() {
  is_lost_ = true;
  ++generation_;
}

ClusterOracle::Seen ClusterOracle::look_at(uint32_t machine, uint64_t life, const raft::Core& core, uint64_t first) {
  Facts& facts = facts_[history_of(core, first)];
  const uint64_t term = core.term().value;
  Seen seen = Seen::kNothingNew;
  if (core.role() == raft::RoleName::kLeader) {
    chosen_.try_emplace({core.options().group.value, core.epoch().value}, core.last_index().value);
    const auto [leader, is_new] = facts.leaders.try_emplace(term, machine);
    if (is_new) {
      seen = Seen::kNewLeader;
      ++leader_count_;
    }
    if (!is_new && leader->second != machine) {
      fail("I1: " + name_of(core) + " has two leaders in term " +
           std::to_string(term) + ": " + name_of(leader->second) + " and " +
           name_of(machine));
    }
  }
  const raft::Index commit = core.commit_index();
  if (commit > core.last_index())
    fail("I4: " + name_of(core) + " has committed more than it holds");
  note_stored(core);
  look_at_memory(machine, life, core);
  look_at_base(machine, core, facts);
  if (core.role() == raft::RoleName::kLeader) {
    look_at_configuration(machine, core, facts);
    // What it found committed when it was elected; from then on its own term's entries commit what is below them.
    const auto [found, is_first] = facts.found_committed.try_emplace(term, commit.value);
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
  // A state that it has received may be committed by its own copy, once that is stored.
  if (!chain || core.stored_index() < core.log().base().index) return seen;
  const auto [known, is_new] = facts.committed.try_emplace(commit.value, chain->value);
  // Nothing was known of the history before: whoever stands on a state was believed (look_at_base).
  if (is_new && facts.committed.size() == 1) ++generation_;
  if (!is_new && known->second != chain->value) {
    fail("I3: " + name_of(core) + " has committed two histories up to " +
         std::to_string(commit.value) + ", the other one on " + name_of(machine));
  }
  return seen;
}

void ClusterOracle::look_at_cluster(uint32_t machine, const ClusterId& cluster, raft::Index committed) {
  if (cluster_ && *cluster_ != cluster) return fail(name_of(machine) + " is a member of a cluster that is not the one which was founded first");
  // The first entry is the founding itself, which holds by being made.
  if (!cluster_ && committed.value > 1) cluster_ = cluster;
}

// What a log stands on is a state that was sent, or a snapshot of the node's own: both count only once all of it is committed.
void ClusterOracle::look_at_base(uint32_t machine, const raft::Core& core, const Facts& facts) {
  if (facts.committed.empty()) return;
  const uint64_t last = facts.committed.rbegin()->first;
  const uint64_t base = core.log().base().index.value;
  if (base <= last || core.stored_index().value < base || holds_committed_base(core, facts)) return;
  // All voters have chosen this log when it was elected: nobody is elected with less.
  const auto chosen = chosen_.find({core.options().group.value, core.epoch().value});
  if (core.epoch().value != 0 && chosen != chosen_.end() && base <= chosen->second) return;
  fail("I3: " + name_of(core) + " of " + name_of(machine) + " stands on a state up to " +
       std::to_string(base) + ", and nobody has committed more than " + std::to_string(last));
}

bool ClusterOracle::holds_committed_base(const raft::Core& core, const Facts& facts) const {
  const raft::LogBase base = core.log().base();
  const auto group = stored_.find(core.options().group.value);
  const bool is_known = group != stored_.end() && base.index.value < group->second.size();
  const std::span<const Holder> holders_ever = is_known ? std::span<const Holder>(group->second[base.index.value]) : std::span<const Holder>();
  const auto is_held_by_half = [&](const raft::Half& half) {
    uint32_t holders = 0;
    for (const raft::Member& voter : half.voters) {
      const bool is_own = voter == core.options().self;
      const Holder holder{.replica = voter.replica.value, .chain = base.chain.value};
      const bool is_noted = std::find(holders_ever.begin(), holders_ever.end(), holder) != holders_ever.end();
      if (is_own || is_noted) ++holders;
    }
    return holders >= half.quorums().commit;
  };
  const auto& [at, configuration] = core.configuration_at_index(base.index);
  if (configuration.unknown()) return false;
  // Behind a joint one that is committed the leader may count by the next already, which the state does not hold.
  const bool is_followed = facts.committed.lower_bound(at.index.value) != facts.committed.end();
  return is_held_by_half(configuration.incoming) &&
         (!configuration.joint() || is_followed || is_held_by_half(*configuration.outgoing));
}

void ClusterOracle::note_stored(const raft::Core& core) {
  const uint64_t group = core.options().group.value;
  const uint64_t replica = core.options().self.replica.value;
  const raft::Log& log = core.log();
  auto& [noted, noted_chain] = stored_noted_[{group, replica}];
  std::vector<std::vector<Holder>>& stored = stored_[group];
  // What was noted and is there no more was replaced: all of it is looked at again.
  const auto chain = log.chain_at(raft::Index{noted});
  const bool goes_on = chain && chain->value == noted_chain;
  for (raft::Index index = goes_on ? raft::next(raft::Index{noted}) : log.first_index(); index <= core.stored_index(); index = raft::next(index)) {
    if (stored.size() <= index.value) stored.resize(index.value + 1);
    std::vector<Holder>& holders = stored[index.value];
    const Holder holder{.replica = replica, .chain = log.at(index).chain.value};
    if (holders.empty()) holders.reserve(kHoldersUsual);
    if (std::find(holders.begin(), holders.end(), holder) == holders.end()) holders.push_back(holder);
    noted = index.value;
    noted_chain = log.at(index).chain.value;
  }
}

// I10.  Who counts as full holds all that it has ever acknowledged, or what a later leader has put in its place.
// That may be of an earlier term at first: what it has alone gives way, entry by entry, to what others hold.
void ClusterOracle::look_at_memory(uint32_t machine, uint64_t life, const raft::Core& core) {
  Memory& memory = memories_[{core.options().group.value, core.options().self.replica.value}];
  raft::Position& acknowledged = memory.acknowledged;
  const bool is_full = core.standing() == raft::Standing::kFull;
  const bool goes_on = memory.life == life && memory.was_full && core.commit_index() >= memory.commit;
  memory = {.machine = machine, .acknowledged = acknowledged, .life = life, .was_full = is_full, .commit = core.commit_index()};
  // A leader never replaces entries of its own term.
  if (is_full && goes_on && core.term() > acknowledged.term && core.position() < acknowledged) acknowledged = {};
  if (is_full && core.position() < acknowledged) {
    fail("I10: " + name_of(machine) + " may vote in " + name_of(core) + " as replica " + std::to_string(core.options().self.replica.value) + ", and has forgotten what it had stored between " +
         std::to_string(core.last_index().value) + " and " + std::to_string(acknowledged.index.value));
  }
  const auto term = core.log().term_at(core.stored_index());
  // A replica that holds nothing has acknowledged nothing, whatever the epoch that it has heard of.
  if (!term || core.stored_index().none()) return;
  acknowledged = std::max(acknowledged, raft::Position{.epoch = core.epoch(), .term = *term, .index = core.stored_index()});
}

// Voters change by joint configurations only.
void ClusterOracle::look_at_configuration(uint32_t machine, const raft::Core& core, Facts& facts) {
  const raft::Configuration& now = core.configuration();
  const auto [seen, is_first] = facts.configurations.try_emplace(core.term().value, now);
  if (is_first || seen->second == now) return;
  const raft::Configuration before = std::exchange(seen->second, now);
  if (before.joint() || now.joint() || replicas_of(before) == replicas_of(now)) return;
  fail("I9: " + name_of(machine) + " has changed the voters of " + name_of(core) + " in one step");
}

void ClusterOracle::compare(uint32_t machine, const raft::Core& core, uint64_t first, raft::Index index, uint64_t digest) {
  const auto chain = core.log().chain_at(index);
  if (!chain) return;
  const Place place({.group = core.options().group.value, .first = first}, index.value);
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

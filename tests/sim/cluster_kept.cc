// Who holds the newest that was committed holds all that was, so only that is looked for.
#include "tests/sim/cluster_kept.h"

#include <algorithm>
#include <optional>
#include <tuple>

namespace quorate::sim {

namespace {

bool has_same_voters(const raft::Half& a, const raft::Half& b) {
  const auto is_in_a = [&](const raft::Member& voter) { return a.has(voter.replica); };
  return a.voters.size() == b.voters.size() && std::all_of(b.voters.begin(), b.voters.end(), is_in_a);
}

}  // namespace

// What the leader counts by, as far as it did so already when it committed what it has committed: a configuration that is not committed has
// no more to say than the one before, and one that ends a joint one says less.
std::vector<raft::Half> ClusterKept::halves_of(const raft::Core& leader) {
  const raft::Configuration& committed = leader.committed_configuration().configuration;
  const raft::Configuration& newest = leader.configuration();
  std::vector<raft::Half> halves;
  const auto add = [&](const raft::Half& half) {
    const auto goes_on = [&](const raft::Half& later) {
      return has_same_voters(half, later) && later.quorums().commit >= half.quorums().commit;
    };
    if (goes_on(newest.incoming) || (newest.joint() && goes_on(*newest.outgoing))) halves.push_back(half);
  };
  add(committed.incoming);
  if (committed.joint()) add(*committed.outgoing);
  return halves;
}

void ClusterKept::note(const raft::Core& core) {
  const uint64_t group = core.options().group.value;
  if (core.standing() == raft::Standing::kFull && !forgiven_.empty()) forgiven_.erase({core.options().self.node.value, group});
  if (core.role() != raft::RoleName::kLeader || core.failed()) return;
  const raft::Index commit = core.commit_index();
  const raft::Index configuration = core.configuration_at().index;
  Acknowledged& before = acknowledged_[group];
  if (std::tie(before.epoch, before.term, before.index, before.configuration) == std::tuple(core.epoch(), core.term(), commit, configuration))
    return;
  if (std::tuple(core.epoch(), core.term()) < std::tie(before.epoch, before.term)) return;
  if (core.epoch() == before.epoch && commit < before.index) return;
  // Before it has committed something of its own it acknowledges nothing.
  const auto chain = core.log().chain_at(commit);
  if (!chain || core.log().term_at(commit) != core.term()) return;
  before = {.epoch = core.epoch(),
            .term = core.term(),
            .index = commit,
            .configuration = configuration,
            .chain = *chain,
            .halves = halves_of(core)};
}

void ClusterKept::forgive(uint64_t node, raft::Durability mode) {
  ++generation_;
  for (const auto& [group, acknowledged] : acknowledged_) {
    const auto [known, is_new] = forgiven_.try_emplace({node, group}, mode);
    if (!is_new) known->second = std::max(known->second, mode);
  }
}

// What is proposed in this term from now on comes behind this, whoever leads it.
void ClusterKept::note_end(const raft::Core& core) {
  raft::Position& end = ends_[core.options().group.value];
  end = std::max(end, raft::Position{core.epoch(), core.term(), core.last_index()});
}

void ClusterKept::lose_for_good(const std::vector<uint64_t>& nodes) {
  ++generation_;
  acknowledged_.clear();
  forgiven_.clear();
  for (const auto& [group, end] : ends_) {
    for (const uint64_t node : nodes) lost_.try_emplace({node, group}, end);
  }
  ends_.clear();
}

void ClusterKept::begin(raft::Durability mode) {
  mode_ = mode;
  holders_.clear();
  archived_.clear();
}

void ClusterKept::count(const raft::Core& core, raft::Index reach) {
  const auto found = acknowledged_.find(core.options().group.value);
  if (found == acknowledged_.end()) return;
  const uint64_t replica = core.options().self.replica.value;
  if (core.standing() == raft::Standing::kRecovering && core.epoch() > found->second.epoch) archived_[found->first][replica] = core.epoch();
  if (reach < found->second.index) return;
  // Of what lies below its snapshot it holds what became of it.
  const auto chain = core.log().chain_at(found->second.index);
  if (chain && *chain != found->second.chain) return;
  holders_[found->first][replica] = core.epoch();
}

bool ClusterKept::holds(uint64_t group, const raft::Member& voter) const {
  const auto found = holders_.find(group);
  return found != holders_.end() && found->second.contains(voter.replica.value);
}

bool ClusterKept::is_forgiven(uint64_t group, const raft::Member& voter) const {
  const auto found = forgiven_.find({voter.node.value, group});
  return found != forgiven_.end() && found->second >= mode_;
}

// Its log was archived for one that holds this.
bool ClusterKept::is_with_a_chosen_log(uint64_t group, const raft::Member& voter) const {
  const auto holders = holders_.find(group);
  const auto archived = archived_.find(group);
  if (holders == holders_.end() || archived == archived_.end()) return false;
  const auto found = archived->second.find(voter.replica.value);
  if (found == archived->second.end()) return false;
  const auto is_chosen = [&](const auto& holder) { return holder.second == found->second; };
  return std::any_of(holders->second.begin(), holders->second.end(), is_chosen);
}

// It is lost, and was there when this was acknowledged.
bool ClusterKept::may_have_been_on(uint64_t group, const raft::Member& voter, const Acknowledged& acknowledged) const {
  const auto found = lost_.find({voter.node.value, group});
  if (found == lost_.end()) return false;
  return raft::Position{acknowledged.epoch, acknowledged.term, acknowledged.index} <= found->second;
}

std::string ClusterKept::judge() const {
  for (const auto& [group, acknowledged] : acknowledged_) {
    for (const raft::Half& half : acknowledged.halves) {
      const auto holders = std::count_if(half.voters.begin(), half.voters.end(), [&](const raft::Member& voter) {
        return holds(group, voter) || is_forgiven(group, voter) || is_with_a_chosen_log(group, voter) ||
               may_have_been_on(group, voter, acknowledged);
      });
      if (static_cast<uint32_t>(holders) >= half.quorums().commit) continue;
      return "group " + std::to_string(group) + ": " + std::to_string(acknowledged.index.value) + " is acknowledged, " + std::to_string(holders) +
             " of " + std::to_string(half.voters.size()) + " voters keep it as the mode " + std::string(raft::name_of(mode_)) + " wants, and " +
             std::to_string(half.quorums().commit) + " should";
    }
  }
  return "";
}

}  // namespace quorate::sim

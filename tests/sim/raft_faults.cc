// What goes wrong in the world `raft`, and what its operators do.
#include <algorithm>

#include "tests/sim/raft_world.h"
#include "util/check.h"

namespace quorate::sim {

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::kPartition:
      return "partitions";
    case Fault::kOneWay:
      return "one-way cuts";
    case Fault::kFlapping:
      return "flapping links";
    case Fault::kYoungLeaders:
      return "times of falling leaders";
    case Fault::kKill:
      return "kills";
    case Fault::kPower:
      return "power losses";
    case Fault::kBlackout:
      return "blackouts";
    case Fault::kPause:
      return "pauses";
    case Fault::kQuickRestart:
      return "quick restarts";
    case Fault::kWallJump:
      return "jumps of a wall clock";
    case Fault::kDiskStall:
      return "disk stalls";
    case Fault::kMembership:
      return "membership changes";
    case Fault::kCommitQuorum:
      return "commit-quorum changes";
    case Fault::kTransfer:
      return "transfers";
    case Fault::kCompaction:
      return "compactions";
  }
  CHECK(false);
}

FaultRate World::rate_of(Fault fault) const {
  switch (fault) {
    case Fault::kPartition:
      return swarm_.partition;
    case Fault::kOneWay:
      return swarm_.one_way;
    case Fault::kFlapping:
      return swarm_.flapping;
    case Fault::kYoungLeaders:
      return swarm_.young_leaders;
    case Fault::kKill:
      return swarm_.kill;
    case Fault::kPower:
      return swarm_.power;
    case Fault::kBlackout:
      return swarm_.blackout;
    case Fault::kPause:
      return swarm_.pause;
    case Fault::kQuickRestart:
      return swarm_.quick_restart;
    case Fault::kWallJump:
      return swarm_.wall_jump;
    case Fault::kDiskStall:
      return swarm_.disk_stall;
    case Fault::kMembership:
      return swarm_.membership;
    case Fault::kCommitQuorum:
      return swarm_.commit_quorums;
    case Fault::kTransfer:
      return swarm_.transfer;
    case Fault::kCompaction:
      return swarm_.compaction;
  }
  return {};
}

void World::schedule(Fault fault) {
  const FaultRate rate = rate_of(fault);
  if (!rate.on()) return;
  const auto wait_us = static_cast<int64_t>(prng_.below(static_cast<uint64_t>(2 * rate.every_us)));
  push({.at = now_us_ + 1 + wait_us,
        .kind = EventKind::kFault,
        .number = static_cast<uint64_t>(fault)});
}

int64_t World::length_of(Fault fault) {
  return 1 + static_cast<int64_t>(prng_.below(static_cast<uint64_t>(2 * rate_of(fault).length_us)));
}

void World::strike(Fault fault) {
  ++struck_[static_cast<size_t>(fault)];
  switch (fault) {
    case Fault::kPartition:
      return cut_sides();
    case Fault::kOneWay:
      return cut_one_way();
    case Fault::kFlapping:
      return start_flapping();
    case Fault::kYoungLeaders:
      young_leaders_fall_until_us_ = now_us_ + length_of(fault);
      return start_falling();
    case Fault::kKill:
      return kill(any_node(), length_of(fault));
    case Fault::kPower:
      return lose_power(any_node(), length_of(fault));
    case Fault::kBlackout:
      for (uint32_t node = 0; node < swarm_.nodes; ++node) lose_power(node, length_of(fault));
      return;
    case Fault::kPause: {
      Computer& computer = computers_[any_node()];
      computer.paused_until_us = std::max(computer.paused_until_us, now_us_ + length_of(fault));
      return;
    }
    case Fault::kQuickRestart:
      return restart_quickly();
    case Fault::kWallJump:
      computers_[any_node()].wall_offset_ms += static_cast<int64_t>(prng_.below(20'000)) - 10'000;
      return;
    case Fault::kDiskStall:
      computers_[any_node()].disk_stalled_until_us = now_us_ + length_of(fault);
      return;
    case Fault::kMembership:
      return change_membership();
    case Fault::kCommitQuorum:
      return change_commit_quorum();
    case Fault::kTransfer:
      return hand_over();
    case Fault::kCompaction: {
      const uint32_t node = any_node();
      if (computers_[node].process == nullptr || computers_[node].paused_until_us > now_us_) return;
      computers_[node].process->compact(any_group());
      return after(node);
    }
  }
}

// ---- the network

void World::cut_for(std::vector<std::pair<uint32_t, uint32_t>> links, int64_t length_us) {
  for (const auto& [from, to] : links) {
    network_.cut(from, to);
    if (swarm_.cuts_close) close_connection(from, to);
  }
  cuts_[++last_cut_] = std::move(links);
  push({.at = now_us_ + length_us, .kind = EventKind::kMend, .number = last_cut_});
}

void World::cut_sides() {
  const uint64_t side = 1 + prng_.below((uint64_t{1} << swarm_.nodes) - 2);
  std::vector<std::pair<uint32_t, uint32_t>> links;
  for (uint32_t from = 0; from < swarm_.nodes; ++from) {
    for (uint32_t to = 0; to < swarm_.nodes; ++to) {
      if (((side >> from) & 1) != ((side >> to) & 1)) links.emplace_back(from, to);
    }
  }
  log({}, "partition " + std::to_string(side));
  cut_for(std::move(links), length_of(Fault::kPartition));
}

void World::cut_one_way() {
  const uint32_t from = any_node();
  std::vector<std::pair<uint32_t, uint32_t>> links;
  const bool from_all = prng_.chance(0.5);
  const uint32_t one = any_node();
  for (uint32_t to = 0; to < swarm_.nodes; ++to) {
    if (to != from && (from_all || to == one)) links.emplace_back(from, to);
  }
  if (prng_.chance(0.5)) {
    for (auto& [a, b] : links) std::swap(a, b);
  }
  log({}, "one-way cut at node " + std::to_string(from + 1));
  cut_for(std::move(links), length_of(Fault::kOneWay));
}

// The first leader to fall is one that has been there for long; its clients' last writes stay with
// it.
void World::start_falling() {
  young_group_ = any_group();
  falls_by_plan_ = prng_.chance(0.6);
  const raft::Core* const leader = find_leader(young_group_);
  if (leader == nullptr) return;
  const auto node = static_cast<uint32_t>(leader->options().self.node.value - 1);
  cut_off({.node = node, .peer = node, .number = 0});
}

// By plan: who has nothing of older terms that may be lost keeps the first entry of its own term for
// itself; who has some falls when it has just got copies of that and of nothing newer.  Each time the
// one that fell before is back, and so what is held by one alone meets what another one has spread
// (the Raft paper's figure 8).
void World::young_leader_elected(const raft::Core& core) {
  Event fall{.kind = EventKind::kCutOff,
             .node = static_cast<uint32_t>(core.options().self.node.value - 1),
             .peer = any_node(),
             .number = prng_.below(2)};
  Computer& computer = computers_[fall.node];
  if (falls_by_plan_) {
    fall.peer = fall.node;
    fall.number = 0;
    const bool has_tail = core.last_index().value > core.commit_index().value + 1;
    if (!has_tail) return cut_off(fall);
    computer.falls_after = 60;
    computer.fall_spares = fall.node;
    return;
  }
  if (prng_.chance(0.4)) return cut_off(fall);  // before anybody hears of it
  // Within the first few messages: when one of them is about to be dealt with, or at any time.
  if (prng_.chance(0.5)) {
    computer.falls_after = 1 + prng_.below(20);
    computer.fall_spares = fall.peer;
    return;
  }
  const int64_t soon_us = 6 * (swarm_.delay_us + swarm_.jitter_us / 2 + swarm_.disk_us);
  fall.at = now_us_ + 1 + static_cast<int64_t>(prng_.below(static_cast<uint64_t>(soon_us)));
  push(std::move(fall));
}

// A leader falls: nobody, or one of the others only, hears it; perhaps it does not hear them either.
void World::cut_off(const Event& event) {
  if (healed_) return;
  computers_[event.node].falls_after = 0;
  mend(last_fall_);
  std::vector<std::pair<uint32_t, uint32_t>> links;
  for (uint32_t peer = 0; peer < swarm_.nodes; ++peer) {
    if (peer == event.node || peer == event.peer) continue;
    links.emplace_back(event.node, peer);
    if (event.number == 0) links.emplace_back(peer, event.node);
  }
  log({event.node + uint64_t{1}}, "cut off");
  const int64_t longest_us = falls_by_plan_ ? 4'000'000 : 1'000'000;
  cut_for(std::move(links),
          300'000 + static_cast<int64_t>(prng_.below(static_cast<uint64_t>(longest_us))));
  last_fall_ = last_cut_;
}

// A message is about to be dealt with: perhaps what it leads to is heard by nobody.  Above all when
// it says that an entry of an older term has its copies, while nothing of the leader's own term has.
void World::let_fall(uint32_t node, const raft::Message& message) {
  Computer& computer = computers_[node];
  if (computer.falls_after == 0 || computer.process == nullptr) return;
  const raft::Core* const core = computer.process->core(message.group);
  const auto* const answer = std::get_if<raft::AppendAnswer>(&message.body);
  const bool is_of_leader = core != nullptr && core->role() == raft::RoleName::kLeader;
  bool is_old = false;
  if (is_of_leader && answer != nullptr && answer->result == raft::AppendResult::kStored) {
    const auto term = core->log().term_at(answer->match);
    is_old = term && *term < core->term() && answer->match > core->commit_index();
  }
  if (!is_old && --computer.falls_after > 0) return;
  const bool is_deaf = falls_by_plan_ || prng_.chance(0.5);
  cut_off({.node = node, .peer = computer.fall_spares, .number = is_deaf ? 0u : 1u});
}

void World::mend(uint64_t number) {
  const auto cut = cuts_.find(number);
  if (cut == cuts_.end()) return;
  for (const auto& [from, to] : cut->second) network_.mend(from, to);
  cuts_.erase(cut);
}

void World::start_flapping() {
  const uint32_t from = any_node();
  const uint32_t to = any_node();
  if (from == to) return;
  push({.at = now_us_ + 1,
        .kind = EventKind::kFlap,
        .node = from,
        .peer = to,
        .number = static_cast<uint64_t>(now_us_ + length_of(Fault::kFlapping))});
}

void World::turn_link(const Event& event) {
  if (healed_ || now_us_ >= static_cast<int64_t>(event.number)) return;
  const auto length_us = static_cast<int64_t>(1000 + prng_.below(100'000));
  cut_for({{event.node, event.peer}, {event.peer, event.node}}, length_us);
  push({.at = now_us_ + length_us + static_cast<int64_t>(prng_.below(100'000)),
        .kind = EventKind::kFlap,
        .node = event.node,
        .peer = event.peer,
        .number = event.number});
}

// ---- the machines

// Between two outputs that are still to come, or soon if there are none.
void World::kill(uint32_t node, int64_t down_us) {
  Computer& computer = computers_[node];
  if (computer.process == nullptr) return;
  constexpr int64_t kSoonUs = 20'000;
  computer.dies_after = static_cast<int64_t>(prng_.below(60));
  push({.at = now_us_ + kSoonUs, .kind = EventKind::kKill, .node = node, .life = computer.life});
  push({.at = now_us_ + kSoonUs + down_us, .kind = EventKind::kStart, .node = node});
}

void World::lose_power(uint32_t node, int64_t down_us) {
  Computer& computer = computers_[node];
  if (computer.process == nullptr) {
    computer.disk.lose_power(node_prng_);
    ++computer.boot;
    computer.booted_us = now_us_;
  } else {
    computer.power_fails = true;
    bury(node);
  }
  push({.at = now_us_ + down_us, .kind = EventKind::kStart, .node = node});
}

// A leader's lease stands on as few voters as it can: the others have not heard it for a while and
// ask around.  Then it is cut off from all, and one of those few restarts faster than the lease
// ends.  Only that voter's quiet time keeps it from helping another leader to office meanwhile.
void World::restart_quickly() {
  const raft::Core* const leader = find_leader(any_group());
  if (leader == nullptr) return;
  const raft::Half& half = leader->configuration().incoming;
  if (half.voters.size() < 3) return;
  const auto leads = static_cast<uint32_t>(leader->options().self.node.value - 1);
  std::vector<uint32_t> keep;
  for (size_t place = prng_.below(half.voters.size()), left = half.voters.size(); left > 0;
       place = (place + 1) % half.voters.size(), --left) {
    const auto node = static_cast<uint32_t>(half.voters[place].node.value - 1);
    if (node != leads && keep.size() + 1 < half.quorums().confirmation) keep.push_back(node);
  }
  if (keep.empty()) return;
  std::vector<std::pair<uint32_t, uint32_t>> links;
  for (uint32_t node = 0; node < swarm_.nodes; ++node) {
    if (node == leads || std::find(keep.begin(), keep.end(), node) != keep.end()) continue;
    links.emplace_back(leads, node);
    links.emplace_back(node, leads);
  }
  const int64_t length_us = 300'000 + length_of(Fault::kQuickRestart);
  cut_for(std::move(links), length_us + 300'000);
  // With writes under way the others fall behind and nobody would vote for them.
  if (prng_.chance(0.5)) clients_.rest_until(now_us_ + length_us + 300'000);
  push({.at = now_us_ + length_us,
        .kind = EventKind::kQuickRestart,
        .node = leads,
        .peer = keep.front()});
}

void World::finish_quick_restart(const Event& event) {
  if (healed_) return;
  std::vector<std::pair<uint32_t, uint32_t>> links;
  for (uint32_t node = 0; node < swarm_.nodes; ++node) {
    if (node == event.node) continue;
    links.emplace_back(event.node, node);
    links.emplace_back(node, event.node);
  }
  cut_for(std::move(links), 300'000);
  if (computers_[event.peer].process == nullptr) return;
  bury(event.peer);
  push({.at = now_us_ + 1 + static_cast<int64_t>(prng_.below(10'000)),
        .kind = EventKind::kStart,
        .node = event.peer});
}

// ---- the operators

// A leader hands over, and sometimes hears nothing more once it has said so.
void World::hand_over() {
  raft::Core* const leader = find_leader(any_group());
  if (leader == nullptr) return;
  const auto& voters = leader->configuration().incoming.voters;
  const raft::ReplicaId to = voters[prng_.below(voters.size())].replica;
  if (!leader->may_transfer(to)) return;
  const auto node = static_cast<uint32_t>(leader->options().self.node.value - 1);
  computers_[node].process->transfer(leader->options().group, to);
  after(node);
  if (prng_.chance(0.7)) return;
  std::vector<std::pair<uint32_t, uint32_t>> links;
  for (uint32_t peer = 0; peer < swarm_.nodes; ++peer) {
    if (peer != node) links.emplace_back(peer, node);
  }
  cut_for(std::move(links), 1 + static_cast<int64_t>(prng_.below(1'000'000)));
}

// The leader with the highest term that can be asked.
raft::Core* World::find_leader(raft::GroupId group) {
  raft::Core* best = nullptr;
  for (Computer& computer : computers_) {
    if (computer.process == nullptr || computer.paused_until_us > now_us_) continue;
    raft::Core* const core = computer.process->core(group);
    if (core == nullptr || core->role() != raft::RoleName::kLeader) continue;
    if (best == nullptr || core->term() > best->term()) best = core;
  }
  return best;
}

void World::change_membership() {
  const raft::GroupId group = any_group();
  raft::Core* const leader = find_leader(group);
  if (leader == nullptr || leader->configuration().joint()) return;
  drop_removed(*leader);
  raft::Configuration target = leader->configuration();
  std::vector<raft::Member>& voters = target.incoming.voters;
  std::vector<uint64_t> free_nodes;
  for (uint64_t node = 1; node <= swarm_.nodes; ++node) {
    const auto members = target.members();
    const bool is_used =
        std::any_of(members.begin(), members.end(),
                    [&](const raft::Member& member) { return member.node.value == node; });
    if (!is_used) free_nodes.push_back(node);
  }
  const auto new_member = [&] {
    return member_for(group, {free_nodes[prng_.below(free_nodes.size())]});
  };
  const size_t voter = prng_.below(voters.size());
  const uint64_t choice = prng_.below(6);
  if (choice == 0 && !free_nodes.empty()) {
    target.learners.push_back(new_member());
  } else if (choice == 1 && !target.learners.empty() && !is_lost(group, target.learners.back())) {
    voters.push_back(target.learners.back());
    target.learners.pop_back();
  } else if (choice == 2 && voters.size() > 1) {
    voters.erase(voters.begin() + static_cast<ptrdiff_t>(voter));
  } else if (choice == 3 && !free_nodes.empty()) {
    voters[voter] = new_member();
  } else if (choice == 4 && !free_nodes.empty() && voters.size() < 5) {
    voters.push_back(new_member());
  } else if (choice == 5 && voters.size() > 1) {
    target.learners.push_back(voters[voter]);
    voters.erase(voters.begin() + static_cast<ptrdiff_t>(voter));
  } else {
    target.learners.clear();
  }
  if (target.incoming.commit_quorum > voters.size()) target.incoming.commit_quorum = 0;
  if (!raft::validate(target).ok()) target.incoming.commit_quorum = 0;
  if (leader->change_refusal(target) != raft::ChangeRefusal::kNone) return;
  const auto node = static_cast<uint32_t>(leader->options().self.node.value - 1);
  log({node + uint64_t{1}},
      "group " + std::to_string(group.value) + ": operator wants " + raft::describe(target));
  computers_[node].process->change(group, target);
  after(node);
}

// As the meta group gives ids out: a node whose replica has not gone yet is taken with that one, also
// by a leader that does not know of it.
raft::Member World::member_for(raft::GroupId group, raft::NodeId node) {
  raft::Member& last = last_members_[{group, node}];
  if (last.replica.none() || is_lost(group, last)) last = {.replica = {++last_replica_}, .node = node};
  return last;
}

// Its node has dropped it, or is lost: it never comes back (I14).
bool World::is_lost(raft::GroupId group, const raft::Member& member) {
  Computer& computer = computers_[member.node.value - 1];
  return computer.is_lost || computer.disk.removed[group] >= member.replica;
}

void World::drop_lost_members() {
  for (uint64_t id = 1; id <= swarm_.groups; ++id) {
    raft::Core* const leader = find_leader({id});
    if (leader == nullptr) continue;
    const auto is_gone = [&](const raft::Member& member) { return is_lost({id}, member); };
    raft::Configuration target = leader->configuration();
    const size_t removed =
        std::erase_if(target.learners, is_gone) + std::erase_if(target.incoming.voters, is_gone);
    if (removed == 0 || target.incoming.voters.empty()) continue;
    if (!raft::validate(target).ok()) target.incoming.commit_quorum = 0;
    if (leader->change_refusal(target) != raft::ChangeRefusal::kNone) continue;
    const auto node = static_cast<uint32_t>(leader->options().self.node.value - 1);
    computers_[node].process->change({id}, target);
    after(node);
  }
}

void World::change_commit_quorum() {
  const raft::GroupId group = any_group();
  raft::Core* const leader = find_leader(group);
  if (leader == nullptr || leader->configuration().joint()) return;
  raft::Configuration target = leader->configuration();
  target.incoming.commit_quorum =
      static_cast<uint32_t>(prng_.below(target.incoming.voters.size() + 1));
  if (!raft::validate(target).ok()) return;
  if (leader->change_refusal(target) != raft::ChangeRefusal::kNone) return;
  const auto node = static_cast<uint32_t>(leader->options().self.node.value - 1);
  computers_[node].process->change(group, target);
  after(node);
}

// Replicas that the committed configuration does not name are dropped, some of them at once.
void World::drop_removed(raft::Core& leader) {
  const raft::GroupId group = leader.options().group;
  if (leader.role_state().serving != raft::Serving::kYes) return;
  const auto members = leader.committed_configuration().configuration.members();
  for (uint32_t node = 0; node < swarm_.nodes; ++node) {
    Computer& computer = computers_[node];
    if (computer.process == nullptr || computer.paused_until_us > now_us_) continue;
    const raft::Core* const core = computer.process->core(group);
    if (core == nullptr || prng_.chance(0.5)) continue;
    const raft::ReplicaId replica = core->options().self.replica;
    // One that is newer may have been added by a change that is not committed.
    if (leader.configuration().find(replica) || core == &leader) continue;
    const bool is_named =
        std::any_of(members.begin(), members.end(),
                    [&](const raft::Member& member) { return member.replica >= replica; });
    if (is_named) continue;
    computer.process->remove(group);
    after(node);
  }
}

}  // namespace quorate::sim

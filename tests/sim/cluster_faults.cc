// What goes wrong in the world `cluster`.
#include <algorithm>
#include <set>

#include "node/company.h"
#include "node/state.h"
#include "tests/sim/cluster_world.h"

namespace quorate::sim {

namespace {

// So many voters hold a committed entry at least twice.
constexpr size_t kVotersMin = 3;
// So long after its start a node is connected, and knows whom to follow.
constexpr int64_t kSettledUs = 1'000'000;

struct FaultRow {
  const char* name;
  FaultRate ClusterSwarm::*rate;
};

// By ClusterFault.
constexpr FaultRow kFaults[kClusterFaultCount] = {
    {"partitions", &ClusterSwarm::partition},
    {"one-way cuts", &ClusterSwarm::one_way},
    {"broken connections", &ClusterSwarm::broken_line},
    {"kills", &ClusterSwarm::kill},
    {"power losses", &ClusterSwarm::power},
    {"orderly ends", &ClusterSwarm::end},
    {"pauses", &ClusterSwarm::pause},
    {"slow turns", &ClusterSwarm::slow_turn},
    {"jumps of a wall clock", &ClusterSwarm::wall_jump},
    {"disk stalls", &ClusterSwarm::disk_stall},
    {"full disks", &ClusterSwarm::disk_full},
    {"lonely nodes", &ClusterSwarm::lonely},
    {"failed syncs", &ClusterSwarm::sync_fails},
    {"wishes of operators", &ClusterSwarm::churn},
    {"changes of the mode", &ClusterSwarm::mode},
    {"full memories", &ClusterSwarm::memory_full},
    {"arrangements by hand", &ClusterSwarm::arrange},
    {"quick restarts", &ClusterSwarm::quick_restart},
    {"flipped bits", &ClusterSwarm::damage},
    {"lost syncs", &ClusterSwarm::lost_sync},
};

const FaultRow& row_of(ClusterFault fault) { return kFaults[static_cast<size_t>(fault)]; }

}  // namespace

const char* name_of(ClusterFault fault) { return row_of(fault).name; }

FaultRate ClusterWorld::rate_of(ClusterFault fault) const { return swarm_.*row_of(fault).rate; }

void ClusterWorld::schedule(ClusterFault fault) {
  const FaultRate rate = rate_of(fault);
  if (!rate.on()) return;
  push({.at = now_us_ + 1 +
              static_cast<int64_t>(prng_.below(static_cast<uint64_t>(2 * rate.every_us))),
        .kind = EventKind::kFault,
        .number = static_cast<uint64_t>(fault)});
}

int64_t ClusterWorld::length_of(ClusterFault fault) {
  return 1 +
         static_cast<int64_t>(prng_.below(static_cast<uint64_t>(2 * rate_of(fault).length_us + 1)));
}

void ClusterWorld::strike(ClusterFault fault) {
  const uint32_t number = any_machine();
  Machine& machine = *machines_[number];
  const int64_t length_us = length_of(fault);
  ++struck_[static_cast<size_t>(fault)];
  switch (fault) {
    case ClusterFault::kLonely:
      return cut_off(number);
    case ClusterFault::kSyncFails:
      return fail_sync(number, length_us);
    case ClusterFault::kChurn: {
      const auto drawn = static_cast<ClusterOperator::Wish>(prng_.below(3));
      const auto wish = swarm_.is_gentle ? ClusterOperator::Wish::kRest : drawn;
      const bool may_begin = size() > 1 && operator_.is_idle() && machine.node != nullptr && may_give_votes_away();
      if (may_begin && company_joined(number)) operator_.begin(number, wish);
      return;
    }
    case ClusterFault::kMode:
      if (modes_.is_idle() && may_change_mode()) modes_.begin();
      return;
    case ClusterFault::kArrange:
      if (arranger_.is_idle() && may_give_votes_away()) arranger_.begin();
      return;
    case ClusterFault::kMemoryFull:
      if (machine.node == nullptr) return;
      machine.node->set_config("maxmemory", "1");
      push({.at = now_us_ + length_us, .kind = EventKind::kMemoryRoom, .machine = number});
      return;
    case ClusterFault::kPartition:
      return cut_sides();
    case ClusterFault::kOneWay:
      return cut_one_way();
    case ClusterFault::kBrokenLine:
      network_.break_one(any_told());
      return;
    case ClusterFault::kKill:
      return kill(number, length_us);
    case ClusterFault::kQuickRestart:
      return restart_quickly();
    case ClusterFault::kPower:
      if (modes_.weakest() == raft::Durability::kSynced && prng_.chance(0.3)) return darken(length_us);
      return lose_power(number, length_us);
    case ClusterFault::kEnd:
      return end(number, length_us);
    case ClusterFault::kPause:
      machine.paused_until_us = now_us_ + length_us;
      return gather_clients(number, length_us + 50'000);
    case ClusterFault::kSlowTurn:
      machine.slow_turn_us = length_us;
      return gather_clients(number, length_us + 50'000);
    case ClusterFault::kWallJump:
      machine.wall_offset_ms = static_cast<int64_t>(prng_.below(20'000)) - 10'000;
      return;
    case ClusterFault::kDamage:
      if (machine.node != nullptr && company_joined(number) && may_lose_disk(number)) damage(number, length_us);
      return;
    case ClusterFault::kLostSync:
      if (machine.node != nullptr && company_joined(number) && may_lose_disk(number)) lie_about_syncs(number, length_us);
      return;
    case ClusterFault::kDiskStall:
      machine.disk_stalled_until_us = now_us_ + length_us;
      return;
    case ClusterFault::kDiskFull:
      if (machine.is_full || machine.node == nullptr) return;
      machine.is_full = true;
      machine.disk.set_capacity(machine.disk.used() + prng_.below(3000));
      push({.at = now_us_ + length_us, .kind = EventKind::kDiskRoom, .machine = number});
      return;
  }
}

// Of two nodes that are left one votes alone, and nobody knows yet of one that has forgotten everything: it must not be that one.
bool ClusterWorld::may_give_votes_away() const {
  for (uint32_t number = 0; number < size(); ++number) {
    const Machine& machine = *machines_[number];
    if (machine.damage != Machine::Damage::kNone || (machine.node != nullptr && !company_joined(number))) return false;
  }
  return true;
}

void ClusterWorld::cut_sides() {
  if (size() < 2) return;
  const uint64_t side = 1 + prng_.below((uint64_t{1} << size()) - 2);
  std::vector<std::pair<uint32_t, uint32_t>> paths;
  for (uint32_t a = 0; a < size(); ++a) {
    for (uint32_t b = 0; b < size(); ++b) {
      if (((side >> a) & 1) != ((side >> b) & 1)) paths.emplace_back(a, b);
    }
  }
  cut_for(std::move(paths), length_of(ClusterFault::kPartition));
}

void ClusterWorld::cut_one_way() {
  if (size() < 2) return;
  const uint32_t from = any_machine();
  const uint32_t to = (from + 1 + static_cast<uint32_t>(prng_.below(size() - 1))) % size();
  cut_for({{from, to}}, length_of(ClusterFault::kOneWay));
}

// Nobody hears it, or it hears nobody either.
void ClusterWorld::cut_off(uint32_t number) {
  const bool is_deaf = prng_.chance(0.7);
  std::vector<std::pair<uint32_t, uint32_t>> paths;
  for (uint32_t other = 0; other < size(); ++other) {
    if (other == number) continue;
    paths.emplace_back(number, other);
    if (is_deaf) paths.emplace_back(other, number);
  }
  const int64_t length_us = length_of(ClusterFault::kLonely);
  cut_for(paths, length_us);
  if (prng_.chance(0.5)) {
    // The others learn at once that their connections are gone, and ask for votes as soon as they may.
    for (const auto& [from, to] : paths) network_.break_between(from, to, ClusterNetwork::Told::kBoth);
  }
  gather_clients(number, length_us);
  Machine& machine = *machines_[number];
  if (swarm_.lonely_is_slow) machine.slow_turn_us = length_us;
  if (swarm_.saves()) {
    // What it alone holds is in its snapshot, too.
    push({.at = now_us_ + 1 + static_cast<int64_t>(prng_.below(300'000)),
          .kind = EventKind::kSave,
          .machine = number,
          .life = machine.life});
  }
  if (!swarm_.kill.on() || prng_.chance(0.6) || forgets(number, SimDisk::Loss::kOfProcess)) return;
  // What it alone holds is still there when it starts again.
  machine.down_us = length_us;
  push({.at = now_us_ + 1 + static_cast<int64_t>(prng_.below(600'000)),
        .kind = EventKind::kKill,
        .machine = number,
        .life = machine.life,
        .number = 1});
}

void ClusterWorld::save(uint32_t number) {
  Machine& machine = *machines_[number];
  if (machine.own_line < 0) machine.own_line = machine.node->connect();
  machine.node->send(machine.own_line, "*1\r\n$12\r\nBGREWRITEAOF\r\n");
  input(number);
}

void ClusterWorld::gather_clients(uint32_t number, int64_t length_us) {
  if (prng_.chance(swarm_.flocks)) clients_.flock_to(number, now_us_ + length_us);
}

// The next sync fails, and what it should have made durable is lost if the power is, too.
void ClusterWorld::fail_sync(uint32_t number, int64_t down_us) {
  Machine& machine = *machines_[number];
  if (machine.node == nullptr || machine.sync_fails || machine.shall_end || machine.disk.is_lying()) return;
  // Whoever met an error of its disk may have forgotten, in every mode.
  if (!others_remember(number)) return;
  machine.sync_fails = true;
  machine.down_us = down_us;
  machine.disk.fail_next_sync();
}

// Who met the error may have become the only voter since it was drawn.
void ClusterWorld::spare_sync_that_counts(uint32_t number) {
  Machine& machine = *machines_[number];
  if (!machine.disk.will_fail_a_sync() || others_remember(number)) return;
  machine.sync_fails = false;
  machine.disk.spare_next_sync();
}

bool ClusterWorld::company_joined(uint32_t number) const {
  const Company& company = machines_[number]->node->node().state().company;
  return company.is_started() && !company.is_alone() &&
         company.cluster().membership() == Membership::kMember;
}

void ClusterWorld::cut_for(std::vector<std::pair<uint32_t, uint32_t>> paths, int64_t length_us) {
  const uint64_t how = prng_.below(5);
  for (const auto& [from, to] : paths) {
    // Often nobody is told, and what is on its way arrives when the cut is mended.
    if (how < 3) network_.break_between(from, to, static_cast<ClusterNetwork::Told>(how));
  }
  cut_quietly(std::move(paths), length_us);
}

// What is on its way arrives when the cut is mended.
void ClusterWorld::cut_quietly(std::vector<std::pair<uint32_t, uint32_t>> paths, int64_t length_us) {
  for (const auto& [from, to] : paths) {
    network_.cut(from, to);
    log(from, "cannot be heard by n" + std::to_string(to + 1));
  }
  cuts_[++last_cut_] = std::move(paths);
  push({.at = now_us_ + length_us, .kind = EventKind::kMend, .number = last_cut_});
}

void ClusterWorld::silence(uint32_t from, uint32_t to) {
  network_.cut(from, to);
  log(from, "cannot be heard by n" + std::to_string(to + 1));
}

void ClusterWorld::isolate(uint32_t machine) {
  for (uint32_t other = 0; other < size(); ++other) {
    if (other == machine) continue;
    network_.cut(machine, other);
    network_.cut(other, machine);
    network_.break_between(machine, other, ClusterNetwork::Told::kBoth);
  }
}

void ClusterWorld::mend(uint64_t number) {
  const auto cut = cuts_.find(number);
  if (cut == cuts_.end()) return;
  for (const auto& [from, to] : cut->second) {
    network_.mend(from, to);
    log(from, "can be heard by n" + std::to_string(to + 1) + " again");
  }
  cuts_.erase(cut);
}

// At one of the outputs to come, or at the latest before long.
void ClusterWorld::kill(uint32_t number, int64_t down_us) {
  Machine& machine = *machines_[number];
  if (machine.node == nullptr || machine.node->is_dead()) return;
  if (!may_end(number, SimDisk::Loss::kOfProcess)) return;
  machine.down_us = down_us;
  machine.node->die_after(1 + prng_.below(12));
  push({.at = now_us_ + 1 + static_cast<int64_t>(prng_.below(50'000)),
        .kind = EventKind::kKill,
        .machine = number,
        .life = machine.life});
}

// As in the world `raft`: a machine's leases stand on the promises of one other, while the rest have not heard it for a while and ask around.
// Then it is not heard by that one either, which restarts faster than such a lease ends: only its quiet time keeps it from helping another one
// to office.
void ClusterWorld::restart_quickly() {
  constexpr int64_t kSuspiciousUs = 300'000;
  if (size() < kVotersMin) return;
  const uint32_t leads = any_machine();
  const uint32_t restarts = (leads + 1 + static_cast<uint32_t>(prng_.below(size() - 1))) % size();
  std::vector<std::pair<uint32_t, uint32_t>> paths;
  for (uint32_t other = 0; other < size(); ++other) {
    if (other == leads || other == restarts) continue;
    paths.emplace_back(leads, other);
    paths.emplace_back(other, leads);
  }
  const int64_t length_us = kSuspiciousUs + length_of(ClusterFault::kQuickRestart);
  cut_quietly(std::move(paths), length_us + kSuspiciousUs);
  push({.at = now_us_ + length_us, .kind = EventKind::kQuickRestart, .machine = leads, .number = restarts});
}

void ClusterWorld::finish_quick_restart(uint32_t leads, uint32_t restarts) {
  constexpr int64_t kLengthUs = 300'000;
  const Machine& machine = *machines_[restarts];
  const bool is_ending = machine.power_fails || machine.sync_fails || machine.shall_end;
  if (healed_ || machine.node == nullptr || is_ending || !may_end(restarts, SimDisk::Loss::kOfProcess)) return;
  cut_quietly({{leads, restarts}, {restarts, leads}}, kLengthUs);
  machines_[restarts]->down_us = 0;
  bury(restarts);
}

// Below `always` a machine without power forgets what it had promised; one that keeps all in memory does
// whenever it ends.  One of them is to be borne; what two lose together may be gone, which is no fault of anybody.
// Who was not heard when a stricter mode was decided holds nobody up, and is such a one until it keeps that.
bool ClusterWorld::forgets(uint32_t number, SimDisk::Loss end) const {
  const auto bears = end == SimDisk::Loss::kOfPower ? raft::Durability::kSynced : raft::Durability::kOs;
  if (modes_.weakest() < bears) return true;
  if (machines_[number]->node == nullptr) return false;
  const Company& company = company_of(*machines_[number]->node);
  return company.is_started() && !company.is_alone() && company.cluster().groups().health().kept < bears;
}

// Whoever does not keep a mode that is promised is one of so few voters of each group that the others do without them, but not without one
// more, whose disk is gone or that does not vote yet.
bool ClusterWorld::may_all_end(SimDisk::Loss end) const {
  bool has_forgetful = false;
  bool all_others_are_whole = true;
  for (uint32_t number = 0; number < size(); ++number) {
    const Machine& machine = *machines_[number];
    const bool is_there = machine.node != nullptr && !machine.sync_fails;
    if (is_there && forgets(number, end)) {
      has_forgetful = true;
    } else if (!is_there || !company_joined(number)) {
      all_others_are_whole = false;
    } else {
      company_of(*machine.node).cluster().groups().for_each([&](raft::GroupId, const raft::Core& core) {
        all_others_are_whole = all_others_are_whole && core.standing() == raft::Standing::kFull && are_voters_there(core.configuration());
      });
    }
  }
  return !has_forgetful || all_others_are_whole;
}

// One that has gone for good may be a voter still.
bool ClusterWorld::are_voters_there(const raft::Configuration& configuration) const {
  const std::vector<raft::Member> voters = configuration.voters();
  return std::all_of(voters.begin(), voters.end(), [&](const raft::Member& voter) { return machine_of(voter.node.value) != nullptr; });
}

const ClusterWorld::Machine* ClusterWorld::machine_of(uint64_t node_id) const {
  const auto found = std::find_if(machines_.begin(), machines_.end(), [&](const auto& each) { return each->node_id == node_id; });
  return found == machines_.end() ? nullptr : found->get();
}

bool ClusterWorld::others_remember(uint32_t number) const {
  if (size() < kVotersMin) return false;
  for (uint32_t other = 0; other < size(); ++other) {
    if (other == number) continue;
    const Machine& machine = *machines_[other];
    const bool is_ending = machine.power_fails || machine.sync_fails || machine.shall_end || machine.shall_die || (machine.node != nullptr && machine.node->is_doomed());
    if (machine.node == nullptr || is_ending) return false;
  }
  return has_three_voters_everywhere(number, Joint::kDoesNot);
}

// All others have been there for a while, and every group can do without one voter.
bool ClusterWorld::can_do_without(uint32_t number) const {
  for (uint32_t other = 0; other < size(); ++other) {
    const Machine& machine = *machines_[other];
    if (other == number) continue;
    if (machine.node == nullptr || machine.shall_end || now_us_ - machine.started_us < kSettledUs) return false;
  }
  return has_three_voters_everywhere(number, Joint::kCounts);
}

bool ClusterWorld::has_three_voters_everywhere(uint32_t except, Joint joint) const {
  // By group: a node that joins has none, and what only one node has is nowhere else.
  std::set<uint64_t> found;
  for (uint32_t other = 0; other < size(); ++other) {
    if (other == except) continue;
    if (!company_joined(other)) return false;
    const ClusterNode& cluster = machines_[other]->node->node().state().company.cluster();
    const std::vector<PlannedPartition>& plan = cluster.state().plan();
    bool is_borne = std::all_of(plan.begin(), plan.end(), [](const PlannedPartition& each) { return each.voters >= kVotersMin; });
    cluster.groups().for_each([&](raft::GroupId group, const raft::Core& core) {
      const raft::Configuration& configuration = core.configuration();
      is_borne = is_borne && core.standing() == raft::Standing::kFull && (joint == Joint::kCounts || !configuration.joint()) &&
                 configuration.incoming.voters.size() >= kVotersMin && are_voters_there(configuration);
      found.insert(group.value);
    });
    if (!is_borne) return false;
  }
  return found.size() == swarm_.partitions + 1;
}

// SIGTERM.
void ClusterWorld::end(uint32_t number, int64_t down_us) {
  Machine& machine = *machines_[number];
  if (machine.node == nullptr || machine.node->is_dead()) return;
  if (swarm_.is_gentle && !can_do_without(number)) return;
  if (!may_end(number, SimDisk::Loss::kOfProcess)) return;
  log(number, "is told to end");
  machine.down_us = down_us;
  machine.shall_end = true;
  if (swarm_.is_gentle && !machine.told_us) {
    machine.told_us = now_us_;
    look_again_at_absence(number);
  }
  show_clock(machine);
  machine.node->shut_down();
  input(number);
}

// The whole room at once.  What is synced survives that.
void ClusterWorld::darken(int64_t down_us) {
  if (!may_all_end(SimDisk::Loss::kOfPower)) return;
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    if (machine.node == nullptr) continue;
    machine.power_fails = true;
    machine.down_us = down_us;
    bury(number);
  }
}

// Every machine is a member, so that who answers does not mean itself alone.  Who is about to end in a stronger mode could forget more in a weaker one.
bool ClusterWorld::may_change_mode() const {
  const ClusterState* known = nullptr;
  for (uint32_t number = 0; number < size(); ++number) {
    const Machine& machine = *machines_[number];
    if (machine.power_fails || machine.sync_fails || machine.shall_end || machine.shall_die) return false;
    if (machine.node == nullptr) continue;
    if (machine.node->is_doomed() || !company_joined(number)) return false;
    known = &company_of(*machine.node).cluster().state();
  }
  if (known == nullptr) return false;
  const std::vector<MemberRecord>& members = known->members();
  return std::all_of(machines_.begin(), machines_.end(), [&](const auto& machine) {
    return std::any_of(members.begin(), members.end(), [&](const MemberRecord& member) { return member.id == machine->node_id; });
  });
}

// Whoever has been answered may rely on it from now on: all processes may end, or all power go, and a disk with it.
void ClusterWorld::mode_is_stronger() {
  check_kept();
  if (healed_) return;
  const uint32_t number = any_machine();
  const bool loses_disk = prng_.chance(swarm_.disk_loss) && may_lose_disk(number);
  const bool is_synced = modes_.weakest() == raft::Durability::kSynced;
  const ClusterFault fault = is_synced ? ClusterFault::kPower : ClusterFault::kKill;
  const bool strikes = rate_of(fault).on() && prng_.chance(0.5);
  if (strikes && is_synced) darken(length_of(fault));
  if (strikes && !is_synced) end_all(length_of(fault));
  if (loses_disk) lose_disk(number);
}

void ClusterWorld::end_all(int64_t down_us) {
  if (!may_all_end(SimDisk::Loss::kOfProcess)) return;
  for (uint32_t number = 0; number < size(); ++number) {
    machines_[number]->down_us = down_us;
    bury(number);
  }
}

// All others are up and whole, and every group has voters enough without it, whatever ends next.
bool ClusterWorld::may_lose_disk(uint32_t number) const {
  const auto end = modes_.weakest() == raft::Durability::kSynced ? SimDisk::Loss::kOfPower : SimDisk::Loss::kOfProcess;
  for (uint32_t other = 0; other < size(); ++other) {
    if (other != number && forgets(other, end)) return false;
  }
  return size() >= kVotersMin && operator_.is_idle() && arranger_.is_idle() && !machines_[number]->is_lost && machines_[number]->node_id != 0 && others_remember(number);
}

void ClusterWorld::lose_disk(uint32_t number) {
  Machine& machine = *machines_[number];
  log(number, "loses its disk for good");
  ++disks_lost_;
  machine.power_fails = true;
  machine.down_us = INT64_MAX / 4;
  bury(number);
  kept_.forgive(machine.node_id, raft::Durability::kSynced);
  machine.disk = SimDisk(node_prng_.next());
  machine.is_lost = true;
  machine.told_losses.clear();
  operator_.begin(number, ClusterOperator::Wish::kReplaceLost);
}

void ClusterWorld::lose_power(uint32_t number, int64_t down_us) {
  if (!may_end(number, SimDisk::Loss::kOfPower)) return;
  kill(number, down_us);
  machines_[number]->power_fails = machines_[number]->node != nullptr;
}

}  // namespace quorate::sim

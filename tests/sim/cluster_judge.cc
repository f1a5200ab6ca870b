// What must hold in the world `cluster` as a whole, at any time and at the end.  What can be said of one replica, and of logs, is in
// cluster_oracle.
#include "tests/sim/cluster_world.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <set>
#include <utility>

#include "node/company.h"
#include "node/state.h"

namespace quorate::sim {

namespace {

constexpr int64_t kComparisonUs = 500'000;

}  // namespace

// ---- what others see

uint32_t ClusterWorld::led_by(uint32_t number) const {
  const Machine& machine = *machines_[number];
  if (machine.node == nullptr) return 0;
  const Company& company = company_of(*machine.node);
  uint32_t count = 0;
  if (company.is_alone()) return 0;
  for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
    count += company.serves(partition) ? 1 : 0;
  }
  return count;
}

uint64_t ClusterWorld::state_checks() const {
  uint64_t count = state_checks_;
  for (const auto& machine : machines_) {
    if (machine->node == nullptr || !company_of(*machine->node).is_started()) continue;
    count += company_of(*machine->node).cluster().partitions().check().counts().rounds;
  }
  return count;
}

// ---- what must hold

// 0: the group has not begun anew, or this copy is one from before.
uint64_t ClusterWorld::first_replica_of(Company& company, const raft::Core& core) const {
  const uint64_t partition = core.options().group.value - 1;
  const auto& plan = company.cluster().meta().address_book().plan();
  if (partition >= plan.size()) return 0;
  const uint64_t first = plan[static_cast<size_t>(partition)].first_replica;
  return core.options().self.replica.value >= first ? first : 0;
}

// Who ends in good order leaves everything to others that can go on without it, from the moment in which it was told on.
void ClusterWorld::check_absence(uint32_t number) {
  constexpr int64_t kTakenOverUs = 1'000'000;
  const Machine& machine = *machines_[number];
  if (!machine.told_us || healed_) return;
  for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
    if (std::max(served_us_[partition], *machine.told_us) + kTakenOverUs >= now_us_) continue;
    oracle_.fail("n" + std::to_string(number + 1) + (machine.node == nullptr ? " has ended in good order" : " was told to end") +
                 ", and nobody serves partition " + std::to_string(partition) + describe_partition(partition));
  }
}

void ClusterWorld::look_again_at_absence(uint32_t number) {
  constexpr int64_t kAgainUs = 250'000;
  push({.at = now_us_ + kAgainUs,
        .kind = EventKind::kAbsent,
        .machine = number,
        .number = static_cast<uint64_t>(*machines_[number]->told_us)});
}

// Whom the machine has heard, as its beats say.
void ClusterWorld::note_heard(uint32_t number) {
  Machine& machine = *machines_[number];
  const Company& company = company_of(*machine.node);
  if (!company.is_started() || company.is_alone()) return;
  machine.heard.resize(size());
  for (uint32_t other = 0; other < size(); ++other) {
    const beats::Pair* const pair = company.cluster().groups().pair({machines_[other]->node_id});
    Machine::Heard& heard = machine.heard[other];
    if (pair == nullptr || pair->received_us() == std::exchange(heard.received_us, pair->received_us())) continue;
    if (pair->received_us() == INT64_MIN) continue;   // another process, which has heard nobody yet
    if (now_us_ - heard.at_us >= silence_us_least()) heard.was_silent_us = now_us_;
    heard.at_us = now_us_;
  }
}

// A process that ends may have decided by what it had not heard; the next one begins to count anew.
void ClusterWorld::end_silences(uint32_t number) {
  for (Machine::Heard& heard : machines_[number]->heard) {
    if (now_us_ - heard.at_us >= silence_us_least()) heard.was_silent_us = now_us_;
  }
}

void ClusterWorld::begin_to_hear(uint32_t number) {
  for (Machine::Heard& heard : machines_[number]->heard) heard.at_us = now_us_;
}

// As whoever leads the members knows it.
void ClusterWorld::count_dead(uint32_t number) {
  Company& company = company_of(*machines_[number]->node);
  if (!company.is_started() || company.is_alone() || !company.cluster().meta().may_decree({})) return;
  const std::vector<NodeId>& dead = company.cluster().state().dead();
  if (dead == dead_) return;
  for (const NodeId node : dead) {
    if (std::find(dead_.begin(), dead_.end(), node) != dead_.end()) continue;
    ++died_;
    if (!was_silent(node)) oracle_.fail(node_name(node) + " is dead, and everybody has heard it within node-dead-after");
  }
  dead_ = dead;
}

// To somebody who may have decided that it is dead: it need not be the one who leads the members by now, and it may have heard it since.
bool ClusterWorld::was_silent(uint64_t node_id) const {
  constexpr int64_t kDecidedUs = 10'000'000;
  for (uint32_t other = 0; other < size(); ++other) {
    if (machines_[other]->node_id != node_id) continue;
    for (const auto& machine : machines_) {
      if (machine->heard.size() <= other || machine->node_id == node_id) continue;
      const Machine::Heard& heard = machine->heard[other];
      const bool is_silent = machine->node != nullptr && now_us_ - heard.at_us >= silence_us_least();
      if (is_silent || now_us_ - heard.was_silent_us < kDecidedUs) return true;
    }
    return false;
  }
  return true;   // one that was replaced
}

// What has been told of losses is told for ever.
void ClusterWorld::check_losses(uint32_t number) {
  const Losses& losses = company_of(*machines_[number]->node).losses();
  for (const Loss& told : machines_[number]->told_losses) {
    bool is_told = losses.of(told.kind).size() == Losses::kKeptMax;
    losses.each([&](const Loss& loss) { is_told = is_told || loss.tells_as(told); });
    if (!is_told) {
      return oracle_.fail("n" + std::to_string(number + 1) + " has forgotten a loss of partition " + std::to_string(told.partition) +
                          " in term " + std::to_string(told.term));
    }
  }
}

void ClusterWorld::look_at_cluster(uint32_t number, const ClusterNode& cluster) {
  const raft::Core* const members = cluster.groups().find(meta_group(swarm_.partitions));
  if (members != nullptr && cluster.state().is_founded()) oracle_.look_at_cluster(number, cluster.state().cluster(), members->commit_index());
}

void ClusterWorld::check_invariants(uint32_t number) {
  Machine& machine = *machines_[number];
  Company& company = company_of(*machine.node);
  if (!company.is_started() || company.is_alone()) return;
  look_at_cluster(number, company.cluster());
  const ClusterState& members = company.cluster().state();
  if (members.is_founded() && members.hash_seed() != machine.node->node().store().hash_seed())
    oracle_.fail("n" + std::to_string(number + 1) + " has its keys in another order than its cluster: a SCAN that goes on there may miss some");
  const int64_t steady_us = clock(machine).steady_us;
  company.cluster().groups().for_each([&](raft::GroupId group, const raft::Core& core) {
    const bool is_elected = look_at(machine, number, first_replica_of(company, core), core);
    check_copies(number, core);
    // Others may have changed since.
    if (is_elected || machine.looked[group.value].lease_until_us > steady_us) check_rivals(number, group, core);
  });
  note_known(number);
  const StateCheck::Counts& checks = company.cluster().partitions().check().counts();
  if (checks.differing + checks.undecided != 0 && !swarm_.copies_may_differ)
    oracle_.fail("I6: n" + std::to_string(number + 1) + " has compared the copies of a partition, and they are not equal");
  for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
    const raft::Core* const core = company.cluster().partitions().core(partition);
    if (core == nullptr || !company.serves(partition)) continue;
    served_us_[partition] = now_us_;
    if (machine.looked[core->options().group.value].is_starting) {
      oracle_.fail("I7: n" + std::to_string(number + 1) + " serves partition " +
                   std::to_string(partition) + " before the term's first entry is committed");
    }
    raft::Index index = raft::next(company.cluster().partitions().state_index(partition));
    // What the core itself puts into the log changes no data.
    while (core->log().has(index) && core->log().at(index).kind != raft::EntryKind::kCommand) index = raft::next(index);
    if (index <= core->last_index()) {
      oracle_.fail("n" + std::to_string(number + 1) + " serves partition " +
                   std::to_string(partition) + " before it has applied its log");
    }
  }
}

// What can be said of the replica alone and of all that was seen before.  Nothing new can, as long as neither has changed: what others show
// since is compared with what was seen here.  True: it is a new leader.
bool ClusterWorld::look_at(Machine& machine, uint32_t number, uint64_t first, const raft::Core& core) {
  const uint64_t group = core.options().group.value;
  if (machine.looked.size() <= group) machine.looked.resize(size_t{swarm_.partitions} + 2);
  Looked& looked = machine.looked[group];
  const bool is_same = looked.life == machine.life && looked.changes == core.changes() && looked.first == first;
  if (is_same && looked.generation == generation()) return false;
  const bool is_elected = oracle_.look_at(number, machine.life, core, first) == ClusterOracle::Seen::kNewLeader;
  // What the members have decided is no client's data, and CONFIG SET waits for the partitions only.
  if (looks_at_kept_ && group <= swarm_.partitions) kept_.note(core);
  if (core.failed()) oracle_.fail("a replica of group " + std::to_string(group) + " has stopped by a contradiction");
  looked = {.life = machine.life,
            .changes = core.changes(),
            .first = first,
            .generation = generation(),
            .lease_until_us = core.lease_until_us(),
            .is_starting = core.is_starting()};
  return is_elected;
}

uint64_t& ClusterWorld::copies_seen(uint32_t number, uint32_t partition, uint32_t count) {
  const size_t place = (size_t{number} * swarm_.partitions + partition) * (LevelStreams::kOfZones + 1) + count;
  if (copies_seen_.size() <= place) copies_seen_.resize(size_t{size()} * swarm_.partitions * (LevelStreams::kOfZones + 1), 0);
  return copies_seen_[place];
}

// I13.  Nobody is elected either while another one holds the lease: it could commit before that ends.
void ClusterWorld::check_rivals(uint32_t number, raft::GroupId group, const raft::Core& core) {
  for (uint32_t other = 0; other < size(); ++other) {
    Machine& rival = *machines_[other];
    if (other == number || rival.node == nullptr || !company_of(*rival.node).is_started()) continue;
    const raft::Core* const its = company_of(*rival.node).cluster().groups().find(group);
    if (its == nullptr || its->lease_until_us() <= clock(rival).steady_us) continue;
    // Its votes came late, others lead in a higher term already: it will get no lease.
    if (core.lease_until_us() <= clock(*machines_[number]).steady_us && core.term() < its->term()) continue;
    oracle_.fail("I13: n" + std::to_string(number + 1) + " leads group " +
                 std::to_string(group.value) + " while n" + std::to_string(other + 1) +
                 " holds its lease");
  }
}

// I7: when replies are let go because so many copies hold something, they do.  Not while somebody may have stored it, said so and lost
// it since.
void ClusterWorld::check_copies(uint32_t number, const raft::Core& core) {
  constexpr int64_t kQuietUs = 2'000'000;
  constexpr uint32_t kCountMax = 5;
  if (core.role() != raft::RoleName::kLeader) return;
  const auto partition = static_cast<uint32_t>(core.options().group.value - 1);
  if (partition >= swarm_.partitions) return;
  const Company& company = company_of(*machines_[number]->node);
  for (uint32_t count = 1; count <= kCountMax; ++count) {
    const uint64_t told = company.copies_told(partition, count);
    if (told == 0) continue;
    uint64_t& seen = copies_seen(number, partition, count);
    if (std::exchange(seen, told) == told || now_us_ < last_crash_us_ + kQuietUs) continue;
    const auto holders = holders_of(number, partition, told, core.term());
    if (!holders) return;
    if (holders->size() >= count) continue;
    oracle_.fail("I7: n" + std::to_string(number + 1) + " says that " + std::to_string(count) + " copies of partition " +
                 std::to_string(partition) + " hold " + std::to_string(told) + ", and " + std::to_string(holders->size()) + " do");
  }
  const uint64_t told = company.copies_told(partition, LevelStreams::kOfZones);
  uint64_t& seen = copies_seen(number, partition, LevelStreams::kOfZones);
  if (std::exchange(seen, told) == told || told == 0 || now_us_ < last_crash_us_ + kQuietUs) return;
  const auto holders = holders_of(number, partition, told, core.term());
  if (!holders) return;
  std::set<uint32_t> zones;
  for (const uint32_t holder : *holders) zones.insert(zone_of(holder));
  if (zones.size() >= swarm_.min_zones) return;
  oracle_.fail("I7: n" + std::to_string(number + 1) + " says that copies in " + std::to_string(swarm_.min_zones) + " zones hold " +
               std::to_string(told) + " of partition " + std::to_string(partition) + ", and " + std::to_string(zones.size()) + " do");
}

// Machines that hold this index of the partition's log, or held it as far as its leader can know.  Nothing: somebody has a later term
// already.
std::optional<std::vector<uint32_t>> ClusterWorld::holders_of(uint32_t leader, uint32_t partition, uint64_t index,
                                                              raft::Term term) const {
  std::vector<uint32_t> holders;
  const raft::Configuration& configuration = company_of(*machines_[leader]->node).cluster().partitions().core(partition)->configuration();
  for (uint32_t other = 0; other < size(); ++other) {
    Machine& machine = *machines_[other];
    const bool is_down = machine.node == nullptr || !company_of(*machine.node).is_started();
    const bool was_another = std::any_of(machine.former_ids.begin(), machine.former_ids.end(),
                                         [&](uint64_t id) { return configuration.find_on({id}).has_value(); });
    // The process before, or the node, may have stored it and said so, which comes late if the way was cut.
    if (is_down || was_another || is_unknown_to(leader, other)) {
      holders.push_back(other);
      continue;
    }
    const raft::Core* const its = company_of(*machine.node).cluster().partitions().core(partition);
    if (its == nullptr) continue;
    if (its->term() > term) return std::nullopt;
    const bool has_snapshot = its->log().base().index.value >= index;
    if (has_snapshot || its->stored_index().value >= index) holders.push_back(other);
  }
  return holders;
}

// Before its last turn the machine had not heard of the process that runs on the other one.
bool ClusterWorld::is_unknown_to(uint32_t number, uint32_t other) const {
  const Machine& machine = *machines_[number];
  return number != other && (machine.known_lives.size() <= other || machine.known_lives[other] != machines_[other]->life);
}

void ClusterWorld::note_known(uint32_t number) {
  Machine& machine = *machines_[number];
  machine.known_lives.resize(size());
  const Peers& peers = company_of(*machine.node).cluster().peers();
  for (uint32_t other = 0; other < size(); ++other) {
    SimNode* const node = machines_[other]->node.get();
    if (node == nullptr || other == number || machine.known_lives[other] == machines_[other]->life) continue;
    const auto& identity = node->node().state().identity;
    if (peers.incarnation_of(identity.id) == identity.incarnation) machine.known_lives[other] = machines_[other]->life;
  }
}

void ClusterWorld::compare_copies() {
  next_comparison_us_ = now_us_ + kComparisonUs;
  // The nodes are to find it out themselves.
  if (options_.mistakes.applies_differently || swarm_.copies_may_differ) return;
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    // Within a turn something may be executed and not proposed yet.
    if (machine.node == nullptr || machine.has_turn) continue;
    Company& company = company_of(*machine.node);
    if (!company.is_started() || company.is_alone()) continue;
    if (!oracle_.counts(company.cluster().state().cluster())) continue;
    const std::vector<uint64_t> digests = partition_digests(machine.node->node().store());
    Partitions& partitions = company.cluster().partitions();
    for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
      const raft::Core* const core = partitions.core(partition);
      if (core == nullptr || partitions.is_astray(partition)) continue;
      const uint64_t digest = digests[partition] + company.rows_digest(partition);
      oracle_.compare(number, *core, first_replica_of(company, *core), partitions.state_index(partition), digest);
    }
  }
}

// ---- the end

std::string ClusterWorld::describe_partition(uint32_t partition) {
  std::string text;
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    if (machine.node == nullptr) continue;
    Partitions& partitions = company_of(*machine.node).cluster().partitions();
    const raft::Core* const core = partitions.core(partition);
    if (core == nullptr) continue;
    const raft::RoleState role = core->role_state();
    char line[200];
    std::snprintf(line, sizeof(line),
                  "\n  n%" PRIu32 ": %s%s%s term %" PRIu64 " log %" PRIu64 " committed %" PRIu64
                  " applied %" PRIu64 "%s ",
                  number + 1, core->standing() == raft::Standing::kRecovering ? "recovering " : "",
                  role.role == raft::RoleName::kLeader     ? "leader"
                  : role.role == raft::RoleName::kFollower ? "follower"
                                                           : "candidate",
                  role.serving == raft::Serving::kYes ? " serving" : "", core->term().value,
                  core->last_index().value, core->commit_index().value,
                  partitions.state_index(partition).value,
                  partitions.is_astray(partition) ? " astray" : "");
    text += line + raft::describe(core->configuration());
    for (const raft::Progress& each : core->progress()) {
      static constexpr const char* kStates[] = {"probe", "replicate", "snapshot"};
      text += ", " + std::to_string(each.member().replica.value) + " at " + std::to_string(each.match().value) + " (" +
              kStates[static_cast<size_t>(each.state())] + (each.is_silent ? ", silent)" : ")");
    }
  }
  return text;
}

std::string ClusterWorld::describe_unsettled() {
  if (!operator_.is_idle()) return "an operator's wish is not fulfilled";
  if (!modes_.is_idle()) return "a change of the mode is not answered";
  if (!arranger_.is_idle()) return "the settings are not as they were drawn";
  for (uint32_t number = 0; number < size(); ++number) {
    Machine& machine = *machines_[number];
    const std::string name = "n" + std::to_string(number + 1);
    if (machine.node == nullptr) return name + " is down";
    Company& company = company_of(*machine.node);
    if (size() == 1) return "";
    if (company.is_alone()) return name + " is alone";
    const std::vector<MemberRecord>& known = company.cluster().state().members();
    const auto members = static_cast<size_t>(
        std::count_if(known.begin(), known.end(), [](const MemberRecord& member) {
          return member.state == MemberState::kActive;
        }));
    if (members != size()) return name + " knows " + std::to_string(members) + " members";
    if (!company.cluster().state().dead().empty()) return name + " takes a member for dead";
  }
  const size_t copies = std::min(size(), swarm_.replication);
  for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
    const std::string name = "partition " + std::to_string(partition) + ": ";
    uint32_t leaders = 0;
    size_t found = 0;
    std::optional<raft::Index> last;
    for (uint32_t number = 0; number < size(); ++number) {
      Company& company = company_of(*machines_[number]->node);
      leaders += company.serves(partition) ? 1 : 0;
      const raft::Core* const core = company.cluster().partitions().core(partition);
      if (core == nullptr) continue;
      ++found;
      const raft::Configuration& configuration = core->committed_configuration().configuration;
      if (configuration.joint())
        return name + "joint configuration" + describe_partition(partition);
      if (configuration.members().size() != copies)
        return name + "not where it should be" + describe_partition(partition);
      if (!last) last = core->last_index();
      if (core->last_index() != *last || core->commit_index() != *last ||
          company.cluster().partitions().state_index(partition) != *last) {
        return name + "copies at different places" + describe_partition(partition);
      }
    }
    if (leaders != 1)
      return name + std::to_string(leaders) + " leaders" + describe_partition(partition);
    if (found != copies)
      return name + std::to_string(found) + " copies" + describe_partition(partition);
  }
  return "";
}

}  // namespace quorate::sim

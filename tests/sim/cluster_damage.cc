// Disks of the world `cluster` that give back something else than was synced: where, and what must come of it.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "node/company.h"
#include "node/state.h"
#include "persist/log_reader.h"
#include "persist/recovery.h"
#include "persist/snapshot.h"
#include "tests/sim/cluster_world.h"

namespace quorate::sim {

namespace {

constexpr uint32_t kShard = 0;
// A node that does not come back by itself is asked again.
constexpr int64_t kAgainUs = 500'000;
// A disk that has lied is looked at so often, and so long, until nobody needs what it has not kept.
constexpr int64_t kLookUs = 500;
constexpr int64_t kPatienceUs = 300'000;

struct Place {
  std::string file;
  uint64_t offset = 0;
};

struct Files {
  std::vector<uint64_t> segments;   // ascending
  uint64_t snapshot = 0;            // the newest; 0: none
};

Files files_of(SimDisk& disk) {
  Files files;
  const std::vector<std::string> names = disk.list().value();
  for (const std::string& file : names) {
    const auto name = parse_name(file);
    if (!name || name->shard != kShard) continue;
    if (name->kind == ParsedName::Kind::kSegment) files.segments.push_back(name->sequence);
    if (name->kind == ParsedName::Kind::kSnapshot) files.snapshot = std::max(files.snapshot, name->sequence);
  }
  std::sort(files.segments.begin(), files.segments.end());
  return files;
}

// Bytes of records that a start reads and that a later one says to be synced: of the last segment, or of one before it.
std::optional<Place> place_in_log(SimDisk& disk, const Files& files, Prng& prng) {
  struct Record {
    uint64_t sequence = 0;
    uint64_t begin = 0;
    uint64_t end = 0;
  };
  if (files.segments.empty()) return std::nullopt;
  const bool is_older = files.segments.size() > 1 && prng.chance(0.3);
  const uint64_t segment = files.segments[files.segments.size() - (is_older ? 2 : 1)];
  // What the snapshot stands for is not read any more.
  if (is_older && files.segments.back() <= files.snapshot) return std::nullopt;
  const std::string file = segment_name(kShard, segment);
  SegmentReader reader(disk, file);
  const auto opened = reader.open();
  if (!opened.ok() || !opened.value()) return std::nullopt;
  std::vector<Record> records;
  RecordHeader header;
  std::vector<LogEntry> entries;
  uint64_t synced = 0;
  while (true) {
    const uint64_t begin = reader.offset();
    const auto outcome = reader.next(header, entries);
    if (!outcome.ok() || outcome.value() != SegmentReader::Outcome::kRecord) break;
    records.push_back({.sequence = header.sequence, .begin = begin, .end = reader.offset()});
    synced = is_older ? header.sequence : std::max(synced, header.synced);
  }
  std::erase_if(records, [&](const Record& each) { return each.sequence > synced; });
  if (records.empty()) return std::nullopt;
  const Record& record = records[prng.below(records.size())];
  return Place{.file = file, .offset = record.begin + prng.below(record.end - record.begin)};
}

// Behind the byte that says of which version it is.
std::optional<Place> place_in_snapshot(SimDisk& disk, const Files& files, Prng& prng) {
  constexpr uint64_t kBegin = 9;
  if (files.snapshot == 0) return std::nullopt;
  std::string file = snapshot_name(kShard, files.snapshot);
  const uint64_t size = disk.size(file).value();
  if (size <= kBegin) return std::nullopt;
  return Place{.file = std::move(file), .offset = kBegin + prng.below(size - kBegin)};
}

}  // namespace

// Requires: may_lose_disk(number).
void ClusterWorld::damage(uint32_t number, int64_t down_us) {
  Machine& machine = *machines_[number];
  machine.down_us = down_us;
  machine.power_fails = prng_.chance(0.3);
  bury(number);
  const Files files = files_of(machine.disk);
  const bool is_of_snapshot = files.snapshot != 0 && prng_.chance(0.3);
  const auto place = is_of_snapshot ? place_in_snapshot(machine.disk, files, prng_) : place_in_log(machine.disk, files, prng_);
  if (!place) return;
  ++damaged_;
  log(number, "has a bit of " + place->file + " flipped, at " + std::to_string(place->offset));
  machine.disk.flip_bit(place->file, place->offset, static_cast<int>(prng_.below(8)));
  forget_what_it_kept(number, is_of_snapshot ? Machine::Damage::kOfSnapshot : Machine::Damage::kOfLog);
}

// It may have forgotten all that it held, for good; but who is somebody else then need not know of losses either.
void ClusterWorld::forget_what_it_kept(uint32_t number, Machine::Damage damage) {
  Machine& machine = *machines_[number];
  machine.damage = damage;
  kept_.forgive(machine.node_id, raft::Durability::kSynced);
  machine.told_losses.clear();
}

// Requires: may_lose_disk(number).
void ClusterWorld::lie_about_syncs(uint32_t number, int64_t length_us) {
  Machine& machine = *machines_[number];
  if (machine.sync_fails || machine.disk.is_lying()) return;
  log(number, "has a disk that lies about syncs");
  machine.disk.begin_to_lie();
  const int64_t end_us = now_us_ + length_us;
  push({.at = end_us, .kind = EventKind::kLiesEnd, .machine = number, .number = static_cast<uint64_t>(end_us + kPatienceUs)});
}

// No node can know what its disk has forgotten, so an entry that one copy lacks and a vote that it would give once more have to be needed by
// nobody: every other voter holds what this one does, and follows the leader of this one's term.
bool ClusterWorld::others_have_all_of(uint32_t number) const {
  bool is_everywhere = true;
  company_of(*machines_[number]->node).cluster().groups().for_each([&](raft::GroupId group, const raft::Core& core) {
    const raft::Configuration& configuration = core.configuration();
    // It has not heard yet who they are.
    if (configuration.incoming.voters.empty()) return void(is_everywhere = false);
    uint32_t leaders = 0;
    for (const raft::Member& voter : configuration.voters()) {
      const Machine* const machine = machine_of(voter.node.value);
      if (machine == nullptr || machine->node == nullptr) return void(is_everywhere = false);
      const raft::Core* other = company_of(*machine->node).cluster().groups().find(group);
      const bool has_all = other != nullptr && other->options().self.replica == voter.replica && other->epoch() == core.epoch() &&
                           other->term() == core.term() && (other == &core || other->stored_index() >= core.last_index());
      if (!has_all) return void(is_everywhere = false);
      if (other->role() == raft::RoleName::kLeader) ++leaders;
      if (other->role() == raft::RoleName::kCandidate) is_everywhere = false;
    }
    // Less than what an entry is on before it is acknowledged.
    const bool can_do_without = configuration.incoming.quorums().commit < configuration.incoming.voters.size();
    is_everywhere = is_everywhere && leaders == 1 && !configuration.joint() && can_do_without;
  });
  return is_everywhere;
}

void ClusterWorld::lose_lies(uint32_t number, int64_t until_us) {
  Machine& machine = *machines_[number];
  if (!machine.disk.is_lying()) return;
  const bool may_go_on = machine.node != nullptr && !machine.sync_fails && now_us_ < until_us;
  if (!may_go_on) return machine.disk.own_up();
  if (!may_lose_disk(number) || !company_joined(number) || !others_have_all_of(number)) {
    return push({.at = now_us_ + kLookUs, .kind = EventKind::kLiesEnd, .machine = number, .number = static_cast<uint64_t>(until_us)});
  }
  ++lost_syncs_;
  log(number, "loses what its disk said to be synced");
  machine.power_fails = true;
  machine.down_us = length_of(ClusterFault::kLostSync);
  machine.damage = Machine::Damage::kOfSyncs;
  oracle_.excuse(number);
  bury(number);
  forget_what_it_kept(number, Machine::Damage::kOfSyncs);
}

// False: nothing is to be started now.
bool ClusterWorld::judge_damaged_start(uint32_t number, uint64_t former, const Status& recovered) {
  Machine& machine = *machines_[number];
  if (recovered.ok()) {
    const bool is_another = machine.node->node().state().identity.id != former;
    // Where nothing of the log is gone yet it stands in for a snapshot; and what was never written nobody can miss.
    const bool may_stay = machine.damage != Machine::Damage::kOfLog;
    machine.damage = Machine::Damage::kNone;
    if (is_another) ++retired_;
    if (!is_another && !may_stay) oracle_.fail("n" + std::to_string(number + 1) + " goes on with a damaged log");
    return true;
  }
  does_not_start(number, recovered.error().detail());
  return false;
}

void ClusterWorld::does_not_start(uint32_t number, std::string_view why) {
  Machine& machine = *machines_[number];
  log(number, "does not start: " + std::string(why));
  machine.node.reset();
  // What can be read does not say that the others can do without it, but an operator knows that.
  if (!operator_.is_idle()) {
    push_start(number, now_us_ + kAgainUs);
    return;
  }
  ++disks_lost_;
  machine.down_us = INT64_MAX / 4;
  machine.disk = SimDisk(node_prng_.next());
  machine.damage = Machine::Damage::kNone;
  machine.is_lost = true;
  operator_.begin(number, ClusterOperator::Wish::kReplaceLost);
}

}  // namespace quorate::sim

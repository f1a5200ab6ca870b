// The world: a writer, a snapshot, two lanes of a disk, and an oracle that remembers every record.
#include "tests/sim/persist_sim.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "persist/disk.h"
#include "persist/log_reader.h"
#include "persist/log_writer.h"
#include "persist/recovery.h"
#include "persist/snapshot.h"
#include "tests/sim/sim_disk.h"
#include "util/hash.h"
#include "util/prng.h"
#include "util/varint.h"

namespace quorate::sim {

const char* planted_name(Planted planted) {
  switch (planted) {
    case Planted::kNothing:
      return "nothing";
    case Planted::kReplyBeforeSync:
      return "reply before sync";
    case Planted::kNoDirectorySync:
      return "no directory sync";
    case Planted::kNoSnapshotSync:
      return "no sync of the snapshot";
    case Planted::kLogRemovedTooEarly:
      return "log removed too early";
    case Planted::kWriteBehindFailure:
      return "write behind a failure";
    case Planted::kDamageIsCut:
      return "damage is cut like a tail";
    case Planted::kHeldIsNamed:
      return "a held snapshot gets its name";
    case Planted::kReplyBeforeExpiry:
      return "reply before the expiry is durable";
    case Planted::kCacheIsTrusted:
      return "what a failed sync has left is not written again";
  }
  return "";
}

bool persist_sim_knows(Planted planted) { return planted != Planted::kReplyBeforeExpiry; }

namespace {

using State = std::map<uint64_t, uint64_t>;
using Writes = std::vector<std::pair<uint64_t, uint64_t>>;
constexpr uint32_t kPartitions = 8;
constexpr int64_t kTime = 1700000000000;
// Stands in snapshots that are never allowed to count.
constexpr uint64_t kForbiddenKey = 1'000'000;
// In front of a snapshot's groups, which are never empty.
constexpr char kGroupsMark = 'G';

void apply_writes(State& state, const Writes& writes) {
  for (const auto& [key, value] : writes) state[key] = value;
}

bool decode_writes(std::string_view bytes, Writes& writes) {
  while (!bytes.empty()) {
    uint64_t key = 0;
    uint64_t value = 0;
    std::string_view padding;
    if (!take_varint(bytes, key) || !take_varint(bytes, value) || !take_sized(bytes, padding))
      return false;
    writes.emplace_back(key, value);
  }
  return true;
}

// Builds the state again from what recovery hands over.
class Target final : public RecoveryTarget {
 public:
  void forget() override {
    state.clear();
    has_company = false;
  }
  Status snapshot_begin(const SnapshotHeader&) override { return done(); }
  Status snapshot_groups(std::string_view groups) override {
    has_company = true;
    if (groups.empty() || groups[0] != kGroupsMark) return garbage();
    return take(groups.substr(1));
  }
  Status snapshot_block(std::string_view payload) override { return take(payload); }
  Status record(const RecordHeader& header, std::span<const LogEntry> entries) override {
    if (has_company) return Error(ErrorCode::kCorrupt, "a turn stands behind groups");
    last_sequence = header.sequence;
    for (const LogEntry& entry : entries) TRY(take(entry.batch));
    return done();
  }
  Status group_record(const RecordHeader& header, std::string_view body) override {
    has_company = true;
    last_sequence = header.sequence;
    return take(body);
  }
  State state;
  bool has_company = false;
  uint64_t last_sequence = 0;

 private:
  static Error garbage() { return Error(ErrorCode::kCorrupt, "garbage was handed over"); }
  Status take(std::string_view bytes) {
    Writes writes;
    if (!decode_writes(bytes, writes)) return garbage();
    apply_writes(state, writes);
    return done();
  }
};

// Passes a number of changes on and then refuses: recovery that is itself interrupted.
class InterruptedDisk final : public Disk {
 public:
  InterruptedDisk(Disk& disk, uint64_t changes) : disk_(disk), left_(changes) {}
  Result<std::vector<std::string>> list() override { return disk_.list(); }
  Result<uint64_t> size(std::string_view file) override { return disk_.size(file); }
  Status read(std::string_view file, uint64_t offset, size_t count, Buffer& out) override {
    return disk_.read(file, offset, count, out);
  }
  Status create(std::string_view file) override {
    return gate([&] { return disk_.create(file); });
  }
  Status append(std::string_view file, std::string_view bytes) override {
    return gate([&] { return disk_.append(file, bytes); });
  }
  Status rewrite(std::string_view file, uint64_t offset, std::string_view bytes) override {
    return gate([&] { return disk_.rewrite(file, offset, bytes); });
  }
  Status truncate(std::string_view file, uint64_t size) override {
    return gate([&] { return disk_.truncate(file, size); });
  }
  Status sync(std::string_view file) override {
    return gate([&] { return disk_.sync(file); });
  }
  Status rename(std::string_view from, std::string_view to) override {
    return gate([&] { return disk_.rename(from, to); });
  }
  Status remove(std::string_view file) override {
    return gate([&] { return disk_.remove(file); });
  }
  Status sync_directory() override {
    return gate([&] { return disk_.sync_directory(); });
  }

 private:
  template <class Action>
  Status gate(Action&& action) {
    if (left_ == 0) return Error(ErrorCode::kIo, "interrupted");
    --left_;
    return action();
  }
  Disk& disk_;
  uint64_t left_;
};

class World {
 public:
  explicit World(const PersistSimOptions& options)
      : options_(options), prng_(options.seed), disk_(prng_.next()) {
    disk_.set_lying_directory_sync(options.planted == Planted::kNoDirectorySync);
    disk_.set_lying_rewrite(options.planted == Planted::kCacheIsTrusted);
    segment_limit_ = 512 + prng_.below(1 << 16);
    big_chance_ = prng_.fraction() * 0.1;
    disk_eagerness_ = 0.2 + prng_.fraction() * 0.6;
    crash_chance_ = 0.002 + prng_.fraction() * 0.02;
    full_chance_ = prng_.chance(0.5) ? 0.005 : 0;
    key_count_ = 1 + prng_.below(64);
    founding_chance_ = prng_.chance(0.6) ? prng_.fraction() * 0.1 : 0;
  }
  SimResult run();

 private:
  enum class Death : uint8_t { kKilled, kPowerCut };
  // What becomes of a snapshot: nobody holds it; it waits and may count then; it waits and never
  // may, since what it holds was lost.
  enum class Fate : uint8_t { kFree, kPublished, kGivenUp };

  void step();
  void append();
  void take_disk_step();
  void carry_out(DiskLane lane);
  void reply(DiskReply&& reply, DiskLane lane);
  void begin_snapshot();
  void continue_snapshot();
  void write_snapshot(std::vector<DiskRequest>& requests);
  void decide_snapshot(std::vector<DiskRequest>& requests);
  void end_snapshot(std::vector<DiskRequest>& requests);
  void add_to_snapshot(uint64_t key, uint64_t value, std::vector<DiskRequest>& requests);
  void add_part_to_snapshot(std::vector<DiskRequest>& requests);
  void fill_disk();
  void heal_disk();
  void die(Death death);
  void log_request(const DiskRequest& request, const DiskReply& answer) const;
  void log_death(Death death);
  void restart(Death death);
  struct Place {
    std::string file;
    uint64_t offset;
  };
  std::optional<Place> proven_place();
  void damage(const RecoveryOptions& recovery);
  std::optional<Place> damage_snapshot();
  void check(const Target& target, const RecoveryResult& result, Death death);
  void send(std::vector<DiskRequest>& requests);
  void wrong(std::string message) {
    if (!result_.good) return;
    result_.good = false;
    result_.message = std::move(message);
  }
  uint64_t promised() const {
    return options_.planted == Planted::kReplyBeforeSync ? writer_->appended() : writer_->synced();
  }

  const PersistSimOptions options_;
  Prng prng_;
  SimDisk disk_;
  SimResult result_;

  // Drawn from the seed.
  uint64_t segment_limit_ = 0;
  double big_chance_ = 0;
  double disk_eagerness_ = 0;
  double crash_chance_ = 0;
  double full_chance_ = 0;
  uint64_t key_count_ = 1;
  double founding_chance_ = 0;

  // One life of the process.
  std::optional<LogWriter> writer_;
  std::optional<SnapshotWriter> snapshot_;
  bool snapshot_runs_ = false;
  Fate snapshot_fate_ = Fate::kFree;
  State snapshot_left_;
  size_t part_bytes_left_ = 0;  // of an entry that is given in parts
  bool has_company_ = false;
  std::array<std::deque<DiskRequest>, kDiskLaneCount> lanes_;
  std::array<std::optional<DiskExecutor>, kDiskLaneCount> executors_;
  bool disk_was_full_ = false;
  bool stopped_ = false;

  // The oracle: the state after record base_sequence_, and each record since.
  State state_;
  State base_state_;
  uint64_t base_sequence_ = 0;
  std::deque<Writes> history_;
  uint64_t next_value_ = 1;
};

void World::send(std::vector<DiskRequest>& requests) {
  for (DiskRequest& request : requests) {
    if (options_.planted == Planted::kNoSnapshotSync && request.lane == DiskLane::kBulk &&
        request.op == DiskRequest::Op::kSync) {
      // An empty append takes the sync's place: answered, and nothing is durable.
      request.op = DiskRequest::Op::kAppend;
    }
    lanes_[static_cast<size_t>(request.lane)].push_back(std::move(request));
  }
  requests.clear();
}

void World::append() {
  if (writer_->has_failed()) return;
  const size_t entry_count = 1 + static_cast<size_t>(prng_.below(3));
  std::vector<Buffer> batches(entry_count);
  std::vector<LogEntry> entries;
  Writes writes;
  for (Buffer& batch : batches) {
    const uint64_t key = prng_.below(key_count_);
    const uint64_t value = next_value_++;
    const size_t padding = prng_.chance(big_chance_) ? static_cast<size_t>(prng_.below(200000))
                                                     : static_cast<size_t>(prng_.below(100));
    append_varint(batch, key);
    append_varint(batch, value);
    append_varint(batch, padding);
    batch.append(std::string(padding, static_cast<char>(prng_.below(2) ? 0 : 'x')));
    writes.emplace_back(key, value);
    const bool mixed = prng_.chance(0.5);
    entries.push_back(
        {.partition = mixed ? kMixedPartition : static_cast<uint32_t>(key % kPartitions),
         .term = 1,
         .index = value,
         .batch = batch.view()});
  }
  std::vector<DiskRequest> requests;
  if (!has_company_ && prng_.chance(founding_chance_)) {
    has_company_ = true;
    ++result_.foundings;
  }
  if (has_company_) {
    Buffer body;
    for (const Buffer& batch : batches) body.append(batch.view());
    writer_->append_groups(body.view(), kTime, requests);
  } else {
    writer_->append(entries, kTime, requests);
  }
  ++result_.records;
  apply_writes(state_, writes);
  history_.push_back(std::move(writes));
  if (writer_->segment_size() > segment_limit_) writer_->start_segment(requests);
  send(requests);
}

// In company one half of the keys stands with the groups.
void World::begin_snapshot() {
  if (snapshot_runs_ || writer_->has_failed()) return;
  std::vector<DiskRequest> requests;
  writer_->start_segment(requests);
  const LogPosition& position = writer_->position();
  snapshot_runs_ = true;
  snapshot_left_ = state_;
  snapshot_fate_ = Fate::kFree;
  part_bytes_left_ = 0;
  Buffer groups;
  if (has_company_) {
    if (prng_.chance(0.7)) snapshot_fate_ = prng_.chance(0.4) ? Fate::kGivenUp : Fate::kPublished;
    groups.push_back(kGroupsMark);
    std::erase_if(snapshot_left_, [&](const auto& each) {
      if (each.first % 2 == 0) return false;
      append_varint(groups, each.first);
      append_varint(groups, each.second);
      append_varint(groups, 0);
      return true;
    });
  }
  snapshot_->begin({.shard = 0,
                    .partitions = kPartitions,
                    .log_id = position.log_id,
                    .sequence = position.next_sequence,
                    .chain = position.chain,
                    .unix_ms = kTime,
                    .hash_seed = 7,
                    .positions = {{.partition = 1, .term = 1, .index = 9}}},
                   groups.view(), requests);
  const bool is_held = snapshot_fate_ != Fate::kFree;
  if (is_held && options_.planted != Planted::kHeldIsNamed) snapshot_->hold();
  if (snapshot_fate_ == Fate::kGivenUp) add_to_snapshot(kForbiddenKey, 1, requests);
  if (options_.planted == Planted::kLogRemovedTooEarly) {
    writer_->drop_before(position.next_sequence, requests);
  }
  send(requests);
}

void World::add_to_snapshot(uint64_t key, uint64_t value, std::vector<DiskRequest>& requests) {
  const bool stands_between = part_bytes_left_ > 0;
  Buffer& out = stands_between ? snapshot_->between() : snapshot_->block();
  append_varint(out, key);
  append_varint(out, value);
  const bool is_big = prng_.chance(big_chance_);
  const size_t padding = is_big ? 200000 : 10;
  append_varint(out, padding);
  if (is_big && !stands_between) {
    part_bytes_left_ = padding;
    return;
  }
  out.append(std::string(padding, 's'));
  if (stands_between) {
    snapshot_->end_between(requests);
  } else {
    snapshot_->end_entry(requests);
  }
}

void World::add_part_to_snapshot(std::vector<DiskRequest>& requests) {
  const size_t count = std::min(part_bytes_left_, static_cast<size_t>(1 + prng_.below(100000)));
  snapshot_->block().append(std::string(count, 's'));
  part_bytes_left_ -= count;
  if (part_bytes_left_ > 0) {
    snapshot_->end_part(requests);
  } else {
    snapshot_->end_entry(requests);
  }
}

void World::write_snapshot(std::vector<DiskRequest>& requests) {
  for (uint64_t count = 1 + prng_.below(20); count > 0; --count) {
    if (part_bytes_left_ > 0 && (snapshot_left_.empty() || prng_.chance(0.3))) {
      add_part_to_snapshot(requests);
      continue;
    }
    if (snapshot_left_.empty()) break;
    const auto first = snapshot_left_.begin();
    add_to_snapshot(first->first, first->second, requests);
    snapshot_left_.erase(first);
  }
  if (snapshot_left_.empty() && part_bytes_left_ == 0) snapshot_->finish(requests);
}

// At any time somebody may find that everything in the snapshot is committed, or is lost.
void World::decide_snapshot(std::vector<DiskRequest>& requests) {
  const bool is_written = snapshot_->state() == FileWriter::State::kWritten;
  if (!prng_.chance(is_written ? 0.3 : 0.05)) return;
  if (snapshot_fate_ == Fate::kPublished) snapshot_->publish(requests);
  if (snapshot_fate_ != Fate::kGivenUp) return;
  ++result_.snapshots_given_up;
  snapshot_->abort(requests);
  snapshot_runs_ = false;
}

void World::end_snapshot(std::vector<DiskRequest>& requests) {
  if (snapshot_->state() == FileWriter::State::kFailed) {
    snapshot_->abort(requests);
    snapshot_runs_ = false;
    return;
  }
  if (writer_->has_failed()) return;
  ++result_.snapshots;
  writer_->drop_before(snapshot_->header().sequence, requests);
  snapshot_runs_ = false;
}

void World::continue_snapshot() {
  if (!snapshot_runs_) return;
  std::vector<DiskRequest> requests;
  switch (snapshot_->state()) {
    case FileWriter::State::kWriting:
      write_snapshot(requests);
      decide_snapshot(requests);
      break;
    case FileWriter::State::kFinishing:
    case FileWriter::State::kWritten:
      decide_snapshot(requests);
      break;
    case FileWriter::State::kDone:
    case FileWriter::State::kFailed:
      end_snapshot(requests);
      break;
    case FileWriter::State::kIdle:
      CHECK(false);
  }
  send(requests);
}

void World::take_disk_step() {
  const size_t lane = static_cast<size_t>(prng_.below(kDiskLaneCount));
  if (lanes_[lane].empty()) return;
  carry_out(static_cast<DiskLane>(lane));
}

void World::carry_out(DiskLane lane) {
  const auto index = static_cast<size_t>(lane);
  DiskRequest request = std::move(lanes_[index].front());
  lanes_[index].pop_front();
  if (options_.planted == Planted::kWriteBehindFailure) executors_[index].emplace(disk_);
  DiskReply answer = executors_[index]->execute(request);
  if (options_.log) log_request(request, answer);
  reply(std::move(answer), lane);
}

void World::log_request(const DiskRequest& request, const DiskReply& answer) const {
  static constexpr const char* kNames[] = {"create", "append", "truncate",      "sync",
                                           "rename", "remove", "sync directory"};
  std::printf("disk: %s %s%s%s -> %s\n", kNames[static_cast<size_t>(request.op)],
              request.file.c_str(), request.to.empty() ? "" : " to ", request.to.c_str(),
              answer.status.ok() ? "done" : std::string(answer.status.error().detail()).c_str());
}

void World::log_death(Death death) {
  std::printf("%s, appended %llu, written %llu, synced %llu; left:\n",
              death == Death::kKilled ? "killed" : "power cut",
              static_cast<unsigned long long>(writer_->appended()),
              static_cast<unsigned long long>(writer_->written()),
              static_cast<unsigned long long>(writer_->synced()));
  const auto files = disk_.list();
  for (const std::string& file : files.value()) {
    std::printf("  %s %zu\n", file.c_str(), disk_.content(file).size());
  }
}

void World::reply(DiskReply&& reply, DiskLane lane) {
  std::vector<DiskRequest> requests;
  if (lane == DiskLane::kLog) {
    writer_->on_reply(std::move(reply), requests);
  } else {
    snapshot_->on_reply(std::move(reply), requests);
  }
  send(requests);
  if (writer_->must_stop()) stopped_ = true;
}

void World::fill_disk() {
  disk_.set_capacity(disk_.used() + prng_.below(2000));
  disk_was_full_ = true;
}

void World::heal_disk() {
  disk_.set_capacity(UINT64_MAX);
  disk_was_full_ = false;
  if (!writer_->has_failed() || writer_->must_stop()) return;
  while (!writer_->idle()) {
    CHECK(!lanes_[0].empty());
    carry_out(DiskLane::kLog);
  }
  if (writer_->must_stop()) return;
  std::vector<DiskRequest> requests;
  writer_->retry(requests);
  send(requests);
}

void World::check(const Target& target, const RecoveryResult& result, Death death) {
  const uint64_t recovered = result.position.next_sequence - 1;
  const uint64_t appended = base_sequence_ + history_.size();
  const std::string numbers = "recovered up to record " + std::to_string(recovered) +
                              ", promised " + std::to_string(promised()) + ", written " +
                              std::to_string(writer_->written()) + ", appended " +
                              std::to_string(appended);
  if (recovered < promised()) return wrong("an acknowledged record is lost: " + numbers);
  if (death == Death::kKilled && recovered < writer_->written()) {
    return wrong("a kill lost a written record: " + numbers);
  }
  if (recovered > appended) return wrong("a record appears that never was: " + numbers);
  if (recovered < base_sequence_) return wrong("an earlier recovery is undone: " + numbers);
  State expected = base_state_;
  for (uint64_t index = 0; index < recovered - base_sequence_; ++index)
    apply_writes(expected, history_[index]);
  if (target.state.contains(kForbiddenKey)) {
    return wrong("a snapshot counts that was never allowed to: " + numbers);
  }
  if (target.state != expected) return wrong("the state is not that of any moment: " + numbers);
  base_state_ = state_ = std::move(expected);
  base_sequence_ = recovered;
  history_.clear();
}

void World::die(Death death) {
  ++result_.crashes;
  // A write that was under way may have got as far as it likes.
  for (auto& lane : lanes_) {
    if (!lane.empty() && lane.front().op == DiskRequest::Op::kAppend && prng_.chance(0.5) &&
        !writer_->has_failed()) {
      const std::string_view bytes = lane.front().bytes.view();
      const Status ignored = disk_.append(
          lane.front().file, bytes.substr(0, static_cast<size_t>(prng_.below(bytes.size() + 1))));
      (void)ignored;
    }
    lane.clear();
  }
  disk_.heal();
  if (death == Death::kPowerCut) disk_.crash();
  // What a failed sync was to write may go at any moment; then it is as if the power had failed.
  if (disk_.has_lost() && prng_.chance(0.3)) {
    disk_.evict();
    death = Death::kPowerCut;
  }
  if (options_.log) log_death(death);
  restart(death);
}

// A place in the last segment that a later record proves to have been durable; nothing if there is
// none.
std::optional<World::Place> World::proven_place() {
  const auto files = disk_.list();
  std::string last;
  uint64_t snapshot = 0;
  for (const std::string& file : files.value()) {
    const auto name = parse_name(file);
    if (name && name->kind == ParsedName::Kind::kSegment) last = file;
    if (name && name->kind == ParsedName::Kind::kSnapshot) snapshot = name->sequence;
  }
  if (last.empty()) return std::nullopt;
  SegmentReader reader(disk_, last);
  const auto opened = reader.open();
  if (!opened.ok() || !opened.value()) return std::nullopt;
  struct Seen {
    uint64_t sequence, begin, end;
  };
  std::vector<Seen> records;
  uint64_t proven = 0;
  RecordHeader header;
  std::vector<LogEntry> entries;
  for (uint64_t begin = reader.offset();; begin = reader.offset()) {
    const auto outcome = reader.next(header, entries);
    if (!outcome.ok() || outcome.value() != SegmentReader::Outcome::kRecord) break;
    records.push_back({header.sequence, begin, reader.offset()});
    proven = std::max(proven, header.synced);
  }
  std::erase_if(records, [&](const Seen& seen) {
    return seen.sequence > proven || seen.sequence < snapshot;
  });
  if (records.empty()) return std::nullopt;
  const Seen& seen = records[static_cast<size_t>(prng_.below(records.size()))];
  return Place{.file = last, .offset = seen.begin + prng_.below(seen.end - seen.begin)};
}

// Flips a bit where an acknowledged record stands: recovery must refuse.  Then mends it.
void World::damage(const RecoveryOptions& recovery) {
  const auto place = proven_place();
  if (!place) return;
  const int bit = static_cast<int>(prng_.below(8));
  disk_.flip_bit(place->file, place->offset, bit);
  RecoveryOptions options = recovery;
  const bool cuts = options_.planted == Planted::kDamageIsCut;
  if (cuts) options.on_damage = RecoveryOptions::OnDamage::kCut;
  Target target;
  const auto recovered = recover(disk_, options, target);
  if (recovered.ok()) {
    return wrong("damage at byte " + std::to_string(place->offset) + " of " + place->file +
                 " went unnoticed");
  }
  disk_.flip_bit(place->file, place->offset, bit);
}

// Flips a bit of the newest snapshot: what recovery brings back without it must be the same, or it
// must refuse.
std::optional<World::Place> World::damage_snapshot() {
  std::string newest;
  const std::vector<std::string> files = disk_.list().value();
  for (const std::string& file : files) {
    const auto name = parse_name(file);
    if (name && name->kind == ParsedName::Kind::kSnapshot) newest = file;
  }
  // One that was never synced (a planted mistake) may be empty.
  const uint64_t size = newest.empty() ? 0 : disk_.size(newest).value();
  if (size == 0) return std::nullopt;
  const Place place{.file = newest, .offset = prng_.below(size)};
  disk_.flip_bit(place.file, place.offset, 0);
  return place;
}

void World::restart(Death death) {
  const RecoveryOptions recovery{.shard = 0, .partitions = kPartitions, .new_log_id = prng_.next()};
  if (prng_.chance(0.2)) {
    InterruptedDisk interrupted(disk_, prng_.below(7));
    Target unused;
    const auto ignored = recover(interrupted, recovery, unused);
    (void)ignored;
    if (death == Death::kPowerCut) disk_.crash();
  }
  if (death == Death::kPowerCut && prng_.chance(0.3)) damage(recovery);
  if (!result_.good) return;
  std::optional<Place> flipped;
  if (death == Death::kPowerCut && prng_.chance(0.2)) flipped = damage_snapshot();
  Target target;
  auto recovered = recover(disk_, recovery, target);
  if (flipped && !recovered.ok()) {
    // Refused since the log alone is not enough: mended.
    disk_.flip_bit(flipped->file, flipped->offset, 0);
    target = Target();
    recovered = recover(disk_, recovery, target);
  } else if (flipped) {
    ++result_.snapshots_replaced;
  }
  if (!recovered.ok()) {
    return wrong("recovery refuses: " + std::string(recovered.error().detail()));
  }
  if (writer_) check(target, recovered.value(), death);
  has_company_ = target.has_company;
  snapshot_.emplace();
  snapshot_runs_ = false;
  snapshot_left_.clear();
  stopped_ = false;
  disk_was_full_ = false;
  for (auto& executor : executors_) executor.emplace(disk_);
  writer_.emplace(LogWriter::Options{.shard = 0, .partitions = kPartitions},
                  recovered.value().position, recovered.value().segments);
  std::vector<DiskRequest> requests;
  writer_->start_segment(requests);
  send(requests);
}

void World::step() {
  if (stopped_ || prng_.chance(crash_chance_)) {
    return die(prng_.chance(0.7) ? Death::kPowerCut : Death::kKilled);
  }
  if (prng_.chance(disk_eagerness_)) return take_disk_step();
  if (prng_.chance(full_chance_)) return disk_was_full_ ? heal_disk() : fill_disk();
  if (disk_was_full_ && prng_.chance(0.05)) return heal_disk();
  if (prng_.chance(0.0005)) return disk_.fail_next_sync();
  switch (prng_.below(12)) {
    case 0:
      return begin_snapshot();
    case 1:
    case 2:
      return continue_snapshot();
    case 3:
    case 4:
    case 5: {
      std::vector<DiskRequest> requests;
      if (!writer_->has_failed()) writer_->sync(requests);
      return send(requests);
    }
    default:
      return append();
  }
}

SimResult World::run() {
  restart(Death::kKilled);
  for (uint64_t count = 0; count < options_.steps && result_.good; ++count) step();
  if (result_.good) die(Death::kPowerCut);
  result_.trace = hash64(std::to_string(result_.records) + result_.message, disk_.trace());
  return result_;
}

}  // namespace

SimResult run_persist_sim(const PersistSimOptions& options) { return World(options).run(); }

}  // namespace quorate::sim

// A store comes back from snapshot and log, or from dump.rdb beside an empty log.
#include "node/store_recovery.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "node/snapshot_job.h"
#include "store/hash.h"
#include "tests/sim/digest.h"
#include "tests/sim/sim_disk.h"
#include "util/prng.h"

namespace quorate {
namespace {

constexpr int64_t kNow = 1700000000000;
const StoreSettings kSettings;

// Knows DEL, as the shortest command table there is.
class DelTarget final : public EffectTarget {
 public:
  explicit DelTarget(Store& store) : store_(store) {}
  Status apply(const Effect& effect, const Key& key) override {
    if (effect.args[0] != "DEL") return Error(ErrorCode::kUnsupported, "unknown command");
    store_.database(effect.database).discard(key);
    return done();
  }

 private:
  Store& store_;
};

struct Shard {
  explicit Shard(SimDisk& its_disk) : disk(its_disk), executor(its_disk) {
    store.set_now(kNow);
    store.effects().set_collecting(true);
  }
  Result<StoreRecoveryResult> recover(const StoreRecoveryOptions& options) {
    DelTarget target(store);
    store.effects().set_collecting(false);
    auto result = recover_store(disk, store, options, target);
    store.effects().set_collecting(true);
    return result;
  }
  void open_log(const StoreRecoveryResult& result) {
    log.emplace(LogWriter::Options{.shard = 0, .partitions = store.partition_count()},
                result.log.position, result.log.segments);
    std::vector<DiskRequest> requests;
    log->start_segment(requests);
    run(requests);
  }
  void run(std::vector<DiskRequest>& requests) {
    while (!requests.empty()) {
      std::vector<DiskRequest> now;
      now.swap(requests);
      for (DiskRequest& request : now) log->on_reply(executor.execute(request), requests);
    }
  }
  void set(int database, std::string_view name, std::string_view value) {
    const Key key = store.make_key(name);
    store.database(database).set_string(key, value, kNever);
    store.effects().add(database, key, {"SET", name, value});
  }
  void erase(std::string_view name) {
    const Key key = store.make_key(name);
    store.database(0).discard(key);
    store.effects().add(0, key, {"DEL", name});
  }
  void end_turn() {
    const LogEntry entry{.batch = store.effects().bytes()};
    std::vector<DiskRequest> requests;
    log->append({&entry, 1}, kNow, requests);
    store.begin_batch();
    run(requests);
  }

  void add_groups(std::string_view body) {
    std::vector<DiskRequest> requests;
    log->append_groups(body, kNow, requests);
    run(requests);
  }
  // A segment begins; what the snapshot of everything before it must say.
  SnapshotHeader begin_segment() {
    std::vector<DiskRequest> requests;
    log->start_segment(requests);
    run(requests);
    const LogPosition& position = log->position();
    return {.partitions = 8,
            .log_id = position.log_id,
            .sequence = position.next_sequence,
            .chain = position.chain,
            .unix_ms = kNow,
            .hash_seed = 5,
            .positions = {}};
  }

  SimDisk& disk;
  DiskExecutor executor;
  Store store{{.databases = 4, .partitions = 8, .hash_seed = 5}, kSettings};
  std::optional<LogWriter> log;
};

const StoreRecoveryOptions kOptions{.rdb_file = "dump.rdb", .now = kNow};

constexpr raft::GroupId kGroup{3};

// What one turn of a node in company stores: `count` entries of one group from `first` on.
std::string entries_record(uint64_t first, uint64_t count) {
  std::vector<GroupWrite> writes(1);
  writes[0].group = kGroup;
  for (uint64_t index = first; index < first + count; ++index) {
    writes[0].write.append.push_back(
        {.term = {1}, .index = {index}, .payload = SharedBytes("batch"), .kind = raft::EntryKind::kCommand});
  }
  Buffer out;
  encode({.writes = writes}, out);
  return std::string(out.view());
}

// A group whose log begins behind `index`, which stands for what the node holds.
std::string base_record(uint64_t index) {
  raft::Restored begun =
      raft::bootstrap({.incoming = {.voters = {{.replica = {7}, .node = {1}}}}});
  begun.base.last.index = {index};
  const GroupBase base{.group = kGroup, .replica = {7}, .mark = begun.base};
  Buffer out;
  encode({.bases = {&base, 1}}, out);
  return std::string(out.view());
}

void add_hash(Store& store, const char* name) {
  const Key key = store.make_key(name);
  Hash* hash = store.database(0).insert<Hash>(key);
  hash->set("field", "value", kSettings);
  hash->set_expiry("field", kNow + 1000, kSettings);
}

TEST(StoreRecovery, AnEmptyDirectoryIsAnEmptyStore) {
  SimDisk disk(1);
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result.value().log.found_anything);
  EXPECT_EQ(result.value().log.position.base, LogBase::kEmpty);
}

TEST(StoreRecovery, EffectsOfTheLogAreCarriedOutAgain) {
  SimDisk disk(1);
  uint64_t expected = 0;
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    for (int index = 0; index < 500; ++index) {
      shard.set(index % 4, "key" + std::to_string(index), "value" + std::to_string(index));
      if (index % 7 == 0) shard.erase("key" + std::to_string(index));
      if (index % 50 == 0) shard.end_turn();
    }
    shard.end_turn();
    expected = sim::digest(shard.store);
  }
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(sim::digest(shard.store), expected);
  EXPECT_EQ(result.value().last_unix_ms, kNow);
}

TEST(StoreRecovery, ASnapshotIsTheMomentOfItsBeginning) {
  SimDisk disk(1);
  uint64_t expected = 0;
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    for (int index = 0; index < 300; ++index) shard.set(0, "key" + std::to_string(index), "old");
    add_hash(shard.store, "hash");
    shard.end_turn();
    std::vector<DiskRequest> requests;
    SnapshotJob job(shard.store);
    job.begin_log(shard.begin_segment());
    int round = 0;
    while (job.state() == SnapshotJob::State::kRunning) {
      shard.set(0, "key" + std::to_string(round % 300), "new" + std::to_string(round));
      shard.erase("key" + std::to_string((round * 7) % 300));
      shard.end_turn();
      ++round;
      job.step(10);
      job.drain(requests);
      for (DiskRequest& request : requests) job.on_reply(shard.executor.execute(request));
      requests.clear();
    }
    ASSERT_EQ(job.state(), SnapshotJob::State::kDone) << job.failure();
    EXPECT_EQ(job.keys(), 301u);
    shard.log->drop_before(job.sequence(), requests);
    shard.run(requests);
    expected = sim::digest(shard.store);
  }
  EXPECT_FALSE(disk.has(segment_name(0, 1)));
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.value().snapshot_keys, 301u);
  EXPECT_EQ(sim::digest(shard.store), expected);
}

TEST(StoreRecovery, GroupsComeBackBesideWhatTheNodeHeldWhenTheyBegan) {
  SimDisk disk(1);
  uint64_t expected = 0;
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    EXPECT_FALSE(result.value().groups.has_value()) << "it never had company";
    shard.open_log(result.value());
    shard.set(0, "alone", "1");
    shard.end_turn();
    expected = sim::digest(shard.store);
    shard.add_groups(base_record(1));
    shard.add_groups(entries_record(2, 3));
  }
  Shard shard(disk);
  auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok()) << result.error().detail();
  EXPECT_EQ(sim::digest(shard.store), expected) << "entries are not applied";
  ASSERT_TRUE(result.value().groups.has_value());
  const GroupRecovery::Found& found = result.value().groups->groups().at(kGroup);
  EXPECT_EQ(found.replica.value, 7u);
  EXPECT_FALSE(found.state.has_value());
  EXPECT_EQ(found.restored.base.last.index.value, 1u);
  ASSERT_EQ(found.restored.entries.size(), 3u);
  EXPECT_EQ(found.restored.entries.back().index.value, 4u);
}

TEST(StoreRecovery, ATurnBehindAGroupRecordIsRefused) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.add_groups(base_record(1));
    // Another writer goes on as if it were alone.
    const LogPosition position = shard.log->position();
    shard.log.emplace(LogWriter::Options{.shard = 0, .partitions = 8}, position, std::vector<uint64_t>{1});
    std::vector<DiskRequest> requests;
    shard.log->start_segment(requests);
    shard.run(requests);
    shard.set(0, "alone", "1");
    shard.end_turn();
  }
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(result.error().detail(),
            "record 2 is of a lone node, but its log is of a node in company: damage");
}

TEST(StoreRecovery, AGroupRecordThatDoesNotFollowIsNamed) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.add_groups(base_record(1));
    shard.add_groups(entries_record(9, 1));
  }
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().detail(), "record 2: group record: an entry is missing before 9");
}

TEST(StoreRecovery, GroupsOfASnapshotGoOnInTheLogBehindIt) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.add_groups(base_record(1));
    shard.add_groups(entries_record(2, 3));
    shard.set(0, "applied", "up to 3");
    const SnapshotHeader header = shard.begin_segment();
    // The snapshot holds entry 3 and what is before it; entry 4 is behind.
    ASSERT_TRUE(write_snapshot_now(disk, shard.store, header, base_record(3) + entries_record(4, 1)).ok());
    std::vector<DiskRequest> requests;
    shard.log->drop_before(header.sequence, requests);
    shard.run(requests);
    shard.add_groups(entries_record(5, 1));
  }
  EXPECT_FALSE(disk.has(segment_name(0, 1)));
  Shard shard(disk);
  auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok()) << result.error().detail();
  EXPECT_NE(shard.store.database(0).find(shard.store.make_key("applied")), nullptr);
  ASSERT_TRUE(result.value().groups.has_value());
  const raft::Restored& restored = result.value().groups->groups().at(kGroup).restored;
  EXPECT_EQ(restored.base.last.index.value, 3u);
  ASSERT_EQ(restored.entries.size(), 2u);
  EXPECT_EQ(restored.entries.back().index.value, 5u);
}

TEST(StoreRecovery, TheLogOfANodeInCompanyIsReadWithoutAppendonlyToo) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.set(0, "alone", "1");
    shard.end_turn();
    shard.add_groups(base_record(1));
    Shard other(disk);
    other.set(0, "from", "dump");
    ASSERT_TRUE(write_rdb_now(disk, other.store, "dump.rdb", {.now = kNow}).ok());
  }
  Shard shard(disk);
  StoreRecoveryOptions options = kOptions;
  options.log = StoreRecoveryOptions::Log::kNone;
  const auto result = shard.recover(options);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.value().groups.has_value());
  EXPECT_FALSE(result.value().rdb.has_value());
  EXPECT_NE(shard.store.database(0).find(shard.store.make_key("alone")), nullptr);
  EXPECT_EQ(result.value().log.position.next_sequence, 3u) << "for the writer, which goes on";
}

TEST(StoreRecovery, TheSnapshotOfABareLogHasGroupsAndNoEntries) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.add_groups(base_record(1));
    shard.set(0, "only", "in memory");
    const SnapshotHeader header = shard.begin_segment();
    ASSERT_TRUE(write_bare_snapshot_now(disk, shard.store, header, base_record(1)).ok());
    std::vector<DiskRequest> requests;
    shard.log->drop_before(header.sequence, requests);
    shard.run(requests);
  }
  Shard shard(disk);
  auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(shard.store.database(0).size(), 0u);
  ASSERT_TRUE(result.value().groups.has_value());
  EXPECT_TRUE(result.value().groups->groups().contains(kGroup));
}

TEST(StoreRecovery, GroupsOfADamagedSnapshotAreForgotten) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.set(0, "alone", "1");
    shard.end_turn();
    shard.add_groups(base_record(1));
    const SnapshotHeader header = shard.begin_segment();
    ASSERT_TRUE(write_snapshot_now(disk, shard.store, header, base_record(8)).ok());
    const std::string file = snapshot_name(0, header.sequence);
    disk.flip_bit(file, disk.size(file).value() - 1, 0);
  }
  Shard shard(disk);
  auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok()) << result.error().detail();
  ASSERT_TRUE(result.value().groups.has_value());
  EXPECT_EQ(result.value().groups->groups().at(kGroup).restored.base.last.index.value, 1u);
}

// Everything of the snapshot is durable when the process dies, but it was not allowed to count yet.
TEST(StoreRecovery, AHeldSnapshotCountsOnlyOnceItIsPublished) {
  for (const bool is_published : {false, true}) {
    SimDisk disk(1);
    std::string file;
    {
      Shard shard(disk);
      const auto result = shard.recover(kOptions);
      ASSERT_TRUE(result.ok());
      shard.open_log(result.value());
      shard.add_groups(base_record(1));
      SnapshotJob job(shard.store);
      const SnapshotHeader header = shard.begin_segment();
      file = snapshot_name(0, header.sequence);
      job.begin_log(header, base_record(8), SnapshotJob::Publication::kHeld);
      const auto run_job = [&] {
        std::vector<DiskRequest> requests;
        job.step(1000);
        for (job.drain(requests); !requests.empty(); job.drain(requests)) {
          for (DiskRequest& request : requests) job.on_reply(shard.executor.execute(request));
          requests.clear();
        }
      };
      run_job();
      EXPECT_EQ(job.state(), SnapshotJob::State::kWritten);
      EXPECT_TRUE(job.is_under_way());
      EXPECT_FALSE(disk.has(file));
      EXPECT_TRUE(disk.has(file + ".tmp"));
      if (is_published) {
        job.publish();
        run_job();
        EXPECT_EQ(job.state(), SnapshotJob::State::kDone);
      }
    }
    disk.crash();
    Shard shard(disk);
    auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok()) << result.error().detail();
    EXPECT_EQ(result.value().groups->groups().at(kGroup).restored.base.last.index.value,
              is_published ? 8u : 1u);
    EXPECT_EQ(disk.has(file), is_published);
    EXPECT_FALSE(disk.has(file + ".tmp"));
  }
}

TEST(StoreRecovery, AHeldSnapshotThatIsGivenUpLeavesNothing) {
  SimDisk disk(1);
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok());
  shard.open_log(result.value());
  SnapshotJob job(shard.store);
  std::vector<DiskRequest> requests;
  const SnapshotHeader header = shard.begin_segment();
  job.begin_log(header, base_record(8), SnapshotJob::Publication::kHeld);
  const auto run_job = [&] {
    for (job.drain(requests); !requests.empty(); job.drain(requests)) {
      for (DiskRequest& request : requests) job.on_reply(shard.executor.execute(request));
      requests.clear();
    }
  };
  job.step(1000);
  run_job();
  ASSERT_EQ(job.state(), SnapshotJob::State::kWritten);
  job.abort();
  EXPECT_EQ(job.state(), SnapshotJob::State::kIdle);
  run_job();
  EXPECT_FALSE(disk.has(snapshot_name(0, header.sequence) + ".tmp"));
  job.begin_log(header);
  job.step(1000);
  run_job();
  EXPECT_EQ(job.state(), SnapshotJob::State::kDone);
}

TEST(StoreRecovery, ADumpBesideAnEmptyLogBecomesItsFirstSnapshot) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    shard.set(0, "from", "dump");
    add_hash(shard.store, "hash");
    ASSERT_TRUE(write_rdb_now(disk, shard.store, "dump.rdb", {.now = kNow}).ok());
  }
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    ASSERT_TRUE(result.value().rdb.has_value());
    EXPECT_EQ(result.value().rdb->keys, 2u);
    shard.open_log(result.value());
    shard.set(0, "and", "log");
    shard.end_turn();
  }
  ASSERT_TRUE(disk.remove("dump.rdb").ok());
  disk.crash();
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_TRUE(result.ok());
  EXPECT_NE(shard.store.database(0).find(shard.store.make_key("from")), nullptr);
}

TEST(StoreRecovery, WithoutALogOnlyTheDumpIsRead) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.set(0, "in", "log");
    shard.end_turn();
  }
  Shard shard(disk);
  StoreRecoveryOptions options = kOptions;
  options.log = StoreRecoveryOptions::Log::kNone;
  ASSERT_TRUE(shard.recover(options).ok());
  EXPECT_EQ(shard.store.database(0).size(), 0u);
  EXPECT_TRUE(disk.has(segment_name(0, 1))) << "left alone";
}

TEST(StoreRecovery, AnEffectThatCannotBeCarriedOutIsAnError) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.store.effects().add(0, shard.store.make_key("k"), {"FROBNICATE", "k"});
    shard.end_turn();
  }
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().detail(), "record 1: effect FROBNICATE: unknown command");
}

TEST(StoreRecovery, ADatabaseThatDoesNotExistIsNamed) {
  SimDisk disk(1);
  {
    Shard shard(disk);
    const auto result = shard.recover(kOptions);
    ASSERT_TRUE(result.ok());
    shard.open_log(result.value());
    shard.store.effects().add(9, shard.store.make_key("k"), {"SET", "k", "v"});
    shard.end_turn();
  }
  Shard shard(disk);
  const auto result = shard.recover(kOptions);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().detail(), "record 1: a write to database 9, but `databases` is 4");
}

TEST(StoreRecovery, ASliceOfASnapshotEndsWithItsBytes) {
  SimDisk disk(1);
  Shard shard(disk);
  constexpr size_t kSize = 1 << 20;
  Prng random(1);
  for (int number = 0; number < 40; ++number) {
    std::string value;
    while (value.size() < kSize) value.push_back(static_cast<char>(random.next()));
    shard.set(0, "key" + std::to_string(number), value);
  }
  SnapshotJob job(shard.store);
  for (const bool is_log : {true, false}) {
    if (is_log) {
      job.begin_log({.partitions = 8, .log_id = 1, .sequence = 1, .positions = {}});
    } else {
      job.begin_rdb("dump.rdb", {.now = kNow});
    }
    job.step(1000);
    EXPECT_GE(job.bytes(), kSize / 2);
    EXPECT_LE(job.bytes(), 20 * kSize) << "not all that the number of entries allows";
    job.abort();
  }
}

TEST(StoreRecovery, WhatACrashLeftOfADumpIsRemoved) {
  for (const auto log : {StoreRecoveryOptions::Log::kKept, StoreRecoveryOptions::Log::kNone}) {
    SimDisk disk(1);
    for (const char* file : {"dump.rdb.tmp", "shard0-0000000000000007.snapshot.tmp", "other.tmp"}) {
      ASSERT_TRUE(disk.create(file).ok());
    }
    Shard shard(disk);
    StoreRecoveryOptions options = kOptions;
    options.log = log;
    const auto result = shard.recover(options);
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(disk.list().value(), std::vector<std::string>{"other.tmp"});
    EXPECT_EQ(result.value().notes.size(), 2u);
  }
}

}  // namespace
}  // namespace quorate

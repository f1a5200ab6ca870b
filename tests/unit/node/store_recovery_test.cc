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

  SimDisk& disk;
  DiskExecutor executor;
  Store store{{.databases = 4, .partitions = 8, .hash_seed = 5}, kSettings};
  std::optional<LogWriter> log;
};

const StoreRecoveryOptions kOptions{.rdb_file = "dump.rdb", .now = kNow};

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
    shard.log->start_segment(requests);
    shard.run(requests);
    SnapshotJob job(shard.store);
    const LogPosition& position = shard.log->position();
    job.begin_log({.partitions = 8,
                   .log_id = position.log_id,
                   .sequence = position.next_sequence,
                   .chain = position.chain,
                   .unix_ms = kNow,
                   .hash_seed = 5,
                   .positions = {}});
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

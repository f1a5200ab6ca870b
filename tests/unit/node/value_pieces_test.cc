// Snapshots that take large values in pieces, while writers change whatever they like: the file holds what the store held
// when the snapshot began, of every type, in the form of the log's snapshot and as RDB.
#include "store/value_pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/snapshot_job.h"
#include "persist/log_format.h"
#include "persist/snapshot.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/loader.h"
#include "store/rdb/file.h"
#include "store/rdb/format.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "store/value.h"
#include "tests/sim/sim_disk.h"
#include "util/prng.h"
#include "util/varint.h"

namespace quorate {
namespace {

constexpr int64_t kFarMs = int64_t{1} << 50;
constexpr int kDatabases = 3;
const SnapshotHeader kHeader{.partitions = 4, .log_id = 42, .sequence = 5, .positions = {}};
constexpr std::string_view kRdbFile = "dump.rdb";

template <class T>
const T& object_of(const Entry& entry) {
  return *static_cast<const T*>(entry.object());
}

// The value whatever its form, as text: what is in no order is sorted.
std::string value_text(const Entry& entry) {
  std::vector<std::string> parts;
  bool is_ordered = true;
  switch (entry.type()) {
    case ValueType::kString:
      parts.emplace_back(entry.string());
      break;
    case ValueType::kList:
      object_of<List>(entry).for_each([&](std::string_view element) { parts.emplace_back(element); });
      break;
    case ValueType::kSet:
      is_ordered = false;
      object_of<Set>(entry).for_each([&](std::string_view member) { parts.emplace_back(member); });
      break;
    case ValueType::kSortedSet:
      object_of<SortedSet>(entry).for_each([&](std::string_view member, double score) {
        parts.push_back(std::string(member) + "=" + std::to_string(score));
      });
      break;
    case ValueType::kHash:
      is_ordered = false;
      object_of<Hash>(entry).for_each([&](const Hash::Field& field) {
        parts.push_back(std::string(field.name) + "=" + std::string(field.value) + "@" + std::to_string(field.expiry));
      });
      break;
    case ValueType::kStream:
      ADD_FAILURE();
  }
  if (!is_ordered) std::sort(parts.begin(), parts.end());
  std::string text(type_name(entry.type()));
  for (const std::string& part : parts) text += "," + part;
  return text;
}

using Content = std::map<std::pair<int, std::string>, std::string>;

Content content_of(const Store& store) {
  Content content;
  for (int index = 0; index < store.database_count(); ++index) {
    store.database(index).for_each([&](const Entry* entry) {
      content[{index, std::string(entry->key())}] = value_text(*entry) + " until " + std::to_string(entry->expiry());
    });
  }
  return content;
}

class DiskReader final : public rdb::StreamInput::Reader {
 public:
  explicit DiskReader(SimDisk& disk) : disk_(disk) {}
  Status read(uint64_t offset, size_t count, Buffer& out) override { return disk_.read(kRdbFile, offset, count, out); }

 private:
  SimDisk& disk_;
};

class World {
 public:
  explicit World(uint64_t seed) : prng_(seed) {
    settings.pieces_from = 4;
    settings.maxmemory_policy = EvictionPolicy::kAllKeysRandom;
    settings.set_max_listpack_entries = 3;
    settings.set_max_intset_entries = 3;
    settings.hash_max_listpack_entries = 3;
    settings.zset_max_listpack_entries = 3;
    store.set_now(1000);
  }

  // Some change of some key.
  void write() {
    const int number = static_cast<int>(prng_.below(kDatabases));
    Db& db = store.database(number);
    const std::string name = "key" + std::to_string(prng_.below(24));
    const Key key = store.make_key(name);
    switch (prng_.below(40)) {
      case 0:
        db.erase(key);
        return;
      case 1:
        return rename(db, key);
      case 2:
        if (Entry* entry = db.find(key)) db.set_expiry(key, entry, prng_.chance(0.5) ? kNever : some_time());
        return;
      case 3:
        if (prng_.chance(0.1)) db.clear();
        return;
      case 4:
        if (prng_.chance(0.1)) store.swap_databases(number, static_cast<int>(prng_.below(kDatabases)));
        return;
      case 5:
        if (prng_.chance(0.1)) store.clear_partition(static_cast<uint32_t>(prng_.below(store.partition_count())));
        return;
      case 6:
        return pass_time();
      case 7:
        if (prng_.chance(0.3)) evict();
        return;
      default:
        change_value(db, key);
    }
  }
  void change_value(Db& db, const Key& key) {
    if (db.find(key) == nullptr) return create(db, key);
    const ValueType type = db.find(key)->type();
    const bool removes = prng_.chance(0.3);
    const std::string element = "element" + std::to_string(prng_.below(60));
    switch (type) {
      case ValueType::kString:
        db.set_string(key, element, kNever);
        return;
      case ValueType::kSet: {
        Set* set = db.update<Set>(key).value();
        removes ? void(set->remove(element)) : void(set->add(element, settings));
        break;
      }
      case ValueType::kSortedSet: {
        SortedSet* sorted_set = db.update<SortedSet>(key).value();
        removes ? void(sorted_set->remove(element)) : void(sorted_set->set(element, score(), settings));
        break;
      }
      case ValueType::kHash:
        change_hash(*db.update<Hash>(key).value(), element, removes);
        db.changed(key, EventClass::kHash, "hset");
        break;
      case ValueType::kList:
        change_list(*db.update<List>(key).value(), element, removes);
        break;
      case ValueType::kStream:
        ADD_FAILURE();
    }
    db.erase_if_empty(key);
  }

  Prng& prng() { return prng_; }

  StoreSettings settings;
  Store store{{.databases = kDatabases, .partitions = 4, .hash_seed = 7, .random_seed = 11}, settings};

 private:
  double score() { return static_cast<double>(prng_.below(20)); }
  int64_t some_time() { return prng_.chance(0.5) ? kFarMs : store.now() + 1 + static_cast<int64_t>(prng_.below(20)); }
  void pass_time() {
    if (prng_.chance(0.3)) store.set_now(store.now() + 1);
    bool wrapped = false;
    store.expire_some(30, wrapped);
  }
  void evict() {
    size_t budget = 100;
    store.evict_one(budget);
  }
  void create(Db& db, const Key& key) {
    switch (prng_.below(5)) {
      case 0:
        db.set_string(key, "text", kNever);
        return;
      case 1:
        for (Set* set = db.insert<Set>(key); prng_.chance(0.97);) set->add("element" + std::to_string(prng_.below(60)), settings);
        break;
      case 2:
        for (SortedSet* sorted_set = db.insert<SortedSet>(key); prng_.chance(0.97);)
          sorted_set->set("element" + std::to_string(prng_.below(60)), score(), settings);
        break;
      case 3:
        for (Hash* hash = db.insert<Hash>(key); prng_.chance(0.97);)
          hash->set("element" + std::to_string(prng_.below(60)), "value", settings);
        break;
      case 4:
        for (List* list = db.insert<List>(key); prng_.chance(0.97);)
          list->push_back(std::string(prng_.below(500), 'x') + std::to_string(prng_.below(60)));
        break;
    }
    db.erase_if_empty(key);
  }
  void change_hash(Hash& hash, const std::string& name, bool removes) {
    if (removes) {
      hash.remove(name);
    } else if (prng_.chance(0.1)) {
      hash.set_expiry(name, prng_.chance(0.5) ? kNever : some_time() + static_cast<int64_t>(prng_.below(50)), settings);
    } else {
      hash.set(name, "value" + std::to_string(prng_.next()), settings);
    }
  }
  void change_list(List& list, const std::string& element, bool removes) {
    const List::End end = prng_.chance(0.5) ? List::End::kFront : List::End::kBack;
    const size_t place = prng_.below(list.size());
    if (removes && prng_.chance(0.5)) {
      list.pop(end);
    } else if (removes) {
      list.erase(place, prng_.chance(0.1) ? list.size() - place : 1);
    } else if (prng_.chance(0.3)) {
      list.set(place, element);
    } else if (prng_.chance(0.5)) {
      list.insert(place, element);
    } else {
      list.push(end, element);
    }
  }
  void rename(Db& db, const Key& key) {
    if (db.find(key) == nullptr) return;
    const std::string name = "key" + std::to_string(prng_.below(24));
    const Key target = store.make_key(name);
    if (name == key.bytes) return;
    db.discard(target);
    db.put(target, db.take(key));
  }

  Prng prng_;
};

void carry_out(SnapshotJob& job, DiskExecutor& executor) {
  std::vector<DiskRequest> requests;
  for (job.drain(requests); !requests.empty(); job.drain(requests)) {
    for (DiskRequest& request : std::exchange(requests, {})) job.on_reply(executor.execute(request));
  }
}

// Writes a snapshot with the disk as slow as chance will have it; false if it was given up.
class Writing {
 public:
  Writing(World& world, SimDisk& disk) : world_(world), disk_(disk), executor_(disk) {}

  bool run(SnapshotJob::Kind kind, int writes_a_step) {
    SnapshotJob job(world_.store);
    if (kind == SnapshotJob::Kind::kLog) {
      job.begin_log(kHeader);
    } else {
      job.begin_rdb(std::string(kRdbFile), {.version = rdb::kHashExpiryVersion});
    }
    Prng& prng = world_.prng();
    while (job.state() == SnapshotJob::State::kRunning) {
      job.step(1 + prng.below(4));
      for (int left = writes_a_step; left > 0; --left) world_.write();
      if (prng.chance(0.3)) world_.store.do_background_work(1 + prng.below(20));
      carry_out(job, executor_);
      if (prng.chance(0.0005)) {
        job.abort();
        carry_out(job, executor_);
        return false;
      }
    }
    EXPECT_EQ(job.state(), SnapshotJob::State::kDone) << job.failure();
    return true;
  }

 private:
  World& world_;
  SimDisk& disk_;
  DiskExecutor executor_;
};

Content read_log_snapshot(SimDisk& disk) {
  World copy(1);
  copy.store.set_replaying(true);
  SnapshotReader reader(disk, snapshot_name(0, kHeader.sequence));
  EXPECT_TRUE(reader.open().ok());
  EXPECT_TRUE(reader.groups().ok());
  Loader loader(copy.store);
  while (true) {
    const auto block = reader.next();
    EXPECT_TRUE(block.ok()) << block.error().detail();
    if (!block.ok() || !block.value()) break;
    const Status loaded = load_snapshot_block(*block.value(), copy.store, loader);
    EXPECT_TRUE(loaded.ok()) << loaded.error().detail();
    if (!loaded.ok()) break;
  }
  EXPECT_TRUE(loader.flush().ok());
  return content_of(copy.store);
}

Content read_rdb(SimDisk& disk) {
  World copy(1);
  DiskReader reader(disk);
  rdb::StreamInput input(reader, disk.size(kRdbFile).value());
  const auto report = rdb::load_file(input, copy.store, 1000);
  EXPECT_TRUE(report.ok()) << report.error().detail();
  return content_of(copy.store);
}

TEST(ValuePieces, ASnapshotHoldsOneInstantWhateverWritersDo) {
  size_t finished = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    World world(seed);
    for (int step = 0; step < 3000; ++step) world.write();
    for (int round = 0; round < 6; ++round) {
      const auto kind = round % 2 == 0 ? SnapshotJob::Kind::kLog : SnapshotJob::Kind::kRdb;
      const Content expected = content_of(world.store);
      SimDisk disk(seed);
      // None, so that values are written to their end in pieces; few; many.
      if (!Writing(world, disk).run(kind, round / 2 * (round / 2))) continue;
      ++finished;
      ASSERT_EQ(kind == SnapshotJob::Kind::kLog ? read_log_snapshot(disk) : read_rdb(disk), expected)
          << "seed " << seed << " round " << round;
    }
  }
  EXPECT_GT(finished, 100u);
}

TEST(ValuePieces, WhatIsGivenUpLeavesNothingBehind) {
  for (const auto kind : {SnapshotJob::Kind::kLog, SnapshotJob::Kind::kRdb}) {
    World world(3);
    for (int step = 0; step < 3000; ++step) world.write();
    SnapshotJob job(world.store);
    SimDisk disk(1);
    DiskExecutor executor(disk);
    for (const bool is_last : {false, true}) {
      const Content expected = content_of(world.store);
      if (kind == SnapshotJob::Kind::kLog) {
        job.begin_log(kHeader);
      } else {
        job.begin_rdb(std::string(kRdbFile), {.version = rdb::kHashExpiryVersion});
      }
      while (!world.store.snapshot_has_open_value()) job.step(1);
      // Somebody hands over another one meanwhile.
      for (int step = 0; step < 10 && world.store.snapshot_has_open_value(); ++step) world.write();
      if (!is_last) {
        while (!world.store.snapshot_has_open_value() && job.wants_step()) job.step(1);
        EXPECT_TRUE(world.store.snapshot_has_open_value());
        job.abort();
        EXPECT_FALSE(world.store.snapshot_has_open_value());
        EXPECT_FALSE(world.store.snapshot_running());
      }
      while (is_last && job.state() == SnapshotJob::State::kRunning) {
        job.step(100);
        carry_out(job, executor);
      }
      carry_out(job, executor);
      if (!is_last) continue;
      EXPECT_EQ(kind == SnapshotJob::Kind::kLog ? read_log_snapshot(disk) : read_rdb(disk), expected);
    }
  }
}

// Counts what it is given.  Values of a hundred elements are large.
struct Counter final : Store::SnapshotSink {
  void save(int, const Entry&) override {
    ++saved;
    saved_after_open += has_opened ? 1 : 0;
  }
  bool wants_pieces(const Entry& entry) const override { return value_size(entry) >= 100; }
  void open(int, const Entry& entry) override {
    EXPECT_EQ(left, 0u);
    has_opened = true;
    left = value_size(entry);
  }
  bool give(size_t elements) override {
    left -= std::min(left, elements);
    return left != 0;
  }
  size_t saved = 0;
  size_t saved_after_open = 0;
  bool has_opened = false;
  size_t left = 0;
};

Hash* add_hash(World& world, const std::string& name, int fields) {
  Db& db = world.store.database(0);
  Hash* hash = db.insert<Hash>(world.store.make_key(name));
  for (int number = 0; number < fields; ++number) hash->set("field" + std::to_string(number), "value", world.settings);
  return hash;
}

TEST(ValuePieces, LargeValuesAreOpenedWhenAllOthersAreGiven) {
  World world(1);
  for (int number = 0; number < 50; ++number) add_hash(world, "small" + std::to_string(number), 20);
  for (int number = 0; number < 10; ++number) add_hash(world, "large" + std::to_string(number), 1000);
  Counter counter;
  world.store.begin_snapshot(counter);
  // Whoever is taken away as a whole is handed over as a whole.
  while (!counter.has_opened) world.store.walk_snapshot(1);
  EXPECT_EQ(counter.saved, 50u);
  int erased = 0;
  for (int number = 0; number < 10; ++number) {
    erased += world.store.database(0).erase(world.store.make_key("large" + std::to_string(number))) ? 1 : 0;
    if (erased == 5) break;
  }
  while (world.store.walk_snapshot(1)) {
  }
  world.store.end_snapshot();
  EXPECT_EQ(counter.left, 0u);
  EXPECT_GE(counter.saved_after_open, 4u);
  EXPECT_LE(counter.saved_after_open, 5u);
}

TEST(ValuePieces, ExpiryWaitsForAValueThatIsOpen) {
  World world(1);
  Hash* hash = add_hash(world, "large", 5000);
  hash->set_expiry("field7", world.store.now() + 10, world.settings);
  hash->set_expiry("field8", kFarMs, world.settings);
  world.store.database(0).changed(world.store.make_key("large"), EventClass::kHash, "hexpire");
  const auto expire = [&] {
    bool wrapped = false;
    return world.store.expire_some(100'000, wrapped);
  };
  Counter counter;
  world.store.begin_snapshot(counter);
  // Nothing is due: nobody hands it over.  Something is: it waits, open or not.
  EXPECT_EQ(expire(), 0u);
  world.store.set_now(world.store.now() + 100);
  EXPECT_EQ(expire(), 0u);
  EXPECT_EQ(counter.saved, 0u);
  while (!world.store.snapshot_has_open_value()) world.store.walk_snapshot(1);
  const size_t left = counter.left;
  EXPECT_EQ(left, 5000u);
  EXPECT_EQ(expire(), 0u);
  EXPECT_EQ(counter.left, left);
  while (world.store.walk_snapshot(10)) {
  }
  world.store.end_snapshot();
  EXPECT_EQ(expire(), 1u);
  EXPECT_EQ(hash->size(), 4999u);
}

TEST(ValuePieces, AReaderThatExpiresFieldsOfTheOpenValueHandsItOver) {
  World world(1);
  Hash* hash = add_hash(world, "large", 5000);
  hash->set_expiry("field7", world.store.now() + 10, world.settings);
  Counter counter;
  world.store.begin_snapshot(counter);
  while (!world.store.snapshot_has_open_value()) world.store.walk_snapshot(1);
  EXPECT_EQ(counter.left, 5000u);
  world.store.set_now(world.store.now() + 100);
  world.store.database(0).expire_fields(world.store.make_key("large"));
  EXPECT_EQ(counter.left, 0u);
  EXPECT_FALSE(world.store.snapshot_has_open_value());
  EXPECT_EQ(hash->size(), 4999u);
  while (world.store.walk_snapshot(1)) {
  }
  world.store.end_snapshot();
  EXPECT_EQ(counter.saved, 0u);
}

// Of a snapshot file: the kinds of its blocks.
std::string block_kinds(std::string_view bytes) {
  std::string kinds;
  for (size_t at = 8; at < bytes.size(); at += 32 + load_little<uint64_t>(bytes.data() + at + 8)) {
    kinds += std::to_string(bytes[at + 1]);
  }
  return kinds;
}

// The key of the value that is opened first.
struct FirstOpened final : Store::SnapshotSink {
  void save(int, const Entry&) override {}
  bool wants_pieces(const Entry&) const override { return true; }
  void open(int, const Entry& entry) override {
    if (key.empty()) key = entry.key();
  }
  bool give(size_t) override { return false; }
  std::string key;
};

// Megabytes of others are handed over while one value is open.
TEST(ValuePieces, OthersInBurstsStandBetweenThePartsOrBehindThem) {
  for (const auto kind : {SnapshotJob::Kind::kLog, SnapshotJob::Kind::kRdb}) {
    World world(1);
    world.settings.rdb_compression = false;
    Db& db = world.store.database(0);
    constexpr int kLists = 600;
    const auto push = [&](const std::string& name, size_t count, size_t size) {
      List* list = db.update_or_insert<List>(world.store.make_key(name)).value();
      for (; count > 0; --count) list->push_back(std::to_string(count) + std::string(size, 'x'));
    };
    for (int number = 0; number < kLists; ++number) push("list" + std::to_string(number), 10, 1000);
    FirstOpened first;
    world.store.begin_snapshot(first);
    while (world.store.walk_snapshot(100)) {
    }
    world.store.end_snapshot();
    push(first.key, 3000, 1000);
    const Content expected = content_of(world.store);
    SimDisk disk(1);
    DiskExecutor executor(disk);
    SnapshotJob job(world.store);
    if (kind == SnapshotJob::Kind::kLog) {
      job.begin_log(kHeader);
    } else {
      job.begin_rdb(std::string(kRdbFile), {.version = rdb::kHashExpiryVersion, .compression = rdb::Compression::kOff});
    }
    while (!world.store.snapshot_has_open_value()) job.step(1);
    for (int number = 0; number < kLists; ++number) {
      const std::string name = "list" + std::to_string(number);
      if (name != first.key) push(name, 1, 10);
      if (number % 50 == 0) job.step(16);
      carry_out(job, executor);
    }
    // It may have been finished by those who were handed over; now somebody changes it.
    push(first.key, 1, 10);
    while (job.state() == SnapshotJob::State::kRunning) {
      const uint64_t before = job.bytes();
      job.step(16);
      EXPECT_LT(job.bytes() - before, size_t{300'000});
      carry_out(job, executor);
    }
    if (kind == SnapshotJob::Kind::kLog) {
      EXPECT_NE(block_kinds(disk.content(snapshot_name(0, kHeader.sequence))).find("52"), std::string::npos);
      EXPECT_EQ(read_log_snapshot(disk), expected);
    } else {
      EXPECT_EQ(read_rdb(disk), expected);
    }
  }
}

TEST(ValuePieces, APieceOfLargeElementsHasFew) {
  World world(1);
  world.settings.rdb_compression = false;
  Db& db = world.store.database(0);
  const Key key = world.store.make_key("large");
  List* list = db.insert<List>(key);
  for (int number = 0; number < 60; ++number) list->push_back(std::string(1 << 20, 'x'));
  ValuePieces pieces;
  Buffer out;
  pieces.begin(*db.find(key), EncodeOptions{.compression = rdb::Compression::kOff}, out);
  size_t count = 1;
  for (size_t before = out.size(); pieces.give(32, out); before = out.size(), ++count) {
    EXPECT_LE(out.size() - before, size_t{5} << 20);
  }
  EXPECT_EQ(count, 15u);
}

// "member0", "member1" ... in database 0.
void insert_set(World& world, const Key& key, int members) {
  Set* const set = world.store.database(0).insert<Set>(key);
  for (int number = 0; number < members; ++number) set->add("member" + std::to_string(number), world.settings);
}

// An RDB file has no place between the pieces: what writers hand over of others has to wait.
TEST(ValuePieces, WhatWaitsBehindAnOpenValueIsBounded) {
  World world(1);
  Db& db = world.store.database(0);
  const Key key = world.store.make_key("large");
  insert_set(world, key, 200'000);
  const size_t bytes_of_set = 200'000 * 14;
  constexpr int kLists = 600;
  std::vector<const Entry*> lists;
  for (int number = 0; number < kLists; ++number) {
    const std::string name = "list" + std::to_string(number);
    List* list = db.insert<List>(world.store.make_key(name));
    for (int element = 0; element < 200; ++element) list->push_back(std::to_string(element) + std::string(50, 'x'));
    lists.push_back(db.find(world.store.make_key(name)));
  }
  rdb::FileEncoder encoder(world.store, {.compression = rdb::Compression::kOff});
  encoder.open(0, *db.find(key));
  Buffer file;
  const auto take = [&] { file.append(encoder.take().view()); };
  size_t most = 0;
  // All of them are six megabytes, in one turn: the walk does not come to it.  Once the set is complete they leave as they come.
  for (const Entry* list : lists) {
    encoder.save(0, *list);
    most = std::max(most, encoder.kept());
    EXPECT_LT(encoder.pending(), size_t{200'000});
    take();
  }
  EXPECT_GT(most, size_t{1} << 20);
  EXPECT_LT(most, (size_t{1} << 20) + bytes_of_set + 100'000);
  EXPECT_FALSE(encoder.give(4));
  // What stands behind it still leaves little by little.
  size_t steps = 0;
  for (take(); encoder.catch_up(); take(), ++steps) EXPECT_LT(encoder.pending(), size_t{100'000});
  EXPECT_EQ(encoder.kept(), 0u);
  EXPECT_GT(steps, 10u);
  encoder.finish();
  take();
  SimDisk disk(1);
  ASSERT_TRUE(disk.create(kRdbFile).ok());
  ASSERT_TRUE(disk.append(kRdbFile, file.view()).ok());
  EXPECT_EQ(read_rdb(disk), content_of(world.store));
}

TEST(ValuePieces, AreAsManyAsTheBudgetAsksFor) {
  World world(1);
  Db& db = world.store.database(0);
  const Key key = world.store.make_key("key");
  insert_set(world, key, 20'000);
  const Entry* entry = db.find(key);
  const EncodeOptions options;
  ASSERT_TRUE(ValuePieces::suit(*entry, world.settings, options));
  ValuePieces pieces;
  Buffer out;
  pieces.begin(*entry, options, out);
  size_t steps = 1;
  size_t longest = 0;
  for (size_t before = out.size(); pieces.give(100, out); before = out.size(), ++steps) {
    longest = std::max(longest, out.size() - before);
  }
  EXPECT_GT(steps, 100u);
  EXPECT_LT(longest, size_t{200} * 16);
  rdb::MemoryInput input(out.view().substr(1));
  const auto decoded = decode_value(input, static_cast<uint8_t>(out.view()[0]), rdb::kRedisVersionMax, "key", kNever, world.settings);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(value_text(*decoded.value()), value_text(*entry));
  destroy_entry(decoded.value());
}

TEST(ValuePieces, SmallValuesAndBlocksAreWrittenAtOnce) {
  World world(1);
  world.settings.pieces_from = 100;
  world.settings.set_max_listpack_entries = 1000;
  Db& db = world.store.database(0);
  const Key key = world.store.make_key("key");
  Set* set = db.insert<Set>(key);
  const auto suits = [&] { return ValuePieces::suit(*db.find(key), world.settings, EncodeOptions{}); };
  for (int number = 0; number < 99; ++number) set->add("member" + std::to_string(number), world.settings);
  EXPECT_FALSE(suits());
  for (int number = 99; number < 1000; ++number) set->add("member" + std::to_string(number), world.settings);
  EXPECT_FALSE(suits());
  set->add("member1000", world.settings);
  EXPECT_TRUE(suits());
}

}  // namespace
}  // namespace quorate

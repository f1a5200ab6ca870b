// The state of one partition: what is written comes back whole or is refused, whatever the bytes, and a running
// snapshot sees neither what was put in nor the lack of what it replaced.
#include "store/partition_state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "store/codec.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "store/value.h"
#include "util/varint.h"

namespace quorate {
namespace {

constexpr uint32_t kPartitions = 4;
using Keys = std::map<std::pair<int, std::string>, std::string>;  // -> the value's bytes, and the expiry

std::string shown(const Entry& entry, const StoreSettings& settings) {
  Buffer bytes;
  encode_value(entry, settings, {.version = 12, .compression = rdb::Compression::kOff}, bytes);
  return std::string(bytes.view()) + "@" + std::to_string(entry.expiry());
}

struct World {
  StoreSettings settings;
  Store store{{.databases = 4, .partitions = kPartitions, .hash_seed = 7, .random_seed = 11}, settings};

  void set(int database, const std::string& name, const std::string& value, int64_t expiry = kNever) {
    store.database(database).set_string(store.make_key(name), value, expiry);
  }
  Keys keys_of(uint32_t partition) {
    Keys keys;
    for (int index = 0; index < store.database_count(); ++index) {
      store.database(index).for_each_in_partition(partition, [&](const Entry* entry) {
        keys[{index, std::string(entry->key())}] = shown(*entry, settings);
      });
    }
    return keys;
  }
  Keys all_keys() {
    Keys keys;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) keys.merge(keys_of(partition));
    return keys;
  }
  void check_counts() {
    for (int index = 0; index < store.database_count(); ++index) {
      size_t keys = 0;
      size_t expiring = 0;
      store.database(index).for_each([&](const Entry* entry) {
        ++keys;
        expiring += entry->has_expiry() ? 1 : 0;
      });
      EXPECT_EQ(store.database(index).size(), keys);
      EXPECT_EQ(store.database(index).size_with_expiry(), expiring);
    }
  }
  std::string encoded(uint32_t partition) const {
    Buffer bytes;
    encode_partition(store, partition, bytes);
    return std::string(bytes.view());
  }
  void free_everything() {
    while (store.do_background_work(1000)) {
    }
  }
};

std::string name_in(const Store& store, uint32_t partition, int number) {
  for (int tries = 0;; ++tries) {
    std::string name = "k" + std::to_string(number) + "." + std::to_string(tries);
    if (store.partition_of(key_slot(name)) == partition) return name;
  }
}

// Every type, some values large, some keys with an expiry, in two databases.
void fill(World& world, int keys) {
  world.store.set_now(1000);
  for (int number = 0; number < keys; ++number) {
    const std::string name = "k" + std::to_string(number);
    Db& db = world.store.database(number % 3 == 0 ? 2 : 0);
    const Key key = world.store.make_key(name);
    const int elements = number % 20 == 0 ? 300 : 3;
    const auto element = [](int index) { return "element " + std::to_string(index); };
    switch (number % 6) {
      case 0:
        for (int index = 0; index < elements; ++index) db.update_or_insert<List>(key).value()->push_back(element(index));
        break;
      case 1:
        for (int index = 0; index < elements; ++index) {
          db.update_or_insert<Set>(key).value()->add(element(index), world.settings);
        }
        break;
      case 2:
        for (int index = 0; index < elements; ++index) {
          db.update_or_insert<SortedSet>(key).value()->set(element(index), index * 0.5, world.settings);
        }
        break;
      case 3:
        for (int index = 0; index < elements; ++index) {
          Hash* const hash = db.update_or_insert<Hash>(key).value();
          hash->set(element(index), "value", world.settings);
          if (number % 4 == 1) hash->set_expiry(element(index), 5000 + index, world.settings);
        }
        db.changed(key, EventClass::kHash, "hset");
        break;
      default:
        db.set_string(key, std::string(static_cast<size_t>(number % 50), 'v'), number % 5 == 0 ? 9000 + number : kNever);
    }
  }
}

TEST(PartitionState, ComesBackWholeAndTouchesNoOther) {
  World leader;
  fill(leader, 2000);
  World follower;
  fill(follower, 300);  // other values under the same names, and keys that the leader's partition has not
  follower.set(1, name_in(follower.store, 1, 77), "only here");
  const Keys before = follower.all_keys();
  ASSERT_TRUE(install_partition(follower.store, 1, leader.encoded(1)).ok());
  EXPECT_FALSE(leader.keys_of(1).empty());
  EXPECT_EQ(follower.keys_of(1), leader.keys_of(1));
  for (const uint32_t other : {0u, 2u, 3u}) {
    for (const auto& [at, value] : follower.keys_of(other)) EXPECT_EQ(before.at(at), value);
  }
  follower.check_counts();
  follower.free_everything();
  EXPECT_EQ(follower.store.pending_frees(), 0u);
}

TEST(PartitionState, OfNothingIsAState) {
  World leader;
  World follower;
  fill(follower, 300);
  ASSERT_TRUE(install_partition(follower.store, 3, leader.encoded(3)).ok());
  EXPECT_TRUE(follower.keys_of(3).empty());
  follower.check_counts();
}

TEST(PartitionState, HasItsGoldenBytes) {
  World world;
  world.store.set_now(0x0102);
  const std::string name = "a";  // slot 15495
  ASSERT_EQ(world.store.partition_of(key_slot(name)), 3u);
  world.set(1, name, "b", 0x03);
  const std::string bytes = world.encoded(3);
  const std::string_view head("\x01\x04\x03\x02\x01\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x01\x01\x01", 22);
  ASSERT_EQ(bytes.substr(0, head.size()), head);
  const uint64_t check = hash64(head, 0x7061727473746174);
  EXPECT_EQ(load_little<uint64_t>(bytes.data() + head.size()), check);
  const size_t block = head.size() + 8;
  const std::string_view entry("\x01\x01\0\0\0\x03\0\0\0\0\0\0\0\x01" "a" "\0\x01" "b", 18);
  ASSERT_EQ(bytes.size(), block + 8 + entry.size() + 8 + 8);
  EXPECT_EQ(load_little<uint64_t>(bytes.data() + block), entry.size());
  EXPECT_EQ(bytes.substr(block + 8, entry.size()), entry);
  EXPECT_EQ(load_little<uint64_t>(bytes.data() + block + 8 + entry.size()), hash64(entry, check));
  EXPECT_EQ(load_little<uint64_t>(bytes.data() + bytes.size() - 8), 0u);
}

TEST(PartitionState, CutOrChangedItIsRefusedAndNothingChanges) {
  World leader;
  fill(leader, 60);
  const std::string bytes = leader.encoded(2);
  World follower;
  fill(follower, 30);
  const Keys before = follower.all_keys();
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(install_partition(follower.store, 2, bytes.substr(0, size)).ok()) << size;
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    ASSERT_FALSE(check_partition(follower.store, 2, changed).ok()) << at;
  }
  ASSERT_FALSE(check_partition(follower.store, 2, bytes + '\0').ok());
  ASSERT_FALSE(check_partition(follower.store, 1, bytes).ok());
  EXPECT_EQ(follower.all_keys(), before);
  EXPECT_TRUE(check_partition(follower.store, 2, bytes).ok());
  follower.check_counts();
}

// A state with right hashes and these entries.
std::string forged(const std::vector<std::pair<uint64_t, uint64_t>>& counts, std::string_view entries,
                   uint64_t partitions = kPartitions) {
  Buffer out;
  append_varint(out, 1);
  append_varint(out, partitions);
  append_varint(out, 1);
  append_little<int64_t>(out, 0);
  append_little<uint64_t>(out, 7);
  append_varint(out, counts.size());
  for (const auto& [database, keys] : counts) {
    append_varint(out, database);
    append_varint(out, keys);
  }
  const uint64_t head = hash64(out.view(), 0x7061727473746174);
  append_little<uint64_t>(out, head);
  append_little<uint64_t>(out, entries.size());
  out.append(entries);
  append_little<uint64_t>(out, hash64(entries, head));
  append_little<uint64_t>(out, 0);
  return std::string(out.view());
}

TEST(PartitionState, WithRightHashesIsRefusedForWhatItHolds) {
  World world;
  const auto entry = [&](const std::string& name) {
    return std::string("\0\0\0\0\0", 5) + static_cast<char>(name.size()) + name + std::string("\0\x01v", 3);
  };
  const std::string one = name_in(world.store, 1, 1);
  const std::string two = name_in(world.store, 1, 2);
  EXPECT_TRUE(check_partition(world.store, 1, forged({{0, 2}}, entry(one) + entry(two))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{0, 2}}, entry(one) + entry(one))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{0, 1}}, entry(one) + entry(two))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{0, 3}}, entry(one) + entry(two))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{1, 2}}, entry(one) + entry(two))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{9, 2}}, entry(one) + entry(two))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{0, 2}, {0, 2}}, entry(one) + entry(two))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{0, UINT64_MAX}}, entry(one))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{0, 1}}, entry(name_in(world.store, 2, 1)))).ok());
  EXPECT_FALSE(check_partition(world.store, 1, forged({{0, 2}}, entry(one) + entry(two), 8)).ok());
  std::string cut = entry(one);
  cut.pop_back();
  EXPECT_FALSE(check_partition(world.store, 1, forged({{0, 1}}, cut)).ok());
  EXPECT_EQ(world.all_keys(), Keys());
}

TEST(PartitionState, IsReadInPieces) {
  World leader;
  fill(leader, 6000);
  const std::string bytes = leader.encoded(0);
  ASSERT_GT(bytes.size(), 150'000u);
  World follower;
  PartitionState state(follower.store, 0);
  std::string_view left = bytes;
  int steps = 0;
  for (; !state.is_complete(); ++steps) {
    const size_t before = left.size();
    ASSERT_TRUE(state.read_some(left, 1).ok());
    EXPECT_LT(before - left.size(), 80'000u);
  }
  EXPECT_GT(steps, 2);
  EXPECT_EQ(state.unix_ms(), 1000);
  EXPECT_EQ(state.keys(), leader.keys_of(0).size());
  EXPECT_EQ(follower.all_keys(), Keys());
  state.install();
  EXPECT_EQ(follower.keys_of(0), leader.keys_of(0));
}

// Gives the state bit by bit; what is not read yet stays in front.
Status read_in_bits(PartitionState& state, std::string_view bytes, size_t bit) {
  std::string held;
  while (!bytes.empty() || !state.is_complete()) {
    held += bytes.substr(0, bit);
    bytes.remove_prefix(std::min(bit, bytes.size()));
    std::string_view left = held;
    TRY(state.read_some(left, SIZE_MAX, bytes.size()));
    held.erase(0, held.size() - left.size());
    if (state.is_complete() && !(held.empty() && bytes.empty())) return Error(ErrorCode::kCorrupt, "more than a state");
  }
  return done();
}

TEST(PartitionState, IsReadAsItComes) {
  World leader;
  fill(leader, 1000);
  leader.set(0, name_in(leader.store, 0, 1), std::string(300'000, 'v'));   // a block of its own
  const std::string bytes = leader.encoded(0);
  for (const size_t bit : {size_t{1}, size_t{7}, size_t{1000}, size_t{70'000}, bytes.size()}) {
    World follower;
    PartitionState state(follower.store, 0, PartitionState::Pace::kInSteps);
    ASSERT_TRUE(read_in_bits(state, bytes, std::max<size_t>(bit, bytes.size() / 5000)).ok()) << bit;
    EXPECT_EQ(follower.all_keys(), Keys());
    state.install();
    EXPECT_EQ(follower.keys_of(0), leader.keys_of(0));
    follower.check_counts();
  }
}

TEST(PartitionState, CutOrChangedItIsRefusedAsItComes) {
  World leader;
  fill(leader, 60);
  const std::string bytes = leader.encoded(2);
  World follower;
  const auto is_read = [&](std::string_view changed, size_t bit) {
    PartitionState state(follower.store, 2, PartitionState::Pace::kInSteps);
    return read_in_bits(state, changed, bit).ok();
  };
  EXPECT_TRUE(is_read(bytes, 5));
  for (size_t size = 1; size < bytes.size(); ++size) ASSERT_FALSE(is_read(std::string_view(bytes).substr(0, size), 5)) << size;
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    ASSERT_FALSE(is_read(changed, 5)) << at;
  }
  EXPECT_FALSE(is_read(bytes + '\0', 5));
  EXPECT_EQ(follower.all_keys(), Keys());
  follower.free_everything();
  EXPECT_EQ(follower.store.pending_frees(), 0u);
}

TEST(PartitionState, HashesWhoseFieldsExpireAreFoundByTheWalkForExpiredKeys) {
  World leader;
  const std::string name = name_in(leader.store, 0, 1);
  const Key key = leader.store.make_key(name);
  Hash* const hash = leader.store.database(0).insert<Hash>(key);
  hash->set("field", "v", leader.settings);
  hash->set_expiry("field", 50, leader.settings);
  World follower;
  ASSERT_TRUE(install_partition(follower.store, 0, leader.encoded(0)).ok());
  follower.store.set_now(60);
  bool wrapped = false;
  while (!wrapped) follower.store.expire_some(100, wrapped);
  EXPECT_EQ(follower.store.database(0).size(), 0u);
}

// ---- beside a snapshot --------------------------------------------------------------------------------------

struct Copy : Store::SnapshotSink {
  explicit Copy(const StoreSettings& its_settings) : settings(its_settings) {}
  const StoreSettings& settings;
  Keys seen;
  void save(int database, const Entry& entry) override {
    const bool added = seen.emplace(std::pair(database, std::string(entry.key())), shown(entry, settings)).second;
    EXPECT_TRUE(added) << entry.key();
  }
};

// Snapshots that begin while a state is read do not see it, however many begin before it is put in.
TEST(PartitionState, WhatIsPutInIsInNoSnapshotThatBeganBefore) {
  for (const int snapshots : {1, 2, 3}) {
    World leader;
    fill(leader, 1000);
    World follower;
    fill(follower, 100);
    PartitionState state(follower.store, 0, PartitionState::Pace::kInSteps);
    ASSERT_TRUE(state.read(leader.encoded(0)).ok());
    const Keys expected = follower.all_keys();
    for (int begun = 1; begun <= snapshots; ++begun) {
      Copy copy(follower.settings);
      follower.store.begin_snapshot(copy);
      // Some of it is told of this one.
      EXPECT_FALSE(state.settle(20));
      if (begun == snapshots) {
        int steps = 0;
        while (!state.settle(20)) ++steps;
        EXPECT_GT(steps, 3);
        state.install();
      }
      while (follower.store.walk_snapshot(20)) {
      }
      follower.store.end_snapshot();
      EXPECT_EQ(copy.seen, expected);
    }
    EXPECT_EQ(follower.keys_of(0), leader.keys_of(0));
    const Keys now = follower.all_keys();
    Copy copy(follower.settings);
    follower.store.begin_snapshot(copy);
    while (follower.store.walk_snapshot(20)) {
    }
    follower.store.end_snapshot();
    EXPECT_EQ(copy.seen, now);
  }
}

TEST(PartitionState, ASnapshotSeesOneInstantWhilePartitionsAreClearedAndReplaced) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    World world;
    World other;
    fill(world, 1500);
    fill(other, 2000);
    Prng prng(seed);
    const auto act = [&] {
      const auto partition = static_cast<uint32_t>(prng.below(kPartitions));
      const std::string name = "k" + std::to_string(prng.below(2500));
      // Seldom, so that what is dropped is freed faster than more is dropped.
      switch (prng.below(300)) {
        case 0:
          world.store.clear_partition(partition);
          return;
        case 1:
          world.store.database(static_cast<int>(prng.below(3))).clear_partition(partition);
          return;
        case 2:
          ASSERT_TRUE(install_partition(world.store, partition, other.encoded(partition)).ok());
          return;
        case 3:
          world.store.swap_databases(0, 2);
          return;
        default:
          if (prng.chance(0.1)) world.store.database(0).erase(world.store.make_key(name));
          world.set(static_cast<int>(prng.below(3)), name, std::to_string(prng.next()));
      }
    };
    for (int round = 0; round < 3; ++round) {
      const Keys expected = world.all_keys();
      Copy copy(world.settings);
      world.store.begin_snapshot(copy);
      bool broken_off = false;
      while (!broken_off && world.store.walk_snapshot(20)) {
        for (int step = 0; step < 3; ++step) act();
        broken_off = seed % 3 == 0 && prng.chance(0.02);
        world.store.do_background_work(10);
      }
      world.store.end_snapshot();
      if (!broken_off) {
        ASSERT_EQ(copy.seen, expected) << "seed " << seed;
      }
      world.check_counts();
    }
  }
}

TEST(PartitionState, ReadBeforeASnapshotBeganAndPutInAfterwardsItIsNotInTheSnapshot) {
  World leader;
  fill(leader, 2000);
  const std::string bytes = leader.encoded(1);
  World world;
  world.set(0, name_in(world.store, 3, 1), "there before");
  PartitionState state(world.store, 1);
  ASSERT_TRUE(state.read(bytes).ok());
  const Keys expected = world.all_keys();
  for (int round = 0; round < 2; ++round) {
    Copy copy(world.settings);
    world.store.begin_snapshot(copy);
    if (round == 0) state.install();
    while (world.store.walk_snapshot(100)) {
    }
    world.store.end_snapshot();
    EXPECT_EQ(copy.seen, round == 0 ? expected : world.all_keys());
  }
}

// ---- in steps ---------------------------------------------------------------------------------------------

// One of the things that commands do, of every way in which a key's entry can change.
void change_something(World& world, Prng& prng) {
  const int database = static_cast<int>(prng.below(3));
  Db& db = world.store.database(database);
  const std::string name = "k" + std::to_string(prng.below(3000));
  const Key key = world.store.make_key(name);
  Entry* const entry = db.find(key, Access::kPeek);
  switch (prng.below(8)) {
    case 0:
      db.erase(key);
      return;
    case 1:
      if (entry != nullptr && entry->is_string()) db.resize_string(key, entry, prng.below(40));
      return;
    case 2:
      if (entry != nullptr) db.set_expiry(key, entry, prng.chance(0.5) ? kNever : 100'000);
      return;
    case 3:
      if (entry != nullptr && entry->type() == ValueType::kSet) {
        db.update<Set>(key).value()->add(std::to_string(prng.next()), world.settings);
      }
      return;
    case 4: {
      const std::string to = "k" + std::to_string(prng.below(3000));
      if (entry == nullptr || to == name) return;
      db.discard(world.store.make_key(to));
      db.put(world.store.make_key(to), db.take(key));
      return;
    }
    default:
      world.set(database, name, std::to_string(prng.next()));
  }
}

// While everything changes, and while the other walk runs too.
// Requires: it is done.
std::string all_of(PartitionEncoder& encoder) {
  Buffer out;
  encoder.take(out);
  return std::string(out.view());
}

TEST(PartitionEncoder, GivesWhatIsReadyAfterEachStep) {
  World world;
  fill(world, 6000);
  PartitionEncoder encoder(world.store, 1, [] {
    Buffer head;
    head.append("head");
    return head;
  }());
  Buffer out;
  PartitionWalk::Progress progress = PartitionWalk::Progress::kMore;
  int times = 0;
  while (progress == PartitionWalk::Progress::kMore) {
    progress = encoder.step(100, SIZE_MAX);
    const size_t before = out.size();
    encoder.take(out);
    times += out.size() > before ? 1 : 0;
  }
  EXPECT_GT(times, 2);
  EXPECT_EQ(out.view().substr(0, 4), "head");
  EXPECT_TRUE(check_partition(world.store, 1, out.view().substr(4)).ok());
}

TEST(PartitionEncoder, WritesTheInstantInWhichItBegan) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    World world;
    fill(world, 2000);
    Prng prng(seed);
    for (uint32_t round = 0; round < 6; ++round) {
      const uint32_t partition = round % kPartitions;
      const Keys expected = world.keys_of(partition);
      const Keys everything = world.all_keys();
      Copy copy(world.settings);
      const bool beside = round % 2 == 0;
      if (beside) world.store.begin_snapshot(copy);
      PartitionEncoder encoder(world.store, partition);
      int steps = 1;
      for (; encoder.step(20, SIZE_MAX) == PartitionWalk::Progress::kMore; ++steps) {
        for (int change = 0; change < 40; ++change) change_something(world, prng);
        if (beside) world.store.walk_snapshot(50);
      }
      EXPECT_GT(steps, 10);
      World follower;
      const Result<int64_t> installed = install_partition(follower.store, partition, all_of(encoder));
      ASSERT_TRUE(installed.ok()) << installed.error().detail() << " seed " << seed;
      ASSERT_EQ(follower.keys_of(partition), expected) << "seed " << seed << " round " << round;
      if (!beside) continue;
      while (world.store.walk_snapshot(1000)) {
      }
      world.store.end_snapshot();
      ASSERT_EQ(copy.seen, everything) << "seed " << seed;
    }
  }
}

TEST(PartitionEncoder, IsWholeThoughMoreComesThanItCanRemember) {
  World world;
  fill(world, 2000);
  const Keys expected = world.keys_of(1);
  PartitionEncoder encoder(world.store, 1);
  PartitionWalk::Progress progress = encoder.step(1, SIZE_MAX);
  const std::string tag = "{" + name_in(world.store, 1, 1) + "}";
  int number = 0;
  for (; number < 300'000; ++number) world.set(0, tag + std::to_string(number), "v");
  for (; progress == PartitionWalk::Progress::kMore; ++number) {
    ASSERT_LT(number, 2'000'000);
    world.set(0, tag + std::to_string(number), "v");
    if (number % 1000 == 0) progress = encoder.step(2000, SIZE_MAX);
  }
  World follower;
  ASSERT_TRUE(install_partition(follower.store, 1, all_of(encoder)).ok());
  EXPECT_EQ(follower.keys_of(1), expected);
}

TEST(PartitionEncoder, AStepEndsWithItsBytes) {
  World world;
  world.settings.rdb_compression = false;
  for (int number = 0; number < 200; ++number) world.set(0, name_in(world.store, 1, number), std::string(10'000, 'v'));
  PartitionEncoder encoder(world.store, 1);
  int steps = 1;
  while (encoder.step(SIZE_MAX, 100'000) == PartitionWalk::Progress::kMore) ++steps;
  EXPECT_GT(steps, 8);
  EXPECT_TRUE(check_partition(world.store, 1, all_of(encoder)).ok());
}

TEST(PartitionEncoder, IsBrokenOffByWhatEmptiesOrReplacesThePartition) {
  const auto outcome = [](auto&& act) {
    World world;
    fill(world, 3000);
    PartitionEncoder encoder(world.store, 1);
    encoder.step(10, SIZE_MAX);
    act(world);
    PartitionWalk::Progress progress = PartitionWalk::Progress::kMore;
    while (progress == PartitionWalk::Progress::kMore) progress = encoder.step(100, SIZE_MAX);
    return progress;
  };
  using enum PartitionWalk::Progress;
  EXPECT_EQ(outcome([](World& world) { world.store.clear_partition(1); }), kBroken);
  EXPECT_EQ(outcome([](World& world) { world.store.database(2).clear_partition(1); }), kBroken);
  EXPECT_EQ(outcome([](World& world) { world.store.database(0).clear(); }), kBroken);
  EXPECT_EQ(outcome([](World& world) { world.store.swap_databases(0, 2); }), kBroken);
  EXPECT_EQ(outcome([](World& world) {
              ASSERT_TRUE(install_partition(world.store, 1, World().encoded(1)).ok());
            }),
            kBroken);
  EXPECT_EQ(outcome([](World& world) { world.store.clear_partition(2); }), kDone);
  EXPECT_EQ(outcome([](World& world) { world.store.database(1).clear_partition(1); }), kDone);
}

// ---- clearing and its effect ----------------------------------------------------------------------------------

TEST(Db, APartitionIsClearedAndItsMemoryFreedLater) {
  World world;
  fill(world, 2000);
  Keys expected = world.all_keys();
  std::erase_if(expected, [&](const auto& each) {
    return each.first.first == 0 && world.store.partition_of(key_slot(each.first.second)) == 2;
  });
  const size_t keys = world.store.database(0).partition_size(2);
  const uint64_t dirty = world.store.dirty();
  EXPECT_EQ(world.store.database(0).clear_partition(2), keys);
  EXPECT_EQ(world.store.dirty() - dirty, keys);
  EXPECT_EQ(world.store.database(0).partition_size(2), 0u);
  EXPECT_EQ(world.store.pending_frees(), keys);
  EXPECT_EQ(world.all_keys(), expected);
  world.check_counts();
  world.free_everything();
  EXPECT_EQ(world.store.pending_frees(), 0u);
  EXPECT_EQ(world.store.database(0).clear_partition(2), 0u);
  fill(world, 2000);
  world.check_counts();
}

TEST(Store, WhoWatchesIsToldOfAWholePartition) {
  World world;
  fill(world, 100);
  world.store.clear_partition(0);
  EXPECT_TRUE(world.store.changes().empty());
  world.store.set_observed(true);
  world.store.clear_partition(0);
  ASSERT_TRUE(install_partition(world.store, 1, World().encoded(1)).ok());
  std::set<std::pair<int, uint32_t>> told;
  for (const Change& change : world.store.changes()) told.emplace(change.database, change.partition.value());
  std::set<std::pair<int, uint32_t>> expected;
  for (int index = 0; index < world.store.database_count(); ++index) {
    expected.emplace(index, 0);
    expected.emplace(index, 1);
  }
  EXPECT_EQ(told, expected);
}

// ---- led elsewhere --------------------------------------------------------------------------------------------

struct LedElsewhere : testing::Test {
  LedElsewhere() {
    for (int number = 0; number < 50; ++number) {
      world.set(0, name_in(world.store, kOurs, number), "v", 100);
      world.set(0, name_in(world.store, kTheirs, number), "v", 100);
    }
    const Key key = world.store.make_key(hash_name);
    Hash* const hash = world.store.database(0).insert<Hash>(key);
    hash->set("field", "v", world.settings);
    hash->set_expiry("field", 100, world.settings);
    world.store.database(0).changed(key, EventClass::kHash, "hset");
    world.store.set_led(kTheirs, Led::kNo);
    world.store.effects().set_collecting(true);
  }
  static constexpr uint32_t kOurs = 1;
  static constexpr uint32_t kTheirs = 2;
  World world;
  Db& db = world.store.database(0);
  const std::string hash_name = name_in(world.store, kTheirs, 1000);
};

TEST_F(LedElsewhere, WhatIsPastItsTimeIsAbsentAndStays) {
  world.store.set_now(100);
  const std::string name = name_in(world.store, kTheirs, 0);
  EXPECT_EQ(db.find(world.store.make_key(name)), nullptr);
  EXPECT_TRUE(world.store.take_met_past());
  EXPECT_EQ(db.find(world.store.make_key(name_in(world.store, kOurs, 0))), nullptr);
  EXPECT_FALSE(world.store.take_met_past());
  db.expire_fields(world.store.make_key(hash_name));
  EXPECT_EQ(db.partition_size(kTheirs), 51u);
  EXPECT_EQ(db.partition_size(kOurs), 49u);
  EXPECT_EQ(world.store.effects().count(), 1u);
  EXPECT_EQ(db.random_entry(), world.store.database(0).find(world.store.make_key(hash_name), Access::kPeek));
}

TEST_F(LedElsewhere, TheWalkForExpiredKeysPassesIt) {
  world.store.set_now(100);
  bool wrapped = false;
  while (!wrapped) world.store.expire_some(10, wrapped);
  EXPECT_EQ(db.partition_size(kTheirs), 51u);
  EXPECT_EQ(db.partition_size(kOurs), 0u);
  world.store.set_led(kTheirs, Led::kYes);
  wrapped = false;
  while (!wrapped) world.store.expire_some(10, wrapped);
  EXPECT_EQ(db.size(), 0u);
}

TEST_F(LedElsewhere, EvictionPassesItAlsoForWhatItHadChosenBefore) {
  for (const EvictionPolicy policy : {EvictionPolicy::kAllKeysLru, EvictionPolicy::kVolatileTtl}) {
    world.settings.maxmemory_policy = policy;
    size_t budget = SIZE_MAX;
    world.store.set_led(kTheirs, Led::kYes);
    ASSERT_TRUE(world.store.evict_one(budget));  // candidates of both partitions wait now
    world.store.set_led(kTheirs, Led::kNo);
    const size_t theirs = db.partition_size(kTheirs);
    for (int number = 0; number < 10; ++number) ASSERT_TRUE(world.store.evict_one(budget));
    EXPECT_EQ(db.partition_size(kTheirs), theirs);
  }
  size_t budget = SIZE_MAX;
  std::vector<bool> within(world.store.partition_count(), true);
  within[kOurs] = false;
  EXPECT_FALSE(world.store.evict_one(budget, &within));
  within[kOurs] = true;
  EXPECT_EQ(world.store.evict_one(budget, &within), kOurs);
  EXPECT_EQ(world.store.keys_in(kOurs), db.partition_size(kOurs));
  while (world.store.evict_one(budget)) {
  }
  EXPECT_EQ(db.partition_size(kOurs), 0u);
  EXPECT_FALSE(world.store.evict_one(budget));
}

}  // namespace
}  // namespace quorate

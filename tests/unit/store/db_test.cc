// Db and Table against naive models: growth, removal, SCAN's promise, expiry, snapshots that see
// one instant.
#include "store/db.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <string>

#include "store/hash.h"
#include "store/set.h"
#include "store/value.h"

namespace quorate {
namespace {

struct World {
  StoreSettings settings;
  Store store{{.databases = 4, .partitions = 8, .hash_seed = 7, .random_seed = 11}, settings};
  Db& db() { return store.database(0); }
  Key key(std::string_view bytes) { return store.make_key(bytes); }
};

TEST(Table, keeps_every_key_through_growth_and_shrinking) {
  World world;
  Prng prng(1);
  std::map<std::string, std::string> model;
  for (int step = 0; step < 200000; ++step) {
    const bool growing = (step / 40000) % 2 == 0;
    const std::string name = "key:" + std::to_string(prng.below(30000));
    const Key key = world.key(name);
    if (prng.chance(growing ? 0.8 : 0.2)) {
      const std::string value(prng.below(40), static_cast<char>('a' + prng.below(26)));
      world.db().set_string(key, value, kNever);
      model[name] = value;
    } else {
      ASSERT_EQ(world.db().erase(key), model.erase(name) == 1);
    }
    ASSERT_EQ(world.db().size(), model.size());
  }
  for (const auto& [name, value] : model) {
    Entry* entry = world.db().find(world.key(name));
    ASSERT_NE(entry, nullptr);
    ASSERT_EQ(entry->string(), value);
  }
  size_t walked = 0;
  world.db().for_each([&](Entry* entry) {
    ++walked;
    ASSERT_EQ(model.count(std::string(entry->key())), 1u);
  });
  EXPECT_EQ(walked, model.size());
}

TEST(Table, scan_returns_each_key_that_stays_while_others_come_and_go) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World world;
    Prng prng(seed);
    std::set<std::string> staying;
    for (int index = 0; index < 2000; ++index) {
      const std::string name = "stay:" + std::to_string(index);
      world.db().set_string(world.key(name), "v", kNever);
      staying.insert(name);
    }
    std::set<std::string> seen;
    uint64_t cursor = 0;
    int calls = 0;
    do {
      cursor = world.db().scan(cursor, 10,
                               [&](Entry* entry) { seen.insert(std::string(entry->key())); });
      ASSERT_LT(++calls, 100000);
      const int changes = static_cast<int>(prng.below(200));
      for (int index = 0; index < changes; ++index) {
        const std::string name = "go:" + std::to_string(prng.below(20000));
        if (prng.chance(seed % 2 ? 0.9 : 0.3)) {
          world.db().set_string(world.key(name), "v", kNever);
        } else {
          world.db().erase(world.key(name));
        }
      }
    } while (cursor != 0);
    for (const std::string& name : staying)
      ASSERT_TRUE(seen.count(name)) << name << " seed " << seed;
  }
}

TEST(Db, a_string_keeps_its_value_through_resizing_and_expiry_changes) {
  World world;
  Prng prng(3);
  std::string model;
  const Key key = world.key("k");
  world.db().set_string(key, "", kNever);
  for (int step = 0; step < 3000; ++step) {
    Entry* entry = world.db().find(key);
    switch (prng.below(4)) {
      case 0: {
        const size_t size = prng.below(300);
        const size_t kept = model.size() < size ? model.size() : size;
        entry = world.db().resize_string(key, entry, size);
        model = model.substr(0, kept) + std::string(size - kept, '\0');
        break;
      }
      case 1:
        world.db().set_expiry(key, entry, 1000 + step);
        break;
      case 2:
        world.db().set_expiry(key, entry, kNever);
        break;
      case 3:
        model = std::string(prng.below(100), 'x');
        world.db().set_string(key, model, prng.chance(0.5) ? 99 : kNever);
        break;
    }
    ASSERT_EQ(world.db().find(key)->string(), model);
    ASSERT_EQ(world.db().size_with_expiry(), world.db().find(key)->has_expiry() ? 1u : 0u);
  }
}

TEST(Db, long_keys_and_values_are_kept) {
  World world;
  const std::string name(70000, 'k');
  const std::string value(20u << 20, 'v');
  world.db().set_string(world.key(name), value, 5);
  EXPECT_EQ(world.db().find(world.key(name))->string(), value);
  EXPECT_EQ(world.db().find(world.key(name))->expiry(), 5);
}

TEST(Db, an_expired_key_is_gone_and_logged_as_del) {
  World world;
  world.store.effects().set_collecting(true);
  world.db().set_string(world.key("k"), "v", 100);
  world.store.set_now(99);
  EXPECT_NE(world.db().find(world.key("k")), nullptr);
  world.store.set_now(100);
  EXPECT_EQ(world.db().find(world.key("k")), nullptr);
  EXPECT_EQ(world.db().size(), 0u);
  EXPECT_EQ(world.store.effects().count(), 1u);
  EXPECT_EQ(world.store.implied_effects(), 1u);
}

TEST(Db, the_active_walk_finds_expired_keys) {
  World world;
  for (int index = 0; index < 5000; ++index) {
    world.db().set_string(world.key("k" + std::to_string(index)), "v", index % 2 ? 50 : kNever);
  }
  world.store.set_now(60);
  bool wrapped = false;
  size_t expired = 0;
  while (!wrapped) expired += world.store.expire_some(100, wrapped);
  EXPECT_EQ(expired, 2500u);
  EXPECT_EQ(world.db().size(), 2500u);
}

// Containers cost a slice as many keys as strings do, so that the next one follows as soon.
TEST(Db, as_many_containers_as_strings_expire_in_a_slice) {
  for (const bool are_sets : {false, true}) {
    World world;
    for (int index = 0; index < 2000; ++index) {
      const std::string name = "k" + std::to_string(index);
      const Key key = world.key(name);
      if (are_sets) {
        Set* set = world.db().insert<Set>(key);
        for (int member = 0; member < 60; ++member) set->add("member" + std::to_string(member), world.settings);
        world.db().set_expiry(key, world.db().find(key), 50);
      } else {
        world.db().set_string(key, "v", 50);
      }
    }
    world.store.set_now(60);
    bool wrapped = false;
    const size_t expired = world.store.expire_some(250, wrapped);
    EXPECT_GT(expired * 18, 250u);  // what node/upkeep.cc looks at
    EXPECT_LT(expired, 60u);
  }
}

TEST(Db, the_fields_of_a_large_hash_go_in_slice_after_slice) {
  World world;
  const Key key = world.key("hash");
  Hash* hash = world.db().insert<Hash>(key);
  for (int field = 0; field < 2000; ++field) {
    hash->set("field" + std::to_string(field), "v", world.settings);
    if (field != 0) hash->set_expiry("field" + std::to_string(field), 50, world.settings);
  }
  world.db().changed(key, EventClass::kHash, "hexpire");
  world.store.set_now(60);
  bool wrapped = false;
  size_t slices = 0;
  for (size_t expired = 1; expired != 0 && !wrapped; ++slices) {
    expired = world.store.expire_some(250, wrapped);
    EXPECT_LE(expired, 250u);
  }
  EXPECT_TRUE(wrapped);
  EXPECT_LT(slices, 12u);
  EXPECT_EQ(hash->size(), 1u);
}

struct Copy : Store::SnapshotSink {
  std::map<std::pair<int, std::string>, std::string> seen;
  void save(int database, const Entry& entry) override {
    const bool added =
        seen.emplace(std::pair(database, std::string(entry.key())), std::string(entry.string()))
            .second;
    EXPECT_TRUE(added) << entry.key();
  }
};

TEST(Snapshot, sees_one_instant_whatever_writers_do) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    World world;
    Prng prng(seed);
    std::map<std::pair<int, std::string>, std::string> model;
    const auto write = [&] {
      const int database = static_cast<int>(prng.below(3));
      Db& db = world.store.database(database);
      const std::string name = "k" + std::to_string(prng.below(3000));
      const Key key = world.key(name);
      const std::string value = std::to_string(prng.next());
      switch (prng.below(16)) {
        case 0:
          if (db.erase(key)) model.erase({database, name});
          break;
        case 1:
          if (Entry* entry = db.find(key)) {
            entry = db.resize_string(key, entry, 3);
            std::memcpy(entry->string_data(), "abc", 3);
            model[{database, name}] = "abc";
          }
          break;
        case 2:
          if (Entry* entry = db.find(key)) db.set_expiry(key, entry, 1 << 20);
          break;
        case 3:
          if (prng.chance(0.005)) {
            db.clear();
            std::erase_if(model, [&](const auto& each) { return each.first.first == database; });
          }
          break;
        case 4:
          if (prng.chance(0.01)) {
            world.store.swap_databases(0, 1);
            decltype(model) swapped;
            for (auto& [at, text] : model) {
              swapped[{at.first == 2 ? 2 : 1 - at.first, at.second}] = text;
            }
            model = swapped;
          }
          break;
        default:
          db.set_string(key, value, kNever);
          model[{database, name}] = value;
      }
    };
    for (int round = 0; round < 4; ++round) {
      for (int step = 0; step < 5000; ++step) write();
      const auto expected = model;
      Copy copy;
      world.store.begin_snapshot(copy);
      bool broken_off = false;
      while (world.store.walk_snapshot(20)) {
        for (int step = 0; step < 60; ++step) write();
        if (seed % 5 == 0 && prng.chance(0.02)) {
          broken_off = true;
          break;
        }
        world.store.do_background_work(10);
      }
      world.store.end_snapshot();
      if (!broken_off) {
        ASSERT_EQ(copy.seen, expected) << "seed " << seed;
      }
    }
  }
}

TEST(Db, room_made_ahead_is_a_hint_and_no_more) {
  // Too much, too little, none.
  for (const size_t expected : {size_t{200'000}, size_t{5000}, size_t{0}}) {
    World world;
    world.db().reserve(expected);
    EXPECT_EQ(world.db().size(), 0u);
    EXPECT_EQ(world.db().random_entry(), nullptr);
    for (int index = 0; index < 20'000; ++index)
      world.db().set_string(world.key("k" + std::to_string(index)), "v", kNever);
    world.db().reserve(1'000'000);  // too late: nothing happens
    size_t seen = 0;
    world.db().for_each([&](const Entry*) { ++seen; });
    EXPECT_EQ(seen, 20'000u);
    for (int index = 0; index < 20'000; ++index)
      EXPECT_TRUE(world.db().erase(world.key("k" + std::to_string(index))));
    EXPECT_EQ(world.db().size(), 0u);
  }
}

TEST(Eviction, takes_the_longest_idle_keys_first) {
  World world;
  world.settings.maxmemory_policy = EvictionPolicy::kAllKeysLru;
  for (int index = 0; index < 1000; ++index) {
    world.store.set_now(index * 1000);
    world.db().set_string(world.key("k" + std::to_string(index)), "v", kNever);
  }
  size_t budget = SIZE_MAX;
  for (int index = 0; index < 300; ++index) EXPECT_TRUE(world.store.evict_one(budget));
  EXPECT_LT(budget, SIZE_MAX);
  int old_left = 0;
  for (int index = 0; index < 300; ++index)
    old_left += world.db().find(world.key("k" + std::to_string(index))) != nullptr;
  EXPECT_LT(old_left, 60);
  world.settings.maxmemory_policy = EvictionPolicy::kVolatileTtl;
  EXPECT_FALSE(world.store.evict_one(budget));
}

TEST(Eviction, finds_the_last_keys_of_tables_that_were_large) {
  for (const EvictionPolicy policy : {EvictionPolicy::kAllKeysLru, EvictionPolicy::kAllKeysRandom}) {
    World world;
    world.settings.maxmemory_policy = policy;
    for (int index = 0; index < 5000; ++index) world.db().set_string(world.key("k" + std::to_string(index)), "v", kNever);
    for (int index = 3; index < 5000; ++index) EXPECT_TRUE(world.db().erase(world.key("k" + std::to_string(index))));
    size_t budget = SIZE_MAX;
    for (int index = 0; index < 3; ++index) EXPECT_TRUE(world.store.evict_one(budget)) << index;
    EXPECT_EQ(world.db().size(), 0u);
    EXPECT_FALSE(world.store.evict_one(budget));
  }
}

}  // namespace
}  // namespace quorate

// A cursor means the same in every store whose hash seed is the same, whatever the sizes of the
// tables: a walk that goes on in another copy gives everything that both have.
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "store/db.h"
#include "store/hash.h"
#include "store/partition_state.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "util/prng.h"

namespace quorate {
namespace {

constexpr int kStaying = 3000;

std::string name_of(int number) { return "stays:" + std::to_string(number); }
std::string other_name(uint64_t number) { return "goes:" + std::to_string(number); }

struct Copy {
  explicit Copy(uint64_t seed)
      : settings{.hash_seed = seed * 31},
        store({.databases = 2, .partitions = 4, .hash_seed = seed, .random_seed = 1}, settings) {
    for (int number = 0; number < kStaying; ++number) set(name_of(number));
  }
  Db& db() { return store.database(0); }
  void set(const std::string& name) { db().set_string(store.make_key(name), "v", kNever); }
  void come_and_go(Prng& prng, int changes, double growing) {
    for (int change = 0; change < changes; ++change) {
      const std::string name = other_name(prng.below(20'000));
      if (prng.chance(growing)) {
        set(name);
      } else {
        db().erase(store.make_key(name));
      }
    }
  }

  StoreSettings settings;
  Store store;
};

// Each page from the other copy, and both change in between.
std::set<std::string> scan_both(std::array<Copy*, 2> copies, Prng& prng) {
  std::set<std::string> seen;
  uint64_t cursor = 0;
  size_t page = 0;
  do {
    Copy& copy = *copies[page++ % 2];
    cursor =
        copy.db().scan(cursor, 20, [&](Entry* entry) { seen.insert(std::string(entry->key())); });
    EXPECT_LT(page, 100'000u);
    if (page >= 100'000) break;
    copies[0]->come_and_go(prng, 100, 0.9);
    copies[1]->come_and_go(prng, 100, 0.3);
  } while (cursor != 0);
  return seen;
}

bool has_all(const std::set<std::string>& seen) {
  for (int number = 0; number < kStaying; ++number) {
    if (!seen.contains(name_of(number))) return false;
  }
  return true;
}

TEST(ScanOrder, a_scan_goes_on_in_a_copy_whose_tables_have_another_size) {
  for (uint64_t round = 1; round <= 5; ++round) {
    Prng prng(round);
    Copy large(7);
    large.come_and_go(prng, 60'000, 1.0);
    Copy small(7);
    EXPECT_TRUE(has_all(scan_both({&large, &small}, prng))) << round;
  }
}

// The test above would notice it.
TEST(ScanOrder, in_a_copy_with_another_seed_it_misses_keys) {
  Prng prng(1);
  Copy one(7);
  Copy other(8);
  EXPECT_FALSE(has_all(scan_both({&one, &other}, prng)));
}

TEST(ScanOrder, a_scan_goes_on_in_a_copy_that_was_made_of_states) {
  Prng prng(2);
  Copy leader(7);
  leader.come_and_go(prng, 30'000, 0.7);
  Copy follower(7);
  for (uint32_t partition = 0; partition < leader.store.partition_count(); ++partition) {
    Buffer bytes;
    encode_partition(leader.store, partition, bytes);
    ASSERT_TRUE(install_partition(follower.store, partition, bytes.view()).ok());
  }
  EXPECT_TRUE(has_all(scan_both({&follower, &leader}, prng)));
}

TEST(ScanOrder, a_store_that_holds_nothing_takes_another_order) {
  Prng prng(3);
  Copy leader(7);
  Copy joins(9);
  joins.come_and_go(prng, 5000, 0.9);
  joins.db().clear();
  // Another database has tables that are empty.
  const Key key = joins.store.make_key("k");
  joins.store.database(1).set_string(key, "v", kNever);
  ASSERT_TRUE(joins.store.database(1).erase(key));
  joins.store.set_hash_seed(7);
  EXPECT_EQ(joins.store.hash_seed(), 7u);
  EXPECT_EQ(joins.store.make_key("k").hash, leader.store.make_key("k").hash);
  joins.store.database(1).set_string(joins.store.make_key("k"), "v", kNever);
  EXPECT_NE(joins.store.database(1).find(joins.store.make_key("k")), nullptr);
  for (int number = 0; number < kStaying; ++number) joins.set(name_of(number));
  EXPECT_TRUE(has_all(scan_both({&leader, &joins}, prng)));
  for (int number = 0; number < kStaying; ++number)
    EXPECT_NE(joins.db().find(joins.store.make_key(name_of(number))), nullptr);
  while (joins.store.do_background_work(1000)) {
  }
}

// The same of a value: it stays, while others come and go.
template <class Value, class Add, class Scan>
void expect_one_order(const Add& add, const Scan& scan) {
  for (uint64_t round = 1; round <= 5; ++round) {
    Prng prng(round);
    std::array<Value, 2> copies;
    for (Value& copy : copies) {
      for (int number = 0; number < kStaying; ++number) add(copy, name_of(number));
    }
    for (int number = 0; number < 60'000; ++number) add(copies[0], other_name(prng.below(20'000)));
    std::set<std::string> seen;
    uint64_t cursor = 0;
    size_t page = 0;
    do {
      cursor = scan(copies[page++ % 2], cursor, seen);
      for (int change = 0; change < 50; ++change) {
        copies[0].remove(other_name(prng.below(20'000)));
        add(copies[1], other_name(prng.below(20'000)));
      }
    } while (cursor != 0 && page < 100'000);
    EXPECT_TRUE(has_all(seen)) << round;
    for (Value& copy : copies) copy.destroy();
  }
}

const StoreSettings kSettings{.hash_seed = 5};

TEST(ScanOrder, an_sscan_goes_on_in_a_copy_whose_table_has_another_size) {
  expect_one_order<Set>([](Set& set, const std::string& name) { set.add(name, kSettings); },
                        [](const Set& set, uint64_t cursor, std::set<std::string>& seen) {
                          return set.scan(cursor, 20, [&](std::string_view member) {
                            seen.emplace(member);
                            return true;
                          });
                        });
}

TEST(ScanOrder, an_hscan_goes_on_in_a_copy_whose_table_has_another_size) {
  expect_one_order<Hash>(
      [](Hash& hash, const std::string& name) { hash.set(name, "v", kSettings); },
      [](const Hash& hash, uint64_t cursor, std::set<std::string>& seen) {
        return hash.scan(cursor, 20, [&](const Hash::Field& field) { seen.emplace(field.name); });
      });
}

TEST(ScanOrder, a_zscan_goes_on_in_a_copy_whose_table_has_another_size) {
  expect_one_order<SortedSet>(
      [](SortedSet& set, const std::string& name) { set.set(name, 1, kSettings); },
      [](const SortedSet& set, uint64_t cursor, std::set<std::string>& seen) {
        return set.scan(cursor, 20, [&](std::string_view member, double) {
          seen.emplace(member);
          return true;
        });
      });
}

}  // namespace
}  // namespace quorate

// The sum of a partition: the same for the same keys and values whatever they went through, another for everything else, and that of the
// instant in which it began.
#include "store/partition_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "store/hash.h"
#include "store/list.h"
#include "store/partition_state.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "util/prng.h"

namespace quorate {
namespace {

constexpr uint32_t kPartitions = 2;

struct World {
  explicit World(uint64_t seed = 7) : store({.databases = 2, .partitions = kPartitions, .hash_seed = seed, .random_seed = 11}, settings) {}
  StoreSettings settings;
  Store store;

  Db& db() { return store.database(0); }
  Key key(const std::string& name) { return store.make_key(name); }
  void set(const std::string& name, const std::string& value, int64_t expiry = kNever, int database = 0) {
    store.database(database).set_string(key(name), value, expiry);
  }
  template <class T>
  T& make(const std::string& name) {
    return *db().update_or_insert<T>(key(name)).value();
  }
  // By looking at it at once.
  Hash128 now(uint32_t partition) const {
    Hash128 sum;
    for (int index = 0; index < store.database_count(); ++index) {
      store.database(index).for_each_in_partition(partition, [&](const Entry* entry) { sum += sum_of(index, *entry); });
    }
    return sum;
  }
  Hash128 all() const {
    Hash128 sum = now(0);
    sum += now(1);
    return sum;
  }
};

std::vector<std::string> words(int count) {
  std::vector<std::string> all;
  for (int number = 0; number < count; ++number) all.push_back("word " + std::to_string(number * 7919 % count));
  return all;
}

// Sets, hashes, sorted sets with `count` elements, in this order.
void fill(World& world, const std::vector<std::string>& elements) {
  for (const std::string& element : elements) {
    world.make<Set>("set").add(element, world.settings);
    world.make<SortedSet>("sorted").set(element, static_cast<double>(element.size()), world.settings);
    world.make<Hash>("hash").set(element, "value of " + element, world.settings);
  }
}

TEST(PartitionSum, is_the_same_whatever_the_order_and_the_form) {
  for (const int count : {1, 10, 300, 1024}) {
    World one;
    fill(one, words(count));
    World other(99);
    std::vector<std::string> backwards = words(count);
    std::reverse(backwards.begin(), backwards.end());
    fill(other, words(700));   // large forms, which they keep
    for (const std::string& element : words(700)) {
      if (std::find(backwards.begin(), backwards.end(), element) != backwards.end()) continue;
      other.make<Set>("set").remove(element);
      other.make<SortedSet>("sorted").remove(element);
      other.make<Hash>("hash").remove(element);
    }
    fill(other, backwards);
    EXPECT_EQ(one.all(), other.all()) << count;
  }
}

TEST(PartitionSum, is_another_for_every_difference) {
  std::vector<Hash128> seen;
  const auto differs = [&](const char* what, auto&& act) {
    World world;
    world.set("k", "v");
    world.make<List>("l").push_back("a");
    world.make<List>("l").push_back("b");
    world.make<SortedSet>("z").set("a", 1, world.settings);
    world.make<Hash>("h").set("f", "v", world.settings);
    act(world);
    const Hash128 sum = world.all();
    EXPECT_EQ(std::find(seen.begin(), seen.end(), sum), seen.end()) << what;
    seen.push_back(sum);
  };
  differs("nothing", [](World&) {});
  differs("value", [](World& world) { world.set("k", "w"); });
  differs("expiry", [](World& world) { world.set("k", "v", 5000); });
  differs("another expiry", [](World& world) { world.set("k", "v", 5001); });
  differs("name", [](World& world) { world.set("l2", "v"); });
  differs("database", [](World& world) { world.set("l2", "v", kNever, 1); });
  differs("key is gone", [](World& world) { world.db().discard(world.key("k")); });
  differs("order", [](World& world) { world.make<List>("l").push_front("b"); });
  differs("order", [](World& world) { world.make<List>("l").push_back("b"); });
  differs("score", [](World& world) { world.make<SortedSet>("z").set("a", 2, world.settings); });
  differs("field", [](World& world) { world.make<Hash>("h").set("f", "w", world.settings); });
  differs("names and values change places", [](World& world) { world.make<Hash>("h").set("v", "f", world.settings); });
  differs("expiry of a field", [](World& world) { world.make<Hash>("h").set_expiry("f", 9000, world.settings); });
  differs("type", [](World& world) {
    world.db().discard(world.key("z"));
    world.make<Set>("z").add("a", world.settings);
  });
}

TEST(PartitionSum, of_what_is_long_the_ends_and_the_size_count) {
  const auto sum_with = [](size_t size, size_t at) {
    World world;
    std::string value(size, 'v');
    value[at] = 'w';
    world.set("k", value);
    return world.all();
  };
  const size_t size = 4 * kSumBytesMax;
  EXPECT_NE(sum_with(size, 0), sum_with(size, 1));
  EXPECT_NE(sum_with(size, size - 1), sum_with(size, size - 2));
  EXPECT_NE(sum_with(size, 0), sum_with(size + 1, 0));
  World list;
  World another;
  for (int number = 0; number < 5000; ++number) {
    list.make<List>("l").push_back("x" + std::to_string(number));
    another.make<List>("l").push_back("x" + std::to_string(number));
  }
  EXPECT_EQ(list.all(), another.all());
  another.make<List>("l").erase(4999, 1);
  EXPECT_NE(list.all(), another.all());
  another.make<List>("l").push_back("y");
  EXPECT_NE(list.all(), another.all());
  World set;
  World other;
  for (const std::string& word : words(3000)) {
    set.make<Set>("s").add(word, set.settings);
    other.make<Set>("s").add(word, other.settings);
  }
  EXPECT_EQ(set.all(), other.all());
  other.make<Set>("s").add("one more", other.settings);
  EXPECT_NE(set.all(), other.all());
}

TEST(PartitionSum, is_that_of_the_instant_in_which_it_began) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    World world;
    Prng prng(seed);
    const auto change = [&] {
      const std::string name = "k" + std::to_string(prng.below(3000));
      if (prng.chance(0.2)) {
        world.db().discard(world.key(name));
      } else {
        world.set(name, std::to_string(prng.next()), prng.chance(0.2) ? static_cast<int64_t>(prng.below(9000)) : kNever);
      }
    };
    for (int number = 0; number < 12000; ++number) change();
    const uint32_t partition = static_cast<uint32_t>(seed % kPartitions);
    const Hash128 expected = world.now(partition);
    PartitionSum sum(world.store, partition);
    int steps = 1;
    for (; sum.step() == PartitionWalk::Progress::kMore; ++steps) {
      for (int number = 0; number < 100; ++number) change();
    }
    EXPECT_GT(steps, 1);
    EXPECT_EQ(sum.sum(), expected) << seed;
    EXPECT_NE(world.now(partition), expected);
  }
}

TEST(PartitionSum, large_values_end_a_step) {
  World world;
  for (int number = 0; number < 100; ++number) {
    for (const std::string& word : words(900)) world.make<Set>("s" + std::to_string(number)).add(word, world.settings);
  }
  PartitionSum sum(world.store, 0);
  int steps = 1;
  while (sum.step() == PartitionWalk::Progress::kMore) ++steps;
  EXPECT_GE(steps, 5);
  EXPECT_EQ(sum.sum(), world.now(0));
}

TEST(PartitionSum, is_broken_off_by_what_empties_the_partition) {
  World world;
  for (int number = 0; number < 5000; ++number) world.set("k" + std::to_string(number), "v");
  PartitionSum sum(world.store, 1);
  ASSERT_EQ(sum.step(), PartitionWalk::Progress::kMore);
  world.store.clear_partition(1);
  EXPECT_EQ(sum.step(), PartitionWalk::Progress::kBroken);
}

}  // namespace
}  // namespace quorate

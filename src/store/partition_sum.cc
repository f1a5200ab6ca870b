// Sums of hashes for what has no order, a chain of hashes for what has.
#include "store/partition_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr size_t kElementsAStep = 1000;

template <size_t size>
Hash128 hash_of_words(const std::array<uint64_t, size>& words) {
  char bytes[sizeof words];
  for (size_t index = 0; index < size; ++index) store_little<uint64_t>(bytes + index * sizeof(uint64_t), words[index]);
  return hash128({bytes, sizeof bytes}, size);
}

// Of something of which at most `bytes_max` are looked at.
Hash128 hash_of(std::string_view bytes, size_t bytes_max, uint64_t seed) {
  if (bytes.size() <= bytes_max) return hash128(bytes, seed);
  const Hash128 front = hash128(bytes.substr(0, bytes_max / 2), seed);
  const Hash128 back = hash128(bytes.substr(bytes.size() - bytes_max / 2), seed);
  return hash_of_words<6>({front.low, front.high, back.low, back.high, bytes.size(), seed});
}

Hash128 chained(const Hash128& before, const Hash128& next) {
  return hash_of_words<4>({before.low, before.high, next.low, next.high});
}

// What an element may take of kSumBytesMax.
size_t share_of(size_t elements) { return kSumBytesMax / std::clamp<size_t>(elements, 1, kSumElementsMax); }

Hash128 sum_of_list(const List& list) {
  const size_t size = list.size();
  const size_t share = share_of(size);
  Hash128 sum;
  const auto add = [&](size_t first, size_t count) {
    list.for_each_run(first, count, [&](const List::Run& run) {
      run.for_each([&](std::string_view element) { sum = chained(sum, hash_of(element, share, 0)); });
    });
  };
  add(0, size <= kSumElementsMax ? size : kSumElementsMax / 2);
  if (size > kSumElementsMax) add(size - kSumElementsMax / 2, kSumElementsMax / 2);
  return sum;
}

Hash128 sum_of_sorted_set(const SortedSet& set) {
  const size_t size = set.size();
  const size_t share = share_of(size);
  Hash128 sum;
  const auto add = [&](std::string_view member, double score) {
    sum += hash_of(member, share, std::bit_cast<uint64_t>(score));
    return true;
  };
  set.walk(0, size <= kSumElementsMax ? size : kSumElementsMax / 2, SortedSet::Direction::kUp, add);
  if (size > kSumElementsMax) set.walk(size - kSumElementsMax / 2, kSumElementsMax / 2, SortedSet::Direction::kUp, add);
  return sum;
}

Hash128 sum_of_set(const Set& set) {
  const size_t share = share_of(set.size());
  Hash128 sum;
  if (set.size() <= kSumElementsMax) set.for_each([&](std::string_view member) { sum += hash_of(member, share, 0); });
  return sum;
}

Hash128 sum_of_hash(const Hash& hash) {
  const size_t share = share_of(hash.size());
  Hash128 sum;
  if (hash.size() > kSumElementsMax) return sum;
  hash.for_each([&](const Hash::Field& field) {
    const Hash128 name = hash_of(field.name, share / 2, static_cast<uint64_t>(field.expiry));
    sum += chained(name, hash_of(field.value, share / 2, 0));
  });
  return sum;
}

struct ValueSum {
  size_t size = 0;   // in elements
  Hash128 sum = {};
};

ValueSum value_sum(const Entry& entry) {
  switch (entry.type()) {
    case ValueType::kString:
      return {1, hash_of(entry.string(), kSumBytesMax, 0)};
    case ValueType::kList: {
      const auto& list = *static_cast<const List*>(entry.object());
      return {list.size(), sum_of_list(list)};
    }
    case ValueType::kSet: {
      const auto& set = *static_cast<const Set*>(entry.object());
      return {set.size(), sum_of_set(set)};
    }
    case ValueType::kSortedSet: {
      const auto& set = *static_cast<const SortedSet*>(entry.object());
      return {set.size(), sum_of_sorted_set(set)};
    }
    case ValueType::kHash: {
      const auto& hash = *static_cast<const Hash*>(entry.object());
      return {hash.size(), sum_of_hash(hash)};
    }
    case ValueType::kStream:
      break;
  }
  CHECK(false);
}

Hash128 sum_of(int database, const Entry& entry, const ValueSum& value) {
  const Hash128 key = hash128(entry.key(), static_cast<uint64_t>(database));
  return hash_of_words<7>({key.low, key.high, value.sum.low, value.sum.high, value.size, static_cast<uint64_t>(entry.type()),
                           static_cast<uint64_t>(entry.expiry())});
}

}  // namespace

Hash128 sum_of(int database, const Entry& entry) { return sum_of(database, entry, value_sum(entry)); }

PartitionWalk::Progress PartitionSum::step() {
  work_ = 0;
  // One bucket after the other: their values may be large.
  while (work_ < kElementsAStep && walk_.walk(1) == PartitionWalk::Progress::kMore) ++work_;
  return walk_.progress();
}

void PartitionSum::save(int database, const Entry& entry) {
  const ValueSum value = value_sum(entry);
  sum_ += sum_of(database, entry, value);
  work_ += std::min(value.size, kSumElementsMax);
}

}  // namespace quorate

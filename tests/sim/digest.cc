// Sums of hashes for what has no order, a chain of hashes for what has.
#include "tests/sim/digest.h"

#include <bit>

#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/sorted_set.h"

namespace quorate::sim {

namespace {

uint64_t mix(uint64_t number, uint64_t seed) {
  return hash64({reinterpret_cast<const char*>(&number), sizeof number}, seed);
}

uint64_t value_digest(const Entry& entry) {
  uint64_t sum = 0;
  switch (entry.type()) {
    case ValueType::kString:
      return hash64(entry.string(), 1);
    case ValueType::kList:
      static_cast<const List*>(entry.object())->for_each([&](std::string_view element) {
        sum = hash64(element, mix(sum, 2));
      });
      return sum;
    case ValueType::kSet:
      static_cast<const Set*>(entry.object())->for_each([&](std::string_view member) {
        sum += hash64(member, 3);
      });
      return sum;
    case ValueType::kSortedSet:
      static_cast<const SortedSet*>(entry.object())
          ->for_each([&](std::string_view member, double score) {
            sum += hash64(member, std::bit_cast<uint64_t>(score));
          });
      return sum;
    case ValueType::kHash:
      static_cast<const Hash*>(entry.object())->for_each([&](const Hash::Field& field) {
        sum += hash64(field.value, hash64(field.name, static_cast<uint64_t>(field.expiry)));
      });
      return sum;
    case ValueType::kStream:
      break;
  }
  return sum;
}

}  // namespace

namespace {

uint64_t key_digest(int database, const Entry& entry) {
  const uint64_t content = value_digest(entry);
  const uint64_t name = hash64(entry.key(), static_cast<uint64_t>(database));
  const uint64_t value = mix(content, static_cast<uint64_t>(entry.type()));
  return mix(value, mix(static_cast<uint64_t>(entry.expiry()), name));
}

template <class Visit>
void for_each_entry(const Store& store, Visit&& visit) {
  for (int index = 0; index < store.database_count(); ++index) {
    // Looking changes nothing, but Store hands its databases out for change only.
    const_cast<Store&>(store).database(index).for_each(
        [&](const Entry* entry) { visit(index, *entry); });
  }
}

}  // namespace

uint64_t digest(const Store& store) {
  uint64_t sum = 0;
  for_each_entry(store, [&](int index, const Entry& entry) { sum += key_digest(index, entry); });
  return sum;
}

KeyDigests key_digests(const Store& store) {
  KeyDigests digests;
  for_each_entry(store, [&](int index, const Entry& entry) {
    digests[{index, std::string(entry.key())}] = key_digest(index, entry);
  });
  return digests;
}

std::vector<uint64_t> partition_digests(const Store& store) {
  std::vector<uint64_t> digests(store.partition_count(), 0);
  for_each_entry(store, [&](int index, const Entry& entry) {
    digests[store.partition_of(store.make_key(entry.key()).slot)] += key_digest(index, entry);
  });
  return digests;
}

std::vector<std::string> expired_keys(const Store& store, int database, int64_t now) {
  std::vector<std::string> found;
  for_each_entry(store, [&](int index, const Entry& entry) {
    if (index == database && entry.expiry() <= now) found.emplace_back(entry.key());
  });
  return found;
}

}  // namespace quorate::sim

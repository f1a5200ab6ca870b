// Numbers of changes.
#include "node/key_versions.h"

#include <algorithm>

namespace quorate {

KeyVersion KeyVersions::watch(uint32_t partition) {
  Partition& watched = partitions_[partition];
  if (watched.term == 0) return {};
  if (watched.numbers == nullptr) {
    watched.numbers = std::make_unique<Numbers>();
    // Of what happened before nothing is known.
    watched.numbers->of_all = ++last_;
  }
  return {.term = watched.term, .number = last_};
}

bool KeyVersions::is_unchanged(uint32_t partition, uint64_t key_hash, const KeyVersion& seen) const {
  const Partition& watched = partitions_[partition];
  if (watched.numbers == nullptr || watched.term != seen.term) return false;
  return std::max(watched.numbers->of_all, watched.numbers->of_slot[key_hash % kSlots]) <= seen.number;
}

size_t KeyVersions::memory() const {
  const auto kept = std::count_if(partitions_.begin(), partitions_.end(), [](const Partition& each) { return each.numbers != nullptr; });
  return partitions_.size() * sizeof(Partition) + static_cast<size_t>(kept) * sizeof(Numbers);
}

}  // namespace quorate

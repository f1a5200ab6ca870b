// The walk is by hash order, so a place in it tells what has been passed.
#include "store/partition_walk.h"

#include <algorithm>

#include "util/check.h"

namespace quorate {

PartitionWalk::PartitionWalk(Store& store, uint32_t partition, Store::SnapshotSink& sink)
    : store_(store),
      partition_(partition),
      sink_(sink),
      ahead_(static_cast<size_t>(store.database_count())) {
  CHECK(store_.partition_walk_ == nullptr);
  CHECK(partition < store.partition_count());
  store_.partition_walk_ = this;
}

PartitionWalk::~PartitionWalk() { store_.partition_walk_ = nullptr; }

PartitionWalk::Progress PartitionWalk::walk(size_t budget) {
  while (progress_ == Progress::kMore && budget > 0) {
    Names& names = ahead_[static_cast<size_t>(database_)];
    size_t seen = 1;
    position_ = store_.database(database_).walk_partition(partition_, position_, [&](const Entry* entry) {
      ++seen;
      const auto known = names.find(entry->key());
      if (known == names.end()) {
        sink_.save(database_, *entry);
        return;
      }
      // The place of the walk says it from now on.
      names.erase(known);
      --ahead_count_;
    });
    if (position_ == 0) {
      ahead_count_ -= names.size();
      names.clear();
      if (++database_ == store_.database_count()) progress_ = Progress::kDone;
    }
    budget -= std::min(budget, seen);
  }
  return progress_;
}

bool PartitionWalk::is_first_change(int database, const Key& key) {
  if (progress_ != Progress::kMore || store_.partition_of(key.slot) != partition_) return false;
  while (ahead_count_ >= kAheadMax && !is_passed(database, key.hash)) walk(kAssistance);
  if (is_passed(database, key.hash)) return false;
  const bool is_first = ahead_[static_cast<size_t>(database)].emplace(key.bytes).second;
  ahead_count_ += is_first ? 1 : 0;
  return is_first;
}

void PartitionWalk::before_change(int database, const Entry& entry) {
  if (is_first_change(database, store_.make_key(entry.key()))) sink_.save(database, entry);
}

void PartitionWalk::before_insert(int database, const Key& key) { is_first_change(database, key); }

}  // namespace quorate

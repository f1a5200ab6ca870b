// One partition as it is at one instant, given out in steps while commands go on.  Beside the walk over everything
// (Store::begin_snapshot), whose marks it leaves alone.  For the state that a leader sends to a replica.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "store/db.h"

namespace quorate {

// Its maker owns it; the store knows it as long as it lives.  Calls: walk until it is not kMore.  Must not outlive the
// store.
// Each entry that the partition holds when this is made reaches `sink` exactly once, with the value that it has then: by
// walk(), or earlier, just before it is changed.
// Invariant: whoever stands before the place of the walk has been given; of those behind it `ahead_` names the ones that
// were given already or came later.
class PartitionWalk {
 public:
  // kBroken: the partition was emptied or replaced, or databases changed places.  What was given is worth nothing.
  enum class Progress : uint8_t { kMore, kDone, kBroken };

  // Requires: no other runs on this store.
  PartitionWalk(Store& store, uint32_t partition, Store::SnapshotSink& sink);
  ~PartitionWalk();
  PartitionWalk(const PartitionWalk&) = delete;
  PartitionWalk& operator=(const PartitionWalk&) = delete;

  // Gives about `budget` entries.
  Progress walk(size_t budget);
  Progress progress() const { return progress_; }

 private:
  friend class Db;
  friend class Store;
  // So many names are remembered; whoever adds one more has to walk first.
  static constexpr size_t kAheadMax = 1 << 18;
  static constexpr size_t kAssistance = 64;

  // ---- told by Db and Store
  void before_change(int database, const Entry& entry);
  void before_insert(int database, const Key& key);
  void break_off() { progress_ = progress_ == Progress::kMore ? Progress::kBroken : progress_; }
  void before_clear(uint32_t partition) {
    if (partition == partition_) break_off();
  }

  // True if the key has just been added to the names ahead.
  bool is_first_change(int database, const Key& key);
  bool is_passed(int database, uint64_t hash) const {
    return database < database_ || (database == database_ && hash < position_);
  }

  Store& store_;
  const uint32_t partition_;
  Store::SnapshotSink& sink_;
  Progress progress_ = Progress::kMore;
  int database_ = 0;
  uint64_t position_ = 0;
  using Names = std::set<std::string, std::less<>>;
  std::vector<Names> ahead_;  // by database
  size_t ahead_count_ = 0;
};

}  // namespace quorate

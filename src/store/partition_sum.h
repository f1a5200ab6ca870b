// What one partition holds as one number, that copies of it compare (REPLICATION 8, "Divergence"): the same for equal keys, values and
// expiries, whatever the form of the values, the order of the tables, and when keys were used last.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/db.h"
#include "store/partition_walk.h"
#include "util/hash.h"

namespace quorate {

// Of one key.  O(1): of a value with more than kSumElementsMax elements its size counts, and of a list or sorted set both ends as well; of a
// value of more than kSumBytesMax the ends of what is long.
constexpr size_t kSumElementsMax = 1024;
constexpr size_t kSumBytesMax = 256 << 10;
Hash128 sum_of(int database, const Entry& entry);

// The sum of all keys of a partition, in all databases, at the instant in which this is made; in steps, while commands go on.  Its maker
// owns it.
class PartitionSum final : private Store::SnapshotSink {
 public:
  // Requires: no other PartitionWalk runs on this store.
  PartitionSum(Store& store, uint32_t partition) : walk_(store, partition, *this) {}

  // Goes on for about a millisecond at most.  kBroken: nobody will ever know.
  PartitionWalk::Progress step();
  // Requires: step() said kDone.
  Hash128 sum() const { return sum_; }

 private:
  void save(int database, const Entry& entry) override;

  Hash128 sum_;
  size_t work_ = 0;   // of this step, in elements
  PartitionWalk walk_;
};

}  // namespace quorate

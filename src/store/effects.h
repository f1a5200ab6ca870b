// Effects: what a write did, as deterministic commands on single keys ("SREM k m" for a SPOP, "PEXPIREAT k t"
// for an EXPIRE).  The effects of one command, script or MULTI form one atomic batch of the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "store/key.h"
#include "util/buffer.h"
#include "util/check.h"
#include "util/result.h"
#include "util/shared_bytes.h"
#include "util/varint.h"

namespace quorate {

// Collects the effects of one batch, encoded.  Each: varint database, u16 slot (little-endian), varint
// argument count, then each argument as varint length and bytes.  docs/FORMATS.md has the grammar.
// When nobody keeps a log, collecting is off and every call is a test of one flag.
class Effects {
 public:
  // kTurn: all effects in one run of bytes.  kPartition: a run for each partition.
  enum class Grouping : uint8_t { kTurn, kPartition };

  bool collecting() const { return collecting_; }
  void set_collecting(bool on) { collecting_ = on; }
  Grouping grouping() const { return grouping_; }
  // At first kTurn.  Requires: count() == 0; `partitions` is that of the store.
  void set_grouping(Grouping grouping, uint32_t partitions);

  // Requires of kPartition: the effect is one on a key.
  void add(int database, const Key& key, std::span<const std::string_view> args);
  void add(int database, const Key& key, std::initializer_list<std::string_view> args) {
    add(database, key, std::span<const std::string_view>(args.begin(), args.size()));
  }

  // All keys of the partition in this database go (is_clear()).  Requires: kPartition.
  void add_clear(int database, uint32_t partition);

  // What the partition keeps beside its keys changes (rows_in()).  Requires: kPartition.
  void add_rows(uint32_t partition, std::string_view rows);

  // The batch since the last clear().  Requires: kTurn.
  std::string_view bytes() const {
    DCHECK(grouping_ == Grouping::kTurn);
    return runs_[0].view();
  }
  // The same by partition: those with effects, in the order in which they got their first one.
  std::span<const uint32_t> touched() const { return touched_; }
  std::string_view bytes_of(uint32_t partition) const {
    return runs_[partition].empty() ? std::string_view() : runs_[partition].view_from(front_);
  }
  // The same behind `front`, to be kept.  What is large is not copied: bytes_of() is empty then.  Requires: kPartition;
  // front.size() <= kFrontMax.
  static constexpr size_t kFrontMax = kVarintMax;
  SharedBytes take(uint32_t partition, std::string_view front);
  // Of all of them.
  size_t count() const { return count_; }
  void clear();

 private:
  static constexpr int kTurnShift = 14;  // of any slot it leaves 0
  static_assert((kSlotCount - 1) >> kTurnShift == 0);

  void append(int database, uint16_t slot, std::span<const std::string_view> args);

  bool collecting_ = false;
  Grouping grouping_ = Grouping::kTurn;
  int shift_ = kTurnShift;         // from a slot to its run
  size_t count_ = 0;
  size_t front_ = 0;               // room in front of each run that is not empty
  std::vector<Buffer> runs_ = std::vector<Buffer>(1);
  std::vector<uint32_t> touched_;  // runs that are not empty
};

struct Effect {
  int database = 0;
  uint16_t slot = 0;
  std::vector<std::string_view> args;  // views into the bytes read
};

// No command: every key of the partition of `slot` goes, in this database (Db::clear_partition).
bool is_clear(const Effect& effect);

// No command either: which commands of other nodes have been run on the partition of `slot` (node/origin_rows.h).  Nothing: another effect.
std::optional<std::string_view> rows_in(const Effect& effect);

// Reads what Effects wrote.  Any input is allowed; damage is an error.
class EffectReader {
 public:
  explicit EffectReader(std::string_view bytes) : left_(bytes) {}
  bool at_end() const { return left_.empty(); }
  // Requires: !at_end().  Reuses the vector of `effect`.
  Status next(Effect& effect);

 private:
  std::string_view left_;
};

}  // namespace quorate

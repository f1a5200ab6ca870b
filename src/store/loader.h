// Puts many decoded entries into a store quickly: in batches, so that the memory each one touches
// is on its way before it is needed.  For snapshots and RDB files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "store/codec.h"
#include "store/db.h"
#include "store/entry.h"
#include "util/result.h"

namespace quorate {

// Owns the entries of the batch.  Calls: add*, flush.  Requires: the store is replaying (nothing
// expires).
class Loader {
 public:
  explicit Loader(Store& store) : store_(store) {}
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Takes over `entry`.  kCorrupt if a key stands there already (reported now or by a later call).
  // Requires: database < store.database_count().
  Status add(int database, Entry* entry);
  Status flush();
  // Entries put into the store since the last forget().
  uint64_t loaded() const { return loaded_; }
  // Drops what waits.
  void forget();

 private:
  static constexpr size_t kBatch = 32;
  struct Waiting {
    Db* db;
    Entry* entry;
    Key key;
  };
  Store& store_;
  std::array<Waiting, kBatch> waiting_;
  size_t count_ = 0;
  uint64_t loaded_ = 0;
};

// An entry as it stands in a snapshot's block: varint database, flags, access stamp, expiry, key,
// value.  The front is all but the value.
void encode_snapshot_front(int database, const Entry& entry, Buffer& out);
// How the value is to be written.
EncodeOptions snapshot_options(const Entry& entry, const StoreSettings& settings);
void encode_snapshot_entry(int database, const Entry& entry, const StoreSettings& settings,
                           Buffer& out);
struct SnapshotEntry {
  int database = 0;
  Entry* entry = nullptr;  // the reader's: Db::put or destroy_entry
};
// Reads one and takes it off the front of `block`.  Any bytes are allowed.  Requires: !block.empty().
Result<SnapshotEntry> take_snapshot_entry(std::string_view& block, const Store& store);
// Loads all entries of a block.  Any bytes are allowed.
Status load_snapshot_block(std::string_view block, Store& store, Loader& loader);

}  // namespace quorate

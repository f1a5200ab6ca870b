// Whole RDB files (dump.rdb, SYNC): read into a store, written from its snapshot walk.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "store/db.h"
#include "store/loader.h"
#include "store/rdb/encoder.h"
#include "store/rdb/input.h"
#include "store/value_pieces.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate::rdb {

struct FileReport {
  int version = 0;
  uint64_t keys = 0;
  uint64_t expired = 0;               // past their expiry at `now`, left out
  uint64_t empty = 0;                 // empty containers, left out
  std::vector<std::string> warnings;  // "what stood there -> what was done"
};

// Reads a whole file into `store`; keys that are there already are an error.  `now` in unix ms:
// keys that have expired are left out.  Any bytes are allowed: kCorrupt or kUnsupported say what
// and where.
Result<FileReport> load_file(StreamInput& input, Store& store, int64_t now);

struct FileOptions {
  int version = 10;
  Compression compression = Compression::kOn;
  std::string server_version = "7.0.15";  // aux field redis-ver
  int64_t now = 0;                        // unix ms
  uint64_t used_memory = 0;
};

// Writes a file as the sink of a snapshot walk.  Calls: save*, finish; take() whenever pending() is
// large.  While a value is given in pieces others are kept behind it: a megabyte for nothing, beyond that no more bytes
// than the open value has, since each gives as much of that one first.
class FileEncoder final : public Store::SnapshotSink {
 public:
  // Requires: `store` outlives this.  The header stands in pending() at once.
  FileEncoder(Store& store, const FileOptions& options);

  void save(int database, const Entry& entry) override;
  bool wants_pieces(const Entry& entry) const override;
  void open(int database, const Entry& entry) override;
  bool give(size_t elements) override;
  bool catch_up() override;
  // Requires: the walk has come to its end.
  void finish();

  size_t pending() const { return out_.size(); }
  // The bytes written since the last call.
  Buffer take();
  // What is kept behind the open value.
  size_t kept() const { return kept_; }
  uint64_t keys() const { return keys_; }
  // Hashes whose fields lost their expiry, because the version has no place for it.
  uint64_t hashes_without_expiry() const { return hashes_without_expiry_; }

 private:
  static constexpr size_t kChunkBytes = 64 << 10;
  static constexpr size_t kKeptFree = 1 << 20;

  void aux(std::string_view name, std::string_view value);
  void select(int database, Buffer& out);
  EncodeOptions options_of(const Entry& entry) const;
  // Writes what stands before the value, and the value that was encoded in value_.
  void write(int database, const Entry& entry, Buffer& out);
  // Where whole entries go.
  Buffer& place();
  // Gives about so many bytes of the open value.
  void assist(size_t bytes);

  Store& store_;
  const FileOptions options_;
  Buffer out_;
  Buffer value_;
  // A value is being given in pieces, or is complete and the walk has not heard of it.
  bool is_open_ = false;
  ValuePieces pieces_;
  std::deque<Buffer> behind_;  // others, in the order in which they will stand behind it
  size_t kept_ = 0;            // their bytes
  std::vector<bool> announced_;  // databases whose sizes were written
  int database_ = -1;
  uint64_t crc_ = 0;
  uint64_t keys_ = 0;
  uint64_t hashes_without_expiry_ = 0;
};

}  // namespace quorate::rdb

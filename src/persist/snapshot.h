// The container of a shard's point-in-time snapshot: a header that says which part of the log it
// stands for, what the groups of a node in company remember, checksummed blocks of entries, a
// footer.  What stands in the blocks is the store's and the cluster's matter (docs/FORMATS.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "persist/disk.h"
#include "persist/file_writer.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

// Version 3 is what a lone node writes; 4 has a block of groups behind the header.  1 and 2 are the same without entries in
// parts, and are still read.
constexpr uint8_t kSnapshotVersionAlone = 3;
constexpr uint8_t kSnapshotVersionGroups = 4;

// Up to where a partition's own log is contained in the snapshot.
struct PartitionPosition {
  uint32_t partition = 0;
  uint64_t term = 0;
  uint64_t index = 0;
};

struct SnapshotHeader {
  uint32_t shard = 0;
  uint32_t partitions = 0;
  uint64_t log_id = 0;
  uint64_t sequence = 0;  // the first record that is not contained
  uint64_t chain = 0;     // checksum of the record before that one
  int64_t unix_ms = 0;
  uint64_t hash_seed = 0;                    // of the tables, so that SCAN cursors stay valid
  std::vector<PartitionPosition> positions;  // ascending; only those that have any
};

enum class SnapshotBlockKind : uint8_t {
  kHeader = 1,
  kEntries = 2,  // whole ones; also between the parts of another
  kFooter = 3,
  kGroups = 4,
  kPart = 5,     // its last entry goes on in the next block that is a part
  kLastPart = 6  // ends it
};

// Calls: begin, hold?, (block, (end_part | between, end_between)*, end_entry)*, finish or abort, publish? if it
// was held; on_reply throughout.
class SnapshotWriter {
 public:
  // `groups`: opaque; empty: the snapshot has none, as that of a lone node.
  void begin(const SnapshotHeader& header, std::string_view groups,
             std::vector<DiskRequest>& requests);
  // Where the next entry's bytes go.
  Buffer& block() { return block_.bytes; }
  // Says that the entry in block() is complete; hands the block on when it has grown large.
  void end_entry(std::vector<DiskRequest>& requests);
  // Says that a part of an entry was added; what is in the block by now may go.
  void end_part(std::vector<DiskRequest>& requests);
  // Where the bytes of others go while an entry is given in parts: they do not wait for its end.
  Buffer& between() { return between_.bytes; }
  // Says that one whole entry was added to between().
  void end_between(std::vector<DiskRequest>& requests);
  // What was not handed on yet: less than two blocks and two entries.
  size_t waiting_bytes() const { return block_.bytes.size() + between_.bytes.size(); }
  // Requires: no entry is begun and not ended.
  void finish(std::vector<DiskRequest>& requests);
  void abort(std::vector<DiskRequest>& requests);
  // As FileWriter's.
  void hold() { file_.hold(); }
  void publish(std::vector<DiskRequest>& requests) { file_.publish(requests); }

  bool owns(uint64_t id) const { return file_.owns(id); }
  void on_reply(DiskReply&& reply, std::vector<DiskRequest>& requests) {
    file_.on_reply(std::move(reply), requests);
  }
  FileWriter::State state() const { return file_.state(); }
  const Status& outcome() const { return file_.outcome(); }
  uint64_t in_flight_bytes() const { return file_.in_flight_bytes(); }
  uint64_t size() const { return file_.size(); }
  uint64_t entries() const { return entries_ + block_.entries + between_.entries; }
  const SnapshotHeader& header() const { return header_; }

 private:
  static constexpr size_t kBlockBytes = 64 << 10;
  // Its bytes begin with room for the header.
  struct Block {
    Buffer bytes;
    uint32_t entries = 0;
  };
  static void clear(Block& block);
  void close(Block& block, SnapshotBlockKind kind, std::vector<DiskRequest>& requests);

  static constexpr uint8_t kOwner = 2;
  FileWriter file_{kOwner};
  SnapshotHeader header_;
  Block block_;
  Block between_;
  bool has_parts_ = false;  // of the entry in block_ some were handed on
  uint64_t entries_ = 0;    // of the blocks handed on
  uint64_t chain_ = 0;
};

// Reads a snapshot from front to end, checking everything.  Calls: open, groups, next*.  Memory: one
// block, which may not claim more bytes than the file has, and up to twice the parts read so far of one entry.
class SnapshotReader {
 public:
  SnapshotReader(Disk& disk, std::string file) : disk_(disk), file_(std::move(file)) {}
  // Reads the header.  kUnsupported: another version of the server has written it.
  Status open();
  const SnapshotHeader& header() const { return header_; }
  bool has_groups() const;
  // What the groups remember, valid until the next call; empty if there are none.
  Result<std::string_view> groups();
  // More whole entries, a block of them or those that parts make up, valid until the next call; nothing behind
  // the last (the footer was right).
  Result<std::optional<std::string_view>> next();
  uint64_t size() const { return size_; }

 private:
  struct Block {
    SnapshotBlockKind kind;
    std::string_view payload;
    uint64_t entries;
  };
  Result<Block> read_block();
  Status read_exactly(uint64_t count);
  Status check_footer(const Block& block) const;
  Error damaged(const char* what) const;

  Disk& disk_;
  const std::string file_;
  SnapshotHeader header_;
  uint8_t version_ = 0;
  uint64_t size_ = 0;
  uint64_t offset_ = 0;
  uint64_t chain_ = 0;
  uint64_t entries_ = 0;
  Buffer buffer_;
  enum class Parts : uint8_t { kNone, kSome, kAll } parts_ = Parts::kNone;
  Buffer joined_;  // those read of an entry
};

}  // namespace quorate

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

// Version 1 is what a lone node writes; 2 has a block of groups behind the header.
constexpr uint8_t kSnapshotVersionAlone = 1;
constexpr uint8_t kSnapshotVersionGroups = 2;

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

enum class SnapshotBlockKind : uint8_t { kHeader = 1, kEntries = 2, kFooter = 3, kGroups = 4 };

// Calls: begin, hold?, (block, end_entry)*, finish or abort, publish? if it was held; on_reply
// throughout.
class SnapshotWriter {
 public:
  // `groups`: opaque; empty: the snapshot has none, as that of a lone node.
  void begin(const SnapshotHeader& header, std::string_view groups,
             std::vector<DiskRequest>& requests);
  // Where the next entry's bytes go.
  Buffer& block() { return block_; }
  size_t block_size() const { return block_.size(); }
  // Says that one entry was added to block(); hands the block on when it has grown large.
  void end_entry(std::vector<DiskRequest>& requests);
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
  uint64_t entries() const { return entries_ + block_entries_; }
  const SnapshotHeader& header() const { return header_; }

 private:
  static constexpr size_t kBlockBytes = 64 << 10;
  void close_block(SnapshotBlockKind kind, std::vector<DiskRequest>& requests);

  static constexpr uint8_t kOwner = 2;
  FileWriter file_{kOwner};
  SnapshotHeader header_;
  Buffer block_;
  uint64_t entries_ = 0;        // of the blocks handed on
  uint32_t block_entries_ = 0;  // of block_
  uint64_t chain_ = 0;
};

// Reads a snapshot from front to end, checking everything.  Calls: open, groups, next*.  Memory: one
// block, and no block may claim more bytes than the file has.
class SnapshotReader {
 public:
  SnapshotReader(Disk& disk, std::string file) : disk_(disk), file_(std::move(file)) {}
  // Reads the header.  kUnsupported: another version of the server has written it.
  Status open();
  const SnapshotHeader& header() const { return header_; }
  bool has_groups() const { return version_ == kSnapshotVersionGroups; }
  // What the groups remember, valid until the next call; empty if there are none.
  Result<std::string_view> groups();
  // The next block of entries, valid until the next call; nothing behind the last (the footer was
  // right).
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
};

}  // namespace quorate

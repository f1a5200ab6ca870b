// Reads one segment of a log from front to end in large blocks, checking every record against the
// chain. It reports where and how the valid part ends; what that means is decided by recovery.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "persist/disk.h"
#include "persist/log_format.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

// Calls: open or open_at, then next until it says something else than kRecord; then, for kDamage,
// classify_damage. Memory: one block or one record, whichever is larger; no record may claim more
// bytes than the file has.
class SegmentReader {
 public:
  enum class Outcome : uint8_t {
    kRecord,  // a valid record
    kEnd,     // the end of the file, or nothing but zeros up to it
    kDamage,  // bytes that are no record in its place
  };
  // What lies behind the damage.
  struct Damage {
    bool header_follows = false;  // a header of a later record was found
    uint64_t synced = 0;  // the largest sequence that a later header proves to have been synced
    std::optional<RecordHeader::Kind> kind;  // of the first record whose header was found
  };

  SegmentReader(Disk& disk, std::string file) : disk_(disk), file_(std::move(file)) {}

  // False: the segment's header is cut off or damaged (then only size() and classify_damage() may
  // be used).  kUnsupported: another version of the server has written it.
  Result<bool> open();
  // Begins at a record in the middle instead.  Requires: another reader of the segment had checked
  // all before `offset`, and stood at `sequence` and `chain` there.
  Status open_at(uint64_t offset, uint64_t sequence, uint64_t chain);
  const SegmentHeader& header() const { return header_; }

  // `entries`: those of a turn; a record of another kind has none.  The views live until the next
  // call.  kUnsupported: the record is whole, but of a kind that this version does not know.
  Result<Outcome> next(RecordHeader& record, std::vector<LogEntry>& entries);
  // Of the last record.  Lives until the next call of next().
  std::string_view body() const { return body_; }
  // The whole of it, header and body.
  std::string_view record() const { return record_; }

  // Where the first byte stands that is no part of a valid record.
  uint64_t offset() const { return offset_; }
  uint64_t size() const { return size_; }
  uint64_t next_sequence() const { return next_sequence_; }
  uint64_t chain() const { return chain_; }

  // Looks through the rest of the file for headers of records from `sequence` on.  Linear in the
  // file's size.
  Result<Damage> classify_damage(uint64_t sequence);

 private:
  static constexpr size_t kBlockBytes = 1 << 20;
  // Makes `count` bytes from offset_ on visible; fewer are there only at the end of the file.
  Result<std::string_view> window(uint64_t count);
  Result<bool> only_zeros_follow();

  Disk& disk_;
  const std::string file_;
  SegmentHeader header_;
  uint64_t size_ = 0;
  uint64_t offset_ = 0;
  uint64_t next_sequence_ = 0;
  uint64_t chain_ = 0;
  Buffer block_;
  uint64_t block_offset_ = 0;  // of block_'s first byte in the file
  std::string_view record_;    // in block_
  std::string_view body_;      // in record_
};

// The entries of a record's body; false if it is malformed.  Any bytes are allowed.
bool parse_entries(std::string_view body, std::vector<LogEntry>& entries);

}  // namespace quorate

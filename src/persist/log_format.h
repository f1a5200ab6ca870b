// The bytes of log segments; docs/FORMATS.md is the prose.  Shared by LogWriter and LogReader only.
//
//   segment  = segment header, record*, zeros up to the end of the file
//   record   = record header, body;  body of a turn = entry*;  body of groups: opaque
//   entry    = varint partition + 1 (0: each effect names its slot), varint term, varint index,
//              varint size, effects
//
// A record is what one turn of the loop wrote: whole or not at all.  Integers are little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quorate {

constexpr uint8_t kLogVersion = 1;

// An entry whose effects lie in several partitions, or in one that needs no index of its own.
constexpr uint32_t kMixedPartition = UINT32_MAX;

struct LogEntry {
  uint32_t partition = kMixedPartition;
  uint64_t term = 0;
  uint64_t index = 0;
  std::string_view batch;  // as store/effects.h writes them; opaque here
};

// Where a log may begin.
enum class LogBase : uint8_t {
  kEmpty = 0,    // the data set was empty before the segment's first record, which is number 1
  kFollows = 1,  // a segment or a snapshot comes before it
  kAwaits = 2,  // a snapshot of what came before was still being written when the segment was made:
                // without it the segment, and all after it, do not count (appendonly switched on)
};

// The seed of the tables of a data set whose log has this id, unless a snapshot names another.
uint64_t hash_seed_of_log(uint64_t log_id);

struct SegmentHeader {
  static constexpr size_t kSize = 64;
  uint32_t shard = 0;
  uint32_t partitions = 0;
  uint64_t log_id = 0;  // drawn when the log was born; segments of another log are refused
  uint64_t first_sequence = 0;
  uint64_t chain = 0;  // checksum of the record before the first one
  LogBase base = LogBase::kEmpty;

  std::string encode() const;
  static std::optional<SegmentHeader> decode(std::string_view bytes);
  // A whole header, but of another version of the format.
  static bool is_of_another_version(std::string_view bytes);
};

struct RecordHeader {
  static constexpr size_t kSize = 48;
  static constexpr uint64_t kBodyMax = (uint64_t{1} << 40) - 1;
  enum class Kind : uint8_t {
    kTurn = 1,    // effects of a lone node
    kGroups = 2,  // what the groups of a node in company store (cluster/group_record.h)
  };
  Kind kind = Kind::kTurn;
  uint64_t body_size = 0;
  uint64_t sequence = 0;
  uint64_t synced = 0;  // every record up to this sequence was known to be synced (REPLICATION 5)
  int64_t unix_ms = 0;
  uint64_t chain = 0;  // of the body, seeded by the record before

  void encode(char* out) const;
  // Nothing if the bytes are no header; the header proves itself, the body needs the chain.  The
  // kind may be one that a later version has added: then is_known() is false.
  static std::optional<RecordHeader> decode(std::string_view bytes);
  bool is_known() const { return kind == Kind::kTurn || kind == Kind::kGroups; }
};

uint64_t log_chain(uint64_t before, std::string_view body);

// "shard0-00000000000000a1.log"; the number is the first sequence.
std::string segment_name(uint32_t shard, uint64_t first_sequence);
// "shard0-00000000000000a1.snapshot": stands for every record below the number.
std::string snapshot_name(uint32_t shard, uint64_t sequence);
constexpr std::string_view kTemporarySuffix = ".tmp";
inline constexpr std::string_view kDamagedSuffix = ".damaged";  // set aside, and never read

struct ParsedName {
  enum class Kind : uint8_t { kSegment, kSnapshot, kTemporary };
  Kind kind = Kind::kSegment;
  uint32_t shard = 0;
  uint64_t sequence = 0;
};
// Nothing if the file is none of ours.
std::optional<ParsedName> parse_name(std::string_view file);

}  // namespace quorate

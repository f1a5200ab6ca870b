// The bytes of segment and record headers, and the names of the files.
#include "persist/log_format.h"

#include <cstring>

#include "util/check.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr std::string_view kSegmentMagic = "QRTELOG";
constexpr uint8_t kRecordMark = 'Q';
// Distinct seeds, so that one kind of header is never taken for the other.
constexpr uint64_t kSegmentSeed = 0x7365676d656e7431;
constexpr uint64_t kTableSeed = 0x7461626c65736565;
constexpr uint64_t kRecordSeed = 0x7265636f72643031;

constexpr size_t kSegmentCheckAt = SegmentHeader::kSize - sizeof(uint64_t);
constexpr size_t kRecordCheckAt = RecordHeader::kSize - sizeof(uint64_t);

}  // namespace

std::string SegmentHeader::encode() const {
  std::string bytes(kSize, '\0');
  char* at = bytes.data();
  std::memcpy(at, kSegmentMagic.data(), kSegmentMagic.size());
  at[7] = static_cast<char>(kLogVersion);
  store_little<uint32_t>(at + 8, shard);
  store_little<uint32_t>(at + 12, partitions);
  store_little<uint64_t>(at + 16, log_id);
  store_little<uint64_t>(at + 24, first_sequence);
  store_little<uint64_t>(at + 32, chain);
  at[40] = static_cast<char>(base);
  store_little<uint64_t>(at + kSegmentCheckAt,
                         hash64({bytes.data(), kSegmentCheckAt}, kSegmentSeed));
  return bytes;
}

std::optional<SegmentHeader> SegmentHeader::decode(std::string_view bytes) {
  if (bytes.size() < kSize) return std::nullopt;
  const char* at = bytes.data();
  if (bytes.substr(0, kSegmentMagic.size()) != kSegmentMagic) return std::nullopt;
  if (static_cast<uint8_t>(at[7]) != kLogVersion) return std::nullopt;
  if (load_little<uint64_t>(at + kSegmentCheckAt) !=
      hash64(bytes.substr(0, kSegmentCheckAt), kSegmentSeed)) {
    return std::nullopt;
  }
  const auto base = static_cast<uint8_t>(at[40]);
  if (base > static_cast<uint8_t>(LogBase::kAwaits)) return std::nullopt;
  return SegmentHeader{.shard = load_little<uint32_t>(at + 8),
                       .partitions = load_little<uint32_t>(at + 12),
                       .log_id = load_little<uint64_t>(at + 16),
                       .first_sequence = load_little<uint64_t>(at + 24),
                       .chain = load_little<uint64_t>(at + 32),
                       .base = static_cast<LogBase>(base)};
}

bool SegmentHeader::is_of_another_version(std::string_view bytes) {
  return bytes.size() >= kSize && bytes.substr(0, kSegmentMagic.size()) == kSegmentMagic &&
         static_cast<uint8_t>(bytes[7]) != kLogVersion &&
         load_little<uint64_t>(bytes.data() + kSegmentCheckAt) ==
             hash64(bytes.substr(0, kSegmentCheckAt), kSegmentSeed);
}

void RecordHeader::encode(char* out) const {
  CHECK(body_size <= kBodyMax);
  CHECK(is_known());
  out[0] = static_cast<char>(kRecordMark);
  out[1] = static_cast<char>(kind);
  out[2] = static_cast<char>(kLogVersion);
  store_little<uint32_t>(out + 3, static_cast<uint32_t>(body_size));
  out[7] = static_cast<char>(body_size >> 32);
  store_little<uint64_t>(out + 8, sequence);
  store_little<uint64_t>(out + 16, synced);
  store_little<int64_t>(out + 24, unix_ms);
  store_little<uint64_t>(out + 32, chain);
  store_little<uint64_t>(out + kRecordCheckAt, hash64({out, kRecordCheckAt}, kRecordSeed));
}

std::optional<RecordHeader> RecordHeader::decode(std::string_view bytes) {
  if (bytes.size() < kSize) return std::nullopt;
  const char* at = bytes.data();
  // The cheap tests first: a scan for a header tries every offset.
  if (static_cast<uint8_t>(at[0]) != kRecordMark || at[1] == 0 ||
      static_cast<uint8_t>(at[2]) != kLogVersion) {
    return std::nullopt;
  }
  if (load_little<uint64_t>(at + kRecordCheckAt) !=
      hash64(bytes.substr(0, kRecordCheckAt), kRecordSeed)) {
    return std::nullopt;
  }
  const uint64_t high = static_cast<uint8_t>(at[7]);
  return RecordHeader{.kind = static_cast<Kind>(at[1]),
                      .body_size = load_little<uint32_t>(at + 3) | (high << 32),
                      .sequence = load_little<uint64_t>(at + 8),
                      .synced = load_little<uint64_t>(at + 16),
                      .unix_ms = load_little<int64_t>(at + 24),
                      .chain = load_little<uint64_t>(at + 32)};
}

uint64_t hash_seed_of_log(uint64_t log_id) {
  char bytes[sizeof log_id];
  store_little<uint64_t>(bytes, log_id);
  return hash64({bytes, sizeof bytes}, kTableSeed);
}

uint64_t log_chain(uint64_t before, std::string_view body) { return hash64(body, before); }

namespace {

constexpr std::string_view kPrefix = "shard";
constexpr std::string_view kSegmentSuffix = ".log";
constexpr std::string_view kSnapshotSuffix = ".snapshot";
constexpr size_t kSequenceDigits = 16;

std::string make_name(uint32_t shard, uint64_t sequence, std::string_view suffix) {
  std::string name(kPrefix);
  name += std::to_string(shard);
  name += '-';
  for (int shift = 60; shift >= 0; shift -= 4) name += "0123456789abcdef"[(sequence >> shift) & 15];
  name += suffix;
  return name;
}

}  // namespace

std::string segment_name(uint32_t shard, uint64_t first_sequence) {
  return make_name(shard, first_sequence, kSegmentSuffix);
}

std::string snapshot_name(uint32_t shard, uint64_t sequence) {
  return make_name(shard, sequence, kSnapshotSuffix);
}

std::optional<ParsedName> parse_name(std::string_view file) {
  ParsedName parsed;
  std::string_view rest = file;
  const bool temporary = rest.ends_with(kTemporarySuffix);
  if (temporary) rest.remove_suffix(kTemporarySuffix.size());
  if (rest.ends_with(kSegmentSuffix)) {
    rest.remove_suffix(kSegmentSuffix.size());
  } else if (rest.ends_with(kSnapshotSuffix)) {
    rest.remove_suffix(kSnapshotSuffix.size());
    parsed.kind = ParsedName::Kind::kSnapshot;
  } else {
    return std::nullopt;
  }
  if (temporary) parsed.kind = ParsedName::Kind::kTemporary;
  if (!rest.starts_with(kPrefix) || rest.size() < kPrefix.size() + 2 + kSequenceDigits) {
    return std::nullopt;
  }
  for (const char digit : rest.substr(rest.size() - kSequenceDigits)) {
    const bool decimal = digit >= '0' && digit <= '9';
    if (!decimal && (digit < 'a' || digit > 'f')) return std::nullopt;
    parsed.sequence =
        parsed.sequence * 16 + static_cast<uint64_t>(decimal ? digit - '0' : digit - 'a' + 10);
  }
  rest.remove_suffix(kSequenceDigits);
  rest.remove_prefix(kPrefix.size());
  if (!rest.ends_with('-')) return std::nullopt;
  rest.remove_suffix(1);
  if (rest.empty() || rest.size() > 9 || (rest.size() > 1 && rest[0] == '0')) return std::nullopt;
  for (const char digit : rest) {
    if (digit < '0' || digit > '9') return std::nullopt;
    parsed.shard = parsed.shard * 10 + static_cast<uint32_t>(digit - '0');
  }
  return parsed;
}

}  // namespace quorate

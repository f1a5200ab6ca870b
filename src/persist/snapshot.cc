// Blocks of snapshots, written and read; docs/FORMATS.md.
#include "persist/snapshot.h"

#include <cstring>

#include "persist/log_format.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr std::string_view kMagic = "QRTSNAP";  // the version follows
constexpr uint8_t kOldVersionAlone = 1;
constexpr uint8_t kOldVersionGroups = 2;
constexpr uint8_t kBlockMark = 'S';
constexpr size_t kBlockHeaderSize = 32;
constexpr size_t kBlockCheckAt = kBlockHeaderSize - sizeof(uint64_t);
constexpr uint64_t kBlockSeed = 0x736e6170626c6f63;
constexpr uint64_t kChainStart = 0x736e617063686169;

// mark, kind, two zeros, u32 entries, u64 payload size, u64 chain, u64 check of these.
void encode_block_header(char* out, SnapshotBlockKind kind, uint32_t entries, uint64_t size,
                         uint64_t chain) {
  std::memset(out, 0, kBlockHeaderSize);
  out[0] = static_cast<char>(kBlockMark);
  out[1] = static_cast<char>(kind);
  store_little<uint32_t>(out + 4, entries);
  store_little<uint64_t>(out + 8, size);
  store_little<uint64_t>(out + 16, chain);
  store_little<uint64_t>(out + kBlockCheckAt, hash64({out, kBlockCheckAt}, kBlockSeed));
}

void encode_header(const SnapshotHeader& header, Buffer& out) {
  append_little<uint32_t>(out, header.shard);
  append_little<uint32_t>(out, header.partitions);
  append_little<uint64_t>(out, header.log_id);
  append_little<uint64_t>(out, header.sequence);
  append_little<uint64_t>(out, header.chain);
  append_little<int64_t>(out, header.unix_ms);
  append_little<uint64_t>(out, header.hash_seed);
  append_varint(out, header.positions.size());
  for (const PartitionPosition& position : header.positions) {
    append_varint(out, position.partition);
    append_varint(out, position.term);
    append_varint(out, position.index);
  }
}

bool decode_header(std::string_view bytes, SnapshotHeader& header) {
  uint64_t count = 0;
  if (!take_little(bytes, header.shard) || !take_little(bytes, header.partitions) ||
      !take_little(bytes, header.log_id) || !take_little(bytes, header.sequence) ||
      !take_little(bytes, header.chain) || !take_little(bytes, header.unix_ms) ||
      !take_little(bytes, header.hash_seed) || !take_varint(bytes, count)) {
    return false;
  }
  if (count > bytes.size()) return false;
  for (; count > 0; --count) {
    PartitionPosition position;
    uint64_t partition = 0;
    if (!take_varint(bytes, partition) || !take_varint(bytes, position.term) ||
        !take_varint(bytes, position.index) || partition >= header.partitions) {
      return false;
    }
    position.partition = static_cast<uint32_t>(partition);
    header.positions.push_back(position);
  }
  return bytes.empty();
}

}  // namespace

// Each block begins with room for its own header, so that it leaves in one piece.
void SnapshotWriter::begin(const SnapshotHeader& header, std::string_view groups,
                           std::vector<DiskRequest>& requests) {
  header_ = header;
  entries_ = 0;
  chain_ = kChainStart;
  file_.begin(snapshot_name(header.shard, header.sequence), requests);
  Buffer magic;
  magic.append(kMagic);
  magic.push_back(
      static_cast<char>(groups.empty() ? kSnapshotVersionAlone : kSnapshotVersionGroups));
  file_.write(std::move(magic), requests);
  has_parts_ = false;
  clear(block_);
  clear(between_);
  encode_header(header, block_.bytes);
  close(block_, SnapshotBlockKind::kHeader, requests);
  if (groups.empty()) return;
  block_.bytes.append(groups);
  close(block_, SnapshotBlockKind::kGroups, requests);
}

void SnapshotWriter::clear(Block& block) {
  block.bytes.clear();
  block.bytes.reserve(kBlockHeaderSize);
  block.bytes.commit(kBlockHeaderSize);
  block.entries = 0;
}

void SnapshotWriter::close(Block& block, SnapshotBlockKind kind, std::vector<DiskRequest>& requests) {
  const std::string_view payload = block.bytes.view_from(kBlockHeaderSize);
  chain_ = hash64(payload, chain_);
  encode_block_header(block.bytes.data(), kind, block.entries, payload.size(), chain_);
  entries_ += block.entries;
  file_.write(std::move(block.bytes), requests);
  block.bytes = Buffer();
  block.bytes.reserve(kBlockBytes + kBlockBytes / 8);
  clear(block);
}

// Parts end with their entry: a reader has to keep them all until then.
void SnapshotWriter::end_entry(std::vector<DiskRequest>& requests) {
  ++block_.entries;
  if (has_parts_) {
    close(block_, SnapshotBlockKind::kLastPart, requests);
    has_parts_ = false;
  } else if (block_.bytes.size() >= kBlockBytes) {
    close(block_, SnapshotBlockKind::kEntries, requests);
  }
  if (between_.entries == 0) return;
  block_.bytes.append(between_.bytes.view_from(kBlockHeaderSize));
  block_.entries += between_.entries;
  clear(between_);
}

void SnapshotWriter::end_part(std::vector<DiskRequest>& requests) {
  if (block_.bytes.size() < kBlockBytes) return;
  close(block_, SnapshotBlockKind::kPart, requests);
  has_parts_ = true;
}

void SnapshotWriter::end_between(std::vector<DiskRequest>& requests) {
  ++between_.entries;
  if (between_.bytes.size() >= kBlockBytes) close(between_, SnapshotBlockKind::kEntries, requests);
}

void SnapshotWriter::finish(std::vector<DiskRequest>& requests) {
  CHECK(!has_parts_);
  CHECK(between_.entries == 0);
  if (block_.entries > 0) close(block_, SnapshotBlockKind::kEntries, requests);
  append_varint(block_.bytes, entries_);
  close(block_, SnapshotBlockKind::kFooter, requests);
  block_.bytes.release();
  between_.bytes.release();
  file_.finish(requests);
}

void SnapshotWriter::abort(std::vector<DiskRequest>& requests) {
  block_ = Block();
  between_ = Block();
  file_.abort(requests);
}

Error SnapshotReader::damaged(const char* what) const {
  return Error(ErrorCode::kCorrupt, file_ + ": " + what + " at byte " + std::to_string(offset_));
}

Status SnapshotReader::read_exactly(uint64_t count) {
  if (count > size_ - offset_) return damaged("the file is cut off");
  buffer_.clear();
  TRY(disk_.read(file_, offset_, static_cast<size_t>(count), buffer_));
  if (buffer_.size() != count) return damaged("the file is cut off");
  return done();
}

Result<SnapshotReader::Block> SnapshotReader::read_block() {
  TRY(read_exactly(kBlockHeaderSize));
  const char* const head = buffer_.data();
  if (static_cast<uint8_t>(head[0]) != kBlockMark ||
      load_little<uint64_t>(head + kBlockCheckAt) != hash64({head, kBlockCheckAt}, kBlockSeed)) {
    return damaged("a block's header is damaged");
  }
  const auto kind = static_cast<SnapshotBlockKind>(head[1]);
  const auto entries = load_little<uint32_t>(head + 4);
  const auto payload_size = load_little<uint64_t>(head + 8);
  const auto chain = load_little<uint64_t>(head + 16);
  const uint64_t start = offset_;
  offset_ += kBlockHeaderSize;
  TRY(read_exactly(payload_size));
  if (hash64(buffer_.view(), chain_) != chain) {
    offset_ = start;
    return damaged("a block is damaged");
  }
  chain_ = chain;
  offset_ += payload_size;
  return Block{.kind = kind, .payload = buffer_.view(), .entries = entries};
}

Status SnapshotReader::open() {
  TRY(size_, disk_.size(file_));
  chain_ = kChainStart;
  TRY(read_exactly(kMagic.size() + 1));
  if (!buffer_.view().starts_with(kMagic)) return damaged("this is no snapshot");
  version_ = static_cast<uint8_t>(buffer_.view().back());
  if (version_ < kOldVersionAlone || version_ > kSnapshotVersionGroups) {
    return Error(ErrorCode::kUnsupported, file_ + ": written by another version of the server");
  }
  offset_ = kMagic.size() + 1;
  TRY(const Block block, read_block());
  if (block.kind != SnapshotBlockKind::kHeader || !decode_header(block.payload, header_)) {
    return damaged("the header is damaged");
  }
  return done();
}

bool SnapshotReader::has_groups() const {
  return version_ == kSnapshotVersionGroups || version_ == kOldVersionGroups;
}

Result<std::string_view> SnapshotReader::groups() {
  if (!has_groups()) return std::string_view();
  TRY(const Block block, read_block());
  if (block.kind != SnapshotBlockKind::kGroups || block.payload.empty()) {
    return damaged("the block of groups is missing");
  }
  return block.payload;
}

Status SnapshotReader::check_footer(const Block& block) const {
  std::string_view payload = block.payload;
  uint64_t entries = 0;
  if (parts_ == Parts::kSome) return damaged("an entry is cut off");
  if (block.kind != SnapshotBlockKind::kFooter || !take_varint(payload, entries) ||
      entries != entries_ || offset_ != size_) {
    return damaged("the footer is damaged");
  }
  return done();
}

Result<std::optional<std::string_view>> SnapshotReader::next() {
  if (parts_ == Parts::kAll) {
    joined_.release();
    parts_ = Parts::kNone;
  }
  const bool may_have_parts = version_ >= kSnapshotVersionAlone;
  while (true) {
    TRY(const Block block, read_block());
    const bool is_part = block.kind == SnapshotBlockKind::kPart;
    const bool is_last_part = block.kind == SnapshotBlockKind::kLastPart && parts_ == Parts::kSome;
    if (may_have_parts && (is_part || is_last_part)) {
      entries_ += block.entries;
      joined_.append(block.payload);
      parts_ = is_part ? Parts::kSome : Parts::kAll;
      if (is_part) continue;
      return std::optional(joined_.view());
    }
    if (block.kind != SnapshotBlockKind::kEntries) {
      TRY(check_footer(block));
      return std::optional<std::string_view>();
    }
    entries_ += block.entries;
    return std::optional(block.payload);
  }
}

}  // namespace quorate

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
  block_entries_ = 0;
  chain_ = kChainStart;
  file_.begin(snapshot_name(header.shard, header.sequence), requests);
  Buffer magic;
  magic.append(kMagic);
  magic.push_back(
      static_cast<char>(groups.empty() ? kSnapshotVersionAlone : kSnapshotVersionGroups));
  file_.write(std::move(magic), requests);
  block_.clear();
  block_.commit((block_.reserve(kBlockHeaderSize), kBlockHeaderSize));
  encode_header(header, block_);
  close_block(SnapshotBlockKind::kHeader, requests);
  if (groups.empty()) return;
  block_.append(groups);
  close_block(SnapshotBlockKind::kGroups, requests);
}

void SnapshotWriter::close_block(SnapshotBlockKind kind, std::vector<DiskRequest>& requests) {
  const std::string_view payload = block_.view_from(kBlockHeaderSize);
  chain_ = hash64(payload, chain_);
  encode_block_header(block_.data(), kind, block_entries_, payload.size(), chain_);
  entries_ += block_entries_;
  block_entries_ = 0;
  file_.write(std::move(block_), requests);
  block_ = Buffer();
  block_.reserve(kBlockBytes + kBlockBytes / 8);
  block_.commit(kBlockHeaderSize);
}

void SnapshotWriter::end_entry(std::vector<DiskRequest>& requests) {
  ++block_entries_;
  if (block_.size() >= kBlockBytes) close_block(SnapshotBlockKind::kEntries, requests);
}

void SnapshotWriter::finish(std::vector<DiskRequest>& requests) {
  if (block_entries_ > 0) close_block(SnapshotBlockKind::kEntries, requests);
  append_varint(block_, entries_);
  close_block(SnapshotBlockKind::kFooter, requests);
  block_.release();
  file_.finish(requests);
}

void SnapshotWriter::abort(std::vector<DiskRequest>& requests) {
  block_.release();
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
  if (version_ != kSnapshotVersionAlone && version_ != kSnapshotVersionGroups) {
    return Error(ErrorCode::kUnsupported, file_ + ": written by another version of the server");
  }
  offset_ = kMagic.size() + 1;
  TRY(const Block block, read_block());
  if (block.kind != SnapshotBlockKind::kHeader || !decode_header(block.payload, header_)) {
    return damaged("the header is damaged");
  }
  return done();
}

Result<std::string_view> SnapshotReader::groups() {
  if (version_ == kSnapshotVersionAlone) return std::string_view();
  TRY(const Block block, read_block());
  if (block.kind != SnapshotBlockKind::kGroups || block.payload.empty()) {
    return damaged("the block of groups is missing");
  }
  return block.payload;
}

Result<std::optional<std::string_view>> SnapshotReader::next() {
  TRY(const Block block, read_block());
  if (block.kind == SnapshotBlockKind::kEntries) {
    entries_ += block.entries;
    return std::optional(block.payload);
  }
  std::string_view payload = block.payload;
  uint64_t entries = 0;
  if (block.kind != SnapshotBlockKind::kFooter || !take_varint(payload, entries) ||
      entries != entries_ || offset_ != size_) {
    return damaged("the footer is damaged");
  }
  return std::optional<std::string_view>();
}

}  // namespace quorate

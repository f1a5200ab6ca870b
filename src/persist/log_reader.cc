// Blocks, the check of each record, and the search behind damage.
#include "persist/log_reader.h"

#include <algorithm>

#include "util/varint.h"

namespace quorate {

bool parse_entries(std::string_view body, std::vector<LogEntry>& entries) {
  entries.clear();
  while (!body.empty()) {
    LogEntry entry;
    uint64_t partition = 0;
    if (!take_varint(body, partition) || !take_varint(body, entry.term) ||
        !take_varint(body, entry.index) || !take_sized(body, entry.batch)) {
      return false;
    }
    if (partition > kMixedPartition) return false;
    entry.partition = partition == 0 ? kMixedPartition : static_cast<uint32_t>(partition - 1);
    entries.push_back(entry);
  }
  return true;
}

Result<std::string_view> SegmentReader::window(uint64_t count) {
  const uint64_t wanted = std::min(count, size_ - offset_);
  const uint64_t have = block_offset_ + block_.size() - offset_;
  if (have < wanted) {
    block_.drop_front(static_cast<size_t>(offset_ - block_offset_));
    block_offset_ = offset_;
    const uint64_t left = size_ - offset_ - block_.size();
    const uint64_t missing = wanted - block_.size();
    const uint64_t more = std::min(left, std::max<uint64_t>(missing, kBlockBytes));
    const size_t before = block_.size();
    TRY(disk_.read(file_, offset_ + before, static_cast<size_t>(more), block_));
    if (block_.size() < before + missing) {
      return Error(ErrorCode::kIo, file_ + ": shorter than its size says");
    }
  }
  return block_.view().substr(static_cast<size_t>(offset_ - block_offset_),
                              static_cast<size_t>(wanted));
}

Result<bool> SegmentReader::open() {
  TRY(size_, disk_.size(file_));
  TRY(const std::string_view bytes, window(SegmentHeader::kSize));
  const auto header = SegmentHeader::decode(bytes);
  if (!header) {
    if (!SegmentHeader::is_of_another_version(bytes)) return false;
    return Error(ErrorCode::kUnsupported, file_ + ": written by another version of the server");
  }
  header_ = *header;
  offset_ = SegmentHeader::kSize;
  next_sequence_ = header_.first_sequence;
  chain_ = header_.chain;
  return true;
}

Status SegmentReader::open_at(uint64_t offset, uint64_t sequence, uint64_t chain) {
  TRY(size_, disk_.size(file_));
  if (offset > size_) return Error(ErrorCode::kIo, file_ + ": shorter than it was");
  offset_ = block_offset_ = offset;
  next_sequence_ = sequence;
  chain_ = chain;
  return done();
}

Result<bool> SegmentReader::only_zeros_follow() {
  const uint64_t start = offset_;
  bool zeros = true;
  while (zeros && offset_ < size_) {
    TRY(const std::string_view bytes, window(kBlockBytes));
    zeros = std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
    offset_ += bytes.size();
  }
  offset_ = start;
  block_.clear();
  block_offset_ = offset_;
  return zeros;
}

Result<SegmentReader::Outcome> SegmentReader::next(RecordHeader& record,
                                                   std::vector<LogEntry>& entries) {
  record_ = body_ = {};
  entries.clear();
  TRY(const std::string_view head, window(RecordHeader::kSize));
  const auto header = RecordHeader::decode(head);
  if (!header) [[unlikely]] {
    TRY(const bool zeros, only_zeros_follow());
    return zeros ? Outcome::kEnd : Outcome::kDamage;
  }
  if (header->sequence != next_sequence_) return Outcome::kDamage;
  if (header->body_size > size_ - offset_ - RecordHeader::kSize) return Outcome::kDamage;
  TRY(const std::string_view whole, window(RecordHeader::kSize + header->body_size));
  const std::string_view body = whole.substr(RecordHeader::kSize);
  if (log_chain(chain_, body) != header->chain) return Outcome::kDamage;
  if (!header->is_known()) {
    // Its writer may have been promised that it stays, so it is not taken for damage.
    return Error(ErrorCode::kUnsupported,
                 file_ + ": record " + std::to_string(header->sequence) + " at byte " +
                     std::to_string(offset_) + " is of kind " +
                     std::to_string(static_cast<unsigned>(header->kind)) +
                     ", which this version of the server does not know; start the version that "
                     "wrote it");
  }
  if (header->kind == RecordHeader::Kind::kTurn && !parse_entries(body, entries)) {
    return Outcome::kDamage;
  }
  record = *header;
  record_ = whole;
  body_ = body;
  chain_ = header->chain;
  ++next_sequence_;
  offset_ += whole.size();
  return Outcome::kRecord;
}

Result<SegmentReader::Damage> SegmentReader::classify_damage(uint64_t sequence) {
  Damage damage;
  const uint64_t start = offset_;
  while (size_ - offset_ >= RecordHeader::kSize) {
    TRY(const std::string_view bytes, window(kBlockBytes));
    size_t at = 0;
    for (; at + RecordHeader::kSize <= bytes.size(); ++at) {
      if (bytes[at] != 'Q') continue;
      const auto header = RecordHeader::decode(bytes.substr(at));
      if (!header || header->sequence < sequence || header->synced >= header->sequence) continue;
      // More records than there is room for do not lie in between: what a client has written may look like a header.
      const uint64_t room = (offset_ + at - start) / RecordHeader::kSize;
      if (sequence != 0 && header->sequence - sequence > room) continue;
      damage.header_follows = damage.header_follows || header->sequence > sequence;
      if (!damage.kind) damage.kind = header->kind;
      damage.synced = std::max(damage.synced, header->synced);
    }
    offset_ += at;
  }
  offset_ = start;
  block_.clear();
  block_offset_ = offset_;
  return damage;
}

}  // namespace quorate

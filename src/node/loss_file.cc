// The bytes of node.losses.
//
//   "QRTLOSS", u8 version, varint count of all that were ever lost, varint rows, row *, varint records, record *, u64 XXH3 of the bytes before
//   row = varint partition, varint term      record = u8 kind, varint partition, term, first index, last index, unix time in ms
#include "node/loss_file.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "util/buffer.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr std::string_view kMagic("QRTLOSS\x01", 8);
constexpr uint64_t kSeed = 0x6c6f737365736c6f;
// Beyond what the largest file has: 16384 rows and four kinds of records.
constexpr size_t kSizeMax = size_t{1} << 20;
constexpr uint8_t kKinds[] = {1, 2, 3, 4};  // in the order of Loss::Kind

void append_record(const Loss& loss, Buffer& out) {
  append_little<uint8_t>(out, kKinds[static_cast<size_t>(loss.kind)]);
  append_varint(out, loss.partition);
  append_varint(out, loss.term);
  append_varint(out, loss.first_index);
  append_varint(out, loss.last_index);
  append_varint(out, static_cast<uint64_t>(loss.unix_ms));
}

bool take_partition(std::string_view& bytes, uint32_t& partition) {
  uint64_t value = 0;
  if (!take_varint(bytes, value) || value > UINT32_MAX) return false;
  partition = static_cast<uint32_t>(value);
  return true;
}

bool take_record(std::string_view& bytes, Loss& loss) {
  uint8_t kind = 0;
  uint64_t unix_ms = 0;
  if (!take_little(bytes, kind)) return false;
  const uint8_t* const found = std::find(std::begin(kKinds), std::end(kKinds), kind);
  if (found == std::end(kKinds)) return false;
  loss.kind = static_cast<Loss::Kind>(found - kKinds);
  const bool is_whole = take_partition(bytes, loss.partition) && take_varint(bytes, loss.term) &&
                        take_varint(bytes, loss.first_index) && take_varint(bytes, loss.last_index) && take_varint(bytes, unix_ms);
  loss.unix_ms = static_cast<int64_t>(unix_ms);
  return is_whole;
}

}  // namespace

std::string encode(const Losses& losses) {
  Buffer out;
  out.append(kMagic);
  append_varint(out, losses.lost_count());
  append_varint(out, losses.weak_terms().size());
  for (const auto& [partition, term] : losses.weak_terms()) {
    append_varint(out, partition);
    append_varint(out, term);
  }
  append_varint(out, losses.size());
  losses.each([&](const Loss& loss) { append_record(loss, out); });
  append_little<uint64_t>(out, hash64(out.view(), kSeed));
  return std::string(out.view());
}

std::optional<Losses> decode_losses(std::string_view bytes) {
  if (bytes.size() < kMagic.size() + sizeof(uint64_t) || !bytes.starts_with(kMagic)) return std::nullopt;
  const size_t check_at = bytes.size() - sizeof(uint64_t);
  if (load_little<uint64_t>(bytes.data() + check_at) != hash64(bytes.substr(0, check_at), kSeed)) return std::nullopt;
  std::string_view rest = bytes.substr(kMagic.size(), check_at - kMagic.size());
  Losses losses;
  uint64_t lost_count = 0;
  uint64_t rows = 0;
  uint64_t records = 0;
  if (!take_varint(rest, lost_count) || !take_varint(rest, rows)) return std::nullopt;
  for (; rows > 0; --rows) {
    uint32_t partition = 0;
    uint64_t term = 0;
    if (!take_partition(rest, partition) || !take_varint(rest, term)) return std::nullopt;
    losses.note_weak(partition, term);
  }
  if (!take_varint(rest, records)) return std::nullopt;
  for (; records > 0; --records) {
    Loss loss;
    if (!take_record(rest, loss)) return std::nullopt;
    losses.add(loss);
  }
  if (!rest.empty()) return std::nullopt;
  losses.set_lost_count(lost_count);
  return losses;
}

Result<std::optional<Losses>> read_losses(Disk& disk) {
  TRY(const std::vector<std::string> files, disk.list());
  if (std::find(files.begin(), files.end(), kLossesFile) == files.end()) return std::optional<Losses>(Losses());
  TRY(const uint64_t size, disk.size(kLossesFile));
  if (size > kSizeMax) return std::optional<Losses>();
  Buffer bytes;
  TRY(disk.read(kLossesFile, 0, static_cast<size_t>(size), bytes));
  return decode_losses(bytes.view());
}

}  // namespace quorate

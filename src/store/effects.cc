// The encoding of effects; docs/FORMATS.md has the grammar.
#include "store/effects.h"

#include <bit>
#include <cstring>
#include <utility>

#include "util/varint.h"

namespace quorate {

namespace {

// A logical database is an int everywhere else.
constexpr uint64_t kDatabaseMax = INT32_MAX;
// No command's name begins so: what a client sends can never be taken for it.
constexpr std::string_view kClear = "*CLEAR";
constexpr std::string_view kRows = "*ROWS";
// What a run of a partition keeps of its memory between batches; a larger one is given away whole.
constexpr size_t kKeptBytesMax = 64 << 10;

}  // namespace

bool is_clear(const Effect& effect) { return effect.args.size() == 1 && effect.args[0] == kClear; }

std::optional<std::string_view> rows_in(const Effect& effect) {
  if (effect.args.size() != 2 || effect.args[0] != kRows) return std::nullopt;
  return effect.args[1];
}

void Effects::set_grouping(Grouping grouping, uint32_t partitions) {
  CHECK(count_ == 0);
  CHECK(std::has_single_bit(partitions));
  CHECK(partitions <= kSlotCount);
  grouping_ = grouping;
  const uint32_t runs = grouping == Grouping::kPartition ? partitions : 1;
  shift_ = kTurnShift - std::countr_zero(runs);
  runs_ = std::vector<Buffer>(runs);
  front_ = grouping == Grouping::kPartition ? kFrontMax : 0;
}

void Effects::add(int database, const Key& key, std::span<const std::string_view> args) {
  if (!collecting_) return;
  // Whoever changes everything at once says so for each partition.
  if (grouping_ == Grouping::kPartition) CHECK(key.bytes.data() != nullptr);
  append(database, key.slot, args);
}

void Effects::add_clear(int database, uint32_t partition) {
  if (!collecting_) return;
  CHECK(grouping_ == Grouping::kPartition);
  append(database, static_cast<uint16_t>(partition << shift_), {&kClear, 1});
}

void Effects::add_rows(uint32_t partition, std::string_view rows) {
  if (!collecting_) return;
  CHECK(grouping_ == Grouping::kPartition);
  const std::string_view args[] = {kRows, rows};
  append(0, static_cast<uint16_t>(partition << shift_), args);
}

SharedBytes Effects::take(uint32_t partition, std::string_view front) {
  CHECK(grouping_ == Grouping::kPartition);
  CHECK(front.size() <= kFrontMax);
  Buffer& run = runs_[partition];
  // Who keeps it keeps what it has not used as well.
  const bool is_full = run.capacity() - run.size() <= run.size() / 8;
  if (run.size() <= kKeptBytesMax || !is_full) return SharedBytes(front, bytes_of(partition));
  const size_t begin = kFrontMax - front.size();
  if (!front.empty()) std::memcpy(run.data() + begin, front.data(), front.size());
  return SharedBytes(std::move(run), begin);
}

void Effects::clear() {
  for (const uint32_t run : touched_) {
    if (grouping_ == Grouping::kPartition && runs_[run].capacity() > kKeptBytesMax) {
      runs_[run].release();
    } else {
      runs_[run].clear();
    }
  }
  touched_.clear();
  count_ = 0;
}

void Effects::append(int database, uint16_t slot, std::span<const std::string_view> args) {
  const uint32_t run = static_cast<uint32_t>(slot) >> shift_;
  Buffer& out = runs_[run];
  if (out.empty()) {
    touched_.push_back(run);
    out.reserve(front_);
    out.commit(front_);
  }
  size_t room = 2 * kVarintMax + sizeof(uint16_t) + args.size() * kVarintMax;
  for (const std::string_view arg : args) room += arg.size();
  char* const begin = out.reserve(room);
  char* at = put_varint(begin, static_cast<uint64_t>(database));
  store_little<uint16_t>(at, slot);
  at = put_varint(at + sizeof(uint16_t), args.size());
  for (const std::string_view arg : args) {
    at = put_varint(at, arg.size());
    if (!arg.empty()) std::memcpy(at, arg.data(), arg.size());
    at += arg.size();
  }
  out.commit(static_cast<size_t>(at - begin));
  ++count_;
}

Status EffectReader::next(Effect& effect) {
  CHECK(!at_end());
  const auto damaged = [](const char* what) {
    return Error(ErrorCode::kCorrupt, std::string("effect: ") + what);
  };
  uint64_t database = 0;
  uint64_t count = 0;
  if (!take_varint(left_, database) || database > kDatabaseMax) return damaged("bad database");
  if (!take_little<uint16_t>(left_, effect.slot) || effect.slot >= kSlotCount) {
    return damaged("bad slot");
  }
  // Each argument has at least its length byte, so a larger count is a lie.
  if (!take_varint(left_, count) || count == 0 || count > left_.size()) {
    return damaged("bad argument count");
  }
  effect.database = static_cast<int>(database);
  effect.args.clear();
  for (uint64_t index = 0; index < count; ++index) {
    std::string_view arg;
    if (!take_sized(left_, arg)) return damaged("argument is cut off");
    effect.args.push_back(arg);
  }
  return done();
}

}  // namespace quorate

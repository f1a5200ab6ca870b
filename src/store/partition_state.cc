// The form: head, blocks of entries, end.
#include "store/partition_state.h"

#include <algorithm>
#include <string>
#include <utility>

#include "store/codec.h"
#include "store/loader.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr uint64_t kVersion = 1;
constexpr uint64_t kHeadSeed = 0x7061727473746174;
// An entry takes more: database, flags, access stamp, key and type.
constexpr uint64_t kEntryBytesMin = 7;
// Room for so many keys is made in a moment.
constexpr uint64_t kKeysAtOnce = 1 << 17;

Error damaged(std::string_view what) {
  return Error(ErrorCode::kCorrupt, "state of a partition: " + std::string(what));
}

}  // namespace

// ---- writing
// --------------------------------------------------------------------------------------

PartitionWriter::PartitionWriter(const Store& store, uint32_t partition, Buffer& out)
    : store_(store), out_(out) {
  const size_t head_at = out_.size();
  append_varint(out_, kVersion);
  append_varint(out_, store_.partition_count());
  append_varint(out_, partition);
  append_little<int64_t>(out_, store_.now());
  append_little<uint64_t>(out_, store_.hash_seed());
  uint64_t used = 0;
  for (int index = 0; index < store_.database_count(); ++index) {
    used += store_.database(index).partition_size(partition) != 0 ? 1 : 0;
  }
  append_varint(out_, used);
  for (int index = 0; index < store_.database_count(); ++index) {
    const size_t keys = store_.database(index).partition_size(partition);
    if (keys == 0) continue;
    append_varint(out_, static_cast<uint64_t>(index));
    append_varint(out_, keys);
  }
  chain_ = hash64(out_.view_from(head_at), kHeadSeed);
  append_little<uint64_t>(out_, chain_);
  begin_block();
}

void PartitionWriter::begin_block() {
  block_at_ = out_.size();
  append_little<uint64_t>(out_, 0);  // its size, once that is known
}

void PartitionWriter::close_block() {
  const std::string_view entries = out_.view_from(block_at_ + sizeof(uint64_t));
  if (entries.empty()) return;
  store_little<uint64_t>(out_.data() + block_at_, entries.size());
  chain_ = hash64(entries, chain_);
  append_little<uint64_t>(out_, chain_);
  begin_block();
}

void PartitionWriter::add(int database, const Entry& entry) {
  encode_snapshot_entry(database, entry, store_.settings(), out_);
  if (out_.size() - block_at_ >= kBlockBytes) close_block();
}

// A block of size 0 is the end.
void PartitionWriter::finish() { close_block(); }

void PartitionWriter::take_closed(Buffer& closed) {
  closed.append(out_.view().substr(0, block_at_));
  out_.drop_front(block_at_);
  block_at_ = 0;
}

PartitionWalk::Progress PartitionEncoder::step(size_t entries, size_t bytes) {
  constexpr size_t kEntriesAtOnce = 8;
  CHECK(walk_.progress() != PartitionWalk::Progress::kDone);
  // Entries may be large: a step ends with its bytes too.
  const size_t begin = out_.size();
  while (entries > 0 && out_.size() - begin < bytes && walk_.progress() == PartitionWalk::Progress::kMore) {
    walk_.walk(std::min(entries, kEntriesAtOnce));
    entries -= std::min(entries, kEntriesAtOnce);
  }
  if (walk_.progress() == PartitionWalk::Progress::kDone) writer_.finish();
  return walk_.progress();
}

void PartitionEncoder::take(Buffer& out) {
  writer_.take_closed(out);
  if (walk_.progress() != PartitionWalk::Progress::kDone) return;
  out.append(out_.view());
  out_.release();
}

void encode_partition(const Store& store, uint32_t partition, Buffer& out) {
  PartitionWriter writer(store, partition, out);
  for (int index = 0; index < store.database_count(); ++index) {
    store.database(index).for_each_in_partition(partition,
                                                [&](const Entry* entry) { writer.add(index, *entry); });
  }
  writer.finish();
}

// ---- reading
// --------------------------------------------------------------------------------------

PartitionState::PartitionState(Store& store, uint32_t partition, Pace pace)
    : store_(store),
      partition_(partition),
      pace_(pace),
      tables_(store.make_partition_tables(partition)),
      expected_(static_cast<size_t>(store.database_count())),
      mark_(store.fresh_mark()) {
  CHECK(partition < store.partition_count());
}

PartitionState::~PartitionState() {
  if (tables_ != nullptr) store_.discard_partition_tables(std::move(tables_));
}

uint64_t PartitionState::keys() const {
  uint64_t sum = 0;
  for (const uint64_t keys : expected_) sum += keys;
  return sum;
}

Status PartitionState::read(std::string_view bytes) {
  while (!is_complete()) TRY(read_some(bytes, SIZE_MAX));
  return done();
}

Status PartitionState::read_some(std::string_view& bytes, size_t budget, uint64_t behind) {
  const size_t end = bytes.size() - std::min(bytes.size(), budget);
  bool goes_on = true;
  if (stage_ == Stage::kHead) {
    TRY(goes_on, read_head(bytes, behind));
  }
  while (goes_on && !is_complete()) {
    CHECK(stage_ == Stage::kBlocks);
    TRY(goes_on, read_block(bytes, behind));
    goes_on = goes_on && bytes.size() > end;
  }
  return done();
}

Result<bool> PartitionState::read_head(std::string_view& whole, uint64_t behind) {
  std::string_view bytes = whole;
  const std::string_view head = bytes;
  const auto cut_off = [&]() -> Result<bool> {
    if (behind > 0) return false;
    return damaged("the head is cut off");
  };
  uint64_t version = 0;
  uint64_t partitions = 0;
  uint64_t partition = 0;
  uint64_t hash_seed = 0;
  if (!take_varint(bytes, version)) return behind > 0 ? Result<bool>(false) : damaged("it is empty");
  if (version != kVersion) {
    return Error(ErrorCode::kUnsupported, "state of a partition: made by another version of the server");
  }
  if (!take_varint(bytes, partitions) || !take_varint(bytes, partition) || !take_little(bytes, unix_ms_) ||
      !take_little(bytes, hash_seed)) {
    return cut_off();
  }
  if (partitions != store_.partition_count() || partition != partition_) {
    return Error(ErrorCode::kInvalidArgument, "state of a partition: it is of partition " +
                                                  std::to_string(partition) + " of " + std::to_string(partitions));
  }
  TRY(const bool has_counts, read_counts(bytes, behind));
  if (!has_counts) return cut_off();
  chain_ = hash64(head.substr(0, head.size() - bytes.size()), kHeadSeed);
  uint64_t check = 0;
  if (!take_little(bytes, check)) return cut_off();
  if (check != chain_) return damaged("the head is damaged");
  // Only now are the counts believed.
  for (size_t index = 0; index < expected_.size(); ++index) {
    const bool is_soon_done = pace_ == Pace::kAtOnce || expected_[index] <= kKeysAtOnce;
    if (is_soon_done) tables_[index].reserve(expected_[index]);
  }
  stage_ = Stage::kBlocks;
  whole = bytes;
  return true;
}

Result<bool> PartitionState::read_counts(std::string_view& bytes, uint64_t behind) {
  uint64_t used = 0;
  if (!take_varint(bytes, used)) return false;
  uint64_t room = (bytes.size() + behind) / kEntryBytesMin;
  uint64_t next = 0;  // databases stand in order
  for (; used > 0; --used) {
    uint64_t database = 0;
    uint64_t keys = 0;
    if (!take_varint(bytes, database) || !take_varint(bytes, keys)) return false;
    if (database < next || keys == 0 || keys > room) return damaged("the counts are impossible");
    if (database >= expected_.size()) {
      return Error(ErrorCode::kInvalidArgument, "state of a partition: it has keys in database " +
                                                    std::to_string(database) + ", but `databases` is " +
                                                    std::to_string(expected_.size()));
    }
    expected_[static_cast<size_t>(database)] = keys;
    room -= keys;
    next = database + 1;
  }
  return true;
}

Result<bool> PartitionState::read_block(std::string_view& whole, uint64_t behind) {
  std::string_view bytes = whole;
  uint64_t size = 0;
  if (!take_little(bytes, size)) return behind > 0 ? Result<bool>(false) : damaged("it is cut off");
  if (size == 0) {
    if (behind > 0) return damaged("something follows its end");
    TRY(finish(bytes));
    whole = bytes;
    return true;
  }
  if (size > bytes.size() + behind) return damaged("it is cut off");
  if (behind > 0 && (size > bytes.size() || bytes.size() - size < sizeof(uint64_t))) return false;
  const std::string_view entries = bytes.substr(0, static_cast<size_t>(size));
  bytes.remove_prefix(entries.size());
  chain_ = hash64(entries, chain_);
  uint64_t check = 0;
  if (!take_little(bytes, check) || check != chain_) return damaged("a block is damaged");
  TRY(read_entries(entries));
  whole = bytes;
  return true;
}

Status PartitionState::read_entries(std::string_view block) {
  while (!block.empty()) {
    TRY(const SnapshotEntry taken, take_snapshot_entry(block, store_));
    Status status = put(taken.database, taken.entry);
    if (status.ok()) continue;
    destroy_entry(taken.entry);
    return status;
  }
  return done();
}

Status PartitionState::put(int database, Entry* entry) {
  const Key key = store_.make_key(entry->key());
  Table& table = tables_[static_cast<size_t>(database)];
  if (store_.partition_of(key.slot) != partition_) return damaged("a key belongs to another partition");
  if (table.size() == expected_[static_cast<size_t>(database)]) return damaged("it holds more keys than it says");
  if (table.find(key.hash, key.bytes) != nullptr) return damaged("a key stands twice in it");
  entry->set_snapshot_mark(mark_);
  table.insert(key.hash, entry);
  if (has_field_expiry(*entry)) table.mark_expiring(key.hash);
  return done();
}

Status PartitionState::finish(std::string_view rest) {
  if (!rest.empty()) return damaged("something follows its end");
  for (size_t index = 0; index < expected_.size(); ++index) {
    if (tables_[index].size() != expected_[index]) return damaged("it holds fewer keys than it says");
  }
  stage_ = Stage::kComplete;
  return done();
}

bool PartitionState::settle(size_t budget) {
  CHECK(is_complete());
  if (mark_ != store_.fresh_mark()) {
    mark_ = store_.fresh_mark();
    is_marked_ = false;
    marking_table_ = 0;
    marking_from_ = 0;
  }
  while (!is_marked_ && budget > 0) {
    size_t seen = 1;
    marking_from_ = tables_[marking_table_].walk(marking_from_, Table::Which::kAll, [&](Entry* entry) {
      entry->set_snapshot_mark(mark_);
      ++seen;
    });
    if (marking_from_ == 0) is_marked_ = ++marking_table_ == expected_.size();
    budget -= std::min(budget, seen);
  }
  return is_marked_;
}

void PartitionState::install() {
  while (!settle(SIZE_MAX)) {
  }
  store_.replace_partition(partition_, std::move(tables_));
}

Status check_partition(Store& store, uint32_t partition, std::string_view bytes) {
  return PartitionState(store, partition).read(bytes);
}

Result<int64_t> install_partition(Store& store, uint32_t partition, std::string_view bytes) {
  PartitionState state(store, partition);
  TRY(state.read(bytes));
  state.install();
  return state.unix_ms();
}

}  // namespace quorate

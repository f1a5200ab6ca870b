// Batches, and the entries of snapshots.
#include "store/loader.h"

#include <string>

#include "store/codec.h"
#include "store/rdb/decoder.h"
#include "util/varint.h"

namespace quorate {

Loader::~Loader() { forget(); }

void Loader::forget() {
  for (size_t index = 0; index < count_; ++index) destroy_entry(waiting_[index].entry);
  count_ = 0;
  loaded_ = 0;
}

Status Loader::add(int database, Entry* entry) {
  Waiting& waiting = waiting_[count_++];
  waiting = {
      .db = &store_.database(database), .entry = entry, .key = store_.make_key(entry->key())};
  waiting.db->prefetch_bucket(waiting.key);
  return count_ == kBatch ? flush() : done();
}

Status Loader::flush() {
  for (size_t index = 0; index < count_; ++index)
    waiting_[index].db->prefetch_entry(waiting_[index].key);
  const size_t count = count_;
  for (size_t index = 0; index < count; ++index) {
    const Waiting& waiting = waiting_[index];
    if (waiting.db->find(waiting.key, Access::kPeek) != nullptr) {
      for (size_t left = index; left < count; ++left) destroy_entry(waiting_[left].entry);
      count_ = 0;
      return Error(ErrorCode::kCorrupt, "a key stands twice in the data");
    }
    waiting.db->put(waiting.key, waiting.entry);
    ++loaded_;
  }
  count_ = 0;
  return done();
}

namespace {

constexpr uint8_t kHasExpiry = 1;
constexpr size_t kAccessBytes = 3;

// Only what gains much is worth its time when it is read back.
constexpr size_t kCompressFrom = 1024;

}  // namespace

void encode_snapshot_front(int database, const Entry& entry, Buffer& out) {
  const std::string_view key = entry.key();
  char* const begin = out.reserve(3 * kVarintMax + 1 + kAccessBytes + sizeof(int64_t) + key.size());
  char* at = put_varint(begin, static_cast<uint64_t>(database));
  *at++ = entry.has_expiry() ? kHasExpiry : 0;
  for (size_t index = 0; index < kAccessBytes; ++index) {
    *at++ = static_cast<char>(entry.access() >> (8 * index));
  }
  if (entry.has_expiry()) {
    store_little<int64_t>(at, entry.expiry());
    at += sizeof(int64_t);
  }
  at = put_varint(at, key.size());
  std::memcpy(at, key.data(), key.size());
  out.commit(static_cast<size_t>(at - begin) + key.size());
}

EncodeOptions snapshot_options(const Entry& entry, const StoreSettings& settings) {
  const bool large = !entry.is_string() || entry.string_size() >= kCompressFrom;
  return {.version = rdb::kRedisVersionMax,
          .compression = large && settings.rdb_compression ? rdb::Compression::kOn : rdb::Compression::kOff};
}

void encode_snapshot_entry(int database, const Entry& entry, const StoreSettings& settings,
                           Buffer& out) {
  encode_snapshot_front(database, entry, out);
  encode_value(entry, settings, snapshot_options(entry, settings), out);
}

Result<SnapshotEntry> take_snapshot_entry(std::string_view& block, const Store& store) {
  const auto damaged = [] { return Error(ErrorCode::kCorrupt, "snapshot: an entry is damaged"); };
  uint64_t database = 0;
  if (!take_varint(block, database)) return damaged();
  if (database >= static_cast<uint64_t>(store.database_count())) {
    return Error(ErrorCode::kInvalidArgument,
                 "the snapshot has keys in database " + std::to_string(database) +
                     ", but `databases` is " + std::to_string(store.database_count()));
  }
  if (block.size() < 1 + kAccessBytes) return damaged();
  const auto flags = static_cast<uint8_t>(block[0]);
  if ((flags & ~kHasExpiry) != 0) return damaged();
  uint32_t access = 0;
  for (size_t index = 0; index < kAccessBytes; ++index) {
    access |= static_cast<uint32_t>(static_cast<uint8_t>(block[1 + index])) << (8 * index);
  }
  block.remove_prefix(1 + kAccessBytes);
  int64_t expiry = kNever;
  if ((flags & kHasExpiry) != 0 && !take_little(block, expiry)) return damaged();
  std::string_view key;
  uint8_t type = 0;
  if (!take_sized(block, key) || !take_little(block, type)) return damaged();
  rdb::MemoryInput input(block);
  TRY(Entry * entry,
      decode_value(input, type, rdb::kRedisVersionMax, key, expiry, store.settings()));
  if (entry == nullptr) return damaged();
  entry->set_access(access);
  block.remove_prefix(static_cast<size_t>(input.offset()));
  return SnapshotEntry{.database = static_cast<int>(database), .entry = entry};
}

Status load_snapshot_block(std::string_view block, Store& store, Loader& loader) {
  while (!block.empty()) {
    TRY(const SnapshotEntry taken, take_snapshot_entry(block, store));
    TRY(loader.add(taken.database, taken.entry));
  }
  return done();
}

}  // namespace quorate

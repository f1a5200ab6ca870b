// One logical database: look-ups with expiry, changes with their bookkeeping.
#include "store/db.h"

#include <array>

#include "store/hash.h"
#include "store/partition_walk.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "store/value.h"
#include "util/memory.h"

namespace quorate {

namespace {

// APPEND and SETRANGE give a growing string room for as much again, up to this.
constexpr size_t kStringSlackMax = 1024 * 1024;

}  // namespace

Db::Db(Store& store, int index) : store_(store), index_(index), snapshot_index_(index) {}

Db::~Db() {
  std::vector<Entry*> entries;
  for_each([&](Entry* entry) { entries.push_back(entry); });
  tables_.reset();
  for (Entry* entry : entries) {
    destroy_value(entry);
    Entry::free_block(entry);
  }
}

void Db::make_tables() {
  const uint32_t count = store_.partition_count();
  tables_ = std::make_unique<Table[]>(count);
  for (uint32_t partition = 0; partition < count; ++partition) store_.configure(tables_[partition], partition);
}

size_t Db::size_with_expiry() const {
  size_t sum = 0;
  if (tables_ == nullptr) return 0;
  if (store_.scope_) return tables_[*store_.scope_].expiring();
  for (uint32_t partition = 0; partition < store_.partition_count(); ++partition) {
    sum += tables_[partition].expiring();
  }
  return sum;
}

size_t Db::table_bytes() const {
  size_t sum = 0;
  if (tables_ == nullptr) return 0;
  for (uint32_t partition = 0; partition < store_.partition_count(); ++partition) {
    sum += sizeof(Table) + tables_[partition].memory_bytes();
  }
  return sum;
}

int64_t Db::average_ttl() {
  constexpr int kSamples = 32;
  if (size_with_expiry() == 0) return 0;
  int64_t sum = 0;
  int64_t count = 0;
  for (int sample = 0; sample < kSamples; ++sample) {
    Entry* entry = nullptr;
    const Table& table = tables_[store_.random().below(store_.partition_count())];
    entry = table.sample([&] { return store_.random().next(); });
    if (entry == nullptr || !entry->has_expiry()) continue;
    const int64_t left = entry->expiry() - store_.now();
    sum += left > 0 ? left : 0;
    ++count;
  }
  return count == 0 ? 0 : sum / count;
}

Entry* Db::find(const Key& key, Access access) {
  Entry* entry = tables_ == nullptr ? nullptr : table(key).find(key.hash, key.bytes);
  if (entry != nullptr && entry->has_expiry() && entry->expiry() <= store_.now_ &&
      !store_.replaying_) [[unlikely]] {
    if (store_.removes_expired_) {
      expire(key, entry);
    } else {
      store_.met_past_ = true;
    }
    entry = nullptr;
  }
  if (access == Access::kPeek) return entry;
  if (entry == nullptr) {
    if (access == Access::kRead) {
      ++store_.stats_.keyspace_misses;
      if (store_.observed_) [[unlikely]] {
        store_.changes_.push_back(
            {index_, EventClass::kKeyMiss, "keymiss", std::string(key.bytes), false});
      }
    }
    return nullptr;
  }
  if (access == Access::kRead) ++store_.stats_.keyspace_hits;
  store_.touch(entry);
  return entry;
}

Result<std::optional<std::string_view>> Db::find_string(const Key& key) {
  const Entry* entry = find(key, Access::kRead);
  if (entry == nullptr) return std::optional<std::string_view>();
  if (!entry->is_string()) return ErrorCode::kWrongType;
  return std::optional<std::string_view>(entry->string());
}

void Db::hand_over(Entry* entry) {
  if (store_.snapshot_sink_ != nullptr && entry->snapshot_mark() != store_.mark_parity_) {
    store_.give_to_snapshot(snapshot_index_, entry);
    ++store_.handed_over_;
  }
  if (store_.partition_walk_ != nullptr) store_.partition_walk_->before_change(index_, *entry);
}

void Db::link(const Key& key, Entry* entry) {
  if (tables_ == nullptr) [[unlikely]]
    make_tables();
  entry->set_access(store_.fresh_access());
  entry->set_snapshot_mark(store_.mark_parity_);
  if (store_.partition_walk_ != nullptr) [[unlikely]]
    store_.partition_walk_->before_insert(index_, key);
  table(key).insert(key.hash, entry);
  ++size_;
  if (store_.observed_) [[unlikely]] {
    store_.changes_.push_back({index_, EventClass::kNew, "new", std::string(key.bytes), false});
  }
}

void Db::unlink(const Key& key, Entry* entry) {
  preserve(entry);
  table(key).remove(key.hash, entry);
  --size_;
}

void Db::swap_entry(const Key& key, const Entry* old_entry, Entry* entry) {
  table(key).replace(key.hash, old_entry, entry);
}

void Db::prefetch_member(const Key& key, std::string_view member) const {
  if (tables_ == nullptr) return;
  const Entry* entry = tables_[partition_of(key)].find(key.hash, key.bytes);
  if (entry == nullptr) return;
  switch (entry->type()) {
    case ValueType::kSet:
      static_cast<const Set*>(entry->object())->prefetch(member);
      return;
    case ValueType::kSortedSet:
      static_cast<const SortedSet*>(entry->object())->prefetch(member);
      return;
    case ValueType::kHash:
      static_cast<const Hash*>(entry->object())->prefetch(member);
      return;
    case ValueType::kString:
    case ValueType::kList:
    case ValueType::kStream:
      return;
  }
}

Entry* Db::insert_object(const Key& key, ValueType type, int64_t expiry) {
  Entry* entry = Entry::create_object(key.bytes, type, expiry);
  link(key, entry);
  return entry;
}

Entry* Db::set_string(const Key& key, std::string_view value, int64_t expiry) {
  Entry* old_entry = tables_ == nullptr ? nullptr : table(key).find(key.hash, key.bytes);
  if (old_entry == nullptr) {
    Entry* entry = Entry::create_string(key.bytes, value, expiry);
    link(key, entry);
    return entry;
  }
  preserve(old_entry);
  const bool same_form = old_entry->has_expiry() == (expiry != kNever);
  if (old_entry->is_string() && same_form && old_entry->string_size() == value.size()) {
    // The block stays: the common case of a key that is written again.  The value may be a view of
    // itself.
    if (!value.empty()) std::memmove(old_entry->string_data(), value.data(), value.size());
    if (expiry != kNever) old_entry->set_expiry(expiry);
    old_entry->set_edited(false);
    store_.touch(old_entry);
    return old_entry;
  }
  Entry* entry = Entry::create_string(key.bytes, value, expiry);
  entry->set_access(is_lfu(store_.settings_.maxmemory_policy) ? old_entry->access()
                                                              : store_.fresh_access());
  entry->set_snapshot_mark(store_.mark_parity_);
  Table& home = table(key);
  if (!same_form) {
    home.add_expiring(expiry != kNever ? 1 : -1);
    if (expiry != kNever) home.mark_expiring(key.hash);
  }
  home.replace(key.hash, old_entry, entry);
  store_.dispose(old_entry);
  return entry;
}

Entry* Db::resize_string(const Key& key, Entry* entry, size_t size) {
  preserve(entry);
  const size_t old_size = entry->string_size();
  if (!entry->fits_in_place(size)) {
    size_t room = size;
    if (size > old_size) room += size < kStringSlackMax ? size : kStringSlackMax;
    // A block with slack: made for `room` bytes, then told its real size.
    std::string_view old_value = entry->string().substr(0, size);
    Entry* moved =
        Entry::create_string_with_room(entry->key(), old_value, entry->expiry(), size, room);
    moved->set_access(entry->access());
    moved->set_snapshot_mark(entry->snapshot_mark());
    swap_entry(key, entry, moved);
    Entry::free_block(entry);
    entry = moved;
  }
  entry->set_string_size(size);
  if (size > old_size) std::memset(entry->string_data() + old_size, 0, size - old_size);
  entry->set_edited(true);
  return entry;
}

Entry* Db::set_expiry(const Key& key, Entry* entry, int64_t unix_ms) {
  preserve(entry);
  if (entry->has_expiry() && unix_ms != kNever) {
    entry->set_expiry(unix_ms);
    return entry;
  }
  if (!entry->has_expiry() && unix_ms == kNever) return entry;
  Entry* moved = Entry::rebuild_with_expiry(entry, unix_ms);
  Table& home = table(key);
  home.add_expiring(unix_ms != kNever ? 1 : -1);
  if (unix_ms != kNever) home.mark_expiring(key.hash);
  home.replace(key.hash, entry, moved);
  Entry::free_block(entry);
  return moved;
}

bool Db::erase(const Key& key, std::string_view event, EventClass event_class) {
  Entry* entry = find(key, Access::kWrite);
  if (entry == nullptr) return false;
  unlink(key, entry);
  store_.dispose(entry);
  changed(key, event_class, event);
  return true;
}

bool Db::discard(const Key& key) {
  Entry* entry = find(key, Access::kPeek);
  if (entry == nullptr) return false;
  unlink(key, entry);
  store_.dispose(entry);
  return true;
}

bool Db::erase_if_empty(const Key& key) {
  Entry* entry = find(key, Access::kPeek);
  if (entry == nullptr || !value_is_empty(*entry)) return false;
  unlink(key, entry);
  store_.dispose(entry);
  changed(key, EventClass::kGeneric, "del");
  return true;
}

// An expired key goes: logged as DEL, so that the log and the followers need no clock.
void Db::expire(const Key& key, Entry* entry) {
  if (store_.frozen_ || !store_.is_led(key)) {
    store_.met_past_ = true;
    return;
  }
  // `key` may be a view of the entry's own bytes.
  const std::string name(key.bytes);
  const Key own{name, key.hash, key.slot};
  unlink(own, entry);
  store_.dispose(entry);
  ++store_.stats_.expired_keys;
  store_.imply(index_, own, std::array<std::string_view, 2>{"DEL", own.bytes});
  if (store_.observed_) {
    store_.changes_.push_back({index_, EventClass::kExpired, "expired", name, true});
  }
}

void Db::expire_fields(const Key& key) {
  if (store_.replaying_ || store_.frozen_ || !store_.is_led(key)) return;
  Entry* entry = find(key, Access::kPeek);
  if (entry != nullptr && entry->type() == ValueType::kHash) store_.expire_fields(*this, key, entry);
}

void Db::changed(const Key& key, EventClass event_class, std::string_view event) {
  ++store_.dirty_;
  if (store_.observed_) [[unlikely]] {
    store_.changes_.push_back({index_, event_class, event, std::string(key.bytes), true});
  }
  if (event_class == EventClass::kHash && tables_ != nullptr) {
    // A hash whose fields expire is found by the walk for expired keys.
    Entry* entry = table(key).find(key.hash, key.bytes);
    if (entry != nullptr && store_.has_expiring_fields(*entry)) table(key).mark_expiring(key.hash);
  }
}

void Db::announce(const Key& key, EventClass event_class, std::string_view event) {
  if (store_.observed_) [[unlikely]] {
    store_.changes_.push_back({index_, event_class, event, std::string(key.bytes), false});
  }
}

Entry* Db::take(const Key& key) {
  Entry* entry = find(key, Access::kPeek);
  CHECK(entry != nullptr);
  unlink(key, entry);
  return entry;
}

Entry* Db::put(const Key& key, Entry* taken) {
  if (taken->key() != key.bytes) {
    Entry* renamed = Entry::rebuild_with_key(taken, key.bytes);
    Entry::free_block(taken);
    taken = renamed;
  }
  const uint32_t access = taken->access();
  link(key, taken);
  taken->set_access(access);
  if (store_.has_expiring_fields(*taken)) table(key).mark_expiring(key.hash);
  return taken;
}

Entry* Db::random_entry() {
  constexpr int kTriesMax = 100;  // expired ones are passed over, but not for ever
  for (int tries = 0; size() > 0 && tries < kTriesMax; ++tries) {
    uint64_t pick = store_.random().below(size());
    uint32_t partition = store_.scope().value_or(0);
    while (pick >= tables_[partition].size()) pick -= tables_[partition++].size();
    Entry* entry = tables_[partition].sample([&] { return store_.random().next(); });
    const Key key = store_.make_key(entry->key());
    if (!entry->has_expiry() || entry->expiry() > store_.now() || store_.replaying()) return entry;
    if (store_.removes_expired_) expire(key, entry);
  }
  return nullptr;
}

void Db::reserve(size_t keys) {
  if (size_ != 0 || keys < store_.partition_count()) return;
  if (tables_ == nullptr) make_tables();
  const size_t each = keys / store_.partition_count();
  for (uint32_t partition = 0; partition < store_.partition_count(); ++partition) tables_[partition].reserve(each);
}

size_t Db::clear() {
  if (store_.scope()) return clear_partition(*store_.scope());
  const size_t removed = size_;
  if (tables_ == nullptr) return 0;
  if (store_.partition_walk_ != nullptr) store_.partition_walk_->break_off();
  store_.drop_tables(std::move(tables_), store_.partition_count(), snapshot_index_);
  size_ = 0;
  store_.add_dirty(removed);
  return removed;
}

size_t Db::clear_partition(uint32_t partition) {
  const size_t removed = partition_size(partition);
  if (removed == 0) return 0;
  if (store_.partition_walk_ != nullptr) store_.partition_walk_->before_clear(partition);
  auto dropped = std::make_unique<Table[]>(1);
  store_.configure(dropped[0], partition);
  dropped[0].swap(tables_[partition]);
  store_.drop_tables(std::move(dropped), 1, snapshot_index_);
  size_ -= removed;
  store_.add_dirty(removed);
  return removed;
}

void Db::adopt(uint32_t partition, Table& table) {
  if (table.size() == 0) return;
  if (tables_ == nullptr) make_tables();
  CHECK(tables_[partition].size() == 0);
  tables_[partition].swap(table);
  size_ += partition_size(partition);
}

}  // namespace quorate

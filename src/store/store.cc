// All databases of a shard: expiry, eviction, background freeing, and the point-in-time walk.
#include "store/db.h"

#include <algorithm>
#include <array>
#include <bit>

#include "store/hash.h"
#include "store/partition_walk.h"
#include "store/value.h"
#include "util/memory.h"

namespace quorate {

namespace {

constexpr uint32_t kAccessMask = 0xffffff;
constexpr uint32_t kLfuInitial = 5;      // Redis' LFU_INIT_VAL: a new key gets time to be used
constexpr size_t kCandidatesMax = 16;    // Redis' EVPOOL_SIZE
// Of a walk's budget, whose unit is an entry that is looked at.
constexpr size_t kEmptyTableCost = 1;
// Taking a key out meets its bucket, its entry, its run of blocks and that one's neighbours: a miss each.  The same whatever
// the value is, so that the number of keys taken out tells how much of the budget that was.
constexpr size_t kRemovalCost = 8;
constexpr size_t kFieldCost = 2;        // a field that expires
constexpr size_t kFieldsPerStep = 250;  // of one hash that expire in one visit
// Values with more elements than this are freed in the background.
constexpr size_t kFreeNowMax = 64;

uint32_t minutes_of(int64_t unix_ms) { return static_cast<uint32_t>(unix_ms / 60000) & 0xffff; }

}  // namespace

Store::Store(const Options& options, const StoreSettings& settings)
    : options_(options), settings_(settings), random_(options.random_seed) {
  CHECK(std::has_single_bit(options.partitions));
  CHECK(options.partitions <= kSlotCount);
  partition_shift_ = 14 - std::countr_zero(options.partitions);
  unled_.resize(options.partitions);
  for (int index = 0; index < options.databases; ++index) {
    databases_.push_back(std::make_unique<Db>(*this, index));
    database_order_.push_back(databases_.back().get());
  }
}

Store::~Store() {
  CHECK(snapshot_sink_ == nullptr);
  CHECK(partition_walk_ == nullptr);
  while (do_background_work(SIZE_MAX / 2)) {
  }
}

uint64_t Store::key_count() const {
  uint64_t sum = 0;
  for (const auto& database : databases_) sum += database->size();
  return sum;
}

void Store::swap_databases(int first, int second) {
  if (partition_walk_ != nullptr) partition_walk_->break_off();
  auto& one = databases_[static_cast<size_t>(first)];
  auto& other = databases_[static_cast<size_t>(second)];
  std::swap(one, other);
  std::swap(one->index_, other->index_);
  std::swap(database_order_[static_cast<size_t>(first)],
            database_order_[static_cast<size_t>(second)]);
  if (snapshot_sink_ == nullptr) {
    snapshot_cursor_ = Cursor();  // finish_marking() starts again rather than miss what changed places
    one->snapshot_index_ = one->index_;
    other->snapshot_index_ = other->index_;
  }
}

bool Store::has_expiring_fields(const Entry& entry) const {
  return entry.type() == ValueType::kHash &&
         static_cast<const Hash*>(entry.object())->next_expiry() != kNever;
}

bool Store::has_due_fields(const Entry& entry) const {
  return entry.type() == ValueType::kHash &&
         static_cast<const Hash*>(entry.object())->next_expiry() <= now_;
}

// ---- access stamps
// --------------------------------------------------------------------------------

uint32_t Store::fresh_access() const {
  if (is_lfu(settings_.maxmemory_policy)) return (minutes_of(now_) << 8) | kLfuInitial;
  return static_cast<uint32_t>(now_ / 1000) & kAccessMask;
}

uint32_t Store::lfu_frequency(const Entry* entry) const {
  const uint32_t stamp = entry->access();
  const uint32_t counter = stamp & 0xff;
  if (settings_.lfu_decay_time <= 0) return counter;
  const uint32_t elapsed = (minutes_of(now_) - (stamp >> 8)) & 0xffff;
  const uint64_t periods = elapsed / static_cast<uint64_t>(settings_.lfu_decay_time);
  return periods > counter ? 0 : counter - static_cast<uint32_t>(periods);
}

int64_t Store::idle_seconds(const Entry* entry) const {
  if (is_lfu(settings_.maxmemory_policy)) return 0;
  return (static_cast<uint32_t>(now_ / 1000) - entry->access()) & kAccessMask;
}

void Store::set_lfu_frequency(Entry* entry, uint32_t frequency) {
  if (is_lfu(settings_.maxmemory_policy))
    entry->set_access((minutes_of(now_) << 8) | (frequency & 0xff));
}

void Store::set_idle_seconds(Entry* entry, int64_t seconds) {
  if (is_lfu(settings_.maxmemory_policy)) return;
  entry->set_access(static_cast<uint32_t>(now_ / 1000 - seconds) & kAccessMask);
}

void Store::touch(Entry* entry) {
  if (!touching_) return;
  if (is_lfu(settings_.maxmemory_policy)) {
    uint32_t counter = lfu_frequency(entry);
    // Logarithmic: the higher the counter, the rarer a step (Redis' LFULogIncr).
    if (counter < 255) {
      const double base = counter > kLfuInitial ? counter - kLfuInitial : 0;
      if (random_.fraction() < 1.0 / (base * static_cast<double>(settings_.lfu_log_factor) + 1))
        ++counter;
    }
    entry->set_access((minutes_of(now_) << 8) | counter);
    return;
  }
  const uint32_t stamp = static_cast<uint32_t>(now_ / 1000) & kAccessMask;
  // Compared first: a line of the cache that is only read need not be written back.
  if (entry->access() != stamp) entry->set_access(stamp);
}

// ---- expiry
// ---------------------------------------------------------------------------------------

Table* Store::table_at(const std::vector<Db*>& order, Cursor& cursor) {
  while (cursor.database < order.size()) {
    Db& db = *order[cursor.database];
    if (db.tables_ != nullptr && cursor.partition < options_.partitions) {
      return &db.tables_[cursor.partition];
    }
    ++cursor.database;
    cursor.partition = 0;
    cursor.position = 0;
  }
  return nullptr;
}

void Store::imply(int database, const Key& key, std::span<const std::string_view> args) {
  if (!effects_.collecting()) return;
  effects_.add(database, key, args);
  ++implied_effects_;
  removed_keys_.push_back({key.hash, key.slot});
}

size_t Store::expire_fields(Db& db, const Key& key, Entry* entry) {
  auto* hash = static_cast<Hash*>(entry->object());
  if (hash->next_expiry() > now_) return 0;
  db.preserve(entry);
  std::vector<std::string> gone;
  hash->expire(now_, kFieldsPerStep, [&](std::string_view field) { gone.emplace_back(field); });
  if (gone.empty()) return 0;
  stats_.expired_fields += gone.size();
  std::vector<std::string_view> args{"HDEL", key.bytes};
  args.insert(args.end(), gone.begin(), gone.end());
  imply(db.index(), key, args);
  if (observed_)
    changes_.push_back({db.index(), EventClass::kHash, "hexpired", std::string(key.bytes), true});
  if (hash->empty()) {
    db.unlink(key, entry);
    dispose(entry);
    if (observed_)
      changes_.push_back({db.index(), EventClass::kGeneric, "del", std::string(key.bytes), true});
  }
  return gone.size();
}

// Expires those that are due, until that has cost more than `budget`; returns how many it has dealt with.
size_t Store::expire_due(Db& db, std::span<Entry* const> due, size_t budget, size_t& cost, size_t& expired) {
  const size_t expired_before = expired;
  size_t done = 0;
  while (done < due.size() && (expired == expired_before || cost < budget)) {
    Entry* entry = due[done];
    const std::string name(entry->key());
    const Key key = make_key(name);
    if (entry->expiry() <= now_) {
      cost += kRemovalCost;
      db.expire(key, entry);
      ++expired;
    } else {
      const size_t fields = expire_fields(db, key, entry);
      cost += fields * kFieldCost;
      expired += fields;
      // It may have more of them.
      if (fields == kFieldsPerStep) break;
    }
    ++done;
  }
  return done;
}

size_t Store::expire_some(size_t budget, bool& wrapped) {
  wrapped = false;
  if (replaying_ || frozen_ || !settings_.active_expire) {
    wrapped = true;
    return 0;
  }
  // Taking something out of it would hand all of it over at once: it is met again when the snapshot has passed it.
  const auto is_left_to_snapshot = [this](const Entry& entry) {
    return snapshot_sink_ != nullptr && entry.snapshot_mark() != mark_parity_ && !entry.is_string() &&
           snapshot_sink_->wants_pieces(entry);
  };
  size_t expired = 0;
  std::vector<Entry*> due;
  while (budget > 0) {
    Table* table = table_at(database_order_, expiry_cursor_);
    if (table == nullptr) {
      expiry_cursor_ = Cursor();
      wrapped = true;
      return expired;
    }
    if (!table->may_expire() || !is_led(expiry_cursor_.partition)) {
      ++expiry_cursor_.partition;
      expiry_cursor_.position = 0;
      budget -= kEmptyTableCost;
      continue;
    }
    due.clear();
    size_t cost = 1;
    Db& db = *database_order_[expiry_cursor_.database];
    const uint64_t next = table->walk(expiry_cursor_.position, Table::Which::kExpiring, [&](Entry* entry) {
      ++cost;
      if (entry->expiry() > now_ && !has_due_fields(*entry)) return;
      if (is_left_to_snapshot(*entry)) return;
      due.push_back(entry);
    });
    // Those that are left are met again by the next call, at the same place.
    if (expire_due(db, due, budget, cost, expired) == due.size()) {
      expiry_cursor_.position = next;
      if (next == 0) ++expiry_cursor_.partition;
    }
    budget -= std::min(budget, cost);
  }
  return expired;
}

// ---- eviction
// -------------------------------------------------------------------------------------

uint64_t Store::eviction_score(const Entry* entry) const {
  switch (settings_.maxmemory_policy) {
    case EvictionPolicy::kAllKeysLfu:
    case EvictionPolicy::kVolatileLfu:
      return 255 - lfu_frequency(entry);
    case EvictionPolicy::kVolatileTtl:
      return static_cast<uint64_t>(kNever - entry->expiry());
    case EvictionPolicy::kAllKeysRandom:
    case EvictionPolicy::kVolatileRandom:
    case EvictionPolicy::kAllKeysLru:
    case EvictionPolicy::kVolatileLru:
    case EvictionPolicy::kNoEviction:
      return static_cast<uint64_t>(idle_seconds(entry));
  }
  CHECK(false);
}

void Store::consider(const Db& db, const Entry* entry) {
  const uint64_t score = eviction_score(entry);
  if (candidates_.size() >= kCandidatesMax && score <= candidates_.front().score) return;
  const bool known =
      std::any_of(candidates_.begin(), candidates_.end(), [&](const Candidate& each) {
        return each.database == db.index() && each.key == entry->key();
      });
  if (known) return;
  Candidate candidate{score, db.index(), std::string(entry->key())};
  const auto place =
      std::upper_bound(candidates_.begin(), candidates_.end(), score,
                       [](uint64_t value, const Candidate& each) { return value < each.score; });
  candidates_.insert(place, std::move(candidate));
  if (candidates_.size() > kCandidatesMax) candidates_.erase(candidates_.begin());
}

// Whole buckets are looked at, from a random place on: their entries have nothing in common but their hash, so they
// are as good a sample as scattered ones, and cost one cache miss instead of one each.
size_t Store::sample_table(const Db& db, const Table& table, Table::Which which, size_t samples) {
  constexpr size_t kUnmarkedBucketsPerUnit = 8;  // of the budget
  size_t seen = 0;
  size_t buckets = 0;
  if (which == Table::Which::kAll) {
    for (; seen < samples && buckets < samples; ++buckets) {
      table.visit_bucket(random_.next(), [&](const Entry* entry) {
        ++seen;
        consider(db, entry);
      });
    }
    if (seen != 0) return seen + buckets;
    samples = 1;  // where keys are few, whoever stands behind a random place
  }
  uint64_t position = random_.next() & ~(Table::kPositionUnit - 1);
  for (int turns = 0; turns < 2 && seen < samples; ++buckets) {
    position = table.walk(position, which, [&](const Entry* entry) {
      if (seen == samples || (which == Table::Which::kExpiring && !entry->has_expiry())) return;
      ++seen;
      consider(db, entry);
    });
    if (position == 0) ++turns;
  }
  return seen + buckets / kUnmarkedBucketsPerUnit;
}

size_t Store::eligible_in(const Db& db, uint32_t partition, Table::Which which) const {
  if (!may_evict_from(partition)) return 0;
  const Table& table = db.tables_[partition];
  return which == Table::Which::kExpiring ? table.expiring() : table.size();
}

size_t Store::eligible_in(const Db& db, Table::Which which) const {
  if (unled_count_ == 0 && evicts_within_ == nullptr) return which == Table::Which::kExpiring ? db.size_with_expiry() : db.size();
  if (db.size() == 0) return 0;
  size_t sum = 0;
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    sum += eligible_in(db, partition, which);
  }
  return sum;
}

size_t Store::keys_in(uint32_t partition) const {
  size_t sum = 0;
  for (const Db* db : database_order_) sum += db->partition_size(partition);
  return sum;
}

size_t Store::add_candidates() {
  const EvictionPolicy policy = settings_.maxmemory_policy;
  const bool only_volatile =
      policy == EvictionPolicy::kVolatileLru || policy == EvictionPolicy::kVolatileLfu ||
      policy == EvictionPolicy::kVolatileRandom || policy == EvictionPolicy::kVolatileTtl;
  const auto which = only_volatile ? Table::Which::kExpiring : Table::Which::kAll;
  size_t looked_at = 0;
  for (const Db* db : database_order_) {
    const size_t eligible = eligible_in(*db, which);
    if (eligible == 0) continue;
    // Each partition in proportion to what it holds.
    uint64_t pick = random_.below(eligible);
    uint32_t partition = 0;
    while (true) {
      const size_t here = eligible_in(*db, partition, which);
      if (pick < here) break;
      pick -= here;
      ++partition;
    }
    looked_at += 1 + sample_table(*db, db->tables_[partition], which,
                                  static_cast<size_t>(settings_.maxmemory_samples));
  }
  return looked_at;
}

std::optional<uint32_t> Store::evict_one(size_t& budget, const std::vector<bool>* within) {
  evicts_within_ = within;
  const auto partition = evict_candidate(budget);
  evicts_within_ = nullptr;
  return partition;
}

std::optional<uint32_t> Store::evict_candidate(size_t& budget) {
  constexpr int kRoundsMax = 16;
  const EvictionPolicy policy = settings_.maxmemory_policy;
  if (policy == EvictionPolicy::kNoEviction || frozen_) return std::nullopt;
  const bool is_random =
      policy == EvictionPolicy::kAllKeysRandom || policy == EvictionPolicy::kVolatileRandom;
  // Scores of another policy mean nothing.
  if (is_random || candidates_policy_ != policy) candidates_.clear();
  candidates_policy_ = policy;
  for (int round = 0; round < kRoundsMax; ++round) {
    const size_t looked_at = add_candidates();
    budget -= std::min(budget, looked_at);
    if (candidates_.empty()) return std::nullopt;
    while (!candidates_.empty()) {
      const size_t chosen = is_random ? random_.below(candidates_.size()) : candidates_.size() - 1;
      const Candidate candidate = std::move(candidates_[chosen]);
      candidates_.erase(candidates_.begin() + static_cast<ptrdiff_t>(chosen));
      Db& db = database(candidate.database);
      const Key key = make_key(candidate.key);
      if (!may_evict_from(partition_of(key.slot))) continue;  // it is another node's by now, or was sampled for others
      Entry* entry = db.tables_ == nullptr ? nullptr : db.table(key).find(key.hash, key.bytes);
      if (entry == nullptr) continue;  // it went since it was sampled
      budget -= std::min(budget, kRemovalCost);
      db.unlink(key, entry);
      dispose(entry);
      ++stats_.evicted_keys;
      imply(db.index(), key, std::array<std::string_view, 2>{"DEL", key.bytes});
      if (observed_)
        changes_.push_back({db.index(), EventClass::kEvicted, "evicted", candidate.key, true});
      return partition_of(key.slot);
    }
  }
  return std::nullopt;
}

// ---- background
// -----------------------------------------------------------------------------------

void Store::dispose(Entry* entry) {
  if (entry->is_string() || value_size(*entry) <= kFreeNowMax) {
    destroy_value(entry);
    Entry::free_block(entry);
    return;
  }
  dropped_.push_back(entry);
}

size_t Store::pending_frees() const {
  size_t sum = dropped_.size();
  for (const DroppedTables& dropped : dropped_tables_) {
    for (uint32_t index = dropped.next; index < dropped.count; ++index) sum += dropped.tables[index].size();
  }
  return sum;
}

void Store::drop_tables(std::unique_ptr<Table[]> tables, uint32_t count, int database) {
  dropped_tables_.push_back({.tables = std::move(tables),
                             .count = count,
                             .next = 0,
                             .database = database,
                             .owed_to_snapshot = snapshot_sink_ != nullptr});
}

bool Store::free_dropped(size_t& budget) {
  while (!dropped_.empty() && budget > 0) {
    Entry* entry = dropped_.back();
    if (!destroy_value_some(entry, budget)) return false;
    Entry::free_block(entry);
    dropped_.pop_back();
    if (budget > 0) --budget;
  }
  return dropped_.empty();
}

// Frees whole tables, bucket by bucket.
bool Store::free_tables(size_t& budget) {
  while (!dropped_tables_.empty() && budget > 0) {
    DroppedTables& dropped = dropped_tables_.back();
    if (dropped.next == dropped.count) {
      dropped_tables_.pop_back();
      continue;
    }
    Table& table = dropped.tables[dropped.next];
    size_t seen = 1;
    const bool more = table.drain([&](Entry* entry) {
      ++seen;
      if (dropped.owed_to_snapshot && snapshot_sink_ != nullptr &&
          entry->snapshot_mark() != mark_parity_) {
        give_to_snapshot(dropped.database, entry);
      }
      dispose(entry);
    });
    if (!more) ++dropped.next;
    budget -= seen < budget ? seen : budget;
  }
  return dropped_tables_.empty();
}

bool Store::free_some(size_t& budget) {
  const bool values_done = free_dropped(budget);
  const bool tables_done = free_tables(budget);
  return !values_done || !tables_done || !dropped_.empty();
}

bool Store::do_background_work(size_t budget) {
  const bool frees = free_some(budget);
  const bool marks_done = finish_marking(budget);
  return frees || !marks_done;
}

// ---- whole partitions
// -------------------------------------------------------------------------

void Store::configure(Table& table, uint32_t partition) const {
  table.configure(options_.hash_seed, static_cast<double>(partition) / options_.partitions);
}

void Store::set_hash_seed(uint64_t seed) {
  CHECK(partition_walk_ == nullptr);
  options_.hash_seed = seed;
  for (Db* const db : database_order_) {
    if (db->tables_ == nullptr) continue;
    for (uint32_t partition = 0; partition < partition_count(); ++partition) configure(db->tables_[partition], partition);
  }
}

void Store::set_led(uint32_t partition, Led led) {
  if (is_led(partition) == (led == Led::kYes)) return;
  unled_[partition] = led == Led::kNo;
  if (led == Led::kNo) {
    ++unled_count_;
  } else {
    --unled_count_;
  }
}

void Store::note_replaced(uint32_t partition) {
  if (!observed_) return;
  for (const Db* db : database_order_) {
    changes_.push_back({.database = db->index(),
                        .event_class = EventClass::kGeneric,
                        .event = {},
                        .key = {},
                        .modifies = true,
                        .partition = partition});
  }
}

void Store::clear_partition(uint32_t partition) {
  for (Db* db : database_order_) db->clear_partition(partition);
  note_replaced(partition);
}

std::unique_ptr<Table[]> Store::make_partition_tables(uint32_t partition) const {
  auto tables = std::make_unique<Table[]>(databases_.size());
  for (size_t index = 0; index < databases_.size(); ++index) configure(tables[index], partition);
  return tables;
}

void Store::replace_partition(uint32_t partition, std::unique_ptr<Table[]> tables) {
  if (partition_walk_ != nullptr) partition_walk_->before_clear(partition);
  for (Db* db : database_order_) {
    db->clear_partition(partition);
    db->adopt(partition, tables[static_cast<size_t>(db->index())]);
  }
  note_replaced(partition);
}

void Store::discard_partition_tables(std::unique_ptr<Table[]> tables) {
  dropped_tables_.push_back({.tables = std::move(tables),
                             .count = static_cast<uint32_t>(databases_.size()),
                             .next = 0,
                             .database = 0,
                             .owed_to_snapshot = false});
}

// ---- point-in-time walk
// ---------------------------------------------------------------------------

// A snapshot that was broken off leaves entries with the old mark; they get the new one, so that the next snapshot can
// turn the mark's meaning round again.
bool Store::finish_marking(size_t& budget) {
  if (!marks_unfinished_ || snapshot_sink_ != nullptr) return true;
  while (budget > 0) {
    Table* table = table_at(database_order_, snapshot_cursor_);
    if (table == nullptr) {
      marks_unfinished_ = false;
      return true;
    }
    size_t seen = 1;
    snapshot_cursor_.position =
        table->walk(snapshot_cursor_.position, Table::Which::kAll, [&](Entry* entry) {
          ++seen;
          entry->set_snapshot_mark(mark_parity_);
        });
    if (snapshot_cursor_.position == 0) ++snapshot_cursor_.partition;
    budget -= std::min(budget, seen);
  }
  return false;
}

void Store::begin_snapshot(SnapshotSink& sink) {
  CHECK(snapshot_sink_ == nullptr);
  // Usually the background has come to the end of this long ago.
  for (size_t everything = SIZE_MAX; !finish_marking(everything); everything = SIZE_MAX) {
  }
  snapshot_sink_ = &sink;
  mark_parity_ = !mark_parity_;
  snapshot_cursor_ = Cursor();
  handed_over_ = 0;
  snapshot_order_ = database_order_;
  for (Db* db : database_order_) db->snapshot_index_ = db->index_;
  marks_unfinished_ = true;
}

// Small values first, so that hardly anybody has to hand one over while a large one is being given.
bool Store::walk_snapshot(size_t budget) {
  CHECK(snapshot_sink_ != nullptr);
  while (budget > 0) {
    if (open_entry_ != nullptr) {
      give_pieces(budget);
    } else if (snapshot_sink_->catch_up()) {
      budget = 0;
    } else if (Table* table = table_at(snapshot_order_, snapshot_cursor_)) {
      walk_table(*table, budget);
    } else if (owes_dropped_tables()) {
      // What FLUSHALL dropped meanwhile was there when the snapshot began.
      free_tables(budget);
    } else if (!large_.empty()) {
      --budget;
      open_next();
    } else {
      marks_unfinished_ = false;
      return false;
    }
  }
  return true;
}

void Store::walk_table(Table& table, size_t& budget) {
  size_t seen = 1;
  Db* const db = snapshot_order_[snapshot_cursor_.database];
  snapshot_cursor_.position = table.walk(snapshot_cursor_.position, Table::Which::kAll, [&](Entry* entry) {
    if (entry->snapshot_mark() == mark_parity_) return;
    ++seen;
    if (!entry->is_string() && snapshot_sink_->wants_pieces(*entry)) {
      large_.push_back({db, std::string(entry->key())});
    } else {
      give_to_snapshot(db->snapshot_index_, entry);
    }
  });
  if (snapshot_cursor_.position == 0) ++snapshot_cursor_.partition;
  budget -= std::min(budget, seen);
}

bool Store::owes_dropped_tables() const {
  return std::any_of(dropped_tables_.begin(), dropped_tables_.end(),
                     [](const DroppedTables& each) { return each.owed_to_snapshot; });
}

void Store::open_next() {
  const Large large = std::move(large_.back());
  large_.pop_back();
  const Key key = make_key(large.key);
  Entry* entry = large.db->tables_ == nullptr ? nullptr : large.db->table(key).find(key.hash, key.bytes);
  if (entry == nullptr || entry->snapshot_mark() == mark_parity_) return;
  snapshot_sink_->open(large.db->snapshot_index_, *entry);
  open_entry_ = entry;
}

void Store::give_pieces(size_t& budget) {
  constexpr size_t kElementsPerEntry = 4;  // an entry is a cache miss or two, elements lie closer together
  const size_t entries = std::min(budget, SIZE_MAX / kElementsPerEntry);
  budget -= entries;
  if (snapshot_sink_->give(entries * kElementsPerEntry)) return;
  open_entry_->set_snapshot_mark(mark_parity_);
  open_entry_ = nullptr;
}

void Store::give_to_snapshot(int database, Entry* entry) {
  if (entry == open_entry_) {
    while (snapshot_sink_->give(SIZE_MAX)) {
    }
    open_entry_ = nullptr;
  } else {
    snapshot_sink_->save(database, *entry);
  }
  entry->set_snapshot_mark(mark_parity_);
}

void Store::end_snapshot() {
  snapshot_sink_ = nullptr;
  open_entry_ = nullptr;
  large_.clear();
  snapshot_order_.clear();
  snapshot_cursor_ = Cursor();  // of finish_marking() from here on
  for (DroppedTables& dropped : dropped_tables_) dropped.owed_to_snapshot = false;
  for (Db* db : database_order_) db->snapshot_index_ = db->index_;
}

}  // namespace quorate

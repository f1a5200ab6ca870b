// A shard's data as the commands see it: Store (all partitions, all logical databases) and Db (one
// logical database).  Every change goes through Db, and Db does the bookkeeping that a handler must
// not do by hand: dirty count, keyspace events, WATCH and blocked clients (recorded as changes),
// expiry, access stamps, the copy for a running snapshot, memory.
//
// Pointers to entries and to value objects stay valid until the same key is changed through Db.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/effects.h"
#include "store/entry.h"
#include "store/key.h"
#include "store/settings.h"
#include "store/table.h"
#include "util/prng.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class PartitionWalk;
class Store;

// The classes of keyspace events, with Redis' letters (notify-keyspace-events).
enum class EventClass : uint16_t {
  kGeneric = 1 << 0,    // g
  kString = 1 << 1,     // $
  kList = 1 << 2,       // l
  kSet = 1 << 3,        // s
  kHash = 1 << 4,       // h
  kSortedSet = 1 << 5,  // z
  kExpired = 1 << 6,    // x
  kEvicted = 1 << 7,    // e
  kStream = 1 << 8,     // t
  kKeyMiss = 1 << 9,    // m
  kModule = 1 << 10,    // d
  kNew = 1 << 11,       // n
};

// One change, as those who watch keys need it.  Recorded only while Store::set_observed(true).
struct Change {
  int database;
  EventClass event_class;
  std::string_view event;  // a literal: "set", "lpush", "del", "expired" ...
  std::string key;
  bool modifies;  // false: an event that changes nothing (keymiss)
  // Set: any key of this partition may have changed in this database; `key` and `event` say nothing.
  std::optional<uint32_t> partition = std::nullopt;
};

// Whether this node decides what of a partition has expired or must make room.  Elsewhere only the leader's
// effects take anything away.
enum class Led : uint8_t { kNo, kYes };

// How a look-up counts.
enum class Access : uint8_t {
  kRead,
  kWrite,
  kPeek
};  // kPeek: no access stamp, no hit or miss count

struct StoreStats {
  uint64_t keyspace_hits = 0;
  uint64_t keyspace_misses = 0;
  uint64_t expired_keys = 0;
  uint64_t expired_fields = 0;
  uint64_t evicted_keys = 0;
  uint64_t expire_cycle_time_limited = 0;
};

class Db {
 public:
  Db(Store& store, int index);
  ~Db();
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  int index() const { return index_; }
  // Keys, those past their expiry but not yet removed included.  O(1).  Of the scope, if one is set (Store::set_scope).
  size_t size() const;
  size_t size_with_expiry() const;

  // ---- reading --------------------------------------------------------------------------------
  // The live entry, or null.  An expired key is removed first (logged as DEL, event "expired").
  Entry* find(const Key& key, Access access = Access::kRead);
  // Absent: nullopt.  Not a string: kWrongType.
  Result<std::optional<std::string_view>> find_string(const Key& key);
  // T is Hash, List, Set or SortedSet.  Absent: null.  Another type: kWrongType.  Not to be
  // changed.
  template <class T>
  Result<const T*> find_as(const Key& key) {
    Entry* entry = find(key, Access::kRead);
    if (entry == nullptr) return static_cast<const T*>(nullptr);
    if (entry->type() != T::kType) return ErrorCode::kWrongType;
    return static_cast<const T*>(entry->object());
  }

  // ---- writing --------------------------------------------------------------------------------
  // Each of these hands the old value to a running snapshot before it changes anything.

  // The value to change, or null when absent.  Follow a real change with changed().
  template <class T>
  Result<T*> update(const Key& key) {
    Entry* entry = find(key, Access::kWrite);
    if (entry == nullptr) return static_cast<T*>(nullptr);
    if (entry->type() != T::kType) return ErrorCode::kWrongType;
    preserve(entry);
    return static_cast<T*>(entry->object());
  }
  // A new, empty value.  Requires: the key is absent.  Follow with changed().
  template <class T>
  T* insert(const Key& key) {
    return static_cast<T*>(insert_object(key, T::kType, kNever)->object());
  }
  // update() or insert().
  template <class T>
  Result<T*> update_or_insert(const Key& key) {
    TRY(T * found, update<T>(key));
    return found != nullptr ? found : insert<T>(key);
  }

  // Makes `key` a string, replacing any value of any type; `expiry` in unix ms or kNever. Announces
  // nothing: follow with changed().
  Entry* set_string(const Key& key, std::string_view value, int64_t expiry);
  // Resizes the string of an existing entry in place or by moving it; bytes gained are zero.
  // Returns the entry's (new) address.  Marks it as edited.  Follow with changed().  Requires: it
  // is a string.
  Entry* resize_string(const Key& key, Entry* entry, size_t size);
  // Sets or clears (kNever) the expiry of an existing key; returns the entry's (new) address.
  Entry* set_expiry(const Key& key, Entry* entry, int64_t unix_ms);

  // Removes the key; false if it was absent.  Announces `event` itself.
  bool erase(const Key& key, std::string_view event = "del",
             EventClass event_class = EventClass::kGeneric);
  // Removes the key without announcing anything: for a command that replaces its value and says so
  // itself.
  bool discard(const Key& key);
  // After taking elements out: removes the key if its container is empty now, with event "del".
  bool erase_if_empty(const Key& key);

  // Removes fields of a hash that are past their expiry, a bounded number of them, and the key when
  // none are left; logged as HDEL.  Nothing happens while replaying.
  void expire_fields(const Key& key);

  // Says that the key's value changed: one more dirty, one keyspace event, watchers and blocked
  // clients are told.  `event` must be a literal.
  void changed(const Key& key, EventClass event_class, std::string_view event);
  // A keyspace event that is no change of a value by itself ("rename_from", "expire").
  void announce(const Key& key, EventClass event_class, std::string_view event);

  // Takes a live key's entry out without freeing it (RENAME, MOVE), and puts one in under another
  // name. Requires of put: `key` is absent.  The entry keeps value, type, access stamp and (kKeep)
  // its expiry.
  Entry* take(const Key& key);
  Entry* put(const Key& key, Entry* taken);

  // ---- walking: all partitions, or the scope (Store::set_scope) ---------------------------------
  // SCAN's promise: every key that is present from first to last call is given at least once.
  // Cursor 0 starts and ends.  Calls visit(Entry*) for about `count` keys.  Expired ones are given
  // too: the caller filters (Store::is_past).  visit must not change this Db.
  // A cursor is partition * 2^40 + the upper 40 bits of the hash position: below 2^53, so that clients which hold it in a double keep it
  // exact.
  static constexpr int kPositionBits = 40;
  template <class Visit>
  uint64_t scan(uint64_t cursor, size_t count, Visit&& visit) const;
  // All keys, unordered, expired ones included (peek).  visit must not change this Db.
  template <class Visit>
  void for_each(Visit&& visit) const;
  // A random live key, or null when there is none.
  Entry* random_entry();
  template <class Visit>
  void for_each_in_slot(uint16_t slot, Visit&& visit) const;
  template <class Visit>
  void for_each_in_partition(uint32_t partition, Visit&& visit) const;
  // The same in steps of a bucket: from `position` (0: the begin) on; returns where to go on, 0 at the end.
  template <class Visit>
  uint64_t walk_partition(uint32_t partition, uint64_t position, Visit&& visit) const {
    return tables_ == nullptr ? 0 : tables_[partition].walk(position, Table::Which::kAll, visit);
  }
  // Keys of one partition.  O(1).
  size_t partition_size(uint32_t partition) const {
    return tables_ == nullptr ? 0 : tables_[partition].size();
  }

  // Makes room for about `keys` keys that will be put in; a hint.  Does nothing unless the database is empty.
  void reserve(size_t keys);
  // Removes everything; the memory is freed in bounded steps by Store::do_background_work.  Returns
  // the number of keys removed.
  size_t clear();
  // The same for the keys of one partition.
  size_t clear_partition(uint32_t partition);

  // For a batch of commands: first prefetch_bucket() for all keys, then prefetch_entry() for all,
  // then find().
  void prefetch_bucket(const Key& key) const {
    if (tables_ != nullptr) tables_[partition_of(key)].prefetch_bucket(key.hash);
  }
  void prefetch_entry(const Key& key) const {
    if (tables_ != nullptr) tables_[partition_of(key)].prefetch_entry(key.hash);
  }

  // Then, for commands that take the key out.
  void prefetch_removal(const Key& key) const {
    if (tables_ != nullptr) tables_[partition_of(key)].prefetch_removal(key.hash);
  }
  // Then, for commands on a member of a container: loads the place in its table where `member` would be.
  void prefetch_member(const Key& key, std::string_view member) const;

  // The sum of the tables' own memory, for MEMORY STATS.
  size_t table_bytes() const;
  // Mean time to live in ms of the keys with an expiry, from a sample (INFO's avg_ttl).
  int64_t average_ttl();

 private:
  friend class Store;
  uint32_t partition_of(const Key& key) const;
  Entry* insert_object(const Key& key, ValueType type, int64_t expiry);
  // Puts a new entry in: access stamp, snapshot mark, table, count, event "new".
  void link(const Key& key, Entry* entry);
  // Takes an entry out of its table after a snapshot has seen it.
  void unlink(const Key& key, Entry* entry);
  void swap_entry(const Key& key, const Entry* old_entry, Entry* entry);
  // Hands the entry to whatever walks and has not seen it, before it is changed.
  void preserve(Entry* entry);
  void hand_over(Entry* entry);
  void expire(const Key& key, Entry* entry);
  void make_tables();
  // Puts `table` in the place of the partition's, which is empty.
  void adopt(uint32_t partition, Table& table);
  Table& table(const Key& key) { return tables_[partition_of(key)]; }

  Store& store_;
  int index_;           // changed by SWAPDB
  int snapshot_index_;  // the index it had when the running snapshot began
  size_t size_ = 0;
  std::unique_ptr<Table[]> tables_;  // by partition; null until the first key
};

// All data of one shard.  Owned by the node.  Calls must match: (begin_batch command* end)* .
class Store {
 public:
  struct Options {
    int databases = 16;
    uint32_t partitions = 128;  // power of two, <= kSlotCount
    uint64_t hash_seed = 0;
    uint64_t random_seed = 1;
  };
  Store(const Options& options, const StoreSettings& settings);
  ~Store();

  const StoreSettings& settings() const { return settings_; }
  int database_count() const { return static_cast<int>(databases_.size()); }
  // Requires: 0 <= index < database_count().
  Db& database(int index) { return *databases_[static_cast<size_t>(index)]; }
  const Db& database(int index) const { return *databases_[static_cast<size_t>(index)]; }
  // Of all databases.
  uint64_t key_count() const;
  void swap_databases(int first, int second);  // SWAPDB
  // OBJECT FREQ (decayed) and OBJECT IDLETIME (seconds); setters for RESTORE.
  uint32_t lfu_frequency(const Entry* entry) const;
  int64_t idle_seconds(const Entry* entry) const;
  void set_lfu_frequency(Entry* entry, uint32_t frequency);
  void set_idle_seconds(Entry* entry, int64_t seconds);
  uint32_t partition_count() const { return options_.partitions; }
  uint32_t partition_of(uint16_t slot) const { return slot >> partition_shift_; }
  uint64_t hash_seed() const { return options_.hash_seed; }
  // From here on keys stand in the order of this one.  Requires: there are none, nor tables beside the store (make_partition_tables) that
  // are being filled.
  void set_hash_seed(uint64_t seed);
  Key make_key(std::string_view bytes) const {
    return Key{bytes, hash64(bytes, options_.hash_seed), key_slot(bytes)};
  }

  // The time of the commands that follow; also the clock of access stamps.
  void set_now(int64_t unix_ms) { now_ = unix_ms; }
  int64_t now() const { return now_; }
  // While replaying the log or applying a leader's effects nothing expires by itself.
  void set_replaying(bool replaying) { replaying_ = replaying; }
  bool replaying() const { return replaying_; }
  // While the log can't be written the store removes nothing by itself, since nobody could be told:
  // what is past its time is passed over, and nothing is evicted.  Requires: nobody writes.
  void set_frozen(bool frozen) { frozen_ = frozen; }
  // While it is set, walks, sizes and clear() of a Db are of this partition alone: a command on the whole keyspace runs where each
  // partition is led.
  void set_scope(std::optional<uint32_t> partition) { scope_ = partition; }
  std::optional<uint32_t> scope() const { return scope_; }
  // At first all are led.  In one that is not, what is past its time is absent for readers and stays, nothing is
  // evicted, and (required) nothing is written but while replaying.
  void set_led(uint32_t partition, Led led);
  bool is_led(uint32_t partition) const { return !unled_[partition]; }

  Effects& effects() { return effects_; }
  // How many of the effects came from the store itself (DEL of expired and evicted keys) since the
  // last begin_batch(): effects().count() beyond this number were added by handlers.
  size_t implied_effects() const { return implied_effects_; }

  // ---- what the store did by itself, for whoever decides when a reply may leave
  // The keys that those effects took something from.  The reader clears it.
  struct RemovedKey {
    uint64_t hash = 0;
    uint16_t slot = 0;
  };
  std::vector<RemovedKey>& removed_keys() { return removed_keys_; }
  // Whether what stands in the store with this expiry is not there for readers.  Then it may go on
  // standing there, and the reply that passed it over holds only if time does not run back behind it.
  bool is_past(int64_t expiry) {
    if (expiry > now_ || replaying_) [[likely]]
      return false;
    met_past_ = true;
    return true;
  }
  // True if is_past() said yes since the last call.
  bool take_met_past() { return std::exchange(met_past_, false); }

  void begin_batch() {
    effects_.clear();
    implied_effects_ = 0;
  }
  // Number of changes since the process started (INFO's rdb_changes_since_last_save counts from a
  // mark). Expiry and eviction do not count.
  uint64_t dirty() const { return dirty_; }
  void add_dirty(uint64_t count) { dirty_ += count; }
  StoreStats& stats() { return stats_; }
  Prng& random() { return random_; }

  // CLIENT NO-TOUCH: look-ups leave access stamps alone.
  void set_touching(bool touching) { touching_ = touching; }
  // CLIENT PAUSE: an expired key is not found, but stays.  Requires: nothing is written until it is on again.
  void set_removing_expired(bool removes) { removes_expired_ = removes; }
  // Changes are recorded only while somebody watches, blocks or subscribes to events.
  void set_observed(bool observed) { observed_ = observed; }
  std::vector<Change>& changes() { return changes_; }

  // ---- work between commands, in bounded steps
  // --------------------------------------------------- Removes expired keys and fields, until that has cost about as
  // much as looking at `budget` entries; returns how many were expired. `wrapped` says that the walk
  // came to the end of all data once.
  size_t expire_some(size_t budget, bool& wrapped);
  // Evicts one key by the policy, of the partitions that are true in `within` (null: of any), and says of which; nothing if there is none
  // that may go.  Reduces `budget` by what that has cost, in entries looked at.
  std::optional<uint32_t> evict_one(size_t& budget, const std::vector<bool>* within = nullptr);
  // Of a partition, in all databases.
  size_t keys_in(uint32_t partition) const;
  // Frees dropped values and what a broken off snapshot left to do: at most about `budget` elements; true while more
  // waits.
  bool do_background_work(size_t budget);
  // Only the freeing; reduces `budget`.
  bool free_some(size_t& budget);
  size_t pending_frees() const;  // lazyfree_pending_objects

  // Gives the value of a dropped entry to the background (big) or frees it now (small).
  void dispose(Entry* entry);

  // ---- whole partitions, over all databases (store/partition_state.h).  Who watches is told by a Change each.
  // Empties it; the memory is freed by do_background_work().
  void clear_partition(uint32_t partition);
  // An empty table a database, to be filled beside the store.
  std::unique_ptr<Table[]> make_partition_tables(uint32_t partition) const;
  // Puts them in the place of what the partition holds.  Requires: their entries carry fresh_mark().
  void replace_partition(uint32_t partition, std::unique_ptr<Table[]> tables);
  // Frees them and their entries in the background.
  void discard_partition_tables(std::unique_ptr<Table[]> tables);
  // The snapshot mark of an entry that no snapshot owes anything.
  bool fresh_mark() const { return mark_parity_; }

  // ---- point-in-time walk (store/snapshot.h)
  // ------------------------------------------------------
  class SnapshotSink {
   public:
    virtual ~SnapshotSink() = default;
    virtual void save(int database, const Entry& entry) = 0;
    // True: the walk gives it in pieces, when it has given all others.
    virtual bool wants_pieces(const Entry& /*entry*/) const { return false; }
    // Begins such a value.  Until it is complete others may be saved, and it is not changed.
    virtual void open(int /*database*/, const Entry& /*entry*/) {}
    // About `elements` more of the value that is open; false: that was all.
    virtual bool give(size_t /*elements*/) { return false; }
    // Passes on a chunk of what it had to keep while a value was open; false: nothing is left.
    virtual bool catch_up() { return false; }
  };
  // Starts a snapshot of everything as it is now.  From here on each entry reaches `sink` exactly
  // once, with the value it has now: by walk_snapshot(), or earlier, just before it is changed.
  // Requires: none runs.
  void begin_snapshot(SnapshotSink& sink);
  // Saves about `budget` more entries; true while more waits.
  bool walk_snapshot(size_t budget);
  // Ends it, finished or not.
  void end_snapshot();
  bool snapshot_running() const { return snapshot_sink_ != nullptr; }
  // How many entries writers have handed to it since the last call.
  size_t take_handed_over() { return std::exchange(handed_over_, 0); }
  // True while a value is given in pieces: it should be complete soon, since then nobody has to hand it over.
  bool snapshot_has_open_value() const { return open_entry_ != nullptr; }

 private:
  friend class Db;
  friend class PartitionWalk;
  // A place in the walk over all databases, partitions and hashes.
  struct Cursor {
    size_t database = 0;
    uint32_t partition = 0;
    uint64_t position = 0;
  };
  // Whole tables dropped by FLUSHALL or with a partition, waiting to be freed.
  struct DroppedTables {
    std::unique_ptr<Table[]> tables;
    uint32_t count = 0;
    uint32_t next = 0;  // those before it are empty
    int database = 0;
    bool owed_to_snapshot = false;
  };
  struct Candidate {  // for eviction; the best has the largest score
    uint64_t score;
    int database;
    std::string key;
  };

  Table* table_at(const std::vector<Db*>& order, Cursor& cursor);
  bool free_dropped(size_t& budget);
  bool free_tables(size_t& budget);
  bool finish_marking(size_t& budget);
  // Saves an entry that the snapshot has not seen, or what is left of it.
  void give_to_snapshot(int database, Entry* entry);
  void walk_table(Table& table, size_t& budget);
  // Of large values: more of the one that is open; the next.  Requires of that: there is one.
  void give_pieces(size_t& budget);
  void open_next();
  bool owes_dropped_tables() const;
  size_t add_candidates();
  std::optional<uint32_t> evict_candidate(size_t& budget);
  size_t sample_table(const Db& db, const Table& table, Table::Which which, size_t samples);
  void consider(const Db& db, const Entry* entry);
  uint64_t eviction_score(const Entry* entry) const;
  uint32_t fresh_access() const;
  void touch(Entry* entry);
  // Removes the fields that are due, a bounded number; returns how many.
  size_t expire_fields(Db& db, const Key& key, Entry* entry);
  size_t expire_due(Db& db, std::span<Entry* const> due, size_t budget, size_t& cost, size_t& expired);
  // Logs what the store takes away by itself.
  void imply(int database, const Key& key, std::span<const std::string_view> args);
  bool has_expiring_fields(const Entry& entry) const;
  bool has_due_fields(const Entry& entry) const;
  void drop_tables(std::unique_ptr<Table[]> tables, uint32_t count, int database);
  void configure(Table& table, uint32_t partition) const;
  bool is_led(const Key& key) const { return is_led(partition_of(key.slot)); }
  bool may_evict_from(uint32_t partition) const {
    return is_led(partition) && (evicts_within_ == nullptr || (*evicts_within_)[partition]);
  }
  // Keys that eviction may take, by partition and in all.
  size_t eligible_in(const Db& db, uint32_t partition, Table::Which which) const;
  size_t eligible_in(const Db& db, Table::Which which) const;
  void note_replaced(uint32_t partition);

  Options options_;  // of which only hash_seed changes
  const StoreSettings& settings_;
  int partition_shift_ = 0;
  std::vector<std::unique_ptr<Db>> databases_;
  int64_t now_ = 0;
  bool replaying_ = false;
  bool frozen_ = false;
  bool met_past_ = false;
  bool observed_ = false;
  bool touching_ = true;
  bool removes_expired_ = true;
  bool marks_unfinished_ = false;  // a snapshot was broken off: entries with the old mark remain
  size_t implied_effects_ = 0;
  std::vector<RemovedKey> removed_keys_;
  std::optional<uint32_t> scope_;
  std::vector<bool> unled_;  // by partition
  uint32_t unled_count_ = 0;
  bool mark_parity_ = false;
  uint64_t dirty_ = 0;
  Effects effects_;
  StoreStats stats_;
  Prng random_;
  std::vector<Change> changes_;
  SnapshotSink* snapshot_sink_ = nullptr;
  PartitionWalk* partition_walk_ = nullptr;  // the one that runs; its maker's
  Cursor snapshot_cursor_;
  size_t handed_over_ = 0;
  // Of a snapshot that runs: large values, which the walk has met and left; by name, since others may change or take them
  // (then they have the new mark).
  struct Large {
    Db* db;
    std::string key;
  };
  std::vector<Large> large_;
  Entry* open_entry_ = nullptr;  // the one that is given in pieces; it does not have the new mark yet
  std::vector<Db*> snapshot_order_;  // databases in the order they had when the snapshot began
  Cursor expiry_cursor_;
  std::vector<Db*> database_order_;  // raw pointers of databases_
  std::vector<Entry*> dropped_;      // big values to free in steps
  std::vector<DroppedTables> dropped_tables_;
  std::vector<Candidate> candidates_;
  EvictionPolicy candidates_policy_ = EvictionPolicy::kNoEviction;
  const std::vector<bool>* evicts_within_ = nullptr;  // while evict_one() runs; null: any
};

inline uint32_t Db::partition_of(const Key& key) const { return store_.partition_of(key.slot); }

inline size_t Db::size() const { return store_.scope_ ? partition_size(*store_.scope_) : size_; }

inline void Db::preserve(Entry* entry) {
  if (store_.snapshot_sink_ != nullptr || store_.partition_walk_ != nullptr) [[unlikely]]
    hand_over(entry);
}

template <class Visit>
uint64_t Db::scan(uint64_t cursor, size_t count, Visit&& visit) const {
  constexpr int kBucketsPerKeyMax =
      10;  // as Redis: give up on sparse tables after count * 10 buckets
  uint64_t partition = cursor >> kPositionBits;
  uint64_t position = (cursor & ((uint64_t{1} << kPositionBits) - 1)) << (64 - kPositionBits);
  // With a scope the walk ends behind its partition; the next call goes on with the one that follows.
  const bool is_scoped = store_.scope_ && partition == *store_.scope_;
  const uint64_t partitions = is_scoped ? partition + 1 : store_.partition_count();
  const uint64_t end = is_scoped && partitions < store_.partition_count() ? partitions << kPositionBits : 0;
  if (tables_ == nullptr) return end;
  size_t seen = 0;
  for (uint64_t steps = 0; partition < partitions;) {
    const Table& table = tables_[partition];
    if (table.size() != 0) {
      position = table.walk(position, Table::Which::kAll, [&](Entry* entry) {
        ++seen;
        visit(entry);
      });
      ++steps;
    } else {
      position = 0;
    }
    if (position == 0) ++partition;
    if (seen >= count || steps >= uint64_t{kBucketsPerKeyMax} * count) break;
  }
  // Empty partitions ahead are passed now, so that the last call says that it was the last.
  while (position == 0 && partition < partitions && tables_[partition].size() == 0) ++partition;
  if (partition >= partitions) return end;
  return (partition << kPositionBits) | (position >> (64 - kPositionBits));
}

template <class Visit>
void Db::for_each(Visit&& visit) const {
  if (store_.scope_) return for_each_in_partition(*store_.scope_, visit);
  for (uint32_t partition = 0; partition < store_.partition_count(); ++partition) {
    for_each_in_partition(partition, visit);
  }
}

template <class Visit>
void Db::for_each_in_partition(uint32_t partition, Visit&& visit) const {
  uint64_t position = 0;
  do {
    position = walk_partition(partition, position, visit);
  } while (position != 0);
}

template <class Visit>
void Db::for_each_in_slot(uint16_t slot, Visit&& visit) const {
  for_each_in_partition(store_.partition_of(slot), [&](Entry* entry) {
    if (key_slot(entry->key()) == slot) visit(entry);
  });
}

}  // namespace quorate

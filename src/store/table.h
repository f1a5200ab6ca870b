// The hash table of one partition of one database: cache-line buckets of nine tagged 48-bit
// pointers.
//
// Buckets stand in hash order: bucket i of n holds the hashes [i * 2^64 / n, (i + 1) * 2^64 / n).
// From that follows everything else:
//   - any n works, so the table grows by half, not by double, and stays 60 to 90 % full;
//   - growth moves old buckets in hash order, one an insertion; a hash below the frontier is in the
//   new
//     array, above it in the old one, never in both; segments are made and freed as the frontier
//     passes, so growth neither pauses nor holds two whole arrays;
//   - a position in a SCAN is a hash; it means the same in a table of any size whose seed is the
//   same, as it is on every replica.
//
// A bucket that overflows gives its last place to a pointer to a child bucket.
// Invariant: in a chain, all buckets but the last are full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "store/entry.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/memory.h"

namespace quorate {

class alignas(64) Table {
 public:
  Table() = default;
  // Frees the buckets, not the entries.
  ~Table() { release(); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // `seed` is the hash seed of every key given; `phase` in [0, 1) staggers the growth of sibling
  // tables.  Requires: it is empty.
  void configure(uint64_t seed, double phase) {
    CHECK(size_ == 0);
    seed_ = seed;
    phase_ = static_cast<uint16_t>(phase * 1024);
  }

  void swap(Table& other);

  size_t size() const { return size_; }
  // Entries that had an expiry when they were put in or marked, and still are here.
  size_t expiring() const { return expiring_; }
  void add_expiring(int64_t delta) {
    expiring_ = static_cast<size_t>(static_cast<int64_t>(expiring_) + delta);
  }
  bool growing() const { return old_.count != 0; }
  size_t bucket_count() const { return current_.count; }
  // Bytes of buckets and directories.
  size_t memory_bytes() const;

  Entry* find(uint64_t hash, std::string_view key) const {
    if (size_ == 0) return nullptr;
    const Place place = locate(hash, key);
    return place.bucket == nullptr ? nullptr : place.bucket->entry(place.index);
  }
  // Makes room for about `keys` keys, so that they are put in without growing.  Does nothing unless the table is
  // empty.
  void reserve(size_t keys);
  // Requires: no entry has this key.
  void insert(uint64_t hash, Entry* entry);
  // Puts `entry` where `old_entry` (same key) stood.  Requires: old_entry is in the table.
  void replace(uint64_t hash, const Entry* old_entry, Entry* entry);
  // Takes the entry out.  Requires: it is in the table.
  void remove(uint64_t hash, const Entry* entry);
  // The walk for expired keys looks only at buckets marked so.
  void mark_expiring(uint64_t hash);
  // False: no walk for expired keys is needed.
  bool may_expire() const { return size_ != 0 && (expiring_ != 0 || marked_); }

  void prefetch_bucket(uint64_t hash) const {
    if (size_ != 0) __builtin_prefetch(bucket_of(hash));
  }
  // Requires the bucket in cache to be worth it: prefetches the entry that probably matches.
  void prefetch_entry(uint64_t hash) const;
  // The same of what freeing that entry will touch beside it.
  void prefetch_removal(uint64_t hash) const;

  enum class Which : uint8_t { kAll, kExpiring };
  // Visits the entries of the bucket at `position` whose hash is >= position; returns the next
  // position, 0 at the end.  The result is rounded up to a multiple of kPositionUnit, entries up to
  // it are visited. visit(Entry*) must not change the table.
  static constexpr uint64_t kPositionUnit = uint64_t{1} << 24;
  template <class Visit>
  uint64_t walk(uint64_t position, Which which, Visit&& visit) const;

  // Some entry near a random hash; null only if empty.  `random` gives fresh 64-bit numbers.
  template <class Random>
  Entry* sample(Random&& random) const;

  // Visits all entries that share a bucket with `hash`, loading them side by side.
  template <class Visit>
  void visit_bucket(uint64_t hash, Visit&& visit) const;

  // Takes the entries of one bucket out and gives them to visit(Entry*), who owns them now.  False
  // when the table was empty already; then its memory is released.  For tables that are thrown
  // away: nothing else may be called in between.
  template <class Visit>
  bool drain(Visit&& visit);

  // Moves up to `buckets` old buckets; true while growing goes on.
  bool grow_some(size_t buckets);
  void release();

 private:
  static constexpr size_t kPlaces = 9;
  static constexpr size_t kSegmentShift = 9;
  static constexpr size_t kSegmentBuckets = size_t{1} << kSegmentShift;
  static constexpr size_t kKeysPerBucketMax = 8;  // grow above this mean
  static constexpr size_t kShrinkDivisor = 8;     // shrink below capacity / this
  static constexpr uint8_t kHasChild = 1;
  static constexpr uint8_t kHasExpiring = 2;

  struct alignas(64) Bucket {
    uint8_t tags[kPlaces];  // 0 = empty
    uint8_t meta;
    uint8_t pointers[kPlaces * 6];

    uint64_t raw(size_t index) const {
      uint64_t word;
      std::memcpy(&word, reinterpret_cast<const char*>(this) + 8 + 6 * index, sizeof word);
      return word >> 16;
    }
    void set_raw(size_t index, uint64_t pointer) { std::memcpy(pointers + 6 * index, &pointer, 6); }
    Entry* entry(size_t index) const { return reinterpret_cast<Entry*>(raw(index)); }
    void set_entry(size_t index, uint8_t tag, const Entry* entry) {
      tags[index] = tag;
      set_raw(index, reinterpret_cast<uint64_t>(entry));
    }
    bool has_child() const { return (meta & kHasChild) != 0; }
    Bucket* child() const { return reinterpret_cast<Bucket*>(raw(kPlaces - 1)); }
    // Bit i set: place i holds an entry with this tag.
    uint32_t matches(uint8_t tag) const {
#if defined(__SSE2__)
      const __m128i found = _mm_cmpeq_epi8(_mm_load_si128(reinterpret_cast<const __m128i*>(this)),
                                           _mm_set1_epi8(static_cast<char>(tag)));
      return static_cast<uint32_t>(_mm_movemask_epi8(found)) & ((1u << kPlaces) - 1);
#else
      uint32_t found = 0;
      for (size_t index = 0; index < kPlaces; ++index)
        found |= uint32_t{tags[index] == tag} << index;
      return found;
#endif
    }
    uint32_t used() const { return ~matches(0) & ((1u << kPlaces) - 1); }
  };
  static_assert(sizeof(Bucket) == 64);

  struct Array {
    Bucket** segments = nullptr;
    size_t count = 0;  // buckets
    Bucket* at(size_t index) const {
      return segments[index >> kSegmentShift] + (index & (kSegmentBuckets - 1));
    }
    size_t segment_count() const { return (count + kSegmentBuckets - 1) >> kSegmentShift; }
  };
  struct Place {
    Bucket* bucket = nullptr;
    size_t index = 0;
  };
  __extension__ typedef unsigned __int128 Uint128;

  static uint8_t tag_of(uint64_t hash) {
    const auto tag = static_cast<uint8_t>(hash);
    return tag == 0 ? uint8_t{1} : tag;
  }
  static size_t index_of(uint64_t hash, size_t count) {
    return static_cast<size_t>((static_cast<Uint128>(hash) * count) >> 64);
  }
  // The first hash of bucket `index`; 0 if index == count (wraps at the end of the hash space).
  static uint64_t start_of(size_t index, size_t count) {
    return static_cast<uint64_t>(((static_cast<Uint128>(index) << 64) + count - 1) / count);
  }
  Bucket* bucket_of(uint64_t hash) const {
    if (old_.count != 0) [[unlikely]] {
      const size_t index = index_of(hash, old_.count);
      if (index >= frontier_) return old_.at(index);
    }
    return current_.at(index_of(hash, current_.count));
  }
  Place locate(uint64_t hash, std::string_view key) const {
    const uint8_t tag = tag_of(hash);
    Bucket* bucket = bucket_of(hash);
    while (true) {
      for (uint32_t found = bucket->matches(tag); found != 0; found &= found - 1) {
        const auto index = static_cast<size_t>(__builtin_ctz(found));
        if (bucket->entry(index)->key() == key) return {bucket, index};
      }
      if (!bucket->has_child()) [[likely]]
        return {};
      bucket = bucket->child();
    }
  }
  Place locate_entry(uint64_t hash, const Entry* entry) const;

  // Starts to load the entries of a bucket; most lie in two lines.
  static void load_entries(const Bucket* bucket) {
    for (uint32_t used = bucket->used(); used != 0; used &= used - 1) {
      const char* entry = reinterpret_cast<const char*>(bucket->entry(static_cast<size_t>(__builtin_ctz(used))));
      __builtin_prefetch(entry);
      __builtin_prefetch(entry + 64);
    }
  }
  // What a walk comes to behind bucket `index`, while it deals with that one.
  static void load_behind(const Array& array, size_t index) {
    if (index + 1 >= array.count || array.segments[(index + 1) >> kSegmentShift] == nullptr) return;
    load_entries(array.at(index + 1));
    __builtin_prefetch(array.at(index + 1) + 1);
  }

  void make_segment(Array& array, size_t segment);
  Array make_array(size_t count);
  void start_resize(size_t count);
  void put(Bucket* bucket, uint8_t tag, const Entry* entry);
  void move_bucket(size_t index);
  static void free_children(Bucket* bucket);
  static void release_array(Array& array);

  Array current_;
  Array old_;            // count == 0: not growing
  size_t frontier_ = 0;  // old buckets below it have been moved
  size_t size_ = 0;
  size_t expiring_ = 0;
  uint64_t seed_ = 0;
  uint32_t children_ = 0;  // child buckets, for memory_bytes
  uint16_t phase_ = 0;
  bool marked_ = false;  // mark_expiring() was called
};

template <class Visit>
uint64_t Table::walk(uint64_t position, Which which, Visit&& visit) const {
  if (size_ == 0) return 0;
  uint64_t from = position;
  uint64_t end = 0;  // 0 = the end of the hash space
  uint64_t rounded = 0;
  bool first = true;
  // One bucket, then whatever slivers lie below the rounded-up end.
  while (true) {
    const Bucket* bucket = nullptr;
    if (old_.count != 0 && index_of(from, old_.count) >= frontier_) {
      const size_t index = index_of(from, old_.count);
      bucket = old_.at(index);
      if (which == Which::kAll) load_behind(old_, index);
      end = index + 1 == old_.count ? 0 : start_of(index + 1, old_.count);
    } else {
      const size_t index = index_of(from, current_.count);
      bucket = current_.at(index);
      if (which == Which::kAll) load_behind(current_, index);
      end = index + 1 == current_.count ? 0 : start_of(index + 1, current_.count);
      if (old_.count != 0) {
        const uint64_t boundary = frontier_ == old_.count ? 0 : start_of(frontier_, old_.count);
        if (boundary != 0 && (end == 0 || end > boundary)) end = boundary;
      }
    }
    if (first) {
      first = false;
      rounded =
          end == 0 ? 0 : (end + kPositionUnit - 1) & ~(kPositionUnit - 1);  // wraps to 0 at the end
    }
    if (which == Which::kAll || (bucket->meta & kHasExpiring) != 0) {
      for (const Bucket* link = bucket; link != nullptr;
           link = link->has_child() ? link->child() : nullptr) {
        uint32_t used = link->used();
        if (link->has_child()) used &= (1u << (kPlaces - 1)) - 1;
        for (; used != 0; used &= used - 1) {
          Entry* entry = link->entry(static_cast<size_t>(__builtin_ctz(used)));
          const uint64_t hash = hash64(entry->key(), seed_);
          if (hash < position || (rounded != 0 && hash >= rounded)) continue;
          visit(entry);
        }
      }
    }
    if (rounded != 0 && (end == 0 || end >= rounded)) return rounded;
    if (end == 0) return 0;
    from = end;
  }
}

template <class Visit>
bool Table::drain(Visit&& visit) {
  // The array that is drained shrinks from its end; its count is the progress.
  Array& array = old_.count != 0 ? old_ : current_;
  if (size_ == 0 || array.count == 0) {
    release();
    return false;
  }
  const size_t index = array.count - 1;
  Bucket** segment = &array.segments[index >> kSegmentShift];
  if (*segment != nullptr) {
    Bucket* bucket = *segment + (index & (kSegmentBuckets - 1));
    for (Bucket* link = bucket; link != nullptr;
         link = link->has_child() ? link->child() : nullptr) {
      for (uint32_t used = link->used(); used != 0; used &= used - 1) {
        visit(link->entry(static_cast<size_t>(__builtin_ctz(used))));
        --size_;
      }
    }
    free_children(bucket);
    if ((index & (kSegmentBuckets - 1)) == 0) {
      mem_free(*segment);
      *segment = nullptr;
    }
  }
  --array.count;
  if (array.count == 0) {
    mem_free(array.segments);
    array = Array();
  }
  return true;
}

template <class Visit>
void Table::visit_bucket(uint64_t hash, Visit&& visit) const {
  if (size_ == 0) return;
  const auto each = [this, hash](auto&& act) {
    for (const Bucket* link = bucket_of(hash); link != nullptr;
         link = link->has_child() ? link->child() : nullptr) {
      uint32_t used = link->used();
      if (link->has_child()) used &= (1u << (kPlaces - 1)) - 1;
      for (; used != 0; used &= used - 1)
        act(link->entry(static_cast<size_t>(__builtin_ctz(used))));
    }
  };
  each([](Entry* entry) { __builtin_prefetch(entry); });
  each(visit);
}

template <class Random>
Entry* Table::sample(Random&& random) const {
  if (size_ == 0) return nullptr;
  constexpr size_t kChainMax = 24;
  constexpr int kTriesMax = 200;
  Entry* any = nullptr;
  for (int tries = 0; tries < kTriesMax || any == nullptr; ++tries) {
    const uint64_t chosen = random();
    Entry* found[kChainMax];
    size_t count = 0;
    for (const Bucket* link = bucket_of(chosen); link != nullptr;
         link = link->has_child() ? link->child() : nullptr) {
      uint32_t used = link->used();
      if (link->has_child()) used &= (1u << (kPlaces - 1)) - 1;
      for (; used != 0 && count < kChainMax; used &= used - 1) {
        found[count++] = link->entry(static_cast<size_t>(__builtin_ctz(used)));
      }
    }
    if (count == 0) continue;
    // Taking a bucket only in proportion to its fill makes every entry about equally likely.
    const uint64_t pick = random() % kChainMax;
    any = found[pick % count];
    if (pick < count) return found[pick];
  }
  return any;
}

}  // namespace quorate

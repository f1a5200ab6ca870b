// A hash table of pointers to items, for the big form of hashes: grows and shrinks one
// bucket at a time (linear hashing, Litwin 1980), so no single insertion or removal pays for the
// size of the table. Owns its buckets; the items belong to the caller until destroy().
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "util/check.h"
#include "util/hash.h"
#include "util/memory.h"
#include "util/prng.h"

namespace quorate {

// An item is one block of memory that can say its key and free itself.
template <class Item>
concept TableItem = requires(const Item* item, Item* owned) {
  { Item::key(item) } -> std::same_as<std::string_view>;
  { Item::size(item) } -> std::same_as<size_t>;  // bytes allocated
  Item::destroy(owned);
};

// A bucket is a cache line of eight words: a word holds an item's address (48 bits) and 16 bits of
// its hash; the last word of a full bucket leads to a further bucket.
//
// Invariants: (1) items of a chain of buckets fill it from the front; (2) a further bucket holds at
// least two items; (3) an item whose hash ends in the bits of bucket b is in the chain of
// bucket_of(hash). The owner calls destroy(): there is no destructor.
template <TableItem Item>
class CompactTable {
 public:
  explicit CompactTable(uint64_t seed) : seed_(seed) {
    reserve_bucket(0);
    clear_bucket(bucket(0));
    buckets_ = 1;
  }
  CompactTable(const CompactTable&) = delete;
  CompactTable& operator=(const CompactTable&) = delete;

  size_t size() const { return size_; }
  uint64_t seed() const { return seed_; }
  uint64_t hash_of(std::string_view key) const { return hash64(key, seed_); }

  void prefetch(uint64_t hash) const { __builtin_prefetch(&bucket(bucket_of(hash))); }
  // Null if there is none.  Requires of all: hash == hash_of(key).
  Item* find(std::string_view key, uint64_t hash) const {
    const Place place = locate(key, hash);
    return place.in == nullptr ? nullptr : item_of(place.in->words[place.index]);
  }
  // Requires: no item with this key is there.
  void insert(Item* item, uint64_t hash) {
    append(bucket(bucket_of(hash)), word_of(item, hash));
    ++size_;
    if (size_ * 2 > buckets_ * kLoadTwiceMax) grow();
  }
  // Puts `item`, which has the same key, where `old` is.  Requires: `old` is there.
  void replace(const Item* old, Item* item, uint64_t hash) {
    for (Bucket* at = &bucket(bucket_of(hash)); at != nullptr; at = next_of(*at)) {
      const size_t count = count_in(*at);
      for (size_t i = 0; i < count; ++i) {
        if (item_of(at->words[i]) != old) continue;
        at->words[i] = word_of(item, hash);
        return;
      }
    }
    CHECK(false && "the item to replace is not in the table");
  }
  // Takes the item out and returns it; null if there is none.
  Item* extract(std::string_view key, uint64_t hash) {
    const Place place = locate(key, hash);
    if (place.in == nullptr) return nullptr;
    Item* item = item_of(place.in->words[place.index]);
    fill_hole(bucket(bucket_of(hash)), place);
    --size_;
    for (int i = 0; i < kShrinkStepMax && buckets_ > 1 && size_ * 2 < buckets_ * kLoadTwiceMin;
         ++i) {
      shrink();
    }
    return item;
  }

  // Calls visit(Item*) for each item.  visit must not change the table.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (size_t i = 0; i < buckets_; ++i) {
      if (i + 1 < buckets_) prefetch_items(bucket(i + 1));
      visit_chain(bucket(i), visit);
    }
  }
  // One call of a SCAN: visits about `count` items and returns the cursor of the next call; 0
  // starts and ends. An item present from the first call to the last is visited at least once,
  // whatever is inserted and removed between the calls.  Any cursor is safe.
  template <class Visit>
  uint64_t scan(uint64_t cursor, size_t count, Visit&& visit) const {
    size_t visited = 0;
    do {
      const size_t index = bucket_of(cursor);
      visit_chain(bucket(index), [&](Item* item) {
        ++visited;
        visit(item);
      });
      cursor = cursor_behind(cursor, depth_of(index));
    } while (cursor != 0 && visited < count);
    return cursor;
  }
  // An item, all with the same probability (very nearly).  Requires: size() > 0.
  Item* random(Prng& prng) const {
    for (;;) {
      const uint64_t point = prng.next();
      const size_t index = bucket_of(point);
      const size_t items = chain_size(bucket(index));
      // A chain is accepted in proportion to its items; the bound is what few chains exceed.  It
      // doubles with the part of the hashes that the chain has, so that every item is as likely as
      // any other.
      const int deepest = std::countr_one(high_mask_);
      const size_t bound = ((size_ >> deepest) * 3 / 2 + 6) << (deepest - depth_of(index));
      if (items == 0) continue;
      const size_t pick = prng.below(items > bound ? items : bound);
      if (pick < items) return nth_of(bucket(index), pick);
    }
  }

  // Bytes allocated, items included.  Beyond `sample_max` items their part is extrapolated.
  size_t memory_bytes(size_t sample_max) const {
    size_t bytes = 0;
    size_t seen = 0;
    size_t item_bytes = 0;
    for (size_t i = 0; i < buckets_; ++i) {
      for (const Bucket* at = next_of(bucket(i)); at != nullptr; at = next_of(*at))
        bytes += sizeof(Bucket);
      if (seen >= sample_max) break;
      visit_chain(bucket(i), [&](Item* item) {
        ++seen;
        item_bytes += Item::size(item);
      });
    }
    if (seen > 0 && seen < size_) {
      const double scale = static_cast<double>(size_) / static_cast<double>(seen);
      item_bytes = static_cast<size_t>(static_cast<double>(item_bytes) * scale);
      bytes = static_cast<size_t>(static_cast<double>(bytes) * scale);
    }
    const size_t segments = (buckets_ + kSegment - 1) / kSegment;
    bytes +=
        segments <= 1 ? first_capacity_ * sizeof(Bucket) : segments * kSegment * sizeof(Bucket);
    return bytes + item_bytes + directory_capacity_ * sizeof(Bucket*);
  }

  // Frees items and buckets, last bucket first, and takes the number of items off `budget`; true
  // when nothing is left.  After the first call nothing else may be called.
  bool destroy_some(size_t& budget) {
    while (buckets_ > 0) {
      if (budget == 0) return false;
      Bucket& last = bucket(buckets_ - 1);
      if (buckets_ > 1) prefetch_items(bucket(buckets_ - 2));
      size_t freed = 1;
      visit_chain(last, [&](Item* item) {
        Item::destroy(item);
        ++freed;
      });
      free_chain(next_of(last));
      --buckets_;
      release_bucket(buckets_);
      budget -= freed < budget ? freed : budget;
    }
    mem_free(first_);
    mem_free(directory_);
    first_ = nullptr;
    directory_ = nullptr;
    size_ = 0;
    return true;
  }
  void destroy() {
    size_t everything = SIZE_MAX;
    CHECK(destroy_some(everything));
  }

 private:
  static constexpr size_t kWords = 8;
  static constexpr size_t kSegment = 256;     // buckets allocated together
  static constexpr size_t kLoadTwiceMax = 9;  // 4.5 items a bucket
  static constexpr size_t kLoadTwiceMin = 3;
  static constexpr int kShrinkStepMax = 2;
  static constexpr uint64_t kAddressMask = (uint64_t{1} << 48) - 1;
  static constexpr uint64_t kFurtherTag = 1;  // in the last word: the address of a further bucket

  struct alignas(64) Bucket {
    uint64_t words[kWords];
  };
  struct Place {
    Bucket* in = nullptr;
    size_t index = 0;
  };

  static uint64_t tag_of(uint64_t hash) { return hash >> 48; }
  static uint64_t word_of(Item* item, uint64_t hash) {
    const uint64_t address = reinterpret_cast<uintptr_t>(item);
    CHECK((address & ~kAddressMask) == 0);
    return (tag_of(hash) << 48) | address;
  }
  static Item* item_of(uint64_t word) {
    return reinterpret_cast<Item*>(static_cast<uintptr_t>(word & kAddressMask));
  }
  static bool leads_further(const Bucket& bucket) {
    return (bucket.words[kWords - 1] & kFurtherTag) != 0;
  }
  static Bucket* next_of(const Bucket& bucket) {
    if (!leads_further(bucket)) return nullptr;
    return reinterpret_cast<Bucket*>(
        static_cast<uintptr_t>(bucket.words[kWords - 1] & ~kFurtherTag));
  }
  // Items in this bucket alone.
  static size_t count_in(const Bucket& bucket) {
    if (leads_further(bucket)) return kWords - 1;
    size_t count = 0;
    while (count < kWords && bucket.words[count] != 0) ++count;
    return count;
  }
  static size_t chain_size(const Bucket& first) {
    size_t count = 0;
    for (const Bucket* at = &first; at != nullptr; at = next_of(*at)) count += count_in(*at);
    return count;
  }
  static Item* nth_of(const Bucket& first, size_t index) {
    const Bucket* at = &first;
    while (index >= kWords - 1 && leads_further(*at)) {
      index -= kWords - 1;
      at = next_of(*at);
    }
    return item_of(at->words[index]);
  }
  template <class Visit>
  static void visit_chain(const Bucket& first, Visit&& visit) {
    for (const Bucket* at = &first; at != nullptr; at = next_of(*at)) {
      const size_t count = count_in(*at);
      for (size_t i = 0; i < count; ++i) visit(item_of(at->words[i]));
    }
  }
  static void prefetch_items(const Bucket& bucket) {
    for (const uint64_t word : bucket.words) __builtin_prefetch(item_of(word));
  }
  static void clear_bucket(Bucket& bucket) { std::memset(&bucket, 0, sizeof bucket); }
  static void free_chain(Bucket* at) {
    while (at != nullptr) {
      Bucket* next = next_of(*at);
      mem_free(at);
      at = next;
    }
  }

  size_t high_mask() const { return 2 * std::bit_floor(buckets_) - 1; }
  size_t bucket_of(uint64_t hash) const {
    const size_t index = hash & high_mask_;
    return index < buckets_ ? index : index & (high_mask_ >> 1);
  }
  // How many low bits of the hash all items of this bucket share.
  int depth_of(size_t index) const {
    const size_t floor = (high_mask_ >> 1) + 1;
    const bool split = index >= floor || index < buckets_ - floor;
    return std::countr_one(high_mask_) - (split ? 0 : 1);
  }
  // The buckets are visited in the order of their reversed indexes: bucket b of depth d holds the
  // hashes whose reversed value lies in an interval of length 2^(64-d), and the cursor is the
  // (reversed) end of what has been visited.  Splitting and merging change only how that line is
  // cut.
  static uint64_t cursor_behind(uint64_t cursor, int depth) {
    if (depth == 0) return 0;
    const uint64_t step = uint64_t{1} << (64 - depth);
    return reversed((reversed(cursor) & ~(step - 1)) + step);
  }
  static uint64_t reversed(uint64_t bits) {
    bits = ((bits >> 1) & 0x5555555555555555) | ((bits & 0x5555555555555555) << 1);
    bits = ((bits >> 2) & 0x3333333333333333) | ((bits & 0x3333333333333333) << 2);
    bits = ((bits >> 4) & 0x0f0f0f0f0f0f0f0f) | ((bits & 0x0f0f0f0f0f0f0f0f) << 4);
    return __builtin_bswap64(bits);
  }

  Bucket& bucket(size_t index) const {
    return index < kSegment ? first_[index] : directory_[index / kSegment][index % kSegment];
  }

  Place locate(std::string_view key, uint64_t hash) const {
    const uint64_t tag = tag_of(hash);
    Bucket* at = &bucket(bucket_of(hash));
    while (at != nullptr) {
      unsigned matches = 0;
      for (unsigned i = 0; i < kWords; ++i) {
        matches |= static_cast<unsigned>((at->words[i] >> 48) == tag) << i;
      }
      Bucket* further = next_of(*at);
      if (further != nullptr) matches &= (1u << (kWords - 1)) - 1;
      for (; matches != 0; matches &= matches - 1) {
        const auto index = static_cast<size_t>(std::countr_zero(matches));
        const Item* item = item_of(at->words[index]);
        if (item != nullptr && Item::key(item) == key) return {at, index};
      }
      at = further;
    }
    return {};
  }

  static void append(Bucket& first, uint64_t word) {
    Bucket* at = &first;
    while (leads_further(*at)) at = next_of(*at);
    const size_t count = count_in(*at);
    if (count < kWords) {
      at->words[count] = word;
      return;
    }
    auto* further = static_cast<Bucket*>(mem_alloc_aligned(alignof(Bucket), sizeof(Bucket)));
    clear_bucket(*further);
    further->words[0] = at->words[kWords - 1];
    further->words[1] = word;
    at->words[kWords - 1] = reinterpret_cast<uintptr_t>(further) | kFurtherTag;
  }

  // Fills the hole with the last word of the chain that begins at `first`.
  static void fill_hole(Bucket& first, const Place& hole) {
    Bucket* before = nullptr;
    Bucket* at = &first;
    while (leads_further(*at)) {
      before = at;
      at = next_of(*at);
    }
    const size_t last = count_in(*at) - 1;
    const uint64_t word = at->words[last];
    at->words[last] = 0;
    if (hole.in != at || hole.index != last) hole.in->words[hole.index] = word;
    if (before != nullptr && last == 1) {  // one item is left: it moves up
      before->words[kWords - 1] = at->words[0];
      mem_free(at);
    }
  }

  // Adds a bucket and gives it its half of the items of the bucket it is split from.
  void grow() {
    const size_t index = buckets_;
    const size_t source = index - std::bit_floor(index);
    const uint64_t mask = 2 * std::bit_floor(index) - 1;
    reserve_bucket(index);
    clear_bucket(bucket(index));
    ++buckets_;
    high_mask_ = high_mask();
    const Bucket old = bucket(source);
    prefetch_items(old);
    clear_bucket(bucket(source));
    for (const Bucket* at = &old; at != nullptr; at = next_of(*at)) {
      const size_t count = count_in(*at);
      for (size_t i = 0; i < count; ++i) {
        const uint64_t hash = hash_of(Item::key(item_of(at->words[i])));
        append(bucket((hash & mask) == index ? index : source), at->words[i]);
      }
    }
    free_chain(next_of(old));
  }
  // The reverse for the last bucket.
  void shrink() {
    const size_t index = buckets_ - 1;
    Bucket& target = bucket(index - std::bit_floor(index));
    for (const Bucket* at = &bucket(index); at != nullptr; at = next_of(*at)) {
      const size_t count = count_in(*at);
      for (size_t i = 0; i < count; ++i) append(target, at->words[i]);
    }
    free_chain(next_of(bucket(index)));
    buckets_ = index;
    high_mask_ = high_mask();
    release_bucket(index);
  }

  static Bucket* new_buckets(size_t count) {
    return static_cast<Bucket*>(mem_alloc_aligned(alignof(Bucket), count * sizeof(Bucket)));
  }
  // Makes the memory of bucket `index` available.  Requires: that of all before it is.
  void reserve_bucket(size_t index) {
    if (index < kSegment) {
      if (index >= first_capacity_) resize_first(first_capacity_ == 0 ? 1 : first_capacity_ * 2);
      return;
    }
    if (index % kSegment != 0) return;
    const size_t segment = index / kSegment;
    if (segment >= directory_capacity_) {
      directory_capacity_ = directory_capacity_ == 0 ? 8 : directory_capacity_ * 2;
      directory_ =
          static_cast<Bucket**>(mem_realloc(directory_, directory_capacity_ * sizeof(Bucket*)));
    }
    directory_[segment] = new_buckets(kSegment);
  }
  // Gives memory back after bucket `index`, the last one, has become unused.
  void release_bucket(size_t index) {
    if (index >= kSegment) {
      if (index % kSegment == 0) mem_free(directory_[index / kSegment]);
      return;
    }
    if (index > 0 && index <= first_capacity_ / 4) resize_first(first_capacity_ / 2);
  }
  void resize_first(size_t capacity) {
    Bucket* resized = new_buckets(capacity);
    const size_t kept = buckets_ < capacity ? buckets_ : capacity;
    if (kept > 0) std::memcpy(resized, first_, kept * sizeof(Bucket));
    mem_free(first_);
    first_ = resized;
    first_capacity_ = capacity;
  }

  const uint64_t seed_;
  size_t size_ = 0;
  size_t buckets_ = 0;
  size_t high_mask_ = 1;          // high_mask(), kept
  Bucket* first_ = nullptr;       // the first segment, which grows by doubling
  Bucket** directory_ = nullptr;  // the segments from number 1 on
  size_t first_capacity_ = 0;
  size_t directory_capacity_ = 0;
};

}  // namespace quorate

// A hash table of pointers to items that carry their own key: about ten bytes an item, and it grows
// and shrinks by one bucket at a time, so that no operation is slow however many items there are
// (linear hashing, Litwin 1980).  For the large forms of sets and sorted sets.  compact_table.h, of
// hashes, spends five bytes an item more and in return finds with less unpacking.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "util/block.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/memory.h"
#include "util/prng.h"

namespace quorate {

static_assert(std::endian::native == std::endian::little);

// Item has `static std::string_view key(const Item*)`.
// Does not own the items, only the pointers.  Items must not lie above 2^48 (user space never
// does).
//
// Bucket `i` of `bucket_count` holds the items whose hash modulo 2^(level+1) is i, or, if there is
// no such bucket yet, modulo 2^level, where 2^level <= bucket_count < 2^(level+1). Invariants: (1)
// the first min(count, 9) slots of a bucket are in use and no others; (2) a bucket of more than
// nine has eight, and the rest in a spill block that the ninth slot points to.
template <class Item>
class DenseTable {
 public:
  explicit DenseTable(uint64_t seed) : seed_(seed) { append_bucket(); }
  // Frees the table, not the items.
  ~DenseTable() {
    while (bucket_count_ > 0) drop_last_bucket();
    mem_free(directory_);
  }
  DenseTable(const DenseTable&) = delete;
  DenseTable& operator=(const DenseTable&) = delete;

  size_t size() const { return size_; }
  uint64_t seed() const { return seed_; }
  uint64_t hash_of(std::string_view key) const { return hash64(key, seed_); }
  // Bytes allocated for the table besides this object.
  size_t memory_bytes() const { return bytes_; }

  // Starts to load the bucket where the item of that key is or would be.
  void prefetch(std::string_view key) const {
    __builtin_prefetch(bucket_at(index_of(hash_of(key))));
  }
  // The item of that key, or null.  `hash` is hash_of(key) in all of these.
  Item* find(std::string_view key, uint64_t hash) const {
    const Bucket* bucket = bucket_at(index_of(hash));
    const size_t slot = find_slot(bucket, key, tag_of(hash));
    return slot == kNotFound ? nullptr : item_at(bucket, slot);
  }
  // Requires: no item of that key is present.
  void insert(Item* item, uint64_t hash) {
    Bucket* bucket = bucket_at(index_of(hash));
    add_to(bucket, item, tag_of(hash));
    ++size_;
    if (size_ > bucket_count_ * kItemsToSplit) split();
  }
  // Takes the item out and returns it; null if there is none.
  Item* extract(std::string_view key, uint64_t hash) {
    Bucket* bucket = bucket_at(index_of(hash));
    const size_t slot = find_slot(bucket, key, tag_of(hash));
    if (slot == kNotFound) return nullptr;
    Item* item = item_at(bucket, slot);
    remove_slot(bucket, slot);
    --size_;
    if (size_ < bucket_count_ * kItemsToMerge && bucket_count_ > 1) merge();
    return item;
  }

  // An item chosen uniformly.  O(1) expected.  Requires: size() > 0.
  Item* random(Prng& prng) const {
    // Buckets are of unlike size, so a bucket drawn is taken with a chance proportional to its
    // size.  Several are drawn at a time so that their cache misses overlap.
    constexpr size_t kDraws = 4;
    for (;;) {
      const Bucket* drawn[kDraws];
      for (const Bucket*& bucket : drawn) {
        bucket = bucket_at(prng.below(bucket_count_));
        __builtin_prefetch(bucket);
      }
      for (const Bucket* bucket : drawn) {
        const size_t slot = prng.below(widest_);
        if (slot < count_of(bucket)) return item_at(bucket, slot);
      }
    }
  }

  // Calls visit(Item*) until it returns false.  visit must not change the table.
  template <class Visit>
  void walk(Visit&& visit) const {
    for (size_t index = 0; index < bucket_count_; ++index) {
      if (!walk_bucket(bucket_at(index), visit)) return;
    }
  }

  // Calls visit(Item*) for about `count` items; every item present from the first to the last call
  // of a scan is given.  A cursor is the index of a group, its bits counted from the top, so that
  // it stays right when groups are split or joined between calls.  visit must not change the table.
  template <class Visit>
  uint64_t scan(uint64_t cursor, size_t count, Visit&& visit) const {
    const auto visit_all = [&visit](Item* item) {
      visit(item);
      return true;
    };
    const uint64_t mask = (uint64_t{1} << level_) - 1;
    size_t given = 0;
    do {
      const uint64_t group = cursor & mask;
      given += count_of(bucket_at(group));
      walk_bucket(bucket_at(group), visit_all);
      const uint64_t sibling = group | (uint64_t{1} << level_);
      if (sibling < bucket_count_) {
        given += count_of(bucket_at(sibling));
        walk_bucket(bucket_at(sibling), visit_all);
      }
      cursor = reverse(reverse(cursor | ~mask) + 1);
    } while (cursor != 0 && given < count);
    return cursor;
  }

  // Gives up about `budget` items, last buckets first, calling release(Item*); reduces `budget` by
  // their number. True when none is left.  After the first call only this and the destructor may be
  // called.
  template <class Release>
  bool release_some(size_t& budget, Release&& release) {
    while (bucket_count_ > 0) {
      if (budget == 0) return false;
      const Bucket* bucket = bucket_at(bucket_count_ - 1);
      const size_t count = count_of(bucket);
      for (size_t slot = 0; slot < count; ++slot) release(item_at(bucket, slot));
      budget -= std::min(budget, count + 1);
      drop_last_bucket();
    }
    size_ = 0;
    return true;
  }

  // Panics if an invariant is broken.  For tests; O(n).
  void verify() const {
    size_t items = 0;
    for (size_t index = 0; index < bucket_count_; ++index) {
      items += count_of(bucket_at(index));
      CHECK(count_of(bucket_at(index)) <= widest_);
      walk_bucket(bucket_at(index), [&](Item* item) {
        CHECK(index_of(hash_of(Item::key(item))) == index);
        return true;
      });
    }
    CHECK(items == size_);
  }

 private:
  static constexpr size_t kSlots = 9;
  static constexpr size_t kSlotsWhenSpilled = 8;
  static constexpr uint8_t kSpilled = 0xff;
  static constexpr size_t kNotFound = SIZE_MAX;
  static constexpr size_t kItemsToSplit = 8;  // mean items a bucket above which one more is made
  static constexpr size_t kItemsToMerge = 4;
  static constexpr size_t kSegmentBits = 10;
  static constexpr size_t kSegmentBuckets = size_t{1} << kSegmentBits;
  static constexpr uint64_t kPointerMask = (uint64_t{1} << 48) - 1;

  // One cache line.
  struct Bucket {
    unsigned char pointers[kSlots * 6];
    uint8_t tags[kSlots];  // the top byte of the item's hash
    uint8_t count;         // or kSpilled
  };
  static_assert(sizeof(Bucket) == 64);
  // Items beyond the eighth: behind the count, each as six bytes of pointer and one of tag.
  struct Spill {
    uint16_t count;
  };

  static uint8_t tag_of(uint64_t hash) { return static_cast<uint8_t>(hash >> 56); }
  static uint64_t reverse(uint64_t bits) {
    bits = ((bits >> 1) & 0x5555555555555555) | ((bits & 0x5555555555555555) << 1);
    bits = ((bits >> 2) & 0x3333333333333333) | ((bits & 0x3333333333333333) << 2);
    bits = ((bits >> 4) & 0x0f0f0f0f0f0f0f0f) | ((bits & 0x0f0f0f0f0f0f0f0f) << 4);
    return __builtin_bswap64(bits);
  }
  static uint64_t load64(const void* at) {
    uint64_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  static void* pointer_at(const Bucket* bucket, size_t slot) {
    return reinterpret_cast<void*>(load64(bucket->pointers + slot * 6) & kPointerMask);
  }
  static void set_pointer(Bucket* bucket, size_t slot, const void* pointer) {
    const auto bits = reinterpret_cast<uint64_t>(pointer);
    DCHECK((bits & ~kPointerMask) == 0);
    std::memcpy(bucket->pointers + slot * 6, &bits, 6);
  }
  static Spill* spill_of(const Bucket* bucket) {
    return static_cast<Spill*>(pointer_at(bucket, kSlotsWhenSpilled));
  }
  static size_t spill_size(size_t count) { return sizeof(uint16_t) + 7 * count; }
  // The seven bytes before the end of an entry, read with the byte in front of it so that the load
  // never leaves the block.
  static uint64_t spill_entry(const Spill* spill, size_t index) {
    return load64(reinterpret_cast<const char*>(spill) + spill_size(index) - 1) >> 8;
  }

  size_t index_of(uint64_t hash) const {
    const uint64_t low = uint64_t{1} << level_;
    const uint64_t index = hash & (2 * low - 1);
    return index < bucket_count_ ? index : index & (low - 1);
  }
  Bucket* bucket_at(size_t index) const {
    return directory_[index >> kSegmentBits] + (index & (kSegmentBuckets - 1));
  }
  static size_t count_of(const Bucket* bucket) {
    if (bucket->count != kSpilled) [[likely]]
      return bucket->count;
    return kSlotsWhenSpilled + spill_of(bucket)->count;
  }
  static Item* item_at(const Bucket* bucket, size_t slot) {
    if (bucket->count != kSpilled || slot < kSlotsWhenSpilled) [[likely]]
      return static_cast<Item*>(pointer_at(bucket, slot));
    return reinterpret_cast<Item*>(spill_entry(spill_of(bucket), slot - kSlotsWhenSpilled) &
                                   kPointerMask);
  }
  static uint8_t tag_at(const Bucket* bucket, size_t slot) {
    if (bucket->count != kSpilled || slot < kSlotsWhenSpilled) [[likely]]
      return bucket->tags[slot];
    return static_cast<uint8_t>(spill_entry(spill_of(bucket), slot - kSlotsWhenSpilled) >> 48);
  }
  static void set_slot(Bucket* bucket, size_t slot, const Item* item, uint8_t tag) {
    if (bucket->count != kSpilled || slot < kSlotsWhenSpilled) {
      set_pointer(bucket, slot, item);
      bucket->tags[slot] = tag;
      return;
    }
    const uint64_t entry = reinterpret_cast<uint64_t>(item) | (uint64_t{tag} << 48);
    auto* block = reinterpret_cast<char*>(spill_of(bucket));
    std::memcpy(block + spill_size(slot - kSlotsWhenSpilled), &entry, 7);
  }

  size_t find_slot(const Bucket* bucket, std::string_view key, uint8_t tag) const {
    constexpr uint64_t kOnes = 0x0101010101010101;
    const size_t in_line = bucket->count == kSpilled ? kSlotsWhenSpilled : bucket->count;
    const uint64_t differ = load64(bucket->tags) ^ (kOnes * tag);
    // A byte of zero in `differ` gives a set top bit; bytes above the lowest one may be wrong,
    // which costs a comparison.
    uint64_t candidates = (differ - kOnes) & ~differ & (kOnes << 7);
    for (; candidates != 0; candidates &= candidates - 1) {
      const size_t slot = static_cast<size_t>(std::countr_zero(candidates)) / 8;
      if (slot >= in_line) break;
      if (Item::key(static_cast<Item*>(pointer_at(bucket, slot))) == key) return slot;
    }
    if (in_line == kSlots && bucket->tags[kSlots - 1] == tag &&
        Item::key(static_cast<Item*>(pointer_at(bucket, kSlots - 1))) == key) {
      return kSlots - 1;
    }
    return bucket->count == kSpilled ? find_spilled(bucket, key, tag) : kNotFound;
  }
  static size_t find_spilled(const Bucket* bucket, std::string_view key, uint8_t tag) {
    const Spill* spill = spill_of(bucket);
    for (size_t index = 0; index < spill->count; ++index) {
      const uint64_t entry = spill_entry(spill, index);
      if (static_cast<uint8_t>(entry >> 48) != tag) continue;
      if (Item::key(reinterpret_cast<Item*>(entry & kPointerMask)) == key) {
        return kSlotsWhenSpilled + index;
      }
    }
    return kNotFound;
  }

  void add_to(Bucket* bucket, Item* item, uint8_t tag) {
    if (bucket->count < kSlots) {
      set_pointer(bucket, bucket->count, item);
      bucket->tags[bucket->count] = tag;
      widest_ = std::max(widest_, size_t{++bucket->count});
      return;
    }
    if (bucket->count != kSpilled) spill(bucket);
    Spill* block = spill_of(bucket);
    const size_t count = block->count;
    CHECK(count < UINT16_MAX);
    block = resize_spill(bucket, block, count, count + 1);
    set_slot(bucket, kSlotsWhenSpilled + count, item, tag);
    widest_ = std::max(widest_, kSlotsWhenSpilled + count + 1);
  }
  // Moves the ninth item of a full bucket to a new spill block.
  void spill(Bucket* bucket) {
    Item* ninth = item_at(bucket, kSlotsWhenSpilled);
    const uint8_t tag = bucket->tags[kSlotsWhenSpilled];
    bucket->count = kSpilled;
    resize_spill(bucket, nullptr, 0, 1);
    set_slot(bucket, kSlotsWhenSpilled, ninth, tag);
  }
  Spill* resize_spill(Bucket* bucket, Spill* block, size_t before, size_t after) {
    if (block != nullptr) bytes_ -= block_good_size(spill_size(before));
    auto* resized = static_cast<Spill*>(block_resize(block, spill_size(before), spill_size(after)));
    bytes_ += block_good_size(spill_size(after));
    resized->count = static_cast<uint16_t>(after);
    set_pointer(bucket, kSlotsWhenSpilled, resized);
    return resized;
  }
  void free_spill(Bucket* bucket) {
    Spill* block = spill_of(bucket);
    bytes_ -= block_good_size(spill_size(block->count));
    block_free(block, spill_size(block->count));
  }
  // The last item takes the place of the one removed.
  void remove_slot(Bucket* bucket, size_t slot) {
    const size_t last = count_of(bucket) - 1;
    if (slot != last) set_slot(bucket, slot, item_at(bucket, last), tag_at(bucket, last));
    if (bucket->count != kSpilled) {
      --bucket->count;
      return;
    }
    Spill* block = spill_of(bucket);
    if (block->count > 1) {
      resize_spill(bucket, block, block->count, size_t{block->count} - 1);
      return;
    }
    free_spill(bucket);
    bucket->count = kSlotsWhenSpilled;
  }

  // Makes one more bucket and moves to it what belongs there now.
  void split() {
    append_bucket();
    const size_t to_index = bucket_count_ - 1;
    Bucket* to = bucket_at(to_index);
    Bucket* from = bucket_at(to_index - (size_t{1} << level_));
    if (bucket_count_ == size_t{2} << level_) ++level_;
    const size_t count = count_of(from);
    for (size_t slot = 0; slot < count; ++slot) __builtin_prefetch(item_at(from, slot));
    for (size_t slot = count; slot-- > 0;) {
      Item* item = item_at(from, slot);
      if (index_of(hash_of(Item::key(item))) != to_index) continue;
      add_to(to, item, tag_at(from, slot));
      remove_slot(from, slot);
    }
  }
  // Joins the last bucket to the one it was split from.
  void merge() {
    if (bucket_count_ == size_t{1} << level_) --level_;
    Bucket* from = bucket_at(bucket_count_ - 1);
    Bucket* to = bucket_at(bucket_count_ - 1 - (size_t{1} << level_));
    const size_t count = count_of(from);
    for (size_t slot = 0; slot < count; ++slot) add_to(to, item_at(from, slot), tag_at(from, slot));
    drop_last_bucket();
  }

  template <class Visit>
  static bool walk_bucket(const Bucket* bucket, Visit&& visit) {
    const size_t count = count_of(bucket);
    for (size_t slot = 0; slot < count; ++slot) {
      if (!visit(item_at(bucket, slot))) return false;
    }
    return true;
  }

  // Buckets lie in segments of fixed size, which never move; only the first segment grows, while it
  // is alone.
  void append_bucket() {
    const size_t segment = bucket_count_ >> kSegmentBits;
    if (bucket_count_ == segment_capacity_) {
      if (segment == 0) {
        resize_first_segment(bucket_count_ + 1 + bucket_count_ / 4);
      } else {
        add_segment(segment);
      }
    }
    bucket_at(bucket_count_++)->count = 0;
  }
  void resize_first_segment(size_t wanted) {
    if (directory_ == nullptr) resize_directory(1);
    const size_t capacity =
        std::min(mem_good_size(wanted * sizeof(Bucket)) / sizeof(Bucket), kSegmentBuckets);
    auto* segment = static_cast<Bucket*>(
        mem_alloc_aligned(sizeof(Bucket), std::max<size_t>(capacity, 1) * sizeof(Bucket)));
    if (segment_capacity_ > 0) {
      std::memcpy(segment, directory_[0], std::min(bucket_count_, capacity) * sizeof(Bucket));
      mem_free(directory_[0]);
    }
    bytes_ += (std::max<size_t>(capacity, 1) - segment_capacity_) * sizeof(Bucket);
    segment_capacity_ = std::max<size_t>(capacity, 1);
    directory_[0] = segment;
  }
  void add_segment(size_t segment) {
    if (segment == directory_capacity_) resize_directory(segment * 2);
    constexpr size_t kBytes = kSegmentBuckets * sizeof(Bucket);
    directory_[segment] = static_cast<Bucket*>(mem_alloc_aligned(sizeof(Bucket), kBytes));
    bytes_ += kBytes;
    segment_capacity_ += kSegmentBuckets;
  }
  void resize_directory(size_t capacity) {
    bytes_ -= directory_capacity_ == 0 ? 0 : mem_good_size(directory_capacity_ * sizeof(Bucket*));
    directory_ = static_cast<Bucket**>(mem_realloc(directory_, capacity * sizeof(Bucket*)));
    bytes_ += mem_good_size(capacity * sizeof(Bucket*));
    directory_capacity_ = capacity;
  }
  // Forgets the items of the last bucket and gives memory back.
  void drop_last_bucket() {
    Bucket* bucket = bucket_at(bucket_count_ - 1);
    if (bucket->count == kSpilled) free_spill(bucket);
    --bucket_count_;
    const size_t segment = bucket_count_ >> kSegmentBits;
    if ((bucket_count_ & (kSegmentBuckets - 1)) == 0 && (segment > 0 || bucket_count_ == 0)) {
      const size_t held = segment == 0 ? segment_capacity_ : kSegmentBuckets;
      mem_free(directory_[segment]);
      bytes_ -= held * sizeof(Bucket);
      segment_capacity_ -= held;
    } else if (segment == 0 && segment_capacity_ > kShrinkFrom &&
               bucket_count_ * 3 < segment_capacity_) {
      resize_first_segment(bucket_count_ + bucket_count_ / 4);
    }
  }
  static constexpr size_t kShrinkFrom = 16;

  const uint64_t seed_;
  size_t size_ = 0;
  size_t bucket_count_ = 0;
  size_t bytes_ = 0;
  size_t widest_ = 1;              // no bucket holds more; may be more than any holds
  size_t segment_capacity_ = 0;    // buckets that have memory
  size_t directory_capacity_ = 0;  // segments
  Bucket** directory_ = nullptr;
  uint32_t level_ = 0;
};

}  // namespace quorate

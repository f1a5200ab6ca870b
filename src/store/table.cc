// The changing half of Table: insertion, removal, growth.
#include "store/table.h"

#include <utility>

#include "util/block.h"
#include "util/memory.h"

namespace quorate {

namespace {
constexpr size_t kStaggerFrom = 16;  // buckets: from here on sibling tables differ in size
}

size_t Table::memory_bytes() const {
  size_t bytes = (current_.count + children_) * sizeof(Bucket);
  bytes += (current_.segment_count() + old_.segment_count()) * sizeof(Bucket*);
  if (old_.count > frontier_) bytes += (old_.count - frontier_) * sizeof(Bucket);
  return bytes;
}

void Table::make_segment(Array& array, size_t segment) {
  const size_t first = segment << kSegmentShift;
  const size_t buckets =
      array.count - first < kSegmentBuckets ? array.count - first : kSegmentBuckets;
  auto* made = static_cast<Bucket*>(mem_alloc_aligned(sizeof(Bucket), buckets * sizeof(Bucket)));
  std::memset(static_cast<void*>(made), 0, buckets * sizeof(Bucket));
  array.segments[segment] = made;
}

Table::Array Table::make_array(size_t count) {
  Array array;
  array.count = count;
  array.segments = static_cast<Bucket**>(mem_alloc_zeroed(array.segment_count() * sizeof(Bucket*)));
  return array;
}

void Table::release_array(Array& array) {
  for (size_t segment = 0; segment < array.segment_count(); ++segment) {
    Bucket* buckets = array.segments[segment];
    if (buckets == nullptr) continue;
    const size_t first = segment << kSegmentShift;
    for (size_t index = 0; index < kSegmentBuckets && first + index < array.count; ++index) {
      free_children(buckets + index);
    }
    mem_free(buckets);
  }
  mem_free(array.segments);
  array = Array();
}

void Table::free_children(Bucket* bucket) {
  if (!bucket->has_child()) return;
  Bucket* link = bucket->child();
  while (link != nullptr) {
    Bucket* next = link->has_child() ? link->child() : nullptr;
    mem_free(link);
    link = next;
  }
  bucket->meta &= static_cast<uint8_t>(~kHasChild);
}

void Table::swap(Table& other) {
  std::swap(current_, other.current_);
  std::swap(old_, other.old_);
  std::swap(frontier_, other.frontier_);
  std::swap(size_, other.size_);
  std::swap(expiring_, other.expiring_);
  std::swap(seed_, other.seed_);
  std::swap(children_, other.children_);
  std::swap(phase_, other.phase_);
  std::swap(marked_, other.marked_);
}

void Table::release() {
  if (current_.count != 0) release_array(current_);
  if (old_.count != 0) release_array(old_);
  frontier_ = size_ = expiring_ = 0;
  children_ = 0;
}

void Table::start_resize(size_t count) {
  old_ = current_;
  current_ = make_array(count);
  frontier_ = 0;
}

void Table::put(Bucket* bucket, uint8_t tag, const Entry* entry) {
  if (entry->has_expiry()) bucket->meta |= kHasExpiring;
  while (bucket->has_child()) bucket = bucket->child();
  const uint32_t free_places = bucket->matches(0);
  if (free_places != 0) {
    bucket->set_entry(static_cast<size_t>(__builtin_ctz(free_places)), tag, entry);
    return;
  }
  auto* child = static_cast<Bucket*>(mem_alloc_aligned(sizeof(Bucket), sizeof(Bucket)));
  std::memset(static_cast<void*>(child), 0, sizeof(Bucket));
  ++children_;
  child->set_entry(0, bucket->tags[kPlaces - 1], bucket->entry(kPlaces - 1));
  child->set_entry(1, tag, entry);
  bucket->tags[kPlaces - 1] = 0;
  bucket->set_raw(kPlaces - 1, reinterpret_cast<uint64_t>(child));
  bucket->meta |= kHasChild;
}

void Table::reserve(size_t keys) {
  // Not quite full: partitions differ a little in size.
  constexpr size_t kPercentOfMax = 96;
  const size_t count = keys * 100 / (kKeysPerBucketMax * kPercentOfMax) + 1;
  if (size_ != 0 || current_.count != 0 || count < kStaggerFrom) return;
  current_ = make_array(count);
  for (size_t segment = 0; segment < current_.segment_count(); ++segment) make_segment(current_, segment);
}

void Table::insert(uint64_t hash, Entry* entry) {
  if (current_.count == 0) {
    current_ = make_array(1);
    make_segment(current_, 0);
  }
  if (old_.count != 0) {
    grow_some(1);
  } else if (size_ >= current_.count * kKeysPerBucketMax) {
    size_t wanted = current_.count < 4 ? current_.count * 2 : current_.count + current_.count / 2;
    if (current_.count < kStaggerFrom && wanted >= kStaggerFrom) {
      wanted = kStaggerFrom + kStaggerFrom * phase_ / 2048;
    }
    start_resize(wanted);
    grow_some(1);
  }
  put(bucket_of(hash), tag_of(hash), entry);
  ++size_;
  if (entry->has_expiry()) ++expiring_;
}

Table::Place Table::locate_entry(uint64_t hash, const Entry* entry) const {
  const uint8_t tag = tag_of(hash);
  Bucket* bucket = bucket_of(hash);
  while (true) {
    for (uint32_t found = bucket->matches(tag); found != 0; found &= found - 1) {
      const auto index = static_cast<size_t>(__builtin_ctz(found));
      if (bucket->entry(index) == entry) return {bucket, index};
    }
    CHECK(bucket->has_child());
    bucket = bucket->child();
  }
}

// `old_entry` may already be freed (a realloc moved it): only its address is used.
void Table::replace(uint64_t hash, const Entry* old_entry, Entry* entry) {
  const Place place = locate_entry(hash, old_entry);
  place.bucket->set_entry(place.index, place.bucket->tags[place.index], entry);
}

void Table::mark_expiring(uint64_t hash) {
  bucket_of(hash)->meta |= kHasExpiring;
  marked_ = true;
}

void Table::remove(uint64_t hash, const Entry* entry) {
  const Place place = locate_entry(hash, entry);
  if (entry->has_expiry()) --expiring_;
  --size_;
  // The hole is filled from the end of the chain.
  Bucket* parent = nullptr;
  Bucket* last = place.bucket;
  while (last->has_child()) {
    parent = last;
    last = last->child();
  }
  place.bucket->tags[place.index] = 0;
  if (last != place.bucket) {
    const auto from = static_cast<size_t>(31 - __builtin_clz(last->used()));
    place.bucket->set_entry(place.index, last->tags[from], last->entry(from));
    last->tags[from] = 0;
  } else if (last != bucket_of(hash)) {
    // The entry was in the last link itself: its parent is found from the head.
    for (Bucket* link = bucket_of(hash); link != last; link = link->child()) parent = link;
  }
  if (parent != nullptr && last->used() == 0) {
    parent->meta &= static_cast<uint8_t>(~kHasChild);
    parent->tags[kPlaces - 1] = 0;
    mem_free(last);
    --children_;
  }
  if (old_.count != 0) {
    grow_some(1);
  } else if (current_.count > kStaggerFrom &&
             size_ < current_.count * kKeysPerBucketMax / kShrinkDivisor) {
    const size_t wanted = size_ / (kKeysPerBucketMax / 2) + 1;
    start_resize(wanted > kStaggerFrom ? wanted : kStaggerFrom);
    grow_some(1);
  }
}

void Table::move_bucket(size_t index) {
  Bucket* head = old_.at(index);
  for (Bucket* link = head; link != nullptr;) {
    uint32_t used = link->used();
    const bool has_child = link->has_child();
    if (has_child) used &= (1u << (kPlaces - 1)) - 1;
    for (; used != 0; used &= used - 1) {
      Entry* entry = link->entry(static_cast<size_t>(__builtin_ctz(used)));
      const uint64_t hash = hash64(entry->key(), seed_);
      put(current_.at(index_of(hash, current_.count)), tag_of(hash), entry);
    }
    Bucket* next = has_child ? link->child() : nullptr;
    if (link != head) {
      mem_free(link);
      --children_;
    }
    link = next;
  }
  std::memset(static_cast<void*>(head), 0, sizeof *head);
}

bool Table::grow_some(size_t buckets) {
  for (; buckets > 0 && old_.count != 0; --buckets) {
    // The new segments that this old bucket's hashes fall into.
    const uint64_t first_hash = start_of(frontier_, old_.count);
    const uint64_t next_hash =
        frontier_ + 1 == old_.count ? 0 : start_of(frontier_ + 1, old_.count);
    const size_t first = index_of(first_hash, current_.count) >> kSegmentShift;
    const size_t last = index_of(next_hash - 1, current_.count) >> kSegmentShift;
    for (size_t segment = first; segment <= last; ++segment) {
      if (current_.segments[segment] == nullptr) make_segment(current_, segment);
    }
    move_bucket(frontier_);
    ++frontier_;
    if ((frontier_ & (kSegmentBuckets - 1)) == 0 && frontier_ < old_.count) {
      Bucket*& passed = old_.segments[(frontier_ >> kSegmentShift) - 1];
      mem_free(passed);
      passed = nullptr;
    }
    if (frontier_ == old_.count) {
      release_array(old_);
      frontier_ = 0;
      return false;
    }
    // The next step finds its entries in the cache, with keys that lie across two lines.
    const Bucket* next = old_.at(frontier_);
    for (uint32_t used = next->used(); used != 0; used &= used - 1) {
      const char* entry = reinterpret_cast<const char*>(next->entry(static_cast<size_t>(__builtin_ctz(used))));
      __builtin_prefetch(entry);
      __builtin_prefetch(entry + 23);
    }
    if (frontier_ + 1 < old_.count) __builtin_prefetch(old_.at(frontier_ + 1));
  }
  return old_.count != 0;
}

void Table::prefetch_entry(uint64_t hash) const {
  if (size_ == 0) return;
  const Bucket* bucket = bucket_of(hash);
  uint32_t found = bucket->matches(tag_of(hash));
  if (found != 0) {
    // An entry with a value of some dozen bytes reaches into a second line, and one of 88 bytes, which a key of 16 and a
    // value of 64 make, may reach into a third.
    const char* entry = reinterpret_cast<const char*>(bucket->entry(static_cast<size_t>(__builtin_ctz(found))));
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64);
    __builtin_prefetch(entry + 87);
  } else if (bucket->has_child()) {
    __builtin_prefetch(bucket->child());
  }
}

void Table::prefetch_removal(uint64_t hash) const {
  if (size_ == 0) return;
  const Bucket* bucket = bucket_of(hash);
  const uint32_t found = bucket->matches(tag_of(hash));
  if (found != 0) block_prefetch_free(bucket->entry(static_cast<size_t>(__builtin_ctz(found))));
}

}  // namespace quorate

// The block of one field of a large hash, and the heap of those that expire.
#include "store/hash_field.h"

#include <algorithm>
#include <cstring>

#include "util/check.h"
#include "util/memory.h"

namespace quorate {

HashField* HashField::create(std::string_view name, std::string_view value, Space space) {
  const bool is_long = name.size() >= kLongName;
  const size_t extra = space == Space::kForExpiry ? kExpiryBytes : 0;
  const size_t head_size = 1 + (is_long ? sizeof(uint32_t) : 0);
  const size_t size =
      head_size + packed::length_size(value.size()) + extra + name.size() + value.size();
  auto* const block = static_cast<char*>(block_alloc(size));
  const unsigned length_bits = is_long ? kLongName : static_cast<unsigned>(name.size());
  *block = static_cast<char>(length_bits | (extra != 0 ? kHasExpiry : 0));
  char* at = block + 1;
  if (is_long) {
    const auto wide = static_cast<uint32_t>(name.size());
    std::memcpy(at, &wide, sizeof wide);
    at += sizeof wide;
  }
  at = packed::write_length(at, value.size());
  if (extra != 0) std::memset(at, 0, extra);
  at += extra;
  if (!name.empty()) std::memcpy(at, name.data(), name.size());
  at += name.size();
  if (!value.empty()) std::memcpy(at, value.data(), value.size());
  return reinterpret_cast<HashField*>(block);
}

HashField::Parts HashField::read(const HashField* field) {
  const char* at = reinterpret_cast<const char*>(field);
  const auto head = static_cast<unsigned char>(*at++);
  size_t name_size = head & kLengthMask;
  if (name_size == kLongName) [[unlikely]]
    at = read_long(at, name_size);
  size_t value_size;
  at = packed::read_length(at, value_size);
  int64_t expiry = kNever;
  if (head & kHasExpiry) {
    std::memcpy(&expiry, at, sizeof expiry);
    at += kExpiryBytes;
  }
  return {{at, name_size}, {at + name_size, value_size}, expiry};
}

size_t HashField::expiry_offset() const {
  const auto* block = reinterpret_cast<const char*>(this);
  const bool is_long = (*bytes() & kLengthMask) == kLongName;
  size_t value_size;
  const char* at = block + 1 + (is_long ? sizeof(uint32_t) : 0);
  return static_cast<size_t>(packed::read_length(at, value_size) - block);
}

int64_t HashField::expiry() const {
  int64_t value;
  std::memcpy(&value, bytes() + expiry_offset(), sizeof value);
  return value;
}

void HashField::set_expiry(int64_t unix_ms) {
  std::memcpy(bytes() + expiry_offset(), &unix_ms, sizeof unix_ms);
}

uint32_t HashField::heap_place() const {
  uint32_t place;
  std::memcpy(&place, bytes() + expiry_offset() + sizeof(int64_t), sizeof place);
  return place;
}

void HashField::set_heap_place(uint32_t place) {
  std::memcpy(bytes() + expiry_offset() + sizeof(int64_t), &place, sizeof place);
}

bool HashField::overwrite(std::string_view value) {
  const std::string_view old = read(this).value;
  if (old.size() != value.size()) return false;
  const auto offset = static_cast<size_t>(old.data() - reinterpret_cast<const char*>(this));
  if (!value.empty()) std::memcpy(bytes() + offset, value.data(), value.size());
  return true;
}

// ---- the heap
// -----------------------------------------------------------------------------------------

void FieldExpiryHeap::insert(HashField* field) {
  reserve_one();
  at(size_) = Item{field->expiry(), field};
  sift_up(size_++);
}

void FieldExpiryHeap::moved_in_time(HashField* field) {
  const size_t index = field->heap_place();
  CHECK(index < size_ && at(index).field == field);
  const int64_t before = at(index).expiry;
  at(index).expiry = field->expiry();
  if (at(index).expiry < before) {
    sift_up(index);
  } else {
    sift_down(index);
  }
}

void FieldExpiryHeap::remove(HashField* field) {
  const size_t index = field->heap_place();
  CHECK(index < size_ && at(index).field == field);
  const Item last = at(size_ - 1);
  --size_;
  if (index < size_) {
    const int64_t before = at(index).expiry;
    at(index) = last;
    if (last.expiry < before) {
      sift_up(index);
    } else {
      sift_down(index);
    }
  }
  release_unused();
}

void FieldExpiryHeap::sift_up(size_t index) {
  const Item item = at(index);
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (at(parent).expiry <= item.expiry) break;
    place(index, at(parent));
    index = parent;
  }
  place(index, item);
}

void FieldExpiryHeap::sift_down(size_t index) {
  const Item item = at(index);
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= size_) break;
    if (child + 1 < size_ && at(child + 1).expiry < at(child).expiry) ++child;
    if (at(child).expiry >= item.expiry) break;
    place(index, at(child));
    index = child;
  }
  place(index, item);
}

void FieldExpiryHeap::reserve_one() {
  if (size_ < first_capacity_ || (first_capacity_ == kPiece && size_ < piece_count_ * kPiece)) {
    return;
  }
  if (first_capacity_ < kPiece) {  // the first piece doubles
    if (pieces_ == nullptr) {
      piece_capacity_ = 4;
      pieces_ = static_cast<Item**>(mem_alloc(piece_capacity_ * sizeof(Item*)));
      pieces_[0] = nullptr;
      piece_count_ = 1;
    }
    const size_t capacity = first_capacity_ == 0 ? kFirstPiece : first_capacity_ * 2;
    pieces_[0] = static_cast<Item*>(mem_realloc(pieces_[0], capacity * sizeof(Item)));
    first_capacity_ = static_cast<uint32_t>(capacity);
    return;
  }
  if (piece_count_ == piece_capacity_) {
    piece_capacity_ *= 2;
    pieces_ = static_cast<Item**>(mem_realloc(pieces_, piece_capacity_ * sizeof(Item*)));
  }
  pieces_[piece_count_++] = static_cast<Item*>(mem_alloc(kPiece * sizeof(Item)));
}

// One spare piece stays, so that a size that swings around a border costs nothing.
void FieldExpiryHeap::release_unused() {
  while (piece_count_ > 1 && size_ + kPiece < (piece_count_ - 1) * kPiece) {
    mem_free(pieces_[--piece_count_]);
  }
  if (size_ == 0) destroy();
}

void FieldExpiryHeap::destroy() {
  for (uint32_t i = 0; i < piece_count_; ++i) mem_free(pieces_[i]);
  mem_free(pieces_);
  pieces_ = nullptr;
  size_ = 0;
  piece_count_ = piece_capacity_ = first_capacity_ = 0;
}

size_t FieldExpiryHeap::memory_bytes() const {
  if (pieces_ == nullptr) return 0;
  return piece_capacity_ * sizeof(Item*) + first_capacity_ * sizeof(Item) +
         (piece_count_ - 1) * kPiece * sizeof(Item);
}

}  // namespace quorate

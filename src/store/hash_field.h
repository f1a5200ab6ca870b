// One field of a large hash as a single block of memory, and the heap that orders the fields that
// expire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "store/packed.h"
#include "util/block.h"
#include "util/time.h"

namespace quorate {

// Not constructible: lives in a block made by create().
//   u8 head      bit 7: has an expiry; the rest: the name's length, 127 = a u32 with it follows
//   length       of the value (packed.h)
//   [i64 expiry, u32 place in the heap]
//   name, value
class HashField {
 public:
  struct Parts {
    std::string_view name;
    std::string_view value;
    int64_t expiry;  // kNever: none
  };
  enum class Space : uint8_t { kPlain, kForExpiry };

  HashField() = delete;

  static HashField* create(std::string_view name, std::string_view value, Space space);
  static void destroy(HashField* field) { block_free(field, bytes_of(field)); }
  // Bytes allocated.
  static size_t size(const HashField* field) { return block_good_size(bytes_of(field)); }

  static std::string_view key(const HashField* field) {
    const char* at = reinterpret_cast<const char*>(field);
    const auto head = static_cast<unsigned char>(*at);
    size_t name_size = head & kLengthMask;
    const char* name = at + 1;
    if (name_size == kLongName) [[unlikely]]
      name = read_long(name, name_size);
    size_t value_size;
    name = packed::read_length(name, value_size);
    if (head & kHasExpiry) name += kExpiryBytes;
    return {name, name_size};
  }
  static Parts read(const HashField* field);
  bool has_expiry() const { return (*bytes() & kHasExpiry) != 0; }
  // Requires of the following: has_expiry().
  int64_t expiry() const;
  void set_expiry(int64_t unix_ms);
  uint32_t heap_place() const;
  void set_heap_place(uint32_t place);

  // True if `value` could be written over the old one: same size.
  bool overwrite(std::string_view value);

 private:
  static constexpr unsigned kHasExpiry = 0x80;
  static constexpr unsigned kLengthMask = 0x7f;
  static constexpr size_t kLongName = 0x7f;
  static constexpr size_t kExpiryBytes = 12;

  static const char* read_long(const char* at, size_t& size) {
    uint32_t wide;
    std::memcpy(&wide, at, sizeof wide);
    size = wide;
    return at + sizeof wide;
  }
  // From the begin to the end of the value.
  static size_t bytes_of(const HashField* field) {
    const Parts parts = read(field);
    return static_cast<size_t>(parts.value.data() + parts.value.size() -
                               reinterpret_cast<const char*>(field));
  }
  unsigned char* bytes() { return reinterpret_cast<unsigned char*>(this); }
  const unsigned char* bytes() const { return reinterpret_cast<const unsigned char*>(this); }
  // Where expiry and heap place are.
  size_t expiry_offset() const;
};

// A heap of fields by expiry, earliest first.  Each field remembers its place, so that any can be
// taken out. Kept in pieces, so that growth never moves what is there.
class FieldExpiryHeap {
 public:
  size_t size() const { return size_; }
  // kNever when empty.
  int64_t earliest() const { return size_ == 0 ? kNever : at(0).expiry; }
  // Requires: size() > 0.
  HashField* first() const { return at(0).field; }
  // Requires: field->has_expiry(), its expiry is set, and it is not in the heap.
  void insert(HashField* field);
  // Requires of these two: `field` is in the heap.  After its expiry changed:
  void moved_in_time(HashField* field);
  void remove(HashField* field);
  // Says that the block of a field was replaced; the new one has the same heap place and expiry.
  void replaced(HashField* field) { at(field->heap_place()).field = field; }
  void destroy();
  size_t memory_bytes() const;

 private:
  struct Item {
    int64_t expiry;
    HashField* field;
  };
  static constexpr size_t kPiece = 512;  // items; the first piece starts smaller
  static constexpr size_t kFirstPiece = 8;

  Item& at(size_t index) { return pieces_[index / kPiece][index % kPiece]; }
  const Item& at(size_t index) const { return pieces_[index / kPiece][index % kPiece]; }
  void place(size_t index, const Item& item) {
    at(index) = item;
    item.field->set_heap_place(static_cast<uint32_t>(index));
  }
  void sift_up(size_t index);
  void sift_down(size_t index);
  void reserve_one();
  void release_unused();

  Item** pieces_ = nullptr;
  size_t size_ = 0;
  uint32_t piece_count_ = 0;
  uint32_t piece_capacity_ = 0;
  uint32_t first_capacity_ = 0;
};

}  // namespace quorate

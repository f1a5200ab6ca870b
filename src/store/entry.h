// One key of the store: a single block of memory with header, optional expiry, key, and for a
// string its value; other types hold an eight-byte value object (Hash, Set, SortedSet, List) that
// owns the rest.
//
//   u8  flags      type, has_expiry, snapshot mark, wide, edited, roomy
//   u24 access     LRU clock or LFU counter (store/eviction.h)
//   u32 lengths    narrow: u8 key length, u24 value length; wide: the real lengths follow as two
//   u64 [u64 key length, u64 value length]     if wide [i64 expiry, unix ms]                  if
//   has_expiry [8 bytes value object]                 if not a string key bytes, string value bytes
//
// A 16-byte key with an 8-byte value is exactly 32 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "util/check.h"
#include "util/time.h"

namespace quorate {

enum class ValueType : uint8_t {
  kString = 0,
  kList = 1,
  kSet = 2,
  kSortedSet = 3,
  kHash = 4,
  kStream = 5
};

// The name TYPE prints.
std::string_view type_name(ValueType type);

// Not constructible: lives inside a block made by create().  Pointers to entries are invalidated by
// any change of the same key through Db, and by nothing else.
class Entry {
 public:
  Entry() = delete;
  Entry(const Entry&) = delete;

  static Entry* create_string(std::string_view key, std::string_view value, int64_t expiry);
  // The value object's eight bytes start as zero, which every type reads as its empty value.
  static Entry* create_object(std::string_view key, ValueType type, int64_t expiry);
  // A string of `size` bytes that begins with `value`, in a block with space for `room` bytes; the
  // bytes between are not set.  Requires: value.size() and size <= room.
  static Entry* create_string_with_room(std::string_view key, std::string_view value,
                                        int64_t expiry, size_t size, size_t room);
  // Copies with another expiry or another key.  A value object moves to the copy: free only the
  // block of `entry`.
  static Entry* rebuild_with_expiry(const Entry* entry, int64_t expiry);
  static Entry* rebuild_with_key(const Entry* entry, std::string_view key);
  // Frees the block only; the owner of a value object destroys that first.
  static void free_block(Entry* entry);

  ValueType type() const { return static_cast<ValueType>(flags_ & kTypeMask); }
  bool is_string() const { return type() == ValueType::kString; }
  bool has_expiry() const { return (flags_ & kHasExpiry) != 0; }
  // Unix milliseconds, or kNever.
  int64_t expiry() const { return has_expiry() ? load<int64_t>(expiry_offset()) : kNever; }
  // Requires: has_expiry().
  void set_expiry(int64_t unix_ms) { store(expiry_offset(), unix_ms); }

  std::string_view key() const { return {bytes() + key_offset(), key_size()}; }
  // Requires: is_string().
  std::string_view string() const { return {bytes() + key_offset() + key_size(), string_size()}; }
  char* string_data() { return bytes() + key_offset() + key_size(); }
  size_t string_size() const {
    return (flags_ & kWide) ? static_cast<size_t>(load<uint64_t>(16)) : lengths_ >> 8;
  }
  // The eight bytes of the value object.  Requires: !is_string().
  void* object() { return bytes() + object_offset(); }
  const void* object() const { return bytes() + object_offset(); }

  // LRU clock or LFU counter, 24 bits.
  uint32_t access() const {
    return access_[0] | (access_[1] << 8) | (static_cast<uint32_t>(access_[2]) << 16);
  }
  void set_access(uint32_t value) {
    access_[0] = static_cast<uint8_t>(value);
    access_[1] = static_cast<uint8_t>(value >> 8);
    access_[2] = static_cast<uint8_t>(value >> 16);
  }

  // Parity of the last snapshot that has seen this entry (store/snapshot.h).
  bool snapshot_mark() const { return (flags_ & kSnapshotMark) != 0; }
  void set_snapshot_mark(bool mark) {
    flags_ = static_cast<uint8_t>(mark ? flags_ | kSnapshotMark : flags_ & ~kSnapshotMark);
  }
  // OBJECT ENCODING says "raw" after APPEND or SETRANGE even if the value is short.
  bool edited() const { return (flags_ & kEdited) != 0; }
  void set_edited(bool edited) {
    flags_ = static_cast<uint8_t>(edited ? flags_ | kEdited : flags_ & ~kEdited);
  }

  // Requires: fits_in_place(size).
  void set_string_size(size_t size);
  // Whether the block, and its narrow or wide form, would do for a string of `size`.
  bool fits_in_place(size_t size) const;

  // Bytes allocated for the block.
  size_t block_size() const;

 private:
  static constexpr uint8_t kTypeMask = 0x07;
  static constexpr uint8_t kHasExpiry = 0x08;
  static constexpr uint8_t kSnapshotMark = 0x10;
  static constexpr uint8_t kWide = 0x20;
  static constexpr uint8_t kEdited = 0x40;
  static constexpr uint8_t kRoomy = 0x80;
  static constexpr size_t kNarrowKeyMax = 0xff;
  static constexpr size_t kNarrowValueMax = 0xffffff;

  // Roomy: the block has room for a longer value and only the allocator knows its size.  Otherwise the size is what the
  // entry's parts ask for, so that the block can be freed without a look at its page.
  enum class Room : uint8_t { kExact, kRoomy };
  static Entry* create(std::string_view key, ValueType type, size_t value_size, int64_t expiry,
                       Room room = Room::kExact);
  // Of a string of that size in the entry's form.
  size_t exact_size(size_t string_size) const { return key_offset() + key_size() + string_size; }
  void copy_state(const Entry* from);

  char* bytes() { return reinterpret_cast<char*>(this); }
  const char* bytes() const { return reinterpret_cast<const char*>(this); }
  template <class T>
  T load(size_t offset) const {
    T value;
    std::memcpy(&value, bytes() + offset, sizeof value);
    return value;
  }
  template <class T>
  void store(size_t offset, T value) {
    std::memcpy(bytes() + offset, &value, sizeof value);
  }
  size_t key_size() const { return (flags_ & kWide) ? load<uint64_t>(8) : lengths_ & 0xff; }
  size_t expiry_offset() const { return (flags_ & kWide) ? 24 : 8; }
  size_t object_offset() const { return expiry_offset() + (has_expiry() ? 8 : 0); }
  size_t key_offset() const { return object_offset() + (is_string() ? 0 : 8); }

  uint8_t flags_;
  uint8_t access_[3];
  uint32_t lengths_;
};
static_assert(sizeof(Entry) == 8);

}  // namespace quorate

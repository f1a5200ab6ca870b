// The hash type: fields with values, and for each field an optional expiry.
// A small hash is one block of packed pairs; a larger one a table of field blocks
// (compact_table.h), with a heap of the fields that expire.  Knows no keys, no clock, no replies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "store/compact_table.h"
#include "store/entry.h"
#include "store/hash_field.h"
#include "store/packed.h"
#include "store/settings.h"
#include "util/prng.h"
#include "util/time.h"

namespace quorate {

// Eight bytes inside an Entry; all-zero bytes are the empty hash.  The owner calls destroy(): there
// is no destructor.  Views returned stay valid until the hash is changed.
//
// A field past its expiry is still there until expire() removes it; whoever reads compares
// Field::expiry with the time it was given.
class Hash {
 public:
  static constexpr ValueType kType = ValueType::kHash;

  struct Field {
    std::string_view name;
    std::string_view value;
    int64_t expiry;  // unix ms, or kNever
    bool is_live(int64_t now) const { return expiry > now; }
  };
  enum class Stored : uint8_t { kNew, kReplaced };
  // What becomes of the expiry of a field that gets a new value.
  enum class FieldExpiry : uint8_t { kClear, kKeep };

  Hash() = default;
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;

  // Fields, those past their expiry included.
  size_t size() const;
  bool empty() const { return size() == 0; }
  // "listpack" or "hashtable" ("listpackex" for a small hash with field expiry).
  std::string_view encoding_name(const StoreSettings& settings) const;
  // Bytes allocated.  Of a large table the fields' part is extrapolated from the first
  // `sample_max`.
  size_t memory_bytes(size_t sample_max = 1024) const;
  // Frees everything; the hash is empty afterwards.
  void destroy();
  // Frees some and takes the number of fields off `budget`; true when all is freed.  Until then the
  // hash may only be destroyed further.
  bool destroy_some(size_t& budget);
  // Requires: `copy` is empty.
  void clone_into(Hash& copy) const;

  std::optional<Field> find(std::string_view name) const;
  // Requires: name and value are no longer than packed::kElementSizeMax, and do not point into this
  // hash.
  Stored set(std::string_view name, std::string_view value, const StoreSettings& settings,
             FieldExpiry rule = FieldExpiry::kClear);
  // False if there is no such field.
  bool remove(std::string_view name);
  // `unix_ms` may be kNever (clears).  False if there is no such field.
  bool set_expiry(std::string_view name, int64_t unix_ms, const StoreSettings& settings);
  // Chooses the large form beforehand if so many fields are to come.
  void expect(size_t count, const StoreSettings& settings);

  // The earliest expiry of a field; kNever if no field has one.
  int64_t next_expiry() const;
  // Removes up to `limit` fields that expire at or before `now`, calling visit(std::string_view
  // name) before each removal.  Returns how many.
  template <class Visit>
  size_t expire(int64_t now, size_t limit, Visit&& visit) {
    size_t removed = 0;
    for (; removed < limit && next_expiry() <= now; ++removed) {
      const Field field = first_to_expire();
      visit(field.name);
      remove(field.name);
    }
    return removed;
  }

  // Calls visit(const Field&) for each field; in the small form in the order of insertion.
  template <class Visit>
  void for_each(Visit&& visit) const {
    if (is_table()) {
      table()->fields.for_each([&](const HashField* field) { visit(view_of(field)); });
    } else if (bits_ != 0) {
      for (const char* at = block()->first(); at != block()->end();) {
        const Pair pair = read_pair(at);
        visit(view_of(pair));
        at = pair.end;
      }
    }
  }
  // One call of HSCAN, with SCAN's guarantee; cursor 0 starts and ends.  The small form is given
  // whole.
  template <class Visit>
  uint64_t scan(uint64_t cursor, size_t count, Visit&& visit) const {
    if (!is_table()) {
      for_each(visit);
      return 0;
    }
    return table()->fields.scan(cursor, count,
                                [&](const HashField* field) { visit(view_of(field)); });
  }
  // A field, all with (very nearly) the same probability.  Requires: !empty().
  Field random(Prng& prng) const;
  // Touches the memory that find(name) reads first.
  void prefetch(std::string_view name) const {
    if (is_table()) table()->fields.prefetch(table()->fields.hash_of(name));
  }

 private:
  // The small form: pairs of two lengths, name, value, and (kExpiries) an i64 expiry (kNever:
  // none).
  struct Block {
    uint16_t used;      // bytes of pairs
    uint16_t capacity;  // bytes for pairs
    uint16_t count;
    uint16_t flags;
    size_t allocated() const { return sizeof(Block) + capacity; }
    char* pairs() { return reinterpret_cast<char*>(this + 1); }
    const char* first() const { return reinterpret_cast<const char*>(this + 1); }
    const char* end() const { return first() + used; }
  };
  struct Pair {
    std::string_view name;
    std::string_view value;
    const char* begin;
    const char* end;
    int64_t expiry;
  };
  struct Table {
    explicit Table(uint64_t seed) : fields(seed) {}
    CompactTable<HashField> fields;
    FieldExpiryHeap expiries;
  };
  static constexpr uintptr_t kTableTag = 1;
  static constexpr uint16_t kExpiries = 1;  // flag of a block
  static constexpr size_t kBlockUsedMax = 0xffff - 64;

  bool is_table() const { return (bits_ & kTableTag) != 0; }
  Block* block() const { return reinterpret_cast<Block*>(bits_); }
  Table* table() const { return reinterpret_cast<Table*>(bits_ - kTableTag); }

  static Field view_of(const HashField* field) {
    const HashField::Parts parts = HashField::read(field);
    return {parts.name, parts.value, parts.expiry};
  }
  static Field view_of(const Pair& pair) { return {pair.name, pair.value, pair.expiry}; }

  bool has_expiries() const { return (block()->flags & kExpiries) != 0; }
  Pair read_pair(const char* at) const {
    Pair pair;
    pair.begin = at;
    size_t name_size;
    size_t value_size;
    at = packed::read_length(at, name_size);
    at = packed::read_length(at, value_size);
    pair.name = {at, name_size};
    pair.value = {at + name_size, value_size};
    pair.end = at + name_size + value_size;
    pair.expiry = kNever;
    if (has_expiries()) {
      std::memcpy(&pair.expiry, pair.end, sizeof pair.expiry);
      pair.end += sizeof pair.expiry;
    }
    return pair;
  }
  bool find_pair(std::string_view name, Pair& found) const;
  size_t pair_size(size_t name_size, size_t value_size) const;
  char* write_pair(char* at, std::string_view name, std::string_view value, int64_t expiry) const;
  void resize_block(size_t capacity);
  // Replaces the bytes [begin, end) of the pairs by a gap of `size` bytes; returns where the gap
  // is.
  char* open_gap(const char* begin, const char* end, size_t size);
  void add_expiries_to_block();
  void become_table(uint64_t seed);
  Stored set_in_table(std::string_view name, std::string_view value, FieldExpiry rule);
  bool set_expiry_in_table(std::string_view name, int64_t unix_ms);
  Stored set_in_block(std::string_view name, std::string_view value, FieldExpiry rule);
  void forget_expiry(HashField* field);
  Field first_to_expire() const;
  void remove_pair(const Pair& pair);
  void free_block();
  void free_table();

  uintptr_t bits_ = 0;
};
static_assert(sizeof(Hash) == 8);

}  // namespace quorate

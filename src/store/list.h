// The list type: a sequence of byte strings that is cheap to change at both ends.
// A list of up to one chunk is that chunk; a longer one is an array of chunks.  Not a text of
// commands: knows no keys, no time, no replies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "store/entry.h"
#include "store/packed.h"
#include "store/settings.h"
#include "util/check.h"

namespace quorate {

// Eight bytes inside an Entry; all-zero bytes are the empty list.  The owner calls destroy(): there
// is no destructor.  Views returned stay valid until the list is changed.
//
// Invariants: (1) no chunk is empty; (2) a list of one chunk of ordinary size is held without an
// array; (3) an element larger than half a chunk has a chunk of its own size.
class List {
 public:
  static constexpr ValueType kType = ValueType::kList;
  enum class End : uint8_t { kFront, kBack };

  List() = default;
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  size_t size() const;
  bool empty() const { return bits_ == 0; }
  // "listpack" or "quicklist", by list-max-listpack-size.
  std::string_view encoding_name(const StoreSettings& settings) const;
  // Bytes allocated.
  size_t memory_bytes() const;
  // Frees everything; the list is empty afterwards.
  void destroy();
  // Frees some and takes the cost off `budget` (one is about the cost of an element); true when all
  // is freed. Until then the list may only be destroyed further.
  bool destroy_some(size_t& budget);
  // Exchanges the values; both may be temporaries or of keys.
  void swap(List& other) { std::swap(bits_, other.bits_); }
  // Requires: `copy` is empty.
  void clone_into(List& copy) const;

  // Requires of every stored value: size() <= packed::kElementSizeMax.
  void push(End end, std::string_view value);
  void push_back(std::string_view value) { push(End::kBack, value); }
  void push_front(std::string_view value) { push(End::kFront, value); }
  // The element at an end; Requires of these two: !empty().
  std::string_view peek(End end) const;
  void pop(End end);

  // Requires: index < size().
  std::string_view at(size_t index) const;
  void set(size_t index, std::string_view value);
  // The new element becomes number `index`.  Requires: index <= size().
  void insert(size_t index, std::string_view value);
  // Requires: first + count <= size().
  void erase(size_t first, size_t count);
  // Removes up to `limit` elements equal to `value`, looking from `from`; returns how many.
  size_t remove_equal(std::string_view value, size_t limit, End from);

  // Calls visit(std::string_view) for every element, first to last.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for_each_run(0, size(), [&](const Run& run) { run.for_each(visit); });
  }
  // Walks from number `index` towards the end opposite of `from` (kFront: forwards) while
  // visit(std::string_view) returns true.  Requires: index < size().
  template <class Visit>
  void walk(size_t index, End from, Visit&& visit) const {
    Position at_element = locate(index);
    while (visit(value_at(at_element))) {
      if (!(from == End::kFront ? step_forward(at_element) : step_back(at_element))) return;
    }
  }

  // A walk from first to last that pauses.
  class Walk;

  // Elements that lie side by side in memory.
  struct Run {
    const char* begin;  // first element's length
    size_t bytes;       // an upper bound of the bytes of the values
    size_t count;
    template <class Visit>
    void for_each(Visit&& visit) const {
      const char* at = begin;
      for (size_t left = count; left > 0; --left) {
        size_t length;
        at = packed::read_length(at, length);
        visit(std::string_view(at, length));
        at += length + packed::length_size(length);
      }
    }
  };
  // Calls visit(Run) for the runs that make up elements [first, first + count), in order.  The
  // fastest way to read a range.  Requires: first + count <= size().
  template <class Visit>
  void for_each_run(size_t first, size_t count, Visit&& visit) const {
    if (count == 0) return;
    Position from = locate(first);
    size_t skipped = from.index_in_chunk;
    size_t chunk = from.chunk;
    const char* begin = from.at;
    while (count > 0) {
      const Chunk* run_chunk = chunk_at(chunk);
      const size_t here = run_chunk->count - skipped < count ? run_chunk->count - skipped : count;
      visit(Run{begin, static_cast<size_t>(run_chunk->bytes() + run_chunk->end - begin), here});
      count -= here;
      skipped = 0;
      if (count > 0) begin = chunk_at(++chunk)->first();
    }
  }

 private:
  // A run of elements with free space at either side: length, bytes, mirrored length, ...
  struct Chunk {
    uint32_t begin;  // offsets into bytes()
    uint32_t end;
    uint32_t capacity;  // bytes behind this header
    uint32_t count;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
    const char* first() const { return bytes() + begin; }
    size_t used() const { return end - begin; }
    size_t free() const { return capacity - used(); }
    size_t allocated() const { return sizeof(Chunk) + capacity; }
  };
  struct Slot {
    Chunk* chunk;
    uint64_t count;  // the chunk's, here so that looking for an index need not touch the chunks
  };
  // The array of chunks, with free slots at either side.
  struct Deque {
    uint64_t size;      // elements
    uint64_t bytes;     // used by elements
    uint32_t first;     // first slot in use
    uint32_t chunks;    // slots in use
    uint32_t capacity;  // slots
    uint32_t reserved;
    static size_t allocation(size_t slots) { return sizeof(Deque) + slots * sizeof(Slot); }
    Slot* slots() { return reinterpret_cast<Slot*>(this + 1) + first; }
    const Slot* slots() const { return reinterpret_cast<const Slot*>(this + 1) + first; }
  };
  struct Position {
    size_t chunk;
    size_t index_in_chunk;
    const char* at;  // the element's length
  };
  static constexpr uintptr_t kDequeTag = 1;
  static constexpr size_t kChunkBytes = 8192;  // with its header
  static constexpr size_t kChunkCapacity = kChunkBytes - sizeof(Chunk);
  static constexpr size_t kOwnChunkFrom = kChunkCapacity / 2;

  bool is_deque() const { return (bits_ & kDequeTag) != 0; }
  Chunk* single() const { return reinterpret_cast<Chunk*>(bits_); }
  Deque* deque() const { return reinterpret_cast<Deque*>(bits_ - kDequeTag); }
  size_t chunk_count() const { return bits_ == 0 ? 0 : is_deque() ? deque()->chunks : 1; }
  Chunk* chunk_at(size_t index) const {
    return is_deque() ? deque()->slots()[index].chunk : single();
  }

  static size_t element_size(size_t length) { return length + 2 * packed::length_size(length); }
  static std::string_view value_at(const Position& position) {
    size_t length;
    const char* bytes = packed::read_length(position.at, length);
    return {bytes, length};
  }
  static Chunk* new_chunk(size_t capacity, End filled_from);
  static void free_chunk(Chunk* chunk);
  static Chunk* resized(Chunk* chunk, size_t capacity, End gap_at);
  static void copy_elements(Chunk* to, End end, const Chunk* from);
  static void write_element(char* at, std::string_view value);
  static void append(Chunk* chunk, End end, std::string_view value);
  static bool make_room(Chunk* chunk, End end, size_t size);
  static const char* seek(const Chunk* chunk, size_t index);
  static size_t cut(Chunk* chunk, size_t first, size_t count);
  static void insert_in_chunk(Chunk* chunk, size_t index, std::string_view value);
  static size_t count_in_chunk(const Chunk* chunk, std::string_view value);
  static void remove_in_chunk(Chunk* chunk, std::string_view value, size_t skip, size_t count);
  static bool can_merge(const Chunk* left, const Chunk* right);
  static Chunk* merged(Chunk* left, Chunk* right);

  Position locate(size_t index) const;
  bool step_forward(Position& position) const;
  bool step_back(Position& position) const;
  void push_elsewhere(End end, std::string_view value);
  void insert_at(size_t index, size_t at, std::string_view value);
  void shrink_single();
  void become_deque();
  void simplify();
  void rebuild_slots(uint32_t capacity);
  void insert_chunk(size_t index, Chunk* chunk);
  void close_slots(size_t index, size_t count);
  void note_chunk(size_t index, Chunk* chunk);
  void add_totals(size_t elements, size_t bytes);
  void take_totals(size_t elements, size_t bytes);
  void split(size_t index, size_t at);
  void merge_around(size_t index);
  void join_chunks();

  uintptr_t bits_ = 0;
};
static_assert(sizeof(List) == 8);

// Requires: the list is not changed until the last call.
class List::Walk {
 public:
  // Calls visit(std::string_view) for the next `count` elements.  Requires: so many are left.
  template <class Visit>
  void go_on(const List& list, size_t count, Visit&& visit) {
    for (; count > 0; --count) {
      if (has_begun_) {
        CHECK(list.step_forward(last_));
      } else {
        last_ = list.locate(0);
        has_begun_ = true;
      }
      visit(value_at(last_));
    }
  }

 private:
  bool has_begun_ = false;
  Position last_{};
};

}  // namespace quorate

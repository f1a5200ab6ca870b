// The value of a sorted set key.  Not for unions and intersections:
// src/commands/cmd_sorted_set*.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "store/entry.h"
#include "store/settings.h"
#include "util/prng.h"

namespace quorate {

// Members with scores, ordered by (score, bytes of the member).  Small: one block in that order
// ("listpack"). Large: one allocation a member, found by a hash table and ordered by a tree that
// counts ("skiplist"). Moves to the large form by itself and never back.
//
// Lives in the eight value bytes of an Entry, which may be moved as bytes; owns what it points to
// until destroy().  All-zero bytes are the empty value.  Invariants: no member occurs twice; no
// score is NaN. A rank is a position in that order, from 0.
class SortedSet {
 public:
  static constexpr ValueType kType = ValueType::kSortedSet;
  struct Item {
    std::string_view member;  // lives until the sorted set changes
    double score;
  };
  // False stops the walk.
  using Visitor = std::function<bool(std::string_view member, double score)>;

  SortedSet() = default;
  SortedSet(const SortedSet&) = delete;
  SortedSet& operator=(const SortedSet&) = delete;

  size_t size() const;
  bool empty() const { return size() == 0; }
  // What OBJECT ENCODING says.
  std::string_view encoding_name(const StoreSettings& settings) const;
  // Bytes allocated, as the allocator counts them; the Entry excluded.  O(1).
  size_t memory_bytes() const;

  // ---- one member -------------------------------------------------------------------------------
  // The conditions of ZADD, one bit each.
  enum Condition : uint8_t {
    kAlways = 0,
    kIfAbsent = 1 << 0,   // NX
    kIfPresent = 1 << 1,  // XX
    kIfGreater = 1 << 2,  // GT
    kIfLess = 1 << 3,     // LT
    kIncrement = 1 << 4,  // INCR: the number is added to the score (0 if absent)
  };
  enum class Outcome : uint8_t {
    kAdded,
    kUpdated,
    kUnchanged,   // present, and its score is what was asked for
    kRefused,     // by a condition
    kNotANumber,  // inf + -inf; nothing changed
  };
  // Adds the member or changes its score.  `score` becomes the member's score after the call unless
  // the outcome is kRefused or kNotANumber.  Requires: score is not NaN; member.size() <=
  // packed::kElementSizeMax.
  Outcome add(std::string_view member, double& score, uint8_t conditions,
              const StoreSettings& settings);
  // add() without conditions; true if the member is new.
  bool set(std::string_view member, double score, const StoreSettings& settings) {
    return add(member, score, kAlways, settings) == Outcome::kAdded;
  }
  bool remove(std::string_view member);  // a view into this value is allowed
  std::optional<double> score(std::string_view member) const;
  // O(log n).
  std::optional<size_t> rank(std::string_view member) const;
  // An item chosen uniformly.  Requires: !empty().
  Item random_item(Prng& random) const;

  // ---- order ------------------------------------------------------------------------------------
  // The number of items with a score below `score`, or (kUpTo) not above it.  O(log n).
  enum class Bound : uint8_t { kBelow, kUpTo };
  size_t count_by_score(double score, Bound bound) const;
  // The same by the bytes of the member; meant for sets whose scores are all equal.
  size_t count_by_member(std::string_view member, Bound bound) const;
  // Calls visit for `count` items from rank `first` upwards (or downwards); fewer if there are
  // fewer.
  enum class Direction : uint8_t { kUp, kDown };
  void walk(size_t first, size_t count, Direction direction, const Visitor& visit) const;
  // Requires: rank < size().
  Item at(size_t rank) const;
  // Removes `count` items from rank `first` on.  Requires: first + count <= size().
  void remove_ranks(size_t first, size_t count);
  // Makes `rest` what that would leave, in the same form; this value keeps everything.  Requires: `rest` is empty;
  // first + count <= size().
  void copy_without(size_t first, size_t count, SortedSet& rest) const;

  // All, in ascending order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    walk(0, size(), Direction::kUp, [&visit](std::string_view member, double score) {
      visit(member, score);
      return true;
    });
  }
  // SCAN's promise, as Set::scan.
  uint64_t scan(uint64_t cursor, size_t count, const Visitor& visit) const;

  // ---- life -------------------------------------------------------------------------------------
  // Exchanges the values; both may be temporaries or of keys.
  void swap(SortedSet& other) { std::swap(word_, other.word_); }
  // Frees everything; leaves the empty value.
  void destroy();
  // Frees about `budget` members, subtracting what was done from `budget`; true once nothing is
  // left.  Between calls only destroy_some and destroy may be called.
  bool destroy_some(size_t& budget);
  // Requires: `target` is empty.
  void clone_into(SortedSet& target) const;
  // Starts to load what a question for `member` reads first.
  void prefetch(std::string_view member) const;
  // Stops the process if an invariant of the large form is broken.  For tests; O(n).
  void verify() const;

 private:
  enum class Form : uint8_t { kEmpty = 0, kBlock = 1, kTree = 2 };
  Form form() const { return static_cast<Form>(word_ & 7); }
  void* body() const { return reinterpret_cast<void*>(word_ & ~uint64_t{7}); }
  void become(Form form, void* body) {
    word_ = reinterpret_cast<uint64_t>(body) | static_cast<uint64_t>(form);
  }
  Outcome add_to_block(std::string_view member, double& score, uint8_t conditions,
                       const StoreSettings& settings);
  void convert_to_tree(uint64_t seed);
  // Frees the block of the small form; the word is the caller's.
  void free_packed();

  uint64_t word_ = 0;  // a pointer, its low three bits the form
};
static_assert(sizeof(SortedSet) == 8);

}  // namespace quorate

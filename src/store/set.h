// The value of a set key.  Not for set algebra over several keys: that is src/commands/cmd_set.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "store/entry.h"
#include "store/settings.h"
#include "util/prng.h"

namespace quorate {

// A set of byte strings in one of three forms, chosen by what is in it and by the settings'
// thresholds: a sorted array of integers ("intset"), a block of members in order of arrival
// ("listpack"), or a hash table that grows one bucket at a time ("hashtable").  A set moves to a
// larger form by itself and never back.
//
// Lives in the eight value bytes of an Entry, which may be moved as bytes; owns what it points to
// until destroy().  All-zero bytes are the empty set.  Invariant: no member occurs twice.
class Set {
 public:
  static constexpr ValueType kType = ValueType::kSet;
  // Given a member; false stops the walk.  The view lives for the call.
  using Visitor = std::function<bool(std::string_view)>;

  Set() = default;
  Set(const Set&) = delete;
  Set& operator=(const Set&) = delete;

  size_t size() const;
  bool empty() const { return size() == 0; }
  // What OBJECT ENCODING says.
  std::string_view encoding_name(const StoreSettings& settings) const;
  // Bytes allocated, as the allocator counts them; the Entry excluded.  O(1).
  size_t memory_bytes() const;

  // False if the member was there already.  Requires: member.size() <= packed::kElementSizeMax.
  bool add(std::string_view member, const StoreSettings& settings);
  // False if it was not there.  `member` may be a view into this set.
  bool remove(std::string_view member);
  bool contains(std::string_view member) const;

  // A member chosen uniformly.  The view lives until the set changes, or `scratch` does.
  // Requires: !empty().
  struct Scratch {
    char text[24];
  };
  std::string_view random_member(Prng& random, Scratch& scratch) const;

  // All members, integers in ascending order, others in a fixed order that depends only on what was
  // done to the set.  `visit` must not change this set.
  template <class Visit>
  void for_each(Visit&& visit) const {
    walk([&visit](std::string_view member) {
      visit(member);
      return true;
    });
  }
  // As for_each, until `visit` returns false.
  void walk(const Visitor& visit) const;

  // SCAN's promise: a member present from the first to the last call is given at least once. Cursor
  // 0 starts and ends.  Calls visit for at least `count` members if there are so many.  visit must
  // not change this set.
  uint64_t scan(uint64_t cursor, size_t count, const Visitor& visit) const;

  // Exchanges the values; both may be temporaries or of keys.
  void swap(Set& other) { std::swap(word_, other.word_); }
  // Frees everything; leaves the empty set.
  void destroy();
  // Frees about `budget` members, subtracting what was done from `budget`; true once nothing is
  // left.  Between calls only destroy_some and destroy may be called.
  bool destroy_some(size_t& budget);
  // Requires: `target` is empty.
  void clone_into(Set& target) const;
  // Starts to load what a question for `member` reads first.
  void prefetch(std::string_view member) const;
  // Stops the process if an invariant of the large form is broken.  For tests; O(n).
  void verify() const;

 private:
  enum class Form : uint8_t { kEmpty = 0, kIntegers = 1, kBlock = 2, kTable = 3 };
  Form form() const { return static_cast<Form>(word_ & 7); }
  void* body() const { return reinterpret_cast<void*>(word_ & ~uint64_t{7}); }
  void become(Form form, void* body) {
    word_ = reinterpret_cast<uint64_t>(body) | static_cast<uint64_t>(form);
  }
  void add_first(std::string_view member, const StoreSettings& settings);
  bool add_to_integers(std::string_view member, const StoreSettings& settings);
  bool add_to_block(std::string_view member, const StoreSettings& settings);
  void integers_to_block();
  void convert_to_table(uint64_t seed);
  // Frees the block of either small form; the word is the caller's.
  void free_packed();

  uint64_t word_ = 0;  // a pointer, its low three bits the form
};
static_assert(sizeof(Set) == 8);

}  // namespace quorate

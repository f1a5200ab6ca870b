// The order of a large sorted set: a B+-tree of pointers to members, which counts, so that a rank
// is found and a rank is looked up in O(log n).  Knows no names; the table beside it does
// (store/sorted_set.cc).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "store/packed.h"
#include "util/check.h"

namespace quorate {

// One allocation: the score, then the member as a packed length and its bytes.
struct ScoredMember {
  double score;
  char packed[8];  // at least that; really as long as the member asks

  std::string_view name() const {
    size_t length;
    const char* bytes = packed::read_length(packed, length);
    return {bytes, length};
  }
  static std::string_view key(const ScoredMember* member) { return member->name(); }
  static size_t allocation(std::string_view name) {
    const size_t size = sizeof(double) + packed::length_size(name.size()) + name.size();
    return size < sizeof(ScoredMember) ? sizeof(ScoredMember) : size;
  }
};

// Scores as integers of the same order; -0 and 0 are one.
inline uint64_t order_of(double score) {
  const auto bits = std::bit_cast<uint64_t>(score == 0 ? 0.0 : score);
  return (bits >> 63) != 0 ? ~bits : bits | (uint64_t{1} << 63);
}

// Owns its nodes, not the members.  The order is that of (score, bytes of the name).
//
// A leaf entry is one word: the member's address in the low 48 bits and a hint in the high 16.  The
// hint is the member's order scaled to the leaf's range and clamped, so that it never falls along
// the leaf: only members with equal hints must be read to be compared, which saves most cache
// misses of a search.
//
// Invariants: (1) a node has at least one entry, the root excepted; (2) what an inner node says of
// a child (its first member, the order of that, its number of members) is true; (3) all leaves are
// at the same depth.
class ScoreTree {
 public:
  ScoreTree() = default;
  ~ScoreTree() { CHECK(root_ == nullptr); }
  ScoreTree(const ScoreTree&) = delete;
  ScoreTree& operator=(const ScoreTree&) = delete;

  size_t size() const;
  size_t memory_bytes() const { return bytes_; }

  // Requires: no equal (score, name) is present.
  void insert(ScoredMember* member);
  // Requires: it is present.
  void remove(const ScoredMember* member);
  // Gives a member its new score and place.  Requires: it is present.
  void change_score(ScoredMember* member, double score);
  // Requires: it is present.
  size_t rank(const ScoredMember* member) const;
  // Requires: rank < size().
  ScoredMember* at(size_t rank) const;
  // Takes out the member at `rank` and returns it.  Requires: rank < size().
  ScoredMember* remove_at(size_t rank);

  // The number of members for which before(order, member) holds.  Requires: it holds for the first
  // so many and for no other.
  template <class Before>
  size_t count_while(Before&& before) const;

  // Calls visit(ScoredMember*) for up to `count` members from `first` upwards (downwards) until it
  // returns false.
  template <class Visit>
  void walk_up(size_t first, size_t count, Visit&& visit) const;
  template <class Visit>
  void walk_down(size_t first, size_t count, Visit&& visit) const;

  // Gives up about `budget` members, last ones first, calling release(ScoredMember*); reduces
  // `budget` by their number.  True when nothing is left.  In between only this may be called.
  template <class Release>
  bool release_some(size_t& budget, Release&& release);

  // Panics if an invariant is broken.  For tests; O(n).
  void verify() const;

 private:
  static constexpr size_t kHeightMax = 24;
  static constexpr uint64_t kPointerMask = (uint64_t{1} << 48) - 1;
  static constexpr uint64_t kHintMax = 0xffff;

  struct Leaf {
    uint16_t count;
    uint16_t capacity;
    uint32_t shift;
    uint64_t base;
    uint64_t* entries() { return reinterpret_cast<uint64_t*>(this + 1); }
    const uint64_t* entries() const { return reinterpret_cast<const uint64_t*>(this + 1); }
    uint64_t hint(uint64_t order) const {
      if (order <= base) return 0;
      const uint64_t scaled = (order - base) >> shift;
      return scaled < kHintMax ? scaled : kHintMax;
    }
    uint64_t entry(const ScoredMember* member) const {
      return reinterpret_cast<uint64_t>(member) | (hint(order_of(member->score)) << 48);
    }
  };
  static_assert(sizeof(Leaf) == 16);
  struct Child {
    uint64_t order;             // of the first member below
    const ScoredMember* first;  // that member
    size_t count;               // members below
    void* node;
  };
  struct Inner {
    uint32_t count;
    uint32_t capacity;
    Child* children() { return reinterpret_cast<Child*>(this + 1); }
    const Child* children() const { return reinterpret_cast<const Child*>(this + 1); }
  };
  // With these a full node is 512 and 1000 bytes; nodes are allocated only as large as they need to
  // be.
  static constexpr size_t kLeafMax = 62;
  static constexpr size_t kLeafMin = 15;
  static constexpr size_t kInnerMax = 31;
  static constexpr size_t kInnerMin = 8;

  // The way from the root to an entry of a leaf.  step[0] is the root's.
  struct Step {
    Inner* node;
    size_t index;
  };
  struct Path {
    Step steps[kHeightMax];
    Leaf* leaf;
    size_t index;
  };

  static ScoredMember* member_of(uint64_t entry) {
    return reinterpret_cast<ScoredMember*>(entry & kPointerMask);
  }
  static bool is_before(const ScoredMember* member, uint64_t order, std::string_view name);
  static size_t lower_bound(const Leaf* leaf, uint64_t order, std::string_view name);
  void descend(uint64_t order, const ScoredMember* member, Path& path) const;
  void find(const ScoredMember* member, Path& path) const;
  void seek(size_t rank, Path& path) const;
  bool next_leaf(Path& path) const;
  bool previous_leaf(Path& path) const;

  Leaf* new_leaf(size_t capacity);
  Leaf* resize(Leaf* leaf, size_t capacity);
  Inner* new_inner(size_t capacity);
  Inner* resize(Inner* inner, size_t capacity);
  void free_leaf(Leaf* leaf);
  void free_inner(Inner* inner);

  static void spread_hints(Leaf* leaf);
  static bool hints_are_poor(const Leaf* leaf);
  void set_node(Path& path, size_t depth, void* node);
  void add_to_counts(Path& path, ptrdiff_t change);
  void first_changed(Path& path, size_t depth, const ScoredMember* first);
  void insert_at(Path& path, ScoredMember* member);
  void split_leaf(Path& path, ScoredMember* member);
  void insert_child(Path& path, size_t depth, const Child& child);
  void remove_at(Path& path);
  void remove_child(Path& path, size_t depth, size_t index);
  void shrink_leaf(Path& path);
  void join_leaves(Path& path, size_t left);
  void shrink_inner(Path& path, size_t depth);
  void join_inners(Path& path, size_t depth, size_t left);
  size_t verify_node(const void* node, size_t depth) const;

  void* root_ = nullptr;
  uint32_t height_ = 0;  // inner nodes above a leaf
  size_t bytes_ = 0;
};

// ---- templates ----------------------------------------------------------------------------------

template <class Before>
size_t ScoreTree::count_while(Before&& before) const {
  if (root_ == nullptr) return 0;
  size_t count = 0;
  const void* node = root_;
  for (size_t depth = 0; depth < height_; ++depth) {
    // Descends into the last child whose first member is still before.
    const auto* inner = static_cast<const Inner*>(node);
    size_t low = 0;
    size_t high = inner->count;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      const Child& child = inner->children()[middle];
      if (before(child.order, child.first)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (low == 0) return count;
    for (size_t index = 0; index + 1 < low; ++index) count += inner->children()[index].count;
    node = inner->children()[low - 1].node;
  }
  const auto* leaf = static_cast<const Leaf*>(node);
  size_t low = 0;
  size_t high = leaf->count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const ScoredMember* member = member_of(leaf->entries()[middle]);
    if (before(order_of(member->score), member)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return count + low;
}

template <class Visit>
void ScoreTree::walk_up(size_t first, size_t count, Visit&& visit) const {
  if (first >= size()) return;
  constexpr size_t kAhead = 6;
  Path path;
  seek(first, path);
  do {
    const Leaf* leaf = path.leaf;
    for (size_t index = path.index; index < leaf->count; ++index) {
      if (count-- == 0) return;
      if (index + kAhead < leaf->count)
        __builtin_prefetch(member_of(leaf->entries()[index + kAhead]));
      if (!visit(member_of(leaf->entries()[index]))) return;
    }
  } while (count > 0 && next_leaf(path));
}

template <class Visit>
void ScoreTree::walk_down(size_t first, size_t count, Visit&& visit) const {
  if (first >= size()) return;
  constexpr size_t kAhead = 6;
  Path path;
  seek(first, path);
  do {
    const Leaf* leaf = path.leaf;
    for (size_t index = path.index + 1; index-- > 0;) {
      if (count-- == 0) return;
      if (index >= kAhead) __builtin_prefetch(member_of(leaf->entries()[index - kAhead]));
      if (!visit(member_of(leaf->entries()[index]))) return;
    }
  } while (count > 0 && previous_leaf(path));
}

template <class Release>
bool ScoreTree::release_some(size_t& budget, Release&& release) {
  while (root_ != nullptr) {
    if (budget == 0) return false;
    Inner* parents[kHeightMax];
    void* node = root_;
    for (size_t depth = 0; depth < height_; ++depth) {
      parents[depth] = static_cast<Inner*>(node);
      node = parents[depth]->children()[parents[depth]->count - 1].node;
    }
    auto* leaf = static_cast<Leaf*>(node);
    for (size_t index = 0; index < leaf->count; ++index) release(member_of(leaf->entries()[index]));
    budget -= budget < leaf->count ? budget : leaf->count;
    free_leaf(leaf);
    size_t depth = height_;
    while (depth > 0 && --parents[depth - 1]->count == 0) free_inner(parents[--depth]);
    if (depth == 0) {
      root_ = nullptr;
      height_ = 0;
    }
  }
  return true;
}

}  // namespace quorate

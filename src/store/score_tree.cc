// Insertion, removal and walking of the counted B+-tree.
#include "store/score_tree.h"

#include <algorithm>

#include "util/memory.h"

namespace quorate {

// ---- nodes --------------------------------------------------------------------------------------

namespace {

// The number of entries that an allocation for at least `count` of them holds.
size_t roomy(size_t header, size_t entry, size_t count, size_t most) {
  return std::min((mem_good_size(header + entry * count) - header) / entry, most);
}

// The same for leaves.  Those of more than half are of three sizes only (320, 384 and 512 bytes):
// leaves grow together, and each further size class would be left with pages that are mostly empty.
size_t leaf_room(size_t header, size_t count, size_t most) {
  constexpr size_t kSmall = 38;
  constexpr size_t kMiddle = 46;
  if (count > kMiddle) return most;
  if (count > kSmall) return kMiddle;
  return roomy(header, sizeof(uint64_t), count, kSmall);
}

}  // namespace

ScoreTree::Leaf* ScoreTree::new_leaf(size_t count) {
  const size_t capacity = leaf_room(sizeof(Leaf), count, kLeafMax);
  const size_t bytes = sizeof(Leaf) + capacity * sizeof(uint64_t);
  auto* leaf = static_cast<Leaf*>(mem_alloc(bytes));
  bytes_ += mem_good_size(bytes);
  *leaf = Leaf{.count = 0, .capacity = static_cast<uint16_t>(capacity), .shift = 0, .base = 0};
  return leaf;
}

ScoreTree::Leaf* ScoreTree::resize(Leaf* leaf, size_t count) {
  const size_t capacity = leaf_room(sizeof(Leaf), count, kLeafMax);
  if (capacity == leaf->capacity) return leaf;
  bytes_ -= mem_good_size(sizeof(Leaf) + leaf->capacity * sizeof(uint64_t));
  const size_t bytes = sizeof(Leaf) + capacity * sizeof(uint64_t);
  leaf = static_cast<Leaf*>(mem_realloc(leaf, bytes));
  bytes_ += mem_good_size(bytes);
  leaf->capacity = static_cast<uint16_t>(capacity);
  return leaf;
}

ScoreTree::Inner* ScoreTree::new_inner(size_t count) {
  const size_t capacity = roomy(sizeof(Inner), sizeof(Child), count, kInnerMax);
  const size_t bytes = sizeof(Inner) + capacity * sizeof(Child);
  auto* inner = static_cast<Inner*>(mem_alloc(bytes));
  bytes_ += mem_good_size(bytes);
  *inner = Inner{.count = 0, .capacity = static_cast<uint32_t>(capacity)};
  return inner;
}

ScoreTree::Inner* ScoreTree::resize(Inner* inner, size_t count) {
  const size_t capacity = roomy(sizeof(Inner), sizeof(Child), count, kInnerMax);
  if (capacity == inner->capacity) return inner;
  bytes_ -= mem_good_size(sizeof(Inner) + inner->capacity * sizeof(Child));
  const size_t bytes = sizeof(Inner) + capacity * sizeof(Child);
  inner = static_cast<Inner*>(mem_realloc(inner, bytes));
  bytes_ += mem_good_size(bytes);
  inner->capacity = static_cast<uint32_t>(capacity);
  return inner;
}

void ScoreTree::free_leaf(Leaf* leaf) {
  bytes_ -= mem_good_size(sizeof(Leaf) + leaf->capacity * sizeof(uint64_t));
  mem_free(leaf);
}

void ScoreTree::free_inner(Inner* inner) {
  bytes_ -= mem_good_size(sizeof(Inner) + inner->capacity * sizeof(Child));
  mem_free(inner);
}

// ---- hints --------------------------------------------------------------------------------------

// Scales the hints anew to the members that are there, with as much room again on both sides.
void ScoreTree::spread_hints(Leaf* leaf) {
  uint64_t* entries = leaf->entries();
  const size_t count = leaf->count;
  const uint64_t first = order_of(member_of(entries[0])->score);
  const uint64_t last = order_of(member_of(entries[count - 1])->score);
  if (first == last) return;
  for (size_t index = 1; index + 1 < count; ++index) __builtin_prefetch(member_of(entries[index]));
  const uint64_t range = last - first;
  leaf->base = first > range ? first - range : 0;
  const int bits = 64 - std::countl_zero(range);
  leaf->shift = bits > 14 ? static_cast<uint32_t>(bits - 14) : 0;
  for (size_t index = 0; index < count; ++index)
    entries[index] = leaf->entry(member_of(entries[index]));
}

bool ScoreTree::hints_are_poor(const Leaf* leaf) {
  if (leaf->count < 8) return false;
  const uint64_t* entries = leaf->entries();
  const size_t eighth = leaf->count / 8u;
  const uint64_t low = entries[0] >> 48;
  const uint64_t high = entries[leaf->count - 1] >> 48;
  if (high - low < leaf->count * uint64_t{16}) return true;
  return (entries[eighth] >> 48) == low || (entries[leaf->count - 1 - eighth] >> 48) == high;
}

// ---- finding ------------------------------------------------------------------------------------

bool ScoreTree::is_before(const ScoredMember* member, uint64_t order, std::string_view name) {
  const uint64_t own = order_of(member->score);
  return own < order || (own == order && member->name() < name);
}

size_t ScoreTree::lower_bound(const Leaf* leaf, uint64_t order, std::string_view name) {
  const uint64_t* begin = leaf->entries();
  const uint64_t* end = begin + leaf->count;
  const uint64_t hint = leaf->hint(order);
  const uint64_t* low = std::lower_bound(begin, end, hint << 48);
  const uint64_t* high = hint == kHintMax ? end : std::lower_bound(low, end, (hint + 1) << 48);
  while (low < high) {
    const uint64_t* middle = low + (high - low) / 2;
    if (is_before(member_of(*middle), order, name)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return static_cast<size_t>(low - begin);
}

void ScoreTree::descend(uint64_t order, const ScoredMember* member, Path& path) const {
  void* node = root_;
  for (size_t depth = 0; depth < height_; ++depth) {
    auto* inner = static_cast<Inner*>(node);
    const Child* children = inner->children();
    size_t low = 1;
    size_t high = inner->count;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      const Child& child = children[middle];
      const bool not_after = child.order != order
                                 ? child.order < order
                                 : child.first == member || child.first->name() < member->name();
      if (not_after) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    path.steps[depth] = {inner, low - 1};
    node = inner->children()[low - 1].node;
  }
  path.leaf = static_cast<Leaf*>(node);
  // A search of the leaf touches most of its lines one after the other; this way they come
  // together.
  constexpr size_t kLine = 64;
  for (size_t line = 0; line < sizeof(Leaf) + kLeafMax * sizeof(uint64_t); line += kLine) {
    __builtin_prefetch(static_cast<const char*>(node) + line);
  }
}

void ScoreTree::find(const ScoredMember* member, Path& path) const {
  descend(order_of(member->score), member, path);
  const uint64_t* entries = path.leaf->entries();
  const size_t count = path.leaf->count;
  size_t index = 0;
  while (index < count && member_of(entries[index]) != member) ++index;
  CHECK(index < count);
  path.index = index;
}

void ScoreTree::seek(size_t rank, Path& path) const {
  void* node = root_;
  for (size_t depth = 0; depth < height_; ++depth) {
    auto* inner = static_cast<Inner*>(node);
    size_t index = 0;
    while (rank >= inner->children()[index].count) rank -= inner->children()[index++].count;
    path.steps[depth] = {inner, index};
    node = inner->children()[index].node;
  }
  path.leaf = static_cast<Leaf*>(node);
  path.index = rank;
  DCHECK(rank < path.leaf->count);
}

bool ScoreTree::next_leaf(Path& path) const {
  size_t depth = height_;
  while (depth > 0 && path.steps[depth - 1].index + 1 == path.steps[depth - 1].node->count) --depth;
  if (depth == 0) return false;
  void* node = path.steps[depth - 1].node->children()[++path.steps[depth - 1].index].node;
  for (; depth < height_; ++depth) {
    path.steps[depth] = {static_cast<Inner*>(node), 0};
    node = path.steps[depth].node->children()[0].node;
  }
  path.leaf = static_cast<Leaf*>(node);
  path.index = 0;
  return true;
}

bool ScoreTree::previous_leaf(Path& path) const {
  size_t depth = height_;
  while (depth > 0 && path.steps[depth - 1].index == 0) --depth;
  if (depth == 0) return false;
  void* node = path.steps[depth - 1].node->children()[--path.steps[depth - 1].index].node;
  for (; depth < height_; ++depth) {
    auto* inner = static_cast<Inner*>(node);
    path.steps[depth] = {inner, inner->count - size_t{1}};
    node = inner->children()[inner->count - 1].node;
  }
  path.leaf = static_cast<Leaf*>(node);
  path.index = path.leaf->count - size_t{1};
  return true;
}

size_t ScoreTree::size() const {
  if (root_ == nullptr) return 0;
  if (height_ == 0) return static_cast<const Leaf*>(root_)->count;
  const auto* inner = static_cast<const Inner*>(root_);
  size_t size = 0;
  for (size_t index = 0; index < inner->count; ++index) size += inner->children()[index].count;
  return size;
}

size_t ScoreTree::rank(const ScoredMember* member) const {
  Path path;
  find(member, path);
  size_t rank = path.index;
  for (size_t depth = 0; depth < height_; ++depth) {
    const Step& step = path.steps[depth];
    for (size_t index = 0; index < step.index; ++index) rank += step.node->children()[index].count;
  }
  return rank;
}

ScoredMember* ScoreTree::at(size_t rank) const {
  Path path;
  seek(rank, path);
  return member_of(path.leaf->entries()[path.index]);
}

// ---- bookkeeping along a path -------------------------------------------------------------------

void ScoreTree::set_node(Path& path, size_t depth, void* node) {
  if (depth == height_) {
    path.leaf = static_cast<Leaf*>(node);
  } else {
    path.steps[depth].node = static_cast<Inner*>(node);
  }
  if (depth == 0) {
    root_ = node;
  } else {
    const Step& above = path.steps[depth - 1];
    above.node->children()[above.index].node = node;
  }
}

void ScoreTree::add_to_counts(Path& path, ptrdiff_t change) {
  for (size_t depth = 0; depth < height_; ++depth) {
    const Step& step = path.steps[depth];
    step.node->children()[step.index].count += static_cast<size_t>(change);
  }
}

// The node at `depth` begins with another member than before.
void ScoreTree::first_changed(Path& path, size_t depth, const ScoredMember* first) {
  while (depth > 0) {
    const Step& step = path.steps[--depth];
    Child& child = step.node->children()[step.index];
    child.first = first;
    child.order = order_of(first->score);
    if (step.index != 0) return;
  }
}

// ---- insertion ----------------------------------------------------------------------------------

void ScoreTree::insert(ScoredMember* member) {
  const uint64_t order = order_of(member->score);
  if (root_ == nullptr) {
    Leaf* leaf = new_leaf(1);
    leaf->base = order;
    leaf->entries()[leaf->count++] = leaf->entry(member);
    root_ = leaf;
    return;
  }
  Path path;
  descend(order, member, path);
  path.index = lower_bound(path.leaf, order, member->name());
  add_to_counts(path, 1);
  if (path.index == 0) first_changed(path, height_, member);
  if (path.leaf->count == kLeafMax) {
    split_leaf(path, member);
    return;
  }
  if (path.leaf->count == path.leaf->capacity) {
    set_node(path, height_, resize(path.leaf, path.leaf->count + size_t{1}));
    if (hints_are_poor(path.leaf)) spread_hints(path.leaf);
  }
  insert_at(path, member);
}

// Requires: the leaf has room.
void ScoreTree::insert_at(Path& path, ScoredMember* member) {
  Leaf* leaf = path.leaf;
  uint64_t* at = leaf->entries() + path.index;
  std::memmove(at + 1, at, (leaf->count - path.index) * sizeof(uint64_t));
  *at = leaf->entry(member);
  ++leaf->count;
}

// Inserts into a full leaf.  In the middle it is halved; at either end of the tree the full leaf
// stays full and the new member begins a leaf of its own, so that members in order fill their
// leaves.
void ScoreTree::split_leaf(Path& path, ScoredMember* member) {
  Leaf* left = path.leaf;
  const size_t count = left->count;
  bool is_first = path.index == 0;
  bool is_last = path.index == count;
  for (size_t depth = 0; depth < height_; ++depth) {
    is_first = is_first && path.steps[depth].index == 0;
    is_last = is_last && path.steps[depth].index + 1 == path.steps[depth].node->count;
  }
  const size_t keep = is_last ? count : is_first ? 0 : count / 2;
  Leaf* right = new_leaf(std::max<size_t>(count - keep + 1, 1));
  right->base = left->base;
  right->shift = left->shift;
  right->count = static_cast<uint16_t>(count - keep);
  std::memcpy(right->entries(), left->entries() + keep, (count - keep) * sizeof(uint64_t));
  left->count = static_cast<uint16_t>(keep);
  set_node(path, height_, resize(left, keep + 1));
  left = path.leaf;
  if (path.index > keep || is_last) {
    Path beside;
    beside.leaf = right;
    beside.index = path.index - keep;
    insert_at(beside, member);
  } else {
    insert_at(path, member);
  }
  for (Leaf* half : {left, right}) {
    if (hints_are_poor(half)) spread_hints(half);
  }
  if (height_ > 0)
    path.steps[height_ - 1].node->children()[path.steps[height_ - 1].index].count = left->count;
  const ScoredMember* first = member_of(right->entries()[0]);
  insert_child(path, height_, Child{order_of(first->score), first, right->count, right});
}

namespace {

template <class Inner>
size_t members_below(const Inner* inner) {
  size_t count = 0;
  for (size_t index = 0; index < inner->count; ++index) count += inner->children()[index].count;
  return count;
}

template <class Inner, class Child>
void put_child(Inner* inner, size_t index, const Child& child) {
  Child* at = inner->children() + index;
  std::memmove(at + 1, at, (inner->count - index) * sizeof(Child));
  *at = child;
  ++inner->count;
}

}  // namespace

// Adds `child` behind the node at `depth` of the path, splitting full inner nodes upwards.
void ScoreTree::insert_child(Path& path, size_t depth, const Child& added) {
  Child child = added;
  for (; depth > 0; --depth) {
    Inner* inner = path.steps[depth - 1].node;
    const size_t index = path.steps[depth - 1].index + 1;
    if (inner->count < kInnerMax) {
      set_node(path, depth - 1, resize(inner, inner->count + size_t{1}));
      put_child(path.steps[depth - 1].node, index, child);
      return;
    }
    const size_t count = inner->count;
    const size_t keep = index == count ? count - 1 : count / 2;
    Inner* right = new_inner(count - keep + 1);
    std::memcpy(right->children(), inner->children() + keep, (count - keep) * sizeof(Child));
    right->count = static_cast<uint32_t>(count - keep);
    inner->count = static_cast<uint32_t>(keep);
    set_node(path, depth - 1, resize(inner, keep + 1));
    inner = path.steps[depth - 1].node;
    if (index > keep) {
      put_child(right, index - keep, child);
    } else {
      put_child(inner, index, child);
    }
    if (depth > 1)
      path.steps[depth - 2].node->children()[path.steps[depth - 2].index].count =
          members_below(inner);
    child =
        Child{right->children()[0].order, right->children()[0].first, members_below(right), right};
  }
  CHECK(height_ + 1 < kHeightMax);
  Child left{};
  left.node = root_;
  if (height_ == 0) {
    const auto* leaf = static_cast<const Leaf*>(root_);
    left.first = member_of(leaf->entries()[0]);
    left.count = leaf->count;
  } else {
    const auto* inner = static_cast<const Inner*>(root_);
    left.first = inner->children()[0].first;
    left.count = members_below(inner);
  }
  left.order = order_of(left.first->score);
  Inner* root = new_inner(2);
  root->children()[0] = left;
  root->children()[1] = child;
  root->count = 2;
  root_ = root;
  ++height_;
}

// ---- removal ------------------------------------------------------------------------------------

void ScoreTree::remove(const ScoredMember* member) {
  Path path;
  find(member, path);
  remove_at(path);
}

ScoredMember* ScoreTree::remove_at(size_t rank) {
  Path path;
  seek(rank, path);
  ScoredMember* member = member_of(path.leaf->entries()[path.index]);
  remove_at(path);
  return member;
}

void ScoreTree::remove_at(Path& path) {
  Leaf* leaf = path.leaf;
  add_to_counts(path, -1);
  uint64_t* at = leaf->entries() + path.index;
  --leaf->count;
  std::memmove(at, at + 1, (leaf->count - path.index) * sizeof(uint64_t));
  if (leaf->count == 0) {
    free_leaf(leaf);
    if (height_ == 0) {
      root_ = nullptr;
    } else {
      remove_child(path, height_ - 1, path.steps[height_ - 1].index);
    }
    return;
  }
  if (path.index == 0) first_changed(path, height_, member_of(leaf->entries()[0]));
  shrink_leaf(path);
}

void ScoreTree::remove_child(Path& path, size_t depth, size_t index) {
  Inner* inner = path.steps[depth].node;
  Child* at = inner->children() + index;
  --inner->count;
  std::memmove(at, at + 1, (inner->count - index) * sizeof(Child));
  if (inner->count > 0) {
    if (index == 0) first_changed(path, depth, inner->children()[0].first);
    shrink_inner(path, depth);
    return;
  }
  free_inner(inner);
  if (depth > 0) {
    remove_child(path, depth - 1, path.steps[depth - 1].index);
  } else {
    root_ = nullptr;
    height_ = 0;
  }
}

// Joins a leaf that has become small to a neighbour, or gives back memory it does not need.
void ScoreTree::shrink_leaf(Path& path) {
  Leaf* leaf = path.leaf;
  constexpr size_t kJoinedMax = kLeafMax * 3 / 4;
  if (leaf->count < kLeafMin && height_ > 0) {
    const Step& step = path.steps[height_ - 1];
    const Child* children = step.node->children();
    if (step.index + 1 < step.node->count &&
        leaf->count + children[step.index + 1].count <= kJoinedMax) {
      join_leaves(path, step.index);
      return;
    }
    if (step.index > 0 && leaf->count + children[step.index - 1].count <= kJoinedMax) {
      join_leaves(path, step.index - 1);
      return;
    }
  }
  constexpr size_t kSpare = 12;
  if (leaf->count + kSpare < leaf->capacity)
    set_node(path, height_, resize(leaf, leaf->count + size_t{2}));
}

// Joins children `left` and left + 1 of the lowest inner node.
void ScoreTree::join_leaves(Path& path, size_t left) {
  Inner* parent = path.steps[height_ - 1].node;
  Child& child = parent->children()[left];
  auto* into = static_cast<Leaf*>(child.node);
  auto* from = static_cast<Leaf*>(parent->children()[left + 1].node);
  into = resize(into, size_t{into->count} + from->count);
  std::memcpy(into->entries() + into->count, from->entries(), from->count * sizeof(uint64_t));
  into->count = static_cast<uint16_t>(into->count + from->count);
  free_leaf(from);
  // The two had different scales, so every hint is made anew, also where all orders are equal.
  into->base = order_of(member_of(into->entries()[0])->score);
  into->shift = 0;
  for (size_t index = 0; index < into->count; ++index) {
    into->entries()[index] = into->entry(member_of(into->entries()[index]));
  }
  spread_hints(into);
  child.node = into;
  child.count = into->count;
  remove_child(path, height_ - 1, left + 1);
}

void ScoreTree::shrink_inner(Path& path, size_t depth) {
  if (depth == 0) {
    while (height_ > 0 && static_cast<Inner*>(root_)->count == 1) {
      auto* root = static_cast<Inner*>(root_);
      root_ = root->children()[0].node;
      free_inner(root);
      --height_;
    }
    return;
  }
  Inner* inner = path.steps[depth].node;
  constexpr size_t kJoinedMax = kInnerMax * 3 / 4;
  if (inner->count >= kInnerMin) return;
  const Step& step = path.steps[depth - 1];
  const auto count_of = [&step](size_t index) {
    return size_t{static_cast<const Inner*>(step.node->children()[index].node)->count};
  };
  if (step.index + 1 < step.node->count && inner->count + count_of(step.index + 1) <= kJoinedMax) {
    join_inners(path, depth, step.index);
  } else if (step.index > 0 && inner->count + count_of(step.index - 1) <= kJoinedMax) {
    join_inners(path, depth, step.index - 1);
  }
}

// Joins children `left` and left + 1, inner nodes both, of the path's node at depth - 1.
void ScoreTree::join_inners(Path& path, size_t depth, size_t left) {
  Inner* parent = path.steps[depth - 1].node;
  Child& child = parent->children()[left];
  auto* into = static_cast<Inner*>(child.node);
  auto* from = static_cast<Inner*>(parent->children()[left + 1].node);
  into = resize(into, size_t{into->count} + from->count);
  std::memcpy(into->children() + into->count, from->children(), from->count * sizeof(Child));
  into->count += from->count;
  free_inner(from);
  child.node = into;
  child.count += parent->children()[left + 1].count;
  remove_child(path, depth - 1, left + 1);
}

void ScoreTree::change_score(ScoredMember* member, double score) {
  Path path;
  find(member, path);
  Leaf* leaf = path.leaf;
  const uint64_t order = order_of(score);
  if (path.index > 0 && path.index + 1 < leaf->count) {
    const ScoredMember* before = member_of(leaf->entries()[path.index - 1]);
    const ScoredMember* after = member_of(leaf->entries()[path.index + 1]);
    if (is_before(before, order, member->name()) && !is_before(after, order, member->name())) {
      member->score = score;
      leaf->entries()[path.index] = leaf->entry(member);
      return;
    }
  }
  remove_at(path);
  member->score = score;
  insert(member);
}

// ---- tests --------------------------------------------------------------------------------------

void ScoreTree::verify() const {
  if (root_ == nullptr) return;
  verify_node(root_, 0);
  const ScoredMember* before = nullptr;
  walk_up(0, SIZE_MAX, [&before](const ScoredMember* member) {
    if (before != nullptr) {
      CHECK(is_before(before, order_of(member->score), member->name()));
    }
    before = member;
    return true;
  });
}

size_t ScoreTree::verify_node(const void* node, size_t depth) const {
  if (depth == height_) {
    const auto* leaf = static_cast<const Leaf*>(node);
    CHECK(leaf->count > 0);
    CHECK(leaf->count <= leaf->capacity);
    for (size_t index = 0; index < leaf->count; ++index) {
      const uint64_t entry = leaf->entries()[index];
      CHECK(entry == leaf->entry(member_of(entry)));
    }
    return leaf->count;
  }
  const auto* inner = static_cast<const Inner*>(node);
  CHECK(inner->count > 0);
  size_t count = 0;
  for (size_t index = 0; index < inner->count; ++index) {
    const Child& child = inner->children()[index];
    const void* first = child.node;
    for (size_t below = depth + 1; below < height_; ++below) {
      first = static_cast<const Inner*>(first)->children()[0].node;
    }
    CHECK(child.first == member_of(static_cast<const Leaf*>(first)->entries()[0]));
    CHECK(child.order == order_of(child.first->score));
    CHECK(verify_node(child.node, depth + 1) == child.count);
    count += child.count;
  }
  return count;
}

}  // namespace quorate

// The two forms of a sorted set: a block in order, or a table beside a counted tree.
#include "store/sorted_set.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <span>

#include "store/dense_table.h"
#include "store/packed.h"
#include "store/score_tree.h"
#include "util/block.h"
#include "util/check.h"

namespace quorate {
namespace {

using Condition = SortedSet::Condition;
using Outcome = SortedSet::Outcome;

// ---- block: packed length, bytes, score, mirrored length, in order ------------------------------

struct Block {
  uint32_t bytes;  // of the items
  uint32_t count;

  char* begin() { return reinterpret_cast<char*>(this + 1); }
  const char* begin() const { return reinterpret_cast<const char*>(this + 1); }
  const char* end() const { return begin() + bytes; }
  static size_t allocation(size_t bytes) { return block_good_size(sizeof(Block) + bytes); }
  size_t allocated() const { return allocation(bytes); }
};

constexpr size_t kBlockBytesMax = size_t{1} << 30;

size_t item_size(std::string_view member) {
  return 2 * packed::length_size(member.size()) + member.size() + sizeof(double);
}

struct BlockItem {
  std::string_view member;
  double score;
  const char* begin;
  const char* end;
};

BlockItem item_from(const char* begin) {
  size_t length;
  const char* bytes = packed::read_length(begin, length);
  double score;
  std::memcpy(&score, bytes + length, sizeof score);
  return {{bytes, length}, score, begin, bytes + length + sizeof score + (bytes - begin)};
}

BlockItem item_before(const char* end) {
  size_t length;
  const char* score_end = packed::read_length_before(end, length);
  return item_from(score_end - sizeof(double) - length - (end - score_end));
}

bool is_before(const BlockItem& item, double score, std::string_view member) {
  return item.score < score || (item.score == score && item.member < member);
}

// Where the member stands, or null.
const char* find_in(const Block* block, std::string_view member) {
  for (const char* at = block->begin(); at < block->end();) {
    const BlockItem item = item_from(at);
    if (item.member == member) return at;
    at = item.end;
  }
  return nullptr;
}

// Calls visit(BlockItem) for each item until it returns false.
template <class Visit>
void walk_block(const Block* block, Visit&& visit) {
  for (const char* at = block->begin(); at < block->end();) {
    const BlockItem item = item_from(at);
    if (!visit(item)) return;
    at = item.end;
  }
}

// The number of items at the front for which before(BlockItem) holds.
template <class Before>
size_t count_front(const Block* block, Before&& before) {
  size_t count = 0;
  walk_block(block, [&](const BlockItem& item) {
    if (!before(item)) return false;
    ++count;
    return true;
  });
  return count;
}

BlockItem item_at(const Block* block, size_t rank) {
  if (rank >= block->count / 2) {
    BlockItem item = item_before(block->end());
    for (size_t left = block->count - rank - 1; left > 0; --left) item = item_before(item.begin);
    return item;
  }
  BlockItem item = item_from(block->begin());
  for (; rank > 0; --rank) item = item_from(item.end);
  return item;
}

Block* resized(Block* block, size_t bytes) {
  const size_t before = block->allocated();
  const size_t after = Block::allocation(bytes);
  if (after == before) return block;
  return static_cast<Block*>(block_resize(block, before, after));
}

Block* new_block() {
  auto* block = static_cast<Block*>(block_alloc(Block::allocation(0)));
  block->bytes = 0;
  block->count = 0;
  return block;
}

Block* inserted(Block* block, std::string_view member, double score) {
  const char* place = block->end();
  if (block->count > 0 && !is_before(item_before(place), score, member)) {
    place = block->begin();
    for (BlockItem item = item_from(place); is_before(item, score, member);
         item = item_from(place)) {
      place = item.end;
    }
  }
  const auto offset = static_cast<size_t>(place - block->begin());
  const size_t size = item_size(member);
  block = resized(block, block->bytes + size);
  char* at = block->begin() + offset;
  std::memmove(at + size, at, block->bytes - offset);
  char* bytes = packed::write_length(at, member.size());
  if (!member.empty()) std::memcpy(bytes, member.data(), member.size());
  std::memcpy(bytes + member.size(), &score, sizeof score);
  packed::write_length_before(at + size, member.size());
  block->bytes += static_cast<uint32_t>(size);
  ++block->count;
  return block;
}

// Takes `count` items out that stand at [begin, end).
Block* erased(Block* block, const char* begin, const char* end, size_t count) {
  const auto size = static_cast<size_t>(end - begin);
  char* at = block->begin() + (begin - block->begin());
  std::memmove(at, end, static_cast<size_t>(block->end() - end));
  block = resized(block, block->bytes - size);
  block->bytes -= static_cast<uint32_t>(size);
  block->count -= static_cast<uint32_t>(count);
  return block;
}

// ---- table and tree -----------------------------------------------------------------------------

struct Index {
  explicit Index(uint64_t seed) : table(seed) {}
  DenseTable<ScoredMember> table;
  ScoreTree tree;
  size_t member_bytes = 0;

  static Index* create(uint64_t seed) { return new (block_alloc(sizeof(Index))) Index(seed); }
  static void free(Index* index) {
    index->~Index();
    block_free(index, sizeof(Index));
  }
  ScoredMember* find(std::string_view name) const { return table.find(name, table.hash_of(name)); }
  // Requires: absent.
  void insert(std::string_view name, double score, uint64_t hash) {
    const size_t size = ScoredMember::allocation(name);
    auto* member = static_cast<ScoredMember*>(block_alloc(size));
    member->score = score;
    char* bytes = packed::write_length(member->packed, name.size());
    if (!name.empty()) std::memcpy(bytes, name.data(), name.size());
    member_bytes += block_good_size(size);
    table.insert(member, hash);
    tree.insert(member);
  }
  void free_member(ScoredMember* member) {
    const size_t size = ScoredMember::allocation(member->name());
    member_bytes -= block_good_size(size);
    block_free(member, size);
  }
  // Several at a time, so that the cache misses of their names and places overlap.
  void remove_ranks(size_t first, size_t count) {
    constexpr size_t kTogether = 32;
    while (count > 0) {
      ScoredMember* members[kTogether];
      size_t taken = 0;
      tree.walk_up(first, std::min(count, kTogether), [&](ScoredMember* member) {
        __builtin_prefetch(member);
        members[taken++] = member;
        return true;
      });
      for (size_t index = 0; index < taken; ++index) table.prefetch(members[index]->name());
      for (size_t index = 0; index < taken; ++index) CHECK(tree.remove_at(first) == members[index]);
      for (ScoredMember* member : std::span(members, taken)) {
        CHECK(table.extract(member->name(), table.hash_of(member->name())) == member);
        free_member(member);
      }
      count -= taken;
    }
  }
};

Block* as_block(void* body) { return static_cast<Block*>(body); }
Index* as_index(void* body) { return static_cast<Index*>(body); }

// There is no -0: it equals 0, so which of the two is kept would depend on the history of the set,
// and two copies of it could differ.  (Redis keeps it in a skip list and not in a listpack.)
double canonical(double score) { return score == 0 ? 0 : score; }

// What ZADD's conditions make of a score that is present.  Changes `score` to the new one, or, when
// it is the same, to the present one.
Outcome decide(double present, double& score, uint8_t conditions) {
  if ((conditions & Condition::kIfAbsent) != 0) return Outcome::kRefused;
  double wanted = score;
  if ((conditions & Condition::kIncrement) != 0) {
    wanted += present;
    if (std::isnan(wanted)) return Outcome::kNotANumber;
  }
  if ((conditions & Condition::kIfLess) != 0 && wanted >= present) return Outcome::kRefused;
  if ((conditions & Condition::kIfGreater) != 0 && wanted <= present) return Outcome::kRefused;
  score = wanted;
  return wanted == present ? Outcome::kUnchanged : Outcome::kUpdated;
}

}  // namespace

// ---- one member ---------------------------------------------------------------------------------

size_t SortedSet::size() const {
  switch (form()) {
    case Form::kEmpty:
      return 0;
    case Form::kBlock:
      return as_block(body())->count;
    case Form::kTree:
      return as_index(body())->table.size();
  }
  return 0;
}

std::string_view SortedSet::encoding_name(const StoreSettings&) const {
  return form() == Form::kTree ? "skiplist" : "listpack";
}

size_t SortedSet::memory_bytes() const {
  switch (form()) {
    case Form::kEmpty:
      return 0;
    case Form::kBlock:
      return Block::allocation(as_block(body())->bytes);
    case Form::kTree: {
      const Index* index = as_index(body());
      return block_good_size(sizeof(Index)) + index->table.memory_bytes() +
             index->tree.memory_bytes() + index->member_bytes;
    }
  }
  return 0;
}

SortedSet::Outcome SortedSet::add(std::string_view member, double& score, uint8_t conditions,
                                  const StoreSettings& settings) {
  if (form() != Form::kTree) return add_to_block(member, score, conditions, settings);
  Index* index = as_index(body());
  const uint64_t hash = index->table.hash_of(member);
  if (ScoredMember* present = index->table.find(member, hash)) {
    const Outcome outcome = decide(present->score, score, conditions);
    if (outcome == Outcome::kUpdated) index->tree.change_score(present, canonical(score));
    return outcome;
  }
  if ((conditions & kIfPresent) != 0) return Outcome::kRefused;
  index->insert(member, canonical(score), hash);
  return Outcome::kAdded;
}

SortedSet::Outcome SortedSet::add_to_block(std::string_view member, double& score,
                                           uint8_t conditions, const StoreSettings& settings) {
  Block* block = as_block(body());
  if (const char* present = block == nullptr ? nullptr : find_in(block, member)) {
    const BlockItem item = item_from(present);
    const Outcome outcome = decide(item.score, score, conditions);
    if (outcome == Outcome::kUpdated) {
      block = erased(block, item.begin, item.end, 1);
      become(Form::kBlock, inserted(block, member, canonical(score)));
    }
    return outcome;
  }
  if ((conditions & kIfPresent) != 0) return Outcome::kRefused;
  const size_t bytes = block == nullptr ? 0 : block->bytes;
  if (static_cast<int64_t>(size()) + 1 <= settings.zset_max_listpack_entries &&
      static_cast<int64_t>(member.size()) <= settings.zset_max_listpack_value &&
      bytes + item_size(member) <= kBlockBytesMax) {
    become(Form::kBlock,
           inserted(block == nullptr ? new_block() : block, member, canonical(score)));
  } else {
    convert_to_tree(settings.hash_seed);
    Index* index = as_index(body());
    index->insert(member, canonical(score), index->table.hash_of(member));
  }
  return Outcome::kAdded;
}

void SortedSet::convert_to_tree(uint64_t seed) {
  Index* index = Index::create(seed);
  for_each([index](std::string_view member, double score) {
    index->insert(member, score, index->table.hash_of(member));
  });
  free_packed();
  become(Form::kTree, index);
}

bool SortedSet::remove(std::string_view member) {
  switch (form()) {
    case Form::kEmpty:
      return false;
    case Form::kBlock: {
      Block* block = as_block(body());
      const char* found = find_in(block, member);
      if (found == nullptr) return false;
      become(Form::kBlock, erased(block, found, item_from(found).end, 1));
      return true;
    }
    case Form::kTree: {
      Index* index = as_index(body());
      ScoredMember* found = index->table.extract(member, index->table.hash_of(member));
      if (found == nullptr) return false;
      index->tree.remove(found);
      index->free_member(found);
      return true;
    }
  }
  return false;
}

std::optional<double> SortedSet::score(std::string_view member) const {
  switch (form()) {
    case Form::kEmpty:
      break;
    case Form::kBlock:
      if (const char* found = find_in(as_block(body()), member)) return item_from(found).score;
      break;
    case Form::kTree:
      if (const ScoredMember* found = as_index(body())->find(member)) return found->score;
      break;
  }
  return std::nullopt;
}

std::optional<size_t> SortedSet::rank(std::string_view member) const {
  switch (form()) {
    case Form::kEmpty:
      break;
    case Form::kBlock: {
      const auto* block = as_block(body());
      const size_t rank =
          count_front(block, [&](const BlockItem& item) { return item.member != member; });
      if (rank < block->count) return rank;
      break;
    }
    case Form::kTree: {
      const Index* index = as_index(body());
      if (const ScoredMember* found = index->find(member)) return index->tree.rank(found);
      break;
    }
  }
  return std::nullopt;
}

SortedSet::Item SortedSet::random_item(Prng& random) const {
  if (form() == Form::kTree) {
    const ScoredMember* member = as_index(body())->table.random(random);
    return {member->name(), member->score};
  }
  CHECK(!empty());
  const BlockItem item = item_at(as_block(body()), random.below(size()));
  return {item.member, item.score};
}

// ---- order --------------------------------------------------------------------------------------

size_t SortedSet::count_by_score(double score, Bound bound) const {
  const auto before = [score, bound](double own) {
    return own < score || (bound == Bound::kUpTo && own == score);
  };
  switch (form()) {
    case Form::kEmpty:
      break;
    case Form::kBlock:
      return count_front(as_block(body()),
                         [&](const BlockItem& item) { return before(item.score); });
    case Form::kTree: {
      const uint64_t limit = order_of(score);
      return as_index(body())->tree.count_while(
          [limit, bound](uint64_t order, const ScoredMember*) {
            return order < limit || (bound == Bound::kUpTo && order == limit);
          });
    }
  }
  return 0;
}

size_t SortedSet::count_by_member(std::string_view member, Bound bound) const {
  const auto before = [member, bound](std::string_view own) {
    return bound == Bound::kUpTo ? own <= member : own < member;
  };
  switch (form()) {
    case Form::kEmpty:
      break;
    case Form::kBlock:
      return count_front(as_block(body()),
                         [&](const BlockItem& item) { return before(item.member); });
    case Form::kTree:
      return as_index(body())->tree.count_while(
          [&before](uint64_t, const ScoredMember* own) { return before(own->name()); });
  }
  return 0;
}

SortedSet::Item SortedSet::at(size_t rank) const {
  DCHECK(rank < size());
  if (form() == Form::kTree) {
    const ScoredMember* member = as_index(body())->tree.at(rank);
    return {member->name(), member->score};
  }
  const BlockItem item = item_at(as_block(body()), rank);
  return {item.member, item.score};
}

void SortedSet::walk(size_t first, size_t count, Direction direction, const Visitor& visit) const {
  if (first >= size()) return;
  if (form() == Form::kTree) {
    const auto visit_member = [&visit](const ScoredMember* member) {
      return visit(member->name(), member->score);
    };
    const ScoreTree& tree = as_index(body())->tree;
    if (direction == Direction::kUp) {
      tree.walk_up(first, count, visit_member);
    } else {
      tree.walk_down(first, count, visit_member);
    }
    return;
  }
  const Block* block = as_block(body());
  const char* at = item_at(block, first).begin;
  if (direction == Direction::kUp) {
    for (; count > 0 && at < block->end(); --count) {
      const BlockItem item = item_from(at);
      if (!visit(item.member, item.score)) return;
      at = item.end;
    }
    return;
  }
  for (at = item_from(at).end; count > 0 && at > block->begin(); --count) {
    const BlockItem item = item_before(at);
    if (!visit(item.member, item.score)) return;
    at = item.begin;
  }
}

void SortedSet::remove_ranks(size_t first, size_t count) {
  if (count == 0) return;
  CHECK(first + count <= size());
  if (form() == Form::kTree) {
    as_index(body())->remove_ranks(first, count);
    return;
  }
  Block* block = as_block(body());
  const char* begin = item_at(block, first).begin;
  const char* end = item_at(block, first + count - 1).end;
  become(Form::kBlock, erased(block, begin, end, count));
}

void SortedSet::copy_without(size_t first, size_t count, SortedSet& rest) const {
  CHECK(rest.word_ == 0);
  CHECK(first + count <= size());
  if (form() != Form::kTree) {
    clone_into(rest);
    rest.remove_ranks(first, count);
    return;
  }
  Index* copy = Index::create(as_index(body())->table.seed());
  const Visitor insert = [copy](std::string_view member, double score) {
    copy->insert(member, score, copy->table.hash_of(member));
    return true;
  };
  walk(0, first, Direction::kUp, insert);
  walk(first + count, size() - first - count, Direction::kUp, insert);
  rest.become(Form::kTree, copy);
}

uint64_t SortedSet::scan(uint64_t cursor, size_t count, const Visitor& visit) const {
  if (form() == Form::kTree) {
    return as_index(body())->table.scan(cursor, count, [&visit](const ScoredMember* member) {
      visit(member->name(), member->score);
    });
  }
  for_each(visit);
  return 0;
}

// ---- life ---------------------------------------------------------------------------------------

void SortedSet::free_packed() { block_free(body(), memory_bytes()); }

void SortedSet::destroy() {
  size_t budget = SIZE_MAX;
  while (!destroy_some(budget)) budget = SIZE_MAX;
}

bool SortedSet::destroy_some(size_t& budget) {
  if (form() == Form::kTree) {
    Index* index = as_index(body());
    const bool all_freed = index->tree.release_some(
        budget, [index](ScoredMember* member) { index->free_member(member); });
    if (!all_freed) return false;
    // The members are gone; the table only forgets them.
    if (!index->table.release_some(budget, [](ScoredMember*) {})) return false;
    Index::free(index);
  } else {
    free_packed();
    budget -= budget > 0 ? 1 : 0;
  }
  word_ = 0;
  return true;
}

void SortedSet::clone_into(SortedSet& target) const {
  CHECK(target.word_ == 0);
  switch (form()) {
    case Form::kEmpty:
      return;
    case Form::kBlock: {
      const size_t bytes = memory_bytes();
      void* copy = block_alloc(bytes);
      std::memcpy(copy, body(), bytes);
      target.become(Form::kBlock, copy);
      return;
    }
    case Form::kTree: {
      Index* copy = Index::create(as_index(body())->table.seed());
      for_each([copy](std::string_view member, double score) {
        copy->insert(member, score, copy->table.hash_of(member));
      });
      target.become(Form::kTree, copy);
      return;
    }
  }
}

void SortedSet::prefetch(std::string_view member) const {
  if (form() == Form::kTree) as_index(body())->table.prefetch(member);
}

void SortedSet::verify() const {
  if (form() != Form::kTree) return;
  const Index* index = as_index(body());
  index->table.verify();
  index->tree.verify();
  CHECK(index->tree.size() == index->table.size());
}

}  // namespace quorate

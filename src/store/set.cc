// The three forms of a set: a sorted array of integers, a block of members, a table.
#include "store/set.h"

#include <cstring>
#include <new>
#include <optional>

#include "store/dense_table.h"
#include "store/packed.h"
#include "util/block.h"
#include "util/check.h"
#include "util/number.h"

namespace quorate {
namespace {

// ---- integers: ascending, all of the width that the widest needs --------------------------------

struct Integers {
  uint32_t count;
  uint32_t width;  // bytes of one: 2, 4 or 8

  char* at(size_t index) { return reinterpret_cast<char*>(this + 1) + index * width; }
  const char* at(size_t index) const {
    return reinterpret_cast<const char*>(this + 1) + index * width;
  }
  int64_t get(size_t index) const {
    int64_t value = 0;
    if (width == 2) {
      int16_t narrow;
      std::memcpy(&narrow, at(index), sizeof narrow);
      value = narrow;
    } else if (width == 4) {
      int32_t narrow;
      std::memcpy(&narrow, at(index), sizeof narrow);
      value = narrow;
    } else {
      std::memcpy(&value, at(index), sizeof value);
    }
    return value;
  }
  void put(size_t index, int64_t value) { std::memcpy(at(index), &value, width); }
  static size_t allocation(size_t count, size_t width) {
    return block_good_size(sizeof(Integers) + count * width);
  }
  size_t allocated() const { return allocation(count, width); }
};

constexpr int64_t kIntegersMax = 1 << 30;

uint32_t width_for(int64_t value) {
  if (value >= INT16_MIN && value <= INT16_MAX) return 2;
  if (value >= INT32_MIN && value <= INT32_MAX) return 4;
  return 8;
}

// The index of the first that is not below `value`.
size_t lower_bound(const Integers* integers, int64_t value) {
  size_t low = 0;
  size_t high = integers->count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (integers->get(middle) < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool holds(const Integers* integers, size_t index, int64_t value) {
  return index < integers->count && integers->get(index) == value;
}

Integers* resized(Integers* integers, size_t count) {
  const size_t before = integers->allocated();
  const size_t after = Integers::allocation(count, integers->width);
  if (after == before) return integers;
  return static_cast<Integers*>(block_resize(integers, before, after));
}

Integers* widened(Integers* narrow, uint32_t width) {
  auto* wide = static_cast<Integers*>(block_alloc(Integers::allocation(narrow->count, width)));
  wide->count = narrow->count;
  wide->width = width;
  for (size_t index = 0; index < narrow->count; ++index) wide->put(index, narrow->get(index));
  block_free(narrow, narrow->allocated());
  return wide;
}

Integers* inserted(Integers* integers, size_t index, int64_t value) {
  if (width_for(value) > integers->width) integers = widened(integers, width_for(value));
  integers = resized(integers, integers->count + size_t{1});
  std::memmove(integers->at(index + 1), integers->at(index),
               (integers->count - index) * integers->width);
  ++integers->count;
  integers->put(index, value);
  return integers;
}

// ---- block: members one behind the other, each a packed length and its bytes --------------------

struct Block {
  uint32_t bytes;  // of the members
  uint32_t count;

  char* begin() { return reinterpret_cast<char*>(this + 1); }
  const char* begin() const { return reinterpret_cast<const char*>(this + 1); }
  const char* end() const { return begin() + bytes; }
  static size_t allocation(size_t bytes) { return block_good_size(sizeof(Block) + bytes); }
  size_t allocated() const { return allocation(bytes); }
};

constexpr size_t kBlockBytesMax = size_t{1} << 30;

size_t packed_size(std::string_view member) {
  return packed::length_size(member.size()) + member.size();
}

std::string_view read_member(const char* at) {
  size_t length;
  const char* bytes = packed::read_length(at, length);
  return {bytes, length};
}

void write_member(char* at, std::string_view member) {
  char* bytes = packed::write_length(at, member.size());
  if (!member.empty()) std::memcpy(bytes, member.data(), member.size());
}

// Where the member stands, or null.
const char* find_in(const Block* block, std::string_view member) {
  for (const char* at = block->begin(); at < block->end();) {
    const std::string_view here = read_member(at);
    if (here == member) return at;
    at = here.data() + here.size();
  }
  return nullptr;
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

Block* appended(Block* block, std::string_view member) {
  const size_t size = packed_size(member);
  block = resized(block, block->bytes + size);
  write_member(block->begin() + block->bytes, member);
  block->bytes += static_cast<uint32_t>(size);
  ++block->count;
  return block;
}

// ---- table: one allocation a member, packed as in a block ---------------------------------------

struct Member {
  char packed[1];
  static std::string_view key(const Member* member) { return read_member(member->packed); }
};

struct MemberTable {
  explicit MemberTable(uint64_t seed) : table(seed) {}
  DenseTable<Member> table;
  size_t member_bytes = 0;

  static MemberTable* create(uint64_t seed) {
    return new (block_alloc(sizeof(MemberTable))) MemberTable(seed);
  }
  static void free(MemberTable* table) {
    table->~MemberTable();
    block_free(table, sizeof(MemberTable));
  }
  static void free_member(Member* member) { block_free(member, packed_size(Member::key(member))); }
  // Requires: absent.
  void insert(std::string_view name, uint64_t hash) {
    auto* member = static_cast<Member*>(block_alloc(packed_size(name)));
    write_member(member->packed, name);
    member_bytes += block_good_size(packed_size(name));
    table.insert(member, hash);
  }
  bool add(std::string_view name) {
    const uint64_t hash = table.hash_of(name);
    if (table.find(name, hash) != nullptr) return false;
    insert(name, hash);
    return true;
  }
  bool remove(std::string_view name) {
    Member* member = table.extract(name, table.hash_of(name));
    if (member == nullptr) return false;
    member_bytes -= block_good_size(packed_size(Member::key(member)));
    free_member(member);
    return true;
  }
};

Integers* as_integers(void* body) { return static_cast<Integers*>(body); }
Block* as_block(void* body) { return static_cast<Block*>(body); }
MemberTable* as_table(void* body) { return static_cast<MemberTable*>(body); }

}  // namespace

// ---- what is in it ------------------------------------------------------------------------------

size_t Set::size() const {
  switch (form()) {
    case Form::kEmpty:
      return 0;
    case Form::kIntegers:
      return as_integers(body())->count;
    case Form::kBlock:
      return as_block(body())->count;
    case Form::kTable:
      return as_table(body())->table.size();
  }
  return 0;
}

std::string_view Set::encoding_name(const StoreSettings&) const {
  switch (form()) {
    case Form::kEmpty:
    case Form::kIntegers:
      return "intset";
    case Form::kBlock:
      return "listpack";
    case Form::kTable:
      return "hashtable";
  }
  return {};
}

size_t Set::memory_bytes() const {
  switch (form()) {
    case Form::kEmpty:
      return 0;
    case Form::kIntegers:
      return Integers::allocation(as_integers(body())->count, as_integers(body())->width);
    case Form::kBlock:
      return Block::allocation(as_block(body())->bytes);
    case Form::kTable:
      return block_good_size(sizeof(MemberTable)) + as_table(body())->table.memory_bytes() +
             as_table(body())->member_bytes;
  }
  return 0;
}

bool Set::contains(std::string_view member) const {
  switch (form()) {
    case Form::kEmpty:
      return false;
    case Form::kIntegers: {
      const std::optional<int64_t> value = parse_int(member);
      const Integers* integers = as_integers(body());
      return value && holds(integers, lower_bound(integers, *value), *value);
    }
    case Form::kBlock:
      return find_in(as_block(body()), member) != nullptr;
    case Form::kTable: {
      const auto& table = as_table(body())->table;
      return table.find(member, table.hash_of(member)) != nullptr;
    }
  }
  return false;
}

std::string_view Set::random_member(Prng& random, Scratch& scratch) const {
  switch (form()) {
    case Form::kEmpty:
      break;
    case Form::kIntegers: {
      const Integers* integers = as_integers(body());
      return {scratch.text, format_int(scratch.text, integers->get(random.below(integers->count)))};
    }
    case Form::kBlock: {
      const Block* block = as_block(body());
      std::string_view member = read_member(block->begin());
      for (uint64_t left = random.below(block->count); left > 0; --left) {
        member = read_member(member.data() + member.size());
      }
      return member;
    }
    case Form::kTable:
      return Member::key(as_table(body())->table.random(random));
  }
  CHECK(form() != Form::kEmpty);
  return {};
}

void Set::walk(const Visitor& visit) const {
  switch (form()) {
    case Form::kEmpty:
      return;
    case Form::kIntegers: {
      const Integers* integers = as_integers(body());
      char text[kIntTextMax];
      for (size_t index = 0; index < integers->count; ++index) {
        if (!visit({text, format_int(text, integers->get(index))})) return;
      }
      return;
    }
    case Form::kBlock: {
      const Block* block = as_block(body());
      for (const char* at = block->begin(); at < block->end();) {
        const std::string_view member = read_member(at);
        if (!visit(member)) return;
        at = member.data() + member.size();
      }
      return;
    }
    case Form::kTable:
      as_table(body())->table.walk([&](Member* member) { return visit(Member::key(member)); });
      return;
  }
}

uint64_t Set::scan(uint64_t cursor, size_t count, const Visitor& visit) const {
  if (form() != Form::kTable) {
    walk(visit);
    return 0;
  }
  return as_table(body())->table.scan(cursor, count,
                                      [&](Member* member) { visit(Member::key(member)); });
}

// ---- changes ------------------------------------------------------------------------------------

bool Set::add(std::string_view member, const StoreSettings& settings) {
  switch (form()) {
    case Form::kEmpty:
      add_first(member, settings);
      return true;
    case Form::kIntegers:
      return add_to_integers(member, settings);
    case Form::kBlock:
      return add_to_block(member, settings);
    case Form::kTable:
      return as_table(body())->add(member);
  }
  return false;
}

namespace {

bool fits_block(size_t count, size_t bytes, std::string_view member,
                const StoreSettings& settings) {
  return static_cast<int64_t>(count) <= settings.set_max_listpack_entries &&
         static_cast<int64_t>(member.size()) <= settings.set_max_listpack_value &&
         bytes + packed_size(member) <= kBlockBytesMax;
}

}  // namespace

void Set::add_first(std::string_view member, const StoreSettings& settings) {
  const std::optional<int64_t> value = parse_int(member);
  if (value && settings.set_max_intset_entries >= 1) {
    const uint32_t width = width_for(*value);
    auto* integers = static_cast<Integers*>(block_alloc(Integers::allocation(1, width)));
    integers->count = 1;
    integers->width = width;
    integers->put(0, *value);
    become(Form::kIntegers, integers);
  } else if (fits_block(1, 0, member, settings)) {
    become(Form::kBlock, appended(new_block(), member));
  } else {
    MemberTable* table = MemberTable::create(settings.hash_seed);
    table->add(member);
    become(Form::kTable, table);
  }
}

bool Set::add_to_integers(std::string_view member, const StoreSettings& settings) {
  Integers* integers = as_integers(body());
  if (const std::optional<int64_t> value = parse_int(member)) {
    const size_t index = lower_bound(integers, *value);
    if (holds(integers, index, *value)) return false;
    become(Form::kIntegers, inserted(integers, index, *value));
    const int64_t limit = std::min(settings.set_max_intset_entries, kIntegersMax);
    if (static_cast<int64_t>(size()) > limit) convert_to_table(settings.hash_seed);
    return true;
  }
  // The widest of the integers is the first or the last.
  char text[kIntTextMax];
  const size_t widest =
      integers->count == 0 ? 0
                           : std::max(format_int(text, integers->get(0)),
                                      format_int(text, integers->get(integers->count - size_t{1})));
  const size_t count = size_t{integers->count} + 1;
  if (fits_block(count, integers->count * (widest + 1), member, settings) &&
      static_cast<int64_t>(widest) <= settings.set_max_listpack_value) {
    integers_to_block();
    become(Form::kBlock, appended(as_block(body()), member));
    return true;
  }
  convert_to_table(settings.hash_seed);
  return as_table(body())->add(member);
}

bool Set::add_to_block(std::string_view member, const StoreSettings& settings) {
  Block* block = as_block(body());
  if (find_in(block, member) != nullptr) return false;
  if (fits_block(size_t{block->count} + 1, block->bytes, member, settings)) {
    become(Form::kBlock, appended(block, member));
    return true;
  }
  convert_to_table(settings.hash_seed);
  return as_table(body())->add(member);
}

void Set::integers_to_block() {
  Block* block = new_block();
  for_each([&block](std::string_view member) { block = appended(block, member); });
  free_packed();
  become(Form::kBlock, block);
}

void Set::convert_to_table(uint64_t seed) {
  MemberTable* table = MemberTable::create(seed);
  for_each(
      [table](std::string_view member) { table->insert(member, table->table.hash_of(member)); });
  free_packed();
  become(Form::kTable, table);
}

bool Set::remove(std::string_view member) {
  switch (form()) {
    case Form::kEmpty:
      return false;
    case Form::kIntegers: {
      const std::optional<int64_t> value = parse_int(member);
      Integers* integers = as_integers(body());
      const size_t index = value ? lower_bound(integers, *value) : 0;
      if (!value || !holds(integers, index, *value)) return false;
      const size_t after = integers->count - index - 1;
      std::memmove(integers->at(index), integers->at(index + 1), after * integers->width);
      Integers* smaller = resized(integers, integers->count - size_t{1});
      --smaller->count;
      become(Form::kIntegers, smaller);
      return true;
    }
    case Form::kBlock: {
      Block* block = as_block(body());
      const char* found = find_in(block, member);
      if (found == nullptr) return false;
      const size_t size = packed_size(member);
      char* at = block->begin() + (found - block->begin());
      std::memmove(at, at + size, static_cast<size_t>(block->end() - at) - size);
      Block* smaller = resized(block, block->bytes - size);
      smaller->bytes -= static_cast<uint32_t>(size);
      --smaller->count;
      become(Form::kBlock, smaller);
      return true;
    }
    case Form::kTable:
      return as_table(body())->remove(member);
  }
  return false;
}

// ---- life ---------------------------------------------------------------------------------------

void Set::free_packed() { block_free(body(), memory_bytes()); }

void Set::destroy() {
  size_t budget = SIZE_MAX;
  while (!destroy_some(budget)) budget = SIZE_MAX;
}

bool Set::destroy_some(size_t& budget) {
  if (form() == Form::kTable) {
    MemberTable* table = as_table(body());
    if (!table->table.release_some(budget, MemberTable::free_member)) return false;
    MemberTable::free(table);
  } else {
    free_packed();
    budget -= budget > 0 ? 1 : 0;
  }
  word_ = 0;
  return true;
}

void Set::clone_into(Set& target) const {
  CHECK(target.word_ == 0);
  switch (form()) {
    case Form::kEmpty:
      return;
    case Form::kIntegers:
    case Form::kBlock: {
      const size_t bytes = memory_bytes();
      void* copy = block_alloc(bytes);
      std::memcpy(copy, body(), bytes);
      target.become(form(), copy);
      return;
    }
    case Form::kTable: {
      MemberTable* copy = MemberTable::create(as_table(body())->table.seed());
      for_each(
          [copy](std::string_view member) { copy->insert(member, copy->table.hash_of(member)); });
      target.become(Form::kTable, copy);
      return;
    }
  }
}

void Set::prefetch(std::string_view member) const {
  if (form() == Form::kTable) as_table(body())->table.prefetch(member);
}

void Set::verify() const {
  if (form() == Form::kTable) as_table(body())->table.verify();
}

}  // namespace quorate

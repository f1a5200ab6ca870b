// The hash type: one packed block, or a table of field blocks.  See hash.h for what it promises.
#include "store/hash.h"

#include <algorithm>
#include <new>

#include "util/block.h"
#include "util/check.h"

namespace quorate {

// ---- the small form
// -----------------------------------------------------------------------------------

size_t Hash::pair_size(size_t name_size, size_t value_size) const {
  return packed::length_size(name_size) + packed::length_size(value_size) + name_size + value_size +
         (has_expiries() ? sizeof(int64_t) : 0);
}

char* Hash::write_pair(char* at, std::string_view name, std::string_view value,
                       int64_t expiry) const {
  at = packed::write_length(at, name.size());
  at = packed::write_length(at, value.size());
  if (!name.empty()) std::memcpy(at, name.data(), name.size());
  at += name.size();
  if (!value.empty()) std::memcpy(at, value.data(), value.size());
  at += value.size();
  if (has_expiries()) {
    std::memcpy(at, &expiry, sizeof expiry);
    at += sizeof expiry;
  }
  return at;
}

bool Hash::find_pair(std::string_view name, Pair& found) const {
  const size_t tail = has_expiries() ? sizeof(int64_t) : 0;
  const char* const end = block()->end();
  for (const char* at = block()->first(); at != end;) {
    size_t name_size;
    size_t value_size;
    const char* bytes = packed::read_length(packed::read_length(at, name_size), value_size);
    if (std::string_view(bytes, name_size) == name) {
      found = read_pair(at);
      return true;
    }
    at = bytes + name_size + value_size + tail;
  }
  return false;
}

// Gives the block room for `capacity` bytes of pairs, or a little more.
void Hash::resize_block(size_t capacity) {
  const size_t usable = block_good_size(sizeof(Block) + capacity) - sizeof(Block);
  const size_t room = std::min<size_t>(usable, 0xffff);
  const bool is_new = bits_ == 0;
  auto* resized = static_cast<Block*>(is_new ? block_alloc(sizeof(Block) + room)
                                             : block_resize(block(), block()->allocated(), sizeof(Block) + room));
  if (is_new) *resized = Block{};
  resized->capacity = static_cast<uint16_t>(room);
  bits_ = reinterpret_cast<uintptr_t>(resized);
}

char* Hash::open_gap(const char* begin, const char* end, size_t size) {
  const auto from = static_cast<size_t>(begin - block()->first());
  const auto to = static_cast<size_t>(end - block()->first());
  const size_t behind = block()->used - to;
  const size_t used = from + size + behind;
  if (used > block()->capacity) resize_block(used);
  char* const gap = block()->pairs() + from;
  if (behind > 0) std::memmove(gap + size, block()->pairs() + to, behind);
  block()->used = static_cast<uint16_t>(used);
  // A block that has become much too large gives memory back.
  if (used < block()->capacity / 2 && block()->capacity > 64) resize_block(used);
  return block()->pairs() + from;
}

void Hash::remove_pair(const Pair& pair) {
  open_gap(pair.begin, pair.end, 0);
  if (--block()->count == 0) free_block();
}

void Hash::free_block() {
  block_free(block(), block()->allocated());
  bits_ = 0;
}

// From here on every pair has room for an expiry.  The caller has seen that it fits.
void Hash::add_expiries_to_block() {
  const Block* old = block();
  Hash wider;
  wider.resize_block(old->used + old->count * sizeof(int64_t));
  wider.block()->flags = kExpiries;
  wider.block()->count = old->count;
  char* at = wider.block()->pairs();
  for_each([&](const Field& field) { at = wider.write_pair(at, field.name, field.value, kNever); });
  wider.block()->used = static_cast<uint16_t>(at - wider.block()->pairs());
  free_block();
  bits_ = wider.bits_;
}

// ---- the large form
// -------------------------------------------------------------------------------------

void Hash::become_table(uint64_t seed) {
  Table* made = new (block_alloc(sizeof(Table))) Table(seed);
  for_each([&](const Field& field) {
    const bool expires = field.expiry != kNever;
    HashField* item = HashField::create(
        field.name, field.value, expires ? HashField::Space::kForExpiry : HashField::Space::kPlain);
    made->fields.insert(item, made->fields.hash_of(field.name));
    if (!expires) return;
    item->set_expiry(field.expiry);
    made->expiries.insert(item);
  });
  if (bits_ != 0) free_block();
  bits_ = reinterpret_cast<uintptr_t>(made) + kTableTag;
}

void Hash::forget_expiry(HashField* field) {
  if (field->has_expiry() && field->expiry() != kNever) table()->expiries.remove(field);
}

Hash::Stored Hash::set_in_table(std::string_view name, std::string_view value, FieldExpiry rule) {
  CompactTable<HashField>& fields = table()->fields;
  const uint64_t hash = fields.hash_of(name);
  HashField* old = fields.find(name, hash);
  if (old == nullptr) {
    fields.insert(HashField::create(name, value, HashField::Space::kPlain), hash);
    return Stored::kNew;
  }
  const bool expires = old->has_expiry() && old->expiry() != kNever;
  const bool keeps = expires && rule == FieldExpiry::kKeep;
  if (expires && !keeps) {
    table()->expiries.remove(old);
    old->set_expiry(kNever);
  }
  if (old->overwrite(value)) return Stored::kReplaced;
  HashField* made = HashField::create(
      name, value, keeps ? HashField::Space::kForExpiry : HashField::Space::kPlain);
  fields.replace(old, made, hash);
  if (keeps) {
    made->set_expiry(old->expiry());
    made->set_heap_place(old->heap_place());
    table()->expiries.replaced(made);
  }
  HashField::destroy(old);
  return Stored::kReplaced;
}

void Hash::free_table() {
  table()->expiries.destroy();
  block_free(table(), sizeof(Table));
  bits_ = 0;
}

// ---- both
// -----------------------------------------------------------------------------------------------

size_t Hash::size() const {
  if (bits_ == 0) return 0;
  return is_table() ? table()->fields.size() : block()->count;
}

std::string_view Hash::encoding_name(const StoreSettings&) const {
  if (is_table()) return "hashtable";
  return bits_ != 0 && has_expiries() ? "listpackex" : "listpack";
}

std::optional<Hash::Field> Hash::find(std::string_view name) const {
  if (bits_ == 0) return std::nullopt;
  if (is_table()) {
    const HashField* field = table()->fields.find(name, table()->fields.hash_of(name));
    if (field == nullptr) return std::nullopt;
    return view_of(field);
  }
  Pair pair;
  if (!find_pair(name, pair)) return std::nullopt;
  return view_of(pair);
}

void Hash::expect(size_t count, const StoreSettings& settings) {
  if (is_table() || static_cast<int64_t>(count) <= settings.hash_max_listpack_entries) return;
  become_table(settings.hash_seed);
}

Hash::Stored Hash::set(std::string_view name, std::string_view value, const StoreSettings& settings,
                       FieldExpiry rule) {
  if (is_table()) return set_in_table(name, value, rule);
  const auto longest = static_cast<size_t>(std::max<int64_t>(settings.hash_max_listpack_value, 0));
  if (name.size() > longest || value.size() > longest) {
    become_table(settings.hash_seed);
    return set_in_table(name, value, rule);
  }
  if (bits_ == 0) resize_block(2 + name.size() + value.size());
  const bool full = block()->count >= settings.hash_max_listpack_entries;
  const bool may_overflow = block()->used + pair_size(name.size(), value.size()) > kBlockUsedMax;
  Pair pair;
  if ((full || may_overflow) && (may_overflow || !find_pair(name, pair))) {
    become_table(settings.hash_seed);
    return set_in_table(name, value, rule);
  }
  return set_in_block(name, value, rule);
}

// Requires: the pair fits.
Hash::Stored Hash::set_in_block(std::string_view name, std::string_view value, FieldExpiry rule) {
  const size_t size = pair_size(name.size(), value.size());
  Pair pair;
  if (!find_pair(name, pair)) {
    write_pair(open_gap(block()->end(), block()->end(), size), name, value, kNever);
    ++block()->count;
    return Stored::kNew;
  }
  const int64_t expiry = rule == FieldExpiry::kKeep ? pair.expiry : kNever;
  write_pair(open_gap(pair.begin, pair.end, size), name, value, expiry);
  return Stored::kReplaced;
}

bool Hash::remove(std::string_view name) {
  if (bits_ == 0) return false;
  if (!is_table()) {
    Pair pair;
    if (!find_pair(name, pair)) return false;
    remove_pair(pair);
    return true;
  }
  HashField* field = table()->fields.extract(name, table()->fields.hash_of(name));
  if (field == nullptr) return false;
  forget_expiry(field);
  HashField::destroy(field);
  if (table()->fields.size() == 0) destroy();
  return true;
}

bool Hash::set_expiry(std::string_view name, int64_t unix_ms, const StoreSettings& settings) {
  if (bits_ == 0) return false;
  if (!is_table()) {
    Pair pair;
    if (!find_pair(name, pair)) return false;
    if (!has_expiries()) {
      if (unix_ms == kNever) return true;
      if (block()->used + block()->count * sizeof(int64_t) <= kBlockUsedMax) {
        add_expiries_to_block();
        CHECK(find_pair(name, pair));
      }
    }
    if (has_expiries()) {
      char* const at = block()->pairs() + (pair.end - block()->first()) - sizeof unix_ms;
      std::memcpy(at, &unix_ms, sizeof unix_ms);
      return true;
    }
    become_table(settings.hash_seed);
  }
  return set_expiry_in_table(name, unix_ms);
}

bool Hash::set_expiry_in_table(std::string_view name, int64_t unix_ms) {
  CompactTable<HashField>& fields = table()->fields;
  const uint64_t hash = fields.hash_of(name);
  HashField* field = fields.find(name, hash);
  if (field == nullptr) return false;
  if (!field->has_expiry()) {
    if (unix_ms == kNever) return true;
    HashField* made =
        HashField::create(name, HashField::read(field).value, HashField::Space::kForExpiry);
    fields.replace(field, made, hash);
    HashField::destroy(field);
    made->set_expiry(unix_ms);
    table()->expiries.insert(made);
    return true;
  }
  const bool was_in_heap = field->expiry() != kNever;
  if (unix_ms == kNever) {
    forget_expiry(field);
    field->set_expiry(kNever);
    return true;
  }
  field->set_expiry(unix_ms);
  if (was_in_heap) {
    table()->expiries.moved_in_time(field);
  } else {
    table()->expiries.insert(field);
  }
  return true;
}

int64_t Hash::next_expiry() const {
  if (bits_ == 0) return kNever;
  if (is_table()) return table()->expiries.earliest();
  if (!has_expiries()) return kNever;
  int64_t earliest = kNever;
  for_each([&](const Field& field) { earliest = std::min(earliest, field.expiry); });
  return earliest;
}

// Requires: next_expiry() != kNever.
Hash::Field Hash::first_to_expire() const {
  if (is_table()) return view_of(table()->expiries.first());
  Field first{{}, {}, kNever};
  for_each([&](const Field& field) {
    if (field.expiry < first.expiry) first = field;
  });
  return first;
}

Hash::Field Hash::random(Prng& prng) const {
  if (is_table()) return view_of(table()->fields.random(prng));
  size_t left = prng.below(block()->count);
  const char* at = block()->first();
  for (; left > 0; --left) at = read_pair(at).end;
  return view_of(read_pair(at));
}

size_t Hash::memory_bytes(size_t sample_max) const {
  if (bits_ == 0) return 0;
  if (!is_table()) return block_good_size(block()->allocated());
  return block_good_size(sizeof(Table)) + table()->fields.memory_bytes(sample_max) +
         table()->expiries.memory_bytes();
}

bool Hash::destroy_some(size_t& budget) {
  if (bits_ == 0) return true;
  if (!is_table()) {
    free_block();
    budget -= std::min<size_t>(budget, 1);
    return true;
  }
  if (!table()->fields.destroy_some(budget)) return false;
  free_table();
  return true;
}

void Hash::destroy() {
  size_t everything = SIZE_MAX;
  CHECK(destroy_some(everything));
}

void Hash::clone_into(Hash& copy) const {
  DCHECK(copy.empty());
  if (bits_ == 0) return;
  if (!is_table()) {
    copy.resize_block(block()->used);
    const uint16_t capacity = copy.block()->capacity;
    std::memcpy(copy.block(), block(), sizeof(Block) + block()->used);
    copy.block()->capacity = capacity;
    return;
  }
  copy.become_table(table()->fields.seed());
  Table* made = copy.table();
  table()->fields.for_each([&](const HashField* field) {
    const HashField::Parts parts = HashField::read(field);
    const bool expires = parts.expiry != kNever;
    HashField* item = HashField::create(
        parts.name, parts.value, expires ? HashField::Space::kForExpiry : HashField::Space::kPlain);
    made->fields.insert(item, made->fields.hash_of(parts.name));
    if (!expires) return;
    item->set_expiry(parts.expiry);
    made->expiries.insert(item);
  });
}

}  // namespace quorate

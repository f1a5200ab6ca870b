// Making and resizing the blocks of entries.
#include "store/entry.h"

#include "util/block.h"
#include "util/memory.h"

namespace quorate {

std::string_view type_name(ValueType type) {
  switch (type) {
    case ValueType::kString:
      return "string";
    case ValueType::kList:
      return "list";
    case ValueType::kSet:
      return "set";
    case ValueType::kSortedSet:
      return "zset";
    case ValueType::kHash:
      return "hash";
    case ValueType::kStream:
      return "stream";
  }
  CHECK(false);
}

Entry* Entry::create(std::string_view key, ValueType type, size_t value_size, int64_t expiry, Room room) {
  const bool wide = key.size() > kNarrowKeyMax || value_size > kNarrowValueMax;
  const bool has_expiry = expiry != kNever;
  size_t size = sizeof(Entry) + (wide ? 16u : 0u) + (has_expiry ? 8u : 0u) + key.size();
  size += type == ValueType::kString ? value_size : 8;
  auto* entry = static_cast<Entry*>(room == Room::kRoomy ? mem_alloc(size) : block_alloc(size));
  entry->flags_ = static_cast<uint8_t>(static_cast<uint8_t>(type) | (has_expiry ? kHasExpiry : 0) |
                                       (wide ? kWide : 0) |
                                       (room == Room::kRoomy ? kRoomy : 0));
  entry->access_[0] = entry->access_[1] = entry->access_[2] = 0;
  if (wide) {
    entry->lengths_ = 0;
    entry->store<uint64_t>(8, key.size());
    entry->store<uint64_t>(16, value_size);
  } else {
    entry->lengths_ = static_cast<uint32_t>(key.size() | (value_size << 8));
  }
  if (has_expiry) entry->set_expiry(expiry);
  if (!key.empty()) std::memcpy(entry->bytes() + entry->key_offset(), key.data(), key.size());
  return entry;
}

Entry* Entry::create_string(std::string_view key, std::string_view value, int64_t expiry) {
  Entry* entry = create(key, ValueType::kString, value.size(), expiry);
  if (!value.empty()) std::memcpy(entry->string_data(), value.data(), value.size());
  return entry;
}

Entry* Entry::create_object(std::string_view key, ValueType type, int64_t expiry) {
  CHECK(type != ValueType::kString);
  Entry* entry = create(key, type, 0, expiry);
  std::memset(entry->object(), 0, 8);
  return entry;
}

Entry* Entry::create_string_with_room(std::string_view key, std::string_view value, int64_t expiry,
                                      size_t size, size_t room) {
  CHECK(size <= room);
  CHECK(value.size() <= room);
  Entry* entry =
      create(key, ValueType::kString, room, expiry, room == size ? Room::kExact : Room::kRoomy);
  const size_t kept = value.size() < size ? value.size() : size;
  if (kept != 0) std::memcpy(entry->string_data(), value.data(), kept);
  entry->set_string_size(size);
  return entry;
}

Entry* Entry::rebuild_with_expiry(const Entry* entry, int64_t expiry) {
  Entry* copy =
      create(entry->key(), entry->type(), entry->is_string() ? entry->string_size() : 0, expiry);
  copy->copy_state(entry);
  return copy;
}

Entry* Entry::rebuild_with_key(const Entry* entry, std::string_view key) {
  Entry* copy =
      create(key, entry->type(), entry->is_string() ? entry->string_size() : 0, entry->expiry());
  copy->copy_state(entry);
  return copy;
}

// Value, access stamp and marks; key and expiry are the copy's own.
void Entry::copy_state(const Entry* from) {
  std::memcpy(access_, from->access_, sizeof access_);
  set_snapshot_mark(from->snapshot_mark());
  set_edited(from->edited());
  if (is_string()) {
    if (from->string_size() != 0)
      std::memcpy(string_data(), from->string().data(), from->string_size());
  } else {
    std::memcpy(object(), from->object(), 8);
  }
}

void Entry::free_block(Entry* entry) {
  if ((entry->flags_ & kRoomy) != 0) {
    mem_free(entry);
  } else {
    block_free(entry, entry->exact_size(entry->is_string() ? entry->string_size() : 0));
  }
}

bool Entry::fits_in_place(size_t size) const {
  if ((flags_ & kWide) == 0 && size > kNarrowValueMax) return false;
  if ((flags_ & kRoomy) != 0) return size <= string_size() || exact_size(size) <= mem_usable(this);
  return block_good_size(exact_size(size)) == block_size();
}

void Entry::set_string_size(size_t size) {
  if (flags_ & kWide) {
    store<uint64_t>(16, size);
  } else {
    lengths_ = static_cast<uint32_t>((lengths_ & 0xff) | (size << 8));
  }
}

size_t Entry::block_size() const {
  if ((flags_ & kRoomy) != 0) return mem_usable(this);
  return block_good_size(exact_size(is_string() ? string_size() : 0));
}

}  // namespace quorate

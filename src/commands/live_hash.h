// Hashes as commands see them: a field past its expiry is not there, whether removed already or
// not.
#pragma once

#include <optional>
#include <string_view>

#include "commands/context.h"
#include "store/hash.h"

namespace quorate {

// The time that decides which fields live.  While effects are applied nothing dies by itself.
inline int64_t field_time(const CommandContext& cx) {
  return cx.store.replaying() ? INT64_MIN : cx.now;
}
inline bool is_live(const CommandContext& cx, const Hash::Field& field) {
  return !cx.store.is_past(field.expiry);
}
// True if some field is past its expiry and still there: more of them were due than one step
// removes.
inline bool has_due_fields(const CommandContext& cx, const Hash& hash) {
  return hash.next_expiry() <= field_time(cx);
}

// The hash at a key, or null; removes (some of) its due fields first.
inline Result<const Hash*> read_hash(CommandContext& cx, const Key& key) {
  TRY(const Hash* hash, cx.db.find_as<Hash>(key));
  if (hash == nullptr || !has_due_fields(cx, *hash)) [[likely]]
    return hash;
  cx.db.expire_fields(key);
  const Entry* entry = cx.db.find(key, Access::kPeek);
  return entry == nullptr ? nullptr : static_cast<const Hash*>(entry->object());
}
inline Result<Hash*> write_hash(CommandContext& cx, const Key& key) {
  TRY(Hash * hash, cx.db.update<Hash>(key));
  if (hash == nullptr || !has_due_fields(cx, *hash)) [[likely]]
    return hash;
  cx.db.expire_fields(key);
  return cx.db.update<Hash>(key);
}

// A field that lives.
inline std::optional<Hash::Field> live_field(const CommandContext& cx, const Hash& hash,
                                             std::string_view name) {
  auto field = hash.find(name);
  if (field && !is_live(cx, *field)) [[unlikely]]
    field.reset();
  return field;
}

// Removes the field if it is past its expiry, and says so in an effect; the caller, whose command
// acts on an absent field now, must then add its own effect.
inline bool drop_due_field(CommandContext& cx, const Key& key, Hash& hash, std::string_view name) {
  const auto field = hash.find(name);
  if (!field || is_live(cx, *field)) return false;
  hash.remove(name);
  cx.effect(key, {"HDEL", key.bytes, name});
  return true;
}

}  // namespace quorate

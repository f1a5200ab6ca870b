// Lists of watched keys as bytes.
#include "node/watch_message.h"

#include "cluster/wire.h"
#include "node/session.h"
#include "util/varint.h"

namespace quorate {

namespace {

Error corrupt() { return Error(ErrorCode::kCorrupt, "a list of watched keys cannot be read"); }

void append_seen(Buffer& out, const KeySeen& seen) {
  append_varint(out, seen.version.term);
  append_varint(out, seen.version.number);
  out.push_back(seen.was_expired ? 1 : 0);
}

bool take_seen(std::string_view& bytes, KeySeen& seen) {
  uint8_t was_expired = 0;
  const bool is_there = take_varint(bytes, seen.version.term) && take_varint(bytes, seen.version.number) &&
                        take_little<uint8_t>(bytes, was_expired);
  seen.was_expired = was_expired == 1;
  return is_there && was_expired <= 1;
}

}  // namespace

std::string encode_keys(std::span<const std::string_view> keys) {
  Buffer out;
  for (const std::string_view key : keys) append_sized(out, key);
  return std::string(out.view());
}

std::string encode_seen(std::span<const KeySeen> seen) {
  Buffer out;
  for (const KeySeen& each : seen) append_seen(out, each);
  return std::string(out.view());
}

std::string encode_watched(std::span<const WatchedKey> watched) {
  Buffer out;
  for (const WatchedKey& each : watched) {
    CHECK(each.version);
    append_varint(out, static_cast<uint64_t>(each.database));
    append_sized(out, each.key);
    append_seen(out, {.version = *each.version, .was_expired = each.was_expired});
  }
  return std::string(out.view());
}

Result<std::vector<std::string_view>> decode_keys(std::string_view bytes) {
  std::vector<std::string_view> keys;
  while (!bytes.empty()) {
    if (!take_sized(bytes, keys.emplace_back())) return corrupt();
  }
  return keys;
}

Result<std::vector<KeySeen>> decode_seen(std::string_view bytes) {
  std::vector<KeySeen> seen;
  while (!bytes.empty()) {
    if (!take_seen(bytes, seen.emplace_back())) return corrupt();
  }
  return seen;
}

Result<std::vector<WatchedKey>> decode_watched(std::string_view bytes, uint32_t databases) {
  std::vector<WatchedKey> watched;
  while (!bytes.empty()) {
    uint64_t database = 0;
    std::string_view key;
    KeySeen seen;
    const bool is_there = take_varint(bytes, database) && take_sized(bytes, key) && take_seen(bytes, seen);
    if (!is_there || database >= databases) return corrupt();
    watched.push_back({.database = static_cast<int>(database),
                       .key = std::string(key),
                       .was_expired = seen.was_expired,
                       .version = seen.version});
  }
  return watched;
}

}  // namespace quorate

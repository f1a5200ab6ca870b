// What nodes say to each other about watched keys; parts of messages about forwarded commands (forward_message.h):
//
//   keys    = (sized key)*                          which keys a client begins to watch; all of one partition and database
//   seen    = (varint term, varint number, u8 was_expired)*      the leader's answer, one for each of them
//   watched = (varint database, sized key, varint term, varint number, u8 was_expired)*     what goes with an EXEC
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/key_versions.h"
#include "util/result.h"

namespace quorate {

struct WatchedKey;

// What the leader says of a key that is watched.
struct KeySeen {
  KeyVersion version = {};
  bool was_expired = false;   // its time had passed already
};

std::string encode_keys(std::span<const std::string_view> keys);
std::string encode_seen(std::span<const KeySeen> seen);
// Requires: all of them are watched elsewhere.
std::string encode_watched(std::span<const WatchedKey> watched);
// Any bytes are allowed, kCorrupt: not such a list.  Views into them.
Result<std::vector<std::string_view>> decode_keys(std::string_view bytes);
Result<std::vector<KeySeen>> decode_seen(std::string_view bytes);
Result<std::vector<WatchedKey>> decode_watched(std::string_view bytes, uint32_t databases);

}  // namespace quorate

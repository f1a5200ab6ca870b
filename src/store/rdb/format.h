// The numbers of Redis' RDB format: versions, opcodes, value types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace quorate::rdb {

// Versions 1 to 12 are Redis'; from 80 on they are Valkey's, which use some type numbers otherwise.
constexpr int kRedisVersionMax = 12;
constexpr int kValkeyVersion = 80;
constexpr bool is_readable_version(int version) {
  return (version >= 1 && version <= kRedisVersionMax) || version == kValkeyVersion;
}

enum Type : uint8_t {
  kString = 0,
  kList = 1,
  kSet = 2,
  kSortedSetText = 3,
  kHash = 4,
  kSortedSet = 5,
  kModuleOld = 6,
  kModule = 7,
  kHashZipmap = 9,
  kListZiplist = 10,
  kSetIntset = 11,
  kSortedSetZiplist = 12,
  kHashZiplist = 13,
  kListQuicklist = 14,
  kStreamOne = 15,
  kHashListpack = 16,
  kSortedSetListpack = 17,
  kListQuicklist2 = 18,
  kStreamTwo = 19,
  kSetListpack = 20,
  kStreamThree = 21,
  // Redis 7.4 (version 12): fields with expiry.  The first two are of its release candidates.
  kHashExpiryOld = 22,
  kHashListpackExpiryOld = 23,
  kHashExpiry = 24,
  kHashListpackExpiry = 25,
  // Valkey 9 (version 80): the same number with another meaning.
  kHashValkey = 22,
};
constexpr int kHashExpiryVersion = 12;   // the least version of a payload that holds kHashExpiry
constexpr int kSetListpackVersion = 11;  // ... kSetListpack

enum Opcode : uint8_t {
  kSlotImport = 243,
  kSlotInfo = 244,
  kFunction = 245,
  kFunctionOld = 246,
  kModuleAux = 247,
  kIdle = 248,
  kFrequency = 249,
  kAux = 250,
  kResizeDatabase = 251,
  kExpiryMs = 252,
  kExpirySeconds = 253,
  kSelectDatabase = 254,
  kEnd = 255,
};

// The two top bits of a length's first byte, or the whole byte.
enum Length : uint8_t { k6Bit = 0, k14Bit = 1, k32Bit = 0x80, k64Bit = 0x81, kEncoded = 3 };
// What stands in the lower six bits of an encoded string.
enum StringEncoding : uint8_t { kInt8 = 0, kInt16 = 1, kInt32 = 2, kLzf = 3 };

// Containers of a quicklist node.
constexpr uint64_t kNodePlain = 1;
constexpr uint64_t kNodePacked = 2;

}  // namespace quorate::rdb

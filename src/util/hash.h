// Hash functions: XXH3 for tables and checksums (xxHash library), CRC16 for slots, CRC64 for RDB.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace quorate {

// XXH3, 64 bits, with a seed (a random one a process guards tables against chosen keys).
uint64_t hash64(std::string_view bytes, uint64_t seed);
// The same of the parts, one behind the other.
uint64_t hash64(std::span<const std::string_view> parts, uint64_t seed);

// The same, 128 bits.  A sum adds each half by itself: of things whose order does not matter.
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;

  Hash128& operator+=(const Hash128& other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  friend bool operator==(const Hash128&, const Hash128&) = default;
};
Hash128 hash128(std::string_view bytes, uint64_t seed);

// CRC16-XMODEM of `bytes` (Redis cluster specification, appendix A).
uint16_t crc16(std::string_view bytes);

constexpr uint16_t kSlotCount = 16384;
// The cluster slot of a key: CRC16 of the part between the first { and the next } if that is not empty,
// else of the whole key, modulo 16384 (Redis cluster specification, "hash tags").
uint16_t key_slot(std::string_view key);

// CRC64-Jones as Redis uses it at the end of RDB files and DUMP payloads; start with crc = 0.
uint64_t crc64(uint64_t crc, std::string_view bytes);

}  // namespace quorate

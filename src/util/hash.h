// Hash functions: XXH3 for tables and checksums (xxHash library), CRC16 for slots, CRC64 for RDB.
#pragma once

#include <cstdint>
#include <string_view>

namespace quorate {

// XXH3, 64 bits, with a seed (a random one a process guards tables against chosen keys).
uint64_t hash64(std::string_view bytes, uint64_t seed);

// CRC16-XMODEM of `bytes` (Redis cluster specification, appendix A).
uint16_t crc16(std::string_view bytes);

constexpr uint16_t kSlotCount = 16384;
// The cluster slot of a key: CRC16 of the part between the first { and the next } if that is not empty,
// else of the whole key, modulo 16384 (Redis cluster specification, "hash tags").
uint16_t key_slot(std::string_view key);

// CRC64-Jones as Redis uses it at the end of RDB files and DUMP payloads; start with crc = 0.
uint64_t crc64(uint64_t crc, std::string_view bytes);

}  // namespace quorate

// Tables and loops of the hash functions.
#include "util/hash.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace quorate {

namespace {

constexpr std::array<std::array<uint16_t, 256>, 4> make_crc16_tables() {
  std::array<std::array<uint16_t, 256>, 4> tables{};
  for (size_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = static_cast<uint32_t>(byte) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
    tables[0][byte] = static_cast<uint16_t>(crc);
  }
  for (size_t depth = 1; depth < 4; ++depth) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint16_t before = tables[depth - 1][byte];
      tables[depth][byte] = static_cast<uint16_t>((before << 8) ^ tables[0][before >> 8]);
    }
  }
  return tables;
}
constexpr auto kCrc16 = make_crc16_tables();

// Reflected polynomial of CRC64-Jones (0xad93d23594c935a9).
constexpr uint64_t kCrc64Polynomial = 0x95ac9329ac4bc9b5;

constexpr std::array<std::array<uint64_t, 256>, 8> make_crc64_tables() {
  std::array<std::array<uint64_t, 256>, 8> tables{};
  for (size_t byte = 0; byte < 256; ++byte) {
    uint64_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? (crc >> 1) ^ kCrc64Polynomial : crc >> 1;
    tables[0][byte] = crc;
  }
  for (size_t depth = 1; depth < 8; ++depth) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint64_t before = tables[depth - 1][byte];
      tables[depth][byte] = tables[0][before & 0xff] ^ (before >> 8);
    }
  }
  return tables;
}
constexpr auto kCrc64 = make_crc64_tables();

}  // namespace

uint64_t hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint16_t crc16(std::string_view bytes) {
  uint32_t crc = 0;
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  size_t left = bytes.size();
  // Four bytes a step: the four look-ups do not depend on each other.
  for (; left >= 4; left -= 4, at += 4) {
    crc = kCrc16[3][at[0] ^ (crc >> 8)] ^ kCrc16[2][at[1] ^ (crc & 0xff)] ^ kCrc16[1][at[2]] ^
          kCrc16[0][at[3]];
  }
  for (; left > 0; --left, ++at) crc = ((crc << 8) & 0xffff) ^ kCrc16[0][(crc >> 8) ^ *at];
  return static_cast<uint16_t>(crc);
}

uint16_t key_slot(std::string_view key) {
  const size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  return crc16(key) & (kSlotCount - 1);
}

uint64_t crc64(uint64_t crc, std::string_view bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  size_t left = bytes.size();
  if constexpr (std::endian::native == std::endian::little) {
    for (; left >= 8; left -= 8, at += 8) {
      uint64_t word;
      std::memcpy(&word, at, sizeof word);
      word ^= crc;
      crc = 0;
      for (size_t byte = 0; byte < 8; ++byte) crc ^= kCrc64[7 - byte][(word >> (8 * byte)) & 0xff];
    }
  }
  for (; left > 0; --left, ++at) crc = kCrc64[0][(crc ^ *at) & 0xff] ^ (crc >> 8);
  return crc;
}

}  // namespace quorate

// Tables and loops of the hash functions.
#include "util/hash.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

uint64_t crc64_by_table(uint64_t crc, const unsigned char* at, size_t left) {
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

#if defined(__x86_64__)
// x^exponent modulo the polynomial; the bits reversed, as everything of this checksum.
constexpr uint64_t crc64_power(size_t exponent) {
  uint64_t power = uint64_t{1} << 63;
  for (; exponent > 0; --exponent) power = (power & 1) ? (power >> 1) ^ kCrc64Polynomial : power >> 1;
  return power;
}

// Moves 16 bytes of message `bits` bits further on: the sum stays the same if they are added to the bytes that stand
// there.  Multiplying reversed numbers shifts by one, hence the exponents.
template <size_t bits>
__attribute__((target("pclmul"))) inline __m128i fold(__m128i block, __m128i onto) {
  const __m128i powers = _mm_set_epi64x(static_cast<int64_t>(crc64_power(bits - 1)),
                                        static_cast<int64_t>(crc64_power(bits + 63)));
  const __m128i low = _mm_clmulepi64_si128(block, powers, 0x00);
  const __m128i high = _mm_clmulepi64_si128(block, powers, 0x11);
  return _mm_xor_si128(onto, _mm_xor_si128(low, high));
}

// Carry-less multiplication folds the message into its last 64 bytes (Gopal et al., 2009); the table does the rest.
constexpr size_t kFoldFrom = 128;
__attribute__((target("pclmul"))) uint64_t crc64_by_folding(uint64_t crc, const unsigned char* at,
                                                            size_t left) {
  constexpr size_t kLanes = 4;
  const auto load = [](const unsigned char* from) __attribute__((target("pclmul"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  };
  __m128i lanes[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = load(at + 16 * lane);
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi64_si128(static_cast<int64_t>(crc)));
  at += 64;
  left -= 64;
  for (; left >= 64; left -= 64, at += 64) {
    for (size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = fold<512>(lanes[lane], load(at + 16 * lane));
  }
  for (size_t lane = 1; lane < kLanes; ++lane) lanes[lane] = fold<128>(lanes[lane - 1], lanes[lane]);
  unsigned char folded[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(folded), lanes[kLanes - 1]);
  return crc64_by_table(crc64_by_table(0, folded, sizeof folded), at, left);
}
#endif

}  // namespace

uint64_t hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint64_t hash64(std::span<const std::string_view> parts, uint64_t seed) {
  if (parts.size() == 1) return hash64(parts.front(), seed);
  XXH3_state_t state{};
  XXH3_64bits_reset_withSeed(&state, seed);
  for (const std::string_view part : parts) XXH3_64bits_update(&state, part.data(), part.size());
  return XXH3_64bits_digest(&state);
}

Hash128 hash128(std::string_view bytes, uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {.low = hash.low64, .high = hash.high64};
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
#if defined(__x86_64__)
  if (bytes.size() >= kFoldFrom && __builtin_cpu_supports("pclmul")) return crc64_by_folding(crc, at, bytes.size());
#endif
  return crc64_by_table(crc, at, bytes.size());
}

}  // namespace quorate

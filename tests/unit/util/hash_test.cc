// Checksums: what RDB files hold, however long the run that is summed at once.
#include "util/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "util/prng.h"

namespace quorate {
namespace {

std::string random_bytes(Prng& prng, size_t size) {
  std::string bytes(size, 0);
  for (char& byte : bytes) byte = static_cast<char>(prng.next());
  return bytes;
}

TEST(Crc64, is_redis_own) { EXPECT_EQ(crc64(0, "123456789"), 0xe9c6d914c4b8d9cau); }

TEST(Crc64, of_a_long_run_is_that_of_its_pieces) {
  const uint64_t seed = 20261121;
  Prng prng(seed);
  for (size_t size : {127, 128, 129, 143, 144, 191, 192, 255, 256, 1000, 4096, 100'003}) {
    const std::string bytes = random_bytes(prng, size);
    uint64_t crc = prng.next();
    const uint64_t whole = crc64(crc, bytes);
    // Short pieces take the road without wide multiplication.
    for (size_t at = 0; at < size; at += 7) crc = crc64(crc, std::string_view(bytes).substr(at, 7));
    EXPECT_EQ(whole, crc) << size << " bytes, seed " << seed;
  }
}

TEST(Hash, parts_have_the_hash_of_the_whole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text.push_back(static_cast<char>(i * 31));
  for (const size_t size : {0u, 1u, 16u, 200u, 241u, 1024u, 5000u}) {
    const std::string_view whole = std::string_view(text).substr(0, size);
    for (const size_t cut : {0u, 1u, 100u, 1025u}) {
      const std::string_view parts[] = {whole.substr(0, std::min(cut, size)), whole.substr(std::min(cut, size))};
      EXPECT_EQ(hash64(std::span(parts), 7), hash64(whole, 7)) << size << " cut at " << cut;
      EXPECT_EQ(hash64(std::span(&whole, 1), 7), hash64(whole, 7));
    }
  }
}

}  // namespace
}  // namespace quorate

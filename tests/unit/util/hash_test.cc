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

}  // namespace
}  // namespace quorate

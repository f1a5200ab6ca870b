// Calls of libcrypto.
#include "util/mac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

const unsigned char* unsigned_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* unsigned_of(Bytes32& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

}  // namespace

Bytes32 hmac_sha256(const Bytes32& key, std::string_view bytes) {
  Bytes32 sum;
  unsigned size = 0;
  // Fails for want of memory only, or with a libcrypto that has no SHA-256.
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), unsigned_of(bytes),
             bytes.size(), unsigned_of(sum), &size) != nullptr);
  CHECK(size == sum.size());
  return sum;
}

Bytes32 key_of_password(std::string_view password, std::string_view salt, uint32_t rounds) {
  CHECK(password.size() <= INT32_MAX);
  CHECK(salt.size() <= INT32_MAX);
  CHECK(rounds >= 1);
  CHECK(rounds <= INT32_MAX);
  Bytes32 key;
  CHECK(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), unsigned_of(salt),
                          static_cast<int>(salt.size()), static_cast<int>(rounds), EVP_sha256(),
                          static_cast<int>(key.size()), unsigned_of(key)) == 1);
  return key;
}

bool is_same_secret(std::string_view left, std::string_view right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

Bytes32 NonceSource::next() {
  char count[sizeof(uint64_t)];
  store_little<uint64_t>(count, count_++);
  return hmac_sha256(key_, {count, sizeof count});
}

}  // namespace quorate

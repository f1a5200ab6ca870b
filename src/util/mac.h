// Proofs that somebody knows a secret: keyed sums (HMAC-SHA256) and keys made of passwords
// (PBKDF2).  OpenSSL's libcrypto does the work. Not for checksums (util/hash.h): these are slow,
// and nobody can make one without the key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace quorate {

using Bytes32 = std::array<char, 32>;
inline std::string_view view_of(const Bytes32& bytes) { return {bytes.data(), bytes.size()}; }

// RFC 2104 with SHA-256.
Bytes32 hmac_sha256(const Bytes32& key, std::string_view bytes);

// RFC 8018, PBKDF2 with HMAC-SHA256: a guess at the password costs so many rounds.  Requires: 1 <=
// rounds, sizes <= INT32_MAX.
Bytes32 key_of_password(std::string_view password, std::string_view salt, uint32_t rounds);

// Takes equally long wherever they differ.
bool is_same_secret(std::string_view left, std::string_view right);

// Bytes that nobody can foresee who does not know the key, never the same twice: of the key and a
// count.  The key must be drawn anew by each process, from the best there is.
class NonceSource {
 public:
  explicit NonceSource(const Bytes32& key) : key_(key) {}
  Bytes32 next();

 private:
  const Bytes32 key_;
  uint64_t count_ = 0;
};

}  // namespace quorate

// Keyed sums against the examples of others (RFC 4231, RFC 7914 and its kin), and nonces.
#include "util/mac.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/unit/hex.h"

namespace quorate {
namespace {

TEST(Mac, the_first_example_of_rfc_4231) {
  Bytes32 key{};  // a shorter key is one that ends with zeros
  std::fill_n(key.begin(), 20, '\x0b');
  EXPECT_EQ(hex(view_of(hmac_sha256(key, "Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_NE(hmac_sha256(key, "Hi there"), hmac_sha256(key, "Hi There"));
  EXPECT_NE(hmac_sha256(key, ""), hmac_sha256({}, ""));
}

TEST(Mac, a_key_of_a_password_takes_as_many_rounds_as_are_asked_for) {
  EXPECT_EQ(hex(view_of(key_of_password("password", "salt", 1))),
            "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b");
  EXPECT_EQ(hex(view_of(key_of_password("password", "salt", 4096))),
            "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a");
  EXPECT_NE(key_of_password("", "salt", 1), key_of_password(std::string(1, '\1'), "salt", 1));
}

TEST(Mac, secrets_are_the_same_if_all_of_them_is) {
  EXPECT_TRUE(is_same_secret("", ""));
  EXPECT_TRUE(is_same_secret("abc", "abc"));
  EXPECT_FALSE(is_same_secret("abc", "abd"));
  EXPECT_FALSE(is_same_secret("abc", "ab"));
  EXPECT_FALSE(is_same_secret("", "a"));
}

TEST(Mac, nonces_do_not_come_again) {
  Bytes32 key{};
  NonceSource one(key);
  NonceSource same(key);
  key[31] = 1;
  NonceSource other(key);
  std::set<Bytes32> seen;
  for (int index = 0; index < 1000; ++index) {
    const Bytes32 drawn = one.next();
    EXPECT_EQ(drawn, same.next());
    EXPECT_TRUE(seen.insert(drawn).second);
    EXPECT_TRUE(seen.insert(other.next()).second);
  }
}

}  // namespace
}  // namespace quorate

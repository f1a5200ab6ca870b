// Fingerprints of values and of whole data sets, for comparing in tests (DEBUG DIGEST).
// They do not depend on encodings, insertion order where a type has none, or the node.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "store/db.h"

namespace quorate {

class Digest {
 public:
  // Adds something whose place does not matter.
  void mix(const Digest& other) {
    for (size_t index = 0; index < words_.size(); ++index) words_[index] ^= other.words_[index];
  }
  // Adds bytes behind what was added before.
  void append(std::string_view bytes);
  std::string hex() const;  // 40 digits

 private:
  std::array<uint64_t, 3> words_{};
};

// Of type, elements and expiry; not of the key.
Digest digest_of_value(const Entry& entry, const StoreSettings& settings);
// Of all databases; zero if there is no key.
Digest digest_of_store(Store& store);

}  // namespace quorate

// Turns the bytes of a fuzzer's input into choices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "util/hash.h"
#include "util/prng.h"

namespace quorate {

// The input's bytes come first, then drawn ones, seeded by the input: structures show their borders only
// after many steps, and a mutator without guidance makes short inputs.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size)
      : data_(data),
        left_(size),
        prng_(hash64({reinterpret_cast<const char*>(data), size}, 0)),
        drawn_left_(prng_.below(64) * prng_.below(64)) {}

  // When nothing is left every choice is 0.
  bool left() const { return left_ > 0 || drawn_left_ > 0; }
  uint8_t byte() {
    if (left_ > 0) {
      --left_;
      return *data_++;
    }
    if (drawn_left_ == 0) return 0;
    --drawn_left_;
    return static_cast<uint8_t>(prng_.next() >> 56);
  }
  // In [0, bound).  Requires: bound > 0.
  size_t below(size_t bound) {
    size_t value = byte();
    for (size_t reach = 256; reach < bound; reach *= 256) value = value * 256 + byte();
    return value % bound;
  }

 private:
  const uint8_t* data_;
  size_t left_;
  Prng prng_;
  uint64_t drawn_left_;
};

}  // namespace quorate

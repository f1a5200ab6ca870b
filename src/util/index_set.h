// A set of small numbers that is walked upwards, also while numbers are added and taken out.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "util/check.h"

namespace quorate {

// Of numbers below `size`.
class IndexSet {
 public:
  explicit IndexSet(size_t size) : size_(size), words_((size + kBits - 1) / kBits) {}

  void insert(size_t index) {
    CHECK(index < size_);
    words_[index / kBits] |= uint64_t{1} << index % kBits;
  }
  void erase(size_t index) {
    CHECK(index < size_);
    words_[index / kBits] &= ~(uint64_t{1} << index % kBits);
  }
  void insert_all() {
    for (size_t index = 0; index < size_; ++index) insert(index);
  }
  bool contains(size_t index) const { return next(index) == index && index < size_; }
  // The least one that is at least `from`; the size if there is none.
  size_t next(size_t from) const {
    if (from >= size_) return size_;
    size_t word = from / kBits;
    uint64_t left = words_[word] & (~uint64_t{0} << from % kBits);
    while (left == 0) {
      if (++word == words_.size()) return size_;
      left = words_[word];
    }
    return word * kBits + static_cast<size_t>(std::countr_zero(left));
  }

 private:
  static constexpr size_t kBits = 64;

  size_t size_;
  std::vector<uint64_t> words_;
};

}  // namespace quorate

// A value of many elements, encoded little by little: for snapshots that are written while commands go on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "store/codec.h"
#include "store/entry.h"
#include "store/list.h"
#include "store/settings.h"
#include "util/buffer.h"

namespace quorate {

// Calls: begin, give until it is false; any number of values one behind the other.  The pieces together are an RDB value like
// any other: of a list the old type, since the newer ones say in front how many nodes follow.  Elements are compressed
// each by itself, as in tables that are written at once, and only those of kCompressFrom bytes or more.
// Requires: from begin() to the last give() the value is not changed, and its entry stays where it is.
class ValuePieces {
 public:
  // False for values that are better written at once: those of few elements, and those of other types than lists in one
  // block.
  static bool suit(const Entry& entry, const StoreSettings& settings, const EncodeOptions& options);

  // Appends the type byte and what stands before the elements.  Requires: suit().
  void begin(const Entry& entry, const EncodeOptions& options, Buffer& out);
  // Appends about `elements` more (in hash tables a bucket's elements stay together), fewer if they are compressed; true
  // while more are left.
  bool give(size_t elements, Buffer& out);
  bool is_complete() const { return left_ == 0; }

 private:
  // Trying it on shorter ones takes most of the time, and gains little.
  static constexpr size_t kCompressFrom = 256;
  // What compressing one costs, in elements that are not.
  static constexpr size_t kCompressionCost = 4;

  void begin_hash(Buffer& out);
  void write(std::string_view element, Buffer& out) const;
  void give_set(size_t elements, Buffer& out);
  void give_hash(size_t elements, Buffer& out);
  void give_sorted_set(size_t elements, Buffer& out);
  void give_list(size_t elements, Buffer& out);

  const Entry* entry_ = nullptr;
  EncodeOptions options_;
  size_t left_ = 0;
  size_t given_ = 0;
  uint64_t cursor_ = 0;            // of sets and hashes
  List::Walk list_walk_;
  int64_t first_expiry_ = kNever;  // of a hash whose fields expire
};

}  // namespace quorate

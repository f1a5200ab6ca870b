// Bytes on their way out, of which large parts are shared with others and not copied.  Not for bytes that are kept.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "util/buffer.h"
#include "util/check.h"
#include "util/shared_bytes.h"

namespace quorate {

// Moves are cheap; what was moved from is empty.
class Outgoing {
 public:
  // To copy less than that costs less than to send it by itself.
  static constexpr size_t kSharedMin = size_t{64} << 10;

  // What is appended here stands behind all that was added before.
  Buffer& copied() { return copied_; }
  const Buffer& copied() const { return copied_; }
  void add_shared(SharedBytes bytes) { shared_.push_back({copied_.size(), std::move(bytes)}); }

  size_t size() const {
    size_t size = copied_.size();
    for (const SharedPart& part : shared_) size += part.bytes.size();
    return size;
  }
  bool empty() const { return size() == 0; }
  bool has_shared() const { return !shared_.empty(); }
  // Requires: !has_shared().
  std::string_view view() const {
    CHECK(!has_shared());
    return copied_.view();
  }
  // All bytes from `offset` on, in order.  Requires: offset <= size().
  std::vector<std::string_view> pieces(size_t offset = 0) const;
  void append_to(Buffer& out) const {
    for (const std::string_view piece : pieces()) out.append(piece);
  }
  // What stands in front of the first shared part, and all if there is none.  Nothing is left.
  Buffer take_front();
  void clear() {
    copied_.clear();
    shared_.clear();
  }

 private:
  Buffer copied_;
  std::vector<SharedPart> shared_;   // places do not decrease
};

}  // namespace quorate

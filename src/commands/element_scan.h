// What SCAN, SSCAN, ZSCAN and HSCAN share: the cursor, the options behind it, and the head of the reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "commands/context.h"
#include "util/result.h"

namespace quorate {

// What one call of SCAN, SSCAN, ZSCAN or HSCAN looks at, however large a COUNT it asks for: about a millisecond.  COUNT
// is a hint, and the cursor says that there is more.
constexpr size_t kScanCountMax = 2048;

struct ElementScan {
  uint64_t cursor = 0;
  size_t count = 10;
  std::string_view pattern{};
  bool has_pattern = false;

  bool matches(std::string_view element) const;
};

// A cursor as C's strtoul reads it: signs and leading zeros are taken, and nothing at all is zero.
Result<uint64_t> parse_scan_cursor(std::string_view text);
// MATCH and COUNT from args[3] on.
Result<ElementScan> parse_element_scan(const CommandContext& cx, uint64_t cursor);
// The reply's first half: an array of two and the next cursor.  An array of elements must follow.
void reply_scan_cursor(Reply& reply, uint64_t next);

}  // namespace quorate

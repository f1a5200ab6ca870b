// Options and reply of the commands that scan one container.
#include "commands/element_scan.h"

#include <algorithm>

#include "util/glob.h"
#include "util/number.h"

namespace quorate {

bool ElementScan::matches(std::string_view element) const {
  return !has_pattern || glob_match(pattern, element);
}

Result<uint64_t> parse_scan_cursor(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  const bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.empty()) return ErrorCode::kInvalidCursor;
  }
  uint64_t cursor = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return ErrorCode::kInvalidCursor;
    if (__builtin_mul_overflow(cursor, uint64_t{10}, &cursor) ||
        __builtin_add_overflow(cursor, static_cast<uint64_t>(digit - '0'), &cursor)) {
      return ErrorCode::kInvalidCursor;
    }
  }
  return is_negative ? 0 - cursor : cursor;
}

Result<ElementScan> parse_element_scan(const CommandContext& cx, uint64_t cursor) {
  ElementScan scan;
  scan.cursor = cursor;
  for (size_t at = 3; at < cx.size(); at += 2) {
    if (at + 1 == cx.size()) return ErrorCode::kSyntax;
    if (same_word(cx[at], "COUNT")) {
      TRY(const int64_t count, cx.integer(at + 1));
      if (count < 1) return ErrorCode::kSyntax;
      scan.count = std::min(static_cast<size_t>(count), kScanCountMax);
    } else if (same_word(cx[at], "MATCH")) {
      scan.pattern = cx[at + 1];
      scan.has_pattern = scan.pattern != "*";
    } else {
      return ErrorCode::kSyntax;
    }
  }
  return scan;
}

void reply_scan_cursor(Reply& reply, uint64_t next) {
  char digits[kIntTextMax];
  reply.array(2);
  reply.bulk(std::string_view(digits, format_unsigned(digits, next)));
}

}  // namespace quorate

// Reading of expiry arguments: relative or absolute, seconds or milliseconds, as SET, GETEX, EXPIRE
// and RESTORE take them.
#pragma once

#include <cstdint>
#include <string_view>

#include "util/result.h"

namespace quorate {

enum class TimeUnit : uint8_t { kSeconds, kMilliseconds };
enum class TimeBase : uint8_t { kRelative, kAbsolute };

// Unix milliseconds of `text`.  For SET-like commands a time <= 0 is refused, for EXPIRE-like ones
// it is allowed. Errors: not an integer; "invalid expire time in '<command>' command" when out of
// range.
enum class PastTime : uint8_t { kRefused, kAllowed };
Result<int64_t> parse_expiry(std::string_view text, TimeUnit unit, TimeBase base, PastTime past,
                             int64_t now, std::string_view command);

// EX, PX, EXAT and PXAT, in any case.  Null: it is none of them.
struct ExpiryWord {
  std::string_view word;
  TimeUnit unit;
  TimeBase base;
};
const ExpiryWord* find_expiry_word(std::string_view text);

}  // namespace quorate

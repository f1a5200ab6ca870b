// Overflow-safe arithmetic of expiry times.
#include "commands/expiry.h"

#include "commands/context.h"
#include "commands/errors.h"
#include "util/number.h"

namespace quorate {

Result<int64_t> parse_expiry(std::string_view text, TimeUnit unit, TimeBase base, PastTime past,
                             int64_t now, std::string_view command) {
  const auto parsed = parse_int(text);
  if (!parsed) return ErrorCode::kNotInteger;
  int64_t value = *parsed;
  if (past == PastTime::kRefused && value <= 0) return errors::invalid_expire(command);
  if (unit == TimeUnit::kSeconds) {
    if (value > INT64_MAX / 1000 || value < INT64_MIN / 1000)
      return errors::invalid_expire(command);
    value *= 1000;
  }
  if (base == TimeBase::kRelative) {
    if (value > INT64_MAX - now) return errors::invalid_expire(command);
    value += now;
  }
  // INT64_MAX itself means "never" inside; nobody can tell the difference of one millisecond there.
  return value == INT64_MAX ? value - 1 : value;
}

const ExpiryWord* find_expiry_word(std::string_view text) {
  static constexpr ExpiryWord kWords[] = {
      {"EX", TimeUnit::kSeconds, TimeBase::kRelative},
      {"PX", TimeUnit::kMilliseconds, TimeBase::kRelative},
      {"EXAT", TimeUnit::kSeconds, TimeBase::kAbsolute},
      {"PXAT", TimeUnit::kMilliseconds, TimeBase::kAbsolute},
  };
  for (const ExpiryWord& each : kWords) {
    if (same_word(text, each.word)) return &each;
  }
  return nullptr;
}

}  // namespace quorate

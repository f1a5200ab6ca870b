// The time-out of blocking commands.
#include "commands/blocking.h"

#include <cmath>

#include "commands/context.h"
#include "commands/errors.h"
#include "util/number.h"

namespace quorate {

Result<int64_t> parse_timeout(const CommandContext& cx, size_t index) {
  const auto seconds = parse_long_double(cx[index]);
  if (!seconds) return errors::timeout_not_float();
  const long double milliseconds = *seconds * 1000;
  if (milliseconds > static_cast<long double>(INT64_MAX)) return errors::timeout_out_of_range();
  if (milliseconds < 0) return errors::timeout_negative();
  // A fraction of a millisecond waits for a whole one: rounded down it would mean "for ever".
  const auto rounded = static_cast<int64_t>(std::ceil(milliseconds));
  if (rounded > INT64_MAX - cx.now) return errors::timeout_out_of_range();
  return rounded;
}

}  // namespace quorate

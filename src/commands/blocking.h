// What the blocking commands share: reading their time-out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "util/result.h"

namespace quorate {

struct CommandContext;

// The time-out at argument `index`, seconds as a decimal number, as milliseconds; 0 = for ever.
Result<int64_t> parse_timeout(const CommandContext& cx, size_t index);

}  // namespace quorate

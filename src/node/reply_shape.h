// Checks what a handler wrote: exactly one value.  Debug builds do it for every command.
#pragma once

#include <string_view>

namespace quorate {

// True if `bytes` are one whole RESP value (RESP2 or RESP3) and nothing else.
bool is_one_value(std::string_view bytes);

}  // namespace quorate

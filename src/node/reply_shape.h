// Where encoded replies begin and end.  Debug builds check for every command that it wrote exactly one value.
#pragma once

#include <cstddef>
#include <string_view>

namespace quorate {

// The size of the RESP value (RESP2 or RESP3) that `bytes` begin with; 0: none, or it is not whole.
size_t value_size(std::string_view bytes);
// True if `bytes` are one whole RESP value (RESP2 or RESP3) and nothing else.
bool is_one_value(std::string_view bytes);

}  // namespace quorate

// Numbers as C's strtod reads a whole text, which is how Redis reads score ranges and SORT's
// weights.
#pragma once

#include <optional>
#include <string_view>

#include "util/number.h"

namespace quorate {

// Space in front is skipped, and nothing at all is zero.
inline std::optional<double> parse_double_leniently(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r'))) {
    text.remove_prefix(1);
  }
  if (text.empty()) return 0;
  return parse_double(text);
}

}  // namespace quorate

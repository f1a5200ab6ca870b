// Numbers as C's strtod reads a whole text, which is how Redis reads score ranges and SORT's
// weights.
#pragma once

#include <optional>
#include <string_view>

#include "util/number.h"

namespace quorate {

// C's texts end at a NUL, so whatever follows one is not looked at.
inline std::string_view until_nul(std::string_view text) { return text.substr(0, text.find('\0')); }

inline std::string_view without_space_in_front(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r'))) {
    text.remove_prefix(1);
  }
  return text;
}

// A weight of SORT: space in front is skipped, and nothing at all is zero.
inline std::optional<double> parse_weight(std::string_view text) {
  text = until_nul(text);
  if (text.empty()) return 0;
  return parse_double(without_space_in_front(text));
}

// The end of a range of scores: the same, and what no double can hold is infinite or zero.
inline std::optional<double> parse_score_bound(std::string_view text) {
  text = until_nul(text);
  if (text.empty()) return 0;
  return parse_double_saturating(without_space_in_front(text));
}

}  // namespace quorate

// The words that clients may give themselves: names of connections and libraries.
#pragma once

#include <string_view>

namespace quorate {

// Printable ASCII without blanks, so that CLIENT LIST stays one line of fields; may be empty.
constexpr bool is_session_word(std::string_view word) {
  for (const char letter : word) {
    if (letter < '!' || letter > '~') return false;
  }
  return true;
}

}  // namespace quorate

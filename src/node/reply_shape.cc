// Walking over an encoded reply.
#include "node/reply_shape.h"

#include <cstdint>

#include "util/number.h"

namespace quorate {

size_t value_size(std::string_view bytes) {
  size_t at = 0;
  uint64_t wanted = 1;
  while (wanted > 0) {
    if (at >= bytes.size()) return 0;
    const char type = bytes[at];
    const size_t line_end = bytes.find("\r\n", at);
    if (line_end == std::string_view::npos) return 0;
    const std::string_view line = bytes.substr(at + 1, line_end - at - 1);
    at = line_end + 2;
    --wanted;
    const int64_t count = parse_int(line).value_or(-2);
    switch (type) {
      case '*':
      case '~':
      case '>':
        if (count > 0) wanted += static_cast<uint64_t>(count);
        break;
      case '%':
        if (count > 0) wanted += 2 * static_cast<uint64_t>(count);
        break;
      case '|':
        if (count >= 0) wanted += 2 * static_cast<uint64_t>(count) + 1;  // an attribute is not the value
        break;
      case '$':
      case '=':
      case '!':
        if (count >= 0) at += static_cast<size_t>(count) + 2;
        break;
      case '+':
      case '-':
      case ':':
      case '_':
      case '#':
      case ',':
      case '(':
        break;
      default:
        return 0;
    }
  }
  return at <= bytes.size() ? at : 0;
}

bool is_one_value(std::string_view bytes) { return !bytes.empty() && value_size(bytes) == bytes.size(); }

std::string_view text_of_bulk(std::string_view value) {
  const size_t begin = value.find("\r\n") + 2;
  return value.substr(begin, value.size() - begin - 2);
}

}  // namespace quorate

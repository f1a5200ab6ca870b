// Walking over an encoded reply.
#include "node/reply_shape.h"

#include <cstdint>

#include "util/number.h"

namespace quorate {

namespace {

// The number that the line at `at` is, and moves `at` behind the line.  What is none counts as -2; false: the line is not whole.
bool take_number(std::string_view bytes, size_t& at, int64_t& number) {
  // Nearly always few digits.
  constexpr size_t kDigitsMax = 9;
  size_t end = at;
  int64_t sum = 0;
  while (end < bytes.size() && end - at < kDigitsMax && bytes[end] >= '0' && bytes[end] <= '9') sum = 10 * sum + (bytes[end++] - '0');
  const bool is_plain = end - at == 1 || (end > at && bytes[at] != '0');
  if (is_plain && end + 1 < bytes.size() && bytes[end] == '\r' && bytes[end + 1] == '\n') [[likely]] {
    at = end + 2;
    number = sum;
    return true;
  }
  const size_t line_end = bytes.find("\r\n", at);
  if (line_end == std::string_view::npos) return false;
  number = parse_int(bytes.substr(at, line_end - at)).value_or(-2);
  at = line_end + 2;
  return true;
}

bool pass_line(std::string_view bytes, size_t& at) {
  const size_t line_end = bytes.find("\r\n", at);
  at = line_end + 2;
  return line_end != std::string_view::npos;
}

}  // namespace

size_t value_size(std::string_view bytes) {
  size_t at = 0;
  uint64_t wanted = 1;
  while (wanted > 0) {
    if (at >= bytes.size()) return 0;
    const char type = bytes[at++];
    --wanted;
    int64_t count = 0;
    switch (type) {
      case '*':
      case '~':
      case '>':
        if (!take_number(bytes, at, count)) return 0;
        if (count > 0) wanted += static_cast<uint64_t>(count);
        break;
      case '%':
        if (!take_number(bytes, at, count)) return 0;
        if (count > 0) wanted += 2 * static_cast<uint64_t>(count);
        break;
      case '|':
        if (!take_number(bytes, at, count)) return 0;
        if (count >= 0) wanted += 2 * static_cast<uint64_t>(count) + 1;  // an attribute is not the value
        break;
      case '$':
      case '=':
      case '!':
        if (!take_number(bytes, at, count)) return 0;
        if (count >= 0) at += static_cast<size_t>(count) + 2;
        break;
      case '+':
      case '-':
      case ':':
      case '_':
      case '#':
      case ',':
      case '(':
        if (!pass_line(bytes, at)) return 0;
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

// Numbers to and from text: digits by hand on the hot paths, the C library for what is rare (hex floats,
// long double).
#include "util/number.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace quorate {
namespace {

constexpr std::array<char, 200> make_digit_pairs() {
  std::array<char, 200> pairs{};
  for (size_t value = 0; value < 100; ++value) {
    pairs[2 * value] = static_cast<char>('0' + value / 10);
    pairs[2 * value + 1] = static_cast<char>('0' + value % 10);
  }
  return pairs;
}
constexpr std::array<char, 200> kDigitPairs = make_digit_pairs();

size_t digit_count(uint64_t value) {
  size_t count = 1;
  for (;;) {
    if (value < 10) return count;
    if (value < 100) return count + 1;
    if (value < 1000) return count + 2;
    if (value < 10000) return count + 3;
    value /= 10000;
    count += 4;
  }
}

bool is_space(char letter) { return letter == ' ' || (letter >= '\t' && letter <= '\r'); }

// The longest number text that is looked at: Redis gives up beyond this for long doubles.
constexpr size_t kNumberTextMax = 5 * 1024;

// Calls `convert` (strtod or strtold) on the whole text.  The same refusals as Redis.
enum class OutOfRange : uint8_t { kFails, kSaturates };

template <class Number, class Convert>
std::optional<Number> parse_with_c_library(std::string_view text, OutOfRange out_of_range, Convert convert) {
  if (text.empty() || text.size() >= kNumberTextMax || is_space(text.front())) return std::nullopt;
  char small[128];
  std::string large;
  const char* terminated = small;
  if (text.size() < sizeof small) {
    std::memcpy(small, text.data(), text.size());
    small[text.size()] = '\0';
  } else {
    large.assign(text);
    terminated = large.c_str();
  }
  errno = 0;
  char* end = nullptr;
  const Number value = convert(terminated, &end);
  if (end != terminated + text.size() || std::isnan(value)) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || value == 0)) {
    return out_of_range == OutOfRange::kSaturates ? std::optional<Number>(value) : std::nullopt;
  }
  if (errno == EINVAL) return std::nullopt;
  return value;
}

// "d.ddde+XX" of std::to_chars taken apart: the significant digits and the power of ten of the first.
struct Decimal {
  char digits[20];
  int digit_count = 0;
  int exponent = 0;
};

Decimal shortest_decimal(double magnitude) {
  char text[kDoubleTextMax];
  const auto result = std::to_chars(text, text + sizeof text, magnitude, std::chars_format::scientific);
  Decimal decimal;
  const char* at = text;
  for (; at != result.ptr && *at != 'e'; ++at) {
    if (*at != '.') decimal.digits[decimal.digit_count++] = *at;
  }
  if (at != result.ptr) {
    ++at;
    const bool negative = *at == '-';
    ++at;
    int exponent = 0;
    for (; at != result.ptr; ++at) exponent = exponent * 10 + (*at - '0');
    decimal.exponent = negative ? -exponent : exponent;
  }
  return decimal;
}

char* put_zeros(char* out, int count) {
  for (; count > 0; --count) *out++ = '0';
  return out;
}

char* put_digits(char* out, const char* digits, int count) {
  std::memcpy(out, digits, static_cast<size_t>(count));
  return out + count;
}

// Plain while the text stays short, else with an exponent: the borders that Redis 7.2 has.
char* put_decimal(char* out, const Decimal& decimal) {
  const int count = decimal.digit_count;
  const int last_power = decimal.exponent - count + 1;  // of the last digit
  const int magnitude = std::abs(decimal.exponent);
  if (last_power >= 0 && magnitude < count + 7) {
    return put_zeros(put_digits(out, decimal.digits, count), last_power);
  }
  if (last_power < 0 && (last_power > -7 || magnitude < 4)) {
    const int whole = decimal.exponent + 1;
    if (whole <= 0) {
      *out++ = '0';
      *out++ = '.';
      return put_digits(put_zeros(out, -whole), decimal.digits, count);
    }
    out = put_digits(out, decimal.digits, whole);
    *out++ = '.';
    return put_digits(out, decimal.digits + whole, count - whole);
  }
  *out++ = decimal.digits[0];
  if (count > 1) {
    *out++ = '.';
    out = put_digits(out, decimal.digits + 1, count - 1);
  }
  *out++ = 'e';
  *out++ = decimal.exponent < 0 ? '-' : '+';
  return out + format_unsigned(out, static_cast<uint64_t>(magnitude));
}

}  // namespace

std::optional<uint64_t> parse_unsigned(std::string_view text) {
  if (text.empty() || text.size() > kIntTextMax) return std::nullopt;
  if (text.front() == '0') return text.size() == 1 ? std::optional<uint64_t>(0) : std::nullopt;
  uint64_t value = 0;
  const size_t safe = text.size() < 19 ? text.size() : 19;  // 19 digits cannot overflow
  size_t index = 0;
  for (; index < safe; ++index) {
    const auto digit = static_cast<unsigned char>(text[index] - '0');
    if (digit > 9) return std::nullopt;
    value = value * 10 + digit;
  }
  if (index < text.size()) {
    const auto digit = static_cast<unsigned char>(text[index] - '0');
    if (digit > 9) return std::nullopt;
    if (__builtin_mul_overflow(value, uint64_t{10}, &value) ||
        __builtin_add_overflow(value, uint64_t{digit}, &value)) {
      return std::nullopt;
    }
  }
  return value;
}

std::optional<int64_t> parse_int(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (text.front() != '-') {
    const auto value = parse_unsigned(text);
    if (!value || *value > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(*value);
  }
  const auto value = parse_unsigned(text.substr(1));
  if (!value || *value == 0 || *value > static_cast<uint64_t>(INT64_MAX) + 1) return std::nullopt;
  return static_cast<int64_t>(0 - *value);
}

std::optional<double> parse_double(std::string_view text) {
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc() && result.ptr == text.data() + text.size()) [[likely]] {
    if (std::isnan(value)) return std::nullopt;
    return value;
  }
  return parse_with_c_library<double>(text, OutOfRange::kFails,
                                      [](const char* at, char** end) { return std::strtod(at, end); });
}

std::optional<double> parse_double_saturating(std::string_view text) {
  if (const auto value = parse_double(text)) return value;
  return parse_with_c_library<double>(text, OutOfRange::kSaturates,
                                      [](const char* at, char** end) { return std::strtod(at, end); });
}

std::optional<long double> parse_long_double(std::string_view text) {
  return parse_with_c_library<long double>(
      text, OutOfRange::kFails, [](const char* at, char** end) { return std::strtold(at, end); });
}

size_t format_unsigned(char* out, uint64_t value) {
  const size_t size = digit_count(value);
  char* at = out + size;
  while (value >= 100) {
    const size_t pair = static_cast<size_t>(value % 100);
    value /= 100;
    at -= 2;
    std::memcpy(at, &kDigitPairs[2 * pair], 2);
  }
  if (value >= 10) {
    std::memcpy(at - 2, &kDigitPairs[2 * static_cast<size_t>(value)], 2);
  } else {
    at[-1] = static_cast<char>('0' + value);
  }
  return size;
}

size_t format_int(char* out, int64_t value) {
  if (value >= 0) return format_unsigned(out, static_cast<uint64_t>(value));
  *out = '-';
  return 1 + format_unsigned(out + 1, 0 - static_cast<uint64_t>(value));
}

size_t format_double(char* out, double value) {
  if (std::isnan(value)) {
    std::memcpy(out, "nan", 3);
    return 3;
  }
  char* at = out;
  if (std::signbit(value)) *at++ = '-';
  const double magnitude = std::fabs(value);
  if (std::isinf(value)) {
    std::memcpy(at, "inf", 3);
    return static_cast<size_t>(at + 3 - out);
  }
  // Integers are plain up to half of what an int64 holds (Redis' border).
  if (magnitude <= static_cast<double>(INT64_MAX / 2)) {
    const auto whole = static_cast<uint64_t>(magnitude);
    if (static_cast<double>(whole) == magnitude) {
      return static_cast<size_t>(at - out) + format_unsigned(at, whole);
    }
  }
  return static_cast<size_t>(put_decimal(at, shortest_decimal(magnitude)) - out);
}

std::optional<std::string> format_long_double(long double value) {
  if (std::isnan(value) || std::isinf(value)) return std::nullopt;
  std::string text(kNumberTextMax, '\0');
  const int size = std::snprintf(text.data(), text.size(), "%.17Lf", value);
  text.resize(static_cast<size_t>(size));
  text.resize(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  if (text == "-0") text = "0";
  return text;
}

std::optional<int64_t> parse_memory(std::string_view text) {
  struct Unit {
    std::string_view name;
    int64_t factor;
  };
  static constexpr Unit kUnits[] = {
      {"", 1},           {"b", 1},
      {"k", 1000},       {"kb", 1024},
      {"m", 1000000},    {"mb", 1024 * 1024},
      {"g", 1000000000}, {"gb", 1024 * 1024 * 1024},
  };
  size_t digits = 0;
  uint64_t value = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    if (__builtin_mul_overflow(value, uint64_t{10}, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(text[digits] - '0'), &value)) {
      return std::nullopt;
    }
  }
  if (digits == 0 || text.size() - digits > 2) return std::nullopt;
  char lower[2] = {};
  const size_t unit_size = text.size() - digits;
  for (size_t index = 0; index < unit_size; ++index) {
    const char letter = text[digits + index];
    lower[index] = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
  }
  for (const Unit& unit : kUnits) {
    if (unit.name != std::string_view(lower, unit_size)) continue;
    if (__builtin_mul_overflow(value, static_cast<uint64_t>(unit.factor), &value) ||
        value > static_cast<uint64_t>(INT64_MAX)) {
      return std::nullopt;
    }
    return static_cast<int64_t>(value);
  }
  return std::nullopt;
}

}  // namespace quorate

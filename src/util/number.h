// Numbers to and from text, exactly as Redis reads and prints them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quorate {

// Strict decimal int64: no space, no plus sign, no leading zero, no "-0" (Redis' string2ll).
std::optional<int64_t> parse_int(std::string_view text);
std::optional<uint64_t> parse_unsigned(std::string_view text);

// A double as Redis' string2d accepts it: whole text, no leading space, "inf"/"-inf"/"infinity" any case, hex
// floats; not NaN.
std::optional<double> parse_double(std::string_view text);
// The same, but what is beyond the range of doubles is infinite, or zero.
std::optional<double> parse_double_saturating(std::string_view text);
// The same for long double (INCRBYFLOAT, HINCRBYFLOAT).
std::optional<long double> parse_long_double(std::string_view text);

constexpr size_t kIntTextMax = 20;
// Writes `value` in decimal at `out` (room for kIntTextMax bytes); returns the number of bytes.
size_t format_int(char* out, int64_t value);
size_t format_unsigned(char* out, uint64_t value);

constexpr size_t kDoubleTextMax = 40;
// The shortest text that reads back as `value`, in the shape Redis 7 gives scores ("%.17g" and integers plainly;
// "inf", "-inf", "nan").  Room for kDoubleTextMax bytes.
size_t format_double(char* out, double value);

// INCRBYFLOAT's form: "%.17Lf" with trailing zeros removed.  Returns nullopt for NaN or infinity.
std::optional<std::string> format_long_double(long double value);

// Memory units of redis.conf: "1gb", "100k", "1024" (k = 1000, kb = 1024, any case).
std::optional<int64_t> parse_memory(std::string_view text);

}  // namespace quorate

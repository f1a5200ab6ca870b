// Numbers to and from text.
#include "util/number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "util/prng.h"

namespace quorate {
namespace {

std::string text_of(double value) {
  char text[kDoubleTextMax];
  return {text, format_double(text, value)};
}
std::string text_of_int(int64_t value) {
  char text[kIntTextMax];
  return {text, format_int(text, value)};
}

TEST(ParseInt, takes_only_the_canonical_decimal_form) {
  EXPECT_EQ(parse_int("0"), 0);
  EXPECT_EQ(parse_int("-1"), -1);
  EXPECT_EQ(parse_int("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(parse_int("-9223372036854775808"), INT64_MIN);
  for (const char* bad : {"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "9223372036854775808",
                          "-9223372036854775809", "99999999999999999999", "184467440737095516160"}) {
    EXPECT_FALSE(parse_int(bad)) << bad;
  }
  EXPECT_EQ(parse_unsigned("18446744073709551615"), UINT64_MAX);
  EXPECT_FALSE(parse_unsigned("18446744073709551616"));
  EXPECT_FALSE(parse_unsigned("99999999999999999999"));
}

TEST(FormatInt, reads_back_as_the_same_value) {
  for (int64_t power = 1; power > 0 && power <= INT64_MAX / 10; power *= 10) {
    for (const int64_t value : {power - 1, power, power + 1, -power, 1 - power, -1 - power}) {
      EXPECT_EQ(parse_int(text_of_int(value)), value);
      EXPECT_EQ(text_of_int(value), std::to_string(value));
    }
  }
  EXPECT_EQ(text_of_int(INT64_MIN), "-9223372036854775808");
  EXPECT_EQ(text_of_int(INT64_MAX), "9223372036854775807");
}

TEST(ParseDouble, takes_what_redis_takes) {
  EXPECT_EQ(parse_double("+5"), 5.0);
  EXPECT_EQ(parse_double("5."), 5.0);
  EXPECT_EQ(parse_double(".5"), 0.5);
  EXPECT_EQ(parse_double("0x10"), 16.0);
  EXPECT_EQ(parse_double("0x1p3"), 8.0);
  EXPECT_EQ(parse_double("-Infinity"), -INFINITY);
  EXPECT_EQ(parse_double("+inf"), INFINITY);
  EXPECT_EQ(parse_double("5e-324"), 5e-324);
  for (const char* bad : {"", " 1", "1 ", "nan", "-nan", "0x", "1e999", "1e-400", "--1", "1e", "infx", "1_0"}) {
    EXPECT_FALSE(parse_double(bad)) << bad;
  }
  EXPECT_FALSE(parse_double(std::string_view("1\0", 2)));
}

// The expected texts are what a ZSCORE of Redis 7.2's line answers to each score.
TEST(FormatDouble, has_the_shape_of_redis_scores) {
  const std::pair<double, const char*> samples[] = {
      {0, "0"}, {-0.0, "-0"}, {1, "1"}, {1.5, "1.5"}, {0.1, "0.1"}, {-0.1, "-0.1"}, {3.14159, "3.14159"},
      {1e5, "100000"}, {1e17, "100000000000000000"}, {1e18, "1000000000000000000"}, {4.7e18, "4.7e+18"},
      {1e19, "1e+19"}, {123456789012345678.0, "123456789012345680"}, {1e21, "1e+21"}, {1e22, "1e+22"},
      {1e-5, "0.00001"}, {1e-6, "0.000001"}, {1e-7, "1e-7"}, {1.5e-7, "1.5e-7"}, {0.00001234, "1.234e-5"},
      {0.000123456789, "1.23456789e-4"}, {1e100, "1e+100"}, {5e-324, "5e-324"}, {123.456e10, "1234560000000"},
      {12345678901234567890.0, "12345678901234567000"}, {1234567.125, "1234567.125"}, {1.1e21, "1.1e+21"},
      {12345.6789e20, "1.23456789e+24"}, {-1e-4, "-0.0001"}, {INFINITY, "inf"}, {-INFINITY, "-inf"},
      {std::numeric_limits<double>::quiet_NaN(), "nan"}, {1.7976931348623157e308, "1.7976931348623157e+308"},
  };
  for (const auto& [value, expected] : samples) EXPECT_EQ(text_of(value), expected);
}

TEST(FormatDouble, reads_back_as_the_same_value) {
  Prng prng(7);
  for (int round = 0; round < 20000; ++round) {
    const uint64_t bits = prng.next();
    double value;
    memcpy(&value, &bits, sizeof value);
    if (std::isnan(value)) continue;
    EXPECT_EQ(parse_double(text_of(value)), value) << text_of(value);
    EXPECT_LE(text_of(value).size(), kDoubleTextMax);
  }
}

// The expected texts are INCRBYFLOAT's answers of redis-server 7.0.15.
TEST(LongDouble, is_printed_as_incrbyfloat_does) {
  const std::pair<const char*, const char*> samples[] = {
      {"10.5", "10.5"}, {"0.1", "0.1"}, {"-5.0e3", "-5000"}, {"1e17", "100000000000000000"},
      {"1e-17", "0.00000000000000001"}, {"3.0e3", "3000"}, {"1.23456789012345678", "1.23456789012345678"},
      {"100000000000000000000", "100000000000000000000"}, {"-0", "0"}, {"-1e-30", "0"},
  };
  for (const auto& [text, expected] : samples) {
    const auto value = parse_long_double(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(format_long_double(*value), expected);
  }
  EXPECT_FALSE(format_long_double(INFINITY));
  EXPECT_FALSE(parse_long_double("nan"));
  EXPECT_FALSE(parse_long_double(""));
  const auto huge = format_long_double(*parse_long_double("1e4900"));
  ASSERT_TRUE(huge);
  EXPECT_EQ(huge->size(), 4901u);
}

TEST(ParseMemory, knows_the_units_of_the_config_file) {
  EXPECT_EQ(parse_memory("1024"), 1024);
  EXPECT_EQ(parse_memory("100k"), 100000);
  EXPECT_EQ(parse_memory("1KB"), 1024);
  EXPECT_EQ(parse_memory("1gb"), 1 << 30);
  EXPECT_EQ(parse_memory("2G"), 2000000000);
  EXPECT_EQ(parse_memory("3b"), 3);
  for (const char* bad : {"", "k", "-1", "1tb", "1 k", "1kbb", "99999999999999999999", "9223372036854775807k"}) {
    EXPECT_FALSE(parse_memory(bad)) << bad;
  }
}

}  // namespace
}  // namespace quorate

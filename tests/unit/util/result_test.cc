// Result, Status and TRY.
#include "util/result.h"

#include <gtest/gtest.h>

namespace quorate {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return ErrorCode::kNotInteger;
  return value / 2;
}
template <class Number>
Status check(Number value) {
  if (value < 0) return ErrorCode::kOutOfRange;
  return done();
}
Result<int> quarter(int value) {
  TRY(check<int>(value));
  TRY(const int once, half(value));
  TRY(const int twice, half(once));
  TRY(half(0));
  return twice;
}

TEST(Try, hands_values_down_and_errors_up) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().code(), ErrorCode::kNotInteger);
  EXPECT_EQ(quarter(-4).error().code(), ErrorCode::kOutOfRange);
}

}  // namespace
}  // namespace quorate

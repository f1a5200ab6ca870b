// Immutable bytes with several owners.
#include "util/shared_bytes.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace quorate {
namespace {

TEST(SharedBytes, owners_share_one_copy) {
  const SharedBytes first{std::string_view("hello")};
  EXPECT_EQ(first.view(), "hello");
  EXPECT_EQ(first.owners(), 1u);
  std::vector<SharedBytes> more(3, first);
  EXPECT_EQ(first.owners(), 4u);
  EXPECT_EQ(more[2].view().data(), first.view().data());
  SharedBytes moved = std::move(more[0]);
  EXPECT_EQ(first.owners(), 4u);
  more.clear();
  EXPECT_EQ(first.owners(), 2u);
  moved = first;
  EXPECT_EQ(first.owners(), 2u);
  moved = SharedBytes();
  EXPECT_EQ(first.owners(), 1u);
}

TEST(SharedBytes, nothing_owns_nothing) {
  const SharedBytes empty{std::string_view()};
  EXPECT_TRUE(empty.empty());
  EXPECT_EQ(empty.owners(), 0u);
  EXPECT_EQ(SharedBytes(empty).view(), "");
}

TEST(SharedBytes, two_parts_stand_one_behind_the_other) {
  const SharedBytes both("one", "two");
  EXPECT_EQ(both.view(), "onetwo");
  EXPECT_EQ(SharedBytes("", "two").view(), "two");
  EXPECT_EQ(SharedBytes("one", "").view(), "one");
  EXPECT_TRUE(SharedBytes("", "").empty());
}

TEST(SharedBytes, a_buffer_is_kept_and_not_copied) {
  Buffer buffer;
  buffer.append("front and the rest");
  const char* const place = buffer.data();
  SharedBytes rest(std::move(buffer), 10);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(rest.view(), "the rest");
  EXPECT_EQ(rest.view().data(), place + 10);
  const SharedBytes other = rest;
  EXPECT_EQ(rest.owners(), 2u);
  rest = SharedBytes();
  EXPECT_EQ(other.view(), "the rest");
  Buffer nothing;
  nothing.append("all of it");
  EXPECT_TRUE(SharedBytes(std::move(nothing), 9).empty());
}

}  // namespace
}  // namespace quorate

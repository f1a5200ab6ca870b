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

}  // namespace
}  // namespace quorate

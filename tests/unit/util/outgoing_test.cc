// Bytes on their way out, some of them shared.
#include "util/outgoing.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace quorate {
namespace {

std::string text_of(const Outgoing& bytes, size_t offset) {
  std::string text;
  for (const std::string_view piece : bytes.pieces(offset)) {
    EXPECT_FALSE(piece.empty());
    text += piece;
  }
  return text;
}

TEST(Outgoing, what_is_copied_and_what_is_shared_leave_in_the_order_of_coming) {
  const SharedBytes first{"FIRST"};
  const SharedBytes second{"SECOND"};
  Outgoing bytes;
  EXPECT_TRUE(bytes.empty());
  EXPECT_TRUE(bytes.pieces().empty());
  bytes.copied().append("a ");
  EXPECT_FALSE(bytes.has_shared());
  EXPECT_EQ(bytes.view(), "a ");
  bytes.add_shared(first);
  bytes.add_shared(second);
  bytes.copied().append(" b ");
  bytes.add_shared(first);
  const std::string whole = "a FIRSTSECOND b FIRST";
  EXPECT_EQ(bytes.size(), whole.size());
  EXPECT_TRUE(bytes.has_shared());
  EXPECT_EQ(bytes.pieces()[1].data(), first.view().data());
  for (size_t offset = 0; offset <= whole.size(); ++offset) EXPECT_EQ(text_of(bytes, offset), whole.substr(offset));
  Buffer flat;
  bytes.append_to(flat);
  EXPECT_EQ(flat.view(), whole);
}

TEST(Outgoing, what_was_taken_or_cleared_is_empty_and_owns_nothing) {
  const SharedBytes shared{"shared"};
  Outgoing bytes;
  bytes.copied().append("front");
  bytes.add_shared(shared);
  bytes.copied().append("behind");
  Outgoing moved = std::move(bytes);
  EXPECT_TRUE(bytes.empty());
  EXPECT_EQ(shared.owners(), 2u);
  EXPECT_EQ(moved.take_front().view(), "front");
  EXPECT_TRUE(moved.empty());
  EXPECT_EQ(shared.owners(), 1u);
  moved.copied().append("all");
  EXPECT_EQ(moved.take_front().view(), "all");
  moved.add_shared(shared);
  moved.clear();
  EXPECT_TRUE(moved.empty());
  EXPECT_EQ(shared.owners(), 1u);
}

}  // namespace
}  // namespace quorate

// Error texts: the parametrised ones.
#include "commands/errors.h"

#include <gtest/gtest.h>

#include <vector>

namespace quorate {
namespace {

TEST(Errors, a_fixed_text_follows_from_the_code) {
  EXPECT_EQ(error_line(Error(ErrorCode::kSyntax)), "ERR syntax error");
  EXPECT_EQ(error_line(Error(ErrorCode::kIo, "disk is gone")), "ERR disk is gone");
  EXPECT_EQ(error_line(errors::text("FOO bar")), "FOO bar");
}

TEST(Errors, an_unknown_command_repeats_a_bounded_part_of_what_was_sent) {
  const std::vector<std::string_view> args = {"a", "b"};
  EXPECT_EQ(error_line(errors::unknown_command("nosuch", args)),
            "ERR unknown command 'nosuch', with args beginning with: 'a' 'b' ");
  const std::string big(100000, 'x');
  const std::vector<std::string_view> big_args(1000, big);
  EXPECT_LT(error_line(errors::unknown_command(big, big_args)).size(), 400u);
}

TEST(Errors, a_subcommand_error_names_the_container_in_capitals) {
  EXPECT_EQ(error_line(errors::unknown_subcommand("object", "foo")),
            "ERR unknown subcommand 'foo'. Try OBJECT HELP.");
}

}  // namespace
}  // namespace quorate

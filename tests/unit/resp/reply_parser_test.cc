// Replies read in one piece and byte by byte, and printed as redis-cli prints them.
#include "resp/reply_parser.h"

#include <gtest/gtest.h>

namespace quorate {
namespace {

using Outcome = ReplyParser::Outcome;

// Reads one reply fed byte by byte; nothing may be complete before the last byte.
std::string read_slowly(std::string_view bytes) {
  ReplyParser parser;
  ReplyValue value;
  for (size_t index = 0; index < bytes.size(); ++index) {
    parser.feed(bytes.substr(index, 1));
    const Outcome outcome = parser.next(value);
    if (outcome == Outcome::kProtocolError) return "protocol error: " + std::string(parser.error_text());
    if (outcome == Outcome::kValue && index + 1 < bytes.size()) return "complete too early";
    if (outcome == Outcome::kNeedMore && index + 1 == bytes.size()) return "incomplete";
  }
  return parser.idle() ? print_reply(value) : "not idle";
}

std::string read(std::string_view bytes, ReplyLimits limits = {}) {
  ReplyParser parser(limits);
  ReplyValue value;
  parser.feed(bytes);
  switch (parser.next(value)) {
    case Outcome::kValue: return print_reply(value);
    case Outcome::kNeedMore: return "incomplete";
    case Outcome::kProtocolError: return "protocol error: " + std::string(parser.error_text());
  }
  return "";
}

struct Case {
  std::string_view bytes;
  std::string_view shown;
};

TEST(ReplyParser, prints_each_kind_as_redis_cli_does) {
  const Case cases[] = {
      {"+OK\r\n", "OK"},
      {"-ERR no such key\r\n", "(error) ERR no such key"},
      {"!8\r\nERR a\r\nb\r\n", "(error) ERR a\r\nb"},
      {":-42\r\n", "(integer) -42"},
      {"$5\r\nhello\r\n", "\"hello\""},
      {"$0\r\n\r\n", "\"\""},
      {"$9\r\na\"\\\n\r\t\a\b\xff\r\n", "\"a\\\"\\\\\\n\\r\\t\\a\\b\\xff\""},
      {"$-1\r\n", "(nil)"},
      {"*-1\r\n", "(nil)"},
      {"_\r\n", "(nil)"},
      {"#t\r\n", "(true)"},
      {"#f\r\n", "(false)"},
      {",1.5\r\n", "(double) 1.5"},
      {",inf\r\n", "(double) inf"},
      {",nan\r\n", "(double) nan"},
      {"(-123456789012345678901234567890\r\n", "-123456789012345678901234567890"},
      {"=8\r\ntxt:a\nb\n\r\n", "a\nb\n"},
      {"*0\r\n", "(empty array)"},
      {"%0\r\n", "(empty hash)"},
      {"~0\r\n", "(empty set)"},
      {">0\r\n", "(empty push)"},
      {"*2\r\n$1\r\na\r\n:1\r\n", "1) \"a\"\n2) (integer) 1"},
      {"~1\r\n+a\r\n", "1~ a"},
      {">1\r\n+a\r\n", "1) a"},
      {"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*2\r\n:2\r\n:3\r\n",
       "1# \"a\" => (integer) 1\n2# \"b\" => 1) (integer) 2\n   2) (integer) 3"},
      {"*2\r\n*2\r\n:1\r\n:2\r\n*0\r\n", "1) 1) (integer) 1\n   2) (integer) 2\n2) (empty array)"},
      {"|1\r\n+ttl\r\n:9\r\n:5\r\n", "(integer) 5"},
      {"*1\r\n|1\r\n+ttl\r\n*1\r\n:9\r\n*1\r\n:5\r\n", "1) 1) (integer) 5"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(read(one.bytes), one.shown);
    EXPECT_EQ(read_slowly(one.bytes), one.shown);
  }
}

TEST(ReplyParser, aligns_the_numbers_of_ten_and_more_items) {
  std::string bytes = "*10\r\n";
  for (int item = 0; item < 9; ++item) bytes += ":0\r\n";
  bytes += "*2\r\n:1\r\n:2\r\n";
  const std::string shown = read(bytes);
  EXPECT_EQ(shown.substr(0, 15), " 1) (integer) 0");
  EXPECT_TRUE(shown.ends_with("\n10) 1) (integer) 1\n    2) (integer) 2")) << shown;
}

TEST(ReplyParser, keeps_attributes_with_the_value_they_are_about) {
  ReplyParser parser;
  parser.feed("|1\r\n+a\r\n:1\r\n*2\r\n|1\r\n+b\r\n:2\r\n:3\r\n:4\r\n");
  ReplyValue value;
  ASSERT_EQ(parser.next(value), Outcome::kValue);
  ASSERT_EQ(value.attributes.size(), 2u);
  EXPECT_EQ(value.attributes[0].text, "a");
  ASSERT_EQ(value.items.size(), 2u);
  ASSERT_EQ(value.items[0].attributes.size(), 2u);
  EXPECT_EQ(value.items[0].attributes[0].text, "b");
  EXPECT_TRUE(value.items[1].attributes.empty());
}

TEST(ReplyParser, refuses_what_is_not_a_reply) {
  const Case cases[] = {
      {"OK\r\n", "protocol error: an unknown type of reply"},
      {"\r\n", "protocol error: an empty line where a reply begins"},
      {"\n", "protocol error: a line does not end in CR LF"},
      {"+OK\n", "protocol error: a line does not end in CR LF"},
      {":1x\r\n", "protocol error: an integer is not valid"},
      {"$-2\r\n", "protocol error: a bulk length is not valid"},
      {"$1\r\nabc", "protocol error: a bulk does not end in CR LF"},
      {"$99999999999\r\n", "protocol error: a bulk length is not valid"},
      {"$?\r\n", "protocol error: a bulk length is not valid"},
      {"=-1\r\n", "protocol error: a bulk length is not valid"},
      {"=3\r\nabc\r\n", "protocol error: a verbatim text lacks its format"},
      {"*-2\r\n", "protocol error: an item count is not valid"},
      {"%-1\r\n", "protocol error: an item count is not valid"},
      {"*99999999999\r\n", "protocol error: an item count is not valid"},
      {"#x\r\n", "protocol error: a boolean is not valid"},
      {"_x\r\n", "protocol error: a null is not valid"},
      {",1.5x\r\n", "protocol error: a double is not valid"},
      {"(12a\r\n", "protocol error: a big number is not valid"},
  };
  for (const Case& one : cases) EXPECT_EQ(read(one.bytes), one.shown) << one.bytes;
}

TEST(ReplyParser, refuses_what_is_too_deep_or_too_long) {
  const ReplyLimits limits{.line_size_max = 8, .bulk_size_max = 4, .item_count_max = 3, .depth_max = 2};
  EXPECT_EQ(read("*1\r\n*1\r\n:1\r\n", limits), "1) 1) (integer) 1");
  EXPECT_EQ(read("*1\r\n*1\r\n*1\r\n:1\r\n", limits), "protocol error: aggregates are nested too deeply");
  EXPECT_EQ(read("+123456789", limits), "protocol error: a line is too long");
  EXPECT_EQ(read("$5\r\n", limits), "protocol error: a bulk length is not valid");
  EXPECT_EQ(read("*4\r\n", limits), "protocol error: an item count is not valid");
}

TEST(ReplyParser, an_error_is_final) {
  ReplyParser parser;
  ReplyValue value;
  parser.feed("?\r\n+OK\r\n");
  EXPECT_EQ(parser.next(value), Outcome::kProtocolError);
  parser.feed("+OK\r\n");
  EXPECT_EQ(parser.next(value), Outcome::kProtocolError);
}

TEST(ReplyParser, returns_pipelined_replies_one_by_one) {
  ReplyParser parser;
  ReplyValue value;
  for (int round = 0; round < 10000; ++round) parser.feed("$20\r\n01234567890123456789\r\n:7\r\n");
  for (int round = 0; round < 10000; ++round) {
    ASSERT_EQ(parser.next(value), Outcome::kValue);
    ASSERT_EQ(value.text, "01234567890123456789");
    ASSERT_EQ(parser.next(value), Outcome::kValue);
    ASSERT_EQ(value.integer, 7);
  }
  EXPECT_EQ(parser.next(value), Outcome::kNeedMore);
  EXPECT_TRUE(parser.idle());
}

}  // namespace
}  // namespace quorate

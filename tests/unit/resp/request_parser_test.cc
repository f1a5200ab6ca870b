// The request parser: what it accepts, what it refuses, and that it keeps its promises about views.
#include "resp/request_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate {
namespace {

using Words = std::vector<std::string>;

struct Outcome {
  std::vector<Words> requests;
  size_t consumed = 0;
  std::string error;
};

Outcome parse(std::string_view input, const RequestLimits& limits = {}, size_t request_max = 1000) {
  RequestParser parser;
  std::vector<Request> requests;
  Outcome outcome;
  if (parser.parse(input, limits, request_max, requests, outcome.consumed) ==
      RequestParser::Outcome::kProtocolError) {
    outcome.error = parser.error_text();
  }
  for (const Request& request : requests) {
    outcome.requests.emplace_back(request.args.begin(), request.args.end());
  }
  return outcome;
}

TEST(RequestParser, a_pipeline_is_parsed_whole_and_the_rest_is_left) {
  const auto outcome = parse("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGE");
  EXPECT_EQ(outcome.requests, (std::vector<Words>{{"PING"}, {"GET", "k"}}));
  EXPECT_EQ(outcome.consumed, 34u);
}

TEST(RequestParser, no_more_requests_than_asked_for_are_taken) {
  const auto outcome = parse("PING\r\nPING\r\nPING\r\n", {}, 2);
  EXPECT_EQ(outcome.requests.size(), 2u);
  EXPECT_EQ(outcome.consumed, 12u);
}

TEST(RequestParser, empty_requests_are_skipped) {
  const auto outcome = parse("\r\n\n*0\r\n*-1\r\n   \r\nPING\r\n");
  EXPECT_EQ(outcome.requests, (std::vector<Words>{{"PING"}}));
  EXPECT_EQ(outcome.consumed, 23u);
}

TEST(RequestParser, inline_requests_are_split_with_quotes) {
  const auto outcome = parse("SET  \"a b\\x41\\n\" 'it\\'s' x\"y\"\r\n");
  EXPECT_EQ(outcome.requests, (std::vector<Words>{{"SET", "a bA\n", "it's", "xy"}}));
  EXPECT_EQ(parse("GET \"\" ''\n").requests, (std::vector<Words>{{"GET", "", ""}}));
}

TEST(RequestParser, each_wrong_stream_has_redis_error_text) {
  RequestLimits stranger;
  stranger.authenticated = false;
  const std::string long_line(70 * 1024, '1');
  const std::tuple<std::string, RequestLimits, std::string> samples[] = {
      {"*x\r\n", {}, "invalid multibulk length"},
      {"*1048577\r\n", {}, "invalid multibulk length"},
      {"*-1x\r\n", {}, "invalid multibulk length"},
      {"*11\r\n", stranger, "unauthenticated multibulk length"},
      {"*1\r\n$x\r\n", {}, "invalid bulk length"},
      {"*1\r\n$-1\r\n", {}, "invalid bulk length"},
      {"*1\r\n$01\r\n", {}, "invalid bulk length"},
      {"*1\r\n$536870913\r\n", {}, "invalid bulk length"},
      {"*1\r\n$16385\r\n", stranger, "unauthenticated bulk length"},
      {"*1\r\nPING\r\n", {}, "expected '$', got 'P'"},
      {"*" + long_line, {}, "too big mbulk count string"},
      {"*1\r\n$" + long_line, {}, "too big bulk count string"},
      {long_line, {}, "too big inline request"},
      {"SET a \"b\r\n", {}, "unbalanced quotes in request"},
      {"SET a \"b\"c\r\n", {}, "unbalanced quotes in request"},
      {"SET a 'b\r\n", {}, "unbalanced quotes in request"},
  };
  for (const auto& [input, limits, expected] : samples) {
    EXPECT_EQ(parse("PING\r\n" + input, limits).error, "Protocol error: " + expected) << input.substr(0, 30);
    EXPECT_EQ(parse("PING\r\n" + input, limits).requests.size(), 1u) << "what came before is still served";
  }
}

TEST(RequestParser, views_stay_right_when_a_batch_grows) {
  std::string input;
  for (int request = 0; request < 500; ++request) {
    const std::string key = "key:" + std::to_string(request);
    input += "*2\r\n$3\r\nGET\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
    if (request % 50 == 0) input += "echo \"quoted " + std::to_string(request) + "\"\r\n";
  }
  const auto outcome = parse(input);
  ASSERT_EQ(outcome.requests.size(), 510u);
  EXPECT_EQ(outcome.requests[1], (Words{"echo", "quoted 0"}));
  EXPECT_EQ(outcome.requests.back(), (Words{"GET", "key:499"}));
}

TEST(RequestParser, raw_is_the_request_as_received) {
  RequestParser parser;
  std::vector<Request> requests;
  size_t consumed = 0;
  parser.parse("*1\r\n$4\r\nPING\r\nget a\r\n", {}, 10, requests, consumed);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].raw, "*1\r\n$4\r\nPING\r\n");
  EXPECT_EQ(requests[1].raw, "get a\r\n");
}

// With quadratic work this would take minutes.
TEST(RequestParser, one_byte_at_a_time_costs_linear_work) {
  std::string input = "*3000\r\n";
  for (int argument = 0; argument < 3000; ++argument) input += "$100\r\n" + std::string(100, 'v') + "\r\n";
  input += "*2\r\n$3\r\nSET\r\n$2000000\r\n" + std::string(2000000, 'x') + "\r\n";
  RequestParser parser;
  std::vector<Request> requests;
  size_t start = 0;
  size_t seen = 0;
  for (size_t size = 1; size <= input.size(); ++size) {
    size_t consumed = 0;
    ASSERT_EQ(parser.parse(std::string_view(input).substr(start, size - start), {}, 100, requests, consumed),
              RequestParser::Outcome::kDone);
    start += consumed;
    seen += requests.size();
  }
  EXPECT_EQ(start, input.size());
  EXPECT_EQ(seen, 2u);
}

TEST(RequestParser, it_tells_how_much_of_a_bulk_is_missing) {
  RequestParser parser;
  std::vector<Request> requests;
  size_t consumed = 0;
  parser.parse("*2\r\n$3\r\nGET\r\n$1000\r\nabc", {}, 10, requests, consumed);
  EXPECT_EQ(parser.bytes_wanted(), 999u);
  EXPECT_EQ(consumed, 0u);
}

}  // namespace
}  // namespace quorate

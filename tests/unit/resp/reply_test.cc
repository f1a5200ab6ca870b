// The reply writer in both protocols.
#include "resp/reply.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace quorate {
namespace {

template <class Write>
std::string written(Protocol protocol, Write write) {
  Buffer out;
  Reply reply(out, protocol);
  write(reply);
  return std::string(out.view());
}

struct Sample {
  void (*write)(Reply&);
  const char* resp2;
  const char* resp3;
};

TEST(Reply, each_value_has_its_form_in_both_protocols) {
  const Sample samples[] = {
      {[](Reply& r) { r.ok(); }, "+OK\r\n", "+OK\r\n"},
      {[](Reply& r) { r.simple("PONG"); }, "+PONG\r\n", "+PONG\r\n"},
      {[](Reply& r) { r.error("ERR a\r\nb"); }, "-ERR a  b\r\n", "-ERR a  b\r\n"},
      {[](Reply& r) { r.integer(7); }, ":7\r\n", ":7\r\n"},
      {[](Reply& r) { r.integer(INT64_MIN); }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
      {[](Reply& r) { r.bulk("abc"); }, "$3\r\nabc\r\n", "$3\r\nabc\r\n"},
      {[](Reply& r) { r.bulk(""); }, "$0\r\n\r\n", "$0\r\n\r\n"},
      {[](Reply& r) { r.bulk_integer(-12); }, "$3\r\n-12\r\n", "$3\r\n-12\r\n"},
      {[](Reply& r) { r.null(); }, "$-1\r\n", "_\r\n"},
      {[](Reply& r) { r.null_array(); }, "*-1\r\n", "_\r\n"},
      {[](Reply& r) { r.boolean(true); }, ":1\r\n", "#t\r\n"},
      {[](Reply& r) { r.boolean(false); }, ":0\r\n", "#f\r\n"},
      {[](Reply& r) { r.number(1.5); }, "$3\r\n1.5\r\n", ",1.5\r\n"},
      {[](Reply& r) { r.number(-INFINITY); }, "$4\r\n-inf\r\n", ",-inf\r\n"},
      {[](Reply& r) { r.big_number("123"); }, "$3\r\n123\r\n", "(123\r\n"},
      {[](Reply& r) { r.verbatim(VerbatimFormat::kText, "hi"); }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
      {[](Reply& r) { r.array(12); }, "*12\r\n", "*12\r\n"},
      {[](Reply& r) { r.map(2); }, "*4\r\n", "%2\r\n"},
      {[](Reply& r) { r.set(2); }, "*2\r\n", "~2\r\n"},
      {[](Reply& r) { r.push(2); }, "*2\r\n", ">2\r\n"},
  };
  for (const Sample& sample : samples) {
    EXPECT_EQ(written(Protocol::kResp2, sample.write), sample.resp2);
    EXPECT_EQ(written(Protocol::kResp3, sample.write), sample.resp3);
  }
}

TEST(Reply, a_deferred_count_is_patched_in) {
  auto nested = [](Reply& reply) {
    const auto outer = reply.begin(Reply::Shape::kMap);
    reply.bulk("k");
    const auto inner = reply.begin(Reply::Shape::kArray);
    for (int value = 0; value < 100; ++value) reply.integer(1);
    reply.end(inner, 100);
    reply.end(outer, 1);
  };
  std::string body;
  for (int value = 0; value < 100; ++value) body += ":1\r\n";
  EXPECT_EQ(written(Protocol::kResp2, nested), "*2\r\n$1\r\nk\r\n*100\r\n" + body);
  EXPECT_EQ(written(Protocol::kResp3, nested), "%1\r\n$1\r\nk\r\n*100\r\n" + body);
}

TEST(Reply, lengths_of_every_number_of_digits_are_right) {
  for (size_t size = 1; size <= 1000000; size *= 10) {
    const std::string text(size, 'x');
    EXPECT_EQ(written(Protocol::kResp2, [&](Reply& reply) { reply.bulk(text); }),
              "$" + std::to_string(size) + "\r\n" + text + "\r\n");
  }
}

}  // namespace
}  // namespace quorate

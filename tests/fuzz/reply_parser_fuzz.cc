// The reply parser on any bytes: no crash, and the same replies whether the bytes come at once or in pieces.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "resp/reply_parser.h"
#include "util/check.h"

namespace {

using quorate::ReplyParser;
using quorate::ReplyValue;

constexpr size_t kRepliesMax = 10000;

// All replies of `bytes`, printed, fed `step` bytes at a time; the outcome at the end comes last.
std::vector<std::string> replies_of(std::string_view bytes, size_t step) {
  ReplyParser parser({.bulk_size_max = 1 << 20, .item_count_max = 1 << 20, .depth_max = 16});
  std::vector<std::string> found;
  ReplyValue value;
  for (size_t at = 0; at < bytes.size() && found.size() < kRepliesMax; at += step) {
    parser.feed(bytes.substr(at, step));
    auto outcome = parser.next(value);
    for (; outcome == ReplyParser::Outcome::kValue; outcome = parser.next(value)) {
      found.push_back(quorate::print_reply(value));
    }
    if (outcome == ReplyParser::Outcome::kProtocolError) {
      CHECK(!parser.error_text().empty());
      found.push_back("lost");
      return found;
    }
  }
  found.push_back(parser.idle() ? "idle" : "waits");
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> at_once = replies_of(bytes, size > 0 ? size : 1);
  CHECK(replies_of(bytes, 1) == at_once);
  CHECK(replies_of(bytes, 7) == at_once);
  return 0;
}

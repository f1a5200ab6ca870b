// The request parser against a naive one, with the input cut at random points: the same requests, the same
// end, the same error.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "resp/request_parser.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/number.h"
#include "util/prng.h"

namespace quorate {
namespace {

using Words = std::vector<std::string>;

struct Parsed {
  std::vector<Words> requests;
  std::vector<std::string> raw;
  std::string error;
  size_t consumed = 0;
};

// A parser as one would write it on one page: copies everything, sees the whole input, keeps no state.
class NaiveParser {
 public:
  NaiveParser(std::string_view input, const RequestLimits& limits) : input_(input), limits_(limits) {}

  Parsed run() {
    while (at_ < input_.size() && parsed_.error.empty() && !starved_) {
      const size_t start = at_;
      Words words;
      if (input_[at_] == '*') {
        multibulk(words);
      } else {
        inline_request(words);
      }
      if (starved_ || !parsed_.error.empty()) break;
      parsed_.consumed = at_;
      if (words.empty()) continue;
      parsed_.requests.push_back(words);
      parsed_.raw.emplace_back(input_.substr(start, at_ - start));
    }
    return parsed_;
  }

 private:
  void fail(const std::string& text) { parsed_.error = "Protocol error: " + text; }

  // The line from at_ without its marker; moves behind CR and one more byte.
  bool line(const char* too_big, std::string_view& text) {
    const size_t end = input_.find('\r', at_);
    const size_t size = (end == std::string_view::npos ? input_.size() : end) - at_;
    if (size > 64 * 1024) {
      fail(too_big);
      return false;
    }
    if (end == std::string_view::npos || end + 1 >= input_.size()) {
      starved_ = true;
      return false;
    }
    text = input_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 2;
    return true;
  }

  void multibulk(Words& words) {
    std::string_view text;
    if (!line("too big mbulk count string", text)) return;
    const auto count = parse_int(text);
    if (!count || *count > limits_.argument_count_max) return fail("invalid multibulk length");
    if (*count > 10 && !limits_.authenticated) return fail("unauthenticated multibulk length");
    for (int64_t index = 0; index < *count; ++index) {
      const char marker = at_ < input_.size() ? input_[at_] : '$';
      if (!line("too big bulk count string", text)) return;
      if (marker != '$') {
        return fail(std::string("expected '$', got '") + (marker >= ' ' && marker <= '~' ? marker : ' ') + "'");
      }
      const auto size = parse_int(text);
      if (!size || *size < 0 || *size > limits_.bulk_size_max) return fail("invalid bulk length");
      if (*size > 16384 && !limits_.authenticated) return fail("unauthenticated bulk length");
      if (input_.size() - at_ < static_cast<size_t>(*size) + 2) {
        starved_ = true;
        return;
      }
      words.emplace_back(input_.substr(at_, static_cast<size_t>(*size)));
      at_ += static_cast<size_t>(*size) + 2;
    }
  }

  void inline_request(Words& words) {
    const size_t end = input_.find('\n', at_);
    if ((end == std::string_view::npos ? input_.size() : end) - at_ > limits_.inline_size_max) {
      return fail("too big inline request");
    }
    if (end == std::string_view::npos) {
      starved_ = true;
      return;
    }
    std::string text(input_.substr(at_, end - at_));
    if (!text.empty() && text.back() == '\r') text.pop_back();
    at_ = end + 1;
    if (!split(text.c_str(), words)) fail("unbalanced quotes in request");
  }

  static int hex(char c) {
    const char* digits = "0123456789abcdef";
    const char* found = c == '\0' ? nullptr : std::strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);
    return found == nullptr ? -1 : static_cast<int>(found - digits);
  }
  static bool blank(char c) { return c == ' ' || (c >= 9 && c <= 13); }

  // One state machine over the letters of a C string.
  static bool split(const char* p, Words& words) {
    enum { kBetween, kPlain, kDouble, kSingle, kClosed } state = kBetween;
    std::string word;
    for (;; ++p) {
      const char c = *p;
      if (state == kClosed) {
        if (c != '\0' && !blank(c)) return false;
        words.push_back(word);
        word.clear();
        state = kBetween;
      }
      if (state == kBetween) {
        if (c == '\0') return true;
        if (blank(c)) continue;
        state = kPlain;
      }
      if (c == '\0') {
        if (state != kPlain) return false;
        words.push_back(word);
        return true;
      }
      if (state == kPlain) {
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
          words.push_back(word);
          word.clear();
          state = kBetween;
        } else if (c == '"') {
          state = kDouble;
        } else if (c == '\'') {
          state = kSingle;
        } else {
          word.push_back(c);
        }
      } else if (state == kSingle) {
        if (c == '\\' && p[1] == '\'') {
          word.push_back(*++p);
        } else if (c == '\'') {
          state = kClosed;
        } else {
          word.push_back(c);
        }
      } else if (c == '"') {
        state = kClosed;
      } else if (c == '\\' && p[1] == 'x' && hex(p[2]) >= 0 && hex(p[3]) >= 0) {
        word.push_back(static_cast<char>(hex(p[2]) * 16 + hex(p[3])));
        p += 3;
      } else if (c == '\\' && p[1] != '\0') {
        ++p;
        const char* const from = "nrtba";
        const char* const to = "\n\r\t\b\a";
        const char* const found = std::strchr(from, *p);
        word.push_back(found == nullptr ? *p : to[found - from]);
      } else {
        word.push_back(c);
      }
    }
  }

  std::string_view input_;
  RequestLimits limits_;
  size_t at_ = 0;
  bool starved_ = false;
  Parsed parsed_;
};

// Feeds the real parser with pieces, as a session would.
Parsed parse_in_pieces(std::string_view input, const RequestLimits& limits, Prng& prng) {
  Parsed parsed;
  RequestParser parser;
  std::vector<Request> requests;
  std::string pending;
  size_t fed = 0;
  const size_t piece_max = 1 + prng.below(input.size() + 1);
  const size_t request_max = prng.chance(0.5) ? 1 + prng.below(3) : 1000;
  while (parsed.error.empty()) {
    const size_t piece = std::min<size_t>(input.size() - fed, 1 + prng.below(piece_max));
    pending.append(input.substr(fed, piece));
    fed += piece;
    for (;;) {
      const std::vector<char> exact(pending.begin(), pending.end());
      size_t consumed = 0;
      const auto outcome =
          parser.parse(std::string_view(exact.data(), exact.size()), limits, request_max, requests, consumed);
      for (const Request& request : requests) {
        CHECK(!request.args.empty());
        parsed.requests.emplace_back(request.args.begin(), request.args.end());
        parsed.raw.emplace_back(request.raw);
      }
      CHECK(consumed <= pending.size());
      CHECK(requests.size() <= request_max);
      pending.erase(0, consumed);
      parsed.consumed += consumed;
      if (outcome == RequestParser::Outcome::kProtocolError) {
        parsed.error = parser.error_text();
        break;
      }
      if (requests.size() < request_max) break;
    }
    if (fed == input.size()) break;
  }
  return parsed;
}

void check_input(std::string_view input) {
  Prng prng(hash64(input, 1));
  RequestLimits limits;
  limits.authenticated = prng.chance(0.7);
  if (prng.chance(0.3)) limits.inline_size_max = prng.below(40);
  if (prng.chance(0.3)) limits.bulk_size_max = static_cast<int64_t>(prng.below(40));
  if (prng.chance(0.3)) limits.argument_count_max = static_cast<int64_t>(prng.below(20));
  const Parsed expected = NaiveParser(input, limits).run();
  for (int round = 0; round < 3; ++round) {
    const Parsed parsed = parse_in_pieces(input, limits, prng);
    CHECK(parsed.requests == expected.requests);
    CHECK(parsed.raw == expected.raw);
    CHECK(parsed.error == expected.error);
    CHECK(parsed.consumed == expected.consumed);
  }
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::check_input(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}

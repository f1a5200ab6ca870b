// The request parser.  Two roads: parse_whole() reads a complete request of ordinary size with a few
// compares a header and no state; everything else (large, partial, inline, wrong) takes advance(), which
// remembers how far it came so that no byte is looked at twice.
#include "resp/request_parser.h"

#include <bit>
#include <cstring>

#include "util/check.h"
#include "util/number.h"

namespace quorate {
namespace {

// Redis gives up on a length line that does not end within this many bytes.
constexpr size_t kLengthLineMax = 64 * 1024;
constexpr int64_t kCountMaxBeforeAuth = 10;
constexpr int64_t kBulkMaxBeforeAuth = 16 * 1024;
// parse_whole() takes requests of at most this many arguments.
constexpr size_t kWholeCountMax = 99;
// Views kept between two batches; a larger need is given back.
constexpr size_t kViewsKept = 1024;
constexpr size_t kViewsFirst = 8;
constexpr size_t kPiecesKept = 64;

bool is_space(char letter) { return letter == ' ' || (letter >= '\t' && letter <= '\r'); }

unsigned digit_of(char letter) { return static_cast<unsigned char>(letter) - unsigned{'0'}; }

// Reads "<marker>N\r\n" at `at`; returns what follows, or null if it is not complete, has more than nine
// digits or is anything unusual.
inline const char* read_length(const char* at, const char* end, char marker, size_t& value) {
  if (end - at < 5) [[unlikely]]
    return nullptr;
  if (at[0] != marker) [[unlikely]]
    return nullptr;
  const unsigned first = digit_of(at[1]);
  if (first > 9) [[unlikely]]
    return nullptr;
  if (at[2] == '\r' && at[3] == '\n') [[likely]] {
    value = first;
    return at + 4;
  }
  if (first == 0) [[unlikely]]
    return nullptr;
  size_t total = first;
  const char* digit = at + 2;
  for (int digits = 2; digits <= 9; ++digits, ++digit) {
    if (end - digit < 3) return nullptr;
    const unsigned next = digit_of(*digit);
    if (next > 9) return nullptr;
    total = total * 10 + next;
    if (digit[1] == '\r') {
      if (digit[2] != '\n') return nullptr;
      value = total;
      return digit + 3;
    }
  }
  return nullptr;
}

int hex_value(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
  return -1;
}

char unescape(char letter) {
  switch (letter) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return letter;
  }
}

bool ends_word(char letter) { return letter == ' ' || letter == '\n' || letter == '\r' || letter == '\t'; }

// A closing quote must be followed by a blank or nothing.
bool may_close(std::string_view line, size_t at) { return at + 1 >= line.size() || is_space(line[at + 1]); }

// Reads the text inside double quotes; `at` is behind the opening quote, and behind the closing one after.
bool read_double_quoted(std::string_view line, size_t& at, std::string& word) {
  while (at < line.size()) {
    const char letter = line[at];
    if (letter == '\\' && at + 3 < line.size() && line[at + 1] == 'x' && hex_value(line[at + 2]) >= 0 &&
        hex_value(line[at + 3]) >= 0) {
      word.push_back(static_cast<char>(hex_value(line[at + 2]) * 16 + hex_value(line[at + 3])));
      at += 4;
    } else if (letter == '\\' && at + 1 < line.size()) {
      word.push_back(unescape(line[at + 1]));
      at += 2;
    } else if (letter == '"') {
      if (!may_close(line, at)) return false;
      ++at;
      return true;
    } else {
      word.push_back(letter);
      ++at;
    }
  }
  return false;
}

bool read_single_quoted(std::string_view line, size_t& at, std::string& word) {
  while (at < line.size()) {
    const char letter = line[at];
    if (letter == '\\' && at + 1 < line.size() && line[at + 1] == '\'') {
      word.push_back('\'');
      at += 2;
    } else if (letter == '\'') {
      if (!may_close(line, at)) return false;
      ++at;
      return true;
    } else {
      word.push_back(letter);
      ++at;
    }
  }
  return false;
}

// Reads one word that contains a quote, from its first letter; `at` is behind it after.
bool read_quoted_word(std::string_view line, size_t& at, std::string& word) {
  while (at < line.size() && !ends_word(line[at])) {
    const char letter = line[at++];
    if (letter == '"') return read_double_quoted(line, at, word);
    if (letter == '\'') return read_single_quoted(line, at, word);
    word.push_back(letter);
  }
  return true;
}

}  // namespace

std::string_view* RequestParser::room_for_views(size_t count, std::vector<Request>& requests) {
  if (views_.size() - used_ < count) [[unlikely]] {
    size_t size = views_.empty() ? kViewsFirst : views_.size();
    while (size - used_ < count) size *= 2;
    views_.resize(size);
    size_t offset = 0;
    for (Request& request : requests) {
      request.args = Args(views_.data() + offset, request.args.size());
      offset += request.args.size();
    }
  }
  return views_.data() + used_;
}

const char* RequestParser::parse_whole(const char* at, const char* end, size_t count_max, int64_t bulk_max,
                                       std::vector<Request>& requests) {
  const char* const begin = at;
  size_t count = 0;
  at = read_length(at, end, '*', count);
  if (at == nullptr || count == 0 || count > count_max) [[unlikely]]
    return nullptr;
  std::string_view* const views = room_for_views(count, requests);
  for (size_t index = 0; index < count; ++index) {
    size_t size = 0;
    at = read_length(at, end, '$', size);
    if (at == nullptr || static_cast<size_t>(end - at) < size + 2 ||
        static_cast<int64_t>(size) > bulk_max) [[unlikely]] {
      return nullptr;
    }
    views[index] = std::string_view(at, size);
    at += size + 2;
  }
  used_ += count;
  requests.push_back(Request{Args(views, count), std::string_view(begin, static_cast<size_t>(at - begin))});
  return at;
}

RequestParser::Outcome RequestParser::parse(std::string_view input, const RequestLimits& limits,
                                            size_t request_max, std::vector<Request>& requests,
                                            size_t& consumed) {
  requests.clear();
  if (views_.size() > kViewsKept) std::vector<std::string_view>().swap(views_);
  if (!unquoted_.empty()) unquoted_.clear();
  used_ = 0;
  wanted_ = 0;
  size_t count_max = kWholeCountMax;
  if (limits.argument_count_max < 99) count_max = static_cast<size_t>(limits.argument_count_max);
  int64_t bulk_max = limits.bulk_size_max;
  if (!limits.authenticated) {
    if (count_max > kCountMaxBeforeAuth) count_max = kCountMaxBeforeAuth;
    if (bulk_max > kBulkMaxBeforeAuth) bulk_max = kBulkMaxBeforeAuth;
  }
  const char* const begin = input.data();
  const char* const end = begin + input.size();
  const char* at = begin;
  Outcome outcome = Outcome::kDone;
  while (at != end && requests.size() < request_max) {
    if (stage_ == Stage::kFresh) [[likely]] {
      const char* next = parse_whole(at, end, count_max, bulk_max, requests);
      if (next != nullptr) [[likely]] {
        at = next;
        continue;
      }
    }
    const Step step = advance(std::string_view(at, static_cast<size_t>(end - at)), limits, requests);
    if (step == Step::kError) outcome = Outcome::kProtocolError;
    if (step == Step::kError || step == Step::kNeedMore) break;
    at += position_;
    stage_ = Stage::kFresh;
  }
  consumed = static_cast<size_t>(at - begin);
  return outcome;
}

RequestParser::Step RequestParser::fail(std::string_view text) {
  error_ = "Protocol error: ";
  error_ += text;
  return Step::kError;
}

RequestParser::Step RequestParser::advance(std::string_view text, const RequestLimits& limits,
                                           std::vector<Request>& requests) {
  if (stage_ == Stage::kFresh) {
    position_ = scanned_ = 0;
    stage_ = text.front() == '*' ? Stage::kArrayHeader : Stage::kInline;
  }
  if (stage_ == Stage::kInline) return read_inline(text, limits, requests);
  if (stage_ == Stage::kArrayHeader) {
    const Step step = read_array_header(text, limits);
    if (step != Step::kComplete) return step;
  }
  while (arguments_left_ > 0) {
    if (stage_ == Stage::kBulkHeader) {
      const Step step = read_bulk_header(text, limits);
      if (step != Step::kComplete) return step;
    }
    if (text.size() - position_ < bulk_size_ + 2) {
      wanted_ = bulk_size_ + 2 - (text.size() - position_);
      return Step::kNeedMore;
    }
    pieces_.push_back(Piece{position_, bulk_size_});
    position_ += bulk_size_ + 2;
    scanned_ = position_;
    --arguments_left_;
    stage_ = Stage::kBulkHeader;
  }
  std::string_view* const views = room_for_views(pieces_.size(), requests);
  for (size_t index = 0; index < pieces_.size(); ++index) {
    views[index] = text.substr(pieces_[index].offset, pieces_[index].size);
  }
  used_ += pieces_.size();
  requests.push_back(Request{Args(views, pieces_.size()), text.substr(0, position_)});
  if (pieces_.capacity() > kPiecesKept) std::vector<Piece>().swap(pieces_);
  pieces_.clear();
  return Step::kComplete;
}

// Finds the CR of the length line at position_; complete when the byte behind it is there too.
RequestParser::Step RequestParser::read_line(std::string_view text, size_t size_max, std::string_view too_long,
                                             size_t& line_end) {
  const size_t found = text.find('\r', scanned_);
  const size_t size = (found == std::string_view::npos ? text.size() : found) - position_;
  if (size > size_max) return fail(too_long);
  if (found == std::string_view::npos || found + 1 >= text.size()) {
    scanned_ = found == std::string_view::npos ? text.size() : found;
    return Step::kNeedMore;
  }
  line_end = found;
  return Step::kComplete;
}

RequestParser::Step RequestParser::read_array_header(std::string_view text, const RequestLimits& limits) {
  size_t line_end = 0;
  const Step step = read_line(text, kLengthLineMax, "too big mbulk count string", line_end);
  if (step != Step::kComplete) return step;
  const auto count = parse_int(text.substr(1, line_end - 1));
  if (!count || *count > limits.argument_count_max) return fail("invalid multibulk length");
  if (*count > kCountMaxBeforeAuth && !limits.authenticated) return fail("unauthenticated multibulk length");
  position_ = scanned_ = line_end + 2;
  if (*count <= 0) return Step::kSkipped;
  arguments_left_ = *count;
  pieces_.clear();
  stage_ = Stage::kBulkHeader;
  return Step::kComplete;
}

RequestParser::Step RequestParser::read_bulk_header(std::string_view text, const RequestLimits& limits) {
  size_t size = 0;
  const char* const at = text.data() + position_;
  const char* const behind = read_length(at, text.data() + text.size(), '$', size);
  if (behind != nullptr) {
    position_ += static_cast<size_t>(behind - at);
  } else {
    size_t line_end = 0;
    const Step step = read_line(text, kLengthLineMax, "too big bulk count string", line_end);
    if (step != Step::kComplete) return step;
    if (*at != '$') {
      const bool printable = *at >= ' ' && *at <= '~';
      return fail(std::string("expected '$', got '") + (printable ? *at : ' ') + "'");
    }
    const auto parsed = parse_int(text.substr(position_ + 1, line_end - position_ - 1));
    if (!parsed || *parsed < 0) return fail("invalid bulk length");
    size = static_cast<size_t>(*parsed);
    position_ = line_end + 2;
  }
  if (size > static_cast<size_t>(limits.bulk_size_max)) return fail("invalid bulk length");
  if (size > static_cast<size_t>(kBulkMaxBeforeAuth) && !limits.authenticated) {
    return fail("unauthenticated bulk length");
  }
  bulk_size_ = size;
  stage_ = Stage::kBulk;
  return Step::kComplete;
}

RequestParser::Step RequestParser::read_inline(std::string_view text, const RequestLimits& limits,
                                               std::vector<Request>& requests) {
  const size_t found = text.find('\n', scanned_);
  const size_t size = found == std::string_view::npos ? text.size() : found;
  if (size > limits.inline_size_max) return fail("too big inline request");
  if (found == std::string_view::npos) {
    scanned_ = text.size();
    return Step::kNeedMore;
  }
  position_ = found + 1;
  std::string_view line = text.substr(0, found);
  if (line.ends_with('\r')) line.remove_suffix(1);
  line = line.substr(0, line.find('\0'));  // Redis reads the line as a C string
  const size_t request_count = requests.size();
  if (!split_inline(line, requests)) return fail("unbalanced quotes in request");
  if (requests.size() == request_count) return Step::kSkipped;
  requests.back().raw = text.substr(0, position_);
  return Step::kComplete;
}

bool RequestParser::split_inline(std::string_view line, std::vector<Request>& requests) {
  size_t count = 0;
  for (size_t at = 0;;) {
    while (at < line.size() && is_space(line[at])) ++at;
    if (at == line.size()) break;
    const size_t word = at;
    while (at < line.size() && !ends_word(line[at]) && line[at] != '"' && line[at] != '\'') ++at;
    std::string_view argument = line.substr(word, at - word);
    if (at < line.size() && !ends_word(line[at])) {
      at = word;
      unquoted_.push_back(std::make_unique<std::string>());
      if (!read_quoted_word(line, at, *unquoted_.back())) return false;
      argument = *unquoted_.back();
    }
    room_for_views(count + 1, requests)[count] = argument;
    ++count;
  }
  if (count == 0) return true;
  requests.push_back(Request{Args(views_.data() + used_, count), {}});
  used_ += count;
  return true;
}

}  // namespace quorate

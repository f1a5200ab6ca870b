// Reads scripts: lines into steps, arguments with redis-cli's quoting and ${...}.
#include "tests/rt/script.h"

#include <regex.h>

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "util/number.h"

namespace quorate::rt {

namespace {

constexpr int64_t kRepeatMax = 64 << 20;
constexpr std::string_view kWorlds[] = {"inprocess", "socket", "follower", "redis"};

bool is_name(std::string_view text) {
  if (text.empty() || text[0] < 'a' || text[0] > 'z') return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = 0; (at = text.find_first_not_of(' ', at)) != std::string_view::npos;) {
    const size_t end = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

// "10s" -> 10000.
std::optional<int64_t> parse_duration_ms(std::string_view text) {
  const size_t unit_at = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_int(text.substr(0, unit_at));
  const std::string_view unit = text.substr(unit_at);
  if (!number || *number > 1'000'000'000) return std::nullopt;
  if (unit == "ms") return *number;
  if (unit == "s") return *number * 1000;
  if (unit == "m") return *number * 60'000;
  if (unit == "h") return *number * 3'600'000;
  if (unit == "d") return *number * 86'400'000;
  return std::nullopt;
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// Splits a line into arguments.  Bare words, "..." with escapes and '...' as redis-cli reads them; ${...} outside
// of '...' is an expression.
class ArgumentReader {
 public:
  explicit ArgumentReader(std::string_view line) : line_(line) {}

  // Empty and error() set on failure.
  std::vector<Argument> read() {
    std::vector<Argument> arguments;
    while (true) {
      while (at_ < line_.size() && line_[at_] == ' ') ++at_;
      if (at_ == line_.size()) return arguments;
      argument_.clear();
      literal_.clear();
      if (!read_argument()) return {};
      end_literal();
      if (argument_.empty()) argument_.push_back({});
      arguments.push_back(std::move(argument_));
    }
  }
  std::string_view error() const { return error_; }

 private:
  bool fail(std::string_view what) {
    error_ = what;
    return false;
  }

  bool read_argument() {
    char quote = 0;
    if (line_[at_] == '"' || line_[at_] == '\'') quote = line_[at_++];
    while (true) {
      if (at_ == line_.size()) return quote == 0 || fail("a quote is not closed");
      const char byte = line_[at_];
      if (quote == 0 && byte == ' ') return true;
      if (quote != 0 && byte == quote) {
        ++at_;
        return at_ == line_.size() || line_[at_] == ' ' || fail("a space must follow a closing quote");
      }
      if (quote == 0 && (byte == '"' || byte == '\'')) return fail("a quote inside a word");
      if (quote != '\'' && line_.substr(at_).starts_with("${")) {
        if (!read_expression()) return false;
      } else if (quote == '"' && byte == '\\') {
        if (!read_escape()) return false;
      } else if (quote == '\'' && line_.substr(at_).starts_with("\\'")) {
        literal_ += '\'';
        at_ += 2;
      } else {
        literal_ += byte;
        ++at_;
      }
    }
  }

  bool read_escape() {
    if (at_ + 1 == line_.size()) return fail("a quote is not closed");
    const char kind = line_[at_ + 1];
    at_ += 2;
    if (kind == 'x' && at_ + 2 <= line_.size()) {
      const int high = hex_value(line_[at_]);
      const int low = hex_value(line_[at_ + 1]);
      if (high < 0 || low < 0) return fail("\\x needs two hexadecimal digits");
      literal_ += static_cast<char>(high * 16 + low);
      at_ += 2;
      return true;
    }
    switch (kind) {
      case 'n': literal_ += '\n'; break;
      case 'r': literal_ += '\r'; break;
      case 't': literal_ += '\t'; break;
      case 'b': literal_ += '\b'; break;
      case 'a': literal_ += '\a'; break;
      default: literal_ += kind; break;
    }
    return true;
  }

  // ${name}, ${name+5}, ${name-5}, ${repeat text count}
  bool read_expression() {
    const size_t end = line_.find('}', at_);
    if (end == std::string_view::npos) return fail("a ${ is not closed");
    const std::string_view inside = line_.substr(at_ + 2, end - at_ - 2);
    at_ = end + 1;
    end_literal();
    const auto words = split_words(inside);
    if (words.size() == 3 && words[0] == "repeat") {
      const auto count = parse_int(words[2]);
      if (!count || *count < 0 || *count * static_cast<int64_t>(words[1].size()) > kRepeatMax) {
        return fail("${repeat text count}: the count is not valid");
      }
      argument_.push_back({Piece::Kind::kRepeat, std::string(words[1]), *count});
      return true;
    }
    if (words.size() != 1) return fail("an unknown ${expression}");
    const size_t sign = std::min(inside.find_first_of("+-"), inside.size());
    int64_t added = 0;
    if (sign < inside.size()) {
      const auto number = parse_int(inside.substr(sign + 1));
      if (!number) return fail("${name+number}: the number is not valid");
      added = inside[sign] == '-' ? -*number : *number;
    }
    if (!is_name(inside.substr(0, sign))) return fail("an unknown ${expression}");
    argument_.push_back({Piece::Kind::kVariable, std::string(inside.substr(0, sign)), added});
    return true;
  }

  void end_literal() {
    if (literal_.empty()) return;
    argument_.push_back({Piece::Kind::kLiteral, std::exchange(literal_, {}), 0});
  }

  std::string_view line_;
  size_t at_ = 0;
  Argument argument_;
  std::string literal_;
  std::string_view error_;
};

// What a line is by its first characters; `connection` and `rest` for those that have them.
struct Line {
  enum class Kind : uint8_t { kBlank, kComment, kSend, kAwait, kVerb, kMark, kText };
  Kind kind = Kind::kText;
  std::string_view connection{};
  std::string_view word{};
  std::string_view rest{};
};

Line classify(std::string_view line) {
  if (is_blank(line)) return {.kind = Line::Kind::kBlank};
  if (line[0] == '#') return {.kind = Line::Kind::kComment};
  const size_t arrow = line.find_first_of("<>");
  if (arrow != std::string_view::npos && (arrow == 0 || is_name(line.substr(0, arrow))) &&
      (arrow + 1 == line.size() || line[arrow + 1] == ' ')) {
    return {.kind = line[arrow] == '>' ? Line::Kind::kSend : Line::Kind::kAwait,
            .connection = line.substr(0, arrow),
            .rest = arrow + 1 < line.size() ? line.substr(arrow + 2) : std::string_view()};
  }
  const std::string_view word = line.substr(0, line.find(' '));
  const std::string_view rest = word.size() < line.size() ? line.substr(word.size() + 1) : std::string_view();
  constexpr std::string_view kVerbs[] = {"ADVANCE", "CONN", "CLOSE", "RESP2", "RESP3", "RESTART", "RAW"};
  constexpr std::string_view kMarks[] = {"since", "world", "file"};
  if (std::find(std::begin(kVerbs), std::end(kVerbs), word) != std::end(kVerbs)) {
    return {.kind = Line::Kind::kVerb, .word = word, .rest = rest};
  }
  if (std::find(std::begin(kMarks), std::end(kMarks), word) != std::end(kMarks) && !rest.empty()) {
    return {.kind = Line::Kind::kMark, .word = word, .rest = rest};
  }
  return {.kind = Line::Kind::kText};
}

class ScriptReader {
 public:
  ScriptReader(std::string path, std::string_view text, ReplyRule rule, std::vector<std::string>& errors)
      : rule_(rule), errors_(errors) {
    script_.path = std::move(path);
    while (!text.empty()) {
      const size_t end = text.find('\n');
      script_.lines.emplace_back(text.substr(0, end));
      text.remove_prefix(std::min(end, text.size() - 1) + 1);
    }
  }

  std::optional<Script> read() {
    const size_t errors_before = errors_.size();
    if (script_.lines.empty() || script_.lines[0][0] != '#') fail(1, "a script begins with a comment that says what it is for");
    while (at_ < script_.lines.size()) read_line();
    end_block();
    if (script_.blocks.empty()) fail(1, "a script without a step");
    if (errors_.size() != errors_before) return std::nullopt;
    return std::move(script_);
  }

 private:
  int number() const { return static_cast<int>(at_) + 1; }
  void fail(int line, std::string_view what) {
    errors_.push_back(script_.path + ":" + std::to_string(line) + ": " + std::string(what));
  }

  void read_line() {
    const std::string& text = script_.lines[at_];
    const Line line = classify(text);
    const int line_number = number();
    ++at_;
    switch (line.kind) {
      case Line::Kind::kBlank: end_block(); break;
      case Line::Kind::kComment: break;
      case Line::Kind::kSend:
        add_step({.kind = Step::Kind::kSend, .line = line_number, .connection = std::string(line.connection)});
        read_arguments(line.rest);
        read_expectation();
        break;
      case Line::Kind::kAwait:
        add_step({.kind = Step::Kind::kAwait, .line = line_number, .connection = std::string(line.connection)});
        if (!is_blank(line.rest)) fail(line_number, "the awaited reply goes on the lines below '<'");
        read_expectation();
        break;
      case Line::Kind::kVerb: read_verb(line, line_number); break;
      case Line::Kind::kMark: read_mark(line, line_number); break;
      case Line::Kind::kText: fail(line_number, "neither a command, a verb, a mark nor part of a reply"); break;
    }
  }

  Step& step() { return block_.steps.back(); }

  void add_step(Step new_step) {
    if (block_.steps.empty()) block_.line = new_step.line;
    block_.steps.push_back(std::move(new_step));
  }

  void end_block() {
    if (block_.steps.empty() && has_marks_) fail(number() - 1, "marks without a step; `file since ...` marks a whole file");
    if (!block_.steps.empty()) script_.blocks.push_back(std::move(block_));
    block_ = {};
    has_marks_ = false;
    stored_.clear();
  }

  void read_arguments(std::string_view text) {
    ArgumentReader reader(text);
    step().arguments = reader.read();
    if (!reader.error().empty()) {
      fail(step().line, reader.error());
    } else if (step().arguments.empty()) {
      fail(step().line, "nothing to send");
    }
    for (const Argument& argument : step().arguments) {
      for (const Piece& piece : argument) {
        if (piece.kind == Piece::Kind::kVariable && !stored_.contains(piece.text) &&
            piece.text != "now_s" && piece.text != "now_ms") {
          fail(step().line, "${" + piece.text + "} was not stored before");
        }
      }
    }
  }

  void read_verb(const Line& line, int line_number) {
    const std::string_view word = line.word;
    add_step({.line = line_number});
    if (word == "ADVANCE") {
      const auto duration = parse_duration_ms(line.rest);
      if (!duration) fail(line_number, "ADVANCE 10s (ms, s, m, h, d)");
      step().kind = Step::Kind::kAdvance;
      step().number = duration.value_or(0);
    } else if (word == "CONN" || word == "CLOSE") {
      step().kind = word == "CONN" ? Step::Kind::kConnection : Step::Kind::kClose;
      step().connection = line.rest;
      if (!is_name(line.rest)) fail(line_number, "a connection's name is lower case letters, digits and _");
    } else if (word == "RAW") {
      step().kind = Step::Kind::kRaw;
      read_arguments(line.rest);
      if (step().arguments.size() > 1) fail(line_number, "RAW takes one argument");
      read_expectation();
    } else {
      step().kind = word == "RESTART" ? Step::Kind::kRestart : Step::Kind::kProtocol;
      step().number = word == "RESP3" ? 3 : 2;
      if (!line.rest.empty()) fail(line_number, std::string(word) + " takes no argument");
    }
  }

  void read_mark(const Line& line, int line_number) {
    Line mark = line;
    Condition* condition = &block_.condition;
    if (mark.word == "file") {
      mark = classify(line.rest);
      condition = &script_.condition;
      if (mark.kind != Line::Kind::kMark || mark.word == "file") return fail(line_number, "file since X.Y, or file world NAME");
      if (!script_.blocks.empty() || !block_.steps.empty()) fail(line_number, "a file's marks stand before its first step");
    } else {
      has_marks_ = true;
      if (!block_.steps.empty()) fail(line_number, "marks stand before the first step of a block");
    }
    if (mark.word == "since") {
      const auto version = parse_version(mark.rest);
      if (!version) fail(line_number, "since X.Y[.Z]");
      condition->since = version.value_or(0);
      return;
    }
    for (const std::string_view world : split_words(mark.rest)) {
      if (std::find(std::begin(kWorlds), std::end(kWorlds), world) == std::end(kWorlds)) {
        fail(line_number, "the worlds are inprocess, socket, follower and redis");
      }
      condition->worlds.emplace_back(world);
    }
  }

  void read_expectation() {
    Expectation& expected = step().expectation;
    expected.first_line = number();
    while (at_ < script_.lines.size()) {
      const std::string& line = script_.lines[at_];
      if (classify(line).kind != Line::Kind::kText) break;
      // Marks come first; behind them is what redis-cli shows.
      if (!expected.lines.empty() || !read_reply_mark(line)) {
        if (expected.lines.empty()) expected.first_line = number();
        expected.lines.push_back(line);
        ++expected.line_count;
      } else {
        expected.first_line = number() + 1;
      }
      ++at_;
    }
    const bool says_nothing = expected.lines.empty() && expected.patterns.empty() && expected.variable.empty() && !expected.any;
    if (says_nothing && rule_ == ReplyRule::kRequired) fail(step().line, "no reply is expected here; write it down");
    if (expected.any && (!expected.lines.empty() || !expected.patterns.empty())) fail(step().line, "`any` stands alone");
  }

  bool read_reply_mark(const std::string& line) {
    Expectation& expected = step().expectation;
    const auto words = split_words(line);
    const std::string_view word = words[0];
    if (word == "any" && words.size() == 1) {
      expected.any = true;
      return true;
    }
    if (word == "unordered") {
      if (words.size() == 1) expected.order = Order::kUnordered;
      else if (words[1] == "pairs") expected.order = Order::kUnorderedPairs;
      else if (words[1] == "deep") expected.order = Order::kUnorderedDeep;
      else return false;
      return true;
    }
    if (word == "match" && line.size() > 6) {
      regex_t compiled;
      const std::string pattern = line.substr(6);
      if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
        fail(number(), "not an extended regular expression");
      } else {
        regfree(&compiled);
      }
      expected.patterns.push_back(pattern);
      return true;
    }
    if (word == "store" && words.size() >= 2) {
      read_store(std::span(words).subspan(1));
      return true;
    }
    return false;
  }

  // store NAME [ITEM[.ITEM...]]
  void read_store(std::span<const std::string_view> words) {
    Expectation& expected = step().expectation;
    expected.variable = words[0];
    bool is_good = is_name(words[0]) && words.size() <= 2;
    for (std::string_view path = words.size() > 1 ? words[1] : std::string_view(); !path.empty();) {
      const size_t dot = std::min(path.find('.'), path.size());
      const auto item = parse_int(path.substr(0, dot));
      is_good = is_good && item && *item > 0;
      expected.path.push_back(static_cast<size_t>(item.value_or(1)));
      path.remove_prefix(std::min(dot + 1, path.size()));
    }
    if (!is_good) fail(number(), "store name, or store name 2.1 (an item of the reply)");
    stored_.insert(expected.variable);
  }

  Script script_;
  Block block_;
  bool has_marks_ = false;
  size_t at_ = 0;
  ReplyRule rule_;
  std::vector<std::string>& errors_;
  std::set<std::string, std::less<>> stored_;  // in this block
};

// ---- unordered replies -----------------------------------------------------------------------------

// Columns of the item number at the front of a shown aggregate ("1) ", " 1# ", "1~ "), or 0.
size_t number_width(std::string_view line) {
  const size_t digits_at = line.find_first_not_of(' ');
  if (digits_at == std::string_view::npos) return 0;
  const size_t end = line.find_first_not_of("0123456789", digits_at);
  if (end == std::string_view::npos || end == digits_at || end + 1 >= line.size()) return 0;
  const bool is_item = (line[end] == ')' || line[end] == '#' || line[end] == '~') && line[end + 1] == ' ';
  return is_item ? end : 0;
}

// The items of a shown aggregate without their numbers and indentation; empty if it is not one.
std::vector<std::string> items_of(std::string_view shown) {
  std::vector<std::string> items;
  const size_t width = number_width(shown.substr(0, shown.find('\n')));
  if (width == 0) return items;
  for (size_t at = 0; at <= shown.size();) {
    const size_t end = std::min(shown.find('\n', at), shown.size());
    const std::string_view line = shown.substr(at, end - at);
    at = end + 1;
    if (number_width(line) == width) {
      items.emplace_back(line.substr(width + 2));
    } else if (!items.empty()) {
      items.back() += '\n';
      items.back() += line.substr(std::min(line.size(), width + 2));
    }
  }
  return items;
}

}  // namespace

std::string sorted_text(std::string_view shown, Order order) {
  std::vector<std::string> items = items_of(shown);
  if (items.empty() || order == Order::kExact) return std::string(shown);
  if (order == Order::kUnorderedDeep) {
    for (std::string& item : items) item = sorted_text(item, order);
  }
  if (order == Order::kUnorderedPairs) {
    std::vector<std::string> pairs;
    for (size_t index = 0; index + 1 < items.size(); index += 2) {
      pairs.push_back(items[index] + "\n" + items[index + 1]);
    }
    if (items.size() % 2 == 1) pairs.push_back(items.back());
    items = std::move(pairs);
  }
  std::sort(items.begin(), items.end());
  std::string text = std::to_string(items.size()) + " items in any order:";
  for (const std::string& item : items) text += "\n- " + item;
  return text;
}

std::optional<Version> parse_version(std::string_view text) {
  Version version = 0;
  int parts = 0;
  for (; parts < 3 && !text.empty(); ++parts) {
    const size_t dot = std::min(text.find('.'), text.size());
    const auto part = parse_int(text.substr(0, dot));
    if (!part || *part < 0 || *part > 99) return std::nullopt;
    version = version * 100 + static_cast<int>(*part);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  if (parts < 2 || !text.empty()) return std::nullopt;
  return parts == 2 ? version * 100 : version;
}

std::optional<Script> parse_script(std::string path, std::string_view text, ReplyRule rule,
                                   std::vector<std::string>& errors) {
  ScriptReader reader(std::move(path), text, rule, errors);
  return reader.read();
}

std::optional<std::string> expand(const Argument& argument, const Variables& variables) {
  std::string bytes;
  for (const Piece& piece : argument) {
    switch (piece.kind) {
      case Piece::Kind::kLiteral: bytes += piece.text; break;
      case Piece::Kind::kRepeat:
        for (int64_t left = piece.number; left > 0; --left) bytes += piece.text;
        break;
      case Piece::Kind::kVariable: {
        const auto found = variables.find(piece.text);
        if (found == variables.end()) return std::nullopt;
        if (piece.number == 0) {
          bytes += found->second;
          break;
        }
        const auto value = parse_int(found->second);
        if (!value) return std::nullopt;
        bytes += std::to_string(*value + piece.number);
        break;
      }
    }
  }
  return bytes;
}

}  // namespace quorate::rt

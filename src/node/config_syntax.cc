// Reading redis.conf lines, written with an eye on what Redis accepts (its splitter's rules for quotes).
#include "node/config_syntax.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "node/redact.h"

namespace quorate {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f' || c == '\0'; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

char unescaped(char c) {
  switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
  }
}

// Reads one word of a line; `at` moves behind it.
class WordReader {
 public:
  explicit WordReader(std::string_view line) : line_(line) {}

  bool at_end() {
    while (at_ < line_.size() && is_blank(line_[at_])) ++at_;
    return at_ == line_.size();
  }

  // False: quotes do not balance.
  bool next(std::string& word) {
    word.clear();
    while (at_ < line_.size()) {
      const char c = line_[at_];
      if (is_blank(c)) return true;
      ++at_;
      if (c == '"') return double_quoted(word);
      if (c == '\'') return single_quoted(word);
      word.push_back(c);
    }
    return true;
  }

 private:
  bool closes() const { return at_ == line_.size() || is_blank(line_[at_]); }

  bool double_quoted(std::string& word) {
    while (at_ < line_.size()) {
      const char c = line_[at_++];
      if (c == '"') return closes();
      if (c != '\\' || at_ == line_.size()) {
        word.push_back(c);
        continue;
      }
      if (line_[at_] == 'x' && at_ + 2 < line_.size() && hex_digit(line_[at_ + 1]) >= 0 &&
          hex_digit(line_[at_ + 2]) >= 0) {
        word.push_back(static_cast<char>(hex_digit(line_[at_ + 1]) * 16 + hex_digit(line_[at_ + 2])));
        at_ += 3;
        continue;
      }
      word.push_back(unescaped(line_[at_++]));
    }
    return false;
  }

  bool single_quoted(std::string& word) {
    while (at_ < line_.size()) {
      const char c = line_[at_++];
      if (c == '\'') return closes();
      if (c == '\\' && at_ < line_.size() && line_[at_] == '\'') {
        word.push_back('\'');
        ++at_;
        continue;
      }
      word.push_back(c);
    }
    return false;
  }

  std::string_view line_;
  size_t at_ = 0;
};

bool is_plain(std::string_view word) {
  if (word.empty() || word.front() == '#') return false;
  return std::all_of(word.begin(), word.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\';
  });
}

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
  return line;
}

void lower_in_place(std::string& word) {
  for (char& c : word) c = lower(c);
}

// One open file: where its reading stands.
struct OpenFile {
  std::string name;
  std::string text;
  size_t depth = 0;
  size_t at = 0;
  size_t line = 0;
};

}  // namespace

std::optional<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  WordReader reader(line);
  std::string word;
  while (!reader.at_end()) {
    if (!reader.next(word)) return std::nullopt;
    words.push_back(word);
  }
  return words;
}

std::string quote_word(std::string_view word) {
  if (is_plain(word)) return std::string(word);
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : word) {
    const auto byte = static_cast<uint8_t>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\a': out += "\\a"; break;
      default:
        if (byte >= 0x20 && byte < 0x7f) {
          out.push_back(c);
        } else {
          out += "\\x";
          out.push_back(kHex[byte >> 4]);
          out.push_back(kHex[byte & 15]);
        }
    }
  }
  out.push_back('"');
  return out;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string directive_error(const Directive& directive, std::string_view reason) {
  std::string out;
  if (directive.line == 0) {
    out = "Reading the command line\n>>> '";
  } else {
    out = "Reading the configuration file " + directive.origin + ", at line " + std::to_string(directive.line) +
          "\n>>> '";
  }
  out += shown_line(directive.text);
  out += "'\n";
  out += reason;
  return out;
}

Status read_directives(std::string_view text, std::string_view origin, ConfigFiles& files,
                       std::vector<Directive>& out) {
  std::vector<OpenFile> open;
  size_t bytes = text.size();
  open.push_back({std::string(origin), std::string(text)});
  while (!open.empty()) {
    OpenFile& file = open.back();
    if (file.at >= file.text.size()) {
      open.pop_back();
      continue;
    }
    const size_t end = std::min(file.text.find('\n', file.at), file.text.size());
    const std::string_view line = trimmed(std::string_view(file.text).substr(file.at, end - file.at));
    file.at = end + 1;
    ++file.line;
    if (line.empty() || line.front() == '#') continue;

    Directive directive{.words = {}, .origin = file.name, .line = file.line, .text = std::string(line)};
    auto words = split_words(line);
    if (!words)
      return Error(ErrorCode::kInvalidArgument, directive_error(directive, "Unbalanced quotes in configuration line"));
    if (words->empty()) continue;
    lower_in_place(words->front());
    directive.words = std::move(*words);
    if (directive.words.front() != "include") {
      out.push_back(std::move(directive));
      continue;
    }

    if (directive.words.size() != 2)
      return Error(ErrorCode::kInvalidArgument, directive_error(directive, "wrong number of arguments"));
    const size_t depth = file.depth + 1;  // `file` is gone once another is opened
    if (depth > kIncludeDepthMax)
      return Error(ErrorCode::kInvalidArgument,
                   directive_error(directive, "files include each other, or more than 16 deep"));
    auto included = files.read(directive.words[1]);
    if (!included.ok())
      return Error(ErrorCode::kInvalidArgument, directive_error(directive, included.error().detail()));
    // The first file of a pattern is read first, so it is opened last.
    auto& list = included.value();
    for (auto found = list.rbegin(); found != list.rend(); ++found) {
      bytes += found->text.size() + 1;
      if (bytes > kConfigBytesMax)
        return Error(ErrorCode::kInvalidArgument, directive_error(directive, "the configuration is too large"));
      open.push_back({std::move(found->name), std::move(found->text), depth});
    }
  }
  return done();
}

Result<std::vector<Directive>> command_line_directives(std::span<const std::string> args) {
  std::vector<Directive> out;
  for (const std::string& arg : args) {
    if (arg.size() > 2 && arg.starts_with("--")) {
      Directive directive;
      directive.words.push_back(arg.substr(2));
      lower_in_place(directive.words.front());
      directive.text = directive.words.front();
      out.push_back(std::move(directive));
      continue;
    }
    if (out.empty())
      return Error(ErrorCode::kInvalidArgument, "'" + arg + "' is neither the configuration file (which comes first) "
                                                "nor a --setting");
    out.back().words.push_back(arg);
    out.back().text += ' ';
    out.back().text += quote_word(arg);
  }
  return out;
}

}  // namespace quorate

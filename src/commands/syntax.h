// The reader of a row's `syntax`: the manual line of a command, without its name.  It works at compile time too,
// so that a row that contradicts itself does not build.
//
//   key                       an argument, named "key".  Its type follows the colon, else from the name:
//   name:int  name:double  name:time  name:key  name:pattern  name:string
//                             "key" is a key, "pattern" a pattern, every other name a string
//   name:key@2                the key (or pattern) belongs to the row's key specification number 2
//   WORD  =  ~  *  $          a token: capitals, or one of these signs
//   COUNT count:int           a token and its argument; attaches to the one argument (or <...>) behind it
//   [ ... ]                   optional
//   < ... >                   a required group; needed only for alternatives and for a token of several arguments
//   a | b                     alternatives, inside brackets
//   key [key ...]             once or more; also "field value [field value ...]"
//   [key ...]                 any number of times, also none
//   <...> ...                 the group once or more;  [...] ...  any number of times
// A group that begins with a token and has more than one argument is a block of that token: [LIMIT offset count].
// "[GET pattern [GET pattern ...]]" repeats with its token, "[WEIGHTS weight [weight ...]]" without.
#pragma once

#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "commands/spec.h"

namespace quorate {

enum class ArgumentType : uint8_t {
  kString, kInteger, kDouble, kKey, kPattern, kUnixTime, kPureToken, kOneOf, kBlock,
};

// One node of the tree.  Links are indexes into Syntax::nodes; kNoNode ends a list.
struct SyntaxNode {
  std::string_view name{};   // empty for groups; for a pure token the token (to be shown in lower case)
  std::string_view token{};
  ArgumentType type = ArgumentType::kString;
  bool is_optional = false;
  bool is_multiple = false;
  bool is_multiple_token = false;
  int8_t key_spec = -1;      // as written behind '@'
  int16_t first_child = -1;
  int16_t next = -1;
};
constexpr int16_t kNoNode = -1;
constexpr int kUnboundedWords = INT_MAX;

struct Syntax {
  static constexpr size_t kNodesMax = 64;
  std::array<SyntaxNode, kNodesMax> nodes{};
  int16_t count = 0;
  int16_t first = kNoNode;
  bool is_valid = true;
};

namespace syntax_detail {

constexpr bool is_upper(char letter) { return letter >= 'A' && letter <= 'Z'; }
constexpr bool is_lower(char letter) { return letter >= 'a' && letter <= 'z'; }
constexpr bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

constexpr bool is_token(std::string_view word) {
  if (word == "=" || word == "~" || word == "*" || word == "$" || word == "#" || word == "\"\"") return true;
  return !word.empty() && is_upper(word[0]);
}

// A run of sibling nodes being collected.
struct Run {
  int16_t first = kNoNode;
  int16_t last = kNoNode;
  int count = 0;
  bool repeats = false;  // ended with "..."
  std::string_view lead{};
  bool lead_repeats = false;
};

class Reader {
 public:
  constexpr explicit Reader(std::string_view text) : text_(text) { advance(); }

  constexpr Syntax read() {
    const Run run = read_run(Place::kTop);
    if (!word_.empty() || run.repeats || !run.lead.empty()) syntax_.is_valid = false;
    syntax_.first = run.first;
    return syntax_;
  }

 private:
  enum class Place : uint8_t { kTop, kGroup };

  // The next piece: a bracket, a bar, "..." or a word; empty at the end.
  constexpr void advance() { word_ = piece_at(at_, at_); }
  constexpr std::string_view piece_at(size_t from, size_t& behind) const {
    while (from < text_.size() && text_[from] == ' ') ++from;
    size_t end = from;
    if (from < text_.size() && is_bracket(text_[from])) {
      end = from + 1;
    } else {
      while (end < text_.size() && text_[end] != ' ' && !is_bracket(text_[end])) ++end;
    }
    behind = end;
    return text_.substr(from, end - from);
  }
  static constexpr bool is_bracket(char letter) {
    return letter == '[' || letter == ']' || letter == '<' || letter == '>' || letter == '|';
  }
  constexpr bool at_argument() const {
    return !word_.empty() && !is_bracket(word_[0]) && word_ != "..." && !is_token(word_);
  }

  constexpr int16_t make(ArgumentType type) {
    if (static_cast<size_t>(syntax_.count) == Syntax::kNodesMax) {
      syntax_.is_valid = false;
      return 0;
    }
    syntax_.nodes[static_cast<size_t>(syntax_.count)].type = type;
    return syntax_.count++;
  }
  constexpr SyntaxNode& node(int16_t index) { return syntax_.nodes[static_cast<size_t>(index)]; }

  constexpr void append(Run& run, int16_t index) {
    if (run.first == kNoNode) {
      run.first = index;
    } else {
      node(run.last).next = index;
    }
    run.last = index;
    ++run.count;
  }

  constexpr int16_t read_argument() {
    const std::string_view word = word_;
    advance();
    const size_t colon = word.find(':');
    const int16_t index = make(ArgumentType::kString);
    node(index).name = word.substr(0, colon);
    if (node(index).name == "key") node(index).type = ArgumentType::kKey;
    if (node(index).name == "pattern") node(index).type = ArgumentType::kPattern;
    if (!is_lower(word[0])) syntax_.is_valid = false;
    if (colon == std::string_view::npos) return index;
    std::string_view type = word.substr(colon + 1);
    const size_t at = type.find('@');
    if (at != std::string_view::npos) {
      if (type.size() != at + 2 || !is_digit(type[at + 1])) syntax_.is_valid = false;
      node(index).key_spec = static_cast<int8_t>(type.back() - '0');
      type = type.substr(0, at);
    }
    if (!set_type(node(index), type)) syntax_.is_valid = false;
    return index;
  }

  static constexpr bool set_type(SyntaxNode& node, std::string_view type) {
    struct Name {
      std::string_view name;
      ArgumentType type;
    };
    constexpr Name kNames[] = {
        {"int", ArgumentType::kInteger}, {"double", ArgumentType::kDouble},
        {"time", ArgumentType::kUnixTime}, {"key", ArgumentType::kKey},
        {"pattern", ArgumentType::kPattern}, {"string", ArgumentType::kString},
    };
    for (const Name& known : kNames) {
      if (known.name != type) continue;
      node.type = known.type;
      return true;
    }
    return false;
  }

  // A run up to the closing bracket, the bar or the end (none of which it takes).
  constexpr Run read_run(Place place) {
    Run run;
    bool after_group = false;
    while (!word_.empty() && word_ != "]" && word_ != ">" && word_ != "|" && syntax_.is_valid) {
      if (word_ == "...") {
        advance();
        if (after_group) {
          node(run.last).is_multiple = true;
        } else {
          run.repeats = true;
        }
        after_group = false;
      } else if (word_ == "[") {
        advance();
        after_group = !read_repetition(run) && read_optional(run);
      } else if (word_ == "<") {
        advance();
        append(run, read_group(">"));
        after_group = true;
      } else if (is_token(word_)) {
        read_token(run, place);
        after_group = false;
      } else {
        append(run, read_argument());
        after_group = false;
      }
    }
    return run;
  }

  constexpr void read_token(Run& run, Place place) {
    const std::string_view token = word_;
    advance();
    const bool has_argument = at_argument() || word_ == "<";
    if (!has_argument) {
      const int16_t index = make(ArgumentType::kPureToken);
      node(index).name = node(index).token = token;
      append(run, index);
    } else if (place == Place::kGroup && run.count == 0 && run.lead.empty()) {
      run.lead = token;
    } else {
      int16_t index = kNoNode;
      if (word_ == "<") {
        advance();
        index = read_group(">");
      } else {
        index = read_argument();
      }
      if (!node(index).token.empty()) syntax_.is_valid = false;
      node(index).token = token;
      append(run, index);
    }
  }

  constexpr bool read_optional(Run& run) {
    const int16_t index = read_group("]");
    node(index).is_optional = true;
    append(run, index);
    return true;
  }

  // Everything up to `close` as one node.
  constexpr int16_t read_group(std::string_view close) {
    Run alternatives;
    for (;;) {
      append(alternatives, collapse(read_run(Place::kGroup)));
      if (word_ != "|") break;
      advance();
    }
    if (word_ != close) syntax_.is_valid = false;
    advance();
    if (alternatives.count == 1) return alternatives.first;
    const int16_t index = make(ArgumentType::kOneOf);
    node(index).first_child = alternatives.first;
    return index;
  }

  constexpr int16_t collapse(const Run& run) {
    if (run.count == 0) {
      syntax_.is_valid = false;
      return make(ArgumentType::kBlock);
    }
    int16_t index = run.first;
    if (run.count > 1 || (!run.lead.empty() && !node(index).token.empty())) {
      index = make(ArgumentType::kBlock);
      node(index).first_child = run.first;
    }
    if (!run.lead.empty()) node(index).token = run.lead;
    if (run.repeats) node(index).is_multiple = true;
    if (run.lead_repeats) node(index).is_multiple_token = true;
    return index;
  }

  // "[key ...]" behind "key": takes it and marks what it repeats.  False: it is something else, nothing is taken.
  constexpr bool read_repetition(Run& run) {
    std::array<std::string_view, 8> words{};
    size_t count = 0;
    size_t at = at_;
    std::string_view piece = word_;
    for (; !piece.empty() && piece != "..." && count < words.size(); piece = piece_at(at, at)) {
      if (is_bracket(piece[0])) return false;
      words[count++] = piece.substr(0, piece.find(':'));
    }
    if (piece != "..." || count == 0 || piece_at(at, at) != "]") return false;
    bool with_token = false;
    size_t from = 0;
    if (words[0] == run.lead && !run.lead.empty()) {
      with_token = true;
      from = 1;
    }
    const int repeated = static_cast<int>(count - from);
    if (repeated == 0 || repeated > run.count) return false;
    int16_t before = kNoNode;
    int16_t start = run.first;
    for (int skip = run.count - repeated; skip > 0; --skip) {
      before = start;
      start = node(start).next;
    }
    int16_t one = start;
    for (size_t index = from; index < count; ++index) {
      if (node(one).name != words[index]) return false;
      one = node(one).next;
    }
    at_ = at;
    advance();
    if (with_token) run.lead_repeats = true;
    if (repeated > 1) start = wrap(run, before, start, repeated);
    node(start).is_multiple = true;
    return true;
  }

  // Makes a block of the last `count` nodes of the run, which begin at `start`, behind `before`.
  constexpr int16_t wrap(Run& run, int16_t before, int16_t start, int count) {
    const int16_t block = make(ArgumentType::kBlock);
    node(block).first_child = start;
    if (before == kNoNode) {
      run.first = block;
    } else {
      node(before).next = block;
    }
    run.last = block;
    run.count -= count - 1;
    return block;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string_view word_{};
  Syntax syntax_{};
};

}  // namespace syntax_detail

// Reads a row's syntax line; `is_valid` is false if it does not follow the notation.
constexpr Syntax read_syntax(std::string_view text) { return syntax_detail::Reader(text).read(); }

// How many words an argument (or a list of siblings) takes.
struct WordCount {
  int smallest = 0;
  int largest = 0;
};

constexpr WordCount count_words(const Syntax& syntax, int16_t first);

constexpr WordCount count_node_words(const Syntax& syntax, const SyntaxNode& node) {
  WordCount words;
  if (node.type == ArgumentType::kOneOf) {
    words.smallest = kUnboundedWords;
    for (int16_t child = node.first_child; child != kNoNode;
         child = syntax.nodes[static_cast<size_t>(child)].next) {
      const WordCount one = count_node_words(syntax, syntax.nodes[static_cast<size_t>(child)]);
      if (one.smallest < words.smallest) words.smallest = one.smallest;
      if (one.largest > words.largest) words.largest = one.largest;
    }
  } else if (node.type == ArgumentType::kBlock) {
    words = count_words(syntax, node.first_child);
  } else {
    words = {1, 1};
  }
  if (!node.token.empty() && node.type != ArgumentType::kPureToken) {
    ++words.smallest;
    if (words.largest != kUnboundedWords) ++words.largest;
  }
  if (node.is_multiple) words.largest = kUnboundedWords;
  if (node.is_optional) words.smallest = 0;
  return words;
}

constexpr WordCount count_words(const Syntax& syntax, int16_t first) {
  WordCount words;
  for (int16_t index = first; index != kNoNode; index = syntax.nodes[static_cast<size_t>(index)].next) {
    const WordCount one = count_node_words(syntax, syntax.nodes[static_cast<size_t>(index)]);
    words.smallest += one.smallest;
    if (one.largest == kUnboundedWords || words.largest == kUnboundedWords) {
      words.largest = kUnboundedWords;
    } else {
      words.largest += one.largest;
    }
  }
  return words;
}

constexpr bool is_container_help(std::string_view name) { return name.ends_with("|help"); }

// What is wrong with a row; empty if nothing.
constexpr std::string_view why_malformed(const CommandSpec& row) {
  if (row.name.empty()) return "no name";
  for (const char letter : row.name) {
    if (syntax_detail::is_upper(letter)) return "the name is not in lower case";
  }
  if (row.summary.empty()) return "no summary";
  if (row.since.empty()) return "no since";
  if (row.complexity.empty()) return "no complexity";
  if (row.run != nullptr && row.run_on_node != nullptr) return "two handlers";
  if (row.run == nullptr && row.run_on_node == nullptr && !is_container_help(row.name)) return "no handler";
  if ((row.flags & kWrite) != 0 && (row.flags & kReadonly) != 0) return "both write and readonly";
  if ((row.flags & kDenyOom) != 0 && (row.flags & kReadonly) != 0) return "both denyoom and readonly";
  for (size_t index = 0; index < row.keys.size(); ++index) {
    const KeySpec& keys = row.keys[index];
    if (keys.begin == KeySpec::Begin::kNone) continue;
    if (index > 0 && row.keys[index - 1].begin == KeySpec::Begin::kNone) return "a gap between key specifications";
    if (keys.begin == KeySpec::Begin::kIndex && keys.at < 1) return "a key specification without a place";
    if (keys.begin == KeySpec::Begin::kKeyword && keys.keyword.empty()) return "a key specification without its keyword";
    if ((keys.flags & kKeyNotKey) != 0) continue;
    const int access = ((keys.flags & kKeyReadOnly) != 0) + ((keys.flags & kKeyReadWrite) != 0) +
                       ((keys.flags & kKeyOverwrite) != 0) + ((keys.flags & kKeyRemove) != 0);
    if (access != 1) return "a key specification needs exactly one of RO, RW, OW, RM";
    const bool may_change = (row.flags & kReadonly) == 0 || (row.flags & kMayReplicate) != 0;
    if (!may_change && (keys.flags & kKeyReadOnly) == 0) return "readonly, but a key is changed";
  }
  const Syntax syntax = read_syntax(row.syntax);
  if (!syntax.is_valid) return "the syntax line does not follow the notation";
  if (row.irregular_arity) return {};
  const WordCount words = count_words(syntax, syntax.first);
  const int name_words = row.name.find('|') == std::string_view::npos ? 1 : 2;
  if (row.arity >= 0) {
    if (words.smallest != words.largest) return "the arity is exact, the syntax is not";
    if (words.smallest + name_words != row.arity) return "the arity is not the number of words of the syntax";
  } else {
    if (words.smallest == words.largest) return "the syntax is exact, the arity is not";
    if (words.smallest + name_words != -row.arity) return "the arity is not the smallest number of words of the syntax";
  }
  return {};
}

// For static_assert at the foot of a family: every row is complete and agrees with itself, and the rows are
// sorted by name.  To find the row: static_assert(why_malformed(kTable[7]).empty()).
template <size_t kRows>
consteval bool well_formed(const CommandSpec (&rows)[kRows]) {
  for (size_t index = 0; index < kRows; ++index) {
    if (!why_malformed(rows[index]).empty()) return false;
    if (index > 0 && !(rows[index - 1].name < rows[index].name)) return false;
  }
  return true;
}

}  // namespace quorate

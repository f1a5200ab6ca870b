// A script (.rt): what clients send and what redis-cli would show.  This reads the text into blocks of steps; the
// parser is strict, so that a slip is an error with its line and not a test that passes by doing nothing.
// The language is described in docs/TESTING.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::rt {

// An argument: literal pieces and ${expressions} in turn.
struct Piece {
  enum class Kind : uint8_t { kLiteral, kVariable, kRepeat };
  Kind kind = Kind::kLiteral;
  std::string text;    // the literal, the variable's name, or what is repeated
  int64_t number = 0;  // kVariable: added to it; kRepeat: how often
};
using Argument = std::vector<Piece>;

enum class Order : uint8_t { kExact, kUnordered, kUnorderedPairs, kUnorderedDeep };

// What a step expects to be answered.
struct Expectation {
  Order order = Order::kExact;
  std::vector<std::string> lines;    // as redis-cli shows the reply
  std::vector<std::string> patterns; // extended regular expressions; all must be found in the shown reply
  std::string variable;              // `store`: where the reply's text goes; empty = nowhere
  std::vector<size_t> path;          // `store name 2.1`: which item of the reply
  bool any = false;
  int first_line = 0;                // of the file, from 1; where --rewrite puts the text
  int line_count = 0;
};

struct Step {
  enum class Kind : uint8_t { kSend, kRaw, kAwait, kAdvance, kConnection, kClose, kProtocol, kRestart };
  Kind kind = Kind::kSend;
  int line = 0;
  std::string connection{};     // kSend and kAwait: "" = the current one
  std::vector<Argument> arguments{};
  int64_t number = 0;           // kAdvance: ms; kProtocol: 2 or 3
  Expectation expectation{};

  bool has_expectation() const { return kind == Kind::kSend || kind == Kind::kRaw || kind == Kind::kAwait; }
};

// A Redis version as one number: 7.0.15 is 70015.
using Version = int;
std::optional<Version> parse_version(std::string_view text);

// Where a block may run.
struct Condition {
  Version since = 0;
  std::vector<std::string> worlds;  // empty = all
};

struct Block {
  int line = 0;
  Condition condition;
  std::vector<Step> steps;
};

struct Script {
  std::string path;
  std::vector<std::string> lines;
  Condition condition;
  std::vector<Block> blocks;
};

// Whether a command without an expected reply is an error; a script that is to be rewritten may have such.
enum class ReplyRule : uint8_t { kRequired, kMayLack };

// Reads `text`; on failure returns nothing and appends "path:line: what" to `errors`.
std::optional<Script> parse_script(std::string path, std::string_view text, ReplyRule rule,
                                   std::vector<std::string>& errors);

using Variables = std::map<std::string, std::string, std::less<>>;

// The bytes of an argument.  Returns nothing if a variable is not set or not a number where one is needed.
std::optional<std::string> expand(const Argument& argument, const Variables& variables);

// Brings the items of a shown aggregate into one order, so that two texts that differ only in it become equal.
std::string sorted_text(std::string_view shown, Order order);

}  // namespace quorate::rt

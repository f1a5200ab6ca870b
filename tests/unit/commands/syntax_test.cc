// The reader of syntax lines.
#include "commands/syntax.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate {
namespace {

// A tree as one line: type letter, name, flags (? optional, + multiple, ++ with its token), token, children.
std::string shown(const Syntax& syntax, int16_t first) {
  std::string text;
  for (int16_t index = first; index != kNoNode; index = syntax.nodes[static_cast<size_t>(index)].next) {
    const SyntaxNode& node = syntax.nodes[static_cast<size_t>(index)];
    if (!text.empty()) text += ' ';
    static constexpr const char* kLetters[] = {"s:", "i:", "d:", "k:", "p:", "t:", "", "oneof", "block"};
    text += kLetters[static_cast<size_t>(node.type)];
    text += node.name;
    if (!node.token.empty() && node.type != ArgumentType::kPureToken) text += "/" + std::string(node.token);
    if (node.is_optional) text += '?';
    if (node.is_multiple) text += '+';
    if (node.is_multiple_token) text += '+';
    if (node.first_child != kNoNode) text += "(" + shown(syntax, node.first_child) + ")";
  }
  return text;
}

std::string tree(std::string_view text) {
  const Syntax syntax = read_syntax(text);
  return syntax.is_valid ? shown(syntax, syntax.first) : "invalid";
}

TEST(Syntax, gives_the_tree_of_the_manual_line) {
  const std::pair<const char*, const char*> samples[] = {
      {"", ""},
      {"key", "k:key"},
      {"key [key ...]", "k:key+"},
      {"[key ...]", "k:key?+"},
      {"key value [key value ...]", "block+(k:key s:value)"},
      {"key field value [field value ...]", "k:key block+(s:field s:value)"},
      {"key value [NX | XX] [GET] [EX seconds:int | KEEPTTL]",
       "k:key s:value oneof?(NX XX) GET? oneof?(i:seconds/EX KEEPTTL)"},
      {"key [LIMIT offset:int count:int]", "k:key block/LIMIT?(i:offset i:count)"},
      {"key [GET pattern [GET pattern ...]]", "k:key p:pattern/GET?++"},
      {"key [key ...] [WEIGHTS weight:int [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
       "k:key+ i:weight/WEIGHTS?+ oneof/AGGREGATE?(SUM MIN MAX)"},
      {"a:key b:key <LEFT | RIGHT> <LEFT | RIGHT>", "k:a k:b oneof(LEFT RIGHT) oneof(LEFT RIGHT)"},
      {"key <FROMMEMBER member | FROMLONLAT lon:double lat:double>",
       "k:key oneof(s:member/FROMMEMBER block/FROMLONLAT(d:lon d:lat))"},
      {"[protover:int [AUTH username password] [SETNAME name]]",
       "block?(i:protover block/AUTH?(s:username s:password) s:name/SETNAME?)"},
      {"<STREAMS key [key ...] id [id ...]>", "block/STREAMS(k:key+ s:id+)"},
      {"key [<MAXLEN | MINID> [= | ~] threshold [LIMIT count:int]]",
       "k:key block?(oneof(MAXLEN MINID) oneof?(= ~) s:threshold i:count/LIMIT?)"},
      {"<* | id> field value [field value ...]", "oneof(* s:id) block+(s:field s:value)"},
      {"key <GET a | SET b> ...", "k:key oneof+(s:a/GET s:b/SET)"},
      {"[a | b] ...", "oneof?+(s:a s:b)"},
  };
  for (const auto& [text, expected] : samples) EXPECT_EQ(tree(text), expected) << text;
}

TEST(Syntax, what_does_not_follow_the_notation_is_invalid) {
  for (const char* text : {"[key", "key]", "<a | b", "key:what", "a | b", "[]", "key ..."}) {
    EXPECT_EQ(tree(text), "invalid") << text;
  }
}

TEST(Syntax, words_are_counted) {
  const std::tuple<const char*, int, int> samples[] = {
      {"", 0, 0},
      {"key value", 2, 2},
      {"key [key ...]", 1, kUnboundedWords},
      {"key [LIMIT a b]", 1, 4},
      {"<A | B c>", 1, 2},
      {"[NX | XX] [GET]", 0, 2},
      {"key [GET pattern [GET pattern ...]]", 1, kUnboundedWords},
  };
  for (const auto& [text, smallest, largest] : samples) {
    const Syntax syntax = read_syntax(text);
    const WordCount words = count_words(syntax, syntax.first);
    EXPECT_EQ(words.smallest, smallest) << text;
    EXPECT_EQ(words.largest, largest) << text;
  }
}

Status nothing(CommandContext&) { return done(); }

constexpr CommandSpec kGood = {.name = "get", .arity = 2, .flags = kReadonly,
                               .keys = {one_key(kKeyReadOnly | kKeyAccess)}, .syntax = "key", .summary = "s",
                               .complexity = "O(1)", .since = "1.0.0", .run = nothing};
constexpr CommandSpec kRows[] = {kGood};
static_assert(well_formed(kRows));

template <class Change>
std::string_view wrong(Change change) {
  CommandSpec row = kGood;
  change(row);
  return why_malformed(row);
}

TEST(WellFormed, each_contradiction_is_found) {
  EXPECT_EQ(why_malformed(kGood), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.name = "Get"; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.arity = 3; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.arity = -2; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.flags |= kWrite; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.syntax = "[key"; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.summary = ""; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.since = ""; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.run = nullptr; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.keys[0].flags = kKeyAccess; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.keys[0].flags = kKeyReadWrite; }), "");
  EXPECT_NE(wrong([](CommandSpec& row) { row.keys = {KeySpec{}, one_key(kKeyReadOnly)}; }), "");
}

}  // namespace
}  // namespace quorate

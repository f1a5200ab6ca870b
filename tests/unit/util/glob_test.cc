// Glob patterns.
#include "util/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate {
namespace {

TEST(Glob, follows_the_rules_of_redis) {
  struct Sample {
    std::string_view pattern, text;
    bool expected;
  };
  const Sample samples[] = {
      {"*", "", true}, {"", "", true}, {"", "a", false}, {"a", "", false}, {"*", "abc", true},
      {"h?llo", "hello", true}, {"h?llo", "hllo", false}, {"h*llo", "heeeello", true}, {"h*llo", "hllo", true},
      {"h[ae]llo", "hallo", true}, {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true},
      {"h[^e]llo", "hello", false}, {"h[a-b]llo", "hbllo", true}, {"h[b-a]llo", "hallo", true},
      {"h\\*llo", "h*llo", true}, {"h\\*llo", "hello", false}, {"h[\\]]llo", "h]llo", true},
      {"a*b*c", "aXbXbXc", true}, {"a*b*c", "aXbXbX", false}, {"**", "x", true}, {"*a", "aaaa", true},
      {"[", "[", false}, {"[^", "x", true}, {"[a", "a", true}, {"a\\", "a\\", true}, {"[a-", "-", true},
      {"*[0-9]", "abc7", true}, {"a?*", "a", false}, {"HELLO", "hello", false},
  };
  for (const Sample& sample : samples) {
    EXPECT_EQ(glob_match(sample.pattern, sample.text), sample.expected) << sample.pattern << " " << sample.text;
  }
  EXPECT_TRUE(glob_match("HE[L-M]?O", "hello", CaseRule::kInsensitive));
}

TEST(Glob, does_not_explode_on_many_stars) {
  std::string pattern;
  for (int star = 0; star < 200; ++star) pattern += "a*";
  pattern += "b";
  EXPECT_FALSE(glob_match(pattern, std::string(20000, 'a')));
}

}  // namespace
}  // namespace quorate

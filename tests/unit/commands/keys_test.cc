// Key extraction.  The expectations are COMMAND GETKEYSANDFLAGS of redis-server 7.0.15.
#include "commands/keys.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate {
namespace {

constexpr uint16_t kRead = kKeyReadOnly | kKeyAccess;
constexpr KeySpec kUnknownKeys = {.begin = KeySpec::Begin::kUnknown, .find = KeySpec::Find::kUnknown,
                                  .flags = kRead | kKeyIncomplete};

// "1RO 3OW" or "wrong".
std::string keys_of(const CommandSpec& spec, std::vector<std::string_view> args) {
  std::vector<KeyPosition> keys;
  if (!find_keys(spec, args, keys)) return "wrong";
  std::string text;
  for (const KeyPosition& key : keys) {
    if (!text.empty()) text += ' ';
    text += std::to_string(key.index);
    text += (key.flags & kKeyReadOnly) ? "RO" : (key.flags & kKeyReadWrite) ? "RW" : "OW";
  }
  return text;
}

TEST(Keys, ranges_counts_and_keywords) {
  const CommandSpec get = {.name = "get", .keys = {one_key(kRead)}};
  EXPECT_EQ(keys_of(get, {"get", "k"}), "1RO");
  EXPECT_EQ(keys_of(get, {"get"}), "");
  const CommandSpec mset = {.name = "mset", .keys = {key_range(kKeyOverwrite, 1, -1, 2)}};
  EXPECT_EQ(keys_of(mset, {"mset", "a", "1", "b", "2"}), "1OW 3OW");
  EXPECT_EQ(keys_of(mset, {"mset", "a", "1", "b"}), "1OW 3OW");
  const CommandSpec blpop = {.name = "blpop", .keys = {key_range(kKeyReadWrite, 1, -2)}};
  EXPECT_EQ(keys_of(blpop, {"blpop", "a", "b", "0"}), "1RW 2RW");
  const CommandSpec store = {.name = "zunionstore", .keys = {one_key(kKeyOverwrite), counted_keys(kRead, 2)}};
  EXPECT_EQ(keys_of(store, {"zunionstore", "d", "2", "a", "b", "WEIGHTS", "1", "2"}), "1OW 3RO 4RO");
  EXPECT_EQ(keys_of(store, {"zunionstore", "d", "0"}), "1OW");
  for (const char* number : {"3", "-1", "x", "9223372036854775807"}) {
    EXPECT_EQ(keys_of(store, {"zunionstore", "d", number, "a", "b"}), "wrong") << number;
  }
  EXPECT_EQ(keys_of(store, {"zunionstore", "d"}), "wrong");
  const CommandSpec xread = {.name = "xread", .keys = {keys_after(kRead, "STREAMS", 1, -1, 2)}};
  EXPECT_EQ(keys_of(xread, {"xread", "COUNT", "2", "streams", "a", "b", "0", "0"}), "4RO 5RO");
  EXPECT_EQ(keys_of(xread, {"xread", "STREAMS"}), "");
  EXPECT_EQ(keys_of(xread, {"xread", "a", "b"}), "");
  const CommandSpec backwards = {.name = "x", .keys = {keys_after(kRead, "KEYS", -2, -1)}};
  EXPECT_EQ(keys_of(backwards, {"x", "KEYS", "a", "b", "c"}), "2RO 3RO 4RO");
}

TEST(Keys, commands_no_specification_can_describe) {
  const CommandSpec sort = {.name = "sort", .keys = {one_key(kRead), kUnknownKeys, kUnknownKeys}};
  EXPECT_EQ(keys_of(sort, {"sort", "k", "BY", "store", "GET", "store", "LIMIT", "0", "1", "store", "d"}), "1RO 10OW");
  EXPECT_EQ(keys_of(sort, {"sort", "k", "store", "a", "STORE", "b", "store"}), "1RO 5OW");
  const CommandSpec set = {.name = "set", .keys = {one_key(kKeyReadWrite | kKeyAccess | kKeyUpdate | kKeyVariable)}};
  EXPECT_EQ(keys_of(set, {"set", "k", "v"}), "1OW");
  EXPECT_EQ(keys_of(set, {"set", "k", "v", "NX", "get"}), "1RW");
}

TEST(Keys, the_legacy_range_joins_plain_ranges) {
  const auto shown = [](const CommandSpec& spec) {
    const LegacyKeyRange range = legacy_key_range(spec);
    return std::to_string(range.first) + "," + std::to_string(range.last) + "," + std::to_string(range.step) +
           (has_movable_keys(spec) ? ",movable" : "");
  };
  EXPECT_EQ(shown({.name = "get", .keys = {one_key(kRead)}}), "1,1,1");
  EXPECT_EQ(shown({.name = "mset", .keys = {key_range(kRead, 1, -1, 2)}}), "1,-1,2");
  EXPECT_EQ(shown({.name = "rename", .keys = {one_key(kRead), one_key(kRead, 2)}}), "1,2,1");
  EXPECT_EQ(shown({.name = "zunionstore", .keys = {one_key(kRead), counted_keys(kRead, 2)}}), "1,1,1,movable");
  EXPECT_EQ(shown({.name = "sdiffstore", .keys = {one_key(kRead), key_range(kRead, 2, -1)}}), "1,-1,1");
  EXPECT_EQ(shown({.name = "xread", .keys = {keys_after(kRead, "STREAMS", 1, -1, 2)}}), "0,0,0,movable");
  EXPECT_EQ(shown({.name = "ping"}), "0,0,0");
}

}  // namespace
}  // namespace quorate

// Numbers of changes, and how lists of watched keys travel.
#include "node/key_versions.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "node/forward_message.h"
#include "node/session.h"
#include "node/watch_message.h"

namespace quorate {
namespace {

constexpr size_t kSlots = 1024;

TEST(KeyVersions, AChangeOfTheKeyIsSeenAndOneOfAnotherIsNot) {
  KeyVersions versions(4);
  versions.begin(1, 7);
  const KeyVersion seen = versions.watch(1);
  EXPECT_EQ(seen.term, 7u);
  EXPECT_TRUE(versions.is_unchanged(1, 10, seen));
  versions.note(1, 11);
  EXPECT_TRUE(versions.is_unchanged(1, 10, seen));
  versions.note(1, 10);
  EXPECT_FALSE(versions.is_unchanged(1, 10, seen));
  EXPECT_TRUE(versions.is_unchanged(1, 10, versions.watch(1)));
}

TEST(KeyVersions, KeysThatShareAPlaceCountAsOne) {
  KeyVersions versions(4);
  versions.begin(0, 1);
  const KeyVersion seen = versions.watch(0);
  versions.note(0, 10 + kSlots);
  EXPECT_FALSE(versions.is_unchanged(0, 10, seen));
}

TEST(KeyVersions, AChangeOfAnyKeyIsOneOfAll) {
  KeyVersions versions(4);
  versions.begin(0, 1);
  versions.begin(1, 1);
  const KeyVersion seen = versions.watch(0);
  const KeyVersion beside = versions.watch(1);
  versions.note_all(0);
  EXPECT_FALSE(versions.is_unchanged(0, 10, seen));
  EXPECT_TRUE(versions.is_unchanged(1, 10, beside));
}

TEST(KeyVersions, WhoHasNotLedAllTheTimeCannotTell) {
  KeyVersions versions(4);
  versions.begin(0, 3);
  const KeyVersion seen = versions.watch(0);
  // The same leadership, but not without a break: what went before is forgotten.
  versions.end(0);
  EXPECT_EQ(versions.watch(0), KeyVersion());
  EXPECT_FALSE(versions.is_unchanged(0, 10, seen));
  versions.begin(0, 3);
  EXPECT_FALSE(versions.is_unchanged(0, 10, seen));
  const KeyVersion later = versions.watch(0);
  EXPECT_FALSE(versions.is_unchanged(0, 10, seen));
  EXPECT_TRUE(versions.is_unchanged(0, 10, later));
  versions.end(0);
  versions.begin(0, 4);
  versions.watch(0);
  EXPECT_FALSE(versions.is_unchanged(0, 10, later));
  // Nobody has said anything.
  EXPECT_FALSE(versions.is_unchanged(0, 10, KeyVersion()));
}

TEST(KeyVersions, APartitionThatNobodyWatchesCostsNothing) {
  KeyVersions versions(4);
  for (uint32_t partition = 0; partition < 4; ++partition) versions.begin(partition, 1);
  const size_t nothing = versions.memory();
  for (uint64_t hash = 0; hash < 10'000; ++hash) versions.note(2, hash);
  EXPECT_EQ(versions.memory(), nothing);
  for (int count = 0; count < 10'000; ++count) versions.watch(2);
  EXPECT_LT(versions.memory(), nothing + 16 * kSlots);
  versions.end(2);
  EXPECT_EQ(versions.memory(), nothing);
}

TEST(WatchMessage, ListsComeBackAsTheyWere) {
  const std::vector<std::string_view> keys{"", "a", std::string_view("\0\r\n", 3)};
  EXPECT_EQ(decode_keys(encode_keys(keys)).value().size(), 3u);
  EXPECT_EQ(decode_keys(encode_keys(keys)).value()[2], keys[2]);
  const std::vector<KeySeen> seen{{.version = {3, 4}}, {.version = {UINT64_MAX, 0}, .was_expired = true}};
  const auto told = decode_seen(encode_seen(seen));
  ASSERT_TRUE(told.ok());
  ASSERT_EQ(told.value().size(), 2u);
  EXPECT_EQ(told.value()[1].version, seen[1].version);
  EXPECT_TRUE(told.value()[1].was_expired);
  const std::vector<WatchedKey> watched{{.database = 3, .key = "k", .was_expired = true, .version = KeyVersion{5, 6}}};
  const auto carried = decode_watched(encode_watched(watched), 4);
  ASSERT_TRUE(carried.ok());
  ASSERT_EQ(carried.value().size(), 1u);
  EXPECT_EQ(carried.value()[0].database, 3);
  EXPECT_EQ(carried.value()[0].key, "k");
  EXPECT_TRUE(carried.value()[0].was_expired);
  EXPECT_EQ(*carried.value()[0].version, (KeyVersion{5, 6}));
}

TEST(WatchMessage, WhatIsNoSuchListIsRefused) {
  const std::vector<WatchedKey> watched{{.database = 3, .key = "key", .was_expired = true, .version = KeyVersion{5, 6}}};
  const std::string bytes = encode_watched(watched);
  EXPECT_FALSE(decode_watched(bytes, 3).ok());   // no such database
  for (size_t size = 1; size < bytes.size(); ++size) EXPECT_FALSE(decode_watched(bytes.substr(0, size), 4).ok()) << size;
  std::string lie = bytes;
  lie.back() = 2;
  EXPECT_FALSE(decode_watched(lie, 4).ok());
  EXPECT_FALSE(decode_keys("\x05" "abc").ok());
  EXPECT_FALSE(decode_seen("\x05").ok());
}

TEST(WatchMessage, OnlyATransactionGoesByWhatIsWatched) {
  constexpr ForwardLimits kLimits{.partitions = 8, .databases = 4};
  Buffer bytes;   // what is decoded has views of them
  const auto decoded = [&](ForwardCommand command) {
    bytes.clear();
    encode_head(command, bytes);
    bytes.append(command.requests);
    return decode_command(bytes.view(), kLimits);
  };
  const std::vector<std::string_view> keys{"a", "b"};
  const std::string encoded_keys = encode_keys(keys);
  const std::vector<WatchedKey> watched{{.database = 3, .key = "k", .version = KeyVersion{5, 6}}};
  const std::string encoded_watched = encode_watched(watched);
  EXPECT_TRUE(decoded({.number = 1, .flags = kForwardWatches, .requests = encoded_keys}).ok());
  EXPECT_FALSE(decoded({.number = 1, .flags = kForwardWatches, .requests = "*1\r\n$4\r\nPING\r\n"}).ok());
  EXPECT_FALSE(decoded({.number = 1, .flags = kForwardWatches | kForwardWrites, .write_number = 1, .lowest_wanted = 1, .requests = encoded_keys}).ok());
  const auto exec = decoded({.number = 1, .flags = kForwardWatched, .watched = encoded_watched, .requests = "*1\r\n$4\r\nEXEC\r\n"});
  ASSERT_TRUE(exec.ok());
  EXPECT_EQ(exec.value().watched, encoded_watched);
  EXPECT_EQ(exec.value().requests, "*1\r\n$4\r\nEXEC\r\n");
  EXPECT_FALSE(decoded({.number = 1, .flags = kForwardWatched, .watched = "", .requests = "x"}).ok());
  EXPECT_FALSE(decoded({.number = 1, .flags = kForwardWatched, .watched = "abc", .requests = "x"}).ok());
  EXPECT_FALSE(decoded({.number = 1, .flags = kForwardWatched | kForwardMayBlock, .watched = encoded_watched, .requests = "x"}).ok());
}

}  // namespace
}  // namespace quorate

// Values through the RDB encoding and back: all types and encodings, golden bytes, payload checks,
// refusals.
#include "store/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "store/db.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/rdb/file.h"
#include "store/rdb/format.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "store/value.h"
#include "util/hash.h"
#include "util/prng.h"

namespace quorate {
namespace {

const StoreSettings kSettings;

struct Owned {
  explicit Owned(Entry* taken) : entry(taken) {}
  ~Owned() {
    if (entry != nullptr) destroy_entry(entry);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  template <class T>
  T& object() const {
    return *static_cast<T*>(entry->object());
  }
  Entry* entry;
};

// All of a value as text, in an order that does not depend on its form.
std::string describe(const Entry& entry) {
  std::vector<std::string> parts;
  const auto add = [&parts](std::string_view part) { parts.emplace_back(part); };
  switch (entry.type()) {
    case ValueType::kString:
      return "string " + std::string(entry.string());
    case ValueType::kList: {
      static_cast<const List*>(entry.object())->for_each([&](std::string_view e) { add(e); });
      std::string text = "list";
      for (const std::string& part : parts) text += " " + part;
      return text;
    }
    case ValueType::kSet:
      static_cast<const Set*>(entry.object())->for_each([&](std::string_view m) { add(m); });
      break;
    case ValueType::kSortedSet:
      static_cast<const SortedSet*>(entry.object())->for_each([&](std::string_view m, double s) {
        add(std::string(m) + "=" + std::to_string(s));
      });
      break;
    case ValueType::kHash:
      static_cast<const Hash*>(entry.object())->for_each([&](const Hash::Field& f) {
        add(std::string(f.name) + "=" + std::string(f.value) + "@" + std::to_string(f.expiry));
      });
      break;
    case ValueType::kStream:
      break;
  }
  std::sort(parts.begin(), parts.end());
  std::string text(type_name(entry.type()));
  for (const std::string& part : parts) text += " " + part;
  return text;
}

std::string payload_of(const Entry& entry, const StoreSettings& settings = kSettings) {
  Buffer out;
  encode_payload(entry, settings, out);
  return std::string(out.view());
}

void expect_round_trip(const Entry& entry, const StoreSettings& settings = kSettings) {
  const std::string payload = payload_of(entry, settings);
  Result<Entry*> decoded = decode_payload(payload, entry.key(), entry.expiry(), settings);
  ASSERT_TRUE(decoded.ok()) << decoded.error().detail();
  const Owned back(decoded.value());
  EXPECT_EQ(describe(*back.entry), describe(entry));
  EXPECT_EQ(back.entry->expiry(), entry.expiry());
  EXPECT_EQ(value_encoding(*back.entry, settings), value_encoding(entry, settings));
}

// With the sum that makes a hostile payload get past the door.
Result<Entry*> decode_body(std::string body, int version = 10) {
  body += static_cast<char>(version);
  body += static_cast<char>(version >> 8);
  const uint64_t sum = crc64(0, body);
  for (int index = 0; index < 8; ++index) body += static_cast<char>(sum >> (8 * index));
  return decode_payload(body, "key", kNever, kSettings);
}

TEST(Codec, StringsOfEveryShapeComeBack) {
  const std::string shapes[] = {"",
                                "0",
                                "-1",
                                "127",
                                "128",
                                "-129",
                                "32768",
                                "2147483647",
                                "-2147483648",
                                "2147483648",
                                "007",
                                "hello world",
                                std::string(20, 'a'),
                                std::string(21, 'a'),
                                std::string(100000, 'b'),
                                std::string("\0\xff\r\n", 4)};
  for (const std::string& value : shapes) {
    const Owned owned(Entry::create_string("key", value, 1700000000123));
    expect_round_trip(*owned.entry);
  }
}

TEST(Codec, StringsHaveRedisBytes) {
  const auto hex_of = [](std::string_view value) {
    const Owned owned(Entry::create_string("k", value, kNever));
    std::string text;
    for (const char byte : payload_of(*owned.entry)) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
      text += digits;
    }
    return text;
  };
  // As redis-server 7.0.15 answers DUMP.
  EXPECT_EQ(hex_of("10").substr(0, 10), "00c00a0a00");
  EXPECT_EQ(hex_of("hello").substr(0, 18), "000568656c6c6f0a00");
}

TEST(Codec, ListsComeBackWhateverTheSizeOfTheirElements) {
  Prng prng(7);
  for (const size_t count : {1u, 3u, 500u, 20000u}) {
    const Owned owned(Entry::create_object("key", ValueType::kList, kNever));
    for (size_t index = 0; index < count; ++index) {
      const uint64_t kind = prng.below(20);
      const size_t size = kind == 0 ? 9000 : kind == 1 ? 5000 : kind;
      if (kind == 2) {
        owned.object<List>().push_back(std::to_string(prng.next()));
      } else {
        owned.object<List>().push_back(std::string(size, static_cast<char>('a' + prng.below(26))));
      }
    }
    expect_round_trip(*owned.entry);
  }
}

TEST(Codec, SetsComeBackInAllThreeForms) {
  for (const int version : {10, 11}) {
    StoreSettings settings;
    settings.rdb_version = version;
    const Owned integers(Entry::create_object("key", ValueType::kSet, kNever));
    for (const char* member : {"1", "-5", "70000", "9223372036854775807", "-9223372036854775808"}) {
      integers.object<Set>().add(member, settings);
    }
    ASSERT_EQ(value_encoding(*integers.entry, settings), "intset");
    expect_round_trip(*integers.entry, settings);
    const Owned words(Entry::create_object("key", ValueType::kSet, kNever));
    for (const char* member : {"", "a", "12", "-3", "4095", "4096", "70000", "3000000000"}) {
      words.object<Set>().add(member, settings);
    }
    expect_round_trip(*words.entry, settings);
    for (int index = 0; index < 1000; ++index) {
      words.object<Set>().add("member" + std::to_string(index), settings);
    }
    ASSERT_EQ(value_encoding(*words.entry, settings), "hashtable");
    expect_round_trip(*words.entry, settings);
  }
}

TEST(Codec, SortedSetsComeBackWithEveryScore) {
  const Owned owned(Entry::create_object("key", ValueType::kSortedSet, kNever));
  int number = 0;
  for (const double score :
       std::initializer_list<double>{0.0, -0.0, 1.0, 1.5, -1e300, 3.0e-320, INFINITY, -INFINITY,
                                     0.1, 9007199254740993.0, 1e21}) {
    owned.object<SortedSet>().set("member" + std::to_string(++number), score, kSettings);
  }
  expect_round_trip(*owned.entry);
  for (; number < 1000; ++number) {
    owned.object<SortedSet>().set(std::to_string(number), number / 3.0, kSettings);
  }
  ASSERT_EQ(value_encoding(*owned.entry, kSettings), "skiplist");
  expect_round_trip(*owned.entry);
}

TEST(Codec, HashesComeBackWithTheirFieldsExpiry) {
  const Owned owned(Entry::create_object("key", ValueType::kHash, kNever));
  Hash& hash = owned.object<Hash>();
  hash.set("a", "1", kSettings);
  hash.set("b", "", kSettings);
  hash.set("", std::string(60, 'v'), kSettings);
  expect_round_trip(*owned.entry);
  EXPECT_EQ(payload_of(*owned.entry)[0], rdb::kHashListpack);
  hash.set_expiry("a", 1700000000123, kSettings);
  hash.set_expiry("b", 1700000009999, kSettings);
  expect_round_trip(*owned.entry);
  EXPECT_EQ(payload_of(*owned.entry)[0], rdb::kHashExpiry);
  for (int index = 0; index < 1000; ++index) hash.set(std::to_string(index), "v", kSettings);
  expect_round_trip(*owned.entry);
}

TEST(Codec, AnExportWithoutFieldExpiryLeavesDeadFieldsOut) {
  const Owned owned(Entry::create_object("key", ValueType::kHash, kNever));
  Hash& hash = owned.object<Hash>();
  hash.set("dead", "1", kSettings);
  hash.set("live", "2", kSettings);
  hash.set_expiry("dead", 100, kSettings);
  hash.set_expiry("live", 300, kSettings);
  Buffer out;
  EncodeOptions options{.field_expiry = EncodeOptions::FieldExpiry::kDrop, .now = 200};
  ASSERT_TRUE(encode_value(*owned.entry, kSettings, options, out));
  rdb::MemoryInput input(out.view().substr(1));
  Result<Entry*> decoded =
      decode_value(input, static_cast<uint8_t>(out.view()[0]), 10, "key", kNever, kSettings);
  ASSERT_TRUE(decoded.ok());
  const Owned back(decoded.value());
  EXPECT_EQ(describe(*back.entry), "hash live=2@" + std::to_string(kNever));
  options.now = 400;
  EXPECT_FALSE(encode_value(*owned.entry, kSettings, options, out));
}

TEST(Codec, PayloadsWithAWrongVersionOrSumAreRefused) {
  const Owned owned(Entry::create_string("key", "some value", kNever));
  const std::string good = payload_of(*owned.entry);
  for (size_t index = 0; index < good.size(); ++index) {
    std::string bad = good;
    bad[index] = static_cast<char>(bad[index] ^ 4);
    const Result<Entry*> decoded = decode_payload(bad, "key", kNever, kSettings);
    ASSERT_FALSE(decoded.ok()) << index;
    EXPECT_EQ(decoded.error().code(), ErrorCode::kBadRestorePayload);
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_payload(good.substr(0, size), "key", kNever, kSettings).ok());
  }
  EXPECT_FALSE(decode_body(std::string("\0\x01x", 3), 13).ok());
  EXPECT_FALSE(decode_body(std::string("\0\x01x", 3), 79).ok());
}

TEST(Codec, HostileBodiesAreRefused) {
  const std::string bodies[] = {
      std::string("\0\x85xx", 4),                                 // no such length form
      std::string("\0\x81\x7f\xff\xff\xff\xff\xff\xff\xff", 10),  // a string of 2^63
      std::string("\0\xc3\x01\x80\xff\xff\xff\xff\0", 9),  // LZF: one byte cannot become 4 GB
      std::string("\0\xc7\0", 3),                          // unknown string encoding
      std::string("\x01\x81\x7f\xff\xff\xff\xff\xff\xff\xff", 10),  // a list of 2^63
      std::string("\x01\0", 2),                                     // an empty list
      std::string("\x02\x02\x01x\x01x", 6),                         // a member twice
      std::string("\x04\x02\x01x\x01y\x01x\x01z", 10),              // a field twice
      std::string("\x05\x01\x01x\0\0\0\0\0\0\xf8\x7f", 12),         // NaN
      std::string("\x10\x07\x07\0\0\0\0\0\xff", 9),                 // an empty hash
      std::string("\x0f\0", 2),                                     // a stream
      std::string("\x07\0", 2),                                     // a module
      std::string("\x63\0", 2),                                     // nothing
  };
  for (const std::string& body : bodies) {
    EXPECT_FALSE(decode_body(body).ok()) << testing::PrintToString(body);
  }
}

TEST(Codec, TypesOfOldAndNewerServersAreRead) {
  const auto text_of = [](const std::string& body, int version) {
    Result<Entry*> decoded = decode_body(body, version);
    if (!decoded.ok()) return std::string(decoded.error().detail());
    const Owned owned(decoded.value());
    return describe(*owned.entry);
  };
  const std::string never = std::to_string(kNever);
  // Zipmap: two fields, the second value with an unused byte.
  EXPECT_EQ(text_of(std::string("\x09\x0d\x02\x01"
                                "a\x01\0x\x01"
                                "b\x01\x01y_\xff",
                                15),
                    9),
            "hash a=x@" + never + " b=y@" + never);
  // Sorted set with scores as text.
  EXPECT_EQ(text_of(std::string("\x03\x02\x01"
                                "a\x03"
                                "1.5\x01"
                                "b\xff",
                                11),
                    5),
            "zset a=1.500000 b=-inf");
  // Ziplist of an integer in its encoding and a text.
  EXPECT_EQ(text_of(std::string("\x0a\x11\x11\0\0\0\x0c\0\0\0\x02\0\0\xf6\x02\x02hi\xff", 19), 6),
            "list 5 hi");
  // Redis 7.4: a hash whose first field expires; the time is relative to the earliest.
  EXPECT_EQ(text_of(std::string("\x18\xe8\x03\0\0\0\0\0\0\x02\x01\x01"
                                "a\x01x\0\x01"
                                "b\x01y",
                                20),
                    12),
            "hash a=x@1000 b=y@" + never);
  // Valkey 9: type 22 has the time behind the value, -1 for none.
  EXPECT_EQ(text_of(std::string("\x16\x01\x01"
                                "a\x01x\xe8\x03\0\0\0\0\0\0",
                                14),
                    80),
            "hash a=x@1000");
  // The same number in a release candidate of Redis 7.4: the time stands in front.
  EXPECT_EQ(text_of(std::string("\x16\x01\x43\xe8\x01"
                                "a\x01x",
                                8),
                    12),
            "hash a=x@1000");
}

// The bytes that a file takes for one string of `size` equal letters.
size_t file_bytes_of(size_t size, rdb::Compression compression) {
  Store store({.databases = 1, .partitions = 1, .hash_seed = 1, .random_seed = 1}, kSettings);
  rdb::FileEncoder encoder(store, {.compression = compression});
  const Owned string(Entry::create_string("key", std::string(size, 'a'), kNever));
  const size_t before = encoder.pending();
  encoder.save(0, *string.entry);
  return encoder.pending() - before;
}

TEST(RdbFile, OnlyLongStringsAreWorthCompressing) {
  EXPECT_EQ(file_bytes_of(255, rdb::Compression::kOn), file_bytes_of(255, rdb::Compression::kOff));
  EXPECT_LT(file_bytes_of(256, rdb::Compression::kOn), 100u);
  EXPECT_GT(file_bytes_of(256, rdb::Compression::kOff), 256u);
}

}  // namespace
}  // namespace quorate

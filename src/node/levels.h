// Levels: how many copies a write has before it is answered, and what vouches for what a read answers (REPLICATION 2 and 4).  Values and
// their text; who obeys them is company.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quorate {

// `quorum`, `all` or a number of copies.
struct WriteLevel {
  static constexpr uint8_t kCopiesMax = 16;
  static constexpr uint8_t kQuorum = 64;  // more than half of the voters
  static constexpr uint8_t kAll = 65;     // all voters

  uint8_t copies = 0;                     // 1 to kCopiesMax, kQuorum or kAll; 0: nothing is said

  bool is_set() const { return copies != 0; }
  friend bool operator==(const WriteLevel&, const WriteLevel&) = default;
};

struct ReadLevel {
  enum class Kind : uint8_t {
    kUnset,    // nothing is said
    kLease,    // the leader, while its lease lasts, else after a round
    kQuorum,   // the leader, once a quorum of voters has confirmed it after the read
    kLocal,    // any node that has a copy, as it is there
    kCount,    // like quorum, with so many voters; with fewer than a quorum the leader as it believes
    kBounded,  // a copy that holds at least what was committed so long ago
  };
  static constexpr uint32_t kVotersMax = 16;
  static constexpr uint32_t kBoundMsMax = INT32_MAX;

  Kind kind = Kind::kUnset;
  uint32_t number = 0;  // kCount: voters, the leader among them; kBounded: milliseconds; else 0

  bool is_set() const { return kind != Kind::kUnset; }
  friend bool operator==(const ReadLevel&, const ReadLevel&) = default;
};

struct Levels {
  WriteLevel write = {};
  ReadLevel read = {};

  bool is_set() const { return write.is_set() || read.is_set(); }
  // What is not said here is taken from `other`.
  Levels or_else(const Levels& other) const {
    return {.write = write.is_set() ? write : other.write, .read = read.is_set() ? read : other.read};
  }
  friend bool operator==(const Levels&, const Levels&) = default;
};

// What holds for keys that begin so.
struct QuorumPolicy {
  std::string prefix;
  Levels levels;
};
// "user: w=all cache: w=1 r=local": prefixes, each with its levels.  Nothing: it cannot be read.
constexpr size_t kQuorumPoliciesMax = 1024;
std::optional<std::vector<QuorumPolicy>> parse_policies(std::string_view text);
std::string text_of(std::span<const QuorumPolicy> policies);
// That of the longest prefix; null: none.  O(policies).
const QuorumPolicy* policy_of(std::span<const QuorumPolicy> policies, std::string_view key);
// Keys of one command, of which the strictest policy counts.
using LevelKeys = std::span<const std::string_view>;

// As people write them, in any case: "quorum", "all", "2"; "lease", "quorum", "local", "2", "bounded:100".
std::optional<WriteLevel> parse_write_level(std::string_view text);
std::optional<ReadLevel> parse_read_level(std::string_view text);
// Requires: is_set().
std::string text_of(WriteLevel level);
std::string text_of(ReadLevel level);

// As numbers in messages between nodes; 0: nothing is said.
uint64_t number_of(WriteLevel level);
uint64_t number_of(ReadLevel level);
std::optional<WriteLevel> write_level_of(uint64_t number);
std::optional<ReadLevel> read_level_of(uint64_t number);

}  // namespace quorate

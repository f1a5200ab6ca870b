// Levels as text and as numbers.
#include "node/levels.h"

#include <algorithm>

#include "util/check.h"
#include "util/number.h"

namespace quorate {

namespace {

using Kind = ReadLevel::Kind;

constexpr uint64_t kKinds = 8;  // a read level is kind + 8 * number
constexpr std::string_view kBounded = "bounded:";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& letter : out) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + 32);
  }
  return out;
}

std::optional<uint32_t> number_in(std::string_view text, int64_t least, int64_t most) {
  const auto value = parse_int(text);
  if (!value || *value < least || *value > most) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

bool makes_sense(const ReadLevel& level) {
  switch (level.kind) {
    case Kind::kUnset:
    case Kind::kLease:
    case Kind::kQuorum:
    case Kind::kLocal:
      return level.number == 0;
    case Kind::kCount:
      return level.number >= 1 && level.number <= ReadLevel::kVotersMax;
    case Kind::kBounded:
      return level.number <= ReadLevel::kBoundMsMax;
  }
  return false;
}

}  // namespace

std::optional<WriteLevel> parse_write_level(std::string_view text) {
  const std::string word = lower(text);
  if (word == "quorum") return WriteLevel{WriteLevel::kQuorum};
  if (word == "all") return WriteLevel{WriteLevel::kAll};
  const auto copies = number_in(word, 1, WriteLevel::kCopiesMax);
  if (!copies) return std::nullopt;
  return WriteLevel{static_cast<uint8_t>(*copies)};
}

std::optional<ReadLevel> parse_read_level(std::string_view text) {
  const std::string word = lower(text);
  if (word == "lease") return ReadLevel{.kind = Kind::kLease};
  if (word == "quorum") return ReadLevel{.kind = Kind::kQuorum};
  if (word == "local") return ReadLevel{.kind = Kind::kLocal};
  const bool is_bounded = word.starts_with(kBounded);
  const auto number = is_bounded ? number_in(std::string_view(word).substr(kBounded.size()), 0, ReadLevel::kBoundMsMax)
                                 : number_in(word, 1, ReadLevel::kVotersMax);
  if (!number) return std::nullopt;
  return ReadLevel{.kind = is_bounded ? Kind::kBounded : Kind::kCount, .number = *number};
}

std::string text_of(WriteLevel level) {
  CHECK(level.is_set());
  if (level.copies == WriteLevel::kQuorum) return "quorum";
  return level.copies == WriteLevel::kAll ? "all" : std::to_string(level.copies);
}

std::string text_of(ReadLevel level) {
  switch (level.kind) {
    case Kind::kUnset: break;
    case Kind::kLease: return "lease";
    case Kind::kQuorum: return "quorum";
    case Kind::kLocal: return "local";
    case Kind::kCount: return std::to_string(level.number);
    case Kind::kBounded: return std::string(kBounded) + std::to_string(level.number);
  }
  CHECK(false);
}

std::optional<std::vector<QuorumPolicy>> parse_policies(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  std::vector<QuorumPolicy> policies;
  for (size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos; at = text.find_first_not_of(kBlanks, at)) {
    const size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
    const std::string_view word = text.substr(at, end - at);
    at = end;
    const bool is_write = word.starts_with("w=");
    if (!is_write && !word.starts_with("r=")) {
      const bool is_new = std::none_of(policies.begin(), policies.end(), [&](const QuorumPolicy& each) { return each.prefix == word; });
      const bool is_due = policies.empty() || policies.back().levels.is_set();
      if (!is_new || !is_due || policies.size() == kQuorumPoliciesMax) return std::nullopt;
      policies.push_back({.prefix = std::string(word), .levels = {}});
      continue;
    }
    if (policies.empty()) return std::nullopt;
    Levels& levels = policies.back().levels;
    const auto write = is_write ? parse_write_level(word.substr(2)) : std::optional(levels.write);
    const auto read = is_write ? std::optional(levels.read) : parse_read_level(word.substr(2));
    if (!write || !read || (is_write ? levels.write.is_set() : levels.read.is_set())) return std::nullopt;
    levels = {.write = *write, .read = *read};
  }
  if (!policies.empty() && !policies.back().levels.is_set()) return std::nullopt;
  return policies;
}

std::string text_of(std::span<const QuorumPolicy> policies) {
  std::string text;
  for (const QuorumPolicy& policy : policies) {
    if (!text.empty()) text += ' ';
    text += policy.prefix;
    if (policy.levels.write.is_set()) text += " w=" + text_of(policy.levels.write);
    if (policy.levels.read.is_set()) text += " r=" + text_of(policy.levels.read);
  }
  return text;
}

const QuorumPolicy* policy_of(std::span<const QuorumPolicy> policies, std::string_view key) {
  const QuorumPolicy* longest = nullptr;
  for (const QuorumPolicy& policy : policies) {
    if (!key.starts_with(policy.prefix)) continue;
    if (longest == nullptr || policy.prefix.size() > longest->prefix.size()) longest = &policy;
  }
  return longest;
}

uint64_t number_of(WriteLevel level) { return level.copies; }
uint64_t number_of(ReadLevel level) { return static_cast<uint64_t>(level.kind) + kKinds * level.number; }

std::optional<WriteLevel> write_level_of(uint64_t number) {
  const bool is_one = number <= WriteLevel::kCopiesMax || number == WriteLevel::kQuorum || number == WriteLevel::kAll;
  if (!is_one) return std::nullopt;
  return WriteLevel{static_cast<uint8_t>(number)};
}

std::optional<ReadLevel> read_level_of(uint64_t number) {
  if (number / kKinds > ReadLevel::kBoundMsMax || number % kKinds > static_cast<uint64_t>(Kind::kBounded)) return std::nullopt;
  const ReadLevel level{.kind = static_cast<Kind>(number % kKinds), .number = static_cast<uint32_t>(number / kKinds)};
  if (!makes_sense(level)) return std::nullopt;
  return level;
}

}  // namespace quorate

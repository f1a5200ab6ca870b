// The row of a command: everything that COMMAND, COMMAND DOCS, HELP, ACL categories, routing and
// the docs page say follows from it.  Rows stand at the foot of the file that holds the handlers.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "util/result.h"

namespace quorate {

struct CommandContext;
class NodeContext;

// Redis' command flags (COMMAND INFO), one bit each.
enum CommandFlag : uint32_t {
  kWrite = 1u << 0,
  kReadonly = 1u << 1,
  kDenyOom = 1u << 2,
  kAdmin = 1u << 3,
  kPubsub = 1u << 4,
  kNoScript = 1u << 5,
  kBlocking = 1u << 6,
  kLoading = 1u << 7,
  kStale = 1u << 8,
  kSkipMonitor = 1u << 9,
  kSkipSlowlog = 1u << 10,
  kFast = 1u << 11,
  kNoAuth = 1u << 12,
  kMayReplicate = 1u << 13,
  kAllowBusy = 1u << 14,
  kMovableKeys = 1u << 15,
  kNoMulti = 1u << 16,
  kNoMandatoryKeys = 1u << 17,
  kNoAsyncLoading = 1u << 18,
};

enum class Group : uint8_t {
  kString,
  kGeneric,
  kList,
  kHash,
  kSet,
  kSortedSet,
  kTransactions,
  kPubsub,
  kConnection,
  kServer,
  kStream,
  kScripting,
  kGeo,
  kHyperLogLog,
  kBitmap,
  kCluster,
};

// Flags of a key specification, as COMMAND INFO prints them.
enum KeyFlag : uint16_t {
  kKeyReadOnly = 1 << 0,   // RO
  kKeyReadWrite = 1 << 1,  // RW
  kKeyOverwrite = 1 << 2,  // OW
  kKeyRemove = 1 << 3,     // RM
  kKeyAccess = 1 << 4,
  kKeyUpdate = 1 << 5,
  kKeyInsert = 1 << 6,
  kKeyDelete = 1 << 7,
  kKeyNotKey = 1 << 8,
  kKeyIncomplete = 1 << 9,
  kKeyVariable = 1 << 10,
};

struct KeySpec {
  enum class Begin : uint8_t { kNone, kIndex, kKeyword, kUnknown };
  enum class Find : uint8_t { kRange, kCount, kUnknown };
  Begin begin = Begin::kNone;
  Find find = Find::kRange;
  uint16_t flags = 0;
  int16_t at = 0;  // index of the first key, or where to start looking for the keyword
  std::string_view keyword{};
  int16_t last = 0;  // kRange: relative to the first; -1 = the last argument, -2 = the one before
  int16_t step = 1;
  int16_t limit = 0;  // kRange: with last = -1: 2 = only the first half of the arguments
  int16_t first = 0;  // kCount: offset of the first key from the number's position
};

constexpr KeySpec one_key(uint16_t flags, int16_t at = 1) {
  return {.begin = KeySpec::Begin::kIndex, .flags = flags, .at = at};
}
// Keys at first, first+step, ... to `last` (absolute: -1 = the last argument).
constexpr KeySpec key_range(uint16_t flags, int16_t first, int16_t last, int16_t step = 1) {
  return {.begin = KeySpec::Begin::kIndex,
          .flags = flags,
          .at = first,
          .last = static_cast<int16_t>(last >= 0 ? last - first : last),
          .step = step};
}
// A number of keys at argument `at`, the keys behind it.
constexpr KeySpec counted_keys(uint16_t flags, int16_t at) {
  return {.begin = KeySpec::Begin::kIndex,
          .find = KeySpec::Find::kCount,
          .flags = flags,
          .at = at,
          .first = 1};
}
// Keys behind a keyword found from argument `from` on; `limit` 2 = the first half of what follows.
constexpr KeySpec keys_after(uint16_t flags, std::string_view keyword, int16_t from,
                             int16_t last = 0, int16_t limit = 0) {
  return {.begin = KeySpec::Begin::kKeyword,
          .flags = flags,
          .at = from,
          .keyword = keyword,
          .last = last,
          .limit = limit};
}

struct CommandSpec {
  using Handler = Status (*)(CommandContext&);
  using NodeHandler = Status (*)(NodeContext&);

  std::string_view name;  // lower case; a subcommand is "container|name"
  int arity = 0;          // as Redis: the name counts; negative = at least
  uint32_t flags = 0;
  std::array<KeySpec, 3> keys{};
  std::string_view syntax{};  // the manual line without the name; commands/syntax.h reads it
  std::string_view summary{};
  std::string_view complexity{};
  std::string_view since{};    // the Redis version that brought it
  std::string_view history{};  // "6.2.0: added GET; 7.0.0: ..." ("version: text" separated by "; ")
  std::string_view deprecated_since{};
  std::string_view replaced_by{};
  Group group = Group::kGeneric;
  std::string_view tips{};  // Redis' tips, comma separated: "request_policy:multi_shard,..."
  std::string_view acl{};   // extra ACL categories, comma separated: "dangerous"
  // The argument that names a member or field which the value at args[1] will be asked for, 0 = none: in a
  // pipeline its place in the value's table is loaded ahead.
  uint8_t member_at = 0;
  bool irregular_arity = false;
  Handler run = nullptr;              // data commands
  NodeHandler run_on_node = nullptr;  // session, node and cluster commands (src/node/commands)
};

}  // namespace quorate

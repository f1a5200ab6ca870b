// MEMORY USAGE: what one key costs.  (The rest of MEMORY is about the process: src/node/commands.)
#include "commands/context.h"
#include "commands/families.h"
#include "commands/syntax.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/sorted_set.h"

namespace quorate {
namespace {

// A key's share of the table: eight bytes of pointer and one of tag at the usual filling.
constexpr size_t kTableShare = 11;
constexpr size_t kDefaultSamples = 1024;

size_t object_bytes(const Entry& entry, size_t samples) {
  switch (entry.type()) {
    case ValueType::kString:
      return 0;
    case ValueType::kList:
      return static_cast<const List*>(entry.object())->memory_bytes();
    case ValueType::kSet:
      return static_cast<const Set*>(entry.object())->memory_bytes();
    case ValueType::kSortedSet:
      return static_cast<const SortedSet*>(entry.object())->memory_bytes();
    case ValueType::kHash:
      return static_cast<const Hash*>(entry.object())->memory_bytes(samples);
    case ValueType::kStream:
      return 0;
  }
  return 0;
}

Status memory_usage(CommandContext& cx) {
  size_t samples = kDefaultSamples;
  for (size_t index = 3; index < cx.size(); index += 2) {
    if (!same_word(cx[index], "SAMPLES") || index + 1 == cx.size()) return ErrorCode::kSyntax;
    TRY(const int64_t wanted, cx.integer(index + 1));
    if (wanted < 0) return ErrorCode::kSyntax;
    samples = wanted == 0 ? SIZE_MAX : static_cast<size_t>(wanted);
  }
  const Entry* entry = cx.db.find(cx.key(2), Access::kPeek);
  if (entry == nullptr) {
    cx.reply.null();
    return done();
  }
  cx.reply.integer(static_cast<int64_t>(entry->block_size() + kTableShare + object_bytes(*entry, samples)));
  return done();
}

constexpr CommandSpec kTable[] = {
    {.name = "memory|usage", .arity = -3, .flags = kReadonly, .keys = {one_key(kKeyReadOnly, 2)},
     .syntax = "key [SAMPLES count:int]", .summary = "Returns the bytes that a key and its value take.",
     .complexity = "O(N) in the samples taken of a big hash, else O(1)", .since = "4.0.0",
     .group = Group::kServer, .run = memory_usage},
};
static_assert(well_formed(kTable), "cmd_memory.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> memory_usage_commands() { return kTable; }

}  // namespace quorate

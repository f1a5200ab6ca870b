// List commands that take from one list and give to another, look at several lists, or wait for
// one.
#include <algorithm>
#include <optional>
#include <string>

#include "commands/blocking.h"
#include "commands/context.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/list_reply.h"
#include "commands/syntax.h"
#include "store/list.h"

namespace quorate {

namespace {

using End = List::End;

constexpr std::string_view pop_event(End end) { return end == End::kFront ? "lpop" : "rpop"; }
constexpr std::string_view push_event(End end) { return end == End::kFront ? "lpush" : "rpush"; }
constexpr std::string_view pop_effect(End end) { return end == End::kFront ? "LPOP" : "RPOP"; }
constexpr std::string_view push_effect(End end) { return end == End::kFront ? "LPUSH" : "RPUSH"; }

std::optional<End> end_of(std::string_view word) {
  if (same_word(word, "LEFT")) return End::kFront;
  if (same_word(word, "RIGHT")) return End::kBack;
  return std::nullopt;
}

// Waits for one of the keys, or replies as after the time-out if waiting is not possible.
enum class NoWait : uint8_t { kNull, kNullArray };

void wait_for(CommandContext& cx, size_t first_key, size_t last_key, int64_t timeout_ms,
              NoWait no_wait) {
  if (cx.may_block) {
    cx.block = BlockRequest{.timeout_ms = timeout_ms,
                            .first_key = first_key,
                            .last_key = last_key,
                            .on_timeout = BlockRequest::OnTimeout::kNullArray,
                            .type = ValueType::kList};
  } else if (no_wait == NoWait::kNull) {
    cx.reply.null();
  } else {
    cx.reply.null_array();
  }
}

// ---- moving
// ---------------------------------------------------------------------------------------

struct Move {
  End from;
  End to;
};

// Moves and replies; false if the source is absent (nothing was replied).
Result<bool> move_element(CommandContext& cx, const Move& move) {
  const Key source_key = cx.key(1);
  const Key target_key = cx.key(2);
  TRY(List * source, cx.db.update<List>(source_key));
  if (source == nullptr) return false;
  TRY(List * target, cx.db.update<List>(target_key));
  const std::string element(source->peek(move.from));
  if (target == nullptr) target = cx.db.insert<List>(target_key);
  source->pop(move.from);
  target->push(move.to, element);
  cx.db.changed(target_key, EventClass::kList, push_event(move.to));
  cx.db.changed(source_key, EventClass::kList, pop_event(move.from));
  cx.db.erase_if_empty(source_key);
  // In this order: a list that rotates its only element stays, with its expiry.
  cx.effect(target_key, {push_effect(move.to), target_key.bytes, element});
  cx.effect(source_key, {pop_effect(move.from), source_key.bytes});
  cx.reply.bulk(element);
  return true;
}

Result<Move> parse_move(const CommandContext& cx) {
  const auto from = end_of(cx[3]);
  const auto to = end_of(cx[4]);
  if (!from || !to) return ErrorCode::kSyntax;
  return Move{*from, *to};
}

Status move_now(CommandContext& cx, const Move& move) {
  TRY(const bool moved, move_element(cx, move));
  if (!moved) cx.reply.null();
  return done();
}

Status move_or_wait(CommandContext& cx, const Move& move, size_t timeout_at) {
  TRY(const int64_t timeout_ms, parse_timeout(cx, timeout_at));
  TRY(const bool moved, move_element(cx, move));
  if (!moved) wait_for(cx, 1, 1, timeout_ms, NoWait::kNull);
  return done();
}

// ---- popping from the first of several
// --------------------------------------------------------------

void effect_pop(CommandContext& cx, const Key& key, End end, size_t count) {
  if (!cx.collecting_effects()) return;
  char digits[kIntTextMax];
  const size_t length = format_unsigned(digits, count);
  cx.effect(key, {pop_effect(end), key.bytes, std::string_view(digits, length)});
}

void finish_pop(CommandContext& cx, const Key& key, End end, size_t count) {
  cx.db.changed(key, EventClass::kList, pop_event(end));
  cx.db.erase_if_empty(key);
  effect_pop(cx, key, end, count);
}

Status pop_or_wait(CommandContext& cx, End end) {
  const size_t last = cx.size() - 2;
  TRY(const int64_t timeout_ms, parse_timeout(cx, last + 1));
  for (size_t index = 1; index <= last; ++index) {
    const Key key = cx.key(index);
    TRY(List * list, cx.db.update<List>(key));
    if (list == nullptr) continue;
    cx.reply.array(2);
    cx.reply.bulk(key.bytes);
    cx.reply.bulk(list->peek(end));
    list->pop(end);
    finish_pop(cx, key, end, 1);
    return done();
  }
  wait_for(cx, 1, last, timeout_ms, NoWait::kNullArray);
  return done();
}

struct MultiPop {
  size_t first_key = 0;
  size_t last_key = 0;
  End end = End::kFront;
  size_t count = 1;
};

// "numkeys key [key ...] LEFT|RIGHT [COUNT count]" from argument `at` on.
Result<MultiPop> parse_multi_pop(const CommandContext& cx, size_t at) {
  const auto keys = parse_int(cx[at]);
  if (!keys || *keys <= 0) return errors::numkeys_not_positive();
  // The word behind the keys must be there.
  if (static_cast<uint64_t>(*keys) >= cx.size() - at - 1) return ErrorCode::kSyntax;
  MultiPop pop;
  pop.first_key = at + 1;
  pop.last_key = at + static_cast<size_t>(*keys);
  const auto end = end_of(cx[pop.last_key + 1]);
  if (!end) return ErrorCode::kSyntax;
  pop.end = *end;
  const size_t options = pop.last_key + 2;
  if (options == cx.size()) return pop;
  if (!same_word(cx[options], "COUNT") || options + 1 == cx.size()) return ErrorCode::kSyntax;
  const auto count = parse_int(cx[options + 1]);
  if (!count || *count <= 0) return errors::must_be_positive_count();
  if (options + 2 != cx.size()) return ErrorCode::kSyntax;
  pop.count = static_cast<size_t>(*count);
  return pop;
}

// Pops from the first list there is, and replies; false if there is none.
Result<bool> pop_first(CommandContext& cx, const MultiPop& pop) {
  for (size_t index = pop.first_key; index <= pop.last_key; ++index) {
    const Key key = cx.key(index);
    TRY(List * list, cx.db.update<List>(key));
    if (list == nullptr) continue;
    const size_t taken = std::min(pop.count, list->size());
    cx.reply.array(2);
    cx.reply.bulk(key.bytes);
    reply_elements(cx.reply, *list, pop.end, taken);
    list->erase(pop.end == End::kFront ? 0 : list->size() - taken, taken);
    finish_pop(cx, key, pop.end, taken);
    return true;
  }
  return false;
}

Status lmove(CommandContext& cx) {
  TRY(const Move move, parse_move(cx));
  return move_now(cx, move);
}

Status rpoplpush(CommandContext& cx) { return move_now(cx, {End::kBack, End::kFront}); }

Status blmove(CommandContext& cx) {
  TRY(const Move move, parse_move(cx));
  return move_or_wait(cx, move, 5);
}

Status brpoplpush(CommandContext& cx) { return move_or_wait(cx, {End::kBack, End::kFront}, 3); }

Status blpop(CommandContext& cx) { return pop_or_wait(cx, End::kFront); }
Status brpop(CommandContext& cx) { return pop_or_wait(cx, End::kBack); }

Status lmpop(CommandContext& cx) {
  TRY(const MultiPop pop, parse_multi_pop(cx, 1));
  TRY(const bool popped, pop_first(cx, pop));
  if (!popped) cx.reply.null_array();
  return done();
}

Status blmpop(CommandContext& cx) {
  TRY(const MultiPop pop, parse_multi_pop(cx, 2));
  TRY(const int64_t timeout_ms, parse_timeout(cx, 1));
  TRY(const bool popped, pop_first(cx, pop));
  if (!popped) wait_for(cx, pop.first_key, pop.last_key, timeout_ms, NoWait::kNullArray);
  return done();
}

constexpr uint16_t kAdd = kKeyReadWrite | kKeyInsert;
constexpr uint16_t kPop = kKeyReadWrite | kKeyAccess | kKeyDelete;
constexpr std::string_view kDoubleTimeout = "6.0.0: the time-out may have a fraction of a second";

constexpr CommandSpec kTable[] = {
    {.name = "blmove",
     .arity = 6,
     .flags = kWrite | kDenyOom | kNoScript | kBlocking,
     .keys = {one_key(kPop), one_key(kAdd, 2)},
     .syntax = "source:key@0 destination:key@1 <LEFT | RIGHT> <LEFT | RIGHT> timeout:double",
     .summary = "Moves an element from one end of a list to an end of another, waiting for one.",
     .complexity = "O(1)",
     .since = "6.2.0",
     .group = Group::kList,
     .run = blmove},
    {.name = "blmpop",
     .arity = -5,
     .flags = kWrite | kBlocking | kMovableKeys,
     .keys = {counted_keys(kPop, 2)},
     .syntax = "timeout:double numkeys:int key [key ...] <LEFT | RIGHT> [COUNT count:int]",
     .summary = "Pops elements from the first list that has any, waiting for one.",
     .complexity = "O(N+M) for N keys and M elements popped",
     .since = "7.0.0",
     .group = Group::kList,
     .run = blmpop},
    {.name = "blpop",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking,
     .keys = {key_range(kPop, 1, -2)},
     .syntax = "key [key ...] timeout:double",
     .summary = "Pops the first element of the first list that has one, waiting for it.",
     .complexity = "O(N) for N keys",
     .since = "2.0.0",
     .history = kDoubleTimeout,
     .group = Group::kList,
     .run = blpop},
    {.name = "brpop",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking,
     .keys = {key_range(kPop, 1, -2)},
     .syntax = "key [key ...] timeout:double",
     .summary = "Pops the last element of the first list that has one, waiting for it.",
     .complexity = "O(N) for N keys",
     .since = "2.0.0",
     .history = kDoubleTimeout,
     .group = Group::kList,
     .run = brpop},
    {.name = "brpoplpush",
     .arity = 4,
     .flags = kWrite | kDenyOom | kNoScript | kBlocking,
     .keys = {one_key(kPop), one_key(kAdd, 2)},
     .syntax = "source:key@0 destination:key@1 timeout:double",
     .summary = "Moves the last element of a list to the front of another, waiting for one.",
     .complexity = "O(1)",
     .since = "2.2.0",
     .history = kDoubleTimeout,
     .deprecated_since = "6.2.0",
     .replaced_by = "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
     .group = Group::kList,
     .run = brpoplpush},
    {.name = "lmove",
     .arity = 5,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kPop), one_key(kAdd, 2)},
     .syntax = "source:key@0 destination:key@1 <LEFT | RIGHT> <LEFT | RIGHT>",
     .summary = "Moves an element from one end of a list to an end of another, and returns it.",
     .complexity = "O(1)",
     .since = "6.2.0",
     .group = Group::kList,
     .run = lmove},
    {.name = "lmpop",
     .arity = -4,
     .flags = kWrite | kMovableKeys,
     .keys = {counted_keys(kPop, 1)},
     .syntax = "numkeys:int key [key ...] <LEFT | RIGHT> [COUNT count:int]",
     .summary = "Pops elements from the first list that has any.",
     .complexity = "O(N+M) for N keys and M elements popped",
     .since = "7.0.0",
     .group = Group::kList,
     .run = lmpop},
    {.name = "rpoplpush",
     .arity = 3,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kPop), one_key(kAdd, 2)},
     .syntax = "source:key@0 destination:key@1",
     .summary = "Moves the last element of a list to the front of another, and returns it.",
     .complexity = "O(1)",
     .since = "1.2.0",
     .deprecated_since = "6.2.0",
     .replaced_by = "`LMOVE` with the `RIGHT` and `LEFT` arguments",
     .group = Group::kList,
     .run = rpoplpush},
};
static_assert(well_formed(kTable),
              "cmd_list_move.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> list_move_commands() { return kTable; }

}  // namespace quorate

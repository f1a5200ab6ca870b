// List commands that act on one list.  Moving between lists and waiting: cmd_list_move.cc.
#include <algorithm>
#include <cstring>
#include <string>

#include "commands/container_result.h"
#include "commands/context.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/list_reply.h"
#include "commands/syntax.h"
#include "store/list.h"

namespace quorate {

namespace {

using End = List::End;

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr uint16_t kTakeOut = kKeyReadWrite | kKeyDelete;

Status check_sizes(const CommandContext& cx, size_t from) {
  for (size_t index = from; index < cx.size(); ++index) {
    if (cx[index].size() > packed::kElementSizeMax) return ErrorCode::kStringTooLong;
  }
  return done();
}

// ---- pushing ------------------------------------------------------------------------------------

enum class OnAbsent : uint8_t { kCreate, kLeave };

Status push(CommandContext& cx, End end, OnAbsent rule) {
  TRY(check_sizes(cx, 2));
  const Key key = cx.key(1);
  TRY(List * list, cx.db.update<List>(key));
  if (list == nullptr) {
    if (rule == OnAbsent::kLeave) {
      cx.reply.integer(0);
      return done();
    }
    list = cx.db.insert<List>(key);
  }
  for (size_t index = 2; index < cx.size(); ++index) list->push(end, cx[index]);
  cx.db.changed(key, EventClass::kList, end == End::kFront ? "lpush" : "rpush");
  cx.reply.integer(static_cast<int64_t>(list->size()));
  return done();
}

Status lpush(CommandContext& cx) { return push(cx, End::kFront, OnAbsent::kCreate); }
Status rpush(CommandContext& cx) { return push(cx, End::kBack, OnAbsent::kCreate); }
Status lpushx(CommandContext& cx) { return push(cx, End::kFront, OnAbsent::kLeave); }
Status rpushx(CommandContext& cx) { return push(cx, End::kBack, OnAbsent::kLeave); }

// ---- popping ------------------------------------------------------------------------------------

Status pop_many(CommandContext& cx, End end) {
  const auto count = parse_int(cx[2]);
  if (!count || *count < 0) return ErrorCode::kNotPositive;
  const Key key = cx.key(1);
  TRY(List * list, cx.db.update<List>(key));
  if (list == nullptr) {
    cx.reply.null_array();
    return done();
  }
  if (*count == 0) {
    cx.reply.array(0);
    return done();
  }
  const size_t taken = std::min(static_cast<size_t>(*count), list->size());
  reply_elements(cx.reply, *list, end, taken);
  list->erase(end == End::kFront ? 0 : list->size() - taken, taken);
  cx.db.changed(key, EventClass::kList, end == End::kFront ? "lpop" : "rpop");
  cx.db.erase_if_empty(key);
  return done();
}

Status pop(CommandContext& cx, End end) {
  if (cx.size() == 3) return pop_many(cx, end);
  if (cx.size() > 3) return errors::wrong_arity(cx.spec.name);
  const Key key = cx.key(1);
  TRY(List * list, cx.db.update<List>(key));
  if (list == nullptr) {
    cx.reply.null();
    return done();
  }
  cx.reply.bulk(list->peek(end));
  list->pop(end);
  cx.db.changed(key, EventClass::kList, end == End::kFront ? "lpop" : "rpop");
  if (list->empty()) cx.db.erase_if_empty(key);
  return done();
}

Status lpop(CommandContext& cx) { return pop(cx, End::kFront); }
Status rpop(CommandContext& cx) { return pop(cx, End::kBack); }

// ---- reading ------------------------------------------------------------------------------------

Status llen(CommandContext& cx) {
  TRY(const List* list, cx.db.find_as<List>(cx.key(1)));
  cx.reply.integer(list == nullptr ? 0 : static_cast<int64_t>(list->size()));
  return done();
}

// The element number of a possibly negative index; size() or more if there is none.
size_t element_number(int64_t index, size_t size) {
  if (index >= 0) return static_cast<size_t>(index);
  return index < -static_cast<int64_t>(size) ? size : size - static_cast<size_t>(-index);
}

Status lindex(CommandContext& cx) {
  TRY(const List* list, cx.db.find_as<List>(cx.key(1)));
  if (list == nullptr) {
    cx.reply.null();
    return done();
  }
  TRY(const int64_t index, cx.integer(2));
  const size_t number = element_number(index, list->size());
  if (number < list->size()) {
    cx.reply.bulk(list->at(number));
  } else {
    cx.reply.null();
  }
  return done();
}

struct Span {
  size_t first = 0;
  size_t count = 0;
};

// The elements from `start` to `stop`, both included and possibly negative.
Span span_of(int64_t start, int64_t stop, size_t size) {
  const auto length = static_cast<int64_t>(size);
  if (start < 0) start = std::max<int64_t>(start + length, 0);
  if (stop < 0) stop += length;
  stop = std::min(stop, length - 1);
  if (start > stop || start >= length) return {};
  return {static_cast<size_t>(start), static_cast<size_t>(stop - start + 1)};
}

// "$12\r\n" for the lengths that nearly all elements have.
struct ShortHeaders {
  static constexpr size_t kCount = 100;
  char text[kCount][8];
  consteval ShortHeaders() : text{} {
    for (size_t length = 0; length < kCount; ++length) {
      size_t at = 0;
      text[length][at++] = '$';
      if (length >= 10) text[length][at++] = static_cast<char>('0' + length / 10);
      text[length][at++] = static_cast<char>('0' + length % 10);
      text[length][at++] = '\r';
      text[length][at++] = '\n';
    }
  }
};
constexpr ShortHeaders kShortHeaders;
// "$4294967295\r\n" and "\r\n"; and as much again may be written over for the moment.
constexpr size_t kBulkOverhead = 15;
constexpr size_t kCopyStep = 16;

// Copies in whole steps: up to kCopyStep - 1 bytes too many are read and written.
void copy_in_steps(char* to, const char* from, size_t size) {
  for (size_t at = 0; at < size; at += kCopyStep) std::memcpy(to + at, from + at, kCopyStep);
}

// Writes the elements of a run as bulk strings, straight from the chunk.
void write_run(Buffer& out, const List::Run& run) {
  char* const begin = out.reserve(run.bytes + run.count * kBulkOverhead + kCopyStep);
  const char* const run_end = run.begin + run.bytes;
  char* at = begin;
  run.for_each([&](std::string_view value) {
    const size_t size = value.size();
    if (size < ShortHeaders::kCount) [[likely]] {
      std::memcpy(at, kShortHeaders.text[size], sizeof kShortHeaders.text[size]);
      at += size < 10 ? 4 : 5;
    } else {
      *at++ = '$';
      at += format_unsigned(at, size);
      *at++ = '\r';
      *at++ = '\n';
    }
    if (static_cast<size_t>(run_end - value.data()) >= size + kCopyStep) [[likely]] {
      copy_in_steps(at, value.data(), size);
    } else if (size > 0) {
      std::memcpy(at, value.data(), size);
    }
    at += size;
    *at++ = '\r';
    *at++ = '\n';
  });
  out.commit(static_cast<size_t>(at - begin));
}

Status lrange(CommandContext& cx) {
  TRY(const int64_t start, cx.integer(2));
  TRY(const int64_t stop, cx.integer(3));
  TRY(const List* list, cx.db.find_as<List>(cx.key(1)));
  const Span span = list == nullptr ? Span() : span_of(start, stop, list->size());
  cx.reply.array(span.count);
  if (span.count == 0) return done();
  Buffer& out = cx.reply.buffer();
  list->for_each_run(span.first, span.count, [&](const List::Run& run) { write_run(out, run); });
  return done();
}

// ---- LPOS
// -----------------------------------------------------------------------------------------

struct PositionOptions {
  int64_t rank = 1;
  int64_t count = -1;        // -1: one, and not as an array
  int64_t compared_max = 0;  // 0: no limit
};

Result<PositionOptions> position_options(const CommandContext& cx) {
  PositionOptions options;
  for (size_t at = 3; at < cx.size(); at += 2) {
    if (at + 1 == cx.size()) return ErrorCode::kSyntax;
    const auto value = parse_int(cx[at + 1]);
    if (same_word(cx[at], "RANK")) {
      if (!value) return ErrorCode::kNotInteger;
      if (*value == INT64_MIN) return errors::value_between(-INT64_MAX, INT64_MAX);
      if (*value == 0) return errors::rank_is_zero();
      options.rank = *value;
    } else if (same_word(cx[at], "COUNT")) {
      if (!value || *value < 0) return errors::cannot_be_negative("COUNT");
      options.count = *value;
    } else if (same_word(cx[at], "MAXLEN")) {
      if (!value || *value < 0) return errors::cannot_be_negative("MAXLEN");
      options.compared_max = *value;
    } else {
      return ErrorCode::kSyntax;
    }
  }
  return options;
}

// Calls found(index) for each match that the options let through.
template <class Found>
void find_positions(const List& list, std::string_view element, const PositionOptions& options,
                    Found&& found) {
  const bool forwards = options.rank > 0;
  size_t index = forwards ? 0 : list.size() - 1;
  int64_t to_skip = (forwards ? options.rank : -options.rank) - 1;
  int64_t to_find = options.count < 0 ? 1 : options.count;
  int64_t compared = 0;
  list.walk(index, forwards ? End::kFront : End::kBack, [&](std::string_view value) {
    if (value == element && to_skip-- <= 0) {
      found(index);
      if (--to_find == 0) return false;
    }
    forwards ? ++index : --index;
    return ++compared != options.compared_max;
  });
}

Status lpos(CommandContext& cx) {
  TRY(const PositionOptions options, position_options(cx));
  TRY(const List* list, cx.db.find_as<List>(cx.key(1)));
  if (options.count < 0) {
    std::optional<size_t> position;
    if (list != nullptr) {
      find_positions(*list, cx[2], options, [&](size_t index) { position = index; });
    }
    if (position) {
      cx.reply.integer(static_cast<int64_t>(*position));
    } else {
      cx.reply.null();
    }
    return done();
  }
  const auto positions = cx.reply.begin(Reply::Shape::kArray);
  size_t count = 0;
  if (list != nullptr) {
    find_positions(*list, cx[2], options, [&](size_t index) {
      cx.reply.integer(static_cast<int64_t>(index));
      ++count;
    });
  }
  cx.reply.end(positions, count);
  return done();
}

// ---- changing the middle
// ----------------------------------------------------------------------------

Status lset(CommandContext& cx) {
  TRY(check_sizes(cx, 3));
  const Key key = cx.key(1);
  TRY(List * list, cx.db.update<List>(key));
  if (list == nullptr) return ErrorCode::kNoSuchKey;
  TRY(const int64_t index, cx.integer(2));
  const size_t number = element_number(index, list->size());
  if (number >= list->size()) return ErrorCode::kIndexOutOfRange;
  list->set(number, cx[3]);
  cx.db.changed(key, EventClass::kList, "lset");
  cx.reply.ok();
  return done();
}

Status linsert(CommandContext& cx) {
  TRY(check_sizes(cx, 3));
  const bool after = same_word(cx[2], "AFTER");
  if (!after && !same_word(cx[2], "BEFORE")) return ErrorCode::kSyntax;
  const Key key = cx.key(1);
  TRY(List * list, cx.db.update<List>(key));
  if (list == nullptr) {
    cx.reply.integer(0);
    return done();
  }
  std::optional<size_t> pivot;
  find_positions(*list, cx[3], PositionOptions(), [&](size_t index) { pivot = index; });
  if (!pivot) {
    cx.reply.integer(-1);
    return done();
  }
  list->insert(*pivot + (after ? 1 : 0), cx[4]);
  cx.db.changed(key, EventClass::kList, "linsert");
  cx.reply.integer(static_cast<int64_t>(list->size()));
  return done();
}

Status lrem(CommandContext& cx) {
  TRY(const int64_t count, cx.integer(2));
  const Key key = cx.key(1);
  TRY(List * list, cx.db.update<List>(key));
  if (list == nullptr) {
    cx.reply.integer(0);
    return done();
  }
  const uint64_t wanted =
      count < 0 ? uint64_t{0} - static_cast<uint64_t>(count) : static_cast<uint64_t>(count);
  const size_t limit = count == 0 ? SIZE_MAX : static_cast<size_t>(wanted);
  const size_t removed = list->remove_equal(cx[3], limit, count < 0 ? End::kBack : End::kFront);
  if (removed > 0) {
    cx.db.changed(key, EventClass::kList, "lrem");
    cx.db.erase_if_empty(key);
  }
  cx.reply.integer(static_cast<int64_t>(removed));
  return done();
}

// Keeps `kept` of the list.  Chunks go at little cost; but of hundreds of thousands of elements there are so many that
// what stays is copied instead, and the rest freed in the background.
void trim(CommandContext& cx, List& list, const Span& kept) {
  constexpr size_t kDroppedMin = 100'000;
  constexpr size_t kDroppedToOneThatStays = 64;
  const size_t goes = list.size() - kept.count;
  if (goes < kDroppedMin || kept.count > goes / kDroppedToOneThatStays) {
    list.erase(kept.first + kept.count, goes - kept.first);
    list.erase(0, kept.first);
    return;
  }
  List rest;
  list.for_each_run(kept.first, kept.count, [&rest](const List::Run& run) {
    run.for_each([&rest](std::string_view element) { rest.push_back(element); });
  });
  list.swap(rest);
  drop_value(cx, rest);
}

Status ltrim(CommandContext& cx) {
  TRY(const int64_t start, cx.integer(2));
  TRY(const int64_t stop, cx.integer(3));
  const Key key = cx.key(1);
  TRY(List * list, cx.db.update<List>(key));
  cx.reply.ok();
  if (list == nullptr) return done();
  const size_t size = list->size();
  const Span kept = span_of(start, stop, size);
  if (kept.count == size) {
    cx.db.announce(key, EventClass::kList, "ltrim");
    return done();
  }
  trim(cx, *list, kept);
  cx.db.changed(key, EventClass::kList, "ltrim");
  cx.db.erase_if_empty(key);
  return done();
}

constexpr uint16_t kAdd = kKeyReadWrite | kKeyInsert;
constexpr uint16_t kPop = kKeyReadWrite | kKeyAccess | kKeyDelete;
constexpr std::string_view kDoubleTimeout = "6.0.0: the time-out may have a fraction of a second";

constexpr CommandSpec kTable[] = {
    {.name = "lindex",
     .arity = 3,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key index:int",
     .summary = "Returns the element at an index; negative ones count from the end.",
     .complexity = "O(N) in the elements between the index and the nearer end",
     .since = "1.0.0",
     .group = Group::kList,
     .run = lindex},
    {.name = "linsert",
     .arity = 5,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kAdd)},
     .syntax = "key <BEFORE | AFTER> pivot element",
     .summary = "Inserts an element beside the first one that equals the pivot.",
     .complexity = "O(N) in the elements before the pivot",
     .since = "2.2.0",
     .group = Group::kList,
     .run = linsert},
    {.name = "llen",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key",
     .summary = "Returns the number of elements of a list.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kList,
     .run = llen},
    {.name = "lpop",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = {one_key(kPop)},
     .syntax = "key [count:int]",
     .summary = "Removes and returns elements from the front of a list.",
     .complexity = "O(N) in the elements returned",
     .since = "1.0.0",
     .history = "6.2.0: takes a count",
     .group = Group::kList,
     .run = lpop},
    {.name = "lpos",
     .arity = -3,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key element [RANK rank:int] [COUNT num-matches:int] [MAXLEN len:int]",
     .summary = "Returns the indexes of elements that equal a value.",
     .complexity = "O(N) in the elements compared",
     .since = "6.0.6",
     .group = Group::kList,
     .run = lpos},
    {.name = "lpush",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kAdd)},
     .syntax = "key element [element ...]",
     .summary = "Adds elements in front of a list, creating it if needed.",
     .complexity = "O(N) in the elements added",
     .since = "1.0.0",
     .history = "2.4.0: takes several elements",
     .group = Group::kList,
     .run = lpush},
    {.name = "lpushx",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kAdd)},
     .syntax = "key element [element ...]",
     .summary = "Adds elements in front of a list that exists.",
     .complexity = "O(N) in the elements added",
     .since = "2.2.0",
     .history = "4.0.0: takes several elements",
     .group = Group::kList,
     .run = lpushx},
    {.name = "lrange",
     .arity = 4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key start:int stop:int",
     .summary = "Returns the elements between two indexes, both included.",
     .complexity = "O(S+N) for N elements that begin S elements from the nearer end",
     .since = "1.0.0",
     .group = Group::kList,
     .run = lrange},
    {.name = "lrem",
     .arity = 4,
     .flags = kWrite,
     .keys = {one_key(kTakeOut)},
     .syntax = "key count:int element",
     .summary = "Removes elements that equal a value, from the front, the back or all.",
     .complexity = "O(N) in the elements of the list",
     .since = "1.0.0",
     .group = Group::kList,
     .run = lrem},
    {.name = "lset",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate)},
     .syntax = "key index:int element",
     .summary = "Replaces the element at an index.",
     .complexity = "O(N) in the elements between the index and the nearer end",
     .since = "1.0.0",
     .group = Group::kList,
     .run = lset},
    {.name = "ltrim",
     .arity = 4,
     .flags = kWrite,
     .keys = {one_key(kTakeOut)},
     .syntax = "key start:int stop:int",
     .summary = "Keeps only the elements between two indexes, both included.",
     .complexity = "O(N) in the elements removed",
     .since = "1.0.0",
     .group = Group::kList,
     .run = ltrim},
    {.name = "rpop",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = {one_key(kPop)},
     .syntax = "key [count:int]",
     .summary = "Removes and returns elements from the back of a list.",
     .complexity = "O(N) in the elements returned",
     .since = "1.0.0",
     .history = "6.2.0: takes a count",
     .group = Group::kList,
     .run = rpop},
    {.name = "rpush",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kAdd)},
     .syntax = "key element [element ...]",
     .summary = "Adds elements at the back of a list, creating it if needed.",
     .complexity = "O(N) in the elements added",
     .since = "1.0.0",
     .history = "2.4.0: takes several elements",
     .group = Group::kList,
     .run = rpush},
    {.name = "rpushx",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kAdd)},
     .syntax = "key element [element ...]",
     .summary = "Adds elements at the back of a list that exists.",
     .complexity = "O(N) in the elements added",
     .since = "2.2.0",
     .history = "4.0.0: takes several elements",
     .group = Group::kList,
     .run = rpushx},
};
static_assert(well_formed(kTable), "cmd_list.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> list_commands() { return kTable; }

}  // namespace quorate

// Commands on keys of any type: life and death, names, expiry, walking.
#include <algorithm>
#include <string>
#include <vector>

#include "commands/context.h"
#include "commands/element_scan.h"
#include "commands/errors.h"
#include "commands/expiry.h"
#include "commands/families.h"
#include "commands/syntax.h"
#include "store/value.h"
#include "util/glob.h"

namespace quorate {

namespace {

// ---- life and death
// ---------------------------------------------------------------------------------

Status del(CommandContext& cx) {
  int64_t removed = 0;
  for (size_t at = 1; at < cx.size(); ++at) {
    const Key key = cx.key(at);
    if (!cx.db.erase(key)) continue;
    ++removed;
    if (cx.size() > 2 || cx.spec.name != "del") cx.effect(key, {"DEL", key.bytes});
  }
  cx.reply.integer(removed);
  return done();
}

Status count_present(CommandContext& cx, Access access) {
  int64_t present = 0;
  for (size_t at = 1; at < cx.size(); ++at)
    present += cx.db.find(cx.key(at), access) != nullptr ? 1 : 0;
  cx.reply.integer(present);
  return done();
}
Status exists(CommandContext& cx) { return count_present(cx, Access::kPeek); }
Status touch(CommandContext& cx) { return count_present(cx, Access::kRead); }

Status type(CommandContext& cx) {
  const Entry* entry = cx.db.find(cx.key(1), Access::kPeek);
  cx.reply.simple(entry == nullptr ? "none" : type_name(entry->type()));
  return done();
}

Status randomkey(CommandContext& cx) {
  const Entry* entry = cx.db.random_entry();
  if (entry == nullptr) {
    cx.reply.null();
  } else {
    cx.reply.bulk(entry->key());
  }
  return done();
}

// ---- names
// ------------------------------------------------------------------------------------------

bool same_partition(const CommandContext& cx, const Key& one, const Key& other) {
  return cx.store.partition_of(one.slot) == cx.store.partition_of(other.slot);
}

void rename_key(CommandContext& cx, const Key& from, const Key& to) {
  Entry* entry = cx.db.take(from);
  cx.db.discard(to);
  cx.db.put(to, entry);
  cx.db.changed(from, EventClass::kGeneric, "rename_from");
  cx.db.changed(to, EventClass::kGeneric, "rename_to");
  // Within one partition the command says it all; else each partition gets its own key's fate.
  if (same_partition(cx, from, to)) {
    cx.effect(from, {"RENAME", from.bytes, to.bytes});
  } else {
    cx.effect(from, {"DEL", from.bytes});
    cx.effect_whole_value(cx.db, to);
  }
}

Status rename(CommandContext& cx) {
  const Key from = cx.key(1);
  const Key to = cx.key(2);
  if (cx.db.find(from, Access::kWrite) == nullptr) return ErrorCode::kNoSuchKey;
  if (from.bytes != to.bytes) rename_key(cx, from, to);
  cx.reply.ok();
  return done();
}

Status renamenx(CommandContext& cx) {
  const Key from = cx.key(1);
  const Key to = cx.key(2);
  if (cx.db.find(from, Access::kWrite) == nullptr) return ErrorCode::kNoSuchKey;
  if (cx.db.find(to, Access::kWrite) != nullptr) {
    cx.reply.integer(0);
    return done();
  }
  rename_key(cx, from, to);
  cx.reply.integer(1);
  return done();
}

Result<Db*> database_argument(CommandContext& cx, size_t index) {
  TRY(const int64_t number, cx.integer(index));
  if (number < INT32_MIN || number > INT32_MAX) return errors::value_between(INT32_MIN, INT32_MAX);
  if (number < 0 || number >= cx.store.database_count()) return errors::database_out_of_range();
  return &cx.store.database(static_cast<int>(number));
}

Status move(CommandContext& cx) {
  TRY(Db* const target, database_argument(cx, 2));
  if (target == &cx.db) return errors::same_object();
  const Key key = cx.key(1);
  if (cx.db.find(key, Access::kWrite) == nullptr || target->find(key, Access::kWrite) != nullptr) {
    cx.reply.integer(0);
    return done();
  }
  target->put(key, cx.db.take(key));
  cx.db.changed(key, EventClass::kGeneric, "move_from");
  target->changed(key, EventClass::kGeneric, "move_to");
  cx.reply.integer(1);
  return done();
}

Status copy(CommandContext& cx) {
  Db* target = &cx.db;
  bool replace = false;
  for (size_t at = 3; at < cx.size(); ++at) {
    if (same_word(cx[at], "REPLACE")) {
      replace = true;
    } else if (same_word(cx[at], "DB") && at + 1 < cx.size()) {
      TRY(target, database_argument(cx, ++at));
    } else {
      return ErrorCode::kSyntax;
    }
  }
  const Key from = cx.key(1);
  const Key to = cx.key(2);
  if (target == &cx.db && from.bytes == to.bytes) return errors::same_object();
  if (cx.db.find(from) == nullptr || (!replace && target->find(to, Access::kWrite) != nullptr)) {
    cx.reply.integer(0);
    return done();
  }
  target->discard(to);
  const Entry* source = cx.db.find(from, Access::kPeek);
  Entry* made = target->put(to, clone_entry(to.bytes, *source));
  if (source->has_expiry()) target->set_expiry(to, made, source->expiry());
  target->changed(to, EventClass::kGeneric, "copy_to");
  if (!same_partition(cx, from, to)) cx.effect_whole_value(*target, to);
  cx.reply.integer(1);
  return done();
}

// ---- expiry
// -----------------------------------------------------------------------------------------

struct ExpireCondition {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;

  bool allows(int64_t current, int64_t wanted) const {
    if (nx && current != kNever) return false;
    if (xx && current == kNever) return false;
    // A key that never expires counts as one that expires later than any.
    if (gt && (current == kNever || wanted <= current)) return false;
    return !(lt && current != kNever && wanted >= current);
  }
};

Result<ExpireCondition> parse_condition(const CommandContext& cx) {
  ExpireCondition condition;
  for (size_t at = 3; at < cx.size(); ++at) {
    if (same_word(cx[at], "NX")) {
      condition.nx = true;
    } else if (same_word(cx[at], "XX")) {
      condition.xx = true;
    } else if (same_word(cx[at], "GT")) {
      condition.gt = true;
    } else if (same_word(cx[at], "LT")) {
      condition.lt = true;
    } else {
      return errors::unsupported_option(cx[at]);
    }
  }
  if (condition.nx && (condition.xx || condition.gt || condition.lt))
    return errors::expire_nx_and_others();
  if (condition.gt && condition.lt) return errors::expire_gt_and_lt();
  return condition;
}

Status expire_key(CommandContext& cx, TimeUnit unit, TimeBase base) {
  TRY(const ExpireCondition condition, parse_condition(cx));
  TRY(const int64_t expiry,
      parse_expiry(cx[2], unit, base, PastTime::kAllowed, cx.now, cx.spec.name));
  const Key key = cx.key(1);
  Entry* entry = cx.db.find(key, Access::kWrite);
  if (entry == nullptr || !condition.allows(entry->expiry(), expiry)) {
    cx.reply.integer(0);
    return done();
  }
  cx.reply.integer(1);
  // While the log is replayed nothing goes by itself: its DEL follows.
  if (expiry <= cx.now && !cx.store.replaying()) {
    cx.db.erase(key);
    cx.effect(key, {"DEL", key.bytes});
    return done();
  }
  cx.db.set_expiry(key, entry, expiry);
  cx.db.changed(key, EventClass::kGeneric, "expire");
  char digits[kIntTextMax];
  const size_t length = format_int(digits, expiry);
  cx.effect(key, {"PEXPIREAT", key.bytes, std::string_view(digits, length)});
  return done();
}
Status expire(CommandContext& cx) {
  return expire_key(cx, TimeUnit::kSeconds, TimeBase::kRelative);
}
Status pexpire(CommandContext& cx) {
  return expire_key(cx, TimeUnit::kMilliseconds, TimeBase::kRelative);
}
Status expireat(CommandContext& cx) {
  return expire_key(cx, TimeUnit::kSeconds, TimeBase::kAbsolute);
}
Status pexpireat(CommandContext& cx) {
  return expire_key(cx, TimeUnit::kMilliseconds, TimeBase::kAbsolute);
}

Status persist(CommandContext& cx) {
  const Key key = cx.key(1);
  Entry* entry = cx.db.find(key, Access::kWrite);
  if (entry == nullptr || !entry->has_expiry()) {
    cx.reply.integer(0);
    return done();
  }
  cx.db.set_expiry(key, entry, kNever);
  cx.db.changed(key, EventClass::kGeneric, "persist");
  cx.reply.integer(1);
  return done();
}

Status reply_expiry(CommandContext& cx, TimeUnit unit, TimeBase base) {
  constexpr int64_t kNoKey = -2;
  constexpr int64_t kNoExpiry = -1;
  const Entry* entry = cx.db.find(cx.key(1), Access::kPeek);
  if (entry == nullptr || !entry->has_expiry()) {
    cx.reply.integer(entry == nullptr ? kNoKey : kNoExpiry);
    return done();
  }
  int64_t value = entry->expiry();
  if (base == TimeBase::kRelative) value = value > cx.now ? value - cx.now : 0;
  if (unit == TimeUnit::kSeconds) value = value / 1000 + (value % 1000 >= 500 ? 1 : 0);
  cx.reply.integer(value);
  return done();
}
Status ttl(CommandContext& cx) { return reply_expiry(cx, TimeUnit::kSeconds, TimeBase::kRelative); }
Status pttl(CommandContext& cx) {
  return reply_expiry(cx, TimeUnit::kMilliseconds, TimeBase::kRelative);
}
Status expiretime(CommandContext& cx) {
  return reply_expiry(cx, TimeUnit::kSeconds, TimeBase::kAbsolute);
}
Status pexpiretime(CommandContext& cx) {
  return reply_expiry(cx, TimeUnit::kMilliseconds, TimeBase::kAbsolute);
}

// ---- walking
// ----------------------------------------------------------------------------------------

bool is_live(const CommandContext& cx, const Entry* entry) {
  return !cx.store.is_past(entry->expiry());
}

Status keys(CommandContext& cx) {
  const std::string_view pattern = cx[1];
  const bool all = pattern == "*";
  const auto list = cx.reply.begin(Reply::Shape::kArray);
  size_t count = 0;
  cx.db.for_each([&](const Entry* entry) {
    if (!is_live(cx, entry)) return;
    if (!all && !glob_match(pattern, entry->key())) return;
    cx.reply.bulk(entry->key());
    ++count;
  });
  cx.reply.end(list, count);
  return done();
}

struct ScanOptions {
  std::string_view pattern;
  bool has_pattern = false;
  std::string_view type;
  int64_t count = 10;
};

Result<ScanOptions> parse_scan(const CommandContext& cx) {
  ScanOptions options;
  for (size_t at = 2; at < cx.size(); at += 2) {
    if (at + 1 == cx.size()) return ErrorCode::kSyntax;
    if (same_word(cx[at], "COUNT")) {
      TRY(options.count, cx.integer(at + 1));
      if (options.count < 1) return ErrorCode::kSyntax;
    } else if (same_word(cx[at], "MATCH")) {
      options.pattern = cx[at + 1];
      options.has_pattern = options.pattern != "*";
    } else if (same_word(cx[at], "TYPE")) {
      options.type = cx[at + 1];
    } else {
      return ErrorCode::kSyntax;
    }
  }
  return options;
}

Status scan(CommandContext& cx) {
  TRY(const uint64_t cursor, parse_scan_cursor(cx[1]));
  TRY(const ScanOptions options, parse_scan(cx));
  std::vector<std::string_view> found;
  std::vector<std::string> expired;
  const size_t count = std::min(static_cast<size_t>(options.count), kScanCountMax);
  const uint64_t next = cx.db.scan(cursor, count, [&](const Entry* entry) {
        if (!options.type.empty() && !same_word(options.type, type_name(entry->type()))) return;
        if (options.has_pattern && !glob_match(options.pattern, entry->key())) return;
        if (is_live(cx, entry)) {
          found.push_back(entry->key());
        } else {
          expired.emplace_back(entry->key());
        }
      });
  cx.reply.array(2);
  char digits[kIntTextMax];
  cx.reply.bulk(std::string_view(digits, format_unsigned(digits, next)));
  cx.reply.array(found.size());
  for (const std::string_view name : found) cx.reply.bulk(name);
  // Looking at them removes them.
  for (const std::string& name : expired) cx.db.find(cx.store.make_key(name), Access::kPeek);
  return done();
}

// ---- OBJECT
// -----------------------------------------------------------------------------------------

// OBJECT looks without touching.  Replies null and returns null if the key is absent.
const Entry* inspected(CommandContext& cx) {
  const Entry* entry = cx.db.find(cx.key(2), Access::kPeek);
  if (entry == nullptr) cx.reply.null();
  return entry;
}

Status object_encoding(CommandContext& cx) {
  if (const Entry* entry = inspected(cx)) cx.reply.bulk(value_encoding(*entry, cx.settings));
  return done();
}

Status object_refcount(CommandContext& cx) {
  if (inspected(cx) != nullptr) cx.reply.integer(1);
  return done();
}

Status object_idletime(CommandContext& cx) {
  const Entry* entry = inspected(cx);
  if (entry == nullptr) return done();
  if (is_lfu(cx.settings.maxmemory_policy)) return errors::idle_time_not_tracked();
  cx.reply.integer(cx.store.idle_seconds(entry));
  return done();
}

Status object_freq(CommandContext& cx) {
  const Entry* entry = inspected(cx);
  if (entry == nullptr) return done();
  if (!is_lfu(cx.settings.maxmemory_policy)) return errors::frequency_not_tracked();
  cx.reply.integer(cx.store.lfu_frequency(entry));
  return done();
}

// ---- rows
// -------------------------------------------------------------------------------------------

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr std::string_view kExpireHistory = "7.0.0: Added options: `NX`, `XX`, `GT` and `LT`.";
constexpr std::string_view kTtlHistory = "2.8.0: Added the -2 reply.";

constexpr CommandSpec kTable[] = {
    {.name = "copy",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kReadAccess), one_key(kKeyOverwrite | kKeyUpdate, 2)},
     .syntax = "source:key destination:key [DB destination-db:int] [REPLACE]",
     .summary = "Copies the value of a key, its expiry included, to another key.",
     .complexity = "O(N) in the elements of a container, O(1) for a string",
     .since = "6.2.0",
     .run = copy},
    {.name = "del",
     .arity = -2,
     .flags = kWrite,
     .keys = {key_range(kKeyRemove | kKeyDelete, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Removes keys.",
     .complexity = "O(N) in the number of keys; big values are freed later in small steps",
     .since = "1.0.0",
     .tips = "request_policy:multi_shard,response_policy:agg_sum",
     .run = del},
    {.name = "exists",
     .arity = -2,
     .flags = kReadonly | kFast,
     .keys = {key_range(kKeyReadOnly, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Counts how many of the keys exist.",
     .complexity = "O(N) in the number of keys",
     .since = "1.0.0",
     .history = "3.0.3: Accepts multiple `key` arguments.",
     .tips = "request_policy:multi_shard,response_policy:agg_sum",
     .run = exists},
    {.name = "expire",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate)},
     .syntax = "key seconds:int [NX | XX | GT | LT]",
     .summary = "Sets the expiry of a key in seconds from now.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .history = kExpireHistory,
     .run = expire},
    {.name = "expireat",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate)},
     .syntax = "key unix-time-seconds:time [NX | XX | GT | LT]",
     .summary = "Sets the expiry of a key to a point in time, in Unix seconds.",
     .complexity = "O(1)",
     .since = "1.2.0",
     .history = kExpireHistory,
     .run = expireat},
    {.name = "expiretime",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns when a key expires, in Unix seconds.",
     .complexity = "O(1)",
     .since = "7.0.0",
     .run = expiretime},
    {.name = "keys",
     .arity = 2,
     .flags = kReadonly,
     .syntax = "pattern",
     .summary = "Returns all names of keys that match a pattern.",
     .complexity = "O(N) in the keys of the database",
     .since = "1.0.0",
     .tips = "request_policy:all_shards,nondeterministic_output_order",
     .acl = "dangerous",
     .run = keys},
    {.name = "move",
     .arity = 3,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyAccess | kKeyUpdate)},
     .syntax = "key db:int",
     .summary = "Moves a key to another database.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .run = move},
    {.name = "object|encoding",
     .arity = 3,
     .flags = kReadonly,
     .keys = {one_key(kKeyReadOnly, 2)},
     .syntax = "key",
     .summary = "Returns the name of the encoding of a value.",
     .complexity = "O(1)",
     .since = "2.2.3",
     .tips = "nondeterministic_output",
     .run = object_encoding},
    {.name = "object|freq",
     .arity = 3,
     .flags = kReadonly,
     .keys = {one_key(kKeyReadOnly, 2)},
     .syntax = "key",
     .summary = "Returns how often a key is used, as the LFU eviction policies count it.",
     .complexity = "O(1)",
     .since = "4.0.0",
     .tips = "nondeterministic_output",
     .run = object_freq},
    {.name = "object|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .summary = "Lists the subcommands of OBJECT.",
     .complexity = "O(1)",
     .since = "6.2.0"},
    {.name = "object|idletime",
     .arity = 3,
     .flags = kReadonly,
     .keys = {one_key(kKeyReadOnly, 2)},
     .syntax = "key",
     .summary = "Returns the seconds since a key was last used.",
     .complexity = "O(1)",
     .since = "2.2.3",
     .tips = "nondeterministic_output",
     .run = object_idletime},
    {.name = "object|refcount",
     .arity = 3,
     .flags = kReadonly,
     .keys = {one_key(kKeyReadOnly, 2)},
     .syntax = "key",
     .summary = "Returns the number of references to a value; it is always 1.",
     .complexity = "O(1)",
     .since = "2.2.3",
     .tips = "nondeterministic_output",
     .run = object_refcount},
    {.name = "persist",
     .arity = 2,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate)},
     .syntax = "key",
     .summary = "Removes the expiry of a key.",
     .complexity = "O(1)",
     .since = "2.2.0",
     .run = persist},
    {.name = "pexpire",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate)},
     .syntax = "key milliseconds:int [NX | XX | GT | LT]",
     .summary = "Sets the expiry of a key in milliseconds from now.",
     .complexity = "O(1)",
     .since = "2.6.0",
     .history = kExpireHistory,
     .run = pexpire},
    {.name = "pexpireat",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate)},
     .syntax = "key unix-time-milliseconds:time [NX | XX | GT | LT]",
     .summary = "Sets the expiry of a key to a point in time, in Unix milliseconds.",
     .complexity = "O(1)",
     .since = "2.6.0",
     .history = kExpireHistory,
     .run = pexpireat},
    {.name = "pexpiretime",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns when a key expires, in Unix milliseconds.",
     .complexity = "O(1)",
     .since = "7.0.0",
     .run = pexpiretime},
    {.name = "pttl",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns the time to live of a key in milliseconds.",
     .complexity = "O(1)",
     .since = "2.6.0",
     .history = kTtlHistory,
     .tips = "nondeterministic_output",
     .run = pttl},
    {.name = "randomkey",
     .arity = 1,
     .flags = kReadonly,
     .summary = "Returns the name of some key.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .tips = "request_policy:all_shards,nondeterministic_output",
     .run = randomkey},
    {.name = "rename",
     .arity = 3,
     .flags = kWrite,
     .keys = {one_key(kKeyReadWrite | kKeyAccess | kKeyDelete),
              one_key(kKeyOverwrite | kKeyUpdate, 2)},
     .syntax = "key newkey:key",
     .summary = "Gives a key another name, replacing what had it.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .run = rename},
    {.name = "renamenx",
     .arity = 3,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyAccess | kKeyDelete),
              one_key(kKeyOverwrite | kKeyInsert, 2)},
     .syntax = "key newkey:key",
     .summary = "Gives a key another name if nothing has it.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .history = "3.2.0: The command no longer returns an error when source and destination names "
                "are the same.",
     .run = renamenx},
    {.name = "scan",
     .arity = -2,
     .flags = kReadonly,
     .syntax = "cursor:int [MATCH pattern] [COUNT count:int] [TYPE type]",
     .summary = "Walks over the names of the keys, a few at a time.",
     .complexity = "O(1) a call, O(N) for a whole walk",
     .since = "2.8.0",
     .history = "6.0.0: Added the `TYPE` subcommand.",
     .tips = "nondeterministic_output,request_policy:special",
     .run = scan},
    {.name = "touch",
     .arity = -2,
     .flags = kReadonly | kFast,
     .keys = {key_range(kKeyReadOnly, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Marks keys as used now and counts those that exist.",
     .complexity = "O(N) in the number of keys",
     .since = "3.2.1",
     .tips = "request_policy:multi_shard,response_policy:agg_sum",
     .run = touch},
    {.name = "ttl",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns the time to live of a key in seconds.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .history = kTtlHistory,
     .tips = "nondeterministic_output",
     .run = ttl},
    {.name = "type",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key",
     .summary = "Returns the type of the value of a key.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .run = type},
    {.name = "unlink",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = {key_range(kKeyRemove | kKeyDelete, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Removes keys; the same as DEL here, which never blocks either.",
     .complexity = "O(1) a key; big values are freed later in small steps",
     .since = "4.0.0",
     .tips = "request_policy:multi_shard,response_policy:agg_sum",
     .run = del},
};
static_assert(well_formed(kTable), "cmd_generic.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> generic_commands() { return kTable; }

}  // namespace quorate

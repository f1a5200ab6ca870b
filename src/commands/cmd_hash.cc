// Hash commands.  Those that are about the expiry of fields: cmd_hash_expiry.cc.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "commands/context.h"
#include "commands/element_scan.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/live_hash.h"
#include "commands/syntax.h"

namespace quorate {

namespace {

Status check_sizes(const CommandContext& cx) {
  for (size_t index = 2; index < cx.size(); ++index) {
    if (cx[index].size() > packed::kElementSizeMax) return ErrorCode::kStringTooLong;
  }
  return done();
}

// The hash to write to, made if needed.
Result<Hash*> made_hash(CommandContext& cx, const Key& key) {
  TRY(Hash * hash, write_hash(cx, key));
  return hash != nullptr ? hash : cx.db.insert<Hash>(key);
}

// ---- setting
// ----------------------------------------------------------------------------------------

// Sets the pairs from argument `from` on; returns how many fields are new.
Result<size_t> set_pairs(CommandContext& cx) {
  if (cx.size() % 2 != 0) return errors::wrong_arity(cx.spec.name);
  TRY(check_sizes(cx));
  const Key key = cx.key(1);
  TRY(Hash * hash, made_hash(cx, key));
  const bool may_be_due = has_due_fields(cx, *hash);
  bool dropped = false;
  size_t made = 0;
  for (size_t index = 2; index < cx.size(); index += 2) {
    if (may_be_due && drop_due_field(cx, key, *hash, cx[index])) dropped = true;
    if (hash->set(cx[index], cx[index + 1], cx.settings) == Hash::Stored::kNew) ++made;
  }
  cx.db.changed(key, EventClass::kHash, "hset");
  if (dropped) cx.effect(key, cx.args);
  return made;
}

Status hset(CommandContext& cx) {
  TRY(const size_t made, set_pairs(cx));
  cx.reply.integer(static_cast<int64_t>(made));
  return done();
}

Status hmset(CommandContext& cx) {
  TRY(const size_t made, set_pairs(cx));
  (void)made;
  cx.reply.ok();
  return done();
}

Status hsetnx(CommandContext& cx) {
  TRY(check_sizes(cx));
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  if (hash != nullptr && live_field(cx, *hash, cx[2])) {
    cx.reply.integer(0);
    return done();
  }
  if (hash == nullptr) hash = cx.db.insert<Hash>(key);
  const bool dropped = drop_due_field(cx, key, *hash, cx[2]);
  hash->set(cx[2], cx[3], cx.settings);
  cx.db.changed(key, EventClass::kHash, "hset");
  if (dropped) cx.effect(key, cx.args);
  cx.reply.integer(1);
  return done();
}

Status hincrby(CommandContext& cx) {
  TRY(const int64_t by, cx.integer(3));
  TRY(check_sizes(cx));
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  int64_t value = 0;
  if (hash != nullptr) {
    if (const auto field = live_field(cx, *hash, cx[2])) {
      const auto old = parse_int(field->value);
      if (!old) return errors::hash_value_not_integer();
      value = *old;
    }
  }
  if (__builtin_add_overflow(value, by, &value)) return ErrorCode::kOverflow;
  if (hash == nullptr) hash = cx.db.insert<Hash>(key);
  const bool dropped = drop_due_field(cx, key, *hash, cx[2]);
  char digits[kIntTextMax];
  hash->set(cx[2], std::string_view(digits, format_int(digits, value)), cx.settings,
            Hash::FieldExpiry::kKeep);
  cx.db.changed(key, EventClass::kHash, "hincrby");
  if (dropped) cx.effect(key, cx.args);
  cx.reply.integer(value);
  return done();
}

// "HSET key field value", and the field's expiry, which HSET would clear.
void effect_field(CommandContext& cx, const Key& key, const Hash::Field& field) {
  if (!cx.collecting_effects()) return;
  cx.effect(key, {"HSET", key.bytes, field.name, field.value});
  if (field.expiry == kNever) return;
  char digits[kIntTextMax];
  const std::string_view time(digits, format_int(digits, field.expiry));
  cx.effect(key, {"HPEXPIREAT", key.bytes, time, "FIELDS", "1", field.name});
}

Status hincrbyfloat(CommandContext& cx) {
  const auto by = parse_long_double(cx[3]);
  if (!by) return ErrorCode::kNotFloat;
  if (!std::isfinite(*by)) return errors::value_not_finite();
  TRY(check_sizes(cx));
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  long double value = 0;
  if (hash != nullptr) {
    if (const auto field = live_field(cx, *hash, cx[2])) {
      const auto old = parse_long_double(field->value);
      if (!old) return errors::hash_value_not_float();
      value = *old;
    }
  }
  const auto text = format_long_double(value + *by);
  if (!text) return errors::increment_not_finite();
  if (hash == nullptr) hash = cx.db.insert<Hash>(key);
  drop_due_field(cx, key, *hash, cx[2]);
  hash->set(cx[2], *text, cx.settings, Hash::FieldExpiry::kKeep);
  cx.db.changed(key, EventClass::kHash, "hincrbyfloat");
  // Another machine's long double may differ: the result is what is logged.
  effect_field(cx, key, *hash->find(cx[2]));
  cx.reply.bulk(*text);
  return done();
}

Status hdel(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  size_t removed = 0;
  if (hash != nullptr) {
    for (size_t index = 2; index < cx.size(); ++index) {
      // One past its expiry is left to those who log its end.
      if (live_field(cx, *hash, cx[index]) && hash->remove(cx[index])) ++removed;
    }
  }
  if (removed > 0) {
    cx.db.changed(key, EventClass::kHash, "hdel");
    cx.db.erase_if_empty(key);
  }
  cx.reply.integer(static_cast<int64_t>(removed));
  return done();
}

// ---- reading
// ------------------------------------------------------------------------------------------

void reply_value(CommandContext& cx, const Hash* hash, std::string_view name) {
  const auto field = hash == nullptr ? std::nullopt : live_field(cx, *hash, name);
  if (field) {
    cx.reply.bulk(field->value);
  } else {
    cx.reply.null();
  }
}

Status hget(CommandContext& cx) {
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  reply_value(cx, hash, cx[2]);
  return done();
}

Status hmget(CommandContext& cx) {
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  cx.reply.array(cx.size() - 2);
  for (size_t index = 2; index < cx.size(); ++index) reply_value(cx, hash, cx[index]);
  return done();
}

Status hstrlen(CommandContext& cx) {
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  const auto field = hash == nullptr ? std::nullopt : live_field(cx, *hash, cx[2]);
  cx.reply.integer(field ? static_cast<int64_t>(field->value.size()) : 0);
  return done();
}

Status hexists(CommandContext& cx) {
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  cx.reply.integer(hash != nullptr && live_field(cx, *hash, cx[2]) ? 1 : 0);
  return done();
}

Status hlen(CommandContext& cx) {
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  cx.reply.integer(hash == nullptr ? 0 : static_cast<int64_t>(hash->size()));
  return done();
}

template <class Visit>
void for_each_live(const CommandContext& cx, const Hash& hash, Visit&& visit) {
  hash.for_each([&](const Hash::Field& field) {
    if (is_live(cx, field)) visit(field);
  });
}

size_t count_live(const CommandContext& cx, const Hash& hash) {
  if (!has_due_fields(cx, hash)) return hash.size();
  size_t count = 0;
  for_each_live(cx, hash, [&](const Hash::Field&) { ++count; });
  return count;
}

Status hgetall(CommandContext& cx) {
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  cx.reply.map(hash == nullptr ? 0 : count_live(cx, *hash));
  if (hash == nullptr) return done();
  for_each_live(cx, *hash, [&](const Hash::Field& field) {
    cx.reply.bulk(field.name);
    cx.reply.bulk(field.value);
  });
  return done();
}

// HKEYS and HVALS.
template <std::string_view Hash::Field::*kPart>
Status reply_parts(CommandContext& cx) {
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  cx.reply.array(hash == nullptr ? 0 : count_live(cx, *hash));
  if (hash == nullptr) return done();
  for_each_live(cx, *hash, [&](const Hash::Field& field) { cx.reply.bulk(field.*kPart); });
  return done();
}

Status hkeys(CommandContext& cx) { return reply_parts<&Hash::Field::name>(cx); }
Status hvals(CommandContext& cx) { return reply_parts<&Hash::Field::value>(cx); }

// ---- random fields
// ------------------------------------------------------------------------------------

enum class WithValues : uint8_t { kNo, kYes };
// More picks than this in one reply are refused: the reply would only end with the memory.
constexpr int64_t kPicksMax = int64_t{1} << 26;

void reply_pick(CommandContext& cx, const Hash::Field& field, WithValues with_values) {
  if (with_values == WithValues::kYes && cx.reply.protocol() == Protocol::kResp3) {
    cx.reply.array(2);
  }
  cx.reply.bulk(field.name);
  if (with_values == WithValues::kYes) cx.reply.bulk(field.value);
}

void begin_picks(CommandContext& cx, size_t count, WithValues with_values) {
  const bool flat = with_values == WithValues::kYes && cx.reply.protocol() == Protocol::kResp2;
  cx.reply.array(flat ? count * 2 : count);
}

std::vector<Hash::Field> all_live(const CommandContext& cx, const Hash& hash) {
  std::vector<Hash::Field> fields;
  fields.reserve(hash.size());
  for_each_live(cx, hash, [&](const Hash::Field& field) { fields.push_back(field); });
  return fields;
}

// Negative count: every pick is from the whole hash.
void pick_with_repeats(CommandContext& cx, const Hash& hash, size_t count, WithValues with_values) {
  begin_picks(cx, count, with_values);
  if (has_due_fields(cx, hash)) {
    const std::vector<Hash::Field> fields = all_live(cx, hash);
    for (; count > 0; --count) {
      reply_pick(cx, fields[cx.random().below(fields.size())], with_values);
    }
    return;
  }
  for (; count > 0; --count) reply_pick(cx, hash.random(cx.random()), with_values);
}

void pick_different(CommandContext& cx, const Hash& hash, size_t count, WithValues with_values) {
  const size_t live = count_live(cx, hash);
  count = std::min(count, live);
  begin_picks(cx, count, with_values);
  if (count == live) {
    for_each_live(cx, hash, [&](const Hash::Field& field) { reply_pick(cx, field, with_values); });
    return;
  }
  // Drawing until enough differ is quick while few of many are wanted.
  constexpr size_t kDrawWhenFewerThanPart = 3;
  if (live == hash.size() && count < live / kDrawWhenFewerThanPart) {
    std::unordered_set<const char*> drawn;
    while (drawn.size() < count) {
      const Hash::Field field = hash.random(cx.random());
      if (drawn.insert(field.name.data()).second) reply_pick(cx, field, with_values);
    }
    return;
  }
  std::vector<Hash::Field> fields = all_live(cx, hash);
  for (size_t index = 0; index < count; ++index) {
    std::swap(fields[index], fields[index + cx.random().below(fields.size() - index)]);
    reply_pick(cx, fields[index], with_values);
  }
}

Status hrandfield_many(CommandContext& cx) {
  TRY(const int64_t count, cx.integer(2));
  if (count == INT64_MIN) return errors::value_between(-INT64_MAX, INT64_MAX);
  if (cx.size() > 4 || (cx.size() == 4 && !same_word(cx[3], "WITHVALUES"))) {
    return ErrorCode::kSyntax;
  }
  const WithValues with_values = cx.size() == 4 ? WithValues::kYes : WithValues::kNo;
  if (count < -kPicksMax || (with_values == WithValues::kYes && count > INT64_MAX / 2)) {
    return ErrorCode::kOutOfRange;
  }
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  if (hash == nullptr || count == 0 || count_live(cx, *hash) == 0) {
    cx.reply.array(0);
  } else if (count < 0) {
    pick_with_repeats(cx, *hash, static_cast<size_t>(-count), with_values);
  } else {
    pick_different(cx, *hash, static_cast<size_t>(count), with_values);
  }
  return done();
}

Status hrandfield(CommandContext& cx) {
  if (cx.size() > 2) return hrandfield_many(cx);
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  if (hash == nullptr || count_live(cx, *hash) == 0) {
    cx.reply.null();
  } else if (!has_due_fields(cx, *hash)) {
    cx.reply.bulk(hash->random(cx.random()).name);
  } else {
    const std::vector<Hash::Field> fields = all_live(cx, *hash);
    cx.reply.bulk(fields[cx.random().below(fields.size())].name);
  }
  return done();
}

// ---- HSCAN
// --------------------------------------------------------------------------------------------

struct HashScan {
  ElementScan options;
  bool values = true;
};

Result<HashScan> parse_hash_scan(const CommandContext& cx, uint64_t cursor) {
  HashScan scan;
  scan.options.cursor = cursor;
  for (size_t at = 3; at < cx.size(); ++at) {
    if (same_word(cx[at], "NOVALUES")) {
      scan.values = false;
    } else if (at + 1 == cx.size()) {
      return ErrorCode::kSyntax;
    } else if (same_word(cx[at], "COUNT")) {
      TRY(const int64_t count, cx.integer(++at));
      if (count < 1) return ErrorCode::kSyntax;
      scan.options.count = std::min(static_cast<size_t>(count), kScanCountMax);
    } else if (same_word(cx[at], "MATCH")) {
      scan.options.pattern = cx[++at];
      scan.options.has_pattern = scan.options.pattern != "*";
    } else {
      return ErrorCode::kSyntax;
    }
  }
  return scan;
}

Status hscan(CommandContext& cx) {
  TRY(const uint64_t cursor, parse_scan_cursor(cx[2]));
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  if (hash == nullptr) {
    reply_scan_cursor(cx.reply, 0);
    cx.reply.array(0);
    return done();
  }
  TRY(const HashScan scan, parse_hash_scan(cx, cursor));
  std::vector<Hash::Field> found;
  const uint64_t next = hash->scan(cursor, scan.options.count, [&](const Hash::Field& field) {
    if (is_live(cx, field) && scan.options.matches(field.name)) found.push_back(field);
  });
  reply_scan_cursor(cx.reply, next);
  cx.reply.array(scan.values ? found.size() * 2 : found.size());
  for (const Hash::Field& field : found) {
    cx.reply.bulk(field.name);
    if (scan.values) cx.reply.bulk(field.value);
  }
  return done();
}

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr uint16_t kUpdate = kKeyReadWrite | kKeyUpdate;
constexpr uint16_t kDelete = kKeyReadWrite | kKeyDelete;
constexpr std::string_view kUnordered = "nondeterministic_output_order";
constexpr std::string_view kRandom = "nondeterministic_output";
constexpr std::string_view kPerField = "O(N) in the fields named";

constexpr CommandSpec kTable[] = {
    {.name = "hdel",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = {one_key(kDelete)},
     .syntax = "key field [field ...]",
     .summary = "Removes fields of a hash, and the key with the last of them.",
     .complexity = kPerField,
     .since = "2.0.0",
     .history = "2.4.0: takes several fields",
     .group = Group::kHash,
     .run = hdel},
    {.name = "hexists",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key field",
     .summary = "Tells whether a hash has a field.",
     .complexity = "O(1)",
     .since = "2.0.0",
     .group = Group::kHash,
     .run = hexists},
    {.name = "hget",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key field",
     .summary = "Returns the value of a field of a hash.",
     .complexity = "O(1)",
     .since = "2.0.0",
     .group = Group::kHash,
     .run = hget},
    {.name = "hgetall",
     .arity = 2,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns all fields of a hash with their values.",
     .complexity = "O(N) in the fields of the hash",
     .since = "2.0.0",
     .group = Group::kHash,
     .tips = kUnordered,
     .run = hgetall},
    {.name = "hincrby",
     .arity = 4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate | kKeyAccess)},
     .syntax = "key field increment:int",
     .summary = "Adds a number to the integer in a field; an absent field counts as 0.",
     .complexity = "O(1)",
     .since = "2.0.0",
     .group = Group::kHash,
     .run = hincrby},
    {.name = "hincrbyfloat",
     .arity = 4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate | kKeyAccess)},
     .syntax = "key field increment:double",
     .summary = "Adds a number to the decimal number in a field; an absent field counts as 0.",
     .complexity = "O(1)",
     .since = "2.6.0",
     .group = Group::kHash,
     .run = hincrbyfloat},
    {.name = "hkeys",
     .arity = 2,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns the names of all fields of a hash.",
     .complexity = "O(N) in the fields of the hash",
     .since = "2.0.0",
     .group = Group::kHash,
     .tips = kUnordered,
     .run = hkeys},
    {.name = "hlen",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key",
     .summary = "Returns the number of fields of a hash.",
     .complexity = "O(1)",
     .since = "2.0.0",
     .group = Group::kHash,
     .run = hlen},
    {.name = "hmget",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key field [field ...]",
     .summary = "Returns the values of several fields of a hash.",
     .complexity = kPerField,
     .since = "2.0.0",
     .group = Group::kHash,
     .run = hmget},
    {.name = "hmset",
     .arity = -4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate)},
     .syntax = "key field value [field value ...]",
     .summary = "Sets fields of a hash.",
     .complexity = kPerField,
     .since = "2.0.0",
     .deprecated_since = "4.0.0",
     .replaced_by = "`HSET` with multiple field-value pairs",
     .group = Group::kHash,
     .run = hmset},
    {.name = "hrandfield",
     .arity = -2,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key [count:int [WITHVALUES]]",
     .summary = "Returns random fields of a hash.",
     .complexity = "O(N) in the fields returned",
     .since = "6.2.0",
     .group = Group::kHash,
     .tips = kRandom,
     .run = hrandfield},
    {.name = "hscan",
     .arity = -3,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key cursor:int [MATCH pattern] [COUNT count:int] [NOVALUES]",
     .summary = "Returns some fields of a hash, and where to go on.",
     .complexity = "O(1) a call, O(N) for all fields",
     .since = "2.8.0",
     .history = "7.4.0: NOVALUES",
     .group = Group::kHash,
     .tips = kRandom,
     .run = hscan},
    {.name = "hset",
     .arity = -4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate)},
     .syntax = "key field value [field value ...]",
     .summary = "Sets fields of a hash, creating it if needed.",
     .complexity = kPerField,
     .since = "2.0.0",
     .history = "4.0.0: takes several fields and values",
     .group = Group::kHash,
     .run = hset},
    {.name = "hsetnx",
     .arity = 4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyInsert)},
     .syntax = "key field value",
     .summary = "Sets a field of a hash that does not have it yet.",
     .complexity = "O(1)",
     .since = "2.0.0",
     .group = Group::kHash,
     .run = hsetnx},
    {.name = "hstrlen",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key field",
     .summary = "Returns the size in bytes of the value of a field.",
     .complexity = "O(1)",
     .since = "3.2.0",
     .group = Group::kHash,
     .run = hstrlen},
    {.name = "hvals",
     .arity = 2,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns the values of all fields of a hash.",
     .complexity = "O(N) in the fields of the hash",
     .since = "2.0.0",
     .group = Group::kHash,
     .tips = kUnordered,
     .run = hvals},
};
static_assert(well_formed(kTable), "cmd_hash.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> hash_commands() { return kTable; }

}  // namespace quorate

// Expiry of hash fields, as Redis 7.4 (HEXPIRE and its kin) and Redis 8 / Valkey 9 (HGETEX, HSETEX,
// HGETDEL) have it.  What is logged says absolute times, and HDEL where a time had passed already.
#include <span>
#include <vector>

#include "commands/context.h"
#include "commands/errors.h"
#include "commands/expiry.h"
#include "commands/families.h"
#include "commands/live_hash.h"
#include "commands/syntax.h"

namespace quorate {

namespace {

// What HEXPIRE and HTTL say of a field.
constexpr int64_t kNoField = -2;
constexpr int64_t kNoExpiry = -1;
constexpr int64_t kConditionNotMet = 0;
constexpr int64_t kSet = 1;
constexpr int64_t kDeleted = 2;

using Fields = std::span<const std::string_view>;

// "FIELDS numfields field [field ...]" at argument `at`, to the end; `words` arguments a field.
Result<Fields> parse_fields(const CommandContext& cx, size_t at, size_t words,
                            Error (*not_positive)()) {
  if (at + 2 >= cx.size() || !same_word(cx[at], "FIELDS")) return errors::fields_word_missing();
  const auto count = parse_int(cx[at + 1]);
  if (!count || *count <= 0) return not_positive();
  const size_t left = cx.size() - at - 2;
  if (left % words != 0 || static_cast<uint64_t>(*count) != left / words) {
    return errors::field_count_mismatch();
  }
  return cx.args.subspan(at + 2);
}

// "COMMAND key [option] FIELDS n field ..." with the fields that it really changed.
void effect_fields(CommandContext& cx, const Key& key, std::initializer_list<std::string_view> head,
                   const Fields& fields) {
  if (!cx.collecting_effects() || fields.empty()) return;
  char digits[kIntTextMax];
  std::vector<std::string_view> args(head);
  args.push_back("FIELDS");
  args.push_back({digits, format_unsigned(digits, fields.size())});
  args.insert(args.end(), fields.begin(), fields.end());
  cx.effect(key, args);
}

void effect_expiry(CommandContext& cx, const Key& key, int64_t expiry, const Fields& fields) {
  char digits[kIntTextMax];
  const std::string_view time(digits, format_int(digits, expiry));
  effect_fields(cx, key, {"HPEXPIREAT", key.bytes, time}, fields);
}

void effect_deleted(CommandContext& cx, const Key& key, const Fields& fields) {
  if (!cx.collecting_effects() || fields.empty()) return;
  std::vector<std::string_view> args{"HDEL", key.bytes};
  args.insert(args.end(), fields.begin(), fields.end());
  cx.effect(key, args);
}

// Fields that one command gave an expiry, and those it removed because that time had passed.
struct Outcome {
  std::vector<std::string_view> set;
  std::vector<std::string_view> deleted;
};

// Gives a living field an expiry, or removes it if that is not in the future.
void set_field_expiry(const CommandContext& cx, Hash& hash, std::string_view field, int64_t expiry,
                      Outcome& outcome) {
  if (expiry <= field_time(cx)) {
    hash.remove(field);
    outcome.deleted.push_back(field);
  } else {
    hash.set_expiry(field, expiry, cx.settings);
    outcome.set.push_back(field);
  }
}

void finish(CommandContext& cx, const Key& key, int64_t expiry, const Outcome& outcome) {
  if (!outcome.set.empty()) {
    cx.db.changed(key, EventClass::kHash, "hexpire");
    effect_expiry(cx, key, expiry, outcome.set);
  }
  if (!outcome.deleted.empty()) {
    cx.db.changed(key, EventClass::kHash, "hdel");
    effect_deleted(cx, key, outcome.deleted);
    cx.db.erase_if_empty(key);
  }
}

// Unix milliseconds of an expiry; 0 and what has passed are allowed, negative numbers are not.
Result<int64_t> field_expiry(const CommandContext& cx, size_t index, TimeUnit unit, TimeBase base) {
  TRY(const int64_t number, cx.integer(index));
  if (number < 0) return errors::field_expiry_negative();
  return parse_expiry(cx[index], unit, base, PastTime::kAllowed, cx.now, cx.spec.name);
}

// ---- HEXPIRE and its kin
// ------------------------------------------------------------------------------

enum class Condition : uint8_t { kNone, kIfNone, kIfSome, kIfLater, kIfEarlier };

struct ConditionWord {
  std::string_view word;
  Condition condition;
};
constexpr ConditionWord kConditionWords[] = {
    {"NX", Condition::kIfNone},
    {"XX", Condition::kIfSome},
    {"GT", Condition::kIfLater},
    {"LT", Condition::kIfEarlier},
};

bool is_met(Condition condition, int64_t old_expiry, int64_t expiry) {
  switch (condition) {
    case Condition::kNone:
      return true;
    case Condition::kIfNone:
      return old_expiry == kNever;
    case Condition::kIfSome:
      return old_expiry != kNever;
    case Condition::kIfLater:
      return expiry > old_expiry;
    case Condition::kIfEarlier:
      return expiry < old_expiry;
  }
  CHECK(false);
}

Status expire_fields(CommandContext& cx, TimeUnit unit, TimeBase base) {
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  TRY(const int64_t expiry, field_expiry(cx, 2, unit, base));
  Condition condition = Condition::kNone;
  size_t fields_at = 3;
  for (const ConditionWord& each : kConditionWords) {
    if (!same_word(cx[3], each.word)) continue;
    condition = each.condition;
    fields_at = 4;
  }
  TRY(const Fields fields, parse_fields(cx, fields_at, 1, errors::field_count_not_positive));
  cx.reply.array(fields.size());
  Outcome outcome;
  for (const std::string_view name : fields) {
    const auto field = hash == nullptr ? std::nullopt : live_field(cx, *hash, name);
    if (!field) {
      cx.reply.integer(kNoField);
    } else if (!is_met(condition, field->expiry, expiry)) {
      cx.reply.integer(kConditionNotMet);
    } else {
      const size_t deleted = outcome.deleted.size();
      set_field_expiry(cx, *hash, name, expiry, outcome);
      cx.reply.integer(outcome.deleted.size() > deleted ? kDeleted : kSet);
    }
  }
  finish(cx, key, expiry, outcome);
  return done();
}

// ---- HTTL and its kin
// ---------------------------------------------------------------------------------

Status reply_expiries(CommandContext& cx, TimeUnit unit, TimeBase base) {
  TRY(const Hash* hash, read_hash(cx, cx.key(1)));
  TRY(const Fields fields, parse_fields(cx, 2, 1, errors::number_of_fields_not_positive));
  cx.reply.array(fields.size());
  for (const std::string_view name : fields) {
    const auto field = hash == nullptr ? std::nullopt : live_field(cx, *hash, name);
    if (!field) {
      cx.reply.integer(kNoField);
    } else if (field->expiry == kNever) {
      cx.reply.integer(kNoExpiry);
    } else {
      int64_t time = field->expiry - (base == TimeBase::kRelative ? cx.now : 0);
      // A part of a second counts as a whole one: 0 would say that the field is gone.
      if (unit == TimeUnit::kSeconds) time = time / 1000 + (time % 1000 != 0 ? 1 : 0);
      cx.reply.integer(time);
    }
  }
  return done();
}

// ---- HGETEX and HSETEX: options
// -----------------------------------------------------------------------

struct Options {
  enum class Lifetime : uint8_t { kNone, kUntil, kPersist, kKeep };
  enum class OnlyIf : uint8_t { kAlways, kNonePresent, kAllPresent };
  Lifetime lifetime = Lifetime::kNone;
  OnlyIf only_if = OnlyIf::kAlways;
  int64_t expiry = kNever;
  size_t fields_at = 0;
};

enum class OptionsOf : uint8_t { kHgetex, kHsetex };

Result<Options> parse_options(const CommandContext& cx, OptionsOf of) {
  Options options;
  size_t at = 2;
  for (; at < cx.size() && !same_word(cx[at], "FIELDS"); ++at) {
    const bool has_lifetime = options.lifetime != Options::Lifetime::kNone;
    const bool has_condition = options.only_if != Options::OnlyIf::kAlways;
    if (of == OptionsOf::kHsetex && same_word(cx[at], "FNX") && !has_condition) {
      options.only_if = Options::OnlyIf::kNonePresent;
    } else if (of == OptionsOf::kHsetex && same_word(cx[at], "FXX") && !has_condition) {
      options.only_if = Options::OnlyIf::kAllPresent;
    } else if (of == OptionsOf::kHsetex && same_word(cx[at], "KEEPTTL") && !has_lifetime) {
      options.lifetime = Options::Lifetime::kKeep;
    } else if (of == OptionsOf::kHgetex && same_word(cx[at], "PERSIST") && !has_lifetime) {
      options.lifetime = Options::Lifetime::kPersist;
    } else {
      const ExpiryWord* const found = find_expiry_word(cx[at]);
      if (found == nullptr || has_lifetime || at + 1 == cx.size()) return ErrorCode::kSyntax;
      ++at;
      TRY(options.expiry, field_expiry(cx, at, found->unit, found->base));
      options.lifetime = Options::Lifetime::kUntil;
    }
  }
  options.fields_at = at;
  return options;
}

void reply_value(CommandContext& cx, const std::optional<Hash::Field>& field) {
  if (field) {
    cx.reply.bulk(field->value);
  } else {
    cx.reply.null();
  }
}

void finish_persist(CommandContext& cx, const Key& key, const Fields& persisted) {
  if (persisted.empty()) return;
  cx.db.changed(key, EventClass::kHash, "hpersist");
  effect_fields(cx, key, {"HPERSIST", key.bytes}, persisted);
}

// True if HSETEX's condition on the fields lets it go on.
bool may_set(const CommandContext& cx, const Hash* hash, Options::OnlyIf only_if,
             const Fields& pairs) {
  if (only_if == Options::OnlyIf::kAlways) return true;
  const bool wanted = only_if == Options::OnlyIf::kAllPresent;
  for (size_t index = 0; index < pairs.size(); index += 2) {
    const bool present = hash != nullptr && live_field(cx, *hash, pairs[index]).has_value();
    if (present != wanted) return false;
  }
  return true;
}

void effect_set(CommandContext& cx, const Key& key, const Options& options, const Fields& pairs) {
  if (!cx.collecting_effects()) return;
  char time_digits[kIntTextMax];
  char count_digits[kIntTextMax];
  std::vector<std::string_view> args{"HSETEX", key.bytes};
  if (options.lifetime == Options::Lifetime::kKeep) args.push_back("KEEPTTL");
  if (options.lifetime == Options::Lifetime::kUntil) {
    args.push_back("PXAT");
    args.push_back({time_digits, format_int(time_digits, options.expiry)});
  }
  args.push_back("FIELDS");
  args.push_back({count_digits, format_unsigned(count_digits, pairs.size() / 2)});
  args.insert(args.end(), pairs.begin(), pairs.end());
  cx.effect(key, args);
}

// HSETEX with a time that has passed: the fields are gone.
void delete_fields(CommandContext& cx, const Key& key, Hash* hash, const Fields& pairs) {
  if (hash == nullptr) return;
  Outcome outcome;
  for (size_t index = 0; index < pairs.size(); index += 2) {
    if (hash->remove(pairs[index])) outcome.deleted.push_back(pairs[index]);
  }
  finish(cx, key, kNever, outcome);
}

Status hexpire(CommandContext& cx) {
  return expire_fields(cx, TimeUnit::kSeconds, TimeBase::kRelative);
}
Status hpexpire(CommandContext& cx) {
  return expire_fields(cx, TimeUnit::kMilliseconds, TimeBase::kRelative);
}
Status hexpireat(CommandContext& cx) {
  return expire_fields(cx, TimeUnit::kSeconds, TimeBase::kAbsolute);
}
Status hpexpireat(CommandContext& cx) {
  return expire_fields(cx, TimeUnit::kMilliseconds, TimeBase::kAbsolute);
}

Status httl(CommandContext& cx) {
  return reply_expiries(cx, TimeUnit::kSeconds, TimeBase::kRelative);
}
Status hpttl(CommandContext& cx) {
  return reply_expiries(cx, TimeUnit::kMilliseconds, TimeBase::kRelative);
}
Status hexpiretime(CommandContext& cx) {
  return reply_expiries(cx, TimeUnit::kSeconds, TimeBase::kAbsolute);
}
Status hpexpiretime(CommandContext& cx) {
  return reply_expiries(cx, TimeUnit::kMilliseconds, TimeBase::kAbsolute);
}

Status hpersist(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  TRY(const Fields fields, parse_fields(cx, 2, 1, errors::number_of_fields_not_positive));
  cx.reply.array(fields.size());
  std::vector<std::string_view> persisted;
  for (const std::string_view name : fields) {
    const auto field = hash == nullptr ? std::nullopt : live_field(cx, *hash, name);
    cx.reply.integer(!field ? kNoField : field->expiry == kNever ? kNoExpiry : kSet);
    if (!field || field->expiry == kNever) continue;
    hash->set_expiry(name, kNever, cx.settings);
    persisted.push_back(name);
  }
  finish_persist(cx, key, persisted);
  return done();
}

Status hgetdel(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  TRY(const Fields fields, parse_fields(cx, 2, 1, errors::number_of_fields_not_positive));
  cx.reply.array(fields.size());
  std::vector<std::string_view> deleted;
  for (const std::string_view name : fields) {
    const auto field = hash == nullptr ? std::nullopt : live_field(cx, *hash, name);
    reply_value(cx, field);
    if (!field) continue;
    hash->remove(name);
    deleted.push_back(name);
  }
  if (deleted.empty()) return done();
  cx.db.changed(key, EventClass::kHash, "hdel");
  effect_deleted(cx, key, deleted);
  cx.db.erase_if_empty(key);
  return done();
}

Status hgetex(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  TRY(const Options options, parse_options(cx, OptionsOf::kHgetex));
  TRY(const Fields fields,
      parse_fields(cx, options.fields_at, 1, errors::number_of_fields_not_positive));
  cx.reply.array(fields.size());
  Outcome outcome;
  std::vector<std::string_view> persisted;
  for (const std::string_view name : fields) {
    const auto field = hash == nullptr ? std::nullopt : live_field(cx, *hash, name);
    reply_value(cx, field);
    if (!field) continue;
    if (options.lifetime == Options::Lifetime::kUntil) {
      set_field_expiry(cx, *hash, name, options.expiry, outcome);
    } else if (options.lifetime == Options::Lifetime::kPersist && field->expiry != kNever) {
      hash->set_expiry(name, kNever, cx.settings);
      persisted.push_back(name);
    }
  }
  finish_persist(cx, key, persisted);
  finish(cx, key, options.expiry, outcome);
  return done();
}

Status hsetex(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(Hash * hash, write_hash(cx, key));
  TRY(const Options options, parse_options(cx, OptionsOf::kHsetex));
  TRY(const Fields pairs,
      parse_fields(cx, options.fields_at, 2, errors::number_of_fields_not_positive));
  for (const std::string_view word : pairs) {
    if (word.size() > packed::kElementSizeMax) return ErrorCode::kStringTooLong;
  }
  if (!may_set(cx, hash, options.only_if, pairs)) {
    cx.reply.integer(0);
    return done();
  }
  cx.reply.integer(1);
  if (options.expiry <= field_time(cx)) {
    delete_fields(cx, key, hash, pairs);
    return done();
  }
  if (hash == nullptr) hash = cx.db.insert<Hash>(key);
  const bool keeps = options.lifetime == Options::Lifetime::kKeep;
  for (size_t index = 0; index < pairs.size(); index += 2) {
    drop_due_field(cx, key, *hash, pairs[index]);
    hash->set(pairs[index], pairs[index + 1], cx.settings,
              keeps ? Hash::FieldExpiry::kKeep : Hash::FieldExpiry::kClear);
    if (options.expiry != kNever) hash->set_expiry(pairs[index], options.expiry, cx.settings);
  }
  cx.db.changed(key, EventClass::kHash, "hset");
  if (options.expiry != kNever) cx.db.announce(key, EventClass::kHash, "hexpire");
  effect_set(cx, key, options, pairs);
  return done();
}

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr uint16_t kUpdate = kKeyReadWrite | kKeyUpdate;
constexpr std::string_view kPerField = "O(N) in the fields named";

constexpr CommandSpec kTable[] = {
    {.name = "hexpire",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate)},
     .syntax = "key seconds:int [NX | XX | GT | LT] <FIELDS numfields:int field [field ...]>",
     .summary = "Sets how many seconds fields of a hash have left to live.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .run = hexpire},
    {.name = "hexpireat",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate)},
     .syntax = "key unix-time-seconds:time [NX | XX | GT | LT]"
               " <FIELDS numfields:int field [field ...]>",
     .summary = "Sets the second at which fields of a hash expire.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .run = hexpireat},
    {.name = "hexpiretime",
     .arity = -5,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key <FIELDS numfields:int field [field ...]>",
     .summary = "Returns the second at which fields of a hash expire.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .run = hexpiretime},
    {.name = "hgetdel",
     .arity = -5,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyAccess | kKeyDelete)},
     .syntax = "key <FIELDS numfields:int field [field ...]>",
     .summary = "Returns the values of fields of a hash and removes the fields.",
     .complexity = kPerField,
     .since = "8.0.0",
     .group = Group::kHash,
     .run = hgetdel},
    {.name = "hgetex",
     .arity = -5,
     .flags = kWrite | kFast,
     .keys = {one_key(kUpdate | kKeyAccess)},
     .syntax = "key [EX seconds:int | PX milliseconds:int | EXAT unix-time-seconds:time"
               " | PXAT unix-time-milliseconds:time | PERSIST]"
               " <FIELDS numfields:int field [field ...]>",
     .summary = "Returns the values of fields of a hash and sets or removes their expiry.",
     .complexity = kPerField,
     .since = "8.0.0",
     .group = Group::kHash,
     .run = hgetex},
    {.name = "hpersist",
     .arity = -5,
     .flags = kWrite | kFast,
     .keys = {one_key(kUpdate)},
     .syntax = "key <FIELDS numfields:int field [field ...]>",
     .summary = "Removes the expiry of fields of a hash.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .run = hpersist},
    {.name = "hpexpire",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate)},
     .syntax = "key milliseconds:int [NX | XX | GT | LT]"
               " <FIELDS numfields:int field [field ...]>",
     .summary = "Sets how many milliseconds fields of a hash have left to live.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .run = hpexpire},
    {.name = "hpexpireat",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate)},
     .syntax = "key unix-time-milliseconds:time [NX | XX | GT | LT]"
               " <FIELDS numfields:int field [field ...]>",
     .summary = "Sets the millisecond at which fields of a hash expire.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .run = hpexpireat},
    {.name = "hpexpiretime",
     .arity = -5,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key <FIELDS numfields:int field [field ...]>",
     .summary = "Returns the millisecond at which fields of a hash expire.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .run = hpexpiretime},
    {.name = "hpttl",
     .arity = -5,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key <FIELDS numfields:int field [field ...]>",
     .summary = "Returns how many milliseconds fields of a hash have left to live.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .tips = "nondeterministic_output",
     .run = hpttl},
    {.name = "hsetex",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kUpdate)},
     .syntax = "key [FNX | FXX] [EX seconds:int | PX milliseconds:int"
               " | EXAT unix-time-seconds:time | PXAT unix-time-milliseconds:time | KEEPTTL]"
               " <FIELDS numfields:int field value [field value ...]>",
     .summary = "Sets fields of a hash together with their expiry.",
     .complexity = kPerField,
     .since = "8.0.0",
     .group = Group::kHash,
     .run = hsetex},
    {.name = "httl",
     .arity = -5,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key <FIELDS numfields:int field [field ...]>",
     .summary = "Returns how many seconds fields of a hash have left to live.",
     .complexity = kPerField,
     .since = "7.4.0",
     .group = Group::kHash,
     .tips = "nondeterministic_output",
     .run = httl},
};
static_assert(well_formed(kTable),
              "cmd_hash_expiry.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> hash_expiry_commands() { return kTable; }

}  // namespace quorate

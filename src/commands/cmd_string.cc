// String commands.  SETBIT and GETBIT stand here too: they are plain byte edits; the other bitmap
// commands will have a file of their own.
#include <cmath>
#include <cstring>
#include <string>

#include "commands/context.h"
#include "commands/errors.h"
#include "commands/expiry.h"
#include "commands/families.h"
#include "commands/syntax.h"

namespace quorate {

namespace {

void announce_set(CommandContext& cx, const Key& key, int64_t expiry) {
  cx.db.changed(key, EventClass::kString, "set");
  if (expiry != kNever) cx.db.announce(key, EventClass::kGeneric, "expire");
}

// The effect of a SET with an absolute expiry.
void effect_set(CommandContext& cx, const Key& key, std::string_view value, int64_t expiry) {
  if (!cx.collecting_effects()) return;
  if (expiry == kNever) {
    cx.effect(key, {"SET", key.bytes, value});
    return;
  }
  char digits[kIntTextMax];
  const size_t length = format_int(digits, expiry);
  cx.effect(key, {"SET", key.bytes, value, "PXAT", std::string_view(digits, length)});
}

// ---- SET and GETEX: options
// -------------------------------------------------------------------------

struct SetOptions {
  enum class Condition : uint8_t { kNone, kIfAbsent, kIfPresent };
  Condition condition = Condition::kNone;
  bool get = false;
  bool keep_ttl = false;
  bool persist = false;
  const ExpiryWord* expiry_word = nullptr;
  std::string_view expiry_text;
};

enum class OptionsOf : uint8_t { kSet, kGetex };

Result<SetOptions> parse_options(const CommandContext& cx, size_t from, OptionsOf of) {
  SetOptions options;
  for (size_t at = from; at < cx.size(); ++at) {
    const std::string_view word = cx[at];
    if (of == OptionsOf::kSet && same_word(word, "NX") &&
        options.condition != SetOptions::Condition::kIfPresent) {
      options.condition = SetOptions::Condition::kIfAbsent;
      continue;
    }
    if (of == OptionsOf::kSet && same_word(word, "XX") &&
        options.condition != SetOptions::Condition::kIfAbsent) {
      options.condition = SetOptions::Condition::kIfPresent;
      continue;
    }
    if (of == OptionsOf::kSet && same_word(word, "GET")) {
      options.get = true;
      continue;
    }
    if (of == OptionsOf::kSet && same_word(word, "KEEPTTL") && options.expiry_word == nullptr) {
      options.keep_ttl = true;
      continue;
    }
    if (of == OptionsOf::kGetex && same_word(word, "PERSIST") && options.expiry_word == nullptr) {
      options.persist = true;
      continue;
    }
    const ExpiryWord* const found = find_expiry_word(word);
    // As in Redis, the same word twice is no contradiction: the last one counts.
    const bool contradicts = options.keep_ttl || options.persist ||
                             (options.expiry_word != nullptr && options.expiry_word != found);
    if (found == nullptr || contradicts || at + 1 == cx.size()) return ErrorCode::kSyntax;
    options.expiry_word = found;
    options.expiry_text = cx[++at];
  }
  return options;
}

Result<int64_t> expiry_of(const CommandContext& cx, const SetOptions& options) {
  if (options.expiry_word == nullptr) return kNever;
  return parse_expiry(options.expiry_text, options.expiry_word->unit, options.expiry_word->base,
                      PastTime::kRefused, cx.now, cx.spec.name);
}

Status set_with_options(CommandContext& cx) {
  TRY(const SetOptions options, parse_options(cx, 3, OptionsOf::kSet));
  TRY(int64_t expiry, expiry_of(cx, options));
  const Key key = cx.key(1);
  const Entry* old_entry = cx.db.find(key, options.get ? Access::kRead : Access::kWrite);
  if (options.get && old_entry != nullptr && !old_entry->is_string()) return ErrorCode::kWrongType;
  const bool blocked =
      (options.condition == SetOptions::Condition::kIfAbsent && old_entry != nullptr) ||
      (options.condition == SetOptions::Condition::kIfPresent && old_entry == nullptr);
  if (options.get && old_entry != nullptr) {
    cx.reply.bulk(old_entry->string());
  } else if (options.get || blocked) {
    cx.reply.null();
  } else {
    cx.reply.ok();
  }
  if (blocked) return done();
  if (options.keep_ttl && old_entry != nullptr) expiry = old_entry->expiry();
  cx.db.set_string(key, cx[2], expiry);
  announce_set(cx, key, options.keep_ttl ? kNever : expiry);
  effect_set(cx, key, cx[2], expiry);
  return done();
}

Status set(CommandContext& cx) {
  if (cx.size() > 3) return set_with_options(cx);
  const Key key = cx.key(1);
  cx.db.set_string(key, cx[2], kNever);
  cx.db.changed(key, EventClass::kString, "set");
  cx.reply.ok();
  return done();
}

Status setnx(CommandContext& cx) {
  const Key key = cx.key(1);
  if (cx.db.find(key, Access::kWrite) != nullptr) {
    cx.reply.integer(0);
    return done();
  }
  cx.db.set_string(key, cx[2], kNever);
  announce_set(cx, key, kNever);
  cx.reply.integer(1);
  return done();
}

Status set_expiring(CommandContext& cx, TimeUnit unit) {
  TRY(const int64_t expiry,
      parse_expiry(cx[2], unit, TimeBase::kRelative, PastTime::kRefused, cx.now, cx.spec.name));
  const Key key = cx.key(1);
  cx.db.set_string(key, cx[3], expiry);
  announce_set(cx, key, expiry);
  effect_set(cx, key, cx[3], expiry);
  cx.reply.ok();
  return done();
}
Status setex(CommandContext& cx) { return set_expiring(cx, TimeUnit::kSeconds); }
Status psetex(CommandContext& cx) { return set_expiring(cx, TimeUnit::kMilliseconds); }

// ---- reading
// ----------------------------------------------------------------------------------------

Status get(CommandContext& cx) {
  TRY(const auto value, cx.db.find_string(cx.key(1)));
  if (value) {
    cx.reply.bulk(*value);
  } else {
    cx.reply.null();
  }
  return done();
}

Status getset(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(const auto value, cx.db.find_string(key));
  if (value) {
    cx.reply.bulk(*value);
  } else {
    cx.reply.null();
  }
  cx.db.set_string(key, cx[2], kNever);
  announce_set(cx, key, kNever);
  effect_set(cx, key, cx[2], kNever);
  return done();
}

Status getdel(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(const auto value, cx.db.find_string(key));
  if (!value) {
    cx.reply.null();
    return done();
  }
  cx.reply.bulk(*value);
  cx.db.erase(key);
  cx.effect(key, {"DEL", key.bytes});
  return done();
}

Status getex(CommandContext& cx) {
  TRY(const SetOptions options, parse_options(cx, 2, OptionsOf::kGetex));
  const Key key = cx.key(1);
  Entry* entry = cx.db.find(key);
  if (entry == nullptr) {
    cx.reply.null();
    return done();
  }
  if (!entry->is_string()) return ErrorCode::kWrongType;
  TRY(const int64_t expiry, expiry_of(cx, options));
  cx.reply.bulk(entry->string());
  if (options.expiry_word != nullptr && expiry <= cx.now) {
    cx.db.erase(key);
    cx.effect(key, {"DEL", key.bytes});
  } else if (options.expiry_word != nullptr) {
    cx.db.set_expiry(key, entry, expiry);
    cx.db.changed(key, EventClass::kGeneric, "expire");
    char digits[kIntTextMax];
    const size_t length = format_int(digits, expiry);
    cx.effect(key, {"PEXPIREAT", key.bytes, std::string_view(digits, length)});
  } else if (options.persist && entry->has_expiry()) {
    cx.db.set_expiry(key, entry, kNever);
    cx.db.changed(key, EventClass::kGeneric, "persist");
    cx.effect(key, {"PERSIST", key.bytes});
  }
  return done();
}

Status strlen(CommandContext& cx) {
  TRY(const auto value, cx.db.find_string(cx.key(1)));
  cx.reply.integer(value ? static_cast<int64_t>(value->size()) : 0);
  return done();
}

Status getrange(CommandContext& cx) {
  TRY(int64_t start, cx.integer(2));
  TRY(int64_t end, cx.integer(3));
  TRY(const auto value, cx.db.find_string(cx.key(1)));
  const auto size = value ? static_cast<int64_t>(value->size()) : 0;
  if ((start < 0 && end < 0 && start > end) || size == 0) {
    cx.reply.bulk("");
    return done();
  }
  if (start < 0) start = start < -size ? 0 : start + size;
  if (end < 0) end = end < -size ? 0 : end + size;
  if (end >= size) end = size - 1;
  if (start > end) {
    cx.reply.bulk("");
  } else {
    cx.reply.bulk(value->substr(static_cast<size_t>(start), static_cast<size_t>(end - start + 1)));
  }
  return done();
}

Status mget(CommandContext& cx) {
  constexpr size_t kBatch = 16;
  cx.reply.array(cx.size() - 1);
  for (size_t from = 1; from < cx.size(); from += kBatch) {
    Key keys[kBatch];
    const size_t count = cx.size() - from < kBatch ? cx.size() - from : kBatch;
    for (size_t index = 0; index < count; ++index) {
      keys[index] = cx.key(from + index);
      cx.db.prefetch_bucket(keys[index]);
    }
    for (size_t index = 0; index < count; ++index) cx.db.prefetch_entry(keys[index]);
    for (size_t index = 0; index < count; ++index) {
      const Entry* entry = cx.db.find(keys[index]);
      if (entry != nullptr && entry->is_string()) {
        cx.reply.bulk(entry->string());
      } else {
        cx.reply.null();
      }
    }
  }
  return done();
}

// ---- several keys
// ------------------------------------------------------------------------------------

void set_pairs(CommandContext& cx) {
  constexpr size_t kBatch = 16;
  for (size_t from = 1; from < cx.size(); from += 2 * kBatch) {
    Key keys[kBatch];
    const size_t left = (cx.size() - from) / 2;
    const size_t count = left < kBatch ? left : kBatch;
    for (size_t index = 0; index < count; ++index) {
      keys[index] = cx.key(from + 2 * index);
      cx.db.prefetch_bucket(keys[index]);
    }
    for (size_t index = 0; index < count; ++index) cx.db.prefetch_entry(keys[index]);
    for (size_t index = 0; index < count; ++index) {
      const std::string_view value = cx[from + 2 * index + 1];
      cx.db.set_string(keys[index], value, kNever);
      announce_set(cx, keys[index], kNever);
      effect_set(cx, keys[index], value, kNever);
    }
  }
}

Status mset(CommandContext& cx) {
  if (cx.size() % 2 == 0) return errors::wrong_arity("mset");
  set_pairs(cx);
  cx.reply.ok();
  return done();
}

Status msetnx(CommandContext& cx) {
  if (cx.size() % 2 == 0) return errors::wrong_arity("msetnx");
  for (size_t at = 1; at < cx.size(); at += 2) {
    if (cx.db.find(cx.key(at), Access::kWrite) == nullptr) continue;
    cx.reply.integer(0);
    return done();
  }
  set_pairs(cx);
  cx.reply.integer(1);
  return done();
}

// ---- edits
// -------------------------------------------------------------------------------------------

Status check_size(const CommandContext& cx, size_t offset, size_t added) {
  const auto limit = static_cast<size_t>(cx.settings.proto_max_bulk_len);
  if (added > limit || offset > limit - added) return ErrorCode::kStringTooLong;
  return done();
}

Status append(CommandContext& cx) {
  const Key key = cx.key(1);
  Entry* entry = cx.db.find(key, Access::kWrite);
  if (entry == nullptr) {
    entry = cx.db.set_string(key, cx[2], kNever);
  } else {
    if (!entry->is_string()) return ErrorCode::kWrongType;
    const size_t size = entry->string_size();
    TRY(check_size(cx, size, cx[2].size()));
    entry = cx.db.resize_string(key, entry, size + cx[2].size());
    if (!cx[2].empty()) std::memcpy(entry->string_data() + size, cx[2].data(), cx[2].size());
  }
  cx.reply.integer(static_cast<int64_t>(entry->string_size()));
  cx.db.changed(key, EventClass::kString, "append");
  return done();
}

Status setrange(CommandContext& cx) {
  TRY(const int64_t offset, cx.integer(2));
  if (offset < 0) return errors::offset_out_of_range();
  const Key key = cx.key(1);
  const std::string_view value = cx[3];
  Entry* entry = cx.db.find(key, Access::kWrite);
  if (entry != nullptr && !entry->is_string()) return ErrorCode::kWrongType;
  if (value.empty()) {
    cx.reply.integer(entry == nullptr ? 0 : static_cast<int64_t>(entry->string_size()));
    return done();
  }
  TRY(check_size(cx, static_cast<size_t>(offset), value.size()));
  if (entry == nullptr) entry = cx.db.set_string(key, "", kNever);
  const size_t end = static_cast<size_t>(offset) + value.size();
  entry = cx.db.resize_string(key, entry, end > entry->string_size() ? end : entry->string_size());
  std::memcpy(entry->string_data() + offset, value.data(), value.size());
  cx.reply.integer(static_cast<int64_t>(entry->string_size()));
  cx.db.changed(key, EventClass::kString, "setrange");
  return done();
}

// Replaces the text of an integer, keeping the expiry.
void store_number(CommandContext& cx, const Key& key, Entry* entry, std::string_view digits) {
  if (entry == nullptr) {
    cx.db.set_string(key, digits, kNever);
    return;
  }
  if (entry->string_size() == digits.size()) {
    cx.db.set_string(key, digits, entry->expiry());
    return;
  }
  entry = cx.db.resize_string(key, entry, digits.size());
  std::memcpy(entry->string_data(), digits.data(), digits.size());
  entry->set_edited(false);
}

Status add_to_integer(CommandContext& cx, int64_t by) {
  const Key key = cx.key(1);
  Entry* entry = cx.db.find(key, Access::kWrite);
  int64_t value = 0;
  if (entry != nullptr) {
    if (!entry->is_string()) return ErrorCode::kWrongType;
    const auto parsed = parse_int(entry->string());
    if (!parsed) return ErrorCode::kNotInteger;
    value = *parsed;
  }
  int64_t sum = 0;
  if (__builtin_add_overflow(value, by, &sum)) return ErrorCode::kOverflow;
  char digits[kIntTextMax];
  const size_t length = format_int(digits, sum);
  store_number(cx, key, entry, std::string_view(digits, length));
  cx.db.changed(key, EventClass::kString, "incrby");
  cx.reply.integer(sum);
  return done();
}

Status incr(CommandContext& cx) { return add_to_integer(cx, 1); }
Status decr(CommandContext& cx) { return add_to_integer(cx, -1); }
Status incrby(CommandContext& cx) {
  TRY(const int64_t by, cx.integer(2));
  return add_to_integer(cx, by);
}
Status decrby(CommandContext& cx) {
  TRY(const int64_t by, cx.integer(2));
  if (by == INT64_MIN) return errors::decrement_overflow();
  return add_to_integer(cx, -by);
}

Status incrbyfloat(CommandContext& cx) {
  const Key key = cx.key(1);
  Entry* entry = cx.db.find(key, Access::kWrite);
  long double value = 0;
  if (entry != nullptr) {
    if (!entry->is_string()) return ErrorCode::kWrongType;
    const auto parsed = parse_long_double(entry->string());
    if (!parsed) return ErrorCode::kNotFloat;
    value = *parsed;
  }
  const auto by = parse_long_double(cx[2]);
  if (!by) return ErrorCode::kNotFloat;
  const auto text = format_long_double(value + *by);
  if (!text) return errors::increment_not_finite();
  const int64_t expiry = entry == nullptr ? kNever : entry->expiry();
  cx.db.set_string(key, *text, expiry);
  cx.db.changed(key, EventClass::kString, "incrbyfloat");
  cx.effect(key, {"SET", key.bytes, *text, "KEEPTTL"});
  cx.reply.bulk(*text);
  return done();
}

// ---- bits
// --------------------------------------------------------------------------------------------

Result<uint64_t> bit_offset(const CommandContext& cx, size_t index) {
  const auto offset = parse_int(cx[index]);
  if (!offset || *offset < 0 || (*offset >> 3) >= cx.settings.proto_max_bulk_len) {
    return errors::bit_offset();
  }
  return static_cast<uint64_t>(*offset);
}

Status setbit(CommandContext& cx) {
  TRY(const uint64_t offset, bit_offset(cx, 2));
  if (cx[3] != "0" && cx[3] != "1") return errors::bit_value();
  const bool on = cx[3] == "1";
  const Key key = cx.key(1);
  Entry* entry = cx.db.find(key, Access::kWrite);
  if (entry != nullptr && !entry->is_string()) return ErrorCode::kWrongType;
  const size_t byte = static_cast<size_t>(offset >> 3);
  if (entry == nullptr) entry = cx.db.set_string(key, "", kNever);
  const size_t size = byte + 1 > entry->string_size() ? byte + 1 : entry->string_size();
  entry = cx.db.resize_string(key, entry, size);
  const auto mask = static_cast<char>(1 << (7 - (offset & 7)));
  char& cell = entry->string_data()[byte];
  cx.reply.integer((cell & mask) != 0 ? 1 : 0);
  cell = static_cast<char>(on ? cell | mask : cell & ~mask);
  cx.db.changed(key, EventClass::kString, "setbit");
  return done();
}

Status getbit(CommandContext& cx) {
  TRY(const uint64_t offset, bit_offset(cx, 2));
  TRY(const auto value, cx.db.find_string(cx.key(1)));
  const size_t byte = static_cast<size_t>(offset >> 3);
  const bool on =
      value && byte < value->size() && (((*value)[byte] >> (7 - (offset & 7))) & 1) != 0;
  cx.reply.integer(on ? 1 : 0);
  return done();
}

// ---- LCS
// ---------------------------------------------------------------------------------------------

struct LcsOptions {
  bool length = false;
  bool indexes = false;
  bool with_match_length = false;
  int64_t match_length_min = 0;
};

Result<LcsOptions> parse_lcs(const CommandContext& cx) {
  LcsOptions options;
  for (size_t at = 3; at < cx.size(); ++at) {
    if (same_word(cx[at], "IDX")) {
      options.indexes = true;
    } else if (same_word(cx[at], "LEN")) {
      options.length = true;
    } else if (same_word(cx[at], "WITHMATCHLEN")) {
      options.with_match_length = true;
    } else if (same_word(cx[at], "MINMATCHLEN") && at + 1 < cx.size()) {
      TRY(options.match_length_min, cx.integer(++at));
      if (options.match_length_min < 0) options.match_length_min = 0;
    } else {
      return ErrorCode::kSyntax;
    }
  }
  if (options.indexes && options.length) return errors::lcs_length_and_indexes();
  return options;
}

// Lengths of the longest common subsequences of all prefixes (the textbook table, row by row).
class LcsTable {
 public:
  LcsTable(std::string_view one, std::string_view other)
      : width_(other.size() + 1), cells_((one.size() + 1) * width_) {
    for (size_t row = 1; row <= one.size(); ++row) {
      for (size_t column = 1; column < width_; ++column) {
        uint32_t& cell = cells_[row * width_ + column];
        if (one[row - 1] == other[column - 1]) {
          cell = at(row - 1, column - 1) + 1;
        } else {
          cell =
              at(row - 1, column) > at(row, column - 1) ? at(row - 1, column) : at(row, column - 1);
        }
      }
    }
  }
  uint32_t at(size_t row, size_t column) const { return cells_[row * width_ + column]; }

 private:
  size_t width_;
  std::vector<uint32_t> cells_;
};

struct LcsRange {
  size_t one_first, one_last, other_first, other_last;
};

void reply_lcs_range(CommandContext& cx, const LcsRange& range, const LcsOptions& options) {
  cx.reply.array(options.with_match_length ? 3 : 2);
  cx.reply.array(2);
  cx.reply.integer(static_cast<int64_t>(range.one_first));
  cx.reply.integer(static_cast<int64_t>(range.one_last));
  cx.reply.array(2);
  cx.reply.integer(static_cast<int64_t>(range.other_first));
  cx.reply.integer(static_cast<int64_t>(range.other_last));
  if (options.with_match_length) {
    cx.reply.integer(static_cast<int64_t>(range.one_last - range.one_first + 1));
  }
}

// Walks the table back from its end; gives the common subsequence and the runs of it, last first.
void walk_lcs(const LcsTable& table, std::string_view one, std::string_view other,
              std::string& common, std::vector<LcsRange>& ranges) {
  size_t row = one.size();
  size_t column = other.size();
  std::optional<LcsRange> run;
  while (row > 0 && column > 0) {
    if (one[row - 1] == other[column - 1]) {
      common.push_back(one[row - 1]);
      if (run && run->one_first == row && run->other_first == column) {
        --run->one_first;
        --run->other_first;
      } else {
        if (run) ranges.push_back(*run);
        run = LcsRange{row - 1, row - 1, column - 1, column - 1};
      }
      --row;
      --column;
    } else if (table.at(row - 1, column) > table.at(row, column - 1)) {
      --row;
    } else {
      --column;
    }
  }
  if (run) ranges.push_back(*run);
}

Status lcs(CommandContext& cx) {
  // The table of lengths may take as much memory as the longest string is allowed to.
  const Entry* first = cx.db.find(cx.key(1));
  const Entry* second = cx.db.find(cx.key(2));
  if ((first != nullptr && !first->is_string()) || (second != nullptr && !second->is_string())) {
    return errors::lcs_needs_strings();
  }
  TRY(const LcsOptions options, parse_lcs(cx));
  const std::string_view one = first == nullptr ? std::string_view() : first->string();
  const std::string_view other = second == nullptr ? std::string_view() : second->string();
  const uint64_t cells = static_cast<uint64_t>(one.size() + 1) * (other.size() + 1);
  if (one.size() >= UINT32_MAX - 1 || other.size() >= UINT32_MAX - 1 ||
      cells * sizeof(uint32_t) > static_cast<uint64_t>(cx.settings.proto_max_bulk_len)) {
    return errors::lcs_memory();
  }
  const LcsTable table(one, other);
  const uint32_t length = table.at(one.size(), other.size());
  if (options.length) {
    cx.reply.integer(length);
    return done();
  }
  std::string common;
  std::vector<LcsRange> ranges;
  walk_lcs(table, one, other, common, ranges);
  if (!options.indexes) {
    cx.reply.bulk(std::string(common.rbegin(), common.rend()));
    return done();
  }
  cx.reply.map(2);
  cx.reply.bulk("matches");
  const auto matches = cx.reply.begin(Reply::Shape::kArray);
  size_t count = 0;
  for (const LcsRange& range : ranges) {
    if (static_cast<int64_t>(range.one_last - range.one_first + 1) < options.match_length_min)
      continue;
    reply_lcs_range(cx, range, options);
    ++count;
  }
  cx.reply.end(matches, count);
  cx.reply.bulk("len");
  cx.reply.integer(length);
  return done();
}

// ---- rows
// --------------------------------------------------------------------------------------------

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr uint16_t kEdit = kKeyReadWrite | kKeyAccess | kKeyUpdate;

constexpr CommandSpec kTable[] = {
    {.name = "append",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyInsert)},
     .syntax = "key value",
     .summary = "Adds bytes to the end of a string; an absent key counts as empty.",
     .complexity = "O(1) amortised for short values",
     .since = "2.0.0",
     .group = Group::kString,
     .run = append},
    {.name = "decr",
     .arity = 2,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kEdit)},
     .syntax = "key",
     .summary = "Takes one from the integer at a key; an absent key counts as 0.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kString,
     .run = decr},
    {.name = "decrby",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kEdit)},
     .syntax = "key decrement:int",
     .summary = "Takes a number from the integer at a key.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kString,
     .run = decrby},
    {.name = "get",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns the string value of a key.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kString,
     .run = get},
    {.name = "getbit",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key offset:int",
     .summary = "Returns one bit of a string.",
     .complexity = "O(1)",
     .since = "2.2.0",
     .group = Group::kBitmap,
     .run = getbit},
    {.name = "getdel",
     .arity = 2,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyAccess | kKeyDelete)},
     .syntax = "key",
     .summary = "Returns a string and removes its key.",
     .complexity = "O(1)",
     .since = "6.2.0",
     .group = Group::kString,
     .run = getdel},
    {.name = "getex",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = {one_key(kEdit)},
     .syntax = "key [EX seconds:int | PX milliseconds:int | EXAT unix-time-seconds:time"
               " | PXAT unix-time-milliseconds:time | PERSIST]",
     .summary = "Returns a string and sets or removes the expiry of its key.",
     .complexity = "O(1)",
     .since = "6.2.0",
     .group = Group::kString,
     .run = getex},
    {.name = "getrange",
     .arity = 4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key start:int end:int",
     .summary = "Returns a part of a string, by first and last offset.",
     .complexity = "O(N) in the bytes returned",
     .since = "2.4.0",
     .group = Group::kString,
     .run = getrange},
    {.name = "getset",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kEdit)},
     .syntax = "key value",
     .summary = "Sets a string and returns what it replaces.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .deprecated_since = "6.2.0",
     .replaced_by = "`SET` with the `!GET` argument",
     .group = Group::kString,
     .run = getset},
    {.name = "incr",
     .arity = 2,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kEdit)},
     .syntax = "key",
     .summary = "Adds one to the integer at a key; an absent key counts as 0.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kString,
     .run = incr},
    {.name = "incrby",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kEdit)},
     .syntax = "key increment:int",
     .summary = "Adds a number to the integer at a key.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kString,
     .run = incrby},
    {.name = "incrbyfloat",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kEdit)},
     .syntax = "key increment:double",
     .summary = "Adds a floating-point number to the number at a key.",
     .complexity = "O(1)",
     .since = "2.6.0",
     .group = Group::kString,
     .run = incrbyfloat},
    {.name = "lcs",
     .arity = -3,
     .flags = kReadonly,
     .keys = {key_range(kReadAccess, 1, 2)},
     .syntax = "key1:key key2:key [LEN] [IDX] [MINMATCHLEN min-match-len:int] [WITHMATCHLEN]",
     .summary = "Finds the longest common subsequence of two strings.",
     .complexity = "O(N*M) in the lengths of the two strings",
     .since = "7.0.0",
     .group = Group::kString,
     .run = lcs},
    {.name = "mget",
     .arity = -2,
     .flags = kReadonly | kFast,
     .keys = {key_range(kReadAccess, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Returns the string values of several keys.",
     .complexity = "O(N) in the number of keys",
     .since = "1.0.0",
     .group = Group::kString,
     .tips = "request_policy:multi_shard",
     .run = mget},
    {.name = "mset",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = {key_range(kKeyOverwrite | kKeyUpdate, 1, -1, 2)},
     .syntax = "key value [key value ...]",
     .summary = "Sets several strings at once.",
     .complexity = "O(N) in the number of keys",
     .since = "1.0.1",
     .group = Group::kString,
     .tips = "request_policy:multi_shard,response_policy:all_succeeded",
     .run = mset},
    {.name = "msetnx",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = {key_range(kKeyOverwrite | kKeyInsert, 1, -1, 2)},
     .syntax = "key value [key value ...]",
     .summary = "Sets several strings, but only if none of the keys exists.",
     .complexity = "O(N) in the number of keys",
     .since = "1.0.1",
     .group = Group::kString,
     .tips = "request_policy:multi_shard,response_policy:agg_min",
     .run = msetnx},
    {.name = "psetex",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyOverwrite | kKeyUpdate)},
     .syntax = "key milliseconds:int value",
     .summary = "Sets a string with an expiry in milliseconds.",
     .complexity = "O(1)",
     .since = "2.6.0",
     .group = Group::kString,
     .run = psetex},
    {.name = "set",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kEdit | kKeyVariable)},
     .syntax = "key value [NX | XX] [GET] [EX seconds:int | PX milliseconds:int"
               " | EXAT unix-time-seconds:time | PXAT unix-time-milliseconds:time | KEEPTTL]",
     .summary = "Sets the string value of a key, whatever its type was.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .history = "2.6.12: Added the `EX`, `PX`, `NX` and `XX` options.; 6.0.0: Added the `KEEPTTL` "
                "option.; "
                "6.2.0: Added the `GET`, `EXAT` and `PXAT` option.; "
                "7.0.0: Allowed the `NX` and `GET` options to be used together.",
     .group = Group::kString,
     .run = set},
    {.name = "setbit",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kEdit)},
     .syntax = "key offset:int value:int",
     .summary = "Sets or clears one bit of a string.",
     .complexity = "O(1)",
     .since = "2.2.0",
     .group = Group::kBitmap,
     .run = setbit},
    {.name = "setex",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyOverwrite | kKeyUpdate)},
     .syntax = "key seconds:int value",
     .summary = "Sets a string with an expiry in seconds.",
     .complexity = "O(1)",
     .since = "2.0.0",
     .group = Group::kString,
     .run = setex},
    {.name = "setnx",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kKeyOverwrite | kKeyInsert)},
     .syntax = "key value",
     .summary = "Sets a string, but only if the key does not exist.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kString,
     .run = setnx},
    {.name = "setrange",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate)},
     .syntax = "key offset:int value",
     .summary = "Writes over a part of a string, growing it with zeros.",
     .complexity = "O(M) in the length of the value",
     .since = "2.2.0",
     .group = Group::kString,
     .run = setrange},
    {.name = "strlen",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key",
     .summary = "Returns the length of a string.",
     .complexity = "O(1)",
     .since = "2.2.0",
     .group = Group::kString,
     .run = strlen},
    {.name = "substr",
     .arity = 4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key start:int end:int",
     .summary = "The old name of GETRANGE.",
     .complexity = "O(N) in the bytes returned",
     .since = "1.0.0",
     .deprecated_since = "2.0.0",
     .replaced_by = "`GETRANGE`",
     .group = Group::kString,
     .run = getrange},
};
static_assert(well_formed(kTable), "cmd_string.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> string_commands() { return kTable; }

}  // namespace quorate

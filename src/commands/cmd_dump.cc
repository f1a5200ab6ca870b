// DUMP and RESTORE: a value as bytes and back; and the effect that says a key's whole value.
#include <algorithm>
#include <optional>
#include <string>

#include "commands/context.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "store/codec.h"

namespace quorate {

namespace {

constexpr int64_t kInitialFrequency = 5;  // of a new key under an LFU policy

Status dump(CommandContext& cx) {
  const Entry* entry = cx.db.find(cx.key(1));
  if (entry == nullptr) {
    cx.reply.null();
    return done();
  }
  Buffer payload;
  encode_payload(*entry, cx.settings, payload);
  cx.reply.bulk(payload.view());
  return done();
}

struct RestoreOptions {
  bool replace = false;
  bool absolute = false;
  std::optional<int64_t> idle_seconds;
  std::optional<int64_t> frequency;
};

Result<RestoreOptions> parse_options(const CommandContext& cx) {
  RestoreOptions options;
  for (size_t at = 4; at < cx.size(); ++at) {
    const bool has_value = at + 1 < cx.size();
    if (same_word(cx[at], "REPLACE")) {
      options.replace = true;
    } else if (same_word(cx[at], "ABSTTL")) {
      options.absolute = true;
    } else if (same_word(cx[at], "IDLETIME") && has_value && !options.frequency) {
      TRY(options.idle_seconds, cx.integer(++at));
      if (*options.idle_seconds < 0) return errors::invalid_idle_time();
    } else if (same_word(cx[at], "FREQ") && has_value && !options.idle_seconds) {
      TRY(options.frequency, cx.integer(++at));
      if (*options.frequency < 0 || *options.frequency > 255) return errors::invalid_frequency();
    } else {
      return ErrorCode::kSyntax;
    }
  }
  return options;
}

// Unix milliseconds; kNever if the argument is 0.
Result<int64_t> parse_expiry(const CommandContext& cx, const RestoreOptions& options) {
  TRY(const int64_t ttl, cx.integer(2));
  if (ttl < 0) return errors::invalid_ttl();
  if (ttl == 0) return kNever;
  if (options.absolute) return ttl;
  // Beyond the end of time is as good as its end.
  return ttl > kNever - 1 - cx.now ? kNever - 1 : ttl + cx.now;
}

// The command with the time made absolute.
void add_restore_effect(CommandContext& cx, const Key& key, int64_t expiry) {
  if (!cx.collecting_effects()) return;
  const std::string time = std::to_string(expiry == kNever ? 0 : expiry);
  std::vector<std::string_view> args(cx.args.begin(), cx.args.end());
  args[2] = time;
  args.push_back("ABSTTL");
  cx.effect(key, args);
}

Status restore(CommandContext& cx) {
  TRY(const RestoreOptions options, parse_options(cx));
  const Key key = cx.key(1);
  const bool present = cx.db.find(key, Access::kWrite) != nullptr;
  if (present && !options.replace) return ErrorCode::kBusyKey;
  TRY(const int64_t expiry, parse_expiry(cx, options));
  Result<Entry*> decoded = decode_payload(cx[3], key.bytes, expiry, cx.settings);
  if (!decoded.ok()) {
    if (decoded.error().code() == ErrorCode::kBadRestorePayload) return std::move(decoded).error();
    return errors::bad_data_format();
  }
  Entry* entry = decoded.value();
  // Born too late to live.  A log that is replayed says itself when a key dies.
  if (expiry <= cx.now && !cx.store.replaying()) {
    destroy_entry(entry);
    if (present) {
      cx.db.erase(key);
      cx.effect(key, {"DEL", key.bytes});
    }
    cx.reply.ok();
    return done();
  }
  if (present) cx.db.discard(key);
  entry = cx.db.put(key, entry);
  cx.store.set_idle_seconds(entry, options.idle_seconds.value_or(0));
  cx.store.set_lfu_frequency(entry,
                             static_cast<uint32_t>(options.frequency.value_or(kInitialFrequency)));
  cx.db.changed(key, EventClass::kGeneric, "restore");
  if (!options.absolute) add_restore_effect(cx, key, expiry);
  cx.reply.ok();
  return done();
}

constexpr CommandSpec kTable[] = {
    {.name = "dump",
     .arity = 2,
     .flags = kReadonly,
     .keys = {one_key(kKeyReadOnly | kKeyAccess)},
     .syntax = "key",
     .summary = "Returns the value of a key as bytes that RESTORE understands.",
     .complexity = "O(N*M) for N elements of average size M",
     .since = "2.6.0",
     .group = Group::kGeneric,
     .tips = "nondeterministic_output",
     .run = dump},
    {.name = "restore",
     .arity = -4,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyOverwrite | kKeyUpdate)},
     .syntax = "key ttl:int serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:int]"
               " [FREQ frequency:int]",
     .summary = "Makes a key from the bytes that DUMP gave.",
     .complexity = "O(N*M) for N elements of average size M; for sorted sets O(N*M*log(N))",
     .since = "2.6.0",
     .history = "3.0.0: Added the `REPLACE` modifier.; 5.0.0: Added the `ABSTTL` modifier.; "
                "5.0.0: Added the `IDLETIME` and `FREQ` options.",
     .group = Group::kGeneric,
     .acl = "dangerous",
     .run = restore},
};

}  // namespace

void CommandContext::effect_whole_value(Db& of, const Key& key) {
  if (!store.effects().collecting()) return;
  const Entry* entry = of.find(key, Access::kPeek);
  if (entry == nullptr) {
    store.effects().add(of.index(), key, {"DEL", key.bytes});
    return;
  }
  Buffer payload;
  encode_payload(*entry, settings, payload);
  const std::string time = std::to_string(entry->has_expiry() ? entry->expiry() : 0);
  store.effects().add(of.index(), key,
                      {"RESTORE", key.bytes, time, payload.view(), "REPLACE", "ABSTTL"});
}

std::span<const CommandSpec> dump_commands() { return kTable; }

}  // namespace quorate

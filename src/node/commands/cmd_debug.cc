// DEBUG: what tests need to look behind the curtain.  Allowed only by enable-debug-command.
#include <algorithm>

#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/blocking.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/digest.h"
#include "node/host.h"
#include "node/persistence.h"
#include "store/codec.h"
#include "store/value.h"
#include "util/hash.h"

namespace quorate {

namespace {

Key key_at(NodeContext& cx, size_t index) { return cx.node.store.make_key(cx[index]); }

Result<double> number_at(NodeContext& cx, size_t index) {
  const auto value = parse_double(cx[index]);
  if (!value) return ErrorCode::kNotFloat;
  return *value;
}

Status sleep(NodeContext& cx) {
  TRY(const double seconds, number_at(cx, 2));
  constexpr double kSecondsMax = 3600;
  start_busy(cx.node, cx.session, static_cast<int64_t>(std::clamp(seconds, 0.0, kSecondsMax) * 1e6));
  cx.reply.ok();
  return done();
}

Status object(NodeContext& cx) {
  const Entry* const entry = cx.db().find(key_at(cx, 2), Access::kPeek);
  if (entry == nullptr) return ErrorCode::kNoSuchKey;
  Buffer encoded;
  encode_value(*entry, cx.node.store_settings, {.field_expiry = EncodeOptions::FieldExpiry::kDrop}, encoded);
  const int64_t idle = cx.node.store.idle_seconds(entry);
  // In the place of an address something that tells nothing: neither where blocks are, nor by which seed keys are hashed.
  std::string line = "Value at:0x" + std::to_string(hash64(cx[2], 0)) + " refcount:1 encoding:" +
                     std::string(value_encoding(*entry, cx.node.store_settings)) +
                     " serializedlength:" + std::to_string(encoded.empty() ? 0 : encoded.size() - 1) +
                     " lru:" + std::to_string(entry->access()) + " lru_seconds_idle:" + std::to_string(idle);
  if (entry->type() == ValueType::kList) {
    line += " ql_nodes:1 ql_avg_node:" + std::to_string(value_size(*entry)) + ".00 ql_listpack_max:" +
            std::to_string(cx.node.store_settings.list_max_listpack_size) +
            " ql_compressed:0 ql_uncompressed_size:" + std::to_string(value_memory(*entry));
  }
  cx.reply.simple(line);
  return done();
}

Status set_active_expire(NodeContext& cx) {
  cx.node.store_settings.active_expire = cx[2] != "0";
  cx.reply.ok();
  return done();
}

Status reload(NodeContext& cx) {
  if (!cx.node.company.is_alone()) return errors::not_in_company("DEBUG RELOAD");
  for (size_t index = 2; index < cx.size(); ++index) {
    const bool known = same_word(cx[index], "noflush") || same_word(cx[index], "merge") ||
                       same_word(cx[index], "nosave");
    if (!known) return ErrorCode::kSyntax;
  }
  TRY(reload_through_rdb(cx.node));
  cx.reply.ok();
  return done();
}

// Answered when the log has been read back.
Status load_log(NodeContext& cx) {
  if (!cx.node.company.is_alone()) return errors::not_in_company("DEBUG LOADAOF");
  if (cx.node.in_transaction) return errors::not_in_transaction();
  cx.node.persistence.log_load_waiters.push_back(cx.session.id);
  cx.session.set(kWaiting);
  return done();
}

Status digest(NodeContext& cx) {
  cx.reply.simple(digest_of_store(cx.node.store).hex());
  return done();
}

Status digest_value(NodeContext& cx) {
  cx.reply.array(cx.size() - 2);
  for (size_t index = 2; index < cx.size(); ++index) {
    const Entry* const entry = cx.db().find(key_at(cx, index), Access::kPeek);
    cx.reply.simple(entry == nullptr ? Digest().hex() : digest_of_value(*entry, cx.node.store_settings).hex());
  }
  return done();
}

// Lists have no nodes of that kind here; the word is checked and has no effect.
Status quicklist_packed_threshold(NodeContext& cx) {
  if (!parse_memory(cx[2])) return errors::debug_memory_value();
  cx.reply.ok();
  return done();
}

Status error(NodeContext& cx) {
  std::string line(cx[2]);
  std::replace_if(line.begin(), line.end(), [](char letter) { return letter == '\r' || letter == '\n'; }, ' ');
  return errors::text(std::move(line));
}

Status log(NodeContext& cx) {
  cx.node.host.log(LogLevel::kWarning, "DEBUG LOG: " + std::string(cx[2]));
  cx.reply.ok();
  return done();
}

void protocol_aggregate(Reply& reply, std::string_view kind) {
  if (same_word(kind, "array")) {
    reply.array(3);
    for (int64_t index = 0; index < 3; ++index) reply.integer(index);
  } else if (same_word(kind, "set")) {
    reply.set(3);
    for (int64_t index = 0; index < 3; ++index) reply.integer(index);
  } else {
    reply.map(3);
    for (int64_t index = 0; index < 3; ++index) {
      reply.integer(index);
      reply.boolean(index == 1);
    }
  }
}

Status protocol_attribute(Reply& reply) {
  if (reply.protocol() == Protocol::kResp3) {
    reply.raw("|1\r\n");
    reply.bulk("key-popularity");
    reply.array(2);
    reply.bulk("key:123");
    reply.integer(90);
  }
  reply.bulk("Some real reply following the attribute");
  return done();
}

Status protocol_push(Reply& reply) {
  if (reply.protocol() == Protocol::kResp2) return errors::debug_needs_resp3();
  reply.push(2);
  reply.bulk("server-cpu-usage");
  reply.integer(42);
  // A push is no reply: the client still waits for one.
  reply.bulk("Some real reply following the push reply");
  return done();
}

Status protocol(NodeContext& cx) {
  const std::string_view kind = cx[2];
  Reply& reply = cx.reply;
  if (same_word(kind, "string")) {
    reply.bulk("Hello World");
  } else if (same_word(kind, "integer")) {
    reply.integer(12345);
  } else if (same_word(kind, "double")) {
    reply.number(3.141);
  } else if (same_word(kind, "null")) {
    reply.null();
  } else if (same_word(kind, "array") || same_word(kind, "set") || same_word(kind, "map")) {
    protocol_aggregate(reply, kind);
  } else if (same_word(kind, "attrib")) {
    return protocol_attribute(reply);
  } else if (same_word(kind, "push")) {
    return protocol_push(reply);
  } else if (same_word(kind, "true") || same_word(kind, "false")) {
    reply.boolean(same_word(kind, "true"));
  } else if (same_word(kind, "verbatim")) {
    reply.verbatim(VerbatimFormat::kText, "This is a verbatim\nstring");
  } else if (same_word(kind, "bignum")) {
    reply.big_number("1234567999999999999999999999999999999");
  } else {
    return errors::debug_protocol_type();
  }
  return done();
}

Status populate(NodeContext& cx) {
  if (!cx.node.company.is_alone()) return errors::not_in_company("DEBUG POPULATE");
  if (cx.size() > 5) return ErrorCode::kSyntax;
  TRY(const int64_t count, cx.integer(2));
  const std::string prefix(cx.size() > 3 ? cx[3] : std::string_view("key"));
  int64_t size = 0;
  if (cx.size() > 4) {
    TRY(size, cx.integer(4));
    if (size < 0 || size > cx.node.store_settings.proto_max_bulk_len) return ErrorCode::kOutOfRange;
  }
  Store& store = cx.node.store;
  for (int64_t index = 0; index < count; ++index) {
    const std::string name = prefix + ":" + std::to_string(index);
    const Key key = store.make_key(name);
    if (cx.db().find(key, Access::kPeek) != nullptr) continue;
    std::string value = "value:" + std::to_string(index);
    if (size > 0) value.resize(static_cast<size_t>(size), '\0');
    cx.db().set_string(key, value, kNever);
    cx.db().changed(key, EventClass::kString, "set");
    store.effects().add(cx.session.database, key, {"SET", name, value});
  }
  cx.reply.ok();
  return done();
}

Status hash_table_statistics(NodeContext& cx) {
  TRY(const int64_t index, cx.integer(2));
  if (index < 0 || index >= cx.node.store.database_count()) return errors::database_out_of_range();
  const Db& db = cx.node.store.database(static_cast<int>(index));
  const std::string text = "[Dictionary HT]\nHash table 0 stats (main hash table):\n number of elements: " +
                           std::to_string(db.size()) + "\n bytes of tables: " + std::to_string(db.table_bytes()) +
                           "\n[Expires HT]\n number of elements: " + std::to_string(db.size_with_expiry()) + "\n";
  cx.reply.verbatim(VerbatimFormat::kText, text);
  return done();
}

Status hash_table_statistics_of_key(NodeContext& cx) {
  const Entry* const entry = cx.db().find(key_at(cx, 2), Access::kPeek);
  if (entry == nullptr) return ErrorCode::kNoSuchKey;
  const std::string text = "[Value]\n encoding: " + std::string(value_encoding(*entry, cx.node.store_settings)) +
                           "\n number of elements: " + std::to_string(value_size(*entry)) +
                           "\n bytes: " + std::to_string(value_memory(*entry)) + "\n";
  cx.reply.verbatim(VerbatimFormat::kText, text);
  return done();
}

// One form of DEBUG.  COMMAND shows none of them, as in Redis.
struct Form {
  std::string_view name;
  size_t words_least;  // DEBUG and the name count
  size_t words_most;
  Status (*run)(NodeContext&);
  std::string_view help;
};

Status help(NodeContext& cx);

constexpr size_t kAnyNumber = SIZE_MAX;
constexpr Form kForms[] = {
    {"digest", 2, 2, digest, "DIGEST|    A fingerprint of all data."},
    {"digest-value", 3, kAnyNumber, digest_value, "DIGEST-VALUE <key> [<key> ...]|    Fingerprints of values."},
    {"error", 3, 3, error, "ERROR <string>|    Replies with an error."},
    {"help", 2, 2, help, "HELP|    This list."},
    {"htstats", 3, 4, hash_table_statistics, "HTSTATS <dbid>|    Facts about a database's tables."},
    {"htstats-key", 3, 4, hash_table_statistics_of_key, "HTSTATS-KEY <key>|    Facts about a value."},
    {"loadaof", 2, 2, load_log, "LOADAOF|    Forgets all data and reads it back from the log."},
    {"log", 3, 3, log, "LOG <message>|    Writes a line to the server's log."},
    {"object", 3, 4, object, "OBJECT <key>|    Facts about a key."},
    {"populate", 3, 5, populate, "POPULATE <count> [<prefix>] [<size>]|    Creates strings named prefix:<n>."},
    {"protocol", 3, 3, protocol, "PROTOCOL <type>|    Replies with a value of the type."},
    {"quicklist-packed-threshold", 3, 3, quicklist_packed_threshold,
     "QUICKLIST-PACKED-THRESHOLD <size>|    Accepted, has no effect."},
    {"reload", 2, 5, reload, "RELOAD [<option> ...]|    Takes all data through an RDB image and back."},
    {"set-active-expire", 3, 3, set_active_expire,
     "SET-ACTIVE-EXPIRE <0|1>|    Whether expired keys are removed before somebody looks."},
    {"sleep", 3, 3, sleep, "SLEEP <seconds>|    Answers nobody for a time."},
};

Status help(NodeContext& cx) {
  cx.reply.array(1 + 2 * std::size(kForms));
  cx.reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const Form& form : kForms) {
    const size_t bar = form.help.find("|    ");
    cx.reply.simple(form.help.substr(0, bar));
    cx.reply.simple(form.help.substr(bar + 1));
  }
  return done();
}

bool is_allowed(const NodeContext& cx) {
  switch (cx.node.settings.enable_debug_command) {
    case EnableFor::kNo: return false;
    case EnableFor::kYes: return true;
    case EnableFor::kLocal: return cx.session.has(kLoopback);
  }
  return false;
}

Status debug(NodeContext& cx) {
  if (!is_allowed(cx)) return errors::debug_not_allowed();
  for (const Form& form : kForms) {
    if (!same_word(cx[1], form.name)) continue;
    if (cx.size() < form.words_least || cx.size() > form.words_most) break;
    return form.run(cx);
  }
  return errors::subcommand_syntax("debug", cx[1]);
}

constexpr CommandSpec kTable[] = {
    {.name = "debug",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .syntax = "subcommand [argument ...]",
     .summary = "Looks behind the curtain, for tests.",
     .complexity = "Depends on subcommand.",
     .since = "1.0.0",
     .group = Group::kServer,
     .irregular_arity = true,
     .run_on_node = debug},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> debug_commands() { return kTable; }

}  // namespace quorate

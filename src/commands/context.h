// What a data handler sees: the keyspace, its arguments, the time, a source of chance, and where to
// reply.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "commands/spec.h"
#include "resp/reply.h"
#include "resp/request_parser.h"
#include "store/db.h"
#include "util/number.h"

namespace quorate {

// Told by a handler that would rather wait: the node runs the same command again when one of its
// keys is changed, until the deadline.  Nothing was replied and nothing changed.
struct BlockRequest {
  int64_t timeout_ms = 0;  // 0 = for ever
  size_t first_key = 0;    // indexes of args: the keys that can wake it
  size_t last_key = 0;
  enum class OnTimeout : uint8_t { kNullArray, kNull } on_timeout = OnTimeout::kNullArray;
  // Only a key of this type can wake it (a list waits through a SET of its key).  Absent: any.
  std::optional<ValueType> type{};
};

struct CommandContext {
  Store& store;
  Db& db;     // the session's selected database
  Args args;  // args[0] is the command's name as sent
  const CommandSpec& spec;
  int64_t now;  // unix ms; the same for the whole batch
  Reply& reply;
  const StoreSettings& settings;
  // A command that may not wait (MULTI, script) replies as if its time-out had passed.
  bool may_block = false;
  std::optional<BlockRequest> block{};
  // The key of args[1], made by the node for the batch's prefetch; key(i) uses it.
  Key first_key{};

  size_t size() const { return args.size(); }
  std::string_view operator[](size_t index) const { return args[index]; }
  Key key(size_t index) const {
    if (args[index].data() == first_key.bytes.data() && first_key.bytes.data() != nullptr)
      return first_key;
    return store.make_key(args[index]);
  }
  Prng& random() { return store.random(); }

  // "ERR value is not an integer or out of range".
  Result<int64_t> integer(size_t index) const {
    const auto value = parse_int(args[index]);
    if (!value) return ErrorCode::kNotInteger;
    return *value;
  }
  // "ERR value is not a valid float".
  Result<double> number(size_t index) const {
    const auto value = parse_double(args[index]);
    if (!value) return ErrorCode::kNotFloat;
    return *value;
  }

  // Effects.  A write command that changed something and adds none itself is its own effect: its
  // arguments are logged as they are.  That is right only if it is deterministic and touches one
  // key (or keys of one partition).  Everything else says what it did, one key at a time.
  void effect(const Key& key, std::initializer_list<std::string_view> effect_args) {
    effect(key, std::span<const std::string_view>(effect_args.begin(), effect_args.size()));
  }
  void effect(const Key& key, std::span<const std::string_view> effect_args) {
    if (store.effects().collecting()) store.effects().add(db.index(), key, effect_args);
  }
  bool collecting_effects() const { return store.effects().collecting(); }
  // "RESTORE key expiry payload REPLACE ABSTTL" (or DEL if absent): the effect of a write whose
  // smallest description is its result.  Implemented with the RDB codec.  The key may be of another
  // database.
  void effect_whole_value(Db& of, const Key& key);
};

// Case-insensitive comparison of an argument with an upper- or lower-case ASCII word.
bool same_word(std::string_view argument, std::string_view word);

}  // namespace quorate

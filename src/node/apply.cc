// Effects go to the command table.
#include "node/apply.h"

#include <algorithm>
#include <string>
#include <vector>

#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/state.h"

namespace quorate {

namespace {

constexpr size_t kReplyBytesKept = 64 << 10;

bool is_word(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(),
                                                   [](char a, char b) { return (a | 0x20) == b; });
}

}  // namespace

Status EffectApplier::apply(const Effect& effect, const Key& key) {
  const Args args(effect.args);
  const Command* const command = node_.commands.find(args[0]);
  if (command == nullptr) return apply_to_partition(effect);
  if (command->spec->run == nullptr) return apply_to_databases(effect);
  const int arity = command->spec->arity;
  const auto count = static_cast<int>(args.size());
  if (arity >= 0 ? count != arity : count < -arity) {
    return Error(ErrorCode::kCorrupt, "wrong number of arguments");
  }
  reply_bytes_.clear();
  if (reply_bytes_.capacity() > kReplyBytesKept) reply_bytes_.release();
  Reply reply(reply_bytes_, Protocol::kResp2);
  CommandContext cx{.store = node_.store,
                    .db = node_.store.database(effect.database),
                    .args = args,
                    .spec = *command->spec,
                    .now = node_.store.now(),
                    .reply = reply,
                    .settings = node_.store_settings,
                    .may_block = false,
                    .first_key = key};
  const Status status = command->spec->run(cx);
  if (status.ok()) return done();
  return Error(ErrorCode::kCorrupt, error_line(status.error()));
}

Status EffectApplier::apply_to_partition(const Effect& effect) {
  Store& store = node_.store;
  if (const auto rows = rows_in(effect)) return node_.company.apply_rows(store.partition_of(effect.slot), *rows);
  if (!is_clear(effect)) return Error(ErrorCode::kUnsupported, "unknown command");
  store.database(effect.database).clear_partition(store.partition_of(effect.slot));
  return done();
}

Status EffectApplier::apply_to_databases(const Effect& effect) {
  Store& store = node_.store;
  const std::string_view name = effect.args[0];
  if (same_word(name, "flushdb")) {
    store.database(effect.database).clear();
    return done();
  }
  if (same_word(name, "flushall")) {
    for (int index = 0; index < store.database_count(); ++index) store.database(index).clear();
    return done();
  }
  if (same_word(name, "swapdb") && effect.args.size() == 3) {
    const auto first = parse_int(effect.args[1]);
    const auto second = parse_int(effect.args[2]);
    const auto known = [&](const std::optional<int64_t>& index) {
      return index && *index >= 0 && *index < store.database_count();
    };
    if (!known(first) || !known(second)) return Error(ErrorCode::kInvalidArgument, "no such database");
    store.swap_databases(static_cast<int>(*first), static_cast<int>(*second));
    return done();
  }
  return Error(ErrorCode::kUnsupported, "not a command that a log may hold");
}


// Effects are read some ahead, so that the memory of their keys is on its way.
Status BatchApplier::apply(std::string_view effects) {
  EffectReader reader(effects);
  while (!reader.at_end()) {
    size_t count = 0;
    for (; count < kWindow && !reader.at_end(); ++count) TRY(read_one(reader, count));
    for (size_t index = 0; index < count; ++index) {
      store_.database(effects_[index].database).prefetch_entry(keys_[index]);
    }
    for (size_t index = 0; index < count; ++index) {
      TRY(apply_one(effects_[index], keys_[index]));
      if (effects_[index].args.capacity() > kArgsKept) [[unlikely]]
        effects_[index].args = std::vector<std::string_view>();
    }
  }
  return done();
}

// The next effect and its key.
Status BatchApplier::read_one(EffectReader& reader, size_t place) {
  Effect& effect = effects_[place];
  TRY(reader.next(effect));
  if (effect.database >= store_.database_count()) {
    return Error(ErrorCode::kInvalidArgument, "a write to database " + std::to_string(effect.database) +
                                                  ", but `databases` is " + std::to_string(store_.database_count()));
  }
  const std::string_view name = effect.args.size() > 1 ? effect.args[1] : std::string_view();
  keys_[place] = Key{name, hash64(name, store_.hash_seed()), effect.slot};
  store_.database(effect.database).prefetch_bucket(keys_[place]);
  return done();
}

Status BatchApplier::apply_one(const Effect& effect, const Key& key) {
  ++count_;
  if (effect.args.size() == 3 && is_word(effect.args[0], "set")) {
    store_.database(effect.database).set_string(key, effect.args[2], kNever);
    return done();
  }
  Status status = target_.apply(effect, key);
  if (status.ok()) return done();
  return Error(status.error().code(),
               "effect " + std::string(effect.args[0].substr(0, 64)) + ": " + std::string(status.error().detail()));
}

}  // namespace quorate

// Effects of set, sorted set and SORT commands: played on a second store they must make the same
// data. The second store has other seeds, so that whatever is left to chance or to the order of a
// table shows.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "commands/context.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/table.h"
#include "store/list.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/number.h"
#include "util/prng.h"

namespace quorate {
namespace {

const CommandTable& command_table() {
  static const auto families = data_commands();
  static const CommandTable table{std::span<const CommandTable::Family>(families)};
  return table;
}

// A value as text that does not depend on the order of a table.
std::string describe(const Entry& entry) {
  std::vector<std::string> parts;
  switch (entry.type()) {
    case ValueType::kString:
      parts.emplace_back(entry.string());
      break;
    case ValueType::kList:
      static_cast<const List*>(entry.object())->for_each([&](std::string_view element) {
        parts.emplace_back(element);
      });
      break;
    case ValueType::kSet:
      static_cast<const Set*>(entry.object())->for_each([&](std::string_view member) {
        parts.emplace_back(member);
      });
      std::sort(parts.begin(), parts.end());
      break;
    case ValueType::kSortedSet:
      static_cast<const SortedSet*>(entry.object())
          ->for_each([&](std::string_view member, double score) {
            char text[kDoubleTextMax];
            parts.emplace_back(text, format_double(text, score));
            parts.emplace_back(member);
          });
      break;
    case ValueType::kHash:
    case ValueType::kStream:
      CHECK(false);
  }
  std::string text(type_name(entry.type()));
  for (const std::string& part : parts) text += "," + std::to_string(part.size()) + ":" + part;
  return text;
}

std::map<std::string, std::string> describe(Store& store) {
  std::map<std::string, std::string> keys;
  store.database(0).for_each(
      [&keys](const Entry* entry) { keys.emplace(entry->key(), describe(*entry)); });
  return keys;
}

class EffectsFuzz {
 public:
  EffectsFuzz(const uint8_t* data, size_t size)
      : at_(data),
        end_(data + size),
        random_(hash64({reinterpret_cast<const char*>(data), size}, 1)),
        settings_(make_settings(next())),
        leader_({.hash_seed = 1, .random_seed = next()}, settings_),
        follower_({.hash_seed = 2, .random_seed = 77}, settings_) {
    leader_.effects().set_collecting(true);
    follower_.set_replaying(true);
  }

  void run() {
    constexpr int kStepsAfterInput = 300;
    for (int steps = 0; steps < kStepsAfterInput || at_ < end_; ++steps) step();
    CHECK(describe(leader_) == describe(follower_));
  }

 private:
  static StoreSettings make_settings(uint8_t byte) {
    StoreSettings settings;
    if (byte % 2 == 0) {
      settings.set_max_intset_entries = settings.set_max_listpack_entries = byte % 16;
      settings.zset_max_listpack_entries = byte % 16;
    }
    return settings;
  }
  uint8_t next() { return at_ < end_ ? *at_++ : static_cast<uint8_t>(random_.below(256)); }
  std::string key() { return std::string(1, static_cast<char>('a' + next() % 5)); }
  std::string member() {
    return next() % 2 == 0 ? std::to_string(next() % 40) : "m" + std::to_string(next() % 40);
  }
  std::string number() { return std::to_string(int{next() % 12} - 3); }

  // Fills in a line: k a key, m a member, n a number, * repeats the member before up to twenty
  // times.
  std::vector<std::string> command(std::string_view line) {
    std::vector<std::string> words;
    while (!line.empty()) {
      const size_t space = std::min(line.find(' '), line.size());
      const std::string_view word = line.substr(0, space);
      line.remove_prefix(std::min(space + 1, line.size()));
      if (word == "k") {
        words.push_back(key());
      } else if (word == "m") {
        words.push_back(member());
      } else if (word == "n") {
        words.push_back(number());
      } else if (word == "*") {
        for (size_t more = next() % 20; more > 0; --more) words.push_back(member());
      } else if (word == "**") {
        for (size_t more = next() % 20; more > 0; --more) {
          words.push_back(number());
          words.push_back(member());
        }
      } else {
        words.emplace_back(word);
      }
    }
    return words;
  }

  void step() {
    constexpr std::string_view kLines[] = {"SADD k m *",
                                           "SADD k m *",
                                           "SREM k m *",
                                           "SMOVE k k m",
                                           "SPOP k",
                                           "SPOP k n",
                                           "SPOP k 100",
                                           "SINTERSTORE k k k",
                                           "SUNIONSTORE k k k",
                                           "SDIFFSTORE k k k",
                                           "ZADD k n m **",
                                           "ZADD k n m **",
                                           "ZADD k GT CH n m **",
                                           "ZADD k NX n m",
                                           "ZADD k INCR n m",
                                           "ZINCRBY k n m",
                                           "ZREM k m *",
                                           "ZPOPMIN k",
                                           "ZPOPMAX k n",
                                           "ZMPOP 2 k k MIN COUNT n",
                                           "BZPOPMIN k k 0",
                                           "BZPOPMAX k 0",
                                           "BZMPOP 0 2 k k MAX COUNT n",
                                           "ZREMRANGEBYRANK k n n",
                                           "ZREMRANGEBYSCORE k n n",
                                           "ZREMRANGEBYLEX k [1 [m2",
                                           "ZRANGESTORE k k n n",
                                           "ZRANGESTORE k k n n BYSCORE LIMIT n n",
                                           "ZUNIONSTORE k 2 k k WEIGHTS n n",
                                           "ZINTERSTORE k 2 k k",
                                           "ZDIFFSTORE k 2 k k",
                                           "SORT k ALPHA STORE k",
                                           "SORT k BY nosort STORE k",
                                           "SORT k STORE k",
                                           "DEL k",
                                           "SET k m",
                                           "RENAME k k",
                                           "COPY k k"};
    run_on_both(command(kLines[next() % std::size(kLines)]));
  }

  void run_on_both(const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    leader_.effects().clear();
    const uint64_t dirty = leader_.dirty();
    run(leader_, args);
    const bool changed = leader_.dirty() != dirty;
    if (leader_.effects().count() == 0) {
      if (changed) run(follower_, args);
      return;
    }
    CHECK(changed);
    EffectReader reader(leader_.effects().bytes());
    Effect effect;
    while (!reader.at_end()) {
      CHECK(reader.next(effect).ok());
      CHECK(run(follower_, effect.args));
    }
  }
  // True unless the command was refused.
  bool run(Store& store, Args args) {
    const CommandRow* row = command_table().find(args);
    Buffer out;
    Reply reply(out, Protocol::kResp2);
    store.set_now(1);
    CommandContext cx{store, store.database(0), args, *row->spec, 1, reply, settings_};
    return row->spec->run(cx).ok();
  }

  const uint8_t* at_;
  const uint8_t* end_;
  Prng random_;
  const StoreSettings settings_;
  Store leader_;
  Store follower_;
};

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::EffectsFuzz(data, size).run();
  return 0;
}

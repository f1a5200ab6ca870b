// Hashes against std::map: across the threshold of the large form, with field expiry, and with the
// promise of HSCAN: what is there from the first call to the last is given, whatever else happens
// between.
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "store/hash.h"
#include "tests/fuzz/choices.h"
#include "util/check.h"
#include "util/prng.h"

namespace quorate {
namespace {

class HashAgainstModel {
 public:
  explicit HashAgainstModel(Choices& choices) : choices_(choices), prng_(choices.byte()) {
    static constexpr int64_t kEntries[] = {0, 1, 8, 128, 2000};
    settings_.hash_max_listpack_entries = kEntries[choices_.below(std::size(kEntries))];
    settings_.hash_max_listpack_value = choices_.below(2) == 0 ? 64 : 5000;
    settings_.hash_seed = choices_.byte();
    static constexpr size_t kNames[] = {3, 20, 300, 6000};
    name_count_ = kNames[choices_.below(std::size(kNames))];
  }
  ~HashAgainstModel() { hash_.destroy(); }

  void run() {
    while (choices_.left()) {
      step();
      CHECK(hash_.size() == model_.size());
      CHECK(hash_.empty() == model_.empty());
      if (choices_.below(16) == 0) CHECK(hash_.next_expiry() == earliest());
    }
    compare(hash_);
    Hash copy;
    hash_.clone_into(copy);
    compare(copy);
    CHECK(copy.next_expiry() == earliest());
    CHECK(model_.empty() || copy.memory_bytes() > 0);
    for (size_t budget = 7; !copy.destroy_some(budget); budget = 7) {
    }
    CHECK(copy.empty());
  }

 private:
  struct Value {
    std::string bytes;
    int64_t expiry = kNever;
  };

  static std::string name_of(size_t number) {
    std::string text = "f" + std::to_string(number);
    if (number % 50 == 49) text += std::string(number % 300, 'n');
    return text;
  }
  std::string name() { return name_of(choices_.below(name_count_)); }
  std::string value() {
    static constexpr size_t kSizes[] = {0, 8, 64, 65, 127, 128, 200, 5000, 20000};
    const size_t size =
        choices_.below(8) > 0 ? choices_.below(12) : kSizes[choices_.below(std::size(kSizes))];
    return std::string(size, static_cast<char>('a' + choices_.below(26)));
  }
  int64_t time() { return static_cast<int64_t>(1000 + choices_.below(500)); }
  int64_t earliest() const {
    int64_t time = kNever;
    for (const auto& [name, value] : model_) time = std::min(time, value.expiry);
    return time;
  }

  void step() {
    switch (choices_.below(12)) {
      case 0:
      case 1:
      case 2:
        return store(name(), value(),
                     choices_.below(4) == 0 ? Hash::FieldExpiry::kKeep : Hash::FieldExpiry::kClear);
      case 3:
        return many();
      case 4:
      case 5:
        return remove(name());
      case 6:
        return find_one();
      case 7:
        return set_expiry();
      case 8:
        return expire();
      case 9:
        return scan();
      case 10:
        return pick();
      default:
        return compare(hash_);
    }
  }

  void store(const std::string& field, const std::string& bytes, Hash::FieldExpiry rule) {
    const Hash::Stored stored = hash_.set(field, bytes, settings_, rule);
    const auto [at, is_new] = model_.try_emplace(field);
    CHECK((stored == Hash::Stored::kNew) == is_new);
    at->second.bytes = bytes;
    if (rule == Hash::FieldExpiry::kClear) at->second.expiry = kNever;
  }
  void remove(const std::string& field) {
    CHECK(hash_.remove(field) == (model_.erase(field) == 1));
  }
  void many() {
    const size_t first = choices_.below(name_count_);
    const size_t count = choices_.below(200);
    const bool add = choices_.below(2) == 0;
    for (size_t i = first; i < first + count; ++i) {
      if (add) {
        store(name_of(i), "v", Hash::FieldExpiry::kClear);
      } else {
        remove(name_of(i));
      }
    }
  }
  void find_one() {
    const std::string field = name();
    hash_.prefetch(field);
    const auto found = hash_.find(field);
    const auto at = model_.find(field);
    CHECK(found.has_value() == (at != model_.end()));
    if (found) check_equal(*found, at->second);
  }
  void set_expiry() {
    const std::string field = name();
    const int64_t when = choices_.below(4) == 0 ? kNever : time();
    const auto at = model_.find(field);
    CHECK(hash_.set_expiry(field, when, settings_) == (at != model_.end()));
    if (at != model_.end()) at->second.expiry = when;
  }
  void expire() {
    const int64_t now = time();
    const size_t limit = choices_.below(10) + 1;
    int64_t latest = 0;
    const size_t removed = hash_.expire(now, limit, [&](std::string_view field) {
      const auto at = model_.find(std::string(field));
      CHECK(at != model_.end());
      CHECK(at->second.expiry <= now);
      CHECK(at->second.expiry >= latest);
      latest = at->second.expiry;
      model_.erase(at);
    });
    CHECK(removed <= limit);
    CHECK(removed == limit || earliest() > now);
  }
  void scan() {
    std::set<std::string> missing;
    for (const auto& [field, value] : model_) missing.insert(field);
    uint64_t cursor = 0;
    size_t calls = 0;
    do {
      cursor = hash_.scan(cursor, choices_.below(20) + 1, [&](const Hash::Field& field) {
        missing.erase(std::string(field.name));
        const auto at = model_.find(std::string(field.name));
        CHECK(at != model_.end());
        check_equal(field, at->second);
      });
      CHECK(++calls < 100000);
      if (cursor != 0 && choices_.below(3) == 1) disturb(missing);
    } while (cursor != 0);
    CHECK(missing.empty());
    // Any number is a cursor.
    hash_.scan(prng_.next(), 5, [](const Hash::Field&) {});
  }
  // Inserts or removes while a scan is under way; what is removed need not be found any more.
  void disturb(std::set<std::string>& missing) {
    const size_t first = choices_.below(name_count_);
    const bool add = choices_.below(2) == 0;
    for (size_t i = first; i < first + 100; ++i) {
      if (add) {
        store(name_of(i), "w", Hash::FieldExpiry::kKeep);
      } else {
        remove(name_of(i));
        missing.erase(name_of(i));
      }
    }
  }
  void pick() {
    if (model_.empty()) return;
    const Hash::Field field = hash_.random(prng_);
    const auto at = model_.find(std::string(field.name));
    CHECK(at != model_.end());
    check_equal(field, at->second);
  }
  static void check_equal(const Hash::Field& field, const Value& value) {
    CHECK(field.value == value.bytes);
    CHECK(field.expiry == value.expiry);
  }
  void compare(const Hash& hash) const {
    size_t count = 0;
    hash.for_each([&](const Hash::Field& field) {
      const auto at = model_.find(std::string(field.name));
      CHECK(at != model_.end());
      check_equal(field, at->second);
      ++count;
    });
    CHECK(count == model_.size());
    for (const auto& [field, value] : model_) {
      const auto found = hash.find(field);
      CHECK(found.has_value());
      check_equal(*found, value);
    }
  }

  Choices& choices_;
  Prng prng_;
  StoreSettings settings_;
  size_t name_count_;
  Hash hash_;
  std::map<std::string, Value> model_;
};

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::Choices choices(data, size);
  quorate::HashAgainstModel(choices).run();
  return 0;
}

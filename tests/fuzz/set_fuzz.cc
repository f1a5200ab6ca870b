// The set type against std::set: the bytes of the input choose thresholds and operations.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "store/set.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/prng.h"

namespace quorate {
namespace {

class SetFuzz {
 public:
  SetFuzz(const uint8_t* data, size_t size)
      : at_(data),
        end_(data + size),
        random_(hash64({reinterpret_cast<const char*>(data), size}, 1)) {}
  ~SetFuzz() { set_.destroy(); }

  void run() {
    settings_.set_max_intset_entries = next() % 40;
    settings_.set_max_listpack_entries = next() % 40;
    settings_.set_max_listpack_value = next() % 70;
    settings_.hash_seed = next();
    for (int steps = 0; steps < kStepsAfterInput || at_ < end_; ++steps) step();
    compare();
  }

 private:
  static constexpr int kStepsAfterInput = 40;

  // The input, then chance: short inputs reach far too.
  uint8_t next() { return at_ < end_ ? *at_++ : static_cast<uint8_t>(random_.below(256)); }

  std::string member() {
    const uint8_t kind = next();
    const uint8_t number = next();
    switch (kind % 6) {
      case 0:
        return std::to_string(int{number} - 100);
      case 1:
        return std::to_string((int64_t{number} - 128) << (number % 56));
      case 2:
        return "member:" + std::to_string(number);
      case 3:
        return std::string(number, 'x');
      case 4:
        return std::string(1, static_cast<char>(number));
      default:
        return "0" + std::to_string(number);
    }
  }

  void add(const std::string& member) {
    CHECK(set_.add(member, settings_) == model_.insert(member).second);
  }
  void remove(std::string member) {
    CHECK(set_.remove(member) == (model_.erase(member) != 0));
    stayed_.erase(member);
  }

  void step() {
    switch (next() % 10) {
      case 0:
      case 1:
      case 2:
        add(member());
        break;
      case 3:
        remove(member());
        break;
      case 4:
        add_many();
        break;
      case 5:
        remove_many();
        break;
      case 6: {
        const std::string asked = member();
        CHECK(set_.contains(asked) == model_.contains(asked));
        break;
      }
      case 7:
        pop();
        break;
      case 8:
        scan_some();
        break;
      default:
        copy_or_compare();
        break;
    }
  }
  void add_many() {
    const size_t count = size_t{next()} * 3;
    const int64_t from = next();
    for (size_t index = 0; index < count; ++index) {
      add((from % 2 == 0 ? "m" : "") + std::to_string(from * 100 + static_cast<int64_t>(index)));
    }
  }
  void remove_many() {
    for (size_t count = next(); count > 0 && !model_.empty(); --count) remove(*model_.begin());
  }
  void pop() {
    if (model_.empty()) return;
    Set::Scratch scratch;
    const std::string member(set_.random_member(random_, scratch));
    CHECK(model_.contains(member));
    remove(member);
  }
  void scan_some() {
    if (cursor_ == 0) {
      stayed_ = model_;
    }
    cursor_ = set_.scan(cursor_, next() % 16 + size_t{1}, [this](std::string_view member) {
      CHECK(model_.contains(std::string(member)));
      stayed_.erase(std::string(member));
      return true;
    });
    if (cursor_ == 0) CHECK(stayed_.empty());
  }
  void copy_or_compare() {
    const uint8_t choice = next();
    if (choice % 4 != 0) {
      compare();
      return;
    }
    Set copy;
    set_.clone_into(copy);
    CHECK(copy.memory_bytes() > 0 || set_.empty());
    set_.destroy();
    CHECK(set_.memory_bytes() == 0);
    copy.clone_into(set_);
    cursor_ = 0;
    for (;;) {
      size_t budget = choice;
      if (copy.destroy_some(budget)) break;
      CHECK(budget == 0 || choice == 0);
      if (choice == 0) {
        copy.destroy();
        break;
      }
    }
  }
  void compare() {
    CHECK(set_.size() == model_.size());
    std::set<std::string> seen;
    set_.for_each([&](std::string_view member) { CHECK(seen.insert(std::string(member)).second); });
    CHECK(seen == model_);
    set_.verify();
    size_t called = 0;
    set_.walk([&called](std::string_view) { return ++called < 3; });
    CHECK(called == (model_.size() < 3 ? model_.size() : 3));
  }

  const uint8_t* at_;
  const uint8_t* end_;
  Prng random_;
  StoreSettings settings_;
  Set set_;
  std::set<std::string> model_;
  uint64_t cursor_ = 0;
  std::set<std::string> stayed_;  // present since the running scan began and not given yet
};

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::SetFuzz(data, size).run();
  return 0;
}

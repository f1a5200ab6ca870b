// The sorted set type against std::set of (score, member): ranks, ranges, scans, across thresholds.
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/sorted_set.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/prng.h"

namespace quorate {
namespace {

using Outcome = SortedSet::Outcome;
using Bound = SortedSet::Bound;
using Direction = SortedSet::Direction;
using Order = std::pair<double, std::string>;

class SortedSetFuzz {
 public:
  SortedSetFuzz(const uint8_t* data, size_t size)
      : at_(data),
        end_(data + size),
        random_(hash64({reinterpret_cast<const char*>(data), size}, 1)) {}
  ~SortedSetFuzz() { set_.destroy(); }

  void run() {
    settings_.zset_max_listpack_entries = next() % 40;
    settings_.zset_max_listpack_value = next() % 70;
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
    switch (kind % 4) {
      case 0:
        return std::to_string(number % 32);
      case 1:
        return "member:" + std::to_string(number);
      case 2:
        return std::string(number, 'x');
      default:
        return std::string(1, static_cast<char>(number));
    }
  }
  double score() {
    const uint8_t kind = next();
    const int number = int{next()} - 128;
    switch (kind % 7) {
      case 0:
        return number % 4;
      case 1:
        return number / 7.0;
      case 2:
        return std::ldexp(number, number * 7);
      case 3:
        return number < 0 ? -std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::infinity();
      case 4:
        return number < 0 ? -0.0 : 0.0;
      default:
        return number;
    }
  }

  // ---- the model ------------------------------------------------------------------------------
  void model_set(const std::string& member, double score) {
    model_remove(member);
    scores_[member] = score;
    order_.insert({score, member});
  }
  bool model_remove(const std::string& member) {
    const auto found = scores_.find(member);
    if (found == scores_.end()) return false;
    order_.erase({found->second, member});
    scores_.erase(found);
    return true;
  }
  Outcome model_add(const std::string& member, double& score, uint8_t conditions) {
    const auto found = scores_.find(member);
    if (found == scores_.end()) {
      if ((conditions & SortedSet::kIfPresent) != 0) return Outcome::kRefused;
      model_set(member, score);
      return Outcome::kAdded;
    }
    const double present = found->second;
    if ((conditions & SortedSet::kIfAbsent) != 0) return Outcome::kRefused;
    double wanted = (conditions & SortedSet::kIncrement) != 0 ? present + score : score;
    if (std::isnan(wanted)) return Outcome::kNotANumber;
    if ((conditions & SortedSet::kIfGreater) != 0 && !(wanted > present)) return Outcome::kRefused;
    if ((conditions & SortedSet::kIfLess) != 0 && !(wanted < present)) return Outcome::kRefused;
    score = wanted;
    if (wanted == present) return Outcome::kUnchanged;
    model_set(member, wanted);
    return Outcome::kUpdated;
  }

  // ---- operations -----------------------------------------------------------------------------
  void add(const std::string& member, double score, uint8_t conditions) {
    double ours = score;
    double expected = score;
    const Outcome outcome = model_add(member, expected, conditions);
    CHECK(set_.add(member, ours, conditions, settings_) == outcome);
    if (outcome != Outcome::kRefused && outcome != Outcome::kNotANumber) CHECK(ours == expected);
  }
  void remove(std::string member) {
    CHECK(set_.remove(member) == model_remove(member));
    stayed_.erase(member);
  }

  void step() {
    switch (next() % 13) {
      case 0:
      case 1:
      case 2: {
        const std::string name = member();
        add(name, score(), next() % 32);
        break;
      }
      case 3: {
        const std::string name = member();
        add(name, score(), SortedSet::kAlways);
        break;
      }
      case 4:
        remove(member());
        break;
      case 5:
      case 6:
        add_many();
        break;
      case 7:
        remove_range();
        break;
      case 8:
        look_up(member());
        break;
      case 9:
        count();
        break;
      case 10:
        walk();
        break;
      case 11:
        scan_some();
        break;
      default:
        copy_or_compare();
        break;
    }
  }
  void add_many() {
    const size_t count = size_t{next()} * 3;
    const uint8_t pattern = next();
    for (size_t index = 0; index < count; ++index) {
      const auto number = static_cast<double>(index);
      const double score = pattern % 5 == 0   ? number
                           : pattern % 5 == 1 ? -number
                           : pattern % 5 == 2 ? static_cast<double>(random_.below(1000))
                           : pattern % 5 == 3 ? 1.0
                                              : random_.fraction();
      add("m" + std::to_string(random_.below(4000)), score, SortedSet::kAlways);
    }
  }
  void remove_range() {
    const size_t size = order_.size();
    if (size == 0) return;
    const size_t first = next() % 3 == 0 ? 0 : random_.below(size);
    const size_t count = std::min<size_t>(next(), size - first);
    if (next() % 2 == 0) {
      set_.remove_ranks(first, count);
    } else {
      SortedSet rest;
      set_.copy_without(first, count, rest);
      set_.swap(rest);
      rest.destroy();
    }
    for (size_t left = count; left > 0; --left) {
      auto found = order_.begin();
      std::advance(found, static_cast<ptrdiff_t>(first));
      const std::string name = found->second;
      model_remove(name);
      stayed_.erase(name);
    }
  }
  void look_up(const std::string& name) {
    const auto found = scores_.find(name);
    CHECK(set_.score(name).has_value() == (found != scores_.end()));
    CHECK(set_.rank(name).has_value() == (found != scores_.end()));
    if (found == scores_.end()) return;
    CHECK(*set_.score(name) == found->second);
    const auto place = order_.find({found->second, name});
    CHECK(*set_.rank(name) == static_cast<size_t>(std::distance(order_.begin(), place)));
  }
  void count() {
    const double limit = score();
    size_t below = 0;
    size_t up_to = 0;
    for (const Order& item : order_) {
      below += item.first < limit;
      up_to += item.first <= limit;
    }
    CHECK(set_.count_by_score(limit, Bound::kBelow) == below);
    CHECK(set_.count_by_score(limit, Bound::kUpTo) == up_to);
    if (order_.empty() || order_.begin()->first != order_.rbegin()->first) return;
    const std::string name = member();
    below = up_to = 0;
    for (const Order& item : order_) {
      below += item.second < name;
      up_to += item.second <= name;
    }
    CHECK(set_.count_by_member(name, Bound::kBelow) == below);
    CHECK(set_.count_by_member(name, Bound::kUpTo) == up_to);
  }
  void walk() {
    const std::vector<Order> all(order_.begin(), order_.end());
    if (all.empty()) return;
    const size_t first = random_.below(all.size() + 2);
    const size_t count = random_.below(all.size() + 2);
    size_t rank = first;
    size_t given = 0;
    const bool up = next() % 2 == 0;
    set_.walk(first, count, up ? Direction::kUp : Direction::kDown,
              [&](std::string_view name, double score) {
                CHECK(all[rank].second == name);
                CHECK(all[rank].first == score);
                rank = up ? rank + 1 : rank - 1;
                ++given;
                return true;
              });
    const size_t left = first >= all.size() ? 0 : up ? all.size() - first : first + 1;
    CHECK(given == std::min(count, left));
    if (first < all.size()) CHECK(set_.at(first).member == all[first].second);
    const SortedSet::Item item = set_.random_item(random_);
    CHECK(scores_.at(std::string(item.member)) == item.score);
  }
  void scan_some() {
    if (cursor_ == 0) {
      stayed_.clear();
      for (const auto& [name, score] : scores_) stayed_.insert(name);
    }
    cursor_ =
        set_.scan(cursor_, next() % 16 + size_t{1}, [this](std::string_view name, double score) {
          CHECK(scores_.at(std::string(name)) == score);
          stayed_.erase(std::string(name));
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
    SortedSet copy;
    set_.clone_into(copy);
    set_.destroy();
    CHECK(set_.memory_bytes() == 0);
    copy.clone_into(set_);
    cursor_ = 0;
    size_t budget = choice;
    while (!copy.destroy_some(budget)) budget = choice + size_t{1};
  }
  void compare() {
    CHECK(set_.size() == order_.size());
    auto expected = order_.begin();
    set_.for_each([&](std::string_view name, double score) {
      CHECK(expected->second == name);
      CHECK(expected->first == score);
      ++expected;
    });
    CHECK(expected == order_.end());
    set_.verify();
  }

  const uint8_t* at_;
  const uint8_t* end_;
  Prng random_;
  StoreSettings settings_;
  SortedSet set_;
  std::map<std::string, double> scores_;
  std::set<Order> order_;
  uint64_t cursor_ = 0;
  std::set<std::string> stayed_;  // present since the running scan began and not given yet
};

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::SortedSetFuzz(data, size).run();
  return 0;
}

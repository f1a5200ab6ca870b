// Lists against std::deque: every operation, sizes around one chunk and many, small and large
// elements.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "store/list.h"
#include "tests/fuzz/choices.h"
#include "util/check.h"

namespace quorate {
namespace {

class ListAgainstModel {
 public:
  explicit ListAgainstModel(Choices& choices) : choices_(choices) {}
  ~ListAgainstModel() { list_.destroy(); }

  void run() {
    // A long list to begin with in every fourth input: the interesting borders are between chunks.
    const size_t prefill = choices_.below(4) == 0 ? choices_.below(3000) : 0;
    for (size_t i = 0; i < prefill; ++i) push(List::End::kBack);
    while (choices_.left()) {
      step();
      CHECK(list_.size() == model_.size());
      CHECK(list_.empty() == model_.empty());
    }
    compare();
    List copy;
    list_.clone_into(copy);
    CHECK(copy.size() == model_.size());
    size_t index = 0;
    copy.for_each([&](std::string_view value) { CHECK(value == model_[index++]); });
    CHECK(model_.empty() || copy.memory_bytes() > 0);
    destroy_in_steps(copy);
  }

 private:
  std::string element() {
    static constexpr size_t kSizes[] = {0,   1,    5,    16,   64,   127,  128,
                                        300, 2000, 4083, 5000, 9000, 16384};
    // Large ones are rare, or no input would ever have more than a few elements.
    const size_t kind = choices_.below(32);
    size_t size = kind < 24 ? choices_.below(40) : kSizes[choices_.below(std::size(kSizes))];
    if (choices_.below(4) == 0) size = 2;
    return std::string(size, static_cast<char>('a' + choices_.below(3)));
  }
  List::End end() { return choices_.below(2) == 0 ? List::End::kFront : List::End::kBack; }

  void push(List::End at) {
    const std::string value = element();
    list_.push(at, value);
    if (at == List::End::kFront) {
      model_.push_front(value);
    } else {
      model_.push_back(value);
    }
  }
  void pop(List::End at) {
    if (model_.empty()) return;
    CHECK(list_.peek(at) == (at == List::End::kFront ? model_.front() : model_.back()));
    list_.pop(at);
    if (at == List::End::kFront) {
      model_.pop_front();
    } else {
      model_.pop_back();
    }
  }
  size_t any_index() { return choices_.below(model_.size()); }
  auto nth(size_t index) { return model_.begin() + static_cast<std::ptrdiff_t>(index); }

  void step() {
    const List::End at = end();
    switch (choices_.below(12)) {
      case 0:
      case 1:
      case 2:
        for (size_t left = choices_.below(40); left > 0; --left) push(at);
        return;
      case 3:
        for (size_t left = choices_.below(60); left > 0; --left) pop(at);
        return;
      case 4:
        push(at);
        return pop(end());
      case 5:
        return insert();
      case 6:
        return set();
      case 7:
        return erase();
      case 8:
        return remove_equal(at);
      case 9:
        return read_range();
      case 10:
        return walk(at);
      default:
        return compare();
    }
  }

  void insert() {
    for (size_t left = choices_.below(20); left > 0; --left) {
      const size_t index = choices_.below(model_.size() + 1);
      const std::string value = element();
      list_.insert(index, value);
      model_.insert(nth(index), value);
    }
  }
  void set() {
    for (size_t left = choices_.below(10); left > 0 && !model_.empty(); --left) {
      const size_t index = any_index();
      const std::string value = element();
      list_.set(index, value);
      model_[index] = value;
      CHECK(list_.at(index) == value);
    }
  }
  void erase() {
    if (model_.empty()) return;
    const size_t first = any_index();
    const size_t most = std::min<size_t>(model_.size() - first, choices_.below(4) == 0 ? 2000 : 8);
    const size_t count = choices_.below(most + 1);
    list_.erase(first, count);
    model_.erase(nth(first), nth(first + count));
  }
  void remove_equal(List::End from) {
    const std::string value = element();
    const size_t limit = choices_.below(2) == 0 ? SIZE_MAX : choices_.below(5) + 1;
    size_t expected = 0;
    if (from == List::End::kBack) std::reverse(model_.begin(), model_.end());
    for (size_t i = 0; i < model_.size() && expected < limit;) {
      if (model_[i] != value) {
        ++i;
        continue;
      }
      model_.erase(nth(i));
      ++expected;
    }
    if (from == List::End::kBack) std::reverse(model_.begin(), model_.end());
    CHECK(list_.remove_equal(value, limit, from) == expected);
  }
  void read_range() {
    if (model_.empty()) return;
    const size_t first = any_index();
    const size_t count = choices_.below(model_.size() - first + 1);
    size_t index = first;
    list_.for_each_run(first, count, [&](const List::Run& run) {
      size_t bytes = 0;
      run.for_each([&](std::string_view value) {
        CHECK(value == model_[index++]);
        bytes += value.size();
      });
      CHECK(bytes <= run.bytes);
    });
    CHECK(index == first + count);
  }
  void walk(List::End from) {
    if (model_.empty()) return;
    const size_t first = any_index();
    size_t index = first;
    size_t left = choices_.below(200) + 1;
    size_t seen = 0;
    list_.walk(first, from, [&](std::string_view value) {
      CHECK(value == model_[index]);
      from == List::End::kFront ? ++index : --index;
      ++seen;
      return --left > 0;
    });
    const size_t there = from == List::End::kFront ? model_.size() - first : first + 1;
    CHECK(left == 0 || seen == there);
  }
  void compare() {
    size_t index = 0;
    list_.for_each([&](std::string_view value) {
      CHECK(index < model_.size());
      CHECK(value == model_[index++]);
    });
    CHECK(index == model_.size());
  }
  static void destroy_in_steps(List& list) {
    for (size_t budget = 3; !list.destroy_some(budget); budget = 3) {
    }
    CHECK(list.empty());
  }

  Choices& choices_;
  List list_;
  std::deque<std::string> model_;
};

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::Choices choices(data, size);
  quorate::ListAgainstModel(choices).run();
  return 0;
}

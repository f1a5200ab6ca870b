// Depth first over orders of operations.  At each point any operation may be next that was invoked
// before the first return among those left; a configuration (operations done, state) that failed
// once fails always, so it is remembered.
#include "tests/sim/linearizability.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <string_view>
#include <unordered_map>

#include "util/hash.h"
#include "util/varint.h"

namespace quorate::sim {

KeyState list_hash(KeyState before, uint64_t element) {
  std::array<char, 16> bytes;
  store_little(bytes.data(), before);
  store_little(bytes.data() + 8, element);
  // Never the state of a key that does not exist.
  return hash64(std::string_view(bytes.data(), bytes.size()), 1) | 1;
}

KeyState list_hash(std::span<const uint64_t> elements) {
  KeyState state = 0;
  for (const uint64_t element : elements) state = list_hash(state, element);
  return state;
}

namespace {

// What queues hold, by the hash that stands for it.
class Queues {
 public:
  KeyState push(KeyState before, uint64_t element) {
    const KeyState after = list_hash(before, element);
    if (!contents_.contains(after)) {
      std::vector<uint64_t> elements = contents_.at(before);
      elements.push_back(element);
      contents_.emplace(after, std::move(elements));
    }
    return after;
  }
  // Returns the element, 0 if there is none.
  uint64_t pop(KeyState before, KeyState& after) {
    const std::vector<uint64_t>& elements = contents_.at(before);
    after = 0;
    if (elements.empty()) return 0;
    const uint64_t element = elements.front();
    std::vector<uint64_t> rest(elements.begin() + 1, elements.end());
    after = list_hash(rest);
    contents_.try_emplace(after, std::move(rest));
    return element;
  }

 private:
  std::unordered_map<KeyState, std::vector<uint64_t>> contents_{{0, {}}};
};

// The state after, or nothing if the output contradicts.
std::optional<KeyState> apply(Queues& queues, KeyState state, const Operation& operation) {
  KeyState after = state;
  KeyState output = state;
  switch (operation.kind) {
    case OperationKind::kRead:
      break;
    case OperationKind::kWrite:
    case OperationKind::kSwap:
      after = operation.argument;
      break;
    case OperationKind::kAdd:
      after = state + operation.argument;
      output = after;
      break;
    case OperationKind::kAppend:
      after = list_hash(state, operation.argument);
      output = after;
      break;
    case OperationKind::kPush:
      after = queues.push(state, operation.argument);
      break;
    case OperationKind::kPop:
      output = queues.pop(state, after);
      break;
    case OperationKind::kInsert:
      after = state | operation.argument;
      output = after == state ? 0 : 1;
      break;
    case OperationKind::kRemove:
      after = state & ~operation.argument;
      output = after == state ? 0 : 1;
      break;
    case OperationKind::kFade:
      if (state != operation.argument) return std::nullopt;
      after = 0;
      break;
  }
  if (operation.output && *operation.output != output) return std::nullopt;
  return after;
}

const char* name_of(OperationKind kind) {
  switch (kind) {
    case OperationKind::kRead:
      return "read";
    case OperationKind::kWrite:
      return "write";
    case OperationKind::kSwap:
      return "swap";
    case OperationKind::kAdd:
      return "add";
    case OperationKind::kAppend:
      return "append";
    case OperationKind::kPush:
      return "push";
    case OperationKind::kPop:
      return "pop";
    case OperationKind::kInsert:
      return "insert";
    case OperationKind::kRemove:
      return "remove";
    case OperationKind::kFade:
      return "fade";
  }
  return "";
}

std::string describe(const Operation& operation) {
  char line[160];
  char returned[32] = "?";
  char output[32] = "?";
  if (operation.returned != kNever) {
    std::snprintf(returned, sizeof(returned), "%" PRId64, operation.returned);
  }
  if (operation.output) std::snprintf(output, sizeof(output), "%" PRIx64, *operation.output);
  std::snprintf(line, sizeof(line), "  [%" PRId64 " .. %s] %s %" PRIx64 " -> %s\n",
                operation.invoked, returned, name_of(operation.kind), operation.argument, output);
  return line;
}

// The configurations that were looked at: numbers that are never 0, which stands for a free place.
class SeenSet {
 public:
  size_t size() const { return count_; }
  // False: it was there.
  bool insert(uint64_t number) {
    if (2 * count_ >= places_.size()) grow();
    uint64_t& place = place_of(number);
    if (place == number) return false;
    place = number;
    ++count_;
    return true;
  }

 private:
  static constexpr size_t kPlacesFirst = 1024;

  uint64_t& place_of(uint64_t number) {
    const size_t mask = places_.size() - 1;
    size_t at = static_cast<size_t>(number * 0x9E3779B97F4A7C15 >> 32) & mask;
    while (places_[at] != 0 && places_[at] != number) at = (at + 1) & mask;
    return places_[at];
  }
  void grow() {
    std::vector<uint64_t> before(std::max(kPlacesFirst, 2 * places_.size()), 0);
    before.swap(places_);
    for (const uint64_t number : before) {
      if (number != 0) place_of(number) = number;
    }
  }

  std::vector<uint64_t> places_;   // a power of two
  size_t count_ = 0;
};

// Operations that are not done, in order, as a list that those leave that are done; they come back in the reverse order.
class OpenOperations {
 public:
  explicit OpenOperations(size_t count) : next_(count + 1), previous_(count + 1), end_(count) { next_[end_] = previous_[end_] = end_; }
  // Requires: behind all that are there.
  void push_back(size_t index) {
    next_[index] = end_;
    previous_[index] = previous_[end_];
    next_[previous_[end_]] = index;
    previous_[end_] = index;
  }
  size_t first() const { return next_[end_]; }
  size_t next(size_t index) const { return next_[index]; }
  void leave(size_t index) {
    next_[previous_[index]] = next_[index];
    previous_[next_[index]] = previous_[index];
  }
  // Requires: of those that have left it was the last.
  void come_back(size_t index) {
    next_[previous_[index]] = index;
    previous_[next_[index]] = index;
  }

 private:
  std::vector<size_t> next_;
  std::vector<size_t> previous_;
  const size_t end_;
};

class Search {
 public:
  Search(std::vector<Operation> operations, uint64_t configurations_max)
      : operations_(std::move(operations)),
        configurations_max_(configurations_max),
        answered_(operations_.size()),
        unanswered_(operations_.size()) {
    for (size_t index = 0; index < operations_.size(); ++index) {
      const bool is_answered = operations_[index].returned != kNever;
      must_ += is_answered ? 1 : 0;
      open_with(is_answered).push_back(index);
      hashes_.push_back(list_hash(0x646f6e65, index));
    }
  }

  LinearizabilityResult run() {
    // A frame is an operation that was put next; `place` is where its parent goes on looking.
    struct Frame {
      size_t place;
      KeyState before;
      bool before_was_guess;
    };
    std::vector<Frame> frames;
    KeyState state = 0;
    size_t place = 0;
    while (known_done_ < must_) {
      KeyState after = 0;
      const size_t found = find_next(place, state, after);
      if (found < 2 * operations_.size()) {
        const size_t index = found % operations_.size();
        frames.push_back({found, state, last_is_guess_});
        state = after;
        put(index);
        last_is_guess_ = is_guess(operations_[index]);
        place = 0;
        if (known_done_ > furthest_) {
          furthest_ = known_done_;
          furthest_open_ = std::min(answered_.first(), unanswered_.first());
        }
        continue;
      }
      if (given_up_) return {LinearizabilityVerdict::kUndecided, "", seen_.size()};
      if (frames.empty()) return {LinearizabilityVerdict::kViolated, explain(), seen_.size()};
      const Frame last = frames.back();
      frames.pop_back();
      take_back(last.place % operations_.size());
      state = last.before;
      last_is_guess_ = last.before_was_guess;
      place = last.place + 1;
    }
    return {LinearizabilityVerdict::kLinearizable, "", seen_.size()};
  }

 private:
  // Forgets the state before without having looked at it.
  static bool overwrites_unseen(const Operation& operation) {
    return !operation.output &&
           (operation.kind == OperationKind::kWrite || operation.kind == OperationKind::kSwap);
  }
  // Such a one without answer is worth trying only right before somebody who depends on it, for
  // else it might as well have happened never.
  static bool is_guess(const Operation& operation) {
    return operation.returned == kNever && overwrites_unseen(operation);
  }

  // The first place at or behind `place` that may be next and leads to a new configuration, and the state
  // behind it.  Places are the operations with an answer, then all again for those without.
  size_t find_next(size_t place, KeyState state, KeyState& after) {
    const size_t count = operations_.size();
    // Operations are ordered by invocation, so what follows the earliest return cannot be next.
    int64_t deadline = kNever;
    for (size_t index = answered_.first(); index < count && operations_[index].invoked <= deadline; index = answered_.next(index)) {
      deadline = std::min(deadline, operations_[index].returned);
    }
    for (const bool answered : {true, false}) {
      const size_t base = answered ? 0 : count;
      const OpenOperations& open = open_with(answered);
      for (size_t index = open.first(); index < count; index = open.next(index)) {
        const Operation& operation = operations_[index];
        if (operation.invoked > deadline) break;
        if (base + index < place) continue;
        if (last_is_guess_ && overwrites_unseen(operation)) continue;
        const auto next = apply(queues_, state, operation);
        if (!next || !remember(index, *next)) continue;
        after = *next;
        return base + index;
      }
    }
    return 2 * count;
  }

  // False if the configuration was seen before, or there are too many.
  bool remember(size_t index, KeyState after) {
    if (seen_.size() >= configurations_max_) {
      given_up_ = true;
      return false;
    }
    // 64 bits of a sum of hashes and the state stand for the configuration: a collision (about 1 in
    // 10^7 for a million of them) could only hide an order, and would show as a violation to look
    // at.
    const uint64_t guess = is_guess(operations_[index]) ? 0x6775657373 : 0;
    const uint64_t done = done_hash_ + hashes_[index] + guess;
    return seen_.insert(list_hash(done, after));
  }

  OpenOperations& open_with(bool answer) { return answer ? answered_ : unanswered_; }

  void put(size_t index) {
    const bool is_answered = operations_[index].returned != kNever;
    open_with(is_answered).leave(index);
    done_hash_ += hashes_[index];
    known_done_ += is_answered ? 1 : 0;
  }

  void take_back(size_t index) {
    const bool is_answered = operations_[index].returned != kNever;
    open_with(is_answered).come_back(index);
    done_hash_ -= hashes_[index];
    known_done_ -= is_answered ? 1 : 0;
  }

  std::string explain() const {
    constexpr size_t kBefore = 8;
    constexpr size_t kShown = 24;
    std::string text;
    const size_t first = furthest_open_ < kBefore ? 0 : furthest_open_ - kBefore;
    for (size_t index = first; index < operations_.size() && index < first + kShown; ++index) {
      text += describe(operations_[index]);
    }
    return text;
  }

  const std::vector<Operation> operations_;
  const uint64_t configurations_max_;
  Queues queues_;
  OpenOperations answered_;
  OpenOperations unanswered_;
  std::vector<uint64_t> hashes_;   // of each operation: the sum of those that are done stands for them
  uint64_t done_hash_ = 0;
  size_t must_ = 0;  // operations with a known return
  size_t known_done_ = 0;
  size_t furthest_ = 0;
  size_t furthest_open_ = 0;
  SeenSet seen_;
  bool last_is_guess_ = false;
  bool given_up_ = false;
};

}  // namespace

LinearizabilityResult check_linearizable(std::span<const Operation> operations,
                                         uint64_t configurations_max) {
  std::vector<Operation> sorted;
  for (const Operation& operation : operations) {
    if (operation.kind == OperationKind::kRead && operation.returned == kNever) continue;
    sorted.push_back(operation);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const Operation& a, const Operation& b) {
    return a.invoked != b.invoked ? a.invoked < b.invoked : a.returned < b.returned;
  });
  return Search(std::move(sorted), configurations_max).run();
}

}  // namespace quorate::sim

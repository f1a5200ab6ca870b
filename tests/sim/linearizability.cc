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
#include <unordered_set>

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

class Search {
 public:
  Search(std::vector<Operation> operations, uint64_t configurations_max)
      : operations_(std::move(operations)),
        configurations_max_(configurations_max),
        done_(operations_.size(), 0) {
    for (const Operation& operation : operations_) {
      must_ += operation.returned == kNever ? 0 : 1;
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
      const size_t found = find_next(place, state);
      if (found < 2 * operations_.size()) {
        const size_t index = found % operations_.size();
        frames.push_back({found, state, last_is_guess_});
        state = *apply(queues_, state, operations_[index]);
        put(index);
        last_is_guess_ = is_guess(operations_[index]);
        place = 0;
        if (known_done_ > furthest_) {
          furthest_ = known_done_;
          furthest_open_ = first_open_;
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

  // The first place at or behind `place` that may be next and leads to a new configuration.  Places
  // are the operations with an answer, then all again for those without.
  size_t find_next(size_t place, KeyState state) {
    // Operations are ordered by invocation, so what follows the earliest return cannot be next.
    int64_t deadline = kNever;
    size_t end = first_open_;
    for (; end < operations_.size() && operations_[end].invoked <= deadline; ++end) {
      if (done_[end] == 0) deadline = std::min(deadline, operations_[end].returned);
    }
    const size_t count = operations_.size();
    for (; place < 2 * count; ++place) {
      const bool answered = place < count;
      const size_t index = place % count;
      if (index < first_open_) {
        place += first_open_ - index - 1;
        continue;
      }
      if (index >= end) {
        if (!answered) break;
        place = count - 1;
        continue;
      }
      const Operation& operation = operations_[index];
      if (done_[index] != 0 || operation.invoked > deadline) continue;
      if ((operation.returned != kNever) != answered) continue;
      if (last_is_guess_ && overwrites_unseen(operation)) continue;
      const auto after = apply(queues_, state, operation);
      if (after && remember(index, *after)) return place;
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
    const uint64_t done = done_hash_ + hash_of(index) + guess;
    return seen_.insert(list_hash(done, after)).second;
  }

  static uint64_t hash_of(size_t index) { return list_hash(0x646f6e65, index); }

  void put(size_t index) {
    done_[index] = 1;
    done_hash_ += hash_of(index);
    known_done_ += operations_[index].returned == kNever ? 0 : 1;
    while (first_open_ < done_.size() && done_[first_open_] != 0) ++first_open_;
  }

  void take_back(size_t index) {
    done_[index] = 0;
    done_hash_ -= hash_of(index);
    known_done_ -= operations_[index].returned == kNever ? 0 : 1;
    first_open_ = std::min(first_open_, index);
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
  std::vector<char> done_;
  uint64_t done_hash_ = 0;
  size_t first_open_ = 0;
  size_t must_ = 0;  // operations with a known return
  size_t known_done_ = 0;
  size_t furthest_ = 0;
  size_t furthest_open_ = 0;
  std::unordered_set<uint64_t> seen_;
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

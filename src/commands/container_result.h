// Values that a command computes before it replies or stores them, and the ways commands share to
// do so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>

#include "commands/context.h"
#include "commands/errors.h"
#include "store/packed.h"
#include "store/sorted_set.h"

namespace quorate {

// A Set, SortedSet or List of the command's own, freed at the end unless it was swapped away.
template <class T>
class Temporary {
 public:
  Temporary() = default;
  ~Temporary() { value_.destroy(); }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  T* operator->() { return &value_; }
  T& operator*() { return value_; }

 private:
  T value_;
};

// The end of the commands that store their result: puts it at `key` in place of whatever is there,
// or, if it is empty, removes the key; replies its size.
template <class T>
Status store_result(CommandContext& cx, const Key& key, Temporary<T>& result,
                    EventClass event_class, std::string_view event) {
  const size_t size = result->size();
  if (size == 0) {
    if (cx.db.erase(key)) cx.effect(key, {"DEL", key.bytes});
  } else {
    cx.db.discard(key);
    cx.db.insert<T>(key)->swap(*result);
    cx.db.changed(key, event_class, event);
    cx.effect_whole_value(cx.db, key);
  }
  cx.reply.integer(static_cast<int64_t>(size));
  return done();
}

// Leaves `value` empty; a large one is freed in the background.
template <class T>
void drop_value(CommandContext& cx, T& value) {
  Entry* nameless = Entry::create_object({}, T::kType, kNever);
  static_cast<T*>(nameless->object())->swap(value);
  cx.store.dispose(nameless);
}

// Whether a command that takes `goes` elements out of a value and leaves `stays` had better build what stays anew and
// drop the rest: freeing millions is then no part of its turn.  Building costs about what taking out does.
inline bool is_better_rebuilt(size_t goes, size_t stays) {
  constexpr size_t kGoesMin = 1024;
  constexpr size_t kGoesToOneThatStays = 4;
  return goes >= kGoesMin && stays <= goes / kGoesToOneThatStays;
}

// Takes `count` items from rank `first` on out of a sorted set.  Requires: first + count <= set.size().
inline void take_out_ranks(CommandContext& cx, SortedSet& set, size_t first, size_t count) {
  if (!is_better_rebuilt(count, set.size() - count)) {
    set.remove_ranks(first, count);
    return;
  }
  SortedSet rest;
  set.copy_without(first, count, rest);
  set.swap(rest);
  drop_value(cx, rest);
}

// Every `step`th argument from `first` on becomes an element: refuses those that no container can
// hold.
inline Status check_element_sizes(const CommandContext& cx, size_t first, size_t step) {
  for (size_t at = first; at < cx.size(); at += step) {
    if (cx[at].size() > packed::kElementSizeMax) return ErrorCode::kStringTooLong;
  }
  return done();
}

// The largest number of elements that SRANDMEMBER and ZRANDMEMBER give with repetition: a reply
// must fit in memory.
constexpr int64_t kRepeatedElementsMax = int64_t{1} << 27;

// The count of SRANDMEMBER and ZRANDMEMBER: negative means with repetition.
inline Result<int64_t> parse_random_count(const CommandContext& cx, size_t index) {
  TRY(const int64_t count, cx.integer(index));
  if (count == INT64_MIN) return errors::value_between(-INT64_MAX, INT64_MAX);
  if (count < -kRepeatedElementsMax) return ErrorCode::kOutOfRange;
  return count;
}

// Calls give() for `count` different elements of `size`, every choice being equally likely.
// `walk(visit)` goes over all elements while visit(element) is true; `draw()` gives one at random;
// name_of(element) is its name. Requires: count <= size.
template <class Walk, class Draw, class NameOf, class Give>
void sample(size_t size, size_t count, Prng& random, Walk&& walk, Draw&& draw, NameOf&& name_of,
            Give&& give) {
  constexpr size_t kWalkMax = 1024;  // up to here walking is cheap
  if (size <= kWalkMax || count > size / 4) {
    // Each element is taken with the probability that what is still wanted has among what is left.
    size_t left = size;
    walk([&](const auto& element) {
      if (random.below(left--) < count) {
        give(element);
        --count;
      }
      return count > 0;
    });
    return;
  }
  std::unordered_set<std::string> given;
  while (given.size() < count) {
    const auto element = draw();
    if (given.emplace(name_of(element)).second) give(element);
  }
}

}  // namespace quorate

// Is the history of one key linearizable?  Wing and Gong's search with Lowe's memory of the
// configurations seen ("Testing for linearizability", 2017), as small as one key needs it.
//
// Not for what spans keys: linearizability is local, so each key is judged alone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "util/time.h"

namespace quorate::sim {

// What a key holds, as one number: a register its value, a counter its sum, a list or a queue the
// hash of its elements, oldest first (list_hash), a set of 0 to 63 a bit a member.  A key that does
// not exist holds 0.
using KeyState = uint64_t;

enum class OperationKind : uint8_t {
  kRead,    // output: the state
  kWrite,   // the state becomes `argument`; no output
  kSwap,    // the same; output: the state before
  kAdd,     // the state grows by `argument`; output: the state after
  kAppend,  // `argument` becomes the last element; output: the state after
  kPush,    // `argument` becomes the newest element of a queue; no output
  kPop,     // the oldest element goes; output: that element, 0 if there was none
  kInsert,  // the bits of `argument` are set; output: 1 if they were not
  kRemove,  // they are cleared; output: 1 if they were set
  kFade,    // a register that holds `argument` becomes 0 by itself; it cannot while it holds another
};

struct Operation {
  int64_t invoked = 0;
  // kNever: nobody knows whether and when it took effect (no answer, or one that promises nothing).
  int64_t returned = kNever;
  OperationKind kind = OperationKind::kRead;
  uint64_t argument = 0;
  std::optional<KeyState> output = std::nullopt;  // none: not looked at
};

// The state of a list after one more element.
KeyState list_hash(KeyState before, uint64_t element);
// The state of a list that holds these, oldest first.
KeyState list_hash(std::span<const uint64_t> elements);

enum class LinearizabilityVerdict : uint8_t {
  kLinearizable,
  kViolated,
  kUndecided,  // the search was given up; says nothing
};

struct LinearizabilityResult {
  LinearizabilityVerdict verdict = LinearizabilityVerdict::kLinearizable;
  // kViolated: the operations that no order explains, from a little before the place where the
  // search got furthest.
  std::string explanation = {};
  uint64_t configurations = 0;  // looked at
};

// Operations in any order.  A read without a known return is ignored.
// Time is exponential in the operations that overlap at worst; `configurations_max` bounds it.
LinearizabilityResult check_linearizable(std::span<const Operation> operations,
                                         uint64_t configurations_max = 2'000'000);

}  // namespace quorate::sim

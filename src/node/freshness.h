// How old the copy of a partition may be: what a node asks the leader so that it can answer reads of level bounded:MS by itself
// (REPLICATION 4).  The bound counts from the sending of the question, on the clock of whoever asks.
//
//   ask  = varint partition, varint steady us of the asker
//   told = ask, varint commit index
//
// A leader answers while it has its lease: by then it has committed everything that was acknowledged before it was asked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "cluster/cluster_node.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

enum class FreshnessKind : uint64_t {
  kAsk = ClusterNode::kFirstOfOwner + 24,
  kTold,
};
constexpr bool is_freshness_kind(uint64_t kind) { return is_kind(kind, FreshnessKind::kAsk, FreshnessKind::kTold); }

struct FreshnessMessage {
  uint32_t partition = 0;
  uint64_t asked_us = 0;
  std::optional<uint64_t> commit_index = {};   // kTold
};
void encode(const FreshnessMessage& message, Buffer& out);
// Anything may have come.  kCorrupt: not such a message.
Result<FreshnessMessage> decode_freshness(FreshnessKind kind, std::string_view bytes, uint32_t partitions);

// What is known of one copy.
class Freshness {
 public:
  // The answer to a question of `asked_us`.
  void told(int64_t asked_us, uint64_t commit_index) {
    // What the copy is about to reach is not given up for what is told meanwhile: it would run behind for ever.
    Told& told = awaited_.asked_us == INT64_MIN ? awaited_ : newest_;
    if (asked_us > std::max(awaited_.asked_us, newest_.asked_us)) told = {asked_us, commit_index};
  }
  // The copy holds everything that was acknowledged so long ago.  Requires: it is the committed state up to `state_index`.
  int64_t age_us(int64_t now_us, uint64_t state_index) {
    while (awaited_.asked_us != INT64_MIN && state_index >= awaited_.commit_index) {
      fresh_since_us_ = std::max(fresh_since_us_, awaited_.asked_us);
      awaited_ = std::exchange(newest_, Told());
    }
    return fresh_since_us_ == INT64_MIN ? INT64_MAX : now_us - fresh_since_us_;
  }
  // At most one question a millisecond.
  bool may_ask(int64_t now_us) {
    constexpr int64_t kAskUs = 1'000;
    if (now_us < ask_at_us_) return false;
    ask_at_us_ = now_us + kAskUs;
    return true;
  }

 private:
  struct Told {
    int64_t asked_us = INT64_MIN;   // INT64_MIN: nothing
    uint64_t commit_index = 0;
  };
  Told awaited_;                    // the copy may not have come so far
  Told newest_;                     // behind it
  int64_t fresh_since_us_ = INT64_MIN;
  int64_t ask_at_us_ = INT64_MIN;
};

}  // namespace quorate

// Carries out effects that this node has not executed itself: those of the log at start, and those of a partition's leader.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "store/db.h"
#include "store/effects.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

struct NodeState;

// Carries out one effect.
class EffectTarget {
 public:
  virtual ~EffectTarget() = default;
  // `key` is that of effect.args[1], or of the empty string if there is none.
  virtual Status apply(const Effect& effect, const Key& key) = 0;
};

// By the node's command table.
class EffectApplier final : public EffectTarget {
 public:
  explicit EffectApplier(NodeState& node) : node_(node) {}
  Status apply(const Effect& effect, const Key& key) override;

 private:
  Status apply_to_partition(const Effect& effect);
  Status apply_to_databases(const Effect& effect);

  NodeState& node_;
  Buffer reply_bytes_;
};

// A whole batch; the commonest effect takes a short cut.  To be kept for many batches: then it allocates nothing.
// Requires: the store is replaying.
class BatchApplier {
 public:
  BatchApplier(Store& store, EffectTarget& target) : store_(store), target_(target) {}
  // Any bytes are allowed; an error may leave part of the batch done.
  Status apply(std::string_view effects);
  // Effects carried out since the last call.
  uint64_t take_count() { return std::exchange(count_, 0); }

 private:
  static constexpr size_t kWindow = 32;
  static constexpr size_t kArgsKept = 64;   // of an effect
  Status read_one(EffectReader& reader, size_t place);
  Status apply_one(const Effect& effect, const Key& key);

  Store& store_;
  EffectTarget& target_;
  uint64_t count_ = 0;
  std::array<Effect, kWindow> effects_;
  std::array<Key, kWindow> keys_;
};

}  // namespace quorate

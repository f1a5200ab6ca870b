// A consistent-hashing ring: which nodes a partition meets first, in which order.  It only states a
// preference; how many replicas a node holds is decided by placement.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace quorate::placement {

using NodeId = uint64_t;

// O(n).
bool contains(std::span<const NodeId> ids, NodeId id);

// A node of weight 200 gets twice the tokens, replicas and leaders of one of weight 100.
constexpr uint32_t kWeightDefault = 100;
constexpr uint32_t kWeightMax = 10000;
// Virtual nodes of a node of the default weight.
constexpr uint32_t kTokensPerNode = 64;

struct RingMember {
  NodeId id = 0;
  uint32_t weight = kWeightDefault;
};

// Immutable.  The order of the members given does not matter, and a member's tokens depend on
// nothing but its id and weight: a join or leave changes no order among the others.
class Ring {
 public:
  // Requires: ids are distinct, 1 <= weight <= kWeightMax.
  explicit Ring(std::span<const RingMember> members);

  // All members, each once, as a walk round the ring from `point` meets them.  O(tokens).
  std::vector<NodeId> walk(uint64_t point) const;

 private:
  struct Token {
    uint64_t point = 0;
    uint32_t member = 0;
  };
  std::vector<NodeId> ids_;    // ascending
  std::vector<Token> tokens_;  // ascending by (point, member)
};

// The place of a partition on the ring.
uint64_t partition_point(uint32_t partition);

}  // namespace quorate::placement

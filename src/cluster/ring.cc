// Tokens are hashes of (node id, number); equal points are ordered by id, so ties are decided too.
#include "cluster/ring.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "util/check.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate::placement {

namespace {

// Apart from each other, so that a partition's number never hashes like a node's token.
constexpr uint64_t kTokenSeed = 0x746f6b656e;
constexpr uint64_t kPartitionSeed = 0x7061727469;

uint64_t hash_pair(uint64_t first, uint64_t second, uint64_t seed) {
  std::array<char, 16> bytes;
  store_little(bytes.data(), first);
  store_little(bytes.data() + 8, second);
  return hash64(std::string_view(bytes.data(), bytes.size()), seed);
}

uint32_t token_count(uint32_t weight) {
  return std::max(1U, kTokensPerNode * weight / kWeightDefault);
}

}  // namespace

bool contains(std::span<const NodeId> ids, NodeId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

Ring::Ring(std::span<const RingMember> members) {
  std::vector<RingMember> sorted(members.begin(), members.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const RingMember& a, const RingMember& b) { return a.id < b.id; });
  for (const RingMember& member : sorted) {
    CHECK(member.weight >= 1);
    CHECK(member.weight <= kWeightMax);
    CHECK(ids_.empty() || ids_.back() < member.id);
    const auto index = static_cast<uint32_t>(ids_.size());
    ids_.push_back(member.id);
    for (uint32_t number = 0; number < token_count(member.weight); ++number) {
      tokens_.push_back({hash_pair(member.id, number, kTokenSeed), index});
    }
  }
  std::sort(tokens_.begin(), tokens_.end(), [](const Token& a, const Token& b) {
    return a.point != b.point ? a.point < b.point : a.member < b.member;
  });
}

std::vector<NodeId> Ring::walk(uint64_t point) const {
  std::vector<NodeId> order;
  std::vector<char> met(ids_.size(), 0);
  const auto first =
      std::lower_bound(tokens_.begin(), tokens_.end(), point,
                       [](const Token& token, uint64_t at) { return token.point < at; });
  const auto start = static_cast<size_t>(first - tokens_.begin());
  for (size_t step = 0; step < tokens_.size() && order.size() < ids_.size(); ++step) {
    const uint32_t member = tokens_[(start + step) % tokens_.size()].member;
    if (met[member] != 0) continue;
    met[member] = 1;
    order.push_back(ids_[member]);
  }
  return order;
}

uint64_t partition_point(uint32_t partition) { return hash_pair(partition, 0, kPartitionSeed); }

}  // namespace quorate::placement

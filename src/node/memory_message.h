// What a leader asks a node that has too much memory in use, and what it is told: how much that is once the node has applied what was evicted
// for it so far.  So the same lack is not served twice, however far the node is behind.
//
//   ask  = varint question, varint places, (varint partition, varint index) *
//   told = varint question, varint bytes that are too many, varint keys
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cluster/cluster_node.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

enum class MemoryKind : uint64_t {
  kAsk = ClusterNode::kFirstOfOwner + 46,
  kTold,
};
constexpr bool is_memory_kind(uint64_t kind) { return is_kind(kind, MemoryKind::kAsk, MemoryKind::kTold); }

struct MemoryQuestion {
  struct Place {
    uint32_t partition = 0;
    uint64_t index = 0;   // of its log
    friend bool operator==(const Place&, const Place&) = default;
  };
  uint64_t number = 0;
  std::vector<Place> places = {};   // by partition; to be applied first
  friend bool operator==(const MemoryQuestion&, const MemoryQuestion&) = default;
};
void encode(const MemoryQuestion& question, Buffer& out);
// kCorrupt: it cannot be read, or is not of so many partitions.
Result<MemoryQuestion> decode_memory_question(std::string_view bytes, uint32_t partitions);

struct MemoryAnswer {
  uint64_t number = 0;
  uint64_t excess = 0;
  uint64_t keys = 0;
  friend bool operator==(const MemoryAnswer&, const MemoryAnswer&) = default;
};
void encode(const MemoryAnswer& answer, Buffer& out);
Result<MemoryAnswer> decode_memory_answer(std::string_view bytes);

}  // namespace quorate

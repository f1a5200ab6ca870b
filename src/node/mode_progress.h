// How far the partitions of a cluster have come in following the mode that the members have decided (REPLICATION 5): by which of their
// decisions each goes, for good, since its committed configuration says so.  Whoever has a replica can tell, and versions only grow.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cluster/cluster_node.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

enum class ModeKind : uint64_t {
  kAsk = ClusterNode::kFirstOfOwner + 28,
  kTold,
};
constexpr bool is_mode_kind(uint64_t kind) { return is_kind(kind, ModeKind::kAsk, ModeKind::kTold); }

// One a node.
class ModeProgress {
 public:
  explicit ModeProgress(uint32_t partitions) : known_(partitions) {}

  // As somebody knows them, by partition.  Requires: of all partitions.
  void note(std::span<const uint64_t> versions);
  // Partitions that are not known to go by this decision, or a later one.
  size_t count_without(uint64_t version) const;
  // Whether it is time to ask the others, and if so that it is done.
  bool takes_turn(int64_t now_us);

 private:
  std::vector<uint64_t> known_;   // by partition
  int64_t next_ask_us_ = INT64_MIN;
};

// By partition; 0: there is no replica, or it goes by none.
void encode_modes(std::span<const uint64_t> versions, Buffer& out);
// Anything may have come.  kCorrupt: not of so many partitions.
Result<std::vector<uint64_t>> decode_modes(std::string_view bytes, uint32_t partitions);

}  // namespace quorate

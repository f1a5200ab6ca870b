// How much of what was executed here may wait to be committed, or alone to be written to the log's
// file, before no more is written (max-uncommitted-bytes).  It lies in memory, and replies of a
// few bytes do not stop who sends it.
#pragma once

#include <cstdint>

namespace quorate {

struct NodeState;

// What has been told of it.
struct UncommittedTold {
  int64_t next_note_us = INT64_MIN;
  bool is_told = false;  // that writes are refused
};

// In company of the partitions that are served here; alone of the log.
uint64_t uncommitted_bytes(const NodeState& node);

// Sets kNodeTooMuchUncommitted while there is more than the setting says, and until half of that is
// left.  Once a turn.
void look_at_uncommitted(NodeState& node);

}  // namespace quorate

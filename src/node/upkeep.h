// What a node does by itself: time-outs, expiry, eviction, background work, the second's sync.
#pragma once

#include <cstdint>

#include "node/state.h"
#include "persist/disk.h"
#include "util/result.h"

namespace quorate {

// From the begin of a slice of background work to the next one.  Slices are short and follow each other closely, and
// what the sockets have brought comes in between: so nobody waits for long, and the work takes what time is left.
constexpr int64_t kSlicePauseUs = 50;

// Everything that is due.
void run_upkeep(NodeState& node);
// steady_us of the next call that makes sense.
int64_t upkeep_deadline(const NodeState& node);
// The settings may have changed: what is derived from them is made anew.
void settings_changed(NodeState& node);
// The outcome of a disk request.
void on_disk_reply(NodeState& node, DiskReply&& reply);
// Why writes are refused while kNodeWritesRefused or kNodeTooMuchUncommitted is set.
Error write_refusal(const NodeState& node);

}  // namespace quorate

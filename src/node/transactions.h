// MULTI, EXEC, DISCARD, WATCH.
#pragma once

#include <cstdint>
#include <string_view>

#include "node/context.h"
#include "node/state.h"

namespace quorate {

// Answers QUEUED and keeps the command, or refuses it when the queue is full.
void queue_command(NodeState& node, Session& session, const Command& row, Args args);
// Back to no transaction, nothing watched.
void discard_transaction(NodeState& node, Session& session);
// Runs what was queued.  The handler of EXEC.
Status run_transaction(NodeContext& cx);

void watch(NodeState& node, Session& session, std::string_view key);
void unwatch_all(NodeState& node, Session& session);
// A key has changed: transactions that watch it fail.
void touch_watched(NodeState& node, int database, std::string_view key);
// Any key of the partition may have changed.
void touch_watched_partition(NodeState& node, int database, uint32_t partition);
// The whole database is about to be emptied, or replaced by `replacement` (SWAPDB; null: emptied).
void touch_all_watched(NodeState& node, int database, Db* replacement);

}  // namespace quorate

// MULTI, EXEC, DISCARD, WATCH.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "node/context.h"
#include "node/state.h"
#include "util/result.h"

namespace quorate {

// Answers QUEUED and keeps the command, or refuses it when the queue is full.
void queue_command(NodeState& node, Session& session, const Command& row, Args args);
// What SELECT of that index means.
Result<int> selected_database(const NodeState& node, std::string_view index);
// Back to no transaction, nothing watched.
void discard_transaction(NodeState& node, Session& session);
// Runs what was queued.  The handler of EXEC.
Status run_transaction(NodeContext& cx);

void watch(NodeState& node, Session& session, std::string_view key);
void unwatch_all(NodeState& node, Session& session);
// Keys of a partition that another node leads: what its leader says of them is kept, and goes with EXEC (watch_message.h).
// ... The session watches these keys, of which the leader has said this; what cannot be read counts as changed.
void watch_elsewhere(Session& session, int database, std::string_view keys, std::string_view seen);
// ... The leader's word.  Requires: this node serves the partition, and decode_keys(keys) is ok.
std::string see_keys(NodeState& node, uint32_t partition, int database, std::string_view keys);
// ... The next EXEC of a session that runs commands of another node goes by these.  Requires: decode_watched(watched) is ok.
void watch_as_elsewhere(NodeState& node, Session& session, std::string_view watched);
// It watches a key of which its node hears by itself when it changes.
bool watches_here(const Session& session);
// A key has changed: transactions that watch it fail.
void touch_watched(NodeState& node, int database, std::string_view key);
// Any key of the partition may have changed.
void touch_watched_partition(NodeState& node, int database, uint32_t partition);
// The whole database is about to be emptied, or replaced by `replacement` (SWAPDB; null: emptied).
void touch_all_watched(NodeState& node, int database, Db* replacement);

}  // namespace quorate

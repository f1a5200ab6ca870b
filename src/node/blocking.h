// Commands that wait: for a key (BLPOP ...), for the end of CLIENT PAUSE, for a slow answer.
#pragma once

#include <cstdint>

#include "commands/context.h"
#include "node/state.h"

namespace quorate {

// The session waits for one of the keys that `request` names; its command is kept and runs again when one changes.
void block(NodeState& node, Session& session, const Command& row, Args args, const BlockRequest& request);
// Ends waiting without an answer.  Requires: kBlocked.
void stop_waiting(NodeState& node, Session& session);

// It has waited for so long elsewhere.  Requires: kBlocked.
void shorten_wait(NodeState& node, Session& session, int64_t by_ms);

enum class Unblocked : uint8_t { kByTimeout, kByError, kByMove };
// Answers as if the time-out had passed, or with -UNBLOCKED (kByMove: the keys are served elsewhere now), and goes on.  Requires: kBlocked.
void unblock(NodeState& node, Session& session, Unblocked how);

// The same if it waits; one that CLIENT PAUSE holds back will wait no longer than for the end of that.
void unblock_if_waiting(NodeState& node, Session& session, Unblocked how);

// A key that somebody waits for has changed.
void note_ready(NodeState& node, int database, std::string_view key);
// All keys of the database that somebody waits for may have changed (SWAPDB).
void note_all_ready(NodeState& node, int database);
// Runs the commands that wait for the noted keys: keys in the order they became ready, the longest waiting first.
void serve_ready_keys(NodeState& node);
// Answers those whose time is over.
void expire_waiting(NodeState& node);

// Answers a session in kWaiting with +OK or the error, and goes on with its requests.  A session that has gone is ignored.
void answer_waiting(NodeState& node, uint64_t session_id, const Status& outcome);

// CLIENT PAUSE: the request is run once the pause ends.
void postpone(NodeState& node, Session& session, const Command& row, Args args);
// Once its time is over a pause holds nobody up, though who waits goes on only with the next upkeep.
bool pause_lasts(const NodeState& node);
void start_pause(NodeState& node, PauseKind kind, int64_t until_us);
void end_pause(NodeState& node);

// DEBUG SLEEP: nobody is answered until then; `session`, if any, gets its reply at the end.
void start_busy(NodeState& node, Session& session, int64_t duration_us);
void end_busy(NodeState& node);

}  // namespace quorate

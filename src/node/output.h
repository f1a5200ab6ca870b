// From a session's output buffer to the driver: flushing, holding back what is not durable, limits, closing.
#pragma once

#include <string_view>

#include "node/effects.h"
#include "node/state.h"

namespace quorate {

// Says that the session has something to write (or may close) at the end of the turn.
inline void queue_flush(NodeState& node, Session& session) {
  if (session.has(kQueuedToFlush)) return;
  session.set(kQueuedToFlush);
  node.to_flush.push_back(&session);
}

enum class CloseWhen : uint8_t { kNow, kAfterReply };
void close_session(NodeState& node, Session& session, CloseWhen when);

// Appends encoded bytes to another session's output (a message, a line of MONITOR), and closes it if it is owed more
// than its class may be.
void push_bytes(NodeState& node, Session& session, std::string_view bytes);
// The hard limit now, the soft limit after its time.  True: it was closed.
bool check_output_limit(NodeState& node, Session& session);

// Hands the driver what may leave.
void flush(NodeState& node, Session& session, Driver& driver);
// After the log got further: sessions with held replies are queued again.
void release_held(NodeState& node);
// Tells later, by perform(), whether the session should be read from.
void update_reading(NodeState& node, Session& session);
bool wants_input(const Session& session);

// Forgets everything about the session; its pointer is invalid afterwards.
void destroy_session(NodeState& node, Session& session);

}  // namespace quorate

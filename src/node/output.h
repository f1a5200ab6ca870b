// From a session's output buffer to the driver: flushing, holding back what is not durable, limits, closing.
#pragma once

#include <functional>
#include <string_view>

#include "node/effects.h"
#include "node/state.h"

namespace quorate {

// What the session is told in this turn waits for this too.  The one door: whoever makes a reply of something that may
// be lost says so here.
inline void await(NodeState& node, Session& session, Need need) {
  if (need.stream == kLogStream) [[likely]] {
    if (need.position > session.needs.log_position) session.needs.log_position = need.position;
  } else {
    node.streams.add(session.id, session.needs, need);
  }
}

// Leaves a place in the output for a reply that is not known yet.  What was said before, or is bound to something by
// await(), holds it back too; nothing behind it leaves before it.  A session that has kGapsMax of them is not read from.
constexpr size_t kGapsMax = 1024;
GapId open_gap(NodeState& node, Session& session);
// The reply, encoded.  Nothing happens if the session is gone, or does not want it any more (CLIENT REPLY).
void fill_gap(NodeState& node, uint64_t session_id, GapId gap, std::string_view bytes);

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
void flush(NodeState& node, Session& session, SessionDriver& driver);
// What was said since the last call gets what await() was told for it, so that another reply's needs are its own.
void bind_needs(NodeState& node, Session& session);
// The stream will never get to where `lost` is in the way it was meant: replies that wait for that or more become
// -UNCERTAIN, with the words of `why(position)`, the position being what the reply has waited for.
void lose_from(NodeState& node, Need lost, const std::function<Error(uint64_t position)>& why);

// After the log or other streams got further: sessions whose output waited for that are queued again.
void release_held(NodeState& node);
// Tells later, by perform(), whether the session should be read from.
void update_reading(NodeState& node, Session& session);
bool wants_input(const Session& session);

// Forgets everything about the session; its pointer is invalid afterwards.
void destroy_session(NodeState& node, Session& session);

}  // namespace quorate

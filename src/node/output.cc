// Replies on their way out.
#include "node/output.h"

#include <algorithm>

#include "node/blocking.h"
#include "node/publish.h"
#include "node/transactions.h"

namespace quorate {

namespace {

// Owed more than this, a client is not read from until it has taken half of it.
constexpr size_t kOutputPauseBytes = 256 * 1024 * 1024;
// Bytes that a client may send ahead while its command waits.
constexpr size_t kInputAheadMax = 1024 * 1024;

// How many bytes at the front of `out` may leave.
size_t releasable(NodeState& node, Session& session) {
  if (session.held.empty()) return session.out.size();
  const uint64_t durable = node.durability.durable();
  size_t free_until = 0;
  size_t passed = 0;
  for (const HeldReplies& held : session.held) {
    if (held.sequence > durable) break;
    free_until = held.end;
    ++passed;
  }
  session.held.erase(session.held.begin(), session.held.begin() + static_cast<std::ptrdiff_t>(passed));
  return session.held.empty() ? session.out.size() : free_until;
}

// Moves the next bytes that may leave into `flight`; false if there are none.
bool load_flight(NodeState& node, Session& session) {
  const size_t ready = releasable(node, session);
  if (ready == 0) return false;
  if (ready == session.out.size()) {
    session.flight.swap(session.out);
    node.buffers.take_back(session.out);
  } else {
    node.buffers.lend(session.flight);
    session.flight.append(session.out.view().substr(0, ready));
    session.out.drop_front(ready);
  }
  for (HeldReplies& held : session.held) held.end -= ready;
  session.flight_sent = 0;
  return true;
}

}  // namespace

void close_session(NodeState& node, Session& session, CloseWhen when) {
  if (when == CloseWhen::kAfterReply) {
    session.set(kCloseAfterReply);
    queue_flush(node, session);
    return;
  }
  if (session.has(kQueuedToClose)) return;
  session.set(kClosing | kQueuedToClose);
  node.to_close.push_back(&session);
}

bool check_output_limit(NodeState& node, Session& session) {
  const OutputLimit& limit = node.settings.output_limits[static_cast<size_t>(session.client_class())];
  const size_t pending = session.owed_output();
  if (limit.hard != 0 && pending > limit.hard) {
    ++node.statistics.output_buffer_disconnections;
    session.set(kAbortClose);
    close_session(node, session, CloseWhen::kNow);
    return true;
  }
  if (limit.soft == 0 || pending <= limit.soft) {
    session.soft_limit_since_us = 0;
    return false;
  }
  if (session.soft_limit_since_us == 0) {
    session.soft_limit_since_us = node.now.steady_us;
    return false;
  }
  if (node.now.steady_us - session.soft_limit_since_us <= limit.soft_seconds * 1'000'000) return false;
  ++node.statistics.output_buffer_disconnections;
  session.set(kAbortClose);
  close_session(node, session, CloseWhen::kNow);
  return true;
}

void push_bytes(NodeState& node, Session& session, std::string_view bytes) {
  if (session.has(kClosing | kCloseAfterReply)) return;
  node.buffers.lend(session.out);
  session.out.append(bytes);
  queue_flush(node, session);
  check_output_limit(node, session);
}

void flush(NodeState& node, Session& session, Driver& driver) {
  session.clear(kQueuedToFlush);
  if (session.has(kClosing)) return;
  if (session.needs_sequence != 0) {
    if (session.needs_sequence > node.durability.durable()) {
      // Replies leave in order, so none needs less than the one before it.
      const uint64_t before = session.held.empty() ? 0 : session.held.back().sequence;
      session.held.push_back({session.out.size(), std::max(session.needs_sequence, before)});
      if (!session.has(kHolding)) {
        session.set(kHolding);
        node.durability.holding.push_back(&session);
      }
    }
    session.needs_sequence = 0;
  }
  while (session.flight.empty() && load_flight(node, session)) {
    const size_t sent = driver.send(session.peer.connection, session.flight.view());
    node.statistics.bytes_sent += sent;
    ++node.statistics.writes_processed;
    session.active_us = node.now.steady_us;
    if (sent < session.flight.size()) {
      session.flight_sent = sent;
      break;
    }
    node.buffers.take_back(session.flight);
  }
  if (session.out.empty()) node.buffers.take_back(session.out);
  if (session.has(kCloseAfterReply) && session.pending_output() == 0) {
    close_session(node, session, CloseWhen::kNow);
    return;
  }
  check_output_limit(node, session);
  update_reading(node, session);
}

void release_held(NodeState& node) {
  const uint64_t durable = node.durability.durable();
  auto& holding = node.durability.holding;
  size_t kept = 0;
  for (Session* session : holding) {
    if (!session->held.empty() && session->held.front().sequence <= durable) queue_flush(node, *session);
    if (!session->held.empty() && session->held.back().sequence > durable) {
      holding[kept++] = session;
    } else {
      session->clear(kHolding);
    }
  }
  holding.resize(kept);
}

bool wants_input(const Session& session) {
  if (session.has(kClosing)) return false;
  if (session.has(kStopsInput) && session.in.size() > kInputAheadMax) return false;
  const size_t limit = session.has(kReadingStopped) ? kOutputPauseBytes / 2 : kOutputPauseBytes;
  return session.pending_output() <= limit;
}

void update_reading(NodeState& node, Session& session) {
  const bool stop = !wants_input(session);
  if (stop == session.has(kReadingStopped)) return;
  if (stop) {
    session.set(kReadingStopped);
  } else {
    session.clear(kReadingStopped);
  }
  node.reading_changed.push_back(&session);
}

void destroy_session(NodeState& node, Session& session) {
  if (session.has(kBlocked)) stop_waiting(node, session);
  if (session.has(kPostponed)) {
    auto& list = node.postponed;
    list.erase(std::remove(list.begin(), list.end(), &session), list.end());
    --node.blocked_count;
  }
  if (session.extras != nullptr) {
    unwatch_all(node, session);
    unsubscribe_all(node, session);
  }
  const auto forget = [&](std::vector<Session*>& list) {
    list.erase(std::remove(list.begin(), list.end(), &session), list.end());
  };
  if (session.has(kMonitoring)) {
    forget(node.monitors);
    if (node.monitors.empty()) node.flags &= ~kNodeMonitored;
  }
  if (session.has(kReplicaLink)) stop_following(node, session);
  if (session.has(kHolding)) forget(node.durability.holding);
  if (session.has(kQueuedToFlush)) forget(node.to_flush);
  if (session.has(kQueuedToResume)) forget(node.to_resume);
  if (session.has(kWaiting)) forget(node.busy_sessions);
  forget(node.reading_changed);
  if (session.has(kRejected)) --node.rejected_count;
  node.buffers.take_back(session.in);
  node.buffers.take_back(session.out);
  node.buffers.take_back(session.flight);
  node.sessions.remove(&session);
  node.update_observed();
}

}  // namespace quorate

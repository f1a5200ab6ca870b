// Replies on their way out.
#include "node/output.h"

#include <algorithm>

#include "commands/errors.h"
#include "node/blocking.h"
#include "node/forward.h"
#include "node/input.h"
#include "node/publish.h"
#include "node/reply_shape.h"
#include "node/transactions.h"
#include "node/waits.h"

namespace quorate {

namespace {

// Owed more than this, a client is not read from until it has taken half of it.
constexpr size_t kOutputPauseBytes = 256 * 1024 * 1024;
// Bytes that a client may send ahead while its command waits.
constexpr size_t kInputAheadMax = 1024 * 1024;

bool is_met(const NodeState& node, Need need) {
  const uint64_t position =
      need.stream == kLogStream ? node.durability.durable() : node.streams.position(need.stream);
  return need.position <= position;
}

// Moves the next bytes that may leave into `flight`; false if there are none.
bool load_flight(NodeState& node, Session& session) {
  session.flight_sent = 0;
  const auto met = [&](Need need) { return is_met(node, need); };
  session.holds.pass_met(met);
  if (session.holds.empty()) [[likely]] {
    if (session.out.empty()) return false;
    session.holds.leave(session.out.size());
    session.flight.swap(session.out);
    node.buffers.take_back(session.out);
    return true;
  }
  node.buffers.lend(session.flight);
  session.out.drop_front(session.holds.take_ready(session.out.view(), session.flight, met));
  if (session.flight.empty()) node.buffers.take_back(session.flight);
  return !session.flight.empty();
}

// Into the list of the stream that stands in its way, if one does; out of any other.
void update_waiting(NodeState& node, Session& session) {
  const Need need = session.holds.first_need();
  const StreamId stream = need.stream == kNoStream || is_met(node, need) ? kNoStream : need.stream;
  if (stream == session.waits_for) return;
  if (session.waits_for != kNoStream) std::erase(node.streams.waiting(session.waits_for), &session);
  if (stream != kNoStream) node.streams.waiting(stream).push_back(&session);
  session.waits_for = stream;
}

// The error for each of the replies, or for the one that is not there yet.
void write_instead(std::string_view line, std::string_view replies, Reply out) {
  do {
    const size_t size = value_size(replies);
    out.error(line);
    replies.remove_prefix(size == 0 ? replies.size() : size);
  } while (!replies.empty());
}

void release_waiting(NodeState& node, StreamId stream) {
  auto& waiting = node.streams.waiting(stream);
  size_t kept = 0;
  for (Session* session : waiting) {
    const Need need = session->holds.first_need();
    CHECK(need.stream == stream);
    if (is_met(node, need)) {
      session->waits_for = kNoStream;
      queue_flush(node, *session);
    } else {
      waiting[kept++] = session;
    }
  }
  waiting.resize(kept);
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
  if (session.driver != nullptr) return false;  // what another node may have under way is limited there
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

GapId open_gap(NodeState& node, Session& session) {
  bind_needs(node, session);
  const GapId gap = session.holds.open_gap();
  if (session.holds.gap_count() >= kGapsMax) session.set(kGapsFull);
  queue_flush(node, session);
  return gap;
}

void fill_gap(NodeState& node, uint64_t session_id, GapId gap, std::string_view bytes) {
  Session* const session = node.sessions.find(session_id);
  if (session == nullptr || session->has(kClosing)) return;
  if (!session->holds.fill_gap(gap, bytes)) return;
  if (session->holds.begins_with_filled_gap()) queue_flush(node, *session);
  check_output_limit(node, *session);
}

void bind_needs(NodeState& node, Session& session) {
  if (!session.needs.empty()) {
    const Need of_log{kLogStream, session.needs.log_position};
    if (!is_met(node, of_log)) session.holds.add_need(of_log);
    for (const Need& need : session.needs.others) {
      if (!is_met(node, need)) session.holds.add_need(need);
    }
    session.needs.clear();
  }
  session.holds.bind(session.out.size());
}

void lose_from(NodeState& node, Need lost, const std::function<Error(uint64_t position)>& why) {
  node.sessions.for_each_with_links([&](Session& session) {
    if (session.has(kClosing)) return;
    bind_needs(node, session);
    if (!session.holds.has_need_from(lost)) return;
    if (session.driver != nullptr) {
      // The node that asked is told that it is not known, and asks again.
      close_session(node, session, CloseWhen::kNow);
      return;
    }
    if (session.has(kSubscribed | kMonitoring | kReplicaLink)) {
      // Among its messages no place is a reply's.
      session.set(kAbortClose);
      close_session(node, session, CloseWhen::kNow);
      return;
    }
    const Protocol protocol = session.protocol;
    session.holds.lose_from(lost, session.out, [&](uint64_t position, std::string_view bytes, Buffer& out) {
      write_instead(error_line(why(position)), bytes, Reply(out, protocol));
    });
    update_waiting(node, session);
    queue_flush(node, session);
  });
}

void flush(NodeState& node, Session& session, SessionDriver& driver) {
  session.clear(kQueuedToFlush);
  if (session.has(kClosing)) return;
  bind_needs(node, session);
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
  if (!session.holds.empty() || session.waits_for != kNoStream) update_waiting(node, session);
  if (session.has(kCloseAfterReply) && session.pending_output() == 0 && session.holds.gap_count() == 0) {
    close_session(node, session, CloseWhen::kNow);
    return;
  }
  if (session.has(kGapsFull) && session.holds.gap_count() <= kGapsMax / 2) [[unlikely]] {
    session.clear(kGapsFull);
    resume_later(node, session);
  }
  check_output_limit(node, session);
  update_reading(node, session);
}

void release_held(NodeState& node) {
  release_waiting(node, kLogStream);
  for (const StreamId stream : node.streams.take_advanced()) release_waiting(node, stream);
}

bool wants_input(const Session& session) {
  if (session.has(kClosing | kReadNoMore)) return false;
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
  if (session.has(kBlockedElsewhere) && node.forwarding != nullptr) node.forwarding->forget(session);
  forget_wait(node, session.id);
  if (session.waits_for != kNoStream) forget(node.streams.waiting(session.waits_for));
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

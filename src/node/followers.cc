// The file and the stream for clients that follow the data.
#include "node/followers.h"

#include <algorithm>
#include <utility>

#include "node/input.h"
#include "node/output.h"
#include "node/state.h"
#include "resp/request_writer.h"
#include "util/memory.h"

namespace quorate {

namespace {

// Bytes of a file that may wait in the connection's output.
constexpr size_t kFileAheadMax = 4 * 1024 * 1024;
constexpr size_t kEndMarkSize = 40;
constexpr int64_t kSecondUs = 1'000'000;

Follower& follower_of(Session& session) { return *session.extras->follower; }

void append_command(Buffer& out, std::initializer_list<std::string_view> words) {
  append_request(out, Args(words.begin(), words.size()));
}

void append_select(Buffer& out, int database) { append_command(out, {"SELECT", std::to_string(database)}); }

void add_to_unit(Followers::Unit& unit, int database, Args args) {
  if (unit.count == 0) {
    unit.first_database = database;
  } else if (unit.database != database) {
    append_select(unit.commands, database);
  }
  unit.database = database;
  ++unit.count;
  append_request(unit.commands, args);
}

// `sequence`: of the log's record that must be safe before the bytes may leave; 0: none.
void send_to_all(NodeState& node, std::string_view bytes, uint64_t sequence) {
  node.followers.offset += bytes.size();
  for (Session* session : node.followers.sessions) {
    Follower& follower = follower_of(*session);
    if (follower.wants_file_only || session->has(kClosing)) continue;
    switch (follower.phase) {
      case Follower::Phase::kNone:
      case Follower::Phase::kQueued:
        break;
      case Follower::Phase::kGetsFile:
      case Follower::Phase::kHasFile:
        follower.later.append(bytes);
        follower.later_sequence = std::max(follower.later_sequence, sequence);
        check_output_limit(node, *session);
        break;
      case Follower::Phase::kFollows:
        await(node, *session, {kLogStream, sequence});
        push_bytes(node, *session, bytes);
        break;
    }
  }
}

rdb::FileOptions file_options(const NodeState& node) {
  return {.version = node.store_settings.rdb_version,
          .compression = node.store_settings.rdb_compression ? rdb::Compression::kOn : rdb::Compression::kOff,
          .now = node.now.unix_ms,
          .used_memory = mem_used()};
}

void begin_transfer(NodeState& node, Session& session) {
  Follower& follower = follower_of(session);
  follower.phase = Follower::Phase::kGetsFile;
  Followers::Transfer& transfer = node.followers.transfer.emplace();
  transfer.session = &session;
  transfer.encoder = std::make_unique<rdb::FileEncoder>(node.store, file_options(node));
  if (!follower.wants_no_data) {
    node.store.begin_snapshot(*transfer.encoder);
    transfer.is_walking = true;
  }
  ++node.statistics.full_syncs;
  if ((node.flags & kNodeFollowed) == 0) {
    node.followers.next_ping_us = node.now.steady_us + node.settings.repl_ping_replica_period * kSecondUs;
  }
  node.flags |= kNodeFollowed;
  node.update_collecting();
  node.followers.database = -1;  // who is new has selected nothing
  node.buffers.lend(session.out);
  if (follower.sent_psync) {
    session.out.append("+FULLRESYNC " + node.run_id + " " + std::to_string(node.followers.offset) + "\r\n");
  }
  if (follower.takes_end_mark) {
    constexpr char kHex[] = "0123456789abcdef";
    for (size_t digit = 0; digit < kEndMarkSize; ++digit) {
      transfer.end_mark.push_back(kHex[node.store.random().below(16)]);
    }
    session.out.append("$EOF:" + transfer.end_mark + "\r\n");
  }
  // A follower never sees what a crash could take back.
  if (node.durability.keeps_log()) await(node, session, {kLogStream, node.durability.log().appended()});
  queue_flush(node, session);
}

void begin_stream(NodeState& node, Session& session) {
  Follower& follower = follower_of(session);
  follower.phase = Follower::Phase::kFollows;
  await(node, session, {kLogStream, follower.later_sequence});
  push_bytes(node, session, std::exchange(follower.later, Buffer()).view());
}

void end_transfer(NodeState& node) {
  Followers::Transfer& transfer = *node.followers.transfer;
  Session& session = *transfer.session;
  Follower& follower = follower_of(session);
  if (follower.takes_end_mark) {
    session.out.append(transfer.end_mark);
  } else {
    session.out.append("$");
    session.out.append(std::to_string(transfer.whole.size()));
    session.out.append("\r\n");
    session.out.append(transfer.whole.view());
  }
  node.followers.transfer.reset();
  follower.phase = Follower::Phase::kHasFile;
  follower.acknowledged_us = node.now.steady_us;
  session.clear(kWaiting);
  if (follower.wants_file_only) {
    close_session(node, session, CloseWhen::kAfterReply);
    return;
  }
  if (!follower.takes_end_mark) begin_stream(node, session);
  resume_later(node, session);
}

void cut_off(NodeState& node, Session& session) {
  ++node.statistics.output_buffer_disconnections;
  session.set(kAbortClose);
  close_session(node, session, CloseWhen::kNow);
}

// What writers hand over waits with the encoder while the connection has to take something first.
bool holds_too_much(const NodeState& node) {
  if (!node.followers.transfer) return false;
  const Followers::Transfer& transfer = *node.followers.transfer;
  const uint64_t limit = node.settings.output_limits[static_cast<size_t>(ClientClass::kReplica)].hard;
  const size_t held = transfer.encoder->pending() + transfer.encoder->kept() + transfer.whole.size();
  return limit != 0 && held > limit && !transfer.session->has(kClosing);
}

bool is_dead(const NodeState& node, const Session& session, const Follower& follower) {
  const int64_t patience_us = node.settings.repl_timeout * kSecondUs;
  const bool takes_nothing =
      session.pending_output() != 0 && node.now.steady_us - session.active_us > patience_us;
  const bool is_silent = follower.sent_psync && follower.phase >= Follower::Phase::kHasFile &&
                         node.now.steady_us - follower.acknowledged_us > patience_us;
  return takes_nothing || is_silent;
}

}  // namespace

// ---- the file -------------------------------------------------------------------------------------------

void begin_following(NodeState& node, Session& session) {
  session.set(kReplicaLink | kWaiting);
  follower_of(session).phase = Follower::Phase::kQueued;
  node.followers.sessions.push_back(&session);
}

void acknowledge(NodeState& node, Session& session, uint64_t offset) {
  Follower& follower = follower_of(session);
  follower.acknowledged = std::max(follower.acknowledged, offset);
  follower.acknowledged_us = node.now.steady_us;
  if (follower.phase == Follower::Phase::kHasFile) begin_stream(node, session);
}

void stop_following(NodeState& node, Session& session) {
  Followers& followers = node.followers;
  std::erase(followers.sessions, &session);
  if (followers.transfer && followers.transfer->session == &session) {
    if (followers.transfer->is_walking) node.store.end_snapshot();
    followers.transfer.reset();
  }
  if (!followers.sessions.empty()) return;
  end_unit(node);
  node.flags &= ~kNodeFollowed;
  node.update_collecting();
}

void cut_off_followers(NodeState& node) {
  node.sessions.for_each([&](Session& session) {
    if (!session.has(kReplicaLink) || session.has(kClosing)) return;
    session.set(kAbortClose);
    close_session(node, session, CloseWhen::kNow);
  });
}

void begin_next_transfer(NodeState& node) {
  for (Session* session : node.followers.sessions) {
    if (follower_of(*session).phase != Follower::Phase::kQueued || session->has(kClosing)) continue;
    begin_transfer(node, *session);
    return;
  }
}

bool transfer_wants_step(const NodeState& node) {
  if (!node.followers.transfer) return false;
  const Session& session = *node.followers.transfer->session;
  return session.pending_output() <= kFileAheadMax && !session.has(kClosing);
}

void step_transfer(NodeState& node, size_t budget) {
  if (!transfer_wants_step(node)) return;
  Followers::Transfer& transfer = *node.followers.transfer;
  Session& session = *transfer.session;
  const auto encoded_bytes = [&] { return transfer.encoder->pending(); };
  if (transfer.is_walking && !walk_slice(node.store, budget, encoded_bytes)) {
    node.store.end_snapshot();
    transfer.is_walking = false;
  }
  if (!transfer.is_walking) transfer.encoder->finish();
  const Buffer encoded = transfer.encoder->take();
  const bool takes_end_mark = follower_of(session).takes_end_mark;
  node.buffers.lend(session.out);
  (takes_end_mark ? session.out : transfer.whole).append(encoded.view());
  const uint64_t limit = node.settings.output_limits[static_cast<size_t>(ClientClass::kReplica)].hard;
  if (limit != 0 && transfer.whole.size() > limit) return cut_off(node, session);
  if (!transfer.is_walking) end_transfer(node);
  queue_flush(node, session);
  check_output_limit(node, session);
}

// ---- the stream -------------------------------------------------------------------------------------------

void take_effects(NodeState& node) {
  Followers& followers = node.followers;
  const std::string_view bytes = node.store.effects().bytes();
  if (bytes.size() == followers.taken) return;
  EffectReader reader(bytes.substr(followers.taken));
  Effect effect;
  while (!reader.at_end()) {
    const Status status = reader.next(effect);
    CHECK(status.ok());  // this process wrote it a moment ago
    add_to_unit(followers.unit, effect.database, Args(effect.args));
  }
  followers.unit.implied += node.store.implied_effects() - followers.implied_taken;
  followers.unit.changes_data = true;
  followers.taken = bytes.size();
  followers.implied_taken = node.store.implied_effects();
}

void take_command(NodeState& node, int database, Args args) {
  take_effects(node);
  add_to_unit(node.followers.unit, database, args);
}

void end_unit(NodeState& node) {
  take_effects(node);
  Followers& followers = node.followers;
  Followers::Unit& unit = followers.unit;
  if (unit.count == 0) return;
  Buffer bytes;
  if (unit.first_database != followers.database) append_select(bytes, unit.first_database);
  // Keys that expired on the way need no transaction.
  const bool is_transaction = unit.count > 1 && unit.count > unit.implied;
  if (is_transaction) append_command(bytes, {"MULTI"});
  bytes.append(unit.commands.view());
  if (is_transaction) append_command(bytes, {"EXEC"});
  followers.database = unit.database;
  const bool is_logged = unit.changes_data && node.durability.takes_writes();
  send_to_all(node, bytes.view(), is_logged ? node.durability.turn_sequence() : 0);
  unit.commands.clear();
  unit.count = unit.implied = 0;
  unit.changes_data = false;
}

void look_after_followers(NodeState& node) {
  Followers& followers = node.followers;
  if (followers.sessions.empty()) return;
  if (holds_too_much(node)) cut_off(node, *followers.transfer->session);
  const bool pings = node.now.steady_us >= followers.next_ping_us;
  if (pings) {
    followers.next_ping_us = node.now.steady_us + node.settings.repl_ping_replica_period * kSecondUs;
    Buffer ping;
    append_command(ping, {"PING"});
    send_to_all(node, ping.view(), 0);
  }
  for (Session* session : followers.sessions) {
    const Follower& follower = follower_of(*session);
    if (session->has(kClosing)) continue;
    // An empty line means: patience.
    if (pings && follower.phase == Follower::Phase::kQueued) push_bytes(node, *session, "\n");
    if (!is_dead(node, *session, follower)) continue;
    session->set(kAbortClose);
    close_session(node, *session, CloseWhen::kNow);
  }
}

}  // namespace quorate

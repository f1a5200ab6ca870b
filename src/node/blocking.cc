// Waiting and waking.
#include "node/blocking.h"

#include <algorithm>
#include <utility>

#include "commands/errors.h"
#include "node/execute.h"
#include "node/forward.h"
#include "node/input.h"
#include "node/output.h"

namespace quorate {

namespace {

StoredCommand stored(const Command& row, Args args) {
  StoredCommand command{.spec = row.spec, .row = row.index, .args = {}};
  command.args.reserve(args.size());
  for (const std::string_view arg : args) command.args.emplace_back(arg);
  return command;
}

// The waiting command as if it had been sent for this key alone: the key that became ready first is the one that is
// served, wherever it stands among the arguments.
std::vector<std::string_view> narrowed(const BlockedCommand& blocked, std::string_view key) {
  std::vector<std::string_view> views = blocked.command.views();
  const auto first = static_cast<std::ptrdiff_t>(blocked.request.first_key);
  const auto last = static_cast<std::ptrdiff_t>(blocked.request.last_key);
  if (first == last) return views;
  views.erase(views.begin() + first + 1, views.begin() + last + 1);
  views[static_cast<size_t>(first)] = key;
  const bool is_counted = blocked.command.spec->keys[0].find == KeySpec::Find::kCount;
  if (is_counted) views[static_cast<size_t>(first) - 1] = "1";
  return views;
}

// Runs the waiting command again; false if it still waits.
bool try_to_serve(NodeState& node, Session& session, std::string_view ready_key) {
  const BlockedCommand& blocked = *session.extras->blocked;
  Command& row = node.commands.at(blocked.command.row);
  const auto views = narrowed(blocked, ready_key);
  const int64_t begun_us = node.clock();
  node.buffers.lend(session.out);
  const size_t start = session.out.size();
  const int database = session.database;
  session.database = blocked.database;
  node.company.set_partition(node.store.partition_of(key_slot(ready_key)));
  const Key key = row.has_first_key ? node.store.make_key(views[1]) : Key{};
  const CallResult result = call(node, session, row, views, key, Origin::kWoken);
  session.database = database;
  if (result == CallResult::kWaits) return false;
  if (session.has(kForwarded)) node.forwarding->note_reply(session, session.out.view_from(start));
  count_call(node, row, blocked.command.views(), session, node.clock() - begun_us);
  return true;
}

void forget_deadline(NodeState& node, const Session& session) {
  const int64_t deadline_us = session.extras->blocked->deadline_us;
  if (deadline_us == kNever) return;
  auto [at, end] = node.block_deadlines.equal_range(deadline_us);
  while (at != end && at->second != session.id) ++at;
  if (at != end) node.block_deadlines.erase(at);
}

void go_on(NodeState& node, Session& session) {
  stop_waiting(node, session);
  if (session.once_levels.is_set()) session.set_once_levels({});
  queue_flush(node, session);
  resume_later(node, session);
}

}  // namespace

size_t StoredCommand::memory() const {
  size_t sum = sizeof(*this);
  for (const std::string& arg : args) sum += sizeof(std::string) + arg.size();
  return sum;
}

void block(NodeState& node, Session& session, const Command& row, Args args, const BlockRequest& request) {
  BlockedCommand blocked{.command = stored(row, args),
                         .database = session.database,
                         .request = request,
                         .deadline_us = kNever,
                         .keys = {}};
  for (size_t index = request.first_key; index <= request.last_key && index < args.size(); ++index) {
    const std::string_view key = args[index];
    if (std::find(blocked.keys.begin(), blocked.keys.end(), key) != blocked.keys.end()) continue;
    blocked.keys.emplace_back(key);
    node.waiters.add(session.database, key, &session);
  }
  if (request.timeout_ms > 0) {
    const int64_t room_ms = (kNever - node.now.steady_us) / 1000 - 1;
    blocked.deadline_us = node.now.steady_us + std::min(request.timeout_ms, room_ms) * 1000;
    node.block_deadlines.emplace(blocked.deadline_us, session.id);
  }
  session.more().blocked = std::move(blocked);
  session.set(kBlocked);
  ++node.blocked_count;
  node.update_observed();
}

void shorten_wait(NodeState& node, Session& session, int64_t by_ms) {
  BlockedCommand& blocked = *session.extras->blocked;
  if (blocked.deadline_us == kNever) return;
  forget_deadline(node, session);
  // At the earliest in the next turn.
  blocked.deadline_us = std::max(blocked.deadline_us - std::min(by_ms, blocked.deadline_us / 1000) * 1000, node.now.steady_us);
  node.block_deadlines.emplace(blocked.deadline_us, session.id);
}

void stop_waiting(NodeState& node, Session& session) {
  const BlockedCommand& blocked = *session.extras->blocked;
  for (const std::string& key : blocked.keys) node.waiters.remove(blocked.database, key, &session);
  forget_deadline(node, session);
  session.extras->blocked.reset();
  session.clear(kBlocked);
  --node.blocked_count;
  node.update_observed();
}

void unblock(NodeState& node, Session& session, Unblocked how) {
  node.buffers.lend(session.out);
  Reply reply(session.out, session.protocol);
  const BlockedCommand& blocked = *session.extras->blocked;
  Command& row = node.commands.at(blocked.command.row);
  if (how != Unblocked::kByTimeout) {
    ++row.failed;
    const bool is_moved = how == Unblocked::kByMove;
    reply_error(node, session, error_line(is_moved ? errors::unblocked_by_move() : errors::unblocked()));
  } else {
    blocked.request.on_timeout == BlockRequest::OnTimeout::kNull ? reply.null() : reply.null_array();
    // What it did not find may be in a write that is not durable yet.  In company all keys are of one partition.
    await_all_writes(node, session, node.store.partition_of(key_slot(blocked.keys.front())));
  }
  count_call(node, row, blocked.command.views(), session, 0);
  go_on(node, session);
}

void note_ready(NodeState& node, int database, std::string_view key) {
  if (node.waiters.find(database, key) == nullptr) return;
  auto entry = std::make_pair(database, std::string(key));
  if (!node.ready_set.insert(entry).second) return;
  node.ready_keys.push_back(std::move(entry));
}

void note_all_ready(NodeState& node, int database) {
  for (const std::string& key : node.waiters.keys_of(database)) note_ready(node, database, key);
}

void serve_ready_keys(NodeState& node) {
  if (node.flags & kNodeBusy) return;  // end_busy() does it
  // A command that is served can make other keys ready (BLMOVE): they come in the next round.
  while (!node.ready_keys.empty()) {
    const auto keys = std::exchange(node.ready_keys, {});
    node.ready_set.clear();
    for (const auto& [database, key] : keys) {
      const auto* waiting = node.waiters.find(database, key);
      if (waiting == nullptr) continue;
      const std::vector<Session*> in_order = *waiting;
      for (Session* session : in_order) {
        if (!session->has(kBlocked) || session->has(kClosing)) continue;
        const Entry* entry = node.store.database(database).find(node.store.make_key(key), Access::kPeek);
        if (entry == nullptr) break;
        const auto& wanted = session->extras->blocked->request.type;
        if (wanted && *wanted != entry->type()) continue;
        if (try_to_serve(node, *session, key)) go_on(node, *session);
      }
    }
  }
}

void expire_waiting(NodeState& node) {
  while (!node.block_deadlines.empty() && node.block_deadlines.begin()->first <= node.now.steady_us) {
    const auto first = node.block_deadlines.begin();
    Session* const session = node.sessions.find(first->second);
    CHECK(session != nullptr);
    CHECK(session->has(kBlocked));
    unblock(node, *session, Unblocked::kByTimeout);
  }
}

void unblock_if_waiting(NodeState& node, Session& session, Unblocked how) {
  if (session.has(kClosing)) return;
  if (session.has(kBlocked)) return unblock(node, session, how);
  if (session.has(kPostponed)) session.more().unblocked = how;
}

void postpone(NodeState& node, Session& session, const Command& row, Args args) {
  session.more().postponed = stored(row, args);
  session.set(kPostponed);
  node.postponed.push_back(&session);
  ++node.blocked_count;
}

bool pause_lasts(const NodeState& node) {
  return (node.flags & kNodePaused) != 0 && node.now.steady_us < node.pause_until_us;
}

void start_pause(NodeState& node, PauseKind kind, int64_t until_us) {
  // A running pause is never weakened or shortened.
  if (node.pause == PauseKind::kNone || kind == PauseKind::kAll) node.pause = kind;
  node.pause_until_us = std::max(node.pause_until_us, until_us);
  node.flags |= kNodePaused;
}

void end_pause(NodeState& node) {
  node.pause = PauseKind::kNone;
  node.pause_until_us = 0;
  node.flags &= ~kNodePaused;
  const auto sessions = std::exchange(node.postponed, {});
  for (Session* session : sessions) {
    session->clear(kPostponed);
    --node.blocked_count;
    if (session->has(kClosing)) continue;
    const StoredCommand command = std::move(*session->extras->postponed);
    session->extras->postponed.reset();
    const std::optional<Unblocked> unblocked = std::exchange(session->extras->unblocked, std::nullopt);
    const auto views = command.views();
    BatchClock clock(node, 1);
    node.buffers.lend(session->out);
    const Key key = views.size() > 1 && node.commands.at(command.row).has_first_key
                        ? node.store.make_key(views[1])
                        : Key{};
    execute(node, *session, node.commands.find(views[0]), views, key, clock);
    clock.finish();
    queue_flush(node, *session);
    if (!session->has(kStopsInput)) resume_later(node, *session);
    if (unblocked) unblock_if_waiting(node, *session, *unblocked);
  }
}

void answer_waiting(NodeState& node, uint64_t session_id, const Status& outcome) {
  Session* const session = node.sessions.find(session_id);
  if (session == nullptr || session->has(kClosing)) return;
  node.buffers.lend(session->out);
  if (outcome.ok()) {
    Reply(session->out, session->protocol).ok();
  } else {
    reply_error(node, *session, error_line(outcome.error()));
  }
  session->clear(kWaiting);
  queue_flush(node, *session);
  resume_later(node, *session);
}

void start_busy(NodeState& node, Session& session, int64_t duration_us) {
  node.busy_until_us = std::max(node.busy_until_us, node.now.steady_us + duration_us);
  node.flags |= kNodeBusy;
  node.slept_us += duration_us;
  if (node.in_transaction) return;
  session.set(kWaiting);
  node.busy_sessions.push_back(&session);
}

void end_busy(NodeState& node) {
  node.flags &= ~kNodeBusy;
  for (Session* session : std::exchange(node.busy_sessions, {})) session->clear(kWaiting);
  node.sessions.for_each_with_links([&](Session& session) {
    if (!session.in.empty()) resume_later(node, session);
    if (!session.out.empty()) queue_flush(node, session);
  });
  serve_ready_keys(node);
}

}  // namespace quorate

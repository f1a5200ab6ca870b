// The road of a command.
#include "node/execute.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "commands/errors.h"
#include "node/blocking.h"
#include "node/changes.h"
#include "node/followers.h"
#include "node/forward.h"
#include "node/host.h"
#include "node/memory_limit.h"
#include "node/output.h"
#include "node/publish.h"
#include "node/redact.h"
#include "node/reply_shape.h"
#include "node/routing.h"
#include "node/transactions.h"
#include "node/upkeep.h"

namespace quorate {

namespace {

constexpr uint32_t kNodeLookCloser =
    kNodeLoading | kNodePaused | kNodeWritesRefused | kNodeTooMuchUncommitted | kNodeMemoryLimited | kNodeBusy | kNodeHasLevels;
bool is_named(const Command& row, std::string_view name) { return row.spec->name == name; }

// A command that MULTI does not queue.
bool runs_inside_multi(const Command& row) {
  return is_named(row, "exec") || is_named(row, "discard") || is_named(row, "multi") ||
         is_named(row, "watch") || is_named(row, "quit") || is_named(row, "reset");
}

// What a subscriber on RESP2 may send.
bool allowed_while_subscribed(const Command& row) {
  return is_named(row, "ping") || is_named(row, "subscribe") || is_named(row, "ssubscribe") ||
         is_named(row, "sunsubscribe") || is_named(row, "psubscribe") || is_named(row, "unsubscribe") ||
         is_named(row, "punsubscribe") || is_named(row, "quit") || is_named(row, "reset");
}

// CLIENT REPLY OFF silences replies, not messages.
bool replies_with_messages(const Command& row) {
  return row.spec->group == Group::kPubsub && is_subscription(row);
}

bool arity_fits(const CommandSpec& spec, size_t count) {
  return spec.arity >= 0 ? count == static_cast<size_t>(spec.arity)
                         : count >= static_cast<size_t>(-spec.arity);
}

// The row that runs, or why there is none.  `known` is the row to blame.
Result<Command*> resolve(NodeState& node, Command* row, Args args) {
  if (row == nullptr) return errors::unknown_command(args[0], args.subspan(1));
  if (row->has_subcommands() && args.size() > 1) {
    Command* const sub = node.commands.find_subcommand(*row, args[1]);
    if (sub != nullptr) {
      row = sub;
    } else if (!row->has_handler()) {
      return errors::unknown_subcommand(row->spec->name, args[1]);
    }
  }
  if (!arity_fits(*row->spec, args.size()) || !row->has_handler()) {
    return errors::wrong_arity(row->spec->name);
  }
  return row;
}

void reject(NodeState& node, Session& session, Command* row, const Error& error) {
  const std::string line = error_line(error);
  if (row != nullptr) ++row->rejected;
  if (row != nullptr && is_named(*row, "exec")) {
    discard_transaction(node, session);
    reply_error(node, session, error_line(errors::exec_abort_because(line)));
    return;
  }
  if (session.has(kInMulti)) session.set(kMultiBroken);
  reply_error(node, session, line);
}

// A browser that a page has sent here speaks HTTP, where each line would be a command: nothing of a request of its is run (Redis does the same).
bool is_cross_protocol(std::string_view name) { return same_word(name, "post") || same_word(name, "host:"); }

void end_cross_protocol(NodeState& node, Session& session) {
  constexpr int64_t kSilenceUs = 60'000'000;
  close_session(node, session, CloseWhen::kNow);
  if (node.now.steady_us < node.next_cross_protocol_note_us) return;
  node.next_cross_protocol_note_us = node.now.steady_us + kSilenceUs;
  node.host.log(LogLevel::kWarning, "Possible SECURITY ATTACK detected: " + session.peer.address +
                                        " sends POST or Host: as a command, as a browser would (cross protocol scripting) -> connection closed");
}

// The flags that count for EXEC are those of what it will run.
uint32_t effective_flags(const Session& session, const Command& row) {
  uint32_t flags = row.spec->flags;
  if (is_named(row, "exec") && session.extras != nullptr) flags |= session.extras->queued_flags;
  return flags;
}

// Why the node does not run this command now.
std::optional<Error> refusal(NodeState& node, Session& session, const Command& row, Args args, const Key& first_key) {
  const uint32_t flags = effective_flags(session, row);
  if (session.has(kNeedsAuth) && (row.spec->flags & kNoAuth) == 0) return errors::no_auth();
  // In company whoever leads the partition decides (routing.h): there is the room, or is not.
  if ((node.flags & (kNodeMemoryLimited | kNodeInCompany)) == kNodeMemoryLimited) {
    // What MULTI queues takes memory too.
    const bool grows = (flags & kDenyOom) != 0 || (session.has(kInMulti) && !runs_inside_multi(row));
    if (auto error = check_memory(node, grows, args.size(), 0)) return error;
  }
  if (node.flags & (kNodeWritesRefused | kNodeTooMuchUncommitted)) {
    // In company it may run on a node that can write: routing decides.
    const bool writes_here = (flags & kWrite) != 0 && (node.flags & kNodeInCompany) == 0;
    const bool is_ping = (node.flags & kNodeWritesRefused) != 0 && is_named(row, "ping");
    if (writes_here || is_ping) return write_refusal(node);
  }
  if (session.has(kSubscribed) && session.protocol == Protocol::kResp2 && !allowed_while_subscribed(row)) {
    return errors::not_while_subscribed(row.spec->name);
  }
  if ((node.flags & kNodeLoading) && (flags & kLoading) == 0) return errors::loading();
  // Who is exempt from pauses must not be able to make use of it.
  if (session.has(kReplicaLink) && (flags & (kReadonly | kWrite | kMayReplicate)) != 0) {
    return errors::replica_touches_keys();
  }
  if (session.has(kInMulti) && (row.spec->flags & kNoMulti) != 0 && !runs_inside_multi(row)) {
    return errors::not_in_transaction();
  }
  // In company it goes by the partition (routing.h).
  const bool has_levels = session.has(kHasLevels) || (node.flags & kNodeHasLevels) != 0;
  if (has_levels && node.company.is_alone()) return node.company.level_refusal(session, flags, first_key.bytes, node.company.level_keys(row, args), 0);
  return std::nullopt;
}

bool is_paused(const NodeState& node, const Session& session, const Command& row) {
  if (!pause_lasts(node) || session.has(kReplicaLink)) return false;
  if (node.pause == PauseKind::kAll) return true;
  return (effective_flags(session, row) & (kWrite | kMayReplicate)) != 0;
}

void run(NodeState& node, Session& session, Command& row, Args args, const Key& first_key,
         BatchClock& clock) {
  ++node.statistics.commands_processed;
  if (clock.measures(row)) {
    const int64_t begun_us = clock.begin();
    if (call(node, session, row, args, first_key, Origin::kClient) == CallResult::kReplied) {
      clock.add_measured(row, args, session, begun_us);
    }
  } else if (call(node, session, row, args, first_key, Origin::kClient) == CallResult::kReplied) {
    clock.add_shared(row);
  }
  if (node.store.scope()) [[unlikely]]
    node.store.set_scope(std::nullopt);
}

// Returns false if the command was put off (paused, or queued by MULTI: then it was answered).
void execute_closely(NodeState& node, Session& session, Command* found, Args args, const Key& first_key,
                     BatchClock& clock) {
  if (found == nullptr && is_cross_protocol(args[0])) [[unlikely]]
    return end_cross_protocol(node, session);
  auto resolved = resolve(node, found, args);
  if (!resolved.ok()) {
    reject(node, session, found, resolved.error());
    return;
  }
  Command& row = *resolved.value();
  if (const auto error = refusal(node, session, row, args, first_key)) {
    reject(node, session, &row, *error);
    return;
  }
  if (is_paused(node, session, row)) {
    postpone(node, session, row, args);
    return;
  }
  if (session.has(kInMulti) && !runs_inside_multi(row)) {
    if (node.flags & kNodeInCompany) {
      if (const auto error = queue_refusal(node, session, *row.spec, args)) return reject(node, session, &row, *error);
    }
    queue_command(node, session, row, args);
    return;
  }
  if ((node.flags & kNodeInCompany) && route(node, session, row, args, first_key) == Road::kHandled) return;
  node.store.set_touching(!session.has(kNoTouch) || is_named(row, "touch"));
  // Nothing changes in a pause, not even by looking at a key whose time has passed.
  const bool may_change = !pause_lasts(node) || (effective_flags(session, row) & kReadonly) == 0;
  node.store.set_removing_expired(may_change);
  run(node, session, row, args, first_key, clock);
  node.store.set_touching(true);
  node.store.set_removing_expired(true);
}

void after_write(NodeState& node, Session& session, const Command& row, Args args, const Key& first_key,
                 size_t own_effects_before) {
  Store& store = node.store;
  if (!store.effects().collecting()) return;
  Key key = first_key;
  if (key.bytes.data() == nullptr && args.size() > 1) key = store.make_key(args[1]);
  // A node command says itself what it did.
  const bool is_silent = store.effects().count() - store.implied_effects() == own_effects_before;
  if (is_silent && row.spec->run != nullptr) {
    store.effects().add(session.database, key, args);
  }
  if (node.flags & kNodeInCompany) {
    node.company.after_write(session, row.has_one_key ? key : Key{}, node.company.level_keys(row, args));
    return;
  }
  // Without an effect in this turn there will be no record to wait for (DEBUG RELOAD).
  if (!node.durability.takes_writes() || store.effects().count() == 0) return;
  node.durability.note_write(row.has_one_key ? key : Key{});
  await(node, session, {kLogStream, node.durability.turn_sequence()});
}

// What the command passed over since its time had come is not there after a restart either.
void after_time(NodeState& node, Session& session) {
  if (node.flags & kNodeInCompany) {
    node.company.after_time(session);
    return;
  }
  await(node, session, {kLogStream, node.durability.record_time()});
}

void after_read(NodeState& node, Session& session, const Command& row, const Key& first_key) {
  await(node, session, {kLogStream, node.durability.needed_by(row.has_one_key ? first_key : Key{})});
}

}  // namespace

// ---- time -------------------------------------------------------------------------------------------

void BatchClock::add_measured(Command& row, Args args, Session& session, int64_t begun_us) {
  const int64_t duration_us = node_.clock() - begun_us;
  measured_us_ += duration_us;
  ++count_;
  count_call(node_, row, args, session, duration_us);
}

void BatchClock::finish() {
  if (shared_count_ == 0) return;
  const int64_t now_us = node_.clock();
  const int64_t elapsed_us = now_us - started_us_ - measured_us_;
  const uint64_t nanoseconds =
      (elapsed_us <= 0 ? 0 : static_cast<uint64_t>(elapsed_us) * 1000) / shared_count_;
  const size_t bucket = LatencyHistogram::bucket_of(nanoseconds);
  const bool tracks = node_.settings.latency_tracking;
  for (size_t index = 0; index < shared_count_; ++index) {
    Command& row = *shared_[index];
    ++row.calls;
    row.nanoseconds += nanoseconds;
    if (!tracks) continue;
    if (row.latency == nullptr) row.latency = std::make_unique<LatencyHistogram>();
    row.latency->add_to(bucket);
  }
  shared_count_ = 0;
  started_us_ = now_us;
  measured_us_ = 0;
}

void count_call(NodeState& node, Command& row, Args args, Session& session, int64_t duration_us) {
  if (duration_us < 0) duration_us = 0;
  duration_us += std::exchange(node.slept_us, 0);
  ++row.calls;
  row.nanoseconds += static_cast<uint64_t>(duration_us) * 1000;
  const NodeSettings& settings = node.settings;
  if (settings.latency_tracking) {
    if (row.latency == nullptr) row.latency = std::make_unique<LatencyHistogram>();
    row.latency->add(static_cast<uint64_t>(duration_us) * 1000);
  }
  if (settings.slowlog_log_slower_than >= 0 && duration_us >= settings.slowlog_log_slower_than &&
      (row.spec->flags & kSkipSlowlog) == 0) [[unlikely]] {
    node.slow_log.add(node.now.unix_ms / 1000, duration_us, shown_args(*row.spec, args), session.peer.address,
                      session.name(), settings.slowlog_max_len);
  }
  if (settings.latency_monitor_threshold > 0 &&
      duration_us / 1000 >= settings.latency_monitor_threshold) [[unlikely]] {
    node.latency_monitor.add((row.spec->flags & kFast) != 0 ? "fast-command" : "command",
                             node.now.unix_ms / 1000, duration_us / 1000);
  }
}

// ---- the road -----------------------------------------------------------------------------------------

void reply_error(NodeState& node, Session& session, std::string_view line) {
  node.statistics.count_error(line);
  Reply(session.out, session.protocol).error(line);
}

void execute(NodeState& node, Session& session, Command* row, Args args, const Key& first_key,
             BatchClock& clock) {
  const size_t start = session.out.size();
  const auto note_reply = [&] {
    if (session.has(kForwarded) && session.out.size() != start) node.forwarding->note_reply(session, session.out.view_from(start));
  };
  if (((session.flags & (kLookCloser & ~kForwarded)) | (node.flags & kNodeLookCloser)) == 0) [[likely]] {
    if (row != nullptr && !row->has_subcommands() && arity_fits(*row->spec, args.size())) [[likely]] {
      if ((node.flags & kNodeInCompany) && route(node, session, *row, args, first_key) == Road::kHandled) return note_reply();
      run(node, session, *row, args, first_key, clock);
      return note_reply();
    }
    execute_closely(node, session, row, args, first_key, clock);
    return note_reply();
  }
  const GapId first_gap = session.holds.next_gap();
  const bool was_in_multi = session.has(kInMulti);
  if (session.has(kReplySkipNext)) {
    session.clear(kReplySkipNext);
    session.set(kReplySkipNow);
  }
  execute_closely(node, session, row, args, first_key, clock);
  note_reply();
  if (session.once_levels.is_set() && row != nullptr) [[unlikely]] {
    const bool is_data = (row->spec->flags & (kReadonly | kWrite)) != 0 && !was_in_multi;
    // What waits for its key, or for the end of a pause, is not over yet.
    if ((is_data || is_named(*row, "exec")) && !session.has(kBlocked | kPostponed)) session.set_once_levels({});
  }
  const bool silent = session.has(kReplySkipNow | kReplyOff);
  session.clear(kReplySkipNow);
  if (silent && (row == nullptr || !replies_with_messages(*row))) {
    session.out.truncate(start);
    session.holds.drop_gaps_from(first_gap, start);
  }
}

CallResult call(NodeState& node, Session& session, Command& row, Args args, const Key& first_key,
                Origin origin) {
  const CommandSpec& spec = *row.spec;
  Store& store = node.store;
  session.last_command = &spec;
  const size_t start = session.out.size();
  const uint64_t dirty = store.dirty();
  const size_t own_effects = store.effects().count() - store.implied_effects();
  const bool is_unit = origin != Origin::kTransaction && !node.in_transaction;
  // A command that waited, or one of a transaction, may be of another partition than the last request.
  if (first_key.bytes.data() != nullptr) node.company.set_partition(store.partition_of(first_key.slot));
  // Of partitions each reply has needs of its own: one that is stalled or lost concerns no other's.
  if (!session.needs.others.empty() && is_unit) [[unlikely]]
    bind_needs(node, session);
  if ((node.flags & kNodeFollowed) && is_unit) [[unlikely]]
    end_unit(node);  // of what went before: keys evicted, say
  Reply reply(session.out, session.protocol);
  Status status;
  bool waits = false;
  if (spec.run != nullptr) [[likely]] {
    CommandContext cx{.store = store,
                      .db = store.database(session.database),
                      .args = args,
                      .spec = spec,
                      .now = node.now.unix_ms,
                      .reply = reply,
                      .settings = node.store_settings,
                      .may_block = origin != Origin::kTransaction,
                      .first_key = first_key};
    status = spec.run(cx);
    if (cx.block) [[unlikely]] {
      DCHECK(session.out.size() == start);
      waits = true;
      if (origin == Origin::kClient) block(node, session, row, args, *cx.block);
    } else {
      DCHECK(!status.ok() || is_one_value(session.out.view_from(start)));
    }
  } else if (row.is_help()) {
    write_help(*row.row->container, reply);
  } else {
    NodeContext cx{.node = node,
                   .session = session,
                   .args = args,
                   .spec = spec,
                   .reply = reply,
                   .first_key = first_key};
    status = spec.run_on_node(cx);
    if (spec.flags & kAdmin) settings_changed(node);
  }
  // Behind the handler, so that EXEC comes after what it ran.
  if ((node.flags & kNodeMonitored) && origin != Origin::kWoken) [[unlikely]]
    feed_monitors(node, session, spec, args);
  if (!status.ok()) [[unlikely]] {
    session.out.truncate(start);
    ++row.failed;
    reply_error(node, session, error_line(status.error()));
  }
  if (store.dirty() != dirty) {
    after_write(node, session, row, args, first_key, own_effects);
  } else if ((spec.flags & (kReadonly | kWrite)) != 0) {
    // PING, INFO and the like tell nothing of the data: they answer while the disk does not.
    if (node.flags & kNodeInCompany) {
      node.company.after_read(session, row.has_one_key ? first_key : Key{}, node.company.level_keys(row, args));
    } else if (node.durability.has_pending()) {
      after_read(node, session, row, first_key);
    }
  }
  if (store.take_met_past()) [[unlikely]]
    after_time(node, session);
  if ((node.flags & kNodeFollowed) && is_unit) [[unlikely]]
    end_unit(node);
  if (!store.changes().empty()) [[unlikely]]
    announce_changes(node);
  if (!node.ready_keys.empty() && origin == Origin::kClient && !node.in_transaction) [[unlikely]]
    serve_ready_keys(node);
  return waits ? CallResult::kWaits : CallResult::kReplied;
}

void await_all_writes(NodeState& node, Session& session) {
  if (node.flags & kNodeInCompany) return node.company.await_all(session);
  if (!node.durability.has_pending()) return;
  await(node, session, {kLogStream, node.durability.needed_by(Key{})});
}

void await_all_writes(NodeState& node, Session& session, uint32_t partition) {
  if (node.flags & kNodeInCompany) return node.company.await_all_of(session, partition);
  await_all_writes(node, session);
}

}  // namespace quorate

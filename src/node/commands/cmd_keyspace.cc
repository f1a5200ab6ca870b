// Commands on whole databases (DBSIZE, FLUSHDB, FLUSHALL, SWAPDB), and MONITOR.
#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/blocking.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/publish.h"
#include "node/transactions.h"

namespace quorate {

namespace {

Status dbsize(NodeContext& cx) {
  cx.reply.integer(static_cast<int64_t>(cx.db().size()));
  return done();
}

// The memory is freed in small steps either way, so SYNC and ASYNC mean the same.
Status check_flush_mode(const NodeContext& cx) {
  if (cx.size() > 2) return ErrorCode::kSyntax;
  if (cx.size() == 2 && !same_word(cx[1], "async") && !same_word(cx[1], "sync")) return ErrorCode::kSyntax;
  return done();
}

void log_for_all_keys(NodeContext& cx, int database, std::initializer_list<std::string_view> args) {
  cx.node.store.effects().add(database, Key{}, args);
}

// In company of the partition that the command runs for (routing.h): each has a log of its own.
void clear_database(NodeContext& cx, int database) {
  Store& store = cx.node.store;
  touch_all_watched(cx.node, database, nullptr);
  const size_t removed = store.database(database).clear();
  if (store.scope() && removed != 0) store.effects().add_clear(database, *store.scope());
}

Status flushdb(NodeContext& cx) {
  TRY(check_flush_mode(cx));
  clear_database(cx, cx.session.database);
  if (!cx.node.store.scope()) {
    cx.node.store.add_dirty(1);
    log_for_all_keys(cx, cx.session.database, {"FLUSHDB"});
  }
  cx.reply.ok();
  return done();
}

Status flushall(NodeContext& cx) {
  TRY(check_flush_mode(cx));
  for (int database = 0; database < cx.node.store.database_count(); ++database) clear_database(cx, database);
  if (!cx.node.store.scope()) {
    cx.node.store.add_dirty(1);
    log_for_all_keys(cx, cx.session.database, {"FLUSHALL"});
  }
  cx.reply.ok();
  return done();
}

Status swapdb(NodeContext& cx) {
  if (!cx.node.company.is_alone()) return errors::not_in_company("SWAPDB");
  const int count = cx.node.store.database_count();
  const auto first = parse_int(cx[1]);
  if (!first || *first < INT32_MIN || *first > INT32_MAX) return errors::invalid_first_database();
  const auto second = parse_int(cx[2]);
  if (!second || *second < INT32_MIN || *second > INT32_MAX) return errors::invalid_second_database();
  if (*first < 0 || *first >= count || *second < 0 || *second >= count) {
    return errors::database_out_of_range();
  }
  const auto one = static_cast<int>(*first);
  const auto other = static_cast<int>(*second);
  if (one != other) {
    Store& store = cx.node.store;
    touch_all_watched(cx.node, one, &store.database(other));
    touch_all_watched(cx.node, other, &store.database(one));
    store.swap_databases(one, other);
    note_all_ready(cx.node, one);
    note_all_ready(cx.node, other);
  }
  cx.node.store.add_dirty(1);
  log_for_all_keys(cx, cx.session.database, {"SWAPDB", cx[1], cx[2]});
  cx.reply.ok();
  return done();
}

Status monitor(NodeContext& cx) {
  if (cx.node.in_transaction) return errors::no_blocking_allowed("MONITOR");
  if (!cx.session.has(kMonitoring)) {
    cx.session.set(kMonitoring);
    cx.node.monitors.push_back(&cx.session);
    cx.node.flags |= kNodeMonitored;
  }
  cx.reply.ok();
  return done();
}

constexpr std::string_view kFlushHistory =
    "4.0.0: Takes ASYNC.; 6.2.0: Takes SYNC.";

constexpr CommandSpec kTable[] = {
    {.name = "dbsize",
     .arity = 1,
     .flags = kReadonly | kFast,
     .summary = "Counts the keys of the database.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kServer,
     .tips = "request_policy:all_shards,response_policy:agg_sum",
     .acl = "keyspace",
     .run_on_node = dbsize},
    {.name = "flushall",
     .arity = -1,
     .flags = kWrite,
     .syntax = "[ASYNC | SYNC]",
     .summary = "Removes all keys of all databases.",
     .complexity = "O(1); memory is freed later in small steps",
     .since = "1.0.0",
     .history = kFlushHistory,
     .group = Group::kServer,
     .tips = "request_policy:all_shards,response_policy:all_succeeded",
     .acl = "keyspace,dangerous",
     .run_on_node = flushall},
    {.name = "flushdb",
     .arity = -1,
     .flags = kWrite,
     .syntax = "[ASYNC | SYNC]",
     .summary = "Removes all keys of the database.",
     .complexity = "O(1); memory is freed later in small steps",
     .since = "1.0.0",
     .history = kFlushHistory,
     .group = Group::kServer,
     .tips = "request_policy:all_shards,response_policy:all_succeeded",
     .acl = "keyspace,dangerous",
     .run_on_node = flushdb},
    {.name = "monitor",
     .arity = 1,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .summary = "Shows every command that the server runs.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kServer,
     .run_on_node = monitor},
    {.name = "swapdb",
     .arity = 3,
     .flags = kWrite | kFast,
     .syntax = "index1:int index2:int",
     .summary = "Exchanges two databases.",
     .complexity = "O(N) in the clients that watch or wait for keys of either",
     .since = "4.0.0",
     .group = Group::kServer,
     .acl = "keyspace,dangerous",
     .run_on_node = swapdb},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> keyspace_commands() { return kTable; }

}  // namespace quorate

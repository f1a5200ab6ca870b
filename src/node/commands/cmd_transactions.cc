// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/transactions.h"

namespace quorate {

namespace {

Status multi(NodeContext& cx) {
  if (cx.session.has(kInMulti)) return errors::nested_multi();
  cx.session.set(kInMulti);
  cx.reply.ok();
  return done();
}

Status discard(NodeContext& cx) {
  if (!cx.session.has(kInMulti)) return errors::discard_without_multi();
  discard_transaction(cx.node, cx.session);
  cx.reply.ok();
  return done();
}

Status watch_keys(NodeContext& cx) {
  if (cx.session.has(kInMulti)) return errors::watch_inside_multi();
  // Once a watched key has changed, EXEC fails whatever else is watched.
  if (!cx.session.has(kWatchBroken)) {
    for (size_t index = 1; index < cx.size(); ++index) watch(cx.node, cx.session, cx[index]);
  }
  cx.reply.ok();
  return done();
}

Status unwatch(NodeContext& cx) {
  unwatch_all(cx.node, cx.session);
  cx.session.clear(kWatchBroken);
  cx.reply.ok();
  return done();
}

Status exec(NodeContext& cx) { return run_transaction(cx); }

constexpr uint32_t kCommon = kNoScript | kLoading | kStale | kFast | kAllowBusy;

constexpr CommandSpec kTable[] = {
    {.name = "discard",
     .arity = 1,
     .flags = kCommon,
     .summary = "Forgets the queued commands and ends the transaction.",
     .complexity = "O(N) in the number of queued commands",
     .since = "2.0.0",
     .group = Group::kTransactions,
     .run_on_node = discard},
    {.name = "exec",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kSkipSlowlog,
     .summary = "Runs the queued commands, nothing in between.",
     .complexity = "Depends on commands in the transaction",
     .since = "1.2.0",
     .group = Group::kTransactions,
     .run_on_node = exec},
    {.name = "multi",
     .arity = 1,
     .flags = kCommon,
     .summary = "Begins a transaction: what follows is queued.",
     .complexity = "O(1)",
     .since = "1.2.0",
     .group = Group::kTransactions,
     .run_on_node = multi},
    {.name = "unwatch",
     .arity = 1,
     .flags = kCommon,
     .summary = "Watches nothing any more.",
     .complexity = "O(1)",
     .since = "2.2.0",
     .group = Group::kTransactions,
     .run_on_node = unwatch},
    {.name = "watch",
     .arity = -2,
     .flags = kCommon,
     .keys = {key_range(kKeyReadOnly, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Lets the next EXEC fail if one of the keys is changed before.",
     .complexity = "O(1) for every key.",
     .since = "2.2.0",
     .group = Group::kTransactions,
     .run_on_node = watch_keys},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> transaction_commands() { return kTable; }

}  // namespace quorate

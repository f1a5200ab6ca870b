// SLOWLOG: the commands that took long.
#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"

namespace quorate {
namespace {

constexpr int64_t kDefaultCount = 10;

Status slowlog_get(NodeContext& cx) {
  if (cx.size() > 3) return errors::subcommand_syntax("slowlog", cx[1]);
  int64_t count = kDefaultCount;
  if (cx.size() == 3) {
    const auto wanted = parse_int(cx[2]);
    if (!wanted || *wanted < -1) return errors::slowlog_count();
    count = *wanted;
  }
  const auto& entries = cx.node.slow_log.entries();
  size_t shown = entries.size();
  if (count >= 0 && static_cast<uint64_t>(count) < shown) shown = static_cast<size_t>(count);
  cx.reply.array(shown);
  for (size_t index = 0; index < shown; ++index) {
    const SlowLog::Entry& entry = entries[index];
    cx.reply.array(6);
    cx.reply.integer(entry.id);
    cx.reply.integer(entry.unix_s);
    cx.reply.integer(entry.duration_us);
    cx.reply.array(entry.args.size());
    for (const std::string& arg : entry.args) cx.reply.bulk(arg);
    cx.reply.bulk(entry.address);
    cx.reply.bulk(entry.name);
  }
  return done();
}

Status slowlog_len(NodeContext& cx) {
  cx.reply.integer(static_cast<int64_t>(cx.node.slow_log.entries().size()));
  return done();
}

Status slowlog_reset(NodeContext& cx) {
  cx.node.slow_log.reset();
  cx.reply.ok();
  return done();
}

constexpr uint32_t kFlags = kAdmin | kLoading | kStale;

constexpr CommandSpec kTable[] = {
    {.name = "slowlog|get", .arity = -2, .flags = kFlags, .syntax = "[count:int]",
     .summary = "Returns the newest entries of the slow log; -1 for all.",
     .complexity = "O(N) in the entries returned", .since = "2.2.12",
     .history = "4.0.0: Address and name of the client are told too.", .group = Group::kServer,
     .tips = "request_policy:all_nodes,nondeterministic_output", .run_on_node = slowlog_get},
    {.name = "slowlog|help", .arity = 2, .flags = kLoading | kStale,
     .summary = "Lists the subcommands of SLOWLOG.", .complexity = "O(1)", .since = "6.2.0",
     .group = Group::kServer},
    {.name = "slowlog|len", .arity = 2, .flags = kFlags, .summary = "Returns the number of entries in the slow log.",
     .complexity = "O(1)", .since = "2.2.12", .group = Group::kServer,
     .tips = "request_policy:all_nodes,response_policy:agg_sum,nondeterministic_output",
     .run_on_node = slowlog_len},
    {.name = "slowlog|reset", .arity = 2, .flags = kFlags, .summary = "Empties the slow log.",
     .complexity = "O(N) in the entries removed", .since = "2.2.12", .group = Group::kServer,
     .tips = "request_policy:all_nodes,response_policy:all_succeeded", .run_on_node = slowlog_reset},
};
static_assert(well_formed(kTable), "cmd_slowlog.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> slowlog_commands() { return kTable; }

}  // namespace quorate

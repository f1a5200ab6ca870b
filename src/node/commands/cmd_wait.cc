// WAIT and WAITAOF: how many copies there are of what the connection has written.
#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/persistence.h"
#include "node/waits.h"

namespace quorate {

namespace {

Result<int64_t> timeout_at(const NodeContext& cx, size_t index) {
  const auto timeout_ms = parse_int(cx[index]);
  if (!timeout_ms) return errors::timeout_not_integer();
  if (*timeout_ms < 0) return errors::timeout_negative();
  return *timeout_ms;
}

Status wait(NodeContext& cx) {
  WaitGoal goal;
  const bool is_named = same_word(cx[1], "quorum") || same_word(cx[1], "all");
  if (is_named) {
    goal.level = *parse_write_level(cx[1]);
  } else {
    TRY(goal.others, cx.integer(1));
  }
  TRY(const int64_t timeout_ms, timeout_at(cx, 2));
  begin_wait(cx.node, cx.session, goal, timeout_ms);
  return done();
}

Status wait_aof(NodeContext& cx) {
  WaitGoal goal{.kind = WaitGoal::Kind::kSynced, .level = {}};
  TRY(goal.synced_here, cx.integer(1));
  if (goal.synced_here < 0 || goal.synced_here > 1) return errors::value_between_as_valkey(0, 1);
  const auto others = parse_int(cx[2]);
  if (!others || *others < 0) return ErrorCode::kNotPositive;
  goal.others = *others;
  TRY(const int64_t timeout_ms, timeout_at(cx, 3));
  if (goal.synced_here > 0 && !keeps_data_in_log(cx.node)) return errors::wait_without_log();
  begin_wait(cx.node, cx.session, goal, timeout_ms);
  return done();
}

constexpr std::string_view kTips = "request_policy:all_shards,response_policy:agg_min";

constexpr CommandSpec kTable[] = {
    {.name = "wait", .arity = 3, .flags = kNoScript, .syntax = "numreplicas:int timeout:int",
     .summary = "Waits until so many other copies hold what the connection has written; also takes `quorum` and `all`.",
     .complexity = "O(N) in the partitions that the connection has written to", .since = "3.0.0", .group = Group::kGeneric,
     .tips = kTips, .acl = "-keyspace,connection", .run_on_node = wait},
    {.name = "waitaof", .arity = 4, .flags = kNoScript, .syntax = "numlocal:int numreplicas:int timeout:int",
     .summary = "Waits until the leader and so many other copies have synced what the connection has written.",
     .complexity = "O(N) in the partitions that the connection has written to", .since = "7.2.0", .group = Group::kGeneric,
     .tips = kTips, .acl = "-keyspace,connection", .run_on_node = wait_aof},
};
static_assert(well_formed(kTable), "cmd_wait.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> wait_commands() { return kTable; }

}  // namespace quorate

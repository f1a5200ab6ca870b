// Saving and copying out: SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, SYNC with REPLCONF.
#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/host.h"
#include "node/persistence.h"

namespace quorate {

namespace {

bool is_saving(const Persistence& state) {
  return state.job_runs && state.job.kind() == SnapshotJob::Kind::kRdb;
}

Status save(NodeContext& cx) {
  Persistence& state = cx.node.persistence;
  if (is_saving(state)) return errors::background_save_running();
  state.save_wanted = true;
  state.save_waiters.push_back(cx.session.id);
  cx.session.set(kWaiting);
  return done();
}

Status bgsave(NodeContext& cx) {
  Persistence& state = cx.node.persistence;
  if (cx.size() > 2 || (cx.size() == 2 && !same_word(cx[1], "schedule"))) return ErrorCode::kSyntax;
  if (is_saving(state)) return errors::background_save_running();
  state.save_wanted = true;
  cx.reply.simple(state.job_runs || state.stream ? "Background saving scheduled" : "Background saving started");
  return done();
}

Status bgrewriteaof(NodeContext& cx) {
  Persistence& state = cx.node.persistence;
  if (state.job_runs && !is_saving(state)) return errors::log_rewrite_running();
  if (!cx.node.durability.keeps_log()) {
    cx.node.host.log(LogLevel::kNotice, "BGREWRITEAOF, but no log is kept (appendonly no) -> nothing to rewrite");
  } else {
    state.rewrite_wanted = true;
  }
  cx.reply.simple(state.job_runs || state.stream ? "Background append only file rewriting scheduled"
                                                 : "Background append only file rewriting started");
  return done();
}

Status lastsave(NodeContext& cx) {
  cx.reply.integer(cx.node.persistence.facts.last_save_unix_s);
  return done();
}

Status replconf(NodeContext& cx) {
  if (cx.size() % 2 == 0) return ErrorCode::kSyntax;
  for (size_t index = 1; index < cx.size(); index += 2) {
    if (same_word(cx[index], "capa") && same_word(cx[index + 1], "eof")) cx.session.set(kTakesEofMark);
  }
  cx.reply.ok();
  return done();
}

Status sync(NodeContext& cx) {
  if (cx.node.in_transaction) return errors::no_blocking_allowed("SYNC");
  if (cx.session.has(kReplicaLink)) return errors::same_client_is_replica();
  if (!cx.session.has(kTakesEofMark)) return errors::sync_needs_eof();
  begin_stream(cx.node, cx.session);
  return done();
}

constexpr uint32_t kSaving = kAdmin | kNoScript | kNoAsyncLoading;

constexpr CommandSpec kTable[] = {
    {.name = "bgrewriteaof",
     .arity = 1,
     .flags = kSaving,
     .summary = "Replaces the log by a snapshot of what it led to, in the background.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kServer,
     .run_on_node = bgrewriteaof},
    {.name = "bgsave",
     .arity = -1,
     .flags = kSaving,
     .syntax = "[SCHEDULE]",
     .summary = "Writes all data to the RDB file, in the background.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .history = "3.2.2: Takes SCHEDULE.",
     .group = Group::kServer,
     .run_on_node = bgsave},
    {.name = "lastsave",
     .arity = 1,
     .flags = kLoading | kStale | kFast,
     .summary = "Returns when the last save succeeded, in Unix seconds.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kServer,
     .tips = "nondeterministic_output",
     .acl = "admin,dangerous",
     .run_on_node = lastsave},
    {.name = "replconf",
     .arity = -1,
     .flags = kAdmin | kNoScript | kLoading | kStale | kAllowBusy,
     .summary = "Tells what the receiver of a SYNC understands.",
     .complexity = "O(1)",
     .since = "3.0.0",
     .group = Group::kServer,
     .irregular_arity = true,
     .run_on_node = replconf},
    {.name = "save",
     .arity = 1,
     .flags = kSaving | kNoMulti,
     .summary = "Writes all data to the RDB file and answers when it is durable.",
     .complexity = "O(N) in the number of keys",
     .since = "1.0.0",
     .group = Group::kServer,
     .run_on_node = save},
    {.name = "sync",
     .arity = 1,
     .flags = kSaving | kNoMulti,
     .summary = "Sends all data as an RDB file.",
     .complexity = "O(N) in the number of keys",
     .since = "1.0.0",
     .group = Group::kServer,
     .run_on_node = sync},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> persistence_commands() { return kTable; }

}  // namespace quorate

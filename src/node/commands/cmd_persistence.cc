// Saving and copying out: SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, SYNC and PSYNC with REPLCONF.
#include <algorithm>
#include <memory>

#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/followers.h"
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
  cx.reply.simple(state.job_runs || cx.node.followers.transfer ? "Background saving scheduled" : "Background saving started");
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
  cx.reply.simple(state.job_runs || cx.node.followers.transfer ? "Background append only file rewriting scheduled"
                                                 : "Background append only file rewriting started");
  return done();
}

Status lastsave(NodeContext& cx) {
  cx.reply.integer(cx.node.persistence.facts.last_save_unix_s);
  return done();
}

// The host name of a replica, as long as DNS allows.
constexpr size_t kAddressMax = 255;

Status set_file_filter(Follower& follower, std::string_view names) {
  follower.wants_no_data = true;
  for (size_t at = 0; at < names.size();) {
    const size_t end = std::min(names.find(' ', at), names.size());
    const std::string_view name = names.substr(at, end - at);
    at = end + 1;
    if (!name.empty() && !same_word(name, "functions")) return errors::bad_file_filter(name);
  }
  return done();
}

Status set_replica_option(NodeContext& cx, size_t index) {
  Follower& follower = *cx.session.extras->follower;
  const std::string_view option = cx[index];
  const std::string_view value = cx[index + 1];
  if (same_word(option, "listening-port")) {
    TRY(follower.listening_port, cx.integer(index + 1));
  } else if (same_word(option, "ip-address")) {
    if (value.size() > kAddressMax) return errors::replica_address_too_long(value.size());
    follower.address = value;
  } else if (same_word(option, "capa")) {
    if (same_word(value, "eof")) follower.takes_end_mark = true;
  } else if (same_word(option, "rdb-only")) {
    TRY(const int64_t only, cx.integer(index + 1));
    if (only < 0 || only > 1) return errors::value_between(0, 1);
    follower.wants_file_only = only == 1;
  } else if (same_word(option, "rdb-filter-only")) {
    return set_file_filter(follower, value);
  } else {
    return errors::unknown_replconf(option);
  }
  return done();
}

Status replconf(NodeContext& cx) {
  if (cx.size() % 2 == 0) return ErrorCode::kSyntax;
  SessionExtras& more = cx.session.more();
  if (more.follower == nullptr) more.follower = std::make_unique<Follower>();
  for (size_t index = 1; index < cx.size(); index += 2) {
    // These two are not answered.
    if (same_word(cx[index], "getack")) return done();
    if (same_word(cx[index], "ack")) {
      const auto offset = parse_int(cx[index + 1]);
      if (offset && *offset >= 0 && cx.session.has(kReplicaLink)) {
        acknowledge(cx.node, cx.session, static_cast<uint64_t>(*offset));
      }
      return done();
    }
    TRY(set_replica_option(cx, index));
  }
  cx.reply.ok();
  return done();
}

// Not answered but by the file.
Status follow(NodeContext& cx) {
  if (!cx.node.company.is_alone()) return errors::not_in_company("SYNC");
  if (cx.session.pending_output() != 0) return errors::sync_with_pending_output();
  SessionExtras& more = cx.session.more();
  if (more.follower == nullptr) more.follower = std::make_unique<Follower>();
  if (more.follower->wants_no_data && !more.follower->takes_end_mark) return errors::filter_needs_end_mark();
  begin_following(cx.node, cx.session);
  return done();
}

Status sync(NodeContext& cx) {
  if (cx.session.has(kReplicaLink | kMonitoring)) return done();
  return follow(cx);
}

Status psync(NodeContext& cx) {
  if (cx.session.has(kReplicaLink | kMonitoring)) return done();
  if (cx.session.pending_output() != 0) return errors::sync_with_pending_output();
  TRY(cx.integer(2));
  TRY(follow(cx));
  cx.session.extras->follower->sent_psync = true;
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
    {.name = "psync",
     .arity = -3,
     .flags = kSaving | kNoMulti,
     .syntax = "replicationid offset:int",
     .summary = "Sends all data as an RDB file, and then every change.",
     .complexity = "O(N) in the number of keys",
     .since = "2.8.0",
     .group = Group::kServer,
     .irregular_arity = true,
     .run_on_node = psync},
    {.name = "replconf",
     .arity = -1,
     .flags = kAdmin | kNoScript | kLoading | kStale | kAllowBusy,
     .summary = "Tells what the sender of SYNC or PSYNC understands, and how far it has got.",
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
     .summary = "Sends all data as an RDB file, and then every change.",
     .complexity = "O(N) in the number of keys",
     .since = "1.0.0",
     .group = Group::kServer,
     .run_on_node = sync},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> persistence_commands() { return kTable; }

}  // namespace quorate

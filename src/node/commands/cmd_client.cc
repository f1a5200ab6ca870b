// CLIENT: looking at connections, naming them, silencing, pausing, unblocking, killing them.
#include <algorithm>

#include "commands/errors.h"
#include "commands/syntax.h"
#include "commands/table.h"
#include "node/blocking.h"
#include "node/client_line.h"
#include "node/company.h"
#include "node/commands/node_families.h"
#include "node/commands/session_words.h"
#include "node/context.h"
#include "node/forward.h"
#include "node/output.h"
#include "node/waits.h"

namespace quorate {

namespace {

constexpr VerbatimFormat kText = VerbatimFormat::kText;

Status client_id(NodeContext& cx) {
  cx.reply.integer(static_cast<int64_t>(cx.session.id));
  return done();
}

Status client_getname(NodeContext& cx) {
  if (cx.session.name().empty()) {
    cx.reply.null();
  } else {
    cx.reply.bulk(cx.session.name());
  }
  return done();
}

Status client_setname(NodeContext& cx) {
  if (!is_session_word(cx[2])) return errors::invalid_client_name();
  cx.session.more().name = cx[2];
  cx.reply.ok();
  return done();
}

Status client_setinfo(NodeContext& cx) {
  const bool is_name = same_word(cx[2], "lib-name");
  if (!is_name && !same_word(cx[2], "lib-ver")) return errors::unrecognized_option(cx[2]);
  if (!is_session_word(cx[3])) return errors::invalid_library_word(is_name ? "lib-name" : "lib-ver");
  SessionExtras& more = cx.session.more();
  (is_name ? more.library_name : more.library_version) = cx[3];
  cx.reply.ok();
  return done();
}

Status client_info(NodeContext& cx) {
  cx.reply.verbatim(kText, client_line(cx.node, cx.session, cx.session) + "\n");
  return done();
}

Status client_list(NodeContext& cx) {
  std::string text;
  if (cx.size() == 4 && same_word(cx[2], "type")) {
    if (!is_client_type(cx[3])) return errors::unknown_client_type(cx[3]);
    cx.node.sessions.for_each([&](const Session& session) {
      if (has_client_type(session, cx[3])) text += client_line(cx.node, session, cx.session) + "\n";
    });
  } else if (cx.size() > 3 && same_word(cx[2], "id")) {
    for (size_t index = 3; index < cx.size(); ++index) {
      const auto id = parse_int(cx[index]);
      if (!id) return errors::invalid_client_id();
      const Session* session = cx.node.sessions.find(static_cast<uint64_t>(*id));
      if (session != nullptr) text += client_line(cx.node, *session, cx.session) + "\n";
    }
  } else if (cx.size() != 2) {
    return ErrorCode::kSyntax;
  } else {
    cx.node.sessions.for_each([&](const Session& session) {
      if (!session.has(kRejected)) text += client_line(cx.node, session, cx.session) + "\n";
    });
  }
  cx.reply.verbatim(kText, text);
  return done();
}

Status client_reply(NodeContext& cx) {
  Session& session = cx.session;
  if (same_word(cx[2], "on")) {
    session.clear(kReplyOff | kReplySkipNext | kReplySkipNow);
    cx.reply.ok();
  } else if (same_word(cx[2], "off")) {
    session.set(kReplyOff);  // this command is the first that gets no answer
  } else if (same_word(cx[2], "skip")) {
    if (!session.has(kReplyOff)) session.set(kReplySkipNext);
  } else {
    return ErrorCode::kSyntax;
  }
  return done();
}

// ---- KILL ---------------------------------------------------------------------------------------------

struct KillFilter {
  std::string_view address{};
  std::string_view local_address{};
  std::string_view type{};
  std::optional<uint64_t> id{};
  int64_t age_least_s = 0;
  bool skip_me = true;

  bool matches(const NodeState& node, const Session& session) const {
    if (!address.empty() && session.peer.address != address) return false;
    if (!local_address.empty() && session.peer.local_address != local_address) return false;
    if (!type.empty() && !has_client_type(session, type)) return false;
    if (id && session.id != *id) return false;
    return node.now.steady_us - session.created_us >= age_least_s * 1'000'000;
  }
};

Status read_kill_filter(NodeContext& cx, KillFilter& filter) {
  if (cx.size() % 2 != 0) return ErrorCode::kSyntax;
  for (size_t index = 2; index < cx.size(); index += 2) {
    const std::string_view option = cx[index];
    const std::string_view value = cx[index + 1];
    if (same_word(option, "id")) {
      const auto id = parse_int(value);
      if (!id || *id <= 0) return errors::client_id_not_positive();
      filter.id = static_cast<uint64_t>(*id);
    } else if (same_word(option, "type")) {
      if (!is_client_type(value)) return errors::unknown_client_type(value);
      filter.type = value;
    } else if (same_word(option, "addr")) {
      filter.address = value;
    } else if (same_word(option, "laddr")) {
      filter.local_address = value;
    } else if (same_word(option, "user")) {
      if (value != "default") return errors::no_such_user(value);
    } else if (same_word(option, "maxage")) {
      TRY(filter.age_least_s, cx.integer(index + 1));
      if (filter.age_least_s <= 0) return ErrorCode::kOutOfRange;
    } else if (same_word(option, "skipme")) {
      if (!same_word(value, "yes") && !same_word(value, "no")) return ErrorCode::kSyntax;
      filter.skip_me = same_word(value, "yes");
    } else {
      return ErrorCode::kSyntax;
    }
  }
  return done();
}

void kill_session(NodeContext& cx, Session& session) {
  // Whoever kills itself gets the answer first.
  close_session(cx.node, session, &session == &cx.session ? CloseWhen::kAfterReply : CloseWhen::kNow);
}

Status client_kill(NodeContext& cx) {
  KillFilter filter;
  const bool old_form = cx.size() == 3;
  if (old_form) {
    filter.address = cx[2];
    filter.skip_me = false;
  } else {
    TRY(read_kill_filter(cx, filter));
  }
  size_t killed = 0;
  cx.node.sessions.for_each([&](Session& session) {
    if (session.has(kClosing) || (filter.skip_me && &session == &cx.session)) return;
    if (!filter.matches(cx.node, session)) return;
    kill_session(cx, session);
    ++killed;
  });
  if (!old_form) {
    cx.reply.integer(static_cast<int64_t>(killed));
  } else if (killed == 0) {
    return errors::no_such_client();
  } else {
    cx.reply.ok();
  }
  return done();
}

// ---- PAUSE and UNBLOCK ----------------------------------------------------------------------------------

Status client_pause(NodeContext& cx) {
  PauseKind kind = PauseKind::kAll;
  if (cx.size() > 4) return errors::wrong_arity(cx.spec.name);
  if (cx.size() == 4) {
    if (same_word(cx[3], "write")) {
      kind = PauseKind::kWrite;
    } else if (!same_word(cx[3], "all")) {
      return errors::bad_pause_mode();
    }
  }
  const auto timeout_ms = parse_int(cx[2]);
  if (!timeout_ms) return errors::timeout_not_integer();
  if (*timeout_ms < 0) return errors::timeout_negative();
  const int64_t room_ms = (kNever - cx.now().steady_us) / 1000 - 1;
  start_pause(cx.node, kind, cx.now().steady_us + std::min(*timeout_ms, room_ms) * 1000);
  cx.reply.ok();
  return done();
}

Status client_unpause(NodeContext& cx) {
  cx.reply.ok();
  if (cx.node.flags & kNodePaused) cx.node.pause_until_us = 0;  // the upkeep of this turn ends it
  return done();
}

Status client_unblock(NodeContext& cx) {
  if (cx.size() > 4) return errors::wrong_arity(cx.spec.name);
  Unblocked how = Unblocked::kByTimeout;
  if (cx.size() == 4) {
    if (same_word(cx[3], "error")) {
      how = Unblocked::kByError;
    } else if (!same_word(cx[3], "timeout")) {
      return errors::bad_unblock_reason();
    }
  }
  TRY(const int64_t id, cx.integer(2));
  Session* const session = id <= 0 ? nullptr : cx.node.sessions.find(static_cast<uint64_t>(id));
  // Not a link's: its client is another node's.
  const bool is_own = session != nullptr && session->driver == nullptr && !session->has(kClosing);
  const bool can = is_own && session->has(kBlocked);
  if (can) unblock(cx.node, *session, how);
  const auto end = how == Unblocked::kByError ? WaitEnd::kAsError : WaitEnd::kAsTimeout;
  const bool has_waited = is_own && end_wait(cx.node, *session, end);
  const auto elsewhere = how == Unblocked::kByError ? CancelReason::kAsError : CancelReason::kAsTimeout;
  const bool waits_elsewhere = is_own && cx.node.forwarding != nullptr && cx.node.forwarding->unblock(*session, elsewhere);
  cx.reply.integer(can || has_waited || waits_elsewhere ? 1 : 0);
  return done();
}

// ---- switches -----------------------------------------------------------------------------------------------

Status set_switch(NodeContext& cx, uint32_t flag) {
  if (same_word(cx[2], "on")) {
    cx.session.set(flag);
  } else if (same_word(cx[2], "off")) {
    cx.session.clear(flag);
  } else {
    return ErrorCode::kSyntax;
  }
  cx.reply.ok();
  return done();
}

Status client_no_evict(NodeContext& cx) { return set_switch(cx, kNoEvict); }
Status client_no_touch(NodeContext& cx) { return set_switch(cx, kNoTouch); }

// ---- QUORUM -----------------------------------------------------------------------------------------------

std::string_view origin_of(bool is_of_request, bool is_of_connection) {
  if (is_of_request) return "request";
  return is_of_connection ? "connection" : "default";
}

// What holds for the next command, and who has said so.
Status reply_levels(NodeContext& cx) {
  const Session& session = cx.session;
  const Levels levels = cx.node.company.levels_of(session, {});
  cx.reply.map(4);
  cx.reply.bulk("w");
  cx.reply.bulk(text_of(levels.write));
  cx.reply.bulk("w-from");
  cx.reply.bulk(origin_of(session.once_levels.write.is_set(), session.levels.write.is_set()));
  cx.reply.bulk("r");
  cx.reply.bulk(text_of(levels.read));
  cx.reply.bulk("r-from");
  cx.reply.bulk(origin_of(session.once_levels.read.is_set(), session.levels.read.is_set()));
  return done();
}

// "default" takes back what was said.
Status read_level_option(std::string_view name, std::string_view value, Levels& levels) {
  const bool is_default = same_word(value, "default");
  if (same_word(name, "w")) {
    const auto level = is_default ? WriteLevel() : parse_write_level(value);
    if (!level) return errors::bad_write_level(value);
    levels.write = *level;
  } else if (same_word(name, "r")) {
    const auto level = is_default ? ReadLevel() : parse_read_level(value);
    if (!level) return errors::bad_read_level(value);
    levels.read = *level;
  } else {
    return ErrorCode::kSyntax;
  }
  return done();
}

Status client_quorum(NodeContext& cx) {
  if (cx.size() == 2) return reply_levels(cx);
  const bool is_once = same_word(cx[2], "once");
  const size_t first = is_once ? 3 : 2;
  if (cx.size() == first || (cx.size() - first) % 2 != 0) return ErrorCode::kSyntax;
  Levels levels = is_once ? cx.session.once_levels : cx.session.levels;
  for (size_t index = first; index < cx.size(); index += 2) TRY(read_level_option(cx[index], cx[index + 1], levels));
  if (is_once) {
    cx.session.set_once_levels(levels);
  } else {
    cx.session.set_levels(levels);
  }
  cx.reply.ok();
  return done();
}

Status client_getredir(NodeContext& cx) {
  cx.reply.integer(-1);
  return done();
}

Status client_trackinginfo(NodeContext& cx) {
  cx.reply.map(3);
  cx.reply.bulk("flags");
  cx.reply.set(1);
  cx.reply.bulk("off");
  cx.reply.bulk("redirect");
  cx.reply.integer(-1);
  cx.reply.bulk("prefixes");
  cx.reply.array(0);
  return done();
}

Status client_help(NodeContext& cx) {
  write_help(*cx.node.commands.find("client")->row, cx.reply);
  return done();
}

constexpr uint32_t kOwn = kNoScript | kLoading | kStale;
constexpr uint32_t kOthers = kOwn | kAdmin;

constexpr CommandSpec kTable[] = {
    {.name = "client|getname",
     .arity = 2,
     .flags = kOwn,
     .summary = "Returns the name of the connection.",
     .complexity = "O(1)",
     .since = "2.6.9",
     .group = Group::kConnection,
     .run_on_node = client_getname},
    {.name = "client|getredir",
     .arity = 2,
     .flags = kOwn,
     .summary = "Returns where tracking messages go to.",
     .complexity = "O(1)",
     .since = "6.0.0",
     .group = Group::kConnection,
     .run_on_node = client_getredir},
    {.name = "client|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .since = "5.0.0",
     .group = Group::kConnection,
     .run_on_node = client_help},
    {.name = "client|id",
     .arity = 2,
     .flags = kOwn,
     .summary = "Returns the id of the connection.",
     .complexity = "O(1)",
     .since = "5.0.0",
     .group = Group::kConnection,
     .run_on_node = client_id},
    {.name = "client|info",
     .arity = 2,
     .flags = kOwn,
     .summary = "Describes the connection.",
     .complexity = "O(1)",
     .since = "6.2.0",
     .group = Group::kConnection,
     .tips = "nondeterministic_output",
     .run_on_node = client_info},
    {.name = "client|kill",
     .arity = -3,
     .flags = kOthers,
     .syntax = "[address] [ID client-id:int] [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>]"
               " [USER username] [ADDR address] [LADDR address] [SKIPME yes-no] [MAXAGE maxage:int]",
     .summary = "Closes connections.",
     .complexity = "O(N) in the number of connections",
     .since = "2.4.0",
     .history = "2.8.12: Takes filters, ID among them.; 3.2.0: TYPE master.; 5.0.0: TYPE replica.; "
                "6.2.0: Takes LADDR.",
     .group = Group::kConnection,
     .irregular_arity = true,
     .run_on_node = client_kill},
    {.name = "client|list",
     .arity = -2,
     .flags = kOthers,
     .syntax = "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id:int [client-id:int ...]]",
     .summary = "Describes all connections, a line each.",
     .complexity = "O(N) in the number of connections",
     .since = "2.4.0",
     .history = "2.8.12: Tells the id.; 5.0.0: Takes TYPE.; 6.0.0: Tells the user.; 6.2.0: Takes ID.; "
                "7.0.0: Tells resp and multi-mem.; 7.0.3: Tells ssub.",
     .group = Group::kConnection,
     .tips = "nondeterministic_output",
     .run_on_node = client_list},
    {.name = "client|no-evict",
     .arity = 3,
     .flags = kOthers,
     .syntax = "<ON | OFF>",
     .summary = "Protects the connection when clients are evicted.",
     .complexity = "O(1)",
     .since = "7.0.0",
     .group = Group::kConnection,
     .run_on_node = client_no_evict},
    {.name = "client|no-touch",
     .arity = 3,
     .flags = kOwn,
     .syntax = "<ON | OFF>",
     .summary = "Lets the connection's commands leave access times alone.",
     .complexity = "O(1)",
     .since = "7.2.0",
     .group = Group::kConnection,
     .run_on_node = client_no_touch},
    {.name = "client|pause",
     .arity = -3,
     .flags = kOthers,
     .syntax = "timeout:int [WRITE | ALL]",
     .summary = "Holds back commands for a time.",
     .complexity = "O(1)",
     .since = "2.9.50",
     .history = "6.2.0: Takes a mode, WRITE among them.",
     .group = Group::kConnection,
     .run_on_node = client_pause},
    {.name = "client|quorum",
     .arity = -2,
     .flags = kOwn,
     .syntax = "[[ONCE] [W write-level:string] [R read-level:string]]",
     .summary = "Says how many copies writes of the connection need and what its reads rely on, or tells what holds.",
     .complexity = "O(1)",
     .since = "0.1.0",
     .group = Group::kConnection,
     .run_on_node = client_quorum},
    {.name = "client|reply",
     .arity = 3,
     .flags = kOwn,
     .syntax = "<ON | OFF | SKIP>",
     .summary = "Silences replies.",
     .complexity = "O(1)",
     .since = "3.2.0",
     .group = Group::kConnection,
     .run_on_node = client_reply},
    {.name = "client|setinfo",
     .arity = 4,
     .flags = kOwn,
     .syntax = "<LIB-NAME libname | LIB-VER libver>",
     .summary = "Tells name or version of the client's library.",
     .complexity = "O(1)",
     .since = "7.2.0",
     .group = Group::kConnection,
     .run_on_node = client_setinfo},
    {.name = "client|setname",
     .arity = 3,
     .flags = kOwn,
     .syntax = "connection-name",
     .summary = "Names the connection.",
     .complexity = "O(1)",
     .since = "2.6.9",
     .group = Group::kConnection,
     .run_on_node = client_setname},
    {.name = "client|trackinginfo",
     .arity = 2,
     .flags = kOwn,
     .summary = "Tells how the connection tracks keys.",
     .complexity = "O(1)",
     .since = "6.2.0",
     .group = Group::kConnection,
     .run_on_node = client_trackinginfo},
    {.name = "client|unblock",
     .arity = -3,
     .flags = kOthers,
     .syntax = "client-id:int [TIMEOUT | ERROR]",
     .summary = "Ends the waiting of a connection's blocking command.",
     .complexity = "O(log N) in the number of connections",
     .since = "5.0.0",
     .group = Group::kConnection,
     .run_on_node = client_unblock},
    {.name = "client|unpause",
     .arity = 2,
     .flags = kOthers,
     .summary = "Ends the pause.",
     .complexity = "O(N) in the number of connections held back",
     .since = "6.2.0",
     .group = Group::kConnection,
     .run_on_node = client_unpause},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> client_commands() { return kTable; }

}  // namespace quorate

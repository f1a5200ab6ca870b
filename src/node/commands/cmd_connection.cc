// Commands about the connection itself: HELLO, AUTH, PING, ECHO, SELECT, QUIT, RESET.
#include <algorithm>

#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/cluster_facts.h"
#include "node/commands/node_families.h"
#include "node/commands/session_words.h"
#include "node/context.h"
#include "node/output.h"
#include "node/publish.h"
#include "node/transactions.h"

namespace quorate {

namespace {

constexpr std::string_view kDefaultUser = "default";
// What INFO says too: the version of Redis whose behaviour clients may count on.
constexpr std::string_view kRedisVersion = "7.2.4";

// Compares in a time that does not tell how much of the password was right.
bool same_secret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (size_t index = 0; index < given.size(); ++index) {
    const char other = index < secret.size() ? secret[index] : '\0';
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[index] ^ other));
  }
  return difference == 0;
}

Status log_in(NodeContext& cx, std::string_view user, std::string_view password) {
  const std::string& secret = cx.node.settings.requirepass;
  // Without a password the default user is let in whatever is said.
  if (user != kDefaultUser || (!secret.empty() && !same_secret(password, secret))) {
    return errors::wrong_password();
  }
  cx.session.clear(kNeedsAuth);
  return done();
}

Status auth(NodeContext& cx) {
  if (cx.size() > 3) return ErrorCode::kSyntax;
  if (cx.size() == 2) {
    if (cx.node.settings.requirepass.empty()) return errors::no_password_set();
    TRY(log_in(cx, kDefaultUser, cx[1]));
  } else {
    TRY(log_in(cx, cx[1], cx[2]));
  }
  cx.reply.ok();
  return done();
}

void describe_server(NodeContext& cx) {
  Reply reply(cx.session.out, cx.session.protocol);
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(kRedisVersion);
  reply.bulk("proto");
  reply.integer(cx.session.protocol == Protocol::kResp3 ? 3 : 2);
  reply.bulk("id");
  reply.integer(static_cast<int64_t>(cx.session.id));
  reply.bulk("mode");
  reply.bulk(is_cluster(cx.node) ? "cluster" : "standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

Status hello(NodeContext& cx) {
  std::optional<int64_t> version;
  size_t next = 1;
  if (cx.size() > 1) {
    version = parse_int(cx[next++]);
    if (!version) return errors::protocol_version_not_integer();
    if (*version < 2 || *version > 3) return errors::no_protocol();
  }
  std::optional<std::string_view> name;
  for (; next < cx.size(); ++next) {
    const size_t more = cx.size() - next - 1;
    if (same_word(cx[next], "auth") && more >= 2) {
      TRY(log_in(cx, cx[next + 1], cx[next + 2]));
      next += 2;
    } else if (same_word(cx[next], "setname") && more >= 1) {
      name = cx[++next];
      if (!is_session_word(*name)) return errors::invalid_client_name();
    } else {
      return errors::hello_syntax(cx[next]);
    }
  }
  if (cx.session.has(kNeedsAuth)) return errors::hello_needs_auth();
  if (name) cx.session.more().name = *name;
  if (version) cx.session.protocol = *version == 3 ? Protocol::kResp3 : Protocol::kResp2;
  describe_server(cx);
  return done();
}

Status ping(NodeContext& cx) {
  if (cx.size() > 2) return errors::wrong_arity("ping");
  if (cx.session.has(kSubscribed) && cx.session.protocol == Protocol::kResp2) {
    cx.reply.array(2);
    cx.reply.bulk("pong");
    cx.reply.bulk(cx.size() == 2 ? cx[1] : std::string_view());
    return done();
  }
  if (cx.size() == 2) {
    cx.reply.bulk(cx[1]);
  } else {
    cx.reply.simple("PONG");
  }
  return done();
}

Status echo(NodeContext& cx) {
  cx.reply.bulk(cx[1]);
  return done();
}

Status select_database(NodeContext& cx) {
  TRY(cx.session.database, selected_database(cx.node, cx[1]));
  cx.reply.ok();
  return done();
}

Status quit(NodeContext& cx) {
  cx.reply.ok();
  close_session(cx.node, cx.session, CloseWhen::kAfterReply);
  return done();
}

Status reset(NodeContext& cx) {
  NodeState& node = cx.node;
  Session& session = cx.session;
  discard_transaction(node, session);
  unsubscribe_all(node, session);
  if (session.has(kMonitoring)) {
    std::erase(node.monitors, &session);
    if (node.monitors.empty()) node.flags &= ~kNodeMonitored;
  }
  session.clear(kMonitoring | kReplyOff | kReplySkipNext | kNoTouch | kNoEvict | kReadonlyReplica);
  session.set_levels({});
  session.set_once_levels({});
  session.database = 0;
  session.protocol = Protocol::kResp2;
  if (session.extras != nullptr) session.extras->name.clear();
  if (!node.settings.requirepass.empty()) session.set(kNeedsAuth);
  Reply(session.out, session.protocol).simple("RESET");
  return done();
}

constexpr uint32_t kAtAnyTime = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy;

constexpr CommandSpec kTable[] = {
    {.name = "auth",
     .arity = -2,
     .flags = kAtAnyTime,
     .syntax = "[username] password",
     .summary = "Logs the connection in.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .history = "6.0.0: Takes a user name.",
     .group = Group::kConnection,
     .run_on_node = auth},
    {.name = "echo",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .syntax = "message",
     .summary = "Returns its argument.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kConnection,
     .run_on_node = echo},
    {.name = "hello",
     .arity = -1,
     .flags = kAtAnyTime,
     .syntax = "[protover:int [AUTH username password] [SETNAME clientname]]",
     .summary = "Chooses the protocol version, and may log in and name the connection.",
     .complexity = "O(1)",
     .since = "6.0.0",
     .history = "6.2.0: The version may be left out.",
     .group = Group::kConnection,
     .run_on_node = hello},
    {.name = "ping",
     .arity = -1,
     .flags = kFast,
     .syntax = "[message]",
     .summary = "Answers PONG, or its argument.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kConnection,
     .tips = "request_policy:all_shards,response_policy:all_succeeded",
     .run_on_node = ping},
    {.name = "quit",
     .arity = -1,
     .flags = kAtAnyTime,
     .summary = "Closes the connection.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kConnection,
     .irregular_arity = true,
     .run_on_node = quit},
    {.name = "reset",
     .arity = 1,
     .flags = kAtAnyTime,
     .summary = "Brings the connection back to the state of a new one.",
     .complexity = "O(1)",
     .since = "6.2.0",
     .group = Group::kConnection,
     .run_on_node = reset},
    {.name = "select",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .syntax = "index:int",
     .summary = "Chooses the database that the connection works on.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kConnection,
     .run_on_node = select_database},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> connection_commands() { return kTable; }

}  // namespace quorate

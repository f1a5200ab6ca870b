// COMMAND and its subcommands: what the command table says about itself.
#include <algorithm>
#include <vector>

#include "commands/describe.h"
#include "commands/keys.h"
#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "util/glob.h"

namespace quorate {
namespace {

const CommandTable& table_of(const NodeContext& cx) { return cx.node.commands.table(); }

void reply_all_info(const CommandTable& table, Reply& reply) {
  reply.array(table.commands().size());
  for (const CommandRow* row : table.commands()) reply_command_info(*row, reply);
}

Status command(NodeContext& cx) {
  if (cx.size() > 1) return errors::unknown_subcommand("command", cx[1]);
  reply_all_info(table_of(cx), cx.reply);
  return done();
}

Status command_count(NodeContext& cx) {
  cx.reply.integer(static_cast<int64_t>(table_of(cx).commands().size()));
  return done();
}

Status command_info(NodeContext& cx) {
  if (cx.size() == 2) {
    reply_all_info(table_of(cx), cx.reply);
    return done();
  }
  cx.reply.array(cx.size() - 2);
  for (size_t index = 2; index < cx.size(); ++index) {
    const CommandRow* row = table_of(cx).find_full(cx[index]);
    if (row == nullptr) {
      cx.reply.null_array();
    } else {
      reply_command_info(*row, cx.reply);
    }
  }
  return done();
}

Status command_docs(NodeContext& cx) {
  const Reply::Deferred map = cx.reply.begin(Reply::Shape::kMap);
  size_t count = 0;
  if (cx.size() == 2) {
    for (const CommandRow* row : table_of(cx).commands()) reply_command_docs(*row, cx.reply);
    count = table_of(cx).commands().size();
  }
  for (size_t index = 2; index < cx.size(); ++index) {
    const CommandRow* row = table_of(cx).find_full(cx[index]);
    if (row == nullptr) continue;
    reply_command_docs(*row, cx.reply);
    ++count;
  }
  cx.reply.end(map, count);
  return done();
}

// Replies the names of all rows, subcommands too, that `wanted` likes.
template <class Wanted>
void reply_names(NodeContext& cx, Wanted wanted) {
  const CommandTable& table = table_of(cx);
  const Reply::Deferred list = cx.reply.begin(Reply::Shape::kArray);
  size_t count = 0;
  for (uint32_t id = 0; id < table.size(); ++id) {
    const CommandSpec& spec = *table.row(id).spec;
    if (!wanted(spec)) continue;
    cx.reply.bulk(spec.name);
    ++count;
  }
  cx.reply.end(list, count);
}

Status command_list(NodeContext& cx) {
  if (cx.size() == 2) {
    reply_names(cx, [](const CommandSpec&) { return true; });
    return done();
  }
  if (cx.size() != 5 || !same_word(cx[2], "FILTERBY")) return ErrorCode::kSyntax;
  const std::string_view value = cx[4];
  if (same_word(cx[3], "MODULE")) {
    cx.reply.array(0);  // there are no modules
  } else if (same_word(cx[3], "ACLCAT")) {
    const auto category = acl_category(value);
    reply_names(cx, [&](const CommandSpec& spec) { return category && (acl_categories(spec) & *category) != 0; });
  } else if (same_word(cx[3], "PATTERN")) {
    reply_names(cx, [&](const CommandSpec& spec) { return glob_match(value, spec.name, CaseRule::kInsensitive); });
  } else {
    return ErrorCode::kSyntax;
  }
  return done();
}

// The keys of the request in the arguments behind the subcommand.
Result<std::vector<KeyPosition>> keys_of_request(NodeContext& cx, Args request) {
  const CommandRow* row = table_of(cx).find(request);
  // A container is no command: only its subcommands are.
  if (row == nullptr || (row->is_container() && request.size() > 1)) return errors::invalid_command();
  const CommandSpec& spec = *row->spec;
  if (!may_have_keys(spec)) return errors::command_has_no_keys();
  const auto count = static_cast<int64_t>(request.size());
  if (spec.arity > 0 ? count != spec.arity : count < -spec.arity) return errors::invalid_command_arity();
  std::vector<KeyPosition> keys;
  const bool fits = find_keys(spec, request, keys);
  if ((!fits || keys.empty()) && (spec.flags & kNoMandatoryKeys) == 0) return errors::invalid_command_arguments();
  if (!fits) keys.clear();
  return keys;
}

Status command_getkeys(NodeContext& cx) {
  const Args request = cx.args.subspan(2);
  TRY(const std::vector<KeyPosition> keys, keys_of_request(cx, request));
  cx.reply.array(keys.size());
  for (const KeyPosition& key : keys) cx.reply.bulk(request[key.index]);
  return done();
}

Status command_getkeysandflags(NodeContext& cx) {
  const Args request = cx.args.subspan(2);
  TRY(const std::vector<KeyPosition> keys, keys_of_request(cx, request));
  cx.reply.array(keys.size());
  for (const KeyPosition& key : keys) {
    cx.reply.array(2);
    cx.reply.bulk(request[key.index]);
    reply_key_flags(key.flags, cx.reply);
  }
  return done();
}

constexpr uint32_t kAlways = kLoading | kStale;
constexpr std::string_view kUnordered = "nondeterministic_output_order";

constexpr CommandSpec kTable[] = {
    {.name = "command", .arity = -1, .flags = kAlways,
     .summary = "Returns what the server knows about each of its commands.",
     .complexity = "O(N) in the number of commands", .since = "2.8.13", .group = Group::kServer, .tips = kUnordered,
     .acl = "connection", .irregular_arity = true, .run_on_node = command},
    {.name = "command|count", .arity = 2, .flags = kAlways, .summary = "Returns the number of commands.",
     .complexity = "O(1)", .since = "2.8.13", .group = Group::kServer, .acl = "connection",
     .run_on_node = command_count},
    {.name = "command|docs", .arity = -2, .flags = kAlways, .syntax = "[command-name ...]",
     .summary = "Returns summary, arguments and history of commands.",
     .complexity = "O(N) in the number of commands", .since = "7.0.0", .group = Group::kServer, .tips = kUnordered,
     .acl = "connection", .run_on_node = command_docs},
    {.name = "command|getkeys", .arity = -4, .flags = kAlways, .syntax = "command arg [arg ...]",
     .summary = "Returns the keys of a request without running it.",
     .complexity = "O(N) in the number of arguments", .since = "2.8.13", .group = Group::kServer,
     .acl = "connection", .run_on_node = command_getkeys},
    {.name = "command|getkeysandflags", .arity = -4, .flags = kAlways, .syntax = "command arg [arg ...]",
     .summary = "Returns the keys of a request and what it would do to each.",
     .complexity = "O(N) in the number of arguments", .since = "7.0.0", .group = Group::kServer,
     .acl = "connection", .run_on_node = command_getkeysandflags},
    {.name = "command|help", .arity = 2, .flags = kAlways, .summary = "Lists the subcommands of COMMAND.",
     .complexity = "O(1)", .since = "5.0.0", .group = Group::kServer, .acl = "connection"},
    {.name = "command|info", .arity = -2, .flags = kAlways, .syntax = "[command-name ...]",
     .summary = "Returns arity, flags, keys and ACL categories of commands.",
     .complexity = "O(N) in the number of commands", .since = "2.8.13",
     .history = "7.0.0: Without a name it tells about all commands.", .group = Group::kServer,
     .tips = kUnordered, .acl = "connection", .run_on_node = command_info},
    {.name = "command|list", .arity = -2, .flags = kAlways,
     .syntax = "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
     .summary = "Returns the names of all commands, or of those that pass a filter.",
     .complexity = "O(N) in the number of commands", .since = "7.0.0", .group = Group::kServer, .tips = kUnordered,
     .acl = "connection", .run_on_node = command_list},
};
static_assert(well_formed(kTable), "cmd_command.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> command_commands() { return kTable; }

}  // namespace quorate

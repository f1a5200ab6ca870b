// TIME, ROLE, MODULE LIST and LOLWUT: small questions about the server itself.
#include <array>
#include <string>

#include "commands/syntax.h"
#include "commands/table.h"
#include "node/commands/node_families.h"
#include "node/context.h"

namespace quorate {
namespace {

Status time_of_day(NodeContext& cx) {
  const int64_t unix_ms = cx.now().unix_ms;
  cx.reply.array(2);
  cx.reply.bulk_integer(unix_ms / 1000);
  cx.reply.bulk_integer(unix_ms % 1000 * 1000);
  return done();
}

Status role(NodeContext& cx) {
  cx.reply.array(3);
  cx.reply.bulk("master");
  const Followers& followers = cx.node.followers;
  cx.reply.integer(static_cast<int64_t>(followers.offset));
  cx.reply.array(followers.sessions.size());
  for (const Session* session : followers.sessions) {
    const Follower& follower = *session->extras->follower;
    const std::string& address = session->peer.address;
    cx.reply.array(3);
    cx.reply.bulk(follower.address.empty() ? address.substr(0, address.rfind(':')) : follower.address);
    cx.reply.bulk_integer(follower.listening_port);
    cx.reply.bulk(std::to_string(follower.acknowledged));
  }
  return done();
}

// Copies of keys around the ring of nodes, drawn by chance: each letter is a node, each run of it the
// stretch of the ring it leads.
std::string draw_ring(Prng& random) {
  constexpr size_t kHeight = 11;
  constexpr size_t kWidth = 31;
  // The ring's cells, clockwise, as rows and columns.
  constexpr std::array<std::array<uint8_t, 2>, 28> kCells = {{
      {0, 13}, {0, 16}, {0, 19}, {1, 23}, {2, 26}, {3, 28}, {4, 29}, {5, 29}, {6, 29}, {7, 28},
      {8, 26}, {9, 23}, {10, 19}, {10, 16}, {10, 13}, {10, 10}, {9, 7}, {8, 4}, {7, 2}, {6, 1},
      {5, 1}, {4, 1}, {3, 2}, {2, 4}, {1, 7}, {0, 10}, {1, 19}, {9, 10},
  }};
  std::string picture(kHeight * (kWidth + 1), ' ');
  for (size_t row = 0; row < kHeight; ++row) picture[row * (kWidth + 1) + kWidth] = '\n';
  const uint64_t nodes = 3 + random.below(3);
  char letter = 'A';
  for (const auto& cell : kCells) {
    if (random.chance(0.4)) letter = static_cast<char>('A' + random.below(nodes));
    picture[cell[0] * (kWidth + 1) + cell[1]] = letter;
  }
  return picture;
}

Status lolwut(NodeContext& cx) {
  for (size_t index = 1; index < cx.size(); ++index) {
    if (index == 1 && same_word(cx[1], "VERSION")) continue;
    TRY(cx.integer(index));
  }
  std::string text = draw_ring(cx.node.store.random());
  text += "\nEvery key has its place on the ring, and more than one keeper. Quorate ver. 0.1.0\n";
  cx.reply.verbatim(VerbatimFormat::kText, text);
  return done();
}

// There are no modules, and tools that ask for them want to hear that.
Status module_list(NodeContext& cx) {
  cx.reply.array(0);
  return done();
}

Status module_help(NodeContext& cx) {
  write_help(*cx.node.commands.find("module")->row, cx.reply);
  return done();
}

constexpr CommandSpec kTable[] = {
    {.name = "lolwut", .arity = -1, .flags = kReadonly | kFast, .syntax = "[VERSION version:int]",
     .summary = "Draws something and tells the version.", .complexity = "O(1)", .since = "5.0.0",
     .group = Group::kServer, .run_on_node = lolwut},
    {.name = "module|help", .arity = 2, .flags = kLoading | kStale, .summary = "Lists the subcommands.",
     .complexity = "O(1)", .since = "5.0.0", .group = Group::kServer, .run_on_node = module_help},
    {.name = "module|list", .arity = 2, .flags = kAdmin | kNoScript,
     .summary = "Lists the loaded modules: none.", .complexity = "O(N) in the number of modules",
     .since = "4.0.0", .group = Group::kServer, .tips = "nondeterministic_output_order", .run_on_node = module_list},
    {.name = "role", .arity = 1, .flags = kNoScript | kLoading | kStale | kFast,
     .summary = "Returns the node's role in replication, as clients of Redis know it.", .complexity = "O(1)",
     .since = "2.8.12", .group = Group::kServer, .acl = "admin,dangerous", .run_on_node = role},
    {.name = "time", .arity = 1, .flags = kLoading | kStale | kFast,
     .summary = "Returns the server's time as Unix seconds and microseconds.", .complexity = "O(1)",
     .since = "2.6.0", .group = Group::kServer, .tips = "nondeterministic_output", .run_on_node = time_of_day},
};
static_assert(well_formed(kTable), "cmd_about.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> about_commands() { return kTable; }

}  // namespace quorate

// What has arrived at several connections is given to the node together.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/state.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate {
namespace {

class World : public SlowDiskNode {
 public:
  // Bytes for connections, all in one turn.
  void give(const std::vector<std::pair<int, std::string>>& arrived) {
    std::vector<Received> inputs;
    for (const auto& [connection, bytes] : arrived) {
      // Sessions are numbered from 1 in the order of connecting.
      Session* const session = node->node().state().sessions.find(static_cast<uint64_t>(connection) + 1);
      ASSERT_NE(session, nullptr);
      inputs.push_back({.session = session, .bytes = bytes});
    }
    node->node().receive_all(node->now(), inputs);
    settle();
  }
  std::vector<int> connect(size_t count) {
    std::vector<int> connections;
    for (size_t index = 0; index < count; ++index) connections.push_back(node->connect());
    settle();
    return connections;
  }
};

TEST(ReceiveAll, each_is_answered_and_the_order_is_kept) {
  World world;
  constexpr int kClients = 100;  // more than a batch
  const std::vector<int> clients = world.connect(kClients);
  std::vector<std::pair<int, std::string>> arrived;
  for (const int client : clients) arrived.emplace_back(client, encoded({"INCR", "count"}) + encoded({"LPUSH", "list", "x"}));
  world.give(arrived);
  for (int index = 0; index < kClients; ++index) {
    const std::string count = ":" + std::to_string(index + 1) + "\r\n";
    EXPECT_EQ(world.taken(clients[static_cast<size_t>(index)]), count + count);
  }
}

TEST(ReceiveAll, each_goes_on_from_where_it_is) {
  World world;
  const std::vector<int> clients = world.connect(7);
  const std::string set = encoded({"SET", "key", "value"});
  world.give({{clients[1], encoded({"SELECT", "1"})}, {clients[2], encoded({"MULTI"})}, {clients[3], encoded({"BLPOP", "list", "0"})}});
  for (const int client : clients) world.taken(client);
  world.give({{clients[0], set.substr(0, 9)},
              {clients[1], encoded({"SET", "key", "one"})},
              {clients[2], encoded({"GET", "key"})},
              {clients[3], encoded({"GET", "key"})},
              {clients[4], "*1\r\n?\r\n"},
              {clients[5], "GET \"key\"\r\nGET 'k"},
              {clients[6], set}});
  EXPECT_EQ(world.taken(clients[0]), "");
  EXPECT_EQ(world.taken(clients[1]), "+OK\r\n");
  EXPECT_EQ(world.taken(clients[2]), "+QUEUED\r\n");
  EXPECT_EQ(world.taken(clients[3]), "");
  EXPECT_EQ(world.taken(clients[4]), "-ERR Protocol error: expected '$', got '?'\r\n");
  EXPECT_EQ(world.taken(clients[5]), "$-1\r\n");
  EXPECT_EQ(world.taken(clients[6]), "+OK\r\n");
  world.give({{clients[0], set.substr(9)},
              {clients[1], encoded({"GET", "key"})},
              {clients[2], encoded({"EXEC"})},
              {clients[5], "ey'\r\n"},
              {clients[6], encoded({"LPUSH", "list", "last"})}});
  EXPECT_EQ(world.taken(clients[0]), "+OK\r\n");
  EXPECT_EQ(world.taken(clients[1]), "$3\r\none\r\n");
  EXPECT_EQ(world.taken(clients[2]), "*1\r\n$5\r\nvalue\r\n");
  EXPECT_EQ(world.taken(clients[3]), "*2\r\n$4\r\nlist\r\n$4\r\nlast\r\n$5\r\nvalue\r\n");
  EXPECT_EQ(world.taken(clients[5]), "$5\r\nvalue\r\n");
  EXPECT_EQ(world.taken(clients[6]), ":1\r\n");
}

TEST(ReceiveAll, who_is_closed_by_an_earlier_one_runs_nothing) {
  World world;
  const std::vector<int> clients = world.connect(2);
  world.give({{clients[0], encoded({"CLIENT", "KILL", "ID", std::to_string(clients[1] + 1)})}, {clients[1], encoded({"SET", "key", "value"})}});
  EXPECT_EQ(world.taken(clients[0]), ":1\r\n");
  EXPECT_EQ(world.taken(clients[1]), "");
  world.ask(world.client, {"EXISTS", "key"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), ":0\r\n");
}

}  // namespace
}  // namespace quorate

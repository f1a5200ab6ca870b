// What clients are told of requests that run at several nodes, or at another than theirs.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr const char* kOk = "+OK\r\n";

// Of all pages of a SCAN that begins so.
std::multiset<std::string> scanned(CalmCluster& cluster, uint32_t machine,
                                   const std::string& first) {
  std::multiset<std::string> found;
  std::string cursor = first;
  for (int page = 0; page < 100; ++page) {
    ReplyParser parser;
    parser.feed(cluster.ask(machine, {"SCAN", cursor, "COUNT", "1000"}));
    ReplyValue value;
    EXPECT_EQ(parser.next(value), ReplyParser::Outcome::kValue);
    if (value.items.size() != 2) return {};
    for (const ReplyValue& key : value.items[1].items) found.insert(key.text);
    cursor = value.items[0].text;
    if (cursor == "0") return found;
  }
  return {};
}

TEST(RoadWorld, a_scan_begins_at_any_node_with_any_cursor_that_reads_as_zero) {
  CalmCluster cluster(5);
  std::multiset<std::string> keys;
  std::vector<std::string> words{"MSET"};
  for (int number = 0; number < 100; ++number) {
    words.push_back(*keys.insert("key" + std::to_string(number)));
    words.emplace_back("v");
  }
  EXPECT_EQ(cluster.ask(0, words), kOk);
  for (uint32_t machine = 0; machine < 5; ++machine) {
    for (const std::string first : {"0", "", "+0", "-0", "000"}) {
      EXPECT_EQ(scanned(cluster, machine, first), keys) << machine << " '" << first << "'";
    }
    for (const std::string first : {"x", "+", " 0", "0x0", "18446744073709551616"}) {
      EXPECT_EQ(cluster.ask(machine, {"SCAN", first}), "-ERR invalid cursor\r\n");
    }
    // Behind the last partition.
    EXPECT_EQ(cluster.ask(machine, {"SCAN", "-1"}), "*2\r\n$1\r\n0\r\n*0\r\n");
  }
  EXPECT_EQ(cluster.wrong(), "");
}

// What has come on a client's own connection, a tenth of a second later.
std::string heard_at(CalmCluster& cluster, uint32_t machine, int connection) {
  cluster.pass(kSecondUs / 10);
  while (cluster.node(machine).is_sending(connection)) cluster.node(machine).drain_socket(connection);
  return std::exchange(cluster.node(machine).received(connection), {});
}

TEST(RoadWorld, what_every_partition_has_refused_was_certainly_not_done) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    const int line = cluster.node(machine).connect();
    const auto ask = [&](const std::vector<std::string>& words) {
      cluster.node(machine).send(line, encoded(words));
      cluster.node(machine).end_turn();
      return heard_at(cluster, machine, line);
    };
    EXPECT_EQ(ask({"FLUSHALL", "x"}), "-ERR syntax error\r\n");
    EXPECT_EQ(ask({"CLIENT", "QUORUM", "W", "4"}), kOk);
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"MSET", "a", "1", "b", "2", "c", "3"},
          {"DEL", "a", "b", "c"}}) {
      EXPECT_EQ(ask(words),
                "-NOREPLICAS 4 copies are asked for, 3 live; nothing was done\r\n");
    }
    cluster.node(machine).disconnect(line);
    EXPECT_EQ(cluster.ask(machine, {"DBSIZE"}), ":0\r\n");
    for (const std::string name : {"mset", "msetnx"}) {
      EXPECT_EQ(cluster.ask(machine, {name, "a", "1", "b"}),
                "-ERR wrong number of arguments for '" + name + "' command\r\n");
    }
  }
}

TEST(RoadWorld, who_waits_for_a_key_is_unblocked_wherever_that_is_led) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    const int waiting = cluster.node(machine).connect();
    const auto heard = [&] { return heard_at(cluster, machine, waiting); };
    cluster.node(machine).send(waiting, encoded({"CLIENT", "ID"}));
    cluster.node(machine).end_turn();
    std::string id = heard().substr(1);
    id.resize(id.find('\r'));
    for (const bool is_error : {false, true}) {
      cluster.node(machine).send(waiting, encoded({"BLPOP", "list", "0"}));
      cluster.node(machine).end_turn();
      EXPECT_EQ(heard(), "");
      EXPECT_NE(cluster.ask(machine, {"INFO", "clients"}).find("blocked_clients:1\r\n"), std::string::npos);
      EXPECT_EQ(cluster.ask(machine, {"CLIENT", "UNBLOCK", id, is_error ? "ERROR" : "TIMEOUT"}), ":1\r\n");
      EXPECT_EQ(heard(), is_error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : "*-1\r\n");
    }
    // Nobody waits any more.
    EXPECT_EQ(cluster.ask(machine, {"RPUSH", "list", "e"}), ":1\r\n");
    EXPECT_EQ(cluster.ask(machine, {"LPOP", "list"}), "$1\r\ne\r\n");
    cluster.node(machine).disconnect(waiting);
  }
}

TEST(RoadWorld, who_would_wait_for_a_key_of_a_leader_without_a_quorum_is_told_so_in_time) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("list");
  uint32_t leader = 0;
  while (!cluster.company(leader).serves(partition)) ++leader;
  cluster.world().isolate(leader);
  cluster.pass(2 * kSecondUs);
  ASSERT_FALSE(cluster.company(leader).serves(partition));
  const std::string answer = cluster.ask(leader, {"BLPOP", "list", "0.1"}, 6 * kSecondUs);
  EXPECT_TRUE(answer.starts_with("-TRYAGAIN ") || answer.starts_with("-CLUSTERDOWN ")) << answer;
  // It reads on.
  EXPECT_EQ(cluster.ask(leader, {"ECHO", "a"}), "$1\r\na\r\n");
}

}  // namespace
}  // namespace quorate::sim

// What operators and their monitoring ask of whole nodes: QUORUM MOVE, node-weight, INFO keyspace;
// and what no transaction may hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cluster/cluster_node.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr const char* kOk = "+OK\r\n";

uint32_t leader_of(CalmCluster& cluster, uint32_t partition) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (cluster.company(machine).serves(partition)) return machine;
  }
  return 3;
}

std::string name_of(CalmCluster& cluster, uint32_t machine) {
  return node_name(cluster.company(machine).cluster().own().id);
}

std::string key_of(CalmCluster& cluster, uint32_t partition, int from = 0) {
  for (int number = from;; ++number) {
    const std::string key = "k" + std::to_string(number);
    if (cluster.partition_of(key) == partition) return key;
  }
}

// The line of a database in an answer to INFO keyspace; empty: it has none.
std::string line_of(const std::string& answer, const std::string& database) {
  const size_t at = answer.find("\n" + database + ":");
  return at == std::string::npos ? "" : answer.substr(at + 1, answer.find('\r', at) - at - 1);
}

TEST(OperatorWorld, another_node_leads_a_partition_by_hand_and_rebalance_takes_it_back) {
  CalmCluster cluster(3);
  const uint32_t before = leader_of(cluster, 3);
  const uint32_t after = (before + 1) % 3;
  const uint32_t asked = (before + 2) % 3;
  EXPECT_EQ(cluster.ask(asked, {"QUORUM", "MOVE", "3", "LEADER", name_of(cluster, after)}), kOk);
  for (int step = 0; step < 100 && leader_of(cluster, 3) != after; ++step)
    cluster.pass(kSecondUs / 20);
  EXPECT_EQ(leader_of(cluster, 3), after);
  EXPECT_NE(cluster.ask(before, {"QUORUM", "STATUS"}).find("plan-by-hand\r\n$3\r\nyes"),
            std::string::npos);
  cluster.pass(5 * kSecondUs);
  EXPECT_EQ(leader_of(cluster, 3), after);
  EXPECT_EQ(cluster.ask(asked, {"QUORUM", "MOVE", "3", "leader", name_of(cluster, after)}),
            "-ERR the node is the partition's preferred leader already\r\n");
  EXPECT_EQ(cluster.ask(asked, {"QUORUM", "MOVE", "3", "FROM", name_of(cluster, after), "TO",
                                name_of(cluster, before)}),
            "-ERR the node that is to get the partition has a copy of it already\r\n");
  EXPECT_EQ(cluster.ask(asked, {"QUORUM", "MOVE", "8", "LEADER", name_of(cluster, after)}),
            "-ERR no such partition: they are 0 to 7, QUORUM EXPLAIN tells that of a key\r\n");
  EXPECT_EQ(cluster.ask(asked, {"QUORUM", "REBALANCE"}), kOk);
  const auto is_balanced = [&] {
    return cluster.company(0).cluster().state().plan_fit() == PlanFit::kMade &&
           cluster.is_led_as_planned(3);
  };
  for (int step = 0; step < 100 && !is_balanced(); ++step) cluster.pass(kSecondUs / 20);
  EXPECT_TRUE(is_balanced());
  for (uint32_t machine = 0; machine < 3; ++machine) EXPECT_LE(cluster.count_led(machine), 3u);
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(OperatorWorld, info_counts_each_key_of_the_cluster_once_whoever_is_asked) {
  CalmCluster cluster(3);
  for (int number = 0; number < 100; ++number) {
    const std::string key = "key" + std::to_string(number);
    const auto machine = static_cast<uint32_t>(number % 3);
    EXPECT_EQ(
        cluster.ask(machine, number < 40 ? std::vector<std::string>{"SET", key, "v", "EX", "1000"}
                                         : std::vector<std::string>{"SET", key, "v"}),
        kOk);
  }
  for (uint32_t machine = 0; machine < 3; ++machine) {
    const std::string sum = "db0:keys=" + std::to_string(100 + machine) + ",expires=40,avg_ttl=0";
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"INFO"}, {"INFO", "keyspace"}, {"info", "cpu", "all"}}) {
      const std::string told = cluster.ask(machine, words);
      EXPECT_EQ(line_of(told, "db0"), sum) << told;
      EXPECT_EQ(line_of(told, "db1"), "");
    }
    EXPECT_EQ(cluster.ask_at_once(machine, {"INFO", "server"}).substr(0, 1), "$")
        << "nobody has to be asked";
    // What was answered is counted, wherever it went; several questions in one turn have one answer
    // each, in order.
    EXPECT_EQ(cluster.ask(machine, {"SET", "more" + std::to_string(machine), "v"}), kOk);
    const std::string more = "db0:keys=" + std::to_string(101 + machine);
    const std::string answers = cluster.ask_raw(
        machine, encoded({"INFO", "keyspace"}) + encoded({"INFO", "keyspace"}) + encoded({"PING"}),
        3);
    const size_t first = answers.find(more);
    ASSERT_NE(first, std::string::npos) << answers;
    EXPECT_NE(answers.find(more, first + 1), std::string::npos) << answers;
    EXPECT_TRUE(answers.ends_with("+PONG\r\n")) << answers;
  }
  // What is not to be answered is not answered later either.
  EXPECT_EQ(cluster.ask_raw(0,
                            encoded({"CLIENT", "REPLY", "SKIP"}) + encoded({"INFO", "keyspace"}) +
                                encoded({"PING"}),
                            1),
            "+PONG\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(OperatorWorld, info_of_what_nobody_leads_is_what_the_copy_here_holds_and_does_not_wait_long) {
  CalmCluster cluster(3);
  for (int number = 0; number < 50; ++number)
    EXPECT_EQ(cluster.ask(0, {"SET", "key" + std::to_string(number), "v"}), kOk);
  cluster.pass(kSecondUs);
  cluster.world().kill(1, 100 * kSecondUs);
  cluster.world().kill(2, 100 * kSecondUs);
  // It does not know yet that they are gone: it waits for them a little.
  EXPECT_EQ(line_of(cluster.ask(0, {"INFO", "keyspace"}, kSecondUs / 2), "db0"),
            "db0:keys=50,expires=0,avg_ttl=0");
  cluster.pass(3 * kSecondUs);
  EXPECT_EQ(line_of(cluster.ask_at_once(0, {"INFO", "keyspace"}), "db0"),
            "db0:keys=50,expires=0,avg_ttl=0");
}

TEST(OperatorWorld, a_transaction_asks_nobody_how_many_keys_there_are) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"SET", "k", "v"}), kOk);
  EXPECT_EQ(cluster.ask(0, {"MULTI"}), kOk);
  EXPECT_EQ(cluster.ask(0, {"INFO", "keyspace"}), "+QUEUED\r\n");
  cluster.pass(kSecondUs);
  EXPECT_EQ(line_of(cluster.ask_at_once(0, {"EXEC"}), "db0"), "db0:keys=1,expires=0,avg_ttl=0");
}

// The same at the node that leads the key and at every other.
TEST(OperatorWorld, what_a_transaction_may_hold_does_not_depend_on_who_is_asked) {
  CalmCluster cluster(3);
  const std::string key = key_of(cluster, 2);
  const auto exec = [&](uint32_t machine, const std::vector<std::vector<std::string>>& commands) {
    EXPECT_EQ(cluster.ask(machine, {"MULTI"}), kOk);
    for (const std::vector<std::string>& words : commands)
      EXPECT_EQ(cluster.ask(machine, words), "+QUEUED\r\n");
    return cluster.ask(machine, {"EXEC"});
  };
  for (uint32_t machine = 0; machine < 3; ++machine) {
    for (const std::vector<std::string>& words : {std::vector<std::string>{"WAIT", "1", "0"},
                                                  {"INFO"},
                                                  {"CLIENT", "ID"},
                                                  {"CONFIG", "GET", "hz"}}) {
      const std::string name = words[0] == "CLIENT"   ? "CLIENT|ID"
                               : words[0] == "CONFIG" ? "CONFIG|GET"
                                                      : words[0];
      EXPECT_EQ(exec(machine, {{"SET", key, "v"}, words}),
                "-EXECABORT Transaction discarded because of: " + name +
                    " is not about data: in a cluster of several nodes a transaction on keys runs "
                    "where they are led, so send " +
                    name + " outside of MULTI\r\n");
    }
    EXPECT_EQ(cluster.ask(machine, {"EXISTS", key}), ":0\r\n");
    EXPECT_EQ(
        exec(machine,
             {{"PING"}, {"ECHO", "e"}, {"APPEND", key, "v"}, {"DEL", key}, {"PUBLISH", "c", "m"}}),
        "*5\r\n+PONG\r\n$1\r\ne\r\n:1\r\n:1\r\n:0\r\n");
    // Without keys there is nothing that another node would have to run.
    EXPECT_EQ(exec(machine, {{"SELECT", "0"}, {"CLIENT", "GETNAME"}}), "*2\r\n+OK\r\n$-1\r\n");
    for (const std::vector<std::string>& words : {std::vector<std::string>{"FLUSHALL"},
                                                  {"FLUSHDB"},
                                                  {"DBSIZE"},
                                                  {"KEYS", "*"},
                                                  {"SCAN", "0"},
                                                  {"RANDOMKEY"}}) {
      EXPECT_EQ(cluster.ask(machine, {"MULTI"}), kOk);
      EXPECT_EQ(cluster.ask(machine, words),
                "-CROSSSLOT " + words[0] +
                    " is about all keys, which several nodes lead, and cannot run inside MULTI: "
                    "send it outside\r\n");
      EXPECT_EQ(cluster.ask(machine, {"EXEC"}),
                "-EXECABORT Transaction discarded because of previous errors.\r\n");
    }
  }
  EXPECT_EQ(cluster.wrong(), "");
}

ClusterSwarm with_databases() {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.databases = 2;
  return swarm;
}

// Here, or run by the leader elsewhere; another client of the same node is in the database in which it was.
TEST(OperatorWorld, a_transaction_may_choose_a_database_whoever_leads_its_keys) {
  CalmCluster cluster(with_databases());
  const std::string key = key_of(cluster, 2);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    const int other = cluster.node(machine).connect();
    EXPECT_EQ(cluster.ask(machine, {"SET", key, "zero"}), kOk);
    const std::string transaction = encoded({"MULTI"}) + encoded({"SELECT", "1"}) + encoded({"SET", key, "one"}) + encoded({"EXEC"});
    EXPECT_EQ(cluster.ask_raw(machine, transaction + encoded({"GET", key}), 5),
              "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n$3\r\none\r\n");
    cluster.node(machine).send(other, encoded({"GET", key}));
    cluster.node(machine).end_turn();
    cluster.pass(kSecondUs / 10);
    while (cluster.node(machine).is_sending(other)) cluster.node(machine).drain_socket(other);
    EXPECT_EQ(cluster.node(machine).received(other), "$4\r\nzero\r\n");
    EXPECT_EQ(cluster.ask(machine, {"SELECT", "0"}), kOk);
    EXPECT_EQ(cluster.ask(machine, {"GET", key}), "$4\r\nzero\r\n");
  }
  EXPECT_EQ(cluster.wrong(), "");
}

// Of a leader that is lost before it answers: whoever leads next runs all of it once, from the database in which it began.
TEST(OperatorWorld, a_transaction_that_chooses_a_database_runs_once_when_its_leader_is_lost) {
  CalmCluster cluster(with_databases());
  const std::string key = "k";
  uint32_t leader = 0;
  while (!cluster.company(leader).serves(cluster.partition_of(key))) ++leader;
  const uint32_t asked = (leader + 1) % 3;
  const auto queue = [&](const std::vector<std::vector<std::string>>& commands) {
    EXPECT_EQ(cluster.ask(asked, {"MULTI"}), kOk);
    for (const std::vector<std::string>& words : commands) EXPECT_EQ(cluster.ask(asked, words), "+QUEUED\r\n");
  };
  cluster.world().isolate(leader);
  queue({{"INCR", key}, {"SELECT", "1"}, {"INCR", key}});
  EXPECT_EQ(cluster.ask(asked, {"EXEC"}, 5 * kSecondUs), "*3\r\n:1\r\n+OK\r\n:1\r\n");
  EXPECT_EQ(cluster.ask(asked, {"INCR", key}), ":2\r\n");
  // Nobody can run it, since no lease lasts so long: the session stays where it was.
  cluster.world().isolate((leader + 2) % 3);
  cluster.pass(kSecondUs);
  queue({{"SELECT", "0"}, {"INCR", key}});
  const std::string answer = cluster.ask(asked, {"EXEC"}, 8 * kSecondUs);
  EXPECT_TRUE(answer.starts_with("-")) << answer;
  cluster.world().heal();
  cluster.pass(3 * kSecondUs);
  EXPECT_EQ(cluster.ask(asked, {"INCR", key}, 5 * kSecondUs), ":3\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

// It comes in pieces, as from a socket.
std::string set_large(CalmCluster& cluster, uint32_t machine) {
  const std::string request = encoded({"SET", "large", std::string(size_t{2} << 20, 'x')});
  const size_t half = request.size() / 2;
  EXPECT_EQ(cluster.ask_raw(machine, request.substr(0, half), 0), "");
  return cluster.ask_raw(machine, request.substr(half), 1);
}

TEST(OperatorWorld, a_request_above_the_limit_is_refused_and_the_limit_is_a_setting) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(set_large(cluster, machine), kOk);
    EXPECT_EQ(cluster.ask(machine, {"CONFIG", "SET", "cluster-request-limit", "1mb"}), kOk);
    EXPECT_EQ(set_large(cluster, machine),
              "-ERR the request is larger than cluster-request-limit (1048576 bytes)\r\n");
    EXPECT_EQ(cluster.ask(machine, {"SET", "small", "v"}), kOk);
  }
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "cluster-request-limit", "1"}).substr(0, 5), "-ERR ");
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "cluster-request-limit", "1gb"}).substr(0, 5),
            "-ERR ");
}

// Of a pipeline that stands in the connection's buffer, since the client waits for something, each request counts by itself.
TEST(OperatorWorld, the_limit_is_of_one_request_whatever_stands_behind_it) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(cluster.ask(machine, {"CONFIG", "SET", "cluster-request-limit", "1mb"}), kOk);
    const std::string queue = "queue" + std::to_string(machine);
    EXPECT_EQ(cluster.ask(machine, {"BLPOP", queue, "0"}), "");
    constexpr size_t kRequests = 30;
    std::string requests;
    for (size_t number = 0; number < kRequests; ++number) {
      requests += encoded({"SET", "k" + std::to_string(number), std::string(50'000, 'x')});
    }
    requests += encoded({"SET", "large", std::string(size_t{2} << 20, 'x')});
    EXPECT_EQ(cluster.ask_raw(machine, requests, 0), "");
    EXPECT_EQ(cluster.ask((machine + 1) % 3, {"RPUSH", queue, "e"}), ":1\r\n");
    std::string expected = "*2\r\n$6\r\n" + queue + "\r\n$1\r\ne\r\n";
    for (size_t number = 0; number < kRequests; ++number) expected += kOk;
    expected += "-ERR the request is larger than cluster-request-limit (1048576 bytes)\r\n";
    std::string heard;
    for (int tries = 0; tries < 20 && heard.size() < expected.size(); ++tries) {
      cluster.pass(kSecondUs);
      heard += cluster.heard(machine);
    }
    EXPECT_EQ(heard, expected);
  }
}

// Nor does it pass since a pause has kept it for a while.
TEST(OperatorWorld, the_limit_holds_behind_a_pause) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "cluster-request-limit", "1mb"}), kOk);
  EXPECT_EQ(cluster.ask(0, {"CLIENT", "PAUSE", "500", "WRITE"}), kOk);
  EXPECT_EQ(cluster.ask(0, {"SET", "large", std::string(size_t{2} << 20, 'x')}, 2 * kSecondUs),
            "-ERR the request is larger than cluster-request-limit (1048576 bytes)\r\n");
}

TEST(OperatorWorld, a_node_gets_its_share_by_node_weight) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "replication-n", "1"}), kOk);
  EXPECT_EQ(cluster.ask(1, {"CONFIG", "SET", "node-weight", "200"}), kOk);
  const auto has_its_share = [&] {
    return cluster.count_led(1) == kCalmPartitions / 2 && cluster.is_led_as_planned(3);
  };
  for (int step = 0; step < 400 && !has_its_share(); ++step) cluster.pass(kSecondUs / 20);
  EXPECT_EQ(cluster.count_led(1), kCalmPartitions / 2);
  EXPECT_NE(cluster.ask(2, {"QUORUM", "STATUS"}).find("weight\r\n:200"), std::string::npos);
  EXPECT_EQ(cluster.ask(1, {"CONFIG", "SET", "node-weight", "0"}).substr(0, 5), "-ERR ");
}

TEST(OperatorWorld, a_node_that_is_asked_to_remove_itself_says_that_it_is_out) {
  CalmCluster cluster(4);
  // Of the largest id: it waits to be dialled, and nobody dials it any more.
  const auto id_of = [&](uint32_t machine) { return cluster.company(machine).cluster().own().id; };
  uint32_t last = 0;
  for (uint32_t machine = 1; machine < 4; ++machine) last = id_of(machine) > id_of(last) ? machine : last;
  const uint32_t other = (last + 1) % 4;
  const std::string name = name_of(cluster, last);
  ASSERT_EQ(cluster.ask(last, {"QUORUM", "DRAIN", name}), kOk);
  std::string answer;
  for (int step = 0; step < 400 && !answer.starts_with('+'); ++step) {
    cluster.pass(kSecondUs / 20);
    answer = cluster.ask(last, {"QUORUM", "REMOVE", name}, 10 * kSecondUs);
    // It still leads, or votes among the members.
    ASSERT_TRUE(answer == kOk || answer.starts_with("-ERR ")) << answer;
  }
  EXPECT_EQ(answer, kOk);
  EXPECT_EQ(cluster.ask(other, {"QUORUM", "STATUS"}).find(name), std::string::npos);
}

}  // namespace
}  // namespace quorate::sim

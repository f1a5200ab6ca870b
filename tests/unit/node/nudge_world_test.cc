// Reads that meet a copy which lags, among whole nodes without faults (REPLICATION 4).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr int64_t kStepUs = 50;

// A client that looks more often than once in ten milliseconds.
class QuickClient {
 public:
  QuickClient(CalmCluster& cluster, uint32_t machine)
      : cluster_(cluster), machine_(machine), client_(cluster.node(machine).connect()) {}
  std::string ask(const std::vector<std::string>& words) {
    SimNode& node = cluster_.node(machine_);
    node.send(client_, encoded(words));
    node.end_turn();
    for (int step = 0; step < 10'000; ++step) {
      while (node.is_sending(client_)) node.drain_socket(client_);
      std::string answer = std::exchange(node.received(client_), {});
      if (!answer.empty()) return answer;
      cluster_.pass(kStepUs);
    }
    return "no answer";
  }

 private:
  CalmCluster& cluster_;
  const uint32_t machine_;
  const int client_;
};

uint64_t state_index(CalmCluster& cluster, uint32_t machine, uint32_t partition) {
  return cluster.company(machine).cluster().partitions().state_index(partition).value;
}

// How long after the write, and a read of such a level, the copy here lacks something.
int64_t lag_us(CalmCluster& cluster, uint32_t machine, const std::string& level, bool reads) {
  uint32_t leader = machine;
  std::string key;
  for (int number = 0; leader == machine; ++number) {
    key = "k" + std::to_string(number);
    for (uint32_t other = 0; other < 3; ++other)
      leader = cluster.company(other).serves(cluster.partition_of(key)) ? other : leader;
  }
  const uint32_t partition = cluster.partition_of(key);
  QuickClient client(cluster, machine);
  EXPECT_EQ(client.ask({"CLIENT", "QUORUM", "R", level}), "+OK\r\n");
  EXPECT_EQ(client.ask({"GET", key}), "$-1\r\n");
  cluster.pass(kSecondUs / 5);
  EXPECT_EQ(client.ask({"SET", key, "v"}), "+OK\r\n");
  const int64_t written_us = cluster.world().now_us();
  if (reads) {
    EXPECT_EQ(client.ask({"GET", key}), "$1\r\nv\r\n");
  }
  while (state_index(cluster, machine, partition) < state_index(cluster, leader, partition))
    cluster.pass(kStepUs);
  const int64_t lag = cluster.world().now_us() - written_us;
  EXPECT_EQ(client.ask({"DEL", key}), ":1\r\n");
  cluster.pass(kSecondUs / 5);
  return lag;
}

TEST(NudgeWorld, a_read_that_finds_its_copy_behind_brings_it_up) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    for (const std::string level : {"local", "bounded:20", "quorum", "2"}) {
      // Nobody reads: the copy hears of the commit a few milliseconds later.
      EXPECT_GT(lag_us(cluster, machine, level, false), 3'000) << level;
      EXPECT_LT(lag_us(cluster, machine, level, true), 3'000) << level;
    }
  }
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

// Reads of several keys, and of all, that the copies of a node answer without a leader (tests/sim/cluster_world.h).
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr int kKeys = 40;

std::string key(int number) { return "k" + std::to_string(number); }

std::vector<std::string> of_all_keys(const std::string& name) {
  std::vector<std::string> words = {name};
  for (int number = 0; number < kKeys; ++number) words.push_back(key(number));
  return words;
}

void write_all(CalmCluster& cluster, const std::string& value) {
  for (int number = 0; number < kKeys; ++number) EXPECT_EQ(cluster.ask(0, {"SET", key(number), value}), "+OK\r\n");
  cluster.pass(kSecondUs / 10);   // who follows hears what is committed
}

std::string all_values(const std::string& value) {
  std::string reply = "*" + std::to_string(kKeys) + "\r\n";
  for (int number = 0; number < kKeys; ++number) reply += "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  return reply;
}

// The cursor of a page, and how many names it has.
std::pair<std::string, size_t> page(CalmCluster& cluster, uint32_t machine, const std::string& cursor) {
  const std::string reply = cluster.ask_at_once(machine, {"SCAN", cursor});
  ReplyParser parser;
  parser.feed(reply);
  ReplyValue value;
  EXPECT_EQ(parser.next(value), ReplyParser::Outcome::kValue) << reply;
  if (value.items.size() != 2) return {"0", 0};
  return {value.items[0].text, value.items[1].items.size()};
}

void expect_scan(CalmCluster& cluster, uint32_t machine) {
  size_t names = 0;
  std::string cursor = "0";
  do {
    const auto [next, found] = page(cluster, machine, cursor);
    cursor = next;
    names += found;
  } while (cursor != "0");
  EXPECT_EQ(names, static_cast<size_t>(kKeys));
}

// Everything is answered by what is here, at once.
void expect_answers(CalmCluster& cluster, uint32_t machine, const std::string& value) {
  const std::string count = ":" + std::to_string(kKeys) + "\r\n";
  EXPECT_EQ(cluster.ask_at_once(machine, of_all_keys("MGET")), all_values(value));
  EXPECT_EQ(cluster.ask_at_once(machine, of_all_keys("EXISTS")), count);
  EXPECT_EQ(cluster.ask_at_once(machine, of_all_keys("TOUCH")), count);
  EXPECT_EQ(cluster.ask_at_once(machine, {"DBSIZE"}), count);
  EXPECT_TRUE(cluster.ask_at_once(machine, {"KEYS", "*"}).starts_with("*" + std::to_string(kKeys) + "\r\n"));
  EXPECT_TRUE(cluster.ask_at_once(machine, {"RANDOMKEY"}).starts_with("$"));
  expect_scan(cluster, machine);
}

TEST(CopyReadsWorld, reads_of_several_keys_are_answered_by_the_copies_here) {
  CalmCluster cluster(3);
  write_all(cluster, "v");
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(cluster.ask_at_once(machine, of_all_keys("MGET")), "");
    cluster.pass(kSecondUs / 10);
    EXPECT_EQ(cluster.heard(machine), all_values("v"));
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "local"}), "+OK\r\n");
    expect_answers(cluster, machine, "v");
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "default"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"READONLY"}), "+OK\r\n");
    expect_answers(cluster, machine, "v");
    EXPECT_EQ(cluster.ask(machine, {"READWRITE"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "ONCE", "R", "local"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask_at_once(machine, of_all_keys("MGET")), all_values("v"));
    EXPECT_EQ(cluster.ask_at_once(machine, of_all_keys("MGET")), "");
    cluster.pass(kSecondUs / 10);
    EXPECT_EQ(cluster.heard(machine), all_values("v"));
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(CopyReadsWorld, they_go_on_without_a_quorum) {
  CalmCluster cluster(3);
  write_all(cluster, "v");
  const std::vector<std::string> levels[] = {{"CLIENT", "QUORUM", "R", "local"}, {"READONLY"}};
  for (uint32_t machine = 0; machine < 2; ++machine) EXPECT_EQ(cluster.ask(machine, levels[machine]), "+OK\r\n");
  for (uint32_t machine = 0; machine < 2; ++machine) {
    cluster.world().isolate(machine);
    // While it believes to lead, when it doubts that, and once it knows that nobody confirms it.
    for (const int64_t us : {int64_t{0}, kSecondUs / 20, kSecondUs / 10, kSecondUs / 4, 2 * kSecondUs}) {
      cluster.pass(us);
      expect_answers(cluster, machine, "v");
    }
    cluster.world().heal();
    cluster.pass(2 * kSecondUs);
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(CopyReadsWorld, a_leader_that_lost_its_quorum_tells_at_level_local_what_it_has_executed) {
  CalmCluster cluster(3);
  write_all(cluster, "v");
  uint32_t leader = 0;
  while (leader < 2 && !cluster.company(leader).serves(cluster.partition_of(key(0)))) ++leader;
  cluster.world().isolate(leader);
  // Not answered: nobody else has it.
  EXPECT_EQ(cluster.ask(leader, {"SET", key(0), "w"}, kSecondUs / 50), "");
  cluster.pass(kSecondUs);
  const int other = cluster.node(leader).connect();
  for (const auto& words : {std::vector<std::string>{"CLIENT", "QUORUM", "R", "local"}, of_all_keys("MGET"), {"GET", key(0)}}) {
    cluster.node(leader).send(other, encoded(words));
  }
  cluster.node(leader).end_turn();
  while (cluster.node(leader).is_sending(other)) cluster.node(leader).drain_socket(other);
  std::string expected = "+OK\r\n" + all_values("v") + "$1\r\nw\r\n";
  expected[expected.find("$1\r\nv") + 4] = 'w';
  EXPECT_EQ(cluster.node(leader).received(other), expected);
}

TEST(CopyReadsWorld, keys_of_which_one_wants_its_leader_are_read_there) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "quorum-policy", "k1: r=local"}), "+OK\r\n");
  cluster.pass(kSecondUs / 2);
  // Of two partitions that the node does not lead.
  std::string mine;
  std::string other;
  for (int number = 0; number < 100 && (mine.empty() || other.empty()); ++number) {
    const std::string local = "k1:" + std::to_string(number);
    const std::string plain = "p" + std::to_string(number);
    if (mine.empty() && !cluster.company(0).serves(cluster.partition_of(local))) mine = local;
    if (other.empty() && !cluster.company(0).serves(cluster.partition_of(plain))) other = plain;
  }
  ASSERT_FALSE(mine.empty() || other.empty());
  EXPECT_EQ(cluster.ask_at_once(0, {"MGET", mine, mine}), "*2\r\n$-1\r\n$-1\r\n");
  EXPECT_EQ(cluster.ask_at_once(0, {"MGET", mine, other}), "");
  cluster.pass(kSecondUs / 10);
  EXPECT_EQ(cluster.heard(0), "*2\r\n$-1\r\n$-1\r\n");
  // All of one partition, and one of them wants its leader.
  EXPECT_EQ(cluster.ask_at_once(0, {"MGET", mine, "{" + mine + "}"}), "");
  cluster.pass(kSecondUs / 10);
  EXPECT_EQ(cluster.heard(0), "*2\r\n$-1\r\n$-1\r\n");
  EXPECT_EQ(cluster.ask_at_once(0, {"DBSIZE"}), "");
}

TEST(CopyReadsWorld, a_connection_reads_of_several_keys_what_it_has_written) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "local"}), "+OK\r\n");
    std::string requests;
    std::vector<std::string> set = {"MSET"};
    for (int number = 0; number < kKeys; ++number) {
      set.push_back(key(number));
      set.push_back(std::to_string(machine));
    }
    // One behind the other, without waiting.
    requests = encoded(set) + encoded(of_all_keys("MGET")) + encoded({"DBSIZE"});
    EXPECT_EQ(cluster.ask_raw(machine, requests, 3), "+OK\r\n" + all_values(std::to_string(machine)) + ":" + std::to_string(kKeys) + "\r\n");
  }
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

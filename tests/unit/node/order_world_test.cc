// Keys and members stand in one order at all nodes: who scans goes on at any of them
// (tests/sim/cluster_world.h).
#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

using Words = std::vector<std::string>;
// The answer to a request; empty: there is none yet.
using Ask = std::function<std::string(const Words&)>;

constexpr const char* kOk = "+OK\r\n";
constexpr int kStaying = 800;  // more than small forms have

bool is_good(const std::string& answer) { return !answer.empty() && answer.front() != '-'; }

std::string staying(int number) { return "stays" + std::to_string(number); }

// Keys, and values of the types that can be scanned.
std::vector<Words> writes() {
  Words keys = {"MSET"};
  Words hash = {"HSET", "hash"};
  Words set = {"SADD", "set"};
  Words sorted = {"ZADD", "sorted"};
  for (int number = 0; number < kStaying; ++number) {
    keys.insert(keys.end(), {staying(number), "v"});
    hash.insert(hash.end(), {staying(number), "v"});
    set.push_back(staying(number));
    sorted.insert(sorted.end(), {"1", staying(number)});
  }
  return {keys, hash, set, sorted};
}

// A walk in pages, each of which may be asked somewhere else.
class Scan {
 public:
  // Words before the cursor, and what stands behind each name.
  Scan(Words words, size_t behind) : words_(std::move(words)), behind_(behind) {}
  bool is_over() const { return is_over_; }
  const std::string& cursor() const { return cursor_; }
  // False: it was not answered, or refused.
  bool step(const Ask& ask) {
    Words words = words_;
    words.insert(words.end(), {cursor_, "COUNT", "20"});
    ReplyParser parser;
    parser.feed(ask(words));
    ReplyValue value;
    if (parser.next(value) != ReplyParser::Outcome::kValue || value.items.size() != 2) return false;
    const std::vector<ReplyValue>& found = value.items[1].items;
    for (size_t at = 0; at < found.size(); at += 1 + behind_) seen_.insert(found[at].text);
    cursor_ = value.items[0].text;
    is_over_ = cursor_ == "0";
    return true;
  }
  // How many of those that were there all the time it has missed.
  int missed() const {
    int count = 0;
    for (int number = 0; number < kStaying; ++number)
      count += seen_.contains(staying(number)) ? 0 : 1;
    return count;
  }

 private:
  const Words words_;
  const size_t behind_;
  std::string cursor_ = "0";
  bool is_over_ = false;
  std::set<std::string> seen_;
};

std::vector<Scan> all_scans() {
  return {Scan({"SCAN"}, 0), Scan({"HSCAN", "hash"}, 1), Scan({"SSCAN", "set"}, 0),
          Scan({"ZSCAN", "sorted"}, 1)};
}

const Store& store_of(CalmCluster& cluster, uint32_t machine) {
  return cluster.node(machine).node().store();
}

void expect_one_order(CalmCluster& cluster, uint64_t seed) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(store_of(cluster, machine).hash_seed(), seed) << machine;
    EXPECT_EQ(store_of(cluster, machine).settings().hash_seed,
              store_of(cluster, 0).settings().hash_seed)
        << machine;
    EXPECT_EQ(cluster.company(machine).cluster().state().hash_seed(), seed) << machine;
  }
}

TEST(OrderWorld, all_nodes_have_the_founders_order_also_after_a_restart) {
  for (const bool in_memory : {false, true}) {
    ClusterSwarm swarm = calm_cluster(3);
    swarm.in_memory = in_memory;
    CalmCluster cluster(swarm);
    const uint64_t seed = store_of(cluster, 0).hash_seed();
    EXPECT_NE(seed, 0u);
    expect_one_order(cluster, seed);
    EXPECT_EQ(cluster.ask(0, {"SET", "k", "v"}), kOk);
    for (const uint32_t machine : {2u, 1u, 0u, 2u}) {
      cluster.restart(machine);
      cluster.pass(3 * kSecondUs);
      expect_one_order(cluster, seed);
      // With a snapshot of all it has, and without.
      cluster.connect_again(machine);
      if (!in_memory) cluster.ask(machine, {"BGREWRITEAOF"});
      cluster.pass(kSecondUs);
    }
    EXPECT_EQ(cluster.ask(1, {"GET", "k"}), "$1\r\nv\r\n");
    EXPECT_EQ(cluster.wrong(), "");
  }
}

// Who knew it could choose keys that all stand in one bucket.
TEST(OrderWorld, no_client_is_told_by_what_keys_are_ordered) {
  CalmCluster cluster(3);
  const Store& store = store_of(cluster, 1);
  for (const Words& words : {Words{"INFO", "everything"},
                             {"CONFIG", "GET", "*"},
                             {"CLUSTER", "INFO"},
                             {"CLUSTER", "NODES"},
                             {"CLUSTER", "SHARDS"},
                             {"CLUSTER", "MYID"},
                             {"QUORUM", "STATUS"},
                             {"QUORUM", "EXPLAIN", "k"},
                             {"QUORUM", "LOST"},
                             {"MEMORY", "STATS"}}) {
    const std::string answer = cluster.ask(1, words);
    EXPECT_TRUE(is_good(answer));
    for (const uint64_t seed : {store.hash_seed(), store.settings().hash_seed}) {
      char hex[2 * sizeof seed + 1];
      std::snprintf(hex, sizeof hex, "%" PRIx64, seed);
      for (const std::string& digits :
           {std::to_string(seed), std::to_string(static_cast<int64_t>(seed)), std::string(hex)})
        EXPECT_EQ(answer.find(digits), std::string::npos) << words[0];
    }
  }
}

TEST(OrderWorld, a_scan_goes_on_at_the_copies_of_another_node) {
  CalmCluster cluster(3);
  for (const Words& words : writes()) EXPECT_TRUE(is_good(cluster.ask(0, words)));
  for (uint32_t machine = 0; machine < 3; ++machine)
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "local"}), kOk);
  cluster.pass(kSecondUs / 10);
  int more = 0;
  for (Scan& scan : all_scans()) {
    for (uint32_t page = 0; page < 1000 && !scan.is_over(); ++page) {
      ASSERT_TRUE(
          scan.step([&](const Words& words) { return cluster.ask_at_once(page % 3, words); }));
      if (page % 10 != 9) continue;
      // Tables grow meanwhile.
      const std::string name = "more" + std::to_string(++more);
      for (const Words& words : {Words{"HSET", "hash", name, "v"}, Words{"SADD", "set", name},
                                 Words{"ZADD", "sorted", "2", name}})
        EXPECT_EQ(cluster.ask(2, words), ":1\r\n");
      Words keys = {"MSET"};
      for (int number = 0; number < 200; ++number)
        keys.insert(keys.end(), {name + "." + std::to_string(number), "v"});
      EXPECT_EQ(cluster.ask(2, keys), kOk);
      cluster.pass(kSecondUs / 10);  // all copies have it
    }
    EXPECT_TRUE(scan.is_over());
    EXPECT_EQ(scan.missed(), 0);
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(OrderWorld, a_scan_goes_on_at_the_next_leader) {
  CalmCluster cluster(3);
  for (const Words& words : writes()) EXPECT_TRUE(is_good(cluster.ask(0, words)));
  uint32_t next = 0;
  for (Scan& scan : all_scans()) {
    for (uint32_t page = 0; page < 1000 && !scan.is_over(); ++page) {
      // Whom its client has asked takes over, or dies.
      if (page % 12 == 5) {
        next = (next + 1) % 3;
        EXPECT_EQ(cluster.ask(next, {"CLUSTER", "FAILOVER"}), kOk);
        for (int step = 0; step < 100 && cluster.count_led(next) < kCalmPartitions; ++step)
          cluster.pass(kSecondUs / 20);
        EXPECT_EQ(cluster.count_led(next), kCalmPartitions);
      } else if (page % 12 == 11) {
        cluster.restart(next);
        cluster.pass(kSecondUs);
        cluster.connect_again(next);
      }
      const uint32_t asked = page % 3;
      bool is_answered = false;
      for (int tries = 0; tries < 10 && !is_answered; ++tries)
        is_answered =
            scan.step([&](const Words& words) { return cluster.ask(asked, words, 3 * kSecondUs); });
      ASSERT_TRUE(is_answered);
    }
    EXPECT_TRUE(scan.is_over());
    EXPECT_EQ(scan.missed(), 0);
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(OrderWorld, a_scan_that_began_at_a_node_alone_goes_on_in_the_cluster_that_it_founds) {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.boot_after_us = 3 * kSecondUs;
  ClusterWorld world({.seed = 1}, swarm);
  const auto pass = [&](int64_t us) { world.run(world.now_us() + us); };
  const auto ask = [&](uint32_t machine, int connection) -> Ask {
    return [&world, pass, machine, connection](const Words& words) {
      SimNode& node = *world.node(machine);
      node.send(connection, encoded(words));
      node.end_turn();
      std::string heard;
      for (int step = 0; step < 300 && heard.empty(); ++step) {
        pass(kSecondUs / 100);
        while (node.is_sending(connection)) node.drain_socket(connection);
        heard = std::exchange(node.received(connection), {});
      }
      return heard;
    };
  };
  pass(kSecondUs / 2);
  const Ask alone = ask(0, world.node(0)->connect());
  for (const Words& words : writes()) EXPECT_TRUE(is_good(alone(words)));
  std::vector<Scan> scans = all_scans();
  for (Scan& scan : scans) {
    for (int page = 0; page < 3; ++page) EXPECT_TRUE(scan.step(alone));
    EXPECT_FALSE(scan.is_over());
  }
  EXPECT_TRUE(world.node(0)->node().state().company.is_alone());
  for (int step = 0; step < 400 && !(step > 0 && world.is_settled()); ++step) pass(kSecondUs / 20);
  EXPECT_EQ(world.describe_unsettled(), "");
  pass(2 * kSecondUs);
  const Ask others[] = {ask(1, world.node(1)->connect()), ask(2, world.node(2)->connect())};
  for (const Ask& other : others) EXPECT_EQ(other({"CLIENT", "QUORUM", "R", "local"}), kOk);
  for (Scan& scan : scans) {
    for (int page = 0; page < 1000 && !scan.is_over(); ++page)
      ASSERT_TRUE(scan.step(others[page % 2]));
    EXPECT_TRUE(scan.is_over());
    EXPECT_EQ(scan.missed(), 0);
  }
  EXPECT_EQ(world.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

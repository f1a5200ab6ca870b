// max-uncommitted-bytes: what is executed and not committed is bounded, among whole nodes and of a
// node alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr const char* kUncommitted =
    "-TRYAGAIN more than max-uncommitted-bytes (1048576) of earlier writes are not committed yet; "
    "nothing was done\r\n";
constexpr const char* kUnwritten =
    "-TRYAGAIN more than max-uncommitted-bytes (1048576) of earlier writes are not on disk yet; "
    "nothing was done\r\n";
const std::string kLarge(100'000, 'x');

uint64_t count_told(const SimNode& node, std::string_view what) {
  const auto& lines = node.log_lines();
  return static_cast<uint64_t>(
      std::count_if(lines.begin(), lines.end(),
                    [&](const std::string& line) { return line.find(what) != std::string::npos; }));
}

// Three nodes: two of them take no more into their logs than there is now, and go on to say that
// they are there.
class Uncommitted : public testing::Test {
 protected:
  Uncommitted() : cluster_(3) {
    // Nothing is written within the turn, so that a disk that stands still takes nothing.
    EXPECT_EQ(cluster_.ask(0, {"CONFIG", "SET", "appendfsync", "always"}, 5 * kSecondUs),
              "+OK\r\n");
    cluster_.pass(kSecondUs);
    for (uint32_t machine = 0; machine < 3; ++machine) {
      EXPECT_EQ(cluster_.ask(machine, {"CONFIG", "SET", "max-uncommitted-bytes", "1mb"}),
                "+OK\r\n");
    }
  }
  std::string key_led(uint32_t machine, bool is_led, int skip = 0) {
    for (int number = 0; number < 1000; ++number) {
      const std::string name = "s" + std::to_string(number);
      if (cluster_.company(machine).serves(cluster_.partition_of(name)) == is_led && skip-- == 0)
        return name;
    }
    ADD_FAILURE() << "there is no such key";
    return "";
  }
  // A client that does not wait for its answers, and sends no more than a turn's share at once.
  void send_much(uint32_t machine, const std::string& key) {
    const int client = cluster_.node(machine).connect();
    for (int turn = 0; turn < 40; ++turn) {
      cluster_.node(machine).send(client, encoded({"SET", key, kLarge}));
      cluster_.node(machine).end_turn();
    }
  }
  std::string info(uint32_t machine) {
    const std::string all = cluster_.ask(machine, {"INFO", "quorum"});
    const size_t at = all.find("uncommitted_bytes:");
    return all.substr(at, all.find('\r', at) - at);
  }
  CalmCluster cluster_;
};

TEST_F(Uncommitted, writes_are_refused_until_enough_is_committed) {
  const std::string key = key_led(0, true);
  const std::string other = key_led(0, true, 1);
  EXPECT_EQ(cluster_.ask(0, {"SET", other, "v", "PX", "400"}), "+OK\r\n");
  for (const uint32_t machine : {1u, 2u}) cluster_.world().stall_disk(machine, 3 * kSecondUs);
  send_much(0, key);
  const uint64_t bytes = cluster_.company(0).uncommitted_bytes();
  EXPECT_GT(bytes, 1u << 20);
  EXPECT_LT(bytes, (1u << 20) + 2 * kLarge.size())
      << "the turn in which it was too much, and no more";
  EXPECT_EQ(cluster_.ask_at_once(0, {"SET", other, "w"}), kUncommitted);
  EXPECT_EQ(cluster_.ask_at_once(0, {"DEL", other}), kUncommitted);
  EXPECT_EQ(cluster_.ask_at_once(0, {"BLPOP", key_led(0, true, 2), "1"}), kUncommitted);
  // What was queued is not run.
  EXPECT_EQ(cluster_.ask_at_once(0, {"MULTI"}), "+OK\r\n");
  EXPECT_EQ(cluster_.ask_at_once(0, {"SET", other, "w"}), "+QUEUED\r\n");
  EXPECT_TRUE(cluster_.ask_at_once(0, {"EXEC"}).starts_with("-EXECABORT"));
  // Who asks another node is told the same.
  EXPECT_EQ(cluster_.ask(1, {"SET", other, "w"}), kUncommitted);
  EXPECT_TRUE(cluster_.ask_at_once(0, {"PING"}).starts_with("+PONG"));
  EXPECT_EQ(cluster_.ask_at_once(0, {"GET", other}), "$1\r\nv\r\n");
  EXPECT_EQ(info(0), "uncommitted_bytes:" + std::to_string(bytes));
  // What expires goes all the same.
  cluster_.pass(kSecondUs);
  EXPECT_GT(cluster_.company(0).uncommitted_bytes(), bytes);
  EXPECT_EQ(count_told(cluster_.node(0), "more than max-uncommitted-bytes -> writes are refused"),
            1u);
  cluster_.pass(5 * kSecondUs);
  EXPECT_EQ(cluster_.ask(0, {"SET", other, "w"}), "+OK\r\n");
  cluster_.pass(kSecondUs);
  for (uint32_t machine = 0; machine < 3; ++machine)
    EXPECT_EQ(info(machine), "uncommitted_bytes:0");
  EXPECT_EQ(count_told(cluster_.node(0), "-> writes are accepted"), 1u);
  EXPECT_EQ(cluster_.wrong(), "");
}

// Nobody counts what it does not lead.
TEST_F(Uncommitted, who_is_deposed_serves_what_it_leads_again) {
  const std::string key = key_led(0, true);
  cluster_.world().isolate(0);
  send_much(0, key);
  EXPECT_EQ(cluster_.ask_at_once(0, {"SET", key, "w"}), kUncommitted);
  cluster_.pass(5 * kSecondUs);
  EXPECT_EQ(cluster_.company(0).uncommitted_bytes(), 0u);
  cluster_.world().heal();
  cluster_.pass(15 * kSecondUs);
  EXPECT_EQ(cluster_.world().describe_unsettled(), "");
  EXPECT_EQ(cluster_.ask(0, {"SET", key, "w"}), "+OK\r\n");
  EXPECT_EQ(cluster_.wrong(), "");
}

TEST(UncommittedAlone, writes_are_refused_until_the_disk_has_taken_enough) {
  SlowDiskNode world("max-uncommitted-bytes 1mb\n");
  for (int turn = 0; turn < 40; ++turn)
    world.ask(world.client, {"SET", "k" + std::to_string(turn), kLarge});
  EXPECT_EQ(world.taken(world.client), "");
  const size_t keys = world.node->node().store().database(0).size();
  EXPECT_EQ(keys, 11u);
  world.ask(world.other, {"SET", "more", "v"});
  EXPECT_EQ(world.taken(world.other), kUnwritten);
  world.ask(world.other, {"PING"});
  EXPECT_EQ(world.taken(world.other), "+PONG\r\n");
  world.settle();
  const std::string answers = world.taken(world.client);
  EXPECT_TRUE(answers.starts_with("+OK\r\n"));
  EXPECT_TRUE(answers.ends_with(kUnwritten));
  world.ask(world.other, {"SET", "more", "v"});
  world.settle();
  EXPECT_EQ(world.taken(world.other), "+OK\r\n");
  EXPECT_EQ(world.node->node().store().database(0).size(), keys + 1);
}

}  // namespace
}  // namespace quorate::sim

// Levels and WAIT among whole nodes (tests/sim/cluster_world.h), without faults.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "node/company.h"
#include "node/forward.h"
#include "node/forward_message.h"
#include "node/state.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

TEST(LevelsWorld, writes_and_reads_are_answered_at_every_level_from_every_node) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    for (const std::string write : {"1", "2", "3", "quorum", "all"}) {
      for (const std::string read : {"lease", "quorum", "local", "1", "2", "3", "bounded:100"}) {
        EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "W", write, "R", read}), "+OK\r\n");
        EXPECT_EQ(cluster.ask(machine, {"SET", "k", write}), "+OK\r\n") << write;
        const std::string value = "$" + std::to_string(write.size()) + "\r\n" + write + "\r\n";
        EXPECT_EQ(cluster.ask(machine, {"GET", "k"}), value) << read;
        EXPECT_EQ(cluster.ask(machine, {"SET", "k", "x", "NX"}), "$-1\r\n") << read;
      }
    }
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "W", "default", "R", "default"}), "+OK\r\n");
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LevelsWorld, what_asks_for_more_than_live_is_not_done) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    const std::string key = "k" + std::to_string(machine);
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "W", "4", "R", "5"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"SET", key, "v"}), "-NOREPLICAS 4 copies are asked for, 3 live; nothing was done\r\n");
    EXPECT_EQ(cluster.ask(machine, {"GET", key}), "-NOREPLICAS 5 voters are asked for, 3 live; nothing was read\r\n");
    EXPECT_EQ(cluster.ask(machine, {"MULTI"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"SET", key, "v"}), "+QUEUED\r\n");
    const std::string aborted = cluster.ask(machine, {"EXEC"});
    EXPECT_TRUE(aborted.starts_with("-EXECABORT Transaction discarded because of: NOREPLICAS 4 copies")) << aborted;
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "W", "3", "R", "default"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"GET", key}), "$-1\r\n");
  }
}

TEST(LevelsWorld, what_is_acknowledged_is_in_as_many_zones_as_there_shall_be) {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.min_zones = 2;   // the second node is alone in its zone
  CalmCluster cluster(swarm);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    for (const std::string write : {"1", "quorum", "all"}) {
      EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "W", write}), "+OK\r\n");
      EXPECT_EQ(cluster.ask(machine, {"SET", "k", write}), "+OK\r\n") << write;
    }
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "W", "default"}), "+OK\r\n");
  }
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "min-zones", "3"}), "+OK\r\n");
  cluster.pass(kSecondUs / 2);
  EXPECT_EQ(cluster.ask(2, {"SET", "k", "v"}), "-NOREPLICAS copies in 3 zones are asked for (min-zones), 2 live; nothing was done\r\n");
  EXPECT_EQ(cluster.ask(2, {"GET", "k"}), "$3\r\nall\r\n");
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "min-zones", "2"}), "+OK\r\n");
  cluster.pass(kSecondUs / 2);
  cluster.world().kill(1, 20 * kSecondUs);
  cluster.pass(2 * kSecondUs);
  for (const uint32_t machine : {0u, 2u}) {
    EXPECT_EQ(cluster.ask(machine, {"SET", "k", "v"}), "-NOREPLICAS copies in 2 zones are asked for (min-zones), 1 live; nothing was done\r\n");
    EXPECT_EQ(cluster.ask(machine, {"GET", "k"}), "$3\r\nall\r\n");
  }
  EXPECT_EQ(cluster.wrong(), "");
}

// A key that the first or the third node leads: both are in the other zone than the second one.
std::string key_led_beside_the_second(CalmCluster& cluster, uint32_t& leader) {
  for (int number = 0; number < 100; ++number) {
    const std::string key = "k" + std::to_string(number);
    for (const uint32_t machine : {0u, 2u}) {
      leader = machine;
      if (cluster.company(machine).serves(cluster.partition_of(key))) return key;
    }
  }
  ADD_FAILURE() << "the second node leads everything";
  return "";
}

TEST(LevelsWorld, what_is_executed_and_not_in_enough_zones_in_time_is_uncertain) {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.min_zones = 2;
  CalmCluster cluster(swarm);
  uint32_t leader = 0;
  const std::string key = key_led_beside_the_second(cluster, leader);
  // Two of three commit, and are in one zone.  It is not known yet that nothing more is heard of the other zone.
  cluster.world().isolate(1);
  const std::string answer = cluster.ask(leader, {"SET", key, "v"}, 8 * kSecondUs);
  EXPECT_EQ(answer, "-UNCERTAIN committed, but held in 1 of 2 zones in time\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LevelsWorld, who_waits_for_zones_hears_of_a_member_that_is_in_another_zone_than_before) {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.min_zones = 2;
  CalmCluster cluster(swarm);
  uint32_t leader = 0;
  const std::string key = key_led_beside_the_second(cluster, leader);
  cluster.world().isolate(1);
  ASSERT_EQ(cluster.ask(leader, {"SET", key, "v"}, 2 * kSecondUs), "");
  ClusterNode& members = cluster.company(leader).cluster();
  MemberRecord other = *members.state().find(cluster.company(2 - leader).cluster().own().id);
  other.zone = "elsewhere";
  ASSERT_NE(members.propose(meta::Enrol{other}), 0u);
  cluster.pass(kSecondUs);
  EXPECT_EQ(cluster.heard(leader), "+OK\r\n");
  // The world has not heard of the new zone.
  EXPECT_TRUE(cluster.wrong().starts_with("I7: n")) << cluster.wrong();
}

TEST(LevelsWorld, two_nodes_hold_two_copies) {
  CalmCluster cluster(2);
  for (uint32_t machine = 0; machine < 2; ++machine) {
    for (const std::string write : {"1", "2", "quorum", "all"}) {
      EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "W", write}), "+OK\r\n");
      EXPECT_EQ(cluster.ask(machine, {"SET", "k", "v"}), "+OK\r\n") << write;
    }
    EXPECT_EQ(cluster.ask(machine, {"WAIT", "1", "0"}), ":1\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAIT", "all", "0"}), ":1\r\n");
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "W", "3"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"SET", "k", "v"}), "-NOREPLICAS 3 copies are asked for, 2 live; nothing was done\r\n");
  }
}

TEST(LevelsWorld, wait_tells_how_many_others_have_what_was_written) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    // A connection that has written nothing lacks nothing.
    EXPECT_EQ(cluster.ask(machine, {"WAIT", "0", "0"}), ":2\r\n");
    // In several partitions, led by several nodes.
    for (int key = 0; key < 20; ++key) EXPECT_EQ(cluster.ask(machine, {"SET", "k" + std::to_string(key), "v"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAIT", "2", "0"}), ":2\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAIT", "3", "50"}), ":2\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAIT", "all", "0"}), ":2\r\n");
    const std::string quorum = cluster.ask(machine, {"WAIT", "quorum", "0"});
    EXPECT_TRUE(quorum == ":1\r\n" || quorum == ":2\r\n") << quorum;
    const std::string none = cluster.ask(machine, {"WAIT", "0", "0"});
    EXPECT_TRUE(none == ":1\r\n" || none == ":2\r\n") << none;
  }
}

TEST(LevelsWorld, wait_counts_what_was_written_in_the_same_turn) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"CLIENT", "QUORUM", "W", "1"}), "+OK\r\n");
  SimNode& node = cluster.node(0);
  const int client = node.connect();
  for (int key = 0; key < 20; ++key) node.send(client, encoded({"SET", "k" + std::to_string(key), "v"}));
  node.send(client, encoded({"WAIT", "2", "0"}));
  cluster.pass(kSecondUs / 2);
  while (node.is_sending(client)) node.drain_socket(client);
  EXPECT_TRUE(node.received(client).ends_with("+OK\r\n:2\r\n")) << node.received(client);
}

uint32_t leader_of(CalmCluster& cluster, const std::string& key) {
  uint32_t leader = 0;
  while (!cluster.company(leader).serves(cluster.partition_of(key))) ++leader;
  return leader;
}

// The same connection has sent all of it at once: where its writes stand is known only once others have answered.
TEST(LevelsWorld, wait_counts_what_others_were_sent_before_it) {
  CalmCluster cluster(3);
  const uint32_t leader = leader_of(cluster, "k");
  const uint32_t silent = (leader + 1) % 3;
  cluster.world().isolate(silent);
  cluster.pass(kSecondUs);
  for (const uint32_t asked : {leader, (leader + 2) % 3}) {
    for (const std::vector<std::string>& write : {std::vector<std::string>{"SET", "k", "v"}, {"MSET", "k", "v", "k1", "v", "k2", "v", "k3", "v"}}) {
      const std::string waits = encoded({"WAIT", "1", "2000"}) + encoded({"WAIT", "2", "200"}) + encoded({"WAITAOF", "0", "2", "200"});
      const std::string answers = cluster.ask_raw(asked, encoded(write) + waits, 4);
      EXPECT_TRUE(answers.starts_with("+OK\r\n:1\r\n:1\r\n*2\r\n")) << answers;
      EXPECT_FALSE(answers.ends_with(":2\r\n")) << answers;
    }
    // Without a reply it is waited for as well.
    const std::string quietly = encoded({"CLIENT", "REPLY", "SKIP"}) + encoded({"SET", "k", "v"});
    EXPECT_EQ(cluster.ask_raw(asked, quietly + encoded({"WAIT", "2", "200"}), 1), ":1\r\n");
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LevelsWorld, the_strictest_policy_of_a_commands_keys_counts) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "write-quorum", "1", "read-quorum", "local"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "quorum-policy", "{k}strict w=quorum r=quorum"}), "+OK\r\n");
  cluster.pass(kSecondUs / 2);
  const uint32_t leader = leader_of(cluster, "{k}");
  const std::string strict = "{k}strict", cheap = "{k}cheap";
  EXPECT_EQ(cluster.ask(leader, {"SET", cheap, "v"}), "+OK\r\n");
  // While the leader is alone, and nobody knows it yet.
  const auto is_answered = [&](const std::vector<std::string>& words, const std::string& answer) {
    cluster.world().isolate(leader);
    const std::string at_once = cluster.ask(leader, words, kSecondUs / 100);
    cluster.world().heal();
    cluster.pass(kSecondUs);
    EXPECT_EQ(at_once + cluster.heard(leader), answer) << words[0];
    return !at_once.empty();
  };
  EXPECT_TRUE(is_answered({"MSET", cheap, "v", "{k}more", "v"}, "+OK\r\n"));
  EXPECT_TRUE(is_answered({"EXISTS", cheap}, ":1\r\n"));
  EXPECT_TRUE(is_answered({"DEL", "{k}more"}, ":1\r\n"));
  EXPECT_FALSE(is_answered({"SET", strict, "v"}, "+OK\r\n"));
  EXPECT_FALSE(is_answered({"MSET", cheap, "v", strict, "v"}, "+OK\r\n"));
  EXPECT_FALSE(is_answered({"MGET", cheap, strict}, "*2\r\n$1\r\nv\r\n$1\r\nv\r\n"));
  EXPECT_FALSE(is_answered({"EXISTS", strict}, ":1\r\n"));
  EXPECT_FALSE(is_answered({"DEL", strict}, ":1\r\n"));
  EXPECT_FALSE(is_answered({"RENAME", cheap, strict}, "+OK\r\n"));
  EXPECT_FALSE(is_answered({"UNLINK", strict}, ":1\r\n"));
  EXPECT_FALSE(is_answered({"LPUSH", strict, "a", "b"}, ":2\r\n"));
  EXPECT_FALSE(is_answered({"LMOVE", strict, cheap, "LEFT", "LEFT"}, "$1\r\nb\r\n"));
  EXPECT_FALSE(is_answered({"BLPOP", strict, "0"}, "*2\r\n$9\r\n{k}strict\r\n$1\r\na\r\n"));
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LevelsWorld, what_the_strictest_policy_cannot_get_is_refused) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "quorum-policy", "{k}strict w=all"}), "+OK\r\n");
  cluster.pass(kSecondUs / 2);
  const uint32_t leader = leader_of(cluster, "{k}");
  cluster.world().isolate((leader + 1) % 3);
  cluster.pass(kSecondUs);
  for (const std::vector<std::string>& words : {std::vector<std::string>{"DEL", "{k}strict"}, {"MSET", "{k}cheap", "v", "{k}strict", "v"}}) {
    EXPECT_EQ(cluster.ask(leader, words), "-NOREPLICAS 3 copies are asked for, 2 live; nothing was done\r\n");
  }
  EXPECT_EQ(cluster.ask(leader, {"MSET", "{k}cheap", "v", "{k}more", "v"}), "+OK\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LevelsWorld, a_write_that_comes_again_does_not_wait_for_copies_that_have_it) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("k");
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (!cluster.company(machine).serves(partition)) continue;
    const NodeId from = cluster.company((machine + 1) % 3).cluster().own().id;
    ForwardCommand command{.partition = partition,
                           .number = 1,
                           .flags = kForwardWrites,
                           .incarnation = cluster.company(machine).cluster().peers().incarnation_of(from),
                           .write_number = 1,
                           .lowest_wanted = 1};
    cluster.forward(machine, command, {"SET", "k", "v"});
    cluster.pass(kSecondUs / 2);
    EXPECT_FALSE(cluster.holds_answers(machine));
    command.number = command.attempt = 2;
    command.levels = {.write = {WriteLevel::kAll}};
    cluster.forward(machine, command, {"SET", "k", "v"});
    cluster.pass(kSecondUs / 2);
    EXPECT_FALSE(cluster.holds_answers(machine));
  }
}

TEST(LevelsWorld, nobody_waits_for_copies_of_what_was_lost) {
  CalmCluster cluster(3);
  const uint32_t partition = cluster.partition_of("k");
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (!cluster.company(machine).serves(partition)) continue;
    const raft::Core& core = *cluster.company(machine).cluster().partitions().core(partition);
    const LogPlace lost{.partition = partition, .term = core.term().value - 1, .index = core.last_index().value + 5};
    const LogPlace coming{.partition = partition, .term = core.term().value, .index = core.last_index().value + 5};
    for (uint32_t asked = 0; asked < 3; ++asked) {
      const auto has_written = [&](const LogPlace& place) {
        cluster.node(asked).node().state().sessions.for_each([&](Session& session) {
          session.places.clear();
          session.places.note(place);
        });
      };
      has_written(lost);
      EXPECT_EQ(cluster.ask(asked, {"WAIT", "1", "0"}), ":0\r\n");
      EXPECT_EQ(cluster.ask(asked, {"WAIT", "all", "0"}), ":0\r\n");
      has_written(coming);
      EXPECT_EQ(cluster.ask(asked, {"WAIT", "1", "200"}, kSecondUs / 10), "");
      cluster.pass(kSecondUs);
      EXPECT_EQ(cluster.heard(asked), ":0\r\n");
    }
  }
}

TEST(LevelsWorld, what_the_leader_has_synced_is_told_to_whoever_asks) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(cluster.ask(machine, {"SET", "k", "v"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAITAOF", "1", "0", "0"}, 5 * kSecondUs), "*2\r\n:1\r\n:0\r\n");
  }
}

TEST(LevelsWorld, what_copies_have_synced_is_asked_of_them) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    // In several partitions, led by several nodes.
    for (int key = 0; key < 20; ++key) EXPECT_EQ(cluster.ask(machine, {"SET", "k" + std::to_string(key), "v"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAITAOF", "1", "2", "0"}, 5 * kSecondUs), "*2\r\n:1\r\n:2\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAITAOF", "0", "3", "100"}), "*2\r\n:1\r\n:2\r\n");
  }
  // Who has not heard of it has not synced it.
  const uint32_t partition = cluster.partition_of("k");
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (!cluster.company(machine).serves(partition)) continue;
    cluster.world().isolate((machine + 1) % 3);
    EXPECT_EQ(cluster.ask(machine, {"SET", "k", "v"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAITAOF", "1", "2", "3000"}, 5 * kSecondUs), "*2\r\n:1\r\n:1\r\n");
    cluster.world().heal();
    EXPECT_EQ(cluster.ask(machine, {"WAITAOF", "1", "2", "0"}, 5 * kSecondUs), "*2\r\n:1\r\n:2\r\n");
    break;
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LevelsWorld, two_nodes_have_one_other_copy_that_can_be_synced) {
  CalmCluster cluster(2);
  for (uint32_t machine = 0; machine < 2; ++machine) {
    EXPECT_EQ(cluster.ask(machine, {"SET", "k", "v"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAITAOF", "1", "1", "0"}, 5 * kSecondUs), "*2\r\n:1\r\n:1\r\n");
  }
}

TEST(LevelsWorld, a_lease_that_lapses_within_a_turn_vouches_for_nothing) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"SET", "k", "v"}), "+OK\r\n");
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (!cluster.company(machine).serves(cluster.partition_of("k"))) continue;
    EXPECT_EQ(cluster.ask_in_slow_turn(machine, {"GET", "k"}, 0), "$1\r\nv\r\n");
    EXPECT_EQ(cluster.ask_in_slow_turn(machine, {"GET", "k"}, kSecondUs / 5), "");
    // The others have heard nothing, and confirm it.
    cluster.pass(kSecondUs / 2);
    EXPECT_EQ(cluster.heard(machine), "$1\r\nv\r\n");
  }
}

TEST(LevelsWorld, a_local_read_is_answered_by_the_copy_here) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"SET", "k", "v"}), "+OK\r\n");
  cluster.pass(kSecondUs / 10);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    const bool leads = cluster.company(machine).serves(cluster.partition_of("k"));
    EXPECT_EQ(cluster.ask_at_once(machine, {"GET", "k"}), leads ? "$1\r\nv\r\n" : "");
    cluster.pass(kSecondUs / 10);
    cluster.heard(machine);
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "local"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask_at_once(machine, {"GET", "k"}), "$1\r\nv\r\n");
    // Commands that write go to the leader all the same.
    EXPECT_EQ(cluster.ask(machine, {"APPEND", "k", ""}), ":1\r\n");
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "default"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"READONLY"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask_at_once(machine, {"GET", "k"}), "$1\r\nv\r\n");
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "lease"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask_at_once(machine, {"GET", "k"}), leads ? "$1\r\nv\r\n" : "");
    cluster.pass(kSecondUs / 10);
    cluster.heard(machine);
  }
}

TEST(LevelsWorld, a_copy_answers_bounded_reads_once_it_is_known_to_be_fresh) {
  CalmCluster cluster(3);
  EXPECT_EQ(cluster.ask(0, {"SET", "k", "v"}), "+OK\r\n");
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (cluster.company(machine).serves(cluster.partition_of("k"))) continue;
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "bounded:200"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask_at_once(machine, {"GET", "k"}), "");
    cluster.pass(kSecondUs / 20);
    EXPECT_EQ(cluster.heard(machine), "$1\r\nv\r\n");
    EXPECT_EQ(cluster.ask_at_once(machine, {"GET", "k"}), "$1\r\nv\r\n");
    // Nobody has read for so long that nothing is known any more.
    cluster.pass(kSecondUs / 2);
    EXPECT_EQ(cluster.ask_at_once(machine, {"GET", "k"}), "");
    cluster.pass(kSecondUs / 20);
    EXPECT_EQ(cluster.heard(machine), "$1\r\nv\r\n");
  }
}

TEST(LevelsWorld, a_connection_reads_locally_what_it_has_written) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(cluster.ask(machine, {"CLIENT", "QUORUM", "R", "local"}), "+OK\r\n");
    for (int count = 1; count <= 20; ++count) {
      const std::string key = "n" + std::to_string(machine);
      EXPECT_EQ(cluster.ask(machine, {"INCR", key}), ":" + std::to_string(count) + "\r\n");
      const std::string value = std::to_string(count);
      EXPECT_EQ(cluster.ask(machine, {"GET", key}), "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n");
    }
  }
}

// The key's leader, and its other copies.
struct Led {
  uint32_t leader = 0;
  uint32_t next = 0;
  uint32_t last = 0;
};

Led led(CalmCluster& cluster, const std::string& key) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (cluster.company(machine).serves(cluster.partition_of(key))) return {machine, (machine + 1) % 3, (machine + 2) % 3};
  }
  ADD_FAILURE() << "nobody leads " << key;
  return {};
}

size_t reads_waiting(CalmCluster& cluster, uint32_t machine, const std::string& key) {
  return cluster.company(machine).cluster().partitions().core(cluster.partition_of(key))->reads_waiting();
}

TEST(LevelsWorld, a_read_that_nobody_can_confirm_holds_up_no_transfer) {
  CalmCluster cluster(3);
  const Led at = led(cluster, "k");
  EXPECT_EQ(cluster.ask(at.leader, {"CLIENT", "QUORUM", "R", "3"}), "+OK\r\n");
  EXPECT_EQ(cluster.ask(at.leader, {"GET", "k"}), "$-1\r\n");
  // It is not known yet that nothing more is heard of it.
  cluster.world().isolate(at.last);
  EXPECT_EQ(cluster.ask(at.leader, {"GET", "k"}, 0), "");
  EXPECT_EQ(reads_waiting(cluster, at.leader, "k"), 1u);
  EXPECT_EQ(cluster.ask(at.next, {"CLUSTER", "FAILOVER"}), "+OK\r\n");
  for (int step = 0; step < 30 && !cluster.company(at.next).serves(cluster.partition_of("k")); ++step) cluster.pass(kSecondUs / 50);
  EXPECT_TRUE(cluster.company(at.next).serves(cluster.partition_of("k")));
  EXPECT_TRUE(cluster.heard(at.leader).starts_with("-UNCERTAIN"));
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LevelsWorld, nobody_waits_for_the_confirmation_of_what_was_answered_for_lack_of_time) {
  CalmCluster cluster(3);
  const Led at = led(cluster, "k");
  EXPECT_EQ(cluster.ask(at.leader, {"CLIENT", "QUORUM", "R", "3"}), "+OK\r\n");
  cluster.world().isolate(at.last);
  const std::string answer = cluster.ask(at.leader, {"GET", "k"}, 8 * kSecondUs);
  EXPECT_TRUE(answer.starts_with("-UNCERTAIN")) << answer;
  EXPECT_EQ(reads_waiting(cluster, at.leader, "k"), 0u);
  cluster.world().heal();
  cluster.pass(kSecondUs);
  EXPECT_EQ(cluster.ask(at.leader, {"GET", "k"}), "$-1\r\n");
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(LevelsWorld, the_settings_hold_where_a_key_is_led) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(cluster.ask(machine, {"CONFIG", "SET", "write-quorum", "4", "quorum-policy", "few: w=1"}), "+OK\r\n");
  }
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(cluster.ask(machine, {"SET", "k", "v"}), "-NOREPLICAS 4 copies are asked for, 3 live; nothing was done\r\n");
    EXPECT_EQ(cluster.ask(machine, {"SET", "few:" + std::to_string(machine), "v"}), "+OK\r\n");
  }
}

}  // namespace
}  // namespace quorate::sim

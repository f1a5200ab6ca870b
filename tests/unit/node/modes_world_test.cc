// `appendonly` among whole nodes, without faults: what the log holds of the partitions, and what is said of it.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/persistence.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr const char* kNoLog = "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n";
constexpr const char* kSyncedHere = "*2\r\n:1\r\n:0\r\n";
constexpr const char* kNotSynced = "*2\r\n:0\r\n:0\r\n";

void set_appendonly(CalmCluster& cluster, const std::string& value) {
  for (uint32_t machine = 0; machine < 3; ++machine)
    EXPECT_EQ(cluster.ask(machine, {"CONFIG", "SET", "appendonly", value}), "+OK\r\n");
}

TEST(ModesWorld, what_is_kept_in_memory_only_is_not_synced) {
  CalmCluster cluster(3);
  for (uint32_t machine = 0; machine < 3; ++machine)
    EXPECT_EQ(cluster.ask(machine, {"CONFIG", "SET", "appendfsync", "always"}), "+OK\r\n");
  set_appendonly(cluster, "no");
  cluster.pass(kSecondUs);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_EQ(cluster.ask(machine, {"SET", "k", "v"}), "+OK\r\n");
    EXPECT_EQ(cluster.ask(machine, {"WAITAOF", "1", "0", "100"}), kNoLog);
    EXPECT_EQ(cluster.ask(machine, {"WAITAOF", "0", "1", "100"}), kNotSynced);
  }
  set_appendonly(cluster, "yes");
  // A snapshot holds it then.
  cluster.pass(kSecondUs);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    EXPECT_TRUE(cluster.company(machine).log_is_whole());
    EXPECT_TRUE(cluster.ask(machine, {"WAITAOF", "1", "0", "0"}, 5 * kSecondUs).starts_with("*2\r\n:1\r\n"));
  }
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(ModesWorld, what_was_written_before_the_log_was_switched_on_is_synced_once_a_snapshot_holds_it) {
  CalmCluster cluster(3);
  set_appendonly(cluster, "no");
  cluster.pass(kSecondUs);
  EXPECT_EQ(cluster.ask(0, {"SET", "k", "v"}), "+OK\r\n");
  set_appendonly(cluster, "yes");
  EXPECT_EQ(cluster.ask(0, {"WAITAOF", "1", "0", "0"}, 5 * kSecondUs), kSyncedHere);
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (cluster.company(machine).serves(cluster.partition_of("k"))) {
      EXPECT_TRUE(cluster.company(machine).log_is_whole());
    }
  }
}

// Such a snapshot would take the record away that says that the log is not whole from here on; who starts with it would
// take itself for one that remembers.
TEST(ModesWorld, no_snapshot_of_everything_begins_while_the_log_becomes_bare) {
  CalmCluster cluster(3);
  SimNode& node = cluster.node(0);
  const Persistence& persistence = node.node().state().persistence;
  const uint64_t rewrites = persistence.facts.rewrites;
  const int client = node.connect();
  cluster.node(1).send(cluster.node(1).connect(), encoded({"CONFIG", "SET", "appendonly", "no"}));
  cluster.node(1).end_turn();
  for (int step = 0; step < 100'000 && !cluster.company(0).becomes_bare(); ++step) cluster.pass(20);
  ASSERT_TRUE(cluster.company(0).becomes_bare());
  node.send(client, encoded({"BGREWRITEAOF"}));
  node.end_turn();
  EXPECT_TRUE(cluster.company(0).becomes_bare());
  EXPECT_FALSE(persistence.job_runs);
  cluster.pass(kSecondUs);
  EXPECT_FALSE(cluster.company(0).becomes_bare());
  EXPECT_EQ(cluster.company(0).keeping(), Keeping::kBare);
  EXPECT_GT(persistence.facts.rewrites, rewrites);
  EXPECT_EQ(persistence.job_keeping, Keeping::kBare);
}

// The modes of all copies of all partitions, as they have committed them, each once.
std::set<raft::Durability> modes_of(CalmCluster& cluster) {
  std::set<raft::Durability> modes;
  for (uint32_t machine = 0; machine < 3; ++machine) {
    for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) {
      modes.insert(cluster.company(machine).cluster().partitions().core(partition)->committed_configuration().configuration.durability);
    }
  }
  return modes;
}

TEST(ModesWorld, the_mode_that_is_set_at_one_node_is_answered_once_every_partition_goes_by_it) {
  CalmCluster cluster(3);
  EXPECT_EQ(modes_of(cluster), std::set{raft::Durability::kOs});
  const std::pair<std::vector<std::string>, raft::Durability> kSteps[] = {
      {{"CONFIG", "SET", "appendfsync", "always"}, raft::Durability::kSynced},
      {{"CONFIG", "SET", "appendonly", "no"}, raft::Durability::kMemory},
      {{"CONFIG", "SET", "appendonly", "yes", "appendfsync", "no"}, raft::Durability::kOs},
      {{"CONFIG", "SET", "appendfsync", "always"}, raft::Durability::kSynced},
      {{"CONFIG", "SET", "appendfsync", "everysec"}, raft::Durability::kOs},
  };
  uint32_t asked = 0;
  for (const auto& [words, mode] : kSteps) {
    asked = (asked + 1) % 3;
    EXPECT_EQ(cluster.ask(asked, words, 5 * kSecondUs), "+OK\r\n");
    // Leaders know it; the others hear of what is committed a moment later.
    for (uint32_t machine = 0; machine < 3; ++machine) {
      for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) {
        if (!cluster.company(machine).serves(partition)) continue;
        EXPECT_EQ(cluster.company(machine).cluster().partitions().core(partition)->committed_configuration().configuration.durability, mode);
      }
      // Nobody keeps less than what has been answered.
      EXPECT_GE(cluster.company(machine).kept_mode(), mode);
    }
    cluster.pass(kSecondUs);
    EXPECT_EQ(modes_of(cluster), std::set{mode});
    if (mode == raft::Durability::kSynced) {
      EXPECT_EQ(cluster.ask(asked, {"SET", "k", "v"}), "+OK\r\n");
      EXPECT_EQ(cluster.ask(asked, {"WAITAOF", "1", "2", "0"}, kSecondUs), "*2\r\n:1\r\n:2\r\n");
    }
    for (uint32_t machine = 0; machine < 3; ++machine) {
      EXPECT_EQ(cluster.company(machine).kept_mode(), mode);
      EXPECT_NE(cluster.ask(machine, {"INFO", "quorum"}).find("quorum_mode_kept:" + std::string(raft::name_of(mode))), std::string::npos);
    }
  }
  EXPECT_EQ(cluster.wrong(), "");
}

// As in a cluster that was founded before there was one: what the other half is each node says for itself.
TEST(ModesWorld, half_of_the_mode_is_refused_while_the_other_is_not_decided) {
  CalmCluster cluster(3);
  cluster.company(0).cluster().propose(meta::SetSetting{.name = "appendonly", .value = ""});
  cluster.pass(kSecondUs);
  const std::string refusal = cluster.ask(1, {"CONFIG", "SET", "appendfsync", "always"});
  EXPECT_TRUE(refusal.starts_with("-ERR the members have not decided appendonly yet")) << refusal;
  EXPECT_EQ(cluster.ask(1, {"CONFIG", "SET", "slowlog-max-len", "7", "max-unacked-ms", "900"}, 5 * kSecondUs), "+OK\r\n");
  EXPECT_EQ(modes_of(cluster), std::set{raft::Durability::kOs});
  EXPECT_EQ(cluster.ask(1, {"CONFIG", "SET", "appendfsync", "always", "appendonly", "yes"}, 5 * kSecondUs), "+OK\r\n");
  cluster.pass(kSecondUs);
  EXPECT_EQ(modes_of(cluster), std::set{raft::Durability::kSynced});
}

// Nobody can say that it holds, and what is decided is not taken back.
TEST(ModesWorld, a_partition_that_cannot_commit_leaves_it_uncertain_whether_the_mode_is_kept) {
  CalmCluster cluster(3);
  cluster.world().isolate(2);
  EXPECT_EQ(cluster.ask(0, {"CONFIG", "SET", "appendfsync", "always"}, 5 * kSecondUs), "+OK\r\n");
  cluster.world().kill_now(1);
  const std::string answer = cluster.ask(0, {"CONFIG", "SET", "appendfsync", "everysec"}, 8 * kSecondUs);
  EXPECT_TRUE(answer.starts_with("-UNCERTAIN")) << answer;
}

// ---- what holds it up ------------------------------------------------------------------------------------------

// What QUORUM STATUS says of that, as it comes: an array.
std::string waits_for(CalmCluster& cluster, uint32_t machine) {
  const std::string status = cluster.ask(machine, {"QUORUM", "STATUS"});
  const std::string name = "snapshot-waits-for\r\n";
  const size_t begin = status.find(name) + name.size();
  return status.substr(begin, status.find("$15\r\nsurvives-a-node") - begin);
}

constexpr const char* kNothing = "*0\r\n";
std::string one_partition(uint32_t partition, const std::string& reason) {
  return "*1\r\n*4\r\n$9\r\npartition\r\n:" + std::to_string(partition) + "\r\n$6\r\nreason\r\n$" + std::to_string(reason.size()) + "\r\n" +
         reason + "\r\n";
}

uint32_t leader_of(CalmCluster& cluster, const std::string& key) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (cluster.company(machine).serves(cluster.partition_of(key))) return machine;
  }
  ADD_FAILURE() << "nobody leads " << key;
  return 0;
}

TEST(ModesWorld, a_snapshot_that_waits_for_a_commit_says_for_which_partition) {
  CalmCluster cluster(3);
  const uint32_t leader = leader_of(cluster, "k");
  EXPECT_EQ(waits_for(cluster, leader), kNothing);
  cluster.world().isolate(leader);
  EXPECT_EQ(cluster.ask(leader, {"SET", "k", "v"}, 0), "");
  const int other = cluster.node(leader).connect();
  cluster.node(leader).send(other, encoded({"BGREWRITEAOF"}));
  cluster.node(leader).end_turn();
  cluster.pass(kSecondUs);
  // The connection waits for the SET.
  cluster.connect_again(leader);
  EXPECT_EQ(waits_for(cluster, leader), one_partition(cluster.partition_of("k"), "not-committed"));
  for (uint32_t machine = 0; machine < 3; ++machine) {
    if (machine == leader) continue;
    EXPECT_EQ(waits_for(cluster, machine), kNothing);
  }
  // Another one leads by then, which has nothing of it: the next snapshot holds what that one has.
  cluster.world().heal();
  cluster.pass(15 * kSecondUs);
  EXPECT_EQ(waits_for(cluster, leader), kNothing);
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(ModesWorld, a_stricter_mode_that_waits_for_a_copy_which_has_stopped_says_so_at_its_node) {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.copies_may_differ = true;
  CalmCluster cluster(swarm);
  set_appendonly(cluster, "no");
  cluster.pass(kSecondUs);
  const uint32_t leader = leader_of(cluster, "k");
  const uint32_t stopped = (leader + 1) % 3;
  EXPECT_EQ(cluster.ask(leader, {"RPUSH", "k", "a"}), ":1\r\n");
  cluster.pass(kSecondUs / 10);
  cluster.set_secretly(stopped, "k", "no list");
  // While the third is away the leader does not give the copy up.
  cluster.world().isolate((leader + 2) % 3);
  EXPECT_EQ(cluster.ask(leader, {"RPUSH", "k", "b"}), ":2\r\n");
  cluster.pass(kSecondUs / 10);
  const std::string answer = cluster.ask(leader, {"CONFIG", "SET", "appendonly", "yes"}, 8 * kSecondUs);
  EXPECT_TRUE(answer.starts_with("-UNCERTAIN")) << answer;
  EXPECT_EQ(cluster.company(stopped).kept_mode(), raft::Durability::kMemory);
  EXPECT_EQ(waits_for(cluster, stopped), one_partition(cluster.partition_of("k"), "stopped"));
  EXPECT_EQ(waits_for(cluster, leader), kNothing);
  cluster.world().heal();
  EXPECT_EQ(cluster.ask(leader, {"CONFIG", "SET", "appendonly", "yes"}, 30 * kSecondUs), "+OK\r\n");
  EXPECT_EQ(cluster.company(stopped).kept_mode(), raft::Durability::kOs);
  EXPECT_EQ(waits_for(cluster, stopped), kNothing);
}

// A learner has seen a thousand entries committed by the only voter, whose process ends and forgets them.  Then it leads, and commits
// indexes of which it has heard before.
TEST(ModesWorld, what_is_committed_once_more_from_the_beginning_is_waited_for) {
  ClusterSwarm swarm = calm_cluster(3);
  swarm.replication = 2;
  swarm.in_memory = true;
  CalmCluster cluster(swarm);
  const uint32_t partition = cluster.partition_of("k");
  const auto name_of = [&](uint32_t machine) { return node_name(cluster.company(machine).cluster().own().id); };
  uint32_t voter = 0;
  while (!cluster.company(voter).serves(partition)) ++voter;
  uint32_t learner = 0;
  while (learner == voter || cluster.company(learner).cluster().partitions().core(partition) == nullptr) ++learner;
  for (int write = 0; write < 1000; ++write) ASSERT_EQ(cluster.ask(voter, {"SET", "k", std::to_string(write)}), "+OK\r\n");
  cluster.pass(kSecondUs);
  const auto committed = [&](uint32_t machine) { return cluster.company(machine).cluster().partitions().commit_index(partition).value; };
  ASSERT_GT(committed(learner), 1000u);
  // The world is told that something will be.
  cluster.world().lose_for_good({});
  cluster.world().kill_now(voter, kSecondUs / 10);
  cluster.pass(3 * kSecondUs);
  cluster.connect_again(voter);
  EXPECT_EQ(cluster.wrong(), "");
  ASSERT_LT(committed(learner), 100u);
  ASSERT_EQ(cluster.ask(voter, {"CONFIG", "SET", "replication-n", "3"}), "+OK\r\n");
  cluster.pass(5 * kSecondUs);
  ASSERT_EQ(cluster.ask(voter, {"QUORUM", "MOVE", std::to_string(partition), "LEADER", name_of(learner)}), "+OK\r\n");
  for (int step = 0; step < 100 && !cluster.company(learner).serves(partition); ++step) cluster.pass(kSecondUs / 20);
  ASSERT_EQ(cluster.ask(learner, {"SET", "k", "kept"}), "+OK\r\n");
  // Nobody else gets it.
  cluster.world().isolate(learner);
  EXPECT_EQ(cluster.ask(learner, {"SET", "k", "lost"}, kSecondUs / 20), "");
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

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

}  // namespace
}  // namespace quorate::sim

// `appendonly` among whole nodes, without faults: what the log holds of the partitions, and what is said of it.
#include <gtest/gtest.h>

#include <string>

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
  node.send(client, encoded({"CONFIG", "SET", "appendonly", "no"}) + encoded({"BGREWRITEAOF"}));
  node.end_turn();
  EXPECT_TRUE(cluster.company(0).becomes_bare());
  EXPECT_FALSE(persistence.job_runs);
  cluster.pass(kSecondUs);
  EXPECT_FALSE(cluster.company(0).becomes_bare());
  EXPECT_EQ(cluster.company(0).keeping(), Keeping::kBare);
  EXPECT_GT(persistence.facts.rewrites, rewrites);
  EXPECT_EQ(persistence.job_keeping, Keeping::kBare);
}

}  // namespace
}  // namespace quorate::sim

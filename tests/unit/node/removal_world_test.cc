// Removing nodes for good, with whole nodes.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

// Five nodes of which two hold something and three decide.
ClusterSwarm few_partitions() {
  ClusterSwarm swarm = calm_cluster(5);
  swarm.partitions = 2;
  swarm.replication = 1;
  return swarm;
}

bool votes_among_members(CalmCluster& cluster, uint32_t machine) {
  ClusterNode& node = cluster.company(machine).cluster();
  return node.groups().find(node.meta().group())->committed_configuration().configuration.is_voter(node.meta().own_replica());
}

bool holds_something(CalmCluster& cluster, uint32_t machine) {
  const ClusterNode& node = cluster.company(machine).cluster();
  return node.state().is_planned(node.own().id);
}

// Once it is out it takes part in no election, and the others might need it for one.
TEST(Removal, a_node_that_votes_among_the_members_is_drained_first) {
  CalmCluster cluster(few_partitions());
  uint32_t machine = 0;
  while (machine < 5 && (!votes_among_members(cluster, machine) || holds_something(cluster, machine))) ++machine;
  ASSERT_LT(machine, 5u);
  const std::string name = node_name(cluster.company(machine).cluster().own().id);
  const uint32_t other = (machine + 1) % 5;
  EXPECT_NE(cluster.ask(other, {"QUORUM", "REMOVE", name}).find("still votes among the members"), std::string::npos);
  EXPECT_EQ(cluster.ask(other, {"QUORUM", "DRAIN", name}), "+OK\r\n");
  std::string answer;
  for (int attempt = 0; attempt < 500 && answer != "+OK\r\n"; ++attempt) {
    cluster.pass(kSecondUs / 100);
    answer = cluster.ask(other, {"QUORUM", "REMOVE", name});
  }
  EXPECT_EQ(answer, "+OK\r\n");
  // The others go on deciding.
  EXPECT_EQ(cluster.ask(other, {"CONFIG", "SET", "max-unacked-ms", "2000"}), "+OK\r\n");
  // Whoever did not hear it and asks again is told what has become of it.
  EXPECT_NE(cluster.ask(other, {"QUORUM", "REMOVE", name}).find("removed from the cluster for good"), std::string::npos);
  EXPECT_NE(cluster.ask(other, {"QUORUM", "UNDRAIN", name}).find("removed from the cluster for good"), std::string::npos);
  EXPECT_EQ(cluster.wrong(), "");
}

}  // namespace
}  // namespace quorate::sim

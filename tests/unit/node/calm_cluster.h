// Whole nodes (tests/sim/cluster_world.h) without faults, for tests that need a cluster at rest.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "node/company.h"
#include "node/forward.h"
#include "node/forward_message.h"
#include "node/state.h"
#include "resp/reply_parser.h"
#include "tests/sim/cluster_world.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate::sim {

constexpr uint32_t kCalmPartitions = 8;

inline ClusterSwarm calm_cluster(uint32_t nodes) {
  ClusterSwarm swarm;
  swarm.nodes = nodes;
  swarm.partitions = kCalmPartitions;
  return swarm;
}

// Nodes at rest, and a client of each.
class CalmCluster {
 public:
  explicit CalmCluster(uint32_t nodes) : CalmCluster(calm_cluster(nodes)) {}
  explicit CalmCluster(const ClusterSwarm& swarm) : CalmCluster(swarm, swarm.nodes) {}
  CalmCluster(const ClusterSwarm& swarm, uint64_t seed) : world_({.seed = seed}, swarm) {
    for (int step = 0; step < 400 && !(step > 0 && world_.is_settled()); ++step) pass(kSecondUs / 20);
    EXPECT_EQ(world_.describe_unsettled(), "");
    pass(2 * kSecondUs);   // those that learned vote by then
    for (int step = 0; step < 400 && !is_led_as_planned(swarm.nodes); ++step) pass(kSecondUs / 20);
    EXPECT_TRUE(is_led_as_planned(swarm.nodes));   // else leaders go on handing over
    pass(kSecondUs / 5);
    for (uint32_t machine = 0; machine < swarm.nodes; ++machine) clients_.push_back(node(machine).connect());
  }
  ClusterWorld& world() { return world_; }
  // The client's connection went with its process.
  void connect_again(uint32_t machine) { clients_[machine] = node(machine).connect(); }
  SimNode& node(uint32_t machine) { return *world_.node(machine); }
  Company& company(uint32_t machine) { return node(machine).node().state().company; }
  uint32_t partition_of(const std::string& key) {
    Store& store = node(0).node().store();
    return store.partition_of(store.make_key(key).slot);
  }
  void set_wall_offset(uint32_t machine, int64_t ms) { world_.set_wall_offset(machine, ms); }
  void restart(uint32_t machine) { world_.kill(machine, kSecondUs / 10); }
  bool is_led_as_planned(uint32_t nodes) {
    for (uint32_t machine = 0; machine < nodes; ++machine) {
      ClusterNode& cluster = company(machine).cluster();
      const auto& plan = cluster.state().plan();
      for (uint32_t partition = 0; partition < plan.size(); ++partition) {
        const NodeId planned = plan[partition].replicas.front().node;
        if (company(machine).serves(partition) != (cluster.own().id == planned)) return false;
      }
    }
    return true;
  }
  size_t count_led(uint32_t machine) {
    size_t count = 0;
    for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) count += company(machine).serves(partition) ? 1 : 0;
    return count;
  }
  void pass(int64_t us) { world_.run(world_.now_us() + us); }
  // What has arrived since the last call.
  std::string heard(uint32_t machine) {
    while (node(machine).is_sending(clients_[machine])) node(machine).drain_socket(clients_[machine]);
    return std::exchange(node(machine).received(clients_[machine]), {});
  }
  // The answer, once there is one.
  std::string ask(uint32_t machine, const std::vector<std::string>& words, int64_t within_us = kSecondUs) {
    node(machine).send(clients_[machine], encoded(words));
    node(machine).end_turn();
    std::string answer = heard(machine);
    for (int64_t passed_us = 0; answer.empty() && passed_us < within_us; passed_us += kSecondUs / 100) {
      pass(kSecondUs / 100);
      answer = heard(machine);
    }
    return answer;
  }
  // The answer of a turn that takes so long, if it needs nobody else.
  std::string ask_in_slow_turn(uint32_t machine, const std::vector<std::string>& words, int64_t turn_us) {
    node(machine).send(clients_[machine], encoded(words));
    node(machine).set_clock(node(machine).now().steady_us + turn_us);
    node(machine).end_turn();
    return heard(machine);
  }
  // The answers to several requests at once.
  std::string ask_raw(uint32_t machine, const std::string& requests, size_t answers) {
    node(machine).send(clients_[machine], requests);
    node(machine).end_turn();
    ReplyParser parser;
    std::string all;
    for (int step = 0; answers > 0 && step < 100; ++step) {
      const std::string some = heard(machine);
      all += some;
      parser.feed(some);
      ReplyValue value;
      while (answers > 0 && parser.next(value) == ReplyParser::Outcome::kValue) --answers;
      pass(kSecondUs / 100);
    }
    return all + heard(machine);
  }
  // The key as this machine holds it, behind everybody's back.
  void set_secretly(uint32_t machine, const std::string& key, const std::string& value) {
    Store& store = node(machine).node().store();
    const bool collects = store.effects().collecting();
    store.effects().set_collecting(false);
    store.set_replaying(true);
    store.database(0).set_string(store.make_key(key), value, kNever);
    store.set_replaying(false);
    store.effects().set_collecting(collects);
    store.changes().clear();
  }
  void hang_up(uint32_t machine) { node(machine).disconnect(clients_[machine]); }
  // The answer, if it needs nobody else.
  std::string ask_at_once(uint32_t machine, const std::vector<std::string>& words) { return ask(machine, words, 0); }
  // Another node asks for it, as if its client had.
  void forward(uint32_t machine, const ForwardCommand& command, const std::vector<std::string>& words) {
    const NodeId from = company((machine + 1) % 3).cluster().own().id;
    Buffer bytes;
    encode_head(command, bytes);
    bytes.append(encoded(words));
    const auto kind = static_cast<uint64_t>(ForwardKind::kCommand);
    EXPECT_TRUE(node(machine).node().state().forwarding->receive(from, kind, bytes.view()).ok());
    node(machine).end_turn();
  }
  // What was said to other nodes waits for something.
  bool holds_answers(uint32_t machine) {
    bool holds = false;
    node(machine).node().state().sessions.for_each_with_links(
        [&](const Session& session) { holds = holds || (session.has(kForwarded) && session.pending_output() != 0); });
    return holds;
  }
  std::string wrong() { return world_.wrong(); }

 private:
  ClusterWorld world_;
  std::vector<int> clients_;
};

}  // namespace quorate::sim

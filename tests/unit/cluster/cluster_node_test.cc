// Whole cluster nodes over a network of queues and disks that are lists of records: founding, joining, agreeing, restarting.
#include "cluster/cluster_node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace quorate {
namespace {

constexpr int64_t kWireUs = 500;
constexpr int64_t kDiskUs = 300;
constexpr int64_t kStepUs = 100;

// Groups of partitions are not part of these tests.
class NoData final : public GroupsClient {
  void on_role(raft::GroupId, const raft::RoleState&) override {}
  void on_truncated(raft::GroupId, std::span<const raft::Entry>, Lost) override {}
  void on_install(raft::GroupId, const raft::SnapshotMark&) override {}
  void on_commit(raft::GroupId, raft::Index) override {}
  void on_read(raft::GroupId, raft::ReadToken, raft::ReadVerdict) override {}
  void on_snapshot_wanted(raft::GroupId, const raft::Member&) override {}
  void on_configuration(raft::GroupId) override {}
  void on_fact(raft::GroupId, std::string_view) override {}
  void on_failure(raft::GroupId, const raft::Failure&) override {}
};

// Machines with a node each; a machine's disk outlives its node.
class World {
 public:
  static MemberRecord record(NodeId id) {
    return {.id = id, .host = "host", .port = static_cast<uint16_t>(id), .cluster_port = static_cast<uint16_t>(id)};
  }
  void boot(NodeId id, const std::vector<NodeId>& join = {}) {
    Machine& machine = machines_[id];
    ++machine.incarnation;
    ClusterNodeOptions options{.own = record(id), .incarnation = machine.incarnation, .partitions = 16, .seed = id * 100 + machine.incarnation};
    for (const NodeId seed : join) options.join.push_back({.host = "host", .port = static_cast<uint16_t>(seed)});
    GroupRecovery recovery;
    for (const std::string& bytes : machine.disk) ASSERT_TRUE(recovery.record(bytes).ok());
    auto restored = restored_cluster(recovery, 16);
    ASSERT_TRUE(restored.ok());
    machine.node = std::make_unique<ClusterNode>(options, data_);
    machine.node->start(now, std::move(restored).value());
    machine.stored_at.clear();
  }
  // What was written and not stored yet is lost.
  void kill(NodeId id) {
    Machine& machine = machines_.at(id);
    machine.disk.resize(machine.disk.size() - machine.stored_at.size());
    machine.node.reset();
    for (auto wire = wires_.begin(); wire != wires_.end();) {
      const End far = wire->second;
      if (wire->first.first != id) {
        ++wire;
        continue;
      }
      wires_.erase(wire);
      wires_.erase(far);
      send({.to = far, .closes = true});
      wire = wires_.begin();
    }
  }
  ClusterNode& at(NodeId id) { return *machines_.at(id).node; }
  void run(int64_t microseconds) {
    for (const int64_t end = now.steady_us + microseconds; now.steady_us < end;) step();
  }
  template <class Condition>
  bool run_until(int64_t microseconds, Condition&& condition) {
    for (const int64_t end = now.steady_us + microseconds; now.steady_us < end;) {
      if (condition()) return true;
      step();
    }
    return condition();
  }
  // All running nodes know the same `count` members, and a leader.
  bool agree(size_t count) {
    std::string first;
    for (auto& [id, machine] : machines_) {
      if (machine.node == nullptr) continue;
      const ClusterState& state = machine.node->state();
      const raft::Core* const core = machine.node->groups().find(machine.node->meta().group());
      if (core == nullptr || !core->role_state().leader || state.members().size() != count) return false;
      Buffer bytes;
      state.encode(bytes);
      if (first.empty()) first = bytes.view();
      if (first != bytes.view()) return false;
    }
    return true;
  }
  // They agree, and everybody knows that `voters` of them vote: a leader may die without harm.
  bool is_settled(size_t count, size_t voters) {
    if (!agree(count)) return false;
    for (auto& [id, machine] : machines_) {
      if (machine.node == nullptr) continue;
      const raft::Core* const core = machine.node->groups().find(machine.node->meta().group());
      const raft::Configuration& configuration = core->committed_configuration().configuration;
      if (configuration.joint() || configuration.incoming.voters.size() != voters) return false;
    }
    return true;
  }
  NodeId leader() {
    for (auto& [id, machine] : machines_) {
      if (machine.node == nullptr) continue;
      const raft::Core* const core = machine.node->groups().find(machine.node->meta().group());
      if (core != nullptr && core->role_state().serving == raft::Serving::kYes) return id;
    }
    return 0;
  }
  const raft::Configuration& meta_configuration(NodeId id) {
    return at(id).groups().find(at(id).meta().group())->configuration();
  }
  std::string notes;

  Instant now{.steady_us = 1'000'000, .unix_ms = 1'000};

 private:
  using End = std::pair<NodeId, ConnectionId>;
  struct Packet {
    int64_t at_us = 0;
    End to;
    std::string bytes = {};
    bool closes = false;
    uint64_t incarnation = 0;   // of the receiver: what was for the process before is lost
  };
  void send(Packet packet) {
    packet.at_us = now.steady_us + kWireUs;
    packet.incarnation = machines_.at(packet.to.first).incarnation;
    packets_.push_back(std::move(packet));
  }
  struct Machine {
    std::unique_ptr<ClusterNode> node;
    uint64_t incarnation = 0;
    std::vector<std::string> disk;
    std::deque<int64_t> stored_at;   // of the last records
    uint64_t records = 0;
  };

  void step() {
    now.steady_us += kStepUs;
    while (!packets_.empty() && packets_.front().at_us <= now.steady_us) {
      const Packet packet = std::move(packets_.front());
      packets_.pop_front();
      const auto machine = machines_.find(packet.to.first);
      if (machine->second.node == nullptr || machine->second.incarnation != packet.incarnation) continue;
      if (packet.closes) {
        machine->second.node->closed(now, packet.to.second);
      } else {
        machine->second.node->received(now, packet.to.second, packet.bytes);
      }
    }
    for (auto& [id, machine] : machines_) {
      if (machine.node != nullptr) turn(id, machine);
    }
  }
  void turn(NodeId id, Machine& machine) {
    ClusterNode& node = *machine.node;
    while (!machine.stored_at.empty() && machine.stored_at.front() <= now.steady_us) {
      machine.stored_at.pop_front();
      node.stored(now, machine.records - machine.stored_at.size());
    }
    if (node.deadline() <= now.steady_us) node.tick(now);
    node.end_turn(now);
    if (node.has_record()) {
      Buffer bytes;
      node.begin_record(++machine.records, bytes);
      machine.disk.emplace_back(bytes.view());
      machine.stored_at.push_back(now.steady_us + kDiskUs);
    }
    PeersOutput output = std::move(node.peers_output());
    node.peers_output() = {};
    for (const auto& dial : output.dial) connect(id, dial);
    for (const ConnectionId connection : output.flush) carry({id, connection}, node.output_of(connection));
    for (auto& close : output.close) {
      carry({id, close.connection}, close.last_words);
      const auto wire = wires_.find({id, close.connection});
      if (wire == wires_.end()) continue;
      const End far = wire->second;
      wires_.erase(wire);
      wires_.erase(far);
      send({.to = far, .closes = true});
    }
    for (const std::string& line : node.take_notes()) notes += std::to_string(id) + "> " + line + "\n";
  }
  void connect(NodeId id, const PeersOutput::Dial& dial) {
    const auto target = machines_.find(dial.address.port);
    ConnectionId accepted = 0;
    if (target != machines_.end() && target->second.node != nullptr) accepted = target->second.node->accepted(now);
    if (accepted == 0) return at(id).closed(now, dial.connection);
    wires_[{id, dial.connection}] = {target->first, accepted};
    wires_[{target->first, accepted}] = {id, dial.connection};
    at(id).dialled(now, dial.connection);
  }
  void carry(const End& from, Buffer& bytes) {
    const auto wire = wires_.find(from);
    if (wire != wires_.end() && !bytes.empty()) {
      send({.to = wire->second, .bytes = std::string(bytes.view())});
    }
    bytes.clear();
  }

  NoData data_;
  std::map<NodeId, Machine> machines_;
  std::map<End, End> wires_;
  std::deque<Packet> packets_;
};

TEST(ClusterNode, alone_nothing_happens) {
  World world;
  world.boot(1);
  world.run(2'000'000);
  EXPECT_EQ(world.at(1).membership(), Membership::kAlone);
  EXPECT_EQ(world.at(1).deadline(), kNever);
}

TEST(ClusterNode, the_first_who_knocks_makes_a_cluster_of_two_with_one_voter) {
  World world;
  world.boot(1);
  world.boot(2, {1});
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.agree(2); })) << world.notes;
  world.run(1'000'000);
  EXPECT_EQ(world.meta_configuration(1).incoming.voters.size(), 1u);
  EXPECT_EQ(world.meta_configuration(1).learners.size(), 1u);
}

TEST(ClusterNode, three_vote_and_more_learn) {
  World world;
  for (NodeId id = 1; id <= 5; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(5, 3); })) << world.notes;
  EXPECT_EQ(world.meta_configuration(5).learners.size(), 2u);
}

TEST(ClusterNode, a_node_may_knock_before_anybody_is_there_and_at_any_member) {
  World world;
  world.boot(3, {2});
  world.run(300'000);
  world.boot(2, {1});
  world.run(300'000);
  world.boot(1);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
}

TEST(ClusterNode, a_setting_reaches_everybody_from_anywhere) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); }));
  const ProposalToken token = world.at(3).meta().propose(world.now, meta::SetSetting{"write-quorum", "all"});
  ASSERT_NE(token, 0u);
  EXPECT_TRUE(world.run_until(1'000'000, [&] {
    return world.at(1).state().setting("write-quorum") == "all" && world.at(2).state().setting("write-quorum") == "all" &&
           world.at(3).state().setting("write-quorum") == "all";
  }));
}

TEST(ClusterNode, when_the_leader_dies_another_takes_over_and_it_comes_back) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); })) << world.notes;
  const NodeId leader = world.leader();
  ASSERT_NE(leader, 0u);
  world.kill(leader);
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.leader() != 0; })) << world.notes;
  const NodeId next = world.leader();
  EXPECT_NE(next, leader);
  world.at(next).meta().propose(world.now, meta::SetSetting{"a", "b"});
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.at(next).state().setting("a") == "b"; }));
  world.boot(leader);
  EXPECT_TRUE(world.run_until(5'000'000, [&] {
    return world.agree(3) && world.at(leader).state().setting("a") == "b";
  })) << world.notes;
}

TEST(ClusterNode, all_killed_at_once_come_back_with_what_was_agreed) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); })) << world.notes;
  world.at(2).meta().propose(world.now, meta::SetSetting{"a", "b"});
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.at(2).state().setting("a") == "b"; }));
  for (NodeId id = 1; id <= 3; ++id) world.kill(id);
  for (NodeId id = 3; id >= 1; --id) world.boot(id);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.agree(3) && world.leader() != 0; })) << world.notes;
  EXPECT_EQ(world.at(1).state().setting("a"), "b");
}

TEST(ClusterNode, a_removed_node_is_told_and_never_let_in_again) {
  World world;
  for (NodeId id = 1; id <= 4; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(4); })) << world.notes;
  world.kill(4);
  world.at(1).meta().propose(world.now, meta::SetState{4, MemberState::kRemoved});
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.at(2).state().find(4)->state == MemberState::kRemoved; }));
  world.boot(4, {1});
  world.run(3'000'000);
  EXPECT_EQ(world.at(1).peers().link(4, PeerLane::kData), nullptr);
}

}  // namespace
}  // namespace quorate

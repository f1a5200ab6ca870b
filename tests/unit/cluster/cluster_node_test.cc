// Whole cluster nodes over a network of queues and disks that are lists of records: founding, joining, agreeing, restarting.
#include "cluster/cluster_node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "util/check.h"
#include "util/varint.h"

namespace quorate {
namespace {

constexpr int64_t kWireUs = 500;
constexpr int64_t kDiskUs = 300;
constexpr int64_t kStepUs = 100;
constexpr int kTurnsInVainMax = 10;

constexpr uint32_t kPartitions = 16;

// Each partition holds words with values; a batch is "word=value".
class Words final : public PartitionData {
 public:
  static std::pair<std::string, std::string> parsed(std::string_view batch) {
    const size_t at = batch.find('=');
    return {std::string(batch.substr(0, at)), std::string(batch.substr(at + 1))};
  }
  Status apply(uint32_t partition, std::string_view batch) override {
    const auto [word, value] = parsed(batch);
    if (word == refused) return Error(ErrorCode::kCorrupt, "refused");
    words[partition][word] = value;
    return done();
  }
  void encode(uint32_t partition, Buffer& out) override {
    for (const auto& [word, value] : words[partition]) out.append(word + "=" + value + "\n");
  }
  // In some steps; now and then it has to begin again.
  Encoding encode_some(uint32_t partition, Buffer& out) override {
    if (!encoding) {
      encoding = partition;
      encode(partition, encoded);
    }
    EXPECT_EQ(encoding, partition);
    if (++steps % 3 != 0) return Encoding::kMore;
    if (steps % 7 == 0) return Encoding::kBroken;
    out = std::move(encoded);
    encoding.reset();
    return Encoding::kDone;
  }
  void stop_encoding() override {
    EXPECT_TRUE(encoding.has_value());
    encoding.reset();
    encoded.clear();
  }
  Status check(uint32_t, std::string_view state) override {
    return state.empty() || state.back() == '\n' ? done() : Status(ErrorCode::kCorrupt);
  }
  Status install(uint32_t partition, std::string_view state) override {
    words[partition].clear();
    while (!state.empty()) {
      const size_t end = state.find('\n');
      const auto [word, value] = parsed(state.substr(0, end));
      words[partition][word] = value;
      state.remove_prefix(end + 1);
    }
    return done();
  }
  void clear(uint32_t partition) override {
    words[partition].clear();
    refused = kNoWord;
  }
  void begin_sum(uint32_t partition) override {
    EXPECT_FALSE(is_summing || encoding);
    is_summing = true;
    Buffer bytes;
    encode(partition, bytes);
    sum = hash128(bytes.view(), 0);
  }
  // In some steps; now and then nobody will know.
  Summing sum_some(Hash128& out) override {
    EXPECT_TRUE(is_summing);
    if (++sum_steps % 3 != 0) return Summing::kMore;
    is_summing = false;
    out = sum;
    return sum_steps % 21 == 0 ? Summing::kBroken : Summing::kDone;
  }
  void stop_sum() override {
    EXPECT_TRUE(is_summing);
    is_summing = false;
  }
  void on_begun_anew(uint32_t) override { ++begun_anew; }
  void on_role(uint32_t, const raft::RoleState&) override {}
  void on_commit(uint32_t, raft::Index) override {}
  void on_read(uint32_t, raft::ReadToken, raft::ReadVerdict) override {}
  void on_lost(uint32_t, std::span<const raft::Entry>) override {}

  std::map<uint32_t, std::map<std::string, std::string>> words;
  static constexpr std::string_view kNoWord = "=";
  std::string_view refused = kNoWord;   // an entry with this word cannot be applied, until all begins anew
  bool is_summing = false;
  Hash128 sum;
  int sum_steps = 0;
  std::optional<uint32_t> encoding;
  Buffer encoded;
  int steps = 0;
  size_t begun_anew = 0;   // partitions
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
    ClusterNodeOptions options{.own = record(id), .incarnation = machine.incarnation, .partitions = kPartitions, .seed = id * 100 + machine.incarnation};
    options.group.window_bytes_max = window_bytes_max;
    for (const NodeId seed : join) options.join.push_back({.host = "host", .port = static_cast<uint16_t>(seed)});
    GroupRecovery recovery;
    for (const std::string& bytes : machine.disk) ASSERT_TRUE(recovery.record(bytes).ok());
    auto restored = restored_cluster(recovery, kPartitions);
    ASSERT_TRUE(restored.ok());
    machine.data = std::make_unique<Words>();
    if (restored.value()) {
      for (const auto& [group, found] : restored.value()->groups) {
        if (group == meta_group(kPartitions) || !found.state) continue;
        ASSERT_TRUE(machine.data->install(static_cast<uint32_t>(group.value - 1), *found.state).ok());
      }
    }
    machine.node = std::make_unique<ClusterNode>(options, *machine.data);
    machine.node->start(now, std::move(restored).value());
    machine.stored_at.clear();
  }
  // What was written and not stored yet is lost.
  void kill(NodeId id) {
    Machine& machine = machines_.at(id);
    machine.disk.resize(machine.disk.size() - machine.stored_at.size());
    machine.node.reset();
    cut(id);
  }
  ClusterNode& at(NodeId id) { return *machines_.at(id).node; }
  bool is_running(NodeId id) { return machines_.contains(id) && machines_.at(id).node != nullptr; }
  // Its connections break and no new ones can be made; 0: they can again.
  void isolate(NodeId id) {
    split(id == 0 ? std::set<NodeId>() : std::set<NodeId>{id});
  }
  // Connections between these and the others break, and no new ones can be made; nobody: they can again.
  void split(const std::set<NodeId>& side) {
    side_ = side;
    for (const NodeId id : side) cut(id, [&](NodeId other) { return side.count(other) == 0; });
  }
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
  // Of the partition.
  NodeId leader_of(uint32_t partition) {
    for (auto& [id, machine] : machines_) {
      const raft::Core* const core = machine.node == nullptr ? nullptr : machine.node->partitions().core(partition);
      if (core != nullptr && core->role_state().serving == raft::Serving::kYes) return id;
    }
    return 0;
  }
  // All its connections break; both ends are told, those that are still there.
  void cut(NodeId id) {
    cut(id, [](NodeId) { return true; });
  }
  template <class WithWhom>
  void cut(NodeId id, WithWhom&& with_whom) {
    for (auto wire = wires_.begin(); wire != wires_.end();) {
      const auto [near, far] = *wire;
      if (near.first != id || !with_whom(far.first)) {
        ++wire;
        continue;
      }
      wires_.erase(near);
      wires_.erase(far);
      send({.to = near, .closes = true});
      send({.to = far, .closes = true});
      wire = wires_.begin();
    }
  }
  // Executes a write where the partition is led; false if nobody serves it.
  bool write(uint32_t partition, const std::string& word, const std::string& value) {
    for (auto& [id, machine] : machines_) {
      if (machine.node == nullptr || machine.node->membership() == Membership::kRefused) continue;
      Partitions& partitions = machine.node->partitions();
      const raft::Core* const core = partitions.core(partition);
      if (core == nullptr || core->role_state().serving != raft::Serving::kYes || !partitions.can_propose(partition)) continue;
      EXPECT_TRUE(machine.data->apply(partition, word + "=" + value).ok());
      const raft::Index index = partitions.propose(now, partition, SharedBytes(word + "=" + value));
      return run_until(5'000'000, [&] { return machine.node != nullptr && partitions.commit_index(partition) >= index; });
    }
    return false;
  }
  bool write_until_done(uint32_t partition, const std::string& word, const std::string& value) {
    for (const int64_t end = now.steady_us + 10'000'000; now.steady_us < end; run(5'000)) {
      if (write(partition, word, value)) return true;
    }
    return false;
  }
  // Every partition is as the plan says, with `copies` copies that hold the same, and nobody else holds any.
  bool is_placed(size_t copies) {
    std::map<uint32_t, size_t> found;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const std::map<std::string, std::string>* first = nullptr;
      for (auto& [id, machine] : machines_) {
        if (machine.node == nullptr) continue;
        const raft::Core* const core = machine.node->partitions().core(partition);
        if (core == nullptr) {
          if (!machine.data->words[partition].empty()) return false;
          continue;
        }
        const raft::Configuration& configuration = core->committed_configuration().configuration;
        if (configuration.joint() || configuration.members().size() != copies) return false;
        if (configuration.incoming.voters.size() != (copies >= 3 ? copies : 1)) return false;
        ++found[partition];
        if (first == nullptr) first = &machine.data->words[partition];
        if (*first != machine.data->words[partition]) return false;
      }
      if (found[partition] != copies) return false;
    }
    return true;
  }
  size_t led_by(NodeId id) {
    size_t count = 0;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = at(id).partitions().core(partition);
      if (core != nullptr && core->role_state().serving == raft::Serving::kYes) ++count;
    }
    return count;
  }
  Words& data(NodeId id) { return *machines_.at(id).data; }
  const raft::Configuration& meta_configuration(NodeId id) {
    return at(id).groups().find(at(id).meta().group())->configuration();
  }
  std::string notes;
  size_t window_bytes_max = raft::Options().window_bytes_max;   // of nodes that boot from here on
  Keeping keeping = Keeping::kAll;

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
    std::unique_ptr<Words> data;
    std::unique_ptr<ClusterNode> node;
    uint64_t incarnation = 0;
    std::vector<std::string> disk;
    std::deque<int64_t> stored_at;   // of the last records
    uint64_t records = 0;
    int turns_in_vain = 0;           // in a row, that left a deadline in the past
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
      node.begin_record(++machine.records, bytes, keeping);
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
    machine.turns_in_vain = node.deadline() <= now.steady_us ? machine.turns_in_vain + 1 : 0;
    CHECK(machine.turns_in_vain < kTurnsInVainMax);
    for (const std::string& line : node.take_notes()) notes += std::to_string(id) + "> " + line + "\n";
  }
  void connect(NodeId id, const PeersOutput::Dial& dial) {
    const auto target = machines_.find(dial.address.port);
    ConnectionId accepted = 0;
    const bool is_cut = side_.count(id) != side_.count(dial.address.port);
    if (!is_cut && target != machines_.end() && target->second.node != nullptr) accepted = target->second.node->accepted(now);
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

  std::map<NodeId, Machine> machines_;
  std::map<End, End> wires_;
  std::set<NodeId> side_;   // cut off from all others
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
  const ProposalToken token = world.at(3).meta().propose(meta::SetSetting{"write-quorum", "all"});
  ASSERT_NE(token, 0u);
  EXPECT_TRUE(world.run_until(1'000'000, [&] {
    return world.at(1).state().setting("write-quorum") == "all" && world.at(2).state().setting("write-quorum") == "all" &&
           world.at(3).state().setting("write-quorum") == "all";
  }));
}

TEST(ClusterNode, who_proposes_hears_what_became_of_it_and_of_nothing_else) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); }));
  for (NodeId id = 1; id <= 3; ++id) EXPECT_TRUE(world.at(id).take_outcomes().empty());
  const ProposalToken refused = world.at(3).propose(meta::SetState{99, MemberState::kDraining});
  const ProposalToken taken = world.at(3).propose(meta::SetState{2, MemberState::kDraining});
  std::vector<MetaGroup::Outcome> outcomes;
  ASSERT_TRUE(world.run_until(2'000'000, [&] {
    for (MetaGroup::Outcome& outcome : world.at(3).take_outcomes()) outcomes.push_back(std::move(outcome));
    return outcomes.size() == 2;
  })) << world.notes;
  EXPECT_EQ(outcomes[0].token, refused);
  EXPECT_EQ(outcomes[0].status.error().detail(), "no such node");
  EXPECT_EQ(outcomes[1].token, taken);
  EXPECT_TRUE(outcomes[1].status.ok());
  EXPECT_TRUE(world.at(1).take_outcomes().empty());
}

TEST(ClusterNode, a_proposal_whose_effect_comes_by_snapshot_has_an_outcome_too) {
  World world;
  world.window_bytes_max = 10'000;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3) && world.is_placed(3); })) << world.notes;
  const NodeId leader = world.leader();
  const NodeId proposer = leader == 3 ? 2 : 3;
  const ProposalToken token = world.at(proposer).propose(meta::SetSetting{"a", "b"});
  world.run(200);   // it is on its way to the leader
  world.isolate(proposer);
  ASSERT_TRUE(world.run_until(2'000'000, [&] { return world.at(leader).state().setting("a") == "b"; })) << world.notes;
  for (int written = 0; written < 20; ++written) {
    world.at(leader).meta().propose(meta::SetSetting{"more", std::string(2000, static_cast<char>('a' + written))});
    world.run(50'000);
  }
  EXPECT_TRUE(world.at(proposer).take_outcomes().empty());
  world.isolate(0);
  std::vector<MetaGroup::Outcome> outcomes;
  ASSERT_TRUE(world.run_until(5'000'000, [&] {
    outcomes = world.at(proposer).take_outcomes();
    return !outcomes.empty();
  })) << world.notes;
  EXPECT_EQ(outcomes[0].token, token);
  EXPECT_FALSE(outcomes[0].is_known);
  EXPECT_EQ(world.at(proposer).state().setting("a"), "b");
}

TEST(ClusterNode, a_node_that_was_alone_joins_when_it_is_told_to) {
  World world;
  world.boot(1);
  world.boot(2);
  world.run(100'000);
  world.at(2).join(world.now, {.host = "host", .port = 1});
  EXPECT_EQ(world.at(2).membership(), Membership::kJoining);
  EXPECT_TRUE(world.run_until(5'000'000, [&] { return world.agree(2); })) << world.notes;
}

TEST(ClusterNode, a_node_that_nobody_lets_in_says_where_it_knocks) {
  World world;
  world.boot(1, {2});
  world.run(25'000'000);
  const std::string complaint = "1> no node of a cluster answers at ";
  int64_t count = 0;
  for (size_t at = 0; (at = world.notes.find(complaint, at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 3) << world.notes;  // after 2, 12 and 22 seconds
  world.boot(2);
  EXPECT_TRUE(world.run_until(5'000'000, [&] { return world.agree(2); })) << world.notes;
}

TEST(ClusterNode, the_lines_with_other_members_are_told) {
  World world;
  for (NodeId id = 1; id <= 3; ++id) world.boot(id, id == 1 ? std::vector<NodeId>() : std::vector<NodeId>{1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(3, 3); }));
  const std::vector<Peers::LineFacts> lines = world.at(2).peers().lines();
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[0].node, 1u);
  EXPECT_EQ(lines[0].lane, PeerLane::kData);
  EXPECT_FALSE(lines[0].is_dialled_here);
  EXPECT_EQ(lines[1].lane, PeerLane::kBeats);
  EXPECT_EQ(lines[2].lane, PeerLane::kPubsub);
  EXPECT_EQ(lines[3].node, 3u);
  EXPECT_TRUE(lines[3].is_dialled_here);
  EXPECT_EQ(lines[3].up_since_unix_ms, world.now.unix_ms);
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
  world.at(next).meta().propose(meta::SetSetting{"a", "b"});
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
  world.at(2).meta().propose(meta::SetSetting{"a", "b"});
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
  world.at(1).meta().propose(meta::SetState{4, MemberState::kDraining});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return !world.at(1).state().is_planned(4) && world.is_placed(3); })) << world.notes;
  world.kill(4);
  world.at(1).meta().propose(meta::SetState{4, MemberState::kRemoved});
  ASSERT_TRUE(world.run_until(3'000'000, [&] { return world.at(2).state().find(4)->state == MemberState::kRemoved; }));
  world.boot(4, {1});
  EXPECT_TRUE(world.run_until(5'000'000, [&] { return world.at(4).membership() == Membership::kRefused; })) << world.notes;
  EXPECT_EQ(world.at(4).refusal(), "the node was removed from the cluster for good");
  EXPECT_EQ(world.at(1).peers().link(4, PeerLane::kData), nullptr);
}

// Node `away` is down while node `newcomer` joins the other one and takes the meta group over from it.
void move_on_without(World& world, NodeId first, NodeId away, NodeId newcomer) {
  world.boot(first);
  world.boot(away, {first});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(2); })) << world.notes;
  world.kill(away);
  world.boot(newcomer, {first});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
  world.at(first).meta().propose(meta::SetState{first, MemberState::kDraining});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.leader() == newcomer; })) << world.notes;
}

TEST(ClusterNode, who_was_away_while_the_group_moved_on_asks_whom_it_knows) {
  World world;
  move_on_without(world, 1, 2, 3);
  world.boot(2);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
}

TEST(ClusterNode, who_was_away_asks_the_member_that_it_does_not_know_when_that_calls) {
  World world;
  move_on_without(world, 3, 4, 1);
  world.kill(3);
  world.boot(4);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
}

TEST(ClusterNode, who_was_away_asks_where_it_is_told_to_look) {
  World world;
  move_on_without(world, 1, 2, 3);
  world.kill(1);
  world.boot(2, {3});
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
}

// It hears no more than others know, and knows no more than it heard; but who is left is among that.
TEST(ClusterNode, who_was_away_and_knows_nobody_but_a_removed_node_hears_from_it_who_is_left) {
  // Of two members the one with the smaller id dials.
  for (const NodeId removed : {NodeId{1}, NodeId{4}}) {
    World world;
    move_on_without(world, removed, 2, 3);
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return !world.at(3).state().is_planned(removed); })) << world.notes;
    world.at(3).meta().propose(meta::SetState{removed, MemberState::kRemoved});
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.at(removed).membership() == Membership::kRefused; })) << world.notes;
    world.kill(3);
    world.boot(2);
    const auto calls = [&](NodeId node) {
      const std::vector<MemberRecord> members = world.at(2).meta().members_to_call();
      return std::any_of(members.begin(), members.end(), [&](const MemberRecord& each) { return each.id == node; });
    };
    EXPECT_FALSE(calls(3));
    EXPECT_TRUE(world.run_until(10'000'000, [&] { return calls(3); })) << removed << world.notes;
    world.boot(3);
    const auto knows_all = [&] { return world.at(2).state().find(3) != nullptr && world.at(2).membership() == Membership::kMember; };
    EXPECT_TRUE(world.run_until(10'000'000, knows_all)) << removed << world.notes;
  }
}

// ---- partitions -------------------------------------------------------------------------------------------

// Founds a cluster of `count` nodes with some words, and waits until everything is where it should be.
void found(World& world, NodeId count, size_t copies) {
  world.boot(1);
  world.boot(2, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(2); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    ASSERT_TRUE(world.write_until_done(partition, "first", std::to_string(partition))) << world.notes;
  }
  for (NodeId id = 3; id <= count; ++id) world.boot(id, {1});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.agree(count) && world.is_placed(copies); })) << world.notes;
}

TEST(ClusterPartitions, two_nodes_hold_two_copies_with_one_voter) {
  World world;
  found(world, 2, 2);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.at(1).partitions().core(partition)->configuration().incoming.voters.size(), 1u);
    EXPECT_EQ(world.data(2).words[partition]["first"], std::to_string(partition));
  }
}

TEST(ClusterPartitions, three_nodes_get_three_copies_and_share_the_leading) {
  World world;
  found(world, 3, 3);
  EXPECT_TRUE(world.run_until(30'000'000, [&] {
    return world.led_by(1) <= 7 && world.led_by(2) <= 7 && world.led_by(3) <= 7 &&
           world.led_by(1) + world.led_by(2) + world.led_by(3) == kPartitions;
  })) << world.led_by(1) << ' ' << world.led_by(2) << ' ' << world.led_by(3);
}

TEST(ClusterPartitions, a_node_takes_all_leaderships_over_and_gives_them_back) {
  World world;
  found(world, 3, 3);
  const auto is_shared = [&] { return world.led_by(1) <= 7 && world.led_by(2) <= 7 && world.led_by(3) <= 7; };
  ASSERT_TRUE(world.run_until(30'000'000, is_shared));
  const size_t elsewhere = kPartitions - world.led_by(1);
  EXPECT_EQ(world.at(1).take_over(world.now), elsewhere);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.led_by(1) == kPartitions; })) << world.notes;
  EXPECT_EQ(world.at(1).take_over(world.now), 0u);
  world.run(10'000'000);
  EXPECT_EQ(world.led_by(1), size_t{kPartitions});
  // Whoever is asked, all look again.
  world.at(2).rebalance();
  EXPECT_TRUE(world.run_until(2'000'000, [&] {
    return is_shared() && world.led_by(1) + world.led_by(2) + world.led_by(3) == kPartitions;
  })) << world.led_by(1) << ' ' << world.led_by(2) << ' ' << world.led_by(3);
}

TEST(ClusterPartitions, what_was_acknowledged_survives_any_one_node) {
  World world;
  found(world, 3, 3);
  for (NodeId victim = 1; victim <= 3; ++victim) {
    world.kill(victim);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      ASSERT_TRUE(world.write_until_done(partition, "without", std::to_string(victim))) << world.notes;
    }
    world.boot(victim);
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      EXPECT_EQ(world.data(victim).words[partition]["without"], std::to_string(victim));
      EXPECT_EQ(world.data(victim).words[partition]["first"], std::to_string(partition));
    }
  }
}

TEST(ClusterPartitions, in_memory_mode_what_was_acknowledged_survives_any_one_node) {
  World world;
  world.keeping = Keeping::kBare;
  found(world, 3, 3);
  for (NodeId victim = 1; victim <= 3; ++victim) {
    world.kill(victim);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      ASSERT_TRUE(world.write_until_done(partition, "without", std::to_string(victim))) << world.notes;
    }
    world.boot(victim);
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(victim).partitions().core(partition);
      EXPECT_EQ(world.data(victim).words[partition]["without"], std::to_string(victim));
      EXPECT_EQ(world.data(victim).words[partition]["first"], std::to_string(partition));
      EXPECT_TRUE(world.run_until(5'000'000, [&] { return core->standing() == raft::Standing::kFull; })) << partition;
    }
  }
}

// The data are gone with the memory, and nothing else is.
TEST(ClusterPartitions, in_memory_mode_all_killed_at_once_begin_empty_in_their_cluster) {
  World world;
  world.keeping = Keeping::kBare;
  found(world, 3, 3);
  for (NodeId id = 1; id <= 3; ++id) world.kill(id);
  for (NodeId id = 1; id <= 3; ++id) world.boot(id);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3) && world.leader() != 0; })) << world.notes;
  ASSERT_TRUE(world.write_until_done(5, "new", "1")) << world.notes;
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(2).words[5].size(), 1u);
  EXPECT_TRUE(world.data(2).words[3].empty());
}

TEST(ClusterPartitions, a_fourth_node_takes_its_share_while_others_write) {
  World world;
  found(world, 3, 3);
  world.boot(4, {2});
  std::map<uint32_t, std::string> last;
  for (int written = 0; written < 200; ++written) {
    const auto partition = static_cast<uint32_t>(written) % kPartitions;
    ASSERT_TRUE(world.write_until_done(partition, "during", std::to_string(written))) << world.notes;
    last[partition] = std::to_string(written);
  }
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(4) && world.is_placed(3); })) << world.notes;
  for (NodeId id = 1; id <= 4; ++id) {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (world.at(id).partitions().core(partition) == nullptr) continue;
      EXPECT_EQ(world.data(id).words[partition]["during"], last[partition]);
    }
  }
  size_t held = 0;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) held += world.at(4).partitions().core(partition) != nullptr ? 1u : 0u;
  EXPECT_EQ(held, 12u);
}

TEST(ClusterPartitions, the_commit_quorum_is_lowered_and_raised_while_others_write) {
  World world;
  found(world, 3, 3);
  const auto all_commit_with = [&](uint32_t copies) {
    for (NodeId id = 1; id <= 3; ++id) {
      for (uint32_t partition = 0; partition < kPartitions; ++partition) {
        const raft::StoredConfiguration& now = world.at(id).partitions().core(partition)->committed_configuration();
        if (now.configuration.joint() || now.configuration.incoming.quorums().commit != copies) return false;
      }
    }
    return true;
  };
  const std::pair<const char*, uint32_t> kSteps[] = {{"1", 1}, {"0", 2}, {"1", 1}, {"8", 2}};
  for (const auto& [value, copies] : kSteps) {
    ASSERT_NE(world.at(2).meta().propose(meta::SetSetting{"commit-quorum", value}), 0u);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      ASSERT_TRUE(world.write_until_done(partition, "during", value)) << world.notes;
    }
    EXPECT_TRUE(world.run_until(10'000'000, [&] { return all_commit_with(copies); })) << value << world.notes;
  }
}

TEST(ClusterPartitions, a_drained_node_gives_everything_away) {
  World world;
  found(world, 4, 3);
  world.at(1).meta().propose(meta::SetState{2, MemberState::kDraining});
  EXPECT_TRUE(world.run_until(30'000'000, [&] {
    if (!world.is_placed(3)) return false;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (world.at(2).partitions().core(partition) != nullptr) return false;
    }
    return true;
  })) << world.notes;
}

// The replica of partition 0 that the plan gives to node 3; 0: none.
uint64_t planned_at_3(World& world) {
  for (const PlannedReplica& each : world.at(world.leader()).state().plan()[0].replicas) {
    if (each.node == 3) return each.replica;
  }
  return 0;
}

placement::Plan plan_without_3(World& world) {
  placement::Plan plan = world.at(world.leader()).state().placement_plan();
  std::erase(plan[0].replicas, NodeId{3});
  plan[0].voters = 2;
  return plan;
}

// The leader sees only the end of it: what it has made a learner is not what the node makes when it comes back.
TEST(ClusterPartitions, a_node_that_left_the_plan_and_is_back_in_it_while_it_was_away_gets_its_copy) {
  World world;
  found(world, 3, 3);
  world.kill(3);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.leader() != 0 && world.leader_of(0) != 0; })) << world.notes;
  const auto learns = [&](uint64_t replica) {
    const NodeId leader = world.leader_of(0);
    if (leader == 0) return false;
    const std::vector<raft::Member>& learners = world.at(leader).partitions().core(0)->configuration().learners;
    return learners == std::vector<raft::Member>{{.replica = {replica}, .node = {3}}};
  };
  const uint64_t first = planned_at_3(world);
  const uint64_t version = world.at(world.leader()).state().plan_version();
  world.at(world.leader()).meta().propose(meta::SetPlan{version, plan_without_3(world)});
  // It does not fit the members, so the next one gives it back.
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return planned_at_3(world) > first && learns(planned_at_3(world)); })) << world.notes;
  const uint64_t second = planned_at_3(world);
  MetaGroup& meta = world.at(world.leader()).meta();
  const placement::Plan plan = meta.state().placement_plan();
  meta.propose(meta::SetPlan{version + 2, plan_without_3(world)});
  meta.propose(meta::SetPlan{version + 3, plan});
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return planned_at_3(world) > second; })) << world.notes;
  EXPECT_TRUE(learns(second));
  world.boot(3);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3) && world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.at(3).partitions().core(0)->options().self.replica.value, planned_at_3(world));
}

// Whoever has stood in vain takes no leader's word of an earlier term, and nobody of its group asks it any more.
TEST(ClusterPartitions, a_copy_that_was_left_out_goes_though_it_is_in_a_later_term) {
  World world;
  found(world, 3, 3);
  world.isolate(3);
  const raft::Core& own = *world.at(3).partitions().core(0);
  const raft::ReplicaId replica = own.options().self.replica;
  world.at(3).groups().step(world.now, group_of_partition(0),
                            raft::in::Receive{raft::Message{.group = group_of_partition(0),
                                                            .from = own.configuration().incoming.voters.front(),
                                                            .to = own.options().self,
                                                            .term = {own.term().value + 100},
                                                            .epoch = own.epoch(),
                                                            .body = raft::AppendAnswer{}}});
  world.run(10'000);
  world.kill(3);
  world.isolate(0);
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.leader() != 0 && world.leader_of(0) != 0; })) << world.notes;
  const uint64_t version = world.at(world.leader()).state().plan_version();
  world.at(world.leader()).meta().propose(meta::SetPlan{version, plan_without_3(world)});
  const auto is_out = [&] {
    const NodeId leader = world.leader_of(0);
    return leader != 0 && !world.at(leader).partitions().core(0)->committed_configuration().configuration.find(replica);
  };
  ASSERT_TRUE(world.run_until(5'000'000, is_out)) << world.notes;
  world.boot(3);
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3) && world.is_placed(3); })) << world.notes;
}

// As a process does that is told to end: it hands over, in two seconds at most, and is gone.
void end_in_good_order(World& world, NodeId id) {
  beats::Health health = world.at(id).groups().health();
  health.is_draining = true;
  world.at(id).set_health(world.now, health);
  world.run_until(2'000'000, [&] { return world.at(id).count_to_hand_over() == 0; });
  world.kill(id);
}

// Runs until node 1 leads a partition whose voters are being changed.
bool run_until_voters_change(World& world, size_t members) {
  const auto is_changing = [&] {
    if (!world.agree(members)) return false;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(1).partitions().core(partition);
      if (core != nullptr && core->role() == raft::RoleName::kLeader && core->configuration().joint()) return true;
    }
    return false;
  };
  return world.run_until(10'000'000, is_changing);
}

// Does anybody lead what it cannot commit in?
bool has_starting_leaders(World& world) {
  for (NodeId id = 1; id <= 3; ++id) {
    for (uint32_t partition = 0; world.is_running(id) && partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(id).partitions().core(partition);
      if (core != nullptr && core->is_starting()) return true;
    }
  }
  return false;
}

// Voters go from one to three by a joint configuration, which the one must finish: whoever came after it could not.
TEST(ClusterPartitions, a_node_that_ends_while_others_are_given_votes_leaves_leaders_that_can_commit) {
  for (int64_t delay_us = 0; delay_us <= 4'000; delay_us += 500) {
    World world;
    world.boot(1);
    world.boot(2, {1});
    world.boot(3, {1});
    ASSERT_TRUE(run_until_voters_change(world, 3)) << world.notes;
    world.run(delay_us);
    std::vector<uint32_t> changing;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (world.at(1).partitions().core(partition)->configuration().incoming.voters.size() == 3) changing.push_back(partition);
    }
    ASSERT_FALSE(changing.empty());
    end_in_good_order(world, 1);
    EXPECT_TRUE(world.run_until(2'000'000, [&] { return !has_starting_leaders(world); })) << delay_us << world.notes;
    for (const uint32_t partition : changing) {
      ASSERT_TRUE(world.write_until_done(partition, "after", "1")) << delay_us << ' ' << partition << world.notes;
    }
  }
}

// With two nodes half of the partitions get another single voter, which takes over before the change is finished.
TEST(ClusterPartitions, a_node_that_ends_while_its_vote_goes_to_another_stays_until_that_one_can_do_without) {
  for (int64_t delay_us = 0; delay_us <= 4'000; delay_us += 500) {
    World world;
    world.boot(1);
    world.boot(2, {1});
    ASSERT_TRUE(run_until_voters_change(world, 2)) << world.notes;
    world.run(delay_us);
    std::vector<uint32_t> changing;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Half& voters = world.at(1).partitions().core(partition)->configuration().incoming;
      if (voters.voters.size() == 1 && voters.voters.front().node.value == 2) changing.push_back(partition);
    }
    ASSERT_FALSE(changing.empty());
    end_in_good_order(world, 1);
    EXPECT_TRUE(world.run_until(1'000'000, [&] { return !has_starting_leaders(world); })) << delay_us << world.notes;
    for (const uint32_t partition : changing) {
      ASSERT_TRUE(world.write_until_done(partition, "after", "1")) << delay_us << ' ' << partition << world.notes;
    }
  }
}

TEST(ClusterPartitions, leaders_that_cannot_commit_their_first_entry_say_what_they_wait_for) {
  World world;
  found(world, 3, 3);
  constexpr std::string_view kLine = "have not committed their first entry";
  world.run(3'000'000);
  EXPECT_EQ(world.notes.find(kLine), std::string::npos) << world.notes;
  world.kill(3);
  const auto starts = [&](NodeId id) {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (world.at(id).partitions().core(partition)->is_starting()) return true;
    }
    return false;
  };
  ASSERT_TRUE(world.run_until(2'000'000, [&] { return starts(1); })) << world.notes;
  world.kill(2);
  world.run(3'600'000);
  size_t lines = 0;
  for (size_t at = world.notes.find(kLine); at != std::string::npos; at = world.notes.find(kLine, at + 1)) ++lines;
  EXPECT_EQ(lines, 2u) << world.notes;   // the third waits for two seconds
  EXPECT_NE(world.notes.find(node_name(2) + " (", world.notes.find(kLine)), std::string::npos) << world.notes;
  EXPECT_NE(world.notes.find(", no line)"), std::string::npos) << world.notes;
}

TEST(ClusterPartitions, what_a_node_held_that_is_silent_for_long_is_made_elsewhere_and_it_gets_its_share_when_it_is_back) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  world.at(1).propose(meta::SetSetting{"node-dead-after", "2000"});
  world.run(500'000);
  const auto is_empty = [&](NodeId node) { return !world.at(world.leader()).state().is_planned(node); };
  // A voter of the meta group, and one of those that learn.
  const NodeId voter = world.leader() == 1 ? 2 : 1;
  for (const NodeId dead : {voter, NodeId{5}}) {
    world.kill(dead);
    world.run(1'500'000);
    EXPECT_FALSE(is_empty(dead));
    ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.leader() != 0 && is_empty(dead) && world.is_placed(3); })) << world.notes;
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(5, 3); })) << world.notes;
    for (const raft::Member& member : world.meta_configuration(world.leader()).incoming.voters) EXPECT_NE(member.node.value, dead);
    for (uint32_t partition = 0; partition < kPartitions; ++partition) EXPECT_TRUE(world.write_until_done(partition, "without", "it"));
    world.boot(dead);
    ASSERT_TRUE(world.run_until(30'000'000, [&] { return !is_empty(dead) && world.is_placed(3) && world.at(dead).state().is_planned(dead); })) << world.notes;
  }
}

// Others restart, and another one comes to lead the members: the plan stays as it is.
TEST(ClusterPartitions, who_is_dead_stays_so_whoever_restarts_or_leads) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  world.at(1).propose(meta::SetSetting{"node-dead-after", "2000"});
  const NodeId dead = world.leader() == 5 ? 4 : 5;
  world.kill(dead);
  const auto knows_it = [&](NodeId id) { return world.at(id).state().dead() == std::vector<NodeId>{dead}; };
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.leader() != 0 && !world.at(world.leader()).state().is_planned(dead) && world.is_placed(3);
  })) << world.notes;
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.is_settled(5, 3); })) << world.notes;
  const NodeId witness = world.leader() == 1 ? 2 : 1;
  const uint64_t plan = world.at(witness).state().plan_version();
  NodeId follower = 1;
  while (follower == witness || follower == world.leader() || follower == dead) ++follower;
  for (const NodeId restarted : {follower, world.leader()}) {
    world.kill(restarted);
    world.run(1'000'000);
    world.boot(restarted);
    for (int look = 0; look < 50; ++look) {
      world.run(100'000);
      EXPECT_TRUE(knows_it(witness));
    }
    EXPECT_EQ(world.at(witness).state().plan_version(), plan) << world.notes;
  }
  world.boot(dead);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(dead).state().is_planned(dead) && world.is_placed(3); })) << world.notes;
  EXPECT_TRUE(world.at(dead).state().dead().empty());
}

TEST(ClusterPartitions, two_of_five_die_at_once) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  world.at(1).propose(meta::SetSetting{"node-dead-after", "2000"});
  for (uint32_t partition = 0; partition < kPartitions; ++partition) EXPECT_TRUE(world.write_until_done(partition, "before", "it"));
  world.run(500'000);
  // One that votes in the meta group and one that does not: the others still elect there.
  NodeId voter = 1;
  NodeId learner = 1;
  const raft::Half voters = world.meta_configuration(world.leader()).incoming;
  while (voter == world.leader() || !voters.has({voter})) ++voter;
  while (voters.has({learner})) ++learner;
  world.kill(voter);
  world.kill(learner);
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    if (world.leader() == 0) return false;
    const ClusterState& state = world.at(world.leader()).state();
    return state.dead().size() == 2 && !state.is_planned(voter) && !state.is_planned(learner);
  })) << world.notes;
  // Partitions of which both had a copy have nobody to elect them until one is back; it gives them to those that are planned.
  world.boot(voter);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(voter).state().is_planned(voter) && world.is_placed(3); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(world.leader_of(partition)).words[partition]["before"], "it");
    EXPECT_TRUE(world.write_until_done(partition, "without", "it"));
  }
}

TEST(ClusterPartitions, who_is_dead_keeps_its_place_until_there_are_enough_others) {
  World world;
  found(world, 3, 3);
  world.at(1).propose(meta::SetSetting{"node-dead-after", "1000"});
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3) && world.is_placed(3); })) << world.notes;
  world.kill(2);
  world.run(10'000'000);
  const ClusterState& state = world.at(world.leader()).state();
  EXPECT_EQ(state.dead(), std::vector<NodeId>{2});
  EXPECT_TRUE(state.is_planned(2));
  // Two of three commit, and nobody alone.
  EXPECT_EQ(world.meta_configuration(world.leader()).incoming.voters.size(), 3u);
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_TRUE(world.write_until_done(partition, "without", "it"));
    const raft::Core* const core = world.at(world.leader_of(partition)).partitions().core(partition);
    EXPECT_EQ(core->configuration().incoming.voters.size(), 3u);
  }
  world.boot(4, {1});
  ASSERT_TRUE(world.run_until(30'000'000, [&] {
    return world.agree(4) && !world.at(world.leader()).state().is_planned(2) && world.is_placed(3);
  })) << world.notes;
  EXPECT_EQ(world.meta_configuration(world.leader()).incoming.voters.size(), 3u);
  EXPECT_FALSE(world.meta_configuration(world.leader()).incoming.has({2}));
  world.boot(2);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(2).state().is_planned(2) && world.is_placed(3); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(world.leader_of(partition)).words[partition]["without"], "it");
  }
}

// Of four voters of five nodes two die: only one is replaced, and the other one still counts.
TEST(ClusterPartitions, the_members_get_a_voter_for_one_that_is_dead_though_another_dead_one_stays) {
  World world;
  found(world, 5, 3);
  world.at(1).propose(meta::SetSetting{"node-dead-after", "1000"});
  world.at(1).propose(meta::SetSetting{"replication-n", "4"});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.is_settled(5, 4); })) << world.notes;
  const raft::Half voters = world.meta_configuration(world.leader()).incoming;
  std::vector<NodeId> lost;
  for (NodeId id = 1; id <= 5 && lost.size() < 2; ++id) {
    if (voters.has({id}) && id != world.leader()) lost.push_back(id);
  }
  for (const NodeId node : lost) world.kill(node);
  ASSERT_TRUE(world.run_until(20'000'000, [&] {
    if (world.leader() == 0 || world.at(world.leader()).state().dead().size() != 2) return false;
    const raft::Configuration& now = world.meta_configuration(world.leader());
    return !now.joint() && now.incoming.voters.size() == 4 && !(now.incoming.has({lost[0]}) && now.incoming.has({lost[1]}));
  })) << world.notes;
}

TEST(ClusterPartitions, a_leader_that_is_cut_off_decides_nothing_and_is_dead_itself) {
  World world;
  found(world, 4, 3);
  world.at(1).propose(meta::SetSetting{"node-dead-after", "1000"});
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(4, 3) && world.is_placed(3); })) << world.notes;
  world.run(500'000);
  const NodeId old = world.leader();
  world.isolate(old);
  const NodeId witness = old == 1 ? 2 : 1;
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.at(witness).state().dead() == std::vector<NodeId>{old}; })) << world.notes;
  world.run(3'000'000);
  EXPECT_FALSE(world.at(witness).state().is_planned(old));
  EXPECT_TRUE(world.at(old).state().dead().empty());
  world.isolate(0);
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.at(old).state().is_planned(old) && world.is_placed(3); })) << world.notes;
  EXPECT_TRUE(world.agree(4));
  EXPECT_TRUE(world.at(old).state().dead().empty());
}

TEST(ClusterPartitions, everybody_knows_who_leads_a_partition_with_or_without_a_replica_of_it) {
  World world;
  found(world, 4, 3);
  const auto leader_of = [&](uint32_t partition) -> NodeId {
    for (NodeId id = 1; id <= 4; ++id) {
      const raft::Core* const core = world.is_running(id) ? world.at(id).partitions().core(partition) : nullptr;
      if (core != nullptr && core->role_state().serving == raft::Serving::kYes) return id;
    }
    return 0;
  };
  const auto all_know = [&] {
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const NodeId leader = leader_of(partition);
      if (leader == 0) return false;
      for (NodeId id = 1; id <= 4; ++id) {
        if (!world.is_running(id)) continue;
        const auto known = world.at(id).groups().known_leader(group_of_partition(partition));
        if (!known || known->value != leader) return false;
      }
    }
    return true;
  };
  EXPECT_TRUE(world.run_until(2'000'000, all_know)) << world.notes;
  // Who fell silent leads nothing as far as is known; then another does.
  const NodeId victim = leader_of(3);
  const auto bystander = [&]() -> NodeId {
    for (NodeId id = 1; id <= 4; ++id) {
      if (world.at(id).partitions().core(3) == nullptr) return id;
    }
    return 0;
  }();
  ASSERT_NE(bystander, 0u);
  world.kill(victim);
  EXPECT_TRUE(world.run_until(100'000, [&] {
    return !world.at(bystander).groups().known_leader(group_of_partition(3));
  })) << world.notes;
  EXPECT_TRUE(world.run_until(5'000'000, all_know)) << world.notes;
}

// The beats of the process before need not have been heard.
TEST(ClusterPartitions, what_a_process_had_stored_counts_no_more_once_another_one_connects) {
  World world;
  found(world, 3, 3);
  const NodeId leader = world.leader_of(0);
  ASSERT_NE(leader, 0u);
  const NodeId other = leader % 3 + 1;
  const raft::Core& core = *world.at(leader).partitions().core(0);
  const auto match = [&] {
    for (const raft::Progress& each : core.progress()) {
      if (each.member().node.value == other) return each.match();
    }
    return raft::Index();
  };
  EXPECT_EQ(match(), core.last_index());
  world.at(leader).groups().peer_event(
      world.now, {.kind = PeerEvent::Kind::kRestarted, .lane = PeerLane::kPubsub, .node = other, .is_line = true});
  EXPECT_TRUE(match().none());
  EXPECT_TRUE(world.run_until(1'000'000, [&] { return match() == core.last_index(); })) << world.notes;
}

TEST(ClusterPartitions, a_snapshot_that_went_with_its_connection_is_sent_again) {
  for (int64_t until_cut_us = 1'000; until_cut_us <= 21'000; until_cut_us += 4'000) {
    World world;
    found(world, 2, 2);
    world.boot(3, {1});
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(3); })) << world.notes;
    world.run(until_cut_us);
    world.isolate(3);
    world.isolate(0);
    EXPECT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << until_cut_us << world.notes;
  }
}

TEST(ClusterPartitions, of_two_nodes_the_one_that_is_left_names_no_leader_for_what_the_other_voted_for) {
  World world;
  found(world, 2, 2);
  const auto led_by = [&](NodeId id) {
    uint32_t count = 0;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      const raft::Core* const core = world.at(id).partitions().core(partition);
      count += core != nullptr && core->role_state().serving == raft::Serving::kYes ? 1u : 0u;
    }
    return count;
  };
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return led_by(1) == kPartitions / 2 && led_by(2) == kPartitions / 2; })) << world.notes;
  world.kill(2);
  const auto known = [&](uint32_t partition) {
    const auto leader = world.at(1).groups().known_leader(group_of_partition(partition));
    return leader ? leader->value : 0;
  };
  uint32_t orphans = 0;
  EXPECT_TRUE(world.run_until(1'000'000, [&] {
    orphans = 0;
    for (uint32_t partition = 0; partition < kPartitions; ++partition) {
      if (known(partition) == 2) return false;
      orphans += known(partition) == 0 ? 1u : 0u;
    }
    return true;
  })) << world.notes;
  EXPECT_EQ(orphans, kPartitions / 2);
}

TEST(ClusterPartitions, what_a_deposed_leader_executed_alone_is_forgotten) {
  World world;
  found(world, 3, 3);
  // A leader that reaches nobody executes a write that nobody is told of.
  NodeId leader = 0;
  for (NodeId id = 1; id <= 3; ++id) {
    if (world.at(id).partitions().core(5)->role_state().serving == raft::Serving::kYes) leader = id;
  }
  ASSERT_NE(leader, 0u);
  world.isolate(leader);
  ASSERT_TRUE(world.data(leader).apply(5, "lost=1").ok());
  world.at(leader).partitions().propose(world.now, 5, SharedBytes("lost=1"));
  world.run(3'000'000);
  ASSERT_TRUE(world.write_until_done(5, "kept", "1")) << world.notes;
  world.isolate(0);
  EXPECT_TRUE(world.run_until(20'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_FALSE(world.data(leader).words[5].contains("lost")) << world.notes;
  EXPECT_EQ(world.data(leader).words[5]["kept"], "1");
}

// ---- copies that differ, replicas that have stopped --------------------------------------------------------

// A cluster of three that compares the copies of all partitions once a second; partition 5 holds a word.
void found_and_compare(World& world) {
  found(world, 3, 3);
  world.at(1).propose(meta::SetSetting{"state-check-seconds", "1"});
  ASSERT_TRUE(world.write_until_done(5, "word", "right")) << world.notes;
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.is_placed(3); })) << world.notes;
}

NodeId leader_of(World& world, uint32_t partition) { return world.leader_of(partition); }

StateCheck::Counts counts_of_all(World& world) {
  StateCheck::Counts sum;
  for (NodeId id = 1; id <= 3; ++id) {
    const StateCheck::Counts& counts = world.at(id).partitions().check().counts();
    sum.rounds += counts.rounds;
    sum.differing += counts.differing;
    sum.undecided += counts.undecided;
  }
  return sum;
}

TEST(ClusterCheck, equal_copies_are_compared_and_left_alone) {
  World world;
  found_and_compare(world);
  world.run(3'000'000);
  const StateCheck::Counts counts = counts_of_all(world);
  EXPECT_GE(counts.rounds, 2 * kPartitions) << world.notes;
  EXPECT_EQ(counts.differing + counts.undecided, 0u) << world.notes;
  world.at(1).propose(meta::SetSetting{"state-check-seconds", "0"});
  world.run(500'000);
  const uint64_t rounds = counts_of_all(world).rounds;
  world.run(1'500'000);
  EXPECT_EQ(counts_of_all(world).rounds, rounds) << "0 means never";
}

TEST(ClusterCheck, a_copy_that_differs_from_the_majority_comes_back_by_snapshot) {
  World world;
  found_and_compare(world);
  const NodeId follower = leader_of(world, 5) % 3 + 1;
  world.data(follower).words[5]["word"] = "wrong";
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(follower).words[5]["word"], "right");
  EXPECT_EQ(counts_of_all(world).differing, 1u) << world.notes;
  EXPECT_EQ(world.at(follower).partitions().started_over(), 1u);
  EXPECT_TRUE(world.write_until_done(5, "word", "new"));
}

TEST(ClusterCheck, a_leader_that_differs_hands_over_first) {
  World world;
  found_and_compare(world);
  const NodeId leader = leader_of(world, 5);
  world.data(leader).words[5]["word"] = "wrong";
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(leader).words[5]["word"], "right") << world.notes;
  EXPECT_EQ(world.at(leader).partitions().started_over(), 1u) << world.notes;
}

TEST(ClusterCheck, without_a_majority_nothing_is_done_and_it_is_said) {
  World world;
  found_and_compare(world);
  for (NodeId id = 1; id <= 3; ++id) world.data(id).words[5]["word"] = std::to_string(id);
  const NodeId leader = leader_of(world, 5);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return counts_of_all(world).undecided >= 2; })) << world.notes;
  const auto undecided = world.at(leader).partitions().check().undecided();
  EXPECT_EQ(std::vector<uint32_t>(undecided.begin(), undecided.end()), std::vector<uint32_t>{5});
  EXPECT_EQ(counts_of_all(world).differing, 0u);
  for (NodeId id = 1; id <= 3; ++id) EXPECT_EQ(world.data(id).words[5]["word"], std::to_string(id));
}

TEST(ClusterCheck, a_replica_that_cannot_apply_an_entry_comes_back) {
  World world;
  found_and_compare(world);
  const NodeId follower = leader_of(world, 5) % 3 + 1;
  world.data(follower).refused = "bad";
  ASSERT_TRUE(world.write_until_done(5, "bad", "1"));
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_EQ(world.data(follower).words[5]["bad"], "1");
  EXPECT_EQ(world.at(follower).partitions().started_over(), 1u) << world.notes;
}

// An append that says that the follower's last entry has other bytes.
void contradict(World& world, NodeId leader, NodeId follower) {
  const raft::Core& stopped = *world.at(follower).partitions().core(5);
  const raft::Index last = stopped.commit_index();
  const raft::Append append{.prev_index = last,
                            .prev_term = *stopped.log().term_at(last),
                            .prev_chain = {stopped.log().chain_at(last)->value + 1},
                            .commit = last,
                            .entries = {}};
  world.at(follower).groups().step(world.now, group_of_partition(5),
                                   raft::in::Receive{{.group = group_of_partition(5),
                                                      .from = world.at(leader).partitions().core(5)->options().self,
                                                      .to = stopped.options().self,
                                                      .term = stopped.term(),
                                                      .epoch = stopped.epoch(),
                                                      .body = append}});
  ASSERT_TRUE(stopped.failed());
}

TEST(ClusterCheck, a_replica_that_has_stopped_by_a_contradiction_comes_back) {
  World world;
  found_and_compare(world);
  const NodeId leader = leader_of(world, 5);
  const NodeId follower = leader % 3 + 1;
  contradict(world, leader, follower);
  ASSERT_TRUE(world.write_until_done(5, "after", "1"));
  EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.is_placed(3); })) << world.notes;
  EXPECT_FALSE(world.at(follower).partitions().core(5)->failed());
  EXPECT_EQ(world.at(follower).partitions().started_over(), 1u) << world.notes;
}

// It may be the leader that is wrong: nobody forgets what nobody else is known to hold.
TEST(ClusterCheck, two_of_three_that_have_stopped_keep_what_they_have) {
  World world;
  found_and_compare(world);
  const NodeId leader = leader_of(world, 5);
  const NodeId followers[] = {leader % 3 + 1, (leader + 1) % 3 + 1};
  for (const NodeId follower : followers) contradict(world, leader, follower);
  world.run(10'000'000);
  for (const NodeId follower : followers) {
    EXPECT_EQ(world.at(follower).partitions().started_over(), 0u) << world.notes;
    EXPECT_EQ(world.data(follower).words[5]["word"], "right");
  }
}

// ---- without nodes that are lost for good -----------------------------------------------------------------

// Asks `node`; what it answers at once, or once it is decided: empty is +OK.
std::string recover_without(World& world, NodeId node, std::vector<NodeId> lost, WithoutCopies without_copies = WithoutCopies::kRefuse) {
  const int64_t until_us = world.now.steady_us + 5'000'000;
  const Result<ProposalToken> token = world.at(node).recover_without(world.now, std::move(lost), without_copies, until_us);
  if (!token.ok()) return std::string(token.error().detail());
  std::vector<MetaGroup::Outcome> outcomes;
  const bool is_told = world.run_until(10'000'000, [&] {
    outcomes = world.at(node).take_outcomes();
    return !outcomes.empty();
  });
  if (!is_told) return "nothing\n" + world.notes;
  EXPECT_EQ(outcomes.front().token, token.value());
  return outcomes.front().status.ok() ? std::string() : std::string(outcomes.front().status.error().detail());
}

void expect_words(World& world, NodeId node, const std::string& word) {
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(node).words[partition][word], std::to_string(partition)) << partition;
  }
}

void write_all(World& world, const std::string& word) {
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    ASSERT_TRUE(world.write_until_done(partition, word, std::to_string(partition))) << partition << '\n' << world.notes;
  }
}

bool all_lead_unsafely(World& world, NodeId node) {
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    const raft::Core* const core = world.at(node).partitions().core(partition);
    if (core == nullptr || core->role_state().takeover != raft::Takeover::kUnsafeRecovery) return false;
  }
  return true;
}

TEST(UnsafeRecovery, one_of_three_goes_on_alone_and_the_others_are_out) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
  write_all(world, "second");
  world.run(1'000'000);
  world.kill(1);
  world.kill(3);
  world.run(1'000'000);
  EXPECT_FALSE(world.write(0, "in", "vain"));
  EXPECT_EQ(recover_without(world, 2, {1, 3}), "");
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return all_lead_unsafely(world, 2) && world.led_by(2) == kPartitions; })) << world.notes;
  expect_words(world, 2, "first");
  expect_words(world, 2, "second");
  write_all(world, "third");
  // A restart changes nothing of that.
  world.kill(2);
  world.boot(2);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(2) == kPartitions; })) << world.notes;
  expect_words(world, 2, "third");
  // The two come back and are a majority of what they know; as soon as they reach one of the others they hear that they are out.
  world.boot(1);
  world.boot(3);
  ASSERT_TRUE(world.run_until(10'000'000, [&] {
    return world.at(1).membership() == Membership::kRefused && world.at(3).membership() == Membership::kRefused;
  })) << world.notes;
  EXPECT_EQ(world.at(2).state().given_up(), (std::vector<NodeId>{1, 3}));
  EXPECT_EQ(world.led_by(2), size_t{kPartitions});
  expect_words(world, 2, "third");
  world.kill(1);
  world.kill(3);
  // Fresh ones take their place.
  world.boot(4, {2});
  world.boot(5, {2});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.agree(5) && world.is_placed(3); })) << world.notes;
  write_all(world, "fourth");
  world.kill(2);
  write_all(world, "fifth");
  expect_words(world, 4, "third");
}

// After a start without a quorum nobody knows what is committed, not even who the members are.
TEST(UnsafeRecovery, all_were_down_and_one_of_three_comes_back) {
  for (const NodeId left : {NodeId{1}, NodeId{2}, NodeId{3}}) {
    World world;
    found(world, 3, 3);
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
    write_all(world, "second");
    world.run(1'000'000);
    for (NodeId id = 1; id <= 3; ++id) world.kill(id);
    world.run(1'000'000);
    world.boot(left);
    world.run(1'000'000);
    EXPECT_EQ(recover_without(world, left, {left % 3 + 1, (left + 1) % 3 + 1}), "") << left;
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(left) == kPartitions; })) << world.notes;
    expect_words(world, left, "second");
    write_all(world, "third");
  }
}

TEST(UnsafeRecovery, of_two_nodes_either_goes_on) {
  for (const NodeId left : {NodeId{1}, NodeId{2}}) {
    World world;
    found(world, 2, 2);
    write_all(world, "second");
    world.run(1'000'000);
    const NodeId lost = 3 - left;
    world.kill(lost);
    world.run(1'000'000);
    EXPECT_EQ(recover_without(world, left, {lost}), "");
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(left) == kPartitions; })) << world.notes;
    expect_words(world, left, "second");
    write_all(world, "third");
    world.boot(3, {left});
    ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.is_placed(2); })) << world.notes;
    expect_words(world, 3, "third");
  }
}

TEST(UnsafeRecovery, partitions_that_have_a_quorum_go_on_as_ever) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  write_all(world, "second");
  world.run(1'000'000);
  world.kill(2);
  world.kill(4);
  world.run(1'000'000);
  EXPECT_EQ(recover_without(world, 5, {2, 4}), "");
  write_all(world, "third");
  ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(3); })) << world.notes;
  std::map<uint32_t, bool> was_restarted;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    for (const NodeId node : {NodeId{1}, NodeId{3}, NodeId{5}}) {
      EXPECT_EQ(world.data(node).words[partition]["second"], std::to_string(partition));
      EXPECT_EQ(world.data(node).words[partition]["third"], std::to_string(partition));
      if (!world.at(node).partitions().core(partition)->epoch().none()) was_restarted[partition] = true;
    }
  }
  EXPECT_FALSE(was_restarted.empty());
  EXPECT_LT(was_restarted.size(), size_t{kPartitions});
}

TEST(UnsafeRecovery, is_refused_where_nothing_is_lost_or_somebody_is_not_named) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
  EXPECT_NE(recover_without(world, 1, {2}).find("is heard of"), std::string::npos);
  EXPECT_NE(recover_without(world, 1, {1}).find("is heard of"), std::string::npos);
  world.kill(2);
  world.run(1'000'000);
  // Two of three are a quorum.
  EXPECT_NE(recover_without(world, 1, {2}).find("enough to go on"), std::string::npos);
  EXPECT_NE(recover_without(world, 1, {2, 3}).find("is heard of"), std::string::npos);
  EXPECT_EQ(recover_without(world, 1, {9}), "no such node");
  world.kill(3);
  world.run(1'000'000);
  EXPECT_NE(recover_without(world, 1, {2}).find("neither named nor heard of"), std::string::npos);
  EXPECT_EQ(recover_without(world, 1, {}), "nobody is named");
  EXPECT_TRUE(world.at(1).state().given_up().empty());
  world.boot(2);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.write(0, "still", "there"); })) << world.notes;
}

TEST(UnsafeRecovery, what_is_not_decided_in_time_never_is) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const int64_t until_us = world.now.steady_us + 3'000'000;
  const auto token = world.at(4).recover_without(world.now, {1, 2, 3}, WithoutCopies::kBeginEmpty, until_us);
  ASSERT_TRUE(token.ok());
  world.isolate(5);
  std::vector<MetaGroup::Outcome> outcomes;
  ASSERT_TRUE(world.run_until(4'000'000, [&] {
    outcomes = world.at(4).take_outcomes();
    return !outcomes.empty();
  }));
  EXPECT_LE(world.now.steady_us, until_us + 1'000);
  EXPECT_EQ(outcomes.front().token, token.value());
  EXPECT_NE(outcomes.front().status.error().detail().find("has not answered"), std::string::npos) << outcomes.front().status.error().detail();
  world.isolate(0);
  world.run(10'000'000);
  EXPECT_TRUE(world.at(4).state().given_up().empty());
  EXPECT_TRUE(world.at(5).state().given_up().empty());
  // Nothing of it is in the way of another attempt, nor of the lost ones.
  EXPECT_EQ(recover_without(world, 5, {1, 2, 3}, WithoutCopies::kBeginEmpty), "");
  write_all(world, "third");
}

TEST(UnsafeRecovery, who_comes_back_before_it_is_decided_is_not_given_up) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
  write_all(world, "second");
  world.run(1'000'000);
  world.kill(1);
  world.isolate(3);
  world.run(1'000'000);
  const auto token = world.at(2).recover_without(world.now, {1, 3}, WithoutCopies::kRefuse, world.now.steady_us + 5'000'000);
  ASSERT_TRUE(token.ok());
  world.isolate(0);
  // It is heard again by now, or hears that it is out: one of both, and never a member that was given up and is served.
  std::vector<MetaGroup::Outcome> outcomes;
  ASSERT_TRUE(world.run_until(10'000'000, [&] {
    outcomes = world.at(2).take_outcomes();
    return !outcomes.empty();
  }));
  const bool is_given_up = outcomes.front().status.ok();
  if (is_given_up) {
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.at(3).membership() == Membership::kRefused; })) << world.notes;
  } else {
    EXPECT_NE(outcomes.front().status.error().detail().find("is heard of"), std::string::npos);
    EXPECT_TRUE(world.at(2).state().given_up().empty());
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.write(0, "third", "0"); })) << world.notes;
  }
  expect_words(world, 2, "second");
}

TEST(UnsafeRecovery, the_leader_looks_itself_whether_they_are_silent) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  const NodeId leader = world.leader();
  const NodeId other = leader % 5 + 1;
  // A message that says that everybody has agreed: it is not so.
  const NodeId named = other % 5 + 1;
  Buffer bytes;
  bytes.push_back(4);
  append_little<uint64_t>(bytes, 77);
  meta::encode(meta::GiveUp{.nodes = {named}}, bytes);
  world.at(other).peers().link(leader, PeerLane::kData)->add(UnsafeRecovery::kKind, bytes.view());
  world.run(1'000'000);
  EXPECT_TRUE(world.at(leader).state().given_up().empty());
  // Nor is it taken as a proposal like others.
  Buffer proposal;
  append_little<uint64_t>(proposal, other);
  append_varint(proposal, 1);
  append_varint(proposal, 0);
  meta::encode(meta::GiveUp{.nodes = {named}}, proposal);
  world.at(other).peers().link(leader, PeerLane::kData)->add(MetaGroup::kProposal, proposal.view());
  world.run(1'000'000);
  EXPECT_TRUE(world.at(leader).state().given_up().empty());
  EXPECT_NE(world.notes.find("only the leader may decree"), std::string::npos) << world.notes;
}

// Nodes that run on, cut off from those that have given them up: the one with the smallest id, that dials, and those that are dialled.
TEST(UnsafeRecovery, who_was_given_up_and_runs_on_hears_it_as_soon_as_it_can) {
  for (const NodeId left : {NodeId{1}, NodeId{2}, NodeId{3}}) {
    World world;
    found(world, 3, 3);
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
    world.isolate(left);
    world.run(2'000'000);
    EXPECT_EQ(recover_without(world, left, {left % 3 + 1, (left + 1) % 3 + 1}), "");
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(left) == kPartitions; })) << world.notes;
    world.isolate(0);
    ASSERT_TRUE(world.run_until(10'000'000, [&] {
      return world.at(left % 3 + 1).membership() == Membership::kRefused && world.at((left + 1) % 3 + 1).membership() == Membership::kRefused;
    })) << left << '\n'
        << world.notes;
    EXPECT_EQ(world.at(left).membership(), Membership::kMember);
    write_all(world, "alone");
  }
}

// Nobody can say which of them counts: neither ends, and neither takes anything from the other.
TEST(UnsafeRecovery, two_halves_that_have_given_up_each_other_are_two_clusters) {
  World world;
  found(world, 4, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(4, 3); }));
  world.split({1, 2});
  world.run(2'000'000);
  const std::string first = recover_without(world, 1, {3, 4}, WithoutCopies::kBeginEmpty);
  const std::string second = recover_without(world, 3, {1, 2}, WithoutCopies::kBeginEmpty);
  EXPECT_EQ(first, "") << world.notes;
  EXPECT_EQ(second, "") << world.notes;
  world.split({});
  world.run(10'000'000);
  // Whoever is started again and told where to look meets the other half.
  for (NodeId id = 1; id <= 4; ++id) {
    world.kill(id);
    world.boot(id, {id <= 2 ? NodeId{3} : NodeId{1}});
    world.run(5'000'000);
  }
  for (NodeId id = 1; id <= 4; ++id) EXPECT_EQ(world.at(id).membership(), Membership::kMember) << id << world.notes;
  for (const NodeId id : {NodeId{1}, NodeId{3}}) {
    ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(id) + world.led_by(id + 1) == kPartitions; })) << id << world.notes;
    const std::vector<NodeId> others = {4 - id, 5 - id};
    EXPECT_EQ(world.at(id).state().given_up(), others);
    EXPECT_EQ(world.at(id + 1).state().given_up(), others);
  }
}

TEST(UnsafeRecovery, a_replica_that_has_stopped_is_to_be_started_again_first) {
  World world;
  found(world, 5, 3);
  world.at(1).propose(meta::SetSetting{"replication-n", "5"});
  ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(5); })) << world.notes;
  write_all(world, "second");
  world.run(1'000'000);
  const NodeId leader = leader_of(world, 5);
  const NodeId stopped = leader == 4 ? 5 : 4;
  contradict(world, leader, stopped);
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const std::string refusal = recover_without(world, 9 - stopped, {1, 2, 3});
  EXPECT_EQ(refusal, "node " + node_name(stopped) + ": its copy of partition 5 has stopped by a contradiction: start that node again, or name it too");
  EXPECT_TRUE(world.at(9 - stopped).state().given_up().empty());
  // The other one alone holds all as well.
  world.kill(stopped);
  world.run(1'000'000);
  EXPECT_EQ(recover_without(world, 9 - stopped, {1, 2, 3, stopped}), "");
  write_all(world, "third");
  expect_words(world, 9 - stopped, "second");
}

TEST(UnsafeRecovery, partitions_without_a_copy_begin_with_nothing_if_that_is_wanted) {
  World world;
  found(world, 4, 3);
  world.at(1).propose(meta::SetSetting{"replication-n", "1"});
  ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(1); })) << world.notes;
  write_all(world, "second");
  world.run(1'000'000);
  std::set<uint32_t> lost;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    if (leader_of(world, partition) <= 2) lost.insert(partition);
  }
  ASSERT_FALSE(lost.empty());
  ASSERT_LT(lost.size(), size_t{kPartitions});
  world.kill(1);
  world.kill(2);
  world.run(1'000'000);
  const std::string refusal = recover_without(world, 3, {1, 2});
  EXPECT_NE(refusal.find("nobody who is left has a copy of " + std::to_string(lost.size()) + " partitions"), std::string::npos) << refusal;
  EXPECT_TRUE(world.at(3).state().given_up().empty());
  EXPECT_EQ(recover_without(world, 3, {1, 2}, WithoutCopies::kBeginEmpty), "");
  write_all(world, "third");
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.is_placed(1); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    const NodeId leader = leader_of(world, partition);
    EXPECT_EQ(world.data(leader).words[partition].count("second"), lost.count(partition) == 0 ? 1u : 0u) << partition;
    EXPECT_EQ(world.data(leader).words[partition].count("third"), 1u) << partition;
  }
  EXPECT_EQ(world.data(3).begun_anew + world.data(4).begun_anew, lost.size());
  // Nothing begins once more.
  for (const NodeId id : {NodeId{3}, NodeId{4}}) {
    world.kill(id);
    world.boot(id);
  }
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.led_by(3) + world.led_by(4) == kPartitions; })) << world.notes;
  EXPECT_EQ(world.data(3).begun_anew + world.data(4).begun_anew, 0u);
  world.at(3).propose(meta::SetSetting{"replication-n", "2"});
  ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(2); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(world.data(3).words[partition].count("third"), 1u) << partition;
  }
}

// An operator's permission that only one of those who are left has got, or only one keeps to.
TEST(UnsafeRecovery, the_members_go_on_only_if_all_who_are_left_have_given_up_the_same) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const auto permit = [&](NodeId from, NodeId to) {
    Buffer bytes;
    bytes.push_back(3);
    append_varint(bytes, 5'000);
    meta::encode(meta::GiveUp{.nodes = {1, 2, 3}}, bytes);
    world.at(from).peers().link(to, PeerLane::kData)->add(UnsafeRecovery::kKind, bytes.view());
  };
  permit(4, 5);
  world.run(4'000'000);
  EXPECT_EQ(world.leader(), 0u) << world.notes;
  EXPECT_NE(world.notes.find("5> meta group: too few voters are left"), std::string::npos) << world.notes;
  permit(4, 5);
  permit(5, 4);
  EXPECT_TRUE(world.run_until(4'000'000, [&] { return world.leader() != 0; })) << world.notes;
  // Their votes have decided it.
  ASSERT_TRUE(world.run_until(1'000'000, [&] {
    return world.at(4).state().given_up().size() == 3 && world.at(5).state().given_up().size() == 3;
  })) << world.notes;
}

TEST(UnsafeRecovery, who_waits_no_more_takes_it_back) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const int64_t until_us = world.now.steady_us + 8'000'000;
  const auto token = world.at(4).recover_without(world.now, {1, 2, 3}, WithoutCopies::kBeginEmpty, until_us);
  ASSERT_TRUE(token.ok());
  // The other one may go on, and nobody has voted yet.
  ASSERT_TRUE(world.run_until(1'000'000, [&] { return world.notes.find("5> meta group: too few voters are left") != std::string::npos; })) << world.notes;
  world.at(4).forget_recovery(token.value());
  world.run(7'000'000);
  EXPECT_EQ(world.leader(), 0u) << world.notes;
  EXPECT_TRUE(world.at(4).state().given_up().empty());
  EXPECT_TRUE(world.at(5).state().given_up().empty());
  EXPECT_TRUE(world.at(4).take_outcomes().empty());
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.boot(lost);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); })) << world.notes;
}

TEST(UnsafeRecovery, who_is_refused_takes_nothing_from_another_one_who_asks) {
  World world;
  found(world, 5, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(5, 3); }));
  for (const NodeId lost : {NodeId{1}, NodeId{2}, NodeId{3}}) world.kill(lost);
  world.run(1'000'000);
  const int64_t until_us = world.now.steady_us + 8'000'000;
  ASSERT_TRUE(world.at(4).recover_without(world.now, {1, 2, 3}, WithoutCopies::kBeginEmpty, until_us).ok());
  ASSERT_TRUE(world.run_until(1'000'000, [&] { return world.notes.find("5> meta group: too few voters are left") != std::string::npos; })) << world.notes;
  const std::string refusal = recover_without(world, 5, {1, 2, 3});
  EXPECT_NE(refusal.find("nobody who is left has a copy of"), std::string::npos) << refusal;
  EXPECT_EQ(world.leader(), 0u);
  ASSERT_TRUE(world.run_until(6'000'000, [&] { return world.at(4).state().given_up().size() == 3; })) << world.notes;
}

// It has thrown its log away for a leader of a later epoch that is lost too, and is of that epoch: others would follow it into nothing.
TEST(UnsafeRecovery, a_replica_that_holds_nothing_yet_is_not_taken_for_the_fullest) {
  World world;
  found(world, 5, 3);
  world.at(1).propose(meta::SetSetting{"replication-n", "5"});
  ASSERT_TRUE(world.run_until(60'000'000, [&] { return world.is_placed(5); })) << world.notes;
  write_all(world, "second");
  world.run(1'000'000);
  world.kill(1);
  world.kill(2);
  world.kill(3);
  world.run(1'000'000);
  const auto token = world.at(4).recover_without(world.now, {1, 2, 3}, WithoutCopies::kRefuse, world.now.steady_us + 5'000'000);
  ASSERT_TRUE(token.ok());
  const auto emptied = [&]() -> NodeId {
    for (const NodeId node : {NodeId{4}, NodeId{5}}) {
      for (uint32_t partition = 0; partition < kPartitions; ++partition) {
        const raft::Core& core = *world.at(node).partitions().core(partition);
        if (!core.epoch().none() && core.position().index.none()) return node;
      }
    }
    return 0;
  };
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return emptied() != 0; })) << world.notes;
  const NodeId left = emptied();
  world.kill(9 - left);
  world.run(1'000'000);
  // Nobody else has a copy: it is no worse than none.
  const std::string refusal = recover_without(world, left, {1, 2, 3, 9 - left});
  EXPECT_NE(refusal.find("nobody who is left has a copy of"), std::string::npos) << refusal;
  EXPECT_EQ(recover_without(world, left, {1, 2, 3, 9 - left}, WithoutCopies::kBeginEmpty), "");
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(left) == kPartitions; })) << world.notes;
  write_all(world, "third");
}

// Whoever is left when it is decided, and is told to leave itself, has to stay.
TEST(UnsafeRecovery, who_was_to_be_emptied_is_needed_again) {
  World world;
  found(world, 3, 3);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(3, 3); }));
  write_all(world, "second");
  world.at(1).propose(meta::SetState{.node = 2, .state = MemberState::kDraining});
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.at(2).state().find(2)->state == MemberState::kDraining; }));
  world.kill(1);
  world.kill(3);
  world.run(1'000'000);
  EXPECT_EQ(recover_without(world, 2, {1, 3}), "");
  EXPECT_EQ(world.at(2).state().find(2)->state, MemberState::kActive);
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.led_by(2) == kPartitions; })) << world.notes;
  expect_words(world, 2, "second");
}

// One of them is heard again when the leader may have decided already, at the node that was asked or at the leader.
TEST(UnsafeRecovery, what_may_have_been_decided_is_not_said_to_be_refused) {
  for (const bool leader_hears_it : {false, true}) {
    World world;
    found(world, 4, 3);
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.is_settled(4, 3); }));
    world.kill(3);
    world.isolate(4);
    ASSERT_TRUE(world.run_until(5'000'000, [&] { return world.leader() == 1 || world.leader() == 2; }));
    world.run(1'000'000);
    const NodeId leader = world.leader();
    const NodeId asker = 3 - leader;
    const auto token = world.at(asker).recover_without(world.now, {3, 4}, WithoutCopies::kRefuse, world.now.steady_us + 4'000'000);
    ASSERT_TRUE(token.ok()) << token.error().detail();
    world.run(1'500);   // the leader has answered, and was asked to decide
    world.split(leader_hears_it ? std::set<NodeId>{asker} : std::set<NodeId>{leader});
    world.run(2'000'000);
    world.split({});
    world.run(2'500'000);
    const std::vector<MetaGroup::Outcome> outcomes = world.at(asker).take_outcomes();
    const bool is_given_up = world.at(asker).state().is_given_up(4);
    if (is_given_up) {
      EXPECT_TRUE(outcomes.empty() || outcomes.front().status.ok());
    } else {
      EXPECT_TRUE(outcomes.empty()) << outcomes.front().status.error().detail();
    }
    EXPECT_EQ(world.at(leader).state().is_given_up(4), is_given_up);
  }
}

}  // namespace
}  // namespace quorate

// Whole cluster nodes over a network of queues and disks that are lists of records, for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cluster/cluster_node.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

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
      ++encodings[partition];
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
  // Beside what is there, until it is put in its place.
  class Reading final : public StateReader {
   public:
    Reading(Words& words, uint32_t partition) : words_(words), partition_(partition) { ++words_.readings; }
    ~Reading() override { --words_.readings; }
    Status read(std::string_view bytes, uint64_t behind) override {
      state_ += bytes;
      const bool is_whole = state_.empty() || state_.back() == '\n';
      return behind > 0 || is_whole ? done() : Status(ErrorCode::kCorrupt);
    }
    bool settle() override { return ++settled_ % 2 == 0; }
    void install() override {
      words_.install(partition_, state_);
      ++words_.installed;
    }

   private:
    Words& words_;
    const uint32_t partition_;
    std::string state_;
    int settled_ = 0;
  };
  std::unique_ptr<StateReader> begin_reading(uint32_t partition) override { return std::make_unique<Reading>(*this, partition); }
  void install(uint32_t partition, std::string_view state) {
    words[partition].clear();
    while (!state.empty()) {
      const size_t end = state.find('\n');
      const auto [word, value] = parsed(state.substr(0, end));
      words[partition][word] = value;
      state.remove_prefix(end + 1);
    }
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
  std::map<uint32_t, size_t> encodings;   // that were begun
  Buffer encoded;
  int steps = 0;
  size_t begun_anew = 0;   // partitions
  int readings = 0;        // under way
  size_t installed = 0;    // states
};

// Machines with a node each; a machine's disk outlives its node.
class World {
 public:
  static MemberRecord record(NodeId id) {
    return {.id = id, .host = "host", .port = static_cast<uint16_t>(id), .cluster_port = static_cast<uint16_t>(id)};
  }
  // `port`: 0: that of its id.
  void boot(NodeId id, const std::vector<NodeId>& join = {}, uint16_t port = 0) {
    Machine& machine = machines_[id];
    ++machine.incarnation;
    machine.port = port == 0 ? static_cast<uint16_t>(id) : port;
    ClusterNodeOptions options{.own = record(id), .incarnation = machine.incarnation, .partitions = kPartitions, .seed = id * 100 + machine.incarnation};
    options.own.cluster_port = machine.port;
    options.group.window_bytes_max = window_bytes_max;
    options.settings = [this] { return settings; };
    if (const auto former = in_place_of.find(id); former != in_place_of.end()) options.in_place_of = former->second;
    options.states = states;
    for (const NodeId seed : join) options.join.push_back({.host = "host", .port = static_cast<uint16_t>(seed)});
    GroupRecovery recovery;
    for (const std::string& bytes : machine.disk) ASSERT_TRUE(recovery.record(bytes).ok());
    auto restored = restored_cluster(recovery, kPartitions);
    ASSERT_TRUE(restored.ok());
    machine.data = std::make_unique<Words>();
    if (restored.value()) {
      for (auto& [group, found] : restored.value()->groups) {
        if (may_have_forgotten && group != meta_group(kPartitions)) found.restored.start = raft::StartKind::kMayHaveForgotten;
        if (group == meta_group(kPartitions) || !found.state) continue;
        machine.data->install(static_cast<uint32_t>(group.value - 1), *found.state);
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
    EXPECT_EQ(machine.data->readings, 0);
    cut(id);
  }
  // It and its disk are gone; nobody is told.
  void vanish(NodeId id) {
    machines_.at(id).node.reset();
    machines_.at(id).disk.clear();
    machines_.at(id).stored_at.clear();
    std::erase_if(wires_, [&](const auto& wire) { return wire.first.first == id || wire.second.first == id; });
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
  StateOptions states = {};
  Keeping keeping = Keeping::kAll;
  bool may_have_forgotten = false;   // nodes that boot from here on, in their partitions
  std::vector<meta::SetSetting> settings;   // of every node, now
  std::map<NodeId, NodeId> in_place_of;     // nodes that boot from here on
  std::map<NodeId, int64_t> disk_stalls_until_us;   // of what is written from here on nothing is stored earlier

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
    uint16_t port = 0;
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
      const int64_t begins_us = disk_stalls_until_us.contains(id) ? std::max(now.steady_us, disk_stalls_until_us[id]) : now.steady_us;
      machine.stored_at.push_back(begins_us + kDiskUs);
    }
    PeersOutput output = std::move(node.peers_output());
    node.peers_output() = {};
    for (const auto& dial : output.dial) connect(id, dial);
    for (const ConnectionId connection : output.flush) {
      Buffer whole;
      node.output_of(connection).append_to(whole);
      node.output_of(connection).clear();
      carry({id, connection}, whole);
    }
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
    const auto target = std::find_if(machines_.begin(), machines_.end(), [&](const auto& each) { return each.second.port == dial.address.port; });
    ConnectionId accepted = 0;
    const bool is_cut = target != machines_.end() && side_.count(id) != side_.count(target->first);
    if (!is_cut && target != machines_.end() && target->second.node != nullptr) accepted = target->second.node->accepted(now, {.host = "host", .port = static_cast<uint16_t>(id)});
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

// Founds a cluster of `count` nodes with some words, and waits until everything is where it should be.
inline void found(World& world, NodeId count, size_t copies) {
  world.boot(1);
  world.boot(2, {1});
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return world.agree(2); })) << world.notes;
  for (uint32_t partition = 0; partition < kPartitions; ++partition) {
    ASSERT_TRUE(world.write_until_done(partition, "first", std::to_string(partition))) << world.notes;
  }
  for (NodeId id = 3; id <= count; ++id) world.boot(id, {1});
  ASSERT_TRUE(world.run_until(30'000'000, [&] { return world.agree(count) && world.is_placed(copies); })) << world.notes;
}

// An append of partition 5 that says that the follower's last entry has other bytes.
inline void contradict(World& world, NodeId leader, NodeId follower) {
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

}  // namespace quorate

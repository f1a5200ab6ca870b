// Two nodes and a pipe between them, for tests of commands that run at another node.  Each believes of the cluster what it is told.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/execute.h"
#include "node/forward.h"
#include "node/origin_rows.h"
#include "node/output.h"
#include "node/state.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_node.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate {

class TwoNodes;

struct Message {
  uint64_t kind = 0;
  std::string bytes;
};

// One of the two, and what it believes of the cluster.
class Side final : public ForwardingPeers {
 public:
  Side(TwoNodes& world, NodeId id, const std::string& config) : world_(world), id_(id) {
    node = std::make_unique<sim::SimNode>(disk, sim::SimNode::Options{.seed = id, .config = config});
    CHECK(node->recover().ok());
    node->start();
    state().forwarding = std::make_unique<Forwarding>(state(), *this);
    node->settle();
  }
  NodeState& state() { return node->node().state(); }
  Forwarding& forwarding() { return *state().forwarding; }

  NodeId own_id() const override { return id_; }
  NodeId leader_of(uint32_t) const override { return believed_leader; }
  bool serves(uint32_t) const override { return is_serving; }
  bool is_heard(NodeId) const override { return hears_all; }
  uint64_t incarnation_of(NodeId of) const override;
  OriginRows& rows(uint32_t) override;
  void await_partition(Session& session, uint32_t) override { await_all_writes(state(), session); }
  void await_read(Session&, uint32_t) override { ++reads_awaited; }
  bool send(NodeId to, uint64_t kind, std::string_view head, std::string_view body) override;

  SimDisk disk{1};
  std::unique_ptr<sim::SimNode> node;
  NodeId believed_leader = 0;
  bool is_serving = false;
  bool hears_all = true;
  int reads_awaited = 0;
  std::deque<Message> incoming;

 private:
  TwoNodes& world_;
  const NodeId id_;
};

constexpr std::string_view kNoLog = "appendonly no\nsave \"\"\nprotected-mode no\n";

class TwoNodes {
 public:
  explicit TwoNodes(std::string_view config = kNoLog)
      : here(*this, 1, std::string(config)), there(*this, 2, std::string(config)) {
    client = here.node->connect();
    other = here.node->connect();
    settle();
  }
  void lead(NodeId id) {
    for (Side* side : {&here, &there}) {
      side->believed_leader = id;
      side->is_serving = side->own_id() == id;
      side->forwarding().on_leader(0);
    }
  }
  void cut() {
    is_up = false;
    for (Side* side : {&here, &there}) side->incoming.clear();
    here.forwarding().on_link_down(2);
    there.forwarding().on_link_down(1);
  }
  void join() {
    is_up = true;
    here.forwarding().on_link_up(2);
    there.forwarding().on_link_up(1);
  }
  void restart_here() { here.state().forwarding = std::make_unique<Forwarding>(here.state(), here); }
  Session* session(int connection) { return here.state().sessions.find(static_cast<uint64_t>(connection) + 1); }
  void forward(int connection, const std::vector<std::string>& words, UnitKind kind = UnitKind::kWrites) {
    add(connection, words, kind);
    here.forwarding().send_new();
  }
  // Leaves with what is forwarded next.
  void add(int connection, const std::vector<std::string>& words, UnitKind kind = UnitKind::kWrites) {
    const std::string requests = encoded(words);
    here.forwarding().forward(*session(connection), {.partition = 0, .requests = requests, .kind = kind});
  }
  static void deliver(Side& side, NodeId from) {
    if (side.incoming.empty()) return;
    const Message message = std::move(side.incoming.front());
    side.incoming.pop_front();
    EXPECT_TRUE(side.forwarding().receive(from, message.kind, message.bytes).ok());
  }
  // A turn of one node, which deals with everything that has arrived.
  static void turn(Side& side, NodeId from) {
    while (!side.incoming.empty()) deliver(side, from);
    side.forwarding().tick();
    side.forwarding().run();
    side.node->settle();
  }
  void settle() {
    for (int round = 0; round < 10; ++round) {
      turn(here, 2);
      turn(there, 1);
    }
  }
  void pass(int64_t us) {
    for (Side* side : {&here, &there}) side->node->advance(us);
    settle();
  }
  std::string taken(int connection) { return std::exchange(here.node->received(connection), {}); }
  // What a client of the other node is told.
  std::string asked_there(const std::vector<std::string>& words) {
    if (client_there < 0) client_there = there.node->connect();
    there.node->send(client_there, encoded(words));
    there.node->settle();
    return std::exchange(there.node->received(client_there), {});
  }

  bool is_up = true;
  OriginRows rows;  // as if it were replicated at once; the keys are not: each side has its own
  std::array<uint64_t, 2> incarnations{1, 1};
  Side here;
  Side there;
  int client = 0;
  int other = 0;
  int client_there = -1;
};

inline uint64_t Side::incarnation_of(NodeId of) const { return world_.incarnations[of - 1]; }
inline OriginRows& Side::rows(uint32_t) { return world_.rows; }

inline bool Side::send(NodeId to, uint64_t kind, std::string_view head, std::string_view body) {
  if (!world_.is_up) return false;
  Side& target = to == 1 ? world_.here : world_.there;
  target.incoming.push_back({kind, std::string(head) + std::string(body)});
  return true;
}

}  // namespace quorate

// What CLUSTER and QUORUM tell: the cluster as one node sees it, and the rows, lines and figures that follow from it.  Pure functions of
// facts; where the facts come from is in cluster_facts.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/members.h"
#include "cluster/raft/configuration.h"
#include "util/hash.h"

namespace quorate {

// A member that was not removed.
struct NodeView {
  MemberRecord record;
  bool is_self = false;
  bool is_live = true;          // it is heard, or it is this node
  bool is_linked = true;        // messages can be sent to it, or it is this node
  int64_t heard_unix_ms = 0;    // the last beat; 0: none, or it is this node
  // What it means that something is stored there, as it says; nothing: it is not heard.
  std::optional<raft::Durability> kept = {};
};

struct PartitionView {
  NodeId leader = 0;            // 0: nobody who is known to serve
  std::vector<NodeId> copies;   // the preferred leader first
  uint32_t ready = 0;           // copies that are up to date and vote where they are to, as far as is known here
};

// Invariants: nodes are sorted by id, this node is among them; the number of partitions is a power of two up to kSlotCount.
struct ClusterView {
  // Which of a node's ports clients that know the cluster are told.
  enum class Announced : uint8_t {
    kClusterDoor,  // the one that answers MOVED, if the node has it; else its main port
    kMainDoor,
  } announced = Announced::kClusterDoor;
  uint64_t epoch = 0;           // grows with every plan
  uint32_t copies_wanted = 1;   // of each partition, with the members there are
  std::vector<NodeView> nodes;
  std::vector<PartitionView> partitions;
  uint64_t refused_connections = 0;   // on the port for other nodes

  const NodeView& self() const;
  // Null: no such member.
  const NodeView* find(NodeId node) const;
  // By its 40 digits, or by host:port of its clients.
  const NodeView* find_named(std::string_view name) const;
  // Partitions that the node leads, and those that it has a copy of.
  size_t led_by(NodeId node) const;
  size_t held_by(NodeId node) const;
};

// ---- slots -----------------------------------------------------------------------------------------------

struct SlotRange {
  uint32_t first = 0;
  uint32_t last = 0;            // inclusive
  friend bool operator==(const SlotRange&, const SlotRange&) = default;
};

// Where clients that know the cluster are told to reach a node.
uint16_t announced_port(ClusterView::Announced announced, const MemberRecord& member);

// Whom clients are sent to for a partition: its leader; while there is none a copy that lives, which holds the request until there is one.
const NodeView& announced_node(const ClusterView& view, uint32_t partition);

// Adjacent slots with the same master and replicas.
struct SlotRow {
  SlotRange slots;
  const NodeView* master = nullptr;
  // Copies on nodes that are masters of nothing.  Clients keep one role a node, the first that they see, so a node that is a master
  // somewhere is listed as nothing else.
  std::vector<const NodeView*> replicas;
};
// All slots, ascending.  The rows point into the view.
std::vector<SlotRow> slot_rows(const ClusterView& view);

// The slots that the node is the master of, as few ranges as possible.
std::vector<SlotRange> slots_of(const ClusterView& view, NodeId node);

// ---- text ------------------------------------------------------------------------------------------------

// CLUSTER NODES.
std::string nodes_text(const ClusterView& view);

struct ClusterHealth {
  uint32_t leaderless = 0;         // partitions
  uint32_t under_replicated = 0;   // partitions with fewer copies ready than wanted
  uint32_t masters = 0;            // nodes that lead something
  uint32_t live = 0;               // nodes
  bool is_ok() const { return leaderless == 0; }
};
ClusterHealth health_of(const ClusterView& view);

// CLUSTER INFO.
std::string cluster_info_text(const ClusterView& view);

// "host:port".
std::string address_text(std::string_view host, uint16_t port);

// ---- one partition -----------------------------------------------------------------------------------------

enum class CopyRole : uint8_t { kLeader, kFollower, kLearner };
std::string_view name_of(CopyRole role);

struct CopyView {
  NodeId node = 0;
  CopyRole role = CopyRole::kFollower;
  bool is_live = true;
  std::optional<uint64_t> last_index;   // of its log, if this node knows it
  std::optional<uint64_t> lag;          // entries behind the leader's log, if this node leads
};
struct PartitionDetails {
  uint32_t partition = 0;
  NodeId leader = 0;
  // Absent: this node has no replica.
  struct Log {
    uint64_t term = 0;
    uint64_t last_index = 0;
    uint64_t commit_index = 0;
    uint64_t commit_quorum = 0;   // copies that make an entry committed; of two halves the larger
    std::optional<raft::Durability> mode = {};   // by its committed configuration; nothing: that says nothing
  };
  std::optional<Log> log;
  std::vector<CopyView> copies;
};

}  // namespace quorate

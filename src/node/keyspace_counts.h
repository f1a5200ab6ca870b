// How many keys the databases of a cluster have (INFO keyspace): each node tells what it leads, and who is asked adds it up.  Nobody is waited
// for long: what is not told counts as the copy here has it, if there is one.  Not for a node alone, which counts its own.
//
//   ask  = varint question
//   told = ask, (varint partition, varint term, varint databases, (varint database, varint keys, varint expires) *) *
//
// A node tells of every partition that it serves, also of one without a key; databases without keys are left out.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/cluster_node.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class ForwardingPeers;
class Session;
struct NodeState;

enum class KeyspaceKind : uint64_t {
  kAsk = ClusterNode::kFirstOfOwner + 44,
  kTold,
};
constexpr bool is_keyspace_kind(uint64_t kind) { return is_kind(kind, KeyspaceKind::kAsk, KeyspaceKind::kTold); }
// An error: the bytes cannot be read, the link should be refused.
Status take_keyspace_message(NodeState& node, ForwardingPeers& peers, NodeId from, uint64_t kind, std::string_view bytes);

// Of one database.
struct KeyspaceCount {
  int database = 0;
  uint64_t keys = 0;
  uint64_t expires = 0;
};

// Of a node; fields are for keyspace_counts.cc.
struct KeyspaceCounts {
  struct OfPartition {
    uint32_t partition = 0;
    uint64_t term = 0;
    std::vector<KeyspaceCount> databases;
  };
  struct Told {
    uint64_t question = 0;
    int64_t told_us = INT64_MIN;
    std::vector<OfPartition> partitions;
  };
  struct Waiting {
    uint64_t session = 0;
    std::vector<std::string> sections;   // of INFO
    uint64_t question = 0;               // 0: it is asked at the end of the turn
    std::vector<NodeId> asked = {};
    int64_t until_us = 0;
  };
  std::map<NodeId, Told> told;   // the last of each
  std::vector<Waiting> waiting;
  uint64_t questions = 0;
  int64_t next_look_us = kNever;
};

// Other nodes lead partitions that the session means: INFO has to ask them.
bool needs_other_counts(const NodeState& node, const Session& session);
// INFO of these sections is answered once the others have told what they lead, or for the most part of a second have not.
void begin_keyspace_wait(NodeState& node, Session& session, std::vector<std::string> sections);
// At the end of a turn: asks, answers.
void look_at_keyspace_counts(NodeState& node);

// Databases with keys, in order.  `session`: who asks; clients that know the cluster mean what this node leads.  Null: the whole cluster.
std::vector<KeyspaceCount> keyspace_counts(NodeState& node, const Session* session);

}  // namespace quorate

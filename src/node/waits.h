// WAIT and WAITAOF: until so many other copies hold, or have synced, what a connection has written (REPLICATION 8).  The leaders of the
// partitions are asked, again and again while there are too few; what other copies have synced, they themselves, since only they know.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "cluster/cluster_node.h"
#include "node/levels.h"
#include "node/log_places.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class ForwardingPeers;
class Session;
struct NodeState;

// Messages about them, version 1:
//
//   ask  = varint partition, varint term, varint index, varint token
//   told = ask, varint others, varint appended, varint synced, u8 flags
//
// `others` copies besides the leader's hold what stands at that place, none if it was lost; what the log of who answers held when it was asked
// is synced once a later answer says so (appended, synced).  A token with kOfCopy asks for the copy of the receiver, whoever leads; `others` says
// nothing then.
enum class WaitKind : uint64_t {
  kAsk = ClusterNode::kFirstOfOwner + 16,
  kTold,
};
constexpr bool is_wait_kind(uint64_t kind) { return is_kind(kind, WaitKind::kAsk, WaitKind::kTold); }
// An error: the bytes cannot be read, the link should be refused.
Status take_wait_message(NodeState& node, ForwardingPeers& peers, NodeId from, uint64_t kind, std::string_view bytes);

// What is waited for: of WAIT `others`, of WAITAOF `others` that have synced it and, if `synced_here` is 1, the leader too.
struct WaitGoal {
  enum class Kind : uint8_t { kCopies, kSynced } kind = Kind::kCopies;
  WriteLevel level = {};      // WAIT quorum, WAIT all: then `others` does not count
  int64_t others = 0;
  int64_t synced_here = 0;
};

// Of a node; fields are for waits.cc.
struct Waits {
  // What is known of the log of a node that has what is waited for.
  struct Synced {
    NodeId node = 0;            // who has answered last; 0: nobody yet
    uint64_t incarnation = 0;   // of its process: the next one may count its log anew
    std::optional<uint64_t> must_be_synced = {};  // since the log has it
    bool is_synced = false;
  };
  struct AtLeader {
    LogPlace place;
    Synced leader = {};
    uint32_t others = 0;
    uint32_t synced_others = 0; // since the mode says so
    std::vector<Synced> copies = {}; // that were asked, the leader's not among them
    bool is_gone = false;       // what the connection has written was lost
    int64_t ask_at_us = 0;
    int64_t ask_copies_at_us = 0;
  };
  struct Waiting {
    WaitGoal goal;
    std::vector<AtLeader> places;
    bool is_behind_writes = false;   // of the same connection, of which it is not known yet where they stand
    int64_t until_us = kNever;
  };
  std::map<uint64_t, Waiting> by_session;
  int64_t next_look_us = kNever;
};

// Answers at once if that is enough already, or nobody may wait here (a transaction); else the session waits.  timeout_ms 0: for ever.
void begin_wait(NodeState& node, Session& session, const WaitGoal& goal, int64_t timeout_ms);
// At the end of a turn: asks, answers.
void look_at_waits(NodeState& node);
// CLIENT UNBLOCK.  False: it does not wait.
enum class WaitEnd : uint8_t { kAsTimeout, kAsError };
bool end_wait(NodeState& node, Session& session, WaitEnd how);
// The session is going away.
void forget_wait(NodeState& node, uint64_t session_id);

}  // namespace quorate

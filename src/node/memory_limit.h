// maxmemory (REPLICATION 8): what is evicted and which writes are refused, for the sake of this
// node and of others that hold copies of what it leads.  A copy never evicts: only its leader does,
// by its own policy.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cluster/raft/types.h"
#include "node/memory_message.h"
#include "util/result.h"

namespace quorate {

struct NodeState;

// Evicts until maxmemory is kept, also what other nodes need of it, or until the turn's budget of
// it is used up.
void relieve_memory(NodeState& node);

// A command is about to run here, with so many arguments; in company `partition`, which is led
// here, is the command's.  Evicts, and says why a command that `grows` may not run.
std::optional<Error> check_memory(NodeState& node, bool grows, size_t arguments,
                                  uint32_t partition);

// Of a node in company: who has too much, and what this node does about it.  A node that has too
// much says so with its beats.  Each leader asks it how much, and how many keys it holds, and takes
// as large a part of that as its keys are of those, this node of its own excess too.  Later it asks
// again, and is told once what it has evicted so far is applied there.  So all that lie there lose
// their oldest keys, not those alone that happen to be led there, and none for a lack that will be
// over with what is on its way.  Calls: follow once a turn; take_message, relieve and is_hopeless
// whenever.
class MemoryPressure {
 public:
  explicit MemoryPressure(NodeState& node) : node_(node) {}

  // Hears the beats, and says how it is here.
  void follow();
  // Of a member; of a MemoryKind.  An error: it cannot be read.
  Status take_message(raft::NodeId from, uint64_t kind, std::string_view bytes);
  void relieve();
  // Somebody who holds a copy of the partition has too much, and eviction here cannot help.  After
  // relieve().
  bool is_hopeless(uint32_t partition);
  // Other nodes that have too much.
  size_t count_others() const { return others_.size(); }

 private:
  struct Burden {
    raft::NodeId node = {};             // none: this one
    std::vector<bool> partitions = {};  // led here, with a copy there
    uint64_t quota = 0;                 // bytes that shall still go
    int64_t since_us = 0;               // it has too much
    int64_t next_quota_us = 0;
    bool has_nothing = false;  // that may go, when that was looked for last
    bool is_seen = false;      // by the look that is under way
    // Of another node: what it was asked last, and whether it has not answered yet.
    MemoryQuestion question = {};
    bool is_asked = false;
    std::vector<bool> evicted = {};  // partitions from which something went since then
  };
  // By another node, which waits for an answer.
  struct Asked {
    raft::NodeId by = {};
    MemoryQuestion question = {};
  };

  void follow_limit();
  uint64_t not_counted(uint64_t used) const;
  void hear(raft::NodeId node);
  void look_at_partitions(Burden& burden) const;
  void ask(Burden& burden);
  bool has_applied(const Asked& asked) const;
  void answer_asked();
  uint64_t excess() const;
  void give_quota(Burden& burden, uint64_t excess, uint64_t keys);
  void look_at_own(uint64_t used);
  void tell();
  Burden* most_urgent(uint64_t used);
  void count_freed(uint32_t partition, uint64_t bytes);
  bool cannot_help(const Burden& burden) const;

  NodeState& node_;
  std::vector<Burden> others_;  // that have too much
  std::vector<Asked> asked_;    // of each node the last
  uint64_t questions_ = 0;
  Burden own_;
  bool own_is_over_ = false;     // when it was looked at last
  uint64_t own_leeway_ = 0;      // so much above maxmemory others get the time to help
  uint64_t followed_limit_ = 0;  // maxmemory, as follow_limit() has seen it
  int64_t next_look_us_ = 0;
  int64_t next_note_us_ = 0;
};

}  // namespace quorate

// What forwarding asks of the node's part in the cluster.  Company implements it; tests put two nodes together without one.
#pragma once

#include <cstdint>
#include <string_view>

#include "cluster/ring.h"
#include "node/log_places.h"
#include "util/shared_bytes.h"

namespace quorate {

class OriginRows;
class Session;

class ForwardingPeers {
 public:
  virtual ~ForwardingPeers() = default;

  virtual NodeId own_id() const = 0;
  // Who leads the partition, as far as this node knows; 0: it does not.
  virtual NodeId leader_of(uint32_t partition) const = 0;
  // Commands may run on the partition here.
  virtual bool serves(uint32_t partition) const = 0;
  // The node lives: its beats are heard.
  virtual bool is_heard(NodeId node) const = 0;
  // The newest incarnation of the node that is known; grows with each of its starts.
  virtual uint64_t incarnation_of(NodeId node) const = 0;
  // What was run on the partition for other nodes.  Changed only while serves(partition).
  virtual OriginRows& rows(uint32_t partition) = 0;
  // What is said to the session next tells of all that was executed on the partition.  Requires: serves(partition).
  virtual void await_partition(Session& session, uint32_t partition) = 0;
  // What is said to the session next leaves only if this node leads the partition still, with what its log holds.  Requires: serves(partition).
  virtual void await_read(Session& session, uint32_t partition) = 0;
  // What commands that were answered have written or seen is not behind this; of term 0: not known.
  virtual LogPlace place_of(uint32_t partition) const { return {.partition = partition}; }
  // Puts a message on the link with another node, which leaves in this turn or the next; false: there is none.
  virtual bool send(NodeId to, uint64_t kind, std::string_view head, std::string_view body) = 0;
  // The same; the body need not be copied.
  virtual bool send_shared(NodeId to, uint64_t kind, std::string_view head, const SharedBytes& body) { return send(to, kind, head, body.view()); }
};

}  // namespace quorate

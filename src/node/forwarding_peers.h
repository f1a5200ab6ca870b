// What forwarding asks of the node's part in the cluster.  Company implements it; tests put two nodes together without one.
#pragma once

#include <cstdint>
#include <string_view>

#include "cluster/ring.h"

namespace quorate {

class ForwardingPeers {
 public:
  virtual ~ForwardingPeers() = default;

  virtual NodeId own_id() const = 0;
  // Who leads the partition, as far as this node knows; 0: it does not.
  virtual NodeId leader_of(uint32_t partition) const = 0;
  // Commands may run on the partition here.
  virtual bool serves(uint32_t partition) const = 0;
  // Puts a message on the link with another node, which leaves in this turn or the next; false: there is none.
  virtual bool send(NodeId to, uint64_t kind, std::string_view head, std::string_view body) = 0;
};

}  // namespace quorate

// The order in which a node's outputs are carried out: the log is written before the replies that report it leave.
// perform() is the only code that knows it; drivers supply the single steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "cluster/peers.h"
#include "node/node.h"
#include "node/session_driver.h"
#include "persist/disk.h"
#include "util/buffer.h"
#include "util/time.h"

namespace quorate {

// Where a disk request is to be carried out.
enum class DiskPlace : uint8_t {
  kInline,      // now, in the loop's thread (write(2) of the log before replies leave), if the lane is idle
  kBackground,  // on the lane's disk thread, in order behind what is under way there
};

// What the world does for a node.  Implemented by the server (libuv) and by the simulated world.
// No method may call back into the Node.
class Driver : public SessionDriver {
 public:
  // kInline: carries the request out if nothing of its lane is under way and returns the reply; in every other case
  // puts it on the lane's queue and returns nothing (Node::disk_reply follows in a later turn).
  virtual std::optional<DiskReply> disk(DiskRequest&& request, DiskPlace place) = 0;
  // Call Node::tick at `steady_us`; replaces the earlier time.  kNever: no timer.
  virtual void arm_timer(int64_t steady_us) = 0;
  // The steady clock now, not that of the turn's beginning: leases are looked at, and promises given, once the commands have run.
  virtual int64_t steady_us() = 0;

  // ---- connections with other nodes, by the numbers of cluster/peers.h
  // Connects; Node::peer_dialled or Node::peer_lost follows in a later turn.
  virtual void dial(ConnectionId connection, const PeerAddress& address) = 0;
  // Takes all of `bytes` and empties it.  Ignored if the connection is gone.
  virtual void send_to_peer(ConnectionId connection, Outgoing& bytes) = 0;
  // Sends the last words if the socket takes them at once, and closes.  No Node::peer_lost follows.
  virtual void close_peer(ConnectionId connection, Buffer& last_words) = 0;
};

// Ends a turn: call it once after all inputs that arrived together (one libuv iteration).
void perform(Node& node, Instant now, Driver& driver);

}  // namespace quorate

// Running commands for other nodes.  They run in sessions without a connection, so they take the road of every command;
// what such a session says goes back over the link once it may leave.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/forward_message.h"
#include "node/forwarding_peers.h"
#include "node/session_driver.h"
#include "util/buffer.h"

namespace quorate {

class Session;
struct NodeState;

// Part of Forwarding.  One session for each origin, partition, database, level and kind of client: replies are in order
// within it, and a partition that stands still holds up nobody else.  A command that may block has one to itself.
// Invariants: 1. Of an origin's attempt on a partition nothing runs behind a command that was refused: what it sent in an
// order runs in that order or, from some place on, not at all.  2. Every command that arrived is answered once, unless
// the link is lost or it was cancelled.
class LinkSessions final : private SessionDriver {
 public:
  // `answer` takes an answer on its way to that node.
  using Answer = std::function<void(NodeId to, const ForwardAnswer&)>;
  LinkSessions(NodeState& node, ForwardingPeers& peers, Answer answer)
      : node_(node), peers_(peers), answer_(std::move(answer)) {}
  ~LinkSessions() override;

  // Kept until run().
  void take(NodeId from, const ForwardCommand& command);
  // The client of a command that may block has gone.
  void cancel(NodeId from, const ForwardCancel& cancel);
  // What that node had asked for is not answered any more.
  void on_link_down(NodeId from);
  // Runs the commands that have arrived, by the ordinary road, or refuses them.
  void run();

 private:
  struct Key {
    NodeId origin = 0;
    uint32_t partition = 0;
    uint32_t database = 0;
    uint8_t flags = 0;
    uint64_t write_level = 0;   // as numbers
    uint64_t read_level = 0;
    uint64_t only_command = 0;  // the number of the one that may block; else 0
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // A unit whose answer has not left.
  struct Asked {
    uint64_t number = 0;
    uint64_t attempt = 0;
    uint32_t replies_left = 0;  // the last is the answer
  };
  struct Link {
    Key key;
    Session* session = nullptr;
    std::deque<Asked> asked;
    Buffer arrived;             // requests for the next run
    Buffer said;                // the beginning of a reply
  };
  struct Arrived {
    NodeId from = 0;
    ForwardCommand command;     // without requests
    std::string requests;
  };

  size_t send(void* connection, std::string_view bytes) override;
  void close(void* connection, CloseMode mode) override;
  void set_reading(void*, bool) override {}

  Link* link_for(NodeId from, const ForwardCommand& command);
  void refuse(const Arrived& arrived);
  void answer_next(Link& link, std::string_view reply);
  void end(Link& link);

  NodeState& node_;
  ForwardingPeers& peers_;
  const Answer answer_;
  std::map<Key, std::unique_ptr<Link>> links_;
  std::deque<Arrived> arrived_;
  // By origin and partition: the last attempt that was refused.
  std::map<std::pair<NodeId, uint32_t>, uint64_t> refused_;
};

}  // namespace quorate

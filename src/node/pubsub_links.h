// Pub/sub among nodes: each tells the others what its clients listen to, and sends what is published only to where somebody listens.
// On connections of its own (PeerLane::kPubsub), which data do not delay.  Nothing is logged, nothing is sent twice: whoever is not
// reached misses it, as a client does whose connection is down.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/link/link.h"
#include "cluster/ring.h"
#include "node/holds.h"
#include "node/pubsub_message.h"
#include "node/session_driver.h"
#include "node/topic.h"
#include "util/buffer.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class Session;
struct NodeState;

// What it asks of the node's part in the cluster.
class PubsubPeers {
 public:
  virtual ~PubsubPeers() = default;
  // On the connection for pub/sub; false: there is none.
  virtual bool send_pubsub(NodeId to, uint64_t kind, std::string_view bytes) = 0;
};

// Owned by NodeState; there once the node has company.
// Invariants: 1. What one node sends to another arrives in its order, each once or not at all.  2. A client that was told of its
// subscription hears what is published anywhere from then on, unless a node was not reached for kConfirmUs.  3. For no node are more than
// kUnreceivedMax bytes of messages on their way: what comes beyond is dropped, and counted.
class PubsubLinks final : private SessionDriver {
 public:
  static constexpr size_t kUnreceivedMax = 16 << 20;
  static constexpr int64_t kConfirmUs = 300'000;

  // Nobody here may listen to a longer name: who listens is told in one message.
  PubsubLinks(NodeState& node, PubsubPeers& peers, size_t name_size_max = Link::kMessageMax / 2)
      : node_(node), peers_(peers), name_size_max_(name_size_max) {}
  ~PubsubLinks() override;

  // ---- clients -----------------------------------------------------------------------------------------------
  bool takes_name(std::string_view name) const { return name.size() <= name_size_max_; }
  // Sessions of this node have come to listen to the name, or have ceased to.
  void note_change(Topic topic, std::string_view name);
  // The session is told `confirmations` once the others know what it listens to.
  void confirm(Session& session, std::string_view confirmations);
  // Sends to the nodes where somebody listens; how many sessions that are, as far as is known here.
  enum class Leaves : uint8_t {
    kNow,
    kWhenKept,  // it tells of writes: when all that was written here so far is safe
  };
  size_t publish(Topic topic, std::string_view channel, std::string_view text, Leaves leaves);

  // ---- what is known of the others -----------------------------------------------------------------------------
  // Sessions elsewhere that have subscribed to exactly this.
  size_t count(Topic topic, std::string_view name) const;
  void add_names(Topic topic, std::set<std::string, std::less<>>& names) const;
  uint64_t dropped() const { return dropped_; }

  // ---- what happens elsewhere ----------------------------------------------------------------------------------
  void on_link_up(NodeId node);
  void on_link_down(NodeId node);
  // Requires: is_pubsub_kind(kind).  kCorrupt: the link should be refused.
  Status receive(NodeId from, uint64_t kind, std::string_view bytes);

  // At the end of a turn: tells what has changed, and what has arrived.
  void end_turn();
  void tick();
  int64_t deadline() const;

 private:
  static constexpr size_t kTopics = 3;
  static constexpr size_t kInterestBytesMax = 64 * 1024;   // of one message
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Counts = std::unordered_map<std::string, uint64_t, Hash, std::equal_to<>>;
  struct Peer {
    bool is_up = false;
    std::array<Counts, kTopics> sessions;   // of it, by name
    uint64_t interest_known = 0;            // of ours
    uint64_t bytes_sent = 0;                // messages; since the connection began
    uint64_t bytes_received = 0;            // of those
    Session* held = nullptr;                // what waits to be kept goes through its output
    Buffer said = {};                       // of that: the beginning of a message
    // ---- what it is owed
    uint64_t interest_taken = 0;
    uint64_t bytes_taken = 0;
    bool is_owed_receipt = false;
  };
  using Other = std::map<NodeId, Peer>::value_type;   // stays where it is
  // A subscription that its client has not been told of.
  struct Unconfirmed {
    uint64_t session = 0;
    GapId gap = 0;
    std::string confirmations;
    uint64_t interest = 0;
    int64_t until_us = 0;
  };

  size_t send(void* connection, std::string_view bytes) override;
  void close(void* connection, CloseMode mode) override;
  void set_reading(void*, bool) override {}

  static size_t listening(const Peer& peer, Topic topic, std::string_view channel);
  void send_message(NodeId to, Peer& peer, std::string_view message);
  void hold_message(Other& other, std::string_view message);
  void tell_interest(NodeId to, PubsubInterest interest);
  void tell_all(NodeId to);
  void take_interest(Peer& peer, const PubsubInterest& interest);
  void confirm_who_is_known();
  uint64_t interest_known_by_all() const;

  NodeState& node_;
  PubsubPeers& peers_;
  const size_t name_size_max_;
  std::map<NodeId, Peer> others_;
  std::set<std::pair<Topic, std::string>> changed_;   // since end_turn()
  uint64_t interest_ = 0;                             // the last number that was told
  std::deque<Unconfirmed> unconfirmed_;               // in the order of their numbers and times
  uint64_t dropped_ = 0;
};

}  // namespace quorate

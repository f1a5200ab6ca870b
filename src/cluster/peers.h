// The connections of a node to the other members: who dials, who is let in, what replaces what, when to try again.  Pure: the
// driver owns sockets and knows connections by number.  Not for what messages say (the node), nor for liveness (beats).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/link/link.h"
#include "util/mac.h"
#include "util/prng.h"
#include "util/time.h"

namespace quorate {

struct PeerAddress {
  std::string host;
  uint16_t port = 0;
  friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};

struct PeerTarget {
  uint64_t node = 0;
  PeerAddress address;
};

// The driver's name for a socket; drawn here for one that is dialled and for one that was accepted; never used again.
using ConnectionId = uint64_t;

struct PeersOptions {
  ClusterId cluster{};
  uint32_t partitions = 0;
  uint64_t node = 0;
  uint64_t incarnation = 0;
  uint64_t seed = 1;                          // of the jitter between attempts
  std::optional<Bytes32> secret = {};         // link_secret(); of new connections
  Bytes32 nonce_key = {};                     // NonceSource
  uint32_t frame_size_max = FrameHeader::kBodyMax;
  int64_t retry_first_us = 20'000;            // doubles up to the last
  int64_t retry_last_us = 300'000;
  uint32_t guest_frame_size_max = 1 << 20;
  int64_t greeting_us_max = 2'000'000;        // a connection whose handshake is not done by then is closed
  // One that is dialled is given this long first, then twice as long and so on up to greeting_us_max, then this long again: a path
  // that carries again is found by what is sent anew, and TCP sends what was lost ever more seldom.
  int64_t greeting_first_us_max = 500'000;
  int64_t guest_us_max = 30'000'000;          // a guest that is none of the members by then too; it may come again
  // A line between members that has said nothing for so long says that it is there; one that was not heard of is dead, though no
  // closing was told (a machine that vanished, a lost RST), and is made anew.
  int64_t keep_alive_us = 1'000'000;
  int64_t silence_us_max = 5'000'000;
  // The line of beats hears of the other side twenty times a second.  Once it has been made anew, lines that have heard nothing since the
  // one before it fell silent are as well: their bytes may wait for TCP's next attempt for seconds.
  int64_t beat_silence_us_max = 1'000'000;
  // A member that is to dial us and has had no line of data for so long is called: it may not know our address, or have given us up.
  // Longer than it takes the other side to find out that a line is dead.
  int64_t call_us = 6'000'000;
  // Accepted connections that are no line between members: so many that have greeted, and as many that have not.  One more takes the place
  // of another.
  size_t guests_max = 64;
};

// What happened to the connection with a node on a lane.
struct PeerEvent {
  enum class Kind : uint8_t {
    kUp,         // messages can be sent and come; what an earlier connection had on its way is lost
    kDown,       // closed, or replaced by another (kUp follows)
    kRefused,    // `refusal` says why; told once a connection
    kRestarted,  // the node has another incarnation than before; comes before kUp
  };
  Kind kind = Kind::kUp;
  PeerLane lane = PeerLane::kData;
  uint64_t node = 0;         // 0: was never known; who it says it is
  bool is_line = false;      // between members; else of a guest, who may say what it likes
  ConnectionId connection = 0;
  Refusal refusal = Refusal::kNone;
  bool was_accepted = false; // else dialled
  PeerAddress address = {};  // of the other side
  uint8_t version = 0;       // that the other side speaks; 0: not known
};

// What the driver is to do, in this order.
struct PeersOutput {
  struct Dial {
    ConnectionId connection;
    PeerAddress address;
  };
  struct Close {
    ConnectionId connection;
    Buffer last_words;               // to be sent before, if they can be
  };
  std::vector<Dial> dial;
  std::vector<ConnectionId> flush;   // has bytes in output_of(): send them
  std::vector<Close> close;          // the driver does not report it closed
};

// One a node.  Of two members the one with the smaller id dials, a connection a lane; so two never dial each other at once.  Who
// is no member yet dials seeds (add_seed) and is let in as a guest, beside the lines between members: a message of a guest is
// answered on its connection.  So does a member that has waited in vain for one with a smaller id: that is how it hears that it was
// removed.
// Calls: inputs in any order, next() until it says no, end_turn(); then the driver takes output() and the node events().
// Invariants: 1. At most one connection a node and lane is up.  2. Incarnations of a node only grow.  3. All lines of a node are of its newest
// process: nothing that one before it has sent comes out behind kRestarted.
class Peers {
 public:
  explicit Peers(const PeersOptions& options);
  ~Peers();

  // ---- whom to know ---------------------------------------------------------------------------------
  // All other members.  Who is not named any more is disconnected.
  void set_members(Instant now, std::span<const PeerTarget> members);
  // We belong to this cluster from now on.
  void set_cluster(const ClusterId& cluster) { options_.cluster = cluster; }
  // Of connections that are made from here on; those that are there stay.
  void set_secret(const std::optional<Bytes32>& secret) { options_.secret = secret; }
  // Dialled, whoever lives there, until clear_seeds().
  void add_seed(Instant now, const PeerAddress& address);
  void clear_seeds();
  // From now on members that are to dial us are called as soon as their line of data is down: they may have removed us, as we wish.
  void call_at_once() { calls_at_once_ = true; }

  // ---- inputs of the driver -------------------------------------------------------------------------
  // Somebody has connected to our port, `from` there: one port serves all lanes, the greeting tells.  0: too many in one turn, close it.
  ConnectionId accepted(Instant now, const PeerAddress& from);
  void dialled(Instant now, ConnectionId connection);
  // Dialling failed, or the connection is gone: known once next() has given what had come on it.  Unknown numbers are ignored.
  void closed(Instant now, ConnectionId connection);
  void received(Instant now, ConnectionId connection, std::string_view bytes);
  void tick(Instant now);
  int64_t deadline() const;

  // ---- messages -------------------------------------------------------------------------------------
  // The next message that has arrived, from whom and on which connection; false: none.  Views are valid until the next call.
  struct Incoming {
    PeerLane lane = PeerLane::kData;
    uint64_t node = 0;
    bool is_guest = false;
    bool is_dialled_here = false;  // so it comes from the address that was looked for
    ConnectionId connection = 0;
    PeerMessage message;
  };
  bool next(Incoming& incoming);
  // The owner has refused the link: next() takes note of it.
  void look_again(ConnectionId connection);

  // Null: not up.  What is added leaves with the next end_turn().
  Link* link(uint64_t node, PeerLane lane);
  Link* link_of(ConnectionId connection);
  // On the data lane, up, with nodes that say they are of our cluster: lines between members; and guests and seeds, who may say what they
  // like.
  std::vector<ConnectionId> connections_of_cluster() const;
  // The other side says so.  Requires: the connection is up.
  bool is_of_cluster(ConnectionId connection) const;
  // Dialled as nobody known, and it says it is of our cluster.
  bool was_dialled_as_seed(ConnectionId connection) const;
  // And it has called us by our id: a member, though it may be none that we know.  Requires: the connection is up.
  bool was_called_as_member(ConnectionId connection) const;
  // Whether link() gives one.
  bool is_up(uint64_t node, PeerLane lane) const;
  uint64_t incarnation_of(uint64_t node) const;
  // The lines between this node and other members that are up, by node and lane.
  struct LineFacts {
    uint64_t node = 0;
    PeerLane lane = PeerLane::kData;
    bool is_dialled_here = false;
    int64_t up_since_unix_ms = 0;
    size_t bytes_waiting = 0;   // for the driver to take them
  };
  std::vector<LineFacts> lines() const;

  // Closes the frames of this turn and fills PeersOutput::flush.
  void end_turn();
  // Bytes to be sent on a connection; the driver takes all of them.  Requires: it was in PeersOutput::flush.
  Outgoing& output_of(ConnectionId connection);

  PeersOutput& output() { return output_; }
  std::vector<PeerEvent>& events() { return events_; }
  uint64_t refusals() const { return refusals_; }

 private:
  struct Connection;
  // A connection that is up or being made towards somebody, and when to try the next.
  struct Line {
    ConnectionId connection = 0;  // 0: none
    bool is_up = false;
    int64_t retry_at_us = kNever;
    int64_t retry_wait_us = 0;
    uint32_t failures = 0;        // attempts in a row that came to nothing
  };
  struct Member {
    PeerAddress address;
    std::array<Line, 3> lines;    // by lane
    int64_t down_since_us = 0;    // the line of data; kNever: it is up
    Line call;                    // as a guest, while that is so
    int64_t beats_heard_us = INT64_MIN;  // on the last line of beats that is gone
  };
  struct Seed {
    PeerAddress address;
    Line line;
  };

  struct Held {
    ConnectionId id = 0;
    std::unique_ptr<Connection> connection;
  };

  // Each input begins with it.
  void begin(Instant now);
  bool dials(uint64_t node) const { return options_.node < node; }
  // When to call the member; kNever: it is not called.
  int64_t calls_at(uint64_t node, const Member& member) const;
  Connection* find(ConnectionId id) const;
  Line* line_of(const Connection& connection);
  ConnectionId add_connection(PeerLane lane, uint64_t wanted);
  // How long the next attempt may take.
  int64_t greeting_us(const Line& line) const;
  void dial(Line& line, PeerLane lane, const PeerAddress& address, uint64_t node);
  void dial_due();
  void retry_later(Line& line);
  // Forgets the connection; if it was up, that is told.
  void remove(ConnectionId id);
  void close(ConnectionId id);
  enum class GuestStage : uint8_t { kNotGreeted, kGreeted };
  void make_room(GuestStage stage);
  void on_greeting(Connection& connection);
  int64_t end_of(const Connection& connection) const;
  int64_t says_next_at(const Connection& connection) const;
  void on_refusal(Connection& connection);
  void take_line(Connection& connection);
  void close_lines_before(const Connection& newest);
  void close_silent_lines(const Member& member, int64_t silent_since_us);

  PeersOptions options_;
  Prng random_;
  NonceSource nonces_;
  Instant now_;
  ConnectionId next_connection_ = 1;
  std::map<uint64_t, Member> members_;
  std::vector<Seed> seeds_;
  std::vector<Held> connections_;               // by id; a few, and asked for with each message
  std::map<uint64_t, uint64_t> incarnations_;   // of nodes that are or were members: the newest that was seen
  std::vector<ConnectionId> readable_;          // have bytes that next() has not looked at
  PeersOutput output_;
  std::vector<PeerEvent> events_;
  bool calls_at_once_ = false;
  uint64_t refusals_ = 0;
};

}  // namespace quorate

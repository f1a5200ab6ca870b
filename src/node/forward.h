// Commands of clients for partitions that another node leads (docs/CLUSTER.md, "Forwarding"): sent over the link, run there
// (link_sessions.h), answered into a gap of the session that asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/forward_message.h"
#include "node/forwarding_peers.h"
#include "node/gathering.h"
#include "node/link_sessions.h"
#include "node/waiting_units.h"
#include "resp/request_parser.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class Session;
struct CommandSpec;
struct NodeState;
struct StoredCommand;

// What is run elsewhere as one: a command, or the commands of a transaction between MULTI and EXEC.
struct ForwardedUnit {
  uint32_t partition = 0;
  std::string_view requests;    // as RESP; only the last one's reply counts
  uint32_t request_count = 1;
  using Kind = UnitKind;
  Kind kind = Kind::kWrites;
  int64_t waited_us = 0;          // kBlocks: at this node, before
  std::string_view watched = {};  // of a transaction: what its EXEC goes by (watch_message.h)
  std::optional<int> selected = {};  // of a transaction: the session's database once it has run
};

// The request of a session, or EXEC with all that it has queued, as a unit of that partition.  EXEC requires kInMulti and nothing broken.  Not for commands
// that change the session itself (WATCH, SUBSCRIBE); where a transaction has chosen a database, the session waits for its answer.
void forward_request(NodeState& node, Session& session, const CommandSpec& spec, Args args, uint32_t partition);
void forward_transaction(NodeState& node, Session& session, uint32_t partition);
// A command that has waited here for a key.
void forward_blocked(NodeState& node, Session& session, const StoredCommand& command, uint32_t partition, int64_t waited_us);
// WATCH: the session waits until the leader has said what the keys are.
void forward_watch(NodeState& node, Session& session, std::span<const std::string_view> keys, uint32_t partition);

// A request that was taken apart (gathering.h): its parts are run where their partitions are led, here too.
void forward_parts(NodeState& node, Session& session, Gathering&& gathering);

// Owned by NodeState; there once the node has company.
// Commands of a partition are sent in the order in which they came, under an attempt.  A node that does not lead refuses one and all
// that the attempt sends behind it; they are sent again, in order, under the next attempt.  So are all whose leader is lost, or is another:
// writes have numbers, by which a leader knows what has been run (origin_rows.h).
// What the sessions of a turn add is sent at its end: neighbours that ask for the same go in one message, and are answered in one.
// Invariants: 1. Every unit is answered, by request-timeout-ms at the latest (one that blocks: so long after it has come, or was taken
// back from where it may have waited, unless it waits).
// 2. A unit that writes is run once at most.
// 3. Numbers ascend in the order of coming, and all between the lowest that is wanted and the last are under way or were answered.
// 4. A unit is sent to kLeadersLostMax processes at most that were lost with it: it may be what kills them.
// Not so what waits for a key or watches one: it is asked for again until its time is up.
class Forwarding {
 public:
  Forwarding(NodeState& node, ForwardingPeers& peers);

  // ---- commands of clients -----------------------------------------------------------------------------------
  // Leaves a gap for the reply; it leaves with send_new().  What was bound to the session before holds it back, so a session that gathers binds first.
  void forward(Session& session, const ForwardedUnit& unit);
  // The same for all parts that are not answered; one gap.  Requires: there is one.
  void gather(Session& session, Gathering&& gathering);
  // Sends what was added since the last call.
  void send_new();
  // Something of the session waits in this partition: what it sends behind it must not overtake it.
  bool is_waiting(uint32_t partition, const Session& session) const;
  // CLIENT UNBLOCK: what waits for a key elsewhere is answered as `how` says, unless it turns out to have been served.  False: nothing of
  // the session does.
  bool unblock(Session& session, CancelReason how);
  // The session is going away.
  void forget(Session& session);
  // A session that runs commands of another node has run one.
  void note_reply(Session& session, std::string_view reply) { links_.note_reply(session, reply); }

  // ---- what happens elsewhere -------------------------------------------------------------------------------
  // Requires: is_forward_kind(kind).  Commands are kept until run().  kCorrupt: the link should be refused.
  Status receive(NodeId from, uint64_t kind, std::string_view bytes);
  // Sends what was added, and runs the commands that have arrived.
  void run() {
    send_new();
    links_.run();
  }
  void on_link_up(NodeId node);
  void on_link_down(NodeId node);
  void on_stop_serving(uint32_t partition) { links_.on_stop_serving(partition); }
  // ForwardingPeers::leader_of() says something else than before.
  void on_leader(uint32_t partition);
  void tick();
  int64_t deadline() const { return next_look_us_; }

  // Units that have no answer yet.
  size_t waiting_count() const { return waiting_count_; }
  // For who makes the bytes of a request: empty, and free until the next call.
  Buffer& scratch();

 private:
  static constexpr uint64_t kNothing = UINT64_MAX;
  // Of one partition, without those that block: of these a session has one at most, and waits for it.
  // A session that goes beyond is not read from until half of them are answered.
  static constexpr size_t kWaitingMax = 4096;
  static constexpr size_t kWaitingBytesMax = 16 * 1024 * 1024;
  // Between two looks at what waits: for a leader, for too long.
  static constexpr int64_t kLookUs = 10'000;
  static constexpr size_t kLeadersLostMax = 2;
  // Requests that go in one message, unless it is a single one.
  static constexpr size_t kMessageBytesMax = 64 * 1024;
  static constexpr size_t kScratchKept = 64 * 1024;

  struct Partition {
    WaitingUnits waiting;
    uint64_t first_unsent = kNothing;  // numbers below are sent
    NodeId target = 0;          // whom the attempt sends to
    uint64_t attempt = 1;
    uint64_t last_write_number = 0;
    bool has_taken_back = false;  // since the last sending
    bool has_new = false;         // stands in new_
    int64_t not_before_us = 0;  // the target has refused: it may not know yet that it leads
    std::vector<uint64_t> stopped;  // sessions that are not read from
  };

  // Under way to several partitions for one reply.
  struct Gathered {
    uint64_t session_id = 0;
    GapId gap = 0;
    Protocol protocol = Protocol::kResp2;
    Gathering gathering;
    size_t missing = 0;
  };

  WaitingUnit& add(Session& session, const ForwardedUnit& unit);
  void take_part(uint64_t gathering, size_t part, std::string_view reply);
  void end_watch(const WaitingUnit& unit, std::string_view keys, std::string_view reply);
  void end_selecting(uint32_t index, const WaitingUnit& unit, std::string_view reply);
  void note_new(uint32_t index, Session& session);
  void send_unsent(uint32_t index);
  // How many units from that place on go in one message.
  static uint32_t count_alike(const WaitingUnits& waiting, size_t place);
  bool send(uint32_t index, size_t place, uint32_t count, NodeId to);
  static void begin_attempt(Partition& partition, NodeId target);
  // Why a unit is to be sent again.
  enum class TakenBack : uint8_t {
    kNotRun,   // it was refused
    kUnknown,  // whom it was sent to says so
    kLost,     // nobody says anything
  };
  void take_back(Partition& partition, WaitingUnit& unit, TakenBack why);
  // All that are under way to the node (0: to any).
  void take_all_back(Partition& partition, NodeId node);
  // What only reads must not be overtaken by a write that its session sent behind it, nor by what waits for a key there.
  void note_overtaken(Partition& partition, size_t place);
  void note_order(uint32_t index);
  static uint64_t lowest_wanted(const Partition& partition);
  static uint64_t lowest_token(const Partition& partition);
  // A command that may block is answered, or its client gone: whoever has it need not know of it any more.
  void cancel(NodeId sent_to, uint32_t index, uint64_t number, CancelReason reason = CancelReason::kGone);
  // It was lost with as many others than this one as it may be.
  bool is_dangerous(const WaitingUnit& unit, NodeId to, uint64_t incarnation) const;
  // It speaks of the last sending, and the unit will not be sent again.
  static bool is_last_word(const WaitingUnit& unit, NodeId from, const ForwardAnswer& answer);
  void note_place(const WaitingUnit& unit, const ForwardAnswer& answer);
  void on_answer(NodeId from, const ForwardAnswer& answer);
  // Of one unit.
  void take_answer(NodeId from, const ForwardAnswer& answer);
  void on_refusal(NodeId from, uint32_t index, const WaitingUnit& refused);
  // `exclusion`: why this node belongs to no cluster; null: it does.
  void end_overdue(uint32_t index, const Error* exclusion);
  void finish(uint32_t index, size_t place, std::string_view reply);
  void finish(uint32_t index, size_t place, const Error& error);
  void stop(Partition& partition, Session& session);
  void let_go_on(Partition& partition);
  void send_answer(NodeId to, const ForwardAnswer& answer);
  ForwardLimits limits() const;

  NodeState& node_;
  ForwardingPeers& peers_;
  LinkSessions links_;
  std::vector<Partition> partitions_;
  int64_t next_look_us_ = kNever;     // while something waits
  struct Blocked {
    uint32_t partition = 0;
    uint64_t number = 0;
  };
  std::map<uint64_t, Blocked> blocked_;  // by session: it waits for this alone
  // By session: it waits for a transaction in which SELECT stands, to know what it sends next is about.
  struct Selecting {
    uint32_t partition = 0;
    uint64_t number = 0;
    int database = 0;
  };
  std::map<uint64_t, Selecting> selecting_;
  uint64_t last_sending_ = 0;
  std::map<uint64_t, Gathered> gathered_;   // in the order of coming
  uint64_t last_gathering_ = 0;
  size_t waiting_count_ = 0;
  std::vector<uint32_t> new_;  // partitions that have units which were added since the last send_new()
  Buffer scratch_;
  Buffer head_;                // of the message that is being sent
};

}  // namespace quorate

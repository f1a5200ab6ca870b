// Running commands for other nodes.  They run in sessions without a connection, so they take the road of every command;
// what such a session says goes back over the link once it may leave.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/forward_message.h"
#include "node/forwarding_peers.h"
#include "node/origin_rows.h"
#include "node/session_driver.h"
#include "util/buffer.h"

namespace quorate {

class Session;
struct NodeState;

// Part of Forwarding.  One session for each origin, partition, database, level and kind of client: replies are in order
// within it, and a partition that stands still holds up nobody else.  A command that may block has one to itself; of the others an
// origin has a bounded number.
// Invariants: 1. Of an origin's attempt on a partition nothing runs behind a command that was refused: what it sent in an
// order runs in that order or, from some place on, not at all.  2. Every command that arrived is answered once, unless
// the link is lost, it was cancelled or its sender does not want it any more.  3. A write with a number runs when it is the
// next of its sender, and is noted with its reply (OriginRows) before anything else runs; one that was run before is not run again.
class LinkSessions final : private SessionDriver {
 public:
  // `answer` takes an answer on its way to that node.
  using Answer = std::function<void(NodeId to, const ForwardAnswer&)>;
  LinkSessions(NodeState& node, ForwardingPeers& peers, Answer answer)
      : node_(node), peers_(peers), answer_(std::move(answer)) {}
  ~LinkSessions() override;

  // Kept until run().
  void take(NodeId from, const ForwardCommand& command);
  // Of a command that may block.  CLIENT UNBLOCK ends one that waits for its key; one that has been served is answered with that.
  void cancel(NodeId from, const ForwardCancel& cancel);
  // What that node had asked for is not answered any more.
  void on_link_down(NodeId from);
  // Nothing runs on the partition any more.  Who has asked is told that it is not known.
  void on_stop_serving(uint32_t partition);
  // One of these sessions has run a request, perhaps after it has waited for a key, and was told this.
  void note_reply(Session& session, std::string_view reply);
  // Runs the commands that have arrived, by the ordinary road, or refuses them.
  void run();

 private:
  // Of an origin on a partition; beyond that those go that have nothing to do.
  static constexpr size_t kSharedMax = 64;
  // Replies that leave in one message, unless it is a single one.
  static constexpr size_t kMessageBytesMax = 256 * 1024;

  // In this order: the shared ones of a lane stand together, and the one of a command that may
  // block is found by its number.
  struct Key {
    NodeId origin = 0;
    uint32_t partition = 0;
    uint64_t only_command = 0;  // the number of the one that may block; else 0
    uint32_t database = 0;
    uint8_t flags = 0;
    uint64_t write_level = 0;   // as numbers
    uint64_t read_level = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // Units of one command whose answers have not left.
  struct Asked {
    ForwardAnswer answer;        // to the first of them, but for what became of it
    uint32_t units = 0;
    uint32_t units_to_run = 0;   // the last ones
    uint32_t requests_each = 1;
    uint32_t requests_left = 1;  // of the first unit that is to run
    uint32_t replies_left = 1;   // of the first unit; the last of them is the answer
    bool is_again = false;       // they may have been run elsewhere
    NumberedWrite write = {};    // the first unit that is to run.  Of number 0: it is none.  Of a command that may block: its token
  };
  struct Link {
    Key key;
    Session* session = nullptr;
    std::deque<Asked> asked;
    size_t ran = 0;              // of those asked; they have no unit to run
    Buffer said;                 // the beginning of a reply
    bool is_shared = false;      // is counted in its lane

    bool has_more_to_run() const { return ran < asked.size() && key.only_command == 0; }
  };
  // Answers that leave as one.
  struct Saying {
    ForwardAnswer answer;        // to units whose replies follow one another
    uint32_t units = 0;
  };
  struct Arrived {
    ForwardCommand command;      // without requests
    std::string requests;
    std::string watched;
    std::optional<CancelReason> unblocked = {};  // CLIENT UNBLOCK: if it waits, no longer than that
  };
  // What an origin sends for one partition.
  struct Lane {
    std::deque<Arrived> arrived;
    bool is_busy = false;          // stands in busy_
    uint64_t refused_attempt = 0;  // the last that was refused
    Link* stalled = nullptr;       // was put off (CLIENT PAUSE): what is behind it waits
    size_t shared = 0;             // sessions that several commands may use, and that do not end
  };
  using LaneKey = std::pair<NodeId, uint32_t>;  // origin, partition
  // Commands that one session runs at one go.
  struct Batch {
    Link* link = nullptr;
    std::string requests;
    uint64_t last_write = 0;       // the number of the last one in it, and whose
    uint64_t incarnation = 0;
    uint64_t waited_ms = 0;        // of a command that may block
    std::optional<CancelReason> unblocked = {};
  };

  size_t send(void* connection, std::string_view bytes) override;
  void close(void* connection, CloseMode mode) override;
  void set_reading(void*, bool) override {}

  static Key key_of(NodeId from, const ForwardCommand& command);
  Link* link_of_wait(NodeId from, uint32_t partition, uint64_t number);
  void unblock_wait(NodeId from, const ForwardCancel& cancel);
  Link* link_for(NodeId from, const ForwardCommand& command);
  bool has_room(const LaneKey& key, Lane& lane);
  void count_no_more(Link& link);
  void note_busy(const LaneKey& key, Lane& lane);
  void run_lane(const LaneKey& key, Lane& lane);
  void run_batch(Lane& lane, Batch& batch);
  bool joins(const LaneKey& key, const Lane& lane, const ForwardCommand& command, const Batch& batch) const;
  void take_next(const LaneKey& key, Lane& lane, Batch& batch);
  void add_to_batch(const LaneKey& key, Lane& lane, Batch& batch, Arrived& arrived);
  static Arrived take_first_unit(Arrived& arrived);
  void answer_again(NodeId from, const ForwardCommand& command);
  void answer_watch(NodeId from, const ForwardCommand& command, std::string_view keys);
  void refuse(NodeId from, Lane& lane, const ForwardCommand& command);
  void say(NodeId to, ForwardAnswer answer, ForwardOutcome outcome, std::string_view reply = {});
  void answer_next(Link& link, Saying& saying, std::string_view reply);
  void say(Link& link, Saying& saying);
  void end(Link& link);

  NodeState& node_;
  ForwardingPeers& peers_;
  const Answer answer_;
  std::map<Key, std::unique_ptr<Link>> links_;
  std::map<LaneKey, Lane> lanes_;
  std::vector<LaneKey> busy_;  // lanes in which something has arrived
};

}  // namespace quorate

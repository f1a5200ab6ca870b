// A node in this process with a simulated disk, simulated time and connections that are strings.
// The simulator and the scripts' in-process world drive it; it never looks at a clock or a file.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "node/config.h"
#include "node/effects.h"
#include "node/host.h"
#include "node/mistakes.h"
#include "node/node.h"
#include "tests/sim/sim_disk.h"
#include "util/prng.h"
#include "util/time.h"

namespace quorate::sim {

// Who carries the bytes of a node's connections with other nodes.  What it is told is to be done
// later: it must not call the node from here.
class PeerCarrier {
 public:
  virtual ~PeerCarrier() = default;
  virtual void dial(ConnectionId connection, const PeerAddress& address) = 0;
  virtual void carry(ConnectionId connection, std::string_view bytes) = 0;
  virtual void hang_up(ConnectionId connection, std::string_view last_words) = 0;
};

// One life of a process.  Calls: recover, start, then anything; destroying it is a kill -9.
class SimNode final : private Driver, private Host {
 public:
  struct Options {
    uint64_t seed = 1;
    std::string config;  // redis.conf lines
    Instant now{.steady_us = 1'000'000, .unix_ms = 1'700'000'000'000};
    // Values here are small, and large ones are what snapshots take in pieces.
    size_t pieces_from = 4;
    bool hasty = false;  // the disk answers within the turn, sockets take everything
    // Planted mistake: replies do not wait for what expired when they were made.
    bool forgets_expiry = false;
    raft::Options group = {};
    StateOptions states = {};
    NodeMistakes mistakes = {};
    uint64_t bytes_a_key = 0;  // its memory is so much for each key; 0: that of the process
    StartFacts start_facts = {.boot_id = {1}, .directory_inode = 1};  // always the same boot
    PeerCarrier* carrier = nullptr;  // none: no other node can be reached
    std::function<void(std::string_view)> on_log = nullptr;
  };
  SimNode(SimDisk& disk, const Options& options);
  ~SimNode() override;

  // Reads back what the disk holds; a node that retires by that is another one then.  An error: the process would not have started.
  Status recover();
  // Takes up work.
  void start();

  // ---- inputs; each belongs to the turn that end_turn() ends
  // --------------------------------------------
  int connect(ClientDoor door = ClientDoor::kMain);
  void disconnect(int connection);
  void send(int connection, std::string_view bytes);
  void advance(int64_t us);
  // For a world that has clocks of its own.
  void set_now(Instant now) { now_ = now; }
  // What the clock shows by now, while the turn's inputs still carry the time at which it began.
  void set_clock(int64_t steady_us) { clock_us_ = steady_us; }
  // Somebody sets the wall clock.
  void set_wall_back(int64_t ms) { now_.unix_ms -= ms; }
  void tick_if_due();
  // Carries out one request of the lane and gives the node the reply; false if there is none.
  bool take_disk_step(DiskLane lane);
  // Lets the client read some of what the node has given to the socket.
  void drain_socket(int connection);
  // CONFIG SET.
  void set_config(std::string_view name, std::string_view value);
  void shut_down();
  // Only so many outputs of the turns to come are carried out: then the process is dead.
  void die_after(uint64_t outputs) { outputs_left_ = outputs; }
  void end_turn();
  // Turns without time passing until nothing is left to do.
  void settle();

  // ---- what came of it
  // ------------------------------------------------------------------------------- What the client
  // has received and not yet taken.
  std::string& received(int connection) { return connection_of(connection).received; }
  // What the node has said to the client since the last call, whether it may leave already or not.
  std::string take_said(int connection);
  bool is_closed(int connection) const { return connection_of(connection).session == nullptr; }
  bool has_ended() const { return ended_.has_value(); }
  // What was to be on disk is there.
  bool has_ended_well() const { return ended_ == ProcessEnd::kOrderly; }
  bool is_dead() const { return outputs_left_ == 0; }
  // It will be.
  bool is_doomed() const { return outputs_left_ != UINT64_MAX; }
  // When tick_if_due() will do something.
  int64_t deadline_us() const { return deadline_us_; }
  // The socket has not taken all that the node gave it.
  bool is_sending(int connection) const { return !connection_of(connection).sending.empty(); }
  // Files that got their final name.
  uint64_t renames() const { return renames_; }
  const std::vector<std::string>& log_lines() const { return log_lines_; }
  Instant now() const { return now_; }
  Node& node() { return *node_; }
  size_t disk_queue_size() const { return lanes_[0].queue.size() + lanes_[1].queue.size(); }
  // The request that is carried out next; null: there is none.
  const DiskRequest* next_request(DiskLane lane) const;
  // A crash in the middle of the disk's work: a write that was under way may have got as far as `chance` likes.  One that an
  // earlier failure forbids is never under way.  Nothing but destroying the node may follow.
  void tear_writes(Prng& chance);

 private:
  struct Connection {
    int number = 0;
    Session* session = nullptr;
    std::string received;
    std::string_view sending;  // the node's bytes that the socket has not taken
    std::string handed;        // what the node gave to the socket since take_said()
    size_t said_ahead = 0;     // of the session's output, taken by take_said() before it left
    bool is_reading = true;
    std::string unread;        // arrived while nobody reads
  };
  struct Lane {
    std::deque<DiskRequest> queue;
    std::optional<DiskExecutor> executor;
  };

  // Driver
  size_t send(void* connection, std::string_view bytes) override;
  void close(void* connection, CloseMode mode) override;
  std::optional<DiskReply> disk(DiskRequest&& request, DiskPlace place) override;
  void set_reading(void* connection, bool wants_input) override;
  void arm_timer(int64_t steady_us) override { deadline_us_ = steady_us; }
  int64_t steady_us() override { return std::max(now_.steady_us, clock_us_); }
  void dial(ConnectionId connection, const PeerAddress& address) override;
  void send_to_peer(ConnectionId connection, Outgoing& bytes) override;
  void close_peer(ConnectionId connection, Buffer& last_words) override;
  // Host
  Status settings_changed(std::span<const std::string_view>) override { return done(); }
  Status rewrite_config() override { return ErrorCode::kUnsupported; }
  ProcessFacts facts() override { return {}; }
  uint64_t used_memory() override;
  void log(LogLevel level, std::string_view line) override;
  void end_process(ProcessEnd end) override { ended_ = end; }

  // A node of this directory, and what it reads back.
  Status begin();
  void receive(Connection& connection, std::string_view bytes);
  // False: the process has died before this output.
  bool lives_on();
  Connection& connection_of(int number) { return *connections_.at(static_cast<size_t>(number)); }
  const Connection& connection_of(int number) const { return *connections_.at(static_cast<size_t>(number)); }
  static Connection& of(void* connection) { return *static_cast<Connection*>(connection); }

  SimDisk& disk_;
  const Options options_;
  Prng prng_;
  StoreSettings store_settings_;
  NodeSettings node_settings_;
  ProcessSettings process_settings_;
  Configuration configuration_;
  std::unique_ptr<Node> node_;
  Instant now_;
  int64_t clock_us_ = 0;
  int64_t deadline_us_ = kNever;
  std::optional<ProcessEnd> ended_;
  uint64_t outputs_left_ = UINT64_MAX;
  std::vector<ConnectionId> unreachable_;  // dialled without a carrier
  uint64_t renames_ = 0;
  std::array<Lane, kDiskLaneCount> lanes_;
  std::vector<std::unique_ptr<Connection>> connections_;   // by number
  std::set<int> unread_;  // that have something unread
  std::vector<std::string> log_lines_;
};

}  // namespace quorate::sim

// Drives a Node with a libuv loop: what arrives in one iteration is given to the node, then the turn is
// ended once and everything it asks for is carried out.
#pragma once

#include <uv.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/effects.h"
#include "node/node.h"
#include "node/process_settings.h"
#include "server/clock.h"
#include "server/connection.h"
#include "server/disk_lane.h"
#include "server/loading_door.h"
#include "server/peer_sockets.h"
#include "server/turn_meter.h"

namespace quorate {

// Owned by main.  Calls must match: (accepting, each request is answered -LOADING) attach (the node answers) stop.
// All in the loop's thread.
class UvDriver : public Driver, private PeerSocketsOwner {
 public:
  struct Counters {
    uint64_t rejected_connections = 0;
    uint64_t bytes_received = 0;
    uint64_t bytes_sent = 0;
    uint64_t reads = 0;
    uint64_t writes = 0;
  };
  // `disks`: one for each lane, used by this driver alone.
  UvDriver(uv_loop_t& loop, std::array<Disk*, kDiskLaneCount> disks, const ProcessSettings& settings);
  ~UvDriver() override;

  // From here on the node is driven.  Requires: it was started.
  void attach(Node& node);
  // Closes every handle of the driver and every connection, of clients and of peers; run the loop once more afterwards.
  void stop();

  // A listener has a connection waiting.
  void accept(uv_stream_t* listener, ClientDoor door);
  // The same at the cluster's port.  Requires: attach() was called.
  void accept_peer(uv_stream_t* listener) { peers_.accept(listener); }
  // For inputs that are no client's: signals.
  void shut_down(uint8_t shutdown_options);

  size_t send(void* connection, std::string_view bytes) override;
  void close(void* connection, CloseMode mode) override;
  std::optional<DiskReply> disk(DiskRequest&& request, DiskPlace place) override;
  void set_reading(void* connection, bool wants_input) override;
  void arm_timer(int64_t steady_us) override;
  int64_t steady_us() override { return read_steady_us(); }
  void dial(ConnectionId connection, const PeerAddress& address) override { peers_.dial(connection, address); }
  void send_to_peer(ConnectionId connection, Outgoing& bytes) override { peers_.send(connection, bytes); }
  void close_peer(ConnectionId connection, Buffer& last_words) override { peers_.close(connection, last_words); }

  // For Connection.
  // Tells one iteration of the loop from the next; 0 while there is no node, and so no turns.
  uint64_t turn() const { return node_ == nullptr ? 0 : turn_; }
  std::span<char> read_place(Session* session);
  void received(Connection& connection, std::string_view bytes);
  void hung_up(Connection& connection, Hangup hangup);
  void sent(Connection& connection, size_t bytes);
  void broke(Connection& connection);
  void forget(Connection* connection);
  const std::string& unix_socket_path() const { return settings_.unixsocket; }
  Counters& counters() { return counters_; }

 private:
  static constexpr size_t kReadBytes = 64 * 1024;
  // What is read of several connections in one iteration is given to the node together, if it is short: one command, say.
  static constexpr size_t kShortBytes = 512;
  static constexpr size_t kWaitingMax = 32;
  // libuv's timers know whole milliseconds; up to here the loop polls without sleeping instead.
  static constexpr int64_t kNearUs = 100;
  // A loop that had no turn for so long has time to set its timer anew: five times what anybody names as "soon" (upkeep.h), since a time
  // that is named anew in each turn must come all the same.
  static constexpr int64_t kRestUs = 5000;

  // Before an input of the node: gives it what waits.  The time that the input has.
  Instant now();
  void begin_turn();
  void give_waiting();
  void end_turn();
  void connect(Connection& connection);
  void on_timer();
  void on_near_time();
  void on_disk();
  void report_broken();
  void end_turn_soon();

  ConnectionId peer_accepted(const PeerAddress& from) override { return node_->peer_accepted(now(), from); }
  void peer_dialled(ConnectionId connection) override { node_->peer_dialled(now(), connection); }
  void peer_received(ConnectionId connection, std::string_view bytes) override {
    node_->peer_received(now(), connection, bytes);
  }
  void peer_closed(ConnectionId connection) override;

  uv_loop_t& loop_;
  const ProcessSettings& settings_;
  Node* node_ = nullptr;  // null while the data set is being loaded, and after stop()
  LoadingDoor loading_;
  PeerSockets peers_;
  Counters counters_;

  // One turn: from its first input to end_turn(); it sees one time.
  bool in_turn_ = false;
  uint64_t turn_ = 1;
  Instant turn_now_;
  int64_t rested_us_ = 0;       // between the beginning of this turn and of the one before
  TurnMeter meter_;

  uv_check_t check_{};
  uv_timer_t timer_{};
  int64_t timer_at_us_ = kNever;
  uv_idle_t near_{};  // active while the node waits for a time that is nearer than a timer can tell
  int64_t near_at_us_ = kNever;
  uv_async_t disk_wake_{};
  uv_idle_t idle_{};  // active while connections wait in broken_, or a turn must end before the loop waits
  std::vector<Connection*> broken_;
  std::vector<DiskReply> disk_replies_;
  std::array<std::unique_ptr<DiskLaneThread>, kDiskLaneCount> lanes_;
  std::array<char, kWaitingMax * kShortBytes + kReadBytes> read_buffer_;
  // Short reads of this turn, one behind the other at the front of read_buffer_; given to the node before any other input.
  // Invariant: waiting_bytes_ <= waiting_count_ * kShortBytes.
  std::array<Received, kWaitingMax> waiting_;
  size_t waiting_count_ = 0;
  size_t waiting_bytes_ = 0;
};

}  // namespace quorate

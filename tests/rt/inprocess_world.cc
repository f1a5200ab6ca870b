// A world in this process: the real node and everything below it, with a driver whose time, disk and sockets are
// simulated.  Every step ends only when the node has nothing left to do at that instant, so nothing ever waits.
#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "node/config.h"
#include "node/effects.h"
#include "node/host.h"
#include "node/node.h"
#include "tests/rt/world.h"
#include "sim/sim_disk.h"
#include "util/check.h"
#include "util/memory.h"

namespace quorate::rt {

namespace {

constexpr int64_t kFirstUnixMs = 1'700'000'000'000;
constexpr size_t kReadSize = 64 * 1024;
// Turns that one instant may ask for before it counts as a loop without end.
constexpr int kTurnsMax = 1'000'000;
// Time that passes at least from one timer to the next, so that a deadline that stays in the past ends too.
constexpr int64_t kTickMinUs = 1;
// ADVANCE runs this many timers one by one; what is left of the time passes at once, as in a process that was stopped.
constexpr int kTicksMax = 2'000;

struct Connection {
  Session* session = nullptr;  // null: closed by the node
  std::string input;           // sent and not yet taken by the node
  size_t input_taken = 0;
  std::string output;
};

class TestHost final : public Host {
 public:
  Status settings_changed(std::span<const std::string_view>) override { return done(); }
  Status rewrite_config() override { return ErrorCode::kUnsupported; }
  ProcessFacts facts() override {
    ProcessFacts facts;
    facts.process_id = 1;
    facts.operating_system = "simulated";
    facts.resident_bytes = mem_used();
    facts.system_memory_bytes = 1ULL << 32;
    return facts;
  }
  void log(LogLevel, std::string_view) override {}
  void end_process(ProcessEnd) override { has_ended = true; }

  bool has_ended = false;
};

class InprocessWorld final : public World, private Driver {
 public:
  InprocessWorld() : disk_(1), configuration_(SettingTargets{store_settings_, node_settings_, process_settings_}) {
    configuration_.learn("enable-debug-command", "yes");
    configuration_.learn("enable-protected-configs", "yes");
    start_node();
  }
  ~InprocessWorld() override { node_.reset(); }

  std::string_view name() const override { return "inprocess"; }

  int connect() override {
    const int id = next_connection_++;
    Connection& connection = connections_[id];
    PeerInfo peer;
    peer.connection = &connection;
    peer.address = "127.0.0.1:" + std::to_string(20'000 + id);
    peer.local_address = "127.0.0.1:7001";
    peer.descriptor = id;
    connection.session = node_->connect(now_, std::move(peer));
    settle();
    return id;
  }

  void disconnect(int id) override {
    Connection& connection = connections_.at(id);
    if (connection.session != nullptr) node_->peer_closed(now_, connection.session, Hangup::kWhole);
    settle();
    CHECK(connection.session == nullptr);
    connections_.erase(id);
  }

  void send(int id, std::string_view bytes) override {
    connections_.at(id).input.append(bytes);
    settle();
  }

  // Patience is simulated too: while nothing has come, time passes from timer to timer.
  Received receive(int id, int64_t patience_ms, std::string& bytes) override {
    Connection& connection = connections_.at(id);
    const int64_t end_us = now_.steady_us + patience_ms * 1000;
    while (patience_ms > 0 && connection.output.empty() && connection.session != nullptr) {
      if (node_->deadline() > end_us) break;
      pass_time(std::max(node_->deadline() - now_.steady_us, kTickMinUs));
    }
    if (!connection.output.empty()) {
      bytes += std::exchange(connection.output, {});
      return Received::kBytes;
    }
    return connection.session == nullptr ? Received::kClosed : Received::kNothing;
  }

  bool wait_until_blocked(int id) override {
    const Connection& connection = connections_.at(id);
    return connection.output.empty() && connection.session != nullptr;
  }

  int64_t now_ms() override { return now_.unix_ms; }

  bool advance(int64_t duration_ms) override {
    const int64_t end_us = now_.steady_us + duration_ms * 1000;
    for (int tick = 0; tick < kTicksMax && node_->deadline() <= end_us; ++tick) {
      pass_time(std::max(node_->deadline() - now_.steady_us, kTickMinUs));
    }
    pass_time(std::max<int64_t>(end_us - now_.steady_us, 0));
    return true;
  }

  bool restart() override {
    node_->shutdown(now_, 0);
    settle();
    for (int tick = 0; tick < kTicksMax && !host_.has_ended && node_->deadline() != kNever; ++tick) {
      pass_time(std::max(node_->deadline() - now_.steady_us, kTickMinUs));
    }
    CHECK(host_.has_ended);
    node_.reset();
    connections_.clear();
    start_node();
    return true;
  }

 private:
  void start_node() {
    host_.has_ended = false;
    for (auto& requests : disk_requests_) requests.clear();
    executors_ = {std::make_unique<DiskExecutor>(disk_), std::make_unique<DiskExecutor>(disk_)};
    node_ = std::make_unique<Node>(NodeOptions{.store = {.hash_seed = 1, .random_seed = ++seed_},
                                               .seed = seed_,
                                               .settings = node_settings_,
                                               .store_settings = store_settings_,
                                               .process_settings = process_settings_,
                                               .configuration = configuration_,
                                               .host = host_});
    CHECK(node_->recover(disk_, now_).ok());
    node_->start(now_);
    settle();
  }

  void pass_time(int64_t duration_us) {
    now_.steady_us += duration_us;
    now_.unix_ms = kFirstUnixMs + now_.steady_us / 1000;
    node_->tick(now_);
    settle();
  }

  // Turns until the node has taken all input it wants and no disk request is open.
  void settle() {
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      const bool has_given = give_input() || !dialled_.empty();
      for (const ConnectionId connection : std::exchange(dialled_, {})) node_->peer_lost(now_, connection);
      perform(*node_, now_, *this);
      const bool has_replied = run_disk();
      if (!has_given && !has_replied) return;
    }
    CHECK(!"the node comes to rest");
  }

  bool give_input() {
    bool has_given = false;
    for (auto& [id, connection] : connections_) {
      if (connection.session == nullptr || connection.input.empty()) continue;
      if (!node_->wants_input(connection.session)) continue;
      const std::string_view left = std::string_view(connection.input).substr(connection.input_taken);
      const std::span<char> target = node_->read_target(connection.session);
      const size_t size = std::min(left.size(), target.empty() ? kReadSize : target.size());
      // As the server reads: into the node's own place for a big value, or a buffer that others share.
      char* const place = target.empty() ? read_buffer_.data() : target.data();
      std::memcpy(place, left.data(), size);
      connection.input_taken += size;
      if (connection.input_taken == connection.input.size()) {
        connection.input.clear();
        connection.input_taken = 0;
      }
      node_->receive(now_, connection.session, {place, size});
      has_given = true;
    }
    return has_given;
  }

  bool run_disk() {
    bool has_replied = false;
    for (size_t lane = 0; lane < kDiskLaneCount; ++lane) {
      std::deque<DiskRequest> requests;
      requests.swap(disk_requests_[lane]);
      for (DiskRequest& request : requests) {
        node_->disk_reply(now_, executors_[lane]->execute(request));
        has_replied = true;
      }
    }
    return has_replied;
  }

  // ---- Driver ------------------------------------------------------------------------------------
  size_t send(void* connection, std::string_view bytes) override {
    static_cast<Connection*>(connection)->output.append(bytes);
    return bytes.size();
  }
  void close(void* connection, CloseMode) override { static_cast<Connection*>(connection)->session = nullptr; }
  std::optional<DiskReply> disk(DiskRequest&& request, DiskPlace place) override {
    const auto lane = static_cast<size_t>(request.lane);
    if (place == DiskPlace::kInline && disk_requests_[lane].empty()) return executors_[lane]->execute(request);
    disk_requests_[lane].push_back(std::move(request));
    return std::nullopt;
  }
  // wants_input() and deadline() are asked instead.
  void set_reading(void*, bool) override {}
  void arm_timer(int64_t) override {}
  int64_t steady_us() override { return now_.steady_us; }
  // There is nobody else.
  void dial(ConnectionId connection, const PeerAddress&) override { dialled_.push_back(connection); }
  void send_to_peer(ConnectionId, Outgoing& bytes) override { bytes.clear(); }
  void close_peer(ConnectionId, Buffer&) override {}

  SimDisk disk_;
  StoreSettings store_settings_;
  NodeSettings node_settings_;
  ProcessSettings process_settings_;
  Configuration configuration_;
  TestHost host_;
  Instant now_{.steady_us = 0, .unix_ms = kFirstUnixMs};
  uint64_t seed_ = 0;
  std::array<std::deque<DiskRequest>, kDiskLaneCount> disk_requests_;
  std::array<std::unique_ptr<DiskExecutor>, kDiskLaneCount> executors_;
  std::array<char, kReadSize> read_buffer_;
  std::map<int, Connection> connections_;
  int next_connection_ = 0;
  std::vector<ConnectionId> dialled_;
  std::unique_ptr<Node> node_;
};

}  // namespace

std::unique_ptr<World> make_inprocess_world() { return std::make_unique<InprocessWorld>(); }

}  // namespace quorate::rt

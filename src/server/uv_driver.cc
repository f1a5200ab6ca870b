// The turn of the loop.
//
// libuv's order within an iteration is timers, idle, poll (all readable sockets), check.  Inputs come in from the
// first three; the check handle ends the turn.  So a reply leaves in the iteration that brought its request, after the
// log was written once for all of them.
#include "server/uv_driver.h"

#include <algorithm>

#include "util/check.h"

namespace quorate {

namespace {

template <class Handle, void (UvDriver::*Method)()>
void call(Handle* handle) {
  (static_cast<UvDriver*>(handle->data)->*Method)();
}

}  // namespace

UvDriver::UvDriver(uv_loop_t& loop, std::array<Disk*, kDiskLaneCount> disks, const ProcessSettings& settings)
    : loop_(loop), settings_(settings), peers_(loop, *this) {
  CHECK(uv_check_init(&loop_, &check_) == 0);
  CHECK(uv_timer_init(&loop_, &timer_) == 0);
  CHECK(uv_idle_init(&loop_, &idle_) == 0);
  CHECK(uv_idle_init(&loop_, &near_) == 0);
  CHECK(uv_async_init(&loop_, &disk_wake_, call<uv_async_t, &UvDriver::on_disk>) == 0);
  check_.data = timer_.data = idle_.data = near_.data = disk_wake_.data = this;
  const auto wake = [](void* handle) { uv_async_send(static_cast<uv_async_t*>(handle)); };
  for (size_t i = 0; i < kDiskLaneCount; ++i)
    lanes_[i] = std::make_unique<DiskLaneThread>(*disks[i], wake, &disk_wake_);
}

UvDriver::~UvDriver() = default;

void UvDriver::attach(Node& node) {
  node_ = &node;
  uv_check_start(&check_, call<uv_check_t, &UvDriver::end_turn>);
  loading_.hand_over([this](Connection& connection, std::string_view bytes) {
    connect(connection);
    if (!bytes.empty()) received(connection, bytes);
  });
  now();
  end_turn();  // what start() asked for
}

void UvDriver::stop() {
  for (auto& lane : lanes_) lane.reset();
  node_ = nullptr;
  waiting_count_ = waiting_bytes_ = 0;
  peers_.close_all();
  // Every handle left is one of ours or a client's connection.
  uv_walk(
      &loop_,
      [](uv_handle_t* handle, void* driver) {
        if (uv_is_closing(handle)) return;
        const bool is_own = handle->data == driver;
        if (is_own) {
          uv_close(handle, nullptr);
        } else if (handle->type == UV_TCP || handle->type == UV_NAMED_PIPE) {
          static_cast<Connection*>(handle->data)->close(CloseMode::kAbort);
        }
      },
      this);
}

Instant UvDriver::now() {
  begin_turn();
  give_waiting();
  return turn_now_;
}

void UvDriver::begin_turn() {
  if (in_turn_) return;
  in_turn_ = true;
  const Instant read = read_clocks();
  rested_us_ = read.steady_us - turn_now_.steady_us;
  turn_now_.steady_us = std::max(read.steady_us, turn_now_.steady_us);
  turn_now_.unix_ms = read.unix_ms;
  meter_.begin(read.steady_us);
}

void UvDriver::give_waiting() {
  if (waiting_count_ == 0) return;
  node_->receive_all(turn_now_, {waiting_.data(), waiting_count_});
  waiting_count_ = waiting_bytes_ = 0;
}

void UvDriver::end_turn() {
  ++turn_;
  if (!in_turn_ || node_ == nullptr) return;
  give_waiting();
  perform(*node_, turn_now_, *this);
  in_turn_ = false;
  node_->turn_took(meter_.end());
}

// ---- inputs ------------------------------------------------------------------------------------------------

void UvDriver::accept(uv_stream_t* listener, ClientDoor door) {
  Connection* connection = Connection::accept(*this, listener, door);
  if (connection == nullptr) return;
  if (settings_.tcp_keepalive > 0) connection->set_keepalive(settings_.tcp_keepalive);
  if (node_ == nullptr) {
    loading_.add(*connection);
    connection->start_loading();
  } else {
    connect(*connection);
  }
}

void UvDriver::connect(Connection& connection) {
  connection.start(node_->connect(now(), connection.peer_info()));
}

std::span<char> UvDriver::read_place(Session* session) {
  if (session != nullptr) {
    const std::span<char> target = node_->read_target(session);
    if (!target.empty()) return target;
  }
  return std::span(read_buffer_).subspan(waiting_bytes_, kReadBytes);
}

void UvDriver::received(Connection& connection, std::string_view bytes) {
  counters_.reads += 1;
  counters_.bytes_received += bytes.size();
  if (node_ == nullptr) {
    loading_.received(connection, bytes);
    return;
  }
  const bool is_short = bytes.data() == read_buffer_.data() + waiting_bytes_ && bytes.size() <= kShortBytes;
  if (!is_short) {
    node_->receive(now(), connection.session(), bytes);
    return;
  }
  begin_turn();
  waiting_[waiting_count_++] = {.session = connection.session(), .bytes = bytes};
  waiting_bytes_ += bytes.size();
  if (waiting_count_ == kWaitingMax) give_waiting();
}

void UvDriver::hung_up(Connection& connection, Hangup hangup) {
  if (node_ == nullptr) {
    connection.close(CloseMode::kAbort);
    return;
  }
  node_->peer_closed(now(), connection.session(), hangup);
}

void UvDriver::sent(Connection& connection, size_t bytes) { node_->sent(now(), connection.session(), bytes); }

void UvDriver::broke(Connection& connection) {
  broken_.push_back(&connection);
  end_turn_soon();
}

// Idle callbacks run before the loop waits.
void UvDriver::end_turn_soon() { uv_idle_start(&idle_, call<uv_idle_t, &UvDriver::report_broken>); }

void UvDriver::report_broken() {
  uv_idle_stop(&idle_);
  std::vector<Connection*> broken;
  broken.swap(broken_);
  for (Connection* connection : broken)
    if (!connection->is_closing()) node_->peer_closed(now(), connection->session(), Hangup::kWhole);
  end_turn();  // as in on_timer()
}

void UvDriver::forget(Connection* connection) {
  std::erase(broken_, connection);
  loading_.remove(*connection);
}

// It may be told while libuv closes handles, which is behind the check handle.
void UvDriver::peer_closed(ConnectionId connection) {
  node_->peer_lost(now(), connection);
  end_turn_soon();
}

void UvDriver::shut_down(uint8_t shutdown_options) { node_->shutdown(now(), shutdown_options); }

void UvDriver::on_timer() {
  timer_at_us_ = kNever;
  node_->tick(now());
  end_turn();  // timers run before the loop waits, and the check handle only after it
}

// An idle callback: it runs before each poll, which then does not sleep.
void UvDriver::on_near_time() {
  if (read_steady_us() < near_at_us_) return;
  uv_idle_stop(&near_);
  near_at_us_ = kNever;
  node_->tick(now());
  end_turn();  // as in on_timer()
}

void UvDriver::on_disk() {
  for (auto& lane : lanes_) lane->take_replies(disk_replies_);
  for (DiskReply& reply : disk_replies_) node_->disk_reply(now(), std::move(reply));
  disk_replies_.clear();
}

// ---- outputs -----------------------------------------------------------------------------------------------

size_t UvDriver::send(void* connection, std::string_view bytes) {
  return static_cast<Connection*>(connection)->send(bytes);
}

void UvDriver::close(void* connection, CloseMode mode) { static_cast<Connection*>(connection)->close(mode); }

void UvDriver::set_reading(void* connection, bool wants_input) {
  static_cast<Connection*>(connection)->set_reading(wants_input);
}

std::optional<DiskReply> UvDriver::disk(DiskRequest&& request, DiskPlace place) {
  DiskLaneThread& lane = *lanes_[static_cast<size_t>(request.lane)];
  if (place == DiskPlace::kInline && lane.idle()) return lane.execute_inline(std::move(request));
  lane.queue(std::move(request));
  return std::nullopt;
}

// A timer that fires too early costs one turn; one that is set anew each turn costs in every turn.  So under load a later
// time leaves the timer as it is, and the early tick leads to the next call; a loop that rests between its turns has no turn to waste, and
// its timer follows.  What is near is work in small slices, which
// goes on behind whatever the sockets bring.  At least a millisecond: libuv runs a timer
// that is due at once again before it polls, so a time in the past would keep it from ever reading a socket.
void UvDriver::arm_timer(int64_t steady_us) {
  // A time before this turn is late anyway, and one that stays in the past must not keep the loop from sleeping.
  if (steady_us >= turn_now_.steady_us && steady_us - read_steady_us() <= kNearUs) {
    // Turns that follow each other closely must not put it off.
    if (near_at_us_ == kNever) uv_idle_start(&near_, call<uv_idle_t, &UvDriver::on_near_time>);
    near_at_us_ = std::min(near_at_us_, steady_us);
    return;
  }
  if (near_at_us_ != kNever) uv_idle_stop(&near_);
  near_at_us_ = kNever;
  if (steady_us == kNever) {
    if (timer_at_us_ != kNever) uv_timer_stop(&timer_);
    timer_at_us_ = kNever;
    return;
  }
  if (timer_at_us_ <= steady_us && (rested_us_ < kRestUs || timer_at_us_ == steady_us)) return;
  const int64_t wait_us = std::max<int64_t>(steady_us - turn_now_.steady_us, 1);
  timer_at_us_ = steady_us;
  uv_timer_start(&timer_, call<uv_timer_t, &UvDriver::on_timer>, static_cast<uint64_t>((wait_us + 999) / 1000), 0);
}

}  // namespace quorate

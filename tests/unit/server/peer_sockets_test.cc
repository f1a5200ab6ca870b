// Two nodes' peers over real sockets of one loop.
#include "server/peer_sockets.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "server/clock.h"
#include "util/check.h"

namespace quorate {
namespace {

class Loop {
 public:
  Loop() { CHECK(uv_loop_init(&loop_) == 0); }
  ~Loop() {
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0);
  }
  uv_loop_t& get() { return loop_; }
  // Runs until `what` is so; false if that takes ten seconds.
  bool run_until(const std::function<bool()>& what) {
    const int64_t end_us = read_steady_us() + 10'000'000;
    while (!what()) {
      if (read_steady_us() > end_us) return false;
      uv_run(&loop_, UV_RUN_NOWAIT);
    }
    return true;
  }

 private:
  uv_loop_t loop_{};
};

// A node with nothing but its connections.
class End : public PeerSocketsOwner {
 public:
  End(Loop& loop, uint64_t node) : sockets_(loop.get(), *this), peers_({.cluster = {'c'}, .partitions = 4, .node = node, .incarnation = 1}) {
    CHECK(uv_tcp_init(&loop.get(), &listener_) == 0);
    listener_.data = this;
    sockaddr_in any{};
    CHECK(uv_ip4_addr("127.0.0.1", 0, &any) == 0);
    CHECK(uv_tcp_bind(&listener_, reinterpret_cast<sockaddr*>(&any), 0) == 0);
    CHECK(uv_listen(reinterpret_cast<uv_stream_t*>(&listener_), 16, [](uv_stream_t* stream, int status) {
            if (status == 0) static_cast<End*>(stream->data)->sockets_.accept(stream);
          }) == 0);
  }
  PeerAddress address() {
    sockaddr_in own{};
    int size = sizeof own;
    CHECK(uv_tcp_getsockname(&listener_, reinterpret_cast<sockaddr*>(&own), &size) == 0);
    return {.host = "127.0.0.1", .port = ntohs(own.sin_port)};
  }
  void stop_listening() { uv_close(reinterpret_cast<uv_handle_t*>(&listener_), nullptr); }
  void stop() {
    if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&listener_)) == 0) stop_listening();
    sockets_.close_all();
  }

  ConnectionId peer_accepted(const PeerAddress& from) override {
    accepted_from = from;
    return peers_.accepted(now(), from);
  }
  void peer_dialled(ConnectionId connection) override { peers_.dialled(now(), connection); }
  void peer_received(ConnectionId connection, std::string_view bytes) override {
    peers_.received(now(), connection, bytes);
  }
  void peer_closed(ConnectionId connection) override {
    ++closed;
    peers_.closed(now(), connection);
  }

  void turn() {
    Peers::Incoming incoming;
    while (peers_.next(incoming)) received += incoming.message.bytes;
    peers_.tick(now());
    peers_.end_turn();
    PeersOutput output = std::move(peers_.output());
    peers_.output() = {};
    for (const auto& dial : output.dial) sockets_.dial(dial.connection, dial.address);
    for (const ConnectionId id : output.flush) sockets_.send(id, peers_.output_of(id));
    for (auto& close : output.close) sockets_.close(close.connection, close.last_words);
  }
  Peers& peers() { return peers_; }

  std::string received;
  int closed = 0;
  PeerAddress accepted_from;

 private:
  static Instant now() { return {.steady_us = read_steady_us(), .unix_ms = 0}; }
  PeerSockets sockets_;
  Peers peers_;
  uv_tcp_t listener_{};
};

TEST(PeerSockets, members_meet_and_talk) {
  Loop loop;
  End one(loop, 1);
  End two(loop, 2);
  const PeerTarget first{1, one.address()};
  const PeerTarget second{2, two.address()};
  one.peers().set_members({}, {&second, 1});
  two.peers().set_members({}, {&first, 1});
  const auto turn = [&] {
    one.turn();
    two.turn();
  };
  ASSERT_TRUE(loop.run_until([&] {
    turn();
    return one.peers().link(2, PeerLane::kData) != nullptr && two.peers().link(1, PeerLane::kBeats) != nullptr &&
           two.peers().link(1, PeerLane::kData) != nullptr;
  }));
  // Much more than a socket takes at once, in both directions.
  const std::string large(24 * 1024 * 1024, 'x');
  one.peers().link(2, PeerLane::kData)->add(20, large);
  // The same without a copy, so that it leaves in pieces.
  const SharedPart part{2, SharedBytes(std::string_view(large).substr(4))};
  two.peers().link(1, PeerLane::kData)->add(20, std::string_view("xxxx"), {&part, 1});
  EXPECT_TRUE(loop.run_until([&] {
    turn();
    return one.received.size() == large.size() && two.received.size() == large.size();
  }));
  EXPECT_EQ(one.received, large);
  EXPECT_EQ(two.accepted_from.host, "127.0.0.1");
  EXPECT_NE(two.accepted_from.port, 0);
  EXPECT_NE(two.accepted_from.port, one.address().port);
  one.stop();
  two.stop();
}

TEST(PeerSockets, a_failed_attempt_is_told_once_and_tried_again) {
  Loop loop;
  End one(loop, 1);
  End gone(loop, 2);
  const PeerTarget nobody{2, gone.address()};
  const PeerTarget nonsense{3, {.host = "no such host", .port = 1}};
  gone.stop();
  const PeerTarget both[] = {nobody, nonsense};
  one.peers().set_members({.steady_us = read_steady_us(), .unix_ms = 0}, both);
  ASSERT_TRUE(loop.run_until([&] {
    one.turn();
    return one.closed >= 8;
  }));
  one.stop();
}

TEST(PeerSockets, a_name_is_tried_at_each_of_its_addresses) {
  Loop loop;
  End one(loop, 1);
  End two(loop, 2);  // at 127.0.0.1 only; the name may mean ::1 first
  const PeerTarget second{2, {.host = "localhost", .port = two.address().port}};
  one.peers().set_members({.steady_us = read_steady_us(), .unix_ms = 0}, {&second, 1});
  EXPECT_TRUE(loop.run_until([&] {
    one.turn();
    two.turn();
    return one.peers().link(2, PeerLane::kData) != nullptr;
  }));
  one.stop();
  two.stop();
}

TEST(PeerSockets, the_end_of_one_side_is_told_to_the_other) {
  Loop loop;
  End one(loop, 1);
  auto two = std::make_unique<End>(loop, 2);
  const PeerTarget first{1, one.address()};
  const PeerTarget second{2, two->address()};
  one.peers().set_members({.steady_us = read_steady_us(), .unix_ms = 0}, {&second, 1});
  two->peers().set_members({.steady_us = read_steady_us(), .unix_ms = 0}, {&first, 1});
  ASSERT_TRUE(loop.run_until([&] {
    one.turn();
    two->turn();
    return one.peers().link(2, PeerLane::kData) != nullptr;
  }));
  two->stop();
  EXPECT_TRUE(loop.run_until([&] {
    one.turn();
    return one.closed > 0;
  }));
  EXPECT_EQ(one.peers().link(2, PeerLane::kData), nullptr);
  one.stop();
  // `two` is needed until libuv has closed its sockets.
  uv_run(&loop.get(), UV_RUN_DEFAULT);
}

}  // namespace
}  // namespace quorate

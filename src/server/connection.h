// One client's socket.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "node/effects.h"
#include "node/node.h"

namespace quorate {

class UvDriver;

// Owns one libuv stream; lives from accept() until the close callback, which frees it.  Kept lean: an idle
// connection is this, the node's session and what the kernel needs.
class Connection {
 public:
  // Accepts what waits at `listener`, which is at that door.  Null: it is gone again.
  static Connection* accept(UvDriver& driver, uv_stream_t* listener, ClientDoor door);

  // Before there is a node: reading only, the loading door answers.
  void start_loading();
  void start(Session* session);
  Session* session() const { return session_; }
  // What the node is told about the peer.
  PeerInfo peer_info();

  // See Driver.
  size_t send(std::string_view bytes);
  // Sends all of it at once or nothing more; false if that is not possible.
  bool send_now(std::string_view bytes);
  void close(CloseMode mode);
  void set_reading(bool wants_input);
  void set_keepalive(int64_t seconds);
  // A write failed: the driver tells the node at the start of a later turn.
  bool is_broken() const { return is_broken_; }
  bool is_closing() const { return is_closing_; }

 private:
  Connection(UvDriver& driver, bool is_unix_socket, ClientDoor door)
      : driver_(driver), is_unix_socket_(is_unix_socket), door_(door) {}
  ~Connection() = default;

  struct PendingWrite;
  static void on_alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buffer);
  static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer);
  static void on_written(uv_write_t* request, int status);
  static void on_closed(uv_handle_t* handle);
  void fail();

  uv_stream_t* stream() { return &handle_.stream; }

  UvDriver& driver_;
  Session* session_ = nullptr;  // null: closing, or there is no node yet
  bool is_unix_socket_;
  ClientDoor door_;
  bool is_reading_ = false;
  bool saw_end_ = false;
  bool is_broken_ = false;
  bool is_closing_ = false;
  uint32_t writes_under_way_ = 0;
  int fd_ = -1;  // the stream's
  uint64_t read_in_turn_ = 0;  // UvDriver::turn() of the last read
  union {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    uv_handle_t any;
  } handle_{};
};

}  // namespace quorate

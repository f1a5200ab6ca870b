// Sockets between nodes: dials, accepts, carries bytes.  Knows connections by the numbers of cluster/peers.h and nothing of what they
// say.
#pragma once

#include <uv.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/peers.h"
#include "util/buffer.h"
#include "util/outgoing.h"

namespace quorate {

// Who gets what the sockets bring.  Calls come from the loop, never from within a call of PeerSockets.
class PeerSocketsOwner {
 public:
  virtual ~PeerSocketsOwner() = default;
  // Somebody has connected from there: the number of the connection, 0 to refuse it.
  virtual ConnectionId peer_accepted(const PeerAddress& from) = 0;
  virtual void peer_dialled(ConnectionId connection) = 0;
  // `bytes` are borrowed for the call.
  virtual void peer_received(ConnectionId connection, std::string_view bytes) = 0;
  // Dialling failed, or the connection is gone.  Not told after close().
  virtual void peer_closed(ConnectionId connection) = 0;
};

// Owned by the server; all in the loop's thread.
class PeerSockets {
 public:
  PeerSockets(uv_loop_t& loop, PeerSocketsOwner& owner);
  ~PeerSockets();
  PeerSockets(const PeerSockets&) = delete;
  PeerSockets& operator=(const PeerSockets&) = delete;

  // A listener has a connection waiting.
  void accept(uv_stream_t* listener);
  // Connects to an address or name; peer_dialled or peer_closed follows.  A name with several addresses: the next attempt takes the next.
  void dial(ConnectionId connection, const PeerAddress& address);
  // Sends all of `bytes`, and empties it; what the socket does not take at once is kept here.  Ignored if the connection is gone.
  void send(ConnectionId connection, Outgoing& bytes);
  // Bytes that wait to be sent on it.
  size_t unsent(ConnectionId connection) const;
  // Sends the last words if the socket takes them at once, and closes.
  void close(ConnectionId connection, Buffer& last_words);
  // Closes everything; run the loop once more afterwards.
  void close_all();

 private:
  class Socket;
  friend class Socket;
  Socket* find(ConnectionId connection) const;
  // The socket reports that it is at its end.
  void lost(ConnectionId connection);
  size_t failed_attempts(const std::string& host) const;

  static constexpr size_t kReadBufferBytes = 256 * 1024;

  uv_loop_t& loop_;
  PeerSocketsOwner& owner_;
  std::map<ConnectionId, Socket*> sockets_;  // open ones; a closed one frees itself when libuv is done with it
  std::map<std::string, size_t> failed_;     // hosts that could not be reached: how often since they were; members and seeds, so few
  std::vector<char> read_buffer_;
};

}  // namespace quorate

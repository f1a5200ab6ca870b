// Where the output of a session goes: a client's connection, or the link that its commands came over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace quorate {

enum class CloseMode : uint8_t {
  kGraceful,  // everything sent has left already: close the socket
  kAbort,     // drop what is still being sent
};

// No method may call back into the Node.  `connection` is PeerInfo::connection.
class SessionDriver {
 public:
  virtual ~SessionDriver() = default;

  // Sends `bytes`: returns how many left at once (uv_try_write).  The rest is being sent by the driver; the bytes
  // stay where they are until it has reported all of them by Node::sent(), or the connection is closed.
  // A failure is reported as everything sent, followed by Node::peer_closed(kWhole) in a later turn.
  virtual size_t send(void* connection, std::string_view bytes) = 0;
  // Closes the connection.  The session is gone when this returns.
  virtual void close(void* connection, CloseMode mode) = 0;
  // Node::wants_input() has changed for this connection.
  virtual void set_reading(void* connection, bool wants_input) = 0;
};

}  // namespace quorate

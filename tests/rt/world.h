// Where a script runs: something that takes bytes of clients and answers with bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace quorate::rt {

enum class Received : uint8_t { kBytes, kNothing, kClosed };

// One server as its clients see it.  Lives for one script; begins with empty databases or is emptied by the runner.
class World {
 public:
  virtual ~World() = default;

  // "inprocess", "socket" or "redis"; what `world` marks name.
  virtual std::string_view name() const = 0;

  // A new connection; its number stays valid until disconnect().  -1: it was refused.
  virtual int connect() = 0;
  // Returns when the server knows: what others do next does not meet the client any more.
  virtual void disconnect(int connection) = 0;
  // Gives the server all of `bytes`.
  virtual void send(int connection, std::string_view bytes) = 0;
  // Appends to `bytes` what the server has answered; waits for the first byte for at most `patience_ms`.
  virtual Received receive(int connection, int64_t patience_ms, std::string& bytes) = 0;

  // Returns when the server has taken in what was sent on `connection` although it has not answered: the command
  // is blocked.  False: it is not, as far as can be seen.
  virtual bool wait_until_blocked(int connection) = 0;

  // The server's wall clock.
  virtual int64_t now_ms() = 0;
  // Lets time pass.  False: this world cannot, the rest of the block is skipped.
  virtual bool advance(int64_t duration_ms) = 0;
  // Ends the server as SIGTERM does and starts it again on the same data.  All connections are gone.  False: cannot.
  virtual bool restart() = 0;
};

// A server that listens on 127.0.0.1:port.  Null, and `error` says why, if it does not answer.
std::unique_ptr<World> connect_socket_world(std::string name, int port, std::string& error);

// A node in this process, its disk and its time simulated.  Null if there is none in this tree.
std::unique_ptr<World> make_inprocess_world();

}  // namespace quorate::rt

// Listening sockets: one for each address of `bind`, and a Unix socket.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/process_settings.h"
#include "util/result.h"

namespace quorate {

// Where to listen with TCP: a port (0: nowhere) at each address.
struct TcpPlaces {
  std::span<const std::string> bind;
  int64_t port = 0;
  int64_t backlog = 0;
};
TcpPlaces places_for_clients(const ProcessSettings& settings);
TcpPlaces places_for_cluster_clients(const ProcessSettings& settings);
TcpPlaces places_for_peers(const ProcessSettings& settings);

// Owned by the service.  Calls: open_tcp and open_unix at start (connections queue in the kernel), attach, then open_tcp
// again for CONFIG SET port and bind, close_all at the end.
class Listeners {
 public:
  // A connection waits to be accepted from the stream.
  using OnConnection = std::function<void(uv_stream_t* listener)>;

  explicit Listeners(uv_loop_t& loop);
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // Listens at these places only; what is open already stays open.  On failure nothing has changed, and the detail says
  // which address and why.  Addresses that begin with "-" may be unavailable.
  Status open_tcp(const TcpPlaces& places);
  Status open_unix(const ProcessSettings& settings);
  // From here on connections are handed over.
  void attach(OnConnection on_connection);
  void close_all();
  // "127.0.0.1:7001", one for each.
  std::vector<std::string> addresses() const;

 private:
  struct Listener;
  static void on_waiting(uv_stream_t* stream, int status);
  static void close(std::unique_ptr<Listener> listener);
  Result<std::vector<std::unique_ptr<Listener>>> listen_at(std::string_view address, int64_t port, int64_t backlog);

  uv_loop_t& loop_;
  OnConnection on_connection_;
  std::vector<std::unique_ptr<Listener>> tcp_;
  std::unique_ptr<Listener> unix_;
};

}  // namespace quorate

// The sockets that clients connect to: one for each address of `bind`, and the Unix socket.
#pragma once

#include <uv.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "node/process_settings.h"
#include "util/result.h"

namespace quorate {

class UvDriver;

// Owned by main.  Calls: open_tcp and open_unix at start (connections queue in the kernel), attach, then reopen_tcp
// for CONFIG SET port and bind, close_all at the end.
class Listeners {
 public:
  explicit Listeners(uv_loop_t& loop);
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // Listens where the settings say; what is open and still wanted stays open.  On failure nothing has changed, and
  // the detail says which address and why.  Addresses that begin with "-" may be unavailable.
  Status open_tcp(const ProcessSettings& settings);
  Status open_unix(const ProcessSettings& settings);
  // From here on connections are given to the driver.
  void attach(UvDriver& driver);
  void close_all();
  // "127.0.0.1:7001", one for each.
  std::vector<std::string> addresses() const;

 private:
  struct Listener;
  static void on_connection(uv_stream_t* stream, int status);
  static void close(std::unique_ptr<Listener> listener);
  Result<std::vector<std::unique_ptr<Listener>>> listen_at(std::string_view address, int64_t port, int64_t backlog);

  uv_loop_t& loop_;
  UvDriver* driver_ = nullptr;
  std::vector<std::unique_ptr<Listener>> tcp_;
  std::unique_ptr<Listener> unix_;
};

}  // namespace quorate

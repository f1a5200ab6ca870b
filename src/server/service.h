// A server at work: the loop with its sockets, disks and signals around a node, from loading to the end.
#pragma once

#include <uv.h>

#include <array>
#include <memory>
#include <string>

#include "node/node.h"
#include "persist/disk.h"
#include "server/daemon.h"
#include "server/listeners.h"
#include "server/process.h"
#include "server/server_log.h"
#include "server/signals.h"
#include "server/uv_driver.h"
#include "util/result.h"

namespace quorate {

// Owned by Server::serve.  Calls must match: listen run.
class Service {
 public:
  struct Parts {
    ProcessSettings& settings;
    ServerLog& log;
    Process& process;
    const ServiceManager& service_manager;
    std::array<std::unique_ptr<Disk>, kDiskLaneCount> disks;
    std::unique_ptr<Disk> recovery_disk;
    std::unique_ptr<Node> node;
  };
  explicit Service(Parts parts);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Opens the sockets.  Who connects is answered from run() on.
  Status listen();
  // Loads the data, serves until the node ends, and returns the exit code.
  int run();
  // The node of the directory is no more, and run() has ended before it served: another one is to begin.
  bool has_retired() const { return has_retired_; }

 private:
  Status load();
  void on_end_signal(int signal_number);
  void close();
  void start_watchdog();

  Parts parts_;
  uv_loop_t loop_{};
  Listeners client_listeners_;
  Listeners cluster_client_listeners_;
  Listeners peer_listeners_;
  UvDriver driver_;
  Signals signals_;
  uv_timer_t watchdog_{};
  bool is_loaded_ = false;
  bool has_retired_ = false;
  bool is_ending_ = false;
  int exit_code_ = 0;
};

}  // namespace quorate

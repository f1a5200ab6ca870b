// How a Unix service behaves: going into the background, the pid file, the service manager, crashes.
#pragma once

#include <string>
#include <string_view>

#include "node/process_settings.h"
#include "util/result.h"

namespace quorate {

// Leaves the terminal: the parent exits 0, the child goes on.  Requires: no thread was started yet.
Status go_into_background();
// Standard input, output and error to /dev/null, or the last two to `log_file` (absolute) if there is one.
void drop_standard_streams(const std::string& log_file);

Status write_pid_file(const std::string& path);

// The service manager (systemd's datagram to $NOTIFY_SOCKET).  Without one, every call does nothing.
class ServiceManager {
 public:
  // Reads the environment as the settings allow.
  explicit ServiceManager(Supervision supervision);
  bool is_present() const { return !socket_path_.empty(); }
  void tell(std::string_view message) const;  // "READY=1", "STATUS=..."
  // Milliseconds between signs of life; 0: none are wanted.
  int64_t watchdog_interval_ms() const { return watchdog_interval_ms_; }

 private:
  std::string socket_path_;
  int64_t watchdog_interval_ms_ = 0;
};

// On SIGSEGV and the like: a stack trace to the log file (absolute; empty: standard output), then death by that
// signal, with a core if the system allows one.
void install_crash_handler(const std::string& log_file);

}  // namespace quorate

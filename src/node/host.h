// What the process around a node does for it and tells it.  The server implements it with the operating
// system, the simulator and the tests with a stand-in.  The one door from the pure core to process matters that
// must be answered within a command (CONFIG SET port, CONFIG REWRITE, INFO, SHUTDOWN).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "node/process_settings.h"
#include "util/memory.h"
#include "util/result.h"

namespace quorate {

// Facts about the process that INFO tells.
struct ProcessFacts {
  int64_t process_id = 0;
  std::string executable;
  std::string config_file;         // empty: started without one
  std::string operating_system;    // "Linux 6.1.0 x86_64"
  std::string supervised = "no";
  std::string event_api = "epoll";
  uint64_t resident_bytes = 0;
  uint64_t allocator_active = 0;   // 0 = not known
  uint64_t allocator_resident = 0;
  uint64_t system_memory_bytes = 0;
  int64_t cpu_user_us = 0;
  int64_t cpu_system_us = 0;
  int64_t cpu_user_main_us = 0;    // of the loop's thread
  int64_t cpu_system_main_us = 0;
  uint64_t rejected_connections = 0;
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t reads = 0;              // system calls that brought bytes
  uint64_t writes = 0;
};

enum class ProcessEnd : uint8_t {
  kOrderly,  // what was to be on disk is there: exit code 0
  kFailed,   // going on would be wrong (a sync failed): exit code 1
};

class Host {
 public:
  virtual ~Host() = default;

  // The named settings have new values (already stored in the settings structs).  An error is the reason why that cannot
  // be ("Failed to bind to specified addresses."); the caller then puts the old values back and calls again.
  virtual Status settings_changed(std::span<const std::string_view> names) = 0;

  // Writes the running settings into the configuration file, atomically.  kUnsupported: there is no file.
  virtual Status rewrite_config() = 0;

  virtual ProcessFacts facts() = 0;

  // What maxmemory limits.  Several nodes of one process, in tests, have a measure of their own.
  virtual uint64_t used_memory() { return mem_used(); }

  // One line for the log; lower case, "fact -> decision".
  virtual void log(LogLevel level, std::string_view line) = 0;

  // The node has nothing more to do: the process ends after this turn.
  virtual void end_process(ProcessEnd end) = 0;
};

}  // namespace quorate

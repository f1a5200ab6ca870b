// The settings that only the process around a node obeys (sockets, log file, signals), by their Redis names.
// They live here and not in src/server because CONFIG reads and checks all settings with one table.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace quorate {

enum class LogLevel : uint8_t { kDebug, kVerbose, kNotice, kWarning };
enum class LogFormat : uint8_t { kLegacy, kLogfmt };
enum class LogTimestamps : uint8_t { kLegacy, kIso8601, kMilliseconds };
enum class Supervision : uint8_t { kNo, kUpstart, kSystemd, kAuto };
enum class OomScoreMode : uint8_t { kNo, kRelative, kAbsolute };

// Bits of shutdown-on-sigterm and shutdown-on-sigint; 0 = default.
enum ShutdownOption : uint8_t {
  kShutdownSave = 1,
  kShutdownNoSave = 2,
  kShutdownNow = 4,
  kShutdownForce = 8,
};

// cluster-port and cluster-client-port: so far above `port` as node/own_member.h says.
constexpr int64_t kPortAuto = -1;

struct ProcessSettings {
  // ---- listening: may change while running -------------------------------------------------------
  int64_t port = 7001;             // 0 = no TCP
  std::vector<std::string> bind;   // "-addr": may be missing on this machine; "*" = every address
  int64_t tcp_keepalive = 300;     // seconds; 0 = off
  int64_t maxclients = 10000;

  // ---- fixed at start ------------------------------------------------------------------------------
  std::string unixsocket;
  int64_t unixsocketperm = 0;      // 0 = as the umask says
  int64_t tcp_backlog = 511;
  int64_t cluster_port = kPortAuto;         // of other nodes; 0 = none, so never company
  int64_t cluster_client_port = kPortAuto;  // of cluster-aware clients; 0 = none
  std::string machine_address;     // no setting: an address of this machine, if bind names none (needs_machine_address)
  std::string dir;                 // as given; the server makes it absolute
  std::string logfile;             // empty = standard output
  std::string pidfile;
  bool daemonize = false;
  Supervision supervised = Supervision::kNo;
  bool crash_log = true;
  bool disable_thp = true;         // the first touch of a huge page takes milliseconds
  LogFormat log_format = LogFormat::kLegacy;
  LogTimestamps log_timestamps = LogTimestamps::kLegacy;

  // ---- may change while running ----------------------------------------------------------------------
  LogLevel loglevel = LogLevel::kNotice;
  uint8_t shutdown_on_sigterm = 0;
  uint8_t shutdown_on_sigint = 0;
  int64_t shutdown_timeout = 10;   // seconds
  std::string cluster_announce_ip;       // what others are told instead of what is bound; empty, 0 = that
  std::string cluster_announce_hostname;
  int64_t cluster_announce_port = 0;
  int64_t cluster_announce_bus_port = 0;
  int64_t cluster_announce_client_port = 0;
  OomScoreMode oom_score_adj = OomScoreMode::kNo;
  std::array<int64_t, 3> oom_score_adj_values{0, 200, 800};
};

}  // namespace quorate

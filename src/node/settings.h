// The settings that a node obeys, by their Redis names (or ours, where Redis has none).  What the store obeys is in
// store/settings.h, what only the process around it obeys in node/process_settings.h; config_table.cc maps CONFIG
// onto all three.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "node/levels.h"

namespace quorate {

enum class FsyncPolicy : uint8_t { kEverySecond, kAlways, kNo };

// log-repair: what a start does that finds its log damaged where something acknowledged may stand.
enum class LogRepair : uint8_t {
  kRefuse,  // it refuses
  kCut,     // a lone node goes on with what comes before; a member of a cluster refuses
  kRejoin,  // a member that the others can do without becomes another one; any other, and a lone node, refuses
};

// Who may use DEBUG, or change a protected setting.
enum class EnableFor : uint8_t { kNo, kYes, kLocal };

// client-output-buffer-limit
enum class ClientClass : uint8_t { kNormal, kReplica, kPubsub };
struct OutputLimit {
  uint64_t hard = 0;          // bytes; 0 = none
  uint64_t soft = 0;
  int64_t soft_seconds = 0;
};

// cluster-redirect: what clients that know the cluster are told.
enum class ClusterRedirect : uint8_t {
  kAuto,       // the ports of cluster-client-port, which answer MOVED
  kNobody,     // never: the main ports, which don't
  kEverybody,  // always: the main ports, and those answer MOVED too
};

struct SavePoint {
  int64_t seconds = 0;
  int64_t changes = 0;
};

struct NodeSettings {
  // ---- fixed at start ------------------------------------------------------------------------------
  int64_t databases = 16;
  int64_t partitions = 128;
  EnableFor enable_debug_command = EnableFor::kNo;
  EnableFor enable_protected_configs = EnableFor::kNo;
  std::vector<std::string> join;  // members of the cluster to enter: node/own_member.h

  // ---- clients ---------------------------------------------------------------------------------------
  int64_t timeout = 0;  // seconds a client may be idle; 0 = for ever
  bool protected_mode = true;
  std::string requirepass;
  std::string masterauth;  // what nodes prove to each other that they know; empty: nothing
  uint64_t client_query_buffer_limit = 1024ULL * 1024 * 1024;
  std::array<OutputLimit, 3> output_limits{  // by ClientClass
      OutputLimit{}, OutputLimit{256ULL << 20, 64ULL << 20, 60}, OutputLimit{32ULL << 20, 8ULL << 20, 60}};

  // ---- durability --------------------------------------------------------------------------------------
  bool appendonly = true;
  FsyncPolicy appendfsync = FsyncPolicy::kEverySecond;
  LogRepair log_repair = LogRepair::kRefuse;
  std::vector<SavePoint> save;
  std::string dbfilename = "dump.rdb";
  bool stop_writes_on_bgsave_error = true;
  bool rdb_checksum = true;
  int64_t auto_aof_rewrite_percentage = 100;
  uint64_t auto_aof_rewrite_min_size = 64ULL << 20;

  // ---- events, slow log, latency -----------------------------------------------------------------------
  uint16_t notify_keyspace_events = 0;   // bits of EventClass, and:
  bool notify_keyspace = false;          // K
  bool notify_keyevent = false;          // E
  int64_t slowlog_log_slower_than = 10'000;  // microseconds; -1 = never
  int64_t slowlog_max_len = 128;
  int64_t latency_monitor_threshold = 0;     // milliseconds; 0 = off
  bool latency_tracking = true;
  std::vector<double> latency_tracking_info_percentiles;

  // ---- background work -----------------------------------------------------------------------------------
  int64_t hz = 10;

  // ---- followers (SYNC, PSYNC) ---------------------------------------------------------------------------
  int64_t repl_ping_replica_period = 10;  // seconds
  int64_t repl_timeout = 60;              // seconds without a sign of life

  // ---- the cluster ---------------------------------------------------------------------------------------
  std::string zone;               // copies of a partition are spread over zones
  int64_t node_weight = 100;      // this node's share of copies and leaders, beside those of the others
  int64_t replication_n = 3;
  WriteLevel write_quorum{WriteLevel::kQuorum};
  ReadLevel read_quorum{.kind = ReadLevel::Kind::kLease};
  std::vector<QuorumPolicy> quorum_policies;
  // Beyond that nothing is acknowledged before it is committed.
  int64_t max_unacked_ms = 1'000;
  int64_t min_zones = 0;            // in which there are copies of what is acknowledged
  uint64_t max_unacked_bytes = 64ULL << 20;
  uint64_t max_state_bytes = 4ULL << 30;
  uint64_t max_uncommitted_bytes = 256ULL << 20;  // beyond that nothing more is executed
  int64_t request_timeout_ms = 5'000;
  uint64_t cluster_request_limit = 128ULL << 20;  // of one request, in company: what it changes goes to other nodes as one message
  ClusterRedirect cluster_redirect = ClusterRedirect::kAuto;
};

}  // namespace quorate

// The table of settings: every name, type, default and bound, and where the value goes.  Names, defaults and bounds of
// Redis' settings were compared with a real redis-server 7.0.15 (tests/server/config_compare.py).
#include <algorithm>
#include <type_traits>

#include "cluster/placement.h"
#include "cluster/ring.h"
#include "node/config.h"
#include "node/config_values.h"

namespace quorate {

namespace {

template <class Struct>
Struct& pick(SettingTargets& targets) {
  if constexpr (std::is_same_v<Struct, StoreSettings>) return targets.store;
  if constexpr (std::is_same_v<Struct, NodeSettings>) return targets.node;
  if constexpr (std::is_same_v<Struct, ProcessSettings>) return targets.process;
}

template <class Struct, class Field>
Struct owner_of(Field Struct::*);

// Assigns to a member of one of the three structs, whatever its type.
template <auto Member>
void to(SettingTargets& targets, const SettingValue& value) {
  auto& field = pick<decltype(owner_of(Member))>(targets).*Member;
  using Field = std::remove_reference_t<decltype(field)>;
  if constexpr (std::is_same_v<Field, std::string>) {
    field = value.text;
  } else if constexpr (std::is_same_v<Field, bool>) {
    field = value.number != 0;
  } else {
    field = static_cast<Field>(value.number);
  }
}

void to_eviction_policy(SettingTargets& targets, const SettingValue& value) {
  constexpr EvictionPolicy kByChoice[] = {
      EvictionPolicy::kVolatileLru, EvictionPolicy::kVolatileLfu, EvictionPolicy::kVolatileRandom,
      EvictionPolicy::kVolatileTtl, EvictionPolicy::kAllKeysLru,  EvictionPolicy::kAllKeysLfu,
      EvictionPolicy::kAllKeysRandom, EvictionPolicy::kNoEviction};
  targets.store.maxmemory_policy = kByChoice[value.number];
}

void to_fsync(SettingTargets& targets, const SettingValue& value) {
  constexpr FsyncPolicy kByChoice[] = {FsyncPolicy::kEverySecond, FsyncPolicy::kAlways, FsyncPolicy::kNo};
  targets.node.appendfsync = kByChoice[value.number];
}

void to_log_repair(SettingTargets& targets, const SettingValue& value) {
  constexpr LogRepair kByChoice[] = {LogRepair::kRefuse, LogRepair::kCut, LogRepair::kRejoin};
  targets.node.log_repair = kByChoice[value.number];
}

void to_rdb_version(SettingTargets& targets, const SettingValue& value) {
  targets.store.rdb_version = value.number == 0 ? 10 : 11;
}

void to_cluster_redirect(SettingTargets& targets, const SettingValue& value) {
  constexpr ClusterRedirect kByChoice[] = {ClusterRedirect::kAuto, ClusterRedirect::kNobody, ClusterRedirect::kEverybody};
  targets.node.cluster_redirect = kByChoice[value.number];
}

void to_oom_mode(SettingTargets& targets, const SettingValue& value) {
  constexpr OomScoreMode kByChoice[] = {OomScoreMode::kNo, OomScoreMode::kRelative, OomScoreMode::kRelative,
                                        OomScoreMode::kAbsolute};
  targets.process.oom_score_adj = kByChoice[value.number];
}

Status clamp_hz(SettingValue& value) {
  value.number = std::clamp<int64_t>(value.number, 1, 500);
  value.text = std::to_string(value.number);
  return done();
}

Status check_power_of_two(SettingValue& value) {
  if ((value.number & (value.number - 1)) == 0) return done();
  return Error(ErrorCode::kInvalidArgument, "argument must be a power of two");
}

Status check_dead_after(SettingValue& value) {
  if (value.number == 0 || value.number >= 1000) return done();
  return Error(ErrorCode::kInvalidArgument, "argument must be 0 or at least 1000");
}

Status check_file_name(SettingValue& value) {
  if (!value.text.empty() && value.text.find('/') == std::string::npos) return done();
  return Error(ErrorCode::kInvalidArgument, value.text.empty() ? "a file name can't be empty"
                                                               : "dbfilename can't be a path, just a filename");
}

// Nobody needs more, and the key that is made of it is made within a turn.
Status check_masterauth(SettingValue& value) {
  constexpr size_t kSizeMax = 4096;
  if (value.text.size() <= kSizeMax) return done();
  return Error(ErrorCode::kInvalidArgument, "argument is longer than 4096 bytes");
}

constexpr size_t kNameSizeMax = 255;

// What stands in lines that others take apart at blanks.
Status check_one_word(const SettingValue& value, std::string_view reason) {
  const bool is_word = std::all_of(value.text.begin(), value.text.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (is_word && value.text.size() <= kNameSizeMax) return done();
  return Error(ErrorCode::kInvalidArgument, std::string(reason));
}

Status check_zone(SettingValue& value) {
  return check_one_word(value, "a zone is named by one word of less than 256 characters");
}

Status check_announced_ip(SettingValue& value) {
  return check_one_word(value, "an address is one word of less than 256 characters");
}

Status check_hostname(SettingValue& value) {
  if (value.text.size() > kNameSizeMax)
    return Error(ErrorCode::kInvalidArgument, "Hostnames must be less than 256 characters");
  const bool is_name = std::all_of(value.text.begin(), value.text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
  if (is_name) return done();
  return Error(ErrorCode::kInvalidArgument, "Hostnames may only contain alphanumeric characters, hyphens or dots");
}

constexpr int64_t kInt32Max = INT32_MAX;
constexpr int64_t kPortMax = 65535;
constexpr int64_t kMiB = 1024 * 1024;
// Half of what one message between nodes holds: the other half is for what names it.
constexpr int64_t kRequestMost = int64_t{256} << 20;
constexpr std::string_view kNoTls = "TLS is not part of this version";

using enum SettingType;

constexpr Setting kTable[] = {
    // ---- ours -------------------------------------------------------------------------------------------
    {.name = "replication-n", .type = kInt, .initial = "3", .least = 1, .most = placement::kReplicationMax,
     .is_cluster_wide = true, .assign = to<&NodeSettings::replication_n>},
    {.name = "write-quorum", .type = kSpecial, .initial = "quorum", .is_cluster_wide = true,
     .normalize = normalize_write_level, .assign = assign_write_level},
    {.name = "read-quorum", .type = kSpecial, .initial = "lease", .is_cluster_wide = true,
     .normalize = normalize_read_level, .assign = assign_read_level},
    {.name = "partitions", .type = kInt, .initial = "128", .least = 1, .most = 16384, .immutable = true,
     .check = check_power_of_two, .assign = to<&NodeSettings::partitions>},
    {.name = "threads", .type = kEnum, .initial = "auto", .choices = "auto, 1", .immutable = true},
    {.name = "zone", .check = check_zone, .assign = to<&NodeSettings::zone>},
    {.name = "node-weight", .type = kInt, .initial = "100", .least = 1, .most = placement::kWeightMax,
     .assign = to<&NodeSettings::node_weight>},
    {.name = "join", .type = kSpecial, .immutable = true, .many_words = true, .normalize = normalize_join,
     .assign = assign_join},
    {.name = "http-port", .type = kInt, .initial = "0", .most = kPortMax, .immutable = true,
     .refusal = "the HTTP service is not part of this version"},
    {.name = "max-unacked-ms", .type = kInt, .initial = "1000", .most = kInt32Max, .is_cluster_wide = true,
     .assign = to<&NodeSettings::max_unacked_ms>},
    {.name = "max-unacked-bytes", .type = kMemory, .initial = "67108864", .is_cluster_wide = true,
     .assign = to<&NodeSettings::max_unacked_bytes>},
    {.name = "max-state-bytes", .type = kMemory, .initial = "4294967296", .least = kMiB,
     .assign = to<&NodeSettings::max_state_bytes>},
    {.name = "max-uncommitted-bytes", .type = kMemory, .initial = "268435456", .least = kMiB,
     .assign = to<&NodeSettings::max_uncommitted_bytes>},
    {.name = "commit-quorum", .type = kInt, .initial = "0", .most = 8, .is_cluster_wide = true},
    {.name = "min-zones", .type = kInt, .initial = "0", .most = 16, .is_cluster_wide = true,
     .assign = to<&NodeSettings::min_zones>},
    {.name = "quorum-policy", .type = kSpecial, .is_cluster_wide = true, .many_words = true, .adds_up = true,
     .normalize = normalize_policies, .assign = assign_policies},
    {.name = "cluster-redirect", .type = kEnum, .initial = "auto", .choices = "auto, never, always",
     .is_cluster_wide = true, .assign = to_cluster_redirect},
    {.name = "cluster-client-port", .type = kSpecial, .initial = "auto", .immutable = true,
     .normalize = normalize_port_or_auto, .assign = assign_cluster_client_port},
    {.name = "cluster-announce-client-port", .type = kInt, .initial = "0", .most = kPortMax,
     .assign = to<&ProcessSettings::cluster_announce_client_port>},
    {.name = "request-timeout-ms", .type = kInt, .initial = "5000", .least = 1, .most = kInt32Max,
     .assign = to<&NodeSettings::request_timeout_ms>},
    {.name = "cluster-request-limit", .type = kMemory, .initial = "134217728", .least = kMiB, .most = kRequestMost,
     .assign = to<&NodeSettings::cluster_request_limit>},
    {.name = "node-dead-after", .type = kInt, .initial = "600000", .most = kInt32Max, .is_cluster_wide = true,
     .check = check_dead_after},
    {.name = "state-check-seconds", .type = kInt, .initial = "3600", .most = kInt32Max, .is_cluster_wide = true},
    {.name = "rdb-version", .type = kEnum, .initial = "10", .choices = "10, 11", .assign = to_rdb_version},

    // ---- network ------------------------------------------------------------------------------------------
    {.name = "port", .type = kInt, .initial = "7001", .most = kPortMax, .assign = to<&ProcessSettings::port>},
    {.name = "bind", .type = kSpecial, .initial = "127.0.0.1 -::1", .many_words = true,
     .normalize = normalize_bind, .assign = assign_bind},
    {.name = "bind-source-addr", .has_no_effect = true},
    {.name = "unixsocket", .immutable = true, .assign = to<&ProcessSettings::unixsocket>},
    {.name = "unixsocketperm", .type = kOctal, .initial = "0", .most = 0777, .immutable = true,
     .assign = to<&ProcessSettings::unixsocketperm>},
    {.name = "tcp-backlog", .type = kInt, .initial = "511", .most = kInt32Max, .immutable = true,
     .assign = to<&ProcessSettings::tcp_backlog>},
    {.name = "tcp-keepalive", .type = kInt, .initial = "300", .most = kInt32Max,
     .assign = to<&ProcessSettings::tcp_keepalive>},
    {.name = "timeout", .type = kInt, .initial = "0", .most = kInt32Max, .assign = to<&NodeSettings::timeout>},
    {.name = "maxclients", .type = kInt, .initial = "10000", .least = 1, .most = UINT32_MAX,
     .assign = to<&ProcessSettings::maxclients>},
    {.name = "protected-mode", .type = kBool, .initial = "yes", .assign = to<&NodeSettings::protected_mode>},
    {.name = "socket-mark-id", .type = kInt, .initial = "0", .most = UINT32_MAX, .immutable = true,
     .has_no_effect = true},
    {.name = "max-new-connections-per-cycle", .type = kInt, .initial = "10", .least = 1, .most = 1000,
     .has_no_effect = true},

    // ---- process ------------------------------------------------------------------------------------------
    {.name = "daemonize", .type = kBool, .initial = "no", .immutable = true,
     .assign = to<&ProcessSettings::daemonize>},
    {.name = "supervised", .type = kEnum, .initial = "no", .choices = "no, upstart, systemd, auto",
     .immutable = true, .assign = to<&ProcessSettings::supervised>},
    {.name = "pidfile", .immutable = true, .assign = to<&ProcessSettings::pidfile>},
    {.name = "loglevel", .type = kEnum, .initial = "notice", .choices = "debug, verbose, notice, warning",
     .assign = to<&ProcessSettings::loglevel>},
    {.name = "logfile", .immutable = true, .assign = to<&ProcessSettings::logfile>},
    {.name = "log-format", .type = kEnum, .initial = "legacy", .choices = "legacy, logfmt",
     .assign = to<&ProcessSettings::log_format>},
    {.name = "log-timestamp-format", .type = kEnum, .initial = "legacy",
     .choices = "legacy, iso8601, milliseconds", .assign = to<&ProcessSettings::log_timestamps>},
    {.name = "syslog-enabled", .type = kBool, .initial = "no", .immutable = true, .has_no_effect = true},
    {.name = "syslog-ident", .initial = "quorate", .immutable = true, .has_no_effect = true},
    {.name = "syslog-facility", .type = kEnum, .initial = "local0",
     .choices = "user, local0, local1, local2, local3, local4, local5, local6, local7", .immutable = true,
     .has_no_effect = true},
    {.name = "crash-log-enabled", .type = kBool, .initial = "yes", .assign = to<&ProcessSettings::crash_log>},
    {.name = "crash-memcheck-enabled", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "oom-score-adj", .type = kEnum, .initial = "no", .choices = "no, yes, relative, absolute",
     .assign = to_oom_mode},
    {.name = "oom-score-adj-values", .type = kSpecial, .initial = "0 200 800", .many_words = true,
     .normalize = normalize_oom_values, .assign = assign_oom_values},
    {.name = "disable-thp", .type = kBool, .initial = "yes", .immutable = true,
     .assign = to<&ProcessSettings::disable_thp>},
    {.name = "shutdown-timeout", .type = kInt, .initial = "10", .most = kInt32Max,
     .assign = to<&ProcessSettings::shutdown_timeout>},
    {.name = "shutdown-on-sigint", .type = kSpecial, .initial = "default", .many_words = true,
     .normalize = normalize_shutdown_options, .assign = assign_shutdown_on_sigint},
    {.name = "shutdown-on-sigterm", .type = kSpecial, .initial = "default", .many_words = true,
     .normalize = normalize_shutdown_options, .assign = assign_shutdown_on_sigterm},
    {.name = "always-show-logo", .type = kBool, .initial = "no", .immutable = true, .has_no_effect = true},
    {.name = "set-proc-title", .type = kBool, .initial = "yes", .immutable = true, .has_no_effect = true},
    {.name = "proc-title-template", .type = kSpecial, .initial = "{title} {listen-addr} {server-mode}",
     .has_no_effect = true, .normalize = normalize_title_template},
    {.name = "io-threads", .type = kInt, .initial = "1", .least = 1, .most = 128, .immutable = true,
     .has_no_effect = true},
    {.name = "io-threads-do-reads", .type = kBool, .initial = "no", .immutable = true, .has_no_effect = true},
    {.name = "server_cpulist", .alias = "server-cpulist", .immutable = true, .has_no_effect = true},
    {.name = "bio_cpulist", .alias = "bio-cpulist", .immutable = true, .has_no_effect = true},
    {.name = "aof_rewrite_cpulist", .alias = "aof-rewrite-cpulist", .immutable = true, .has_no_effect = true},
    {.name = "bgsave_cpulist", .alias = "bgsave-cpulist", .immutable = true, .has_no_effect = true},
    {.name = "ignore-warnings", .has_no_effect = true},
    {.name = "locale-collate", .has_no_effect = true},

    // ---- security -----------------------------------------------------------------------------------------
    {.name = "requirepass", .assign = to<&NodeSettings::requirepass>},
    {.name = "masterauth", .check = check_masterauth, .assign = to<&NodeSettings::masterauth>},
    {.name = "masteruser", .has_no_effect = true},
    {.name = "aclfile", .immutable = true, .refusal = "access control lists are not part of this version"},
    {.name = "acl-pubsub-default", .type = kEnum, .initial = "resetchannels",
     .choices = "allchannels, resetchannels", .has_no_effect = true},
    {.name = "acllog-max-len", .type = kInt, .initial = "128", .has_no_effect = true},
    {.name = "enable-debug-command", .type = kEnum, .initial = "no", .choices = "no, yes, local",
     .immutable = true, .assign = to<&NodeSettings::enable_debug_command>},
    {.name = "enable-protected-configs", .type = kEnum, .initial = "no", .choices = "no, yes, local",
     .immutable = true, .assign = to<&NodeSettings::enable_protected_configs>},
    {.name = "enable-module-command", .type = kEnum, .initial = "no", .choices = "no, yes, local",
     .immutable = true, .has_no_effect = true},

    // ---- databases and memory -------------------------------------------------------------------------------
    {.name = "databases", .type = kInt, .initial = "16", .least = 1, .most = 1024, .immutable = true,
     .assign = to<&NodeSettings::databases>},
    {.name = "maxmemory", .type = kMemory, .initial = "0", .assign = to<&StoreSettings::maxmemory>},
    {.name = "maxmemory-policy", .type = kEnum, .initial = "noeviction",
     .choices = "volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, "
                "allkeys-random, noeviction",
     .assign = to_eviction_policy},
    {.name = "maxmemory-samples", .type = kInt, .initial = "5", .least = 1, .most = kInt32Max,
     .assign = to<&StoreSettings::maxmemory_samples>},
    {.name = "maxmemory-eviction-tenacity", .type = kInt, .initial = "10", .most = 100,
     .assign = to<&StoreSettings::maxmemory_eviction_tenacity>},
    {.name = "maxmemory-clients", .type = kMemoryOrPercent, .initial = "0", .has_no_effect = true},
    {.name = "lfu-log-factor", .type = kInt, .initial = "10", .most = kInt32Max,
     .assign = to<&StoreSettings::lfu_log_factor>},
    {.name = "lfu-decay-time", .type = kInt, .initial = "1", .most = kInt32Max,
     .assign = to<&StoreSettings::lfu_decay_time>},
    {.name = "active-expire-effort", .type = kInt, .initial = "1", .least = 1, .most = 10,
     .assign = to<&StoreSettings::active_expire_effort>},
    {.name = "lazyfree-lazy-eviction", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "lazyfree-lazy-expire", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "lazyfree-lazy-server-del", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "lazyfree-lazy-user-del", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "lazyfree-lazy-user-flush", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "activerehashing", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "jemalloc-bg-thread", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "activedefrag", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "active-defrag-cycle-max", .type = kInt, .initial = "25", .least = 1, .most = 99,
     .has_no_effect = true},
    {.name = "active-defrag-cycle-min", .type = kInt, .initial = "1", .least = 1, .most = 99,
     .has_no_effect = true},
    {.name = "active-defrag-ignore-bytes", .type = kMemory, .initial = "104857600", .least = 1,
     .has_no_effect = true},
    {.name = "active-defrag-max-scan-fields", .type = kInt, .initial = "1000", .least = 1, .has_no_effect = true},
    {.name = "active-defrag-threshold-lower", .type = kInt, .initial = "10", .most = 1000, .has_no_effect = true},
    {.name = "active-defrag-threshold-upper", .type = kInt, .initial = "100", .most = 1000,
     .has_no_effect = true},

    // ---- limits of requests and replies -----------------------------------------------------------------------
    {.name = "proto-max-bulk-len", .type = kMemory, .initial = "536870912", .least = kMiB,
     .is_cluster_wide = true, .assign = to<&StoreSettings::proto_max_bulk_len>},
    {.name = "client-query-buffer-limit", .type = kMemory, .initial = "1073741824", .least = kMiB,
     .assign = to<&NodeSettings::client_query_buffer_limit>},
    {.name = "client-output-buffer-limit", .type = kSpecial,
     .initial = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", .many_words = true,
     .normalize = normalize_output_limits, .assign = assign_output_limits},

    // ---- encodings -----------------------------------------------------------------------------------------------
    {.name = "hash-max-listpack-entries", .alias = "hash-max-ziplist-entries", .type = kInt, .initial = "512",
     .assign = to<&StoreSettings::hash_max_listpack_entries>},
    {.name = "hash-max-listpack-value", .alias = "hash-max-ziplist-value", .type = kMemory, .initial = "64",
     .assign = to<&StoreSettings::hash_max_listpack_value>},
    {.name = "list-max-listpack-size", .alias = "list-max-ziplist-size", .type = kInt, .initial = "-2",
     .least = INT32_MIN, .most = kInt32Max, .assign = to<&StoreSettings::list_max_listpack_size>},
    {.name = "list-compress-depth", .type = kInt, .initial = "0", .most = kInt32Max,
     .assign = to<&StoreSettings::list_compress_depth>},
    {.name = "set-max-intset-entries", .type = kInt, .initial = "512",
     .assign = to<&StoreSettings::set_max_intset_entries>},
    {.name = "set-max-listpack-entries", .type = kInt, .initial = "128",
     .assign = to<&StoreSettings::set_max_listpack_entries>},
    {.name = "set-max-listpack-value", .type = kMemory, .initial = "64",
     .assign = to<&StoreSettings::set_max_listpack_value>},
    {.name = "zset-max-listpack-entries", .alias = "zset-max-ziplist-entries", .type = kInt, .initial = "128",
     .assign = to<&StoreSettings::zset_max_listpack_entries>},
    {.name = "zset-max-listpack-value", .alias = "zset-max-ziplist-value", .type = kMemory, .initial = "64",
     .assign = to<&StoreSettings::zset_max_listpack_value>},
    {.name = "hll-sparse-max-bytes", .type = kMemory, .initial = "3000", .has_no_effect = true},
    {.name = "stream-node-max-bytes", .type = kMemory, .initial = "4096", .has_no_effect = true},
    {.name = "stream-node-max-entries", .type = kInt, .initial = "100", .has_no_effect = true},

    // ---- durability ------------------------------------------------------------------------------------------------
    {.name = "dir", .immutable = true, .assign = to<&ProcessSettings::dir>},
    {.name = "dbfilename", .initial = "dump.rdb", .is_protected = true, .check = check_file_name,
     .assign = to<&NodeSettings::dbfilename>},
    {.name = "save", .type = kSpecial, .initial = "3600 1 300 100 60 10000", .many_words = true, .adds_up = true,
     .normalize = normalize_save, .assign = assign_save},
    {.name = "stop-writes-on-bgsave-error", .type = kBool, .initial = "yes",
     .assign = to<&NodeSettings::stop_writes_on_bgsave_error>},
    {.name = "rdbcompression", .type = kBool, .initial = "yes", .assign = to<&StoreSettings::rdb_compression>},
    {.name = "rdbchecksum", .type = kBool, .initial = "yes", .immutable = true, .has_no_effect = true},
    {.name = "rdb-save-incremental-fsync", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "rdb-del-sync-files", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "sanitize-dump-payload", .type = kEnum, .initial = "no", .choices = "no, yes, clients",
     .has_no_effect = true},
    {.name = "appendonly", .type = kBool, .initial = "yes", .is_cluster_wide = true, .assign = to<&NodeSettings::appendonly>},
    {.name = "appendfsync", .type = kEnum, .initial = "everysec", .choices = "everysec, always, no",
     .is_cluster_wide = true, .assign = to_fsync},
    {.name = "log-repair", .type = kEnum, .initial = "refuse", .choices = "refuse, cut, rejoin",
     .immutable = true, .assign = to_log_repair},
    {.name = "appendfilename", .initial = "appendonly.aof", .immutable = true, .has_no_effect = true},
    {.name = "appenddirname", .initial = "appendonlydir", .immutable = true, .has_no_effect = true},
    {.name = "no-appendfsync-on-rewrite", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "auto-aof-rewrite-percentage", .type = kInt, .initial = "100", .most = kInt32Max,
     .assign = to<&NodeSettings::auto_aof_rewrite_percentage>},
    {.name = "auto-aof-rewrite-min-size", .type = kMemory, .initial = "67108864",
     .assign = to<&NodeSettings::auto_aof_rewrite_min_size>},
    {.name = "aof-load-truncated", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "aof-use-rdb-preamble", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "aof-rewrite-incremental-fsync", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "aof-timestamp-enabled", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "aof-disable-auto-gc", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "key-load-delay", .type = kInt, .initial = "0", .least = INT32_MIN, .most = kInt32Max,
     .hidden = true, .has_no_effect = true},
    {.name = "rdb-key-save-delay", .type = kInt, .initial = "0", .least = INT32_MIN, .most = kInt32Max,
     .hidden = true, .has_no_effect = true},
    {.name = "loading-process-events-interval-bytes", .type = kInt, .initial = "2097152", .least = 1024,
     .hidden = true, .has_no_effect = true},

    // ---- events, slow log, latency ----------------------------------------------------------------------------------
    {.name = "notify-keyspace-events", .type = kSpecial, .is_cluster_wide = true, .normalize = normalize_notify, .assign = assign_notify},
    {.name = "slowlog-log-slower-than", .alias = "commandlog-execution-slower-than", .type = kInt,
     .initial = "10000", .least = -1, .assign = to<&NodeSettings::slowlog_log_slower_than>},
    {.name = "slowlog-max-len", .alias = "commandlog-slow-execution-max-len", .type = kInt, .initial = "128",
     .assign = to<&NodeSettings::slowlog_max_len>},
    {.name = "latency-monitor-threshold", .type = kInt, .initial = "0",
     .assign = to<&NodeSettings::latency_monitor_threshold>},
    {.name = "latency-tracking", .type = kBool, .initial = "yes", .assign = to<&NodeSettings::latency_tracking>},
    {.name = "latency-tracking-info-percentiles", .type = kSpecial, .initial = "50 99 99.9", .many_words = true,
     .normalize = normalize_percentiles, .assign = assign_percentiles},
    {.name = "hz", .type = kInt, .initial = "10", .most = kInt32Max, .check = clamp_hz,
     .assign = to<&NodeSettings::hz>},
    {.name = "dynamic-hz", .type = kBool, .initial = "yes", .has_no_effect = true},

    // ---- scripts, tracking: for parts that come later ----------------------------------------------------------------
    {.name = "busy-reply-threshold", .alias = "lua-time-limit", .type = kInt, .initial = "5000",
     .has_no_effect = true},
    {.name = "lua-enable-deprecated-api", .type = kBool, .initial = "no", .immutable = true, .hidden = true,
     .has_no_effect = true},
    {.name = "tracking-table-max-keys", .type = kInt, .initial = "1000000", .has_no_effect = true},

    // ---- Redis' replication: our copies are kept in another way ------------------------------------------------------
    {.name = "replicaof", .alias = "slaveof", .immutable = true, .many_words = true,
     .refusal = "following another server (replicaof) is not part of this version"},
    {.name = "replica-serve-stale-data", .alias = "slave-serve-stale-data", .type = kBool, .initial = "yes",
     .has_no_effect = true},
    {.name = "replica-read-only", .alias = "slave-read-only", .type = kBool, .initial = "yes",
     .has_no_effect = true},
    {.name = "replica-lazy-flush", .alias = "slave-lazy-flush", .type = kBool, .initial = "no",
     .has_no_effect = true},
    {.name = "replica-ignore-maxmemory", .alias = "slave-ignore-maxmemory", .type = kBool, .initial = "yes",
     .has_no_effect = true},
    {.name = "replica-ignore-disk-write-errors", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "replica-announced", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "replica-announce-ip", .alias = "slave-announce-ip", .has_no_effect = true},
    {.name = "replica-announce-port", .alias = "slave-announce-port", .type = kInt, .initial = "0",
     .most = kPortMax, .has_no_effect = true},
    {.name = "replica-priority", .alias = "slave-priority", .type = kInt, .initial = "100", .most = kInt32Max,
     .has_no_effect = true},
    {.name = "repl-ping-replica-period", .alias = "repl-ping-slave-period", .type = kInt, .initial = "10",
     .least = 1, .most = kInt32Max, .assign = to<&NodeSettings::repl_ping_replica_period>},
    {.name = "repl-timeout", .type = kInt, .initial = "60", .least = 1, .most = kInt32Max,
     .assign = to<&NodeSettings::repl_timeout>},
    {.name = "repl-backlog-size", .type = kMemory, .initial = "1048576", .least = 1, .has_no_effect = true},
    {.name = "repl-backlog-ttl", .type = kInt, .initial = "3600", .has_no_effect = true},
    {.name = "repl-disable-tcp-nodelay", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "repl-diskless-load", .type = kEnum, .initial = "disabled",
     .choices = "disabled, on-empty-db, swapdb", .has_no_effect = true},
    {.name = "repl-diskless-sync", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "repl-diskless-sync-delay", .type = kInt, .initial = "5", .most = kInt32Max, .has_no_effect = true},
    {.name = "repl-diskless-sync-max-replicas", .type = kInt, .initial = "0", .most = kInt32Max,
     .has_no_effect = true},
    {.name = "min-replicas-to-write", .alias = "min-slaves-to-write", .type = kInt, .initial = "0",
     .most = kInt32Max, .has_no_effect = true},
    {.name = "min-replicas-max-lag", .alias = "min-slaves-max-lag", .type = kInt, .initial = "10",
     .most = kInt32Max, .has_no_effect = true},
    {.name = "propagation-error-behavior", .type = kEnum, .initial = "ignore",
     .choices = "ignore, panic, panic-on-replicas", .has_no_effect = true},

    // ---- Redis' cluster ------------------------------------------------------------------------------------------------
    {.name = "cluster-enabled", .type = kEnum, .initial = "auto", .choices = "auto, no, yes", .immutable = true},
    {.name = "cluster-port", .type = kSpecial, .initial = "auto", .immutable = true,
     .normalize = normalize_port_or_auto, .assign = assign_cluster_port},
    {.name = "cluster-config-file", .initial = "nodes.conf", .immutable = true, .has_no_effect = true},
    {.name = "cluster-node-timeout", .type = kInt, .initial = "15000", .has_no_effect = true},
    {.name = "cluster-announce-ip", .check = check_announced_ip, .assign = to<&ProcessSettings::cluster_announce_ip>},
    {.name = "cluster-announce-hostname", .check = check_hostname,
     .assign = to<&ProcessSettings::cluster_announce_hostname>},
    {.name = "cluster-announce-human-nodename", .has_no_effect = true},
    {.name = "cluster-announce-port", .type = kInt, .initial = "0", .most = kPortMax,
     .assign = to<&ProcessSettings::cluster_announce_port>},
    {.name = "cluster-announce-bus-port", .type = kInt, .initial = "0", .most = kPortMax,
     .assign = to<&ProcessSettings::cluster_announce_bus_port>},
    {.name = "cluster-announce-tls-port", .type = kInt, .initial = "0", .most = kPortMax, .has_no_effect = true},
    {.name = "cluster-migration-barrier", .type = kInt, .initial = "1", .most = kInt32Max, .has_no_effect = true},
    {.name = "cluster-allow-replica-migration", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "cluster-allow-reads-when-down", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "cluster-allow-pubsubshard-when-down", .type = kBool, .initial = "yes", .has_no_effect = true},
    {.name = "cluster-link-sendbuf-limit", .type = kMemory, .initial = "0", .has_no_effect = true},
    {.name = "cluster-preferred-endpoint-type", .type = kEnum, .initial = "ip",
     .choices = "ip, hostname, unknown-endpoint", .has_no_effect = true},
    {.name = "cluster-replica-no-failover", .alias = "cluster-slave-no-failover", .type = kBool, .initial = "no",
     .has_no_effect = true},
    {.name = "cluster-replica-validity-factor", .alias = "cluster-slave-validity-factor", .type = kInt,
     .initial = "10", .most = kInt32Max, .has_no_effect = true},
    {.name = "cluster-require-full-coverage", .type = kBool, .initial = "yes", .has_no_effect = true},

    // ---- TLS -------------------------------------------------------------------------------------------------------------
    {.name = "tls-port", .type = kInt, .initial = "0", .most = kPortMax, .refusal = kNoTls},
    {.name = "tls-auth-clients", .type = kEnum, .initial = "yes", .choices = "no, yes, optional",
     .has_no_effect = true},
    {.name = "tls-ca-cert-dir", .has_no_effect = true},
    {.name = "tls-ca-cert-file", .has_no_effect = true},
    {.name = "tls-cert-file", .has_no_effect = true},
    {.name = "tls-ciphers", .has_no_effect = true},
    {.name = "tls-ciphersuites", .has_no_effect = true},
    {.name = "tls-client-cert-file", .has_no_effect = true},
    {.name = "tls-client-key-file", .has_no_effect = true},
    {.name = "tls-client-key-file-pass", .has_no_effect = true},
    {.name = "tls-cluster", .type = kBool, .initial = "no", .refusal = kNoTls},
    {.name = "tls-dh-params-file", .has_no_effect = true},
    {.name = "tls-key-file", .has_no_effect = true},
    {.name = "tls-key-file-pass", .has_no_effect = true},
    {.name = "tls-prefer-server-ciphers", .type = kBool, .initial = "no", .has_no_effect = true},
    {.name = "tls-protocols", .has_no_effect = true},
    {.name = "tls-replication", .type = kBool, .initial = "no", .refusal = kNoTls},
    {.name = "tls-session-cache-size", .type = kInt, .initial = "20480", .most = kInt32Max,
     .has_no_effect = true},
    {.name = "tls-session-cache-timeout", .type = kInt, .initial = "300", .most = kInt32Max,
     .has_no_effect = true},
    {.name = "tls-session-caching", .type = kBool, .initial = "yes", .has_no_effect = true},
};

}  // namespace

std::span<const Setting> setting_table() { return kTable; }

}  // namespace quorate

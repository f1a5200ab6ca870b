// One function a section, in the order INFO prints them.  Names and order of the fields are those of Redis 7, so that
// what parses Redis' INFO parses ours; fields of things that do not exist here (forks, replication links) are 0.
#include "node/info.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "cluster/cluster_node.h"
#include "node/cluster_facts.h"
#include "node/company.h"
#include "node/config.h"
#include "node/keyspace_counts.h"
#include "node/pubsub_links.h"
#include "util/memory.h"
#include "util/number.h"

namespace quorate {

namespace {

constexpr std::string_view kRedisVersion = "7.2.4";
constexpr std::string_view kVersion = "0.1.0";
constexpr int64_t kSecond = 1'000'000;

// Builds "name:value" lines.
class Lines {
 public:
  void section(std::string_view title) {
    if (!text_.empty()) text_ += "\r\n";
    text_.append("# ").append(title).append("\r\n");
  }
  void text(std::string_view name, std::string_view value) {
    text_.append(name).append(":").append(value).append("\r\n");
  }
  void number(std::string_view name, int64_t value) { text(name, std::to_string(value)); }
  void count(std::string_view name, uint64_t value) { text(name, std::to_string(value)); }
  void formatted(std::string_view name, const char* format, double value) {
    char digits[64];
    std::snprintf(digits, sizeof digits, format, value);
    text(name, digits);
  }
  // `name`, and `name`_human.
  void bytes(std::string_view name, uint64_t value) {
    count(name, value);
    text(std::string(name) + "_human", human(value));
  }
  void flag(std::string_view name, bool value) { count(name, value ? 1 : 0); }
  // Several fields that are always 0 here.
  void zeros(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) text(name, "0");
  }
  std::string take() { return std::move(text_); }

  static std::string human(uint64_t value) {
    constexpr std::string_view kUnits = "BKMGTPE";
    if (value < 1024) return std::to_string(value) + "B";
    auto amount = static_cast<double>(value);
    size_t unit = 0;
    while (amount >= 1024 && unit + 1 < kUnits.size()) {
      amount /= 1024;
      ++unit;
    }
    char digits[64];
    std::snprintf(digits, sizeof digits, "%.2f%c", amount, kUnits[unit]);
    return digits;
  }

 private:
  std::string text_;
};

double ratio(uint64_t a, uint64_t b) { return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b); }

struct Source {
  NodeState& node;
  const ProcessFacts& facts;
  const Session* session;   // null: nobody asks
};

void write_server(const Source& from, Lines& out) {
  NodeState& node = from.node;
  const int64_t uptime_s = (node.now.steady_us - node.started_us) / kSecond;
  out.section("Server");
  out.text("redis_version", kRedisVersion);
  out.text("server_name", "quorate");
  out.text("quorate_version", kVersion);
  out.text("redis_git_sha1", "00000000");
  out.text("redis_git_dirty", "0");
  out.text("redis_build_id", "0");
  out.text("redis_mode", is_cluster(node) ? "cluster" : "standalone");
  out.text("os", from.facts.operating_system);
  out.count("arch_bits", sizeof(void*) * 8);
  out.text("monotonic_clock", "POSIX clock_gettime");
  out.text("multiplexing_api", from.facts.event_api);
  out.text("atomicvar_api", "c11-builtin");
#ifdef __GNUC__
  out.text("gcc_version", std::to_string(__GNUC__) + "." + std::to_string(__GNUC_MINOR__) + "." +
                              std::to_string(__GNUC_PATCHLEVEL__));
#endif
  out.number("process_id", from.facts.process_id);
  out.text("process_supervised", from.facts.supervised);
  out.text("run_id", node.run_id);
  out.number("tcp_port", node.process_settings.port);
  out.number("server_time_usec", node.now.unix_ms * 1000);
  out.number("uptime_in_seconds", uptime_s);
  out.number("uptime_in_days", uptime_s / 86400);
  out.number("hz", node.settings.hz);
  out.number("configured_hz", node.settings.hz);
  out.number("lru_clock", (node.now.unix_ms / 1000) & 0xffffff);
  out.text("executable", from.facts.executable);
  out.text("config_file", from.facts.config_file);
  out.zeros({"io_threads_active"});
}

void write_clients(const Source& from, Lines& out) {
  NodeState& node = from.node;
  out.section("Clients");
  out.count("connected_clients", node.client_count());
  out.count("cluster_connections", node.company.cluster().peers().lines().size());
  out.number("maxclients", node.process_settings.maxclients);
  out.count("client_recent_max_input_buffer", node.statistics.largest_input_recent);
  out.count("client_recent_max_output_buffer", node.statistics.largest_output_recent);
  out.count("blocked_clients", node.blocked_count);
  out.zeros({"tracking_clients"});
  out.count("clients_in_timeout_table", node.block_deadlines.size());
}

// Memory that is not the users' data, about: clients, buffers, what the server had before the first key.
uint64_t overhead_bytes(NodeState& node, uint64_t clients_bytes) {
  return node.memory_at_start + clients_bytes;
}

uint64_t client_bytes(NodeState& node) {
  uint64_t sum = 0;
  node.sessions.for_each([&sum](const Session& session) { sum += session.memory(); });
  return sum;
}

void write_memory(const Source& from, Lines& out) {
  NodeState& node = from.node;
  const uint64_t used = mem_used();
  const uint64_t peak = std::max(node.statistics.memory_peak, used);
  const uint64_t clients = client_bytes(node);
  const uint64_t overhead = std::min(overhead_bytes(node, clients), used);
  const uint64_t resident = from.facts.resident_bytes;
  const uint64_t active = from.facts.allocator_active != 0 ? from.facts.allocator_active : used;
  const uint64_t held = from.facts.allocator_resident != 0 ? from.facts.allocator_resident : resident;
  const uint64_t dataset = used - overhead;
  const uint64_t net = used > node.memory_at_start ? used - node.memory_at_start : 1;

  out.section("Memory");
  out.bytes("used_memory", used);
  out.bytes("used_memory_rss", resident);
  out.bytes("used_memory_peak", peak);
  out.formatted("used_memory_peak_perc", "%.2f%%", 100 * ratio(used, peak));
  out.count("used_memory_overhead", overhead);
  out.count("used_memory_startup", node.memory_at_start);
  out.count("used_memory_dataset", dataset);
  out.formatted("used_memory_dataset_perc", "%.2f%%", 100 * std::min(ratio(dataset, net), 1.0));
  out.count("allocator_allocated", used);
  out.count("allocator_active", active);
  out.count("allocator_resident", held);
  out.bytes("total_system_memory", from.facts.system_memory_bytes);
  out.bytes("used_memory_lua", 0);
  out.zeros({"used_memory_vm_eval", "used_memory_scripts_eval", "number_of_cached_scripts",
             "number_of_functions", "number_of_libraries", "used_memory_vm_functions"});
  out.bytes("used_memory_vm_total", 0);
  out.zeros({"used_memory_functions"});
  out.bytes("used_memory_scripts", 0);
  out.bytes("maxmemory", node.store_settings.maxmemory);
  out.text("maxmemory_policy", node.configuration.value("maxmemory-policy"));
  out.formatted("allocator_frag_ratio", "%.2f", ratio(active, used));
  out.count("allocator_frag_bytes", active > used ? active - used : 0);
  out.formatted("allocator_rss_ratio", "%.2f", ratio(held, active));
  out.number("allocator_rss_bytes", static_cast<int64_t>(held) - static_cast<int64_t>(active));
  out.formatted("rss_overhead_ratio", "%.2f", ratio(resident, held));
  out.number("rss_overhead_bytes", static_cast<int64_t>(resident) - static_cast<int64_t>(held));
  out.formatted("mem_fragmentation_ratio", "%.2f", ratio(resident, used));
  out.number("mem_fragmentation_bytes", static_cast<int64_t>(resident) - static_cast<int64_t>(used));
  const Company& company = node.company;
  out.count("mem_not_counted_for_evict", company.is_alone() ? 0 : company.cluster().groups().log_bytes());
  out.zeros({"mem_replication_backlog", "mem_total_replication_buffers",
             "mem_clients_slaves"});
  out.count("mem_clients_normal", clients);
  out.zeros({"mem_cluster_links"});
  out.count("mem_aof_buffer", node.durability.keeps_log() ? node.durability.log().in_flight_bytes() : 0);
#ifdef QUORATE_JEMALLOC
  out.text("mem_allocator", "jemalloc");
#else
  out.text("mem_allocator", "libc");
#endif
  out.zeros({"active_defrag_running"});
  out.count("lazyfree_pending_objects", node.store.pending_frees());
  out.zeros({"lazyfreed_objects"});
}

// What has been saved and when.
void write_persistence(const Source& from, Lines& out) {
  NodeState& node = from.node;
  const PersistenceFacts facts = persistence_facts(node);
  out.section("Persistence");
  out.flag("loading", (node.flags & kNodeLoading) != 0);
  out.zeros({"async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"});
  out.text("current_fork_perc", "0.00");
  out.count("current_save_keys_processed", facts.keys_saved);
  out.count("current_save_keys_total", facts.keys_to_save);
  out.count("rdb_changes_since_last_save", facts.changes_since_save);
  out.flag("rdb_bgsave_in_progress", facts.is_saving);
  out.number("rdb_last_save_time", facts.last_save_unix_s);
  out.text("rdb_last_bgsave_status", facts.last_save_ok ? "ok" : "err");
  out.number("rdb_last_bgsave_time_sec", facts.last_save_seconds);
  out.number("rdb_current_bgsave_time_sec", facts.current_save_seconds);
  out.count("rdb_saves", facts.saves);
  out.zeros({"rdb_last_cow_size", "rdb_last_load_keys_expired"});
  out.count("rdb_last_load_keys_loaded", facts.keys_loaded);
  out.flag("aof_enabled", keeps_data_in_log(node));
  out.flag("aof_rewrite_in_progress", facts.is_rewriting);
  out.flag("aof_rewrite_scheduled", facts.rewrite_is_scheduled);
  out.number("aof_last_rewrite_time_sec", facts.last_rewrite_seconds);
  out.number("aof_current_rewrite_time_sec", facts.current_rewrite_seconds);
  out.text("aof_last_bgrewrite_status", facts.last_rewrite_ok ? "ok" : "err");
  out.count("aof_rewrites", facts.rewrites);
  out.zeros({"aof_rewrites_consecutive_failures"});
  out.text("aof_last_write_status", node.durability.refuses_writes() ? "err" : "ok");
  out.zeros({"aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"});
  if (!node.durability.keeps_log()) return;
  LogWriter& log = node.durability.log();
  out.count("aof_current_size", log.log_size());
  out.count("aof_base_size", facts.log_size_after_rewrite);
  out.zeros({"aof_pending_rewrite", "aof_buffer_length"});
  out.count("aof_pending_bio_fsync", log.appended() > log.synced() ? 1 : 0);
  out.zeros({"aof_delayed_fsync"});
}

void write_stats(const Source& from, Lines& out) {
  NodeState& node = from.node;
  const Statistics& statistics = node.statistics;
  const StoreStats& store = node.store.stats();
  constexpr double kKilo = 1024.0;
  out.section("Stats");
  out.count("total_connections_received", statistics.connections_received);
  out.count("total_commands_processed", statistics.commands_processed);
  out.count("requests_forwarded", statistics.requests_forwarded);
  out.count("requests_redirected", statistics.requests_redirected);
  out.count("instantaneous_ops_per_sec", statistics.commands_rate.per_second());
  out.count("total_net_input_bytes", statistics.bytes_received);
  out.count("total_net_output_bytes", statistics.bytes_sent);
  out.zeros({"total_net_repl_input_bytes", "total_net_repl_output_bytes"});
  out.formatted("instantaneous_input_kbps", "%.2f",
                static_cast<double>(statistics.received_rate.per_second()) / kKilo);
  out.formatted("instantaneous_output_kbps", "%.2f",
                static_cast<double>(statistics.sent_rate.per_second()) / kKilo);
  out.text("instantaneous_input_repl_kbps", "0.00");
  out.text("instantaneous_output_repl_kbps", "0.00");
  out.count("rejected_connections", statistics.connections_rejected + from.facts.rejected_connections);
  out.count("sync_full", statistics.full_syncs);
  out.zeros({"sync_partial_ok", "sync_partial_err"});
  out.count("expired_keys", store.expired_keys);
  out.count("expired_fields", store.expired_fields);
  out.text("expired_stale_perc", "0.00");
  out.count("expired_time_cap_reached_count", store.expire_cycle_time_limited);
  out.zeros({"expire_cycle_cpu_milliseconds"});
  out.count("evicted_keys", store.evicted_keys);
  out.count("evicted_clients", 0);
  out.number("total_eviction_exceeded_time", statistics.eviction_exceeded_us / 1000);
  out.zeros({"current_eviction_exceeded_time"});
  out.count("keyspace_hits", store.keyspace_hits);
  out.count("keyspace_misses", store.keyspace_misses);
  out.count("pubsub_channels", node.channels.size());
  out.count("pubsub_patterns", node.patterns.size());
  out.count("pubsubshard_channels", node.shard_channels.size());
  out.count("pubsub_messages_dropped", node.pubsub == nullptr ? 0 : node.pubsub->dropped());
  out.zeros({"latest_fork_usec", "total_forks", "migrate_cached_sockets", "slave_expires_tracked_keys",
             "active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits",
             "active_defrag_key_misses", "total_active_defrag_time", "current_active_defrag_time",
             "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes"});
  out.count("unexpected_error_replies", statistics.unexpected_errors);
  out.count("total_error_replies", statistics.error_replies);
  out.zeros({"dump_payload_sanitizations"});
  out.count("total_reads_processed", statistics.reads_processed);
  out.count("total_writes_processed", statistics.writes_processed);
  out.zeros({"io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks",
             "reply_buffer_expands"});
  out.count("eventloop_cycles", statistics.turns);
  out.number("eventloop_turn_cpu_usec_max", statistics.turn_cpu_us_max);
  out.count("eventloop_turns_over_2ms", statistics.long_turns);
  out.count("client_query_buffer_limit_disconnections", statistics.query_buffer_disconnections);
  out.count("client_output_buffer_limit_disconnections", statistics.output_buffer_disconnections);
}

// state= as Redis names it: an RDB file is awaited, or sent, or the stream goes on.
std::string follower_line(const NodeState& node, const Session& session) {
  const Follower& follower = *session.extras->follower;
  const char* state = "online";
  if (follower.phase == Follower::Phase::kQueued) state = "wait_bgsave";
  if (follower.phase == Follower::Phase::kGetsFile) state = "send_bulk";
  const std::string& address = session.peer.address;
  const std::string host = follower.address.empty() ? address.substr(0, address.rfind(':')) : follower.address;
  const bool has_lag = follower.sent_psync && follower.phase >= Follower::Phase::kHasFile;
  const int64_t lag = has_lag ? (node.now.steady_us - follower.acknowledged_us) / kSecond : 0;
  return "ip=" + host + ",port=" + std::to_string(follower.listening_port) + ",state=" + state +
         ",offset=" + std::to_string(follower.acknowledged) + ",lag=" + std::to_string(lag);
}

void write_replication(const Source& from, Lines& out) {
  out.section("Replication");
  out.text("role", "master");
  const Followers& followers = from.node.followers;
  out.count("connected_slaves", followers.sessions.size());
  size_t index = 0;
  for (const Session* session : followers.sessions) {
    out.text("slave" + std::to_string(index++), follower_line(from.node, *session));
  }
  out.text("master_failover_state", "no-failover");
  out.text("master_replid", from.node.run_id);
  out.text("master_replid2", "0000000000000000000000000000000000000000");
  out.count("master_repl_offset", followers.offset);
  out.text("second_repl_offset", "-1");
  out.zeros({"repl_backlog_active"});
  out.text("repl_backlog_size", from.node.configuration.value("repl-backlog-size"));
  out.zeros({"repl_backlog_first_byte_offset", "repl_backlog_histlen"});
}

void write_cpu(const Source& from, Lines& out) {
  const auto seconds = [&out](std::string_view name, int64_t microseconds) {
    out.formatted(name, "%.6f", static_cast<double>(microseconds) / static_cast<double>(kSecond));
  };
  out.section("CPU");
  seconds("used_cpu_sys", from.facts.cpu_system_us);
  seconds("used_cpu_user", from.facts.cpu_user_us);
  seconds("used_cpu_sys_children", 0);
  seconds("used_cpu_user_children", 0);
  seconds("used_cpu_sys_main_thread", from.facts.cpu_system_main_us);
  seconds("used_cpu_user_main_thread", from.facts.cpu_user_main_us);
}

void write_modules(const Source& /*from*/, Lines& out) { out.section("Modules"); }

void write_commandstats(const Source& from, Lines& out) {
  out.section("Commandstats");
  for (const Command& row : from.node.commands.commands()) {
    if (row.calls == 0 && row.rejected == 0 && row.failed == 0) continue;
    const uint64_t microseconds = row.nanoseconds / 1000;
    const double each = row.calls == 0 ? 0 : ratio(microseconds, row.calls);
    char text[200];
    std::snprintf(text, sizeof text, "calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu",
                  static_cast<unsigned long long>(row.calls), static_cast<unsigned long long>(microseconds), each,
                  static_cast<unsigned long long>(row.rejected), static_cast<unsigned long long>(row.failed));
    out.text("cmdstat_" + std::string(row.spec->name), text);
  }
}

void write_errorstats(const Source& from, Lines& out) {
  out.section("Errorstats");
  for (const auto& [kind, count] : from.node.statistics.errors)
    out.text("errorstat_" + kind, "count=" + std::to_string(count));
}

void write_latencystats(const Source& from, Lines& out) {
  out.section("Latencystats");
  if (!from.node.settings.latency_tracking) return;
  for (const Command& row : from.node.commands.commands()) {
    if (row.latency == nullptr || row.latency->total() == 0) continue;
    std::string text;
    for (const double percent : from.node.settings.latency_tracking_info_percentiles) {
      char digits[kDoubleTextMax];
      const std::string_view label(digits, format_double(digits, percent));
      char value[64];
      std::snprintf(value, sizeof value, "=%.3f", static_cast<double>(row.latency->percentile(percent)) / 1000.0);
      if (!text.empty()) text += ',';
      text.append("p").append(label).append(value);
    }
    out.text("latency_percentiles_usec_" + std::string(row.spec->name), text);
  }
}

void write_cluster(const Source& from, Lines& out) {
  out.section("Cluster");
  out.flag("cluster_enabled", is_cluster(from.node));
}

// Ours.
void write_quorum(const Source& from, Lines& out) {
  out.section("Quorum");
  const Losses& losses = from.node.company.losses();
  const Company& company = from.node.company;
  out.text("quorum_membership", name_of(company.is_started() ? company.cluster().membership() : Membership::kAlone));
  out.text("quorum_mode", raft::name_of(from.node.company.members_mode()));
  out.text("quorum_mode_kept", raft::name_of(from.node.company.kept_mode()));
  out.count("quorum_lost_records", losses.lost_count());
  out.count("quorum_unsafe_recoveries", losses.of(Loss::Kind::kRecovery).size());
  out.count("quorum_takeovers", losses.of(Loss::Kind::kTakeover).size());
  out.count("quorum_waiting_clients", from.node.waits.by_session.size());
  out.count("uncommitted_bytes", uncommitted_bytes(from.node));
  out.count("nodes_above_maxmemory", from.node.memory_pressure.count_others());
  const StateCheck& check = from.node.company.cluster().partitions().check();
  out.count("state_checks", check.counts().rounds);
  out.count("state_checks_differing", check.counts().differing);
  out.count("state_checks_undecided", check.counts().undecided);
  out.count("replicas_started_over", from.node.company.cluster().partitions().started_over());
}

void write_keyspace(const Source& from, Lines& out) {
  out.section("Keyspace");
  for (const KeyspaceCount& count : keyspace_counts(from.node, from.session)) {
    out.text("db" + std::to_string(count.database),
             "keys=" + std::to_string(count.keys) + ",expires=" + std::to_string(count.expires) + ",avg_ttl=0");
  }
}

struct Section {
  std::string_view name;
  void (*write)(const Source&, Lines&);
  bool is_default;
};
constexpr Section kSections[] = {
    {"server", write_server, true},           {"clients", write_clients, true},
    {"memory", write_memory, true},           {"persistence", write_persistence, true},
    {"stats", write_stats, true},             {"replication", write_replication, true},
    {"cpu", write_cpu, true},                 {"modules", write_modules, true},
    {"commandstats", write_commandstats, false}, {"errorstats", write_errorstats, true},
    {"latencystats", write_latencystats, false}, {"cluster", write_cluster, true},
    {"keyspace", write_keyspace, true},       {"quorum", write_quorum, false},
};

bool is_wanted(const Section& section, std::span<const std::string_view> names) {
  if (names.empty()) return section.is_default;
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    const bool is_of_default = same_word(name, "default") && section.is_default;
    return is_of_default || same_word(name, "all") || same_word(name, "everything") || same_word(name, section.name);
  });
}

}  // namespace

void reset_statistics(NodeState& node) {
  const uint64_t memory_peak = node.statistics.memory_peak;
  node.statistics = Statistics{};
  node.statistics.memory_peak = memory_peak;
  node.commands.reset_statistics();
  node.store.stats() = StoreStats{};
}

std::string info_text(NodeState& node, const ProcessFacts& facts, std::span<const std::string_view> sections, const Session* session) {
  Lines out;
  const Source from{node, facts, session};
  for (const Section& section : kSections) {
    if (is_wanted(section, sections)) section.write(from, out);
  }
  return out.take();
}

bool has_keyspace(std::span<const std::string_view> sections) {
  return std::any_of(std::begin(kSections), std::end(kSections), [&](const Section& section) {
    return section.write == write_keyspace && is_wanted(section, sections);
  });
}

}  // namespace quorate

// What comes before serving: the command's settings, the process' surroundings, the data directory; and the two commands
// that move RDB files in and out.
#include "server/server.h"

#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "node/own_member.h"
#include "node/store_recovery.h"
#include "persist/log_format.h"
#include "persist/recovery.h"
#include "persist/rejoin.h"
#include "server/clock.h"
#include "server/daemon.h"
#include "server/process.h"
#include "server/service.h"
#include "util/check.h"

#ifdef QUORATE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

namespace quorate {

namespace {

uint64_t random_number() {
  uint64_t value = 0;
  CHECK(::getrandom(&value, sizeof value, 0) == static_cast<ssize_t>(sizeof value));
  return value;
}

Bytes32 random_bytes() {
  Bytes32 bytes;
  CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return bytes;
}

// Memory that was freed goes back to the system on a thread of the allocator's.  Not before fork(): threads stay behind.
// What lies together in more than 8 MB it would give back at once, in the thread that frees: milliseconds of a turn.
void return_memory_in_background() {
#ifdef QUORATE_JEMALLOC
  size_t never = SIZE_MAX;
  mallctl("arena.0.oversize_threshold", nullptr, nullptr, &never, sizeof never);
  bool on = true;
  mallctl("background_thread", nullptr, nullptr, &on, sizeof on);
#endif
}

int report(const Result<uint64_t>& count, std::string_view verb, const std::string& file) {
  std::string line;
  if (count.ok()) {
    line = std::to_string(count.value()) + " keys " + std::string(verb) + " " + file + "\n";
  } else {
    line = std::string(count.error().detail()) + "\n";
  }
  std::fwrite(line.data(), 1, line.size(), count.ok() ? stdout : stderr);
  return count.ok() ? 0 : 1;
}

std::string absolute_path(const std::string& path) {
  if (path.empty() || path.front() == '/') return path;
  char directory[PATH_MAX];
  if (::getcwd(directory, sizeof directory) == nullptr) return path;
  return std::string(directory) + "/" + path;
}

}  // namespace

Server::Server(DiskMaker make_disk)
    : make_disk_(std::move(make_disk)),
      configuration_(SettingTargets{store_settings_, node_settings_, process_settings_}),
      log_(process_settings_) {}

Status Server::configure(const Options& options) {
  TRY(const std::vector<Directive> directives, gather_directives(options));
  TRY(configuration_.load(directives));
  TRY(choose_ports(node_settings_, process_settings_));
  if (!options.config_file.empty() && options.config_file != "-") config_file_ = absolute_path(options.config_file);
  return done();
}

int Server::refuse(std::string_view reason) {
  log_.line(LogLevel::kWarning, "can't start: " + std::string(reason));
  return 1;
}

// Log, background, crashes: in this order, so that each is told where the user looks.
Status Server::settle_in(const ServiceManager& service_manager) {
  // Paths are as the user's shell means them; what follows changes directories.
  log_.set_file(absolute_path(process_settings_.logfile));
  if (const std::string problem = log_.probe(); !problem.empty()) {
    log_.set_file({});
    return Error(ErrorCode::kIo, problem);
  }
  if (process_settings_.daemonize && !service_manager.is_present()) {
    TRY(go_into_background());
    drop_standard_streams(log_.file());
  }
  if (process_settings_.crash_log) install_crash_handler(log_.file());
  if (process_settings_.disable_thp) ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  return_memory_in_background();

  log_.line(LogLevel::kNotice, "Quorate " + std::string(kServerVersion) + " is starting, pid " +
                                   std::to_string(::getpid()) + ", mode standalone");
  for (const std::string& note : configuration_.notes()) log_.line(LogLevel::kNotice, note);
  if (config_file_.empty())
    log_.line(LogLevel::kNotice, "no config file given -> defaults and the command line; quorate-server --help");
  log_.set_role(LogRole::kMaster);
  if (!config_file_.empty()) remove_replacement(config_file_);

  const int64_t clients = make_room_for_clients(process_settings_.maxclients);
  if (clients < process_settings_.maxclients) {
    log_.line(LogLevel::kWarning, "the limit of open files allows " + std::to_string(clients) + " clients, not " +
                                      std::to_string(process_settings_.maxclients) +
                                      " -> maxclients is lowered; raise 'ulimit -n'");
    configuration_.learn("maxclients", std::to_string(clients));
  }
  if (process_settings_.cluster_port != 0 && needs_machine_address(process_settings_)) {
    process_settings_.machine_address = find_machine_address();
    log_.line(LogLevel::kNotice, "bind does not say where others reach this node -> they are told " +
                                     own_member(node_settings_, process_settings_, 0).host +
                                     "; cluster-announce-ip names another address");
  }
  // Clients from elsewhere are kept out; protected mode knows nothing of the port for other nodes.
  const bool keeps_clients_out = !node_settings_.requirepass.empty() || node_settings_.protected_mode;
  const bool has_half_a_lock = keeps_clients_out && node_settings_.masterauth.empty();
  if (has_half_a_lock && process_settings_.cluster_port != 0 && is_bound_beyond_loopback(process_settings_))
    log_.line(LogLevel::kWarning, "masterauth is not set -> clients are asked for a password or kept out, but whoever reaches the port for other "
                                  "nodes can be one of them; set masterauth to the same at all nodes");
  if (const Status adjusted = adjust_oom_score(process_settings_); !adjusted.ok())
    log_.line(LogLevel::kWarning, adjusted.error().detail());
  return done();
}

Result<DataDirectory> Server::open_directory() {
  TRY(DataDirectory directory, DataDirectory::open(process_settings_.dir.empty() ? "." : process_settings_.dir));
  configuration_.learn("dir", directory.path());
  if (::chdir(directory.path().c_str()) != 0)
    return Error(ErrorCode::kIo, "can't change to the data directory " + directory.path());
  return directory;
}

// A node that finds no room for its incarnation can still be read from, but is nobody in a cluster.
Result<Life> Server::begin_life(Disk& disk) {
  Result<Life> life = quorate::begin_life(disk, 0, random_number());
  if (life.ok() || life.error().code() != ErrorCode::kNoSpace) return life;
  log_.line(LogLevel::kWarning, std::string(life.error().detail()) +
                                    " -> the node has no identity and takes no part in a cluster");
  return Life{};
}

std::unique_ptr<Node> Server::make_node(Disk& disk, Host& host, const Life& life, const StartFacts& start_facts) {
  const LogIdentity identity = log_identity(disk, 0, random_number());
  return std::make_unique<Node>(NodeOptions{
      .store = {.databases = static_cast<int>(node_settings_.databases),
                .partitions = static_cast<uint32_t>(node_settings_.partitions),
                .hash_seed = identity.hash_seed,
                .random_seed = random_number()},
      .shard = 0,
      .new_log_id = identity.new_log_id,
      .identity = life.identity,
      .rejoin = life.rejoin,
      .start_facts = start_facts,
      .seed = random_number(),
      .nonce_key = random_bytes(),
      .clock_us = read_steady_us,
      .settings = node_settings_,
      .store_settings = store_settings_,
      .process_settings = process_settings_,
      .configuration = configuration_,
      .host = host,
  });
}

// ---- RDB files in and out ----------------------------------------------------------------------------------------

Result<uint64_t> Server::import_into_directory(const std::string& file) {
  if (::access(file.c_str(), R_OK) != 0)
    return Error(ErrorCode::kIo, "can't read '" + file + "': " + std::strerror(errno));
  TRY(const DataDirectory directory, open_directory());
  const std::unique_ptr<Disk> disk = make_disk_(directory);
  TRY(const std::vector<std::string> names, disk->list());
  const std::string own_name = node_settings_.dbfilename;
  for (const std::string& name : names) {
    if (name == own_name || parse_name(name))
      return Error(ErrorCode::kIo, "the data directory " + directory.path() + " is not empty (" + name + ")");
  }
  // The same road as at a start that finds a dump.rdb: beside an empty log it becomes the first snapshot.
  if (::symlink(file.c_str(), own_name.c_str()) != 0)
    return Error(ErrorCode::kIo, "can't write to " + directory.path() + ": " + std::strerror(errno));
  Process process(configuration_, process_settings_, log_);
  const std::unique_ptr<Node> node = make_node(*disk, process, Life(), {});
  const Status loaded = node->recover(*disk, read_clocks());
  ::unlink(own_name.c_str());
  if (!loaded.ok()) return Error(loaded.error().code(), std::string(loaded.error().detail()));
  if (!node_settings_.appendonly) TRY(write_rdb_now(*disk, node->store(), own_name, rdb_options()));
  return node->store().key_count();
}

Result<uint64_t> Server::export_from_directory(const std::string& file) {
  const size_t slash = file.rfind('/');
  TRY(const DataDirectory target, DataDirectory::open_shared(file.substr(0, slash + 1)));
  TRY(const DataDirectory directory, open_directory());
  const std::unique_ptr<Disk> disk = make_disk_(directory);
  Process process(configuration_, process_settings_, log_);
  const std::unique_ptr<Node> node = make_node(*disk, process, Life(), {});
  TRY(node->recover(*disk, read_clocks()));
  FileDisk target_disk(target);
  TRY(write_rdb_now(target_disk, node->store(), file.substr(slash + 1), rdb_options()));
  return node->store().key_count();
}

rdb::FileOptions Server::rdb_options() const {
  return {.version = store_settings_.rdb_version,
          .compression = store_settings_.rdb_compression ? rdb::Compression::kOn : rdb::Compression::kOff,
          .now = read_clocks().unix_ms};
}

int Server::import_rdb(const std::string& file) {
  const auto count = import_into_directory(absolute_path(file));
  return report(count, "imported from", file);
}

int Server::export_rdb(const std::string& file) {
  const auto count = export_from_directory(absolute_path(file));
  return report(count, "exported to", file);
}

// ---- serving -------------------------------------------------------------------------------------------------------

int Server::serve(const std::string& executable) {
  const ServiceManager service_manager(process_settings_.supervised);
  std::string pid_file = absolute_path(process_settings_.pidfile);
  if (pid_file.empty() && process_settings_.daemonize) pid_file = "/var/run/quorate.pid";
  process_settings_.unixsocket = absolute_path(process_settings_.unixsocket);
  if (const Status settled = settle_in(service_manager); !settled.ok()) return refuse(settled.error().detail());
  const auto directory = open_directory();
  if (!directory.ok()) return refuse(directory.error().detail());
  log_.line(LogLevel::kNotice, "data in " + directory.value().path());

  Process process(configuration_, process_settings_, log_);
  process.set_config_file(config_file_);
  process.set_executable(executable);
  process.set_supervised(service_manager.is_present() ? "systemd" : "no");
  std::optional<int> exit_code = run_node(process, service_manager, directory.value(), pid_file);
  // Once: what the other one reads is what it finds set aside, which is nothing.
  if (!exit_code) exit_code = run_node(process, service_manager, directory.value(), pid_file);
  return exit_code.value_or(1);
}

std::optional<int> Server::run_node(Process& process, const ServiceManager& service_manager, const DataDirectory& directory,
                                    const std::string& pid_file) {
  std::unique_ptr<Disk> recovery_disk = make_disk_(directory);
  const auto life = begin_life(*recovery_disk);
  if (!life.ok()) return refuse(life.error().detail());
  std::unique_ptr<Node> node = make_node(*recovery_disk, process, life.value(),
                                         {.boot_id = read_boot_id(), .directory_inode = directory.inode()});
  int exit_code = 1;
  {
    Service service({.settings = process_settings_,
                     .log = log_,
                     .process = process,
                     .service_manager = service_manager,
                     .disks = {make_disk_(directory), make_disk_(directory)},
                     .recovery_disk = std::move(recovery_disk),
                     .node = std::move(node)});
    // Listening comes before loading, so that a taken port is told at once.
    if (const Status listening = service.listen(); !listening.ok()) return refuse(listening.error().detail());
    if (!pid_file.empty()) {
      if (const Status written = write_pid_file(pid_file); !written.ok())
        log_.line(LogLevel::kWarning, written.error().detail());
    }
    exit_code = service.run();
    if (service.has_retired()) return std::nullopt;
  }
  if (!pid_file.empty()) ::unlink(pid_file.c_str());
  log_.line(LogLevel::kWarning, "Quorate is now ready to exit, bye bye...");
  return exit_code;
}

}  // namespace quorate

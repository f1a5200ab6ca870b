// What the operating system knows about this process, and what it must be asked for.
#include "server/process.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "server/listeners.h"
#include "server/unique_fd.h"
#include "server/uv_driver.h"
#include "util/number.h"

#ifdef QUORATE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

namespace quorate {

namespace {

// Descriptors that are not clients: log, listeners, data directory, timers, two with each other node, and some to spare.
constexpr int64_t kReservedDescriptors = 64;

constexpr std::string_view kReplacementSuffix = ".quorate-tmp";

Error system_error(const std::string& what) { return Error(ErrorCode::kIo, what + ": " + std::strerror(errno)); }

int64_t microseconds(const timeval& time) { return static_cast<int64_t>(time.tv_sec) * 1'000'000 + time.tv_usec; }

uint64_t resident_bytes() {
  const auto text = read_whole_file("/proc/self/statm", 4096);
  if (!text.ok()) return 0;
  const std::string& fields = text.value();
  const size_t begin = fields.find(' ') + 1;
  const auto pages = parse_unsigned(std::string_view(fields).substr(begin, fields.find(' ', begin) - begin));
  return pages.value_or(0) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

#ifdef QUORATE_JEMALLOC
uint64_t allocator_figure(const char* name) {
  size_t value = 0;
  size_t size = sizeof value;
  return mallctl(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}
#endif

bool write_and_sync(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    text.remove_prefix(static_cast<size_t>(put));
  }
  return ::fsync(fd) == 0;
}

}  // namespace

Result<std::string> read_whole_file(const std::string& path, size_t size_max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_error("can't open '" + path + "'");
  std::string text;
  char chunk[16 * 1024];
  while (true) {
    const ssize_t got = ::read(fd.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("can't read '" + path + "'");
    if (got == 0) return text;
    text.append(chunk, static_cast<size_t>(got));
    if (text.size() > size_max) return Error(ErrorCode::kIo, "'" + path + "' is too large");
  }
}

void remove_replacement(const std::string& path) { ::unlink((path + std::string(kReplacementSuffix)).c_str()); }

Status replace_file(const std::string& path, std::string_view text) {
  // One name for all processes: what a crash leaves is overwritten by the next.
  const std::string temporary = path + std::string(kReplacementSuffix);
  struct stat facts {};
  const mode_t mode = ::stat(path.c_str(), &facts) == 0 ? facts.st_mode & 07777 : 0644;
  {
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!fd.valid()) return system_error("can't write '" + temporary + "'");
    if (!write_and_sync(fd.get(), text) || ::fchmod(fd.get(), mode) != 0) {
      const Error error = system_error("can't write '" + temporary + "'");
      ::unlink(temporary.c_str());
      return Error(ErrorCode::kIo, std::string(error.detail()));
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const std::string reason = std::strerror(errno);
    ::unlink(temporary.c_str());
    return Error(ErrorCode::kIo, "can't replace '" + path + "': " + reason);
  }
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) (void)::fsync(fd.get());
  return done();
}

int64_t make_room_for_clients(int64_t clients) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::max<int64_t>(1, 1024 - kReservedDescriptors);
  const auto wanted = static_cast<rlim_t>(clients + kReservedDescriptors);
  if (limit.rlim_cur >= wanted) return clients;
  rlimit raised = limit;
  raised.rlim_cur = wanted;
  raised.rlim_max = std::max(limit.rlim_max, wanted);
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return clients;
  raised.rlim_cur = std::min(wanted, limit.rlim_max);
  raised.rlim_max = limit.rlim_max;
  const rlim_t reached = ::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
  return std::clamp<int64_t>(static_cast<int64_t>(reached) - kReservedDescriptors, 1, clients);
}

std::string find_machine_address() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, ::freeifaddrs);
  std::string of_version_6;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    const bool is_useful = each->ifa_addr != nullptr && (each->ifa_flags & IFF_UP) != 0 &&
                           (each->ifa_flags & IFF_LOOPBACK) == 0;
    if (!is_useful) continue;
    const bool is_v4 = each->ifa_addr->sa_family == AF_INET;
    if (!is_v4 && (each->ifa_addr->sa_family != AF_INET6 || !of_version_6.empty())) continue;
    // Good on one cable only, and not without the name of the interface.
    if (!is_v4 && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr)) continue;
    char text[NI_MAXHOST] = {};
    const socklen_t size = is_v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (::getnameinfo(each->ifa_addr, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    if (is_v4) return text;
    of_version_6 = text;
  }
  return of_version_6;
}

BootId read_boot_id() {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  BootId boot_id{};
  const auto text = read_whole_file("/proc/sys/kernel/random/boot_id", 4096);
  if (!text.ok()) return boot_id;
  size_t digits = 0;
  for (const char letter : text.value()) {
    const size_t digit = kHexDigits.find(letter);
    if (digit == std::string_view::npos || digits == 2 * boot_id.size()) continue;
    char& byte = boot_id[digits++ / 2];
    byte = static_cast<char>(static_cast<unsigned char>(byte) << 4 | digit);
  }
  return digits == 2 * boot_id.size() ? boot_id : BootId{};
}

Status adjust_oom_score(const ProcessSettings& settings) {
  if (settings.oom_score_adj == OomScoreMode::kNo) return done();
  // The value of a master; the others are for roles and children that do not exist here.
  const std::string text = std::to_string(std::clamp<int64_t>(settings.oom_score_adj_values[0], -1000, 1000));
  const UniqueFd fd(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || ::write(fd.get(), text.data(), text.size()) < 0)
    return Error(ErrorCode::kIo, "Failed to apply new oom_score_adj configuration, check server logs.");
  return done();
}

Process::Process(Configuration& configuration, ProcessSettings& settings, ServerLog& log)
    : configuration_(configuration), settings_(settings), log_(log) {}

void Process::attach(const Doors& doors, UvDriver& driver, std::function<void(ProcessEnd)> end) {
  doors_.emplace(doors);
  driver_ = &driver;
  end_ = std::move(end);
}

// The ports of other nodes and of clients that know the cluster stay where they are; all move to other addresses.
Status Process::listen_anew(std::string_view setting) {
  TRY(doors_->clients.open_tcp(places_for_clients(settings_)));
  if (setting == "bind") {
    TRY(doors_->cluster_clients.open_tcp(places_for_cluster_clients(settings_)));
    TRY(doors_->peers.open_tcp(places_for_peers(settings_)));
  }
  return done();
}

Status Process::settings_changed(std::span<const std::string_view> names) {
  for (const std::string_view name : names) {
    if (name == "port" || name == "bind") {
      const Status opened = listen_anew(name);
      if (!opened.ok()) {
        log_.line(LogLevel::kWarning, opened.error().detail());
        return Error(ErrorCode::kIo, name == "port" ? "Unable to listen on this port. Check server logs."
                                                    : "Failed to bind to specified addresses.");
      }
    } else if (name == "maxclients") {
      const int64_t fit = make_room_for_clients(settings_.maxclients);
      if (fit < settings_.maxclients)
        return Error(ErrorCode::kIo,
                     "The operating system is not able to handle the specified number of clients, try with " +
                         std::to_string(fit));
    } else if (name == "oom-score-adj" || name == "oom-score-adj-values") {
      TRY(adjust_oom_score(settings_));
    }
  }
  return done();
}

Status Process::rewrite_config() {
  if (config_file_.empty()) return ErrorCode::kUnsupported;
  // A file that was removed meanwhile is made anew.
  auto text = read_whole_file(config_file_, kConfigBytesMax);
  const std::string before = text.ok() ? std::move(text).value() : std::string();
  const Status replaced = replace_file(config_file_, configuration_.rewrite(before));
  log_.line(replaced.ok() ? LogLevel::kNotice : LogLevel::kWarning,
            replaced.ok() ? "CONFIG REWRITE executed with success."
                          : "CONFIG REWRITE failed: " + std::string(replaced.error().detail()));
  return replaced.ok() ? done() : Status(Error(ErrorCode::kIo, std::string(replaced.error().detail())));
}

ProcessFacts Process::facts() {
  ProcessFacts facts;
  facts.process_id = ::getpid();
  facts.executable = executable_;
  facts.config_file = config_file_;
  facts.supervised = supervised_;
  utsname system{};
  if (::uname(&system) == 0)
    facts.operating_system = std::string(system.sysname) + " " + system.release + " " + system.machine;
  facts.resident_bytes = resident_bytes();
  facts.system_memory_bytes =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
#ifdef QUORATE_JEMALLOC
  uint64_t epoch = 1;
  mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch);  // the figures are as of the last epoch
  facts.allocator_active = allocator_figure("stats.active");
  facts.allocator_resident = allocator_figure("stats.resident");
#endif
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    facts.cpu_user_us = microseconds(usage.ru_utime);
    facts.cpu_system_us = microseconds(usage.ru_stime);
  }
  if (::getrusage(RUSAGE_THREAD, &usage) == 0) {
    facts.cpu_user_main_us = microseconds(usage.ru_utime);
    facts.cpu_system_main_us = microseconds(usage.ru_stime);
  }
  if (driver_ != nullptr) {
    const UvDriver::Counters& counters = driver_->counters();
    facts.rejected_connections = counters.rejected_connections;
    facts.bytes_received = counters.bytes_received;
    facts.bytes_sent = counters.bytes_sent;
    facts.reads = counters.reads;
    facts.writes = counters.writes;
  }
  return facts;
}

void Process::log(LogLevel level, std::string_view line) { log_.line(level, line); }

void Process::end_process(ProcessEnd end) {
  if (end_) end_(end);
}

}  // namespace quorate

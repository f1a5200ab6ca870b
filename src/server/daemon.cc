// The habits of a Unix service.
#include "server/daemon.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "server/unique_fd.h"
#include "util/number.h"

namespace quorate {

namespace {

Error system_error(const std::string& what) { return Error(ErrorCode::kIo, what + ": " + std::strerror(errno)); }

// The crash handler may allocate nothing: what it needs is made before.
char crash_log_path[4096];
alignas(16) char crash_stack[64 * 1024];
constexpr int kFatalSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

void put(int fd, const char* text) {
  const ssize_t ignored = ::write(fd, text, std::strlen(text));
  (void)ignored;
}

void put_number(int fd, uint64_t value) {
  char digits[kIntTextMax + 1] = {};
  format_unsigned(digits, value);
  put(fd, digits);
}

void on_fatal_signal(int signal_number, siginfo_t* info, void* /*context*/) {
  int fd = STDOUT_FILENO;
  if (crash_log_path[0] != '\0') {
    const int file = ::open(crash_log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file >= 0) fd = file;
  }
  put(fd, "\n=== QUORATE CRASHED: signal ");
  put_number(fd, static_cast<uint64_t>(signal_number));
  put(fd, ", address ");
  put_number(fd, reinterpret_cast<uint64_t>(info->si_addr));
  put(fd, ", pid ");
  put_number(fd, static_cast<uint64_t>(::getpid()));
  put(fd, " ===\n");
  void* frames[64];
  const int count = ::backtrace(frames, 64);
  ::backtrace_symbols_fd(frames, count, fd);
  put(fd, "=== end of the report; addr2line -Cfe <executable> <addresses in brackets> names the lines ===\n");
  // The default action is in force again (SA_RESETHAND): this ends the process.
  ::raise(signal_number);
}

}  // namespace

Status go_into_background() {
  const pid_t child = ::fork();
  if (child < 0) return system_error("can't go into the background");
  if (child > 0) ::_exit(0);
  ::setsid();
  return done();
}

void drop_standard_streams(const std::string& log_file) {
  const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nothing.valid()) return;
  ::dup2(nothing.get(), STDIN_FILENO);
  const UniqueFd log(log_file.empty() ? -1
                                      : ::open(log_file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  const int out = log.valid() ? log.get() : nothing.get();
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
}

Status write_pid_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return system_error("can't write the pid file '" + path + "'");
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::write(fd.get(), text.data(), text.size()) < 0) return system_error("can't write the pid file '" + path + "'");
  return done();
}

ServiceManager::ServiceManager(Supervision supervision) {
  if (supervision != Supervision::kSystemd && supervision != Supervision::kAuto) return;
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  socket_path_ = path;
  const char* interval_us = std::getenv("WATCHDOG_USEC");
  if (interval_us != nullptr) watchdog_interval_ms_ = parse_int(interval_us).value_or(0) / 2000;
}

void ServiceManager::tell(std::string_view message) const {
  sockaddr_un address{};
  if (socket_path_.empty() || socket_path_.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::copy(socket_path_.begin(), socket_path_.end(), address.sun_path);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path_.size());
  (void)::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), size);
}

void install_crash_handler(const std::string& log_file) {
  const size_t size = std::min(log_file.size(), sizeof crash_log_path - 1);
  std::copy_n(log_file.begin(), size, crash_log_path);
  crash_log_path[size] = '\0';
  void* frame = nullptr;
  (void)::backtrace(&frame, 1);  // loads what the first call needs, which allocates
  stack_t stack{};
  stack.ss_sp = crash_stack;
  stack.ss_size = sizeof crash_stack;
  ::sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fatal_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND) | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (const int signal_number : kFatalSignals) ::sigaction(signal_number, &action, nullptr);
}

}  // namespace quorate

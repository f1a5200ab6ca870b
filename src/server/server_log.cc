// Formatting and writing log lines.
#include "server/server_log.h"

#include <fcntl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "server/unique_fd.h"

namespace quorate {

namespace {

constexpr char kLevelSigns[] = ".-*#";
constexpr std::string_view kLevelNames[] = {"debug", "verbose", "notice", "warning"};

std::string timestamp(LogTimestamps format) {
  timeval now{};
  gettimeofday(&now, nullptr);
  const long milliseconds = now.tv_usec / 1000;
  char text[64];
  if (format == LogTimestamps::kMilliseconds) {
    std::snprintf(text, sizeof text, "%lld", static_cast<long long>(now.tv_sec) * 1000 + milliseconds);
    return text;
  }
  tm local{};
  localtime_r(&now.tv_sec, &local);
  char date[40];
  if (format == LogTimestamps::kLegacy) {
    ::strftime(date, sizeof date, "%d %b %Y %H:%M:%S", &local);
    std::snprintf(text, sizeof text, "%s.%03ld", date, milliseconds);
    return text;
  }
  char zone[8];
  ::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &local);
  ::strftime(zone, sizeof zone, "%z", &local);
  std::snprintf(text, sizeof text, "%s.%03ld%.3s:%.2s", date, milliseconds, zone, zone + 3);
  return text;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return;  // a log that can't be written must not stop the server
    bytes.remove_prefix(static_cast<size_t>(put));
  }
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

}  // namespace

void ServerLog::line(LogLevel level, std::string_view text) {
  if (level < settings_.loglevel) return;
  const auto index = static_cast<size_t>(level);
  const std::string pid = std::to_string(::getpid());
  const std::string when = timestamp(settings_.log_timestamps);
  std::string out;
  if (settings_.log_format == LogFormat::kLogfmt) {
    out = "pid=" + pid + " role=" + static_cast<char>(role_) + " timestamp=\"" + when + "\" level=";
    out.append(kLevelNames[index]);
    out += " message=\"" + escaped(text) + "\"\n";
  } else {
    out = pid + ":" + static_cast<char>(role_) + " " + when + " " + kLevelSigns[index] + " ";
    out.append(text);
    out += '\n';
  }
  if (file_.empty()) {
    write_all(STDOUT_FILENO, out);
    return;
  }
  const UniqueFd fd(::open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (fd.valid()) write_all(fd.get(), out);
}

std::string ServerLog::probe() const {
  if (file_.empty()) return {};
  const UniqueFd fd(::open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (fd.valid()) return {};
  return "can't open the log file '" + file_ + "': " + std::strerror(errno);
}

}  // namespace quorate

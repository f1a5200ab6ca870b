// The server's log: lines in Redis' form (or logfmt) to standard output or a file.
#pragma once

#include <string>
#include <string_view>

#include "node/process_settings.h"

namespace quorate {

// Who speaks: before the configuration is applied, and after.
enum class LogRole : char { kConfiguring = 'C', kMaster = 'M', kSignal = 'X' };

// Owned by main.  The file is opened for each line, as Redis does it, so that it can be rotated at any time.
class ServerLog {
 public:
  explicit ServerLog(const ProcessSettings& settings) : settings_(settings) {}
  void set_role(LogRole role) { role_ = role; }
  void line(LogLevel level, std::string_view text);
  // Where the file is: made absolute before the process changes its directory.
  void set_file(std::string path) { file_ = std::move(path); }
  const std::string& file() const { return file_; }
  // Can the file be opened?  Empty: yes; else why not.
  std::string probe() const;

 private:
  const ProcessSettings& settings_;
  LogRole role_ = LogRole::kConfiguring;
  std::string file_;
};

}  // namespace quorate

// The process as the node's host: settings that concern the operating system, CONFIG REWRITE, facts for
// INFO, the end.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "node/config.h"
#include "node/host.h"
#include "node/start_mark.h"
#include "server/server_log.h"

namespace quorate {

class Listeners;
class UvDriver;

// Owned by main; outlives the node.
class Process : public Host {
 public:
  Process(Configuration& configuration, ProcessSettings& settings, ServerLog& log);

  // Where others knock.
  struct Doors {
    Listeners& clients;
    Listeners& cluster_clients;
    Listeners& peers;
  };
  // Known only after start: what settings_changed and facts() need.
  void attach(const Doors& doors, UvDriver& driver, std::function<void(ProcessEnd)> end);
  // The file that CONFIG REWRITE writes; empty: none.
  void set_config_file(std::string absolute_path) { config_file_ = std::move(absolute_path); }
  void set_executable(std::string path) { executable_ = std::move(path); }
  void set_supervised(std::string name) { supervised_ = std::move(name); }
  const std::string& config_file() const { return config_file_; }

  Status settings_changed(std::span<const std::string_view> names) override;
  Status rewrite_config() override;
  ProcessFacts facts() override;
  void log(LogLevel level, std::string_view line) override;
  void end_process(ProcessEnd end) override;

 private:
  Status listen_anew(std::string_view setting);

  Configuration& configuration_;
  ProcessSettings& settings_;
  ServerLog& log_;
  std::optional<Doors> doors_;
  UvDriver* driver_ = nullptr;
  std::function<void(ProcessEnd)> end_;
  std::string config_file_;
  std::string executable_;
  std::string supervised_ = "no";
};

// Raises the limit of open files so that `clients` fit, or as far as it goes.  Returns how many clients fit.
int64_t make_room_for_clients(int64_t clients);

// An address at which other machines may reach this one: the first of an interface that is up and no loopback, IPv4 before IPv6.
// Empty: there is none.
std::string find_machine_address();

// Another one after each start of the machine; zeros: the system does not say.
BootId read_boot_id();

// Writes oom_score_adj as the settings say; an error's detail says why that failed.
Status adjust_oom_score(const ProcessSettings& settings);

// Replaces `path` by `text`, so that a crash leaves the old or the new one, and perhaps a temporary file beside it.
Status replace_file(const std::string& path, std::string_view text);
// Removes that.
void remove_replacement(const std::string& path);

Result<std::string> read_whole_file(const std::string& path, size_t size_max);

}  // namespace quorate

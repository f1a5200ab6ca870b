// The command line of quorate-server.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/config_syntax.h"
#include "util/result.h"

namespace quorate {

constexpr std::string_view kServerVersion = "0.1.0";

struct Options {
  enum class Action { kServe, kHelp, kVersion, kCheckConfig, kWhere, kImportRdb, kExportRdb };
  Action action = Action::kServe;
  std::string argument;     // of kWhere, kImportRdb, kExportRdb
  std::string config_file;  // empty: none; "-": standard input
  std::vector<Directive> settings;
};

// An error's detail is for the user.
Result<Options> read_command_line(std::span<const std::string> args);

std::string_view help_text();

// Files as they are on this machine, patterns by glob(3).
class SystemConfigFiles : public ConfigFiles {
 public:
  Result<std::vector<File>> read(std::string_view pattern) override;
};

// The directives of the configuration file ("-": standard input), then those of the command line.
Result<std::vector<Directive>> gather_directives(const Options& options);

}  // namespace quorate

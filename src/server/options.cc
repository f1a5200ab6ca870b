// Reading the command line and the files it names.
#include "server/options.h"

#include <glob.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "server/process.h"

namespace quorate {

namespace {

struct ActionWord {
  std::string_view word;
  Options::Action action;
  bool takes_argument;
};
constexpr ActionWord kActionWords[] = {
    {"--help", Options::Action::kHelp, false},
    {"-h", Options::Action::kHelp, false},
    {"--version", Options::Action::kVersion, false},
    {"-v", Options::Action::kVersion, false},
    {"--check-config", Options::Action::kCheckConfig, false},
    {"--where", Options::Action::kWhere, true},
    {"--import-rdb", Options::Action::kImportRdb, true},
    {"--export-rdb", Options::Action::kExportRdb, true},
};

Result<std::string> read_standard_input() {
  std::string text;
  char chunk[16 * 1024];
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error(ErrorCode::kIo, "can't read the configuration from standard input");
    if (got == 0) return text;
    text.append(chunk, static_cast<size_t>(got));
    if (text.size() > kConfigBytesMax) return Error(ErrorCode::kIo, "the configuration is too large");
  }
}

}  // namespace

Result<Options> read_command_line(std::span<const std::string> args) {
  Options options;
  std::vector<std::string> rest;
  for (size_t i = 0; i < args.size(); ++i) {
    const ActionWord* action = nullptr;
    for (const ActionWord& row : kActionWords)
      if (row.word == args[i]) action = &row;
    if (action != nullptr) {
      options.action = action->action;
      if (!action->takes_argument) continue;
      if (i + 1 == args.size()) return Error(ErrorCode::kInvalidArgument, args[i] + " needs an argument");
      options.argument = args[++i];
    } else if (i == 0 && (args[i] == "-" || !args[i].starts_with("-"))) {
      options.config_file = args[i];
    } else {
      rest.push_back(args[i]);
    }
  }
  TRY(options.settings, command_line_directives(rest));
  return options;
}

std::string_view help_text() {
  return "Usage: quorate-server [CONFIG-FILE] [--SETTING VALUE ...]\n"
         "       quorate-server -            (configuration from standard input)\n"
         "\n"
         "  --check-config        read the configuration, say whether it is good, and end\n"
         "  --import-rdb FILE     load an RDB file into the (empty) data directory, and end\n"
         "  --export-rdb FILE     write the data directory's content as an RDB file, and end\n"
         "  --where COMMAND       say in which source file a command is implemented\n"
         "  --version, -v         --help, -h\n"
         "\n"
         "Settings have redis.conf's names and syntax; those of the command line override the file's:\n"
         "  quorate-server /etc/quorate.conf --port 7002 --appendfsync always --save ''\n"
         "Without settings it listens on 127.0.0.1 port 7001 and keeps its data in the current directory.\n";
}

Result<std::vector<ConfigFiles::File>> SystemConfigFiles::read(std::string_view pattern) {
  std::vector<File> files;
  const std::string path(pattern);
  std::vector<std::string> names;
  if (path.find_first_of("*?[") == std::string::npos) {
    names.push_back(path);
  } else {
    glob_t found{};
    if (::glob(path.c_str(), 0, nullptr, &found) == 0)
      for (size_t i = 0; i < found.gl_pathc; ++i) names.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
  }
  for (std::string& name : names) {
    TRY(std::string text, read_whole_file(name, kConfigBytesMax));
    files.push_back({std::move(name), std::move(text)});
  }
  return files;
}

Result<std::vector<Directive>> gather_directives(const Options& options) {
  std::vector<Directive> directives;
  SystemConfigFiles files;
  if (options.config_file == "-") {
    TRY(const std::string text, read_standard_input());
    TRY(read_directives(text, "standard input", files, directives));
  } else if (!options.config_file.empty()) {
    TRY(const std::string text, read_whole_file(options.config_file, kConfigBytesMax));
    TRY(read_directives(text, options.config_file, files, directives));
  }
  directives.insert(directives.end(), options.settings.begin(), options.settings.end());
  return directives;
}

}  // namespace quorate

// quorate-server: reads the command line and does what it asks for.
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "server/options.h"
#include "server/server.h"

#ifdef QUORATE_JEMALLOC
// Read by jemalloc when it starts.  With disable-thp no, huge pages spare a random look-up most of its address
// translation; but clearing one at its first touch makes a turn of the loop milliseconds long, so it is not the default.
// No arena for large blocks, since it gives back what is freed within the call; see return_memory_in_background().
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "thp:always,oversize_threshold:0";
}
#endif

namespace {

int print(std::FILE* to, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), to);
  return to == stdout ? 0 : 1;
}

int refuse_configuration(const quorate::Error& error) {
  return print(stderr, "\n*** FATAL CONFIG FILE ERROR (Quorate " + std::string(quorate::kServerVersion) + ") ***\n" +
                           std::string(error.detail()) + "\n");
}

std::string executable_path(const char* given) {
  char absolute[PATH_MAX];
  return ::realpath("/proc/self/exe", absolute) != nullptr ? absolute : given;
}

}  // namespace

int main(int argc, char** argv) {
  using quorate::Options;
  const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  const auto options = quorate::read_command_line(args);
  if (!options.ok()) return refuse_configuration(options.error());

  quorate::Server server;
  switch (options.value().action) {
    case Options::Action::kHelp:
      return print(stdout, quorate::help_text());
    case Options::Action::kVersion:
      return print(stdout, "Quorate server v=" + std::string(quorate::kServerVersion) + " bits=64\n");
    case Options::Action::kWhere:
      return print(stderr, "this is not built yet\n");
    case Options::Action::kImportRdb:
    case Options::Action::kExportRdb:
    case Options::Action::kCheckConfig:
    case Options::Action::kServe:
      break;
  }
  const quorate::Status configured = server.configure(options.value());
  if (!configured.ok()) return refuse_configuration(configured.error());
  if (options.value().action == Options::Action::kCheckConfig) return print(stdout, "the configuration is good\n");
  if (options.value().action == Options::Action::kImportRdb) return server.import_rdb(options.value().argument);
  if (options.value().action == Options::Action::kExportRdb) return server.export_rdb(options.value().argument);
  return server.serve(executable_path(argv[0]));
}

// rt: runs scripts (.rt) in one world.
//
//   rt --world inprocess [--rewrite] FILE...
//   rt --world socket|follower|redis --port P [--rewrite] FILE...
//   rt --parse FILE...
//
// `redis` is a peer whose version decides about `since` marks; `socket` is quorate-server, `follower` a node of a cluster.  --rewrite writes the
// replies that came into the scripts.  Exit status: 0 good, 1 wrong, 2 usage or a script that cannot be read,
// 77 nothing ran: this world does not exist here, or all is marked for another.
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/rt/runner.h"
#include "tests/rt/script.h"
#include "tests/rt/world.h"
#include "util/number.h"

namespace {

using quorate::rt::World;

constexpr int kWrong = 1;
constexpr int kUsage = 2;
constexpr int kSkipped = 77;

struct Options {
  std::string world;
  int port = 0;
  bool rewrite = false;
  bool parse_only = false;
  std::vector<std::string> files;
};

int usage() {
  std::fprintf(stderr, "usage: rt --world inprocess|socket|follower|redis [--port P] [--rewrite] FILE...\n"
                       "       rt --parse FILE...\n");
  return kUsage;
}

bool parse_options(int argc, char** argv, Options& options) {
  for (int at = 1; at < argc; ++at) {
    const std::string_view word = argv[at];
    if (word == "--rewrite") {
      options.rewrite = true;
    } else if (word == "--parse") {
      options.parse_only = true;
    } else if (word == "--world" && at + 1 < argc) {
      options.world = argv[++at];
    } else if (word == "--port" && at + 1 < argc) {
      const auto port = quorate::parse_int(argv[++at]);
      if (!port || *port < 1 || *port > 65535) return false;
      options.port = static_cast<int>(*port);
    } else if (word.starts_with("-")) {
      return false;
    } else {
      options.files.emplace_back(word);
    }
  }
  const bool needs_port = options.world == "socket" || options.world == "follower" || options.world == "redis";
  if (options.files.empty()) return false;
  if (options.parse_only) return options.world.empty();
  return (options.world == "inprocess" || needs_port) && needs_port == (options.port != 0);
}

bool read_file(const std::string& path, std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return false;
  char chunk[64 * 1024];
  for (size_t size = 0; (size = std::fread(chunk, 1, sizeof chunk, file)) > 0;) text.append(chunk, size);
  const bool is_good = std::ferror(file) == 0;
  std::fclose(file);
  return is_good;
}

bool write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return false;
  const bool is_good = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return std::fclose(file) == 0 && is_good;
}

// Reads all scripts first: a slip in the last one is said at once.
bool read_scripts(const Options& options, std::vector<quorate::rt::Script>& scripts) {
  std::vector<std::string> errors;
  const auto rule = options.rewrite ? quorate::rt::ReplyRule::kMayLack : quorate::rt::ReplyRule::kRequired;
  for (const std::string& path : options.files) {
    std::string text;
    if (!read_file(path, text)) {
      errors.push_back(path + ": cannot be read");
      continue;
    }
    auto script = quorate::rt::parse_script(path, text, rule, errors);
    if (script) scripts.push_back(std::move(*script));
  }
  for (const std::string& error : errors) std::fprintf(stderr, "%s\n", error.c_str());
  return errors.empty();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) return usage();
  std::vector<quorate::rt::Script> scripts;
  if (!read_scripts(options, scripts)) return kUsage;
  if (options.parse_only) return 0;

  int replies = 0;
  int wrong = 0;
  int skipped = 0;
  for (const quorate::rt::Script& script : scripts) {
    std::string error = "this tree has no in-process world yet";
    const std::unique_ptr<World> world = options.world == "inprocess"
                                             ? quorate::rt::make_inprocess_world()
                                             : quorate::rt::connect_socket_world(options.world, options.port, error);
    if (world == nullptr) {
      std::printf("skipped: %s\n", error.c_str());
      return options.world == "inprocess" ? kSkipped : kWrong;
    }
    quorate::rt::Runner runner(*world, script, {.rewrite = options.rewrite});
    const quorate::rt::RunResult result = runner.run();
    for (const std::string& message : result.messages) std::printf("%s\n", message.c_str());
    if (options.rewrite && !write_file(script.path, result.rewritten)) {
      std::printf("%s: cannot be written\n", script.path.c_str());
      ++wrong;
    }
    replies += result.replies;
    wrong += result.wrong;
    skipped += result.blocks_skipped;
  }
  std::printf("rt %s: %zu scripts, %d replies, %d wrong, %d blocks skipped\n", options.world.c_str(),
              scripts.size(), replies, wrong, skipped);
  if (wrong == 0 && replies == 0) {
    std::printf("skipped: every block is marked for another world or version\n");
    return kSkipped;
  }
  return wrong == 0 ? 0 : kWrong;
}

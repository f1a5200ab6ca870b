// Runs an interaction script: `interaction [--rewrite] FILE...`.  A script is a row of blocks:
//
//   # why this is so
//   command
//   another command
//   ----
//   what they show
//
// The commands are in world.cc.  --rewrite puts what is shown now in place of what is written; the
// diff is read like code.  Exits 0 as written, 1 otherwise, 2 usage.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/interaction/world.h"

namespace {

constexpr std::string_view kRule = "----";

// The script as it should read: the same lines, and under each rule what its commands show now.
std::string carry_out(const std::string& script) {
  quorate::interaction::World world;
  std::istringstream lines(script);
  std::string line, text, shown;
  bool in_shown = false;
  while (std::getline(lines, line)) {
    if (in_shown) {
      // What is written ends at the first empty line.
      if (!line.empty()) continue;
      in_shown = false;
    }
    text += line + "\n";
    if (line == kRule) {
      text += shown;
      shown.clear();
      in_shown = true;
    } else if (!line.empty() && line[0] != '#') {
      shown += world.run(line);
    }
  }
  return text;
}

int run_file(const std::string& path, bool rewrite) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
    return 2;
  }
  const std::string written{std::istreambuf_iterator<char>(in), {}};
  in.close();
  const std::string shown = carry_out(written);
  if (shown == written) return 0;
  if (rewrite) {
    std::ofstream(path, std::ios::binary) << shown;
    return 0;
  }
  // The first line that differs, with what should be there.
  std::istringstream old_lines(written), new_lines(shown);
  std::string old_line, new_line;
  int number = 0;
  do {
    ++number;
    if (!std::getline(old_lines, old_line)) old_line = "(end)";
    if (!std::getline(new_lines, new_line)) new_line = "(end)";
  } while (old_line == new_line);
  std::fprintf(stderr,
               "%s:%d:\n  written: %s\n  shown:   %s\n(interaction --rewrite %s shows it all)\n",
               path.c_str(), number, old_line.c_str(), new_line.c_str(), path.c_str());
  return 1;
}

}  // namespace

int main(int count, char** words) {
  bool rewrite = false;
  std::vector<std::string> paths;
  for (int index = 1; index < count; ++index) {
    const std::string_view word = words[index];
    if (word == "--rewrite") {
      rewrite = true;
    } else {
      paths.emplace_back(word);
    }
  }
  if (paths.empty()) {
    std::fprintf(stderr, "usage: interaction [--rewrite] FILE...\n");
    return 2;
  }
  int status = 0;
  for (const std::string& path : paths) {
    const int one = run_file(path, rewrite);
    if (one > status) status = one;
  }
  return status;
}

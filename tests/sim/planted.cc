// The child tells its parent through a pipe.
#include "tests/sim/planted.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "util/check.h"

namespace quorate::sim {

std::string notice(const std::function<SimResult()>& run) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(ends[0]);
    // A CHECK's own words would only confuse: here it is meant to fail.
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
    const SimResult result = run();
    if (!result.good && !result.no_progress) {
      const std::string line = result.message.substr(0, result.message.find('\n'));
      if (write(ends[1], line.data(), line.size()) < 0) _exit(1);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[400];
  for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  const bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return ended_well ? text : "a CHECK failed";
}

int search(const SelfCheck& check, std::string_view name, uint64_t seeds_max,
           const std::function<SimResult(uint64_t seed)>& run) {
  if (!name.starts_with(check.mistake)) return 0;
  const uint64_t seeds = check.seeds.value_or(seeds_max);
  uint64_t noticed = 0;
  uint64_t first = 0;
  std::string text;
  for (uint64_t tried = 0; tried < seeds && (noticed == 0 || check.counts); ++tried) {
    const std::string seen = notice([&] { return run(check.first_seed + tried); });
    if (seen.empty()) continue;
    if (noticed++ > 0) continue;
    first = tried + 1;
    text = seen;
  }
  if (noticed == 0) {
    std::printf("planted: %.*s -> NOT NOTICED in %" PRIu64 " seeds\n",
                static_cast<int>(name.size()), name.data(), seeds);
  } else if (check.counts) {
    std::printf("planted: %.*s -> noticed by %" PRIu64 " of %" PRIu64 " seeds, the first was %" PRIu64
                ": %s\n",
                static_cast<int>(name.size()), name.data(), noticed, seeds, first, text.c_str());
  } else {
    std::printf("planted: %.*s -> noticed after %" PRIu64 " of %" PRIu64 " seeds: %s\n",
                static_cast<int>(name.size()), name.data(), first, seeds, text.c_str());
  }
  std::fflush(stdout);
  return noticed == 0 ? 1 : 0;
}

}  // namespace quorate::sim

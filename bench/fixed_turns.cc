// The floor of a server's longest turn: turns of the same small work, one after the other, and the
// CPU time of the longest.  The work never changes, so what the longest takes above the median is
// the machine's: interrupts, and what a hypervisor takes away while a thread's clock of CPU time
// goes on.
//
//   fixed-turns [--seconds 5]
//
// A turn goes over 64 KB of memory some times.  Prints one line:
// `turns N p50 p99.9 max` in milliseconds of CPU time.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace {

constexpr size_t kWords = 8192;     // 64 KB
constexpr int kRoundsOfATurn = 16;  // about 0.15 ms on the machine of BENCHMARKS.md

int64_t read_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * int64_t{1'000'000'000} + t.tv_nsec;
}

uint64_t turn(std::vector<uint64_t>& words) {
  uint64_t sum = 0;
  for (int round = 0; round < kRoundsOfATurn; ++round) {
    for (uint64_t& word : words) {
      word = word * 6364136223846793005U + 1442695040888963407U;
      sum += word;
    }
  }
  return sum;
}

double at_ms(const std::vector<int64_t>& sorted, double share) {
  return static_cast<double>(
             sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))]) /
         1e6;
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 5;
  if (argc == 3 && strcmp(argv[1], "--seconds") == 0) {
    seconds = atof(argv[2]);
  } else if (argc != 1) {
    fprintf(stderr, "usage: fixed-turns [--seconds S]\n");
    return 2;
  }
  std::vector<uint64_t> words(kWords, 1);
  std::vector<int64_t> turns;
  const int64_t end = read_ns(CLOCK_MONOTONIC) + static_cast<int64_t>(seconds * 1e9);
  uint64_t sum = 0;
  do {
    const int64_t begin = read_ns(CLOCK_THREAD_CPUTIME_ID);
    sum += turn(words);
    turns.push_back(read_ns(CLOCK_THREAD_CPUTIME_ID) - begin);
  } while (read_ns(CLOCK_MONOTONIC) < end);
  std::sort(turns.begin(), turns.end());
  printf("turns %zu p50 %.3f p99.9 %.3f max %.3f\n", turns.size(), at_ms(turns, 0.5),
         at_ms(turns, 0.999), at_ms(turns, 1));
  return sum == 0 ? 1 : 0;  // the sum is used, or the work would be left out
}

// main() of the fuzzers in the ordinary build: feeds the saved corpus, then seeded mutations of it, to
// LLVMFuzzerTestOneInput for a short time.  libFuzzer (tools/dev fuzz) finds more; this finds what a change
// broke, everywhere and always, and a seed replays it.
//
//   NAME_fuzz                     the corpus, then QUORATE_FUZZ_SECONDS (2) of mutations from a drawn seed
//   NAME_fuzz --seed N            the same mutations as the run that printed this seed
//   NAME_fuzz --seed N --only I   only input number I of that run
//   NAME_fuzz FILE...             only these inputs
//
// A fuzzer may define `fuzz_dictionary` (see below) with the words of its language.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "util/number.h"
#include "util/prng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Defined by a fuzzer that wants it: words that mutations insert.
std::span<const std::string_view> fuzz_dictionary() __attribute__((weak));

namespace {

using quorate::Prng;

constexpr size_t kInputSizeMax = 4096;
constexpr int kStepsMax = 8;
constexpr size_t kPoolMax = 256;

// Words of RESP, RDB and effects, for every fuzzer.
constexpr std::string_view kWords[] = {
    "\r\n",  "*",          "$",          "*1\r\n",    "*3\r\n$3\r\nSET\r\n", "$-1\r\n", "*-1\r\n",
    "+OK\r\n", ":1\r\n",     "%1\r\n",     "~1\r\n",    "_\r\n",   ",1.5\r\n", "#t\r\n",  "(123\r\n",
    "=7\r\ntxt:abc\r\n",     "|1\r\n",     ">2\r\n",    "$0\r\n\r\n", "9223372036854775807",
    "-9223372036854775808", "18446744073709551616", "4294967295", "-1", "0", "1048577", "536870913",
    "REDIS0010", "REDIS0011", "\xfa",    "\xfb",      "\xfc",    "\xfd",    "\xfe",    "\xff",
    "\x80\x7f\xff\xff\xff", "\x81\x7f\xff\xff\xff\xff\xff\xff\xff", "\xc0", "\xc1", "\xc2", "\xc3",
    "inf", "-inf", "nan", "1e400", "\"", "'", "\\x00"};

// What is being tried, for the signal handler that says how to repeat it.
struct Current {
  uint64_t seed = 0;
  uint64_t number = 0;
  const char* file = nullptr;
};
Current g_current;

void print_reproduction() {
  if (g_current.file != nullptr) {
    std::fprintf(stderr, "reproduce: %s %s\n", QUORATE_FUZZER_NAME, g_current.file);
  } else {
    std::fprintf(stderr, "reproduce: %s --seed %llu --only %llu\n", QUORATE_FUZZER_NAME,
                 static_cast<unsigned long long>(g_current.seed),
                 static_cast<unsigned long long>(g_current.number));
  }
}

extern "C" void on_abort(int signal_number) {
  print_reproduction();
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

// AddressSanitizer ends the process by _exit, not by a signal: this is its hook.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

// UndefinedBehaviorSanitizer's copy of that hook cannot be reached: let it abort instead.
extern "C" const char* __ubsan_default_options();
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

void try_input(const std::string& input) {
  // An allocation of exactly the input's size, so that a read behind it is seen.
  std::vector<uint8_t> bytes(input.begin(), input.end());
  bytes.shrink_to_fit();
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

bool read_file(const std::filesystem::path& path, std::string& bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  bytes.assign(std::istreambuf_iterator<char>(file), {});
  return true;
}

class Mutator {
 public:
  Mutator(uint64_t seed, const std::vector<std::string>& corpus) : prng_(seed), pool_(corpus) {
    pool_.emplace_back();
    words_.assign(std::begin(kWords), std::end(kWords));
    if (fuzz_dictionary != nullptr) {
      for (const std::string_view word : fuzz_dictionary()) words_.push_back(word);
    }
  }

  std::string next() {
    std::string input = pool_[prng_.below(pool_.size())];
    const int steps = 1 + static_cast<int>(prng_.below(kStepsMax));
    for (int step = 0; step < steps; ++step) mutate(input);
    if (input.size() > kInputSizeMax) input.resize(kInputSizeMax);
    // Now and then a child becomes a parent: several steps away from the corpus is where the odd ones are.
    if (prng_.chance(0.05)) {
      if (pool_.size() < kPoolMax) {
        pool_.push_back(input);
      } else {
        pool_[prng_.below(pool_.size())] = input;
      }
    }
    return input;
  }

 private:
  size_t place(const std::string& input) { return prng_.below(input.size() + 1); }

  void mutate(std::string& input) {
    const uint64_t kind = prng_.below(9);
    if (input.empty() || kind == 0) return insert_word(input);
    const size_t at = prng_.below(input.size());
    const size_t length = 1 + prng_.below(std::min<size_t>(input.size() - at, 64));
    switch (kind) {
      case 1: input[at] = static_cast<char>(input[at] ^ (1 << prng_.below(8))); break;
      case 2: input[at] = static_cast<char>(prng_.next()); break;
      case 3: input.erase(at, length); break;
      case 4: input.insert(place(input), input.substr(at, length)); break;
      case 5: splice(input, at); break;
      case 6: add_to_number(input, at); break;
      case 7: input.resize(at); break;
      default: insert_word(input); break;
    }
  }

  void insert_word(std::string& input) {
    if (prng_.chance(0.2)) {
      std::string bytes;
      for (uint64_t left = 1 + prng_.below(8); left > 0; --left) bytes += static_cast<char>(prng_.next());
      input.insert(place(input), bytes);
      return;
    }
    const std::string_view word = words_[prng_.below(words_.size())];
    const size_t at = place(input);
    if (prng_.chance(0.5)) {
      input.insert(at, word);
    } else {
      input.replace(at, word.size(), word);
    }
  }

  void splice(std::string& input, size_t at) {
    const std::string& other = pool_[prng_.below(pool_.size())];
    const size_t from = prng_.below(other.size() + 1);
    input = input.substr(0, at) + other.substr(from);
  }

  // The lengths of text formats are decimal numbers: off by one is the classic.
  void add_to_number(std::string& input, size_t at) {
    size_t digit = input.find_first_of("0123456789", at);
    if (digit == std::string::npos) return insert_word(input);
    input[digit] = static_cast<char>('0' + prng_.below(10));
  }

  Prng prng_;
  std::vector<std::string> pool_;
  std::vector<std::string_view> words_;
};

std::vector<std::string> load_corpus() {
  std::vector<std::filesystem::path> paths;
  std::error_code no_folder;
  for (const auto& entry : std::filesystem::directory_iterator(QUORATE_CORPUS, no_folder)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::string bytes;
    if (!read_file(path, bytes)) continue;
    const std::string name = path.string();
    g_current.file = name.c_str();
    try_input(bytes);
    g_current.file = nullptr;
    corpus.push_back(std::move(bytes));
  }
  return corpus;
}

int run_files(int count, char** names) {
  for (int index = 0; index < count; ++index) {
    std::string bytes;
    if (!read_file(names[index], bytes)) {
      std::fprintf(stderr, "%s: cannot be read\n", names[index]);
      return 2;
    }
    g_current.file = names[index];
    try_input(bytes);
  }
  std::printf("%d inputs, nothing found\n", count);
  return 0;
}

void run_mutations(Mutator& mutator, uint64_t seed, int64_t only, double seconds) {
  g_current.seed = seed;
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  for (uint64_t number = 0;; ++number) {
    g_current.number = number;
    const std::string input = mutator.next();
    if (only < 0 || static_cast<uint64_t>(only) == number) try_input(input);
    const bool is_over = only >= 0 ? static_cast<uint64_t>(only) == number
                                   : number % 16 == 15 && Clock::now() >= end;
    if (is_over) {
      std::printf("seed %llu: %llu mutations, nothing found\n", static_cast<unsigned long long>(seed),
                  static_cast<unsigned long long>(number + 1));
      return;
    }
  }
}

int usage() {
  std::fprintf(stderr, "usage: %s [--seed N [--only I]] | FILE...\n", QUORATE_FUZZER_NAME);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGABRT, on_abort);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(print_reproduction);
  uint64_t seed = std::random_device{}();
  int64_t only = -1;
  int at = 1;
  for (; at < argc && std::string_view(argv[at]).starts_with("--"); at += 2) {
    const std::string_view name = argv[at];
    const auto value = at + 1 < argc ? quorate::parse_int(argv[at + 1]) : std::nullopt;
    if (!value || *value < 0) return usage();
    if (name == "--seed") {
      seed = static_cast<uint64_t>(*value);
    } else if (name == "--only") {
      only = *value;
    } else {
      return usage();
    }
  }
  if (at < argc) return run_files(argc - at, argv + at);
  double seconds = 2;
  if (const char* budget = std::getenv("QUORATE_FUZZ_SECONDS")) {
    const auto value = quorate::parse_double(budget);
    if (!value || *value < 0) return usage();
    seconds = *value;
  }
  const std::vector<std::string> corpus = load_corpus();
  std::printf("%s: %zu inputs of the corpus, seed %llu\n", QUORATE_FUZZER_NAME, corpus.size(),
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  Mutator mutator(seed, corpus);
  run_mutations(mutator, seed, only, seconds);
  return 0;
}

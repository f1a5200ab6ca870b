// Times and sizes of sets and sorted sets by themselves, without commands and sockets.
//   ninja sorted_set_bench && bin/sorted_set_bench [MEMBERS]
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "store/set.h"
#include "store/sorted_set.h"
#include "util/memory.h"
#include "util/prng.h"

namespace {

using quorate::Prng;
using quorate::Set;
using quorate::SortedSet;
using quorate::StoreSettings;

// Counts the processor's time, so that other work on the machine disturbs less.
class Stopwatch {
 public:
  // Nanoseconds for each of `count` operations since construction.
  double each(size_t count) const {
    return static_cast<double>(std::clock() - begin_) * (1e9 / CLOCKS_PER_SEC) /
           static_cast<double>(count);
  }

 private:
  std::clock_t begin_ = std::clock();
};

void say(const char* what, double value, const char* unit) {
  std::printf("  %-34s %9.1f %s\n", what, value, unit);
}

std::vector<std::string> shuffled_names(size_t count, Prng& prng) {
  std::vector<std::string> names(count);
  for (size_t index = 0; index < count; ++index) {
    char text[32];
    std::snprintf(text, sizeof text, "member:%09zu", index);
    names[index] = text;
  }
  for (size_t index = count; index > 1; --index) {
    std::swap(names[index - 1], names[prng.below(index)]);
  }
  return names;
}

void measure_sorted_set(const std::vector<std::string>& names, Prng& prng) {
  const StoreSettings settings;
  const size_t count = names.size();
  SortedSet set;
  std::printf("sorted set of %zu members of 16 bytes\n", count);
  const uint64_t used_before = quorate::mem_used();
  const Stopwatch adding;
  for (const std::string& name : names) set.set(name, prng.fraction() * 1e6, settings);
  say("add, random score", adding.each(count), "ns");
  const auto each = static_cast<double>(count);
  say("memory by its own count", static_cast<double>(set.memory_bytes()) / each, "bytes a member");
  say("memory by the allocator", static_cast<double>(quorate::mem_used() - used_before) / each,
      "bytes a member");
  const Stopwatch updating;
  for (const std::string& name : names) set.set(name, prng.fraction() * 1e6, settings);
  say("change to a random score", updating.each(count), "ns");
  const Stopwatch asking;
  for (const std::string& name : names) set.score(name);
  say("score", asking.each(count), "ns");
  const Stopwatch ranking;
  size_t sum = 0;
  for (const std::string& name : names) sum += *set.rank(name);
  say("rank", ranking.each(count), "ns");
  const Stopwatch walking;
  set.for_each([&sum](std::string_view name, double) { sum += name.size(); });
  say("walk", walking.each(count), "ns");
  const Stopwatch drawing;
  for (size_t index = 0; index < count; ++index) sum += set.random_item(prng).member.size();
  say("random member", drawing.each(count), "ns");
  const Stopwatch popping;
  for (size_t index = 0; index < count / 2; ++index) set.remove_ranks(0, 1);
  say("pop the lowest", popping.each(count / 2), "ns");
  const Stopwatch freeing;
  set.destroy();
  say("free", freeing.each(count / 2), "ns");
  if (sum == 0) std::abort();
  const Stopwatch appending;
  for (size_t index = 0; index < count; ++index)
    set.set(names[index], static_cast<double>(index), settings);
  say("add, rising score", appending.each(count), "ns");
  say("memory by its own count", static_cast<double>(set.memory_bytes()) / each, "bytes a member");
  set.destroy();
  const Stopwatch equal;
  for (size_t index = 0; index < count; ++index) set.set(names[index], 0, settings);
  say("add, equal scores", equal.each(count), "ns");
  set.destroy();
}

void measure_set(const std::vector<std::string>& names, Prng& prng) {
  const StoreSettings settings;
  const size_t count = names.size();
  Set set;
  std::printf("set of %zu members of 16 bytes\n", count);
  const Stopwatch adding;
  for (const std::string& name : names) set.add(name, settings);
  say("add", adding.each(count), "ns");
  say("memory by its own count",
      static_cast<double>(set.memory_bytes()) / static_cast<double>(count), "bytes a member");
  const Stopwatch asking;
  size_t found = 0;
  for (const std::string& name : names) found += set.contains(name) ? 1 : 0;
  say("contains", asking.each(count), "ns");
  if (found != count) std::abort();
  const Stopwatch popping;
  for (size_t index = 0; index < count; ++index) {
    Set::Scratch scratch;
    set.remove(set.random_member(prng, scratch));
  }
  say("pop a random one, until empty", popping.each(count), "ns");
  set.destroy();
}

}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000;
  Prng prng(1);
  const std::vector<std::string> names = shuffled_names(count, prng);
  measure_sorted_set(names, prng);
  measure_set(names, prng);
}

// What parsing and replying cost: nanoseconds a command, for the commands and pipelines of the benchmarks.
// Build and run: ninja -C build request_parser_bench && taskset -c 1 build/bin/request_parser_bench
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "resp/reply.h"
#include "resp/request_parser.h"

namespace quorate {
namespace {

std::string encoded(const std::vector<std::string>& words) {
  std::string text;
  Buffer out;
  Reply reply(out, Protocol::kResp2);
  reply.array(words.size());
  for (const std::string& word : words) reply.bulk(word);
  text.assign(out.view());
  return text;
}

using Clock = std::chrono::steady_clock;

double nanoseconds_since(Clock::time_point start, size_t count) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / static_cast<double>(count);
}

void bench_parser(const char* name, const std::vector<std::string>& words, size_t pipeline) {
  std::string input;
  for (size_t command = 0; command < pipeline; ++command) input += encoded(words);
  RequestParser parser;
  std::vector<Request> requests;
  const RequestLimits limits;
  const size_t rounds = 4000000 / pipeline;
  size_t bytes = 0;
  const auto start = Clock::now();
  for (size_t round = 0; round < rounds; ++round) {
    size_t consumed = 0;
    parser.parse(input, limits, 10000, requests, consumed);
    bytes += consumed + requests.back().args.back().size();
  }
  std::printf("parse %-16s P=%-3zu %6.1f ns  (%zu)\n", name, pipeline,
              nanoseconds_since(start, rounds * pipeline), bytes % 10);
}

template <class Write>
void bench_reply(const char* name, Write write) {
  Buffer out;
  Reply reply(out, Protocol::kResp2);
  constexpr size_t kRounds = 4000000;
  const auto start = Clock::now();
  for (size_t round = 0; round < kRounds; ++round) {
    if (round % 64 == 0) out.clear();
    write(reply, round);
  }
  std::printf("reply %-16s       %6.1f ns  (%zu)\n", name, nanoseconds_since(start, kRounds), out.size() % 10);
}

}  // namespace
}  // namespace quorate

int main() {
  using namespace quorate;
  const std::string key = "key:000000123456";
  for (const size_t pipeline : {size_t{1}, size_t{16}, size_t{64}}) {
    bench_parser("GET", {"GET", key}, pipeline);
    bench_parser("SET 64", {"SET", key, std::string(64, 'v')}, pipeline);
    bench_parser("SET 256", {"SET", key, std::string(256, 'v')}, pipeline);
    bench_parser("ZADD", {"ZADD", "zset", "12.5", key}, pipeline);
  }
  std::vector<std::string> mset = {"MSET"};
  for (int pair = 0; pair < 10; ++pair) mset.insert(mset.end(), {key, "value"});
  bench_parser("MSET 10", mset, 16);
  const std::string value(64, 'v');
  bench_reply("ok", [](Reply& reply, size_t) { reply.ok(); });
  bench_reply("bulk 64", [&](Reply& reply, size_t) { reply.bulk(value); });
  bench_reply("integer", [](Reply& reply, size_t round) { reply.integer(static_cast<int64_t>(round)); });
  bench_reply("null", [](Reply& reply, size_t) { reply.null(); });
  return 0;
}

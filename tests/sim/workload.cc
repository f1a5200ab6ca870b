// Commands by pattern: an upper-case word in <> is a place that chance fills.
#include "tests/sim/workload.h"

#include <array>

namespace quorate::sim {

namespace {

constexpr auto kPatterns = std::to_array<std::string_view>({
    "SET <KEY> <VALUE>",
    "SET <KEY> <VALUE>",
    "SET <KEY> <VALUE> PX <MS>",
    "SET <KEY> <VALUE> XX GET",
    "SETRANGE <KEY> <SMALL> <VALUE>",
    "APPEND <KEY> <VALUE>",
    "INCR <KEY>",
    "INCRBYFLOAT <KEY> 0.1",
    "GETDEL <KEY>",
    "GETEX <KEY> PX <MS>",
    "SETBIT <KEY> <SMALL> 1",
    "MSET <KEY> <VALUE> <KEY> <VALUE>",
    "MSETNX <KEY> <VALUE> <KEY> <VALUE>",
    "GET <KEY>",
    "DEL <KEY>",
    "DEL <KEY> <KEY>",
    "UNLINK <KEY>",
    "PEXPIRE <KEY> <MS>",
    "PERSIST <KEY>",
    "RENAME <KEY> <KEY>",
    "RENAMENX <KEY> <KEY>",
    "COPY <KEY> <KEY> REPLACE",
    "COPY <KEY> <KEY> DB 1 REPLACE",
    "MOVE <KEY> 1",
    "TYPE <KEY>",
    "LPUSH <KEY> <VALUE> <VALUE>",
    "RPUSH <KEY> <VALUE>",
    "RPUSH <KEY> <VALUE> <VALUE> <VALUE>",
    "LPOP <KEY>",
    "RPOP <KEY> 2",
    "LTRIM <KEY> 1 -2",
    "LSET <KEY> 0 <VALUE>",
    "LREM <KEY> 1 <VALUE>",
    "LINSERT <KEY> BEFORE <VALUE> <VALUE>",
    "LMOVE <KEY> <KEY> LEFT RIGHT",
    "LMPOP 2 <KEY> <KEY> LEFT",
    "RPOPLPUSH <KEY> <KEY>",
    "LRANGE <KEY> 0 -1",
    "SADD <KEY> <MEMBER> <MEMBER>",
    "SADD <KEY> <SMALL> <SMALL> <SMALL>",
    "SREM <KEY> <MEMBER>",
    "SPOP <KEY>",
    "SPOP <KEY> 2",
    "SMOVE <KEY> <KEY> <MEMBER>",
    "SUNIONSTORE <KEY> <KEY> <KEY>",
    "SDIFFSTORE <KEY> <KEY> <KEY>",
    "SMEMBERS <KEY>",
    "ZADD <KEY> <SCORE> <MEMBER> <SCORE> <MEMBER>",
    "ZINCRBY <KEY> <SCORE> <MEMBER>",
    "ZADD <KEY> INCR <SCORE> <MEMBER>",
    "ZREM <KEY> <MEMBER>",
    "ZPOPMIN <KEY>",
    "ZPOPMAX <KEY> 2",
    "ZREMRANGEBYRANK <KEY> 0 0",
    "ZUNIONSTORE <KEY> 2 <KEY> <KEY>",
    "ZRANGESTORE <KEY> <KEY> 0 1",
    "ZMPOP 1 <KEY> MIN",
    "ZRANGE <KEY> 0 -1",
    "HSET <KEY> <MEMBER> <VALUE> <MEMBER> <VALUE>",
    "HSET <KEY> <MEMBER> <SMALL>",
    "HINCRBY <KEY> <MEMBER> 3",
    "HINCRBYFLOAT <KEY> <MEMBER> 1.5",
    "HDEL <KEY> <MEMBER>",
    "HPEXPIRE <KEY> <MS> FIELDS 1 <MEMBER>",
    "HPERSIST <KEY> FIELDS 1 <MEMBER>",
    "HGETALL <KEY>",
    "SORT <KEY> ALPHA STORE <KEY>",
    "BLPOP <KEY> <KEY> 0.05",
    "BLMOVE <KEY> <KEY> LEFT RIGHT 0.1",
    "BZPOPMIN <KEY> 0.1",
    "BLMPOP 0.05 2 <KEY> <KEY> RIGHT",
    "DUMP <KEY>",
    "EXISTS <KEY> <KEY>",
    "PTTL <KEY>",
    "HGET <KEY> <MEMBER>",
    "HLEN <KEY>",
    "HPTTL <KEY> FIELDS 1 <MEMBER>",
    "SORT <KEY> BY nosort GET key*->m1",
    "KEYS *",
    "SCAN 0 COUNT 30",
    "DBSIZE",
    "RANDOMKEY",
});

constexpr auto kRarePatterns = std::to_array<std::string_view>({
    "SADD <KEY> <MEMBERS>",
    "RPUSH <KEY> <MEMBERS>",
    "HSET <KEY> <FIELDS>",
    "ZADD <KEY> <SCORES>",
    "BGREWRITEAOF",
    "BGREWRITEAOF",
    "BGSAVE",
    "FLUSHDB",
    "FLUSHALL",
    "SWAPDB 0 1",
    "SELECT 1",
    "SELECT 0",
});

constexpr double kRareChance = 0.03;
constexpr double kTransactionChance = 0.05;
constexpr uint64_t kKeys = 24;
constexpr uint64_t kMembers = 12;
constexpr uint64_t kManyMin = 100;
constexpr uint64_t kManyMax = 600;

}  // namespace

std::string Workload::word(std::string_view place) {
  if (place == "KEY") {
    // Most keys of a command lie in several partitions, some in one.
    const std::string number = std::to_string(prng_.below(kKeys));
    return prng_.chance(0.3) ? "{tag}" + number : "key" + number;
  }
  if (place == "MEMBER") return "m" + std::to_string(prng_.below(kMembers));
  if (place == "SMALL") return std::to_string(prng_.below(40));
  if (place == "MS") return std::to_string(1 + prng_.below(2000));
  if (place == "SCORE") return std::to_string(static_cast<int64_t>(prng_.below(200)) - 100) + ".5";
  const uint64_t kind = prng_.below(20);
  if (kind < 10) return "v" + std::to_string(prng_.below(30));
  if (kind < 15) return std::to_string(prng_.below(100000));
  if (kind < 19) return std::string(static_cast<size_t>(prng_.below(100)), 'x');
  return std::string(static_cast<size_t>(prng_.below(20000)), 'y');
}

// What a snapshot has to give in more than one piece.
bool Workload::add_many(std::string_view place, std::vector<std::string>& words) {
  const bool is_fields = place == "FIELDS";
  const bool is_scores = place == "SCORES";
  if (place != "MEMBERS" && !is_fields && !is_scores) return false;
  for (uint64_t count = kManyMin + prng_.below(kManyMax - kManyMin); count > 0; --count) {
    if (is_scores) words.push_back(word("SCORE"));
    words.push_back("m" + std::to_string(prng_.below(2 * kManyMax)));
    if (is_fields) words.push_back("v" + std::to_string(count));
  }
  return true;
}

std::vector<std::string> Workload::words_of(std::string_view pattern) {
  std::vector<std::string> words;
  while (!pattern.empty()) {
    const size_t space = std::min(pattern.find(' '), pattern.size());
    const std::string_view part = pattern.substr(0, space);
    pattern.remove_prefix(std::min(space + 1, pattern.size()));
    if (part.front() != '<') {
      words.emplace_back(part);
    } else if (const std::string_view place = part.substr(1, part.size() - 2); !add_many(place, words)) {
      words.push_back(word(place));
    }
  }
  return words;
}

void Workload::add(Request& request, const std::vector<std::string>& words) {
  request.bytes += "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& part : words) {
    request.bytes += "$" + std::to_string(part.size()) + "\r\n" + part + "\r\n";
  }
  request.words.insert(request.words.end(), words.begin(), words.end());
}

Request Workload::next() {
  Request request;
  if (prng_.chance(kRareChance)) {
    add(request, words_of(kRarePatterns[static_cast<size_t>(prng_.below(kRarePatterns.size()))]));
    return request;
  }
  const bool is_transaction = prng_.chance(kTransactionChance);
  const uint64_t count = is_transaction ? 1 + prng_.below(5) : 1;
  if (is_transaction) add(request, {"MULTI"});
  for (uint64_t index = 0; index < count; ++index) {
    add(request, words_of(kPatterns[static_cast<size_t>(prng_.below(kPatterns.size()))]));
  }
  if (is_transaction) {
    add(request, {"EXEC"});
    request.replies = request.replies_in_all = count + 2;
  }
  return request;
}

}  // namespace quorate::sim

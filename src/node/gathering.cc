// Taking apart, putting together.
#include "node/gathering.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "commands/errors.h"
#include "commands/keys.h"
#include "node/reply_shape.h"
#include "resp/request_writer.h"
#include "util/number.h"

namespace quorate {

namespace {

struct RuleOf {
  std::string_view name;
  Gathering::Rule rule;
  size_t arguments_a_key;   // the key included; 0: keyspace-wide
};
constexpr RuleOf kRules[] = {
    {"del", Gathering::Rule::kSum, 1},
    {"unlink", Gathering::Rule::kSum, 1},
    {"exists", Gathering::Rule::kSum, 1},
    {"touch", Gathering::Rule::kSum, 1},
    {"mget", Gathering::Rule::kByPosition, 1},
    {"mset", Gathering::Rule::kAllOk, 2},
    {"dbsize", Gathering::Rule::kSum, 0},
    {"flushall", Gathering::Rule::kAllOk, 0},
    {"flushdb", Gathering::Rule::kAllOk, 0},
    {"keys", Gathering::Rule::kArrays, 0},
    {"randomkey", Gathering::Rule::kByWeight, 0},
};

const RuleOf* rule_of(const CommandSpec& spec) {
  for (const RuleOf& rule : kRules) {
    if (rule.name == spec.name) return &rule;
  }
  return nullptr;
}

std::string encoded(Args args) {
  Buffer out;
  append_request(out, args);
  return std::string(out.view());
}

// An error that says that nothing was done.
bool is_refused(std::string_view answer) {
  constexpr std::string_view kRefusals[] = {"CLUSTERDOWN", "ERR", "LOADING", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN"};
  if (!answer.starts_with('-')) return false;
  const std::string_view code = answer.substr(1, answer.find(' ') - 1);
  return std::find(std::begin(kRefusals), std::end(kRefusals), code) != std::end(kRefusals);
}

bool is_null(std::string_view answer) { return answer.starts_with("$-1") || answer.starts_with("_"); }

int64_t integer_of(std::string_view answer) {
  if (!answer.starts_with(':')) return 0;
  return parse_int(answer.substr(1, answer.find('\r') - 1)).value_or(0);
}

// The values of an encoded array.
std::vector<std::string_view> values_of(std::string_view answer) {
  std::vector<std::string_view> out;
  size_t at = answer.find("\r\n");
  if (!answer.starts_with('*') || at == std::string_view::npos) return out;
  at += 2;
  while (at < answer.size()) {
    const size_t size = value_size(answer.substr(at));
    if (size == 0) break;
    out.push_back(answer.substr(at, size));
    at += size;
  }
  return out;
}

}  // namespace

bool is_keyspace_wide(const CommandSpec& spec) {
  const RuleOf* const rule = rule_of(spec);
  return rule != nullptr && rule->arguments_a_key == 0;
}

bool is_of_all_keys(const CommandSpec& spec) { return is_keyspace_wide(spec) || spec.name == "scan"; }

std::optional<Gathering> take_apart(const Store& store, const CommandSpec& spec, Args args) {
  const RuleOf* const rule = rule_of(spec);
  if (rule == nullptr) return std::nullopt;
  Gathering out{.rule = rule->rule, .writes = (spec.flags & kWrite) != 0, .key_count = 0, .parts = {}};
  if (rule->arguments_a_key == 0) {
    const std::string request = encoded(args);
    const std::string_view weigh[] = {"DBSIZE"};
    for (uint32_t partition = 0; partition < store.partition_count(); ++partition) {
      out.parts.push_back({.partition = partition, .request = request, .positions = {}});
      if (out.rule == Gathering::Rule::kByWeight) out.parts.push_back({.partition = partition, .request = encoded(weigh), .positions = {}});
    }
    return out;
  }
  const size_t step = rule->arguments_a_key;
  if ((args.size() - 1) % step != 0) return std::nullopt;
  std::map<uint32_t, std::vector<std::string_view>> requests;
  std::map<uint32_t, std::vector<size_t>> positions;
  for (size_t at = 1; at < args.size(); at += step) {
    const uint32_t partition = store.partition_of(key_slot(args[at]));
    std::vector<std::string_view>& request = requests[partition];
    if (request.empty()) request.push_back(args[0]);
    for (size_t index = 0; index < step; ++index) request.push_back(args[at + index]);
    positions[partition].push_back(out.key_count++);
  }
  for (const auto& [partition, request] : requests) {
    out.parts.push_back({.partition = partition, .request = encoded(request), .positions = positions[partition]});
  }
  return out;
}

// Each key has the same chance, wherever it is.
void Gathering::combine_by_weight(uint64_t chance, Reply& reply) const {
  const auto weight_of = [&](size_t at) {
    // What has come since it was weighed counts as one.
    return is_null(parts[at].answer) ? 0 : static_cast<uint64_t>(std::max<int64_t>(integer_of(parts[at + 1].answer), 1));
  };
  uint64_t sum = 0;
  for (size_t at = 0; at + 1 < parts.size(); at += 2) sum += weight_of(at);
  if (sum == 0) return reply.null();
  uint64_t left = chance % sum;
  for (size_t at = 0; at + 1 < parts.size(); at += 2) {
    if (left < weight_of(at)) return reply.raw(parts[at].answer);
    left -= weight_of(at);
  }
}

void Gathering::combine(uint64_t chance, Reply& reply) const {
  for (const Part& part : parts) {
    if (!part.answer.starts_with('-')) continue;
    const std::string_view line = std::string_view(part.answer).substr(1, part.answer.find('\r') - 1);
    const bool may_be_done = writes && std::any_of(parts.begin(), parts.end(), [&](const Part& other) {
      return &other != &part && !is_refused(other.answer);
    });
    reply.error(may_be_done ? error_line(errors::done_in_part(line)) : std::string(line));
    return;
  }
  if (rule == Rule::kSum) {
    int64_t sum = 0;
    for (const Part& part : parts) sum += integer_of(part.answer);
    reply.integer(sum);
  } else if (rule == Rule::kAllOk) {
    reply.ok();
  } else if (rule == Rule::kByPosition) {
    std::vector<std::string_view> values(key_count);
    for (const Part& part : parts) {
      const std::vector<std::string_view> own = values_of(part.answer);
      for (size_t index = 0; index < own.size() && index < part.positions.size(); ++index) values[part.positions[index]] = own[index];
    }
    reply.array(key_count);
    for (const std::string_view value : values) {
      if (value.empty()) {
        reply.null();
      } else {
        reply.raw(value);
      }
    }
  } else if (rule == Rule::kArrays) {
    const auto list = reply.begin(Reply::Shape::kArray);
    size_t count = 0;
    for (const Part& part : parts) {
      const std::vector<std::string_view> own = values_of(part.answer);
      for (const std::string_view value : own) reply.raw(value);
      count += own.size();
    }
    reply.end(list, count);
  } else {
    combine_by_weight(chance, reply);
  }
}

}  // namespace quorate

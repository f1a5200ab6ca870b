// Unions, intersections and differences of sorted sets and sets.
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "commands/container_result.h"
#include "commands/context.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/syntax.h"
#include "store/set.h"
#include "store/sorted_set.h"

namespace quorate {
namespace {

using Direction = SortedSet::Direction;

// One input: a sorted set, a set (whose scores are all 1), or nothing.
struct Source {
  const SortedSet* sorted_set = nullptr;
  const Set* set = nullptr;
  double weight = 1;

  size_t size() const {
    if (sorted_set != nullptr) return sorted_set->size();
    return set == nullptr ? 0 : set->size();
  }
  std::optional<double> score(std::string_view member) const {
    if (sorted_set != nullptr) return sorted_set->score(member);
    if (set != nullptr && set->contains(member)) return 1;
    return std::nullopt;
  }
  bool same_as(const Source& other) const {
    return sorted_set == other.sorted_set && set == other.set;
  }
  // Until visit returns false.
  template <class Visit>
  void walk(Visit&& visit) const {
    if (sorted_set != nullptr) {
      sorted_set->walk(
          0, sorted_set->size(), Direction::kUp,
          [&visit](std::string_view member, double score) { return visit(member, score); });
    } else if (set != nullptr) {
      set->walk([&visit](std::string_view member) { return visit(member, 1.0); });
    }
  }
  // 0 * inf is no number; Redis makes it 0.
  double weighted(double score) const {
    const double result = weight * score;
    return std::isnan(result) ? 0 : result;
  }
};

enum class Aggregate : uint8_t { kSum, kMin, kMax };

double aggregated(Aggregate aggregate, double left, double right) {
  switch (aggregate) {
    case Aggregate::kSum: {
      const double sum = left + right;
      return std::isnan(sum) ? 0 : sum;
    }
    case Aggregate::kMin:
      return std::min(left, right);
    case Aggregate::kMax:
      return std::max(left, right);
  }
  return left;
}

enum class Operation : uint8_t { kUnion, kIntersection, kDifference };
enum class Output : uint8_t { kReply, kStore, kCount };

struct Request {
  std::vector<Source> sources;
  Aggregate aggregate = Aggregate::kSum;
  bool with_scores = false;
  int64_t limit = 0;
};

// ---- reading the arguments
// ------------------------------------------------------------------------

Result<Source> find_source(CommandContext& cx, const Key& key) {
  Source source;
  const Entry* entry = cx.db.find(key);
  if (entry == nullptr) return source;
  if (entry->type() == ValueType::kSet) {
    source.set = static_cast<const Set*>(entry->object());
  } else if (entry->type() == ValueType::kSortedSet) {
    source.sorted_set = static_cast<const SortedSet*>(entry->object());
  } else {
    return ErrorCode::kWrongType;
  }
  return source;
}

Result<Aggregate> parse_aggregate(std::string_view word) {
  if (same_word(word, "SUM")) return Aggregate::kSum;
  if (same_word(word, "MIN")) return Aggregate::kMin;
  if (same_word(word, "MAX")) return Aggregate::kMax;
  return ErrorCode::kSyntax;
}

Status parse_options(const CommandContext& cx, size_t at, Operation operation, Output output,
                     Request& request) {
  const bool may_weigh = operation != Operation::kDifference && output != Output::kCount;
  while (at < cx.size()) {
    const size_t left = cx.size() - at - 1;
    if (may_weigh && left >= request.sources.size() && same_word(cx[at], "WEIGHTS")) {
      for (Source& source : request.sources) {
        const auto weight = parse_double(cx[++at]);
        if (!weight) return errors::weight_not_float();
        source.weight = *weight;
      }
      ++at;
    } else if (may_weigh && left >= 1 && same_word(cx[at], "AGGREGATE")) {
      TRY(request.aggregate, parse_aggregate(cx[at + 1]));
      at += 2;
    } else if (output == Output::kReply && same_word(cx[at], "WITHSCORES")) {
      request.with_scores = true;
      ++at;
    } else if (output == Output::kCount && left >= 1 && same_word(cx[at], "LIMIT")) {
      const auto limit = parse_int(cx[at + 1]);
      if (!limit || *limit < 0) return errors::cannot_be_negative("LIMIT");
      request.limit = *limit;
      at += 2;
    } else {
      return ErrorCode::kSyntax;
    }
  }
  return done();
}

// "numkeys key [key ...] options" from argument `at` on.
Result<Request> parse_request(CommandContext& cx, size_t at, Operation operation, Output output) {
  TRY(const int64_t key_count, cx.integer(at));
  if (key_count < 1) return errors::no_input_key(cx.spec.name);
  if (key_count > static_cast<int64_t>(cx.size() - at - 1)) return ErrorCode::kSyntax;
  Request request;
  const size_t behind = at + 1 + static_cast<size_t>(key_count);
  for (size_t key_at = at + 1; key_at < behind; ++key_at) {
    TRY(Source source, find_source(cx, cx.key(key_at)));
    request.sources.push_back(source);
  }
  TRY(parse_options(cx, behind, operation, output, request));
  return request;
}

// What comes out.  A sorted set does not tell -0 from 0 (store/sorted_set.cc); a reply does, so the members whose score is
// -0 are kept beside it.
class Combined {
 public:
  explicit Combined(const StoreSettings& settings) : settings_(settings) {}

  Temporary<SortedSet>& set() { return set_; }
  void put(std::string_view member, double score) {
    set_->set(member, score, settings_);
    if (score != 0 && minus_zeros_.empty()) return;
    if (score == 0 && std::signbit(score)) {
      minus_zeros_.emplace(member);
    } else if (const auto found = minus_zeros_.find(member); found != minus_zeros_.end()) {
      minus_zeros_.erase(found);
    }
  }
  // The sign of a score that the set has.
  double with_sign(std::string_view member, double score) const {
    return score == 0 && minus_zeros_.contains(member) ? -0.0 : score;
  }
  std::optional<double> score(std::string_view member) {
    const std::optional<double> found = set_->score(member);
    return found ? std::optional(with_sign(member, *found)) : found;
  }

 private:
  const StoreSettings& settings_;
  Temporary<SortedSet> set_;
  std::set<std::string, std::less<>> minus_zeros_;
};

// ---- the three operations
// ---------------------------------------------------------------------------

void sort_by_size(std::vector<Source>& sources) {
  std::stable_sort(sources.begin(), sources.end(), [](const Source& left, const Source& right) {
    return left.size() < right.size();
  });
}

void make_union(Request& request, Combined& result) {
  sort_by_size(request.sources);
  for (const Source& source : request.sources) {
    source.walk([&](std::string_view member, double own) {
      double score = source.weighted(own);
      if (const std::optional<double> present = result.score(member)) {
        score = aggregated(request.aggregate, *present, score);
      }
      result.put(member, score);
      return true;
    });
  }
}

// Calls visit(member, score) for each item of the intersection until it returns false.
template <class Visit>
void intersect(Request& request, Visit&& visit) {
  sort_by_size(request.sources);
  const Source& smallest = request.sources[0];
  smallest.walk([&](std::string_view member, double own) {
    double score = smallest.weighted(own);
    for (size_t index = 1; index < request.sources.size(); ++index) {
      const Source& other = request.sources[index];
      const std::optional<double> found = other.same_as(smallest) ? own : other.score(member);
      if (!found) return true;
      // As in Redis only the first product is mended here; the sum then is if it must be.
      score = aggregated(request.aggregate, score, other.weight * *found);
    }
    return visit(member, score);
  });
}

void difference(const Request& request, Combined& result) {
  const Source& first = request.sources[0];
  for (size_t index = 1; index < request.sources.size(); ++index) {
    if (request.sources[index].same_as(first)) return;
  }
  first.walk([&](std::string_view member, double score) {
    for (size_t index = 1; index < request.sources.size(); ++index) {
      if (request.sources[index].score(member)) return true;
    }
    result.put(member, score);
    return true;
  });
}

void combine(Operation operation, Request& request, Combined& result) {
  switch (operation) {
    case Operation::kUnion:
      make_union(request, result);
      return;
    case Operation::kIntersection:
      intersect(request, [&](std::string_view member, double score) {
        result.put(member, score);
        return true;
      });
      return;
    case Operation::kDifference:
      difference(request, result);
      return;
  }
}

// ---- the commands
// -----------------------------------------------------------------------------------

Status reply_combined(CommandContext& cx, Operation operation) {
  TRY(Request request, parse_request(cx, 1, operation, Output::kReply));
  Combined combined(cx.settings);
  combine(operation, request, combined);
  Temporary<SortedSet>& result = combined.set();
  const bool in_pairs = request.with_scores && cx.reply.protocol() == Protocol::kResp3;
  cx.reply.array(request.with_scores && !in_pairs ? result->size() * 2 : result->size());
  result->for_each([&](std::string_view member, double score) {
    if (in_pairs) cx.reply.array(2);
    cx.reply.bulk(member);
    if (request.with_scores) cx.reply.number(combined.with_sign(member, score));
  });
  return done();
}

Status store_combined(CommandContext& cx, Operation operation, std::string_view event) {
  TRY(Request request, parse_request(cx, 2, operation, Output::kStore));
  Combined combined(cx.settings);
  combine(operation, request, combined);
  return store_result(cx, cx.key(1), combined.set(), EventClass::kSortedSet, event);
}

Status zunion(CommandContext& cx) { return reply_combined(cx, Operation::kUnion); }
Status zinter(CommandContext& cx) { return reply_combined(cx, Operation::kIntersection); }
Status zdiff(CommandContext& cx) { return reply_combined(cx, Operation::kDifference); }
Status zunionstore(CommandContext& cx) {
  return store_combined(cx, Operation::kUnion, "zunionstore");
}
Status zinterstore(CommandContext& cx) {
  return store_combined(cx, Operation::kIntersection, "zinterstore");
}
Status zdiffstore(CommandContext& cx) {
  return store_combined(cx, Operation::kDifference, "zdiffstore");
}

Status zintercard(CommandContext& cx) {
  TRY(Request request, parse_request(cx, 1, Operation::kIntersection, Output::kCount));
  int64_t count = 0;
  intersect(request, [&](std::string_view, double) { return ++count != request.limit; });
  cx.reply.integer(count);
  return done();
}

// ---- rows
// -------------------------------------------------------------------------------------------

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr KeySpec kDestination = one_key(kKeyOverwrite | kKeyUpdate);
constexpr std::string_view kDifferenceCost =
    "O(L + (N-K)log(N)): L items in all inputs, N in the first, K in the result";
constexpr std::string_view kIntersectionCost =
    "O(N*K)+O(M*log(M)): N items in the smallest of K inputs, M in the result";
constexpr std::string_view kUnionCost = "O(N)+O(M*log(M)): N items in all inputs, M in the result";

constexpr CommandSpec kTable[] = {
    {.name = "zdiff",
     .arity = -3,
     .flags = kReadonly | kMovableKeys,
     .keys = {counted_keys(kReadAccess, 1)},
     .syntax = "numkeys:int key [key ...] [WITHSCORES]",
     .summary = "Returns what the first sorted set has and no other.",
     .complexity = kDifferenceCost,
     .since = "6.2.0",
     .group = Group::kSortedSet,
     .run = zdiff},
    {.name = "zdiffstore",
     .arity = -4,
     .flags = kWrite | kDenyOom | kMovableKeys,
     .keys = {kDestination, counted_keys(kReadAccess, 2)},
     .syntax = "destination:key numkeys:int key [key ...]",
     .summary = "Stores what the first sorted set has and no other.",
     .complexity = kDifferenceCost,
     .since = "6.2.0",
     .group = Group::kSortedSet,
     .run = zdiffstore},
    {.name = "zinter",
     .arity = -3,
     .flags = kReadonly | kMovableKeys,
     .keys = {counted_keys(kReadAccess, 1)},
     .syntax = "numkeys:int key [key ...] [WEIGHTS weight:int [weight ...]]"
               " [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
     .summary = "Returns the members that all sorted sets have.",
     .complexity = kIntersectionCost,
     .since = "6.2.0",
     .group = Group::kSortedSet,
     .run = zinter},
    {.name = "zintercard",
     .arity = -3,
     .flags = kReadonly | kMovableKeys,
     .keys = {counted_keys(kReadAccess, 1)},
     .syntax = "numkeys:int key [key ...] [LIMIT limit:int]",
     .summary = "Counts the members that all sorted sets have.",
     .complexity = "O(N*K): N items in the smallest of K inputs",
     .since = "7.0.0",
     .group = Group::kSortedSet,
     .run = zintercard},
    {.name = "zinterstore",
     .arity = -4,
     .flags = kWrite | kDenyOom | kMovableKeys,
     .keys = {kDestination, counted_keys(kReadAccess, 2)},
     .syntax = "destination:key numkeys:int key [key ...] [WEIGHTS weight:int [weight ...]]"
               " [AGGREGATE <SUM | MIN | MAX>]",
     .summary = "Stores the members that all sorted sets have.",
     .complexity = kIntersectionCost,
     .since = "2.0.0",
     .group = Group::kSortedSet,
     .run = zinterstore},
    {.name = "zunion",
     .arity = -3,
     .flags = kReadonly | kMovableKeys,
     .keys = {counted_keys(kReadAccess, 1)},
     .syntax = "numkeys:int key [key ...] [WEIGHTS weight:int [weight ...]]"
               " [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
     .summary = "Returns the members that any of the sorted sets has.",
     .complexity = kUnionCost,
     .since = "6.2.0",
     .group = Group::kSortedSet,
     .run = zunion},
    {.name = "zunionstore",
     .arity = -4,
     .flags = kWrite | kDenyOom | kMovableKeys,
     .keys = {kDestination, counted_keys(kReadAccess, 2)},
     .syntax = "destination:key numkeys:int key [key ...] [WEIGHTS weight:int [weight ...]]"
               " [AGGREGATE <SUM | MIN | MAX>]",
     .summary = "Stores the members that any of the sorted sets has.",
     .complexity = kUnionCost,
     .since = "2.0.0",
     .group = Group::kSortedSet,
     .run = zunionstore},
};
static_assert(well_formed(kTable),
              "cmd_sorted_set_combine.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> sorted_set_combine_commands() { return kTable; }

}  // namespace quorate

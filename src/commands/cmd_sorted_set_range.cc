// Commands on ranges of a sorted set: by rank, by score, by the order of the members.
// Every range becomes an interval of ranks first; then there is one way to reply, store, count or
// remove it.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "commands/container_result.h"
#include "commands/context.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/lenient_double.h"
#include "commands/syntax.h"
#include "store/sorted_set.h"

namespace quorate {
namespace {

using Bound = SortedSet::Bound;
using Direction = SortedSet::Direction;

// Ranks [first, behind), counted from the lowest score.
struct Interval {
  size_t first = 0;
  size_t behind = 0;
  size_t size() const { return behind > first ? behind - first : 0; }
};

// ---- reading the ends of a range
// ------------------------------------------------------------------

enum class By : uint8_t { kRank, kScore, kMember };

// One end of a range by score: "5", "(5", "-inf".
struct ScoreEnd {
  double score = 0;
  bool is_open = false;
};

Result<ScoreEnd> parse_score_end(std::string_view text) {
  ScoreEnd end;
  if (!text.empty() && text.front() == '(') {
    end.is_open = true;
    text.remove_prefix(1);
  }
  const auto score = parse_score_bound(text);
  if (!score) return errors::min_max_not_float();
  end.score = *score;
  return end;
}

// One end of a range by member: "[a", "(a", "-" (below all), "+" (above all).
struct MemberEnd {
  enum class Kind : uint8_t { kLowest, kClosed, kOpen, kHighest } kind = Kind::kLowest;
  std::string_view member{};
};

Result<MemberEnd> parse_member_end(std::string_view text) {
  if (text == "-") return MemberEnd{.kind = MemberEnd::Kind::kLowest};
  if (text == "+") return MemberEnd{.kind = MemberEnd::Kind::kHighest};
  if (!text.empty() && text.front() == '[')
    return MemberEnd{MemberEnd::Kind::kClosed, text.substr(1)};
  if (!text.empty() && text.front() == '(')
    return MemberEnd{MemberEnd::Kind::kOpen, text.substr(1)};
  return errors::min_max_not_string_range();
}

// A range as asked for; what it means is known once there is a set.
struct Range {
  By by = By::kRank;
  int64_t start = 0;  // by rank: negative counts from the far end
  int64_t stop = 0;
  Direction direction = Direction::kUp;  // by rank: which end is rank 0
  ScoreEnd min_score{}, max_score{};
  MemberEnd min_member{}, max_member{};
};

Result<Range> parse_range(const CommandContext& cx, By by, Direction direction, size_t min,
                          size_t max) {
  Range range{.by = by, .direction = direction};
  switch (by) {
    case By::kRank: {
      TRY(range.start, cx.integer(min));
      TRY(range.stop, cx.integer(max));
      return range;
    }
    case By::kScore: {
      TRY(range.min_score, parse_score_end(cx[min]));
      TRY(range.max_score, parse_score_end(cx[max]));
      return range;
    }
    case By::kMember: {
      TRY(range.min_member, parse_member_end(cx[min]));
      TRY(range.max_member, parse_member_end(cx[max]));
      return range;
    }
  }
  return range;
}

// ---- ranks
// ----------------------------------------------------------------------------------------

Interval by_rank(const Range& range, size_t set_size) {
  const auto size = static_cast<int64_t>(set_size);
  int64_t start = range.start < 0 ? std::max<int64_t>(range.start + size, 0) : range.start;
  int64_t stop = range.stop < 0 ? range.stop + size : range.stop;
  if (start > stop || start >= size) return {};
  stop = std::min(stop, size - 1);
  if (range.direction == Direction::kDown) {
    std::swap(start, stop);
    start = size - 1 - start;
    stop = size - 1 - stop;
  }
  return {static_cast<size_t>(start), static_cast<size_t>(stop) + 1};
}

// The rank of the first item behind what is below a lower end.
size_t rank_of_lower(const SortedSet& set, const MemberEnd& end) {
  switch (end.kind) {
    case MemberEnd::Kind::kLowest:
      return 0;
    case MemberEnd::Kind::kClosed:
      return set.count_by_member(end.member, Bound::kBelow);
    case MemberEnd::Kind::kOpen:
      return set.count_by_member(end.member, Bound::kUpTo);
    case MemberEnd::Kind::kHighest:
      return set.size();
  }
  return 0;
}

// The rank behind the last item within an upper end.
size_t rank_of_upper(const SortedSet& set, const MemberEnd& end) {
  switch (end.kind) {
    case MemberEnd::Kind::kLowest:
      return 0;
    case MemberEnd::Kind::kClosed:
      return set.count_by_member(end.member, Bound::kUpTo);
    case MemberEnd::Kind::kOpen:
      return set.count_by_member(end.member, Bound::kBelow);
    case MemberEnd::Kind::kHighest:
      return set.size();
  }
  return 0;
}

Interval find_interval(const SortedSet& set, const Range& range) {
  switch (range.by) {
    case By::kRank:
      return by_rank(range, set.size());
    case By::kScore: {
      const ScoreEnd& min = range.min_score;
      const ScoreEnd& max = range.max_score;
      return {set.count_by_score(min.score, min.is_open ? Bound::kUpTo : Bound::kBelow),
              set.count_by_score(max.score, max.is_open ? Bound::kBelow : Bound::kUpTo)};
    }
    case By::kMember:
      return {rank_of_lower(set, range.min_member), rank_of_upper(set, range.max_member)};
  }
  return {};
}

// LIMIT: skips `offset` from the end the walk begins at, then keeps `count` (negative: all).
Interval limited(Interval interval, Direction direction, int64_t offset, int64_t count) {
  if (offset < 0 || static_cast<uint64_t>(offset) >= interval.size()) return {};
  size_t left = interval.size() - static_cast<size_t>(offset);
  if (count >= 0) left = std::min(left, static_cast<size_t>(count));
  if (direction == Direction::kUp) {
    const size_t first = interval.first + static_cast<size_t>(offset);
    return {first, first + left};
  }
  const size_t behind = interval.behind - static_cast<size_t>(offset);
  return {behind - left, behind};
}

// ---- ZRANGE and its older names -----------------------------------------------------------------

// What a name fixes and what its options may say.
struct RangeRules {
  By by = By::kRank;
  Direction direction = Direction::kUp;
  bool may_choose = false;  // BYSCORE, BYLEX and REV are options
  bool is_store = false;
};

struct RangeRequest {
  Range range;
  Direction direction = Direction::kUp;
  int64_t offset = 0;
  int64_t limit = -1;
  bool with_scores = false;
};

// Reads the arguments from the source key (at `key_at`) on.
Result<RangeRequest> parse_request(const CommandContext& cx, const RangeRules& rules,
                                   size_t key_at) {
  RangeRequest request;
  By by = rules.by;
  bool by_chosen = !rules.may_choose;
  bool is_reversed = rules.direction == Direction::kDown;
  for (size_t at = key_at + 3; at < cx.size(); ++at) {
    if (!rules.is_store && same_word(cx[at], "WITHSCORES")) {
      request.with_scores = true;
    } else if (same_word(cx[at], "LIMIT") && at + 2 < cx.size()) {
      TRY(request.offset, cx.integer(at + 1));
      TRY(request.limit, cx.integer(at + 2));
      at += 2;
    } else if (rules.may_choose && !is_reversed && same_word(cx[at], "REV")) {
      is_reversed = true;
    } else if (!by_chosen && same_word(cx[at], "BYSCORE")) {
      by = By::kScore;
      by_chosen = true;
    } else if (!by_chosen && same_word(cx[at], "BYLEX")) {
      by = By::kMember;
      by_chosen = true;
    } else {
      return ErrorCode::kSyntax;
    }
  }
  if (request.limit != -1 && by == By::kRank) return errors::limit_needs_by();
  if (request.with_scores && by == By::kMember) return errors::withscores_with_bylex();
  request.direction = is_reversed ? Direction::kDown : Direction::kUp;
  // Backwards by score or member, the upper end is named first.
  const bool upper_first = is_reversed && by != By::kRank;
  TRY(request.range, parse_range(cx, by, request.direction, key_at + (upper_first ? 2u : 1u),
                                 key_at + (upper_first ? 1u : 2u)));
  if (by == By::kRank) request.offset = 0;
  return request;
}

// Calls visit(member, score) for the items of the request, in its order; `begin(count)` before the
// first.
template <class Begin>
void walk_request(const SortedSet& set, const RangeRequest& request, Begin&& begin,
                  const SortedSet::Visitor& visit) {
  const Interval interval =
      limited(find_interval(set, request.range), request.direction, request.offset,
              request.range.by == By::kRank ? -1 : request.limit);
  begin(interval.size());
  if (interval.size() == 0) return;
  const size_t first = request.direction == Direction::kUp ? interval.first : interval.behind - 1;
  set.walk(first, interval.size(), request.direction, visit);
}

Status reply_range(CommandContext& cx, const RangeRules& rules) {
  TRY(const RangeRequest request, parse_request(cx, rules, 1));
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(1)));
  if (set == nullptr) {
    cx.reply.array(0);
    return done();
  }
  const bool in_pairs = request.with_scores && cx.reply.protocol() == Protocol::kResp3;
  const size_t words = request.with_scores && !in_pairs ? 2 : 1;
  walk_request(
      *set, request, [&](size_t count) { cx.reply.array(count * words); },
      [&](std::string_view member, double score) {
        if (in_pairs) cx.reply.array(2);
        cx.reply.bulk(member);
        if (request.with_scores) cx.reply.number(score);
        return true;
      });
  return done();
}

Status zrange(CommandContext& cx) { return reply_range(cx, {.may_choose = true}); }
Status zrevrange(CommandContext& cx) { return reply_range(cx, {.direction = Direction::kDown}); }
Status zrangebyscore(CommandContext& cx) { return reply_range(cx, {.by = By::kScore}); }
Status zrevrangebyscore(CommandContext& cx) {
  return reply_range(cx, {.by = By::kScore, .direction = Direction::kDown});
}
Status zrangebylex(CommandContext& cx) { return reply_range(cx, {.by = By::kMember}); }
Status zrevrangebylex(CommandContext& cx) {
  return reply_range(cx, {.by = By::kMember, .direction = Direction::kDown});
}

Status zrangestore(CommandContext& cx) {
  TRY(const RangeRequest request, parse_request(cx, {.may_choose = true, .is_store = true}, 2));
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(2)));
  Temporary<SortedSet> result;
  if (set != nullptr) {
    walk_request(
        *set, request, [](size_t) {},
        [&](std::string_view member, double score) {
          result->set(member, score, cx.settings);
          return true;
        });
  }
  return store_result(cx, cx.key(1), result, EventClass::kSortedSet, "zrangestore");
}

// ---- counting and removing ----------------------------------------------------------------------

Status count_range(CommandContext& cx, By by) {
  TRY(const Range range, parse_range(cx, by, Direction::kUp, 2, 3));
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(1)));
  cx.reply.integer(set == nullptr ? 0 : static_cast<int64_t>(find_interval(*set, range).size()));
  return done();
}

Status zcount(CommandContext& cx) { return count_range(cx, By::kScore); }
Status zlexcount(CommandContext& cx) { return count_range(cx, By::kMember); }

// What a range of members holds where scores differ depends on how the set is kept in memory (Redis: unspecified), so the places
// that it came to are logged.
void log_by_rank(CommandContext& cx, const Key& key, const Interval& interval) {
  char first[kIntTextMax];
  char last[kIntTextMax];
  const size_t first_size = format_int(first, static_cast<int64_t>(interval.first));
  const size_t last_size = format_int(last, static_cast<int64_t>(interval.first + interval.size()) - 1);
  cx.effect(key, {"ZREMRANGEBYRANK", key.bytes, std::string_view(first, first_size), std::string_view(last, last_size)});
}

Status remove_range(CommandContext& cx, By by, std::string_view event) {
  TRY(const Range range, parse_range(cx, by, Direction::kUp, 2, 3));
  const Key key = cx.key(1);
  TRY(SortedSet * set, cx.db.update<SortedSet>(key));
  const Interval interval = set == nullptr ? Interval{} : find_interval(*set, range);
  if (by == By::kMember && interval.size() > 0) log_by_rank(cx, key, interval);
  if (set != nullptr && interval.size() == set->size()) {
    // All of it: the key goes, and a large value is freed in the background.
    cx.db.changed(key, EventClass::kSortedSet, event);
    cx.db.erase(key);
  } else if (interval.size() > 0) {
    take_out_ranks(cx, *set, interval.first, interval.size());
    cx.db.changed(key, EventClass::kSortedSet, event);
  }
  cx.reply.integer(static_cast<int64_t>(interval.size()));
  return done();
}

Status zremrangebyrank(CommandContext& cx) {
  return remove_range(cx, By::kRank, "zremrangebyrank");
}
Status zremrangebyscore(CommandContext& cx) {
  return remove_range(cx, By::kScore, "zremrangebyscore");
}
Status zremrangebylex(CommandContext& cx) {
  return remove_range(cx, By::kMember, "zremrangebylex");
}

// ---- rows ---------------------------------------------------------------------------------------

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr uint16_t kRemove = kKeyReadWrite | kKeyDelete;
constexpr std::string_view kRangeCost = "O(log(N)+M): N items in the sorted set, M returned";
constexpr std::string_view kRemoveCost = "O(log(N)+M): N items in the sorted set, M removed";

constexpr CommandSpec kTable[] = {
    {.name = "zcount",
     .arity = 4,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key min:double max:double",
     .summary = "Counts the members within a range of scores.",
     .complexity = "O(log(N))",
     .since = "2.0.0",
     .group = Group::kSortedSet,
     .run = zcount},
    {.name = "zlexcount",
     .arity = 4,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key min max",
     .summary = "Counts the members within a range of names; meant for equal scores.",
     .complexity = "O(log(N))",
     .since = "2.8.9",
     .group = Group::kSortedSet,
     .run = zlexcount},
    {.name = "zrange",
     .arity = -4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset:int count:int] [WITHSCORES]",
     .summary = "Returns the members within a range of ranks, scores or names.",
     .complexity = kRangeCost,
     .since = "1.2.0",
     .history = "6.2.0: Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.",
     .group = Group::kSortedSet,
     .run = zrange},
    {.name = "zrangebylex",
     .arity = -4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key min max [LIMIT offset:int count:int]",
     .summary = "Returns the members within a range of names; meant for equal scores.",
     .complexity = kRangeCost,
     .since = "2.8.9",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `BYLEX` argument",
     .group = Group::kSortedSet,
     .run = zrangebylex},
    {.name = "zrangebyscore",
     .arity = -4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key min:double max:double [WITHSCORES] [LIMIT offset:int count:int]",
     .summary = "Returns the members within a range of scores.",
     .complexity = kRangeCost,
     .since = "1.0.5",
     .history = "2.0.0: Added the `WITHSCORES` modifier.",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `BYSCORE` argument",
     .group = Group::kSortedSet,
     .run = zrangebyscore},
    {.name = "zrangestore",
     .arity = -5,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyOverwrite | kKeyUpdate), one_key(kReadAccess, 2)},
     .syntax = "dst:key src:key min max [BYSCORE | BYLEX] [REV] [LIMIT offset:int count:int]",
     .summary = "Stores the members within a range of ranks, scores or names.",
     .complexity = "O(log(N)+M): N items in the sorted set, M stored",
     .since = "6.2.0",
     .group = Group::kSortedSet,
     .run = zrangestore},
    {.name = "zremrangebylex",
     .arity = 4,
     .flags = kWrite,
     .keys = {one_key(kRemove)},
     .syntax = "key min max",
     .summary = "Removes the members within a range of names; meant for equal scores.",
     .complexity = kRemoveCost,
     .since = "2.8.9",
     .group = Group::kSortedSet,
     .run = zremrangebylex},
    {.name = "zremrangebyrank",
     .arity = 4,
     .flags = kWrite,
     .keys = {one_key(kRemove)},
     .syntax = "key start:int stop:int",
     .summary = "Removes the members within a range of ranks.",
     .complexity = kRemoveCost,
     .since = "2.0.0",
     .group = Group::kSortedSet,
     .run = zremrangebyrank},
    {.name = "zremrangebyscore",
     .arity = 4,
     .flags = kWrite,
     .keys = {one_key(kRemove)},
     .syntax = "key min:double max:double",
     .summary = "Removes the members within a range of scores.",
     .complexity = kRemoveCost,
     .since = "1.2.0",
     .group = Group::kSortedSet,
     .run = zremrangebyscore},
    {.name = "zrevrange",
     .arity = -4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key start:int stop:int [WITHSCORES]",
     .summary = "Returns the members within a range of ranks counted from the highest score.",
     .complexity = kRangeCost,
     .since = "1.2.0",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `REV` argument",
     .group = Group::kSortedSet,
     .run = zrevrange},
    {.name = "zrevrangebylex",
     .arity = -4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key max min [LIMIT offset:int count:int]",
     .summary = "Returns the members within a range of names, backwards; meant for equal scores.",
     .complexity = kRangeCost,
     .since = "2.8.9",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `REV` and `BYLEX` arguments",
     .group = Group::kSortedSet,
     .run = zrevrangebylex},
    {.name = "zrevrangebyscore",
     .arity = -4,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key max:double min:double [WITHSCORES] [LIMIT offset:int count:int]",
     .summary = "Returns the members within a range of scores, backwards.",
     .complexity = kRangeCost,
     .since = "2.2.0",
     .history = "2.1.6: `min` and `max` can be exclusive.",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `REV` and `BYSCORE` arguments",
     .group = Group::kSortedSet,
     .run = zrevrangebyscore},
};
static_assert(well_formed(kTable),
              "cmd_sorted_set_range.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> sorted_set_range_commands() { return kTable; }

}  // namespace quorate

// Commands on one sorted set: members, scores, ranks, chance, and taking from either end.
// Ranges are in cmd_sorted_set_range.cc, unions and the like in cmd_sorted_set_combine.cc.
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "commands/blocking.h"
#include "commands/container_result.h"
#include "commands/context.h"
#include "commands/element_scan.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/syntax.h"
#include "store/sorted_set.h"

namespace quorate {
namespace {

using Direction = SortedSet::Direction;
using Outcome = SortedSet::Outcome;

// ---- adding -------------------------------------------------------------------------------------

struct AddOptions {
  uint8_t conditions = SortedSet::kAlways;
  bool count_changed = false;  // CH
  size_t first_pair = 2;

  bool has(uint8_t condition) const { return (conditions & condition) != 0; }
};

Result<AddOptions> parse_add(const CommandContext& cx) {
  AddOptions options;
  for (; options.first_pair < cx.size(); ++options.first_pair) {
    const std::string_view word = cx[options.first_pair];
    if (same_word(word, "NX")) {
      options.conditions |= SortedSet::kIfAbsent;
    } else if (same_word(word, "XX")) {
      options.conditions |= SortedSet::kIfPresent;
    } else if (same_word(word, "GT")) {
      options.conditions |= SortedSet::kIfGreater;
    } else if (same_word(word, "LT")) {
      options.conditions |= SortedSet::kIfLess;
    } else if (same_word(word, "INCR")) {
      options.conditions |= SortedSet::kIncrement;
    } else if (same_word(word, "CH")) {
      options.count_changed = true;
    } else {
      break;
    }
  }
  const size_t words = cx.size() - options.first_pair;
  if (words == 0 || words % 2 != 0) return ErrorCode::kSyntax;
  if (options.has(SortedSet::kIfAbsent) && options.has(SortedSet::kIfPresent))
    return errors::zadd_nx_xx();
  const int exclusive = options.has(SortedSet::kIfAbsent) + options.has(SortedSet::kIfGreater) +
                        options.has(SortedSet::kIfLess);
  if (exclusive > 1) return errors::zadd_gt_lt_nx();
  if (options.has(SortedSet::kIncrement) && words > 2) return errors::zadd_single_increment();
  return options;
}

// Adds the pairs from `options.first_pair` on.  All scores are read before anything changes.
Status add_pairs(CommandContext& cx, const AddOptions& options) {
  constexpr size_t kFew = 8;
  std::array<double, kFew> few;
  std::vector<double> many;
  const size_t pairs = (cx.size() - options.first_pair) / 2;
  if (pairs > kFew) many.resize(pairs);
  double* const scores = pairs > kFew ? many.data() : few.data();
  for (size_t pair = 0; pair < pairs; ++pair) {
    TRY(scores[pair], cx.number(options.first_pair + pair * 2));
  }
  TRY(check_element_sizes(cx, options.first_pair + 1, 2));
  const Key key = cx.key(1);
  TRY(SortedSet * set, cx.db.update<SortedSet>(key));
  const bool is_increment = options.has(SortedSet::kIncrement);
  if (set == nullptr) {
    if (options.has(SortedSet::kIfPresent)) {
      if (is_increment) {
        cx.reply.null();
      } else {
        cx.reply.integer(0);
      }
      return done();
    }
    set = cx.db.insert<SortedSet>(key);
  }
  int64_t added = 0;
  int64_t updated = 0;
  Outcome outcome = Outcome::kRefused;
  for (size_t pair = 0; pair < pairs; ++pair) {
    outcome = set->add(cx[options.first_pair + pair * 2 + 1], scores[pair], options.conditions,
                       cx.settings);
    // Only an increment can come to that, and it is alone.
    if (outcome == Outcome::kNotANumber) return errors::score_not_number();
    added += outcome == Outcome::kAdded ? 1 : 0;
    updated += outcome == Outcome::kUpdated ? 1 : 0;
  }
  if (added + updated > 0)
    cx.db.changed(key, EventClass::kSortedSet, is_increment ? "zincr" : "zadd");
  if (!is_increment) {
    cx.reply.integer(options.count_changed ? added + updated : added);
  } else if (outcome == Outcome::kRefused) {
    cx.reply.null();
  } else {
    cx.reply.number(scores[0]);
  }
  return done();
}

Status zadd(CommandContext& cx) {
  TRY(const AddOptions options, parse_add(cx));
  return add_pairs(cx, options);
}

// As in Redis the increment is first taken for one of ZADD's options, which leaves no pair.
Status zincrby(CommandContext& cx) {
  TRY(AddOptions options, parse_add(cx));
  options.conditions |= SortedSet::kIncrement;
  return add_pairs(cx, options);
}

Status zrem(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(SortedSet * set, cx.db.update<SortedSet>(key));
  int64_t removed = 0;
  if (set != nullptr) {
    for (size_t at = 2; at < cx.size(); ++at) removed += set->remove(cx[at]) ? 1 : 0;
  }
  if (removed > 0) {
    cx.db.changed(key, EventClass::kSortedSet, "zrem");
    cx.db.erase_if_empty(key);
  }
  cx.reply.integer(removed);
  return done();
}

// ---- asking -------------------------------------------------------------------------------------

Status zcard(CommandContext& cx) {
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(1)));
  cx.reply.integer(set == nullptr ? 0 : static_cast<int64_t>(set->size()));
  return done();
}

void reply_score(CommandContext& cx, const SortedSet* set, std::string_view member) {
  const std::optional<double> score = set == nullptr ? std::nullopt : set->score(member);
  if (score) {
    cx.reply.number(*score);
  } else {
    cx.reply.null();
  }
}

Status zscore(CommandContext& cx) {
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(1)));
  reply_score(cx, set, cx[2]);
  return done();
}

Status zmscore(CommandContext& cx) {
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(1)));
  cx.reply.array(cx.size() - 2);
  for (size_t at = 2; at < cx.size(); ++at) reply_score(cx, set, cx[at]);
  return done();
}

Status reply_rank(CommandContext& cx, Direction direction) {
  if (cx.size() > 4) return errors::wrong_arity(cx.spec.name);
  const bool with_score = cx.size() == 4;
  if (with_score && !same_word(cx[3], "WITHSCORE")) return ErrorCode::kSyntax;
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(1)));
  const std::optional<size_t> found = set == nullptr ? std::nullopt : set->rank(cx[2]);
  if (!found) {
    if (with_score) {
      cx.reply.null_array();
    } else {
      cx.reply.null();
    }
    return done();
  }
  const size_t rank = direction == Direction::kUp ? *found : set->size() - 1 - *found;
  if (with_score) cx.reply.array(2);
  cx.reply.integer(static_cast<int64_t>(rank));
  if (with_score) cx.reply.number(*set->score(cx[2]));
  return done();
}

Status zrank(CommandContext& cx) { return reply_rank(cx, Direction::kUp); }
Status zrevrank(CommandContext& cx) { return reply_rank(cx, Direction::kDown); }

Status zscan(CommandContext& cx) {
  TRY(const uint64_t cursor, parse_scan_cursor(cx[2]));
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(1)));
  if (set == nullptr) {
    reply_scan_cursor(cx.reply, 0);
    cx.reply.array(0);
    return done();
  }
  TRY(const ElementScan scan, parse_element_scan(cx, cursor));
  std::vector<SortedSet::Item> found;
  const uint64_t next =
      set->scan(scan.cursor, scan.count, [&](std::string_view member, double score) {
        if (scan.matches(member)) found.push_back({member, score});
        return true;
      });
  reply_scan_cursor(cx.reply, next);
  cx.reply.array(found.size() * 2);
  for (const SortedSet::Item& item : found) {
    char text[kDoubleTextMax];
    cx.reply.bulk(item.member);
    cx.reply.bulk({text, format_double(text, item.score)});
  }
  return done();
}

// ---- chance -------------------------------------------------------------------------------------

struct RandomOptions {
  int64_t count = 1;
  bool is_counted = false;
  bool with_scores = false;
};

Result<RandomOptions> parse_random(const CommandContext& cx) {
  RandomOptions options;
  if (cx.size() == 2) return options;
  options.is_counted = true;
  TRY(options.count, parse_random_count(cx, 2));
  if (cx.size() > 4 || (cx.size() == 4 && !same_word(cx[3], "WITHSCORES")))
    return ErrorCode::kSyntax;
  options.with_scores = cx.size() == 4;
  if (options.with_scores && options.count > INT64_MAX / 2) return ErrorCode::kOutOfRange;
  return options;
}

void reply_item(CommandContext& cx, const SortedSet::Item& item, bool with_scores) {
  if (with_scores && cx.reply.protocol() == Protocol::kResp3) cx.reply.array(2);
  cx.reply.bulk(item.member);
  if (with_scores) cx.reply.number(item.score);
}

// The head of an array of `count` items: of pairs in RESP3, flat in RESP2.
void reply_item_count(CommandContext& cx, size_t count, bool with_scores) {
  const bool is_flat = with_scores && cx.reply.protocol() == Protocol::kResp2;
  cx.reply.array(is_flat ? count * 2 : count);
}

Status zrandmember(CommandContext& cx) {
  TRY(const RandomOptions options, parse_random(cx));
  TRY(const SortedSet* set, cx.db.find_as<SortedSet>(cx.key(1)));
  if (!options.is_counted) {
    if (set == nullptr) {
      cx.reply.null();
    } else {
      cx.reply.bulk(set->random_item(cx.random()).member);
    }
    return done();
  }
  if (set == nullptr || options.count == 0) {
    cx.reply.array(0);
    return done();
  }
  if (options.count < 0) {
    reply_item_count(cx, static_cast<size_t>(-options.count), options.with_scores);
    for (int64_t left = -options.count; left > 0; --left) {
      reply_item(cx, set->random_item(cx.random()), options.with_scores);
    }
    return done();
  }
  const size_t wanted = std::min(static_cast<size_t>(options.count), set->size());
  reply_item_count(cx, wanted, options.with_scores);
  const auto walk = [set](auto&& visit) {
    set->walk(0, set->size(), Direction::kUp, [&visit](std::string_view member, double score) {
      return visit(SortedSet::Item{member, score});
    });
  };
  sample(
      set->size(), wanted, cx.random(), walk, [&] { return set->random_item(cx.random()); },
      [](const SortedSet::Item& item) { return item.member; },
      [&](const SortedSet::Item& item) { reply_item(cx, item, options.with_scores); });
  return done();
}

// ---- taking from an end -------------------------------------------------------------------------

enum class End : uint8_t { kMin, kMax };

enum class PopShape : uint8_t {
  kFlat,   // member, score, member, score ...
  kPairs,  // [member, score], [member, score] ...
};

// Takes up to `count` items from an end of a set that is not empty and replies them (without a
// head).
void pop_items(CommandContext& cx, const Key& key, SortedSet& set, End end, size_t count,
               PopShape shape) {
  const size_t size = set.size();
  const size_t first = end == End::kMin ? 0 : size - 1;
  set.walk(first, count, end == End::kMin ? Direction::kUp : Direction::kDown,
           [&](std::string_view member, double score) {
             if (shape == PopShape::kPairs) cx.reply.array(2);
             cx.reply.bulk(member);
             cx.reply.number(score);
             return true;
           });
  char digits[kIntTextMax];
  const size_t length = format_unsigned(digits, count);
  cx.effect(key, {end == End::kMin ? "ZPOPMIN" : "ZPOPMAX", key.bytes, std::string_view(digits, length)});
  take_out_ranks(cx, set, end == End::kMin ? 0 : size - count, count);
  cx.db.changed(key, EventClass::kSortedSet, end == End::kMin ? "zpopmin" : "zpopmax");
  cx.db.erase_if_empty(key);
}

Status pop_from(CommandContext& cx, End end) {
  if (cx.size() > 3) return ErrorCode::kSyntax;
  const bool counted = cx.size() == 3;
  int64_t count = 1;
  if (counted) {
    const auto value = parse_int(cx[2]);
    if (!value || *value < 0) return ErrorCode::kNotPositive;
    count = *value;
  }
  const Key key = cx.key(1);
  TRY(SortedSet * set, cx.db.update<SortedSet>(key));
  if (set == nullptr || count == 0) {
    cx.reply.array(0);
    return done();
  }
  const size_t taken = std::min(static_cast<size_t>(count), set->size());
  const bool in_pairs = counted && cx.reply.protocol() == Protocol::kResp3;
  cx.reply.array(in_pairs ? taken : taken * 2);
  pop_items(cx, key, *set, end, taken, in_pairs ? PopShape::kPairs : PopShape::kFlat);
  return done();
}

Status zpopmin(CommandContext& cx) { return pop_from(cx, End::kMin); }
Status zpopmax(CommandContext& cx) { return pop_from(cx, End::kMax); }

// The first of the keys [first, last) that holds a sorted set.
struct FirstSet {
  Key key;
  SortedSet* set = nullptr;
};
Result<FirstSet> find_first(CommandContext& cx, size_t first, size_t last) {
  FirstSet found;
  for (size_t at = first; at < last && found.set == nullptr; ++at) {
    found.key = cx.key(at);
    TRY(found.set, cx.db.update<SortedSet>(found.key));
  }
  return found;
}

// Nothing to take: waits for one of the keys [first, last), or says that there is nothing.
void wait_or_reply(CommandContext& cx, size_t first, size_t last, int64_t timeout_ms) {
  if (!cx.may_block) {
    cx.reply.null_array();
    return;
  }
  cx.block = BlockRequest{.timeout_ms = timeout_ms,
                          .first_key = first,
                          .last_key = last - 1,
                          .type = ValueType::kSortedSet};
}

Status blocking_pop(CommandContext& cx, End end) {
  TRY(const int64_t timeout_ms, parse_timeout(cx, cx.size() - 1));
  TRY(const FirstSet found, find_first(cx, 1, cx.size() - 1));
  if (found.set == nullptr) {
    wait_or_reply(cx, 1, cx.size() - 1, timeout_ms);
    return done();
  }
  cx.reply.array(3);
  cx.reply.bulk(found.key.bytes);
  pop_items(cx, found.key, *found.set, end, 1, PopShape::kFlat);
  return done();
}

Status bzpopmin(CommandContext& cx) { return blocking_pop(cx, End::kMin); }
Status bzpopmax(CommandContext& cx) { return blocking_pop(cx, End::kMax); }

struct MultiPop {
  size_t first_key = 0;
  size_t behind_keys = 0;
  End end = End::kMin;
  int64_t count = 1;
};

// "numkeys key [key ...] MIN | MAX [COUNT count]" from argument `at` on.
Result<MultiPop> parse_multi_pop(const CommandContext& cx, size_t at) {
  const auto key_count = parse_int(cx[at]);
  if (!key_count || *key_count < 1) return errors::numkeys_not_positive();
  MultiPop pop;
  pop.first_key = at + 1;
  if (*key_count >= static_cast<int64_t>(cx.size() - pop.first_key)) return ErrorCode::kSyntax;
  pop.behind_keys = pop.first_key + static_cast<size_t>(*key_count);
  if (same_word(cx[pop.behind_keys], "MAX")) {
    pop.end = End::kMax;
  } else if (!same_word(cx[pop.behind_keys], "MIN")) {
    return ErrorCode::kSyntax;
  }
  const size_t option = pop.behind_keys + 1;
  if (option == cx.size()) return pop;
  if (!same_word(cx[option], "COUNT") || option + 1 == cx.size()) return ErrorCode::kSyntax;
  const auto count = parse_int(cx[option + 1]);
  if (!count || *count < 1) return errors::must_be_positive_count();
  if (option + 2 != cx.size()) return ErrorCode::kSyntax;
  pop.count = *count;
  return pop;
}

// True if there was something to take.
Result<bool> pop_first(CommandContext& cx, const MultiPop& pop) {
  TRY(const FirstSet found, find_first(cx, pop.first_key, pop.behind_keys));
  if (found.set == nullptr) return false;
  const size_t taken = std::min(static_cast<size_t>(pop.count), found.set->size());
  cx.reply.array(2);
  cx.reply.bulk(found.key.bytes);
  cx.reply.array(taken);
  pop_items(cx, found.key, *found.set, pop.end, taken, PopShape::kPairs);
  return true;
}

Status zmpop(CommandContext& cx) {
  TRY(const MultiPop pop, parse_multi_pop(cx, 1));
  TRY(const bool popped, pop_first(cx, pop));
  if (!popped) cx.reply.null_array();
  return done();
}

Status bzmpop(CommandContext& cx) {
  TRY(const MultiPop pop, parse_multi_pop(cx, 2));
  TRY(const int64_t timeout_ms, parse_timeout(cx, 1));
  TRY(const bool popped, pop_first(cx, pop));
  if (!popped) wait_or_reply(cx, pop.first_key, pop.behind_keys, timeout_ms);
  return done();
}

// ---- rows ---------------------------------------------------------------------------------------

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr uint16_t kPop = kKeyReadWrite | kKeyAccess | kKeyDelete;

constexpr CommandSpec kTable[] = {
    {.name = "bzmpop",
     .arity = -5,
     .flags = kWrite | kBlocking | kMovableKeys,
     .keys = {counted_keys(kPop, 2)},
     .syntax = "timeout:double numkeys:int key [key ...] <MIN | MAX> [COUNT count:int]",
     .summary = "Takes items from an end of the first sorted set that has any, waiting for one.",
     .complexity = "O(K) + O(M*log(N)): K keys, M items taken, N items in the set",
     .since = "7.0.0",
     .group = Group::kSortedSet,
     .run = bzmpop},
    {.name = "bzpopmax",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking | kFast,
     .keys = {key_range(kPop, 1, -2)},
     .syntax = "key [key ...] timeout:double",
     .summary = "Takes the item with the highest score, waiting for one.",
     .complexity = "O(log(N)) in the size of the sorted set",
     .since = "5.0.0",
     .history = "6.0.0: `timeout` is interpreted as a double instead of an integer.",
     .group = Group::kSortedSet,
     .run = bzpopmax},
    {.name = "bzpopmin",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking | kFast,
     .keys = {key_range(kPop, 1, -2)},
     .syntax = "key [key ...] timeout:double",
     .summary = "Takes the item with the lowest score, waiting for one.",
     .complexity = "O(log(N)) in the size of the sorted set",
     .since = "5.0.0",
     .history = "6.0.0: `timeout` is interpreted as a double instead of an integer.",
     .group = Group::kSortedSet,
     .run = bzpopmin},
    {.name = "zadd",
     .arity = -4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate)},
     .syntax = "key [NX | XX] [GT | LT] [CH] [INCR] score:double member [score:double member ...]",
     .summary = "Adds members with scores to a sorted set, or changes their scores.",
     .complexity = "O(log(N)) for each member",
     .since = "1.2.0",
     .history = "2.4.0: Accepts multiple elements.; "
                "3.0.2: Added the `XX`, `NX`, `CH` and `INCR` options.; "
                "6.2.0: Added the `GT` and `LT` options.",
     .group = Group::kSortedSet,
     .member_at = 3,
     .run = zadd},
    {.name = "zcard",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key",
     .summary = "Returns the number of members of a sorted set.",
     .complexity = "O(1)",
     .since = "1.2.0",
     .group = Group::kSortedSet,
     .run = zcard},
    {.name = "zincrby",
     .arity = 4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyAccess | kKeyUpdate)},
     .syntax = "key increment:int member",
     .summary = "Adds to the score of a member.",
     .complexity = "O(log(N)) in the size of the sorted set",
     .since = "1.2.0",
     .group = Group::kSortedSet,
     .member_at = 3,
     .run = zincrby},
    {.name = "zmpop",
     .arity = -4,
     .flags = kWrite | kMovableKeys,
     .keys = {counted_keys(kPop, 1)},
     .syntax = "numkeys:int key [key ...] <MIN | MAX> [COUNT count:int]",
     .summary = "Takes items from an end of the first sorted set that has any.",
     .complexity = "O(K) + O(M*log(N)): K keys, M items taken, N items in the set",
     .since = "7.0.0",
     .group = Group::kSortedSet,
     .run = zmpop},
    {.name = "zmscore",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key member [member ...]",
     .summary = "Returns the scores of several members.",
     .complexity = "O(N) in the number of members asked for",
     .since = "6.2.0",
     .group = Group::kSortedSet,
     .member_at = 2,
     .run = zmscore},
    {.name = "zpopmax",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = {one_key(kPop)},
     .syntax = "key [count:int]",
     .summary = "Takes the items with the highest scores.",
     .complexity = "O(log(N)*M): N items in the set, M items taken",
     .since = "5.0.0",
     .group = Group::kSortedSet,
     .run = zpopmax},
    {.name = "zpopmin",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = {one_key(kPop)},
     .syntax = "key [count:int]",
     .summary = "Takes the items with the lowest scores.",
     .complexity = "O(log(N)*M): N items in the set, M items taken",
     .since = "5.0.0",
     .group = Group::kSortedSet,
     .run = zpopmin},
    {.name = "zrandmember",
     .arity = -2,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key [count:int [WITHSCORES]]",
     .summary = "Returns random members of a sorted set.",
     .complexity = "O(N) in the number of members returned",
     .since = "6.2.0",
     .group = Group::kSortedSet,
     .tips = "nondeterministic_output",
     .run = zrandmember},
    {.name = "zrank",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key member [WITHSCORE]",
     .summary = "Returns the position of a member, counted from the lowest score.",
     .complexity = "O(log(N))",
     .since = "2.0.0",
     .history = "7.2.0: Added the optional `WITHSCORE` argument.",
     .group = Group::kSortedSet,
     .member_at = 2,
     .run = zrank},
    {.name = "zrem",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyDelete)},
     .syntax = "key member [member ...]",
     .summary = "Removes members from a sorted set.",
     .complexity = "O(M*log(N)): N members of the set, M removed",
     .since = "1.2.0",
     .history = "2.4.0: Accepts multiple elements.",
     .group = Group::kSortedSet,
     .member_at = 2,
     .run = zrem},
    {.name = "zrevrank",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key member [WITHSCORE]",
     .summary = "Returns the position of a member, counted from the highest score.",
     .complexity = "O(log(N))",
     .since = "2.0.0",
     .history = "7.2.0: Added the optional `WITHSCORE` argument.",
     .group = Group::kSortedSet,
     .member_at = 2,
     .run = zrevrank},
    {.name = "zscan",
     .arity = -3,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key cursor:int [MATCH pattern] [COUNT count:int]",
     .summary = "Walks over the members of a sorted set, a few at a time.",
     .complexity = "O(1) a call, O(N) for a whole walk",
     .since = "2.8.0",
     .group = Group::kSortedSet,
     .tips = "nondeterministic_output",
     .run = zscan},
    {.name = "zscore",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key member",
     .summary = "Returns the score of a member.",
     .complexity = "O(1)",
     .since = "1.2.0",
     .group = Group::kSortedSet,
     .member_at = 2,
     .run = zscore},
};
static_assert(well_formed(kTable),
              "cmd_sorted_set.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> sorted_set_commands() { return kTable; }

}  // namespace quorate

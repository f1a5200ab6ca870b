// Commands on sets.
#include <algorithm>
#include <string>
#include <vector>

#include "commands/container_result.h"
#include "commands/context.h"
#include "commands/element_scan.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/syntax.h"
#include "store/set.h"

namespace quorate {
namespace {

// ---- one set ------------------------------------------------------------------------------------

Status sadd(CommandContext& cx) {
  TRY(check_element_sizes(cx, 2, 1));
  const Key key = cx.key(1);
  TRY(Set * set, cx.db.update_or_insert<Set>(key));
  int64_t added = 0;
  for (size_t at = 2; at < cx.size(); ++at) added += set->add(cx[at], cx.settings) ? 1 : 0;
  if (added > 0) cx.db.changed(key, EventClass::kSet, "sadd");
  cx.reply.integer(added);
  return done();
}

Status srem(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(Set * set, cx.db.update<Set>(key));
  int64_t removed = 0;
  if (set != nullptr) {
    for (size_t at = 2; at < cx.size(); ++at) removed += set->remove(cx[at]) ? 1 : 0;
  }
  if (removed > 0) {
    cx.db.changed(key, EventClass::kSet, "srem");
    cx.db.erase_if_empty(key);
  }
  cx.reply.integer(removed);
  return done();
}

Status sismember(CommandContext& cx) {
  TRY(const Set* set, cx.db.find_as<Set>(cx.key(1)));
  cx.reply.integer(set != nullptr && set->contains(cx[2]) ? 1 : 0);
  return done();
}

Status smismember(CommandContext& cx) {
  TRY(const Set* set, cx.db.find_as<Set>(cx.key(1)));
  cx.reply.array(cx.size() - 2);
  for (size_t at = 2; at < cx.size(); ++at) {
    cx.reply.integer(set != nullptr && set->contains(cx[at]) ? 1 : 0);
  }
  return done();
}

Status scard(CommandContext& cx) {
  TRY(const Set* set, cx.db.find_as<Set>(cx.key(1)));
  cx.reply.integer(set == nullptr ? 0 : static_cast<int64_t>(set->size()));
  return done();
}

void reply_members(CommandContext& cx, const Set& set) {
  cx.reply.set(set.size());
  set.for_each([&cx](std::string_view member) { cx.reply.bulk(member); });
}

Status smembers(CommandContext& cx) {
  TRY(const Set* set, cx.db.find_as<Set>(cx.key(1)));
  if (set == nullptr) {
    cx.reply.set(0);
  } else {
    reply_members(cx, *set);
  }
  return done();
}

Status sscan(CommandContext& cx) {
  TRY(const uint64_t cursor, parse_scan_cursor(cx[2]));
  TRY(const Set* set, cx.db.find_as<Set>(cx.key(1)));
  if (set == nullptr) {
    reply_scan_cursor(cx.reply, 0);
    cx.reply.array(0);
    return done();
  }
  TRY(const ElementScan scan, parse_element_scan(cx, cursor));
  std::vector<std::string> found;
  const uint64_t next = set->scan(scan.cursor, scan.count, [&](std::string_view member) {
    if (scan.matches(member)) found.emplace_back(member);
    return true;
  });
  reply_scan_cursor(cx.reply, next);
  cx.reply.array(found.size());
  for (const std::string& member : found) cx.reply.bulk(member);
  return done();
}

Status smove(CommandContext& cx) {
  TRY(check_element_sizes(cx, 3, 1));
  const Key from = cx.key(1);
  const Key to = cx.key(2);
  const std::string_view member = cx[3];
  TRY(Set * source, cx.db.update<Set>(from));
  if (source == nullptr) {
    cx.reply.integer(0);
    return done();
  }
  TRY(Set * target, cx.db.update<Set>(to));
  if (source == target) {
    cx.reply.integer(source->contains(member) ? 1 : 0);
    return done();
  }
  if (!source->remove(member)) {
    cx.reply.integer(0);
    return done();
  }
  cx.db.changed(from, EventClass::kSet, "srem");
  cx.effect(from, {"SREM", from.bytes, member});
  cx.db.erase_if_empty(from);
  if (target == nullptr) target = cx.db.insert<Set>(to);
  if (target->add(member, cx.settings)) {
    cx.db.changed(to, EventClass::kSet, "sadd");
    cx.effect(to, {"SADD", to.bytes, member});
  }
  cx.reply.integer(1);
  return done();
}

// ---- chance -------------------------------------------------------------------------------------

// The effect of having taken `members` out, or, if that was all, of having lost the key.
void pop_effect(CommandContext& cx, const Key& key, const std::vector<std::string>& members) {
  if (!cx.collecting_effects()) return;
  std::vector<std::string_view> effect = {"SREM", key.bytes};
  effect.insert(effect.end(), members.begin(), members.end());
  cx.effect(key, effect);
}

Status spop_one(CommandContext& cx) {
  const Key key = cx.key(1);
  TRY(Set * set, cx.db.update<Set>(key));
  if (set == nullptr) {
    cx.reply.null();
    return done();
  }
  Set::Scratch scratch;
  const std::string_view member = set->random_member(cx.random(), scratch);
  cx.reply.bulk(member);
  cx.effect(key, {"SREM", key.bytes, member});
  set->remove(member);
  cx.db.changed(key, EventClass::kSet, "spop");
  cx.db.erase_if_empty(key);
  return done();
}

Status spop_all(CommandContext& cx, const Key& key, const Set& set) {
  reply_members(cx, set);
  cx.effect(key, {"DEL", key.bytes});
  cx.db.announce(key, EventClass::kSet, "spop");
  cx.db.erase(key);
  return done();
}

// Chooses what stays instead of what goes.
Status spop_most(CommandContext& cx, const Key& key, Set& set, size_t wanted) {
  Temporary<Set> rest;
  for (size_t stays = set.size() - wanted; stays > 0; --stays) {
    Set::Scratch scratch;
    const std::string_view member = set.random_member(cx.random(), scratch);
    rest->add(member, cx.settings);
    set.remove(member);
  }
  reply_members(cx, set);
  set.swap(*rest);
  drop_value(cx, *rest);
  cx.effect_whole_value(cx.db, key);
  cx.db.changed(key, EventClass::kSet, "spop");
  return done();
}

Status spop(CommandContext& cx) {
  if (cx.size() == 2) return spop_one(cx);
  if (cx.size() > 3) return ErrorCode::kSyntax;
  const auto count = parse_int(cx[2]);
  if (!count || *count < 0) return ErrorCode::kNotPositive;
  const Key key = cx.key(1);
  TRY(Set * set, cx.db.update<Set>(key));
  if (set == nullptr || *count == 0) {
    cx.reply.set(0);
    return done();
  }
  const auto wanted = static_cast<size_t>(*count);
  if (wanted >= set->size()) return spop_all(cx, key, *set);
  if (is_better_rebuilt(wanted, set->size() - wanted)) return spop_most(cx, key, *set, wanted);
  std::vector<std::string> members;
  cx.reply.set(wanted);
  for (size_t left = wanted; left > 0; --left) {
    Set::Scratch scratch;
    const std::string_view member = set->random_member(cx.random(), scratch);
    cx.reply.bulk(member);
    if (cx.collecting_effects()) members.emplace_back(member);
    set->remove(member);
  }
  pop_effect(cx, key, members);
  cx.db.changed(key, EventClass::kSet, "spop");
  return done();
}

void reply_repeated_members(CommandContext& cx, const Set& set, size_t count) {
  cx.reply.array(count);
  for (; count > 0; --count) {
    Set::Scratch scratch;
    cx.reply.bulk(set.random_member(cx.random(), scratch));
  }
}

Status srandmember(CommandContext& cx) {
  if (cx.size() > 3) return ErrorCode::kSyntax;
  const bool counted = cx.size() == 3;
  int64_t count = 1;
  if (counted) {
    TRY(count, parse_random_count(cx, 2));
  }
  TRY(const Set* set, cx.db.find_as<Set>(cx.key(1)));
  if (set == nullptr || count == 0) {
    if (counted) {
      cx.reply.array(0);
    } else {
      cx.reply.null();
    }
    return done();
  }
  Set::Scratch scratch;
  if (!counted) {
    cx.reply.bulk(set->random_member(cx.random(), scratch));
    return done();
  }
  if (count < 0) {
    reply_repeated_members(cx, *set, static_cast<size_t>(-count));
    return done();
  }
  const size_t wanted = std::min(static_cast<size_t>(count), set->size());
  cx.reply.array(wanted);
  sample(
      set->size(), wanted, cx.random(), [set](const Set::Visitor& visit) { set->walk(visit); },
      [&] { return set->random_member(cx.random(), scratch); },
      [](std::string_view member) { return member; },
      [&cx](std::string_view member) { cx.reply.bulk(member); });
  return done();
}

// ---- several sets -------------------------------------------------------------------------------

// The sets at arguments [first, last); absent ones are null.  A key of another type is an error
// wherever it stands.
Result<std::vector<const Set*>> find_sets(CommandContext& cx, size_t first, size_t last) {
  std::vector<const Set*> sets;
  sets.reserve(last - first);
  for (size_t at = first; at < last; ++at) {
    TRY(const Set* set, cx.db.find_as<Set>(cx.key(at)));
    sets.push_back(set);
  }
  return sets;
}

// Calls visit(member) for each member of the intersection until it returns false.
template <class Visit>
void intersect(std::vector<const Set*> sets, Visit&& visit) {
  for (const Set* set : sets) {
    if (set == nullptr) return;
  }
  std::stable_sort(sets.begin(), sets.end(),
                   [](const Set* left, const Set* right) { return left->size() < right->size(); });
  sets[0]->walk([&](std::string_view member) {
    for (size_t index = 1; index < sets.size(); ++index) {
      if (sets[index] != sets[0] && !sets[index]->contains(member)) return true;
    }
    return visit(member);
  });
}

using Combine = void (*)(const std::vector<const Set*>& sets, const StoreSettings& settings,
                         Set& result);

void intersection(const std::vector<const Set*>& sets, const StoreSettings& settings, Set& result) {
  intersect(sets, [&](std::string_view member) {
    result.add(member, settings);
    return true;
  });
}

void make_union(const std::vector<const Set*>& sets, const StoreSettings& settings, Set& result) {
  for (const Set* set : sets) {
    if (set == nullptr) continue;
    set->for_each([&](std::string_view member) { result.add(member, settings); });
  }
}

void difference(const std::vector<const Set*>& sets, const StoreSettings& settings, Set& result) {
  const Set* first = sets[0];
  if (first == nullptr) return;
  size_t others = 0;
  for (size_t index = 1; index < sets.size(); ++index) {
    if (sets[index] == first) return;
    others += sets[index] == nullptr ? 0 : sets[index]->size();
  }
  // Either every member of the first is looked for in the others, or the others' are taken from a
  // copy.
  if (first->size() * (sets.size() - 1) / 2 > first->size() + others) {
    first->clone_into(result);
    for (size_t index = 1; index < sets.size(); ++index) {
      if (sets[index] == nullptr) continue;
      sets[index]->for_each([&result](std::string_view member) { result.remove(member); });
    }
    return;
  }
  first->for_each([&](std::string_view member) {
    for (size_t index = 1; index < sets.size(); ++index) {
      if (sets[index] != nullptr && sets[index]->contains(member)) return;
    }
    result.add(member, settings);
  });
}

Status reply_combined(CommandContext& cx, Combine combine) {
  TRY(const std::vector<const Set*> sets, find_sets(cx, 1, cx.size()));
  Temporary<Set> result;
  combine(sets, cx.settings, *result);
  reply_members(cx, *result);
  return done();
}

Status store_combined(CommandContext& cx, Combine combine, std::string_view event) {
  TRY(const std::vector<const Set*> sets, find_sets(cx, 2, cx.size()));
  Temporary<Set> result;
  combine(sets, cx.settings, *result);
  return store_result(cx, cx.key(1), result, EventClass::kSet, event);
}

Status sinter(CommandContext& cx) { return reply_combined(cx, intersection); }
Status sunion(CommandContext& cx) { return reply_combined(cx, make_union); }
Status sdiff(CommandContext& cx) { return reply_combined(cx, difference); }
Status sinterstore(CommandContext& cx) { return store_combined(cx, intersection, "sinterstore"); }
Status sunionstore(CommandContext& cx) { return store_combined(cx, make_union, "sunionstore"); }
Status sdiffstore(CommandContext& cx) { return store_combined(cx, difference, "sdiffstore"); }

Status sintercard(CommandContext& cx) {
  const auto key_count = parse_int(cx[1]);
  if (!key_count || *key_count < 1) return errors::numkeys_not_positive();
  if (*key_count > static_cast<int64_t>(cx.size()) - 2) return errors::too_many_keys();
  const size_t behind = 2 + static_cast<size_t>(*key_count);
  int64_t limit = 0;
  for (size_t at = behind; at < cx.size(); at += 2) {
    if (!same_word(cx[at], "LIMIT") || at + 1 == cx.size()) return ErrorCode::kSyntax;
    const auto value = parse_int(cx[at + 1]);
    if (!value || *value < 0) return errors::cannot_be_negative("LIMIT");
    limit = *value;
  }
  TRY(std::vector<const Set*> sets, find_sets(cx, 2, behind));
  int64_t count = 0;
  intersect(std::move(sets), [&](std::string_view) { return ++count != limit; });
  cx.reply.integer(count);
  return done();
}

// ---- rows ---------------------------------------------------------------------------------------

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;
constexpr uint16_t kPop = kKeyReadWrite | kKeyAccess | kKeyDelete;

constexpr CommandSpec kTable[] = {
    {.name = "sadd",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyInsert)},
     .syntax = "key member [member ...]",
     .summary = "Adds members to a set, creating it if there is none.",
     .complexity = "O(1) for each member added",
     .since = "1.0.0",
     .history = "2.4.0: Accepts multiple `member` arguments.",
     .group = Group::kSet,
     .member_at = 2,
     .run = sadd},
    {.name = "scard",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key",
     .summary = "Returns the number of members of a set.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kSet,
     .run = scard},
    {.name = "sdiff",
     .arity = -2,
     .flags = kReadonly,
     .keys = {key_range(kReadAccess, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Returns what the first set has and no other.",
     .complexity = "O(N) in the members of all sets",
     .since = "1.0.0",
     .group = Group::kSet,
     .tips = "nondeterministic_output_order",
     .run = sdiff},
    {.name = "sdiffstore",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyOverwrite | kKeyUpdate), key_range(kReadAccess, 2, -1)},
     .syntax = "destination:key key [key ...]",
     .summary = "Stores what the first set has and no other.",
     .complexity = "O(N) in the members of all sets",
     .since = "1.0.0",
     .group = Group::kSet,
     .run = sdiffstore},
    {.name = "sinter",
     .arity = -2,
     .flags = kReadonly,
     .keys = {key_range(kReadAccess, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Returns the members that all sets have.",
     .complexity = "O(N*M): the size of the smallest set times the number of sets",
     .since = "1.0.0",
     .group = Group::kSet,
     .tips = "nondeterministic_output_order",
     .run = sinter},
    {.name = "sintercard",
     .arity = -3,
     .flags = kReadonly | kMovableKeys,
     .keys = {counted_keys(kReadAccess, 1)},
     .syntax = "numkeys:int key [key ...] [LIMIT limit:int]",
     .summary = "Counts the members that all sets have.",
     .complexity = "O(N*M): the size of the smallest set times the number of sets",
     .since = "7.0.0",
     .group = Group::kSet,
     .run = sintercard},
    {.name = "sinterstore",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyReadWrite | kKeyUpdate), key_range(kReadAccess, 2, -1)},
     .syntax = "destination:key key [key ...]",
     .summary = "Stores the members that all sets have.",
     .complexity = "O(N*M): the size of the smallest set times the number of sets",
     .since = "1.0.0",
     .group = Group::kSet,
     .run = sinterstore},
    {.name = "sismember",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kKeyReadOnly)},
     .syntax = "key member",
     .summary = "Says whether a set has a member.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kSet,
     .member_at = 2,
     .run = sismember},
    {.name = "smembers",
     .arity = 2,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key",
     .summary = "Returns all members of a set.",
     .complexity = "O(N) in the size of the set",
     .since = "1.0.0",
     .group = Group::kSet,
     .tips = "nondeterministic_output_order",
     .run = smembers},
    {.name = "smismember",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = {one_key(kReadAccess)},
     .syntax = "key member [member ...]",
     .summary = "Says of several members whether a set has them.",
     .complexity = "O(N) in the number of members asked for",
     .since = "6.2.0",
     .group = Group::kSet,
     .member_at = 2,
     .run = smismember},
    {.name = "smove",
     .arity = 4,
     .flags = kWrite | kFast,
     .keys = {one_key(kPop), one_key(kKeyReadWrite | kKeyInsert, 2)},
     .syntax = "source:key destination:key member",
     .summary = "Moves a member from one set to another.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .group = Group::kSet,
     .member_at = 3,
     .run = smove},
    {.name = "spop",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = {one_key(kPop)},
     .syntax = "key [count:int]",
     .summary = "Takes random members out of a set and returns them.",
     .complexity = "O(1), or O(N) in the count",
     .since = "1.0.0",
     .history = "3.2.0: Added the `count` argument.",
     .group = Group::kSet,
     .tips = "nondeterministic_output",
     .run = spop},
    {.name = "srandmember",
     .arity = -2,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key [count:int]",
     .summary = "Returns random members of a set.",
     .complexity = "O(1), or O(N) in the count",
     .since = "1.0.0",
     .history = "2.6.0: Added the optional `count` argument.",
     .group = Group::kSet,
     .tips = "nondeterministic_output",
     .run = srandmember},
    {.name = "srem",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = {one_key(kKeyReadWrite | kKeyDelete)},
     .syntax = "key member [member ...]",
     .summary = "Removes members from a set.",
     .complexity = "O(N) in the number of members removed",
     .since = "1.0.0",
     .history = "2.4.0: Accepts multiple `member` arguments.",
     .group = Group::kSet,
     .member_at = 2,
     .run = srem},
    {.name = "sscan",
     .arity = -3,
     .flags = kReadonly,
     .keys = {one_key(kReadAccess)},
     .syntax = "key cursor:int [MATCH pattern] [COUNT count:int]",
     .summary = "Walks over the members of a set, a few at a time.",
     .complexity = "O(1) a call, O(N) for a whole walk",
     .since = "2.8.0",
     .group = Group::kSet,
     .tips = "nondeterministic_output",
     .run = sscan},
    {.name = "sunion",
     .arity = -2,
     .flags = kReadonly,
     .keys = {key_range(kReadAccess, 1, -1)},
     .syntax = "key [key ...]",
     .summary = "Returns the members that any of the sets has.",
     .complexity = "O(N) in the members of all sets",
     .since = "1.0.0",
     .group = Group::kSet,
     .tips = "nondeterministic_output_order",
     .run = sunion},
    {.name = "sunionstore",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = {one_key(kKeyOverwrite | kKeyUpdate), key_range(kReadAccess, 2, -1)},
     .syntax = "destination:key key [key ...]",
     .summary = "Stores the members that any of the sets has.",
     .complexity = "O(N) in the members of all sets",
     .since = "1.0.0",
     .group = Group::kSet,
     .run = sunionstore},
};
static_assert(well_formed(kTable), "cmd_set.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> set_commands() { return kTable; }

}  // namespace quorate

// SORT: orders the elements of a list, set or sorted set by themselves or by values of other keys.
#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "commands/container_result.h"
#include "commands/context.h"
#include "commands/errors.h"
#include "commands/families.h"
#include "commands/lenient_double.h"
#include "commands/live_hash.h"
#include "commands/syntax.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/sorted_set.h"

namespace quorate {
namespace {

// ---- reading the arguments
// ------------------------------------------------------------------------

struct SortRequest {
  bool is_descending = false;
  bool is_alpha = false;
  bool keeps_order = false;  // BY a pattern without '*': nothing is sorted
  int64_t offset = 0;
  int64_t count = -1;
  std::optional<std::string_view> by{};
  std::vector<std::string_view> gets{};
  std::optional<size_t> store_at{};  // index of the destination
};

enum class MayStore : uint8_t { kNo, kYes };

Result<SortRequest> parse_sort(const CommandContext& cx, MayStore may_store) {
  SortRequest request;
  for (size_t at = 2; at < cx.size(); ++at) {
    const size_t left = cx.size() - at - 1;
    if (same_word(cx[at], "ASC")) {
      request.is_descending = false;
    } else if (same_word(cx[at], "DESC")) {
      request.is_descending = true;
    } else if (same_word(cx[at], "ALPHA")) {
      request.is_alpha = true;
    } else if (left >= 2 && same_word(cx[at], "LIMIT")) {
      TRY(request.offset, cx.integer(at + 1));
      TRY(request.count, cx.integer(at + 2));
      at += 2;
    } else if (may_store == MayStore::kYes && left >= 1 && same_word(cx[at], "STORE")) {
      request.store_at = ++at;
    } else if (left >= 1 && same_word(cx[at], "BY")) {
      request.by = cx[++at];
      request.keeps_order = request.by->find('*') == std::string_view::npos;
    } else if (left >= 1 && same_word(cx[at], "GET")) {
      request.gets.push_back(cx[++at]);
    } else {
      return ErrorCode::kSyntax;
    }
  }
  if (request.keeps_order) request.by.reset();
  return request;
}

// ---- values of other keys
// ---------------------------------------------------------------------------

// What `pattern` names for `element`: the element itself for "#", else the string at the key that
// comes of putting the element in place of '*', or behind "->" that field of the hash there.
// Nothing if it is not there. The view lives until that key changes.
std::optional<std::string_view> look_up(CommandContext& cx, std::string_view pattern,
                                        std::string_view element) {
  if (pattern == "#") return element;
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return std::nullopt;
  std::string_view field;
  const size_t arrow = pattern.find("->", star + 1);
  if (arrow != std::string_view::npos && arrow + 2 < pattern.size()) {
    field = pattern.substr(arrow + 2);
    pattern = pattern.substr(0, arrow);
  }
  std::string name(pattern.substr(0, star));
  name += element;
  name += pattern.substr(star + 1);
  const Key key = cx.store.make_key(name);
  const Entry* entry = cx.db.find(key);
  if (entry == nullptr) return std::nullopt;
  if (field.empty()) {
    if (!entry->is_string()) return std::nullopt;
    return entry->string();
  }
  if (entry->type() != ValueType::kHash) return std::nullopt;
  const auto found = static_cast<const Hash*>(entry->object())->find(field);
  if (!found || !is_live(cx, *found)) return std::nullopt;
  return found->value;
}

// ---- elements
// -----------------------------------------------------------------------------------------

struct Element {
  std::string_view text;
  std::optional<std::string_view> weight{};  // of BY
  double number = 0;
};

// The elements to sort, in the order of their container.  Views live until the key changes.
struct Elements {
  std::vector<Element> list;
  std::string copies;  // of members that the set makes only for the call
};

void load_set(const Set& set, Elements& elements) {
  std::vector<size_t> ends;
  ends.reserve(set.size());
  set.for_each([&](std::string_view member) {
    elements.copies += member;
    ends.push_back(elements.copies.size());
  });
  size_t begin = 0;
  for (const size_t end : ends) {
    elements.list.push_back({std::string_view(elements.copies).substr(begin, end - begin)});
    begin = end;
  }
}

Status load(CommandContext& cx, SortRequest& request, Elements& elements) {
  const Entry* entry = cx.db.find(cx.key(1));
  if (entry == nullptr) return done();
  const auto append = [&elements](std::string_view text) { elements.list.push_back({text}); };
  switch (entry->type()) {
    case ValueType::kList:
      static_cast<const List*>(entry->object())->for_each(append);
      // Unsorted but descending means: from the end.
      if (request.keeps_order && request.is_descending) {
        std::reverse(elements.list.begin(), elements.list.end());
      }
      return done();
    case ValueType::kSet:
      load_set(*static_cast<const Set*>(entry->object()), elements);
      if (request.keeps_order && request.store_at) {
        // What is stored must not depend on the order that a set happens to have.
        request.keeps_order = false;
        request.is_alpha = true;
      }
      return done();
    case ValueType::kSortedSet: {
      const auto* set = static_cast<const SortedSet*>(entry->object());
      const bool is_downwards = request.keeps_order && request.is_descending;
      set->walk(is_downwards ? set->size() - 1 : 0, set->size(),
                is_downwards ? SortedSet::Direction::kDown : SortedSet::Direction::kUp,
                [&append](std::string_view member, double) {
                  append(member);
                  return true;
                });
      return done();
    }
    case ValueType::kString:
    case ValueType::kHash:
    case ValueType::kStream:
      return ErrorCode::kWrongType;
  }
  return done();
}

// ---- order
// ----------------------------------------------------------------------------------------------

// Fetches what the elements are compared by.
Status weigh(CommandContext& cx, const SortRequest& request, std::vector<Element>& elements) {
  if (request.is_alpha && !request.by) return done();
  bool all_are_numbers = true;
  for (Element& element : elements) {
    const auto weight = request.by ? look_up(cx, *request.by, element.text) : element.text;
    if (request.is_alpha) {
      element.weight = weight;
    } else if (weight) {
      const auto number = parse_weight(*weight);
      all_are_numbers = all_are_numbers && number.has_value();
      element.number = number.value_or(0);
    }
  }
  if (!all_are_numbers) return errors::sort_score();
  return done();
}

// Negative: left comes first, when ascending.
int compare(const SortRequest& request, const Element& left, const Element& right) {
  if (!request.is_alpha) {
    if (left.number != right.number) return left.number < right.number ? -1 : 1;
    return left.text.compare(right.text);
  }
  if (!request.by) return left.text.compare(right.text);
  // Elements without a weight come first.
  if (!left.weight || !right.weight) return (left.weight ? 1 : 0) - (right.weight ? 1 : 0);
  return left.weight->compare(*right.weight);
}

void order(const SortRequest& request, std::vector<Element>& elements) {
  std::stable_sort(elements.begin(), elements.end(),
                   [&](const Element& left, const Element& right) {
                     const int order = compare(request, left, right);
                     return request.is_descending ? order > 0 : order < 0;
                   });
}

std::span<const Element> limited(const SortRequest& request, const std::vector<Element>& elements) {
  const auto size = static_cast<int64_t>(elements.size());
  const int64_t offset = std::min(std::max<int64_t>(request.offset, 0), size);
  const int64_t left = size - offset;
  const int64_t count = request.count < 0 ? left : std::min(request.count, left);
  return std::span(elements).subspan(static_cast<size_t>(offset), static_cast<size_t>(count));
}

// ---- the result
// -------------------------------------------------------------------------------------------

void reply_elements(CommandContext& cx, const SortRequest& request,
                    std::span<const Element> elements) {
  cx.reply.array(elements.size() * std::max<size_t>(request.gets.size(), 1));
  for (const Element& element : elements) {
    if (request.gets.empty()) cx.reply.bulk(element.text);
    for (const std::string_view pattern : request.gets) {
      if (const auto value = look_up(cx, pattern, element.text)) {
        cx.reply.bulk(*value);
      } else {
        cx.reply.null();
      }
    }
  }
}

Status store_elements(CommandContext& cx, const SortRequest& request,
                      std::span<const Element> elements) {
  Temporary<List> result;
  for (const Element& element : elements) {
    if (request.gets.empty()) result->push_back(element.text);
    for (const std::string_view pattern : request.gets) {
      result->push_back(look_up(cx, pattern, element.text).value_or(std::string_view()));
    }
  }
  return store_result(cx, cx.key(*request.store_at), result, EventClass::kList, "sortstore");
}

Status sort_key(CommandContext& cx, MayStore may_store) {
  TRY(SortRequest request, parse_sort(cx, may_store));
  Elements elements;
  TRY(load(cx, request, elements));
  if (!request.keeps_order) {
    TRY(weigh(cx, request, elements.list));
    order(request, elements.list);
  }
  const std::span<const Element> chosen = limited(request, elements.list);
  if (request.store_at) return store_elements(cx, request, chosen);
  reply_elements(cx, request, chosen);
  return done();
}

Status sort(CommandContext& cx) { return sort_key(cx, MayStore::kYes); }
Status sort_ro(CommandContext& cx) { return sort_key(cx, MayStore::kNo); }

// ---- rows
// -------------------------------------------------------------------------------------------------

constexpr uint16_t kReadAccess = kKeyReadOnly | kKeyAccess;

// Keys that only the values or any of the arguments tell.
constexpr KeySpec unknown_keys(uint16_t flags) {
  return {.begin = KeySpec::Begin::kUnknown, .find = KeySpec::Find::kUnknown, .flags = flags};
}

constexpr CommandSpec kTable[] = {
    {.name = "sort",
     .arity = -2,
     .flags = kWrite | kDenyOom | kMovableKeys,
     .keys = {one_key(kReadAccess), unknown_keys(kReadAccess),
              unknown_keys(kKeyOverwrite | kKeyUpdate)},
     .syntax = "key [BY pattern:pattern@1] [LIMIT offset:int count:int]"
               " [GET pattern:pattern@1 [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE "
               "destination:key@2]",
     .summary = "Sorts a list, set or sorted set; returns or stores the result.",
     .complexity = "O(N+M*log(M)): N elements, M returned",
     .since = "1.0.0",
     .group = Group::kGeneric,
     .acl = "-keyspace,set,sortedset,list,dangerous",
     .run = sort},
    {.name = "sort_ro",
     .arity = -2,
     .flags = kReadonly | kMovableKeys,
     .keys = {one_key(kReadAccess), unknown_keys(kReadAccess)},
     .syntax = "key [BY pattern:pattern@1] [LIMIT offset:int count:int]"
               " [GET pattern:pattern@1 [GET pattern ...]] [ASC | DESC] [ALPHA]",
     .summary = "Sorts a list, set or sorted set without storing.",
     .complexity = "O(N+M*log(M)): N elements, M returned",
     .since = "7.0.0",
     .group = Group::kGeneric,
     .acl = "-keyspace,set,sortedset,list,dangerous",
     .run = sort_ro},
};
static_assert(well_formed(kTable), "cmd_sort.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> sort_commands() { return kTable; }

}  // namespace quorate

// Dispatch over the value classes.
#include "store/value.h"

#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "util/memory.h"
#include "util/number.h"

namespace quorate {

namespace {

constexpr size_t kEmbeddedStringMax = 44;  // Redis' OBJ_ENCODING_EMBSTR_SIZE_LIMIT

// Calls visit with the value object as its class.  Requires: not a string.
template <class Visit>
auto with_object(Entry& entry, Visit&& visit) {
  switch (entry.type()) {
    case ValueType::kList:
      return visit(*static_cast<List*>(entry.object()));
    case ValueType::kSet:
      return visit(*static_cast<Set*>(entry.object()));
    case ValueType::kSortedSet:
      return visit(*static_cast<SortedSet*>(entry.object()));
    case ValueType::kHash:
      return visit(*static_cast<Hash*>(entry.object()));
    case ValueType::kString:
    case ValueType::kStream:
      break;
  }
  CHECK(false);
}
template <class Visit>
auto with_object(const Entry& entry, Visit&& visit) {
  return with_object(const_cast<Entry&>(entry), [&](const auto& object) { return visit(object); });
}

std::string_view string_encoding(const Entry& entry) {
  const std::string_view value = entry.string();
  if (!entry.edited() && value.size() <= kIntTextMax && parse_int(value)) return "int";
  return value.size() <= kEmbeddedStringMax && !entry.edited() ? "embstr" : "raw";
}

}  // namespace

size_t value_size(const Entry& entry) {
  if (entry.is_string()) return 1;
  return with_object(entry, [](const auto& object) { return static_cast<size_t>(object.size()); });
}

bool value_is_empty(const Entry& entry) { return !entry.is_string() && value_size(entry) == 0; }

std::string_view value_encoding(const Entry& entry, const StoreSettings& settings) {
  if (entry.is_string()) return string_encoding(entry);
  return with_object(entry, [&](const auto& object) -> std::string_view {
    return object.encoding_name(settings);
  });
}

size_t value_memory(const Entry& entry) {
  if (entry.is_string()) return 0;
  return with_object(entry,
                     [](const auto& object) { return static_cast<size_t>(object.memory_bytes()); });
}

Entry* clone_entry(std::string_view key, const Entry& entry) {
  if (entry.is_string()) {
    Entry* copy = Entry::create_string(key, entry.string(), kNever);
    copy->set_edited(entry.edited());
    return copy;
  }
  Entry* copy = Entry::create_object(key, entry.type(), kNever);
  switch (entry.type()) {
    case ValueType::kList:
      static_cast<const List*>(entry.object())->clone_into(*static_cast<List*>(copy->object()));
      break;
    case ValueType::kSet:
      static_cast<const Set*>(entry.object())->clone_into(*static_cast<Set*>(copy->object()));
      break;
    case ValueType::kSortedSet:
      static_cast<const SortedSet*>(entry.object())
          ->clone_into(*static_cast<SortedSet*>(copy->object()));
      break;
    case ValueType::kHash:
      static_cast<const Hash*>(entry.object())->clone_into(*static_cast<Hash*>(copy->object()));
      break;
    case ValueType::kString:
    case ValueType::kStream:
      CHECK(false);
  }
  return copy;
}

void destroy_value(Entry* entry) {
  if (entry->is_string()) return;
  with_object(*entry, [](auto& object) { object.destroy(); });
}

bool destroy_value_some(Entry* entry, size_t& budget) {
  if (entry->is_string()) return true;
  return with_object(*entry, [&](auto& object) { return object.destroy_some(budget); });
}

}  // namespace quorate

// Key extraction.  A few commands have keys that no specification can describe; they have a function here.
#include "commands/keys.h"

#include <algorithm>

#include "commands/context.h"

namespace quorate {
namespace {

bool is_key(const KeySpec& spec) {
  return spec.begin != KeySpec::Begin::kNone && (spec.flags & kKeyNotKey) == 0;
}

// The index where a specification's keys begin (or their number stands); 0: there are none.
size_t begin_of(const KeySpec& spec, Args args) {
  const auto count = static_cast<int64_t>(args.size());
  switch (spec.begin) {
    case KeySpec::Begin::kNone:
    case KeySpec::Begin::kUnknown:
      return 0;
    case KeySpec::Begin::kIndex:
      return static_cast<size_t>(spec.at);
    case KeySpec::Begin::kKeyword:
      break;
  }
  // A negative start looks from the end backwards.  The last word cannot be the keyword: nothing follows it.
  const int64_t step = spec.at > 0 ? 1 : -1;
  for (int64_t at = spec.at > 0 ? spec.at : count + spec.at; at > 0 && at < count - (step > 0 ? 1 : 0); at += step) {
    if (same_word(args[static_cast<size_t>(at)], spec.keyword)) return static_cast<size_t>(at) + 1;
  }
  return 0;
}

// Adds the keys of a range.  A range that does not end within the arguments is cut.
void add_range(const KeySpec& spec, Args args, size_t first, std::vector<KeyPosition>& keys) {
  const auto count = static_cast<int64_t>(args.size());
  const auto start = static_cast<int64_t>(first);
  int64_t last = start + spec.last;
  if (spec.last < 0) {
    last = spec.limit <= 1 ? count + spec.last : start + (count - start) / spec.limit + spec.last;
  }
  for (int64_t at = start; at <= last && at < count; at += spec.step) {
    keys.push_back(KeyPosition{static_cast<size_t>(at), spec.flags});
  }
}

bool add_counted(const KeySpec& spec, Args args, size_t at, std::vector<KeyPosition>& keys) {
  if (at >= args.size()) return false;
  const auto number = parse_int(args[at]);
  const size_t first = at + static_cast<size_t>(spec.first);
  if (!number || *number < 0 || first > args.size()) return false;
  if (static_cast<uint64_t>(*number) > (args.size() - first) / static_cast<size_t>(spec.step)) return false;
  for (int64_t index = 0; index < *number; ++index) {
    keys.push_back(KeyPosition{first + static_cast<size_t>(index * spec.step), spec.flags});
  }
  return true;
}

// ---- what no specification describes ------------------------------------------------------------------

using Special = bool (*)(Args args, std::vector<KeyPosition>& keys);

constexpr uint16_t kRead = kKeyReadOnly | kKeyAccess;
constexpr uint16_t kOverwrite = kKeyOverwrite | kKeyUpdate;

// SORT key ... STORE destination: the last STORE counts; BY, GET and LIMIT take words that may look like one.
bool sort_keys(Args args, std::vector<KeyPosition>& keys) {
  if (args.size() < 2) return false;
  keys.push_back(KeyPosition{1, kRead});
  size_t store = 0;
  for (size_t at = 2; at < args.size(); ++at) {
    if (same_word(args[at], "LIMIT")) {
      at += 2;
    } else if (same_word(args[at], "GET") || same_word(args[at], "BY")) {
      at += 1;
    } else if (same_word(args[at], "STORE") && at + 1 < args.size()) {
      store = ++at;
    }
  }
  if (store != 0) keys.push_back(KeyPosition{store, kOverwrite});
  return true;
}

bool sort_ro_keys(Args args, std::vector<KeyPosition>& keys) {
  if (args.size() < 2) return false;
  keys.push_back(KeyPosition{1, kRead});
  return true;
}

// SET reads the key only with GET.
bool set_keys(Args args, std::vector<KeyPosition>& keys) {
  if (args.size() < 3) return false;
  uint16_t flags = kOverwrite;
  for (size_t at = 3; at < args.size(); ++at) {
    if (same_word(args[at], "GET")) flags = kKeyReadWrite | kKeyAccess | kKeyUpdate;
  }
  keys.push_back(KeyPosition{1, flags});
  return true;
}

// BITFIELD with nothing but GET only reads.
bool bitfield_keys(Args args, std::vector<KeyPosition>& keys) {
  if (args.size() < 2) return false;
  bool is_readonly = true;
  for (size_t at = 2; at < args.size(); ++at) {
    const size_t left = args.size() - at - 1;
    if (same_word(args[at], "GET") && left >= 2) {
      at += 2;
    } else if ((same_word(args[at], "SET") || same_word(args[at], "INCRBY")) && left >= 3) {
      is_readonly = false;
      at += 3;
    } else if (same_word(args[at], "OVERFLOW") && left >= 1) {
      at += 1;
    } else {
      is_readonly = false;  // a syntax error: the stronger of the two
    }
  }
  const auto flags = static_cast<uint16_t>(is_readonly ? kRead : kKeyReadWrite | kKeyAccess | kKeyUpdate);
  keys.push_back(KeyPosition{1, flags});
  return true;
}

// MIGRATE host port <key | ""> db timeout ... KEYS key...
bool migrate_keys(Args args, std::vector<KeyPosition>& keys) {
  if (args.size() < 6) return false;
  constexpr uint16_t kMoved = kKeyReadWrite | kKeyAccess | kKeyDelete;
  size_t first = 3;
  size_t count = 1;
  for (size_t at = 6; at < args.size(); ++at) {
    if (same_word(args[at], "KEYS")) {
      if (args[3].empty()) {
        first = at + 1;
        count = args.size() - first;
      }
      break;
    }
    if (same_word(args[at], "AUTH")) at += 1;
    if (same_word(args[at], "AUTH2")) at += 2;
  }
  for (size_t index = 0; index < count; ++index) keys.push_back(KeyPosition{first + index, kMoved});
  return true;
}

struct SpecialRow {
  std::string_view name;
  Special find;
};
constexpr SpecialRow kSpecials[] = {
    {"bitfield", bitfield_keys}, {"migrate", migrate_keys}, {"set", set_keys},
    {"sort", sort_keys},         {"sort_ro", sort_ro_keys},
};

Special special_of(const CommandSpec& spec) {
  // Only a specification that admits to be incomplete can need one.
  const bool is_complete = std::none_of(spec.keys.begin(), spec.keys.end(), [](const KeySpec& keys) {
    return keys.begin == KeySpec::Begin::kUnknown || (keys.flags & (kKeyVariable | kKeyIncomplete)) != 0;
  });
  if (is_complete) return nullptr;
  for (const SpecialRow& row : kSpecials) {
    if (row.name == spec.name) return row.find;
  }
  return nullptr;
}

}  // namespace

bool may_have_keys(const CommandSpec& spec) { return std::any_of(spec.keys.begin(), spec.keys.end(), is_key); }

bool find_keys(const CommandSpec& spec, Args args, std::vector<KeyPosition>& keys) {
  keys.clear();
  const Special special = special_of(spec);
  if (special != nullptr) return special(args, keys);
  for (const KeySpec& one : spec.keys) {
    if (!is_key(one)) continue;
    const size_t first = begin_of(one, args);
    if (first == 0) continue;
    switch (one.find) {
      case KeySpec::Find::kRange:
        add_range(one, args, first, keys);
        break;
      case KeySpec::Find::kCount:
        if (!add_counted(one, args, first, keys)) return false;
        break;
      case KeySpec::Find::kUnknown:
        break;
    }
  }
  return true;
}

std::vector<std::string_view> names_of_keys(const CommandSpec& spec, Args args) {
  std::vector<std::string_view> names;
  std::vector<KeyPosition> keys;
  if (!may_have_keys(spec) || !find_keys(spec, args, keys)) return names;
  for (const KeyPosition& key : keys) names.push_back(args[key.index]);
  return names;
}

namespace {

struct LegacyRange {
  LegacyKeyRange range;
  bool leaves_out = false;
};

// Joins the specifications that are plain ranges one behind the other.
LegacyRange join_ranges(const CommandSpec& spec) {
  LegacyRange joined;
  const auto used = std::count_if(spec.keys.begin(), spec.keys.end(), [](const KeySpec& keys) {
    return keys.begin != KeySpec::Begin::kNone;
  });
  int first = INT_MAX;
  unsigned last = 0;
  int step = 1;
  for (const KeySpec& keys : spec.keys) {
    if (keys.begin == KeySpec::Begin::kNone) continue;
    if ((keys.flags & kKeyIncomplete) != 0) joined.leaves_out = true;
    const bool is_range = keys.begin == KeySpec::Begin::kIndex && keys.find == KeySpec::Find::kRange;
    const bool follows = used == 1 || (keys.step == 1 && (last == 0 || static_cast<int>(last) == keys.at - 1));
    if (!is_range || !follows) {
      joined.leaves_out = true;
      continue;
    }
    first = std::min(first, static_cast<int>(keys.at));
    step = keys.step;
    // Negative ones count from the end: as unsigned they are the larger.
    last = std::max(last, static_cast<unsigned>(keys.last >= 0 ? keys.last + keys.at : keys.last));
  }
  if (first != INT_MAX) joined.range = {first, static_cast<int>(last), step};
  return joined;
}

}  // namespace

LegacyKeyRange legacy_key_range(const CommandSpec& spec) { return join_ranges(spec).range; }

bool has_movable_keys(const CommandSpec& spec) { return join_ranges(spec).leaves_out; }

}  // namespace quorate

// Rows in COMMAND's words.
#include "commands/describe.h"

#include <algorithm>
#include <span>
#include <string>

#include "commands/context.h"
#include "commands/keys.h"
#include "commands/syntax.h"

namespace quorate {
namespace {

struct FlagName {
  uint32_t flag;
  std::string_view name;
};

// Redis does not tell kMayReplicate.
constexpr FlagName kCommandFlagNames[] = {
    {kWrite, "write"}, {kReadonly, "readonly"}, {kDenyOom, "denyoom"}, {kAdmin, "admin"},
    {kPubsub, "pubsub"}, {kNoScript, "noscript"}, {kBlocking, "blocking"}, {kLoading, "loading"},
    {kStale, "stale"}, {kSkipMonitor, "skip_monitor"}, {kSkipSlowlog, "skip_slowlog"}, {kFast, "fast"},
    {kNoAuth, "no_auth"}, {kAllowBusy, "allow_busy"},
    {kMovableKeys, "movablekeys"}, {kNoMulti, "no_multi"}, {kNoMandatoryKeys, "no_mandatory_keys"},
    {kNoAsyncLoading, "no_async_loading"},
};

constexpr FlagName kKeyFlagNames[] = {
    {kKeyReadOnly, "RO"}, {kKeyReadWrite, "RW"}, {kKeyOverwrite, "OW"}, {kKeyRemove, "RM"},
    {kKeyAccess, "access"}, {kKeyUpdate, "update"}, {kKeyInsert, "insert"}, {kKeyDelete, "delete"},
    {kKeyNotKey, "not_key"}, {kKeyIncomplete, "incomplete"}, {kKeyVariable, "variable_flags"},
};

constexpr FlagName kAclNames[] = {
    {kAclKeyspace, "@keyspace"}, {kAclRead, "@read"}, {kAclWrite, "@write"}, {kAclSet, "@set"},
    {kAclSortedSet, "@sortedset"}, {kAclList, "@list"}, {kAclHash, "@hash"}, {kAclString, "@string"},
    {kAclBitmap, "@bitmap"}, {kAclHyperLogLog, "@hyperloglog"}, {kAclGeo, "@geo"}, {kAclStream, "@stream"},
    {kAclPubsub, "@pubsub"}, {kAclAdmin, "@admin"}, {kAclFast, "@fast"}, {kAclSlow, "@slow"},
    {kAclBlocking, "@blocking"}, {kAclDangerous, "@dangerous"}, {kAclConnection, "@connection"},
    {kAclTransaction, "@transaction"}, {kAclScripting, "@scripting"},
};

void reply_flags(uint32_t flags, std::span<const FlagName> names, Reply& reply) {
  reply.set(static_cast<size_t>(std::count_if(names.begin(), names.end(), [&](const FlagName& known) {
    return (flags & known.flag) != 0;
  })));
  for (const FlagName& known : names) {
    if ((flags & known.flag) != 0) reply.simple(known.name);
  }
}

// Calls visit(piece) for the pieces of a list; blanks around them are dropped.
template <class Visit>
void for_each_piece(std::string_view text, std::string_view separator, Visit visit) {
  while (!text.empty()) {
    const size_t end = text.find(separator);
    std::string_view piece = text.substr(0, end);
    while (piece.starts_with(' ')) piece.remove_prefix(1);
    while (piece.ends_with(' ')) piece.remove_suffix(1);
    if (!piece.empty()) visit(piece);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + separator.size());
  }
}

uint32_t group_category(Group group) {
  switch (group) {
    case Group::kString: return kAclString;
    case Group::kGeneric: return kAclKeyspace;
    case Group::kList: return kAclList;
    case Group::kHash: return kAclHash;
    case Group::kSet: return kAclSet;
    case Group::kSortedSet: return kAclSortedSet;
    case Group::kTransactions: return kAclTransaction;
    case Group::kConnection: return kAclConnection;
    case Group::kStream: return kAclStream;
    case Group::kScripting: return kAclScripting;
    case Group::kGeo: return kAclGeo;
    case Group::kHyperLogLog: return kAclHyperLogLog;
    case Group::kBitmap: return kAclBitmap;
    case Group::kPubsub:
    case Group::kServer:
    case Group::kCluster: return 0;
  }
  return 0;
}

std::string_view type_name(ArgumentType type) {
  switch (type) {
    case ArgumentType::kString: return "string";
    case ArgumentType::kInteger: return "integer";
    case ArgumentType::kDouble: return "double";
    case ArgumentType::kKey: return "key";
    case ArgumentType::kPattern: return "pattern";
    case ArgumentType::kUnixTime: return "unix-time";
    case ArgumentType::kPureToken: return "pure-token";
    case ArgumentType::kOneOf: return "oneof";
    case ArgumentType::kBlock: return "block";
  }
  return {};
}

// A map of one pair inside "begin_search" and "find_keys".
void reply_search(std::string_view part, std::string_view type, Reply& reply) {
  reply.bulk(part);
  reply.map(2);
  reply.bulk("type");
  reply.bulk(type);
  reply.bulk("spec");
}

void reply_number(std::string_view name, int64_t value, Reply& reply) {
  reply.bulk(name);
  reply.integer(value);
}

void reply_begin_search(const KeySpec& spec, Reply& reply) {
  switch (spec.begin) {
    case KeySpec::Begin::kIndex:
      reply_search("begin_search", "index", reply);
      reply.map(1);
      reply_number("index", spec.at, reply);
      return;
    case KeySpec::Begin::kKeyword:
      reply_search("begin_search", "keyword", reply);
      reply.map(2);
      reply.bulk("keyword");
      reply.bulk(spec.keyword);
      reply_number("startfrom", spec.at, reply);
      return;
    case KeySpec::Begin::kNone:
    case KeySpec::Begin::kUnknown:
      reply_search("begin_search", "unknown", reply);
      reply.map(0);
      return;
  }
}

void reply_find_keys(const KeySpec& spec, Reply& reply) {
  switch (spec.find) {
    case KeySpec::Find::kRange:
      reply_search("find_keys", "range", reply);
      reply.map(3);
      reply_number("lastkey", spec.last, reply);
      reply_number("keystep", spec.step, reply);
      reply_number("limit", spec.limit, reply);
      return;
    case KeySpec::Find::kCount:
      reply_search("find_keys", "keynum", reply);
      reply.map(3);
      reply_number("keynumidx", 0, reply);
      reply_number("firstkey", spec.first, reply);
      reply_number("keystep", spec.step, reply);
      return;
    case KeySpec::Find::kUnknown:
      reply_search("find_keys", "unknown", reply);
      reply.map(0);
      return;
  }
}

void reply_key_specs(const CommandSpec& spec, Reply& reply) {
  size_t count = 0;
  for (const KeySpec& keys : spec.keys) count += keys.begin != KeySpec::Begin::kNone;
  reply.set(count);
  for (size_t index = 0; index < count; ++index) {
    reply.map(3);
    reply.bulk("flags");
    reply_key_flags(spec.keys[index].flags, reply);
    reply_begin_search(spec.keys[index], reply);
    reply_find_keys(spec.keys[index], reply);
  }
}

void reply_tips(const CommandSpec& spec, Reply& reply) {
  const Reply::Deferred set = reply.begin(Reply::Shape::kSet);
  size_t count = 0;
  for_each_piece(spec.tips, ",", [&](std::string_view tip) {
    reply.bulk(tip);
    ++count;
  });
  reply.end(set, count);
}

// ---- DOCS ----------------------------------------------------------------------------------------------

// Writes the argument trees of one row.
class ArgumentWriter {
 public:
  ArgumentWriter(const Syntax& syntax, const CommandSpec& spec, Reply& reply)
      : syntax_(syntax), reply_(reply) {
    for (const KeySpec& keys : spec.keys) key_spec_count_ += keys.begin != KeySpec::Begin::kNone;
  }

  void write_list(int16_t first) {
    size_t count = 0;
    for (int16_t index = first; index != kNoNode; index = node(index).next) ++count;
    reply_.array(count);
    for (int16_t index = first; index != kNoNode; index = node(index).next) write(node(index));
  }

 private:
  const SyntaxNode& node(int16_t index) const { return syntax_.nodes[static_cast<size_t>(index)]; }

  void write(const SyntaxNode& argument) {
    const bool is_group = argument.first_child != kNoNode;
    const Reply::Deferred map = reply_.begin(Reply::Shape::kMap);
    size_t pairs = 2;
    reply_.bulk("name");
    reply_.bulk(name_of(argument));
    reply_.bulk("type");
    reply_.bulk(type_name(argument.type));
    const int key_spec = key_spec_of(argument);
    if (key_spec >= 0) {
      reply_number("key_spec_index", key_spec, reply_);
      ++pairs;
    }
    if (!is_group && argument.type != ArgumentType::kPureToken) {
      reply_.bulk("display_text");
      reply_.bulk(argument.name);
      ++pairs;
    }
    if (!argument.token.empty()) {
      reply_.bulk("token");
      reply_.bulk(argument.token == "\"\"" ? std::string_view() : argument.token);
      ++pairs;
    }
    if (argument.is_optional || argument.is_multiple || argument.is_multiple_token) {
      reply_.bulk("flags");
      write_flags(argument);
      ++pairs;
    }
    if (is_group) {
      reply_.bulk("arguments");
      write_list(argument.first_child);
      ++pairs;
    }
    reply_.end(map, pairs);
  }

  void write_flags(const SyntaxNode& argument) {
    reply_.set(size_t{argument.is_optional} + size_t{argument.is_multiple} + size_t{argument.is_multiple_token});
    if (argument.is_optional) reply_.simple("optional");
    if (argument.is_multiple) reply_.simple("multiple");
    if (argument.is_multiple_token) reply_.simple("multiple_token");
  }

  // Groups are named after what they hold; tokens after themselves.
  std::string name_of(const SyntaxNode& argument) const {
    std::string name;
    if (argument.first_child == kNoNode) {
      name = argument.name;
      for (char& letter : name) {
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + 32);
      }
      return name;
    }
    for (int16_t child = argument.first_child; child != kNoNode; child = node(child).next) {
      if (!name.empty()) name += '_';
      name += name_of(node(child));
    }
    return name;
  }

  // Keys without a number of their own belong to the specifications in their order.
  int key_spec_of(const SyntaxNode& argument) {
    if (argument.key_spec >= 0) return argument.key_spec;
    if (argument.type != ArgumentType::kKey || key_spec_count_ == 0) return -1;
    const int index = next_key_spec_;
    if (next_key_spec_ + 1 < key_spec_count_) ++next_key_spec_;
    return index;
  }

  const Syntax& syntax_;
  Reply& reply_;
  int key_spec_count_ = 0;
  int next_key_spec_ = 0;
};

void reply_history(std::string_view history, Reply& reply) {
  const Reply::Deferred set = reply.begin(Reply::Shape::kSet);
  size_t count = 0;
  for_each_piece(history, "; ", [&](std::string_view entry) {
    const size_t colon = entry.find(": ");
    reply.array(2);
    reply.bulk(entry.substr(0, colon));
    reply.bulk(colon == std::string_view::npos ? std::string_view() : entry.substr(colon + 2));
    ++count;
  });
  reply.end(set, count);
}

}  // namespace

uint32_t acl_categories(const CommandSpec& spec) {
  uint32_t categories = group_category(spec.group);
  if ((spec.flags & kWrite) != 0) categories |= kAclWrite;
  if ((spec.flags & kReadonly) != 0 && spec.group != Group::kScripting) categories |= kAclRead;
  if ((spec.flags & kAdmin) != 0) categories |= kAclAdmin | kAclDangerous;
  if ((spec.flags & kPubsub) != 0) categories |= kAclPubsub;
  if ((spec.flags & kBlocking) != 0) categories |= kAclBlocking;
  categories |= (spec.flags & kFast) != 0 ? kAclFast : kAclSlow;
  for_each_piece(spec.acl, ",", [&](std::string_view word) {
    const bool takes_away = word.starts_with('-');
    const auto category = acl_category(takes_away ? word.substr(1) : word);
    if (!category) return;
    categories = takes_away ? categories & ~*category : categories | *category;
  });
  return categories;
}

std::optional<AclCategory> acl_category(std::string_view name) {
  for (const FlagName& known : kAclNames) {
    if (same_word(name, known.name.substr(1))) return static_cast<AclCategory>(known.flag);
  }
  return std::nullopt;
}

std::string_view group_name(Group group) {
  switch (group) {
    case Group::kString: return "string";
    case Group::kGeneric: return "generic";
    case Group::kList: return "list";
    case Group::kHash: return "hash";
    case Group::kSet: return "set";
    case Group::kSortedSet: return "sorted-set";
    case Group::kTransactions: return "transactions";
    case Group::kPubsub: return "pubsub";
    case Group::kConnection: return "connection";
    case Group::kServer: return "server";
    case Group::kStream: return "stream";
    case Group::kScripting: return "scripting";
    case Group::kGeo: return "geo";
    case Group::kHyperLogLog: return "hyperloglog";
    case Group::kBitmap: return "bitmap";
    case Group::kCluster: return "cluster";
  }
  return {};
}

void reply_key_flags(uint16_t flags, Reply& reply) { reply_flags(flags, kKeyFlagNames, reply); }

void reply_command_info(const CommandRow& row, Reply& reply) {
  const CommandSpec& spec = *row.spec;
  const LegacyKeyRange range = legacy_key_range(spec);
  reply.array(10);
  reply.bulk(spec.name);
  reply.integer(spec.arity);
  const uint32_t movable = has_movable_keys(spec) ? kMovableKeys : 0u;
  reply_flags(spec.flags | movable, kCommandFlagNames, reply);
  reply.integer(range.first);
  reply.integer(range.last);
  reply.integer(range.step);
  reply_flags(acl_categories(spec), kAclNames, reply);
  reply_tips(spec, reply);
  reply_key_specs(spec, reply);
  if (!row.is_container()) {
    reply.set(0);
    return;
  }
  reply.array(row.subcommands.size());
  for (const CommandRow* subcommand : row.subcommands) reply_command_info(*subcommand, reply);
}

void reply_command_docs(const CommandRow& row, Reply& reply) {
  const CommandSpec& spec = *row.spec;
  reply.bulk(spec.name);
  const Reply::Deferred map = reply.begin(Reply::Shape::kMap);
  size_t pairs = 0;
  const auto text = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    reply.bulk(name);
    reply.bulk(value);
    ++pairs;
  };
  text("summary", spec.summary);
  text("since", spec.since);
  text("group", group_name(spec.group));
  text("complexity", spec.complexity);
  if (!spec.deprecated_since.empty()) {
    reply.bulk("doc_flags");
    reply.set(1);
    reply.simple("deprecated");
    ++pairs;
  }
  text("deprecated_since", spec.deprecated_since);
  text("replaced_by", spec.replaced_by);
  if (!spec.history.empty()) {
    reply.bulk("history");
    reply_history(spec.history, reply);
    ++pairs;
  }
  const Syntax syntax = read_syntax(spec.syntax);
  if (syntax.first != kNoNode) {
    reply.bulk("arguments");
    ArgumentWriter(syntax, spec, reply).write_list(syntax.first);
    ++pairs;
  }
  if (row.is_container()) {
    reply.bulk("subcommands");
    reply.map(row.subcommands.size());
    for (const CommandRow* subcommand : row.subcommands) reply_command_docs(*subcommand, reply);
    ++pairs;
  }
  reply.end(map, pairs);
}

}  // namespace quorate

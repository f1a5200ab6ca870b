// Transactions: what is queued, what is watched, and running it.
#include "node/transactions.h"

#include <algorithm>
#include <utility>

#include "cluster/link/link.h"
#include "commands/errors.h"
#include "node/execute.h"
#include "node/watch_message.h"
#include "util/number.h"

namespace quorate {

namespace {

// The entry as it stands in the table, even if its time has passed.
const Entry* find_as_is(NodeState& node, Db& db, std::string_view key) {
  node.store.set_replaying(true);
  const Entry* const entry = db.find(node.store.make_key(key), Access::kPeek);
  node.store.set_replaying(false);
  return entry;
}

bool is_expired(NodeState& node, Db& db, std::string_view key) {
  const Entry* const entry = find_as_is(node, db, key);
  return entry != nullptr && entry->expiry() <= node.now.unix_ms;
}

// Watched elsewhere, or sent here by a node where it was: this node cannot say that it is what it was.
bool may_have_changed(NodeState& node, const WatchedKey& watched) {
  if (!watched.version || node.mistakes.forgets_watches) return false;
  const Key key = node.store.make_key(watched.key);
  return !node.company.is_unchanged(node.store.partition_of(key.slot), key.hash, *watched.version);
}

// A watched key whose time has passed since counts as changed, even if nobody has looked at it.
bool a_watched_key_changed(NodeState& node, const Session& session) {
  for (const WatchedKey& watched : session.extras->watched) {
    if (may_have_changed(node, watched)) return true;
    if (watched.was_expired) continue;
    const Entry* const entry = find_as_is(node, node.store.database(watched.database), watched.key);
    if (entry != nullptr && node.store.is_past(entry->expiry())) return true;
  }
  return false;
}

bool is_watched(const Session& session, int database, std::string_view key) {
  const auto& watched = session.extras->watched;
  return std::any_of(watched.begin(), watched.end(),
                     [&](const WatchedKey& each) { return each.database == database && each.key == key; });
}

void break_watch(NodeState& node, Session& session) {
  session.set(kWatchBroken);
  unwatch_all(node, session);
}

}  // namespace

void queue_command(NodeState& node, Session& session, const Command& row, Args args) {
  SessionExtras& more = session.more();
  StoredCommand command{.spec = row.spec, .row = row.index, .args = {}};
  command.args.reserve(args.size());
  for (const std::string_view arg : args) command.args.emplace_back(arg);
  more.queued_bytes += command.memory();
  more.queued_flags |= row.spec->flags;
  // What it changes goes to other nodes as one message, perhaps with that of others.
  const uint64_t most = node.company.is_alone() ? UINT64_MAX : Link::kMessageMax / 4;
  if (more.queued_bytes > std::min<uint64_t>(node.settings.client_query_buffer_limit, most)) {
    more.queued.clear();
    session.set(kMultiBroken);
    reply_error(node, session, error_line(errors::transaction_too_large()));
    return;
  }
  // What will be aborted anyway needs no memory.
  if (!session.has(kMultiBroken | kWatchBroken)) more.queued.push_back(std::move(command));
  Reply(session.out, session.protocol).simple("QUEUED");
}

Result<int> selected_database(const NodeState& node, std::string_view index) {
  const auto wanted = parse_int(index);
  if (!wanted) return ErrorCode::kNotInteger;
  if (*wanted < INT32_MIN || *wanted > INT32_MAX) return errors::value_between(INT32_MIN, INT32_MAX);
  if (*wanted < 0 || *wanted >= node.store.database_count()) return errors::database_out_of_range();
  return static_cast<int>(*wanted);
}

void discard_transaction(NodeState& node, Session& session) {
  session.clear(kInMulti | kMultiBroken | kWatchBroken);
  if (session.extras == nullptr) return;
  session.extras->queued.clear();
  session.extras->queued_bytes = 0;
  session.extras->queued_flags = 0;
  unwatch_all(node, session);
}

Status run_transaction(NodeContext& cx) {
  NodeState& node = cx.node;
  Session& session = cx.session;
  if (!session.has(kInMulti)) return errors::exec_without_multi();
  if (session.has(kMultiBroken)) {
    discard_transaction(node, session);
    return errors::exec_abort();
  }
  SessionExtras& more = session.more();
  const bool is_broken = session.has(kWatchBroken);
  if (is_broken || a_watched_key_changed(node, session)) {
    discard_transaction(node, session);
    // Null tells of somebody's write.  In company a broken watch tells of none (it also breaks when another node comes to lead the keys), and
    // company.partition() would not be that of its keys.
    if (!is_broken || node.company.is_alone()) await_all_writes(node, session, node.company.partition());
    cx.reply.null_array();
    return done();
  }
  const std::vector<StoredCommand> commands = std::exchange(more.queued, {});
  discard_transaction(node, session);
  node.in_transaction = true;
  cx.reply.array(commands.size());
  for (const StoredCommand& command : commands) {
    Command& row = node.commands.at(command.row);
    const auto views = command.views();
    const int64_t begun_us = node.clock();
    const Key key = row.has_first_key && views.size() > 1 ? node.store.make_key(views[1]) : Key{};
    call(node, session, row, views, key, Origin::kTransaction);
    count_call(node, row, views, session, node.clock() - begun_us);
  }
  node.in_transaction = false;
  return done();
}

void watch(NodeState& node, Session& session, std::string_view key) {
  SessionExtras& more = session.more();
  if (is_watched(session, session.database, key)) return;
  Db& db = node.store.database(session.database);
  more.watched.push_back({session.database, std::string(key), is_expired(node, db, key)});
  node.watches.add(session.database, key, &session);
  node.update_observed();
}

void unwatch_all(NodeState& node, Session& session) {
  if (session.extras == nullptr || session.extras->watched.empty()) return;
  for (const WatchedKey& watched : session.extras->watched) {
    if (!watched.version) node.watches.remove(watched.database, watched.key, &session);
  }
  session.extras->watched.clear();
  node.update_observed();
}

void watch_elsewhere(Session& session, int database, std::string_view keys, std::string_view seen) {
  const auto names = decode_keys(keys);
  CHECK(names.ok());
  auto versions = decode_seen(seen);
  const bool is_whole = versions.ok() && versions.value().size() == names.value().size();
  SessionExtras& more = session.more();
  if (session.has(kWatchBroken)) return;
  for (size_t index = 0; index < names.value().size(); ++index) {
    // The first time counts: from then on no change is missed.
    if (is_watched(session, database, names.value()[index])) continue;
    const KeySeen each = is_whole ? versions.value()[index] : KeySeen();
    more.watched.push_back({.database = database,
                            .key = std::string(names.value()[index]),
                            .was_expired = each.was_expired,
                            .version = each.version});
  }
}

std::string see_keys(NodeState& node, uint32_t partition, int database, std::string_view keys) {
  const auto names = decode_keys(keys);
  CHECK(names.ok());
  std::vector<KeySeen> seen;
  for (const std::string_view name : names.value()) {
    seen.push_back({.version = node.company.watch(partition), .was_expired = is_expired(node, node.store.database(database), name)});
  }
  return encode_seen(seen);
}

void watch_as_elsewhere(NodeState& node, Session& session, std::string_view watched) {
  auto keys = decode_watched(watched, static_cast<uint32_t>(node.store.database_count()));
  CHECK(keys.ok());
  unwatch_all(node, session);
  session.more().watched = std::move(keys).value();
}

bool watches_here(const Session& session) {
  if (session.extras == nullptr) return false;
  const auto& watched = session.extras->watched;
  return std::any_of(watched.begin(), watched.end(), [](const WatchedKey& each) { return !each.version; });
}

void touch_watched(NodeState& node, int database, std::string_view key) {
  const auto* sessions = node.watches.find(database, key);
  if (sessions == nullptr) return;
  const std::vector<Session*> touched = *sessions;
  for (Session* session : touched) {
    auto& watched = session->extras->watched;
    const auto found = std::find_if(watched.begin(), watched.end(), [&](const WatchedKey& each) {
      return each.database == database && each.key == key;
    });
    CHECK(found != watched.end());
    if (found->was_expired) {
      // It had expired when it was watched; that it is removed now changes nothing that the client has seen.
      if (find_as_is(node, node.store.database(database), key) == nullptr) {
        found->was_expired = false;
        continue;
      }
    }
    break_watch(node, *session);
  }
}

void touch_watched_partition(NodeState& node, int database, uint32_t partition) {
  if (node.watches.empty()) return;
  for (const std::string& name : node.watches.keys_of(database)) {
    if (node.store.partition_of(key_slot(name)) == partition) touch_watched(node, database, name);
  }
}

void touch_all_watched(NodeState& node, int database, Db* replacement) {
  if (node.watches.empty()) return;
  Db& emptied = node.store.database(database);
  const std::optional<uint32_t> scope = node.store.scope();
  for (const std::string& name : node.watches.keys_of(database)) {
    if (scope && node.store.partition_of(key_slot(name)) != *scope) continue;
    const bool was_there = find_as_is(node, emptied, name) != nullptr;
    const bool will_be_there = replacement != nullptr && find_as_is(node, *replacement, name) != nullptr;
    if (!was_there && !will_be_there) continue;
    const auto* sessions = node.watches.find(database, name);
    if (sessions == nullptr) continue;
    const std::vector<Session*> touched = *sessions;
    for (Session* session : touched) {
      auto& watched = session->extras->watched;
      const auto found = std::find_if(watched.begin(), watched.end(), [&](const WatchedKey& each) {
        return each.database == database && each.key == name;
      });
      CHECK(found != watched.end());
      if (found->was_expired) {
        if (!will_be_there) {
          found->was_expired = false;
          continue;
        }
        if (is_expired(node, *replacement, name)) continue;
      } else if (!was_there && is_expired(node, *replacement, name)) {
        // What comes in the place of nothing is gone already.
        found->was_expired = true;
        continue;
      }
      break_watch(node, *session);
    }
  }
}

}  // namespace quorate

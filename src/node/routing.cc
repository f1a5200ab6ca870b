// Routing by partitions.
#include "node/routing.h"

#include <algorithm>
#include <vector>

#include "commands/element_scan.h"
#include "commands/errors.h"
#include "commands/keys.h"
#include "node/blocking.h"
#include "node/cluster_view.h"
#include "node/company.h"
#include "node/copy_reads.h"
#include "node/execute.h"
#include "node/forward.h"
#include "node/gathering.h"
#include "node/memory_limit.h"
#include "node/transactions.h"
#include "node/upkeep.h"

namespace quorate {

bool is_redirected(const NodeState& node, const Session& session) {
  if (session.driver != nullptr) return false;
  return session.peer.door == ClientDoor::kCluster || node.settings.cluster_redirect == ClusterRedirect::kEverybody;
}

namespace {

void add(KeysPartition& sum, const KeysPartition& other) {
  using Kind = KeysPartition::Kind;
  if (other.kind == Kind::kNone) return;
  if (sum.kind == Kind::kNone) {
    sum = other;
  } else if (sum.partition != other.partition || other.kind == Kind::kMany) {
    sum.kind = Kind::kMany;
  }
}

KeysPartition partition_of_key(const NodeState& node, std::string_view key) {
  const uint16_t slot = key_slot(key);
  return {.kind = KeysPartition::Kind::kOne, .partition = node.store.partition_of(slot), .slot = slot};
}

// EXEC runs where the keys of all its commands, and those that were watched, are.
KeysPartition partition_of_transaction(const NodeState& node, const Session& session) {
  KeysPartition sum;
  if (session.extras == nullptr) return sum;
  for (const StoredCommand& command : session.extras->queued) {
    const auto views = command.views();
    add(sum, partition_of_keys(node, *command.spec, views));
  }
  for (const WatchedKey& watched : session.extras->watched) {
    add(sum, partition_of_key(node, watched.key));
  }
  return sum;
}

// MSET and MSETNX: of the last key.
bool lacks_value(const CommandSpec& spec, Args args) {
  const KeySpec& keys = spec.keys[0];
  return keys.step > 1 && keys.last == -1 && (args.size() - static_cast<size_t>(keys.at)) % static_cast<size_t>(keys.step) != 0;
}

// Every key that the pattern names is of this partition, whatever stands in place of the *.
bool names_keys_within(const NodeState& node, std::string_view pattern, uint32_t partition) {
  if (node.store.partition_count() == 1) return true;
  const size_t star = pattern.find('*');
  // "#" is the element itself; other constants name nothing.
  if (star == std::string_view::npos) return true;
  const size_t open = pattern.find('{');
  const size_t close = open == std::string_view::npos ? open : pattern.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1 || close > star) return false;
  return node.store.partition_of(key_slot(pattern.substr(0, close + 1))) == partition;
}

// SORT looks at keys that it does not name.
std::optional<Error> sort_refusal(const NodeState& node, const CommandSpec& spec, Args args) {
  if ((spec.name != "sort" && spec.name != "sort_ro") || args.size() < 2) return std::nullopt;
  const uint32_t partition = node.store.partition_of(key_slot(args[1]));
  for (size_t at = 2; at < args.size(); ++at) {
    const size_t left = args.size() - at - 1;
    if (left >= 2 && same_word(args[at], "LIMIT")) {
      at += 2;
    } else if (left >= 1 && same_word(args[at], "STORE")) {
      ++at;
    } else if (left >= 1 && (same_word(args[at], "BY") || same_word(args[at], "GET"))) {
      if (!names_keys_within(node, args[++at], partition)) return errors::sort_cross_partition();
    }
  }
  return std::nullopt;
}

Road refuse(NodeState& node, Session& session, const Error& error) {
  std::string line = error_line(error);
  if (session.has(kInMulti)) {
    discard_transaction(node, session);
    line = error_line(errors::exec_abort_because(line));
  }
  reply_error(node, session, line);
  return Road::kHandled;
}

// ---- sent to the leader ------------------------------------------------------------------------------------

// The client has said READONLY, and means the copy that is here; whether that answers is another question (Company::may_read_copy).
bool asks_this_copy(const NodeState& node, const Session& session, const CommandSpec& spec, uint32_t partition) {
  const bool asks_for_any = session.has(kReadonlyReplica) && (spec.flags & kReadonly) != 0;
  return asks_for_any && node.company.cluster().partitions().core(partition) != nullptr;
}

// -MOVED, if the client is to ask another node.  Never while nobody is known to lead: then the request is held here.
std::optional<Error> moved_to(const NodeState& node, const Session& session, const CommandSpec& spec,
                              const KeysPartition& keys) {
  if (!is_redirected(node, session) || node.company.serves(keys.partition)) return std::nullopt;
  if (asks_this_copy(node, session, spec, keys.partition)) return std::nullopt;
  const MemberRecord* const leader = node.company.leader_elsewhere(keys.partition);
  if (leader == nullptr) return std::nullopt;
  // To a door of the same kind.
  const auto door = session.peer.door == ClientDoor::kCluster ? ClusterView::Announced::kClusterDoor
                                                              : ClusterView::Announced::kMainDoor;
  return errors::moved(keys.slot, address_text(leader->host, announced_port(door, *leader)));
}

Road forwarded(NodeState& node) {
  ++node.statistics.requests_forwarded;
  return Road::kHandled;
}

Road redirect(NodeState& node, Session& session, const Error& moved) {
  if (session.has(kInMulti)) discard_transaction(node, session);
  ++node.statistics.requests_redirected;
  reply_error(node, session, error_line(moved));
  return Road::kHandled;
}

// ---- to the partition ----------------------------------------------------------------------------------------

bool is_watch(const Command& row) { return row.spec->name == "watch"; }
bool is_exec(const Session& session, const Command& row) { return session.has(kInMulti) && row.spec->name == "exec"; }

// It would write here, and the disk does not take it, or too much waits to be committed.
bool cannot_be_kept(const NodeState& node, const Session& session, const Command& row) {
  if ((node.flags & (kNodeWritesRefused | kNodeTooMuchUncommitted)) == 0) [[likely]]
    return false;
  uint32_t flags = row.spec->flags;
  if (is_exec(session, row)) flags |= session.extras->queued_flags;
  return (flags & kWrite) != 0;
}

// It can run in another node's session, which is as it was after the transaction.  (What SELECT says is done here once it has run there.)
bool is_of_data_alone(const CommandSpec& spec) {
  constexpr std::string_view kOthers[] = {"echo", "ping", "publish", "select", "spublish", "time", "unwatch"};
  return spec.run != nullptr || std::find(std::begin(kOthers), std::end(kOthers), spec.name) != std::end(kOthers);
}

// A transaction on keys means the same whoever is asked: what could not run at another node does not run here either.
std::optional<Error> transaction_refusal(const Session& session, const KeysPartition& keys) {
  if (session.extras == nullptr) return std::nullopt;
  for (const StoredCommand& command : session.extras->queued) {
    if (is_of_all_keys(*command.spec)) return errors::transaction_of_all_keys(command.spec->name);
    if (keys.kind != KeysPartition::Kind::kNone && !is_of_data_alone(*command.spec)) {
      return errors::transaction_of_session(command.spec->name);
    }
  }
  return std::nullopt;
}

// Another node can run it, too.
bool may_be_sent_again(const Session& session, const Command& row) {
  if (session.driver != nullptr) return false;
  if (is_exec(session, row)) return !watches_here(session);
  return (row.spec->flags & (kReadonly | kWrite | kMayReplicate)) != 0;
}

// Of what will run: of a transaction all that was queued.
uint32_t flags_of(const Session& session, const Command& row) {
  return is_exec(session, row) && session.extras != nullptr ? session.extras->queued_flags : row.spec->flags;
}

// There is a limit, here or at a node that may hold a copy.
bool has_memory_limits(const NodeState& node) { return (node.flags & (kNodeMemoryLimited | kNodeMemoryPressed)) != 0; }

std::optional<Error> memory_refusal(NodeState& node, const Session& session, const Command& row, Args args, uint32_t partition) {
  return check_memory(node, (flags_of(session, row) & kDenyOom) != 0, args.size(), partition);
}

Road check_level(NodeState& node, Session& session, const Command& row, Args args, const Key& first_key, uint32_t partition) {
  const std::vector<std::string_view> keys = node.company.level_keys(row, args);
  const auto error = node.company.level_refusal(session, flags_of(session, row), first_key.bytes, keys, partition);
  return error ? refuse(node, session, *error) : Road::kHere;
}

// All its keys are of the partition.
bool may_be_answered_by_copy(NodeState& node, const Session& session, const Command& row, Args args, const Key& first_key,
                             uint32_t partition) {
  if (!node.company.asks_copies(session)) [[likely]]
    return false;
  if (row.has_one_key && first_key.bytes.data() != nullptr) {
    return is_answered_by_copy(node, session, *row.spec, {&first_key.bytes, 1}, partition);
  }
  const std::vector<std::string_view> keys = names_of_keys(*row.spec, args);
  if (keys.empty() && !is_of_all_keys(*row.spec)) return false;
  const ClusterNode& cluster = node.company.cluster();
  if (cluster.state().hash_seed() != node.store.hash_seed() && row.spec->name == "scan") [[unlikely]] {
    // A cluster of before, or a snapshot in another order: who has begun at the leader does not go on here while there is one.
    const auto leader = cluster.groups().known_leader(group_of_partition(partition));
    if (leader && leader->value != cluster.own().id) return false;
  }
  return is_answered_by_copy(node, session, *row.spec, keys, partition);
}

// About what the command has on the wire: what it changes has not much more, and must fit into one message between nodes.
size_t bytes_of(Args args) {
  constexpr size_t kAroundEach = 6;   // "$n\r\n", "\r\n"
  size_t bytes = 0;
  for (const std::string_view arg : args) bytes += arg.size() + kAroundEach;
  return bytes;
}

Road at_partition(NodeState& node, Session& session, Command& row, Args args, const Key& first_key,
                  const KeysPartition& keys) {
  const uint32_t partition = keys.partition;
  const bool serves = node.company.serves(partition);
  node.company.set_partition(partition);
  const bool nothing_waits = node.forwarding->waiting_count() == 0;
  const bool may_run_here = serves && (nothing_waits || !node.forwarding->is_waiting(partition, session));
  const bool is_doubted = may_run_here && node.company.is_doubted(partition, node.now.steady_us);
  if (may_run_here && (!is_doubted || !may_be_sent_again(session, row))) [[likely]] {
    if (cannot_be_kept(node, session, row)) [[unlikely]]
      return refuse(node, session, write_refusal(node));
    if (has_memory_limits(node)) [[unlikely]] {
      if (const auto error = memory_refusal(node, session, row, args, partition)) return refuse(node, session, *error);
    }
    if (session.has(kHasLevels) || node.company.has_own_levels(partition)) [[unlikely]]
      return check_level(node, session, row, args, first_key, partition);
    return Road::kHere;
  }
  if (!serves && session.driver == nullptr) {
    if (const auto error = node.company.exclusion()) return refuse(node, session, *error);
  }
  if (may_be_answered_by_copy(node, session, row, args, first_key, partition)) {
    if (!serves) return Road::kHere;
    // Who leads it may have lost its quorum: nobody is asked for the lease that it would else be read by.
    read_copy(node, session, row, args, first_key, partition);
    return Road::kHandled;
  }
  // What another node has sent is for a partition that is led here, or is refused before it gets here.
  if (session.driver != nullptr) return refuse(node, session, errors::no_leader(partition));
  if (const auto moved = moved_to(node, session, *row.spec, keys)) return redirect(node, session, *moved);
  if (is_watch(row)) {
    forward_watch(node, session, args.subspan(1), partition);
  } else if (is_exec(session, row)) {
    if (watches_here(session)) {
      // Nobody has told it since who leads the keys.
      session.set(kWatchBroken);
      return Road::kHere;
    }
    forward_transaction(node, session, partition);
  } else {
    forward_request(node, session, *row.spec, args, partition);
  }
  return forwarded(node);
}

// A part of a command on the whole keyspace.
Road within(NodeState& node, uint32_t partition) {
  node.company.set_partition(partition);
  node.store.set_scope(partition);
  return Road::kHere;
}

// Clients that know the cluster ask every node for what it leads: SCAN passes over partitions that are led elsewhere.  False: there is no more
// of this node's from `partition` on.
bool pass_over(const NodeState& node, uint32_t& partition) {
  while (partition < node.store.partition_count() && !node.company.serves(partition)) ++partition;
  return partition < node.store.partition_count();
}

// An empty page.
Road reply_cursor(Session& session, uint64_t cursor) {
  Reply reply(session.out, session.protocol);
  reply.array(2);
  reply.bulk(std::to_string(cursor));
  reply.array(0);
  return Road::kHandled;
}

// SCAN goes on in the partition that its cursor names.
Road route_scan(NodeState& node, Session& session, Command& row, Args args) {
  // As the handler reads it: what that takes must not walk over the copies that are here.
  const Result<uint64_t> cursor = parse_scan_cursor(args[1]);
  // The handler says what is wrong, or that there is nothing more.
  if (!cursor.ok() || (cursor.value() >> Db::kPositionBits) >= node.store.partition_count()) return Road::kHere;
  const auto partition = static_cast<uint32_t>(cursor.value() >> Db::kPositionBits);
  if (is_redirected(node, session)) {
    uint32_t served = partition;
    if (!pass_over(node, served)) return reply_cursor(session, 0);
    if (served != partition) return reply_cursor(session, uint64_t{served} << Db::kPositionBits);
  }
  const uint32_t width = kSlotCount / node.store.partition_count();
  const KeysPartition keys{.kind = KeysPartition::Kind::kOne,
                           .partition = partition,
                           .slot = static_cast<uint16_t>(partition * width)};
  const Road road = at_partition(node, session, row, args, Key{}, keys);
  if (road == Road::kHere) node.store.set_scope(partition);
  return road;
}

Road gather(NodeState& node, Session& session, const CommandSpec& spec, Gathering&& parts) {
  if (const auto error = node.company.exclusion()) return refuse(node, session, *error);
  if (answer_parts(node, session, spec, parts) < parts.parts.size()) {
    forward_parts(node, session, std::move(parts));
    return forwarded(node);
  }
  Reply reply(session.out, session.protocol);
  parts.combine(node.store.random().next(), reply);
  return Road::kHandled;
}

// What asks for all keys, from a client that adds up what the nodes say, means those that this node leads.  What writes means all.
Road gather_all_keys(NodeState& node, Session& session, const CommandSpec& spec, Gathering&& parts) {
  if (is_redirected(node, session) && !parts.writes) {
    std::erase_if(parts.parts, [&](const Gathering::Part& part) { return !node.company.serves(part.partition); });
  }
  return gather(node, session, spec, std::move(parts));
}

Road route_without_keys(NodeState& node, Session& session, Command& row, Args args) {
  if (row.spec->name == "scan") return route_scan(node, session, row, args);
  if (!is_keyspace_wide(*row.spec)) return Road::kHere;
  if (session.driver != nullptr) {
    // It may have been put off (CLIENT PAUSE) until this node leads no more.
    if (!node.company.serves(session.link_partition)) return refuse(node, session, errors::no_leader(session.link_partition));
    if (cannot_be_kept(node, session, row)) return refuse(node, session, write_refusal(node));
    return within(node, session.link_partition);
  }
  if (auto parts = take_apart(node.store, *row.spec, args)) return gather_all_keys(node, session, *row.spec, std::move(*parts));
  return Road::kHandled;
}

}  // namespace

KeysPartition partition_of_keys(const NodeState& node, const CommandSpec& spec, Args args) {
  KeysPartition sum;
  if (!may_have_keys(spec)) return sum;
  std::vector<KeyPosition> keys;
  if (!find_keys(spec, args, keys)) return sum;  // the handler will say what is wrong
  for (const KeyPosition& key : keys) add(sum, partition_of_key(node, args[key.index]));
  return sum;
}

std::optional<Error> queue_refusal(NodeState& node, const Session& session, const CommandSpec& spec, Args args) {
  if (is_of_all_keys(spec)) return errors::transaction_of_all_keys(spec.name);
  if (auto error = sort_refusal(node, spec, args)) return error;
  if (!is_redirected(node, session) && !has_memory_limits(node)) return std::nullopt;
  const KeysPartition keys = partition_of_keys(node, spec, args);
  if (keys.kind != KeysPartition::Kind::kOne) return std::nullopt;
  if (has_memory_limits(node) && node.company.serves(keys.partition)) {
    // What is queued takes memory too; client-query-buffer-limit bounds what is queued for others.
    if (auto error = check_memory(node, true, args.size(), keys.partition)) return error;
  }
  if (!is_redirected(node, session)) return std::nullopt;
  auto moved = moved_to(node, session, spec, keys);
  if (moved) ++node.statistics.requests_redirected;
  return moved;
}

Road route(NodeState& node, Session& session, Command& row, Args args, const Key& first_key) {
  KeysPartition keys;
  if (row.has_one_key && first_key.bytes.data() != nullptr) [[likely]] {
    keys = {.kind = KeysPartition::Kind::kOne, .partition = node.store.partition_of(first_key.slot), .slot = first_key.slot};
  } else {
    const bool runs_transaction = is_exec(session, row);
    if (runs_transaction && session.has(kMultiBroken | kWatchBroken)) return Road::kHere;
    keys = runs_transaction ? partition_of_transaction(node, session) : partition_of_keys(node, *row.spec, args);
    // The handler refuses it, or has nothing to do.
    if (is_watch(row) && session.has(kInMulti | kWatchBroken)) return Road::kHere;
    if (const auto error = sort_refusal(node, *row.spec, args)) return refuse(node, session, *error);
    if (const auto error = runs_transaction ? transaction_refusal(session, keys) : std::nullopt) return refuse(node, session, *error);
    if (keys.kind == KeysPartition::Kind::kNone) return route_without_keys(node, session, row, args);
    // The handler says so.
    if (keys.kind == KeysPartition::Kind::kMany && lacks_value(*row.spec, args)) return Road::kHere;
  }
  // Of all of it, before a part has been done.
  if (bytes_of(args) > node.settings.cluster_request_limit) [[unlikely]]
    return refuse(node, session, errors::request_above_limit(node.settings.cluster_request_limit));
  if (keys.kind == KeysPartition::Kind::kOne) [[likely]]
    return at_partition(node, session, row, args, first_key, keys);
  if (session.driver == nullptr) {
    if (auto parts = take_apart(node.store, *row.spec, args)) return gather(node, session, *row.spec, std::move(*parts));
  }
  return refuse(node, session, errors::cross_partition());
}

namespace {

// Clients that know the cluster ask the new leader themselves, and those of a node that ends another node.
bool may_wait_elsewhere(const NodeState& node, const Session& session) {
  return session.driver == nullptr && !session.has(kClosing | kCloseAfterReply) && !is_redirected(node, session) &&
         node.leaving.stage == Leaving::Stage::kStays;
}

// It has done nothing yet, and waits where the keys are led for as long as it would have waited here.
void wait_elsewhere(NodeState& node, Session& session, uint32_t partition) {
  const BlockedCommand blocked = *session.extras->blocked;
  int64_t waited_us = 0;
  if (blocked.deadline_us != kNever) waited_us = blocked.request.timeout_ms * 1000 - (blocked.deadline_us - node.now.steady_us);
  stop_waiting(node, session);
  forward_blocked(node, session, blocked.command, partition, waited_us);
  if (session.once_levels.is_set()) session.set_once_levels({});
  ++node.statistics.requests_forwarded;
}

}  // namespace

// Who waits for a key here would wait for ever, and who watches one would not hear of changes.
void partition_is_left(NodeState& node, uint32_t partition) {
  std::vector<Session*> stranded;
  for (int database = 0; database < node.store.database_count(); ++database) {
    touch_watched_partition(node, database, partition);
    for (const std::string& key : node.waiters.keys_of(database)) {
      if (node.store.partition_of(key_slot(key)) != partition) continue;
      const std::vector<Session*>* const waiting = node.waiters.find(database, key);
      if (waiting != nullptr) stranded.insert(stranded.end(), waiting->begin(), waiting->end());
    }
  }
  for (Session* session : stranded) {
    if (!session->has(kBlocked)) continue;
    if (may_wait_elsewhere(node, *session)) {
      wait_elsewhere(node, *session, partition);
    } else {
      unblock(node, *session, Unblocked::kByMove);
    }
  }
}

// Alone a command may wait for keys of several partitions, in company not.  And a node that is about to join leads nothing: it will not hear
// of what others do with the keys.
void company_begins(NodeState& node) {
  const bool is_let_in = !node.company.exclusion();
  std::vector<Session*> stranded;
  node.sessions.for_each([&](Session& session) {
    if (!session.has(kBlocked)) return;
    const StoredCommand& command = session.extras->blocked->command;
    const bool may_go_on = is_let_in && partition_of_keys(node, *command.spec, command.views()).kind == KeysPartition::Kind::kOne;
    if (!may_go_on) stranded.push_back(&session);
  });
  for (Session* session : stranded) unblock_if_waiting(node, *session, Unblocked::kByMove);
}

}  // namespace quorate

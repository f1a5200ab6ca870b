// Asking for copies.
#include "node/waits.h"

#include <algorithm>
#include <utility>

#include "cluster/wire.h"
#include "commands/errors.h"
#include "node/execute.h"
#include "node/forwarding_peers.h"
#include "node/input.h"
#include "node/output.h"
#include "node/state.h"

namespace quorate {

namespace {

using Kind = WaitGoal::Kind;

// Between two questions to one leader.
constexpr int64_t kAskUs = 5'000;
enum ToldFlag : uint8_t {
  kCopiesAreSynced = 1u << 0,   // what copies hold they have synced
  kIsStored = 1u << 1,          // the leader has it, or had it, in its log
  kIsGone = 1u << 2,            // nobody has it, or can tell, nor ever will
};
// In a token.
constexpr uint64_t kOfCopy = uint64_t{1} << 63;
constexpr uint8_t kToldFlags = kCopiesAreSynced | kIsStored | kIsGone;

bool is_log_whole(const NodeState& node) { return node.durability.keeps_log() && node.company.log_is_whole(); }
uint64_t appended(const NodeState& node) { return node.durability.keeps_log() ? node.durability.log().appended() : 0; }
uint64_t synced(const NodeState& node) { return node.durability.keeps_log() ? node.durability.log().synced() : 0; }

Error corrupt() { return Error(ErrorCode::kCorrupt, "a message about copies cannot be read"); }

void write_ask(const LogPlace& place, uint64_t token, Buffer& out) {
  append_varint(out, place.partition);
  append_varint(out, place.term);
  append_varint(out, place.index);
  append_varint(out, token);
}

struct Told {
  uint64_t others = 0;
  uint64_t appended = 0;
  uint64_t synced = 0;
  uint8_t flags = 0;
};

std::optional<Told> tell(const NodeState& node, const LogPlace& place) {
  const auto there = node.company.copies_there(place);
  if (!there) return std::nullopt;
  Told told{.others = there->others, .appended = appended(node), .synced = synced(node)};
  if (there->is_synced) told.flags |= kCopiesAreSynced;
  if (there->is_stored && is_log_whole(node)) told.flags |= kIsStored;
  if (there->is_gone) told.flags |= kIsGone;
  return told;
}

// Of the copy here, whoever leads.
Told tell_of_copy(const NodeState& node, const LogPlace& place) {
  Told told{.appended = appended(node), .synced = synced(node)};
  if (node.company.has_stored(place) && is_log_whole(node)) told.flags |= kIsStored;
  return told;
}

// Who speaks: the number is of a process.
struct Teller {
  NodeId node = 0;
  uint64_t incarnation = 0;
};
Teller self(const NodeState& node) { return {.node = node.company.cluster().own().id}; }
Teller teller(const NodeState& node, NodeId from) { return {from, node.company.cluster().peers().incarnation_of(from)}; }

void take(Waits::Synced& known, const Teller& from, const Told& told) {
  // Numbers of another log say nothing about this one's, nor do those of an earlier process, which may have lost the end of its log.
  if (known.node != from.node || known.incarnation != from.incarnation) known.must_be_synced.reset();
  // What another one has synced, that led before, is told as a copy's.
  if (known.node != from.node) known.is_synced = false;
  known.node = from.node;
  known.incarnation = from.incarnation;
  if ((told.flags & kIsStored) == 0) return;
  if (!known.must_be_synced) known.must_be_synced = told.appended;
  if (told.synced >= *known.must_be_synced) known.is_synced = true;
}

void take(Waits::AtLeader& known, const Teller& from, const Told& told) {
  known.others = std::max(known.others, static_cast<uint32_t>(told.others));
  if (told.flags & kIsGone) {
    known.is_gone = true;
    known.leader.node = from.node;
    known.others = known.synced_others = 0;
    return;
  }
  if (told.flags & kCopiesAreSynced) known.synced_others = known.others;
  take(known.leader, from, told);
}

void take_of_copy(Waits::AtLeader& known, const Teller& from, const Told& told) {
  const auto found = std::find_if(known.copies.begin(), known.copies.end(), [&](const Waits::Synced& each) { return each.node == from.node; });
  if (found != known.copies.end()) take(*found, from, told);
}

// Besides the leader's.  What the leader does not know to be stored there, or must be committed first, does not count yet.
uint32_t synced_others(const Waits::AtLeader& known) {
  const auto is_synced = [&](const Waits::Synced& each) { return each.is_synced && each.node != known.leader.node; };
  const auto count = static_cast<uint32_t>(std::count_if(known.copies.begin(), known.copies.end(), is_synced));
  return std::max(known.synced_others, std::min(count, known.others));
}

// ---- what is known -----------------------------------------------------------------------------------------

struct Sum {
  uint32_t others = 0;
  uint32_t synced_here = 0;
  bool is_known = true;   // everybody has answered
  bool is_enough = true;
  bool is_over = false;   // it will never be enough
};

// With nothing written there is nothing that anybody lacks.
Sum sum_of_nothing(const NodeState& node) {
  const uint32_t others = node.company.others_wanted({WriteLevel::kAll}, std::nullopt);
  return {.others = others, .synced_here = is_log_whole(node) ? 1u : 0u};
}

Sum sum_of(const NodeState& node, const Waits::Waiting& waiting) {
  if (waiting.is_behind_writes) return {.is_known = false, .is_enough = false};
  Sum sum = sum_of_nothing(node);
  if (!waiting.places.empty()) sum.others = UINT32_MAX;
  int64_t wanted = waiting.goal.others;
  for (const Waits::AtLeader& each : waiting.places) {
    const uint32_t others = waiting.goal.kind == Kind::kSynced ? synced_others(each) : each.others;
    sum.others = std::min(sum.others, others);
    if (!each.leader.is_synced) sum.synced_here = 0;
    if (each.leader.node == 0) sum.is_known = false;
    if (each.is_gone) sum.is_over = true;
    if (!waiting.goal.level.is_set()) continue;
    wanted = node.company.others_wanted(waiting.goal.level, each.place.partition);
    if (others < wanted) sum.is_enough = false;
  }
  if (!waiting.goal.level.is_set() && sum.others < std::max<int64_t>(wanted, 0)) sum.is_enough = false;
  if (sum.synced_here < waiting.goal.synced_here) sum.is_enough = false;
  sum.is_enough = sum.is_enough && sum.is_known;
  return sum;
}

// Alone there is one log, of which nothing is left out.
void look_alone(const NodeState& node, Waits::AtLeader& each) {
  take(each, {.node = 1}, {.others = 0, .appended = appended(node), .synced = synced(node), .flags = kIsStored});
}

// Once the leader says that it is stored there: then it is worth asking.
void ask_copies(NodeState& node, uint64_t session_id, Waits::AtLeader& each, int64_t wanted) {
  if (each.is_gone || each.others == 0 || synced_others(each) >= std::min<int64_t>(wanted, each.others)) return;
  if (node.now.steady_us < each.ask_copies_at_us) return;
  each.ask_copies_at_us = node.now.steady_us + kAskUs;
  Buffer bytes;
  write_ask(each.place, session_id | kOfCopy, bytes);
  for (const NodeId copy : node.company.counted_copies(each.place.partition)) {
    const auto known = std::find_if(each.copies.begin(), each.copies.end(), [&](const Waits::Synced& one) { return one.node == copy; });
    if (copy == each.leader.node || (known != each.copies.end() && known->is_synced)) continue;
    if (known == each.copies.end()) each.copies.push_back({.node = copy});
    if (copy == self(node).node) {
      take_of_copy(each, self(node), tell_of_copy(node, each.place));
    } else {
      node.company.ask(copy, static_cast<uint64_t>(WaitKind::kAsk), bytes.view());
    }
  }
}

void look_at(NodeState& node, uint64_t session_id, const WaitGoal& goal, Waits::AtLeader& each) {
  if (node.company.is_alone()) return look_alone(node, each);
  if (goal.kind == Kind::kSynced && goal.others > 0) ask_copies(node, session_id, each, goal.others);
  if (const auto told = tell(node, each.place)) return take(each, self(node), *told);
  if (node.now.steady_us < each.ask_at_us) return;
  each.ask_at_us = node.now.steady_us + kAskUs;
  Buffer bytes;
  write_ask(each.place, session_id, bytes);
  node.company.ask_leader(each.place.partition, static_cast<uint64_t>(WaitKind::kAsk), bytes.view());
}

void reply_sum(Session& session, const WaitGoal& goal, const Sum& sum) {
  Reply reply(session.out, session.protocol);
  if (goal.kind == Kind::kCopies) return reply.integer(sum.others);
  reply.array(2);
  reply.integer(sum.synced_here);
  reply.integer(sum.others);
}

void go_on(NodeState& node, Session& session) {
  forget_wait(node, session.id);
  session.clear(kBlockedElsewhere);
  queue_flush(node, session);
  resume_later(node, session);
}

// As soon as they are known of all that the connection has written.
void take_places(const NodeState& node, const Session& session, Waits::Waiting& waiting) {
  if (!waiting.is_behind_writes || session.placeless_writes != 0) return;
  waiting.is_behind_writes = false;
  for (const LogPlace& place : session.places.all()) waiting.places.push_back({.place = place});
  // Alone a connection's writes are not told apart: all that there are stand for them.
  if (node.company.is_alone()) waiting.places.push_back({});
}

}  // namespace

void begin_wait(NodeState& node, Session& session, const WaitGoal& goal, int64_t timeout_ms) {
  Waits::Waiting waiting{.goal = goal, .places = {}, .is_behind_writes = true, .until_us = kNever};
  take_places(node, session, waiting);
  if (goal.kind == Kind::kCopies || node.in_transaction) {
    for (Waits::AtLeader& each : waiting.places) look_at(node, session.id, goal, each);
    const Sum sum = sum_of(node, waiting);
    if (sum.is_enough || sum.is_over || node.in_transaction) return reply_sum(session, goal, sum);
  }
  if (timeout_ms > 0) {
    const int64_t room_ms = (kNever - node.now.steady_us) / 1000 - 1;
    waiting.until_us = node.now.steady_us + std::min(timeout_ms, room_ms) * 1000;
  }
  // Who wants nobody only waits to be told.
  if (goal.kind == Kind::kCopies && goal.others <= 0 && !goal.level.is_set()) {
    waiting.until_us = std::min(waiting.until_us, node.now.steady_us + node.settings.request_timeout_ms * 1000);
  }
  session.set(kBlockedElsewhere);
  ++node.blocked_count;
  node.waits.by_session.emplace(session.id, std::move(waiting));
}

void look_at_waits(NodeState& node) {
  Waits& waits = node.waits;
  if (waits.by_session.empty()) [[likely]]
    return;
  waits.next_look_us = kNever;
  for (auto at = waits.by_session.begin(); at != waits.by_session.end();) {
    const uint64_t id = at->first;
    Waits::Waiting& waiting = (at++)->second;
    Session& session = *node.sessions.find(id);
    take_places(node, session, waiting);
    for (Waits::AtLeader& each : waiting.places) look_at(node, id, waiting.goal, each);
    const Sum sum = sum_of(node, waiting);
    if (sum.is_enough || sum.is_over || node.now.steady_us >= waiting.until_us) {
      node.buffers.lend(session.out);
      reply_sum(session, waiting.goal, sum);
      go_on(node, session);
    } else {
      waits.next_look_us = std::min({waits.next_look_us, waiting.until_us, node.now.steady_us + kAskUs});
    }
  }
}

bool end_wait(NodeState& node, Session& session, WaitEnd how) {
  const auto found = node.waits.by_session.find(session.id);
  if (found == node.waits.by_session.end()) return false;
  node.buffers.lend(session.out);
  if (how == WaitEnd::kAsError) {
    reply_error(node, session, error_line(errors::unblocked()));
  } else {
    reply_sum(session, found->second.goal, sum_of(node, found->second));
  }
  go_on(node, session);
  return true;
}

void forget_wait(NodeState& node, uint64_t session_id) {
  if (node.waits.by_session.erase(session_id) == 0) [[likely]]
    return;
  --node.blocked_count;
  if (node.waits.by_session.empty()) node.waits.next_look_us = kNever;
}

Status take_wait_message(NodeState& node, ForwardingPeers& peers, NodeId from, uint64_t kind, std::string_view bytes) {
  wire::Reader reader(bytes);
  LogPlace place;
  place.partition = static_cast<uint32_t>(reader.varint_at_most(node.store.partition_count() - 1));
  place.term = reader.varint();
  place.index = reader.varint();
  const uint64_t token = reader.varint();
  if (kind == static_cast<uint64_t>(WaitKind::kAsk)) {
    if (!reader.good() || !reader.rest().empty()) return corrupt();
    const auto told = (token & kOfCopy) != 0 ? tell_of_copy(node, place) : tell(node, place);
    if (!told) return done();   // whoever asks will ask another
    Buffer answer;
    write_ask(place, token, answer);
    append_varint(answer, told->others);
    append_varint(answer, told->appended);
    append_varint(answer, told->synced);
    answer.push_back(static_cast<char>(told->flags));
    peers.send(from, static_cast<uint64_t>(WaitKind::kTold), answer.view(), {});
    return done();
  }
  Told told;
  told.others = reader.varint_at_most(UINT32_MAX);
  told.appended = reader.varint();
  told.synced = reader.varint();
  told.flags = reader.byte();
  if (!reader.good() || !reader.rest().empty() || (told.flags & ~kToldFlags) != 0) return corrupt();
  const auto waiting = node.waits.by_session.find(token & ~kOfCopy);
  if (waiting == node.waits.by_session.end()) return done();
  for (Waits::AtLeader& each : waiting->second.places) {
    const bool is_it = each.place.partition == place.partition && each.place.term == place.term && each.place.index == place.index;
    if (!is_it) continue;
    if ((token & kOfCopy) != 0) {
      take_of_copy(each, teller(node, from), told);
    } else {
      take(each, teller(node, from), told);
    }
  }
  return done();
}

}  // namespace quorate

// Sending commands to leaders elsewhere, and what becomes of them.
#include "node/forward.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "cluster/link/link.h"
#include "commands/errors.h"
#include "node/execute.h"
#include "node/input.h"
#include "node/output.h"
#include "node/reply_shape.h"
#include "node/state.h"
#include "node/transactions.h"
#include "node/watch_message.h"
#include "resp/request_writer.h"
#include "util/outgoing.h"

namespace quorate {

namespace {

uint8_t flags_of(const Session& session, ForwardedUnit::Kind kind) {
  uint32_t flags = 0;
  if (session.protocol == Protocol::kResp3) flags |= kForwardResp3;
  if (session.has(kNoTouch)) flags |= kForwardNoTouch;
  if (kind == ForwardedUnit::Kind::kBlocks) flags |= kForwardMayBlock;
  if (kind == ForwardedUnit::Kind::kWrites) flags |= kForwardWrites;
  if (kind == ForwardedUnit::Kind::kWatches) flags |= kForwardWatches;
  return static_cast<uint8_t>(flags);
}

void append_word(Buffer& out, std::string_view name) { append_request(out, {&name, 1}); }

// A copy that is not too old would have answered here: the leader does as by a lease, whatever the bound is.
Levels levels_at_leader(Levels levels) {
  if (levels.read.kind == ReadLevel::Kind::kBounded) levels.read = {.kind = ReadLevel::Kind::kLease};
  return levels;
}

ForwardedUnit::Kind kind_of(uint32_t flags) {
  if (flags & (kWrite | kMayReplicate)) return ForwardedUnit::Kind::kWrites;
  return flags & kReadonly ? ForwardedUnit::Kind::kReads : ForwardedUnit::Kind::kWrites;
}

}  // namespace

void forward_request(NodeState& node, Session& session, const CommandSpec& spec, Args args, uint32_t partition) {
  Buffer& requests = node.forwarding->scratch();
  append_request(requests, args);
  const auto kind = spec.flags & kBlocking ? ForwardedUnit::Kind::kBlocks : kind_of(spec.flags);
  node.forwarding->forward(session, {.partition = partition, .requests = requests.view(), .kind = kind});
}

void forward_transaction(NodeState& node, Session& session, uint32_t partition) {
  const SessionExtras& more = session.more();
  Buffer requests;
  std::optional<int> selected;
  append_word(requests, "MULTI");
  for (const StoredCommand& command : more.queued) {
    append_request(requests, command.views());
    if (command.spec->name == "select") [[unlikely]] {
      if (const Result<int> database = selected_database(node, command.args[1]); database.ok()) selected = database.value();
    }
  }
  append_word(requests, "EXEC");
  const std::string watched = encode_watched(more.watched);
  const ForwardedUnit unit{.partition = partition,
                           .requests = requests.view(),
                           .request_count = static_cast<uint32_t>(more.queued.size()) + 2,
                           .kind = kind_of(more.queued_flags),
                           .watched = watched,
                           .selected = selected};
  discard_transaction(node, session);
  node.forwarding->forward(session, unit);
}

void forward_blocked(NodeState& node, Session& session, const StoredCommand& command, uint32_t partition, int64_t waited_us) {
  Buffer requests;
  append_request(requests, command.views());
  node.forwarding->forward(session, {.partition = partition,
                                     .requests = requests.view(),
                                     .kind = ForwardedUnit::Kind::kBlocks,
                                     .waited_us = waited_us});
}

void forward_watch(NodeState& node, Session& session, std::span<const std::string_view> keys, uint32_t partition) {
  node.forwarding->forward(session, {.partition = partition, .requests = encode_keys(keys), .kind = ForwardedUnit::Kind::kWatches});
}

void forward_parts(NodeState& node, Session& session, Gathering&& gathering) {
  node.forwarding->gather(session, std::move(gathering));
}

Forwarding::Forwarding(NodeState& node, ForwardingPeers& peers)
    : node_(node),
      peers_(peers),
      links_(node, peers, [this](NodeId to, const ForwardAnswer& answer) { send_answer(to, answer); }),
      partitions_(node.store.partition_count()) {}

ForwardLimits Forwarding::limits() const {
  return {.partitions = node_.store.partition_count(), .databases = static_cast<uint32_t>(node_.store.database_count())};
}

Buffer& Forwarding::scratch() {
  scratch_.clear();
  if (scratch_.capacity() > kScratchKept) scratch_.release();
  return scratch_;
}

// ---- commands of clients ------------------------------------------------------------------------------------

void Forwarding::forward(Session& session, const ForwardedUnit& unit) {
  if (unit.requests.size() + unit.watched.size() > Link::kMessageMax / 2 || unit.request_count > ForwardCommand::kRequestsMax) {
    reply_error(node_, session, error_line(errors::forwarded_request_too_large()));
    return;
  }
  WaitingUnit& waiting = add(session, unit);
  waiting.gap = open_gap(node_, session);
  if (unit.kind == ForwardedUnit::Kind::kBlocks) {
    session.set(kBlockedElsewhere);
    blocked_[session.id] = {unit.partition, waiting.number};
    ++node_.blocked_count;
  }
  // What it sends next is not older than what it watches.
  if (unit.kind == ForwardedUnit::Kind::kWatches) session.set(kWaiting);
  if (unit.selected) {
    session.set(kWaiting);
    selecting_[session.id] = {.partition = unit.partition, .number = waiting.number, .database = *unit.selected};
  }
  note_new(unit.partition, session);
}

// The session has just added something; who goes beyond the bound is not read from.
void Forwarding::note_new(uint32_t index, Session& session) {
  Partition& partition = partitions_[index];
  if (!std::exchange(partition.has_new, true)) new_.push_back(index);
  const WaitingUnits& waiting = partition.waiting;
  if (waiting.bounded_count() >= kWaitingMax || waiting.bounded_bytes() >= kWaitingBytesMax)
    stop(partition, session);
}

void Forwarding::send_new() {
  for (const uint32_t index : new_) {
    partitions_[index].has_new = false;
    send_unsent(index);
  }
  new_.clear();
}

// Where the reply goes is the caller's to say.
WaitingUnit& Forwarding::add(Session& session, const ForwardedUnit& unit) {
  // What is kept by itself never shares a message with others.
  static_assert(kMessageBytesMax <= Outgoing::kSharedMin);
  Partition& partition = partitions_[unit.partition];
  // What was made in scratch() is given away.
  const bool is_given = unit.requests.size() >= Outgoing::kSharedMin && unit.requests.data() == scratch_.data();
  WaitingUnit& waiting = is_given
                             ? partition.waiting.add(unit.kind, SharedBytes(std::move(scratch_), 0))
                             : partition.waiting.add(unit.kind, unit.requests);
  waiting.session_id = session.id;
  waiting.flags = flags_of(session, unit.kind);
  waiting.levels = levels_at_leader(session.once_levels.or_else(session.levels));
  waiting.database = static_cast<uint32_t>(session.database);
  waiting.request_count = unit.request_count;
  if (!unit.watched.empty()) {
    partition.waiting.set_watched(waiting, unit.watched);
    waiting.flags |= kForwardWatched;
  }
  waiting.asked_us = node_.now.steady_us - unit.waited_us;
  waiting.deadline_us = node_.now.steady_us + node_.settings.request_timeout_ms * 1000;
  if (may_write(unit.kind)) ++session.placeless_writes;
  if (++waiting_count_ == 1) next_look_us_ = node_.now.steady_us + kLookUs;
  if (partition.first_unsent == kNothing) partition.first_unsent = waiting.number;
  return waiting;
}

void Forwarding::gather(Session& session, Gathering&& gathering) {
  const bool is_too_large = std::any_of(gathering.parts.begin(), gathering.parts.end(), [](const Gathering::Part& part) {
    return part.request.size() > Link::kMessageMax / 2;
  });
  if (is_too_large) {
    reply_error(node_, session, error_line(errors::forwarded_request_too_large()));
    return;
  }
  const uint64_t id = ++last_gathering_;
  const auto kind = gathering.writes ? ForwardedUnit::Kind::kWrites : ForwardedUnit::Kind::kReads;
  size_t missing = 0;
  for (size_t part = 0; part < gathering.parts.size(); ++part) {
    Gathering::Part& each = gathering.parts[part];
    if (each.is_answered) continue;
    ++missing;
    WaitingUnit& waiting = add(session, {.partition = each.partition, .requests = each.request, .kind = kind});
    waiting.gathering = id;
    waiting.part = part;
    each.request.clear();
    note_new(each.partition, session);
  }
  CHECK(missing != 0);
  gathered_.emplace(id, Gathered{.session_id = session.id,
                                 .gap = open_gap(node_, session),
                                 .protocol = session.protocol,
                                 .gathering = std::move(gathering),
                                 .missing = missing});
}

void Forwarding::take_part(uint64_t id, size_t part, std::string_view reply) {
  const auto found = gathered_.find(id);
  CHECK(found != gathered_.end());
  Gathered& gathered = found->second;
  gathered.gathering.parts[part].answer = reply;
  if (--gathered.missing != 0) return;
  Buffer bytes;
  Reply whole(bytes, gathered.protocol);
  gathered.gathering.combine(node_.store.random().next(), whole);
  fill_gap(node_, gathered.session_id, gathered.gap, bytes.view());
  gathered_.erase(found);
}

bool Forwarding::is_waiting(uint32_t partition, const Session& session) const {
  // While a command of its own blocks it sends nothing.
  const WaitingUnits& waiting = partitions_[partition].waiting;
  for (size_t place = waiting.first_bounded(); place < waiting.end(); ++place) {
    const WaitingUnit& unit = waiting.at(place);
    if (!unit.is_over && unit.session_id == session.id) return true;
  }
  return false;
}

void Forwarding::forget(Session& session) {
  const auto blocked = blocked_.find(session.id);
  if (blocked == blocked_.end()) return;
  const auto [index, number] = blocked->second;
  blocked_.erase(blocked);
  --node_.blocked_count;
  const WaitingUnits& waiting = partitions_[index].waiting;
  if (const size_t place = waiting.find(number); place != waiting.end()) finish(index, place, std::string_view());
}

bool Forwarding::unblock(Session& session, CancelReason how) {
  const auto blocked = blocked_.find(session.id);
  if (blocked == blocked_.end()) return false;
  const auto [index, number] = blocked->second;
  WaitingUnits& waiting = partitions_[index].waiting;
  const size_t place = waiting.find(number);
  CHECK(place != waiting.end());
  WaitingUnit& unit = waiting.at(place);
  // Whoever it was sent to may have taken something for it, and says so.
  if (unit.sent_to != 0 || unit.may_have_run) {
    unit.unblocked = how;
    cancel(unit.sent_to, index, number, how);
  } else if (how == CancelReason::kAsError) {
    finish(index, place, errors::unblocked());
  } else {
    Buffer reply;
    Reply(reply, session.protocol).null_array();
    finish(index, place, reply.view());
  }
  return true;
}

void Forwarding::cancel(NodeId sent_to, uint32_t index, uint64_t number, CancelReason reason) {
  const ForwardCancel message{.partition = index, .number = number, .reason = reason};
  if (sent_to == peers_.own_id()) {
    links_.cancel(sent_to, message);
  } else if (sent_to != 0) {
    Buffer head;
    encode_head(message, head);
    peers_.send(sent_to, static_cast<uint64_t>(ForwardKind::kCancel), head.view(), {});
  }
}

void Forwarding::stop(Partition& partition, Session& session) {
  if (session.has(kForwardingFull)) return;
  session.set(kForwardingFull);
  partition.stopped.push_back(session.id);
}

void Forwarding::let_go_on(Partition& partition) {
  if (partition.stopped.empty()) [[likely]]
    return;
  const WaitingUnits& waiting = partition.waiting;
  if (waiting.bounded_count() > kWaitingMax / 2 || waiting.bounded_bytes() > kWaitingBytesMax / 2)
    return;
  for (const uint64_t id : std::exchange(partition.stopped, {})) {
    Session* const session = node_.sessions.find(id);
    if (session == nullptr) continue;
    session->clear(kForwardingFull);
    resume_later(node_, *session);
  }
}

// ---- sending ------------------------------------------------------------------------------------------------

void Forwarding::begin_attempt(Partition& partition, NodeId target) {
  partition.target = target;
  ++partition.attempt;
  partition.not_before_us = 0;
}

void Forwarding::take_back(Partition& partition, WaitingUnit& unit, TakenBack why) {
  if (why != TakenBack::kNotRun) unit.may_have_run = true;
  const bool may_block = unit.kind == ForwardedUnit::Kind::kBlocks;
  // It has not waited for a leader until now; but at one that refuses it has waited for no key.
  if (may_block && why != TakenBack::kNotRun)
    unit.deadline_us = node_.now.steady_us + node_.settings.request_timeout_ms * 1000;
  // What waits for a key is not what kills a leader, and neither is WATCH: it runs no command, and
  // may be asked for as long as there is time.
  const bool may_kill = !may_block && unit.kind != ForwardedUnit::Kind::kWatches;
  if (why == TakenBack::kLost && may_kill) unit.lost_with.emplace_back(unit.sent_to, unit.incarnation);
  if (may_block && unit.was_at != 0 && !placement::contains(unit.left_at, unit.was_at)) unit.left_at.push_back(unit.was_at);
  unit.was_at = std::exchange(unit.sent_to, 0);
  partition.first_unsent = std::min(partition.first_unsent, unit.number);
  partition.has_taken_back = true;
}

void Forwarding::take_all_back(Partition& partition, NodeId node) {
  WaitingUnits& waiting = partition.waiting;
  for (size_t place = waiting.begin(); place < waiting.end(); ++place) {
    WaitingUnit& unit = waiting.at(place);
    if (unit.is_over || unit.sent_to == 0) continue;
    if (node == 0 || unit.sent_to == node) take_back(partition, unit, TakenBack::kLost);
  }
}

void Forwarding::note_order(uint32_t index) {
  Partition& partition = partitions_[index];
  if (!std::exchange(partition.has_taken_back, false)) return;
  WaitingUnits& waiting = partition.waiting;
  std::map<uint64_t, uint64_t> writes;  // by session: the first behind
  std::set<uint64_t> served;            // sessions that may have been given what they wait for
  for (size_t place = waiting.end(); place > waiting.begin(); --place) {
    WaitingUnit& unit = waiting.at(place - 1);
    if (unit.is_over) continue;
    if (unit.kind == ForwardedUnit::Kind::kBlocks) {
      if (unit.may_have_run || unit.sent_to != 0) served.insert(unit.session_id);
    } else if (unit.kind == ForwardedUnit::Kind::kReads) {
      // It has no number that would tell the next leader.
      if (unit.sent_to == 0 && (unit.is_overtaken || served.contains(unit.session_id))) {
        finish(index, place - 1, errors::read_was_overtaken(index));
        continue;
      }
      const auto behind = writes.find(unit.session_id);
      unit.write_number = behind == writes.end() ? 0 : behind->second;
    } else if (unit.write_number != 0) {
      writes[unit.session_id] = unit.write_number;
    }
  }
}

// Answers overtake one another where levels differ, or leaders are lost.  What reads in front of what is answered now may go on where it is, but
// nowhere else: it would be shown what came behind it.
void Forwarding::note_overtaken(Partition& partition, size_t place) {
  WaitingUnits& waiting = partition.waiting;
  const uint64_t session_id = waiting.at(place).session_id;
  for (size_t before = waiting.first(ForwardedUnit::Kind::kReads); before < place; ++before) {
    WaitingUnit& unit = waiting.at(before);
    if (unit.is_over || unit.kind != ForwardedUnit::Kind::kReads || unit.session_id != session_id) continue;
    unit.is_overtaken = true;
    // note_order() may have looked at it already.  What is under way it looks at when that is taken back.
    if (unit.sent_to == 0) partition.has_taken_back = true;
  }
}

uint64_t Forwarding::lowest_wanted(const Partition& partition) {
  // Those that have a number stand before those that were never sent.
  const size_t place = partition.waiting.first(ForwardedUnit::Kind::kWrites);
  const uint64_t number =
      place == partition.waiting.end() ? 0 : partition.waiting.at(place).write_number;
  return number == 0 ? partition.last_write_number + 1 : number;
}

uint64_t Forwarding::lowest_token(const Partition& partition) {
  const size_t place = partition.waiting.first(ForwardedUnit::Kind::kBlocks);
  return place == partition.waiting.end() ? 0 : partition.waiting.at(place).number;
}

// In order, up to the first that cannot be sent.
void Forwarding::send_unsent(uint32_t index) {
  Partition& partition = partitions_[index];
  WaitingUnits& waiting = partition.waiting;
  if (waiting.empty()) return;
  const NodeId leader = peers_.leader_of(index);
  if (leader != 0 && leader != partition.target) {
    take_all_back(partition, 0);
    begin_attempt(partition, leader);
  }
  if (partition.first_unsent == kNothing || leader == 0 || node_.now.steady_us < partition.not_before_us) return;
  note_order(index);
  const uint64_t incarnation = peers_.incarnation_of(leader);
  size_t place = waiting.place_of(partition.first_unsent);
  while (place < waiting.end()) {
    const WaitingUnit& unit = waiting.at(place);
    if (unit.is_over || unit.sent_to != 0) {
      ++place;
    } else if (is_dangerous(unit, leader, incarnation)) {
      finish(index, place++, errors::uncertain_leaders_lost(index));
    } else {
      const uint32_t count = count_alike(waiting, place);
      if (!send(index, place, count, leader)) break;
      place += count;
    }
  }
  partition.first_unsent = place < waiting.end() ? waiting.at(place).number : kNothing;
}

bool Forwarding::is_dangerous(const WaitingUnit& unit, NodeId to, uint64_t incarnation) const {
  if (unit.lost_with.size() < kLeadersLostMax) [[likely]]
    return false;
  // Who lives has handed over, and answers once it comes to it.
  const auto is_lost = [&](const std::pair<NodeId, uint64_t>& process) {
    if (process == std::pair(to, incarnation)) return false;
    return !peers_.is_heard(process.first) || peers_.incarnation_of(process.first) != process.second;
  };
  return static_cast<size_t>(std::count_if(unit.lost_with.begin(), unit.lost_with.end(), is_lost)) >= kLeadersLostMax;
}

uint32_t Forwarding::count_alike(const WaitingUnits& waiting, size_t place) {
  const WaitingUnit& first = waiting.at(place);
  const bool writes = first.kind == ForwardedUnit::Kind::kWrites;
  const bool is_common = writes || (first.kind == ForwardedUnit::Kind::kReads && first.write_number == 0);
  if (!is_common || first.request_count != 1 || !first.watched.empty() || !first.lost_with.empty()) return 1;
  size_t bytes = first.requests_size;
  uint32_t count = 1;
  for (; count < ForwardCommand::kUnitsMax && place + count < waiting.end(); ++count) {
    const WaitingUnit& unit = waiting.at(place + count);
    bytes += unit.requests_size;
    if (unit.is_over || unit.number != first.number + count || bytes > kMessageBytesMax) break;
    if (unit.kind != first.kind || unit.flags != first.flags || unit.may_have_run != first.may_have_run || unit.levels != first.levels || unit.database != first.database) break;
    if (unit.sent_to != 0 || unit.request_count != 1 || !unit.watched.empty() || !unit.lost_with.empty()) break;
    // A number of its own it has if it was sent before.
    if (unit.write_number != (first.write_number == 0 ? 0 : first.write_number + count)) break;
  }
  return count;
}

bool Forwarding::send(uint32_t index, size_t place, uint32_t count, NodeId to) {
  Partition& partition = partitions_[index];
  WaitingUnits& waiting = partition.waiting;
  WaitingUnit& first = waiting.at(place);
  const bool writes = first.kind == ForwardedUnit::Kind::kWrites;
  const bool may_block = first.kind == ForwardedUnit::Kind::kBlocks;
  if (writes && first.write_number == 0) {
    for (uint32_t unit = 0; unit < count; ++unit) waiting.at(place + unit).write_number = ++partition.last_write_number;
  }
  ForwardCommand command{.partition = index,
                         .number = first.number,
                         .unit_count = count,
                         .attempt = partition.attempt,
                         .request_count = first.request_count,
                         .database = first.database,
                         .flags = static_cast<uint8_t>(first.flags | (first.may_have_run ? kForwardAgain : 0)),
                         .levels = first.levels,
                         .incarnation = peers_.incarnation_of(peers_.own_id()),
                         .write_number = first.write_number,
                         .lowest_wanted = writes ? lowest_wanted(partition) : may_block ? lowest_token(partition) : 0,
                         .waited_ms = static_cast<uint64_t>(node_.now.steady_us - first.asked_us) / 1000,
                         .watched = first.watched};
  const std::string_view requests = waiting.requests(place, count);
  if (to == peers_.own_id()) {
    // It has come to lead what it was asked for meanwhile.
    command.requests = requests;
    links_.take(to, command);
  } else {
    head_.clear();
    encode_head(command, head_);
    constexpr auto kKind = static_cast<uint64_t>(ForwardKind::kCommand);
    const bool is_sent = first.large.empty() ? peers_.send(to, kKind, head_.view(), requests)
                                             : peers_.send_shared(to, kKind, head_.view(), first.large);
    if (!is_sent) return false;
  }
  const uint64_t incarnation = peers_.incarnation_of(to);
  for (uint32_t at = 0; at < count; ++at) {
    WaitingUnit& unit = waiting.at(place + at);
    unit.sent_to = to;
    unit.incarnation = incarnation;
    if (!unit.lost_with.empty()) std::erase(unit.lost_with, std::pair(to, incarnation));
    unit.attempt = partition.attempt;
    unit.send_order = ++last_sending_;
  }
  if (first.unblocked) cancel(to, index, first.number, *first.unblocked);
  return true;
}

// ---- answers --------------------------------------------------------------------------------------------------

void Forwarding::finish(uint32_t index, size_t place, std::string_view reply) {
  Partition& partition = partitions_[index];
  const WaitingUnit& unit = partition.waiting.at(place);
  if (--waiting_count_ == 0) next_look_us_ = kNever;
  if (unit.gathering != 0) {
    take_part(unit.gathering, unit.part, reply);
  } else if (unit.kind == ForwardedUnit::Kind::kWatches) {
    end_watch(unit, partition.waiting.requests(place), reply);
  } else {
    fill_gap(node_, unit.session_id, unit.gap, reply);
    if (!selecting_.empty()) [[unlikely]]
      end_selecting(index, unit, reply);
  }
  if (unit.kind == ForwardedUnit::Kind::kBlocks) {
    // A line that was slow may still bring it to any of them, and whoever leads then would serve it once more.
    std::vector<NodeId> told = unit.left_at;
    for (const NodeId node : {unit.was_at, unit.sent_to}) {
      if (!placement::contains(told, node)) told.push_back(node);
    }
    for (const NodeId node : told) cancel(node, index, unit.number);
  }
  if (unit.kind == ForwardedUnit::Kind::kBlocks && blocked_.erase(unit.session_id) != 0) {
    --node_.blocked_count;
    if (Session* const session = node_.sessions.find(unit.session_id)) {
      session->clear(kBlockedElsewhere);
      resume_later(node_, *session);
    }
  }
  if (Session* const writer = may_write(unit.kind) ? node_.sessions.find(unit.session_id) : nullptr) {
    CHECK(writer->placeless_writes != 0);
    --writer->placeless_writes;
    note_overtaken(partition, place);
  }
  partition.waiting.remove(place);
  if (partition.waiting.empty()) partition.first_unsent = kNothing;
  let_go_on(partition);
}

// The session watches `keys` from here on as the leader has said, or was told why not.
void Forwarding::end_watch(const WaitingUnit& unit, std::string_view keys, std::string_view reply) {
  Session* const session = node_.sessions.find(unit.session_id);
  if (session == nullptr) return;
  session->clear(kWaiting);
  resume_later(node_, *session);
  if (reply.starts_with('-')) return fill_gap(node_, unit.session_id, unit.gap, reply);
  watch_elsewhere(*session, static_cast<int>(unit.database), keys, reply.starts_with('$') ? text_of_bulk(reply) : std::string_view());
  Buffer ok;
  Reply(ok, session->protocol).ok();
  fill_gap(node_, unit.session_id, unit.gap, ok.view());
}

// What the session sends next is about the database that it has chosen, if the transaction is known to have run.
void Forwarding::end_selecting(uint32_t index, const WaitingUnit& unit, std::string_view reply) {
  const auto found = selecting_.find(unit.session_id);
  if (found == selecting_.end() || found->second.partition != index || found->second.number != unit.number) return;
  const int database = found->second.database;
  selecting_.erase(found);
  Session* const session = node_.sessions.find(unit.session_id);
  if (session == nullptr) return;
  const bool has_run = reply.starts_with('*') && !reply.starts_with("*-");
  if (has_run) session->database = database;
  session->clear(kWaiting);
  resume_later(node_, *session);
}

void Forwarding::finish(uint32_t index, size_t place, const Error& error) {
  const std::string line = error_line(error);
  node_.statistics.count_error(line);
  Buffer reply;
  Reply(reply, Protocol::kResp2).error(line);  // the same in both
  finish(index, place, reply.view());
}

void Forwarding::note_place(const WaitingUnit& unit, const ForwardAnswer& answer) {
  if (answer.term == 0) return;
  Session* const session = node_.sessions.find(unit.session_id);
  if (session == nullptr) return;
  session->places.note({.partition = answer.partition, .term = answer.term, .index = answer.index});
}

// Whoever it was sent to since may run it all the same: a write without effect stands in no log.
bool Forwarding::is_last_word(const WaitingUnit& unit, NodeId from, const ForwardAnswer& answer) {
  if (unit.kind != ForwardedUnit::Kind::kWrites || answer.outcome != ForwardOutcome::kReply) return false;
  return unit.sent_to == 0 && unit.was_at == from && unit.attempt == answer.attempt;
}

void Forwarding::on_answer(NodeId from, const ForwardAnswer& answer) {
  ForwardAnswer one = answer;
  std::string_view replies = answer.reply;
  for (one.unit_count = 1; one.number < answer.number + answer.unit_count; ++one.number) {
    if (answer.unit_count != 1) {
      one.reply = replies.substr(0, value_size(replies));
      replies.remove_prefix(one.reply.size());
    }
    take_answer(from, one);
  }
  if (partitions_[answer.partition].first_unsent != kNothing) send_unsent(answer.partition);
}

void Forwarding::take_answer(NodeId from, const ForwardAnswer& answer) {
  Partition& partition = partitions_[answer.partition];
  const size_t place = partition.waiting.find(answer.number);
  if (place == partition.waiting.end()) return;  // it was answered otherwise
  WaitingUnit& unit = partition.waiting.at(place);
  if (!unit.lost_with.empty()) std::erase_if(unit.lost_with, [&](const auto& lost) { return lost.first == from; });
  const bool is_current = unit.sent_to == from && unit.attempt == answer.attempt;
  if (!is_current && !is_last_word(unit, from, answer)) return;
  switch (answer.outcome) {
    case ForwardOutcome::kReply:
      note_place(unit, answer);
      finish(answer.partition, place, answer.reply);
      break;
    case ForwardOutcome::kNotRun:
      on_refusal(from, answer.partition, unit);
      break;
    case ForwardOutcome::kUnknown:
      take_back(partition, unit, TakenBack::kUnknown);
      // This node is ending the session, and would say so again in this turn.
      if (from == peers_.own_id()) partition.not_before_us = node_.now.steady_us + kLookUs;
      break;
    case ForwardOutcome::kNotKept:
      finish(answer.partition, place, errors::uncertain_reply_not_kept(answer.partition));
      break;
  }
}

void Forwarding::on_refusal(NodeId from, uint32_t index, const WaitingUnit& refused) {
  Partition& partition = partitions_[index];
  WaitingUnits& waiting = partition.waiting;
  // What was sent before it, whatever its number, may have run.
  const uint64_t first = refused.send_order;
  const uint64_t attempt = refused.attempt;
  for (size_t place = waiting.begin(); place < waiting.end(); ++place) {
    WaitingUnit& unit = waiting.at(place);
    const bool is_behind = !unit.is_over && unit.sent_to == from && unit.attempt == attempt && unit.send_order >= first;
    if (is_behind) take_back(partition, unit, TakenBack::kNotRun);
  }
  if (partition.target != from || partition.attempt != attempt) return;
  begin_attempt(partition, from);
  partition.not_before_us = node_.now.steady_us + kLookUs;
}

void Forwarding::send_answer(NodeId to, const ForwardAnswer& answer) {
  if (to == peers_.own_id()) return on_answer(to, answer);
  head_.clear();
  encode_head(answer, head_);
  // Without a link there is nobody to hear it: the other side gives it up as well.
  peers_.send(to, static_cast<uint64_t>(ForwardKind::kAnswer), head_.view(), answer.reply);
}

// ---- what happens elsewhere ----------------------------------------------------------------------------------

Status Forwarding::receive(NodeId from, uint64_t kind, std::string_view bytes) {
  switch (static_cast<ForwardKind>(kind)) {
    case ForwardKind::kCommand: {
      TRY(const ForwardCommand command, decode_command(bytes, limits()));
      links_.take(from, command);
      return done();
    }
    case ForwardKind::kAnswer: {
      TRY(const ForwardAnswer answer, decode_answer(bytes, limits()));
      on_answer(from, answer);
      return done();
    }
    case ForwardKind::kCancel: {
      TRY(const ForwardCancel cancel, decode_cancel(bytes, limits()));
      links_.cancel(from, cancel);
      return done();
    }
  }
  return Error(ErrorCode::kCorrupt, "a message of unknown kind");
}

void Forwarding::on_link_up(NodeId node) {
  for (uint32_t index = 0; index < partitions_.size(); ++index) {
    if (partitions_[index].first_unsent != kNothing && peers_.leader_of(index) == node) on_leader(index);
  }
}

void Forwarding::on_link_down(NodeId node) {
  links_.on_link_down(node);
  for (uint32_t index = 0; index < partitions_.size(); ++index) {
    Partition& partition = partitions_[index];
    take_all_back(partition, node);
    if (partition.target == node) begin_attempt(partition, node);
    send_unsent(index);
  }
}

void Forwarding::on_leader(uint32_t index) {
  partitions_[index].not_before_us = 0;
  send_unsent(index);
}

void Forwarding::end_overdue(uint32_t index, const Error* exclusion) {
  const WaitingUnits& waiting = partitions_[index].waiting;
  for (size_t place = waiting.begin(); place < waiting.end(); ++place) {
    const WaitingUnit& unit = waiting.at(place);
    const bool is_sent = unit.sent_to != 0;
    // Nobody takes it any more; but whoever has it may still answer.
    const bool is_vain = exclusion != nullptr && !is_sent;
    if (unit.is_over || (!is_vain && unit.deadline_us > node_.now.steady_us)) continue;
    const bool may_have_run = is_sent || unit.may_have_run;
    if (is_sent && unit.kind == ForwardedUnit::Kind::kBlocks) continue;
    if (may_have_run && unit.kind == ForwardedUnit::Kind::kBlocks) {
      finish(index, place, errors::uncertain_connection_lost(index));
    } else if (may_have_run && unit.kind == ForwardedUnit::Kind::kWrites) {
      finish(index, place, errors::uncertain_timed_out(index));
    } else if (is_vain) {
      finish(index, place, *exclusion);
    } else if (!is_sent && peers_.leader_of(index) == 0) {
      finish(index, place, errors::no_leader(index));
    } else {
      finish(index, place, errors::forwarding_timed_out(index));
    }
  }
}

void Forwarding::tick() {
  if (node_.now.steady_us < next_look_us_) return;
  next_look_us_ = node_.now.steady_us + kLookUs;
  const std::optional<Error> exclusion = node_.company.exclusion();
  for (uint32_t index = 0; index < partitions_.size(); ++index) {
    end_overdue(index, exclusion ? &*exclusion : nullptr);
    send_unsent(index);
  }
  if (waiting_count_ == 0) next_look_us_ = kNever;
}

}  // namespace quorate

// Sending commands to leaders elsewhere, and what becomes of them.
#include "node/forward.h"

#include <algorithm>
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
  Buffer requests;
  append_request(requests, args);
  const auto kind = spec.flags & kBlocking ? ForwardedUnit::Kind::kBlocks : kind_of(spec.flags);
  node.forwarding->forward(session, {.partition = partition, .requests = requests.view(), .kind = kind});
}

void forward_transaction(NodeState& node, Session& session, uint32_t partition) {
  const SessionExtras& more = session.more();
  Buffer requests;
  append_word(requests, "MULTI");
  for (const StoredCommand& command : more.queued) append_request(requests, command.views());
  append_word(requests, "EXEC");
  const std::string watched = encode_watched(more.watched);
  const ForwardedUnit unit{.partition = partition,
                           .requests = requests.view(),
                           .request_count = static_cast<uint32_t>(more.queued.size()) + 2,
                           .kind = kind_of(more.queued_flags),
                           .watched = watched};
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

// ---- commands of clients ------------------------------------------------------------------------------------

void Forwarding::forward(Session& session, const ForwardedUnit& unit) {
  if (unit.requests.size() + unit.watched.size() > Link::kMessageMax / 2 || unit.request_count > ForwardCommand::kRequestsMax) {
    reply_error(node_, session, error_line(errors::forwarded_request_too_large()));
    return;
  }
  add(session, unit, {.gap = open_gap(node_, session)});
  if (unit.kind == ForwardedUnit::Kind::kBlocks) {
    session.set(kBlockedElsewhere);
    blocked_[session.id] = {unit.partition, last_number_};
  }
  // What it sends next is not older than what it watches.
  if (unit.kind == ForwardedUnit::Kind::kWatches) session.set(kWaiting);
  send_new(unit.partition, session);
}

// What the session has just added; who goes beyond the bound is not read from.
void Forwarding::send_new(uint32_t index, Session& session) {
  send_unsent(index);
  Partition& partition = partitions_[index];
  if (partition.waiting.size() >= kWaitingMax || partition.bytes >= kWaitingBytesMax) stop(partition, session);
}

// `waiting` says where the reply goes.
void Forwarding::add(const Session& session, const ForwardedUnit& unit, Waiting&& waiting) {
  Partition& partition = partitions_[unit.partition];
  const uint64_t number = ++last_number_;
  waiting.session_id = session.id;
  waiting.kind = unit.kind;
  waiting.flags = flags_of(session, unit.kind);
  waiting.levels = levels_at_leader(session.once_levels.or_else(session.levels));
  waiting.database = static_cast<uint32_t>(session.database);
  waiting.request_count = unit.request_count;
  waiting.requests = unit.requests;
  waiting.watched = unit.watched;
  if (!unit.watched.empty()) waiting.flags |= kForwardWatched;
  waiting.asked_us = node_.now.steady_us - unit.waited_us;
  waiting.deadline_us = node_.now.steady_us + node_.settings.request_timeout_ms * 1000;
  partition.waiting.emplace_hint(partition.waiting.end(), number, std::move(waiting));
  partition.bytes += unit.requests.size() + unit.watched.size();
  if (++waiting_count_ == 1) next_look_us_ = node_.now.steady_us + kLookUs;
  if (partition.first_unsent == kNothing) partition.first_unsent = number;
}

void Forwarding::gather(Session& session, Gathering&& gathering) {
  const bool is_too_large = std::any_of(gathering.parts.begin(), gathering.parts.end(), [](const Gathering::Part& part) {
    return part.request.size() > Link::kMessageMax / 2;
  });
  if (is_too_large) {
    reply_error(node_, session, error_line(errors::forwarded_request_too_large()));
    return;
  }
  const uint64_t id = last_number_ + 1;
  const auto kind = gathering.writes ? ForwardedUnit::Kind::kWrites : ForwardedUnit::Kind::kReads;
  for (size_t part = 0; part < gathering.parts.size(); ++part) {
    const Gathering::Part& each = gathering.parts[part];
    add(session, {.partition = each.partition, .requests = each.request, .kind = kind}, {.gathering = id, .part = part});
  }
  std::vector<uint32_t> partitions;
  for (Gathering::Part& each : gathering.parts) {
    partitions.push_back(each.partition);
    each.request.clear();
  }
  const size_t count = gathering.parts.size();
  gathered_.emplace(id, Gathered{.session_id = session.id,
                                 .gap = open_gap(node_, session),
                                 .protocol = session.protocol,
                                 .gathering = std::move(gathering),
                                 .missing = count});
  for (const uint32_t partition : partitions) send_new(partition, session);
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
  const Queue& waiting = partitions_[partition].waiting;
  return std::any_of(waiting.begin(), waiting.end(), [&](const auto& each) { return each.second.session_id == session.id; });
}

void Forwarding::forget(Session& session) {
  const auto blocked = blocked_.find(session.id);
  if (blocked == blocked_.end()) return;
  const auto [index, number] = blocked->second;
  blocked_.erase(blocked);
  const auto at = partitions_[index].waiting.find(number);
  if (at == partitions_[index].waiting.end()) return;
  finish(index, at, std::string_view());
}

void Forwarding::cancel(NodeId sent_to, uint32_t index, uint64_t number) {
  const ForwardCancel message{.partition = index, .number = number};
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
  if (partition.waiting.size() > kWaitingMax / 2 || partition.bytes > kWaitingBytesMax / 2) return;
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

void Forwarding::take_back(Partition& partition, uint64_t number, Waiting& waiting, TakenBack why) {
  if (why != TakenBack::kNotRun) waiting.may_have_run = true;
  const bool may_block = waiting.kind == ForwardedUnit::Kind::kBlocks;
  // It has not waited for a leader until now.
  if (may_block) waiting.deadline_us = node_.now.steady_us + node_.settings.request_timeout_ms * 1000;
  // What waits for a key is not what kills a leader.
  if (why == TakenBack::kLost && !may_block) waiting.lost_with.emplace_back(waiting.sent_to, waiting.incarnation);
  waiting.was_at = std::exchange(waiting.sent_to, 0);
  partition.first_unsent = std::min(partition.first_unsent, number);
  partition.has_taken_back = true;
}

void Forwarding::take_all_back(Partition& partition, NodeId node) {
  for (auto& [number, waiting] : partition.waiting) {
    if (waiting.sent_to == 0) continue;
    if (node == 0 || waiting.sent_to == node) take_back(partition, number, waiting, TakenBack::kLost);
  }
}

void Forwarding::note_order(Partition& partition) {
  if (!std::exchange(partition.has_taken_back, false)) return;
  std::map<uint64_t, uint64_t> writes;  // by session: the first behind
  for (auto at = partition.waiting.rbegin(); at != partition.waiting.rend(); ++at) {
    Waiting& waiting = at->second;
    if (waiting.kind == ForwardedUnit::Kind::kReads) {
      const auto behind = writes.find(waiting.session_id);
      waiting.write_number = behind == writes.end() ? 0 : behind->second;
    } else if (waiting.write_number != 0) {
      writes[waiting.session_id] = waiting.write_number;
    }
  }
}

uint64_t Forwarding::lowest_wanted(const Partition& partition) {
  for (const auto& [number, waiting] : partition.waiting) {
    if (waiting.kind == ForwardedUnit::Kind::kWrites && waiting.write_number != 0) return waiting.write_number;
  }
  return partition.last_write_number + 1;
}

uint64_t Forwarding::lowest_token(const Partition& partition) {
  for (const auto& [number, waiting] : partition.waiting) {
    if (waiting.kind == ForwardedUnit::Kind::kBlocks) return number;
  }
  return 0;
}

// In order, up to the first that cannot be sent.
void Forwarding::send_unsent(uint32_t index) {
  Partition& partition = partitions_[index];
  if (partition.waiting.empty()) return;
  const NodeId leader = peers_.leader_of(index);
  if (leader != 0 && leader != partition.target) {
    take_all_back(partition, 0);
    begin_attempt(partition, leader);
  }
  if (partition.first_unsent == kNothing || leader == 0 || node_.now.steady_us < partition.not_before_us) return;
  note_order(partition);
  const uint64_t incarnation = peers_.incarnation_of(leader);
  auto at = partition.waiting.lower_bound(partition.first_unsent);
  while (at != partition.waiting.end()) {
    Waiting& waiting = at->second;
    if (waiting.sent_to == 0 && is_dangerous(waiting, leader, incarnation)) {
      finish(index, at++, errors::uncertain_leaders_lost(index));
      continue;
    }
    if (waiting.sent_to == 0 && !send(index, at->first, waiting, leader)) break;
    ++at;
  }
  partition.first_unsent = at == partition.waiting.end() ? kNothing : at->first;
}

bool Forwarding::is_dangerous(const Waiting& waiting, NodeId to, uint64_t incarnation) const {
  if (waiting.lost_with.size() < kLeadersLostMax) [[likely]]
    return false;
  // Who lives has handed over, and answers once it comes to it.
  const auto is_lost = [&](const std::pair<NodeId, uint64_t>& process) {
    if (process == std::pair(to, incarnation)) return false;
    return !peers_.is_heard(process.first) || peers_.incarnation_of(process.first) != process.second;
  };
  return static_cast<size_t>(std::count_if(waiting.lost_with.begin(), waiting.lost_with.end(), is_lost)) >= kLeadersLostMax;
}

bool Forwarding::send(uint32_t index, uint64_t number, Waiting& waiting, NodeId to) {
  Partition& partition = partitions_[index];
  const bool writes = waiting.kind == ForwardedUnit::Kind::kWrites;
  const bool may_block = waiting.kind == ForwardedUnit::Kind::kBlocks;
  if (writes && waiting.write_number == 0) waiting.write_number = ++partition.last_write_number;
  ForwardCommand command{.partition = index,
                         .number = number,
                         .attempt = partition.attempt,
                         .request_count = waiting.request_count,
                         .database = waiting.database,
                         .flags = waiting.flags,
                         .levels = waiting.levels,
                         .incarnation = peers_.incarnation_of(peers_.own_id()),
                         .write_number = waiting.write_number,
                         .lowest_wanted = writes ? lowest_wanted(partition) : may_block ? lowest_token(partition) : 0,
                         .waited_ms = static_cast<uint64_t>(node_.now.steady_us - waiting.asked_us) / 1000,
                         .watched = waiting.watched};
  if (to == peers_.own_id()) {
    // It has come to lead what it was asked for meanwhile.
    command.requests = waiting.requests;
    links_.take(to, command);
  } else {
    Buffer head;
    encode_head(command, head);
    if (!peers_.send(to, static_cast<uint64_t>(ForwardKind::kCommand), head.view(), waiting.requests)) return false;
  }
  waiting.sent_to = to;
  waiting.incarnation = peers_.incarnation_of(to);
  std::erase(waiting.lost_with, std::pair(to, waiting.incarnation));
  waiting.attempt = partition.attempt;
  waiting.send_order = ++last_sending_;
  return true;
}

// ---- answers --------------------------------------------------------------------------------------------------

void Forwarding::finish(uint32_t index, Queue::iterator at, std::string_view reply) {
  Partition& partition = partitions_[index];
  const auto node = partition.waiting.extract(at);
  const Waiting& waiting = node.mapped();
  partition.bytes -= waiting.requests.size() + waiting.watched.size();
  if (--waiting_count_ == 0) next_look_us_ = kNever;
  if (partition.waiting.empty()) partition.first_unsent = kNothing;
  if (waiting.gathering != 0) {
    take_part(waiting.gathering, waiting.part, reply);
  } else if (waiting.kind == ForwardedUnit::Kind::kWatches) {
    end_watch(waiting, reply);
  } else {
    fill_gap(node_, waiting.session_id, waiting.gap, reply);
  }
  if (waiting.kind == ForwardedUnit::Kind::kBlocks) {
    cancel(waiting.sent_to, index, node.key());
    if (waiting.was_at != waiting.sent_to) cancel(waiting.was_at, index, node.key());
  }
  if (waiting.kind == ForwardedUnit::Kind::kBlocks && blocked_.erase(waiting.session_id) != 0) {
    if (Session* const session = node_.sessions.find(waiting.session_id)) {
      session->clear(kBlockedElsewhere);
      resume_later(node_, *session);
    }
  }
  let_go_on(partition);
}

// The session watches from here on what the leader has said, or was told why not.
void Forwarding::end_watch(const Waiting& waiting, std::string_view reply) {
  Session* const session = node_.sessions.find(waiting.session_id);
  if (session == nullptr) return;
  session->clear(kWaiting);
  resume_later(node_, *session);
  if (reply.starts_with('-')) return fill_gap(node_, waiting.session_id, waiting.gap, reply);
  watch_elsewhere(*session, static_cast<int>(waiting.database), waiting.requests, reply.starts_with('$') ? text_of_bulk(reply) : std::string_view());
  Buffer ok;
  Reply(ok, session->protocol).ok();
  fill_gap(node_, waiting.session_id, waiting.gap, ok.view());
}

void Forwarding::finish(uint32_t index, Queue::iterator at, const Error& error) {
  const std::string line = error_line(error);
  node_.statistics.count_error(line);
  Buffer reply;
  Reply(reply, Protocol::kResp2).error(line);  // the same in both
  finish(index, at, reply.view());
}

void Forwarding::note_place(const Waiting& waiting, const ForwardAnswer& answer) {
  if (answer.term == 0) return;
  Session* const session = node_.sessions.find(waiting.session_id);
  if (session == nullptr) return;
  session->places.note({.partition = answer.partition, .term = answer.term, .index = answer.index});
}

// Whoever it was sent to since may run it all the same: a write without effect stands in no log.
bool Forwarding::is_last_word(const Waiting& waiting, NodeId from, const ForwardAnswer& answer) {
  if (waiting.kind != ForwardedUnit::Kind::kWrites || answer.outcome != ForwardOutcome::kReply) return false;
  return waiting.sent_to == 0 && waiting.was_at == from && waiting.attempt == answer.attempt;
}

void Forwarding::on_answer(NodeId from, const ForwardAnswer& answer) {
  Partition& partition = partitions_[answer.partition];
  const auto at = partition.waiting.find(answer.number);
  if (at == partition.waiting.end()) return;  // it was answered otherwise
  Waiting& waiting = at->second;
  std::erase_if(waiting.lost_with, [&](const auto& lost) { return lost.first == from; });
  const bool is_current = waiting.sent_to == from && waiting.attempt == answer.attempt;
  if (!is_current && !is_last_word(waiting, from, answer)) return;
  switch (answer.outcome) {
    case ForwardOutcome::kReply:
      note_place(at->second, answer);
      finish(answer.partition, at, answer.reply);
      break;
    case ForwardOutcome::kNotRun:
      on_refusal(from, answer.partition, answer.number, answer.attempt);
      break;
    case ForwardOutcome::kUnknown:
      take_back(partition, answer.number, waiting, TakenBack::kUnknown);
      // This node is ending the session, and would say so again in this turn.
      if (from == peers_.own_id()) partition.not_before_us = node_.now.steady_us + kLookUs;
      break;
    case ForwardOutcome::kNotKept:
      finish(answer.partition, at, errors::uncertain_reply_not_kept(answer.partition));
      break;
  }
  send_unsent(answer.partition);
}

void Forwarding::on_refusal(NodeId from, uint32_t index, uint64_t number, uint64_t attempt) {
  Partition& partition = partitions_[index];
  // What was sent before it, whatever its number, may have run.
  const uint64_t refused = partition.waiting.at(number).send_order;
  for (auto& [each, waiting] : partition.waiting) {
    const bool is_behind = waiting.sent_to == from && waiting.attempt == attempt && waiting.send_order >= refused;
    if (is_behind) take_back(partition, each, waiting, TakenBack::kNotRun);
  }
  if (partition.target != from || partition.attempt != attempt) return;
  begin_attempt(partition, from);
  partition.not_before_us = node_.now.steady_us + kLookUs;
}

void Forwarding::send_answer(NodeId to, const ForwardAnswer& answer) {
  if (to == peers_.own_id()) return on_answer(to, answer);
  Buffer head;
  encode_head(answer, head);
  // Without a link there is nobody to hear it: the other side gives it up as well.
  peers_.send(to, static_cast<uint64_t>(ForwardKind::kAnswer), head.view(), answer.reply);
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

void Forwarding::end_overdue(uint32_t index) {
  Queue& queue = partitions_[index].waiting;
  for (auto at = queue.begin(); at != queue.end();) {
    const auto overdue = at++;
    if (overdue->second.deadline_us > node_.now.steady_us) continue;
    const Waiting& waiting = overdue->second;
    const bool is_sent = waiting.sent_to != 0;
    const bool may_have_run = is_sent || waiting.may_have_run;
    if (is_sent && waiting.kind == ForwardedUnit::Kind::kBlocks) continue;
    if (may_have_run && waiting.kind == ForwardedUnit::Kind::kBlocks) {
      finish(index, overdue, errors::uncertain_connection_lost(index));
    } else if (may_have_run && waiting.kind == ForwardedUnit::Kind::kWrites) {
      finish(index, overdue, errors::uncertain_timed_out(index));
    } else if (!is_sent && peers_.leader_of(index) == 0) {
      finish(index, overdue, errors::no_leader(index));
    } else {
      finish(index, overdue, errors::forwarding_timed_out(index));
    }
  }
}

void Forwarding::tick() {
  if (node_.now.steady_us < next_look_us_) return;
  next_look_us_ = node_.now.steady_us + kLookUs;
  for (uint32_t index = 0; index < partitions_.size(); ++index) {
    end_overdue(index);
    send_unsent(index);
  }
  if (waiting_count_ == 0) next_look_us_ = kNever;
}

}  // namespace quorate

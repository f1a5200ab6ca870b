// Sessions in which commands of other nodes run.
#include "node/link_sessions.h"

#include <algorithm>

#include "cluster/link/link.h"
#include "commands/errors.h"
#include "node/blocking.h"
#include "node/input.h"
#include "node/output.h"
#include "node/reply_shape.h"
#include "node/state.h"
#include "node/transactions.h"

namespace quorate {

namespace {

// What a session is made for; the rest is of the command alone.
constexpr uint8_t kSessionFlags = kForwardResp3 | kForwardNoTouch | kForwardMayBlock;

NumberedWrite write_of(NodeId from, const ForwardCommand& command) {
  return {.origin = from,
          .incarnation = command.incarnation,
          .number = command.may_block() ? command.number : command.write_number,
          .lowest_wanted = command.lowest_wanted};
}

// To be sent back once it says what became of the command.
ForwardAnswer answer_to(const ForwardCommand& command) {
  return {.partition = command.partition, .number = command.number, .unit_count = command.unit_count, .attempt = command.attempt};
}

// CLIENT UNBLOCK at its client's node.
Unblocked how_unblocked(CancelReason reason) { return reason == CancelReason::kAsError ? Unblocked::kByError : Unblocked::kByTimeout; }

}  // namespace

LinkSessions::~LinkSessions() = default;

void LinkSessions::take(NodeId from, const ForwardCommand& command) {
  const LaneKey key{from, command.partition};
  Lane& lane = lanes_[key];
  note_busy(key, lane);
  Arrived& arrived = lane.arrived.emplace_back();
  arrived.command = command;
  arrived.command.requests = arrived.command.watched = {};
  arrived.requests = command.requests;
  arrived.watched = command.watched;
}

// Null: it has been answered.
LinkSessions::Link* LinkSessions::link_of_wait(NodeId from, uint32_t partition, uint64_t number) {
  const auto found =
      links_.lower_bound(Key{.origin = from, .partition = partition, .only_command = number});
  if (found == links_.end()) return nullptr;
  const Key& key = found->first;
  return key.origin == from && key.partition == partition && key.only_command == number
             ? found->second.get()
             : nullptr;
}

void LinkSessions::unblock_wait(NodeId from, const ForwardCancel& cancel) {
  if (const auto lane = lanes_.find({from, cancel.partition}); lane != lanes_.end()) {
    for (Arrived& arrived : lane->second.arrived) {
      if (arrived.command.number == cancel.number) arrived.unblocked = cancel.reason;
    }
  }
  const Link* const link = link_of_wait(from, cancel.partition, cancel.number);
  if (link != nullptr) unblock_if_waiting(node_, *link->session, how_unblocked(cancel.reason));
}

void LinkSessions::cancel(NodeId from, const ForwardCancel& cancel) {
  if (cancel.reason != CancelReason::kGone) return unblock_wait(from, cancel);
  const auto lane = lanes_.find({from, cancel.partition});
  if (lane != lanes_.end()) {
    std::erase_if(lane->second.arrived,
                  [&](const Arrived& arrived) { return arrived.command.number == cancel.number; });
  }
  if (peers_.serves(cancel.partition)) peers_.rows(cancel.partition).drop_wait(from, cancel.number);
  if (Link* const link = link_of_wait(from, cancel.partition, cancel.number)) end(*link);
}

void LinkSessions::on_link_down(NodeId from) {
  for (auto at = lanes_.lower_bound({from, 0}); at != lanes_.end() && at->first.first == from;) {
    at = lanes_.erase(at);
  }
  std::erase_if(busy_, [&](const LaneKey& key) { return key.first == from; });
  for (auto at = links_.lower_bound(Key{.origin = from}); at != links_.end() && at->first.origin == from; ++at) {
    end(*at->second);
  }
}

void LinkSessions::on_stop_serving(uint32_t partition) {
  for (const auto& [key, link] : links_) {
    if (key.partition == partition) close_session(node_, *link->session, CloseWhen::kNow);
  }
}

// Nobody waits for its answers.
void LinkSessions::end(Link& link) {
  count_no_more(link);
  link.asked.clear();
  link.ran = 0;
  close_session(node_, *link.session, CloseWhen::kNow);
}

void LinkSessions::count_no_more(Link& link) {
  if (!std::exchange(link.is_shared, false)) return;
  const auto lane = lanes_.find({link.key.origin, link.key.partition});
  if (lane != lanes_.end()) --lane->second.shared;
}

LinkSessions::Key LinkSessions::key_of(NodeId from, const ForwardCommand& command) {
  return {.origin = from,
          .partition = command.partition,
          .only_command = command.may_block() ? command.number : 0,
          .database = command.database,
          .flags = static_cast<uint8_t>(command.flags & kSessionFlags),
          .write_level = number_of(command.levels.write),
          .read_level = number_of(command.levels.read)};
}

// For one more session that several commands may use.  The idle ones end if there is none.
bool LinkSessions::has_room(const LaneKey& key, Lane& lane) {
  if (lane.shared < kSharedMax) [[likely]]
    return true;
  for (auto at = links_.lower_bound(Key{.origin = key.first, .partition = key.second}); at != links_.end(); ++at) {
    Link& link = *at->second;
    if (link.key.origin != key.first || link.key.partition != key.second ||
        link.key.only_command != 0)
      break;
    if (!link.is_shared || !link.asked.empty()) continue;
    end(link);
  }
  return lane.shared < kSharedMax;
}

// Null: the session is being closed, or there are too many.
LinkSessions::Link* LinkSessions::link_for(NodeId from, const ForwardCommand& command) {
  const Key key = key_of(from, command);
  if (const auto found = links_.find(key); found != links_.end()) {
    Link* const known = found->second.get();
    return known->session->has(kClosing | kCloseAfterReply) ? nullptr : known;
  }
  const LaneKey lane_key{from, command.partition};
  Lane& lane = lanes_[lane_key];
  const bool is_shared = key.only_command == 0;
  if (is_shared && !has_room(lane_key, lane)) return nullptr;
  std::unique_ptr<Link>& link = links_[key];
  link = std::make_unique<Link>();
  link->key = key;
  link->is_shared = is_shared;
  if (is_shared) ++lane.shared;
  PeerInfo peer;
  peer.connection = link.get();
  peer.address = "forwarded";
  Session* const session = node_.sessions.add_link(std::move(peer));
  session->driver = this;
  session->set(kForwarded);
  session->link_partition = command.partition;
  session->set_levels(command.levels);
  session->created_us = session->active_us = node_.now.steady_us;
  session->database = static_cast<int>(command.database);
  if (command.flags & kForwardResp3) session->protocol = Protocol::kResp3;
  if (command.flags & kForwardNoTouch) session->set(kNoTouch);
  link->session = session;
  return link.get();
}

void LinkSessions::refuse(NodeId from, Lane& lane, const ForwardCommand& command) {
  lane.refused_attempt = std::max(lane.refused_attempt, command.attempt);
  say(from, answer_to(command), ForwardOutcome::kNotRun);
}

void LinkSessions::say(NodeId to, ForwardAnswer answer, ForwardOutcome outcome, std::string_view reply) {
  answer.outcome = outcome;
  answer.reply = reply;
  answer_(to, answer);
}

// ---- running ------------------------------------------------------------------------------------------------

void LinkSessions::run() {
  // What is answered to this node itself may bring more.
  for (const LaneKey& key : std::exchange(busy_, {})) {
    Lane& lane = lanes_.at(key);
    lane.is_busy = false;
    run_lane(key, lane);
    if (!lane.arrived.empty()) note_busy(key, lane);
  }
}

void LinkSessions::note_busy(const LaneKey& key, Lane& lane) {
  if (std::exchange(lane.is_busy, true)) return;
  busy_.push_back(key);
}

void LinkSessions::run_lane(const LaneKey& key, Lane& lane) {
  Batch batch;
  while (!lane.arrived.empty()) {
    const ForwardCommand& command = lane.arrived.front().command;
    if (batch.link != nullptr && !joins(key, lane, command, batch)) run_batch(lane, batch);
    if (lane.stalled != nullptr && lane.stalled->has_more_to_run()) return;
    lane.stalled = nullptr;
    take_next(key, lane, batch);
  }
  run_batch(lane, batch);
}

// It runs in the same session and follows what the batch holds.
bool LinkSessions::joins(const LaneKey& key, const Lane& lane, const ForwardCommand& command, const Batch& batch) const {
  if (command.attempt <= lane.refused_attempt || key_of(key.first, command) != batch.link->key) return false;
  if (command.watches() || command.goes_by_watched()) return false;
  if (!command.writes()) return command.write_number == 0;
  if (batch.last_write != 0) {
    return command.write_number == batch.last_write + 1 && command.incarnation == batch.incarnation;
  }
  return peers_.rows(key.second).place_of(write_of(key.first, command)) == OriginRows::Place::kNext;
}

void LinkSessions::run_batch(Lane& lane, Batch& batch) {
  Link* const link = std::exchange(batch.link, nullptr);
  batch.last_write = 0;
  if (link == nullptr) return;
  lane.stalled = link;
  const std::string requests = std::exchange(batch.requests, {});
  take_input(node_, *link->session, requests);
  if (link->session->has(kBlocked)) shorten_wait(node_, *link->session, static_cast<int64_t>(batch.waited_ms));
  if (batch.unblocked) unblock_if_waiting(node_, *link->session, how_unblocked(*batch.unblocked));
}

void LinkSessions::take_next(const LaneKey& key, Lane& lane, Batch& batch) {
  Arrived arrived = std::move(lane.arrived.front());
  lane.arrived.pop_front();
  const ForwardCommand& command = arrived.command;
  if (command.attempt <= lane.refused_attempt || !peers_.serves(command.partition)) {
    return refuse(key.first, lane, command);
  }
  if (command.watches()) return answer_watch(key.first, command, arrived.requests);
  const OriginRows& rows = peers_.rows(command.partition);
  if (command.may_block()) {
    // Its sender thought another to lead meanwhile.
    if (const auto waits = links_.find(key_of(key.first, command)); waits != links_.end() && !waits->second->asked.empty()) {
      waits->second->asked.front().answer.attempt = command.attempt;
      if (arrived.unblocked) unblock_if_waiting(node_, *waits->second->session, how_unblocked(*arrived.unblocked));
      return;
    }
    switch (rows.place_of_wait(write_of(key.first, command))) {
      case OriginRows::Place::kNext:
      case OriginRows::Place::kTooEarly:
        return add_to_batch(key, lane, batch, arrived);
      case OriginRows::Place::kBehind:
      case OriginRows::Place::kOutdated:
        return answer_again(key.first, command);
    }
  }
  if (batch.link != nullptr || command.write_number == 0) return add_to_batch(key, lane, batch, arrived);
  if (!command.writes()) {
    if (rows.last(key.first, command.incarnation) < command.write_number) return add_to_batch(key, lane, batch, arrived);
    Buffer reply;
    Reply(reply, Protocol::kResp2).error(error_line(errors::read_was_overtaken(command.partition)));
    return say(key.first, answer_to(command), ForwardOutcome::kReply, reply.view());
  }
  switch (node_.mistakes.runs_numbers_again ? OriginRows::Place::kNext : rows.place_of(write_of(key.first, command))) {
    case OriginRows::Place::kNext:
      return add_to_batch(key, lane, batch, arrived);
    case OriginRows::Place::kBehind:
      if (command.unit_count == 1) return answer_again(key.first, command);
      answer_again(key.first, take_first_unit(arrived).command);
      lane.arrived.push_front(std::move(arrived));
      return;
    case OriginRows::Place::kTooEarly:
      return refuse(key.first, lane, command);
    case OriginRows::Place::kOutdated:
      return;
  }
}

// The others are left.
LinkSessions::Arrived LinkSessions::take_first_unit(Arrived& arrived) {
  Arrived first{.command = arrived.command, .requests = arrived.requests.substr(0, value_size(arrived.requests)), .watched = {}};
  first.command.unit_count = 1;
  arrived.requests.erase(0, first.requests.size());
  --arrived.command.unit_count;
  ++arrived.command.number;
  ++arrived.command.write_number;
  return first;
}

void LinkSessions::add_to_batch(const LaneKey& key, Lane& lane, Batch& batch, Arrived& arrived) {
  const ForwardCommand& command = arrived.command;
  Link* const link = link_for(key.first, command);
  if (link == nullptr) return refuse(key.first, lane, command);
  CHECK(batch.link == nullptr || batch.link == link);
  batch.link = link;
  if (batch.requests.empty()) {
    batch.requests = std::move(arrived.requests);
  } else {
    batch.requests += arrived.requests;
  }
  if (command.goes_by_watched()) watch_as_elsewhere(node_, *link->session, arrived.watched);
  if (command.writes()) {
    batch.last_write = command.write_number + command.unit_count - 1;
    batch.incarnation = command.incarnation;
  }
  link->asked.push_back({.answer = answer_to(command),
                         .units = command.unit_count,
                         .units_to_run = command.unit_count,
                         .requests_each = command.request_count,
                         .requests_left = command.request_count,
                         .replies_left = command.request_count,
                         .is_again = command.is_again(),
                         .write = command.writes() || command.may_block() ? write_of(key.first, command) : NumberedWrite()});
  batch.waited_ms = command.waited_ms;
  batch.unblocked = arrived.unblocked;
}

// It has been run already.  Its reply leaves once what it speaks of is committed, and this node still leads.
void LinkSessions::answer_again(NodeId from, const ForwardCommand& command) {
  const OriginRows& rows = peers_.rows(command.partition);
  const NumberedWrite write = write_of(from, command);
  const auto reply = command.may_block() ? rows.reply_of_wait(write) : rows.reply_of(write);
  Link* const link = reply ? link_for(from, command) : nullptr;
  if (link == nullptr) {
    return say(from, answer_to(command), reply ? ForwardOutcome::kUnknown : ForwardOutcome::kNotKept);
  }
  CHECK(link->ran == link->asked.size());
  link->asked.push_back({.answer = answer_to(command), .units = 1});
  ++link->ran;
  Session& session = *link->session;
  bind_needs(node_, session);
  node_.buffers.lend(session.out);
  session.out.append(*reply);
  peers_.await_partition(session, command.partition);
  bind_needs(node_, session);
  queue_flush(node_, session);
}

// It tells nothing of the data: EXEC finds out whether what was seen here has lasted.
void LinkSessions::answer_watch(NodeId from, const ForwardCommand& command, std::string_view keys) {
  Buffer reply;
  Reply(reply, Protocol::kResp2).bulk(see_keys(node_, command.partition, static_cast<int>(command.database), keys));
  const LogPlace place = peers_.place_of(command.partition);
  answer_(from, {.partition = command.partition,
                 .number = command.number,
                 .attempt = command.attempt,
                 .outcome = ForwardOutcome::kReply,
                 .term = place.term,
                 .index = place.index,
                 .reply = reply.view()});
}

void LinkSessions::note_reply(Session& session, std::string_view reply) {
  Link& link = *static_cast<Link*>(session.peer.connection);
  if (link.ran == link.asked.size()) return;  // more was said than was asked
  Asked& asked = link.asked[link.ran];
  if (--asked.requests_left != 0) return;
  asked.requests_left = asked.requests_each;
  // A refusal says that nothing was done, which a leader that others have left behind cannot know.
  if (asked.is_again && peers_.serves(link.key.partition)) peers_.await_read(session, link.key.partition);
  // A transaction may have chosen another one, which is for the client's own session to keep.
  session.database = static_cast<int>(link.key.database);
  if (--asked.units_to_run == 0) ++link.ran;
  if (asked.write.number == 0) return;
  NumberedWrite write = asked.write;
  ++asked.write.number;
  OriginRows& rows = peers_.rows(link.key.partition);
  if (link.key.only_command != 0) return rows.note_wait(write, reply);
  if (node_.mistakes.runs_numbers_again && rows.place_of(write) != OriginRows::Place::kNext) return;
  rows.note(write, reply);
}

// ---- what they say ------------------------------------------------------------------------------------------

void LinkSessions::answer_next(Link& link, Saying& saying, std::string_view reply) {
  if (link.asked.empty()) return;  // more was said than was asked: the requests were not what they should be
  Asked& asked = link.asked.front();
  if (--asked.replies_left != 0) return say(link, saying);
  ForwardAnswer answer = asked.answer;
  answer.unit_count = 1;
  answer.reply = reply;
  asked.replies_left = asked.requests_each;
  ++asked.answer.number;
  // Whose time was over has not run.
  if (asked.units_to_run == asked.units) {
    --asked.units_to_run;
    asked.requests_left = asked.requests_each;
    if (asked.write.number != 0) ++asked.write.number;
  }
  if (--asked.units == 0) {
    link.asked.pop_front();
    if (link.ran != 0) --link.ran;
  }
  const ForwardAnswer& said = saying.answer;
  const bool goes_on = saying.units != 0 && saying.units < ForwardCommand::kUnitsMax && said.number + saying.units == answer.number &&
                       said.attempt == answer.attempt && said.reply.data() + said.reply.size() == reply.data() &&
                       said.reply.size() + reply.size() <= kMessageBytesMax;
  if (goes_on) {
    ++saying.units;
    saying.answer.reply = {said.reply.data(), said.reply.size() + reply.size()};
    return;
  }
  say(link, saying);
  Buffer instead;
  saying = {.answer = answer, .units = 1};
  if (reply.size() <= quorate::Link::kMessageMax / 2) return;
  Reply(instead, link.session->protocol).error(error_line(errors::forwarded_reply_too_large()));
  saying.answer.reply = instead.view();
  say(link, saying);
}

// What is left of it is nothing.
void LinkSessions::say(Link& link, Saying& saying) {
  if (saying.units == 0) return;
  ForwardAnswer answer = saying.answer;
  answer.unit_count = std::exchange(saying.units, 0);
  const LogPlace place = peers_.place_of(link.key.partition);
  answer.term = place.term;
  answer.index = place.index;
  say(link.key.origin, answer, ForwardOutcome::kReply, answer.reply);
}

size_t LinkSessions::send(void* connection, std::string_view bytes) {
  Link& link = *static_cast<Link*>(connection);
  Saying saying;
  take_values(link.said, bytes, [&](std::string_view reply) { answer_next(link, saying, reply); }, [&] { say(link, saying); });
  if (link.key.only_command != 0 && link.asked.empty()) end(link);
  return bytes.size();
}

void LinkSessions::close(void* connection, CloseMode) {
  Link& link = *static_cast<Link*>(connection);
  const auto lane = lanes_.find({link.key.origin, link.key.partition});
  for (size_t index = 0; index < link.asked.size(); ++index) {
    const Asked& asked = link.asked[index];
    ForwardAnswer answer = asked.answer;
    const uint32_t not_run = link.key.only_command != 0 ? 0 : asked.units_to_run;
    answer.unit_count = asked.units - not_run;
    if (answer.unit_count != 0) say(link.key.origin, answer, ForwardOutcome::kUnknown);
    if (not_run == 0) continue;
    // What its sender has sent behind one that was not run must not run either.
    if (lane != lanes_.end()) {
      lane->second.refused_attempt = std::max(lane->second.refused_attempt, answer.attempt);
    }
    answer.number += answer.unit_count;
    answer.unit_count = not_run;
    say(link.key.origin, answer, ForwardOutcome::kNotRun);
  }
  if (lane != lanes_.end() && lane->second.stalled == &link) lane->second.stalled = nullptr;
  count_no_more(link);
  const Key key = link.key;
  links_.erase(key);
}

}  // namespace quorate

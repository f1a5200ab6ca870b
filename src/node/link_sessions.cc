// Sessions in which commands of other nodes run.
#include "node/link_sessions.h"

#include <algorithm>

#include "cluster/link/link.h"
#include "commands/errors.h"
#include "node/input.h"
#include "node/output.h"
#include "node/reply_shape.h"
#include "node/state.h"

namespace quorate {

LinkSessions::~LinkSessions() = default;

void LinkSessions::take(NodeId from, const ForwardCommand& command) {
  Arrived& arrived = arrived_.emplace_back();
  arrived.from = from;
  arrived.command = command;
  arrived.command.requests = {};
  arrived.requests = command.requests;
}

void LinkSessions::cancel(NodeId from, const ForwardCancel& cancel) {
  std::erase_if(arrived_, [&](const Arrived& arrived) {
    return arrived.from == from && arrived.command.number == cancel.number;
  });
  const Key first{.origin = from, .partition = cancel.partition};
  for (auto at = links_.lower_bound(first); at != links_.end(); ++at) {
    Link& link = *at->second;
    if (link.key.origin != from || link.key.partition != cancel.partition) return;
    if (link.key.only_command != cancel.number) continue;
    end(link);
    return;
  }
}

void LinkSessions::on_link_down(NodeId from) {
  std::erase_if(arrived_, [&](const Arrived& arrived) { return arrived.from == from; });
  for (auto at = refused_.lower_bound({from, 0}); at != refused_.end() && at->first.first == from;) {
    at = refused_.erase(at);
  }
  for (auto at = links_.lower_bound(Key{.origin = from}); at != links_.end() && at->first.origin == from; ++at) {
    end(*at->second);
  }
}

// Nobody waits for its answers.
void LinkSessions::end(Link& link) {
  link.asked.clear();
  close_session(node_, *link.session, CloseWhen::kNow);
}

// Null: the session is being closed.
LinkSessions::Link* LinkSessions::link_for(NodeId from, const ForwardCommand& command) {
  const bool may_block = (command.flags & kForwardMayBlock) != 0;
  const Key key{.origin = from,
                .partition = command.partition,
                .database = command.database,
                .flags = command.flags,
                .write_level = number_of(command.levels.write),
                .read_level = number_of(command.levels.read),
                .only_command = may_block ? command.number : 0};
  std::unique_ptr<Link>& link = links_[key];
  if (link != nullptr) return link->session->has(kClosing | kCloseAfterReply) ? nullptr : link.get();
  link = std::make_unique<Link>();
  link->key = key;
  PeerInfo peer;
  peer.connection = link.get();
  peer.address = "forwarded";
  Session* const session = node_.sessions.add_link(std::move(peer));
  session->driver = this;
  session->link_partition = command.partition;
  session->set_levels(command.levels);
  session->created_us = session->active_us = node_.now.steady_us;
  session->database = static_cast<int>(command.database);
  if (command.flags & kForwardResp3) session->protocol = Protocol::kResp3;
  if (command.flags & kForwardNoTouch) session->set(kNoTouch);
  link->session = session;
  return link.get();
}

void LinkSessions::refuse(const Arrived& arrived) {
  const ForwardCommand& command = arrived.command;
  uint64_t& refused = refused_[{arrived.from, command.partition}];
  refused = std::max(refused, command.attempt);
  answer_(arrived.from, {.partition = command.partition,
                         .number = command.number,
                         .attempt = command.attempt,
                         .outcome = ForwardOutcome::kNotRun});
}

void LinkSessions::run() {
  Link* running = nullptr;
  const auto run_arrived = [&] {
    if (running == nullptr) return;
    const Buffer requests = std::exchange(running->arrived, {});
    take_input(node_, *running->session, requests.view());
  };
  while (!arrived_.empty()) {
    const Arrived arrived = std::move(arrived_.front());
    arrived_.pop_front();
    const ForwardCommand& command = arrived.command;
    const auto refused = refused_.find({arrived.from, command.partition});
    const bool is_refused = refused != refused_.end() && command.attempt <= refused->second;
    Link* const link =
        is_refused || !peers_.serves(command.partition) ? nullptr : link_for(arrived.from, command);
    if (link == nullptr) {
      refuse(arrived);
      continue;
    }
    link->asked.push_back(
        {.number = command.number, .attempt = command.attempt, .replies_left = command.request_count});
    // A client that changes its protocol, database or level goes on in another session, and still in its order.
    if (link != running) {
      run_arrived();
      running = link;
    }
    link->arrived.append(arrived.requests);
  }
  run_arrived();
}

// ---- what they say ------------------------------------------------------------------------------------------

void LinkSessions::answer_next(Link& link, std::string_view reply) {
  if (link.asked.empty()) return;  // more was said than was asked: the requests were not what they should be
  Asked& asked = link.asked.front();
  if (--asked.replies_left != 0) return;
  const Asked answered = asked;
  link.asked.pop_front();
  Buffer instead;
  if (reply.size() > quorate::Link::kMessageMax / 2) {
    Reply(instead, link.session->protocol).error(error_line(errors::forwarded_reply_too_large()));
    reply = instead.view();
  }
  answer_(link.key.origin, {.partition = link.key.partition,
                            .number = answered.number,
                            .attempt = answered.attempt,
                            .outcome = ForwardOutcome::kReply,
                            .reply = reply});
  if (link.key.only_command != 0) end(link);
}

size_t LinkSessions::send(void* connection, std::string_view bytes) {
  Link& link = *static_cast<Link*>(connection);
  link.said.append(bytes);
  const std::string_view said = link.said.view();
  size_t done = 0;
  while (const size_t size = value_size(said.substr(done))) {
    answer_next(link, said.substr(done, size));
    done += size;
  }
  link.said.drop_front(done);
  return bytes.size();
}

void LinkSessions::close(void* connection, CloseMode) {
  const Link& link = *static_cast<Link*>(connection);
  for (const Asked& asked : link.asked) {
    answer_(link.key.origin, {.partition = link.key.partition,
                              .number = asked.number,
                              .attempt = asked.attempt,
                              .outcome = ForwardOutcome::kUnknown});
  }
  const Key key = link.key;
  links_.erase(key);
}

}  // namespace quorate

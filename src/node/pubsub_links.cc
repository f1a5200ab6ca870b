// Telling who listens, sending what is published.
#include "node/pubsub_links.h"

#include <algorithm>

#include "node/execute.h"
#include "node/output.h"
#include "node/publish.h"
#include "node/reply_shape.h"
#include "node/state.h"
#include "resp/reply.h"
#include "util/check.h"
#include "util/glob.h"

namespace quorate {

namespace {

constexpr Topic kEveryTopic[] = {Topic::kChannel, Topic::kPattern, Topic::kShardChannel};
constexpr size_t index_of(Topic topic) { return static_cast<size_t>(topic); }

size_t sessions_here(const NodeState& node, Topic topic, std::string_view name) {
  const std::vector<Session*>* const sessions = sessions_of(node, topic).find(name);
  return sessions == nullptr ? 0 : sessions->size();
}

}  // namespace

PubsubLinks::~PubsubLinks() = default;

// ---- clients -------------------------------------------------------------------------------------------------

void PubsubLinks::note_change(Topic topic, std::string_view name) { changed_.emplace(topic, name); }

uint64_t PubsubLinks::interest_known_by_all() const {
  uint64_t known = UINT64_MAX;
  for (const auto& [id, peer] : others_) {
    if (peer.is_up) known = std::min(known, peer.interest_known);
  }
  return known;
}

void PubsubLinks::confirm(Session& session, std::string_view confirmations) {
  const uint64_t interest = changed_.empty() ? interest_ : interest_ + 1;
  if (interest_known_by_all() >= interest) return push_bytes(node_, session, confirmations);
  unconfirmed_.push_back({.session = session.id,
                          .gap = open_gap(node_, session),
                          .confirmations = std::string(confirmations),
                          .interest = interest,
                          .until_us = node_.now.steady_us + kConfirmUs});
}

void PubsubLinks::confirm_who_is_known() {
  if (unconfirmed_.empty()) return;
  const uint64_t known = interest_known_by_all();
  while (!unconfirmed_.empty()) {
    const Unconfirmed& first = unconfirmed_.front();
    if (first.interest > known && node_.now.steady_us < first.until_us) return;
    fill_gap(node_, first.session, first.gap, first.confirmations);
    unconfirmed_.pop_front();
  }
}

size_t PubsubLinks::listening(const Peer& peer, Topic topic, std::string_view channel) {
  size_t count = 0;
  const Counts& exact = peer.sessions[index_of(topic)];
  if (const auto found = exact.find(channel); found != exact.end()) count += found->second;
  if (topic != Topic::kChannel) return count;
  for (const auto& [pattern, sessions] : peer.sessions[index_of(Topic::kPattern)]) {
    if (glob_match(pattern, channel)) count += sessions;
  }
  return count;
}

size_t PubsubLinks::publish(Topic topic, std::string_view channel, std::string_view text, Leaves leaves) {
  const bool is_delayed = node_.mistakes.some_messages_wait && !text.empty() && text.back() % 2 == 0;
  size_t receivers = 0;
  std::string message;
  for (Other& other : others_) {
    const size_t there = listening(other.second, topic, channel);
    if (there == 0) continue;
    if (message.empty()) message = encode(PubsubMessage{.topic = topic, .channel = channel, .text = text});
    receivers += there;
    if (leaves == Leaves::kNow && !is_delayed) {
      send_message(other.first, other.second, message);
    } else {
      hold_message(other, message);
    }
  }
  return receivers;
}

void PubsubLinks::send_message(NodeId to, Peer& peer, std::string_view message) {
  if (!peer.is_up) return;
  const uint64_t on_its_way = peer.bytes_sent - peer.bytes_received;
  const bool is_too_much = message.size() > Link::kMessageMax || (on_its_way != 0 && on_its_way + message.size() > kUnreceivedMax);
  if (is_too_much || !peers_.send_pubsub(to, static_cast<uint64_t>(PubsubKind::kMessage), message)) {
    ++dropped_;
    return;
  }
  peer.bytes_sent += message.size();
}

// It waits as the reply of a session would, and becomes an error if it is lost.
void PubsubLinks::hold_message(Other& other, std::string_view message) {
  Peer& peer = other.second;
  if (peer.held == nullptr) {
    PeerInfo info;
    info.connection = &other;
    info.address = "pubsub";
    peer.held = node_.sessions.add_link(std::move(info));
    peer.held->driver = this;
  }
  if (peer.held->pending_output() > kUnreceivedMax) {
    ++dropped_;
    return;
  }
  Buffer bytes;
  Reply(bytes, Protocol::kResp2).bulk(message);
  push_bytes(node_, *peer.held, bytes.view());
  await_all_writes(node_, *peer.held);
}

size_t PubsubLinks::send(void* connection, std::string_view bytes) {
  auto& [id, peer] = *static_cast<Other*>(connection);
  take_values(peer.said, bytes, [&](std::string_view value) {
    if (value.starts_with('$')) send_message(id, peer, text_of_bulk(value));
  });
  return bytes.size();
}

void PubsubLinks::close(void* connection, CloseMode) {
  static_cast<Other*>(connection)->second.held = nullptr;
}

// ---- what is known of the others -------------------------------------------------------------------------------

size_t PubsubLinks::count(Topic topic, std::string_view name) const {
  size_t sum = 0;
  for (const auto& [id, peer] : others_) {
    const Counts& counts = peer.sessions[index_of(topic)];
    if (const auto found = counts.find(name); found != counts.end()) sum += found->second;
  }
  return sum;
}

void PubsubLinks::add_names(Topic topic, std::set<std::string, std::less<>>& names) const {
  for (const auto& [id, peer] : others_) {
    for (const auto& [name, sessions] : peer.sessions[index_of(topic)]) names.insert(name);
  }
}

// ---- what happens elsewhere --------------------------------------------------------------------------------------

// In messages of a bounded size; the number stands in the last.
void PubsubLinks::tell_interest(NodeId to, PubsubInterest interest) {
  PubsubInterest part{.is_whole = interest.is_whole, .number = 0, .entries = {}};
  size_t size = 0;
  const auto tell = [&] {
    peers_.send_pubsub(to, static_cast<uint64_t>(PubsubKind::kInterest), encode(part));
    part.is_whole = false;
    part.entries.clear();
    size = 0;
  };
  for (const PubsubInterest::Entry& entry : interest.entries) {
    // Taken while there were no others.
    if (!takes_name(entry.name)) continue;
    part.entries.push_back(entry);
    size += entry.name.size() + sizeof(entry);
    if (size > kInterestBytesMax) tell();
  }
  part.number = interest.number;
  tell();
}

void PubsubLinks::tell_all(NodeId to) {
  PubsubInterest interest{.is_whole = true, .number = interest_, .entries = {}};
  for (const Topic topic : kEveryTopic) {
    for (const std::string_view name : sessions_of(node_, topic).names()) {
      interest.entries.push_back({.topic = topic, .name = name, .sessions = sessions_here(node_, topic, name)});
    }
  }
  tell_interest(to, std::move(interest));
}

void PubsubLinks::on_link_up(NodeId node) {
  Peer& peer = others_[node];
  for (Counts& counts : peer.sessions) counts.clear();
  peer.interest_known = peer.interest_taken = 0;
  peer.bytes_sent = peer.bytes_received = peer.bytes_taken = 0;
  peer.is_owed_receipt = false;
  peer.is_up = true;
  tell_all(node);
}

void PubsubLinks::on_link_down(NodeId node) {
  Peer& peer = others_[node];
  peer.is_up = false;
  for (Counts& counts : peer.sessions) counts.clear();
  confirm_who_is_known();
}

void PubsubLinks::take_interest(Peer& peer, const PubsubInterest& interest) {
  if (interest.is_whole) {
    for (Counts& counts : peer.sessions) counts.clear();
  }
  for (const PubsubInterest::Entry& entry : interest.entries) {
    Counts& counts = peer.sessions[index_of(entry.topic)];
    if (entry.sessions == 0) {
      if (const auto found = counts.find(entry.name); found != counts.end()) counts.erase(found);
    } else {
      counts[std::string(entry.name)] = entry.sessions;
    }
  }
  peer.interest_taken = std::max(peer.interest_taken, interest.number);
  peer.is_owed_receipt = true;
}

Status PubsubLinks::receive(NodeId from, uint64_t kind, std::string_view bytes) {
  Peer& peer = others_[from];
  switch (static_cast<PubsubKind>(kind)) {
    case PubsubKind::kMessage: {
      TRY(const PubsubMessage message, decode_pubsub_message(bytes));
      deliver(node_, message.topic, message.channel, message.text);
      peer.bytes_taken += bytes.size();
      peer.is_owed_receipt = true;
      return done();
    }
    case PubsubKind::kInterest: {
      TRY(const PubsubInterest interest, decode_pubsub_interest(bytes));
      take_interest(peer, interest);
      return done();
    }
    case PubsubKind::kReceipt: {
      TRY(const PubsubReceipt receipt, decode_pubsub_receipt(bytes));
      if (receipt.interest > interest_ || receipt.message_bytes > peer.bytes_sent) {
        return Error(ErrorCode::kCorrupt, "pub/sub: a receipt for what was not sent");
      }
      peer.interest_known = std::max(peer.interest_known, receipt.interest);
      peer.bytes_received = std::max(peer.bytes_received, receipt.message_bytes);
      confirm_who_is_known();
      return done();
    }
  }
  return Error(ErrorCode::kCorrupt, "pub/sub: a message of unknown kind");
}

void PubsubLinks::end_turn() {
  PubsubInterest interest;
  if (!changed_.empty()) {
    interest.number = ++interest_;
    for (const auto& [topic, name] : changed_) {
      interest.entries.push_back({.topic = topic, .name = name, .sessions = sessions_here(node_, topic, name)});
    }
  }
  for (auto& [id, peer] : others_) {
    if (!peer.is_up) continue;
    if (!interest.entries.empty()) tell_interest(id, interest);
    if (!std::exchange(peer.is_owed_receipt, false)) continue;
    const PubsubReceipt receipt{.interest = peer.interest_taken, .message_bytes = peer.bytes_taken};
    peers_.send_pubsub(id, static_cast<uint64_t>(PubsubKind::kReceipt), encode(receipt));
  }
  changed_.clear();
}

void PubsubLinks::tick() { confirm_who_is_known(); }

int64_t PubsubLinks::deadline() const {
  // A session that has gone goes when its turn has ended: the next one tells.
  if (!changed_.empty()) return node_.now.steady_us;
  return unconfirmed_.empty() ? kNever : unconfirmed_.front().until_us;
}

}  // namespace quorate

// Sending to subscribers and monitors.
#include "node/publish.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "node/execute.h"
#include "node/output.h"
#include "node/pubsub_links.h"
#include "node/redact.h"
#include "util/glob.h"

namespace quorate {

namespace {

SessionMap NodeState::*map_of(Topic topic) {
  switch (topic) {
    case Topic::kChannel: return &NodeState::channels;
    case Topic::kPattern: return &NodeState::patterns;
    case Topic::kShardChannel: return &NodeState::shard_channels;
  }
  return &NodeState::channels;
}

SessionMap& subscribers_of(NodeState& node, Topic topic) { return node.*map_of(topic); }

std::set<std::string, std::less<>>& names_of(Session& session, Topic topic) {
  SessionExtras& more = session.more();
  switch (topic) {
    case Topic::kChannel: return more.channels;
    case Topic::kPattern: return more.patterns;
    case Topic::kShardChannel: return more.shard_channels;
  }
  return more.channels;
}

std::string_view verb(Topic topic, bool subscribes) {
  switch (topic) {
    case Topic::kChannel: return subscribes ? "subscribe" : "unsubscribe";
    case Topic::kPattern: return subscribes ? "psubscribe" : "punsubscribe";
    case Topic::kShardChannel: return subscribes ? "ssubscribe" : "sunsubscribe";
  }
  return {};
}

void confirm(Buffer& out, const Session& session, Topic topic, bool subscribes, const std::string_view* name) {
  Reply reply(out, session.protocol);
  reply.push(3);
  reply.bulk(verb(topic, subscribes));
  if (name != nullptr) {
    reply.bulk(*name);
  } else {
    reply.null();
  }
  const size_t count = topic == Topic::kShardChannel ? session.extras->shard_channels.size()
                                                     : session.subscription_count();
  reply.integer(static_cast<int64_t>(count));
}

void update_subscribed(Session& session) {
  if (session.all_subscription_count() != 0) {
    session.set(kSubscribed);
  } else {
    session.clear(kSubscribed);
  }
}

void end_subscription(NodeState& node, Session& session, Topic topic, std::string_view name) {
  auto& names = names_of(session, topic);
  const auto found = names.find(name);
  if (found == names.end()) return;
  subscribers_of(node, topic).remove(name, &session);
  if (node.pubsub != nullptr) node.pubsub->note_change(topic, name);
  names.erase(found);
  update_subscribed(session);
}

// A message, encoded once for each protocol that a receiver speaks.
class Message {
 public:
  Message(std::string_view kind, const std::string_view* pattern, std::string_view channel,
          std::string_view text)
      : kind_(kind), pattern_(pattern), channel_(channel), text_(text) {}

  std::string_view encoded(Protocol protocol) {
    Buffer& bytes = protocol == Protocol::kResp2 ? resp2_ : resp3_;
    if (bytes.empty()) {
      Reply reply(bytes, protocol);
      reply.push(pattern_ == nullptr ? 3 : 4);
      reply.bulk(kind_);
      if (pattern_ != nullptr) reply.bulk(*pattern_);
      reply.bulk(channel_);
      reply.bulk(text_);
    }
    return bytes.view();
  }

 private:
  const std::string_view kind_;
  const std::string_view* const pattern_;
  const std::string_view channel_;
  const std::string_view text_;
  Buffer resp2_;
  Buffer resp3_;
};

size_t send_to(NodeState& node, const std::vector<Session*>& sessions, Message& message, Tells tells) {
  for (Session* session : sessions) {
    push_bytes(node, *session, message.encoded(session->protocol));
    if (tells == Tells::kWrite) await_all_writes(node, *session);
  }
  return sessions.size();
}

// As redis-cli quotes: printable ASCII as it is, the rest escaped.
void append_quoted(std::string& line, std::string_view text) {
  line.push_back('"');
  for (const char byte : text) {
    switch (byte) {
      case '\\': line += "\\\\"; continue;
      case '"': line += "\\\""; continue;
      case '\n': line += "\\n"; continue;
      case '\r': line += "\\r"; continue;
      case '\t': line += "\\t"; continue;
      case '\a': line += "\\a"; continue;
      case '\b': line += "\\b"; continue;
      default: break;
    }
    if (byte >= 0x20 && byte < 0x7f) {
      line.push_back(byte);
      continue;
    }
    constexpr char kHex[] = "0123456789abcdef";
    const auto value = static_cast<uint8_t>(byte);
    line += "\\x";
    line.push_back(kHex[value >> 4]);
    line.push_back(kHex[value & 15]);
  }
  line.push_back('"');
}

}  // namespace

const SessionMap& sessions_of(const NodeState& node, Topic topic) { return node.*map_of(topic); }

void subscribe(NodeState& node, Session& session, Topic topic, std::span<const std::string_view> names) {
  // The replies of a transaction are one.
  const bool is_held = node.pubsub != nullptr && !node.in_transaction;
  Buffer held;
  node.buffers.lend(session.out);
  for (const std::string_view name : names) {
    if (names_of(session, topic).emplace(name).second) {
      subscribers_of(node, topic).add(name, &session);
      if (node.pubsub != nullptr) node.pubsub->note_change(topic, name);
      update_subscribed(session);
    }
    confirm(is_held ? held : session.out, session, topic, true, &name);
  }
  if (is_held) node.pubsub->confirm(session, held.view());
}

void unsubscribe(NodeState& node, Session& session, Topic topic, std::string_view name) {
  end_subscription(node, session, topic, name);
  session.more();
  node.buffers.lend(session.out);
  confirm(session.out, session, topic, false, &name);
}

void unsubscribe_each(NodeState& node, Session& session, Topic topic) {
  const auto names = names_of(session, topic);
  for (const std::string& name : names) unsubscribe(node, session, topic, name);
  node.buffers.lend(session.out);
  if (names.empty()) confirm(session.out, session, topic, false, nullptr);
}

void unsubscribe_all(NodeState& node, Session& session) {
  if (session.extras == nullptr) return;
  for (const Topic topic : {Topic::kChannel, Topic::kPattern, Topic::kShardChannel}) {
    const auto names = names_of(session, topic);
    for (const std::string& name : names) end_subscription(node, session, topic, name);
  }
}

namespace {

size_t deliver_to_channel(NodeState& node, std::string_view channel, std::string_view message, Tells tells) {
  size_t receivers = 0;
  if (const auto* sessions = node.channels.find(channel)) {
    Message plain("message", nullptr, channel, message);
    receivers += send_to(node, *sessions, plain, tells);
  }
  if (node.patterns.empty()) return receivers;
  for (const std::string_view pattern : node.patterns.names()) {
    if (!glob_match(pattern, channel)) continue;
    Message matched("pmessage", &pattern, channel, message);
    receivers += send_to(node, *node.patterns.find(pattern), matched, tells);
  }
  return receivers;
}

size_t deliver_to_shard(NodeState& node, std::string_view channel, std::string_view message) {
  const auto* sessions = node.shard_channels.find(channel);
  if (sessions == nullptr) return 0;
  Message plain("smessage", nullptr, channel, message);
  return send_to(node, *sessions, plain, Tells::kNothing);
}

}  // namespace

size_t deliver(NodeState& node, Topic topic, std::string_view channel, std::string_view message) {
  return topic == Topic::kShardChannel ? deliver_to_shard(node, channel, message)
                                       : deliver_to_channel(node, channel, message, Tells::kNothing);
}

size_t publish(NodeState& node, std::string_view channel, std::string_view message, Tells tells) {
  const size_t here = deliver_to_channel(node, channel, message, tells);
  if (node.pubsub == nullptr) return here;
  const auto leaves = tells == Tells::kWrite ? PubsubLinks::Leaves::kWhenKept : PubsubLinks::Leaves::kNow;
  return here + node.pubsub->publish(Topic::kChannel, channel, message, leaves);
}

size_t publish_to_shard(NodeState& node, std::string_view channel, std::string_view message) {
  const size_t here = deliver_to_shard(node, channel, message);
  if (node.pubsub == nullptr) return here;
  return here + node.pubsub->publish(Topic::kShardChannel, channel, message, PubsubLinks::Leaves::kNow);
}

bool is_subscription(const Command& row) {
  return row.spec->group == Group::kPubsub && row.spec->name.ends_with("subscribe");
}

void feed_monitors(NodeState& node, const Session& session, const CommandSpec& spec, Args args) {
  if ((spec.flags & (kSkipMonitor | kAdmin)) != 0) return;
  char stamp[48];
  const int size = std::snprintf(stamp, sizeof stamp, "+%lld.%06lld [%d ",
                                 static_cast<long long>(node.now.unix_ms / 1000),
                                 static_cast<long long>(node.now.unix_ms % 1000) * 1000 +
                                     static_cast<long long>(node.now.steady_us % 1000),
                                 session.database);
  std::string line(stamp, static_cast<size_t>(size));
  line += session.peer.is_unix_socket ? "unix:" + session.peer.address : session.peer.address;
  line += "]";
  for (const std::string_view arg : shown_args(spec, args)) {
    line.push_back(' ');
    append_quoted(line, arg);
  }
  line += "\r\n";
  const std::vector<Session*> monitors = node.monitors;
  for (Session* monitor : monitors) push_bytes(node, *monitor, line);
}

}  // namespace quorate

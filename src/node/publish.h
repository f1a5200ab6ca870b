// Channels, patterns, shard channels, and MONITOR: everything that sends to sessions which did not ask just now.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "node/context.h"
#include "node/state.h"
#include "node/topic.h"

namespace quorate {

// Subscribes and confirms each, in the session's output; in company once the other nodes know of it.
void subscribe(NodeState& node, Session& session, Topic topic, std::span<const std::string_view> names);
// Ends the subscription, if there is one, and confirms.
void unsubscribe(NodeState& node, Session& session, Topic topic, std::string_view name);
// All of one topic; confirms each, or once with null if there was none.
void unsubscribe_each(NodeState& node, Session& session, Topic topic);
// All of every topic, without a word.
void unsubscribe_all(NodeState& node, Session& session);

// What a message speaks of: nothing that the node knows, or a write, which must be safe before it is told.
enum class Tells : uint8_t { kNothing, kWrite };
// Sends to the subscribers of the channel and of matching patterns, at all nodes; returns how many there are.
size_t publish(NodeState& node, std::string_view channel, std::string_view message, Tells tells);
size_t publish_to_shard(NodeState& node, std::string_view channel, std::string_view message);
// To subscribers of this node, of something that was published at another.  Requires: topic is not kPattern.
size_t deliver(NodeState& node, Topic topic, std::string_view channel, std::string_view message);

// Who listens to what, of this node's clients.
const SessionMap& sessions_of(const NodeState& node, Topic topic);

// Whether the row is one of the commands that (un)subscribe: they answer with any number of messages.
bool is_subscription(const Command& row);

void feed_monitors(NodeState& node, const Session& session, const CommandSpec& spec, Args args);

}  // namespace quorate

// SUBSCRIBE and its relatives, PUBLISH, PUBSUB.
#include <set>
#include <string>

#include "commands/errors.h"
#include "commands/syntax.h"
#include "commands/table.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/followers.h"
#include "node/publish.h"
#include "node/pubsub_links.h"
#include "util/glob.h"

namespace quorate {

namespace {

Status subscribe_all_named(NodeContext& cx, Topic topic) {
  const PubsubLinks* const links = cx.node.pubsub.get();
  for (size_t index = 1; links != nullptr && index < cx.size(); ++index) {
    if (!links->takes_name(cx[index])) return errors::channel_name_too_large();
  }
  // A RESP2 connection inside EXEC could not tell messages from replies.
  subscribe(cx.node, cx.session, topic, cx.args.subspan(1));
  return done();
}

Status unsubscribe_named_or_all(NodeContext& cx, Topic topic) {
  if (cx.size() == 1) unsubscribe_each(cx.node, cx.session, topic);
  for (size_t index = 1; index < cx.size(); ++index) unsubscribe(cx.node, cx.session, topic, cx[index]);
  return done();
}

Status subscribe_channels(NodeContext& cx) { return subscribe_all_named(cx, Topic::kChannel); }
Status psubscribe(NodeContext& cx) { return subscribe_all_named(cx, Topic::kPattern); }
Status ssubscribe(NodeContext& cx) { return subscribe_all_named(cx, Topic::kShardChannel); }
Status unsubscribe_channels(NodeContext& cx) { return unsubscribe_named_or_all(cx, Topic::kChannel); }
Status punsubscribe(NodeContext& cx) { return unsubscribe_named_or_all(cx, Topic::kPattern); }
Status sunsubscribe(NodeContext& cx) { return unsubscribe_named_or_all(cx, Topic::kShardChannel); }

// They have subscribers of their own.
void tell_followers(NodeContext& cx) {
  if (cx.node.flags & kNodeFollowed) take_command(cx.node, cx.session.database, cx.args);
}

Status publish_message(NodeContext& cx) {
  cx.reply.integer(static_cast<int64_t>(publish(cx.node, cx[1], cx[2], Tells::kNothing)));
  tell_followers(cx);
  return done();
}

Status spublish(NodeContext& cx) {
  cx.reply.integer(static_cast<int64_t>(publish_to_shard(cx.node, cx[1], cx[2])));
  tell_followers(cx);
  return done();
}

// What clients of any node listen to, as far as this one knows.
std::set<std::string, std::less<>> names_everywhere(const NodeState& node, Topic topic) {
  std::set<std::string, std::less<>> names;
  for (const std::string_view name : sessions_of(node, topic).names()) names.emplace(name);
  if (node.pubsub != nullptr) node.pubsub->add_names(topic, names);
  return names;
}

Status list_channels(NodeContext& cx, Topic topic) {
  if (cx.size() > 3) return errors::subcommand_syntax("pubsub", cx[1]);
  const auto list = cx.reply.begin(Reply::Shape::kArray);
  size_t count = 0;
  for (const std::string& name : names_everywhere(cx.node, topic)) {
    if (cx.size() == 3 && !glob_match(cx[2], name)) continue;
    cx.reply.bulk(name);
    ++count;
  }
  cx.reply.end(list, count);
  return done();
}

Status count_subscribers(NodeContext& cx, Topic topic) {
  cx.reply.array((cx.size() - 2) * 2);
  for (size_t index = 2; index < cx.size(); ++index) {
    const auto* sessions = sessions_of(cx.node, topic).find(cx[index]);
    size_t count = sessions == nullptr ? 0 : sessions->size();
    if (cx.node.pubsub != nullptr) count += cx.node.pubsub->count(topic, cx[index]);
    cx.reply.bulk(cx[index]);
    cx.reply.integer(static_cast<int64_t>(count));
  }
  return done();
}

Status pubsub_channels(NodeContext& cx) { return list_channels(cx, Topic::kChannel); }
Status pubsub_shardchannels(NodeContext& cx) { return list_channels(cx, Topic::kShardChannel); }
Status pubsub_numsub(NodeContext& cx) { return count_subscribers(cx, Topic::kChannel); }
Status pubsub_shardnumsub(NodeContext& cx) { return count_subscribers(cx, Topic::kShardChannel); }

Status pubsub_numpat(NodeContext& cx) {
  cx.reply.integer(static_cast<int64_t>(names_everywhere(cx.node, Topic::kPattern).size()));
  return done();
}

Status pubsub_help(NodeContext& cx) {
  write_help(*cx.node.commands.find("pubsub")->row, cx.reply);
  return done();
}

constexpr uint32_t kListening = kPubsub | kNoScript | kLoading | kStale;
constexpr uint32_t kSending = kPubsub | kLoading | kStale | kFast | kMayReplicate;
constexpr uint32_t kAsking = kPubsub | kLoading | kStale;

constexpr CommandSpec kTable[] = {
    {.name = "psubscribe",
     .arity = -2,
     .flags = kListening,
     .syntax = "pattern [pattern ...]",
     .summary = "Receives the messages of all channels that match a pattern.",
     .complexity = "O(N) in the number of patterns",
     .since = "2.0.0",
     .group = Group::kPubsub,
     .run_on_node = psubscribe},
    {.name = "publish",
     .arity = 3,
     .flags = kSending,
     .syntax = "channel message",
     .summary = "Sends a message to a channel.",
     .complexity = "O(N+M) in the channel's subscribers and all patterns",
     .since = "2.0.0",
     .group = Group::kPubsub,
     .run_on_node = publish_message},
    {.name = "pubsub|channels",
     .arity = -2,
     .flags = kAsking,
     .syntax = "[pattern]",
     .summary = "Lists the channels that have subscribers.",
     .complexity = "O(N) in the number of channels",
     .since = "2.8.0",
     .group = Group::kPubsub,
     .run_on_node = pubsub_channels},
    {.name = "pubsub|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .since = "6.2.0",
     .group = Group::kPubsub,
     .run_on_node = pubsub_help},
    {.name = "pubsub|numpat",
     .arity = 2,
     .flags = kAsking,
     .summary = "Counts the patterns that have subscribers.",
     .complexity = "O(1)",
     .since = "2.8.0",
     .group = Group::kPubsub,
     .run_on_node = pubsub_numpat},
    {.name = "pubsub|numsub",
     .arity = -2,
     .flags = kAsking,
     .syntax = "[channel ...]",
     .summary = "Counts the subscribers of channels.",
     .complexity = "O(N) in the number of channels asked for",
     .since = "2.8.0",
     .group = Group::kPubsub,
     .run_on_node = pubsub_numsub},
    {.name = "pubsub|shardchannels",
     .arity = -2,
     .flags = kAsking,
     .syntax = "[pattern]",
     .summary = "Lists the shard channels that have subscribers.",
     .complexity = "O(N) in the number of shard channels",
     .since = "7.0.0",
     .group = Group::kPubsub,
     .run_on_node = pubsub_shardchannels},
    {.name = "pubsub|shardnumsub",
     .arity = -2,
     .flags = kAsking,
     .syntax = "[shardchannel ...]",
     .summary = "Counts the subscribers of shard channels.",
     .complexity = "O(N) in the number of channels asked for",
     .since = "7.0.0",
     .group = Group::kPubsub,
     .run_on_node = pubsub_shardnumsub},
    {.name = "punsubscribe",
     .arity = -1,
     .flags = kListening,
     .syntax = "[pattern ...]",
     .summary = "Ends subscriptions to patterns; without arguments all of them.",
     .complexity = "O(N) in the number of patterns",
     .since = "2.0.0",
     .group = Group::kPubsub,
     .run_on_node = punsubscribe},
    {.name = "spublish",
     .arity = 3,
     .flags = kSending,
     .keys = {one_key(kKeyNotKey)},
     .syntax = "shardchannel message",
     .summary = "Sends a message to a shard channel.",
     .complexity = "O(N) in the channel's subscribers",
     .since = "7.0.0",
     .group = Group::kPubsub,
     .run_on_node = spublish},
    {.name = "ssubscribe",
     .arity = -2,
     .flags = kListening,
     .keys = {key_range(kKeyNotKey, 1, -1)},
     .syntax = "shardchannel [shardchannel ...]",
     .summary = "Receives the messages of shard channels.",
     .complexity = "O(N) in the number of channels",
     .since = "7.0.0",
     .group = Group::kPubsub,
     .run_on_node = ssubscribe},
    {.name = "subscribe",
     .arity = -2,
     .flags = kListening,
     .syntax = "channel [channel ...]",
     .summary = "Receives the messages of channels.",
     .complexity = "O(N) in the number of channels",
     .since = "2.0.0",
     .group = Group::kPubsub,
     .run_on_node = subscribe_channels},
    {.name = "sunsubscribe",
     .arity = -1,
     .flags = kListening,
     .keys = {key_range(kKeyNotKey, 1, -1)},
     .syntax = "[shardchannel ...]",
     .summary = "Ends subscriptions to shard channels; without arguments all of them.",
     .complexity = "O(N) in the number of channels",
     .since = "7.0.0",
     .group = Group::kPubsub,
     .run_on_node = sunsubscribe},
    {.name = "unsubscribe",
     .arity = -1,
     .flags = kListening,
     .syntax = "[channel ...]",
     .summary = "Ends subscriptions to channels; without arguments all of them.",
     .complexity = "O(N) in the number of channels",
     .since = "2.0.0",
     .group = Group::kPubsub,
     .run_on_node = unsubscribe_channels},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> pubsub_commands() { return kTable; }

}  // namespace quorate

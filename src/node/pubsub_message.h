// What nodes say to each other about channels, version 1.
//
//   message    = u8 topic, varint channel size, channel, text
//   interest   = u8 whole (1: what was told before is forgotten), varint number, entry*
//   entry      = u8 topic, varint name size, name, varint sessions (0: nobody any more)
//   receipt    = varint interest number, varint bytes of messages taken since the connection began
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/cluster_node.h"
#include "node/topic.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

enum class PubsubKind : uint64_t {
  kMessage = ClusterNode::kFirstOfOwner + 32,
  kInterest,
  kReceipt,
};
constexpr bool is_pubsub_kind(uint64_t kind) { return is_kind(kind, PubsubKind::kMessage, PubsubKind::kReceipt); }

// Something that was published.  Topic: that of the channel, so never kPattern.
struct PubsubMessage {
  Topic topic = Topic::kChannel;
  std::string_view channel = {};
  std::string_view text = {};
};

// How many sessions of the sender listen to each of these names now.
struct PubsubInterest {
  struct Entry {
    Topic topic = Topic::kChannel;
    std::string_view name = {};
    uint64_t sessions = 0;
  };
  bool is_whole = false;   // the first of all that there is
  uint64_t number = 0;     // what stands here, and everything told before, is known by it
  std::vector<Entry> entries = {};
};

struct PubsubReceipt {
  uint64_t interest = 0;
  uint64_t message_bytes = 0;
};

std::string encode(const PubsubMessage& message);
std::string encode(const PubsubInterest& interest);
std::string encode(const PubsubReceipt& receipt);
// Views into `bytes`, which may be anything.  kCorrupt: not such a message.
Result<PubsubMessage> decode_pubsub_message(std::string_view bytes);
Result<PubsubInterest> decode_pubsub_interest(std::string_view bytes);
Result<PubsubReceipt> decode_pubsub_receipt(std::string_view bytes);

}  // namespace quorate

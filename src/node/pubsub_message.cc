// Reading and writing what is said about channels.
#include "node/pubsub_message.h"

#include "util/varint.h"

namespace quorate {

namespace {

Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "pub/sub: " + std::string(what)); }

bool take_topic(std::string_view& bytes, Topic& topic) {
  uint8_t value = 0;
  if (!take_little<uint8_t>(bytes, value) || value > static_cast<uint8_t>(Topic::kShardChannel)) return false;
  topic = static_cast<Topic>(value);
  return true;
}

std::string text_of(const Buffer& bytes) { return std::string(bytes.view()); }

}  // namespace

std::string encode(const PubsubMessage& message) {
  Buffer out;
  append_little<uint8_t>(out, static_cast<uint8_t>(message.topic));
  append_sized(out, message.channel);
  out.append(message.text);
  return text_of(out);
}

std::string encode(const PubsubInterest& interest) {
  Buffer out;
  append_little<uint8_t>(out, interest.is_whole ? 1 : 0);
  append_varint(out, interest.number);
  for (const PubsubInterest::Entry& entry : interest.entries) {
    append_little<uint8_t>(out, static_cast<uint8_t>(entry.topic));
    append_sized(out, entry.name);
    append_varint(out, entry.sessions);
  }
  return text_of(out);
}

std::string encode(const PubsubReceipt& receipt) {
  Buffer out;
  append_varint(out, receipt.interest);
  append_varint(out, receipt.message_bytes);
  return text_of(out);
}

Result<PubsubMessage> decode_pubsub_message(std::string_view bytes) {
  PubsubMessage message;
  const bool is_whole = take_topic(bytes, message.topic) && take_sized(bytes, message.channel);
  if (!is_whole || message.topic == Topic::kPattern) return damaged("a message cannot be read");
  message.text = bytes;
  return message;
}

Result<PubsubInterest> decode_pubsub_interest(std::string_view bytes) {
  PubsubInterest interest;
  uint8_t whole = 0;
  if (!take_little<uint8_t>(bytes, whole) || whole > 1 || !take_varint(bytes, interest.number)) {
    return damaged("who listens is cut off");
  }
  interest.is_whole = whole == 1;
  while (!bytes.empty()) {
    PubsubInterest::Entry& entry = interest.entries.emplace_back();
    const bool is_there = take_topic(bytes, entry.topic) && take_sized(bytes, entry.name) && take_varint(bytes, entry.sessions);
    if (!is_there) return damaged("who listens is cut off");
  }
  return interest;
}

Result<PubsubReceipt> decode_pubsub_receipt(std::string_view bytes) {
  PubsubReceipt receipt;
  const bool is_there = take_varint(bytes, receipt.interest) && take_varint(bytes, receipt.message_bytes);
  if (!is_there || !bytes.empty()) return damaged("a receipt cannot be read");
  return receipt;
}

}  // namespace quorate

// Questions and answers about how old a copy is.
#include "node/freshness.h"

#include "cluster/wire.h"

namespace quorate {

void encode(const FreshnessMessage& message, Buffer& out) {
  append_varint(out, message.partition);
  append_varint(out, message.asked_us);
  if (message.commit_index) append_varint(out, *message.commit_index);
}

Result<FreshnessMessage> decode_freshness(FreshnessKind kind, std::string_view bytes, uint32_t partitions) {
  wire::Reader reader(bytes);
  FreshnessMessage message;
  message.partition = static_cast<uint32_t>(reader.varint_at_most(uint64_t{partitions} - 1));
  message.asked_us = reader.varint_at_most(INT64_MAX);
  if (kind == FreshnessKind::kTold) message.commit_index = reader.varint();
  if (!reader.good() || !reader.rest().empty()) return Error(ErrorCode::kCorrupt, "a message about the age of a copy cannot be read");
  return message;
}

}  // namespace quorate

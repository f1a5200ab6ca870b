// Any bytes of a peer as messages about forwarded commands: they are refused, or mean the same when they are encoded again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "node/forward_message.h"
#include "node/freshness.h"
#include "node/origin_rows.h"
#include "node/session.h"
#include "node/watch_message.h"
#include "util/check.h"

namespace quorate {
namespace {

constexpr ForwardLimits kLimits{.partitions = 128, .databases = 16};

void try_command(std::string_view input) {
  const auto decoded = decode_command(input, kLimits);
  if (!decoded.ok()) return;
  const ForwardCommand& command = decoded.value();
  CHECK(command.partition < kLimits.partitions);
  CHECK(command.database < kLimits.databases);
  CHECK(!command.requests.empty());
  Buffer bytes;
  encode_head(command, bytes);
  bytes.append(command.requests);
  const auto again = decode_command(bytes.view(), kLimits);
  CHECK(again.ok());
  CHECK(again.value().number == command.number);
  CHECK(again.value().unit_count == command.unit_count);
  CHECK(command.unit_count != 0 && (command.unit_count == 1 || command.request_count == 1));
  CHECK(again.value().attempt == command.attempt);
  CHECK(again.value().request_count == command.request_count);
  CHECK(again.value().levels == command.levels);
  CHECK(again.value().flags == command.flags);
  CHECK(again.value().incarnation == command.incarnation);
  CHECK(again.value().write_number == command.write_number);
  CHECK(again.value().lowest_wanted == command.lowest_wanted);
  CHECK(again.value().waited_ms == command.waited_ms);
  if (command.writes()) CHECK(command.lowest_wanted != 0 && command.lowest_wanted <= command.write_number);
  CHECK(again.value().requests == command.requests);
  CHECK(again.value().watched == command.watched);
  // Whoever runs it counts on that.
  if (command.watches()) CHECK(decode_keys(command.requests).ok());
  if (command.goes_by_watched()) CHECK(decode_watched(command.watched, kLimits.databases).ok());
}

void try_watching(std::string_view input) {
  if (const auto keys = decode_keys(input); keys.ok()) CHECK(decode_keys(encode_keys(keys.value())).value() == keys.value());
  if (const auto seen = decode_seen(input); seen.ok()) CHECK(decode_seen(encode_seen(seen.value())).value().size() == seen.value().size());
  const auto watched = decode_watched(input, kLimits.databases);
  if (!watched.ok()) return;
  const auto again = decode_watched(encode_watched(watched.value()), kLimits.databases);
  CHECK(again.ok());
  CHECK(again.value().size() == watched.value().size());
}

void try_answer(std::string_view input) {
  const auto decoded = decode_answer(input, kLimits);
  if (!decoded.ok()) return;
  const ForwardAnswer& answer = decoded.value();
  CHECK(answer.partition < kLimits.partitions);
  Buffer bytes;
  encode_head(answer, bytes);
  bytes.append(answer.reply);
  const auto again = decode_answer(bytes.view(), kLimits);
  CHECK(again.ok());
  CHECK(again.value().number == answer.number);
  CHECK(again.value().unit_count == answer.unit_count);
  CHECK(again.value().outcome == answer.outcome);
  CHECK(again.value().term == answer.term);
  CHECK(again.value().index == answer.index);
  CHECK(again.value().reply == answer.reply);
}

void try_cancel(std::string_view input) {
  const auto decoded = decode_cancel(input, kLimits);
  if (!decoded.ok()) return;
  Buffer bytes;
  encode_head(decoded.value(), bytes);
  const auto again = decode_cancel(bytes.view(), kLimits);
  CHECK(again.ok());
  CHECK(again.value().number == decoded.value().number);
  CHECK(again.value().reason == decoded.value().reason);
}

// What an entry says of forwarded writes: refused, or known and passed on as it is.
void try_rows(std::string_view input) {
  OriginRows rows;
  if (!rows.apply(input).ok()) {
    CHECK(rows.size() == 0);
    return;
  }
  Buffer bytes;
  rows.encode(bytes);
  OriginRows again;
  CHECK(again.install(bytes.view()).ok());
  CHECK(again.size() == rows.size());
  CHECK(again.digest() == rows.digest());
  // The log may say more of the same.
  CHECK(again.apply(input).ok());
}

void try_freshness(std::string_view input) {
  for (const FreshnessKind kind : {FreshnessKind::kAsk, FreshnessKind::kTold}) {
    const auto decoded = decode_freshness(kind, input, kLimits.partitions);
    if (!decoded.ok()) continue;
    CHECK(decoded.value().partition < kLimits.partitions);
    Buffer bytes;
    encode(decoded.value(), bytes);
    const auto again = decode_freshness(kind, bytes.view(), kLimits.partitions);
    CHECK(again.ok());
    CHECK(again.value().asked_us == decoded.value().asked_us);
    CHECK(again.value().commit_index == decoded.value().commit_index);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try_command(input);
  try_answer(input);
  try_cancel(input);
  try_rows(input);
  try_watching(input);
  try_freshness(input);
  return 0;
}

}  // namespace quorate

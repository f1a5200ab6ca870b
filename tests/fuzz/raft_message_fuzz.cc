// Messages, configurations, marks, hard states and beats from bytes that may be anything: what
// decodes is the same after it was encoded and decoded again; nothing is read beyond the end.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cluster/beats.h"
#include "cluster/raft/message_codec.h"
#include "util/check.h"

namespace quorate::raft {
namespace {

// Encodes `value`, decodes and encodes it again: the same bytes.
template <class Value, class Decode>
void try_again(const Value& value, Decode decode) {
  Buffer first, second;
  encode(value, first);
  std::string_view bytes = first.view();
  auto again = decode(bytes);
  CHECK(again.ok());
  CHECK(bytes.empty());
  encode(again.value(), second);
  CHECK(first.view() == second.view());
}

void try_message(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t size = bytes.size();
    const auto message = decode_message(bytes);
    if (!message.ok()) {
      CHECK(bytes.size() == size);
      return;
    }
    CHECK(bytes.size() < size);
    try_again(message.value(), [](std::string_view& in) { return decode_message(in); });
  }
}

void try_others(std::string_view bytes) {
  if (const auto configuration = decode_configuration(bytes); configuration.ok()) {
    CHECK(validate(configuration.value()).ok());
    const SharedBytes again = encode_configuration(configuration.value());
    CHECK(decode_configuration(again.view()).value() == configuration.value());
  }
  std::string_view rest = bytes;
  if (const auto mark = decode_snapshot_mark(rest); mark.ok()) {
    try_again(mark.value(), [](std::string_view& in) { return decode_snapshot_mark(in); });
  }
  rest = bytes;
  if (const auto state = decode_hard_state(rest); state.ok()) {
    try_again(state.value(), [](std::string_view& in) { return decode_hard_state(in); });
  }
  rest = bytes;
  if (const auto packet = beats::decode_packet(rest); packet.ok()) {
    try_again(packet.value(), [](std::string_view& in) { return beats::decode_packet(in); });
  }
}

}  // namespace
}  // namespace quorate::raft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  // The first byte says what the rest is taken for.
  if (data[0] % 2 == 0) {
    quorate::raft::try_message(bytes.substr(1));
  } else {
    quorate::raft::try_others(bytes.substr(1));
  }
  return 0;
}

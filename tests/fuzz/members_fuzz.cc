// Any bytes as a command or as the state of the meta group: an error, or something sound whose own bytes are read back.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cluster/members.h"
#include "util/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto command = quorate::meta::decode(bytes);
  quorate::ClusterState state;
  if (command.ok()) {
    quorate::Buffer again;
    quorate::meta::encode(command.value(), again);
    CHECK(quorate::meta::decode(again.view()).ok());
    const quorate::Status status = state.apply(command.value());
    CHECK(status.ok() == state.is_founded());
  }
  const auto decoded = quorate::ClusterState::decode(bytes);
  if (decoded.ok()) {
    quorate::Buffer first;
    decoded.value().encode(first);
    const auto same = quorate::ClusterState::decode(first.view());
    CHECK(same.ok());
    quorate::Buffer second;
    same.value().encode(second);
    CHECK(first.view() == second.view());
  }
  return 0;
}

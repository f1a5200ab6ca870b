// A bound for what waits to be committed.
#include "node/uncommitted.h"

#include <string>
#include <utility>

#include "node/host.h"
#include "node/state.h"

namespace quorate {

namespace {

// Who is slower than its clients for long is told of now and then.
constexpr int64_t kNoteUs = 60'000'000;

void tell(NodeState& node, bool is_too_much, uint64_t bytes) {
  UncommittedTold& told = node.uncommitted_told;
  const char* const lacks = node.company.is_alone() ? "on disk" : "committed";
  if (is_too_much && !told.is_told && node.now.steady_us >= told.next_note_us) {
    told.next_note_us = node.now.steady_us + kNoteUs;
    told.is_told = true;
    node.host.log(LogLevel::kWarning,
                  std::to_string(bytes) + " bytes of what was executed here are not " + lacks +
                      " yet, more than max-uncommitted-bytes -> writes are refused");
  } else if (!is_too_much && std::exchange(told.is_told, false)) {
    node.host.log(LogLevel::kWarning, std::string("little of what was executed here is not ") +
                                          lacks + " yet -> writes are accepted");
  }
}

}  // namespace

uint64_t uncommitted_bytes(const NodeState& node) {
  if (!node.company.is_alone()) return node.company.uncommitted_bytes();
  return node.durability.keeps_log() ? node.durability.log().in_flight_bytes() : 0;
}

void look_at_uncommitted(NodeState& node) {
  const uint64_t bytes = uncommitted_bytes(node);
  const uint64_t limit = node.settings.max_uncommitted_bytes;
  const bool was_too_much = (node.flags & kNodeTooMuchUncommitted) != 0;
  const bool is_too_much = bytes > (was_too_much ? limit / 2 : limit);
  if (is_too_much == was_too_much) [[likely]]
    return;
  node.flags ^= kNodeTooMuchUncommitted;
  tell(node, is_too_much, bytes);
}

}  // namespace quorate

// The bytes of messages, configurations and marks (docs/FORMATS.md, "Messages of a group").
// Versioned; every length is checked; what does not decode is refused whole.
#pragma once

#include <string_view>
#include <vector>

#include "cluster/raft/message.h"
#include "cluster/raft/output.h"
#include "util/buffer.h"
#include "util/result.h"
#include "util/shared_bytes.h"

namespace quorate::raft {

constexpr uint8_t kMessageVersion = 2;
constexpr uint8_t kConfigurationVersion = 1;

// Appends one message; a frame carries many.
void encode(const Message& message, Buffer& out);
// The same, but payloads that are not smaller than Outgoing::kSharedMin are left out: what belongs at
// places of `out` goes to the end of `large`.
void encode(const Message& message, Buffer& out, std::vector<SharedPart>& large);
// Takes one message off the front of `bytes`.  kCorrupt: cut off, an unknown version or kind, or a
// value out of range.  Entries of an Append have index, term and payload; their chains are computed
// from prev_chain.
Result<Message> decode_message(std::string_view& bytes);
// The same into a message that is there.  After an error it holds anything.
Status decode_message(std::string_view& bytes, Message& message);

// The payload of an EntryKind::kConfiguration.
SharedBytes encode_configuration(const Configuration& configuration);
// kCorrupt also if it is not valid (validate()).
Result<Configuration> decode_configuration(std::string_view bytes);

void encode(const SnapshotMark& mark, Buffer& out);
Result<SnapshotMark> decode_snapshot_mark(std::string_view& bytes);
void encode(const HardState& state, Buffer& out);
Result<HardState> decode_hard_state(std::string_view& bytes);

}  // namespace quorate::raft

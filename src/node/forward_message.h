// What nodes say to each other about commands that one runs for the other, version 6.  Heads only: the requests of a
// command and the bytes of a reply follow as they are.
//
//   command = varint partition, varint number, varint units, varint attempt, varint requests, varint database, u8 flags,
//             varint write level, varint read level (levels.h), varint incarnation, varint write number,
//             [varint lowest wanted, if it writes or may block], [varint ms it has waited, if it may block],
//             [sized watched keys, if EXEC goes by some], RESP requests, or the keys of a WATCH (watch_message.h)
//   answer  = varint partition, varint number, varint units, varint attempt, u8 outcome, varint term, varint index,
//             RESP reply * (kReply)
//   cancel  = varint partition, varint number, u8 why
#pragma once

#include <cstdint>
#include <string_view>

#include "cluster/cluster_node.h"
#include "node/levels.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

enum class ForwardKind : uint64_t {
  kCommand = ClusterNode::kFirstOfOwner,
  kAnswer,
  kCancel,
};
constexpr bool is_forward_kind(uint64_t kind) { return is_kind(kind, ForwardKind::kCommand, ForwardKind::kCancel); }

enum ForwardFlag : uint8_t {
  kForwardResp3 = 1u << 0,     // what the client speaks
  kForwardNoTouch = 1u << 1,   // CLIENT NO-TOUCH
  kForwardMayBlock = 1u << 2,  // nothing else may stand behind it
  kForwardWrites = 1u << 3,    // has a write number of its own
  kForwardWatches = 1u << 4,   // WATCH: `requests` are keys, and the reply a bulk string that says what they are
  kForwardWatched = 1u << 5,   // its EXEC goes by `watched`
  kForwardAgain = 1u << 6,     // it was sent before, perhaps to another leader, and may have been run
};
constexpr uint8_t kForwardFlags =
    kForwardResp3 | kForwardNoTouch | kForwardMayBlock | kForwardWrites | kForwardWatches | kForwardWatched | kForwardAgain;

// A unit that is to be run: all requests one behind the other, the reply of the last is the answer.  Or several units of a request each,
// whose numbers follow one another, as do their write numbers; all else is the same for all of them.
struct ForwardCommand {
  static constexpr uint32_t kRequestsMax = 1 << 20;
  static constexpr uint32_t kUnitsMax = 1 << 12;
  static constexpr uint64_t kWaitedMsMax = uint64_t{1} << 50;
  uint32_t partition = 0;
  uint64_t number = 0;          // of the sender on this partition, from 1 on; never used again
  uint32_t unit_count = 1;
  uint64_t attempt = 1;         // of the sender to have commands of this partition run; see Forwarding
  uint32_t request_count = 1;
  uint32_t database = 0;
  uint8_t flags = 0;
  Levels levels = {};           // what the request or its connection asks; what is not said here is the leader's to say
  uint64_t incarnation = 0;     // of the sender
  // Its place among the writes of the sender to this partition (origin_rows.h).  kForwardWrites: it is this one.  Else it may not run once
  // this one has; 0: whenever.
  uint64_t write_number = 0;
  uint64_t lowest_wanted = 0;   // kForwardWrites: the sender waits for none below.  kForwardMayBlock: the same of `number`, its token
  uint64_t waited_ms = 0;       // kForwardMayBlock: elsewhere
  std::string_view watched = {};  // kForwardWatched: keys, and what they were
  std::string_view requests = {};

  bool watches() const { return (flags & kForwardWatches) != 0; }
  bool goes_by_watched() const { return (flags & kForwardWatched) != 0; }
  bool is_again() const { return (flags & kForwardAgain) != 0; }
  bool writes() const { return (flags & kForwardWrites) != 0; }
  bool may_block() const { return (flags & kForwardMayBlock) != 0; }
};

enum class ForwardOutcome : uint8_t {
  kReply = 1,
  kNotRun = 2,   // certainly not, and nothing that this attempt sends behind it will be
  kUnknown = 3,  // it may have been run; there will be no reply
  kNotKept = 4,  // it was run, by an earlier sending; what it was told is not known any more
};

// To one unit, or to several whose numbers follow one another.
struct ForwardAnswer {
  uint32_t partition = 0;
  uint64_t number = 0;
  uint32_t unit_count = 1;
  uint64_t attempt = 1;
  ForwardOutcome outcome = ForwardOutcome::kReply;
  // kReply: an entry of the partition's log that the unit's writes, and what it has read, are not behind; term 0: not known.
  uint64_t term = 0;
  uint64_t index = 0;
  std::string_view reply = {};  // of all units, one behind the other
};

enum class CancelReason : uint8_t {
  kGone = 1,   // its client has gone, or has its answer, and will not ask again
  kAsTimeout,  // CLIENT UNBLOCK: if it still waits for its key, it is answered as if its time were over
  kAsError,    // the same, with -UNBLOCKED
};

// Of a command that may block.
struct ForwardCancel {
  uint32_t partition = 0;
  uint64_t number = 0;
  CancelReason reason = CancelReason::kGone;
};

// Appends the head.
void encode_head(const ForwardCommand& command, Buffer& out);
void encode_head(const ForwardAnswer& answer, Buffer& out);
void encode_head(const ForwardCancel& cancel, Buffer& out);
// Views into `bytes`, which may be anything.  kCorrupt: not such a message.
struct ForwardLimits {
  uint32_t partitions = 0;
  uint32_t databases = 0;
};
Result<ForwardCommand> decode_command(std::string_view bytes, const ForwardLimits& limits);
Result<ForwardAnswer> decode_answer(std::string_view bytes, const ForwardLimits& limits);
Result<ForwardCancel> decode_cancel(std::string_view bytes, const ForwardLimits& limits);

}  // namespace quorate

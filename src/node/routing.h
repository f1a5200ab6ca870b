// Where a request runs in company: the partition of its keys, and who leads that.
#pragma once

#include <cstdint>
#include <optional>

#include "node/state.h"
#include "util/result.h"

namespace quorate {

enum class Road : uint8_t {
  kHere,     // run it: its partition is led here, or it has none
  kHandled,  // it is on its way elsewhere, or was answered
};

// Decides for a request that passed all other checks, and has not been queued by MULTI.
Road route(NodeState& node, Session& session, Command& row, Args args, const Key& first_key);

// For a command that MULTI queues: -MOVED, if the session's client is to ask another node (as Redis Cluster, at once), or why it cannot run
// in any partition.  Requires: in company.
std::optional<Error> queue_refusal(NodeState& node, const Session& session, const CommandSpec& spec, Args args);

// The partition of all keys of a request.  kMany: of several; kNone: it has no keys.
struct KeysPartition {
  enum class Kind : uint8_t { kNone, kOne, kMany } kind = Kind::kNone;
  uint32_t partition = 0;
  uint16_t slot = 0;           // of the first
};
KeysPartition partition_of_keys(const NodeState& node, const CommandSpec& spec, Args args);

// The session's client goes by itself to where a key is led, and adds up what the nodes say.
bool is_redirected(const NodeState& node, const Session& session);

// This node serves the partition no longer: who waits for its keys here is told.
void partition_is_left(NodeState& node, uint32_t partition);

// This node is alone no longer: who began to wait for keys when it was, and cannot go on so, is told.
void company_begins(NodeState& node);

}  // namespace quorate

// Reads that the copies of this node answer, whoever leads their partitions: at levels local and bounded, and READONLY.  Which may is
// Company's to say.
#pragma once

#include <cstdint>

#include "node/gathering.h"
#include "node/state.h"
#include "resp/request_parser.h"

namespace quorate {

// The request of a session on these keys of the partition (none: on all of it) may be answered here, and must not be asked of a leader first:
// nothing that the session has sent before it is still under way there.
bool is_answered_by_copy(NodeState& node, const Session& session, const CommandSpec& spec, Args keys, uint32_t partition);
// Runs it.  What it tells waits for nothing, and it changes nothing.  Requires: is_answered_by_copy().
void read_copy(NodeState& node, Session& session, Command& row, Args args, const Key& first_key, uint32_t partition);
// Answers the parts of a request that may be answered here.  How many those are.
size_t answer_parts(NodeState& node, Session& session, const CommandSpec& spec, Gathering& gathering);

}  // namespace quorate

// Bytes of a client become requests, requests become batches: parsed a pipeline at a time, their keys prefetched
// together, then executed one behind the other.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "node/state.h"

namespace quorate {

struct Received;

// Takes over the time of an input.  The node's time is the wall clock as long as that runs as it should: it never runs back, and in company
// it is not far ahead of the other nodes' clocks (REPLICATION 8).
void begin_input(NodeState& node, Instant now);
// Somebody has seen this time: it has passed here too.
void raise_time(NodeState& node, int64_t unix_ms);
// The running turn has taken until now: what is promised, or believed, from here on counts from then.
void raise_clock(NodeState& node, int64_t steady_us);
// The node's time follows the wall clock no further than this time of now, which goes on.  What is later than this and than all records say
// is taken back.  Requires: this turn's writes have been proposed.
void limit_time(NodeState& node, int64_t latest_ms);
// Bytes that arrived for this session.
void take_input(NodeState& node, Session& session, std::string_view bytes);
// The same for several sessions, one behind the other; the keys of their first requests are prefetched together.
void take_inputs(NodeState& node, std::span<const Received> inputs);
// Goes on with what the session has sent ahead, now that nothing stops it any more.
void resume_later(NodeState& node, Session& session);
// Ends a turn: resumed sessions run, the record of the turn is made.
void end_turn(NodeState& node);

}  // namespace quorate

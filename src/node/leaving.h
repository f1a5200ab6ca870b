// The first part of a node's orderly end, while it has company: the others take over what it leads, and whoever has asked it something is
// answered.  What follows (the last save, the last sync) is persistence.h's.
#pragma once

#include <cstdint>

#include "util/time.h"

namespace quorate {

class Session;
struct NodeState;

// Part of NodeState.  Its stages follow one another, in two seconds at most (REPLICATION 6).
struct Leaving {
  enum class Stage : uint8_t {
    kStays,
    // Leaderships go to nodes that can take them; clients are served as ever, by them.
    kHandsOver,
    // Clients are not read from any more; what they have sent is run and answered.
    kAnswers,
    // Nothing runs here; other nodes get the last answers.
    kCloses,
    kHasLeft,
  };
  Stage stage = Stage::kStays;
  int64_t until_us = kNever;  // then the rest is left undone
};

// Nothing happens to a node that is alone.
void begin_leaving(NodeState& node);
// Goes on as far as it can; true once it has left, or has not to.  Called often.
bool has_left(NodeState& node);
// What is left is left undone.
void hurry_leaving(NodeState& node);
// It does not end after all.
void stop_leaving(NodeState& node);
// A client has connected meanwhile.
void meet_while_leaving(NodeState& node, Session& session);

}  // namespace quorate

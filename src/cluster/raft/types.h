// The numbers of the replication core.  Each is a type of its own, so that a term cannot be given
// where an index is wanted.
#pragma once

#include <compare>
#include <cstdint>

namespace quorate::raft {

// A number with a meaning.  0 is "none" for every one of them.
template <class Tag>
struct Tagged {
  uint64_t value = 0;
  friend auto operator<=>(const Tagged&, const Tagged&) = default;
  bool none() const { return value == 0; }
};

using Term = Tagged<struct TermTag>;    // one leader a term (I1)
using Index = Tagged<struct IndexTag>;  // place in a group's log; the first is 1
using Chain = Tagged<struct ChainTag>;  // hash of the log up to and with an entry
// One copy of one group; never used again once removed.
using ReplicaId = Tagged<struct ReplicaTag>;
using NodeId = Tagged<struct NodeTag>;              // a process with its directory
using Incarnation = Tagged<struct IncarnationTag>;  // which start of a node
using GroupId = Tagged<struct GroupTag>;            // a partition, or the meta group
// How often an all-present restart has chosen the log.
using RecoveryEpoch = Tagged<struct EpochTag>;
using WriteNumber = Tagged<struct WriteTag>;  // a durable write of one core; 1, 2, ...
// A beat (or round) of one node; grows with every sending.
using BeatNumber = Tagged<struct BeatTag>;
using ReadToken = Tagged<struct ReadTag>;  // the caller's name for a read that waits

template <class Tag>
constexpr Tagged<Tag> next(Tagged<Tag> number) {
  return {number.value + 1};
}
// Requires: not number.none().
template <class Tag>
constexpr Tagged<Tag> before(Tagged<Tag> number) {
  return {number.value - 1};
}

// How far a log reaches; whose is greater holds more of what may have been acknowledged.
struct Position {
  RecoveryEpoch epoch;
  Term term;
  Index index;
  friend auto operator<=>(const Position&, const Position&) = default;
};

// Does a log that reaches `log` hold the entry at `at`, or is it certain that it never will?  A log
// of a later recovery epoch was chosen from one of before, so terms and indexes go on in it.
constexpr bool has_passed(const Position& log, const Position& at) {
  if (log.epoch < at.epoch) return false;
  return log.term != at.term ? log.term > at.term : log.index >= at.index;
}

// What stands at `at` was never committed if a log passes it without holding it: not before that log's last term, whose leader held all
// that was, nor later, as long as `seen` is the latest term where it stands.
constexpr bool has_outlived(const Position& log, const Position& at, Term seen) {
  return has_passed(log, at) && seen <= log.term;
}

// A replica and the node it lives on (messages are routed by node).
struct Member {
  ReplicaId replica;
  NodeId node;
  friend auto operator<=>(const Member&, const Member&) = default;
};

}  // namespace quorate::raft

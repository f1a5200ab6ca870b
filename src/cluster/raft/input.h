// Everything that can happen to a replica.  One input a step.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/raft/message.h"
#include "cluster/raft/types.h"
#include "util/shared_bytes.h"

namespace quorate::raft {

// Why a peer is asked after (REPLICATION.md 6, "suspicion").
enum class Silence : uint8_t {
  kNoBeats,        // none for the suspicion time (250-300 ms)
  kClosed,         // its connection was closed: at once
  kRestarted,      // another incarnation answers
  kLeadsNoLonger,  // its beats do not list this (group, term); repeated with every beat while it is
                   // so
};

namespace in {

// The first input of a core, once: what it has to make durable before anything else comes out of
// it.
struct Start {};

// deadline() has passed.  Earlier does no harm.
struct Timeout {};

// A message for this replica.  The driver has dropped frames of another cluster, of older
// incarnations and for other replica ids.  Loss, duplication and reordering are harmless.
struct Receive {
  Message message = {};
};

// A batch of effects that this node has executed.  Requires: can_propose().
struct Propose {
  SharedBytes payload = {};
  EntryKind kind = EntryKind::kCommand;  // or kMarker
};

// The write with this number and all before it are stored in the group's mode (hard state: synced).
struct Persisted {
  WriteNumber number = {};
};

// A linearizable read was evaluated here; may its answer leave?  `last_beat` is the number of the
// last beat or round this node sent to anybody before the evaluation.  Answered in Output::reads.
// Requires: leader.
struct ReadBarrier {
  ReadToken token = {};
  BeatNumber last_beat = {};
  // 0: L voters of every half confirm, or there is a lease.  Else so many voters of every half (of a
  // smaller one all), and L at least, confirm beats after the evaluation, the leader counted; a
  // lease does not do.
  uint32_t voters = 0;
};

// Nobody waits any more for reads that wanted so many voters (as in ReadBarrier): they are forgotten
// without a word.  Whom they need may be gone for good, so a driver with a time-out says it.
struct ForgetReads {
  uint32_t voters = 0;
};

// This node heard, at received_us of its steady clock, a beat of the leader's node that lists this
// group with `term`.  A driver may hold these back while nothing happens, but gives the newest one
// before each input that may lead to a vote (RequestVote, Timeout, PeerSilent).  After the step,
// confirms() says whether the echo may confirm the group.
struct LeaderHeard {
  ReplicaId leader = {};
  Term term = {};
  int64_t received_us = 0;
};

// The node of `voter` echoed the beat or round `beat`, which this node sent at sent_us, and did not
// list this group as NOT confirmed; `term` is the one that the beat listed.  May be held back until
// the next ReadBarrier, lease_until_us() or Timeout.
struct LeadershipConfirmed {
  ReplicaId voter = {};
  Term term = {};
  BeatNumber beat = {};
  int64_t sent_us = 0;
};

// The echo listed this group as NOT confirmed (the voter has not seen the first append, or follows
// another).
struct LeadershipRefused {
  ReplicaId voter = {};
  Term term = {};
};

// The peer's node became silent.  Only makes this replica ask; it shortens no promise.
struct PeerSilent {
  NodeId node = {};
  Silence reason = Silence::kNoBeats;
};

// A stream to the peer's node begins: what was on the way on the old one may be lost.
struct PeerConnected {
  NodeId node = {};
};

// The peer's node has another incarnation: what it stored and promised counts no more.
struct PeerRestarted {
  NodeId node = {};
};

// A read has met the replica on `node`, or (none) asks several voters of this leader: who lacks what is
// committed here is told of it now, and sent again what was not answered for nudge_us.  Waits for
// nothing.
struct Nudge {
  NodeId node = {};
};

// Begin the change to `target` (its `outgoing` empty).  Requires: change_refusal(target) == kNone.
struct ChangeConfiguration {
  Configuration target = {};
};

// Hand over to this voter.  Requires: may_transfer(to).
struct TransferLeadership {
  ReplicaId to = {};
};

// An operator has given up these nodes for good: nobody waits for them any more.  If the voters that
// are left cannot elect a leader, since they are too few or too few of them remember what they have
// acknowledged, all members that are left (learners too) are asked for an all-present restart without
// the others, and become the only voters.  In the place of what was said before; empty: all that is
// taken back.
struct GiveUp {
  std::vector<NodeId> nodes = {};
  // A command that whoever is elected so puts in front of the configuration without them: neither is
  // ever stored without the other.  Empty: none.
  SharedBytes decree = {};
};

// The data set is in memory: this replica can serve at once (candidates that are loaded come
// first).
struct Loaded {};

// The node is being drained: it refuses leaderships.  Or not any more.
struct Draining {
  bool is_draining = true;
};

// What it means from now on that something is stored on this node: a start would find it again.  Who keeps
// less than the group's configurations want is not elected, since it would count its own copy.
struct Kept {
  Durability mode = Durability::kSynced;
};

// What became of the snapshot for a member (Output::snapshots_wanted).  Sent means received and
// stored is still to be heard: the member's own kStored answer says it.
struct SnapshotFailed {
  ReplicaId to = {};
};

// A snapshot from `from`, leading in `term`, is complete on this node and not yet in use.
// Output::install says whether to take it.
struct SnapshotReceived {
  Member from = {};
  Term term = {};
  SnapshotMark mark = {};
};

}  // namespace in

using Input = std::variant<in::Start, in::Timeout, in::Receive, in::Propose, in::Persisted,
                           in::ReadBarrier, in::ForgetReads, in::LeaderHeard,
                           in::LeadershipConfirmed, in::LeadershipRefused, in::PeerSilent, in::PeerConnected,
                           in::PeerRestarted, in::Nudge, in::ChangeConfiguration, in::TransferLeadership,
                           in::GiveUp, in::Loaded, in::Draining, in::Kept,
                           in::SnapshotFailed, in::SnapshotReceived>;

}  // namespace quorate::raft

// What replicas of a group say to each other.  Plain values; their bytes are in message_codec.h.
//
// Not here, because they are of a node pair and not of a group: beats, rounds that confirm
// leaderships and their echoes (cluster/beats.h), acknowledgement of frames by number, the stream
// of a snapshot's blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "cluster/raft/configuration.h"
#include "cluster/raft/entry.h"
#include "cluster/raft/types.h"

namespace quorate::raft {

// May this replica vote and stand?
enum class Standing : uint8_t {
  kFull = 1,
  // It may have forgotten what it acknowledged: takes entries, confirms leaderships, does not vote.
  kRecovering = 2,
};

// leader -> any member.  The entries follow (prev_index, prev_term, prev_chain); none: a probe.
struct Append {
  Index prev_index = {};
  Term prev_term = {};
  Chain prev_chain = {};
  Index commit = {};
  EntryList entries = {};
  // The chains of the entries were not claimed by anybody, but computed from prev_chain on.
  bool chains_are_computed = false;
};

enum class AppendResult : uint8_t {
  kStored =
      1,  // everything up to `match` is stored in the group's mode and equals the leader's log
  kMismatch = 2,  // nothing taken: see the hint
};

// member -> leader.  kStored leaves only after the write.
// A driver may replace kStored answers by the acknowledgement of the frame that brought the
// appends: the leader's driver then gives its core the same AppendAnswer, match = last index of
// what the frame carried.
struct AppendAnswer {
  AppendResult result = AppendResult::kStored;
  Index match = {};  // kStored
  Index rejected =
      {};  // kMismatch: the prev_index that did not match (an old answer is told by it)
  Index hint =
      {};  // kMismatch: the last index that may still match, and the term of the entry there;
  Term hint_term = {};  // 0, 0: nothing is here; 0 and a term: only the leader's state helps (Core::ask_for_state)
};

// leader -> member whose log is already sent: the commit index has moved.
struct CommitNotice {
  Index commit = {};
};

enum class VoteKind : uint8_t {
  kPreVote = 1,  // "would you vote for me?"; changes nothing but who yields
  kVote = 2,
  // The all-present restart: the same two questions, to be agreed to by every voter.
  kRecoveryPreVote = 3,
  kRecoveryVote = 4,
};
constexpr bool is_pre(VoteKind kind) {
  return kind == VoteKind::kPreVote || kind == VoteKind::kRecoveryPreVote;
}
constexpr bool is_of_recovery(VoteKind kind) {
  return kind == VoteKind::kRecoveryPreVote || kind == VoteKind::kRecoveryVote;
}

// candidate -> voter.  Being asked names the receiver a voter, whatever its own configuration says.
struct RequestVote {
  VoteKind kind = VoteKind::kPreVote;
  Term proposed =
      {};  // the term that is asked for: Message::term + 1 for pre-votes, Message::term for votes
  Position position = {};  // of the candidate's log
  // Of an all-present restart: the newest that the candidate knows.  Unknown in other votes.
  StoredConfiguration configuration = {};
  Standing standing = Standing::kFull;
  bool is_loaded = true;
  uint32_t rank = 0;  // ring rank of the candidate
  // Leadership is being handed over by the leader of this term: its promises do not bind.  0: no
  // transfer.
  Term transfer_mark = {};
  // Of an all-present restart without members that were given up: their nodes.
  std::vector<NodeId> left_out = {};
};

enum class VoteResult : uint8_t {
  kGranted = 1,
  kHearsLeader = 2,         // follows a leader that it hears, or is one
  kPromised = 3,            // has promised a leader for another wait_ms
  kQuiet = 4,               // has just started: grants nothing for another wait_ms
  kRecovering = 5,          // may have forgotten what it acknowledged
  kBetterLog = 6,           // its own position is greater
  kVotedForOther = 7,       // in this term
  kOldTerm = 8,             // its term is higher
  kNewerConfiguration = 9,  // all-present restart: it knows of a newer configuration, and tells it
  kBetterCandidate = 10,    // pre-vote: it is about to stand itself, and comes first
  kNotGivenUp = 11,         // all-present restart: it has not given up all who are left out
};

// voter -> candidate.  A granted kVote or kRecoveryVote leaves only after the write.
struct VoteAnswer {
  VoteKind kind = VoteKind::kPreVote;
  VoteResult result = VoteResult::kGranted;
  Term proposed = {};      // of the question
  Position position = {};  // of the voter's log
  Standing standing = Standing::kFull;
  bool is_loaded = true;
  uint32_t rank = 0;     // ring rank of the voter as the voter knows it
  uint32_t wait_ms = 0;  // kPromised, kQuiet
  StoredConfiguration configuration = {};  // kNewerConfiguration: that one; else unknown
};

// leader -> the voter that is to lead: stand now, with the mark of Message::term.
struct TimeoutNow {};
// The voter will not (it drains, recovers or is no voter).
struct TransferRefused {};

// RECOVERING replica -> leader: "how far must I come?", with a fresh nonce.
struct RecoveryRequest {
  uint64_t nonce = 0;
};
// Only once the no-op of the leader's term is committed.
struct RecoveryAnswer {
  uint64_t nonce = 0;
  Index last_index = {};
};

using MessageBody = std::variant<Append, AppendAnswer, CommitNotice, RequestVote, VoteAnswer,
                                 TimeoutNow, TransferRefused, RecoveryRequest, RecoveryAnswer>;

struct Message {
  GroupId group = {};
  Member from = {};
  Member to = {};
  Term term = {};            // the sender's current one
  RecoveryEpoch epoch = {};  // of the sender's log
  MessageBody body = {};
};

// What stands in front of a snapshot: the log up to and with `last` is in it.
struct SnapshotMark {
  Position last = {};
  Chain chain = {};
  StoredConfiguration configuration = {};  // the newest with at.index <= last.index
};

}  // namespace quorate::raft

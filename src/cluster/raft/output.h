// What a step wants done.  The driver carries it out in the order of the fields of Output and then
// clears it; vectors keep their memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/raft/entry.h"
#include "cluster/raft/message.h"
#include "cluster/raft/types.h"

namespace quorate::raft {

// What a replica must remember.  Always synced, whatever the group's mode.
struct HardState {
  Term term = {};
  ReplicaId voted_for = {};  // in `term`
  RecoveryEpoch epoch = {};
  Standing standing = Standing::kFull;
  // The newest one it has adopted.  Here and not only in the log, since in mode `memory` there is
  // no log.
  StoredConfiguration configuration = {};
  friend bool operator==(const HardState&, const HardState&) = default;
};

// One durable write, and the messages that may leave only once it is done.  They travel together so
// that no driver can send the promise before keeping it.  Writes of one core are carried out in
// order; within a write the hard state is on disk first, since no log may be of a higher term.
struct DurableWrite {
  WriteNumber number = {};  // to be given back by in::Persisted; none if there is nothing to write
  std::optional<HardState> hard_state = {};
  // The log begins anew behind this mark: with Output::install, together with the snapshot in one
  // durable step; without (mark.last.index is 0), everything is archived as lost.
  std::optional<SnapshotMark> log_base = {};
  // An entry at index i supersedes everything at and behind i.
  std::vector<Entry> append = {};
  // Leave when this write and all before it are done; also when there is nothing to write.
  std::vector<Message> then_send = {};

  bool writes() const { return hard_state || log_base || !append.empty(); }
};

enum class RoleName : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

// May this replica execute commands?
enum class Serving : uint8_t {
  kNo,        // not the leader
  kStarting,  // leader; its no-op is not committed: writes may be proposed, nothing linearizable is
              // read
  kYes,
  kSuspended,    // leader without a quorum that confirms it: executes nothing, keeps its term
  kHandingOver,  // leader, on its way out: executes nothing until the transfer ends or is given up (or it stands itself)
};

// How a leader got there.  After kElection weak acknowledgements of the old leader may be lost.
// After the last two so may any that no copy of those that took part has held.
enum class Takeover : uint8_t { kNone, kElection, kTransfer, kAllPresentRestart, kUnsafeRecovery };

struct RoleState {
  RoleName role = RoleName::kFollower;
  Serving serving = Serving::kNo;
  Term term = {};
  std::optional<Member> leader = {};  // whom this replica follows, or itself
  Takeover takeover = Takeover::kNone;
  friend bool operator==(const RoleState&, const RoleState&) = default;
};

enum class ReadVerdict : uint8_t {
  kConfirmed,  // leadership was confirmed for an instant after the evaluation, in the same term
  kLost,       // leadership is lost: evaluate elsewhere
};

struct ReadReady {
  ReadToken token = {};
  ReadVerdict verdict = ReadVerdict::kConfirmed;
};

// A contradiction that came from outside: another replica's log or this one's disk cannot be right.
// The core has stopped: it answers nothing more.  Contradictions inside are CHECKed instead.
struct Failure {
  enum class Kind : uint8_t {
    kDivergence,         // same index and term, other bytes (I2)
    kCommittedConflict,  // a leader wants committed entries overwritten (I3, I5)
    kTwoLeaders,         // two leaders in one term (I1)
    kBadEntry,  // an entry that does not follow from its message (chain, index, term, payload)
  };
  Kind kind = Kind::kDivergence;
  Index index = {};
  Chain ours = {};
  Chain theirs = {};
  std::string text = {};  // "fact -> decision"
};

struct Output {
  // 1. Before anything leaves: stop serving, raise the pair's support epoch.
  std::optional<Failure> failure = {};
  // Role, term, leader or serving differ from before the step.  A leader that steps down stops
  // serving here, before the answer that shows the higher term leaves.
  std::optional<RoleState> role = {};
  // This replica no longer supports the leader it confirmed: raise the support epoch towards its
  // node.
  std::optional<Member> support_withdrawn = {};

  // 2. The tail that the log lost, in order: its effects are undone, newest first, and it goes to a
  // loss record.  If `log_archived`, the whole log and the state are of a recovery epoch that lost:
  // everything goes.
  std::vector<Entry> truncated = {};
  bool log_archived = false;

  // 3. Take this snapshot instead of the state (write.log_base is set too).
  std::optional<SnapshotMark> install = {};

  // 4. Hand to the disk.
  DurableWrite write = {};

  // 5. These may leave at once.
  std::vector<Message> send = {};

  // 6. The commit index after the step (it never falls within a recovery epoch).  A follower's node
  // now takes the entries it has not applied from log() and says note_applied().
  Index commit_index = {};

  // 7. Reads that may be answered, or not.
  std::vector<ReadReady> reads = {};
  // Reads wait for a confirmation: send a beat (round) to everybody at the end of this turn.
  bool round_wanted = false;

  // 8. Send these members a snapshot of this replica (see Core::snapshot_may_be_sent); SnapshotFailed
  // if it cannot be done.  One that is on its way to the member already is enough.
  std::vector<Member> snapshots_wanted = {};

  // 9. A configuration was adopted (its entry appended, installed, or taken back).
  bool configuration_changed = false;

  // 10. A member, perhaps this leader itself, holds more of the log than before: copies() may have
  // grown.
  bool copies_grew = false;

  // Lines for the server's log, "fact -> decision": elections, configurations, snapshots, never the
  // hot path.
  std::vector<std::string> facts = {};

  // Requires nothing; afterwards empty().
  void clear();
  bool empty() const;
};

}  // namespace quorate::raft

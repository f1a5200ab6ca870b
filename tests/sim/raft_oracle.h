// What must hold in the world `raft` (the invariants of REPLICATION.md 9), seen from outside: the
// oracle hears what each replica claims and compares it with what all others claimed.  It knows
// everything, at once, and tells nobody.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/raft/core.h"
#include "tests/sim/linearizability.h"
#include "tests/sim/raft_machine.h"

namespace quorate::sim {

// A write that was answered, and what the answer promised.
struct AcknowledgedWrite {
  raft::GroupId group;
  raft::Index index;
  raft::Chain chain;
  raft::Term term;
  Token token;
  int64_t at_us = 0;
  bool committed = false;  // w >= C: present for ever; else present or in a loss record
};

class Oracle {
 public:
  // Where a group's first log begins (raft::bootstrap).
  void create_group(raft::GroupId group, raft::Chain first_chain);

  // The first thing found wrong, empty if nothing is.
  const std::string& wrong() const { return wrong_; }
  void fail(std::string text);

  // ---- replicas
  // A replica became leader.  I1, I5.
  void note_leader(const raft::Core& core);
  // Its commit index is beyond `from`.  I2, I3, I12.
  void note_commit(const raft::Core& core, raft::Index from);
  // Its state holds the log up to `index`.  I6, I15.
  void note_state(const raft::Core& core, raft::Index index, uint64_t hash);
  // Its log lost entries; those up to `replaced` are in the snapshot that takes its place.  I3.
  void note_truncated(const raft::Core& core, const std::vector<raft::Entry>& entries,
                      raft::Index replaced);
  // A snapshot was taken into use.
  void note_installed(const raft::Core& core, const raft::SnapshotMark& mark);
  // Entries are stored in the group's mode.
  void note_stored(const raft::Core& core, const std::vector<raft::Entry>& entries);
  // A snapshot is stored: it stands for copies of everything up to its mark.
  void note_snapshot_stored(const raft::Core& core, raft::Index last);
  // The leader of a recovery epoch was elected while `forgetful` voters had lost what they held.
  void note_recovery(const raft::Core& core, uint32_t forgetful);
  // A message leaves.  I10.
  void note_sent(const raft::Message& message, bool owes_recovery);

  // ---- replies
  // `level` copies were promised.  Requires: I7.
  void note_acknowledged(const raft::Core& core, const AcknowledgedWrite& write, uint32_t level);
  // A linearizable read was answered.
  void note_read(const raft::Core& core);
  void note_loss(raft::GroupId group, const Token& token) { losses_[group].insert(key_of(token)); }

  // ---- the end
  // Every acknowledged write is where it must be.
  void check_ledger();
  raft::Index committed(raft::GroupId group) const;
  // Did an all-present restart lose what was committed, as it may?
  bool lost_committed(raft::GroupId group) const { return !groups_.at(group).excused.empty(); }
  uint64_t acknowledged() const { return acknowledged_.size(); }
  uint64_t committed_entries() const;
  uint64_t leaders() const { return leader_count_; }
  uint64_t lost_weak_writes() const { return lost_weak_writes_; }

 private:
  using TokenKey = std::pair<uint32_t, std::pair<uint64_t, uint64_t>>;
  static TokenKey key_of(const Token& token) {
    return {token.client, {token.session, token.number}};
  }
  struct Committed {
    raft::Term in_term;  // of the leader or follower that was first to know it committed
    raft::Chain chain;
    std::vector<Token> tokens;
    uint64_t state_hash = 0;
    bool has_state_hash = false;
  };
  struct Copy {
    raft::ReplicaId replica;
    raft::Chain chain;
  };
  struct Group {
    raft::RecoveryEpoch epoch;
    uint32_t forgetful_at_recovery = 0;
    uint32_t needed_at_recovery = UINT32_MAX;
    raft::Chain first_chain;
    std::vector<Committed> log;  // from index 2
    std::map<raft::Term, raft::ReplicaId> leaders;
    std::set<raft::Term> elected_without_handover;
    std::map<TokenKey, raft::Index> tokens;
    std::map<raft::Index, std::vector<Copy>> copies;
    // Every entry that somebody has stored, by index: a log may have been shortened in the very step
    // that committed it.
    std::map<raft::Index, std::vector<raft::Entry>> entries;
    // Snapshots stand for copies of what is committed below.
    std::map<raft::ReplicaId, raft::Index> snapshots;
    std::set<TokenKey> excused;  // lost with more copies than any promise covers
  };

  static size_t slot_of(raft::Index index) { return static_cast<size_t>(index.value) - 2; }
  Committed* find(Group& group, raft::Index index);
  void begin_epoch(Group& group, const raft::Core& core);
  void extend(Group& group, const raft::Core& core, const raft::Entry& entry);
  // The entry before a stored one, or the one with this chain; null: nobody has stored it.
  static const raft::Entry* entry_before(const Group& group, const raft::Entry& entry);
  static const raft::Entry* entry_at(const Group& group, raft::Index index, raft::Chain chain);
  // From the first entry that is not known to be committed up to the commit index; empty if it
  // cannot be told.
  static std::vector<const raft::Entry*> new_entries(const Group& group, const raft::Core& core);
  static bool completes_commit(const Group& group, const raft::Half& half, raft::ReplicaId taker, const raft::SnapshotMark& mark);
  static bool enough_copies(const Group& group, const raft::Half& half, uint32_t level,
                            const AcknowledgedWrite& write);

  std::map<raft::GroupId, Group> groups_;
  std::vector<AcknowledgedWrite> acknowledged_;
  std::map<raft::GroupId, std::set<TokenKey>> losses_;
  std::string wrong_;
  uint64_t leader_count_ = 0;
  uint64_t lost_weak_writes_ = 0;
};

}  // namespace quorate::sim

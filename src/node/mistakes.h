// Known ways for a whole node to get replication wrong, switched on by tests only, to prove that they would be
// noticed (REPLICATION.md 9).  The server never sets one.
#pragma once

#include "cluster/raft/mistakes.h"

namespace quorate {

struct NodeMistakes {
  raft::Mistakes core = {};             // of the consensus core and the beats
  bool reply_before_commit = false;     // a write is acknowledged once this node has it
  bool read_before_commit = false;      // a read shows what may yet be lost
  bool read_without_lease = false;      // a leader that may have been deposed answers reads
  bool lost_replies_leave = false;      // what a deposed leader has lost is acknowledged when others commit so far
  bool proposes_nothing = false;        // now and then what was executed is not in the entry
  bool serves_before_applied = false;   // a new leader executes while its log is ahead of its memory
  bool snapshot_before_commit = false;  // a snapshot of the log counts although what it holds may be lost
  bool forgets_losses = false;          // a start knows nothing of node.losses
  bool ignores_mark = false;            // a start after a power cut counts as one that remembers
  bool cuts_damaged_logs = false;       // a member whose log is damaged goes on with what comes before, votes and all
  bool hands_over_in_turn = false;      // a leader hands over while what was read in this turn is not confirmed
  bool runs_numbers_again = false;      // a forwarded write that is sent again is run again
  bool forgets_numbers = false;         // which of them were run is no part of a partition's state
  bool counts_itself_unstored = false;  // a leader counts its copy of a write before it has stored it
  bool tells_age_without_lease = false; // a copy counts as fresh because a leader that may have been deposed says so
  bool local_is_lease = false;          // a read that should be linearizable is answered by any copy
  bool forgets_watches = false;         // EXEC runs whatever has become of keys that were watched at another node
  bool watches_over_terms = false;      // ... if they have another leader since
  bool some_messages_wait = false;      // some of what is published leaves with what waits for commit
  bool believes_turns_clock = false;    // a turn ends as if no time had passed since it began
  bool applies_differently = false;     // a copy leaves out an entry now and then, not the same as others do
  bool written_is_synced = false;       // appendfsync always: a record counts as stored once it is written
  bool answers_mode_early = false;      // CONFIG SET of the mode is answered once the members have decided it
  bool founds_as_it_started = false;    // a cluster is founded with the settings of its first node's start
  bool keeps_own_order = false;         // who joins has its keys in the order that it had alone
  bool ignores_zones = false;           // min-zones: a write counts as held everywhere once it is committed
};

}  // namespace quorate

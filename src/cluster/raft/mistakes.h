// Known ways to get replication wrong, switched on by tests only, to prove that they would be
// noticed (REPLICATION.md 9).  The server never sets one.
#pragma once

namespace quorate::raft {

struct Mistakes {
  bool no_no_op = false;                   // a new leader serves without an entry of its term
  bool commit_old_terms_by_count = false;  // copies of an older term's entry commit it
  bool vote_while_recovering = false;
  bool forget_recovering_flag = false;     // RECOVERING is kept in memory only
  bool election_quorum_one_short = false;  // E - 1 votes make a leader
  bool lease_longer_than_promise = false;  // the leader trusts a confirmation three times too long
  bool vote_right_after_restart = false;   // no quiet time after process start
  bool timeout_now_under_lease = false;    // a transfer keeps the lease
  bool single_step_membership = false;     // voters change without a joint configuration
  bool beats_confirm_all_groups =
      false;  // an echo stands for groups it does not confirm (cluster/beats.h)
  bool lone_voter_restarts_all = false;  // "all present" is said by one voter for all
  bool snapshot_before_commit = false;   // a snapshot of uncommitted state may leave
  bool takes_living_for_dead = false;    // who is silent is dead at once (cluster/dead_members.h)
  bool unkept_is_acknowledged = false;  // a copy counts though its node does not keep it as the group wants it (cluster/groups.cc)
  bool bare_copies_lead = false;        // so does that of a leader
  bool unsafe_recovery_keeps_epoch = false;  // a leader without nodes that were given up leads on in the old epoch
  bool restarts_without_need = false;  // who is left when others are given up restarts all, though enough are full to elect a leader
};

}  // namespace quorate::raft

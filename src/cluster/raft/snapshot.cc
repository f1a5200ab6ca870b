// Snapshots: who may send one, who takes one.  The blocks travel outside of the core.
#include <algorithm>

#include "cluster/raft/agreed.h"
#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

// The leader's state is ahead of its commit index; a snapshot of it may hold what will be
// truncated.
bool Core::snapshot_may_leave(Term term, Index last) const {
  const Leader* const leading = leader();
  if (failed_ || leading == nullptr || term != hard_.term) return false;
  if (last <= commit_ || mistakes_.snapshot_before_commit) return true;
  // In an all-present restart every voter (that is left) has chosen the log with which this leader
  // was elected: nobody can be elected without them all, or without holding it.  The others have
  // forgotten everything and need the snapshot in order to commit what follows.
  const bool is_chosen_by_all = leading->takeover == Takeover::kAllPresentRestart ||
                                leading->takeover == Takeover::kUnsafeRecovery;
  return is_chosen_by_all && last <= leading->chosen;
}

bool Core::snapshot_may_be_sent(Term term, Index last, ReplicaId to) const {
  if (snapshot_may_leave(term, last)) return true;
  return !failed_ && leader() != nullptr && term == hard_.term && completes_commit(last, to);
}

// What commits the end of the log may be the copy of the very member that cannot get there without a
// snapshot: its log is behind the window, or forgotten, and too few others are there.  Everybody
// else that is counted has stored as much before it leaves, so the member may take it for committed:
// whoever is elected later needs one of them, and they had it before they could vote in a later term.
bool Core::completes_commit(Index last, ReplicaId to) const {
  if (!log_.has(last) || log_.at(last).term != hard_.term || stored_ < last) return false;
  const uint64_t reached = agreed(configuration(), progress(), QuorumKind::kCommit, [&](const Progress& member) {
    return member.member().replica == to ? std::max(member.match(), last).value : member.match().value;
  });
  return reached >= last.value;
}

void Core::on(const in::SnapshotFailed& input, Output&) {
  if (leader() == nullptr) return;
  Progress* const member = find(input.to);
  if (member == nullptr || member->state() != Progress::State::kSnapshot) return;
  member->snapshot_failed(now_us_);
}

void Core::on(const in::SnapshotReceived& input, Output& out) {
  if (is_left_out(input.from.node)) return;
  if (input.term < hard_.term || input.mark.last.epoch < hard_.epoch) return;
  if (input.term > hard_.term) adopt_term(input.term, out);
  if (!follow(input.from, out)) return;
  const SnapshotMark& mark = input.mark;
  if (!validate(mark.configuration.configuration).ok()) return;
  if (mark.last.epoch > hard_.epoch) archive_log(mark.last.epoch, out);
  const AppendAnswer stored{.result = AppendResult::kStored, .match = mark.last.index};
  if (mark.last.index > commit_) {
    const bool has_it =
        log_.has(mark.last.index) && log_.at(mark.last.index).term == mark.last.term;
    if (has_it && log_.at(mark.last.index).chain != mark.chain) {
      fail({.kind = Failure::Kind::kDivergence,
            .index = mark.last.index,
            .ours = log_.at(mark.last.index).chain,
            .theirs = mark.chain,
            .text = "the snapshot at " + std::to_string(mark.last.index.value) +
                    " stands on another log -> stop this replica"},
           out);
      return;
    }
    if (has_it) {
      // The log reaches as far: what the snapshot holds is committed, and the log brings it.
      verified_ = std::max(verified_, mark.last.index);
      leader_commit_ = std::max(leader_commit_, mark.last.index);
      commit_verified(out);
    } else {
      install(mark, out);
    }
  }
  out.write.then_send.push_back(message(input.from, stored));
}

void Core::install(const SnapshotMark& mark, Output& out) {
  out.facts.push_back("snapshot up to " + std::to_string(mark.last.index.value) +
                      " -> take it for the state");
  // What is not known to be the leader's may be lost, and may have been acknowledged weakly.
  const Index known = std::max(commit_, verified_);
  log_.truncate_from(std::max(next(known), log_.first_index()), out.truncated);
  start_log_anew(mark, out);
  out.install = mark;
  const StoredConfiguration remembered = std::move(configurations_.back());
  configurations_ = {mark.configuration};
  configurations_.back().at.epoch = hard_.epoch;
  // In mode `memory` it may remember a newer one than the snapshot's, also from an epoch before: that
  // stays the newest it knows.
  remembers_ = !has_passed(mark.last, remembered.at);
  if (remembers_) configurations_.push_back(remembered);
  configuration_is_another(out);
}

}  // namespace quorate::raft

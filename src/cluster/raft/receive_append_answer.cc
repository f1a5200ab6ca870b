// A member answers an append.
#include <algorithm>
#include <string>

#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

void Core::receive(const Message& answered, const AppendAnswer& answer, Output& out) {
  if (leader() == nullptr) return;
  Progress* const member = find(answered.from.replica);
  if (member == nullptr || member->member() == options_.self) return;
  member->is_silent = false;
  if (answer.result == AppendResult::kMismatch) {
    // It keeps what it has executed until a state takes the place of it (Core::ask_for_state).
    if (answer.hint.none() && !answer.hint_term.none() && answered.epoch == hard_.epoch) {
      const bool is_old = answer.rejected < member->match() || member->state() == Progress::State::kSnapshot;
      if (is_old) return;
      out.facts.push_back("replica " + std::to_string(member->member().replica.value) + " keeps what it has executed -> send a snapshot");
      member->wait_for_snapshot();
      out.snapshots_wanted.push_back(member->member());
      return;
    }
    // A member of an older recovery epoch has nothing that counts.
    const bool holds_nothing = answer.hint.none() && answer.hint_term.none();
    if (holds_nothing && !member->match().none() && answered.epoch == hard_.epoch) {
      // It has started over (or this is an old answer): what it stored counts no more until it says so again.
      member->restarted(next(last_index()));
      send_appends(*member, out);
      return;
    }
    const Index hint = answered.epoch == hard_.epoch ? answer.hint : Index();
    const Index likely = log_.last_not_above(hint, answer.hint_term);
    const bool is_known = hint >= log_.base().index &&
                          (likely > log_.base().index || log_.base().term <= answer.hint_term);
    // If nothing in the window can match, next_index() goes behind it and a snapshot is sent.
    const Index next_index = is_known ? next(likely) : log_.base().index;
    if (member->mismatched(answer.rejected, std::max(next_index, Index{1})))
      send_appends(*member, out);
    return;
  }
  if (answer.match > last_index() || answered.epoch != hard_.epoch) return;
  const bool waits_for_snapshot = member->state() == Progress::State::kSnapshot;
  if (waits_for_snapshot && !log_.term_at(answer.match)) {
    // If this is the snapshot that it has stored now, it came too late for the window: another one.
    if (answer.match > member->match()) out.snapshots_wanted.push_back(member->member());
    member->stored_behind_window(answer.match);
    out.copies_grew = true;
    return;
  }
  const bool grew = member->stored(answer.match, now_us_);
  if (grew) {
    out.copies_grew = true;
    advance_commit(out);
  }
  if (leader() == nullptr) return;
  // A row may have moved when a configuration was appended.
  if (Progress* const still = find(answered.from.replica)) {
    send_appends(*still, out);
    // It may have come so far only after everybody else was told.
    schedule_notice(*still);
  }
  continue_transfer(out);
}

}  // namespace quorate::raft

// The leader sends entries.
#include <algorithm>

#include "cluster/raft/core.h"
#include "cluster/raft/message_codec.h"
#include "util/check.h"

namespace quorate::raft {

void Core::receive(const Message& sent, const Append& append, Output& out) {
  CHECK(sent.term == hard_.term);
  if (!follow(sent.from, out)) return;
  CHECK(sent.epoch >= hard_.epoch);
  if (sent.epoch > hard_.epoch) archive_log(sent.epoch, out);

  // Everything up to the commit index is the same on every leader; what is sent of it again is only
  // compared.
  const std::optional<Term> prev_term = log_.term_at(append.prev_index);
  const bool is_behind_window = append.prev_index < log_.base().index;
  if (!is_behind_window && prev_term != append.prev_term) {
    if (append.prev_index <= commit_) {
      fail({.kind = Failure::Kind::kCommittedConflict,
            .index = append.prev_index,
            .text = "the leader has another term at committed index " +
                    std::to_string(append.prev_index.value) + " -> stop this replica"},
           out);
      return;
    }
    const Index hint = log_.last_not_above(before(append.prev_index), append.prev_term);
    tell(sent.from,
         AppendAnswer{.result = AppendResult::kMismatch,
                      .rejected = append.prev_index,
                      .hint = hint,
                      .hint_term = *log_.term_at(hint)},
         out);
    return;
  }
  if (!is_behind_window && *log_.chain_at(append.prev_index) != append.prev_chain) {
    fail({.kind = Failure::Kind::kDivergence,
          .index = append.prev_index,
          .ours = *log_.chain_at(append.prev_index),
          .theirs = append.prev_chain,
          .text = "same index and term, other bytes at " + std::to_string(append.prev_index.value) +
                  " -> stop this replica"},
         out);
    return;
  }
  if (take_entries(sent, append, out) != Taken::kAll) return;
  const Index last =
      append.entries.empty() ? append.prev_index : append.entries.view().back().index;
  verified_ = std::max(verified_, last);
  leader_commit_ = std::max(leader_commit_, append.commit);
  commit_verified(out);
  address(out.write.then_send.emplace_back(), sent.from).body = AppendAnswer{.result = AppendResult::kStored, .match = last};
}

// Compares what is here and appends what is not.
Core::Taken Core::take_entries(const Message& sent, const Append& append, Output& out) {
  Index expected = next(append.prev_index);
  for (const Entry& entry : append.entries.view()) {
    if (entry.index != expected || entry.term > hard_.term) {
      fail({.kind = Failure::Kind::kBadEntry,
            .index = entry.index,
            .text = "entries do not follow -> stop this replica"},
           out);
      return Taken::kFailed;
    }
    expected = next(expected);
    if (entry.index < log_.base().index) continue;
    if (entry.index == log_.base().index) {
      if (entry.chain == log_.base().chain) continue;
      fail({.kind = Failure::Kind::kCommittedConflict,
            .index = entry.index,
            .ours = log_.base().chain,
            .theirs = entry.chain,
            .text = "the leader has another log at committed index " +
                    std::to_string(entry.index.value) + " -> stop this replica"},
           out);
      return Taken::kFailed;
    }
    if (log_.has(entry.index)) {
      const Entry& ours = log_.at(entry.index);
      if (ours.term == entry.term) {
        if (ours.chain == entry.chain) continue;
        fail({.kind = Failure::Kind::kDivergence,
              .index = entry.index,
              .ours = ours.chain,
              .theirs = entry.chain,
              .text = "same index and term, other bytes at " + std::to_string(entry.index.value) +
                      " -> stop this replica"},
             out);
        return Taken::kFailed;
      }
      if (must_keep(entry.index)) {
        ask_for_state(sent, append, entry.index, out);
        return Taken::kNotExecuted;
      }
      if (!truncate(entry.index, out)) return Taken::kFailed;
    }
    const Proof proof = append.chains_are_computed ? Proof::kComputed : Proof::kClaimed;
    if (!append_received(entry, proof, out)) return Taken::kFailed;
  }
  return Taken::kAll;
}

// What is to be truncated has changed the node's state, which cannot take it back.  What came before may be committed and counted as
// stored here, so it is not given up with that: the replica stays what it is, as if the append had been lost, until the leader's state
// comes in the place of all of it.
bool Core::must_keep(Index from) const {
  if (options_.can_undo || from <= std::max(commit_, verified_)) return false;
  for (Index index = from; index <= executed_; index = next(index)) {
    if (log_.at(index).kind == EntryKind::kCommand) return true;
  }
  return false;
}

// No place where the logs may meet, but a term: the leader sends its state.  `sent` has brought entries of which those before `parts_at` are here.
void Core::ask_for_state(const Message& sent, const Append& append, Index parts_at, Output& out) {
  out.facts.push_back("the leader's log parts at " + std::to_string(parts_at.value) + ", behind which this one was executed up to " +
                      std::to_string(executed_.value) + " -> keep it until the leader's state is here");
  verified_ = std::max(verified_, before(parts_at));
  leader_commit_ = std::max(leader_commit_, append.commit);
  commit_verified(out);
  tell(sent.from, AppendAnswer{.result = AppendResult::kMismatch, .rejected = append.prev_index, .hint_term = hard_.term}, out);
}

// A computed chain goes on from one that was found to be that of this log: of the entry before it, here or in the message.
bool Core::append_received(const Entry& entry, Proof proof, Output& out) {
  std::optional<Configuration> brought;
  if (entry.kind == EntryKind::kConfiguration) {
    Result<Configuration> decoded = decode_configuration(entry.payload.view());
    if (decoded.ok()) brought = std::move(decoded).value();
  }
  const bool is_whole = proof == Proof::kComputed || entry.chain == chain_after(log_.last_chain(), entry);
  const bool is_readable = entry.kind != EntryKind::kConfiguration || brought;
  if (!is_whole || !is_readable || entry.term < log_.last_term()) {
    fail({.kind = Failure::Kind::kBadEntry,
          .index = entry.index,
          .text = "entry " + std::to_string(entry.index.value) +
                  " cannot be right -> stop this replica"},
         out);
    return false;
  }
  log_.append(entry);
  out.write.append.push_back(entry);
  if (remembers_ && !brought && has_passed(position(), configuration_at())) forget_remembered(out);
  if (brought) {
    adopt({.at = {.epoch = hard_.epoch, .term = entry.term, .index = entry.index},
           .configuration = *brought},
          out);
  }
  return true;
}

// Takes back the tail from `from` on.  False: the core failed, since some of it is committed.
bool Core::truncate(Index from, Output& out) {
  // What the leader of this term sent before is as good as committed here: it would contradict
  // itself.
  if (from <= std::max(commit_, verified_)) {
    fail({.kind = Failure::Kind::kCommittedConflict,
          .index = from,
          .text = "the leader would overwrite index " + std::to_string(from.value) +
                  " -> stop this replica"},
         out);
    return false;
  }
  out.facts.push_back("the leader's log parts at " + std::to_string(from.value) + " -> truncate " +
                      std::to_string(last_index().value - from.value + 1) + " entries");
  log_.truncate_from(from, out.truncated);
  stored_ = std::min(stored_, last_index());
  executed_ = std::min(executed_, last_index());
  for (PendingWrite& write : pending_writes_) write.last = std::min(write.last, last_index());
  take_back_configurations(last_index(), out);
  return true;
}

// An all-present restart has chosen another log: this one goes to a loss record, whole.
void Core::archive_log(RecoveryEpoch epoch, Output& out) {
  CHECK(epoch > hard_.epoch);
  out.facts.push_back("recovery epoch " + std::to_string(epoch.value) +
                      " is led by another log -> archive this one");
  log_.truncate_from(log_.first_index(), out.truncated);
  out.log_archived = true;
  hard_.epoch = epoch;
  hard_.standing = Standing::kRecovering;
  hard_changed_ = true;
  start_log_anew({}, out);
  // Who belongs to the group is remembered until the chosen log says it.
  configurations_.erase(configurations_.begin(), configurations_.end() - 1);
  remembers_ = true;
  recovery_ = {};
}

// The log begins behind `mark`, in memory and on disk.
void Core::start_log_anew(const SnapshotMark& mark, Output& out) {
  log_.reset({.index = mark.last.index, .term = mark.last.term, .chain = mark.chain});
  commit_ = mark.last.index;
  applied_ = mark.last.index;
  executed_ = mark.last.index;
  verified_ = mark.last.index;
  leader_commit_ = mark.last.index;
  stored_ = {};
  for (PendingWrite& write : pending_writes_) write.last = {};
  out.write.append.clear();
  out.write.log_base = mark;
}

// What the leader has committed is committed here as far as the log is known to be the leader's.
void Core::commit_verified(Output& out) {
  const Index reached = std::min(leader_commit_, verified_);
  if (reached > commit_) set_commit(reached, out);
}

}  // namespace quorate::raft

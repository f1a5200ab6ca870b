// The leader's log and the way of its entries to the members; the commit index.
#include <algorithm>

#include "cluster/raft/agreed.h"
#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

bool Core::can_propose() const {
  const Leader* const leading = leader();
  return !failed_ && leading != nullptr && !leading->suspended && !leading->transfer;
}

void Core::on(const in::Propose& input, Output& out) {
  CHECK(can_propose());
  CHECK(input.kind == EntryKind::kCommand || input.kind == EntryKind::kMarker);
  executed_ = append_own(input.kind, input.payload, out);
  send_appends(out);
}

Index Core::append_own(EntryKind kind, SharedBytes payload, Output& out) {
  CHECK(leader() != nullptr);
  Entry entry{
      .term = hard_.term, .index = next(last_index()), .payload = std::move(payload), .kind = kind};
  entry.chain = chain_after(log_.last_chain(), entry);
  out.write.append.push_back(entry);
  log_.append(std::move(entry));
  return last_index();
}

void Core::send_appends(Output& out) {
  for (Progress& member : leader()->progress) {
    if (member.member() != options_.self) send_appends(member, out);
  }
}

void Core::send_appends(Progress& member, Output& out) {
  while (member.may_send(options_.in_flight_bytes_max)) {
    const Index prev = before(member.next_index());
    const std::optional<Term> prev_term = log_.term_at(prev);
    if (!prev_term) {
      out.facts.push_back("replica " + std::to_string(member.member().replica.value) +
                          " is behind the window -> send a snapshot");
      member.wait_for_snapshot();
      out.snapshots_wanted.push_back(member.member());
      return;
    }
    const bool is_probe = member.state() == Progress::State::kProbe;
    if (!is_probe && prev == last_index()) return;
    Append append{.prev_index = prev,
                  .prev_term = *prev_term,
                  .prev_chain = *log_.chain_at(prev),
                  .commit = commit_,
                  .entries = {}};
    size_t bytes = 0;
    Index last = prev;
    while (last < last_index()) {
      const Entry& entry = log_.at(next(last));
      if (bytes > 0 && bytes + entry.size() > options_.append_bytes_max) break;
      bytes += entry.size();
      append.entries.push_back(entry);
      last = entry.index;
    }
    if (append.entries.empty()) {
      member.probe_sent(now_us_);
    } else {
      member.sent(last, bytes, now_us_);
    }
    member.told_commit = commit_;
    tell(member.member(), std::move(append), out);
  }
}

// Followers that have the entries hear that they are committed.
void Core::send_notices(Output& out) {
  Leader& leading = *leader();
  leading.notice_us = kNever;
  for (Progress& member : leading.progress) send_notice(member, out);
}

void Core::send_notice(Progress& member, Output& out) {
  const bool is_reached = member.state() == Progress::State::kReplicate && !member.is_silent;
  if (member.member() == options_.self || !is_reached || member.told_commit >= commit_) return;
  member.told_commit = commit_;
  tell(member.member(), CommitNotice{.commit = commit_}, out);
}

void Core::on(const in::Nudge& input, Output& out) {
  if (leader() == nullptr || leader()->suspended) return;
  for (Progress& member : leader()->progress) {
    if (!input.node.none() && member.member().node != input.node) continue;
    send_notice(member, out);
    send_again(member, options_.nudge_us, out);
  }
}

void Core::retry_appends(Output& out) {
  for (Progress& member : leader()->progress) send_again(member, options_.retry_us, out);
}

int64_t Core::lost_at_us(const Progress& member, int64_t unanswered_us) const {
  if (member.is_silent || member.idle()) return kNever;
  // What is large takes its time, and sent again it would take as much once more.
  const auto slow = static_cast<int64_t>(member.bytes_in_flight() / options_.slow_bytes);
  return member.waiting_since_us() + unanswered_us + slow * options_.slow_us;
}

// If what is on the way to it was not answered for so long.
void Core::send_again(Progress& member, int64_t unanswered_us, Output& out) {
  if (now_us_ < lost_at_us(member, unanswered_us)) return;
  member.probe_again();
  send_appends(member, out);
}

void Core::on(const in::PeerConnected& input, Output& out) {
  if (leader() == nullptr) return;
  for (Progress& member : leader()->progress) {
    if (member.member().node != input.node || member.member() == options_.self) continue;
    member.is_silent = false;
    if (member.state() == Progress::State::kSnapshot) {
      // The stream of the snapshot went with the connection.
      out.snapshots_wanted.push_back(member.member());
      continue;
    }
    member.probe_again();
    send_appends(member, out);
  }
}

void Core::on(const in::PeerRestarted& input, Output& out) {
  if (leader() == nullptr) {
    on(in::PeerSilent{.node = input.node, .reason = Silence::kRestarted}, out);
    return;
  }
  for (Progress& member : leader()->progress) {
    if (member.member().node != input.node || member.member() == options_.self) continue;
    member.is_silent = false;
    member.restarted(next(last_index()));
    send_appends(member, out);
  }
}

Progress* Core::find(ReplicaId replica) {
  CHECK(leader() != nullptr);
  for (Progress& member : leader()->progress) {
    if (member.member().replica == replica) return &member;
  }
  return nullptr;
}

std::span<const Progress> Core::progress() const {
  const Leader* const leading = leader();
  if (leading == nullptr) return {};
  return leading->progress;
}

// Rows for the members of the active configuration; those that were there keep what is known of
// them.
void Core::rebuild_progress() {
  Leader& leading = *leader();
  std::vector<Progress> rows;
  for (const Member& member : configuration().members()) {
    Progress* const known = find(member.replica);
    Progress row = known != nullptr ? std::move(*known) : Progress(member, next(last_index()));
    if (known == nullptr) row.heard_us = now_us_;
    if (known == nullptr && member == options_.self) row.stored_here(stored_);
    row.in_incoming = configuration().incoming.has(member.replica);
    row.in_outgoing = configuration().joint() && configuration().outgoing->has(member.replica);
    // A configuration entry restarts the count of the lease.
    row.confirmed_beat = {};
    row.confirmed_sent_us = INT64_MIN;
    rows.push_back(std::move(row));
  }
  leading.progress = std::move(rows);
  leading.lease_from_us = now_us_;
  note_heard();
}

Index Core::quorum_match() const {
  return {agreed(configuration(), progress(), QuorumKind::kCommit,
                 [](const Progress& member) { return member.match().value; })};
}

void Core::advance_commit(Output& out) {
  const Index reached = quorum_match();
  if (reached > commit_) {
    // Copies of an older term's entry prove nothing: a later leader may still overwrite it.  It is
    // committed underneath an entry of this term.
    const bool is_own_term = log_.at(reached).term == hard_.term;
    if (is_own_term || mistakes_.commit_old_terms_by_count) set_commit(reached, out);
  }
  answer_reads(out);
  continue_transfer(out);
  continue_change(out);
}

Index Core::copies(uint32_t level) const {
  CHECK(level >= 1);
  const Leader* const leading = leader();
  if (leading == nullptr) return {};
  const auto of_half = [&](const Half& half) {
    std::vector<uint64_t> matches;
    for (const Progress& member : leading->progress) {
      const bool is_voter = half.has(member.member().replica);
      if (is_voter || half.voters.size() == 1) matches.push_back(member.match().value);
    }
    const auto count = static_cast<uint32_t>(std::min<size_t>(level, matches.size()));
    return count == 0 ? 0 : reached_by(matches, count);
  };
  uint64_t reached = of_half(configuration().incoming);
  if (configuration().joint()) reached = std::min(reached, of_half(*configuration().outgoing));
  return {reached};
}

uint32_t Core::copies_possible() const {
  const size_t learners = configuration().learners.size();
  const auto of_half = [&](const Half& half) {
    return static_cast<uint32_t>(half.voters.size() + (half.voters.size() == 1 ? learners : 0));
  };
  const uint32_t incoming = of_half(configuration().incoming);
  return configuration().joint() ? std::max(incoming, of_half(*configuration().outgoing)) : incoming;
}

}  // namespace quorate::raft

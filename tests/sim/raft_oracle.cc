// One log a group stands for what all replicas agreed on: whoever commits first writes it, the
// others must find the same.
#include "tests/sim/raft_oracle.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace quorate::sim {

namespace {

std::string text_of(const char* what, const raft::Core& core, raft::Index index) {
  char line[240];
  std::snprintf(line, sizeof(line),
                "%s: group %" PRIu64 " replica %" PRIu64 " on node %" PRIu64 " term %" PRIu64
                " epoch %" PRIu64 " index %" PRIu64,
                what, core.options().group.value, core.options().self.replica.value,
                core.options().self.node.value, core.term().value, core.epoch().value, index.value);
  return line;
}

}  // namespace

void Oracle::create_group(raft::GroupId group, raft::Chain first_chain) {
  groups_[group].first_chain = first_chain;
}

void Oracle::fail(std::string text) {
  if (wrong_.empty()) wrong_ = std::move(text);
}

Oracle::Committed* Oracle::find(Group& group, raft::Index index) {
  if (index.value < 2 || slot_of(index) >= group.log.size()) return nullptr;
  return &group.log[slot_of(index)];
}

raft::Index Oracle::committed(raft::GroupId group) const {
  return {groups_.at(group).log.size() + 1};
}

uint64_t Oracle::committed_entries() const {
  uint64_t sum = 0;
  for (const auto& [id, group] : groups_) sum += group.log.size();
  return sum;
}

void Oracle::note_leader(const raft::Core& core) {
  Group& group = groups_.at(core.options().group);
  ++leader_count_;
  // Who was given up may have led in the very term in which those that are left elect: nobody of them knew of it.
  if (core.role_state().takeover == raft::Takeover::kUnsafeRecovery)
    group.leaders.erase(group.leaders.lower_bound(core.term()), group.leaders.end());
  const auto [at, fresh] = group.leaders.emplace(core.term(), core.options().self.replica);
  if (!fresh && at->second != core.options().self.replica) {
    fail(text_of("I1: a second leader of one term", core, core.last_index()));
  }
  if (core.role_state().takeover != raft::Takeover::kTransfer) {
    group.elected_without_handover.insert(core.term());
  }
  if (core.epoch() != group.epoch) return;
  // Elected, but late: others may lead and commit in higher terms already.
  raft::Index last{group.log.size() + 1};
  while (last.value >= 2 && find(group, last)->in_term >= core.term()) last = before(last);
  if (core.last_index() < last) {
    fail(text_of("I5: a leader without all that is committed", core, last));
    return;
  }
  const auto chain = core.log().chain_at(last);
  const Committed* const entry = find(group, last);
  if (chain && entry != nullptr && *chain != entry->chain) {
    fail(text_of("I5: a leader with another entry than is committed", core, last));
  }
}

void Oracle::note_commit(const raft::Core& core, raft::Index from) {
  Group& group = groups_.at(core.options().group);
  if (core.epoch() < group.epoch) return;
  if (core.epoch() > group.epoch) {
    // The leader's log is the one that was chosen; a follower may hold only its beginning.
    if (core.role() != raft::RoleName::kLeader) return;
    begin_epoch(group, core);
  }
  // A leader of a new epoch may have committed some of it as a leader of none.
  const raft::Index first{std::min(from.value, group.log.size() + 1) + 1};
  for (raft::Index index = first; index <= core.commit_index(); index = next(index)) {
    const auto chain = core.log().chain_at(index);
    const Committed* const known = find(group, index);
    if (!chain || known == nullptr || known->chain == *chain) continue;
    fail(text_of("I3: another entry is committed already", core, index));
    return;
  }
  if (core.commit_index().value <= group.log.size() + 1) return;
  const std::vector<const raft::Entry*> entries = new_entries(group, core);
  if (entries.empty()) fail(text_of("I3: committed behind a gap", core, core.commit_index()));
  for (const raft::Entry* const entry : entries) extend(group, core, *entry);
}

const raft::Entry* Oracle::entry_at(const Group& group, raft::Index index, raft::Chain chain) {
  const auto found = group.entries.find(index);
  if (found == group.entries.end()) return nullptr;
  for (const raft::Entry& entry : found->second) {
    if (entry.chain == chain) return &entry;
  }
  return nullptr;
}

const raft::Entry* Oracle::entry_before(const Group& group, const raft::Entry& entry) {
  const auto found = group.entries.find(before(entry.index));
  if (found == group.entries.end()) return nullptr;
  for (const raft::Entry& previous : found->second) {
    if (chain_after(previous.chain, entry) == entry.chain) return &previous;
  }
  return nullptr;
}

std::vector<const raft::Entry*> Oracle::new_entries(const Group& group, const raft::Core& core) {
  std::vector<const raft::Entry*> entries;
  const raft::Index first{group.log.size() + 2};
  const auto last_chain = core.log().chain_at(core.commit_index());
  if (!last_chain) return {};
  const raft::Entry* entry = core.log().has(core.commit_index())
                                 ? &core.log().at(core.commit_index())
                                 : entry_at(group, core.commit_index(), *last_chain);
  while (entry != nullptr) {
    entries.push_back(entry);
    if (entry->index == first) {
      // A log that was chosen when all had forgotten everything begins anew.
      const bool is_anew = group.log.empty() && !group.epoch.none();
      const raft::Chain known = group.log.empty() ? group.first_chain : group.log.back().chain;
      if (!is_anew && chain_after(known, *entry) != entry->chain) return {};
      std::reverse(entries.begin(), entries.end());
      return entries;
    }
    const raft::Index previous = before(entry->index);
    entry = core.log().has(previous) ? &core.log().at(previous) : entry_before(group, *entry);
  }
  return {};
}

void Oracle::extend(Group& group, const raft::Core& core, const raft::Entry& entry) {
  const raft::Index index = entry.index;
  Committed& committed = group.log.emplace_back();
  committed.in_term = core.term();
  committed.chain = entry.chain;
  if (entry.kind != raft::EntryKind::kCommand) return;
  for (const Effect& effect : decode_effects(entry.payload.view())) {
    const Token& token = effect.command.token;
    const auto [at, fresh] = group.tokens.emplace(key_of(token), index);
    if (!fresh) fail(text_of("I12: a write was applied twice", core, index));
    if (token.number > 1 &&
        !group.tokens.contains(key_of({token.client, token.session, token.number - 1}))) {
      fail(text_of("I12: a write overtook the one before it", core, index));
    }
    committed.tokens.push_back(token);
  }
}

// Entries that the chosen log lacks are lost.  Allowed if a commit quorum had forgotten what it
// held.
void Oracle::begin_epoch(Group& group, const raft::Core& core) {
  // Where its log begins with a state, what was stored tells which entries that stands for, down to the last that was committed as well.
  std::map<raft::Index, raft::Chain> below;
  const raft::Index base = core.log().base().index;
  const auto base_chain = core.log().chain_at(base);
  const raft::Entry* entry = base_chain ? entry_at(group, base, *base_chain) : nullptr;
  for (; entry != nullptr; entry = entry_before(group, *entry)) {
    below[entry->index] = entry->chain;
    const Committed* const known = find(group, entry->index);
    if (known != nullptr && known->chain == entry->chain) break;
  }
  size_t kept = 0;
  while (kept < group.log.size()) {
    const raft::Index index{kept + 2};
    auto chain = core.log().chain_at(index);
    if (const auto found = below.find(index); !chain && found != below.end()) chain = found->second;
    if (chain && *chain != group.log[kept].chain) break;
    if (!chain && index > core.last_index()) break;
    ++kept;
  }
  if (kept < group.log.size()) {
    if (group.forgetful_at_recovery < group.needed_at_recovery) {
      fail(text_of("an all-present restart lost what too few had forgotten", core, {kept + 2}) +
           " of " + std::to_string(group.log.size() + 1) + ", " +
           std::to_string(group.forgetful_at_recovery) + " had forgotten, " +
           raft::describe(core.configuration()));
    }
  }
  for (size_t slot = kept; slot < group.log.size(); ++slot) {
    for (const Token& token : group.log[slot].tokens) {
      group.tokens.erase(key_of(token));
      group.excused.insert(key_of(token));
    }
  }
  group.log.resize(kept);
  group.epoch = core.epoch();
  group.forgetful_at_recovery = 0;
  group.needed_at_recovery = UINT32_MAX;
}

void Oracle::note_state(const raft::Core& core, raft::Index index, uint64_t hash) {
  Group& group = groups_.at(core.options().group);
  // A follower may be the first to know a part of the log that was chosen, and the other log was another one.
  if (core.epoch() != group.epoch) return;
  Committed* const entry = find(group, index);
  if (entry == nullptr) return;
  if (!entry->has_state_hash) {
    entry->has_state_hash = true;
    entry->state_hash = hash;
  } else if (entry->state_hash != hash) {
    char line[120];
    std::snprintf(line, sizeof(line), "I6: states differ: group %" PRIu64 " index %" PRIu64,
                  core.options().group.value, index.value);
    fail(line);
  }
}

void Oracle::note_truncated(const raft::Core& core, const std::vector<raft::Entry>& entries,
                            raft::Index replaced) {
  Group& group = groups_.at(core.options().group);
  for (const raft::Entry& entry : entries) {
    if (entry.index <= replaced) continue;
    const Committed* const known = find(group, entry.index);
    // By the word of a leader of before that commit it may go: then this replica is not one of those that made it.
    const bool is_committed = known != nullptr && known->chain == entry.chain && core.term() >= known->in_term;
    if (is_committed && core.epoch() == group.epoch) {
      fail(text_of("I3: a committed entry was truncated", core, entry.index));
    }
  }
}

void Oracle::note_installed(const raft::Core& core, const raft::SnapshotMark& mark) {
  Group& group = groups_.at(core.options().group);
  if (core.epoch() != group.epoch) return;
  const Committed* const known = find(group, mark.last.index);
  // Its own copy may be the one that commits it.
  const raft::Configuration& configuration = mark.configuration.configuration;
  const auto commits = [&](const raft::Half& half) { return completes_commit(group, half, core.options().self.replica, mark); };
  // Behind a joint one that is committed the leader may count by the next already, which is not in the mark.
  const bool is_followed = find(group, mark.configuration.at.index) != nullptr;
  const bool is_completed = known == nullptr && commits(configuration.incoming) &&
                            (!configuration.joint() || is_followed || commits(*configuration.outgoing));
  if (mark.last.index.value >= 2 && !is_completed && (known == nullptr || known->chain != mark.chain)) {
    fail(text_of("a snapshot of what is not committed", core, mark.last.index) + " of " + std::to_string(group.log.size() + 1) + ", " +
         raft::describe(configuration));
  }
}

void Oracle::note_stored(const raft::Core& core, const std::vector<raft::Entry>& entries) {
  Group& group = groups_.at(core.options().group);
  for (const raft::Entry& entry : entries) {
    group.copies[entry.index].push_back({core.options().self.replica, entry.chain});
    if (entry_at(group, entry.index, entry.chain) == nullptr) group.entries[entry.index].push_back(entry);
  }
}

void Oracle::note_recovery(const raft::Core& core, uint32_t forgetful) {
  Group& group = groups_.at(core.options().group);
  if (core.epoch() <= group.epoch) return;
  group.forgetful_at_recovery = std::max(group.forgetful_at_recovery, forgetful);
  // So many voters may have committed alone what is lost: by the configuration of this moment, the leader may finish a joint one at once.
  const raft::Configuration& configuration = core.configuration();
  uint32_t needed = configuration.incoming.quorums().commit;
  if (configuration.outgoing) needed = std::min(needed, configuration.outgoing->quorums().commit);
  group.needed_at_recovery = std::min(group.needed_at_recovery, needed);
}

void Oracle::note_sent(const raft::Message& message, bool owes_recovery) {
  const auto* const answer = std::get_if<raft::VoteAnswer>(&message.body);
  if (answer == nullptr || answer->result != raft::VoteResult::kGranted) return;
  if (answer->kind != raft::VoteKind::kVote || !owes_recovery) return;
  char line[120];
  std::snprintf(line, sizeof(line),
                "I10: replica %" PRIu64 " voted before it had recovered, term %" PRIu64,
                message.from.replica.value, message.term.value);
  fail(line);
}

void Oracle::note_snapshot_stored(const raft::Core& core, raft::Index last) {
  Group& group = groups_.at(core.options().group);
  raft::Index& known = group.snapshots[core.options().self.replica];
  known = std::max(known, last);
  const bool is_new = last.value >= 2 && find(group, last) == nullptr && core.epoch() == group.epoch;
  if (is_new && core.commit_index() >= last) note_commit(core, before(last));
}

// Has a commit quorum of the half stored the log up to the mark, when `taker` has?
bool Oracle::completes_commit(const Group& group, const raft::Half& half, raft::ReplicaId taker, const raft::SnapshotMark& mark) {
  std::set<raft::ReplicaId> holders;
  if (half.has(taker)) holders.insert(taker);
  const auto found = group.copies.find(mark.last.index);
  if (found == group.copies.end()) return false;
  for (const Copy& copy : found->second) {
    if (copy.chain == mark.chain && half.has(copy.replica)) holders.insert(copy.replica);
  }
  return holders.size() >= half.quorums().commit;
}

bool Oracle::enough_copies(const Group& group, const raft::Half& half, uint32_t level,
                           const AcknowledgedWrite& write) {
  // Where one voter stands for a half, learners count too (REPLICATION.md 7).
  const bool counts_all = half.voters.size() == 1;
  const auto counts = [&](raft::ReplicaId replica) { return counts_all || half.has(replica); };
  std::set<raft::ReplicaId> holders;
  const auto found = group.copies.find(write.index);
  if (found != group.copies.end()) {
    for (const Copy& copy : found->second) {
      if (copy.chain == write.chain && counts(copy.replica)) holders.insert(copy.replica);
    }
  }
  for (const auto& [replica, last] : group.snapshots) {
    if (last >= write.index && counts(replica)) holders.insert(replica);
  }
  return holders.size() >= std::min<size_t>(level, half.voters.size());
}

void Oracle::note_acknowledged(const raft::Core& core, const AcknowledgedWrite& write,
                               uint32_t level) {
  Group& group = groups_.at(write.group);
  acknowledged_.push_back(write);
  if (write.committed) {
    const Committed* const known = find(group, write.index);
    if (known == nullptr || known->chain != write.chain) {
      fail(text_of("I7: a reply left before its write was committed", core, write.index));
    }
  }
  const raft::Configuration& configuration = core.configuration();
  const bool met =
      enough_copies(group, configuration.incoming, level, write) &&
      (!configuration.outgoing || enough_copies(group, *configuration.outgoing, level, write));
  if (!met) {
    fail(text_of("I7: a reply left with too few copies", core, write.index) + " level " +
         std::to_string(level) + " of " + raft::describe(configuration));
  }
}

// I7: what is committed is not known to a leader before something of its own term is.
void Oracle::note_read(const raft::Core& core) {
  if (core.log().term_at(core.commit_index()) == core.term()) return;
  fail(text_of("I7: a read was answered before the term's first entry was committed", core,
               core.commit_index()));
}

void Oracle::check_ledger() {
  for (const AcknowledgedWrite& write : acknowledged_) {
    Group& group = groups_.at(write.group);
    const TokenKey key = key_of(write.token);
    if (group.tokens.contains(key) || group.excused.contains(key)) continue;
    const bool noted = losses_[write.group].contains(key);
    // A leader that took over without a handover says so, and for how long back.
    const bool taken_over = group.elected_without_handover.upper_bound(write.term) !=
                            group.elected_without_handover.end();
    if (!write.committed && (noted || taken_over)) {
      ++lost_weak_writes_;
      continue;
    }
    char line[200];
    std::snprintf(line, sizeof(line),
                  "a write that was acknowledged %sis lost: group %" PRIu64 " index %" PRIu64
                  " term %" PRIu64 " client %" PRIu32,
                  write.committed ? "" : "weakly and is in no loss record ", write.group.value,
                  write.index.value, write.term.value, write.token.client);
    fail(line);
  }
}

}  // namespace quorate::sim

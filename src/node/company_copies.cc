// Reads that the copies here answer, whoever leads: which may, how old they are, and what others are told of that.
#include <algorithm>
#include <utility>

#include "node/company.h"
#include "node/state.h"

namespace quorate {

using Kind = ReadLevel::Kind;

// ---- how old they are ---------------------------------------------------------------------------------------

// The leader also sends what the copy lacks (raft::in::Nudge).
void Company::ask_freshness(uint32_t partition, int64_t now_us) {
  if (!states_[partition].freshness.may_ask(now_us)) return;
  Buffer bytes;
  quorate::encode(FreshnessMessage{.partition = partition, .asked_us = static_cast<uint64_t>(now_us)}, bytes);
  ask_leader(partition, static_cast<uint64_t>(FreshnessKind::kAsk), bytes.view());
}

// Asks the leader in time for the next read.
bool Company::is_fresh(uint32_t partition, int64_t bound_us) {
  Freshness& freshness = states_[partition].freshness;
  // A turn may take a while until it comes to this read.
  const int64_t now_us = std::max(node_.now.steady_us, node_.clock());
  const int64_t age_us = freshness.age_us(now_us, cluster_->partitions().state_index(partition).value);
  if (age_us > bound_us / 2) ask_freshness(partition, now_us);
  return age_us <= bound_us;
}

Status Company::take_freshness(NodeId from, FreshnessKind kind, std::string_view bytes) {
  TRY(FreshnessMessage message, decode_freshness(kind, bytes, static_cast<uint32_t>(states_.size())));
  if (kind == FreshnessKind::kTold) {
    const auto asked_us = static_cast<int64_t>(message.asked_us);
    if (asked_us <= node_.now.steady_us) states_[message.partition].freshness.told(asked_us, *message.commit_index);
    return done();
  }
  asked_freshness_.emplace_back(from, message);
  return done();
}

// A read has met the copy there, or (0) has to hear of several: they need not wait for the next message.
void Company::nudge(uint32_t partition, NodeId node) {
  cluster_->groups().step(wall_now(), group_of_partition(partition), raft::in::Nudge{.node = {node}});
}

// What is committed now was, if the lease still lasts, all that anybody has acknowledged until now.
void Company::tell_freshness() {
  for (auto& [from, message] : std::exchange(asked_freshness_, {})) {
    const raft::Core* const core = cluster_->partitions().core(message.partition);
    const bool leads = core != nullptr && serves(message.partition) && node_.now.steady_us < core->lease_until_us();
    if (!leads && !(core != nullptr && node_.mistakes.tells_age_without_lease)) continue;
    nudge(message.partition, from);
    message.commit_index = core->commit_index().value;
    Buffer answer;
    quorate::encode(message, answer);
    send(from, static_cast<uint64_t>(FreshnessKind::kTold), answer.view(), {});
  }
}

// ---- which may answer ---------------------------------------------------------------------------------------

bool Company::asks_copies(const Session& session) const {
  return session.has(kReadonlyReplica | kHasLevels) || !levels_are_plain_ || node_.mistakes.local_is_lease;
}

// Nothing: only the leader may answer.
std::optional<Company::CopyWanted> Company::copy_wanted(const Session& session, std::string_view key) const {
  const Levels asked = session.once_levels.or_else(session.levels);
  const ReadLevel level = levels_of(session, key).read;
  if (level.kind == Kind::kLocal || node_.mistakes.local_is_lease) return CopyWanted{};
  if (session.has(kReadonlyReplica) && !asked.read.is_set()) return CopyWanted{.is_local = false};
  if (level.kind == Kind::kBounded) return CopyWanted{.age_us_max = int64_t{level.number} * 1000, .is_local = false};
  return std::nullopt;
}

// What has run in this turn is in memory, and in no log yet.
bool Company::is_committed_here(uint32_t partition) {
  note_removals();
  return !states_[partition].is_touched && cluster_->partitions().has_committed_state(partition);
}

bool Company::has_readable_copy(uint32_t partition, int64_t age_us_max) {
  const Partitions& partitions = cluster_->partitions();
  if (is_committed_here(partition)) return age_us_max == kNever || is_fresh(partition, age_us_max);
  if (age_us_max != kNever || !partitions.has_own_state(partition)) return false;
  // Of a leader, or of one that was: it may show what is not committed, and will be lost, so whoever leads now is asked instead.
  const NodeId leader = leader_of(partition);
  return leader == 0 || leader == own_id();
}

bool Company::may_read_copy(const Session& session, uint32_t command_flags, std::span<const std::string_view> keys, uint32_t partition) {
  constexpr uint32_t kNotOfData = kWrite | kMayReplicate | kBlocking;
  constexpr std::string_view kAnyKey[] = {std::string_view()};
  if ((command_flags & kReadonly) == 0 || (command_flags & kNotOfData) != 0) return false;
  // What the strictest of the keys wants.
  CopyWanted wanted;
  for (const std::string_view key : keys.empty() ? std::span<const std::string_view>(kAnyKey) : keys) {
    const auto of_key = copy_wanted(session, key);
    if (!of_key) return false;
    wanted.age_us_max = std::min(wanted.age_us_max, of_key->age_us_max);
    wanted.is_local = wanted.is_local && of_key->is_local;
  }
  const int64_t now_us = std::max(node_.now.steady_us, node_.clock());
  // Other than at level local a leader tells what is not committed only while it may well be none any more.
  const bool is_ahead = serves(partition) && !wanted.is_local && !is_committed_here(partition);
  if (is_ahead && !is_doubted(partition, now_us)) return false;
  if (!has_readable_copy(partition, wanted.age_us_max)) return false;
  // What the connection has written or seen elsewhere must be there.
  if (cluster_->partitions().state_index(partition).value >= session.places.index_in(partition)) return true;
  ask_freshness(partition, now_us);
  return false;
}

}  // namespace quorate

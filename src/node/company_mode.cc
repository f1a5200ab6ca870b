// The mode (REPLICATION 5): what the members want, what this node must keep and keeps, and who waits until all partitions go by it.
#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "node/company.h"
#include "node/host.h"
#include "node/input.h"
#include "node/state.h"
#include "util/buffer.h"

namespace quorate {

namespace {

// For the log; empty if there is nothing.
std::string shown(std::span<const ClusterNode::HeldUp> held_up) {
  constexpr size_t kShownMax = 4;
  std::string text;
  for (const ClusterNode::HeldUp& each : held_up.first(std::min(held_up.size(), kShownMax))) {
    text += (text.empty() ? " (its snapshot waits for partition " : ", ") + std::to_string(each.partition) + ": " + std::string(name_of(each.by));
  }
  if (held_up.size() > kShownMax) text += " and " + std::to_string(held_up.size() - kShownMax) + " more";
  return text.empty() ? text : text + ')';
}

raft::Durability own_mode(const NodeSettings& settings) { return mode_of(settings.appendonly, settings.appendfsync == FsyncPolicy::kAlways); }

// The same of groups that were read and do not run yet.  What they have committed is not known: the hard state has the newest.
std::optional<raft::Durability> required_of(const RestoredCluster& restored, raft::GroupId meta) {
  std::optional<raft::Durability> required;
  for (const auto& [group, found] : restored.groups) {
    if (group == meta) continue;
    const auto wanted = raft::strictest(found.restored.base.configuration.configuration, found.restored.hard_state.configuration.configuration);
    if (wanted) required = std::max(required.value_or(raft::Durability::kMemory), *wanted);
  }
  return required;
}

}  // namespace

raft::Durability Company::members_mode() const {
  const ClusterState* const members = cluster_ != nullptr ? &cluster_->state() : restored_ ? &restored_->state : nullptr;
  const std::optional<raft::Durability> decided = members != nullptr ? members->mode() : std::nullopt;
  return decided.value_or(own_mode(node_.settings));
}

raft::Durability Company::wanted_mode() const {
  std::optional<raft::Durability> required;
  if (cluster_ != nullptr) {
    required = cluster_->partitions().required_mode();
  } else if (restored_) {
    required = required_of(*restored_, meta_group(node_.store.partition_count()));
  }
  return std::max(members_mode(), required.value_or(raft::Durability::kMemory));
}

raft::Durability Company::mark_mode() const {
  return wanted_mode() == raft::Durability::kSynced ? raft::Durability::kSynced : raft::Durability::kOs;
}

raft::Durability Company::kept_mode() const {
  if (!node_.durability.keeps_log()) return raft::Durability::kMemory;
  if (!in_company_) return own_mode(node_.settings);
  if (!log_is_whole() || becomes_bare()) return raft::Durability::kMemory;
  return mark_.says_synced() ? raft::Durability::kSynced : raft::Durability::kOs;
}

void Company::follow_mode() {
  if (!in_company_ || is_silent_) return;
  follow_appendonly();
  cluster_->set_kept_mode(wall_now(), kept_mode());
  tell_mode();
}

std::vector<ClusterNode::HeldUp> Company::snapshot_held_up() const {
  const Persistence& state = node_.persistence;
  if (!in_company_) return {};
  if (state.checkpoint) {
    // Before all of it is written nothing is asked.
    if (state.job.state() != SnapshotJob::State::kWritten) return {};
    return cluster_->held_up(*state.checkpoint);
  }
  const bool is_owed = keeping_ == Keeping::kAll && !log_is_whole();
  const bool is_wanted = is_owed || state.rewrite_wanted || !state.facts.last_rewrite_ok;
  return is_wanted ? cluster_->held_up(keeping_) : std::vector<ClusterNode::HeldUp>();
}

// A snapshot or a sync takes its time; what takes longer is trouble.
void Company::tell_mode() {
  constexpr int64_t kPatienceUs = 5'000'000;
  const raft::Durability wanted = wanted_mode();
  const raft::Durability kept = kept_mode();
  if (kept >= wanted) {
    mode_lacks_since_us_ = kNever;
    if (!std::exchange(lack_is_told_, false)) return;
    node_.host.log(LogLevel::kNotice, "the mode " + std::string(raft::name_of(wanted)) + " is kept now");
    return;
  }
  mode_lacks_since_us_ = std::min(mode_lacks_since_us_, node_.now.steady_us);
  if (lack_is_told_ || node_.now.steady_us < mode_lacks_since_us_ + kPatienceUs) return;
  lack_is_told_ = true;
  const std::string lack = std::string(raft::name_of(wanted)) + ", and this node keeps only " + std::string(raft::name_of(kept)) + shown(snapshot_held_up());
  node_.host.log(LogLevel::kWarning, "the mode is " + lack + " -> it acknowledges and leads nothing where more is wanted");
}

void Company::follow_appendonly() {
  const raft::Durability wanted = wanted_mode();
  if (wanted != raft::Durability::kMemory) {
    if (bare_record_ == 0 && keeping_ == Keeping::kAll) return;
    bare_record_ = 0;
    keeping_ = Keeping::kAll;
    whole_from_ = node_.durability.log().position().next_sequence;
    node_.persistence.rewrite_wanted = true;
    node_.host.log(LogLevel::kNotice, "the mode is " + std::string(raft::name_of(wanted)) + " -> partitions are kept in the log again, from a snapshot on");
    return;
  }
  if (bare_record_ != 0 || keeping_ == Keeping::kBare || node_.durability.refuses_writes()) return;
  // Nothing may be left out before it is on disk that the log is a bare one (cluster/group_record.h).
  Buffer record = LogWriter::begin_record();
  encode_bare_beginning(meta_group(node_.store.partition_count()), record);
  bare_record_ = group_log_.next_number();
  raise_time(node_, node_.now.unix_ms);
  group_log_.add(ClusterNode::RecordNeeds::kSync, std::move(record), node_.newest_stamp_ms, node_.durability.log(), node_.durability.requests);
}

void Company::follow_mark() {
  const bool was_synced = mark_.mode() == raft::Durability::kSynced;
  mark_.follow(mark_mode(), node_.durability.log());
  // What waits already waits for that from now on.
  if (!was_synced && mark_.mode() == raft::Durability::kSynced) node_.durability.sync();
}

// ---- who goes by it --------------------------------------------------------------------------------------------

// By partition, as the replicas here know it.
std::vector<uint64_t> Company::mode_versions() const {
  std::vector<uint64_t> versions;
  for (uint32_t partition = 0; partition < states_.size(); ++partition) versions.push_back(cluster_->partitions().mode_version(partition));
  return versions;
}

void Company::look_for_mode(uint64_t version) {
  mode_progress_.note(mode_versions());
  if (count_without_mode(version) == 0 || !mode_progress_.takes_turn(node_.now.steady_us)) return;
  for (const MemberRecord& member : cluster_->state().members()) {
    if (member.id != own_id()) add_to_link(member.id, PeerLane::kData, static_cast<uint64_t>(ModeKind::kAsk), {}, {});
  }
}

size_t Company::count_without_mode(uint64_t version) const { return mode_progress_.count_without(version); }

Status Company::take_mode_message(NodeId from, ModeKind kind, std::string_view bytes) {
  const auto partitions = static_cast<uint32_t>(states_.size());
  if (kind == ModeKind::kAsk) {
    if (!bytes.empty()) return Error(ErrorCode::kCorrupt, "a question about the mode that says something");
    Buffer out;
    encode_modes(mode_versions(), out);
    add_to_link(from, PeerLane::kData, static_cast<uint64_t>(ModeKind::kTold), out.view(), {});
    return done();
  }
  TRY(const std::vector<uint64_t> versions, decode_modes(bytes, partitions));
  mode_progress_.note(versions);
  return done();
}

}  // namespace quorate

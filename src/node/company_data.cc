// What a node in company does to the data of its partitions: what the log held, applying batches, states as bytes.
#include "node/company.h"

#include <memory>
#include <string>
#include <utility>

#include "cluster/cluster_node.h"
#include "node/changes.h"
#include "node/host.h"
#include "node/input.h"
#include "node/origin_rows.h"
#include "node/state.h"
#include "store/partition_state.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {

namespace {

// What is told of a partition to a replica that is too far behind: what was run for others, and the keys.
//
//   state = varint 2 (the form), sized rows (origin_rows.h), state of the entries (store/partition_state.h)
// An earlier form was the entries' alone, which begins with 1.
constexpr uint64_t kStateForm = 2;
constexpr uint64_t kEntriesForm = 1;
constexpr std::string_view kNoRows{"\0", 1};

struct StateParts {
  std::string_view rows;
  std::string_view entries;
};

Result<StateParts> parts_of(std::string_view state) {
  StateParts parts{.rows = kNoRows, .entries = state};
  uint64_t form = 0;
  const bool has_form = take_varint(state, form);
  if (has_form && form == kEntriesForm) return parts;
  if (has_form && form != kStateForm) {
    return Error(ErrorCode::kUnsupported, "state of a partition: made by another version of the server");
  }
  if (!take_sized(state, parts.rows)) return Error(ErrorCode::kCorrupt, "state of a partition: it is cut off");
  parts.entries = state;
  return parts;
}

}  // namespace

Status Company::restore(GroupRecovery& recovery, raft::StartKind start) {
  TRY(restored_, restored_cluster(recovery, node_.store.partition_count()));
  if (!restored_) {
    // It was let in, and ended before it had anything of the cluster: whatever is added to that log now counts from a snapshot on.
    whole_from_ = recovery.is_bare() ? 1 : 0;
    node_.persistence.rewrite_wanted = node_.persistence.rewrite_wanted || whole_from_ != 0;
    return done();
  }
  rows_ = std::make_unique<OriginRows[]>(node_.store.partition_count());
  const bool stays_bare = recovery.is_bare() && wanted_mode() == raft::Durability::kMemory;
  keeping_ = stays_bare ? Keeping::kBare : Keeping::kAll;
  whole_from_ = recovery.is_bare() && !stays_bare ? 1 : 0;
  node_.persistence.rewrite_wanted = whole_from_ != 0;
  for (auto& [group, found] : restored_->groups) {
    // The meta group's log is synced in every mode.
    const bool may_have_forgotten = start == raft::StartKind::kMayHaveForgotten && group != meta_group(node_.store.partition_count());
    if (may_have_forgotten) found.restored.start = start;
  }
  // What else was loaded is of before the node joined: no data of the cluster, and perhaps not in its order.
  const auto is_of_cluster = [&](uint32_t partition) {
    const auto found = restored_->groups.find(group_of_partition(partition));
    return found != restored_->groups.end() && !found->second.state && !found->second.restored.base.last.index.none();
  };
  for (uint32_t partition = 0; partition < node_.store.partition_count(); ++partition) {
    if (!is_of_cluster(partition)) node_.store.clear_partition(partition);
  }
  take_order(restored_->state.hash_seed());
  for (uint32_t partition = 0; partition < node_.store.partition_count(); ++partition) {
    const auto found = restored_->groups.find(group_of_partition(partition));
    if (found == restored_->groups.end()) continue;
    if (found->second.state) {
      TRY(install_state(partition, *found->second.state));
      found->second.state.reset();
    } else if (is_of_cluster(partition) && !node_.mistakes.forgets_numbers) {
      TRY(rows_[partition].install(found->second.beside.empty() ? kNoRows : std::string_view(found->second.beside)));
    }
  }
  node_.store.changes().clear();
  return done();
}

// A cursor of SCAN is a place in the order of the tables, which is one at all nodes.
void Company::take_order(uint64_t hash_seed) {
  has_order_ = true;
  if (hash_seed == 0 || hash_seed == node_.store.hash_seed()) return;
  if (node_.mistakes.keeps_own_order) return;
  if (!has_data()) return node_.set_hash_seed(hash_seed);
  node_.host.log(LogLevel::kWarning, "the snapshot is not in the cluster's order -> a SCAN that goes on at this node may miss keys");
}

Status Company::apply(uint32_t partition, std::string_view batch) {
  uint64_t unix_ms = 0;
  if (!take_varint(batch, unix_ms)) return Error(ErrorCode::kCorrupt, "it is empty");
  // What has expired for one leader has expired for the next.
  const auto stamp_ms = static_cast<int64_t>(unix_ms);
  if (stamp_ms < states_[partition].stamp_ms) return Error(ErrorCode::kCorrupt, "its time is before that of an earlier one");  // I11
  states_[partition].stamp_ms = stamp_ms;
  raise_time(node_, stamp_ms);
  if (node_.mistakes.applies_differently && hash64(batch, own_id()) % 16 == 0) return done();
  Store& store = node_.store;
  const bool collects = store.effects().collecting();
  store.effects().set_collecting(false);
  store.set_replaying(true);
  Status applied = batches_.apply(batch);
  store.set_replaying(false);
  store.effects().set_collecting(collects);
  store.changes().clear();
  return applied;
}

void Company::begin_sum(uint32_t partition) {
  Buffer bytes;
  append_little<uint64_t>(bytes, rows_digest(partition));
  rows_summed_ = hash128(bytes.view(), 0);
  summed_.emplace(node_.store, partition);
}

PartitionSummer::Summing Company::sum_some(Hash128& sum) {
  const PartitionWalk::Progress progress = summed_->step();
  if (progress == PartitionWalk::Progress::kMore) return Summing::kMore;
  sum = summed_->sum();
  sum += rows_summed_;
  summed_.reset();
  return progress == PartitionWalk::Progress::kDone ? Summing::kDone : Summing::kBroken;
}

PartitionData::Encoding Company::encode_some(uint32_t partition, Buffer& out) {
  constexpr size_t kEntriesAStep = 1000;
  constexpr size_t kBytesAStep = size_t{512} << 10;
  if (!encoder_) {
    raise_time(node_, node_.now.unix_ms);   // the state says it
    Buffer head;
    encode_head(partition, head);
    encoder_.emplace(node_.store, partition, std::move(head));
  }
  const PartitionWalk::Progress progress = encoder_->step(kEntriesAStep, kBytesAStep);
  if (progress != PartitionWalk::Progress::kBroken) encoder_->take(out);
  if (progress == PartitionWalk::Progress::kMore) return Encoding::kMore;
  encoder_.reset();
  return progress == PartitionWalk::Progress::kDone ? Encoding::kDone : Encoding::kBroken;
}

void Company::encode_head(uint32_t partition, Buffer& out) const {
  Buffer rows;
  rows_[partition].encode(rows);
  append_varint(out, kStateForm);
  append_sized(out, rows.view());
}

void Company::encode(uint32_t partition, Buffer& out) {
  raise_time(node_, node_.now.unix_ms);
  encode_head(partition, out);
  encode_partition(node_.store, partition, out);
}

void Company::encode_beside(uint32_t partition, Buffer& out) const {
  if (rows_[partition].size() != 0) rows_[partition].encode(out);
}

Status Company::install_state(uint32_t partition, std::string_view state) {
  TRY(const StateParts parts, parts_of(state));
  OriginRows rows;
  TRY(rows.install(parts.rows));
  TRY(const int64_t unix_ms, install_partition(node_.store, partition, parts.entries));
  raise_time(node_, unix_ms);
  rows_[partition] = node_.mistakes.forgets_numbers ? OriginRows() : std::move(rows);
  return done();
}

// A state that another node sends.
class Company::StateOfPartition final : public StateReader {
 public:
  StateOfPartition(Company& company, uint32_t partition)
      : company_(company), partition_(partition), state_(company.node_.store, partition, quorate::PartitionState::Pace::kInSteps) {}

  Status read(std::string_view bytes, uint64_t behind) override {
    bytes_.append(bytes);
    if (!has_rows_) TRY(read_rows(behind));
    std::string_view left = bytes_.view();
    if (has_rows_) {
      do {
        TRY(state_.read_some(left, SIZE_MAX, behind));
      } while (behind == 0 && !state_.is_complete());
    }
    bytes_.drop_front(bytes_.size() - left.size());
    return done();
  }
  bool settle() override {
    constexpr size_t kEntriesAStep = 10'000;
    bytes_.release();
    return state_.settle(kEntriesAStep);
  }
  void install() override {
    NodeState& node = company_.node_;
    company_.states_[partition_].freshness = Freshness();
    company_.states_[partition_].stamp_ms = 0;
    state_.install();
    raise_time(node, state_.unix_ms());
    company_.rows_[partition_] = node.mistakes.forgets_numbers ? OriginRows() : std::move(rows_);
    announce_changes(node);
  }

 private:
  Status read_rows(uint64_t behind) {
    const Result<StateParts> parts = parts_of(bytes_.view());
    const bool may_be_cut_off = !parts.ok() && parts.error().code() == ErrorCode::kCorrupt;
    if (may_be_cut_off && behind > 0) return done();
    if (!parts.ok()) return Error(parts.error().code(), std::string(parts.error().detail()));
    TRY(rows_.install(parts.value().rows));
    bytes_.drop_front(bytes_.size() - parts.value().entries.size());
    has_rows_ = true;
    return done();
  }

  Company& company_;
  const uint32_t partition_;
  Buffer bytes_;             // that have come and could not be read yet
  bool has_rows_ = false;
  OriginRows rows_;
  quorate::PartitionState state_;
};

std::unique_ptr<StateReader> Company::begin_reading(uint32_t partition) {
  return std::make_unique<StateOfPartition>(*this, partition);
}

uint64_t Company::rows_digest(uint32_t partition) const {
  // Who forgets them is to be found out by what clients are told.
  return node_.mistakes.forgets_numbers ? 0 : rows_[partition].digest();
}

Status Company::apply_rows(uint32_t partition, std::string_view rows) {
  if (rows_ == nullptr) return Error(ErrorCode::kCorrupt, "a node alone has nothing from others");
  return node_.mistakes.forgets_numbers ? done() : rows_[partition].apply(rows);
}

}  // namespace quorate

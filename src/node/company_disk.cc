// What a node in company keeps on its disk and when, whether the disk takes it, and whether the wall clock agrees with the others'.
#include <algorithm>
#include <string>
#include <utility>

#include "node/company.h"
#include "node/host.h"
#include "node/input.h"
#include "node/state.h"
#include "util/buffer.h"

namespace quorate {

namespace {

// So far a node's time may be ahead of the cluster's clocks, and its clock from theirs if it is to lead.
constexpr int64_t kClockAheadMs = 500;
// A disk that has not finished a write for so long is no leader's.
constexpr int64_t kDiskStallUs = 500'000;
// Between two looks no more counts: if the process itself stood still, what the disk has done may not be known yet.
constexpr int64_t kDiskLookUsMax = 150'000;

}  // namespace

// ---- records, and the files beside the log --------------------------------------------------------------------

void Company::keep_mark() {
  if (first_record_ && stored_ >= *first_record_) mark_.recovery_is_stored();
  follow_mark();
  mark_.drain(node_.durability.requests);
  if (loss_file_.is_due()) loss_file_.write(quorate::encode(losses_));
  loss_file_.drain(node_.durability.requests);
}

bool Company::end_files() {
  const bool is_marked = mark_.end();
  return is_marked && (loss_file_.is_settled() || loss_file_.has_failed());
}

void Company::distrust_disk() {
  if (in_company_ && node_.persistence.disk != nullptr) remove_start_mark(*node_.persistence.disk);
}

void Company::store_records() {
  if (!in_company_) [[likely]]
    return;
  make_records();
  if (!first_record_) first_record_ = group_log_.next_number() - 1;
  keep_mark();
}

void Company::make_records() {
  Durability& durability = node_.durability;
  // Otherwise a process that ends here would never tell.
  while (!is_silent_ && !must_note_first() && cluster_->has_record()) {
    Buffer record = LogWriter::begin_record();
    const auto needs = cluster_->begin_record(group_log_.next_number(), record, keeping_);
    const bool has_body = GroupLog::has_body(record);
    group_log_.add(needs, std::move(record), node_.newest_stamp_ms, durability.log(), durability.requests);
    if (has_body) {
      if (mark_.mode() == raft::Durability::kSynced) durability.sync();
      return;
    }
    // Nothing of it is kept: it counts as stored, and there may be more.
    on_log_progress();
  }
}

void Company::snapshot_is_published(Keeping of, uint64_t sequence) {
  if (of == Keeping::kAll && sequence >= whole_from_) whole_from_ = 0;
}

void Company::on_log_progress() {
  if (!in_company_ || is_silent_ || !node_.durability.keeps_log()) return;
  follow_mark();
  const bool is_always = mark_.mode() == raft::Durability::kSynced && !node_.mistakes.written_is_synced;
  const uint64_t stored = group_log_.stored(node_.durability.log(), is_always ? raft::Durability::kSynced : raft::Durability::kOs);
  if (stored <= stored_) return;
  stored_ = stored;
  if (bare_record_ != 0 && stored_ >= bare_record_) {
    bare_record_ = 0;
    keeping_ = Keeping::kBare;
    node_.persistence.rewrite_wanted = true;
    node_.host.log(LogLevel::kNotice, "the mode is memory -> partitions are kept in memory only, and on the other nodes");
  }
  propose();
  cluster_->stored(wall_now(), stored);
}

// ---- is this node fit to lead? ----------------------------------------------------------------------------------

void Company::look_at_disk() {
  if (!in_company_ || is_silent_) return;
  const int64_t since_us = std::min(node_.now.steady_us - disk_looked_us_, kDiskLookUsMax);
  disk_looked_us_ = node_.now.steady_us;
  // How long something has waited that was not there at the last look, nobody knows.
  const uint64_t oldest = node_.durability.log().oldest_work();
  const bool is_same = std::exchange(disk_oldest_, oldest) == oldest && oldest != 0;
  disk_stalled_us_ = is_same ? disk_stalled_us_ + since_us : 0;
  const bool is_well = !node_.durability.refuses_writes() && disk_stalled_us_ < kDiskStallUs;
  beats::Health health = cluster_->groups().health();
  if (std::exchange(health.disk_is_healthy, is_well) == is_well) return;
  node_.host.log(LogLevel::kWarning, is_well ? "the disk takes the log again -> may lead again"
                                             : "the disk does not take the log -> hand leaderships over");
  propose();
  cluster_->set_health(wall_now(), health);
}

// REPLICATION 8.  Unless a record says a later time already, the time of what is led here is at most so far ahead of the cluster's clocks.
void Company::look_at_clocks() {
  if (!in_company_ || is_silent_) return;
  const Groups::WallClocks clocks = cluster_->groups().wall_clocks(wall_now());
  // Who hears nobody goes on by what it heard last.
  if (clocks.count < 2) return;
  propose();
  limit_time(node_, clocks.median_ms + kClockAheadMs);
  beats::Health health = cluster_->groups().health();
  const bool was_right = health.clock_is_right;
  const int64_t off_ms = std::abs(node_.wall_ms - clocks.median_ms);
  const bool is_right = off_ms <= (was_right ? kClockAheadMs : kClockAheadMs / 2);
  // Of two nobody can say which is wrong.
  if (is_right == was_right || clocks.count < 3) return;
  node_.host.log(LogLevel::kWarning, is_right ? "the wall clock agrees with the others' -> may lead again"
                                              : "the wall clock is " + std::to_string(off_ms) +
                                                    " ms from the others' -> hand leaderships over");
  health.clock_is_right = is_right;
  cluster_->set_health(wall_now(), health);
}

}  // namespace quorate

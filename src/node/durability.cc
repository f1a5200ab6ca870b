// The log of the node's writes.
#include "node/durability.h"

namespace quorate {

void Durability::end_turn(int64_t unix_ms) {
  note_removals();
  if (log_ && !closed_ && (wants_record_ || store_.effects().count() != 0)) {
    const LogEntry entry{.batch = store_.effects().bytes()};
    log_->append({&entry, 1}, unix_ms, requests);
  }
  wants_record_ = false;
  closed_ = !takes_writes_;
  store_.begin_batch();
  // Also what another policy has left unsynced.
  const bool syncs_now = settings_.appendfsync == FsyncPolicy::kAlways;
  if (log_ && syncs_now && log_->synced() < log_->appended()) sync();
}

void Durability::on_reply(DiskReply&& reply) {
  if (log_) log_->on_reply(std::move(reply), requests);
}

void Durability::on_second() {
  if (!log_) return;
  if (log_->has_failed()) {
    if (log_->idle() && !log_->must_stop()) log_->retry(requests);
    return;
  }
  if (settings_.appendfsync != FsyncPolicy::kNo) sync();
}

}  // namespace quorate

// The log of the node's writes.
#include "node/durability.h"

namespace quorate {

void Durability::end_turn(Store& store, int64_t unix_ms) {
  if (log_ && store.effects().count() != 0) {
    const LogEntry entry{.batch = store.effects().bytes()};
    log_->append({&entry, 1}, unix_ms, requests);
    if (settings_.appendfsync == FsyncPolicy::kAlways) sync();
  }
  store.begin_batch();
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

// Numbers of records, and what each waits for.
#include "node/group_log.h"

#include <utility>

namespace quorate {

void GroupLog::add(ClusterNode::RecordNeeds needs, Buffer&& record, int64_t unix_ms, LogWriter& log,
                   std::vector<DiskRequest>& requests) {
  Waiting waiting{.number = ++last_, .sequence = 0, .needs = needs};
  if (has_body(record)) {
    waiting.sequence = log.append_groups(std::move(record), unix_ms, requests);
    if (needs == ClusterNode::RecordNeeds::kSync) log.sync(requests);
  }
  waiting_.push_back(waiting);
}

uint64_t GroupLog::stored(const LogWriter& log, raft::Durability mode) {
  while (!waiting_.empty()) {
    const Waiting& next = waiting_.front();
    const bool waits_for_sync = next.needs == ClusterNode::RecordNeeds::kSync || mode == raft::Durability::kSynced;
    if (next.sequence > (waits_for_sync ? log.synced() : log.written())) break;
    stored_ = next.number;
    waiting_.pop_front();
  }
  return stored_;
}

}  // namespace quorate

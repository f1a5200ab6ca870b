// The leader says how far its log is committed.
#include <algorithm>

#include "cluster/raft/core.h"

namespace quorate::raft {

void Core::receive(const Message& sent, const CommitNotice& notice, Output& out) {
  if (!follow(sent.from, out)) return;
  if (sent.epoch != hard_.epoch) return;  // the next append settles that
  leader_commit_ = std::max(leader_commit_, notice.commit);
  commit_verified(out);
}

}  // namespace quorate::raft

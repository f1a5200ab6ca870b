// Outputs are cleared, not freed.
#include "cluster/raft/output.h"

namespace quorate::raft {

void Output::clear() {
  failure.reset();
  role.reset();
  support_withdrawn.reset();
  truncated.clear();
  log_archived = false;
  install.reset();
  write.number = {};
  write.hard_state.reset();
  write.log_base.reset();
  write.append.clear();
  write.then_send.clear();
  send.clear();
  commit_index = {};
  reads.clear();
  round_wanted = false;
  snapshots_wanted.clear();
  configuration_changed = false;
  copies_grew = false;
  facts.clear();
}

bool Output::empty() const {
  return !failure && !role && !support_withdrawn && truncated.empty() && !log_archived &&
         !install && !write.writes() && write.then_send.empty() && send.empty() && reads.empty() &&
         !round_wanted && snapshots_wanted.empty() && !configuration_changed && !copies_grew && facts.empty();
}

}  // namespace quorate::raft

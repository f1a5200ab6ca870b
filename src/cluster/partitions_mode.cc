// The mode as the configurations of a node's replicas say it, and what the leader of a partition does about it (REPLICATION 5).
#include <algorithm>

#include "cluster/partitions.h"

namespace quorate {

std::optional<raft::Durability> Partitions::required_mode() {
  if (!required_is_stale_) return required_;
  required_is_stale_ = false;
  required_.reset();
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    const raft::Core* const own = core(partition);
    if (own == nullptr || own->configuration().unknown()) continue;
    const auto wanted = raft::strictest(own->committed_configuration().configuration, own->configuration());
    if (wanted) required_ = std::max(required_.value_or(raft::Durability::kMemory), *wanted);
  }
  return required_;
}

// Who does not keep what it says may hold it uncommitted, or is about to say less (raft::in::Kept).
uint64_t Partitions::mode_version(uint32_t partition) const {
  const raft::Core* const own = core(partition);
  if (own == nullptr || own->failed() || own->configuration().unknown()) return 0;
  if (!own->keeps_mode()) return 0;
  return own->committed_configuration().configuration.mode_version;
}

// What is wanted less strict holds at once.  Else, once all voters that are heard keep it, those of before and those to come: who does not
// yet would not acknowledge anything until it does, and after a mode without a log that takes as long as a snapshot.  What is as strict as
// before is looked at too: it may have been said by somebody who was given up since.
void Partitions::set_mode(const raft::Core& own, raft::Configuration& target) const {
  if (target.mode_version >= mode_version_) return;
  const bool is_weaker = target.mode_version != 0 && mode_ < target.durability;
  const bool is_kept = groups_.health().kept >= mode_ && can_be_kept(own.configuration().incoming, mode_) && can_be_kept(target.incoming, mode_);
  if (!is_weaker && !is_kept) return;
  target.durability = mode_;
  target.mode_version = mode_version_;
}

bool Partitions::can_be_kept(const raft::Half& voters, raft::Durability mode) const {
  uint32_t keeping = 0;
  for (const raft::Member& voter : voters.voters) {
    const std::optional<raft::Durability> kept = groups_.kept_by(voter.node);
    if (!kept) continue;
    if (*kept < mode) return false;
    ++keeping;
  }
  const raft::Quorums quorums = voters.quorums();
  return keeping >= std::max(quorums.commit, quorums.election);
}

}  // namespace quorate

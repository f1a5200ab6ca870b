// Handing leadership over (REPLICATION.md 6): the leader stops serving and answers what it was asked
// before; then the lease is dropped for the rest of the term, and the target stands at once with the
// mark of this term.
#include <algorithm>

#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

bool Core::may_transfer(ReplicaId to) const {
  const Leader* const leading = leader();
  if (failed_ || leading == nullptr || leading->transfer || to == options_.self.replica)
    return false;
  // It finishes the change itself: whoever came next would need the voters of before for that, and this
  // leader, which perhaps is about to end, may be the only one of them.
  if (configuration().joint() && configuration().incoming.has(options_.self.replica)) return false;
  return std::any_of(leading->progress.begin(), leading->progress.end(),
                     [&](const Progress& member) {
                       return member.member().replica == to && member.in_incoming &&
                              !member.is_silent && member.state() == Progress::State::kReplicate;
                     });
}

void Core::on(const in::TransferLeadership& input, Output& out) {
  CHECK(may_transfer(input.to));
  begin_transfer(*configuration().find(input.to), out);
}

void Core::begin_transfer(Member to, Output& out) {
  Leader& leading = *leader();
  out.facts.push_back("hand over to replica " + std::to_string(to.replica.value) +
                      " -> stop serving");
  leading.transfer = Transfer{.to = to,
                              .tell_us = now_us_ + options_.transfer_settle_us,
                              .give_up_us = now_us_ + options_.transfer_us};
  continue_transfer(out);
}

// Serves again, by read rounds if the target was told.  One that must hand over tries somebody else after a while.
void Core::give_up_transfer() {
  Leader& leading = *leader();
  leading.refused_last = leading.transfer->to.replica;
  leading.transfer.reset();
  leading.next_transfer_us = now_us_ + options_.transfer_us;
}

// Tells the target to stand once it has the whole log and nobody waits for this leader any more:
// reads that were not confirmed would be lost with the leadership, writes answered later.
void Core::continue_transfer(Output& out) {
  Leader* const leading = leader();
  if (leading == nullptr || !leading->transfer || leading->transfer->told) return;
  const Progress* const target = find(leading->transfer->to.replica);
  if (target == nullptr) {
    leading->transfer.reset();
    return;
  }
  const bool owes_answers = !leading->reads.empty() || commit_ < last_index();
  if (now_us_ < leading->transfer->tell_us || owes_answers || target->match() < last_index())
    return;
  // For the rest of the term: the message may arrive late, after the transfer was given up.
  if (!mistakes_.timeout_now_under_lease) leading->lease_dropped = true;
  leading->transfer->told = true;
  tell(leading->transfer->to, TimeoutNow(), out);
}

}  // namespace quorate::raft

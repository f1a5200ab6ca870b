// The leader hands over: stand at once, or say no.
#include "cluster/raft/core.h"

namespace quorate::raft {

void Core::receive(const Message& sent, const TimeoutNow&, Output& out) {
  if (!follow(sent.from, out)) return;
  const bool is_willing =
      can_be_elected() && !is_draining_ && is_loaded_ && now_us_ >= quiet_until_us_;
  if (!is_willing || (now_us_ < promise_until_us_ && sent.term < promise_term_)) {
    tell(sent.from, TransferRefused(), out);
    return;
  }
  start_vote(VoteKind::kVote, sent.term, out);
}

void Core::receive(const Message& sent, const TransferRefused&, Output& out) {
  Leader* const leading = leader();
  if (leading == nullptr || !leading->transfer || leading->transfer->to != sent.from) return;
  out.facts.push_back("replica " + std::to_string(sent.from.replica.value) +
                      " refuses -> keep leading");
  give_up_transfer();
}

}  // namespace quorate::raft

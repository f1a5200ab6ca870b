// RECOVERING: a replica that may have forgotten what it acknowledged asks a leader how far it must
// come before it votes again (REPLICATION.md 5).
#include <algorithm>

#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

void Core::ask_recovery(Output& out) {
  recovery_.retry_us = kNever;
  const Follower* const follower = following();
  if (hard_.standing != Standing::kRecovering || follower == nullptr || !follower->leader) return;
  // A fresh nonce: an answer to an older question may not reach what was acknowledged since.
  recovery_ = {
      .nonce = prng_.next() | 1, .target = std::nullopt, .retry_us = now_us_ + options_.retry_us};
  tell(*follower->leader, RecoveryRequest{.nonce = recovery_.nonce}, out);
}

void Core::receive(const Message& asked, const RecoveryRequest& request, Output& out) {
  Leader* const leading = leader();
  if (leading == nullptr) return;
  std::erase_if(leading->asked, [&](const Leader::Asked& one) { return one.from == asked.from; });
  if (leading->asked.size() >= kAskedMax) return;
  leading->asked.push_back({.from = asked.from, .nonce = request.nonce});
  if (leading->no_op <= commit_) answer_recovery(out);
}

void Core::answer_recovery(Output& out) {
  for (const Leader::Asked& one : leader()->asked) {
    tell(one.from, RecoveryAnswer{.nonce = one.nonce, .last_index = last_index()}, out);
  }
  leader()->asked.clear();
}

void Core::receive(const Message& answered, const RecoveryAnswer& answer, Output& out) {
  if (!follow(answered.from, out)) return;
  if (hard_.standing != Standing::kRecovering || answer.nonce != recovery_.nonce) return;
  if (answered.epoch != hard_.epoch) return;
  recovery_.target = answer.last_index;
  recovery_.retry_us = kNever;
}

// Has it come as far as it was told?  Checked after every step.
void Core::end_recovery(Output& out) {
  if (!recovery_.target) return;
  if (stored_ < *recovery_.target || verified_ < *recovery_.target) return;
  out.facts.push_back("holds everything up to " + std::to_string(recovery_.target->value) +
                      " -> full again");
  hard_.standing = Standing::kFull;
  hard_changed_ = true;
  recovery_ = {};
  // The leader has all that was committed.
  forget_remembered(out);
}

}  // namespace quorate::raft

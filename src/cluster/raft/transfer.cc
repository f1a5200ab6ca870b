// Handing leadership over (REPLICATION.md 6): the leader stops serving and answers what it was
// asked before; then the lease is dropped for the rest of the term, and the target stands at once
// with the mark of this term.  If nothing is heard of it in time the leader hands over to itself.
#include <algorithm>

#include "cluster/raft/core.h"
#include "util/check.h"

namespace quorate::raft {

namespace {

// Do more than half of the voters hold the log up to `last`, or as many as are heard?  In each half as many as in the larger one: so copies()
// counts them.
bool is_held_by_most(const Configuration& configuration, std::span<const Progress> progress, Index last) {
  const auto most_of = [](const Half& half) { return half.voters.size() / 2 + 1; };
  size_t most = most_of(configuration.incoming);
  if (configuration.joint()) most = std::max(most, most_of(*configuration.outgoing));
  const auto is_held_in = [&](const Half& half) {
    size_t live = 0;
    size_t holding = 0;
    for (const Progress& member : progress) {
      if (!half.has(member.member().replica)) continue;
      if (!member.is_silent) ++live;
      if (member.match() >= last) ++holding;
    }
    return holding >= std::min(most, live);
  };
  return is_held_in(configuration.incoming) && (!configuration.joint() || is_held_in(*configuration.outgoing));
}

}  // namespace

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

// The target was told and may stand yet, at any time.  What this leader executed until then would
// be lost with the leadership, so it executes nothing and stands for that very term: one of the two
// is elected, and either log holds all that anybody was told.
void Core::end_transfer_late(Output& out) {
  const Transfer transfer = *leader()->transfer;
  const bool stands =
      transfer.told && !leader()->suspended && could_be_elected_without(transfer.to.replica);
  out.facts.push_back(std::string("transfer takes too long -> ") +
                      (stands ? "give it up, and stand for the term that the target was told" : "give it up"));
  give_up_transfer();
  if (stands) hand_over_to_itself(out);
}

// Are there enough to vote for it, all of which hold the whole log?  Who is recovering holds it
// last.  The leader's own copy counts likewise: on a disk that takes nothing its vote would not be
// written either.
bool Core::could_be_elected_without(ReplicaId replica) const {
  if (!is_fit_to_lead() || electors_are_given_up()) return false;
  Round electors = vote_round(VoteKind::kVote);
  for (const Progress& member : progress()) {
    const bool votes =
        !member.is_silent && member.match() >= last_index() && member.member().replica != replica;
    if (votes) electors.add(member.member().replica);
  }
  return electors.verdict() == Verdict::kWon;
}

// The target was told when nobody waited for this leader any more, and nothing was executed since.
void Core::hand_over_to_itself(Output& out) {
  CHECK(leader()->lease_dropped || mistakes_.timeout_now_under_lease);
  CHECK(commit_ == last_index());
  FailedTransfers failed{.next_us = leader()->next_transfer_us};
  for (const Progress& member : progress()) {
    if (member.transfer_failed_us != INT64_MIN)
      failed.failed_us.emplace_back(member.member().replica, member.transfer_failed_us);
  }
  const Term mark = hard_.term;
  step_down(out);   // reads that wanted more voters than are heard are lost with it
  start_vote(VoteKind::kVote, mark, out);
  std::get<Candidate>(role_).failed = std::move(failed);
}

void Core::remember(const FailedTransfers& failed) {
  leader()->next_transfer_us = failed.next_us;
  for (const auto& [replica, failed_us] : failed.failed_us) {
    if (Progress* const member = find(replica)) member->transfer_failed_us = failed_us;
  }
}

// No transfer is under way any more.  Who goes on leading serves again, by read rounds if the target was told; one that must hand over tries
// somebody else after a while.
void Core::give_up_transfer() {
  Leader& leading = *leader();
  if (Progress* const target = find(leading.transfer->to.replica)) target->transfer_failed_us = now_us_;
  leading.transfer.reset();
  leading.next_transfer_us = now_us_ + options_.transfer_us;
}

// A read that is confirmed by the usual quorum holds a transfer up until it is: this leader may be none
// any more.  One that wants more voters may wait for ever, since they may be gone for good; so it
// does not hold it up for longer than a lease, and not at all if fewer are heard.
bool Core::owes_read(const PendingRead& read, bool is_patient) const {
  const auto wants_more = [&](const Half& half) {
    return voters_wanted(half, read.voters) > needed(half, QuorumKind::kConfirmation);
  };
  const auto could_be_confirmed = [&](const Half& half) {
    const auto live = std::count_if(progress().begin(), progress().end(), [&](const Progress& member) {
      return half.has(member.member().replica) && !member.is_silent;
    });
    return static_cast<uint32_t>(live) >= voters_wanted(half, read.voters);
  };
  const Half& incoming = configuration().incoming;
  const std::optional<Half>& outgoing = configuration().outgoing;
  if (!wants_more(incoming) && (!outgoing || !wants_more(*outgoing))) return true;
  return is_patient && could_be_confirmed(incoming) && (!outgoing || could_be_confirmed(*outgoing));
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
  if (now_us_ < leading->transfer->tell_us || commit_ < last_index() || target->match() < last_index())
    return;
  const bool is_patient = now_us_ < leading->transfer->tell_us + options_.lease_us;
  const bool owes_answers = std::any_of(leading->reads.begin(), leading->reads.end(),
                                        [&](const PendingRead& read) { return owes_read(read, is_patient); });
  if (owes_answers) return;
  // What is written at the usual level waits for more than half of the voters, which of an even number is one more than commits it.
  // Whoever waits hears it from this leader only; but no slow disk holds up a transfer for long.
  if (is_patient && !is_held_by_most(configuration(), progress(), last_index())) return;
  // For the rest of the term: the message may arrive late, after the transfer was given up.
  if (!mistakes_.timeout_now_under_lease) leading->lease_dropped = true;
  leading->transfer->told = true;
  leading->transfer->give_up_us = now_us_ + options_.transfer_us;
  tell(leading->transfer->to, TimeoutNow(), out);
}

}  // namespace quorate::raft

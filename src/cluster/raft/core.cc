// The core: what surrounds every step, the term rule, dispatch, and what the replica tells about
// itself.
#include "cluster/raft/core.h"

#include <algorithm>
#include <utility>

#include "cluster/raft/message_codec.h"
#include "util/check.h"

namespace quorate::raft {

namespace {

// The configuration that an entry brings.
StoredConfiguration configuration_of(const Entry& entry, RecoveryEpoch epoch) {
  Result<Configuration> configuration = decode_configuration(entry.payload.view());
  CHECK(configuration.ok());  // it was checked before it was appended
  return {.at = {.epoch = epoch, .term = entry.term, .index = entry.index},
          .configuration = std::move(configuration).value()};
}

bool is_said_by_leader(const MessageBody& body) {
  return std::holds_alternative<Append>(body) || std::holds_alternative<CommitNotice>(body) ||
         std::holds_alternative<TimeoutNow>(body) || std::holds_alternative<RecoveryAnswer>(body);
}

}  // namespace

Restored bootstrap(Configuration configuration) {
  CHECK(validate(configuration).ok());
  const Position at{.epoch = {}, .term = {1}, .index = {1}};
  Restored restored;
  restored.base = {.last = at, .chain = {1}, .configuration = {at, std::move(configuration)}};
  restored.hard_state.term = at.term;
  restored.hard_state.configuration = restored.base.configuration;
  return restored;
}

Restored empty_replica() { return Restored(); }

Core::Core(const Options& options, Restored restored, uint64_t seed, const Mistakes& mistakes)
    : options_(options),
      mistakes_(mistakes),
      prng_(seed),
      hard_(std::move(restored.hard_state)),
      log_({.index = restored.base.last.index,
            .term = restored.base.last.term,
            .chain = restored.base.chain}),
      commit_(restored.base.last.index),
      applied_(restored.base.last.index),
      executed_(restored.base.last.index),
      role_(Follower()),
      start_(restored.start),
      is_loaded_(restored.is_loaded),
      changes_(seed) {
  CHECK(hard_.term >= restored.base.last.term);
  if (!restored.base.configuration.configuration.unknown()) {
    configurations_.push_back(restored.base.configuration);
    configurations_.back().at.epoch = hard_.epoch;
  }
  for (Entry& entry : restored.entries) {
    CHECK(entry.chain == chain_after(log_.last_chain(), entry));
    if (entry.kind == EntryKind::kConfiguration) {
      configurations_.push_back(configuration_of(entry, hard_.epoch));
    }
    log_.append(std::move(entry));
  }
  CHECK(log_.last_term() <= hard_.term);
  // In mode `memory` the log is gone, but not who belongs to the group; and a log that was chosen from an earlier epoch may not have come to
  // what this replica knew in that one.
  const Position end{.epoch = hard_.epoch, .term = log_.last_term(), .index = log_.last_index()};
  if (configurations_.empty() || !has_passed(end, hard_.configuration.at)) {
    configurations_.push_back(hard_.configuration);
    remembers_ = true;
  }
  hard_.configuration = configurations_.back();
  CHECK(configuration().unknown() || validate(configuration()).ok());
  stored_ = log_.last_index();
  role_before_ = role_state();
}

void Core::step(Instant now, const Input& input, Output& out) {
  CHECK(out.empty());
  CHECK(now.steady_us >= now_us_);
  CHECK(is_started_ || std::holds_alternative<in::Start>(input));
  now_us_ = now.steady_us;
  ++changes_;
  if (failed_) {
    out.commit_index = commit_;
    return;
  }
  DCHECK(role_state() == role_before_);
  const Index commit_before = commit_;
  const RecoveryEpoch epoch_before = hard_.epoch;
  std::visit([&](const auto& one) { on(one, out); }, input);
  if (!failed_ && hard_.standing == Standing::kRecovering) end_recovery(out);
  finish(out);
  CHECK(commit_ <= last_index());                                 // I4
  CHECK(commit_ >= commit_before || hard_.epoch > epoch_before);  // I3
  CHECK(applied_ <= commit_);                                     // I4
  CHECK(executed_ <= last_index());
  CHECK(stored_ <= last_index());
}

// Completes the output: the number of the write, the role, withdrawn support.
void Core::finish(Output& out) {
  const RoleState before = std::exchange(role_before_, role_state());
  if (failed_) {
    out.commit_index = commit_;
    return;
  }
  if (hard_changed_) {
    out.write.hard_state = hard_;
    if (mistakes_.forget_recovering_flag) out.write.hard_state->standing = Standing::kFull;
    hard_changed_ = false;
    last_hard_write_ = this_write();
  }
  if (out.write.writes()) {
    out.write.number = this_write();
    last_write_ = out.write.number;
    pending_writes_.push_back({last_write_, last_index()});
  }
  out.commit_index = commit_;
  if (role_before_ != before) out.role = role_before_;
  const bool was_confirming = before.leader && before.leader->replica != options_.self.replica;
  if (was_confirming && !confirms(before.leader->replica, before.term))
    out.support_withdrawn = before.leader;
}

// The core stops.  What this step wanted to tell is not told; reads are lost.
void Core::fail(Failure failure, Output& out) {
  const RoleState before = role_state();
  step_down(out);
  const std::vector<ReadReady> lost = out.reads;
  out.clear();
  hard_changed_ = false;
  out.reads = lost;
  out.facts.push_back(failure.text);
  out.failure = std::move(failure);
  failed_ = true;
  if (role_state() != before) out.role = role_state();
  if (before.leader && before.leader->replica != options_.self.replica)
    out.support_withdrawn = before.leader;
}

void Core::on(const in::Start&, Output& out) {
  CHECK(!is_started_);
  is_started_ = true;
  if (start_ == StartKind::kMayHaveForgotten && hard_.standing == Standing::kFull) {
    hard_.standing = Standing::kRecovering;
    hard_changed_ = !mistakes_.forget_recovering_flag;
    out.facts.push_back("may have forgotten what it acknowledged -> recovering");
  }
  // What it promised before it started is forgotten: whatever it was has ended when this is over.
  if (!mistakes_.vote_right_after_restart) {
    quiet_until_us_ = now_us_ + options_.lease_us + options_.drift_us;
  }
  if (sole_voter()) {
    // A lone node always starts: only it could hold a promise of its own.
    quiet_until_us_ = now_us_;
    campaign_.at_us = now_us_;
    return;
  }
  const int64_t rank = configuration().rank(options_.self.replica);
  schedule_campaign(options_.suspicion_us + options_.yield_us * rank);
}

void Core::on(const in::Timeout&, Output& out) {
  if (Leader* const leading = leader()) {
    check_quorum();
    if (leading->suspended && electors_are_given_up()) {
      out.facts.push_back("too few voters are left, the others are given up -> step down");
      step_down(out);
      schedule_campaign(0);
      return;
    }
    if (leading->transfer && now_us_ >= leading->transfer->give_up_us) {
      end_transfer_late(out);
      if (leader() == nullptr) return;  // it stands itself
    }
    if (now_us_ >= leading->notice_us) send_notices(out);
    retry_appends(out);
    continue_transfer(out);
    continue_change(out);
    return;
  }
  if (now_us_ >= campaign_.at_us) campaign(out);
  if (now_us_ >= recovery_.retry_us) ask_recovery(out);
}

// The term rule: who sees a higher term takes it and follows; what has a lower one is answered so
// that the sender sees the higher one.  Votes have rules of their own, since asking must not
// disturb a leader.
void Core::on(const in::Receive& input, Output& out) {
  const Message& message = input.message;
  if (message.group != options_.group || message.to.replica != options_.self.replica) return;
  if (is_left_out(message.from.node)) return;
  if (const auto* const request = std::get_if<RequestVote>(&message.body)) {
    receive(message, *request, out);
    return;
  }
  if (const auto* const answer = std::get_if<VoteAnswer>(&message.body)) {
    receive(message, *answer, out);
    return;
  }
  if (is_said_by_leader(message.body) && !is_of_its_epoch(message, out)) return;
  if (message.term < hard_.term) {
    if (const auto* const append = std::get_if<Append>(&message.body)) {
      // A leader that has been elected in this very term since takes this for an answer to an append of its own: without a hint it would read
      // that nothing is here.
      tell(message.from,
           AppendAnswer{.result = AppendResult::kMismatch,
                        .rejected = append->prev_index,
                        .hint = last_index(),
                        .hint_term = log_.last_term()},
           out);
    }
    return;
  }
  if (message.term > hard_.term) adopt_term(message.term, out);
  std::visit([&](const auto& body) { receive(message, body, out); }, message.body);
}

void Core::on(const in::Persisted& input, Output& out) {
  CHECK(input.number <= last_write_);
  if (input.number <= persisted_) return;
  persisted_ = input.number;
  size_t finished = 0;
  while (finished < pending_writes_.size() && pending_writes_[finished].number <= persisted_) {
    stored_ = std::max(stored_, pending_writes_[finished].last);
    ++finished;
  }
  pending_writes_.erase(pending_writes_.begin(),
                        pending_writes_.begin() + static_cast<ptrdiff_t>(finished));
  if (leader() != nullptr) {
    if (Progress* const self = find(options_.self.replica)) {
      self->stored_here(stored_);
      out.copies_grew = true;
    }
    advance_commit(out);
    return;
  }
  auto* const candidate = std::get_if<Candidate>(&role_);
  if (candidate != nullptr && persisted_ >= candidate->own_vote) {
    candidate->round.add(options_.self.replica);
    if (candidate->round.verdict() == Verdict::kWon) become_leader(out);
  }
}

void Core::on(const in::Loaded&, Output&) { is_loaded_ = true; }

void Core::on(const in::Draining& input, Output&) {
  is_draining_ = input.is_draining;
  if (!is_draining_ && campaign_.at_us == kNever) stand_again();
}

void Core::on(const in::Kept& input, Output&) {
  const bool kept_before = keeps_mode();
  kept_ = input.mode;
  if (kept_before || !keeps_mode() || is_draining_) return;
  campaign_.failures = 0;
  stand_again();
}

// Its time to stand may have passed while it would not.
void Core::stand_again() {
  const Follower* const follower = following();
  const bool hears_leader = follower != nullptr && follower->leader && follower->suspicious_since_us == kNever;
  if (leader() == nullptr && !hears_leader) schedule_campaign(back_off_us());
}

Message& Core::address(Message& message, Member to) const {
  message.group = options_.group;
  message.from = options_.self;
  message.to = to;
  message.term = hard_.term;
  message.epoch = hard_.epoch;
  return message;
}

Message Core::message(Member to, MessageBody body) const {
  Message made;
  address(made, to).body = std::move(body);
  return made;
}

int64_t Core::deadline() const {
  if (failed_ || !is_started_) return kNever;
  const Leader* const leading = leader();
  if (leading == nullptr) return std::min(campaign_.at_us, recovery_.retry_us);
  if (leading->suspended && electors_are_given_up()) return now_us_;
  int64_t deadline = leading->notice_us;
  if (leading->transfer) {
    const Transfer& transfer = *leading->transfer;
    int64_t next_us = transfer.give_up_us;
    for (const int64_t us : {transfer.tell_us, transfer.tell_us + options_.lease_us}) {
      if (!transfer.told && us > now_us_) next_us = std::min(next_us, us);
    }
    deadline = std::min(deadline, next_us);
  }
  if (leading->next_transfer_us > now_us_) deadline = std::min(deadline, leading->next_transfer_us);
  if (!leading->suspended) {
    const int64_t heard_us = leading->quorum_heard_us;
    if (heard_us != kNever) deadline = std::min(deadline, heard_us + options_.suspicion_us);
  }
  for (const Progress& member : leading->progress) {
    deadline = std::min(deadline, lost_at_us(member, options_.retry_us));
  }
  return deadline;
}

bool Core::follows_leader_on(NodeId node) const {
  const Follower* const follower = failed_ ? nullptr : following();
  return follower != nullptr && follower->leader && follower->leader->node == node;
}

RoleState Core::role_state() const {
  RoleState state{.role = failed_ ? RoleName::kFollower : role(), .term = hard_.term};
  if (failed_) return state;
  if (const Follower* const follower = following()) state.leader = follower->leader;
  const Leader* const leading = leader();
  if (leading == nullptr) return state;
  state.leader = options_.self;
  state.takeover = leading->takeover;
  if (leading->transfer) {
    state.serving = Serving::kHandingOver;
  } else if (leading->suspended) {
    state.serving = Serving::kSuspended;
  } else {
    state.serving = leading->no_op > commit_ ? Serving::kStarting : Serving::kYes;
  }
  return state;
}

bool Core::is_starting() const {
  const Leader* const leading = leader();
  return !failed_ && leading != nullptr && leading->no_op > commit_;
}

const Core::Follower* Core::following() const {
  if (const auto* const follower = std::get_if<Follower>(&role_)) return follower;
  if (const auto* const asking = std::get_if<PreCandidate>(&role_)) return &asking->before;
  return nullptr;
}

bool Core::sole_voter() const {
  const std::vector<Member> voters = configuration().voters();
  return voters.size() == 1 && voters.front().replica == options_.self.replica;
}

void Core::note_applied(Index index) {
  // It may have failed behind a truncation of which nobody was told.
  if (failed_) return;
  CHECK(index <= last_index());
  ++changes_;
  executed_ = std::max(executed_, index);
  applied_ = std::max(applied_, std::min(index, commit_));
  trim();
}

void Core::set_commit(Index index, Output& out) {
  CHECK(index >= commit_);
  CHECK(index <= last_index());
  if (index == commit_) return;
  commit_ = index;
  log_.note_committed(index);
  Leader* const leading = leader();
  if (leading == nullptr) return;
  // The leader's state is ahead of its log's commit index, never behind.
  applied_ = commit_;
  trim();
  for (const Progress& member : leading->progress) schedule_notice(member);
  if (leading->no_op <= commit_) answer_recovery(out);
}

// A member that has the entries and does not know how far they are committed will be told.
void Core::schedule_notice(const Progress& member) {
  const bool is_reached = member.state() == Progress::State::kReplicate && !member.is_silent;
  if (!is_reached || member.member() == options_.self || member.told_commit >= commit_) return;
  int64_t& notice_us = leader()->notice_us;
  notice_us = std::min(notice_us, now_us_ + options_.commit_notice_us);
}

void Core::trim() {
  size_t windows = 1;
  if (const Leader* const leading = leader()) {
    // While a member stores a snapshot, what follows it should still be here when it is done.
    for (const Progress& member : leading->progress) {
      if (member.state() == Progress::State::kSnapshot && !member.is_silent) windows = 2;
    }
  }
  log_.trim(applied_, options_.window_bytes_max * windows);
  // Of the configurations before the window only the newest can be asked for.
  const size_t remembered = remembers_ ? 1 : 0;
  while (configurations_.size() > 1 + remembered &&
         configurations_[1].at.index <= log_.base().index) {
    configurations_.erase(configurations_.begin());
  }
}

}  // namespace quorate::raft

// The consensus core: one replica of one group.  Inputs in, outputs out; no clock, disk, network or
// timer. REPLICATION.md has the rules, docs/REPLICATION.md says where each is in this folder.
//
// The leader's node executes commands before it proposes their effects, so the core never applies
// anything: it says how far the log is committed.  A follower's node takes committed entries from
// log().
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/raft/input.h"
#include "cluster/raft/log.h"
#include "cluster/raft/message.h"
#include "cluster/raft/mistakes.h"
#include "cluster/raft/output.h"
#include "cluster/raft/progress.h"
#include "cluster/raft/quorum.h"
#include "util/prng.h"
#include "util/time.h"

namespace quorate::raft {

// Is it certain that this replica remembers everything it acknowledged?  The driver decides by
// REPLICATION.md 5 (mode, clean mark, boot id); a flag in the hard state counts too.
enum class StartKind : uint8_t { kRemembers, kMayHaveForgotten };

// Fixed at construction.  Times in microseconds of the steady clock (which counts suspend) unless
// named.
struct Options {
  GroupId group = {};
  Member self = {};
  size_t window_bytes_max = size_t{64} << 20;    // log kept in memory for followers
  size_t append_bytes_max = size_t{1} << 20;     // entries of one message (one entry may be larger)
  size_t in_flight_bytes_max = size_t{8} << 20;  // to one follower
  int64_t lease_us = 100'000;                    // promise of a voter, and lease before drift
  int64_t drift_us = 10'000;                     // how far two clocks part in a lease, at most
  int64_t suspicion_us = 300'000;                // check-quorum, and the first wait for a leader
  int64_t yield_us = 30'000;                     // times the rank
  int64_t back_off_us = 50'000;                  // doubles with each failure, with chance
  int64_t back_off_us_max = 1'600'000;
  int64_t retry_us = 200'000;            // unanswered appends, recovery requests
  size_t slow_bytes = size_t{1} << 20;   // for each so many of what is unanswered ...
  int64_t slow_us = 50'000;              // ... an answer is given so much longer
  int64_t nudge_us = 50'000;             // the same, of a member that a read has met
  int64_t commit_notice_us = 5'000;      // followers hear of a commit at the latest after this
  int64_t transfer_us = 300'000;         // then a transfer is given up; once more as long after the target was told
  // The target is told so long after the leader has stopped serving, so that what was read until
  // then is asked for (ReadBarrier) while it still leads.
  int64_t transfer_settle_us = 0;
  // A vote without members that an operator has named counts only where they are given up too.
  bool checks_left_out = false;
  // Who has voted so takes nothing from them for as long as the one that it has voted for may need to
  // be heard of.
  int64_t left_out_us = 2'000'000;
  bool recover_when_all_present = true;  // the all-present restart
  // The driver takes back what it has executed and the log loses (Output::truncated).  If not, a tail
  // that was executed stays until the leader's state comes in its place: all that is held counts as long.
  bool can_undo = true;
};

// What the driver found on its disk (or makes up for a new replica).
struct Restored {
  HardState hard_state = {};
  // Of the snapshot that was loaded; all zero: none.
  SnapshotMark base = {};
  // The log behind it.
  std::vector<Entry> entries = {};
  StartKind start = StartKind::kRemembers;
  bool is_loaded = true;  // false: say in::Loaded later
};

// A new group's replica, the same for each of its first voters.  Its log begins behind index 1 of
// term 1, which stands for the configuration.  Requires: validate(configuration).
Restored bootstrap(Configuration configuration);
// A new replica that shall get everything from a leader.
Restored empty_replica();

enum class ChangeRefusal : uint8_t {
  kNone,
  kNotLeader,
  kStarting,    // the term's no-op is not committed
  kInProgress,  // a configuration is not committed, or joint
  kInvalid,     // validate(), or I8
  kNoChange,
  kHandingOver,
};

// Owned by the node's replica of the group.  Calls: step(Start), then step* in time order; queries
// between.
//
// Invariants, checked in production: 1 the term never falls, one vote a term, and both are in a
// DurableWrite before a message that tells them; 2 commit_index() <= last_index(), never falls
// within a recovery epoch, and nothing at or below it is truncated (I3, I4); 3 a leader commits by
// counting only entries of its term; 4 at most one uncommitted configuration (I9), each with E + C
// > N and 2E > N (I8); 5 a RECOVERING replica grants no vote, except to all voters (that are left) together (I10);
// 6 the leader's own copy counts once written; 7 lease_until_us() ends before the promises it
// stands on.
class Core {
 public:
  // Requires: a valid or unknown configuration; entries contiguous behind the base with right
  // chains.
  Core(const Options& options, Restored restored, uint64_t seed, const Mistakes& mistakes = {});
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Requires: out.empty(), now not before the last step's.
  void step(Instant now, const Input& input, Output& out);
  // steady_us at which Timeout is wanted; kNever for an idle follower.
  int64_t deadline() const;

  // ---- who and where
  const Options& options() const { return options_; }
  // Of the log that is kept in memory for followers; holds from the next commit on.
  void set_window(size_t bytes_max) {
    ++changes_;
    options_.window_bytes_max = bytes_max;
  }
  RoleState role_state() const;
  // It follows a leader on that other node, or asks around whether it still does.
  bool follows_leader_on(NodeId node) const;
  RoleName role() const { return static_cast<RoleName>(role_.index()); }
  Term term() const { return hard_.term; }
  RecoveryEpoch epoch() const { return hard_.epoch; }
  Standing standing() const { return hard_.standing; }
  const HardState& hard_state() const { return hard_; }
  bool failed() const { return failed_; }
  // Another number after each call that may change what any query says.  Begins anywhere, so that two cores of a group are told apart.
  uint64_t changes() const { return changes_; }

  // ---- the log
  const Log& log() const { return log_; }
  Index last_index() const { return log_.last_index(); }
  Index commit_index() const { return commit_; }
  // What this replica's own disk holds (Persisted), in the group's mode.
  Index stored_index() const { return stored_; }
  // An emptied log holds nothing of its epoch yet, and claims none: whatever another one holds is more.
  Position position() const {
    if (log_.last_index().none()) return {};
    return {hard_.epoch, log_.last_term(), log_.last_index()};
  }
  // The node's state holds everything up to `index`, of a leader also what is not committed.  The window
  // may let go of what is.  Proposals need not be told.  Requires: index <= last_index().
  void note_applied(Index index);

  // ---- configuration
  // The newest adopted one, committed or not; members act by it at once.
  const Configuration& configuration() const { return configurations_.back().configuration; }
  Position configuration_at() const { return configurations_.back().at; }
  // The newest with at.index <= commit_index(); the one a snapshot at commit_index() carries.
  const StoredConfiguration& committed_configuration() const;
  // The newest with at.index <= index.  Requires: index >= log().base().index.
  const StoredConfiguration& configuration_at_index(Index index) const;
  ChangeRefusal change_refusal(const Configuration& target) const;
  // What "stored" must mean here: the strictest of the committed configuration and the newest one.
  Durability required_mode() const;
  // It does mean that, as the driver has said.
  bool keeps_mode() const { return kept_ >= required_mode(); }

  // ---- leader only; others get false, 0 or nothing
  bool can_propose() const;
  // Is `to` a voter of the incoming half, whose log is close, and is no transfer under way, nor a change of
  // voters that this leader finishes itself?
  bool may_transfer(ReplicaId to) const;
  // It leads, and the first entry of its term is not committed.
  bool is_starting() const;
  // The first entry of its term.  Requires: it leads.
  Index first_of_term() const { return leader()->no_op; }
  // The index that `level` copies hold, in every half (in a half with fewer voters: all of it).
  // Learners count only where a half has a single voter (REPLICATION.md 7).  Requires: level >= 1.
  Index copies(uint32_t level) const;
  // How many copies copies() can tell apart: those of the half that has most of them.
  uint32_t copies_possible() const;
  // Local reads are linearizable while steady_us < this, for what was committed or is waited for by
  // `need`; INT64_MIN: never.
  int64_t lease_until_us() const;
  // Before this nobody else has been elected, unless a replica that was told to stand, and did not in time, does so late.  So long a lease
  // would last that no transfer has ended.  Nothing that is said to clients may depend on it.
  int64_t unrivalled_until_us() const;
  // How many reads wait to be confirmed.  For tests: that none is kept which was answered otherwise is told by nothing else.
  size_t reads_waiting() const { return leader() == nullptr ? 0 : leader()->reads.size(); }
  // One row a member, this replica included; empty for others.
  std::span<const Progress> progress() const;
  // May a snapshot that was begun by this leader in `term` and holds the log up to `last` be
  // published, or used to truncate?
  bool snapshot_may_leave(Term term, Index last) const;
  // May it be sent to this member?  Also if it is committed as soon as the member has stored it.
  bool snapshot_may_be_sent(Term term, Index last, ReplicaId to) const;

  // ---- voter
  // Does this replica follow `leader` in `term`, so that an echo may confirm it?
  bool confirms(ReplicaId leader, Term term) const;
  // No vote above promise_term() before this, whatever is asked; INT64_MIN: no promise.
  int64_t promise_until_us() const { return promise_until_us_; }

 private:
  // Follows a leader, or nobody yet.
  struct Follower {
    std::optional<Member> leader = {};
    int64_t heard_us = INT64_MIN;  // last append, notice or beat of `leader`
    int64_t suspicious_since_us =
        kNever;  // it fell silent: this replica asks around, and still follows
    bool has_voted = false;  // as usual, in this term and life, for another one
  };
  // What a leader has learned of those to whom it could not hand over.
  struct FailedTransfers {
    std::vector<std::pair<ReplicaId, int64_t>> failed_us = {};  // Progress::transfer_failed_us, where there was one
    int64_t next_us = INT64_MIN;                                // Leader::next_transfer_us
  };
  // Asks who would vote for it.
  struct PreCandidate {
    VoteKind kind = VoteKind::kPreVote;
    Round round;
    Follower before;  // whom it followed, and follows again if that one is heard
    struct Answer {
      ReplicaId voter;
      VoteAnswer answer;
    };
    std::vector<Answer> answers = {};  // the newest of each voter
    bool told_to_wait = false;         // a promise was in the way: asking again is no failure
  };
  struct Candidate {
    VoteKind kind = VoteKind::kVote;
    Round round;
    WriteNumber own_vote = {};  // counts once it is written
    Term transfer_mark = {};
    RecoveryEpoch epoch = {};   // of a recovery: the latest of those who have agreed
    FailedTransfers failed = {};  // of a leader that stands itself: what it goes on with if it is elected
  };
  struct Transfer {
    Member to;
    int64_t tell_us = 0;  // not before
    int64_t give_up_us = kNever;
    bool told = false;  // TimeoutNow left
  };
  struct PendingRead {
    ReadToken token;
    BeatNumber last_beat;
    uint32_t voters = 0;
  };
  struct Leader {
    std::vector<Progress> progress =
        {};            // in the order of configuration().members(), self included
    Index no_op = {};  // first entry of the term
    Index chosen = {};  // the last that it has said when it was elected
    Takeover takeover = Takeover::kElection;
    std::deque<PendingRead> reads = {};  // last_beat never falls
    std::optional<Transfer> transfer = {};
    int64_t next_transfer_us = INT64_MIN;  // after one that failed; of its own accord only
    int64_t lease_from_us =
        0;  // confirmations of earlier beats do not count: the configuration changed
    // What the rows' heard_us come to: when the last beat left that L voters of every half
    // confirmed; kNever: a lone voter asks nobody.
    int64_t quorum_heard_us = INT64_MIN;
    bool lease_dropped = false;  // TimeoutNow left in this term
    bool suspended = false;
    int64_t notice_us = kNever;  // when followers are told the commit index
    struct Asked {
      Member from;
      uint64_t nonce = 0;
    };
    std::vector<Asked> asked = {};  // recovery requests that wait for the no-op
  };
  // An episode without a leader: when to ask next, and how often it failed.
  struct Campaign {
    int64_t at_us = kNever;
    uint32_t failures = 0;
    bool has_yielded = false;
  };
  struct PendingWrite {
    WriteNumber number;
    Index last;  // of the log when it was handed over; lowered if the log is truncated meanwhile
  };
  static constexpr size_t kAskedMax = 2 * kMembersMax + kLearnersMax;
  // How a RECOVERING replica learns how far it must come.
  struct Recovery {
    uint64_t nonce = 0;  // 0: nothing asked
    std::optional<Index> target = {};
    int64_t retry_us = kNever;
  };

  // core.cc: dispatch, the term rule, what surrounds every step
  void on(const in::Start&, Output& out);
  void on(const in::Timeout&, Output& out);
  void on(const in::Receive& input, Output& out);
  void on(const in::Persisted& input, Output& out);
  void on(const in::GiveUp& input, Output& out);
  void on(const in::Loaded&, Output& out);
  void on(const in::Draining& input, Output& out);
  void on(const in::Kept& input, Output& out);
  void stand_again();
  void finish(Output& out);
  void fail(Failure failure, Output& out);
  Message message(Member to, MessageBody body) const;
  // Sends a message that tells the hard state (term, epoch, configuration): at once if that is on
  // disk, else behind the write.  Without it a follower could archive its log for a recovery epoch
  // that its leader forgets.
  template <class Body>
  void tell(Member to, Body body, Output& out) {
    const bool is_stored = !hard_changed_ && last_hard_write_ <= persisted_;
    address((is_stored ? out.send : out.write.then_send).emplace_back(), to).body = std::move(body);
  }
  Message& address(Message& message, Member to) const;
  WriteNumber this_write() const { return next(last_write_); }
  Leader* leader() { return std::get_if<Leader>(&role_); }
  const Leader* leader() const { return std::get_if<Leader>(&role_); }
  // What it knows of the leader as a follower or pre-candidate; null for others.
  const Follower* following() const;
  bool sole_voter() const;
  void set_commit(Index index, Output& out);
  void schedule_notice(const Progress& member);
  void trim();

  // follow.cc: terms, leaders heard and silent
  void on(const in::LeaderHeard& input, Output& out);
  void on(const in::PeerSilent& input, Output& out);
  // Takes a higher term; whatever this replica was, it is now a follower that knows no leader.
  void adopt_term(Term term, Output& out);
  void step_down(Output& out);
  // `from` leads in the current term.  False: the core failed, since another one does too.
  bool follow(Member from, Output& out);
  // It has voted to go on without this node.
  bool is_left_out(NodeId node) const;
  // Whether to take what a leader says, by its recovery epoch.
  bool is_of_its_epoch(const Message& message, Output& out);

  // election.cc
  // Voters are on nodes that were given up.
  bool voters_are_given_up() const;
  // Those that are left are too few to elect anybody, whatever they remember.
  bool electors_are_given_up() const;
  bool is_electing() const;
  // Whom an all-present restart asks: the voters, or where some are given up all members that are left.
  Configuration everyone() const;
  bool may_stand() const;
  bool may_count_itself() const;
  bool can_be_elected() const;
  // It may lead, of this replica's own.  One that drains may as well, but does not begin to.
  bool is_fit_to_lead() const;
  bool insists() const;
  void schedule_campaign(int64_t delay_us);
  int64_t back_off_us();
  void campaign(Output& out);
  void start_pre_vote(VoteKind kind, Output& out);
  void start_vote(VoteKind kind, Term transfer_mark, Output& out);
  void ask_voters(VoteKind kind, Term proposed, Term transfer_mark, Output& out);
  Round vote_round(VoteKind kind) const;
  void become_leader(Output& out);
  bool quorum_of_electors_is_lost(const PreCandidate& asking) const;

  // receive_request_vote.cc, receive_vote_answer.cc
  void receive(const Message& message, const RequestVote& request, Output& out);
  VoteResult judge(const Message& message, const RequestVote& request, uint32_t& wait_ms) const;
  bool has_given_up(const std::vector<NodeId>& nodes) const;
  bool knows_newer_configuration(const RequestVote& request) const;
  VoteResult judge_time(const Message& message, const RequestVote& request,
                        uint32_t& wait_ms) const;
  void receive(const Message& message, const VoteAnswer& answer, Output& out);
  void count_pre_vote(const Message& message, const VoteAnswer& answer, Output& out);
  bool comes_first(ReplicaId voter, const VoteAnswer& answer) const;

  // replicate.cc: the leader's log and its followers
  void on(const in::Propose& input, Output& out);
  void on(const in::PeerConnected& input, Output& out);
  void on(const in::PeerRestarted& input, Output& out);
  void on(const in::Nudge& input, Output& out);
  Index append_own(EntryKind kind, SharedBytes payload, Output& out);
  void send_appends(Output& out);
  void send_appends(Progress& member, Output& out);
  void send_notices(Output& out);
  void send_notice(Progress& member, Output& out);
  void retry_appends(Output& out);
  void send_again(Progress& member, int64_t unanswered_us, Output& out);
  // When what is unanswered counts as lost, if that takes so long; kNever: there is nothing.
  int64_t lost_at_us(const Progress& member, int64_t unanswered_us) const;
  void advance_commit(Output& out);
  void rebuild_progress();
  Progress* find(ReplicaId replica);
  // What C voters of every half have stored.
  Index quorum_match() const;

  // receive_append.cc, receive_append_answer.cc, receive_commit_notice.cc
  void receive(const Message& message, const Append& append, Output& out);
  // How it went with the entries of an append.
  enum class Taken : uint8_t {
    kAll,
    kNotExecuted,  // up to where they part with what was executed here
    kFailed,       // the core failed
  };
  Taken take_entries(const Message& sent, const Append& append, Output& out);
  bool must_keep(Index from) const;
  void ask_for_state(const Message& sent, const Append& append, Index parts_at, Output& out);
  // What is known of an entry's chain.
  enum class Proof : uint8_t { kClaimed, kComputed };
  bool append_received(const Entry& entry, Proof proof, Output& out);
  bool truncate(Index from, Output& out);
  void start_log_anew(const SnapshotMark& mark, Output& out);
  void archive_log(RecoveryEpoch epoch, Output& out);
  void commit_verified(Output& out);
  void receive(const Message& message, const AppendAnswer& answer, Output& out);
  void receive(const Message& message, const CommitNotice& notice, Output& out);

  // confirm.cc: lease, check-quorum, reads
  void on(const in::ReadBarrier& input, Output& out);
  void on(const in::ForgetReads& input, Output& out);
  void on(const in::LeadershipConfirmed& input, Output& out);
  void on(const in::LeadershipRefused& input, Output& out);
  void answer_reads(Output& out);
  uint32_t voters_wanted(const Half& half, uint32_t voters) const;
  BeatNumber beat_confirmed_by(uint32_t voters) const;
  void note_heard();
  void check_quorum();

  // transfer.cc, receive_timeout_now.cc
  void on(const in::TransferLeadership& input, Output& out);
  void begin_transfer(Member to, Output& out);
  void end_transfer_late(Output& out);
  void give_up_transfer();
  bool could_be_elected_without(ReplicaId replica) const;
  void hand_over_to_itself(Output& out);
  void remember(const FailedTransfers& failed);
  bool owes_read(const PendingRead& read, bool is_patient) const;
  void continue_transfer(Output& out);
  void receive(const Message& message, const TimeoutNow&, Output& out);
  void receive(const Message& message, const TransferRefused&, Output& out);

  // change.cc: configurations
  void on(const in::ChangeConfiguration& input, Output& out);
  void append_configuration(const Configuration& configuration, Output& out);
  void restate_configuration(const Configuration& configuration, Output& out);
  void adopt(StoredConfiguration configuration, Output& out);
  bool remember(const StoredConfiguration& told, Output& out);
  void forget_remembered(Output& out);
  void take_back_configurations(Index last, Output& out);
  void configuration_is_another(Output& out);
  void date_logged_configurations();
  void continue_change(Output& out);

  // snapshot.cc
  bool completes_commit(Index last, ReplicaId to) const;
  void on(const in::SnapshotFailed& input, Output& out);
  void on(const in::SnapshotReceived& input, Output& out);
  void install(const SnapshotMark& mark, Output& out);

  // recover.cc: RECOVERING
  void ask_recovery(Output& out);
  void end_recovery(Output& out);
  void answer_recovery(Output& out);
  void receive(const Message& message, const RecoveryRequest& request, Output& out);
  void receive(const Message& message, const RecoveryAnswer& answer, Output& out);

  Options options_;
  Mistakes mistakes_;
  Prng prng_;

  // Durable before it is told.
  HardState hard_;
  bool hard_changed_ = false;  // in this step
  Log log_;
  // Oldest first; the last is the active one.  Never empty.
  std::vector<StoredConfiguration> configurations_;
  // The last one is not in the log: it was there before the log was forgotten, or was told by others
  // in an all-present restart.  A leader has none such: it says it again.
  bool remembers_ = false;

  // Writes under way.
  WriteNumber last_write_;
  WriteNumber last_hard_write_;
  WriteNumber persisted_;
  std::vector<PendingWrite> pending_writes_;
  Index stored_;

  Index commit_;
  Index applied_;
  Index executed_;  // what the node's state holds, of a leader also beyond the commit index
  // Follower: up to here the log is known to be the leader's of this term, and what that one has
  // committed.
  Index verified_;
  Index leader_commit_;

  std::vector<NodeId> given_up_;  // as the driver has said last
  SharedBytes decree_;
  // This voter has agreed to go on without these, and hears nothing of them until then.
  std::vector<NodeId> left_out_;
  int64_t left_out_until_us_ = INT64_MIN;

  std::variant<Follower, PreCandidate, Candidate, Leader> role_;
  RoleState role_before_;   // role_state() behind the last step; nothing else changes it
  Campaign campaign_;
  Recovery recovery_;

  // Promises of this voter, and those it may have forgotten.
  int64_t promise_until_us_ = INT64_MIN;
  Term promise_term_;
  int64_t quiet_until_us_ = INT64_MIN;

  StartKind start_;
  bool is_started_ = false;
  bool is_loaded_ = true;
  bool is_draining_ = false;
  Durability kept_ = Durability::kSynced;  // by the node, as the driver has said last
  bool failed_ = false;
  int64_t now_us_ = INT64_MIN;
  uint64_t changes_;
};

}  // namespace quorate::raft

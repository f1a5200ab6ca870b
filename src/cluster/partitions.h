// This node's replicas of partitions: made and dropped as the plan says, fed with what the leader executed, brought up by snapshots; on a
// leader also the steps from the partition's configuration to the plan.  What a batch means is the PartitionData's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/group_record.h"
#include "cluster/groups.h"
#include "cluster/members.h"
#include "cluster/peers.h"
#include "cluster/state_check.h"
#include "cluster/state_pieces.h"
#include "util/index_set.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

// What the replicas hold: the node's store, or a toy in tests.
class PartitionData : public PartitionSummer {
 public:
  // A batch that this node has not executed itself; in the order of the log.  An error: it contradicts what the partition holds, which counts
  // for nothing from there on.
  virtual Status apply(uint32_t partition, std::string_view batch) = 0;
  // Everything that the partition holds now.
  virtual void encode(uint32_t partition, Buffer& out) = 0;
  // What it holds that no snapshot of all keys of the node shows.
  virtual void encode_beside(uint32_t, Buffer&) const {}
  // All of it in steps, each of a bounded time: what it holds at the first call, while batches go on being executed.  One partition at a
  // time, and not while one is summed.  What is ready goes to the end of `out`; all of it has when it says kDone, kBroken: begin again.
  enum class Encoding : uint8_t { kMore, kDone, kBroken };
  virtual Encoding encode_some(uint32_t partition, Buffer& out) {
    encode(partition, out);
    return Encoding::kDone;
  }
  // What encode_some() has begun, and not said kDone of, is not wanted any more.
  virtual void stop_encoding() {}
  // Begins to read a state that was encoded elsewhere.  What is returned must not outlive this.
  virtual std::unique_ptr<StateReader> begin_reading(uint32_t partition) = 0;
  virtual void clear(uint32_t partition) = 0;
  // It has begun anew with nothing: all copies were given up.
  virtual void on_begun_anew(uint32_t) {}
  // Commands are executed only while role.serving is kYes.
  virtual void on_role(uint32_t partition, const raft::RoleState& role) = 0;
  // The commit index has grown; on a follower apply() for what is new follows.
  virtual void on_commit(uint32_t partition, raft::Index commit) = 0;
  virtual void on_read(uint32_t partition, raft::ReadToken token, raft::ReadVerdict verdict) = 0;
  // Batches of this replica that will never be committed.
  virtual void on_lost(uint32_t partition, std::span<const raft::Entry> entries) = 0;
  // On a leader: how many copies there are of its entries, or can be, is another than before.
  virtual void on_copies(uint32_t) {}
};

// Why no snapshot of everything on this node counts, of one partition (REPLICATION 3).
enum class Obstacle : uint8_t {
  kStopped,        // the replica's log or data contradict what it was told
  kDiffers,        // its data are not those of the other copies
  kWaitsForState,  // they are not what its log says, or not what the leader has: that sends what there is
  kNotCommitted,   // what was executed here may still be lost
};
std::string_view name_of(Obstacle obstacle);

struct PartitionsOptions {
  NodeId self = 0;
  uint32_t partitions = 0;
  int64_t look_us = 100'000;       // how often what is unfinished is looked at again
  int64_t transfer_us = 2'000'000; // between two attempts to hand a partition to its preferred leader; doubles
  int64_t transfer_us_max = 64'000'000;
  int64_t draining_transfer_us = 20'000;  // the same while this node should not lead
  StateOptions states = {};
  // To a replica that has lost a state, or has no room for it now, it is not sent again for so long; to one that refuses it, for so long.
  int64_t snapshot_us = 1'000'000;
  int64_t refused_us = 30'000'000;
  // A replica that says nothing for so long about what is sent to it may be waiting for it in vain; so may one that is sent nothing.
  int64_t stream_silence_us = 5'000'000;
  int64_t coming_silence_us = 30'000'000;
  int64_t reading_us = 500;        // from one piece that is read to the next; and to the next state behind a large one
  int64_t after_large_us = 200'000;
  uint64_t large_state_bytes = 16 << 20;
  size_t snapshots_a_turn_max = 4; // that are begun
  int64_t encoding_us = 1'000;     // from one step of making one, or a sum, to the next
  // A replica that has stopped or differs asks its leader so often whether it may start over.
  int64_t start_over_us = 1'000'000;
  // And not again for so long after it did; doubles.
  int64_t start_over_again_us = 2'000'000;
  int64_t start_over_again_us_max = 64'000'000;
  // For so long the answer counts, and after twice that the leader may allow it to another one.
  int64_t may_start_over_us = 2'000'000;
  // Between two partitions for which another leader is elected only since a copy that was left out is in a later term.
  int64_t outgrow_us = 300'000;
  // So long it waits for somebody who can take over, before that.
  int64_t outgrow_patience_us = 2'000'000;
  int64_t newest_us = 1'000'000;   // then who knows the newest configuration is asked for again
  uint64_t seed = 1;
};

// Owned by ClusterNode.  Calls: begin or restore once; then events in any order, and work() before the turn ends.
// Invariant: what a partition holds is its log up to state_index().  On a leader that is the end of the log, ahead of the commit index;
// elsewhere it is committed, except for what a former leader has executed itself.
class Partitions {
 public:
  static constexpr auto kSnapshot = static_cast<uint64_t>(PeerMessageKind::kOfNode) + 5;
  static constexpr uint64_t kMayDrop = kSnapshot + 1;
  static constexpr uint64_t kDrop = kSnapshot + 2;
  static constexpr uint64_t kTakeOver = kSnapshot + 3;
  static constexpr uint64_t kSum = kSnapshot + 5;      // the one between is the node's
  static constexpr uint64_t kDiffers = kSnapshot + 6;
  static constexpr uint64_t kMayStartOver = kSnapshot + 7;
  static constexpr uint64_t kStartOver = kSnapshot + 8;
  static constexpr uint64_t kNewest = kSnapshot + 9;
  static constexpr auto kHere = static_cast<uint64_t>(PeerMessageKind::kOfNode) + 81;
  static constexpr uint64_t kTaken = kHere + 1;

  Partitions(const PartitionsOptions& options, Groups& groups, PartitionData& data);

  // A cluster is founded: this node has all partitions, and what it holds is their state.
  void begin(Instant now, const ClusterState& state);
  // What was on disk, by group.  The states that the bases stand for are in the data already.
  void restore(Instant now, std::map<raft::GroupId, GroupRecovery::Found>& groups);

  // ---- the leader's node -----------------------------------------------------------------------------------
  bool can_propose(uint32_t partition) const;
  // A batch that this node has just executed.  Returns its index.  Requires: can_propose().
  raft::Index propose(Instant now, uint32_t partition, SharedBytes batch);
  raft::Index commit_index(uint32_t partition) const;
  raft::Index state_index(uint32_t partition) const { return replicas_[partition].state_index; }
  const raft::Core* core(uint32_t partition) const { return groups_.find(group_of_partition(partition)); }
  // Where the log stands that the partition's data stand for.  Nothing: the log does not know any more.  Requires: there is a replica.
  std::optional<raft::SnapshotMark> state_mark(uint32_t partition) const;
  void encode_beside(uint32_t partition, Buffer& out) const { data_.encode_beside(partition, out); }
  // The data hold what the log has lost, or are known to be wrong; they are replaced before long.
  bool is_astray(uint32_t partition) const { return replicas_[partition].is_astray || replicas_[partition].fault != Fault::kNone; }
  // The data are a state that was committed, perhaps an old one.
  bool has_committed_state(uint32_t partition) const;
  // The same, or what a leader has executed beyond that: of this replica, or of another one whose log it holds.
  bool has_own_state(uint32_t partition) const;

  // What keeps a snapshot of so much of everything from beginning.  Requires: there is a replica.
  std::optional<Obstacle> obstacle(uint32_t partition, Keeping keeping) const;

  // ---- the mode (REPLICATION 5) ------------------------------------------------------------------------------
  // What this node must keep: the strictest that the configurations of its replicas want, the committed ones and the newest.  Nothing: none
  // says anything.
  std::optional<raft::Durability> required_mode();
  // Which decision of the members the committed configuration follows, as the replica here knows it.  0: none, or there is no replica.
  uint64_t mode_version(uint32_t partition) const;

  // ---- leadership by hand ------------------------------------------------------------------------------------
  // Asks the leaders elsewhere of all partitions of which this node has a voter to hand over; what it gets it keeps for transfer_us_max
  // at least.  How many were asked.
  size_t take_over(Instant now, Peers& peers);
  // Partitions led here go to their preferred leaders at once, however often that has failed; while this node should not lead
  // (Groups::set_health), to whoever can.
  void hand_over_soon();
  // Partitions whose leadership is not handed over yet: another node could lead them, or will be able to when it has been given a vote by
  // the plan, or leads them already and cannot commit without this one.
  size_t count_to_hand_over() const;

  // ---- events ----------------------------------------------------------------------------------------------
  void on_role(raft::GroupId group, const raft::RoleState& role);
  void on_truncated(raft::GroupId group, std::span<const raft::Entry> entries, GroupsClient::Lost lost);
  void on_install(raft::GroupId group, const raft::SnapshotMark& mark);
  void on_commit(raft::GroupId group, raft::Index commit);
  void on_read(raft::GroupId group, raft::ReadToken token, raft::ReadVerdict verdict);
  void on_snapshot_wanted(raft::GroupId group, const raft::Member& to);
  void on_configuration(raft::GroupId group) {
    required_is_stale_ = true;
    look_soon(partition_of(group));
  }
  void on_copies(raft::GroupId group) { data_.on_copies(partition_of(group)); }
  // The replica has stopped by a contradiction.
  void on_failure(raft::GroupId group);
  static bool takes(uint64_t kind) {
    return (kind >= kSnapshot && kind <= kTakeOver) || (kind >= kSum && kind <= kNewest) || kind == kHere || kind == kTaken;
  }
  Status receive(Instant now, NodeId from, uint64_t kind, std::string_view bytes);

  // Makes and drops replicas, applies, sends snapshots, changes configurations.  kMayBeOld: the plan is one from before this node was started;
  // nothing is done by it.
  enum class Plan : uint8_t { kCurrent, kMayBeOld };
  void work(Instant now, const ClusterState& state, Plan plan, Peers& peers);
  int64_t deadline() const {
    const int64_t read_us = to_read_.empty() ? kNever : next_read_us_;
    return std::min({next_look_us_, read_us, wants_step_ ? next_step_us_ : check_.deadline()});
  }
  // Of states that other nodes have begun to send here, and that are not in their places yet; so much is kept at most.
  uint64_t coming_bytes() const { return coming_bytes_; }
  // Of all states on their way, here and from here.
  uint64_t state_bytes() const;
  void set_state_bytes_max(uint64_t bytes) {
    room_may_be_free_ = room_may_be_free_ || bytes > state_bytes_max_;
    state_bytes_max_ = bytes;
  }
  // The comparison of copies.
  const StateCheck& check() const { return check_; }
  // How often a partition was looked through, which a settled one is not when something is committed.
  uint64_t looks() const { return looks_; }
  // Replicas of this node that were known to be wrong and begun anew.
  uint64_t started_over() const { return started_over_; }
  // "fact -> decision" since the last call, by partition.
  std::vector<std::pair<uint32_t, std::string>> take_facts();

  // What the next record of the log must begin with; the caller empties them when that record is made.
  std::vector<GroupBase>& bases_to_store() { return bases_to_store_; }
  const std::vector<GroupBase>& bases_to_store() const { return bases_to_store_; }
  std::vector<GroupPiece>& pieces_to_store() { return pieces_to_store_; }
  const std::vector<GroupPiece>& pieces_to_store() const { return pieces_to_store_; }
  // No snapshot of the log may begin now.
  bool has_open_pieces() const;
  std::vector<raft::GroupId>& gone_to_store() { return gone_to_store_; }
  const std::vector<raft::GroupId>& gone_to_store() const { return gone_to_store_; }

 private:
  // Why a replica must come back by snapshot as soon as another one leads, and says that the others hold everything without it.
  enum class Fault : uint8_t {
    kNone,
    kDiffers,  // from the other copies
    kStopped,  // its log or its data contradict what it was told; nothing is applied any more
  };
  // A snapshot of this leader's state; leaves once everything in it is committed, or will be by being stored where it goes.
  struct HeldSnapshot {
    raft::Term term;
    raft::SnapshotMark mark;
    StateBytes state;
  };
  // This leader is to be followed by one of a later term, since a copy that was left out is in one.
  struct Outgrowing {
    raft::Term in;   // the last of its terms in which that was so
    int64_t hands_over_until_us = 0;
    bool has_handed_over = false;
  };
  // A snapshot on its way to one replica.
  struct Stream {
    raft::Member to;
    uint64_t number = 0;
    uint64_t size = 0;
    uint64_t sent = 0;
    uint64_t taken = 0;
    bool has_begun = false;
    int64_t heard_us = 0;
  };
  struct PutOff {
    raft::Member to;
    int64_t until_us = 0;
    bool lacks_room = false;   // it says so when it has some
  };
  // A state that has come and is in its place; its sender waits for a word of the core's, which waits for the disk or for the mode.
  struct Arrived {
    NodeId from = 0;
    StateTaken taken;
    raft::Index last;
  };
  struct Replica {
    raft::Index state_index;
    bool shares_votes_next = false;   // when it was looked at last: of this leader, the only voter
    // Found at the last look: there is nothing to do but to apply what is committed, until something is told or the time comes to look at all.
    bool is_settled = false;
    // It has executed batches that the log has lost: only a snapshot can bring it back.
    bool is_astray = false;
    Fault fault = Fault::kNone;
    std::optional<int64_t> asked_to_start_over_us;   // because of a fault
    int64_t may_ask_from_us = INT64_MIN;
    int64_t start_over_wait_us = 0;
    // Of this leader: who asks it, since when, and when it has last said yes.
    std::map<raft::ReplicaId, int64_t> asking_us;
    std::optional<int64_t> allowed_to_start_over_us;
    std::vector<raft::NodeId> agreeing;   // of a leader that differs: who holds what the majority does
    // What nodes have here that the configuration names as learners with an older replica: that one has gone, or never was there.
    std::map<NodeId, raft::ReplicaId> newer;
    std::vector<raft::Member> snapshot_wanted;
    std::vector<PutOff> put_off;         // of these
    std::optional<HeldSnapshot> snapshot;
    std::vector<Stream> streams;         // of snapshots; those who are sent one do not want it any more
    std::unique_ptr<ComingState> coming;
    std::optional<Arrived> arrived;
    NodeId preferred = 0;   // by the plan when it was looked at last; 0: it was not yet
    int64_t next_transfer_us = INT64_MIN;
    int64_t transfer_wait_us = 0;
    Outgrowing outgrowing;
    // Some of its voters were given up and nobody leads it: who of the others has said, since all were asked, that it knows no newer
    // configuration, and whose replica has stopped.
    std::optional<int64_t> newest_asked_us;
    std::vector<NodeId> newest_told;
    std::vector<NodeId> stopped;
    bool goes_on_without = false;   // the core was told to
  };

  static uint32_t partition_of(raft::GroupId group) { return static_cast<uint32_t>(group.value - 1); }
  void look_soon(uint32_t partition) {
    replicas_[partition].is_settled = false;
    due_.insert(partition);
  }
  void add_empty(Instant now, uint32_t partition, raft::ReplicaId replica, raft::Restored restored);
  void drop(Instant now, uint32_t partition);
  void look_at(Instant now, uint32_t partition, const ClusterState& state, Plan plan, Peers& peers);
  bool is_settled(uint32_t partition, const PlannedPartition& planned) const;
  raft::Configuration planned_configuration(const raft::Core& own, const PlannedPartition& planned) const;
  bool can_vote(const raft::Core& own, const std::vector<raft::Member>& voters) const;
  // The plan says who should lead: somebody else than before is asked without waiting.
  void prefer(uint32_t partition, NodeId node);
  void hand_over(Instant now, uint32_t partition, const PlannedPartition& planned);
  // Only this node votes, and others will as soon as it follows the plan, one of which could lead then.
  bool is_about_to_share_votes(uint32_t partition, const PlannedPartition& planned) const;
  // False: nobody can take over now.
  bool leave(Instant now, uint32_t partition, const PlannedPartition& planned);
  void start_over(Instant now, uint32_t partition);
  void mend(Instant now, uint32_t partition, Peers& peers);
  void answer_may_start_over(Instant now, NodeId from, const raft::Core& own, raft::ReplicaId replica, std::string_view bytes);
  void apply(Instant now, uint32_t partition);
  void check_copies(Instant now, Peers& peers);
  void mark(Instant now, uint32_t partition);
  void tell_differing(const StateCheck::Finding& finding, Peers& peers);
  Status receive_sum(NodeId from, std::string_view bytes);
  Status receive_differs(NodeId from, std::string_view bytes);
  void send_snapshots(Instant now, uint32_t partition, Peers& peers);
  // Makes the snapshot, or goes on; false while it is not whole.
  bool make_snapshot(Instant now, uint32_t partition);
  void forget_snapshot(uint32_t partition);
  static bool wants_snapshot_now(const Replica& replica);
  static bool is_put_off(const Replica& replica, const raft::Member& to);
  void begin_streams(Instant now, uint32_t partition);
  void send_pieces(Instant now, uint32_t partition, Peers& peers);
  void send_pieces(uint32_t partition, Stream& stream, Link& link) const;
  Status receive_taken(Instant now, NodeId from, std::string_view bytes);
  Status receive_piece(Instant now, NodeId from, std::string_view bytes);
  Result<bool> begin_coming(Instant now, NodeId from, const StatePiece& first, const raft::Core& own);
  void answer(NodeId to, const StateTaken& taken);
  void forget_coming(uint32_t partition);
  void look_at_coming(Instant now);
  void look_at_arrived(uint32_t partition);
  void tell_room();
  void read_states(Instant now);
  void put_in_place(Instant now, uint32_t partition);
  void follow_plan(Instant now, uint32_t partition, const PlannedPartition& planned);
  std::optional<raft::Configuration> next_configuration(const raft::Core& core, const PlannedPartition& planned) const;
  // The members' mode, or the one there is while too few can keep that.
  void set_mode(const raft::Core& own, raft::Configuration& target) const;
  bool can_be_kept(const raft::Half& voters, raft::Durability mode) const;
  void begin_anew(Instant now, uint32_t partition, raft::ReplicaId replica);
  bool waits_for_given_up(uint32_t partition, const ClusterState& state) const;
  void go_on_without(Instant now, uint32_t partition, const ClusterState& state, Peers& peers);
  void ask_for_newest(Instant now, uint32_t partition, const ClusterState& state, Peers& peers);
  Status receive_newest(NodeId from, std::string_view bytes);
  void tell_of_own(uint64_t kind, uint32_t partition, const PlannedPartition& planned, Peers& peers);
  void note_newer(NodeId node, const raft::Core& own, raft::ReplicaId replica);
  void outgrow(Instant now, const raft::Core& own, raft::Member left_out, raft::Term term);
  void answer_may_drop(NodeId from, const raft::Core& own, raft::ReplicaId replica, std::string_view bytes);

  const PartitionsOptions options_;
  Groups& groups_;
  PartitionData& data_;
  StateCheck check_;
  std::vector<Replica> replicas_;
  IndexSet due_;                      // partitions in which something is to be done in this turn, or the next
  uint64_t plan_version_ = 0;
  // The members' (ClusterState::mode).
  raft::Durability mode_ = raft::Durability::kOs;
  uint64_t mode_version_ = 0;
  std::optional<raft::Durability> required_;
  bool required_is_stale_ = true;
  int64_t next_look_us_ = kNever;
  int64_t next_outgrown_us_ = INT64_MIN;
  const ComingState* received_ = nullptr;   // that is being put in its place
  // States that have come: all their bytes together, and those that are whole, in the order in which they are read.
  uint64_t coming_bytes_ = 0;
  uint64_t state_bytes_max_ = UINT64_MAX;
  // States for which there was no room, by partition: who is told when there is some.
  struct WaitsForRoom {
    NodeId from = 0;
    StateTaken taken;
    uint64_t bytes = 0;
  };
  std::map<uint32_t, WaitsForRoom> wait_for_room_;
  bool room_may_be_free_ = false;   // since they were told last
  std::deque<uint32_t> to_read_;
  int64_t next_read_us_ = INT64_MIN;
  uint64_t last_stream_ = 0;
  struct Answer {
    NodeId to = 0;
    uint64_t kind = 0;
    std::string bytes;
  };
  std::vector<Answer> answers_;
  size_t snapshots_begun_ = 0;     // in this turn
  std::optional<uint32_t> encoding_;  // the partition whose snapshot is being made
  // As the cluster's settings were at the last look at all.
  uint32_t commit_quorum_ = 0;
  int64_t state_check_us_ = 0;
  bool wants_step_ = false;           // of that, or another waits for it; or of a sum
  int64_t next_step_us_ = INT64_MIN;
  std::vector<GroupPiece> pieces_to_store_;
  std::vector<GroupBase> bases_to_store_;
  std::vector<raft::GroupId> gone_to_store_;
  std::vector<std::pair<uint32_t, std::string>> facts_;
  uint64_t started_over_ = 0;
  uint64_t looks_ = 0;
};

}  // namespace quorate

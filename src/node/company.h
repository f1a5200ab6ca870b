// The node among others: its part of the cluster, and its replicas of partitions over the store.  Alone it does nothing and costs nothing:
// there is one log, and a reply waits for its sequence (durability.h).  From the first other member on every partition is a group of its own,
// and replies wait for what their partition has committed.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/cluster_node.h"
#include "cluster/partitions.h"
#include "node/apply.h"
#include "node/forwarding_peers.h"
#include "node/freshness.h"
#include "node/group_log.h"
#include "node/key_versions.h"
#include "node/level_streams.h"
#include "node/levels.h"
#include "node/loss_file.h"
#include "node/losses.h"
#include "node/mode_progress.h"
#include "node/own_mark.h"
#include "node/pubsub_links.h"
#include "resp/request_parser.h"
#include "store/key.h"
#include "store/partition_state.h"
#include "store/partition_sum.h"
#include "util/mac.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class Driver;
class Session;
struct Command;
struct NodeState;

// Owned by NodeState.  Calls: restore if there is a log of groups, start once; then inputs and commands in any order; at the end of a turn
// work, confirm_reads, store_records; on_log_progress when the disk has answered, then store_records again; then flush and take the outputs of
// cluster().
// Invariants: 1. Commands run on a partition only while this node leads it, has everything in memory that its log holds, and may serve.
// 2. What was executed is proposed before anything else is stepped: so commands of other nodes that arrive among the messages of a turn are
// kept until all messages are dealt with.  3. While in company no turn record is written.
class Company final : private PartitionData, private ForwardingPeers, private PubsubPeers {
 public:
  explicit Company(NodeState& node);
  ~Company() override;

  // What recovery found of groups, and whether the node may have forgotten.  Installs the states of bases into the store.
  // Requires: before start().
  Status restore(GroupRecovery& recovery, raft::StartKind start);
  // What was known of losses before this start.  Requires: before start().
  Status restore_losses(Disk& disk);
  // The error is the reason why this node cannot belong to a cluster as it was told.
  Status start();
  bool is_started() const { return cluster_ != nullptr; }

  // Never had company: commands run here without asking anybody.
  bool is_alone() const { return !in_company_; }
  // It has an identity, and a log for terms and votes, or can begin one.
  bool may_have_company() const;
  ClusterNode& cluster() { return *cluster_; }
  const ClusterNode& cluster() const { return *cluster_; }

  // ---- commands ---------------------------------------------------------------------------------------------
  // Commands may run on it here.
  bool serves(uint32_t partition) const override { return states_[partition].serves; }
  // It may well have been deposed and not know yet: what runs now may have to run again elsewhere.  Requires: serves(partition).
  bool is_doubted(uint32_t partition, int64_t now_us) {
    return now_us >= states_[partition].trusted_until_us && !is_trusted_again(partition, now_us);
  }
  // The member that leads the partition, if it is another one that can be reached now.  Null: nobody who is known.
  const MemberRecord* leader_elsewhere(uint32_t partition) const;
  // The partition of the command that runs; what it read or wrote is booked there.
  void set_partition(uint32_t partition) { partition_ = partition; }
  uint32_t partition() const { return partition_; }
  // The command that ran has written (nullptr bytes: to several keys, of which `keys` may name some).  Its reply waits for that.
  void after_write(Session& session, const Key& key, LevelKeys keys);
  // It has read.
  void after_read(Session& session, const Key& key, LevelKeys keys);
  // What is said to the session tells of all that was executed here, no matter of which keys, and of what was not found.
  void await_all(Session& session);
  // The same of one partition.
  void await_all_of(Session& session, uint32_t partition);
  // Of an entry that this node has not executed itself.
  Status apply_rows(uint32_t partition, std::string_view rows);
  // What the partition's log says of commands that were forwarded.
  uint64_t rows_digest(uint32_t partition) const;
  // A key of a partition that is served here is watched elsewhere: what it is now.  Is it certain that it is the same still?
  KeyVersion watch(uint32_t partition);
  bool is_unchanged(uint32_t partition, uint64_t key_hash, const KeyVersion& seen);
  // It passed over something whose time has come: its reply waits for an entry that says so.
  void after_time(Session& session);

  // ---- levels (company_levels.cc) ----------------------------------------------------------------------------
  // What holds for a command of this session on this key: of the request, the connection, the default.  Both are set.
  Levels levels_of(const Session& session, std::string_view key) const;
  // For the calls that take LevelKeys, of a command that may have several.
  std::vector<std::string_view> level_keys(const Command& row, Args args) const;
  // The settings may say something else than before.
  void level_settings_changed();
  // level_refusal() must be asked even if the session has no levels of its own.
  bool has_own_levels(uint32_t partition) const {
    const WriteNeeds& initial = states_[partition].default_needs;
    return !levels_are_plain_ || initial.copies != 0 || initial.zones;
  }
  bool levels_are_plain() const { return levels_are_plain_; }
  // Why the level of a command that would run here cannot be met, by the beats.  Nothing was done then.
  std::optional<Error> level_refusal(const Session& session, uint32_t command_flags, std::string_view key, LevelKeys keys, uint32_t partition) const;
  // How many copies hold what stands at a place, the leader's own not counted; as far as this node, which must lead the partition, knows.
  struct CopiesThere {
    uint32_t others = 0;     // what is not committed has fewer than a commit needs
    bool is_stored = false;  // by the leader itself
    bool is_synced = false;  // by those others
    bool is_gone = false;    // something else stands there for good, or nobody can tell any more what does
  };
  // Nothing: it does not lead it.  All 0: something else stands there, or nothing yet.
  std::optional<CopiesThere> copies_there(const LogPlace& place) const;
  // The copy here has what stands at a place, in its log.
  bool has_stored(const LogPlace& place) const;
  // Who has copies that count for what is written there, as far as this node knows.
  std::vector<NodeId> counted_copies(uint32_t partition) const;
  // A message to another node, or to whoever leads the partition; lost if nobody does, or there is no link.
  void ask(NodeId other, uint64_t kind, std::string_view bytes) { send(other, kind, bytes, {}); }
  void ask_leader(uint32_t partition, uint64_t kind, std::string_view bytes);
  // How many copies besides the leader's a level means; with nothing to go by, of the partitions that there are.
  uint32_t others_wanted(WriteLevel level, std::optional<uint32_t> partition) const;
  const Losses& losses() const { return losses_; }
  // What is led here, and not committed yet.
  uint64_t uncommitted_bytes() const { return uncommitted_bytes_; }
  ReplacedFile& loss_file() { return loss_file_; }
  // After its on_reply().
  void on_losses_stored();
  // Up to where replies were let go because so many copies hold it, in this leadership; 0: none were.  For the simulator.
  uint64_t copies_told(uint32_t partition, uint32_t count) const;

  // ---- copies that answer (company_copies.cc) ----------------------------------------------------------------
  // This session, or what holds for keys, may ask for what a copy answers.
  bool asks_copies(const Session& session) const;
  // A command on these keys of the partition, or on all of it, that may be answered from the copy here, whoever leads.
  bool may_read_copy(const Session& session, uint32_t command_flags, std::span<const std::string_view> keys, uint32_t partition);
  // The commands that run in between read copies, and what they tell waits for nothing.
  void begin_copy_read() { reads_copies_ = true; }
  void end_copy_read() { reads_copies_ = false; }

  // Looks for the cluster at `address` at the end of this turn, and joins it if the node holds nothing by then; from there on nothing runs
  // here until it has been let in.  Instead of what it was told before.  Requires: cluster().may_join().
  void join(const PeerAddress& address);
  // In any database.
  bool has_data() const;
  // The clocks as they are read; the node's time may be another.
  Instant wall_now() const;

  // ---- the log (docs/CLUSTER.md, "What a start remembers") ----------------------------------------------------------
  // Of partitions: all, or with `appendonly no` nothing.
  Keeping keeping() const { return keeping_; }
  // Everything is still kept, and that this ends is on its way to the disk: a snapshot of everything that began now would take it away.
  bool becomes_bare() const { return bare_record_ != 0; }
  // A start would find all that is kept.  After `appendonly yes` not before a snapshot of everything is there.
  bool log_is_whole() const { return keeping_ == Keeping::kAll && whole_from_ == 0; }
  // The log begins with a snapshot now, of so much, that stands for what is below `sequence`.
  void snapshot_is_published(Keeping of, uint64_t sequence);
  // What keeps a snapshot of everything that is wanted from beginning, or one that is made from counting.
  std::vector<ClusterNode::HeldUp> snapshot_held_up() const;
  // The mode may be another one.  Called often.
  void follow_mode();
  OwnMark& mark() { return mark_; }

  // ---- the mode (REPLICATION 5) --------------------------------------------------------------------------------------
  // As the members have decided it; while they have not, by this node's settings.
  raft::Durability members_mode() const;
  // What it must mean here that an entry is stored: nothing weaker than that, and than what the configurations of the replicas here say.
  raft::Durability wanted_mode() const;
  // The same for the mark, which is of a log that is there.
  raft::Durability mark_mode() const;
  // What it means: a start would find it again.
  raft::Durability kept_mode() const;
  // How many partitions are not known to go by this decision of the members, or a later one, for good.
  size_t count_without_mode(uint64_t version) const;
  // Looks which do, and asks the others now and then.
  void look_for_mode(uint64_t version);
  // A sync has failed.
  void distrust_disk();
  // What an orderly end leaves besides the log.  True once it is there, or cannot be.  Requires: as OwnMark::end().
  bool end_files();

  // `masterauth` may have another value.  Called often.
  void follow_masterauth();

  // `zone` or `node-weight` may have another value.  Called often.
  void follow_own_share();

  // ---- leaving (leaving.h) ------------------------------------------------------------------------------------
  // This node is going to end, or stays after all.
  enum class Draining : uint8_t { kNo, kYes };
  void set_draining(Draining draining);
  // What the others are told of this node with the beats.
  void tell_health(const beats::Health& health);
  // To a member, if there is a line: a message of the node's own.
  void say(NodeId to, uint64_t kind, std::string_view bytes) { add_to_link(to, PeerLane::kData, kind, bytes, {}); }
  // Whoever asks from here on is told that nothing was done.
  void stop_serving_all();
  // Why this node belongs to no cluster (it has not been let in yet, or is not wanted), and so serves nothing.
  std::optional<Error> exclusion() const;
  // Nothing is said to other nodes any more, and nothing taken from them, so that the log comes to its end.  set_draining(kNo) ends it.
  void fall_silent() { is_silent_ = true; }

  // ---- inputs: connections with other nodes, time ------------------------------------------------------------
  ConnectionId accepted(const PeerAddress& from);
  void dialled(ConnectionId connection);
  // What it brings is dealt with by work().
  void received(ConnectionId connection, std::string_view bytes);
  void lost(ConnectionId connection);
  void tick();

  // ---- a turn -----------------------------------------------------------------------------------------------
  // What was executed since the last call becomes one entry a partition.  Before every step of the cluster.
  void propose();
  // Messages are dealt with, replicas looked after.
  void work(Driver& driver);
  // Reads of this turn whose lease has lapsed wait for a confirmation; who has asked how old a copy is gets an answer while there is a lease.
  // Requires: after the commands of the turn.
  void confirm_reads(Driver& driver);
  // Puts what is to be stored into the log, if there is anything.
  void store_records();
  // The log has got further.
  void on_log_progress();
  void flush();
  int64_t deadline() const;
  // Ten times a second: looks whether the disk finishes what it is given (REPLICATION 5); if not, others shall lead.
  void look_at_disk();
  // The same: how far the wall clock is from the other nodes'.
  void look_at_clocks();
  // The same: replies of a partition in which nothing was committed, or no read was confirmed, for request-timeout-ms become
  // -UNCERTAIN.
  void end_overdue();

 private:
  static constexpr size_t kKeySlots = 64;   // a partition
  static constexpr uint64_t kBarrierKinds = 32;   // a token is number * kBarrierKinds + voters
  // What the reply to a write waits for: that it is committed, that so many copies hold it, that the disk knows that this node acknowledges
  // weakly (0: no matter).
  struct WriteNeeds {
    bool commit = true;
    bool zones = false;       // copies in min-zones zones hold it
    uint8_t copies = 0;
    uint64_t noted = 0;   // a wish of the loss file that is on disk
  };
  // What the reply to a read waits for: that what it has seen is committed; that this node leads, by lease or by a round with at least
  // so many voters (0: no round).
  struct ReadNeeds {
    bool commit = true;
    bool lease = false;
    uint8_t round = 0;
  };
  // Learners count as copies while there is one voter.
  enum class Counted : uint8_t { kCopies, kVoters };
  struct PartitionState {
    bool serves = false;
    bool may_serve_soon = false;       // leads; what its log holds may not be in memory yet
    bool is_touched = false;           // written in this turn
    bool is_read = false;              // read in this turn
    bool wants_time = false;           // an entry is wanted even if nothing was written
    int64_t trusted_until_us = INT64_MIN;  // no other can lead before this; what the core has said when it was asked last
    uint64_t term = 0;                 // in which it serves, or has served last
    uint64_t next_index = 0;           // of this turn's entry; valid while is_touched
    // An index is committed once the partition's stream has got to it behind this.  The stream never falls, and a log that begins again, in
    // a recovery epoch or with nothing, commits the indexes once more that the one before it has committed.
    uint64_t commit_base = 0;
    uint64_t commit_seen = 0;          // on_commit() has said last
    uint64_t commit_wanted = 0;        // the last index that a reply waits for; not beyond commit_seen: none does
    uint64_t last_write = 0;
    uint64_t all_keys_write = 0;       // of several keys
    uint64_t restart_told_term = 0;    // in which it began to lead after all its copies had been restarted
    uint64_t reads_asked = 0;          // barriers: the number of the last one
    // Since then nothing was committed, or confirmed, though replies wait for it.
    int64_t writes_wait_since_us = kNever;
    int64_t reads_wait_since_us = kNever;
    Unacknowledged unacknowledged;
    uint64_t uncommitted_bytes = 0;    // as count_uncommitted() has seen it
    Freshness freshness;               // of the copy here, while another node leads
    int64_t stamp_ms = 0;              // of the last entry that was proposed or applied here; 0: not known
    uint64_t weak_index = 0;           // the last that was acknowledged before it was committed, in `term`
    uint64_t weak_noted = 0;           // the wish of the loss file that says so of `term`; 0: none
    uint64_t weak_said = 0;            // the entry of `term` that says so to whoever leads next; 0: none
    WriteNeeds default_needs = {};     // of write-quorum; on a leader
    raft::Position needs_at = {};      // the configuration that default_needs go by
    std::unique_ptr<LevelStreams> levels;   // made by the first that needs them
    std::array<uint64_t, kKeySlots> key_writes{};  // by hash of the key: the index of its last change, or of a neighbour's
  };

  class StateOfPartition;
  Status apply(uint32_t partition, std::string_view batch) override;
  void encode(uint32_t partition, Buffer& out) override;
  void encode_beside(uint32_t partition, Buffer& out) const override;
  Encoding encode_some(uint32_t partition, Buffer& out) override;
  void stop_encoding() override { encoder_.reset(); }
  void begin_sum(uint32_t partition) override;
  Summing sum_some(Hash128& sum) override;
  void stop_sum() override { summed_.reset(); }
  std::unique_ptr<StateReader> begin_reading(uint32_t partition) override;
  void clear(uint32_t partition) override;
  void on_begun_anew(uint32_t partition) override;
  void on_role(uint32_t partition, const raft::RoleState& role) override;
  void on_commit(uint32_t partition, raft::Index commit) override;
  void on_read(uint32_t partition, raft::ReadToken token, raft::ReadVerdict verdict) override;
  void on_lost(uint32_t partition, std::span<const raft::Entry> entries) override;
  void on_copies(uint32_t partition) override;

  NodeId own_id() const override { return cluster_->own().id; }
  NodeId leader_of(uint32_t partition) const override;
  bool is_heard(NodeId node) const override;
  uint64_t incarnation_of(NodeId node) const override;
  OriginRows& rows(uint32_t partition) override;
  void await_partition(Session& session, uint32_t partition) override;
  LogPlace place_of(uint32_t partition) const override;
  bool send(NodeId to, uint64_t kind, std::string_view head, std::string_view body) override;
  bool send_shared(NodeId to, uint64_t kind, std::string_view head, const SharedBytes& body) override;
  bool send_pubsub(NodeId to, uint64_t kind, std::string_view bytes) override;

  bool add_to_link(NodeId to, PeerLane lane, uint64_t kind, std::string_view head, std::string_view body);
  void begin_joining();
  // What a read wants of a copy.
  struct CopyWanted {
    int64_t age_us_max = kNever;
    bool is_local = true;   // level local; else the leader itself answers as by a lease
  };
  // Met once the partition's entry at this index is committed.
  Need committed(uint32_t partition, uint64_t index) const { return {commit_stream(partition), states_[partition].commit_base + index}; }
  std::optional<CopyWanted> copy_wanted(const Session& session, std::string_view key) const;
  bool is_committed_here(uint32_t partition);
  bool has_readable_copy(uint32_t partition, int64_t age_us_max);
  bool is_fresh(uint32_t partition, int64_t bound_us);
  Status take_freshness(NodeId from, FreshnessKind kind, std::string_view bytes);
  void ask_freshness(uint32_t partition, int64_t now_us);
  void nudge(uint32_t partition, NodeId node);
  void tell_freshness();
  void confirm_partition(uint32_t partition);
  Status on_message(NodeId from, uint64_t kind, std::string_view bytes);
  void encode_head(uint32_t partition, Buffer& out) const;
  Status install_state(uint32_t partition, std::string_view state);
  void take_order(uint64_t hash_seed);
  void keep_mark();
  void follow_mark();
  void tell_mode();
  void follow_appendonly();
  Status take_mode_message(NodeId from, ModeKind kind, std::string_view bytes);
  std::vector<uint64_t> mode_versions() const;
  void make_records();
  void note_restart_together(uint32_t partition);
  void note_takeover(uint32_t partition, raft::Takeover takeover);
  void tell_restarts_together();
  uint64_t index_of_turn(uint32_t partition);
  void note_removals();
  void serve(uint32_t partition);
  void stop_serving(uint32_t partition);
  // Its log has grown, or more of it is committed, or it is served or not any more.
  void count_uncommitted(uint32_t partition);
  bool is_trusted_again(uint32_t partition, int64_t now_us);
  void serve_who_is_ready();
  void lose_reads(uint32_t partition);
  void lose_copies(uint32_t partition);
  // What was said waits for this entry to be committed, but not longer than request-timeout-ms.
  void await_commit(Session& session, uint32_t partition, uint64_t index);
  // Whoever waits for an entry from this one on waits in vain.
  void lose_commits(uint32_t partition, uint64_t from, const std::function<Error(uint64_t position)>& why);
  // Whoever waits for more than the stream has reached waits in vain.
  void lose_the_rest(StreamId stream, const std::function<Error(uint64_t position)>& why);
  void await_read(Session& session, uint32_t partition) override;
  bool has_written(const raft::Core& core, const LogPlace& place) const;
  WriteNeeds write_needs(const raft::Core& core, WriteLevel level) const;
  WriteNeeds write_needs(const Session& session, uint32_t partition, std::string_view key, LevelKeys keys) const;
  // Calls f(Levels) for each of the keys, or for the one.
  template <class F>
  void each_levels(const Session& session, std::string_view key, LevelKeys keys, F&& f) const {
    if (keys.empty()) return f(levels_of(session, key));
    for (const std::string_view each : keys) f(levels_of(session, each));
  }
  std::optional<Error> level_refusal(const Levels& levels, uint32_t command_flags, uint32_t partition) const;
  void await_write(Session& session, uint32_t partition, uint64_t index, WriteNeeds needs);
  void await_copies(Session& session, uint32_t partition, uint64_t index, uint32_t count);
  // In so many zones copies of the partition's members live, if those are too few for min-zones.
  std::optional<uint32_t> too_few_zones(const raft::Core* core) const;
  ReadNeeds read_needs(uint32_t partition, ReadLevel level) const;
  ReadNeeds read_needs(const Session& session, uint32_t partition, std::string_view key, LevelKeys keys) const;
  void await_round(Session& session, uint32_t partition, uint32_t voters);
  void begin_barrier(uint32_t partition, uint64_t number, uint32_t voters);
  void forget_reads(uint32_t partition, uint32_t voters);
  LevelStreams& level_streams(uint32_t partition);
  // How many live, if those are too few.
  std::optional<uint32_t> too_few_live(const raft::Core& core, Counted counted, uint32_t wanted) const;
  WriteNeeds bounded(uint32_t partition, uint64_t index, WriteNeeds needs);
  uint64_t index_in_zones(const raft::Core& core) const;
  void follow_zones();
  void remember_weak();
  bool must_note_first() const { return loss_file_.durable() < loss_noted_ && !loss_file_.has_failed(); }
  void note_loss(uint32_t partition, std::span<const raft::Entry> entries);
  Error uncertain_of(uint32_t partition, uint64_t index) const;
  void enter_company();
  void on_link(NodeId node, PeerLane lane, ClusterNode::LinkChange change);
  // Terms and votes need a log: without one there will be no company.
  bool has_turn() const;
  void tell_leaders();
  void tell_notes();

  NodeState& node_;
  std::optional<RestoredCluster> restored_;
  std::optional<PeerAddress> told_to_join_;
  std::string masterauth_;          // as follow_masterauth() has seen it
  std::optional<Bytes32> secret_;   // link_secret() of it
  std::unique_ptr<ClusterNode> cluster_;
  bool in_company_ = false;
  bool has_order_ = false;          // take_order() was called
  bool serves_no_more_ = false;
  bool is_silent_ = false;
  bool has_input_ = false;          // in this turn; alone nothing is to be done without
  std::vector<PartitionState> states_;
  std::unique_ptr<OriginRows[]> rows_;  // by partition
  uint32_t partition_ = 0;
  bool reads_copies_ = false;       // what runs
  std::vector<uint32_t> touched_;   // partitions written in this turn
  std::vector<uint32_t> read_;      // and read
  std::vector<std::pair<NodeId, FreshnessMessage>> asked_freshness_;   // by whom
  std::vector<uint32_t> ready_;     // may_serve_soon
  KeyVersions key_versions_;
  EffectApplier applier_;
  BatchApplier batches_;
  Losses losses_;
  ReplacedFile loss_file_{std::string(kLossesFile), kLossesOwner};
  const StreamId losses_stream_;    // at loss_file_.durable()
  uint64_t loss_noted_ = 0;         // the wish that tells of the last entries that are lost
  int64_t noted_wait_since_us_ = kNever;   // replies wait for losses_stream_
  int64_t min_zones_ = 0;           // as level_settings_changed() has seen it
  uint64_t zones_version_ = 0;      // of the members, when copies were last counted by their zones
  Levels default_levels_{.write = {WriteLevel::kQuorum}, .read = {.kind = ReadLevel::Kind::kLease}};
  bool levels_are_plain_ = true;    // for who has asked for none: that is what they are
  std::vector<NodeId> leaders_;     // by partition, as forwarding knows them
  uint64_t uncommitted_bytes_ = 0;  // of all partitions
  uint64_t serving_version_ = 0;    // counts what serves() says anew of any partition
  uint64_t leaders_told_ = 0;       // leaders_version() and serving_version_, when leaders_ was last compared
  std::optional<PartitionEncoder> encoder_;
  std::optional<PartitionSum> summed_;
  Hash128 rows_summed_;             // when it began
  GroupLog group_log_;
  OwnMark mark_;
  // Of the first turn; it holds what replicas that may have forgotten have to remember.
  std::optional<uint64_t> first_record_;
  Keeping keeping_ = Keeping::kAll;
  uint64_t bare_record_ = 0;        // says so; it is not synced yet.  0: there is none
  uint64_t whole_from_ = 0;         // of the log, what stands before this place is not all.  0: it is
  struct RestartsTogether {
    uint32_t partitions = 0;
    uint32_t empty = 0;             // of these
    uint32_t given_up = 0;          // beside them: without copies that an operator has given up
    uint32_t begun_anew = 0;        // beside them: with no copy at all
  };
  uint64_t disk_oldest_ = 0;        // LogWriter::oldest_work() at the last look
  int64_t disk_stalled_us_ = 0;     // seen to do nothing about it
  int64_t disk_looked_us_ = 0;
  RestartsTogether restarts_;       // not told yet
  uint64_t stored_ = 0;             // records that cluster_ knows to be stored
  ModeProgress mode_progress_;
  int64_t mode_lacks_since_us_ = kNever;   // that this node should keep
  bool lack_is_told_ = false;
};

}  // namespace quorate

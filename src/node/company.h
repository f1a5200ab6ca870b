// The node among others: its part of the cluster, and its replicas of partitions over the store.  Alone it does nothing and costs nothing:
// there is one log, and a reply waits for its sequence (durability.h).  From the first other member on every partition is a group of its own,
// and replies wait for what their partition has committed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cluster/cluster_node.h"
#include "cluster/partitions.h"
#include "node/forwarding_peers.h"
#include "node/group_log.h"
#include "node/pubsub_links.h"
#include "store/key.h"
#include "store/partition_state.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class Driver;
class Session;
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

  // What recovery found of groups.  Installs the states of bases into the store.  Requires: before start().
  Status restore(GroupRecovery& recovery);
  // The error is the reason why this node cannot belong to a cluster as it was told.
  Status start();
  bool is_started() const { return cluster_ != nullptr; }

  // Never had company: commands run here without asking anybody.
  bool is_alone() const { return !in_company_; }
  // It has an identity, and a log for terms and votes.
  bool may_have_company() const;
  ClusterNode& cluster() { return *cluster_; }
  const ClusterNode& cluster() const { return *cluster_; }

  // ---- commands ---------------------------------------------------------------------------------------------
  // Commands may run on it here.
  bool serves(uint32_t partition) const override { return states_[partition].serves; }
  // The member that leads the partition, if it is another one that can be reached now.  Null: nobody who is known.
  const MemberRecord* leader_elsewhere(uint32_t partition) const;
  // The partition of the command that runs; what it read or wrote is booked there.
  void set_partition(uint32_t partition) { partition_ = partition; }
  uint32_t partition() const { return partition_; }
  // The command that ran has written (nullptr bytes: to several keys).  Its reply waits for that.
  void after_write(Session& session, const Key& key);
  // It has read.
  void after_read(Session& session, const Key& key);
  // What is said to the session tells of all that was executed here, no matter of which keys, and of what was not found.
  void await_all(Session& session);
  // Of an entry that this node has not executed itself.
  Status apply_rows(uint32_t partition, std::string_view rows);
  // What the partition's log says of commands that were forwarded.
  uint64_t rows_digest(uint32_t partition) const;
  // It passed over something whose time has come: its reply waits for an entry that says so.
  void after_time(Session& session);

  // Looks for the cluster at `address` at the end of this turn, and joins it if the node holds nothing by then; from there on nothing runs
  // here until it has been let in.  Requires: alone, and not told so before.
  void join(const PeerAddress& address);
  bool is_told_to_join() const { return told_to_join_.has_value(); }
  // In any database.
  bool has_data() const;

  // ---- leaving (leaving.h) ------------------------------------------------------------------------------------
  void set_draining(ClusterNode::Draining draining);
  // Whoever asks from here on is told that nothing was done.
  void stop_serving_all();
  // Nothing is said to other nodes any more, and nothing taken from them, so that the log comes to its end.  set_draining(kNo) ends it.
  void fall_silent() { is_silent_ = true; }

  // ---- inputs: connections with other nodes, time ------------------------------------------------------------
  ConnectionId accepted();
  void dialled(ConnectionId connection);
  // What it brings is dealt with by work().
  void received(ConnectionId connection, std::string_view bytes);
  void lost(ConnectionId connection);
  void tick();

  // ---- a turn -----------------------------------------------------------------------------------------------
  // What was executed since the last call becomes one entry a partition.  Before every step of the cluster.
  void propose();
  // Messages are dealt with, replicas looked after.
  void work();
  // Reads of this turn whose lease has lapsed wait for a confirmation.  Requires: after the commands of the turn.
  void confirm_reads(Driver& driver);
  // Puts what is to be stored into the log, if there is anything.
  void store_records();
  // The log has got further.
  void on_log_progress();
  void flush();
  int64_t deadline() const;
  // Ten times a second: replies of a partition in which nothing was committed, or no read was confirmed, for request-timeout-ms become
  // -UNCERTAIN.
  void end_overdue();

 private:
  static constexpr size_t kKeySlots = 64;   // a partition
  struct PartitionState {
    bool serves = false;
    bool may_serve_soon = false;       // leads; what its log holds may not be in memory yet
    bool is_touched = false;           // written in this turn
    bool is_read = false;              // read in this turn
    bool wants_time = false;           // an entry is wanted even if nothing was written
    uint64_t next_index = 0;           // of this turn's entry; valid while is_touched
    uint64_t last_write = 0;
    uint64_t all_keys_write = 0;       // of several keys
    uint64_t reads_asked = 0;          // barriers: the number of the last one
    // Since then nothing was committed, or confirmed, though replies wait for it.
    int64_t writes_wait_since_us = kNever;
    int64_t reads_wait_since_us = kNever;
    std::array<uint64_t, kKeySlots> key_writes{};  // by hash of the key: the index of its last change, or of a neighbour's
  };

  void apply(uint32_t partition, std::string_view batch) override;
  void encode(uint32_t partition, Buffer& out) override;
  void encode_beside(uint32_t partition, Buffer& out) const override;
  Encoding encode_some(uint32_t partition, Buffer& out) override;
  void stop_encoding() override { encoder_.reset(); }
  Status check(uint32_t partition, std::string_view state) override;
  Status install(uint32_t partition, std::string_view state) override;
  void clear(uint32_t partition) override;
  void on_role(uint32_t partition, const raft::RoleState& role) override;
  void on_commit(uint32_t partition, raft::Index commit) override;
  void on_read(uint32_t partition, raft::ReadToken token, raft::ReadVerdict verdict) override;
  void on_lost(uint32_t partition, std::span<const raft::Entry> entries) override;

  NodeId own_id() const override { return cluster_->own().id; }
  NodeId leader_of(uint32_t partition) const override;
  uint64_t incarnation_of(NodeId node) const override;
  OriginRows& rows(uint32_t partition) override;
  void await_partition(Session& session, uint32_t partition) override;
  bool send(NodeId to, uint64_t kind, std::string_view head, std::string_view body) override;
  bool send_pubsub(NodeId to, uint64_t kind, std::string_view bytes) override;

  void begin_joining();
  void encode_head(uint32_t partition, Buffer& out) const;
  Status install_state(uint32_t partition, std::string_view state);
  uint64_t index_of_turn(uint32_t partition);
  void note_removals();
  void serve(uint32_t partition);
  void stop_serving(uint32_t partition);
  void serve_who_is_ready();
  void lose_reads(uint32_t partition);
  void await_read(Session& session, uint32_t partition);
  void enter_company();
  void on_link(NodeId node, PeerLane lane, ClusterNode::LinkChange change);
  // Terms and votes need a log: without one there will be no company.
  bool has_turn() const;
  void tell_leaders();
  void tell_notes();

  NodeState& node_;
  std::optional<RestoredCluster> restored_;
  std::optional<PeerAddress> told_to_join_;
  std::unique_ptr<ClusterNode> cluster_;
  bool in_company_ = false;
  bool serves_no_more_ = false;
  bool is_silent_ = false;
  bool has_input_ = false;          // in this turn; alone nothing is to be done without
  std::vector<PartitionState> states_;
  std::unique_ptr<OriginRows[]> rows_;  // by partition
  uint32_t partition_ = 0;
  std::vector<uint32_t> touched_;   // partitions written in this turn
  std::vector<uint32_t> read_;      // and read
  std::vector<uint32_t> ready_;     // may_serve_soon
  std::vector<NodeId> leaders_;     // by partition, as forwarding knows them
  std::optional<PartitionEncoder> encoder_;
  GroupLog group_log_;
  uint64_t stored_ = 0;             // records that cluster_ knows to be stored
};

}  // namespace quorate

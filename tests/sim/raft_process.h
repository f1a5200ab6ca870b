// One start of a node in the world `raft`: the cores of its replicas, its pairs of beats, its disk
// queue and the replies it holds.  It carries out the outputs of the cores in their order, as
// src/node will, and can be killed between any two of them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/beats.h"
#include "cluster/raft/core.h"
#include "tests/sim/raft_disk.h"
#include "tests/sim/raft_machine.h"
#include "tests/sim/raft_options.h"
#include "tests/sim/raft_oracle.h"
#include "util/prng.h"
#include "util/time.h"

namespace quorate::sim {

enum class ReadMode : uint8_t { kLease, kQuorum };

struct GroupRequest {
  uint32_t client = 0;
  uint64_t operation = 0;  // of the client; the same in every attempt
  raft::GroupId group = {};
  Command command = {};
  uint32_t level = 0;  // copies; 0: quorum
  ReadMode mode = ReadMode::kLease;
};

enum class AnswerKind : uint8_t {
  kDone,
  kElsewhere,  // not executed here; see `hint`
  kRetry,      // leadership was lost: nobody knows
};

struct Answer {
  uint32_t client = 0;
  uint64_t operation = 0;
  AnswerKind kind = AnswerKind::kDone;
  KeyState output = 0;
  bool committed = false;  // false: may be lost if leadership changes
  raft::NodeId hint = {};  // of kElsewhere; none if there is no leader
};

struct SnapshotParcel {
  raft::GroupId group;
  raft::Member from;
  raft::Member to;
  raft::Term term;
  raft::SnapshotMark mark;
  std::shared_ptr<const Machine> state;  // shared: copies of a snapshot are never changed
};

using Parcel =
    std::variant<std::monostate, raft::Message, beats::Packet, SnapshotParcel, GroupRequest, Answer>;

// The world, as a process sees it.
class Host {
 public:
  virtual ~Host() = default;
  virtual Instant now(raft::NodeId node) = 0;
  virtual void send(raft::NodeId from, raft::NodeId to, Parcel parcel) = 0;
  virtual void answer(raft::NodeId from, const Answer& answer) = 0;
  // Calls on_disk() when the batch is written, or written and synced.
  virtual void disk_wanted(raft::NodeId node, bool has_records, bool needs_sync) = 0;
  virtual void turn_wanted(raft::NodeId node) = 0;
  // Does the process die here?
  virtual bool dies_here(raft::NodeId node) = 0;
  // This core has become leader, now.
  virtual void leader_elected(const raft::Core& core) = 0;
  // A read is answered under the lease of this core, now.
  virtual void lease_used(const raft::Core& core) = 0;
  // How many voters of the group have started without what they held and not recovered it yet.
  virtual uint32_t forgetful_voters(const raft::Core& core) = 0;
  // Whom an operator has given up, as far as it is for this core.
  virtual std::vector<raft::NodeId> given_up(const raft::Core& core) = 0;
  virtual void log(raft::NodeId node, const std::string& text) = 0;
  virtual Oracle& oracle() = 0;
};

struct ProcessOptions {
  raft::NodeId node;
  uint32_t nodes = 3;
  raft::Incarnation incarnation;
  uint64_t boot = 1;  // of the machine
  uint64_t seed = 1;
  raft::Durability durability = raft::Durability::kOs;
  uint64_t window_bytes_max = 1 << 20;
  uint64_t append_bytes_max = 1 << 18;
  bool can_undo = true;
  bool loads_slowly = false;
  raft::Mistakes mistakes;
  DriverMistakes driver_mistakes;
};

// Calls: start, then anything; after is_dead() nothing more.  Owned by the world, one a start.
class Process {
 public:
  Process(Host& host, NodeDisk& disk, const ProcessOptions& options);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void start();
  bool is_dead() const { return is_dead_; }
  // kill -9: of the batch that is being written some records get there.
  void die(Prng& prng);

  // ---- what happens to it
  void on_timer();
  void on_parcel(raft::NodeId from, raft::Incarnation incarnation, const Parcel& parcel);
  void on_disk_written();
  void on_disk_synced();
  void on_turn();
  void on_connected(raft::NodeId peer);
  void on_closed(raft::NodeId peer);
  int64_t deadline() const;  // steady_us

  // ---- operators
  raft::Core* core(raft::GroupId group);
  const Machine* machine(raft::GroupId group) const;
  void change(raft::GroupId group, const raft::Configuration& target);
  void transfer(raft::GroupId group, raft::ReplicaId to);
  void compact(raft::GroupId group);
  void remove(raft::GroupId group);
  // As Host::given_up() says.
  void give_up();
  void create(raft::GroupId group, raft::ReplicaId replica, raft::Restored restored);

  raft::Incarnation incarnation() const { return options_.incarnation; }
  // Started without what it held, and has not recovered it.
  bool owes_recovery(raft::GroupId group) const;

 private:
  struct HeldWrite {
    GroupRequest request;
    KeyState output = 0;
    raft::Index index = {};
    raft::Term term = {};
    uint32_t level = 1;
  };
  struct HeldRead {
    GroupRequest request;
    KeyState output = 0;
    raft::Index need;
    raft::Term term;
    uint64_t token = 0;
    bool confirmed = false;
  };
  struct OutgoingSnapshot {
    raft::Member to;  // none: for this node's own disk
    int64_t taken_us = 0;
    raft::Term term;
    raft::SnapshotMark mark;
    std::shared_ptr<const Machine> state;
  };
  struct Replica {
    std::unique_ptr<raft::Core> core;
    Machine machine;
    std::deque<GroupRequest> pending;
    std::vector<HeldWrite> writes;
    std::vector<HeldRead> reads;
    std::vector<OutgoingSnapshot> snapshots;
    const SnapshotParcel* incoming = nullptr;  // during the step that may install it
    raft::Index noted_commit;
    raft::Index noted_state;
    std::deque<std::pair<raft::Index, int64_t>> proposed;  // when, oldest first
    bool was_leader = false;
    raft::Term led_term;
    bool is_recovering = false;
  };
  // What waits for the disk.
  struct Job {
    raft::GroupId group = {};
    raft::ReplicaId replica = {};
    raft::WriteNumber number = {};
    std::optional<DiskRecord> record = {};
    bool needs_sync = false;
    std::vector<raft::Entry> stored = {};
    std::optional<raft::Index> snapshot_last = {};
    std::vector<raft::Message> then_send = {};
  };

  Replica* find(raft::GroupId group);
  Replica* find_or_create(raft::GroupId group, raft::ReplicaId id);
  Instant now() { return host_.now(options_.node); }

  void step(raft::GroupId group, const raft::Input& input);
  void perform(raft::GroupId group, raft::Output& out);
  bool dies();
  void take_role(Replica& replica, const raft::Output& out);
  void take_back(Replica& replica, const raft::Output& out);
  void install(Replica& replica, const raft::Output& out);
  void queue_write(raft::GroupId group, Replica& replica, raft::Output& out);
  void send_all(const std::vector<raft::Message>& messages);
  void take_commits(Replica& replica, const raft::Output& out);
  void take_reads(Replica& replica, const raft::Output& out);
  void want_snapshots(Replica& replica, const raft::Output& out);

  void catch_up(Replica& replica);
  void drop_held(Replica& replica);
  OutgoingSnapshot snapshot_now(Replica& replica);
  OutgoingSnapshot snapshot_at_commit(Replica& replica, raft::Member to);
  OutgoingSnapshot snapshot_of(Replica& replica, const Machine& state);
  void send_snapshots(raft::GroupId group, Replica& replica);
  void store_snapshot(raft::GroupId group, Replica& replica, const OutgoingSnapshot& snapshot);
  void start_disk();
  void finish_batch();

  void run_pending(raft::GroupId group, Replica& replica);
  void run_read(Replica& replica, const GroupRequest& request, std::vector<raft::Input>& barriers);
  void release(Replica& replica);
  bool may_release(Replica& replica, const HeldWrite& write, int64_t now_us);
  void refuse(Replica& replica, const GroupRequest& request);

  void end_turn();
  void hear_leaders(raft::NodeId peer);
  void feed_pair(raft::NodeId peer, const beats::Input& input);
  void take_pair(raft::NodeId peer, beats::Output& out);
  void tell_led();
  std::vector<beats::Led> led_towards(raft::NodeId peer) const;
  void note_incarnation(raft::NodeId peer, raft::Incarnation incarnation);

  Host& host_;
  NodeDisk& disk_;
  const ProcessOptions options_;
  Prng prng_;
  bool is_dead_ = false;

  std::map<raft::GroupId, Replica> replicas_;
  beats::BeatCounter beat_counter_;
  std::map<raft::NodeId, std::unique_ptr<beats::Pair>> pairs_;
  std::map<raft::NodeId, std::vector<beats::Led>> told_led_;
  std::map<raft::NodeId, raft::Incarnation> incarnations_;
  bool led_is_stale_ = true;
  bool round_wanted_ = false;
  bool turn_is_wanted_ = false;
  uint64_t last_read_token_ = 0;
  int64_t loaded_at_us_ = kNever;
  int64_t sync_at_us_ = kNever;

  std::deque<Job> queue_;
  std::vector<Job> batch_;
  enum class DiskState : uint8_t { kIdle, kWriting, kSyncing } disk_state_ = DiskState::kIdle;
  struct Flight {
    raft::GroupId group;
    raft::ReplicaId to;
    int64_t give_up_us = kNever;
  };
  std::vector<Flight> flights_;
};

}  // namespace quorate::sim

// The cluster of the world `raft` and everything around it: machines with clocks and disks, the
// network, clients, and the queue of what happens next.  Faults and operators are in
// raft_faults.cc.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/event_queue.h"
#include "tests/sim/raft_clients.h"
#include "tests/sim/raft_disk.h"
#include "tests/sim/raft_network.h"
#include "tests/sim/raft_options.h"
#include "tests/sim/raft_oracle.h"
#include "tests/sim/raft_process.h"
#include "util/prng.h"

namespace quorate::sim {

enum class Fault : uint8_t {
  kPartition,
  kOneWay,
  kFlapping,
  kYoungLeaders,
  kKill,
  kPower,
  kBlackout,
  kPause,
  kQuickRestart,
  kWallJump,
  kDiskStall,
  kMembership,
  kCommitQuorum,
  kTransfer,
  kCompaction,
};
constexpr size_t kFaultCount = 15;
const char* name_of(Fault fault);

class World final : public Host, public ClientHost {
 public:
  World(const RaftSimOptions& options, const RaftSwarm& swarm);

  // Runs until `until_us`, or until something is wrong.
  void run(int64_t until_us);
  // Faults end, everybody starts and reaches everybody.
  void heal();

  // Takes members out of configurations whose replica was replaced by a change that an all-present
  // restart has lost, or whose machine is: they never come back (I14), and operators would see it in
  // the plan.
  void drop_lost_members();

  // Every group has a leader, and no change is under way.
  bool is_whole();
  // All machines lose power, some of them for good, and at the others an operator gives those up.
  // Requires: heal() was called, is_whole().
  void lose_some();

  Clients& clients() { return clients_; }
  // Have all groups a leader, and do all members of each hold the same committed state?
  bool has_settled();
  // The committed state of a group, after has_settled().
  const Machine& state_of(raft::GroupId group);
  // Why has_settled() says no.
  std::string describe_unsettled();
  // One line a replica: role, term, log, configuration.
  std::string describe_replicas(raft::GroupId group);

  uint64_t trace() const { return trace_; }
  uint64_t crashes() const { return crashes_; }
  uint64_t snapshots() const { return snapshots_; }
  uint64_t events() const { return events_count_; }
  // How often each fault struck, by Fault.
  const FaultCounts& faults() const { return struck_; }

  // Host
  Instant now(raft::NodeId node) override;
  void send(raft::NodeId from, raft::NodeId to, Parcel parcel) override;
  void answer(raft::NodeId from, const Answer& answer) override;
  void disk_wanted(raft::NodeId node, bool has_records, bool needs_sync) override;
  void turn_wanted(raft::NodeId node) override;
  bool dies_here(raft::NodeId node) override;
  void leader_elected(const raft::Core& core) override;
  void lease_used(const raft::Core& core) override;
  uint32_t forgetful_voters(const raft::Core& core) override;
  std::vector<raft::NodeId> given_up(const raft::Core& core) override;
  void log(raft::NodeId node, const std::string& text) override;
  Oracle& oracle() override { return oracle_; }

  // ClientHost
  int64_t now_us() const override { return now_us_; }
  void send_request(raft::NodeId to, const GroupRequest& request) override;
  void wake_client(uint32_t client, int64_t at_us) override;

 private:
  enum class EventKind : uint8_t {
    kTimer,    // of a process
    kParcel,   // arrives at a process; from `peer`
    kRequest,  // of a client arrives at a process
    kDiskWritten,
    kDiskSynced,
    kTurn,
    kConnect,       // two nodes try to connect, again and again
    kDial,          // the same, once: a node has just started
    kClosed,        // a process learns that its connection to `peer` is closed
    kStart,         // of a node
    kKill,          // of a process that was to die at some output and did not come to one
    kClient,        // a client wakes
    kAnswer,        // arrives at a client
    kFault,         // `number` says which
    // `node` is cut off, but for `peer` unless that is itself; `number` 1: it still hears all
    kCutOff,
    kMend,          // cut `number` ends
    kFlap,          // a flapping link turns
    kQuickRestart,  // the second half of that fault
    kGiveUp,        // an operator gives up the lost machines at a node
  };
  struct Event {
    int64_t at = 0;
    EventKind kind = EventKind::kTimer;
    uint32_t node = 0;
    uint32_t peer = 0;
    uint64_t life = 0;  // of the process it is for
    uint64_t number = 0;
    raft::Incarnation incarnation = {};  // of the sender
    Parcel parcel = {};
  };
  struct Computer {
    NodeDisk disk;
    std::unique_ptr<Process> process;
    uint64_t life = 0;  // counts starts
    uint64_t boot = 1;
    int64_t booted_us = 0;
    int64_t drift_ppm = 0;
    int64_t wall_offset_ms = 0;
    int64_t paused_until_us = 0;
    int64_t disk_stalled_until_us = 0;
    int64_t timer_at_us = kNever;
    int64_t dies_after = -1;  // outputs; -1: it does not
    // A young leader there falls (kCutOff) after so many more messages; 0: none.
    uint64_t falls_after = 0;
    uint32_t fall_spares = 0;   // the one that still hears it; itself: nobody
    bool power_fails = false;
    bool is_lost = false;  // for good
  };

  // ---- raft_world.cc
  void handle(Event& event);
  void handle_node(Event& event);
  void after(uint32_t node);
  void arm_timer(uint32_t node);
  void start_node(uint32_t node);
  void bury(uint32_t node);
  void try_connect(uint32_t a, uint32_t b);
  void close_connection(uint32_t a, uint32_t b);
  void tell_closed(uint32_t node, uint32_t peer, int64_t at_us);
  int64_t steady_us(const Computer& computer) const;
  int64_t world_us(const Computer& computer, int64_t steady_us) const;
  Process* process(raft::NodeId node) { return computers_[node.value - 1].process.get(); }
  void create_groups();
  void check_leases(raft::GroupId group, const raft::Core* elected);
  void push(Event event) { queue_.push(std::move(event)); }

  // ---- raft_faults.cc
  FaultRate rate_of(Fault fault) const;
  void schedule(Fault fault);
  void strike(Fault fault);
  int64_t length_of(Fault fault);
  void cut_sides();
  void cut_one_way();
  void start_falling();
  void young_leader_elected(const raft::Core& core);
  void cut_off(const Event& event);
  void let_fall(uint32_t node, const raft::Message& message);
  void mend(uint64_t cut);
  void restart_quickly();
  void finish_quick_restart(const Event& event);
  void hand_over();
  void start_flapping();
  void turn_link(const Event& event);
  void cut_for(std::vector<std::pair<uint32_t, uint32_t>> links, int64_t length_us);
  void kill(uint32_t node, int64_t down_us);
  void lose_power(uint32_t node, int64_t down_us);
  raft::Core* find_leader(raft::GroupId group);
  void change_membership();
  void change_commit_quorum();
  void drop_removed(raft::Core& leader);
  raft::Member member_for(raft::GroupId group, raft::NodeId node);
  bool is_lost(raft::GroupId group, const raft::Member& member);
  raft::GroupId any_group() { return {1 + prng_.below(swarm_.groups)}; }
  uint32_t any_node() { return static_cast<uint32_t>(prng_.below(swarm_.nodes)); }

  // ---- raft_disaster.cc
  bool can_lose(uint64_t nodes);
  void give_up(uint32_t node);
  void check_given_up(const raft::Core& core);

  const RaftSimOptions options_;
  const RaftSwarm swarm_;
  Prng prng_;       // of the faults
  Prng node_prng_;  // of the machines
  Oracle oracle_;
  Network network_;
  Clients clients_;
  EventQueue<Event> queue_;
  std::vector<Computer> computers_;
  std::map<uint64_t, std::vector<std::pair<uint32_t, uint32_t>>> cuts_;
  uint64_t last_cut_ = 0;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> closes_coming_;  // to the first, of the second
  uint64_t last_replica_ = 0;
  std::map<std::pair<raft::GroupId, raft::NodeId>, raft::Member> last_members_;
  int64_t young_leaders_fall_until_us_ = 0;
  raft::GroupId young_group_;       // whose leaders fall
  bool falls_by_plan_ = false;
  uint64_t last_fall_ = 0;          // the cut that the last of them is behind
  FaultCounts struck_ = {};
  int64_t now_us_ = 0;
  uint64_t trace_ = 0;
  uint64_t crashes_ = 0;
  uint64_t snapshots_ = 0;
  uint64_t events_count_ = 0;
  bool healed_ = false;
  std::map<raft::GroupId, raft::Configuration> before_loss_;
};

}  // namespace quorate::sim

// The world `cluster`: machines with clocks, disks and whole nodes, the network between them,
// clients, and the queue of what happens next.  A source file for each subject, as the comments below say.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/members.h"
#include "node/losses.h"
#include "tests/sim/cluster_arranger.h"
#include "tests/sim/cluster_clients.h"
#include "tests/sim/cluster_kept.h"
#include "tests/sim/cluster_modes.h"
#include "tests/sim/cluster_network.h"
#include "tests/sim/cluster_operator.h"
#include "tests/sim/cluster_options.h"
#include "tests/sim/cluster_oracle.h"
#include "tests/sim/cluster_pubsub.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_node.h"
#include "util/prng.h"

namespace quorate {
class ClusterNode;
class Company;
}

namespace quorate::sim {

Company& company_of(SimNode& node);

enum class ClusterFault : uint8_t {
  kPartition,
  kOneWay,
  kBrokenLine,
  kKill,
  kPower,
  kEnd,
  kPause,
  kSlowTurn,
  kWallJump,
  kDiskStall,
  kDiskFull,
  kLonely,
  kSyncFails,
  kChurn,
  kMode,
  kMemoryFull,
  kArrange,
  kQuickRestart,
  kDamage,
  kLostSync,
};
constexpr size_t kClusterFaultCount = 20;
static_assert(kClusterFaultCount <= kFaultKindsMax);
const char* name_of(ClusterFault fault);

class ClusterWorld final : private NetworkHost,
                           private ClusterClientHost,
                           private ClusterOperatorHost,
                           private ClusterModesHost,
                           private ClusterArrangerHost {
 public:
  ClusterWorld(const ClusterSimOptions& options, const ClusterSwarm& swarm);

  // Runs until `until_us`, or until something is wrong.
  void run(int64_t until_us);
  int64_t now_us() const override { return now_us_; }
  // Faults end, everybody starts and reaches everybody.
  void heal();
  // The clients begin to send.
  void start_clients() {
    clients_.start();
    pubsub_.start();
  }

  // All nodes are members, every partition has the copies that it should have, where the plan says,
  // and a leader, and all copies hold the same.
  // The process ends soon, anywhere in what it does, and begins again after `down_us` or a little more.
  void kill(uint32_t machine, int64_t down_us);
  // From now on the machine's wall clock is so far from the world's time.
  void set_wall_offset(uint32_t machine, int64_t ms) { machines_[machine]->wall_offset_ms = ms; }
  bool is_settled() { return describe_unsettled().empty(); }
  // Why is_settled() says no.
  std::string describe_unsettled();

  // ---- what a test does itself
  // Its disk takes nothing more, until its process ends.
  void fill_disk(uint32_t machine) { machines_[machine]->disk.set_capacity(machines_[machine]->disk.used()); }
  // What is sent from it and to it is lost from here on, until heal().
  void isolate(uint32_t machine);
  // SIGKILL.  It is started again after `down_us`, or by heal().
  void kill_now(uint32_t machine, int64_t down_us = INT64_MAX / 4) {
    machines_[machine]->down_us = down_us;
    bury(machine);
  }

  // SIGTERM.  It is started again by heal().
  void end_now(uint32_t machine) { end(machine, INT64_MAX / 4); }

  // Its disk does nothing for so long.
  void stall_disk(uint32_t machine, int64_t length_us) { machines_[machine]->disk_stalled_until_us = now_us_ + length_us; }

  // These machines lose power and disks at once, and for good: empty ones take their places with heal().  What is committed with an
  // operator's leave from here on may contradict what they had committed.
  void lose_for_good(const std::vector<uint32_t>& machines);
  // The same, and all others lose power too, for a moment.
  void lose_all_power(const std::vector<uint32_t>& machines);

  // What is acknowledged from here on must be kept as modes() has it promised: nobody else changes the mode.  Until copies are lost for good.
  void look_at_kept() { looks_at_kept_ = true; }
  // A start of the machine from what its disk would hold, in a process that is thrown away.  Null, and wrong(): it would not start.
  std::unique_ptr<SimNode> start_from_image(uint32_t machine, SimDisk& image, SimDisk::Loss loss);
  // What one sends to the other is lost from here on, until heal().
  void silence(uint32_t from, uint32_t to);

  ClusterModes& modes() { return modes_; }
  ClusterClients& clients() { return clients_; }
  ClusterPubsub& pubsub() { return pubsub_; }
  // What is wrong, or nothing.
  std::string wrong() const {
    if (!oracle_.wrong().empty()) return oracle_.wrong();
    return clients_.wrong().empty() ? pubsub_.wrong() : clients_.wrong();
  }
  bool is_wrong() const { return !oracle_.wrong().empty() || !clients_.wrong().empty() || !pubsub_.wrong().empty(); }
  const ClusterOracle& oracle() const { return oracle_; }
  // Partitions that the machine serves.
  uint32_t led_by(uint32_t machine) const;
  // Null: it is down.
  SimNode* node(uint32_t machine) { return machines_[machine]->node.get(); }
  // What the machine has stored; tests may change it.
  SimDisk& disk(uint32_t machine) { return machines_[machine]->disk; }

  uint64_t trace() const { return trace_; }
  uint64_t crashes() const { return crashes_; }
  uint64_t snapshots() const { return snapshots_; }
  uint64_t events() const { return event_count_; }
  // How often each fault has struck, by ClusterFault.
  const FaultCounts& faults() const { return struck_; }
  // Rounds in which nodes have compared the copies of a partition.
  uint64_t state_checks() const;
  uint64_t replaced() const { return operator_.replaced(); }
  uint64_t mode_changes() const { return modes_.changes(); }
  uint64_t arranged() const { return arranger_.fulfilled(); }
  // Members that were silent for node-dead-after, each time.
  uint64_t died() const { return died_; }
  // Looks at what would be left, and disks that were lost for good while the others went on.
  uint64_t kept_looks() const { return kept_looks_; }
  uint64_t disks_lost() const { return disks_lost_; }
  // Disks that were damaged, or have lost what they said to be synced, and nodes that have come back as others by themselves.
  uint64_t damaged() const { return damaged_; }
  uint64_t lost_syncs() const { return lost_syncs_; }
  uint64_t retired() const { return retired_; }

 private:
  static constexpr int64_t kStartUs = 1'000'000;  // of the world's clock
  enum class EventKind : uint8_t {
    kWire,      // something arrives on wire `number`
    kTurn,      // a node's turn ends
    kTimer,     // of a node
    kDisk,      // the first request of lane `number` is done
    kDrain,     // a client takes what its socket holds
    kLost,      // a node that was paused learns that connection `number` is gone
    kStart,     // of a node
    kKill,      // of a process that was to die at some output and did not come to one; with `number` 1 if it may
    kClient,    // client `number` wakes
    kRequest,   // bytes arrive at a node on line `number`
    kHangUp,    // a node learns that the client has closed line `number`
    kAnswer,    // bytes arrive at the client on line `number`
    kClosed,    // the client learns that line `number` is closed
    kFault,     // `number` says which
    kMend,      // cut `number` ends
    kDiskRoom,  // a full disk has room again
    kMemoryRoom,
    kSave,      // somebody tells a node to write its log anew
    kSecret,    // masterauth is set at a node
    kAbsent,    // a node was told to end at `number`, or has ended since
    kLoneMode,  // the first node is told another mode while it is alone, or has been told
    kQuickRestart,  // of machine `number`, on whose promises alone the machine's leases stand
    kLiesEnd,       // of the machine's disk; number: when it owns up at the latest
  };
  struct Event {
    int64_t at = 0;
    EventKind kind = EventKind::kTimer;
    uint32_t machine = 0;
    uint64_t life = 0;  // of the process it is for
    uint64_t number = 0;
    std::string bytes = {};
  };
  class Carrier final : public PeerCarrier {
   public:
    Carrier(ClusterNetwork& network, uint32_t machine) : network_(network), machine_(machine) {}
    void dial(ConnectionId connection, const PeerAddress& address) override {
      network_.dial(machine_, connection, address);
    }
    void carry(ConnectionId connection, std::string_view bytes) override {
      network_.carry(machine_, connection, bytes);
    }
    void hang_up(ConnectionId connection, std::string_view last_words) override {
      network_.hang_up(machine_, connection, last_words);
    }

   private:
    ClusterNetwork& network_;
    const uint32_t machine_;
  };
  // A connection of a client.
  struct Line {
    uint32_t client = 0;
    uint32_t machine = 0;
    ClientDoor door = ClientDoor::kMain;
    uint64_t life = 0;  // of the process that has it; 0: none has accepted yet
    int connection = -1;
    int64_t sent_us = 0;  // when what was sent last arrives
    int64_t answered_us = 0;
    bool is_closed = false;  // the client knows or will know
  };
  using Lines = std::map<uint64_t, Line>;   // by number
  // What was looked at last of a replica, and by what; and what came of it.
  struct Looked {
    uint64_t life = 0;
    uint64_t changes = 0;      // raft::Core::changes()
    uint64_t first = 0;
    uint64_t generation = 0;   // generation()
    int64_t lease_until_us = INT64_MIN;
    bool is_starting = false;
  };
  struct Machine {
    Machine(uint64_t seed, ClusterNetwork& network, uint32_t number)
        : disk(seed), carrier(network, number) {}
    SimDisk disk;
    Carrier carrier;
    std::unique_ptr<SimNode> node;
    uint64_t life = 0;  // counts starts
    bool has_power = true;
    int64_t booted_us = 0;
    uint8_t boots = 1;
    std::vector<Loss> told_losses;   // that its disk held when it was last there
    int64_t started_us = 0;
    int64_t drift_ppm = 0;
    int64_t wall_offset_ms = 0;
    int64_t paused_until_us = 0;
    int64_t slow_turn_us = 0;  // the next turn takes so much longer
    int64_t disk_stalled_until_us = 0;
    int64_t timer_at_us = INT64_MAX;
    bool has_turn = false;  // a kTurn is on its way
    std::array<bool, kDiskLaneCount> lane_is_busy{};
    bool is_full = false;
    bool is_lost = false;      // its disk is gone, and nothing is in its place yet
    bool is_new = false;       // in the place of one that was removed: whoever is there may let it in
    // Something that its disk has synced is not as it was, and no process has been there since.
    enum class Damage : uint8_t { kNone, kOfSnapshot, kOfLog, kOfSyncs } damage = Damage::kNone;
    bool has_secret = false;   // masterauth is set
    bool sync_fails = false;   // or has failed: the process may end by itself
    std::string node_name = {};
    uint64_t node_id = 0;      // 0: it was never started
    std::vector<uint64_t> former_ids = {};   // of nodes that were there before that one
    // Of each other machine: what this one has of its beats.
    struct Heard {
      int64_t received_us = INT64_MIN;   // by its own clock
      int64_t at_us = kStartUs;
      int64_t was_silent_us = INT64_MIN / 2;   // when a silence ended that was long enough
    };
    std::vector<Heard> heard = {};
    std::vector<uint64_t> known_lives = {};   // of each other machine: the life whose process this one has heard of, before its last turn
    bool power_fails = false;  // when it dies
    bool shall_end = false;    // it was told to
    bool shall_die = false;    // a kill is on its way that asks nothing any more
    int64_t down_us = 0;       // how long, once it has died
    std::optional<int64_t> told_us = {};   // to end, while nothing else fails; until it starts again
    int own_line = -1;  // a connection of the machine itself
    std::vector<Lines::value_type*> lines = {};   // clients' connections with it, oldest first
    std::vector<Looked> looked = {};    // by group
  };

  // ---- cluster_world.cc
  static uint64_t mix(uint64_t hash, uint64_t value);
  void handle(Event& event);
  void wake(uint32_t client, int64_t at_us);
  void handle_node(Event& event);
  void input(uint32_t machine);
  void end_turn(uint32_t machine);
  void after_turn(uint32_t machine);
  void arm_timer(uint32_t machine);
  void start_disk(uint32_t machine);
  void push(Event event) { queue_.push(std::move(event)); }
  uint32_t size() const { return swarm_.nodes; }

  // ---- cluster_machines.cc
  // Of three machines two are in one zone, and commit what the other zone has not.
  static uint32_t zone_of(uint32_t machine) { return machine % 2; }
  // Without the secret, which is nothing to a process that talks to nobody, and takes long to make.
  std::string config(uint32_t machine) const;
  std::string secret_config(uint32_t machine) const;
  void set_secret(uint32_t machine);
  void start_node(uint32_t machine);
  void remember_losses(uint32_t machine);
  // Boots from now on.
  StartFacts facts_of(uint32_t machine, uint8_t boots) const;
  void on_line(uint32_t machine, std::string_view line);
  void tell_lone_mode();
  void bury(uint32_t machine);
  void push_start(uint32_t machine, int64_t at_us);
  Instant clock(const Machine& machine) const;
  void show_clock(Machine& machine);
  int64_t world_us(const Machine& machine, int64_t steady_us) const;
  void log(uint32_t machine, std::string_view text);

  // ---- cluster_lines.cc
  int64_t client_delay_us();
  void on_request(const Event& event);
  void on_hang_up(const Event& event);
  void collect_answers(uint32_t machine);
  void forget_line(Lines::iterator line);
  void tell_closed(uint64_t number, Line& line);
  void handle_client(Event& event);

  // ---- cluster_judge.cc
  uint64_t first_replica_of(Company& company, const raft::Core& core) const;
  void check_absence(uint32_t machine);
  void look_again_at_absence(uint32_t machine);
  void note_heard(uint32_t machine);
  void end_silences(uint32_t machine);
  void begin_to_hear(uint32_t machine);
  void count_dead(uint32_t machine);
  bool was_silent(uint64_t node_id) const;
  // node-dead-after, by a clock that is fast.
  int64_t silence_us_least() const { return swarm_.dead_after_ms * 900; }
  void check_losses(uint32_t machine);
  void look_at_cluster(uint32_t machine, const ClusterNode& cluster);
  void check_invariants(uint32_t machine);
  bool look_at(Machine& machine, uint32_t number, uint64_t first, const raft::Core& core);
  uint64_t& copies_seen(uint32_t machine, uint32_t partition, uint32_t count);
  // Grows whenever replicas may be judged otherwise though they have not changed.
  uint64_t generation() const { return oracle_.generation() + kept_.generation() + (looks_at_kept_ ? 1 : 0); }
  void check_rivals(uint32_t machine, raft::GroupId group, const raft::Core& core);
  void check_copies(uint32_t machine, const raft::Core& core);
  std::optional<std::vector<uint32_t>> holders_of(uint32_t leader, uint32_t partition, uint64_t index, raft::Term term) const;
  bool is_unknown_to(uint32_t machine, uint32_t other) const;
  void note_known(uint32_t machine);
  void compare_copies();
  std::string describe_partition(uint32_t partition);

  // ---- cluster_images.cc
  void look_soon_at_kept();
  void count_kept(uint32_t machine);
  void check_kept();

  // NetworkHost
  void wake_wire(uint64_t wire, int64_t at_us) override;
  bool has_power(uint32_t machine) override { return machines_[machine]->has_power; }
  uint64_t life_of(uint32_t machine) override;
  int64_t paused_until_us(uint32_t machine) override { return machines_[machine]->paused_until_us; }
  ConnectionId accept(uint32_t machine, const PeerAddress& from) override;
  void dialled(uint32_t machine, ConnectionId connection) override;
  void received(uint32_t machine, ConnectionId connection, std::string_view bytes) override;
  void lost(uint32_t machine, ConnectionId connection) override;
  // ClusterClientHost
  void send_request(uint32_t client, uint32_t machine, ClientDoor door,
                    std::string_view bytes) override;
  void hang_up(uint32_t client) override;
  void wake_client(uint32_t client, int64_t at_us) override;
  void log_client(uint32_t client, const std::string& text) override;
  bool may_be_lost(const std::string& key) override;

  // ClusterOperatorHost; as a client it is behind the last one of pub/sub
  uint32_t operator_number() const { return swarm_.clients + pubsub_.count(); }
  // ClusterModesHost; behind the operator
  uint32_t modes_number() const { return operator_number() + 1; }
  void modes_send(uint32_t machine, std::string_view bytes) override;
  void wake_modes(int64_t at_us) override { wake_client(modes_number(), at_us); }
  void log_modes(std::string_view text) override;
  void mode_is_stronger() override;
  // ClusterArrangerHost; behind that
  uint32_t arranger_number() const { return modes_number() + 1; }
  void arranger_sends(uint32_t machine, std::string_view bytes) override;
  void wake_arranger(int64_t at_us) override { wake_client(arranger_number(), at_us); }
  void log_arranger(std::string_view text) override;
  uint32_t machine_count() const override { return size(); }
  void operator_sends(uint32_t machine, std::string_view bytes) override;
  void wake_operator(int64_t at_us) override { wake_client(operator_number(), at_us); }
  void log_operator(std::string_view text) override;
  std::string node_name_of(uint32_t machine) override { return machines_[machine]->node_name; }
  bool holds_nothing(const std::string& name) override;
  std::optional<uint32_t> machine_in(MemberState state) const;
  std::optional<uint32_t> drained_machine() override { return machine_in(MemberState::kDraining); }
  std::optional<uint32_t> removed_machine() override;
  void take_down(uint32_t machine, int64_t down_us) override { kill(machine, down_us); }
  void replace(uint32_t machine) override;

  // ---- cluster_faults.cc
  FaultRate rate_of(ClusterFault fault) const;
  void schedule(ClusterFault fault);
  void strike(ClusterFault fault);
  int64_t length_of(ClusterFault fault);
  bool may_give_votes_away() const;
  void cut_sides();
  void cut_one_way();
  void cut_off(uint32_t machine);
  void fail_sync(uint32_t machine, int64_t down_us);
  void spare_sync_that_counts(uint32_t machine);
  bool company_joined(uint32_t machine) const;
  void gather_clients(uint32_t machine, int64_t length_us);
  void cut_for(std::vector<std::pair<uint32_t, uint32_t>> paths, int64_t length_us);
  void cut_quietly(std::vector<std::pair<uint32_t, uint32_t>> paths, int64_t length_us);
  void restart_quickly();
  void finish_quick_restart(uint32_t leads, uint32_t restarts);
  void mend(uint64_t cut);
  void lose_power(uint32_t machine, int64_t down_us);
  void darken(int64_t down_us);
  void end_all(int64_t down_us);
  bool may_lose_disk(uint32_t machine) const;
  void lose_disk(uint32_t machine);
  void save(uint32_t machine);

  // ---- cluster_damage.cc
  void damage(uint32_t machine, int64_t down_us);
  void forget_what_it_kept(uint32_t machine, Machine::Damage damage);
  void lie_about_syncs(uint32_t machine, int64_t length_us);
  void lose_lies(uint32_t machine, int64_t until_us);
  bool others_have_all_of(uint32_t machine) const;
  bool judge_damaged_start(uint32_t machine, uint64_t former, const Status& recovered);
  // An operator looks at it.
  void does_not_start(uint32_t number, std::string_view why);
  void end(uint32_t machine, int64_t down_us);
  // Such an end may take what the machine has acknowledged: by the mode, or since it does not keep yet what has been decided without it.
  bool forgets(uint32_t machine, SimDisk::Loss end) const;
  bool may_end(uint32_t machine, SimDisk::Loss end) const { return !forgets(machine, end) || others_remember(machine); }
  bool may_all_end(SimDisk::Loss end) const;
  bool may_change_mode() const;
  // All others are up, whole, and enough for every group.
  bool others_remember(uint32_t machine) const;
  bool can_do_without(uint32_t machine) const;
  bool are_voters_there(const raft::Configuration& configuration) const;
  // Whose node that is; null: none's.
  const Machine* machine_of(uint64_t node_id) const;
  // As far as the others know, who must all run.  Voters that are being changed count, or not.
  enum class Joint : uint8_t { kCounts, kDoesNot };
  bool has_three_voters_everywhere(uint32_t except, Joint joint) const;
  uint32_t any_machine() { return static_cast<uint32_t>(prng_.below(size())); }
  ClusterNetwork::Told any_told() { return static_cast<ClusterNetwork::Told>(prng_.below(3)); }

  const ClusterSimOptions options_;
  const ClusterSwarm swarm_;
  Prng prng_;       // of the faults
  Prng node_prng_;  // of the machines
  ClusterNetwork network_;
  ClusterClients clients_;
  ClusterPubsub pubsub_;   // their numbers follow
  ClusterOperator operator_;
  ClusterModes modes_;
  ClusterArranger arranger_;
  ClusterOracle oracle_;
  ClusterKept kept_;
  EventQueue<Event> queue_;
  std::vector<std::unique_ptr<Machine>> machines_;
  Lines lines_;
  std::vector<uint64_t> line_of_;  // of each client: the one it uses; 0: none
  uint64_t last_line_ = 0;
  std::map<uint64_t, std::vector<std::pair<uint32_t, uint32_t>>> cuts_;
  uint64_t last_cut_ = 0;
  FaultCounts struck_ = {};
  int64_t now_us_ = 0;
  int64_t next_comparison_us_ = 0;
  uint64_t trace_ = 0;
  uint64_t crashes_ = 0;
  int64_t last_crash_us_ = INT64_MIN / 2;
  // By machine, partition and count: Company::copies_told() as it was last.
  std::vector<uint64_t> copies_seen_;
  std::vector<int64_t> served_us_;   // when somebody was seen to serve it last, by partition
  uint64_t snapshots_ = 0;
  std::vector<NodeId> dead_;    // as is known of the members
  uint64_t died_ = 0;
  uint64_t state_checks_ = 0;   // of lives that have ended
  uint64_t event_count_ = 0;
  bool looks_at_kept_ = false;
  int64_t last_kept_us_ = INT64_MIN / 2;
  int64_t next_kept_us_ = 0;
  uint64_t kept_looks_ = 0;
  uint64_t disks_lost_ = 0;
  uint64_t damaged_ = 0;
  uint64_t lost_syncs_ = 0;
  uint64_t retired_ = 0;
  bool is_told_alone_ = false;
  bool healed_ = false;
};

}  // namespace quorate::sim

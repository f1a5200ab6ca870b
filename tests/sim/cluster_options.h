// What a seed of the world `cluster` decides: how large the cluster is, what its clients do, which
// faults happen and how often.  As in the world `raft` each seed turns on a part of the faults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cluster/raft/configuration.h"
#include "node/mistakes.h"
#include "tests/sim/swarm.h"

namespace quorate::sim {

struct ClusterSwarm {
  static constexpr uint64_t kRewriteNever = 64 << 20;
  // The cluster.
  uint32_t nodes = 3;
  uint32_t partitions = 8;  // a power of two
  uint32_t replication = 3;
  uint32_t databases = 1;
  uint32_t min_zones = 0;   // the machines are in two zones then, and their writes wait for copies in so many
  std::string appendfsync = "everysec";
  bool in_memory = false;                 // appendonly no: whoever ends forgets
  // The first node starts with this one, and is told the other one while it is alone.
  std::optional<raft::Durability> lone_mode = {};
  int64_t lone_mode_us = 0;               // so long after its start
  raft::Durability first_mode() const {
    if (in_memory) return raft::Durability::kMemory;
    return appendfsync == "always" ? raft::Durability::kSynced : raft::Durability::kOs;
  }
  int64_t boot_spread_us = 0;             // the last node is started so long after the first
  int64_t boot_after_us = 0;              // and the second not before this
  uint64_t rewrite_min_bytes = kRewriteNever;  // auto-aof-rewrite-min-size
  size_t append_bytes_max = 0;   // of the log in one message, or one entry; 0: as ever
  size_t state_piece_bytes = 0;  // of a partition's state in one message; 0: as ever
  int64_t dead_after_ms = 0;   // node-dead-after; 0: longer than a lifetime
  int64_t state_check_s = 0;   // state-check-seconds: all copies are compared once in so long; 0: never
  bool has_secret = false;     // masterauth
  uint64_t bytes_a_key = 0;    // of memory, as maxmemory counts it; 0: that of the process
  int64_t secret_after_us = 0; // it is set so late, at one node after the other; 0: they start with it
  bool saves() const { return rewrite_min_bytes < kRewriteNever; }
  // The network between nodes.
  int64_t delay_us = 200;
  int64_t jitter_us = 300;
  double loss = 0;      // of a packet: what follows on its connection waits for it to be sent again
  FaultRate partition;  // a side of nodes cannot talk to the other
  FaultRate one_way;    // one node cannot hear, or be heard by, another
  FaultRate broken_line;  // one connection breaks
  FaultRate lonely;       // one node is cut off from all others, and clients are on its side
  bool lonely_is_slow = false;  // its turn lasts as long
  // The machines.
  FaultRate kill;         // kill -9 between any two outputs; length: until it starts again
  FaultRate power;        // power loss of one machine
  FaultRate quick_restart;  // one restarts inside a promise on which a lease stands that others have not heard of
  FaultRate end;          // SIGTERM; length: until it starts again
  FaultRate pause;        // SIGSTOP, a slow virtual machine
  FaultRate slow_turn;    // a turn takes so much longer: what it runs sees the time at which it began
  FaultRate wall_jump;    // the wall clock is set
  int64_t drift_ppm = 0;  // of steady clocks, either way
  int64_t disk_us = 100;  // a write; a sync takes four times that
  int64_t snapshot_us = 0;  // the same of what snapshots write; 0: as ever
  double disk_loss = 0;   // of the moments in which a stronger mode is promised: a machine's disk is lost for good
  FaultRate damage;       // a machine ends, and something that its disk has synced is not as it was; length: until it starts again
  FaultRate lost_sync;    // a disk answers syncs that it does not do, until the machine loses power; length: how long it does so, and until it starts again
  FaultRate disk_stall;
  FaultRate disk_full;
  FaultRate sync_fails;  // a sync says that it has failed, which ends the process
  FaultRate mode;        // the mode is changed, with all that it has so far
  FaultRate memory_full;  // a node's maxmemory is less than it uses
  FaultRate arrange;     // copies and leaders are moved by hand, partitions get fewer copies, fewer or more commit
  FaultRate churn;       // a node is drained for a while, or replaced by a new one
  bool loses_decision = false;   // with those machines, and nobody else has heard of it: of the mode
  bool loses_power = false;      // all others lose power with the first of those machines
  bool loses_most = false;  // behind all that, and once it has healed: most machines are lost for good, an operator gives them up
  // The clients.
  uint32_t clients = 4;
  uint32_t keys = 3;          // of each kind
  int64_t think_us = 20'000;  // mean time between answer and next request
  double reads = 0.4;
  double flocks = 0;  // how often half of the clients turn to a node that is cut off or paused
  int64_t request_us = 1'000'000;  // then the client hangs up
  double cluster_clients = 0;      // part of the clients that follow MOVED
  double other_levels = 0;         // of requests: ask for a level of their own, not below the usual
  double weak_writes = 0;          // of requests: to counters of their own, acknowledged by one copy
  double local_reads = 0;          // of reads of counters: from any copy
  uint32_t listeners = 0;          // clients of pub/sub
  uint32_t publishers = 0;
  bool only_counters = false;  // all clients use keys of one kind
  int64_t dawdle_us = 0;       // mean time between what is watched and EXEC

  // A test sees to it that they do.
  bool copies_may_differ = false;
  // Nothing fails but what is told to end in good order: then no client is told that something is uncertain.
  bool is_gentle = false;
};

struct ClusterSimOptions {
  uint64_t seed = 1;
  int64_t seconds = 20;  // of the safety phase
  NodeMistakes mistakes = {};
  // Changes what the seed has drawn, so that a mistake is noticed soon.
  void (*provoke)(ClusterSwarm&) = nullptr;
  bool log = false;
};

ClusterSwarm draw_cluster_swarm(uint64_t seed);
// One option a line, "name value".
std::string describe(const ClusterSwarm& swarm);

}  // namespace quorate::sim

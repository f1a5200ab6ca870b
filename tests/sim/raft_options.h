// What a seed of the world `raft` decides: how large the cluster is, which faults happen and how
// often.
#pragma once

#include <cstdint>
#include <string>

#include "cluster/raft/configuration.h"
#include "cluster/raft/mistakes.h"
#include "tests/sim/swarm.h"

namespace quorate::sim {

// Mistakes of the driver, beside those of the core (raft::Mistakes).
struct DriverMistakes {
  bool reply_before_commit = false;  // a reply leaves once the leader has written
  bool undo_forgets_rows = false;    // what a deposed leader undoes leaves the rows of retries
};

struct RaftSimOptions {
  uint64_t seed = 1;
  int64_t seconds = 20;  // of the safety phase
  raft::Mistakes mistakes = {};
  DriverMistakes driver_mistakes = {};
  bool log = false;
};

struct RaftSwarm {
  // The cluster.
  uint32_t nodes = 3;
  uint32_t groups = 1;
  uint32_t voters = 3;  // of each group at the start
  uint32_t commit_quorum = 0;
  raft::Durability durability = raft::Durability::kOs;
  uint64_t window_bytes_max = 1 << 20;
  uint64_t append_bytes_max = 1 << 18;
  bool loads_slowly = false;  // a started node's data take a while to be in memory
  // The network.
  int64_t delay_us = 200;
  int64_t jitter_us = 300;
  double loss = 0;
  double duplicates = 0;
  double reordered = 0;     // overtaken by what was sent later
  FaultRate partition;      // a side of nodes cannot talk to the other
  FaultRate one_way;        // one node cannot hear, or be heard by, another
  FaultRate flapping;       // a link comes and goes
  FaultRate young_leaders;  // for a while who is elected is soon cut off, by all or all but one
  bool cuts_close = false;  // a cut connection is noticed at once
  // The machines.
  FaultRate kill;           // kill -9 between any two outputs; length: until it starts again
  FaultRate power;          // power loss of one machine
  FaultRate blackout;       // of all at once
  FaultRate pause;          // SIGSTOP, a slow virtual machine
  FaultRate quick_restart;  // of a voter that a cut-off leader's lease stands on
  FaultRate wall_jump;      // the wall clock is set
  int64_t drift_ppm = 0;    // of steady clocks, either way
  int64_t disk_us = 100;    // a write; a sync takes four times that
  FaultRate disk_stall;
  // The operators.
  FaultRate membership;      // joint changes, learners
  FaultRate commit_quorums;  // commit quorum of a group changes
  FaultRate transfer;
  FaultRate compaction;  // snapshots that shorten the log on disk
  bool loses_some = false;  // at the end all power is lost, some machines never come back, and an operator gives them up
  // The clients.
  uint32_t clients = 4;
  uint32_t keys = 4;          // of each kind, in each group
  int64_t think_us = 20'000;  // mean time between answer and next request
  double weak_writes = 0;     // w below or above the usual
  double reads = 0.4;
  int64_t attempt_us = 300'000;    // then the request is sent again
  int64_t request_us = 3'000'000;  // then the client gives up
  // As in a node: a tail that was executed is replaced by a state and never undone.
  bool keeps_executed = false;
};

RaftSwarm draw_swarm(uint64_t seed);
// One option a line, "name value".
std::string describe(const RaftSwarm& swarm);

}  // namespace quorate::sim

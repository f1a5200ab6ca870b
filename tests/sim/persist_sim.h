// A world of one log, its snapshots and a disk that crashes: does recovery bring back what was
// promised, in order, and nothing else?  Driven by a seed; knows nothing of commands or values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace quorate::sim {

// Mistakes that the simulation must notice; the self-check plants each of them.
enum class Planted : uint8_t {
  kNothing,
  kReplyBeforeSync,     // a write is acknowledged once it was handed out
  kNoDirectorySync,     // the directory is never synced
  kNoSnapshotSync,      // a snapshot gets its final name before its bytes are durable
  kLogRemovedTooEarly,  // the log goes when the snapshot begins
  kWriteBehindFailure,  // after a failed write the next one goes ahead
  kDamageIsCut,         // damage in the middle of the log is taken for a torn tail
  kHeldIsNamed,         // a snapshot that must wait gets its final name as soon as it is written
  kReplyBeforeExpiry,   // who is told that a key has expired is told before its end is durable
  kCacheIsTrusted,      // what a failed sync has left in the cache is read and not written again
};
constexpr Planted kAllPlanted[] = {
    Planted::kReplyBeforeSync,    Planted::kNoDirectorySync,    Planted::kNoSnapshotSync,
    Planted::kLogRemovedTooEarly, Planted::kWriteBehindFailure, Planted::kDamageIsCut,
    Planted::kHeldIsNamed,        Planted::kReplyBeforeExpiry,  Planted::kCacheIsTrusted};
const char* planted_name(Planted planted);
// Mistakes that can be planted where no commands are.
bool persist_sim_knows(Planted planted);

struct PersistSimOptions {
  uint64_t seed = 1;
  uint64_t steps = 2000;
  Planted planted = Planted::kNothing;
  bool log = false;  // prints each step
};

struct SimResult {
  bool good = true;
  bool no_progress = false;  // with !good: nothing false was seen, but what must happen did not
  std::string message;  // what is wrong
  uint64_t trace = 0;   // equal runs have equal traces
  uint64_t crashes = 0;
  uint64_t records = 0;
  uint64_t snapshots = 0;
  uint64_t snapshots_replaced = 0;  // damaged ones whose log was enough
  uint64_t foundings = 0;           // logs that became those of a node in company
  uint64_t snapshots_given_up = 0;  // held ones
  int64_t simulated_us = 0;  // of worlds that have a clock
  // What else a world counts, always the same things in the same order.
  struct Count {
    const char* what = "";
    uint64_t count = 0;
  };
  std::vector<Count> counts = {};
};

SimResult run_persist_sim(const PersistSimOptions& options);

}  // namespace quorate::sim

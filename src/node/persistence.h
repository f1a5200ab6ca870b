// What a node keeps on disk besides its log: the snapshots that truncate it, dump.rdb (SAVE, BGSAVE, save points).
// Also bringing everything back at start, and ending in good order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster_node.h"
#include "node/snapshot_job.h"
#include "node/store_recovery.h"
#include "persist/disk.h"
#include "store/db.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class Session;
struct NodeState;

// What INFO tells.
struct PersistenceFacts {
  uint64_t keys_saved = 0;    // of the running snapshot
  uint64_t keys_to_save = 0;
  uint64_t changes_since_save = 0;
  bool is_saving = false;
  int64_t last_save_unix_s = 0;
  bool last_save_ok = true;
  int64_t last_save_seconds = -1;
  int64_t current_save_seconds = -1;
  uint64_t saves = 0;
  uint64_t keys_loaded = 0;
  bool is_rewriting = false;
  bool rewrite_is_scheduled = false;
  int64_t last_rewrite_seconds = -1;
  int64_t current_rewrite_seconds = -1;
  bool last_rewrite_ok = true;
  uint64_t rewrites = 0;
  uint64_t log_size_after_rewrite = 0;
};

// Part of NodeState; the functions below work on it.
// Invariant: at most one of the job and the followers' transfer walks over the store.
struct Persistence {
  explicit Persistence(Store& store) : job(store) {}

  // ---- the running snapshot ------------------------------------------------------------------------
  SnapshotJob job;
  bool job_runs = false;          // begun, and its end not dealt with yet
  int64_t job_began_us = 0;
  uint64_t job_keys = 0;          // there were so many when it began
  uint64_t job_dirty = 0;         // Store::dirty() then
  Keeping job_keeping = Keeping::kAll;    // of a log snapshot: how much of the partitions it holds
  std::optional<Checkpoint> checkpoint;   // in company: of the groups, then; the job's file counts once it may

  // ---- what is wanted next ----------------------------------------------------------------------------
  bool rewrite_wanted = false;            // a log snapshot
  bool save_wanted = false;
  std::vector<uint64_t> save_waiters;     // sessions that sent SAVE
  std::vector<uint64_t> log_load_waiters; // sessions that sent DEBUG LOADAOF

  // ---- what came of it ----------------------------------------------------------------------------------
  PersistenceFacts facts;
  uint64_t dirty_at_save = 0;
  int64_t last_try_us = 0;
  int64_t last_rewrite_try_us = 0;
  uint64_t snapshot_sequence = 0;         // of the newest one; 0: none
  uint64_t snapshot_bytes = 0;
  uint64_t next_request_id = 0;
  int64_t next_step_us = 0;
  int64_t slices_began_us = 0;            // those that follow each other closely

  // False while a log that was switched on has no snapshot yet that it follows.
  bool log_counts = true;

  // ---- the log switched off and on while running -----------------------------------------------------
  LogPosition log_position;               // where a new log would go on
  std::vector<uint64_t> log_segments;
  bool has_old_log = false;               // the directory holds a log of this node that is not kept any more

  // ---- ending ---------------------------------------------------------------------------------------------
  bool shutting_down = false;
  uint8_t shutdown_options = 0;
  std::vector<uint64_t> shutdown_waiters; // sessions that sent SHUTDOWN
  bool job_is_last = false;               // the running save began after the shutdown did
  bool shutdown_save_done = false;

  bool started = false;
  bool has_retired = false;               // Node::has_retired()
  Disk* disk = nullptr;                   // for DEBUG LOADAOF
};

// ---- start -----------------------------------------------------------------------------------------------
Status recover_node(NodeState& node, Disk& disk);
void start_persistence(NodeState& node);

// Begins the log of a node that has none and gets company.  Requires: company.h says that it may.
void open_company_log(NodeState& node);

// What appendonly asks for now.
void persistence_settings_changed(NodeState& node);

// ---- upkeep ----------------------------------------------------------------------------------------------
// At the end of a turn, after its record: begins what is wanted, collects requests.
void end_turn_of_persistence(NodeState& node);
// Ten times a second: save points, growth of the log, appendonly switched.
void run_persistence(NodeState& node);
// A slice of the running snapshot, of the shutdown, of a reload.
void step_persistence(NodeState& node);
// When it is to be called again; kNever: nothing is under way.
int64_t persistence_deadline(const NodeState& node);
void on_snapshot_reply(NodeState& node, DiskReply&& reply);
// What is written gets into the log: with `appendonly no` a node in company has one, and this is not true of it.
bool keeps_data_in_log(const NodeState& node);
// MISCONF: the last snapshot failed and stop-writes-on-bgsave-error is set, or the log can't be written.
bool refuses_writes(const NodeState& node);
PersistenceFacts persistence_facts(const NodeState& node);

// ---- commands ----------------------------------------------------------------------------------------------
// SHUTDOWN, SIGTERM.  `session` may be null.
void begin_shutdown(NodeState& node, Session* session, uint8_t options);
// False: none was under way.
bool abort_shutdown(NodeState& node);
// DEBUG RELOAD: the store through an RDB image and back, in memory.
Status reload_through_rdb(NodeState& node);

}  // namespace quorate

// Snapshots and their ends.
#include "node/persistence.h"

#include <algorithm>
#include <utility>

#include "commands/errors.h"
#include "node/apply.h"
#include "node/blocking.h"
#include "node/damaged_log.h"
#include "node/execute.h"
#include "node/followers.h"
#include "node/host.h"
#include "node/input.h"
#include "node/output.h"
#include "node/state.h"
#include "node/upkeep.h"
#include "persist/rejoin.h"
#include "store/rdb/format.h"
#include "util/check.h"
#include "util/memory.h"

namespace quorate {

namespace {

// After so long the loop sleeps until the next millisecond, unless a socket wakes it: the thread that writes the file may share
// its core, and takes whole milliseconds of it if it has to fight for them.
constexpr int64_t kSlicesUs = 500;
constexpr int64_t kRestUs = 500;
// What one slice saves: an entry for each microsecond since the turn of the last, which takes half as long.  So an idle node
// gives out what it can in short slices, and a snapshot beside turns that are long ends too.
constexpr int64_t kSliceEntriesMin = 64;
constexpr int64_t kSliceEntriesMax = 256;
// At least so many, however much the writers have handed over.
constexpr int64_t kSliceEntriesLeast = 16;
// For what waits, and nobody tells when it is over.
constexpr int64_t kLookAgainUs = 1'000;
// What failed is not tried again by itself before this.
constexpr int64_t kRetryAfterUs = 5'000'000;
// Owner of the requests made here, as the writers have theirs.
constexpr uint64_t kOwner = uint64_t{9} << 56;

rdb::FileOptions file_options(const NodeState& node) {
  return {.version = node.store_settings.rdb_version,
          .compression = node.store_settings.rdb_compression ? rdb::Compression::kOn : rdb::Compression::kOff,
          .now = node.now.unix_ms,
          .used_memory = mem_used()};
}

void remove_file(NodeState& node, std::string file) {
  node.durability.requests.push_back({.id = kOwner | node.persistence.next_request_id++,
                                      .lane = DiskLane::kBulk,
                                      .op = DiskRequest::Op::kRemove,
                                      .file = std::move(file),
                                      .to = {},
                                      .size = 0,
                                      .bytes = {}});
}

void note_job_begun(NodeState& node) {
  Persistence& state = node.persistence;
  state.job_runs = true;
  state.job_began_us = node.now.steady_us;
  state.job_keys = node.store.key_count();
  state.job_dirty = node.store.dirty();
  state.next_step_us = node.now.steady_us;
}

// In company, while a replica holds what may be lost: later, by itself.
void give_up_rewrite(NodeState& node) {
  Persistence& state = node.persistence;
  state.checkpoint.reset();
  state.rewrite_wanted = false;
  state.last_rewrite_try_us = node.now.steady_us;
  state.facts.last_rewrite_ok = false;
}

// False: it cannot begin yet, or has been given up.
bool begin_log_snapshot(NodeState& node) {
  Persistence& state = node.persistence;
  std::string_view groups;
  const Keeping keeping = node.company.keeping();
  if (!node.company.is_alone()) {
    // What the commands of this turn did belongs to both, the data and the logs.
    node.company.propose();
    state.checkpoint = node.company.cluster().checkpoint(keeping);
    if (!state.checkpoint) return false;
    // One without data holds nothing that may be lost.
    if (keeping == Keeping::kBare) state.checkpoint->ahead.clear();
    if (node.company.cluster().may_count(*state.checkpoint) == ClusterNode::Verdict::kNo) {
      give_up_rewrite(node);
      return false;
    }
    groups = state.checkpoint->record.view();
  }
  state.rewrite_wanted = false;
  state.last_rewrite_try_us = node.now.steady_us;
  state.job_keeping = keeping;
  LogWriter& log = node.durability.log();
  log.start_segment(node.durability.requests);
  raise_time(node, node.now.unix_ms);   // the header says it
  const SnapshotHeader header{.shard = node.shard,
                              .partitions = node.store.partition_count(),
                              .log_id = log.position().log_id,
                              .sequence = log.position().next_sequence,
                              .chain = log.position().chain,
                              .unix_ms = node.now.unix_ms,
                              .hash_seed = node.store.hash_seed(),
                              .positions = {}};
  if (keeping == Keeping::kBare) {
    state.job.begin_bare(header, groups);
    state.checkpoint.reset();
  } else {
    state.job.begin_log(header, groups, groups.empty() ? SnapshotJob::Publication::kAtOnce : SnapshotJob::Publication::kHeld);
  }
  note_job_begun(node);
  node.host.log(LogLevel::kNotice, "snapshot of the log begun");
  return true;
}

void begin_rdb_save(NodeState& node) {
  Persistence& state = node.persistence;
  state.save_wanted = false;
  state.last_try_us = node.now.steady_us;
  state.job_is_last = state.shutting_down;
  state.job.begin_rdb(node.settings.dbfilename, file_options(node));
  note_job_begun(node);
  node.host.log(LogLevel::kNotice, "saving " + node.settings.dbfilename + " begun");
}

void end_log_snapshot(NodeState& node, bool succeeded, int64_t seconds) {
  Persistence& state = node.persistence;
  state.facts.last_rewrite_ok = succeeded;
  state.facts.last_rewrite_seconds = seconds;
  if (!succeeded) {
    node.host.log(LogLevel::kWarning, "snapshot of the log failed (" + state.job.failure() + ") -> the log stays");
    return;
  }
  ++state.facts.rewrites;
  state.log_counts = true;
  const uint64_t sequence = state.job.sequence();
  if (node.durability.keeps_log()) node.durability.log().drop_before(sequence, node.durability.requests);
  if (state.snapshot_sequence != 0 && state.snapshot_sequence != sequence) {
    remove_file(node, snapshot_name(node.shard, state.snapshot_sequence));
  }
  state.snapshot_sequence = sequence;
  node.company.snapshot_is_published(state.job_keeping, sequence);
  state.snapshot_bytes = state.job.bytes();
  if (node.durability.keeps_log()) {
    state.facts.log_size_after_rewrite = state.snapshot_bytes + node.durability.log().log_size();
  }
  node.host.log(LogLevel::kNotice, "snapshot of the log is durable, " + std::to_string(state.job.keys()) +
                                       " keys -> the log before it is dropped");
}

void end_rdb_save(NodeState& node, bool succeeded, int64_t seconds) {
  Persistence& state = node.persistence;
  state.facts.last_save_ok = succeeded;
  state.facts.last_save_seconds = seconds;
  Status outcome;
  if (succeeded) {
    ++state.facts.saves;
    state.facts.last_save_unix_s = node.now.unix_ms / 1000;
    state.dirty_at_save = state.job_dirty;
    node.host.log(LogLevel::kNotice, node.settings.dbfilename + " saved, " +
                                         std::to_string(state.job.keys()) + " keys");
    if (state.job.hashes_without_expiry() != 0) {
      node.host.log(LogLevel::kWarning, std::to_string(state.job.hashes_without_expiry()) +
                                            " hashes have fields that expire -> saved without");
    }
  } else {
    node.host.log(LogLevel::kWarning, "saving failed: " + state.job.failure());
    outcome = errors::save_failed(state.job.failure());
  }
  state.shutdown_save_done = state.job_is_last;
  for (const uint64_t id : std::exchange(state.save_waiters, {})) answer_waiting(node, id, outcome);
}

void end_job(NodeState& node) {
  Persistence& state = node.persistence;
  if (!state.job_runs || state.job.is_under_way()) return;
  state.job_runs = false;
  const bool succeeded = state.job.state() == SnapshotJob::State::kDone;
  const int64_t seconds = (node.now.steady_us - state.job_began_us) / 1'000'000;
  if (state.job.kind() == SnapshotJob::Kind::kLog) {
    end_log_snapshot(node, succeeded, seconds);
  } else {
    end_rdb_save(node, succeeded, seconds);
  }
  settings_changed(node);
}

// ---- the end of the process -----------------------------------------------------------------------------------

bool is_log_safe(NodeState& node) {
  if (!node.durability.keeps_log()) return true;
  return node.durability.log().synced() >= node.durability.log().appended();
}

bool wants_save_at_end(const NodeState& node) {
  const uint8_t options = node.persistence.shutdown_options;
  if (options & kShutdownNoSave) return false;
  return (options & kShutdownSave) != 0 || !node.settings.save.empty();
}

// What begin_shutdown() has stopped goes on.
void stay(NodeState& node) {
  end_pause(node);
  stop_leaving(node);
}

void fail_shutdown(NodeState& node) {
  Persistence& state = node.persistence;
  state.shutting_down = false;
  stay(node);
  node.host.log(LogLevel::kWarning, "the data can't be saved -> not ending");
  for (const uint64_t id : std::exchange(state.shutdown_waiters, {})) answer_waiting(node, id, errors::shutdown_failed());
}

void step_shutdown(NodeState& node) {
  Persistence& state = node.persistence;
  const bool forced = (state.shutdown_options & kShutdownForce) != 0;
  if ((state.shutdown_options & kShutdownNow) != 0) hurry_leaving(node);
  if (!has_left(node)) return;
  // What is saved last must be the last.
  start_pause(node, PauseKind::kWrite, kNever - 1);
  if (wants_save_at_end(node) && !state.shutdown_save_done) {
    if (!state.job_runs) state.save_wanted = true;
    return;
  }
  if (wants_save_at_end(node) && !state.facts.last_save_ok && !forced) return fail_shutdown(node);
  if (node.durability.refuses_writes() && !forced) return fail_shutdown(node);
  // Before the mark says that nothing more is acknowledged.
  node.company.fall_silent();
  if (!is_log_safe(node) && !node.durability.refuses_writes()) {
    node.durability.sync();
    return;
  }
  if (is_log_safe(node) && !node.company.end_files()) return;
  state.shutting_down = false;
  node.host.end_process(ProcessEnd::kOrderly);
}

// ---- loading ----------------------------------------------------------------------------------------------------

uint64_t random_nonzero(NodeState& node) { return node.store.random().next() | 1; }

// A log of a node in company is never cut: it holds votes, which matter to nobody where it is only read.
RecoveryOptions::OnDamage on_damage(const NodeState& node, LogOwner owner) {
  if (node.mistakes.cuts_damaged_logs) return RecoveryOptions::OnDamage::kCut;
  if (owner == LogOwner::kCompany && node.identity.id != 0) return RecoveryOptions::OnDamage::kTell;
  return node.settings.log_repair == LogRepair::kCut ? RecoveryOptions::OnDamage::kCut : RecoveryOptions::OnDamage::kRefuse;
}

StoreRecoveryOptions recovery_options(NodeState& node, LogOwner owner) {
  return {.log = node.settings.appendonly ? StoreRecoveryOptions::Log::kKept
                                          : StoreRecoveryOptions::Log::kNone,
          .shard = node.shard,
          .new_log_id = node.new_log_id,
          .on_damage = on_damage(node, owner),
          .rdb_file = node.rejoin ? std::string() : node.settings.dbfilename,   // that one gets what it holds from the others
          .now = node.now.unix_ms};
}

// A log that may be switched on later begins behind whatever lies there from earlier days.
Status look_for_old_log(NodeState& node, Disk& disk) {
  Persistence& state = node.persistence;
  TRY(const std::vector<std::string> files, disk.list());
  uint64_t highest = 0;
  for (const std::string& file : files) {
    const auto name = parse_name(file);
    if (!name || name->shard != node.shard || name->kind == ParsedName::Kind::kTemporary) continue;
    highest = std::max(highest, name->sequence);
    state.has_old_log = true;
    if (name->kind == ParsedName::Kind::kSegment) state.log_segments.push_back(name->sequence);
    if (name->kind == ParsedName::Kind::kSnapshot) {
      state.snapshot_sequence = std::max(state.snapshot_sequence, name->sequence);
    }
  }
  std::sort(state.log_segments.begin(), state.log_segments.end());
  state.log_position.next_sequence = highest + 1;
  state.log_position.log_id = random_nonzero(node);
  state.log_position.base = LogBase::kAwaits;
  return done();
}

void note_loaded(NodeState& node, const StoreRecoveryResult& result) {
  Persistence& state = node.persistence;
  for (const std::string& note : result.notes) node.host.log(LogLevel::kNotice, note);
  raise_time(node, result.last_unix_ms);
  state.facts.keys_loaded = node.store.key_count();
  state.dirty_at_save = node.store.dirty();
  if (state.facts.keys_loaded == 0) return;
  node.host.log(LogLevel::kNotice,
                "loaded " + std::to_string(state.facts.keys_loaded) + " keys: " +
                    std::to_string(result.snapshot_keys) + " of a snapshot, " +
                    std::to_string(result.effects) + " effects of the log" +
                    (result.rdb ? ", " + std::to_string(result.rdb->keys) + " of " + node.settings.dbfilename
                                : std::string()));
}

void open_log(NodeState& node, const LogPosition& position, std::vector<uint64_t> segments) {
  node.durability.start_log({.shard = node.shard, .partitions = node.store.partition_count()}, position,
                            std::move(segments));
}

void begin_logging(NodeState& node) {
  node.durability.log().start_segment(node.durability.requests);
  node.store.begin_batch();
  effects_are_forgotten(node.followers);
  node.durability.set_taking_writes(true);
  node.update_collecting();
  node.persistence.facts.log_size_after_rewrite =
      node.persistence.snapshot_bytes + node.durability.log().log_size();
}

// CONFIG SET appendonly no: what is there is synced, then the log is closed.
void stop_logging(NodeState& node) {
  Persistence& state = node.persistence;
  if (node.durability.takes_writes()) {
    node.durability.set_taking_writes(false);
    node.update_collecting();
    node.durability.sync();
  }
  if (state.job_runs && state.job.kind() == SnapshotJob::Kind::kLog) return;
  if (node.store.effects().count() != 0 || !node.durability.requests.empty()) return;
  if (!node.durability.log().idle()) return;
  state.rewrite_wanted = false;
  state.log_position = node.durability.log().position();
  state.log_position.base = LogBase::kAwaits;
  state.log_segments = node.durability.log().segments();
  state.has_old_log = true;
  node.durability.stop_log();
  release_held(node);
}

// DEBUG LOADAOF: forgets everything and reads it back from the disk.
Status load_log_again(NodeState& node) {
  Persistence& state = node.persistence;
  Store& store = node.store;
  node.durability.set_taking_writes(false);
  store.effects().set_collecting(false);
  for (int index = 0; index < store.database_count(); ++index) store.database(index).clear();
  EffectApplier applier(node);
  StoreRecoveryOptions options = recovery_options(node, LogOwner::kAlone);
  options.rdb_file.clear();
  auto result = recover_store(*state.disk, store, options, applier);
  if (!result.ok()) return std::move(result).error();
  store.set_now(node.now.unix_ms);
  store.changes().clear();
  open_log(node, result.value().log.position, result.value().log.segments);
  begin_logging(node);
  return done();
}

void step_log_load(NodeState& node) {
  Persistence& state = node.persistence;
  if (state.job_runs || node.followers.transfer || !node.durability.requests.empty()) return;
  if (node.store.effects().count() != 0) return;  // they are not in the log yet
  Status outcome;
  if (node.durability.keeps_log() && state.disk != nullptr) {
    if (!node.durability.log().idle()) return;
    outcome = load_log_again(node);
  } else {
    outcome = reload_through_rdb(node);
  }
  if (!outcome.ok()) {
    node.host.log(LogLevel::kWarning, "loading failed: " + error_line(outcome.error()));
  }
  for (const uint64_t id : std::exchange(state.log_load_waiters, {})) answer_waiting(node, id, outcome);
}

class MemoryReader final : public rdb::StreamInput::Reader {
 public:
  explicit MemoryReader(std::string_view bytes) : bytes_(bytes) {}
  Status read(uint64_t offset, size_t count, Buffer& out) override {
    out.append(bytes_.substr(static_cast<size_t>(offset), count));
    return done();
  }

 private:
  const std::string_view bytes_;
};

// CONFIG SET appendonly.
void follow_appendonly(NodeState& node) {
  // Whether the node has company, and so keeps its log whatever is asked for, is known once it has started.
  if (!node.company.is_started()) return;
  if (!node.company.is_alone()) return node.company.follow_mode();
  Persistence& state = node.persistence;
  const bool keeps_log = node.durability.keeps_log();
  // A log that was stopped and is wanted again has a hole: it is closed, and a new one begins with a snapshot.
  const bool is_stopping = keeps_log && !node.durability.takes_writes();
  if (keeps_log && (is_stopping || !node.settings.appendonly)) {
    stop_logging(node);
  } else if (!keeps_log && node.settings.appendonly) {
    open_log(node, state.log_position, state.log_segments);
    begin_logging(node);
    state.rewrite_wanted = true;
    state.log_counts = false;
  }
}

bool save_point_is_reached(const NodeState& node) {
  const Persistence& state = node.persistence;
  const auto changes = static_cast<int64_t>(node.store.dirty() - state.dirty_at_save);
  const int64_t seconds = node.now.unix_ms / 1000 - state.facts.last_save_unix_s;
  const bool may_try = state.facts.last_save_ok || node.now.steady_us - state.last_try_us > kRetryAfterUs;
  return may_try && std::any_of(node.settings.save.begin(), node.settings.save.end(), [&](const SavePoint& point) {
           return changes >= point.changes && seconds > point.seconds;
         });
}

bool may_try_rewrite(const NodeState& node) {
  const Persistence& state = node.persistence;
  return state.facts.last_rewrite_ok || node.now.steady_us - state.last_rewrite_try_us > kRetryAfterUs;
}

// The log was switched on, and the snapshot that it needs has failed.
bool log_lacks_snapshot(const NodeState& node) {
  const Company& company = node.company;
  if (!may_try_rewrite(node)) return false;
  if (company.is_alone()) return node.durability.takes_writes() && !node.persistence.log_counts;
  return company.keeping() == Keeping::kAll && !company.log_is_whole();
}

bool log_has_grown(NodeState& node) {
  if (!node.durability.keeps_log() || node.settings.auto_aof_rewrite_percentage == 0) return false;
  if (!may_try_rewrite(node)) return false;
  const uint64_t size = node.persistence.snapshot_bytes + node.durability.log().log_size();
  if (size < node.settings.auto_aof_rewrite_min_size) return false;
  const uint64_t base = std::max<uint64_t>(1, node.persistence.facts.log_size_after_rewrite);
  return size / base * 100 + size % base * 100 / base >=
         100 + static_cast<uint64_t>(node.settings.auto_aof_rewrite_percentage);
}

// In company a snapshot counts once all that it holds is committed.
void publish_when_committed(NodeState& node) {
  Persistence& state = node.persistence;
  if (!state.checkpoint || state.job.state() != SnapshotJob::State::kWritten) return;
  const ClusterNode::Verdict verdict = node.company.cluster().may_count(*state.checkpoint);
  const bool counts = verdict == ClusterNode::Verdict::kYes || node.mistakes.snapshot_before_commit;
  if (verdict == ClusterNode::Verdict::kNotYet && !counts) return;
  state.checkpoint.reset();
  if (counts) {
    state.job.publish();
    return;
  }
  state.job.abort();
  state.job_runs = false;
  give_up_rewrite(node);
  node.host.log(LogLevel::kNotice, "a snapshot of the log held what may be lost -> another one is made later");
}

size_t slice_entries(NodeState& node) {
  const int64_t since_us = std::max(node.persistence.next_step_us - kSlicePauseUs, node.slices_ended_us);
  int64_t entries = std::clamp(node.now.steady_us - since_us, kSliceEntriesMin, kSliceEntriesMax);
  // Writers have done some of it, which does not bring the end of an open value nearer.
  const auto handed_over = static_cast<int64_t>(std::min<size_t>(node.store.take_handed_over(), kSliceEntriesMax));
  if (!node.store.snapshot_has_open_value()) entries -= handed_over;
  return static_cast<size_t>(std::max(entries, kSliceEntriesLeast));
}

}  // namespace

// ---- start --------------------------------------------------------------------------------------------------------

Status recover_node(NodeState& node, Disk& disk) {
  Persistence& state = node.persistence;
  state.disk = &disk;
  TRY(const LogOwner owner, log_owner(disk, node.shard));
  // Who only looks at the directory (--export-rdb) has no identity, and begins nothing.
  const bool is_marked = owner == LogOwner::kCompany && node.identity.id != 0;
  raft::StartKind start = raft::StartKind::kRemembers;
  if (is_marked) {
    TRY(start, node.company.mark().begin_start(disk));
  }
  if (node.mistakes.ignores_mark) start = raft::StartKind::kRemembers;
  if (start == raft::StartKind::kMayHaveForgotten) {
    node.host.log(LogLevel::kWarning,
                  "what this node acknowledged may not have got to the disk -> its copies do not vote until they hold what their leaders have");
  }
  EffectApplier applier(node);
  StoreDamage damage;
  Result<StoreRecoveryResult> recovered = recover_store(disk, node.store, recovery_options(node, owner), applier, &damage);
  if (!recovered.ok()) {
    const bool is_to_be_answered = damage.is_proven && owner == LogOwner::kCompany;
    return is_to_be_answered ? answer_damage(node, disk, std::move(damage.readable), recovered.error()) : std::move(recovered).error();
  }
  StoreRecoveryResult result = std::move(recovered).value();
  if (result.groups) TRY(node.company.restore(*result.groups, start));
  // It has been let in.
  if (result.groups && node.rejoin) TRY(remove_rejoin(disk));
  if (is_marked) {
    TRY(node.company.mark().begin_work(disk, node.company.mark_mode()));
    TRY(node.company.restore_losses(disk));
  }
  node.store.changes().clear();
  note_loaded(node, result);
  // In company there is always a log: of terms and votes at least.
  if (!node.settings.appendonly && !result.groups) {
    // What is left of a log that it had begun when it got company is no reason to refuse its company this time.
    if (owner == LogOwner::kNobody && node.identity.id != 0) TRY(drop_unfinished_log(disk, node.shard));
    return look_for_old_log(node, disk);
  }
  open_log(node, result.log.position, result.log.segments);
  state.snapshot_sequence = result.log.snapshot_sequence;
  if (state.snapshot_sequence == 0 && result.rdb) state.snapshot_sequence = result.log.position.next_sequence;
  if (state.snapshot_sequence != 0) {
    TRY(state.snapshot_bytes, disk.size(snapshot_name(node.shard, state.snapshot_sequence)));
  }
  return done();
}

void open_company_log(NodeState& node) {
  CHECK(!node.durability.keeps_log() && !node.persistence.has_old_log);
  open_log(node, {.log_id = node.new_log_id, .next_sequence = 1, .chain = 0, .base = LogBase::kEmpty}, {});
  begin_logging(node);
}

void start_persistence(NodeState& node) {
  node.persistence.facts.last_save_unix_s = node.now.unix_ms / 1000;
  if (node.durability.keeps_log()) begin_logging(node);
  node.persistence.started = true;
}

void persistence_settings_changed(NodeState& node) {
  if (node.persistence.started) follow_appendonly(node);
}

// ---- upkeep -------------------------------------------------------------------------------------------------------

void end_turn_of_persistence(NodeState& node) {
  Persistence& state = node.persistence;
  if (!state.job_runs && !node.followers.transfer) {
    const bool log_is_well =
        node.durability.keeps_log() && !node.durability.refuses_writes() && !node.company.becomes_bare();
    // One that cannot begin yet keeps nobody waiting.
    const bool has_begun = state.rewrite_wanted && log_is_well && begin_log_snapshot(node);
    if (!has_begun && state.save_wanted) {
      begin_rdb_save(node);
    } else if (!has_begun) {
      begin_next_transfer(node);
    }
  }
  state.job.drain(node.durability.requests);
}

void run_persistence(NodeState& node) {
  Persistence& state = node.persistence;
  if (state.shutting_down) return;
  if (!state.job_runs && !state.save_wanted && save_point_is_reached(node)) state.save_wanted = true;
  if (state.job_runs || state.rewrite_wanted) return;
  state.rewrite_wanted = log_lacks_snapshot(node) || log_has_grown(node);
}

void step_persistence(NodeState& node) {
  Persistence& state = node.persistence;
  if (state.shutting_down) step_shutdown(node);
  if (!state.log_load_waiters.empty()) step_log_load(node);
  if (node.now.steady_us < state.next_step_us || (!state.job_runs && !node.followers.transfer)) return;
  const size_t budget = slice_entries(node);
  node.has_sliced = true;
  const bool rests = node.now.steady_us - state.slices_began_us >= kSlicesUs;
  state.next_step_us = node.now.steady_us + (rests ? kRestUs : kSlicePauseUs);
  if (rests) state.slices_began_us = state.next_step_us;
  if (state.job_runs) {
    state.job.step(budget);
    publish_when_committed(node);
    end_job(node);
  }
  if (node.followers.transfer) step_transfer(node, budget);
}

int64_t persistence_deadline(const NodeState& node) {
  const Persistence& state = node.persistence;
  const bool walks = (state.job_runs && state.job.wants_step()) || transfer_wants_step(node);
  // Not before this turn's end: time has to pass from step to step.
  if (walks) return std::max(state.next_step_us, node.now.steady_us + 1);
  const bool is_held = state.job_runs && state.job.state() == SnapshotJob::State::kWritten;
  const bool waits = is_held || state.shutting_down || !state.log_load_waiters.empty() || node.followers.transfer;
  return waits ? node.now.steady_us + kLookAgainUs : kNever;
}

void on_snapshot_reply(NodeState& node, DiskReply&& reply) {
  if (node.persistence.job.owns(reply.id)) node.persistence.job.on_reply(std::move(reply));
  end_job(node);
}

bool keeps_data_in_log(const NodeState& node) {
  return node.durability.keeps_log() && node.company.keeping() == Keeping::kAll;
}

bool refuses_writes(const NodeState& node) {
  if (node.durability.refuses_writes()) return true;
  return !node.persistence.facts.last_save_ok && node.settings.stop_writes_on_bgsave_error &&
         !node.settings.save.empty();
}

PersistenceFacts persistence_facts(const NodeState& node) {
  const Persistence& state = node.persistence;
  PersistenceFacts facts = state.facts;
  facts.changes_since_save = node.store.dirty() - state.dirty_at_save;
  facts.rewrite_is_scheduled = state.rewrite_wanted;
  if (!state.job_runs) return facts;
  const int64_t seconds = (node.now.steady_us - state.job_began_us) / 1'000'000;
  facts.keys_saved = state.job.keys();
  facts.keys_to_save = state.job_keys;
  if (state.job.kind() == SnapshotJob::Kind::kLog) {
    facts.is_rewriting = true;
    facts.current_rewrite_seconds = seconds;
  } else {
    facts.is_saving = true;
    facts.current_save_seconds = seconds;
  }
  return facts;
}

// ---- commands -------------------------------------------------------------------------------------------------------

void begin_shutdown(NodeState& node, Session* session, uint8_t options) {
  Persistence& state = node.persistence;
  if (session != nullptr) {
    session->set(kWaiting);
    state.shutdown_waiters.push_back(session->id);
  }
  state.shutdown_options = options;  // who asks again may be in more of a hurry
  if (state.shutting_down) return;
  state.shutting_down = true;
  // One that waits for what may never be committed would wait for ever; the log has all that it holds.
  if (state.checkpoint && state.job_runs) {
    state.job.abort();
    state.job_runs = false;
    state.checkpoint.reset();
  }
  state.shutdown_save_done = false;
  begin_leaving(node);
  // One that is alone writes no more from here on.
  if (node.company.is_alone()) start_pause(node, PauseKind::kWrite, kNever - 1);
}

bool abort_shutdown(NodeState& node) {
  Persistence& state = node.persistence;
  if (!state.shutting_down) return false;
  state.shutting_down = false;
  state.save_wanted = !state.save_waiters.empty();
  stay(node);
  for (const uint64_t id : std::exchange(state.shutdown_waiters, {})) answer_waiting(node, id, errors::shutdown_failed());
  return true;
}

Status reload_through_rdb(NodeState& node) {
  Store& store = node.store;
  if (store.snapshot_running()) return errors::background_save_running();
  rdb::FileOptions options = file_options(node);
  options.version = rdb::kHashExpiryVersion;  // nothing may get lost
  rdb::FileEncoder encoder(store, options);
  store.begin_snapshot(encoder);
  while (store.walk_snapshot(SIZE_MAX / 2)) {
  }
  encoder.finish();
  store.end_snapshot();
  const Buffer image = encoder.take();
  const bool collects = store.effects().collecting();
  store.effects().set_collecting(false);
  const uint64_t dirty = store.dirty();
  for (int index = 0; index < store.database_count(); ++index) store.database(index).clear();
  MemoryReader reader(image.view());
  rdb::StreamInput input(reader, image.size());
  auto report = rdb::load_file(input, store, node.now.unix_ms);
  store.effects().set_collecting(collects);
  store.changes().clear();
  node.persistence.dirty_at_save += store.dirty() - dirty;
  if (!report.ok()) return std::move(report).error();
  return done();
}

}  // namespace quorate

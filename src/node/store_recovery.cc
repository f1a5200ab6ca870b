// The log's effects go to the command table; the commonest one takes a short cut.
#include "node/store_recovery.h"

#include <algorithm>
#include <utility>

#include "node/apply.h"
#include "node/snapshot_job.h"
#include "store/loader.h"

namespace quorate {

namespace {

class StoreTarget final : public RecoveryTarget {
 public:
  StoreTarget(Store& store, EffectTarget& target, StoreRecoveryResult& result)
      : store_(store), result_(result), loader_(store), applier_(store, target) {}

  void forget() override {
    // Of several damaged snapshots the newest tells most.
    if (result_.groups && !forgotten_groups_) forgotten_groups_ = std::move(result_.groups);
    result_.groups.reset();
    loader_.forget();
    for (int index = 0; index < store_.database_count(); ++index) store_.database(index).clear();
    result_.last_unix_ms = 0;
  }

  void damaged() override { is_damaged_ = true; }
  StoreDamage take_damage() {
    const bool has_none = !result_.groups.has_value();
    return {.is_proven = is_damaged_, .readable = std::move(has_none ? forgotten_groups_ : result_.groups)};
  }

  Status snapshot_begin(const SnapshotHeader& header) override {
    result_.last_unix_ms = header.unix_ms;
    store_.set_now(header.unix_ms);
    return done();
  }

  Status snapshot_groups(std::string_view groups) override { return take_groups(groups); }

  Status snapshot_block(std::string_view payload) override {
    TRY(load_snapshot_block(payload, store_, loader_));
    return loader_.flush();
  }

  Status record(const RecordHeader& header, std::span<const LogEntry> entries) override {
    if (result_.groups) {
      return Error(ErrorCode::kCorrupt,
                   "record " + std::to_string(header.sequence) +
                       " is of a lone node, but its log is of a node in company: damage");
    }
    result_.last_unix_ms = std::max(result_.last_unix_ms, header.unix_ms);
    store_.set_now(header.unix_ms);
    for (const LogEntry& entry : entries) TRY(batch(header, entry));
    return done();
  }

  Status group_record(const RecordHeader& header, std::string_view body) override {
    result_.last_unix_ms = std::max(result_.last_unix_ms, header.unix_ms);
    store_.set_now(header.unix_ms);
    Status taken = take_groups(body);
    if (taken.ok()) return done();
    return Error(taken.error().code(), "record " + std::to_string(header.sequence) + ": " +
                                           std::string(taken.error().detail()));
  }

  uint64_t snapshot_keys() const { return loader_.loaded(); }

 private:
  Status take_groups(std::string_view bytes) {
    if (!result_.groups) result_.groups.emplace();
    return result_.groups->record(bytes);
  }

  Status batch(const RecordHeader& header, const LogEntry& entry) {
    Status status = applier_.apply(entry.batch);
    result_.effects += applier_.take_count();
    if (status.ok()) return done();
    return Error(status.error().code(), "record " + std::to_string(header.sequence) + ": " + std::string(status.error().detail()));
  }

  Store& store_;
  StoreRecoveryResult& result_;
  Loader loader_;
  BatchApplier applier_;
  bool is_damaged_ = false;
  std::optional<GroupRecovery> forgotten_groups_;  // of a snapshot whose entries are damaged
};

class DiskReader final : public rdb::StreamInput::Reader {
 public:
  DiskReader(Disk& disk, std::string_view file) : disk_(disk), file_(file) {}
  Status read(uint64_t offset, size_t count, Buffer& out) override {
    return disk_.read(file_, offset, count, out);
  }

 private:
  Disk& disk_;
  const std::string file_;
};

// Carries out everything that a job asks for, at once.
Status run_to_end(Disk& disk, SnapshotJob& job) {
  constexpr size_t kBudget = 1 << 12;
  DiskExecutor executor(disk);
  std::vector<DiskRequest> requests;
  while (job.state() == SnapshotJob::State::kRunning) {
    job.step(kBudget);
    requests.clear();
    job.drain(requests);
    for (DiskRequest& request : requests) job.on_reply(executor.execute(request));
  }
  if (job.state() == SnapshotJob::State::kDone) return done();
  return Error(ErrorCode::kIo, job.failure());
}

Result<bool> has_file(Disk& disk, std::string_view file) {
  TRY(const std::vector<std::string> files, disk.list());
  return std::find(files.begin(), files.end(), file) != files.end();
}

Status load_rdb_if_there(Disk& disk, Store& store, const StoreRecoveryOptions& options,
                         StoreRecoveryResult& result) {
  if (options.rdb_file.empty()) return done();
  TRY(const bool there, has_file(disk, options.rdb_file));
  if (!there) return done();
  TRY(result.rdb, load_rdb_file(disk, options.rdb_file, store, options.now));
  for (const std::string& warning : result.rdb->warnings) {
    result.notes.push_back(options.rdb_file + ": " + warning);
  }
  return done();
}

// What a crash has left of files that never got their final names.
Status remove_temporary_files(Disk& disk, const StoreRecoveryOptions& options,
                              StoreRecoveryResult& result) {
  TRY(const std::vector<std::string> files, disk.list());
  const std::string rdb_temporary = options.rdb_file + std::string(kTemporarySuffix);
  for (const std::string& file : files) {
    const auto name = parse_name(file);
    const bool is_ours = name && name->shard == options.shard &&
                         name->kind == ParsedName::Kind::kTemporary;
    if (!is_ours && (options.rdb_file.empty() || file != rdb_temporary)) continue;
    result.notes.push_back(file + ": left over -> removed");
    TRY(disk.remove(file));
  }
  return done();
}

Status recover_log(Disk& disk, Store& store, const StoreRecoveryOptions& options,
                   EffectTarget& target, StoreRecoveryResult& result, StoreDamage* damage) {
  store.set_replaying(true);
  StoreTarget replay(store, target, result);
  const RecoveryOptions log_options{.shard = options.shard,
                                    .partitions = store.partition_count(),
                                    .new_log_id = options.new_log_id,
                                    .on_damage = options.on_damage};
  Result<RecoveryResult> log = recover(disk, log_options, replay);
  store.set_replaying(false);
  if (!log.ok()) {
    if (damage != nullptr) *damage = replay.take_damage();
    return std::move(log).error();
  }
  result.log = std::move(log).value();
  result.snapshot_keys = replay.snapshot_keys();
  result.notes = result.log.notes;
  return done();
}

}  // namespace

Result<rdb::FileReport> load_rdb_file(Disk& disk, std::string_view file, Store& store,
                                      int64_t now) {
  TRY(const uint64_t size, disk.size(file));
  DiskReader reader(disk, file);
  rdb::StreamInput input(reader, size);
  store.set_now(now);
  Result<rdb::FileReport> report = rdb::load_file(input, store, now);
  if (report.ok()) return report;
  return Error(report.error().code(),
               std::string(file) + ": " + std::string(report.error().detail()));
}

Status write_snapshot_now(Disk& disk, Store& store, const SnapshotHeader& header,
                          std::string_view groups) {
  SnapshotJob job(store);
  job.begin_log(header, groups);
  return run_to_end(disk, job);
}

Status write_bare_snapshot_now(Disk& disk, Store& store, const SnapshotHeader& header,
                               std::string_view groups) {
  SnapshotJob job(store);
  job.begin_bare(header, groups);
  return run_to_end(disk, job);
}

Status write_rdb_now(Disk& disk, Store& store, std::string file, const rdb::FileOptions& options) {
  SnapshotJob job(store);
  job.begin_rdb(std::move(file), options);
  return run_to_end(disk, job);
}

Result<StoreRecoveryResult> recover_store(Disk& disk, Store& store,
                                          const StoreRecoveryOptions& options,
                                          EffectTarget& target, StoreDamage* damage) {
  StoreRecoveryResult result;
  result.log.position.log_id = options.new_log_id;
  bool keeps_log = options.log == StoreRecoveryOptions::Log::kKept;
  if (!keeps_log) {
    TRY(const LogOwner owner, log_owner(disk, options.shard));
    keeps_log = owner == LogOwner::kCompany;
  }
  if (keeps_log) TRY(recover_log(disk, store, options, target, result, damage));
  TRY(remove_temporary_files(disk, options, result));
  if (result.log.found_anything) return result;
  TRY(load_rdb_if_there(disk, store, options, result));
  if (!keeps_log) return result;
  if (!result.rdb) return result;
  // From here on the log counts, and it must not begin with a file that SAVE may replace.
  LogPosition& position = result.log.position;
  const SnapshotHeader header{.shard = options.shard,
                              .partitions = store.partition_count(),
                              .log_id = position.log_id,
                              .sequence = position.next_sequence,
                              .chain = position.chain,
                              .unix_ms = options.now,
                              .hash_seed = store.hash_seed(),
                              .positions = {}};
  TRY(write_snapshot_now(disk, store, header));
  position.base = LogBase::kFollows;
  result.notes.push_back(options.rdb_file +
                         ": loaded beside an empty log -> first snapshot written");
  return result;
}

}  // namespace quorate

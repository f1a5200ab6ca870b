// Brings a store back at start: snapshot and log, or dump.rdb.  Used by the server and by the
// simulator; runs on a Disk directly, before anything else does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/group_record.h"
#include "node/apply.h"
#include "persist/disk.h"
#include "persist/recovery.h"
#include "store/db.h"
#include "store/rdb/file.h"
#include "util/result.h"

namespace quorate {

struct StoreRecoveryOptions {
  // kNone: `appendonly no`; whatever log is there is left alone and not read, unless it is that of a
  // node in company, which always keeps one (REPLICATION 5).
  enum class Log : uint8_t { kNone, kKept } log = Log::kKept;
  uint32_t shard = 0;
  uint64_t new_log_id = 1;  // random
  RecoveryOptions::OnDamage on_damage = RecoveryOptions::OnDamage::kRefuse;
  std::string rdb_file;  // dbfilename: loaded if there is no log and no snapshot
  int64_t now = 0;       // unix ms
};

// Of a node that has company: the store holds what the snapshot said, or what the turns before the
// founding record left.  For a partition that counts only if it has a group whose base has no state
// and a mark that is not zero; in all other cases the base alone says what it holds.  Entries behind
// the bases are not applied.
struct StoreRecoveryResult {
  RecoveryResult log;                  // for the LogWriter
  std::optional<rdb::FileReport> rdb;  // if the RDB file was loaded
  std::optional<GroupRecovery> groups;  // the node has had company
  uint64_t snapshot_keys = 0;
  uint64_t effects = 0;
  int64_t last_unix_ms = 0;  // of the last record or snapshot; time must not go back before it
  std::vector<std::string> notes;  // "fact -> decision" lines for the log
};

// What a recovery that was refused has found.
struct StoreDamage {
  bool is_proven = false;  // the disk has changed what was synced
  // What could be read before that: where the groups of a node in company stood then.  Nothing: it
  // had none.
  std::optional<GroupRecovery> readable;
};

// An RDB file that is loaded beside an empty log becomes the log's first snapshot, durable before
// this returns.  `damage`, if it is given, says more of an error.  Requires: the store is empty.
Result<StoreRecoveryResult> recover_store(Disk& disk, Store& store,
                                          const StoreRecoveryOptions& options,
                                          EffectTarget& target, StoreDamage* damage = nullptr);

// Loads an RDB file into the store (dump.rdb, --import-rdb, DEBUG RELOAD).
Result<rdb::FileReport> load_rdb_file(Disk& disk, std::string_view file, Store& store, int64_t now);

// Writes the whole store as the snapshot that stands for every record below `header.sequence`, or
// as an RDB file, and returns when it is durable: nothing else goes on meanwhile (start, SAVE,
// --export-rdb).
Status write_snapshot_now(Disk& disk, Store& store, const SnapshotHeader& header,
                          std::string_view groups = {});
// The same of a log that is kept bare: no entries, only what the groups remember.
Status write_bare_snapshot_now(Disk& disk, Store& store, const SnapshotHeader& header,
                               std::string_view groups);
Status write_rdb_now(Disk& disk, Store& store, std::string file, const rdb::FileOptions& options);

}  // namespace quorate

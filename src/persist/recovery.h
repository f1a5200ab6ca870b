// Finds the newest valid snapshot and the log behind it, hands them over in order, cuts a torn
// tail, refuses damage, and removes what a crash left lying about.  Used by the server and by the
// simulator.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "persist/disk.h"
#include "persist/log_format.h"
#include "persist/log_writer.h"
#include "persist/snapshot.h"
#include "util/result.h"

namespace quorate {

// Receives what is recovered.  Calls: (snapshot forget)* snapshot? (record | group_record)*, where
// snapshot is snapshot_begin snapshot_groups? snapshot_block*.
class RecoveryTarget {
 public:
  virtual ~RecoveryTarget() = default;
  // The snapshot turned out to be damaged: everything given so far does not count.
  virtual void forget() = 0;
  // The disk gives back something else than was written to it and synced, which is why recover()
  // is about to refuse; what was given so far comes before that.
  virtual void damaged() {}
  virtual Status snapshot_begin(const SnapshotHeader& header) = 0;
  // What the groups of a node in company remember beside the snapshot's entries.
  virtual Status snapshot_groups(std::string_view groups) = 0;
  virtual Status snapshot_block(std::string_view payload) = 0;
  // One turn: its batches in order.  The views live for the call.
  virtual Status record(const RecordHeader& header, std::span<const LogEntry> entries) = 0;
  // One turn of a node in company.  The view lives for the call.
  virtual Status group_record(const RecordHeader& header, std::string_view body) = 0;
};

struct RecoveryOptions {
  uint32_t shard = 0;
  uint32_t partitions = 1;
  uint64_t new_log_id = 1;  // for a log that begins now; random
  // What to do at damage in the middle of the log.
  enum class OnDamage : uint8_t {
    kRefuse,
    kCut,
    kTell,  // refuse, and leave it to the caller to say what can be done
  } on_damage = OnDamage::kRefuse;
};

struct RecoveryResult {
  LogPosition position;            // where the LogWriter goes on
  std::vector<uint64_t> segments;  // for the LogWriter
  bool found_anything = false;     // false: no snapshot and no log; a dump.rdb may be loaded
  uint64_t snapshot_sequence = 0;  // 0: none
  uint64_t hash_seed = 0;          // of the snapshot; 0: none
  uint64_t records = 0;
  uint64_t log_bytes = 0;
  uint64_t cut_bytes = 0;
  std::vector<std::string> notes;  // "fact -> decision" lines for the server's log
};

// What a log keeps for life, and a Store must know before recover(): cursors of SCAN are places in
// hash order, and mean the same after a restart only if the seed does.
struct LogIdentity {
  uint64_t new_log_id = 0;  // for RecoveryOptions
  uint64_t hash_seed = 0;   // of the newest readable snapshot, else the log's own
};
// `random` is used where nothing is there yet.
LogIdentity log_identity(Disk& disk, uint32_t shard, uint64_t random);

// Whose log is it?  Looks at the newest snapshot and at the first records of segments only.
enum class LogOwner : uint8_t {
  kNobody,   // no record, no snapshot
  kAlone,    // a lone node's
  kCompany,  // of a node that has had company: to be read whatever the settings say
};
Result<LogOwner> log_owner(Disk& disk, uint32_t shard);

// Removes a log of which recover() would keep nothing: a segment of which not even the first record was ever promised to anybody.  One with
// damage, with more segments or with a snapshot stays.
Status drop_unfinished_log(Disk& disk, uint32_t shard);

// Requires: nobody else uses the directory.  On success the disk is as the result says, durable.
Result<RecoveryResult> recover(Disk& disk, const RecoveryOptions& options, RecoveryTarget& target);

}  // namespace quorate

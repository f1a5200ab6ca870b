// The mark of a node in company (start_mark.h) from its start to its end: what the file shall say follows from what acknowledging means
// here, and never says more than that.
#pragma once

#include <cstdint>
#include <vector>

#include "node/start_mark.h"
#include "persist/disk.h"
#include "persist/identity.h"
#include "persist/log_writer.h"
#include "persist/replaced_file.h"
#include "util/result.h"

namespace quorate {

// The file is replaced when the node founds or joins a cluster, when what acknowledging means becomes weaker (before the first such reply) or
// stronger (after a full sync), when all replicas have on disk that they are RECOVERING, and at an orderly end (behind the last sync).
// Part of Company.  Calls: begin_start and begin_work at a start in company, or begin_company when it gets some; then follow and drain in
// each turn, on_reply for its replies.  A node that never has company has no mark.
class OwnMark {
 public:
  OwnMark(const NodeIdentity& identity, const StartFacts& facts);

  // ---- at start, on the disk itself
  // Before anything is loaded.
  Result<raft::StartKind> begin_start(Disk& disk);
  // All is loaded and synced.
  Status begin_work(Disk& disk, raft::Durability wanted);

  // ---- while the node works
  void begin_company();
  // What acknowledging shall mean: kOs or kSynced.
  void follow(raft::Durability wanted, const LogWriter& log);
  // What it means now: not weaker than what the file says.
  raft::Durability mode() const { return mode_; }
  // A start after anything would remember what is acknowledged now.
  bool says_synced() const { return says_synced_ && mode_ == raft::Durability::kSynced; }
  // All replicas have on disk that they may have forgotten.
  void recovery_is_stored();
  // The disk refused the file: once more.
  void retry() { file_.retry(); }

  // ---- at the end.  Requires: nothing is acknowledged any more, and all that was is synced.
  // True once the file says so, or cannot.
  bool end();
  // It goes on after all.
  void go_on();

  void drain(std::vector<DiskRequest>& requests);
  bool owns(uint64_t id) const { return file_.owns(id); }
  void on_reply(DiskReply&& reply) { file_.on_reply(std::move(reply)); }

 private:
  bool is_in_use_ = false;
  StartMark mark_;
  ReplacedFile file_{std::string(kMarkFile), kMarkOwner};
  raft::Durability mode_ = raft::Durability::kOs;
  uint64_t full_sync_at_ = 0;  // synced up to here, everything acknowledged is
  bool says_synced_ = false;   // so does the file
};

// After an I/O error: what was written may be gone although the machine runs on, so no later start may think that it remembers.
void remove_start_mark(Disk& disk);

}  // namespace quorate

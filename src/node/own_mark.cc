// What the mark says, and when acknowledging may become weaker.
#include "node/own_mark.h"

namespace quorate {

OwnMark::OwnMark(const NodeIdentity& identity, const StartFacts& facts)
    : mark_({.incarnation = identity.incarnation, .directory_inode = facts.directory_inode, .boot_id = facts.boot_id}) {}

Result<raft::StartKind> OwnMark::begin_start(Disk& disk) {
  const StartFacts facts{.boot_id = mark_.boot_id, .directory_inode = mark_.directory_inode};
  TRY(const raft::StartKind kind, begin_marked_start(disk, NodeIdentity{.id = 1, .incarnation = mark_.incarnation}, facts));
  if (kind == raft::StartKind::kMayHaveForgotten) mark_.owes = StartMark::Owes::kRecovery;
  return kind;
}

Status OwnMark::begin_work(Disk& disk, raft::Durability wanted) {
  is_in_use_ = true;
  mode_ = mark_.weakest = wanted;
  says_synced_ = wanted == raft::Durability::kSynced;
  return begin_marked_work(disk, mark_);
}

// Where there is no file a start may have forgotten: nothing has to wait for the first one.
void OwnMark::begin_company() {
  if (is_in_use_) return;
  is_in_use_ = true;
  file_.want();
}

void OwnMark::follow(raft::Durability wanted, const LogWriter& log) {
  if (!is_in_use_) return;
  if (wanted == raft::Durability::kSynced) {
    if (mode_ != wanted) full_sync_at_ = log.appended();
    mode_ = wanted;
    if (mark_.weakest == wanted && file_.is_settled()) says_synced_ = true;
    if (mark_.weakest == wanted || log.synced() < full_sync_at_) return;
    mark_.weakest = wanted;
    file_.want();
    return;
  }
  if (mark_.weakest != raft::Durability::kOs) {
    mark_.weakest = raft::Durability::kOs;
    says_synced_ = false;
    file_.want();
  }
  if (file_.is_settled()) mode_ = raft::Durability::kOs;
}

void OwnMark::recovery_is_stored() {
  if (mark_.owes == StartMark::Owes::kNothing) return;
  mark_.owes = StartMark::Owes::kNothing;
  file_.want();
}

bool OwnMark::end() {
  if (!is_in_use_) return true;
  if (mark_.state != StartMark::State::kClean) {
    mark_.state = StartMark::State::kClean;
    file_.want();
    file_.retry();
  }
  return file_.is_settled() || file_.has_failed();
}

void OwnMark::go_on() {
  if (mark_.state == StartMark::State::kAlive) return;
  mark_.state = StartMark::State::kAlive;
  file_.want();
  // Until the file is replaced it says that all is synced.
  mode_ = raft::Durability::kSynced;
}

void OwnMark::drain(std::vector<DiskRequest>& requests) {
  if (file_.is_due()) file_.write(encode(mark_));
  file_.drain(requests);
}

void remove_start_mark(Disk& disk) {
  if (!disk.remove(kMarkFile).ok()) return;  // there was none
  const Status synced = disk.sync_directory();
  static_cast<void>(synced);  // the process ends; nothing more can be done
}

}  // namespace quorate

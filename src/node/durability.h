// When a reply may leave: keeps the log of the node's writes, and the replies that report what the log does not
// hold yet.  Snapshots are in persistence.h.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/settings.h"
#include "persist/disk.h"
#include "persist/log_writer.h"
#include "store/db.h"

namespace quorate {

// One a node.  A record holds the effects of one turn; its sequence number is known while the turn still runs, so
// that replies can be bound to it.
// Invariants: 1. A reply bound to a sequence leaves only when durable() has reached it.
// 2. Without a log nothing is ever bound.
// 3. Whoever was told that something is gone because its time had come finds it gone after a restart too, whatever
// the clock says then: either its end is in the record that the reply waits for, or the record's time is behind it
// (after a restart time goes on from the last record).
class Durability {
 public:
  // Keeps the log of `store`'s effects.
  Durability(const NodeSettings& settings, Store& store) : settings_(settings), store_(store) {}

  bool keeps_log() const { return log_.has_value(); }
  LogWriter& log() { return *log_; }
  const LogWriter& log() const { return *log_; }
  void start_log(const LogWriter::Options& options, const LogPosition& position,
                 std::vector<uint64_t> segments) {
    log_.emplace(options, position, std::move(segments));
  }
  void stop_log() {
    log_.reset();
    takes_writes_ = false;
    closed_ = true;
  }
  // Whether there is a log and it goes on.  Off while it is being closed: what the rest of this turn writes is still logged, but nothing waits for it.
  bool takes_writes() const { return takes_writes_; }
  void set_taking_writes(bool takes) {
    takes_writes_ = takes;
    if (takes) closed_ = false;
  }

  // The sequence number that this turn's record gets.  Requires: keeps_log().
  uint64_t turn_sequence() const { return log_->appended() + 1; }
  // Up to where records are as safe as appendfsync asks.
  uint64_t durable() const {
    if (!log_) return UINT64_MAX;
    return settings_.appendfsync == FsyncPolicy::kAlways ? log_->synced() : log_->written();
  }

  // ---- binding replies ------------------------------------------------------------------------------
  void note_write(const Key& key) {
    if (key.bytes.data() == nullptr) {
      all_keys_sequence_ = turn_sequence();
    } else {
      key_sequences_[key.hash % kSlots] = turn_sequence();
    }
    last_write_ = turn_sequence();
  }
  // Makes sure that this turn has a record, if it can have one, and returns its sequence (else 0): for a reply that
  // passed over what was past its time and still stands in the store.  Disk trouble does not stop such reads: then
  // the clock alone vouches for the answer.
  uint64_t record_time() {
    if (!takes_writes_ || log_->has_failed()) return 0;
    wants_record_ = true;
    return turn_sequence();
  }
  // True while some write is not durable, so that readers must ask needed_by().
  bool has_pending() {
    note_removals();
    return log_ && last_write_ > durable();
  }
  // The same for what was written while this node was alone; the store's removals are the company's.
  bool has_pending_alone() const { return log_ && last_write_ > durable(); }
  // What a reader of `key` (nullptr bytes: of several keys) has to wait for.  A collision only delays.
  uint64_t needed_by(const Key& key) const {
    if (key.bytes.data() == nullptr) return last_write_;
    const uint64_t own = key_sequences_[key.hash % kSlots];
    return own > all_keys_sequence_ ? own : all_keys_sequence_;
  }

  // ---- a turn's end and what the disk answers --------------------------------------------------------
  // Appends the record of the turn, if there is anything in it, and asks for what the policy wants.
  void end_turn(int64_t unix_ms);
  // Asks for a sync of everything appended; while one is under way, the next follows it (group commit).
  void sync() {
    if (log_ && !log_->has_failed()) log_->sync(requests);
  }
  void on_reply(DiskReply&& reply);
  // appendfsync everysec, and trying again after the disk refused.
  void on_second();

  // What the disk is asked to do, in order; perform() takes it.
  std::vector<DiskRequest> requests;

  bool refuses_writes() const { return log_ && log_->has_failed(); }
  std::string_view failure_detail() const { return log_ ? log_->failure_detail() : std::string_view(); }
  bool must_stop() const { return log_ && log_->must_stop(); }
  bool owns(uint64_t request_id) const { return log_ && log_->owns(request_id); }

 private:
  static constexpr size_t kSlots = 1 << 13;

  // What the store removed by itself since the last call was written in this turn.
  void note_removals() {
    std::vector<Store::RemovedKey>& removed = store_.removed_keys();
    if (removed.empty()) [[likely]]
      return;
    if (takes_writes_) {
      for (const Store::RemovedKey& key : removed) key_sequences_[key.hash % kSlots] = turn_sequence();
      last_write_ = turn_sequence();
    }
    removed.clear();
  }

  const NodeSettings& settings_;
  Store& store_;
  std::optional<LogWriter> log_;
  bool takes_writes_ = false;
  bool closed_ = true;                            // what is written from here on is not logged
  std::array<uint64_t, kSlots> key_sequences_{};  // hash of the key -> its last record
  uint64_t all_keys_sequence_ = 0;                // of writes that name no single key
  uint64_t last_write_ = 0;
  bool wants_record_ = false;                     // this turn has one even if nothing was written
};

}  // namespace quorate

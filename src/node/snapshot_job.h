// One snapshot of the store on its way to a file: the shard's own snapshot (after which the log
// before it goes) or an RDB file (SAVE, BGSAVE).  Walks a little at a time and waits while the disk
// is behind.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "persist/disk.h"
#include "persist/file_writer.h"
#include "persist/snapshot.h"
#include "store/db.h"
#include "store/rdb/file.h"
#include "store/value_pieces.h"

namespace quorate {

// Goes on with the walk of a running snapshot for about `budget` entries, or as many bytes as so many entries of a kilobyte have;
// false: it has come to its end.  `encoded_bytes()` tells how many there are so far.
template <class EncodedBytes>
bool walk_slice(Store& store, size_t budget, EncodedBytes&& encoded_bytes) {
  constexpr uint64_t kBytesPerEntry = 1024;
  constexpr size_t kEntriesAtOnce = 8;
  const uint64_t end = encoded_bytes() + budget * kBytesPerEntry;
  for (size_t left = budget; left > 0 && encoded_bytes() < end;) {
    const size_t count = std::min(left, kEntriesAtOnce);
    left -= count;
    if (!store.walk_snapshot(count)) return false;
  }
  return true;
}

// Calls: begin_log, begin_bare or begin_rdb; then step and drain in each turn, on_reply for its replies, and
// publish() at any time if it is held, until state() is kDone or kFailed; then begin_* may be called
// again.  Requires: no other snapshot of the store runs.
class SnapshotJob final : public Store::SnapshotSink {
 public:
  enum class State : uint8_t {
    kIdle,
    kRunning,
    kWritten,  // held: everything is durable but the final name, which publish() gives
    kDone,
    kFailed
  };
  // When a file that is written and synced gets its final name.
  enum class Publication : uint8_t { kAtOnce, kHeld };
  enum class Kind : uint8_t { kLog, kRdb };

  explicit SnapshotJob(Store& store) : store_(store) {}
  ~SnapshotJob() override;
  SnapshotJob(const SnapshotJob&) = delete;
  SnapshotJob& operator=(const SnapshotJob&) = delete;

  // Stands for every record below header.sequence.  `groups`: what the groups of a node in company
  // remember of them.  kHeld: they may hold what is not committed, so the file counts only once
  // publish() was called.  Requires: the store holds exactly those (begin a segment, then call this
  // in the same turn).
  void begin_log(const SnapshotHeader& header, std::string_view groups = {},
                 Publication publication = Publication::kAtOnce);
  // The same of a log that is kept bare: no entries, only what the groups remember.
  void begin_bare(const SnapshotHeader& header, std::string_view groups);
  void begin_rdb(std::string file, const rdb::FileOptions& options);

  // A slice of the walk (walk_slice()) of about `budget` entries, unless too many bytes wait for the disk.
  void step(size_t budget);
  // True while step() would do something: call again soon.
  bool wants_step() const;
  // Moves what the disk shall do to the end of `requests`.  At the end of each turn.
  void drain(std::vector<DiskRequest>& requests);
  bool owns(uint64_t id) const { return log_writer_.owns(id) || rdb_writer_.owns(id); }
  void on_reply(DiskReply&& reply);
  // A held snapshot may get its name, now or as soon as it is written.
  void publish();
  // Gives up; the state becomes kIdle.  Also a held one, whose file is removed.
  void abort();

  State state() const { return state_; }
  bool is_under_way() const { return state_ == State::kRunning || state_ == State::kWritten; }
  Kind kind() const { return kind_; }
  // Why it failed.
  const std::string& failure() const { return failure_; }
  // Of the log snapshot that is running or was done.
  uint64_t sequence() const { return log_writer_.header().sequence; }
  uint64_t keys() const;
  uint64_t bytes() const { return kind_ == Kind::kLog ? log_writer_.size() : rdb_writer_.size(); }
  uint64_t hashes_without_expiry() const {
    return encoder_ ? encoder_->hashes_without_expiry() : 0;
  }

  void save(int database, const Entry& entry) override;
  bool wants_pieces(const Entry& entry) const override;
  void open(int database, const Entry& entry) override;
  bool give(size_t elements) override;
  bool catch_up() override;

 private:
  static constexpr uint8_t kRdbOwner = 3;
  static constexpr uint64_t kInFlightBytesMax = 8 << 20;
  // Short pieces: the thread that writes may share a core with the loop.
  static constexpr size_t kRdbChunkBytes = 64 << 10;

  uint64_t in_flight_bytes() const;
  // What has been encoded so far.
  uint64_t encoded_bytes() const;
  void write_rdb();
  void finish_walk();
  // What only a walk needs.
  void release();
  void look_at_writer();

  Store& store_;
  Kind kind_ = Kind::kLog;
  State state_ = State::kIdle;
  bool walking_ = false;
  std::string failure_;
  SnapshotWriter log_writer_;
  // Of the log's snapshot: a value is being given in pieces.
  bool is_open_ = false;
  ValuePieces pieces_;
  FileWriter rdb_writer_{kRdbOwner};
  std::optional<rdb::FileEncoder> encoder_;
  std::vector<DiskRequest> requests_;
};

}  // namespace quorate

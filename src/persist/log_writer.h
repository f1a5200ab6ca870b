// Turns what each loop turn writes into records of an append-only log, and keeps count of what
// is written and what is synced.  Pure: it asks for disk operations and is told how they ended. Not
// for reading (log_reader.h), nor for deciding when to sync or to roll over (the node).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "persist/disk.h"
#include "persist/log_format.h"

namespace quorate {

// Where a log stands: what recovery found, and where a writer goes on.
struct LogPosition {
  uint64_t log_id = 0;
  uint64_t next_sequence = 1;
  uint64_t chain = 0;
  LogBase base = LogBase::kEmpty;  // of the oldest segment, if that is the one to be made next
};

// One per shard.  Calls: start_segment first; then append, sync, start_segment, drop_before,
// on_reply in any order.  Requests are added to the end of `requests`; the caller sends them off in
// that order.
//
// Invariants: 1. synced() <= written() <= appended().   2. A record counts as written or synced
// only after the reply that says so.   3. A segment is synced before the next one exists.
// 4. Records of one segment are of one kind.
class LogWriter {
 public:
  struct Options {
    uint32_t shard = 0;
    uint32_t partitions = 1;
  };
  // `segments`: first sequences of the segments that are there already, ascending.
  LogWriter(const Options& options, const LogPosition& position, std::vector<uint64_t> segments);

  // Begins a new segment: its file, its header, its name in the directory; the one before is synced
  // first. Use at start, when a snapshot begins, and when segment_size() has grown enough.
  void start_segment(std::vector<DiskRequest>& requests);

  // Adds the record of a lone node's turn; returns its sequence number.  Requires: a segment was
  // started, and no record of groups is in the log.
  uint64_t append(std::span<const LogEntry> entries, int64_t unix_ms,
                  std::vector<DiskRequest>& requests);
  // Adds what the groups of a node in company store, opaque here; returns its sequence number.  No
  // segment holds both kinds: behind turns another one is begun, so that the first record of a
  // segment tells whose it is.  Requires: a segment was started.
  uint64_t append_groups(std::string_view body, int64_t unix_ms,
                         std::vector<DiskRequest>& requests);
  // The same of what was appended to begin_record(), which is not copied.
  uint64_t append_groups(Buffer&& record, int64_t unix_ms, std::vector<DiskRequest>& requests);
  // Room for a record's header; the body goes behind it.
  static Buffer begin_record();
  // Asks that all records appended so far be made durable.  One sync is under way at a time: what
  // is asked for meanwhile is covered by the next, which starts with the reply (group commit).
  void sync(std::vector<DiskRequest>& requests);
  // Removes the segments that hold only records below `sequence`, oldest first.  Requires: a
  // snapshot that stands for those records is durable under its final name.
  void drop_before(uint64_t sequence, std::vector<DiskRequest>& requests);

  // Sequence number of the last record handed out; written (kill -9 cannot lose it); synced
  // (nothing can).
  uint64_t appended() const { return position_.next_sequence - 1; }
  uint64_t written() const { return written_; }
  uint64_t synced() const { return synced_; }
  uint64_t in_flight_bytes() const { return in_flight_bytes_; }
  const LogPosition& position() const { return position_; }
  uint64_t segment_size() const { return segment_size_; }
  // Bytes of all segments that this writer has made and not dropped.
  uint64_t log_size() const { return log_size_; }

  // First sequences of the segments that are there, ascending.
  std::vector<uint64_t> segments() const { return {segments_.begin(), segments_.end()}; }

  bool owns(uint64_t id) const { return (id >> kOwnerShift) == kOwner; }
  // The outcome of a request of ours; in the order of the requests.
  void on_reply(DiskReply&& reply, std::vector<DiskRequest>& requests);

  // The disk refused a write (full, read-only): nothing more is asked of it until retry().  What was
  // appended waits in memory, so the node must stop accepting writes.
  bool has_failed() const { return failure_ != Failure::kNone; }
  // A sync failed: what the disk holds is unknown, and the process must end.
  bool must_stop() const { return failure_ == Failure::kFatal; }
  std::string_view failure_detail() const { return failure_detail_; }
  // No request is under way.
  bool idle() const { return flights_.empty(); }
  // The request that has waited longest, removals aside; 0: there is none.
  uint64_t oldest_work() const;
  // Cuts off what was half written and asks for all that was refused again.
  // Requires: has_failed() && !must_stop() && idle().
  void retry(std::vector<DiskRequest>& requests);

 private:
  static constexpr int kOwnerShift = 56;
  static constexpr uint64_t kOwner = 1;
  enum class Failure : uint8_t { kNone, kRetry, kFatal };

  // One request under way.
  struct Flight {
    uint64_t id = 0;
    DiskRequest::Op op = DiskRequest::Op::kAppend;
    std::string file;
    uint64_t sequence = 0;  // kAppend: of its record; kSync: of the last record it covers; else 0
    uint64_t bytes = 0;
    uint64_t offset = 0;  // kAppend: where in the file it goes; kTruncate: where it ends
    bool heals = false;
  };
  // One that failed and must be asked again.
  struct Refused {
    Flight flight;
    Buffer bytes;
  };

  void ask(Flight&& flight, Buffer&& bytes, std::vector<DiskRequest>& requests);
  void ask_sync(std::vector<DiskRequest>& requests);
  // `bytes`: room for the record's header, and its body.
  uint64_t add_record(RecordHeader::Kind kind, Buffer&& bytes, int64_t unix_ms,
                      std::vector<DiskRequest>& requests);
  void count_success(const Flight& flight);

  const Options options_;
  LogPosition position_;
  const uint64_t begun_at_;        // the first sequence of this writer
  std::deque<uint64_t> segments_;  // first sequences; the last is the one written to
  std::string segment_;
  std::optional<RecordHeader::Kind> segment_kind_;  // of its records; nothing: it has none yet
  uint64_t segment_size_ = 0;
  uint64_t log_size_ = 0;
  std::deque<uint64_t> segment_sizes_;  // of segments_; 0 for those found at start
  uint64_t next_id_ = kOwner << kOwnerShift;
  uint64_t sync_wanted_ = 0;  // up to here somebody wants durability
  uint64_t sync_asked_ = 0;   // up to here a sync is under way or done
  size_t syncs_in_flight_ = 0;

  // What the replies said.
  uint64_t written_ = 0;
  uint64_t synced_ = 0;
  uint64_t in_flight_bytes_ = 0;
  std::deque<Flight> flights_;
  Failure failure_ = Failure::kNone;
  std::string failure_detail_;
  std::deque<Refused> refused_;
  std::deque<Refused> held_;  // asked for since the disk has refused something: behind that
};

}  // namespace quorate

// Writes a whole file so that a crash leaves the old one or the new one: into a temporary name,
// synced, renamed, the directory synced.  Pure: it asks for disk operations.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "persist/disk.h"

namespace quorate {

// Calls: begin, hold?, write*, then finish or abort, publish? if it was held; on_reply throughout.
// One file at a time; reusable afterwards.
class FileWriter {
 public:
  enum class State : uint8_t {
    kIdle,
    kWriting,
    kFinishing,
    kWritten,  // held: durable under its temporary name, waits for publish()
    kDone,
    kFailed
  };

  // `owner` tells apart the replies of writers that work at the same time; 2 to 255 (1 is the log).
  explicit FileWriter(uint8_t owner, DiskLane lane = DiskLane::kBulk)
      : owner_(owner), lane_(lane), next_id_(uint64_t{owner} << kOwnerShift) {}

  void begin(std::string file, std::vector<DiskRequest>& requests);
  // Requires: state() is kWriting or kFailed (then nothing is asked).
  void write(Buffer&& bytes, std::vector<DiskRequest>& requests);
  void finish(std::vector<DiskRequest>& requests);
  // The file does not get its final name before publish().  Requires: state() is kWriting.
  void hold() { is_held_ = true; }
  // It may have its final name, now or as soon as it is durable.  Does nothing if it was not held.
  void publish(std::vector<DiskRequest>& requests);
  // Gives up and removes the temporary file.  Too late once the final name was asked for: then the
  // file, which is whole, may get it.
  void abort(std::vector<DiskRequest>& requests);

  bool owns(uint64_t id) const { return (id >> kOwnerShift) == owner_; }
  void on_reply(DiskReply&& reply, std::vector<DiskRequest>& requests);

  // kDone only when the file is durable under its final name.
  State state() const { return state_; }
  const Status& outcome() const { return outcome_; }
  // Bytes asked to be written and not yet answered: who produces more should wait while this is
  // large.
  uint64_t in_flight_bytes() const { return in_flight_bytes_; }
  uint64_t size() const { return size_; }

 private:
  static constexpr int kOwnerShift = 56;
  // A sync now and then keeps the last one short and the page cache clean.
  static constexpr uint64_t kSyncEveryBytes = 32 << 20;

  void ask(DiskRequest::Op op, Buffer&& bytes, std::vector<DiskRequest>& requests);
  std::string temporary() const;
  void fail(Error error);

  const uint64_t owner_;
  const DiskLane lane_;
  uint64_t next_id_;
  State state_ = State::kIdle;
  Status outcome_;
  std::string file_;
  uint64_t size_ = 0;
  uint64_t unsynced_ = 0;
  uint64_t in_flight_bytes_ = 0;
  bool is_held_ = false;
  uint64_t first_id_ = 0;  // of the file being written: older replies are of one that was given up
  enum class LastStep : uint8_t { kSync, kRename, kSyncDirectory } last_step_ = LastStep::kSync;
  struct Flight {
    uint64_t id;
    uint64_t bytes;
  };
  std::deque<Flight> flights_;  // the appends under way, oldest first
};

}  // namespace quorate

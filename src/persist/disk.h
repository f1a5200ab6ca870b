// A disk as the log and the snapshots see it: a flat directory of append-only files, with exactly
// the promises of a real one.  Nothing survives a crash before sync(); a name survives only after
// sync_directory(). What a sync() that failed was to make durable is lost though later ones succeed:
// it may be read for a while, and is gone at any moment, at the latest when the power fails.  (A
// sync_directory() that fails is fatal to the process; that a file system with a journal goes on
// after it is not provided for.) The server implements it with system calls, the simulator with a
// model that loses, tears and reorders what was not synced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

// Synchronous: recovery uses it directly at start; at run time the driver executes DiskRequests on
// it. Errors: kNoSpace (no room; nothing else is wrong), kIo (anything else).
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::vector<std::string>> list() = 0;  // file names, sorted
  virtual Result<uint64_t> size(std::string_view file) = 0;
  // Appends up to `count` bytes from `offset` to `out`; fewer at the end of the file.
  virtual Status read(std::string_view file, uint64_t offset, size_t count, Buffer& out) = 0;
  virtual Status create(std::string_view file) = 0;  // empties an existing one
  virtual Status append(std::string_view file, std::string_view bytes) = 0;
  // Writes what stands at `offset` once more, so that the next sync() makes it durable even if an
  // earlier one has failed: the system takes what that one was to write for written.
  // Requires: `bytes` is what read() gives there.
  virtual Status rewrite(std::string_view file, uint64_t offset, std::string_view bytes) = 0;
  virtual Status truncate(std::string_view file, uint64_t size) = 0;
  virtual Status sync(std::string_view file) = 0;
  virtual Status rename(std::string_view from, std::string_view to) = 0;
  virtual Status remove(std::string_view file) = 0;
  virtual Status sync_directory() = 0;
};

// Requests of one lane are executed strictly in order; the two lanes do not wait for each other, so
// that the sync of a snapshot never delays the log's.  Who needs an order between lanes waits for
// the reply.
enum class DiskLane : uint8_t { kLog, kBulk };
constexpr size_t kDiskLaneCount = 2;

// One operation that the node asks of its disk.  Each is answered once, in the order of its lane.
struct DiskRequest {
  enum class Op : uint8_t { kCreate, kAppend, kTruncate, kSync, kRename, kRemove, kSyncDirectory };
  uint64_t id = 0;  // given by the one who asks: LogWriter, FileWriter; unique while in flight
  DiskLane lane = DiskLane::kLog;
  Op op = Op::kAppend;
  std::string file;
  std::string to;      // kRename
  uint64_t size = 0;   // kTruncate
  bool heals = false;  // the asker knows of the failure in its lane and goes on from here
  // In the log's lane, but not of the log: it is not carried out behind a failure of the log, and
  // its own failure stops only what is of the same file.
  bool is_apart = false;
  Buffer bytes;        // kAppend
};
struct DiskReply {
  uint64_t id = 0;
  DiskLane lane = DiskLane::kLog;
  Status status;
  Buffer bytes;  // of a kAppend that failed: what was to be written, for another try
};

// Carries out the requests of one lane; drivers run it on a disk thread.
//
// After a failed append, create or sync nothing more is done in that lane: what follows fails in
// the same way without touching the disk, until a request that `heals` succeeds.  So nothing is
// ever written behind a hole that a failure left, even if it was asked for before the failure was
// known.  In the bulk lane, and for what stands apart, this holds for the failed file only.
class DiskExecutor {
 public:
  explicit DiskExecutor(Disk& disk) : disk_(disk) {}
  DiskReply execute(DiskRequest& request);
  // An earlier failure stands in its way: it would fail, and the disk would not be touched.
  bool refuses(const DiskRequest& request) const { return poison_of(request) != nullptr; }

 private:
  Status run(const DiskRequest& request);
  const ErrorCode* poison_of(const DiskRequest& request) const;

  Disk& disk_;
  std::map<std::string, ErrorCode, std::less<>>
      poisoned_;  // by file; what is of the log by one name
};

}  // namespace quorate

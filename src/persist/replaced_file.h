// A small file that is replaced as a whole whenever it shall say something else: a crash leaves the
// old one or the new one.  It goes in the log's lane: so it does not wait for what snapshots write,
// and once a sync of the log has failed nothing that was asked for before changes it any more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "persist/disk.h"
#include "persist/file_writer.h"

namespace quorate {

// Calls: want() in any order; at the end of each turn write() if is_due(), and drain; on_reply for
// its replies.  What is wanted while it is written goes with the next replacement.
class ReplacedFile {
 public:
  // `owner`: FileWriter's.
  ReplacedFile(std::string name, uint8_t owner) : name_(std::move(name)), file_(owner, DiskLane::kLog) {}

  // The file shall hold what is so at the end of this turn.  The number of the wish; they ascend.
  uint64_t want() { return ++wanted_; }
  // Wishes up to this one are on disk.
  uint64_t durable() const { return durable_; }
  bool is_settled() const { return durable_ == wanted_; }
  // The disk refused the last try; nothing is tried until retry().
  bool has_failed() const { return has_failed_; }
  void retry() { has_failed_ = false; }

  // Something is wanted, and nothing is under way.
  bool is_due() const { return written_ != wanted_ && !is_writing_ && !has_failed_; }
  // What all wishes are fulfilled by.  Requires: is_due().
  void write(std::string_view bytes);
  void drain(std::vector<DiskRequest>& requests);
  bool owns(uint64_t id) const { return file_.owns(id); }
  void on_reply(DiskReply&& reply);

 private:
  const std::string name_;
  FileWriter file_;
  uint64_t wanted_ = 0;
  uint64_t written_ = 0;  // the wishes that the file under way fulfils
  uint64_t durable_ = 0;
  bool is_writing_ = false;
  bool has_failed_ = false;
  std::vector<DiskRequest> requests_;
};

}  // namespace quorate

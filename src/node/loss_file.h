// What is known of weak acknowledgements (losses.h), on disk: the file `node.losses` of the data directory (docs/FORMATS.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/losses.h"
#include "persist/disk.h"
#include "persist/file_writer.h"
#include "util/result.h"

namespace quorate {

constexpr std::string_view kLossesFile = "node.losses";

std::string encode(const Losses& losses);
// Nothing: the bytes are no such file.
std::optional<Losses> decode_losses(std::string_view bytes);

// At start, on the disk itself.  Nothing: the file is damaged.  Where there is none nothing is known.
Result<std::optional<Losses>> read_losses(Disk& disk);

// Replaces the file, as a whole, when it shall say something else; what comes meanwhile goes with the next replacement.
// Part of Company.  Calls: want() in any order; drain at the end of each turn, on_reply for its replies.
class LossFile {
 public:
  // The file shall hold what is known at the end of this turn.  The number of the wish; they ascend.
  uint64_t want() { return ++wanted_; }
  // Wishes up to this one are on disk.
  uint64_t durable() const { return durable_; }
  bool is_settled() const { return durable_ == wanted_; }
  // The disk refused the last try; nothing is tried until retry().
  bool has_failed() const { return has_failed_; }
  void retry() { has_failed_ = false; }

  void drain(const Losses& losses, std::vector<DiskRequest>& requests);
  bool owns(uint64_t id) const { return file_.owns(id); }
  void on_reply(DiskReply&& reply);

 private:
  static constexpr uint8_t kFileOwner = 6;

  FileWriter file_{kFileOwner};
  uint64_t wanted_ = 0;
  uint64_t written_ = 0;  // the wishes that the file under way fulfils
  uint64_t durable_ = 0;
  bool is_writing_ = false;
  bool has_failed_ = false;
  std::vector<DiskRequest> requests_;
};

}  // namespace quorate

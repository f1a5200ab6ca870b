// What is known of each partition, and the message that tells it.
#include "node/mode_progress.h"

#include <algorithm>

#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr int64_t kAskUs = 20'000;

}  // namespace

void ModeProgress::note(std::span<const uint64_t> versions) {
  CHECK(versions.size() == known_.size());
  for (size_t partition = 0; partition < known_.size(); ++partition) known_[partition] = std::max(known_[partition], versions[partition]);
}

size_t ModeProgress::count_without(uint64_t version) const {
  return static_cast<size_t>(std::count_if(known_.begin(), known_.end(), [&](uint64_t known) { return known < version; }));
}

bool ModeProgress::takes_turn(int64_t now_us) {
  if (now_us < next_ask_us_) return false;
  next_ask_us_ = now_us + kAskUs;
  return true;
}

void encode_modes(std::span<const uint64_t> versions, Buffer& out) {
  append_varint(out, versions.size());
  for (const uint64_t version : versions) append_varint(out, version);
}

Result<std::vector<uint64_t>> decode_modes(std::string_view bytes, uint32_t partitions) {
  uint64_t count = 0;
  bool is_whole = take_varint(bytes, count) && count == partitions;
  std::vector<uint64_t> versions(partitions);
  for (uint64_t& version : versions) is_whole = is_whole && take_varint(bytes, version);
  if (!is_whole || !bytes.empty()) return Error(ErrorCode::kCorrupt, "versions of the mode cannot be read");
  return versions;
}

}  // namespace quorate

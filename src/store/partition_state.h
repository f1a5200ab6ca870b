// All that one partition holds, in all databases, as bytes: what a leader sends to a replica that is too far
// behind, and what the base of a group keeps.  docs/FORMATS.md has the form.  Says nothing of logs and positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "store/db.h"
#include "store/partition_walk.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

// Writes the form.  Calls: add* finish.  Requires: the entries given are those that the partition holds when this
// is made, each once; `out` is nobody else's until finish().
class PartitionWriter {
 public:
  PartitionWriter(const Store& store, uint32_t partition, Buffer& out);
  PartitionWriter(const PartitionWriter&) = delete;
  PartitionWriter& operator=(const PartitionWriter&) = delete;

  void add(int database, const Entry& entry);
  void finish();
  // Moves what is written for good from the front of `out` to the end of `closed`.
  void take_closed(Buffer& closed);

 private:
  static constexpr size_t kBlockBytes = 64 << 10;
  void begin_block();
  void close_block();

  const Store& store_;
  Buffer& out_;
  size_t block_at_ = 0;
  uint64_t chain_ = 0;
};

// The same in steps, of the instant in which it is made, while commands go on.  Its maker owns it.
class PartitionEncoder final : private Store::SnapshotSink {
 public:
  // `head` stands before it.  Requires: no other PartitionWalk runs on this store.
  PartitionEncoder(Store& store, uint32_t partition, Buffer&& head = Buffer())
      : out_(std::move(head)), writer_(store, partition, out_), walk_(store, partition, *this) {}

  // Goes on for about `entries`, or about `bytes` of output.  kBroken: begin again.
  PartitionWalk::Progress step(size_t entries, size_t bytes);
  // What has come since the last call, the head first, goes to the end of `out`: so nothing grows with the whole.
  void take(Buffer& out);

 private:
  void save(int database, const Entry& entry) override { writer_.add(database, entry); }

  Buffer out_;
  PartitionWriter writer_;
  PartitionWalk walk_;
};

// A partition beside the store.  What is not installed in the end is freed in the background.
// Calls: read, or read_some until is_complete(); then install, if at all.  Must not outlive the store.
class PartitionState {
 public:
  // kInSteps: no call may last long, whatever the size of the whole.
  enum class Pace : uint8_t { kAtOnce, kInSteps };
  PartitionState(Store& store, uint32_t partition, Pace pace = Pace::kAtOnce);
  ~PartitionState();
  PartitionState(const PartitionState&) = delete;
  PartitionState& operator=(const PartitionState&) = delete;

  // Any bytes are allowed.  An error says what is wrong with them; then nothing more may be called.
  Status read(std::string_view bytes);
  // Takes about `budget` bytes off the front of `bytes`, which is at first the whole state; or the beginning of it, and `behind` bytes will
  // follow: then it takes nothing while a block, or the head, is not all there.
  Status read_some(std::string_view& bytes, size_t budget, uint64_t behind = 0);
  bool is_complete() const { return stage_ == Stage::kComplete; }

  // The time of the store that the state is of; valid once something was read.  Time must not go back before it.
  int64_t unix_ms() const { return unix_ms_; }
  uint64_t keys() const;
  // A snapshot that has begun since the entries were read does not want them: about `budget` of them are told so.  True: all were, and
  // install() has nothing to do but to put them in their place, until another one begins.  Requires: is_complete().
  bool settle(size_t budget);
  // Puts it in the place of what the store holds of the partition.  Requires: is_complete().
  void install();

 private:
  enum class Stage : uint8_t { kHead, kBlocks, kComplete };

  // False: more must come first.
  Result<bool> read_head(std::string_view& bytes, uint64_t behind);
  Result<bool> read_counts(std::string_view& bytes, uint64_t behind);
  Result<bool> read_block(std::string_view& bytes, uint64_t behind);
  Status read_entries(std::string_view block);
  Status finish(std::string_view rest);
  Status put(int database, Entry* entry);

  Store& store_;
  const uint32_t partition_;
  const Pace pace_;
  Stage stage_ = Stage::kHead;
  std::unique_ptr<Table[]> tables_;  // by database
  std::vector<uint64_t> expected_;   // keys by database, as the head says
  int64_t unix_ms_ = 0;
  uint64_t chain_ = 0;
  bool mark_;                        // of the entries; while is_marked_ is false, of those before the place where settle() is
  bool is_marked_ = true;
  size_t marking_table_ = 0;
  uint64_t marking_from_ = 0;
};

// Appends the partition as it is now.
void encode_partition(const Store& store, uint32_t partition, Buffer& out);
// Whether install_partition() will take these bytes.  Any bytes are allowed; the store's data stay as they are.
Status check_partition(Store& store, uint32_t partition, std::string_view bytes);
// Replaces the partition.  After an error it is what it was.  Gives the time of the store that the state is of (PartitionState::unix_ms).
Result<int64_t> install_partition(Store& store, uint32_t partition, std::string_view bytes);

}  // namespace quorate

// What a process leaves that was killed before the first record of its log was stored: nothing that anybody was promised.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "persist/log_format.h"
#include "persist/log_writer.h"
#include "persist/recovery.h"
#include "persist/snapshot.h"
#include "tests/sim/sim_disk.h"

namespace quorate {
namespace {

constexpr int64_t kTime = 1'700'000'000'000;

// A segment with records of groups, each of which says that those before it were synced, or nothing.
enum class Proof : uint8_t { kSynced, kNone };
void write_log(SimDisk& disk, int records, Proof proof, uint64_t first = 1) {
  DiskExecutor executor(disk);
  LogWriter writer({.shard = 0, .partitions = 4}, {.log_id = 42, .next_sequence = first}, {});
  std::vector<DiskRequest> requests;
  const auto run = [&] {
    while (!requests.empty()) {
      std::vector<DiskRequest> now;
      now.swap(requests);
      for (DiskRequest& request : now) writer.on_reply(executor.execute(request), requests);
    }
  };
  writer.start_segment(requests);
  run();
  for (int record = 0; record < records; ++record) {
    writer.append_groups("what a node keeps of its groups", kTime, requests);
    if (proof == Proof::kSynced) writer.sync(requests);
    if (proof == Proof::kSynced) run();
  }
  run();
}

std::string first_segment() { return segment_name(0, 1); }

bool is_dropped(SimDisk& disk) {
  EXPECT_TRUE(drop_unfinished_log(disk, 0).ok());
  return !disk.has(first_segment());
}

// What recover() makes of it with appendonly yes, for comparison.
class CountingTarget final : public RecoveryTarget {
 public:
  void forget() override {}
  Status snapshot_begin(const SnapshotHeader&) override { return done(); }
  Status snapshot_groups(std::string_view) override { return done(); }
  Status snapshot_block(std::string_view) override { return done(); }
  Status record(const RecordHeader&, std::span<const LogEntry>) override { return done(); }
  Status group_record(const RecordHeader&, std::string_view) override {
    ++records;
    return done();
  }
  int records = 0;
};

TEST(UnfinishedLog, is_dropped_wherever_the_first_record_was_cut_off) {
  SimDisk whole(1);
  write_log(whole, 1, Proof::kNone);
  const uint64_t size = whole.content(first_segment()).size();
  ASSERT_GT(size, SegmentHeader::kSize + RecordHeader::kSize);
  for (uint64_t left = 0; left <= size; ++left) {
    SimDisk disk = whole.left_by(SimDisk::Loss::kOfProcess);
    ASSERT_TRUE(disk.truncate(first_segment(), left).ok());
    EXPECT_EQ(is_dropped(disk), left < size) << left;
  }
}

TEST(UnfinishedLog, is_one_of_which_a_start_with_a_log_keeps_nothing) {
  for (const Proof proof : {Proof::kNone, Proof::kSynced}) {
    SimDisk whole(1);
    write_log(whole, 3, proof);
    const uint64_t size = whole.content(first_segment()).size();
    for (uint64_t offset = 0; offset < size; ++offset) {
      SimDisk disk = whole.left_by(SimDisk::Loss::kOfProcess);
      disk.flip_bit(first_segment(), offset, 0);
      SimDisk other = disk.left_by(SimDisk::Loss::kOfProcess);
      const auto owner = log_owner(disk, 0);
      ASSERT_TRUE(owner.ok());
      CountingTarget target;
      const auto recovered = recover(other, {.shard = 0, .partitions = 4}, target);
      const bool keeps_nothing = recovered.ok() && target.records == 0;
      // Whoever looks for it has found nobody's log.
      if (owner.value() != LogOwner::kNobody) continue;
      EXPECT_EQ(is_dropped(disk), keeps_nothing) << offset;
    }
  }
}

// A first record that is damaged, and was synced, is no reason to take the log for nobody's.
TEST(UnfinishedLog, the_records_behind_a_damaged_one_tell_whose_log_it_is) {
  for (const Proof proof : {Proof::kNone, Proof::kSynced}) {
    for (const uint64_t at : {uint64_t{20}, uint64_t{SegmentHeader::kSize + 3}}) {
      SimDisk disk(1);
      write_log(disk, 3, proof);
      disk.flip_bit(first_segment(), at, 2);
      const auto owner = log_owner(disk, 0);
      ASSERT_TRUE(owner.ok());
      const bool is_tail = proof == Proof::kNone && at > SegmentHeader::kSize;
      EXPECT_EQ(owner.value(), is_tail ? LogOwner::kNobody : LogOwner::kCompany) << at;
    }
  }
}

TEST(UnfinishedLog, nothing_is_dropped_beside_a_snapshot_or_another_segment) {
  SimDisk disk(1);
  write_log(disk, 0, Proof::kNone);
  write_log(disk, 0, Proof::kNone, 9);
  EXPECT_FALSE(is_dropped(disk));
  ASSERT_TRUE(disk.remove(segment_name(0, 9)).ok());
  ASSERT_TRUE(disk.create(snapshot_name(0, 1)).ok());
  EXPECT_FALSE(is_dropped(disk));
  ASSERT_TRUE(disk.remove(snapshot_name(0, 1)).ok());
  EXPECT_TRUE(is_dropped(disk));
  EXPECT_TRUE(is_dropped(disk));   // nothing happens where there is none
}

}  // namespace
}  // namespace quorate

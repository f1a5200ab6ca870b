// The log and its recovery: golden bytes, torn tails, every flipped bit, full disks, names.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "persist/log_format.h"
#include "persist/log_reader.h"
#include "persist/log_writer.h"
#include "persist/recovery.h"
#include "tests/sim/sim_disk.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {
namespace {

constexpr int64_t kTime = 1700000000000;

// Recovers into one string: the batches one behind the other, (records of groups), [groups of a snapshot].
class TextTarget final : public RecoveryTarget {
 public:
  void forget() override { text.clear(); }
  Status snapshot_begin(const SnapshotHeader&) override { return done(); }
  Status snapshot_groups(std::string_view groups) override {
    text += "[" + std::string(groups) + "]";
    return done();
  }
  Status snapshot_block(std::string_view payload) override {
    text += payload;
    return done();
  }
  Status record(const RecordHeader&, std::span<const LogEntry> entries) override {
    for (const LogEntry& entry : entries) text += entry.batch;
    return done();
  }
  Status group_record(const RecordHeader&, std::string_view body) override {
    text += "(" + std::string(body) + ")";
    return done();
  }
  std::string text;
};

// A log that is written and read back on a disk in memory, without a crash in between.
struct World {
  World() : disk(1) { start({.log_id = 42}, {}); }
  // A process begins.
  void start(const LogPosition& position, std::vector<uint64_t> segments) {
    executor.emplace(disk);
    requests.clear();
    writer.emplace(LogWriter::Options{.shard = 0, .partitions = 4}, position, std::move(segments));
    writer->start_segment(requests);
    run();
  }
  void run() {
    while (!requests.empty()) {
      std::vector<DiskRequest> now;
      now.swap(requests);
      for (DiskRequest& request : now) writer->on_reply(executor->execute(request), requests);
    }
  }
  void add(std::string_view batch) {
    const LogEntry entry{
        .partition = 3, .term = 1, .index = writer->appended() + 1, .batch = batch};
    writer->append({&entry, 1}, kTime, requests);
    run();
  }
  void add_synced(std::string_view batch) {
    add(batch);
    writer->sync(requests);
    run();
  }
  uint64_t add_groups(std::string_view body) {
    const uint64_t sequence = writer->append_groups(body, kTime, requests);
    run();
    return sequence;
  }
  Result<RecoveryResult> recover_into(TextTarget& target) {
    return recover(disk, {.shard = 0, .partitions = 4}, target);
  }
  std::string first_segment() const { return segment_name(0, 1); }

  SimDisk disk;
  std::optional<DiskExecutor> executor;
  std::optional<LogWriter> writer;
  std::vector<DiskRequest> requests;
};

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

// A change here needs a new version of the format, and the old bytes must go on being read.
TEST(Log, HasItsGoldenBytes) {
  World world;
  world.add_synced("abc");
  world.add("de");
  EXPECT_EQ(hex(world.disk.content(world.first_segment())),
            "515254454c4f470100000000040000002a0000000000000001000000000000000000000000000000"
            "00000000000000000000000000000000bfc0603a1d0221a851010107000000000100000000000000"
            "00000000000000000068e5cf8b0100005290e3a8bb42ec2dcbe9bc8ca638f8d60401010361626351"
            "01010600000000020000000000000001000000000000000068e5cf8b0100008167720ec562d5f434"
            "c1bc4a4c4a3872040102026465");
}

TEST(Log, ARecordOfGroupsHasItsGoldenBytes) {
  World world;
  EXPECT_EQ(world.add_groups("xy"), 1u);
  EXPECT_EQ(hex(world.disk.content(world.first_segment())),
            "515254454c4f470100000000040000002a0000000000000001000000000000000000000000000000"
            "00000000000000000000000000000000bfc0603a1d0221a8"
            "5102010200000000010000000000000000000000000000000068e5cf8b01000086689755f89743a2"
            "8e25ee9e88d9414f7879");
}

TEST(Log, RecordsOfGroupsStandInTheSameChain) {
  World world;
  world.add("one ");
  EXPECT_EQ(world.add_groups("two"), 2u);
  EXPECT_TRUE(world.disk.has(segment_name(0, 2))) << "a segment has records of one kind";
  EXPECT_EQ(world.add_groups(""), 3u) << "the log does not look into it";
  EXPECT_FALSE(world.disk.has(segment_name(0, 3)));
  world.writer->start_segment(world.requests);
  world.run();
  world.add_groups("three");
  TextTarget target;
  const auto result = world.recover_into(target);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(target.text, "one (two)()(three)");
  EXPECT_EQ(result.value().position.next_sequence, 5u);
  EXPECT_EQ(result.value().position.chain, world.writer->position().chain);
}

// A log that a later version has written: nothing of it is cut.
TEST(Log, ARecordOfAnUnknownKindIsRefusedByName) {
  World world;
  world.add("one ");
  const std::string body = "what is this";
  const uint64_t chain = log_chain(world.writer->position().chain, body);
  std::string record(RecordHeader::kSize, '\0');
  RecordHeader{.kind = RecordHeader::Kind::kTurn,
               .body_size = body.size(),
               .sequence = 2,
               .synced = 0,
               .unix_ms = kTime,
               .chain = chain}
      .encode(record.data());
  record[1] = 9;
  store_little<uint64_t>(record.data() + 40, hash64({record.data(), 40}, 0x7265636f72643031));
  const std::string whole = record + body;
  ASSERT_TRUE(world.disk.append(world.first_segment(), whole).ok());
  const std::string before = world.disk.content(world.first_segment());
  TextTarget target;
  const auto result = world.recover_into(target);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kUnsupported);
  const std::string detail(result.error().detail());
  EXPECT_NE(detail.find("record 2"), std::string::npos) << detail;
  EXPECT_NE(detail.find("of kind 9"), std::string::npos) << detail;
  EXPECT_EQ(world.disk.content(world.first_segment()), before) << "nothing may be changed";
  // Torn, it is a tail like any other.
  const uint64_t size = before.size() - 1;
  ASSERT_TRUE(world.disk.truncate(world.first_segment(), size).ok());
  TextTarget again;
  const auto cut = world.recover_into(again);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut.value().cut_bytes, whole.size() - 1);
}

TEST(Log, ASegmentOfAnotherVersionIsRefusedAndNotRemoved) {
  World world;
  std::string header(world.disk.content(world.first_segment()));
  header[7] = 2;
  store_little<uint64_t>(header.data() + 56, hash64({header.data(), 56}, 0x7365676d656e7431));
  ASSERT_TRUE(world.disk.create(world.first_segment()).ok());
  ASSERT_TRUE(world.disk.append(world.first_segment(), header).ok());
  TextTarget target;
  const auto result = world.recover_into(target);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kUnsupported);
  EXPECT_TRUE(world.disk.has(world.first_segment()));
}

TEST(Log, WhatWasWrittenIsReadInOrder) {
  World world;
  for (const char* batch : {"one ", "two ", "three "}) world.add(batch);
  TextTarget target;
  const auto result = world.recover_into(target);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(target.text, "one two three ");
  EXPECT_EQ(result.value().records, 3u);
  EXPECT_EQ(result.value().position.next_sequence, 4u);
}

TEST(Log, ZerosBehindTheLastRecordAreItsEnd) {
  World world;
  world.add("one");
  ASSERT_TRUE(world.disk.append(world.first_segment(), std::string(5000, '\0')).ok());
  TextTarget target;
  const auto result = world.recover_into(target);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(target.text, "one");
  EXPECT_EQ(result.value().cut_bytes, 0u);
}

TEST(Log, ATornTailIsDroppedAndEarlierRecordsStay) {
  World whole;
  whole.add_synced("one ");
  const size_t before = whole.disk.content(whole.first_segment()).size();
  whole.add("two");
  const std::string bytes = whole.disk.content(whole.first_segment());
  for (size_t size = before + 1; size < bytes.size(); ++size) {
    World world;
    ASSERT_TRUE(world.disk.create(world.first_segment()).ok());
    ASSERT_TRUE(
        world.disk.append(world.first_segment(), std::string_view(bytes).substr(0, size)).ok());
    TextTarget target;
    const auto result = world.recover_into(target);
    ASSERT_TRUE(result.ok()) << size;
    EXPECT_EQ(target.text, "one ") << size;
    EXPECT_EQ(result.value().cut_bytes, size - before) << size;
    EXPECT_EQ(world.disk.size(world.first_segment()).value(), before);
  }
}

// Records 1 to 3 are proven to be synced by record 4; record 4 itself is not proven.
TEST(Log, EveryFlippedBitBeforeTheProvenPlaceIsRefusedAndBehindItCut) {
  World whole;
  for (const char* batch : {"one ", "two ", "three "}) whole.add_synced(batch);
  const size_t proven = whole.disk.content(whole.first_segment()).size();
  whole.add("four");
  const std::string bytes = whole.disk.content(whole.first_segment());
  for (size_t at = 0; at < bytes.size(); ++at) {
    World world;
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    ASSERT_TRUE(world.disk.create(world.first_segment()).ok());
    ASSERT_TRUE(world.disk.append(world.first_segment(), damaged).ok());
    TextTarget target;
    const auto result = world.recover_into(target);
    if (at < proven) {
      ASSERT_FALSE(result.ok()) << at;
      EXPECT_EQ(result.error().code(), ErrorCode::kCorrupt) << at;
      EXPECT_EQ(world.disk.content(world.first_segment()), damaged) << "nothing may be changed";
    } else {
      ASSERT_TRUE(result.ok()) << at;
      EXPECT_EQ(target.text, "one two three ") << at;
    }
  }
}

// The same for a log of groups: the first record is proven, the second is not.
TEST(Log, EveryFlippedBitOfAProvenRecordOfGroupsIsRefused) {
  World whole;
  whole.add_groups("one");
  whole.writer->sync(whole.requests);
  whole.run();
  const size_t proven = whole.disk.content(whole.first_segment()).size();
  whole.add_groups("two");
  const std::string bytes = whole.disk.content(whole.first_segment());
  for (size_t at = 0; at < bytes.size(); ++at) {
    World world;
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    ASSERT_TRUE(world.disk.create(world.first_segment()).ok());
    ASSERT_TRUE(world.disk.append(world.first_segment(), damaged).ok());
    TextTarget target;
    const auto result = world.recover_into(target);
    EXPECT_EQ(result.ok(), at >= proven) << at;
    EXPECT_EQ(target.text, result.ok() ? "(one)" : "") << at;
  }
}

TEST(Log, ARefusalSaysWhereAndWhatToDo) {
  World world;
  for (const char* batch : {"one ", "two ", "three "}) world.add_synced(batch);
  world.disk.flip_bit(world.first_segment(), SegmentHeader::kSize + RecordHeader::kSize + 6, 3);
  TextTarget target;
  const auto result = world.recover_into(target);
  ASSERT_FALSE(result.ok());
  const std::string detail(result.error().detail());
  EXPECT_NE(detail.find(world.first_segment()), std::string::npos) << detail;
  EXPECT_NE(detail.find("at byte 64"), std::string::npos) << detail;
  EXPECT_NE(detail.find("--log-repair cut"), std::string::npos) << detail;
  // Told to, it keeps what comes before.
  TextTarget again;
  const auto repaired =
      recover(world.disk,
              {.shard = 0, .partitions = 4, .on_damage = RecoveryOptions::OnDamage::kCut}, again);
  ASSERT_TRUE(repaired.ok());
  EXPECT_EQ(again.text, "");
  EXPECT_EQ(repaired.value().position.next_sequence, 1u);
}

TEST(Log, AMissingSegmentIsRefused) {
  World world;
  for (int segment = 0; segment < 3; ++segment) {
    world.add("x");
    world.writer->start_segment(world.requests);
    world.run();
  }
  ASSERT_TRUE(world.disk.remove(segment_name(0, 2)).ok());
  TextTarget target;
  EXPECT_FALSE(world.recover_into(target).ok());
}

TEST(Log, ASegmentWithoutItsSnapshotIsRefusedUnlessItWasStillAwaited) {
  for (const LogBase base : {LogBase::kFollows, LogBase::kAwaits}) {
    World world;
    ASSERT_TRUE(world.disk.remove(segment_name(0, 1)).ok());
    world.start({.log_id = 42, .next_sequence = 10, .chain = 5, .base = base}, {});
    world.add("x");
    TextTarget target;
    const auto result = world.recover_into(target);
    EXPECT_EQ(result.ok(), base == LogBase::kAwaits);
    if (!result.ok()) continue;
    EXPECT_FALSE(result.value().found_anything);
    EXPECT_FALSE(world.disk.has(segment_name(0, 10)));
  }
}

TEST(Log, AnotherNumberOfPartitionsIsRefused) {
  World world;
  world.add("x");
  TextTarget target;
  const auto result = recover(world.disk, {.shard = 0, .partitions = 8}, target);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
}

TEST(Log, AFullDiskLosesNothingThatIsTriedAgain) {
  World world;
  world.add_synced("one ");
  world.disk.set_capacity(world.disk.used() + 50);
  world.add("two ");
  world.add("three ");
  EXPECT_TRUE(world.writer->has_failed());
  EXPECT_FALSE(world.writer->must_stop());
  EXPECT_EQ(world.writer->written(), 1u);
  world.disk.heal();
  world.writer->retry(world.requests);
  world.run();
  EXPECT_FALSE(world.writer->has_failed());
  EXPECT_EQ(world.writer->written(), 3u);
  TextTarget target;
  ASSERT_TRUE(world.recover_into(target).ok());
  EXPECT_EQ(target.text, "one two three ");
}

// On a slow disk there would always be something under way, and nothing could be tried again.
TEST(Log, NothingMoreIsAskedOfADiskThatRefuses) {
  World world;
  world.add_synced("ab");
  world.disk.set_capacity(world.disk.used() + 10);
  world.add("does not fit");
  ASSERT_TRUE(world.writer->has_failed());
  const auto append = [&](std::string_view batch) {
    const LogEntry entry{.partition = 3, .term = 1, .index = 1, .batch = batch};
    world.writer->append({&entry, 1}, kTime, world.requests);
  };
  for (int round = 0; round < 2; ++round) {
    append("cd");
    world.writer->sync(world.requests);
    world.writer->start_segment(world.requests);
    EXPECT_TRUE(world.requests.empty());
    EXPECT_TRUE(world.writer->idle());
    // It is still full the first time.
    if (round == 1) world.disk.heal();
    world.writer->retry(world.requests);
    EXPECT_FALSE(world.requests.empty());
    world.run();
    EXPECT_EQ(world.writer->has_failed(), round == 0);
  }
  append("ef");
  world.writer->sync(world.requests);
  world.run();
  EXPECT_EQ(world.writer->synced(), world.writer->appended());
  TextTarget target;
  ASSERT_TRUE(world.recover_into(target).ok());
  EXPECT_EQ(target.text, "abdoes not fitcdcdef");
}

TEST(Log, AFailedSyncEndsTheProcess) {
  World world;
  world.disk.fail_next_sync();
  world.add_synced("one");
  EXPECT_TRUE(world.writer->must_stop());
  EXPECT_EQ(world.writer->synced(), 0u);
}

// The next process reads it from the system's cache; it is not on the disk and, being taken for
// written, does not get there by itself.
TEST(Log, WhatAFailedSyncHasLeftInTheCacheStaysOnceItWasRead) {
  World world;
  world.add_synced("one ");
  world.disk.fail_next_sync();
  world.add_synced("two ");
  ASSERT_TRUE(world.writer->must_stop());
  TextTarget target;
  const auto result = world.recover_into(target);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(target.text, "one two ");
  world.start(result.value().position, result.value().segments);
  world.add_synced("three ");
  world.disk.crash();
  TextTarget again;
  const auto recovered = world.recover_into(again);
  ASSERT_TRUE(recovered.ok()) << recovered.error().detail();
  EXPECT_EQ(again.text, "one two three ");
}

// The system drops it when it has been replayed and not yet written again.
class EvictingTarget final : public RecoveryTarget {
 public:
  explicit EvictingTarget(SimDisk& disk) : disk_(disk) {}
  void forget() override {}
  Status snapshot_begin(const SnapshotHeader&) override { return done(); }
  Status snapshot_groups(std::string_view) override { return done(); }
  Status snapshot_block(std::string_view) override { return done(); }
  Status record(const RecordHeader& header, std::span<const LogEntry>) override {
    if (header.sequence == 2) disk_.evict();
    return done();
  }
  Status group_record(const RecordHeader&, std::string_view) override { return done(); }

 private:
  SimDisk& disk_;
};

TEST(Log, WhatVanishesWhileItIsReadEndsTheStartAndChangesNothing) {
  World world;
  world.add_synced("one ");
  world.disk.fail_next_sync();
  world.add_synced("two ");
  EvictingTarget evicting(world.disk);
  const auto refused = recover(world.disk, {.shard = 0, .partitions = 4}, evicting);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kIo);
  TextTarget target;
  ASSERT_TRUE(world.recover_into(target).ok());
  EXPECT_EQ(target.text, "one ");
}

// A sync that fails in a start refuses it, and the next one writes all of it again.
TEST(Log, ASyncThatFailsInARecoveryLosesNothing) {
  World world;
  world.add_synced("one ");
  world.disk.fail_next_sync();
  world.add_synced("two ");
  world.disk.fail_next_sync();
  TextTarget refused;
  ASSERT_FALSE(world.recover_into(refused).ok());
  TextTarget target;
  ASSERT_TRUE(world.recover_into(target).ok());
  world.disk.crash();
  TextTarget again;
  ASSERT_TRUE(world.recover_into(again).ok());
  EXPECT_EQ(again.text, "one two ");
}

// Only what no record proves to be durable is written again, however long the segment is.
TEST(Log, RecordsThatAreProvenAreNotWrittenAgain) {
  World world;
  world.add_synced("one ");
  world.add_synced("two ");
  world.add_synced(std::string(3 << 20, 'x'));
  world.add_synced("four ");
  const std::string before = world.disk.content(world.first_segment());
  TextTarget target;
  ASSERT_TRUE(world.recover_into(target).ok());
  const size_t entry = 1 + 1 + 1 + 1 + 5;  // four numbers, "four "
  EXPECT_EQ(world.disk.rewritten(), RecordHeader::kSize + entry) << "records 1 to 3 are proven by record 4";
  EXPECT_EQ(world.disk.content(world.first_segment()), before);
}

// A full disk has taken a part of the header.  Nothing that was asked for behind it gets to the
// disk, so what is there is a segment that was being made.
TEST(Log, BehindAHeaderThatDidNotFitNothingIsWritten) {
  World world;
  world.add_synced("one ");
  world.disk.set_capacity(world.disk.used() + 10);
  world.writer->start_segment(world.requests);
  const LogEntry entry{.batch = "two "};
  world.writer->append({&entry, 1}, kTime, world.requests);
  DiskRequest behind = std::move(world.requests.back());
  world.requests.pop_back();
  for (DiskRequest& request : world.requests) (void)world.executor->execute(request);
  world.disk.heal();
  EXPECT_TRUE(world.executor->refuses(behind));
  EXPECT_FALSE(world.executor->execute(behind).status.ok());
  EXPECT_EQ(world.disk.content(segment_name(0, 2)).size(), 10u);
  TextTarget target;
  const auto result = world.recover_into(target);
  ASSERT_TRUE(result.ok()) << result.error().detail();
  EXPECT_EQ(target.text, "one ");
  EXPECT_EQ(result.value().position.next_sequence, 2u);
}

TEST(Log, OneSyncIsUnderWayAtATime) {
  World world;
  const LogEntry entry{.batch = "x"};
  world.writer->append({&entry, 1}, kTime, world.requests);
  world.writer->sync(world.requests);
  ASSERT_EQ(world.requests.size(), 2u);
  world.writer->append({&entry, 1}, kTime, world.requests);
  world.writer->sync(world.requests);
  ASSERT_EQ(world.requests.size(), 3u) << "the second sync waits for the first";
  world.run();
  EXPECT_EQ(world.writer->synced(), 2u);
}

TEST(Log, NamesAreReadStrictly) {
  EXPECT_EQ(segment_name(0, 0xa1), "shard0-00000000000000a1.log");
  EXPECT_EQ(snapshot_name(12, 1), "shard12-0000000000000001.snapshot");
  const auto parsed = parse_name("shard12-00000000000000ff.snapshot.tmp");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->kind, ParsedName::Kind::kTemporary);
  EXPECT_EQ(parsed->shard, 12u);
  EXPECT_EQ(parsed->sequence, 255u);
  for (const char* name : {"", "dump.rdb", "shard-0000000000000001.log", "shard0-1.log",
                           "shard01-0000000000000001.log", "shard0-000000000000000g.log",
                           "shard0-0000000000000001.log.damaged", "temp-1.rdb",
                           "shard0x0000000000000001.log", "shard9999999999-0000000000000001.log"}) {
    EXPECT_FALSE(parse_name(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace quorate

// Snapshots: golden bytes, damage, the order of their birth, and what recovery makes of each state.
#include "persist/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "persist/log_format.h"
#include "persist/log_writer.h"
#include "persist/recovery.h"
#include "tests/sim/sim_disk.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {
namespace {

// Of a file with an entry in parts.
constexpr uint64_t kGoldenHash = 8598681294857324229u;

const SnapshotHeader kHeader{.shard = 0,
                             .partitions = 4,
                             .log_id = 42,
                             .sequence = 5,
                             .chain = 6,
                             .unix_ms = 1700000000000,
                             .hash_seed = 7,
                             .positions = {{.partition = 1, .term = 2, .index = 300}}};

void run(DiskExecutor& executor, SnapshotWriter& writer, std::vector<DiskRequest>& requests) {
  while (!requests.empty()) {
    std::vector<DiskRequest> now;
    now.swap(requests);
    for (DiskRequest& request : now) writer.on_reply(executor.execute(request), requests);
  }
}

void write(SimDisk& disk, const std::vector<std::string>& entries, std::string_view groups = {}) {
  DiskExecutor executor(disk);
  SnapshotWriter writer;
  std::vector<DiskRequest> requests;
  writer.begin(kHeader, groups, requests);
  for (const std::string& entry : entries) {
    writer.block().append(entry);
    writer.end_entry(requests);
  }
  writer.finish(requests);
  run(executor, writer, requests);
  EXPECT_EQ(writer.state(), FileWriter::State::kDone);
}

Result<std::string> read(SimDisk& disk) {
  SnapshotReader reader(disk, snapshot_name(0, 5));
  TRY(reader.open());
  TRY(const std::string_view groups, reader.groups());
  std::string text;
  if (!groups.empty()) text = "[" + std::string(groups) + "]";
  while (true) {
    TRY(const auto payload, reader.next());
    if (!payload) return text;
    text += *payload;
  }
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

TEST(Snapshot, HasItsGoldenBytes) {
  SimDisk disk(1);
  write(disk, {"abc", "de"});
  EXPECT_EQ(hex(disk.content(snapshot_name(0, 5))),
            "515254534e4150035301000000000000350000000000000049faa2cb626d8f46b04b35b9520dfaa1"
            "00000000040000002a00000000000000050000000000000006000000000000000068e5cf8b010000"
            "0700000000000000010102ac0253020000020000000500000000000000ae815ef3c4484fe7f10ac9"
            "52a50adec661626364655303000000000000010000000000000025571f02d4847ec13514dee5ecc8"
            "d5a102");
}

TEST(Snapshot, WithGroupsHasItsGoldenBytes) {
  SimDisk disk(1);
  write(disk, {"abc"}, "xyz");
  EXPECT_EQ(hex(disk.content(snapshot_name(0, 5))),
            "515254534e4150045301000000000000350000000000000049faa2cb626d8f46b04b35b9520dfaa1"
            "00000000040000002a00000000000000050000000000000006000000000000000068e5cf8b010000"
            "0700000000000000010102ac02530400000000000003000000000000006a1a17ecebf330dc54b026"
            "3c5a525e3b78797a53020000010000000300000000000000b7c21f9e5d77c8c8797d3e2501ea1096"
            "61626353030000000000000100000000000000878c49b806f90bda80ee0df6b4b68aa501");
}

std::string unhex(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string bytes;
  for (size_t at = 0; at < text.size(); at += 2) {
    bytes.push_back(static_cast<char>(kDigits.find(text[at]) * 16 + kDigits.find(text[at + 1])));
  }
  return bytes;
}

// As older servers have written them.
TEST(Snapshot, FilesOfVersions1And2AreRead) {
  const std::string header =
      "5301000000000000350000000000000049faa2cb626d8f46b04b35b9520dfaa1"
      "00000000040000002a00000000000000050000000000000006000000000000000068e5cf8b010000"
      "0700000000000000010102ac02";
  const std::string alone = "515254534e415001" + header +
                            "53020000020000000500000000000000ae815ef3c4484fe7f10ac952a50adec66162636465"
                            "5303000000000000010000000000000025571f02d4847ec13514dee5ecc8d5a102";
  const std::string with_groups = "515254534e415002" + header +
                                  "530400000000000003000000000000006a1a17ecebf330dc54b0263c5a525e3b78797a"
                                  "53020000010000000300000000000000b7c21f9e5d77c8c8797d3e2501ea1096616263"
                                  "53030000000000000100000000000000878c49b806f90bda80ee0df6b4b68aa501";
  for (const auto& [file, expected] : {std::pair(alone, "abcde"), std::pair(with_groups, "[xyz]abc")}) {
    SimDisk disk(1);
    ASSERT_TRUE(disk.create(snapshot_name(0, 5)).ok());
    ASSERT_TRUE(disk.append(snapshot_name(0, 5), unhex(file)).ok());
    const auto text = read(disk);
    ASSERT_TRUE(text.ok()) << text.error().detail();
    EXPECT_EQ(text.value(), expected);
  }
}

struct Parts {
  size_t count = 0;
  size_t size = 0;
  std::string between = {};  // a whole entry behind each part but the last
};

std::string part_of(const Parts& parts, size_t number) {
  return std::string(parts.size, static_cast<char>('a' + number % 26));
}

// An entry that is written in parts, with a whole one on either side.
void write_in_parts(SimDisk& disk, const Parts& parts) {
  DiskExecutor executor(disk);
  SnapshotWriter writer;
  std::vector<DiskRequest> requests;
  writer.begin(kHeader, {}, requests);
  writer.block().append("<");
  writer.end_entry(requests);
  uint64_t entries = 3;
  for (size_t part = 0; part < parts.count; ++part) {
    writer.block().append(part_of(parts, part));
    EXPECT_LT(writer.waiting_bytes(), 2 * size_t{66'000} + parts.size + parts.between.size());
    if (part + 1 == parts.count) break;
    writer.end_part(requests);
    if (parts.between.empty()) continue;
    writer.between().append(parts.between);
    writer.end_between(requests);
    ++entries;
  }
  writer.end_entry(requests);
  writer.block().append(">");
  writer.end_entry(requests);
  EXPECT_EQ(writer.entries(), entries);
  writer.finish(requests);
  run(executor, writer, requests);
  EXPECT_EQ(writer.state(), FileWriter::State::kDone);
  EXPECT_EQ(writer.entries(), entries);
}

TEST(Snapshot, AnEntryInPartsComesBackWhole) {
  for (const size_t size : {size_t{1}, size_t{1000}, size_t{100'000}}) {
    SimDisk disk(1);
    const Parts parts{.count = 100, .size = size};
    write_in_parts(disk, parts);
    std::string expected = "<";
    for (size_t part = 0; part < parts.count; ++part) expected += part_of(parts, part);
    const auto text = read(disk);
    ASSERT_TRUE(text.ok()) << text.error().detail();
    EXPECT_EQ(text.value(), expected + ">");
  }
}

// Where the blocks of a file begin.
std::vector<size_t> block_places(std::string_view bytes) {
  std::vector<size_t> places;
  for (size_t at = 8; at < bytes.size(); at += 32 + load_little<uint64_t>(bytes.data() + at + 8)) places.push_back(at);
  return places;
}

std::string block_kinds(std::string_view bytes) {
  std::string kinds;
  for (const size_t place : block_places(bytes)) kinds += std::to_string(bytes[place + 1]);
  return kinds;
}

// They are read when they stand there; only the parts wait for each other.
TEST(Snapshot, WholeEntriesStandBetweenTheParts) {
  for (const size_t size : {size_t{10}, size_t{40'000}, size_t{70'000}}) {
    SimDisk disk(1);
    const Parts parts{.count = 10, .size = size, .between = std::string(30'000, '.')};
    write_in_parts(disk, parts);
    const auto text = read(disk);
    ASSERT_TRUE(text.ok()) << text.error().detail();
    std::string value;
    for (size_t part = 0; part < parts.count; ++part) value += part_of(parts, part);
    EXPECT_NE(text.value().find("<" + value), std::string::npos);
    EXPECT_EQ(text.value().size(), value.size() + 9 * parts.between.size() + 2);
    EXPECT_EQ(static_cast<size_t>(std::count(text.value().begin(), text.value().end(), '.')), 9 * parts.between.size());
    EXPECT_EQ(text.value().back(), '>');
  }
}

TEST(Snapshot, WithPartsHasItsGoldenBytes) {
  SimDisk disk(1);
  write_in_parts(disk, {.count = 4, .size = 70'000, .between = std::string(70'000, '.')});
  const std::string bytes = disk.content(snapshot_name(0, 5));
  EXPECT_EQ(bytes[7], 3);
  EXPECT_EQ(block_kinds(bytes), "15252526" "23");
  EXPECT_EQ(hash64(bytes, 0), kGoldenHash);
}

// Several large values follow each other: a reader keeps the parts of one at a time.
TEST(Snapshot, PartsEndWithTheirEntry) {
  SimDisk disk(1);
  DiskExecutor executor(disk);
  SnapshotWriter writer;
  std::vector<DiskRequest> requests;
  writer.begin(kHeader, {}, requests);
  for (int entry = 0; entry < 3; ++entry) {
    for (int part = 0; part < 3; ++part) {
      writer.block().append(std::string(40'000, 'x'));
      if (part < 2) writer.end_part(requests);
    }
    writer.end_entry(requests);
  }
  writer.finish(requests);
  run(executor, writer, requests);
  EXPECT_EQ(block_kinds(disk.content(snapshot_name(0, 5))), "1565656" "3");
  ASSERT_TRUE(read(disk).ok());
}

TEST(Snapshot, PartsAreRefusedInAnOldVersionAndWithoutTheirEnd) {
  SimDisk disk(1);
  write_in_parts(disk, {.count = 4, .size = 70'000});
  const std::string file = snapshot_name(0, 5);
  const std::string bytes = disk.content(file);
  const std::vector<size_t> places = block_places(bytes);
  ASSERT_EQ(block_kinds(bytes), "1555623");
  disk.flip_bit(file, 7, 1);  // 3 to 1
  EXPECT_FALSE(read(disk).ok());
  disk.flip_bit(file, 7, 1);
  ASSERT_TRUE(read(disk).ok());
  for (const size_t place : places) {
    ASSERT_TRUE(disk.truncate(file, place).ok());
    EXPECT_FALSE(read(disk).ok()) << place;
    ASSERT_TRUE(disk.append(file, std::string_view(bytes).substr(place)).ok());
  }
  for (size_t at = 0; at < places[2]; at += 1009) {
    disk.flip_bit(file, at, 3);
    EXPECT_FALSE(read(disk).ok()) << at;
    disk.flip_bit(file, at, 3);
  }
}

// A file of blocks of these kinds, with checksums that are right; each but parts without an end holds one entry.
std::string file_of_blocks(std::string_view kinds) {
  SimDisk disk(1);
  write(disk, {});
  const std::string empty = disk.content(snapshot_name(0, 5));
  std::string file = empty.substr(0, 8);
  uint64_t chain = 0x736e617063686169;
  uint64_t entries = 0;
  for (const char kind : kinds) {
    std::string payload = "entry";
    uint32_t ends = kind == '2' || kind == '6' ? 1 : 0;
    if (kind == '1') payload = empty.substr(8 + 32, load_little<uint64_t>(empty.data() + 8 + 8));
    if (kind == '3') payload = std::string(1, static_cast<char>(entries));
    entries += ends;
    chain = hash64(payload, chain);
    std::string head(32, '\0');
    head[0] = 'S';
    head[1] = static_cast<char>(kind - '0');
    store_little<uint32_t>(head.data() + 4, ends);
    store_little<uint64_t>(head.data() + 8, payload.size());
    store_little<uint64_t>(head.data() + 16, chain);
    store_little<uint64_t>(head.data() + 24, hash64({head.data(), 24}, 0x736e6170626c6f63));
    file += head + payload;
  }
  return file;
}

// Of files whose checksums are right: what their blocks say of themselves does not fit together.
TEST(Snapshot, PartsInTheWrongOrderAreRefused) {
  for (const auto& [kinds, is_right] : {std::pair("12563", true), std::pair("15263", true), std::pair("15623", true),
                                        std::pair("163", false), std::pair("1263", false), std::pair("15663", false),
                                        std::pair("153", false), std::pair("1523", false), std::pair("15643", false),
                                        std::pair("173", false), std::pair("15", false)}) {
    SimDisk disk(1);
    ASSERT_TRUE(disk.create(snapshot_name(0, 5)).ok());
    ASSERT_TRUE(disk.append(snapshot_name(0, 5), file_of_blocks(kinds)).ok());
    EXPECT_EQ(read(disk).ok(), is_right) << kinds;
  }
}

TEST(Snapshot, GroupsComeBackBeforeTheEntries) {
  for (const bool has_entries : {true, false}) {
    SimDisk disk(1);
    const std::string groups(1 << 20, 'g');
    write(disk, has_entries ? std::vector<std::string>{"abc"} : std::vector<std::string>{}, groups);
    const auto text = read(disk);
    ASSERT_TRUE(text.ok());
    EXPECT_EQ(text.value(), "[" + groups + "]" + (has_entries ? "abc" : ""));
  }
}

TEST(Snapshot, EveryFlippedBitAndEveryCutOfOneWithGroupsIsRefused) {
  SimDisk disk(1);
  write(disk, {"abc", "de"}, "groups");
  const std::string file = snapshot_name(0, 5);
  const std::string bytes = disk.content(file);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    disk.flip_bit(file, bit / 8, static_cast<int>(bit % 8));
    EXPECT_FALSE(read(disk).ok()) << bit;
    disk.flip_bit(file, bit / 8, static_cast<int>(bit % 8));
  }
  for (size_t size = bytes.size(); size-- > 0;) {
    ASSERT_TRUE(disk.truncate(file, size).ok());
    EXPECT_FALSE(read(disk).ok()) << size;
  }
}

// The version says whether there is a block of groups, and the other way round.
TEST(Snapshot, AVersionThatDoesNotFitTheBlocksIsRefused) {
  for (const bool has_groups : {true, false}) {
    SimDisk disk(1);
    write(disk, {"abc"}, has_groups ? "groups" : "");
    for (const int bit : {0, 1, 2}) disk.flip_bit(snapshot_name(0, 5), 7, bit);
    const auto text = read(disk);
    ASSERT_FALSE(text.ok());
    EXPECT_EQ(text.error().code(), ErrorCode::kCorrupt);
  }
}

TEST(Snapshot, AHeldOneGetsItsNameOnlyWhenItIsPublished) {
  enum class When { kBeforeTheEnd, kBehindIt, kNever };
  for (const When when : {When::kBeforeTheEnd, When::kBehindIt, When::kNever}) {
    SimDisk disk(1);
    DiskExecutor executor(disk);
    SnapshotWriter writer;
    std::vector<DiskRequest> requests;
    writer.begin(kHeader, "groups", requests);
    writer.hold();
    if (when == When::kBeforeTheEnd) writer.publish(requests);
    writer.finish(requests);
    run(executor, writer, requests);
    if (when != When::kBeforeTheEnd) {
      EXPECT_EQ(writer.state(), FileWriter::State::kWritten);
      EXPECT_FALSE(disk.has(snapshot_name(0, 5)));
      EXPECT_TRUE(disk.has(snapshot_name(0, 5) + ".tmp"));
    }
    if (when == When::kBehindIt) writer.publish(requests);
    if (when == When::kNever) writer.abort(requests);
    run(executor, writer, requests);
    disk.crash();
    EXPECT_EQ(disk.has(snapshot_name(0, 5)), when != When::kNever);
    EXPECT_FALSE(disk.has(snapshot_name(0, 5) + ".tmp") && when != When::kNever);
    EXPECT_EQ(writer.state(),
              when == When::kNever ? FileWriter::State::kIdle : FileWriter::State::kDone);
  }
}

// Also while its last sync is under way; and the writer is good for another file at once.
TEST(Snapshot, AHeldOneCanBeGivenUpAtAnyTime) {
  for (size_t steps = 0; steps <= 6; ++steps) {
    SimDisk disk(1);
    DiskExecutor executor(disk);
    SnapshotWriter writer;
    std::vector<DiskRequest> requests;
    writer.begin(kHeader, "groups", requests);
    writer.hold();
    writer.finish(requests);
    const size_t taken = std::min(steps, requests.size());
    std::vector<DiskRequest> rest;
    for (size_t index = 0; index < requests.size(); ++index) {
      if (index < taken) {
        writer.on_reply(executor.execute(requests[index]), rest);
      } else {
        rest.push_back(std::move(requests[index]));
      }
    }
    writer.abort(rest);
    EXPECT_EQ(writer.state(), FileWriter::State::kIdle);
    SnapshotHeader next = kHeader;
    next.sequence = 9;
    writer.begin(next, {}, rest);
    writer.finish(rest);
    run(executor, writer, rest);
    EXPECT_EQ(writer.state(), FileWriter::State::kDone) << steps;
    EXPECT_EQ(disk.list().value(), std::vector<std::string>{snapshot_name(0, 9)}) << steps;
  }
}

TEST(Snapshot, ComesBackInBlocks) {
  SimDisk disk(1);
  std::vector<std::string> entries;
  std::string all;
  for (int index = 0; index < 1000; ++index) {
    entries.push_back(std::string(1000, static_cast<char>('a' + index % 26)));
    all += entries.back();
  }
  write(disk, entries);
  const auto text = read(disk);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text.value(), all);
}

TEST(Snapshot, EveryFlippedBitAndEveryCutIsRefused) {
  SimDisk disk(1);
  write(disk, {"abc", "de"});
  const std::string file = snapshot_name(0, 5);
  const std::string bytes = disk.content(file);
  for (size_t at = 0; at < bytes.size(); ++at) {
    disk.flip_bit(file, at, static_cast<int>(at % 8));
    EXPECT_FALSE(read(disk).ok()) << at;
    disk.flip_bit(file, at, static_cast<int>(at % 8));
  }
  for (size_t size = bytes.size(); size-- > 0;) {
    ASSERT_TRUE(disk.truncate(file, size).ok());
    EXPECT_FALSE(read(disk).ok()) << size;
  }
}

TEST(Snapshot, BytesBehindTheFooterAreRefused) {
  SimDisk disk(1);
  write(disk, {"abc"});
  ASSERT_TRUE(disk.append(snapshot_name(0, 5), "x").ok());
  EXPECT_FALSE(read(disk).ok());
}

TEST(Snapshot, AFullDiskLeavesNothingBehind) {
  SimDisk disk(1);
  disk.set_capacity(50);
  DiskExecutor executor(disk);
  SnapshotWriter writer;
  std::vector<DiskRequest> requests;
  writer.begin(kHeader, {}, requests);
  run(executor, writer, requests);
  ASSERT_EQ(writer.state(), FileWriter::State::kFailed);
  EXPECT_EQ(writer.outcome().error().code(), ErrorCode::kNoSpace);
  writer.abort(requests);
  run(executor, writer, requests);
  EXPECT_TRUE(disk.list().value().empty());
}

class NullTarget final : public RecoveryTarget {
 public:
  void forget() override {}
  Status snapshot_begin(const SnapshotHeader&) override { return done(); }
  Status snapshot_groups(std::string_view) override { return done(); }
  Status snapshot_block(std::string_view) override { return done(); }
  Status record(const RecordHeader&, std::span<const LogEntry>) override { return done(); }
  Status group_record(const RecordHeader&, std::string_view) override { return done(); }
};

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


TEST(Snapshot, RecoveryHandsTheGroupsOverOnce) {
  SimDisk disk(1);
  write(disk, {"abc"}, "groups");
  TextTarget target;
  ASSERT_TRUE(recover(disk, {.shard = 0, .partitions = 4}, target).ok());
  EXPECT_EQ(target.text, "[groups]abc");
}

TEST(Snapshot, RecoveryGoesOnWhereItStandsAndCleansUp) {
  SimDisk disk(1);
  write(disk, {"abc"});
  ASSERT_TRUE(disk.create(snapshot_name(0, 9) + ".tmp").ok());
  ASSERT_TRUE(disk.create("dump.rdb").ok());
  NullTarget target;
  const auto result = recover(disk, {.shard = 0, .partitions = 4}, target);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.value().found_anything);
  EXPECT_EQ(result.value().position.next_sequence, 5u);
  EXPECT_EQ(result.value().position.chain, 6u);
  EXPECT_EQ(result.value().hash_seed, 7u);
  EXPECT_EQ(log_identity(disk, 0, 3).hash_seed, 7u);
  EXPECT_FALSE(disk.has(snapshot_name(0, 9) + ".tmp"));
  EXPECT_TRUE(disk.has("dump.rdb")) << "not ours to remove";
}

// Segments that hold the records from `first` up to and without `end`, and go on in another.
void write_log(SimDisk& disk, uint64_t first, uint64_t end, LogBase base) {
  DiskExecutor executor(disk);
  LogWriter writer({.shard = 0, .partitions = 4},
                   {.log_id = 42, .next_sequence = first, .base = base}, {});
  std::vector<DiskRequest> requests;
  const auto run_all = [&] {
    while (!requests.empty()) {
      std::vector<DiskRequest> now;
      now.swap(requests);
      for (DiskRequest& request : now) writer.on_reply(executor.execute(request), requests);
    }
  };
  writer.start_segment(requests);
  while (writer.position().next_sequence < end) {
    const LogEntry entry{.batch = "x"};
    writer.append({&entry, 1}, 1700000000000, requests);
  }
  writer.start_segment(requests);
  run_all();
}

TEST(Snapshot, ADamagedOneIsNotNeededWhereTheLogBeginsWithNothingAndReachesIt) {
  SimDisk disk(1);
  write(disk, {"abc"});
  disk.flip_bit(snapshot_name(0, 5), 150, 1);
  write_log(disk, 1, 5, LogBase::kEmpty);
  TextTarget target;
  const auto result = recover(disk, {.shard = 0, .partitions = 4}, target);
  ASSERT_TRUE(result.ok()) << result.error().detail();
  EXPECT_EQ(target.text, "xxxx");
  EXPECT_EQ(result.value().snapshot_sequence, 0u);
  EXPECT_FALSE(disk.has(snapshot_name(0, 5)));
  EXPECT_TRUE(disk.has(snapshot_name(0, 5) + ".damaged"));
}

TEST(Snapshot, ADamagedOneIsMissedWhereTheLogBeginsBehindSomethingOrEndsBeforeIt) {
  struct Case {
    uint64_t first, end;
    LogBase base;
  };
  for (const Case& each : {Case{1, 4, LogBase::kEmpty}, Case{2, 5, LogBase::kFollows},
                           Case{5, 5, LogBase::kFollows}, Case{1, 5, LogBase::kAwaits}}) {
    SimDisk disk(1);
    write(disk, {"abc"});
    disk.flip_bit(snapshot_name(0, 5), 150, 1);
    write_log(disk, each.first, each.end, each.base);
    TextTarget target;
    const auto result = recover(disk, {.shard = 0, .partitions = 4}, target);
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().detail().find("Restore the directory from a copy"), std::string::npos)
        << result.error().detail();
    EXPECT_TRUE(disk.has(snapshot_name(0, 5)));
  }
}

// ---- whose log it is ------------------------------------------------------------------------------

// Writes what `body` says, a letter a step: t a turn, g groups, s another segment.
void write_steps(SimDisk& disk, std::string_view steps, uint64_t first, LogBase base) {
  DiskExecutor executor(disk);
  LogWriter writer({.shard = 0, .partitions = 4},
                   {.log_id = 42, .next_sequence = first, .base = base}, {});
  std::vector<DiskRequest> requests;
  writer.start_segment(requests);
  for (const char step : steps) {
    const LogEntry entry{.batch = "x"};
    if (step == 't') writer.append({&entry, 1}, 1700000000000, requests);
    if (step == 'g') writer.append_groups("x", 1700000000000, requests);
    if (step == 's') writer.start_segment(requests);
  }
  while (!requests.empty()) {
    std::vector<DiskRequest> now;
    now.swap(requests);
    for (DiskRequest& request : now) writer.on_reply(executor.execute(request), requests);
  }
}

TEST(LogOwner, IsToldByTheFirstRecordsOfSegments) {
  struct Row {
    const char* steps;
    LogOwner owner;
  };
  for (const Row& row : {Row{"", LogOwner::kNobody}, Row{"t", LogOwner::kAlone},
                         Row{"ts", LogOwner::kAlone}, Row{"g", LogOwner::kCompany},
                         Row{"tttg", LogOwner::kCompany}, Row{"tgs", LogOwner::kCompany},
                         Row{"tgsgggs", LogOwner::kCompany}}) {
    SimDisk disk(1);
    write_steps(disk, row.steps, 1, LogBase::kEmpty);
    const auto owner = log_owner(disk, 0);
    ASSERT_TRUE(owner.ok());
    EXPECT_EQ(owner.value(), row.owner) << row.steps;
  }
}

TEST(LogOwner, IsToldByASnapshot) {
  for (const bool has_groups : {false, true}) {
    SimDisk disk(1);
    write(disk, {"abc"}, has_groups ? "groups" : "");
    write_steps(disk, "", 5, LogBase::kFollows);
    const auto owner = log_owner(disk, 0);
    ASSERT_TRUE(owner.ok());
    EXPECT_EQ(owner.value(), has_groups ? LogOwner::kCompany : LogOwner::kAlone);
  }
}

// The node was founding a cluster beside an old log, and its first snapshot was not finished.
TEST(LogOwner, ALogThatWaitsForItsSnapshotDoesNotCount) {
  SimDisk disk(1);
  write_steps(disk, "tt", 1, LogBase::kEmpty);
  write_steps(disk, "gg", 9, LogBase::kAwaits);
  const auto owner = log_owner(disk, 0);
  ASSERT_TRUE(owner.ok());
  EXPECT_EQ(owner.value(), LogOwner::kAlone);
}

TEST(Snapshot, ADamagedOneIsRefusedWhenThereIsNoOther) {
  SimDisk disk(1);
  write(disk, {"abc"});
  disk.flip_bit(snapshot_name(0, 5), 100, 1);
  NullTarget target;
  const auto result = recover(disk, {.shard = 0, .partitions = 4}, target);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace quorate

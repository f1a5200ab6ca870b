// Logs of which some bytes were changed, and any bytes as a log: recovery refuses, or gives back a
// beginning of what was written.  Bodies of records with a right checksum and any content are only
// ever errors.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "persist/log_reader.h"
#include "persist/log_writer.h"
#include "persist/recovery.h"
#include "tests/sim/sim_disk.h"
#include "util/check.h"

namespace quorate {
namespace {

class Collector final : public RecoveryTarget {
 public:
  void forget() override {}
  Status snapshot_begin(const SnapshotHeader&) override { return done(); }
  Status snapshot_groups(std::string_view) override { return done(); }
  Status snapshot_block(std::string_view) override { return done(); }
  Status record(const RecordHeader&, std::span<const LogEntry> entries) override {
    for (const LogEntry& entry : entries) text += entry.batch;
    return done();
  }
  Status group_record(const RecordHeader&, std::string_view body) override {
    text += body;
    return done();
  }
  std::string text;
};

void try_raw(std::string_view bytes) {
  SimDisk disk(1);
  CHECK(disk.create(segment_name(0, 1)).ok());
  CHECK(disk.append(segment_name(0, 1), bytes).ok());
  Collector collector;
  const auto result = recover(disk, {.shard = 0, .partitions = 4}, collector);
  (void)result;
  std::vector<LogEntry> entries;
  if (parse_entries(bytes, entries)) CHECK(entries.size() <= bytes.size());
}

// The bytes are a plan: lengths of records with a roll-over now and then, then places to damage.
void try_damaged(std::string_view plan) {
  SimDisk disk(1);
  DiskExecutor executor(disk);
  LogWriter writer({.shard = 0, .partitions = 4}, {.log_id = 9}, {});
  std::vector<DiskRequest> requests;
  const auto carry_out = [&] {
    while (!requests.empty()) {
      std::vector<DiskRequest> now;
      now.swap(requests);
      for (DiskRequest& request : now) writer.on_reply(executor.execute(request), requests);
    }
  };
  writer.start_segment(requests);
  carry_out();
  std::string written;
  bool has_groups = false;
  size_t at = 1;
  const size_t records = static_cast<uint8_t>(plan[0]) % 16;
  for (size_t record = 0; record < records && at < plan.size(); ++record, ++at) {
    const auto shape = static_cast<uint8_t>(plan[at]);
    const std::string batch(1 + shape % 64u, static_cast<char>('a' + record));
    const LogEntry entry{.partition = shape % 4u, .term = shape, .index = record, .batch = batch};
    // It never turns back from groups to turns.
    has_groups = has_groups || (shape & 0x20) != 0;
    if (has_groups) {
      writer.append_groups(batch, 1000, requests);
    } else {
      writer.append({&entry, 1}, 1000, requests);
    }
    written += batch;
    if (shape & 0x40) writer.sync(requests);
    if (shape & 0x80) writer.start_segment(requests);
    carry_out();
  }
  const auto files = disk.list();
  for (; at + 2 < plan.size(); at += 3) {
    const std::string& file = files.value()[static_cast<uint8_t>(plan[at]) % files.value().size()];
    const size_t size = disk.content(file).size();
    const auto place = static_cast<size_t>(static_cast<uint8_t>(plan[at + 1])) * 7;
    if (size > 0) disk.flip_bit(file, place % size, static_cast<uint8_t>(plan[at + 2]) % 8);
  }
  Collector collector;
  const auto result = recover(disk, {.shard = 0, .partitions = 4}, collector);
  CHECK(std::string_view(written).starts_with(collector.text));
  if (result.ok()) {
    // What recovery leaves behind is whole.
    Collector again;
    CHECK(recover(disk, {.shard = 0, .partitions = 4}, again).ok());
    CHECK(again.text == collector.text);
  }
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  quorate::try_damaged(bytes);
  quorate::try_raw(bytes.substr(1));
  return 0;
}

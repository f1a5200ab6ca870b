// Any bytes as a snapshot file, and as the entries of a block whose checksum is right: an error or
// keys, never a crash.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "node/snapshot_job.h"
#include "persist/disk.h"
#include "persist/log_format.h"
#include "persist/snapshot.h"
#include "store/loader.h"
#include "store/partition_sum.h"
#include "tests/sim/sim_disk.h"
#include "util/check.h"

namespace quorate {
namespace {

const StoreSettings kSettings;

// Values of a few elements have the forms of large ones, which snapshots take in pieces.
StoreSettings settings_for_pieces() {
  StoreSettings settings;
  settings.pieces_from = 4;
  settings.hash_max_listpack_entries = 3;
  settings.set_max_intset_entries = 3;
  settings.set_max_listpack_entries = 3;
  settings.zset_max_listpack_entries = 3;
  return settings;
}
const StoreSettings kPieces = settings_for_pieces();

void try_file(std::string_view bytes) {
  SimDisk disk(1);
  CHECK(disk.create("file").ok());
  CHECK(disk.append("file", bytes).ok());
  SnapshotReader reader(disk, "file");
  if (!reader.open().ok() || !reader.groups().ok()) return;
  while (true) {
    const auto block = reader.next();
    if (!block.ok() || !block.value()) return;
  }
}

void try_block(std::string_view bytes) {
  Store store({.databases = 4, .partitions = 2}, kSettings);
  store.set_replaying(true);
  Loader loader(store);
  const Status loaded = load_snapshot_block(bytes, store, loader);
  if (!loaded.ok() || !loader.flush().ok()) return;
  size_t keys = 0;
  for (int index = 0; index < store.database_count(); ++index) keys += store.database(index).size();
  CHECK(keys == loader.loaded());
}

Hash128 sum_of_all(const Store& store) {
  Hash128 sum{};
  for (int index = 0; index < store.database_count(); ++index) {
    store.database(index).for_each([&](const Entry* entry) { sum += sum_of(index, *entry); });
  }
  return sum;
}

// What could be loaded comes back from a snapshot in pieces.
void try_pieces(std::string_view bytes) {
  Store store({.databases = 4, .partitions = 2}, kPieces);
  store.set_replaying(true);
  Loader loader(store);
  if (!load_snapshot_block(bytes, store, loader).ok() || !loader.flush().ok()) return;
  SimDisk disk(1);
  DiskExecutor executor(disk);
  SnapshotJob job(store);
  job.begin_log({.partitions = 2, .log_id = 1, .sequence = 1, .positions = {}});
  std::vector<DiskRequest> requests;
  while (job.state() == SnapshotJob::State::kRunning) {
    job.step(1);
    for (job.drain(requests); !requests.empty(); job.drain(requests)) {
      for (DiskRequest& request : std::exchange(requests, {})) job.on_reply(executor.execute(request));
    }
  }
  CHECK(job.state() == SnapshotJob::State::kDone);
  Store copy({.databases = 4, .partitions = 2}, kPieces);
  copy.set_replaying(true);
  Loader copy_loader(copy);
  SnapshotReader reader(disk, snapshot_name(0, 1));
  CHECK(reader.open().ok());
  while (true) {
    const auto block = reader.next();
    CHECK(block.ok());
    if (!block.value()) break;
    CHECK(load_snapshot_block(*block.value(), copy, copy_loader).ok());
  }
  CHECK(copy_loader.flush().ok());
  CHECK(copy_loader.loaded() == loader.loaded());
  CHECK(sum_of_all(copy) == sum_of_all(store));
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  quorate::try_file(bytes);
  quorate::try_block(bytes);
  quorate::try_pieces(bytes);
  return 0;
}

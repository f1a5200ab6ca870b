// Any bytes as a snapshot file, and as the entries of a block whose checksum is right: an error or
// keys, never a crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "persist/log_format.h"
#include "persist/snapshot.h"
#include "store/loader.h"
#include "tests/sim/sim_disk.h"
#include "util/check.h"

namespace quorate {
namespace {

const StoreSettings kSettings;

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

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  quorate::try_file(bytes);
  quorate::try_block(bytes);
  return 0;
}

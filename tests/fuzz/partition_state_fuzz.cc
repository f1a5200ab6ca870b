// Any bytes as the state of a partition, and as the entries of one whose hashes are right: an error that changes
// nothing, or a partition that is written and read again as the same keys.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "store/partition_state.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {
namespace {

const StoreSettings kSettings;
constexpr Store::Options kOptions{.databases = 3, .partitions = 2};

size_t keys_of(const Store& store) {
  size_t keys = 0;
  for (int index = 0; index < store.database_count(); ++index) keys += store.database(index).size();
  return keys;
}

bool try_state(std::string_view bytes, uint32_t partition) {
  Store store(kOptions, kSettings);
  if (!install_partition(store, partition, bytes).ok()) {
    CHECK(keys_of(store) == 0);
    return false;
  }
  Buffer again;
  encode_partition(store, partition, again);
  Store other(kOptions, kSettings);
  CHECK(check_partition(store, partition, again.view()).ok());
  CHECK(install_partition(other, partition, again.view()).ok());
  CHECK(keys_of(other) == keys_of(store));
  return true;
}

// `keys` of them, all in database 0.
std::string with_entries(std::string_view entries, uint32_t partition, uint64_t keys) {
  Buffer out;
  append_varint(out, 1);
  append_varint(out, kOptions.partitions);
  append_varint(out, partition);
  append_little<int64_t>(out, 0);
  append_little<uint64_t>(out, 0);
  append_varint(out, 1);
  append_varint(out, 0);
  append_varint(out, keys);
  const uint64_t head = hash64(out.view(), 0x7061727473746174);
  append_little<uint64_t>(out, head);
  append_little<uint64_t>(out, entries.size());
  out.append(entries);
  append_little<uint64_t>(out, hash64(entries, head));
  append_little<uint64_t>(out, 0);
  return std::string(out.view());
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const uint32_t partition : {0u, 1u}) {
    quorate::try_state(bytes, partition);
    for (const uint64_t keys : {1u, 2u, 3u}) {
      if (quorate::try_state(quorate::with_entries(bytes, partition, keys), partition)) break;
    }
  }
  return 0;
}

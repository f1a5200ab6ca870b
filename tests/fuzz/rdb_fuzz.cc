// Any bytes as an RDB value and as an RDB file: an error or a value, never a crash or memory that
// the bytes cannot justify.  A value that was read is written, read again, and is the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "store/codec.h"
#include "store/rdb/file.h"
#include "store/value.h"
#include "util/check.h"

namespace {

using quorate::Buffer;
using quorate::Entry;
using quorate::Result;
using quorate::Status;
namespace rdb = quorate::rdb;

const quorate::StoreSettings kSettings;

std::string payload_of(const Entry& entry) {
  Buffer out;
  quorate::encode_payload(entry, kSettings, out);
  return std::string(out.view());
}

void check_same(const Entry& entry) {
  const std::string payload = payload_of(entry);
  Result<Entry*> again = quorate::decode_payload(payload, "key", quorate::kNever, kSettings);
  CHECK(again.ok());
  CHECK(again.value()->type() == entry.type());
  CHECK(quorate::value_size(*again.value()) == quorate::value_size(entry));
  // Large tables come back in another order, so only the size can be compared at once.
  CHECK(payload_of(*again.value()).size() == payload.size() || quorate::value_size(entry) > 100);
  quorate::destroy_entry(again.value());
}

// The first byte chooses the version, the second is the type, the rest the value.
void try_value(std::string_view bytes) {
  if (bytes.size() < 2) return;
  static constexpr int kVersions[] = {6, 9, 10, 11, 12, 80};
  const int version = kVersions[static_cast<uint8_t>(bytes[0]) % 6];
  rdb::MemoryInput input(bytes.substr(2));
  Result<Entry*> decoded = quorate::decode_value(input, static_cast<uint8_t>(bytes[1]), version,
                                                 "key", quorate::kNever, kSettings);
  if (!decoded.ok() || decoded.value() == nullptr) return;
  check_same(*decoded.value());
  quorate::destroy_entry(decoded.value());
}

class Reader final : public rdb::StreamInput::Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  Status read(uint64_t offset, size_t count, Buffer& out) override {
    out.append(bytes_.substr(static_cast<size_t>(offset), count));
    return quorate::done();
  }

 private:
  std::string_view bytes_;
};

void try_file(std::string_view bytes) {
  quorate::Store store({.databases = 4, .partitions = 2}, kSettings);
  Reader reader(bytes);
  rdb::StreamInput input(reader, bytes.size());
  const auto report = rdb::load_file(input, store, 1000);
  if (!report.ok()) return;
  size_t keys = 0;
  for (int index = 0; index < store.database_count(); ++index) keys += store.database(index).size();
  CHECK(keys == report.value().keys);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with("REDIS") || bytes.starts_with("VALKEY")) {
    try_file(bytes);
  } else {
    try_value(bytes);
  }
  return 0;
}

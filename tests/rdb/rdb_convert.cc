// rdb_convert IN OUT [VERSION]: reads an RDB file into a store and writes the store as another RDB
// file.  For rdb_compat.py, which lets the real redis-server judge both.  Prints what the reader
// reports.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "node/store_recovery.h"
#include "tests/sim/sim_disk.h"
#include "util/number.h"

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr, "usage: rdb_convert IN OUT [VERSION]\n");
    return 2;
  }
  std::ifstream in(words[1], std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  quorate::SimDisk disk(1);
  quorate::StoreSettings settings;
  const auto version = quorate::parse_int(count > 3 ? words[3] : "10");
  settings.rdb_version = static_cast<int>(version.value_or(10));
  quorate::Store store({}, settings);
  if (!disk.create("in").ok() || !disk.append("in", bytes).ok()) return 1;
  constexpr int64_t kNow = 1700000000000;
  const auto report = quorate::load_rdb_file(disk, "in", store, kNow);
  if (!report.ok()) {
    std::printf("refused: %s\n", std::string(report.error().detail()).c_str());
    return 1;
  }
  for (const std::string& warning : report.value().warnings)
    std::printf("warning: %s\n", warning.c_str());
  std::printf("version %d, %llu keys, %llu expired, %llu empty\n", report.value().version,
              static_cast<unsigned long long>(report.value().keys),
              static_cast<unsigned long long>(report.value().expired),
              static_cast<unsigned long long>(report.value().empty));
  const auto written =
      quorate::write_rdb_now(disk, store, "out", {.version = settings.rdb_version, .now = kNow});
  if (!written.ok()) return 1;
  std::ofstream out(words[2], std::ios::binary);
  const std::string converted = disk.content("out");
  out.write(converted.data(), static_cast<std::streamsize>(converted.size()));
  return out.good() ? 0 : 1;
}

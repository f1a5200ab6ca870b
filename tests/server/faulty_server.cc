// quorate-server over a disk that fails when it is told to: the file named by QUORATE_FAULTS holds words
// "append:full", "append:io", "sync:io", "create:full" ...; an empty or missing file means a healthy disk.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/file_disk.h"
#include "server/options.h"
#include "server/server.h"

namespace {

using quorate::Buffer;
using quorate::Error;
using quorate::ErrorCode;
using quorate::Result;
using quorate::Status;

class FaultyDisk : public quorate::Disk {
 public:
  explicit FaultyDisk(const quorate::DataDirectory& directory) : disk_(directory) {}

  Result<std::vector<std::string>> list() override { return disk_.list(); }
  Result<uint64_t> size(std::string_view file) override { return disk_.size(file); }
  Status read(std::string_view file, uint64_t offset, size_t count, Buffer& out) override {
    return disk_.read(file, offset, count, out);
  }
  Status create(std::string_view file) override {
    const Status fault = fault_of("create");
    return fault.ok() ? disk_.create(file) : named(fault, "create", file);
  }
  Status append(std::string_view file, std::string_view bytes) override {
    const Status fault = fault_of("append");
    if (fault.ok()) return disk_.append(file, bytes);
    (void)disk_.append(file, bytes.substr(0, bytes.size() / 2));  // a full disk takes what it can
    return named(fault, "write", file);
  }
  Status rewrite(std::string_view file, uint64_t offset, std::string_view bytes) override {
    return disk_.rewrite(file, offset, bytes);
  }
  Status truncate(std::string_view file, uint64_t size) override { return disk_.truncate(file, size); }
  Status sync(std::string_view file) override {
    const Status fault = fault_of("sync");
    return fault.ok() ? disk_.sync(file) : named(fault, "sync", file);
  }
  Status rename(std::string_view from, std::string_view to) override { return disk_.rename(from, to); }
  Status remove(std::string_view file) override { return disk_.remove(file); }
  Status sync_directory() override { return disk_.sync_directory(); }

 private:
  static Status named(const Status& fault, std::string_view operation, std::string_view file) {
    return Error(fault.error().code(), std::string(operation) + " " + std::string(file) + ": as asked for");
  }
  static Status fault_of(std::string_view operation) {
    const char* path = std::getenv("QUORATE_FAULTS");
    if (path == nullptr) return quorate::done();
    std::ifstream file(path);
    std::string word;
    while (file >> word) {
      if (word == std::string(operation) + ":full") return ErrorCode::kNoSpace;
      if (word == std::string(operation) + ":io") return ErrorCode::kIo;
    }
    return quorate::done();
  }
  quorate::FileDisk disk_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto options = quorate::read_command_line(args);
  if (!options.ok()) return 1;
  quorate::Server server(
      [](const quorate::DataDirectory& directory) { return std::make_unique<FaultyDisk>(directory); });
  const Status configured = server.configure(options.value());
  if (!configured.ok()) {
    std::fprintf(stderr, "%s\n", std::string(configured.error().detail()).c_str());
    return 1;
  }
  return server.serve("quorate-faulty-server");
}

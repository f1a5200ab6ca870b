// A disk under a process that ends in the middle of what it does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "persist/disk.h"

namespace quorate {

// Carries out so many changes, then the process is gone.
class DyingDisk final : public Disk {
 public:
  DyingDisk(Disk& disk, uint64_t changes) : disk_(disk), left_(changes) {}
  Result<std::vector<std::string>> list() override { return disk_.list(); }
  Result<uint64_t> size(std::string_view file) override { return disk_.size(file); }
  Status read(std::string_view file, uint64_t offset, size_t count, Buffer& out) override {
    return disk_.read(file, offset, count, out);
  }
  Status create(std::string_view file) override { return may() ? disk_.create(file) : gone(); }
  Status append(std::string_view file, std::string_view bytes) override {
    return may() ? disk_.append(file, bytes) : gone();
  }
  Status rewrite(std::string_view file, uint64_t offset, std::string_view bytes) override {
    return may() ? disk_.rewrite(file, offset, bytes) : gone();
  }
  Status truncate(std::string_view file, uint64_t size) override {
    return may() ? disk_.truncate(file, size) : gone();
  }
  Status sync(std::string_view file) override { return may() ? disk_.sync(file) : gone(); }
  Status rename(std::string_view from, std::string_view to) override {
    return may() ? disk_.rename(from, to) : gone();
  }
  Status remove(std::string_view file) override { return may() ? disk_.remove(file) : gone(); }
  Status sync_directory() override { return may() ? disk_.sync_directory() : gone(); }

 private:
  bool may() { return left_ > 0 && left_-- > 0; }
  static Status gone() { return Error(ErrorCode::kIo, "the process is gone"); }
  Disk& disk_;
  uint64_t left_;
};

}  // namespace quorate

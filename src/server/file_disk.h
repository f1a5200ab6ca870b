// The Disk of a real machine: one directory, by system calls.  Each lane and recovery have an instance of their
// own, so nothing here is shared between threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "persist/disk.h"
#include "server/unique_fd.h"
#include "util/result.h"

namespace quorate {

// A directory that this process alone uses.  Owned by main; outlives every FileDisk.
class DataDirectory {
 public:
  // Makes the directory if it is missing, and locks it.  kIo: the detail says why not, for a start-up message.
  static Result<DataDirectory> open(const std::string& path);
  // The same without a lock, for a place that gets a single file (--export-rdb).
  static Result<DataDirectory> open_shared(const std::string& path);

  int fd() const { return fd_.get(); }
  // It is another one for a copy.  0: the system does not say.
  uint64_t inode() const;
  const std::string& path() const { return path_; }  // absolute

 private:
  DataDirectory(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
};

// Appends go to the logical end, which lies before the physical one in log segments: their room is reserved
// ahead, so that a sync need not write a new file size each time.
class FileDisk : public Disk {
 public:
  explicit FileDisk(const DataDirectory& directory) : directory_(directory) {}
  ~FileDisk() override;
  FileDisk(const FileDisk&) = delete;
  FileDisk& operator=(const FileDisk&) = delete;

  Result<std::vector<std::string>> list() override;
  Result<uint64_t> size(std::string_view file) override;
  Status read(std::string_view file, uint64_t offset, size_t count, Buffer& out) override;
  Status create(std::string_view file) override;
  Status append(std::string_view file, std::string_view bytes) override;
  Status rewrite(std::string_view file, uint64_t offset, std::string_view bytes) override;
  Status truncate(std::string_view file, uint64_t size) override;
  Status sync(std::string_view file) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status remove(std::string_view file) override;
  Status sync_directory() override;

 private:
  // A file that is being written.  Few at a time: the log segment, a snapshot.  What is only read is opened each
  // time: another instance may be writing it, or may have put another file in its place.
  struct OpenFile {
    std::string name;
    UniqueFd fd;
    uint64_t end = 0;       // logical: where the next append goes
    uint64_t reserved = 0;  // physical size if room was reserved, else 0
    bool may_reserve = true;
  };
  static constexpr size_t kOpenFilesMax = 8;

  // For writing.  The pointer lives until the next call.
  Result<OpenFile*> open(std::string_view file);
  OpenFile* find(std::string_view file);
  OpenFile* keep(OpenFile&& file);
  void forget(std::string_view file);
  void give_back_room(OpenFile& file);
  void reserve(OpenFile& file, size_t wanted);

  const DataDirectory& directory_;
  std::vector<OpenFile> files_;  // most recently opened last
};

}  // namespace quorate

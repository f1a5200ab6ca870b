// System calls of the disk.  What errno says is told apart once, here: no room, or anything else.
#include "server/file_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace quorate {

namespace {

constexpr uint64_t kReserveBytes = 16ULL << 20;
constexpr mode_t kFileMode = 0644;

Error failure(std::string_view operation, std::string_view file, int error) {
  const bool is_full = error == ENOSPC || error == EDQUOT;
  return Error(is_full ? ErrorCode::kNoSpace : ErrorCode::kIo,
               std::string(operation) + " " + std::string(file) + ": " + std::strerror(error));
}

// Only log segments may end in zeros (persist/log_format.h).
bool has_room_reserved(std::string_view file) { return file.ends_with(".log"); }

// `offset` goes on to where the bytes that were written end, also if the rest fails.
Status write_all(int fd, std::string_view name, uint64_t& offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failure("write", name, errno);
    if (put == 0) return failure("write", name, ENOSPC);
    offset += static_cast<uint64_t>(put);
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return done();
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

Result<DataDirectory> DataDirectory::open_shared(const std::string& path) {
  const std::string quoted = "'" + path + "'";
  char absolute[PATH_MAX];
  if (::realpath(path.c_str(), absolute) == nullptr)
    return Error(ErrorCode::kIo, "can't use the directory " + quoted + ": " + std::strerror(errno));
  UniqueFd fd(::open(absolute, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Error(ErrorCode::kIo, "can't open the directory " + quoted + ": " + std::strerror(errno));
  return DataDirectory(std::move(fd), absolute);
}

Result<DataDirectory> DataDirectory::open(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return Error(ErrorCode::kIo, "can't make the data directory '" + path + "': " + std::strerror(errno));
  TRY(DataDirectory directory, open_shared(path));
  if (::flock(directory.fd(), LOCK_EX | LOCK_NB) == 0) return directory;
  if (errno == EWOULDBLOCK)
    return Error(ErrorCode::kIo, "the data directory '" + directory.path() +
                                     "' is in use by another server; give each server a --dir of its own");
  return Error(ErrorCode::kIo, "can't lock the data directory '" + directory.path() + "': " + std::strerror(errno));
}

uint64_t DataDirectory::inode() const {
  struct stat facts {};
  return ::fstat(fd_.get(), &facts) == 0 ? static_cast<uint64_t>(facts.st_ino) : 0;
}

FileDisk::~FileDisk() {
  for (OpenFile& file : files_) give_back_room(file);
}

Result<std::vector<std::string>> FileDisk::list() {
  // A descriptor of its own: the position in a directory belongs to the open file.
  const int fd = ::openat(directory_.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failure("list", directory_.path(), errno);
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd));
  if (directory == nullptr) {
    const int error = errno;
    ::close(fd);
    return failure("list", directory_.path(), error);
  }
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) {
      if (errno != 0) return failure("list", directory_.path(), errno);
      break;
    }
    struct stat facts {};
    if (::fstatat(directory_.fd(), entry->d_name, &facts, 0) == 0 && S_ISREG(facts.st_mode))
      names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<uint64_t> FileDisk::size(std::string_view file) {
  if (const OpenFile* open_file = find(file)) return open_file->end;
  struct stat facts {};
  if (::fstatat(directory_.fd(), std::string(file).c_str(), &facts, 0) != 0) return failure("size", file, errno);
  return static_cast<uint64_t>(facts.st_size);
}

FileDisk::OpenFile* FileDisk::keep(OpenFile&& file) {
  if (files_.size() == kOpenFilesMax) {
    give_back_room(files_.front());
    files_.erase(files_.begin());
  }
  files_.push_back(std::move(file));
  return &files_.back();
}

FileDisk::OpenFile* FileDisk::find(std::string_view name) {
  const auto found =
      std::find_if(files_.begin(), files_.end(), [name](const OpenFile& file) { return file.name == name; });
  return found == files_.end() ? nullptr : &*found;
}

Result<FileDisk::OpenFile*> FileDisk::open(std::string_view name) {
  if (OpenFile* open_file = find(name)) return open_file;
  const std::string path(name);
  UniqueFd fd(::openat(directory_.fd(), path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return failure("open", name, errno);
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0) return failure("open", name, errno);
  return keep({.name = path, .fd = std::move(fd), .end = static_cast<uint64_t>(facts.st_size)});
}

void FileDisk::forget(std::string_view name) {
  OpenFile* file = find(name);
  if (file == nullptr) return;
  give_back_room(*file);
  files_.erase(files_.begin() + (file - files_.data()));
}

void FileDisk::give_back_room(OpenFile& file) {
  if (file.reserved <= file.end) return;
  // Not vital: a reader knows zeros as the end of the log.
  if (::ftruncate(file.fd.get(), static_cast<off_t>(file.end)) == 0) file.reserved = 0;
}

Status FileDisk::read(std::string_view name, uint64_t offset, size_t count, Buffer& out) {
  const OpenFile* open_file = find(name);
  UniqueFd own;
  if (open_file == nullptr) {
    own = UniqueFd(::openat(directory_.fd(), std::string(name).c_str(), O_RDONLY | O_CLOEXEC));
    if (!own.valid()) return failure("open", name, errno);
  }
  const int fd = open_file != nullptr ? open_file->fd.get() : own.get();
  char* to = out.reserve(count);
  size_t got_bytes = 0;
  while (got_bytes < count) {
    const ssize_t got =
        ::pread(fd, to + got_bytes, count - got_bytes, static_cast<off_t>(offset + got_bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure("read", name, errno);
    if (got == 0) break;
    got_bytes += static_cast<size_t>(got);
  }
  out.commit(got_bytes);
  return done();
}

Status FileDisk::create(std::string_view name) {
  forget(name);
  const std::string path(name);
  UniqueFd fd(::openat(directory_.fd(), path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!fd.valid()) return failure("create", name, errno);
  keep({.name = path, .fd = std::move(fd)});
  return done();
}

void FileDisk::reserve(OpenFile& file, size_t wanted) {
  if (!file.may_reserve || !has_room_reserved(file.name) || file.end + wanted <= file.reserved) return;
  const uint64_t upto = file.end + wanted + kReserveBytes;
  if (::fallocate(file.fd.get(), 0, static_cast<off_t>(file.end), static_cast<off_t>(upto - file.end)) == 0) {
    file.reserved = upto;
  } else {
    // The file system can't, or is nearly full: plain appends say what is wrong, if anything is.
    file.may_reserve = false;
  }
}

Status FileDisk::append(std::string_view name, std::string_view bytes) {
  TRY(OpenFile * file, open(name));
  reserve(*file, bytes.size());
  return write_all(file->fd.get(), name, file->end, bytes);
}

Status FileDisk::rewrite(std::string_view name, uint64_t offset, std::string_view bytes) {
  TRY(OpenFile * file, open(name));
  return write_all(file->fd.get(), name, offset, bytes);
}

Status FileDisk::truncate(std::string_view name, uint64_t size) {
  TRY(OpenFile * file, open(name));
  if (::ftruncate(file->fd.get(), static_cast<off_t>(size)) != 0) return failure("truncate", name, errno);
  file->end = size;
  file->reserved = 0;
  file->may_reserve = true;
  return done();
}

Status FileDisk::sync(std::string_view name) {
  TRY(OpenFile * file, open(name));
  if (::fdatasync(file->fd.get()) != 0) return failure("sync", name, errno);
  return done();
}

Status FileDisk::rename(std::string_view from, std::string_view to) {
  forget(from);
  forget(to);
  if (::renameat(directory_.fd(), std::string(from).c_str(), directory_.fd(), std::string(to).c_str()) != 0)
    return failure("rename", from, errno);
  return done();
}

Status FileDisk::remove(std::string_view name) {
  // The room goes with the file.
  OpenFile* file = find(name);
  if (file != nullptr) files_.erase(files_.begin() + (file - files_.data()));
  if (::unlinkat(directory_.fd(), std::string(name).c_str(), 0) != 0) return failure("remove", name, errno);
  return done();
}

Status FileDisk::sync_directory() {
  if (::fsync(directory_.fd()) != 0) return failure("sync directory", directory_.path(), errno);
  return done();
}

}  // namespace quorate

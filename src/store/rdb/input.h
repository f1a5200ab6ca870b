// Where the decoder takes its bytes from: a payload in memory, or a file read piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "util/buffer.h"
#include "util/hash.h"
#include "util/result.h"

namespace quorate::rdb {

// A run of bytes whose total size is known, so that every length that is read can be checked
// against what is left before anything is allocated for it.
class Input {
 public:
  virtual ~Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // Bytes not yet taken.
  uint64_t left() const { return static_cast<uint64_t>(end_ - at_) + behind_; }
  // How many were taken.
  uint64_t offset() const { return total_ - left(); }

  // The next `count` bytes; valid until the next take.  kCorrupt if there are fewer.
  Result<std::string_view> take(uint64_t count) {
    if (count > static_cast<uint64_t>(end_ - at_)) [[unlikely]]
      TRY(more(count));
    const std::string_view bytes(at_, static_cast<size_t>(count));
    at_ += count;
    return bytes;
  }

  Error damaged(std::string_view what) const {
    return Error(ErrorCode::kCorrupt, std::string(what) + " at byte " + std::to_string(offset()));
  }

 protected:
  explicit Input(uint64_t total) : total_(total), behind_(total) {}
  // Makes at least `count` bytes visible from at_ on.  Requires: they are there.
  virtual Status refill(size_t count) = 0;

  const uint64_t total_;
  uint64_t behind_;  // bytes not yet visible
  const char* at_ = nullptr;
  const char* end_ = nullptr;

 private:
  Status more(uint64_t count);
};

class MemoryInput final : public Input {
 public:
  explicit MemoryInput(std::string_view bytes) : Input(bytes.size()) {
    behind_ = 0;
    at_ = bytes.data();
    end_ = at_ + bytes.size();
  }

 private:
  Status refill(size_t count) override;
};

// Reads through `read`, in blocks.  Keeps the CRC64 of what was taken.
class StreamInput final : public Input {
 public:
  class Reader {
   public:
    virtual ~Reader() = default;
    // Appends `count` bytes from `offset` to `out`; fewer only at the end.
    virtual Status read(uint64_t offset, size_t count, Buffer& out) = 0;
  };
  StreamInput(Reader& reader, uint64_t size) : Input(size), reader_(reader) {}
  // Of everything taken so far.
  uint64_t crc();

 private:
  static constexpr size_t kBlockBytes = 1 << 20;
  Status refill(size_t count) override;

  Reader& reader_;
  Buffer block_;
  size_t summed_ = 0;  // bytes of block_ that crc_ covers
  uint64_t crc_ = 0;
};

}  // namespace quorate::rdb

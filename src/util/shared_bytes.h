// Immutable bytes with several owners: a log entry is in memory once, for the log, the disk and N
// frames. The count is a plain number: all owners live on one thread (who hands bytes to another
// thread copies them or keeps an owner at home until the other is done).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "util/buffer.h"

namespace quorate {

// Empty bytes own nothing.  Copying counts, moving does not.
class SharedBytes {
 public:
  SharedBytes() = default;
  // One allocation; `bytes` are copied.
  explicit SharedBytes(std::string_view bytes) : SharedBytes(bytes, std::string_view()) {}
  // The same of two, one behind the other.
  SharedBytes(std::string_view first, std::string_view second);
  // Those of `bytes` from `offset` on, which stay where they are.  Requires: offset <= bytes.size().
  SharedBytes(Buffer&& bytes, size_t offset);
  ~SharedBytes() { leave(); }
  SharedBytes(const SharedBytes& other) : block_(other.block_) {
    if (block_ != nullptr) ++block_->owners;
  }
  SharedBytes(SharedBytes&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  SharedBytes& operator=(SharedBytes other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }

  // The view lives as long as any owner.
  std::string_view view() const {
    return block_ == nullptr ? std::string_view() : std::string_view(block_->bytes(), block_->size);
  }
  size_t size() const { return block_ == nullptr ? 0 : block_->size; }
  bool empty() const { return size() == 0; }
  uint32_t owners() const { return block_ == nullptr ? 0 : block_->owners; }

 private:
  // Behind the block, in the same allocation, are the bytes; or the buffer at whose end they are.
  struct Block {
    uint32_t owners;
    bool has_buffer;
    size_t size;
    char* place() { return reinterpret_cast<char*>(this + 1); }
    Buffer& buffer() { return *reinterpret_cast<Buffer*>(place()); }
    const char* bytes() {
      if (!has_buffer) [[likely]]
        return place();
      return buffer().data() + (buffer().size() - size);
    }
  };
  static_assert(sizeof(Block) % alignof(Buffer) == 0);
  static Block* make_block(size_t room);
  void leave() {
    if (block_ != nullptr && --block_->owners == 0) free_block();
  }
  void free_block();

  Block* block_ = nullptr;
};

// Bytes that stand between those of a buffer: behind the first `place` of them.
struct SharedPart {
  size_t place = 0;
  SharedBytes bytes;
};

}  // namespace quorate

// Immutable bytes with several owners: a log entry is in memory once, for the log, the disk and N
// frames. The count is a plain number: all owners live on one thread (who hands bytes to another
// thread copies them or keeps an owner at home until the other is done).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace quorate {

// Empty bytes own nothing.  Copying counts, moving does not.
class SharedBytes {
 public:
  SharedBytes() = default;
  // One allocation; `bytes` are copied.
  explicit SharedBytes(std::string_view bytes);
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
  // The bytes follow the block in the same allocation.
  struct Block {
    uint32_t owners;
    size_t size;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
  };
  void leave() {
    if (block_ != nullptr && --block_->owners == 0) free_block();
  }
  void free_block();

  Block* block_ = nullptr;
};

}  // namespace quorate

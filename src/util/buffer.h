// A growable run of bytes with a cheap append: replies, log records and frames are written into one.
// Not for long-lived data of the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace quorate {

// Invariant: begin_ <= end_ <= limit_.  Moves are cheap; a moved-from buffer is empty.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer gone(std::move(other));
    swap(gone);
    return *this;
  }
  void swap(Buffer& other) noexcept {
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(limit_, other.limit_);
  }

  size_t size() const { return static_cast<size_t>(end_ - begin_); }
  bool empty() const { return begin_ == end_; }
  size_t capacity() const { return static_cast<size_t>(limit_ - begin_); }
  char* data() { return begin_; }
  const char* data() const { return begin_; }
  std::string_view view() const { return {begin_, size()}; }
  std::string_view view_from(size_t offset) const { return {begin_ + offset, size() - offset}; }

  void append(std::string_view bytes) {
    char* at = reserve(bytes.size());
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    end_ += bytes.size();
  }
  void push_back(char byte) {
    *reserve(1) = byte;
    ++end_;
  }
  // Room for `count` more bytes; returns where they go.  Follow with commit(n), n <= count.
  char* reserve(size_t count) {
    if (static_cast<size_t>(limit_ - end_) < count) [[unlikely]]
      grow(count);
    return end_;
  }
  void commit(size_t count) { end_ += count; }

  void clear() { end_ = begin_; }
  void truncate(size_t new_size) { end_ = begin_ + new_size; }
  // Opens a gap of `count` bytes at `offset` (used when a reserved length turns out too short).
  void insert_gap(size_t offset, size_t count);
  // Removes the first `count` bytes (moves the rest; call it once a batch, not once a message).
  void drop_front(size_t count);
  // Gives the memory back.
  void release();

 private:
  void grow(size_t count);
  char* begin_ = nullptr;
  char* end_ = nullptr;
  char* limit_ = nullptr;
};

}  // namespace quorate

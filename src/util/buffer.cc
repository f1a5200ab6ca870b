// The cold paths of Buffer.
#include "util/buffer.h"

#include <cstdlib>

#include "util/check.h"

namespace quorate {

namespace {
constexpr size_t kSmallestCapacity = 256;
}

Buffer::~Buffer() { std::free(begin_); }

void Buffer::grow(size_t count) {
  const size_t used = size();
  size_t wanted = capacity() < kSmallestCapacity / 2 ? kSmallestCapacity : capacity() * 2;
  if (wanted < used + count) wanted = used + count;
  char* moved = static_cast<char*>(std::realloc(begin_, wanted));
  CHECK(moved != nullptr);
  begin_ = moved;
  end_ = moved + used;
  limit_ = moved + wanted;
}

void Buffer::insert_gap(size_t offset, size_t count) {
  CHECK(offset <= size());
  reserve(count);
  std::memmove(begin_ + offset + count, begin_ + offset, size() - offset);
  end_ += count;
}

void Buffer::drop_front(size_t count) {
  CHECK(count <= size());
  if (count == 0) return;
  std::memmove(begin_, begin_ + count, size() - count);
  end_ -= count;
}

void Buffer::release() {
  std::free(begin_);
  begin_ = end_ = limit_ = nullptr;
}

}  // namespace quorate

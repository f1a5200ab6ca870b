// Immutable bytes with several owners.
#include "util/shared_bytes.h"

#include <cstring>
#include <memory>

#include "util/check.h"
#include "util/memory.h"

namespace quorate {

SharedBytes::Block* SharedBytes::make_block(size_t room) {
  auto* const block = static_cast<Block*>(mem_alloc(sizeof(Block) + room));
  block->owners = 1;
  block->has_buffer = false;
  return block;
}

SharedBytes::SharedBytes(std::string_view first, std::string_view second) {
  const size_t size = first.size() + second.size();
  if (size == 0) return;
  block_ = make_block(size);
  block_->size = size;
  if (!first.empty()) std::memcpy(block_->place(), first.data(), first.size());
  if (!second.empty()) std::memcpy(block_->place() + first.size(), second.data(), second.size());
}

SharedBytes::SharedBytes(Buffer&& bytes, size_t offset) {
  CHECK(offset <= bytes.size());
  if (offset == bytes.size()) return;
  block_ = make_block(sizeof(Buffer));
  block_->has_buffer = true;
  block_->size = bytes.size() - offset;
  std::construct_at(&block_->buffer(), std::move(bytes));
}

void SharedBytes::free_block() {
  if (block_->has_buffer) std::destroy_at(&block_->buffer());
  mem_free(block_);
}

}  // namespace quorate

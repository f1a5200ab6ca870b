// Immutable bytes with several owners.
#include "util/shared_bytes.h"

#include <cstring>

#include "util/memory.h"

namespace quorate {

SharedBytes::SharedBytes(std::string_view bytes) {
  if (bytes.empty()) return;
  block_ = static_cast<Block*>(mem_alloc(sizeof(Block) + bytes.size()));
  block_->owners = 1;
  block_->size = bytes.size();
  std::memcpy(block_->bytes(), bytes.data(), bytes.size());
}

void SharedBytes::free_block() { mem_free(block_); }

}  // namespace quorate

// A key with what follows from its bytes: slot, partition and table hash, computed once a command.
#pragma once

#include <cstdint>
#include <string_view>

#include "util/hash.h"

namespace quorate {

struct Key {
  std::string_view bytes;
  uint64_t hash = 0;  // hash64(bytes, the store's seed)
  uint16_t slot = 0;
};

}  // namespace quorate

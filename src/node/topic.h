// What a subscription names.
#pragma once

#include <cstdint>

namespace quorate {

enum class Topic : uint8_t { kChannel, kPattern, kShardChannel };

}  // namespace quorate

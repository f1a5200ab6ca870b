// Glob patterns with Redis' rules (KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET): * ? [a-z] [^a] and backslash.
#pragma once

#include <string_view>

namespace quorate {

enum class CaseRule { kSensitive, kInsensitive };

// Time is bounded: O(pattern * text) at worst (no exponential backtracking).  A pattern that needs more than 1000 stars
// matches nothing, as in Redis.
bool glob_match(std::string_view pattern, std::string_view text, CaseRule rule = CaseRule::kSensitive);

}  // namespace quorate

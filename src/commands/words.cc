// Comparison of arguments with the words of a command's syntax.
#include "commands/context.h"

namespace quorate {

bool same_word(std::string_view argument, std::string_view word) {
  if (argument.size() != word.size()) return false;
  for (size_t index = 0; index < word.size(); ++index) {
    const auto left = static_cast<unsigned char>(argument[index]);
    const auto right = static_cast<unsigned char>(word[index]);
    if (left == right) continue;
    if ((left ^ right) != 0x20) return false;
    const auto lower = static_cast<unsigned char>(left | 0x20);
    if (lower < 'a' || lower > 'z') return false;
  }
  return true;
}

}  // namespace quorate

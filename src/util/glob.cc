// Glob matching that remembers only the last star: with one-letter classes going back to an earlier star
// can never help, so the time is O(pattern * text).
#include "util/glob.h"

#include <cstddef>
#include <utility>

namespace quorate {
namespace {

// Redis gives up on patterns with more: they do not match.  Here they would only be slow.
constexpr size_t kStarsMax = 1000;

unsigned char fold(char letter, CaseRule rule) {
  if (rule == CaseRule::kInsensitive && letter >= 'A' && letter <= 'Z') {
    return static_cast<unsigned char>(letter + 32);
  }
  return static_cast<unsigned char>(letter);
}

// Matches `letter` against the class whose '[' is at pattern[at]; sets `at` behind it.  A class that is not
// closed ends with the pattern.
bool class_match(std::string_view pattern, size_t& at, char letter, CaseRule rule) {
  ++at;
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool matched = false;
  while (at < pattern.size() && pattern[at] != ']') {
    const size_t left = pattern.size() - at;
    if (pattern[at] == '\\' && left >= 2) {
      matched |= pattern[at + 1] == letter;
      at += 2;
    } else if (left >= 3 && pattern[at + 1] == '-') {
      unsigned char low = static_cast<unsigned char>(pattern[at]);
      unsigned char high = static_cast<unsigned char>(pattern[at + 2]);
      if (low > high) std::swap(low, high);
      low = fold(static_cast<char>(low), rule);
      high = fold(static_cast<char>(high), rule);
      const unsigned char folded = fold(letter, rule);
      matched |= low <= folded && folded <= high;
      at += 3;
    } else {
      matched |= fold(pattern[at], rule) == fold(letter, rule);
      ++at;
    }
  }
  if (at < pattern.size()) ++at;
  return matched != negated;
}

// Matches one pattern item (not a star) at pattern[at] against `letter`; sets `at` behind it if it matches.
bool item_match(std::string_view pattern, size_t& at, char letter, CaseRule rule) {
  switch (pattern[at]) {
    case '?':
      ++at;
      return true;
    case '[':
      return class_match(pattern, at, letter, rule);
    case '\\':
      if (at + 1 < pattern.size()) ++at;
      break;
    default:
      break;
  }
  if (fold(pattern[at], rule) != fold(letter, rule)) return false;
  ++at;
  return true;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, CaseRule rule) {
  size_t at = 0;
  size_t position = 0;
  size_t star = std::string_view::npos;  // pattern index behind the last star seen
  size_t stars = 0;
  size_t star_position = 0;              // where the text behind that star begins in this try
  while (position < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      while (at < pattern.size() && pattern[at] == '*') ++at;
      star = at;
      star_position = position;
      if (at == pattern.size()) return true;
      if (++stars > kStarsMax) return false;
      continue;
    }
    size_t next = at;
    if (at < pattern.size() && item_match(pattern, next, text[position], rule)) {
      at = next;
      ++position;
    } else if (star != std::string_view::npos) {
      at = star;
      position = ++star_position;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace quorate

// Lengths of packed elements: one byte below 128, two below 16384, else five.  Lists and small
// hashes store their elements as runs of such lengths and bytes; a mirrored form can be read from
// behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace quorate::packed {

// The longest element a packed run or a field block can hold; commands refuse longer ones.
constexpr size_t kElementSizeMax = 0xfff00000;

inline size_t length_size(size_t length) { return length < 0x80 ? 1 : length < 0x4000 ? 2 : 5; }

// Writes `length` at `at`; returns where the next byte goes.
inline char* write_length(char* at, size_t length) {
  auto* out = reinterpret_cast<unsigned char*>(at);
  if (length < 0x80) {
    out[0] = static_cast<unsigned char>(length);
    return at + 1;
  }
  if (length < 0x4000) {
    out[0] = static_cast<unsigned char>(0x80 | (length >> 8));
    out[1] = static_cast<unsigned char>(length);
    return at + 2;
  }
  const auto wide = static_cast<uint32_t>(length);
  out[0] = 0xff;
  std::memcpy(out + 1, &wide, sizeof wide);
  return at + 5;
}

// Reads a length at `at` into `length`; returns the address behind it.
inline const char* read_length(const char* at, size_t& length) {
  const auto* in = reinterpret_cast<const unsigned char*>(at);
  if (in[0] < 0x80) [[likely]] {
    length = in[0];
    return at + 1;
  }
  if (in[0] < 0xc0) {
    length = (static_cast<size_t>(in[0] & 0x3f) << 8) | in[1];
    return at + 2;
  }
  uint32_t wide;
  std::memcpy(&wide, in + 1, sizeof wide);
  length = wide;
  return at + 5;
}

// The mirrored form: ends at `end`, and its last byte says how long it is.  Returns where it
// begins.
inline char* write_length_before(char* end, size_t length) {
  auto* out = reinterpret_cast<unsigned char*>(end);
  if (length < 0x80) {
    out[-1] = static_cast<unsigned char>(length);
    return end - 1;
  }
  if (length < 0x4000) {
    out[-1] = static_cast<unsigned char>(0x80 | (length >> 8));
    out[-2] = static_cast<unsigned char>(length);
    return end - 2;
  }
  const auto wide = static_cast<uint32_t>(length);
  out[-1] = 0xff;
  std::memcpy(out - 5, &wide, sizeof wide);
  return end - 5;
}

inline const char* read_length_before(const char* end, size_t& length) {
  const auto* in = reinterpret_cast<const unsigned char*>(end);
  if (in[-1] < 0x80) [[likely]] {
    length = in[-1];
    return end - 1;
  }
  if (in[-1] < 0xc0) {
    length = (static_cast<size_t>(in[-1] & 0x3f) << 8) | in[-2];
    return end - 2;
  }
  uint32_t wide;
  std::memcpy(&wide, in - 5, sizeof wide);
  length = wide;
  return end - 5;
}

}  // namespace quorate::packed

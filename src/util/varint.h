// Unsigned integers in as few bytes as they need: seven bits a byte, lowest first, the high bit
// says that more follow (LEB128).  Used by the effects of the log and by snapshots;
// docs/FORMATS.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "util/buffer.h"

namespace quorate {

constexpr size_t kVarintMax = 10;

inline size_t varint_size(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

// Writes at `out` (room for kVarintMax bytes); returns the byte behind the last one written.
inline char* put_varint(char* out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

inline void append_varint(Buffer& out, uint64_t value) {
  char* const at = out.reserve(kVarintMax);
  out.commit(static_cast<size_t>(put_varint(at, value) - at));
}

// Takes a varint off the front of `bytes`.  False, and `bytes` unchanged, if it is cut off or needs
// more than 64 bits.  Any input is allowed.
inline bool take_varint(std::string_view& bytes, uint64_t& value) {
  if (!bytes.empty() && static_cast<unsigned char>(bytes[0]) < 0x80) [[likely]] {
    value = static_cast<unsigned char>(bytes[0]);
    bytes.remove_prefix(1);
    return true;
  }
  uint64_t sum = 0;
  for (size_t index = 0; index < bytes.size() && index < kVarintMax; ++index) {
    const uint64_t byte = static_cast<unsigned char>(bytes[index]);
    if (index == kVarintMax - 1 && byte > 1) return false;
    sum |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) {
      value = sum;
      bytes.remove_prefix(index + 1);
      return true;
    }
  }
  return false;
}

// A varint length and as many bytes behind it.
inline void append_sized(Buffer& out, std::string_view bytes) {
  append_varint(out, bytes.size());
  out.append(bytes);
}

// Takes that off the front of `bytes`.  False, and `bytes` unchanged, if they are not
// there.
inline bool take_sized(std::string_view& bytes, std::string_view& value) {
  std::string_view rest = bytes;
  uint64_t size = 0;
  if (!take_varint(rest, size) || size > rest.size()) return false;
  value = rest.substr(0, static_cast<size_t>(size));
  rest.remove_prefix(static_cast<size_t>(size));
  bytes = rest;
  return true;
}

// Fixed-width little-endian integers, whatever the machine's own order is.
template <class T>
inline void store_little(char* out, T value) {
  for (size_t index = 0; index < sizeof(T); ++index) {
    out[index] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * index));
  }
}

template <class T>
inline T load_little(const char* bytes) {
  uint64_t sum = 0;
  for (size_t index = 0; index < sizeof(T); ++index) {
    sum |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[index])) << (8 * index);
  }
  return static_cast<T>(sum);
}

template <class T>
inline void append_little(Buffer& out, T value) {
  store_little<T>(out.reserve(sizeof(T)), value);
  out.commit(sizeof(T));
}

// Takes a fixed-width integer off the front of `bytes`; false if it is cut off.
template <class T>
inline bool take_little(std::string_view& bytes, T& value) {
  if (bytes.size() < sizeof(T)) return false;
  value = load_little<T>(bytes.data());
  bytes.remove_prefix(sizeof(T));
  return true;
}

}  // namespace quorate

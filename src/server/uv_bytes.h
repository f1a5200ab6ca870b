// What libuv is to write, in its words.
#pragma once

#include <uv.h>

#include <string_view>

namespace quorate {

// uv_buf_init() takes no more than 4 GiB: more would lose multiples of that.  Requires: the bytes stay until they are written.
inline uv_buf_t uv_bytes(std::string_view bytes) {
  uv_buf_t place;
  place.base = const_cast<char*>(bytes.data());
  place.len = bytes.size();
  return place;
}

}  // namespace quorate

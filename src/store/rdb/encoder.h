// The pieces of RDB values as they are written: lengths, strings, numbers.
#pragma once

#include <cstdint>
#include <string_view>

#include "util/buffer.h"

namespace quorate::rdb {

enum class Compression : uint8_t { kOff, kOn };

void write_length(Buffer& out, uint64_t length);
// Short integers as numbers; long strings by LZF where it gains (Redis' rules for both).
void write_string(Buffer& out, std::string_view value, Compression compression);
// Without trying for an integer: packed blobs.
void write_blob(Buffer& out, std::string_view blob, Compression compression);
void write_double(Buffer& out, double value);
void write_little64(Buffer& out, uint64_t value);

}  // namespace quorate::rdb

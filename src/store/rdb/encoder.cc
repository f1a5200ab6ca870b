// Writing lengths, strings and numbers as Redis does.
#include "store/rdb/encoder.h"

#include <liblzf/lzf.h>

#include <bit>
#include <cstring>

#include "store/rdb/format.h"
#include "util/number.h"
#include "util/varint.h"

namespace quorate::rdb {

namespace {

constexpr size_t kIntegerTextMax = 11;
constexpr size_t kCompressFrom = 21;

bool write_integer(Buffer& out, std::string_view value) {
  const auto number = parse_int(value);
  if (!number || *number < INT32_MIN || *number > INT32_MAX) return false;
  const auto head = [&out](StringEncoding encoding) {
    out.push_back(static_cast<char>((kEncoded << 6) | encoding));
  };
  if (*number >= INT8_MIN && *number <= INT8_MAX) {
    head(kInt8);
    append_little<int8_t>(out, static_cast<int8_t>(*number));
  } else if (*number >= INT16_MIN && *number <= INT16_MAX) {
    head(kInt16);
    append_little<int16_t>(out, static_cast<int16_t>(*number));
  } else {
    head(kInt32);
    append_little<int32_t>(out, static_cast<int32_t>(*number));
  }
  return true;
}

// False, and nothing written, if the compressed form would not be at least four bytes shorter.
bool write_compressed(Buffer& out, std::string_view value) {
  if (value.size() > UINT32_MAX) return false;
  // The lengths stand in front of what is only known afterwards: the bytes are moved up to them.
  constexpr size_t kHeaderMax = 1 + 2 * 5;
  const size_t limit = value.size() - 4;
  const size_t start = out.size();
  out.reserve(kHeaderMax + limit);
  const unsigned size = lzf_compress(value.data(), static_cast<unsigned>(value.size()),
                                     out.data() + start + kHeaderMax, static_cast<unsigned>(limit));
  if (size == 0) return false;
  out.push_back(static_cast<char>((kEncoded << 6) | kLzf));
  write_length(out, size);
  write_length(out, value.size());
  std::memmove(out.data() + out.size(), out.data() + start + kHeaderMax, size);
  out.commit(size);
  return true;
}

}  // namespace

void write_length(Buffer& out, uint64_t length) {
  if (length < 64) {
    out.push_back(static_cast<char>(length));
  } else if (length < 16384) {
    out.push_back(static_cast<char>((k14Bit << 6) | (length >> 8)));
    out.push_back(static_cast<char>(length));
  } else {
    const bool wide = length > UINT32_MAX;
    out.push_back(static_cast<char>(wide ? k64Bit : k32Bit));
    for (int shift = wide ? 56 : 24; shift >= 0; shift -= 8) {
      out.push_back(static_cast<char>(length >> shift));
    }
  }
}

void write_string(Buffer& out, std::string_view value, Compression compression) {
  if (value.size() <= kIntegerTextMax && write_integer(out, value)) return;
  write_blob(out, value, compression);
}

void write_blob(Buffer& out, std::string_view blob, Compression compression) {
  if (compression == Compression::kOn && blob.size() >= kCompressFrom &&
      write_compressed(out, blob)) {
    return;
  }
  write_length(out, blob.size());
  out.append(blob);
}

void write_double(Buffer& out, double value) {
  write_little64(out, std::bit_cast<uint64_t>(value));
}

void write_little64(Buffer& out, uint64_t value) { append_little<uint64_t>(out, value); }

}  // namespace quorate::rdb

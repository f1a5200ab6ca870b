// Decodes values of the RDB format into calls, whatever they are to become.  Any bytes are allowed:
// damage is kCorrupt, what this server has not (streams, modules) is kUnsupported.
#pragma once

#include <cstdint>
#include <string_view>

#include "store/rdb/format.h"
#include "store/rdb/input.h"
#include "util/buffer.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate::rdb {

// Receives one value.  Calls: string, or begin_<type> and then each element in the order of the
// bytes.  An error from any call ends the decoding with it.  Views live for the call.
class ValueVisitor {
 public:
  virtual ~ValueVisitor() = default;
  virtual Status string(std::string_view value) = 0;
  // `count` is what the bytes claim: no more than the number of bytes left, and not to be trusted
  // otherwise.
  virtual Status begin_list(uint64_t count) = 0;
  virtual Status list_element(std::string_view element) = 0;
  virtual Status begin_set(uint64_t count) = 0;
  virtual Status set_member(std::string_view member) = 0;
  virtual Status begin_sorted_set(uint64_t count) = 0;
  virtual Status sorted_set_member(std::string_view member, double score) = 0;  // never NaN
  virtual Status begin_hash(uint64_t count) = 0;
  virtual Status hash_field(std::string_view name, std::string_view value, int64_t expiry) = 0;
};

// A length, or the number of a string encoding.
struct LengthOrEncoding {
  uint64_t value = 0;
  bool is_encoding = false;
};
Result<LengthOrEncoding> read_length_or_encoding(Input& input);
Result<uint64_t> read_length(Input& input);
// The next string.  The view lives until the next read from `input` or use of `scratch`.
Result<std::string_view> read_string(Input& input, Buffer& scratch);
Result<uint8_t> read_byte(Input& input);
Result<uint64_t> read_little64(Input& input);

// Decodes one value of type `type` (a number of the format, checked here) as `version` defines it.
Status decode_value(Input& input, uint8_t type, int version, ValueVisitor& visitor);

}  // namespace quorate::rdb

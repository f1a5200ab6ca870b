// Reads and writes the fields of messages between nodes.  For their codecs only.
#pragma once

#include <cstdint>
#include <string_view>

#include "cluster/raft/types.h"
#include "util/buffer.h"
#include "util/varint.h"

namespace quorate::wire {

// Takes fields off the front of bytes that may be anything.  After the first field that is not
// there or out of range every further one is 0 and good() stays false: the caller asks once, at the
// end.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool good() const { return good_; }
  std::string_view rest() const { return bytes_; }

  uint64_t varint() {
    uint64_t value = 0;
    if (good_ && !take_varint(bytes_, value)) refuse();
    return good_ ? value : 0;
  }
  uint64_t varint_at_most(uint64_t max) {
    const uint64_t value = varint();
    if (value > max) refuse();
    return good_ ? value : 0;
  }
  uint64_t fixed64() {
    uint64_t value = 0;
    if (good_ && !take_little(bytes_, value)) refuse();
    return good_ ? value : 0;
  }
  uint8_t byte() {
    uint8_t value = 0;
    if (good_ && !take_little(bytes_, value)) refuse();
    return good_ ? value : uint8_t{0};
  }
  bool flag() {
    const uint8_t value = byte();
    if (value > 1) refuse();
    return value == 1;
  }
  // An enumerator from `first` to `last`; `first` after a refusal.
  template <class Enum>
  Enum one_of(Enum first, Enum last) {
    const uint8_t value = byte();
    if (value < static_cast<uint8_t>(first) || value > static_cast<uint8_t>(last)) refuse();
    return good_ ? static_cast<Enum>(value) : first;
  }
  std::string_view sized() {
    std::string_view value;
    if (good_ && !take_sized(bytes_, value)) refuse();
    return good_ ? value : std::string_view();
  }
  // How many things follow that take at least `bytes_each`; refuses more than there is room for.
  size_t count(size_t bytes_each) {
    return static_cast<size_t>(varint_at_most(bytes_.size() / bytes_each));
  }
  template <class Tag>
  void read(raft::Tagged<Tag>& number) {
    number.value = varint();
  }
  void refuse() { good_ = false; }

 private:
  std::string_view bytes_;
  bool good_ = true;
};

template <class Tag>
void write(raft::Tagged<Tag> number, Buffer& out) {
  append_varint(out, number.value);
}
template <class Enum>
void write_byte(Enum value, Buffer& out) {
  out.push_back(static_cast<char>(value));
}

}  // namespace quorate::wire

// Readers of the packed blobs inside RDB values (listpack, ziplist, zipmap, intset), and the one
// writer that is needed (listpack).  Any input is allowed: every step is checked against the blob's
// end.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "util/buffer.h"
#include "util/number.h"

namespace quorate::rdb {

// One element: text, or an integer and its text.
class Element {
 public:
  std::string_view text() const { return is_integer_ ? std::string_view(digits_, size_) : bytes_; }
  bool is_integer() const { return is_integer_; }
  int64_t integer() const { return integer_; }
  void set_text(std::string_view bytes) {
    is_integer_ = false;
    bytes_ = bytes;
  }
  void set_integer(int64_t value) {
    is_integer_ = true;
    integer_ = value;
    size_ = format_int(digits_, value);
  }

 private:
  bool is_integer_ = false;
  int64_t integer_ = 0;
  size_t size_ = 0;
  char digits_[kIntTextMax];
  std::string_view bytes_;
};

// The elements of a blob, one by one.  Calls: open, then next until it gives kEnd or kDamaged.
class BlobReader {
 public:
  enum class Kind : uint8_t { kListpack, kZiplist, kZipmap };
  enum class Step : uint8_t { kElement, kEnd, kDamaged };

  BlobReader(Kind kind, std::string_view blob) : kind_(kind), blob_(blob) {}
  // False if the blob's header or size is wrong.
  bool open();
  Step next(Element& element);
  // Elements according to the header; nothing if it does not say.  Not to be trusted for
  // allocation.
  std::optional<uint64_t> declared_count() const { return declared_; }

 private:
  Step next_listpack(Element& element);
  Step next_ziplist(Element& element);
  Step next_zipmap(Element& element);
  bool at_terminator() const;
  Step finish();

  const Kind kind_;
  const std::string_view blob_;
  size_t at_ = 0;
  uint64_t seen_ = 0;
  std::optional<uint64_t> declared_;
  size_t previous_size_ = 0;  // ziplist: bytes of the entry before
  size_t last_at_ = 0;        // ziplist: where the last entry must stand
  bool value_next_ = false;   // zipmap: a value follows a name
};

// The integers of an intset, ascending.
class IntsetReader {
 public:
  // False if it is no intset: sizes disagree or the numbers do not ascend.
  bool open(std::string_view blob);
  uint64_t count() const { return count_; }
  int64_t at(uint64_t index) const;

 private:
  std::string_view numbers_;
  size_t width_ = 0;
  uint64_t count_ = 0;
};

// Appends a listpack to a buffer.  Calls: add*, then finish.
class ListpackWriter {
 public:
  // Begins at the buffer's present end.
  explicit ListpackWriter(Buffer& out);
  void add(std::string_view text);
  void add_integer(int64_t value);
  size_t size() const { return out_.size() - start_; }
  uint64_t count() const { return count_; }
  void finish();

 private:
  void add_back_length(size_t entry_start);

  Buffer& out_;
  const size_t start_;
  uint64_t count_ = 0;
};

}  // namespace quorate::rdb

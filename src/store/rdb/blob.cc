// Grammar of the packed blobs.  Multi-byte numbers are little-endian unless a line says otherwise.
#include "store/rdb/blob.h"

#include "util/check.h"
#include "util/varint.h"

namespace quorate::rdb {

namespace {

constexpr unsigned char kTerminator = 0xff;
constexpr size_t kListpackHeader = 6;  // u32 bytes, u16 count
constexpr size_t kZiplistHeader = 10;  // u32 bytes, u32 offset of the last entry, u16 count
constexpr uint16_t kCountUnknown = 0xffff;

unsigned char byte_at(std::string_view bytes, size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// Sign-extends the lowest `bits` of `value`.
int64_t extend(uint64_t value, int bits) {
  const int unused = 64 - bits;
  return static_cast<int64_t>(value << unused) >> unused;
}

uint64_t little(std::string_view bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t index = 0; index < width; ++index) {
    value |= static_cast<uint64_t>(byte_at(bytes, at + index)) << (8 * index);
  }
  return value;
}

// Bytes that a listpack entry of `size` bytes needs to say so at its end.
size_t back_length_size(size_t size) {
  return size <= 127 ? 1 : size < 16384 ? 2 : size < 2097152 ? 3 : size < 268435456 ? 4 : 5;
}

// The back length is written with its most significant part first; all but the first byte carry a
// mark.
void write_back_length(char* out, size_t size) {
  const size_t count = back_length_size(size);
  for (size_t index = 0; index < count; ++index) {
    const size_t shift = 7 * (count - 1 - index);
    const auto part = static_cast<unsigned char>((size >> shift) & 127);
    out[index] = static_cast<char>(index == 0 ? part : part | 128);
  }
}

// How one listpack entry is laid out: `head` bytes of encoding, then `data` bytes.
struct Layout {
  size_t head = 0;  // 0: not a valid encoding, or cut off
  size_t data = 0;
  bool is_text = false;
};

Layout listpack_layout(std::string_view bytes, size_t at) {
  const unsigned char first = byte_at(bytes, at);
  const size_t left = bytes.size() - at;
  if (first < 0x80) return {.head = 1};
  if (first < 0xc0) return {.head = 1, .data = first & 0x3fu, .is_text = true};
  if (first < 0xe0) return {.head = 1, .data = 1};
  if (first < 0xf0) {
    if (left < 2) return {};
    return {.head = 2, .data = ((first & 0x0fu) << 8) | byte_at(bytes, at + 1), .is_text = true};
  }
  switch (first) {
    case 0xf0:
      if (left < 5) return {};
      return {.head = 5, .data = static_cast<size_t>(little(bytes, at + 1, 4)), .is_text = true};
    case 0xf1:
      return {.head = 1, .data = 2};
    case 0xf2:
      return {.head = 1, .data = 3};
    case 0xf3:
      return {.head = 1, .data = 4};
    case 0xf4:
      return {.head = 1, .data = 8};
    default:
      return {};
  }
}

int64_t listpack_integer(std::string_view bytes, size_t at, const Layout& layout) {
  const unsigned char first = byte_at(bytes, at);
  if (first < 0x80) return first;
  if (first < 0xe0) return extend(((first & 0x1fu) << 8) | byte_at(bytes, at + 1), 13);
  return extend(little(bytes, at + 1, layout.data), static_cast<int>(8 * layout.data));
}

}  // namespace

bool BlobReader::at_terminator() const {
  return at_ < blob_.size() && byte_at(blob_, at_) == kTerminator;
}

bool BlobReader::open() {
  switch (kind_) {
    case Kind::kListpack: {
      if (blob_.size() < kListpackHeader + 1 || little(blob_, 0, 4) != blob_.size()) return false;
      const auto count = static_cast<uint16_t>(little(blob_, 4, 2));
      if (count != kCountUnknown) declared_ = count;
      at_ = kListpackHeader;
      return true;
    }
    case Kind::kZiplist: {
      if (blob_.size() < kZiplistHeader + 1 || little(blob_, 0, 4) != blob_.size()) return false;
      const auto count = static_cast<uint16_t>(little(blob_, 8, 2));
      if (count != kCountUnknown) declared_ = count;
      at_ = kZiplistHeader;
      last_at_ = kZiplistHeader;
      return true;
    }
    case Kind::kZipmap:
      if (blob_.size() < 2) return false;
      at_ = 1;
      return true;
  }
  CHECK(false);
}

BlobReader::Step BlobReader::finish() {
  if (at_ + 1 != blob_.size()) return Step::kDamaged;
  if (declared_ && *declared_ != seen_) return Step::kDamaged;
  if (kind_ == Kind::kZiplist && little(blob_, 4, 4) != last_at_) return Step::kDamaged;
  if (value_next_) return Step::kDamaged;
  return Step::kEnd;
}

BlobReader::Step BlobReader::next(Element& element) {
  if (at_ >= blob_.size()) return Step::kDamaged;
  if (at_terminator()) return finish();
  ++seen_;
  switch (kind_) {
    case Kind::kListpack:
      return next_listpack(element);
    case Kind::kZiplist:
      return next_ziplist(element);
    case Kind::kZipmap:
      return next_zipmap(element);
  }
  CHECK(false);
}

BlobReader::Step BlobReader::next_listpack(Element& element) {
  const Layout layout = listpack_layout(blob_, at_);
  const size_t left = blob_.size() - at_;
  if (layout.head == 0 || layout.head > left || layout.data > left - layout.head) {
    return Step::kDamaged;
  }
  const size_t size = layout.head + layout.data;
  const size_t back_size = back_length_size(size);
  if (back_size > left - size) return Step::kDamaged;
  char back[5];
  write_back_length(back, size);
  if (blob_.substr(at_ + size, back_size) != std::string_view(back, back_size)) {
    return Step::kDamaged;
  }
  if (layout.is_text) {
    element.set_text(blob_.substr(at_ + layout.head, layout.data));
  } else {
    element.set_integer(listpack_integer(blob_, at_, layout));
  }
  at_ += size + back_size;
  return Step::kElement;
}

// Entry: length of the entry before (one byte, or 0xfe and four), encoding, data.
BlobReader::Step BlobReader::next_ziplist(Element& element) {
  const size_t start = at_;
  size_t at = at_;
  const auto left = [&] { return blob_.size() - at; };
  size_t before = byte_at(blob_, at++);
  if (before == 0xfe) {
    if (left() < 4) return Step::kDamaged;
    before = static_cast<size_t>(little(blob_, at, 4));
    at += 4;
  }
  if (before != previous_size_ || left() < 1) return Step::kDamaged;
  const unsigned char encoding = byte_at(blob_, at++);
  size_t size = 0;
  if (encoding < 0xc0) {
    // Texts: 6 bits of length, 14 bits, or 32 bits; the wider ones have the high byte first.
    size_t extra = encoding < 0x40 ? 0 : encoding < 0x80 ? 1 : 4;
    if (left() < extra) return Step::kDamaged;
    size = encoding < 0x80 ? encoding & 0x3f : 0;
    for (; extra > 0; --extra) size = (size << 8) | byte_at(blob_, at++);
    if (left() < size) return Step::kDamaged;
    element.set_text(blob_.substr(at, size));
  } else {
    switch (encoding) {
      case 0xc0:
        size = 2;
        break;
      case 0xd0:
        size = 4;
        break;
      case 0xe0:
        size = 8;
        break;
      case 0xf0:
        size = 3;
        break;
      case 0xfe:
        size = 1;
        break;
      default:
        if (encoding < 0xf1 || encoding > 0xfd) return Step::kDamaged;
        element.set_integer((encoding & 0x0f) - 1);  // 0 to 12, in the encoding itself
    }
    if (left() < size) return Step::kDamaged;
    if (size > 0) element.set_integer(extend(little(blob_, at, size), static_cast<int>(8 * size)));
  }
  at_ = at + size;
  last_at_ = start;
  previous_size_ = at_ - start;
  return Step::kElement;
}

// Name: length, bytes.  Value: length, number of unused bytes behind it, bytes, unused bytes.
BlobReader::Step BlobReader::next_zipmap(Element& element) {
  size_t size = byte_at(blob_, at_++);
  if (size == 0xfe) {
    if (blob_.size() - at_ < 4) return Step::kDamaged;
    size = static_cast<size_t>(little(blob_, at_, 4));
    at_ += 4;
  }
  size_t unused = 0;
  if (value_next_) {
    if (at_ >= blob_.size()) return Step::kDamaged;
    unused = byte_at(blob_, at_++);
  }
  const size_t left = blob_.size() - at_;
  if (size > left || unused > left - size) return Step::kDamaged;
  element.set_text(blob_.substr(at_, size));
  at_ += size + unused;
  value_next_ = !value_next_;
  return Step::kElement;
}

bool IntsetReader::open(std::string_view blob) {
  if (blob.size() < 8) return false;
  width_ = static_cast<size_t>(little(blob, 0, 4));
  count_ = little(blob, 4, 4);
  if (width_ != 2 && width_ != 4 && width_ != 8) return false;
  numbers_ = blob.substr(8);
  if (count_ * width_ != numbers_.size()) return false;
  for (uint64_t index = 1; index < count_; ++index) {
    if (at(index - 1) >= at(index)) return false;
  }
  return true;
}

int64_t IntsetReader::at(uint64_t index) const {
  return extend(little(numbers_, static_cast<size_t>(index) * width_, width_),
                static_cast<int>(8 * width_));
}

ListpackWriter::ListpackWriter(Buffer& out) : out_(out), start_(out.size()) {
  out_.reserve(kListpackHeader);
  out_.commit(kListpackHeader);
}

void ListpackWriter::add_back_length(size_t entry_start) {
  const size_t size = out_.size() - entry_start;
  write_back_length(out_.reserve(5), size);
  out_.commit(back_length_size(size));
  ++count_;
}

void ListpackWriter::add(std::string_view text) {
  if (text.size() <= kIntTextMax) {
    if (const auto value = parse_int(text)) {
      add_integer(*value);
      return;
    }
  }
  const size_t start = out_.size();
  char* head = out_.reserve(5);
  if (text.size() < 64) {
    head[0] = static_cast<char>(0x80 | text.size());
    out_.commit(1);
  } else if (text.size() < 4096) {
    head[0] = static_cast<char>(0xe0 | (text.size() >> 8));
    head[1] = static_cast<char>(text.size());
    out_.commit(2);
  } else {
    head[0] = static_cast<char>(0xf0);
    store_little<uint32_t>(head + 1, static_cast<uint32_t>(text.size()));
    out_.commit(5);
  }
  out_.append(text);
  add_back_length(start);
}

void ListpackWriter::add_integer(int64_t value) {
  const size_t start = out_.size();
  char* head = out_.reserve(9);
  const auto fits = [value](int bits) {
    const int64_t limit = int64_t{1} << (bits - 1);
    return value >= -limit && value < limit;
  };
  if (value >= 0 && value <= 127) {
    head[0] = static_cast<char>(value);
    out_.commit(1);
  } else if (fits(13)) {
    const auto low = static_cast<uint64_t>(value) & 0x1fff;
    head[0] = static_cast<char>(0xc0 | (low >> 8));
    head[1] = static_cast<char>(low);
    out_.commit(2);
  } else {
    const size_t width = fits(16) ? 2 : fits(24) ? 3 : fits(32) ? 4 : 8;
    head[0] = static_cast<char>(width == 8 ? 0xf4 : 0xf1 + (width - 2));
    for (size_t index = 0; index < width; ++index) {
      head[1 + index] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * index));
    }
    out_.commit(1 + width);
  }
  add_back_length(start);
}

void ListpackWriter::finish() {
  out_.push_back(static_cast<char>(kTerminator));
  char* const head = out_.data() + start_;
  store_little<uint32_t>(head, static_cast<uint32_t>(size()));
  store_little<uint16_t>(head + 4,
                         count_ < kCountUnknown ? static_cast<uint16_t>(count_) : kCountUnknown);
}

}  // namespace quorate::rdb

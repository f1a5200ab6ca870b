// One function for each shape of value.
#include "store/rdb/decoder.h"

#include <liblzf/lzf.h>

#include <bit>
#include <cmath>
#include <optional>
#include <string>

#include "store/rdb/blob.h"
#include "util/number.h"
#include "util/varint.h"

namespace quorate::rdb {

namespace {

// A back reference of three bytes gives at most 264 bytes: more cannot have been compressed into so
// few.
constexpr uint64_t kLzfRatioMax = 264;

uint64_t big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = (value << 8) | static_cast<unsigned char>(byte);
  return value;
}

Result<std::string_view> read_lzf(Input& input, Buffer& scratch) {
  TRY(const uint64_t packed_size, read_length(input));
  TRY(const uint64_t size, read_length(input));
  if (packed_size > input.left() || size / kLzfRatioMax > packed_size || size > UINT32_MAX) {
    return input.damaged("a compressed string has an impossible length");
  }
  TRY(const std::string_view packed, input.take(packed_size));
  scratch.clear();
  char* const out = scratch.reserve(static_cast<size_t>(size));
  const unsigned unpacked = lzf_decompress(packed.data(), static_cast<unsigned>(packed.size()), out,
                                           static_cast<unsigned>(size));
  if (unpacked == 0 || unpacked != size) return input.damaged("a compressed string is damaged");
  scratch.commit(unpacked);
  return scratch.view();
}

Result<std::string_view> read_encoded(Input& input, uint64_t encoding, Buffer& scratch) {
  if (encoding == kLzf) return read_lzf(input, scratch);
  if (encoding > kInt32) return input.damaged("unknown string encoding");
  TRY(const std::string_view bytes, input.take(uint64_t{1} << encoding));
  int64_t value = 0;
  switch (encoding) {
    case kInt8:
      value = load_little<int8_t>(bytes.data());
      break;
    case kInt16:
      value = load_little<int16_t>(bytes.data());
      break;
    default:
      value = load_little<int32_t>(bytes.data());
      break;
  }
  scratch.clear();
  scratch.commit(format_int(scratch.reserve(kIntTextMax), value));
  return scratch.view();
}

class Decoder {
 public:
  Decoder(Input& input, int version, ValueVisitor& visitor)
      : input_(input), version_(version), visitor_(visitor) {}

  Status decode(uint8_t type);

 private:
  Status string();
  Status list();
  Status set();
  enum class ScoreForm : uint8_t { kText, kBinary };
  Status sorted_set(ScoreForm form);
  enum class FieldForm : uint8_t { kPlain, kExpiryOld, kExpiry, kExpiryValkey };
  Status hash(FieldForm form);
  Status list_blob(BlobReader::Kind kind);
  Status quicklist();
  Status quicklist2();
  Status intset();
  Status set_blob();
  Status sorted_set_blob(BlobReader::Kind kind);
  Status hash_blob(BlobReader::Kind kind);
  Status hash_blob_with_expiry(bool with_minimum);

  Result<uint64_t> count();
  Result<double> text_score();
  Result<std::string_view> blob();
  Status each_list_element(std::string_view blob, BlobReader::Kind kind);
  // The element that must follow; an error at the blob's end or damage.
  Status require(BlobReader& reader, Element& element);
  // False at the end.
  Result<bool> advance(BlobReader& reader, Element& element);

  Input& input_;
  const int version_;
  ValueVisitor& visitor_;
  Buffer scratch_;
  Buffer second_;
};

Result<uint64_t> Decoder::count() {
  TRY(const uint64_t value, read_length(input_));
  // Each element has at least one byte.
  if (value > input_.left()) return input_.damaged("a count is larger than the data");
  return value;
}

Status Decoder::string() {
  TRY(const std::string_view value, read_string(input_, scratch_));
  return visitor_.string(value);
}

Status Decoder::list() {
  TRY(const uint64_t elements, count());
  TRY(visitor_.begin_list(elements));
  for (uint64_t index = 0; index < elements; ++index) {
    TRY(const std::string_view element, read_string(input_, scratch_));
    TRY(visitor_.list_element(element));
  }
  return done();
}

Status Decoder::set() {
  TRY(const uint64_t members, count());
  TRY(visitor_.begin_set(members));
  for (uint64_t index = 0; index < members; ++index) {
    TRY(const std::string_view member, read_string(input_, scratch_));
    TRY(visitor_.set_member(member));
  }
  return done();
}

// The form of old files: a length byte and text, or one of three lengths that stand for themselves.
Result<double> Decoder::text_score() {
  TRY(const uint8_t size, read_byte(input_));
  switch (size) {
    case 253:
      return input_.damaged("a score is not a number");
    case 254:
      return INFINITY;
    case 255:
      return -INFINITY;
    default:
      break;
  }
  TRY(const std::string_view text, input_.take(size));
  const auto score = parse_double(text);
  if (!score) return input_.damaged("a score is no number");
  return *score;
}

Status Decoder::sorted_set(ScoreForm form) {
  TRY(const uint64_t members, count());
  TRY(visitor_.begin_sorted_set(members));
  for (uint64_t index = 0; index < members; ++index) {
    TRY(const std::string_view view, read_string(input_, scratch_));
    second_.clear();
    second_.append(view);
    double score = 0;
    if (form == ScoreForm::kText) {
      TRY(score, text_score());
    } else {
      TRY(const uint64_t bits, read_little64(input_));
      score = std::bit_cast<double>(bits);
    }
    if (std::isnan(score)) return input_.damaged("a score is not a number");
    TRY(visitor_.sorted_set_member(second_.view(), score));
  }
  return done();
}

Status Decoder::hash(FieldForm form) {
  int64_t earliest = 0;
  if (form == FieldForm::kExpiry) {
    TRY(const uint64_t bits, read_little64(input_));
    earliest = static_cast<int64_t>(bits);
    if (earliest < 0) return input_.damaged("a field expiry is out of range");
  }
  TRY(const uint64_t fields, count());
  TRY(visitor_.begin_hash(fields));
  for (uint64_t index = 0; index < fields; ++index) {
    int64_t expiry = kNever;
    if (form == FieldForm::kExpiry || form == FieldForm::kExpiryOld) {
      TRY(const uint64_t stored, read_length(input_));
      // Relative to the earliest, plus one; zero says that there is none.
      const uint64_t base = form == FieldForm::kExpiry ? static_cast<uint64_t>(earliest) - 1 : 0;
      if (stored != 0) {
        if (stored > static_cast<uint64_t>(INT64_MAX) - base - 2) {
          return input_.damaged("a field expiry is out of range");
        }
        expiry = static_cast<int64_t>(stored + base);
      }
    }
    TRY(const std::string_view name, read_string(input_, scratch_));
    second_.clear();
    second_.append(name);
    TRY(const std::string_view value, read_string(input_, scratch_));
    if (form == FieldForm::kExpiryValkey) {
      // The time stands behind the value, which reading it may move.
      std::string kept(value);
      TRY(const uint64_t bits, read_little64(input_));
      const auto stored = static_cast<int64_t>(bits);
      if (stored < -1) return input_.damaged("a field expiry is out of range");
      if (stored != -1) expiry = stored;
      TRY(visitor_.hash_field(second_.view(), kept, expiry));
      continue;
    }
    TRY(visitor_.hash_field(second_.view(), value, expiry));
  }
  return done();
}

Result<std::string_view> Decoder::blob() { return read_string(input_, scratch_); }

Result<bool> Decoder::advance(BlobReader& reader, Element& element) {
  switch (reader.next(element)) {
    case BlobReader::Step::kElement:
      return true;
    case BlobReader::Step::kEnd:
      return false;
    case BlobReader::Step::kDamaged:
      break;
  }
  return input_.damaged("a packed value is damaged");
}

Status Decoder::require(BlobReader& reader, Element& element) {
  TRY(const bool there, advance(reader, element));
  if (!there) return input_.damaged("a packed value lacks the second of a pair");
  return done();
}

Status Decoder::each_list_element(std::string_view bytes, BlobReader::Kind kind) {
  BlobReader reader(kind, bytes);
  if (!reader.open()) return input_.damaged("a packed list is damaged");
  Element element;
  while (true) {
    TRY(const bool there, advance(reader, element));
    if (!there) return done();
    TRY(visitor_.list_element(element.text()));
  }
}

Status Decoder::list_blob(BlobReader::Kind kind) {
  TRY(const std::string_view bytes, blob());
  TRY(visitor_.begin_list(0));
  return each_list_element(bytes, kind);
}

Status Decoder::quicklist() {
  TRY(const uint64_t nodes, count());
  TRY(visitor_.begin_list(0));
  for (uint64_t index = 0; index < nodes; ++index) {
    TRY(const std::string_view bytes, blob());
    TRY(each_list_element(bytes, BlobReader::Kind::kZiplist));
  }
  return done();
}

Status Decoder::quicklist2() {
  TRY(const uint64_t nodes, count());
  TRY(visitor_.begin_list(0));
  for (uint64_t index = 0; index < nodes; ++index) {
    TRY(const uint64_t container, read_length(input_));
    TRY(const std::string_view bytes, blob());
    if (container == kNodePlain) {
      TRY(visitor_.list_element(bytes));
    } else if (container == kNodePacked) {
      TRY(each_list_element(bytes, BlobReader::Kind::kListpack));
    } else {
      return input_.damaged("unknown kind of list node");
    }
  }
  return done();
}

Status Decoder::intset() {
  TRY(const std::string_view bytes, blob());
  IntsetReader reader;
  if (!reader.open(bytes)) return input_.damaged("a set of integers is damaged");
  TRY(visitor_.begin_set(reader.count()));
  Element element;
  for (uint64_t index = 0; index < reader.count(); ++index) {
    element.set_integer(reader.at(index));
    TRY(visitor_.set_member(element.text()));
  }
  return done();
}

Status Decoder::set_blob() {
  TRY(const std::string_view bytes, blob());
  BlobReader reader(BlobReader::Kind::kListpack, bytes);
  if (!reader.open()) return input_.damaged("a packed set is damaged");
  TRY(visitor_.begin_set(reader.declared_count().value_or(0)));
  Element element;
  while (true) {
    TRY(const bool there, advance(reader, element));
    if (!there) return done();
    TRY(visitor_.set_member(element.text()));
  }
}

Status Decoder::sorted_set_blob(BlobReader::Kind kind) {
  TRY(const std::string_view bytes, blob());
  BlobReader reader(kind, bytes);
  if (!reader.open()) return input_.damaged("a packed sorted set is damaged");
  TRY(visitor_.begin_sorted_set(reader.declared_count().value_or(0) / 2));
  Element member;
  Element score;
  while (true) {
    TRY(const bool there, advance(reader, member));
    if (!there) return done();
    TRY(require(reader, score));
    const auto value =
        score.is_integer() ? static_cast<double>(score.integer()) : parse_double(score.text());
    if (!value || std::isnan(*value)) return input_.damaged("a score is no number");
    TRY(visitor_.sorted_set_member(member.text(), *value));
  }
}

Status Decoder::hash_blob(BlobReader::Kind kind) {
  TRY(const std::string_view bytes, blob());
  BlobReader reader(kind, bytes);
  if (!reader.open()) return input_.damaged("a packed hash is damaged");
  TRY(visitor_.begin_hash(reader.declared_count().value_or(0) / 2));
  Element name;
  Element value;
  while (true) {
    TRY(const bool there, advance(reader, name));
    if (!there) return done();
    TRY(require(reader, value));
    TRY(visitor_.hash_field(name.text(), value.text(), kNever));
  }
}

Status Decoder::hash_blob_with_expiry(bool with_minimum) {
  if (with_minimum) TRY(read_little64(input_));
  TRY(const std::string_view bytes, blob());
  BlobReader reader(BlobReader::Kind::kListpack, bytes);
  if (!reader.open()) return input_.damaged("a packed hash is damaged");
  TRY(visitor_.begin_hash(reader.declared_count().value_or(0) / 3));
  Element name;
  Element value;
  Element time;
  while (true) {
    TRY(const bool there, advance(reader, name));
    if (!there) return done();
    TRY(require(reader, value));
    TRY(require(reader, time));
    if (!time.is_integer() || time.integer() < 0) {
      return input_.damaged("a field expiry is out of range");
    }
    TRY(visitor_.hash_field(name.text(), value.text(),
                            time.integer() == 0 ? kNever : time.integer()));
  }
}

Status Decoder::decode(uint8_t type) {
  using Kind = BlobReader::Kind;
  switch (type) {
    case kString:
      return string();
    case kList:
      return list();
    case kSet:
      return set();
    case kSortedSetText:
      return sorted_set(ScoreForm::kText);
    case kSortedSet:
      return sorted_set(ScoreForm::kBinary);
    case kHash:
      return hash(FieldForm::kPlain);
    case kHashZipmap:
      return hash_blob(Kind::kZipmap);
    case kListZiplist:
      return list_blob(Kind::kZiplist);
    case kSetIntset:
      return intset();
    case kSortedSetZiplist:
      return sorted_set_blob(Kind::kZiplist);
    case kHashZiplist:
      return hash_blob(Kind::kZiplist);
    case kListQuicklist:
      return quicklist();
    case kHashListpack:
      return hash_blob(Kind::kListpack);
    case kSortedSetListpack:
      return sorted_set_blob(Kind::kListpack);
    case kListQuicklist2:
      return quicklist2();
    case kSetListpack:
      return set_blob();
    case kHashExpiryOld:
      return hash(version_ >= kValkeyVersion ? FieldForm::kExpiryValkey : FieldForm::kExpiryOld);
    case kHashListpackExpiryOld:
      return hash_blob_with_expiry(false);
    case kHashExpiry:
      return hash(FieldForm::kExpiry);
    case kHashListpackExpiry:
      return hash_blob_with_expiry(true);
    case kStreamOne:
    case kStreamTwo:
    case kStreamThree:
      return Error(ErrorCode::kUnsupported,
                   "the value is a stream, which this version does not have");
    case kModuleOld:
    case kModule:
      return Error(ErrorCode::kUnsupported, "the value belongs to a module");
    default:
      return input_.damaged("unknown value type " + std::to_string(type));
  }
}

}  // namespace

Result<uint8_t> read_byte(Input& input) {
  TRY(const std::string_view bytes, input.take(1));
  return static_cast<uint8_t>(bytes[0]);
}

Result<uint64_t> read_little64(Input& input) {
  TRY(const std::string_view bytes, input.take(8));
  return load_little<uint64_t>(bytes.data());
}

Result<LengthOrEncoding> read_length_or_encoding(Input& input) {
  TRY(const uint8_t first, read_byte(input));
  switch (first >> 6) {
    case k6Bit:
      return LengthOrEncoding{.value = first & 0x3fu};
    case k14Bit: {
      TRY(const uint8_t second, read_byte(input));
      return LengthOrEncoding{.value = ((first & 0x3fu) << 8) | second};
    }
    case kEncoded:
      return LengthOrEncoding{.value = first & 0x3fu, .is_encoding = true};
    default:
      break;
  }
  if (first != k32Bit && first != k64Bit) return input.damaged("a length is damaged");
  TRY(const std::string_view bytes, input.take(first == k32Bit ? 4 : 8));
  return LengthOrEncoding{.value = big_endian(bytes)};
}

Result<uint64_t> read_length(Input& input) {
  TRY(const LengthOrEncoding length, read_length_or_encoding(input));
  if (length.is_encoding) return input.damaged("a length is damaged");
  return length.value;
}

Result<std::string_view> read_string(Input& input, Buffer& scratch) {
  TRY(const LengthOrEncoding length, read_length_or_encoding(input));
  if (length.is_encoding) return read_encoded(input, length.value, scratch);
  return input.take(length.value);
}

Status decode_value(Input& input, uint8_t type, int version, ValueVisitor& visitor) {
  return Decoder(input, version, visitor).decode(type);
}

}  // namespace quorate::rdb

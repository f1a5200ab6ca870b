// The value classes written as RDB types, and built from a decoder's calls.
#include "store/codec.h"

#include <algorithm>
#include <utility>

#include "store/hash.h"
#include "store/list.h"
#include "store/rdb/blob.h"
#include "store/rdb/decoder.h"
#include "store/rdb/format.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "store/value.h"
#include "util/hash.h"
#include "util/number.h"
#include "util/varint.h"

namespace quorate {

namespace {

template <class T>
const T& object_of(const Entry& entry) {
  return *static_cast<const T*>(entry.object());
}

// ---- writing
// --------------------------------------------------------------------------------------

// A list node takes elements up to this many bytes; a larger element has a node of its own.
constexpr size_t kListNodeBytes = 8192;

class ValueEncoder {
 public:
  ValueEncoder(const StoreSettings& settings, const EncodeOptions& options, Buffer& out)
      : settings_(settings), options_(options), out_(out) {}

  bool encode(const Entry& entry);

 private:
  void list(const List& list);
  void set(const Set& set);
  void intset(const Set& set);
  void sorted_set(const SortedSet& sorted_set);
  bool hash(const Hash& hash);
  bool plain_hash(const Hash& hash);
  void hash_with_expiry(const Hash& hash);

  void type(uint8_t number) { out_.push_back(static_cast<char>(number)); }
  void string(std::string_view value) { rdb::write_string(out_, value, options_.compression); }
  void blob(std::string_view value) { rdb::write_blob(out_, value, options_.compression); }

  const StoreSettings& settings_;
  const EncodeOptions& options_;
  Buffer& out_;
};

bool ValueEncoder::encode(const Entry& entry) {
  switch (entry.type()) {
    case ValueType::kString:
      type(rdb::kString);
      string(entry.string());
      return true;
    case ValueType::kList:
      list(object_of<List>(entry));
      return true;
    case ValueType::kSet:
      set(object_of<Set>(entry));
      return true;
    case ValueType::kSortedSet:
      sorted_set(object_of<SortedSet>(entry));
      return true;
    case ValueType::kHash:
      return hash(object_of<Hash>(entry));
    case ValueType::kStream:
      break;
  }
  CHECK(false);
}

void ValueEncoder::list(const List& list) {
  type(rdb::kListQuicklist2);
  // The number of nodes stands in front; nearly always it is one byte long.
  const size_t count_at = out_.size();
  out_.push_back(0);
  uint64_t nodes = 0;
  Buffer node;
  std::optional<rdb::ListpackWriter> writer;
  const auto close_node = [&] {
    if (!writer) return;
    writer->finish();
    writer.reset();
    rdb::write_length(out_, rdb::kNodePacked);
    blob(node.view());
    ++nodes;
  };
  list.for_each([&](std::string_view element) {
    if (element.size() > kListNodeBytes) {
      close_node();
      rdb::write_length(out_, rdb::kNodePlain);
      blob(element);
      ++nodes;
      return;
    }
    if (writer && writer->size() + element.size() > kListNodeBytes) close_node();
    if (!writer) {
      node.clear();
      writer.emplace(node);
    }
    writer->add(element);
  });
  close_node();
  Buffer count;
  rdb::write_length(count, nodes);
  if (count.size() > 1) out_.insert_gap(count_at, count.size() - 1);
  std::copy(count.data(), count.data() + count.size(), out_.data() + count_at);
}

void ValueEncoder::intset(const Set& set) {
  type(rdb::kSetIntset);
  int64_t least = 0;
  int64_t greatest = 0;
  const auto number = [](std::string_view member) {
    const auto value = parse_int(member);
    CHECK(value.has_value());
    return *value;
  };
  set.for_each([&](std::string_view member) {
    least = std::min(least, number(member));
    greatest = std::max(greatest, number(member));
  });
  const bool fits16 = least >= INT16_MIN && greatest <= INT16_MAX;
  const bool fits32 = least >= INT32_MIN && greatest <= INT32_MAX;
  const uint32_t width = fits16 ? 2 : fits32 ? 4 : 8;
  Buffer bytes;
  append_little<uint32_t>(bytes, width);
  append_little<uint32_t>(bytes, static_cast<uint32_t>(set.size()));
  set.for_each([&](std::string_view member) {
    const auto value = static_cast<uint64_t>(number(member));
    for (uint32_t index = 0; index < width; ++index) {
      bytes.push_back(static_cast<char>(value >> (8 * index)));
    }
  });
  blob(bytes.view());
}

void ValueEncoder::set(const Set& set) {
  const std::string_view encoding = set.encoding_name(settings_);
  if (encoding == "intset") return intset(set);
  if (encoding == "listpack" && options_.version >= rdb::kSetListpackVersion) {
    type(rdb::kSetListpack);
    Buffer bytes;
    rdb::ListpackWriter writer(bytes);
    set.for_each([&](std::string_view member) { writer.add(member); });
    writer.finish();
    return blob(bytes.view());
  }
  type(rdb::kSet);
  rdb::write_length(out_, set.size());
  set.for_each([&](std::string_view member) { string(member); });
}

void ValueEncoder::sorted_set(const SortedSet& sorted_set) {
  if (sorted_set.encoding_name(settings_) == "listpack") {
    type(rdb::kSortedSetListpack);
    Buffer bytes;
    rdb::ListpackWriter writer(bytes);
    sorted_set.for_each([&](std::string_view member, double score) {
      writer.add(member);
      char text[kDoubleTextMax];
      writer.add({text, format_double(text, score)});
    });
    writer.finish();
    return blob(bytes.view());
  }
  // From the greatest down, as Redis does: it inserts at the head of its list fastest.
  type(rdb::kSortedSet);
  rdb::write_length(out_, sorted_set.size());
  sorted_set.walk(sorted_set.size() - 1, sorted_set.size(), SortedSet::Direction::kDown,
                  [&](std::string_view member, double score) {
                    string(member);
                    rdb::write_double(out_, score);
                    return true;
                  });
}

bool ValueEncoder::hash(const Hash& hash) {
  const bool expires = hash.next_expiry() != kNever;
  if (expires && options_.field_expiry == EncodeOptions::FieldExpiry::kKeep) {
    hash_with_expiry(hash);
    return true;
  }
  return plain_hash(hash);
}

bool ValueEncoder::plain_hash(const Hash& hash) {
  size_t live = 0;
  const bool all_live = hash.next_expiry() > options_.now;
  if (all_live) {
    live = hash.size();
  } else {
    hash.for_each([&](const Hash::Field& field) { live += field.is_live(options_.now) ? 1 : 0; });
  }
  if (live == 0) return false;
  const auto each_live = [&](auto&& visit) {
    hash.for_each([&](const Hash::Field& field) {
      if (field.is_live(options_.now)) visit(field);
    });
  };
  if (hash.encoding_name(settings_) != "hashtable") {
    type(rdb::kHashListpack);
    Buffer bytes;
    rdb::ListpackWriter writer(bytes);
    each_live([&](const Hash::Field& field) {
      writer.add(field.name);
      writer.add(field.value);
    });
    writer.finish();
    blob(bytes.view());
    return true;
  }
  type(rdb::kHash);
  rdb::write_length(out_, live);
  each_live([&](const Hash::Field& field) {
    string(field.name);
    string(field.value);
  });
  return true;
}

// Times are stored relative to the earliest, plus one, so that zero can say "none".
void ValueEncoder::hash_with_expiry(const Hash& hash) {
  type(rdb::kHashExpiry);
  const int64_t earliest = std::max<int64_t>(hash.next_expiry(), 0);
  rdb::write_little64(out_, static_cast<uint64_t>(earliest));
  rdb::write_length(out_, hash.size());
  hash.for_each([&](const Hash::Field& field) {
    const int64_t expiry = std::max(field.expiry, earliest);
    rdb::write_length(out_, expiry == kNever ? 0 : static_cast<uint64_t>(expiry - earliest) + 1);
    string(field.name);
    string(field.value);
  });
}

// ---- reading
// --------------------------------------------------------------------------------------

// Builds one entry.  Until release() it owns what it has built.
class EntryBuilder final : public rdb::ValueVisitor {
 public:
  EntryBuilder(std::string_view key, int64_t expiry, const StoreSettings& settings)
      : key_(key), expiry_(expiry), settings_(settings) {}
  ~EntryBuilder() override {
    if (entry_ != nullptr) destroy_entry(entry_);
  }
  // The finished entry, or null if the container is empty.
  Entry* release();

  Status string(std::string_view value) override {
    entry_ = Entry::create_string(key_, value, expiry_);
    return done();
  }
  Status begin_list(uint64_t) override { return begin(ValueType::kList); }
  Status list_element(std::string_view element) override {
    TRY(check_size(element));
    object<List>().push_back(element);
    ++elements_;
    return done();
  }
  Status begin_set(uint64_t) override { return begin(ValueType::kSet); }
  Status set_member(std::string_view member) override {
    TRY(check_size(member));
    if (!object<Set>().add(member, settings_)) return twice("a member");
    ++elements_;
    return done();
  }
  Status begin_sorted_set(uint64_t) override { return begin(ValueType::kSortedSet); }
  Status sorted_set_member(std::string_view member, double score) override {
    TRY(check_size(member));
    if (!object<SortedSet>().set(member, score, settings_)) return twice("a member");
    ++elements_;
    return done();
  }
  Status begin_hash(uint64_t count) override {
    TRY(begin(ValueType::kHash));
    object<Hash>().expect(trusted(count), settings_);
    return done();
  }
  Status hash_field(std::string_view name, std::string_view value, int64_t expiry) override {
    TRY(check_size(name));
    TRY(check_size(value));
    if (object<Hash>().set(name, value, settings_) != Hash::Stored::kNew) return twice("a field");
    if (expiry != kNever) object<Hash>().set_expiry(name, expiry, settings_);
    ++elements_;
    return done();
  }

 private:
  // A larger number is believed only as its elements arrive.
  static constexpr uint64_t kTrustedCountMax = 1 << 16;
  static size_t trusted(uint64_t count) {
    return static_cast<size_t>(std::min(count, kTrustedCountMax));
  }
  template <class T>
  T& object() {
    return *static_cast<T*>(entry_->object());
  }
  Status begin(ValueType type) {
    entry_ = Entry::create_object(key_, type, expiry_);
    return done();
  }
  static Status check_size(std::string_view bytes) {
    if (bytes.size() <= packed::kElementSizeMax) return done();
    return Error(ErrorCode::kUnsupported, "an element is longer than 4 GB");
  }
  static Error twice(const char* what) {
    return Error(ErrorCode::kCorrupt, std::string(what) + " stands twice in a value");
  }

  const std::string_view key_;
  const int64_t expiry_;
  const StoreSettings& settings_;
  Entry* entry_ = nullptr;
  uint64_t elements_ = 0;
};

Entry* EntryBuilder::release() {
  if (!entry_->is_string() && elements_ == 0) return nullptr;
  return std::exchange(entry_, nullptr);
}

constexpr size_t kPayloadFooter = sizeof(uint16_t) + sizeof(uint64_t);

}  // namespace

bool encode_value(const Entry& entry, const StoreSettings& settings, const EncodeOptions& options,
                  Buffer& out) {
  return ValueEncoder(settings, options, out).encode(entry);
}

bool has_field_expiry(const Entry& entry) {
  return entry.type() == ValueType::kHash && object_of<Hash>(entry).next_expiry() != kNever;
}

Result<Entry*> decode_value(rdb::Input& input, uint8_t type, int version, std::string_view key,
                            int64_t expiry, const StoreSettings& settings) {
  EntryBuilder builder(key, expiry, settings);
  TRY(rdb::decode_value(input, type, version, builder));
  return builder.release();
}

void destroy_entry(Entry* entry) {
  destroy_value(entry);
  Entry::free_block(entry);
}

void encode_payload(const Entry& entry, const StoreSettings& settings, Buffer& out) {
  const size_t start = out.size();
  int version = settings.rdb_version;
  if (has_field_expiry(entry)) version = std::max(version, rdb::kHashExpiryVersion);
  const EncodeOptions options{
      .version = version,
      .compression = settings.rdb_compression ? rdb::Compression::kOn : rdb::Compression::kOff};
  encode_value(entry, settings, options, out);
  append_little<uint16_t>(out, static_cast<uint16_t>(version));
  append_little<uint64_t>(out, crc64(0, out.view_from(start)));
}

Result<Entry*> decode_payload(std::string_view payload, std::string_view key, int64_t expiry,
                              const StoreSettings& settings) {
  if (payload.size() < 1 + kPayloadFooter) return ErrorCode::kBadRestorePayload;
  const size_t body_size = payload.size() - kPayloadFooter;
  const int version = load_little<uint16_t>(payload.data() + body_size);
  const auto stored = load_little<uint64_t>(payload.data() + payload.size() - sizeof(uint64_t));
  if (!rdb::is_readable_version(version)) return ErrorCode::kBadRestorePayload;
  if (stored != crc64(0, payload.substr(0, payload.size() - sizeof(uint64_t)))) {
    return ErrorCode::kBadRestorePayload;
  }
  rdb::MemoryInput input(payload.substr(1, body_size - 1));
  TRY(Entry * entry,
      decode_value(input, static_cast<uint8_t>(payload[0]), version, key, expiry, settings));
  if (entry == nullptr) return Error(ErrorCode::kCorrupt, "the value is empty");
  // Redis does not mind bytes behind the value, so neither do we.
  return entry;
}

}  // namespace quorate

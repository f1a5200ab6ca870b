// Digests over the elements of values.
#include "node/digest.h"

#include "store/codec.h"
#include "store/rdb/decoder.h"
#include "util/number.h"

namespace quorate {

namespace {

// The elements as the RDB decoder names them, whatever the encoding.
class DigestVisitor final : public rdb::ValueVisitor {
 public:
  Status string(std::string_view value) override {
    digest.append(value);
    return done();
  }
  Status begin_list(uint64_t) override { return done(); }
  Status list_element(std::string_view element) override {
    digest.append(element);
    return done();
  }
  Status begin_set(uint64_t) override { return done(); }
  Status set_member(std::string_view member) override {
    mix({member});
    return done();
  }
  Status begin_sorted_set(uint64_t) override { return done(); }
  Status sorted_set_member(std::string_view member, double score) override {
    char text[kDoubleTextMax];
    mix({member, {text, format_double(text, score)}});
    return done();
  }
  Status begin_hash(uint64_t) override { return done(); }
  Status hash_field(std::string_view name, std::string_view value, int64_t expiry) override {
    mix({name, value, expiry == kNever ? std::string_view() : std::string_view("expires")});
    return done();
  }

  Digest digest;

 private:
  void mix(std::initializer_list<std::string_view> parts) {
    Digest element;
    for (const std::string_view part : parts) element.append(part);
    digest.mix(element);
  }
};

}  // namespace

void Digest::append(std::string_view bytes) {
  for (uint64_t index = 0; index < words_.size(); ++index) {
    words_[index] = hash64(bytes, words_[index] * 0x9E3779B97F4A7C15 + bytes.size() + index + 1);
  }
}

std::string Digest::hex() const {
  constexpr char kHex[] = "0123456789abcdef";
  constexpr size_t kDigits = 40;
  std::string text;
  for (size_t digit = 0; digit < kDigits; ++digit) {
    text.push_back(kHex[(words_[digit / 16] >> (4 * (digit % 16))) & 15]);
  }
  return text;
}

Digest digest_of_value(const Entry& entry, const StoreSettings& settings) {
  const EncodeOptions options{.version = rdb::kHashExpiryVersion, .compression = rdb::Compression::kOff};
  Buffer bytes;
  DigestVisitor visitor;
  if (encode_value(entry, settings, options, bytes)) {
    rdb::MemoryInput input(bytes.view().substr(1));
    const auto type = static_cast<uint8_t>(bytes.view()[0]);
    const Status decoded = rdb::decode_value(input, type, options.version, visitor);
    CHECK(decoded.ok());
  }
  visitor.digest.append(type_name(entry.type()));
  if (entry.has_expiry()) visitor.digest.append("!!expire!!");
  return visitor.digest;
}

Digest digest_of_store(Store& store) {
  Digest sum;
  for (int index = 0; index < store.database_count(); ++index) {
    store.database(index).for_each([&](const Entry* entry) {
      Digest key = digest_of_value(*entry, store.settings());
      key.append(entry->key());
      key.append(std::to_string(index));
      sum.mix(key);
    });
  }
  return sum;
}

}  // namespace quorate

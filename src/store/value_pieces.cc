// Sets and hashes by their scan, sorted sets by rank, lists by a walk that pauses.
#include "store/value_pieces.h"

#include <algorithm>

#include "store/hash.h"
#include "store/list.h"
#include "store/rdb/format.h"
#include "store/set.h"
#include "store/sorted_set.h"
#include "store/value.h"
#include "util/check.h"

namespace quorate {

namespace {

template <class T>
const T& object_of(const Entry& entry) {
  return *static_cast<const T*>(entry.object());
}

}  // namespace

bool ValuePieces::suit(const Entry& entry, const StoreSettings& settings, const EncodeOptions& options) {
  if (entry.is_string() || value_size(entry) < settings.pieces_from) return false;
  switch (entry.type()) {
    case ValueType::kSet:
      return object_of<Set>(entry).encoding_name(settings) == "hashtable";
    case ValueType::kHash:
      // What is left out would have to be counted first.
      if (options.field_expiry == EncodeOptions::FieldExpiry::kDrop && has_field_expiry(entry)) return false;
      return object_of<Hash>(entry).encoding_name(settings) == "hashtable";
    case ValueType::kSortedSet:
      return object_of<SortedSet>(entry).encoding_name(settings) == "skiplist";
    case ValueType::kList:
      return true;
    case ValueType::kString:
    case ValueType::kStream:
      return false;
  }
  CHECK(false);
}

void ValuePieces::begin(const Entry& entry, const EncodeOptions& options, Buffer& out) {
  CHECK(left_ == 0);
  entry_ = &entry;
  options_ = options;
  left_ = value_size(entry);
  given_ = 0;
  cursor_ = 0;
  list_walk_ = List::Walk();
  first_expiry_ = kNever;
  switch (entry.type()) {
    case ValueType::kSet:
      out.push_back(static_cast<char>(rdb::kSet));
      break;
    case ValueType::kHash:
      begin_hash(out);
      break;
    case ValueType::kSortedSet:
      out.push_back(static_cast<char>(rdb::kSortedSet));
      break;
    case ValueType::kList:
      out.push_back(static_cast<char>(rdb::kList));
      break;
    case ValueType::kString:
    case ValueType::kStream:
      CHECK(false);
  }
  rdb::write_length(out, left_);
}

void ValuePieces::begin_hash(Buffer& out) {
  if (!has_field_expiry(*entry_)) {
    out.push_back(static_cast<char>(rdb::kHash));
    return;
  }
  first_expiry_ = std::max<int64_t>(object_of<Hash>(*entry_).next_expiry(), 0);
  out.push_back(static_cast<char>(rdb::kHashExpiry));
  rdb::write_little64(out, static_cast<uint64_t>(first_expiry_));
}

bool ValuePieces::give(size_t elements, Buffer& out) {
  constexpr size_t kBytesMax = 64 << 10;
  constexpr size_t kRunMin = 4;
  constexpr size_t kSmallRunBytes = 4 << 10;
  if (left_ == 0) return false;
  if (options_.compression == rdb::Compression::kOn) elements = std::max<size_t>(elements / kCompressionCost, 1);
  const size_t end = out.size() + kBytesMax;
  const size_t given_at_first = given_;
  size_t run = std::min(elements, kRunMin);
  while (left_ != 0 && given_ - given_at_first < elements && out.size() < end) {
    const size_t given_before = given_;
    const size_t size_before = out.size();
    switch (entry_->type()) {
      case ValueType::kSet:
        give_set(run, out);
        break;
      case ValueType::kHash:
        give_hash(run, out);
        break;
      case ValueType::kSortedSet:
        give_sorted_set(run, out);
        break;
      case ValueType::kList:
        give_list(run, out);
        break;
      case ValueType::kString:
      case ValueType::kStream:
        CHECK(false);
    }
    // Whoever reads it believes the number in front: more or fewer would spoil the file.
    CHECK(given_ - given_before <= left_);
    left_ -= given_ - given_before;
    const bool is_scanned = entry_->type() == ValueType::kSet || entry_->type() == ValueType::kHash;
    if (is_scanned && cursor_ == 0) CHECK(left_ == 0);
    // Elements that are not large may go all at once.
    if (out.size() - size_before < kSmallRunBytes) run = elements;
  }
  return left_ != 0;
}

void ValuePieces::write(std::string_view element, Buffer& out) const {
  rdb::write_string(out, element, element.size() < kCompressFrom ? rdb::Compression::kOff : options_.compression);
}

void ValuePieces::give_set(size_t elements, Buffer& out) {
  cursor_ = object_of<Set>(*entry_).scan(cursor_, elements, [&](std::string_view member) {
    write(member, out);
    ++given_;
    return true;
  });
}

void ValuePieces::give_hash(size_t elements, Buffer& out) {
  cursor_ = object_of<Hash>(*entry_).scan(cursor_, elements, [&](const Hash::Field& field) {
    if (first_expiry_ != kNever) {
      // Times are stored relative to the earliest, plus one, so that zero can say "none".
      const int64_t expiry = std::max(field.expiry, first_expiry_);
      rdb::write_length(out, expiry == kNever ? 0 : static_cast<uint64_t>(expiry - first_expiry_) + 1);
    }
    write(field.name, out);
    write(field.value, out);
    ++given_;
  });
}

// From the greatest down, as when it is written at once.
void ValuePieces::give_sorted_set(size_t elements, Buffer& out) {
  object_of<SortedSet>(*entry_).walk(left_ - 1, std::min(elements, left_), SortedSet::Direction::kDown,
                                     [&](std::string_view member, double score) {
                                       write(member, out);
                                       rdb::write_double(out, score);
                                       ++given_;
                                       return true;
                                     });
}

void ValuePieces::give_list(size_t elements, Buffer& out) {
  list_walk_.go_on(object_of<List>(*entry_), std::min(elements, left_), [&](std::string_view element) {
    write(element, out);
    ++given_;
  });
}

}  // namespace quorate

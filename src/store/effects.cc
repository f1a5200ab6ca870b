// The encoding of effects; docs/FORMATS.md has the grammar.
#include "store/effects.h"

#include <cstring>

#include "util/varint.h"

namespace quorate {

namespace {

// A logical database is an int everywhere else.
constexpr uint64_t kDatabaseMax = INT32_MAX;

}  // namespace

void Effects::add(int database, const Key& key, std::span<const std::string_view> args) {
  if (!collecting_) return;
  size_t room = 2 * kVarintMax + sizeof(uint16_t) + args.size() * kVarintMax;
  for (const std::string_view arg : args) room += arg.size();
  char* const begin = bytes_.reserve(room);
  char* at = put_varint(begin, static_cast<uint64_t>(database));
  store_little<uint16_t>(at, key.slot);
  at = put_varint(at + sizeof(uint16_t), args.size());
  for (const std::string_view arg : args) {
    at = put_varint(at, arg.size());
    if (!arg.empty()) std::memcpy(at, arg.data(), arg.size());
    at += arg.size();
  }
  bytes_.commit(static_cast<size_t>(at - begin));
  ++count_;
}

Status EffectReader::next(Effect& effect) {
  CHECK(!at_end());
  const auto damaged = [](const char* what) {
    return Error(ErrorCode::kCorrupt, std::string("effect: ") + what);
  };
  uint64_t database = 0;
  uint64_t count = 0;
  if (!take_varint(left_, database) || database > kDatabaseMax) return damaged("bad database");
  if (!take_little<uint16_t>(left_, effect.slot) || effect.slot >= kSlotCount) {
    return damaged("bad slot");
  }
  // Each argument has at least its length byte, so a larger count is a lie.
  if (!take_varint(left_, count) || count == 0 || count > left_.size()) {
    return damaged("bad argument count");
  }
  effect.database = static_cast<int>(database);
  effect.args.clear();
  for (uint64_t index = 0; index < count; ++index) {
    std::string_view arg;
    if (!take_sized(left_, arg)) return damaged("argument is cut off");
    effect.args.push_back(arg);
  }
  return done();
}

}  // namespace quorate

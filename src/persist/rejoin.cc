// The bytes of node.rejoin, and the order in which one node ends and the next begins.
//
//   "QRTJOIN", u8 version, u64 former, u64 node, varint count, (sized host, u16 port) *,
//   u64 XXH3 of the bytes before
#include "persist/rejoin.h"

#include <algorithm>

#include "persist/log_format.h"
#include "persist/replace_now.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr std::string_view kMagic("QRTJOIN\x01", 8);
constexpr uint64_t kSeed = 0x6e6f64656a6f696e;
constexpr std::string_view kOwnPrefix = "node.";

Error damaged() {
  // Without it the node would not know whom to join, and would found a cluster of its own.
  return Error(ErrorCode::kCorrupt,
               std::string(kRejoinFile) +
                   ": damaged, so it is not known which cluster this node is to join, and nothing "
                   "was changed. Remove the node that was there from the cluster if it is still a "
                   "member, and let this one join anew with an empty directory (--join)");
}

Result<std::optional<Rejoin>> read_rejoin(Disk& disk) {
  TRY(const std::vector<std::string> files, disk.list());
  if (std::find(files.begin(), files.end(), kRejoinFile) == files.end()) {
    return std::optional<Rejoin>();
  }
  TRY(const uint64_t size, disk.size(kRejoinFile));
  Buffer bytes;
  TRY(disk.read(kRejoinFile, 0, static_cast<size_t>(size), bytes));
  auto rejoin = decode_rejoin(bytes.view());
  if (!rejoin) return damaged();
  return rejoin;
}

std::string hex_of(uint64_t number) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(number >> shift) & 15];
  return text;
}

// What the former node has written: its log, and what it says of itself.
bool is_of_node(const std::string& file, uint32_t shard) {
  const auto name = parse_name(file);
  if (name) return name->shard == shard && name->kind != ParsedName::Kind::kTemporary;
  return file.starts_with(kOwnPrefix) && file != kRejoinFile && !file.ends_with(kDamagedSuffix) &&
         !file.ends_with(kTemporarySuffix);
}

// An earlier start may have been cut off before the file that says so was durable under its name.
Status set_aside(Disk& disk, uint32_t shard, uint64_t former) {
  TRY(disk.sync_directory());
  TRY(const std::vector<std::string> files, disk.list());
  const std::string suffix = "." + hex_of(former) + std::string(kDamagedSuffix);
  for (const std::string& file : files) {
    if (is_of_node(file, shard)) TRY(disk.rename(file, file + suffix));
  }
  return disk.sync_directory();
}

// While the identity is not the new node's, whatever lies there is the former one's.
Result<NodeIdentity> begin_in_place(Disk& disk, uint32_t shard, const Rejoin& rejoin) {
  TRY(const std::optional<NodeIdentity> found, read_identity(disk));
  if (found && found->id == rejoin.node) return begin_incarnation(disk, rejoin.node);
  TRY(set_aside(disk, shard, rejoin.former));
  return begin_identity(disk, rejoin.node);
}

}  // namespace

std::string encode(const Rejoin& rejoin) {
  Buffer out;
  out.append(kMagic);
  append_little<uint64_t>(out, rejoin.former);
  append_little<uint64_t>(out, rejoin.node);
  append_varint(out, rejoin.members.size());
  for (const Rejoin::Address& member : rejoin.members) {
    append_sized(out, member.host);
    append_little<uint16_t>(out, member.port);
  }
  append_little<uint64_t>(out, hash64(out.view(), kSeed));
  return std::string(out.view());
}

std::optional<Rejoin> decode_rejoin(std::string_view bytes) {
  constexpr size_t kCheckSize = sizeof(uint64_t);
  if (bytes.size() < kMagic.size() + kCheckSize || !bytes.starts_with(kMagic)) return std::nullopt;
  const std::string_view checked = bytes.substr(0, bytes.size() - kCheckSize);
  if (load_little<uint64_t>(bytes.data() + checked.size()) != hash64(checked, kSeed)) {
    return std::nullopt;
  }
  std::string_view rest = checked.substr(kMagic.size());
  Rejoin rejoin;
  uint64_t count = 0;
  if (!take_little<uint64_t>(rest, rejoin.former) || !take_little<uint64_t>(rest, rejoin.node) ||
      !take_varint(rest, count) || count > Rejoin::kMembersMax) {
    return std::nullopt;
  }
  for (; count > 0; --count) {
    std::string_view host;
    uint16_t port = 0;
    if (!take_sized(rest, host) || host.empty() || host.size() > Rejoin::kHostMax ||
        !take_little<uint16_t>(rest, port)) {
      return std::nullopt;
    }
    rejoin.members.push_back({.host = std::string(host), .port = port});
  }
  const bool has_ids = rejoin.former != 0 && rejoin.node != 0 && rejoin.former != rejoin.node;
  if (!has_ids || !rest.empty()) return std::nullopt;
  return rejoin;
}

Status write_rejoin(Disk& disk, const Rejoin& rejoin) {
  return replace_now(disk, kRejoinFile, encode(rejoin));
}

Status remove_rejoin(Disk& disk) {
  TRY(disk.remove(kRejoinFile));
  return disk.sync_directory();
}

Result<Life> begin_life(Disk& disk, uint32_t shard, uint64_t random) {
  TRY(std::optional<Rejoin> rejoin, read_rejoin(disk));
  if (!rejoin) {
    TRY(const NodeIdentity identity, begin_incarnation(disk, random));
    return Life{.identity = identity};
  }
  Result<NodeIdentity> identity = begin_in_place(disk, shard, *rejoin);
  if (!identity.ok()) {
    // Nor may it be read from without an identity: what it held is set aside.
    const bool is_full = identity.error().code() == ErrorCode::kNoSpace;
    return Error(is_full ? ErrorCode::kIo : identity.error().code(),
                 std::string(identity.error().detail()));
  }
  return Life{.identity = identity.value(), .rejoin = std::move(rejoin)};
}

}  // namespace quorate

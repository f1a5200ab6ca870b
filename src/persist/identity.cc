// The bytes of node.identity, and replacing it so that a crash leaves the old one or the new one.
//
//   "QRTNODE", u8 version, u64 id, u64 incarnation, u64 XXH3 of the bytes before
#include "persist/identity.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "persist/replace_now.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr std::string_view kMagic("QRTNODE\x01", 8);
constexpr size_t kSize = 32;
constexpr size_t kCheckAt = kSize - sizeof(uint64_t);
constexpr uint64_t kSeed = 0x6e6f64656964656e;

std::string encode(const NodeIdentity& identity) {
  std::string bytes(kSize, '\0');
  char* const at = bytes.data();
  std::memcpy(at, kMagic.data(), kMagic.size());
  store_little<uint64_t>(at + 8, identity.id);
  store_little<uint64_t>(at + 16, identity.incarnation);
  store_little<uint64_t>(at + kCheckAt, hash64({at, kCheckAt}, kSeed));
  return bytes;
}

// Nothing: the bytes are no identity.
std::optional<NodeIdentity> decode(std::string_view bytes) {
  if (bytes.size() != kSize || !bytes.starts_with(kMagic)) return std::nullopt;
  if (load_little<uint64_t>(bytes.data() + kCheckAt) != hash64(bytes.substr(0, kCheckAt), kSeed)) {
    return std::nullopt;
  }
  const NodeIdentity identity{.id = load_little<uint64_t>(bytes.data() + 8),
                              .incarnation = load_little<uint64_t>(bytes.data() + 16)};
  if (identity.id == 0 || identity.incarnation == 0) return std::nullopt;
  return identity;
}

Error damaged() {
  // With another id the node would be a stranger to its cluster, and with an incarnation that was
  // used before its messages would be taken for those of an earlier start.
  return Error(ErrorCode::kCorrupt,
               std::string(kIdentityFile) +
                   ": damaged, so it is not known who this node is and nothing was changed. If it "
                   "never belonged to a cluster, remove the file and start again. Otherwise remove "
                   "this node from its cluster, and let it join anew with an empty directory");
}

Status write_identity(Disk& disk, const NodeIdentity& identity) {
  return replace_now(disk, kIdentityFile, encode(identity));
}

}  // namespace

Result<std::optional<NodeIdentity>> read_identity(Disk& disk) {
  TRY(const std::vector<std::string> files, disk.list());
  if (std::find(files.begin(), files.end(), kIdentityFile) == files.end()) {
    return std::optional<NodeIdentity>();
  }
  Buffer bytes;
  TRY(disk.read(kIdentityFile, 0, kSize + 1, bytes));
  const auto identity = decode(bytes.view());
  if (!identity) return damaged();
  return identity;
}

Result<NodeIdentity> begin_incarnation(Disk& disk, uint64_t random) {
  TRY(const std::optional<NodeIdentity> found, read_identity(disk));
  NodeIdentity identity = found.value_or(NodeIdentity{.id = random == 0 ? 1 : random});
  ++identity.incarnation;
  TRY(write_identity(disk, identity));
  return identity;
}

Result<NodeIdentity> begin_identity(Disk& disk, uint64_t id) {
  const NodeIdentity identity{.id = id, .incarnation = 1};
  TRY(write_identity(disk, identity));
  return identity;
}

}  // namespace quorate

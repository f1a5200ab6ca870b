// The bytes of node.mark, the decision, and replacing the file.
#include "node/start_mark.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "persist/replace_now.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr std::string_view kMagic("QRTMARK\x01", 8);
constexpr size_t kSize = 64;
constexpr size_t kBootIdAt = 32;
constexpr size_t kCheckAt = kSize - sizeof(uint64_t);
constexpr uint64_t kSeed = 0x73746172746d6172;

Result<std::optional<StartMark>> read_mark(Disk& disk) {
  TRY(const std::vector<std::string> files, disk.list());
  if (std::find(files.begin(), files.end(), kMarkFile) == files.end()) return std::optional<StartMark>();
  Buffer bytes;
  TRY(disk.read(kMarkFile, 0, kSize + 1, bytes));
  return decode_start_mark(bytes.view());
}

Status write_mark(Disk& disk, const StartMark& mark) {
  return replace_now(disk, kMarkFile, encode(mark));
}

bool is_known(const BootId& boot_id) {
  return std::any_of(boot_id.begin(), boot_id.end(), [](char byte) { return byte != 0; });
}

Error copied() {
  return Error(ErrorCode::kInvalidArgument,
               "the data directory is not the one in which this node last ran, but a copy of it; the node might forget what it "
               "acknowledged, or run twice. Start it in its own directory; or remove the node from its cluster and let it join anew with "
               "an empty one");
}

}  // namespace

std::string encode(const StartMark& mark) {
  CHECK(mark.weakest != raft::Durability::kMemory);
  std::string bytes(kSize, '\0');
  char* const at = bytes.data();
  std::memcpy(at, kMagic.data(), kMagic.size());
  at[8] = static_cast<char>(mark.state);
  at[9] = static_cast<char>(mark.weakest);
  at[10] = static_cast<char>(mark.owes);
  store_little<uint64_t>(at + 16, mark.incarnation);
  store_little<uint64_t>(at + 24, mark.directory_inode);
  std::memcpy(at + kBootIdAt, mark.boot_id.data(), mark.boot_id.size());
  store_little<uint64_t>(at + kCheckAt, hash64({at, kCheckAt}, kSeed));
  return bytes;
}

std::optional<StartMark> decode_start_mark(std::string_view bytes) {
  if (bytes.size() != kSize || !bytes.starts_with(kMagic)) return std::nullopt;
  const char* const at = bytes.data();
  if (load_little<uint64_t>(at + kCheckAt) != hash64(bytes.substr(0, kCheckAt), kSeed)) return std::nullopt;
  StartMark mark;
  mark.state = static_cast<StartMark::State>(at[8]);
  mark.weakest = static_cast<raft::Durability>(at[9]);
  mark.owes = static_cast<StartMark::Owes>(at[10]);
  if (mark.state != StartMark::State::kAlive && mark.state != StartMark::State::kClean) return std::nullopt;
  if (mark.weakest != raft::Durability::kOs && mark.weakest != raft::Durability::kSynced) return std::nullopt;
  if (mark.owes != StartMark::Owes::kNothing && mark.owes != StartMark::Owes::kRecovery) return std::nullopt;
  mark.incarnation = load_little<uint64_t>(at + 16);
  mark.directory_inode = load_little<uint64_t>(at + 24);
  std::memcpy(mark.boot_id.data(), at + kBootIdAt, mark.boot_id.size());
  return mark;
}

Result<raft::StartKind> start_kind(const std::optional<StartMark>& mark, const StartFacts& facts, uint64_t last) {
  // Removed after an I/O error, damaged, or the node fell before it had one.
  if (!mark) return raft::StartKind::kMayHaveForgotten;
  // "Another inode is a copied disk", whatever else the mark says.
  if (mark->directory_inode != facts.directory_inode) return copied();
  if (mark->owes == StartMark::Owes::kRecovery) return raft::StartKind::kMayHaveForgotten;
  // A start came between that left no mark: nobody knows what it did.
  if (mark->incarnation != last) return raft::StartKind::kMayHaveForgotten;
  if (mark->weakest == raft::Durability::kSynced) return raft::StartKind::kRemembers;
  if (mark->state == StartMark::State::kClean) return raft::StartKind::kRemembers;
  // The process fell and the machine did not: what was written is in the system's cache or on the disk.
  const bool is_same_boot = is_known(facts.boot_id) && mark->boot_id == facts.boot_id;
  return is_same_boot ? raft::StartKind::kRemembers : raft::StartKind::kMayHaveForgotten;
}

Result<raft::StartKind> begin_marked_start(Disk& disk, const NodeIdentity& identity, const StartFacts& facts) {
  CHECK(identity.incarnation != 0);
  TRY(const std::optional<StartMark> found, read_mark(disk));
  TRY(const raft::StartKind kind, start_kind(found, facts, identity.incarnation - 1));
  StartMark mark = found.value_or(StartMark{.directory_inode = facts.directory_inode});
  mark.incarnation = identity.incarnation;
  if (kind == raft::StartKind::kMayHaveForgotten) mark.owes = StartMark::Owes::kRecovery;
  TRY(write_mark(disk, mark));
  return kind;
}

Status begin_marked_work(Disk& disk, const StartMark& mark) { return write_mark(disk, mark); }

}  // namespace quorate

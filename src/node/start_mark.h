// What a node in company knows at its start of what its disk may have lost (REPLICATION 5, "Which start is normal goes by the weakest mode"):
// the file `node.mark` of the data directory (docs/FORMATS.md), who writes it when, and the decision.  A lone node has none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/raft/configuration.h"
#include "cluster/raft/core.h"
#include "persist/disk.h"
#include "persist/identity.h"
#include "util/result.h"

namespace quorate {

constexpr std::string_view kMarkFile = "node.mark";
constexpr uint8_t kMarkOwner = 4;   // of its requests

using BootId = std::array<char, 16>;

// What the operating system says of this start.
struct StartFacts {
  BootId boot_id{};               // zeros: it does not say, and no start is like another
  uint64_t directory_inode = 0;
};

// What the file says.  Invariant: whoever acknowledges something has a mark on disk before that is not stronger than what he does.
struct StartMark {
  enum class State : uint8_t {
    kAlive = 1,  // something may be acknowledged that is written and not synced
    kClean = 2,  // everything that was acknowledged is synced
  };
  // Some start has found that it may have forgotten, and not every replica has that on disk yet.
  enum class Owes : uint8_t { kNothing = 0, kRecovery = 1 };
  State state = State::kAlive;
  // What acknowledging has meant since the last time that all was synced: kOs or kSynced.  (Mode `memory` stands in the log: a bare one.)
  raft::Durability weakest = raft::Durability::kOs;
  Owes owes = Owes::kNothing;
  uint64_t incarnation = 0;
  uint64_t directory_inode = 0;
  BootId boot_id{};
  friend bool operator==(const StartMark&, const StartMark&) = default;
};

std::string encode(const StartMark& mark);
// Nothing: the bytes are no mark.
std::optional<StartMark> decode_start_mark(std::string_view bytes);

// Does a node that starts now remember all that it acknowledged?  `mark`: what its directory says; nothing: none, or a damaged one.
// `last`: the incarnation of the start before.  kInvalidArgument: the directory is a copy, and the detail says what to do.
Result<raft::StartKind> start_kind(const std::optional<StartMark>& mark, const StartFacts& facts, uint64_t last);

// ---- at start, on the disk itself ---------------------------------------------------------------------------
// Before anything is loaded: the decision, and a mark that a start which ends here would find the same decision by.  Requires: the node has
// company, and `identity` is begin_incarnation()'s.
Result<raft::StartKind> begin_marked_start(Disk& disk, const NodeIdentity& identity, const StartFacts& facts);
// Once all is loaded and synced, before anything is acknowledged.
Status begin_marked_work(Disk& disk, const StartMark& mark);

}  // namespace quorate

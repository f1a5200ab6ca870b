// Who a node is: the file `node.identity` of its data directory (docs/FORMATS.md).  The id is drawn
// once and never changes; the incarnation says which start of the node this is, so that others can
// tell a process from the one that ran before it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "persist/disk.h"
#include "util/result.h"

namespace quorate {

constexpr std::string_view kIdentityFile = "node.identity";

struct NodeIdentity {
  uint64_t id = 0;           // 0: has none, and takes no part in a cluster
  uint64_t incarnation = 0;  // from 1 on
};

// Begins a start of the node: the incarnation is one above that of the start before, durably.
// `random` makes the id where the directory has none yet.  kCorrupt: the file is damaged, and the
// detail says what to do; kNoSpace: nothing was changed.  Requires: nobody else uses the directory.
Result<NodeIdentity> begin_incarnation(Disk& disk, uint64_t random);

// What the directory says; nothing: it says nothing.  Errors: as begin_incarnation().
Result<std::optional<NodeIdentity>> read_identity(Disk& disk);
// The first start of another node, durably (rejoin.h).  Requires: it was never used before.
Result<NodeIdentity> begin_identity(Disk& disk, uint64_t id);

}  // namespace quorate

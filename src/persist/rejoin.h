// How the node of a directory comes to an end and another one begins there: its log is damaged, so
// nobody knows what it has promised, and it must never act again (REPLICATION 5).  The file
// `node.rejoin` (docs/FORMATS.md) says whom the new one is to join and in whose place; what the
// former one has left is set aside, and nothing of it destroyed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "persist/disk.h"
#include "persist/identity.h"
#include "util/result.h"

namespace quorate {

constexpr std::string_view kRejoinFile = "node.rejoin";

struct Rejoin {
  static constexpr size_t kMembersMax = 4096;
  static constexpr size_t kHostMax = 4096;
  struct Address {
    std::string host;
    uint16_t port = 0;  // for other nodes
    friend bool operator==(const Address&, const Address&) = default;
  };
  uint64_t former = 0;  // who the node was
  uint64_t node = 0;    // who is in its place
  std::vector<Address> members = {};  // of the former one's cluster
  friend bool operator==(const Rejoin&, const Rejoin&) = default;
};

std::string encode(const Rejoin& rejoin);
// Nothing: the bytes are no such file.
std::optional<Rejoin> decode_rejoin(std::string_view bytes);

// Ends the former node: when this returns it is durable that the next start is another node's.
// Requires: nobody else uses the directory, and nothing is done with it any more before that start.
Status write_rejoin(Disk& disk, const Rejoin& rejoin);
// The new node has come where it was to go.
Status remove_rejoin(Disk& disk);

// A start: who the node is, and what it has left itself to know, if it is one in the place of
// another.
struct Life {
  NodeIdentity identity;
  std::optional<Rejoin> rejoin = {};
};

// Begins a start as begin_incarnation() does, and before that ends what write_rejoin() has begun:
// the files of the former node are renamed, wherever an earlier start was cut off.  Errors: as
// begin_incarnation(); never kNoSpace for one in the place of another, which is nobody without an
// identity.
Result<Life> begin_life(Disk& disk, uint32_t shard, uint64_t random);

}  // namespace quorate

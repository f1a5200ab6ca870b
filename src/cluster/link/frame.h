// The bytes between two nodes, version 1; docs/FORMATS.md is the prose.  Shared by Link and its tests only.
//
//   connection = greeting, frame*                 in each direction
//   frame      = frame header, body;  body = message*
//   message    = varint kind, varint size, bytes
//
// Integers are little-endian.  Every byte is covered by a checksum, so that a damaged stream is closed and never acted on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quorate {

constexpr uint8_t kPeerVersion = 1;

using ClusterId = std::array<char, 16>;

// What a connection is for.  Beats have one of their own, so that they never queue behind data (REPLICATION 6), and so has what clients
// publish.  kEither: said by the side that was called; it takes the caller's.
enum class PeerLane : uint8_t { kEither = 0, kData = 1, kBeats = 2, kPubsub = 3 };

// Who speaks.  Both sides send one first, without waiting for the other's.
struct Greeting {
  static constexpr size_t kSize = 80;
  PeerLane lane = PeerLane::kData;
  uint32_t partitions = 0;
  ClusterId cluster{};        // all zero: has none yet and wants to join
  uint64_t node = 0;
  uint64_t wanted_node = 0;   // who it believes to have called; 0: does not know
  uint64_t incarnation = 0;   // of the sending process; only grows

  std::string encode() const;
  // Another version than ours is decoded too, so that it can be refused by name.  Nothing: no greeting at all.
  static std::optional<Greeting> decode(std::string_view bytes);
  uint8_t version = kPeerVersion;
};

// Why a connection is refused; the number is on the wire.
enum class Refusal : uint8_t {
  kNone = 0,
  kNotAPeer = 1,         // the first bytes are no greeting
  kVersion = 2,
  kOtherCluster = 3,
  kOtherNode = 4,        // somebody else lives at this address now
  kSameNode = 5,         // it claims our own id: a copied disk, or we called ourselves
  kOldIncarnation = 6,   // a process that has been replaced
  kPartitions = 7,
  kLane = 8,
  kDamaged = 9,          // a checksum, a size or an order is wrong
  kTooLarge = 10,
};
// "another cluster", for log lines and INFO.
std::string_view refusal_text(Refusal refusal);

struct FrameHeader {
  static constexpr size_t kSize = 32;
  static constexpr uint32_t kBodyMax = uint32_t{1} << 30;
  uint32_t body_size = 0;
  uint64_t number = 0;        // of this frame: the one before plus one, from 1 on
  uint64_t acknowledged = 0;  // the receiver's frames up to this number were dealt with; counts after the messages of this frame

  // Writes header and checksum in front of `body`, which is checked too.
  void encode(char* out, std::string_view body) const;
  static std::optional<FrameHeader> decode(std::string_view bytes);
  // Requires: `bytes` begins with the header that was decoded.
  static bool proves(std::string_view header, std::string_view body);
};

}  // namespace quorate

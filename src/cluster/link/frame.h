// The bytes between two nodes, version 3; docs/FORMATS.md is the prose.  Shared by Link and its tests only.
//
//   connection = opening, greeting, proof, frame*   in each direction (handshake.h)
//   frame      = frame header, body;  body = message*
//   message    = varint kind, varint size, bytes
//
// Integers are little-endian.  Every byte is covered by a checksum, so that a damaged stream is closed and never acted on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "util/mac.h"

namespace quorate {

constexpr uint8_t kPeerVersion = 7;

using ClusterId = std::array<char, 16>;

// What a connection is for.  Beats have one of their own, so that they never queue behind data (REPLICATION 6), and so has what clients
// publish.  kEither: said by the side that was called; it takes the caller's.
enum class PeerLane : uint8_t { kEither = 0, kData = 1, kBeats = 2, kPubsub = 3 };

// Who has made the connection, and who has taken it.
enum class LinkRole : uint8_t { kCaller = 1, kCalled = 2 };

// What both sides send first, without waiting for the other's.  It tells nothing of the node.  Size, name, version and checksum stand where
// they do in every version, so that one can tell another that it is another.
struct Opening {
  static constexpr size_t kSize = 80;
  LinkRole role = LinkRole::kCaller;
  bool has_secret = false;    // masterauth is set: it gives proof that it knows it, and wants that
  Bytes32 nonce{};            // what the other side's proof is to be about
  uint8_t version = kPeerVersion;

  std::string encode() const;
  // Of another version than ours nothing but that is decoded.  Nothing: no opening at all.
  static std::optional<Opening> decode(std::string_view bytes);
};

// Who speaks.  A proof follows (handshake.h).
struct Greeting {
  static constexpr size_t kSize = 80;
  PeerLane lane = PeerLane::kData;
  uint32_t partitions = 0;
  ClusterId cluster{};        // all zero: has none yet and wants to join
  uint64_t node = 0;
  uint64_t wanted_node = 0;   // who it believes to have called; 0: does not know
  uint64_t incarnation = 0;   // of the sending process; only grows

  std::string encode() const;
  // Nothing: no greeting of our version.
  static std::optional<Greeting> decode(std::string_view bytes);
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
  kSecretDiffers = 11,   // its proof is not what masterauth here would make it
  kSecretMissing = 12,   // it has no masterauth, we have
  kSecretUnknown = 13,   // it has a masterauth, we have none
  kTooMany = 14,         // connections that are no member's; another took its place
  kNoCluster = 15,       // called or calls as a member, and has not joined yet
};
constexpr size_t kRefusalCount = static_cast<size_t>(Refusal::kNoCluster) + 1;
// "another cluster", for log lines and INFO.
std::string_view refusal_text(Refusal refusal);

struct FrameHeader {
  static constexpr size_t kSize = 32;
  static constexpr uint32_t kBodyMax = uint32_t{15} << 28;
  static constexpr char kMark = 'F';   // the first byte; no greeting begins with it
  uint32_t body_size = 0;
  uint64_t number = 0;        // of this frame: the one before plus one, from 1 on
  uint64_t acknowledged = 0;  // the receiver's frames up to this number were dealt with; counts after the messages of this frame

  // Writes header and checksum in front of `body`, which is checked too.
  void encode(char* out, std::string_view body) const;
  // The same of a body in pieces.
  void encode(char* out, std::span<const std::string_view> body) const;
  static std::optional<FrameHeader> decode(std::string_view bytes);
  // Requires: `bytes` begins with the header that was decoded.
  static bool proves(std::string_view header, std::string_view body);

 private:
  void encode_numbers(char* out) const;
};

}  // namespace quorate

// What a link is told when it is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cluster/link/frame.h"
#include "util/mac.h"

namespace quorate {

// What the two ends must agree on, and what this end demands of the other.
struct LinkIdentity {
  PeerLane lane = PeerLane::kData;  // kEither: this end was called
  ClusterId cluster{};
  uint32_t partitions = 0;
  uint64_t node = 0;
  uint64_t incarnation = 0;

  LinkRole role() const {
    return lane == PeerLane::kEither ? LinkRole::kCalled : LinkRole::kCaller;
  }
};

struct LinkOptions {
  LinkIdentity own;
  uint64_t wanted_node = 0;  // 0: whoever it is
  std::optional<Bytes32> secret =
      {};              // link_secret(); nothing: no proof is wanted, and none can be given
  Bytes32 nonce = {};  // of a NonceSource; with a secret never the same twice
  uint32_t frame_size_max = FrameHeader::kBodyMax;
  // A frame that has grown so far is closed; what follows in the turn comes in the next.
  size_t frame_size_aim = 256 * 1024;
};

}  // namespace quorate

// Log lines about connections with other nodes that were refused: what is wrong and what to do
// about it.  Whoever reaches the port can have himself refused as often as he likes, so each reason
// is told once in a while.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "cluster/peers.h"
#include "util/time.h"

namespace quorate {

// Owned by the node of the cluster.
class RefusalNotes {
 public:
  // Between two lines about one reason; of connections that were made here and those that were
  // taken each by itself, so that no stranger keeps silent what becomes of ours.
  static constexpr int64_t kPauseUs = 10'000'000;

  // What is to be said; nothing: that was said not long ago, and the next line says how many there
  // were. Requires: event.kind == PeerEvent::Kind::kRefused.
  std::string line(Instant now, const PeerEvent& event);

 private:
  struct Told {
    int64_t next_us = INT64_MIN;
    uint64_t untold = 0;
  };
  std::array<std::array<Told, 2>, kRefusalCount> told_{};  // by reason; taken, made
};

}  // namespace quorate

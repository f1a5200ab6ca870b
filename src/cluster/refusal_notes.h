// Log lines about connections with other nodes that were refused: who, what is wrong and what to do
// about it.  Whoever reaches the port can have himself refused as often as he likes, so each reason
// is told once in a while of each place, and of so many places.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "cluster/peers.h"
#include "util/time.h"

namespace quorate {

// Owned by the node of the cluster.
// Invariant: what is told of connections that were taken never keeps silent one that was made here,
// nor the other way round.
class RefusalNotes {
 public:
  // Between two lines about one reason and one place: a host that connects, or an address that is
  // dialled.
  static constexpr int64_t kPauseUs = 10'000'000;
  // Of connections that were taken, and as many that were made; the other places have one line a
  // reason together.
  static constexpr size_t kPlacesMax = 16;

  // What is to be said; nothing: that was said not long ago, and the next line says how many there
  // were. Requires: event.kind == PeerEvent::Kind::kRefused.
  std::string line(Instant now, const PeerEvent& event);

 private:
  struct Told {
    int64_t next_us = INT64_MIN;
    uint64_t untold = 0;
  };
  struct Way {
    std::map<std::pair<Refusal, std::string>, Told> places;
    std::array<Told, kRefusalCount> elsewhere{};
  };

  Told& told_of(Instant now, const PeerEvent& event);

  Way taken_;
  Way made_;
};

}  // namespace quorate

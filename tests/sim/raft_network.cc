// A connection keeps order unless the seed lets messages overtake each other.
#include "tests/sim/raft_network.h"

#include <algorithm>

namespace quorate::sim {

Network::Network(const RaftSwarm& swarm, uint64_t seed)
    : swarm_(swarm),
      prng_(seed),
      nodes_(swarm.nodes),
      cuts_(size_t{nodes_} * nodes_, 0),
      connected_(size_t{nodes_} * nodes_, 0) {
  for (auto& last : last_) last.assign(size_t{nodes_} * nodes_, 0);
}

int64_t Network::delay() {
  return 1 + swarm_.delay_us +
         static_cast<int64_t>(prng_.below(static_cast<uint64_t>(swarm_.jitter_us) + 1));
}

Network::Delivery Network::deliver(uint32_t from, uint32_t to, Lane lane, int64_t now_us) {
  Delivery delivery;
  // Chance is drawn in any case, so that a cut does not change what comes after it.
  const bool is_lost = swarm_.loss > 0 && prng_.chance(swarm_.loss);
  const bool is_doubled = swarm_.duplicates > 0 && prng_.chance(swarm_.duplicates);
  const bool overtakes = swarm_.reordered > 0 && prng_.chance(swarm_.reordered);
  const int64_t at = now_us + delay();
  if (!connected(from, to) || !reaches(from, to) || is_lost) return delivery;
  int64_t& last = last_[static_cast<size_t>(lane)][index(from, to)];
  delivery.first = overtakes ? at + delay() * 3 : std::max(at, last);
  if (!overtakes) last = *delivery.first;
  if (is_doubled) delivery.second = *delivery.first + delay() * 2;
  return delivery;
}

std::optional<int64_t> Network::deliver_to_client(int64_t now_us) {
  const bool is_lost = swarm_.loss > 0 && prng_.chance(swarm_.loss);
  const int64_t at = now_us + delay();
  return is_lost ? std::nullopt : std::optional(at);
}

void Network::calm() {
  swarm_.loss = 0;
  swarm_.duplicates = 0;
  swarm_.reordered = 0;
  std::fill(cuts_.begin(), cuts_.end(), 0);
}

}  // namespace quorate::sim

// A wire is a connection; each of its two sides has a queue of what comes towards it.
#include "tests/sim/cluster_network.h"

#include <algorithm>
#include <optional>

#include "util/number.h"

namespace quorate::sim {

namespace {

// What was lost is sent again after this.
constexpr int64_t kRetransmitUs = 200'000;
// For how long a break goes unnoticed, at most.
constexpr uint64_t kSilenceUs = 8'000'000;
constexpr std::string_view kNet = "10.0.0.";

std::optional<uint32_t> machine_of(const PeerAddress& address, uint32_t machines) {
  if (!address.host.starts_with(kNet)) return std::nullopt;
  const auto number = parse_unsigned(std::string_view(address.host).substr(kNet.size()));
  if (!number || *number == 0 || *number > machines) return std::nullopt;
  return static_cast<uint32_t>(*number - 1);
}

}  // namespace

ClusterNetwork::ClusterNetwork(NetworkHost& host, const ClusterSwarm& swarm, uint64_t seed)
    : host_(host),
      swarm_(swarm),
      prng_(seed),
      machines_(swarm.nodes),
      cuts_(size_t{swarm.nodes} * swarm.nodes, 0) {}

std::string ClusterNetwork::host_of(uint32_t machine) {
  return std::string(kNet) + std::to_string(machine + 1);
}

int64_t ClusterNetwork::delay_us() {
  const int64_t usual_us =
      1 + swarm_.delay_us +
      static_cast<int64_t>(prng_.below(static_cast<uint64_t>(swarm_.jitter_us) + 1));
  return swarm_.loss > 0 && prng_.chance(swarm_.loss) ? usual_us + kRetransmitUs : usual_us;
}

ClusterNetwork::Wire* ClusterNetwork::find(uint64_t number) {
  const auto found = std::lower_bound(wires_.begin(), wires_.end(), number, [](const Laid& each, uint64_t other) { return each.number < other; });
  return found == wires_.end() || found->number != number ? nullptr : found->wire.get();
}

void ClusterNetwork::send(uint64_t number, Wire& wire, size_t to, Parcel::Kind kind, std::string_view bytes) {
  Side& side = wire.sides[to];
  side.last_us = std::max(side.last_us, host_.now_us() + delay_us());
  side.coming.push_back({kind, side.last_us, std::string(bytes)});
  host_.wake_wire(number, side.last_us);
}

void ClusterNetwork::dial(uint32_t machine, ConnectionId connection, const PeerAddress& address) {
  const auto target = machine_of(address, machines_);
  const uint64_t number = ++last_wire_;
  Wire& wire = *wires_.emplace_back(Laid{number, std::make_unique<Wire>()}).wire;
  wire.sides[0] = {.machine = machine,
                   .life = host_.life_of(machine),
                   .connection = connection,
                   .is_open = true,
                   .coming = {}};
  wire.sides[1].machine = target.value_or(machine);
  ends_[key(machine, connection)] = {number, 0, &wire};
  if (target) {
    send(number, wire, 1, Parcel::Kind::kDial, "");
  } else {
    send(number, wire, 0, Parcel::Kind::kEnd, "");
  }
}

void ClusterNetwork::carry(uint32_t machine, ConnectionId connection, std::string_view bytes) {
  const auto end = ends_.find(key(machine, connection));
  if (end == ends_.end() || bytes.empty()) return;
  const auto& [number, which, wire] = end->second;
  send(number, *wire, 1 - which, Parcel::Kind::kBytes, bytes);
}

void ClusterNetwork::hang_up(uint32_t machine, ConnectionId connection,
                             std::string_view last_words) {
  const auto end = ends_.find(key(machine, connection));
  if (end == ends_.end()) return;
  const auto [number, which, wire] = end->second;
  if (!last_words.empty()) send(number, *wire, 1 - which, Parcel::Kind::kBytes, last_words);
  send(number, *wire, 1 - which, Parcel::Kind::kEnd, "");
  forget(wire->sides[which]);
}

void ClusterNetwork::forget(Side& side) {
  if (!side.is_open) return;
  side.is_open = false;
  ends_.erase(key(side.machine, side.connection));
}

void ClusterNetwork::tell_lost(Side& side) {
  if (!side.is_open) return;
  forget(side);
  host_.lost(side.machine, side.connection);
}

void ClusterNetwork::bury(uint32_t machine, Death death) {
  for (const auto& [number, wire] : wires_) {
    for (size_t which = 0; which < 2; ++which) {
      Side& side = wire->sides[which];
      if (side.machine != machine || !side.is_open) continue;
      forget(side);
      if (death == Death::kKilled) send(number, *wire, 1 - which, Parcel::Kind::kEnd, "");
    }
  }
  std::erase_if(wires_, [](const Laid& each) { return is_done(*each.wire); });
}

void ClusterNetwork::run(uint64_t number) {
  Wire* const found = find(number);
  if (found == nullptr) return;
  Wire& wire = *found;
  if (wire.silent_until_us != 0) {
    for (Side& side : wire.sides) side.coming.clear();
    if (wire.silent_until_us <= host_.now_us()) {
      for (Side& side : wire.sides) tell_lost(side);
    }
    return drop_if_done(number, wire);
  }
  for (size_t which = 0; which < 2; ++which) {
    run_side(number, wire, which);
  }
  drop_if_done(number, wire);
}

void ClusterNetwork::run_side(uint64_t number, Wire& wire, size_t which) {
  Side& side = wire.sides[which];
  while (!side.coming.empty() && side.coming.front().at_us <= host_.now_us()) {
    if (!reaches(wire.sides[1 - which].machine, side.machine)) return;  // mend() wakes it
    const int64_t paused_us = host_.paused_until_us(side.machine);
    if (paused_us > host_.now_us()) return host_.wake_wire(number, paused_us);
    const Parcel parcel = std::move(side.coming.front());
    side.coming.pop_front();
    arrive(number, wire, which, parcel);
  }
}

void ClusterNetwork::arrive(uint64_t number, Wire& wire, size_t which, const Parcel& parcel) {
  Side& side = wire.sides[which];
  const size_t sender = 1 - which;
  switch (parcel.kind) {
    case Parcel::Kind::kDial: {
      if (!host_.has_power(side.machine)) return;
      side.life = host_.life_of(side.machine);
      side.connection = side.life == 0 ? 0 : host_.accept(side.machine, {.host = host_of(wire.sides[sender].machine)});
      if (side.connection == 0) return send(number, wire, sender, Parcel::Kind::kEnd, "");
      side.is_open = true;
      ends_[key(side.machine, side.connection)] = {number, which, &wire};
      return send(number, wire, sender, Parcel::Kind::kAccepted, "");
    }
    case Parcel::Kind::kAccepted:
      if (side.is_open) host_.dialled(side.machine, side.connection);
      return;
    case Parcel::Kind::kBytes:
      if (side.is_open) return host_.received(side.machine, side.connection, parcel.bytes);
      // Nobody has this connection any more, which its system says.
      if (host_.has_power(side.machine)) send(number, wire, sender, Parcel::Kind::kEnd, "");
      return;
    case Parcel::Kind::kEnd:
      return tell_lost(side);
  }
}

bool ClusterNetwork::is_done(const Wire& wire) {
  return std::none_of(wire.sides.begin(), wire.sides.end(),
                      [](const Side& side) { return side.is_open || !side.coming.empty(); });
}

void ClusterNetwork::drop_if_done(uint64_t number, const Wire& wire) {
  if (is_done(wire)) std::erase_if(wires_, [&](const Laid& each) { return each.number == number; });
}

void ClusterNetwork::mend(uint32_t from, uint32_t to) {
  if (--cuts_[index(from, to)] > 0) return;
  for (const auto& [number, wire] : wires_) {
    for (size_t which = 0; which < 2; ++which) {
      if (wire->sides[which].machine != to || wire->sides[1 - which].machine != from) continue;
      if (wire->sides[which].coming.empty()) continue;
      host_.wake_wire(number,
                      host_.now_us() + 1 +
                          static_cast<int64_t>(prng_.below(static_cast<uint64_t>(kRetransmitUs))));
    }
  }
}

void ClusterNetwork::break_wire(uint64_t number, Wire& wire, Told told) {
  const size_t first = prng_.below(2);
  for (Side& side : wire.sides) side.coming.clear();
  if (told == Told::kNone) {
    wire.silent_until_us = host_.now_us() + 1 + static_cast<int64_t>(prng_.below(kSilenceUs));
    return host_.wake_wire(number, wire.silent_until_us);
  }
  tell_lost(wire.sides[first]);
  // If only one is told, the other sends to somebody who does not know the connection.
  if (told == Told::kBoth) tell_lost(wire.sides[1 - first]);
}

void ClusterNetwork::break_between(uint32_t a, uint32_t b, Told told) {
  for (const auto& [number, wire] : wires_) {
    const uint32_t from = wire->sides[0].machine;
    const uint32_t to = wire->sides[1].machine;
    if ((from == a && to == b) || (from == b && to == a)) break_wire(number, *wire, told);
  }
}

bool ClusterNetwork::break_one(Told told) {
  if (wires_.empty()) return false;
  const Laid& chosen = wires_[prng_.below(wires_.size())];
  break_wire(chosen.number, *chosen.wire, told);
  return true;
}

void ClusterNetwork::calm() {
  swarm_.loss = 0;
  for (uint32_t from = 0; from < machines_; ++from) {
    for (uint32_t to = 0; to < machines_; ++to) {
      if (reaches(from, to)) continue;
      cuts_[index(from, to)] = 1;
      mend(from, to);
    }
  }
}

}  // namespace quorate::sim

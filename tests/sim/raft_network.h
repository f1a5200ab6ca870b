// The network of the world `raft`: which nodes reach which, how long a message takes, what is lost.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tests/sim/raft_options.h"
#include "util/prng.h"

namespace quorate::sim {

// Nodes are numbered from 0 here.
class Network {
 public:
  enum class Lane : uint8_t { kData, kBeats };

  Network(const RaftSwarm& swarm, uint64_t seed);

  // When a message sent now arrives; none: lost.  A second arrival: it is duplicated.
  struct Delivery {
    std::optional<int64_t> first;
    std::optional<int64_t> second;
  };
  Delivery deliver(uint32_t from, uint32_t to, Lane lane, int64_t now_us);
  // Between a client and a node; cuts do not touch it.
  std::optional<int64_t> deliver_to_client(int64_t now_us);

  bool reaches(uint32_t from, uint32_t to) const { return cuts_[index(from, to)] == 0; }
  void cut(uint32_t from, uint32_t to) { ++cuts_[index(from, to)]; }
  void mend(uint32_t from, uint32_t to) { --cuts_[index(from, to)]; }

  bool connected(uint32_t a, uint32_t b) const { return connected_[index(a, b)] != 0; }
  void connect(uint32_t a, uint32_t b) { set_connected(a, b, 1); }
  void disconnect(uint32_t a, uint32_t b) { set_connected(a, b, 0); }

  // Nothing is lost, doubled or overtaken any more.
  void calm();

 private:
  size_t index(uint32_t from, uint32_t to) const { return size_t{from} * nodes_ + to; }
  void set_connected(uint32_t a, uint32_t b, char value) {
    connected_[index(a, b)] = value;
    connected_[index(b, a)] = value;
    last_[0][index(a, b)] = last_[0][index(b, a)] = 0;
    last_[1][index(a, b)] = last_[1][index(b, a)] = 0;
  }
  int64_t delay();

  RaftSwarm swarm_;
  Prng prng_;
  uint32_t nodes_;
  std::vector<int> cuts_;
  std::vector<char> connected_;
  std::vector<int64_t>
      last_[2];  // arrival of the last message, by lane: what is behind comes later
};

}  // namespace quorate::sim

// Connections between the machines of the world `cluster`, as TCP has them: bytes come in order or
// not at all; two connections do not wait for each other; a cut path delays what is on its way, and
// nobody is told, unless the connection breaks.  One end may know of that long before the other.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/peers.h"
#include "tests/sim/cluster_options.h"
#include "util/check.h"
#include "util/prng.h"

namespace quorate::sim {

// What the network needs of the world.  Machines are numbered from 0; a life is a start of one.
class NetworkHost {
 public:
  virtual ~NetworkHost() = default;
  virtual int64_t now_us() const = 0;
  // Calls ClusterNetwork::run(wire) at the time.
  virtual void wake_wire(uint64_t wire, int64_t at_us) = 0;
  // Has the machine power, so that it answers at least that nobody is there?
  virtual bool has_power(uint32_t machine) = 0;
  // The life of its process; 0: none runs.
  virtual uint64_t life_of(uint32_t machine) = 0;
  // Not before then does the process do anything.
  virtual int64_t paused_until_us(uint32_t machine) = 0;
  // Inputs of the process that runs there.
  virtual ConnectionId accept(uint32_t machine, const PeerAddress& from) = 0;
  virtual void dialled(uint32_t machine, ConnectionId connection) = 0;
  virtual void received(uint32_t machine, ConnectionId connection, std::string_view bytes) = 0;
  virtual void lost(uint32_t machine, ConnectionId connection) = 0;
};

class ClusterNetwork {
 public:
  ClusterNetwork(NetworkHost& host, const ClusterSwarm& swarm, uint64_t seed);

  // Where a machine is reached, in its settings and by others.
  static std::string host_of(uint32_t machine);

  // ---- what processes ask for
  void dial(uint32_t machine, ConnectionId connection, const PeerAddress& address);
  void carry(uint32_t machine, ConnectionId connection, std::string_view bytes);
  void hang_up(uint32_t machine, ConnectionId connection, std::string_view last_words);
  // The process is gone; kKilled: its system closes what it had open.
  enum class Death : uint8_t { kKilled, kPowerCut };
  void bury(uint32_t machine, Death death);

  // Delivers what has arrived.
  void run(uint64_t wire);

  // ---- faults
  bool reaches(uint32_t from, uint32_t to) const { return cuts_[index(from, to)] == 0; }
  void cut(uint32_t from, uint32_t to) { ++cuts_[index(from, to)]; }
  void mend(uint32_t from, uint32_t to);
  // Whom a break is told: both ends; one of them, and the other when it sends something; nobody for
  // seconds, in which all that is sent vanishes.
  enum class Told : uint8_t { kBoth, kOne, kNone };
  void break_between(uint32_t a, uint32_t b, Told told);
  // One connection, chosen by chance; false: there is none.
  bool break_one(Told told);
  // No loss from here on, and no cuts.
  void calm();

  size_t wire_count() const { return wires_.size(); }

 private:
  struct Parcel {
    enum class Kind : uint8_t { kDial, kAccepted, kBytes, kEnd } kind = Kind::kBytes;
    int64_t at_us = 0;
    std::string bytes;
  };
  struct Side {
    uint32_t machine = 0;
    uint64_t life = 0;  // 0: has not accepted
    ConnectionId connection = 0;
    bool is_open = false;  // its process has it, and nobody has told it otherwise
    int64_t last_us = 0;   // when what was sent to it last arrives
    std::deque<Parcel> coming;
  };
  struct Wire {
    std::array<Side, 2> sides;    // the one that has dialled first
    int64_t silent_until_us = 0;  // everything vanishes; then both ends are told
  };
  struct Laid {
    uint64_t number = 0;
    std::unique_ptr<Wire> wire;
  };
  // Where a process has a connection.
  struct End {
    uint64_t number = 0;
    size_t which = 0;
    Wire* wire = nullptr;
  };

  // Of the process that runs on the machine now.
  static uint64_t key(uint32_t machine, ConnectionId connection) {
    constexpr uint64_t kMachineShift = 48;
    CHECK(connection < uint64_t{1} << kMachineShift);
    return uint64_t{machine} << kMachineShift | connection;
  }
  // Null: none has this number any more.
  Wire* find(uint64_t number);
  size_t index(uint32_t from, uint32_t to) const { return size_t{from} * machines_ + to; }
  int64_t delay_us();
  void send(uint64_t number, Wire& wire, size_t to, Parcel::Kind kind, std::string_view bytes);
  void run_side(uint64_t number, Wire& wire, size_t which);
  void arrive(uint64_t number, Wire& wire, size_t which, const Parcel& parcel);
  // The side's process has the connection no more; without being told.
  void forget(Side& side);
  void tell_lost(Side& side);
  static bool is_done(const Wire& wire);
  void drop_if_done(uint64_t number, const Wire& wire);
  void break_wire(uint64_t number, Wire& wire, Told told);

  NetworkHost& host_;
  ClusterSwarm swarm_;
  Prng prng_;
  const uint32_t machines_;
  std::vector<uint32_t> cuts_;  // how many cuts are on a path
  std::vector<Laid> wires_;     // by number
  std::unordered_map<uint64_t, End> ends_;   // by key()
  uint64_t last_wire_ = 0;
};

}  // namespace quorate::sim

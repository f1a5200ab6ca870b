// Who changes the mode of the world `cluster` while it works: CONFIG SET at any node, asked again until it is answered; and what
// whoever is answered may rely on meanwhile.  One change at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/raft/configuration.h"
#include "resp/reply_parser.h"
#include "util/prng.h"

namespace quorate::sim {

// What it needs of the world.
class ClusterModesHost {
 public:
  virtual ~ClusterModesHost() = default;
  virtual int64_t now_us() const = 0;
  virtual uint32_t machine_count() const = 0;
  // On its own connection with the machine; another one is given up.
  virtual void modes_send(uint32_t machine, std::string_view bytes) = 0;
  // Calls on_timer() at the time.
  virtual void wake_modes(int64_t at_us) = 0;
  virtual void log_modes(std::string_view text) = 0;
  // weakest() has just become stronger.
  virtual void mode_is_stronger() = 0;
};

class ClusterModes {
 public:
  ClusterModes(ClusterModesHost& host, uint64_t seed, raft::Durability first) : host_(host), prng_(seed), mode_(first), weakest_(first) {}

  // To another mode, or this one.  Requires: is_idle().
  void begin();
  void begin(raft::Durability mode);
  // Nobody waits for the answer any more, and these machines are gone, with what they were asked.
  void give_up(const std::vector<uint32_t>& gone);
  bool is_idle() const { return !is_changing_; }
  // It is this one from now on, and so is all that was acknowledged.  Requires: is_idle().
  void hold(raft::Durability mode) { mode_ = weakest_ = mode; }
  // What anything that is acknowledged now is kept by, at least.
  raft::Durability weakest() const { return weakest_; }
  uint64_t changes() const { return changes_; }

  void on_timer(int64_t at_us);
  void on_bytes(std::string_view bytes);
  void on_closed();

 private:
  void send();
  void sleep(int64_t delay_us);
  void reckon();

  ClusterModesHost& host_;
  Prng prng_;
  raft::Durability mode_;      // that it is, or shall be
  raft::Durability weakest_;
  bool is_changing_ = false;
  bool is_waiting_ = false;    // for an answer
  uint32_t machine_ = 0;       // that was asked
  int64_t wakes_us_ = 0;
  // What machines were asked for and did not answer: they may have it decided later.  A member's proposals are taken in their order, so the
  // next answer of the same machine ends that.
  std::map<uint32_t, raft::Durability> unanswered_;
  ReplyParser parser_;
  uint64_t changes_ = 0;
};

}  // namespace quorate::sim

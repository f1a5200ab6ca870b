// Who arranges the world `cluster` by hand while it works: moves copies and leaderships, lets a node take over, takes that back, and
// changes how many copies a partition has and how many of them commit.  One wish at a time, at any node.  What is refused or not
// answered is let be; once all has healed the two settings are as they were drawn.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "resp/reply_parser.h"
#include "tests/sim/cluster_options.h"
#include "util/prng.h"

namespace quorate::sim {

// What it needs of the world.
class ClusterArrangerHost {
 public:
  virtual ~ClusterArrangerHost() = default;
  virtual int64_t now_us() const = 0;
  virtual uint32_t machine_count() const = 0;
  // What the node calls itself; empty: it has not been started yet.
  virtual std::string node_name_of(uint32_t machine) = 0;
  // On its own connection with the machine; another one is given up.
  virtual void arranger_sends(uint32_t machine, std::string_view bytes) = 0;
  // Calls on_timer() at the time.
  virtual void wake_arranger(int64_t at_us) = 0;
  virtual void log_arranger(std::string_view text) = 0;
};

class ClusterArranger {
 public:
  ClusterArranger(ClusterArrangerHost& host, const ClusterSwarm& swarm, uint64_t seed) : host_(host), swarm_(swarm), prng_(seed) {}

  // A wish.  Requires: is_idle().
  void begin();
  // Every wish is answered or let be, and, once all has healed, the settings are as they were drawn.
  bool is_idle() const { return !is_waiting_ && !is_restoring_; }
  void heal();
  // Wishes that were fulfilled.
  uint64_t fulfilled() const { return fulfilled_; }

  void on_timer(int64_t at_us);
  void on_bytes(std::string_view bytes);
  void on_closed();

 private:
  using Words = std::vector<std::string>;

  Words draw();
  Words settings(uint32_t copies, uint32_t commit) const;
  void restore();
  void send(uint32_t machine, const Words& words);
  void sleep(int64_t delay_us);
  void end_of_wish();
  std::string any_node();

  ClusterArrangerHost& host_;
  const ClusterSwarm& swarm_;
  Prng prng_;
  uint32_t machine_ = 0;       // that was asked
  bool is_waiting_ = false;    // for its answer
  bool is_restoring_ = false;
  int64_t wakes_us_ = 0;
  // Machines that were asked for settings and did not answer may have them decided later.  A member's proposals are taken in their order,
  // so its next answer ends that.
  std::set<uint32_t> unanswered_;
  ReplyParser parser_;
  uint64_t fulfilled_ = 0;
};

}  // namespace quorate::sim

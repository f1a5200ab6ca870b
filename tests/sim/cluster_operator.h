// The operator of the world `cluster`: drains a node for a while, or takes one out of the cluster
// for good and puts an empty one in its place.  One wish at a time, by commands that any node may be
// asked; what is refused or not answered is asked again.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "resp/reply_parser.h"
#include "util/prng.h"

namespace quorate::sim {

// What the operator needs of the world.
class ClusterOperatorHost {
 public:
  virtual ~ClusterOperatorHost() = default;
  virtual int64_t now_us() const = 0;
  virtual uint32_t machine_count() const = 0;
  // On the operator's connection with the machine; another one is given up.
  virtual void operator_sends(uint32_t machine, std::string_view bytes) = 0;
  // Calls on_timer() at the time.
  virtual void wake_operator(int64_t at_us) = 0;
  virtual void log_operator(std::string_view text) = 0;
  // What the node calls itself.
  virtual std::string node_name_of(uint32_t machine) = 0;
  // As far as anybody who runs knows, the node of this name has no copy of anything.
  virtual bool holds_nothing(const std::string& name) = 0;
  // One that is drained, as far as somebody who runs knows.
  virtual std::optional<uint32_t> drained_machine() = 0;
  // One that runs and was removed for good, as far as a member knows.
  virtual std::optional<uint32_t> removed_machine() = 0;
  virtual void take_down(uint32_t machine, int64_t down_us) = 0;
  // Whatever runs there ends, its disk is replaced by an empty one, and a new node is started.
  virtual void replace(uint32_t machine) = 0;
};

class ClusterOperator {
 public:
  enum class Wish : uint8_t {
    kRest,        // a node is drained for a while
    kReplace,     // it leaves in good order, another one comes in its place
    kReplaceOld,  // it is down when it is removed, and comes back once more with what it had
    kReplaceLost,  // its disk is lost: it is down, and nobody but an empty one can come in its place
  };
  ClusterOperator(ClusterOperatorHost& host, uint64_t seed) : host_(host), prng_(seed) {}

  // Requires: is_idle().
  void begin(uint32_t machine, Wish wish);
  bool is_idle() const { return steps_.empty(); }
  // Faults have ended: what is begun is ended or taken back, and so is from now on what nobody had answered and is done late.
  void heal();
  uint64_t replaced() const { return replaced_; }

  void on_timer(int64_t at_us);
  void on_bytes(std::string_view bytes);
  void on_closed();

 private:
  enum class Step : uint8_t { kDrain, kTakeDown, kRemove, kReplace, kWait, kUndrain };

  void sleep(int64_t delay_us);
  void work();
  void watch();
  void take_in_hand(uint32_t machine);
  void send(std::string_view word);
  void next_step();
  void give_up_removal();

  ClusterOperatorHost& host_;
  Prng prng_;
  std::deque<Step> steps_;
  uint32_t machine_ = 0;
  std::string name_;
  int64_t step_until_us_ = 0;  // of kRemove: then it is taken back
  int64_t wakes_us_ = 0;
  bool is_waiting_ = false;  // for an answer
  bool is_removed_ = false;
  bool is_lost_ = false;       // there is no way back
  bool heals_ = false;
  ReplyParser parser_;
  uint64_t replaced_ = 0;
};

}  // namespace quorate::sim

// The one road of a command: row, arity, state, memory, handler, bookkeeping.  Handlers do none of it.
#pragma once

#include <string_view>

#include "node/context.h"
#include "node/state.h"

namespace quorate {

// Measures a batch of commands.  Reading a clock for each would cost more than many commands do: those that are short
// by nature share the time of the batch; the others, and all while slow commands are hunted
// (slowlog-log-slower-than below a millisecond, latency monitor on), are measured alone.
class BatchClock {
 public:
  BatchClock(NodeState& node, size_t command_count)
      : node_(node),
        alone_(command_count == 1 || (node.flags & kNodeExactTimes) != 0),
        started_us_(node.clock()) {}
  // To be called before and behind each command.
  bool measures(const Command& row) const { return alone_ || row.may_be_long; }
  int64_t begin() const { return alone_ && count_ == 0 ? started_us_ : node_.clock(); }
  // Counts a command that was measured alone.
  void add_measured(Command& row, Args args, Session& session, int64_t begun_us);
  // Counts one that shares.
  void add_shared(Command& row) {
    if (shared_count_ == NodeState::kBatchMax) finish();
    shared_[shared_count_++] = &row;
    ++count_;
  }
  // Distributes the shared time.  Once at the end, or earlier: then it goes on from zero.
  void finish();

 private:
  NodeState& node_;
  const bool alone_;
  int64_t started_us_;
  int64_t measured_us_ = 0;
  size_t count_ = 0;
  size_t shared_count_ = 0;
  std::array<Command*, NodeState::kBatchMax> shared_;
};

// Books a duration: statistics, slow log, latency monitor.
void count_call(NodeState& node, Command& row, Args args, Session& session, int64_t duration_us);

// Runs a request of a session.  `row` is what CommandIndex::find says about args[0] (null: unknown).
void execute(NodeState& node, Session& session, Command* row, Args args, const Key& first_key,
             BatchClock& clock);

enum class Origin : uint8_t { kClient, kTransaction, kWoken };
enum class CallResult : uint8_t { kReplied, kWaits };
// Runs a command that passed all checks, with its bookkeeping.  kWaits: it wants to block (kWoken: still), nothing was
// replied; with kClient the session is blocked already.
CallResult call(NodeState& node, Session& session, Command& row, Args args, const Key& first_key,
                Origin origin);

// Replies and counts an error.
void reply_error(NodeState& node, Session& session, std::string_view line);

// What the session is told next speaks of writes that may not be durable yet, no matter of which keys; or of which in one partition.
void await_all_writes(NodeState& node, Session& session);
void await_all_writes(NodeState& node, Session& session, uint32_t partition);

}  // namespace quorate

// What one entry costs the leader of a group of three: propose, two appends out, two answers in,
// the own write returned, committed.  Prints nanoseconds and allocations an entry.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cluster/raft/core.h"

namespace {

using quorate::Instant;
using quorate::SharedBytes;
using quorate::raft::Core;
namespace raft = quorate::raft;

constexpr uint64_t kBatch = 64;
constexpr uint64_t kEntries = kBatch * 30'000;
size_t g_allocations = 0;

raft::Message answer(uint64_t from, raft::Term term, raft::Index match) {
  return {.group = {1},
          .from = {{from}, {from}},
          .to = {{1}, {1}},
          .term = term,
          .body = raft::AppendAnswer{.match = match}};
}

// The leader of a new group whose followers answer everything.
class Leader {
 public:
  explicit Leader(Core& core) : core_(core) {}

  void step(const raft::Input& input) {
    out_.clear();
    core_.step({.steady_us = now_us_}, input, out_);
    if (out_.write.number.none()) return;
    const raft::WriteNumber number = out_.write.number;
    out_.clear();
    core_.step({.steady_us = now_us_}, raft::in::Persisted{number}, out_);
  }

  bool elect() {
    step(raft::in::Start{});
    now_us_ = core_.deadline();
    step(raft::in::Timeout{});
    for (const raft::VoteKind kind : {raft::VoteKind::kPreVote, raft::VoteKind::kVote}) {
      raft::Message vote = answer(2, core_.term(), {});
      vote.body = raft::VoteAnswer{.kind = kind, .proposed = {2}};
      step(raft::in::Receive{vote});
    }
    for (const uint64_t from : {2, 3})
      step(raft::in::Receive{answer(from, core_.term(), core_.last_index())});
    return core_.can_propose() && core_.commit_index() == core_.last_index();
  }

  void propose(const SharedBytes& payload) {
    out_.clear();
    core_.step({.steady_us = now_us_}, raft::in::Propose{payload}, out_);
    last_write_ = out_.write.number;
  }

  void commit(raft::Index index) {
    out_.clear();
    core_.step({.steady_us = now_us_}, raft::in::Persisted{last_write_}, out_);
    for (const uint64_t from : {2, 3}) {
      out_.clear();
      core_.step({.steady_us = now_us_}, raft::in::Receive{answer(from, core_.term(), index)},
                 out_);
    }
  }

 private:
  Core& core_;
  raft::Output out_;
  raft::WriteNumber last_write_;
  int64_t now_us_ = 1;
};

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void* operator new(size_t size) {
  ++g_allocations;
  return std::malloc(size);
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

int main() {
  raft::Configuration configuration;
  for (uint64_t id = 1; id <= 3; ++id) configuration.incoming.voters.push_back({{id}, {id}});
  const raft::Options options{.group = {1}, .self = {{1}, {1}}, .window_bytes_max = 1 << 20};
  Core core(options, raft::bootstrap(configuration), 1);
  Leader leader(core);
  if (!leader.elect()) return 1;
  const std::string text(100, 'x');
  const size_t allocations_before = g_allocations;
  double proposing = 0, rest = 0;
  for (uint64_t batch = 0; batch < kEntries / kBatch; ++batch) {
    const double begun = seconds();
    for (uint64_t entry = 0; entry < kBatch; ++entry) leader.propose(SharedBytes(text));
    const double proposed = seconds();
    const uint64_t last = core.last_index().value;
    for (uint64_t entry = kBatch; entry > 0; --entry) leader.commit({last - entry + 1});
    proposing += proposed - begun;
    rest += seconds() - proposed;
  }
  std::printf(
      "proposing %.0f ns, the rest %.0f ns, %.2f allocations besides the payload\n",
      proposing * 1e9 / static_cast<double>(kEntries), rest * 1e9 / static_cast<double>(kEntries),
      static_cast<double>(g_allocations - allocations_before) / static_cast<double>(kEntries));
  return core.commit_index() == core.last_index() ? 0 : 1;
}

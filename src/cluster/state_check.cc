// Pacing, one sum at a time, and the rounds.
#include "cluster/state_check.h"

#include <algorithm>

#include "cluster/members.h"
#include "cluster/partitions.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

// Who has not answered by then does not count.
constexpr int64_t kRoundUs = 30'000'000;

bool leads_in(const raft::Core* core, raft::Term term) {
  return core != nullptr && core->role() == raft::RoleName::kLeader && core->term() == term;
}

std::string names_of(const std::vector<raft::Member>& members) {
  std::string text;
  for (const raft::Member& member : members) text += (text.empty() ? "" : ", ") + node_name(member.node.value);
  return text;
}

}  // namespace

StateCheck::StateCheck(uint32_t partitions, uint64_t seed, Groups& groups, PartitionSummer& summer)
    : partitions_(partitions), groups_(groups), summer_(summer), random_(seed) {}

// ---- when ------------------------------------------------------------------------------------------------

bool StateCheck::may_compare(uint32_t partition) const {
  const raft::Core* const core = groups_.find(group_of_partition(partition));
  if (core == nullptr || core->role_state().serving != raft::Serving::kYes || !core->can_propose()) return false;
  return !core->configuration().joint() && core->configuration().members().size() > 1;
}

std::optional<uint32_t> StateCheck::next_due(Instant now, int64_t interval_us) {
  const bool is_another = std::exchange(interval_us_, interval_us) != interval_us;
  if (interval_us == 0) {
    next_due_us_ = kNever;
    return std::nullopt;
  }
  if (!is_another && now.steady_us < next_due_us_) return std::nullopt;
  std::optional<uint32_t> next;
  uint32_t led = 0;
  for (uint32_t step = 1; step <= partitions_; ++step) {
    const uint32_t partition = (last_marked_ + step) % partitions_;
    if (!may_compare(partition)) continue;
    ++led;
    if (!next) next = partition;
  }
  // With chance: nodes that were started together would mark at the same moments for ever, and a copy can sum one partition at a time.
  const int64_t mean_us = interval_us / (led == 0 ? partitions_ : led);
  next_due_us_ = now.steady_us + mean_us / 2 + static_cast<int64_t>(random_.below(static_cast<uint64_t>(mean_us) + 1));
  if (is_another || !next) return std::nullopt;
  last_marked_ = *next;
  return next;
}

// ---- the sum ---------------------------------------------------------------------------------------------

void StateCheck::marked(Instant now, uint32_t partition, const raft::Entry& marker, CanSum can_sum) {
  if (leads_in(groups_.find(group_of_partition(partition)), marker.term)) {
    rounds_.insert_or_assign(partition, Round{.round = SumRound(marker.term, marker.index), .until_us = now.steady_us + kRoundUs});
  }
  if (summing_ && summing_->partition == partition) stop_sum();
  if (summing_ || can_sum == CanSum::kNo) return;
  summing_ = {.partition = partition, .term = marker.term, .index = marker.index};
  summer_.begin_sum(partition);
}

void StateCheck::stop_sum() {
  if (!summing_) return;
  summing_.reset();
  summer_.stop_sum();
}

void StateCheck::forget(uint32_t partition) {
  if (summing_ && summing_->partition == partition) stop_sum();
  rounds_.erase(partition);
}

void StateCheck::step(Peers& peers) {
  Hash128 sum;
  const PartitionSummer::Summing progress = summer_.sum_some(sum);
  if (progress == PartitionSummer::Summing::kMore) return;
  const Summing done = *std::exchange(summing_, std::nullopt);
  if (progress == PartitionSummer::Summing::kDone) send(done, sum, peers);
}

//   sum = varint group, u64 replica of the sender, varint term and index of the marker, u64, u64
void StateCheck::send(const Summing& done, const Hash128& sum, Peers& peers) {
  const raft::Core* const core = groups_.find(group_of_partition(done.partition));
  if (core == nullptr || core->term() != done.term) return;
  const raft::ReplicaId own = core->options().self.replica;
  if (leads_in(core, done.term)) return take_sum(done.partition, own, done.term, done.index, sum);
  const auto leader = core->role_state().leader;
  Link* const link = leader ? peers.link(leader->node.value, PeerLane::kData) : nullptr;
  if (link == nullptr) return;
  Buffer bytes;
  append_varint(bytes, group_of_partition(done.partition).value);
  append_little<uint64_t>(bytes, own.value);
  append_varint(bytes, done.term.value);
  append_varint(bytes, done.index.value);
  append_little<uint64_t>(bytes, sum.low);
  append_little<uint64_t>(bytes, sum.high);
  link->add(Partitions::kSum, bytes.view());
}

// ---- the rounds ------------------------------------------------------------------------------------------

void StateCheck::take_sum(uint32_t partition, raft::ReplicaId from, raft::Term term, raft::Index index, const Hash128& sum) {
  const auto found = rounds_.find(partition);
  if (found == rounds_.end()) return;
  SumRound& round = found->second.round;
  if (round.term() == term && round.index() == index) round.add(from, sum);
}

bool StateCheck::decide_one(Instant now, uint32_t partition, const Round& each) {
  const SumRound& round = each.round;
  const raft::Core* const core = groups_.find(group_of_partition(partition));
  if (!leads_in(core, round.term())) return true;
  if (now.steady_us < each.until_us && !round.has_all(core->configuration())) return false;
  SumRound::Verdict verdict = round.verdict(core->configuration());
  if (verdict.finding == SumRound::Finding::kNothing) return true;
  ++counts_.rounds;
  std::erase(undecided_, partition);
  const std::string at = " at index " + std::to_string(round.index().value);
  if (verdict.finding == SumRound::Finding::kNoMajority) {
    ++counts_.undecided;
    undecided_.push_back(partition);
    note(partition, "the copies differ" + at + " and none is in the majority -> nothing is done");
  } else if (verdict.finding == SumRound::Finding::kMinority) {
    counts_.differing += verdict.differing.size();
    note(partition, "the copy of " + names_of(verdict.differing) + " differs from the majority" + at + " -> it shall come back by snapshot");
    findings_.push_back({.partition = partition, .verdict = std::move(verdict), .term = round.term(), .index = round.index()});
  }
  return true;
}

void StateCheck::decide(Instant now) {
  std::erase_if(rounds_, [&](const auto& each) { return decide_one(now, each.first, each.second); });
  std::erase_if(undecided_, [&](uint32_t partition) {
    const raft::Core* const core = groups_.find(group_of_partition(partition));
    return core == nullptr || core->role() != raft::RoleName::kLeader;
  });
}

}  // namespace quorate

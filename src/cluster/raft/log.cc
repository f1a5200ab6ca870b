// The entries of a group that are in memory.
#include "cluster/raft/log.h"

#include <algorithm>
#include <utility>

#include "util/check.h"

namespace quorate::raft {

namespace {
constexpr size_t kRingMin = 16;
}  // namespace

const Entry& Log::at(Index index) const {
  CHECK(has(index));
  return slot(index.value - base_.index.value - 1);
}

std::optional<Term> Log::term_at(Index index) const {
  if (index == base_.index) return base_.term;
  if (!has(index)) return std::nullopt;
  return at(index).term;
}

std::optional<Chain> Log::chain_at(Index index) const {
  if (index == base_.index) return base_.chain;
  if (!has(index)) return std::nullopt;
  return at(index).chain;
}

Index Log::last_not_above(Index index, Term term) const {
  Index at_index = std::min(index, last_index());
  while (has(at_index) && at(at_index).term > term) at_index = before(at_index);
  return std::max(at_index, base_.index);
}

void Log::append(Entry entry) {
  CHECK(entry.index == next(last_index()));
  CHECK(entry.term >= last_term());
  DCHECK(entry.chain == chain_after(last_chain(), entry));
  if (count_ == ring_.size()) grow();
  bytes_ += entry.size();
  uncommitted_bytes_ += entry.size();
  slot(count_) = std::move(entry);
  ++count_;
}

void Log::note_committed(Index upto) {
  CHECK(upto <= last_index());
  while (committed_ < upto) {
    committed_ = next(committed_);
    uncommitted_bytes_ -= at(committed_).size();
  }
}

void Log::truncate_from(Index from, std::vector<Entry>& removed) {
  CHECK(from > base_.index);
  if (from > last_index()) return;
  const uint64_t kept = from.value - base_.index.value - 1;
  for (uint64_t offset = kept; offset < count_; ++offset) {
    bytes_ -= slot(offset).size();
    if (slot(offset).index > committed_) uncommitted_bytes_ -= slot(offset).size();
    removed.push_back(std::exchange(slot(offset), Entry()));
  }
  count_ = kept;
  committed_ = std::min(committed_, last_index());
}

void Log::trim(Index upto, size_t bytes_max) {
  while (count_ > 0 && bytes_ > bytes_max && slot(0).index <= upto) {
    note_committed(slot(0).index);
    Entry gone = std::exchange(slot(0), Entry());
    bytes_ -= gone.size();
    base_ = {.index = gone.index, .term = gone.term, .chain = gone.chain};
    head_ = (head_ + 1) & (ring_.size() - 1);
    --count_;
  }
}

void Log::reset(LogBase base) {
  ring_.clear();
  ring_.shrink_to_fit();
  head_ = 0;
  count_ = 0;
  bytes_ = 0;
  uncommitted_bytes_ = 0;
  base_ = base;
  committed_ = base.index;
}

void Log::grow() {
  std::vector<Entry> larger(std::max(kRingMin, ring_.size() * 2));
  for (uint64_t offset = 0; offset < count_; ++offset) larger[offset] = std::move(slot(offset));
  ring_ = std::move(larger);
  head_ = 0;
}

}  // namespace quorate::raft

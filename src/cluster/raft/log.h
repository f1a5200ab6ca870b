// The entries of a group that are in memory: what is not committed, what is not applied, and behind
// that a window of bounded bytes, from which followers are brought up.  The log on disk is the
// driver's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cluster/raft/entry.h"
#include "cluster/raft/types.h"

namespace quorate::raft {

// The place behind which a log begins: everything up to `index` is elsewhere (in a snapshot or
// forgotten).
struct LogBase {
  Index index = {};
  Term term = {};
  Chain chain = {};
  friend bool operator==(const LogBase&, const LogBase&) = default;
};

// Owned by one Core.  Invariants: 1 indexes are contiguous from base().index + 1; 2 terms never
// fall; 3 each entry's chain follows from the one before it; 4 bytes() is the sum of the entries'
// sizes, uncommitted_bytes() of those behind what note_committed() said last.
class Log {
 public:
  explicit Log(LogBase base) : base_(base), committed_(base.index) {}

  const LogBase& base() const { return base_; }
  Index first_index() const { return next(base_.index); }
  Index last_index() const { return {base_.index.value + count_}; }
  Term last_term() const { return count_ == 0 ? base_.term : at(last_index()).term; }
  Chain last_chain() const { return count_ == 0 ? base_.chain : at(last_index()).chain; }
  size_t bytes() const { return bytes_; }
  size_t uncommitted_bytes() const { return uncommitted_bytes_; }

  bool has(Index index) const { return index > base_.index && index <= last_index(); }
  // Requires: has(index).  The reference lives until the log changes.
  const Entry& at(Index index) const;
  // Known for the entries that are here and for the base; none for others.
  std::optional<Term> term_at(Index index) const;
  std::optional<Chain> chain_at(Index index) const;
  // The last index <= `index` whose term is <= `term`; the base's index if none is known (conflict
  // hints).
  Index last_not_above(Index index, Term term) const;

  // Requires: entry.index == next(last_index()), its term >= last_term(), its chain is right.
  void append(Entry entry);
  // Entries up to `upto` are committed.  Requires: upto <= last_index().
  void note_committed(Index upto);
  // Removes the entries from `from` on, moving them to the end of `removed` in order.
  void truncate_from(Index from, std::vector<Entry>& removed);
  // Lets go of entries up to `upto` as long as there are more than `bytes_max`.
  void trim(Index upto, size_t bytes_max);
  // Forgets everything; the log begins behind `base`.
  void reset(LogBase base);

 private:
  Entry& slot(uint64_t offset) { return ring_[(head_ + offset) & (ring_.size() - 1)]; }
  const Entry& slot(uint64_t offset) const { return ring_[(head_ + offset) & (ring_.size() - 1)]; }
  void grow();

  LogBase base_;
  std::vector<Entry> ring_;  // size: 0 or a power of two
  uint64_t head_ = 0;        // slot of the first entry
  uint64_t count_ = 0;
  size_t bytes_ = 0;
  Index committed_;               // >= base_.index
  size_t uncommitted_bytes_ = 0;  // of the entries behind that
};

}  // namespace quorate::raft

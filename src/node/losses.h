// Writes that were acknowledged, or may have been, with fewer copies than a commit needs: how many a leader dares to have, and what is
// known of those that were lost (REPLICATION 2).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

#include "util/time.h"

namespace quorate {

// How old and how large is what a leader has proposed and not committed; never less than it is.
class Unacknowledged {
 public:
  void add(uint64_t index, size_t bytes, int64_t now_us) {
    Part& part = older_.since_us == kNever ? older_ : newer_;
    part.last = index;
    part.bytes += bytes;
    if (part.since_us == kNever) part.since_us = now_us;
  }
  void commit(uint64_t index) {
    // What came while the older part was not committed is as old as its first entry.
    for (int parts = 0; parts < 2 && older_.since_us != kNever && index >= older_.last; ++parts) {
      older_ = newer_;
      newer_ = Part();
    }
  }
  bool is_beyond(int64_t now_us, int64_t age_us_max, size_t bytes_max) const {
    if (older_.since_us == kNever) return false;
    return now_us - older_.since_us > age_us_max || older_.bytes + newer_.bytes > bytes_max;
  }
  void clear() { older_ = newer_ = Part(); }

 private:
  struct Part {
    uint64_t last = 0;
    size_t bytes = 0;
    int64_t since_us = kNever;
  };
  Part older_;
  Part newer_;
};

struct Loss {
  enum class Kind : uint8_t {
    kLost,      // entries that this node has acknowledged weakly, in a term that it led, are gone
    kTakeover,  // this node leads since then; what the leader before has acknowledged weakly just before may be gone
    kRestart,   // this node leads since then, after all copies had been restarted and may have forgotten; whatever was acknowledged
                // behind last_index is gone
    kRecovery,  // this node leads since then, after an operator has given up so many copies that too few were left to elect; the same
  } kind = Kind::kLost;
  uint32_t partition = 0;
  uint64_t term = 0;
  uint64_t first_index = 0;   // kLost
  uint64_t last_index = 0;    // not of kTakeover
  int64_t unix_ms = 0;        // when it was found

  // The same, perhaps found again.
  bool tells_as(const Loss& other) const {
    return kind == other.kind && partition == other.partition && term == other.term && first_index == other.first_index &&
           last_index == other.last_index;
  }
};

// What this node knows of losses, the newest of each kind, and in which terms it has acknowledged something weakly.  Kept in a file
// (loss_file.h).
class Losses {
 public:
  static constexpr size_t kKeptMax = 1024;   // of each kind

  // What is known already is not added again: a process that ends between noting a loss and losing it finds it again.
  void add(const Loss& loss) {
    std::deque<Loss>& list = lists_[static_cast<size_t>(loss.kind)];
    if (std::any_of(list.begin(), list.end(), [&](const Loss& each) { return each.tells_as(loss); })) return;
    if (list.size() == kKeptMax) list.pop_front();
    list.push_back(loss);
    if (loss.kind == Loss::Kind::kLost) ++lost_count_;
  }
  const std::deque<Loss>& of(Loss::Kind kind) const { return lists_[static_cast<size_t>(kind)]; }
  size_t size() const {
    size_t sum = 0;
    for (const std::deque<Loss>& list : lists_) sum += list.size();
    return sum;
  }
  // By kind, the oldest first.
  template <class Visit>
  void each(Visit&& visit) const {
    for (const std::deque<Loss>& list : lists_) std::for_each(list.begin(), list.end(), visit);
  }
  uint64_t lost_count() const { return lost_count_; }   // ever, kept or not
  void set_lost_count(uint64_t count) { lost_count_ = count; }

  // This node leads the partition in that term and is going to acknowledge something weakly.
  void note_weak(uint32_t partition, uint64_t term) { weak_terms_[partition] = term; }
  // By partition.  One term is enough: a leader serves once everything of earlier terms is committed.
  const std::map<uint32_t, uint64_t>& weak_terms() const { return weak_terms_; }

 private:
  std::array<std::deque<Loss>, 4> lists_;   // by kind
  std::map<uint32_t, uint64_t> weak_terms_;
  uint64_t lost_count_ = 0;
};

}  // namespace quorate

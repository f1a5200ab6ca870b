// Writes that were acknowledged, or may have been, with fewer copies than a commit needs: how many a leader dares to have, and what is
// known of those that were lost (REPLICATION 2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

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
  } kind = Kind::kLost;
  uint32_t partition = 0;
  uint64_t term = 0;
  uint64_t first_index = 0;   // kLost
  uint64_t last_index = 0;
  int64_t unix_ms = 0;        // when it was found
};

// The newest of each kind.
class Losses {
 public:
  static constexpr size_t kKeptMax = 1024;

  void add(const Loss& loss) {
    std::deque<Loss>& list = loss.kind == Loss::Kind::kLost ? lost_ : takeovers_;
    if (list.size() == kKeptMax) list.pop_front();
    list.push_back(loss);
    if (loss.kind == Loss::Kind::kLost) ++lost_count_;
  }
  const std::deque<Loss>& lost() const { return lost_; }
  const std::deque<Loss>& takeovers() const { return takeovers_; }
  uint64_t lost_count() const { return lost_count_; }   // since the start, kept or not

 private:
  std::deque<Loss> lost_;
  std::deque<Loss> takeovers_;
  uint64_t lost_count_ = 0;
};

}  // namespace quorate

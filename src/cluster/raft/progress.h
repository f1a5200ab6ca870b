// What a leader knows about one member: how far its log matches, what is on the way to it, and
// which beat it confirmed last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cluster/raft/types.h"
#include "util/time.h"

namespace quorate::raft {

// Per member and term of leadership.  Invariants: 1 match < next_index; 2 match never falls, except
// when the member's node restarted or the link said that it did.
class Progress {
 public:
  enum class State : uint8_t {
    kProbe,      // where the logs part is not known: one append at a time
    kReplicate,  // entries are sent as they come, up to bytes in flight
    kSnapshot,   // behind the window: waits until a snapshot is stored there
  };

  Progress(Member member, Index next) : member_(member), next_(next) {}

  const Member& member() const { return member_; }
  State state() const { return state_; }
  Index match() const { return match_; }
  Index next_index() const { return next_; }  // the next entry to send
  size_t bytes_in_flight() const { return bytes_in_flight_; }
  bool idle() const { return in_flight_count_ == 0 && !probe_sent_; }
  // When the oldest unanswered thing was sent; kNever if nothing is on the way.
  int64_t waiting_since_us() const { return idle() ? kNever : waiting_since_us_; }

  // May another append leave?  kProbe: none is on the way.  kReplicate: bytes and appends have
  // room.
  bool may_send(size_t bytes_in_flight_max) const;
  // An append of entries [next_index(), last] with `bytes` leaves.  Requires: may_send().
  void sent(Index last, size_t bytes, int64_t now_us);
  // A probe without entries leaves.  Requires: kProbe and may_send().
  void probe_sent(int64_t now_us);
  // Everything up to `match` is stored there.  Returns whether match grew.
  bool stored(Index match, int64_t now_us);
  // The append behind `rejected` did not match; `next` is where to try.  Returns false for an old
  // answer.
  bool mismatched(Index rejected, Index next);
  // Sends from match + 1 again, one at a time: what was on the way may be lost.
  void probe_again();
  // Stored up to `match`, but what follows is behind the window: still waits for a snapshot.
  void stored_behind_window(Index match);
  // Everything that was known of the member is void (its node restarted).
  void restarted(Index next);
  void wait_for_snapshot();
  // The snapshot did not arrive: tried again after the usual time.
  void snapshot_failed(int64_t now_us);

  // The leader itself: its own write returned.
  void stored_here(Index match);

  // Changed by confirmations of leadership (beats.h), reset by a configuration entry.
  BeatNumber confirmed_beat;
  int64_t confirmed_sent_us = INT64_MIN;
  // For check-quorum: the same, but not reset by a configuration entry; at first when the row was
  // made.
  int64_t heard_us = INT64_MIN;
  // Its node fell silent: nothing is sent until it is heard again.
  bool is_silent = false;
  // When a transfer to it failed last: it refused, or did not lead in time.
  int64_t transfer_failed_us = INT64_MIN;
  // The commit index that the member was told last.
  Index told_commit;
  // Set by Core when the configuration changes; whose quorums it counts for.
  bool in_incoming = false;
  bool in_outgoing = false;

 private:
  void forget_in_flight();

  Member member_;
  State state_ = State::kProbe;
  Index match_;
  Index next_;
  bool probe_sent_ = false;
  int64_t waiting_since_us_ = kNever;
  // Appends on the way, oldest first: a ring of the last index and the bytes of each.
  struct InFlight {
    Index last;
    size_t bytes = 0;
  };
  std::vector<InFlight> in_flight_;
  size_t in_flight_head_ = 0;
  size_t in_flight_count_ = 0;
  size_t bytes_in_flight_ = 0;
};

}  // namespace quorate::raft

// The state of a partition on its way from a leader to a replica that is too far behind: in pieces of a bounded size, so that neither the
// sender's turn, nor the receiver's, nor what waits on the line grows with it.  Here: what is said, and the pieces that have come.  Who
// sends what to whom, and what is done with it, is for Partitions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/members.h"
#include "cluster/raft/message.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

// Reads what PartitionData::encode() gave elsewhere, beside what the partition holds here.
// Calls: read until nothing is behind, settle until it says true, install in the same turn; or it is destroyed at any time, and nothing has
// changed.
class StateReader {
 public:
  virtual ~StateReader() = default;
  // The next bytes, which come from a peer; `behind`: so many follow.  Takes a time bounded by their number.  An error: it is no state of this
  // partition, and nothing more may be called.  When nothing follows it is whole, or an error.
  virtual Status read(std::string_view bytes, uint64_t behind) = 0;
  // A bounded part of what is still to be done; true: nothing, until the turn ends.
  virtual bool settle() = 0;
  // Replaces the partition.
  virtual void install() = 0;
};

// How states travel.
struct StateOptions {
  size_t piece_bytes = 256 << 10;
  size_t in_flight_bytes_max = 1 << 20;   // sent to one replica and not taken by it; a piece more
};

// A whole state, cut into pieces.  It grows by pieces: a large one is never copied.
class StateBytes {
 public:
  explicit StateBytes(size_t piece_bytes) : piece_bytes_(piece_bytes) {}

  void append(std::string_view bytes);
  uint64_t size() const { return size_; }
  // From `offset`, which begins a piece, to its end.  A state without bytes has an empty one.
  std::string_view piece_at(uint64_t offset) const;

 private:
  size_t piece_bytes_;
  std::deque<std::string> pieces_;   // all but the last have piece_bytes_
  uint64_t size_ = 0;
};

// leader -> replica.  Pieces of one state have one number, and come in order; the first says what the state stands for.
struct StatePiece {
  raft::GroupId group;
  raft::ReplicaId sender;
  raft::Term term;          // in which the sender leads
  uint64_t number = 0;      // of this sending; never used again by the sender in that term
  uint64_t size = 0;        // of the whole state
  uint64_t offset = 0;
  std::optional<raft::SnapshotMark> mark = std::nullopt;   // if offset == 0
  std::string_view bytes = {};
};
// All but the bytes, which follow.
void encode_head(const StatePiece& piece, Buffer& out);
// kCorrupt: it contradicts itself, or cannot be read.
Result<StatePiece> decode_state_piece(std::string_view bytes, uint32_t partitions);

// replica -> leader: what has become of the pieces.
struct StateTaken {
  enum class What : uint8_t {
    kTaken = 1,    // `bytes` of it are there; said now and then also if nothing has come since
    kLost = 2,     // the receiver does not know of it (any more): begin again, later.  With `bytes`: it has no room for so many now, and says
                   // the same without them once it has
    kRefused = 3,  // nor will it take it: too large for it, or damaged
  };
  What what = What::kTaken;
  raft::GroupId group;
  raft::Term term;
  uint64_t number = 0;
  uint64_t bytes = 0;
};
void encode(const StateTaken& taken, Buffer& out);
Result<StateTaken> decode_state_taken(std::string_view bytes, uint32_t partitions);

// The pieces of one state that have come and were not read yet.
// Invariant: came <= size; read <= came.
class ComingState {
 public:
  // Requires: first.offset == 0.
  ComingState(NodeId from, const StatePiece& first);

  bool is_of(NodeId from, const StatePiece& piece) const {
    return from == from_ && piece.sender == sender_ && piece.term == term_ && piece.number == number_;
  }
  // Is it the one that comes next?
  bool follows(const StatePiece& piece) const { return piece.size == size_ && piece.offset == came_; }
  // Requires: is_of() and follows().
  void take(const StatePiece& piece);
  bool is_whole() const { return came_ == size_; }
  // Is all that this would begin to bring here already, by an earlier sending?
  bool has_all_of(NodeId from, const StatePiece& first) const;
  // It goes by this sending from here on.
  void renumber(uint64_t number) { number_ = number; }
  StateTaken taken() const { return {.what = StateTaken::What::kTaken, .group = group_, .term = term_, .number = number_, .bytes = came_}; }

  // The next one to be read.  Requires: has_more().
  std::string next_piece();
  bool has_more() const { return !pieces_.empty(); }
  uint64_t read() const { return read_; }

  NodeId from() const { return from_; }
  raft::Member sender() const { return {.replica = sender_, .node = {from_}}; }
  raft::GroupId group() const { return group_; }
  raft::Term term() const { return term_; }
  const raft::SnapshotMark& mark() const { return mark_; }
  uint64_t size() const { return size_; }

  int64_t came_us = 0;                           // the last piece
  std::unique_ptr<StateReader> reader = nullptr; // once it is being read

 private:
  const NodeId from_;
  const raft::GroupId group_;
  const raft::ReplicaId sender_;
  const raft::Term term_;
  uint64_t number_;
  const uint64_t size_;
  const raft::SnapshotMark mark_;
  std::deque<std::string> pieces_;
  uint64_t came_ = 0;
  uint64_t read_ = 0;
};

}  // namespace quorate

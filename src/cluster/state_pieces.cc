// The bytes of the messages, and the order of the pieces.
//
//   piece = varint group, u64 replica of the sender, varint term, varint number, varint size, varint offset, [mark, if the offset is 0], bytes
//   taken = u8 what, varint group, varint term, varint number, varint bytes
#include "cluster/state_pieces.h"

#include <utility>

#include "cluster/partitions_parts.h"
#include "cluster/raft/message_codec.h"
#include "cluster/wire.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

using partitions_parts::damaged;

void StateBytes::append(std::string_view bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (pieces_.empty() || pieces_.back().size() == piece_bytes_) pieces_.emplace_back().reserve(piece_bytes_);
    const std::string_view part = bytes.substr(0, piece_bytes_ - pieces_.back().size());
    pieces_.back() += part;
    bytes.remove_prefix(part.size());
  }
}

std::string_view StateBytes::piece_at(uint64_t offset) const {
  CHECK(offset % piece_bytes_ == 0);
  CHECK(offset <= size_);
  const auto index = static_cast<size_t>(offset / piece_bytes_);
  return index < pieces_.size() ? std::string_view(pieces_[index]) : std::string_view();
}

void encode_head(const StatePiece& piece, Buffer& out) {
  CHECK(piece.mark.has_value() == (piece.offset == 0));
  wire::write(piece.group, out);
  append_little<uint64_t>(out, piece.sender.value);
  wire::write(piece.term, out);
  append_varint(out, piece.number);
  append_varint(out, piece.size);
  append_varint(out, piece.offset);
  if (piece.mark) raft::encode(*piece.mark, out);
}

Result<StatePiece> decode_state_piece(std::string_view bytes, uint32_t partitions) {
  wire::Reader in(bytes);
  StatePiece piece;
  piece.group.value = in.varint_at_most(partitions);
  piece.sender.value = in.fixed64();
  in.read(piece.term);
  piece.number = in.varint();
  piece.size = in.varint();
  piece.offset = in.varint_at_most(piece.size);
  if (!in.good() || piece.group.none()) return damaged("a piece of a state is cut off");
  piece.bytes = in.rest();
  if (piece.offset == 0) {
    TRY(piece.mark, raft::decode_snapshot_mark(piece.bytes));
    if (piece.mark->last.term > piece.term) return damaged("a state of a later term than its sender's");
  }
  if (piece.bytes.size() > piece.size - piece.offset) return damaged("a piece goes beyond the end of its state");
  if (piece.bytes.empty() && piece.size != 0) return damaged("a piece without bytes");
  return piece;
}

void encode(const StateTaken& taken, Buffer& out) {
  wire::write_byte(taken.what, out);
  wire::write(taken.group, out);
  wire::write(taken.term, out);
  append_varint(out, taken.number);
  append_varint(out, taken.bytes);
}

Result<StateTaken> decode_state_taken(std::string_view bytes, uint32_t partitions) {
  wire::Reader in(bytes);
  StateTaken taken;
  taken.what = in.one_of(StateTaken::What::kTaken, StateTaken::What::kRefused);
  taken.group.value = in.varint_at_most(partitions);
  in.read(taken.term);
  taken.number = in.varint();
  taken.bytes = in.varint();
  if (!in.good() || !in.rest().empty() || taken.group.none()) return damaged("what has become of a state cannot be read");
  return taken;
}

ComingState::ComingState(NodeId from, const StatePiece& first)
    : from_(from),
      group_(first.group),
      sender_(first.sender),
      term_(first.term),
      number_(first.number),
      size_(first.size),
      mark_(first.mark.value()) {}

bool ComingState::has_all_of(NodeId from, const StatePiece& first) const {
  const bool is_same_sender = from == from_ && first.sender == sender_ && first.term == term_;
  return is_same_sender && is_whole() && first.mark && first.mark->last == mark_.last && first.mark->chain == mark_.chain;
}

void ComingState::take(const StatePiece& piece) {
  CHECK(follows(piece));
  pieces_.emplace_back(piece.bytes);
  came_ += piece.bytes.size();
}

std::string ComingState::next_piece() {
  CHECK(has_more());
  std::string piece = std::move(pieces_.front());
  pieces_.pop_front();
  read_ += piece.size();
  return piece;
}

}  // namespace quorate

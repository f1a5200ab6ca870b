// Framing, acknowledging.
#include "cluster/link/link.h"

#include <algorithm>

#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

// A buffer that held something large is given back once it is empty.
constexpr size_t kInputKeptMax = 1024 * 1024;
// Room is made for so much that is said to come and has not: who says it may be wrong.
constexpr size_t kInputAheadMax = 64 * 1024 * 1024;

}  // namespace

Link::Link(const LinkOptions& options) : options_(options), handshake_(options_), frame_size_max_(options.frame_size_max) {
  output_.copied().append(handshake_.opening());
}

// ---- out ---------------------------------------------------------------------------------------------

void Link::begin_frame() {
  frame_begin_ = output_.size();
  Buffer& out = output_.copied();
  header_at_ = out.size();
  out.reserve(FrameHeader::kSize);
  out.commit(FrameHeader::kSize);
  last_frame_ = frames_made_ + 1;
}

void Link::close_frame() {
  const size_t body_begin = frame_begin_ + FrameHeader::kSize;
  const FrameHeader header{.body_size = static_cast<uint32_t>(output_.size() - body_begin),
                           .number = ++frames_made_,
                           .acknowledged = to_acknowledge_};
  char* const place = output_.copied().data() + header_at_;
  if (output_.has_shared()) [[unlikely]] {
    header.encode(place, output_.pieces(body_begin));
  } else {
    header.encode(place, output_.view().substr(body_begin));
  }
  acknowledgement_told_ = to_acknowledge_;
  frame_begin_ = kNoFrame;
}

void Link::begin_message(uint64_t kind, size_t size) {
  CHECK(is_open() || kind == kRefusalKind);
  CHECK(size <= kMessageMax);
  if (frame_begin_ != kNoFrame) {
    const size_t begun = output_.size() - frame_begin_;
    if (begun + size > options_.frame_size_aim) close_frame();
  }
  if (frame_begin_ == kNoFrame) begin_frame();
  append_varint(output_.copied(), kind);
  append_varint(output_.copied(), size);
}

void Link::add(uint64_t kind, std::string_view first, std::string_view second) {
  begin_message(kind, first.size() + second.size());
  output_.copied().append(first);
  output_.copied().append(second);
}

size_t Link::size_of(std::string_view bytes, std::span<const SharedPart> parts) {
  size_t size = bytes.size();
  for (const SharedPart& part : parts) size += part.bytes.size();
  return size;
}

void Link::add(uint64_t kind, std::string_view bytes, std::span<const SharedPart> parts) {
  begin_message(kind, size_of(bytes, parts));
  size_t place = 0;
  for (const SharedPart& part : parts) {
    CHECK(place <= part.place);
    output_.copied().append(bytes.substr(place, part.place - place));
    output_.add_shared(part.bytes);
    place = part.place;
  }
  output_.copied().append(bytes.substr(place));
}

void Link::acknowledge(uint64_t number) {
  CHECK(number <= arrived_);
  to_acknowledge_ = std::max(to_acknowledge_, number);
}

void Link::end_turn() {
  if (!is_open()) return;
  if (frame_begin_ == kNoFrame && to_acknowledge_ > acknowledgement_told_) begin_frame();
  if (frame_begin_ != kNoFrame) close_frame();
}

void Link::keep_alive() {
  CHECK(is_open());
  if (frame_begin_ == kNoFrame) begin_frame();
}

// ---- in ----------------------------------------------------------------------------------------------

void Link::refuse(Refusal why) {
  if (refusal_ != Refusal::kNone) return;
  refusal_ = why;
  in_frame_ = false;
  if (frame_begin_ != kNoFrame) close_frame();
  const char reason = static_cast<char>(why);
  add(kRefusalKind, {&reason, 1});
  close_frame();
}

// False: the handshake needs more, or is refused.
bool Link::meet() {
  Refusal why = handshake_.read(input_.view_from(read_), output_.copied());
  read_ += handshake_.take_count();
  if (why == Refusal::kNone && is_overfull_) why = Refusal::kDamaged;
  if (why != Refusal::kNone) {
    refuse(why);
    return false;
  }
  if (handshake_.is_done()) return true;
  // It may be the other side that refuses, in the place of its greeting.
  const std::string_view bytes = input_.view_from(read_);
  return handshake_.has_opened() && bytes.starts_with(FrameHeader::kMark) && hear_refusal();
}

// False: whatever it is, nothing follows.
bool Link::hear_refusal() {
  PeerMessage message;
  if (enter_frame(kRefusalBodyMax) && (read_ == frame_end_ || read_message(message))) refuse(Refusal::kNotAPeer);
  return false;
}

void Link::receive(std::string_view bytes) {
  if (refusal_ != Refusal::kNone) return;
  if (!in_frame_ && read_ == input_.size()) {
    read_ = 0;
    input_.clear();
    if (input_.capacity() > kInputKeptMax) input_.release();
  } else if (!in_frame_ && read_ != 0) {
    input_.drop_front(read_);
    read_ = 0;
  }
  if (!handshake_.is_done() && options_.own.role() == LinkRole::kCalled) {
    // More it can only have to say once it has heard that we believe it.
    const size_t room = Handshake::kSize - std::min(Handshake::kSize, input_.size());
    is_overfull_ = is_overfull_ || bytes.size() > room;
    bytes = bytes.substr(0, room);
  }
  input_.append(bytes);
}

// Begins to read the next frame once all of it is there.
bool Link::enter_frame(uint32_t size_max) {
  const std::string_view bytes = input_.view_from(read_);
  if (bytes.size() < FrameHeader::kSize) return false;
  const auto header = FrameHeader::decode(bytes);
  if (!header || header->number != arrived_ + 1 || header->acknowledged > frames_made_) {
    refuse(Refusal::kDamaged);
    return false;
  }
  if (header->body_size > size_max) {
    refuse(Refusal::kTooLarge);
    return false;
  }
  const size_t size = FrameHeader::kSize + header->body_size;
  if (bytes.size() < size) {
    // All of it is on its way: what has come is not to be moved again and again.
    input_.reserve(std::min(size - bytes.size(), kInputAheadMax));
    return false;
  }
  if (!FrameHeader::proves(bytes, bytes.substr(FrameHeader::kSize, header->body_size))) {
    refuse(Refusal::kDamaged);
    return false;
  }
  arrived_ = header->number;
  frame_acknowledges_ = header->acknowledged;
  frame_end_ = read_ + size;
  read_ += FrameHeader::kSize;
  in_frame_ = true;
  return true;
}

void Link::leave_frame() {
  in_frame_ = false;
  acknowledged_ = std::max(acknowledged_, frame_acknowledges_);
}

// The next message of the frame.  False: it was damaged, or told that we are refused.
bool Link::read_message(PeerMessage& message) {
  std::string_view body = input_.view().substr(read_, frame_end_ - read_);
  if (!take_varint(body, message.kind) || !take_sized(body, message.bytes)) {
    refuse(Refusal::kDamaged);
    return false;
  }
  read_ = frame_end_ - body.size();
  message.frame = arrived_;
  if (message.kind != kRefusalKind) return true;
  const uint8_t reason = message.bytes.empty() ? 0 : static_cast<uint8_t>(message.bytes[0]);
  const bool is_known = reason > 0 && reason < kRefusalCount;
  refused_by_peer_ = is_known ? static_cast<Refusal>(reason) : Refusal::kDamaged;
  refusal_ = refused_by_peer_;
  return false;
}

bool Link::next(PeerMessage& message) {
  if (refusal_ != Refusal::kNone) return false;
  if (!handshake_.is_done() && !meet()) return false;
  while (true) {
    if (!in_frame_ && !enter_frame(frame_size_max_)) return false;
    if (read_ < frame_end_) return read_message(message);
    leave_frame();
  }
}

}  // namespace quorate

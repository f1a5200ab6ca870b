// Greeting, framing, acknowledging.
#include "cluster/link/link.h"

#include <algorithm>

#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

// A buffer that held something large is given back once it is empty.
constexpr size_t kInputKeptMax = 1024 * 1024;

}  // namespace

Link::Link(const LinkOptions& options) : options_(options), frame_size_max_(options.frame_size_max) {
  const Greeting greeting{.lane = options.own.lane,
                          .partitions = options.own.partitions,
                          .cluster = options.own.cluster,
                          .node = options.own.node,
                          .wanted_node = options.wanted_node,
                          .incarnation = options.own.incarnation};
  output_.append(greeting.encode());
}

// ---- out ---------------------------------------------------------------------------------------------

void Link::begin_frame() {
  frame_begin_ = output_.size();
  output_.reserve(FrameHeader::kSize);
  output_.commit(FrameHeader::kSize);
  last_frame_ = frames_made_ + 1;
}

void Link::close_frame() {
  const std::string_view frame = output_.view_from(frame_begin_);
  const std::string_view body = frame.substr(FrameHeader::kSize);
  const FrameHeader header{.body_size = static_cast<uint32_t>(body.size()),
                           .number = ++frames_made_,
                           .acknowledged = to_acknowledge_};
  header.encode(output_.data() + frame_begin_, body);
  acknowledgement_told_ = to_acknowledge_;
  frame_begin_ = kNoFrame;
}

void Link::add(uint64_t kind, std::string_view first, std::string_view second) {
  CHECK(is_open() || kind == kRefusalKind);
  const size_t size = first.size() + second.size();
  CHECK(size <= kMessageMax);
  if (frame_begin_ != kNoFrame) {
    const size_t begun = output_.size() - frame_begin_;
    if (begun + size > options_.frame_size_aim) close_frame();
  }
  if (frame_begin_ == kNoFrame) begin_frame();
  append_varint(output_, kind);
  append_varint(output_, size);
  output_.append(first);
  output_.append(second);
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
  add(kRefusalKind, {&reason, 1}, {});
  close_frame();
}

Refusal Link::judge(const Greeting& greeting) const {
  const LinkIdentity& own = options_.own;
  if (greeting.version != kPeerVersion) return Refusal::kVersion;
  const PeerLane lane = own.lane == PeerLane::kEither ? greeting.lane : own.lane;
  if (lane < PeerLane::kData || lane > PeerLane::kPubsub) return Refusal::kLane;
  if (greeting.lane != lane && greeting.lane != PeerLane::kEither) return Refusal::kLane;
  constexpr ClusterId kNone{};
  // Who has no cluster yet may speak to anyone, and be spoken to.
  if (greeting.cluster != own.cluster && greeting.cluster != kNone && own.cluster != kNone) {
    return Refusal::kOtherCluster;
  }
  if (greeting.partitions != own.partitions) return Refusal::kPartitions;
  if (greeting.node == own.node) return Refusal::kSameNode;
  if (options_.wanted_node != 0 && greeting.node != options_.wanted_node) return Refusal::kOtherNode;
  if (greeting.wanted_node != 0 && greeting.wanted_node != own.node) return Refusal::kOtherNode;
  return Refusal::kNone;
}

// False if it has not arrived, or is refused.
bool Link::read_greeting() {
  const std::string_view bytes = input_.view();
  if (bytes.size() < Greeting::kSize) return false;
  const auto greeting = Greeting::decode(bytes);
  if (!greeting) {
    refuse(Refusal::kNotAPeer);
    return false;
  }
  const Refusal why = judge(*greeting);
  if (why != Refusal::kNone) {
    refuse(why);
    return false;
  }
  peer_ = *greeting;
  read_ = Greeting::kSize;
  greeted_ = true;
  return true;
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
  input_.append(bytes);
}

// Begins to read the next frame once all of it is there.
bool Link::enter_frame() {
  const std::string_view bytes = input_.view_from(read_);
  if (bytes.size() < FrameHeader::kSize) return false;
  const auto header = FrameHeader::decode(bytes);
  if (!header || header->number != arrived_ + 1 || header->acknowledged > frames_made_) {
    refuse(Refusal::kDamaged);
    return false;
  }
  if (header->body_size > frame_size_max_) {
    refuse(Refusal::kTooLarge);
    return false;
  }
  const size_t size = FrameHeader::kSize + header->body_size;
  if (bytes.size() < size) return false;
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
  const bool is_known = reason > 0 && reason <= static_cast<uint8_t>(Refusal::kTooLarge);
  refused_by_peer_ = is_known ? static_cast<Refusal>(reason) : Refusal::kDamaged;
  refusal_ = refused_by_peer_;
  return false;
}

bool Link::next(PeerMessage& message) {
  if (refusal_ != Refusal::kNone) return false;
  if (!greeted_ && !read_greeting()) return false;
  while (true) {
    if (!in_frame_ && !enter_frame()) return false;
    if (read_ < frame_end_) return read_message(message);
    leave_frame();
  }
}

}  // namespace quorate
